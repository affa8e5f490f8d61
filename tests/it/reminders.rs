//! Reminders are sent once and in time, and never for a session that was moved or cancelled or has ended. An idle sweep
//! costs little. Also covers the notifications that follow from Zoom events.

mod held;

use aws_sdk_dynamodb::types::AttributeValue;
use http::Method;
use jiff::{SignedDuration, Timestamp};
use local::calls::Service;
use local::faults::{Fault, FaultKind};
use serde_json::{Value, json};

use crate::functions::MAIN_TABLE;
use crate::support::patched;
use crate::world::{START, World, course_session_body, session_body};
use crate::zoom_session::ScheduledSession;

/// The body of a manual session of `course-1` in so many hours.
pub(crate) fn manual_session(hours: i64) -> Value {
    patched(
        course_session_body(hours),
        json!({"provider": "manual", "join_url": "https://meet.example.test/a"}),
    )
}

impl World {
    /// The pending domain events that are not about a change of a session: `(event, reminder)` in order.
    pub(crate) async fn pending_notifications(&self) -> Vec<(String, String)> {
        let word = |item: &Value, name: &str| item[name].as_str().unwrap_or_default().to_owned();
        let due = self.due_work("OUTBOX").await;
        let pending = due.iter().filter(|item| item["event"] != "session");
        pending.map(|item| (word(item, "event"), word(item, "reminder"))).collect()
    }

    pub(crate) fn advance_to(&self, at: Timestamp) {
        self.advance(at.duration_since(self.now()));
    }

    /// Moves the clock to so many minutes after a session's start and runs the sweep.
    async fn sweep_at(&self, starts_at: Timestamp, minutes: i64) -> Value {
        self.advance_to(starts_at + SignedDuration::from_mins(minutes));
        self.sweep().await
    }
}

fn reminders(names: &[&str]) -> Vec<(String, String)> {
    names.iter().map(|name| ("reminder".to_owned(), (*name).to_owned())).collect()
}

