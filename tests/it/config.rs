//! What a function does that lacks a setting or a secret, that panics or runs out of time; and what it logs.

use http::Method;
use jiff::SignedDuration;
use lambda_http::Request;
use local::calls::Service::{Dynamodb, Secretsmanager, Zoom};
use local::faults::{Fault, Kind};
use serde_json::{Value, json};
use shared::handlers::ROUTES;
use shared::handlers::edge::{self, RequestError, ResponseBody};

use crate::direct::{Direct, REQUEST_ID, environment, event};
use crate::log::Log;
use crate::world::{World, class};

const CONNECTION: &str = "/v1/zoom/connection";
const SESSIONS: &str = "/v1/sessions";

/// Every HTTP function, with a request that it refuses for its caller when all is well.
fn functions() -> Vec<(&'static str, &'static str, String)> {
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
    // Which has a URL of its own.
    all.push(("webhook", "POST", "/".to_owned()));
    all
}

/// Which functions need a variable.
type NeededBy = fn(&str) -> bool;

fn everybody(_: &str) -> bool {
    true
}

fn who_knows_callers(function: &str) -> bool {
    function != "webhook"
}

fn who_may_call_zoom(function: &str) -> bool {
    !["sessions", "resend-invite", "attendance", "notifications", "poll"].contains(&function)
}

fn who_tells_the_outbox(function: &str) -> bool {
    who_may_call_zoom(function) || function == "resend-invite"
}

fn fault(world: &World, fault: Fault) {
    world.stack.faults.add(fault).expect("a fault that can be");
}

#[tokio::test]
async fn a_variable_that_is_missing_is_named_at_the_start_and_the_function_is_unavailable() {
    let world = World::start().await;
    let needed: [(&'static str, NeededBy); 14] = [
        ("AWS_REGION", everybody),
        ("AWS_ACCESS_KEY_ID", everybody),
        ("AWS_SECRET_ACCESS_KEY", everybody),
        ("CONFIG_SECRET_ID", everybody),
        ("TABLE_NAME", everybody),
        ("AUTH_ISSUER", who_knows_callers),
        ("AUTH_AUDIENCE", who_knows_callers),
        ("TOKENS_TABLE_NAME", who_may_call_zoom),
        ("OUTBOX_QUEUE_URL", who_tells_the_outbox),
        ("ZOOM_API_BASE_URL", who_may_call_zoom),
        ("ZOOM_OAUTH_BASE_URL", who_may_call_zoom),
        ("ZOOM_REDIRECT_URIS", |function| function == "connect"),
        ("DEFAULT_TIMEZONE", |function| function == "session-save"),
        ("APP_URL", |function| function == "join" || function == "notifications"),
    ];
    for (name, needed_by) in needed {
        let log = Log::start();
        let direct = Direct::new(&world, &[(name, "")]);
        let said = log.events("config.incomplete");
        assert!(!said.is_empty(), "{name} is not missed");
        for line in said {
            assert_eq!(line["name"], name);
            assert_eq!(line["error"], format!("{name} is not set"));
            assert_eq!(line["level"], "ERROR");
        }
        for (function, method, path) in functions() {
            let answer = direct.call(function, method, &path, "no-token", None).await;
            if needed_by(function) {
                assert!(answer.headers.contains_key("retry-after"), "{function} without {name}");
                let problem = answer.refused(503, "unavailable");
                assert!(!problem.to_string().contains(name), "{problem}");
            } else {
                assert_eq!(answer.status, 401, "{function} does not need {name}: {}", answer.text);
            }
        }
    }
}

#[tokio::test]
async fn a_variable_that_cannot_be_used_is_named_and_its_value_is_not_logged() {
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
    ] {
        let log = Log::start();
        let direct = Direct::new(&world, &[(name, value)]);
        let said = log.events("config.incomplete");
        assert!(said.iter().all(|line| line["name"] == name) && !said.is_empty(), "{name} {value}");
        assert!(!log.text().contains("hunter2"), "{name}: {}", log.text());
        let mut unavailable = 0;
        for (function, method, path) in functions() {
            let answer = direct.call(function, method, &path, "x", None).await;
            unavailable += u32::from(answer.status == 503);
        }
        assert!(unavailable > 0, "{name} {value}");
    }
}

