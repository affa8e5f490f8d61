//! A minimal API Gateway HTTP API: converts requests to payload 2.0 events and invokes the functions with them.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONTENT_TYPE, DATE, HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use jiff::fmt::rfc2822::DateTimePrinter;
use serde::Deserialize;
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::handlers::match_route;
use simulated_zoom::Zoom;

use crate::lambda::{Lambda, LambdaError};
use crate::origin::is_local_origin;
use crate::usage::Usage;

/// The limit of an HTTP API for a request's body. Lambda's limit for the event is lower.
const BODY_LIMIT_BYTES: usize = 10 * 1024 * 1024;
/// The response headers that pages of other origins can read, as in the template.
pub const EXPOSED_HEADERS: &str =
    "affected-sessions,content-disposition,date,deprecation,etag,link,location,retry-after,sunset";
/// How long an HTTP API waits for a function.
const INTEGRATION_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Clone)]
pub struct Gateway {
    pub lambda: Lambda,
    pub clock: Clock,
    pub usage: Usage,
    pub zoom: Zoom,
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway").finish_non_exhaustive()
    }
}

/// Where a request arrived. An HTTP API and a function URL have the same events, but different errors.
#[derive(Clone, Copy, PartialEq, Eq)]
enum EntryPoint {
    HttpApi,
    FunctionUrl,
}

/// The response of a function to an HTTP API.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FunctionResponse {
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
    let now = gateway.clock.now();
    with_cors(with_date(gateway.route(request).await, now), origin)
}

/// Serves the webhook's function URL. It has the same payload as an HTTP API and a single route.
pub async fn function_url(State(gateway): State<Gateway>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    parts.uri = http::Uri::from_static("/");
    let target = Target {
        entry_point: EntryPoint::FunctionUrl,
        function: "webhook",
        route_key: "$default".to_owned(),
        path_parameters: BTreeMap::new(),
    };
    gateway.invoke(&target, &parts, body).await
}

/// The function that serves a request.
struct Target {
    entry_point: EntryPoint,
    function: &'static str,
    route_key: String,
    path_parameters: BTreeMap<&'static str, String>,
}

