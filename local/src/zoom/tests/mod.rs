//! The simulated Zoom, driven as its callers drive it: through the router.

mod connecting;
mod holding;
mod limits;
mod meetings;
mod spec;
mod webhooks;

use axum::Router;
use axum::body::{Body, to_bytes};
use http::{HeaderMap, Request, StatusCode, header};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shared::clock::{Clock, ManualClock};
use shared::random::Random;
use tower::ServiceExt;
use url::Url;

use super::{Zoom, ZoomConfig};

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

struct Bench {
    zoom: Zoom,
    hands: ManualClock,
    router: Router,
}

#[derive(Debug)]
struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
    body: Value,
}

impl Reply {
    /// `(status, code)` of a refusal.
    fn refusal(&self) -> (u16, i64) {
        (self.status.as_u16(), self.body["code"].as_i64().unwrap_or_default())
    }

    fn fields(&self) -> Vec<&str> {
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
        // Saturday, 2026-11-21, 09:00 in Greenwich.
        let clock = Clock::standing(Timestamp::from_second(1_795_251_600).unwrap());
        let Clock::Manual(hands) = clock.clone() else { unreachable!() };
        let config = ZoomConfig {
            client_id: "client".into(),
            client_secret: "client-secret".into(),
            webhook_secret: "webhook-secret".into(),
            app_account_id: "app-account".into(),
            redirect_uris: vec![REDIRECT.into(), "https://app.test/zoom?from=zoom".into()],
            base_url: "http://localhost:4000".into(),
            webhook_url,
            app_scopes: ALL_SCOPES.iter().map(|scope| (*scope).into()).collect(),
        };
        let zoom = Zoom::new(config, clock, Random::seeded(7));
        Self { router: zoom.router(), zoom, hands }
    }

    fn wait(&self, seconds: i64) {
        self.hands.advance(SignedDuration::from_secs(seconds));
    }

    async fn send(&self, request: Request<Body>) -> Reply {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let body = serde_json::from_str(&text).unwrap_or_default();
        Reply { status, headers, text, body }
    }

    async fn form(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let form =
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = Request::post(path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            // client:client-secret
            .header(header::AUTHORIZATION, "Basic Y2xpZW50OmNsaWVudC1zZWNyZXQ=")
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

    /// The parameters with which the consent page sends the user back.
    async fn consent(&self, form: &[(&str, &str)]) -> Vec<(String, String)> {
        let reply = self.form(&Self::authorize_path(&[]), form).await;
        assert_eq!(reply.status, StatusCode::FOUND, "{}", reply.text);
        let target = Url::parse(reply.header("location")).unwrap();
        assert!(target.as_str().starts_with(REDIRECT));
        target.query_pairs().into_owned().collect()
    }

    async fn code(&self, form: &[(&str, &str)]) -> String {
        let mut fields = vec![("decision", "allow")];
        fields.extend_from_slice(form);
        let back = self.consent(&fields).await;
        assert_eq!(back[0].0, "code");
        back[0].1.clone()
    }

    async fn exchange(&self, code: &str) -> Reply {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", REDIRECT),
            ("code_verifier", VERIFIER),
        ];
        self.form("/zoom/oauth/token", &fields).await
    }

    async fn refresh(&self, refresh_token: &str) -> Reply {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh_token)];
        self.form("/zoom/oauth/token", &fields).await
    }

    /// An access token of a user who allowed everything.
    async fn token(&self, form: &[(&str, &str)]) -> String {
        let reply = self.exchange(&self.code(form).await).await;
        reply.body["access_token"].as_str().unwrap().to_owned()
    }

    async fn account_token(&self) -> String {
        let fields = [("grant_type", "account_credentials"), ("account_id", "app-account")];
        let reply = self.form("/zoom/oauth/token", &fields).await;
        reply.body["access_token"].as_str().unwrap().to_owned()
    }

    async fn call(&self, method: &str, path: &str, token: &str, body: Option<Value>) -> Reply {
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

    async fn get(&self, path: &str, token: &str) -> Reply {
        self.call("GET", path, token, None).await
    }

    async fn create(&self, token: &str, body: Value) -> Reply {
        self.call("POST", "/zoom/v2/users/me/meetings", token, Some(body)).await
    }

    /// A class of an hour from ten to eleven in Berlin, in ten days.
    async fn class(&self, token: &str) -> i64 {
        let reply = self.create(token, class()).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.text);
        reply.body["id"].as_i64().unwrap()
    }

    /// Acts as the people in the meeting; an answer other than 2xx is a failure.
    async fn act(&self, id: i64, action: &str, body: Value) -> Value {
        let reply = self.try_act(id, action, body).await;
        assert!(reply.status.is_success(), "{action}: {}", reply.text);
        reply.body
    }

    async fn try_act(&self, id: i64, action: &str, body: Value) -> Reply {
        self.call("POST", &format!("/zoom/sim/meetings/{id}/{action}"), "", Some(body)).await
    }

    async fn knobs(&self, turn: Value) {
        let reply = self.call("POST", "/zoom/sim/knobs", "", Some(turn)).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    }

    /// What was posted so far, by the name of its event.
    fn events(&self) -> Vec<String> {
        let name = |letter: &Value| letter["event"].as_str().unwrap().to_owned();
        self.zoom.webhooks().iter().map(name).collect()
    }

    /// The bodies of the events of that name.
    fn bodies(&self, event: &str) -> Vec<Value> {
        let letters = self.zoom.webhooks();
        let named = letters.into_iter().filter(|letter| letter["event"] == event);
        named.map(|letter| letter["body"].clone()).collect()
    }
}

fn class() -> Value {
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
