//! The meeting sweep, which runs every five minutes. It carries out the requests for hosts of the platform's own Zoom
//! account, leases and returns licences, finishes payments, and makes the meetings that are due.

mod hosts;
mod licences;
mod meetings;
mod payments;
mod runs;

use jiff::Timestamp;

use super::Services;
use super::error::Error;
use super::run_time::RunTime;
use crate::telemetry::metrics;

/// The counts of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct MeetingReport {
    pub due: usize,
    /// Hosts whose task got a final answer, or that wait for the person.
    pub done: usize,
    /// Due work that is left to a later run.
    pub postponed: usize,
    /// Licences that were assigned and given back.
    pub licences_assigned: usize,
    pub licences_returned: usize,
    /// Classes that begin soon and have no licence, because none is free.
    pub without_licence: usize,
    /// Payments of which no step is left.
    pub payments_finished: usize,
    /// Meetings that were made, that wait because of their host, and that were given up.
    pub meetings_made: usize,
    pub meetings_waiting: usize,
    pub meetings_failed: usize,
    /// Whether some of it is left because the run had no time for it.
    #[serde(skip)]
    pub is_full: bool,
}

impl MeetingReport {
    /// Counts work that the run has no time for.
    fn leave(&mut self, count: usize) {
        self.postponed += count;
        self.is_full |= count > 0;
    }
}

/// Does the work that is due at `now`, as far as `time` allows. One kind of work that fails does not keep the others from
/// being done.
pub async fn sweep(
    tools: &Services,
    now: Timestamp,
    time: RunTime,
) -> Result<MeetingReport, Error> {
    let mut report = MeetingReport::default();
    let mut maker = meetings::Maker::new(tools);
    let outcomes = [
        // First, because classes are about to begin.
        Box::pin(licences::sweep(tools, now, time, &mut report)).await,
        payments::carry_out_due_payments(tools, now, time, &mut report).await,
        hosts::carry_out_due_work(tools, now, time, &mut report).await,
        // Last, because there may be many, and a host that has just become active can be used.
        Box::pin(meetings::make_due_meetings(&mut maker, now, time, &mut report)).await,
        Box::pin(runs::carry_out_requested(tools, &mut maker, time, &mut report)).await,
    ];
    let reported = runs::store_report(tools, &maker.scheduled, now).await;
    let MeetingReport { due, done, postponed, is_full, .. } = report;
    let MeetingReport { licences_assigned, licences_returned, without_licence, .. } = report;
    let payments_finished = report.payments_finished;
    let MeetingReport { meetings_made, meetings_waiting, meetings_failed, .. } = report;
    tracing::info!(
        event = "meeting_sweep.finished",
        due,
        done,
        postponed,
        licences_assigned,
        licences_returned,
        without_licence,
        payments_finished,
        meetings_made,
        meetings_waiting,
        meetings_failed
    );
    if is_full {
        metrics::FULL_RUNS.count_kind("meeting-sweep");
    }
    outcomes.into_iter().chain([reported]).collect::<Result<(), Error>>()?;
    metrics::SWEPT.count_kind("meeting-sweep");
    Ok(report)
}
