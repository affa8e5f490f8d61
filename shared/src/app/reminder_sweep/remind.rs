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
use crate::store::due_work::reconciliations::put_reconciliation;
use crate::store::due_work::{self, DueReminder};
use crate::store::error::{CommitError, StoreError};
use crate::store::schema::limit;
use crate::store::sessions::SessionsById;
use crate::store::tx::Action;
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
    let Some(session) = sessions.found.get(&due.session) else {
        let (session_id, reminder) = (&due.session, due.reminder.as_str());
        tracing::info!(event = "reminder.skipped", %session_id, reminder, reason = "session_gone");
        return delete_reminder(tools, due, Vec::new()).await;
    };
    // The zone's rules may have changed since the session was saved. Its new reminders replace this one.
    if session.with_current_zone_rules(now).is_some() {
        return Ok(renew_reminders(tools, due, now).await);
    }
    let host = match hosts.get(&session.trainer) {
        _ if session.provider != Provider::Zoom => HostStatus::default(),
        Some(host) => host.clone(),
        None => tools.store.host_status(&session.trainer).await?,
    };
    match due.reminder.decide(session, &host, due.starts_at, now) {
        ReminderDecision::Wait => set_aside(tools, due, session).await,
        ReminderDecision::Hold => hold_reminder(tools, due, session, now).await,
        ReminderDecision::Send => send_reminder(tools, due, session, now).await,
        ReminderDecision::Skip(reason) => skip_reminder(tools, due, session, reason).await,
    }
}

/// Plans the session again with its zone's current rules.
async fn renew_reminders(tools: &Services, due: &DueReminder, now: Timestamp) -> ReminderOutcome {
    match apply_zone_rules(tools, &due.session, now).await {
        Ok(_) => ReminderOutcome::Skipped,
        Err(error) => {
            tracing::warn!(event = "session.zone_rules_failed", session_id = %due.session, %error);
            ReminderOutcome::Postponed
        }
    }
}

/// Returns the action that deletes a processed reminder.
fn claim(due: &DueReminder) -> Action {
    due_work::claim_reminder(&due.session, due.reminder, due.starts_at)
}

/// Schedules the archiving, a check of the start and the comparison with Zoom. Every session has a start reminder, so its
/// processing does that too.
fn later_work(due: &DueReminder, session: &Session) -> Vec<Action> {
    match due.reminder {
        Reminder::Start => {
            let archive = archive::put_due_archive(&DueArchive::for_session(session));
            let check = start::start_check(session);
            let reconciliation = comparison(due, session);
            let later = [Some(archive), check.map(|check| check.put()), reconciliation];
            later.into_iter().flatten().collect()
        }
        Reminder::DayBefore | Reminder::HourBefore => Vec::new(),
    }
}

/// Returns the action that schedules the comparison with Zoom, unless that was done when the reminder was held.
fn comparison(due: &DueReminder, session: &Session) -> Option<Action> {
    let is_needed = due.reminder == Reminder::Start && !due.has_comparison;
    is_needed.then(|| put_reconciliation(session)).flatten()
}

async fn send_reminder(
    tools: &Services,
    due: &DueReminder,
    session: &Session,
    now: Timestamp,
) -> Result<ReminderOutcome, CommitError> {
    let event = DomainEvent {
        at: whole_milli(now),
        kind: DomainEventKind::Reminder {
            session: session.id.clone(),
            reminder: due.reminder,
            starts_at: due.starts_at,
            version: session.version,
        },
    };
    let mut actions = vec![claim(due), due_work::put_domain_event(&event)];
    actions.extend(later_work(due, session));
    match tools.store.commit(actions).await {
        Ok(()) => {
            let (session_id, reminder) = (&due.session, due.reminder.as_str());
            tracing::info!(event = "reminder.sent", %session_id, reminder);
            tools.send_wake_up(&event).await;
            Ok(ReminderOutcome::Sent)
        }
        Err(error) => skipped_if_processed(error),
    }
}

async fn skip_reminder(
    tools: &Services,
    due: &DueReminder,
    session: &Session,
    reason: ReminderSkipReason,
) -> Result<ReminderOutcome, CommitError> {
    let (session_id, reminder) = (&due.session, due.reminder.as_str());
    tracing::info!(event = "reminder.skipped", %session_id, reminder, reason = reason.as_str());
    // A held reminder waited for its trainer, who was notified.
    if reason == ReminderSkipReason::Late && !due.is_held {
        metrics::DROPPED_REMINDERS.count();
    }
    delete_reminder(tools, due, later_work(due, session)).await
}

/// Deletes a reminder that is not sent, and stores the work that follows it.
async fn delete_reminder(
    tools: &Services,
    due: &DueReminder,
    mut later_work: Vec<Action>,
) -> Result<ReminderOutcome, CommitError> {
    let deleted = if later_work.is_empty() {
        tools.store.commit_one(claim(due)).await
    } else {
        later_work.push(claim(due));
        tools.store.commit(later_work).await
    };
    deleted.map_or_else(skipped_if_processed, |()| Ok(ReminderOutcome::Skipped))
}

/// A refusal means that another run, an edit or the start of the meeting has already processed the reminder.
fn skipped_if_processed(error: CommitError) -> Result<ReminderOutcome, CommitError> {
    match error {
        CommitError::Refused(_) => Ok(ReminderOutcome::Skipped),
        error => Err(error),
    }
}

/// Leaves the reminder for a later run, behind new work. The comparison with Zoom does not wait for it.
async fn set_aside(
    tools: &Services,
    due: &DueReminder,
    session: &Session,
) -> Result<ReminderOutcome, CommitError> {
    if due.is_held {
        return Ok(ReminderOutcome::Postponed);
    }
    let comparison = comparison(due, session);
    let held = due_work::hold_reminder(due, comparison.is_some());
    match tools.store.commit([held].into_iter().chain(comparison).collect()).await {
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
        return set_aside(tools, due, session).await;
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
    let actions = vec![due_work::hold_reminder(due, false), due_work::put_domain_event(&event)];
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
