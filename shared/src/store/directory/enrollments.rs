//! Enrollments: the access of students to courses, now and earlier.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::domain::directory::{Enrollment, EnrollmentPeriod};
use crate::domain::id::{CourseId, PaymentId, UserId};
use crate::domain::text::{Email, PersonName};
use crate::domain::time::sortable_text;
use crate::store::error::StoreError;
use crate::store::item::{decode, decode_readable, encode, encode_value, or_default};
use crate::store::schema::{
    AFTER_STUDENTS, ENROLLMENT_PERIOD_PREFIX, ENROLLMENT_PREFIX, FORMER_ENROLLMENT_PREFIX,
    FORMER_STUDENT_PREFIX, Index, ItemKey, STUDENT_PREFIX, attr, course_partition,
    former_student_sort_key, limit, student_sort_key, user_partition,
};
use crate::store::tx::{Action, Condition, insert_index_key, number};
use crate::store::{BatchItems, KeyRange, Store};

/// Students per request: about a quarter of the one megabyte that DynamoDB returns at most.
const STUDENTS_PAGE: i32 = 1000;

#[derive(Serialize, Deserialize)]
struct StoredEnrollment {
    course_id: CourseId,
    user_id: UserId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    email: Option<Email>,
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

fn enrollments_range(user: &UserId) -> KeyRange {
    KeyRange {
        pk: user_partition(user),
        prefix: Some(ENROLLMENT_PREFIX.to_owned()),
        consistent: true,
        ..KeyRange::default()
    }
}

impl Store {
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

    /// Executes many directory commands in batches. The caller removes duplicate keys.
    pub async fn write_directory(&self, actions: Vec<Action>) -> Result<(), StoreError> {
        self.write_all(actions).await
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
}
