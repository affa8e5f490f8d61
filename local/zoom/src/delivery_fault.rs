//! Faults of the delivery of events, which a test or the console requests.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The delay of a delivery if the fault does not set one. Zoom's own delays are in minutes.
const DEFAULT_DELAY: Duration = Duration::from_secs(10 * 60);
/// How long a reordered event waits for another one.
const REORDERED_DELAY: Duration = Duration::from_secs(60);

/// A fault of one event's delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryFault {
    /// The event is never delivered.
    Drop,
    /// The event is delivered twice.
    Duplicate,
    /// The event is delivered after this time of the stack's clock, by default after ten minutes.
    Delay(Option<Duration>),
    /// The event is delivered after the next one, or after a minute if there is none.
    Reorder,
}

impl DeliveryFault {
    /// Returns the delay of the first attempt.
    pub(super) fn delay(self) -> Duration {
        match self {
            Self::Drop | Self::Duplicate => Duration::ZERO,
            Self::Delay(delay) => delay.unwrap_or(DEFAULT_DELAY),
            Self::Reorder => REORDERED_DELAY,
        }
    }
}

type TakeFault = dyn Fn(&str) -> Option<DeliveryFault> + Send + Sync;

/// Takes the pending fault of an event, which is given by its name.
#[derive(Clone)]
pub struct DeliveryFaults(Arc<TakeFault>);

impl DeliveryFaults {
    pub fn new(take: impl Fn(&str) -> Option<DeliveryFault> + Send + Sync + 'static) -> Self {
        Self(Arc::new(take))
    }

    pub(super) fn take(&self, event: &str) -> Option<DeliveryFault> {
        (self.0)(event)
    }
}

impl fmt::Debug for DeliveryFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeliveryFaults").finish_non_exhaustive()
    }
}
