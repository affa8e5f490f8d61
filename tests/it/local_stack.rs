//! The local stack refuses the same as AWS, serves this machine only, and follows its options.

mod events;
mod own_issuer;
mod reset;
mod seed;
mod settings;

use std::net::{Ipv4Addr, SocketAddr};

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{Method, StatusCode};
use local::aws::calls::AWS_PATH;
use local::stack::{Options, Stack, StackError};
use serde_json::{Value, json};
use shared::aws::Aws;
use shared::config::{Env, names};

use crate::support::patched;
use crate::world::{START, World, session_body};

async fn start_with(settings: &[(&str, &str)]) -> Result<Stack, StackError> {
    let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let options = Options { settings: settings.collect(), ..World::options() };
    Box::pin(Stack::start(options)).await
}

/// A published port of a container leads to an address beside the loopback.
#[tokio::test(flavor = "multi_thread")]
async fn stack_listens_on_the_given_address_only() {
    for (listen, reached) in [(Ipv4Addr::LOCALHOST, false), (Ipv4Addr::UNSPECIFIED, true)] {
        let options = Options { listen: listen.into(), ..World::options() };
        let stack = Box::pin(Stack::start(options)).await.expect("a stack");
        let (_, port) = stack.base_url.rsplit_once(':').expect("a port");
        let other = SocketAddr::from(([127, 0, 0, 2], port.parse().expect("a port")));
        assert_eq!(tokio::net::TcpStream::connect(other).await.is_ok(), reached, "{listen}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn call_without_permission_is_refused_and_listed() {
    let world = World::start().await;
    let env = Env::from_pairs([
        (names::AWS_ENDPOINT_URL, format!("{}{AWS_PATH}", world.stack.base_url)),
        (names::AWS_REGION, "us-east-1".to_owned()),
        (names::AWS_ACCESS_KEY_ID, "local".to_owned()),
        (names::AWS_SECRET_ACCESS_KEY, "local".to_owned()),
        (names::AWS_LAMBDA_FUNCTION_NAME, "notifications".to_owned()),
    ]);
    let http = shared::net::http_client("live-classes/notifications").expect("an HTTP client");
    let client = Aws::new(&env, &http).expect("complete AWS settings").dynamodb();
    let error = client.scan().table_name("TokensTable").send().await.expect_err("a refused scan");
    assert_eq!(error.code(), Some("AccessDeniedException"));
    let call = json!({
        "function": "notifications",
        "action": "dynamodb:Scan",
        "resource": "arn:aws:dynamodb:us-east-1:000000000000:table/TokensTable",
    });
    let list = world.get("", "/local/denied-calls").await.expect(200);
    assert_eq!(list, json!({ "items": [call] }));
    // Otherwise, the end of the test would fail.
    assert_eq!(world.stack.aws.take_denied_calls().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn body_whose_event_exceeds_the_limit_is_refused() {
    let world = World::start().await;
    let token = world.service().await;
    // API Gateway encodes this type in base64, so 5 MiB become 6.7.
    let body = vec![b'\n'; 5 * 1024 * 1024];
    let response = world.send_raw(Method::POST, "/v1/directory/import", &token, body).await;
    assert_eq!(response.status, StatusCode::PAYLOAD_TOO_LARGE, "{}", response.text);
    assert_eq!(response.json(), json!({ "message": "Request Entity Too Large" }));
}

#[tokio::test(flavor = "multi_thread")]
async fn environment_above_four_kilobytes_does_not_start() {
    let text = "x".repeat(4000);
    let error =
        start_with(&[(names::DISCLAIMER, text.as_str())]).await.expect_err("too many bytes");
    assert!(matches!(error, StackError::Environment(_)), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn clock_stays_within_the_calendar() {
    let world = World::start().await;
    let set = |body| world.call(Method::POST, "/local/clock", "", Some(body), &[]);
    for change in [
        json!({ "advance": "80000000h" }),
        json!({ "advance": "2562047788015215h" }),
        json!({ "advance": "-1000000h" }),
        json!({ "now": "9999-12-30T00:00:00Z" }),
        json!({ "now": "1969-12-31T00:00:00Z" }),
    ] {
        assert_eq!(set(change.clone()).await.status, StatusCode::UNPROCESSABLE_ENTITY, "{change}");
    }
    let moved = set(json!({ "advance": "1h" })).await.expect(200);
    assert_eq!(moved["now"], "2026-11-21T10:00:00Z");
    let moved = set(json!({ "now": "8999-12-31T00:00:00Z" })).await.expect(200);
    assert_eq!(moved["now"], "8999-12-31T00:00:00Z");
    assert_eq!(set(json!({ "now": START })).await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn frozen_clock_stands_still_until_it_is_moved() {
    let world = World::start().await;
    let set = |body| world.call(Method::POST, "/local/clock", "", Some(body), &[]);
    let frozen = json!({ "now": START, "frozen": true });
    assert_eq!(world.get("", "/local/clock").await.expect(200), frozen);
    let running = set(json!({ "frozen": false })).await.expect(200);
    assert_eq!(running["frozen"], false);
    let now = |clock: &Value| -> jiff::Timestamp {
        clock["now"].as_str().expect("a time").parse().expect("a time")
    };
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    let later = world.get("", "/local/clock").await.expect(200);
    assert!(now(&later) > now(&running), "{later}");
    let stopped = set(json!({ "frozen": true, "advance": "1h" })).await.expect(200);
    assert!(now(&stopped) >= now(&later) + jiff::SignedDuration::from_hours(1), "{stopped}");
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    assert_eq!(world.get("", "/local/clock").await.expect(200), stopped);
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_parameters_of_local_routes_are_refused_by_name() {
    let world = World::start().await;
    for (method, path, body, name) in [
        (Method::GET, "/local/mail?subject=Algebra", None, "subject"),
        (Method::GET, "/local/clock?zone=UTC", None, "zone"),
        (Method::GET, "/local/config?secret=no", None, "secret"),
        (Method::DELETE, "/local/usage?function=join", None, "function"),
        (Method::POST, "/local/clock", Some(json!({ "freeze": true })), "freeze"),
        (Method::POST, "/local/tokens", Some(json!({ "sub": "a", "roles": [] })), "roles"),
        (Method::POST, "/local/schedules/outbox-sweep/run", Some(json!({ "at": 1 })), "at"),
        (Method::POST, "/local/dead-letters/redrive", Some(json!({ "limit": 1 })), "limit"),
    ] {
        let response = world.call(method, path, "", body, &[]).await;
        assert_eq!(response.status, StatusCode::UNPROCESSABLE_ENTITY, "{path} {}", response.text);
        assert!(response.text.contains(&format!("`{name}`")), "{path} {}", response.text);
    }
    for change in [json!({}), json!({ "now": START, "advance": "1h" }), json!({ "frozen": 1 })] {
        let response = world.post("", "/local/clock", change.clone()).await;
        assert_eq!(response.status, StatusCode::UNPROCESSABLE_ENTITY, "{change}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mails_are_listed_by_recipient_kind_and_session() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    let guests = json!({"audience_type": "invitees", "invitees": [
        {"email": "guest@example.test", "name": "Gil"}, {"email": "student9@example.test"},
    ]});
    let mut sessions = Vec::new();
    for hours in [30, 40] {
        let body = patched(session_body(hours), guests.clone());
        sessions.push(world.create(&trainer, &body).await.expect(201)["id"].clone());
        world.post("", "/local/schedules/outbox-sweep/run", json!({})).await.expect(200);
    }
    // The reminder of a guest names the session in no link.
    world.post("", "/local/clock", json!({ "advance": "7h" })).await.expect(200);
    for _ in 0..2 {
        world.post("", "/local/clock", json!({ "advance": "1m" })).await.expect(200);
    }
    let kinds = async |query: String| -> Vec<Value> {
        let listed = world.get("", &format!("/local/mail?{query}")).await.expect(200);
        let items = listed["items"].as_array().expect("a list");
        items.iter().map(|mail| mail["kind"].clone()).collect()
    };
    let first = sessions[0].as_str().expect("an id");
    let both = [json!("scheduled"), json!("reminder_day_before")];
    assert_eq!(kinds(format!("to=GUEST@example.test&session_id={first}")).await, both);
    assert_eq!(kinds("to=guest@example.test&kind=scheduled".to_owned()).await.len(), 2);
    assert_eq!(kinds(format!("session_id={first}&kind=reminder_day_before")).await.len(), 2);
    assert!(kinds("to=nobody@example.test".to_owned()).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn stack_starts_with_the_keys_of_another_issuer() {
    for settings in [
        &[(names::AUTH_JWKS_URL, "http://localhost:1/keys")][..],
        &[(names::AUTH_JWKS_URL, "")],
        &[(names::AUTH_ISSUER, "https://issuer.example.com"), (names::AUTH_AUDIENCE, "classes")],
    ] {
        // Starting fails if the starting data is refused.
        start_with(settings).await.expect("a started stack");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn configuration_shows_the_changed_secret() {
    let (webhook, hs256) = (r#"["new", "old"]"#, "a-shared-secret-of-32-bytes-or-more");
    let changes = [
        ("zoom_webhook_secret_token", webhook),
        ("auth_hs256_secret", hs256),
        ("zeptomail_token", ""),
        (names::AUTH_JWKS_URL, ""),
    ];
    let stack = start_with(&changes).await.expect("a started stack");
    let http = shared::net::http_client("live-classes/tests").expect("an HTTP client");
    let config = http.get(format!("{}/local/config", stack.base_url)).send().await;
    let config: Value = config.expect("a response").json().await.expect("JSON");
    let secrets = &config["secrets"];
    assert_eq!(secrets["zoom_webhook_secret_token"], json!(["new", "old"]));
    assert_eq!(secrets["auth_hs256_secret"], hs256);
    assert!(secrets.get("zeptomail_token").is_none());
    assert_eq!(secrets["zoom_client_id"], local::settings::ZOOM_CLIENT_ID);
    // The simulated Zoom signs with the first secret.
    let validated = http.post(format!("{}/zoom/sim/validate-url", stack.base_url)).body("{}");
    let validated = validated.send().await.expect("a response");
    assert!(validated.status().is_success(), "{}", validated.status());
}

#[tokio::test(flavor = "multi_thread")]
async fn server_app_of_the_secret_creates_hosts_on_three_licences() {
    let world = World::start().await;
    let config = world.get("", "/local/config").await.expect(200);
    let app = &config["secrets"]["zoom_s2s"];
    let field = |name: &str| app[name].as_str().expect("a text");
    assert_eq!(app["account_id"], config["environment"][names::ZOOM_APP_ACCOUNT_ID]);
    let basic = STANDARD.encode(format!("{}:{}", field("client_id"), field("client_secret")));
    let authorization = format!("Basic {basic}");
    let headers = [
        ("authorization", authorization.as_str()),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    let form = format!("grant_type=account_credentials&account_id={}", field("account_id"));
    let token = world.send(Method::POST, "/zoom/oauth/token", &headers, form.into()).await;
    let token = token.expect(200)["access_token"].as_str().expect("a token").to_owned();
    for (number, status) in [(1, 201), (2, 201), (3, 201), (4, 400)] {
        let info = json!({"email": format!("host{number}@example.test"), "type": 2});
        let body = json!({"action": "autoCreate", "user_info": info});
        world.post(&token, "/zoom/v2/users", body).await.expect(status);
    }
    let meetings = "/zoom/v2/users/host1@example.test/meetings";
    let meeting = world.post(&token, meetings, json!({"topic": "Algebra"})).await.expect(201);
    let start = format!("/zoom/sim/meetings/{}/start", meeting["id"]);
    world.post("", &start, json!({})).await.expect(200);
    // The webhook accepts the signatures of the account's app.
    let webhooks = world.stack.zoom.webhooks();
    assert!(webhooks.iter().any(|webhook| webhook["event"] == "meeting.started"));
    for webhook in webhooks {
        assert_eq!((&webhook["app"], &webhook["state"]), (&json!("server"), &json!("delivered")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn name_of_another_machine_is_refused() {
    let world = World::start().await;
    for (host, status) in [("localhost", 200), ("127.0.0.1:80", 200), ("rebound.example", 403)] {
        let headers = [("host", host)];
        for path in ["/", "/local/clock", "/zoom/sim/meetings"] {
            let response = world.send(Method::GET, path, &headers, Vec::new()).await;
            assert_eq!(response.status.as_u16(), status, "{host}{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_machines_cannot_use_the_stack() {
    let world = World::start().await;
    let allowed = "access-control-allow-origin";
    for (origin, local) in [("http://localhost:5173", true), ("https://example.com", false)] {
        let headers = [("origin", origin)];
        for method in [Method::GET, Method::OPTIONS] {
            let response = world.send(method, "/v1/sessions", &headers, Vec::new()).await;
            let header = response.headers.get(allowed).and_then(|value| value.to_str().ok());
            assert_eq!(header, local.then_some(origin));
        }
        // Browsers send this body without asking first.
        let body = br#"{"advance": "1h"}"#.to_vec();
        let response = world.send(Method::POST, "/local/clock", &headers, body).await;
        assert_eq!(response.status.as_u16(), if local { 200 } else { 403 });
    }
}
