//! Sessions: their states, and the rules for changing them.

mod details;
mod status;
#[cfg(test)]
pub(crate) mod testing;

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IntoDeserializer;

use super::audience::Audience;
use super::caller::{Caller, Role};
use super::hosting::{Hosting, MeetingHost, PlatformUser};
use super::id::{ExternalRef, MeetingId, PaymentId, SessionId, UserId, ZoomUserId};
use super::mailing::EntryDigest;
use super::meeting_instance::{self, EarlierInstances, InstanceEvent, MeetingInstance};
use super::pending_meeting::{MeetingState, PendingMeeting};
use super::recorded_span::RecordedSpan;
use super::refusal::Refusal;
use super::rights::{Operation, Relation};
use super::sealed::Sealed;
use super::session_window::{JoinWindowSettings, SessionWindow};
use super::time::plus_minutes;

pub use self::details::SessionDetails;
pub use self::status::Status;

/// The drift entry of a deleted meeting.
pub const DELETED: &str = "deleted";

/// The service on which a session meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    Zoom,
    /// Any service with an https link, which the trainer enters.
    Manual,
}

/// The origin of a session.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The trainer.
    Manual,
    /// The host platform's back end.
    Service,
    /// The host platform, after a payment.
    Payment,
    /// The host platform, from a timetable.
    Schedule,
    /// An origin that only a newer version has.
    #[serde(untagged, skip_deserializing)]
    Other(String),
}

impl Source {
    /// Reads a stored origin.
    pub fn from_stored(word: String) -> Self {
        let known: Result<Self, serde::de::value::Error> =
            Self::deserialize(word.as_str().into_deserializer());
        known.unwrap_or(Self::Other(word))
    }
}

/// A session's meeting. The join URL and passcode are encrypted at rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meeting {
    /// The Zoom account that hosts the meeting. Events from other accounts with the same number are ignored.
    pub account: Option<String>,
    /// The pseudonym of the Zoom user that hosts the meeting. Two users of one account cannot start or change each
    /// other's meetings.
    pub host_user: Option<String>,
    /// The host's id in the platform's own account, if the platform hosts the meeting.
    pub platform_user: Option<ZoomUserId>,
    /// Zoom's meeting number. `None` for a manual link.
    pub id: Option<MeetingId>,
    /// `None` until the meeting is made.
    pub join_url: Option<Sealed>,
    pub passcode: Option<Sealed>,
    /// Whether people register for the meeting at Zoom, so that each needs a personal link. It is decided when the meeting is
    /// created.
    pub has_registration: bool,
    /// When Zoom last reported a changed join URL or passcode.
    pub credentials_reported_at: JoinCredentialsTimes,
    /// Set until the meeting is made, if it is made later than the session.
    pub pending: Option<PendingMeeting>,
}

/// The times of the events that last changed the join credentials. Events with an earlier time are outdated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JoinCredentialsTimes {
    pub join_url: Option<Timestamp>,
    pub passcode: Option<Timestamp>,
}

impl Meeting {
    /// A meeting that is made later, with an unknown host.
    pub fn pending(pending: PendingMeeting) -> Self {
        Self {
            account: None,
            host_user: None,
            platform_user: None,
            id: None,
            join_url: None,
            passcode: None,
            credentials_reported_at: JoinCredentialsTimes::default(),
            has_registration: false,
            pending: Some(pending),
        }
    }

    /// Returns the hosting of the meeting.
    pub fn hosting(&self) -> Hosting {
        if self.platform_user.is_some() { Hosting::Platform } else { Hosting::Trainer }
    }

    /// Returns the host as the calls for the meeting need it.
    pub fn host(&self) -> MeetingHost {
        match &self.platform_user {
            Some(id) => MeetingHost::Platform(PlatformUser {
                id: id.clone(),
                account: self.account.clone().unwrap_or_default(),
            }),
            None => MeetingHost::Trainer { pseudonym: self.host_user.clone() },
        }
    }

