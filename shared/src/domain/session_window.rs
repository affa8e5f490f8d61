//! The time in which a session takes place, and its settings.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

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
    /// Returns whether a period lies at least partly within the window. Without an end it is still running.
    pub fn overlaps(&self, started_at: Timestamp, ended_at: Option<Timestamp>) -> bool {
        started_at < self.closes_at && ended_at.is_none_or(|ended_at| ended_at > self.opens_at)
    }
}
