//! The host platform's courses, people and settings, as it told them.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::item::{decode, encode};
use super::schema::{
    ENROLLMENT_PREFIX, ItemKey, LEFT_PREFIX, STUDENT_PREFIX, attr, course_partition, index,
    student_sort, user_partition,
};
use super::tx::{Action, Guard, text};
use super::{BatchItems, KeyRange, Store};
use crate::domain::directory::{Course, Enrollment, User};
use crate::domain::id::{CourseId, UserId};
use crate::domain::plan::Settings;
use crate::domain::text::{Email, PersonName, Title};

/// Students read in one request: a quarter of the megabyte that one may be, which takes no time worth mentioning.
const STUDENTS_AT_ONCE: i32 = 1000;

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
}

impl From<StoredEnrollment> for Enrollment {
    fn from(s: StoredEnrollment) -> Self {
        Self {
            course: s.course_id,
            user: s.user_id,
            email: s.email,
            name: s.name,
            access_granted: s.access_granted,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct StoredLeft {
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
        }
    }
}

#[derive(Serialize, Deserialize)]
struct StoredSettings {
    settings: Settings,
}

pub fn put_course(course: &Course) -> Action {
    let stored = StoredCourse {
        course_id: course.id.clone(),
        title: course.title.clone(),
        trainer_id: course.trainer.clone(),
    };
    Action::put(ItemKey::Course(&course.id), encode(&stored), Guard::new())
}

pub fn delete_course(id: &CourseId) -> Action {
    Action::delete(ItemKey::Course(id), Guard::new())
}

/// A place in a course is as it was read: with access, without, or not there.
fn place_as_read(access: Option<bool>) -> Guard {
    match access {
        None => Guard::new_item(),
        Some(access) => Guard::new().equals(attr::ACCESS_GRANTED, AttributeValue::Bool(access)),
    }
}

/// The same as [`put_enrollment`], refused when access to the course is no longer as it was read.
pub fn put_enrollment_if(enrollment: &Enrollment, access: Option<bool>) -> Action {
    Action { guard: place_as_read(access), ..put_enrollment(enrollment) }
}

/// The same as [`delete_enrollment`], refused when access to the course is no longer as it was read.
pub fn delete_enrollment_if(course: &CourseId, user: &UserId, access: Option<bool>) -> Action {
    Action { guard: place_as_read(access), ..delete_enrollment(course, user) }
}

pub fn put_enrollment(enrollment: &Enrollment) -> Action {
    let mut item = encode(&StoredEnrollment {
        course_id: enrollment.course.clone(),
        user_id: enrollment.user.clone(),
        email: enrollment.email.clone(),
        name: enrollment.name.clone(),
        access_granted: enrollment.access_granted,
    });
    item.insert(attr::G1PK.to_owned(), text(course_partition(&enrollment.course)));
    item.insert(attr::G1SK.to_owned(), text(student_sort(&enrollment.user)));
    Action::put(
        ItemKey::Enrollment { user: &enrollment.user, course: &enrollment.course },
        item,
        Guard::new(),
    )
}

pub fn delete_enrollment(course: &CourseId, user: &UserId) -> Action {
    Action::delete(ItemKey::Enrollment { user, course }, Guard::new())
}

/// Notes that a student was once in a course, for whoever has to find what they left there when they are erased.
pub fn put_left(course: &CourseId, user: &UserId) -> Action {
    let stored = StoredLeft { course_id: course.clone() };
    Action::put(ItemKey::FormerEnrollment { user, course }, encode(&stored), Guard::new())
}

pub fn delete_left(course: &CourseId, user: &UserId) -> Action {
    Action::delete(ItemKey::FormerEnrollment { user, course }, Guard::new())
}

pub fn put_user(user: &User) -> Action {
    let stored = StoredUser {
        user_id: user.id.clone(),
        email: user.email.clone(),
        name: user.name.clone(),
        role: user.role.clone(),
        plan: user.plan.clone(),
        locale: user.locale.clone(),
    };
    Action::put(ItemKey::User(&user.id), encode(&stored), Guard::new())
}

pub fn delete_user(id: &UserId) -> Action {
    Action::delete(ItemKey::User(id), Guard::new())
}

#[derive(Serialize, Deserialize)]
struct StoredPointer {
    user_id: UserId,
    /// Whether the person showed themselves that the address is theirs. Then it need not stand in their entry.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    verified: bool,
}

/// Points from a user's address to them. Of two users who claim one address, the later has it.
pub fn point_from_email(user: &User) -> Action {
    let item = encode(&StoredPointer { user_id: user.id.clone(), verified: false });
    Action::put(ItemKey::UserOfEmail(&user.email), item, Guard::new())
}

/// Points from an address to the person whose token says that it was verified; refused when the address is known to be
/// somebody's, whose entry says so or who was here before.
pub fn point_from_verified_email(email: &Email, user: &UserId) -> Action {
    let item = encode(&StoredPointer { user_id: user.clone(), verified: true });
    Action::put(ItemKey::UserOfEmail(email), item, Guard::new_item())
}

/// Takes that back; refused when the address is another user's by now.
pub fn forget_email(email: &Email, user: &UserId) -> Action {
    let guard = Guard::new().equals(attr::USER_ID, text(user.as_str()));
    Action::delete(ItemKey::UserOfEmail(email), guard)
}

pub fn put_settings(settings: &Settings) -> Action {
    Action::put(ItemKey::Settings, encode(&StoredSettings { settings: settings.clone() }), Guard::new())
}

/// Who an address belongs to, and what they are called where that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryUser {
    pub user: UserId,
    pub name: Option<PersonName>,
}

