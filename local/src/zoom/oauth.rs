//! `POST /zoom/oauth/token` and `/zoom/oauth/revoke`: codes and refresh tokens in, tokens out, each good once.

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{HeaderMap, StatusCode, header};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::desk::Desk;
use super::memory::{AccessToken, Code, Grant, Holder};
use super::{Zoom, ids, scopes};

/// Zoom: an access token lives an hour, a refresh token 90 days.
pub(super) const ACCESS_TOKEN_SECONDS: i64 = 3600;
const REFRESH_TOKEN_SECONDS: i64 = 90 * 24 * 3600;

/// The bounds of RFC 7636 on a code verifier.
const VERIFIER_LENGTH: std::ops::RangeInclusive<usize> = 43..=128;

type Form = BTreeMap<String, String>;

/// OAuth errors have a body of their own: `{"reason", "error"}`.
struct Refused {
    status: StatusCode,
    reason: &'static str,
    error: &'static str,
}

impl Refused {
    fn request(reason: &'static str) -> Self {
        Self { status: StatusCode::BAD_REQUEST, reason, error: "invalid_request" }
    }

    fn grant(reason: &'static str) -> Self {
        Self { status: StatusCode::BAD_REQUEST, reason, error: "invalid_grant" }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let body = json!({ "reason": self.reason, "error": self.error });
        (self.status, Json(body)).into_response()
    }
}

pub(super) async fn token(
    State(zoom): State<Zoom>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    zoom.at_desk(|desk| {
        let form = desk.read_form(&headers, query.as_deref(), &body)?;
        match form.get("grant_type").map(String::as_str) {
            Some("authorization_code") => desk.exchange_code(&form),
            Some("refresh_token") => desk.refresh(&form),
            Some("account_credentials") => desk.account_token(&form),
            _ => Err(Refused {
                status: StatusCode::BAD_REQUEST,
                reason: "Unsupported grant type.",
                error: "unsupported_grant_type",
            }),
        }
    })
    .into_response()
}

pub(super) async fn revoke(
    State(zoom): State<Zoom>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    zoom.at_desk(|desk| {
        let form = desk.read_form(&headers, query.as_deref(), &body)?;
        let token = form.get("token").ok_or(Refused::request("The token is missing."))?;
        let holder = desk.holder_of(token).ok_or(Refused::request("Invalid Token!"))?;
        match holder {
            Holder::User(user_id) => desk.end_grant(&user_id),
            Holder::Account(_) => drop(desk.memory.access_tokens.remove(token)),
        }
        Ok::<_, Refused>(Json(json!({ "status": "success" })))
    })
    .into_response()
}