    /// Returns whether the Zoom user with this pseudonym hosts the meeting. The host of a meeting without a recorded
    /// host is not known, so any user is accepted.
    pub fn is_hosted_by(&self, user: Option<&str>) -> bool {
        self.host_user.is_none() || self.host_user.as_deref() == user
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    pub id: SessionId,
    pub trainer: UserId,
    pub details: SessionDetails,
    pub audience: Audience,
    /// The zone's offset from UTC at the start, in seconds, by the time zone data in force when the start was saved. Together
    /// they are the local time of the start.
    pub utc_offset: i32,
    /// The join window settings in force when the session was last saved.
    pub window: JoinWindowSettings,
    pub provider: Provider,
    /// The names of all settings that were ever sent to Zoom, or may have been. Zoom cannot reset a setting to the account's
    /// default, so a setting that was removed is sent as off.
    pub settings_sent: BTreeSet<String>,
    pub status: Status,
    pub source: Source,
    /// The platform's own name of the session.
    pub external_ref: Option<ExternalRef>,
    /// The payment that created the session, or that brought its meeting forward.
    pub triggered_by: Option<PaymentId>,
    pub meeting: Meeting,
    /// The calendar entry's SEQUENCE (RFC 5545, section 3.8.7.4).
    pub ics_sequence: u32,
    /// Incremented by every change of the trainer. It is the entity tag of the API.
    pub version: u64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// When the session was last synced to Zoom. Only later events count for drift.
    pub zoom_synced_at: Timestamp,
    pub cancelled_at: Option<Timestamp>,
    pub actual_started_at: Option<Timestamp>,
    pub actual_ended_at: Option<Timestamp>,
    /// The latest meeting instances, by start.
    pub meeting_instances: Vec<MeetingInstance>,
    /// The figures of the instances before them, if there were many.
    pub earlier_instances: Option<EarlierInstances>,
    /// The spans of the recordings that Zoom reported.
    pub recordings: Vec<RecordedSpan>,
    /// The fields that somebody changed at Zoom, or `deleted`.
    pub drift: Vec<String>,
}

impl Session {
    /// The version of a session that was not changed since its creation.
    pub const FIRST_VERSION: u64 = 1;

    /// Returns the planned end. Whether the session is over does not depend on it, but on [`Self::window_closes_at`].
    pub fn planned_end(&self) -> Timestamp {
        plus_minutes(self.details.starts_at, self.details.duration_minutes.into())
    }

    /// Returns the time from which the trainer may join and a running meeting belongs to the session.
    pub fn window_opens_at(&self) -> Timestamp {
        plus_minutes(self.details.starts_at, -self.window.trainer_lead_minutes)
    }

    /// Returns the time from which students may join.
    pub fn student_window_opens_at(&self) -> Timestamp {
        plus_minutes(self.details.starts_at, -self.window.student_lead_minutes)
    }

    /// Returns the time from which nobody may join and the session is over, whether it was held or not.
    pub fn window_closes_at(&self) -> Timestamp {
        plus_minutes(self.planned_end(), self.window.closing_minutes)
    }

    /// Returns the time in which the session takes place.
    pub fn session_window(&self) -> SessionWindow {
        SessionWindow {
            opens_at: self.window_opens_at(),
            starts_at: self.details.starts_at,
            closes_at: self.window_closes_at(),
        }
    }

    /// Returns whether Zoom has reported that the host joined the running meeting.
    pub fn is_host_in_meeting(&self) -> bool {
        self.meeting_instances.last().is_some_and(|latest| {
            latest.end().is_none()
                && latest.host_joined_at.is_some()
                && self.session_window().contains_instance(latest)
        })
    }

    /// Returns whether the meeting was deleted at Zoom. The meeting of a live session exists, whatever earlier events
    /// reported.
    pub fn is_meeting_deleted(&self) -> bool {
        self.status != Status::Live && self.drift.iter().any(|field| field == DELETED)
    }

