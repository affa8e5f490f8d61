//! Domain events: stored intents to notify. Each is written in the transaction of its change. The fan-out determines
//! recipients and channels later.

use jiff::{SignedDuration, Timestamp};
use strum::IntoStaticStr;

use super::audience::{Audience, InviteeList};
use super::digest::Digest;
use super::id::{CourseId, SessionId, UserId};
use super::reminder::Reminder;
use super::session::Session;
use super::text::{Email, PersonName};
use super::time::whole_milli;
use super::zoom_connection::ZoomConnection;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainEvent {
    pub at: Timestamp,
    pub kind: DomainEventKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DomainEventKind {
    /// A session was scheduled, changed or cancelled.
    Session(SessionChange),
    /// A trainer must connect Zoom again: the grant was rejected, the app was removed at Zoom, or classes ahead need
    /// another Zoom user than the connected one. Skipped if a working grant has replaced the one of this version.
    ReauthRequired { trainer: UserId, connection_version: u64, nonce: EventNonce },
    /// A reminder is due for a session that its trainer cannot start, because the Zoom user that hosts it is not
    /// connected. Only the trainer is notified.
    HostNotConnected {
        session: SessionId,
        trainer: UserId,
        reminder: Reminder,
        starts_at: Timestamp,
    },
    /// A session starts soon. Skipped if it no longer starts at `starts_at`.
    Reminder { session: SessionId, reminder: Reminder, starts_at: Timestamp, version: u64 },
    /// The trainer sends the current invitation again.
    Resend { session: SessionId, version: u64, sequence: u32, nonce: EventNonce, to: ResendTo },
    /// A recording is available.
    RecordingReady { session: SessionId, nonce: EventNonce },
    /// Somebody deleted the meeting in Zoom, which its trainer must know.
    MeetingDeleted { session: SessionId, trainer: UserId, nonce: EventNonce },
    /// A session starts within a day and has no meeting yet. Only the trainer is notified.
    MeetingMissing { session: SessionId, trainer: UserId, starts_at: Timestamp },
    /// Mails about a session came back. Only the trainer is notified.
    MailReturned { session: SessionId },
    /// Students gained or lost access to a course. The fan-out creates one `SessionEnrollments` per upcoming session.
    CourseEnrollments(EnrollmentChange),
    /// Enrollments were written without being read, because no session of the course was known. The fan-out invites these
    /// students to sessions that were scheduled at the same time.
    EnrollmentCheck { course: CourseId, nonce: EventNonce, users: Vec<UserId> },
    /// An enrollment change for one session of the course.
    SessionEnrollments { session: SessionId, version: u64, change: EnrollmentChange },
}

/// Students who gained or lost access to a course.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrollmentChange {
    pub course: CourseId,
    /// Whether they gained access. Students who lost it are no longer invited.
    pub granted: bool,
    pub nonce: EventNonce,
    pub students: Vec<ChangedStudent>,
    /// Whether some students may have had access before.
    pub is_unchecked: bool,
}

/// The time from an enrollment change to its fan-out. The fan-out finds the sessions by an index, which may not show a
/// session immediately. DynamoDB usually updates an index within a second.
pub const ENROLLMENT_DELAY: SignedDuration = SignedDuration::from_secs(60);

/// A student of an enrollment change with their contact data, because a deleted enrollment no longer has it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ChangedStudent {
    pub user: UserId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Email>,
    pub name: PersonName,
    /// Earlier addresses, which may still hold calendar entries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former_emails: Vec<Email>,
}

impl EnrollmentChange {
    pub fn new(
        course: CourseId,
        granted: bool,
        students: Vec<ChangedStudent>,
        at: Timestamp,
    ) -> Self {
        let users: Vec<_> = students.iter().map(|student| student.user.as_str()).collect();
        let nonce = EventNonce::derive(&format!("{at}\n{granted}\n{}", users.join("\n")));
        Self { course, granted, nonce, students, is_unchecked: false }
    }
}

/// Returns the due time of an enrollment change at `now`.
pub fn enrollments_due_at(now: Timestamp) -> Timestamp {
    now.saturating_add(ENROLLMENT_DELAY).unwrap_or(now)
}

/// Distinguishes domain events of the same kind and session. It is derived from the cause if the cause can be repeated.
/// It is a number because keys must not contain user input or Zoom's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct EventNonce(pub u64);

impl EventNonce {
    /// Derives a nonce that is equal for every repetition of a cause. It is below 2^53, which JSON parsers do not
    /// round.
    pub fn derive(cause: &str) -> Self {
        Self(u64::from_be_bytes(Digest::of_value(cause).first()) >> 11)
    }
}

/// The recipients of a resent invitation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResendTo {
    All,
    /// Students by user id and invitees by address.
    Named {
        users: Vec<UserId>,
        emails: Vec<Email>,
    },
}

#[derive(
    Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ChangeKind {
    Scheduled,
    Updated,
    Cancelled,
}

impl ChangeKind {
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionChange {
    pub session: SessionId,
    pub kind: ChangeKind,
    /// The session's version after the change.
    pub version: u64,
    pub sequence: u32,
    /// The audience of this version. Older events have none.
    pub audience: Option<AudienceRef>,
    /// Whether the calendar entry changes.
    pub calendar_changed: bool,
    /// The previous audience if the change replaced it. Removed people are notified.
    pub previous_audience: Option<AudienceRef>,
    pub reason: Option<String>,
}

/// A reference to an audience.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AudienceRef {
    Nobody,
    Course(CourseId),
    List(InviteeList),
}

