//! The reconcile sweep, which runs every 15 minutes. It compares ended sessions with Zoom, in case webhook events were lost.
//!
//! Every session has one entry in a queue, with the progress of its tasks. A run takes the due entries one after the other,
//! and stores the next state of an entry before it takes the next one. A run that dies is therefore continued by the next.
//! A failed session is moved back in the queue, so that it does not delay others.

mod accounts;
mod grants;
mod lifecycle;
mod meetings;
mod outcome;
mod participants;
mod past_meetings;
mod runs;

use std::time::Duration;

use jiff::Timestamp;

use self::accounts::Accounts;
use self::outcome::{Look, Verdict, verdict};
use super::Services;
use super::error::Error;
use super::recordings_sync::{self, SyncOutcome};
use super::run_time::RunTime;
use super::session_cancel::failure_reason;
use crate::domain::reconciliation::{
    ReconcilePlan, ReconcileProgress, ReconcileTask, RecordingDays,
};
use crate::domain::run::{RunKind, RunResult};
use crate::domain::session::{Session, Status};
use crate::domain::time::whole_milli;
use crate::store::due_work::reconciliations::{
    DueReconciliation, HostCheck, QueuedReconciliations, SessionReconciliation,
};
use crate::store::sessions::SessionRecord;
use crate::telemetry::metrics;

/// The remaining time required for another session: some calls to Zoom, of which each may be answered late and repeated.
const SESSION_TIME: Duration = Duration::from_secs(60);

/// The counts of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct ReconcileReport {
    pub due: usize,
    /// Sessions of which every due task got an answer.
    pub compared: usize,
    /// Sessions that differed from Zoom and were corrected.
    pub corrected: usize,
    /// Sessions that are compared again later, because a task failed.
    pub failed: usize,
    /// Due work that is left to a later run.
    pub postponed: usize,
    /// Whether some of it is left because the run had no time for it.
    #[serde(skip)]
    pub is_full: bool,
}

/// One run of the sweep.
struct Reconciler<'a> {
    tools: &'a Services,
    recording_days: RecordingDays,
    time: RunTime,
    accounts: Accounts,
    report: ReconcileReport,
    /// The reports of the scheduled run, by kind.
    recordings: RunResult,
    attendance: RunResult,
}

/// Does the work that is due at `now`, as far as `time` allows.
pub async fn sweep(
    tools: &Services,
    recording_days: RecordingDays,
    now: Timestamp,
    time: RunTime,
) -> Result<ReconcileReport, Error> {
    let mut run = Reconciler {
        tools,
        recording_days,
        time,
        accounts: Accounts::default(),
        report: ReconcileReport::default(),
        recordings: RunResult::default(),
        attendance: RunResult::default(),
    };
    let compared = run.carry_out_due(now).await;
    let requested = runs::carry_out_requested(&mut run).await;
    let kinds = [(RunKind::Recordings, &run.recordings), (RunKind::Attendance, &run.attendance)];
    let reported = runs::store_reports(tools, kinds, now).await;
    let ReconcileReport { due, compared: sessions, corrected, failed, postponed, is_full } =
        run.report;
    tracing::info!(
        event = "reconcile_sweep.finished",
        due,
        compared = sessions,
        corrected,
        failed,
        postponed
    );
    if is_full {
        metrics::FULL_RUNS.count_kind("reconcile-sweep");
    }
    [compared, requested, reported].into_iter().collect::<Result<(), Error>>()?;
    metrics::SWEPT.count_kind("reconcile-sweep");
    Ok(run.report)
}