    /// Returns the state of the meeting.
    pub fn meeting_state(&self) -> MeetingState {
        match &self.meeting.pending {
            _ if self.provider == Provider::Manual => MeetingState::None,
            None => MeetingState::Ready,
            Some(PendingMeeting { failure: None, .. }) => MeetingState::Pending,
            Some(_) => MeetingState::Failed,
        }
    }

    /// Returns whether the session has no meeting to join: it is not made yet, or it was deleted at Zoom.
    pub fn lacks_meeting(&self) -> bool {
        self.meeting.pending.is_some() || self.is_meeting_deleted()
    }

    /// Returns the session with its meeting due at `now`, brought forward by `payment`. `None` if it has no pending meeting
    /// that is due later.
    pub fn with_meeting_due(&self, now: Timestamp, payment: Option<&PaymentId>) -> Option<Self> {
        let pending = self.meeting.pending.as_ref()?;
        let is_waiting = self.status == Status::Scheduled && pending.failure.is_none();
        (is_waiting && pending.due_at > now).then(|| Self {
            meeting: Meeting {
                pending: Some(PendingMeeting { due_at: now, ..pending.clone() }),
                ..self.meeting.clone()
            },
            triggered_by: payment.cloned().or_else(|| self.triggered_by.clone()),
            ..self.clone()
        })
    }

    /// Adds an event of the instance `uuid`, and updates the status and actual times. A sign of life from after the window
    /// does not bring back a session whose end was inferred.
    pub fn with_instance_event(self, uuid: &str, event: InstanceEvent) -> Self {
        let is_late = match event {
            InstanceEvent::Running(at) | InstanceEvent::HostJoined(at) => {
                at >= self.window_closes_at()
            }
            InstanceEvent::Ended { .. } => false,
        };
        if is_late && self.meeting_instances.iter().any(|instance| instance.uuid == uuid) {
            return self;
        }
        let known = meeting_instance::with_event(self.meeting_instances.clone(), uuid, event);
        self.with_meeting_instances(known)
    }

    /// Ends the session at `at` because Zoom reported no end.
    pub fn with_inferred_end(self, at: Timestamp) -> Self {
        let window = self.session_window();
        let known =
            meeting_instance::with_inferred_end(self.meeting_instances.clone(), &window, at);
        self.with_meeting_instances(known)
    }

    /// Replaces the meeting instances by a limited number, and updates the status and actual times.
    fn with_meeting_instances(self, meeting_instances: Vec<MeetingInstance>) -> Self {
        let window = self.session_window();
        let (earlier_instances, meeting_instances) =
            meeting_instance::compact(self.earlier_instances, meeting_instances, &window);
        let lifecycle = meeting_instance::lifecycle(
            self.status,
            &window,
            earlier_instances.as_ref(),
            &meeting_instances,
        );
        Self {
            status: lifecycle.status,
            actual_started_at: lifecycle.started_at,
            actual_ended_at: lifecycle.ended_at,
            meeting_instances,
            earlier_instances,
            ..self
        }
    }

    /// Returns the session at the same local time, if its zone has other rules now. `None` if its instant stays the same, or
    /// the session has begun.
    pub fn with_current_zone_rules(&self, now: Timestamp) -> Option<Self> {
        let starts_at = self.details.zone.same_local_time(self.details.starts_at, self.utc_offset);
        let is_ahead = self.details.starts_at > now && starts_at > now;
        let moves =
            self.status == Status::Scheduled && is_ahead && starts_at != self.details.starts_at;
        moves.then(|| Self {
            details: SessionDetails { starts_at, ..self.details.clone() },
            utc_offset: self.details.zone.utc_offset(starts_at),
            version: self.version + 1,
            ics_sequence: self.ics_sequence + 1,
            updated_at: now,
            ..self.clone()
        })
    }

    /// Returns the stored meeting instance with this uuid.
    pub fn meeting_instance(&self, uuid: &str) -> Option<&MeetingInstance> {
        self.meeting_instances.iter().find(|instance| instance.uuid == uuid)
    }

