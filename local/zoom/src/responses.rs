//! Success and error responses of `/zoom/v2`.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// An error response of Zoom's REST API. Rate limits add headers.
#[derive(Clone, Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    code: u32,
    message: String,
    errors: Vec<FieldError>,
    headers: Vec<(&'static str, String)>,
}

/// An entry in the `errors` of a response with code 300.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct FieldError {
    pub(super) field: String,
    pub(super) message: String,
}

impl FieldError {
    pub(super) fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

impl ApiError {
    pub(super) fn new(status: StatusCode, code: u32, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), errors: Vec::new(), headers: Vec::new() }
    }

    pub(super) fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Zoom: 401 with code 124 for an unknown or expired token.
    pub(super) fn bad_token(message: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, 124, message)
    }

    /// Zoom: 400 with code 4711, and the scopes of which one is required.
    pub(super) fn missing_scopes(scopes: &[String]) -> Self {
        let scopes = scopes.join(", ");
        let message = format!("Invalid access token, does not contain scopes:[{scopes}].");
        Self::new(StatusCode::BAD_REQUEST, 4711, message)
    }

    pub(super) fn invalid(errors: Vec<FieldError>) -> Self {
        let error = Self::new(StatusCode::BAD_REQUEST, 300, "Validation Failed.");
        Self { errors, ..error }
    }

    pub(super) fn invalid_field(field: &str, message: &str) -> Self {
        Self::invalid(vec![FieldError::new(field, message)])
    }

    pub(super) fn no_such_user(user: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, 1001, format!("User does not exist: {user}."))
    }

    /// Zoom sends the same error for a meeting of another user.
    pub(super) fn no_such_meeting(meeting: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, 3001, format!("Meeting does not exist: {meeting}."))
    }

    pub(super) fn no_recording() -> Self {
        Self::new(StatusCode::NOT_FOUND, 3301, "There is no recording for this meeting.")
    }

    pub(super) fn paid_accounts_only(account: &str) -> Self {
        let message = format!("Only available for paid account: {account}.");
        Self::new(StatusCode::BAD_REQUEST, 200, message)
    }

    pub(super) fn year_ago() -> Self {
        Self::new(StatusCode::BAD_REQUEST, 12702, "Cannot access a meeting a year ago.")
    }

    pub(super) fn cannot_host(user: &str) -> Self {
        let message = format!("The user is not allowed to host meetings: {user}.");
        Self::new(StatusCode::BAD_REQUEST, 3161, message)
    }

    pub(super) fn expired_page() -> Self {
        let message = "The next page token is invalid or expired.";
        Self::new(StatusCode::BAD_REQUEST, 300, message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut body = Map::new();
        body.insert("code".into(), self.code.into());
        body.insert("message".into(), self.message.into());
        if !self.errors.is_empty() {
            body.insert("errors".into(), json!(self.errors));
        }
        let mut response = (self.status, Json(Value::Object(body))).into_response();
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

/// The result of a REST API handler.
pub(super) type ApiResult = Result<Response, ApiError>;

pub(super) fn ok(body: Value) -> Response {
    Json(body).into_response()
}

pub(super) fn created(body: Value) -> Response {
    (StatusCode::CREATED, Json(body)).into_response()
}

pub(super) fn no_content() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// Formats a time in Zoom's format: UTC to the second with a `Z`.
pub(super) fn instant(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
