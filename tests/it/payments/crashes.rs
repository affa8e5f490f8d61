//! A crash at each call of the function or of the sweep. The next run finishes the work, and nothing happens twice.

use jiff::SignedDuration;
use local::calls::Service::{self, Dynamodb, Sqs};
use local::faults::{Fault, FaultKind};
use serde_json::{Value, json};

use super::{class, own_class, payment};
use crate::world::World;

/// More calls than a payment of two classes makes.
const CALLS: u32 = 16;

fn crash(world: &World, function: &str, service: Service, after: u32, kind: FaultKind) {
    let fault = Fault::new(service, "*", kind).for_function(function);
    world.inject_fault(fault.after(after).times(100));
}

/// Ends the crash, lets leases and pauses end, and lets the sweep finish the work.
async fn recover(world: &World) {
    world.stack.faults.clear();
    world.advance(SignedDuration::from_mins(8));
    world.meeting_sweep().await;
    world.deliver_payments().await;
}

async fn check(world: &World, id: &str, state: &str, counts: [u64; 3]) {
    let payment = world.payment(id).await;
    assert_eq!(payment["state"], state, "{id}: {payment}");
    let found = ["created", "failed", "cancelled"].map(|name| payment[name].as_u64());
    assert_eq!(found, counts.map(Some), "{id}: {payment}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payment_and_refund_are_finished_after_a_crash_at_any_call() {
    let world = World::start().await;
    let sessions = json!([own_class(30), class(31, &["student9@example.test", "a@b.test"])]);
    let body = payment(json!({"course_id": "course-1", "sessions": sessions}));
    let mut reached = 0;
    for (service, kind) in [(Dynamodb, FaultKind::Error), (Dynamodb, FaultKind::Lost)] {
        for after in 0..CALLS {
            let id = format!("pay-{kind:?}-{after}");
            world.put_payment(&id, &body).await.expect(202);
            crash(&world, "payments", service, after, kind);
            world.deliver_payments().await;
            world.stack.faults.clear();
            reached += u32::from(world.payment(&id).await["state"] != "done");
            recover(&world).await;
            check(&world, &id, "done", [2, 0, 0]).await;
            assert!(world.access("course-1", "student-9").await, "{id}");
            assert_eq!(world.paid_sessions("scheduled").await.len(), 2, "{id}");

            world.refund(&id).await;
            crash(&world, "payments", service, after, kind);
            world.deliver_payments().await;
            recover(&world).await;
            check(&world, &id, "refunded", [2, 0, 1]).await;
            assert!(!world.access("course-1", "student-9").await, "{id}");
            let left = world.paid_sessions("scheduled").await;
            assert_eq!(left.len(), 1, "{id}");
            let trainer = world.trainer().await;
            world.cancel(&trainer, &left[0]).await.expect(200);
        }
    }
    assert!(reached > 15, "only {reached} crashes had an effect");
    check_nothing_is_left(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payment_whose_message_is_lost_is_finished_by_sweeps_that_crash() {
    let world = World::start().await;
    let body = payment(json!({"course_id": "course-1", "sessions": [own_class(30)]}));
    let mut reached = 0;
    for kind in [FaultKind::Error, FaultKind::Lost] {
        for after in (0..12).step_by(2) {
            let id = format!("pay-{kind:?}-{after}");
            crash(&world, "payments", Sqs, 0, FaultKind::Error);
            world.put_payment(&id, &body).await.expect(202);
            world.stack.faults.clear();
            world.deliver_payments().await;
            assert_eq!(world.payment(&id).await["state"], "pending", "the message is lost");
            crash(&world, "meeting-sweep", Dynamodb, after, kind);
            // A run that cannot use the table fails.
            let _ = world.stack.schedules.run("meeting-sweep").await;
            world.stack.faults.clear();
            reached += u32::from(world.payment(&id).await["state"] != "done");
            recover(&world).await;
            check(&world, &id, "done", [1, 0, 0]).await;
            world.refund(&id).await;
            recover(&world).await;
            check(&world, &id, "refunded", [1, 0, 1]).await;
        }
    }
    assert!(reached > 5, "only {reached} crashes had an effect");
    check_nothing_is_left(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn request_that_fails_at_any_call_is_repeated_safely() {
    let world = World::start().await;
    let body = payment(json!({"course_id": "course-1", "sessions": [own_class(30)]}));
    for kind in [FaultKind::Error, FaultKind::Lost] {
        for after in 0..4 {
            let id = format!("pay-{kind:?}-{after}");
            crash(&world, "payments", Dynamodb, after, kind);
            world.put_payment(&id, &body).await;
            world.stack.faults.clear();
            world.put_payment(&id, &body).await.expect(202);
            world.deliver_payments().await;
            check(&world, &id, "done", [1, 0, 0]).await;
            crash(&world, "payments", Dynamodb, after, kind);
            let service = world.service().await;
            world.delete(&service, &format!("/v1/payments/{id}")).await;
            world.stack.faults.clear();
            world.refunded(&id).await;
            check(&world, &id, "refunded", [1, 0, 1]).await;
        }
    }
    check_nothing_is_left(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn simultaneous_workers_carry_out_each_payment_once() {
    const PAYMENTS: usize = 8;
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    let sessions = json!([own_class(30), own_class(31)]);
    let body = payment(json!({"course_id": "course-1", "sessions": sessions}));
    for n in 0..PAYMENTS {
        world.put_payment(&format!("pay-{n}"), &body).await.expect(202);
    }
    tokio::join!(world.meeting_sweep(), world.deliver_payments(), world.meeting_sweep());
    recover(&world).await;
    for n in 0..PAYMENTS {
        check(&world, &format!("pay-{n}"), "done", [2, 0, 0]).await;
    }
    assert_eq!(world.paid_sessions("scheduled").await.len(), 2 * PAYMENTS);
    assert_eq!(world.monthly_session_count("trainer-1", "2026-12").await, 2 * 8);
}

/// No due work, request of a class, counted session or access remains.
async fn check_nothing_is_left(world: &World) {
    // The trainer has not connected Zoom, so the entries of the cancelled classes wait in the queue for hours.
    world.advance(SignedDuration::from_hours(10));
    world.meeting_sweep().await;
    assert_eq!(world.items("DUE#PAYMENTS").await, Vec::<Value>::new());
    let payments = world.items("PAYMENT#").await;
    assert!(payments.iter().all(|item| item["sk"] == "PAYMENT"), "{payments:?}");
    assert!(!world.access("course-1", "student-9").await);
    assert_eq!(world.items("DUE#MEETINGS").await.len(), 0);
    assert_eq!(world.monthly_session_count("trainer-1", "2026-12").await, 0);
}