fn in_hours(hours: i64) -> Timestamp {
    START.parse::<Timestamp>().expect("a time") + SignedDuration::from_hours(hours)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_reminder_is_sent_once_when_due() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let made = world.create(&trainer, &manual_session(50)).await.expect(201);
    let start = in_hours(50);
    let mut expected = Vec::new();
    for (minutes, reminder) in [(-24 * 60, "day_before"), (-60, "hour_before"), (0, "start")] {
        assert_eq!(world.sweep_at(start, minutes - 1).await["due"], 0, "{reminder}");
        let before = world.pending_notifications().await;
        assert_eq!(before, reminders(&expected));
        world.advance(SignedDuration::from_mins(1));
        // Two concurrent runs, and one more.
        let (a, b) = futures::join!(world.sweep(), world.sweep());
        let reminded = |report: &Value| report["reminded"].as_u64().expect("a number");
        assert_eq!(reminded(&a) + reminded(&b), 1, "{reminder}: {a} {b}");
        assert_eq!(world.sweep().await["due"], 0);
        expected.push(reminder);
        assert_eq!(world.pending_notifications().await, reminders(&expected));
    }
    let reminded = world.due_work("OUTBOX").await;
    let reminded = reminded.iter().rfind(|item| item["event"] == "reminder").expect("a reminder");
    assert_eq!(
        (&reminded["session_id"], &reminded["version"], &reminded["starts_at"]),
        (&made["id"], &json!(1), &json!(start))
    );
    assert_eq!(world.due_work("REMINDER").await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moved_session_gets_new_reminders_and_cancelled_session_none() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let made = world.create(&trainer, &manual_session(50)).await.expect(201);
    world.sweep_at(in_hours(50), -24 * 60).await;
    assert_eq!(world.pending_notifications().await, reminders(&["day_before"]));
    let trainer = world.trainer().await;
    world.edit(&trainer, &made, &manual_session(100)).await.expect(200);
    assert_eq!(world.sweep_at(in_hours(50), 5).await["due"], 0, "a reminder of the old start");
    world.sweep_at(in_hours(100), -24 * 60).await;
    world.sweep_at(in_hours(100), -60).await;
    assert_eq!(
        world.pending_notifications().await,
        reminders(&["day_before", "day_before", "hour_before"])
    );
    let versions: Vec<_> =
        world.due_work("OUTBOX").await.iter().map(|item| item["version"].clone()).collect();
    assert_eq!(versions, [1, 1, 2, 2, 2]);
    let trainer = world.trainer().await;
    world.cancel(&trainer, &made).await.expect(200);
    assert_eq!(world.sweep_at(in_hours(100), 0).await["due"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn past_reminders_and_reminders_without_audience_are_skipped() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let mut soon = manual_session(1);
    soon["starts_at"] = json!("2026-11-21T09:30:00Z");
    world.create(&trainer, &soon).await.expect(201);
    let link = json!({"provider": "manual", "join_url": "https://meet.example.test/a"});
    world.create(&trainer, &patched(session_body(1), link)).await.expect(201);
    for minutes in [0, 5, 29] {
        world.sweep_at(START.parse().expect("a time"), minutes).await;
    }
    assert_eq!(world.pending_notifications().await, reminders(&[]));
    world.sweep_at(START.parse().expect("a time"), 30).await;
    assert_eq!(world.pending_notifications().await, reminders(&["start"]));
    let report = world.sweep_at(in_hours(1), 0).await;
    assert_eq!((&report["reminded"], &report["skipped"]), (&json!(0), &json!(1)), "standalone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delayed_sweep_sends_only_relevant_reminders() {
    // The delay of the sweep after the day-before reminder in minutes, and the reminders that it then sends.
    for (minutes, expected) in [
        (60, vec!["day_before"]),
        (12 * 60 - 1, vec!["day_before"]),
        (12 * 60, vec![]),
        (23 * 60 + 30, vec!["hour_before"]),
        (24 * 60, vec!["start"]),
        (24 * 60 + 29, vec!["start"]),
        (24 * 60 + 30, vec![]),
    ] {
        let world = World::start().await;
        let trainer = world.trainer().await;
        world.create(&trainer, &manual_session(50)).await.expect(201);
        world.sweep_at(in_hours(50), minutes - 24 * 60).await;
        assert_eq!(
            world.pending_notifications().await,
            reminders(&expected),
            "after {minutes} minutes"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_reminder_is_retried_and_sent_once() {
    for kind in [FaultKind::Error, FaultKind::Lost, FaultKind::Throttle] {
        let world = World::start().await;
        let trainer = world.trainer().await;
        for hours in [50, 50, 50] {
            world.create(&trainer, &manual_session(hours)).await.expect(201);
        }
        let fault = Fault::new(Service::Dynamodb, "TransactWriteItems", kind);
        world.inject_fault(fault.for_function("reminder-sweep").times(4));
        world.sweep_at(in_hours(50), -24 * 60).await;
        world.stack.faults.clear();
        world.advance(SignedDuration::from_mins(5));
        world.sweep().await;
        assert_eq!(world.pending_notifications().await.len(), 3, "{kind:?}");
        assert_eq!(world.sweep().await["due"], 0);
    }
    // The wake-up may fail, because the table stores the domain event.
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.create(&trainer, &manual_session(50)).await.expect(201);
    world.inject_fault(
        Fault::new(Service::Sqs, "SendMessage", FaultKind::Error)
            .for_function("reminder-sweep")
            .times(9),
    );
    assert_eq!(world.sweep_at(in_hours(50), -24 * 60).await["reminded"], 1);
    assert_eq!(world.pending_notifications().await, reminders(&["day_before"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unreadable_session_does_not_block_other_reminders() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let unreadable = world.create(&trainer, &manual_session(50)).await.expect(201);
    world.create(&trainer, &manual_session(50)).await.expect(201);
    let key = |name: &str, value: String| (name.to_owned(), AttributeValue::S(value));
    let session = unreadable["id"].as_str().expect("an id");
    world
        .dynamodb()
        .update_item()
        .table_name(MAIN_TABLE)
        .set_key(Some(
            [key("pk", format!("SESSION#{session}")), key("sk", "SESSION".into())].into(),
        ))
        .update_expression("SET starts_at = :odd")
        .expression_attribute_values(":odd", AttributeValue::S("tomorrow".to_owned()))
        .send()
        .await
        .expect("written");
    let report = world.sweep_at(in_hours(50), -24 * 60).await;
    assert_eq!((&report["reminded"], &report["postponed"]), (&json!(1), &json!(1)), "{report}");
    assert_eq!(world.pending_notifications().await, reminders(&["day_before"]));
}

/// A world with a session of `course-1` at Zoom.
async fn world_with_session() -> (World, ScheduledSession) {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    let session = ScheduledSession::schedule_for_course(&world, &trainer).await;
    (world, session)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_notification_is_sent_once_at_actual_or_planned_start() {
    // Minutes from the planned start to the actual start, if any, and to the first notification.
    for (started, notified_at) in [
        (Some(-5), -5),
        (Some(0), 0),
        // A rehearsal does not notify, but the planned start does.
        (Some(-40), 0),
        // The join window is open although the host is late.
        (Some(7), 0),
        (None, 0),
    ] {
        let (world, session) = world_with_session().await;
        world.advance_to(session.at(-45));
        let mut first = None;
        for minute in -45..40 {
            world.advance_to(session.at(minute));
            if started == Some(minute) {
                // The same event twice, and a join of the same meeting instance.
                let event = session.started("u1", minute);
                session.post_event(&world, &event).await;
                session.post_event(&world, &event).await;
                session.post_event(&world, &session.joined("u1", "c1", minute)).await;
            }
            if minute % 5 == 0 {
                world.sweep().await;
            }
            let pending = world.pending_notifications().await;
            let live = pending.iter().filter(|(_, reminder)| reminder == "start").count();
            assert!(live <= 1, "{started:?}: {pending:?}");
            if live == 1 {
                first.get_or_insert(minute);
            }
        }
        assert_eq!(first, Some(notified_at), "{started:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_notification_is_sent_once_after_a_test_start() {
    let (world, session) = world_with_session().await;
    world.advance_to(session.at(-12));
    session.post_event(&world, &session.started("u1", -12)).await;
    session.post_event(&world, &session.ended("u1", -12, -5)).await;
    let live = async || {
        let pending = world.pending_notifications().await;
        pending.iter().filter(|(_, reminder)| reminder == "start").count()
    };
    assert_eq!(live().await, 0, "a test start before students may join");
    world.sweep_at(session.starts_at, 0).await;
    assert_eq!(live().await, 1, "the planned start of a session that is still scheduled");
    // The start and a restart do not notify again.
    world.advance(SignedDuration::from_mins(6));
    session.post_event(&world, &session.started("u2", 6)).await;
    session.post_event(&world, &session.ended("u2", 6, 20)).await;
    session.post_event(&world, &session.started("u3", 21)).await;
    world.sweep_at(session.starts_at, 25).await;
    assert_eq!(live().await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recording_notification_is_sent_once_with_first_playable_file() {
    let (world, session) = world_with_session().await;
    world.advance_to(session.at(70));
    let file = |id: &str, play: Option<&str>| {
        json!({"id": id, "file_type": "MP4", "file_size": 9, "play_url": play,
            "recording_start": session.at(0), "recording_end": session.at(60), "status": "completed"})
    };
    let completed = |minute, files: Value| {
        let object = json!({"uuid": "u1", "recording_files": files});
        session.event("recording.completed", session.at(minute), &object)
    };
    session.post_event(&world, &completed(65, json!([file("chat", None)]))).await;
    let notification_count = async || {
        let pending = world.pending_notifications().await;
        pending.iter().filter(|(event, _)| event == "recording_ready").count()
    };
    assert_eq!(notification_count().await, 0, "no playable file");
    let play_url = Some("https://us02web.zoom.us/rec/play/a");
    let event =
        completed(66, json!([file("chat", None), file("film", play_url), file("more", play_url)]));
    // It fails once after the event was stored, and Zoom sends it again.
    world.inject_fault(
        Fault::new(Service::Dynamodb, "TransactWriteItems", FaultKind::Error)
            .for_function("webhook")
            .times(4),
    );
    let failed = crate::zoom_session::post_signed(&world, &event.to_string()).await;
    assert!(failed.status.is_server_error(), "{failed:?}");
    world.stack.faults.clear();
    for _ in 0..3 {
        session.post_event(&world, &event).await;
    }
    assert_eq!(notification_count().await, 1);
    let student = world.student(1).await;
    assert_eq!(world.list_items(&student, &format!("{}/recordings", session.path)).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trainer_is_notified_once_of_meeting_deleted_at_zoom() {
    let (world, session) = world_with_session().await;
    let trainer = world.trainer().await;
    let path = format!("/zoom/sim/meetings/{}", session.meeting);
    world.call(Method::DELETE, &path, "", None, &[]).await.expect(204);
    world.stack.zoom.deliver_due().await;
    let pending = world.due_work("OUTBOX").await;
    let pending: Vec<_> =
        pending.iter().filter(|item| item["event"] == "meeting_deleted").collect();
    assert_eq!(pending.len(), 1);
    assert_eq!(pending[0]["trainer_id"], "trainer-1");
    // Other events of the same meeting do not notify again.
    let later = world.now() + SignedDuration::from_mins(2);
    session
        .post_event(&world, &session.event("meeting.updated", later, &json!({"topic": "x"})))
        .await;
    let own = world.create(&trainer, &course_session_body(80)).await.expect(201);
    world.cancel(&trainer, &own).await.expect(200);
    world.stack.zoom.deliver_due().await;
    let pending = world.pending_notifications().await;
    assert_eq!(
        pending.iter().filter(|(event, _)| event == "meeting_deleted").count(),
        1,
        "{pending:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reminder_sweep_cost_depends_only_on_due_work() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let cost = async || {
        world.stack.usage.reset();
        world.sweep().await;
        let totals = world.stack.usage.service_totals("reminder-sweep", Service::Dynamodb);
        (totals.calls, totals.read_units, totals.write_units)
    };
    world.sweep().await;
    let with_none = cost().await;
    for n in 0..100 {
        world.create(&trainer, &manual_session(30 + n)).await.expect(201);
    }
    let with_many = cost().await;
    assert_eq!(with_none, with_many, "the cost is the same with no and with a hundred sessions");
    assert!(with_none.0 <= 3 && with_none.1 <= 1.5, "{with_none:?}");
    world.advance(SignedDuration::from_hours(6));
    let (calls, read, write) = cost().await;
    println!("one reminder sent: {calls} requests, {read} read units, {write} write units");
    assert!(calls <= 5 && read <= 3.0 && write <= 6.0, "{calls} {read} {write}");
}
