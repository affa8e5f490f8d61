//! The host platform's courses, enrollments and users.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::hosting::Hosting;
use super::id::{CourseId, PaymentId, UserId};
use super::session_defaults::SessionDefaults;
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
    /// `None` for a student who gets in-app notifications and no mails, unless the user's own entry has an address.
    pub email: Option<Email>,
    pub name: PersonName,
    pub access_granted: bool,
    /// Earlier addresses, which may still hold calendar entries.
    pub former_emails: Vec<Email>,
    /// The payments that give access. Empty if the directory gives it.
    pub paid_by: BTreeSet<PaymentId>,
}

impl Enrollment {
    /// Returns the present and the former addresses.
    pub fn emails(&self) -> impl Iterator<Item = &Email> {
        self.email.iter().chain(&self.former_emails)
    }

    /// Adds the addresses of the enrollment that this one replaces to the former ones.
    pub fn replacing(self, old: Option<&Self>) -> Self {
        match old {
            Some(old) => self.replacing_address(old.email.as_ref(), &old.former_emails),
            None => self,
        }
    }

    /// Adds an address and the former ones before it to the former addresses.
    pub fn replacing_address(mut self, old: Option<&Email>, former: &[Email]) -> Self {
        self.former_emails = former_emails(old, former, self.email.as_ref());
        self
    }
}

/// An enrollment with the time for which it was in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrollmentPeriod {
    pub enrollment: Enrollment,
    /// The time of the change that began it. `None` if it began before any session that the period matters for.
    pub since: Option<Timestamp>,
    /// The time of the change that ended it.
    pub until: Option<Timestamp>,
}

impl EnrollmentPeriod {
    /// Returns whether the student had access at some time from `from` to `to`.
    pub fn overlaps(&self, from: Timestamp, to: Timestamp) -> bool {
        self.enrollment.access_granted
            && self.since.is_none_or(|since| since <= to)
            && self.until.is_none_or(|until| until > from)
    }

    /// Returns the period as it is stored once `change` replaces it at `at`. `None` if it continues or is empty, or if the
    /// student had no access. Another address ends a period, because the person took part under the earlier one.
    pub fn ended_by(&self, change: Option<&Enrollment>, at: Timestamp) -> Option<Self> {
        let continues = change.is_some_and(|next| next.access_granted && self.has_address_of(next));
        let ends = self.enrollment.access_granted && !continues && self.since != Some(at);
        ends.then(|| Self { until: Some(at), ..self.clone() })
    }

    /// Returns whether `next` has the address of the period, or whether the period has none under which the person took part.
    fn has_address_of(&self, next: &Enrollment) -> bool {
        self.enrollment.email.is_none() || self.enrollment.email == next.email
    }

