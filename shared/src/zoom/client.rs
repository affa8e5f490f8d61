//! Requests to Zoom and the errors in its responses.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::error::ZoomError;
use super::limits;
use crate::config::{ConfigError, Env, names};
use crate::domain::id::ZoomUserId;
use crate::random::Random;
use crate::secret::Secret;
use crate::telemetry::metrics;

/// Zoom usually responds in well under a second. A save sends at most three requests within its function's
/// timeout of 30 seconds.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(6);
/// Attempts of a request that can be repeated freely: a read, a delete, or an end.
const MAX_ATTEMPTS: u32 = 2;
/// Delay before the second attempt. Jitter adds up to the same amount.
const RETRY_DELAY_MS: u64 = 150;
/// The largest responses that we read are pages of meetings, which are far smaller.
const RESPONSE_LIMIT_BYTES: usize = 2 * 1024 * 1024;

/// A client of Zoom's OAuth endpoints and REST API.
#[derive(Clone, Debug)]
pub struct Zoom {
    pub(super) http: reqwest::Client,
    pub(super) oauth_base: Url,
    api_base: Url,
    random: Random,
}

/// The Zoom app's client id and secret.
#[derive(Clone, Copy, Debug)]
pub struct ClientCredentials<'a> {
    pub id: &'a str,
    pub secret: &'a Secret,
}

/// An access token, the base URL of the API that accepts it, and the Zoom user that it serves.
#[derive(Clone, Debug)]
pub struct Access {
    pub token: Secret,
    pub api_base: Url,
    pub user: ApiUser,
}

/// The Zoom user in the path of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiUser {
    /// The user who gave the grant.
    Me,
    /// A user of the account whose token is used. An account's token has no `me`.
    Id(ZoomUserId),
}

impl Access {
    /// Returns a path below the user, such as `/meetings`.
    pub(super) fn user_path(&self, rest: &str) -> String {
        match &self.user {
            ApiUser::Me => format!("/users/me{rest}"),
            ApiUser::Id(id) => format!("/users/{}{rest}", id.as_str()),
        }
    }
}

#[derive(Deserialize)]
struct ErrorBody {
    code: Option<i64>,
    message: Option<String>,
    /// Error name of the OAuth endpoints, whose errors have no `code`.
    error: Option<String>,
}

/// A call of Zoom's API.
#[derive(Clone, Debug)]
pub(super) struct ApiCall<'a> {
    method: Method,
    /// The path behind `/v2`.
    path: &'a str,
    query: &'a [(&'a str, &'a str)],
    body: Option<&'a Value>,
}

impl<'a> ApiCall<'a> {
    pub(super) fn new(method: Method, path: &'a str) -> Self {
        Self { method, path, query: &[], body: None }
    }

    pub(super) fn get(path: &'a str) -> Self {
        Self::new(Method::GET, path)
    }

    pub(super) fn query(self, query: &'a [(&'a str, &'a str)]) -> Self {
        Self { query, ..self }
    }

    pub(super) fn body(self, body: &'a Value) -> Self {
        Self { body: Some(body), ..self }
    }
}

/// Percent-encodes the uuid of a meeting instance for a path, twice if it contains a slash, because Zoom splits a path at a
/// slash that is encoded once.
pub(super) fn encode_uuid(uuid: &str) -> String {
    let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
    let once: String = encode(uuid);
    if uuid.contains('/') { encode(&once) } else { once }
}

impl Zoom {
    pub fn new(env: &Env, http: reqwest::Client, random: Random) -> Result<Self, ConfigError> {
        Ok(Self {
            http,
            oauth_base: env.url(names::ZOOM_OAUTH_BASE_URL)?,
            api_base: env.url(names::ZOOM_API_BASE_URL)?,
            random,
        })
    }

    /// Returns the API base URL for the `api_url` of a token response, which can be a regional host.
    /// Any host other than Zoom's own or the configured one is ignored.
    pub fn api_base(&self, api_url: Option<&str>) -> Url {
        let trusted = api_url.and_then(|text| Url::parse(text).ok()).filter(|url| {
            let host = url.host_str().unwrap_or_default();
            let is_zoom = url.scheme() == "https"
                && (host.ends_with(".zoom.us") || host.ends_with(".zoomgov.com"));
            is_zoom || url.origin() == self.api_base.origin()
        });
        match trusted {
            Some(mut url) => {
                let path = format!("{}/v2", url.path().trim_end_matches('/'));
                url.set_path(&path);
                url
            }
            None => self.api_base.clone(),
        }
    }

