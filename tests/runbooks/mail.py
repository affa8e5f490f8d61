"""docs/how-to/mail.md: SES's settings, and changing the mail provider without lost or repeated mails."""

import collections
import json

from operations import prepare_shell

PAGE = "docs/how-to/mail.md"
NOT_TRIED = {
    "Change a text": "covered by the tests mails_read_as_in_their_files and templates_have_only_known_blocks",
}
COVERED_BY_TESTS = {
    "permanent bounce, also of an address on SES's own suppression list": "hard_bounce_is_recorded_and_suppresses_the_address",
    "transient bounce: a full mailbox, a large mail, an automatic reply": "soft_bounce_is_recorded_and_suppresses_nothing",
    "undetermined bounce, which SES does not understand": "soft_bounce_is_recorded_and_suppresses_nothing",
    "complaint": "complaint_is_recorded_and_outranks_a_bounce",
    "feedback `not-spam`, with which a recipient takes back a complaint": "bounce_type_and_feedback_determine_the_kind_of_return",
}


def ses(t):
    tokens = t.paste(0)
    t.check_equal(len(json.loads(tokens[tokens.rindex("["):])), 3)
    # The emulator does not have this operation, but the command line validates the parameters.
    t.check("the parameters of the MAIL FROM domain are valid", "Unknown SES v2 path: PUT" in t.paste_failing(1))
    t.paste(2)
    t.check("the account's rate is shown", "MaxSendRate" in t.paste(3))


def mails_that_come_back(t):
    """A mail bounces, its address is suppressed, and an operator removes it from the list."""
    stack = t.stack
    stack.connect()
    guest = "guest@example.com"
    stack.schedule("Returned", minutes=600, audience_type="invitees", course_id=None, invitees=[{"email": guest}])
    stack.sweep()
    path = f"/local/mail/{stack.mails(guest)[0]['id']}/bounce"
    t.check_response(stack.request("POST", path, body={"kind": "hard"}), "200")
    output = t.paste(0).splitlines()
    t.check_equal(json.loads(output[0]), {"email": guest, "reason": "bounce", "detail": "permanent_general"})
    t.check_equal(output[-1], "204")
    t.check_equal(stack.request("GET", "/v1/suppressions", "platform")["items"], [])
    # The emulator does not have this operation, but the command line validates the parameters.
    t.check("the parameters for SES's own list are valid", "Unknown SES v2 path: DELETE" in t.paste_failing(1))


def changing_the_provider(t):
    """Changes to ZeptoMail with queued mails, one of which has an unknown outcome at SES."""
    stack = t.stack
    stack.connect()
    stack.sweep()
    before = collections.Counter(mail["to"] for mail in stack.mails())
    stack.schedule("Unknown outcome", minutes=600, audience_type="invitees", course_id=None,
                   invitees=[{"email": "guest@example.test"}])
    stack.fault("ses", "SendEmail", "lost")
    stack.sweep()
    stack.start("MAIL_FROM=")
    stack.schedule("Waiting", minutes=600)
    stack.start("MAIL_PROVIDER=zeptomail")
    stack.advance("10m")
    stack.sweep()
    stack.sweep()
    # The restart has reset the usage meter.
    calls = stack.request("GET", "/local/usage")["functions"]["outbox-sweep"]["calls"]
    t.check_equal({call["service"]: call["calls"] for call in calls if call["operation"] == "SendEmail"}, {"zeptomail": 6})
    sent = collections.Counter(mail["to"] for mail in stack.mails()) - before
    t.check_equal(sent, {"guest@example.test": 2, **{f"student{n}@example.test": 1 for n in range(1, 6)}})
    t.check("ZeptoMail sends each queued mail once, and the mail with the unknown outcome again", True)


def run(t):
    with t.section("A shell for it"):
        prepare_shell(t)
    with t.section("SES"):
        ses(t)
    with t.section("Mails that come back"):
        t.set_variables(SERVICE=t.stack.token("platform"))
        mails_that_come_back(t)
    with t.section("Change the provider"):
        changing_the_provider(t)
