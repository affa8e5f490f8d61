"""docs/secrets.md: reading and putting the secret, and replacing each of its parts."""

import base64
import hashlib
import hmac
import json

from aws import STACK_NAME, SWEEPS
from operations import a_shell_for_it

PAGE = "docs/secrets.md"
LEFT = {}
PROVEN = {}


def the_secret(t):
    t.aws.deploy_sweeps(t.stack)
    t.paste(0)
    t.same(json.loads(t.shell.run("cat secret.json")), t.stack.secrets())
    t.paste(1)
    t.paste(2)
    told = [t.aws.ask("lambda", "get-function-configuration", "--function-name", f"{STACK_NAME}-{sweep}")["Description"]
            for sweep in SWEEPS]
    t.holds(f"every function starts anew: {told[0]}", all(description.startswith("secret of 20") for description in told))


def the_encryption_keys(t):
    """The old key opens what it sealed, the new one seals, and neither step shuts anything."""
    stack = t.stack
    stack.connect()
    before = stack.schedule("Before", minutes=60)
    t.paste(0)
    key = t.shell.variable("ID")
    stack.advance("5m")
    # The functions know the new key by now and seal with the old one.
    between = stack.schedule("Between", minutes=60)
    t.holds("until it is named, the new key seals nothing", f"{key}." not in t.tables())
    t.paste(1)
    stack.advance("5m")
    after = stack.schedule("After", minutes=60)
    t.holds("then it seals what is new, and the old key's are there", f"{key}." in t.tables() and "local-1." in t.tables())
    stack.advance("51m")
    for class_ in before, between, after:
        t.holds(f"{class_['title']}: opens", stack.join(class_["id"], "student-1").body.get("passcode"))
    t.shell.run("jq 'del(.token_encryption_keys.keys[\"local-1\"])' secret.json >without.json; "
                'aws secretsmanager put-secret-value --secret-id "$SECRET" --secret-string file://without.json')
    stack.advance("5m")
    t.says(stack.join(before["id"], "student-1"), "500 internal")
    t.shell.run('aws secretsmanager put-secret-value --secret-id "$SECRET" --secret-string file://secret.json')
    stack.advance("5m")
    t.holds("without the old key its classes are shut, and with it they open",
            stack.join(before["id"], "student-1").status == 200)
    t.holds("a key that is there is not overwritten", "is taken" in t.refused(0))


def zooms(t):
    stack = t.stack
    with t.row("`zoom_client_secret`"):
        with t.secret(zoom_client_secret="regenerated at Zoom"):
            t.same(stack.finish("trainer-1", stack.consent("trainer-1")).status, 502)
            stack.ask("POST", "/zoom/sim/expire-tokens")
            t.same(stack.schedule().status, 502)
        t.same(stack.schedule().status, 201)
    class_ = stack.schedule(minutes=5)
    with t.row("`zoom_sdk_secret`"):
        key = stack.join(class_["id"], "student-1")["customer_key"]
        with t.secret(zoom_sdk_secret="regenerated-at-zoom-0123456789abcdef"):
            other = stack.join(class_["id"], "student-1")["customer_key"]
        t.same((other != key, stack.join(class_["id"], "student-1")["customer_key"]), (True, key))
    with t.row("`zoom_webhook_secret_token`"):
        with t.secret(zoom_webhook_secret_token="regenerated at Zoom"):
            stack.meeting(class_, "start")
        sent = [event for event in stack.ask("GET", "/zoom/sim/webhooks")["items"]
                if str(event["meeting_id"]) == class_["meeting"]["id"]]
        # Not "waiting": Zoom does not repeat what was answered 401.
        t.same({event["state"] for event in sent[-2:]}, {"refused"})
        t.same(stack.ask("GET", f"/v1/sessions/{class_['id']}", "trainer-1")["status"], "scheduled")


def ours(t):
    stack = t.stack
    with t.row("`oauth_state_secret`"):
        back = stack.consent("trainer-1")
        with t.secret(oauth_state_secret=t.shell.run("openssl rand -base64 32").strip()):
            t.says(stack.finish("trainer-1", back), "422 validation_failed")
            stack.connect()
    with t.row("`auth_hs256_secret`"):
        old, new = "old-secret-of-the-platform-0123456789", "new-secret-of-the-platform-0123456789"
        stack.start("AUTH_JWKS_URL=")
        for secret, answers in {old: (200, 401), new: (401, 200)}.items():
            with t.secret(auth_hs256_secret=secret):
                t.same(tuple(stack.ask("GET", "/v1/zoom/connection", headers=signed(stack, key)).status
                             for key in (old, new)), answers)
        stack.start()
    with t.row("`zeptomail_token`"):
        stack.start("MAIL_PROVIDER=zeptomail")
        with t.secret(zeptomail_token="deleted at ZeptoMail"):
            before = len(stack.mails())
            stack.schedule("By ZeptoMail", minutes=3 * 24 * 60)
            stack.sweep()
            t.same(len(stack.mails()), before)
        stack.advance("3h")
        t.same(len(stack.mails()), before + 5)


def signed(stack, key):
    """A token of a trainer, signed with a shared secret."""
    now = int(stack.now().timestamp())
    claims = {"sub": "trainer-1", "role": "trainer", "iss": stack.setting("AUTH_ISSUER"),
              "aud": stack.setting("AUTH_AUDIENCE"), "exp": now + 600}
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in
             ({"alg": "HS256", "typ": "JWT"}, claims)]
    mac = hmac.new(key.encode(), b".".join(parts), hashlib.sha256).digest()
    token = b".".join([*parts, base64.urlsafe_b64encode(mac).rstrip(b"=")]).decode()
    return {"authorization": f"Bearer {token}"}


def try_out(t):
    with t.under("A shell for it"):
        a_shell_for_it(t)
    with t.under("Keys and secrets"):
        the_secret(t)
    with t.under("The encryption keys"):
        the_encryption_keys(t)
    with t.under("Zoom's"):
        zooms(t)
    with t.under("Ours"):
        ours(t)
