//! A lease, a claim or a reservation is recognized as one's own although the response to its acquisition was lost, so
//! nobody waits until it expires.

use jiff::SignedDuration;
use local::calls::Service::{Dynamodb, Zoom};
use local::faults::{Fault, FaultKind};
use serde_json::json;

use crate::support::patched;
use crate::world::{World, course_session_body, session_body};
use crate::zoom_session::ScheduledSession;

/// One lost response, and as many as the AWS SDK makes attempts.
const LOST_RESPONSES: [u32; 2] = [1, 3];

async fn connected() -> (World, String) {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    (world, trainer)
}

/// Loses responses to a function's writes from the `nth` on.
fn lose_responses(world: &World, function: &str, operation: &str, nth: u32, times: u32) {
    let lost = Fault::new(Dynamodb, operation, FaultKind::Lost).for_function(function);
    world.inject_fault(lost.after(nth).times(times));
}

fn faults_are_used_up(world: &World) -> bool {
    world.stack.faults.list().is_empty()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refresh_lease_is_recognized_at_once() {
    let (world, trainer) = connected().await;
    for times in LOST_RESPONSES {
        world.advance(SignedDuration::from_hours(2));
        lose_responses(&world, "session-save", "UpdateItem", 0, times);
        world.create(&trainer, &session_body(50)).await.expect(201);
        assert!(faults_are_used_up(&world));
        world.create(&trainer, &session_body(51)).await.expect(201);
    }
    assert_eq!(world.stack.zoom.token_refreshes(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reservation_and_edit_lease_are_recognized_at_once() {
    let (world, trainer) = connected().await;
    for times in LOST_RESPONSES {
        lose_responses(&world, "session-save", "TransactWriteItems", 0, times);
        let session = world.create(&trainer, &session_body(50)).await.expect(201);
        assert!(faults_are_used_up(&world));
        lose_responses(&world, "session-save", "TransactWriteItems", 0, times);
        let longer = patched(session_body(50), json!({"duration_minutes": 90}));
        world.edit(&trainer, &session, &longer).await.expect(200);
        assert!(faults_are_used_up(&world));
        assert_eq!(world.meeting_updates(&session).len(), 1);
    }
    assert_eq!(world.meetings().len(), LOST_RESPONSES.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oauth_attempt_is_recognized_at_once() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    for times in LOST_RESPONSES {
        for operation in ["PutItem", "UpdateItem", "TransactWriteItems"] {
            lose_responses(&world, "connect", operation, 0, times);
            world.connect_zoom(&trainer, "app").await;
            assert!(faults_are_used_up(&world), "{operation}");
            world.stack.zoom.expire_access_tokens();
            world.create(&trainer, &session_body(50)).await.expect(201);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claims_of_the_repair_are_recognized_at_once() {
    for times in LOST_RESPONSES {
        // A create that died after Zoom had created the meeting.
        let (world, trainer) = connected().await;
        world.inject_zoom_fault("create_meeting", FaultKind::Lost);
        world.inject_fault(Fault::new(Zoom, "list_meetings", FaultKind::Error).times(2));
        let died = world.create_with_idempotency_key(&trainer, "k", &session_body(50)).await;
        died.expect_problem(502, "zoom_unavailable");
        world.advance(SignedDuration::from_secs(90));
        lose_responses(&world, "reminder-sweep", "UpdateItem", 0, times);
        assert_eq!(world.sweep().await["repaired"], 1);
        assert!(faults_are_used_up(&world));
        assert_eq!(world.meetings().len(), 0);

        // An edit that died after Zoom had changed the meeting. The lease is a transaction, and its release an update.
        let session = world.create(&trainer, &session_body(50)).await.expect(201);
        for (n, operation) in ["UpdateItem", "TransactWriteItems"].into_iter().enumerate() {
            // A transaction is only recognized by one of its responses.
            if operation == "TransactWriteItems" && times > 1 {
                break;
            }
            world.inject_fault(Fault::new(Zoom, "update_meeting", FaultKind::Lost).times(2));
            let minutes = json!({"duration_minutes": 90 + n});
            let died = world.edit(&trainer, &session, &patched(session_body(50), minutes)).await;
            died.expect_problem(502, "zoom_unavailable");
            world.advance(SignedDuration::from_secs(90));
            lose_responses(&world, "reminder-sweep", operation, 0, times);
            assert_eq!(world.sweep().await["repaired"], 1, "{operation} {times}");
            assert!(faults_are_used_up(&world), "{operation} {times}");
            assert_eq!(world.meeting_of(&session)["duration"], 60);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outbox_lease_is_recognized_at_once() {
    // The writes of a run are the mark of the notified session, the lease, and the claims of the mails.
    let (world, trainer) = connected().await;
    for nth in 0..3 {
        world.create(&trainer, &course_session_body(50 + i64::from(nth))).await.expect(201);
        lose_responses(&world, "outbox-sweep", "UpdateItem", nth, 1);
        assert_eq!(world.run_outbox_sweep().await["sent"], 5, "{nth}");
        assert!(faults_are_used_up(&world));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn launched_poll_is_recognized_at_once() {
    let (world, trainer) = connected().await;
    let session = ScheduledSession::schedule(&world, &trainer, course_session_body(1)).await;
    world.advance(SignedDuration::from_hours(1));
    session.post_event(&world, &session.started("u1", 0)).await;
    let polls = format!("{}/polls", session.path);
    for (number, times) in LOST_RESPONSES.into_iter().enumerate() {
        let question = json!({"question": "Which fraction is larger?", "options": ["2/3", "3/4"]});
        lose_responses(&world, "poll", "UpdateItem", 0, times);
        let poll = world.post(&trainer, &polls, question).await.expect(201);
        assert!(faults_are_used_up(&world));
        let id = poll["id"].as_str().expect("an id");
        let close = format!("{polls}/{id}/close");
        world.call(http::Method::POST, &close, &trainer, None, &[]).await.expect(200);
        assert_eq!(world.list_items(&trainer, &polls).await.len(), number + 1);
    }
}
