//! One exchange with Zoom, and what its answer means.

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
use crate::random::Random;
use crate::secret::Secret;
use crate::telemetry::metrics;

/// How long one exchange may take: Zoom answers in well under a second, and a save makes at most three
/// within its function's half minute.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(6);
/// Tries of a call that may be repeated: reads, deletes, and edits that set a value.
const ATTEMPTS: u32 = 2;
/// The pause before the second, with as much again of jitter.
const PAUSE_MS: u64 = 150;
/// Zoom's largest answers that we read are pages of meetings, far below this.
const ANSWER_LIMIT_BYTES: usize = 2 * 1024 * 1024;

/// Zoom's addresses and the client that calls them.
#[derive(Clone, Debug)]
pub struct Zoom {
    pub(super) http: reqwest::Client,
    pub(super) oauth_base: Url,
    api_base: Url,
    random: Random,
}

/// The app's own id and secret.
#[derive(Clone, Copy, Debug)]
pub struct ClientCredentials<'a> {
    pub id: &'a str,
    pub secret: &'a Secret,
}

/// A token and the address that it is good for.
#[derive(Clone, Debug)]
pub struct Access {
    pub token: Secret,
    pub api_base: Url,
}

#[derive(Deserialize)]
struct ErrorBody {
    code: Option<i64>,
    message: Option<String>,
    /// Of the OAuth endpoints, which have no `code`.
    error: Option<String>,
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

    /// The address to call for an account whose tokens named `api_url`. Zoom names a regional host there;
    /// anything that is not one of Zoom's own, or the one we are configured for, is not believed.
    pub fn api_base(&self, api_url: Option<&str>) -> Url {
        let believed = api_url.and_then(|text| Url::parse(text).ok()).filter(|url| {
            let host = url.host_str().unwrap_or_default();
            let zooms = url.scheme() == "https"
                && (host.ends_with(".zoom.us") || host.ends_with(".zoomgov.com"));
            zooms || url.origin() == self.api_base.origin()
        });
        match believed {
            Some(mut url) => {
                let path = format!("{}/v2", url.path().trim_end_matches('/'));
                url.set_path(&path);
                url
            }
            None => self.api_base.clone(),
        }
    }

    /// The consent page for a trainer's browser.
    pub fn authorize_url(&self, parameters: &[(&str, &str)]) -> Url {
        let mut url = self.oauth_base.clone();
        url.set_path(&format!("{}/authorize", url.path().trim_end_matches('/')));
        url.query_pairs_mut().extend_pairs(parameters);
        url
    }

    /// A call that may be made twice: on silence or a server's error it is, once.
    pub(super) async fn repeatable(
        &self,
        access: &Access,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
        now: Timestamp,
    ) -> Result<ZoomResponse, ZoomError> {
        for attempt in 1.. {
            match self.once(access, method.clone(), path, query, body, now).await {
                Err(ZoomError::Busy { what }) if attempt < ATTEMPTS => {
                    tracing::warn!(event = "zoom.retry", %method, what);
                    tokio::time::sleep(Duration::from_millis(
                        PAUSE_MS + self.random.below(PAUSE_MS),
                    ))
                    .await;
                }
                answer => return answer,
            }
        }
        unreachable!("the last attempt returns")
    }

    /// A call that is made exactly once.
    pub(super) async fn once(
        &self,
        access: &Access,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
        now: Timestamp,
    ) -> Result<ZoomResponse, ZoomError> {
        let mut url = access.api_base.clone();
        url.set_path(&format!("{}{path}", url.path().trim_end_matches('/')));
        let mut request =
            self.http.request(method, url).bearer_auth(access.token.expose()).query(query);
        if let Some(body) = body {
            request = request.json(body);
        }
        self.exchange(request, now).await
    }

    /// Sends a request and reads the whole answer.
    pub(super) async fn exchange(
        &self,
        request: RequestBuilder,
        now: Timestamp,
    ) -> Result<ZoomResponse, ZoomError> {
        let answer = Self::answer(request, now).await;
        match &answer {
            Err(ZoomError::Limited { .. }) => metrics::ZOOM_LIMITED.count(),
            Err(ZoomError::Busy { .. }) => metrics::ZOOM_UNANSWERED.count(),
            _ => {}
        }
        answer
    }

    async fn answer(request: RequestBuilder, now: Timestamp) -> Result<ZoomResponse, ZoomError> {
        let response =
            request.timeout(EXCHANGE_TIMEOUT).send().await.map_err(ZoomError::unanswered)?;
        let status = response.status();
        if status == StatusCode::TOO_MANY_REQUESTS {
            // The status decides, not the body: its code is 429 or 4001, and its text varies.
            return Err(ZoomError::Limited { after: limits::retry_after(response.headers(), now) });
        }
        let bytes = read(response).await?;
        if status.is_success() {
            return Ok(ZoomResponse(bytes));
        }
        Err(refusal(status, &bytes))
    }
}

