//! Zoom tokens: one refresh for concurrent requests, crashes during a refresh, and key rotation.

use futures::future::{join, join_all};
use jiff::SignedDuration;
use local::calls::Service::{Dynamodb, Secretsmanager, Sqs, Zoom};
use local::faults::{Fault, FaultKind};
use serde_json::{Value, json};

use crate::functions::{
    DirectFunctions, Item, MAIN_TABLE, TOKENS_TABLE, dynamodb, gateway_event, items_with_prefix,
    string_attr, wait_until,
};
use crate::world::{World, session_body};

const CONNECTION: &str = "/v1/zoom/connection";
const SESSIONS: &str = "/v1/sessions";
/// Longer than a refresh lease and than the gateway's timeout.
const AFTER_LEASE: SignedDuration = SignedDuration::from_secs(41);

/// A world with `trainer-1` connected, and their platform token.
async fn connected() -> (World, String) {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    world.stack.usage.reset();
    (world, trainer)
}

fn fault(world: &World, fault: Fault) {
    world.stack.faults.add(fault).expect("a valid fault");
}

async fn stored_connection(world: &World) -> Option<Item> {
    items_with_prefix(world, TOKENS_TABLE, "TRAINER#trainer-1").await.pop()
}

async fn status(world: &World, token: &str) -> String {
    let connection = world.get(token, CONNECTION).await.expect(200);
    connection["status"].as_str().expect("a word").to_owned()
}

/// The pending reconnection notifications to trainers.
async fn reauth_notifications(world: &World) -> Vec<Item> {
    let due = items_with_prefix(world, MAIN_TABLE, "DUE#OUTBOX").await;
    due.into_iter().filter(|item| string_attr(item, "event") == "reauth_required").collect()
}

/// Whether Zoom has any grant.
fn has_grant_at_zoom(world: &World) -> bool {
    world.stack.zoom.snapshot()["grants"].as_object().is_some_and(|grants| !grants.is_empty())
}

fn token_calls(world: &World) -> u64 {
    world.stack.usage.calls("session-save", Zoom, "token")
}

