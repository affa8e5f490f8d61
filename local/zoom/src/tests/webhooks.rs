//! Tests of webhook delivery over real connections: signatures, retries and simulator settings.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::IntoResponse;
use tokio::net::TcpListener;

use super::*;
use crate::webhooks::hmac_hex;
use crate::{DeliveryFault, sign_webhook};

/// An endpoint that records requests and responds with the configured statuses, or else with 200.
#[derive(Clone, Default)]
struct Endpoint {
    received: Arc<Mutex<Vec<(HeaderMap, Bytes)>>>,
    statuses: Arc<Mutex<VecDeque<u16>>>,
}

impl Endpoint {
    #[expect(clippy::disallowed_methods, reason = "the endpoint stops with the test's runtime")]
    async fn listen(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(receive).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}/webhook")
    }

    fn respond_with(&self, statuses: &[u16]) {
        self.statuses.lock().unwrap().extend(statuses);
    }

    fn count(&self) -> usize {
        self.received.lock().unwrap().len()
    }

    fn events(&self) -> Vec<String> {
        let received = self.received.lock().unwrap();
        let event = |body: &Bytes| serde_json::from_slice::<Value>(body).unwrap()["event"].clone();
        received.iter().map(|(_, body)| event(body).as_str().unwrap().to_owned()).collect()
    }
}

async fn receive(
    State(endpoint): State<Endpoint>,
    headers: HeaderMap,
    body: Bytes,
) -> impl IntoResponse {
    let json: Value = serde_json::from_slice(&body).unwrap();
    endpoint.received.lock().unwrap().push((headers, body));
    let status = endpoint.statuses.lock().unwrap().pop_front().unwrap_or(200);
    let body = match json["payload"]["plainToken"].as_str() {
        Some(plain) => {
            let encrypted = hmac_hex("webhook-secret", plain.as_bytes());
            json!({ "plainToken": plain, "encryptedToken": encrypted })
        }
        None => Value::Null,
    };
    (StatusCode::from_u16(status).unwrap(), [("location", "/elsewhere")], axum::Json(body))
}

/// Returns a bench with an endpoint and a meeting without webhooks so far.
async fn bench() -> (Bench, Endpoint, i64) {
    let endpoint = Endpoint::default();
    let bench = Bench::with_webhooks_to(Some(endpoint.listen().await));
    bench
        .update_settings(json!({ "webhooks": { "events": ["meeting.started", "meeting.ended"] } }))
        .await;
    let token = bench.token(&[]).await;
    let id = bench.create_meeting(&token).await;
    (bench, endpoint, id)
}

fn state(bench: &Bench) -> Value {
    bench.zoom.webhooks()[0]["state"].clone()
}

#[tokio::test]
async fn webhooks_are_signed_and_sent_before_the_action_responds() {
    let endpoint = Endpoint::default();
    let bench = Bench::with_webhooks_to(Some(endpoint.listen().await));
    let token = bench.token(&[]).await;
    let id = bench.create_meeting(&token).await;
    assert_eq!(endpoint.count(), 0, "events of the app's requests wait for the next delivery run");
    bench.act(id, "start", json!({ "name": "Zoë 😀" })).await;
    let events = ["meeting.created", "meeting.started", "meeting.participant_joined"];
    assert_eq!(endpoint.events(), events);
    bench.act(id, "join", json!({ "name": "Zoë 😀" })).await;
    let received = endpoint.received.lock().unwrap().clone();
    for (headers, body) in &received {
        let text = |name: &str| headers[name].to_str().unwrap().to_owned();
        assert_eq!(text("x-zm-request-timestamp"), "1795251600");
        let expected = sign_webhook("webhook-secret", 1_795_251_600, body);
        assert_eq!(text("x-zm-signature"), expected);
        assert!(text("content-type").starts_with("application/json"));
    }
    let escaped = |body: &Bytes| body.is_ascii();
    assert_eq!(
        (escaped(&received[2].1), escaped(&received[3].1)),
        (false, true),
        "raw and escaped bodies alternate"
    );
    for (_, body) in &received[2..] {
        let json: Value = serde_json::from_slice(body).unwrap();
        assert_eq!(json["payload"]["object"]["participant"]["user_name"], "Zoë 😀");
    }
}

