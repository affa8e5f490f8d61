"""docs/how-to/reconciliation.md: a comparison of one class, and a run on request."""

import json

PAGE = "docs/how-to/reconciliation.md"
NOT_TRIED = {
    "What is compared": "tests/it/reconcile brings every answer of Zoom about",
    "Meetings that should not exist": "tests/it/reconcile_meetings makes each of them at the simulated Zoom",
}
COVERED_BY_TESTS = {}


def run(t):
    with t.section("Recordings"):
        t.stack.connect()
        made = t.stack.schedule(minutes=60)
        t.set_variables(API=t.stack.base, SESSION=made["id"], TOKEN=t.stack.token("trainer-1"),
                        SERVICE_TOKEN=t.stack.token("platform"))
        t.check_equal(json.loads(t.paste()), {"files": 0})
    with t.section("Request a run"):
        run_id = json.loads(t.paste())["id"]
        t.stack.sweep("reconcile-sweep")
        report = t.stack.request("GET", f"/v1/runs/{run_id}", "platform")
        t.check_equal((report["kind"], report["state"]), ("recordings", "finished"))
