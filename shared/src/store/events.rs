//! Zoom's events as they were received: one item each, under a key made of what a redelivery has in common with the
//! first, so that a conditional write tells the two apart by itself. Everything that is shown of a class's course is
//! read back from these.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::{CommitError, StoreError};
use super::item::{decode, encode};
use super::schema::{EVENT_PREFIX, Key, attr, limit, meeting_partition};
use super::tx::{Action, Guard, number};
use super::{Range, Store};
use crate::crypt::sha256_hex;
use crate::domain::id::MeetingId;
use crate::domain::zoom_event::{ZoomEvent, without_secrets};

/// Hex digits of the hash that tell one event of a moment from another: 64 bits.
const DIGEST_DIGITS: usize = 16;

/// Short names: a participant's event is to fit one write unit, which is 1 KB with its key.
#[derive(Serialize, Deserialize)]
struct Stored {
    at: Timestamp,
    /// The event, as it came, or without what was secret in it.
    raw: String,
}

/// An event, read back.
#[derive(Clone, Debug)]
pub struct Kept {
    pub at: Timestamp,
    pub event: ZoomEvent,
}

/// Keeps an event; refused when it was kept before.
fn keep(event: &ZoomEvent, body: &Value, raw: &str, received: Timestamp) -> Action {
    let at = event.time(received);
    let digest = sha256_hex(event.natural_key(body));
    let key = Key::Event { meeting: event.meeting, at, digest: &digest[..DIGEST_DIGITS] };
    let raw = without_secrets(body).map_or_else(|| raw.to_owned(), |kept| kept.to_string());
    let ttl = received
        .saturating_add(SignedDuration::from_hours(24 * limit::EVENT_TTL_DAYS))
        .unwrap_or(received);
    let mut item = encode(&Stored { at, raw });
    item.insert(attr::TTL.to_owned(), number(ttl.as_second()));
    Action::put(key, item, Guard::new_item())
}

impl Store {
    /// Keeps an event; `false` when it was kept before.
    pub async fn keep_event(
        &self,
        event: &ZoomEvent,
        body: &Value,
        raw: &str,
        received: Timestamp,
    ) -> Result<bool, StoreError> {
        match self.commit_one(keep(event, body, raw, received)).await {
            Ok(()) => Ok(true),
            Err(CommitError::Refused(_)) => Ok(false),
            Err(CommitError::Store(error)) => Err(error),
        }
    }

    /// Every event of a meeting that is still kept, by its own time, oldest first.
    pub async fn meeting_events(&self, meeting: MeetingId) -> Result<Vec<Kept>, StoreError> {
        let range = Range {
            pk: meeting_partition(Some(meeting)),
            prefix: Some(EVENT_PREFIX.to_owned()),
            ..Range::default()
        };
        Ok(self.query_all(range).await?.into_iter().filter_map(read).collect())
    }
}

/// An item as an event. One that cannot be read is passed over, with a line in the log.
pub(super) fn read(item: super::tx::Item) -> Option<Kept> {
    let stored: Stored = decode(item)
        .inspect_err(|error| tracing::error!(event = "store.corrupt_item", %error))
        .ok()?;
    let body: Value = serde_json::from_str(&stored.raw).ok()?;
    Some(Kept { at: stored.at, event: ZoomEvent::read(&body)? })
}
