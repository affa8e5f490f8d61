//! Carries out the runs that somebody has requested, and reports the results of scheduled runs.
//!
//! A requested run walks once through the queue, also past the meetings that are not due yet. Its position is stored with its
//! counts, so after a crash or at the end of the time the next sweep continues. Counts since the last stored position are lost
//! in a crash. The meetings are not.

use jiff::{SignedDuration, Timestamp};

use super::MeetingReport;
use super::meetings::{Handled, MEETING_TIME, Maker};
use crate::app::Services;
use crate::app::error::Error;
use crate::app::run_time::RunTime;
use crate::domain::id::{RunId, SessionId};
use crate::domain::run::{Run, RunKind, RunResult, RunScope};
use crate::domain::time::whole_milli;
use crate::store::error::CommitError;
use crate::store::runs;
use crate::store::schema::DueQueue;

/// Carries out the open runs, as far as `time` allows.
pub(super) async fn carry_out_requested(
    tools: &Services,
    maker: &mut Maker<'_>,
    time: RunTime,
    report: &mut MeetingReport,
) -> Result<(), Error> {
    let open = tools.store.open_runs(DueQueue::Runs).await?;
    for (done, id) in open.iter().enumerate() {
        if !time.has_left(MEETING_TIME) {
            report.leave(open.len() - done);
            break;
        }
        let now = tools.clock.now();
        let run = match tools.store.run(id, now).await.map_err(Error::from) {
            Ok(Some(run)) => run,
            Ok(None) => {
                tools.store.commit_one(runs::remove_open(DueQueue::Runs, id)).await?;
                continue;
            }
            // A newer version has more kinds of runs.
            Err(error) if error.is_unreadable_item() => continue,
            Err(error) => return Err(error),
        };
        let mut requested = Requested { tools, run };
        if requested.store(|run| run.continued(whole_milli(now))).await? {
            requested.carry_out(maker, now, time, report).await?;
        }
    }
    Ok(())
}

/// Stores the report of a scheduled run. One that has found nothing to do leaves none.
pub(super) async fn store_report(
    tools: &Services,
    result: &RunResult,
    started_at: Timestamp,
) -> Result<(), Error> {
    if result.is_empty() {
        return Ok(());
    }
    let (started_at, ended_at) = (whole_milli(started_at), whole_milli(tools.clock.now()));
    let id = RunId::new(started_at, tools.random.bytes());
    let run = Run::scheduled(id, RunKind::Meetings, result.clone(), started_at, ended_at);
    Ok(tools.store.commit(runs::create(&run)).await?)
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

    async fn carry_out(
        &mut self,
        maker: &mut Maker<'_>,
        now: Timestamp,
        time: RunTime,
        report: &mut MeetingReport,
    ) -> Result<(), Error> {
        let is_complete = match self.run.scope.clone() {
            Some(RunScope::Session(session)) => {
                let handled = maker.make_one(&session, report).await?;
                self.count(&session, handled);
                true
            }
            Some(RunScope::DaysAhead(days)) => {
                let ahead = SignedDuration::from_hours(24 * i64::from(days));
                let until = now.saturating_add(ahead).unwrap_or(now);
                self.walk(maker, until, time, report).await?
            }
            Some(RunScope::DaysBack(_)) | None => true,
        };
        let ended_at = whole_milli(self.tools.clock.now());
        if is_complete && self.store(|run| run.finished(ended_at)).await? {
            tracing::info!(event = "run.finished", run_id = %self.run.id);
        }
        Ok(())
    }

    /// Makes the queued meetings of the sessions that start until `until`. Returns whether it has come to the end.
    async fn walk(
        &mut self,
        maker: &mut Maker<'_>,
        until: Timestamp,
        time: RunTime,
        report: &mut MeetingReport,
    ) -> Result<bool, Error> {
        loop {
            let page = self.tools.store.queued_meetings(self.run.cursor.as_deref(), until).await?;
            for entry in &page.meetings {
                if !time.has_left(MEETING_TIME) {
                    report.leave(1);
                    maker.move_entries().await?;
                    self.checkpoint().await?;
                    return Ok(false);
                }
                if entry.starts_at <= until {
                    let handled = maker.handle(entry, report).await?;
                    self.count(&entry.session, handled);
                }
                self.run.cursor = Some(entry.position());
            }
            maker.move_entries().await?;
            if page.next.is_none() {
                return Ok(true);
            }
            if !self.checkpoint().await? {
                return Ok(false);
            }
        }
    }

    /// Stores the position and the counts. Returns `false` if another sweep has continued the run.
    async fn checkpoint(&mut self) -> Result<bool, Error> {
        let now = whole_milli(self.tools.clock.now());
        self.store(|run| run.continued(now)).await
    }

    fn count(&mut self, session: &SessionId, handled: Handled) {
        handled.count(session, &mut self.run.result);
    }
}
