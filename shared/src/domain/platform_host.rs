//! Hosts of the platform's own Zoom account: the Zoom user under which a trainer's sessions are held, and its licence.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

use super::id::{UserId, ZoomUserId};
use super::refusal::Refusal;
use super::text::Email;
use super::time::whole_milli;

/// How the Zoom user of a host comes into the account (Zoom, "Create users").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr, EnumString)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum HostCreation {
    /// The account already has the user.
    Existing,
    /// Zoom mails an invitation, which the person accepts.
    Invite,
    /// The account manages the domain of the address.
    Auto,
    /// The person signs in with the account's single sign-on.
    Sso,
    /// The user has no sign-in of its own. It needs a contract with Zoom.
    Custom,
}

/// Whether and when a host has a licence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr, EnumString)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum LicenceMode {
    /// Zoom ends the host's meetings after 40 minutes, unless the operator assigns a licence at Zoom.
    None,
    Permanent,
    /// Only around the host's sessions.
    Leased,
}

/// How far a host is.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    IntoStaticStr,
    EnumString,
    VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum HostState {
    /// The request is stored and not yet carried out at Zoom.
    Requested,
    /// The person has not accepted Zoom's invitation yet.
    Invited,
    /// Sessions can be held under this host.
    Active,
    /// Zoom refused the request. The reason names the next action.
    Failed,
    /// The trainer has no host any more.
    Removed,
}

/// The reason why a host is not active, or why it waits.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr, VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum HostReason {
    /// The address belongs to a Zoom user outside the account.
    ExistsElsewhere,
    /// `existing` was requested, and the account has no user with the address.
    NotFound,
    /// Every licence of the account is assigned.
    NoLicence,
    /// The account has as many users without a licence as it may have.
    UserLimit,
    /// Zoom does not accept the address.
    AddressRefused,
    /// Zoom does not accept the name of the person.
    NameRefused,
    /// The account, or the scopes of its app, do not allow this way to create users.
    NotAllowed,
    /// The account has no paid plan.
    AccountNotPaid,
    /// The person did not accept the invitation in time.
    InvitationExpired,
    /// The user was deleted or removed from the account at Zoom.
    GoneAtZoom,
    /// The account has created as many users today as Zoom allows.
    DailyLimit,
    /// Zoom gave no usable response, or refused the account's credentials.
    ZoomUnavailable,
    /// Zoom refused the request for a reason that we do not know.
    ZoomRejected,
}

/// The treatment of a removed host's Zoom user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr, EnumString)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ZoomUserRemoval {
    /// The user stays in the account. A licence that we assigned is given back.
    Keep,
    /// The user can no longer sign in.
    Deactivate,
    /// The user leaves the account and becomes a free user of its own.
    Disassociate,
}

macro_rules! words {
    ($($name:ident),*) => { $(
        impl $name {
            pub fn as_str(self) -> &'static str {
                self.into()
            }
        }
    )* };
}
words!(HostCreation, LicenceMode, HostState, HostReason, ZoomUserRemoval);

/// A licence that the host has at Zoom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldLicence {
    /// When it was assigned.
    pub since: Timestamp,
    /// When a leased one is to be given back. `None` for a permanent one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// A change of a licence that is stored before Zoom is called, so that a sweep finishes it after a crash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LicenceIntent {
    pub change: LicenceChange,
    /// When the intent was stored.
    pub since: Timestamp,
    /// When a leased licence that is being assigned is to be given back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// A time in which the host had a licence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LicencePeriod {
    pub since: Timestamp,
    pub until: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum LicenceChange {
    Assigning,
    Returning,
}

/// The work for a host that is left at Zoom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "snake_case")]
pub enum HostTask {
    /// Finds or creates the user.
    Provision,
    /// Looks whether an invited person has accepted.
    CheckInvitation,
    /// Carries out the removal.
    Remove { zoom: ZoomUserRemoval },
}

/// A task with its due work, which is stored in the same transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostWork {
    #[serde(flatten)]
    pub task: HostTask,
    pub due_at: Timestamp,
    /// Attempts without a final answer.
    #[serde(default)]
    pub attempts: u32,
}

