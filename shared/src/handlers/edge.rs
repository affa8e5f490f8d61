//! Shared HTTP handling: authenticates the caller, enforces the time limit, and renders exactly one response.

use std::any::Any;
use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use jiff::Timestamp;
use lambda_http::{Body, IntoResponse, Request, RequestExt, Response};
use serde::Serialize;
use tracing::Instrument;
use tracing::field::Empty;

use super::{API, Route, match_route, match_route_of};
use crate::app::error::Error;
use crate::auth::{AuthError, AuthSettings, Verifier};
use crate::clock::Clock;
use crate::config::{ConfigError, Env};
use crate::domain::caller::{Caller, Role};
use crate::domain::digest::Digest;
use crate::domain::id::{ExternalRef, SessionId, UserId};
use crate::domain::refusal::Refusal;
use crate::domain::rights::Operation;
use crate::domain::text::{Email, PersonName};
use crate::http::{BadRequest, Problem, check_query, header};
use crate::secrets::{Secrets, SecretsError};
use crate::telemetry::error_chain;
use crate::zoom::webhook::InvalidSignature;

/// The part of a function's time that is reserved for the response.
const RESPONSE_MARGIN: Duration = Duration::from_millis(500);
/// The time limit without a deadline. An API Gateway HTTP API times out after 30 s.
const DEFAULT_TIME: Duration = Duration::from_secs(29);

