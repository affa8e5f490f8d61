//! `POST /zoom/oauth/token` and `/zoom/oauth/revoke`. Codes and refresh tokens are valid only once.

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

use super::apps::{App, ServerApp};
use super::context::Context;
use super::state::{AccessToken, Code, Grant, Holder};
use super::{Zoom, ids};

/// Zoom: an access token is valid for an hour, a refresh token for 90 days.
pub(super) const ACCESS_TOKEN_SECONDS: i64 = 3600;
const REFRESH_TOKEN_SECONDS: i64 = 90 * 24 * 3600;

/// The length of a code verifier in RFC 7636.
const VERIFIER_LENGTH: std::ops::RangeInclusive<usize> = 43..=128;

type Form = BTreeMap<String, String>;

/// An error of the OAuth endpoints, whose body is `{"reason", "error"}`.
struct OAuthError {
    status: StatusCode,
    reason: &'static str,
    error: &'static str,
}

impl OAuthError {
    fn request(reason: &'static str) -> Self {
        Self { status: StatusCode::BAD_REQUEST, reason, error: "invalid_request" }
    }

    fn client(status: StatusCode) -> Self {
        let reason = "Invalid client_id or client_secret";
        Self { status, reason, error: "invalid_client" }
    }

    fn grant(reason: &'static str) -> Self {
        Self { status: StatusCode::BAD_REQUEST, reason, error: "invalid_grant" }
    }
}

/// Zoom: all parameters are in a form body.
fn read_form(headers: &HeaderMap, query: Option<&str>, body: &[u8]) -> Result<Form, OAuthError> {
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|kind| kind.split(';').next());
    if content_type.map(str::trim) != Some("application/x-www-form-urlencoded") {
        return Err(OAuthError::request("The parameters go into a form body."));
    }
    if query.is_some_and(|query| !query.is_empty()) {
        return Err(OAuthError::request("The parameters do not go into the address."));
    }
    let mut form = Form::new();
    for (name, value) in url::form_urlencoded::parse(body) {
        if form.insert(name.into_owned(), value.into_owned()).is_some() {
            return Err(OAuthError::request("A parameter was given twice."));
        }
    }
    Ok(form)
}

