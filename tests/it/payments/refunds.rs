//! Refunds, before, during and after the steps of their payments.

use jiff::SignedDuration;
use local::calls::Service;
use local::faults::{Fault, FaultKind};
use serde_json::json;

use super::{class, own_class, payment};
use crate::support::{patched, session_path};
use crate::world::{World, session_body};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refund_ends_access_and_cancels_classes_of_the_student_alone() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let standalone = json!({"audience_type": "standalone", "invitees": null});
    let soon = json!({"starts_at": world.now() + SignedDuration::from_mins(10)});
    let of_course = json!({"audience_type": "course", "course_id": "course-1", "invitees": null});
    let sessions = json!([
        own_class(3),
        patched(own_class(4), standalone),
        class(5, &["student9@example.test", "student1@example.test"]),
        patched(own_class(6), of_course),
        patched(own_class(7), soon),
        own_class(8),
    ]);
    let body = payment(json!({"course_id": "course-1", "sessions": sessions}));
    let done = world.pay("pay-1", &body).await;
    assert_eq!(done["created"], 6, "{done}");
    assert!(world.access("course-1", "student-9").await);
    // The trainer invites somebody else to the last class.
    let invited = json!([{"email": "student9@example.test"}, {"email": "a@b.test"}]);
    let edit =
        patched(session_body(24 * 8), json!({"audience_type": "invitees", "invitees": invited}));
    let last = session_path(&json!({"id": done["session_ids"][5]}));
    world.put(&trainer, &last, edit).await.expect(200);
    world.advance(SignedDuration::from_mins(15));

    let refunding = world.refund("pay-1").await;
    assert_eq!(refunding["state"], "refunding");
    world.deliver_payments().await;
    let refunded = world.payment("pay-1").await;
    assert_eq!(
        (&refunded["state"], &refunded["enrollment"]),
        (&json!("refunded"), &json!("withdrawn"))
    );
    assert_eq!((&refunded["created"], &refunded["cancelled"]), (&json!(6), &json!(2)));
    assert!(!world.access("course-1", "student-9").await);
    let mut statuses = Vec::new();
    for id in refunded["session_ids"].as_array().expect("ids") {
        let session = world.get(&trainer, &session_path(&json!({ "id": id }))).await.expect(200);
        statuses.push(session["status"].as_str().expect("a status").to_owned());
    }
    // The fifth has begun.
    assert_eq!(
        statuses,
        ["cancelled", "cancelled", "scheduled", "scheduled", "scheduled", "scheduled"]
    );
    assert_eq!(world.zoom_calls("payments", "delete_meeting"), 0, "no meeting was made");

    // Nothing follows from repetitions, or from the payment's request.
    let before = world.dump().await;
    world.advance(SignedDuration::from_hours(1));
    assert_eq!(world.refunded("pay-1").await, refunded);
    assert_eq!(world.put_payment("pay-1", &body).await.expect(202), refunded);
    world.deliver_payments().await;
    assert_eq!(world.dump().await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refund_that_comes_first_makes_the_payment_bring_nothing() {
    let world = World::start().await;
    let first = world.refunded("pay-1").await;
    assert_eq!((&first["state"], &first["user_id"]), (&json!("refunded"), &json!(null)));
    let body = payment(json!({"course_id": "course-1", "sessions": [own_class(3)]}));
    for _ in 0..2 {
        let paid = world.pay("pay-1", &body).await;
        assert_eq!((&paid["state"], &paid["total"]), (&json!("refunded"), &json!(0)));
    }
    let other = payment(json!({"course_id": "course-1"}));
    world.put_payment("pay-1", &other).await.expect_problem(422, "idempotency_key_reused");
    assert!(!world.access("course-1", "student-9").await);
    assert_eq!(world.items("SESSION#").await.len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn access_stays_while_the_directory_or_another_payment_gives_it() {
    let world = World::start().await;
    let service = world.service().await;
    let body = payment(json!({"course_id": "course-1"}));
    let enrollment = "/v1/directory/courses/course-1/enrollments/student-9";
    let granted = json!({"email": "student9@example.test", "name": "Student Nine"});

    // Two payments: the second refund ends the access.
    world.pay("pay-1", &body).await;
    assert_eq!(world.pay("pay-2", &body).await["enrollment"], "granted");
    assert_eq!(world.refunded("pay-1").await["enrollment"], "retained");
    assert!(world.access("course-1", "student-9").await);
    assert_eq!(world.refunded("pay-2").await["enrollment"], "withdrawn");
    assert!(!world.access("course-1", "student-9").await);

    // The directory gives it before, or after the payment.
    world.put(&service, enrollment, granted.clone()).await.expect(200);
    assert_eq!(world.pay("pay-3", &body).await["enrollment"], "already_granted");
    assert_eq!(world.refunded("pay-3").await["enrollment"], "retained");
    world.delete(&service, enrollment).await.expect(204);
    world.pay("pay-4", &body).await;
    world.put(&service, enrollment, granted).await.expect(200);
    assert_eq!(world.refunded("pay-4").await["enrollment"], "retained");
    assert!(world.access("course-1", "student-9").await);

    // The directory ends it. A repetition does not give it again.
    world.delete(&service, enrollment).await.expect(204);
    world.pay("pay-5", &body).await;
    world.delete(&service, enrollment).await.expect(204);
    world.pay("pay-5", &body).await;
    assert!(!world.access("course-1", "student-9").await);
    assert_eq!(world.refunded("pay-5").await["enrollment"], "retained");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refund_during_the_steps_stops_them_and_undoes_the_others() {
    let world = World::start().await;
    let sessions = json!([own_class(3), own_class(4), own_class(5)]);
    let body = payment(json!({"course_id": "course-1", "sessions": sessions}));
    for after in [4, 7, 10, 13] {
        let id = format!("pay-{after}");
        world.put_payment(&id, &body).await.expect(202);
        // The steps stop at one of their calls.
        let fault = Fault::new(Service::Dynamodb, "*", FaultKind::Error).for_function("payments");
        world.inject_fault(fault.after(after).times(100));
        world.deliver_payments().await;
        world.stack.faults.clear();
        assert_eq!(world.payment(&id).await["state"], "pending", "{after}");
        world.refund(&id).await;
        world.advance(SignedDuration::from_mins(8));
        world.deliver_payments().await;
        let refunded = world.payment(&id).await;
        assert_eq!((&refunded["state"], &refunded["failed"]), (&json!("refunded"), &json!(0)));
        assert_eq!(refunded["created"], refunded["cancelled"]);
        assert_eq!(world.paid_sessions("scheduled").await.len(), 0, "{after}");
        assert!(!world.access("course-1", "student-9").await, "{after}");
    }
    assert!(!world.paid_sessions("cancelled").await.is_empty());
    let left: Vec<_> = world.items("PAYMENT#").await;
    assert!(left.iter().all(|item| item["sk"] == "PAYMENT"), "{left:?}");
    assert_eq!(world.monthly_session_count("trainer-1", "2026-11").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refund_deletes_the_meeting_of_a_cancelled_class() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    let sessions = json!([own_class(3), class(4, &["student9@example.test", "a@b.test"])]);
    let done = world.pay("pay-1", &payment(json!({ "sessions": sessions }))).await;
    world.meeting_sweep().await;
    let path = session_path(&json!({"id": done["session_ids"][0]}));
    let session = world.get(&trainer, &path).await.expect(200);
    assert_eq!(
        (&session["meeting_state"], &session["triggered_by"]),
        (&json!("ready"), &json!("pay-1"))
    );
    assert_eq!(world.meetings().len(), 2);
    assert_eq!(world.refunded("pay-1").await["cancelled"], 1);
    assert_eq!(world.meetings().len(), 1, "the meeting of the class with others stays");
    assert_eq!(world.zoom_calls("payments", "delete_meeting"), 1);
}
