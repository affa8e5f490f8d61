//! Failures while sending mails, and how the outbox handles them.

use jiff::SignedDuration;
use local::calls::Service;
use local::faults::{Fault, FaultKind};
use serde_json::{Value, json};

use crate::functions::DirectFunctions;
use crate::support::{invitees, patched, session_path};
use crate::world::{World, session_body};

pub(crate) const OUTBOX_QUEUE: &str = "OutboxQueue";
pub(crate) const OUTBOX_BULK_QUEUE: &str = "OutboxBulkQueue";
pub(crate) const OUTBOX_DLQ: &str = "OutboxDeadLetterQueue";
/// Longer than a message's visibility timeout and a mail claim.
pub(crate) const AFTER_CLAIM: SignedDuration = SignedDuration::from_secs(121);
pub(crate) const RUN_TIME: SignedDuration = SignedDuration::from_secs(58);

/// The outbox consists of two queues.
fn queues(queue: &str) -> Vec<&str> {
    match queue {
        OUTBOX_QUEUE => vec![OUTBOX_QUEUE, OUTBOX_BULK_QUEUE],
        other => vec![other],
    }
}

impl World {
    /// One SQS call of an operator.
    pub(crate) async fn sqs(&self, operation: &str, body: Value) -> Value {
        let target = format!("AmazonSQS.{operation}");
        let headers =
            [("x-amz-target", target.as_str()), ("content-type", "application/x-amz-json-1.0")];
        let body = body.to_string().into_bytes();
        self.send(http::Method::POST, "/local/aws", &headers, body).await.expect(200)
    }

    pub(crate) async fn put_message(&self, body: &str) {
        let url = self.stack.aws.queues().url(OUTBOX_QUEUE);
        self.sqs("SendMessage", json!({"QueueUrl": url, "MessageBody": body})).await;
    }

    /// The bodies of the messages in a queue, which stay visible. The outbox consists of two queues.
    pub(crate) async fn messages(&self, queue: &str) -> Vec<String> {
        let mut bodies = Vec::new();
        for queue in queues(queue) {
            let url = self.stack.aws.queues().url(queue);
            let receive = json!({"QueueUrl": url, "MaxNumberOfMessages": 10, "VisibilityTimeout": 0, "WaitTimeSeconds": 1});
            let response = self.sqs("ReceiveMessage", receive).await;
            let messages = response["Messages"].as_array().cloned().unwrap_or_default();
            let texts = messages.iter().map(|one| one["Body"].as_str().expect("a body").to_owned());
            bodies.extend(texts);
        }
        bodies
    }

    /// Redrives dead mails as `docs/how-to/operations.md` describes.
    pub(crate) async fn redrive(&self) {
        let arn = async |queue: &str| {
            let url = self.stack.aws.queues().url(queue);
            let asked = json!({"QueueUrl": url, "AttributeNames": ["QueueArn"]});
            let response = self.sqs("GetQueueAttributes", asked).await;
            response["Attributes"]["QueueArn"].clone()
        };
        let move_all =
            json!({"SourceArn": arn(OUTBOX_DLQ).await, "DestinationArn": arn(OUTBOX_QUEUE).await});
        self.sqs("StartMessageMoveTask", move_all).await;
    }

    pub(crate) fn depth(&self, queue: &str) -> usize {
        let depths = queues(queue).into_iter().map(|queue| {
            let depth = self.stack.aws.queues().depth(queue);
            usize::try_from(depth.visible + depth.in_flight + depth.delayed).expect("a number")
        });
        depths.sum()
    }

    fn fail_mail_service(&self, kind: FaultKind, times: u32) {
        self.inject_fault(Fault::new(Service::Ses, "SendEmail", kind).times(times));
    }

    /// Creates a session with so many invitees, to whom no mail was sent yet.
    pub(crate) async fn create_with_invitees(&self, count: usize) -> (String, Value) {
        let trainer = self.trainer().await;
        self.connect_zoom(&trainer, "app").await;
        let body = patched(
            session_body(50),
            json!({"audience_type": "invitees", "invitees": invitees(count)}),
        );
        let session = self.create(&trainer, &body).await.expect(201);
        (trainer, session)
    }

