//! The five-minute sweep. It tells the reminders whose time has come, and it repairs: it finds classes of which Zoom and
//! we may know different things, because a request died or Zoom was silent between the two, and makes them agree. It ends
//! classes of which nobody told that they are over. And it keeps the attendance of classes that are over, before what it
//! is made of runs out.

mod archive;
mod end;
mod remind;
mod repair;

use jiff::Timestamp;

use super::Services;
use super::error::Error;
use super::run_time::RunTime;
use crate::telemetry::metrics;

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct ReminderReport {
    pub due: usize,
    /// Reminders that became announcements.
    pub reminded: usize,
    /// Reminders that are of no use any more.
    pub void: usize,
    /// Repairs that are done, and classes that were ended.
    pub repaired: usize,
    /// Classes whose attendance is kept, or is so at a later time.
    pub archived: usize,
    /// To be looked at again by a later run.
    pub left: usize,
}

/// Does what is due at `now`, for as long as there is `time`: reminders first, which wait for nobody, then repairs, which
/// wait for Zoom, and at last what has days. What cannot be done yet does not keep the rest waiting.
pub async fn sweep(tools: &Services, now: Timestamp, time: RunTime) -> Result<ReminderReport, Error> {
    let work = tools.store.due_work(now).await?;
    let mut report = ReminderReport { due: work.len(), ..ReminderReport::default() };
    remind::remind(tools, work.reminders, now, &mut report).await?;
    end::end(tools, &work.endings, now, &mut report).await?;
    repair::repair(tools, &work.repairs, time, &mut report).await?;
    archive::archive(tools, now, time, &mut report).await?;
    tracing::info!(
        event = "reminder_sweep.done",
        due = report.due,
        reminded = report.reminded,
        void = report.void,
        repaired = report.repaired,
        archived = report.archived,
        left = report.left
    );
    metrics::SWEPT.count_of("reminder-sweep");
    Ok(report)
}
