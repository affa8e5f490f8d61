//! Compares sessions with Zoom's events that arrived during an edit. At that time an event could be the result of the edit
//! or a change that somebody made at Zoom.

use jiff::Timestamp;

use super::ReminderReport;
use crate::app::Services;
use crate::app::error::Error;
use crate::app::webhook::is_from_host_account;
use crate::domain::drift;
use crate::domain::session::{DELETED, Status};
use crate::store::due_work::DriftCheck;
use crate::store::sessions::{self, SessionRecord};
use crate::store::tx::Action;

/// Checks due sessions sequentially, because few events arrive during an edit. A failed check is left to the next run.
pub(super) async fn check_sessions(
    tools: &Services,
    checks: &[DriftCheck],
    now: Timestamp,
    report: &mut ReminderReport,
) -> Result<(), Error> {
    for check in checks {
        match check_session(tools, check, now).await {
            Ok(()) => report.repaired += 1,
            Err(error) => {
                tracing::warn!(event = "session.drift_check_failed", session_id = %check.session, %error);
                report.postponed += 1;
            }
        }
    }
    Ok(())
}

async fn check_session(tools: &Services, check: &DriftCheck, now: Timestamp) -> Result<(), Error> {
    let mut actions = vec![check.delete()];
    if let Some(record) = tools.store.session(&check.session).await? {
        match record.edit_lease.as_ref().filter(|lease| lease.until > now) {
            Some(lease) => actions.push(DriftCheck { due_at: lease.until, ..check.clone() }.put()),
            None => actions.extend(changed_drift(tools, &record).await?),
        }
    }
    Ok(tools.store.commit(actions).await?)
}

/// Returns the write of the session's drift if it has changed. The webhook itself stores that a meeting was deleted,
/// because it also notifies the trainer.
async fn changed_drift(tools: &Services, record: &SessionRecord) -> Result<Option<Action>, Error> {
    let session = &record.session;
    let Some(meeting) = session.meeting.id else { return Ok(None) };
    if !matches!(session.status, Status::Scheduled | Status::Live) {
        return Ok(None);
    }
    let events = tools.store.meeting_events_since(meeting, session.zoom_synced_at).await?;
    let events = events.iter().filter(|stored| is_from_host_account(session, &stored.event));
    let payloads = events.map(|stored| (stored.at, &stored.event.payload));
    let is_deletion = |field: &String| field == DELETED;
    let mut drift = drift::detect_drift(session, false, payloads);
    drift.retain(|field| !is_deletion(field));
    drift.extend(session.drift.iter().filter(|field| is_deletion(field)).cloned());
    if drift == session.drift {
        return Ok(None);
    }
    tracing::info!(event = "session.drift_found", session_id = %session.id);
    let mut next = session.clone();
    next.drift = drift;
    Ok(Some(sessions::apply_meeting_events(&next, record.meeting_revision)))
}
