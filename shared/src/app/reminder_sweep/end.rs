//! Ends sessions that are still live when their window closes, because Zoom's end event was lost or the meeting still runs.

use jiff::Timestamp;

use super::ReminderReport;
use crate::app::Services;
use crate::app::error::Error;
use crate::app::webhook::is_from_host_account;
use crate::domain::attendance::instance_intervals;
use crate::domain::session::{Session, Status};
use crate::domain::zoom_event::ZoomEvent;
use crate::store::due_work::EndCheck;
use crate::store::sessions::{self, SessionRecord};

/// Checks due sessions sequentially, because few sessions outlast their window. A failed check is left to the next run.
pub(super) async fn end_overdue_sessions(
    tools: &Services,
    checks: &[EndCheck],
    now: Timestamp,
    report: &mut ReminderReport,
) -> Result<(), Error> {
    for check in checks {
        match end_if_over(tools, check, now).await {
            Ok(()) => report.repaired += 1,
            Err(error) => {
                tracing::warn!(event = "session.end_failed", session_id = %check.session, %error);
                report.postponed += 1;
            }
        }
    }
    Ok(())
}

/// Ends a session whose window has closed. A later end event corrects the end.
async fn end_if_over(tools: &Services, check: &EndCheck, now: Timestamp) -> Result<(), Error> {
    let record = tools.store.session(&check.session).await?;
    let live = record.filter(|record| record.session.status == Status::Live);
    let Some(SessionRecord { session, meeting_revision, .. }) = live else {
        return Ok(tools.store.commit_one(check.delete()).await?);
    };
    let closes_at = session.window_closes_at();
    if closes_at > now {
        let later = EndCheck { due_at: closes_at, ..check.clone() };
        return Ok(tools.store.commit(vec![check.delete(), later.put()]).await?);
    }
    let events = events_of_session(tools, &session).await?;
    let ended_at = instance_intervals::inferred_end(&session, &events, now);
    let next = session.with_inferred_end(ended_at.unwrap_or(closes_at));
    let update = sessions::apply_meeting_events(&next, meeting_revision);
    tools.store.commit(vec![update, check.delete()]).await?;
    tracing::warn!(event = "session.end_inferred", session_id = %next.id);
    Ok(())
}

/// Returns the events of the session's meeting since it started.
async fn events_of_session(tools: &Services, session: &Session) -> Result<Vec<ZoomEvent>, Error> {
    let Some(meeting) = session.meeting.id else { return Ok(Vec::new()) };
    let since = session
        .actual_started_at
        .map_or(session.window_opens_at(), |started_at| started_at.min(session.window_opens_at()));
    let events = tools.store.meeting_events_since(meeting, since).await?;
    let events = events.into_iter().map(|stored| stored.event);
    Ok(events.filter(|event| is_from_host_account(session, event)).collect())
}
