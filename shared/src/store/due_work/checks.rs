//! Checks and repetitions: due work that looks for something that an event or a request did not bring.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{StoredWork, due_ttl};
use crate::domain::audience::InviteeList;
use crate::domain::id::SessionId;
use crate::store::item::encode;
use crate::store::schema::{DueQueue, ItemKey};
use crate::store::tx::{Action, Condition};

#[derive(Serialize, Deserialize)]
pub(super) struct StoredEndCheck {
    pub(super) session_id: SessionId,
    pub(super) due_at: Timestamp,
    #[serde(rename = "expires_at")]
    pub(super) ttl: i64,
}

/// A check whether a live session has ended, in case the end event is lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndCheck {
    pub session: SessionId,
    pub due_at: Timestamp,
}

impl EndCheck {
    /// Schedules the check.
    pub fn put(&self) -> Action {
        let stored = StoredWork::EndCheck(StoredEndCheck {
            session_id: self.session.clone(),
            due_at: self.due_at,
            ttl: due_ttl(self.due_at),
        });
        Action::put(
            ItemKey::Due {
                queue: DueQueue::Work,
                at: self.due_at,
                key: &end_check_key(&self.session),
            },
            encode(&stored),
            Condition::new(),
        )
    }

    pub fn delete(&self) -> Action {
        let key = end_check_key(&self.session);
        Action::delete(
            ItemKey::Due { queue: DueQueue::Work, at: self.due_at, key: &key },
            Condition::new(),
        )
    }
}

fn end_check_key(session: &SessionId) -> String {
    format!("{session}#end_check")
}

#[derive(Serialize, Deserialize)]
pub(super) struct StoredErasureCheck {
    pub(super) session_id: SessionId,
    pub(super) due_at: Timestamp,
    #[serde(rename = "expires_at")]
    pub(super) ttl: i64,
}

/// A search for late events of people who were erased from a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErasureCheck {
    pub session: SessionId,
    pub due_at: Timestamp,
}

impl ErasureCheck {
    /// Schedules the check.
    pub fn put(&self) -> Action {
        let stored = StoredWork::ErasureCheck(StoredErasureCheck {
            session_id: self.session.clone(),
            due_at: self.due_at,
            ttl: due_ttl(self.due_at),
        });
        let key = format!("{}#erasure_check", self.session);
        let key = ItemKey::Due { queue: DueQueue::Work, at: self.due_at, key: &key };
        Action::put(key, encode(&stored), Condition::new())
    }

    pub fn delete(&self) -> Action {
        let key = format!("{}#erasure_check", self.session);
        let key = ItemKey::Due { queue: DueQueue::Work, at: self.due_at, key: &key };
        Action::delete(key, Condition::new())
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct StoredDriftCheck {
    pub(super) session_id: SessionId,
    pub(super) due_at: Timestamp,
    #[serde(rename = "expires_at")]
    pub(super) ttl: i64,
}

/// A comparison of a session with Zoom's events that arrived during an edit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriftCheck {
    pub session: SessionId,
    pub due_at: Timestamp,
}

impl DriftCheck {
    /// Schedules the check.
    pub fn put(&self) -> Action {
        let stored = StoredWork::DriftCheck(StoredDriftCheck {
            session_id: self.session.clone(),
            due_at: self.due_at,
            ttl: due_ttl(self.due_at),
        });
        let key = format!("{}#drift_check", self.session);
        let key = ItemKey::Due { queue: DueQueue::Work, at: self.due_at, key: &key };
        Action::put(key, encode(&stored), Condition::new())
    }

    pub fn delete(&self) -> Action {
        let key = format!("{}#drift_check", self.session);
        let key = ItemKey::Due { queue: DueQueue::Work, at: self.due_at, key: &key };
        Action::delete(key, Condition::new())
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct StoredInviteeListCheck {
    pub(super) session_id: SessionId,
    pub(super) list: InviteeList,
    pub(super) due_at: Timestamp,
    #[serde(rename = "expires_at")]
    pub(super) ttl: i64,
}

/// A check whether an invitee list that was written ahead of its session belongs to it. The transaction that stores the
/// session deletes the check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InviteeListCheck {
    pub session: SessionId,
    pub list: InviteeList,
    pub due_at: Timestamp,
}

impl InviteeListCheck {
    /// Schedules the check.
    pub fn put(&self) -> Action {
        let stored = StoredWork::InviteeListCheck(StoredInviteeListCheck {
            session_id: self.session.clone(),
            list: self.list,
            due_at: self.due_at,
            ttl: due_ttl(self.due_at),
        });
        let key = self.key();
        let key = ItemKey::Due { queue: DueQueue::Work, at: self.due_at, key: &key };
        Action::put(key, encode(&stored), Condition::new())
    }

    pub fn delete(&self) -> Action {
        let key = self.key();
        let key = ItemKey::Due { queue: DueQueue::Work, at: self.due_at, key: &key };
        Action::delete(key, Condition::new())
    }

    fn key(&self) -> String {
        format!("{}#invitee_list#{}", self.session, self.list.0)
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct StoredZoneCheck {
    pub(super) data: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) after: Option<String>,
}

/// The progress of the check that every session ahead still starts at its local time. It is always due, so that a sweep
/// reads it without another request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneCheck {
    /// The version of the time zone data.
    pub data: String,
    /// The sort key after which the check continues. `None` after its end.
    pub after: Option<String>,
}

impl ZoneCheck {
    pub fn put(&self) -> Action {
        let stored = StoredZoneCheck { data: self.data.clone(), after: self.after.clone() };
        let key =
            ItemKey::Due { queue: DueQueue::Work, at: Timestamp::UNIX_EPOCH, key: "zone_check" };
        Action::put(key, encode(&StoredWork::ZoneCheck(stored)), Condition::new())
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct StoredDueErasure {
    pub(super) subject: String,
    pub(super) erased_at: Timestamp,
    pub(super) due_at: Timestamp,
    pub(super) look: usize,
    #[serde(rename = "expires_at")]
    pub(super) ttl: i64,
}

/// A repetition of an erasure, for data that was not visible or not yet stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueErasure {
    /// The digest of the erased person or the removed course.
    pub subject: String,
    pub erased_at: Timestamp,
    pub due_at: Timestamp,
    /// The number of earlier repetitions.
    pub look: usize,
}

impl DueErasure {
    pub fn put(&self) -> Action {
        let stored = StoredWork::Erasure(StoredDueErasure {
            subject: self.subject.clone(),
            erased_at: self.erased_at,
            due_at: self.due_at,
            look: self.look,
            ttl: due_ttl(self.due_at),
        });
        let key = format!("{}#erasure", self.subject);
        let key = ItemKey::Due { queue: DueQueue::Work, at: self.due_at, key: &key };
        Action::put(key, encode(&stored), Condition::new())
    }

    pub fn delete(&self) -> Action {
        let key = format!("{}#erasure", self.subject);
        let key = ItemKey::Due { queue: DueQueue::Work, at: self.due_at, key: &key };
        Action::delete(key, Condition::new())
    }
}
