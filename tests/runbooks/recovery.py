"""docs/how-to/recovery.md: the kill switch, stopping mail, rolling back, and restoring tables."""

import json
from datetime import datetime, timezone

from aws import ALIAS, STACK_NAME, SWEEPS
from operations import prepare_shell

PAGE = "docs/how-to/recovery.md"
NOT_TRIED = {
    'aws cloudformation cancel-update-stack --stack-name "$STACK"': "only CloudFormation runs deployments of several minutes",
    "infra/release && sam deploy --config-env prod": "tests/real-tools.sh deploys, switches to restored tables, and back",
}
COVERED_BY_TESTS = {}


def kill_switch(t):
    stack = t.stack
    stack.connect()
    joined, cancelled = (stack.schedule(title, minutes=5) for title in ("To join", "To cancel"))
    stack.sweep()
    t.paste()
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


def stop_mail(t):
    t.aws.deploy_functions(t.stack, *SWEEPS)
    t.paste(0)
    sweep = f"{STACK_NAME}-outbox-sweep"
    t.check("mail is stopped", "TooManyRequests" in t.aws.call_failing("lambda", "invoke", "--function-name", sweep, "/dev/null"))
    t.paste(1)
    t.aws.call("lambda", "invoke", "--function-name", sweep, "/dev/null")


def roll_back(t):
    """A version that fails at start is deployed, and the alias is moved back."""
    t.aws.deploy_functions(t.stack, *SWEEPS)
    t.check_equal(sorted(t.shell.run("functions").split()), sorted(f"{STACK_NAME}-{sweep}" for sweep in SWEEPS))

    def failing():
        invoke = [t.aws.call("lambda", "invoke", "--function-name", f"{STACK_NAME}-{sweep}:{ALIAS}", "/dev/null") for sweep in SWEEPS]
        return ["FunctionError" in one for one in invoke]

    t.paste(1)
    before = datetime.now(timezone.utc).isoformat()
    t.check_equal([t.aws.publish(sweep, TABLE_NAME="") for sweep in SWEEPS], ["2" for _ in SWEEPS])
    t.check_equal(failing(), [True for _ in SWEEPS])
    t.set_variables(BEFORE=before)
    moved = [line.split()[-1] for line in t.paste(2).splitlines()]
    t.check_equal((moved, failing()), (["1" for _ in SWEEPS], [False for _ in SWEEPS]))
    t.check("all functions are back at the previous version", True)
    t.paste(3)


def restore_tables(t):
    """Restores both tables in the emulator, with items of the local stack."""
    emulator = {"AWS_ENDPOINT_URL_DYNAMODB": t.aws.url}
    session = t.stack.schedule("Restored", minutes=3 * 24 * 60)["id"]
    t.set_variables(SESSION=session)
    items = {}
    for table in t.stack.setting("TABLE_NAME"), t.stack.setting("TOKENS_TABLE_NAME"):
        items[table] = json.loads(t.shell.run(f"aws dynamodb scan --output json --table-name {table}"))["Items"]
        t.aws.make_table(table)
        puts = [{"PutRequest": {"Item": item}} for item in items[table]]
        for first in range(0, len(puts), 25):
            t.aws.call("dynamodb", "batch-write-item", "--request-items", json.dumps({table: puts[first:first + 25]}))
        t.aws.call("dynamodb", "update-continuous-backups", "--table-name", table,
                   "--point-in-time-recovery-specification", "PointInTimeRecoveryEnabled=true")
    t.paste_with(emulator, 0)
    # Damage after the restore does not matter.
    t.aws.call("dynamodb", "delete-item", "--table-name", "MainTable", "--key",
               json.dumps({name: items["MainTable"][0][name] for name in ("pk", "sk")}))
    for _ in range(2):
        t.paste_with(emulator, 1)
    for table, originals in items.items():
        restored = f"{table}-restored"
        description = t.aws.call("dynamodb", "describe-table", "--table-name", restored)["Table"]
        t.check("the restored table is protected", description["DeletionProtectionEnabled"])
        ttl = t.aws.call("dynamodb", "describe-time-to-live", "--table-name", restored)["TimeToLiveDescription"]
        t.check_equal((ttl["TimeToLiveStatus"], ttl["AttributeName"]), ("ENABLED", "expires_at"))
        backups = t.aws.call("dynamodb", "describe-continuous-backups", "--table-name", restored)["ContinuousBackupsDescription"]
        t.check_equal(backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"], "ENABLED")
        tags = t.aws.call("dynamodb", "list-tags-of-resource", "--resource-arn", description["TableArn"])["Tags"]
        t.check_equal(tags, [{"Key": "team", "Value": "classes"}])
        found = t.aws.call("dynamodb", "scan", "--table-name", restored)["Items"]
        t.check_equal(sorted(map(json.dumps, found)), sorted(map(json.dumps, originals)))
    t.check("both tables have all items, and the settings that a restore leaves out", True)
    t.check("the class can be read", session in t.paste_with(emulator, 2))
    t.check_equal(t.paste(3).split(), ['"Rollout=AllAtOnce",', '"RestoredMainTable=MainTable-restored",',
                                       '"RestoredTokensTable=TokensTable-restored",'])


def run(t):
    with t.section("A shell for it"):
        prepare_shell(t)
    with t.section("The kill switch"):
        kill_switch(t)
    # The request replaces all settings.
    t.stack.request("PUT", "/v1/directory/settings", "platform", {"live_classes_enabled": True})
    with t.section("Stop mail"):
        stop_mail(t)
    with t.section("Roll back"):
        roll_back(t)
    with t.section("Restore tables"):
        restore_tables(t)
