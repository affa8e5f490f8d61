//! What happened around a class, read backwards in time.

use jiff::Timestamp;

use super::join_attempts::JoinAttempt;
use super::error::StoreError;
use super::events::StoredEvent;
use super::item::decode;
use super::schema::{CLICK_PREFIX, EVENT_PREFIX, attr, meeting_partition, session_partition};
use super::tx::Item;
use super::{KeyRange, Store};
use crate::domain::id::{MeetingId, SessionId};
use crate::domain::time::fixed;

/// A place in a timeline: when, and which of the things of that moment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimelineCursor {
    pub at: Timestamp,
    pub tail: String,
}

impl TimelineCursor {
    /// From a sort key: its prefix, the time, and what tells it from others of the same moment.
    pub(super) fn read(item: &Item, prefix: &str) -> Option<Self> {
        let key = item.get(attr::SK)?.as_s().ok()?.strip_prefix(prefix)?;
        let (at, tail) = key.split_once('#')?;
        Some(Self { at: at.parse().ok()?, tail: tail.to_owned() })
    }
}

impl Store {
    /// The newest clicks on a class before a moment.
    pub async fn clicks_before(
        &self,
        session: &SessionId,
        before: Option<&TimelineCursor>,
        limit: usize,
    ) -> Result<Vec<(TimelineCursor, JoinAttempt)>, StoreError> {
        let items = self.backwards(session_partition(session), CLICK_PREFIX, before, limit).await?;
        items
            .into_iter()
            .filter_map(|item| Some((TimelineCursor::read(&item, CLICK_PREFIX)?, item)))
            .map(|(moment, item)| Ok((moment, decode(item)?)))
            .collect()
    }

    /// The newest events of a meeting before a moment.
    pub async fn events_before(
        &self,
        meeting: MeetingId,
        before: Option<&TimelineCursor>,
        limit: usize,
    ) -> Result<Vec<(TimelineCursor, StoredEvent)>, StoreError> {
        let items =
            self.backwards(meeting_partition(Some(meeting)), EVENT_PREFIX, before, limit).await?;
        let read =
            |item: Item| Some((TimelineCursor::read(&item, EVENT_PREFIX)?, super::events::read(item)?));
        Ok(items.into_iter().filter_map(read).collect())
    }

    async fn backwards(
        &self,
        pk: String,
        prefix: &str,
        before: Option<&TimelineCursor>,
        limit: usize,
    ) -> Result<Vec<Item>, StoreError> {
        let mut items = Vec::new();
        // '~' sorts behind every key of the prefix, and the moment itself is left out below.
        let to = before.map_or_else(
            || format!("{prefix}~"),
            |moment| format!("{prefix}{}#{}", fixed(moment.at), moment.tail),
        );
        let mut range = KeyRange {
            pk,
            from: Some(prefix.to_owned()),
            to: Some(to.clone()),
            backwards: true,
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
            match page.last {
                Some(last) if items.len() < limit => range.after = Some(last),
                _ => break,
            }
        }
        items.truncate(limit);
        Ok(items)
    }
}
