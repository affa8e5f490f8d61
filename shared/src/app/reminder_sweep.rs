//! The reminder sweep, which runs every five minutes. It sends due reminders, ends sessions whose end event was lost,
//! and archives attendance before its sources expire. It also repairs sessions that may differ from their meeting
//! because a request died or Zoom did not respond.

mod archive;
mod drift;
mod end;
mod erasures;
mod invitee_lists;
mod late_events;
mod remind;
mod repair;
mod start;
mod zone_rules;

use jiff::Timestamp;

use super::Services;
use super::error::Error;
use super::run_time::RunTime;
use crate::telemetry::metrics;

/// The counts of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct ReminderReport {
    pub due: usize,
    /// Reminders that became domain events.
    pub reminded: usize,
    /// Reminders that are no longer relevant.
    pub skipped: usize,
    /// Completed repairs, ended sessions, repeated erasures, and other checks.
    pub repaired: usize,
    /// Sessions whose attendance was archived or rescheduled.
    pub archived: usize,
    /// Due work that is left to a later run.
    pub postponed: usize,
    /// Whether some of it is left because the run had no time for it.
    #[serde(skip)]
    pub is_full: bool,
}

impl ReminderReport {
    /// Counts work that the run has no time for.
    fn leave(&mut self, count: usize) {
        self.postponed += count;
        self.is_full |= count > 0;
    }
}

/// Does the work that is due at `now`, as far as `time` allows: first reminders and everything else that needs no other
/// service, then repairs, which call Zoom and may use up the time of every run while Zoom is down, and finally archiving,
/// which has days of time. Reminders that were held before come after new work, because most of them stay held. Failed work
/// does not block the rest.
pub async fn sweep(
    tools: &Services,
    now: Timestamp,
    time: RunTime,
) -> Result<ReminderReport, Error> {
    let work = tools.store.due_work(now).await?;
    let mut report = ReminderReport { due: work.len(), ..ReminderReport::default() };
    report.is_full = work.has_more;
    let report_of_run = &mut report;
    // One kind of work that fails does not keep the others from being done.
    let without_zoom = [
        remind::send_due_reminders(tools, &work.reminders, now, report_of_run).await,
        end::end_overdue_sessions(tools, &work.end_checks, now, report_of_run).await,
        start::count_sessions_without_events(tools, &work.start_checks, now, report_of_run).await,
        late_events::check_erasures(tools, &work.erasure_checks, now, report_of_run).await,
        remind::recheck_held_reminders(tools, &work.held_reminders, now, time, report_of_run).await,
        drift::check_sessions(tools, &work.drift_checks, now, report_of_run).await,
    ];
    erasures::repeat_due_erasures(tools, &work.erasures, now, time, &mut report).await;
    invitee_lists::delete_unused_lists(tools, &work.invitee_list_checks, &mut report).await;
    if let Err(error) =
        zone_rules::keep_local_times(tools, work.zone_check, now, time, &mut report).await
    {
        tracing::warn!(event = "zone_rules.check_failed", %error);
        report.postponed += 1;
    }
    let others = [
        repair::run_due_repairs(tools, work.repairs, now, time, &mut report).await,
        archive::archive_due_sessions(tools, now, time, &mut report).await,
    ];
    tracing::info!(
        event = "reminder_sweep.finished",
        due = report.due,
        reminded = report.reminded,
        skipped = report.skipped,
        repaired = report.repaired,
        archived = report.archived,
        postponed = report.postponed
    );
    if report.is_full {
        metrics::FULL_RUNS.count_kind("reminder-sweep");
    }
    without_zoom.into_iter().chain(others).collect::<Result<(), Error>>()?;
    metrics::SWEPT.count_kind("reminder-sweep");
    Ok(report)
}
