//! Claims on mails and the number of attempts.
//!
//! A mail is claimed before it is sent, so a redelivered message does not send it again. Recording the outcome ends the
//! claim. The outcome is unknown if the mail service did not respond, or if the claim expired because the run died. Such
//! a mail is sent **once** more, because a duplicate mail is better than a missing one. After a second unknown outcome it
//! moves to the dead-letter queue, and a redrive does not send it again.

use std::time::Duration;

use jiff::Timestamp;

use super::DeliveryStatus;

/// The maximum number of attempts. Rate limits and pauses do not count.
pub const MAX_ATTEMPTS: u32 = 5;

/// The delays after each attempt: short enough for a reminder one hour ahead, long enough for an outage of two hours.
const RETRY_DELAYS: [Duration; 4] = [
    Duration::from_secs(60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 60 * 60),
];

/// The number of unknown outcomes after which a mail is still sent.
const MAX_UNKNOWN_OUTCOMES: u32 = 1;

/// Returns the delay before the next attempt, or `None` after the last one.
pub fn retry_delay_after(attempts: u32) -> Option<Duration> {
    RETRY_DELAYS.get(usize::try_from(attempts.saturating_sub(1)).ok()?).copied()
}

/// Returns the delay after an attempt with an unknown outcome, or `None` if there was one before. The first one is always
/// followed by another attempt.
pub fn retry_delay_after_unknown_outcome(claim: &MailClaim) -> Option<Duration> {
    let [.., longest] = RETRY_DELAYS;
    (claim.unknown_outcomes < MAX_UNKNOWN_OUTCOMES)
        .then(|| retry_delay_after(claim.attempts).unwrap_or(longest))
}

/// The exclusive right to send one mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailClaim {
    pub phase: ClaimPhase,
    /// The token of the attempt that holds or held the claim.
    pub holder: String,
    /// Attempts so far, including the current one.
    pub attempts: u32,
    /// Earlier attempts that may have sent the mail.
    pub unknown_outcomes: u32,
    /// The redrive count of the mail when it was claimed.
    pub redrives: u32,
    /// The time of the last claim.
    pub claimed_at: Timestamp,
    /// The delivery status in the latest delivery record.
    pub recorded_status: DeliveryStatus,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimPhase {
    /// A run is sending the mail. The claim expires at `until`.
    Sending { until: Timestamp },
    /// Another attempt follows.
    Waiting,
    /// Finished, unless an operator moves the mail back from the dead-letter queue.
    Finished,
    /// A phase of a newer version.
    Unknown,
}

/// What to do with a message whose mail has been claimed before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextAttempt {
    /// The mail is finished.
    Finished,
    /// Another run holds the claim until this time.
    InProgress(Timestamp),
    /// The mail waits for another attempt.
    Available,
    /// The claim expired. The mail is sent once more unless a delivery record shows that it was sent.
    Lost,
    /// The claim expired, and an earlier attempt had an unknown outcome, too.
    GivenUp,
    /// The claim is of a newer version, which must decide.
    Unknown,
    /// The mail was moved back from the dead-letter queue and starts again.
    Redriven,
}

impl MailClaim {
    /// Decides about a message with the given redrive count.
    pub fn next_attempt(&self, redrives: u32, now: Timestamp) -> NextAttempt {
        match self.phase {
            ClaimPhase::Waiting => NextAttempt::Available,
            ClaimPhase::Unknown => NextAttempt::Unknown,
            ClaimPhase::Finished
                if self.recorded_status == DeliveryStatus::Dead
                    && redrives > self.redrives
                    && self.unknown_outcomes <= MAX_UNKNOWN_OUTCOMES =>
            {
                NextAttempt::Redriven
            }
            ClaimPhase::Finished => NextAttempt::Finished,
            ClaimPhase::Sending { until } if until > now => NextAttempt::InProgress(until),
            ClaimPhase::Sending { .. } if self.unknown_outcomes < MAX_UNKNOWN_OUTCOMES => {
                NextAttempt::Lost
            }
            ClaimPhase::Sending { .. } => NextAttempt::GivenUp,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_attempts_have_increasing_delays() {
        let minutes: Vec<_> = (1..=MAX_ATTEMPTS)
            .map(|attempts| retry_delay_after(attempts).map(|pause| pause.as_secs() / 60))
            .collect();
        assert_eq!(minutes, [Some(1), Some(5), Some(30), Some(120), None]);
    }

    #[test]
    fn next_attempt_depends_on_phase_unknown_outcomes_and_redrives() {
        let now: Timestamp = "2026-11-21T09:00:00Z".parse().unwrap();
        let (past, future) =
            (now - jiff::SignedDuration::from_secs(1), now + jiff::SignedDuration::from_secs(1));
        let claim = |phase, unknown_outcomes, recorded_status| MailClaim {
            phase,
            holder: String::new(),
            attempts: 1,
            unknown_outcomes,
            redrives: 0,
            claimed_at: past,
            recorded_status,
        };
        let sending = |until| ClaimPhase::Sending { until };
        let cases = [
            (claim(ClaimPhase::Waiting, 0, DeliveryStatus::Retrying), 0, NextAttempt::Available),
            (claim(sending(future), 0, DeliveryStatus::Queued), 0, NextAttempt::InProgress(future)),
            (claim(sending(now), 0, DeliveryStatus::Queued), 0, NextAttempt::Lost),
            (claim(sending(past), 1, DeliveryStatus::Queued), 0, NextAttempt::GivenUp),
            (claim(sending(past), 1, DeliveryStatus::Queued), 1, NextAttempt::GivenUp),
            (claim(ClaimPhase::Finished, 0, DeliveryStatus::Failed), 1, NextAttempt::Finished),
            (claim(ClaimPhase::Finished, 0, DeliveryStatus::Dropped), 1, NextAttempt::Finished),
            (claim(ClaimPhase::Finished, 0, DeliveryStatus::Dead), 0, NextAttempt::Finished),
            (claim(ClaimPhase::Finished, 0, DeliveryStatus::Dead), 1, NextAttempt::Redriven),
            (claim(ClaimPhase::Finished, 1, DeliveryStatus::Dead), 1, NextAttempt::Redriven),
            (claim(ClaimPhase::Finished, 2, DeliveryStatus::Dead), 1, NextAttempt::Finished),
            (claim(ClaimPhase::Unknown, 0, DeliveryStatus::Queued), 1, NextAttempt::Unknown),
        ];
        for (claim, redrives, expected) in cases {
            assert_eq!(
                claim.next_attempt(redrives, now),
                expected,
                "{claim:?}, redrives {redrives}"
            );
        }
    }
}
