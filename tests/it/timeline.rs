//! What happened around a class, page by page.

use std::collections::HashSet;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::lesson::Lesson;
use crate::world::World;

/// Events of each kind: more than any page holds, and many of them in the same second.
const PEOPLE: i64 = 125;

async fn scene() -> (World, String, Lesson, String) {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    let lesson = Lesson::schedule(&world, &trainer).await;
    let path = format!("{}/timeline", lesson.path);
    (world, trainer, lesson, path)
}

/// All pages of so many entries.
async fn pages(world: &World, token: &str, path: &str, limit: usize) -> Vec<Value> {
    let mut all = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = world.get(token, &format!("{path}?limit={limit}{cursor}")).await.expect(200);
        let items = page["items"].as_array().expect("a list").clone();
        assert!(items.len() <= limit, "{} on a page of {limit}", items.len());
        all.extend(items);
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_entry_is_on_one_page_and_the_newest_comes_first() {
    let (world, trainer, lesson, path) = scene().await;
    assert_eq!(pages(&world, &trainer, &path, 50).await, Vec::<Value>::new());
    lesson.tell(&world, &lesson.started("u1", 0)).await;
    for n in 0..PEOPLE {
        // In threes at the same moment.
        let (connection, minute) = (format!("c{n}"), 1 + n / 3);
        lesson.tell(&world, &lesson.joined("u1", &connection, minute)).await;
        lesson.tell(&world, &lesson.left("u1", &connection, minute + 1)).await;
    }
    lesson.tell(&world, &lesson.ended("u1", 0, 60)).await;
    // Clicks stand between them, and at the same moments.
    let student = world.student(1).await;
    for minute in [-30, -5, 1, 20, 20, 59] {
        world.advance(lesson.at(minute).duration_since(world.now()));
        world.post(&student, &format!("{}/join", lesson.path), json!({})).await;
    }
    let whole = pages(&world, &trainer, &path, 100).await;
    let expected = usize::try_from(2 * PEOPLE).expect("small") + 2 + 6;
    assert_eq!(whole.len(), expected);
    assert!(expected > 250);
    let times: Vec<Timestamp> = whole
        .iter()
        .map(|entry| entry["at"].as_str().expect("a time").parse().expect("a time"))
        .collect();
    assert!(times.is_sorted_by(|a, b| a >= b), "newest first");
    let distinct: HashSet<String> = whole
        .iter()
        .filter(|entry| entry["kind"] != "clicked_join")
        .map(Value::to_string)
        .collect();
    assert_eq!(distinct.len(), expected - 6, "nothing twice");
    for limit in [1, 7, 50, 83] {
        assert_eq!(pages(&world, &trainer, &path, limit).await, whole, "pages of {limit}");
    }
    assert_eq!(world.listed(&trainer, &path).await.len(), 50, "unless asked");
    for entry in &whole {
        assert!(entry["kind"].is_string() && entry["detail"].is_object(), "{entry}");
    }
    let kinds: HashSet<_> = whole.iter().filter_map(|entry| entry["kind"].as_str()).collect();
    assert_eq!(
        kinds,
        HashSet::from([
            "clicked_join",
            "zoom.meeting.started",
            "zoom.meeting.ended",
            "zoom.meeting.participant_joined",
            "zoom.meeting.participant_left"
        ])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_among_another_accounts_events_are_short_and_complete() {
    let (world, trainer, lesson, path) = scene().await;
    for n in 0..60 {
        let mut event = lesson.joined("u1", &format!("c{n}"), n);
        if n % 3 != 0 {
            event["payload"]["account_id"] = json!("somebody-elses-account");
        }
        lesson.tell(&world, &event).await;
    }
    for limit in [1, 7, 100] {
        let all = pages(&world, &trainer, &path, limit).await;
        assert_eq!(all.len(), 20, "pages of {limit}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_for_the_owner_and_for_those_who_support_them() {
    let (world, trainer, lesson, path) = scene().await;
    lesson.tell(&world, &lesson.started("u1", 0)).await;
    let admin = world.token(json!({"sub": "root", "role": "admin"})).await;
    assert_eq!(world.listed(&admin, &path).await, world.listed(&trainer, &path).await);
    for who in [
        json!({"sub": "trainer-2", "role": "trainer"}),
        json!({"sub": "student-1", "role": "student", "email": "student1@example.test"}),
        json!({"sub": "trainer-1", "role": "student"}),
        json!({"sub": "host-platform", "role": "service"}),
    ] {
        let token = world.token(who).await;
        world.get(&token, &path).await.refused(404, "not_found");
    }
    for query in ["cursor=x", "cursor=MTIz", "limit=0", "limit=101", "limit=x"] {
        let answer = world.get(&trainer, &format!("{path}?{query}")).await;
        answer.refused(422, "validation_failed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_without_a_time_is_shown_when_it_came() {
    let (world, trainer, lesson, path) = scene().await;
    let mut event = lesson.event("meeting.event_of_tomorrow", lesson.at(1), &json!({"uuid": "u1"}));
    event.as_object_mut().expect("an object").remove("event_ts");
    lesson.tell(&world, &event).await;
    let entries = world.listed(&trainer, &path).await;
    let [entry] = &entries[..] else { panic!("{entries:?}") };
    let at: Timestamp = entry["at"].as_str().expect("a time").parse().expect("a time");
    assert_eq!(at, world.now());
}
