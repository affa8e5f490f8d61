//! The window of a session: when people may join, and which meeting instances belong to the session.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::meeting_instance::MeetingInstance;
use super::session::{Session, Status};

/// The limits of the join window relative to the planned start and end, in minutes. They are stored with each session, so
/// that a changed setting does not change old reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "[i64; 3]", into = "[i64; 3]")]
pub struct JoinWindowSettings {
    pub trainer_lead_minutes: i64,
    pub student_lead_minutes: i64,
    pub closing_minutes: i64,
}

impl JoinWindowSettings {
    /// The highest accepted setting, one day. Lists of upcoming sessions look back so far.
    pub const LIMIT_MINUTES: i64 = 24 * 60;
}

impl Default for JoinWindowSettings {
    fn default() -> Self {
        Self { trainer_lead_minutes: 15, student_lead_minutes: 10, closing_minutes: 90 }
    }
}

/// The stored form: three numbers, because each kilobyte of a session costs a write unit per index.
impl From<JoinWindowSettings> for [i64; 3] {
    fn from(settings: JoinWindowSettings) -> Self {
        [settings.trainer_lead_minutes, settings.student_lead_minutes, settings.closing_minutes]
    }
}

impl From<[i64; 3]> for JoinWindowSettings {
    fn from(minutes: [i64; 3]) -> Self {
        let [trainer_lead_minutes, student_lead_minutes, closing_minutes] = minutes;
        Self { trainer_lead_minutes, student_lead_minutes, closing_minutes }
    }
}

/// The time in which a session takes place, from the opening to the closing of the trainer's join window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionWindow {
    pub opens_at: Timestamp,
    /// The planned start.
    pub starts_at: Timestamp,
    pub closes_at: Timestamp,
}

impl SessionWindow {
    /// Returns whether a meeting instance belongs to the session. An instance that lasts into the window belongs to it,
    /// however early it started.
    pub fn contains_instance(&self, instance: &MeetingInstance) -> bool {
        self.overlaps(instance.started_at, instance.end())
    }

    /// Returns whether a period lies at least partly within the window. Without an end it is still running.
    pub fn overlaps(&self, started_at: Timestamp, ended_at: Option<Timestamp>) -> bool {
        started_at < self.closes_at && ended_at.is_none_or(|ended_at| ended_at > self.opens_at)
    }

    /// Returns the known instances that belong to the session. An instance from before the window whose end is unknown and
    /// that was followed by another one was most likely a rehearsal. It is less likely that it lasted for days.
    pub fn own_instances<'a>(
        &self,
        known: &'a [MeetingInstance],
    ) -> impl DoubleEndedIterator<Item = &'a MeetingInstance> + use<'a> {
        let window = *self;
        let last = known.last();
        known.iter().filter(move |instance| {
            let is_stale = instance.end().is_none()
                && instance.started_at < window.opens_at
                && last.is_some_and(|last| last != *instance);
            window.contains_instance(instance) && !is_stale
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JoinState {
    TooEarly,
    Open,
    WaitingForHost,
    /// The meeting was deleted at Zoom, and the trainer has not restored it.
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
        _ if session.is_meeting_deleted() => JoinState::NoMeetingYet,
        _ if waits_for_host => JoinState::WaitingForHost,
        _ => JoinState::Open,
    };
    JoinWindow { state, opens_at, closes_at }
}
