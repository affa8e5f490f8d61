//! The time of a run that nobody waits for, and that ends by itself before it is ended.

use std::time::Duration;

use tokio::time::Instant;

/// A run's time. It is the machine's, not the clock's: what is waited for is real.
#[derive(Clone, Copy, Debug)]
pub struct RunTime {
    end: Instant,
}

impl RunTime {
    /// So long from now.
    pub fn of(time: Duration) -> Self {
        Self { end: Instant::now() + time }
    }

    pub fn left(self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    pub fn is_left(self, time: Duration) -> bool {
        self.left() > time
    }

    pub fn before_end(self, time: Duration) -> Instant {
        self.end.checked_sub(time).unwrap_or(self.end)
    }
}
