//! A stack for one test, and the people who use it.

use std::path::PathBuf;

use http::{HeaderMap, Method, StatusCode};
use jiff::{SignedDuration, Timestamp};
use local::stack::{Options, Stack};
use local::zoom::{Turn, WebhookTurn};
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::random::Random;

/// When every test begins: a Saturday morning, far from midnight, month's end and any change of clocks.
pub(crate) const START: &str = "2026-11-21T09:00:00Z";

/// A running stack and a client for it.
pub(crate) struct World {
    pub(crate) stack: Stack,
    http: reqwest::Client,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    async fn to(request: reqwest::RequestBuilder) -> Self {
        // A faulty service makes a function take longer than a client usually waits.
        let request = request.timeout(std::time::Duration::from_secs(60));
        let answer = request.send().await.expect("the stack answers");
        let (status, headers) = (answer.status(), answer.headers().clone());
        Self { status, headers, text: answer.text().await.expect("a whole answer") }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|_| panic!("not JSON: {} {}", self.status, self.text))
    }

    /// The body, if the status is the expected one.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        if self.text.is_empty() { Value::Null } else { self.json() }
    }

    /// The problem's body, if status and code are the expected ones.
    #[track_caller]
    pub(crate) fn refused(self, status: u16, code: &str) -> Value {
        assert_eq!(
            self.headers.get("content-type").map(|v| v.as_bytes()),
            Some(&b"application/problem+json"[..]),
            "{}",
            self.text
        );
        let problem = self.expect(status);
        assert_eq!(problem["code"], code, "{problem}");
        problem
    }
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::start_on(0).await
    }

    pub(crate) async fn start_on(port: u16) -> Self {
        let clock = Clock::standing(START.parse().expect("the start is a time"));
        Self::start_with(port, None, clock).await
    }

    /// A stack that keeps its state in a directory, and the time with it, which goes by as in life.
    pub(crate) async fn start_in(data_dir: PathBuf) -> Self {
        Self::start_with(0, Some(data_dir), Clock::running()).await
    }

    async fn start_with(port: u16, data_dir: Option<PathBuf>, clock: Clock) -> Self {
        let options = Options {
            port,
            data_dir,
            settings: Vec::new(),
            cloud_only: false,
            console_dir: None,
            clock,
            random: Random::seeded(1),
        };
        let stack = Stack::start(options).await.expect("the stack starts");
        Self { stack, http: shared::net::http_client("live-classes/tests").expect("a client") }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.stack.clock.now()
    }

    pub(crate) fn advance(&self, by: SignedDuration) {
        let Clock::Manual(hands) = &self.stack.clock else {
            unreachable!("a test's clock is manual")
        };
        hands.advance(by);
    }

    pub(crate) async fn token(&self, person: Value) -> String {
        let answer = self.call(Method::POST, "/local/tokens", "", Some(person), &[]).await;
        answer.expect(200)["token"].as_str().expect("a token").to_owned()
    }

    /// `trainer-1`, who owns `course-1`.
    pub(crate) async fn trainer(&self) -> String {
        self.token(json!({"sub": "trainer-1", "role": "trainer", "email": "trainer@example.test", "name": "Tara"})).await
    }

    pub(crate) async fn other_trainer(&self) -> String {
        self.token(json!({"sub": "trainer-2", "role": "trainer", "email": "trainer2@example.test", "name": "Tom"})).await
    }

    /// `student-n`; 1 to 5 are in `course-1`.
    pub(crate) async fn student(&self, n: u32) -> String {
        let email = format!("student{n}@example.test");
        self.token(json!({"sub": format!("student-{n}"), "role": "student", "email": email, "name": format!("Student {n}")})).await
    }

    pub(crate) async fn service(&self) -> String {
        self.token(json!({"sub": "host-platform", "role": "service"})).await
    }

    /// Connects the Zoom account of a trainer, inside or outside the app's own (`app` or `other`).
    pub(crate) async fn connect_zoom(&self, token: &str, account: &str) -> Value {
        let (code, state) = self.consent(token, &format!("decision=allow&account={account}")).await;
        self.post(token, "/v1/zoom/connect", json!({"code": code, "state": state}))
            .await
            .expect(200)
    }

    /// Begins to connect and decides on the consent page; answers what the browser brings back.
    pub(crate) async fn consent(&self, token: &str, decision: &str) -> (String, String) {
        let redirect_uri = format!("{}/callback", self.stack.base_url);
        let begun = self
            .post(token, "/v1/zoom/authorize", json!({"redirect_uri": redirect_uri}))
            .await
            .expect(200);
        self.decide(&begun, decision).await
    }

    /// Decides on the consent page that an authorisation led to.
    pub(crate) async fn decide(&self, begun: &Value, decision: &str) -> (String, String) {
        let page = begun["authorize_url"].as_str().expect("an address");
        let form = self.http.post(page).header("content-type", "application/x-www-form-urlencoded");
        let answer = form.body(decision.to_owned()).send().await.expect("the consent page answers");
        let location = answer.headers()["location"].to_str().expect("an address").to_owned();
        let back = reqwest::Url::parse(&location).expect("an address");
        let part = |name: &str| {
            back.query_pairs()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.into_owned())
                .unwrap_or_default()
        };
        (part("code"), part("state"))
    }

    /// A Zoom user takes the app out of their account, and the event that would tell us never arrives.
    pub(crate) async fn deauthorize_unheard(&self, zoom_email: &str) {
        let webhooks = WebhookTurn { drop: Some(1), ..WebhookTurn::default() };
        self.stack.zoom.turn_knobs(Turn { webhooks, ..Turn::default() });
        let user = json!({"user": zoom_email});
        self.call(Method::POST, "/zoom/sim/deauthorize", "", Some(user), &[]).await.expect(200);
    }

    pub(crate) async fn get(&self, token: &str, path: &str) -> Answer {
        self.call(Method::GET, path, token, None, &[]).await
    }

    pub(crate) async fn delete(&self, token: &str, path: &str) -> Answer {
        self.call(Method::DELETE, path, token, None, &[]).await
    }

    pub(crate) async fn post(&self, token: &str, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, token, Some(body), &[]).await
    }

    pub(crate) async fn put(&self, token: &str, path: &str, body: Value) -> Answer {
        self.call(Method::PUT, path, token, Some(body), &[]).await
    }

    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = self.http.request(method, format!("{}{path}", self.stack.base_url));
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        Answer::to(request).await
    }

    /// Sends bytes with these headers and no others.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Answer {
        let mut request = self.http.request(method, format!("{}{path}", self.stack.base_url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::to(request.body(body)).await
    }
}

/// The body of a class that begins so many hours from [`START`].
pub(crate) fn class(hours: i64) -> Value {
    let start: Timestamp = START.parse().expect("the start is a time");
    json!({
        "title": "Algebra I",
        "audience_type": "standalone",
        "starts_at": start + SignedDuration::from_hours(hours),
        "timezone": "Europe/Berlin",
        "duration_minutes": 60,
    })
}

/// The same for `course-1`.
pub(crate) fn course_class(hours: i64) -> Value {
    let mut class = class(hours);
    class["audience_type"] = json!("course");
    class["course_id"] = json!("course-1");
    class
}
