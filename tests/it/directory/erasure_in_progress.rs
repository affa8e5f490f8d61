//! Erasure of a person while other requests store data of the person, or while an index does not show everything.

use std::time::Duration;

use jiff::SignedDuration;
use local::calls::Service::{Dynamodb, Zoom};
use local::faults::{Fault, FaultKind};
use serde_json::{Value, json};

use super::erasure::{ENROLLMENT_PATH, ZELDA_PATH, items_with_personal_data, zelda_token};
use super::send_event;
use crate::functions::{TOKENS_TABLE, items_with_prefix};
use crate::support::{items, patched};
use crate::world::{Response, World, course_session_body, session_body};
use crate::zoom_session::ScheduledSession;

pub(crate) const TRAINER_PATH: &str = "/v1/directory/users/trainer-1";
/// The time for which a slow call of the other request takes.
const SLOW_MS: u64 = 1_500;

pub(super) fn enrollment() -> Value {
    json!({"email": "zelda@example.test", "name": "Zelda Zwingli"})
}

pub(super) fn zelda() -> Value {
    json!({"email": "zelda@example.test", "name": "Zelda Zwingli", "role": "student"})
}

pub(super) fn manual(body: Value) -> Value {
    patched(body, json!({"provider": "manual", "join_url": "https://meet.example.test/a"}))
}

pub(super) fn invites_zelda(body: Value) -> Value {
    let list = json!([{"email": "zelda@example.test", "name": "Zelda Zwingli"}]);
    patched(body, json!({"audience_type": "invitees", "invitees": list}))
}

/// Starts a request with a slow call, and sends `DELETE path` while it waits.
pub(crate) async fn erase_during<T>(
    world: &World,
    path: &str,
    slow: Fault,
    request: impl Future<Output = T>,
) -> T {
    let service = world.service().await;
    let mut slow = slow;
    slow.delay_ms = Some(SLOW_MS);
    world.inject_fault(slow);
    let erase = async {
        tokio::time::sleep(Duration::from_millis(SLOW_MS / 3)).await;
        assert!(world.stack.faults.list().is_empty(), "the request should be waiting");
        world.advance(SignedDuration::from_millis(5));
        world.delete(&service, path).await.expect(204);
    };
    let (response, ()) = tokio::join!(request, erase);
    response
}

pub(super) fn late(operation: &str, function: &str) -> Fault {
    Fault::new(Dynamodb, operation, FaultKind::Late).for_function(function)
}

/// Runs the sweeps when both repetitions of an erasure are due.
async fn repeat_erasures(world: &World) {
    for minutes in [3, 60] {
        world.advance(SignedDuration::from_mins(minutes));
        world.sweep().await;
        world.run_outbox_sweep().await;
    }
    let left = world.items("ERASED#").await;
    assert!(left.iter().all(|item| item["leads"].is_null()), "{left:?}");
}

pub(super) async fn assert_nothing_is_left(world: &World) {
    repeat_erasures(world).await;
    assert_eq!(items_with_personal_data(world).await, Vec::<Value>::new());
}

