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
pub(super) struct ZoomRateLimiter {
    last_calls: HashMap<String, Instant>,
}

impl ZoomRateLimiter {
    /// Waits until the account may be called again.
    pub(super) async fn wait(&mut self, clock: &Clock, account: &str) {
        let delay = self.reserve(account, Instant::now());
        if !delay.is_zero() {
            clock.sleep(delay).await;
        }
    }

    /// Reserves the next call of an account, and returns the time until then.
    fn reserve(&mut self, account: &str, now: Instant) -> Duration {
        let next = self.last_calls.get(account).map(|last| *last + CALL_INTERVAL);
        let at = next.map_or(now, |next| next.max(now));
        self.last_calls.insert(account.to_owned(), at);
        at.saturating_duration_since(now)
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

    #[test]
    fn calls_of_one_account_are_half_a_second_apart() {
        let mut limiter = ZoomRateLimiter::default();
        let start = Instant::now();
        for (account, millis, expected) in [
            ("a", 0, 0),
            ("b", 0, 0),
            ("a", 0, 500),
            ("a", 700, 300),
            ("b", 700, 0),
            ("a", 9000, 0),
        ] {
            let now = start + Duration::from_millis(millis);
            let delay = limiter.reserve(account, now);
            assert_eq!(delay, Duration::from_millis(expected), "{account} {millis}");
        }
    }
}
