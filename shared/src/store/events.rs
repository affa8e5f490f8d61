//! Received Zoom events, one item each. The key consists of the fields that a redelivery shares with the first delivery,
//! so that a conditional write detects duplicates.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::{CommitError, StoreError};
use super::item::{decode, encode, encode_value, key_for_log, unreadable};
use super::schema::{
    ERASURE_MARKER_PREFIX, EVENT_PREFIX, ItemKey, ZOOM_REPORT_PREFIX, attr, limit,
    meeting_partition,
};
use super::tx::{Action, Condition, Item, number};
use super::{KeyRange, Store};
use crate::domain::attendance::ErasureMarker;
use crate::domain::digest::Digest;
use crate::domain::id::MeetingId;
use crate::domain::id::zoom_user_pseudonym;
use crate::domain::time::sortable_text;
use crate::domain::zoom_event::{
    EventPayload, ParticipantEvent, ZoomEvent, header_only, redact, shorten,
};

/// Hex digits of the hash that distinguishes events of the same time: 64 bits.
const DIGEST_DIGITS: usize = 16;
/// The fields of an erased participant that are kept: the connection and the time. Other fields may identify the person,
/// even the leave reason.
const ANONYMOUS_FIELDS: [&str; 5] =
    ["participant_uuid", "user_id", "join_time", "leave_time", "date_time"];
/// The longest event that is stored with all its fields. An item has at most 400 KB.
const FULL_EVENT_LIMIT_BYTES: usize = 300 * 1024;

/// Names are short, so that a participant event fits into one write unit of 1 KB including its key.
#[derive(Serialize, Deserialize)]
struct StoredZoomEvent {
    at: Timestamp,
    /// The event without secrets and without the host's name.
    raw: String,
}

/// A stored event with its time.
#[derive(Clone, Debug)]
pub struct StoredEvent {
    pub at: Timestamp,
    pub event: ZoomEvent,
}

/// A stored event with its body: without secrets, and without the host's name.
#[derive(Clone, Debug)]
pub struct LoggedEvent {
    pub stored: StoredEvent,
    pub body: Value,
}

/// Removes the identity of the participant from the body of an event, and sets the name if one is given. Returns `None` if
/// the event has no participant.
pub fn hide_participant(body: &mut Value, name: Option<&str>) -> Option<()> {
    let participant = body.pointer_mut("/payload/object/participant")?.as_object_mut()?;
    participant.retain(|field, _| ANONYMOUS_FIELDS.contains(&field.as_str()));
    if let Some(name) = name {
        participant.insert("user_name".to_owned(), Value::from(name));
    }
    Some(())
}

/// The items of a meeting: its events, the markers of people who were erased from it, and Zoom's lists of participants.
#[derive(Debug)]
pub struct MeetingItems(Vec<Item>);

fn has_prefix(item: &Item, prefix: &str) -> bool {
    let key = item.get(attr::SK).and_then(|sk| sk.as_s().ok());
    key.is_some_and(|key| key.starts_with(prefix))
}

impl MeetingItems {
    fn with_prefix(&self, prefix: &'static str) -> impl Iterator<Item = &Item> {
        self.0.iter().filter(move |item| has_prefix(item, prefix))
    }

    fn event_items(&self) -> impl Iterator<Item = &Item> {
        self.0.iter().filter(|item| {
            !has_prefix(item, ERASURE_MARKER_PREFIX) && !has_prefix(item, ZOOM_REPORT_PREFIX)
        })
    }

    pub(super) fn zoom_report_parts(&self) -> impl Iterator<Item = &Item> {
        self.with_prefix(ZOOM_REPORT_PREFIX)
    }

    /// Returns the stored events, oldest first.
    pub fn events(&self) -> Vec<StoredEvent> {
        self.event_items().cloned().filter_map(decode_event).collect()
    }

    pub fn markers(&self) -> Result<Vec<ErasureMarker>, StoreError> {
        self.with_prefix(ERASURE_MARKER_PREFIX).cloned().map(decode).collect()
    }
}

