//! Tests of the simulated Zoom through its router.

mod instances;
mod licences;
mod limits;
mod meetings;
mod oauth;
mod past;
mod registrants;
mod server_app;
mod spec;
mod state;
mod users;
mod webhooks;

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, Request, StatusCode, header};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shared::clock::{Clock, ManualClock};
use shared::random::Random;
use tower::ServiceExt;
use url::Url;

use super::{ServerApp, Zoom, ZoomConfig, server_scopes};
use crate::{DeliveryFault, DeliveryFaults};

const REDIRECT: &str = "http://localhost:4000/callback";

/// The pair of RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

const ALL_SCOPES: &[&str] = &[
    "cloud_recording:read:list_recording_files",
    "meeting:delete:meeting",
    "meeting:read:list_meetings",
    "meeting:read:list_past_participants",
    "meeting:read:meeting",
    "meeting:update:meeting",
    "meeting:update:status",
    "meeting:write:meeting",
    "user:read:user",
    "user:read:zak",
];

/// The pending faults by event, in their order. `*` is any event.
type PendingFaults = Arc<Mutex<Vec<(&'static str, DeliveryFault)>>>;

struct Bench {
    zoom: Zoom,
    faults: PendingFaults,
    clock: ManualClock,
    router: Router,
}

#[derive(Debug)]
struct TestResponse {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
    body: Value,
}

impl TestResponse {
    /// Returns the status and the code of an error.
    fn status_and_code(&self) -> (u16, i64) {
        (self.status.as_u16(), self.body["code"].as_i64().unwrap_or_default())
    }

    fn error_fields(&self) -> Vec<&str> {
        let errors = self.body["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
        errors.iter().filter_map(|error| error["field"].as_str()).collect()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Bench {
    fn new() -> Self {
        Self::with_webhooks_to(None)
    }

    fn with_webhooks_to(webhook_url: Option<String>) -> Self {
        // Saturday, 2026-11-21, 09:00 UTC.
        let clock = Clock::stopped_at(Timestamp::from_second(1_795_251_600).unwrap());
        let Clock::Manual(manual_clock) = clock.clone() else { unreachable!() };
        let config = ZoomConfig {
            client_id: "client".into(),
            client_secret: "client-secret".into(),
            webhook_secret: "webhook-secret".into(),
            app_account_id: "app-account".into(),
            redirect_uris: vec![REDIRECT.into(), "https://app.test/zoom?from=zoom".into()],
            base_url: "http://localhost:4000".into(),
            webhook_url,
            app_scopes: ALL_SCOPES.iter().map(|scope| (*scope).into()).collect(),
            server_app: Some(ServerApp {
                account_id: "app-account".into(),
                client_id: "server".into(),
                client_secret: "server-secret".into(),
                webhook_secret: "server-webhook-secret".into(),
                scopes: server_scopes(),
            }),
        };
        let faults = PendingFaults::default();
        let pending = faults.clone();
        let take = DeliveryFaults::new(move |event| {
            let mut pending = pending.lock().unwrap();
            let index =
                pending.iter().position(|(name, _)| matches!(*name, "*") || *name == event)?;
            Some(pending.remove(index).1)
        });
        let zoom = Zoom::new(config, clock, Random::seeded(7), take);
        Self { router: zoom.router(), zoom, faults, clock: manual_clock }
    }

    fn wait(&self, seconds: i64) {
        self.clock.advance(SignedDuration::from_secs(seconds));
    }

    async fn send(&self, request: Request<Body>) -> TestResponse {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let body = serde_json::from_str(&text).unwrap_or_default();
        TestResponse { status, headers, text, body }
    }

    async fn form(&self, path: &str, fields: &[(&str, &str)]) -> TestResponse {
        self.form_as("client:client-secret", path, fields).await
    }

    async fn form_as(
        &self,
        credentials: &str,
        path: &str,
        fields: &[(&str, &str)],
    ) -> TestResponse {
        let form =
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = Request::post(path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::AUTHORIZATION, format!("Basic {}", STANDARD.encode(credentials)))
            .body(form.into())
            .unwrap();
        self.send(request).await
    }

    fn authorize_path(changes: &[(&str, &str)]) -> String {
        let mut fields = vec![
            ("response_type", "code"),
            ("client_id", "client"),
            ("redirect_uri", REDIRECT),
            ("state", "a state&more"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ];
        for (name, value) in changes {
            fields.retain(|(known, _)| known != name);
            if !value.is_empty() {
                fields.push((name, value));
            }
        }
        let query =
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        format!("/zoom/oauth/authorize?{query}")
    }

    /// Submits the consent page and returns the query parameters of the redirect.
    async fn consent(&self, form: &[(&str, &str)]) -> Vec<(String, String)> {
        let response = self.form(&Self::authorize_path(&[]), form).await;
        assert_eq!(response.status, StatusCode::FOUND, "{}", response.text);
        let target = Url::parse(response.header("location")).unwrap();
        assert!(target.as_str().starts_with(REDIRECT));
        target.query_pairs().into_owned().collect()
    }

    async fn code(&self, form: &[(&str, &str)]) -> String {
        let mut fields = vec![("decision", "allow")];
        fields.extend_from_slice(form);
        let parameters = self.consent(&fields).await;
        assert_eq!(parameters[0].0, "code");
        parameters[0].1.clone()
    }

    async fn exchange(&self, code: &str) -> TestResponse {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", REDIRECT),
            ("code_verifier", VERIFIER),
        ];
        self.form("/zoom/oauth/token", &fields).await
    }

    async fn refresh(&self, refresh_token: &str) -> TestResponse {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh_token)];
        self.form("/zoom/oauth/token", &fields).await
    }

    /// Returns an access token with all scopes, unless `form` selects others.
    async fn token(&self, form: &[(&str, &str)]) -> String {
        let response = self.exchange(&self.code(form).await).await;
        response.body["access_token"].as_str().unwrap().to_owned()
    }

    async fn account_token(&self) -> String {
        let response = self.request_account_token("server:server-secret", "app-account").await;
        response.body["access_token"].as_str().unwrap().to_owned()
    }

    async fn request_account_token(&self, credentials: &str, account_id: &str) -> TestResponse {
        let fields = [("grant_type", "account_credentials"), ("account_id", account_id)];
        self.form_as(credentials, "/zoom/oauth/token", &fields).await
    }

    /// Creates a user in the Server-to-Server app's account.
    async fn create_user(&self, token: &str, action: &str, email: &str, kind: i64) -> TestResponse {
        let info = json!({ "email": email, "type": kind, "first_name": "Ada", "last_name": "L" });
        let body = json!({ "action": action, "user_info": info });
        self.call("POST", "/zoom/v2/users", token, Some(body)).await
    }

    /// Creates a host who has accepted the invitation, and returns the id.
    async fn host(&self, token: &str, email: &str, kind: i64) -> String {
        let created = self.create_user(token, "create", email, kind).await;
        assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
        self.sim(&format!("users/{email}/accept"), json!({})).await;
        created.body["id"].as_str().unwrap().to_owned()
    }

    /// Creates a meeting of a host with the account's token.
    async fn create_meeting_of(&self, token: &str, host: &str) -> i64 {
        let path = format!("/zoom/v2/users/{host}/meetings");
        let response = self.call("POST", &path, token, Some(meeting_body())).await;
        assert_eq!(response.status, StatusCode::CREATED, "{}", response.text);
        response.body["id"].as_i64().unwrap()
    }

    /// Sends a request to `/zoom/sim` and panics unless the status is 2xx.
    async fn sim(&self, path: &str, body: Value) -> Value {
        let response = self.call("POST", &format!("/zoom/sim/{path}"), "", Some(body)).await;
        assert!(response.status.is_success(), "{path}: {}", response.text);
        response.body
    }

    async fn user_rules(&self, rules: Value) {
        self.update_settings(json!({ "accounts": { "app": { "users": rules } } })).await;
    }

    async fn status_of(&self, method: &str, path: &str, token: &str, body: Value) -> (u16, i64) {
        self.call(method, path, token, Some(body)).await.status_and_code()
    }

    async fn call(
        &self,
        method: &str,
        path: &str,
        token: &str,
        body: Option<Value>,
    ) -> TestResponse {
        let mut request = Request::builder().method(method).uri(path);
        if !token.is_empty() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = match body {
            Some(body) => request
                .header(header::CONTENT_TYPE, "application/json")
                .body(body.to_string().into()),
            None => request.body(Body::empty()),
        };
        self.send(request.unwrap()).await
    }

    async fn get(&self, path: &str, token: &str) -> TestResponse {
        self.call("GET", path, token, None).await
    }

    async fn create(&self, token: &str, body: Value) -> TestResponse {
        self.call("POST", "/zoom/v2/users/me/meetings", token, Some(body)).await
    }

    /// Creates a meeting from 10:00 to 11:00 in Berlin in ten days.
    async fn create_meeting(&self, token: &str) -> i64 {
        let response = self.create(token, meeting_body()).await;
        assert_eq!(response.status, StatusCode::CREATED, "{}", response.text);
        response.body["id"].as_i64().unwrap()
    }

    /// Runs an action on a meeting and panics unless the status is 2xx.
    async fn act(&self, id: i64, action: &str, body: Value) -> Value {
        let response = self.try_act(id, action, body).await;
        assert!(response.status.is_success(), "{action}: {}", response.text);
        response.body
    }

    async fn try_act(&self, id: i64, action: &str, body: Value) -> TestResponse {
        self.call("POST", &format!("/zoom/sim/meetings/{id}/{action}"), "", Some(body)).await
    }

    async fn update_settings(&self, update: Value) {
        let response = self.call("POST", "/zoom/sim/knobs", "", Some(update)).await;
        assert_eq!(response.status, StatusCode::OK, "{}", response.text);
    }

    /// Returns the event names of all webhooks so far.
    fn events(&self) -> Vec<String> {
        let name = |webhook: &Value| webhook["event"].as_str().unwrap().to_owned();
        self.zoom.webhooks().iter().map(name).collect()
    }

    /// Returns the bodies of all webhooks for an event.
    fn bodies(&self, event: &str) -> Vec<Value> {
        let webhooks = self.zoom.webhooks();
        let named = webhooks.into_iter().filter(|webhook| webhook["event"] == event);
        named.map(|webhook| webhook["body"].clone()).collect()
    }
}

fn meeting_body() -> Value {
    json!({
        "topic": "Algebra",
        "agenda": "Rings",
        "type": 2,
        "start_time": "2026-12-01T10:00:00",
        "timezone": "Europe/Berlin",
        "duration": 60,
        "settings": { "waiting_room": false, "join_before_host": false },
    })
}