#[tokio::test]
async fn server_errors_are_retried_after_5_20_and_60_minutes() {
    let (bench, endpoint, id) = bench().await;
    endpoint.respond_with(&[500, 503, 500, 502]);
    bench.act(id, "start", json!({})).await;
    for (attempts, minutes) in [(1, 5), (2, 20), (3, 60)] {
        bench.wait(minutes * 60 - 1);
        bench.zoom.deliver_due().await;
        assert_eq!(endpoint.count(), attempts, "not before {minutes} minutes");
        bench.wait(1);
        bench.zoom.deliver_due().await;
        assert_eq!(endpoint.count(), attempts + 1);
    }
    assert_eq!(state(&bench), "gave_up");
    bench.wait(24 * 3600);
    bench.zoom.deliver_due().await;
    assert_eq!(endpoint.count(), 4);
    let received = endpoint.received.lock().unwrap().clone();
    assert!(received.iter().all(|(headers, body)| (headers["x-zm-signature"].clone(), body)
        == (received[0].0["x-zm-signature"].clone(), &received[0].1)));
}

#[tokio::test]
async fn successful_retry_is_the_last_and_may_have_a_new_signature() {
    let (bench, endpoint, id) = bench().await;
    bench.update_settings(json!({ "webhooks": { "fresh_timestamps": true } })).await;
    endpoint.respond_with(&[500, 204]);
    bench.act(id, "start", json!({})).await;
    bench.wait(300);
    bench.zoom.deliver_due().await;
    assert_eq!(state(&bench), "delivered");
    let received = endpoint.received.lock().unwrap().clone();
    assert_eq!(received[1].0["x-zm-request-timestamp"], "1795251900");
    let log = &bench.zoom.webhooks()[0];
    assert_eq!(
        (&log["attempts"][0]["status"], &log["attempts"][1]["status"]),
        (&json!(500), &json!(204))
    );
}

#[tokio::test]
async fn redirects_and_client_errors_are_final() {
    for status in [302, 400, 401, 404, 429] {
        let (bench, endpoint, id) = bench().await;
        endpoint.respond_with(&[status]);
        bench.act(id, "start", json!({})).await;
        bench.wait(2 * 3600);
        bench.zoom.deliver_due().await;
        assert_eq!((endpoint.count(), state(&bench)), (1, json!("refused")), "{status}");
    }
}

#[tokio::test]
async fn refused_connection_is_retried() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let bench = Bench::with_webhooks_to(Some(url));
    let token = bench.token(&[]).await;
    let id = bench.create_meeting(&token).await;
    bench.act(id, "start", json!({})).await;
    let log = &bench.zoom.webhooks()[0];
    assert_eq!(log["state"], "waiting");
    assert!(log["attempts"][0]["error"].is_string());
    assert_eq!(log["next_attempt_at"], "2026-11-21T09:05:00Z");
}

#[tokio::test]
async fn events_are_duplicated_dropped_and_shuffled_on_request() {
    let (bench, endpoint, id) = bench().await;
    bench
        .update_settings(json!({ "webhooks": { "duplicate": 2, "drop": 1, "shuffle": true } }))
        .await;
    bench.act(id, "start", json!({})).await;
    bench.act(id, "end", json!({})).await;
    assert_eq!(endpoint.count(), 0, "shuffled events wait for the next delivery run");
    assert_eq!(bench.call("POST", "/zoom/sim/webhooks/deliver", "", None).await.status, 204);
    assert_eq!(endpoint.events(), ["meeting.ended"; 3], "the first event was dropped");
    assert_eq!(state(&bench), "lost");
    bench.update_settings(json!({ "webhooks": { "duplicate": 0, "events": null } })).await;
    bench.act(id, "start", json!({})).await;
    for name in ["A", "B", "C", "D", "E", "F"] {
        bench.act(id, "join", json!({ "name": name })).await;
    }
    bench.zoom.deliver_due().await;
    assert_eq!(endpoint.count(), 3 + 8);
    let order: Vec<_> = {
        let received = endpoint.received.lock().unwrap();
        let name = |body: &Bytes| {
            let json: Value = serde_json::from_slice(body).unwrap();
            json["payload"]["object"]["participant"]["user_name"].clone()
        };
        received[3..].iter().map(|(_, body)| name(body)).collect()
    };
    let mut sorted = order.clone();
    sorted.sort_by_key(ToString::to_string);
    assert_ne!(order, sorted);
}

