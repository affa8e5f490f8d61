//! The end of a session: lost end events, and changes after the end.

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::patched;
use crate::world::{World, course_session_body};
use crate::zoom_session::ScheduledSession;

/// Minutes from the planned start until the session's window closes.
const WINDOW_CLOSES: i64 = 60 + 90;

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

/// An attendance report without the members that state which data may still arrive.
async fn figures(world: &World, trainer: &str, path: &str) -> Value {
    let mut report = world.get(trainer, path).await.expect(200);
    let members = report.as_object_mut().expect("an object");
    for member in ["final", "sources"] {
        assert!(members.remove(member).is_some(), "{member}");
    }
    report
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn session_ends_when_its_window_closes() {
    let (world, trainer, session) = scheduled().await;
    sweep_at(&world, &session, 0).await;
    session.post_event(&world, &session.started("u1", 0)).await;
    session.post_event(&world, &session.joined("u1", "c1", 1)).await;
    let status_and_end = async || {
        let shown = session.fetch(&world, &trainer).await;
        (shown["status"].as_str().expect("text").to_owned(), shown["actual_ended_at"].clone())
    };
    sweep_at(&world, &session, WINDOW_CLOSES - 1).await;
    assert_eq!(status_and_end().await, ("live".to_owned(), json!(null)));
    assert_eq!(sweep_at(&world, &session, WINDOW_CLOSES).await["repaired"], 1);
    let closed = ("ended".to_owned(), json!(session.at(WINDOW_CLOSES)));
    assert_eq!(status_and_end().await, closed, "somebody was connected until the end");
    assert!(world.due_work("ENDING").await.is_empty());
    let live = world.list_items(&trainer, "/v1/sessions?status=live").await;
    assert!(live.is_empty(), "{live:?}");

    // The meeting continues. The same webhook sandbox has cached the session as live.
    session.post_event(&world, &session.joined("u1", "c2", WINDOW_CLOSES + 5)).await;
    session.post_event(&world, &session.left("u1", "c2", WINDOW_CLOSES + 60)).await;
    assert_eq!(status_and_end().await, closed, "the class is over");
    assert!(world.due_work("ENDING").await.is_empty());

    // A late end event sets the end time.
    session.post_event(&world, &session.left("u1", "c1", 70)).await;
    session.post_event(&world, &session.ended("u1", 0, 71)).await;
    assert_eq!(status_and_end().await, ("ended".to_owned(), json!(session.at(71))));
    sweep_at(&world, &session, WINDOW_CLOSES + 400).await;
    assert!(world.due_work("ENDING").await.is_empty(), "no ending work should be due");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn session_that_everybody_left_ends_at_its_planned_end() {
    let (world, trainer, session) = scheduled().await;
    sweep_at(&world, &session, 0).await;
    session.post_event(&world, &session.started("u1", 0)).await;
    session.post_event(&world, &session.joined("u1", "c1", 1)).await;
    session.post_event(&world, &session.left("u1", "c1", 55)).await;
    sweep_at(&world, &session, WINDOW_CLOSES).await;
    let shown = session.fetch(&world, &trainer).await;
    assert_eq!(
        (&shown["status"], &shown["actual_ended_at"]),
        (&json!("ended"), &json!(session.at(60)))
    );
    // A join that was delivered late shows that the meeting ran longer.
    session.post_event(&world, &session.joined("u1", "c2", WINDOW_CLOSES - 10)).await;
    world.sweep().await;
    let shown = session.fetch(&world, &trainer).await;
    assert_eq!(
        (&shown["status"], &shown["actual_ended_at"]),
        (&json!("ended"), &json!(session.at(WINDOW_CLOSES)))
    );
}

/// The meeting is started again three hours after a class of an hour.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn later_use_of_the_meeting_leaves_the_session_unchanged() {
    let (world, trainer, session) = scheduled().await;
    let student = world.student(1).await;
    sweep_at(&world, &session, 0).await;
    session.post_event(&world, &session.started("u1", 0)).await;
    let customer_key = |student: &Value| student["customer_key"].clone();
    let joined = world.post(&student, &format!("{}/join", session.path), json!({})).await;
    let key = customer_key(&joined.expect(200));
    let event = |kind: &str, uuid: &str, id: &str, key: &Value, minute| {
        let mut event = match kind {
            "joined" => session.joined(uuid, id, minute),
            _ => session.left(uuid, id, minute),
        };
        event["payload"]["object"]["participant"]["customer_key"] = key.clone();
        event
    };
    session.post_event(&world, &event("joined", "u1", "c1", &key, 0)).await;
    let polls = format!("{}/polls", session.path);
    let question = json!({"question": "Clear?", "options": ["yes", "no"]});
    let poll = world.post(&trainer, &polls, question).await.expect(201);
    let vote = format!("{polls}/{}/vote", poll["id"].as_str().expect("an id"));
    let choice = json!({"option_ids": [poll["options"][0]["id"]]});
    world.put(&student, &vote, choice.clone()).await.expect(200);
    world.advance(SignedDuration::from_mins(60));
    let trainer = world.trainer().await;
    session.post_event(&world, &event("left", "u1", "c1", &key, 60)).await;
    session.post_event(&world, &session.ended("u1", 0, 60)).await;
    let report_path = format!("{}/attendance", session.path);
    // The time to join passes. Everything else stays as it was.
    let fetch_without_join = async |trainer: &str| {
        let mut shown = session.fetch(&world, trainer).await;
        shown["join"] = Value::Null;
        shown
    };
    let shown = fetch_without_join(&trainer).await;
    let report = figures(&world, &trainer, &report_path).await;
    assert_eq!((&report["present"], &report["counted_minutes"]), (&json!(1), &json!(60)));

    world.advance(SignedDuration::from_mins(180));
    let (trainer, student2) = (world.trainer().await, world.student(2).await);
    session.post_event(&world, &session.started("u2", 240)).await;
    session.post_event(&world, &event("joined", "u2", "c2", &json!("somebody"), 241)).await;
    world.post(&student2, &format!("{}/join", session.path), json!({})).await.expect(409);
    let student = world.student(1).await;
    world.put(&student, &vote, choice).await.expect_problem(409, "session_ended");
    assert_eq!(fetch_without_join(&trainer).await, shown, "while it runs");
    session.post_event(&world, &session.ended("u2", 240, 600)).await;
    assert_eq!(fetch_without_join(&trainer).await, shown, "after it ended");
    assert_eq!(figures(&world, &trainer, &report_path).await, report);
    assert!(world.due_work("ENDING").await.is_empty());
}

/// The trainer forgets to end the meeting. Students attended all planned minutes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forgotten_meeting_changes_neither_status_nor_report() {
    let (world, _, session) = scheduled().await;
    sweep_at(&world, &session, 0).await;
    session.post_event(&world, &session.started("u1", 0)).await;
    session.post_event(&world, &session.joined("u1", "host", 0)).await;
    let email = json!("student1@example.test");
    for (kind, minute) in [("joined", 0), ("left", 60)] {
        let mut event = match kind {
            "joined" => session.joined("u1", "c1", minute),
            _ => session.left("u1", "c1", minute),
        };
        event["payload"]["object"]["participant"]["email"] = email.clone();
        session.post_event(&world, &event).await;
    }
    sweep_at(&world, &session, WINDOW_CLOSES).await;
    let trainer = world.trainer().await;
    let report_path = format!("{}/attendance", session.path);
    let swept = figures(&world, &trainer, &report_path).await;
    let rows = swept["attendees"].as_array().expect("rows");
    let student = rows.iter().find(|row| row["email"] == email).expect("a row");
    assert_eq!(
        (&student["percent"], &student["present"], &student["status"]),
        (&json!(100.0), &json!(true), &json!("present")),
        "{swept}"
    );
    assert_eq!((&swept["held_minutes"], &swept["counted_minutes"]), (&json!(150), &json!(60)));

    world.advance(SignedDuration::from_mins(90));
    session.post_event(&world, &session.ended("u1", 0, 240)).await;
    let trainer = world.trainer().await;
    assert_eq!(figures(&world, &trainer, &report_path).await, swept);
    assert_eq!(session.fetch(&world, &trainer).await["status"], "ended");
}

