//! The end of a session: lost end events, and changes after the end.

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::patched;
use crate::world::{World, course_session_body};
use crate::zoom_session::ScheduledSession;

/// Minutes from the planned start until a session without an end event ends: its duration and the grace period.
const END_OF_GRACE: i64 = 60 + 90;

async fn scheduled() -> (World, String, ScheduledSession) {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    let session = ScheduledSession::schedule_for_course(&world, &trainer).await;
    (world, trainer, session)
}

/// Moves the clock to a minute after the planned start and runs the sweep.
async fn sweep_at(world: &World, session: &ScheduledSession, minute: i64) -> Value {
    world.advance(session.at(minute).duration_since(world.now()));
    world.sweep().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn session_without_end_event_ends_after_grace_period() {
    let (world, trainer, session) = scheduled().await;
    sweep_at(&world, &session, 0).await;
    session.post_event(&world, &session.started("u1", 0)).await;
    let status_and_end = async || {
        let shown = session.fetch(&world, &trainer).await;
        (shown["status"].as_str().expect("text").to_owned(), shown["actual_ended_at"].clone())
    };
    sweep_at(&world, &session, END_OF_GRACE - 1).await;
    assert_eq!(status_and_end().await, ("live".to_owned(), json!(null)));
    assert_eq!(sweep_at(&world, &session, END_OF_GRACE).await["repaired"], 1);
    assert_eq!(
        status_and_end().await,
        ("ended".to_owned(), json!(session.at(60))),
        "it should end at its planned end"
    );
    assert!(world.due_work("ENDING").await.is_empty());
    let live = world.list_items(&trainer, "/v1/sessions?status=live").await;
    assert!(live.is_empty(), "{live:?}");

    // The meeting continued. The same webhook sandbox has cached the session as live.
    session.post_event(&world, &session.joined("u1", "c1", END_OF_GRACE - 10)).await;
    assert_eq!(status_and_end().await.0, "ended", "an older event should not change the status");
    session.post_event(&world, &session.joined("u1", "c2", END_OF_GRACE + 5)).await;
    assert_eq!(status_and_end().await, ("live".to_owned(), json!(null)));
    // Each event extends the grace period. Then the session ends at the time of the last event.
    session.post_event(&world, &session.left("u1", "c1", END_OF_GRACE + 60)).await;
    sweep_at(&world, &session, END_OF_GRACE + 5 + 90).await;
    assert_eq!(status_and_end().await.0, "live");
    assert_eq!(sweep_at(&world, &session, END_OF_GRACE + 60 + 90).await["repaired"], 1);
    assert_eq!(status_and_end().await, ("ended".to_owned(), json!(session.at(END_OF_GRACE + 60))));

    // A late end event sets the end time. A second meeting instance makes the session live again.
    session.post_event(&world, &session.ended("u1", 0, 55)).await;
    assert_eq!(status_and_end().await, ("ended".to_owned(), json!(session.at(55))));
    session.post_event(&world, &session.started("u2", END_OF_GRACE + 200)).await;
    assert_eq!(status_and_end().await.0, "live");
    session.post_event(&world, &session.ended("u2", END_OF_GRACE + 200, END_OF_GRACE + 210)).await;
    assert_eq!(status_and_end().await, ("ended".to_owned(), json!(session.at(END_OF_GRACE + 210))));
    sweep_at(&world, &session, END_OF_GRACE + 400).await;
    assert!(world.due_work("ENDING").await.is_empty(), "no ending work should be due");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ended_session_cannot_be_cancelled_or_edited() {
    let (world, trainer, live) = scheduled().await;
    let scheduled = ScheduledSession::schedule_for_course(&world, &trainer).await;
    let link = json!({"provider": "manual", "join_url": "https://meet.example.test/a"});
    let manual =
        world.create(&trainer, &patched(course_session_body(26), link.clone())).await.expect(201);
    let manual = format!("/v1/sessions/{}", manual["id"].as_str().expect("an id"));
    live.post_event(&world, &live.started("u1", 0)).await;
    world.run_outbox_sweep().await;
    let mailed = world.sent_mails().await;
    world.advance(live.at(END_OF_GRACE).duration_since(world.now()));
    let next_week = patched(course_session_body(24 * 7), json!({}));
    for (path, edit) in [
        (&live.path, &next_week),
        (&scheduled.path, &next_week),
        (&manual, &patched(next_week.clone(), link.clone())),
    ] {
        let cancel = format!("{path}/cancel");
        world.post(&trainer, &cancel, json!({})).await.expect_problem(409, "session_ended");
        let edited = world.put(&trainer, path, edit.clone()).await;
        // Until the sweep ends it, a live session is rejected with another code.
        assert_eq!(edited.status, 409, "{path}: {}", edited.text);
    }
    world.sweep().await;
    for (path, edit) in [(&live.path, &next_week), (&scheduled.path, &next_week)] {
        world.put(&trainer, path, edit.clone()).await.expect_problem(409, "session_ended");
    }
    world.run_outbox_sweep().await;
    assert_eq!(world.sent_mails().await, mailed, "no mail should be sent after the end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn session_can_be_cancelled_until_grace_period_ends() {
    let (world, trainer, session) = scheduled().await;
    let last_second = session.at(END_OF_GRACE) - SignedDuration::from_secs(1);
    world.advance(last_second.duration_since(world.now()));
    let cancel = format!("{}/cancel", session.path);
    world.post(&trainer, &cancel, json!({})).await.expect(200);
    world.advance(SignedDuration::from_hours(48));
    world.post(&trainer, &cancel, json!({})).await.expect(200);
}
