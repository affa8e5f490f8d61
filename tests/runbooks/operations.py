"""docs/operations.md: what to do when an alarm rings, and where to look when a class goes wrong."""

import json
import re

from stack import until

PAGE = "docs/operations.md"
LEFT = {
    "Webhook is slow": "time and memory are Lambda's; what a call costs is counted by tests/bench.sh",
    "Webhook is throttled": "the concurrency is Lambda's",
    "A function crashes": "the lines that tell of it are Lambda's",
}
PROVEN = {
    "Work that was given up": "what_cannot_be_repaired_keeps_nobody_waiting_and_is_given_up_one_day",
}


def a_shell_for_it(t):
    """The variables that every page takes from here."""
    t.aws.deploy(t.stack)
    with t.borrowing(PAGE, "A shell for it"):
        t.paste()
    for output, name in {"API": "AUTH_ISSUER", "QUEUE": "OUTBOX_QUEUE_URL", "DEAD": "OUTBOX_DLQ_URL",
                         "TABLE": "TABLE_NAME", "TOKENS": "TOKENS_TABLE_NAME", "SECRET": "CONFIG_SECRET_ID"}.items():
        t.same(t.shell.variable(output), t.stack.setting(name))
    t.sets(SERVICE=t.stack.token("platform"), TOKEN=t.stack.token("trainer-1"))


def one_class_one_request(t):
    """The query for Logs Insights, on the stack's own log: a class's story, and that of a request that failed."""
    query = next(block.text for block in t.page.blocks if block.heading == t.heading)
    fields = re.findall(r"([a-z_.]+) = ", query)
    t.same(fields, ["session_id", "span.session_id", "span.request_id"])
    session = t.stack.schedule("With a story", minutes=3 * 24 * 60)["id"]
    t.stack.sweep()
    refused = t.stack.join(session, "student-1")

    def found(wanted):
        return {line["event"] for line in t.stack.log()
                if wanted in (line.get("session_id"), *line.get("span", {}).values())}

    story = found(session)
    t.holds(f"of a class: {', '.join(sorted(story))}",
            {"zoom.meeting_created", "session.created", "email.sent", "request.refused"} <= story)
    t.same(found(refused.body["request_id"]), {"request.refused"})


def dead_letters(t):
    """A mail that the service cannot take is tried five times, given up, and sent once when it is brought back."""
    class_ = t.stack.schedule(minutes=3 * 24 * 60, audience_type="invitees", course_id=None,
                              invitees=[{"email": "guest@example.test"}])
    t.stack.fault("ses", "SendEmail", "error", times=50)
    for _ in range(8):
        t.stack.advance("2h10m")
    t.stack.no_more_faults()
    before = len(t.stack.mails("guest@example.test"))
    said = json.loads(t.paste(0))["Messages"]
    letter = json.loads(said[0]["Body"])
    t.same((letter["about"]["session"], letter["kind"], letter["to"]), (class_["id"], "scheduled", "guest@example.test"))
    t.same(t.logged("email.dead")[0]["code"], letter["error"])
    t.holds("letter, log and timeline name what the mail service said",
            letter["error"] in json.dumps(t.stack.timeline(class_["id"])))
    # Those that were looked at are seen again after half a minute.
    t.stack.advance("31s")
    t.paste(1)
    until("the letter is sent", lambda: t.stack.sweep() and t.stack.mails("guest@example.test"))
    t.stack.sweep()
    t.same((before, len(t.stack.mails("guest@example.test"))), (0, 1))


def events_not_taken_in(t):
    """What the platform said and could not be understood lies in a queue of its own."""
    queue = t.shell.variable("DIRECTORY_DEAD")
    t.shell.run(f"aws sqs send-message --queue-url '{queue}' --message-body '{{\"detail-type\":\"CourseUpserted\"}}'")
    t.holds("the event is shown as it was sent, and thrown away when it was said again", "CourseUpserted" in t.paste())
    t.stack.advance("31s")
    t.same(json.loads(t.shell.run(f"aws sqs receive-message --queue-url '{queue}'") or "{}"), {})