impl Gateway {
    async fn route(&self, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let Some((route, raw_parameters)) = match_route(parts.method.as_str(), parts.uri.path())
        else {
            return gateway_response(StatusCode::NOT_FOUND, "Not Found");
        };
        let path_parameters: BTreeMap<_, _> =
            raw_parameters.into_iter().map(|(name, raw)| (name, percent_decode(raw))).collect();
        self.usage.http_request(route.function);
        let target = Target {
            entry_point: EntryPoint::HttpApi,
            function: route.function,
            route_key: format!("{} {}", route.method, route.path),
            path_parameters,
        };
        let response = self.invoke(&target, &parts, body);
        // The timeouts of the functions are shorter, and a test compares them.
        let response = tokio::time::timeout(INTEGRATION_TIMEOUT, response).await;
        response.unwrap_or_else(|_| {
            gateway_response(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable")
        })
    }

    /// Invokes a function with a request, and returns its response.
    async fn invoke(&self, target: &Target, parts: &http::request::Parts, body: Body) -> Response {
        let Target { entry_point, function, .. } = *target;
        let Ok(body) = to_bytes(body, BODY_LIMIT_BYTES).await else {
            return entry_point.error_response(&LambdaError::EventTooLarge);
        };
        let request_id = request_id(&parts.headers, &self.clock);
        let now = self.clock.now();
        let event = event(target, parts, &body, &request_id, now);
        let response = match self.lambda.invoke(function, request_id, event).await {
            Ok(response) => response,
            Err(error) => {
                tracing::error!(event = "gateway.function_failed", function, %error);
                return entry_point.error_response(&error);
            }
        };
        match serde_json::from_value::<FunctionResponse>(response) {
            Ok(response) => {
                if target.route_key == "POST /v1/zoom/authorize" && response.status_code == 200 {
                    self.remember_browser(&parts.headers, response.body.as_deref());
                }
                render(response)
            }
            Err(error) => {
                tracing::error!(event = "gateway.function_failed", function, %error);
                gateway_response(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
            }
        }
    }

    /// Registers with the simulated Zoom whose browser will open the consent page, in place of a cookie: each trainer
    /// has a Zoom user of their own. The function has already verified the token.
    fn remember_browser(&self, headers: &HeaderMap, body: Option<&str>) {
        let state = body.and_then(|body| serde_json::from_str::<Value>(body).ok());
        let state = state.as_ref().and_then(|response| response["state"].as_str());
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
            self.zoom.set_browser_user(state, person);
        }
    }
}

impl EntryPoint {
    /// Returns the response to the caller if there is none of the function.
    fn error_response(self, error: &LambdaError) -> Response {
        match (error, self) {
            (LambdaError::EventTooLarge, _) => {
                gateway_response(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large")
            }
            (_, Self::HttpApi) => {
                gateway_response(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
            }
            (_, Self::FunctionUrl) => {
                (StatusCode::BAD_GATEWAY, "Internal Server Error").into_response()
            }
        }
    }
}

/// Returns a payload 2.0 event (AWS, "Working with AWS Lambda proxy integrations for HTTP APIs").
fn event(
    target: &Target,
    parts: &http::request::Parts,
    body: &Bytes,
    request_id: &str,
    now: jiff::Timestamp,
) -> Value {
    let path = parts.uri.path();
    let query = parts.uri.query().unwrap_or_default();
    let (text, encoded) = body_text(&parts.headers, body);
    let mut event = json!({
        "version": "2.0",
        "routeKey": target.route_key,
        "rawPath": path,
        "rawQueryString": query,
        "headers": join_headers(&parts.headers),
        "pathParameters": target.path_parameters,
        "requestContext": {
            "accountId": simulated_aws::names::ACCOUNT_ID,
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
            "routeKey": target.route_key,
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

/// Returns the body, and whether it is base64. API Gateway encodes everything but text.
fn body_text(headers: &HeaderMap, body: &Bytes) -> (String, bool) {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("application/json");
    let is_text = kind.starts_with("text/")
        || ["application/json", "application/javascript", "application/xml"]
            .iter()
            .any(|text| kind.starts_with(text));
    match std::str::from_utf8(body) {
        Ok(text) if is_text => (text.to_owned(), false),
        _ => (STANDARD.encode(body), true),
    }
}

/// Returns a response of the gateway itself.
fn gateway_response(status: StatusCode, message: &str) -> Response {
    (status, axum::Json(json!({"message": message}))).into_response()
}

/// Joins the values of each header with commas.
fn join_headers(headers: &HeaderMap) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        all.entry(name.as_str().to_owned())
            .and_modify(|joined| *joined = format!("{joined},{value}"))
            .or_insert(value);
    }
    all
}

fn percent_decode(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// Returns the caller's request id, or an id of the time and a counter. It only needs to be unique within one log.
fn request_id(headers: &HeaderMap, clock: &Clock) -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNT: AtomicU64 = AtomicU64::new(1);
    let request_id = headers
        .get("x-request-id")
        .and_then(|value| value.to_str().ok())
        .filter(|id| id.len() <= 64);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    request_id.map_or_else(|| format!("local-{}-{count}", clock.now().as_second()), str::to_owned)
}

fn render(function_response: FunctionResponse) -> Response {
    let body = function_response.body.unwrap_or_default();
    let body = if function_response.is_base64_encoded {
        STANDARD.decode(&body).unwrap_or_default()
    } else {
        body.into_bytes()
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() =
        StatusCode::from_u16(function_response.status_code).unwrap_or(StatusCode::BAD_GATEWAY);
    for (name, value) in function_response.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// Adds the time of the stack's clock. Otherwise the HTTP server would add the machine's time.
fn with_date(mut response: Response, now: jiff::Timestamp) -> Response {
    let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&now).ok();
    if let Some(date) = date.and_then(|date| HeaderValue::try_from(date).ok()) {
        response.headers_mut().insert(DATE, date);
    }
    response
}

/// Adds CORS headers for pages of this machine. In the template, the allowed origins are a parameter.
fn with_cors(mut response: Response, origin: Option<HeaderValue>) -> Response {
    if let Some(origin) = origin.filter(is_local_origin) {
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
        headers.insert("access-control-expose-headers", HeaderValue::from_static(EXPOSED_HEADERS));
    }
    response
}
