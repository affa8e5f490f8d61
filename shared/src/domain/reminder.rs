//! Which reminders a class gets, and when.

use jiff::Timestamp;

use super::time::plus_minutes;

#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Reminder {
    DayBefore,
    HourBefore,
    /// The class begins: in-app only.
    Start,
}

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
}

/// The reminders still ahead of a class that is saved at `now`. One that would already be late is never set:
/// the invitation itself, sent at `now`, says as much.
pub fn ahead(starts_at: Timestamp, now: Timestamp) -> impl Iterator<Item = Reminder> {
    Reminder::ALL.into_iter().filter(move |reminder| reminder.due_at(starts_at) > now)
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
