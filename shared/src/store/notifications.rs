//! Notices: one item per person and notice, found by person, newest first.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::item::{decode, encode};
use super::schema::{ItemKey, NOTICE_PREFIX, attr, limit, notice_sort, user_partition};
use super::tx::{Action, ItemChanges, Guard, Item, number, text};
use super::{ItemPage, KeyRange, Store};
use crate::domain::id::{SessionId, UserId};
use crate::domain::in_app::{NotificationSubject, InAppNotification, NotificationId, NotificationKind};
use crate::domain::text::Title;
use crate::domain::time::fixed;

/// Requests that one page may take where most of what is read was dismissed; a page that they do not fill is short,
/// and its cursor goes on.
const PAGE_ROUNDS: usize = 10;

#[derive(Serialize, Deserialize)]
struct Stored {
    kind: NotificationKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session_id: Option<SessionId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    title: Option<Title>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    starts_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    read_at: Option<Timestamp>,
}

/// A notice as its person finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredNotification {
    pub notice: InAppNotification,
    pub read_at: Option<Timestamp>,
}

fn put(notice: &InAppNotification) -> Action {
    let about = notice.about.as_ref();
    let mut item = encode(&Stored {
        kind: notice.kind,
        session_id: about.map(|about| about.session.clone()),
        title: about.map(|about| about.title.clone()),
        starts_at: about.map(|about| about.starts_at),
        read_at: None,
    });
    item.insert(attr::TTL.to_owned(), number(ends(notice.id.at).as_second()));
    Action::put(ItemKey::Notification { user: &notice.user, id: &notice.id }, item, Guard::new())
}

/// Notes that a notice was read; refused when there is none.
pub fn read(user: &UserId, id: &NotificationId, now: Timestamp) -> Action {
    let changes = ItemChanges::new().set_once(attr::READ_AT, text(fixed(now)));
    Action::update(ItemKey::Notification { user, id }, changes, Guard::existing_item())
}

/// Takes a notice out of sight; refused when there is none. It stays in the table, so that the announcement that it
/// came from does not bring it back when it is carried out again.
pub fn dismiss(user: &UserId, id: &NotificationId, now: Timestamp) -> Action {
    let at = text(fixed(now));
    let changes =
        ItemChanges::new().set_once(attr::READ_AT, at.clone()).set_once(attr::DISMISSED_AT, at);
    Action::update(ItemKey::Notification { user, id }, changes, Guard::existing_item())
}

/// When a notice's time is over.
fn ends(at: Timestamp) -> Timestamp {
    at.saturating_add(SignedDuration::from_hours(24 * limit::NOTICE_TTL_DAYS)).unwrap_or(at)
}

/// Whether a notice is shown at `now`, whether or not the table has tidied it up by then.
pub fn is_shown(id: &NotificationId, now: Timestamp) -> bool {
    ends(id.at) > now
}

fn kept(user: &UserId, item: Item) -> Result<Option<StoredNotification>, StoreError> {
    let Some(id) = id_of(&item) else { return Ok(None) };
    let stored: Stored = decode(item)?;
    let about = match (stored.session_id, stored.title, stored.starts_at) {
        (Some(session), Some(title), Some(starts_at)) => Some(NotificationSubject { session, title, starts_at }),
        _ => None,
    };
    let notice = InAppNotification { user: user.clone(), id, kind: stored.kind, about };
    Ok(Some(StoredNotification { notice, read_at: stored.read_at }))
}

fn id_of(item: &Item) -> Option<NotificationId> {
    let key = item.get(attr::SK)?.as_s().ok()?.strip_prefix(NOTICE_PREFIX)?;
    let (at, digest) = key.split_once('#')?;
    NotificationId::new(at.parse().ok()?, digest)
}

