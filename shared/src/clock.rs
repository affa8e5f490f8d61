//! The clock. Each handler reads it once per event and passes `now` on. No other code reads the time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// A source of the current time.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The system clock, in production.
    System,
    /// A clock that a test or the local stack sets.
    Manual(ManualClock),
}

impl Clock {
    /// Creates a clock that is stopped at `at` until it is moved.
    pub fn stopped_at(at: Timestamp) -> Self {
        Self::Manual(ManualClock::new(ManualTime { frozen: true, millis: at.as_millisecond() }))
    }

    /// Creates a clock that runs with the system clock, at an offset that starts at zero.
    pub fn offset_from_system() -> Self {
        Self::Manual(ManualClock::new(ManualTime { frozen: false, millis: 0 }))
    }

    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => system_now(),
            Self::Manual(clock) => clock.now(),
        }
    }

    /// Waits for `duration`. A frozen clock does not wait, because its time does not pass.
    pub async fn sleep(&self, duration: Duration) {
        let is_frozen = match self {
            Self::System => false,
            Self::Manual(clock) => clock.time().frozen,
        };
        if !is_frozen {
            tokio::time::sleep(duration).await;
        }
    }
}

/// A clock that a test or the local stack can move and freeze. Clones share their time.
#[derive(Clone, Debug)]
pub struct ManualClock {
    time: Arc<Mutex<ManualTime>>,
}

/// The time of a manual clock, which the local stack stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManualTime {
    /// A frozen clock stands still until it is moved.
    pub frozen: bool,
    /// Milliseconds since the epoch if the clock is frozen, or else ahead of the system clock.
    pub millis: i64,
}

impl ManualTime {
    fn now_millis(self) -> i64 {
        base_millis(self.frozen).saturating_add(self.millis)
    }
}

impl ManualClock {
    fn new(time: ManualTime) -> Self {
        Self { time: Arc::new(Mutex::new(time)) }
    }

    pub fn now(&self) -> Timestamp {
        let millis = self.lock().now_millis();
        Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX)
    }

    /// Moves the clock by `by`, forwards or backwards.
    pub fn advance(&self, by: SignedDuration) {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        let mut time = self.lock();
        time.millis = time.millis.saturating_add(by);
    }

    /// Sets the clock to `at`.
    pub fn set(&self, at: Timestamp) {
        let mut time = self.lock();
        time.millis = at.as_millisecond().saturating_sub(base_millis(time.frozen));
    }

    /// Stops the clock at its current time, or lets it run on from there.
    pub fn set_frozen(&self, frozen: bool) {
        let mut time = self.lock();
        let millis = time.now_millis().saturating_sub(base_millis(frozen));
        *time = ManualTime { frozen, millis };
    }

    pub fn time(&self) -> ManualTime {
        *self.lock()
    }

    /// Replaces the time by one that [`Self::time`] returned.
    pub fn restore(&self, time: ManualTime) {
        *self.lock() = time;
    }

    fn lock(&self) -> MutexGuard<'_, ManualTime> {
        // The time is replaced as a whole, so a panic cannot leave it half changed.
        self.time.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The time to which a manual clock adds its milliseconds.
fn base_millis(frozen: bool) -> i64 {
    if frozen { 0 } else { system_now().as_millisecond() }
}

#[expect(clippy::disallowed_methods, reason = "the only place that reads the system clock")]
fn system_now() -> Timestamp {
    Timestamp::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stopped_clock_and_its_clones_move_together() {
        let start = Timestamp::from_second(1_800_000_000).unwrap();
        let clock = Clock::stopped_at(start);
        let Clock::Manual(manual) = clock.clone() else { unreachable!() };
        assert_eq!(clock.now(), start);
        manual.advance(SignedDuration::from_hours(7));
        assert_eq!(clock.now(), start + SignedDuration::from_hours(7));
        manual.set(start);
        assert_eq!(clock.now(), start);
    }

    #[test]
    fn frozen_clock_stands_still_and_runs_on_from_its_time() {
        let clock = Clock::offset_from_system();
        let Clock::Manual(manual) = clock.clone() else { unreachable!() };
        manual.advance(SignedDuration::from_hours(24));
        manual.set_frozen(true);
        let frozen_at = clock.now();
        std::thread::sleep(std::time::Duration::from_millis(5));
        assert_eq!(clock.now(), frozen_at);
        manual.advance(SignedDuration::from_hours(1));
        manual.set_frozen(false);
        let expected = frozen_at + SignedDuration::from_hours(1);
        assert!((expected..expected + SignedDuration::from_mins(1)).contains(&clock.now()));
        // A stored time is that of a later process, too.
        let stored = manual.time();
        manual.set_frozen(true);
        manual.restore(stored);
        assert!(!manual.time().frozen && clock.now() >= expected);
    }
}
