//! Requests for runs of sweeps, and their reports.

use jiff::Timestamp;
use lambda_http::Request;
use serde::{Deserialize, Serialize};

use super::Deps;
use crate::app::operations::runs;
use crate::domain::id::{RunId, SessionId};
use crate::domain::pending_meeting::MeetingLead;
use crate::domain::reconciliation::RecordingDays;
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
    days_back: Option<u16>,
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
    days_back: Option<u16>,
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
        let scope = run.scope.as_ref();
        Self {
            requested_at: run.id.requested_at(),
            id: run.id,
            kind: run.kind,
            trigger,
            days_ahead: scope.and_then(RunScope::days_ahead),
            days_back: scope.and_then(RunScope::days_back),
            session_id: scope.and_then(RunScope::session).cloned(),
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
        let (field, other) = match self.kind {
            RunKind::Meetings => ("days_ahead", "days_back"),
            RunKind::Recordings | RunKind::Attendance => ("days_back", "days_ahead"),
        };
        let (days, unknown) = match self.kind {
            RunKind::Meetings => (self.days_ahead, self.days_back),
            RunKind::Recordings | RunKind::Attendance => (self.days_back, self.days_ahead),
        };
        if unknown.is_some() {
            return Err(Refusal::field(other, "does not belong to this kind"));
        }
        match (days, &self.session_id) {
            (Some(days), None) => self.days_scope(days, field),
            (None, Some(id)) => {
                let session = SessionId::parse(id).ok_or(Refusal::NotFound)?;
                Ok(RunScope::Session(session))
            }
            (Some(_), Some(_)) => Err(Refusal::field(field, "must not be given with session_id")),
            (None, None) => Err(Refusal::field(field, "is required unless session_id is given")),
        }
    }

    fn days_scope(&self, days: u16, field: &str) -> Result<RunScope, Refusal> {
        let (is_allowed, limit) = match self.kind {
            RunKind::Meetings => (MeetingLead::from_days(days).is_some(), MeetingLead::LIMIT_DAYS),
            RunKind::Recordings | RunKind::Attendance => {
                (RecordingDays::from_days(days).is_some(), RecordingDays::LIMIT_DAYS)
            }
        };
        match self.kind {
            _ if !is_allowed => Err(Refusal::field(field, format!("must be from 1 to {limit}"))),
            RunKind::Meetings => Ok(RunScope::DaysAhead(days)),
            RunKind::Recordings | RunKind::Attendance => Ok(RunScope::DaysBack(days)),
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
    let kind = http::query_word(request, "kind", "meetings, recordings or attendance")?;
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