/// The secret without one of its fields, or with it changed.
fn secret_with(name: &str, value: Value) -> String {
    let mut secret = local::settings::secrets();
    secret[name] = value;
    secret.as_object_mut().expect("an object").retain(|_, value| !value.is_null());
    secret.to_string()
}

#[tokio::test]
async fn a_secret_that_is_missing_empty_or_nonsense_stops_who_needs_it_and_is_not_told() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let authorize = json!({"redirect_uri": format!("{}/callback", world.stack.base_url)});
    let direct = Direct::new(&world, &[("CONFIG_SECRET_ID", "broken")]);
    let hunter = |name| (secret_with(name, json!({"hunter2": 1})), name);
    for (secret, name) in [
        (String::new(), "oauth_state_secret"),
        ("{}".to_owned(), "oauth_state_secret"),
        ("hunter2".to_owned(), "no JSON object"),
        ("[\"hunter2\"]".to_owned(), "no JSON object"),
        ("{\"zoom_client_id\": hunter2}".to_owned(), "no JSON object"),
        (secret_with("oauth_state_secret", Value::Null), "oauth_state_secret"),
        (secret_with("oauth_state_secret", json!("")), "oauth_state_secret"),
        hunter("oauth_state_secret"),
        (secret_with("token_encryption_keys", Value::Null), "token_encryption_keys"),
        hunter("token_encryption_keys"),
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
        // Longer than a good copy would serve.
        world.advance(SignedDuration::from_mins(61));
        let log = Log::start();
        // Secrets Manager takes no empty text, which is what a deployment creates; a space is the same to us.
        let text = if secret.is_empty() { " " } else { &secret };
        world.stack.aws.set_secret("broken", text).await.expect("set");
        let answer =
            direct.call("connect", "POST", "/v1/zoom/authorize", &trainer, Some(&authorize)).await;
        let problem = answer.refused(503, "unavailable");
        let failed = log.events("request.failed");
        assert_eq!(failed.len(), 1, "{secret}");
        assert!(
            failed[0]["error"].as_str().is_some_and(|error| error.contains(name)),
            "{secret}: {failed:?}"
        );
        for told in [problem.to_string(), log.text(), direct.debug()] {
            assert!(!told.contains("hunter2") && !told.contains("aHVudGVyMg"), "{secret}: {told}");
        }
    }
    let direct = Direct::new(&world, &[("CONFIG_SECRET_ID", "no-such-secret")]);
    let answer = direct.call("connect", "GET", CONNECTION, &trainer, None).await;
    answer.refused(503, "unavailable");
    fault(&world, Fault::new(Secretsmanager, "*", Kind::Unauthorized));
    let direct = Direct::new(&world, &[]);
    direct.call("connect", "GET", CONNECTION, &trainer, None).await.refused(503, "unavailable");
    direct.call("connect", "GET", CONNECTION, &trainer, None).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_field_that_a_function_does_not_need_does_not_stop_it() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let few = json!({"oauth_state_secret": "s", "zeptomail_token": 7});
    world.stack.aws.set_secret("few", &few.to_string()).await.expect("set");
    let direct = Direct::new(&world, &[("CONFIG_SECRET_ID", "few")]);
    direct.call("connect", "GET", CONNECTION, &trainer, None).await.expect(200);
    direct.call("disconnect", "DELETE", CONNECTION, &trainer, None).await.expect(204);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_secret_is_seen_within_five_minutes() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let (code, state) = world.consent(&trainer, "decision=allow").await;
    let changed = secret_with("oauth_state_secret", json!("another-state-secret-of-32-bytes"));
    world.stack.aws.set_secret(local::settings::SECRET_ID, &changed).await.expect("set");
    world.stack.usage.reset();
    // Signed by what is withdrawn: in the first minutes perhaps, after five no more.
    world.advance(SignedDuration::from_mins(5));
    let body = json!({"code": code, "state": state});
    let problem =
        world.post(&trainer, "/v1/zoom/connect", body).await.refused(422, "validation_failed");
    assert_eq!(problem["errors"][0]["field"], "state");
    world.connect_zoom(&trainer, "app").await;
    assert_eq!(world.stack.usage.calls("connect", Secretsmanager, "GetSecretValue"), 1);

    // A slip of the hand does not stop what runs.
    world.stack.aws.set_secret(local::settings::SECRET_ID, "{nonsense").await.expect("set");
    world.advance(SignedDuration::from_mins(10));
    world.get(&trainer, CONNECTION).await.expect(200);
    world.advance(SignedDuration::from_mins(60));
    world.get(&trainer, CONNECTION).await.refused(503, "unavailable");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_is_printed_for_debugging_tells_a_secret() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let direct = Direct::new(
        &world,
        &[
            ("AWS_SECRET_ACCESS_KEY", "hunter2-of-aws"),
            ("AWS_SESSION_TOKEN", "hunter2-of-a-session"),
        ],
    );
    world.connect_zoom(&trainer, "app").await;
    direct.call("connect", "GET", CONNECTION, &trainer, None).await.expect(200);
    direct.call("session-save", "POST", SESSIONS, &trainer, Some(&class(26))).await.expect(201);
    let printed = format!("{} {:?}", direct.debug(), world.stack);
    assert!(printed.contains("redacted"), "the secret is there, and is not told");
    for secret in secrets() {
        assert!(!printed.contains(&secret), "{secret}");
    }
    assert!(!printed.contains("hunter2"));
    assert!(
        !format!("{:?}", shared::config::Env::from_pairs(environment(&world)))
            .contains("local-zoom")
    );
}

