//! The time between background calls of one Zoom account. Zoom's limits per second apply to all apps of an account together.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::Clock;
use crate::domain::session::Session;

/// The time between two calls of one account.
const CALL_INTERVAL: Duration = Duration::from_millis(500);

/// The last calls of a run, by account.
#[derive(Debug, Default)]
pub(super) struct ZoomPace {
    last_calls: HashMap<String, Instant>,
}

impl ZoomPace {
    /// Waits until the account may be called again.
    pub(super) async fn wait(&mut self, clock: &Clock, account: &str) {
        let now = Instant::now();
        if let Some(last) = self.last_calls.get(account) {
            let left = CALL_INTERVAL.saturating_sub(now.saturating_duration_since(*last));
            if !left.is_zero() {
                clock.sleep(left).await;
            }
        }
        self.last_calls.insert(account.to_owned(), Instant::now());
    }
}

/// Returns the Zoom account of a session's meeting. The account of the oldest meetings is unknown, so the trainer's id is used
/// instead.
pub(super) fn account_of(session: &Session) -> String {
    session.meeting.account.clone().unwrap_or_else(|| session.trainer.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn calls_of_one_account_are_half_a_second_apart() {
        let mut pace = ZoomPace::default();
        let start = Instant::now();
        let mut waited = Vec::new();
        for account in ["a", "b", "a", "a", "b"] {
            pace.wait(&Clock::System, account).await;
            waited.push(start.elapsed().as_millis());
        }
        assert_eq!(waited, [0, 0, 500, 1000, 1000]);
    }

    #[tokio::test(start_paused = true)]
    async fn frozen_clock_does_not_wait() {
        let clock = Clock::stopped_at(jiff::Timestamp::UNIX_EPOCH);
        let mut pace = ZoomPace::default();
        let start = Instant::now();
        pace.wait(&clock, "a").await;
        pace.wait(&clock, "a").await;
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}
