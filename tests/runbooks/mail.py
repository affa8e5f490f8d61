"""docs/mail.md: SES's settings, and from one mail service to the other without losing or repeating anything."""

import collections
import json

from operations import a_shell_for_it

PAGE = "docs/mail.md"
LEFT = {}
PROVEN = {}


def ses(t):
    tokens = t.paste(0)
    t.same(len(json.loads(tokens[tokens.rindex("["):])), 3)
    # Nothing here knows this operation; the command line has checked what it is given.
    t.holds("a MAIL FROM domain is asked for as SES takes it", "Unknown SES v2 path: PUT" in t.refused(1))
    t.paste(2)
    t.holds("the account's rate is told", "MaxSendRate" in t.paste(3))


def changing_the_provider(t):
    """Mails that wait, one whose outcome SES left open, and then ZeptoMail."""
    stack = t.stack
    stack.connect()
    stack.schedule("Left open", minutes=600, audience_type="invitees", course_id=None,
                   invitees=[{"email": "guest@example.test"}])
    stack.fault("ses", "SendEmail", "lost")
    stack.sweep()
    stack.start("MAIL_FROM=")
    stack.schedule("Waiting", minutes=600)
    stack.start("MAIL_PROVIDER=zeptomail")
    stack.advance("10m")
    stack.sweep()
    stack.sweep()
    # The usage meter began anew with the stack.
    calls = stack.ask("GET", "/local/usage")["functions"]["outbox-sweep"]["calls"]
    t.same({call["service"]: call["calls"] for call in calls if call["operation"] == "SendEmail"}, {"zeptomail": 6})
    sent = collections.Counter(mail["to"] for mail in stack.mails())
    t.same(sent, {"guest@example.test": 2, **{f"student{n}@example.test": 1 for n in range(1, 6)}})
    t.holds("ZeptoMail sends what waited, once, and once more what SES left open", True)


def try_out(t):
    with t.under("A shell for it"):
        a_shell_for_it(t)
    with t.under("SES"):
        ses(t)
    with t.under("Changing the provider"):
        changing_the_provider(t)
