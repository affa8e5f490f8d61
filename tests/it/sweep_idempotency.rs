//! If any call of a sweep or of a notification request fails, repeating it leads to the same state as a run without
//! failures.

use std::collections::BTreeSet;

use futures::stream::{self, StreamExt};
use http::Method;
use jiff::SignedDuration;
use local::calls::Service;
use local::faults::{Fault, FaultKind};
use serde_json::{Value, json};

use crate::functions::DirectFunctions;
use crate::outbox_faults::{AFTER_CLAIM, OUTBOX_DLQ, OUTBOX_QUEUE, RUN_TIME};
use crate::support::{self, patched, session_path};
use crate::world::{World, course_session_body};
use crate::zoom_session::ScheduledSession;

const WORLDS_AT_ONCE: usize = 4;
/// Longer than the timeout of one attempt of the AWS SDK, which then repeats a call that is carried out.
const LATE_MILLIS: u64 = 2_300;
const NOTIFICATIONS: &str = "/v1/me/notifications";
const PREFERENCES: &str = "/v1/me/notification-preferences";

/// A failure of a call: before it is carried out, after it, late, or of all attempts of the SDK.
type Failure = (Service, FaultKind, u32);

/// The failures take turns with the calls, except in the long run.
type Failures = &'static [Failure];

const BEFORE: Failures = &[(Service::Dynamodb, FaultKind::Error, 3)];
const AFTER: Failures =
    &[(Service::Dynamodb, FaultKind::Lost, 3), (Service::Dynamodb, FaultKind::Lost, 1)];

/// Something that is repeated until it succeeds.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Work {
    OutboxSweep,
    ReminderSweep,
    Read,
    Dismiss,
    Preferences,
}

impl Work {
    fn function(self) -> &'static str {
        match self {
            Self::OutboxSweep => "outbox-sweep",
            Self::ReminderSweep => "reminder-sweep",
            Self::Read | Self::Dismiss | Self::Preferences => "notifications",
        }
    }

    fn failures(self) -> Vec<Failures> {
        let mut failures = vec![BEFORE, AFTER];
        match self {
            Self::OutboxSweep => failures.extend::<[Failures; 4]>([
                &[(Service::Sqs, FaultKind::Error, 3)],
                &[(Service::Sqs, FaultKind::Lost, 1)],
                &[(Service::Ses, FaultKind::Error, 1)],
                &[(Service::Ses, FaultKind::Lost, 1)],
            ]),
            Self::ReminderSweep => failures.extend::<[Failures; 2]>([
                &[(Service::Zoom, FaultKind::Error, 2)],
                &[(Service::Zoom, FaultKind::Lost, 2), (Service::Zoom, FaultKind::Lost, 1)],
            ]),
            // `outbox_crash` has late responses of the outbox sweep.
            Self::Read | Self::Dismiss | Self::Preferences => {
                failures.push(&[(Service::Dynamodb, FaultKind::Late, 1)]);
            }
        }
        failures
    }

    async fn prepare(self) -> Prepared {
        let world = World::start().await;
        let trainer = world.trainer().await;
        world.connect_zoom(&trainer, "app").await;
        match self {
            Self::OutboxSweep => {
                let session = world.create(&trainer, &course_session_body(50)).await.expect(201);
                world.run_outbox_sweep().await;
                let moved = patched(course_session_body(60), json!({"title": "Geometry"}));
                world.edit(&trainer, &session, &moved).await.expect(200);
                world.create(&trainer, &course_session_body(70)).await.expect(201);
            }
            Self::ReminderSweep => prepare_due_work(&world, &trainer).await,
            Self::Read | Self::Dismiss | Self::Preferences => {
                world.create(&trainer, &course_session_body(50)).await.expect(201);
                world.run_outbox_sweep().await;
            }
        }
        // The secret and the keys are loaded by then.
        let person = json!({"sub": "student-1", "role": "student", "email": "new@example.test", "email_verified": true});
        let student = world.token(person).await;
        let notifications = world.list_items(&student, NOTIFICATIONS).await;
        let direct = DirectFunctions::new(&world, &[]);
        Prepared { world, direct, student, notifications }
    }

    /// Does the work once and returns whether it succeeded.
    async fn run(self, prepared: &Prepared) -> bool {
        let Prepared { world, direct, student, notifications } = prepared;
        let mark = async |verb: &str| {
            let id = notifications[0]["id"].as_str().expect("an id");
            let path = format!("{NOTIFICATIONS}/{id}/{verb}");
            world.call(Method::POST, &path, student, None, &[]).await
        };
        let response = match self {
            Self::OutboxSweep => return direct.run_outbox_sweep(RUN_TIME).await.is_ok(),
            Self::ReminderSweep => {
                let time = SignedDuration::from_secs(110);
                return direct.run_reminder_sweep(time).await.is_ok();
            }
            Self::Read => mark("read").await,
            Self::Dismiss => mark("dismiss").await,
            Self::Preferences => {
                let off = json!({"live_session": {"in_app": true, "email": false}});
                world.put(student, PREFERENCES, off).await
            }
        };
        let is_success = response.status.is_success();
        assert!(is_success || response.status.as_u16() >= 500, "{self:?}: {}", response.text);
        is_success
    }

    /// Repeats the work until nothing is left, and returns the resulting state.
    async fn finish(self, prepared: &Prepared) -> Value {
        let world = &prepared.world;
        match self {
            Self::OutboxSweep => {
                for pause in [AFTER_CLAIM, SignedDuration::from_hours(2)] {
                    world.advance(pause);
                    assert!(self.run(prepared).await, "the sweep succeeds");
                }
            }
            Self::ReminderSweep => {
                for minutes in [3, 6, 8] {
                    world.advance(SignedDuration::from_mins(minutes));
                    assert!(self.run(prepared).await, "the sweep succeeds");
                }
                // Sends the reminder and the cancellation.
                world.run_outbox_sweep().await;
                world.run_outbox_sweep().await;
            }
            Self::Read | Self::Dismiss | Self::Preferences => {
                world.advance(SignedDuration::from_secs(31));
                assert!(self.run(prepared).await, "the request succeeds");
            }
        }
        state(prepared).await
    }
}

