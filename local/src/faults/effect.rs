//! The effects of faults on calls.

use std::time::Duration;

use axum::response::Response;
use jiff::{SignedDuration, Timestamp};

use simulated_aws::ServiceFault;

use super::{Fault, FaultKind, responses};
use crate::calls::Call;

/// The default delay of a response. It exceeds every function's timeout.
const DEFAULT_DELAY: Duration = Duration::from_secs(30);

/// The default delay of a deferred call. The first sweep after it has run by then.
const DEFAULT_DEFERMENT: SignedDuration = SignedDuration::from_mins(5);

/// The effect of a fault on one call.
#[derive(Debug)]
pub(crate) enum FaultEffect {
    /// The call is not processed and gets this response.
    Respond(Response),
    /// The call is not processed and gets no response.
    Hang,
    /// The call is processed and its response is delayed.
    Delay(Duration),
    /// The call is processed and the connection breaks.
    DropResponse,
    /// The connection breaks and the call is processed at this time.
    Defer(Timestamp),
    /// The call is processed and half of the response is sent.
    TruncateResponse,
    /// The service itself applies the fault, which is an extension of the request.
    InService(ServiceFault),
}

impl Fault {
    /// Returns the effect on `call`, whose request had this body.
    pub(crate) fn effect(&self, call: &Call, body: &[u8], now: Timestamp) -> FaultEffect {
        match self.kind {
            FaultKind::Timeout => FaultEffect::Hang,
            FaultKind::Late => {
                FaultEffect::Delay(self.delay_ms.map_or(DEFAULT_DELAY, Duration::from_millis))
            }
            FaultKind::Lost => FaultEffect::DropResponse,
            FaultKind::Deferred => {
                let delay = self.delay_ms.and_then(|delay| i64::try_from(delay).ok());
                let delay = delay.map_or(DEFAULT_DEFERMENT, SignedDuration::from_millis);
                FaultEffect::Defer(now.saturating_add(delay).unwrap_or(now))
            }
            FaultKind::Half => FaultEffect::TruncateResponse,
            FaultKind::Partial => FaultEffect::InService(ServiceFault::Partial),
            FaultKind::Stale => FaultEffect::InService(ServiceFault::Stale),
            FaultKind::Drop
            | FaultKind::Duplicate
            | FaultKind::Delay
            | FaultKind::Reorder
            | FaultKind::Error
            | FaultKind::Throttle
            | FaultKind::ThrottleIso
            | FaultKind::ThrottleSeconds
            | FaultKind::Daily
            | FaultKind::Html
            | FaultKind::Unauthorized
            | FaultKind::InvalidGrant
            | FaultKind::Conflict
            | FaultKind::Paused
            | FaultKind::Rejected => {
                FaultEffect::Respond(responses::error_response(self, call, body, now))
            }
        }
    }
}
