//! The host platform's courses, enrollments and users.

use super::id::{CourseId, UserId};
use super::text::{Email, PersonName, Title};
use super::time::Zone;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Course {
    pub id: CourseId,
    pub title: Title,
    pub trainer: UserId,
}

/// A student's access to a course.
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
    /// A BCP 47 tag. It is not used yet, because every mail is in English.
    pub locale: Option<String>,
}

/// A change of the directory that the host platform sends by HTTP, import file or event.
#[derive(Clone, Debug, PartialEq)]
pub enum DirectoryCommand {
    SaveCourse(Course),
    DeleteCourse(CourseId),
    SaveEnrollment(Enrollment),
    DeleteEnrollment {
        course: CourseId,
        user: UserId,
    },
    SaveUser(User),
    /// Deletes the person's data.
    EraseUser(UserId),
    SaveSettings(super::plan::PlatformSettings),
}

/// The name that replaces an erased person's name.
pub const ERASED_NAME: &str = "(erased)";

/// The time zone of a session if the trainer gives none.
#[derive(Clone, Debug)]
pub struct DefaultZone(pub Zone);