/// Stores the marker of an erased person until the events of the meeting, which are kept for `event_ttl`, have expired.
/// `complete_at` is the time at which no more events are expected.
pub fn put_erasure_marker(
    meeting: MeetingId,
    marker: &ErasureMarker,
    complete_at: Timestamp,
    event_ttl: SignedDuration,
) -> Action {
    let mut item = encode(marker);
    let extra = SignedDuration::from_hours(24 * limit::ERASURE_MARKER_EXTRA_DAYS);
    let life = event_ttl.saturating_add(extra);
    let ttl = complete_at.max(marker.erased_at).saturating_add(life).unwrap_or(complete_at);
    item.insert(attr::TTL.to_owned(), number(ttl.as_second()));
    Action::put(ItemKey::ErasureMarker { meeting, person: &marker.person }, item, Condition::new())
}

/// Stores a marker with more identities in place of the one that was read. Refused if it has changed since.
pub fn extend_marker(
    meeting: MeetingId,
    read: &ErasureMarker,
    next: &ErasureMarker,
    complete_at: Timestamp,
    event_ttl: SignedDuration,
) -> Action {
    let condition = Condition::new()
        .equals(attr::ERASED_AT, encode_value(&read.erased_at))
        .equals(attr::IDENTITIES, encode_value(&read.identities));
    Action { condition, ..put_erasure_marker(meeting, next, complete_at, event_ttl) }
}

/// Stores an event for the time `ttl`. Refused if it is a duplicate.
fn put_event(event: &ZoomEvent, body: &Value, received: Timestamp, ttl: SignedDuration) -> Action {
    let redacted = redact(body, zoom_user_pseudonym);
    let digest = Digest::of_value(event.deduplication_key(&redacted)).hex(DIGEST_DIGITS);
    // Without its own time an event gets a constant one, because a redelivery arrives later but needs the same key.
    let at = event.occurred_at().unwrap_or(Timestamp::UNIX_EPOCH);
    let key = ItemKey::Event { meeting: event.meeting, at, digest: &digest };
    let mut short = redacted.clone();
    shorten(&mut short);
    let full = short.to_string();
    // An event without effect may identify people in unknown fields, such as a chat message or a registration. Only its
    // receipt is shown, so it is shortened.
    let has_no_effect = event.payload == EventPayload::Ignored && body.is_object();
    let raw = if has_no_effect || full.len() > FULL_EVENT_LIMIT_BYTES {
        header_only(&short).to_string()
    } else {
        full
    };
    let ttl = received.saturating_add(ttl).unwrap_or(received);
    let mut item = encode(&StoredZoomEvent { at: event.occurred_at().unwrap_or(received), raw });
    item.insert(attr::TTL.to_owned(), number(ttl.as_second()));
    Action::put(key, item, Condition::item_absent())
}

impl Store {
    /// Stores an event. Returns `false` if it is a duplicate.
    pub async fn store_event(
        &self,
        event: &ZoomEvent,
        body: &Value,
        received: Timestamp,
    ) -> Result<bool, StoreError> {
        match self.commit_one(put_event(event, body, received, self.event_ttl())).await {
            Ok(()) => Ok(true),
            Err(CommitError::Refused(_)) => Ok(false),
            Err(CommitError::Store(error)) => Err(error),
        }
    }

    /// Returns the events of a meeting since `from` with strong consistency.
    pub async fn meeting_events_since(
        &self,
        meeting: MeetingId,
        from: Timestamp,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let range = KeyRange {
            pk: meeting_partition(Some(meeting)),
            from: Some(format!("{EVENT_PREFIX}{}", sortable_text(from))),
            // '~' sorts after every time.
            to: Some(format!("{EVENT_PREFIX}~")),
            consistent: true,
            ..KeyRange::default()
        };
        Ok(self.query_all(range).await?.into_iter().filter_map(decode_event).collect())
    }

