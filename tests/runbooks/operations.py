"""docs/how-to/operations.md: the alarms."""

import json

from aws import SWEEPS
from stack import wait_until

PAGE = "docs/how-to/operations.md"
# More than SQS returns at once (10).
MESSAGES = 12
NOT_TRIED = {
    "Webhook is slow": "time and memory depend on Lambda, and tests/bench.sh measures the cost of a call",
    "Webhook is throttled": "only Lambda limits concurrency",
    "A function crashes": "only Lambda logs crashes",
    "The API answers 4xx": "its metrics come from API Gateway, and a test checks the alarm",
    "The API is slow": "its metrics come from API Gateway, and a test checks the alarm",
    "A table is throttled": "its metrics come from DynamoDB, and a test checks the alarm",
}
COVERED_BY_TESTS = {
    "Zoom refuses the platform's account": "refused_account_credentials_concern_the_operator_alone",
    "Abandoned work": "failing_repair_does_not_block_others_and_is_finally_abandoned",
    "Unreadable items": "unreadable_items_of_a_session_do_not_affect_others",
    "Reminders are dropped": "late_reminders_are_counted_as_dropped",
    "Events are not delivered": "full_runs_and_overdue_events_are_counted",
    "The archive is late": "late_archives_are_counted",
    "Mails come back": "returned_mails_are_counted",
    "A sweep is full": "full_runs_and_overdue_events_are_counted",
    "Webhook refuses events": "invalid_signature_is_refused_and_counted_at_both_addresses",
    "Webhook is silent": "sessions_without_events_are_counted_half_an_hour_after_their_start",
    "A host cannot be activated": "every_answer_of_zoom_becomes_a_state_with_a_reason",
    "Meetings are missing": "missing_meeting_is_reported_once_a_day_before",
    "Licences are short": "shortage_is_reported_a_day_ahead",
    "The secret is stale": "stale_secret_is_counted_after_15_minutes",
}


def prepare_shell(t):
    """Sets up the shell variables that all pages use."""
    t.aws.deploy(t.stack)
    with t.section_of(PAGE, "A shell for it"):
        t.paste()
    for output, name in {"API": "AUTH_ISSUER", "QUEUE": "OUTBOX_QUEUE_URL", "DEAD": "OUTBOX_DLQ_URL",
                         "TABLE": "TABLE_NAME", "TOKENS": "TOKENS_TABLE_NAME", "SECRET": "CONFIG_SECRET_ID"}.items():
        t.check_equal(t.shell.variable(output), t.stack.setting(name))
    t.set_variables(SERVICE=t.stack.token("platform"), TOKEN=t.stack.token("trainer-1"))


def dead_letters(t):
    """Mails that fail five times are dead-lettered, and are sent once after they were moved back."""
    guests = [f"guest-{number}@example.test" for number in range(MESSAGES)]
    session = t.stack.schedule(minutes=3 * 24 * 60, audience_type="invitees", course_id=None,
                              invitees=[{"email": guest} for guest in guests])
    t.stack.fault("ses", "SendEmail", "error", times=50 * MESSAGES)
    for _ in range(8):
        t.stack.advance("2h10m")
    t.stack.clear_faults()

    def sent():
        return [len(t.stack.mails(guest)) for guest in guests]

    t.check_equal(sent(), [0] * MESSAGES)
    output = t.paste(0).splitlines()
    t.check_equal(output[0].split(), [str(MESSAGES), "0"])
    count, kind, error = output[1].split("\t")[0].split() + [output[1].split("\t")[1]]
    t.check_equal((len(output), int(count), kind), (2, MESSAGES, "scheduled"))
    t.check_equal(t.find_log_lines("mail.dead_lettered")[0]["code"], error)
    t.check("message, log and timeline contain the error of the mail service",
            error in json.dumps(t.stack.timeline(session["id"])))
    # Counted messages become visible again after 60 s.
    t.stack.advance("61s")
    t.paste(1)
    wait_until("the mails are sent", lambda: t.stack.sweep() and all(sent()))
    t.stack.sweep()
    t.check_equal(sent(), [1] * MESSAGES)