    /// The number of mails of a session per delivery status, without zeros.
    pub(crate) async fn mail_counts(&self, trainer: &str, session: &Value) -> Value {
        let mut counts = self.get(trainer, &session_path(session)).await.expect(200)["mail"].take();
        counts.as_object_mut().expect("counts").retain(|_, count| *count != 0);
        counts
    }

    /// The delivery statuses in the timeline, oldest first, each with its error or reason.
    pub(crate) async fn delivery_statuses(
        &self,
        trainer: &str,
        session: &Value,
    ) -> Vec<(String, Value)> {
        let entries =
            self.list_items(trainer, &format!("{}/timeline", session_path(session))).await;
        let mails = entries.iter().rev().filter_map(|entry| {
            let state = entry["kind"].as_str()?.strip_prefix("mail.")?.to_owned();
            let detail = &entry["detail"];
            let note = ["error", "reason"].iter().map(|name| &detail[name]);
            Some((
                state,
                note.into_iter().find(|note| !note.is_null()).cloned().unwrap_or(Value::Null),
            ))
        });
        mails.collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_is_dead_after_five_attempts_and_can_be_redriven() {
    let world = World::start().await;
    let (trainer, session) = world.create_with_invitees(1).await;
    let mut report = Value::Null;
    for (attempt, minutes) in [0, 1, 5, 30, 120].into_iter().enumerate() {
        if minutes > 0 {
            // The mail is not sent before its time.
            world.advance(SignedDuration::from_secs(minutes * 60 - 1));
            assert_eq!(world.run_outbox_sweep().await["claimed"], 0, "attempt {attempt}");
            world.advance(SignedDuration::from_secs(1));
        }
        world.fail_mail_service(FaultKind::Error, 1);
        report = world.run_outbox_sweep().await;
        let expected = if attempt < 4 { ("retried", "retrying") } else { ("dead", "dead") };
        assert_eq!(report[expected.0], 1, "{report}");
        assert_eq!(world.mail_counts(&trainer, &session).await, json!({expected.1: 1}));
    }
    assert_eq!(report["sent"], 0);
    assert_eq!((world.depth(OUTBOX_QUEUE), world.depth(OUTBOX_DLQ)), (0, 1));
    let dead = world.messages(OUTBOX_DLQ).await.remove(0);
    assert!(dead.contains("\"error\":\"InternalServiceErrorException\""), "{dead}");

    world.redrive().await;
    let report = world.run_outbox_sweep().await;
    assert_eq!(report["sent"], 1, "{report}");
    assert_eq!(world.mail_counts(&trainer, &session).await, json!({"sent": 1}));
    assert_eq!(world.sent_mails().await.len(), 1);
    assert_eq!((world.depth(OUTBOX_QUEUE), world.depth(OUTBOX_DLQ)), (0, 0));
    // The same message again sends no mail.
    world.put_message(&dead).await;
    world.advance(AFTER_CLAIM);
    world.run_outbox_sweep().await;
    assert_eq!(world.sent_mails().await.len(), 1);
    assert_eq!(world.depth(OUTBOX_QUEUE), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rejected_mail_fails_and_other_mails_are_sent() {
    let world = World::start().await;
    let (trainer, session) = world.create_with_invitees(5).await;
    world.fail_mail_service(FaultKind::Rejected, 1);
    let report = world.run_outbox_sweep().await;
    assert_eq!((&report["sent"], &report["failed"]), (&json!(4), &json!(1)), "{report}");
    assert_eq!(world.mail_counts(&trainer, &session).await, json!({"sent": 4, "failed": 1}));
    assert_eq!((world.depth(OUTBOX_QUEUE), world.depth(OUTBOX_DLQ)), (0, 0));
    world.advance(SignedDuration::from_secs(1));
    let delivery_statuses = world.delivery_statuses(&trainer, &session).await;
    assert!(
        delivery_statuses.contains(&("failed".to_owned(), json!("MessageRejected"))),
        "{delivery_statuses:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn per_second_limit_does_not_use_an_attempt() {
    let world = World::start().await;
    let (trainer, session) = world.create_with_invitees(3).await;
    world.fail_mail_service(FaultKind::Throttle, 3);
    let report = world.run_outbox_sweep().await;
    assert_eq!((&report["sent"], &report["retried"]), (&json!(0), &json!(0)), "{report}");
    for _ in 0..5 {
        // More often than the maximum number of attempts.
        world.advance(SignedDuration::from_secs(2));
        world.fail_mail_service(FaultKind::Throttle, 3);
        world.run_outbox_sweep().await;
    }
    assert_eq!(world.mail_counts(&trainer, &session).await, json!({"queued": 3}));
    world.advance(SignedDuration::from_secs(2));
    assert_eq!(world.run_outbox_sweep().await["sent"], 3);
    assert_eq!(world.mail_counts(&trainer, &session).await, json!({"sent": 3}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exhausted_daily_quota_or_paused_account_pauses_the_outbox() {
    for (kind, minutes, code) in
        [(FaultKind::Daily, 60, "daily_limit"), (FaultKind::Paused, 15, "SendingPausedException")]
    {
        let world = World::start().await;
        let (trainer, session) = world.create_with_invitees(12).await;
        world.fail_mail_service(kind, 1);
        let report = world.run_outbox_sweep().await;
        let retried = report["retried"].as_u64().expect("a number");
        assert!(retried == 1, "{report}");
        let sent = report["sent"].as_u64().expect("a number");
        world.advance(SignedDuration::from_mins(minutes - 1));
        world.stack.usage.reset();
        assert_eq!(world.run_outbox_sweep().await["claimed"], 0, "{kind:?}");
        assert_eq!(world.stack.usage.calls("outbox-sweep", Service::Sqs, "ReceiveMessage"), 0);
        world.advance(SignedDuration::from_mins(1));
        assert_eq!(world.run_outbox_sweep().await["sent"], 12 - sent, "{kind:?}");
        assert_eq!(world.mail_counts(&trainer, &session).await, json!({"sent": 12}));
        let delivery_statuses = world.delivery_statuses(&trainer, &session).await;
        assert!(
            delivery_statuses.contains(&("retrying".to_owned(), json!(code))),
            "{delivery_statuses:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zeptomail_sends_mails_and_its_errors_are_handled_like_ses() {
    let world = World::start().await;
    let (trainer, session) = world.create_with_invitees(3).await;
    let direct = DirectFunctions::new(&world, &[("MAIL_PROVIDER", "zeptomail")]);
    world.inject_fault(Fault::new(Service::Zeptomail, "SendEmail", FaultKind::Rejected));
    world.inject_fault(Fault::new(Service::Zeptomail, "SendEmail", FaultKind::Error));
    let report = direct.run_outbox_sweep(RUN_TIME).await.expect("the run succeeds");
    let of = |name: &str| report[name].as_u64();
    assert_eq!((of("sent"), of("failed"), of("retried")), (Some(1), Some(1), Some(1)), "{report}");
    world.advance(SignedDuration::from_mins(1));
    assert_eq!(direct.run_outbox_sweep(RUN_TIME).await.expect("the run succeeds")["sent"], 1);
    assert_eq!(world.mail_counts(&trainer, &session).await, json!({"sent": 2, "failed": 1}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retry_after_of_the_mail_service_pauses_sending() {
    for (retry_after_seconds, pause) in [(20, 20), (u32::MAX, 60)] {
        let world = World::start().await;
        let (trainer, session) = world.create_with_invitees(12).await;
        let direct = DirectFunctions::new(&world, &[("MAIL_PROVIDER", "zeptomail")]);
        let limit = Fault::new(Service::Zeptomail, "SendEmail", FaultKind::ThrottleSeconds);
        world.inject_fault(Fault {
            retry_after_seconds: Some(retry_after_seconds),
            ..limit.times(1000)
        });
        let short = SignedDuration::from_secs(22);
        // The clock advances, so that briefly hidden messages become visible during the run.
        let ticking = async {
            loop {
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                world.advance(SignedDuration::from_secs(1));
            }
        };
        let report = tokio::select! {
            report = direct.run_outbox_sweep(short) => report.expect("the run succeeds"),
            () = ticking => unreachable!("the clock never stops"),
        };
        assert_eq!((&report["sent"], &report["retried"]), (&json!(0), &json!(0)), "{report}");
        let asked = world.stack.usage.calls("outbox-sweep", Service::Zeptomail, "SendEmail");
        assert!(asked <= 12, "asked {asked} times");
        let received = world.stack.usage.calls("outbox-sweep", Service::Sqs, "ReceiveMessage");
        // Two of them found the wake-up and an empty queue. SQS may return fewer messages than it has.
        assert!(received <= 6, "received {received} times during the pause");
        world.stack.faults.clear();
        world.advance(SignedDuration::from_secs(pause - 3));
        assert_eq!(
            direct.run_outbox_sweep(short).await.expect("the run succeeds")["claimed"],
            0,
            "{retry_after_seconds}"
        );
        world.advance(SignedDuration::from_secs(3));
        assert_eq!(
            direct.run_outbox_sweep(RUN_TIME).await.expect("the run succeeds")["sent"],
            12,
            "{retry_after_seconds}"
        );
        assert_eq!(world.mail_counts(&trainer, &session).await, json!({"sent": 12}));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn irrelevant_mail_is_dropped_and_cancellation_is_sent() {
    let world = World::start().await;
    let (trainer, session) = world.create_with_invitees(2).await;
    world.fail_mail_service(FaultKind::Error, 2);
    assert_eq!(world.run_outbox_sweep().await["retried"], 2);
    world.cancel(&trainer, &session).await.expect(200);
    world.advance(SignedDuration::from_mins(1));
    let report = world.run_outbox_sweep().await;
    assert_eq!((&report["sent"], &report["dropped"]), (&json!(2), &json!(2)), "{report}");
    assert!(world.sent_mails().await.iter().all(|(kind, _)| kind == "cancelled"));
    assert_eq!(world.mail_counts(&trainer, &session).await, json!({"sent": 2, "dropped": 2}));
    world.advance(SignedDuration::from_secs(1));
    let delivery_statuses = world.delivery_statuses(&trainer, &session).await;
    assert!(
        delivery_statuses.contains(&("dropped".to_owned(), json!("class_cancelled"))),
        "{delivery_statuses:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redrive_after_session_drops_invitation_and_sends_cancellation() {
    for cancel in [false, true] {
        let world = World::start().await;
        let (trainer, session) = world.create_with_invitees(1).await;
        if cancel {
            world.run_outbox_sweep().await;
            world.cancel(&trainer, &session).await.expect(200);
        }
        for minutes in [0, 1, 5, 30, 120] {
            world.advance(SignedDuration::from_mins(minutes));
            world.fail_mail_service(FaultKind::Error, 1);
            world.run_outbox_sweep().await;
        }
        assert_eq!(world.depth(OUTBOX_DLQ), 1);
        world.advance(SignedDuration::from_hours(72));
        world.redrive().await;
        let report = world.run_outbox_sweep().await;
        let expected = if cancel { ("sent", "cancelled") } else { ("dropped", "scheduled") };
        assert_eq!(report[expected.0], 1, "{report}");
        let mailed = world.sent_mails().await;
        assert_eq!(mailed.iter().any(|(kind, _)| kind == "cancelled"), cancel, "{mailed:?}");
        assert_eq!(world.depth(OUTBOX_QUEUE) + world.depth(OUTBOX_DLQ), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unreadable_message_is_dead_and_other_mails_are_sent() {
    let world = World::start().await;
    world.create_with_invitees(3).await;
    for poison in ["hunter2", "{\"v\":9,\"type\":\"of-tomorrow\"}"] {
        world.put_message(poison).await;
    }
    let report = world.run_outbox_sweep().await;
    assert_eq!((&report["sent"], &report["dead"]), (&json!(3), &json!(0)), "{report}");
    for minutes in [1, 5, 30] {
        world.advance(SignedDuration::from_mins(minutes));
        assert_eq!(world.run_outbox_sweep().await["dead"], 0, "after {minutes} minutes");
    }
    world.advance(SignedDuration::from_mins(120));
    assert_eq!(world.run_outbox_sweep().await["dead"], 2);
    assert_eq!((world.depth(OUTBOX_QUEUE), world.depth(OUTBOX_DLQ)), (0, 2));
    assert!(world.messages(OUTBOX_DLQ).await.contains(&"hunter2".to_owned()), "as it was");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn duplicate_message_sends_no_second_mail() {
    let world = World::start().await;
    let (trainer, session) = world.create_with_invitees(1).await;
    world.fail_mail_service(FaultKind::Error, 1);
    world.run_outbox_sweep().await;
    world.advance(SignedDuration::from_mins(1));
    let message = world.messages(OUTBOX_QUEUE).await.remove(0);
    // Twice in one run, once more during the same claim, and once after it.
    world.put_message(&message).await;
    world.run_outbox_sweep().await;
    world.put_message(&message).await;
    world.run_outbox_sweep().await;
    assert_eq!(world.sent_mails().await.len(), 1);
    world.advance(AFTER_CLAIM);
    world.run_outbox_sweep().await;
    world.put_message(&message).await;
    world.run_outbox_sweep().await;
    world.advance(SignedDuration::from_secs(2));
    world.run_outbox_sweep().await;
    assert_eq!(world.sent_mails().await.len(), 1);
    assert_eq!((world.depth(OUTBOX_QUEUE), world.depth(OUTBOX_DLQ)), (0, 0));
    assert_eq!(world.mail_counts(&trainer, &session).await, json!({"sent": 1}));
}

#[tokio::test]
async fn missing_mail_configuration_delays_only_mails() {
    let missing: [&[(&'static str, &str)]; 5] = [
        &[("MAIL_FROM", "")],
        &[("BRAND_NAME", "")],
        &[("MAIL_PROVIDER", "pigeon")],
        &[("MAIL_RATE_PER_SECOND", "0")],
        &[("MAIL_PROVIDER", "zeptomail"), ("ZEPTOMAIL_API_URL", "")],
    ];
    let world = World::start().await;
    let (trainer, session) = world.create_with_invitees(2).await;
    let notification_count = async || {
        let student = world.student(1).await;
        world.list_items(&student, "/v1/me/notifications").await.len()
    };
    for (n, changes) in missing.into_iter().enumerate() {
        let log = crate::log::CapturedLog::start();
        world.stack.usage.reset();
        let report = DirectFunctions::new(&world, changes)
            .run_outbox_sweep(RUN_TIME)
            .await
            .expect("the run succeeds");
        let first = u64::from(n == 0);
        assert_eq!((&report["finished_events"], &report["claimed"]), (&json!(first), &json!(0)));
        let log_text = log.text();
        assert!(log_text.contains("outbox_sweep.not_configured"), "{log_text}");
        let variable = changes.last().expect("one").0;
        assert!(log_text.contains(&format!("\"name\":\"{variable}\"")), "{variable}: {log_text}");
        assert_eq!(
            notification_count().await,
            1,
            "the in-app notification was stored at once, and once"
        );
    }
    assert_eq!(world.depth(OUTBOX_QUEUE), 2 + 1, "both mails and the wake-up");
    assert_eq!(world.mail_counts(&trainer, &session).await, json!({"queued": 2}));
    assert_eq!(world.run_outbox_sweep().await["sent"], 2);
    assert_eq!((notification_count().await, world.depth(OUTBOX_QUEUE)), (1, 0));
    // A mail that is no longer relevant once mail is configured is dropped, and the status shows it.
    let invited = json!({"audience_type": "invitees", "invitees": invitees(1)});
    let soon = world.create(&trainer, &patched(session_body(1), invited)).await.expect(201);
    DirectFunctions::new(&world, missing[0])
        .run_outbox_sweep(RUN_TIME)
        .await
        .expect("the run succeeds");
    world.advance(SignedDuration::from_hours(4));
    let trainer = world.trainer().await;
    assert_eq!(world.run_outbox_sweep().await["dropped"], 1);
    assert_eq!(world.mail_counts(&trainer, &soon).await, json!({"dropped": 1}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overlapping_sweeps_stay_below_the_configured_mail_rate() {
    let world = World::start().await;
    world.create_with_invitees(30).await;
    let rate = [("MAIL_RATE_PER_SECOND", "15")];
    let (one, other) = (DirectFunctions::new(&world, &rate), DirectFunctions::new(&world, &rate));
    let timer = tokio::time::Instant::now();
    let (a, b) = futures::join!(one.run_outbox_sweep(RUN_TIME), other.run_outbox_sweep(RUN_TIME));
    let elapsed = timer.elapsed();
    let sent = |report: &Value| report["sent"].as_u64().expect("a number");
    let (a, b) = (a.expect("the run succeeds"), b.expect("the run succeeds"));
    world.advance(AFTER_CLAIM);
    let rest = world.run_outbox_sweep().await;
    assert_eq!(sent(&a) + sent(&b) + sent(&rest), 30, "{a} {b} {rest}");
    assert_eq!(world.sent_mails().await.len(), 30);
    let minimum_millis = (sent(&a) + sent(&b)).saturating_sub(1) * 1000 / 15;
    assert!(elapsed.as_millis() >= u128::from(minimum_millis), "{elapsed:?} for {a} and {b}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_fan_out_without_remaining_time_fails_the_run() {
    let world = World::start().await;
    let (trainer, session) = world.create_with_invitees(2).await;
    world.run_outbox_sweep().await;
    world.create_with_invitees(2).await;
    world.cancel(&trainer, &session).await.expect(200);
    // Reading the recipients of the first event uses up the time for fan-out and fails.
    world.inject_fault(
        Fault::new(Service::Dynamodb, "Query", FaultKind::Timeout)
            .for_function("outbox-sweep")
            .after(1)
            .times(3),
    );
    let direct = DirectFunctions::new(&world, &[]);
    direct.run_outbox_sweep(SignedDuration::from_millis(28_500)).await.expect_err("fan-out failed");
    world.stack.faults.clear();
    world.advance(AFTER_CLAIM);
    world.run_outbox_sweep().await;
    assert_eq!(world.sent_mails().await.len(), 6, "two invitations twice, and two cancellations");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erasing_a_user_removes_delivery_records_that_name_them() {
    let world = World::start().await;
    let (trainer, session) = world.create_with_invitees(2).await;
    world.run_outbox_sweep().await;
    world.advance(SignedDuration::from_secs(1));
    let deliveries_naming_student = async || {
        let timeline =
            world.list_items(&trainer, &format!("{}/timeline", session_path(&session))).await;
        let of = |entry: &&Value| entry["detail"]["recipient"] == "student1@example.test";
        timeline.iter().filter(of).count()
    };
    assert_eq!(deliveries_naming_student().await, 2, "queued and sent");
    let service = world.service().await;
    world.put_user("student-1", json!({"email": "student1@example.test", "role": "student"})).await;
    world.delete(&service, "/v1/directory/users/student-1").await.expect(204);
    assert_eq!(deliveries_naming_student().await, 0);
    let items = world.items(&format!("SESSION#{}", session["id"].as_str().expect("an id"))).await;
    assert!(!json!(items).to_string().contains("student1@"), "{items:?}");
    assert_eq!(
        world.mail_counts(&trainer, &session).await,
        json!({"sent": 2}),
        "the mail is still counted"
    );
}
