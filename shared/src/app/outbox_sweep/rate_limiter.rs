//! Limits the rate of outgoing mails.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// One second plus one percent, because a timer may be late for one mail and not for the next.
const SECOND_NANOS: u64 = 1_010_000_000;
/// The maximum interval after the service's rate limits.
const MAX_INTERVAL: Duration = Duration::from_secs(1);

/// Permits mails at a fixed interval, so that no second has more mails than configured, even across two runs.
#[derive(Debug)]
pub(super) struct RateLimiter {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    interval: Duration,
    next: Instant,
}

impl RateLimiter {
    pub(super) fn new(per_second: u32) -> Self {
        let interval = Duration::from_nanos(SECOND_NANOS.div_ceil(per_second.max(1).into()));
        // The first mail also waits, because the previous run may have sent one just now.
        let next = Instant::now() + interval;
        Self { inner: Mutex::new(Inner { interval, next }) }
    }

    /// Waits for the next slot. Returns `false` immediately if it would be after `latest`.
    pub(super) async fn acquire(&self, latest: Instant) -> bool {
        let slot = self.lock().reserve_slot(Instant::now(), latest);
        match slot {
            Some(slot) => {
                sleep_until(slot).await;
                true
            }
            None => false,
        }
    }

    /// Reacts to the service's rate limit: sends nothing for `pause` and halves the rate afterwards.
    pub(super) fn slow_down(&self, pause: Duration) {
        self.lock().slow_down(Instant::now() + pause);
    }

    /// Returns the number of mails in a period at the current rate.
    pub(super) fn permits_within(&self, time: Duration) -> usize {
        let interval = self.lock().interval.as_micros().max(1);
        usize::try_from(time.as_micros() / interval).unwrap_or(usize::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic while the lock is held cannot leave these two values inconsistent.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Reserves the next slot, unless it is after `latest`.
    fn reserve_slot(&mut self, now: Instant, latest: Instant) -> Option<Instant> {
        let slot = self.next.max(now);
        if slot > latest {
            return None;
        }
        self.next = slot + self.interval;
        Some(slot)
    }

    fn slow_down(&mut self, until: Instant) {
        self.next = self.next.max(until);
        self.interval = (self.interval * 2).min(MAX_INTERVAL.max(self.interval));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the slots of five seconds relative to `begun`.
    fn slots(inner: &mut Inner, begun: Instant) -> Vec<Duration> {
        let latest = begun + Duration::from_secs(5);
        std::iter::from_fn(|| inner.reserve_slot(begun, latest)).map(|slot| slot - begun).collect()
    }

    #[test]
    fn no_second_has_more_than_the_rate() {
        for rate in [1_u32, 14, 250, 1000] {
            let limiter = RateLimiter::new(rate);
            let mut inner = limiter.lock();
            let begun = inner.next - inner.interval;
            let slots = slots(&mut inner, begun);
            let rate = usize::try_from(rate).unwrap();
            for (n, from) in slots.iter().enumerate() {
                let within =
                    slots[n..].iter().take_while(|at| **at < *from + Duration::from_secs(1));
                assert!(within.count() <= rate, "in a second at {rate}");
            }
            let most = 5 * rate;
            assert!(slots.len() <= most && slots.len() >= most * 98 / 100 - 1, "at {rate}");
        }
    }

    #[test]
    fn idle_time_does_not_allow_a_burst() {
        let limiter = RateLimiter::new(10);
        let mut inner = limiter.lock();
        let late = inner.next + Duration::from_secs(60);
        let latest = late + Duration::from_secs(1);
        assert_eq!(inner.reserve_slot(late, latest), Some(late));
        assert_eq!(inner.reserve_slot(late, latest), Some(late + Duration::from_millis(101)));
    }

    #[test]
    fn rate_limit_causes_pause_and_half_the_rate() {
        let limiter = RateLimiter::new(10);
        let mut inner = limiter.lock();
        let begun = inner.next;
        let until = begun + Duration::from_secs(3);
        inner.slow_down(until);
        let latest = begun + Duration::from_secs(60);
        assert_eq!(inner.reserve_slot(begun, latest), Some(until));
        assert_eq!(inner.reserve_slot(begun, latest), Some(until + Duration::from_millis(202)));
        for _ in 0..10 {
            inner.slow_down(begun);
        }
        assert_eq!(inner.interval, MAX_INTERVAL);
    }
}
