//! Timeline queries: join attempts and events of a session, newest first.

use jiff::Timestamp;
use serde::Deserialize;

use super::corrections::StoredCorrection;
use super::delegated_actions::DelegatedAction;
use super::error::StoreError;
use super::events::{LoggedEvent, StoredEvent, decode_logged_event};
use super::item::decode;
use super::join_attempts::JoinAttempt;
use super::recording_views::WatchClick;
use super::schema::{
    DELEGATED_ACTION_PREFIX, EVENT_PREFIX, JOIN_ATTEMPT_PREFIX, attr, meeting_partition,
    session_partition,
};
use super::tx::Item;
use super::{KeyRange, Store};
use crate::domain::id::{MeetingId, SessionId};
use crate::domain::time::sortable_text;

/// A position in a timeline: the time, and the rest of the sort key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimelineCursor {
    pub at: Timestamp,
    pub tail: String,
}

impl TimelineCursor {
    /// Parses a sort key: the prefix, the time, and a suffix that is unique within that time.
    pub(super) fn from_item(item: &Item, prefix: &str) -> Option<Self> {
        let key = item.get(attr::SK)?.as_s().ok()?.strip_prefix(prefix)?;
        let (at, tail) = key.split_once('#')?;
        Some(Self { at: at.parse().ok()?, tail: tail.to_owned() })
    }
}

/// The part of a timeline that is read: newest first, and before a cursor.
#[derive(Clone, Copy, Debug, Default)]
pub struct TimelineRange<'a> {
    pub before: Option<&'a TimelineCursor>,
    /// The earliest time, inclusive.
    pub from: Option<Timestamp>,
    /// The latest time, exclusive.
    pub to: Option<Timestamp>,
    pub limit: usize,
}

/// A change that no event shows, or a click to watch a recording.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum LoggedChange {
    Delegated(DelegatedAction),
    Correction(StoredCorrection),
    Viewed(WatchClick),
}

/// A part of the events of a meeting.
#[derive(Debug)]
pub struct LoggedEvents {
    pub events: Vec<(TimelineCursor, LoggedEvent)>,
    /// The last position that was read, if there may be more.
    pub last: Option<TimelineCursor>,
}

impl Store {
    /// Returns the newest join attempts of a session in a range.
    pub async fn join_attempts_in(
        &self,
        session: &SessionId,
        range: TimelineRange<'_>,
    ) -> Result<Vec<(TimelineCursor, JoinAttempt)>, StoreError> {
        let items = self.newest_in(session_partition(session), JOIN_ATTEMPT_PREFIX, range).await?;
        let decode = |item| {
            Some((TimelineCursor::from_item(&item, JOIN_ATTEMPT_PREFIX)?, decode(item).ok()?))
        };
        Ok(items.into_iter().filter_map(decode).collect())
    }

    /// Returns the newest delegated actions and corrections of a session in a range.
    pub async fn logged_changes_in(
        &self,
        session: &SessionId,
        range: TimelineRange<'_>,
    ) -> Result<Vec<(TimelineCursor, LoggedChange)>, StoreError> {
        let items =
            self.newest_in(session_partition(session), DELEGATED_ACTION_PREFIX, range).await?;
        let decode = |item| {
            Some((TimelineCursor::from_item(&item, DELEGATED_ACTION_PREFIX)?, decode(item).ok()?))
        };
        Ok(items.into_iter().filter_map(decode).collect())
    }

    /// Returns the newest events of a meeting in a range.
    pub async fn events_in(
        &self,
        meeting: MeetingId,
        range: TimelineRange<'_>,
    ) -> Result<Vec<(TimelineCursor, StoredEvent)>, StoreError> {
        let events = self.logged_events_in(meeting, range).await?.events;
        Ok(events.into_iter().map(|(cursor, logged)| (cursor, logged.stored)).collect())
    }

    /// Returns the newest events of a meeting in a range, with their bodies. Unreadable ones are left out.
    pub async fn logged_events_in(
        &self,
        meeting: MeetingId,
        range: TimelineRange<'_>,
    ) -> Result<LoggedEvents, StoreError> {
        let items = self.newest_in(meeting_partition(Some(meeting)), EVENT_PREFIX, range).await?;
        let cursor = |item: &Item| TimelineCursor::from_item(item, EVENT_PREFIX);
        let last = items.last().and_then(cursor).filter(|_| items.len() >= range.limit);
        let decode = |item: Item| Some((cursor(&item)?, decode_logged_event(item)?));
        Ok(LoggedEvents { events: items.into_iter().filter_map(decode).collect(), last })
    }

    async fn newest_in(
        &self,
        pk: String,
        prefix: &str,
        TimelineRange { before, from, to, limit }: TimelineRange<'_>,
    ) -> Result<Vec<Item>, StoreError> {
        let mut items = Vec::new();
        // A time without a suffix sorts before all keys of that time, and '~' after every key of the prefix. The item of the
        // cursor itself is filtered out below.
        let at = |time: Timestamp| format!("{prefix}{}", sortable_text(time));
        let end = to.map_or_else(|| format!("{prefix}~"), at);
        let cursor = before.map(|cursor| format!("{}#{}", at(cursor.at), cursor.tail));
        let to = cursor.map_or(end.clone(), |cursor| cursor.min(end));
        let mut range = KeyRange {
            pk,
            from: Some(from.map_or_else(|| prefix.to_owned(), at)),
            to: Some(to.clone()),
            descending: true,
            limit: i32::try_from(limit + 1).ok(),
            ..KeyRange::default()
        };
        loop {
            let page = self.query(range.clone()).await?;
            items.extend(
                page.items
                    .into_iter()
                    .filter(|item| item.get(attr::SK).and_then(|sk| sk.as_s().ok()) != Some(&to)),
            );
            match page.last_key {
                Some(last) if items.len() < limit => range.after = Some(last),
                _ => break,
            }
        }
        items.truncate(limit);
        Ok(items)
    }
}
