//! Classes that are live past their time: Zoom's word that a meeting has ended may be lost, and nothing waits for ever.

use jiff::Timestamp;

use super::ReminderReport;
use crate::app::Services;
use crate::app::error::Error;
use crate::app::webhook::is_of_account;
use crate::domain::meeting_instance;
use crate::domain::session::{OVERRUN_MINUTES, Session, Status};
use crate::domain::time::plus_minutes;
use crate::domain::zoom_event::EventPayload;
use crate::store::outbox::DueEnd;
use crate::store::sessions::{self, SessionRecord};

/// Ends what is over, one after the other: each is a class whose end was lost, and there are few. One that fails is left
/// to the next run.
pub(super) async fn end(
    tools: &Services,
    endings: &[DueEnd],
    now: Timestamp,
    report: &mut ReminderReport,
) -> Result<(), Error> {
    for ending in endings {
        match look(tools, ending, now).await {
            Ok(()) => report.repaired += 1,
            Err(error) => {
                tracing::warn!(event = "session.not_ended", session_id = %ending.session, %error);
                report.left += 1;
            }
        }
    }
    Ok(())
}

/// Ends a class that nothing was heard of for as long as a class may overrun; looks again later at one that goes on.
async fn look(tools: &Services, ending: &DueEnd, now: Timestamp) -> Result<(), Error> {
    let held = tools.store.session(&ending.session).await?;
    let live = held.filter(|held| held.session.status == Status::Live);
    let Some(SessionRecord { session, meeting_revision, .. }) = live else {
        return Ok(tools.store.commit_one(ending.withdraw()).await?);
    };
    let heard = last_heard(tools, &session).await?.unwrap_or(session.ends_at());
    let over_at = plus_minutes(heard.max(session.ends_at()), OVERRUN_MINUTES);
    if over_at > now {
        let later = DueEnd { at: over_at, ..ending.clone() };
        return Ok(tools.store.commit(vec![ending.withdraw(), later.set()]).await?);
    }
    let occurrences = meeting_instance::with_inferred_end(session.meeting_instances.clone(), heard.max(session.ends_at()));
    let next = session.with_meeting_instances(occurrences);
    let follow = sessions::follow_meeting(&next, meeting_revision);
    tools.store.commit(vec![follow, ending.withdraw()]).await?;
    tracing::warn!(event = "session.end_inferred", session_id = %next.id);
    Ok(())
}

/// When anybody was last heard to come, to go or to start its meeting after the planned end.
async fn last_heard(tools: &Services, session: &Session) -> Result<Option<Timestamp>, Error> {
    let Some(meeting) = session.meeting.id else { return Ok(None) };
    let events = tools.store.meeting_events_since(meeting, session.ends_at()).await?;
    let signs = events.iter().filter(|kept| is_of_account(session, &kept.event));
    let times = signs.filter_map(|kept| match &kept.event.payload {
        EventPayload::Started { at } => Some(*at),
        EventPayload::Joined(presence) | EventPayload::Left(presence) => Some(presence.at),
        _ => None,
    });
    Ok(times.max())
}
