//! The directory: the host platform's courses and users. Enrollments are in `enrollments`.

mod enrollments;

use std::collections::{BTreeMap, BTreeSet};

use futures::future;
use futures::stream::{self, StreamExt, TryStreamExt};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::enrollments::{
    delete_enrollment, delete_enrollment_if, delete_enrollment_period, delete_former_enrollment,
    put_enrollment, put_enrollment_if, put_enrollment_period, put_former_enrollment,
};
use super::error::StoreError;
use super::item::{decode, encode, or_default};
use super::schema::{ItemKey, attr, limit};
use super::session_defaults;
use super::tx::{Action, Condition, number, text};
use super::{BatchItems, Store};
use crate::domain::directory::{Course, User};
use crate::domain::draft::DirectoryEntry;
use crate::domain::hosting::Hosting;
use crate::domain::id::{CourseId, UserId};
use crate::domain::session_defaults::SessionDefaults;
use crate::domain::text::{Email, PersonName, Title};

/// Concurrent batch reads of directory entries. A full invitee list takes ten reads, so three rounds.
const ENTRY_READS: usize = 4;

#[derive(Serialize, Deserialize)]
struct StoredCourse {
    course_id: CourseId,
    title: Title,
    trainer_id: UserId,
}

impl From<StoredCourse> for Course {
    fn from(s: StoredCourse) -> Self {
        Self { id: s.course_id, title: s.title, trainer: s.trainer_id }
    }
}

#[derive(Serialize, Deserialize)]
struct StoredUser {
    user_id: UserId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    email: Option<Email>,
    name: PersonName,
    role: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    plan: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    locale: Option<String>,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Option::is_none")]
    hosting: Option<Hosting>,
    #[serde(
        default,
        with = "session_defaults",
        skip_serializing_if = "session_defaults::is_empty"
    )]
    defaults: SessionDefaults,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    former_emails: Vec<Email>,
}

impl From<StoredUser> for User {
    fn from(s: StoredUser) -> Self {
        Self {
            id: s.user_id,
            email: s.email,
            name: s.name,
            role: s.role,
            plan: s.plan,
            locale: s.locale,
            hosting: s.hosting,
            defaults: s.defaults,
            former_emails: s.former_emails,
        }
    }
}

pub fn put_course(course: &Course) -> Action {
    let stored = StoredCourse {
        course_id: course.id.clone(),
        title: course.title.clone(),
        trainer_id: course.trainer.clone(),
    };
    Action::put(ItemKey::Course(&course.id), encode(&stored), Condition::new())
}

pub fn delete_course(id: &CourseId) -> Action {
    Action::delete(ItemKey::Course(id), Condition::new())
}

pub fn put_user(user: &User) -> Action {
    let stored = StoredUser {
        user_id: user.id.clone(),
        email: user.email.clone(),
        name: user.name.clone(),
        role: user.role.clone(),
        plan: user.plan.clone(),
        locale: user.locale.clone(),
        hosting: user.hosting,
        defaults: user.defaults.clone(),
        former_emails: user.former_emails.clone(),
    };
    Action::put(ItemKey::User(&user.id), encode(&stored), Condition::new())
}

pub fn delete_user(id: &UserId) -> Action {
    Action::delete(ItemKey::User(id), Condition::new())
}

#[derive(Serialize, Deserialize)]
struct StoredEmailPointer {
    user_id: UserId,
    /// Whether a token of the person had this address as verified. Then their directory entry may have another address.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    verified: bool,
}

/// Stores the pointer from a user's address to the user. If two users have one address, the later one wins.
pub fn put_email_pointer(email: &Email, user: &UserId) -> Action {
    let item = encode(&StoredEmailPointer { user_id: user.clone(), verified: false });
    Action::put(ItemKey::UserOfEmail(email), item, Condition::new())
}

/// Stores the pointer from a verified address of a token to its user. Refused if the address already has a user.
pub fn put_verified_email_pointer(email: &Email, user: &UserId) -> Action {
    let item = encode(&StoredEmailPointer { user_id: user.clone(), verified: true });
    Action::put(ItemKey::UserOfEmail(email), item, Condition::item_absent())
}

/// Deletes the pointer of an erased person. Refused if it points to another user, or was stored by a request that began after
/// the erasure.
pub fn erase_email_pointer(email: &Email, user: &UserId, erased_at: Timestamp) -> Action {
    let delete = delete_email_pointer(email, user);
    let condition = delete
        .condition
        .clone()
        .absent_or_at_most(attr::REQUESTED_MS, number(erased_at.as_millisecond()));
    Action { condition, ..delete }
}

/// Deletes a course that was removed. Refused if a request that began later has stored it again.
pub fn delete_course_of(id: &CourseId, removed_at: Timestamp) -> Action {
    let condition =
        Condition::new().absent_or_at_most(attr::REQUESTED_MS, number(removed_at.as_millisecond()));
    Action::delete(ItemKey::Course(id), condition)
}

/// Deletes the pointer. Refused if it points to another user.
pub fn delete_email_pointer(email: &Email, user: &UserId) -> Action {
    let condition = Condition::new().equals(attr::USER_ID, text(user.as_str()));
    Action::delete(ItemKey::UserOfEmail(email), condition)
}

/// The user of an address, with a name if the directory has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryUser {
    pub user: UserId,
    pub name: Option<PersonName>,
}

impl Store {
    pub async fn user(&self, id: &UserId) -> Result<Option<User>, StoreError> {
        self.get(ItemKey::User(id))
            .await?
            .map(|item| decode::<StoredUser>(item).map(User::from))
            .transpose()
    }

