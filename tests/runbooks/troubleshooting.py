"""docs/how-to/troubleshooting.md: problems with a session, and its log."""

import json
import re

from operations import prepare_shell
from stack import wait_until

PAGE = "docs/how-to/troubleshooting.md"
NOT_TRIED = {}
COVERED_BY_TESTS = {}


def find_log_of_session_and_request(t):
    """Applies the fields of the Logs Insights query to the stack's log: for a session and for a failed request."""
    query = next(block.text for block in t.page.blocks if block.heading == t.heading)
    fields = re.findall(r"([a-z_.]+) = ", query)
    t.check_equal(fields, ["session_id", "span.session_id", "span.request_id"])
    session_id = t.stack.schedule("With a story", minutes=3 * 24 * 60)["id"]
    t.stack.sweep()
    refused = t.stack.join(session_id, "student-1")

    def events_with(value):
        return {line["event"] for line in t.stack.log()
                if value in (line.get("session_id"), *line.get("span", {}).values())}

    events = events_with(session_id)
    t.check(f"events of a session: {', '.join(sorted(events))}",
            {"zoom.meeting_created", "session.created", "mail.sent", "request.refused"} <= events)
    t.check_equal(events_with(refused.body["request_id"]), {"request.refused"})


def session_problems(t):
    stack = t.stack
    session_id = stack.schedule("Fractions", minutes=60)["id"]
    since = stack.count_log_lines()
    codes = {"student-1": "409 too_early", "student-9": "404 not_found"}
    with t.row('"I cannot get in" (student)'):
        for student, expected in codes.items():
            t.check_response(stack.join(session_id, student), expected)
        stack.start("JOIN_MODE=signature_obf", "ZOOM_APP_ACCOUNT_ID=")
        stack.connect(form="decision=allow&account=other")
        elsewhere = stack.schedule("Elsewhere", minutes=5)
        t.check_response(stack.join(elsewhere["id"], "student-1"), "409 waiting_for_host")
        stack.meeting(elsewhere, "start")
        # A meeting that ends before the planned start leaves the session scheduled.
        stack.advance("10m")
        stack.meeting(elsewhere, "end")
        t.check_response(stack.join(elsewhere["id"], "student-1"), "409 session_ended")
        refused = [line["code"] for line in t.find_log_lines("request.refused", since)]
        t.check_equal(refused, ["too_early", "not_found", "waiting_for_host", "session_ended"])
        stack.start()
    with t.row('"I cannot start" (trainer)'):
        stack.connect()
        own = stack.schedule("To start", minutes=5)
        consent = "decision=allow&scopes=user:read:user+meeting:write:meeting"
        stack.connect(form=consent)
        t.check_response(stack.join(own["id"], "trainer-1"), "409 missing_scopes")
        stack.connect()
        stack.request("POST", "/zoom/sim/expire-tokens")
        stack.fault("zoom", "token", "invalid_grant")
        t.check_response(stack.join(own["id"], "trainer-1"), "409 reauth_required")
        stack.connect()
        stack.request("DELETE", "/v1/zoom/connection", "trainer-1")
        t.check_response(stack.join(own["id"], "trainer-1"), "409 zoom_not_connected")
        stack.connect()
    with t.row('"It says it has not begun"'):
        stack.request("POST", "/zoom/sim/knobs", body={"webhooks": {"drop": 1}})
        stack.meeting(own, "start")
        t.check_equal([entry for entry in stack.timeline(own["id"]) if "started" in json.dumps(entry)], [])
        stack.meeting(own, "end")
    with t.row('"I got no mail"'):
        preferences = {"live_session": {"in_app": True, "email": False}}
        stack.request("PUT", "/v1/me/notification-preferences", "student-2", preferences)
        invited = stack.schedule("Invited", minutes=3 * 24 * 60)

        def mail_kinds():
            entries = [entry for entry in stack.timeline(invited["id"]) if entry["kind"].startswith("mail.")]
            # The newest entry of a recipient comes first and has the current status.
            return {entry["detail"]["recipient"]: entry["kind"] for entry in reversed(entries)}

        # A scheduled run may be sending the mails at the same time.
        wait_until("the mails are sent", lambda: stack.sweep() and set(mail_kinds().values()) == {"mail.sent"})
        t.check_equal((mail_kinds().get("student-1"), mail_kinds().get("student-2")), ("mail.sent", None))
    with t.row('"I was there, and the report says no"'):
        attended = stack.schedule("Held", minutes=5)
        stack.meeting(attended, "start")
        stack.meeting(attended, "join", {"name": "Somebody's tablet"})
        stack.advance("50m")
        stack.meeting(attended, "end")
        report = stack.request("GET", f"/v1/sessions/{attended['id']}/attendance", "trainer-1")
        row = next(row for row in report["attendees"] if row["name"] == "Somebody's tablet")
        t.check_equal((row.get("user_id"), "needs_review" in row["flags"]), (None, True))
    with t.row('"The class is there twice"'):
        starts_at = stack.in_minutes(600)
        ids = [stack.schedule("Twice", starts_at=starts_at, headers={"idempotency-key": key})["id"] for key in "aab"]
        t.check_equal((ids[0] == ids[1], ids[1] == ids[2]), (True, False))
    t.set_variables(SESSION=invited["id"], TOKEN=stack.token("trainer-1"))
    t.check("the timeline has the status of every mail", '"kind":"mail.sent"' in t.paste())


def run(t):
    with t.section("A shell for it"):
        prepare_shell(t)
    t.stack.connect()
    with t.section("Follow one class or request"):
        find_log_of_session_and_request(t)
    with t.section("When a class goes wrong"):
        session_problems(t)
