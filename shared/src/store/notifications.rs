//! In-app notifications: one item per user and notification, newest first.

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt, TryStreamExt};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::error::{CommitError, StoreError};
use super::item::{decode, encode};
use super::schema::{
    ItemKey, NOTIFICATION_PREFIX, attr, limit, notification_sort_key, user_partition,
};
use super::tx::{Action, Condition, Item, ItemChanges, number, text};
use super::{ItemPage, KeyRange, Store};
use crate::domain::id::{SessionId, UserId};
use crate::domain::in_app::{
    InAppNotification, NotificationId, NotificationKind, NotificationSubject,
};
use crate::domain::text::Title;
use crate::domain::time::sortable_text;

/// Requests per page. If most notifications were dismissed and the page is not full by then, it is returned short with a
/// cursor.
const PAGE_REQUESTS: usize = 10;
/// Concurrent requests that store notifications.
const PUT_CONCURRENCY: usize = 25;

#[derive(Serialize, Deserialize)]
struct NotificationItem {
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

/// A notification with the time at which it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredNotification {
    pub notification: InAppNotification,
    pub read_at: Option<Timestamp>,
}

fn put(notification: &InAppNotification) -> Action {
    let about = notification.subject.as_ref();
    let mut item = encode(&NotificationItem {
        kind: notification.kind,
        session_id: about.map(|about| about.session.clone()),
        title: about.map(|about| about.title.clone()),
        starts_at: about.map(|about| about.starts_at),
        read_at: None,
    });
    item.insert(attr::TTL.to_owned(), number(expires_at(notification.id.at).as_second()));
    Action::put(
        ItemKey::Notification { user: &notification.user, id: &notification.id },
        item,
        Condition::item_absent(),
    )
}

/// Marks a notification as read. Refused if it does not exist.
pub fn mark_read(user: &UserId, id: &NotificationId, now: Timestamp) -> Action {
    let changes = ItemChanges::new().set_once(attr::READ_AT, text(sortable_text(now)));
    Action::update(ItemKey::Notification { user, id }, changes, Condition::item_exists())
}

/// Hides a notification. Refused if it does not exist. The item stays, so that processing its domain event again does not
/// create it anew.
pub fn dismiss(user: &UserId, id: &NotificationId, now: Timestamp) -> Action {
    let at = text(sortable_text(now));
    let changes =
        ItemChanges::new().set_once(attr::READ_AT, at.clone()).set_once(attr::DISMISSED_AT, at);
    Action::update(ItemKey::Notification { user, id }, changes, Condition::item_exists())
}

/// The expiry of a notification.
fn expires_at(at: Timestamp) -> Timestamp {
    at.saturating_add(SignedDuration::from_hours(24 * limit::NOTIFICATION_TTL_DAYS)).unwrap_or(at)
}

/// Returns whether a notification has not expired at `now`. DynamoDB deletes expired items later.
pub fn is_shown(id: &NotificationId, now: Timestamp) -> bool {
    expires_at(id.at) > now
}

fn decode_notification(
    user: &UserId,
    item: Item,
) -> Result<Option<StoredNotification>, StoreError> {
    let Some(id) = id_from_key(&item) else { return Ok(None) };
    let stored: NotificationItem = decode(item)?;
    let about = match (stored.session_id, stored.title, stored.starts_at) {
        (Some(session), Some(title), Some(starts_at)) => {
            Some(NotificationSubject { session, title, starts_at })
        }
        _ => None,
    };
    let notification =
        InAppNotification { user: user.clone(), id, kind: stored.kind, subject: about };
    Ok(Some(StoredNotification { notification, read_at: stored.read_at }))
}

fn id_from_key(item: &Item) -> Option<NotificationId> {
    let key = item.get(attr::SK)?.as_s().ok()?.strip_prefix(NOTIFICATION_PREFIX)?;
    let (at, digest) = key.split_once('#')?;
    NotificationId::new(at.parse().ok()?, digest)
}

