//! Announcements: what a change wants told. Each is stored in the transaction of the change that causes it;
//! who is told, by which channel, is worked out when it is delivered.

use jiff::Timestamp;

use super::audience::InviteeList;
use super::id::{CourseId, SessionId, UserId};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    pub at: Timestamp,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A class was scheduled, changed or cancelled.
    Session(SessionChange),
    /// A trainer's Zoom grant is dead; they must connect again.
    ReauthRequired {
        trainer: UserId,
        /// The connection's version that was refused: one notice for each.
        version: u64,
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
    /// Whether the calendar entry differs from the one sent before.
    pub calendar_changed: bool,
    /// The audience before, where the change replaced it: who is no longer invited is told so.
    pub before: Option<AudienceBefore>,
    pub reason: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AudienceBefore {
    Course(CourseId),
    List(InviteeList),
}

impl Announcement {
    /// What tells this announcement from every other: the same change made twice is announced once.
    pub fn key(&self) -> String {
        match &self.what {
            What::Session(change) => {
                format!("{}#{:010}#{}", change.session, change.version, change.kind.as_str())
            }
            What::ReauthRequired { trainer, version } => {
                format!("{trainer}#{version:010}#reauth_required")
            }
        }
    }
}
