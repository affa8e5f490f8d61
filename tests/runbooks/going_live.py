"""docs/how-to/going-live.md: a pilot, and then all trainers."""

from operations import prepare_shell

PAGE = "docs/how-to/going-live.md"
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


def run(t):
    with t.section("A shell for it"):
        prepare_shell(t)
    with t.section("Going live"):
        pilot(t)
