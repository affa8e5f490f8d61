//! Licences of the platform's own Zoom account: when a host gets one, when it is given back, and how many will be needed.
//!
//! A leased licence follows the host's classes:
//!
//! ```text
//!      T−60 min        T−30 min          start        end        end + 30 min
//! ────────┼───────────────┼────────────────┼───────────┼──────────────┼────────
//!   an earlier lease   the sweep takes   the click   in a shortage    the sweep
//!     is kept on       a licence         takes one   it may be taken  returns it
//!                                        if missing  unless live      unless live
//! ```
//!
//! A change is stored as an intent before Zoom is called. Only one process acts on an intent, until [`INTENT_SECONDS`] have
//! passed. A crash therefore leaves an intent that the next sweep finishes.

mod forecast;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::id::{SessionId, UserId, ZoomUserId};
use super::platform_host::{
    HeldLicence, HostState, HostTask, LicenceChange, LicenceIntent, LicenceMode, LicencePeriod,
    PlatformHost,
};
use super::time::{plus_minutes, whole_milli};

pub use self::forecast::{FORECAST_DAYS, LicenceNeed, forecast, peak_before};

/// How long before the start of a class its host gets a licence. Every run of the sweep in this time is another attempt.
pub const LEAD_MINUTES: i64 = 30;
/// How long after the planned end the host keeps it, for classes that take longer.
pub const GRACE_MINUTES: i64 = 30;
/// A host with a class that starts this soon keeps the licence. Between two classes it would be taken away and assigned
/// again, and Zoom limits such changes.
pub const KEEP_MINUTES: i64 = 60;
/// How long a host may take from the click to the start of the meeting.
const START_MINUTES: i64 = 15;
/// How long a live host keeps the licence after the end without another look.
const LIVE_MINUTES: i64 = 15;
/// How long one process has an intent for itself: longer than its calls to Zoom and their retries take (25 s).
pub const INTENT_SECONDS: i64 = 60;
/// How long Zoom's refusal is taken for granted. Meanwhile no further request is sent for a licence that is not there.
const OBSERVATION_SECONDS: i64 = 60;
/// Former assignments that are kept with a host. The log has them all.
const HISTORY_LIMIT: usize = 10;

/// A planned class in a meeting of the platform's own account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostedClass {
    pub session: SessionId,
    pub trainer: UserId,
    /// The Zoom user that hosts the meeting.
    pub user: ZoomUserId,
    pub starts_at: Timestamp,
    pub ends_at: Timestamp,
}

impl HostedClass {
    /// Returns when a licence for the class is given back.
    pub fn needed_until(&self) -> Timestamp {
        plus_minutes(self.ends_at, GRACE_MINUTES)
    }

    /// Returns whether the class begins within `minutes` or has begun.
    fn begins_within(&self, minutes: i64, now: Timestamp) -> bool {
        self.starts_at <= plus_minutes(now, minutes)
    }
}

/// Returns until when a host needs a licence after a click on "start" at `now`. A late start does not shorten it.
pub fn start_until(ends_at: Timestamp, now: Timestamp) -> Timestamp {
    plus_minutes(ends_at.max(plus_minutes(now, START_MINUTES)), GRACE_MINUTES)
}

/// The need of a host's licence at this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LicenceStep {
    /// Nothing, or another process is at it.
    Leave,
    /// A class begins soon.
    Take { until: Timestamp },
    /// Another class follows.
    Extend { until: Timestamp },
    /// No class is near.
    Return,
    /// An earlier process has not finished its intent, and the host still needs the licence.
    FinishAssigning { until: Option<Timestamp> },
}