def failed_platform_events(t):
    """Invalid events of the platform have a dead-letter queue of their own. Each is sent again and then deleted."""
    t.aws.deploy_functions(t.stack, "directory")
    queue = t.shell.variable("DIRECTORY_DEAD")
    events = [{"id": f"event-{number}", "detail-type": "CourseUpserted", "time": f"2026-11-21T09:{59 - number:02}:00Z",
               "detail": {"id": "redriven" if number < 2 else f"redriven-{number}", "title": f"Version {number}",
                          "trainer_id": "trainer-1"}} for number in range(MESSAGES)]
    refused = {**events[0], "detail": {**events[0]["detail"], "title": ""}}
    for number, event in enumerate([*events, refused]):
        (t.shell.pasted.parent / f"dead-{number}.json").write_text(json.dumps(event))
        t.shell.run(f"aws sqs send-message --queue-url '{queue}' --message-body file://dead-{number}.json")
    listed = t.paste(0).splitlines()
    t.check_equal((listed[0].split(), int(listed[1])), ([str(MESSAGES + 1), "0"], MESSAGES + 1))
    times = [json.loads(line)["time"] for line in listed[2:]]
    t.check("the events are listed, oldest first", len(times) == MESSAGES + 1 and times == sorted(times))
    output = t.paste(1)
    t.check("the refused event is shown with its reason", '"title":""' in output and "errorMessage" in output)
    t.check_equal([line.split() for line in output.splitlines()[-2:]],
                  [["sent", str(MESSAGES), "of", str(MESSAGES + 1)], ["0", "1"]])
    tables = t.tables()
    t.check("every accepted event is in the directory",
            all(f"Version {number}" in tables for number in range(MESSAGES) if number != 1))
    # Both events of this course were sent in the order of their times.
    t.check("the newer event of a course wins", "Version 1\"" not in tables)


def mail_waits(t):
    """Mails stay queued with a reason: missing settings, an exhausted daily quota, or a paused account."""
    stack = t.stack
    stack.start("MAIL_FROM=")
    since, before = stack.count_log_lines(), len(stack.mails())
    stack.schedule("For later", minutes=3 * 24 * 60)
    stack.sweep()
    t.check_equal(t.find_log_lines("outbox_sweep.not_configured", since)[0]["name"], "MAIL_FROM")
    stack.start()
    for kind in ("daily", "paused"):
        since = stack.count_log_lines()
        stack.fault("ses", "SendEmail", kind, times=50)
        stack.sweep()
        stack.clear_faults()
        pausing = t.find_log_lines("outbox.paused", since)[0]
        t.check_equal(len(stack.mails()), before)
        t.check(f"no mail is sent during {pausing['code']} until {pausing['until']}", pausing["until"])
        # Moving the clock also runs due sweeps.
        stack.advance("61m")
        t.check_equal(len(stack.mails()), before + 5)
        before += 5
        stack.schedule("For later still", minutes=3 * 24 * 60)


def sweep_did_not_run(t):
    """Runs the sweeps on the emulated Lambda, with queued work of the local stack."""
    t.aws.deploy_functions(t.stack, *SWEEPS)
    t.stack.schedule("Waiting", minutes=3 * 24 * 60)
    before = len(t.stack.mails())
    output = t.paste()
    t.check("all sweeps report their work", '"postponed":' in output and '"reminded":' in output and '"finished_events":' in output)
    t.check("the queued mails are sent", len(t.stack.mails()) > before)


def webhook_fails(t):
    """Without the secret token, the webhook responds with 503. Zoom sends its events again, and none is lost."""
    session = t.stack.schedule("Behind time", minutes=5)
    since = t.stack.count_log_lines()
    with t.secret(zoom_webhook_secret_token=None):
        t.stack.meeting(session, "start")
        status = t.stack.request("GET", f"/v1/sessions/{session['id']}", "trainer-1")["status"]
    t.check("the log names the field", "zoom_webhook_secret_token" in t.find_log_lines("request.failed", since)[0]["error"])
    t.stack.advance("20m")
    late = t.stack.request("GET", f"/v1/sessions/{session['id']}", "trainer-1")["status"]
    t.check_equal((status, late), ("scheduled", "live"))
    t.stack.meeting(session, "end")


