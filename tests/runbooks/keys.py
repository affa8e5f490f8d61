"""docs/how-to/secrets.md: reading and writing the secret, and replacing each of its parts."""

import base64
import hashlib
import hmac
import json

from operations import prepare_shell

PAGE = "docs/how-to/secrets.md"
NOT_TRIED = {}
COVERED_BY_TESTS = {}


def read_and_write_secret(t):
    t.paste(0)
    t.check_equal(json.loads(t.shell.run("cat secret.json")), t.stack.secrets())
    t.paste(1)


def rotate_encryption_key(t):
    """Rotates the encryption key: the old key still decrypts, the new one encrypts, and sessions stay joinable."""
    stack = t.stack
    stack.connect()
    before = stack.schedule("Before", minutes=60)
    t.paste(0)
    key = t.shell.variable("ID")
    stack.advance("5m")
    # The functions have read the new key but still encrypt with the old one.
    between = stack.schedule("Between", minutes=60)
    t.check("the new key is not used before it is current", f"{key}." not in t.tables())
    t.paste(1)
    stack.advance("5m")
    after = stack.schedule("After", minutes=60)
    t.check("then it encrypts new values, and the old key's values remain", f"{key}." in t.tables() and "local-1." in t.tables())
    stack.advance("51m")
    for session in before, between, after:
        t.check(f"{session['title']}: decrypts", stack.join(session["id"], "student-1").body.get("passcode"))
    t.shell.run("jq 'del(.token_encryption_keys.keys[\"local-1\"])' secret.json >without.json; "
                'aws secretsmanager put-secret-value --secret-id "$SECRET" --secret-string file://without.json')
    stack.advance("5m")
    t.check_response(stack.join(before["id"], "student-1"), "500 internal")
    t.shell.run('aws secretsmanager put-secret-value --secret-id "$SECRET" --secret-string file://secret.json')
    stack.advance("5m")
    t.check("sessions of the old key cannot be decrypted without it",
            stack.join(before["id"], "student-1").status == 200)
    t.check("an existing key is not overwritten", "is taken" in t.paste_failing(0))


def zoom_secrets(t):
    stack = t.stack
    with t.row("`zoom_client_secret`"):
        with t.secret(zoom_client_secret="regenerated at Zoom"):
            t.check_equal(stack.finish("trainer-1", stack.consent("trainer-1")).status, 502)
            stack.request("POST", "/zoom/sim/expire-tokens")
            t.check_equal(stack.schedule().status, 502)
        t.check_equal(stack.schedule().status, 201)
    session = stack.schedule(minutes=5)
    with t.row("`zoom_sdk_secret`"):
        key = stack.join(session["id"], "student-1")["customer_key"]
        with t.secret(zoom_sdk_secret="regenerated-at-zoom-0123456789abcdef"):
            other = stack.join(session["id"], "student-1")["customer_key"]
        t.check_equal((other != key, stack.join(session["id"], "student-1")["customer_key"]), (True, key))


def rotate_webhook_secret(t):
    """Rotates the webhook's secret: events of both secrets are accepted, and 503 makes Zoom repeat one that comes too early."""
    old, new = t.stack.secrets()["zoom_webhook_secret_token"], "regenerated-at-zoom"

    def statuses():
        return tuple(send_event(t.stack, address, secret) for secret in (old, new) for address in ("/webhook", "/webhook/zoom"))

    t.set_variables(NEW=new)
    with t.secret():
        t.check_equal(statuses(), (200, 200, 401, 401))
        t.paste(0)
        t.stack.advance("5m")
        t.check_equal(statuses(), (200, 200, 503, 503))
        t.paste(1)
        t.stack.advance("15s")
        t.check_equal(statuses(), (200, 200, 200, 200))
        t.stack.advance("2h")
        t.paste(2)
        t.stack.advance("5m")
        t.check_equal(statuses(), (401, 401, 200, 200))


def send_event(stack, address, secret):
    """Sends an event that is signed with this secret, and returns the status."""
    body, timestamp = b'{"event": "runbook.test", "event_ts": 1}', str(int(stack.now().timestamp()))
    mac = hmac.new(secret.encode(), b"v0:" + timestamp.encode() + b":" + body, hashlib.sha256).hexdigest()
    headers = {"x-zm-request-timestamp": timestamp, "x-zm-signature": f"v0={mac}"}
    return stack.request("POST", address, body=body, headers=headers).status


def own_secrets(t):
    stack = t.stack
    with t.row("`oauth_state_secret`"):
        redirect = stack.consent("trainer-1")
        with t.secret(oauth_state_secret=t.shell.run("openssl rand -base64 32").strip()):
            t.check_response(stack.finish("trainer-1", redirect), "422 validation_failed")
            stack.connect()
    with t.row("`auth_hs256_secret`"):
        old, new = "old-secret-of-the-platform-0123456789", "new-secret-of-the-platform-0123456789"
        stack.start("AUTH_JWKS_URL=")
        for secret, statuses in (old, (200, 401)), ([new, old], (200, 200)), (new, (401, 200)):
            with t.secret(auth_hs256_secret=secret):
                t.check_equal(tuple(stack.request("GET", "/v1/zoom/connection", headers=hs256_headers(stack, key)).status
                             for key in (old, new)), statuses)
        stack.start()
    with t.row("`zeptomail_token`"):
        stack.start("MAIL_PROVIDER=zeptomail")
        with t.secret(zeptomail_token="deleted at ZeptoMail"):
            before = len(stack.mails())
            stack.schedule("By ZeptoMail", minutes=3 * 24 * 60)
            stack.sweep()
            t.check_equal(len(stack.mails()), before)
        stack.advance("3h")
        t.check_equal(len(stack.mails()), before + 5)


def hs256_headers(stack, key):
    """Returns the headers of a trainer whose token is signed with a shared secret."""
    now = int(stack.now().timestamp())
    claims = {"sub": "trainer-1", "role": "trainer", "iss": stack.setting("AUTH_ISSUER"),
              "aud": stack.setting("AUTH_AUDIENCE"), "exp": now + 600}
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in
             ({"alg": "HS256", "typ": "JWT"}, claims)]
    mac = hmac.new(key.encode(), b".".join(parts), hashlib.sha256).digest()
    token = b".".join([*parts, base64.urlsafe_b64encode(mac).rstrip(b"=")]).decode()
    return {"authorization": f"Bearer {token}"}


def run(t):
    with t.section("A shell for it"):
        prepare_shell(t)
    with t.section("Keys and secrets"):
        read_and_write_secret(t)
    with t.section("The encryption keys"):
        rotate_encryption_key(t)
    with t.section("Zoom's"):
        zoom_secrets(t)
    with t.section("The webhook's secret token"):
        rotate_webhook_secret(t)
    with t.section("Ours"):
        own_secrets(t)
