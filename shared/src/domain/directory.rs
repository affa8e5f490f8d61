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
    /// Earlier addresses, which may still hold calendar entries.
    pub former_emails: Vec<Email>,
}

impl Enrollment {
    /// Adds the addresses of the enrollment that this one replaces to the former ones.
    pub fn replacing(self, old: Option<&Self>) -> Self {
        match old {
            Some(old) => self.replacing_address(&old.email, &old.former_emails),
            None => self,
        }
    }

    /// Adds an address and the former ones before it to the former addresses.
    pub fn replacing_address(mut self, old: &Email, former: &[Email]) -> Self {
        self.former_emails = former_emails(old, former, &self.email);
        self
    }
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
    /// Earlier addresses, which may still hold calendar entries.
    pub former_emails: Vec<Email>,
}

/// The maximum number of earlier addresses of a person. Nobody changes the address more often while a session is
/// planned.
const FORMER_EMAILS_LIMIT: usize = 10;

/// Returns the former addresses after the address `old` with these former ones was replaced by `new`.
pub fn former_emails(old: &Email, former: &[Email], new: &Email) -> Vec<Email> {
    let earlier = former.iter().filter(|email| *email != old);
    let mut all: Vec<_> = earlier.chain([old]).filter(|email| *email != new).cloned().collect();
    let excess = all.len().saturating_sub(FORMER_EMAILS_LIMIT);
    all.drain(..excess);
    all
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
