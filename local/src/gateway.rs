//! An API Gateway HTTP API in small: HTTP in, payload 2.0 events to the functions, their answers back as HTTP.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use jiff::SignedDuration;
use lambda_http::Context;
use serde::Deserialize;
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::handlers::matching;

use crate::functions::Functions;
use crate::usage::Usage;
use crate::zoom::Zoom;

/// AWS: the payload of a synchronous call, in which API Gateway wraps the body.
const PAYLOAD_LIMIT_BYTES: usize = 6 * 1024 * 1024;
/// AWS: an HTTP API waits this long for a function.
const INTEGRATION_TIMEOUT: SignedDuration = SignedDuration::from_secs(30);

#[derive(Clone)]
pub struct Gateway {
    pub functions: Arc<Functions>,
    pub clock: Clock,
    pub usage: Usage,
    pub zoom: Zoom,
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway").finish_non_exhaustive()
    }
}

/// What a function answers to an HTTP API.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    status_code: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
}

/// Serves every route of the API.
pub async fn serve(State(gateway): State<Gateway>, request: Request) -> Response {
    let origin = request.headers().get(http::header::ORIGIN).cloned();
    if request.method() == Method::OPTIONS {
        return with_cors(StatusCode::NO_CONTENT.into_response(), origin);
    }
    with_cors(gateway.answer(request).await, origin)
}

/// Serves the webhook's function URL: the same payload as an HTTP API's, with one route for everything.
pub async fn function_url(State(gateway): State<Gateway>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    parts.uri = http::Uri::from_static("/");
    gateway.call("webhook", "$default", &BTreeMap::new(), &parts, body).await
}

impl Gateway {
    async fn answer(&self, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let Some((route, named)) = matching(parts.method.as_str(), parts.uri.path()) else {
            return said(StatusCode::NOT_FOUND, "Not Found");
        };
        let path_parameters: BTreeMap<_, _> =
            named.into_iter().map(|(name, raw)| (name, percent_decoded(raw))).collect();
        let route_key = format!("{} {}", route.method, route.path);
        self.usage.http_request(route.function);
        self.call(route.function, &route_key, &path_parameters, &parts, body).await
    }

