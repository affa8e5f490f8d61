//! The reminders of a session, their times, and when one is too late.
//!
//! A reminder of a session that its trainer cannot start is held until the trainer has connected Zoom, and the trainer
//! is notified once. "Live now" is sent once, at the actual or the planned start. If nobody could start the session
//! then, it waits until the window closes.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use super::audience::Audience;
use super::host_status::HostStatus;
use super::session::{Session, Status};
use super::time::plus_minutes;

#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Reminder {
    DayBefore,
    HourBefore,
    /// The session is live, sent only in-app: when its meeting is started within the join window, or else at the
    /// planned start. The planned start applies because manual links report no start and hosts may be late.
    Start,
}

/// The maximum delay of the day-before reminder. After half a day the hour-before reminder is near.
const DAY_BEFORE_LATE_MINUTES: i64 = 12 * 60;
/// The maximum delay of the start reminder of a session that has not started. After that it would announce a session that is
/// not live, so it waits for the start.
const START_LATE_MINUTES: i64 = 30;

impl Reminder {
    pub const ALL: [Self; 3] = [Self::DayBefore, Self::HourBefore, Self::Start];

    pub fn as_str(self) -> &'static str {
        self.into()
    }

    fn minutes_before(self) -> i64 {
        match self {
            Self::DayBefore => 24 * 60,
            Self::HourBefore => 60,
            Self::Start => 0,
        }
    }

    pub fn due_at(self, starts_at: Timestamp) -> Timestamp {
        plus_minutes(starts_at, -self.minutes_before())
    }

    /// Returns the time from which a late sweep skips the reminder.
    fn too_late_at(self, session: &Session) -> Timestamp {
        let starts_at = session.details.starts_at;
        match self {
            Self::DayBefore => plus_minutes(self.due_at(starts_at), DAY_BEFORE_LATE_MINUTES),
            Self::HourBefore => starts_at,
            Self::Start => session.window_closes_at(),
        }
    }
}

/// Returns the reminders for a session saved at `now`. Omits reminders that are already due, because the invitation is
/// sent at the same time.
pub fn upcoming_reminders(starts_at: Timestamp, now: Timestamp) -> impl Iterator<Item = Reminder> {
    Reminder::ALL.into_iter().filter(move |reminder| reminder.due_at(starts_at) > now)
}

/// What to do with a due reminder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReminderDecision {
    Send,
    /// The meeting ended shortly before the planned start or was not started yet, and may still be started.
    Wait,
    /// The trainer cannot start the session. The reminder waits until the trainer has connected Zoom, as long as it is
    /// not too late, and the trainer is notified.
    Hold,
    Skip(ReminderSkipReason),
}

/// The reason for skipping a reminder, written to the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum ReminderSkipReason {
    /// The session has another start now, with its own reminders.
    Moved,
    Cancelled,
    Ended,
    Late,
    /// The session has no audience.
    NoAudience,
}