impl IntoResponse for OAuthError {
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
    zoom.with_context(|context| {
        let app = context.authenticate_app(&headers)?;
        let form = read_form(&headers, query.as_deref(), &body)?;
        let grant_type =
            form.get("grant_type").ok_or(OAuthError::request("Missing grant type."))?;
        // Zoom: each kind of app has its own grant types.
        match (app, grant_type.as_str()) {
            (App::User, "authorization_code") => context.exchange_code(&form),
            (App::User, "refresh_token") => context.refresh(&form),
            (App::Server, "account_credentials") => context.account_token(&form),
            _ => Err(OAuthError {
                status: StatusCode::BAD_REQUEST,
                reason: "unsupported grant type",
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
    zoom.with_context(|context| {
        let app = context.authenticate_app(&headers)?;
        let form = read_form(&headers, query.as_deref(), &body)?;
        let token = form.get("token").ok_or(OAuthError::request("The token is missing."))?;
        let holder = context.token_holder(token).filter(|holder| holder.app() == app);
        let holder = holder.ok_or(OAuthError::request("Invalid Token!"))?;
        match holder {
            Holder::User(user_id) => context.end_grant(&user_id),
            Holder::Account(_) => drop(context.state.access_tokens.remove(token)),
        }
        Ok::<_, OAuthError>(Json(json!({ "status": "success" })))
    })
    .into_response()
}

impl Context<'_> {
    /// Returns the app with these credentials. Zoom: the client id and secret are sent with HTTP Basic.
    fn authenticate_app(&self, headers: &HeaderMap) -> Result<App, OAuthError> {
        let credentials = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Basic "))
            .and_then(|value| STANDARD.decode(value).ok())
            .and_then(|credentials| String::from_utf8(credentials).ok())
            .ok_or(OAuthError::client(StatusCode::UNAUTHORIZED))?;
        let (client_id, secret) = credentials.split_once(':').unwrap_or((&credentials, ""));
        match &self.config.server_app {
            Some(app) if app.client_id == client_id => self.check_server_app(app, secret),
            _ if client_id == self.config.client_id && secret == self.config.client_secret => {
                Ok(App::User)
            }
            _ => Err(OAuthError::client(StatusCode::UNAUTHORIZED)),
        }
    }

    /// Zoom: the status for a wrong secret of a Server-to-Server app is 400 or 401, and the response to a deactivated
    /// app is not documented. Each request draws one.
    fn check_server_app(&self, app: &ServerApp, secret: &str) -> Result<App, OAuthError> {
        let settings = &self.state.settings.server_app;
        let expected = settings.client_secret.as_ref().unwrap_or(&app.client_secret);
        let is_correct = secret == expected;
        if is_correct && settings.active {
            return Ok(App::Server);
        }
        Err(match (is_correct, self.draw([400, 401])) {
            (true, 400) => OAuthError::request("The app has been disabled"),
            (false, 400) => OAuthError::client(StatusCode::BAD_REQUEST),
            _ => OAuthError::client(StatusCode::UNAUTHORIZED),
        })
    }

    fn exchange_code(&mut self, form: &Form) -> Result<Json<serde_json::Value>, OAuthError> {
        // Removed before any check, because a failed attempt also uses up the code.
        let code = form
            .get("code")
            .and_then(|code| self.state.codes.remove(code))
            .filter(|code| code.expires_at > self.now)
            .ok_or(OAuthError::grant("Invalid authorization code"))?;
        if form.get("redirect_uri") != Some(&code.redirect_uri) {
            return Err(OAuthError::request("Redirect URI mismatch."));
        }
        if !verifier_matches(&code, form.get("code_verifier")) {
            return Err(OAuthError::grant("Invalid code verifier."));
        }
        self.end_grant(&code.user_id);
        self.state.counts.token_exchanges += 1;
        Ok(self.renew_grant(code.user_id, code.scopes))
    }

    fn refresh(&mut self, form: &Form) -> Result<Json<serde_json::Value>, OAuthError> {
        let sent =
            form.get("refresh_token").ok_or(OAuthError::request("Missing refresh token."))?;
        let grant = self
            .state
            .grants
            .iter()
            .find(|(_, grant)| grant.refresh_token == *sent && grant.refresh_expires_at > self.now)
            .map(|(user_id, grant)| (user_id.clone(), grant.scopes.clone()));
        let Some((user_id, scopes)) = grant else {
            self.state.counts.refused_refreshes += 1;
            return Err(OAuthError::grant("Invalid Token!"));
        };
        self.state.counts.token_refreshes += 1;
        Ok(self.renew_grant(user_id, scopes))
    }

    fn account_token(&mut self, form: &Form) -> Result<Json<serde_json::Value>, OAuthError> {
        let app = self.config.server_app.as_ref();
        let app = app
            .filter(|app| form.get("account_id") == Some(&app.account_id))
            .ok_or(OAuthError::request("Bad Request"))?;
        let holder = Holder::Account(app.account_id.clone());
        let mut scopes: BTreeSet<String> = app.scopes.iter().cloned().collect();
        if let Some(allowed) = &self.state.settings.server_app.scopes {
            scopes.retain(|scope| allowed.contains(scope));
        }
        let settings = &self.state.settings.server_app;
        if settings.new_token_ends_older.unwrap_or_else(|| self.random.below(2) == 0) {
            self.state.access_tokens.retain(|_, token| token.holder != holder);
        }
        self.state.counts.account_tokens += 1;
        let access_token = self.issue_access_token(holder, scopes.clone());
        Ok(Json(self.token_response(&access_token, None, &scopes)))
    }

    /// Issues new tokens for the user. The previous refresh token becomes invalid.
    fn renew_grant(
        &mut self,
        user_id: String,
        scopes: BTreeSet<String>,
    ) -> Json<serde_json::Value> {
        let refresh_token = ids::token(self.random);
        let holder = Holder::User(user_id.clone());
        let access_token = self.issue_access_token(holder, scopes.clone());
        let body = self.token_response(&access_token, Some(&refresh_token), &scopes);
        let refresh_expires_at = self.after(REFRESH_TOKEN_SECONDS);
        self.state.grants.insert(user_id, Grant { scopes, refresh_token, refresh_expires_at });
        Json(body)
    }

    fn issue_access_token(&mut self, holder: Holder, scopes: BTreeSet<String>) -> String {
        let token = ids::token(self.random);
        let expires_at = self.after(ACCESS_TOKEN_SECONDS);
        // An hour after its expiry a token is treated as unknown.
        let retained_since = self.after(-ACCESS_TOKEN_SECONDS);
        self.state.access_tokens.retain(|_, token| token.expires_at > retained_since);
        self.state.access_tokens.insert(token.clone(), AccessToken { holder, scopes, expires_at });
        token
    }

    /// Zoom: `api_url` is the host of the REST API, which differs for regional accounts.
    fn token_response(
        &self,
        access_token: &str,
        refresh_token: Option<&str>,
        scopes: &BTreeSet<String>,
    ) -> serde_json::Value {
        let scope: Vec<_> = scopes.iter().map(String::as_str).collect();
        let mut body = json!({
            "access_token": access_token,
            "token_type": "bearer",
            "expires_in": ACCESS_TOKEN_SECONDS,
            "scope": scope.join(" "),
            "api_url": format!("{}/zoom", self.config.base_url),
        });
        if let Some(refresh_token) = refresh_token {
            body["refresh_token"] = refresh_token.into();
        }
        body
    }

    fn token_holder(&self, token: &str) -> Option<Holder> {
        let by_access = self.state.access_tokens.get(token).map(|token| token.holder.clone());
        by_access.or_else(|| {
            let mut grants = self.state.grants.iter();
            let (user_id, _) = grants.find(|(_, grant)| grant.refresh_token == token)?;
            Some(Holder::User(user_id.clone()))
        })
    }

    /// Invalidates all tokens of the user's grant. Zoom: there is one grant per user and app.
    pub(super) fn end_grant(&mut self, user_id: &str) {
        self.state.grants.remove(user_id);
        let holder = Holder::User(user_id.to_owned());
        self.state.access_tokens.retain(|_, token| token.holder != holder);
    }
}

/// PKCE with S256. A verifier is required if, and only if, the consent request had a challenge.
fn verifier_matches(code: &Code, verifier: Option<&String>) -> bool {
    match (&code.challenge, verifier) {
        (None, None) => true,
        (Some(challenge), Some(verifier)) => {
            VERIFIER_LENGTH.contains(&verifier.len())
                && URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes())) == *challenge
        }
        _ => false,
    }
}
