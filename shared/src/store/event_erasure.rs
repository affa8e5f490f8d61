//! Erases a person from pending domain events, which name the students of an enrollment change and the recipients of a
//! resend.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::domain_events::StoredRecipients;
use super::error::{CommitError, StoreError};
use super::item::{decode, encode_value};
use super::schema::{DueQueue, attr, due_partition};
use super::tx::{Action, Condition, Item, ItemChanges};
use super::{KeyRange, Store};
use crate::domain::domain_event::{ChangedStudent, ENROLLMENT_DELAY};
use crate::domain::id::UserId;
use crate::domain::text::Email;

/// The attributes of a domain event that name people.
#[derive(Deserialize)]
struct StoredNames {
    #[serde(default)]
    students: Option<Vec<ChangedStudent>>,
    #[serde(default)]
    users: Option<Vec<UserId>>,
    #[serde(default)]
    recipients: Option<StoredRecipients>,
}

/// Returns the time of the change or request that caused an event. Enrollment changes are due later.
fn changed_at(item: &Item) -> Option<Timestamp> {
    let due_at = item.get(attr::SK)?.as_s().ok()?.split('#').next()?.parse::<Timestamp>().ok()?;
    let delay = match item.contains_key("recipients") {
        true => SignedDuration::ZERO,
        false => ENROLLMENT_DELAY,
    };
    due_at.checked_sub(delay).ok()
}

/// Returns the changes of an item that names the person, or `None`.
fn without_person(
    item: &Item,
    user: &UserId,
    addresses: &BTreeSet<Email>,
) -> Result<Option<ItemChanges>, StoreError> {
    let StoredNames { students, users, recipients } = decode(item.clone())?;
    if let Some(mut students) = students
        && students.iter().any(|student| student.user == *user)
    {
        students.retain(|student| student.user != *user);
        return Ok(Some(ItemChanges::new().set("students", encode_value(&students))));
    }
    if let Some(mut users) = users
        && users.contains(user)
    {
        users.retain(|other| other != user);
        return Ok(Some(ItemChanges::new().set("users", encode_value(&users))));
    }
    if let Some(mut named) = recipients
        && named.remove(user, addresses)
    {
        return Ok(Some(ItemChanges::new().set("recipients", encode_value(&named))));
    }
    Ok(None)
}

impl Store {
    /// Removes a person from the pending domain events, so that they neither name nor notify the person. With `until`, it
    /// keeps events of later changes. Returns the number of changed events.
    pub async fn erase_from_pending_events(
        &self,
        user: &UserId,
        addresses: &[Email],
        until: Option<Timestamp>,
    ) -> Result<usize, CommitError> {
        let addresses: BTreeSet<_> = addresses.iter().cloned().collect();
        let pk = due_partition(DueQueue::Outbox);
        let range = KeyRange { pk, consistent: true, ..KeyRange::default() };
        let mut erased = 0;
        for item in self.query_all(range).await? {
            if until.is_some_and(|until| changed_at(&item).is_some_and(|at| at >= until)) {
                continue;
            }
            // An unreadable event waits, and its alarm reports it.
            let Ok(Some(changes)) = without_person(&item, user, &addresses) else { continue };
            let Some(update) = Action::update_item(&item, changes, Condition::item_exists()) else {
                continue;
            };
            match self.commit_one(update).await {
                // Fanned out meanwhile. The fan-out reads the enrollments.
                Ok(()) | Err(CommitError::Refused(_)) => erased += 1,
                Err(error) => return Err(error),
            }
        }
        Ok(erased)
    }
}
