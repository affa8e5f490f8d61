//! Reminders whose time has come: each that is still true becomes an announcement, and is taken with it.

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt};
use jiff::Timestamp;

use super::Report;
use crate::app::Tools;
use crate::app::error::Error;
use crate::domain::change::{Announcement, What};
use crate::domain::id::SessionId;
use crate::domain::reminder::Verdict;
use crate::domain::session::Session;
use crate::domain::time::whole_milli;
use crate::store::error::{CommitError, StoreError};
use crate::store::outbox::{self, DueReminder};
use crate::store::schema::limit;

/// Reminders that are told at once: a full hour begins many classes, and each takes two round trips.
const AT_ONCE: usize = 16;

/// What was done about a reminder.
enum Done {
    Told,
    Void,
    Left,
}

/// Tells what is due. One that fails is left to the next run.
pub(super) async fn remind(
    tools: &Tools,
    reminders: Vec<DueReminder>,
    now: Timestamp,
    report: &mut Report,
) -> Result<(), Error> {
    for chunk in reminders.chunks(limit::BATCH_GETS) {
        let sessions = sessions_of(tools, chunk).await?;
        let sessions = &sessions;
        let mut done = stream::iter(chunk.to_vec())
            .map(|due| async move {
                let session = sessions.get(&due.session);
                settle(tools, &due, session, now).await.unwrap_or_else(|error| {
                    tracing::warn!(event = "reminder.failed", session_id = %due.session, %error);
                    Done::Left
                })
            })
            .buffer_unordered(AT_ONCE);
        while let Some(done) = done.next().await {
            match done {
                Done::Told => report.reminded += 1,
                Done::Void => report.void += 1,
                Done::Left => report.left += 1,
            }
        }
    }
    Ok(())
}

/// The classes of reminders, as they stand, in one request.
async fn sessions_of(
    tools: &Tools,
    chunk: &[DueReminder],
) -> Result<BTreeMap<SessionId, Session>, StoreError> {
    let mut ids: Vec<_> = chunk.iter().map(|due| due.session.clone()).collect();
    ids.sort();
    ids.dedup();
    let sessions = tools.store.sessions(&ids).await?;
    Ok(sessions.into_iter().map(|session| (session.id.clone(), session)).collect())
}

async fn settle(
    tools: &Tools,
    due: &DueReminder,
    session: Option<&Session>,
    now: Timestamp,
) -> Result<Done, CommitError> {
    let take = outbox::take_reminder(&due.session, due.reminder, due.starts_at);
    let verdict =
        session.map(|session| (session, due.reminder.verdict(session, due.starts_at, now)));
    let (reminder, session_id) = (due.reminder.as_str(), &due.session);
    let (done, committed) = match verdict {
        Some((_, Verdict::Wait)) => return Ok(Done::Left),
        Some((session, Verdict::Tell)) => {
            let announcement = Announcement {
                at: whole_milli(now),
                what: What::Reminder {
                    session: session.id.clone(),
                    reminder: due.reminder,
                    starts_at: due.starts_at,
                    version: session.version,
                },
            };
            let told = tools.store.commit(vec![take, outbox::announce(&announcement)]).await;
            if told.is_ok() {
                tracing::info!(event = "reminder.told", %session_id, reminder);
                tools.nudge(&announcement).await;
            }
            (Done::Told, told)
        }
        Some((_, Verdict::Void(void))) => {
            tracing::info!(event = "reminder.void", %session_id, reminder, why = void.as_str());
            (Done::Void, tools.store.commit_one(take).await)
        }
        None => {
            tracing::info!(event = "reminder.void", %session_id, reminder, why = "gone");
            (Done::Void, tools.store.commit_one(take).await)
        }
    };
    match committed {
        Ok(()) => Ok(done),
        // Another run, an edit or the start of the meeting was quicker, and has done what was to be done.
        Err(CommitError::Refused(_)) => Ok(Done::Void),
        Err(error) => Err(error),
    }
}
