//! Corrections of sessions, for the timeline. They share the key range of the delegated actions, so that the timeline needs no
//! further request.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::item::encode;
use super::schema::{ItemKey, attr, limit};
use super::tx::{Action, Condition, number};
use crate::domain::correction::Correction;
use crate::domain::id::SessionId;

/// A correction as stored. Newer versions may have more words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredCorrection {
    pub at: Timestamp,
    pub corrected: String,
    pub source: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<usize>,
}

/// Stores a correction, in the transaction of the change if there is one. `nonce` differs between the corrections of one time,
/// and is equal on a retry.
pub fn put(session: &SessionId, correction: &Correction, nonce: &str) -> Action {
    let Correction { at, part, source, count } = *correction;
    let stored = StoredCorrection {
        at,
        corrected: part.as_str().to_owned(),
        source: source.as_str().to_owned(),
        count,
    };
    let mut item = encode(&stored);
    let kept = SignedDuration::from_hours(24 * limit::DELEGATED_ACTION_TTL_DAYS);
    let ttl = at.saturating_add(kept).unwrap_or(at);
    item.insert(attr::TTL.to_owned(), number(ttl.as_second()));
    Action::put(ItemKey::DelegatedAction { session, at, nonce }, item, Condition::new())
}
