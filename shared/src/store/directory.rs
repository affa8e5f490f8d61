//! The directory: the host platform's courses, enrollments and users.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::AttributeValue;
use futures::stream::{self, StreamExt, TryStreamExt};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::item::{decode, decode_readable, encode, encode_value, or_default};
use super::schema::{
    AFTER_STUDENTS, ENROLLMENT_PERIOD_PREFIX, ENROLLMENT_PREFIX, FORMER_ENROLLMENT_PREFIX,
    FORMER_STUDENT_PREFIX, Index, ItemKey, STUDENT_PREFIX, attr, course_partition,
    former_student_sort_key, limit, student_sort_key, user_partition,
};
use super::session_defaults;
use super::tx::{Action, Condition, insert_index_key, number, text};
use super::{BatchItems, KeyRange, Store};
use crate::domain::directory::{Course, Enrollment, EnrollmentPeriod, User};
use crate::domain::draft::DirectoryEntry;
use crate::domain::hosting::Hosting;
use crate::domain::id::{CourseId, PaymentId, UserId};
use crate::domain::session_defaults::SessionDefaults;
use crate::domain::text::{Email, PersonName, Title};
use crate::domain::time::sortable_text;

/// Students per request: about a quarter of the one megabyte that DynamoDB returns at most.
const STUDENTS_PAGE: i32 = 1000;

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
struct StoredEnrollment {
    course_id: CourseId,
    user_id: UserId,
    email: Email,
    name: PersonName,
    access_granted: bool,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    former_emails: Vec<Email>,
    /// [`attr::PAID_BY`].
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "BTreeSet::is_empty")]
    paid_by: BTreeSet<PaymentId>,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
    /// The end of a former enrollment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
    /// [`attr::REQUESTED_MS`], which [`Action::requested_at`] stores.
    #[serde(rename = "t", default, skip_serializing)]
    requested_ms: Option<i64>,
}

impl StoredEnrollment {
    fn new(period: &EnrollmentPeriod) -> Self {
        let EnrollmentPeriod { enrollment, since, until } = period;
        Self {
            course_id: enrollment.course.clone(),
            user_id: enrollment.user.clone(),
            email: enrollment.email.clone(),
            name: enrollment.name.clone(),
            access_granted: enrollment.access_granted,
            former_emails: enrollment.former_emails.clone(),
            paid_by: enrollment.paid_by.clone(),
            since: *since,
            until: *until,
            requested_ms: None,
        }
    }
}

impl From<StoredEnrollment> for EnrollmentPeriod {
    fn from(s: StoredEnrollment) -> Self {
        Self { since: s.since, until: s.until, enrollment: s.into() }
    }
}

impl From<StoredEnrollment> for Enrollment {
    fn from(s: StoredEnrollment) -> Self {
        Self {
            course: s.course_id,
            user: s.user_id,
            email: s.email,
            name: s.name,
            access_granted: s.access_granted,
            former_emails: s.former_emails,
            paid_by: s.paid_by,
        }
    }
}

/// The part of an enrollment that decides about access.
#[derive(Deserialize)]
struct StoredAccess {
    access_granted: bool,
}

#[derive(Serialize, Deserialize)]
struct StoredFormerEnrollment {
    course_id: CourseId,
}