    /// Returns the URL of Zoom's consent page.
    pub fn authorize_url(&self, parameters: &[(&str, &str)]) -> Url {
        let mut url = self.oauth_base.clone();
        url.set_path(&format!("{}/authorize", url.path().trim_end_matches('/')));
        url.query_pairs_mut().extend_pairs(parameters);
        url
    }

    /// Sends an idempotent request, and retries it once after a timeout or a server error.
    pub(super) async fn send_with_retry(
        &self,
        access: &Access,
        call: ApiCall<'_>,
        now: Timestamp,
    ) -> Result<ZoomResponse, ZoomError> {
        for attempt in 1.. {
            match self.send_once(access, call.clone(), now).await {
                Err(ZoomError::Unavailable { reason }) if attempt < MAX_ATTEMPTS => {
                    tracing::warn!(event = "zoom.retried", method = %call.method, reason);
                    tokio::time::sleep(Duration::from_millis(
                        RETRY_DELAY_MS + self.random.below(RETRY_DELAY_MS),
                    ))
                    .await;
                }
                result => return result,
            }
        }
        unreachable!("the last attempt returns")
    }

    /// Sends a request without a retry.
    pub(super) async fn send_once(
        &self,
        access: &Access,
        ApiCall { method, path, query, body }: ApiCall<'_>,
        now: Timestamp,
    ) -> Result<ZoomResponse, ZoomError> {
        let mut url = access.api_base.clone();
        url.set_path(&format!("{}{path}", url.path().trim_end_matches('/')));
        let mut request =
            self.http.request(method, url).bearer_auth(access.token.expose()).query(query);
        if let Some(body) = body {
            request = request.json(body);
        }
        self.send_request(request, now).await
    }

    /// Sends a request, reads the whole response, and counts rate limits and missing responses.
    pub(super) async fn send_request(
        &self,
        request: RequestBuilder,
        now: Timestamp,
    ) -> Result<ZoomResponse, ZoomError> {
        let result = Self::send_and_read(request, now).await;
        match &result {
            Err(ZoomError::RateLimited { .. }) => metrics::ZOOM_LIMITED.count(),
            Err(ZoomError::Unavailable { .. }) => metrics::ZOOM_UNANSWERED.count(),
            _ => {}
        }
        result
    }

    async fn send_and_read(
        request: RequestBuilder,
        now: Timestamp,
    ) -> Result<ZoomResponse, ZoomError> {
        let response =
            request.timeout(REQUEST_TIMEOUT).send().await.map_err(ZoomError::from_transport)?;
        let status = response.status();
        if status == StatusCode::TOO_MANY_REQUESTS {
            // The body is ignored: its code is 429 or 4001, and its text varies.
            return Err(ZoomError::RateLimited {
                retry_after: limits::retry_after(response.headers(), now),
            });
        }
        let bytes = read_body(response).await?;
        if status.is_success() {
            return Ok(ZoomResponse(bytes));
        }
        Err(parse_error(status, &bytes))
    }
}

async fn read_body(mut response: Response) -> Result<Vec<u8>, ZoomError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(ZoomError::from_transport)? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > RESPONSE_LIMIT_BYTES {
            return Err(ZoomError::Unavailable { reason: "the response is too long".to_owned() });
        }
    }
    Ok(bytes)
}

/// The body of a successful response.
pub(super) struct ZoomResponse(Vec<u8>);

impl ZoomResponse {
    /// Parses the body as JSON. A truncated body or a proxy's HTML page counts as a missing response.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, ZoomError> {
        // serde's own message can quote the input, and a response can contain tokens.
        serde_json::from_slice(&self.0).map_err(|error| ZoomError::Unavailable {
            reason: format!(
                "unreadable response: {:?} error at line {} column {}",
                error.classify(),
                error.line(),
                error.column()
            ),
        })
    }
}