async fn scheduled_sessions(world: &World) -> Vec<Value> {
    let all = items(&world.dump().await, "SESSION#");
    all.into_iter().filter(|item| item["status"] == "scheduled").collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn class_is_not_created_after_its_trainer_was_erased() {
    for is_manual in [false, true] {
        let world = World::start().await;
        let trainer = world.trainer().await;
        world.connect_zoom(&trainer, "app").await;
        let (body, slow) = match is_manual {
            true => (manual(course_session_body(50)), late("BatchGetItem", "session-save")),
            false => (course_session_body(50), Fault::new(Zoom, "create_meeting", FaultKind::Late)),
        };
        let create = world.create_with_idempotency_key(&trainer, "k", &body);
        let response = erase_during(&world, TRAINER_PATH, slow, create).await;
        response.expect_problem(403, "forbidden");
        assert_eq!(scheduled_sessions(&world).await, [] as [Value; 0]);
        assert_eq!(world.items("DUE#OUTBOX").await, [] as [Value; 0]);
        repeat_erasures(&world).await;
        assert_eq!(world.sent_mails().await.len(), 0, "nobody is invited");
        let left = items(&world.dump().await, "USER#trainer-1");
        assert_eq!(left, [] as [Value; 0], "counters too");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn class_that_the_index_did_not_show_is_cancelled_later() {
    let world = World::start().await;
    let (trainer, service) = (world.trainer().await, world.service().await);
    world.delete(&service, TRAINER_PATH).await.expect(204);
    world.put_user("trainer-1", json!({})).await;
    world.create(&trainer, &manual(course_session_body(50))).await.expect(201);
    // The index returns its responses to the queries of the first erasure.
    let stale = Fault::new(Dynamodb, "Query", FaultKind::Stale).for_function("directory");
    world.inject_fault(stale.times(99));
    world.delete(&service, TRAINER_PATH).await.expect(204);
    world.stack.faults.clear();
    assert_eq!(scheduled_sessions(&world).await.len(), 1, "the index should have lagged");
    repeat_erasures(&world).await;
    assert_eq!(scheduled_sessions(&world).await, [] as [Value; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn join_attempts_in_a_class_that_the_index_did_not_show_are_erased_later() {
    let world = World::start().await;
    let (trainer, service) = (world.trainer().await, world.service().await);
    world.put(&service, ENROLLMENT_PATH, enrollment()).await.expect(200);
    world.delete(&service, ZELDA_PATH).await.expect(204);
    world.put(&service, ENROLLMENT_PATH, enrollment()).await.expect(200);
    let soon = patched(course_session_body(1), json!({"starts_at": "2026-11-21T09:05:00Z"}));
    let session = world.create(&trainer, &manual(soon)).await.expect(201);
    let join = format!("/v1/sessions/{}/join", session["id"].as_str().expect("an id"));
    world.post(&zelda_token(&world).await, &join, json!({})).await.expect(200);
    let stale = Fault::new(Dynamodb, "Query", FaultKind::Stale).for_function("directory");
    world.inject_fault(stale.times(99));
    world.delete(&service, ZELDA_PATH).await.expect(204);
    world.stack.faults.clear();
    assert!(!items_with_personal_data(&world).await.is_empty(), "the index should have lagged");
    assert_nothing_is_left(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeated_request_erases_a_class_that_the_index_did_not_show() {
    let world = World::start().await;
    let (trainer, service) = (world.trainer().await, world.service().await);
    world.put(&service, ENROLLMENT_PATH, enrollment()).await.expect(200);
    world.delete(&service, ZELDA_PATH).await.expect(204);
    world.put(&service, ENROLLMENT_PATH, enrollment()).await.expect(200);
    let soon = patched(course_session_body(1), json!({"starts_at": "2026-11-21T09:05:00Z"}));
    let session = world.create(&trainer, &manual(soon)).await.expect(201);
    let join = format!("/v1/sessions/{}/join", session["id"].as_str().expect("an id"));
    world.post(&zelda_token(&world).await, &join, json!({})).await.expect(200);
    let stale = Fault::new(Dynamodb, "Query", FaultKind::Stale).for_function("directory");
    world.inject_fault(stale.times(99));
    world.delete(&service, ZELDA_PATH).await.expect(204);
    world.stack.faults.clear();
    world.delete(&service, ZELDA_PATH).await.expect(204);
    assert_eq!(items_with_personal_data(&world).await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn join_attempt_in_progress_at_a_manual_class_is_erased() {
    let world = World::start().await;
    let (trainer, service) = (world.trainer().await, world.service().await);
    world.put(&service, ENROLLMENT_PATH, enrollment()).await.expect(200);
    let soon = patched(course_session_body(1), json!({"starts_at": "2026-11-21T09:05:00Z"}));
    let session = world.create(&trainer, &manual(soon)).await.expect(201);
    let path = format!("/v1/sessions/{}/join", session["id"].as_str().expect("an id"));
    let token = zelda_token(&world).await;
    // The session is read by a batch, and then the enrollment.
    let slow = late("GetItem", "join");
    let join = world.post(&token, &path, json!({}));
    erase_during(&world, ZELDA_PATH, slow, join).await.expect(200);
    assert!(!items_with_personal_data(&world).await.is_empty(), "the attempt is recorded late");
    assert_nothing_is_left(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_stored_by_requests_in_progress_is_erased_later() {
    type Request<'a> = std::pin::Pin<Box<dyn Future<Output = Response> + 'a>>;
    const OTHER_ENROLLMENT: &str = "/v1/directory/courses/course-2/enrollments/zelda";
    const PREFERENCES: &str = "/v1/me/notification-preferences";
    let quiet = json!({"live_session": {"in_app": true, "email": false}});
    for name in ["enrollment", "rename", "without_class", "user", "preferences", "invitees"] {
        let world = World::start().await;
        let (trainer, service) = (world.trainer().await, world.service().await);
        let token = zelda_token(&world).await;
        world.create(&trainer, &manual(course_session_body(50))).await.expect(201);
        world.put(&service, ZELDA_PATH, zelda()).await.expect(200);
        let invited = invites_zelda(manual(session_body(40)));
        let (slow, request): (Fault, Request<'_>) = match name {
            "enrollment" | "rename" => {
                if name == "rename" {
                    world.put(&service, ENROLLMENT_PATH, enrollment()).await.expect(200);
                    world.run_outbox_sweep().await;
                }
                let renamed = patched(enrollment(), json!({"name": "Zelda Z."}));
                let put = world.put(&service, ENROLLMENT_PATH, renamed);
                (late("BatchGetItem", "directory"), Box::pin(put))
            }
            "without_class" => {
                let put = world.put(&service, OTHER_ENROLLMENT, enrollment());
                (late("Query", "directory"), Box::pin(put))
            }
            "user" => {
                let put = world.put(&service, ZELDA_PATH, zelda());
                (late("BatchGetItem", "directory"), Box::pin(put))
            }
            "preferences" => {
                let put = world.put(&token, PREFERENCES, quiet.clone());
                (late("GetItem", "notifications"), Box::pin(put))
            }
            _ => {
                let create = world.create(&trainer, &invited);
                (late("BatchGetItem", "session-save"), Box::pin(create))
            }
        };
        let response = erase_during(&world, ZELDA_PATH, slow, request).await;
        assert!(response.status.is_success(), "{name}: {}", response.text);
        let left = items_with_personal_data(&world).await;
        assert_eq!(left.is_empty(), name == "rename", "{name}: {left:?}");
        repeat_erasures(&world).await;
        let left = items_with_personal_data(&world).await;
        assert_eq!(left, Vec::<Value>::new(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grant_is_not_stored_after_its_trainer_was_erased() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let (code, state) = world.consent(&trainer, "decision=allow&account=app").await;
    let attempts = items_with_prefix(&world, TOKENS_TABLE, "STATE#").await;
    assert!(attempts.len() == 1 && !format!("{attempts:?}").contains("trainer-1"));
    let body = json!({"code": code, "state": state});
    let connect = world.post(&trainer, "/v1/zoom/connect", body);
    let slow = Fault::new(Zoom, "token", FaultKind::Late);
    let response = erase_during(&world, TRAINER_PATH, slow, connect).await;
    response.expect_problem(403, "forbidden");
    let grants = world.stack.zoom.snapshot()["grants"].as_object().map_or(0, serde_json::Map::len);
    assert_eq!(grants, 0, "the new grant should be revoked");
    assert_eq!(items_with_prefix(&world, TOKENS_TABLE, "TRAINER#").await.len(), 0);
    assert_eq!(world.items("USER#trainer-1").await, [] as [Value; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn person_who_has_come_back_is_spared_by_the_repetitions() {
    let world = World::start().await;
    let (trainer, service) = (world.trainer().await, world.service().await);
    world.connect_zoom(&trainer, "app").await;
    world.put(&service, ENROLLMENT_PATH, enrollment()).await.expect(200);
    for path in [ZELDA_PATH, TRAINER_PATH] {
        world.delete(&service, path).await.expect(204);
    }
    world.advance(SignedDuration::from_millis(5));
    world.put_user("trainer-1", json!({"email": "trainer@example.test"})).await;
    world.put(&service, ZELDA_PATH, zelda()).await.expect(200);
    world.put(&service, ENROLLMENT_PATH, enrollment()).await.expect(200);
    let quiet = json!({"live_session": {"in_app": true, "email": false}});
    let token = zelda_token(&world).await;
    world.put(&token, "/v1/me/notification-preferences", quiet.clone()).await.expect(200);
    world.connect_zoom(&trainer, "app").await;
    world.create(&trainer, &course_session_body(50)).await.expect(201);
    world.create(&trainer, &invites_zelda(manual(session_body(40)))).await.expect(201);
    repeat_erasures(&world).await;
    assert_eq!(scheduled_sessions(&world).await.len(), 2);
    assert_eq!(world.list_items(&token, "/v1/me/sessions").await.len(), 2);
    let shown = world.get(&token, "/v1/me/notification-preferences").await.expect(200);
    assert_eq!(shown, quiet);
    let connection = world.get(&trainer, "/v1/zoom/connection").await.expect(200);
    assert_eq!(connection["status"], "connected");
    assert_eq!(world.monthly_session_count("trainer-1", "2026-11").await, 2);
    assert_eq!(world.items("USER#zelda").await.iter().filter(|it| it["sk"] == "USER").count(), 1);
    let own = world.list_items(&token, "/v1/me/notifications").await;
    assert_eq!(own.len(), 2, "two invitations");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_event_of_the_platform_does_not_bring_the_person_back() {
    let world = World::start().await;
    let service = world.service().await;
    world.put(&service, ZELDA_PATH, zelda()).await.expect(200);
    world.advance(SignedDuration::from_mins(2));
    world.delete(&service, ZELDA_PATH).await.expect(204);
    // The events of this test were sent two minutes ago.
    let user = patched(zelda(), json!({"id": "zelda"}));
    send_event(&world, "UserUpserted", user).await.expect("applied");
    let granted = patched(enrollment(), json!({"course_id": "course-1", "user_id": "zelda"}));
    send_event(&world, "EnrollmentGranted", granted).await.expect("applied");
    assert_eq!(items_with_personal_data(&world).await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn student_who_is_enrolled_during_the_removal_of_the_course_is_removed() {
    const COURSE: &str = "/v1/directory/courses/course-1";
    let world = World::start().await;
    let (trainer, service) = (world.trainer().await, world.service().await);
    world.create(&trainer, &manual(course_session_body(50))).await.expect(201);
    let put = world.put(&service, ENROLLMENT_PATH, enrollment());
    erase_during(&world, COURSE, late("BatchGetItem", "directory"), put).await.expect(200);
    let token = zelda_token(&world).await;
    assert_eq!(world.list_items(&token, "/v1/me/sessions").await.len(), 1, "enrolled late");
    repeat_erasures(&world).await;
    assert_eq!(world.list_items(&token, "/v1/me/sessions").await, [] as [Value; 0]);
    // A course with the same id is another course.
    let body = json!({"title": "Course", "trainer_id": "trainer-1"});
    world.delete(&service, COURSE).await.expect(204);
    world.advance(SignedDuration::from_millis(5));
    world.put(&service, COURSE, body).await.expect(200);
    world.put(&service, ENROLLMENT_PATH, enrollment()).await.expect(200);
    repeat_erasures(&world).await;
    assert_eq!(world.list_items(&token, "/v1/me/sessions").await.len(), 1);
    assert_eq!(world.items("COURSE#course-1").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sweep_finishes_an_interrupted_erasure() {
    let world = World::start().await;
    let (trainer, service) = (world.trainer().await, world.service().await);
    world.put(&service, ZELDA_PATH, zelda()).await.expect(200);
    world.put(&service, ENROLLMENT_PATH, enrollment()).await.expect(200);
    world.create(&trainer, &invites_zelda(manual(session_body(40)))).await.expect(201);
    let fault = Fault::new(Dynamodb, "*", FaultKind::Error).for_function("directory");
    world.inject_fault(fault.after(10).times(99));
    world.advance(SignedDuration::from_millis(5));
    let interrupted = world.delete(&service, ZELDA_PATH).await;
    assert!(interrupted.status.is_server_error(), "{}", interrupted.status);
    world.stack.faults.clear();
    assert!(!items_with_personal_data(&world).await.is_empty());
    assert_nothing_is_left(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vote_in_progress_is_counted_once_and_without_a_name() {
    for votes_before in [true, false] {
        let world = World::start().await;
        let (trainer, service) = (world.trainer().await, world.service().await);
        world.connect_zoom(&trainer, "app").await;
        world.put(&service, ENROLLMENT_PATH, enrollment()).await.expect(200);
        let session = ScheduledSession::schedule(&world, &trainer, course_session_body(1)).await;
        world.advance(SignedDuration::from_hours(1));
        session.post_event(&world, &session.started("u1", 0)).await;
        let polls = format!("{}/polls", session.path);
        let question = json!({"question": "Which?", "options": ["2/3", "3/4"]});
        let poll = world.post(&trainer, &polls, question).await.expect(201);
        let option = |n: usize| json!({"option_ids": [poll["options"][n]["id"]]});
        let id = poll["id"].as_str().expect("an id");
        let (path, token) = (format!("{polls}/{id}/vote"), zelda_token(&world).await);
        if votes_before {
            world.put(&token, &path, option(0)).await.expect(200);
        }
        let vote = world.put(&token, &path, option(1));
        let slow = late("BatchGetItem", "poll");
        erase_during(&world, ZELDA_PATH, slow, vote).await.expect_problem(409, "poll_closed");
        let shown = world.get(&trainer, &polls).await.expect(200)["items"][0].clone();
        assert_eq!(shown["responses"], u32::from(votes_before), "{shown}");
        assert_eq!(shown["voters"], json!([]));
        let close = format!("{polls}/{id}/close");
        let closed = world.call(http::Method::POST, &close, &trainer, None, &[]).await.expect(200);
        assert_eq!(closed["responses"], u32::from(votes_before), "{closed}");
        assert_nothing_is_left(&world).await;
    }
}
