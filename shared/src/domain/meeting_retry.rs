//! When the making of a pending meeting is tried again.

use jiff::{SignedDuration, Timestamp};

/// The pause after the first failure. It doubles with each further one.
pub const FIRST_PAUSE: SignedDuration = SignedDuration::from_mins(15);
/// The longest pause. A host whose limit is reset at midnight UTC, or who connects Zoom, waits no longer than this.
pub const LONGEST_PAUSE: SignedDuration = SignedDuration::from_hours(6);
/// How long before the start the trainer and the operator are notified that the meeting is missing.
pub const NOTICE: SignedDuration = SignedDuration::from_hours(24);
/// The part of the time until the start that a pause takes at most, so that a session that begins soon is tried often.
const PART_OF_REST: i32 = 4;

/// A failed attempt to make the meetings of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailedAttempt {
    pub at: Timestamp,
    /// The failures before this one.
    pub failures: u32,
    /// When the daily limit of the host is reset, if it was the reason.
    pub reset_at: Option<Timestamp>,
    /// A random delay, so that the hosts of an account do not retry at the same moment. At least a second.
    pub jitter: SignedDuration,
}

impl FailedAttempt {
    /// Returns the time of the next attempt for a session that begins at `starts_at`. It is neither long after the reset of a
    /// limit, nor after the time of the notice, so that the notice follows an attempt.
    pub fn retry_at(&self, starts_at: Timestamp) -> Timestamp {
        let doubled = FIRST_PAUSE.checked_mul(1 << self.failures.min(10)).unwrap_or(LONGEST_PAUSE);
        let rest = starts_at.duration_since(self.at) / PART_OF_REST;
        let pause = doubled.min(LONGEST_PAUSE).min(rest.max(FIRST_PAUSE));
        let after = |at: Timestamp, pause: SignedDuration| at.saturating_add(pause).unwrap_or(at);
        let retry_at = after(self.at, pause);
        let reset_at = self.reset_at.map_or(retry_at, |reset_at| reset_at.max(self.at));
        let retry_at = after(retry_at.min(reset_at), self.jitter);
        let notice_at = Some(notice_at(starts_at)).filter(|notice_at| *notice_at > self.at);
        retry_at.min(notice_at.unwrap_or(retry_at))
    }
}

/// Returns the time from which a missing meeting is reported.
pub fn notice_at(starts_at: Timestamp) -> Timestamp {
    starts_at.saturating_sub(NOTICE).unwrap_or(starts_at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(60 * minutes).unwrap()
    }

    #[test]
    fn pause_doubles_up_to_six_hours_and_ends_at_reset_and_notice() {
        const DAY: i64 = 24 * 60;
        // Failures before, minutes to the reset, minutes to the start, expected minutes to the next attempt with a minute of
        // jitter.
        let cases = [
            (0, None, 10 * DAY, 16),
            (1, None, 10 * DAY, 31),
            (2, None, 10 * DAY, 61),
            (4, None, 10 * DAY, 241),
            (5, None, 10 * DAY, 361),
            (60, None, 10 * DAY, 361),
            // The limit is reset before the pause ends.
            (5, Some(100), 10 * DAY, 101),
            (0, Some(100), 10 * DAY, 16),
            (5, Some(-5), 10 * DAY, 1),
            // The notice is due before the pause ends.
            (5, None, DAY + 90, 90),
            (5, None, DAY, 361),
            // The session begins soon.
            (5, None, 8 * 60, 121),
            (5, None, 30, 16),
            (5, None, -30, 16),
        ];
        for (failures, reset, start, expected) in cases {
            let now = at(1000);
            let failed = FailedAttempt {
                at: now,
                failures,
                reset_at: reset.map(|minutes: i64| at(1000 + minutes)),
                jitter: SignedDuration::from_mins(1),
            };
            let retry_at = failed.retry_at(at(1000 + start));
            assert_eq!(retry_at, at(1000 + expected), "{failures} {reset:?} {start}");
        }
    }
}
