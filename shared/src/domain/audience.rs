//! Whom a class is for.

use super::id::CourseId;
use super::text::{Email, PersonName, Title};

/// The most addresses that one class may invite.
pub const INVITEE_LIMIT: usize = 1000;

/// An address that a class invites, a user of the platform or an outside guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitee {
    pub email: Email,
    pub name: Option<PersonName>,
}

/// Whom a class is for, as its trainer said it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AudienceDraft {
    /// Nobody but the trainer, who passes the link on in person.
    Standalone,
    /// Every student with access to the course.
    Course(CourseId),
    /// These addresses, each once.
    Invitees(Vec<Invitee>),
}

/// Whom a class is for, as it is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience {
    Standalone,
    Course {
        id: CourseId,
        /// The course's title when the class was last saved.
        title: Title,
    },
    Invitees {
        /// Which of the lists stored under the class is in force; see [`InviteeList`].
        list: InviteeList,
        count: usize,
    },
}

impl Audience {
    pub fn kind(&self) -> AudienceKind {
        match self {
            Self::Standalone => AudienceKind::Standalone,
            Self::Course { .. } => AudienceKind::Course,
            Self::Invitees { .. } => AudienceKind::Invitees,
        }
    }

    pub fn course(&self) -> Option<&CourseId> {
        match self {
            Self::Course { id, .. } => Some(id),
            _ => None,
        }
    }

    pub fn course_title(&self) -> Option<&Title> {
        match self {
            Self::Course { title, .. } => Some(title),
            _ => None,
        }
    }

    pub fn list(&self) -> Option<InviteeList> {
        match self {
            Self::Invitees { list, .. } => Some(*list),
            _ => None,
        }
    }
}

/// The `audience_type` of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AudienceKind {
    Standalone,
    Course,
    Invitees,
}

/// One writing of a list of invitees, by a number drawn for it. A list too long for one transaction is written first
/// and counts for nothing until the class points at it; so does what is left of an earlier list. Were the number to
/// follow from the class, an attempt that failed would leave its addresses in the list of the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct InviteeList(pub u64);
