//! What the host platform tells us of its courses and people.

use super::id::{CourseId, UserId};
use super::text::{Email, PersonName, Title};
use super::time::Zone;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Course {
    pub id: CourseId,
    pub title: Title,
    pub trainer: UserId,
}

/// A student's place in a course.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrollment {
    pub course: CourseId,
    pub user: UserId,
    pub email: Email,
    pub name: PersonName,
    pub access_granted: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct User {
    pub id: UserId,
    pub email: Email,
    pub name: PersonName,
    pub role: String,
    pub plan: Option<String>,
    /// A BCP 47 tag. Every mail is in English so far, and nothing reads this.
    pub locale: Option<String>,
}

/// One thing that the host platform says. The same vocabulary by HTTP, in an import, and as events.
#[derive(Clone, Debug, PartialEq)]
pub enum DirectoryCommand {
    Course(Course),
    NoCourse(CourseId),
    Enrollment(Enrollment),
    NoEnrollment {
        course: CourseId,
        user: UserId,
    },
    User(User),
    /// The person is to be forgotten.
    NoUser(UserId),
    Settings(super::plan::Settings),
}

/// What somebody is called, where they were, after they were forgotten.
pub const ERASED_NAME: &str = "(erased)";

/// The zone that a class gets when its trainer names none.
#[derive(Clone, Debug)]
pub struct DefaultZone(pub Zone);
