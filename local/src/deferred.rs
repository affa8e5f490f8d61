//! Calls to Zoom that are processed long after their caller has given up.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::Request;
use axum::middleware::Next;
use jiff::Timestamp;

struct DeferredCall {
    at: Timestamp,
    request: Request,
    next: Next,
}

/// The deferred calls. Clones share the list.
#[derive(Clone, Default)]
pub struct DeferredCalls {
    waiting: Arc<Mutex<Vec<DeferredCall>>>,
}

impl DeferredCalls {
    /// Adds a call that is processed at `at`.
    pub(crate) fn add(&self, at: Timestamp, request: Request, next: Next) {
        let call = DeferredCall { at, request, next };
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(call);
    }

    /// Forgets all deferred calls.
    pub fn clear(&self) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Processes the calls that are due at `now`, in their order. Nobody gets the responses.
    pub async fn run_due(&self, now: Timestamp) {
        let due: Vec<_> = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.extract_if(.., |call| call.at <= now).collect()
        };
        for call in due {
            let response = call.next.run(call.request).await;
            tracing::info!(
                event = "fault.deferred_call_processed",
                status = response.status().as_u16()
            );
        }
    }
}

impl fmt::Debug for DeferredCalls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeferredCalls").finish_non_exhaustive()
    }
}
