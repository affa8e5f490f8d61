//! Secrets Manager, by `winterbaume` in this process. With a data directory, its state is stored in a file.

use std::error::Error;
use std::path::{Path, PathBuf};

use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::json;
use winterbaume_core::{MockRequest, MockService, StatefulService, default_account_id};
use winterbaume_secretsmanager::SecretsManagerService;

use super::StartError;
use super::names::REGION;
use super::refusal::{Refusal, content_type};
use super::state_file::{self, StateFileError};
use crate::calls::AwsService;

/// Operations after which the state is not saved.
const READ_OPERATIONS: [&str; 3] = ["GetSecretValue", "DescribeSecret", "ListSecrets"];

/// The limit for a secret's value.
/// <https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html>
const MAX_SECRET_BYTES: usize = 65_536;

/// The version of the stored state.
const VERSION: u32 = 1;

/// The secrets of the stack.
pub(crate) struct Secrets {
    service: SecretsManagerService,
    file: Option<PathBuf>,
    /// The state without secrets.
    empty: serde_json::Value,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secrets").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Secrets {
    pub(crate) async fn start(file: Option<PathBuf>) -> Result<Self, StartError> {
        let service = SecretsManagerService::new();
        let empty = snapshot(&service).await.map_err(StartError::Secrets)?;
        let secrets = Self { service, file, empty };
        if let Some(file) = secrets.file.as_ref().filter(|file| file.exists()) {
            let stored = state_file::read(file, VERSION)?;
            let restored = secrets.restore(stored).await;
            restored.map_err(|error| StateFileError::unreadable(file, error))?;
        }
        Ok(secrets)
    }

    /// Removes all secrets.
    pub(crate) async fn reset(&self) -> Result<(), StateFileError> {
        let file = self.file.as_deref().unwrap_or(Path::new("the secrets"));
        let restored = self.restore(self.empty.clone()).await;
        restored.map_err(|error| StateFileError::unreadable(file, error))?;
        self.save().await
    }

    async fn restore(&self, state: serde_json::Value) -> Result<(), Box<dyn Error + Send + Sync>> {
        let state = serde_json::from_value(state)?;
        let restored = self.service.restore(default_account_id(), REGION, state).await;
        restored.map_err(|error| error.to_string().into())
    }

    /// Handles one call.
    pub(crate) async fn handle(
        &self,
        operation: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Response {
        if is_too_long(&body) {
            return axum::response::IntoResponse::into_response(Refusal::new(
                AwsService::Secretsmanager,
                StatusCode::BAD_REQUEST,
                "ValidationException",
                "1 validation error detected: Value at 'secretString' failed to satisfy constraint: Member \
                 must have length less than or equal to 65536",
            ));
        }
        let request = MockRequest { method: "POST".to_owned(), uri: "/".to_owned(), headers, body };
        let result = self.service.handle(request).await;
        if !READ_OPERATIONS.contains(&operation)
            && let Err(error) = self.save().await
        {
            tracing::error!(event = "stack.not_saved", %error);
            return axum::response::IntoResponse::into_response(Refusal::new(
                AwsService::Secretsmanager,
                StatusCode::INTERNAL_SERVER_ERROR,
                "InternalServiceError",
                format!("The secret was not stored: {error}"),
            ));
        }
        let mut response = Response::new(result.body.into());
        *response.status_mut() =
            StatusCode::from_u16(result.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        *response.headers_mut() = result.headers;
        let kind = HeaderValue::from_static(content_type(AwsService::Secretsmanager));
        response.headers_mut().insert(http::header::CONTENT_TYPE, kind);
        response
    }

    /// Creates the secret or replaces its value. Returns whether this succeeded.
    pub(crate) async fn set(&self, id: &str, value: &str) -> bool {
        let create = json!({ "Name": id, "SecretString": value });
        let put = json!({ "SecretId": id, "SecretString": value });
        self.call("PutSecretValue", put).await || self.call("CreateSecret", create).await
    }

    /// Returns the value of a secret, if there is one.
    pub(crate) async fn get(&self, id: &str) -> Option<String> {
        let response = self.respond("GetSecretValue", json!({ "SecretId": id })).await;
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.ok()?;
        let response: serde_json::Value = serde_json::from_slice(&body).ok()?;
        response["SecretString"].as_str().map(str::to_owned)
    }

    async fn call(&self, operation: &'static str, request: serde_json::Value) -> bool {
        self.respond(operation, request).await.status().is_success()
    }

    async fn respond(&self, operation: &'static str, request: serde_json::Value) -> Response {
        let mut headers = HeaderMap::new();
        if let Ok(target) = HeaderValue::from_str(&format!("secretsmanager.{operation}")) {
            headers.insert("x-amz-target", target);
        }
        self.handle(operation, headers, request.to_string().into()).await
    }

    async fn save(&self) -> Result<(), StateFileError> {
        let Some(file) = &self.file else { return Ok(()) };
        let state = snapshot(&self.service).await;
        let state = state.map_err(|error| StateFileError::unreadable(file, error))?;
        state_file::write(file, VERSION, &state)
    }
}

/// Returns the state of the service.
async fn snapshot(service: &SecretsManagerService) -> Result<serde_json::Value, serde_json::Error> {
    serde_json::to_value(service.snapshot(default_account_id(), REGION).await)
}

/// Returns whether a request contains a value above the limit.
fn is_too_long(body: &[u8]) -> bool {
    // Most requests are smaller than the limit and need no parsing.
    body.len() > MAX_SECRET_BYTES
        && serde_json::from_slice::<serde_json::Value>(body).is_ok_and(|request| {
            request["SecretString"].as_str().is_some_and(|text| text.len() > MAX_SECRET_BYTES)
        })
}
