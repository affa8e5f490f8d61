//! Turns due reminders into domain events. Each reminder is deleted in the transaction that stores its domain event.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::stream::{self, StreamExt};
use jiff::Timestamp;

use super::{ReminderReport, start};
use crate::app::Services;
use crate::app::error::Error;
use crate::app::run_time::RunTime;
use crate::app::session_save::apply_zone_rules;
use crate::domain::domain_event::{DomainEvent, DomainEventKind};
use crate::domain::host_status::{HostStatus, HostStatuses};
use crate::domain::reminder::{Reminder, ReminderDecision, ReminderSkipReason};
use crate::domain::session::{Provider, Session};
use crate::domain::time::whole_milli;
use crate::store::archive::{self, DueArchive};
use crate::store::due_work::{self, DueReminder};
use crate::store::error::{CommitError, StoreError};
use crate::store::schema::limit;
use crate::store::sessions::SessionsById;
use crate::telemetry::metrics;

/// The number of concurrent reminders. Many sessions start on the hour, and each reminder takes two round trips.
const REMINDER_CONCURRENCY: usize = 16;

/// The outcome of a due reminder.
enum ReminderOutcome {
    Sent,
    Skipped,
    Postponed,
}

/// The remaining time required for another chunk of held reminders, which takes a few reads. The rest is for repairs.
const RECHECK_TIME: Duration = Duration::from_secs(30);

/// Sends the held reminders of sessions that can be started now, oldest first, as far as time allows.
pub(super) async fn recheck_held_reminders(
    tools: &Services,
    reminders: &[DueReminder],
    now: Timestamp,
    time: RunTime,
    report: &mut ReminderReport,
) -> Result<(), Error> {
    let mut chunks = reminders.chunks(limit::BATCH_GETS);
    while let Some(chunk) = chunks.next() {
        if !time.has_left(RECHECK_TIME) {
            report.leave(chunk.len() + chunks.map(<[_]>::len).sum::<usize>());
            return Ok(());
        }
        send_due_reminders(tools, chunk, now, report).await?;
    }
    Ok(())
}

/// Sends due reminders. A failed one is left to the next run.
pub(super) async fn send_due_reminders(
    tools: &Services,
    reminders: &[DueReminder],
    now: Timestamp,
    report: &mut ReminderReport,
) -> Result<(), Error> {
    for chunk in reminders.chunks(limit::BATCH_GETS) {
        let sessions = &load_sessions(tools, chunk).await?;
        let hosts = &load_host_statuses(tools, sessions).await?;
        let mut outcomes = stream::iter(chunk.to_vec())
            .map(|due| async move {
                process_reminder(tools, &due, sessions, hosts, now).await.unwrap_or_else(|error| {
                    tracing::warn!(event = "reminder.failed", session_id = %due.session, %error);
                    ReminderOutcome::Postponed
                })
            })
            .buffer_unordered(REMINDER_CONCURRENCY);
        while let Some(outcome) = outcomes.next().await {
            match outcome {
                ReminderOutcome::Sent => report.reminded += 1,
                ReminderOutcome::Skipped => report.skipped += 1,
                ReminderOutcome::Postponed => report.postponed += 1,
            }
        }
    }
    Ok(())
}

/// Loads the sessions of a chunk in one request.
async fn load_sessions(
    tools: &Services,
    chunk: &[DueReminder],
) -> Result<SessionsById, StoreError> {
    let mut ids: Vec<_> = chunk.iter().map(|due| due.session.clone()).collect();
    ids.sort();
    ids.dedup();
    tools.store.sessions_by_id(&ids).await
}

/// Loads the host statuses of the sessions' trainers in one request.
async fn load_host_statuses(
    tools: &Services,
    sessions: &SessionsById,
) -> Result<HostStatuses, StoreError> {
    let zoom_sessions = sessions.found.values();
    let zoom_sessions = zoom_sessions.filter(|session| session.provider == Provider::Zoom);
    let trainers: BTreeSet<_> = zoom_sessions.map(|session| session.trainer.clone()).collect();
    match trainers.is_empty() {
        true => Ok(HostStatuses::default()),
        false => tools.store.host_statuses(&trainers.into_iter().collect::<Vec<_>>()).await,
    }
}

