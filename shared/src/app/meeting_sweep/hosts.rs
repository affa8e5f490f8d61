//! Carries out the tasks of hosts at Zoom: creates or adopts their users, looks whether invitations are accepted, and
//! removes users.
//!
//! Every task begins with a read of the user, so that it can be repeated after a crash or a lost response. Its outcome is
//! stored only if the host has not changed since. The hosts are taken one after the other, so that the account's limits
//! per second are left to people.

mod tasks;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use self::tasks::AccountUsers;
use super::MeetingReport;
use crate::app::Services;
use crate::app::error::Error;
use crate::app::run_time::RunTime;
use crate::domain::platform_host::{HostOutcome, HostState, OutcomeTime, PlatformHost};
use crate::domain::time::whole_milli;
use crate::store::error::CommitError;
use crate::store::hosts::{self, DueDeactivation, DueHost, DueHostWork};
use crate::telemetry::metrics;

/// The remaining time required for another host: six calls to Zoom, of which each may be answered late and repeated.
const HOST_TIME: Duration = Duration::from_secs(40);
/// Attempts to deactivate the user of an erased person, one every hour: two weeks.
const DEACTIVATION_ATTEMPTS: u32 = 336;
const DEACTIVATION_RETRY: SignedDuration = SignedDuration::from_hours(1);
/// The longest wait for a limit per second. A longer one is that of a daily limit, which applies to invitations only.
const SHORT_WAIT: SignedDuration = SignedDuration::from_secs(60);

/// Whether the run goes on after one item of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Continue,
    /// The account's limit per second is reached.
    Stop,
}

/// Carries out the due work, oldest first. A failed host does not block the others.
pub(super) async fn carry_out_due_work(
    tools: &Services,
    now: Timestamp,
    time: RunTime,
    report: &mut MeetingReport,
) -> Result<(), Error> {
    let due = tools.store.due_host_work(now).await?;
    report.due += due.len();
    if due.is_empty() {
        return Ok(());
    }
    let mut users = AccountUsers::new(tools).await;
    for (done, work) in due.iter().enumerate() {
        if !time.has_left(HOST_TIME) {
            report.leave(due.len() - done);
            break;
        }
        let next = match work {
            DueHostWork::Host(host) => carry_out(tools, &mut users, host, report).await?,
            DueHostWork::Deactivation(due) => deactivate(tools, &mut users, due, report).await?,
        };
        if next == Next::Stop {
            report.postponed += due.len() - done - 1;
            break;
        }
    }
    Ok(())
}

async fn carry_out(
    tools: &Services,
    users: &mut AccountUsers<'_>,
    due: &DueHost,
    report: &mut MeetingReport,
) -> Result<Next, Error> {
    let Some(host) = current_host(tools, due).await? else {
        tools.store.commit_one(due.delete()).await?;
        return Ok(Next::Continue);
    };
    let outcome = users.carry_out(&host).await;
    let next = match &outcome {
        HostOutcome::Limited { after } if *after <= SHORT_WAIT => Next::Stop,
        _ => Next::Continue,
    };
    if matches!(outcome, HostOutcome::Limited { .. } | HostOutcome::Unanswered) {
        report.postponed += 1;
    } else {
        report.done += 1;
    }
    // The calls may have taken a minute.
    let after = host.after(outcome, outcome_time(tools));
    store_outcome(tools, &host, &after).await?;
    Ok(next)
}

/// Returns the host of due work. `None` if the work has been replaced.
async fn current_host(tools: &Services, due: &DueHost) -> Result<Option<PlatformHost>, Error> {
    let host = tools.store.platform_host(&due.trainer).await?;
    let is_current =
        |host: &PlatformHost| host.work.as_ref().is_some_and(|work| work.due_at == due.due_at);
    Ok(host.filter(is_current))
}

/// Stores the outcome, unless the host has been changed meanwhile. Its new work is then due.
async fn store_outcome(
    tools: &Services,
    before: &PlatformHost,
    after: &PlatformHost,
) -> Result<(), Error> {
    match tools.store.commit(hosts::replace(Some(before), after)).await {
        Ok(()) => {}
        Err(CommitError::Refused(_)) => {
            tracing::info!(event = "host.outcome_overtaken", trainer_id = %before.trainer);
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    }
    let (state, reason) = (after.state.as_str(), after.reason.map(|reason| reason.as_str()));
    tracing::info!(event = "host.changed", trainer_id = %after.trainer, state, reason);
    let needs_a_person = after.reason.is_some() && after.work.is_none();
    if needs_a_person || (after.state == HostState::Failed && before.state != HostState::Failed) {
        tracing::error!(event = "host.failed", trainer_id = %after.trainer, state, reason);
        metrics::FAILED_HOSTS.count();
    }
    Ok(())
}

/// Deactivates the user of an erased person.
async fn deactivate(
    tools: &Services,
    users: &mut AccountUsers<'_>,
    due: &DueDeactivation,
    report: &mut MeetingReport,
) -> Result<Next, Error> {
    let (wait, next) = match users.deactivate(&due.user).await {
        HostOutcome::Removed => (None, Next::Continue),
        HostOutcome::Limited { after } if after <= SHORT_WAIT => (Some(after), Next::Stop),
        // Also a refusal: the operator may change the user's role, and nobody else knows of this user any more.
        _ => (Some(DEACTIVATION_RETRY), Next::Continue),
    };
    let mut actions = vec![due.delete()];
    match wait {
        None => report.done += 1,
        Some(_) if due.attempts + 1 >= DEACTIVATION_ATTEMPTS => {
            report.done += 1;
            tracing::error!(event = "host.deactivation_given_up", zoom_user = ?due.user);
            metrics::GIVEN_UP.count();
        }
        Some(wait) => {
            report.postponed += 1;
            let due_at = outcome_time(tools).after(wait);
            actions
                .push(DueDeactivation { due_at, attempts: due.attempts + 1, ..due.clone() }.put());
        }
    }
    tools.store.commit(actions).await?;
    Ok(next)
}

fn outcome_time(tools: &Services) -> OutcomeTime {
    const SPREAD: u64 = 1001;
    let spread = u16::try_from(tools.random.below(SPREAD)).unwrap_or(0);
    OutcomeTime { now: whole_milli(tools.clock.now()), spread }
}