def mail_waits(t):
    """What is not sent waits and says why: for its settings, for the service's next day, for an account that is paused."""
    stack = t.stack
    stack.start("MAIL_FROM=")
    since, before = stack.lines(), len(stack.mails())
    stack.schedule("For later", minutes=3 * 24 * 60)
    stack.sweep()
    t.same(t.logged("email_sweep.not_configured", since)[0]["name"], "MAIL_FROM")
    stack.start()
    for kind in ("daily", "paused"):
        since = stack.lines()
        stack.fault("ses", "SendEmail", kind, times=50)
        stack.sweep()
        stack.no_more_faults()
        pausing = t.logged("email_sweep.pausing", since)[0]
        t.same(len(stack.mails()), before)
        t.holds(f"nothing is sent while {pausing['code']}, and all of it after {pausing['until']}", pausing["until"])
        # Moving the clock also runs what is due.
        stack.advance("61m")
        t.same(len(stack.mails()), before + 5)
        before += 5
        stack.schedule("For later still", minutes=3 * 24 * 60)


def a_sweep_did_not_run(t):
    """The sweeps as Lambda runs them, on what waits in the local stack."""
    t.aws.deploy_sweeps(t.stack)
    t.stack.schedule("Waiting", minutes=3 * 24 * 60)
    before = len(t.stack.mails())
    said = t.paste()
    t.holds("both sweeps say what they did", '"reminded":' in said and '"announced":' in said)
    t.holds("what waited is sent", len(t.stack.mails()) > before)


def webhook_fails(t):
    """Without the field that events are checked with, Zoom is answered 503; it sends them again, and nothing is lost."""
    class_ = t.stack.schedule("Behind time", minutes=5)
    since = t.stack.lines()
    with t.secret(zoom_webhook_secret_token=None):
        t.stack.meeting(class_, "start")
        status = t.stack.ask("GET", f"/v1/sessions/{class_['id']}", "trainer-1")["status"]
    t.holds("the log names the field", "zoom_webhook_secret_token" in t.logged("request.failed", since)[0]["error"])
    t.stack.advance("20m")
    late = t.stack.ask("GET", f"/v1/sessions/{class_['id']}", "trainer-1")["status"]
    t.same((status, late), ("scheduled", "live"))
    t.stack.meeting(class_, "end")


def zoom_fails(t):
    """A day that is spent, a Zoom that is silent: what is said, and that the same save again is one class."""
    key, starts_at = {"idempotency-key": "said-again"}, t.stack.in_minutes(600)
    with t.under("Zoom limits us"):
        t.stack.fault("zoom", "create_meeting", "daily")
        limited = t.stack.schedule("Limited")
        t.says(limited, "429 zoom_rate_limited")
        t.holds(f"to be tried again after {limited.headers['retry-after']} s", int(limited.headers["retry-after"]) > 60)
    with t.under("Zoom does not answer"):
        class_ = t.stack.schedule("Meanwhile", minutes=5)
        t.stack.fault("zoom", "any", "error", times=100)
        t.says(t.stack.join(class_["id"], "trainer-1"), "502 zoom_unavailable")
        t.holds("students come in, who need nothing of Zoom", t.stack.join(class_["id"], "student-1").status == 200)
        t.says(t.stack.schedule("Repeated", starts_at=starts_at, headers=key), "502 zoom_unavailable")
    with t.under("The API answers 5xx"):
        made = [t.stack.schedule("Repeated", starts_at=starts_at, headers=key) for _ in range(2)]
        t.holds("a save made again with its key is one class", made[0]["id"] == made[1]["id"])
    with t.under("Trainers must connect again"):
        since = t.stack.lines()
        t.stack.ask("POST", "/zoom/sim/expire-tokens")
        t.stack.fault("zoom", "token", "invalid_grant")
        t.says(t.stack.schedule("After a changed password"), "409 reauth_required")
        t.logged("zoom.reauth_required", since)
        t.stack.sweep()
        told = t.stack.mails("trainer@example.test")
        t.holds("the trainer is told", [mail for mail in told if "again" in mail["subject"]])
        t.stack.connect()


