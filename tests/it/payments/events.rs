//! Payments as events, and the erasure of their students.

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{class, own_class, payment};
use crate::support::patched;
use crate::world::World;

async fn send_event(world: &World, kind: &str, time: &str, detail: Value) -> Result<Value, String> {
    let event = json!({
        "version": "0", "id": "e-1", "detail-type": kind, "source": "host.platform", "account": "000000000000",
        "time": time, "region": "eu-central-1", "resources": [], "detail": detail,
    });
    let result = world.stack.functions.invoke("payments", event, Default::default()).await;
    result.map_err(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_do_the_same_as_requests() {
    let world = World::start().await;
    let now = "2026-11-21T09:00:00Z";
    let body = payment(json!({"course_id": "course-1", "sessions": [own_class(3)]}));
    let succeeded = patched(body.clone(), json!({"payment_id": "pay-1"}));
    for _ in 0..2 {
        send_event(&world, "PaymentSucceeded", now, succeeded.clone()).await.expect("applied");
    }
    world.deliver_payments().await;
    let done = world.payment("pay-1").await;
    assert_eq!((&done["state"], &done["created"]), (&json!("done"), &json!(1)));
    // The request is the same payment.
    assert_eq!(world.put_payment("pay-1", &body).await.expect(202), done);
    for _ in 0..2 {
        let refunded = json!({"payment_id": "pay-1"});
        send_event(&world, "PaymentRefunded", now, refunded).await.expect("applied");
        world.deliver_payments().await;
    }
    assert_eq!(world.payment("pay-1").await["state"], "refunded");
    // A refund may be delivered first.
    send_event(&world, "PaymentRefunded", now, json!({"payment_id": "pay-2"})).await.expect("kept");
    let late = patched(succeeded.clone(), json!({"payment_id": "pay-2"}));
    send_event(&world, "PaymentSucceeded", now, late).await.expect("applied");
    assert_eq!(world.payment("pay-2").await["state"], "refunded");

    for (kind, invalid) in [
        ("PaymentSucceeded", json!({"payment_id": "pay-3"})),
        ("PaymentSucceeded", patched(succeeded.clone(), json!({"payment_id": null}))),
        ("PaymentSucceeded", patched(succeeded.clone(), json!({"course_id": "nobodys"}))),
        ("PaymentSucceeded", patched(succeeded.clone(), json!({"colour": "red"}))),
        ("PaymentRefunded", json!({"payment_id": 1})),
        ("PaymentRefunded", json!({"payment_id": "pay-1", "colour": "red"})),
    ] {
        let sent = send_event(&world, kind, now, invalid.clone()).await;
        assert!(sent.is_err(), "{invalid}");
    }
    send_event(&world, "PaymentDisputed", now, succeeded).await.expect("ignored");
    // A message that cannot be read is not delivered again.
    let messages = json!({"Records": [{"messageId": "m-1", "body": "hunter2"}]});
    let result = world.stack.functions.invoke("payments", messages, Default::default()).await;
    assert_eq!(result.expect("a result"), json!({"batchItemFailures": []}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erased_student_leaves_no_data_in_payments() {
    let world = World::start().await;
    let (service, now) = (world.service().await, "2026-11-21T09:00:00Z");
    world
        .put_user(
            "zelda",
            json!({"email": "zelda@example.test", "name": "Zelda Zwingli", "role": "student"}),
        )
        .await;
    let sessions = json!([class(3, &["zelda@example.test"])]);
    let body = json!({"user_id": "zelda", "course_id": "course-1", "sessions": sessions});
    world.pay("pay-1", &body).await;
    // The steps of another payment are left.
    world.put_payment("pay-2", &body).await.expect(202);
    world.advance(SignedDuration::from_secs(5));
    world.delete(&service, "/v1/directory/users/zelda").await.expect(204);
    world.deliver_payments().await;
    world.meeting_sweep().await;
    let contains_name = |item: &Value| item.to_string().to_lowercase().contains("zelda");
    let left: Vec<_> = world.dump().await.into_iter().filter(contains_name).collect();
    assert_eq!(left, Vec::<Value>::new());
    let (done, stopped) = (world.payment("pay-1").await, world.payment("pay-2").await);
    assert_eq!((&done["user_id"], &done["created"]), (&json!(null), &json!(1)));
    assert_eq!(stopped["failures"], json!([{"index": 0, "code": "not_found"}]));
    assert_eq!((&stopped["state"], &stopped["enrollment"]), (&json!("done"), &json!("failed")));
    // Payments that are delivered later are ignored, and refunds are carried out.
    let late = patched(body, json!({"payment_id": "pay-3"}));
    send_event(&world, "PaymentSucceeded", now, late).await.expect("overtaken");
    world.get(&service, "/v1/payments/pay-3").await.expect_problem(404, "not_found");
    assert_eq!(world.refunded("pay-1").await["cancelled"], 1);
}
