//! Connecting a Zoom account, seeing the connection, and taking it back; with whatever goes wrong on the way.

mod disconnect;

use std::collections::BTreeSet;

use futures::future::join_all;
use jiff::SignedDuration;
use local::calls::Service::{Dynamodb, Zoom};
use local::faults::{Fault, Kind};
use serde_json::{Value, json};
use shared::crypt::{Binding, Sealed, hmac_sha256, sha256_hex};
use shared::domain::scope::REQUIRED;
use shared::secrets::SecretSet;

use crate::direct::{Direct, MAIN_TABLE, TOKENS_TABLE, dump, items, text};
use crate::world::{Answer, World, class};

const CONNECTION: &str = "/v1/zoom/connection";
const AUTHORIZE: &str = "/v1/zoom/authorize";
const FINISH: &str = "/v1/zoom/connect";

async fn finish(world: &World, token: &str, code: &str, state: &str) -> Answer {
    world.post(token, FINISH, json!({"code": code, "state": state})).await
}

async fn status(world: &World, token: &str) -> String {
    let connection = world.get(token, CONNECTION).await.expect(200);
    connection["status"].as_str().expect("a word").to_owned()
}

/// How an attempt is taken, so that of several who finish it one does.
const ATTEMPT_TAKEN: &str = "UpdateItem";

/// The grants that Zoom holds, by its user ids.
fn grants(world: &World) -> serde_json::Map<String, Value> {
    world.stack.zoom.snapshot()["grants"].as_object().expect("an object").clone()
}

/// Connects the Zoom account of somebody with this address.
async fn connect_as(world: &World, token: &str, zoom_email: &str) -> Value {
    let (code, state) = world.consent(token, &format!("decision=allow&user={zoom_email}")).await;
    finish(world, token, &code, &state).await.expect(200)
}

fn fault(world: &World, fault: Fault) {
    world.stack.faults.add(fault).expect("a fault that can be");
}