#[tokio::test]
async fn leave_events_and_customer_keys_can_be_omitted() {
    let bench = Bench::new();
    bench
        .update_settings(json!({ "webhooks": { "leaves_at_end": false, "customer_keys": false } }))
        .await;
    let token = bench.token(&[]).await;
    let id = bench.create_meeting(&token).await;
    bench.act(id, "start", json!({ "customer_key": "key-1" })).await;
    bench.act(id, "end", json!({})).await;
    assert!(bench.bodies("meeting.participant_left").is_empty());
    let joined = &bench.bodies("meeting.participant_joined")[0];
    assert_eq!(joined["payload"]["object"]["participant"].get("customer_key"), None);
}

#[tokio::test]
async fn endpoint_validation_checks_the_secret() {
    let (bench, endpoint, _) = bench().await;
    let checked = bench.call("POST", "/zoom/sim/validate-url", "", None).await;
    assert_eq!(checked.body, json!({ "valid": true, "reason": null }));
    assert_eq!(endpoint.events(), ["endpoint.url_validation"]);
    endpoint.respond_with(&[204]);
    let checked = bench.call("POST", "/zoom/sim/validate-url", "", None).await;
    assert_eq!(checked.body["valid"], false);
}

#[tokio::test]
async fn deauthorization_has_each_spelling_of_its_time() {
    let bench = Bench::new();
    bench.token(&[]).await;
    for (spelling, expected) in [
        ("number", json!(1_795_251_600_000_i64)),
        ("text", json!("1795251600000")),
        ("date_time", json!("2026-11-21 09:00:00")),
        ("missing", Value::Null),
    ] {
        let setting = json!({ "webhooks": { "deauthorized_time": spelling } });
        bench.update_settings(setting).await;
        bench.call("POST", "/zoom/sim/deauthorize", "", None).await;
        let body = bench.bodies("app_deauthorized").pop().unwrap();
        assert_eq!(body["payload"]["event_ts"], expected);
        assert_eq!(body["payload"].get("event_ts").is_some(), spelling != "missing");
        assert!(body.get("event_ts").is_none());
        assert_eq!(body["payload"]["deauthorization_time"], "2026-11-21T09:00:00Z");
        assert_eq!(body["payload"]["client_id"], "client");
    }
    bench.update_settings(json!({ "webhooks": { "deauthorized_time": null } })).await;
    for _ in 0..40 {
        bench.call("POST", "/zoom/sim/deauthorize", "", None).await;
    }
    let bodies = bench.bodies("app_deauthorized");
    let drawn: std::collections::BTreeSet<_> =
        bodies[4..].iter().map(|body| body["payload"]["event_ts"].to_string()).collect();
    assert_eq!(drawn.len(), 4, "every spelling is drawn");
}

#[tokio::test]
async fn late_or_foreign_deauthorization_keeps_the_grant() {
    let bench = Bench::new();
    let token = bench.token(&[]).await;
    for body in [json!({ "client_id": "another-app" }), json!({ "at": "2026-11-20T08:00:00Z" })] {
        let response = bench.call("POST", "/zoom/sim/deauthorize", "", Some(body)).await;
        assert_eq!(response.status, 200, "{}", response.text);
    }
    assert_eq!(bench.get("/zoom/v2/users/me", &token).await.status, 200);
    let bodies = bench.bodies("app_deauthorized");
    assert_eq!(bodies[0]["payload"]["client_id"], "another-app");
    assert_eq!(bodies[1]["payload"]["deauthorization_time"], "2026-11-20T08:00:00Z");
    bench.call("POST", "/zoom/sim/deauthorize", "", None).await;
    assert_eq!(bench.get("/zoom/v2/users/me", &token).await.status, 401);
}

#[tokio::test]
async fn reordered_events_are_sent_at_once_in_random_order() {
    let (bench, endpoint, id) = bench().await;
    bench.update_settings(json!({ "webhooks": { "reorder": true, "events": null } })).await;
    let mut ended_last = 0;
    for _ in 0..8 {
        bench.act(id, "start", json!({})).await;
        bench.act(id, "join", json!({ "name": "Max" })).await;
        let before = endpoint.count();
        bench.act(id, "end", json!({})).await;
        let events = endpoint.events()[before..].to_vec();
        assert_eq!(events.len(), 3, "the action waits for its events");
        ended_last += usize::from(events[2] == "meeting.ended");
    }
    assert!((1..8).contains(&ended_last), "{ended_last} of 8");
}