/// Maps an error response to an error by the code in its body (Zoom, "API error codes").
fn parse_error(status: StatusCode, bytes: &[u8]) -> ZoomError {
    if status.is_server_error() {
        return ZoomError::Unavailable { reason: format!("status {}", status.as_u16()) };
    }
    let body: Option<ErrorBody> = serde_json::from_slice(bytes).ok();
    let code = body.as_ref().and_then(|body| body.code);
    let message = || body.as_ref().and_then(|body| body.message.as_deref()).unwrap_or_default();
    let oauth_error = body.as_ref().and_then(|body| body.error.as_deref());
    match (status.as_u16(), code) {
        // Zoom: `400 {"reason":"Invalid Token!","error":"invalid_grant"}`, also observed as `invalid_request`.
        // A proxy's error page with the same status must not end a grant.
        (400, None) if matches!(oauth_error, Some("invalid_grant" | "invalid_request")) => {
            ZoomError::InvalidGrant
        }
        (401, _) | (_, Some(124)) => ZoomError::Unauthorized,
        (_, Some(4711)) => ZoomError::MissingScopes(missing_scopes(message())),
        (404, Some(3001)) => ZoomError::MeetingNotFound,
        (status, code) => ZoomError::Rejected { status, code, message: Secret::new(message()) },
    }
}

/// Returns the scopes from `Invalid access token, does not contain scopes:[a, b].`.
fn missing_scopes(message: &str) -> Vec<String> {
    let inside = message
        .split_once('[')
        .and_then(|(_, rest)| rest.split_once(']'))
        .map_or("", |(inside, _)| inside);
    inside
        .split([',', ' '])
        .map(str::trim)
        .filter(|scope| !scope.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuid_with_a_slash_is_encoded_twice() {
        for (uuid, expected) in [
            ("4444AAAiAAAAAiAiAiiAii==", "4444AAAiAAAAAiAiAiiAii%3D%3D"),
            ("aB+c==", "aB%2Bc%3D%3D"),
            ("/ajXp112QmuoKj4854875==", "%252FajXp112QmuoKj4854875%253D%253D"),
            ("a//b/c==", "a%252F%252Fb%252Fc%253D%253D"),
        ] {
            assert_eq!(encode_uuid(uuid), expected, "{uuid}");
        }
    }

    #[test]
    fn error_responses_map_to_errors() {
        let parsed = |status: u16, body: &str| {
            format!("{:?}", parse_error(StatusCode::from_u16(status).unwrap(), body.as_bytes()))
        };
        let cases = [
            (401, r#"{"code":124,"message":"Access token is expired."}"#, "Unauthorized"),
            (400, r#"{"code":124,"message":"Invalid access token."}"#, "Unauthorized"),
            (
                400,
                r#"{"code":4711,"message":"Invalid access token, does not contain scopes:[meeting:write:meeting, user:read:user]."}"#,
                r#"MissingScopes(["meeting:write:meeting", "user:read:user"])"#,
            ),
            (404, r#"{"code":3001,"message":"Meeting does not exist: 1."}"#, "MeetingNotFound"),
            (
                404,
                r#"{"code":1001,"message":"User does not exist."}"#,
                "Rejected { status: 404, code: Some(1001), message: [redacted] }",
            ),
            (
                400,
                r#"{"code":300,"message":"Validation Failed.","errors":[]}"#,
                "Rejected { status: 400, code: Some(300), message: [redacted] }",
            ),
            (400, r#"{"reason":"Invalid Token!","error":"invalid_grant"}"#, "InvalidGrant"),
            (400, r#"{"reason":"Invalid Token!","error":"invalid_request"}"#, "InvalidGrant"),
            (
                400,
                r#"{"reason":"Unsupported grant type.","error":"unsupported_grant_type"}"#,
                "Rejected { status: 400, code: None, message: [redacted] }",
            ),
            (400, "<html>", "Rejected { status: 400, code: None, message: [redacted] }"),
            (502, "<html>", r#"Unavailable { reason: "status 502" }"#),
        ];
        for (status, body, expected) in cases {
            assert_eq!(parsed(status, body), expected, "{status} {body}");
        }
    }

    #[test]
    fn api_url_is_accepted_only_on_zooms_hosts() {
        let env = Env::from_pairs([
            (names::ZOOM_OAUTH_BASE_URL, "https://zoom.us/oauth"),
            (names::ZOOM_API_BASE_URL, "https://api.zoom.us/v2"),
        ]);
        let zoom =
            Zoom::new(&env, crate::net::http_client("test").unwrap(), Random::seeded(1)).unwrap();
        let base = |url| zoom.api_base(url).to_string();
        assert_eq!(base(Some("https://api-eu.zoom.us")), "https://api-eu.zoom.us/v2");
        for untrusted in [
            None,
            Some("https://zoom.us.evil.test"),
            Some("http://api-eu.zoom.us"),
            Some("nonsense"),
        ] {
            assert_eq!(base(untrusted), "https://api.zoom.us/v2", "{untrusted:?}");
        }
    }
}
