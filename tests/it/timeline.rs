//! The timeline of a session and its pages.

use std::collections::HashSet;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::world::World;
use crate::zoom_session::ScheduledSession;

/// The number of events of each kind: more than one page, and several at the same time.
const PARTICIPANTS: i64 = 125;

async fn prepare_session() -> (World, String, ScheduledSession, String) {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    let session = ScheduledSession::schedule_for_course(&world, &trainer).await;
    let path = format!("{}/timeline", session.path);
    (world, trainer, session, path)
}

/// The entries of all pages of this size.
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
async fn every_timeline_entry_is_on_one_page_newest_first() {
    let (world, trainer, session, path) = prepare_session().await;
    assert_eq!(pages(&world, &trainer, &path, 50).await, Vec::<Value>::new());
    session.post_event(&world, &session.started("u1", 0)).await;
    for n in 0..PARTICIPANTS {
        // Three events at the same time.
        let (connection, minute) = (format!("c{n}"), 1 + n / 3);
        session.post_event(&world, &session.joined("u1", &connection, minute)).await;
        session.post_event(&world, &session.left("u1", &connection, minute + 1)).await;
    }
    session.post_event(&world, &session.ended("u1", 0, 60)).await;
    // Join attempts at times between the events, and at the same times.
    let student = world.student(1).await;
    for minute in [-30, -5, 1, 20, 20, 59] {
        world.advance(session.at(minute).duration_since(world.now()));
        world.post(&student, &format!("{}/join", session.path), json!({})).await;
    }
    let all = pages(&world, &trainer, &path, 100).await;
    let expected = usize::try_from(2 * PARTICIPANTS).expect("small") + 2 + 6;
    assert_eq!(all.len(), expected);
    assert!(expected > 250);
    let times: Vec<Timestamp> = all
        .iter()
        .map(|entry| entry["at"].as_str().expect("a time").parse().expect("a time"))
        .collect();
    assert!(times.is_sorted_by(|a, b| a >= b), "newest first");
    let distinct: HashSet<String> =
        all.iter().filter(|entry| entry["kind"] != "clicked_join").map(Value::to_string).collect();
    assert_eq!(distinct.len(), expected - 6, "no duplicates");
    for limit in [1, 7, 50, 83] {
        assert_eq!(pages(&world, &trainer, &path, limit).await, all, "pages of {limit}");
    }
    assert_eq!(world.list_items(&trainer, &path).await.len(), 50, "the default page size");
    for entry in &all {
        assert!(entry["kind"].is_string() && entry["detail"].is_object(), "{entry}");
    }
    let kinds: HashSet<_> = all.iter().filter_map(|entry| entry["kind"].as_str()).collect();
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
async fn timeline_pages_skip_events_of_other_accounts() {
    let (world, trainer, session, path) = prepare_session().await;
    for n in 0..60 {
        let mut event = session.joined("u1", &format!("c{n}"), n);
        if n % 3 != 0 {
            event["payload"]["account_id"] = json!("somebody-elses-account");
        }
        session.post_event(&world, &event).await;
    }
    for limit in [1, 7, 100] {
        let all = pages(&world, &trainer, &path, limit).await;
        assert_eq!(all.len(), 20, "pages of {limit}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timeline_is_for_the_trainer_and_admins() {
    let (world, trainer, session, path) = prepare_session().await;
    session.post_event(&world, &session.started("u1", 0)).await;
    let admin = world.token(json!({"sub": "root", "role": "admin"})).await;
    assert_eq!(world.list_items(&admin, &path).await, world.list_items(&trainer, &path).await);
    for claims in [
        json!({"sub": "trainer-2", "role": "trainer"}),
        json!({"sub": "student-1", "role": "student", "email": "student1@example.test"}),
        json!({"sub": "trainer-1", "role": "student"}),
    ] {
        let token = world.token(claims).await;
        world.get(&token, &path).await.expect_problem(404, "not_found");
    }
    for query in ["cursor=x", "cursor=MTIz", "limit=0", "limit=101", "limit=x"] {
        let response = world.get(&trainer, &format!("{path}?{query}")).await;
        response.expect_problem(422, "validation_failed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_without_timestamp_is_listed_at_its_arrival() {
    let (world, trainer, session, path) = prepare_session().await;
    let mut event =
        session.event("meeting.event_of_tomorrow", session.at(1), &json!({"uuid": "u1"}));
    event.as_object_mut().expect("an object").remove("event_ts");
    session.post_event(&world, &event).await;
    let entries = world.list_items(&trainer, &path).await;
    let [entry] = &entries[..] else { panic!("{entries:?}") };
    let at: Timestamp = entry["at"].as_str().expect("a time").parse().expect("a time");
    assert_eq!(at, world.now());
}