/// Decides about the licence of a host. `classes` are the planned ones that have not begun, of any trainer.
pub fn next_step(host: &PlatformHost, classes: &[HostedClass], now: Timestamp) -> LicenceStep {
    let needed = |minutes| {
        let own = classes.iter().filter(|class| is_class_of(class, host));
        let near = own.filter(|class| class.begins_within(minutes, now));
        near.map(HostedClass::needed_until).max()
    };
    if is_being_removed(host) {
        return LicenceStep::Leave;
    }
    if let Some(intent) = &host.licence_intent {
        if intent.is_in_progress(now) {
            return LicenceStep::Leave;
        }
        let until = needed(KEEP_MINUTES).max(intent.until.filter(|until| *until > now));
        return match host.licence {
            LicenceMode::Permanent => LicenceStep::FinishAssigning { until: None },
            LicenceMode::Leased if until.is_some() => LicenceStep::FinishAssigning { until },
            LicenceMode::Leased | LicenceMode::None => LicenceStep::Return,
        };
    }
    if host.licence != LicenceMode::Leased || host.active_user().is_none() {
        return LicenceStep::Leave;
    }
    let Some(held) = &host.held else {
        return match needed(LEAD_MINUTES) {
            Some(until) => LicenceStep::Take { until },
            None => LicenceStep::Leave,
        };
    };
    match (needed(KEEP_MINUTES), held.until) {
        (Some(needed), until) if until.is_none_or(|until| until < needed) => {
            LicenceStep::Extend { until: needed }
        }
        (None, Some(until)) if until <= now => LicenceStep::Return,
        // It was permanent before.
        (None, None) => LicenceStep::Return,
        _ => LicenceStep::Leave,
    }
}

/// Returns whether the licence of a host may go to another one now: the class is over, and no other one is near. Whether
/// the host is live is for Zoom to answer.
pub fn may_be_taken(host: &PlatformHost, classes: &[HostedClass], now: Timestamp) -> bool {
    let is_over = |held: &HeldLicence| {
        held.until.is_none_or(|until| plus_minutes(until, -GRACE_MINUTES) <= now)
    };
    let is_needed =
        |class: &HostedClass| is_class_of(class, host) && class.begins_within(KEEP_MINUTES, now);
    if host.licence_intent.is_some() {
        // An earlier process has died.
        return next_step(host, classes, now) == LicenceStep::Return;
    }
    host.licence == LicenceMode::Leased
        && host.held.as_ref().is_some_and(is_over)
        && !is_being_removed(host)
        && !classes.iter().any(is_needed)
}

/// Returns the licences that may go to another host, in the order in which their hosts' classes ended.
pub fn idle_leases<'a>(
    hosts: impl IntoIterator<Item = &'a PlatformHost>,
    classes: &[HostedClass],
    now: Timestamp,
) -> Vec<&'a PlatformHost> {
    let mut idle: Vec<_> =
        hosts.into_iter().filter(|host| may_be_taken(host, classes, now)).collect();
    idle.sort_by_key(|host| (host.held.as_ref().and_then(|held| held.until), &host.trainer));
    idle
}

fn is_class_of(class: &HostedClass, host: &PlatformHost) -> bool {
    class.trainer == host.trainer && Some(&class.user) == host.zoom_user.as_ref()
}

/// The sweep of hosts gives back the licence of a removed host.
fn is_being_removed(host: &PlatformHost) -> bool {
    let task = host.work.as_ref().map(|work| work.task);
    host.state == HostState::Removed || matches!(task, Some(HostTask::Remove { .. }))
}

impl LicenceIntent {
    /// Returns whether the process that stored the intent may still be calling Zoom.
    pub fn is_in_progress(&self, now: Timestamp) -> bool {
        now.duration_since(self.since) < SignedDuration::from_secs(INTENT_SECONDS)
    }
}

impl PlatformHost {
    /// Returns whether Zoom may count a licence for this host.
    pub fn occupies_licence(&self) -> bool {
        self.is_licensed_or_changing() || self.former_user.is_some()
    }

    /// Returns the host with an intent, which is stored before Zoom is called.
    pub fn with_licence_intent(
        &self,
        change: LicenceChange,
        until: Option<Timestamp>,
        now: Timestamp,
    ) -> Self {
        let intent = LicenceIntent { change, since: whole_milli(now), until };
        Self { licence_intent: Some(intent), ..self.with_licence_changed(now) }
    }

    /// Returns the host after Zoom has assigned the licence. One that it had before keeps its date.
    pub fn with_licence_assigned(&self, until: Option<Timestamp>, now: Timestamp) -> Self {
        let now = whole_milli(now);
        let since = self.held.as_ref().map_or(now, |held| held.since);
        let held = Some(HeldLicence { since, until });
        Self { held, licence_intent: None, ..self.with_licence_changed(now) }
    }

    /// Returns the host after Zoom has taken the licence away.
    pub fn with_licence_returned(&self, now: Timestamp) -> Self {
        let now = whole_milli(now);
        let mut next = Self { licence_intent: None, ..self.with_licence_changed(now) };
        if let Some(held) = next.held.take() {
            next.licence_history.push(LicencePeriod { since: held.since, until: now });
            let surplus = next.licence_history.len().saturating_sub(HISTORY_LIMIT);
            next.licence_history.drain(..surplus);
        }
        next
    }

