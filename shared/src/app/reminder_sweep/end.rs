//! Ends sessions that are still live after their planned end, because Zoom's end event may be lost.

use jiff::Timestamp;

use super::ReminderReport;
use crate::app::Services;
use crate::app::error::Error;
use crate::app::webhook::is_from_host_account;
use crate::domain::meeting_instance;
use crate::domain::session::{Session, Status};
use crate::domain::time::plus_minutes;
use crate::domain::zoom_event::EventPayload;
use crate::store::due_work::EndCheck;
use crate::store::sessions::{self, SessionRecord};

/// Checks due sessions sequentially, because a lost end event is rare. A failed check is left to the next run.
pub(super) async fn end_overdue_sessions(
    tools: &Services,
    checks: &[EndCheck],
    now: Timestamp,
    report: &mut ReminderReport,
) -> Result<(), Error> {
    for check in checks {
        match end_if_inactive(tools, check, now).await {
            Ok(()) => report.repaired += 1,
            Err(error) => {
                tracing::warn!(event = "session.end_failed", session_id = %check.session, %error);
                report.postponed += 1;
            }
        }
    }
    Ok(())
}

/// Ends a session without recent events. Reschedules the check of a session that is still active.
async fn end_if_inactive(tools: &Services, check: &EndCheck, now: Timestamp) -> Result<(), Error> {
    let record = tools.store.session(&check.session).await?;
    let live = record.filter(|record| record.session.status == Status::Live);
    let Some(SessionRecord { session, meeting_revision, .. }) = live else {
        return Ok(tools.store.commit_one(check.delete()).await?);
    };
    let last_event_at = last_event_at(tools, &session).await?.unwrap_or(session.ends_at());
    let ends_at =
        plus_minutes(last_event_at.max(session.ends_at()), session.window.closing_minutes);
    if ends_at > now {
        let later = EndCheck { due_at: ends_at, ..check.clone() };
        return Ok(tools.store.commit(vec![check.delete(), later.put()]).await?);
    }
    let meeting_instances = meeting_instance::with_inferred_end(
        session.meeting_instances.clone(),
        last_event_at.max(session.ends_at()),
    );
    let next = session.with_meeting_instances(meeting_instances);
    let update = sessions::apply_meeting_events(&next, meeting_revision);
    tools.store.commit(vec![update, check.delete()]).await?;
    tracing::warn!(event = "session.end_inferred", session_id = %next.id);
    Ok(())
}

/// Returns the time of the last start, join or leave event after the planned end.
async fn last_event_at(tools: &Services, session: &Session) -> Result<Option<Timestamp>, Error> {
    let Some(meeting) = session.meeting.id else { return Ok(None) };
    let events = tools.store.meeting_events_since(meeting, session.ends_at()).await?;
    let own = events.iter().filter(|stored| is_from_host_account(session, &stored.event));
    let times = own.filter_map(|stored| match &stored.event.payload {
        EventPayload::Started { at } => Some(*at),
        EventPayload::Joined(presence) | EventPayload::Left(presence) => Some(presence.at),
        _ => None,
    });
    Ok(times.max())
}