    /// Calls a function with a request, and renders what it answers.
    async fn call(
        &self,
        function: &str,
        route_key: &str,
        path_parameters: &BTreeMap<&'static str, String>,
        parts: &http::request::Parts,
        body: Body,
    ) -> Response {
        let Ok(body) = to_bytes(body, PAYLOAD_LIMIT_BYTES).await else {
            return said(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large");
        };
        let started = self.clock.now();
        let request_id = request_id(&parts.headers, &self.clock);
        let event = event(parts, &body, route_key, path_parameters, &request_id, started);
        let mut context = Context::default();
        context.request_id.clone_from(&request_id);
        context.deadline =
            u64::try_from((started + INTEGRATION_TIMEOUT).as_millisecond()).unwrap_or(0);
        let begun = tokio::time::Instant::now();
        let outcome = self.functions.invoke(function, event, context).await;
        let took = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.usage.invocation(function, took);
        let answer = outcome.map_err(|error| error.to_string()).and_then(|value| {
            serde_json::from_value::<Answer>(value).map_err(|error| error.to_string())
        });
        match answer {
            Ok(answer) => {
                if route_key == "POST /v1/zoom/authorize" && answer.status_code == 200 {
                    self.remember_browser(&parts.headers, answer.body.as_deref());
                }
                render(answer)
            }
            Err(error) => {
                tracing::error!(event = "gateway.function_failed", function, error);
                said(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
            }
        }
    }

    /// Lets the simulated Zoom know whose browser will open the consent page, as a cookie would: each trainer has a Zoom
    /// user of their own. The token was verified by the function that has just answered.
    fn remember_browser(&self, headers: &HeaderMap, body: Option<&str>) {
        let state = body.and_then(|body| serde_json::from_str::<Value>(body).ok());
        let state = state.as_ref().and_then(|answer| answer["state"].as_str());
        let token = headers.get(http::header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let claims = token.and_then(|token| {
            let payload = token.split('.').nth(1)?;
            let bytes = data_encoding::BASE64URL_NOPAD.decode(payload.as_bytes()).ok()?;
            serde_json::from_slice::<Value>(&bytes).ok()
        });
        let email = claims.as_ref().and_then(|claims| claims["email"].as_str());
        if let (Some(state), Some(person)) =
            (state, email.and_then(|email| email.split('@').next()))
        {
            self.zoom.at_browser(state, person);
        }
    }
}

/// A payload 2.0 event (AWS, "Working with AWS Lambda proxy integrations for HTTP APIs").
fn event(
    parts: &http::request::Parts,
    body: &Bytes,
    route_key: &str,
    path_parameters: &BTreeMap<&'static str, String>,
    request_id: &str,
    now: jiff::Timestamp,
) -> Value {
    let path = parts.uri.path();
    let query = parts.uri.query().unwrap_or_default();
    let (text, encoded) = body_text(&parts.headers, body);
    let mut event = json!({
        "version": "2.0",
        "routeKey": route_key,
        "rawPath": path,
        "rawQueryString": query,
        "headers": joined(&parts.headers),
        "pathParameters": path_parameters,
        "requestContext": {
            "accountId": crate::aws::names::ACCOUNT_ID,
            "apiId": "local",
            "domainName": "localhost",
            "domainPrefix": "localhost",
            "http": {
                "method": parts.method.as_str(),
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": parts.headers.get("user-agent").and_then(|v| v.to_str().ok()).unwrap_or_default(),
            },
            "requestId": request_id,
            "routeKey": route_key,
            "stage": "$default",
            "time": now.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string(),
            "timeEpoch": now.as_millisecond(),
        },
        "isBase64Encoded": encoded,
    });
    if !query.is_empty() {
        let parameters: BTreeMap<_, _> =
            url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        event["queryStringParameters"] = json!(parameters);
    }
    if !text.is_empty() {
        event["body"] = Value::String(text);
    }
    event
}

/// API Gateway hands text over as it is and everything else in base64.
fn body_text(headers: &HeaderMap, body: &Bytes) -> (String, bool) {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("application/json");
    let textual = kind.starts_with("text/")
        || ["application/json", "application/javascript", "application/xml"]
            .iter()
            .any(|text| kind.starts_with(text));
    match std::str::from_utf8(body) {
        Ok(text) if textual => (text.to_owned(), false),
        _ => (STANDARD.encode(body), true),
    }
}

/// What the gateway answers by itself.
fn said(status: StatusCode, message: &str) -> Response {
    (status, axum::Json(json!({"message": message}))).into_response()
}

/// Names in lower case, values of one name joined by commas.
fn joined(headers: &HeaderMap) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        all.entry(name.as_str().to_owned())
            .and_modify(|held| *held = format!("{held},{value}"))
            .or_insert(value);
    }
    all
}

fn percent_decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// A request id that is the caller's own for a traced request, else made of the time: ids here tell requests apart in
/// one log and need be nothing else.
fn request_id(headers: &HeaderMap, clock: &Clock) -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNT: AtomicU64 = AtomicU64::new(1);
    let given = headers
        .get("x-request-id")
        .and_then(|value| value.to_str().ok())
        .filter(|id| id.len() <= 64);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    given.map_or_else(|| format!("local-{}-{count}", clock.now().as_second()), str::to_owned)
}

fn render(answer: Answer) -> Response {
    let body = answer.body.unwrap_or_default();
    let body = if answer.is_base64_encoded {
        STANDARD.decode(&body).unwrap_or_default()
    } else {
        body.into_bytes()
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() =
        StatusCode::from_u16(answer.status_code).unwrap_or(StatusCode::BAD_GATEWAY);
    for (name, value) in answer.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// The template takes the allowed origins as a parameter; here every origin on this machine is one.
fn with_cors(mut response: Response, origin: Option<HeaderValue>) -> Response {
    if let Some(origin) = origin {
        let headers = response.headers_mut();
        headers.insert("access-control-allow-origin", origin);
        headers.insert("vary", HeaderValue::from_static("origin"));
        headers.insert(
            "access-control-allow-methods",
            HeaderValue::from_static("GET,POST,PUT,DELETE,OPTIONS"),
        );
        headers.insert(
            "access-control-allow-headers",
            HeaderValue::from_static(
                "authorization,content-type,idempotency-key,if-match,if-none-match",
            ),
        );
        headers.insert(
            "access-control-expose-headers",
            HeaderValue::from_static("content-disposition,etag,location,retry-after"),
        );
    }
    response
}
