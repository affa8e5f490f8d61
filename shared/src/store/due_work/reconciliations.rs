//! The queue of comparisons with Zoom. Each session has one entry from its start reminder on, until a month after its end.
//! Grants, hosts and meetings of cancelled sessions have checks of their own.

mod checks;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::checks::{CancelledMeeting, GrantCheck, HostCheck};
use self::checks::{StoredCancelledMeeting, StoredGrantCheck, StoredHostCheck};
use super::due_ttl;
use crate::domain::id::SessionId;
use crate::domain::reconciliation::{ReconcileProgress, first_look};
use crate::domain::session::{Provider, Session};
use crate::domain::time::sortable_text;
use crate::store::error::StoreError;
use crate::store::item::{decode_readable, encode};
use crate::store::schema::{DueQueue, ItemKey, attr, due_partition};
use crate::store::tx::{Action, Condition};
use crate::store::{KeyRange, Store};

/// The entries that a run reads: more than it has time for, 30 KB.
const QUEUE_PAGE: i32 = 100;

/// An entry as stored.
#[derive(Serialize, Deserialize)]
#[serde(tag = "work", rename_all = "snake_case")]
enum StoredReconciliation {
    Session(StoredSessionEntry),
    Grant(StoredGrantCheck),
    Host(StoredHostCheck),
    CancelledMeeting(StoredCancelledMeeting),
}

#[derive(Serialize, Deserialize)]
struct StoredSessionEntry {
    session_id: SessionId,
    ends_at: Timestamp,
    due_at: Timestamp,
    #[serde(default)]
    progress: ReconcileProgress,
    #[serde(rename = "expires_at")]
    ttl: i64,
}

/// The entry of a session that is compared with Zoom after its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionReconciliation {
    pub session: SessionId,
    /// The planned end when the entry was stored. An entry with another end than the session is out of date.
    pub ends_at: Timestamp,
    /// The time of the next look. It is the position in the queue.
    pub due_at: Timestamp,
    pub progress: ReconcileProgress,
}

/// Due work of the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DueReconciliation {
    Session(SessionReconciliation),
    Grant(GrantCheck),
    Host(HostCheck),
    CancelledMeeting(CancelledMeeting),
}

/// A page of the queue, by the time of the next look.
#[derive(Debug, Default)]
pub struct QueuedReconciliations {
    pub entries: Vec<DueReconciliation>,
    /// The position after which the next page begins, if there may be one.
    pub next: Option<String>,
}

impl SessionReconciliation {
    /// Returns whether the entry is about the current plan of `session`.
    pub fn is_current(&self, session: &Session) -> bool {
        self.ends_at == session.planned_end()
    }

    pub fn put(&self) -> Action {
        let stored = StoredReconciliation::Session(StoredSessionEntry {
            session_id: self.session.clone(),
            ends_at: self.ends_at,
            due_at: self.due_at,
            progress: self.progress,
            ttl: due_ttl(self.due_at),
        });
        Action::put(self.key(), encode(&stored), Condition::new())
    }

    pub fn delete(&self) -> Action {
        Action::delete(self.key(), Condition::new())
    }

    /// Returns the writes that move the entry to the next look. They need no transaction: if only the new entry is stored, the
    /// old one brings another look.
    pub fn move_to(&self, due_at: Timestamp, progress: ReconcileProgress) -> Vec<Action> {
        let next = Self { due_at, progress, ..self.clone() };
        let deleted = (due_at != self.due_at).then(|| self.delete());
        [next.put()].into_iter().chain(deleted).collect()
    }

    fn key(&self) -> ItemKey<'_> {
        ItemKey::Due { queue: DueQueue::Reconcile, at: self.due_at, key: self.session.as_str() }
    }
}

impl DueReconciliation {
    /// Returns the position in the queue, from which a later read goes on.
    pub fn position(&self) -> String {
        match self {
            Self::Session(entry) => entry.key().sk(),
            Self::Grant(check) => check.position(),
            Self::Host(check) => check.position(),
            Self::CancelledMeeting(check) => check.position(),
        }
    }
}

impl From<StoredReconciliation> for DueReconciliation {
    fn from(stored: StoredReconciliation) -> Self {
        match stored {
            StoredReconciliation::Session(stored) => Self::Session(SessionReconciliation {
                session: stored.session_id,
                ends_at: stored.ends_at,
                due_at: stored.due_at,
                progress: stored.progress,
            }),
            StoredReconciliation::Grant(stored) => Self::Grant(stored.into()),
            StoredReconciliation::Host(stored) => Self::Host(stored.into()),
            StoredReconciliation::CancelledMeeting(stored) => Self::CancelledMeeting(stored.into()),
        }
    }
}

/// Schedules the first comparison of a session with Zoom. `None` if it has another provider.
pub fn put_reconciliation(session: &Session) -> Option<Action> {
    let entry = SessionReconciliation {
        session: session.id.clone(),
        ends_at: session.planned_end(),
        due_at: first_look(session),
        progress: ReconcileProgress::default(),
    };
    (session.provider == Provider::Zoom).then(|| entry.put())
}

impl Store {
    /// Returns a page of the queue after a position: the entries whose next look is due until `until`, or all. Unreadable
    /// entries are left out.
    pub async fn queued_reconciliations(
        &self,
        after: Option<&str>,
        until: Option<Timestamp>,
    ) -> Result<QueuedReconciliations, StoreError> {
        let range = KeyRange {
            pk: due_partition(DueQueue::Reconcile),
            // '!' sorts after the end of a key and before every continuation.
            from: after.map(|after| format!("{after}!")),
            // '~' sorts after the '#' that follows the time, so that an entry for exactly `until` is included.
            to: until.map(|until| format!("{}~", sortable_text(until))),
            limit: Some(QUEUE_PAGE),
            ..KeyRange::default()
        };
        let page = self.query(range).await?;
        let entries = decode_readable::<StoredReconciliation>(page.items);
        let next = page.last_key.and_then(|key| key.get(attr::SK)?.as_s().ok().cloned());
        Ok(QueuedReconciliations { entries: entries.map(DueReconciliation::from).collect(), next })
    }
}
