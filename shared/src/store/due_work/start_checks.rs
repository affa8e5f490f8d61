//! Start checks: due work that looks whether Zoom has sent an event of a session that should have started.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{due_ttl, encode_start_check};
use crate::domain::id::SessionId;
use crate::store::schema::{DueQueue, ItemKey};
use crate::store::tx::{Action, Condition};

#[derive(Serialize, Deserialize)]
pub(super) struct StoredStartCheck {
    session_id: SessionId,
    due_at: Timestamp,
    #[serde(rename = "expires_at")]
    ttl: i64,
}

/// A check whether a session has started, some time after its planned start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartCheck {
    pub session: SessionId,
    pub due_at: Timestamp,
}

impl StartCheck {
    /// Schedules the check.
    pub fn put(&self) -> Action {
        let stored = StoredStartCheck {
            session_id: self.session.clone(),
            due_at: self.due_at,
            ttl: due_ttl(self.due_at),
        };
        let key = self.key();
        let key = ItemKey::Due { queue: DueQueue::Work, at: self.due_at, key: &key };
        Action::put(key, encode_start_check(stored), Condition::new())
    }

    pub fn delete(&self) -> Action {
        let key = self.key();
        let key = ItemKey::Due { queue: DueQueue::Work, at: self.due_at, key: &key };
        Action::delete(key, Condition::new())
    }

    fn key(&self) -> String {
        format!("{}#start_check", self.session)
    }
}

impl From<StoredStartCheck> for StartCheck {
    fn from(stored: StoredStartCheck) -> Self {
        Self { session: stored.session_id, due_at: stored.due_at }
    }
}
