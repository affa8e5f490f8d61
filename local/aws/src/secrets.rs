//! Secrets Manager, by `winterbaume` in this process. With a data directory, its state is saved in a file.

use std::path::PathBuf;

use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::json;
use winterbaume_core::{MockRequest, MockService, StatefulService, default_account_id};
use winterbaume_secretsmanager::SecretsManagerService;

use super::StartError;
use super::names::REGION;
use super::refusal::{Refusal, content_type};
use crate::calls::AwsService;

/// Operations after which the state is not saved.
const READ_OPERATIONS: [&str; 3] = ["GetSecretValue", "DescribeSecret", "ListSecrets"];

/// The limit for a secret's value.
/// <https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html>
const MAX_SECRET_BYTES: usize = 65_536;

/// The secrets of the stack.
pub(crate) struct Secrets {
    service: SecretsManagerService,
    file: Option<PathBuf>,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secrets").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Secrets {
    pub(crate) async fn start(file: Option<PathBuf>) -> Result<Self, StartError> {
        let service = SecretsManagerService::new();
        if let Some(file) = file.as_ref().filter(|file| file.exists()) {
            let saved =
                serde_json::from_slice(&std::fs::read(file)?).map_err(StartError::Secrets)?;
            let restored = service.restore(default_account_id(), REGION, saved).await;
            restored.map_err(|error| StartError::SecretState(Box::new(error)))?;
        }
        Ok(Self { service, file })
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
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "saving the secrets failed");
            return axum::response::IntoResponse::into_response(Refusal::new(
                AwsService::Secretsmanager,
                StatusCode::INTERNAL_SERVER_ERROR,
                "InternalServiceError",
                "The local secrets could not be saved.",
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

    async fn save(&self) -> std::io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let state = self.service.snapshot(default_account_id(), REGION).await;
        let text = serde_json::to_vec(&state).map_err(std::io::Error::other)?;
        // Writing to a temporary file first keeps the previous state intact if the process crashes.
        let new = file.with_extension("new");
        std::fs::write(&new, text)?;
        std::fs::rename(new, file)
    }
}

/// Returns whether a request contains a value above the limit.
fn is_too_long(body: &[u8]) -> bool {
    // Most requests are smaller than the limit and need no parsing.
    body.len() > MAX_SECRET_BYTES
        && serde_json::from_slice::<serde_json::Value>(body).is_ok_and(|request| {
            request["SecretString"].as_str().is_some_and(|text| text.len() > MAX_SECRET_BYTES)
        })
}
