"""docs/zoom-app.md: the subscription's challenge, what a join hands to the SDK, and when Zoom refuses a token for it."""

import base64
import hashlib
import hmac
import json

from operations import a_shell_for_it

PAGE = "docs/zoom-app.md"
LEFT = {
    "Scopes": "held by the_zoom_apps_scopes_are_all_told",
    "What the SDK says in the browser": "the local room is a simulated one; only Zoom's SDK says these",
}
PROVEN = {}


def event_subscription(t):
    """The event that is printed is handed to the webhook's function URL, and Zoom's own challenge is answered."""
    t.paste()
    event = json.loads(t.shell.run("cat challenge.json"))
    body = base64.b64decode(event["body"]) if event.get("isBase64Encoded") else event["body"].encode()
    signed = {name: value for name, value in event["headers"].items() if name.startswith("x-zm-")}
    answer = t.stack.ask("POST", "/webhook", body=body, headers=signed)
    secret = t.stack.secrets()["zoom_webhook_secret_token"].encode()
    t.same(answer.body, {"plainToken": "abc", "encryptedToken": hmac.new(secret, b"abc", hashlib.sha256).hexdigest()})
    t.same(t.stack.ask("POST", "/zoom/sim/validate-url")["valid"], True)
    with t.secret(zoom_webhook_secret_token=None):
        t.same(t.stack.ask("POST", "/zoom/sim/validate-url")["valid"], False)
    t.holds("the challenge is answered when the secret token is there, and not before", True)


def meeting_sdk(t):
    """Every field that a page hands on is in the answer of a join: the host's, or that of somebody from outside."""
    t.stack.start("JOIN_MODE=signature_obf", "ZOOM_APP_ACCOUNT_ID=")
    t.stack.connect(form="decision=allow&account=other")
    class_ = t.stack.schedule(minutes=5)
    host = t.stack.join(class_["id"], "trainer-1").body
    t.stack.meeting(class_, "start")
    attendee = t.stack.join(class_["id"], "student-1").body
    for row in [row for row in t.page.rows if row.heading == t.heading]:
        with t.row(row.name):
            for field in row.name.replace("`", "").split(", "):
                t.same((field, field in {**host, **attendee}), (field, True))
    t.stack.meeting(class_, "end")


def what_our_api_says(t):
    stack = t.stack
    stack.start("JOIN_MODE=signature_obf", "ZOOM_APP_ACCOUNT_ID=")
    stack.connect(form="decision=allow&account=other")
    class_ = stack.schedule(minutes=5)["id"]
    meeting = {"meeting": stack.ask("GET", f"/v1/sessions/{class_}", "trainer-1")["meeting"]}
    with t.row("409 `waiting_for_host`"):
        t.says(stack.join(class_, "student-1"), "409 waiting_for_host")
        stack.meeting(meeting, "start")
        t.same("obf_token" in stack.join(class_, "student-1").body, True)
    with t.row("429 `zoom_rate_limited`"):
        stack.fault("zoom", "obf", "throttle_seconds", times=5, retry_after_seconds=1)
        limited = stack.join(class_, "student-1")
        t.says(limited, "429 zoom_rate_limited")
        t.same(limited.headers["retry-after"], "1")
        stack.no_more_faults()
    with t.row("502 `zoom_unavailable`"):
        stack.fault("zoom", "zak", "error", times=5)
        t.says(stack.join(class_, "trainer-1"), "502 zoom_unavailable")
        stack.no_more_faults()
    with t.row("409 `missing_scopes`"):
        stack.connect(form="decision=allow&account=other&scopes=user:read:user+meeting:write:meeting")
        t.says(stack.join(class_, "student-1"), "409 missing_scopes")
    with t.row("409 `reauth_required`, `zoom_not_connected`"):
        stack.connect(form="decision=allow&account=other")
        stack.ask("POST", "/zoom/sim/expire-tokens")
        stack.fault("zoom", "token", "invalid_grant")
        t.says(stack.join(class_, "student-1"), "409 reauth_required")
        stack.connect(form="decision=allow&account=other")
        stack.ask("POST", "/zoom/sim/deactivate")
        t.says(stack.join(class_, "student-1"), "409 reauth_required")
        stack.ask("DELETE", "/v1/zoom/connection", "trainer-1")
        t.says(stack.join(class_, "student-1"), "409 zoom_not_connected")
        stack.start("JOIN_MODE=auto", "ZOOM_APP_ACCOUNT_ID=")
        since = stack.lines()
        t.same(stack.join(class_, "student-1")["mode"], "link")
        t.logged("join.obf_refused", since)
        stack.connect(form="decision=allow&account=other&user=licensed@other.zoom.test")
    with t.row("502 `zoom_rejected`"):
        stack.fault("zoom", "zak", "error", times=5, status=400)
        since = stack.lines()
        t.says(stack.join(class_, "trainer-1"), "502 zoom_rejected")
        t.holds("the log has Zoom's status", "400" in t.logged("request.failed", since)[0]["error"])


def try_out(t):
    with t.under("A shell for it"):
        a_shell_for_it(t)
    with t.under("Event subscription"):
        event_subscription(t)
    with t.under("Meeting SDK"):
        meeting_sdk(t)
    with t.under("What our own API says"):
        what_our_api_says(t)