fn meetings(world: &World) -> usize {
    world.stack.zoom.meetings().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn token_is_refreshed_with_less_than_five_minutes_left() {
    let (world, trainer) = connected().await;
    world.advance(SignedDuration::from_mins(55));
    world.post(&trainer, SESSIONS, session_body(26)).await.expect(201);
    assert_eq!(world.stack.zoom.token_refreshes(), 0, "five minutes are enough");
    world.advance(SignedDuration::from_secs(1));
    world.post(&trainer, SESSIONS, session_body(27)).await.expect(201);
    assert_eq!(world.stack.zoom.token_refreshes(), 1);
    world.post(&trainer, SESSIONS, session_body(28)).await.expect(201);
    assert_eq!(world.stack.zoom.token_refreshes(), 1, "the next request uses the refreshed token");
    assert_eq!(world.stack.zoom.counts().refused_refreshes, 0);
}

/// Sends fifty concurrent start requests, each of which needs a ZAK. On a busy machine a response may be 503, but no
/// other error.
async fn start_fifty_times(world: &World, trainer: &str, path: &str) {
    let all = join_all((0..50).map(|_| world.post(trainer, path, json!({})))).await;
    for response in all {
        if response.status == 503 {
            continue;
        }
        let payload = response.expect(200);
        assert!(payload["zak"].as_str().is_some_and(|token| !token.is_empty()), "{payload}");
    }
    world.post(trainer, path, json!({})).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_concurrent_requests_cause_one_refresh() {
    let (world, trainer) = connected().await;
    let made = world.post(&trainer, SESSIONS, session_body(26)).await.expect(201);
    let path = format!("{SESSIONS}/{}/join", made["id"].as_str().expect("an id"));
    world.advance(SignedDuration::from_hours(26));
    start_fifty_times(&world, &trainer, &path).await;
    assert_eq!(world.stack.zoom.token_refreshes(), 1, "the token had expired by our clock");
    // The token has an hour left by our clock, but Zoom rejects it.
    world.stack.zoom.expire_access_tokens();
    start_fifty_times(&world, &trainer, &path).await;
    assert_eq!(world.stack.zoom.token_refreshes(), 2);
    assert_eq!(world.stack.zoom.counts().refused_refreshes, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twelve_concurrent_creates_with_expired_token_cause_one_refresh() {
    let (world, trainer) = connected().await;
    world.advance(SignedDuration::from_hours(2));
    let all = (0..12).map(|n| world.post(&trainer, SESSIONS, session_body(26 + n)));
    for response in join_all(all).await {
        response.expect(201);
    }
    assert_eq!(world.stack.zoom.token_refreshes(), 1);
    assert_eq!(world.stack.zoom.counts().refused_refreshes, 0);
    assert_eq!(meetings(&world), 12);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rejected_token_is_refreshed_once_and_the_call_repeated_once() {
    let (world, trainer) = connected().await;
    fault(&world, Fault::new(Zoom, "create_meeting", FaultKind::Unauthorized));
    world.post(&trainer, SESSIONS, session_body(26)).await.expect(201);
    assert_eq!(world.stack.zoom.token_refreshes(), 1);
    assert_eq!(world.stack.usage.calls("session-save", Zoom, "create_meeting"), 2);
    assert_eq!(meetings(&world), 1);

    // If Zoom rejects the new token as well, the request fails.
    world.stack.usage.reset();
    fault(&world, Fault::new(Zoom, "create_meeting", FaultKind::Unauthorized).times(2));
    world.post(&trainer, SESSIONS, session_body(27)).await.expect_problem(409, "reauth_required");
    assert_eq!(world.stack.zoom.token_refreshes(), 2);
    assert_eq!(world.stack.usage.calls("session-save", Zoom, "create_meeting"), 2);
    assert_eq!(meetings(&world), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_scope_is_reported_without_a_refresh() {
    let (world, trainer) = connected().await;
    // The stored grant has the scope, but Zoom's grant does not.
    let all_but_one =
        shared::domain::scope::REQUIRED.iter().map(|spellings| spellings[0].to_owned());
    let all_but_one = all_but_one.filter(|scope| scope != "meeting:write:meeting").collect();
    world.stack.zoom.update_settings(local::zoom::SettingsUpdate {
        scopes: Some(Some(all_but_one)),
        ..local::zoom::SettingsUpdate::default()
    });
    let problem = world
        .post(&trainer, SESSIONS, session_body(26))
        .await
        .expect_problem(409, "missing_scopes");
    let missing = problem["missing_scopes"].as_array().expect("a list");
    assert!(
        missing.iter().any(|scope| scope
            .as_str()
            .is_some_and(|scope| scope.starts_with("meeting:write:meeting"))),
        "{problem}"
    );
    assert_eq!(world.stack.zoom.token_refreshes(), 0);
    assert_eq!(world.stack.usage.calls("session-save", Zoom, "create_meeting"), 1);
    assert_eq!(status(&world, &trainer).await, "connected");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_stored_before_use_and_their_loss_is_reported_once() {
    let (world, trainer) = connected().await;
    world.advance(SignedDuration::from_hours(2));
    let before = stored_connection(&world).await.expect("a connection");
    let slow = Fault { delay_ms: Some(400), ..Fault::new(Zoom, "token", FaultKind::Late) };
    fault(&world, slow);
    let save = world.post(&trainer, SESSIONS, session_body(26));
    let break_table = async {
        wait_until("the refresh is in flight", || token_calls(&world) == 1).await;
        fault(
            &world,
            Fault::new(Dynamodb, "UpdateItem", FaultKind::Error)
                .times(12)
                .for_function("session-save"),
        );
    };
    let (response, ()) = join(save, break_table).await;
    response.expect_problem(503, "unavailable");
    assert!(world.stack.faults.list().is_empty(), "every attempt to store the tokens failed");
    assert_eq!(world.stack.zoom.token_refreshes(), 1);
    assert_eq!(meetings(&world), 0, "a token that was not stored is not used");
    let after = stored_connection(&world).await.expect("a connection");
    assert_eq!(before["refresh_token"], after["refresh_token"]);

    // Zoom accepts only the new tokens, which are lost.
    world.advance(AFTER_LEASE);
    let all = (0..8).map(|n| world.post(&trainer, SESSIONS, session_body(26 + n)));
    for response in join_all(all).await {
        response.expect_problem(409, "reauth_required");
    }
    assert_eq!(status(&world, &trainer).await, "reauth_required");
    assert_eq!(reauth_notifications(&world).await.len(), 1);
    assert_eq!(
        world.stack.zoom.counts().refused_refreshes,
        1,
        "a request does not refresh a grant that needs reconnection"
    );
    world.post(&trainer, SESSIONS, session_body(26)).await.expect_problem(409, "reauth_required");
    assert_eq!(reauth_notifications(&world).await.len(), 1);
    // Reconnecting repairs it.
    world.connect_zoom(&trainer, "app").await;
    world.post(&trainer, SESSIONS, session_body(26)).await.expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn table_failures_do_not_lose_new_tokens() {
    let (world, trainer) = connected().await;
    for failure in [
        Fault::new(Dynamodb, "UpdateItem", FaultKind::Throttle).times(2),
        Fault::new(Dynamodb, "UpdateItem", FaultKind::Conflict),
        Fault::new(Dynamodb, "UpdateItem", FaultKind::Error).times(5),
        Fault::new(Dynamodb, "UpdateItem", FaultKind::Lost),
        Fault::new(Dynamodb, "UpdateItem", FaultKind::Half),
    ] {
        let context = format!("{failure:?}");
        world.advance(SignedDuration::from_hours(2));
        world.stack.usage.reset();
        let slow = Fault { delay_ms: Some(100), ..Fault::new(Zoom, "token", FaultKind::Late) };
        fault(&world, slow);
        let save = world.post(&trainer, SESSIONS, session_body(26));
        let inject_failure = async {
            wait_until("the refresh is in flight", || token_calls(&world) == 1).await;
            fault(&world, failure.for_function("session-save"));
        };
        let (response, ()) = join(save, inject_failure).await;
        assert_eq!(response.status, 201, "{context}: {}", response.text);
        assert!(world.stack.faults.list().is_empty(), "{context} did not occur");
    }
    assert_eq!(world.stack.zoom.token_refreshes(), 5);
    assert_eq!(world.stack.zoom.counts().refused_refreshes, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lease_of_a_lost_response_is_not_waited_for() {
    let (world, trainer) = connected().await;
    world.advance(SignedDuration::from_hours(2));
    fault(&world, Fault::new(Dynamodb, "UpdateItem", FaultKind::Lost).for_function("session-save"));
    world.post(&trainer, SESSIONS, session_body(26)).await.expect(201);
    assert_eq!(world.stack.zoom.token_refreshes(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crash_before_the_refresh_leaves_a_lease_that_expires() {
    let (world, trainer) = connected().await;
    world.advance(SignedDuration::from_hours(2));
    let direct = DirectFunctions::new(&world, &[]);
    fault(&world, Fault::new(Zoom, "token", FaultKind::Timeout));
    let body = session_body(26).to_string();
    let crash_after = SignedDuration::from_millis(900);
    let response = direct
        .invoke("session-save", gateway_event("POST", SESSIONS, &trainer, Some(&body)), crash_after)
        .await;
    response.expect_problem(503, "unavailable");
    assert!(
        stored_connection(&world).await.expect("a connection").contains_key("lease_until"),
        "the lease was taken before the crash"
    );
    assert_eq!(world.stack.zoom.token_refreshes(), 0);
    world.advance(AFTER_LEASE);
    let all = (0..5).map(|n| world.post(&trainer, SESSIONS, session_body(30 + n)));
    for response in join_all(all).await {
        response.expect(201);
    }
    assert_eq!(world.stack.zoom.token_refreshes(), 1);
    assert!(!stored_connection(&world).await.expect("a connection").contains_key("lease_until"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crash_after_the_refresh_requires_reconnection_and_notifies_once() {
    let (world, trainer) = connected().await;
    world.advance(SignedDuration::from_hours(2));
    let direct = DirectFunctions::new(&world, &[]);
    let slow = Fault { delay_ms: Some(2000), ..Fault::new(Zoom, "token", FaultKind::Late) };
    fault(&world, slow);
    let body = session_body(26).to_string();
    let crash_after = SignedDuration::from_millis(900);
    let response = direct
        .invoke("session-save", gateway_event("POST", SESSIONS, &trainer, Some(&body)), crash_after)
        .await;
    response.expect_problem(503, "unavailable");
    assert_eq!(world.stack.zoom.token_refreshes(), 1);
    world.advance(AFTER_LEASE);
    let all = (0..5).map(|n| world.post(&trainer, SESSIONS, session_body(30 + n)));
    for response in join_all(all).await {
        response.expect_problem(409, "reauth_required");
    }
    assert_eq!(status(&world, &trainer).await, "reauth_required");
    let notifications = reauth_notifications(&world).await;
    assert_eq!(notifications.len(), 1);
    assert_eq!(string_attr(&notifications[0], "trainer_id"), "trainer-1");
    assert_eq!(world.stack.zoom.counts().refused_refreshes, 1);
    assert_eq!(meetings(&world), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_refresh_is_reported_and_retried_by_the_next_request() {
    let (world, trainer) = connected().await;
    for (failure, status, code) in [
        (Fault::new(Zoom, "token", FaultKind::Error), 502, "zoom_unavailable"),
        (Fault::new(Zoom, "token", FaultKind::Html), 502, "zoom_unavailable"),
        (
            Fault { status: Some(400), ..Fault::new(Zoom, "token", FaultKind::Html) },
            502,
            "zoom_rejected",
        ),
        (Fault::new(Zoom, "token", FaultKind::Unauthorized), 502, "zoom_rejected"),
        (Fault::new(Zoom, "token", FaultKind::Throttle), 429, "zoom_rate_limited"),
    ] {
        let context = format!("{failure:?}");
        world.advance(SignedDuration::from_hours(2));
        fault(&world, failure);
        let response = world.post(&trainer, SESSIONS, session_body(26)).await;
        assert_eq!(response.status, status, "{context}: {}", response.text);
        response.expect_problem(status, code);
        assert!(
            !stored_connection(&world).await.expect("a connection").contains_key("lease_until"),
            "{context}"
        );
        // The next request does not wait.
        world.post(&trainer, SESSIONS, session_body(26)).await.expect(201);
    }
    assert_eq!(world.stack.zoom.counts().refused_refreshes, 0);
    assert_eq!(reauth_notifications(&world).await, Vec::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revoked_grant_is_reported_once_while_the_queue_is_down() {
    let (world, trainer) = connected().await;
    world.deauthorize_without_event("trainer@app.zoom.test").await;
    fault(&world, Fault::new(Sqs, "*", FaultKind::Error).times(50));
    let all = (0..20).map(|n| world.post(&trainer, SESSIONS, session_body(26 + n)));
    for response in join_all(all).await {
        response.expect_problem(409, "reauth_required");
    }
    assert_eq!(status(&world, &trainer).await, "reauth_required");
    assert_eq!(reauth_notifications(&world).await.len(), 1);
    assert_eq!(world.stack.zoom.counts().refused_refreshes, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_invalid_grant_does_not_end_a_newer_grant() {
    let (world, trainer) = connected().await;
    world.advance(SignedDuration::from_hours(2));
    world.deauthorize_without_event("trainer@app.zoom.test").await;
    let slow = Fault { delay_ms: Some(800), ..Fault::new(Zoom, "token", FaultKind::Late) };
    fault(&world, slow.for_function("session-save"));
    let save = world.post(&trainer, SESSIONS, session_body(26));
    let again = async {
        wait_until("the refresh is in flight", || token_calls(&world) == 1).await;
        world.connect_zoom(&trainer, "app").await;
    };
    let (response, ()) = join(save, again).await;
    response.expect(201);
    assert_eq!(world.stack.zoom.counts().refused_refreshes, 1, "the old token was rejected");
    assert_eq!(status(&world, &trainer).await, "connected");
    assert_eq!(reauth_notifications(&world).await, Vec::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_refreshed_during_disconnect_are_erased_and_revoked() {
    let (world, trainer) = connected().await;
    world.advance(SignedDuration::from_hours(2));
    let slow = Fault { delay_ms: Some(800), ..Fault::new(Zoom, "token", FaultKind::Late) };
    fault(&world, slow);
    let save = world.post(&trainer, SESSIONS, session_body(26));
    let disconnect = async {
        wait_until("the refresh is in flight", || token_calls(&world) == 1).await;
        world.delete(&trainer, CONNECTION).await.expect(204);
    };
    let (response, ()) = join(save, disconnect).await;
    response.expect_problem(409, "zoom_not_connected");
    assert_eq!(world.stack.zoom.token_refreshes(), 1);
    assert_eq!(items_with_prefix(&world, TOKENS_TABLE, "").await, Vec::new());
    assert!(!has_grant_at_zoom(&world), "the refreshed grant is revoked");
    assert_eq!(meetings(&world), 0);
    assert_eq!(status(&world, &trainer).await, "not_connected");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_refreshed_during_reconnect_do_not_replace_new_tokens() {
    let (world, trainer) = connected().await;
    world.advance(SignedDuration::from_hours(2));
    let slow = Fault { delay_ms: Some(800), ..Fault::new(Zoom, "token", FaultKind::Late) };
    fault(&world, slow.for_function("session-save"));
    let save = world.post(&trainer, SESSIONS, session_body(26));
    let again = async {
        wait_until("the refresh is in flight", || token_calls(&world) == 1).await;
        world.connect_zoom(&trainer, "app").await;
    };
    let (response, ()) = join(save, again).await;
    response.expect(201);
    assert_eq!(status(&world, &trainer).await, "connected");
    // The stored grant is the valid one, because it refreshes.
    world.advance(SignedDuration::from_hours(2));
    world.post(&trainer, SESSIONS, session_body(27)).await.expect(201);
    assert_eq!(world.stack.zoom.counts().refused_refreshes, 0);
}

/// Sets the encryption keys in the secret.
async fn set_keys(world: &World, current: &str, keys: &[&str]) {
    let mut secret = local::settings::secrets();
    let own = secret["token_encryption_keys"]["keys"]["local-1"].clone();
    let key = |id: &str| match id {
        "local-1" => own.clone(),
        _ => json!(data_encoding::BASE64.encode(&[7; 32])),
    };
    let keys: serde_json::Map<_, _> = keys.iter().map(|id| ((*id).to_owned(), key(id))).collect();
    secret["token_encryption_keys"] = json!({"current": current, "keys": keys});
    world.stack.aws.set_secret(local::settings::SECRET_ID, &secret.to_string()).await.expect("set");
}

fn encryption_key_of(item: &Item, field: &str) -> String {
    string_attr(item, field).split('.').nth(1).unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_key_still_decrypts_and_new_values_use_the_new_key() {
    let (world, trainer) = connected().await;
    let made = world.post(&trainer, SESSIONS, session_body(26)).await.expect(201);
    let made = format!("{SESSIONS}/{}", made["id"].as_str().expect("an id"));
    let (code, state) = world.consent(&world.other_trainer().await, "decision=allow").await;

    set_keys(&world, "new-2", &["local-1", "new-2"]).await;
    world.advance(SignedDuration::from_mins(5));
    // Values of the old key decrypt: a Zoom connection, a passcode, a started consent.
    world.post(&trainer, SESSIONS, session_body(27)).await.expect(201);
    let shown = world.get(&trainer, &made).await.expect(200);
    assert!(shown["meeting"]["passcode"].is_string());
    let item = stored_connection(&world).await.expect("a connection");
    assert_eq!(encryption_key_of(&item, "access_token"), "local-1");
    let other = world.other_trainer().await;
    let body = json!({"code": code, "state": state});
    let problem =
        world.post(&other, "/v1/zoom/connect", body).await.expect_problem(422, "validation_failed");
    assert_eq!(
        problem["errors"][0]["field"], "code",
        "the request reached Zoom, where the code has expired"
    );

    // New values are encrypted with the new key.
    world.advance(SignedDuration::from_hours(1));
    world.post(&trainer, SESSIONS, session_body(28)).await.expect(201);
    let item = stored_connection(&world).await.expect("a connection");
    assert_eq!(encryption_key_of(&item, "access_token"), "new-2");
    assert_eq!(encryption_key_of(&item, "refresh_token"), "new-2");

    // The old key can be removed, because the connection uses the new key.
    set_keys(&world, "new-2", &["new-2"]).await;
    world.advance(SignedDuration::from_mins(5));
    world.post(&trainer, SESSIONS, session_body(29)).await.expect(201);
    // A value of the removed key cannot be decrypted.
    let problem = world.get(&trainer, &made).await.expect_problem(500, "internal");
    assert!(!problem.to_string().contains("key"), "{problem}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_key_neither_changes_tokens_nor_reveals_details() {
    let (world, trainer) = connected().await;
    let before = stored_connection(&world).await.expect("a connection");
    set_keys(&world, "new-2", &["new-2"]).await;
    for advance in [SignedDuration::from_mins(5), SignedDuration::from_hours(2)] {
        world.advance(advance);
        let problem =
            world.post(&trainer, SESSIONS, session_body(26)).await.expect_problem(500, "internal");
        for internal in ["key", "encrypt", "seal"] {
            assert!(!problem.to_string().contains(internal), "{problem}");
        }
        assert_eq!(
            stored_connection(&world).await.as_ref(),
            Some(&before),
            "the connection is unchanged and has no lease"
        );
    }
    assert_eq!(world.stack.zoom.token_refreshes(), 0);
    assert_eq!(meetings(&world), 0);
    assert_eq!(status(&world, &trainer).await, "connected");
    // With the key restored, requests succeed again.
    set_keys(&world, "new-2", &["local-1", "new-2"]).await;
    world.advance(SignedDuration::from_mins(5));
    world.post(&trainer, SESSIONS, session_body(26)).await.expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moved_or_changed_token_is_not_decrypted() {
    let (world, trainer) = connected().await;
    world.connect_zoom(&world.other_trainer().await, "app").await;
    let original = stored_connection(&world).await.expect("a connection");
    let others = items_with_prefix(&world, TOKENS_TABLE, "TRAINER#trainer-2")
        .await
        .pop()
        .expect("a connection");
    let mut flipped = string_attr(&original, "access_token").to_owned();
    let last = flipped.pop().expect("not empty");
    flipped.push(if last == 'A' { 'B' } else { 'A' });
    let unknown_key = string_attr(&original, "access_token").replace("v1.local-1.", "v1.local-9.");
    for (context, token) in [
        ("another trainer's", string_attr(&others, "access_token").to_owned()),
        ("the refresh token", string_attr(&original, "refresh_token").to_owned()),
        ("changed", flipped),
        ("of an unknown key", unknown_key),
        ("of another version", string_attr(&original, "access_token").replace("v1.", "v9.")),
        ("in the clear", "a-token-in-the-clear".to_owned()),
        ("empty", String::new()),
    ] {
        let mut item = original.clone();
        item.insert("access_token".to_owned(), aws_sdk_dynamodb::types::AttributeValue::S(token));
        let put = dynamodb(&world).put_item().table_name(TOKENS_TABLE).set_item(Some(item));
        put.send().await.expect("the item is put");
        let response = world.post(&trainer, SESSIONS, session_body(26)).await;
        assert_eq!(response.status, 500, "{context}: {}", response.text);
        response.expect_problem(500, "internal");
    }
    assert_eq!(meetings(&world), 0);
    assert_eq!(
        world.stack.usage.calls("session-save", Zoom, "create_meeting"),
        0,
        "no token is sent to Zoom"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_outage_is_bridged_by_the_cached_secret() {
    let (world, trainer) = connected().await;
    world.post(&trainer, SESSIONS, session_body(26)).await.expect(201);
    world.advance(SignedDuration::from_mins(10));
    fault(&world, Fault::new(Secretsmanager, "*", FaultKind::Error).times(30));
    world.post(&trainer, SESSIONS, session_body(27)).await.expect(201);
    let body: Value = world.get(&trainer, CONNECTION).await.expect(200);
    assert_eq!(body["status"], "connected");
}
