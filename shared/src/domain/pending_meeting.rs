//! Meetings that are made later than their session.
//!
//! A platform schedules months ahead, and Zoom limits the creates of a host per day. With `meeting: later`, a session is
//! stored without a meeting. The meeting sweep makes it some days before the start, or earlier if somebody has paid.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// When a save request wants the meeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MeetingTime {
    /// With the request. An edit of a session without a meeting brings the meeting forward to the next sweep.
    Now,
    /// The deployment's number of days before the start.
    Later,
}

/// How long before the start a pending meeting is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeetingLead {
    days: u16,
}

impl MeetingLead {
    pub const DEFAULT_DAYS: u16 = 7;
    /// Sessions are scheduled two years ahead at most.
    pub const LIMIT_DAYS: u16 = 730;

    /// Returns `None` for a number of days that is not from 1 to [`Self::LIMIT_DAYS`].
    pub fn from_days(days: u16) -> Option<Self> {
        (1..=Self::LIMIT_DAYS).contains(&days).then_some(Self { days })
    }

    /// Returns when the meeting of a session is due.
    pub fn due_at(self, starts_at: Timestamp) -> Timestamp {
        let ahead = SignedDuration::from_hours(24 * i64::from(self.days));
        starts_at.saturating_sub(ahead).unwrap_or(starts_at)
    }
}

impl Default for MeetingLead {
    fn default() -> Self {
        Self { days: Self::DEFAULT_DAYS }
    }
}

/// The meeting of a session that is not made yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingMeeting {
    /// When the sweep makes it.
    pub due_at: Timestamp,
    /// Why it was given up, as a word for the API. An edit tries again.
    pub failure: Option<String>,
    /// Whether it may overlap with others of its host, which may be decided only when it is made.
    pub allows_overlap: bool,
}

/// The parts of an edit on which a pending meeting depends.
#[derive(Clone, Copy, Debug)]
pub struct PendingMeetingEdit {
    pub old_start: Timestamp,
    pub new_start: Timestamp,
    pub wanted: Option<MeetingTime>,
    pub lead: MeetingLead,
    pub allows_overlap: bool,
}

impl PendingMeeting {
    /// Returns the pending meeting after an edit at `now`. A time that was brought forward stays when the start moves, as
    /// long as it is earlier than the new one.
    pub fn after_edit(&self, edit: &PendingMeetingEdit, now: Timestamp) -> Self {
        let PendingMeetingEdit { old_start, new_start, wanted, lead, allows_overlap } = *edit;
        let planned = lead.due_at(new_start);
        let due_at = match wanted {
            Some(MeetingTime::Now) => self.due_at.min(now),
            _ if old_start == new_start => self.due_at,
            _ if self.due_at < lead.due_at(old_start) => self.due_at.min(planned),
            _ => planned,
        };
        Self { due_at, failure: None, allows_overlap }
    }
}

/// The state of a session's meeting, as the API shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MeetingState {
    /// A manual link has no meeting at Zoom.
    None,
    Pending,
    Ready,
    Failed,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::PaymentId;
    use crate::domain::session::testing::session;
    use crate::domain::session::{Session, Status};

    #[test]
    fn due_time_follows_the_start_unless_it_was_brought_forward() {
        let at = |day: i64| Timestamp::from_second(day * 86_400).unwrap();
        let lead = MeetingLead::default();
        use MeetingTime::{Later, Now};
        // Due day, old and new start, the wish of the edit, the day of the edit, the new due day.
        let cases = [
            (93, 100, 110, None, 50, 103),
            (93, 100, 110, Some(Later), 50, 103),
            (93, 100, 100, None, 50, 93),
            (93, 100, 100, Some(Now), 50, 50),
            (50, 100, 110, None, 60, 50),
            (50, 100, 100, Some(Now), 60, 50),
            (50, 100, 52, None, 51, 45),
        ];
        for (due, old, new, wanted, now, expected) in cases {
            let pending = PendingMeeting {
                due_at: at(due),
                failure: Some("x".to_owned()),
                allows_overlap: true,
            };
            let edit = PendingMeetingEdit {
                old_start: at(old),
                new_start: at(new),
                wanted,
                lead,
                allows_overlap: false,
            };
            let next = pending.after_edit(&edit, at(now));
            let expected =
                PendingMeeting { due_at: at(expected), failure: None, allows_overlap: false };
            assert_eq!(next, expected, "{due} {new}");
        }
    }

    #[test]
    fn only_a_waiting_meeting_is_brought_forward() {
        let at = |day: i64| Timestamp::from_second(day * 86_400).unwrap();
        let (first, second) =
            (PaymentId::parse("pay-1").unwrap(), PaymentId::parse("pay-2").unwrap());
        let pending =
            |failure| Some(PendingMeeting { due_at: at(93), failure, allows_overlap: false });
        let mut waiting = session(at(100), Status::Scheduled);
        waiting.meeting.pending = pending(None);
        let brought = waiting.with_meeting_due(at(50), Some(&first)).unwrap();
        assert_eq!(brought.meeting.pending.as_ref().unwrap().due_at, at(50));
        assert_eq!((&brought.triggered_by, brought.version), (&Some(first), waiting.version));
        assert_eq!(brought.with_meeting_due(at(51), Some(&second)), None, "it is due");
        let mut failed = waiting.clone();
        failed.meeting.pending = pending(Some("zoom_rejected".to_owned()));
        let cancelled = Session { status: Status::Cancelled, ..waiting };
        let made = session(at(100), Status::Scheduled);
        for other in [failed, cancelled, made] {
            assert_eq!(other.with_meeting_due(at(50), Some(&second)), None, "{other:?}");
        }
    }

    #[test]
    fn lead_is_from_one_day_to_two_years() {
        for (days, is_valid) in [(0, false), (1, true), (730, true), (731, false)] {
            assert_eq!(MeetingLead::from_days(days).is_some(), is_valid, "{days}");
        }
    }
}
