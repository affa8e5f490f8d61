//! A class as it is taught: joined, started, left, ended, recorded.

use http::Method;
use jiff::SignedDuration;
use local::calls::Service;
use serde_json::{Value, json};

use crate::world::{World, class, course_class};

/// A class of `course-1` in 26 hours, with Zoom connected in the app's account or outside it.
async fn scheduled(world: &World, trainer: &str, account: &str) -> (String, String) {
    world.connect_zoom(trainer, account).await;
    let made = world.post(trainer, "/v1/sessions", course_class(26)).await.expect(201);
    let id = made["id"].as_str().expect("an id").to_owned();
    let meeting = made["meeting"]["id"].as_str().expect("a meeting").to_owned();
    (format!("/v1/sessions/{id}"), format!("/zoom/sim/meetings/{meeting}"))
}

async fn act(world: &World, meeting: &str, verb: &str, body: Value) -> Value {
    let answer = world.call(Method::POST, &format!("{meeting}/{verb}"), "", Some(body), &[]).await;
    assert!(answer.status.is_success(), "{verb}: {}", answer.text);
    if answer.text.is_empty() { Value::Null } else { answer.json() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_door_opens_in_time_and_to_those_invited_only() {
    let world = World::start().await;
    let (trainer, student) = (world.trainer().await, world.student(1).await);
    let (path, meeting) = scheduled(&world, &trainer, "app").await;
    let join = format!("{path}/join");

    let early = world.post(&student, &join, json!({})).await.refused(409, "too_early");
    assert_eq!(early["opens_at"], "2026-11-22T10:50:00Z");
    world.post(&world.student(9).await, &join, json!({})).await.refused(404, "not_found");
    world.post(&world.other_trainer().await, &join, json!({})).await.refused(404, "not_found");

    world.advance(SignedDuration::from_mins(26 * 60 - 14));
    let host = world.post(&trainer, &join, json!({})).await.expect(200);
    assert_eq!((&host["role"], &host["mode"]), (&json!(1), &json!("signature")));
    assert!(
        host["zak"].is_string() && host["join_url"].is_null() && host.get("start_url").is_none()
    );
    world.post(&student, &join, json!({})).await.refused(409, "too_early");

    world.advance(SignedDuration::from_mins(5));
    let pass = world.post(&student, &join, json!({})).await.expect(200);
    assert_eq!((&pass["role"], &pass["mode"]), (&json!(0), &json!("signature")));
    assert!(pass.get("zak").is_none() && pass["passcode"].is_string());
    let key = pass["customer_key"].as_str().expect("a key");
    assert!(key.len() <= 35 && !key.contains("student"));

    act(&world, &meeting, "start", json!({})).await;
    act(&world, &meeting, "end", json!({})).await;
    world.post(&student, &join, json!({})).await.refused(409, "session_ended");
    world.advance(SignedDuration::from_hours(3));
    world.post(&trainer, &join, json!({})).await.refused(409, "session_ended");

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
        "each click, admitted or not"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outside_the_apps_account_attendees_wait_for_the_host_and_come_in_on_their_behalf() {
    let world = World::start().await;
    let (trainer, student) = (world.trainer().await, world.student(1).await);
    let (path, meeting) = scheduled(&world, &trainer, "other").await;
    let join = format!("{path}/join");
    world.advance(SignedDuration::from_mins(26 * 60 - 5));
    world.post(&student, &join, json!({})).await.refused(409, "waiting_for_host");
    let listed = world.get(&student, "/v1/me/sessions").await.expect(200);
    assert_eq!(listed["items"][0]["join"]["state"], "waiting_for_host");

    act(&world, &meeting, "start", json!({})).await;
    let pass = world.post(&student, &join, json!({})).await.expect(200);
    assert_eq!(pass["mode"], "signature_obf");
    assert!(pass["obf_token"].is_string());
    let listed = world.get(&student, "/v1/me/sessions").await.expect(200);
    assert_eq!(
        (&listed["items"][0]["status"], &listed["items"][0]["join"]["state"]),
        (&json!("live"), &json!("open"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_follows_the_meeting_through_its_end_and_its_restart() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let (path, meeting) = scheduled(&world, &trainer, "app").await;
    world.advance(SignedDuration::from_hours(26));
    let status = async || world.get(&trainer, &path).await.expect(200)["status"].clone();
    assert_eq!(status().await, "scheduled");
    act(&world, &meeting, "start", json!({})).await;
    assert_eq!(status().await, "live");
    act(&world, &meeting, "join", json!({"name": "Ada"})).await;
    world.advance(SignedDuration::from_mins(20));
    act(&world, &meeting, "end", json!({})).await;
    assert_eq!(status().await, "ended");
    world.advance(SignedDuration::from_mins(1));
    act(&world, &meeting, "start", json!({})).await;
    assert_eq!(status().await, "live", "started again, under another uuid");
    world.post(&trainer, &format!("{path}/cancel"), json!({})).await.expect(200);
    assert_eq!(status().await, "cancelled");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_participants_event_is_one_write_and_the_same_again_changes_nothing() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let (_, meeting) = scheduled(&world, &trainer, "app").await;
    world.advance(SignedDuration::from_hours(26));
    act(&world, &meeting, "start", json!({})).await;
    act(&world, "/zoom/sim", "knobs", json!({"webhooks": {"duplicate": 1}})).await;
    world.stack.usage.reset();
    act(
        &world,
        &meeting,
        "join",
        json!({"name": "Ada Lovelace", "customer_key": "abcdefghijklmnopqrstuvwxyz"}),
    )
    .await;
    let tally = world.stack.usage.service_totals("webhook", Service::Dynamodb);
    assert_eq!(tally.calls, 2, "one write for each delivery, and nothing else");
    assert!((tally.write_units - 2.0).abs() < f64::EPSILON, "{tally:?}");
    assert!(tally.read_units.abs() < f64::EPSILON, "{tally:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recordings_are_told_of_and_never_fetched() {
    let world = World::start().await;
    let (trainer, student) = (world.trainer().await, world.student(1).await);
    let (path, meeting) = scheduled(&world, &trainer, "app").await;
    world.advance(SignedDuration::from_hours(26));
    act(&world, &meeting, "start", json!({})).await;
    act(&world, &meeting, "recording", json!({"action": "start"})).await;
    world.advance(SignedDuration::from_mins(30));
    act(&world, &meeting, "end", json!({})).await;
    world.stack.usage.reset();
    act(&world, &meeting, "recording", json!({})).await;
    assert_eq!(
        world.stack.usage.service_totals("webhook", Service::Zoom).calls,
        0,
        "nothing is fetched from Zoom"
    );

    let list = format!("{path}/recordings");
    let seen = world.get(&student, &list).await.expect(200);
    let first = seen["items"][0].clone();
    assert!(
        first["play_url"]
            .as_str()
            .is_some_and(|url| url.starts_with("https://") && url.contains("zoom.us")),
        "{seen}"
    );
    assert_eq!(first["state"], "available");
    world.get(&world.student(9).await, &list).await.refused(404, "not_found");
    for (action, state) in [("trash", "trashed"), ("recover", "available"), ("delete", "deleted")] {
        world.advance(SignedDuration::from_secs(60));
        act(&world, &meeting, "recording", json!({"action": action})).await;
        let seen = world.get(&trainer, &list).await.expect(200);
        assert_eq!(seen["items"][0]["state"], state, "{seen}");
        assert_eq!(seen["items"][0]["play_url"].is_null(), state != "available");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_takes_the_app_away_is_forgotten() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    scheduled(&world, &trainer, "app").await;
    act(&world, "/zoom/sim", "deauthorize", json!({"user": "trainer@app.zoom.test"})).await;
    let connection = world.get(&trainer, "/v1/zoom/connection").await.expect(200);
    assert_eq!(connection["status"], "not_connected");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pasted_link_is_all_that_a_manual_class_has() {
    let world = World::start().await;
    let (trainer, student) = (world.trainer().await, world.student(1).await);
    let mut body = course_class(1);
    body["provider"] = json!("manual");
    body["join_url"] = json!("https://meet.example.test/abc");
    let made = world.post(&trainer, "/v1/sessions", body).await.expect(201);
    let join = format!("/v1/sessions/{}/join", made["id"].as_str().expect("an id"));
    world.advance(SignedDuration::from_mins(55));
    for token in [&trainer, &student] {
        let pass = world.post(token, &join, json!({})).await.expect(200);
        assert_eq!(
            (&pass["mode"], &pass["join_url"]),
            (&json!("link"), &json!("https://meet.example.test/abc"))
        );
    }
    let alone = world
        .post(&trainer, "/v1/sessions", {
            let mut c = class(3);
            c["provider"] = json!("manual");
            c["join_url"] = json!("https://meet.example.test/b");
            c
        })
        .await
        .expect(201);
    world
        .post(
            &student,
            &format!("/v1/sessions/{}/join", alone["id"].as_str().expect("an id")),
            json!({}),
        )
        .await
        .refused(404, "not_found");
}