def zoom_fails(t):
    """Zoom's daily limit and an unavailable Zoom: error codes, and a retry that creates only one session."""
    key, starts_at = {"idempotency-key": "same-key"}, t.stack.in_minutes(600)
    with t.section("Zoom limits us"):
        t.stack.fault("zoom", "create_meeting", "daily")
        limited = t.stack.schedule("Limited")
        t.check_response(limited, "429 zoom_rate_limited")
        t.check(f"retry after {limited.headers['retry-after']} s", int(limited.headers["retry-after"]) > 60)
    with t.section("Zoom does not answer"):
        session = t.stack.schedule("Meanwhile", minutes=5)
        t.stack.fault("zoom", "any", "error", times=100)
        t.check_response(t.stack.join(session["id"], "trainer-1"), "502 zoom_unavailable")
        t.check("students can join because this needs no call to Zoom", t.stack.join(session["id"], "student-1").status == 200)
        t.check_response(t.stack.schedule("Repeated", starts_at=starts_at, headers=key), "502 zoom_unavailable")
    with t.section("Meetings are not created"):
        failed = [line["code"] for line in t.find_log_lines("request.failed", 0) if line.get("route") == "/v1/sessions"]
        t.check_equal("zoom_unavailable" in failed, True)
    with t.section("The API answers 5xx"):
        created = [t.stack.schedule("Repeated", starts_at=starts_at, headers=key) for _ in range(2)]
        t.check("a retry with the same key returns the same session", created[0]["id"] == created[1]["id"])
    with t.section("Trainers must connect again"):
        since = t.stack.count_log_lines()
        t.stack.request("POST", "/zoom/sim/expire-tokens")
        t.stack.fault("zoom", "token", "invalid_grant")
        t.check_response(t.stack.schedule("After a changed password"), "409 reauth_required")
        t.find_log_lines("zoom.reauth_required", since)
        t.stack.sweep()
        mails = t.stack.mails("trainer@example.test")
        t.check("the trainer gets a mail", [mail for mail in mails if "again" in mail["subject"]])
        t.stack.connect()


def joining_is_slow(t):
    """A page reports how long joining took. A slow join is logged with its session."""
    session, since = t.stack.schedule("Slow to join", minutes=5), t.stack.count_log_lines()
    for milliseconds in (1830, 6000):
        report = t.stack.request("POST", f"/v1/sessions/{session['id']}/join-report", "student-1", {"milliseconds": milliseconds})
        t.check_equal(report.status, 204)
    slow = t.find_log_lines("join.slow", since)
    t.check_equal([(line["milliseconds"], line["span"]["session_id"]) for line in slow], [(6000, session["id"])])


def attendance_is_inaccurate(t):
    """Zoom sends no event of a class. Its list of participants is compared after the class."""
    session, since = t.stack.schedule("Without events", minutes=30), t.stack.count_log_lines()
    t.stack.advance("25m")
    t.stack.fault("webhook", "*", "drop", times=50)
    t.stack.meeting(session, "start")
    t.stack.meeting(session, "join", {"name": "Ada", "email": "student1@example.test"})
    t.stack.advance("60m")
    t.stack.meeting(session, "end")
    t.stack.clear_faults()
    # Half an hour and an hour after the planned end.
    for _ in range(2):
        t.stack.sweep("reminder-sweep")
        t.stack.advance("45m")
        t.stack.sweep("reconcile-sweep")
    compared = t.find_log_lines("attendance.compared", since)
    found = [line["accuracy"] for line in compared if line["session_id"] == session["id"]]
    t.check_equal(found, ["0.0"])


def run(t):
    with t.section("A shell for it"):
        prepare_shell(t)
    t.stack.connect()
    # The emulated Lambda uses the machine's clock, so this comes before the stack's clock is moved.
    with t.section("A sweep did not run"):
        sweep_did_not_run(t)
    with t.section("Dead letters"):
        dead_letters(t)
    with t.section("Platform events that failed"):
        failed_platform_events(t)
    with t.section("Mail waits"):
        mail_waits(t)
    with t.section("Webhook fails"):
        webhook_fails(t)
    with t.section("A function is throttled"):
        t.check("the limit is shown", int(t.paste()) > 0)
    zoom_fails(t)
    with t.section("Joining is slow"):
        joining_is_slow(t)
    with t.section("Attendance is inaccurate"):
        attendance_is_inaccurate(t)