async fn read(mut response: Response) -> Result<Vec<u8>, ZoomError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(ZoomError::unanswered)? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > ANSWER_LIMIT_BYTES {
            return Err(ZoomError::Busy { what: "the answer is too long".to_owned() });
        }
    }
    Ok(bytes)
}

/// A successful answer, not yet read.
pub(super) struct ZoomResponse(Vec<u8>);

impl ZoomResponse {
    /// The answer as JSON. Half a body, or a page of HTML from a proxy, is no answer at all.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, ZoomError> {
        // serde's own message may quote what it stumbled over, and an answer may hold tokens.
        serde_json::from_slice(&self.0).map_err(|error| ZoomError::Busy {
            what: format!(
                "unreadable answer: {:?} error at line {} column {}",
                error.classify(),
                error.line(),
                error.column()
            ),
        })
    }
}

/// What an error answer means (Zoom, "API error codes"; the code stands in the body, not in the status).
fn refusal(status: StatusCode, bytes: &[u8]) -> ZoomError {
    if status.is_server_error() {
        return ZoomError::Busy { what: format!("status {}", status.as_u16()) };
    }
    let body: Option<ErrorBody> = serde_json::from_slice(bytes).ok();
    let code = body.as_ref().and_then(|body| body.code);
    let oauth_error = body.as_ref().and_then(|body| body.error.as_deref());
    match (status.as_u16(), code) {
        // Zoom: `400 {"reason":"Invalid Token!","error":"invalid_grant"}`, also seen as `invalid_request`. Nothing but
        // these words ends a grant: a proxy's page with the same status does not.
        (400, None) if matches!(oauth_error, Some("invalid_grant" | "invalid_request")) => {
            ZoomError::Reconnect
        }
        (401, _) | (_, Some(124)) => ZoomError::Unauthorized,
        (_, Some(4711)) => ZoomError::MissingScopes(scopes_in(
            body.and_then(|body| body.message).as_deref().unwrap_or_default(),
        )),
        (404, Some(3001)) => ZoomError::Gone,
        (status, code) => ZoomError::Rejected { status, code },
    }
}

/// The scopes that `Invalid access token, does not contain scopes:[a, b].` names.
fn scopes_in(message: &str) -> Vec<String> {
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
    fn each_error_answer_says_what_to_do() {
        let meaning = |status: u16, body: &str| {
            format!("{:?}", refusal(StatusCode::from_u16(status).unwrap(), body.as_bytes()))
        };
        let cases = [
            (401, r#"{"code":124,"message":"Access token is expired."}"#, "Unauthorized"),
            (400, r#"{"code":124,"message":"Invalid access token."}"#, "Unauthorized"),
            (
                400,
                r#"{"code":4711,"message":"Invalid access token, does not contain scopes:[meeting:write:meeting, user:read:user]."}"#,
                r#"MissingScopes(["meeting:write:meeting", "user:read:user"])"#,
            ),
            (404, r#"{"code":3001,"message":"Meeting does not exist: 1."}"#, "Gone"),
            (
                404,
                r#"{"code":1001,"message":"User does not exist."}"#,
                "Rejected { status: 404, code: Some(1001) }",
            ),
            (
                400,
                r#"{"code":300,"message":"Validation Failed.","errors":[]}"#,
                "Rejected { status: 400, code: Some(300) }",
            ),
            (400, r#"{"reason":"Invalid Token!","error":"invalid_grant"}"#, "Reconnect"),
            (400, r#"{"reason":"Invalid Token!","error":"invalid_request"}"#, "Reconnect"),
            (
                400,
                r#"{"reason":"Unsupported grant type.","error":"unsupported_grant_type"}"#,
                "Rejected { status: 400, code: None }",
            ),
            (400, "<html>", "Rejected { status: 400, code: None }"),
            (502, "<html>", r#"Busy { what: "status 502" }"#),
        ];
        for (status, body, expected) in cases {
            assert_eq!(meaning(status, body), expected, "{status} {body}");
        }
    }

    #[test]
    fn a_regional_address_is_kept_only_if_it_is_zooms() {
        let env = Env::from_pairs([
            (names::ZOOM_OAUTH_BASE_URL, "https://zoom.us/oauth"),
            (names::ZOOM_API_BASE_URL, "https://api.zoom.us/v2"),
        ]);
        let zoom =
            Zoom::new(&env, crate::net::http_client("test").unwrap(), Random::seeded(1)).unwrap();
        let base = |url| zoom.api_base(url).to_string();
        assert_eq!(base(Some("https://api-eu.zoom.us")), "https://api-eu.zoom.us/v2");
        for elsewhere in [
            None,
            Some("https://zoom.us.evil.test"),
            Some("http://api-eu.zoom.us"),
            Some("nonsense"),
        ] {
            assert_eq!(base(elsewhere), "https://api.zoom.us/v2", "{elsewhere:?}");
        }
    }
}
