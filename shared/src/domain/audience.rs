//! The audience of a session.

use super::id::CourseId;
use super::text::{Email, PersonName, Title};

/// The maximum number of invitees of one session.
pub const INVITEE_LIMIT: usize = 1000;

/// An invited email address, of a user of the platform or an outside guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitee {
    pub email: Email,
    pub name: Option<PersonName>,
}

/// The audience that a trainer requested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AudienceDraft {
    /// Nobody but the trainer. The trainer shares the link in person.
    Standalone,
    /// Every student with access to the course.
    Course(CourseId),
    /// The invited addresses, without duplicates.
    Invitees(Vec<Invitee>),
}

/// The stored audience of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience {
    Standalone,
    Course {
        id: CourseId,
        /// The course's title at the time of the last save.
        title: Title,
    },
    Invitees {
        /// The list in force; see [`InviteeList`].
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

    pub fn invitee_list(&self) -> Option<InviteeList> {
        match self {
            Self::Invitees { list, .. } => Some(*list),
            _ => None,
        }
    }
}

/// The `audience_type` of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AudienceKind {
    Standalone,
    Course,
    Invitees,
}

/// The random number of one stored version of an invitee list. A list that is too long for one transaction is written
/// first and takes effect when the session refers to it. The number is random because a derived one would mix the
/// addresses of a failed attempt into the list of the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct InviteeList(pub u64);
