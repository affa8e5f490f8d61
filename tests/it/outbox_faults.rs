//! What goes wrong with a mail, and what becomes of it.

use jiff::SignedDuration;
use local::calls::Service;
use local::faults::{Fault, Kind};
use serde_json::{Value, json};

use crate::direct::Direct;
use crate::look::{invitees, path_of, with};
use crate::world::{World, class};

pub(crate) const OUTBOX: &str = "OutboxQueue";
pub(crate) const DEAD: &str = "OutboxDeadLetterQueue";
/// Longer than a message stays hidden and than a claim lasts.
pub(crate) const HIDDEN: SignedDuration = SignedDuration::from_secs(121);
pub(crate) const RUN: SignedDuration = SignedDuration::from_secs(58);

impl World {
    /// One call to SQS, as no function makes it.
    pub(crate) async fn sqs(&self, operation: &str, body: Value) -> Value {
        let target = format!("AmazonSQS.{operation}");
        let headers =
            [("x-amz-target", target.as_str()), ("content-type", "application/x-amz-json-1.0")];
        let body = body.to_string().into_bytes();
        self.send(http::Method::POST, "/local/aws", &headers, body).await.expect(200)
    }

    pub(crate) async fn put_message(&self, body: &str) {
        let url = self.stack.aws.queues().url(OUTBOX);
        self.sqs("SendMessage", json!({"QueueUrl": url, "MessageBody": body})).await;
    }

    /// The bodies of the messages that a queue holds, which are visible again at once.
    pub(crate) async fn messages(&self, queue: &str) -> Vec<String> {
        let url = self.stack.aws.queues().url(queue);
        let receive = json!({"QueueUrl": url, "MaxNumberOfMessages": 10, "VisibilityTimeout": 0});
        let answer = self.sqs("ReceiveMessage", receive).await;
        let messages = answer["Messages"].as_array().cloned().unwrap_or_default();
        messages.iter().map(|one| one["Body"].as_str().expect("a body").to_owned()).collect()
    }

    /// What `docs/operations.md` says to do with dead letters.
    async fn redrive(&self) {
        let arn = async |queue: &str| {
            let url = self.stack.aws.queues().url(queue);
            let asked = json!({"QueueUrl": url, "AttributeNames": ["QueueArn"]});
            let answer = self.sqs("GetQueueAttributes", asked).await;
            answer["Attributes"]["QueueArn"].clone()
        };
        let move_all = json!({"SourceArn": arn(DEAD).await, "DestinationArn": arn(OUTBOX).await});
        self.sqs("StartMessageMoveTask", move_all).await;
    }

    pub(crate) fn depth(&self, queue: &str) -> usize {
        let depth = self.stack.aws.queues().depth(queue);
        usize::try_from(depth.visible + depth.in_flight + depth.delayed).expect("a number")
    }

    fn failing(&self, kind: Kind, times: u32) {
        self.fault(Fault::new(Service::Ses, "SendEmail", kind).times(times));
    }

    /// A class that invites so many, of which nobody was told yet.
    pub(crate) async fn inviting(&self, count: usize) -> (String, Value) {
        let trainer = self.trainer().await;
        self.connect_zoom(&trainer, "app").await;
        let body =
            with(class(50), json!({"audience_type": "invitees", "invitees": invitees(count)}));
        let session = self.create(&trainer, &body).await.expect(201);
        (trainer, session)
    }

    /// How many of a class's mails are in which state, without those in which there are none.
    pub(crate) async fn counts(&self, trainer: &str, session: &Value) -> Value {
        let mut counts = self.get(trainer, &path_of(session)).await.expect(200)["mail"].take();
        counts.as_object_mut().expect("counts").retain(|_, count| *count != 0);
        counts
    }

