"""docs/how-to/zoom-app.md: the challenge of the event subscription."""

import base64
import hashlib
import hmac
import json

from operations import prepare_shell

PAGE = "docs/how-to/zoom-app.md"
NOT_TRIED = {}
COVERED_BY_TESTS = {}


def event_subscription(t):
    """Sends the printed event to the webhook's function URL, and lets the simulated Zoom validate the URL."""
    t.paste()
    event = json.loads(t.shell.run("cat challenge.json"))
    body = base64.b64decode(event["body"]) if event.get("isBase64Encoded") else event["body"].encode()
    headers = {name: value for name, value in event["headers"].items() if name.startswith("x-zm-")}
    response = t.stack.request("POST", "/webhook", body=body, headers=headers)
    secret = t.stack.secrets()["zoom_webhook_secret_token"].encode()
    t.check_equal(response.body, {"plainToken": "abc", "encryptedToken": hmac.new(secret, b"abc", hashlib.sha256).hexdigest()})
    t.check_equal(t.stack.request("POST", "/zoom/sim/validate-url")["valid"], True)
    with t.secret(zoom_webhook_secret_token=None):
        t.check_equal(t.stack.request("POST", "/zoom/sim/validate-url")["valid"], False)
    t.check("the webhook answers the challenge only with the secret token", True)


def run(t):
    with t.section("A shell for it"):
        prepare_shell(t)
    with t.section("Subscribe to events"):
        event_subscription(t)
