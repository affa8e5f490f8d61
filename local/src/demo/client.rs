//! The demo's HTTP client, which also prints the steps.

use std::fmt::Display;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// Longer values are truncated to fit on a line.
const MAX_VALUE_CHARS: usize = 110;

/// Why the demo failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum DemoError {
    #[error("{step}: got {found}")]
    Unexpected { step: String, found: String },
    #[error("{call}: expected {expected}, got {status}: {body}")]
    Status { call: String, expected: u16, status: u16, body: String },
    #[error("the request failed: {0}")]
    Http(#[from] reqwest::Error),
    #[error("the HTTP client cannot be built: {0}")]
    Client(#[from] shared::config::ConfigError),
    #[error("the consent page did not redirect")]
    NoRedirect,
}

impl DemoError {
    pub(super) fn missing(found: &Value) -> Self {
        Self::Unexpected { step: "expected a string".to_owned(), found: shorten(found) }
    }
}

pub(super) struct Client {
    http: reqwest::Client,
    base_url: String,
    pub(super) steps: u32,
}

/// A response with the method and path of its request.
pub(super) struct ApiResponse {
    call: String,
    status: StatusCode,
    body: String,
}

impl ApiResponse {
    pub(super) fn expect(self, status: u16) -> Result<Value, DemoError> {
        let body = self.body_with_status(status)?;
        serde_json::from_str(&body)
            .map_err(|_| DemoError::Unexpected { step: "expected JSON".to_owned(), found: body })
    }

    pub(super) fn expect_text(self, status: u16) -> Result<String, DemoError> {
        self.body_with_status(status)
    }

    pub(super) fn expect_empty(self, status: u16) -> Result<(), DemoError> {
        self.body_with_status(status).map(drop)
    }

    fn body_with_status(self, expected: u16) -> Result<String, DemoError> {
        let status = self.status.as_u16();
        if status == expected {
            return Ok(self.body);
        }
        Err(DemoError::Status { call: self.call, expected, status, body: self.body })
    }
}

impl Client {
    pub(super) fn new(base_url: &str) -> Result<Self, DemoError> {
        Ok(Self {
            http: shared::net::http_client("live-classes/demo")?,
            base_url: base_url.to_owned(),
            steps: 0,
        })
    }

    pub(super) fn print_heading(&self, title: &str) {
        println!("\n{title}");
    }

    /// Prints a passed step.
    pub(super) fn pass(&mut self, step: &str, found: impl Display) {
        self.steps += 1;
        println!("  ✓ {step} — {found}");
    }

    /// Prints the step if its condition is true, and fails otherwise.
    pub(super) fn check(
        &mut self,
        step: &str,
        is_met: bool,
        found: &Value,
    ) -> Result<(), DemoError> {
        if !is_met {
            return Err(DemoError::Unexpected { step: step.to_owned(), found: found.to_string() });
        }
        self.pass(step, shorten(found));
        Ok(())
    }

    pub(super) async fn token(
        &self,
        sub: &str,
        role: &str,
        email: &str,
    ) -> Result<String, DemoError> {
        let claims = json!({"sub": sub, "role": role, "email": email, "name": sub});
        let response =
            self.call("", Method::POST, "/local/tokens", Some(&claims), &[]).await?.expect(200)?;
        super::text(&response["token"]).map(str::to_owned)
    }

    pub(super) async fn get(&self, token: &str, path: &str) -> Result<ApiResponse, DemoError> {
        self.call(token, Method::GET, path, None, &[]).await
    }

    pub(super) async fn delete(&self, token: &str, path: &str) -> Result<ApiResponse, DemoError> {
        self.call(token, Method::DELETE, path, None, &[]).await
    }

    pub(super) async fn post(
        &self,
        token: &str,
        path: &str,
        body: Value,
    ) -> Result<ApiResponse, DemoError> {
        self.call(token, Method::POST, path, Some(&body), &[]).await
    }

    pub(super) async fn post_with_key(
        &self,
        token: &str,
        path: &str,
        body: &Value,
        key: &str,
    ) -> Result<ApiResponse, DemoError> {
        self.call(token, Method::POST, path, Some(body), &[("idempotency-key", key)]).await
    }

    pub(super) async fn put(
        &self,
        token: &str,
        path: &str,
        body: &Value,
        tag: &str,
    ) -> Result<ApiResponse, DemoError> {
        let headers = [("if-match", tag)];
        self.call(token, Method::PUT, path, Some(body), if tag.is_empty() { &[] } else { &headers })
            .await
    }

    /// Submits Zoom's consent page and returns the code and the state from the redirect.
    pub(super) async fn consent(
        &self,
        authorize_url: &str,
        decision: &str,
    ) -> Result<(String, String), DemoError> {
        let page = self
            .http
            .post(authorize_url)
            .header("content-type", "application/x-www-form-urlencoded");
        let response = page.body(decision.to_owned()).send().await?;
        let location = response.headers().get("location").and_then(|value| value.to_str().ok());
        let target =
            location.and_then(|text| url::Url::parse(text).ok()).ok_or(DemoError::NoRedirect)?;
        let part = |name: &str| {
            target.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
        };
        part("code").zip(part("state")).ok_or(DemoError::NoRedirect)
    }

    async fn call(
        &self,
        token: &str,
        method: Method,
        path: &str,
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> Result<ApiResponse, DemoError> {
        let call = format!("{method} {path}");
        let mut request = self.http.request(method, format!("{}{path}", self.base_url));
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await?;
        Ok(ApiResponse { call, status: response.status(), body: response.text().await? })
    }
}

fn shorten(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match text.char_indices().nth(MAX_VALUE_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