fn field(problem: &Value) -> &str {
    problem["errors"][0]["field"].as_str().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_is_shown_as_the_contract_says() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let nothing = json!({
        "status": "not_connected", "zoom_email": null, "account_id": null, "scopes": [], "missing_scopes": [],
        "connected_at": null,
    });
    assert_eq!(world.get(&trainer, CONNECTION).await.expect(200), nothing);

    let begun = json!({"redirect_uri": format!("{}/callback", world.stack.base_url)});
    let begun = world.post(&trainer, AUTHORIZE, begun).await.expect(200);
    let names: BTreeSet<_> = begun.as_object().expect("an object").keys().cloned().collect();
    assert_eq!(names, ["authorize_url", "expires_at", "state"].map(str::to_owned).into());
    assert_eq!(begun["expires_at"], json!(world.now() + SignedDuration::from_mins(10)));

    world.advance(SignedDuration::from_secs(5));
    let connected = world.connect_zoom(&trainer, "other").await;
    let shown = world.get(&trainer, CONNECTION).await.expect(200);
    assert_eq!(connected, shown);
    let names: BTreeSet<_> = shown.as_object().expect("an object").keys().cloned().collect();
    let expected: BTreeSet<_> = nothing.as_object().expect("an object").keys().cloned().collect();
    assert_eq!(names, expected);
    assert_eq!(shown["status"], "connected");
    assert_eq!(shown["zoom_email"], "trainer@other.zoom.test");
    assert_eq!(shown["account_id"], local::zoom::OTHER_ACCOUNT);
    assert_eq!(shown["missing_scopes"], json!([]));
    assert_eq!(shown["connected_at"], json!(world.now()));
    assert!(shown["scopes"].as_array().is_some_and(|scopes| scopes.len() >= REQUIRED.len()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_an_address_that_is_allowed_letter_by_letter_gets_a_code() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let own = format!("{}/callback", world.stack.base_url);
    let several =
        format!("{own}, https://app.example.test/zoom ,https://two.example.test:8443/zoom?x=1");
    let direct = Direct::new(&world, &[("ZOOM_REDIRECT_URIS", &several)]);

    for allowed in [&own, "https://app.example.test/zoom", "https://two.example.test:8443/zoom?x=1"]
    {
        let body = json!({"redirect_uri": allowed});
        let begun =
            direct.call("connect", "POST", AUTHORIZE, &trainer, Some(&body)).await.expect(200);
        let page = reqwest::Url::parse(begun["authorize_url"].as_str().expect("text"))
            .expect("an address");
        assert!(
            page.query_pairs().any(|(name, value)| name == "redirect_uri" && value == *allowed)
        );
    }
    let begun = items(&world, TOKENS_TABLE, "STATE#").await.len();
    assert_eq!(begun, 3);

    let refused = [
        format!("{own}/"),
        format!("{own}?next=1"),
        format!("{own}#"),
        own.to_uppercase(),
        own.replace("http://", "https://"),
        own.replace("localhost", "localhost.evil.test"),
        own.replace("localhost", "x@localhost"),
        own.replace("/callback", "/./callback"),
        own.replace("/callback", "/callback/../callback"),
        format!(" {own}"),
        format!("{own},https://app.example.test/zoom"),
        "https://app.example.test/zoom%2F".to_owned(),
        "https://app.example.test".to_owned(),
        "https://two.example.test:8443/zoom".to_owned(),
        "https://evil.test/zoom".to_owned(),
        "javascript:alert(1)".to_owned(),
        String::new(),
    ];
    for uri in refused {
        let body = json!({"redirect_uri": uri});
        let answer = direct.call("connect", "POST", AUTHORIZE, &trainer, Some(&body)).await;
        let problem = answer.refused(422, "validation_failed");
        assert_eq!(field(&problem), "redirect_uri", "{uri}");
    }
    assert_eq!(items(&world, TOKENS_TABLE, "STATE#").await.len(), begun, "nothing is stored");
}

/// A state with another payload, signed as only we can.
fn signed(payload: &Value) -> String {
    let secrets = SecretSet::parse(&local::settings::secrets().to_string()).expect("the secret");
    let key = secrets.oauth_state_secret().expect("the state's secret").expose().as_bytes();
    let payload = payload.to_string();
    let signature = hmac_sha256(key, &[b"oauth-state", payload.as_bytes()]);
    let encode = |bytes: &[u8]| data_encoding::BASE64URL_NOPAD.encode(bytes);
    format!("{}.{}", encode(payload.as_bytes()), encode(&signature))
}

fn payload(state: &str) -> Value {
    let (payload, _) = state.split_once('.').expect("two parts");
    let payload = data_encoding::BASE64URL_NOPAD.decode(payload.as_bytes()).expect("base64url");
    serde_json::from_slice(&payload).expect("JSON")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_that_is_not_the_callers_own_is_refused_and_nothing_is_stored() {
    let world = World::start().await;
    let (trainer, other) = (world.trainer().await, world.other_trainer().await);
    let (code, state) = world.consent(&trainer, "decision=allow").await;
    let (_, others) = world.consent(&other, "decision=allow").await;

    let (body, signature) = state.split_once('.').expect("two parts");
    let changed = |name: &str, value: Value| {
        let mut payload = payload(&state);
        payload[name] = value;
        data_encoding::BASE64URL_NOPAD.encode(payload.to_string().as_bytes())
    };
    let forged = [
        String::new(),
        ".".to_owned(),
        body.to_owned(),
        format!("{body}."),
        format!(".{signature}"),
        state[..state.len() - 1].to_owned(),
        format!("{state}A"),
        format!("{state}=="),
        format!("{state}.{signature}"),
        format!("{body}.{}", "A".repeat(signature.len())),
        format!("{}.{signature}", changed("s", json!(sha256_hex("trainer-2")))),
        format!("{}.{signature}", changed("e", json!(4_102_444_800_u64))),
        format!("{}.{signature}", changed("n", payload(&others)["n"].clone())),
        "A".repeat(100_000),
        "état\u{0}".to_owned(),
    ];
    for forged in forged {
        let problem =
            finish(&world, &trainer, &code, &forged).await.refused(422, "validation_failed");
        assert_eq!(field(&problem), "state", "{forged}");
    }
    // Somebody else's, in both directions.
    for (token, state) in [(&other, &state), (&trainer, &others)] {
        let problem = finish(&world, token, &code, state).await.refused(422, "validation_failed");
        assert_eq!(field(&problem), "state");
    }
    assert_eq!(world.stack.zoom.counts().token_exchanges, 0, "Zoom is not asked");
    assert_eq!(items(&world, TOKENS_TABLE, "TRAINER#").await, Vec::new());
    // None of this used the real ones up.
    finish(&world, &trainer, &code, &state).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_is_bound_to_the_redirect_uri_and_the_time_it_was_made_for_even_if_signed() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    for (name, value) in [
        ("r", json!(sha256_hex("https://app.example.test/zoom"))),
        ("s", json!(sha256_hex("trainer-2"))),
        ("e", json!(world.now().as_second())),
        ("n", json!("bm8tc3VjaC1ub25jZQ")),
    ] {
        let (code, state) = world.consent(&trainer, "decision=allow").await;
        let mut said = payload(&state);
        assert_eq!(signed(&said).split_once('.').map(|(_, s)| s.len()), Some(43));
        said[name] = value;
        let problem =
            finish(&world, &trainer, &code, &signed(&said)).await.refused(422, "validation_failed");
        assert_eq!(field(&problem), "state", "{name}");
    }
    assert_eq!(world.stack.zoom.counts().token_exchanges, 0);
    assert_eq!(status(&world, &trainer).await, "not_connected");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_lives_ten_minutes_and_finishes_once() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let begin = async || {
        let begun = json!({"redirect_uri": format!("{}/callback", world.stack.base_url)});
        world.post(&trainer, AUTHORIZE, begun).await.expect(200)
    };

    let begun = begin().await;
    world.advance(SignedDuration::from_secs(599));
    let (code, state) = world.decide(&begun, "decision=allow").await;
    world.advance(SignedDuration::from_secs(1));
    let problem = finish(&world, &trainer, &code, &state).await.refused(422, "validation_failed");
    assert_eq!(field(&problem), "state", "ten minutes are over");

    let begun = begin().await;
    world.advance(SignedDuration::from_secs(599));
    let (code, state) = world.decide(&begun, "decision=allow").await;
    let all = join_all((0..8).map(|_| finish(&world, &trainer, &code, &state))).await;
    let (done, refused): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|answer| answer.status == 200);
    assert_eq!(done.len(), 1);
    for answer in refused {
        assert_eq!(field(&answer.refused(422, "validation_failed")), "state");
    }
    assert_eq!(world.stack.zoom.counts().token_exchanges, 1);
    // Used up is used up, and the connection stays as it is.
    let before = world.get(&trainer, CONNECTION).await.expect(200);
    finish(&world, &trainer, &code, &state).await.refused(422, "validation_failed");
    assert_eq!(world.get(&trainer, CONNECTION).await.expect(200), before);
    assert_eq!(
        items(&world, TOKENS_TABLE, "STATE#").await.len(),
        1,
        "only the one that nobody finished"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_verifier_is_kept_sealed_and_zoom_sees_only_its_hash_until_the_exchange() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let begun = json!({"redirect_uri": format!("{}/callback", world.stack.base_url)});
    let begun = world.post(&trainer, AUTHORIZE, begun).await.expect(200);
    let page =
        reqwest::Url::parse(begun["authorize_url"].as_str().expect("text")).expect("an address");
    let part = |wanted: &str| {
        page.query_pairs().find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
    };
    assert_eq!(part("code_challenge_method").as_deref(), Some("S256"));
    assert_eq!(part("response_type").as_deref(), Some("code"));
    assert_eq!(part("state").as_deref(), begun["state"].as_str());

    let stored = items(&world, TOKENS_TABLE, "STATE#").await;
    let [attempt] = &stored[..] else { panic!("{stored:?}") };
    let secrets = SecretSet::parse(&local::settings::secrets().to_string()).expect("the secret");
    let keyring = secrets.keyring().expect("keys");
    let open = |owner| {
        let sealed = Sealed::from_stored(text(attempt, "verifier"));
        keyring.open(&sealed, &Binding { owner, field: "pkce_verifier" })
    };
    let verifier = open("trainer-1").expect("the trainer's own");
    assert!(open("trainer-2").is_err(), "it is bound to the trainer");
    let hash = ring::digest::digest(&ring::digest::SHA256, verifier.expose().as_bytes());
    let challenge = data_encoding::BASE64URL_NOPAD.encode(hash.as_ref());
    assert_eq!(part("code_challenge"), Some(challenge));
    assert!((43..=128).contains(&verifier.expose().len()));
    assert!(!format!("{stored:?} {page}").contains(verifier.expose()));
    assert!(attempt.contains_key("expires_at"), "the table tidies up by itself");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_token_verifier_or_passcode_stands_readable_in_a_table() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    let made = world.post(&trainer, "/v1/sessions", class(26)).await.expect(201);
    // One attempt that was not finished, and one connection that was refreshed.
    world.consent(&trainer, "decision=allow").await;
    world.advance(SignedDuration::from_mins(58));
    world.post(&trainer, "/v1/sessions", class(30)).await.expect(201);

    let snapshot = world.stack.zoom.snapshot();
    let mut secrets: Vec<String> = Vec::new();
    secrets.extend(snapshot["access_tokens"].as_object().expect("an object").keys().cloned());
    secrets.extend(
        grants(&world)
            .values()
            .map(|grant| grant["refresh_token"].as_str().expect("text").to_owned()),
    );
    let passcode = made["meeting"]["passcode"].as_str().expect("a passcode").to_owned();
    let join_url = made["meeting"]["join_url"].as_str().expect("a link").to_owned();
    secrets.extend([passcode, join_url]);
    secrets.push(local::settings::ZOOM_CLIENT_SECRET.to_owned());
    assert!(
        secrets.len() >= 5 && secrets.iter().all(|secret| secret.len() >= 8),
        "{}",
        secrets.len()
    );

    let mut all = dump(&world, TOKENS_TABLE).await;
    all.extend(dump(&world, MAIN_TABLE).await);
    let text = format!("{all:?}");
    for secret in &secrets {
        assert!(!text.contains(secret), "{secret} stands in a table");
    }
    assert!(!text.contains("start_url") && !text.contains("zak="), "the host's link is not kept");
    let stored = items(&world, TOKENS_TABLE, "TRAINER#trainer-1").await;
    for name in ["access_token", "refresh_token"] {
        assert!(stored[0][name].as_s().is_ok_and(|text| text.starts_with("v1.local-1.")), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consent_that_is_denied_or_made_up_connects_nothing() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let (code, state) = world.consent(&trainer, "decision=deny").await;
    assert_eq!(code, "", "Zoom sends an error back, and no code");
    assert_eq!(
        field(&finish(&world, &trainer, &code, &state).await.refused(422, "validation_failed")),
        "code"
    );
    let long = "c".repeat(3000);
    assert_eq!(
        field(&finish(&world, &trainer, &long, &state).await.refused(422, "validation_failed")),
        "code"
    );
    // A code that Zoom never gave uses the state up.
    assert_eq!(
        field(&finish(&world, &trainer, "made-up", &state).await.refused(422, "validation_failed")),
        "code"
    );
    assert_eq!(
        field(&finish(&world, &trainer, "made-up", &state).await.refused(422, "validation_failed")),
        "state"
    );
    // One that is older than Zoom's five minutes.
    let (code, state) = world.consent(&trainer, "decision=allow").await;
    world.advance(SignedDuration::from_mins(6));
    assert_eq!(
        field(&finish(&world, &trainer, &code, &state).await.refused(422, "validation_failed")),
        "code"
    );
    // One that somebody else's consent brought: its verifier is not ours.
    let (stolen, _) = world.consent(&world.other_trainer().await, "decision=allow").await;
    let (_, state) = world.consent(&trainer, "decision=allow").await;
    assert_eq!(
        field(&finish(&world, &trainer, &stolen, &state).await.refused(422, "validation_failed")),
        "code"
    );
    assert_eq!(status(&world, &trainer).await, "not_connected");
    assert!(grants(&world).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scopes_that_were_not_allowed_are_named() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let allowed: Vec<_> = REQUIRED.iter().map(|spellings| spellings[0]).collect();
    let without = ["meeting:write:meeting", "user:read:zak"];
    let said: Vec<_> = allowed.iter().filter(|scope| !without.contains(*scope)).copied().collect();
    let (code, state) =
        world.consent(&trainer, &format!("decision=allow&scopes={}", said.join("+"))).await;
    let connection = finish(&world, &trainer, &code, &state).await.expect(200);
    assert_eq!(connection["status"], "connected");
    assert_eq!(connection["missing_scopes"], json!(without));
    let problem =
        world.post(&trainer, "/v1/sessions", class(26)).await.refused(409, "missing_scopes");
    assert_eq!(problem["missing_scopes"], json!(["meeting:write:meeting"]));
    assert!(world.stack.zoom.meetings().is_empty());
    // Consenting to all of it mends it.
    assert_eq!(world.connect_zoom(&trainer, "app").await["missing_scopes"], json!([]));
    world.post(&trainer, "/v1/sessions", class(26)).await.expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connecting_again_replaces_the_grant_and_leaves_no_other_alive() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    let first = grants(&world);
    let (user, grant) = first.iter().next().expect("a grant");
    // The same Zoom user: Zoom itself ends the earlier grant.
    world.advance(SignedDuration::from_secs(1));
    let again = world.connect_zoom(&trainer, "app").await;
    assert_eq!(again["connected_at"], json!(world.now()));
    assert_ne!(grants(&world)[user]["refresh_token"], grant["refresh_token"]);
    world.post(&trainer, "/v1/sessions", class(26)).await.expect(201);
    // Another Zoom user: nobody but us can end it.
    let other = world.connect_zoom(&trainer, "other").await;
    assert_eq!(other["zoom_email"], "trainer@other.zoom.test");
    assert!(!grants(&world).contains_key(user), "the earlier account's grant lives on");
    assert_eq!(grants(&world).len(), 1);
    assert_eq!(items(&world, TOKENS_TABLE, "TRAINER#").await.len(), 1);
    assert_eq!(items(&world, TOKENS_TABLE, "ZOOMUSER#").await.len(), 1);
    world.post(&trainer, "/v1/sessions", class(30)).await.expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_zoom_user_belongs_to_the_trainer_who_connected_it_last() {
    let world = World::start().await;
    let (first, second) = (world.trainer().await, world.other_trainer().await);
    let third = json!({"sub": "trainer-3", "role": "trainer", "email": "t3@example.test"});
    let third = world.token(third).await;
    connect_as(&world, &first, "shared@zoom.test").await;
    connect_as(&world, &second, "shared@zoom.test").await;
    assert_eq!(status(&world, &first).await, "reauth_required");
    assert_eq!(status(&world, &second).await, "connected");
    let told = items(&world, MAIN_TABLE, "DUE#OUTBOX").await;
    assert_eq!(told.len(), 1, "the first is told, and nobody else");
    assert_eq!(text(&told[0], "what"), "reauth_required");
    assert_eq!(text(&told[0], "trainer_id"), "trainer-1");
    world.post(&first, "/v1/sessions", class(26)).await.refused(409, "reauth_required");
    world.post(&second, "/v1/sessions", class(26)).await.expect(201);

    // What the first does with what is left of theirs does not touch the second's.
    connect_as(&world, &first, "own@zoom.test").await;
    assert_eq!(status(&world, &first).await, "connected");
    connect_as(&world, &third, "shared@zoom.test").await;
    assert_eq!(status(&world, &second).await, "reauth_required", "still known as the Zoom user's");
    world.delete(&second, CONNECTION).await.expect(204);
    assert_eq!(status(&world, &third).await, "connected");
    connect_as(&world, &second, "shared@zoom.test").await;
    assert_eq!(status(&world, &third).await, "reauth_required", "still known as the Zoom user's");
    assert_eq!(status(&world, &second).await, "connected");
    world.post(&second, "/v1/sessions", class(30)).await.expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zoom_failing_in_the_exchange_stores_nothing_and_leaves_no_grant_alive() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let broken = [
        (Fault::new(Zoom, "token", Kind::Error), 502, "zoom_unavailable"),
        (Fault::new(Zoom, "token", Kind::Html), 502, "zoom_unavailable"),
        (
            Fault { status: Some(200), ..Fault::new(Zoom, "token", Kind::Html) },
            502,
            "zoom_unavailable",
        ),
        (
            Fault { status: Some(400), ..Fault::new(Zoom, "token", Kind::Html) },
            502,
            "zoom_rejected",
        ),
        (Fault::new(Zoom, "token", Kind::Unauthorized), 502, "zoom_rejected"),
        (Fault::new(Zoom, "token", Kind::ThrottleSeconds), 429, "zoom_rate_limited"),
        // Twice, as a read is tried twice.
        (Fault::new(Zoom, "get_user", Kind::Error).times(2), 502, "zoom_unavailable"),
        (Fault::new(Zoom, "get_user", Kind::Half), 502, "zoom_unavailable"),
    ];
    for (broken, status, code) in broken {
        let what = format!("{broken:?}");
        let (zoom_code, state) = world.consent(&trainer, "decision=allow").await;
        fault(&world, broken);
        let answer = finish(&world, &trainer, &zoom_code, &state).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.text);
        let retry_after = answer.headers.get("retry-after").cloned();
        assert_eq!(retry_after.is_some(), status == 429, "{what}");
        answer.refused(status, code);
        assert!(grants(&world).is_empty(), "{what} left a grant");
        assert!(world.stack.faults.list().is_empty(), "{what} was met");
    }
    assert_eq!(status(&world, &trainer).await, "not_connected");
    // Once is nothing to worry about where a call may be repeated.
    let (code, state) = world.consent(&trainer, "decision=allow").await;
    fault(&world, Fault::new(Zoom, "get_user", Kind::Error));
    finish(&world, &trainer, &code, &state).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_stumbles_once_is_not_noticed_when_connecting() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    for stumble in [
        Fault::new(Dynamodb, "PutItem", Kind::Throttle).by("connect"),
        Fault::new(Dynamodb, "PutItem", Kind::Conflict).by("connect"),
        Fault::new(Dynamodb, ATTEMPT_TAKEN, Kind::Throttle).by("connect"),
        Fault::new(Dynamodb, ATTEMPT_TAKEN, Kind::Conflict).by("connect"),
        Fault::new(Dynamodb, ATTEMPT_TAKEN, Kind::Lost).by("connect"),
        Fault::new(Dynamodb, "GetItem", Kind::Error).by("connect"),
        Fault::new(Dynamodb, "TransactWriteItems", Kind::Throttle).by("connect"),
        Fault::new(Dynamodb, "TransactWriteItems", Kind::Conflict).by("connect"),
        Fault::new(Dynamodb, "TransactWriteItems", Kind::Lost).by("connect"),
        Fault::new(Dynamodb, "TransactWriteItems", Kind::Half).by("connect"),
        Fault::new(Dynamodb, "TransactWriteItems", Kind::Error).by("connect"),
    ] {
        let what = format!("{stumble:?}");
        fault(&world, stumble);
        let (code, state) = world.consent(&trainer, "decision=allow&account=app").await;
        let answer = finish(&world, &trainer, &code, &state).await;
        assert_eq!(answer.status, 200, "{what}: {}", answer.text);
        assert!(world.stack.faults.list().is_empty(), "{what} was met");
        let now_at_zoom = grants(&world);
        assert_eq!(now_at_zoom.len(), 1, "{what}");
        // What was stored is what Zoom holds: it still serves.
        world.stack.zoom.expire_access_tokens();
        world.post(&trainer, "/v1/sessions", class(26)).await.expect(201);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grant_that_cannot_be_stored_is_given_back() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let (code, state) = world.consent(&trainer, "decision=allow").await;
    fault(&world, Fault::new(Dynamodb, "TransactWriteItems", Kind::Error).times(3).by("connect"));
    let answer = finish(&world, &trainer, &code, &state).await;
    assert!(answer.headers.contains_key("retry-after"));
    answer.refused(503, "unavailable");
    assert_eq!(status(&world, &trainer).await, "not_connected");
    assert!(grants(&world).is_empty(), "nobody keeps it, so it does not live on");
    // Nothing half done: connecting from the start works.
    world.connect_zoom(&trainer, "app").await;

    // A table that is down before Zoom is asked leaves everything as it is.
    let (code, state) = world.consent(&trainer, "decision=allow").await;
    let before = grants(&world);
    fault(&world, Fault::new(Dynamodb, ATTEMPT_TAKEN, Kind::Error).times(3).by("connect"));
    finish(&world, &trainer, &code, &state).await.refused(503, "unavailable");
    fault(&world, Fault::new(Dynamodb, "GetItem", Kind::Half).by("connect"));
    world.get(&trainer, CONNECTION).await.refused(503, "unavailable");
    assert_eq!(grants(&world), before);
    finish(&world, &trainer, &code, &state).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_is_not_what_a_route_takes_names_the_field() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    for (path, body, wrong) in [
        (AUTHORIZE, json!({}), "redirect_uri"),
        (AUTHORIZE, json!({"redirect_uri": 7}), "redirect_uri"),
        (AUTHORIZE, json!({"redirect_uri": "https://x.test", "more": 1}), "more"),
        (AUTHORIZE, json!([]), "body"),
        (FINISH, json!({"code": "c"}), "state"),
        (FINISH, json!({"code": "c", "state": null}), "state"),
    ] {
        let problem =
            world.post(&trainer, path, body.clone()).await.refused(422, "validation_failed");
        assert_eq!(field(&problem), wrong, "{path} {body}");
    }
}
