//! Timeline queries: join attempts and events of a session, newest first.

use jiff::Timestamp;

use super::delegated_actions::DelegatedAction;
use super::error::StoreError;
use super::events::StoredEvent;
use super::item::decode;
use super::join_attempts::JoinAttempt;
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

impl Store {
    /// Returns the newest join attempts of a session before a cursor.
    pub async fn join_attempts_before(
        &self,
        session: &SessionId,
        before: Option<&TimelineCursor>,
        limit: usize,
    ) -> Result<Vec<(TimelineCursor, JoinAttempt)>, StoreError> {
        let items = self
            .newest_before(session_partition(session), JOIN_ATTEMPT_PREFIX, before, limit)
            .await?;
        let decode = |item| {
            Some((TimelineCursor::from_item(&item, JOIN_ATTEMPT_PREFIX)?, decode(item).ok()?))
        };
        Ok(items.into_iter().filter_map(decode).collect())
    }

    /// Returns the newest delegated actions of a session before a cursor.
    pub async fn delegated_actions_before(
        &self,
        session: &SessionId,
        before: Option<&TimelineCursor>,
        limit: usize,
    ) -> Result<Vec<(TimelineCursor, DelegatedAction)>, StoreError> {
        let items = self
            .newest_before(session_partition(session), DELEGATED_ACTION_PREFIX, before, limit)
            .await?;
        let decode = |item| {
            Some((TimelineCursor::from_item(&item, DELEGATED_ACTION_PREFIX)?, decode(item).ok()?))
        };
        Ok(items.into_iter().filter_map(decode).collect())
    }

    /// Returns the newest events of a meeting before a cursor.
    pub async fn events_before(
        &self,
        meeting: MeetingId,
        before: Option<&TimelineCursor>,
        limit: usize,
    ) -> Result<Vec<(TimelineCursor, StoredEvent)>, StoreError> {
        let items = self
            .newest_before(meeting_partition(Some(meeting)), EVENT_PREFIX, before, limit)
            .await?;
        let decode = |item: Item| {
            Some((
                TimelineCursor::from_item(&item, EVENT_PREFIX)?,
                super::events::decode_event(item)?,
            ))
        };
        Ok(items.into_iter().filter_map(decode).collect())
    }

    async fn newest_before(
        &self,
        pk: String,
        prefix: &str,
        before: Option<&TimelineCursor>,
        limit: usize,
    ) -> Result<Vec<Item>, StoreError> {
        let mut items = Vec::new();
        // '~' sorts after every key of the prefix. The item of the cursor itself is filtered out below.
        let to = before.map_or_else(
            || format!("{prefix}~"),
            |cursor| format!("{prefix}{}#{}", sortable_text(cursor.at), cursor.tail),
        );
        let mut range = KeyRange {
            pk,
            from: Some(prefix.to_owned()),
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