impl Reconciler<'_> {
    /// Compares the sessions that are due, oldest first.
    async fn carry_out_due(&mut self, now: Timestamp) -> Result<(), Error> {
        let store = &self.tools.store;
        let QueuedReconciliations { entries, next } =
            store.queued_reconciliations(None, Some(now)).await?;
        self.report.due += entries.len();
        self.report.is_full |= next.is_some();
        for (done, entry) in entries.iter().enumerate() {
            if !self.time.has_left(SESSION_TIME) {
                self.report.leave(entries.len() - done);
                break;
            }
            match entry {
                DueReconciliation::Session(entry) => Box::pin(self.compare_session(entry)).await?,
                DueReconciliation::Grant(check) => Box::pin(self.check_grant(check)).await?,
                DueReconciliation::Host(check) => Box::pin(self.check_host(check)).await?,
                DueReconciliation::CancelledMeeting(check) => {
                    Box::pin(self.check_cancelled_meeting(check)).await?;
                }
            }
        }
        Ok(())
    }

    /// Carries out the due tasks of a session, and stores the next state of its entry.
    async fn compare_session(&mut self, entry: &SessionReconciliation) -> Result<(), Error> {
        let record = match self.tools.store.session(&entry.session).await.map_err(Error::from) {
            Ok(record) => record,
            // The alarm of unreadable items reports it. Its entry waits, and does not keep the others from being done.
            Err(error) if error.is_unreadable_item() => {
                self.report.postponed += 1;
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let Some(mut record) = record.filter(|record| is_comparable(entry, &record.session)) else {
            return Ok(self.tools.store.commit_one(entry.delete()).await?);
        };
        let now = whole_milli(self.tools.clock.now());
        let mut progress = entry.progress;
        let plan = ReconcilePlan::of_session(&record.session, self.recording_days);
        if plan.is_over(&progress, now) {
            return Ok(self.tools.store.commit_one(entry.delete()).await?);
        }
        let mut summary = Summary::default();
        for task in plan.due_tasks(&progress, now) {
            let look = self.attempt(task, &mut record).await?;
            self.count(task, &record.session, &look);
            summary.add(&look);
            if task == ReconcileTask::Lifecycle && matches!(look, Ok(Look::Corrected { .. })) {
                progress = progress.with_corrected_lifecycle();
            }
            match verdict(&look) {
                Verdict::Outcome(outcome) => progress = progress.after(task, outcome, now),
                Verdict::Leave => {
                    summary.is_left = true;
                    break;
                }
            }
        }
        self.report.add(summary);
        // The tasks may have changed the session.
        let plan = ReconcilePlan::of_session(&record.session, self.recording_days);
        let next_look = if summary.is_left { entry.due_at } else { plan.next_look(&progress) };
        if next_look == entry.due_at && progress == entry.progress {
            return Ok(());
        }
        let mut writes = entry.move_to(next_look, progress);
        // Once for the sessions of a host and a day.
        if entry.progress == ReconcileProgress::default() && record.session.meeting.id.is_some() {
            writes.push(HostCheck::next_day(&record.session, now).put());
        }
        Ok(self.tools.store.write_all(writes).await?)
    }

    /// Carries out one task, unless the account has reached a limit in this run. Returns the error of the task as its result.
    /// After a correction, `record` is the session as it is then.
    async fn attempt(
        &mut self,
        task: ReconcileTask,
        record: &mut SessionRecord,
    ) -> Result<Result<Look, Error>, Error> {
        if let Some(limited) = self.accounts.limited(&record.session) {
            return Ok(Err(limited));
        }
        let look = self.carry_out(task, record).await;
        self.accounts.remember(&record.session, &look);
        match &look {
            Ok(Look::Corrected { .. }) => {
                if let Some(current) = self.tools.store.session(&record.session.id).await? {
                    *record = current;
                }
            }
            Ok(_) => {}
            Err(error) => {
                let (session_id, reason) = (&record.session.id, failure_reason(error));
                tracing::warn!(event = "reconcile.failed", %session_id, ?task, reason, %error);
            }
        }
        Ok(look)
    }

    /// Carries out one task of a session.
    async fn carry_out(
        &mut self,
        task: ReconcileTask,
        record: &SessionRecord,
    ) -> Result<Look, Error> {
        let (tools, limiter) = (self.tools, &mut self.accounts.limiter);
        match task {
            ReconcileTask::Recordings => self.compare_recordings(record).await,
            ReconcileTask::Lifecycle => lifecycle::compare(tools, limiter, record).await,
            ReconcileTask::Participants => participants::compare(tools, limiter, record).await,
        }
    }

    async fn compare_recordings(&mut self, record: &SessionRecord) -> Result<Look, Error> {
        let synced = recordings_sync::sync(self.tools, &mut self.accounts.limiter, record).await?;
        Ok(match synced {
            SyncOutcome::Fresh => Look::Fresh,
            SyncOutcome::Compared { added: 0, changed: 0, .. } => Look::Unchanged,
            SyncOutcome::Compared { added, .. } => Look::Corrected { is_new: added > 0 },
        })
    }

    /// Counts the result of a task in the report of the scheduled run.
    fn count(&mut self, task: ReconcileTask, session: &Session, look: &Result<Look, Error>) {
        let result = match task.run_kind() {
            RunKind::Attendance => &mut self.attendance,
            RunKind::Meetings | RunKind::Recordings => &mut self.recordings,
        };
        outcome::count(look, session, result);
    }
}

/// Returns whether an entry is about the current plan of a session that takes place. A session that was moved gets another
/// entry at its new start.
fn is_comparable(entry: &SessionReconciliation, session: &Session) -> bool {
    entry.is_current(session) && session.status != Status::Cancelled
}

/// The results of a session's tasks.
#[derive(Clone, Copy, Debug, Default)]
struct Summary {
    is_corrected: bool,
    is_failed: bool,
    is_left: bool,
}

impl Summary {
    fn add(&mut self, look: &Result<Look, Error>) {
        self.is_corrected |= matches!(look, Ok(Look::Corrected { .. }));
        self.is_failed |= look.is_err();
    }
}

impl ReconcileReport {
    /// Counts work that the run has no time for.
    fn leave(&mut self, count: usize) {
        self.postponed += count;
        self.is_full |= count > 0;
    }

    fn add(&mut self, summary: Summary) {
        self.corrected += usize::from(summary.is_corrected);
        match summary {
            Summary { is_left: true, .. } => self.postponed += 1,
            Summary { is_failed: true, .. } => self.failed += 1,
            _ => self.compared += 1,
        }
    }
}
