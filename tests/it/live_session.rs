//! A live session from joining and starting to its end and recording.

use http::Method;
use jiff::SignedDuration;
use local::calls::Service;
use serde_json::{Value, json};

use crate::world::{World, course_session_body, session_body};

/// Creates a session of `course-1` in 26 hours, with Zoom connected in the app's account or outside of it.
async fn schedule_course_session(world: &World, trainer: &str, account: &str) -> (String, String) {
    world.connect_zoom(trainer, account).await;
    let made = world.post(trainer, "/v1/sessions", course_session_body(26)).await.expect(201);
    let id = made["id"].as_str().expect("an id").to_owned();
    let meeting = made["meeting"]["id"].as_str().expect("a meeting").to_owned();
    (format!("/v1/sessions/{id}"), format!("/zoom/sim/meetings/{meeting}"))
}

async fn simulate(world: &World, meeting: &str, verb: &str, body: Value) -> Value {
    let response =
        world.call(Method::POST, &format!("{meeting}/{verb}"), "", Some(body), &[]).await;
    assert!(response.status.is_success(), "{verb}: {}", response.text);
    if response.text.is_empty() { Value::Null } else { response.json() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn join_window_opens_in_time_and_only_for_the_audience() {
    let world = World::start().await;
    let (trainer, student) = (world.trainer().await, world.student(1).await);
    let (path, meeting) = schedule_course_session(&world, &trainer, "app").await;
    let join = format!("{path}/join");

    let early = world.post(&student, &join, json!({})).await.expect_problem(409, "too_early");
    assert_eq!(early["opens_at"], "2026-11-22T10:50:00Z");
    world.post(&world.student(9).await, &join, json!({})).await.expect_problem(404, "not_found");
    world
        .post(&world.other_trainer().await, &join, json!({}))
        .await
        .expect_problem(404, "not_found");

    world.advance(SignedDuration::from_mins(26 * 60 - 14));
    let host = world.post(&trainer, &join, json!({})).await.expect(200);
    assert_eq!((&host["role"], &host["mode"]), (&json!(1), &json!("signature")));
    assert!(
        host["zak"].is_string() && host["join_url"].is_null() && host.get("start_url").is_none()
    );
    world.post(&student, &join, json!({})).await.expect_problem(409, "too_early");

    world.advance(SignedDuration::from_mins(5));
    let credentials = world.post(&student, &join, json!({})).await.expect(200);
    assert_eq!((&credentials["role"], &credentials["mode"]), (&json!(0), &json!("signature")));
    assert!(credentials.get("zak").is_none() && credentials["passcode"].is_string());
    let key = credentials["customer_key"].as_str().expect("a key");
    assert!(key.len() <= 35 && !key.contains("student"));

    simulate(&world, &meeting, "start", json!({})).await;
    // A meeting that ends before the planned start leaves the session scheduled.
    world.advance(SignedDuration::from_mins(10));
    simulate(&world, &meeting, "end", json!({})).await;
    world.post(&student, &join, json!({})).await.expect_problem(409, "session_ended");
    world.advance(SignedDuration::from_hours(3));
    world.post(&trainer, &join, json!({})).await.expect_problem(409, "session_ended");

    let timeline = world.get(&trainer, &format!("{path}/timeline")).await.expect(200);
    let kinds: Vec<_> = timeline["items"]
        .as_array()
        .expect("entries")
        .iter()
        .map(|e| e["kind"].as_str().unwrap_or(""))
        .collect();
    assert!(kinds.contains(&"clicked_start") && kinds.contains(&"zoom.meeting.ended"), "{kinds:?}");
    assert_eq!(
        kinds.iter().filter(|kind| **kind == "clicked_join").count(),
        4,
        "every join attempt, successful or not"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_outside_the_app_account_join_by_link() {
    let world = World::start().await;
    let (trainer, student) = (world.trainer().await, world.student(1).await);
    let (path, meeting) = schedule_course_session(&world, &trainer, "other").await;
    let join = format!("{path}/join");
    world.advance(SignedDuration::from_mins(26 * 60 - 5));
    for token in [&student, &trainer] {
        let credentials = world.post(token, &join, json!({})).await.expect(200);
        assert_eq!(credentials["mode"], "link");
        assert!(credentials["join_url"].is_string() && credentials.get("obf_token").is_none());
    }
    simulate(&world, &meeting, "start", json!({})).await;
    let credentials = world.post(&student, &join, json!({})).await.expect(200);
    assert_eq!(credentials["mode"], "link");
    let listed = world.get(&student, "/v1/me/sessions").await.expect(200);
    assert_eq!(
        (&listed["items"][0]["status"], &listed["items"][0]["join"]["state"]),
        (&json!("live"), &json!("open"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_follows_the_end_and_restart_of_the_meeting() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let (path, meeting) = schedule_course_session(&world, &trainer, "app").await;
    world.advance(SignedDuration::from_hours(26));
    let status = async || world.get(&trainer, &path).await.expect(200)["status"].clone();
    assert_eq!(status().await, "scheduled");
    simulate(&world, &meeting, "start", json!({})).await;
    assert_eq!(status().await, "live");
    simulate(&world, &meeting, "join", json!({"name": "Ada"})).await;
    world.advance(SignedDuration::from_mins(20));
    simulate(&world, &meeting, "end", json!({})).await;
    assert_eq!(status().await, "ended");
    world.advance(SignedDuration::from_mins(1));
    simulate(&world, &meeting, "start", json!({})).await;
    assert_eq!(status().await, "live", "restarted with another uuid");
    world.post(&trainer, &format!("{path}/cancel"), json!({})).await.expect(200);
    assert_eq!(status().await, "cancelled");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn participant_event_is_one_write_and_its_repetition_changes_nothing() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let (_, meeting) = schedule_course_session(&world, &trainer, "app").await;
    world.advance(SignedDuration::from_hours(26));
    simulate(&world, &meeting, "start", json!({})).await;
    simulate(&world, "/zoom/sim", "knobs", json!({"webhooks": {"duplicate": 1}})).await;
    world.stack.usage.reset();
    simulate(
        &world,
        &meeting,
        "join",
        json!({"name": "Ada Lovelace", "customer_key": "abcdefghijklmnopqrstuvwxyz"}),
    )
    .await;
    let tally = world.stack.usage.service_totals("webhook", Service::Dynamodb);
    assert_eq!(tally.calls, 2, "one write per delivery and no other call");
    assert!((tally.write_units - 2.0).abs() < f64::EPSILON, "{tally:?}");
    assert!(tally.read_units.abs() < f64::EPSILON, "{tally:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recordings_are_listed_and_never_fetched() {
    let world = World::start().await;
    let (trainer, student) = (world.trainer().await, world.student(1).await);
    let (path, meeting) = schedule_course_session(&world, &trainer, "app").await;
    world.advance(SignedDuration::from_hours(26));
    simulate(&world, &meeting, "start", json!({})).await;
    simulate(&world, &meeting, "recording", json!({"action": "start"})).await;
    world.advance(SignedDuration::from_mins(30));
    simulate(&world, &meeting, "end", json!({})).await;
    world.stack.usage.reset();
    simulate(&world, &meeting, "recording", json!({})).await;
    assert_eq!(
        world.stack.usage.service_totals("webhook", Service::Zoom).calls,
        0,
        "nothing is fetched from Zoom"
    );

    let list = format!("{path}/recordings");
    let recordings = world.get(&student, &list).await.expect(200);
    let first = recordings["items"][0].clone();
    assert!(
        first["play_url"]
            .as_str()
            .is_some_and(|url| url.starts_with("https://") && url.contains("zoom.us")),
        "{recordings}"
    );
    assert_eq!(first["state"], "available");
    world.get(&world.student(9).await, &list).await.expect_problem(404, "not_found");
    for (action, state) in [("trash", "trashed"), ("recover", "available"), ("delete", "deleted")] {
        world.advance(SignedDuration::from_secs(60));
        simulate(&world, &meeting, "recording", json!({"action": action})).await;
        let recordings = world.get(&trainer, &list).await.expect(200);
        assert_eq!(recordings["items"][0]["state"], state, "{recordings}");
        assert_eq!(recordings["items"][0]["play_url"].is_null(), state != "available");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn user_who_deauthorizes_the_app_is_not_connected() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    schedule_course_session(&world, &trainer, "app").await;
    simulate(&world, "/zoom/sim", "deauthorize", json!({"user": "trainer@app.zoom.test"})).await;
    let connection = world.get(&trainer, "/v1/zoom/connection").await.expect(200);
    assert_eq!(connection["status"], "not_connected");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn manual_session_offers_only_its_link() {
    let world = World::start().await;
    let (trainer, student) = (world.trainer().await, world.student(1).await);
    let mut body = course_session_body(1);
    body["provider"] = json!("manual");
    body["join_url"] = json!("https://meet.example.test/abc");
    let made = world.post(&trainer, "/v1/sessions", body).await.expect(201);
    let join = format!("/v1/sessions/{}/join", made["id"].as_str().expect("an id"));
    world.advance(SignedDuration::from_mins(55));
    for token in [&trainer, &student] {
        let credentials = world.post(token, &join, json!({})).await.expect(200);
        assert_eq!(
            (&credentials["mode"], &credentials["join_url"]),
            (&json!("link"), &json!("https://meet.example.test/abc"))
        );
    }
    let standalone = world
        .post(&trainer, "/v1/sessions", {
            let mut c = session_body(3);
            c["provider"] = json!("manual");
            c["join_url"] = json!("https://meet.example.test/b");
            c
        })
        .await
        .expect(201);
    world
        .post(
            &student,
            &format!("/v1/sessions/{}/join", standalone["id"].as_str().expect("an id")),
            json!({}),
        )
        .await
        .expect_problem(404, "not_found");
}
