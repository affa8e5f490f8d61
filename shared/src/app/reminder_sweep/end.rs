//! Classes that are live past their time: Zoom's word that a meeting has ended may be lost, and nothing waits for ever.

use jiff::Timestamp;

use super::Report;
use crate::app::Tools;
use crate::app::error::Error;
use crate::app::webhook::is_of_account;
use crate::domain::occurrence;
use crate::domain::session::{OVERRUN_MINUTES, Session, Status};
use crate::domain::time::plus_minutes;
use crate::domain::zoom_event::Says;
use crate::store::outbox::Ending;
use crate::store::sessions::{self, Held};

/// Ends what is over, one after the other: each is a class whose end was lost, and there are few. One that fails is left
/// to the next run.
pub(super) async fn end(
    tools: &Tools,
    endings: &[Ending],
    now: Timestamp,
    report: &mut Report,
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
async fn look(tools: &Tools, ending: &Ending, now: Timestamp) -> Result<(), Error> {
    let held = tools.store.session(&ending.session).await?;
    let live = held.filter(|held| held.session.status == Status::Live);
    let Some(Held { session, meeting_revision, .. }) = live else {
        return Ok(tools.store.commit_one(ending.withdraw()).await?);
    };
    let heard = last_heard(tools, &session).await?.unwrap_or(session.ends_at());
    let over_at = plus_minutes(heard.max(session.ends_at()), OVERRUN_MINUTES);
    if over_at > now {
        let later = Ending { at: over_at, ..ending.clone() };
        return Ok(tools.store.commit(vec![ending.withdraw(), later.set()]).await?);
    }
    let occurrences = occurrence::over(session.occurrences.clone(), heard.max(session.ends_at()));
    let next = session.with_occurrences(occurrences);
    let follow = sessions::follow_meeting(&next, meeting_revision);
    tools.store.commit(vec![follow, ending.withdraw()]).await?;
    tracing::warn!(event = "session.end_inferred", session_id = %next.id);
    Ok(())
}

/// When anybody was last heard to come, to go or to start its meeting after the planned end.
async fn last_heard(tools: &Tools, session: &Session) -> Result<Option<Timestamp>, Error> {
    let Some(meeting) = session.meeting.id else { return Ok(None) };
    let events = tools.store.meeting_events_since(meeting, session.ends_at()).await?;
    let signs = events.iter().filter(|kept| is_of_account(session, &kept.event));
    let times = signs.filter_map(|kept| match &kept.event.says {
        Says::Started { at } => Some(*at),
        Says::Joined(presence) | Says::Left(presence) => Some(presence.at),
        _ => None,
    });
    Ok(times.max())
}
