//! What a fault does to a call.

use std::time::Duration;

use axum::response::Response;
use jiff::Timestamp;

use super::{Fault, Kind, answers};
use crate::calls::Call;

/// How long an answer is held back when the fault does not say: longer than any function waits.
const DELAY: Duration = Duration::from_secs(30);

/// What happens to one call.
#[derive(Debug)]
pub(crate) enum Effect {
    /// This is answered, and nothing is done.
    Instead(Response),
    /// Nothing is done and nothing is answered.
    Hang,
    /// The work is done, the answer waits.
    Late(Duration),
    /// The work is done, the connection breaks.
    Lost,
    /// The work is done, half of the answer arrives.
    Half,
    /// The service itself fails in part; the mark travels with the request.
    Within(Within),
}

/// Faults that only the service itself can bring about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Within {
    /// The last entry of a batch is not processed.
    Partial,
    /// The index is read as it was.
    Stale,
}

impl Fault {
    /// What this fault does to `call`, whose request had this body.
    pub(crate) fn effect(&self, call: &Call, body: &[u8], now: Timestamp) -> Effect {
        match self.kind {
            Kind::Timeout => Effect::Hang,
            Kind::Late => Effect::Late(self.delay_ms.map_or(DELAY, Duration::from_millis)),
            Kind::Lost => Effect::Lost,
            Kind::Half => Effect::Half,
            Kind::Partial => Effect::Within(Within::Partial),
            Kind::Stale => Effect::Within(Within::Stale),
            Kind::Error
            | Kind::Throttle
            | Kind::ThrottleIso
            | Kind::ThrottleSeconds
            | Kind::Daily
            | Kind::Html
            | Kind::Unauthorized
            | Kind::InvalidGrant
            | Kind::Conflict
            | Kind::Paused
            | Kind::Rejected => Effect::Instead(answers::answer(self, call, body, now)),
        }
    }
}
