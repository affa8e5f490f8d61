//! The routes that only a local stack has: tokens, clock, settings and schedules.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use shared::clock::Clock;
use simulated_aws::Aws;
use simulated_zoom::Zoom;

use super::state_files::StateFiles;
use super::stored_secret;
use crate::functions::InvokeError;
use crate::issuer::{Issuer, Person};
use crate::lambda::LambdaError;
use crate::schedules::Schedules;
use crate::seed;
use crate::wire::Wire;

/// The latest time to which the clock can be moved, the year 9000. The calendar ends a thousand years later, because the
/// functions compute later times from the current one.
const LATEST: Timestamp = Timestamp::constant(221_845_392_000, 0);

/// The state of the routes that only a local stack has.
#[derive(Clone)]
pub(super) struct LocalState {
    pub(super) environment: Vec<(String, String)>,
    pub(super) issuer: Issuer,
    pub(super) clock: Clock,
    pub(super) schedules: Schedules,
    pub(super) zoom: Zoom,
    pub(super) aws: Aws,
    pub(super) wire: Wire,
    pub(super) disk: Option<StateFiles>,
    pub(super) cloud_only: bool,
}

pub(super) fn routes(local: LocalState) -> Router {
    Router::new()
        .route("/local/tokens", post(token))
        .route(
            crate::issuer::JWKS_PATH,
            get(async |State(local): State<LocalState>| Json(local.issuer.jwks().clone())),
        )
        .route("/local/clock", get(read_clock).post(move_clock))
        .route("/local/config", get(config))
        .route(
            "/local/directory",
            get(async || Json(json!({ "items": seed::directory_commands() }))),
        )
        .route("/local/schedules/{function}/run", post(run_schedule))
        .with_state(local)
}

/// Returns an error of the stack's own routes.
fn error_response(status: StatusCode, error: impl ToString) -> Response {
    (status, Json(json!({"error": error.to_string()}))).into_response()
}

async fn token(State(local): State<LocalState>, body: Bytes) -> Response {
    let person: Person = match serde_json::from_slice(&body) {
        Ok(person) => person,
        Err(error) => return error_response(StatusCode::UNPROCESSABLE_ENTITY, error),
    };
    match local.issuer.token(&person, local.clock.now()) {
        Ok(token) => Json(json!({"token": token})).into_response(),
        Err(error) => error_response(StatusCode::INTERNAL_SERVER_ERROR, error),
    }
}

async fn read_clock(State(local): State<LocalState>) -> Json<Value> {
    Json(json!({"now": local.clock.now()}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockChange {
    /// A duration such as `7h10m`.
    advance: Option<String>,
    now: Option<Timestamp>,
}

/// Moves the clock, and completes the work that is then due before it responds.
///
/// The content type is ignored because `curl -d` sends that of a form.
async fn move_clock(State(local): State<LocalState>, body: Bytes) -> Response {
    let change: ClockChange = match serde_json::from_slice(&body) {
        Ok(change) => change,
        Err(error) => return error_response(StatusCode::UNPROCESSABLE_ENTITY, error),
    };
    let Clock::Manual(manual_clock) = &local.clock else {
        return error_response(StatusCode::CONFLICT, "this stack uses the system's clock");
    };
    let target = match (change.advance, change.now) {
        (Some(by), None) => match by.parse::<SignedDuration>() {
            Ok(by) => manual_clock.now().checked_add(by).ok(),
            Err(error) => return error_response(StatusCode::UNPROCESSABLE_ENTITY, error),
        },
        (None, Some(now)) => Some(now),
        _ => return error_response(StatusCode::UNPROCESSABLE_ENTITY, "give either advance or now"),
    };
    match target.filter(|target| (Timestamp::UNIX_EPOCH..=LATEST).contains(target)) {
        Some(target) => manual_clock.set(target),
        None => {
            let range = format!("the clock goes from {} to {LATEST}", Timestamp::UNIX_EPOCH);
            return error_response(StatusCode::UNPROCESSABLE_ENTITY, range);
        }
    }
    local.wire.run_deferred_calls().await;
    local.zoom.deliver_due().await;
    if !local.cloud_only {
        local.schedules.run_due().await;
    }
    if let Some(disk) = &local.disk {
        disk.save();
    }
    Json(json!({"now": local.clock.now()})).into_response()
}

async fn config(State(local): State<LocalState>) -> Json<Value> {
    let environment: serde_json::Map<_, _> = local
        .environment
        .iter()
        .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
        .collect();
    Json(json!({"environment": environment, "secrets": stored_secret(&local.aws).await}))
}

async fn run_schedule(State(local): State<LocalState>, Path(function): Path<String>) -> Response {
    match local.schedules.run(&function).await {
        Ok(report) => Json(report).into_response(),
        Err(error @ LambdaError::Invoke(InvokeError::UnknownFunction(_))) => {
            error_response(StatusCode::NOT_FOUND, error)
        }
        Err(error) => error_response(StatusCode::BAD_GATEWAY, error),
    }
}
