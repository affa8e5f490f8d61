//! Assigns licences for classes that begin soon, gives licences back after the classes, and finishes the intents of
//! processes that died.
//!
//! The calls are sent one after the other, and the run ends at Zoom's first rate limit, so that the account's limits per
//! second are left to people.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::MeetingReport;
use crate::app::Services;
use crate::app::error::Error;
use crate::app::licences::{Assignment, Licences, Return, forecast_of};
use crate::app::run_time::RunTime;
use crate::domain::hosting::HostingPolicy;
use crate::domain::id::{UserId, ZoomUserId};
use crate::domain::licence::{HostedClass, LicencePool, LicenceStep, next_step, peak_before};
use crate::domain::plan::PlatformSettings;
use crate::domain::platform_host::PlatformHost;
use crate::domain::time::plus_minutes;
use crate::store::error::CommitError;
use crate::store::licences;
use crate::telemetry::metrics;

/// The remaining time required for another host: a token and two calls to Zoom, of which each may be repeated.
const STEP_TIME: Duration = Duration::from_secs(35);
/// How far ahead a shortage is reported, so that somebody can buy licences or move classes.
const WARNING_HOURS: i64 = 24;

/// The data for the decisions of a run.
struct Situation {
    settings: PlatformSettings,
    hosts: BTreeMap<UserId, PlatformHost>,
    /// The planned classes within [`WARNING_HOURS`].
    classes: Vec<HostedClass>,
}

/// Does the work of licences, as far as `time` allows. A failed host does not block the others.
pub(super) async fn sweep(
    tools: &Services,
    now: Timestamp,
    time: RunTime,
    report: &mut MeetingReport,
) -> Result<(), Error> {
    let Some((situation, pool)) = load(tools, now).await? else { return Ok(()) };
    let mut steps = steps(&situation, now);
    report.due += steps.len();
    let mut run =
        Run { licences: Licences::new(tools, &situation.settings), now, is_none_free: false };
    while let Some((host, step)) = steps.pop() {
        if !time.has_left(STEP_TIME) {
            report.leave(steps.len() + 1);
            break;
        }
        match run.carry_out(host, step, report).await {
            Ok(()) => {}
            Err(Error::ZoomLimited { .. }) => {
                report.postponed += steps.len() + 1;
                break;
            }
            Err(error) => {
                report.postponed += 1;
                tracing::warn!(event = "licence.postponed", trainer_id = %host.trainer, %error);
            }
        }
    }
    warn_of_shortage(&situation, &pool, report.without_licence, now);
    Ok(())
}

/// Reads the hosts with licences and those with classes ahead, and corrects the pool. `None` if there are neither.
async fn load(tools: &Services, now: Timestamp) -> Result<Option<(Situation, LicencePool)>, Error> {
    let store = &tools.store;
    let until = plus_minutes(now, 60 * WARNING_HOURS);
    // Before the hosts: a holder that is added later changes the version.
    let pool = store.licence_pool().await?;
    // A deployment that has stopped hosting still returns its leases.
    if tools.hosting.policy == HostingPolicy::Trainer && pool.holders.is_empty() {
        return Ok(None);
    }
    let (licensed, classes) =
        futures::try_join!(store.licensed_hosts(), store.hosted_classes(now, until))?;
    if licensed.is_empty() && classes.is_empty() && pool.holders.is_empty() {
        return Ok(None);
    }
    let trainers = licensed.iter().map(|host| &host.trainer);
    let trainers = trainers.chain(classes.iter().map(|class| &class.trainer)).chain(&pool.holders);
    let (hosts, settings) =
        futures::try_join!(store.platform_hosts_of(trainers), store.settings())?;
    let pool = corrected(tools, pool, &hosts).await?;
    Ok(Some((Situation { settings, hosts, classes }, pool)))
}

/// Removes the holders that a removal or an erasure has left without a licence, and adds permanent
/// licences.
async fn corrected(
    tools: &Services,
    pool: LicencePool,
    hosts: &BTreeMap<UserId, PlatformHost>,
) -> Result<LicencePool, Error> {
    let occupies =
        |trainer: &UserId| hosts.get(trainer).is_some_and(PlatformHost::occupies_licence);
    let gone: Vec<_> = pool.holders.iter().filter(|holder| !occupies(holder)).cloned().collect();
    let is_new =
        |host: &&PlatformHost| host.occupies_licence() && !pool.holders.contains(&host.trainer);
    let new: Vec<_> = hosts.values().filter(is_new).map(|host| host.trainer.clone()).collect();
    if gone.is_empty() && new.is_empty() {
        return Ok(pool);
    }
    let next = pool.without_holders(&gone).with_licensed(new);
    match tools.store.commit_one(licences::put(&next, pool.version)).await {
        Ok(()) => Ok(next),
        // The next run reads the change.
        Err(CommitError::Refused(_)) => Ok(pool),
        Err(error) => Err(error.into()),
    }
}

