//! The clock. Each handler reads it once per event and passes `now` on. No other code reads the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};

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
        Self::Manual(ManualClock {
            base: Base::Fixed,
            millis: Arc::new(at.as_millisecond().into()),
        })
    }

    /// Creates a clock that runs with the system clock, at an offset that starts at zero.
    pub fn offset_from_system() -> Self {
        Self::Manual(ManualClock { base: Base::System, millis: Arc::new(0.into()) })
    }

    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => system_now(),
            Self::Manual(clock) => clock.now(),
        }
    }
}

/// A clock that a test or the local stack can move. Clones move together.
#[derive(Clone, Debug)]
pub struct ManualClock {
    base: Base,
    /// Milliseconds since the epoch (`Base::Fixed`), or ahead of the system clock (`Base::System`).
    millis: Arc<AtomicI64>,
}

#[derive(Clone, Copy, Debug)]
enum Base {
    Fixed,
    System,
}

impl ManualClock {
    pub fn now(&self) -> Timestamp {
        let millis = self.millis.load(Ordering::SeqCst);
        let base = match self.base {
            Base::Fixed => 0,
            Base::System => system_now().as_millisecond(),
        };
        Timestamp::from_millisecond(base.saturating_add(millis)).unwrap_or(Timestamp::MAX)
    }

    /// Moves the clock by `by`, forwards or backwards.
    pub fn advance(&self, by: SignedDuration) {
        let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.millis.fetch_add(millis, Ordering::SeqCst);
    }

    /// Returns the offset from the system clock, or from the epoch if the clock is stopped.
    pub fn offset(&self) -> SignedDuration {
        SignedDuration::from_millis(self.millis.load(Ordering::SeqCst))
    }

    /// Sets the clock to `at`.
    pub fn set(&self, at: Timestamp) {
        self.advance(at.duration_since(self.now()));
    }
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
}
