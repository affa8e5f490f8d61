//! The life of a host: requests, the outcomes of tasks at Zoom, retries, and the removal.

use jiff::{SignedDuration, Timestamp};

use super::{
    HeldLicence, HostCreation, HostReason, HostState, HostTask, HostWork, LicenceMode,
    PlatformHost, ZoomUserRemoval,
};
use crate::domain::id::{UserId, ZoomUserId};
use crate::domain::refusal::Refusal;
use crate::domain::text::Email;
use crate::domain::time::whole_milli;

/// The platform's request for a trainer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostRequest {
    pub email: Email,
    pub creation: HostCreation,
    pub licence: LicenceMode,
}

/// The outcome of a task at Zoom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostOutcome {
    /// The account has the user, in the state active.
    Ready(FoundUser),
    /// The person has not accepted the invitation.
    Pending(FoundUser),
    /// The user is active, and Zoom refused the permanent licence.
    Unlicensed { found: FoundUser, reason: HostReason },
    /// A retry would be refused again.
    Refused(HostReason),
    /// Zoom's rate limit allows the next request after this time.
    Limited { after: SignedDuration },
    /// There was no usable response, or the account's credentials were refused.
    Unanswered,
    /// The removal is carried out.
    Removed,
}

/// The user of a host, as Zoom describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundUser {
    /// A pending user may have none.
    pub user: Option<ZoomUserId>,
    pub account: Option<String>,
    pub is_licensed: bool,
}

/// The time of an outcome, and the random part of the delay of a retry in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutcomeTime {
    pub now: Timestamp,
    pub spread: u16,
}

/// The delay of the first retry. It doubles with each attempt, up to the limit.
const RETRY: SignedDuration = SignedDuration::from_mins(5);
const RETRY_LIMIT: SignedDuration = SignedDuration::from_hours(6);
/// The delay while the account lacks a licence, which somebody buys or gives back.
const CAPACITY_RETRY: SignedDuration = SignedDuration::from_hours(1);
/// Attempts without a final answer: about nine days.
const ATTEMPTS_LIMIT: u32 = 40;
/// The limits of the delay between two looks at an invitation, which grows with its age.
const INVITATION_CHECK: SignedDuration = SignedDuration::from_mins(5);
const INVITATION_CHECK_LIMIT: SignedDuration = SignedDuration::from_hours(2);
/// An invitation is checked at the rate of its age divided by this number.
const INVITATION_CHECKS: i32 = 8;
/// Zoom's invitations expire after 30 days. One more day is for differences between clocks.
const INVITATION_LIMIT: SignedDuration = SignedDuration::from_hours(31 * 24);
/// A wait of more than a minute is that of a daily limit. The limits per second are shorter.
const DAILY_LIMIT_FROM: SignedDuration = SignedDuration::from_secs(61);

impl OutcomeTime {
    /// Returns the time after a delay that is up to a half longer than `delay`.
    pub fn after(self, delay: SignedDuration) -> Timestamp {
        let spread = delay.as_millis() * i128::from(self.spread.min(1000)) / 2000;
        let spread = SignedDuration::from_millis(i64::try_from(spread).unwrap_or(0));
        let at = self.now.saturating_add(delay).unwrap_or(self.now);
        whole_milli(at.saturating_add(spread).unwrap_or(at))
    }
}

impl HostWork {
    fn new(task: HostTask, due_at: Timestamp) -> Self {
        Self { task, due_at, attempts: 0 }
    }

    /// Returns the work for another attempt. `None` after the last one.
    fn retry(&self, delay: SignedDuration, time: OutcomeTime) -> Option<Self> {
        let attempts = self.attempts + 1;
        let due_at = time.after(delay);
        (attempts < ATTEMPTS_LIMIT).then_some(Self { task: self.task, due_at, attempts })
    }

    /// Returns the work for another attempt if the account lacks licences or users, which may change without a request.
    fn retry_for_capacity(&self, reason: HostReason, time: OutcomeTime) -> Option<Self> {
        let may_change = matches!(reason, HostReason::NoLicence | HostReason::UserLimit);
        let is_removal = matches!(self.task, HostTask::Remove { .. });
        (may_change && !is_removal).then(|| self.retry(CAPACITY_RETRY, time)).flatten()
    }

    fn backoff(&self) -> SignedDuration {
        let doubled = RETRY.checked_mul(1 << self.attempts.min(10)).unwrap_or(RETRY_LIMIT);
        doubled.min(RETRY_LIMIT)
    }
}

