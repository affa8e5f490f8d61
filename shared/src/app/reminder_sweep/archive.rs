//! Attendance is kept: some days after a class, when all that will ever be told of it was told, what its report is made
//! of is put into its archive.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::ReminderReport;
use crate::app::Services;
use crate::app::attendance::record::gather;
use crate::app::error::Error;
use crate::app::run_time::RunTime;
use crate::domain::attendance::record;
use crate::store::archive::{self, DueArchive};
use crate::store::error::CommitError;

/// What must be left of a run's time for another class, which may be thousands of people. The next run goes on here.
const ARCHIVE_TIME: Duration = Duration::from_secs(30);
/// When one that failed is looked at again: those behind it come first until then.
const AGAIN_MINUTES: i64 = 60;

/// Keeps what is due, one class after the other: each may be thousands of people.
pub(super) async fn archive(
    tools: &Services,
    now: Timestamp,
    time: RunTime,
    report: &mut ReminderReport,
) -> Result<(), Error> {
    for due in tools.store.due_archives(now).await? {
        report.due += 1;
        if !time.is_left(ARCHIVE_TIME) {
            report.left += 1;
            continue;
        }
        match keep(tools, &due, now).await {
            Ok(()) => report.archived += 1,
            Err(error) => {
                tracing::error!(event = "attendance.archive_failed", session_id = %due.session, %error);
                put_off(tools, &due, now).await?;
                report.left += 1;
            }
        }
    }
    Ok(())
}

async fn put_off(tools: &Services, due: &DueArchive, now: Timestamp) -> Result<(), Error> {
    let at = now.saturating_add(SignedDuration::from_mins(AGAIN_MINUTES)).unwrap_or(now);
    move_to(tools, due, at).await
}

async fn move_to(tools: &Services, due: &DueArchive, at: Timestamp) -> Result<(), Error> {
    let later = archive::set_due(&DueArchive { at, ..due.clone() });
    Ok(tools.store.commit(vec![archive::withdraw_due(due), later]).await?)
}

async fn keep(tools: &Services, due: &DueArchive, now: Timestamp) -> Result<(), Error> {
    let store = &tools.store;
    if let Some(held) = store.session(&due.session).await? {
        let session = held.session;
        let all_there = record::final_at(&session);
        // It was held later than planned, or again, or was not held and moved.
        if all_there > now {
            return move_to(tools, due, all_there).await;
        }
        let gathered = gather(store, &session, now).await?;
        let archive = gathered.archive.unwrap_or_default();
        let kept = match store.keep_attendance(&session, &archive, &gathered.record).await {
            Ok(kept) => kept,
            Err(CommitError::Refused(_)) => {
                return Err(Error::busy("others are writing the class's archive"));
            }
            Err(error) => return Err(error.into()),
        };
        if kept {
            tracing::info!(event = "attendance.archived", session_id = %session.id);
        }
        // Each sees to the one before it, so that none is left out because nobody asked for it in time.
        if let Some(before) = store.unkept_before(&session, now).await? {
            store.commit_one(archive::set_due(&DueArchive::of(&before))).await?;
        }
    }
    Ok(store.commit_one(archive::withdraw_due(due)).await?)
}
