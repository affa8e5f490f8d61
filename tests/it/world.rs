//! The local stack of one test, with tokens and requests for its users.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use http::{HeaderMap, Method, StatusCode};
use jiff::{SignedDuration, Timestamp};
use local::aws::Aws;
use local::seed::SeedSource;
use local::stack::{Options, Stack, StackError};
use local::zoom::{SettingsUpdate, WebhookSettingsUpdate};
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::random::Random;

use crate::variation::Variation;

/// The initial time of every test: a Saturday morning, far from midnight, the end of a month and daylight saving changes.
pub(crate) const START: &str = "2026-11-21T09:00:00Z";

/// A running stack and its HTTP client.
pub(crate) struct World {
    pub(crate) stack: Stack,
    http: reqwest::Client,
    _permissions: PermissionCheck,
    /// Prints its seed if the test fails.
    _variation: Box<Variation>,
}

/// Fails a test in which a function made a call that `template.yaml` does not grant to it, even if the function continued
/// without it. A test of denied calls takes them with `Aws::take_denied_calls`.
struct PermissionCheck(Aws);

impl Drop for PermissionCheck {
    fn drop(&mut self) {
        let denied = self.0.take_denied_calls();
        for call in &denied {
            eprintln!("{call}");
        }
        assert!(denied.is_empty() || std::thread::panicking(), "denied calls: {denied:?}");
    }
}

