//! The edge of every HTTP function: who calls, how long there is, and one answer whatever happens.

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

use super::{Route, matching};
use crate::app::error::Error;
use crate::auth::{AuthError, AuthSettings, Verifier};
use crate::clock::Clock;
use crate::config::{ConfigError, Env};
use crate::crypt::sha256_hex;
use crate::domain::caller::{Caller, Role};
use crate::domain::id::{SessionId, UserId};
use crate::domain::refusal::Refusal;
use crate::domain::text::{Email, PersonName};
use crate::http::{BadRequest, Problem, header};
use crate::secrets::{Secrets, SecretsError};
use crate::telemetry::causes;
use crate::zoom::webhook::InvalidSignature;

/// What is kept back of a function's time, to still give an answer when it runs out.
const ANSWER_MARGIN: Duration = Duration::from_millis(500);
/// How long a request may take when nobody says: an API Gateway HTTP API gives up after 30 s.
const TIME_UNSAID: Duration = Duration::from_secs(29);

/// Whatever ends a request without success.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    #[error(transparent)]
    Bad(#[from] BadRequest),
    #[error(transparent)]
    Auth(#[from] AuthError),
    #[error(transparent)]
    App(#[from] Error),
    #[error("not an event of Zoom's: {0}")]
    Forged(#[from] InvalidSignature),
    #[error("no such route")]
    NoRoute,
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
            RequestError::Forged(_) => Problem::unauthenticated(),
            RequestError::NoRoute => Problem::no_route(),
        }
    }
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A successful answer.
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

    /// Text of another kind, such as `text/csv; charset=utf-8`.
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

    /// With an entity tag: a version, in quotes.
    pub fn tagged(mut self, version: u64) -> Self {
        if let Ok(tag) = HeaderValue::from_str(&format!("\"{version}\"")) {
            self.headers.push((http::header::ETAG, tag));
        }
        self
    }

    /// With an entity tag made of the body; and nothing but that, where the request says by its tag that it has the body.
    pub fn unless_seen(mut self, request: &Request) -> Self {
        let hash = sha256_hex(self.body.as_deref().unwrap_or_default());
        let tag = format!("\"{}\"", &hash[..32]);
        if crate::http::has_seen(request, &tag) {
            self.status = StatusCode::NOT_MODIFIED;
            self.body = None;
        }
        if let Ok(tag) = HeaderValue::from_str(&tag) {
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

    /// To be saved under this name, which is made of plain ASCII letters, digits and `-_.` only.
    pub fn as_file(mut self, name: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
            self.headers.push((http::header::CONTENT_DISPOSITION, value));
        }
        self
    }
}

/// What a request is answered, as it goes out. `lambda_http` would decode the text of a bare response by its charset, for
/// which it carries the tables of every encoding that the web knows: a hundred kilobytes of a function, and ours is text
/// already.
#[derive(Debug)]
pub struct HttpResponse(pub Response<Body>);

impl IntoResponse for HttpResponse {
    fn into_response(self) -> Pin<Box<dyn Future<Output = Response<Body>> + Send>> {
        Box::pin(std::future::ready(self.0))
    }
}

/// Verifies callers.
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

    /// Reads the issuer's keys ahead.
    pub async fn warm(&self, now: Timestamp) {
        self.verifier.warm(now).await;
    }

    /// The caller, if the token is good and names a role that we know.
    pub async fn caller(&self, request: &Request, now: Timestamp) -> Result<Caller, RequestError> {
        let secrets = self.secrets.get(now).await?;
        let claims = self
            .verifier
            .verify(header(request, "authorization"), secrets.auth_hs256()?, now)
            .await?;
        let id = UserId::parse(&claims.sub).map_err(|_| AuthError::Claims)?;
        let mut roles: BTreeSet<_> =
            claims.roles.iter().filter_map(|word| Role::parse(word)).collect();
        // A token without any is a student's at best, who needs to be invited to see anything.
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

    /// The caller, who must have one of `roles`.
    pub async fn caller_with(
        &self,
        request: &Request,
        roles: &[Role],
        now: Timestamp,
    ) -> Result<Caller, RequestError> {
        let caller = self.caller(request, now).await?;
        if roles.iter().any(|role| caller.is(*role)) {
            Ok(caller)
        } else {
            Err(Refusal::Forbidden.into())
        }
    }
}

/// What a path names, by the names that its route gives.
pub type Named = Vec<(&'static str, String)>;

/// The route that a request takes, as the gateway matched it.
pub fn route(request: &Request) -> Result<(Route, Named), RequestError> {
    let path = without_stage(request);
    let (route, named) = matching(request.method().as_str(), path).ok_or(RequestError::NoRoute)?;
    let parameters = request.path_parameters_ref();
    let decoded = |name: &'static str, raw: &str| {
        let given = parameters.and_then(|parameters| parameters.first(name)).map(str::to_owned);
        (
            name,
            given.unwrap_or_else(|| {
                percent_encoding::percent_decode_str(raw).decode_utf8_lossy().into_owned()
            }),
        )
    };
    Ok((route, named.into_iter().map(|(name, raw)| decoded(name, raw)).collect()))
}

/// The path without the stage, which an HTTP API puts in front of it where the stage is not `$default`.
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

/// The named part of a path.
pub fn named<'a>(parameters: &'a [(&'static str, String)], name: &str) -> &'a str {
    parameters.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value)
}

/// Runs what a function does with a request and makes an answer of however that ends: success, refusal, fault, panic,
/// or the end of the function's time. Nothing but this writes the answer's status, and nothing else logs a request.
pub async fn answer<W, F>(clock: &Clock, request: Request, work: W) -> HttpResponse
where
    W: FnOnce(Request) -> F + Send,
    F: Future<Output = Result<ResponseBody, RequestError>> + Send,
{
    let context = request.lambda_context_ref().cloned().unwrap_or_default();
    let request_id = context.request_id;
    let time = time_left(context.deadline, clock.now());
    let method = request.method().clone();
    let path = without_stage(&request).to_owned();
    let taken = matching(method.as_str(), &path);
    let span = tracing::info_span!("request", request_id = %request_id, session_id = tracing::field::Empty);
    // Only what is an id of ours: anybody can write anything into a path.
    if let Some(session) = taken.as_ref().and_then(|(_, named)| named_session(named)) {
        span.record("session_id", tracing::field::display(session));
    }
    let route = taken.map_or("", |(route, _)| route.path);
    async move {
        let outcome = tokio::time::timeout(time, AssertUnwindSafe(work(request)).catch_unwind()).await;
        let result = match outcome {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => Err(RequestError::App(Error::Internal(panic_text(panic.as_ref()).into()))),
            Err(_) => Err(RequestError::App(Error::busy("the function's time is over"))),
        };
        match result {
            Ok(reply) => {
                tracing::info!(event = "request.done", method = %method, route, status = reply.status.as_u16());
                HttpResponse(render(reply))
            }
            Err(failure) => {
                let problem = Problem { request_id, ..Problem::from(&failure) };
                let (status, code) = (problem.status, problem.code);
                if status >= 500 {
                    tracing::error!(event = "request.failed", method = %method, route, status, code, error = causes(&failure));
                } else {
                    tracing::info!(event = "request.refused", method = %method, route, status, code);
                }
                HttpResponse(render_problem(&problem))
            }
        }
    }
    .instrument(span)
    .await
}

/// The class that a path names, if it names one.
fn named_session(named: &[(&'static str, &str)]) -> Option<SessionId> {
    named.iter().find(|(name, _)| *name == "id").and_then(|(_, raw)| SessionId::parse(raw))
}

/// How long ago the end of a function's time may lie to be one at all.
const DEADLINE_AGE_LIMIT_MS: u64 = 24 * 60 * 60 * 1000;

/// Whether this is the moment at which a function's time ends, in Unix milliseconds. None is 0, and cargo-lambda hands over
/// ten minutes, in milliseconds, where the moment belongs.
fn is_deadline(deadline_ms: u64, now_ms: u64) -> bool {
    deadline_ms.saturating_add(DEADLINE_AGE_LIMIT_MS) > now_ms
}

fn time_left(deadline_ms: u64, now: Timestamp) -> Duration {
    time_until(deadline_ms, now, TIME_UNSAID).saturating_sub(ANSWER_MARGIN)
}

/// The time that is left until a function's ends, or `unsaid` when nobody says when.
pub(super) fn time_until(deadline_ms: u64, now: Timestamp, unsaid: Duration) -> Duration {
    let now_ms = u64::try_from(now.as_millisecond()).unwrap_or(0);
    if is_deadline(deadline_ms, now_ms) {
        Duration::from_millis(deadline_ms.saturating_sub(now_ms))
    } else {
        unsaid
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned());
    format!("panic: {}", text.unwrap_or_default())
}

fn render(reply: ResponseBody) -> Response<Body> {
    let text = |bytes: Vec<u8>| Body::Text(String::from_utf8_lossy(&bytes).into_owned());
    let body = reply.body.map_or(Body::Empty, text);
    let mut response = Response::new(body);
    *response.status_mut() = reply.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, reply.content_type);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.extend(reply.headers);
    if matches!(reply.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        headers.remove(CONTENT_TYPE);
    }
    response
}

pub(super) fn render_problem(problem: &Problem) -> Response<Body> {
    let body = serde_json::to_string(problem).unwrap_or_default();
    let mut response = Response::new(Body::Text(body));
    *response.status_mut() =
        StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if problem.status == 401 {
        headers.insert(http::header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some(seconds) = problem.retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_has_the_time_that_it_is_given_or_what_the_api_waits() {
        let now: Timestamp = "2026-11-21T09:00:00Z".parse().unwrap();
        let now_ms = u64::try_from(now.as_millisecond()).unwrap();
        let unsaid = Duration::from_millis(28_500);
        let cases = [
            (now_ms + 10_000, Duration::from_millis(9_500)),
            (now_ms + 400, Duration::ZERO),
            (now_ms - 1, Duration::ZERO),
            (0, unsaid),
            (600_000, unsaid),
        ];
        for (deadline_ms, left) in cases {
            assert_eq!(time_left(deadline_ms, now), left, "{deadline_ms}");
        }
    }
}
