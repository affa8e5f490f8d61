//! Bookings of hosts: overlapping sessions are refused or warned about, also if they are saved at the same time.

use aws_sdk_dynamodb::types::AttributeValue;
use futures::future::join_all;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::late_answers::{booked_times, check_agreement, finish_repairs};
use crate::platform_hosting::assign_host;
use crate::support::{patched, session_path};
use crate::world::{Response, World, session_body};

const SETTINGS: &str = "/v1/directory/settings";
const OVERLAP: &str = "conflict";

/// A world where `trainer-1` has connected Zoom, with these settings of the platform.
async fn world_with_settings(settings: Value) -> (World, String) {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    set(&world, settings).await;
    (world, trainer)
}

async fn set(world: &World, settings: Value) {
    world.put(&world.service().await, SETTINGS, settings).await.expect(200);
}

/// A world where `trainer-1` has no connection and an active host in the platform's own account.
async fn platform_hosted_world() -> (World, String) {
    let world = World::start().await;
    assign_host(&world, "trainer-1", "hana@example.test").await;
    let trainer = world.trainer().await;
    (world, trainer)
}

/// A body of a session from a time of day on 2026-11-24.
fn body_at(time: &str, minutes: u32) -> Value {
    let starts_at = format!("2026-11-24T{time}:00Z");
    patched(session_body(0), json!({"starts_at": starts_at, "duration_minutes": minutes}))
}

fn insisting(body: Value) -> Value {
    patched(body, json!({"allow_overlap": true}))
}

/// Returns the session that was saved, and checks that every other response names it.
fn only_saved(responses: Vec<Response>, status: u16) -> Value {
    let (saved, refused): (Vec<_>, Vec<_>) =
        responses.into_iter().partition(|response| response.status.is_success());
    assert_eq!(saved.len(), 1, "{refused:?}");
    let saved = saved.into_iter().next().expect("one").expect(status);
    for response in refused {
        let problem = response.expect_problem(409, OVERLAP);
        assert_eq!(problem["conflicting_session_id"], saved["id"], "{problem}");
    }
    saved
}

