//! The shortest way through: whatever else breaks, this says whether anything works at all.

use crate::world::{World, course_class};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_class_is_scheduled_and_a_student_sees_it() {
    let world = World::start().await;
    let (trainer, student) = (world.trainer().await, world.student(1).await);
    world.connect_zoom(&trainer, "app").await;
    let made = world.post(&trainer, "/v1/sessions", course_class(26)).await.expect(201);
    let seen = world.get(&student, "/v1/me/sessions").await.expect(200);
    assert_eq!(seen["items"][0]["id"], made["id"]);
    assert_eq!(seen["items"][0]["join"]["state"], "too_early");
}
