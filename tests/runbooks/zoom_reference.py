"""docs/reference/zoom-app.md: the fields for the SDK, and the errors of a join."""

PAGE = "docs/reference/zoom-app.md"
NOT_TRIED = {
    "Scopes": "covered by the test zoom_app_scopes_are_documented",
    "Scopes of the account's app": "the simulated Zoom refuses calls without their scopes in every test",
    "Errors of the SDK in the browser": "only Zoom's SDK shows these errors, and the local room is simulated",
}
COVERED_BY_TESTS = {}


def meeting_sdk(t):
    """Checks that a join response contains each field for the SDK, for the host or for an external participant."""
    t.stack.start("JOIN_MODE=signature_obf", "ZOOM_APP_ACCOUNT_ID=")
    t.stack.connect(form="decision=allow&account=other")
    session = t.stack.schedule(minutes=5)
    host = t.stack.join(session["id"], "trainer-1").body
    t.stack.meeting(session, "start")
    attendee = t.stack.join(session["id"], "student-1").body
    for row in [row for row in t.page.rows if row.heading == t.heading]:
        with t.row(row.name):
            for field in row.name.replace("`", "").split(", "):
                t.check_equal((field, field in {**host, **attendee}), (field, True))
    t.stack.meeting(session, "end")


def errors_of_our_api(t):
    stack = t.stack
    stack.start("JOIN_MODE=signature_obf", "ZOOM_APP_ACCOUNT_ID=")
    stack.connect(form="decision=allow&account=other")
    session_id = stack.schedule(minutes=5)["id"]
    session = {"meeting": stack.request("GET", f"/v1/sessions/{session_id}", "trainer-1")["meeting"]}
    with t.row("409 `waiting_for_host`"):
        t.check_response(stack.join(session_id, "student-1"), "409 waiting_for_host")
        stack.meeting(session, "start")
        t.check_equal("obf_token" in stack.join(session_id, "student-1").body, True)
    with t.row("429 `zoom_rate_limited`"):
        stack.fault("zoom", "obf", "throttle_seconds", times=5, retry_after_seconds=1)
        limited = stack.join(session_id, "student-1")
        t.check_response(limited, "429 zoom_rate_limited")
        t.check_equal(limited.headers["retry-after"], "1")
        stack.clear_faults()
    with t.row("502 `zoom_unavailable`"):
        stack.fault("zoom", "zak", "error", times=5)
        t.check_response(stack.join(session_id, "trainer-1"), "502 zoom_unavailable")
        stack.clear_faults()
    with t.row("409 `missing_scopes`"):
        stack.connect(form="decision=allow&account=other&scopes=user:read:user+meeting:write:meeting")
        t.check_response(stack.join(session_id, "student-1"), "409 missing_scopes")
    with t.row("409 `reauth_required`, `zoom_not_connected`"):
        stack.connect(form="decision=allow&account=other")
        stack.request("POST", "/zoom/sim/expire-tokens")
        stack.fault("zoom", "token", "invalid_grant")
        t.check_response(stack.join(session_id, "student-1"), "409 reauth_required")
        stack.connect(form="decision=allow&account=other")
        stack.request("POST", "/zoom/sim/deactivate")
        t.check_response(stack.join(session_id, "student-1"), "409 reauth_required")
        stack.request("DELETE", "/v1/zoom/connection", "trainer-1")
        t.check_response(stack.join(session_id, "student-1"), "409 zoom_not_connected")
        t.check_equal(stack.join(session_id, "student-1", prefer="link")["mode"], "link")
        stack.connect(form="decision=allow&account=other&user=licensed@other.zoom.test")
    with t.row("502 `zoom_rejected`"):
        # The class of the user who is connected now.
        session_id = stack.schedule("Refused", minutes=5)["id"]
        stack.fault("zoom", "zak", "error", times=5, status=400)
        since = stack.count_log_lines()
        t.check_response(stack.join(session_id, "trainer-1"), "502 zoom_rejected")
        t.check("the log has Zoom's status", "400" in t.find_log_lines("request.failed", since)[0]["error"])


def run(t):
    with t.section("Meeting SDK"):
        meeting_sdk(t)
    with t.section("Errors of our API"):
        errors_of_our_api(t)
