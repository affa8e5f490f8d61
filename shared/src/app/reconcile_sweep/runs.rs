//! Carries out the requested runs of comparisons, and reports the results of scheduled runs.
//!
//! A requested run walks once through the queue and leaves the entries as they are. An entry that the scheduled work moves back
//! meanwhile is met again, and is then skipped as fresh. The position is stored with the counts, so after a crash or at the
//! end of the time the next sweep continues.

use jiff::{SignedDuration, Timestamp};

use super::{Reconciler, SESSION_TIME, outcome};
use crate::app::Services;
use crate::app::error::Error;
use crate::domain::id::{RunId, SessionId};
use crate::domain::reconciliation::ReconcileTask;
use crate::domain::run::{Run, RunKind, RunResult, RunScope};
use crate::domain::session::Status;
use crate::domain::time::whole_milli;
use crate::store::due_work::reconciliations::DueReconciliation;
use crate::store::error::CommitError;
use crate::store::runs;
use crate::store::schema::DueQueue;

/// Carries out the open runs, as far as the time allows.
pub(super) async fn carry_out_requested(sweep: &mut Reconciler<'_>) -> Result<(), Error> {
    let tools = sweep.tools;
    let open = tools.store.open_runs(DueQueue::ReconcileRuns).await?;
    for (done, id) in open.iter().enumerate() {
        if !sweep.time.has_left(SESSION_TIME) {
            sweep.report.leave(open.len() - done);
            break;
        }
        let now = tools.clock.now();
        let run = match tools.store.run(id, now).await.map_err(Error::from) {
            Ok(Some(run)) => run,
            Ok(None) => {
                tools.store.commit_one(runs::remove_open(DueQueue::ReconcileRuns, id)).await?;
                continue;
            }
            // A newer version has more kinds of runs.
            Err(error) if error.is_unreadable_item() => continue,
            Err(error) => return Err(error),
        };
        let mut requested = Requested { tools, run };
        if requested.store(|run| run.continued(whole_milli(now))).await? {
            Box::pin(requested.carry_out(sweep, now)).await?;
        }
    }
    Ok(())
}

/// Stores the reports of a scheduled run, one per kind of work that it has done.
pub(super) async fn store_reports(
    tools: &Services,
    results: [(RunKind, &RunResult); 2],
    started_at: Timestamp,
) -> Result<(), Error> {
    let (started_at, ended_at) = (whole_milli(started_at), whole_milli(tools.clock.now()));
    for (kind, result) in results.into_iter().filter(|(_, result)| !result.is_empty()) {
        let id = RunId::new(started_at, tools.random.bytes());
        let run = Run::scheduled(id, kind, result.clone(), started_at, ended_at);
        tools.store.commit(runs::create(&run)).await?;
    }
    Ok(())
}

/// A requested run that this sweep continues.
struct Requested<'a> {
    tools: &'a Services,
    run: Run,
}

impl Requested<'_> {
    /// Stores the next state. Returns `false` if another sweep has continued the run.
    async fn store(&mut self, next: impl FnOnce(&Run) -> Run) -> Result<bool, Error> {
        let next = next(&self.run);
        match self.tools.store.commit(runs::replace(&self.run, &next)).await {
            Ok(()) => {
                self.run = next;
                Ok(true)
            }
            Err(CommitError::Refused(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn carry_out(&mut self, sweep: &mut Reconciler<'_>, now: Timestamp) -> Result<(), Error> {
        let is_complete = match self.run.scope.clone() {
            Some(RunScope::Session(session)) => {
                self.compare(sweep, &session).await?;
                true
            }
            Some(RunScope::DaysBack(days)) => {
                let back = SignedDuration::from_hours(24 * i64::from(days));
                let since = now.saturating_sub(back).unwrap_or(now);
                self.walk(sweep, since, now).await?
            }
            Some(RunScope::DaysAhead(_)) | None => true,
        };
        let ended_at = whole_milli(self.tools.clock.now());
        if is_complete && self.store(|run| run.finished(ended_at)).await? {
            tracing::info!(event = "run.finished", run_id = %self.run.id);
        }
        Ok(())
    }

    /// Compares the queued sessions that ended between `since` and `until`. Returns whether it has come to the end.
    async fn walk(
        &mut self,
        sweep: &mut Reconciler<'_>,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<bool, Error> {
        loop {
            let cursor = self.run.cursor.clone();
            let page = self.tools.store.queued_reconciliations(cursor.as_deref(), None).await?;
            for entry in &page.entries {
                if !sweep.time.has_left(SESSION_TIME) {
                    sweep.report.leave(1);
                    self.checkpoint().await?;
                    return Ok(false);
                }
                if let DueReconciliation::Session(entry) = entry
                    && (since..=until).contains(&entry.ends_at)
                {
                    self.compare(sweep, &entry.session).await?;
                }
                self.run.cursor = Some(entry.position());
            }
            if page.next.is_none() {
                return Ok(true);
            }
            self.run.cursor = page.next;
            if !self.checkpoint().await? {
                return Ok(false);
            }
        }
    }

    /// Carries out the run's tasks for one session, also before they are due.
    async fn compare(
        &mut self,
        sweep: &mut Reconciler<'_>,
        session: &SessionId,
    ) -> Result<(), Error> {
        let record = self.tools.store.session(session).await?;
        let Some(mut record) = record.filter(|it| it.session.status != Status::Cancelled) else {
            self.run.result.skipped();
            return Ok(());
        };
        let kind = self.run.kind;
        for task in ReconcileTask::PLANNED.iter().filter(|task| task.run_kind() == kind) {
            let look = sweep.attempt(*task, &mut record).await?;
            outcome::count(&look, &record.session, &mut self.run.result);
        }
        Ok(())
    }

    /// Stores the position and the counts. Returns `false` if another sweep has continued the run.
    async fn checkpoint(&mut self) -> Result<bool, Error> {
        let now = whole_milli(self.tools.clock.now());
        self.store(|run| run.continued(now)).await
    }
}
