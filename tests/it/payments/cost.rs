//! The requests of a payment with one class.

use serde_json::json;

use super::{own_class, payment};
use crate::usage::{check_budgets, take_cost};
use crate::world::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payment_with_one_class_stays_within_its_budget() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    let body = payment(json!({"sessions": [own_class(3)]}));
    // The secret and the keys are loaded by then.
    world.pay("pay-0", &payment(json!({"course_id": "course-1"}))).await;
    take_cost(&world, "", "payments");
    let mut costs = Vec::new();
    world.put_payment("pay-1", &body).await.expect(202);
    costs.push(take_cost(&world, "store a payment with one class", "payments"));
    world.deliver_payments().await;
    costs.push(take_cost(&world, "carry it out", "payments"));
    world.put_payment("pay-1", &body).await.expect(202);
    costs.push(take_cost(&world, "repeat it", "payments"));
    world.refund("pay-1").await;
    costs.push(take_cost(&world, "store its refund", "payments"));
    world.deliver_payments().await;
    costs.push(take_cost(&world, "carry the refund out", "payments"));
    world.pay("pay-2", &payment(json!({"course_id": "course-1"}))).await;
    costs.push(take_cost(&world, "a payment for a course, as a whole", "payments"));
    check_budgets(
        &costs,
        &[
            (2, 2.0, 10.0, 1, 0),
            (9, 10.5, 32.0, 1, 0),
            (1, 2.0, 0.0, 0, 0),
            (2, 1.0, 4.0, 1, 0),
            (7, 6.0, 21.0, 1, 0),
            (11, 11.0, 19.0, 1, 0),
        ],
    );
}