impl Store {
    /// Carries out many statements; a thing that stands in the list twice must have been reduced to its last word.
    pub async fn put_all(&self, actions: Vec<Action>) -> Result<(), StoreError> {
        self.write_all(actions).await
    }

    /// Every course that a student is enrolled in, with or without access.
    pub async fn enrollments(&self, user: &UserId) -> Result<Vec<Enrollment>, StoreError> {
        let range = KeyRange {
            pk: user_partition(user),
            prefix: Some(ENROLLMENT_PREFIX.to_owned()),
            consistent: true,
            ..KeyRange::default()
        };
        let stored = self.query_all(range).await?.into_iter().map(decode::<StoredEnrollment>);
        stored.map(|stored| stored.map(Enrollment::from)).collect()
    }

    /// The courses that a student was taken out of.
    pub async fn left_courses(&self, user: &UserId) -> Result<Vec<CourseId>, StoreError> {
        let range = KeyRange {
            pk: user_partition(user),
            prefix: Some(LEFT_PREFIX.to_owned()),
            consistent: true,
            ..KeyRange::default()
        };
        let stored = self.query_all(range).await?.into_iter().map(decode::<StoredLeft>);
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

    /// Every enrollment in a course, as the index knows it.
    pub async fn students(&self, course: &CourseId) -> Result<Vec<Enrollment>, StoreError> {
        let range = KeyRange {
            index: Some(index::BY_OWNER),
            pk: course_partition(course),
            prefix: Some(STUDENT_PREFIX.to_owned()),
            limit: Some(STUDENTS_AT_ONCE),
            ..KeyRange::default()
        };
        let stored = self.query_all(range).await?.into_iter().map(decode::<StoredEnrollment>);
        stored.map(|stored| stored.map(Enrollment::from)).collect()
    }

    /// How many students have access to a course, as the index knows it.
    pub async fn count_students(&self, course: &CourseId) -> Result<usize, StoreError> {
        self.count_all(KeyRange {
            index: Some(index::BY_OWNER),
            pk: course_partition(course),
            prefix: Some(STUDENT_PREFIX.to_owned()),
            filter: vec![(attr::ACCESS_GRANTED, AttributeValue::Bool(true))],
            ..KeyRange::default()
        })
        .await
    }

    /// The places in a course of those of `users` who have one, one request for a hundred.
    pub async fn enrollments_in(
        &self,
        course: &CourseId,
        users: &[UserId],
    ) -> Result<Vec<Enrollment>, StoreError> {
        let users: BTreeSet<_> = users.iter().collect();
        let key = |user| ItemKey::Enrollment { user, course };
        let keys: Vec<_> = users.iter().map(|user| key(user)).collect();
        let mut found = self.batch_get(&keys).await?;
        let items = users.into_iter().filter_map(|user| found.take(key(user)));
        items.map(|item| decode::<StoredEnrollment>(item).map(Enrollment::from)).collect()
    }

    pub async fn user(&self, id: &UserId) -> Result<Option<User>, StoreError> {
        self.get(ItemKey::User(id))
            .await?
            .map(|item| decode::<StoredUser>(item).map(User::from))
            .transpose()
    }

    /// Those of `ids` who are known, one request for a hundred.
    pub async fn users(&self, ids: &[UserId]) -> Result<BTreeMap<UserId, User>, StoreError> {
        let ids: BTreeSet<_> = ids.iter().collect();
        let keys: Vec<_> = ids.iter().map(|id| ItemKey::User(id)).collect();
        let mut found = self.batch_get(&keys).await?;
        let mut users = BTreeMap::new();
        for id in ids {
            users.extend(found.user(id)?.map(|user| (id.clone(), user)));
        }
        Ok(users)
    }

    /// The people who have these addresses, two requests for a hundred of them. A pointer is only where to look: the
    /// user's own entry says whether the address is still theirs, unless they showed it themselves.
    pub async fn users_by_email(
        &self,
        emails: &[Email],
    ) -> Result<BTreeMap<Email, DirectoryUser>, StoreError> {
        let emails: BTreeSet<_> = emails.iter().collect();
        let keys: Vec<_> = emails.iter().map(|email| ItemKey::UserOfEmail(email)).collect();
        let mut found = self.batch_get(&keys).await?;
        let mut pointers = Vec::new();
        for email in emails {
            let pointer = found.take(ItemKey::UserOfEmail(email)).map(decode::<StoredPointer>);
            pointers.extend(pointer.transpose()?.map(|pointer| (email, pointer)));
        }
        let ids: Vec<_> = pointers.iter().map(|(_, pointer)| pointer.user_id.clone()).collect();
        let users = self.users(&ids).await?;
        let known = pointers.into_iter().filter_map(|(email, pointer)| {
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
        Ok(known.collect())
    }

    /// Those of `users` who were once in a course and taken out of it, one request for a hundred.
    pub async fn who_left(
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

    pub async fn settings(&self) -> Result<Settings, StoreError> {
        let stored = self.get(ItemKey::Settings).await?.map(decode::<StoredSettings>).transpose()?;
        Ok(stored.map(|stored| stored.settings).unwrap_or_default())
    }
}

impl BatchItems {
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
        self.take(ItemKey::User(id)).map(|item| decode::<StoredUser>(item).map(User::from)).transpose()
    }

    /// Whether an enrollment gives access, or an invitee stands in a list.
    pub(crate) fn invites(&mut self, key: ItemKey<'_>) -> Result<bool, StoreError> {
        match (key, self.take(key)) {
            (_, None) => Ok(false),
            (ItemKey::Enrollment { .. }, Some(item)) => {
                decode::<StoredEnrollment>(item).map(|enrollment| enrollment.access_granted)
            }
            (_, Some(_)) => Ok(true),
        }
    }

    pub(crate) fn course(&mut self, id: &CourseId) -> Result<Option<Course>, StoreError> {
        self.take(ItemKey::Course(id))
            .map(|item| decode::<StoredCourse>(item).map(Course::from))
            .transpose()
    }

    pub(crate) fn settings(&mut self) -> Result<Settings, StoreError> {
        let stored = self.take(ItemKey::Settings).map(decode::<StoredSettings>).transpose()?;
        Ok(stored.map(|stored| stored.settings).unwrap_or_default())
    }
}
