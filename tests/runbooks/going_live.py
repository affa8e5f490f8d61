"""docs/going-live.md: a pilot, everybody, the kill switch, and the way back."""

from aws import STACK_NAME
from operations import a_shell_for_it

PAGE = "docs/going-live.md"
LEFT = {
    "git checkout v0.1.0 && cargo lambda build --release --arm64 && sam build && sam deploy --config-env prod":
        "deploys into an AWS account; sam build and sam validate are run by tests/real-tools.sh and .ci/run",
}
PROVEN = {}


def the_pilot(t):
    t.stack.connect("trainer-1")
    t.stack.connect("trainer-2", "decision=allow&account=other")
    t.paste()
    t.same(t.stack.schedule(who="trainer-1").status, 201)
    other = {"audience_type": "standalone", "course_id": None}
    t.says(t.stack.schedule(who="trainer-2", **other), "403 feature_disabled")
    # The settings as a whole, without the pilot.
    t.stack.ask("PUT", "/v1/directory/settings", "platform", {"live_classes_enabled": True})
    t.same(t.stack.schedule(who="trainer-2", **other).status, 201)
    t.holds("the pilot's trainer schedules, others do when they are let in", True)


def the_kill_switch(t):
    stack = t.stack
    joined, cancelled = (stack.schedule(title, minutes=5) for title in ("To join", "To cancel"))
    stack.sweep()
    t.paste(0)
    t.says(stack.schedule(), "403 feature_disabled")
    edit = {"title": "Another", "audience_type": "course", "course_id": "course-1", "starts_at": stack.in_minutes(600),
            "timezone": "Europe/Berlin", "duration_minutes": 60}
    t.says(stack.ask("PUT", f"/v1/sessions/{joined['id']}", "trainer-1", edit), "403 feature_disabled")
    t.same(stack.join(joined["id"], "trainer-1").status, 200)
    stack.meeting(joined, "start")
    t.same(stack.join(joined["id"], "student-1").status, 200)
    stack.meeting(joined, "end")
    t.same(stack.ask("GET", f"/v1/sessions/{joined['id']}/attendance", "trainer-1").status, 200)
    t.same(stack.ask("POST", f"/v1/sessions/{cancelled['id']}/cancel", "trainer-1", {"reason": "Off."}).status, 200)
    stack.sweep()
    t.holds("nobody schedules or edits; classes are joined, reported, cancelled and told of",
            [mail for mail in stack.mails("student1@example.test") if "ancelled" in mail["subject"]])
    t.aws.deploy_sweeps(stack)
    t.paste(1)
    sweep = f"{STACK_NAME}-outbox-sweep"
    t.holds("mail is stopped", "TooManyRequests" in t.aws.refused("lambda", "invoke", "--function-name", sweep, "/dev/null"))
    t.paste(2)
    t.aws.ask("lambda", "invoke", "--function-name", sweep, "/dev/null")


def rolling_back(t):
    t.paste(1)
    for table in t.stack.setting("TABLE_NAME"), t.stack.setting("TOKENS_TABLE_NAME"):
        t.aws.make_table(table)
        t.aws.ask("dynamodb", "update-continuous-backups", "--table-name", table,
                  "--point-in-time-recovery-specification", "PointInTimeRecoveryEnabled=true")
    t.paste_with({"AWS_ENDPOINT_URL_DYNAMODB": t.aws.url}, 2)
    tables = t.aws.ask("dynamodb", "list-tables")["TableNames"]
    t.holds("both tables are restored beside the old ones", {"MainTable-restored", "TokensTable-restored"} <= set(tables))


def try_out(t):
    with t.under("A shell for it"):
        a_shell_for_it(t)
    with t.under("Going live"):
        the_pilot(t)
    with t.under("The kill switch"):
        the_kill_switch(t)
    with t.under("Rolling back"):
        rolling_back(t)