#[derive(Serialize, Deserialize)]
struct StoredUser {
    user_id: UserId,
    email: Email,
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

/// Requires that an enrollment is as read: absent, or with the same access by the same payments.
fn access_unchanged(before: Option<&Enrollment>) -> Condition {
    let Some(before) = before else { return Condition::item_absent() };
    let access = AttributeValue::Bool(before.access_granted);
    let condition = Condition::new().equals(attr::ACCESS_GRANTED, access);
    match before.paid_by.is_empty() {
        true => condition.absent(attr::PAID_BY),
        false => condition.equals(attr::PAID_BY, encode_value(&before.paid_by)),
    }
}

/// Stores an enrollment that is in force since a time. Refused if the enrollment has changed since the read.
pub fn put_enrollment_if(
    enrollment: &Enrollment,
    since: Option<Timestamp>,
    before: Option<&Enrollment>,
) -> Action {
    let current = EnrollmentPeriod { enrollment: enrollment.clone(), since, until: None };
    Action { condition: access_unchanged(before), ..put_current_enrollment(&current) }
}

/// Like [`delete_enrollment`], but refused if the enrollment has changed since the read.
pub fn delete_enrollment_if(
    course: &CourseId,
    user: &UserId,
    before: Option<&Enrollment>,
) -> Action {
    Action { condition: access_unchanged(before), ..delete_enrollment(course, user) }
}

/// Stores an enrollment in a course without sessions that may still be archived, so that its beginning does not matter.
pub fn put_enrollment(enrollment: &Enrollment) -> Action {
    let enrollment = enrollment.clone();
    put_current_enrollment(&EnrollmentPeriod { enrollment, since: None, until: None })
}

fn put_current_enrollment(period: &EnrollmentPeriod) -> Action {
    let enrollment = &period.enrollment;
    let mut item = encode(&StoredEnrollment::new(period));
    insert_index_key(
        &mut item,
        Index::ByOwner,
        course_partition(&enrollment.course),
        student_sort_key(&enrollment.user),
    );
    Action::put(
        ItemKey::Enrollment { user: &enrollment.user, course: &enrollment.course },
        item,
        Condition::new(),
    )
}

pub fn delete_enrollment(course: &CourseId, user: &UserId) -> Action {
    Action::delete(ItemKey::Enrollment { user, course }, Condition::new())
}

/// Stores a former enrollment for the rosters of the sessions that were held before its end.
pub fn put_enrollment_period(period: &EnrollmentPeriod, until: Timestamp) -> Action {
    let Enrollment { course, user, .. } = &period.enrollment;
    let mut item = encode(&StoredEnrollment {
        until: Some(until),
        paid_by: BTreeSet::new(),
        ..StoredEnrollment::new(period)
    });
    insert_index_key(
        &mut item,
        Index::ByOwner,
        course_partition(course),
        former_student_sort_key(until, user),
    );
    let life = SignedDuration::from_hours(24 * limit::ENROLLMENT_PERIOD_TTL_DAYS);
    let ttl = until.saturating_add(life).unwrap_or(until);
    item.insert(attr::TTL.to_owned(), number(ttl.as_second()));
    Action::put(ItemKey::EnrollmentPeriod { user, course, until }, item, Condition::new())
}

pub fn delete_enrollment_period(course: &CourseId, user: &UserId, until: Timestamp) -> Action {
    Action::delete(ItemKey::EnrollmentPeriod { user, course, until }, Condition::new())
}

/// Records that a student was in a course, so that an erasure finds their data there.
pub fn put_former_enrollment(course: &CourseId, user: &UserId) -> Action {
    let stored = StoredFormerEnrollment { course_id: course.clone() };
    Action::put(ItemKey::FormerEnrollment { user, course }, encode(&stored), Condition::new())
}

pub fn delete_former_enrollment(course: &CourseId, user: &UserId) -> Action {
    Action::delete(ItemKey::FormerEnrollment { user, course }, Condition::new())
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
pub fn put_email_pointer(user: &User) -> Action {
    let item = encode(&StoredEmailPointer { user_id: user.id.clone(), verified: false });
    Action::put(ItemKey::UserOfEmail(&user.email), item, Condition::new())
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

fn enrollments_range(user: &UserId) -> KeyRange {
    KeyRange {
        pk: user_partition(user),
        prefix: Some(ENROLLMENT_PREFIX.to_owned()),
        consistent: true,
        ..KeyRange::default()
    }
}

impl Store {
    /// Executes many directory commands in batches. The caller removes duplicate keys.
    pub async fn write_directory(&self, actions: Vec<Action>) -> Result<(), StoreError> {
        self.write_all(actions).await
    }

    /// Returns the enrollments of a student, with or without access.
    pub async fn enrollments(&self, user: &UserId) -> Result<Vec<Enrollment>, StoreError> {
        let items = self.query_all(enrollments_range(user)).await?.into_iter();
        items.map(|item| decode::<StoredEnrollment>(item).map(Enrollment::from)).collect()
    }

    /// Like [`Self::enrollments`], without those that cannot be read.
    pub async fn readable_enrollments(&self, user: &UserId) -> Result<Vec<Enrollment>, StoreError> {
        let stored =
            decode_readable::<StoredEnrollment>(self.query_all(enrollments_range(user)).await?);
        Ok(stored.map(Enrollment::from).collect())
    }

    /// Returns the enrollments of a student that were written by requests that began before `at`.
    pub async fn enrollments_requested_before(
        &self,
        user: &UserId,
        at: Timestamp,
    ) -> Result<Vec<Enrollment>, StoreError> {
        let range = KeyRange {
            pk: user_partition(user),
            prefix: Some(ENROLLMENT_PREFIX.to_owned()),
            consistent: true,
            ..KeyRange::default()
        };
        self.requested_before(range, at).await
    }

    /// Returns the enrollments in a course that were written by requests that began before `at`. Eventually consistent.
    pub async fn students_requested_before(
        &self,
        course: &CourseId,
        at: Timestamp,
    ) -> Result<Vec<Enrollment>, StoreError> {
        let range = KeyRange {
            index: Some(Index::ByOwner),
            pk: course_partition(course),
            prefix: Some(STUDENT_PREFIX.to_owned()),
            limit: Some(STUDENTS_PAGE),
            ..KeyRange::default()
        };
        self.requested_before(range, at).await
    }

    async fn requested_before(
        &self,
        range: KeyRange,
        at: Timestamp,
    ) -> Result<Vec<Enrollment>, StoreError> {
        let stored = self.query_all(range).await?.into_iter().map(decode::<StoredEnrollment>);
        let at = at.as_millisecond();
        let is_earlier = |stored: &StoredEnrollment| stored.requested_ms.is_none_or(|ms| ms < at);
        stored
            .filter(|stored| stored.as_ref().map_or(true, is_earlier))
            .map(|stored| stored.map(Enrollment::from))
            .collect()
    }

    /// Returns the courses that a student was removed from.
    pub async fn former_courses(&self, user: &UserId) -> Result<Vec<CourseId>, StoreError> {
        let range = KeyRange {
            pk: user_partition(user),
            prefix: Some(FORMER_ENROLLMENT_PREFIX.to_owned()),
            consistent: true,
            ..KeyRange::default()
        };
        let stored = self.query_all(range).await?.into_iter().map(decode::<StoredFormerEnrollment>);
        stored.map(|stored| stored.map(|stored| stored.course_id)).collect()
    }

    pub async fn enrollment(
        &self,
        user: &UserId,
        course: &CourseId,
    ) -> Result<Option<Enrollment>, StoreError> {
        let item = self.get(ItemKey::Enrollment { user, course }).await?;
        item.map(|item| decode::<StoredEnrollment>(item).map(Enrollment::from)).transpose()
    }

    /// Returns the enrollments in a course. Eventually consistent.
    pub async fn students(&self, course: &CourseId) -> Result<Vec<Enrollment>, StoreError> {
        let range = KeyRange {
            index: Some(Index::ByOwner),
            pk: course_partition(course),
            prefix: Some(STUDENT_PREFIX.to_owned()),
            limit: Some(STUDENTS_PAGE),
            ..KeyRange::default()
        };
        let stored = decode_readable::<StoredEnrollment>(self.query_all(range).await?);
        Ok(stored.map(Enrollment::from).collect())
    }

    /// Returns the enrollments in a course that are in force or ended after `from`. Eventually consistent.
    pub async fn enrollments_since(
        &self,
        course: &CourseId,
        from: Timestamp,
    ) -> Result<Vec<EnrollmentPeriod>, StoreError> {
        let range = KeyRange {
            index: Some(Index::ByOwner),
            pk: course_partition(course),
            from: Some(format!("{FORMER_STUDENT_PREFIX}{}", sortable_text(from))),
            to: Some(AFTER_STUDENTS.to_owned()),
            limit: Some(STUDENTS_PAGE),
            ..KeyRange::default()
        };
        let stored = decode_readable::<StoredEnrollment>(self.query_all(range).await?);
        Ok(stored.map(EnrollmentPeriod::from).collect())
    }

    /// Returns the former enrollments of a student that are still stored.
    pub async fn enrollment_periods(
        &self,
        user: &UserId,
    ) -> Result<Vec<EnrollmentPeriod>, StoreError> {
        let range = KeyRange {
            pk: user_partition(user),
            prefix: Some(ENROLLMENT_PERIOD_PREFIX.to_owned()),
            consistent: true,
            ..KeyRange::default()
        };
        let stored = self.query_all(range).await?.into_iter().map(decode::<StoredEnrollment>);
        stored.map(|stored| stored.map(EnrollmentPeriod::from)).collect()
    }

    /// Returns the number of students with access to a course. Eventually consistent.
    pub async fn count_students(&self, course: &CourseId) -> Result<usize, StoreError> {
        self.count_all(KeyRange {
            index: Some(Index::ByOwner),
            pk: course_partition(course),
            prefix: Some(STUDENT_PREFIX.to_owned()),
            filter: vec![(attr::ACCESS_GRANTED, AttributeValue::Bool(true))],
            ..KeyRange::default()
        })
        .await
    }

    /// Returns the enrollments of `users` in a course, a hundred per request.
    pub async fn enrollments_of_users(
        &self,
        course: &CourseId,
        users: &[UserId],
    ) -> Result<Vec<Enrollment>, StoreError> {
        let current = self.current_enrollments(course, users).await?;
        Ok(current.into_iter().map(|period| period.enrollment).collect())
    }

    /// Returns the enrollments of `users` in a course with their beginnings, a hundred per request.
    pub async fn current_enrollments(
        &self,
        course: &CourseId,
        users: &[UserId],
    ) -> Result<Vec<EnrollmentPeriod>, StoreError> {
        let users: BTreeSet<_> = users.iter().collect();
        let key = |user| ItemKey::Enrollment { user, course };
        let keys: Vec<_> = users.iter().map(|user| key(user)).collect();
        let mut found = self.batch_get(&keys).await?;
        let items = users.into_iter().filter_map(|user| found.take(key(user)));
        Ok(decode_readable::<StoredEnrollment>(items).map(EnrollmentPeriod::from).collect())
    }

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
                Some(entry) if pointer.verified || entry.email == *email => {
                    Some(entry.name.clone())
                }
                None if pointer.verified => None,
                _ => return None,
            };
            Some((email.clone(), DirectoryUser { user, name }))
        });
        Ok(found.collect())
    }

    /// Returns those of `users` who were removed from a course, a hundred per request.
    pub async fn former_students(
        &self,
        course: &CourseId,
        users: &[UserId],
    ) -> Result<BTreeSet<UserId>, StoreError> {
        let users: BTreeSet<_> = users.iter().collect();
        let key = |user| ItemKey::FormerEnrollment { user, course };
        let keys: Vec<_> = users.iter().map(|user| key(user)).collect();
        let mut found = self.batch_get(&keys).await?;
        Ok(users.into_iter().filter(|user| found.take(key(user)).is_some()).cloned().collect())
    }
}