impl ReminderSkipReason {
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

impl Reminder {
    /// Decides at `now` about a reminder that was created for a start at `starts_at`. `host` is the host status of the
    /// session's trainer.
    pub fn decide(
        self,
        session: &Session,
        host: &HostStatus,
        starts_at: Timestamp,
        now: Timestamp,
    ) -> ReminderDecision {
        let reason = match session.status {
            Status::Cancelled => ReminderSkipReason::Cancelled,
            _ if session.details.starts_at != starts_at => ReminderSkipReason::Moved,
            _ if session.audience == Audience::Standalone => ReminderSkipReason::NoAudience,
            _ if now >= self.too_late_at(session) => ReminderSkipReason::Late,
            Status::Ended if self == Self::Start => return ReminderDecision::Wait,
            Status::Ended => ReminderSkipReason::Ended,
            // A reminder has the class's page, so it is sent before the meeting is made. The trainer is notified of a missing
            // meeting otherwise.
            Status::Scheduled if session.meeting.pending.is_some() => {
                return match self {
                    Self::Start => ReminderDecision::Wait,
                    Self::DayBefore | Self::HourBefore => ReminderDecision::Send,
                };
            }
            Status::Scheduled if host.problem(session).is_some() => return ReminderDecision::Hold,
            Status::Scheduled
                if self == Self::Start && now >= plus_minutes(starts_at, START_LATE_MINUTES) =>
            {
                return ReminderDecision::Wait;
            }
            Status::Scheduled | Status::Live => return ReminderDecision::Send,
        };
        ReminderDecision::Skip(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::pending_meeting::PendingMeeting;
    use crate::domain::session::testing::session;
    use crate::domain::session::{Meeting, Provider};
    use crate::domain::zoom_connection::ConnectionHealth;

    #[test]
    fn session_gets_only_upcoming_reminders() {
        let now: Timestamp = "2026-11-21T09:00:00Z".parse().unwrap();
        let cases: [(i64, &[Reminder]); 4] = [
            (30, &[Reminder::Start]),
            (60, &[Reminder::Start]),
            (61, &[Reminder::HourBefore, Reminder::Start]),
            (24 * 60 + 1, &Reminder::ALL),
        ];
        for (minutes, expected) in cases {
            assert_eq!(
                upcoming_reminders(plus_minutes(now, minutes), now).collect::<Vec<_>>(),
                expected,
                "{minutes} minutes ahead"
            );
        }
    }

    fn connected() -> HostStatus {
        HostStatus {
            health: Some(ConnectionHealth::Connected),
            host_user: Some("host".to_owned()),
            connection_version: 1,
            is_basic: false,
        }
    }

    #[test]
    fn reminder_is_held_while_the_host_is_not_connected() {
        use Status::{Cancelled, Ended, Live, Scheduled};
        let start: Timestamp = "2026-11-21T09:00:00Z".parse().unwrap();
        let due = Reminder::HourBefore.due_at(start);
        let lost = HostStatus { health: Some(ConnectionHealth::ReauthRequired), ..connected() };
        let other = HostStatus { host_user: Some("other".to_owned()), ..connected() };
        let late = ReminderDecision::Skip(ReminderSkipReason::Late);
        for host in [HostStatus::default(), lost, other] {
            let decide = |status, at| {
                let mut session = session(start, status);
                session.meeting.host_user = Some("host".to_owned());
                Reminder::HourBefore.decide(&session, &host, start, at)
            };
            assert_eq!(decide(Scheduled, due), ReminderDecision::Hold, "{host:?}");
            assert_eq!(decide(Scheduled, start), late, "{host:?}");
            // The trainer has started the meeting in Zoom's own client.
            assert_eq!(decide(Live, due), ReminderDecision::Send, "{host:?}");
            for status in [Cancelled, Ended] {
                assert!(matches!(decide(status, due), ReminderDecision::Skip(_)), "{host:?}");
            }
            let mut pending = session(start, Scheduled);
            pending.meeting = Meeting::pending(PendingMeeting {
                due_at: start,
                failure: None,
                allows_overlap: false,
            });
            let decision = Reminder::HourBefore.decide(&pending, &host, start, due);
            assert_eq!(decision, ReminderDecision::Send, "{host:?}");
            let decision = Reminder::Start.decide(&pending, &host, start, start);
            assert_eq!(decision, ReminderDecision::Wait, "{host:?}");
            let manual = Session { provider: Provider::Manual, ..session(start, Scheduled) };
            let decision = Reminder::HourBefore.decide(&manual, &host, start, due);
            assert_eq!(decision, ReminderDecision::Send, "{host:?}");
        }
    }

    #[test]
    fn reminder_is_sent_until_it_is_outdated_or_late() {
        use Reminder::{DayBefore, HourBefore, Start};
        use ReminderDecision::{Send, Wait};
        use Status::{Cancelled, Ended, Live, Scheduled};
        let start: Timestamp = "2026-11-21T09:00:00Z".parse().unwrap();
        // Reminder, session status, minutes from the planned start to the sweep.
        let cases = [
            (DayBefore, Scheduled, -24 * 60, Send),
            // A regular sweep is up to five minutes late. A delay of an hour means that sweeps did not run.
            (DayBefore, Scheduled, -24 * 60 + 5, Send),
            (DayBefore, Scheduled, -23 * 60, Send),
            (DayBefore, Scheduled, -12 * 60 - 1, Send),
            (DayBefore, Scheduled, -12 * 60, ReminderDecision::Skip(ReminderSkipReason::Late)),
            (DayBefore, Cancelled, -24 * 60, ReminderDecision::Skip(ReminderSkipReason::Cancelled)),
            (DayBefore, Ended, -24 * 60, ReminderDecision::Skip(ReminderSkipReason::Ended)),
            (HourBefore, Scheduled, -60, Send),
            (HourBefore, Live, -55, Send),
            (HourBefore, Scheduled, -1, Send),
            (HourBefore, Scheduled, 0, ReminderDecision::Skip(ReminderSkipReason::Late)),
            (HourBefore, Cancelled, -60, ReminderDecision::Skip(ReminderSkipReason::Cancelled)),
            (Start, Scheduled, 0, Send),
            (Start, Live, 5, Send),
            (Start, Live, 29, Send),
            (Start, Scheduled, 29, Send),
            // Students are notified of a late start until the window closes.
            (Start, Scheduled, 30, Wait),
            (Start, Scheduled, 149, Wait),
            (Start, Live, 149, Send),
            (Start, Live, 150, ReminderDecision::Skip(ReminderSkipReason::Late)),
            (Start, Ended, 5, Wait),
            (Start, Ended, 149, Wait),
            (Start, Ended, 150, ReminderDecision::Skip(ReminderSkipReason::Late)),
            (Start, Cancelled, 5, ReminderDecision::Skip(ReminderSkipReason::Cancelled)),
        ];
        for (reminder, status, minutes, expected) in cases {
            let now = plus_minutes(start, minutes);
            let decision = reminder.decide(&session(start, status), &connected(), start, now);
            assert_eq!(decision, expected, "{reminder:?} {status:?} {minutes} minutes");
        }
    }

    #[test]
    fn reminder_is_skipped_for_another_start_or_no_audience() {
        let start: Timestamp = "2026-11-21T09:00:00Z".parse().unwrap();
        let moved = session(plus_minutes(start, 30), Status::Scheduled);
        let unchanged = session(start, Status::Scheduled);
        let standalone = Session { audience: Audience::Standalone, ..unchanged.clone() };
        let mut short = unchanged;
        short.details.duration_minutes = 15;
        for reminder in Reminder::ALL {
            let due = reminder.due_at(start);
            assert_eq!(
                reminder.decide(&moved, &connected(), start, due),
                ReminderDecision::Skip(ReminderSkipReason::Moved)
            );
            assert_eq!(
                reminder.decide(&standalone, &connected(), start, due),
                ReminderDecision::Skip(ReminderSkipReason::NoAudience)
            );
        }
        for (minutes, expected) in
            [(15, ReminderDecision::Send), (105, ReminderDecision::Skip(ReminderSkipReason::Late))]
        {
            let decision =
                Reminder::Start.decide(&short, &connected(), start, plus_minutes(start, minutes));
            assert_eq!(decision, expected, "{minutes} minutes, of a session of 15 minutes");
        }
    }
}
