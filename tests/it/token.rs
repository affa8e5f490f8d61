//! A fresh token: one refresh however many need it, nothing lost when a refresher dies, and keys that rotate.

use futures::future::{join, join_all};
use jiff::SignedDuration;
use local::calls::Service::{Dynamodb, Secretsmanager, Sqs, Zoom};
use local::faults::{Fault, Kind};
use serde_json::{Value, json};

use crate::direct::{Direct, Item, MAIN_TABLE, TOKENS_TABLE, dynamodb, event, items, text, until};
use crate::world::{World, class};

const CONNECTION: &str = "/v1/zoom/connection";
const SESSIONS: &str = "/v1/sessions";
/// Longer than a lease is held, and longer than a gateway waits.
const LEASE_OVER: SignedDuration = SignedDuration::from_secs(41);

/// A world with `trainer-1` connected, and their token.
async fn connected() -> (World, String) {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    world.stack.usage.reset();
    (world, trainer)
}

fn fault(world: &World, fault: Fault) {
    world.stack.faults.add(fault).expect("a fault that can be");
}

async fn stored(world: &World) -> Option<Item> {
    items(world, TOKENS_TABLE, "TRAINER#trainer-1").await.pop()
}

async fn status(world: &World, token: &str) -> String {
    let connection = world.get(token, CONNECTION).await.expect(200);
    connection["status"].as_str().expect("a word").to_owned()
}

/// The trainers' notices that wait to be told.
async fn notices(world: &World) -> Vec<Item> {
    let due = items(world, MAIN_TABLE, "DUE#OUTBOX").await;
    due.into_iter().filter(|item| text(item, "what") == "reauth_required").collect()
}

/// Whether Zoom has a grant for anybody.
fn grant_lives(world: &World) -> bool {
    world.stack.zoom.snapshot()["grants"].as_object().is_some_and(|grants| !grants.is_empty())
}

fn token_calls(world: &World) -> u64 {
    world.stack.usage.calls("session-save", Zoom, "token")
}

