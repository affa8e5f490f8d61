//! The join window: when people may join a session.

use jiff::Timestamp;
use serde::Serialize;

use super::session::{Session, Status};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JoinState {
    TooEarly,
    Open,
    WaitingForHost,
    /// The meeting is not made yet, or it was deleted at Zoom and the trainer has not restored it.
    NoMeetingYet,
    Closed,
    Cancelled,
}

/// The join window of one person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinWindow {
    pub state: JoinState,
    pub opens_at: Timestamp,
    pub closes_at: Timestamp,
}

/// Returns the join window of the trainer or of an attendee at `now`. `needs_host` means that attendees cannot join
/// before the trainer.
pub fn join_window(
    session: &Session,
    is_trainer: bool,
    needs_host: bool,
    now: Timestamp,
) -> JoinWindow {
    let opens_at =
        if is_trainer { session.window_opens_at() } else { session.student_window_opens_at() };
    let closes_at = session.window_closes_at();
    let waits_for_host = needs_host && !is_trainer && !session.is_host_in_meeting();
    let state = match session.status {
        Status::Cancelled => JoinState::Cancelled,
        // The trainer may restart an ended meeting, but until then attendees have nothing to wait for.
        Status::Ended if !is_trainer => JoinState::Closed,
        _ if now < opens_at => JoinState::TooEarly,
        _ if now >= closes_at => JoinState::Closed,
        _ if session.lacks_meeting() => JoinState::NoMeetingYet,
        _ if waits_for_host => JoinState::WaitingForHost,
        _ => JoinState::Open,
    };
    JoinWindow { state, opens_at, closes_at }
}