    /// Returns the users with these ids, a hundred per request.
    pub async fn users(&self, ids: &[UserId]) -> Result<BTreeMap<UserId, User>, StoreError> {
        let ids: BTreeSet<_> = ids.iter().collect();
        let keys: Vec<_> = ids.iter().map(|id| ItemKey::User(id)).collect();
        let mut found = self.batch_get(&keys).await?;
        let mut users = BTreeMap::new();
        for id in ids {
            // The address of an unreadable user is that of the enrollment.
            users.extend(found.user(id).ok().flatten().map(|user| (id.clone(), user)));
        }
        Ok(users)
    }

    /// Returns the addresses and names of users, a hundred per request and a few requests at a time.
    pub async fn directory_entries(
        &self,
        ids: &BTreeSet<&UserId>,
    ) -> Result<BTreeMap<UserId, DirectoryEntry>, StoreError> {
        let ids: Vec<UserId> = ids.iter().map(|id| (*id).clone()).collect();
        let chunks: Vec<_> = ids.chunks(limit::BATCH_GETS).map(<[_]>::to_vec).collect();
        let found: Vec<_> = stream::iter(chunks)
            .map(|chunk| self.entries_of_batch(chunk))
            .buffer_unordered(ENTRY_READS)
            .try_collect()
            .await?;
        Ok(found.into_iter().flatten().collect())
    }

    async fn entries_of_batch(
        &self,
        ids: Vec<UserId>,
    ) -> Result<Vec<(UserId, DirectoryEntry)>, StoreError> {
        let keys: Vec<_> = ids.iter().map(ItemKey::User).collect();
        let mut found = self.batch_get(&keys).await?;
        let mut entries = Vec::with_capacity(ids.len());
        for id in ids {
            let user = found.user(&id)?;
            let entry = user.map(|user| DirectoryEntry { email: user.email, name: user.name });
            entries.extend(entry.map(|entry| (id, entry)));
        }
        Ok(entries)
    }

    /// Returns the keys without an item as partition and sort key, a hundred per request and a few requests at a time. Only a
    /// key that a cheap read does not find needs a consistent one.
    pub async fn missing_items(
        &self,
        keys: &[ItemKey<'_>],
    ) -> Result<Vec<(String, String)>, StoreError> {
        let missing = self.missing_in_batches(keys, false).await?;
        let missing = self.missing_in_batches(&missing, true).await?;
        Ok(missing.iter().map(|key| (key.pk(), key.sk())).collect())
    }

    async fn missing_in_batches<'k>(
        &self,
        keys: &[ItemKey<'k>],
        is_consistent: bool,
    ) -> Result<Vec<ItemKey<'k>>, StoreError> {
        let mut missing = Vec::new();
        for group in keys.chunks(limit::BATCH_GETS * ENTRY_READS) {
            let chunks = group.chunks(limit::BATCH_GETS);
            let reads = chunks.map(|chunk| self.missing_in_batch(chunk, is_consistent));
            let found = future::try_join_all(reads.collect::<Vec<_>>()).await?;
            missing.extend(found.into_iter().flatten());
        }
        Ok(missing)
    }

    async fn missing_in_batch<'k>(
        &self,
        keys: &[ItemKey<'k>],
        is_consistent: bool,
    ) -> Result<Vec<ItemKey<'k>>, StoreError> {
        let found = match is_consistent {
            true => self.batch_get(keys).await?,
            false => self.batch_get_eventually_consistent(keys).await?,
        };
        Ok(keys.iter().copied().filter(|key| found.get(*key).is_none()).collect())
    }

    pub async fn course(&self, id: &CourseId) -> Result<Option<Course>, StoreError> {
        self.batch_get(&[ItemKey::Course(id)]).await?.course(id)
    }

    /// Returns the users of these addresses, with two requests per hundred. A pointer is valid if the user's entry still has
    /// the address, or if a token verified it.
    pub async fn users_by_email(
        &self,
        emails: &[Email],
    ) -> Result<BTreeMap<Email, DirectoryUser>, StoreError> {
        let emails: BTreeSet<_> = emails.iter().collect();
        let keys: Vec<_> = emails.iter().map(|email| ItemKey::UserOfEmail(email)).collect();
        let mut found = self.batch_get(&keys).await?;
        let mut pointers = Vec::new();
        for email in emails {
            let pointer = found.take(ItemKey::UserOfEmail(email)).map(decode::<StoredEmailPointer>);
            pointers.extend(pointer.and_then(Result::ok).map(|pointer| (email, pointer)));
        }
        let ids: Vec<_> = pointers.iter().map(|(_, pointer)| pointer.user_id.clone()).collect();
        let users = self.users(&ids).await?;
        let found = pointers.into_iter().filter_map(|(email, pointer)| {
            let user = pointer.user_id;
            let name = match users.get(&user) {
                Some(entry) if pointer.verified || entry.email.as_ref() == Some(email) => {
                    Some(entry.name.clone())
                }
                None if pointer.verified => None,
                _ => return None,
            };
            Some((email.clone(), DirectoryUser { user, name }))
        });
        Ok(found.collect())
    }
}

impl BatchItems {
    pub(crate) fn user(&mut self, id: &UserId) -> Result<Option<User>, StoreError> {
        self.take(ItemKey::User(id))
            .map(|item| decode::<StoredUser>(item).map(User::from))
            .transpose()
    }

    pub(crate) fn course(&mut self, id: &CourseId) -> Result<Option<Course>, StoreError> {
        self.take(ItemKey::Course(id))
            .map(|item| decode::<StoredCourse>(item).map(Course::from))
            .transpose()
    }
}
