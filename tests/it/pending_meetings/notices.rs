//! A day before the start there is no meeting.

use serde_json::json;
use shared::telemetry::metrics;

use super::{HOUR, MINUTE, later_body};
use crate::log::CapturedLog;
use crate::support::patched;
use crate::world::{World, course_session_body, session_body};

fn reported(log: &CapturedLog) -> u64 {
    let name = metrics::MISSING_MEETINGS.name;
    log.lines().iter().filter_map(|line| line[name].as_u64()).sum()
}

async fn notices(world: &World) -> usize {
    world.run_outbox_sweep().await;
    let trainer = world.trainer().await;
    let items = world.list_items(&trainer, "/v1/me/notifications").await;
    items.iter().filter(|item| item["kind"] == "meeting_missing").count()
}

async fn mails(world: &World) -> usize {
    let sent = world.sent_mails().await;
    sent.iter().filter(|mail| **mail == missing_mail()).count()
}

fn missing_mail() -> (String, String) {
    ("meeting_missing".to_owned(), "trainer@example.test".to_owned())
}

/// Runs on one thread, so that the captured log is complete.
#[tokio::test]
async fn missing_meeting_is_reported_once_a_day_before() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let body = patched(course_session_body(24 * 3), json!({"meeting": "later"}));
    world.create(&trainer, &body).await.expect(201);
    let log = CapturedLog::start();
    for _ in 0..16 {
        world.meeting_sweep().await;
        world.advance(HOUR * 3 - MINUTE);
    }
    assert_eq!((reported(&log), notices(&world).await), (0, 0), "more than a day ahead");
    world.advance(MINUTE * 18);
    world.meeting_sweep().await;
    assert_eq!((reported(&log), notices(&world).await, mails(&world).await), (1, 1, 1));
    // The students are reminded, because the reminder has the class's page.
    world.sweep().await;
    world.run_outbox_sweep().await;
    let sent = world.sent_mails().await;
    assert!(sent.iter().any(|(kind, _)| kind == "reminder_day_before"), "{sent:?}");
    assert!(!sent.iter().any(|(kind, _)| kind == "host_not_connected"), "{sent:?}");
    for _ in 0..8 {
        world.advance(HOUR * 2);
        world.meeting_sweep().await;
    }
    assert_eq!((reported(&log), notices(&world).await, mails(&world).await), (1, 1, 1));

    // The meeting can be made until the class is over.
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    world.advance(HOUR * 7);
    assert_eq!(world.meeting_sweep().await["meetings_made"], 1);
}

#[tokio::test]
async fn class_within_a_day_is_reported_after_the_first_failed_attempt() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let body = patched(session_body(20), json!({"meeting": "later"}));
    let failing = world.create(&trainer, &body).await.expect(201);
    assert_eq!(notices(&world).await, 0);
    world.meeting_sweep().await;
    assert_eq!((notices(&world).await, mails(&world).await), (1, 1));
    // It is moved, so the next failure is news again.
    let moved = patched(session_body(22), json!({"meeting": "later"}));
    world.edit(&trainer, &failing, &moved).await.expect(200);
    world.meeting_sweep().await;
    assert_eq!(notices(&world).await, 2);
    world.connect_zoom(&trainer, "app").await;
    let other = patched(session_body(19), json!({"meeting": "later", "title": "Other"}));
    world.create(&trainer, &other).await.expect(201);
    assert_eq!(world.meeting_sweep().await["meetings_made"], 1);
    assert_eq!(notices(&world).await, 2);
}

#[tokio::test]
async fn notice_is_not_sent_when_the_meeting_was_made_meanwhile() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let body = patched(session_body(20), json!({"meeting": "later"}));
    world.create(&trainer, &body).await.expect(201);
    world.meeting_sweep().await;
    world.connect_zoom(&trainer, "app").await;
    world.advance(MINUTE * 17);
    assert_eq!(world.meeting_sweep().await["meetings_made"], 1);
    assert_eq!((notices(&world).await, mails(&world).await), (0, 0));
}

#[tokio::test]
async fn given_up_meeting_is_reported_a_day_before() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    world.create(&trainer, &later_body(3)).await.expect(201);
    let refusal = local::faults::Fault::new(
        local::calls::Service::Zoom,
        "create_meeting",
        local::faults::FaultKind::Error,
    );
    world.inject_fault(local::faults::Fault { status: Some(400), ..refusal });
    assert_eq!(world.meeting_sweep().await["meetings_failed"], 1);
    assert_eq!(notices(&world).await, 0);
    world.advance(HOUR * 48);
    world.meeting_sweep().await;
    assert_eq!((notices(&world).await, mails(&world).await), (1, 1));
    assert_eq!(world.items("DUE#MEETINGS").await.len(), 0);
}
