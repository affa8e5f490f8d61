//! Scheduling while Zoom, the table or the function fails: afterwards there is one session with one meeting, or
//! neither.

use jiff::SignedDuration;
use local::calls::Service;
use local::faults::{Fault, FaultKind};
use serde_json::{Value, json};

use super::{assert_nothing_created, assert_one_session, connected_trainer, manual_session_body};
use crate::functions::wait_until;
use crate::late_answers::finish_repairs;
use crate::support::patched;
use crate::world::session_body;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zoom_failure_leaves_nothing_half_created() {
    let (world, mut trainer) = connected_trainer().await;
    let unknown = [
        Fault::new(Service::Zoom, "create_meeting", FaultKind::Error),
        Fault::new(Service::Zoom, "create_meeting", FaultKind::Html),
        Fault { status: Some(200), ..Fault::new(Service::Zoom, "create_meeting", FaultKind::Html) },
    ];
    for fault in unknown {
        world.inject_fault(fault);
        let problem =
            world.create(&trainer, &session_body(26)).await.expect_problem(502, "zoom_unavailable");
        assert!(!problem["detail"].as_str().unwrap_or_default().contains("html"), "{problem}");
        // It is unknown whether Zoom created the meeting. The sweep looks it up and releases the quota.
        finish_repairs(&world).await;
        trainer = world.trainer().await;
        assert_nothing_created(&world, &trainer).await;
        assert_eq!(world.due_work("REPAIR").await, Vec::<Value>::new());
    }
    // A 401 leads to one refresh and one retry. A rejected request is not retried.
    world.inject_fault(
        Fault::new(Service::Zoom, "create_meeting", FaultKind::Unauthorized).times(2),
    );
    world.create(&trainer, &session_body(26)).await.expect_problem(409, "reauth_required");
    world.inject_fault(Fault {
        status: Some(400),
        ..Fault::new(Service::Zoom, "create_meeting", FaultKind::Error)
    });
    world.create(&trainer, &session_body(26)).await.expect_problem(502, "zoom_rejected");
    assert_nothing_created(&world, &trainer).await;
    world.inject_zoom_fault("create_meeting", FaultKind::Unauthorized);
    world.create(&trainer, &session_body(26)).await.expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hanging_zoom_call_is_abandoned_within_the_function_timeout() {
    let (world, trainer) = connected_trainer().await;
    world.inject_zoom_fault("create_meeting", FaultKind::Timeout);
    world.create(&trainer, &session_body(26)).await.expect_problem(502, "zoom_unavailable");
    world.advance_and_sweep().await;
    assert_nothing_created(&world, &trainer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn meeting_of_a_lost_response_is_found_by_its_mark() {
    for kind in [FaultKind::Lost, FaultKind::Half] {
        let (world, trainer) = connected_trainer().await;
        // Another session has the same title and start, but another mark.
        world.create(&trainer, &session_body(26)).await.expect(201);
        world.inject_zoom_fault("create_meeting", kind);
        let long = patched(session_body(26), json!({"description": "é".repeat(2000)}));
        let made = world.create(&trainer, &long).await.expect(201);
        assert_eq!(world.stack.zoom.meetings().len(), 2, "{kind:?}");
        assert_eq!(world.zoom_calls("session-save", "create_meeting"), 2, "no blind retry");
        let meeting = world.meeting_of(&made);
        assert_eq!(made["meeting"]["passcode"], meeting["password"]);
        assert_eq!(meeting["status"], "waiting");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn meeting_of_a_lost_response_is_adopted_by_the_retry() {
    let (world, trainer) = connected_trainer().await;
    world.inject_zoom_fault("create_meeting", FaultKind::Lost);
    world.inject_fault(Fault::new(Service::Zoom, "list_meetings", FaultKind::Error).times(2));
    world
        .create_with_idempotency_key(&trainer, "k", &session_body(26))
        .await
        .expect_problem(502, "zoom_unavailable");
    assert_eq!(world.meetings().len(), 1, "the meeting exists without a session");
    // Another body with the same key is rejected, also while the first request is unfinished.
    let other = patched(session_body(26), json!({"title": "Geometry"}));
    for body in [&other, &manual_session_body()] {
        world
            .create_with_idempotency_key(&trainer, "k", body)
            .await
            .expect_problem(422, "idempotency_key_reused");
    }
    // The retry does not wait, because the first request has released its lease.
    world.create_with_idempotency_key(&trainer, "k", &session_body(26)).await.expect(201);
    assert_one_session(&world, &trainer).await;
    assert_eq!(world.zoom_calls("session-save", "create_meeting"), 1);
    finish_repairs(&world).await;
    assert_one_session(&world, &world.trainer().await).await;
    assert_eq!(world.due_work("REPAIR").await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn meeting_of_a_lost_response_is_deleted_by_sweep_without_retry() {
    let (world, trainer) = connected_trainer().await;
    world.inject_zoom_fault("create_meeting", FaultKind::Lost);
    world.inject_fault(Fault::new(Service::Zoom, "list_meetings", FaultKind::Error).times(2));
    world
        .create_with_idempotency_key(&trainer, "k", &session_body(26))
        .await
        .expect_problem(502, "zoom_unavailable");
    let report = world.sweep().await;
    assert_eq!(report["due"], 0, "the creation intent has not expired yet");
    let report = world.advance_and_sweep().await;
    assert_eq!((&report["repaired"], &report["postponed"]), (&json!(1), &json!(0)));
    assert_nothing_created(&world, &trainer).await;
    world.create_with_idempotency_key(&trainer, "k", &session_body(26)).await.expect(201);
    assert_one_session(&world, &trainer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn monthly_quota_is_released_while_the_client_retries() {
    let (world, trainer) = connected_trainer().await;
    world.put_settings(json!({"plans": {"pro": {"sessions_per_month": 1}}})).await;
    let quota_used = async || world.monthly_session_count("trainer-1", "2026-11").await;
    for kind in [FaultKind::Error, FaultKind::Html, FaultKind::Lost] {
        world.inject_zoom_fault("create_meeting", kind);
        world.inject_fault(Fault::new(Service::Zoom, "list_meetings", FaultKind::Error).times(2));
        world.create(&trainer, &session_body(26)).await.expect_problem(502, "zoom_unavailable");
        assert_eq!(quota_used().await, 0, "{kind:?}");
    }
    // A retry with the same key uses one quota.
    world.inject_zoom_fault("create_meeting", FaultKind::Error);
    world
        .create_with_idempotency_key(&trainer, "k", &session_body(27))
        .await
        .expect_problem(502, "zoom_unavailable");
    let made =
        world.create_with_idempotency_key(&trainer, "k", &session_body(27)).await.expect(201);
    assert_eq!(quota_used().await, 1);
    // The earlier requests do not use a quota again, and their cleanup does not release one.
    world.create(&trainer, &session_body(28)).await.expect_problem(403, "plan_limit");
    assert_eq!(world.advance_and_sweep().await["postponed"], 0);
    assert_eq!((quota_used().await, world.meetings().len()), (1, 1));
    world.cancel(&trainer, &made).await.expect(200);
    assert_eq!(quota_used().await, 0);

    // Another session has used the quota meanwhile.
    world.inject_zoom_fault("create_meeting", FaultKind::Error);
    world
        .create_with_idempotency_key(&trainer, "l", &session_body(29))
        .await
        .expect_problem(502, "zoom_unavailable");
    world.create(&trainer, &session_body(30)).await.expect(201);
    world
        .create_with_idempotency_key(&trainer, "l", &session_body(29))
        .await
        .expect_problem(403, "plan_limit");
    assert_eq!(quota_used().await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn meeting_is_deleted_when_the_session_cannot_be_stored() {
    for (kind, times) in [
        (FaultKind::Error, 3),
        (FaultKind::Throttle, 3),
        (FaultKind::Conflict, 5),
        (FaultKind::Unauthorized, 1),
    ] {
        let (world, trainer) = connected_trainer().await;
        world.fail_session_commit(kind, times);
        let response = world.create_with_idempotency_key(&trainer, "k", &session_body(26)).await;
        let status = response.status.as_u16();
        assert!(status == 503 || status == 500, "{kind:?}: {status}");
        assert_eq!(world.stack.zoom.meetings().len(), 1, "{kind:?}: the meeting had been created");
        assert_nothing_created(&world, &trainer).await;
        world.create_with_idempotency_key(&trainer, "k", &session_body(26)).await.expect(201);
        assert_eq!(world.advance_and_sweep().await["postponed"], 0);
        assert_one_session(&world, &trainer).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contended_or_throttled_commit_succeeds_after_retry() {
    for (kind, times) in [
        (FaultKind::Error, 2),
        (FaultKind::Throttle, 2),
        (FaultKind::Conflict, 4),
        (FaultKind::Lost, 1),
    ] {
        let (world, trainer) = connected_trainer().await;
        world.fail_session_commit(kind, times);
        world.create(&trainer, &session_body(26)).await.expect(201);
        assert_one_session(&world, &trainer).await;
        assert_eq!(world.due_work("REPAIR").await, Vec::<Value>::new());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn session_whose_commit_response_was_lost_keeps_its_meeting() {
    let (world, trainer) = connected_trainer().await;
    // The SDK makes three attempts, and the first one commits.
    world.fail_session_commit(FaultKind::Lost, 3);
    let made = world.create(&trainer, &session_body(26)).await.expect(201);
    assert_eq!(world.meeting_of(&made)["status"], "waiting");
    assert_one_session(&world, &trainer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crash_after_meeting_creation_leaves_no_meeting() {
    let (world, trainer) = connected_trainer().await;
    // From the commit on every DynamoDB call of the function fails, as after a crash.
    world.fail_session_commit(FaultKind::Error, 100);
    world
        .create_with_idempotency_key(&trainer, "k", &session_body(26))
        .await
        .expect_problem(503, "unavailable");
    assert_eq!(world.meetings().len(), 1);
    world.stack.faults.clear();
    world.advance_and_sweep().await;
    assert_nothing_created(&world, &trainer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_request_takes_over_after_the_first_gives_up() {
    let (world, trainer) = connected_trainer().await;
    // The first request gets no response from Zoom and then searches for the meeting slowly.
    world.inject_fault(Fault {
        status: Some(502),
        ..Fault::new(Service::Zoom, "create_meeting", FaultKind::Html)
    });
    let slow = Fault::new(Service::Zoom, "list_meetings", FaultKind::Late);
    world.inject_fault(Fault { delay_ms: Some(900), ..slow });
    world.stack.usage.reset();
    let body = session_body(26);
    let first = world.create_with_idempotency_key(&trainer, "k", &body);
    let second = async {
        let searches = || world.zoom_calls("session-save", "list_meetings");
        wait_until("the first request searches", || searches() > 0).await;
        let later = async {
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            world.advance(SignedDuration::from_secs(6));
        };
        futures::join!(world.create_with_idempotency_key(&trainer, "k", &body), later).0
    };
    let (first, second) = futures::join!(first, second);
    first.expect_problem(502, "zoom_unavailable");
    second.expect(201);
    assert_one_session(&world, &trainer).await;
}
