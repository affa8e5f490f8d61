//! How people come into a meeting, when that changes at Zoom: what we hand out is what Zoom goes by.

use http::Method;
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::world_and_lesson;
use crate::look::with;
use crate::world::course_class;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_passcode_and_a_link_that_change_at_zoom_are_what_people_are_given() {
    let (world, trainer, lesson) = world_and_lesson().await;
    let meeting = async || lesson.shown(&world, &trainer).await["meeting"].clone();
    let made = meeting().await;
    let begin = world.now();
    let updated = |second: i64, object: Value| {
        lesson.event("meeting.updated", begin + SignedDuration::from_secs(second), &object)
    };
    let link =
        |passcode: &str| format!("https://us05web.zoom.us/j/{}?pwd={passcode}", lesson.meeting);
    let second = updated(20, json!({"password": "second", "join_url": link("second")}));
    lesson.tell(&world, &second).await;
    let expected = json!({"id": made["id"], "passcode": "second", "join_url": link("second")});
    assert_eq!(meeting().await, expected);
    // An earlier change, told late; one without a word of it; and links that are none of Zoom's.
    lesson
        .tell(&world, &updated(10, json!({"password": "first", "join_url": link("first")})))
        .await;
    lesson.tell(&world, &updated(30, json!({"topic": "Algebra I", "password": ""}))).await;
    for foreign in ["https://zoom.us.example.test/j/1", "http://us05web.zoom.us/j/1", "nonsense"] {
        lesson.tell(&world, &updated(40, json!({"join_url": foreign}))).await;
    }
    let shown = lesson.shown(&world, &trainer).await;
    assert_eq!(shown["meeting"], expected);
    assert_eq!((&shown["drift"], &shown["version"]), (&json!([]), &json!(1)), "it is taken over");
    assert!(!json!(world.dump().await).to_string().contains("second"), "and kept sealed");

    // An edit says nothing of it to Zoom, and takes nothing back here.
    world.advance(SignedDuration::from_mins(1));
    let renamed = with(course_class(26), json!({"title": "Geometry"}));
    world.put(&trainer, &lesson.path, renamed).await.expect(200);
    lesson.tell(&world, &second).await;
    assert_eq!(meeting().await, expected);
    world.advance(lesson.at(-5).duration_since(world.now()));
    let join = format!("{}/join", lesson.path);
    let pass = world.post(&world.student(1).await, &join, json!({})).await.expect(200);
    assert_eq!(pass["passcode"], "second");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_sent_to_a_meeting_that_was_deleted() {
    let (world, trainer, lesson) = world_and_lesson().await;
    let student = world.student(1).await;
    let path = format!("/zoom/sim/meetings/{}", lesson.meeting);
    world.call(Method::DELETE, &path, "", None, &[]).await.expect(204);
    world.stack.zoom.deliver_due().await;
    let door = async || {
        let listed = world.listed(&student, "/v1/me/sessions").await;
        listed[0]["join"]["state"].as_str().expect("a word").to_owned()
    };
    assert_eq!(door().await, "too_early");
    world.advance(lesson.at(-5).duration_since(world.now()));
    assert_eq!(door().await, "closed");
    let join = format!("{}/join", lesson.path);
    let asked = world.asked_of_zoom("join", "zak");
    for (token, advice) in [(&trainer, "schedule it anew"), (&student, "its trainer has been told")]
    {
        let problem = world.post(token, &join, json!({})).await.refused(409, "conflict");
        let detail = problem["detail"].as_str().expect("a sentence");
        assert!(detail.contains("deleted at Zoom") && detail.contains(advice), "{detail}");
    }
    assert_eq!(world.asked_of_zoom("join", "zak"), asked);
    // Taken out of Zoom's trash again, or started after all, it is there.
    let recovered = lesson.event("meeting.recovered", world.now(), &json!({}));
    lesson.tell(&world, &recovered).await;
    assert_eq!(door().await, "open");
    world.post(&student, &join, json!({})).await.expect(200);
}
