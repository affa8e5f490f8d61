//! Makes the meetings that are due, in the order of the starts.
//!
//! The meetings are made one after the other, so that the limits per second are left to people. After such a limit, the
//! account is left to people until the next run. After another failure, all due meetings of the host wait for the same time
//! ([`FailedAttempt`]), so a host at the daily limit costs one attempt per pause, however many sessions wait.

mod inputs;
mod make;
mod notice;
mod reserve;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

pub(super) use self::make::make_meeting;

use super::MeetingReport;
use crate::app::Services;
use crate::app::error::Error;
use crate::app::run_time::RunTime;
use crate::app::session_cancel::failure_reason;
use crate::domain::hosting::Hosting;
use crate::domain::id::UserId;
use crate::domain::meeting_retry::FailedAttempt;
use crate::domain::refusal::Refusal;
use crate::domain::time::{seconds_to_utc_midnight, whole_milli};
use crate::store::due_work::meetings::DueMeeting;
use crate::store::error::CommitError;
use crate::telemetry::metrics;

/// The remaining time required for another meeting: a refresh, a list, a create and a correction of the start, of which each
/// may be answered late.
pub(super) const MEETING_TIME: Duration = Duration::from_secs(40);
/// The longest wait for a limit per second. A longer one is that of a daily limit.
const SHORT_WAIT: Duration = Duration::from_secs(60);
/// The longest random delay of a retry.
const JITTER_SECONDS: u64 = 60;
/// How long an entry may be left to later runs before its meeting counts as missing.
const LEFT_TOO_LONG: SignedDuration = SignedDuration::from_hours(1);
/// Entries that are moved in one transaction, of two actions each.
const MOVED_AT_ONCE: usize = 50;

/// The outcome of one attempt.
#[derive(Debug)]
pub(super) enum Attempt {
    Made,
    /// The meeting exists, or the session does not need one any more.
    NotNeeded,
    /// The session was moved, or another process is changing it.
    Busy,
    /// Zoom or the host's calendar has no place for the meeting. An edit tries again.
    GivenUp {
        reason: &'static str,
    },
    /// All meetings of the host wait.
    Failed {
        hosting: Hosting,
        error: Error,
    },
}

/// The hosts that this run leaves alone.
#[derive(Debug, Default)]
pub(super) struct Unavailable {
    /// Trainers whose meetings wait, with the failed attempt.
    waiting: BTreeMap<UserId, FailedAttempt>,
    /// Trainers whose own account has reached its limit per second.
    limited: BTreeSet<UserId>,
    /// Whether the platform's own account has reached its limit per second.
    account_is_limited: bool,
}

/// A run of the sweep over the due meetings.
struct Run<'a> {
    tools: &'a Services,
    unavailable: Unavailable,
    /// Entries that wait for a later attempt, in the order of the starts.
    moved: Vec<(DueMeeting, FailedAttempt)>,
}

/// Makes the due meetings, as far as `time` allows. A failed one does not block those of other hosts.
pub(super) async fn make_due_meetings(
    tools: &Services,
    now: Timestamp,
    time: RunTime,
    report: &mut MeetingReport,
) -> Result<(), Error> {
    let due = tools.store.due_meetings(now).await?;
    report.due += due.meetings.len();
    report.is_full |= due.has_more;
    let mut run = Run { tools, unavailable: Unavailable::default(), moved: Vec::new() };
    let mut outcome = Ok(());
    for (done, entry) in due.meetings.iter().enumerate() {
        if !time.has_left(MEETING_TIME) {
            let left = &due.meetings[done..];
            report.leave(left.len());
            run.report_overdue(left).await;
            break;
        }
        if let Err(error) = run.handle(entry, report).await {
            outcome = Err(error);
            break;
        }
    }
    run.move_entries().await?;
    outcome
}

