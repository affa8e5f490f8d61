//! The join window of a session and its state.

use jiff::Timestamp;

use super::session::{Provider, Session, Status};
use super::time::plus_minutes;

/// The limits of the join window relative to the planned start and end, in minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinWindowSettings {
    pub trainer_lead_minutes: i64,
    pub student_lead_minutes: i64,
    pub closing_minutes: i64,
}

impl Default for JoinWindowSettings {
    fn default() -> Self {
        Self { trainer_lead_minutes: 15, student_lead_minutes: 10, closing_minutes: 90 }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JoinState {
    TooEarly,
    Open,
    WaitingForHost,
    Closed,
    Cancelled,
}

/// The join window of an attendee.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinWindow {
    pub state: JoinState,
    pub opens_at: Timestamp,
    pub closes_at: Timestamp,
}

/// Returns the join window of attendees at `now`. `needs_host` means that in this deployment attendees cannot join before
/// the trainer.
pub fn join_window(
    session: &Session,
    settings: JoinWindowSettings,
    needs_host: bool,
    now: Timestamp,
) -> JoinWindow {
    let opens_at = plus_minutes(session.starts_at, -settings.student_lead_minutes);
    let closes_at = plus_minutes(session.ends_at(), settings.closing_minutes);
    let waits_for_host =
        needs_host && session.provider == Provider::Zoom && session.status != Status::Live;
    let state = match session.status {
        Status::Cancelled => JoinState::Cancelled,
        // The trainer may restart an ended meeting, but until then attendees have nothing to wait for.
        Status::Ended => JoinState::Closed,
        Status::Scheduled | Status::Live if now < opens_at => JoinState::TooEarly,
        Status::Scheduled | Status::Live if now >= closes_at => JoinState::Closed,
        // Nobody can join until the trainer has restored the deleted meeting.
        Status::Scheduled | Status::Live if session.is_meeting_deleted() => JoinState::Closed,
        Status::Scheduled | Status::Live if waits_for_host => JoinState::WaitingForHost,
        Status::Scheduled | Status::Live => JoinState::Open,
    };
    JoinWindow { state, opens_at, closes_at }
}
