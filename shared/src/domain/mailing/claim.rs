//! Who may send a mail, and how often it is tried.
//!
//! A mail is claimed before it is sent, so that a second message about it sends nothing. A claim ends by what came of
//! it. One that nobody ended is a run that died between taking the claim and noting what came of it, and nobody knows
//! whether the mail has left. It may be claimed **once** more, and that is counted: one mail twice is better than a class
//! that somebody never heard of. The second time it is not sent a third time but set aside in the dead-letter queue.

use std::time::Duration;

use jiff::Timestamp;

use super::DeliveryStatus;

/// How often a mail is tried in all; a limit of the service's and a pause of ours count as no try.
pub const ATTEMPTS: u32 = 5;

/// What follows the first try, the second and so on: soon enough for a reminder an hour ahead, late enough to outlast
/// a service's bad afternoon.
const PAUSES: [Duration; 4] = [
    Duration::from_secs(60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 60 * 60),
];

/// How often a claim may end without a word and the mail be sent all the same.
const LOST_CLAIMS: u32 = 1;

/// How long to wait after so many tries; `None` when there is to be no other.
pub fn pause_after(attempts: u32) -> Option<Duration> {
    PAUSES.get(usize::try_from(attempts.saturating_sub(1)).ok()?).copied()
}

/// A mail as its claim tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailClaim {
    pub phase: ClaimPhase,
    /// Tries so far, one under way included.
    pub attempts: u32,
    /// Claims that ended without a word.
    pub lost: u32,
    /// How often it had come back from the dead-letter queue.
    pub round: u32,
    /// When it was taken last.
    pub since: Timestamp,
    /// What its class was told last of it.
    pub told: DeliveryStatus,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimPhase {
    /// Somebody is sending it, until then at the latest.
    Sending { until: Timestamp },
    /// To be tried again.
    Waiting,
    /// Nothing more happens to it, unless somebody brings it back from the dead-letter queue.
    Over,
}

/// What a message about a mail that was claimed before comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextAttempt {
    /// There is nothing left to do.
    Over,
    /// Another has it in hand until then.
    InHand(Timestamp),
    /// It waits for this.
    Free,
    /// Nobody ended the last claim: unless its fate was noted after all, it is sent once more.
    Lost,
    /// Nobody ended the claim after that one either.
    GivenUp,
    /// It was brought back from the dead-letter queue and begins anew.
    BroughtBack,
}

impl MailClaim {
    /// For a message of the `round`th return.
    pub fn again(&self, round: u32, now: Timestamp) -> NextAttempt {
        match self.phase {
            ClaimPhase::Waiting => NextAttempt::Free,
            ClaimPhase::Over if self.told == DeliveryStatus::Dead && round > self.round => NextAttempt::BroughtBack,
            ClaimPhase::Over => NextAttempt::Over,
            ClaimPhase::Sending { until } if until > now => NextAttempt::InHand(until),
            ClaimPhase::Sending { .. } if self.lost < LOST_CLAIMS || round > self.round => NextAttempt::Lost,
            ClaimPhase::Sending { .. } => NextAttempt::GivenUp,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_tries_with_longer_and_longer_pauses() {
        let minutes: Vec<_> = (1..=ATTEMPTS)
            .map(|attempts| pause_after(attempts).map(|pause| pause.as_secs() / 60))
            .collect();
        assert_eq!(minutes, [Some(1), Some(5), Some(30), Some(120), None]);
    }

    #[test]
    fn a_second_message_sends_only_what_waits_what_was_lost_once_and_what_was_brought_back() {
        let now: Timestamp = "2026-11-21T09:00:00Z".parse().unwrap();
        let (past, future) =
            (now - jiff::SignedDuration::from_secs(1), now + jiff::SignedDuration::from_secs(1));
        let claim =
            |phase, lost, told| MailClaim { phase, attempts: 1, lost, round: 0, since: past, told };
        let sending = |until| ClaimPhase::Sending { until };
        let cases = [
            (claim(ClaimPhase::Waiting, 0, DeliveryStatus::Retrying), 0, NextAttempt::Free),
            (claim(sending(future), 0, DeliveryStatus::Queued), 0, NextAttempt::InHand(future)),
            (claim(sending(now), 0, DeliveryStatus::Queued), 0, NextAttempt::Lost),
            (claim(sending(past), 1, DeliveryStatus::Queued), 0, NextAttempt::GivenUp),
            (claim(sending(past), 1, DeliveryStatus::Queued), 1, NextAttempt::Lost),
            (claim(ClaimPhase::Over, 0, DeliveryStatus::Failed), 1, NextAttempt::Over),
            (claim(ClaimPhase::Over, 0, DeliveryStatus::Dropped), 1, NextAttempt::Over),
            (claim(ClaimPhase::Over, 0, DeliveryStatus::Dead), 0, NextAttempt::Over),
            (claim(ClaimPhase::Over, 0, DeliveryStatus::Dead), 1, NextAttempt::BroughtBack),
        ];
        for (claim, round, expected) in cases {
            assert_eq!(claim.again(round, now), expected, "{claim:?}, round {round}");
        }
    }
}
