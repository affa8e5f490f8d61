//! Connecting, showing and disconnecting a Zoom account, and the failures on the way.

mod disconnect;
mod grants;

use std::collections::BTreeSet;

use futures::future::join_all;
use jiff::SignedDuration;
use local::calls::Service::{Dynamodb, Zoom};
use local::faults::{Fault, FaultKind};
use serde_json::{Value, json};
use shared::crypt::{Binding, Sealed, hmac_sha256};
use shared::domain::digest::Digest;
use shared::domain::scope::REQUIRED;
use shared::secrets::SecretSet;

use crate::functions::{
    DirectFunctions, MAIN_TABLE, TOKENS_TABLE, items_with_prefix, string_attr, table_items,
};
use crate::world::{Response, World, session_body};

const CONNECTION: &str = "/v1/zoom/connection";
const AUTHORIZE: &str = "/v1/zoom/authorize";
const FINISH: &str = "/v1/zoom/connect";

async fn finish_connect(world: &World, token: &str, code: &str, state: &str) -> Response {
    world.post(token, FINISH, json!({"code": code, "state": state})).await
}

async fn status(world: &World, token: &str) -> String {
    let connection = world.get(token, CONNECTION).await.expect(200);
    connection["status"].as_str().expect("text").to_owned()
}

/// The DynamoDB operation that claims an authorization attempt for exactly one request.
const CLAIM_ATTEMPT: &str = "UpdateItem";

/// Returns the grants at Zoom by Zoom user id.
fn grants(world: &World) -> serde_json::Map<String, Value> {
    world.stack.zoom.snapshot()["grants"].as_object().expect("an object").clone()
}

/// Connects the Zoom user with this email address.
async fn connect_zoom_user(world: &World, token: &str, zoom_email: &str) -> Value {
    let (code, state) = world.consent(token, &format!("decision=allow&user={zoom_email}")).await;
    finish_connect(world, token, &code, &state).await.expect(200)
}

fn fault(world: &World, fault: Fault) {
    world.stack.faults.add(fault).expect("a valid fault");
}

