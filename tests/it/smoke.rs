//! The shortest end-to-end test.

use crate::world::{World, course_session_body};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scheduled_session_is_visible_to_a_student() {
    let world = World::start().await;
    let (trainer, student) = (world.trainer().await, world.student(1).await);
    world.connect_zoom(&trainer, "app").await;
    let made = world.post(&trainer, "/v1/sessions", course_session_body(26)).await.expect(201);
    let listed = world.get(&student, "/v1/me/sessions").await.expect(200);
    assert_eq!(listed["items"][0]["id"], made["id"]);
    assert_eq!(listed["items"][0]["join"]["state"], "too_early");
}
