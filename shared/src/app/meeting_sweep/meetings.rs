//! Makes the meetings that are due, in the order of the starts.
//!
//! The meetings are made one after the other, so that the limits per second are left to people. After such a limit, the
//! account is left to people until the next run. After another failure, all due meetings of the host wait for the same time
//! ([`FailedAttempt`]), so a host at the daily limit costs one attempt per pause, however many sessions wait.

mod inputs;
mod make;
mod missing;
mod reserve;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use self::make::make_meeting;
use self::missing::report_missing;
use super::MeetingReport;
use crate::app::Services;
use crate::app::error::Error;
use crate::app::run_time::RunTime;
use crate::app::session_cancel::failure_reason;
use crate::domain::hosting::Hosting;
use crate::domain::id::{SessionId, UserId};
use crate::domain::meeting_retry::FailedAttempt;
use crate::domain::refusal::Refusal;
use crate::domain::run::RunResult;
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
/// Pages of the queue that one run reads: 2,000 entries. A run has time for about a hundred meetings, but can move the entries
/// of hosts that wait, so that they do not block those of others.
const DUE_PAGES: usize = 20;
/// Entries that are moved in one transaction, of two actions each.
const MOVED_AT_ONCE: usize = 50;

/// The outcome of one attempt.
#[derive(Debug)]
enum Attempt {
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
struct Unavailable {
    /// Trainers whose meetings wait, with the failed attempt and its reason.
    waiting: BTreeMap<UserId, (FailedAttempt, &'static str)>,
    /// Trainers whose own account has reached its limit per second.
    limited: BTreeSet<UserId>,
    /// Whether the platform's own account has reached its limit per second.
    account_is_limited: bool,
}

/// The result of one entry of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handled {
    Made,
    NotNeeded,
    /// Another process is changing the session, or the account is left to people.
    Left,
    Failed(&'static str),
}

impl Handled {
    pub(super) fn count(self, session: &SessionId, result: &mut RunResult) {
        match self {
            Self::Made => result.created(),
            Self::NotNeeded | Self::Left => result.skipped(),
            Self::Failed(code) => result.failed(session, code),
        }
    }
}

/// Makes the meetings of one run of the sweep.
pub(super) struct Maker<'a> {
    tools: &'a Services,
    unavailable: Unavailable,
    /// Entries that wait for a later attempt, in the order of the starts.
    moved: Vec<(DueMeeting, FailedAttempt)>,
    /// The result of the entries that were due.
    pub(super) scheduled: RunResult,
}

/// Makes the due meetings, as far as `time` allows. A failed one does not block those of other hosts.
pub(super) async fn make_due_meetings(
    maker: &mut Maker<'_>,
    now: Timestamp,
    time: RunTime,
    report: &mut MeetingReport,
) -> Result<(), Error> {
    let due = due_meetings(maker.tools, now, report).await?;
    report.due += due.len();
    let mut outcome = Ok(());
    for (done, entry) in due.iter().enumerate() {
        if !time.has_left(MEETING_TIME) {
            let left = &due[done..];
            report.leave(left.len());
            maker.report_overdue(left).await;
            break;
        }
        match maker.handle(entry, report).await {
            Ok(handled) => handled.count(&entry.session, &mut maker.scheduled),
            Err(error) => {
                outcome = Err(error);
                break;
            }
        }
    }
    maker.move_entries().await?;
    outcome
}

/// Returns the due meetings in the order of the starts.
async fn due_meetings(
    tools: &Services,
    now: Timestamp,
    report: &mut MeetingReport,
) -> Result<Vec<DueMeeting>, Error> {
    let (mut due, mut after) = (Vec::new(), None);
    for _ in 0..DUE_PAGES {
        let page = tools.store.queued_meetings(after.as_deref(), now).await?;
        due.extend(page.meetings);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    report.is_full |= after.is_some();
    due.sort_by(|a, b| (a.starts_at, &a.session).cmp(&(b.starts_at, &b.session)));
    Ok(due)
}

impl<'a> Maker<'a> {
    pub(super) fn new(tools: &'a Services) -> Self {
        Self {
            tools,
            unavailable: Unavailable::default(),
            moved: Vec::new(),
            scheduled: RunResult::default(),
        }
    }

    /// Makes the meeting of one session, also if it was given up or waits.
    pub(super) async fn make_one(
        &self,
        session: &SessionId,
        report: &mut MeetingReport,
    ) -> Result<Handled, Error> {
        let account_is_limited = self.unavailable.account_is_limited;
        Ok(match make_meeting(self.tools, session, None, account_is_limited).await? {
            Attempt::Made => {
                report.meetings_made += 1;
                Handled::Made
            }
            Attempt::NotNeeded => Handled::NotNeeded,
            Attempt::Busy => Handled::Left,
            Attempt::GivenUp { reason } => Handled::Failed(reason),
            Attempt::Failed { error, .. } => Handled::Failed(reason_of(&error)),
        })
    }

    /// Makes the meeting of an entry of the queue, unless its host is left alone.
    pub(super) async fn handle(
        &mut self,
        due: &DueMeeting,
        report: &mut MeetingReport,
    ) -> Result<Handled, Error> {
        if let Some((failed, reason)) = self.unavailable.waiting.get(&due.trainer).copied() {
            report.meetings_waiting += 1;
            self.wait(due, failed).await;
            return Ok(Handled::Failed(reason));
        }
        if self.unavailable.limited.contains(&due.trainer) {
            return Ok(self.leave(due, report).await);
        }
        let account_is_limited = self.unavailable.account_is_limited;
        match make_meeting(self.tools, &due.session, Some(due), account_is_limited).await? {
            Attempt::Made => {
                metrics::MEETINGS_CREATED.count();
                report.done += 1;
                report.meetings_made += 1;
                Ok(Handled::Made)
            }
            Attempt::NotNeeded => {
                report.done += 1;
                Ok(Handled::NotNeeded)
            }
            Attempt::Busy => Ok(self.leave(due, report).await),
            Attempt::GivenUp { reason } => {
                let session_id = &due.session;
                tracing::warn!(event = "meeting.given_up", %session_id, reason);
                report.done += 1;
                report.meetings_failed += 1;
                report_missing(self.tools, due).await;
                Ok(Handled::Failed(reason))
            }
            Attempt::Failed { hosting, error } => Ok(self.fail(due, hosting, error, report).await),
        }
    }

    /// Leaves an entry to the next run.
    async fn leave(&self, due: &DueMeeting, report: &mut MeetingReport) -> Handled {
        report.postponed += 1;
        self.report_overdue(std::slice::from_ref(due)).await;
        Handled::Left
    }

    /// Lets the host's meetings wait, or leaves the account to people until the next run.
    async fn fail(
        &mut self,
        due: &DueMeeting,
        hosting: Hosting,
        error: Error,
        report: &mut MeetingReport,
    ) -> Handled {
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
                return self.leave(due, report).await;
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
        self.unavailable.waiting.insert(due.trainer.clone(), (failed, reason));
        report.meetings_waiting += 1;
        self.wait(due, failed).await;
        Handled::Failed(reason)
    }

    async fn wait(&mut self, due: &DueMeeting, failed: FailedAttempt) {
        self.moved.push((due.clone(), failed));
        report_missing(self.tools, due).await;
    }

    /// Reports those of the entries that earlier runs have left for too long.
    async fn report_overdue(&self, left: &[DueMeeting]) {
        let now = self.tools.clock.now();
        let overdue = left.iter().filter(|due| now.duration_since(due.attempt_at) >= LEFT_TOO_LONG);
        for due in overdue {
            report_missing(self.tools, due).await;
        }
    }

    /// Moves the entries that wait to their next attempt. Those of a host stay in the order of the starts.
    pub(super) async fn move_entries(&mut self) -> Result<(), Error> {
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
