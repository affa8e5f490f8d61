//! A session: one live class, its states, and who may change it how.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::audience::{Audience, Invitee};
use super::caller::{Caller, Role};
use super::drift::DELETED;
use super::id::{MeetingId, SessionId, UserId};
use super::meeting_instance::{self, MeetingInstance};
use super::refusal::Refusal;
use super::sealed::Sealed;
use super::settings::MeetingSettings;
use super::text::{Description, Title};
use super::time::{Zone, plus_minutes};

/// How long past its planned end a class may still be on, in minutes, as long as nobody tells that it is over: as long as
/// its door stays open unless a deployment says otherwise, after which nobody new comes in.
pub const OVERRUN_MINUTES: i64 = 90;

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Scheduled,
    Live,
    Ended,
    Cancelled,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Live => "live",
            Self::Ended => "ended",
            Self::Cancelled => "cancelled",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "scheduled" => Some(Self::Scheduled),
            "live" => Some(Self::Live),
            "ended" => Some(Self::Ended),
            "cancelled" => Some(Self::Cancelled),
            _ => None,
        }
    }
}

/// Where a class meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    Zoom,
    /// Anywhere that has a link: the trainer pastes it.
    Manual,
}

/// Who caused a class to exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The trainer, in person.
    Manual,
    /// The host platform's back end.
    Service,
    /// The host platform, upon a payment.
    Payment,
    /// The host platform, by a timetable.
    Schedule,
}

/// The meeting behind a class. What could let a stranger in is encrypted wherever it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meeting {
    /// The Zoom account that hosts it. Events of another account about the same number are not about this.
    pub account: Option<String>,
    /// Zoom's number; a pasted link has none.
    pub id: Option<MeetingId>,
    pub join_url: Sealed,
    pub passcode: Option<Sealed>,
    /// When Zoom last told of another link or passcode than it had given us.
    pub told: JoinCredentialsSeen,
}

/// When Zoom told how people come into a meeting, by the events' own time: what it says of an earlier time comes too late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JoinCredentialsSeen {
    pub join_url: Option<Timestamp>,
    pub passcode: Option<Timestamp>,
}

impl Meeting {
    /// Refuses to ask `account` about a meeting in another one. Zoom would say that it is gone.
    pub fn is_in(own: Option<&str>, account: &str) -> Result<(), Refusal> {
        match own {
            Some(own) if own != account => Err(Refusal::Conflict(
                "the class's meeting belongs to a Zoom account that is not connected any more; connect that account \
                 again, or cancel the class and schedule it anew",
            )),
            _ => Ok(()),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    pub id: SessionId,
    pub trainer: UserId,
    pub title: Title,
    pub description: Description,
    pub audience: Audience,
    pub starts_at: Timestamp,
    pub zone: Zone,
    pub duration_minutes: u16,
    pub provider: Provider,
    pub record_session: bool,
    pub settings: MeetingSettings,
    /// The names of all settings that Zoom was ever told for its meeting, or may have been. Zoom knows no way back to an
    /// account's default, so one that is not given any more is off.
    pub settings_told: BTreeSet<String>,
    pub status: Status,
    pub source: Source,
    pub meeting: Meeting,
    /// The calendar entry's SEQUENCE (RFC 5545, section 3.8.7.4).
    pub ics_sequence: u32,
    /// Rises with every change that its owner makes; the entity tag of the API.
    pub version: u64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// When Zoom was last told what the meeting is. What was heard of it since counts.
    pub zoom_told_at: Timestamp,
    pub cancelled_at: Option<Timestamp>,
    pub actual_started_at: Option<Timestamp>,
    pub actual_ended_at: Option<Timestamp>,
    /// The runnings of its meeting, as Zoom's events tell of them.
    pub meeting_instances: Vec<MeetingInstance>,
    /// What somebody changed at Zoom, past us: names of fields, or `deleted`.
    pub drift: Vec<String>,
}

impl Session {
    pub fn ends_at(&self) -> Timestamp {
        plus_minutes(self.starts_at, self.duration_minutes.into())
    }

    /// Whether somebody deleted its meeting at Zoom, so that nobody can come in. One that is running is there, whatever
    /// was heard of it before.
    pub fn lacks_its_meeting(&self) -> bool {
        self.status != Status::Live && self.drift.iter().any(|field| field == DELETED)
    }

    /// What the known runnings of its meeting make of it.
    pub fn with_meeting_instances(self, occurrences: Vec<MeetingInstance>) -> Self {
        let course = meeting_instance::lifecycle(self.status, self.starts_at, &occurrences);
        Self {
            status: course.status,
            actual_started_at: course.started_at,
            actual_ended_at: course.ended_at,
            meeting_instances: occurrences,
            ..self
        }
    }

    /// Whether it is on or still to come.
    pub fn is_ahead(&self, now: Timestamp) -> bool {
        match self.status {
            Status::Scheduled => now < self.ends_at(),
            Status::Live => true,
            Status::Ended | Status::Cancelled => false,
        }
    }

    pub fn is_owned_by(&self, caller: &Caller) -> bool {
        caller.is(Role::Trainer) && caller.id == self.trainer
    }

    /// Refuses what only the Zoom account can do that hosts the class, when its trainer has connected another since.
    pub fn hosted_by(&self, account: &str) -> Result<(), Refusal> {
        Meeting::is_in(self.meeting.account.as_deref(), account)
    }

    /// Whether its meeting is on, as far as Zoom's events tell.
    pub fn is_running(&self) -> bool {
        self.meeting_instances.last().is_some_and(|running| running.ended_at.is_none())
    }

    /// Refuses to those who do not own the class, in the words that hide whether there is one.
    pub fn owned_by(&self, caller: &Caller) -> Result<(), Refusal> {
        if self.is_owned_by(caller) { Ok(()) } else { Err(Refusal::NotFound) }
    }

    /// From when on the class is over by its plan, whether it was held or not.
    pub fn over_at(&self) -> Timestamp {
        plus_minutes(self.ends_at(), OVERRUN_MINUTES)
    }

    /// Whether the class may still be edited at `now`.
    pub fn editable(&self, now: Timestamp) -> Result<(), Refusal> {
        match self.status {
            Status::Scheduled if now >= self.over_at() => Err(Refusal::SessionEnded),
            Status::Scheduled => Ok(()),
            Status::Live => {
                Err(Refusal::Conflict("the class is running; it can be edited when it is over"))
            }
            Status::Ended => Err(Refusal::SessionEnded),
            Status::Cancelled => Err(Refusal::SessionCancelled),
        }
    }

    /// What cancelling at `now` makes of the class; `None` when it was cancelled before. One that is over cannot be
    /// cancelled any more, also if it never began: nobody is to read of last week's class that it will not take place.
    pub fn cancel(&self, now: Timestamp) -> Result<Option<Self>, Refusal> {
        match self.status {
            Status::Cancelled => Ok(None),
            Status::Scheduled | Status::Live if now >= self.over_at() => Err(Refusal::SessionEnded),
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

    /// Whether those invited must be given a new calendar entry once `self` has become `next`
    /// (RFC 5546, section 2.1.4: the sequence rises with every change that matters to an attendee).
    pub fn calendar_differs(&self, next: &Self) -> bool {
        self.title != next.title
            || self.description != next.description
            || self.starts_at != next.starts_at
            || self.zone != next.zone
            || self.duration_minutes != next.duration_minutes
    }
}

/// Adds what its owner may know of an invitee list to a class.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionWithInvitees {
    pub session: Session,
    pub invitees: Vec<Invitee>,
}