    /// The fates of mails in the timeline, oldest first, each with its note.
    async fn fates(&self, trainer: &str, session: &Value) -> Vec<(String, Value)> {
        let entries = self.listed(trainer, &format!("{}/timeline", path_of(session))).await;
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
async fn a_mail_is_tried_five_times_then_dead_and_can_be_brought_back() {
    let world = World::start().await;
    let (trainer, session) = world.inviting(1).await;
    let mut report = Value::Null;
    for (attempt, minutes) in [0, 1, 5, 30, 120].into_iter().enumerate() {
        if minutes > 0 {
            // Not before its time.
            world.advance(SignedDuration::from_secs(minutes * 60 - 1));
            assert_eq!(world.drain().await["claimed"], 0, "attempt {attempt}");
            world.advance(SignedDuration::from_secs(1));
        }
        world.failing(Kind::Error, 1);
        report = world.drain().await;
        let expected = if attempt < 4 { ("retried", "retrying") } else { ("dead", "dead") };
        assert_eq!(report[expected.0], 1, "{report}");
        assert_eq!(world.counts(&trainer, &session).await, json!({expected.1: 1}));
    }
    assert_eq!(report["sent"], 0);
    assert_eq!((world.depth(OUTBOX), world.depth(DEAD)), (0, 1));
    let dead = world.messages(DEAD).await.remove(0);
    assert!(dead.contains("\"error\":\"InternalServiceErrorException\""), "{dead}");

    world.redrive().await;
    let report = world.drain().await;
    assert_eq!(report["sent"], 1, "{report}");
    assert_eq!(world.counts(&trainer, &session).await, json!({"sent": 1}));
    assert_eq!(world.mailed().await.len(), 1);
    assert_eq!((world.depth(OUTBOX), world.depth(DEAD)), (0, 0));
    // The same message once more is nothing new.
    world.put_message(&dead).await;
    world.advance(HIDDEN);
    world.drain().await;
    assert_eq!(world.mailed().await.len(), 1);
    assert_eq!(world.depth(OUTBOX), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_one_that_is_refused_fails_and_the_others_go() {
    let world = World::start().await;
    let (trainer, session) = world.inviting(5).await;
    world.failing(Kind::Rejected, 1);
    let report = world.drain().await;
    assert_eq!((&report["sent"], &report["failed"]), (&json!(4), &json!(1)), "{report}");
    assert_eq!(world.counts(&trainer, &session).await, json!({"sent": 4, "failed": 1}));
    assert_eq!((world.depth(OUTBOX), world.depth(DEAD)), (0, 0));
    world.advance(SignedDuration::from_secs(1));
    let fates = world.fates(&trainer, &session).await;
    assert!(fates.contains(&("failed".to_owned(), json!("MessageRejected"))), "{fates:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_by_the_second_costs_no_attempt() {
    let world = World::start().await;
    let (trainer, session) = world.inviting(3).await;
    world.failing(Kind::Throttle, 3);
    let report = world.drain().await;
    assert_eq!((&report["sent"], &report["retried"]), (&json!(0), &json!(0)), "{report}");
    for _ in 0..6 {
        // More often than a mail is tried.
        world.advance(SignedDuration::from_secs(2));
        world.failing(Kind::Throttle, 3);
        world.drain().await;
    }
    assert_eq!(world.counts(&trainer, &session).await, json!({"queued": 3}));
    world.advance(SignedDuration::from_secs(2));
    assert_eq!(world.drain().await["sent"], 3);
    assert_eq!(world.counts(&trainer, &session).await, json!({"sent": 3}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quota_that_is_spent_and_a_paused_account_pause_the_outbox() {
    for (kind, minutes, code) in
        [(Kind::Daily, 60, "daily_limit"), (Kind::Paused, 15, "SendingPausedException")]
    {
        let world = World::start().await;
        let (trainer, session) = world.inviting(12).await;
        world.failing(kind, 1);
        let report = world.drain().await;
        let retried = report["retried"].as_u64().expect("a number");
        assert!(retried == 1, "{report}");
        let sent = report["sent"].as_u64().expect("a number");
        world.advance(SignedDuration::from_mins(minutes - 1));
        world.stack.usage.reset();
        assert_eq!(world.drain().await["claimed"], 0, "{kind:?}");
        assert_eq!(world.stack.usage.calls("outbox-sweep", Service::Sqs, "ReceiveMessage"), 0);
        world.advance(SignedDuration::from_mins(1));
        assert_eq!(world.drain().await["sent"], 12 - sent, "{kind:?}");
        assert_eq!(world.counts(&trainer, &session).await, json!({"sent": 12}));
        let fates = world.fates(&trainer, &session).await;
        assert!(fates.contains(&("retrying".to_owned(), json!(code))), "{fates:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zeptomail_sends_what_ses_would_and_its_errors_mean_the_same() {
    let world = World::start().await;
    let (trainer, session) = world.inviting(3).await;
    let direct = Direct::new(&world, &[("MAIL_PROVIDER", "zeptomail")]);
    world.fault(Fault::new(Service::Zeptomail, "SendEmail", Kind::Rejected));
    world.fault(Fault::new(Service::Zeptomail, "SendEmail", Kind::Error));
    let report = direct.drain(RUN).await.expect("it ends");
    let of = |name: &str| report[name].as_u64();
    assert_eq!((of("sent"), of("failed"), of("retried")), (Some(1), Some(1), Some(1)), "{report}");
    world.advance(SignedDuration::from_mins(1));
    assert_eq!(direct.drain(RUN).await.expect("it ends")["sent"], 1);
    assert_eq!(world.counts(&trainer, &session).await, json!({"sent": 2, "failed": 1}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_wants_a_longer_pause_gets_it_and_is_not_asked_meanwhile() {
    for (says, pause) in [(20, 20), (u32::MAX, 60)] {
        let world = World::start().await;
        let (trainer, session) = world.inviting(12).await;
        let direct = Direct::new(&world, &[("MAIL_PROVIDER", "zeptomail")]);
        let limit = Fault::new(Service::Zeptomail, "SendEmail", Kind::ThrottleSeconds);
        world.fault(Fault { retry_after_seconds: Some(says), ..limit.times(1000) });
        let short = SignedDuration::from_secs(22);
        // Messages that are hidden for a moment come again while the run goes on.
        let ticking = async {
            loop {
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                world.advance(SignedDuration::from_secs(1));
            }
        };
        let report = tokio::select! {
            report = direct.drain(short) => report.expect("it ends"),
            () = ticking => unreachable!("it ticks for ever"),
        };
        assert_eq!((&report["sent"], &report["retried"]), (&json!(0), &json!(0)), "{report}");
        let asked = world.stack.usage.calls("outbox-sweep", Service::Zeptomail, "SendEmail");
        assert!(asked <= 12, "asked {asked} times");
        let received = world.stack.usage.calls("outbox-sweep", Service::Sqs, "ReceiveMessage");
        assert!(received <= 3, "looked {received} times for what cannot be sent");
        world.stack.faults.clear();
        world.advance(SignedDuration::from_secs(pause - 3));
        assert_eq!(direct.drain(short).await.expect("it ends")["claimed"], 0, "{says}");
        world.advance(SignedDuration::from_secs(3));
        assert_eq!(direct.drain(RUN).await.expect("it ends")["sent"], 12, "{says}");
        assert_eq!(world.counts(&trainer, &session).await, json!({"sent": 12}));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_void_by_the_time_it_is_sent_is_dropped_and_a_cancellation_goes() {
    let world = World::start().await;
    let (trainer, session) = world.inviting(2).await;
    world.failing(Kind::Error, 2);
    assert_eq!(world.drain().await["retried"], 2);
    world.cancel(&trainer, &session).await.expect(200);
    world.advance(SignedDuration::from_mins(1));
    let report = world.drain().await;
    assert_eq!((&report["sent"], &report["dropped"]), (&json!(2), &json!(2)), "{report}");
    assert!(world.mailed().await.iter().all(|(kind, _)| kind == "cancelled"));
    assert_eq!(world.counts(&trainer, &session).await, json!({"sent": 2, "dropped": 2}));
    world.advance(SignedDuration::from_secs(1));
    let fates = world.fates(&trainer, &session).await;
    assert!(fates.contains(&("dropped".to_owned(), json!("class_cancelled"))), "{fates:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn brought_back_after_the_class_an_invitation_is_dropped_and_a_cancellation_still_goes() {
    for cancel in [false, true] {
        let world = World::start().await;
        let (trainer, session) = world.inviting(1).await;
        if cancel {
            world.drain().await;
            world.cancel(&trainer, &session).await.expect(200);
        }
        for minutes in [0, 1, 5, 30, 120] {
            world.advance(SignedDuration::from_mins(minutes));
            world.failing(Kind::Error, 1);
            world.drain().await;
        }
        assert_eq!(world.depth(DEAD), 1);
        world.advance(SignedDuration::from_hours(72));
        world.redrive().await;
        let report = world.drain().await;
        let expected = if cancel { ("sent", "cancelled") } else { ("dropped", "scheduled") };
        assert_eq!(report[expected.0], 1, "{report}");
        let mailed = world.mailed().await;
        assert_eq!(mailed.iter().any(|(kind, _)| kind == "cancelled"), cancel, "{mailed:?}");
        assert_eq!(world.depth(OUTBOX) + world.depth(DEAD), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_cannot_be_read_goes_to_the_dead_and_its_neighbours_go_out() {
    let world = World::start().await;
    world.inviting(3).await;
    for poison in ["hunter2", "{\"v\":9,\"type\":\"of-tomorrow\"}"] {
        world.put_message(poison).await;
    }
    let report = world.drain().await;
    assert_eq!((&report["sent"], &report["dead"]), (&json!(3), &json!(0)), "{report}");
    for minutes in [1, 5, 30] {
        world.advance(SignedDuration::from_mins(minutes));
        assert_eq!(world.drain().await["dead"], 0, "after {minutes} minutes");
    }
    world.advance(SignedDuration::from_mins(120));
    assert_eq!(world.drain().await["dead"], 2);
    assert_eq!((world.depth(OUTBOX), world.depth(DEAD)), (0, 2));
    assert!(world.messages(DEAD).await.contains(&"hunter2".to_owned()), "as it was");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_comes_twice_sends_nothing_more() {
    let world = World::start().await;
    let (trainer, session) = world.inviting(1).await;
    world.failing(Kind::Error, 1);
    world.drain().await;
    world.advance(SignedDuration::from_mins(1));
    let message = world.messages(OUTBOX).await.remove(0);
    // Twice in one round, once more in the same claim's time, and once after it.
    world.put_message(&message).await;
    world.drain().await;
    world.put_message(&message).await;
    world.drain().await;
    assert_eq!(world.mailed().await.len(), 1);
    world.advance(HIDDEN);
    world.drain().await;
    world.put_message(&message).await;
    world.drain().await;
    world.advance(SignedDuration::from_secs(2));
    world.drain().await;
    assert_eq!(world.mailed().await.len(), 1);
    assert_eq!((world.depth(OUTBOX), world.depth(DEAD)), (0, 0));
    assert_eq!(world.counts(&trainer, &session).await, json!({"sent": 1}));
}

#[tokio::test]
async fn without_its_configuration_mails_wait_and_nothing_else_does() {
    let missing: [&[(&'static str, &str)]; 5] = [
        &[("MAIL_FROM", "")],
        &[("BRAND_NAME", "")],
        &[("MAIL_PROVIDER", "pigeon")],
        &[("MAIL_RATE_PER_SECOND", "0")],
        &[("MAIL_PROVIDER", "zeptomail"), ("ZEPTOMAIL_API_URL", "")],
    ];
    let world = World::start().await;
    let (trainer, session) = world.inviting(2).await;
    let notices = async || {
        let student = world.student(1).await;
        world.listed(&student, "/v1/me/notifications").await.len()
    };
    for (n, changes) in missing.into_iter().enumerate() {
        let log = crate::log::Log::start();
        world.stack.usage.reset();
        let report = Direct::new(&world, changes).drain(RUN).await.expect("it ends");
        let first = u64::from(n == 0);
        assert_eq!((&report["announced"], &report["claimed"]), (&json!(first), &json!(0)));
        let told = log.text();
        assert!(told.contains("email_sweep.not_configured"), "{told}");
        let named = changes.last().expect("one").0;
        assert!(told.contains(&format!("\"name\":\"{named}\"")), "{named}: {told}");
        assert_eq!(notices().await, 1, "in-app it was told at once, and once");
    }
    assert_eq!(world.depth(OUTBOX), 2 + 1, "both mails and the word of their announcement");
    assert_eq!(world.counts(&trainer, &session).await, json!({"queued": 2}));
    assert_eq!(world.drain().await["sent"], 2);
    assert_eq!((notices().await, world.depth(OUTBOX)), (1, 0));
    // What nobody needs any more by the time that mail is configured is dropped, and says so.
    let invited = json!({"audience_type": "invitees", "invitees": invitees(1)});
    let soon = world.create(&trainer, &with(class(1), invited)).await.expect(201);
    Direct::new(&world, missing[0]).drain(RUN).await.expect("it ends");
    world.advance(SignedDuration::from_hours(3));
    let trainer = world.trainer().await;
    assert_eq!(world.drain().await["dropped"], 1);
    assert_eq!(world.counts(&trainer, &soon).await, json!({"dropped": 1}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mails_leave_no_faster_than_configured_also_where_sweeps_overlap() {
    let world = World::start().await;
    world.inviting(30).await;
    let rate = [("MAIL_RATE_PER_SECOND", "15")];
    let (one, other) = (Direct::new(&world, &rate), Direct::new(&world, &rate));
    let timer = tokio::time::Instant::now();
    let (a, b) = futures::join!(one.drain(RUN), other.drain(RUN));
    let took = timer.elapsed();
    let sent = |report: &Value| report["sent"].as_u64().expect("a number");
    let (a, b) = (a.expect("it ends"), b.expect("it ends"));
    world.advance(HIDDEN);
    let rest = world.drain().await;
    assert_eq!(sent(&a) + sent(&b) + sent(&rest), 30, "{a} {b} {rest}");
    assert_eq!(world.mailed().await.len(), 30);
    let least = (sent(&a) + sent(&b)).saturating_sub(1) * 1000 / 15;
    assert!(took.as_millis() >= u128::from(least), "{took:?} for {a} and {b}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_could_not_tell_and_then_had_no_time_left_does_not_count_as_one_that_went_well()
{
    let world = World::start().await;
    let (trainer, session) = world.inviting(2).await;
    world.drain().await;
    world.inviting(2).await;
    world.cancel(&trainer, &session).await.expect(200);
    // Reading whom the first concerns takes all the time there is for telling, and fails.
    world.fault(
        Fault::new(Service::Dynamodb, "Query", Kind::Timeout).by("outbox-sweep").after(1).times(3),
    );
    let direct = Direct::new(&world, &[]);
    direct.drain(SignedDuration::from_millis(28_500)).await.expect_err("it failed");
    world.stack.faults.clear();
    world.advance(HIDDEN);
    world.drain().await;
    assert_eq!(world.mailed().await.len(), 6, "two invitations twice, and two cancellations");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erasing_somebody_leaves_no_fate_that_names_them() {
    let world = World::start().await;
    let (trainer, session) = world.inviting(2).await;
    world.drain().await;
    world.advance(SignedDuration::from_secs(1));
    let named = async || {
        let timeline = world.listed(&trainer, &format!("{}/timeline", path_of(&session))).await;
        let of = |entry: &&Value| entry["detail"]["recipient"] == "student1@example.test";
        timeline.iter().filter(of).count()
    };
    assert_eq!(named().await, 2, "queued and sent");
    let service = world.service().await;
    world.user("student-1", json!({"email": "student1@example.test", "role": "student"})).await;
    world.delete(&service, "/v1/directory/users/student-1").await.expect(204);
    assert_eq!(named().await, 0);
    let items = world.items(&format!("SESSION#{}", session["id"].as_str().expect("an id"))).await;
    assert!(!json!(items).to_string().contains("student1@"), "{items:?}");
    assert_eq!(world.counts(&trainer, &session).await, json!({"sent": 2}), "it is still counted");
}