impl Run<'_> {
    async fn handle(&mut self, due: &DueMeeting, report: &mut MeetingReport) -> Result<(), Error> {
        if let Some(failed) = self.unavailable.waiting.get(&due.trainer).copied() {
            report.meetings_waiting += 1;
            self.wait(due, failed).await;
            return Ok(());
        }
        if self.unavailable.limited.contains(&due.trainer) {
            report.postponed += 1;
            self.report_overdue(std::slice::from_ref(due)).await;
            return Ok(());
        }
        match self.attempt(due).await? {
            Attempt::Made => {
                metrics::MEETINGS_CREATED.count();
                report.done += 1;
                report.meetings_made += 1;
            }
            Attempt::NotNeeded => report.done += 1,
            Attempt::Busy => {
                report.postponed += 1;
                self.report_overdue(std::slice::from_ref(due)).await;
            }
            Attempt::GivenUp { reason } => {
                let session_id = &due.session;
                tracing::warn!(event = "meeting.given_up", %session_id, reason);
                report.done += 1;
                report.meetings_failed += 1;
                notice::report_missing(self.tools, due).await;
            }
            Attempt::Failed { hosting, error } => {
                self.fail(due, hosting, error, report).await;
            }
        }
        Ok(())
    }

    async fn attempt(&mut self, due: &DueMeeting) -> Result<Attempt, Error> {
        let account_is_limited = self.unavailable.account_is_limited;
        make_meeting(self.tools, &due.session, Some(due), account_is_limited).await
    }

    /// Lets the host's meetings wait, or leaves the account to people until the next run.
    async fn fail(
        &mut self,
        due: &DueMeeting,
        hosting: Hosting,
        error: Error,
        report: &mut MeetingReport,
    ) {
        let (session_id, reason) = (&due.session, reason_of(&error));
        // A limit is no failure of the system, and a refusal is the trainer's to correct.
        if !matches!(error, Error::ZoomLimited { .. } | Error::Refused(_)) {
            metrics::MEETINGS_FAILED.count();
        }
        tracing::warn!(event = "meeting.not_made", %session_id, reason, failures = due.failures, %error);
        let reset_after = match &error {
            Error::ZoomLimited { after } if *after <= SHORT_WAIT => {
                match hosting {
                    Hosting::Platform => self.unavailable.account_is_limited = true,
                    Hosting::Trainer => {
                        self.unavailable.limited.insert(due.trainer.clone());
                    }
                }
                report.postponed += 1;
                self.report_overdue(std::slice::from_ref(due)).await;
                return;
            }
            Error::ZoomLimited { after } => SignedDuration::try_from(*after).ok(),
            _ => None,
        };
        let now = whole_milli(self.tools.clock.now());
        let jitter = 1 + self.tools.random.below(JITTER_SECONDS);
        let failed = FailedAttempt {
            at: now,
            failures: due.failures,
            reset_at: reset_after.and_then(|after| now.checked_add(after).ok()),
            jitter: SignedDuration::from_secs(i64::try_from(jitter).unwrap_or(1)),
        };
        self.unavailable.waiting.insert(due.trainer.clone(), failed);
        report.meetings_waiting += 1;
        self.wait(due, failed).await;
    }

    async fn wait(&mut self, due: &DueMeeting, failed: FailedAttempt) {
        self.moved.push((due.clone(), failed));
        notice::report_missing(self.tools, due).await;
    }

    /// Reports those of the entries that earlier runs have left for too long.
    async fn report_overdue(&self, left: &[DueMeeting]) {
        let now = self.tools.clock.now();
        let overdue = left.iter().filter(|due| now.duration_since(due.attempt_at) >= LEFT_TOO_LONG);
        for due in overdue {
            notice::report_missing(self.tools, due).await;
        }
    }

    /// Moves the entries that wait to their next attempt. Those of a host stay in the order of the starts.
    async fn move_entries(&mut self) -> Result<(), Error> {
        let moves: Vec<_> = std::mem::take(&mut self.moved)
            .into_iter()
            .zip(0i64..)
            .map(|((due, failed), place)| {
                let retry_at = failed.retry_at(due.starts_at);
                let place = SignedDuration::from_millis(place);
                let retry_at = retry_at.saturating_add(place).unwrap_or(retry_at);
                due.move_to(retry_at, failed.failures.saturating_add(1))
            })
            .collect();
        for chunk in moves.chunks(MOVED_AT_ONCE) {
            match self.tools.store.commit(chunk.concat()).await {
                Ok(()) => {}
                // An edit, a cancellation or another run has moved or deleted one of them.
                Err(CommitError::Refused(_)) => {
                    for entry in chunk {
                        match self.tools.store.commit(entry.clone()).await {
                            Ok(()) | Err(CommitError::Refused(_)) => {}
                            Err(error) => return Err(error.into()),
                        }
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// Returns the reason of a failed attempt, for the log and the reports of runs.
pub(super) fn reason_of(error: &Error) -> &'static str {
    match error {
        Error::Refused(Refusal::NoActiveHost) => "no_active_host",
        Error::AccountRefused { .. } => "account_refused",
        Error::ZoomUnavailable { .. } => "zoom_unavailable",
        error => failure_reason(error),
    }
}

/// Returns the error of a host at our own count of the daily limit.
fn daily_limit(now: Timestamp) -> Error {
    Error::ZoomLimited { after: Duration::from_secs(seconds_to_utc_midnight(now)) }
}