/// An error that ends a request.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    #[error(transparent)]
    Bad(#[from] BadRequest),
    #[error(transparent)]
    Auth(#[from] AuthError),
    #[error(transparent)]
    App(#[from] Error),
    #[error("invalid webhook signature: {0}")]
    InvalidSignature(#[from] InvalidSignature),
    #[error("no such route")]
    UnknownRoute,
}

impl From<Refusal> for RequestError {
    fn from(refusal: Refusal) -> Self {
        Self::App(refusal.into())
    }
}

impl From<ConfigError> for RequestError {
    fn from(error: ConfigError) -> Self {
        Self::App(error.into())
    }
}

impl From<SecretsError> for RequestError {
    fn from(error: SecretsError) -> Self {
        Self::App(error.into())
    }
}

impl From<&RequestError> for Problem {
    fn from(failure: &RequestError) -> Self {
        match failure {
            RequestError::Bad(bad) => bad.into(),
            RequestError::Auth(error) => error.into(),
            RequestError::App(error) => error.into(),
            RequestError::InvalidSignature(_) => Problem::unauthenticated(),
            RequestError::UnknownRoute => Problem::unknown_route(),
        }
    }
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// For responses with what is not for everyone.
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
/// For a file that its reader may keep, and that may change.
const REVALIDATE: HeaderValue = HeaderValue::from_static("private, no-cache");

/// A successful response.
#[derive(Debug)]
pub struct ResponseBody {
    status: StatusCode,
    content_type: HeaderValue,
    body: Option<Vec<u8>>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl ResponseBody {
    pub fn json(status: StatusCode, body: &impl Serialize) -> Result<Self, RequestError> {
        let body = serde_json::to_vec(body).map_err(|error| Error::Internal(error.into()))?;
        Ok(Self { status, content_type: JSON, body: Some(body), headers: Vec::new() })
    }

    /// Creates a text response, such as `text/csv; charset=utf-8`.
    pub fn text(content_type: &'static str, body: String) -> Self {
        Self {
            status: StatusCode::OK,
            content_type: HeaderValue::from_static(content_type),
            body: Some(body.into_bytes()),
            headers: Vec::new(),
        }
    }

    pub fn ok(body: &impl Serialize) -> Result<Self, RequestError> {
        Self::json(StatusCode::OK, body)
    }

    pub fn no_content() -> Self {
        Self { status: StatusCode::NO_CONTENT, content_type: JSON, body: None, headers: Vec::new() }
    }

    #[cfg(test)]
    pub fn into_text(self) -> String {
        String::from_utf8(self.body.unwrap_or_default()).unwrap_or_default()
    }

    pub fn add_header(&mut self, name: HeaderName, value: HeaderValue) {
        self.headers.push((name, value));
    }

    /// Adds the version as entity tag.
    pub fn with_etag(mut self, version: u64) -> Self {
        if let Ok(tag) = HeaderValue::from_str(&format!("\"{version}\"")) {
            self.headers.push((http::header::ETAG, tag));
        }
        self
    }

    /// Adds a hash of the body as entity tag. Becomes "304 Not Modified" if the request already has that tag.
    pub fn with_content_etag(mut self, request: &Request) -> Result<Self, Refusal> {
        let tag = self.content_tag();
        if crate::http::matches_if_none_match(request, &tag)? {
            self.status = StatusCode::NOT_MODIFIED;
            self.body = None;
        }
        Ok(self.with_entity_tag(&tag))
    }

    /// Returns a hash of the body, without quotes.
    pub fn content_tag(&self) -> String {
        let mut hash = Digest::of_value(self.body.as_deref().unwrap_or_default()).to_hex();
        hash.truncate(32);
        hash
    }

    /// Returns "304 Not Modified" for a client that has this entity tag.
    pub fn not_modified(tag: &str) -> Self {
        let mut response = Self::no_content();
        response.status = StatusCode::NOT_MODIFIED;
        response.with_entity_tag(tag)
    }

    fn with_entity_tag(mut self, tag: &str) -> Self {
        if let Ok(tag) = HeaderValue::from_str(&format!("\"{tag}\"")) {
            self.headers.push((http::header::ETAG, tag));
        }
        self
    }

    pub fn with_location(mut self, path: &str) -> Self {
        if let Ok(path) = HeaderValue::from_str(path) {
            self.headers.push((http::header::LOCATION, path));
        }
        self
    }

    /// Adds the number of upcoming classes that cannot be started after the request.
    pub fn with_affected_sessions(mut self, count: usize) -> Self {
        self.headers.push((HeaderName::from_static("affected-sessions"), HeaderValue::from(count)));
        self
    }

    /// Lets the caller's own browser keep the response. It asks with the entity tag before it uses the response again.
    pub fn cached_privately(mut self) -> Self {
        self.headers.push((CACHE_CONTROL, REVALIDATE));
        self
    }

    /// Sets the download file name, which may contain only ASCII letters, digits and `-_.`.
    pub fn with_file_name(mut self, name: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
            self.headers.push((http::header::CONTENT_DISPOSITION, value));
        }
        self
    }
}

/// The response as it is sent. `lambda_http` would decode a bare text response by its charset, for which it links the
/// tables of every web encoding. That adds a hundred kilobytes, and our bodies are UTF-8 already.
#[derive(Debug)]
pub struct HttpResponse(pub Response<Body>);

impl IntoResponse for HttpResponse {
    fn into_response(self) -> Pin<Box<dyn Future<Output = Response<Body>> + Send>> {
        Box::pin(std::future::ready(self.0))
    }
}

/// Authenticates callers by their token.
#[derive(Debug)]
pub struct Authenticator {
    verifier: Verifier,
    secrets: Arc<Secrets>,
}

impl Authenticator {
    pub fn new(
        env: &Env,
        http: reqwest::Client,
        secrets: Arc<Secrets>,
    ) -> Result<Self, ConfigError> {
        Ok(Self { verifier: Verifier::new(AuthSettings::read(env)?, http), secrets })
    }

    /// Loads the issuer's keys in advance.
    pub async fn warm(&self, now: Timestamp) {
        self.verifier.warm(now).await;
    }

    /// Returns the caller if the token is valid. Refuses query parameters that the route does not have, and roles that never
    /// have the right to its operation. Every route with a caller reads it first, so none can forget the checks.
    pub async fn caller(&self, request: &Request, now: Timestamp) -> Result<Caller, RequestError> {
        let caller = self.authenticate(request, now).await?;
        let (route, _) = route(request)?;
        check_query(request, route.query)?;
        let operation = Operation::of_route(route.method, route.path).ok_or(Refusal::Forbidden)?;
        operation.check_roles(&caller)?;
        Ok(caller)
    }

    async fn authenticate(
        &self,
        request: &Request,
        now: Timestamp,
    ) -> Result<Caller, RequestError> {
        let secrets = self.secrets.get(now).await?;
        let token = header(request, "authorization");
        let claims = match self.verifier.verify(token, secrets.auth_hs256()?, now).await {
            Err(AuthError::Signature) if self.verifier.uses_shared_secrets() => {
                // The secret may have been rotated since it was read.
                let secrets = self.secrets.reread(&secrets, now).await?;
                self.verifier.verify(token, secrets.auth_hs256()?, now).await?
            }
            verified => verified?,
        };
        let id = UserId::parse(&claims.sub).map_err(|_| AuthError::Claims)?;
        let mut roles: BTreeSet<_> =
            claims.roles.iter().filter_map(|word| Role::parse(word)).collect();
        // A token without a known role gets the role with the fewest rights.
        if roles.is_empty() {
            roles.insert(Role::Student);
        }
        let verified_email = claims
            .email
            .filter(|_| claims.email_verified)
            .and_then(|email| Email::parse(&email).ok());
        let name = claims.name.and_then(|name| PersonName::parse(&name).ok());
        Ok(Caller { id, roles, verified_email, name })
    }
}

/// Path parameters with the names of the route's placeholders.
pub type PathParameters = Vec<(&'static str, String)>;

/// Returns the route of a request and its decoded path parameters.
pub fn route(request: &Request) -> Result<(Route, PathParameters), RequestError> {
    let path = without_stage(request);
    let (route, raw_parameters) =
        match_route(request.method().as_str(), path).ok_or(RequestError::UnknownRoute)?;
    let decoded_parameters = request.path_parameters_ref();
    let decoded = |name: &'static str, raw: &str| {
        let decoded_by_gateway =
            decoded_parameters.and_then(|parameters| parameters.first(name)).map(str::to_owned);
        (
            name,
            decoded_by_gateway.unwrap_or_else(|| {
                percent_encoding::percent_decode_str(raw).decode_utf8_lossy().into_owned()
            }),
        )
    };
    Ok((route, raw_parameters.into_iter().map(|(name, raw)| decoded(name, raw)).collect()))
}

/// Returns the path without the stage prefix, which an HTTP API adds unless the stage is `$default`.
fn without_stage(request: &Request) -> &str {
    let path = request.raw_http_path();
    let stage = match request.request_context_ref() {
        Some(lambda_http::request::RequestContext::ApiGatewayV2(context)) => {
            context.stage.as_deref()
        }
        _ => None,
    };
    let inner = stage
        .filter(|stage| *stage != "$default")
        .and_then(|stage| path.strip_prefix('/')?.strip_prefix(stage));
    inner.filter(|rest| rest.starts_with('/')).unwrap_or(path)
}

/// Returns a path parameter.
pub fn path_parameter<'a>(parameters: &'a [(&'static str, String)], name: &str) -> &'a str {
    parameters.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value)
}

/// Returns the session of a path. An id that is not valid belongs to no session.
pub fn session_id(parameters: &[(&'static str, String)]) -> Result<SessionId, Refusal> {
    SessionId::parse(path_parameter(parameters, "id")).ok_or(Refusal::NotFound)
}

/// Returns the host platform's own name of a session in a path.
pub fn external_ref(parameters: &[(&'static str, String)]) -> Result<ExternalRef, Refusal> {
    let text = path_parameter(parameters, "external_ref");
    ExternalRef::parse(text).map_err(|error| Refusal::field("external_ref", error))
}

/// Adds the session to the log of a request whose path does not have it.
pub(super) fn log_session(session: &SessionId) {
    tracing::Span::current().record("session_id", tracing::field::display(session));
}

/// Runs a handler and turns every outcome into a response: success, refusal, error, panic or timeout. Only this module sets
/// the status and logs the request.
pub async fn respond<W, F>(clock: &Clock, request: Request, work: W) -> HttpResponse
where
    W: FnOnce(Request) -> F + Send,
    F: Future<Output = Result<ResponseBody, RequestError>> + Send,
{
    respond_by(API, clock, request, work).await
}

async fn respond_by<W, F>(
    api: &[&[Route]],
    clock: &Clock,
    request: Request,
    work: W,
) -> HttpResponse
where
    W: FnOnce(Request) -> F + Send,
    F: Future<Output = Result<ResponseBody, RequestError>> + Send,
{
    let context = request.lambda_context_ref().cloned().unwrap_or_default();
    let request_id = context.request_id;
    let time = time_left(context.deadline, clock.now());
    let method = request.method().clone();
    let path = without_stage(&request).to_owned();
    let matched = match_route_of(api, method.as_str(), &path);
    let span = tracing::info_span!(
        "request", request_id = %request_id, session_id = Empty, actor = Empty, actor_role = Empty, trainer_id = Empty
    );
    // Only a valid id is logged, because a path can contain anything.
    if let Some(session) = matched.as_ref().and_then(|(_, parameters)| session_id_of(parameters)) {
        span.record("session_id", tracing::field::display(session));
    }
    let deprecation = matched.as_ref().and_then(|(route, _)| route.deprecation);
    let route = matched.map_or("", |(route, _)| route.path);
    let response = async move {
        let outcome =
            tokio::time::timeout(time, AssertUnwindSafe(work(request)).catch_unwind()).await;
        let result = match outcome {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => {
                Err(RequestError::App(Error::Internal(panic_text(panic.as_ref()).into())))
            }
            Err(_) => Err(RequestError::App(Error::busy("the function timed out"))),
        };
        log_and_render(result, request_id, &method, route)
    };
    let mut response = response.instrument(span).await;
    if let Some(deprecation) = deprecation {
        deprecation.add_headers(response.headers_mut());
    }
    HttpResponse(response)
}

fn log_and_render(
    result: Result<ResponseBody, RequestError>,
    request_id: String,
    method: &http::Method,
    route: &str,
) -> Response<Body> {
    match result {
        Ok(response) => {
            tracing::info!(event = "request.completed", method = %method, route, status = response.status.as_u16());
            render(response)
        }
        Err(failure) => {
            let problem = Problem { request_id, ..Problem::from(&failure) };
            let (status, code) = (problem.status, problem.code);
            if status >= 500 {
                tracing::error!(event = "request.failed", method = %method, route, status, code, error = error_chain(&failure));
            } else {
                tracing::info!(event = "request.refused", method = %method, route, status, code, reason = problem.refused_token);
            }
            render_problem(&problem)
        }
    }
}

/// Returns the session id of a path.
fn session_id_of(parameters: &[(&'static str, &str)]) -> Option<SessionId> {
    parameters.iter().find(|(name, _)| *name == "id").and_then(|(_, raw)| SessionId::parse(raw))
}

/// The age up to which a past deadline counts as one.
const DEADLINE_AGE_LIMIT_MS: u64 = 24 * 60 * 60 * 1000;

/// Returns whether the value is a deadline in Unix milliseconds. It is 0 if there is none, and cargo-lambda passes ten
/// minutes in milliseconds instead of a point in time.
fn is_deadline(deadline_ms: u64, now_ms: u64) -> bool {
    deadline_ms.saturating_add(DEADLINE_AGE_LIMIT_MS) > now_ms
}

fn time_left(deadline_ms: u64, now: Timestamp) -> Duration {
    time_until(deadline_ms, now, DEFAULT_TIME).saturating_sub(RESPONSE_MARGIN)
}

/// Returns the time until the deadline, or `default` if there is none.
pub(super) fn time_until(deadline_ms: u64, now: Timestamp, default: Duration) -> Duration {
    let now_ms = u64::try_from(now.as_millisecond()).unwrap_or(0);
    if is_deadline(deadline_ms, now_ms) {
        Duration::from_millis(deadline_ms.saturating_sub(now_ms))
    } else {
        default
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned());
    format!("panic: {}", text.unwrap_or_default())
}

fn render(content: ResponseBody) -> Response<Body> {
    let text = |bytes: Vec<u8>| Body::Text(String::from_utf8_lossy(&bytes).into_owned());
    let body = content.body.map_or(Body::Empty, text);
    let mut response = Response::new(body);
    *response.status_mut() = content.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content.content_type);
    insert_common(headers);
    if content.headers.iter().any(|(name, _)| *name == CACHE_CONTROL) {
        headers.remove(CACHE_CONTROL);
    }
    headers.extend(content.headers);
    if matches!(content.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        headers.remove(CONTENT_TYPE);
    }
    response
}

/// Inserts the headers of every response, which may replace the cache control. Browsers must not guess the type of a body
/// that contains the words of users.
fn insert_common(headers: &mut http::HeaderMap) {
    headers.insert(CACHE_CONTROL, NO_STORE);
    headers.insert(http::header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

pub(super) fn render_problem(problem: &Problem) -> Response<Body> {
    let body = serde_json::to_string(problem).unwrap_or_default();
    let mut response = Response::new(Body::Text(body));
    *response.status_mut() =
        StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    insert_common(headers);
    match problem.status {
        401 => {
            // RFC 6750, section 3.1: a request without a token gets no error code.
            let challenge = match problem.refused_token {
                None | Some("missing") => "Bearer",
                Some(_) => "Bearer error=\"invalid_token\"",
            };
            headers.insert(http::header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        // RFC 9110, section 15.5.16.
        415 => {
            headers.insert(http::header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        _ => {}
    }
    if let Some(seconds) = problem.retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::super::deprecation::Deprecation;
    use super::super::route as handlers_route;
    use super::*;

    #[test]
    fn time_left_follows_the_deadline_or_the_gateway_limit() {
        let now: Timestamp = "2026-11-21T09:00:00Z".parse().unwrap();
        let now_ms = u64::try_from(now.as_millisecond()).unwrap();
        let default = Duration::from_millis(28_500);
        let cases = [
            (now_ms + 10_000, Duration::from_millis(9_500)),
            (now_ms + 400, Duration::ZERO),
            (now_ms - 1, Duration::ZERO),
            (0, default),
            (600_000, default),
        ];
        for (deadline_ms, left) in cases {
            assert_eq!(time_left(deadline_ms, now), left, "{deadline_ms}");
        }
    }

    /// The headers of a response to this path, if only `/v1/old` is deprecated.
    async fn headers_of(path: &str, outcome: Result<(), Refusal>) -> http::HeaderMap {
        let deprecated = Deprecation {
            since: Timestamp::constant(1_798_761_600, 0),
            sunset: Timestamp::constant(1_814_400_000, 0),
            page: "https://example.com/changes",
        };
        let routes = [
            handlers_route("GET", "/v1/old", "sessions").deprecated(deprecated),
            handlers_route("GET", "/v1/new", "sessions"),
        ];
        let request = http::Request::get(path).body(Body::Empty).unwrap();
        let request = request.with_raw_http_path(path);
        let work =
            |_| async move { outcome.map(|()| ResponseBody::no_content()).map_err(Into::into) };
        respond_by(&[&routes], &Clock::offset_from_system(), request, work)
            .await
            .0
            .into_parts()
            .0
            .headers
    }

    #[tokio::test]
    async fn every_response_of_a_deprecated_route_announces_its_removal() {
        for outcome in [Ok(()), Err(Refusal::Forbidden)] {
            let headers = headers_of("/v1/old", outcome).await;
            assert_eq!(headers["deprecation"], "@1798761600");
            assert_eq!(headers["sunset"], "Thu, 01 Jul 2027 00:00:00 GMT");
            assert!(headers["link"].to_str().unwrap().contains("rel=\"deprecation\""));
        }
        for path in ["/v1/new", "/v1/unknown"] {
            let headers = headers_of(path, Ok(())).await;
            for name in ["deprecation", "sunset", "link"] {
                assert!(!headers.contains_key(name), "{path}: {name}");
            }
        }
    }
}
