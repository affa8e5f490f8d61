//! How fast mails leave.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// The second that a rate is meant by, and a hundredth more: a timer may be late for one mail and not for the next.
const SECOND_NANOS: u64 = 1_010_000_000;
/// The slowest that a service's limits make us.
const SLOWEST: Duration = Duration::from_secs(1);

/// Lets one mail pass at a time, each so long after the one before: so in no second more leave than are configured,
/// the one between two runs included.
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
        // The first one waits, too: the run before may have ended with one just now.
        let next = Instant::now() + interval;
        Self { inner: Mutex::new(Inner { interval, next }) }
    }

    /// Waits for one's turn; `false` at once where it would come after `latest`.
    pub(super) async fn turn(&self, latest: Instant) -> bool {
        let slot = self.lock().slot(Instant::now(), latest);
        match slot {
            Some(slot) => {
                sleep_until(slot).await;
                true
            }
            None => false,
        }
    }

    /// The service wants it slower: for `pause` nothing leaves, and from then on half as much.
    pub(super) fn slow_down(&self, pause: Duration) {
        self.lock().slow_down(Instant::now() + pause);
    }

    /// How many mails pass in a time.
    pub(super) fn within(&self, time: Duration) -> usize {
        let interval = self.lock().interval.as_micros().max(1);
        usize::try_from(time.as_micros() / interval).unwrap_or(usize::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Two plain values; a panic elsewhere does not spoil them.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// The next place in the line, for who comes at `now`.
    fn slot(&mut self, now: Instant, latest: Instant) -> Option<Instant> {
        let slot = self.next.max(now);
        if slot > latest {
            return None;
        }
        self.next = slot + self.interval;
        Some(slot)
    }

    fn slow_down(&mut self, until: Instant) {
        self.next = self.next.max(until);
        self.interval = (self.interval * 2).min(SLOWEST.max(self.interval));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When each of those passes who all come at once, for five seconds.
    fn passed(inner: &mut Inner, begun: Instant) -> Vec<Duration> {
        let latest = begun + Duration::from_secs(5);
        std::iter::from_fn(|| inner.slot(begun, latest)).map(|slot| slot - begun).collect()
    }

    #[test]
    fn no_second_has_more_than_the_rate() {
        for rate in [1_u32, 14, 250, 1000] {
            let pace = RateLimiter::new(rate);
            let mut inner = pace.lock();
            let begun = inner.next - inner.interval;
            let passed = passed(&mut inner, begun);
            let rate = usize::try_from(rate).unwrap();
            for (n, from) in passed.iter().enumerate() {
                let within =
                    passed[n..].iter().take_while(|at| **at < *from + Duration::from_secs(1));
                assert!(within.count() <= rate, "in a second at {rate}");
            }
            let most = 5 * rate;
            assert!(passed.len() <= most && passed.len() >= most * 98 / 100 - 1, "at {rate}");
        }
    }

    #[test]
    fn who_comes_late_does_not_let_others_catch_up() {
        let pace = RateLimiter::new(10);
        let mut inner = pace.lock();
        let late = inner.next + Duration::from_secs(60);
        let latest = late + Duration::from_secs(1);
        assert_eq!(inner.slot(late, latest), Some(late));
        assert_eq!(inner.slot(late, latest), Some(late + Duration::from_millis(101)));
    }

    #[test]
    fn a_limit_makes_it_pause_and_then_go_at_half_the_rate() {
        let pace = RateLimiter::new(10);
        let mut inner = pace.lock();
        let begun = inner.next;
        let until = begun + Duration::from_secs(3);
        inner.slow_down(until);
        let latest = begun + Duration::from_secs(60);
        assert_eq!(inner.slot(begun, latest), Some(until));
        assert_eq!(inner.slot(begun, latest), Some(until + Duration::from_millis(202)));
        for _ in 0..10 {
            inner.slow_down(begun);
        }
        assert_eq!(inner.interval, SLOWEST, "never slower than that");
    }
}