/// The range of a user's unexpired notifications, newest first, after the cursor.
fn shown_range(user: &UserId, after: Option<&NotificationId>, now: Timestamp) -> KeyRange {
    let oldest = now
        .saturating_sub(SignedDuration::from_hours(24 * limit::NOTIFICATION_TTL_DAYS))
        .unwrap_or(now);
    KeyRange {
        pk: user_partition(user),
        // A notification of exactly this time has expired: '~' sorts after the '#' that follows the time.
        from: Some(format!("{NOTIFICATION_PREFIX}{}~", sortable_text(oldest))),
        to: Some(after.map_or_else(|| format!("{NOTIFICATION_PREFIX}~"), notification_sort_key)),
        // After a notification is marked as read, the next list shows it as read.
        consistent: true,
        descending: true,
        ..KeyRange::default()
    }
}

impl Store {
    /// Stores notifications that do not exist yet, so that processing a domain event again keeps them read or dismissed.
    /// Each write has its own condition, because the SDK repeats a write after a lost response, and the person may have
    /// dismissed the notification meanwhile.
    pub async fn put_notifications(
        &self,
        notifications: &[InAppNotification],
    ) -> Result<(), CommitError> {
        let each: BTreeMap<_, _> = notifications
            .iter()
            .map(|notification| ((&notification.user, &notification.id), notification))
            .collect();
        let puts: Vec<_> = each.into_values().map(put).collect();
        stream::iter(puts)
            .map(|put| async move {
                match self.commit_one(put).await {
                    Ok(()) | Err(CommitError::Refused(_)) => Ok(()),
                    Err(error) => Err(error),
                }
            })
            .buffer_unordered(PUT_CONCURRENCY)
            .try_collect::<Vec<()>>()
            .await?;
        Ok(())
    }

    /// Returns a page of a user's notifications, newest first, with the cursor of the next page.
    pub async fn notifications_page(
        &self,
        user: &UserId,
        after: Option<&NotificationId>,
        limit: usize,
        now: Timestamp,
    ) -> Result<(Vec<StoredNotification>, Option<NotificationId>), StoreError> {
        // One more item shows whether there is another page, and one more is the cursor itself.
        let mut range = KeyRange {
            limit: i32::try_from(limit + 2).ok(),
            absent_attributes: vec![attr::DISMISSED_AT],
            ..shown_range(user, after, now)
        };
        let mut page: Vec<StoredNotification> = Vec::new();
        for _ in 0..PAGE_REQUESTS {
            let ItemPage { items, last_key: last } = self.query(range.clone()).await?;
            for item in items {
                // An unreadable item must not hide the others.
                page.extend(
                    decode_notification(user, item)
                        .ok()
                        .flatten()
                        .filter(|stored| after.is_none_or(|id| stored.notification.id < *id)),
                );
            }
            if page.len() > limit {
                page.truncate(limit);
                let next = page.last().map(|stored| stored.notification.id.clone());
                return Ok((page, next));
            }
            match last {
                Some(last) => range.after = Some(last),
                None => return Ok((page, None)),
            }
        }
        Ok((page, range.after.as_ref().and_then(id_from_key)))
    }

    /// Counts a user's unread notifications. Counting instead of storing a counter cannot drift, and one request reads one
    /// megabyte, which is more than anybody gets in 90 days.
    pub async fn count_unread_notifications(
        &self,
        user: &UserId,
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        self.count_first_page(KeyRange {
            absent_attributes: vec![attr::READ_AT],
            ..shown_range(user, None, now)
        })
        .await
    }

    /// Dismisses the shown notifications whose kind is selected.
    pub async fn dismiss_notifications(
        &self,
        user: &UserId,
        is_selected: impl Fn(NotificationKind) -> bool,
        now: Timestamp,
    ) -> Result<(), CommitError> {
        let range = KeyRange {
            absent_attributes: vec![attr::DISMISSED_AT],
            ..shown_range(user, None, now)
        };
        for item in self.query_all(range).await? {
            // An unreadable item must not keep the others.
            let decoded = decode_notification(user, item).ok().flatten();
            let Some(StoredNotification { notification, .. }) = decoded else { continue };
            if is_selected(notification.kind) {
                self.commit_one(dismiss(user, &notification.id, now)).await?;
            }
        }
        Ok(())
    }
}