/// The trainer tests the room in the window and comes back for the class.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn test_start_in_the_window_leaves_the_session_scheduled() {
    let (world, trainer, session) = scheduled().await;
    sweep_at(&world, &session, -10).await;
    session.post_event(&world, &session.started("t", -10)).await;
    assert_eq!(session.fetch(&world, &trainer).await["status"], "live");
    session.post_event(&world, &session.ended("t", -10, -6)).await;
    let shown = session.fetch(&world, &trainer).await;
    assert_eq!(
        (&shown["status"], &shown["actual_started_at"], &shown["actual_ended_at"]),
        (&json!("scheduled"), &Value::Null, &Value::Null)
    );
    session.post_event(&world, &session.started("u", 2)).await;
    session.post_event(&world, &session.ended("u", 2, 58)).await;
    let shown = session.fetch(&world, &trainer).await;
    assert_eq!(
        (&shown["status"], &shown["actual_started_at"], &shown["actual_ended_at"]),
        (&json!("ended"), &json!(session.at(2)), &json!(session.at(58)))
    );
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
    world.advance(live.at(WINDOW_CLOSES).duration_since(world.now()));
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
async fn session_can_be_cancelled_until_its_window_closes() {
    let (world, trainer, session) = scheduled().await;
    let last_second = session.at(WINDOW_CLOSES) - SignedDuration::from_secs(1);
    world.advance(last_second.duration_since(world.now()));
    let cancel = format!("{}/cancel", session.path);
    world.post(&trainer, &cancel, json!({})).await.expect(200);
    world.advance(SignedDuration::from_hours(48));
    world.post(&trainer, &cancel, json!({})).await.expect(200);
}
