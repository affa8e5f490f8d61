//! The demo's hands: HTTP calls, and lines that tell what came back.

use std::fmt::Display;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// As much of an answer as fits a line.
const SHOWN_CHARS: usize = 110;

/// A step that did not hold, and what came instead.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("{step}: it is {found}")]
    Broken { step: String, found: String },
    #[error("{call}: expected {expected}, got {status}: {body}")]
    Status { call: String, expected: u16, status: u16, body: String },
    #[error("the call did not come through: {0}")]
    Http(#[from] reqwest::Error),
    #[error("no client: {0}")]
    Client(#[from] shared::config::ConfigError),
    #[error("the consent page sent the browser nowhere")]
    NoRedirect,
}

impl Fault {
    pub(super) fn missing(found: &Value) -> Self {
        Self::Broken { step: "a text was expected".to_owned(), found: shown(found) }
    }
}

pub(super) struct Client {
    http: reqwest::Client,
    base_url: String,
    pub(super) steps: u32,
}

/// An answer with the call that it is to.
pub(super) struct Answer {
    call: String,
    status: StatusCode,
    body: String,
}

impl Answer {
    pub(super) fn expect(self, status: u16) -> Result<Value, Fault> {
        let body = self.checked(status)?;
        serde_json::from_str(&body)
            .map_err(|_| Fault::Broken { step: "JSON was expected".to_owned(), found: body })
    }

    pub(super) fn expect_text(self, status: u16) -> Result<String, Fault> {
        self.checked(status)
    }

    pub(super) fn expect_empty(self, status: u16) -> Result<(), Fault> {
        self.checked(status).map(drop)
    }

    fn checked(self, expected: u16) -> Result<String, Fault> {
        let status = self.status.as_u16();
        if status == expected {
            return Ok(self.body);
        }
        Err(Fault::Status { call: self.call, expected, status, body: self.body })
    }
}

impl Client {
    pub(super) fn new(base_url: &str) -> Result<Self, Fault> {
        Ok(Self {
            http: shared::net::http_client("live-classes/demo")?,
            base_url: base_url.to_owned(),
            steps: 0,
        })
    }

    pub(super) fn chapter(&self, title: &str) {
        println!("\n{title}");
    }

    /// A step whose proof was the call before it.
    pub(super) fn told(&mut self, step: &str, found: impl Display) {
        self.steps += 1;
        println!("  ✓ {step} — {found}");
    }

    /// A step and its proof.
    pub(super) fn holds(&mut self, step: &str, held: bool, found: &Value) -> Result<(), Fault> {
        if !held {
            return Err(Fault::Broken { step: step.to_owned(), found: found.to_string() });
        }
        self.told(step, shown(found));
        Ok(())
    }

    pub(super) async fn token(&self, sub: &str, role: &str, email: &str) -> Result<String, Fault> {
        let person = json!({"sub": sub, "role": role, "email": email, "name": sub});
        let answer =
            self.call("", Method::POST, "/local/tokens", Some(&person), &[]).await?.expect(200)?;
        super::text(&answer["token"]).map(str::to_owned)
    }

    pub(super) async fn get(&self, token: &str, path: &str) -> Result<Answer, Fault> {
        self.call(token, Method::GET, path, None, &[]).await
    }

    pub(super) async fn delete(&self, token: &str, path: &str) -> Result<Answer, Fault> {
        self.call(token, Method::DELETE, path, None, &[]).await
    }

    pub(super) async fn post(&self, token: &str, path: &str, body: Value) -> Result<Answer, Fault> {
        self.call(token, Method::POST, path, Some(&body), &[]).await
    }

    pub(super) async fn post_with_key(
        &self,
        token: &str,
        path: &str,
        body: &Value,
        key: &str,
    ) -> Result<Answer, Fault> {
        self.call(token, Method::POST, path, Some(body), &[("idempotency-key", key)]).await
    }

    pub(super) async fn put(
        &self,
        token: &str,
        path: &str,
        body: &Value,
        tag: &str,
    ) -> Result<Answer, Fault> {
        let headers = [("if-match", tag)];
        self.call(token, Method::PUT, path, Some(body), if tag.is_empty() { &[] } else { &headers })
            .await
    }

    /// Decides on Zoom's consent page, and answers the code and the state that the browser comes back with.
    pub(super) async fn consent(
        &self,
        authorize_url: &str,
        decision: &str,
    ) -> Result<(String, String), Fault> {
        let page = self
            .http
            .post(authorize_url)
            .header("content-type", "application/x-www-form-urlencoded");
        let answer = page.body(decision.to_owned()).send().await?;
        let location = answer.headers().get("location").and_then(|value| value.to_str().ok());
        let back = location.and_then(|text| url::Url::parse(text).ok()).ok_or(Fault::NoRedirect)?;
        let part = |name: &str| {
            back.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
        };
        part("code").zip(part("state")).ok_or(Fault::NoRedirect)
    }

    async fn call(
        &self,
        token: &str,
        method: Method,
        path: &str,
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> Result<Answer, Fault> {
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
        let answer = request.send().await?;
        Ok(Answer { call, status: answer.status(), body: answer.text().await? })
    }
}

fn shown(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