/// Returns the steps in reverse order: first returns and earlier intents, which may free licences, and then assignments by
/// start, longer classes first.
fn steps(situation: &Situation, now: Timestamp) -> Vec<(&PlatformHost, LicenceStep)> {
    let step = |host| (host, next_step(host, &situation.classes, now));
    let all = situation.hosts.values().map(step);
    let mut steps: Vec<_> = all.filter(|(_, step)| *step != LicenceStep::Leave).collect();
    let first_class = |host: &PlatformHost| {
        let own = situation.classes.iter().filter(|class| class.trainer == host.trainer);
        own.map(|class| (class.starts_at, std::cmp::Reverse(class.ends_at))).min()
    };
    steps.sort_by_key(|(host, step)| match step {
        LicenceStep::Take { .. } => (1, first_class(host)),
        _ => (0, None),
    });
    steps.reverse();
    steps
}

struct Run<'a> {
    licences: Licences<'a>,
    now: Timestamp,
    /// Whether an attempt in this run found no free licence.
    is_none_free: bool,
}

impl Run<'_> {
    async fn carry_out(
        &mut self,
        host: &PlatformHost,
        step: LicenceStep,
        report: &mut MeetingReport,
    ) -> Result<(), Error> {
        match step {
            LicenceStep::Leave => {}
            LicenceStep::Take { until } | LicenceStep::Extend { until } => {
                let Some(user) = &host.zoom_user else { return Ok(()) };
                let assignment = self.assign(host, user, until).await?;
                count(assignment, report);
                return Ok(());
            }
            LicenceStep::FinishAssigning { until } => {
                let assignment = self.licences.resume(host, until).await?;
                count(assignment, report);
                return Ok(());
            }
            LicenceStep::Return => {
                if self.licences.give_back(host).await? == Return::Returned {
                    report.licences_returned += 1;
                    self.is_none_free = false;
                }
            }
        }
        report.done += 1;
        Ok(())
    }

    /// Assigns or extends a licence. If none is free, takes that of a class that is over.
    async fn assign(
        &mut self,
        host: &PlatformHost,
        user: &ZoomUserId,
        until: Timestamp,
    ) -> Result<Assignment, Error> {
        if self.is_none_free && host.held.is_none() {
            return Ok(Assignment::NoneFree);
        }
        let trainer = &host.trainer;
        let mut assignment = self.licences.assign(trainer, user, until).await?;
        if assignment == Assignment::NoneFree && self.licences.reclaim(self.now, 1).await? > 0 {
            assignment = self.licences.assign(trainer, user, until).await?;
        }
        self.is_none_free = assignment == Assignment::NoneFree;
        Ok(assignment)
    }
}

fn count(assignment: Assignment, report: &mut MeetingReport) {
    match assignment {
        Assignment::Assigned => {
            report.done += 1;
            report.licences_assigned += 1;
        }
        Assignment::Unchanged => report.done += 1,
        Assignment::NoneFree | Assignment::Refused(_) => {
            report.postponed += 1;
            report.without_licence += 1;
        }
    }
}

/// Reports that a class has no licence, or that more are needed soon than the account has.
fn warn_of_shortage(
    situation: &Situation,
    pool: &LicencePool,
    without_licence: usize,
    now: Timestamp,
) {
    let forecast = forecast_of(&situation.hosts, &situation.classes, now);
    let peak = peak_before(&forecast, plus_minutes(now, 60 * WARNING_HOURS));
    let limit = pool.limit(situation.settings.licence_limit);
    let short = peak.filter(|peak| limit.is_some_and(|limit| peak.needed > limit));
    if short.is_some() || without_licence > 0 {
        metrics::LICENCE_SHORTAGE.count();
        let (at, needed) = (short.map(|short| short.at), short.map(|short| short.needed));
        tracing::error!(event = "licence.shortage", ?at, needed, limit, without_licence);
    }
}
