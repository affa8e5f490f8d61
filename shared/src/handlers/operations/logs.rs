//! Shows administrators the join attempts of a day, and Zoom's events of a meeting. Each request is itself logged.

use jiff::Timestamp;
use lambda_http::Request;
use serde::Serialize;
use serde_json::Value;

use super::Deps;
use crate::app::operations::meeting_log::{self, MeetingLogEntry, MeetingLogFilter};
use crate::app::operations::session_log::{self, LogDay, SessionLogEntry};
use crate::domain::id::{MeetingId, SessionId, UserId};
use crate::domain::refusal::Refusal;
use crate::domain::text::{Email, PersonName, Title};
use crate::domain::time::{utc_day, utc_day_bounds};
use crate::handlers::cursor::Cursor;
use crate::handlers::edge::{PathParameters, RequestError, ResponseBody, path_parameter};
use crate::handlers::pages::Page;
use crate::http;

#[derive(Serialize)]
struct AttemptView {
    at: Timestamp,
    session_id: SessionId,
    title: Title,
    trainer_id: UserId,
    action: &'static str,
    user_id: Option<UserId>,
    email: Option<Email>,
    name: Option<PersonName>,
    outcome: String,
}

#[derive(Serialize)]
struct EventView {
    at: Timestamp,
    event: String,
    meeting_uuid: Option<String>,
    account_id: Option<String>,
    session_id: Option<SessionId>,
    detail: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw: Option<Value>,
}

impl From<SessionLogEntry> for AttemptView {
    fn from(SessionLogEntry { session, attempt }: SessionLogEntry) -> Self {
        Self {
            at: attempt.at,
            session_id: session.id,
            title: session.details.title,
            trainer_id: session.trainer,
            action: if attempt.host { "start" } else { "join" },
            user_id: attempt.user_id,
            email: attempt.email,
            name: attempt.name,
            outcome: attempt.outcome,
        }
    }
}

impl EventView {
    fn of(entry: MeetingLogEntry, session: Option<&SessionId>) -> Self {
        Self {
            at: entry.at,
            event: entry.event.name,
            meeting_uuid: entry.event.uuid,
            account_id: entry.event.account,
            session_id: session.cloned(),
            detail: entry.detail,
            raw: entry.body,
        }
    }
}

pub(super) async fn serve_sessions(
    deps: &Deps,
    request: &Request,
) -> Result<ResponseBody, RequestError> {
    let now = deps.clock.now();
    let reader = deps.authenticator.caller(request, now).await?;
    let day = requested_day(request, now)?;
    let after = Cursor::requested(request)?;
    let limit = http::query_limit(request)?;
    let log = session_log::list(&deps.clients, &day, after.as_ref(), limit).await?;
    let count = log.entries.len();
    tracing::info!(event = "logs.sessions_read", user_id = %reader.id, day = day.name, count);
    let items = log.entries.into_iter().map(AttemptView::from).collect();
    ResponseBody::ok(&Page::new(items, log.next))
}

pub(super) async fn serve_meeting(
    deps: &Deps,
    request: &Request,
    parameters: &PathParameters,
) -> Result<ResponseBody, RequestError> {
    let now = deps.clock.now();
    let reader = deps.authenticator.caller(request, now).await?;
    let meeting = meeting_number(path_parameter(parameters, "number"))?;
    let (from, to) = (http::query_time(request, "from")?, http::query_time(request, "to")?);
    if from.zip(to).is_some_and(|(from, to)| to < from) {
        return Err(Refusal::field("to", "must not be before `from`").into());
    }
    let filter = MeetingLogFilter {
        event: http::query(request, "event"),
        from,
        to,
        raw: http::query_word(request, "raw", "true or false")?.unwrap_or(false),
    };
    let before = Cursor::requested(request)?;
    let limit = http::query_limit(request)?;
    let log = meeting_log::list(&deps.clients, meeting, &filter, before.as_ref(), limit).await?;
    let (count, raw) = (log.entries.len(), filter.raw);
    tracing::info!(event = "logs.meeting_read", user_id = %reader.id, meeting_id = %meeting, raw, count);
    let session = log.session.as_ref();
    let items = log.entries.into_iter().map(|entry| EventView::of(entry, session)).collect();
    ResponseBody::ok(&Page::new(items, log.next))
}

/// Returns the requested day, or today.
fn requested_day(request: &Request, now: Timestamp) -> Result<LogDay, Refusal> {
    let name = http::query(request, "date").unwrap_or_else(|| utc_day(now));
    let (from, to) = utc_day_bounds(&name)
        .ok_or_else(|| Refusal::field("date", "must be a day (UTC) such as 2026-12-01"))?;
    Ok(LogDay { name, from, to })
}

/// Parses a meeting number, also in the form in which Zoom shows it to people.
fn meeting_number(text: &str) -> Result<MeetingId, Refusal> {
    let digits: String = text.chars().filter(|char| *char != ' ').collect();
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.parse().ok().filter(|_| is_number);
    number
        .map(MeetingId)
        .ok_or_else(|| Refusal::field("number", "must be the number of a Zoom meeting"))
}
