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
use crate::telemetry::metrics;

/// The remaining time required for another session, which may have thousands of participants.
const ARCHIVE_TIME: Duration = Duration::from_secs(30);
/// The delay after a failure, so that other sessions come first.
const RETRY_MINUTES: i64 = 60;
/// From when an archiving is late. Its sources expire months later, so there is time to correct the cause.
const LATE_AFTER: SignedDuration = SignedDuration::from_hours(24);

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
            count_if_late(&due, now);
            report.leave(1);
            continue;
        }
        match archive_session(tools, &due, now).await {
            Ok(()) => report.archived += 1,
            Err(error) => {
                tracing::error!(event = "attendance.archive_failed", session_id = %due.session, %error);
                count_if_late(&due, now);
                report.postponed += 1;
                if let Err(error) = postpone(tools, &due, now).await {
                    tracing::warn!(event = "attendance.archive_not_postponed", session_id = %due.session, %error);
                }
            }
        }
    }
    Ok(())
}

/// Counts an archiving that is left to a later run and has been due for long.
fn count_if_late(due: &DueArchive, now: Timestamp) {
    if now.duration_since(due.first_due_at) >= LATE_AFTER {
        metrics::LATE_ARCHIVES.count();
    }
}

async fn postpone(tools: &Services, due: &DueArchive, now: Timestamp) -> Result<(), Error> {
    let due_at = now.saturating_add(SignedDuration::from_mins(RETRY_MINUTES)).unwrap_or(now);
    reschedule(tools, due, &DueArchive { due_at, ..due.clone() }).await
}

async fn reschedule(tools: &Services, due: &DueArchive, later: &DueArchive) -> Result<(), Error> {
    let actions = vec![archive::delete_due_archive(due), archive::put_due_archive(later)];
    Ok(tools.store.commit(actions).await?)
}

async fn archive_session(tools: &Services, due: &DueArchive, now: Timestamp) -> Result<(), Error> {
    let store = &tools.store;
    if let Some(record) = store.session(&due.session).await? {
        let session = record.session;
        // The session ran later than planned, was restarted or was moved.
        if record::complete_at(&session) > now {
            return reschedule(tools, due, &DueArchive::for_session(&session)).await;
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
