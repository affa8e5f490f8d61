//! Reminders whose time has come: each that is still true becomes an announcement, and is taken with it.

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt};
use jiff::Timestamp;

use super::ReminderReport;
use crate::app::Services;
use crate::app::error::Error;
use crate::domain::domain_event::{DomainEvent, DomainEventKind};
use crate::domain::id::SessionId;
use crate::domain::reminder::{Reminder, ReminderDecision};
use crate::domain::session::Session;
use crate::domain::time::whole_milli;
use crate::store::archive::{self, DueArchive};
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
    tools: &Services,
    reminders: Vec<DueReminder>,
    now: Timestamp,
    report: &mut ReminderReport,
) -> Result<(), Error> {
    for chunk in reminders.chunks(limit::BATCH_GETS) {
        let known = &sessions_of(tools, chunk).await?;
        let mut done = stream::iter(chunk.to_vec())
            .map(|due| async move {
                settle(tools, &due, known.as_ref(), now).await.unwrap_or_else(|error| {
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

type Classes = BTreeMap<SessionId, Session>;

/// The classes of reminders, as they stand, in one request. None where one of them makes no sense: then each is read by
/// itself, so that it does not keep the others.
async fn sessions_of(tools: &Services, chunk: &[DueReminder]) -> Result<Option<Classes>, StoreError> {
    let mut ids: Vec<_> = chunk.iter().map(|due| due.session.clone()).collect();
    ids.sort();
    ids.dedup();
    match tools.store.sessions(&ids).await {
        Ok(sessions) => {
            let by_id = sessions.into_iter().map(|session| (session.id.clone(), session));
            Ok(Some(by_id.collect()))
        }
        Err(StoreError::Corrupt { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn settle(
    tools: &Services,
    due: &DueReminder,
    known: Option<&Classes>,
    now: Timestamp,
) -> Result<Done, CommitError> {
    let session = match known {
        Some(classes) => classes.get(&due.session).cloned(),
        None => tools.store.session(&due.session).await?.map(|held| held.session),
    };
    let take = outbox::take_reminder(&due.session, due.reminder, due.starts_at);
    // The start is every class's last reminder, held or not: whoever takes it sees to what comes after the class.
    let then_keep = |session: &Session| match due.reminder {
        Reminder::Start => Some(archive::set_due(&DueArchive::of(session))),
        Reminder::DayBefore | Reminder::HourBefore => None,
    };
    let verdict = session
        .as_ref()
        .map(|session| (session, due.reminder.decide(session, due.starts_at, now)));
    let (reminder, session_id) = (due.reminder.as_str(), &due.session);
    let (done, committed) = match verdict {
        Some((_, ReminderDecision::Wait)) => return Ok(Done::Left),
        Some((session, ReminderDecision::Tell)) => {
            let announcement = DomainEvent {
                at: whole_milli(now),
                kind: DomainEventKind::Reminder {
                    session: session.id.clone(),
                    reminder: due.reminder,
                    starts_at: due.starts_at,
                    version: session.version,
                },
            };
            let mut actions = vec![take, outbox::announce(&announcement)];
            actions.extend(then_keep(session));
            let told = tools.store.commit(actions).await;
            if told.is_ok() {
                tracing::info!(event = "reminder.told", %session_id, reminder);
                tools.send_wake_up(&announcement).await;
            }
            (Done::Told, told)
        }
        Some((session, ReminderDecision::Void(void))) => {
            tracing::info!(event = "reminder.void", %session_id, reminder, why = void.as_str());
            let committed = match then_keep(session) {
                Some(keep) => tools.store.commit(vec![take, keep]).await,
                None => tools.store.commit_one(take).await,
            };
            (Done::Void, committed)
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
