//! Cancelling a session succeeds even if Zoom fails, notifies the recipients once and deletes the meeting.

use futures::future::join_all;
use http::Method;
use jiff::SignedDuration;
use local::calls::Service;
use local::faults::{Fault, FaultKind};
use serde_json::{Value, json};

use crate::support::{fields, patched, session_path};
use crate::world::{World, course_session_body};

async fn scheduled() -> (World, String, Value) {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    let session = world.create(&trainer, &course_session_body(50)).await.expect(201);
    (world, trainer, session)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancellation_is_sent_once_and_deletes_meeting() {
    let (world, trainer, session) = scheduled().await;
    let path = format!("{}/cancel", session_path(&session));
    let reason = json!({"reason": " The trainer is ill. "});
    let cancelled = world.post(&trainer, &path, reason).await.expect(200);
    assert_eq!(cancelled["status"], "cancelled");
    assert_eq!(cancelled["cancelled_at"], "2026-11-21T09:00:00Z");
    assert_eq!((&cancelled["version"], &cancelled["ics_sequence"]), (&json!(2), &json!(1)));
    assert_eq!(world.meeting_of(&session)["status"], "deleted");
    assert_eq!(world.reminders().await, []);
    assert_eq!(
        world.session_events().await,
        [("scheduled".to_owned(), 1, 0), ("cancelled".to_owned(), 2, 1)]
    );
    let events = world.due_work("OUTBOX").await;
    assert!(
        events.iter().any(|it| it["kind"] == "cancelled" && it["reason"] == "The trainer is ill.")
    );
    assert_eq!(world.monthly_session_count("trainer-1", "2026-11").await, 0);
    assert_eq!(world.due_work("REPAIR").await, Vec::<Value>::new());

    world.advance(SignedDuration::from_mins(1));
    let repeated = world.post(&trainer, &path, json!({"reason": "Another one."})).await.expect(200);
    assert_eq!(repeated, cancelled, "a repeated cancellation should change nothing");
    assert_eq!(world.session_events().await.len(), 2);
    assert_eq!(world.zoom_calls("session-cancel", "delete_meeting"), 1);

    let student = world.student(1).await;
    let listed = world.list_items(&student, "/v1/me/sessions").await;
    assert_eq!(listed[0]["join"]["state"], "cancelled");
    assert_eq!(world.list_items(&trainer, "/v1/sessions?status=cancelled").await.len(), 1);
    assert_eq!(world.list_items(&trainer, "/v1/sessions?status=scheduled").await.len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_cancellations_have_one_effect() {
    let (world, trainer, session) = scheduled().await;
    let responses = join_all((0..10).map(|_| world.cancel(&trainer, &session))).await;
    let bodies: Vec<_> = responses.into_iter().map(|response| response.expect(200)).collect();
    assert!(bodies.iter().all(|body| *body == bodies[0]));
    assert_eq!(world.session_events().await.len(), 2);
    assert_eq!(world.monthly_session_count("trainer-1", "2026-11").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancellation_succeeds_if_meeting_is_already_deleted() {
    let (world, trainer, session) = scheduled().await;
    let id = session["meeting"]["id"].as_str().expect("an id");
    world.delete("", &format!("/zoom/sim/meetings/{id}")).await.expect(204);
    world.cancel(&trainer, &session).await.expect(200);
    assert_eq!(world.due_work("REPAIR").await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn meeting_is_deleted_later_if_zoom_is_down() {
    for kind in [FaultKind::Error, FaultKind::Html, FaultKind::Throttle, FaultKind::Daily] {
        let (world, trainer, session) = scheduled().await;
        world.inject_fault(Fault::new(Service::Zoom, "delete_meeting", kind).times(2));
        let cancelled = world.cancel(&trainer, &session).await.expect(200);
        assert_eq!(cancelled["status"], "cancelled");
        assert_eq!(world.meeting_of(&session)["status"], "waiting", "{kind:?}");
        assert_eq!(world.session_events().await.len(), 2);
        assert_eq!(world.advance_and_sweep().await["repaired"], 1);
        assert_eq!(world.meeting_of(&session)["status"], "deleted", "{kind:?}");
        assert_eq!(world.due_work("REPAIR").await, Vec::<Value>::new());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn session_can_be_cancelled_without_zoom_connection() {
    let (world, trainer, session) = scheduled().await;
    world.delete(&trainer, "/v1/zoom/connection").await.expect(204);
    world.cancel(&trainer, &session).await.expect(200);
    assert_eq!(world.session_events().await.len(), 2);
    assert_eq!(
        world.advance_and_sweep().await,
        json!({"due": 1, "reminded": 0, "skipped": 0, "repaired": 0, "archived": 0, "postponed": 1}),
        "the meeting is deleted when the trainer connects again"
    );

    // The meeting is deleted once the trainer reconnects an account whose grant was invalid.
    let (world, trainer, session) = scheduled().await;
    world.advance(SignedDuration::from_hours(2));
    world.inject_zoom_fault("token", FaultKind::InvalidGrant);
    world.cancel(&trainer, &session).await.expect(200);
    assert_eq!(world.advance_and_sweep().await["postponed"], 1);
    assert_eq!(world.sweep().await["due"], 0, "the repair should be postponed");
    world.connect_zoom(&trainer, "app").await;
    world.advance(SignedDuration::from_mins(10));
    assert_eq!(world.sweep().await["repaired"], 1);
    assert_eq!(world.meeting_of(&session)["status"], "deleted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_cancellation_changes_nothing_and_can_be_retried() {
    for (kind, times) in [(FaultKind::Error, 3), (FaultKind::Throttle, 3), (FaultKind::Conflict, 5)]
    {
        let (world, trainer, session) = scheduled().await;
        let fault = Fault::new(Service::Dynamodb, "TransactWriteItems", kind)
            .for_function("session-cancel");
        world.inject_fault(fault.times(times));
        world.cancel(&trainer, &session).await.expect_problem(503, "unavailable");
        assert_eq!(world.meeting_of(&session)["status"], "waiting");
        assert_eq!(
            world.get(&trainer, &session_path(&session)).await.expect(200)["status"],
            "scheduled"
        );
        world.cancel(&trainer, &session).await.expect(200);
    }
    let (world, trainer, session) = scheduled().await;
    let fault = Fault::new(Service::Dynamodb, "TransactWriteItems", FaultKind::Lost)
        .for_function("session-cancel");
    world.inject_fault(fault.times(2));
    assert_eq!(world.cancel(&trainer, &session).await.expect(200)["version"], 2);
    assert_eq!(world.meeting_of(&session)["status"], "deleted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancellation_ends_live_meeting() {
    let (world, trainer, session) = scheduled().await;
    let id = session["meeting"]["id"].as_str().expect("an id");
    world.post("", &format!("/zoom/sim/meetings/{id}/start"), json!({})).await.expect(200);
    world.cancel(&trainer, &session).await.expect(200);
    let meeting = world.meeting_of(&session);
    assert_eq!(meeting["status"], "deleted");
    assert!(meeting["instances"][0]["ended_at"].is_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sweep_ends_live_meeting_of_cancelled_session() {
    let (world, trainer, session) = scheduled().await;
    let id = session["meeting"]["id"].as_str().expect("an id");
    world.post("", &format!("/zoom/sim/meetings/{id}/start"), json!({})).await.expect(200);
    world
        .post("", &format!("/zoom/sim/meetings/{id}/join"), json!({"name": "Sam"}))
        .await
        .expect(200);
    for operation in ["end_meeting", "delete_meeting"] {
        world.inject_fault(Fault::new(Service::Zoom, operation, FaultKind::Error).times(2));
    }
    world.cancel(&trainer, &session).await.expect(200);
    assert_eq!(world.meeting_of(&session)["status"], "started");
    assert_eq!(world.advance_and_sweep().await["repaired"], 1);
    let meeting = world.meeting_of(&session);
    assert_eq!(meeting["status"], "deleted");
    assert!(meeting["instances"][0]["ended_at"].is_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn meeting_deletion_waits_until_its_account_is_connected() {
    let (world, trainer, session) = scheduled().await;
    world.connect_zoom(&trainer, "other").await;
    world.cancel(&trainer, &session).await.expect(200);
    assert_eq!(world.session_events().await.len(), 2, "the recipients should be notified");
    assert_eq!(world.meeting_of(&session)["status"], "waiting");
    assert_eq!(world.advance_and_sweep().await["postponed"], 1);
    assert_eq!(world.meeting_of(&session)["status"], "waiting");

    world.connect_zoom(&trainer, "app").await;
    world.advance(SignedDuration::from_mins(10));
    assert_eq!(world.sweep().await["repaired"], 1);
    assert_eq!(world.meeting_of(&session)["status"], "deleted");
    assert_eq!(world.due_work("REPAIR").await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_edit_and_cancellation_end_cancelled() {
    let (world, trainer, session) = scheduled().await;
    let body = patched(course_session_body(50), json!({"title": "Geometry"}));
    let (edited, cancelled) =
        futures::join!(world.edit(&trainer, &session, &body), world.cancel(&trainer, &session));
    cancelled.expect(200);
    assert!([200, 409].contains(&edited.status.as_u16()), "{}", edited.text);
    world.advance_and_sweep().await;
    let shown = world.get(&trainer, &session_path(&session)).await.expect(200);
    assert_eq!(shown["status"], "cancelled");
    assert_eq!(world.meeting_of(&session)["status"], "deleted");
    let events = world.session_events().await;
    assert_eq!(events.last().map(|(kind, ..)| kind.as_str()), Some("cancelled"));
    assert_eq!(events.last().map(|(.., sequence)| *sequence), shown["ics_sequence"].as_u64());
    assert_eq!(world.reminders().await, []);
    assert_eq!(world.due_work("REPAIR").await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancellation_by_others_or_with_invalid_body_is_rejected() {
    let (world, trainer, session) = scheduled().await;
    let other = world.other_trainer().await;
    world.cancel(&other, &session).await.expect_problem(404, "not_found");
    let student = world.student(1).await;
    world.cancel(&student, &session).await.expect_problem(403, "forbidden");
    world.cancel("", &session).await.expect_problem(401, "unauthenticated");
    for id in ["ses_aaaaaaaaaaaaaaaaaaaaaaaaaa", "nonsense"] {
        world
            .post(&trainer, &format!("/v1/sessions/{id}/cancel"), json!({}))
            .await
            .expect_problem(404, "not_found");
    }
    let path = format!("{}/cancel", session_path(&session));
    for (body, field) in [
        (json!({"reason": "x".repeat(501)}), "reason"),
        (json!({"reason": 7}), "reason"),
        (json!({"why": "x"}), "why"),
    ] {
        let problem = world
            .call(Method::POST, &path, &trainer, Some(body), &[])
            .await
            .expect_problem(422, "validation_failed");
        assert_eq!(fields(&problem), [field]);
    }
    assert_eq!(
        world.get(&trainer, &session_path(&session)).await.expect(200)["status"],
        "scheduled"
    );
    assert_eq!(world.meetings().len(), 1);
}