    /// Replaces the identity of matching participants by `name` in every event and list of a meeting. `is_match` gets the
    /// uuid of the meeting instance and the participant. It also shortens events without effect that earlier versions
    /// stored in full. Returns the number of changed items.
    pub async fn anonymize_participants(
        &self,
        meeting: MeetingId,
        items: &MeetingItems,
        name: &str,
        is_match: impl Fn(&str, &ParticipantEvent) -> bool,
    ) -> Result<usize, StoreError> {
        let rewritten: Vec<_> = items
            .event_items()
            .filter_map(|item| {
                let rewritten = anonymized(item, name, &is_match)?;
                let (at, digest) =
                    item.get(attr::SK)?.as_s().ok()?.strip_prefix(EVENT_PREFIX)?.split_once('#')?;
                let key = ItemKey::Event { meeting: Some(meeting), at: at.parse().ok()?, digest };
                Some(Action::put(key, rewritten, Condition::new()))
            })
            .collect();
        let count = rewritten.len();
        self.write_all(rewritten).await?;
        Ok(count + self.anonymize_zoom_reports(meeting, items, is_match).await?)
    }

    /// Returns the stored events of a meeting, oldest first.
    pub async fn meeting_events(&self, meeting: MeetingId) -> Result<Vec<StoredEvent>, StoreError> {
        Ok(self.meeting_items(meeting).await?.events())
    }

    /// Returns the events of a meeting, the markers of erased people and Zoom's lists of participants, in one query.
    pub async fn meeting_items(&self, meeting: MeetingId) -> Result<MeetingItems, StoreError> {
        let range = KeyRange {
            pk: meeting_partition(Some(meeting)),
            prefix: Some(EVENT_PREFIX.to_owned()),
            ..KeyRange::default()
        };
        Ok(MeetingItems(self.query_all(range).await?))
    }

    /// Returns the markers of the people who were erased from a meeting.
    pub async fn erasure_markers(
        &self,
        meeting: MeetingId,
    ) -> Result<Vec<ErasureMarker>, StoreError> {
        let range = KeyRange {
            pk: meeting_partition(Some(meeting)),
            prefix: Some(ERASURE_MARKER_PREFIX.to_owned()),
            ..KeyRange::default()
        };
        self.query_all(range).await?.into_iter().map(decode).collect()
    }
}

/// Returns the item with the identity of its participant replaced by `name`, or `None` if nothing changes.
fn anonymized(
    item: &Item,
    name: &str,
    is_match: &impl Fn(&str, &ParticipantEvent) -> bool,
) -> Option<Item> {
    let stored: StoredZoomEvent = decode(item.clone()).ok()?;
    let mut body: Value = serde_json::from_str(&stored.raw).ok()?;
    let event = ZoomEvent::parse(&body)?;
    let instance = event.uuid.unwrap_or_default();
    match event.payload {
        EventPayload::Joined(presence) | EventPayload::Left(presence)
            if is_match(&instance, &presence) =>
        {
            hide_participant(&mut body, Some(name))?;
        }
        EventPayload::Ignored => {
            let short = header_only(&body);
            if short == body {
                return None;
            }
            body = short;
        }
        _ => return None,
    }
    let raw = body.to_string();
    if raw == stored.raw {
        return None;
    }
    let mut rewritten = encode(&StoredZoomEvent { raw, ..stored });
    let copied = [attr::PK, attr::SK, attr::TTL].into_iter();
    rewritten.extend(copied.filter_map(|name| Some((name.to_owned(), item.get(name)?.clone()))));
    Some(rewritten)
}

/// Decodes an event. Leaves out an unreadable one.
pub(super) fn decode_event(item: Item) -> Option<StoredEvent> {
    decode_logged_event(item).map(|logged| logged.stored)
}

/// Decodes an event with its body. Leaves out an unreadable one.
pub(super) fn decode_logged_event(item: Item) -> Option<LoggedEvent> {
    let key = key_for_log(&item);
    let stored: StoredZoomEvent = decode(item).ok()?;
    let parsed = serde_json::from_str(&stored.raw)
        .ok()
        .and_then(|body: Value| Some((ZoomEvent::parse(&body)?, body)));
    let Some((event, body)) = parsed else {
        unreadable(key, "the event cannot be parsed");
        return None;
    };
    Some(LoggedEvent { stored: StoredEvent { at: stored.at, event }, body })
}
