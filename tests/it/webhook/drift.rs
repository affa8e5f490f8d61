//! Drift: changes at Zoom are flagged, also with late events, and our own changes are not.

use http::Method;
use jiff::SignedDuration;
use local::calls::Service::{Dynamodb, Zoom};
use local::faults::{Fault, FaultKind};
use serde_json::{Value, json};

use super::world_with_session;
use crate::functions::wait_until;
use crate::support::{invitees, patched};
use crate::world::{World, course_session_body};
use crate::zoom_session::{ScheduledSession, simulate};

/// A body that changes only the audience, which Zoom does not store.
fn audience_edit() -> Value {
    let audience = json!({"audience_type": "invitees", "course_id": null, "invitees": invitees(2)});
    patched(course_session_body(26), audience)
}

/// The number of pending notifications about a deleted meeting.
async fn deletion_notifications(world: &World) -> usize {
    let due = world.due_work("OUTBOX").await;
    due.iter().filter(|item| item["event"] == "meeting_deleted").count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn change_at_zoom_is_flagged_until_the_next_edit() {
    let (world, trainer, session) = world_with_session().await;
    let drift = async || session.fetch(&world, &trainer).await["drift"].clone();
    let moved = session.at(30);
    let updated = |minute: i64, object: Value| {
        let at = world.now() + SignedDuration::from_mins(minute);
        session.event("meeting.updated", at, &object)
    };
    let title = updated(1, json!({"topic": "Geometry"}));
    session.post_event(&world, &title).await;
    assert_eq!(drift().await, json!(["title"]));
    // This event does not contain the title, which still differs.
    session.post_event(&world, &updated(2, json!({"duration": 90, "start_time": moved}))).await;
    assert_eq!(drift().await, json!(["duration_minutes", "starts_at", "title"]));
    session.post_event(&world, &updated(3, json!({"settings": {"mute_upon_entry": true}}))).await;
    assert_eq!(drift().await, json!(["duration_minutes", "starts_at", "title"]));
    // Reverted at Zoom. A late event with an earlier time is ignored.
    session
        .post_event(&world, &updated(5, json!({"duration": 60, "start_time": session.starts_at})))
        .await;
    session.post_event(&world, &updated(4, json!({"duration": 45}))).await;
    assert_eq!(drift().await, json!(["title"]));
    // Students do not see drift.
    let seen = world.get(&world.student(1).await, &session.path).await.expect(200);
    assert!(seen.get("drift").is_none());

    world.advance(SignedDuration::from_mins(10));
    let mut body = course_session_body(26);
    body["description"] = json!("With fractions.");
    world.put(&trainer, &session.path, body.clone()).await.expect(200);
    assert_eq!(drift().await, json!([]));
    let patch = world.stack.zoom.meeting(session.meeting).expect("a meeting")["requests"]
        .as_array()
        .and_then(|all| all.last())
        .cloned()
        .expect("a request");
    assert!(patch.to_string().contains("Algebra I"), "the title is reverted: {patch}");
    // Zoom sends the event again much later.
    session.post_event(&world, &title).await;
    assert_eq!(drift().await, json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_about_our_own_edit_is_not_drift_in_any_order() {
    let (world, trainer, session) = world_with_session().await;
    simulate(&world, "knobs", json!({"webhooks": {"shuffle": true, "duplicate": 2}})).await;
    for n in 0..5 {
        world.advance(SignedDuration::from_secs(1));
        let mut body = course_session_body(26 + n);
        body["title"] = json!(format!("Algebra {n}"));
        body["duration_minutes"] = json!(60 + 15 * n);
        world.put(&trainer, &session.path, body).await.expect(200);
        if n % 2 == 0 {
            world.stack.zoom.deliver_due().await;
        }
    }
    world.stack.zoom.deliver_due().await;
    assert_eq!(session.fetch(&world, &trainer).await["drift"], json!([]));

    // During an edit, Zoom sends its event before the edit is stored.
    world.advance(SignedDuration::from_secs(1));
    let slow = Fault { delay_ms: Some(600), ..Fault::new(Zoom, "update_meeting", FaultKind::Late) };
    world.inject_fault(slow);
    let mut body = course_session_body(26);
    body["title"] = json!("Geometry");
    let before = world.stack.zoom.webhooks().len();
    let edit = world.put(&trainer, &session.path, body);
    let deliver = async {
        wait_until("Zoom has received the edit", || world.stack.zoom.webhooks().len() > before)
            .await;
        world.stack.zoom.deliver_due().await;
    };
    let (edited, ()) = futures::join!(edit, deliver);
    assert_eq!(edited.expect(200)["drift"], json!([]));
    assert_eq!(session.fetch(&world, &trainer).await["drift"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn meeting_deleted_at_zoom_is_flagged_and_own_deletion_is_not() {
    let (world, trainer, session) = world_with_session().await;
    let drift = async || session.fetch(&world, &trainer).await["drift"].clone();
    let later = world.now() + SignedDuration::from_mins(2);
    let recovered = session.event("meeting.recovered", later, &json!({}));
    let path = format!("/zoom/sim/meetings/{}", session.meeting);
    world.call(Method::DELETE, &path, "", None, &[]).await.expect(204);
    assert_eq!(drift().await, json!(["deleted"]));
    // Another change does not clear the flag, but recovering the meeting does.
    let updated = session.event("meeting.updated", later, &json!({"topic": "Geometry"}));
    session.post_event(&world, &updated).await;
    assert_eq!(drift().await, json!(["title", "deleted"]));
    session.post_event(&world, &recovered).await;
    assert_eq!(drift().await, json!(["title"]));

    let session = ScheduledSession::schedule_for_course(&world, &trainer).await;
    world.post(&trainer, &format!("{}/cancel", session.path), json!({})).await.expect(200);
    world.stack.zoom.deliver_due().await;
    let shown = session.fetch(&world, &trainer).await;
    assert_eq!((&shown["status"], &shown["drift"]), (&json!("cancelled"), &json!([])));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_deletion_event_counts_unless_a_later_edit_reached_zoom() {
    let (world, trainer, session) = world_with_session().await;
    world.advance(SignedDuration::from_mins(1));
    let deleted = session.event("meeting.deleted", world.now(), &json!({}));
    world.advance(SignedDuration::from_mins(1));
    world.put(&trainer, &session.path, audience_edit()).await.expect(200);
    world.advance(SignedDuration::from_mins(3));
    session.post_event(&world, &deleted).await;
    assert_eq!(session.fetch(&world, &trainer).await["drift"], json!(["deleted"]));
    assert_eq!(deletion_notifications(&world).await, 1);

    // An edit that Zoom received later than the deletion event: the meeting existed at that time.
    let session = ScheduledSession::schedule_for_course(&world, &trainer).await;
    world.advance(SignedDuration::from_mins(1));
    let deleted = session.event("meeting.deleted", world.now(), &json!({}));
    world.advance(SignedDuration::from_mins(1));
    let longer = patched(course_session_body(26), json!({"duration_minutes": 90}));
    world.put(&trainer, &session.path, longer).await.expect(200);
    session.post_event(&world, &deleted).await;
    assert_eq!(session.fetch(&world, &trainer).await["drift"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deletion_during_an_edit_is_not_lost() {
    let slow = |service, operation: &str| {
        let late = Fault::new(service, operation, FaultKind::Late).for_function("session-save");
        Fault { delay_ms: Some(900), ..late }
    };
    let longer = patched(course_session_body(26), json!({"duration_minutes": 90}));
    for (reads, body) in [(true, audience_edit()), (true, longer.clone()), (false, longer)] {
        let (world, trainer, session) = world_with_session().await;
        world.stack.usage.reset();
        let (service, operation) =
            if reads { (Dynamodb, "BatchGetItem") } else { (Zoom, "update_meeting") };
        world.inject_fault(slow(service, operation));
        let edit = world.put(&trainer, &session.path, body.clone());
        let delete = async {
            let call_count = || world.stack.usage.calls("session-save", service, operation);
            wait_until("the edit is waiting", || call_count() > 0).await;
            let path = format!("/zoom/sim/meetings/{}", session.meeting);
            world.call(Method::DELETE, &path, "", None, &[]).await.expect(204);
        };
        let (edited, ()) = futures::join!(edit, delete);
        // Zoom rejects a call after the deletion.
        assert!([200, 409].contains(&edited.status.as_u16()), "{}", edited.text);
        let shown = session.fetch(&world, &trainer).await;
        assert_eq!(shown["drift"], json!(["deleted"]), "{service:?} {body}");
        assert_eq!(deletion_notifications(&world).await, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edit_does_not_clear_drift_found_during_the_edit() {
    let (world, trainer, session) = world_with_session().await;
    let at = world.now() + SignedDuration::from_mins(1);
    session
        .post_event(&world, &session.event("meeting.updated", at, &json!({"topic": "Geometry"})))
        .await;
    world.advance(SignedDuration::from_mins(2));
    world.stack.usage.reset();
    // Long enough for the deletion event to arrive in between, also on a busy machine.
    let slow =
        Fault { delay_ms: Some(3000), ..Fault::new(Zoom, "update_meeting", FaultKind::Late) };
    world.inject_fault(slow.for_function("session-save"));
    let longer = patched(course_session_body(26), json!({"duration_minutes": 90}));
    let edit = world.put(&trainer, &session.path, longer);
    let delete = async {
        let call_count = || world.stack.usage.calls("session-save", Zoom, "update_meeting");
        wait_until("Zoom has received the edit", || call_count() > 0).await;
        let path = format!("/zoom/sim/meetings/{}", session.meeting);
        world.call(Method::DELETE, &path, "", None, &[]).await.expect(204);
    };
    let (edited, ()) = futures::join!(edit, delete);
    edited.expect_problem(409, "conflict");
    let shown = session.fetch(&world, &trainer).await;
    assert_eq!((&shown["version"], &shown["duration_minutes"]), (&json!(1), &json!(60)));
    assert!(shown["drift"].as_array().is_some_and(|drift| drift.contains(&json!("deleted"))));
    assert_eq!(deletion_notifications(&world).await, 1);
}