impl PlatformHost {
    /// Returns the host of a trainer's first request.
    pub fn requested(trainer: UserId, request: HostRequest, now: Timestamp) -> Self {
        let now = whole_milli(now);
        Self {
            trainer,
            email: request.email,
            creation: request.creation,
            licence: request.licence,
            state: HostState::Requested,
            reason: None,
            zoom_user: None,
            account: None,
            held: None,
            licence_intent: None,
            licence_history: Vec::new(),
            work: Some(HostWork::new(HostTask::Provision, now)),
            invited_at: None,
            removal: None,
            former_user: None,
            version: u64::try_from(now.as_millisecond()).unwrap_or(0),
            requested_at: now,
            updated_at: now,
        }
    }

    /// Returns the host after a request. `None` if the request changes nothing. A request repeats a failed one. It is
    /// refused while another Zoom user is being removed.
    pub fn with_request(
        &self,
        request: HostRequest,
        now: Timestamp,
    ) -> Result<Option<Self>, Refusal> {
        let now = whole_milli(now);
        let is_other_address = request.email != self.email;
        let is_same = !is_other_address
            && (request.creation, request.licence) == (self.creation, self.licence);
        if is_same && !matches!(self.state, HostState::Failed | HostState::Removed) {
            return Ok(None);
        }
        if is_other_address && self.is_being_removed() {
            return Err(Refusal::Conflict(
                "the Zoom user of the earlier address is being removed: try again in a few minutes",
            ));
        }
        let mut next = self.changed(now);
        if is_other_address {
            let has_licence = next.is_licensed_or_changing();
            next.former_user = next.zoom_user.take().filter(|_| has_licence).or(next.former_user);
            (next.account, next.held, next.licence_intent) = (None, None, None);
            next.invited_at = None;
        }
        if is_other_address || self.state != HostState::Active {
            next.state = HostState::Requested;
        }
        (next.email, next.creation, next.licence) =
            (request.email, request.creation, request.licence);
        (next.reason, next.removal) = (None, None);
        next.work = Some(HostWork::new(HostTask::Provision, now));
        next.requested_at = now;
        Ok(Some(next))
    }

    /// Returns the host after a request to remove it. `None` if it changes nothing. A request repeats a failed removal.
    pub fn with_removal(&self, zoom: ZoomUserRemoval, now: Timestamp) -> Option<Self> {
        let now = whole_milli(now);
        let is_same = self.state == HostState::Removed && self.removal == Some(zoom);
        if is_same && self.reason.is_none() {
            return None;
        }
        Some(Self {
            state: HostState::Removed,
            reason: None,
            removal: Some(zoom),
            work: Some(HostWork::new(HostTask::Remove { zoom }, now)),
            requested_at: now,
            ..self.changed(now)
        })
    }

    /// Returns whether Zoom has not carried out a removal yet.
    fn is_being_removed(&self) -> bool {
        self.work.as_ref().is_some_and(|work| matches!(work.task, HostTask::Remove { .. }))
    }

    /// Returns how the licence of the user is to be changed. The sweep of licences changes leased ones.
    pub fn licence_to_set(&self, is_licensed: bool) -> Option<bool> {
        match self.licence {
            LicenceMode::Permanent => (!is_licensed).then_some(true),
            // A licence that the operator has assigned at Zoom stays.
            LicenceMode::None => (is_licensed && self.held.is_some()).then_some(false),
            LicenceMode::Leased => None,
        }
    }