    /// Returns whether the instance `uuid`, of which an event at `at` was reported, may belong to the session.
    pub fn may_own_instance(&self, uuid: &str, at: Timestamp) -> bool {
        match self.meeting_instance(uuid) {
            Some(instance) => self.session_window().contains_instance(instance),
            None => self.earlier_instances.is_some_and(|earlier| earlier.contains(at)),
        }
    }

    /// Returns whether the session may still take place. A session that was not started may start until its window closes.
    pub fn is_upcoming_or_live(&self, now: Timestamp) -> bool {
        match self.status {
            Status::Scheduled => now < self.window_closes_at(),
            Status::Live => true,
            Status::Ended | Status::Cancelled => false,
        }
    }

    /// Returns the caller's relation to the session, apart from an invitation.
    pub fn relation_to(&self, caller: &Caller) -> Relation {
        if self.is_owned_by(caller) {
            Relation::Trainer
        } else if self.is_taught_by(caller) {
            Relation::CoTrainer
        } else {
            Relation::None
        }
    }

    /// Checks the caller's right to an operation that no invitation allows.
    pub fn check_right(&self, operation: Operation, caller: &Caller) -> Result<(), Refusal> {
        operation.check(caller, self.relation_to(caller)).map(drop)
    }

    /// Returns whether the caller is the trainer or a co-trainer.
    pub fn is_taught_by(&self, caller: &Caller) -> bool {
        let is_named = caller.id == self.trainer || self.details.co_trainers.contains(&caller.id);
        caller.has_role(Role::Trainer) && is_named
    }

    /// Returns whether the caller is the trainer.
    pub fn is_owned_by(&self, caller: &Caller) -> bool {
        caller.has_role(Role::Trainer) && caller.id == self.trainer
    }

    /// Returns whether the caller starts the meeting as its host. A co-trainer does so where the platform hosts, because
    /// the trainer's own grant is for the trainer alone.
    pub fn is_hosted_by(&self, caller: &Caller) -> bool {
        self.is_owned_by(caller)
            || (self.is_taught_by(caller) && self.meeting.hosting() == Hosting::Platform)
    }

    /// Returns whether the latest meeting instance has not ended.
    pub fn is_meeting_running(&self) -> bool {
        self.meeting_instances.last().is_some_and(|instance| instance.ended_at.is_none())
    }

    /// Checks that the session may be edited at `now`.
    pub fn check_editable(&self, now: Timestamp) -> Result<(), Refusal> {
        match self.status {
            Status::Scheduled if now >= self.window_closes_at() => Err(Refusal::SessionEnded),
            Status::Scheduled => Ok(()),
            Status::Live => Err(Refusal::Conflict("the class is live and cannot be edited")),
            Status::Ended => Err(Refusal::SessionEnded),
            Status::Cancelled => Err(Refusal::SessionCancelled),
        }
    }

    /// Returns the cancelled session, or `None` if it is already cancelled. A session whose time is over cannot be cancelled,
    /// even if it never started, because we do not send cancellations for past sessions.
    pub fn cancel(&self, now: Timestamp) -> Result<Option<Self>, Refusal> {
        match self.status {
            Status::Cancelled => Ok(None),
            Status::Scheduled | Status::Live if now >= self.window_closes_at() => {
                Err(Refusal::SessionEnded)
            }
            Status::Ended => Err(Refusal::SessionEnded),
            Status::Scheduled | Status::Live => Ok(Some(Self {
                status: Status::Cancelled,
                cancelled_at: Some(now),
                updated_at: now,
                version: self.version + 1,
                ics_sequence: self.ics_sequence + 1,
                ..self.clone()
            })),
        }
    }

    /// Returns whether attendees need a new calendar entry after the change to `next` (RFC 5546, section 2.1.4: the sequence
    /// rises with every change that matters to an attendee).
    pub fn calendar_differs(&self, next: &Self) -> bool {
        EntryDigest::from_session(self) != EntryDigest::from_session(next)
    }
}
