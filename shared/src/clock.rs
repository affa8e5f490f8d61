//! The clock. The edge reads it once per event and hands `now` down; nothing else asks for the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};

/// Where `now` comes from.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's clock: production.
    System,
    /// A clock that a test or the local stack sets.
    Manual(ManualClock),
}

impl Clock {
    /// A clock that stands still at `at` until it is moved.
    pub fn standing(at: Timestamp) -> Self {
        Self::Manual(ManualClock {
            base: Base::Fixed,
            millis: Arc::new(at.as_millisecond().into()),
        })
    }

    /// A clock that runs with the system's, shifted by what it was moved.
    pub fn running() -> Self {
        Self::Manual(ManualClock { base: Base::System, millis: Arc::new(0.into()) })
    }

    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => system_now(),
            Self::Manual(clock) => clock.now(),
        }
    }
}

/// A clock that can be moved. Clones share the hands.
#[derive(Clone, Debug)]
pub struct ManualClock {
    base: Base,
    /// Milliseconds since the epoch (`Base::Fixed`), or ahead of the system's clock.
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

    /// Moves the hands by `by`; time may also be turned back.
    pub fn advance(&self, by: SignedDuration) {
        let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.millis.fetch_add(millis, Ordering::SeqCst);
    }

    /// How far the hands are ahead of the clock that they run with; of a standing one, since the epoch.
    pub fn ahead(&self) -> SignedDuration {
        SignedDuration::from_millis(self.millis.load(Ordering::SeqCst))
    }

    /// Sets the hands to `at`.
    pub fn set(&self, at: Timestamp) {
        self.advance(at.duration_since(self.now()));
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that reads the system's clock"
)]
fn system_now() -> Timestamp {
    Timestamp::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standing_clock_moves_only_when_told_and_its_clones_move_with_it() {
        let start = Timestamp::from_second(1_800_000_000).unwrap();
        let clock = Clock::standing(start);
        let Clock::Manual(hands) = clock.clone() else { unreachable!() };
        assert_eq!(clock.now(), start);
        hands.advance(SignedDuration::from_hours(7));
        assert_eq!(clock.now(), start + SignedDuration::from_hours(7));
        hands.set(start);
        assert_eq!(clock.now(), start);
    }
}
