"""docs/how-to/meetings-later.md: a run on request."""

import json

PAGE = "docs/how-to/meetings-later.md"
NOT_TRIED = {"How the meetings are made": "tests/it/pending_meetings brings every answer of Zoom about"}
COVERED_BY_TESTS = {}


def run(t):
    with t.section("Request a run"):
        t.stack.connect()
        made = t.stack.schedule(minutes=20 * 24 * 60, meeting="later")
        t.check_equal(made["meeting_state"], "pending")
        t.set_variables(API=t.stack.base, SERVICE_TOKEN=t.stack.token("platform"))
        run_id = json.loads(t.paste())["id"]
        t.stack.sweep("meeting-sweep")
        report = t.stack.request("GET", f"/v1/runs/{run_id}", "platform")
        t.check_equal((report["state"], report["created"]), ("finished", 1))
        shown = t.stack.request("GET", f"/v1/sessions/{made['id']}", "trainer-1")
        t.check("the run has made the meeting", shown["meeting_state"] == "ready")
        listed = t.stack.request("GET", "/v1/runs?kind=meetings", "platform")["items"]
        t.check("the list has the run", run_id in [of["id"] for of in listed])
