//! Announcements: what a change wants told. Each is stored in the transaction of the change that causes it;
//! who is told, by which channel, is worked out when it is delivered.

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::audience::{Audience, InviteeList};
use super::id::{CourseId, SessionId, UserId};
use super::reminder::Reminder;
use super::text::{Email, PersonName};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainEvent {
    pub at: Timestamp,
    pub kind: DomainEventKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DomainEventKind {
    /// A class was scheduled, changed or cancelled.
    Session(SessionChange),
    /// A trainer's Zoom grant is dead; they must connect again.
    ReauthRequired {
        trainer: UserId,
        /// The connection's version that was refused: one notice for each.
        version: u64,
    },
    /// A class is near. Void once the class no longer starts at `starts_at`.
    Reminder { session: SessionId, reminder: Reminder, starts_at: Timestamp, version: u64 },
    /// The trainer sends the current invitation again.
    Resend { session: SessionId, version: u64, sequence: u32, turn: EventNonce, to: ResendTo },
    /// There is a recording to watch.
    RecordingReady { session: SessionId, turn: EventNonce },
    /// The meeting was deleted at Zoom, past us; its trainer must know.
    MeetingDeleted { session: SessionId, trainer: UserId, turn: EventNonce },
    /// Students came to a course or left it. It is told as one announcement for each class that is still to come.
    CourseEnrollments(EnrollmentChange),
    /// What that is to one of its classes.
    SessionEnrollments { session: SessionId, version: u64, places: EnrollmentChange },
}

/// Students who came to a course, or left it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrollmentChange {
    pub course: CourseId,
    /// Whether they have access now. Whoever does not is no longer invited.
    pub granted: bool,
    pub turn: EventNonce,
    pub who: Vec<ChangedStudent>,
}

/// One of them, and where they are told: of who was taken out of the course nothing else knows it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ChangedStudent {
    pub user: UserId,
    pub email: Email,
    pub name: PersonName,
}

impl EnrollmentChange {
    pub fn new(course: CourseId, granted: bool, who: Vec<ChangedStudent>, at: Timestamp) -> Self {
        let users: Vec<_> = who.iter().map(|place| place.user.as_str()).collect();
        let turn = EventNonce::of(&format!("{at}\n{granted}\n{}", users.join("\n")));
        Self { course, granted, turn, who }
    }
}

/// What tells an announcement from another of its kind about the same class: derived where the cause can come twice.
/// It stands in keys, so it is a number and nothing that somebody typed or Zoom sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct EventNonce(pub u64);

impl EventNonce {
    /// From what is equal whenever the same cause comes again. Below 2^53: no reader of JSON rounds it.
    pub fn of(cause: &str) -> Self {
        let digest: [u8; 32] = Sha256::digest(cause).into();
        let [a, b, c, d, e, f, g, h, ..] = digest;
        Self(u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 11)
    }
}

/// Who is sent an invitation again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResendTo {
    All,
    /// Students of the course, by user id, and addresses of the list.
    Named {
        users: Vec<UserId>,
        emails: Vec<Email>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    Scheduled,
    Updated,
    Cancelled,
}

impl ChangeKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Updated => "updated",
            Self::Cancelled => "cancelled",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionChange {
    pub session: SessionId,
    pub kind: ChangeKind,
    /// The class's version that this made.
    pub version: u64,
    pub sequence: u32,
    /// The audience that the class had with this version; an earlier writer did not say.
    pub audience: Option<AudienceRef>,
    /// Whether the calendar entry differs from the one sent before.
    pub calendar_changed: bool,
    /// The audience before, where the change replaced it: who is no longer invited is told so.
    pub before: Option<AudienceRef>,
    pub reason: Option<String>,
}

/// An audience by what it is found by.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AudienceRef {
    Nobody,
    Course(CourseId),
    List(InviteeList),
}

impl AudienceRef {
    pub fn of(audience: &Audience) -> Self {
        match audience {
            Audience::Standalone => Self::Nobody,
            Audience::Course { id, .. } => Self::Course(id.clone()),
            Audience::Invitees { list, .. } => Self::List(*list),
        }
    }
}

impl DomainEvent {
    /// What tells this announcement from every other: the same change made twice is announced once.
    pub fn key(&self) -> String {
        match &self.kind {
            DomainEventKind::Session(change) => {
                format!("{}#{:010}#{}", change.session, change.version, change.kind.as_str())
            }
            DomainEventKind::ReauthRequired { trainer, version } => {
                format!("{trainer}#{version:010}#reauth_required")
            }
            DomainEventKind::Reminder { session, reminder, version, .. } => {
                format!("{session}#{version:010}#{}", reminder.as_str())
            }
            DomainEventKind::Resend { session, turn, .. } => format!("{session}#{:020}#resend", turn.0),
            DomainEventKind::RecordingReady { session, turn } => {
                format!("{session}#{:020}#recording_ready", turn.0)
            }
            DomainEventKind::MeetingDeleted { session, turn, .. } => {
                format!("{session}#{:020}#meeting_deleted", turn.0)
            }
            DomainEventKind::CourseEnrollments(EnrollmentChange { course, turn, .. }) => {
                format!("{course}#{:020}#places", turn.0)
            }
            DomainEventKind::SessionEnrollments { session, places, .. } => {
                format!("{session}#{:020}#places", places.turn.0)
            }
        }
    }
}
