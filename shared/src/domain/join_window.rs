//! When the door of a class is open, and what it shows when it is not.

use jiff::Timestamp;

use super::session::{Provider, Session, Status};
use super::time::plus_minutes;

/// How long before and after a class people may come in, in minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinWindowSettings {
    pub owner_before: i64,
    pub invited_before: i64,
    pub after_end: i64,
}

impl Default for JoinWindowSettings {
    fn default() -> Self {
        Self { owner_before: 15, invited_before: 10, after_end: 90 }
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

/// What one of those invited finds at the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinWindow {
    pub state: JoinState,
    pub opens_at: Timestamp,
    pub closes_at: Timestamp,
}

/// The door of `session` at `now` for those invited. `needs_host` says whether, in this deployment,
/// nobody can be admitted before the trainer is in.
pub fn join_window(session: &Session, windows: JoinWindowSettings, needs_host: bool, now: Timestamp) -> JoinWindow {
    let opens_at = plus_minutes(session.starts_at, -windows.invited_before);
    let closes_at = plus_minutes(session.ends_at(), windows.after_end);
    let host_first =
        needs_host && session.provider == Provider::Zoom && session.status != Status::Live;
    let state = match session.status {
        Status::Cancelled => JoinState::Cancelled,
        // A meeting that is over may be started again as long as its window lasts; until then there is nobody to wait for.
        Status::Ended => JoinState::Closed,
        Status::Scheduled | Status::Live if now < opens_at => JoinState::TooEarly,
        Status::Scheduled | Status::Live if now >= closes_at => JoinState::Closed,
        // Nobody can come in, and there is nobody to wait for, until its trainer has seen to it.
        Status::Scheduled | Status::Live if session.lacks_its_meeting() => JoinState::Closed,
        Status::Scheduled | Status::Live if host_first => JoinState::WaitingForHost,
        Status::Scheduled | Status::Live => JoinState::Open,
    };
    JoinWindow { state, opens_at, closes_at }
}