    /// Returns the host without its intent, because Zoom refused the change.
    pub fn without_licence_intent(&self, now: Timestamp) -> Self {
        Self { licence_intent: None, ..self.with_licence_changed(now) }
    }

    /// Returns the host with a longer lease.
    pub fn with_licence_until(&self, until: Timestamp, now: Timestamp) -> Self {
        let held = self.held.clone().map(|held| HeldLicence { until: Some(until), ..held });
        Self { held, ..self.with_licence_changed(now) }
    }

    /// Returns the host with the licence for a while longer, because the host is live or Zoom refused to take it.
    pub fn with_licence_kept(&self, now: Timestamp) -> Self {
        self.without_licence_intent(now)
            .with_licence_until_at_least(plus_minutes(now, LIVE_MINUTES))
    }

    fn with_licence_until_at_least(mut self, until: Timestamp) -> Self {
        if let Some(held) = &mut self.held {
            held.until = held.until.max(Some(until));
        }
        self
    }

    fn with_licence_changed(&self, now: Timestamp) -> Self {
        Self { version: self.version + 1, updated_at: whole_milli(now), ..self.clone() }
    }
}

/// The licences that we have assigned, or are about to assign.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LicencePool {
    /// The trainers of the hosts that have one.
    pub holders: BTreeSet<UserId>,
    pub observed: Option<ObservedLimit>,
    /// Zero if nothing was stored yet.
    pub version: u64,
}

/// The number of licences that Zoom allowed when it refused another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObservedLimit {
    pub limit: u32,
    pub at: Timestamp,
}

impl LicencePool {
    /// Returns the limit in force: the smaller of the setting and of the number that Zoom named. `None` if both are unknown.
    pub fn limit(&self, setting: Option<u32>) -> Option<u32> {
        let observed = self.observed.map(|observed| observed.limit);
        setting.into_iter().chain(observed).min()
    }

    pub fn assigned(&self) -> u32 {
        u32::try_from(self.holders.len()).unwrap_or(u32::MAX)
    }

    /// Returns the pool with one more holder. `None` if no licence is free. The setting is never exceeded. Zoom's number is
    /// tried again after a while, because somebody may have bought or released licences.
    pub fn with_holder(
        &self,
        trainer: &UserId,
        setting: Option<u32>,
        now: Timestamp,
    ) -> Option<Self> {
        let is_full = |limit: u32| self.assigned() >= limit;
        if self.holders.contains(trainer) {
            return Some(self.clone());
        }
        let is_refused = self.observed.is_some_and(|observed| {
            is_full(observed.limit)
                && now.duration_since(observed.at) < SignedDuration::from_secs(OBSERVATION_SECONDS)
        });
        if is_refused || setting.is_some_and(is_full) {
            return None;
        }
        let mut next = self.changed();
        next.holders.insert(trainer.clone());
        Some(next)
    }

    /// Returns the pool after these trainers have lost their licences.
    pub fn without_holders(&self, trainers: &[UserId]) -> Self {
        let mut next = self.changed();
        next.holders.retain(|holder| !trainers.contains(holder));
        next
    }

    /// Returns the pool with hosts that have a licence whatever the limit is.
    pub fn with_licensed(&self, trainers: impl IntoIterator<Item = UserId>) -> Self {
        let mut next = self.changed();
        next.holders.extend(trainers);
        next
    }

    /// Returns the pool after Zoom has refused the licence of a holder. Without a number in its answer, the limit is the
    /// number of licences that we had assigned.
    pub fn refused(&self, trainer: &UserId, limit: Option<u32>, now: Timestamp) -> Self {
        let mut next = self.without_holders(std::slice::from_ref(trainer));
        let limit = limit.unwrap_or(next.assigned());
        next.observed = Some(ObservedLimit { limit, at: whole_milli(now) });
        next
    }

    /// Returns the pool after Zoom has assigned more licences than it allowed before. `None` if it has not.
    pub fn grown(&self) -> Option<Self> {
        let is_outdated = self.observed.is_some_and(|observed| observed.limit < self.assigned());
        is_outdated.then(|| Self { observed: None, ..self.changed() })
    }

    fn changed(&self) -> Self {
        Self { version: self.version + 1, ..self.clone() }
    }
}
