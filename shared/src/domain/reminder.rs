//! Which reminders a class gets, when, and when one is too late to be of use.

use jiff::Timestamp;

use super::audience::Audience;
use super::session::{Session, Status};
use super::time::plus_minutes;

#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Reminder {
    DayBefore,
    HourBefore,
    /// The class is live, in-app only: told when its meeting is started while the door is open, or else at the planned
    /// start. A class without a meeting of ours tells no start, and a host who is late is waited for at the open door.
    Start,
}

/// How late the reminder of the day before still says anything new: half its day. The reminder an hour before and the
/// class itself are near after that.
const DAY_BEFORE_LATE_MINUTES: i64 = 12 * 60;
/// How long after the planned start a class is news. Whoever wanted to come is there, or knows that they are late.
const START_LATE_MINUTES: i64 = 30;

impl Reminder {
    pub const ALL: [Self; 3] = [Self::DayBefore, Self::HourBefore, Self::Start];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::DayBefore => "day_before",
            Self::HourBefore => "hour_before",
            Self::Start => "start",
        }
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

    /// From when on a sweep that comes late leaves it be.
    fn late_from(self, starts_at: Timestamp) -> Timestamp {
        match self {
            Self::DayBefore => plus_minutes(self.due_at(starts_at), DAY_BEFORE_LATE_MINUTES),
            Self::HourBefore => starts_at,
            Self::Start => plus_minutes(starts_at, START_LATE_MINUTES),
        }
    }
}

/// The reminders still ahead of a class that is saved at `now`. One that would already be late is never set:
/// the invitation itself, sent at `now`, says as much.
pub fn ahead(starts_at: Timestamp, now: Timestamp) -> impl Iterator<Item = Reminder> {
    Reminder::ALL.into_iter().filter(move |reminder| reminder.due_at(starts_at) > now)
}

/// What becomes of a reminder whose time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReminderDecision {
    Tell,
    /// Its meeting was ended just before the planned start, and may be started again for the class.
    Wait,
    Void(ReminderSkipReason),
}

/// Why a reminder is not told. The words stand in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReminderSkipReason {
    /// The class has another start by now, and reminders of its own for it.
    Moved,
    Cancelled,
    Over,
    Late,
    /// The class is for nobody but its trainer.
    Nobody,
}

impl ReminderSkipReason {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Moved => "moved",
            Self::Cancelled => "cancelled",
            Self::Over => "over",
            Self::Late => "late",
            Self::Nobody => "nobody",
        }
    }
}

