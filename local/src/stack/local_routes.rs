//! The routes that only a local stack has: tokens, clock, settings and schedules.

use std::sync::Arc;

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

use super::configuration::stored_secret;
use super::parameters::{NoMembers, error_response, parse_body, unprocessable};
use super::state_files::StateFiles;
use crate::event_targets::EventTargets;
use crate::functions::InvokeError;
use crate::issuer::{Issuer, IssuerError, Person};
use crate::lambda::{Lambda, LambdaError};
use crate::queue_triggers::QueueTriggers;
use crate::schedules::Schedules;
use crate::wire::Wire;

/// The latest time to which the clock can be moved, the year 9000. The calendar ends a thousand years later, because the
/// functions compute later times from the current one.
const LATEST: Timestamp = Timestamp::constant(221_845_392_000, 0);

/// The state of the routes that only a local stack has.
#[derive(Clone)]
pub(super) struct LocalState {
    pub(super) environment: Arc<Vec<(String, String)>>,
    pub(super) issuer: Issuer,
    pub(super) clock: Clock,
    pub(super) lambda: Lambda,
    pub(super) schedules: Schedules,
    pub(super) queue_triggers: QueueTriggers,
    pub(super) event_targets: EventTargets,
    pub(super) zoom: Zoom,
    pub(super) aws: Aws,
    pub(super) wire: Wire,
    pub(super) disk: Option<StateFiles>,
    pub(super) cloud_only: bool,
    pub(super) secret_id: String,
    /// The starting data.
    pub(super) directory: Arc<Vec<Value>>,
}

pub(super) fn routes(local: LocalState) -> Router {
    Router::new()
        .route("/local/tokens", post(token))
        .route(
            crate::issuer::JWKS_PATH,
            get(async |State(local): State<LocalState>| Json(local.issuer.jwks().clone())),
        )
        .route("/local/clock", get(read_clock).post(change_clock))
        .route("/local/config", get(config))
        .route(
            "/local/directory",
            get(async |State(local): State<LocalState>| Json(json!({ "items": *local.directory }))),
        )
        .route("/local/schedules/{function}/run", post(run_schedule))
        .with_state(local)
}

async fn token(State(local): State<LocalState>, body: Bytes) -> Response {
    let person: Person = match parse_body(&body) {
        Ok(person) => person,
        Err(response) => return response,
    };
    let secret = stored_secret(&local.aws, &local.secret_id).await;
    match local.issuer.token(&person, &secret, local.clock.now()) {
        Ok(token) => Json(json!({"token": token})).into_response(),
        Err(error @ (IssuerError::OtherKeys(_) | IssuerError::NoKey)) => {
            error_response(StatusCode::CONFLICT, error)
        }
        Err(error) => error_response(StatusCode::INTERNAL_SERVER_ERROR, error),
    }
}

async fn read_clock(State(local): State<LocalState>) -> Json<Value> {
    clock_document(&local.clock)
}

fn clock_document(clock: &Clock) -> Json<Value> {
    let is_frozen = match clock {
        Clock::System => false,
        Clock::Manual(manual_clock) => manual_clock.time().frozen,
    };
    Json(json!({"now": clock.now(), "frozen": is_frozen}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockChange {
    /// A duration such as `7h10m`.
    advance: Option<String>,
    now: Option<Timestamp>,
    /// Whether the clock stands still until it is moved.
    frozen: Option<bool>,
}

impl ClockChange {
    /// Returns the time to which the clock is moved, if it is moved.
    fn target(&self, now: Timestamp) -> Result<Option<Timestamp>, String> {
        let target = match (&self.advance, self.now) {
            (Some(by), None) => {
                let by = by.parse::<SignedDuration>().map_err(|error| error.to_string())?;
                now.checked_add(by).ok()
            }
            (None, Some(target)) => Some(target),
            (None, None) if self.frozen.is_some() => return Ok(None),
            _ => return Err("give either advance or now, or frozen alone".to_owned()),
        };
        let target = target.filter(|target| (Timestamp::UNIX_EPOCH..=LATEST).contains(target));
        let range = || format!("the clock goes from {} to {LATEST}", Timestamp::UNIX_EPOCH);
        target.map(Some).ok_or_else(range)
    }
}

/// Moves, freezes or releases the clock, and completes the work that is then due before it responds.
async fn change_clock(State(local): State<LocalState>, body: Bytes) -> Response {
    let change: ClockChange = match parse_body(&body) {
        Ok(change) => change,
        Err(response) => return response,
    };
    let Clock::Manual(manual_clock) = &local.clock else {
        return error_response(StatusCode::CONFLICT, "this stack uses the system's clock");
    };
    let target = match change.target(manual_clock.now()) {
        Ok(target) => target,
        Err(error) => return unprocessable(error),
    };
    if let Some(frozen) = change.frozen {
        manual_clock.set_frozen(frozen);
    }
    if let Some(target) = target {
        manual_clock.set(target);
    }
    local.wire.run_deferred_calls().await;
    local.zoom.deliver_due().await;
    if !local.cloud_only {
        local.event_targets.deliver().await;
        local.queue_triggers.deliver().await;
        local.schedules.run_due().await;
    }
    match local.disk.as_ref().map_or(Ok(()), StateFiles::save) {
        Ok(()) => clock_document(&local.clock).into_response(),
        Err(error) => error_response(StatusCode::INSUFFICIENT_STORAGE, error),
    }
}

async fn config(State(local): State<LocalState>) -> Json<Value> {
    let environment: serde_json::Map<_, _> = local
        .environment
        .iter()
        .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
        .collect();
    let secret = stored_secret(&local.aws, &local.secret_id).await;
    let refusal = local.issuer.refusal(&secret).map(|error| error.to_string());
    let tokens = json!({"accepted": refusal.is_none(), "reason": refusal});
    Json(json!({"environment": environment, "secrets": secret, "tokens": tokens}))
}

async fn run_schedule(
    State(local): State<LocalState>,
    Path(function): Path<String>,
    body: Bytes,
) -> Response {
    if let Err(response) = parse_body::<NoMembers>(&body) {
        return response;
    }
    if !local.cloud_only {
        local.event_targets.deliver().await;
        local.queue_triggers.deliver().await;
    }
    match local.schedules.run(&function).await {
        Ok(report) => Json(report).into_response(),
        Err(error @ LambdaError::Invoke(InvokeError::UnknownFunction(_))) => {
            error_response(StatusCode::NOT_FOUND, error)
        }
        Err(error) => error_response(StatusCode::BAD_GATEWAY, error),
    }
}
