//! Missing and invalid settings and secrets, panics, timeouts, and the privacy of logs.

use http::Method;
use jiff::SignedDuration;
use lambda_http::Request;
use local::calls::Service::{Dynamodb, Secretsmanager, Zoom};
use local::faults::{Fault, FaultKind};
use serde_json::{Value, json};
use shared::handlers::ROUTES;
use shared::handlers::edge::{self, RequestError, ResponseBody};

use crate::functions::{DirectFunctions, REQUEST_ID, environment, gateway_event, set_secret};
use crate::log::CapturedLog;
use crate::world::{World, session_body};

const CONNECTION: &str = "/v1/zoom/connection";
const SESSIONS: &str = "/v1/sessions";

/// Returns every HTTP function with a request that a correctly configured function rejects as unauthenticated.
fn http_functions() -> Vec<(&'static str, &'static str, String)> {
    let mut all: Vec<(&str, &str, String)> = Vec::new();
    for route in ROUTES {
        if !all.iter().any(|(function, ..)| *function == route.function) {
            let parts = route.path.split('/').map(|part| match part.starts_with('{') {
                true => "x",
                false => part,
            });
            all.push((route.function, route.method, parts.collect::<Vec<_>>().join("/")));
        }
    }
    assert!(all.len() > 10, "{all:?}");
    // The webhook function has its own URL.
    all.push(("webhook", "POST", "/".to_owned()));
    all
}

/// Returns whether a function needs a variable.
type NeededBy = fn(&str) -> bool;

fn every_function(_: &str) -> bool {
    true
}

fn authenticates_callers(function: &str) -> bool {
    function != "webhook"
}

fn calls_zoom(function: &str) -> bool {
    let others =
        ["sessions", "resend-invite", "attendance", "notifications", "operations", "poll", "hosts"];
    !others.contains(&function)
}

fn sends_wake_ups(function: &str) -> bool {
    calls_zoom(function) || function == "resend-invite"
}

fn fault(world: &World, fault: Fault) {
    world.stack.faults.add(fault).expect("a valid fault");
}