fn inject(bench: &Bench, event: &'static str, fault: DeliveryFault) {
    bench.faults.lock().unwrap().push((event, fault));
}

#[tokio::test]
async fn fault_drops_or_duplicates_one_event() {
    let (bench, endpoint, id) = bench().await;
    inject(&bench, "meeting.started", DeliveryFault::Drop);
    inject(&bench, "*", DeliveryFault::Duplicate);
    bench.act(id, "start", json!({})).await;
    assert_eq!(state(&bench), "lost");
    bench.act(id, "end", json!({})).await;
    assert_eq!(endpoint.events(), ["meeting.ended", "meeting.ended"]);
    assert!(bench.faults.lock().unwrap().is_empty());
}

#[tokio::test]
async fn fault_delays_an_event_by_the_stacks_clock() {
    let (bench, endpoint, id) = bench().await;
    inject(&bench, "meeting.started", DeliveryFault::Delay(None));
    inject(&bench, "meeting.ended", DeliveryFault::Delay(Some(Duration::from_secs(90))));
    bench.act(id, "start", json!({})).await;
    bench.act(id, "end", json!({})).await;
    assert_eq!(endpoint.count(), 0);
    bench.wait(90);
    bench.zoom.deliver_due().await;
    assert_eq!(endpoint.events(), ["meeting.ended"]);
    bench.wait(510);
    bench.zoom.deliver_due().await;
    assert_eq!(endpoint.events(), ["meeting.ended", "meeting.started"]);
    let received = endpoint.received.lock().unwrap().clone();
    assert_eq!(received[1].0["x-zm-request-timestamp"], "1795252200", "signed when it is sent");
}

#[tokio::test]
async fn fault_sends_an_event_after_the_next_one() {
    let (bench, endpoint, id) = bench().await;
    inject(&bench, "*", DeliveryFault::Reorder);
    bench.act(id, "start", json!({})).await;
    assert_eq!(endpoint.count(), 0);
    bench.act(id, "end", json!({})).await;
    assert_eq!(endpoint.events(), ["meeting.ended", "meeting.started"]);
    inject(&bench, "*", DeliveryFault::Reorder);
    bench.act(id, "start", json!({})).await;
    bench.wait(60);
    bench.zoom.deliver_due().await;
    assert_eq!(endpoint.count(), 3, "without a next event, it waits for a minute");
    bench.act(id, "end", json!({})).await;
    assert_eq!(endpoint.events()[2..], ["meeting.started", "meeting.ended"]);
}

#[tokio::test]
async fn events_of_the_account_are_signed_with_its_apps_secret() {
    let endpoint = Endpoint::default();
    let bench = Bench::with_webhooks_to(Some(endpoint.listen().await));
    let token = bench.account_token().await;
    let host = bench.host(&token, "ada@school.test", 2).await;
    let hosted = bench.create_meeting_of(&token, &host).await;
    let own = bench.create_meeting(&bench.token(&[("account", "other")]).await).await;
    bench.act(hosted, "start", json!({})).await;
    bench.act(own, "start", json!({})).await;
    let received = endpoint.received.lock().unwrap().clone();
    let mut secrets = Vec::new();
    for (headers, body) in &received {
        let event: Value = serde_json::from_slice(body).unwrap();
        let signature = headers["x-zm-signature"].to_str().unwrap();
        let secret = ["server-webhook-secret", "webhook-secret"]
            .into_iter()
            .find(|secret| sign_webhook(secret, 1_795_251_600, body) == signature);
        if event["event"] == "meeting.started" {
            secrets.push((event["payload"]["account_id"].clone(), secret.unwrap()));
        }
    }
    let expected = [
        (json!("app-account"), "server-webhook-secret"),
        (json!(crate::OTHER_ACCOUNT), "webhook-secret"),
    ];
    assert_eq!(secrets, expected);
    // The endpoint knows only the secret of the user app.
    for (app, valid) in [("user", true), ("server", false)] {
        let outcome = bench.sim("validate-url", json!({ "app": app })).await;
        assert_eq!(outcome["valid"], valid, "{app}");
    }
}