    /// Returns the host after the outcome of its work.
    pub fn after(&self, outcome: HostOutcome, time: OutcomeTime) -> Self {
        let Some(work) = self.work.clone() else { return self.clone() };
        // An outcome of another task is ignored.
        let is_removal = matches!(work.task, HostTask::Remove { .. });
        match &outcome {
            HostOutcome::Removed if !is_removal => return self.clone(),
            HostOutcome::Ready(_) | HostOutcome::Pending(_) | HostOutcome::Unlicensed { .. }
                if is_removal =>
            {
                return self.clone();
            }
            _ => {}
        }
        let now = whole_milli(time.now);
        let mut next = self.changed(now);
        next.work = None;
        if !matches!(outcome, HostOutcome::Limited { .. } | HostOutcome::Unanswered) {
            // Every task begins with the licence of the former user.
            next.former_user = None;
        }
        match outcome {
            HostOutcome::Ready(found) => {
                next.set_user(found, now);
                (next.state, next.reason, next.invited_at) = (HostState::Active, None, None);
            }
            HostOutcome::Pending(found) => {
                next.set_user(found, now);
                next.await_acceptance(time);
            }
            HostOutcome::Unlicensed { found, reason } => {
                next.set_user(found, now);
                next.fail(reason);
                next.work = work.retry_for_capacity(reason, time);
            }
            HostOutcome::Refused(reason) => {
                if reason.means_no_user() {
                    (next.held, next.licence_intent) = (None, None);
                }
                next.fail(reason);
                next.work = work.retry_for_capacity(reason, time);
            }
            HostOutcome::Limited { after } => {
                let due_at = time.after(after);
                if after >= DAILY_LIMIT_FROM {
                    next.wait(HostReason::DailyLimit);
                }
                next.work = Some(HostWork { due_at, ..work });
            }
            HostOutcome::Unanswered => {
                next.work = work.retry(work.backoff(), time);
                match next.work {
                    Some(_) => next.wait(HostReason::ZoomUnavailable),
                    None => next.fail(HostReason::ZoomUnavailable),
                }
            }
            HostOutcome::Removed => {
                (next.held, next.licence_intent) = (None, None);
                if next.removal == Some(ZoomUserRemoval::Disassociate) {
                    (next.zoom_user, next.account) = (None, None);
                }
                next.reason = None;
            }
        }
        next
    }

    fn changed(&self, now: Timestamp) -> Self {
        Self { version: self.version + 1, updated_at: now, ..self.clone() }
    }

    /// Records the user that Zoom described. A licence counts as held if we decide about it.
    fn set_user(&mut self, found: FoundUser, now: Timestamp) {
        self.zoom_user = found.user.or(self.zoom_user.take());
        self.account = found.account.or(self.account.take());
        let is_held = found.is_licensed && self.licence != LicenceMode::None;
        let before = self.held.take().unwrap_or(HeldLicence { since: now, until: None });
        // One that a leased host has outside a lease is to be given back.
        let until = (self.licence == LicenceMode::Leased).then(|| before.until.unwrap_or(now));
        self.held = is_held.then_some(HeldLicence { until, ..before });
    }

    /// Waits for the person to accept the invitation. Older invitations are looked at less often.
    fn await_acceptance(&mut self, time: OutcomeTime) {
        let now = whole_milli(time.now);
        let age = now.duration_since(*self.invited_at.get_or_insert(now));
        if age >= INVITATION_LIMIT {
            self.fail(HostReason::InvitationExpired);
            self.invited_at = None;
            return;
        }
        let delay = (age / INVITATION_CHECKS).clamp(INVITATION_CHECK, INVITATION_CHECK_LIMIT);
        self.work = Some(HostWork::new(HostTask::CheckInvitation, time.after(delay)));
        (self.state, self.reason) = (HostState::Invited, None);
    }

    /// A removed host stays removed after any answer of Zoom.
    fn fail(&mut self, reason: HostReason) {
        if self.state != HostState::Removed {
            self.state = HostState::Failed;
        }
        self.reason = Some(reason);
    }

    /// Records why the work waits. A host that can hold sessions stays active.
    fn wait(&mut self, reason: HostReason) {
        if self.state != HostState::Active {
            self.reason = Some(reason);
        }
    }

    /// Returns the Zoom user under which sessions can be held now.
    pub fn active_user(&self) -> Option<&ZoomUserId> {
        self.zoom_user.as_ref().filter(|_| self.state == HostState::Active)
    }

    /// Returns the Zoom user to deactivate when the trainer is erased. One that the platform has chosen to keep stays.
    pub fn user_to_deactivate(&self) -> Option<&ZoomUserId> {
        let is_kept = match (self.state, &self.work) {
            (HostState::Removed, None) => true,
            (HostState::Removed, Some(_)) => self.removal == Some(ZoomUserRemoval::Keep),
            _ => false,
        };
        self.zoom_user.as_ref().filter(|_| !is_kept)
    }

    /// Returns whether the address of the host is free for another one: Zoom has carried out the removal.
    pub fn has_released_address(&self) -> bool {
        self.state == HostState::Removed && self.work.is_none()
    }

    /// Returns whether the host has a licence, or is about to get or to lose one.
    pub fn is_licensed_or_changing(&self) -> bool {
        self.held.is_some() || self.licence_intent.is_some()
    }
}

#[cfg(test)]
mod tests;
