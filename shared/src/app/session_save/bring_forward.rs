//! Brings the meeting of a session forward to the next run of the meeting sweep, for example after a payment.

use std::time::Duration;

use jiff::Timestamp;

use crate::app::Services;
use crate::app::error::Error;
use crate::domain::id::{PaymentId, SessionId};
use crate::domain::refusal::Refusal;
use crate::domain::session::Session;
use crate::domain::time::whole_milli;
use crate::store::due_work::meetings::move_due_meeting;
use crate::store::error::CommitError;
use crate::store::sessions;

/// Attempts against concurrent changes of the same session.
const ATTEMPTS: u32 = 4;
/// The pause between two attempts, plus up to as much jitter.
const WAIT_MS: u64 = 100;

/// Makes the pending meeting of a session due at `now`, and returns the session. A session whose meeting exists, is due, or
/// was given up stays unchanged, so the request may be repeated. `payment` is recorded with the first change only.
pub async fn bring_meeting_forward(
    services: &Services,
    session: &SessionId,
    payment: Option<&PaymentId>,
    now: Timestamp,
) -> Result<Session, Error> {
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            let pause = WAIT_MS + services.random.below(WAIT_MS);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        let record = services.store.session(session).await?.ok_or(Refusal::NotFound)?;
        let Some(next) = record.session.with_meeting_due(whole_milli(now), payment) else {
            return Ok(record.session);
        };
        let mut actions = move_due_meeting(&record.session, &next);
        actions.push(sessions::bring_meeting_forward(&record, whole_milli(now), payment));
        match services.store.commit(actions).await {
            Ok(()) => {
                tracing::info!(event = "meeting.brought_forward", session_id = %session);
                return Ok(next);
            }
            Err(CommitError::Refused(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::busy("too many concurrent changes of the session"))
}
