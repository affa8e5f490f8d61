//! Erasures of people and removals of courses.
//!
//! The item is stored before anything is erased. Requests in progress check it in the transactions in which they create
//! something. Its leads are sealed: they are the ids and addresses by which the erasure is repeated, and are removed after the
//! last repetition.
//!
//! Directory items and invitations have the time at which their request began. A repetition deletes items whose
//! requests began before the erasure, and spares a person who has come back.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::error::StoreError;
use super::item::decode;
use super::schema::{ENROLLMENT_PREFIX, ItemKey, attr, limit, user_partition};
use super::tx::{Action, Condition, Item, ItemChanges, number, text};
use super::{KeyRange, Store};
use crate::crypt::Sealed;
use crate::domain::digest::Digest;
use crate::domain::id::{CourseId, UserId};
use crate::domain::time::sortable_text;

/// Hex digits of the digest of an id: 128 bits.
const DIGEST_DIGITS: usize = 32;

/// Returns the digest under which the erasure of a person is stored.
pub fn person_digest(user: &UserId) -> String {
    subject_digest("user", user.as_str())
}

/// Returns the digest under which the removal of a course is stored.
pub fn course_digest(course: &CourseId) -> String {
    subject_digest("course", course.as_str())
}

/// Returns the digest under which an erasure is stored.
pub(super) fn subject_digest(kind: &str, subject: &str) -> String {
    Digest::unframed(&[kind.as_bytes(), b"\0", subject.as_bytes()]).hex(DIGEST_DIGITS)
}

/// An erasure of a person or a removal of a course.
#[derive(Clone, Debug, Deserialize)]
pub struct StoredErasure {
    pub erased_at: Timestamp,
    /// The sealed leads. Absent after the last repetition.
    #[serde(default)]
    pub leads: Option<Sealed>,
}

/// Stores an erasure before its first step. A later erasure replaces the time and the leads of an earlier one.
pub fn put(subject: &str, erased_at: Timestamp, leads: &Sealed) -> Action {
    let condition =
        Condition::new().absent_or_at_most(attr::ERASED_AT, text(sortable_text(erased_at)));
    let changes = changes(erased_at).set(attr::LEADS, text(leads.as_str()));
    Action::update(ItemKey::Erasure(subject), changes, condition)
}

/// Stores that a subject was erased, which another item's erasure has found.
pub(super) fn put_without_leads(subject: &str, erased_at: Timestamp) -> Action {
    Action::update(ItemKey::Erasure(subject), changes(erased_at), Condition::new())
}

fn changes(erased_at: Timestamp) -> ItemChanges {
    let life = SignedDuration::from_hours(24 * limit::ERASURE_TTL_DAYS);
    let ttl = erased_at.saturating_add(life).unwrap_or(erased_at);
    ItemChanges::new()
        .set(attr::ERASED_AT, text(sortable_text(erased_at)))
        .set(attr::V, number(1))
        .set(attr::TTL, number(ttl.as_second()))
}

/// Removes the leads after the last repetition. Refused if the erasure was begun again.
pub fn remove_leads(subject: &str, erased_at: Timestamp) -> Action {
    let condition = Condition::new().equals(attr::ERASED_AT, text(sortable_text(erased_at)));
    Action::update(ItemKey::Erasure(subject), ItemChanges::new().remove(attr::LEADS), condition)
}

/// Refuses a transaction of a request that began at `began_at` if the person was erased since.
pub fn require_not_erased(user: &UserId, began_at: Timestamp) -> Action {
    let condition =
        Condition::new().absent_or_at_most(attr::ERASED_AT, text(sortable_text(began_at)));
    Action::check(ItemKey::Erasure(&person_digest(user)), condition)
}

/// Returns the time of an item in a person's partition: that of the request that wrote it, or that of its event.
fn written_at(item: &Item) -> Option<Timestamp> {
    let requested = item.get(attr::REQUESTED_MS).and_then(|value| value.as_n().ok()?.parse().ok());
    if let Some(ms) = requested {
        return Timestamp::from_millisecond(ms).ok();
    }
    let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok());
    let stored = [attr::CLAIMED_AT, attr::CONNECTED_AT].into_iter().find_map(text);
    // Notifications and delivery records have their time in the key.
    let keyed = || text(attr::SK)?.split('#').nth(1);
    stored.map(String::as_str).or_else(keyed)?.parse().ok()
}

/// Returns whether an item exists only if the person is known to the platform.
fn is_of_known_person(item: &Item) -> bool {
    let key = item.get(attr::SK).and_then(|value| value.as_s().ok()).map_or("", String::as_str);
    matches!(key, "USER" | "PREFERENCES" | "HOST" | "PLATFORM_HOST")
        || key.starts_with(ENROLLMENT_PREFIX)
}

impl Store {
    /// Deletes the items in an erased person's partition. With `erased_at`, it keeps those of a person who has come back since.
    /// Returns the number of deleted items.
    pub async fn erase_own_items(
        &self,
        user: &UserId,
        erased_at: Option<Timestamp>,
    ) -> Result<usize, StoreError> {
        let range = KeyRange { pk: user_partition(user), consistent: true, ..KeyRange::default() };
        let items = self.query_all(range).await?;
        let is_later = |item: &Item| {
            erased_at.is_some_and(|erased_at| written_at(item).is_some_and(|at| at >= erased_at))
        };
        let has_come_back = items.iter().any(|item| is_of_known_person(item) && is_later(item));
        // Counters have no time.
        let is_kept = |item: &Item| {
            has_come_back
                && (is_later(item) || (written_at(item).is_none() && !is_of_known_person(item)))
        };
        let deletions = items.iter().filter(|item| !is_kept(item));
        let deletions: Vec<_> = deletions.filter_map(Action::delete_item).collect();
        let count = deletions.len();
        self.write_all(deletions).await?;
        Ok(count)
    }

    /// Returns the time of the last of these erasures.
    pub async fn last_erasure(&self, subjects: &[String]) -> Result<Option<Timestamp>, StoreError> {
        if subjects.is_empty() {
            return Ok(None);
        }
        let keys: Vec<_> = subjects.iter().map(|subject| ItemKey::Erasure(subject)).collect();
        let mut found = self.batch_get(&keys).await?;
        let mut last = None;
        for key in keys {
            let stored = found.take(key).map(decode::<StoredErasure>).transpose()?;
            last = last.max(stored.map(|stored| stored.erased_at));
        }
        Ok(last)
    }

    pub async fn erasure(&self, subject: &str) -> Result<Option<StoredErasure>, StoreError> {
        self.get(ItemKey::Erasure(subject)).await?.map(decode).transpose()
    }
}
