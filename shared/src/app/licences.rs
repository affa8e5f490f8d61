//! Assigns licences of the platform's own Zoom account to hosts, and gives them back.
//!
//! Every change is an intent first, in one transaction with the pool:
//!
//! ```text
//! assign:  intent + holder in the pool ─→ Zoom ─┬─ assigned ─────→ held, no intent
//!                                               ├─ refused ──────→ no intent, no holder, Zoom's limit
//!                                               └─ no response ──→ the intent stays, and the sweep repeats the call
//! return:  intent ─→ is the host live? ─→ Zoom ─┬─ returned ─────→ nothing held, no intent, no holder
//!                      └─ live ─────────────────┼─ refused ──────→ held a while longer, no intent
//!                                               └─ no response ──→ the intent stays, and the sweep repeats the call
//! ```
//!
//! The holder enters the pool before Zoom assigns the licence and leaves it after Zoom has taken it back. The pool therefore
//! never has fewer holders than we have assigned licences. An intent is stored before the host's meetings are looked at, and
//! a click on "start" waits for an intent to return. A host who passes the click therefore does not lose the licence.

mod overview;

use std::time::Duration;

use jiff::Timestamp;

use super::Services;
use super::access::ZoomAccess;
use super::error::Error;
use crate::domain::id::{UserId, ZoomUserId};
use crate::domain::licence::{self, KEEP_MINUTES, LicencePool};
use crate::domain::plan::{LicenceShortage, PlatformSettings};
use crate::domain::platform_host::{HostReason, LicenceChange, LicenceMode, PlatformHost};
use crate::domain::refusal::Refusal;
use crate::domain::session::Session;
use crate::domain::time::plus_minutes;
use crate::store::error::CommitError;
use crate::store::{hosts, licences};
use crate::telemetry::metrics;
use crate::zoom::users::{UserError, UserRefusal};
use crate::zoom::{Access, Zoom, ZoomError};

pub(super) use self::overview::forecast_of;
pub use self::overview::{LicenceOverview, overview};

/// Attempts at a transaction while others change the same host or the pool. At the full hour, many trainers start.
const ATTEMPTS: usize = 40;
/// The pause before another attempt, plus up to as much jitter.
const WAIT_MS: u64 = 100;
/// The longest time that a trainer waits for a licence after the click, within the function's timeout.
const START_TIME: Duration = Duration::from_secs(8);
/// Licences of other hosts that a click may give back to get one. Each takes two calls to Zoom.
const RECLAIMED_PER_START: usize = 2;

/// The outcome of an attempt to assign a licence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assignment {
    Assigned,
    /// The host had one already, or needs none of us.
    Unchanged,
    NoneFree,
    /// Zoom refused it for a reason that only the operator can change.
    Refused(HostReason),
}

/// The outcome of an attempt to give a licence back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Return {
    Returned,
    /// The host is live, or Zoom refused.
    StillHeld,
    /// The host has changed meanwhile.
    Overtaken,
}

/// Licences of the account, with one token for several calls.
#[derive(Debug)]
pub(super) struct Licences<'a> {
    tools: &'a Services,
    limit: Option<u32>,
    access: Option<ZoomAccess>,
}

/// A call about a host's user. `true` is Zoom's yes.
#[derive(Clone, Copy, Debug)]
enum Call {
    SetLicence(bool),
    IsLive,
}

impl Call {
    async fn send(
        self,
        zoom: &Zoom,
        access: &Access,
        user: &ZoomUserId,
        now: Timestamp,
    ) -> Result<bool, UserError> {
        match self {
            Self::SetLicence(is_licensed) => {
                zoom.set_licence(access, user, is_licensed, now).await.map(|()| true)
            }
            Self::IsLive => zoom.is_user_live(access, user, now).await,
        }
    }
}

impl<'a> Licences<'a> {
    pub(super) fn new(tools: &'a Services, settings: &PlatformSettings) -> Self {
        Self { tools, limit: settings.licence_limit, access: None }
    }

    /// Assigns a licence to a leased host until the given time, or extends the one that it has. `user` is the Zoom user that
    /// needs it.
    pub(super) async fn assign(
        &mut self,
        trainer: &UserId,
        user: &ZoomUserId,
        until: Timestamp,
    ) -> Result<Assignment, Error> {
        let Services { store, clock, .. } = self.tools;
        for attempt in 0..ATTEMPTS {
            self.pause_before(attempt).await;
            let Some(host) = store.platform_host(trainer).await? else {
                return Ok(Assignment::Unchanged);
            };
            let now = clock.now();
            if host.licence != LicenceMode::Leased || host.active_user() != Some(user) {
                return Ok(Assignment::Unchanged);
            }
            if let Some(intent) = &host.licence_intent
                && intent.change == LicenceChange::Returning
                && intent.is_in_progress(now)
            {
                continue;
            }
            if let (Some(held), None) = (&host.held, &host.licence_intent) {
                if held.until.is_none_or(|held_until| held_until >= until)
                    || self.replace(&host, &host.with_licence_until(until, now), None).await?
                {
                    return Ok(Assignment::Unchanged);
                }
                continue;
            }
            let pool = store.licence_pool().await?;
            let Some(next_pool) = pool.with_holder(trainer, self.limit, now) else {
                return Ok(Assignment::NoneFree);
            };
            let next = host.with_licence_intent(LicenceChange::Assigning, Some(until), now);
            if self.replace(&host, &next, Some((&pool, &next_pool))).await? {
                return self.finish_assigning(&next, user, Some(until)).await;
            }
        }
        Err(Error::busy("the licences are being changed"))
    }