impl BatchItems {
    /// Returns an enrollment with its beginning.
    pub(crate) fn enrollment_period(
        &mut self,
        user: &UserId,
        course: &CourseId,
    ) -> Result<Option<EnrollmentPeriod>, StoreError> {
        self.take(ItemKey::Enrollment { user, course })
            .map(|item| decode::<StoredEnrollment>(item).map(EnrollmentPeriod::from))
            .transpose()
    }

    pub(crate) fn enrollment(
        &mut self,
        user: &UserId,
        course: &CourseId,
    ) -> Result<Option<Enrollment>, StoreError> {
        self.take(ItemKey::Enrollment { user, course })
            .map(|item| decode::<StoredEnrollment>(item).map(Enrollment::from))
            .transpose()
    }

    pub(crate) fn user(&mut self, id: &UserId) -> Result<Option<User>, StoreError> {
        self.take(ItemKey::User(id))
            .map(|item| decode::<StoredUser>(item).map(User::from))
            .transpose()
    }

    /// Returns whether an enrollment gives access, or an invitee is on the list.
    pub(crate) fn is_in_audience(&mut self, key: ItemKey<'_>) -> Result<bool, StoreError> {
        match (key, self.take(key)) {
            (_, None) => Ok(false),
            (ItemKey::Enrollment { .. }, Some(item)) => {
                decode::<StoredAccess>(item).map(|enrollment| enrollment.access_granted)
            }
            (_, Some(_)) => Ok(true),
        }
    }

    pub(crate) fn course(&mut self, id: &CourseId) -> Result<Option<Course>, StoreError> {
        self.take(ItemKey::Course(id))
            .map(|item| decode::<StoredCourse>(item).map(Course::from))
            .transpose()
    }
}
