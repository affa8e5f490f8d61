//! Requests for runs of sweeps, and their reports.

use jiff::Timestamp;
use lambda_http::Request;
use serde::{Deserialize, Serialize};

use super::Deps;
use crate::app::operations::runs;
use crate::domain::id::{RunId, SessionId};
use crate::domain::pending_meeting::MeetingLead;
use crate::domain::refusal::Refusal;
use crate::domain::run::{Run, RunError, RunKind, RunScope, RunState};
use crate::handlers::cursor::requested_id;
use crate::handlers::edge::{PathParameters, RequestError, ResponseBody, path_parameter};
use crate::http;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RunBody {
    kind: RunKind,
    days_ahead: Option<u16>,
    session_id: Option<String>,
}

#[derive(Serialize)]
struct RequestedView {
    id: RunId,
}

#[derive(Serialize)]
struct RunView {
    id: RunId,
    kind: RunKind,
    trigger: &'static str,
    days_ahead: Option<u16>,
    session_id: Option<SessionId>,
    state: RunState,
    requested_at: Timestamp,
    started_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    checked: u32,
    created: u32,
    updated: u32,
    skipped: u32,
    failed: u32,
    errors: Vec<RunError>,
}

#[derive(Serialize)]
struct RunsView {
    items: Vec<RunView>,
    next_cursor: Option<RunId>,
}

impl From<Run> for RunView {
    fn from(run: Run) -> Self {
        let trigger = if run.scope.is_some() { "request" } else { "schedule" };
        let (days_ahead, session_id) = match run.scope {
            Some(RunScope::DaysAhead(days)) => (Some(days), None),
            Some(RunScope::Session(session)) => (None, Some(session)),
            None => (None, None),
        };
        Self {
            requested_at: run.id.requested_at(),
            id: run.id,
            kind: run.kind,
            trigger,
            days_ahead,
            session_id,
            state: run.state,
            started_at: run.started_at,
            ended_at: run.ended_at,
            checked: run.result.checked,
            created: run.result.created,
            updated: run.result.updated,
            skipped: run.result.skipped,
            failed: run.result.failed,
            errors: run.result.errors,
        }
    }
}

impl RunBody {
    fn scope(&self) -> Result<RunScope, Refusal> {
        match (self.days_ahead, &self.session_id) {
            (Some(days), None) if MeetingLead::from_days(days).is_some() => {
                Ok(RunScope::DaysAhead(days))
            }
            (Some(_), None) => {
                let limit = MeetingLead::LIMIT_DAYS;
                Err(Refusal::field("days_ahead", format!("must be from 1 to {limit}")))
            }
            (None, Some(id)) => {
                let session = SessionId::parse(id).ok_or(Refusal::NotFound)?;
                Ok(RunScope::Session(session))
            }
            (Some(_), Some(_)) => {
                Err(Refusal::field("days_ahead", "must not be given with session_id"))
            }
            (None, None) => {
                Err(Refusal::field("days_ahead", "is required unless session_id is given"))
            }
        }
    }
}

pub(super) async fn create(deps: &Deps, request: &Request) -> Result<ResponseBody, RequestError> {
    let now = deps.clock.now();
    let caller = deps.authenticator.caller(request, now).await?;
    let body: RunBody = http::json(request)?;
    let scope = body.scope()?;
    let run = runs::request(&deps.clients, &deps.random, body.kind, scope, now).await?;
    tracing::info!(event = "run.requested_by", run_id = %run.id, user_id = %caller.id);
    ResponseBody::json(::http::StatusCode::ACCEPTED, &RequestedView { id: run.id })
}

pub(super) async fn list(deps: &Deps, request: &Request) -> Result<ResponseBody, RequestError> {
    let now = deps.clock.now();
    deps.authenticator.caller(request, now).await?;
    let kind = http::query_word(request, "kind", "meetings")?;
    let after = requested_id(request, RunId::parse)?;
    let limit = http::query_limit(request)?;
    let page = runs::list(&deps.clients, kind, after.as_ref(), limit, now).await?;
    let items = page.runs.into_iter().map(RunView::from).collect();
    ResponseBody::ok(&RunsView { items, next_cursor: page.last })
}

pub(super) async fn show(
    deps: &Deps,
    request: &Request,
    parameters: &PathParameters,
) -> Result<ResponseBody, RequestError> {
    let now = deps.clock.now();
    deps.authenticator.caller(request, now).await?;
    let id = RunId::parse(path_parameter(parameters, "id")).ok_or(Refusal::NotFound)?;
    let run = runs::show(&deps.clients, &id, now).await?;
    ResponseBody::ok(&RunView::from(run))
}