    /// Finishes the intent of an earlier process.
    pub(super) async fn resume(
        &mut self,
        host: &PlatformHost,
        until: Option<Timestamp>,
    ) -> Result<Assignment, Error> {
        let Some(user) = &host.zoom_user else { return Ok(Assignment::Unchanged) };
        let next =
            host.with_licence_intent(LicenceChange::Assigning, until, self.tools.clock.now());
        match self.replace(host, &next, None).await? {
            true => self.finish_assigning(&next, user, until).await,
            false => Ok(Assignment::Unchanged),
        }
    }

    async fn finish_assigning(
        &mut self,
        host: &PlatformHost,
        user: &ZoomUserId,
        until: Option<Timestamp>,
    ) -> Result<Assignment, Error> {
        let trainer = &host.trainer;
        match self.call(user, Call::SetLicence(true)).await? {
            Ok(_) => {
                let assigned = |host: &PlatformHost, now| host.with_licence_assigned(until, now);
                self.finish(host, assigned, |pool, _| pool.grown()).await?;
                tracing::info!(event = "licence.assigned", trainer_id = %trainer, zoom_user = ?user);
                Ok(Assignment::Assigned)
            }
            Err(UserRefusal::Refused { reason: HostReason::NoLicence, limit }) => {
                let refused = |pool: &LicencePool, now| Some(pool.refused(trainer, limit, now));
                self.finish(host, PlatformHost::with_licence_returned, refused).await?;
                tracing::warn!(event = "licence.refused", trainer_id = %trainer, limit);
                Ok(Assignment::NoneFree)
            }
            Err(refusal) => {
                let released = |pool: &LicencePool, _| {
                    Some(pool.without_holders(std::slice::from_ref(trainer)))
                };
                self.finish(host, PlatformHost::with_licence_returned, released).await?;
                let reason = refusal.reason();
                tracing::error!(event = "licence.not_assigned", trainer_id = %trainer, reason = reason.as_str());
                Ok(Assignment::Refused(reason))
            }
        }
    }

    /// Gives the licence of a host back, unless the host is live.
    pub(super) async fn give_back(&mut self, host: &PlatformHost) -> Result<Return, Error> {
        let Some(user) = &host.zoom_user else { return Ok(Return::Overtaken) };
        let now = self.tools.clock.now();
        let next = host.with_licence_intent(LicenceChange::Returning, None, now);
        if !self.replace(host, &next, None).await? {
            return Ok(Return::Overtaken);
        }
        let trainer = &host.trainer;
        let is_live = matches!(self.call(user, Call::IsLive).await?, Ok(true));
        let answer = match is_live {
            false => self.call(user, Call::SetLicence(false)).await?,
            true => Ok(false),
        };
        match answer {
            Ok(true) | Err(UserRefusal::NoSuchUser) => {
                let released = |pool: &LicencePool, _| {
                    Some(pool.without_holders(std::slice::from_ref(trainer)))
                };
                self.finish(&next, PlatformHost::with_licence_returned, released).await?;
                tracing::info!(event = "licence.returned", trainer_id = %trainer, zoom_user = ?user);
                Ok(Return::Returned)
            }
            // Zoom does not take the licence of a live host.
            Ok(false) | Err(_) => {
                self.finish(&next, PlatformHost::with_licence_kept, |_, _| None).await?;
                tracing::info!(event = "licence.kept", trainer_id = %trainer, is_live);
                Ok(Return::StillHeld)
            }
        }
    }

    /// Stores the outcome of an intent in the host and the pool. It does nothing if another process has replaced the
    /// intent.
    async fn finish(
        &self,
        started: &PlatformHost,
        outcome: impl Fn(&PlatformHost, Timestamp) -> PlatformHost,
        change_pool: impl Fn(&LicencePool, Timestamp) -> Option<LicencePool>,
    ) -> Result<(), Error> {
        let Services { store, clock, .. } = self.tools;
        for attempt in 0..ATTEMPTS {
            self.pause_before(attempt).await;
            let host = store.platform_host(&started.trainer).await?;
            let is_ours = |host: &PlatformHost| host.licence_intent == started.licence_intent;
            let Some(host) = host.filter(is_ours) else {
                tracing::warn!(event = "licence.outcome_overtaken", trainer_id = %started.trainer);
                return Ok(());
            };
            let pool = store.licence_pool().await?;
            let now = clock.now();
            let next_pool = change_pool(&pool, now);
            let pools = next_pool.as_ref().map(|next| (&pool, next));
            if self.replace(&host, &outcome(&host, now), pools).await? {
                return Ok(());
            }
        }
        Err(Error::busy("the licences are being changed"))
    }