async fn process_reminder(
    tools: &Services,
    due: &DueReminder,
    sessions: &SessionsById,
    hosts: &HostStatuses,
    now: Timestamp,
) -> Result<ReminderOutcome, CommitError> {
    if sessions.unreadable.contains(&due.session) {
        tracing::warn!(event = "reminder.failed", session_id = %due.session, error = "unreadable");
        return Ok(ReminderOutcome::Postponed);
    }
    let session = sessions.found.get(&due.session).cloned();
    // The zone's rules may have changed since the session was saved. Its new reminders replace this one.
    if session.as_ref().is_some_and(|session| session.with_current_zone_rules(now).is_some()) {
        return match apply_zone_rules(tools, &due.session, now).await {
            Ok(_) => Ok(ReminderOutcome::Skipped),
            Err(error) => {
                tracing::warn!(event = "session.zone_rules_failed", session_id = %due.session, %error);
                Ok(ReminderOutcome::Postponed)
            }
        };
    }
    let delete_reminder = due_work::claim_reminder(&due.session, due.reminder, due.starts_at);
    // Every session has a start reminder, so its processing also schedules the archiving and a check of the start.
    let schedule_later_work = |session: &Session| match due.reminder {
        Reminder::Start => {
            let archive = archive::put_due_archive(&DueArchive::for_session(session));
            let check = start::start_check(session);
            std::iter::once(archive).chain(check.map(|check| check.put())).collect()
        }
        Reminder::DayBefore | Reminder::HourBefore => Vec::new(),
    };
    let host = match &session {
        Some(session) if session.provider == Provider::Zoom => match hosts.get(&session.trainer) {
            Some(host) => host.clone(),
            None => tools.store.host_status(&session.trainer).await?,
        },
        _ => HostStatus::default(),
    };
    let decision = session
        .as_ref()
        .map(|session| (session, due.reminder.decide(session, &host, due.starts_at, now)));
    let (reminder, session_id) = (due.reminder.as_str(), &due.session);
    let (outcome, committed) = match decision {
        Some((_, ReminderDecision::Wait)) => return set_aside(tools, due).await,
        Some((session, ReminderDecision::Hold)) => {
            return hold_reminder(tools, due, session, now).await;
        }
        Some((session, ReminderDecision::Send)) => {
            let event = DomainEvent {
                at: whole_milli(now),
                kind: DomainEventKind::Reminder {
                    session: session.id.clone(),
                    reminder: due.reminder,
                    starts_at: due.starts_at,
                    version: session.version,
                },
            };
            let mut actions = vec![delete_reminder, due_work::put_domain_event(&event)];
            actions.extend(schedule_later_work(session));
            let committed = tools.store.commit(actions).await;
            if committed.is_ok() {
                tracing::info!(event = "reminder.sent", %session_id, reminder);
                tools.send_wake_up(&event).await;
            }
            (ReminderOutcome::Sent, committed)
        }
        Some((session, ReminderDecision::Skip(reason))) => {
            tracing::info!(event = "reminder.skipped", %session_id, reminder, reason = reason.as_str());
            // A held reminder waited for its trainer, who was notified.
            if reason == ReminderSkipReason::Late && !due.is_held {
                metrics::DROPPED_REMINDERS.count();
            }
            let mut actions = schedule_later_work(session);
            let committed = match actions.is_empty() {
                true => tools.store.commit_one(delete_reminder).await,
                false => {
                    actions.push(delete_reminder);
                    tools.store.commit(actions).await
                }
            };
            (ReminderOutcome::Skipped, committed)
        }
        None => {
            tracing::info!(event = "reminder.skipped", %session_id, reminder, reason = "session_gone");
            (ReminderOutcome::Skipped, tools.store.commit_one(delete_reminder).await)
        }
    };
    match committed {
        Ok(()) => Ok(outcome),
        // Another run, an edit or the start of the meeting has already processed the reminder.
        Err(CommitError::Refused(_)) => Ok(ReminderOutcome::Skipped),
        Err(error) => Err(error),
    }
}

/// Leaves the reminder for a later run, behind new work.
async fn set_aside(tools: &Services, due: &DueReminder) -> Result<ReminderOutcome, CommitError> {
    if due.is_held {
        return Ok(ReminderOutcome::Postponed);
    }
    match tools.store.commit_one(due_work::hold_reminder(due)).await {
        // A refusal means that an edit or the start of the meeting has processed it.
        Ok(()) | Err(CommitError::Refused(_)) => Ok(ReminderOutcome::Postponed),
        Err(error) => Err(error),
    }
}

/// Leaves the reminder for a later run, and notifies the trainer once that the session cannot be started. The reminder
/// at the start is for students only, because the earlier ones have notified the trainer.
async fn hold_reminder(
    tools: &Services,
    due: &DueReminder,
    session: &Session,
    now: Timestamp,
) -> Result<ReminderOutcome, CommitError> {
    if due.is_held || due.reminder == Reminder::Start {
        return set_aside(tools, due).await;
    }
    let event = DomainEvent {
        at: whole_milli(now),
        kind: DomainEventKind::HostNotConnected {
            session: session.id.clone(),
            trainer: session.trainer.clone(),
            reminder: due.reminder,
            starts_at: due.starts_at,
        },
    };
    let actions = vec![due_work::hold_reminder(due), due_work::put_domain_event(&event)];
    match tools.store.commit(actions).await {
        Ok(()) => {
            let (session_id, reminder) = (&due.session, due.reminder.as_str());
            tracing::warn!(event = "reminder.held", %session_id, reminder);
            tools.send_wake_up(&event).await;
            Ok(ReminderOutcome::Postponed)
        }
        Err(CommitError::Refused(_)) => Ok(ReminderOutcome::Postponed),
        Err(error) => Err(error),
    }
}