/// A response with its complete body.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Response {
    fn remove_server_time(&mut self) {
        let member = ",\"server_time\":\"";
        if let Some((before, after)) = self.text.split_once(member) {
            let (_, after) = after.split_once('"').expect("the end of the time");
            self.text = format!("{before}{after}");
        }
    }

    async fn send(request: reqwest::RequestBuilder) -> Self {
        // An injected fault can make a function slower than the client's default timeout.
        let request = request.timeout(std::time::Duration::from_secs(60));
        let response = request.send().await.expect("the stack responds");
        let (status, headers) = (response.status(), response.headers().clone());
        Self { status, headers, text: response.text().await.expect("a complete response body") }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|_| panic!("not JSON: {} {}", self.status, self.text))
    }

    /// Returns the body and panics if the status is a different one.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        if self.text.is_empty() { Value::Null } else { self.json() }
    }

    /// Returns the problem details and panics if the status or code is a different one.
    #[track_caller]
    pub(crate) fn expect_problem(self, status: u16, code: &str) -> Value {
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
        Self::start_on_port(0).await
    }

    pub(crate) async fn start_on_port(port: u16) -> Self {
        Self::start_with(Options { port, ..Self::options() }).await
    }

    /// Starts a stack with other options, and without the domain events of its starting data.
    pub(crate) async fn start_with(options: Options) -> Self {
        // On the heap, because a test's thread has a small stack.
        let started = Box::pin(Self::try_start(options)).await;
        let world = started.expect("the stack should start");
        Box::pin(world.drop_pending_events()).await;
        world
    }

    /// Starts a stack with settings like those of `--set`.
    pub(crate) async fn start_with_settings(settings: &[(&str, &str)]) -> Self {
        let settings = settings.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        Self::start_with(Options { settings: settings.collect(), ..Self::options() }).await
    }

    /// Starts a stack with a running clock that stores its state and time in a directory.
    pub(crate) async fn start_in_dir(data_dir: PathBuf) -> Self {
        Box::pin(Self::try_start_in_dir(data_dir)).await.expect("the stack should start")
    }

    /// Starts a stack in a directory that it may refuse.
    pub(crate) async fn try_start_in_dir(data_dir: PathBuf) -> Result<Self, StackError> {
        let clock = Clock::offset_from_system();
        Self::try_start(Options { data_dir: Some(data_dir), clock, ..Self::options() }).await
    }

    /// The options of a stack in memory with a stopped clock.
    pub(crate) fn options() -> Options {
        Options {
            listen: Ipv4Addr::LOCALHOST.into(),
            port: 0,
            data_dir: None,
            settings: Vec::new(),
            cloud_only: false,
            console_dir: None,
            seed: SeedSource::School,
            clock: Clock::stopped_at(START.parse().expect("START is a timestamp")),
            random: Random::System,
        }
    }

    /// Starts a stack with the random numbers of the test.
    pub(crate) async fn try_start(options: Options) -> Result<Self, StackError> {
        Self::try_start_with_variation(options, Variation::draw()).await
    }

    /// Starts a stack with this variation instead of the one that the test draws.
    pub(crate) async fn start_with_variation(options: Options, variation: Variation) -> Self {
        let started = Box::pin(Self::try_start_with_variation(options, variation)).await;
        let world = started.expect("the stack should start");
        Box::pin(world.drop_pending_events()).await;
        world
    }

    async fn try_start_with_variation(
        options: Options,
        variation: Variation,
    ) -> Result<Self, StackError> {
        let variation = Box::new(variation);
        let stack = Stack::start(Options { random: variation.random(), ..options }).await?;
        stack.zoom.update_settings(variation.settings());
        Ok(Self {
            _permissions: PermissionCheck(stack.aws.clone()),
            _variation: variation,
            stack,
            http: shared::net::http_client("live-classes/tests").expect("an HTTP client"),
        })
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.stack.clock.now()
    }

    pub(crate) fn advance(&self, by: SignedDuration) {
        let Clock::Manual(manual_clock) = &self.stack.clock else {
            unreachable!("the clock of a test is manual")
        };
        manual_clock.advance(by);
    }

    pub(crate) async fn token(&self, claims: Value) -> String {
        let response = self.call(Method::POST, "/local/tokens", "", Some(claims), &[]).await;
        response.expect(200)["token"].as_str().expect("a token").to_owned()
    }

    /// Returns a token of `trainer-1`, the trainer of `course-1`.
    pub(crate) async fn trainer(&self) -> String {
        self.token(json!({"sub": "trainer-1", "role": "trainer", "email": "trainer@example.test", "name": "Tara"})).await
    }

    pub(crate) async fn other_trainer(&self) -> String {
        self.token(json!({"sub": "trainer-2", "role": "trainer", "email": "trainer2@example.test", "name": "Tom"})).await
    }

    /// Returns a token of `student-n`. Students 1 to 5 are enrolled in `course-1`.
    pub(crate) async fn student(&self, n: u32) -> String {
        let email = format!("student{n}@example.test");
        self.token(json!({"sub": format!("student-{n}"), "role": "student", "email": email, "name": format!("Student {n}")})).await
    }

    pub(crate) async fn service(&self) -> String {
        self.token(json!({"sub": "host-platform", "role": "service"})).await
    }

    pub(crate) async fn admin(&self) -> String {
        self.token(json!({"sub": "admin-1", "role": "admin"})).await
    }

    /// Connects a trainer to a Zoom user in the app's own account (`app`) or in another account (`other`).
    pub(crate) async fn connect_zoom(&self, token: &str, account: &str) -> Value {
        let (code, state) = self.consent(token, &format!("decision=allow&account={account}")).await;
        self.post(token, "/v1/zoom/connect", json!({"code": code, "state": state}))
            .await
            .expect(200)
    }

    /// Starts the OAuth flow, submits the consent page and returns the code and state of the redirect.
    pub(crate) async fn consent(&self, token: &str, decision: &str) -> (String, String) {
        let redirect_uri = format!("{}/callback", self.stack.base_url);
        let authorization = self
            .post(token, "/v1/zoom/authorize", json!({"redirect_uri": redirect_uri}))
            .await
            .expect(200);
        self.submit_consent(&authorization, decision).await
    }

    /// Submits the consent page of an authorization and returns the code and state of the redirect.
    pub(crate) async fn submit_consent(
        &self,
        authorization: &Value,
        decision: &str,
    ) -> (String, String) {
        let page = authorization["authorize_url"].as_str().expect("a URL");
        let form = self.http.post(page).header("content-type", "application/x-www-form-urlencoded");
        let response =
            form.body(decision.to_owned()).send().await.expect("a response of the consent page");
        let location = response.headers()["location"].to_str().expect("a URL").to_owned();
        let redirect = reqwest::Url::parse(&location).expect("a URL");
        let query_value = |name: &str| {
            redirect
                .query_pairs()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.into_owned())
                .unwrap_or_default()
        };
        (query_value("code"), query_value("state"))
    }

    /// Removes the app from a Zoom user's account without delivering the `app_deauthorized` event.
    pub(crate) async fn deauthorize_without_event(&self, zoom_email: &str) {
        let webhooks = WebhookSettingsUpdate { drop: Some(1), ..WebhookSettingsUpdate::default() };
        self.stack.zoom.update_settings(SettingsUpdate { webhooks, ..SettingsUpdate::default() });
        let user = json!({"user": zoom_email});
        self.call(Method::POST, "/zoom/sim/deauthorize", "", Some(user), &[]).await.expect(200);
    }

    /// Like [`Self::call`], without the `server_time` of a single class, so that a read is equal to the response of a change.
    pub(crate) async fn get(&self, token: &str, path: &str) -> Response {
        let mut response = self.call(Method::GET, path, token, None, &[]).await;
        let is_class =
            path.strip_prefix("/v1/sessions/").is_some_and(|id| !id.contains(['/', '?']));
        if is_class {
            response.remove_server_time();
        }
        response
    }

    pub(crate) async fn delete(&self, token: &str, path: &str) -> Response {
        self.call(Method::DELETE, path, token, None, &[]).await
    }

    pub(crate) async fn post(&self, token: &str, path: &str, body: Value) -> Response {
        self.call(Method::POST, path, token, Some(body), &[]).await
    }

    pub(crate) async fn put(&self, token: &str, path: &str, body: Value) -> Response {
        self.call(Method::PUT, path, token, Some(body), &[]).await
    }

    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Response {
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
        Response::send(request).await
    }

    /// Sends a raw body with exactly these headers.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Response {
        let mut request = self.http.request(method, format!("{}{path}", self.stack.base_url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Response::send(request.body(body)).await
    }
}

/// Returns a request body for a standalone session that starts the given number of hours after [`START`].
pub(crate) fn session_body(hours: i64) -> Value {
    let start: Timestamp = START.parse().expect("START is a timestamp");
    json!({
        "title": "Algebra I",
        "audience_type": "standalone",
        "starts_at": start + SignedDuration::from_hours(hours),
        "timezone": "Europe/Berlin",
        "duration_minutes": 60,
    })
}

/// Returns a request body for a session of `course-1`.
pub(crate) fn course_session_body(hours: i64) -> Value {
    let mut body = session_body(hours);
    body["audience_type"] = json!("course");
    body["course_id"] = json!("course-1");
    body
}
