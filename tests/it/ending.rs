//! The end of a class: when nobody tells of it, and what can be done with a class after it.

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::lesson::Lesson;
use crate::look::with;
use crate::world::{World, course_class};

/// How long after its planned end a class is over by its plan.
const OVER: i64 = 60 + 90;

async fn scene() -> (World, String, Lesson) {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    let lesson = Lesson::schedule(&world, &trainer).await;
    (world, trainer, lesson)
}

/// Moves the clock to so many minutes after the planned start, and sweeps.
async fn sweep_at(world: &World, lesson: &Lesson, minute: i64) -> Value {
    world.advance(lesson.at(minute).duration_since(world.now()));
    world.sweep().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_class_whose_end_was_lost_ends_after_its_time_and_not_before() {
    let (world, trainer, lesson) = scene().await;
    sweep_at(&world, &lesson, 0).await;
    lesson.tell(&world, &lesson.started("u1", 0)).await;
    let shown = async || {
        let shown = lesson.shown(&world, &trainer).await;
        (shown["status"].as_str().expect("a word").to_owned(), shown["actual_ended_at"].clone())
    };
    sweep_at(&world, &lesson, OVER - 1).await;
    assert_eq!(shown().await, ("live".to_owned(), json!(null)));
    assert_eq!(sweep_at(&world, &lesson, OVER).await["repaired"], 1);
    assert_eq!(shown().await, ("ended".to_owned(), json!(lesson.at(60))), "as it was planned");
    assert!(world.due("ENDING").await.is_empty());
    let live = world.listed(&trainer, "/v1/sessions?status=live").await;
    assert!(live.is_empty(), "{live:?}");

    // It went on after all, in the same sandbox of the webhook, which took the class to be live until now.
    lesson.tell(&world, &lesson.joined("u1", "c1", OVER - 10)).await;
    assert_eq!(shown().await.0, "ended", "that was before");
    lesson.tell(&world, &lesson.joined("u1", "c2", OVER + 5)).await;
    assert_eq!(shown().await, ("live".to_owned(), json!(null)));
    // As long as anybody is heard of, it is left alone; then it ends when they were.
    lesson.tell(&world, &lesson.left("u1", "c1", OVER + 60)).await;
    sweep_at(&world, &lesson, OVER + 5 + 90).await;
    assert_eq!(shown().await.0, "live");
    assert_eq!(sweep_at(&world, &lesson, OVER + 60 + 90).await["repaired"], 1);
    assert_eq!(shown().await, ("ended".to_owned(), json!(lesson.at(OVER + 60))));

    // What Zoom says of its end counts, however late it comes, and so does a second running.
    lesson.tell(&world, &lesson.ended("u1", 0, 55)).await;
    assert_eq!(shown().await, ("ended".to_owned(), json!(lesson.at(55))));
    lesson.tell(&world, &lesson.started("u2", OVER + 200)).await;
    assert_eq!(shown().await.0, "live");
    lesson.tell(&world, &lesson.ended("u2", OVER + 200, OVER + 210)).await;
    assert_eq!(shown().await, ("ended".to_owned(), json!(lesson.at(OVER + 210))));
    sweep_at(&world, &lesson, OVER + 400).await;
    assert!(world.due("ENDING").await.is_empty(), "nothing is left to be looked at");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_over_can_neither_be_cancelled_nor_edited_whether_it_was_held_or_not() {
    let (world, trainer, live) = scene().await;
    let scheduled = Lesson::schedule(&world, &trainer).await;
    let link = json!({"provider": "manual", "join_url": "https://meet.example.test/a"});
    let pasted = world.create(&trainer, &with(course_class(26), link.clone())).await.expect(201);
    let pasted = format!("/v1/sessions/{}", pasted["id"].as_str().expect("an id"));
    live.tell(&world, &live.started("u1", 0)).await;
    world.drain().await;
    let mailed = world.mailed().await;
    world.advance(live.at(OVER).duration_since(world.now()));
    let next_week = with(course_class(24 * 7), json!({}));
    for (path, edit) in [
        (&live.path, &next_week),
        (&scheduled.path, &next_week),
        (&pasted, &with(next_week.clone(), link.clone())),
    ] {
        let cancel = format!("{path}/cancel");
        world.post(&trainer, &cancel, json!({})).await.refused(409, "session_ended");
        let edited = world.put(&trainer, path, edit.clone()).await;
        // One that is still live is refused for that until the sweep has been there.
        assert_eq!(edited.status, 409, "{path}: {}", edited.text);
    }
    world.sweep().await;
    for (path, edit) in [(&live.path, &next_week), (&scheduled.path, &next_week)] {
        world.put(&trainer, path, edit.clone()).await.refused(409, "session_ended");
    }
    world.drain().await;
    assert_eq!(world.mailed().await, mailed, "nobody is told that last week's class is not held");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_class_that_is_not_over_can_still_be_cancelled_a_moment_before() {
    let (world, trainer, lesson) = scene().await;
    let almost = lesson.at(OVER) - SignedDuration::from_secs(1);
    world.advance(almost.duration_since(world.now()));
    let cancel = format!("{}/cancel", lesson.path);
    world.post(&trainer, &cancel, json!({})).await.expect(200);
    world.advance(SignedDuration::from_hours(48));
    world.post(&trainer, &cancel, json!({})).await.expect(200);
}