def when_a_class_goes_wrong(t):
    stack = t.stack
    class_ = stack.schedule("Fractions", minutes=60)
    session = class_["id"]
    since = stack.lines()
    codes = {"student-1": "409 too_early", "student-9": "404 not_found"}
    with t.row('"I cannot get in" (student)'):
        for who, said in codes.items():
            t.says(stack.join(session, who), said)
        stack.start("JOIN_MODE=signature_obf", "ZOOM_APP_ACCOUNT_ID=")
        stack.connect(form="decision=allow&account=other")
        elsewhere = stack.schedule("Elsewhere", minutes=5)
        t.says(stack.join(elsewhere["id"], "student-1"), "409 waiting_for_host")
        stack.meeting(elsewhere, "start")
        stack.meeting(elsewhere, "end")
        t.says(stack.join(elsewhere["id"], "student-1"), "409 session_ended")
        refused = [line["code"] for line in t.logged("request.refused", since)]
        t.same(refused, ["too_early", "not_found", "waiting_for_host", "session_ended"])
        stack.start()
    with t.row('"I cannot start" (trainer)'):
        stack.connect()
        own = stack.schedule("To start", minutes=5)
        lacking = "decision=allow&scopes=user:read:user+meeting:write:meeting"
        stack.connect(form=lacking)
        t.says(stack.join(own["id"], "trainer-1"), "409 missing_scopes")
        stack.connect()
        stack.ask("POST", "/zoom/sim/expire-tokens")
        stack.fault("zoom", "token", "invalid_grant")
        t.says(stack.join(own["id"], "trainer-1"), "409 reauth_required")
        stack.connect()
        stack.ask("DELETE", "/v1/zoom/connection", "trainer-1")
        t.says(stack.join(own["id"], "trainer-1"), "409 zoom_not_connected")
        stack.connect()
    with t.row('"It says it has not begun"'):
        stack.ask("POST", "/zoom/sim/knobs", body={"webhooks": {"drop": 1}})
        stack.meeting(own, "start")
        t.same([entry for entry in stack.timeline(own["id"]) if "started" in json.dumps(entry)], [])
        stack.meeting(own, "end")
    with t.row('"I got no mail"'):
        quiet = {"live_session": {"in_app": True, "email": False}}
        stack.ask("PUT", "/v1/me/notification-preferences", "student-2", quiet)
        told = stack.schedule("Told", minutes=3 * 24 * 60)

        def fates():
            entries = [entry for entry in stack.timeline(told["id"]) if entry["kind"].startswith("mail.")]
            # The newest of each comes first, and is what became of it.
            return {entry["detail"]["recipient"]: entry["kind"] for entry in reversed(entries)}

        # Where the schedule's own run is at it, this one leaves it to that.
        until("the mails are sent", lambda: stack.sweep() and set(fates().values()) == {"mail.sent"})
        t.same((fates().get("student-1"), fates().get("student-2")), ("mail.sent", None))
    with t.row('"I was there, and the report says no"'):
        held = stack.schedule("Held", minutes=5)
        stack.meeting(held, "start")
        stack.meeting(held, "join", {"name": "Somebody's tablet"})
        stack.advance("50m")
        stack.meeting(held, "end")
        report = stack.ask("GET", f"/v1/sessions/{held['id']}/attendance", "trainer-1")
        row = next(row for row in report["attendees"] if row["name"] == "Somebody's tablet")
        t.same((row.get("user_id"), "needs_review" in row["flags"]), (None, True))
    with t.row('"The class is there twice"'):
        starts_at = stack.in_minutes(600)
        ids = [stack.schedule("Twice", starts_at=starts_at, headers={"idempotency-key": key})["id"] for key in "aab"]
        t.same((ids[0] == ids[1], ids[1] == ids[2]), (True, False))
    t.sets(SESSION=told["id"], TOKEN=stack.token("trainer-1"))
    t.holds("the timeline tells what became of every mail", '"kind":"mail.sent"' in t.paste())


def try_out(t):
    with t.under("A shell for it"):
        a_shell_for_it(t)
    t.stack.connect()
    with t.under("One class, one request"):
        one_class_one_request(t)
    # These run by the machine's clock, and so before the stack's is moved.
    with t.under("A sweep did not run"):
        a_sweep_did_not_run(t)
    with t.under("Dead letters"):
        dead_letters(t)
    with t.under("Events of the host platform that were not taken in"):
        events_not_taken_in(t)
    with t.under("Mail waits"):
        mail_waits(t)
    with t.under("Webhook fails"):
        webhook_fails(t)
    with t.under("A function is throttled"):
        t.holds("the limit is told", int(t.paste()) > 0)
    zoom_fails(t)
    with t.under("When a class goes wrong"):
        when_a_class_goes_wrong(t)
