"""docs/going-live.md: a pilot, all trainers, and the kill switch."""

from aws import STACK_NAME, SWEEPS
from operations import prepare_shell

PAGE = "docs/going-live.md"
NOT_TRIED = {}
COVERED_BY_TESTS = {}


def pilot(t):
    t.stack.connect("trainer-1")
    t.stack.connect("trainer-2", "decision=allow&account=other")
    t.paste()
    t.check_equal(t.stack.schedule(person="trainer-1").status, 201)
    other = {"audience_type": "standalone", "course_id": None}
    t.check_response(t.stack.schedule(person="trainer-2", **other), "403 feature_disabled")
    # The request replaces all settings, so the list of pilots is removed.
    t.stack.request("PUT", "/v1/directory/settings", "platform", {"live_classes_enabled": True})
    t.check_equal(t.stack.schedule(person="trainer-2", **other).status, 201)
    t.check("only the pilot can schedule, and others after the pilot", True)


def kill_switch(t):
    stack = t.stack
    joined, cancelled = (stack.schedule(title, minutes=5) for title in ("To join", "To cancel"))
    stack.sweep()
    t.paste(0)
    t.check_response(stack.schedule(), "403 feature_disabled")
    edit = {"title": "Another", "audience_type": "course", "course_id": "course-1", "starts_at": stack.in_minutes(600),
            "timezone": "Europe/Berlin", "duration_minutes": 60}
    t.check_response(stack.request("PUT", f"/v1/sessions/{joined['id']}", "trainer-1", edit), "403 feature_disabled")
    t.check_equal(stack.join(joined["id"], "trainer-1").status, 200)
    stack.meeting(joined, "start")
    t.check_equal(stack.join(joined["id"], "student-1").status, 200)
    stack.meeting(joined, "end")
    t.check_equal(stack.request("GET", f"/v1/sessions/{joined['id']}/attendance", "trainer-1").status, 200)
    t.check_equal(stack.request("POST", f"/v1/sessions/{cancelled['id']}/cancel", "trainer-1", {"reason": "Off."}).status, 200)
    stack.sweep()
    t.check("scheduling and editing are blocked, but joins, reports, cancellations and mails work",
            [mail for mail in stack.mails("student1@example.test") if "ancelled" in mail["subject"]])
    t.aws.deploy_functions(stack, *SWEEPS)
    t.paste(1)
    sweep = f"{STACK_NAME}-outbox-sweep"
    t.check("mail is stopped", "TooManyRequests" in t.aws.call_failing("lambda", "invoke", "--function-name", sweep, "/dev/null"))
    t.paste(2)
    t.aws.call("lambda", "invoke", "--function-name", sweep, "/dev/null")


def run(t):
    with t.section("A shell for it"):
        prepare_shell(t)
    with t.section("Going live"):
        pilot(t)
    with t.section("The kill switch"):
        kill_switch(t)
