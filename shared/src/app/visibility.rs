//! The item that proves that a person is invited to a session, and a memory that saves the sequential read before it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::attempt_days::AttemptDays;
use crate::domain::audience::{Audience, InviteeList};
use crate::domain::caller::Caller;
use crate::domain::id::{CourseId, MeetingId, SessionId, UserId};
use crate::domain::session::Session;
use crate::domain::text::Email;
use crate::store::BatchItems;
use crate::store::error::StoreError;
use crate::store::schema::ItemKey;

/// Sessions in the memory. Few are joined at a time, and each takes some hundred bytes.
const MEMORY_LIMIT: usize = 256;

/// The item that proves that a caller is invited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum VisibilitySource {
    Course(CourseId),
    List(InviteeList, Email),
}

impl VisibilitySource {
    /// Returns `None` if no item can prove it: the session has no audience, or the caller has no verified address.
    pub(super) fn new(caller: &Caller, audience: &Audience) -> Option<Self> {
        match audience {
            Audience::Standalone => None,
            Audience::Course { id, .. } => Some(Self::Course(id.clone())),
            Audience::Invitees { list, .. } => {
                caller.verified_email.clone().map(|email| Self::List(*list, email))
            }
        }
    }

    pub(super) fn key<'a>(&'a self, session: &'a SessionId, caller: &'a Caller) -> ItemKey<'a> {
        match self {
            Self::Course(course) => ItemKey::Enrollment { user: &caller.id, course },
            Self::List(list, email) => ItemKey::Invitee { session, list: *list, email },
        }
    }

    /// Returns whether the item was read and grants access.
    pub(super) fn is_granted(
        &self,
        found: &mut BatchItems,
        session: &SessionId,
        caller: &Caller,
    ) -> Result<bool, StoreError> {
        match self {
            Self::Course(course) => Ok(found
                .enrollment(&caller.id, course)?
                .is_some_and(|enrollment| enrollment.access_granted)),
            Self::List(..) => Ok(found.take(self.key(session, caller)).is_some()),
        }
    }
}

/// The properties of a session that decide which items are read together with it.
#[derive(Debug)]
struct SessionHints {
    trainer: UserId,
    audience: Audience,
    /// The meeting, if people register for it.
    registered_meeting: Option<MeetingId>,
}

/// The trainers and audiences of the sessions that a function instance read last. They decide only which items are read
/// together with the session. All data for a decision is read anew.
#[derive(Debug, Default)]
pub struct AudienceMemory {
    sessions: Mutex<BTreeMap<SessionId, SessionHints>>,
    pub(super) attempt_days: AttemptDays,
}

impl AudienceMemory {
    /// Returns the item that will probably be needed. The trainer needs none.
    pub(super) fn expected_source(
        &self,
        id: &SessionId,
        caller: &Caller,
    ) -> Option<VisibilitySource> {
        let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let SessionHints { trainer, audience, .. } = sessions.get(id)?;
        if *trainer == caller.id { None } else { VisibilitySource::new(caller, audience) }
    }

    /// Returns the meeting for which the caller has probably registered. The trainer does not register.
    pub(super) fn expected_registration(
        &self,
        id: &SessionId,
        caller: &Caller,
    ) -> Option<MeetingId> {
        let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let remembered = sessions.get(id).filter(|session| session.trainer != caller.id)?;
        remembered.registered_meeting
    }

    /// Returns the invitee list that the session had.
    pub(super) fn expected_list(&self, id: &SessionId) -> Option<InviteeList> {
        let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.get(id).and_then(|session| session.audience.invitee_list())
    }

    pub(super) fn remember(&self, session: &Session) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        if sessions.len() >= MEMORY_LIMIT && !sessions.contains_key(&session.id) {
            sessions.clear();
        }
        let value = SessionHints {
            trainer: session.trainer.clone(),
            audience: session.audience.clone(),
            registered_meeting: session.meeting.id.filter(|_| session.meeting.has_registration),
        };
        sessions.insert(session.id.clone(), value);
    }
}
