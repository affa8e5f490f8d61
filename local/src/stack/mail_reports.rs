//! `POST /local/mail/{id}/bounce`: the simulated SES reports that a mail came back.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;
use simulated_aws::mail_reports::{ReportError, ReportKind};

use super::local_routes::LocalState;
use super::parameters::{error_response, parse_body};

pub(super) fn router(local: LocalState) -> Router {
    Router::new().route("/local/mail/{id}/bounce", post(bounce)).with_state(local)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bounce {
    kind: ReportKind,
}

/// Publishes the report, and delivers it before the response.
async fn bounce(State(local): State<LocalState>, Path(id): Path<String>, body: Bytes) -> Response {
    let Bounce { kind } = match parse_body(&body) {
        Ok(bounce) => bounce,
        Err(response) => return response,
    };
    let event_id = match local.aws.report_mail(&id, kind) {
        Ok(event_id) => event_id,
        Err(error) => {
            let status = match error {
                ReportError::UnknownMail => StatusCode::NOT_FOUND,
                ReportError::OtherService | ReportError::NoConfigurationSet => StatusCode::CONFLICT,
                ReportError::Database(_) => StatusCode::INTERNAL_SERVER_ERROR,
            };
            return error_response(status, error);
        }
    };
    if !local.cloud_only {
        local.event_targets.deliver().await;
    }
    Json(json!({ "event_id": event_id })).into_response()
}
