//! When the invitation to a class was sent again: one item a class, for as long as it matters.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::BatchItems;
use super::error::StoreError;
use super::item::{decode, encode};
use super::schema::{ItemKey, attr, limit};
use super::tx::{Action, Guard, number};
use crate::domain::id::SessionId;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResendLog {
    /// The times that count towards the limit.
    pub times: Vec<Timestamp>,
    /// Rises with each time, and tells them apart. None has another's, even after the item was tidied up, because a new
    /// one begins at the time itself.
    pub revision: u64,
}

impl ResendLog {
    /// With these times, the last of which is new.
    pub fn next(&self, times: Vec<Timestamp>, now: Timestamp) -> Self {
        let since = u64::try_from(now.as_millisecond()).unwrap_or_default();
        Self { times, revision: since.max(self.revision + 1) }
    }
}

/// Stores that the invitation is sent again; refused when another request was quicker.
pub fn put(session: &SessionId, next: &ResendLog, read: Option<&ResendLog>, now: Timestamp) -> Action {
    let guard = match read {
        None => Guard::new_item(),
        Some(read) => Guard::new().equals(attr::REVISION, number(read.revision)),
    };
    let mut item = encode(next);
    let ttl =
        now.saturating_add(SignedDuration::from_hours(24 * limit::RESENDS_TTL_DAYS)).unwrap_or(now);
    item.insert(attr::TTL.to_owned(), number(ttl.as_second()));
    Action::put(ItemKey::Resends(session), item, guard)
}

impl BatchItems {
    pub(crate) fn resends(&mut self, id: &SessionId) -> Result<Option<ResendLog>, StoreError> {
        self.take(ItemKey::Resends(id)).map(decode).transpose()
    }
}