    /// Replaces a host and, if given, the pool. Returns `false` if one of them has changed.
    async fn replace(
        &self,
        host: &PlatformHost,
        next: &PlatformHost,
        pools: Option<(&LicencePool, &LicencePool)>,
    ) -> Result<bool, Error> {
        let mut actions = vec![hosts::put(next, Some(host.version))];
        if let Some((pool, next)) = pools.filter(|(pool, next)| pool != next) {
            actions.push(licences::put(next, pool.version));
        }
        match self.tools.store.commit(actions).await {
            Ok(()) => Ok(true),
            Err(CommitError::Refused(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn pause_before(&self, attempt: usize) {
        if attempt > 0 {
            let pause = WAIT_MS + self.tools.random.below(WAIT_MS);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    /// Sends a call. If Zoom rejects the token, repeats it once with a new one.
    async fn call(
        &mut self,
        user: &ZoomUserId,
        call: Call,
    ) -> Result<Result<bool, UserRefusal>, Error> {
        let Services { zoom, clock, .. } = self.tools;
        let mut access = match self.access.take() {
            Some(access) => access,
            None => self.tools.account_admin_access().await?,
        };
        let mut result = call.send(zoom, &access.access, user, clock.now()).await;
        if let Err(UserError::Failed(ZoomError::Unauthorized)) = result {
            access = self.tools.renewed_access(&access).await?;
            result = call.send(zoom, &access.access, user, clock.now()).await;
        }
        let result = match result {
            Ok(yes) => Ok(Ok(yes)),
            Err(UserError::Refused(refusal)) => Ok(Err(refusal)),
            Err(UserError::Failed(error)) => Err(access.call_error(error)),
        };
        self.access = Some(access);
        result
    }
}

impl Services {
    /// Gives the host of a class a licence at the click on "start". Without a free one, the platform's setting decides
    /// whether the class starts.
    pub(super) async fn license_start(
        &self,
        session: &Session,
        now: Timestamp,
    ) -> Result<(), Error> {
        let Some(user) = &session.meeting.platform_user else { return Ok(()) };
        let trainer = &session.trainer;
        let until = licence::start_until(session.planned_end(), now);
        let Some(host) = self.store.platform_host(trainer).await? else { return Ok(()) };
        let has_licence = host.licence_intent.is_none()
            && host.held.as_ref().is_some_and(|held| held.until.is_none_or(|held| held >= until));
        if host.licence != LicenceMode::Leased || has_licence {
            return Ok(());
        }
        let settings = self.store.settings().await?;
        let assignment = async {
            let mut licences = Licences::new(self, &settings);
            match licences.assign(trainer, user, until).await? {
                Assignment::NoneFree => {
                    licences.reclaim(now, RECLAIMED_PER_START).await?;
                    licences.assign(trainer, user, until).await
                }
                assignment => Ok(assignment),
            }
        };
        let assignment = tokio::time::timeout(START_TIME, assignment).await.unwrap_or_else(|_| {
            let reason = "the licence was not assigned in time".to_owned();
            Err(Error::ZoomUnavailable { reason })
        });
        let is_refused = settings.licence_shortage == Some(LicenceShortage::Refuse);
        match assignment {
            Ok(Assignment::Assigned | Assignment::Unchanged) => Ok(()),
            Ok(Assignment::NoneFree | Assignment::Refused(_)) => {
                metrics::LICENCE_SHORTAGE.count();
                tracing::error!(event = "licence.none_at_start", session_id = %session.id, is_refused);
                if is_refused { Err(Refusal::NoLicence.into()) } else { Ok(()) }
            }
            // The intent stays, and the sweep assigns the licence during the class.
            Err(error) if !is_refused && is_of_zoom(&error) => {
                tracing::warn!(event = "licence.late_at_start", session_id = %session.id, %error);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

/// Returns whether Zoom gave no usable answer. A retry may fail as well.
fn is_of_zoom(error: &Error) -> bool {
    matches!(
        error,
        Error::ZoomUnavailable { .. } | Error::ZoomLimited { .. } | Error::AccountRefused { .. }
    )
}

impl Licences<'_> {
    /// Gives back up to `count` licences before their time, after the end of their classes. Returns their number.
    pub(super) async fn reclaim(&mut self, now: Timestamp, count: usize) -> Result<usize, Error> {
        let store = &self.tools.store;
        let until = plus_minutes(now, KEEP_MINUTES);
        let (licensed, classes) =
            futures::try_join!(store.licensed_hosts(), store.hosted_classes(now, until))?;
        let mut returned = 0;
        for host in licence::idle_leases(&licensed, &classes, now) {
            if returned == count {
                break;
            }
            if self.give_back(host).await? == Return::Returned {
                returned += 1;
            }
        }
        Ok(returned)
    }
}
