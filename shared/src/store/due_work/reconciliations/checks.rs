//! The checks in the queue besides those of sessions: grants, hosts and meetings of cancelled sessions.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::StoredReconciliation;
use crate::domain::digest::Digest;
use crate::domain::hosting::{MeetingHost, PlatformUser};
use crate::domain::id::{SessionId, UserId};
use crate::domain::meeting_checks;
use crate::domain::session::Session;
use crate::domain::zoom_connection::ZoomConnection;
use crate::store::due_work::due_ttl;
use crate::store::item::encode;
use crate::store::schema::{DueQueue, ItemKey};
use crate::store::tx::{Action, Condition};

#[derive(Serialize, Deserialize)]
pub(super) struct StoredGrantCheck {
    trainer_id: UserId,
    due_at: Timestamp,
    #[serde(rename = "expires_at")]
    ttl: i64,
}

/// A check whether a trainer's grant was used lately. Zoom ends an unused one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantCheck {
    pub trainer: UserId,
    pub due_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
pub(super) struct StoredHostCheck {
    trainer_id: UserId,
    due_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    zoom_host: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    platform_user: Option<PlatformUser>,
    #[serde(default)]
    failures: u32,
    #[serde(rename = "expires_at")]
    ttl: i64,
}

/// A check of a host's meetings at Zoom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostCheck {
    pub trainer: UserId,
    pub host: MeetingHost,
    pub due_at: Timestamp,
    pub failures: u32,
}

#[derive(Serialize, Deserialize)]
pub(super) struct StoredCancelledMeeting {
    session_id: SessionId,
    due_at: Timestamp,
    #[serde(default)]
    failures: u32,
    #[serde(rename = "expires_at")]
    ttl: i64,
}

/// A check whether the meeting of a cancelled session is gone at Zoom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CancelledMeeting {
    pub session: SessionId,
    pub due_at: Timestamp,
    pub failures: u32,
}

fn put(at: Timestamp, key: &str, stored: StoredReconciliation) -> Action {
    Action::put(key_at(at, key), encode(&stored), Condition::new())
}

fn delete(at: Timestamp, key: &str) -> Action {
    Action::delete(key_at(at, key), Condition::new())
}

fn key_at(at: Timestamp, key: &str) -> ItemKey<'_> {
    ItemKey::Due { queue: DueQueue::Reconcile, at, key }
}

impl GrantCheck {
    /// Returns the check of a connection, if it has one.
    pub fn of_connection(connection: &ZoomConnection) -> Option<Self> {
        let due_at = connection.grant_check_at?;
        Some(Self { trainer: connection.trainer.clone(), due_at })
    }

    pub fn put(&self) -> Action {
        let stored = StoredGrantCheck {
            trainer_id: self.trainer.clone(),
            due_at: self.due_at,
            ttl: due_ttl(self.due_at),
        };
        put(self.due_at, &self.key(), StoredReconciliation::Grant(stored))
    }

    pub fn delete(&self) -> Action {
        delete(self.due_at, &self.key())
    }

    pub(super) fn position(&self) -> String {
        key_at(self.due_at, &self.key()).sk()
    }

    fn key(&self) -> String {
        format!("grant#{}", Digest::of_value(self.trainer.as_str()).to_hex())
    }
}

impl HostCheck {
    /// Returns the check of a session's host on the day after `now`. All sessions of a host and a day share it.
    pub fn next_day(session: &Session, now: Timestamp) -> Self {
        let trainer = session.trainer.clone();
        let host = session.meeting.host();
        let due_at = meeting_checks::host_check_at(&host_key(&trainer, &host), now);
        Self { trainer, host, due_at, failures: 0 }
    }

    pub fn put(&self) -> Action {
        let (zoom_host, platform_user) = match &self.host {
            MeetingHost::Trainer { pseudonym } => (pseudonym.clone(), None),
            MeetingHost::Platform(user) => (None, Some(user.clone())),
        };
        let stored = StoredHostCheck {
            trainer_id: self.trainer.clone(),
            due_at: self.due_at,
            zoom_host,
            platform_user,
            failures: self.failures,
            ttl: due_ttl(self.due_at),
        };
        put(self.due_at, &self.key(), StoredReconciliation::Host(stored))
    }

    pub fn delete(&self) -> Action {
        delete(self.due_at, &self.key())
    }

    pub(super) fn position(&self) -> String {
        key_at(self.due_at, &self.key()).sk()
    }

    /// Returns the writes that postpone the check.
    pub fn move_to(&self, due_at: Timestamp) -> Vec<Action> {
        let next = Self { due_at, failures: self.failures + 1, ..self.clone() };
        vec![next.put(), self.delete()]
    }

    fn key(&self) -> String {
        host_key(&self.trainer, &self.host)
    }
}

/// Returns the key of a host. It contains no id, because it outlives an erasure by a day.
fn host_key(trainer: &UserId, host: &MeetingHost) -> String {
    let host = match host {
        MeetingHost::Platform(user) => user.id.as_str(),
        MeetingHost::Trainer { pseudonym } => pseudonym.as_deref().unwrap_or(trainer.as_str()),
    };
    format!("host#{}", Digest::of_value(host).to_hex())
}

impl CancelledMeeting {
    /// Returns the check of a session that is cancelled at `now`. `None` without a meeting at Zoom.
    pub fn of_session(session: &Session, now: Timestamp) -> Option<Self> {
        session.meeting.id?;
        let due_at = meeting_checks::cancelled_check_at(session.details.starts_at, now);
        Some(Self { session: session.id.clone(), due_at, failures: 0 })
    }

    pub fn put(&self) -> Action {
        let stored = StoredCancelledMeeting {
            session_id: self.session.clone(),
            due_at: self.due_at,
            failures: self.failures,
            ttl: due_ttl(self.due_at),
        };
        put(self.due_at, &self.key(), StoredReconciliation::CancelledMeeting(stored))
    }

    pub fn delete(&self) -> Action {
        delete(self.due_at, &self.key())
    }

    pub(super) fn position(&self) -> String {
        key_at(self.due_at, &self.key()).sk()
    }

    /// Returns the writes that postpone the check.
    pub fn move_to(&self, due_at: Timestamp) -> Vec<Action> {
        let next = Self { due_at, failures: self.failures + 1, ..self.clone() };
        vec![next.put(), self.delete()]
    }

    fn key(&self) -> String {
        format!("{}#cancelled", self.session)
    }
}

impl From<StoredGrantCheck> for GrantCheck {
    fn from(stored: StoredGrantCheck) -> Self {
        Self { trainer: stored.trainer_id, due_at: stored.due_at }
    }
}

impl From<StoredHostCheck> for HostCheck {
    fn from(stored: StoredHostCheck) -> Self {
        let host = match stored.platform_user {
            Some(user) => MeetingHost::Platform(user),
            None => MeetingHost::Trainer { pseudonym: stored.zoom_host },
        };
        Self { trainer: stored.trainer_id, host, due_at: stored.due_at, failures: stored.failures }
    }
}

impl From<StoredCancelledMeeting> for CancelledMeeting {
    fn from(stored: StoredCancelledMeeting) -> Self {
        Self { session: stored.session_id, due_at: stored.due_at, failures: stored.failures }
    }
}