/// What the secret holds, text by text.
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
async fn a_panic_is_answered_as_an_error_and_its_words_stay_in_the_log() {
    let world = World::start().await;
    let log = Log::start();
    for formatted in [false, true] {
        let answer = edge::answer(&world.stack.clock, Request::default(), |_| async move {
            let word = "of-the-works";
            if formatted {
                panic!("the innards {word}");
            }
            std::panic::panic_any("the innards of-the-works");
            #[expect(unreachable_code, reason = "it says what the closure would answer")]
            Ok::<ResponseBody, RequestError>(ResponseBody::no_content())
        })
        .await
        .0;
        assert_eq!(answer.status(), 500);
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        let lambda_http::Body::Text(text) = answer.body() else { panic!("a text") };
        assert!(text.contains("\"code\":\"internal\"") && !text.contains("innards"), "{text}");
    }
    let failed = log.events("request.failed");
    assert_eq!(failed.len(), 2);
    for line in failed {
        assert_eq!(line["error"], "internal error: panic: the innards of-the-works");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_answers_before_its_time_is_over() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let direct = Direct::new(&world, &[]);
    direct.call("connect", "GET", CONNECTION, &trainer, None).await.expect(200);
    // Half a second is kept back to answer in.
    for (fails, time) in [
        (Fault::new(Dynamodb, "GetItem", Kind::Timeout), 900),
        (Fault { delay_ms: Some(3000), ..Fault::new(Dynamodb, "GetItem", Kind::Late) }, 900),
        (Fault::new(Dynamodb, "GetItem", Kind::Timeout), 500),
        (Fault::new(Dynamodb, "GetItem", Kind::Timeout), -1),
    ] {
        fault(&world, fails);
        let event = event("GET", CONNECTION, &trainer, None);
        let begun = tokio::time::Instant::now();
        let answer = direct.invoke("connect", event, SignedDuration::from_millis(time)).await;
        assert!(begun.elapsed().as_millis() < 800, "it answered in {:?}", begun.elapsed());
        assert!(answer.headers.contains_key("retry-after"), "{} {}", answer.status, answer.text);
        let problem = answer.refused(503, "unavailable");
        assert_eq!(problem["request_id"], REQUEST_ID);
        world.stack.faults.clear();
    }
    // One attempt that hangs is made again while there is time.
    fault(&world, Fault::new(Dynamodb, "GetItem", Kind::Timeout));
    direct.call("connect", "GET", CONNECTION, &trainer, None).await.expect(200);
}

/// Whatever happens in the life of a class, seen by everybody who logs. One thread, so that all of it is read here.
#[tokio::test]
async fn a_log_names_requests_and_classes_and_no_person_token_or_passcode() {
    let log = Log::start();
    let world = World::start().await;
    let (trainer, student) = (world.trainer().await, world.student(1).await);
    let service = world.service().await;
    let (code, state) = world.consent(&trainer, "decision=allow&account=other").await;
    let finish = json!({"code": code, "state": state});
    world.post(&trainer, "/v1/zoom/connect", finish.clone()).await.expect(200);
    world.post(&trainer, "/v1/zoom/connect", finish).await.refused(422, "validation_failed");

    let mut wanted = class(26);
    wanted["audience_type"] = json!("invitees");
    wanted["title"] = json!("Confidential with Ada");
    wanted["invitees"] = json!([{"email": "ada@guests.test", "name": "Ada Lovelace"}]);
    let headers = [("idempotency-key", "key-of-ada"), ("x-request-id", "trace-me-1")];
    let made = world
        .call(Method::POST, SESSIONS, &trainer, Some(wanted.clone()), &headers)
        .await
        .expect(201);
    let id = made["id"].as_str().expect("an id").to_owned();
    let path = format!("{SESSIONS}/{id}");
    world.get(&trainer, &path).await.expect(200);
    world.get(&student, &path).await.refused(404, "not_found");
    wanted["title"] = json!("Moved with Ada");
    wanted["duration_minutes"] = json!(90);
    let edit = [("if-match", "\"1\""), ("x-request-id", "trace-me-2")];
    world.call(Method::PUT, &path, &trainer, Some(wanted.clone()), &edit).await.expect(200);
    wanted["duration_minutes"] = json!(60);
    world
        .call(Method::PUT, &path, &trainer, Some(wanted.clone()), &edit)
        .await
        .refused(412, "precondition_failed");
    world.get(&student, "/v1/me/sessions").await.expect(200);
    let user = json!({"email": "grace@people.test", "name": "Grace Hopper", "role": "student"});
    world.put(&service, "/v1/directory/users/student-77", user).await.expect(200);
    world.delete(&service, "/v1/directory/users/student-77").await.expect(204);

    // What is refused, and what fails.
    world.get("forged.token.of-mallory", &path).await.refused(401, "unauthenticated");
    world.get(&student, CONNECTION).await.refused(403, "forbidden");
    let mut wrong = wanted.clone();
    wrong["invitees"] = json!([{"email": "not an address of Ada", "name": 7}]);
    world.post(&trainer, SESSIONS, wrong).await.refused(422, "validation_failed");
    for fails in [
        Fault::new(Zoom, "create_meeting", Kind::Unauthorized).times(2),
        Fault::new(Zoom, "create_meeting", Kind::Half),
        Fault::new(Zoom, "create_meeting", Kind::Html),
        Fault::new(Zoom, "create_meeting", Kind::ThrottleIso),
        Fault::new(Dynamodb, "TransactWriteItems", Kind::Error).times(3),
        Fault::new(Dynamodb, "TransactWriteItems", Kind::Unauthorized),
        Fault::new(Dynamodb, "BatchGetItem", Kind::Half),
    ] {
        fault(&world, fails);
        let answer = world.post(&trainer, SESSIONS, wanted.clone()).await;
        assert!(
            answer.status == 201
                || answer.status.is_server_error()
                || answer.status == 409
                || answer.status == 429
        );
        world.stack.faults.clear();
    }
    world.advance(SignedDuration::from_hours(2));
    fault(&world, Fault::new(Zoom, "token", Kind::Half));
    world.post(&trainer, SESSIONS, wanted.clone()).await.refused(502, "zoom_unavailable");
    world.post(&trainer, SESSIONS, wanted.clone()).await.refused(409, "reauth_required");
    world.connect_zoom(&trainer, "other").await;
    world
        .post(&trainer, &format!("{path}/cancel"), json!({"reason": "Ada is ill"}))
        .await
        .expect(200);
    fault(&world, Fault::new(Zoom, "revoke", Kind::Half));
    world.delete(&trainer, CONNECTION).await.expect(204);

    // Who asked, and about what.
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
        log.events("request.done").into_iter().chain(log.events("request.refused")).collect();
    assert!(done.len() > 10);
    for line in &done {
        assert!(line["span"]["request_id"].as_str().is_some_and(|id| !id.is_empty()), "{line}");
        let names_one =
            line["route"].as_str().is_some_and(|route| route.starts_with("/v1/sessions/{id}"));
        assert_eq!(line["span"]["session_id"] == *id, names_one, "{line}");
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

    // And nobody's name, address or key.
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
        private.push(made["meeting"][name].as_str().expect("text").to_owned());
    }
    private.extend(snapshot["access_tokens"].as_object().expect("an object").keys().cloned());
    for word in private {
        if let Some(line) = text.lines().find(|line| line.contains(&word)) {
            panic!("{word} stands in the log: {line}");
        }
    }
}