fn field(problem: &Value) -> &str {
    problem["errors"][0]["field"].as_str().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zoom_connection_response_matches_contract() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let not_connected = json!({
        "status": "not_connected", "zoom_email": null, "account_id": null, "scopes": [], "missing_scopes": [],
        "connected_at": null,
    });
    assert_eq!(world.get(&trainer, CONNECTION).await.expect(200), not_connected);

    let body = json!({"redirect_uri": format!("{}/callback", world.stack.base_url)});
    let authorization = world.post(&trainer, AUTHORIZE, body).await.expect(200);
    let names: BTreeSet<_> =
        authorization.as_object().expect("an object").keys().cloned().collect();
    assert_eq!(names, ["authorize_url", "expires_at", "state"].map(str::to_owned).into());
    assert_eq!(authorization["expires_at"], json!(world.now() + SignedDuration::from_mins(10)));

    world.advance(SignedDuration::from_secs(5));
    let connected = world.connect_zoom(&trainer, "other").await;
    let shown = world.get(&trainer, CONNECTION).await.expect(200);
    assert_eq!(connected, shown);
    let names: BTreeSet<_> = shown.as_object().expect("an object").keys().cloned().collect();
    let expected: BTreeSet<_> =
        not_connected.as_object().expect("an object").keys().cloned().collect();
    assert_eq!(names, expected);
    assert_eq!(shown["status"], "connected");
    assert_eq!(shown["zoom_email"], "trainer@other.zoom.test");
    assert_eq!(shown["account_id"], local::zoom::OTHER_ACCOUNT);
    assert_eq!(shown["missing_scopes"], json!([]));
    assert_eq!(shown["connected_at"], json!(world.now()));
    assert!(shown["scopes"].as_array().is_some_and(|scopes| scopes.len() >= REQUIRED.len()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redirect_uri_must_match_exactly() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let callback = format!("{}/callback", world.stack.base_url);
    let several = format!(
        "{callback}, https://app.example.test/zoom ,https://two.example.test:8443/zoom?x=1"
    );
    let functions = DirectFunctions::new(&world, &[("ZOOM_REDIRECT_URIS", &several)]);

    for allowed in
        [&callback, "https://app.example.test/zoom", "https://two.example.test:8443/zoom?x=1"]
    {
        let body = json!({"redirect_uri": allowed});
        let authorization =
            functions.call("connect", "POST", AUTHORIZE, &trainer, Some(&body)).await.expect(200);
        let page = reqwest::Url::parse(authorization["authorize_url"].as_str().expect("text"))
            .expect("a URL");
        assert!(
            page.query_pairs().any(|(name, value)| name == "redirect_uri" && value == *allowed)
        );
    }
    let attempts = items_with_prefix(&world, TOKENS_TABLE, "STATE#").await.len();
    assert_eq!(attempts, 3);

    let refused = [
        format!("{callback}/"),
        format!("{callback}?next=1"),
        format!("{callback}#"),
        callback.to_uppercase(),
        callback.replace("http://", "https://"),
        callback.replace("localhost", "localhost.evil.test"),
        callback.replace("localhost", "x@localhost"),
        callback.replace("/callback", "/./callback"),
        callback.replace("/callback", "/callback/../callback"),
        format!(" {callback}"),
        format!("{callback},https://app.example.test/zoom"),
        "https://app.example.test/zoom%2F".to_owned(),
        "https://app.example.test".to_owned(),
        "https://two.example.test:8443/zoom".to_owned(),
        "https://evil.test/zoom".to_owned(),
        "javascript:alert(1)".to_owned(),
        String::new(),
    ];
    for uri in refused {
        let body = json!({"redirect_uri": uri});
        let response = functions.call("connect", "POST", AUTHORIZE, &trainer, Some(&body)).await;
        let problem = response.expect_problem(422, "validation_failed");
        assert_eq!(field(&problem), "redirect_uri", "{uri}");
    }
    assert_eq!(
        items_with_prefix(&world, TOKENS_TABLE, "STATE#").await.len(),
        attempts,
        "a rejected request should store nothing"
    );
}

/// Returns a state with this payload and a valid signature.
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
async fn invalid_or_foreign_state_is_rejected_without_storing_grant() {
    let world = World::start().await;
    let (trainer, other) = (world.trainer().await, world.other_trainer().await);
    let (code, state) = world.consent(&trainer, "decision=allow").await;
    let (_, other_state) = world.consent(&other, "decision=allow").await;

    let (body, signature) = state.split_once('.').expect("two parts");
    let changed = |name: &str, value: Value| {
        let mut payload = payload(&state);
        payload[name] = value;
        data_encoding::BASE64URL_NOPAD.encode(payload.to_string().as_bytes())
    };
    let invalid_state = [
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
        format!("{}.{signature}", changed("s", json!(Digest::of_value("trainer-2").to_hex()))),
        format!("{}.{signature}", changed("e", json!(4_102_444_800_u64))),
        format!("{}.{signature}", changed("n", payload(&other_state)["n"].clone())),
        "A".repeat(100_000),
        "état\u{0}".to_owned(),
    ];
    for invalid_state in invalid_state {
        let problem = finish_connect(&world, &trainer, &code, &invalid_state)
            .await
            .expect_problem(422, "validation_failed");
        assert_eq!(field(&problem), "state", "{invalid_state}");
    }
    // A state of another trainer, in both directions.
    for (token, state) in [(&other, &state), (&trainer, &other_state)] {
        let problem = finish_connect(&world, token, &code, state)
            .await
            .expect_problem(422, "validation_failed");
        assert_eq!(field(&problem), "state");
    }
    assert_eq!(world.stack.zoom.counts().token_exchanges, 0, "no code should be exchanged");
    assert_eq!(items_with_prefix(&world, TOKENS_TABLE, "TRAINER#").await, Vec::new());
    // The valid code and state are still unused.
    finish_connect(&world, &trainer, &code, &state).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signed_state_is_bound_to_redirect_uri_trainer_expiry_and_nonce() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    for (name, value) in [
        ("r", json!(Digest::of_value("https://app.example.test/zoom").to_hex())),
        ("s", json!(Digest::of_value("trainer-2").to_hex())),
        ("e", json!(world.now().as_second())),
        ("n", json!("bm8tc3VjaC1ub25jZQ")),
    ] {
        let (code, state) = world.consent(&trainer, "decision=allow").await;
        let mut changed = payload(&state);
        assert_eq!(signed(&changed).split_once('.').map(|(_, s)| s.len()), Some(43));
        changed[name] = value;
        let problem = finish_connect(&world, &trainer, &code, &signed(&changed))
            .await
            .expect_problem(422, "validation_failed");
        assert_eq!(field(&problem), "state", "{name}");
    }
    assert_eq!(world.stack.zoom.counts().token_exchanges, 0);
    assert_eq!(status(&world, &trainer).await, "not_connected");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn state_expires_after_ten_minutes_and_is_used_once() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let authorize = async || {
        let body = json!({"redirect_uri": format!("{}/callback", world.stack.base_url)});
        world.post(&trainer, AUTHORIZE, body).await.expect(200)
    };

    let authorization = authorize().await;
    world.advance(SignedDuration::from_secs(599));
    let (code, state) = world.submit_consent(&authorization, "decision=allow").await;
    world.advance(SignedDuration::from_secs(1));
    let problem = finish_connect(&world, &trainer, &code, &state)
        .await
        .expect_problem(422, "validation_failed");
    assert_eq!(field(&problem), "state", "the state should expire after ten minutes");

    let authorization = authorize().await;
    world.advance(SignedDuration::from_secs(599));
    let (code, state) = world.submit_consent(&authorization, "decision=allow").await;
    let all = join_all((0..8).map(|_| finish_connect(&world, &trainer, &code, &state))).await;
    let (done, refused): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|response| response.status == 200);
    assert_eq!(done.len(), 1);
    for response in refused {
        assert_eq!(field(&response.expect_problem(422, "validation_failed")), "state");
    }
    assert_eq!(world.stack.zoom.counts().token_exchanges, 1);
    // A used state is rejected and does not change the connection.
    let before = world.get(&trainer, CONNECTION).await.expect(200);
    finish_connect(&world, &trainer, &code, &state).await.expect_problem(422, "validation_failed");
    assert_eq!(world.get(&trainer, CONNECTION).await.expect(200), before);
    assert_eq!(
        items_with_prefix(&world, TOKENS_TABLE, "STATE#").await.len(),
        1,
        "only the unfinished attempt should be left"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pkce_verifier_is_encrypted_and_only_its_hash_is_sent_to_zoom() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let body = json!({"redirect_uri": format!("{}/callback", world.stack.base_url)});
    let authorization = world.post(&trainer, AUTHORIZE, body).await.expect(200);
    let page =
        reqwest::Url::parse(authorization["authorize_url"].as_str().expect("text")).expect("a URL");
    let query_value = |wanted: &str| {
        page.query_pairs().find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
    };
    assert_eq!(query_value("code_challenge_method").as_deref(), Some("S256"));
    assert_eq!(query_value("response_type").as_deref(), Some("code"));
    assert_eq!(query_value("state").as_deref(), authorization["state"].as_str());

    let stored = items_with_prefix(&world, TOKENS_TABLE, "STATE#").await;
    let [attempt] = &stored[..] else { panic!("{stored:?}") };
    let secrets = SecretSet::parse(&local::settings::secrets().to_string()).expect("the secret");
    let keyring = secrets.keyring().expect("keys");
    let open = |owner| {
        let sealed = Sealed::from_stored(string_attr(attempt, "verifier"));
        keyring.open(&sealed, &Binding { owner, field: "pkce_verifier" })
    };
    let verifier = open("trainer-1").expect("a verifier bound to the trainer");
    assert!(open("trainer-2").is_err(), "the verifier should be bound to the trainer");
    let hash = ring::digest::digest(&ring::digest::SHA256, verifier.expose().as_bytes());
    let challenge = data_encoding::BASE64URL_NOPAD.encode(hash.as_ref());
    assert_eq!(query_value("code_challenge"), Some(challenge));
    assert!((43..=128).contains(&verifier.expose().len()));
    assert!(!format!("{stored:?} {page}").contains(verifier.expose()));
    assert!(attempt.contains_key("expires_at"), "the attempt should expire");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_verifiers_and_passcodes_are_encrypted_at_rest() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    let session = world.post(&trainer, "/v1/sessions", session_body(26)).await.expect(201);
    // An unfinished authorization attempt, and a connection with refreshed tokens.
    world.consent(&trainer, "decision=allow").await;
    world.advance(SignedDuration::from_mins(58));
    world.post(&trainer, "/v1/sessions", session_body(30)).await.expect(201);

    let snapshot = world.stack.zoom.snapshot();
    let mut secrets: Vec<String> = Vec::new();
    secrets.extend(snapshot["access_tokens"].as_object().expect("an object").keys().cloned());
    secrets.extend(
        grants(&world)
            .values()
            .map(|grant| grant["refresh_token"].as_str().expect("text").to_owned()),
    );
    let passcode = session["meeting"]["passcode"].as_str().expect("a passcode").to_owned();
    let join_url = session["meeting"]["join_url"].as_str().expect("a link").to_owned();
    secrets.extend([passcode, join_url]);
    secrets.push(local::settings::ZOOM_CLIENT_SECRET.to_owned());
    assert!(
        secrets.len() >= 5 && secrets.iter().all(|secret| secret.len() >= 8),
        "{}",
        secrets.len()
    );

    let mut all = table_items(&world, TOKENS_TABLE).await;
    all.extend(table_items(&world, MAIN_TABLE).await);
    let text = format!("{all:?}");
    for secret in &secrets {
        assert!(!text.contains(secret), "a table contains {secret}");
    }
    assert!(
        !text.contains("start_url") && !text.contains("zak="),
        "the start URL should not be stored"
    );
    let stored = items_with_prefix(&world, TOKENS_TABLE, "TRAINER#trainer-1").await;
    for name in ["access_token", "refresh_token"] {
        assert!(stored[0][name].as_s().is_ok_and(|text| text.starts_with("v1.local-1.")), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn denied_consent_or_invalid_code_creates_no_connection() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let (code, state) = world.consent(&trainer, "decision=deny").await;
    assert_eq!(code, "", "Zoom should redirect with an error and no code");
    assert_eq!(
        field(
            &finish_connect(&world, &trainer, &code, &state)
                .await
                .expect_problem(422, "validation_failed")
        ),
        "code"
    );
    let long = "c".repeat(3000);
    assert_eq!(
        field(
            &finish_connect(&world, &trainer, &long, &state)
                .await
                .expect_problem(422, "validation_failed")
        ),
        "code"
    );
    // An unknown code uses up the state.
    assert_eq!(
        field(
            &finish_connect(&world, &trainer, "made-up", &state)
                .await
                .expect_problem(422, "validation_failed")
        ),
        "code"
    );
    assert_eq!(
        field(
            &finish_connect(&world, &trainer, "made-up", &state)
                .await
                .expect_problem(422, "validation_failed")
        ),
        "state"
    );
    // A code expires after five minutes at Zoom.
    let (code, state) = world.consent(&trainer, "decision=allow").await;
    world.advance(SignedDuration::from_mins(6));
    assert_eq!(
        field(
            &finish_connect(&world, &trainer, &code, &state)
                .await
                .expect_problem(422, "validation_failed")
        ),
        "code"
    );
    // The code of another authorization has a different verifier.
    let (stolen, _) = world.consent(&world.other_trainer().await, "decision=allow").await;
    let (_, state) = world.consent(&trainer, "decision=allow").await;
    assert_eq!(
        field(
            &finish_connect(&world, &trainer, &stolen, &state)
                .await
                .expect_problem(422, "validation_failed")
        ),
        "code"
    );
    assert_eq!(status(&world, &trainer).await, "not_connected");
    assert!(grants(&world).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_scopes_are_listed() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let allowed: Vec<_> = REQUIRED.iter().map(|spellings| spellings[0]).collect();
    let missing = ["meeting:write:meeting", "user:read:zak"];
    let granted: Vec<_> =
        allowed.iter().filter(|scope| !missing.contains(*scope)).copied().collect();
    let (code, state) =
        world.consent(&trainer, &format!("decision=allow&scopes={}", granted.join("+"))).await;
    let connection = finish_connect(&world, &trainer, &code, &state).await.expect(200);
    assert_eq!(connection["status"], "connected");
    assert_eq!(connection["missing_scopes"], json!(missing));
    let problem = world
        .post(&trainer, "/v1/sessions", session_body(26))
        .await
        .expect_problem(409, "missing_scopes");
    assert_eq!(problem["missing_scopes"], json!(["meeting:write:meeting"]));
    assert!(world.stack.zoom.meetings().is_empty());
    // Consent to all scopes resolves it.
    assert_eq!(world.connect_zoom(&trainer, "app").await["missing_scopes"], json!([]));
    world.post(&trainer, "/v1/sessions", session_body(26)).await.expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_connect_body_lists_the_field() {
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
            world.post(&trainer, path, body.clone()).await.expect_problem(422, "validation_failed");
        assert_eq!(field(&problem), wrong, "{path} {body}");
    }
}