impl AudienceRef {
    pub fn from_audience(audience: &Audience) -> Self {
        match audience {
            Audience::Standalone => Self::Nobody,
            Audience::Course { id, .. } => Self::Course(id.clone()),
            Audience::Invitees { list, .. } => Self::List(*list),
        }
    }
}

impl DomainEventKind {
    /// Returns the session of the recipients. `None` for events about a trainer or a course.
    pub fn session(&self) -> Option<&SessionId> {
        match self {
            Self::Session(SessionChange { session, .. })
            | Self::Reminder { session, .. }
            | Self::Resend { session, .. }
            | Self::RecordingReady { session, .. }
            | Self::SessionEnrollments { session, .. }
            | Self::HostNotConnected { session, .. }
            | Self::MeetingDeleted { session, .. }
            | Self::MeetingMissing { session, .. }
            | Self::MailReturned { session } => Some(session),
            Self::ReauthRequired { .. }
            | Self::CourseEnrollments(_)
            | Self::EnrollmentCheck { .. } => None,
        }
    }
}

impl DomainEvent {
    /// Returns the check of enrollments that were written at `now`.
    pub fn enrollment_check(course: CourseId, users: Vec<UserId>, now: Timestamp) -> Self {
        let names: Vec<_> = users.iter().map(UserId::as_str).collect();
        let nonce = EventNonce::derive(&format!("{now}\ncheck\n{}", names.join("\n")));
        let kind = DomainEventKind::EnrollmentCheck { course, nonce, users };
        Self { at: enrollments_due_at(now), kind }
    }

    /// Returns the event by which a session was announced when it was scheduled.
    pub fn scheduling(session: &Session) -> Self {
        let change = SessionChange {
            session: session.id.clone(),
            kind: ChangeKind::Scheduled,
            version: Session::FIRST_VERSION,
            sequence: 0,
            audience: None,
            calendar_changed: true,
            previous_audience: None,
            reason: None,
        };
        Self { at: session.created_at, kind: DomainEventKind::Session(change) }
    }

    /// Returns the unique key of the event. A repeated change has the same key. Events of one instant are fanned out in the
    /// order of their keys: the changes of a session by version, each followed by the other events of that version. `~` sorts
    /// after letters and digits.
    pub fn key(&self) -> String {
        match &self.kind {
            DomainEventKind::Session(change) => {
                format!("{}#{:010}#{}", change.session, change.version, change.kind.as_str())
            }
            DomainEventKind::ReauthRequired { trainer, nonce, .. } => {
                format!("{trainer}#{:020}#reauth_required", nonce.0)
            }
            DomainEventKind::HostNotConnected { session, reminder, starts_at, .. } => {
                let start = starts_at.as_second();
                format!("{session}#~#{start:020}#{}#host_not_connected", reminder.as_str())
            }
            DomainEventKind::Reminder { session, reminder, version, .. } => {
                format!("{session}#{version:010}#~{}", reminder.as_str())
            }
            DomainEventKind::Resend { session, version, nonce: turn, .. } => {
                format!("{session}#{version:010}#~{:020}#resend", turn.0)
            }
            DomainEventKind::RecordingReady { session, nonce: turn } => {
                format!("{session}#~#{:020}#recording_ready", turn.0)
            }
            DomainEventKind::MeetingDeleted { session, nonce: turn, .. } => {
                format!("{session}#~#{:020}#meeting_deleted", turn.0)
            }
            DomainEventKind::MeetingMissing { session, starts_at, .. } => {
                format!("{session}#~#{:020}#meeting_missing", starts_at.as_second())
            }
            // There is at most one per session and hour.
            DomainEventKind::MailReturned { session } => {
                format!("{session}#~#{:020}#mail_returned", self.at.as_second())
            }
            DomainEventKind::CourseEnrollments(EnrollmentChange {
                course, nonce: turn, ..
            }) => {
                format!("{course}#{:020}#enrollments", turn.0)
            }
            DomainEventKind::EnrollmentCheck { course, nonce, .. } => {
                format!("{course}#{:020}#enrollment_check", nonce.0)
            }
            DomainEventKind::SessionEnrollments { session, change, .. } => {
                format!("{session}#~#{:020}#enrollments", change.nonce.0)
            }
        }
    }
}
impl ZoomConnection {
    /// Returns the domain event that notifies the trainer of losing this grant.
    pub fn loss_event(&self, at: Timestamp) -> DomainEvent {
        self.reauth_event("lost", at)
    }

    /// Returns the domain event that notifies the trainer that classes ahead need another Zoom user than this one.
    pub fn replacement_event(&self) -> DomainEvent {
        self.reauth_event("replacement", self.connected_at)
    }

    /// The version does not repeat, so neither does the nonce.
    fn reauth_event(&self, cause: &str, at: Timestamp) -> DomainEvent {
        let kind = DomainEventKind::ReauthRequired {
            trainer: self.trainer.clone(),
            connection_version: self.version,
            nonce: EventNonce::derive(&format!("{cause}\n{}", self.version)),
        };
        DomainEvent { at: whole_milli(at), kind }
    }
}