/// The warnings of a session in the list and in its own view, which must be equal.
async fn warnings(world: &World, trainer: &str, session: &Value) -> Value {
    let shown = world.get(trainer, &session_path(session)).await.expect(200);
    let listed = world.list_items(trainer, "/v1/sessions").await;
    let listed = listed.iter().find(|item| item["id"] == session["id"]).expect("listed");
    assert_eq!(shown["warnings"], listed["warnings"]);
    shown["warnings"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn simultaneous_saves_never_share_the_time_of_a_host() {
    let (world, trainer) = platform_hosted_world().await;
    let bodies: Vec<_> = (0..20).map(|n| body_at(&format!("09:{:02}", 2 * n), 60)).collect();
    let creates = join_all(bodies.iter().map(|body| world.create(&trainer, body))).await;
    let made = only_saved(creates, 201);
    assert_eq!(world.zoom_calls("session-save", "create_meeting"), 1, "refused before the call");

    // Sessions that do not overlap are all stored, although they change the same calendar.
    let apart: Vec<_> = (11..19).map(|hour| body_at(&format!("{hour}:00"), 60)).collect();
    let creates = join_all(apart.iter().map(|body| world.create(&trainer, body))).await;
    let others: Vec<_> = creates.into_iter().map(|response| response.expect(201)).collect();
    check_agreement(&world, &trainer, "creates").await;

    let free = body_at("20:30", 60);
    let edits = join_all(others.iter().map(|session| world.edit(&trainer, session, &free))).await;
    let moved = only_saved(edits, 200);
    // Zoom may have got a move that was refused afterwards.
    finish_repairs(&world).await;
    check_agreement(&world, &trainer, "edits").await;

    // The first time of the moved session is free, and that of a cancelled one.
    let hour = others.iter().position(|other| other["id"] == moved["id"]).expect("one of them");
    world.create(&trainer, &apart[hour]).await.expect(201);
    world.create(&trainer, &free).await.expect_problem(409, OVERLAP);
    world.cancel(&trainer, &made).await.expect(200);
    world.create(&trainer, &body_at("09:00", 120)).await.expect(201);
    check_agreement(&world, &trainer, "freed times").await;

    // One session of the host takes place at that time, so one more fits into a capacity of two.
    set(&world, json!({"host_capacity": 2, "overlap": "refuse"})).await;
    let creates = join_all(bodies.iter().map(|body| world.create(&trainer, body))).await;
    let (fitting, refused): (Vec<_>, Vec<_>) =
        creates.into_iter().partition(|response| response.status.is_success());
    assert_eq!(fitting.len(), 1, "{refused:?}");
    let fitting = fitting.into_iter().next().expect("one").expect(201);
    assert_eq!(fitting["warnings"], json!([]));
    assert_eq!(warnings(&world, &trainer, &fitting).await, json!([]));
    for response in refused {
        response.expect_problem(409, OVERLAP);
    }
    let third = world.create(&trainer, &insisting(bodies[0].clone())).await.expect(201);
    assert_eq!(third["warnings"], json!(["overlap"]));
    assert_eq!(warnings(&world, &trainer, &third).await, json!(["overlap"]));
    check_agreement(&world, &trainer, "a capacity of two").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overlap_in_an_own_account_is_a_warning_while_it_lasts() {
    let (world, trainer) = world_with_settings(json!({})).await;
    let first = world.create(&trainer, &body_at("09:00", 60)).await.expect(201);
    let key = "second";
    let second = world.create_with_idempotency_key(&trainer, key, &body_at("09:30", 60)).await;
    let second = second.expect(201);
    assert_eq!(second["warnings"], json!(["overlap"]));
    let repeated = world.create_with_idempotency_key(&trainer, key, &body_at("09:30", 60)).await;
    assert_eq!(repeated.expect(201), second);
    for session in [&first, &second] {
        assert_eq!(warnings(&world, &trainer, session).await, json!(["overlap"]));
    }
    // Adjacent sessions, and those with a link of the trainer, do not overlap.
    let link = json!({"provider": "manual", "join_url": "https://meet.example.test/a"});
    for body in [body_at("10:30", 60), patched(body_at("09:00", 60), link)] {
        let made = world.create(&trainer, &body).await.expect(201);
        assert_eq!(warnings(&world, &trainer, &made).await, json!([]));
    }
    let renamed = patched(body_at("09:30", 60), json!({"title": "Geometry"}));
    let renamed = world.edit(&trainer, &second, &renamed).await.expect(200);
    assert_eq!(renamed["warnings"], json!(["overlap"]));
    let moved = world.edit(&trainer, &second, &body_at("13:00", 60)).await.expect(200);
    assert_eq!(moved["warnings"], json!([]));
    assert_eq!(warnings(&world, &trainer, &first).await, json!([]));
    let back = world.edit(&trainer, &second, &body_at("08:30", 60)).await.expect(200);
    assert_eq!(back["warnings"], json!(["overlap"]));
    let cancelled = world.cancel(&trainer, &first).await.expect(200);
    assert_eq!(cancelled["warnings"], json!([]));
    assert_eq!(warnings(&world, &trainer, &second).await, json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_overlap_names_the_other_class_and_can_be_allowed() {
    let (world, trainer) = world_with_settings(json!({"overlap": "refuse"})).await;
    let first = world.create(&trainer, &body_at("23:30", 60)).await.expect(201);
    // The session is on two days in UTC.
    let after_midnight = patched(session_body(0), json!({"starts_at": "2026-11-25T00:15:00Z"}));
    for body in [body_at("23:00", 45), after_midnight.clone()] {
        let problem = world.create(&trainer, &body).await.expect_problem(409, OVERLAP);
        assert_eq!(problem["conflicting_session_id"], first["id"]);
        let detail = problem["detail"].as_str().expect("a text");
        let expected =
            "The class “Algebra I” takes place at that time: it starts at 2026-11-24T23:30:00Z.";
        assert!(detail.starts_with(expected), "{detail}");
    }
    let adjacent = patched(session_body(0), json!({"starts_at": "2026-11-25T00:30:00Z"}));
    let second = world.create(&trainer, &adjacent).await.expect(201);
    world.edit(&trainer, &second, &after_midnight).await.expect_problem(409, OVERLAP);
    let longer = body_at("23:30", 61);
    world.edit(&trainer, &first, &longer).await.expect_problem(409, OVERLAP);
    assert_eq!(world.meeting_updates(&second), Vec::<Value>::new(), "refused before the call");

    let insisted = world.edit(&trainer, &first, &insisting(longer)).await.expect(200);
    assert_eq!(insisted["warnings"], json!(["overlap"]));
    let third = world.create(&trainer, &insisting(after_midnight)).await.expect(201);
    assert_eq!(third["warnings"], json!(["overlap"]));
    // An overlap that was allowed does not hinder other changes.
    let renamed = patched(adjacent, json!({"title": "Geometry"}));
    world.edit(&trainer, &second, &renamed).await.expect(200);
    // Another trainer has another host.
    let other = world.other_trainer().await;
    world.connect_zoom(&other, "app").await;
    let theirs = world.create(&other, &body_at("23:30", 60)).await.expect(201);
    for session in [&first, &second, &third] {
        world.cancel(&trainer, session).await.expect(200);
    }
    let booked = booked_times(&world.dump().await);
    assert_eq!(booked.into_keys().collect::<Vec<_>>(), [text(&theirs["id"])]);
    // The classes ahead of an erased trainer are cancelled.
    let service = world.service().await;
    world.delete(&service, "/v1/directory/users/trainer-2").await.expect(204);
    assert_eq!(booked_times(&world.dump().await).len(), 0);
    for day in world.items("BOOKINGS#").await {
        let expires_at = day["expires_at"].as_i64().expect("a time");
        let start: Timestamp = "2026-11-24T00:00:00Z".parse().expect("a time");
        assert!((2..=6).contains(&((expires_at - start.as_second()) / 86_400)), "{day}");
        assert!(!day.to_string().contains("@"), "{day}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calendar_of_an_earlier_version_is_completed_and_corrected() {
    let (world, trainer) = world_with_settings(json!({"overlap": "refuse"})).await;
    let old = world.create(&trainer, &body_at("09:00", 60)).await.expect(201);
    let cancelled = world.create(&trainer, &body_at("12:00", 60)).await.expect(201);
    let day = world.items("BOOKINGS#").await.remove(0);
    world.cancel(&trainer, &cancelled).await.expect(200);
    // An earlier version stores no booking, and leaves that of a session that it cancels.
    let (old_id, cancelled_id) = (text(&old["id"]), text(&cancelled["id"]));
    let times = day[&cancelled_id].as_array().expect("two times").iter();
    let times = times.map(|time| AttributeValue::N(time.to_string())).collect();
    let update = world.dynamodb().update_item().table_name("MainTable");
    let update = update
        .key("pk", AttributeValue::S(text(&day["pk"])))
        .key("sk", AttributeValue::S(text(&day["sk"])))
        .update_expression("SET #cancelled = :times REMOVE #old")
        .expression_attribute_names("#cancelled", &cancelled_id)
        .expression_attribute_names("#old", &old_id)
        .expression_attribute_values(":times", AttributeValue::L(times));
    update.send().await.expect("an update");

    let second = world.create(&trainer, &body_at("09:00", 60)).await.expect(201);
    world.create(&trainer, &body_at("12:00", 60)).await.expect(201);
    let renamed = patched(body_at("09:00", 60), json!({"title": "Geometry"}));
    let renamed = world.edit(&trainer, &old, &renamed).await.expect(200);
    assert_eq!(renamed["warnings"], json!(["overlap"]));
    assert!(booked_times(&world.dump().await).contains_key(&old_id));
    world.cancel(&trainer, &second).await.expect(200);
    world.create(&trainer, &body_at("09:30", 60)).await.expect_problem(409, OVERLAP);
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}
