//! Archives the attendance sources of a session a few days after its end, when no more events are expected.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::ReminderReport;
use crate::app::Services;
use crate::app::attendance::sources::load_attendance_sources;
use crate::app::error::Error;
use crate::app::run_time::RunTime;
use crate::domain::attendance::record;
use crate::store::archive::{self, DueArchive};
use crate::store::error::CommitError;

/// The remaining time required for another session, which may have thousands of participants.
const ARCHIVE_TIME: Duration = Duration::from_secs(30);
/// The delay after a failure, so that other sessions come first.
const RETRY_MINUTES: i64 = 60;

/// Archives due sessions sequentially, because each may have thousands of participants.
pub(super) async fn archive_due_sessions(
    tools: &Services,
    now: Timestamp,
    time: RunTime,
    report: &mut ReminderReport,
) -> Result<(), Error> {
    for due in tools.store.due_archives(now).await? {
        report.due += 1;
        if !time.has_left(ARCHIVE_TIME) {
            report.postponed += 1;
            continue;
        }
        match archive_session(tools, &due, now).await {
            Ok(()) => report.archived += 1,
            Err(error) => {
                tracing::error!(event = "attendance.archive_failed", session_id = %due.session, %error);
                report.postponed += 1;
                if let Err(error) = postpone(tools, &due, now).await {
                    tracing::warn!(event = "attendance.archive_not_postponed", session_id = %due.session, %error);
                }
            }
        }
    }
    Ok(())
}

async fn postpone(tools: &Services, due: &DueArchive, now: Timestamp) -> Result<(), Error> {
    let at = now.saturating_add(SignedDuration::from_mins(RETRY_MINUTES)).unwrap_or(now);
    reschedule(tools, due, at).await
}

async fn reschedule(tools: &Services, due: &DueArchive, at: Timestamp) -> Result<(), Error> {
    let later = archive::put_due_archive(&DueArchive { due_at: at, ..due.clone() });
    Ok(tools.store.commit(vec![archive::delete_due_archive(due), later]).await?)
}

async fn archive_session(tools: &Services, due: &DueArchive, now: Timestamp) -> Result<(), Error> {
    let store = &tools.store;
    if let Some(record) = store.session(&due.session).await? {
        let session = record.session;
        let complete_at = record::complete_at(&session);
        // The session ran later than planned, was restarted or was moved.
        if complete_at > now {
            return reschedule(tools, due, complete_at).await;
        }
        let sources = load_attendance_sources(store, &session, now).await?;
        let archive = sources.archive.unwrap_or_default();
        let archived = match store.archive_attendance(&session, &archive, &sources.record).await {
            Ok(archived) => archived,
            Err(CommitError::Refused(_)) => {
                return Err(Error::busy("another request is writing the archive"));
            }
            Err(error) => return Err(error.into()),
        };
        if archived {
            tracing::info!(event = "attendance.archived", session_id = %session.id);
        }
        // Also schedules the previous session, whose own entry may be missing.
        if let Some(previous) = store.previous_session_to_archive(&session, now).await? {
            store.commit_one(archive::put_due_archive(&DueArchive::for_session(&previous))).await?;
        }
    }
    Ok(store.commit_one(archive::delete_due_archive(due)).await?)
}
