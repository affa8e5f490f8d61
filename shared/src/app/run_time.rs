//! The time limit of a scheduled run, which ends before Lambda stops it.

use std::time::Duration;

use tokio::time::Instant;

/// The deadline of a run. It uses the monotonic system clock instead of `Clock`, because the waiting times are real.
#[derive(Clone, Copy, Debug)]
pub struct RunTime {
    end: Instant,
}

impl RunTime {
    /// Returns a deadline `time` from now.
    pub fn new(time: Duration) -> Self {
        Self { end: Instant::now() + time }
    }

    pub fn remaining(self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    pub fn has_left(self, time: Duration) -> bool {
        self.remaining() > time
    }

    pub fn before_end(self, time: Duration) -> Instant {
        self.end.checked_sub(time).unwrap_or(self.end)
    }
}