fn meetings(world: &World) -> usize {
    world.stack.zoom.meetings().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_refreshed_when_less_than_five_minutes_are_left_and_not_before() {
    let (world, trainer) = connected().await;
    world.advance(SignedDuration::from_mins(55));
    world.post(&trainer, SESSIONS, class(26)).await.expect(201);
    assert_eq!(world.stack.zoom.token_refreshes(), 0, "five minutes are enough");
    world.advance(SignedDuration::from_secs(1));
    world.post(&trainer, SESSIONS, class(27)).await.expect(201);
    assert_eq!(world.stack.zoom.token_refreshes(), 1);
    world.post(&trainer, SESSIONS, class(28)).await.expect(201);
    assert_eq!(world.stack.zoom.token_refreshes(), 1, "what was refreshed serves the next");
    assert_eq!(world.stack.zoom.counts().refused_refreshes, 0);
}

/// Fifty who start a class at once, each with a token of Zoom's for the trainer. On a machine that is busy with other
/// things one may be told to come back; none may be told anything else.
async fn fifty_start(world: &World, trainer: &str, path: &str) {
    let all = join_all((0..50).map(|_| world.post(trainer, path, json!({})))).await;
    for answer in all {
        if answer.status == 503 {
            continue;
        }
        let payload = answer.expect(200);
        assert!(payload["zak"].as_str().is_some_and(|token| !token.is_empty()), "{payload}");
    }
    world.post(trainer, path, json!({})).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_who_need_a_token_at_once_cause_one_refresh() {
    let (world, trainer) = connected().await;
    let made = world.post(&trainer, SESSIONS, class(26)).await.expect(201);
    let path = format!("{SESSIONS}/{}/join", made["id"].as_str().expect("an id"));
    world.advance(SignedDuration::from_hours(26));
    fifty_start(&world, &trainer, &path).await;
    assert_eq!(world.stack.zoom.token_refreshes(), 1, "by our clock it had expired");
    // By our clock it has an hour left, and Zoom does not take it.
    world.stack.zoom.expire_access_tokens();
    fifty_start(&world, &trainer, &path).await;
    assert_eq!(world.stack.zoom.token_refreshes(), 2);
    assert_eq!(world.stack.zoom.counts().refused_refreshes, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twelve_classes_scheduled_at_once_with_an_expired_token_cause_one_refresh() {
    let (world, trainer) = connected().await;
    world.advance(SignedDuration::from_hours(2));
    let all = (0..12).map(|n| world.post(&trainer, SESSIONS, class(26 + n)));
    for answer in join_all(all).await {
        answer.expect(201);
    }
    assert_eq!(world.stack.zoom.token_refreshes(), 1);
    assert_eq!(world.stack.zoom.counts().refused_refreshes, 0);
    assert_eq!(meetings(&world), 12);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_token_is_renewed_once_and_the_call_repeated_once() {
    let (world, trainer) = connected().await;
    fault(&world, Fault::new(Zoom, "create_meeting", Kind::Unauthorized));
    world.post(&trainer, SESSIONS, class(26)).await.expect(201);
    assert_eq!(world.stack.zoom.token_refreshes(), 1);
    assert_eq!(world.stack.usage.calls("session-save", Zoom, "create_meeting"), 2);
    assert_eq!(meetings(&world), 1);

    // Refused again with the new one: that is the end of it.
    world.stack.usage.reset();
    fault(&world, Fault::new(Zoom, "create_meeting", Kind::Unauthorized).times(2));
    world.post(&trainer, SESSIONS, class(27)).await.refused(409, "reauth_required");
    assert_eq!(world.stack.zoom.token_refreshes(), 2);
    assert_eq!(world.stack.usage.calls("session-save", Zoom, "create_meeting"), 2);
    assert_eq!(meetings(&world), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_scope_is_told_without_a_refresh() {
    let (world, trainer) = connected().await;
    // Our record of the grant has it, Zoom says it does not.
    let but_one = shared::domain::scope::REQUIRED.iter().map(|spellings| spellings[0].to_owned());
    let but_one = but_one.filter(|scope| scope != "meeting:write:meeting").collect();
    world.stack.zoom.turn_knobs(local::zoom::Turn {
        scopes: Some(Some(but_one)),
        ..local::zoom::Turn::default()
    });
    let problem = world.post(&trainer, SESSIONS, class(26)).await.refused(409, "missing_scopes");
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
async fn new_tokens_are_stored_before_they_are_used_and_lost_ones_are_told_once() {
    let (world, trainer) = connected().await;
    world.advance(SignedDuration::from_hours(2));
    let before = stored(&world).await.expect("a connection");
    let slow = Fault { delay_ms: Some(400), ..Fault::new(Zoom, "token", Kind::Late) };
    fault(&world, slow);
    let save = world.post(&trainer, SESSIONS, class(26));
    let break_table = async {
        until("the refresh is under way", || token_calls(&world) == 1).await;
        fault(&world, Fault::new(Dynamodb, "UpdateItem", Kind::Error).times(12).by("session-save"));
    };
    let (answer, ()) = join(save, break_table).await;
    answer.refused(503, "unavailable");
    assert!(world.stack.faults.list().is_empty(), "saving was tried to the end");
    assert_eq!(world.stack.zoom.token_refreshes(), 1);
    assert_eq!(meetings(&world), 0, "a token that is not stored is not used");
    let after = stored(&world).await.expect("a connection");
    assert_eq!(before["refresh_token"], after["refresh_token"]);

    // Zoom knows only the new ones, which nobody has.
    world.advance(LEASE_OVER);
    let all = (0..8).map(|n| world.post(&trainer, SESSIONS, class(26 + n)));
    for answer in join_all(all).await {
        answer.refused(409, "reauth_required");
    }
    assert_eq!(status(&world, &trainer).await, "reauth_required");
    assert_eq!(notices(&world).await.len(), 1);
    assert_eq!(world.stack.zoom.counts().refused_refreshes, 1, "who knows it is over does not ask");
    world.post(&trainer, SESSIONS, class(26)).await.refused(409, "reauth_required");
    assert_eq!(notices(&world).await.len(), 1);
    // Connecting again mends it.
    world.connect_zoom(&trainer, "app").await;
    world.post(&trainer, SESSIONS, class(26)).await.expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_stumbles_does_not_lose_new_tokens() {
    let (world, trainer) = connected().await;
    for stumble in [
        Fault::new(Dynamodb, "UpdateItem", Kind::Throttle).times(2),
        Fault::new(Dynamodb, "UpdateItem", Kind::Conflict),
        Fault::new(Dynamodb, "UpdateItem", Kind::Error).times(5),
        Fault::new(Dynamodb, "UpdateItem", Kind::Lost),
        Fault::new(Dynamodb, "UpdateItem", Kind::Half),
    ] {
        let what = format!("{stumble:?}");
        world.advance(SignedDuration::from_hours(2));
        world.stack.usage.reset();
        let slow = Fault { delay_ms: Some(100), ..Fault::new(Zoom, "token", Kind::Late) };
        fault(&world, slow);
        let save = world.post(&trainer, SESSIONS, class(26));
        let stumbling = async {
            until("the refresh is under way", || token_calls(&world) == 1).await;
            fault(&world, stumble.by("session-save"));
        };
        let (answer, ()) = join(save, stumbling).await;
        assert_eq!(answer.status, 201, "{what}: {}", answer.text);
        assert!(world.stack.faults.list().is_empty(), "{what} was met");
    }
    assert_eq!(world.stack.zoom.token_refreshes(), 5);
    assert_eq!(world.stack.zoom.counts().refused_refreshes, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_whose_answer_was_lost_is_not_waited_for() {
    let (world, trainer) = connected().await;
    world.advance(SignedDuration::from_hours(2));
    fault(&world, Fault::new(Dynamodb, "UpdateItem", Kind::Lost).by("session-save"));
    world.post(&trainer, SESSIONS, class(26)).await.expect(201);
    assert_eq!(world.stack.zoom.token_refreshes(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresher_that_dies_before_zoom_heard_of_it_leaves_a_lease_that_runs_out() {
    let (world, trainer) = connected().await;
    world.advance(SignedDuration::from_hours(2));
    let direct = Direct::new(&world, &[]);
    fault(&world, Fault::new(Zoom, "token", Kind::Timeout));
    let body = class(26).to_string();
    let death = SignedDuration::from_millis(900);
    let answer =
        direct.invoke("session-save", event("POST", SESSIONS, &trainer, Some(&body)), death).await;
    answer.refused(503, "unavailable");
    assert!(
        stored(&world).await.expect("a connection").contains_key("lease_until"),
        "it died with the lease"
    );
    assert_eq!(world.stack.zoom.token_refreshes(), 0);
    world.advance(LEASE_OVER);
    let all = (0..5).map(|n| world.post(&trainer, SESSIONS, class(30 + n)));
    for answer in join_all(all).await {
        answer.expect(201);
    }
    assert_eq!(world.stack.zoom.token_refreshes(), 1);
    assert!(!stored(&world).await.expect("a connection").contains_key("lease_until"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresher_that_dies_after_zoom_heard_of_it_costs_the_trainer_a_consent_and_one_notice() {
    let (world, trainer) = connected().await;
    world.advance(SignedDuration::from_hours(2));
    let direct = Direct::new(&world, &[]);
    let slow = Fault { delay_ms: Some(2000), ..Fault::new(Zoom, "token", Kind::Late) };
    fault(&world, slow);
    let body = class(26).to_string();
    let death = SignedDuration::from_millis(900);
    let answer =
        direct.invoke("session-save", event("POST", SESSIONS, &trainer, Some(&body)), death).await;
    answer.refused(503, "unavailable");
    assert_eq!(world.stack.zoom.token_refreshes(), 1);
    world.advance(LEASE_OVER);
    let all = (0..5).map(|n| world.post(&trainer, SESSIONS, class(30 + n)));
    for answer in join_all(all).await {
        answer.refused(409, "reauth_required");
    }
    assert_eq!(status(&world, &trainer).await, "reauth_required");
    let told = notices(&world).await;
    assert_eq!(told.len(), 1);
    assert_eq!(text(&told[0], "trainer_id"), "trainer-1");
    assert_eq!(world.stack.zoom.counts().refused_refreshes, 1);
    assert_eq!(meetings(&world), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zoom_failing_to_refresh_is_told_and_the_next_one_tries() {
    let (world, trainer) = connected().await;
    for (fails, status, code) in [
        (Fault::new(Zoom, "token", Kind::Error), 502, "zoom_unavailable"),
        (Fault::new(Zoom, "token", Kind::Html), 502, "zoom_unavailable"),
        (
            Fault { status: Some(400), ..Fault::new(Zoom, "token", Kind::Html) },
            502,
            "zoom_rejected",
        ),
        (Fault::new(Zoom, "token", Kind::Unauthorized), 502, "zoom_rejected"),
        (Fault::new(Zoom, "token", Kind::Throttle), 429, "zoom_rate_limited"),
    ] {
        let what = format!("{fails:?}");
        world.advance(SignedDuration::from_hours(2));
        fault(&world, fails);
        let answer = world.post(&trainer, SESSIONS, class(26)).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.text);
        answer.refused(status, code);
        assert!(!stored(&world).await.expect("a connection").contains_key("lease_until"), "{what}");
        // Without waiting for anything.
        world.post(&trainer, SESSIONS, class(26)).await.expect(201);
    }
    assert_eq!(world.stack.zoom.counts().refused_refreshes, 0);
    assert_eq!(notices(&world).await, Vec::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_grant_is_told_once_even_if_the_queue_is_down() {
    let (world, trainer) = connected().await;
    world.deauthorize_unheard("trainer@app.zoom.test").await;
    fault(&world, Fault::new(Sqs, "*", Kind::Error).times(50));
    let all = (0..20).map(|n| world.post(&trainer, SESSIONS, class(26 + n)));
    for answer in join_all(all).await {
        answer.refused(409, "reauth_required");
    }
    assert_eq!(status(&world, &trainer).await, "reauth_required");
    assert_eq!(notices(&world).await.len(), 1);
    assert_eq!(world.stack.zoom.counts().refused_refreshes, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_invalid_grant_does_not_end_a_newer_grant() {
    let (world, trainer) = connected().await;
    world.advance(SignedDuration::from_hours(2));
    world.deauthorize_unheard("trainer@app.zoom.test").await;
    let slow = Fault { delay_ms: Some(800), ..Fault::new(Zoom, "token", Kind::Late) };
    fault(&world, slow.by("session-save"));
    let save = world.post(&trainer, SESSIONS, class(26));
    let again = async {
        until("the refresh is under way", || token_calls(&world) == 1).await;
        world.connect_zoom(&trainer, "app").await;
    };
    let (answer, ()) = join(save, again).await;
    answer.expect(201);
    assert_eq!(world.stack.zoom.counts().refused_refreshes, 1, "the old one was refused");
    assert_eq!(status(&world, &trainer).await, "connected");
    assert_eq!(notices(&world).await, Vec::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_that_arrive_after_disconnecting_stay_erased_and_end_at_zoom() {
    let (world, trainer) = connected().await;
    world.advance(SignedDuration::from_hours(2));
    let slow = Fault { delay_ms: Some(800), ..Fault::new(Zoom, "token", Kind::Late) };
    fault(&world, slow);
    let save = world.post(&trainer, SESSIONS, class(26));
    let leave = async {
        until("the refresh is under way", || token_calls(&world) == 1).await;
        world.delete(&trainer, CONNECTION).await.expect(204);
    };
    let (answer, ()) = join(save, leave).await;
    answer.refused(409, "zoom_not_connected");
    assert_eq!(world.stack.zoom.token_refreshes(), 1);
    assert_eq!(items(&world, TOKENS_TABLE, "").await, Vec::new());
    assert!(!grant_lives(&world), "what the refresh brought is given back");
    assert_eq!(meetings(&world), 0);
    assert_eq!(status(&world, &trainer).await, "not_connected");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_that_arrive_after_connecting_again_do_not_replace_the_new_ones() {
    let (world, trainer) = connected().await;
    world.advance(SignedDuration::from_hours(2));
    let slow = Fault { delay_ms: Some(800), ..Fault::new(Zoom, "token", Kind::Late) };
    fault(&world, slow.by("session-save"));
    let save = world.post(&trainer, SESSIONS, class(26));
    let again = async {
        until("the refresh is under way", || token_calls(&world) == 1).await;
        world.connect_zoom(&trainer, "app").await;
    };
    let (answer, ()) = join(save, again).await;
    answer.expect(201);
    assert_eq!(status(&world, &trainer).await, "connected");
    // The grant that is stored is the one that lives: it refreshes.
    world.advance(SignedDuration::from_hours(2));
    world.post(&trainer, SESSIONS, class(27)).await.expect(201);
    assert_eq!(world.stack.zoom.counts().refused_refreshes, 0);
}

/// The secret with these keys for what is stored.
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

fn sealed_with(item: &Item, field: &str) -> String {
    text(item, field).split('.').nth(1).unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotated_key_still_opens_and_what_is_written_next_uses_the_new_one() {
    let (world, trainer) = connected().await;
    let made = world.post(&trainer, SESSIONS, class(26)).await.expect(201);
    let made = format!("{SESSIONS}/{}", made["id"].as_str().expect("an id"));
    let (code, state) = world.consent(&world.other_trainer().await, "decision=allow").await;

    set_keys(&world, "new-2", &["local-1", "new-2"]).await;
    world.advance(SignedDuration::from_mins(5));
    // What the old key sealed opens: a connection, a passcode, an attempt to connect.
    world.post(&trainer, SESSIONS, class(27)).await.expect(201);
    let shown = world.get(&trainer, &made).await.expect(200);
    assert!(shown["meeting"]["passcode"].is_string());
    let item = stored(&world).await.expect("a connection");
    assert_eq!(sealed_with(&item, "access_token"), "local-1");
    let other = world.other_trainer().await;
    let body = json!({"code": code, "state": state});
    let problem =
        world.post(&other, "/v1/zoom/connect", body).await.refused(422, "validation_failed");
    assert_eq!(
        problem["errors"][0]["field"], "code",
        "it got as far as Zoom, where the code has expired"
    );

    // What is written from now on is sealed by the new one.
    world.advance(SignedDuration::from_hours(1));
    world.post(&trainer, SESSIONS, class(28)).await.expect(201);
    let item = stored(&world).await.expect("a connection");
    assert_eq!(sealed_with(&item, "access_token"), "new-2");
    assert_eq!(sealed_with(&item, "refresh_token"), "new-2");

    // The old key may go: the connection is the new one's.
    set_keys(&world, "new-2", &["new-2"]).await;
    world.advance(SignedDuration::from_mins(5));
    world.post(&trainer, SESSIONS, class(29)).await.expect(201);
    // What only it sealed stays shut.
    let problem = world.get(&trainer, &made).await.refused(500, "internal");
    assert!(!problem.to_string().contains("key"), "{problem}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_key_tokens_stay_shut_and_nothing_is_told_or_lost() {
    let (world, trainer) = connected().await;
    let before = stored(&world).await.expect("a connection");
    set_keys(&world, "new-2", &["new-2"]).await;
    for advance in [SignedDuration::from_mins(5), SignedDuration::from_hours(2)] {
        world.advance(advance);
        let problem = world.post(&trainer, SESSIONS, class(26)).await.refused(500, "internal");
        for internal in ["key", "encrypt", "seal"] {
            assert!(!problem.to_string().contains(internal), "{problem}");
        }
        assert_eq!(stored(&world).await.as_ref(), Some(&before), "not even a lease is left");
    }
    assert_eq!(world.stack.zoom.token_refreshes(), 0);
    assert_eq!(meetings(&world), 0);
    assert_eq!(status(&world, &trainer).await, "connected");
    // With the key back, all is as before.
    set_keys(&world, "new-2", &["local-1", "new-2"]).await;
    world.advance(SignedDuration::from_mins(5));
    world.post(&trainer, SESSIONS, class(26)).await.expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_moved_to_another_trainer_or_field_or_changed_does_not_open() {
    let (world, trainer) = connected().await;
    world.connect_zoom(&world.other_trainer().await, "app").await;
    let good = stored(&world).await.expect("a connection");
    let others =
        items(&world, TOKENS_TABLE, "TRAINER#trainer-2").await.pop().expect("a connection");
    let mut flipped = text(&good, "access_token").to_owned();
    let last = flipped.pop().expect("not empty");
    flipped.push(if last == 'A' { 'B' } else { 'A' });
    let unknown_key = text(&good, "access_token").replace("v1.local-1.", "v1.local-9.");
    for (what, token) in [
        ("another trainer's", text(&others, "access_token").to_owned()),
        ("the refresh token", text(&good, "refresh_token").to_owned()),
        ("changed", flipped),
        ("of a key that is not there", unknown_key),
        ("of another form", text(&good, "access_token").replace("v1.", "v9.")),
        ("in the clear", "a-token-in-the-clear".to_owned()),
        ("empty", String::new()),
    ] {
        let mut item = good.clone();
        item.insert("access_token".to_owned(), aws_sdk_dynamodb::types::AttributeValue::S(token));
        let put = dynamodb(&world).put_item().table_name(TOKENS_TABLE).set_item(Some(item));
        put.send().await.expect("the item is put");
        let answer = world.post(&trainer, SESSIONS, class(26)).await;
        assert_eq!(answer.status, 500, "{what}: {}", answer.text);
        answer.refused(500, "internal");
    }
    assert_eq!(meetings(&world), 0);
    assert_eq!(
        world.stack.usage.calls("session-save", Zoom, "create_meeting"),
        0,
        "no such token is sent"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_the_secrets_is_outlived() {
    let (world, trainer) = connected().await;
    world.post(&trainer, SESSIONS, class(26)).await.expect(201);
    world.advance(SignedDuration::from_mins(10));
    fault(&world, Fault::new(Secretsmanager, "*", Kind::Error).times(30));
    world.post(&trainer, SESSIONS, class(27)).await.expect(201);
    let body: Value = world.get(&trainer, CONNECTION).await.expect(200);
    assert_eq!(body["status"], "connected");
}
