//! Resend times: one item per session with the recent resends of its invitations.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::BatchItems;
use super::error::StoreError;
use super::item::{decode, encode};
use super::schema::{ItemKey, attr, limit};
use super::tx::{Action, Condition, number};
use crate::domain::id::SessionId;
use crate::domain::resend::PastResend;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResendLog {
    /// The times that count towards the limit.
    pub times: Vec<Timestamp>,
    /// Increases with each resend and identifies it. A new item starts at the current time in milliseconds, so that a
    /// revision is never reused after the old item expired.
    pub revision: u64,
    /// The requests of which repetitions are recognized.
    #[serde(default)]
    pub requests: Vec<PastResend>,
}

impl ResendLog {
    /// Returns the next log, with `times` and `requests` including the new one.
    pub fn next(&self, times: Vec<Timestamp>, requests: Vec<PastResend>, now: Timestamp) -> Self {
        let start = u64::try_from(now.as_millisecond()).unwrap_or_default();
        Self { times, revision: start.max(self.revision + 1), requests }
    }
}

/// Records a resend. Refused if another request was faster.
pub fn put(
    session: &SessionId,
    next: &ResendLog,
    previous: Option<&ResendLog>,
    now: Timestamp,
) -> Action {
    let condition = match previous {
        None => Condition::item_absent(),
        Some(previous) => Condition::new().equals(attr::REVISION, number(previous.revision)),
    };
    let mut item = encode(next);
    let ttl =
        now.saturating_add(SignedDuration::from_hours(24 * limit::RESENDS_TTL_DAYS)).unwrap_or(now);
    item.insert(attr::TTL.to_owned(), number(ttl.as_second()));
    Action::put(ItemKey::Resends(session), item, condition)
}

impl BatchItems {
    pub(crate) fn resends(&mut self, id: &SessionId) -> Result<Option<ResendLog>, StoreError> {
        self.take(ItemKey::Resends(id)).map(decode).transpose()
    }
}