    /// Returns since when `next` is in force if it replaces `before` at `at`.
    pub fn since_of(next: &Enrollment, before: Option<&Self>, at: Timestamp) -> Option<Timestamp> {
        match before {
            _ if !next.access_granted => None,
            Some(before) if before.enrollment.access_granted && before.has_address_of(next) => {
                before.since
            }
            _ => Some(at),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct User {
    pub id: UserId,
    /// `None` for a person whom the platform knows without an address.
    pub email: Option<Email>,
    pub name: PersonName,
    pub role: String,
    pub plan: Option<String>,
    /// A BCP 47 tag. It is not used yet, because every mail is in English.
    pub locale: Option<String>,
    /// The hosting of a trainer's meetings, where the deployment leaves it to the directory.
    pub hosting: Option<Hosting>,
    /// The values of a trainer's sessions that a request leaves out.
    pub defaults: SessionDefaults,
    /// Earlier addresses, which may still hold calendar entries.
    pub former_emails: Vec<Email>,
}

impl User {
    /// Returns the present and the former addresses.
    pub fn emails(&self) -> impl Iterator<Item = &Email> {
        self.email.iter().chain(&self.former_emails)
    }

    /// Returns the address to which the user's mails go: that of this entry, or else `enrolled`, the address of an enrollment.
    /// An address that this entry had before is not used again.
    pub fn current_email<'a>(&'a self, enrolled: Option<&'a Email>) -> Option<&'a Email> {
        let enrolled = enrolled.filter(|email| !self.former_emails.contains(email));
        self.email.as_ref().or(enrolled)
    }
}

/// The maximum number of earlier addresses of a person. Nobody changes the address more often while a session is
/// planned.
const FORMER_EMAILS_LIMIT: usize = 10;

/// Returns the former addresses after the address `old` with these former ones was replaced by `new`.
pub fn former_emails(old: Option<&Email>, former: &[Email], new: Option<&Email>) -> Vec<Email> {
    let earlier = former.iter().filter(|email| Some(*email) != old);
    let all = earlier.chain(old).filter(|email| Some(*email) != new);
    let mut all: Vec<_> = all.cloned().collect();
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
    SaveUser {
        user: User,
        /// The link of the user's defaults, which is encrypted before it is stored.
        default_link: Option<String>,
    },
    /// Deletes the person's data.
    EraseUser(UserId),
    SaveSettings(super::plan::PlatformSettings),
}

/// The name that replaces an erased person's name.
pub const ERASED_NAME: &str = "(erased)";

/// The time zone of a session if the trainer gives none.
#[derive(Clone, Debug)]
pub struct DefaultZone(pub Zone);

#[cfg(test)]
mod tests {
    use super::*;

    fn enrollment(email: &str, access_granted: bool) -> Enrollment {
        Enrollment {
            course: CourseId::parse("c").unwrap(),
            user: UserId::parse("u").unwrap(),
            email: (!email.is_empty()).then(|| Email::parse(email).unwrap()),
            name: PersonName::parse("Ada").unwrap(),
            access_granted,
            former_emails: Vec::new(),
            paid_by: BTreeSet::new(),
        }
    }

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(60 * minute).unwrap()
    }

    fn period(access: bool, since: Option<i64>, until: Option<i64>) -> EnrollmentPeriod {
        EnrollmentPeriod {
            enrollment: enrollment("a@example.test", access),
            since: since.map(at),
            until: until.map(at),
        }
    }

    #[test]
    fn period_overlaps_the_time_in_which_the_student_had_access() {
        // Access, since, until, and whether it overlaps minutes 10 to 20.
        let cases = [
            (true, None, None, true),
            (true, Some(20), None, true),
            (true, Some(21), None, false),
            (true, None, Some(10), false),
            (true, None, Some(11), true),
            (true, Some(12), Some(13), true),
            (false, None, None, false),
        ];
        for (access, since, until, expected) in cases {
            let period = period(access, since, until);
            assert_eq!(period.overlaps(at(10), at(20)), expected, "{period:?}");
        }
    }

    #[test]
    fn mails_go_to_the_address_of_the_user_or_else_of_the_enrollment() {
        let email = |name: &str| Email::parse(&format!("{name}@example.test")).unwrap();
        // The user's address, the former ones, that of the enrollment, and the one that counts.
        let cases = [
            (Some("own"), vec![], Some("enrolled"), Some("own")),
            (Some("own"), vec![], None, Some("own")),
            (None, vec![], Some("enrolled"), Some("enrolled")),
            (None, vec!["enrolled"], Some("enrolled"), None),
            (None, vec!["other"], Some("enrolled"), Some("enrolled")),
            (None, vec!["other"], None, None),
        ];
        for (own, former, enrolled, expected) in cases {
            let user = User {
                id: UserId::parse("u").unwrap(),
                email: own.map(email),
                name: PersonName::parse("Ada").unwrap(),
                role: "student".to_owned(),
                plan: None,
                locale: None,
                hosting: None,
                defaults: SessionDefaults::default(),
                former_emails: former.into_iter().map(email).collect(),
            };
            let enrolled = enrolled.map(email);
            let current = user.current_email(enrolled.as_ref()).cloned();
            assert_eq!(current, expected.map(email), "{user:?} {enrolled:?}");
        }
    }

    #[test]
    fn period_ends_with_the_access_or_the_address() {
        let (same, other) =
            (enrollment("a@example.test", true), enrollment("b@example.test", true));
        let revoked = enrollment("a@example.test", false);
        let before = period(true, Some(1), None);
        // The change, whether it ends the period, and since when the new enrollment is in force.
        let cases = [
            (Some(&same), false, Some(1)),
            (Some(&other), true, Some(5)),
            (Some(&revoked), true, None),
            (None, true, None),
        ];
        for (change, ends, since) in cases {
            let ended = before.ended_by(change, at(5));
            assert_eq!(ended.map(|ended| ended.until), ends.then_some(Some(at(5))), "{change:?}");
            if let Some(change) = change {
                let next = EnrollmentPeriod::since_of(change, Some(&before), at(5));
                assert_eq!(next, since.map(at), "{change:?}");
            }
        }
        assert_eq!(period(true, Some(5), None).ended_by(None, at(5)), None, "an empty period");
        // The first address ends nothing, because nobody took part under another one. Its removal does.
        let without = enrollment("", true);
        let before_address = EnrollmentPeriod { enrollment: without.clone(), ..before.clone() };
        assert_eq!(before_address.ended_by(Some(&same), at(5)), None);
        assert_eq!(EnrollmentPeriod::since_of(&same, Some(&before_address), at(5)), Some(at(1)));
        assert!(before.ended_by(Some(&without), at(5)).is_some());
        let without_access = period(false, None, None);
        assert_eq!(without_access.ended_by(None, at(5)), None);
        for before in [None, Some(&without_access)] {
            assert_eq!(EnrollmentPeriod::since_of(&same, before, at(5)), Some(at(5)));
        }
    }
}