/// A person's notices that are still shown at `now`, newest first, from behind `after` on.
fn shown(user: &UserId, after: Option<&NotificationId>, now: Timestamp) -> KeyRange {
    let oldest =
        now.saturating_sub(SignedDuration::from_hours(24 * limit::NOTICE_TTL_DAYS)).unwrap_or(now);
    KeyRange {
        pk: user_partition(user),
        // What came at that very moment has just ended: '~' sorts behind the '#' that follows the time in a key.
        from: Some(format!("{NOTICE_PREFIX}{}~", fixed(oldest))),
        to: Some(after.map_or_else(|| format!("{NOTICE_PREFIX}~"), notice_sort)),
        // Whoever has read one sees it as read in the next list.
        consistent: true,
        backwards: true,
        ..KeyRange::default()
    }
}

impl Store {
    /// Writes notices that are not there yet, twenty-five at a time. What was read stays read and what was dismissed
    /// stays away, however often an announcement is carried out.
    pub async fn put_notices(&self, notices: &[InAppNotification]) -> Result<(), StoreError> {
        let each: BTreeMap<_, _> =
            notices.iter().map(|notice| ((&notice.user, &notice.id), notice)).collect();
        let keys: Vec<_> = each.keys().map(|&(user, id)| ItemKey::Notification { user, id }).collect();
        let mut found = self.batch_get(&keys).await?;
        let new = each.into_iter().filter(|&((user, id), _)| {
            let there = found.take(ItemKey::Notification { user, id });
            there.is_none()
        });
        self.write_all(new.map(|(_, notice)| put(notice)).collect()).await
    }

    /// A page of a person's notices, newest first, and where the next begins.
    pub async fn notices(
        &self,
        user: &UserId,
        after: Option<&NotificationId>,
        limit: usize,
        now: Timestamp,
    ) -> Result<(Vec<StoredNotification>, Option<NotificationId>), StoreError> {
        // One more than the page holds tells whether there is another, and one is the place where it begins.
        let mut range = KeyRange {
            limit: i32::try_from(limit + 2).ok(),
            without: vec![attr::DISMISSED_AT],
            ..shown(user, after, now)
        };
        let mut page: Vec<StoredNotification> = Vec::new();
        for _ in 0..PAGE_ROUNDS {
            let ItemPage { items, last } = self.query(range.clone()).await?;
            for item in items {
                // One that makes no sense to this version must not keep its person from all the others.
                let read = kept(user, item)
                    .inspect_err(|error| tracing::error!(event = "store.corrupt_item", %error));
                page.extend(
                    read.ok().flatten().filter(|kept| after.is_none_or(|id| kept.notice.id < *id)),
                );
            }
            if page.len() > limit {
                page.truncate(limit);
                let next = page.last().map(|kept| kept.notice.id.clone());
                return Ok((page, next));
            }
            match last {
                Some(last) => range.after = Some(last),
                None => return Ok((page, None)),
            }
        }
        Ok((page, range.after.as_ref().and_then(id_of)))
    }

    /// How many of a person's notices are unread. It is counted and not kept, so it cannot go wrong; what it costs is
    /// bounded by one request, which sees a megabyte: more notices than anybody gets in their ninety days.
    pub async fn unread_notices(&self, user: &UserId, now: Timestamp) -> Result<usize, StoreError> {
        self.count(KeyRange { without: vec![attr::READ_AT], ..shown(user, None, now) }).await
    }

    /// Forgets what a person was told.
    pub async fn erase_notices(&self, user: &UserId) -> Result<usize, StoreError> {
        let range = KeyRange {
            pk: user_partition(user),
            prefix: Some(NOTICE_PREFIX.to_owned()),
            ..KeyRange::default()
        };
        let ids: Vec<_> = self.query_all(range).await?.iter().filter_map(id_of).collect();
        let gone = ids.iter().map(|id| Action::delete(ItemKey::Notification { user, id }, Guard::new()));
        self.write_all(gone.collect()).await?;
        Ok(ids.len())
    }
}