/// The host of a trainer in the platform's own Zoom account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlatformHost {
    pub trainer: UserId,
    pub email: Email,
    pub creation: HostCreation,
    pub licence: LicenceMode,
    pub state: HostState,
    /// Why the host failed, or why it waits.
    pub reason: Option<HostReason>,
    /// Unknown until Zoom has answered.
    pub zoom_user: Option<ZoomUserId>,
    /// The Zoom account of the user.
    pub account: Option<String>,
    pub held: Option<HeldLicence>,
    pub licence_intent: Option<LicenceIntent>,
    /// The latest licences that the host had before, oldest first.
    pub licence_history: Vec<LicencePeriod>,
    pub work: Option<HostWork>,
    pub invited_at: Option<Timestamp>,
    /// The requested treatment of a removed host's Zoom user.
    pub removal: Option<ZoomUserRemoval>,
    /// The user of an earlier address. Its licence is still to be given back.
    pub former_user: Option<ZoomUserId>,
    /// Starts at the Unix milliseconds of the first request and increases with every change, so that a record which was
    /// erased and requested again never has an earlier version.
    pub version: u64,
    /// The time of the last request or event of the platform.
    pub requested_at: Timestamp,
    pub updated_at: Timestamp,
}

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

impl HostReason {
    pub const ALL: &[Self] = <Self as VariantArray>::VARIANTS;

    /// Returns whether the account has no user with the address, and so none with a licence.
    fn means_no_user(self) -> bool {
        matches!(
            self,
            Self::ExistsElsewhere | Self::NotFound | Self::InvitationExpired | Self::GoneAtZoom
        )
    }
}

impl HostState {
    /// The words of a filter.
    pub const WORDS: &str = "requested, invited, active, failed or removed";
}