impl Reminder {
    /// What becomes of this reminder of `session` at `now`, which was set for a start at `starts_at`.
    pub fn decide(self, session: &Session, starts_at: Timestamp, now: Timestamp) -> ReminderDecision {
        let void = match session.status {
            Status::Cancelled => ReminderSkipReason::Cancelled,
            _ if session.starts_at != starts_at => ReminderSkipReason::Moved,
            _ if session.audience == Audience::Standalone => ReminderSkipReason::Nobody,
            _ if now >= self.late_from(starts_at) || now >= session.ends_at() => ReminderSkipReason::Late,
            Status::Ended if self == Self::Start => return ReminderDecision::Wait,
            Status::Ended => ReminderSkipReason::Over,
            Status::Scheduled | Status::Live => return ReminderDecision::Tell,
        };
        ReminderDecision::Void(void)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::{CourseId, SessionId, UserId};
    use crate::domain::sealed::Sealed;
    use crate::domain::session::{Meeting, Provider, Source};
    use crate::domain::settings::MeetingSettings;
    use crate::domain::text::{Description, Title};
    use crate::domain::time::Zone;

    #[test]
    fn a_class_gets_only_the_reminders_that_are_still_ahead() {
        let now: Timestamp = "2026-11-21T09:00:00Z".parse().unwrap();
        let cases: [(i64, &[Reminder]); 4] = [
            (30, &[Reminder::Start]),
            (60, &[Reminder::Start]),
            (61, &[Reminder::HourBefore, Reminder::Start]),
            (24 * 60 + 1, &Reminder::ALL),
        ];
        for (minutes, expected) in cases {
            assert_eq!(
                ahead(plus_minutes(now, minutes), now).collect::<Vec<_>>(),
                expected,
                "{minutes} minutes ahead"
            );
        }
    }

    fn class(starts_at: Timestamp, status: Status) -> Session {
        let course = Audience::Course {
            id: CourseId::parse("c").unwrap(),
            title: Title::parse("Algebra").unwrap(),
        };
        Session {
            id: SessionId::from_bytes([1; 16]),
            trainer: UserId::parse("t").unwrap(),
            title: Title::parse("Algebra").unwrap(),
            description: Description::parse("").unwrap(),
            audience: course,
            starts_at,
            zone: Zone::utc(),
            duration_minutes: 60,
            provider: Provider::Zoom,
            record_session: false,
            settings: MeetingSettings::default(),
            settings_told: Default::default(),
            status,
            source: Source::Manual,
            meeting: Meeting {
                account: None,
                id: None,
                join_url: Sealed::from_stored("x"),
                passcode: None,
                told: Default::default(),
            },
            ics_sequence: 0,
            version: 1,
            created_at: starts_at,
            updated_at: starts_at,
            zoom_told_at: starts_at,
            cancelled_at: None,
            actual_started_at: None,
            actual_ended_at: None,
            meeting_instances: Vec::new(),
            drift: Vec::new(),
        }
    }

    #[test]
    fn a_reminder_is_told_while_it_is_true_and_of_use() {
        use Reminder::{DayBefore, HourBefore, Start};
        use Status::{Cancelled, Ended, Live, Scheduled};
        use ReminderDecision::{Tell, Wait};
        let start: Timestamp = "2026-11-21T09:00:00Z".parse().unwrap();
        // Which, the class's status, minutes from the planned start to the sweep that finds it.
        let cases = [
            (DayBefore, Scheduled, -24 * 60, Tell),
            // Five minutes late is a sweep that is in time; an hour, one that did not run for a while.
            (DayBefore, Scheduled, -24 * 60 + 5, Tell),
            (DayBefore, Scheduled, -23 * 60, Tell),
            (DayBefore, Scheduled, -12 * 60 - 1, Tell),
            (DayBefore, Scheduled, -12 * 60, ReminderDecision::Void(ReminderSkipReason::Late)),
            (DayBefore, Cancelled, -24 * 60, ReminderDecision::Void(ReminderSkipReason::Cancelled)),
            (DayBefore, Ended, -24 * 60, ReminderDecision::Void(ReminderSkipReason::Over)),
            (HourBefore, Scheduled, -60, Tell),
            (HourBefore, Live, -55, Tell),
            (HourBefore, Scheduled, -1, Tell),
            (HourBefore, Scheduled, 0, ReminderDecision::Void(ReminderSkipReason::Late)),
            (HourBefore, Cancelled, -60, ReminderDecision::Void(ReminderSkipReason::Cancelled)),
            (Start, Scheduled, 0, Tell),
            (Start, Live, 5, Tell),
            (Start, Live, 29, Tell),
            (Start, Live, 30, ReminderDecision::Void(ReminderSkipReason::Late)),
            (Start, Ended, 5, Wait),
            (Start, Ended, 30, ReminderDecision::Void(ReminderSkipReason::Late)),
            (Start, Cancelled, 5, ReminderDecision::Void(ReminderSkipReason::Cancelled)),
        ];
        for (reminder, status, minutes, expected) in cases {
            let now = plus_minutes(start, minutes);
            let verdict = reminder.decide(&class(start, status), start, now);
            assert_eq!(verdict, expected, "{reminder:?} of a class {status:?}, {minutes} minutes");
        }
    }

    #[test]
    fn a_reminder_of_another_start_or_for_nobody_is_void() {
        let start: Timestamp = "2026-11-21T09:00:00Z".parse().unwrap();
        let moved = class(plus_minutes(start, 30), Status::Scheduled);
        let own = class(start, Status::Scheduled);
        let nobody = Session { audience: Audience::Standalone, ..own.clone() };
        let short = Session { duration_minutes: 15, ..own };
        for reminder in Reminder::ALL {
            let due = reminder.due_at(start);
            assert_eq!(reminder.decide(&moved, start, due), ReminderDecision::Void(ReminderSkipReason::Moved));
            assert_eq!(reminder.decide(&nobody, start, due), ReminderDecision::Void(ReminderSkipReason::Nobody));
        }
        let over = plus_minutes(start, 15);
        assert_eq!(Reminder::Start.decide(&short, start, over), ReminderDecision::Void(ReminderSkipReason::Late));
    }
}
