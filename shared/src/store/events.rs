//! Zoom's events as they were received: one item each, under a key made of what a redelivery has in common with the
//! first, so that a conditional write tells the two apart by itself. Everything that is shown of a class's course is
//! read back from these.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::{CommitError, StoreError};
use super::item::{decode, encode};
use super::schema::{EVENT_PREFIX, ItemKey, attr, limit, meeting_partition};
use super::tx::{Action, Guard, Item, number};
use super::{KeyRange, Store};
use crate::crypt::sha256_hex;
use crate::domain::id::MeetingId;
use crate::domain::time::fixed;
use crate::domain::zoom_event::{ParticipantEvent, EventPayload, ZoomEvent, as_kept, shortened};

/// Hex digits of the hash that tell one event of a moment from another: 64 bits.
const DIGEST_DIGITS: usize = 16;
/// Hex digits that stand for a Zoom user in what is kept: enough to tell the people of a meeting apart.
const PSEUDONYM_DIGITS: usize = 20;
/// What stays of a participant who is forgotten: which connection came or went, and when. All else may name the person,
/// even why they left.
const NAMELESS: [&str; 5] = ["participant_uuid", "user_id", "join_time", "leave_time", "date_time"];
/// The longest event that is kept as it came: an item has at most 400 KB.
const WHOLE_BYTES: usize = 300 * 1024;

/// Short names: a participant's event is to fit one write unit, which is 1 KB with its key.
#[derive(Serialize, Deserialize)]
struct Stored {
    at: Timestamp,
    /// The event, without what is secret in it and without the host's name at Zoom.
    raw: String,
}

/// An event, read back.
#[derive(Clone, Debug)]
pub struct StoredEvent {
    pub at: Timestamp,
    pub event: ZoomEvent,
}

/// Keeps an event; refused when it was kept before.
fn keep(event: &ZoomEvent, body: &Value, received: Timestamp) -> Action {
    let kept = as_kept(body, |id| sha256_hex(id)[..PSEUDONYM_DIGITS].to_owned());
    let digest = sha256_hex(event.natural_key(&kept));
    // An event without a time of its own cannot be found again under the time at which it came: a redelivery comes later.
    let at = event.time().unwrap_or(Timestamp::UNIX_EPOCH);
    let key = ItemKey::Event { meeting: event.meeting, at, digest: &digest[..DIGEST_DIGITS] };
    let whole = kept.to_string();
    // What nothing follows from may name people in any way: in a chat, a registration, or an event that is yet to be
    // invented. That it came is all that is ever told of it.
    let is_needless = event.payload == EventPayload::Nothing && body.is_object();
    let raw =
        if is_needless || whole.len() > WHOLE_BYTES { shortened(&kept).to_string() } else { whole };
    let ttl = received
        .saturating_add(SignedDuration::from_hours(24 * limit::EVENT_TTL_DAYS))
        .unwrap_or(received);
    let mut item = encode(&Stored { at: event.time().unwrap_or(received), raw });
    item.insert(attr::TTL.to_owned(), number(ttl.as_second()));
    Action::put(key, item, Guard::new_item())
}

impl Store {
    /// Keeps an event; `false` when it was kept before.
    pub async fn keep_event(
        &self,
        event: &ZoomEvent,
        body: &Value,
        received: Timestamp,
    ) -> Result<bool, StoreError> {
        match self.commit_one(keep(event, body, received)).await {
            Ok(()) => Ok(true),
            Err(CommitError::Refused(_)) => Ok(false),
            Err(CommitError::Store(error)) => Err(error),
        }
    }

    /// The events of a meeting of `from` and later, with those that have just been kept.
    pub async fn meeting_events_since(
        &self,
        meeting: MeetingId,
        from: Timestamp,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let range = KeyRange {
            pk: meeting_partition(Some(meeting)),
            from: Some(format!("{EVENT_PREFIX}{}", fixed(from))),
            // '~' sorts behind every time.
            to: Some(format!("{EVENT_PREFIX}~")),
            consistent: true,
            ..KeyRange::default()
        };
        Ok(self.query_all(range).await?.into_iter().filter_map(read).collect())
    }

    /// Puts `name` in the place of whatever names the people meant, in every event of a meeting; answers in how many.
    /// Events that nothing follows from, which were once kept as they came, are cut down on the way, whomever they name.
    pub async fn disguise(
        &self,
        meeting: MeetingId,
        name: &str,
        is_meant: impl Fn(&ParticipantEvent) -> bool,
    ) -> Result<usize, StoreError> {
        let range = KeyRange {
            pk: meeting_partition(Some(meeting)),
            prefix: Some(EVENT_PREFIX.to_owned()),
            ..KeyRange::default()
        };
        let rewritten: Vec<_> = self
            .query_all(range)
            .await?
            .iter()
            .filter_map(|item| {
                let rewritten = disguised(item, name, &is_meant)?;
                let (at, digest) =
                    item.get(attr::SK)?.as_s().ok()?.strip_prefix(EVENT_PREFIX)?.split_once('#')?;
                let key = ItemKey::Event { meeting: Some(meeting), at: at.parse().ok()?, digest };
                Some(Action::put(key, rewritten, Guard::new()))
            })
            .collect();
        let count = rewritten.len();
        self.write_all(rewritten).await?;
        Ok(count)
    }

    /// Every event of a meeting that is still kept, by its own time, oldest first.
    pub async fn meeting_events(&self, meeting: MeetingId) -> Result<Vec<StoredEvent>, StoreError> {
        let range = KeyRange {
            pk: meeting_partition(Some(meeting)),
            prefix: Some(EVENT_PREFIX.to_owned()),
            ..KeyRange::default()
        };
        Ok(self.query_all(range).await?.into_iter().filter_map(read).collect())
    }
}

/// An event's item with `name` in the place of whatever names its participant; `None` when nothing is to be changed.
fn disguised(item: &Item, name: &str, is_meant: &impl Fn(&ParticipantEvent) -> bool) -> Option<Item> {
    let stored: Stored = decode(item.clone()).ok()?;
    let mut body: Value = serde_json::from_str(&stored.raw).ok()?;
    match ZoomEvent::read(&body)?.payload {
        EventPayload::Joined(presence) | EventPayload::Left(presence) if is_meant(&presence) => {
            let participant = body["payload"]["object"]["participant"].as_object_mut()?;
            participant.retain(|field, _| NAMELESS.contains(&field.as_str()));
            participant.insert("user_name".to_owned(), Value::from(name));
        }
        EventPayload::Nothing => {
            let short = shortened(&body);
            if short == body {
                return None;
            }
            body = short;
        }
        _ => return None,
    }
    let mut rewritten = encode(&Stored { raw: body.to_string(), ..stored });
    let kept = [attr::PK, attr::SK, attr::TTL].into_iter();
    rewritten.extend(kept.filter_map(|name| Some((name.to_owned(), item.get(name)?.clone()))));
    Some(rewritten)
}

/// An item as an event. One that cannot be read is passed over, with a line in the log.
pub(super) fn read(item: Item) -> Option<StoredEvent> {
    let stored: Stored = decode(item)
        .inspect_err(|error| tracing::error!(event = "store.corrupt_item", %error))
        .ok()?;
    let body: Value = serde_json::from_str(&stored.raw).ok()?;
    Some(StoredEvent { at: stored.at, event: ZoomEvent::read(&body)? })
}