impl ZoomUserRemoval {
    /// The words of a request.
    pub const WORDS: &str = "keep, deactivate or disassociate";
}

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
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_795_000_000 + 60 * minute).unwrap()
    }

    fn time(minute: i64) -> OutcomeTime {
        OutcomeTime { now: at(minute), spread: 0 }
    }

    fn request(email: &str, licence: LicenceMode) -> HostRequest {
        let email = Email::parse(email).unwrap();
        HostRequest { email, creation: HostCreation::Invite, licence }
    }

    fn found(user: &str, is_licensed: bool) -> FoundUser {
        let user = Some(ZoomUserId::parse(user).unwrap());
        FoundUser { user, account: Some("account".to_owned()), is_licensed }
    }

    fn new_host(licence: LicenceMode) -> PlatformHost {
        let trainer = UserId::parse("trainer-1").unwrap();
        PlatformHost::requested(trainer, request("ada@school.test", licence), at(0))
    }

    fn due_minutes(host: &PlatformHost, from: i64) -> i64 {
        let due_at = host.work.as_ref().unwrap().due_at;
        (due_at.as_second() - at(from).as_second()) / 60
    }

    #[test]
    fn outcome_of_the_provisioning_decides_state_reason_and_next_look() {
        use HostOutcome::{Limited, Pending, Ready, Refused, Unanswered, Unlicensed};
        use HostReason as R;
        use HostState::{Active, Failed, Invited, Requested};
        let shortage = |reason| Unlicensed { found: found("u", false), reason };
        for (outcome, state, reason, next_minutes) in [
            (Ready(found("u", true)), Active, None, None),
            (Pending(found("u", true)), Invited, None, Some(5)),
            (shortage(R::NoLicence), Failed, Some(R::NoLicence), Some(60)),
            (shortage(R::NotAllowed), Failed, Some(R::NotAllowed), None),
            (Refused(R::ExistsElsewhere), Failed, Some(R::ExistsElsewhere), None),
            (Unanswered, Requested, Some(R::ZoomUnavailable), Some(5)),
            (Limited { after: SignedDuration::from_secs(60) }, Requested, None, Some(1)),
            (Refused(R::UserLimit), Failed, Some(R::UserLimit), Some(60)),
            (
                Limited { after: SignedDuration::from_hours(3) },
                Requested,
                Some(R::DailyLimit),
                Some(180),
            ),
        ] {
            let host = new_host(LicenceMode::Permanent).after(outcome.clone(), time(0));
            let next = host.work.as_ref().map(|_| due_minutes(&host, 0));
            assert_eq!(
                (host.state, host.reason, next),
                (state, reason, next_minutes),
                "{outcome:?}"
            );
        }
    }

    #[test]
    fn unanswered_work_is_repeated_with_growing_delays_and_given_up() {
        let (mut host, mut minutes) = (new_host(LicenceMode::None), Vec::new());
        while host.work.is_some() {
            host = host.after(HostOutcome::Unanswered, time(0));
            minutes.extend(host.work.as_ref().map(|_| due_minutes(&host, 0)));
        }
        assert_eq!(minutes[..8], [5, 10, 20, 40, 80, 160, 320, 360]);
        assert_eq!(minutes.len(), 39);
        assert_eq!(
            (host.state, host.reason),
            (HostState::Failed, Some(HostReason::ZoomUnavailable))
        );
        let spread = OutcomeTime { now: at(0), spread: 1000 };
        let host = new_host(LicenceMode::None).after(HostOutcome::Unanswered, spread);
        assert_eq!(due_minutes(&host, 0), 7, "up to a half more");
    }

    #[test]
    fn invitation_is_looked_at_until_it_is_accepted_or_expires() {
        let mut host = new_host(LicenceMode::None);
        let (mut now, mut looks) = (0, 0);
        while host.state != HostState::Failed {
            host = host.after(HostOutcome::Pending(found("u", false)), time(now));
            if host.work.is_some() {
                now += due_minutes(&host, now);
            }
            looks += 1;
        }
        assert_eq!(host.reason, Some(HostReason::InvitationExpired));
        assert!(now >= 31 * 24 * 60 && looks < 450, "{now} {looks}");
        let again = host.with_request(request("ada@school.test", LicenceMode::None), at(now));
        let again =
            again.unwrap().unwrap().after(HostOutcome::Pending(found("u", false)), time(now));
        assert_eq!(again.state, HostState::Invited, "a new invitation has its own time");
    }

    #[test]
    fn equal_request_changes_nothing_unless_the_last_one_failed() {
        let same = || request("ada@school.test", LicenceMode::Leased);
        let host = new_host(LicenceMode::Leased);
        assert_eq!(host.with_request(same(), at(1)), Ok(None));
        let active = host.after(HostOutcome::Ready(found("u", false)), time(1));
        assert_eq!(active.with_request(same(), at(2)), Ok(None));
        let failed = host.after(HostOutcome::Refused(HostReason::NotFound), time(1));
        let again = failed.with_request(same(), at(2)).unwrap().unwrap();
        assert_eq!((again.state, again.reason), (HostState::Requested, None));
        assert_eq!(due_minutes(&again, 2), 0);
        // Another licence keeps the host in use meanwhile.
        let permanent = request("ada@school.test", LicenceMode::Permanent);
        let changed = active.with_request(permanent, at(2)).unwrap().unwrap();
        assert_eq!((changed.state, changed.licence), (HostState::Active, LicenceMode::Permanent));
        let unanswered = changed.after(HostOutcome::Unanswered, time(2));
        assert_eq!((unanswered.state, unanswered.reason), (HostState::Active, None));
    }

    #[test]
    fn other_address_is_another_user_and_returns_the_licence_of_the_former_one() {
        let other = || request("eve@school.test", LicenceMode::Permanent);
        let host = new_host(LicenceMode::Permanent);
        let licensed = host.after(HostOutcome::Ready(found("u", true)), time(1));
        let changed = licensed.with_request(other(), at(2)).unwrap().unwrap();
        assert_eq!(changed.state, HostState::Requested);
        assert_eq!((&changed.zoom_user, &changed.held), (&None, &None));
        assert_eq!(changed.former_user, found("u", true).user);
        let removed = licensed.with_removal(ZoomUserRemoval::Deactivate, at(2)).unwrap();
        assert!(removed.with_request(other(), at(3)).is_err(), "the removal comes first");
        let removed = removed.after(HostOutcome::Removed, time(3));
        assert!(removed.with_request(other(), at(4)).unwrap().is_some());
    }

    #[test]
    fn removal_is_idempotent_and_repeats_a_failed_one() {
        let keep = ZoomUserRemoval::Keep;
        let host = new_host(LicenceMode::Permanent);
        let host = host.after(HostOutcome::Ready(found("u", true)), time(1));
        let removed = host.with_removal(keep, at(2)).unwrap();
        assert_eq!(removed.state, HostState::Removed);
        assert!(removed.active_user().is_none() && removed.held.is_some(), "not given back yet");
        assert_eq!(removed.with_removal(keep, at(3)), None);
        let refused = removed.after(HostOutcome::Refused(HostReason::NotAllowed), time(3));
        assert_eq!(
            (refused.state, refused.reason),
            (HostState::Removed, Some(HostReason::NotAllowed))
        );
        let done = refused.with_removal(keep, at(4)).unwrap().after(HostOutcome::Removed, time(4));
        assert_eq!((done.reason, done.held.clone(), done.work.clone()), (None, None, None));
        assert_eq!(done.with_removal(keep, at(5)), None);
        assert!(done.with_removal(ZoomUserRemoval::Disassociate, at(5)).is_some());
    }

    #[test]
    fn licence_follows_the_mode_and_keeps_its_date() {
        for (licence, is_licensed, is_held, expected) in [
            (LicenceMode::Permanent, false, false, Some(true)),
            (LicenceMode::Permanent, true, false, None),
            (LicenceMode::None, true, true, Some(false)),
            (LicenceMode::None, true, false, None),
            (LicenceMode::None, false, false, None),
            (LicenceMode::Leased, true, true, None),
            (LicenceMode::Leased, false, false, None),
        ] {
            let held = is_held.then_some(HeldLicence { since: at(0), until: None });
            let host = PlatformHost { held, ..new_host(licence) };
            assert_eq!(host.licence_to_set(is_licensed), expected, "{licence:?} {is_licensed}");
        }
        let ready =
            |host: PlatformHost, now| host.after(HostOutcome::Ready(found("u", true)), time(now));
        let with = |host: &PlatformHost, licence, now| {
            host.with_request(request("ada@school.test", licence), at(now)).unwrap().unwrap()
        };
        let permanent = ready(new_host(LicenceMode::Permanent), 1);
        assert_eq!(permanent.held, Some(HeldLicence { since: at(1), until: None }));
        let leased = ready(with(&permanent, LicenceMode::Leased, 2), 3);
        assert_eq!(leased.held, Some(HeldLicence { since: at(1), until: Some(at(3)) }));
        let permanent = ready(with(&leased, LicenceMode::Permanent, 4), 5);
        assert_eq!(permanent.held, Some(HeldLicence { since: at(1), until: None }));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Request(HostRequest),
        Remove(ZoomUserRemoval),
        Outcome(HostOutcome),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let licence = prop::sample::select(vec![
            LicenceMode::None,
            LicenceMode::Permanent,
            LicenceMode::Leased,
        ]);
        let email = prop::sample::select(vec!["ada@school.test", "eve@school.test"]);
        let user = (prop::sample::select(vec!["u", "v"]), any::<bool>());
        let user = user.prop_map(|(user, is_licensed)| found(user, is_licensed));
        let reason = prop::sample::select(HostReason::ALL.to_vec());
        let outcome = prop_oneof![
            user.clone().prop_map(HostOutcome::Ready),
            user.clone().prop_map(HostOutcome::Pending),
            (user, reason.clone())
                .prop_map(|(found, reason)| HostOutcome::Unlicensed { found, reason }),
            reason.prop_map(HostOutcome::Refused),
            (1..100_000i64)
                .prop_map(|s| HostOutcome::Limited { after: SignedDuration::from_secs(s) }),
            Just(HostOutcome::Unanswered),
            Just(HostOutcome::Removed),
        ];
        let removal = prop::sample::select(vec![
            ZoomUserRemoval::Keep,
            ZoomUserRemoval::Deactivate,
            ZoomUserRemoval::Disassociate,
        ]);
        let step = prop_oneof![
            (email, licence).prop_map(|(email, licence)| Step::Request(request(email, licence))),
            removal.prop_map(Step::Remove),
            outcome.clone().prop_map(Step::Outcome),
            outcome.prop_map(Step::Outcome),
        ];
        prop::collection::vec(step, 0..40)
    }

    proptest! {
        #[test]
        fn any_order_of_requests_and_outcomes_leaves_a_consistent_host(steps in steps()) {
            let mut host = new_host(LicenceMode::Leased);
            for (minute, step) in (1..).zip(steps) {
                let before = host.clone();
                let next = match step.clone() {
                    Step::Request(request) => host.with_request(request, at(minute)).unwrap_or(None),
                    Step::Remove(zoom) => host.with_removal(zoom, at(minute)),
                    Step::Outcome(outcome) => Some(host.after(outcome, time(minute))),
                };
                host = next.unwrap_or(host);
                prop_assert!(host == before || host.version == before.version + 1);
                let task = host.work.as_ref().map(|work| work.task);
                match host.state {
                    HostState::Active => prop_assert!(host.zoom_user.is_some() && host.reason.is_none()),
                    HostState::Failed => prop_assert!(host.reason.is_some()),
                    HostState::Requested => prop_assert_eq!(task, Some(HostTask::Provision)),
                    HostState::Invited => prop_assert!(task.is_some() && host.invited_at.is_some()),
                    HostState::Removed => {
                        prop_assert!(host.removal.is_some());
                        let is_removal = matches!(task, None | Some(HostTask::Remove { .. }));
                        prop_assert!(is_removal);
                    }
                }
                prop_assert_eq!(host.removal.is_some(), host.state == HostState::Removed);
                if host.held.is_some() && host.licence == LicenceMode::None {
                    // It is still to be given back, or Zoom did not allow that.
                    prop_assert!(task.is_some() || matches!(host.state, HostState::Failed | HostState::Removed));
                }
                if let Some(work) = &host.work {
                    prop_assert!(work.attempts < ATTEMPTS_LIMIT);
                    prop_assert!(host == before || work.due_at >= at(minute) || before.work.as_ref() == Some(work));
                }
                // Repeating a request at once changes nothing, unless it repeats a failed one.
                if let Step::Request(request) = step && host.state != HostState::Failed && host != before {
                    prop_assert_eq!(host.with_request(request, at(minute)), Ok(None));
                }
            }
        }
    }
}