struct Prepared {
    world: World,
    direct: DirectFunctions,
    student: String,
    notifications: Vec<Value>,
}

/// Makes a reminder, a repair and an end check due.
async fn prepare_due_work(world: &World, trainer: &str) {
    let live = ScheduledSession::schedule(world, trainer, course_session_body(1)).await;
    world.create(trainer, &course_session_body(5)).await.expect(201);
    let cancelled = world.create(trainer, &course_session_body(60)).await.expect(201);
    world.run_outbox_sweep().await;
    world.advance(SignedDuration::from_hours(1));
    live.post_event(world, &live.started("u1", 0)).await;
    world.sweep().await;
    world.run_outbox_sweep().await;
    // The join window of the live session closes, and the reminder before the other one is due.
    world.advance(SignedDuration::from_mins(190));
    let trainer = world.trainer().await;
    // The token is refreshed by then. If the response of a refresh is lost, the trainer has to connect again.
    world.inject_fault(Fault::new(Service::Zoom, "delete_meeting", FaultKind::Error).times(9));
    world.cancel(&trainer, &cancelled).await.expect(200);
    world.stack.faults.clear();
    world.advance(SignedDuration::from_mins(1));
}

/// The state after some work, without times that depend on the number of repetitions.
async fn state(prepared: &Prepared) -> Value {
    let Prepared { world, .. } = prepared;
    let trainer = world.trainer().await;
    let sessions = world.list_items(&trainer, "/v1/sessions").await;
    let mut shown = Vec::new();
    for session in &sessions {
        let session = world.get(&trainer, &session_path(session)).await.expect(200);
        let fields = ["title", "status", "version", "mail", "actual_started_at", "actual_ended_at"];
        shown.push(fields.map(|field| session[field].clone()));
    }
    let mut notifications = Vec::new();
    for n in 1..=2 {
        let student = world.student(n).await;
        let page = world.get(&student, NOTIFICATIONS).await.expect(200);
        let items = page["items"].as_array().expect("a list").iter();
        let items =
            items.map(|item| json!([item["kind"], item["title"], item["read_at"].is_null()]));
        notifications.push(json!([page["unread_count"], items.collect::<Vec<_>>()]));
        notifications.push(world.get(&student, PREFERENCES).await.expect(200));
    }
    let dump = world.dump().await;
    let words = |queue: &str, names: [&'static str; 3]| {
        let due = support::due_work(&dump, queue).into_iter();
        let mut due: Vec<_> =
            due.map(|item| names.map(|name| item[name].to_string()).join(" ")).collect();
        due.sort();
        due
    };
    let addresses = support::items(&dump, "EMAIL#");
    let mailed: BTreeSet<_> = world.sent_mails().await.into_iter().collect();
    let audited = dump.iter().filter(|item| item["sk"] == "PREFERENCES");
    json!({
        "sessions": shown,
        "notifications": notifications,
        "events": words("OUTBOX", ["event", "reminder", "kind"]),
        "reminders": words("REMINDER", ["reminder", "starts_at", "held"]),
        "repairs": words("REPAIR", ["work", "topic", "starts_at"]),
        "archives": words("ARCHIVE", ["first_due_at", "due_at", "work"]),
        "meetings": world.meetings().len(),
        "mailed": mailed,
        "addresses": addresses.iter().filter(|item| item["sk"] == "USER").count(),
        "preferences": audited.map(|item| json!([item["pk"], item["live_session"], item["email"]])).collect::<Vec<_>>(),
        "queued": world.depth(OUTBOX_QUEUE),
        "dead": world.depth(OUTBOX_DLQ),
    })
}