#[tokio::test]
async fn missing_variable_is_logged_and_makes_function_unavailable() {
    let world = World::start().await;
    let needed: [(&'static str, NeededBy); 14] = [
        ("AWS_REGION", every_function),
        ("AWS_ACCESS_KEY_ID", every_function),
        ("AWS_SECRET_ACCESS_KEY", every_function),
        ("CONFIG_SECRET_ID", every_function),
        ("TABLE_NAME", every_function),
        ("AUTH_ISSUER", authenticates_callers),
        ("AUTH_AUDIENCE", authenticates_callers),
        ("TOKENS_TABLE_NAME", calls_zoom),
        ("OUTBOX_QUEUE_URL", sends_wake_ups),
        ("ZOOM_API_BASE_URL", calls_zoom),
        ("ZOOM_OAUTH_BASE_URL", calls_zoom),
        ("ZOOM_REDIRECT_URIS", |function| function == "connect"),
        ("DEFAULT_TIMEZONE", |function| ["payments", "session-save"].contains(&function)),
        ("APP_URL", |function| {
            let users = ["join", "notifications", "session-cancel", "session-save", "sessions"];
            users.contains(&function)
        }),
    ];
    for (name, needed_by) in needed {
        let log = CapturedLog::start();
        let functions = DirectFunctions::new(&world, &[(name, "")]);
        let logged = log.events("config.incomplete");
        assert!(!logged.is_empty(), "a missing {name} should be logged");
        for line in logged {
            assert_eq!(line["name"], name);
            assert_eq!(line["error"], format!("{name} is not set"));
            assert_eq!(line["level"], "ERROR");
        }
        for (function, method, path) in http_functions() {
            let response = functions.call(function, method, &path, "no-token", None).await;
            if needed_by(function) {
                assert!(response.headers.contains_key("retry-after"), "{function} without {name}");
                let problem = response.expect_problem(503, "unavailable");
                assert!(!problem.to_string().contains(name), "{problem}");
            } else {
                assert_eq!(
                    response.status, 401,
                    "{function} does not need {name}: {}",
                    response.text
                );
            }
        }
    }
}

#[tokio::test]
async fn invalid_variable_is_logged_without_its_value() {
    let world = World::start().await;
    for (name, value) in [
        ("ZOOM_API_BASE_URL", "hunter2"),
        ("ZOOM_OAUTH_BASE_URL", "ftp://hunter2.test"),
        ("AUTH_JWKS_URL", "https://me:hunter2@issuer.test"),
        ("AWS_ENDPOINT_URL", "hunter2"),
        ("ZOOM_REDIRECT_URIS", " , "),
        ("ZOOM_REDIRECT_URIS", "https://app.example.test/zoom,/hunter2"),
        ("DEFAULT_TIMEZONE", "Mars/Phobos"),
        ("JOIN_AFTER_END_MINUTES", "ninety"),
        ("EVENT_TTL_DAYS", "6"),
        ("EVENT_TTL_DAYS", "366"),
        ("EVENT_TTL_DAYS", "a term"),
    ] {
        let log = CapturedLog::start();
        let functions = DirectFunctions::new(&world, &[(name, value)]);
        let logged = log.events("config.incomplete");
        assert!(
            logged.iter().all(|line| line["name"] == name) && !logged.is_empty(),
            "{name} {value}"
        );
        assert!(!log.text().contains("hunter2"), "{name}: {}", log.text());
        let mut unavailable = 0;
        for (function, method, path) in http_functions() {
            let response = functions.call(function, method, &path, "x", None).await;
            unavailable += u32::from(response.status == 503);
        }
        assert!(unavailable > 0, "{name} {value}");
    }
}

/// Returns the secret with one field replaced. A `null` removes the field.
fn secret_with(name: &str, value: Value) -> String {
    let mut secret = local::settings::secrets();
    secret[name] = value;
    secret.as_object_mut().expect("an object").retain(|_, value| !value.is_null());
    secret.to_string()
}

#[tokio::test]
async fn invalid_secret_makes_function_unavailable_and_is_not_logged() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let authorize = json!({"redirect_uri": format!("{}/callback", world.stack.base_url)});
    let functions = DirectFunctions::new(&world, &[]);
    let invalid_field = |name| (secret_with(name, json!({"hunter2": 1})), name);
    for (secret, name) in [
        (String::new(), "oauth_state_secret"),
        ("{}".to_owned(), "oauth_state_secret"),
        ("hunter2".to_owned(), "not a JSON object"),
        ("[\"hunter2\"]".to_owned(), "not a JSON object"),
        ("{\"zoom_client_id\": hunter2}".to_owned(), "not a JSON object"),
        (secret_with("oauth_state_secret", Value::Null), "oauth_state_secret"),
        (secret_with("oauth_state_secret", json!("")), "oauth_state_secret"),
        invalid_field("oauth_state_secret"),
        (secret_with("token_encryption_keys", Value::Null), "token_encryption_keys"),
        invalid_field("token_encryption_keys"),
        (
            secret_with(
                "token_encryption_keys",
                json!({"current": "a", "keys": {"a": "aHVudGVyMg=="}}),
            ),
            "token_encryption_keys",
        ),
        (
            secret_with("token_encryption_keys", json!({"current": "hunter2", "keys": {}})),
            "token_encryption_keys",
        ),
        (secret_with("zoom_client_id", Value::Null), "zoom_client_id"),
        (secret_with("zoom_client_secret", Value::Null), "zoom_client_secret"),
    ] {
        // Longer than a valid cached copy is used.
        world.advance(SignedDuration::from_mins(61));
        let log = CapturedLog::start();
        // Secrets Manager rejects an empty secret. The function treats a space in the same way.
        let text = if secret.is_empty() { " " } else { &secret };
        set_secret(&world, text).await;
        let response = functions
            .call("connect", "POST", "/v1/zoom/authorize", &trainer, Some(&authorize))
            .await;
        let problem = response.expect_problem(503, "unavailable");
        let failed = log.events("request.failed");
        assert_eq!(failed.len(), 1, "{secret}");
        assert!(
            failed[0]["error"].as_str().is_some_and(|error| error.contains(name)),
            "{secret}: {failed:?}"
        );
        for output in [problem.to_string(), log.text(), functions.debug()] {
            assert!(
                !output.contains("hunter2") && !output.contains("aHVudGVyMg"),
                "{secret}: {output}"
            );
        }
    }
    let functions = DirectFunctions::new(&world, &[("CONFIG_SECRET_ID", "secret-of-others")]);
    let response = functions.call("connect", "GET", CONNECTION, &trainer, None).await;
    response.expect_problem(503, "unavailable");
    assert!(!world.stack.aws.take_denied_calls().is_empty());
    set_secret(&world, &local::settings::secrets().to_string()).await;
    fault(&world, Fault::new(Secretsmanager, "*", FaultKind::Unauthorized));
    let functions = DirectFunctions::new(&world, &[]);
    functions
        .call("connect", "GET", CONNECTION, &trainer, None)
        .await
        .expect_problem(503, "unavailable");
    functions.call("connect", "GET", CONNECTION, &trainer, None).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn function_works_without_secret_fields_it_does_not_need() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let partial_secret = json!({"oauth_state_secret": "s", "zeptomail_token": 7});
    set_secret(&world, &partial_secret.to_string()).await;
    let functions = DirectFunctions::new(&world, &[]);
    functions.call("connect", "GET", CONNECTION, &trainer, None).await.expect(200);
    functions.call("disconnect", "DELETE", CONNECTION, &trainer, None).await.expect(204);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changed_secret_is_used_within_five_minutes() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let (code, state) = world.consent(&trainer, "decision=allow").await;
    let changed = secret_with("oauth_state_secret", json!("another-state-secret-of-32-bytes"));
    set_secret(&world, &changed).await;
    world.stack.usage.reset();
    // A state signed with the previous secret is rejected after five minutes at the latest.
    world.advance(SignedDuration::from_mins(5));
    let body = json!({"code": code, "state": state});
    let problem = world
        .post(&trainer, "/v1/zoom/connect", body)
        .await
        .expect_problem(422, "validation_failed");
    assert_eq!(problem["errors"][0]["field"], "state");
    world.connect_zoom(&trainer, "app").await;
    assert_eq!(world.stack.usage.calls("connect", Secretsmanager, "GetSecretValue"), 1);

    // A running function keeps using the last valid secret for a while.
    set_secret(&world, "{nonsense").await;
    world.advance(SignedDuration::from_mins(10));
    world.get(&trainer, CONNECTION).await.expect(200);
    world.advance(SignedDuration::from_mins(60));
    world.get(&trainer, CONNECTION).await.expect_problem(503, "unavailable");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn debug_output_contains_no_secret() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let functions = DirectFunctions::new(
        &world,
        &[
            ("AWS_SECRET_ACCESS_KEY", "hunter2-of-aws"),
            ("AWS_SESSION_TOKEN", "hunter2-of-a-session"),
        ],
    );
    world.connect_zoom(&trainer, "app").await;
    functions.call("connect", "GET", CONNECTION, &trainer, None).await.expect(200);
    functions
        .call("session-save", "POST", SESSIONS, &trainer, Some(&session_body(26)))
        .await
        .expect(201);
    let printed = format!("{} {:?}", functions.debug(), world.stack);
    assert!(printed.contains("redacted"), "the secret should be printed as redacted");
    for secret in secrets() {
        assert!(!printed.contains(&secret), "{secret}");
    }
    assert!(!printed.contains("hunter2"));
    assert!(
        !format!("{:?}", shared::config::Env::from_pairs(environment(&world)))
            .contains("local-zoom")
    );
}