impl Desk<'_> {
    /// Zoom: HTTP Basic with the client's id and secret, and everything else in a form body.
    fn read_form(
        &self,
        headers: &HeaderMap,
        query: Option<&str>,
        body: &[u8],
    ) -> Result<Form, Refused> {
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let expected = format!("{}:{}", self.config.client_id, self.config.client_secret);
        let client_is_known = header(header::AUTHORIZATION)
            .and_then(|value| value.strip_prefix("Basic "))
            .and_then(|value| STANDARD.decode(value).ok())
            .is_some_and(|credentials| credentials == expected.as_bytes());
        if !client_is_known {
            return Err(Refused {
                status: StatusCode::UNAUTHORIZED,
                reason: "Invalid client_id or client_secret",
                error: "invalid_client",
            });
        }
        let content_type = header(header::CONTENT_TYPE).and_then(|kind| kind.split(';').next());
        if content_type.map(str::trim) != Some("application/x-www-form-urlencoded") {
            return Err(Refused::request("The parameters go into a form body."));
        }
        if query.is_some_and(|query| !query.is_empty()) {
            return Err(Refused::request("The parameters do not go into the address."));
        }
        let mut form = Form::new();
        for (name, value) in url::form_urlencoded::parse(body) {
            if form.insert(name.into_owned(), value.into_owned()).is_some() {
                return Err(Refused::request("A parameter was given twice."));
            }
        }
        Ok(form)
    }

    fn exchange_code(&mut self, form: &Form) -> Result<Json<serde_json::Value>, Refused> {
        // Taken out before it is looked at: a code is good for one attempt, not for one success.
        let code = form
            .get("code")
            .and_then(|code| self.memory.codes.remove(code))
            .filter(|code| code.expires_at > self.now)
            .ok_or(Refused::grant("Invalid authorization code"))?;
        if form.get("redirect_uri") != Some(&code.redirect_uri) {
            return Err(Refused::request("Redirect URI mismatch."));
        }
        if !verifier_fits(&code, form.get("code_verifier")) {
            return Err(Refused::grant("Invalid code verifier."));
        }
        self.end_grant(&code.user_id);
        self.memory.counts.token_exchanges += 1;
        Ok(self.renew_grant(code.user_id, code.scopes))
    }

    fn refresh(&mut self, form: &Form) -> Result<Json<serde_json::Value>, Refused> {
        let sent = form.get("refresh_token").ok_or(Refused::request("Missing refresh token."))?;
        let granted = self
            .memory
            .grants
            .iter()
            .find(|(_, grant)| grant.refresh_token == *sent && grant.refresh_expires_at > self.now)
            .map(|(user_id, grant)| (user_id.clone(), grant.scopes.clone()));
        let Some((user_id, scopes)) = granted else {
            self.memory.counts.refused_refreshes += 1;
            return Err(Refused::grant("Invalid Token!"));
        };
        self.memory.counts.token_refreshes += 1;
        Ok(self.renew_grant(user_id, scopes))
    }

    fn account_token(&mut self, form: &Form) -> Result<Json<serde_json::Value>, Refused> {
        if form.get("account_id") != Some(&self.config.app_account_id) {
            return Err(Refused::request("Bad Request"));
        }
        let holder = Holder::Account(self.config.app_account_id.clone());
        let mut scopes: BTreeSet<String> = scopes::account_wide().collect();
        scopes.extend(self.config.app_scopes.iter().cloned());
        let access_token = self.issue_access_token(holder, scopes.clone());
        Ok(Json(self.token_answer(&access_token, None, &scopes)))
    }

    /// New tokens for the user; the refresh token of before is dead from here on.
    fn renew_grant(
        &mut self,
        user_id: String,
        scopes: BTreeSet<String>,
    ) -> Json<serde_json::Value> {
        let refresh_token = ids::token(self.random);
        let holder = Holder::User(user_id.clone());
        let access_token = self.issue_access_token(holder, scopes.clone());
        let answer = self.token_answer(&access_token, Some(&refresh_token), &scopes);
        let refresh_expires_at = self.after(REFRESH_TOKEN_SECONDS);
        self.memory.grants.insert(user_id, Grant { scopes, refresh_token, refresh_expires_at });
        Json(answer)
    }

    fn issue_access_token(&mut self, holder: Holder, scopes: BTreeSet<String>) -> String {
        let token = ids::token(self.random);
        let expires_at = self.after(ACCESS_TOKEN_SECONDS);
        // An hour beyond its end a token need not be told apart from one that never was.
        let forgotten = self.after(-ACCESS_TOKEN_SECONDS);
        self.memory.access_tokens.retain(|_, token| token.expires_at > forgotten);
        self.memory.access_tokens.insert(token.clone(), AccessToken { holder, scopes, expires_at });
        token
    }

    /// Zoom: `api_url` is where the interface is to be called; regional accounts have another one.
    fn token_answer(
        &self,
        access_token: &str,
        refresh_token: Option<&str>,
        scopes: &BTreeSet<String>,
    ) -> serde_json::Value {
        let scope: Vec<_> = scopes.iter().map(String::as_str).collect();
        let mut answer = json!({
            "access_token": access_token,
            "token_type": "bearer",
            "expires_in": ACCESS_TOKEN_SECONDS,
            "scope": scope.join(" "),
            "api_url": format!("{}/zoom", self.config.base_url),
        });
        if let Some(refresh_token) = refresh_token {
            answer["refresh_token"] = refresh_token.into();
        }
        answer
    }

    fn holder_of(&self, token: &str) -> Option<Holder> {
        let by_access = self.memory.access_tokens.get(token).map(|token| token.holder.clone());
        by_access.or_else(|| {
            let mut grants = self.memory.grants.iter();
            let (user_id, _) = grants.find(|(_, grant)| grant.refresh_token == token)?;
            Some(Holder::User(user_id.clone()))
        })
    }

    /// Every token of the user's grant dies. Zoom: there is one grant per user and app.
    pub(super) fn end_grant(&mut self, user_id: &str) {
        self.memory.grants.remove(user_id);
        let holder = Holder::User(user_id.to_owned());
        self.memory.access_tokens.retain(|_, token| token.holder != holder);
    }
}

/// PKCE, S256: what was promised on the consent page is what comes now, and nothing comes unpromised.
fn verifier_fits(code: &Code, verifier: Option<&String>) -> bool {
    match (&code.challenge, verifier) {
        (None, None) => true,
        (Some(challenge), Some(verifier)) => {
            VERIFIER_LENGTH.contains(&verifier.len())
                && URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes())) == *challenge
        }
        _ => false,
    }
}