async fn every_call_fails_once(work: Work, is_long: bool) {
    let prepared = work.prepare().await;
    assert!(work.run(&prepared).await, "{work:?} succeeds");
    let expected = work.finish(&prepared).await;
    let checks = work.failures().into_iter().flat_map(|failures| match is_long {
        true => failures.chunks(1).collect(),
        false => vec![failures],
    });
    let checks = stream::iter(checks).map(|failures| {
        let expected = &expected;
        async move {
            let mut turns = (0..).zip(failures.iter().cycle());
            let mut calls = 0;
            while let Some((nth, failure)) = turns.next()
                && fails_at_call(work, *failure, nth, expected).await
            {
                calls = nth + 1;
            }
            assert!(calls > 0, "{work:?} does not call {:?}", failures);
        }
    });
    checks.buffer_unordered(WORLDS_AT_ONCE).collect::<()>().await;
}

/// Lets the `nth` call fail. Returns `false` if there are fewer calls.
async fn fails_at_call(work: Work, failure: Failure, nth: u32, expected: &Value) -> bool {
    let (service, kind, times) = failure;
    let prepared = work.prepare().await;
    let world = &prepared.world;
    let fault =
        Fault::new(service, "*", kind).for_function(work.function()).after(nth).times(times);
    world.inject_fault(Fault {
        delay_ms: (kind == FaultKind::Late).then_some(LATE_MILLIS),
        ..fault
    });
    work.run(&prepared).await;
    let was_hit = !world.stack.faults.list().iter().any(|fault| fault.times == times);
    world.stack.faults.clear();
    let context = format!("{work:?}: {kind:?} × {times} from call {nth} to {service}");
    assert_eq!(work.finish(&prepared).await, *expected, "{context}");
    was_hit
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outbox_sweep_repeated_after_any_failure_notifies_once() {
    Box::pin(every_call_fails_once(Work::OutboxSweep, false)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reminder_sweep_repeated_after_any_failure_does_its_work_once() {
    Box::pin(every_call_fails_once(Work::ReminderSweep, false)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notification_request_repeated_after_any_failure_is_applied_once() {
    for work in [Work::Read, Work::Dismiss, Work::Preferences] {
        Box::pin(every_call_fails_once(work, false)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: run by .ci/nightly"]
async fn sweep_repeated_after_every_failure_does_its_work_once() {
    for work in [Work::OutboxSweep, Work::ReminderSweep] {
        Box::pin(every_call_fails_once(work, true)).await;
    }
}