/// Returns every confidential text of the secret.
fn secrets() -> Vec<String> {
    let secret = local::settings::secrets();
    let mut all: Vec<String> = secret
        .as_object()
        .expect("an object")
        .iter()
        .filter(|(name, _)| *name != "zoom_client_id" && *name != "zoom_sdk_key")
        .filter_map(|(_, value)| value.as_str().map(str::to_owned))
        .collect();
    let keys = secret["token_encryption_keys"]["keys"].as_object().expect("an object");
    all.extend(keys.values().map(|key| key.as_str().expect("text").to_owned()));
    assert_eq!(all.len(), 6);
    all
}

#[tokio::test]
async fn panic_returns_500_and_its_message_is_only_logged() {
    let world = World::start().await;
    let log = CapturedLog::start();
    for formatted in [false, true] {
        let response = edge::respond(&world.stack.clock, Request::default(), |_| async move {
            let word = "message";
            if formatted {
                panic!("internal {word}");
            }
            std::panic::panic_any("internal message");
            #[expect(unreachable_code, reason = "the closure needs a return type")]
            Ok::<ResponseBody, RequestError>(ResponseBody::no_content())
        })
        .await
        .0;
        assert_eq!(response.status(), 500);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let lambda_http::Body::Text(text) = response.body() else { panic!("a text body") };
        assert!(
            text.contains("\"code\":\"internal\"") && !text.contains("internal message"),
            "{text}"
        );
    }
    let failed = log.events("request.failed");
    assert_eq!(failed.len(), 2);
    for line in failed {
        assert_eq!(line["error"], "internal error: panic: internal message");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn function_responds_before_lambda_timeout() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let functions = DirectFunctions::new(&world, &[]);
    functions.call("connect", "GET", CONNECTION, &trainer, None).await.expect(200);
    // Half a second is reserved for the response.
    for (fault_to_inject, time) in [
        (Fault::new(Dynamodb, "BatchGetItem", FaultKind::Timeout), 900),
        (
            Fault { delay_ms: Some(3000), ..Fault::new(Dynamodb, "BatchGetItem", FaultKind::Late) },
            900,
        ),
        (Fault::new(Dynamodb, "BatchGetItem", FaultKind::Timeout), 500),
        (Fault::new(Dynamodb, "BatchGetItem", FaultKind::Timeout), -1),
    ] {
        fault(&world, fault_to_inject);
        let event = gateway_event("GET", CONNECTION, &trainer, None);
        let started_at = tokio::time::Instant::now();
        let response = functions.invoke("connect", event, SignedDuration::from_millis(time)).await;
        assert!(started_at.elapsed().as_millis() < 800, "it took {:?}", started_at.elapsed());
        assert!(
            response.headers.contains_key("retry-after"),
            "{} {}",
            response.status,
            response.text
        );
        let problem = response.expect_problem(503, "unavailable");
        assert_eq!(problem["request_id"], REQUEST_ID);
        world.stack.faults.clear();
    }
    // An attempt that times out is repeated while there is time.
    fault(&world, Fault::new(Dynamodb, "BatchGetItem", FaultKind::Timeout));
    functions.call("connect", "GET", CONNECTION, &trainer, None).await.expect(200);
}

/// Covers the life of a session with successful, rejected and failed requests. It runs on one thread, so that the
/// captured log is complete.
#[tokio::test]
async fn log_contains_ids_but_no_personal_data_tokens_or_passcodes() {
    let log = CapturedLog::start();
    let world = World::start().await;
    let (trainer, student) = (world.trainer().await, world.student(1).await);
    let service = world.service().await;
    let (code, state) = world.consent(&trainer, "decision=allow&account=other").await;
    let finish = json!({"code": code, "state": state});
    world.post(&trainer, "/v1/zoom/connect", finish.clone()).await.expect(200);
    world.post(&trainer, "/v1/zoom/connect", finish).await.expect_problem(422, "validation_failed");

    let mut body = session_body(26);
    body["audience_type"] = json!("invitees");
    body["title"] = json!("Confidential with Ada");
    body["invitees"] = json!([{"email": "ada@guests.test", "name": "Ada Lovelace"}]);
    let headers = [("idempotency-key", "key-of-ada"), ("x-request-id", "trace-me-1")];
    let session = world
        .call(Method::POST, SESSIONS, &trainer, Some(body.clone()), &headers)
        .await
        .expect(201);
    let id = session["id"].as_str().expect("an id").to_owned();
    let path = format!("{SESSIONS}/{id}");
    world.get(&trainer, &path).await.expect(200);
    world.get(&student, &path).await.expect_problem(404, "not_found");
    body["title"] = json!("Moved with Ada");
    body["duration_minutes"] = json!(90);
    let edit = [("if-match", "\"1\""), ("x-request-id", "trace-me-2")];
    world.call(Method::PUT, &path, &trainer, Some(body.clone()), &edit).await.expect(200);
    body["duration_minutes"] = json!(60);
    world
        .call(Method::PUT, &path, &trainer, Some(body.clone()), &edit)
        .await
        .expect_problem(412, "precondition_failed");
    world.get(&student, "/v1/me/sessions").await.expect(200);
    let user = json!({"email": "grace@people.test", "name": "Grace Hopper", "role": "student"});
    world.put(&service, "/v1/directory/users/student-77", user).await.expect(200);
    world.delete(&service, "/v1/directory/users/student-77").await.expect(204);

    // Rejected and failed requests.
    world.get("forged.token.of-mallory", &path).await.expect_problem(401, "unauthenticated");
    world.get(&student, CONNECTION).await.expect_problem(403, "forbidden");
    let mut wrong = body.clone();
    wrong["invitees"] = json!([{"email": "not an address of Ada", "name": 7}]);
    world.post(&trainer, SESSIONS, wrong).await.expect_problem(422, "validation_failed");
    for fault_to_inject in [
        Fault::new(Zoom, "create_meeting", FaultKind::Unauthorized).times(2),
        Fault::new(Zoom, "create_meeting", FaultKind::Half),
        Fault::new(Zoom, "create_meeting", FaultKind::Html),
        Fault::new(Zoom, "create_meeting", FaultKind::ThrottleIso),
        Fault::new(Dynamodb, "TransactWriteItems", FaultKind::Error).times(3),
        Fault::new(Dynamodb, "TransactWriteItems", FaultKind::Unauthorized),
        Fault::new(Dynamodb, "BatchGetItem", FaultKind::Half),
    ] {
        fault(&world, fault_to_inject);
        let response = world.post(&trainer, SESSIONS, body.clone()).await;
        assert!(
            response.status == 201
                || response.status.is_server_error()
                || response.status == 409
                || response.status == 429
        );
        world.stack.faults.clear();
    }
    world.advance(SignedDuration::from_hours(2));
    fault(&world, Fault::new(Zoom, "token", FaultKind::Half));
    world.post(&trainer, SESSIONS, body.clone()).await.expect_problem(502, "zoom_unavailable");
    world.post(&trainer, SESSIONS, body.clone()).await.expect_problem(409, "reauth_required");
    world.connect_zoom(&trainer, "other").await;
    world
        .post(&trainer, &format!("{path}/cancel"), json!({"reason": "Ada is ill"}))
        .await
        .expect(200);
    fault(&world, Fault::new(Zoom, "revoke", FaultKind::Half));
    world.delete(&trainer, CONNECTION).await.expect(204);

    // Request and session ids are logged.
    let created = log.events("session.created");
    assert!(
        created
            .iter()
            .any(|line| line["session_id"] == *id && line["span"]["request_id"] == "trace-me-1"),
        "{created:?}"
    );
    let updated = log.events("session.updated");
    assert!(
        updated
            .iter()
            .any(|line| line["session_id"] == *id && line["span"]["request_id"] == "trace-me-2"),
        "{updated:?}"
    );
    let done: Vec<_> =
        log.events("request.completed").into_iter().chain(log.events("request.refused")).collect();
    assert!(done.len() > 10);
    for line in &done {
        assert!(line["span"]["request_id"].as_str().is_some_and(|id| !id.is_empty()), "{line}");
        let has_session_id =
            line["route"].as_str().is_some_and(|route| route.starts_with("/v1/sessions/{id}"));
        assert_eq!(line["span"]["session_id"] == *id, has_session_id, "{line}");
    }
    assert!(
        !log.events("request.failed").is_empty() && !log.events("zoom.reauth_required").is_empty()
    );
    let errors = log.lines().into_iter().filter(|line| line["level"] == "ERROR");
    for line in errors
        .filter(|line| line["target"].as_str().is_some_and(|target| target.starts_with("shared")))
    {
        assert!(line["span"]["request_id"].is_string() && line["event"].is_string(), "{line}");
    }

    // No personal data, tokens or keys are logged.
    let text = log.text();
    let snapshot = world.stack.zoom.snapshot();
    let mut private: Vec<String> = [
        "Ada",
        "Lovelace",
        "Grace",
        "Hopper",
        "Tara",
        "Student 1",
        "guests.test",
        "people.test",
        "@example.test",
        "@other.zoom.test",
        "Confidential",
        "key-of-ada",
        "mallory",
        "Bearer",
        "start_url",
        "zak=",
    ]
    .map(str::to_owned)
    .into();
    private.extend(secrets());
    private.extend([trainer, student, service, code, state]);
    for name in ["passcode", "join_url"] {
        private.push(session["meeting"][name].as_str().expect("text").to_owned());
    }
    private.extend(snapshot["access_tokens"].as_object().expect("an object").keys().cloned());
    for word in private {
        if let Some(line) = text.lines().find(|line| line.contains(&word)) {
            panic!("the log contains {word}: {line}");
        }
    }
}
