//! Validates the host platform's data. HTTP bodies, import lines and events have the same shape.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::domain::directory::{Course, DirectoryCommand, Enrollment, User};
use crate::domain::draft::parse_join_url;
use crate::domain::hosting::Hosting;
use crate::domain::id::{CourseId, UserId};
use crate::domain::plan::PlatformSettings;
use crate::domain::refusal::Refusal;
use crate::domain::session::Provider;
use crate::domain::session_defaults::SessionDefaults;
use crate::domain::settings::MeetingSettings;
use crate::domain::text::{Email, PersonName, Title};

/// The length limit of role names, plan names and language tags.
pub const WORD_LIMIT_CHARS: usize = 64;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CourseBody {
    title: String,
    trainer_id: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EnrollmentBody {
    email: Option<String>,
    name: String,
    #[serde(default = "granted")]
    access_granted: bool,
}

fn granted() -> bool {
    true
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UserBody {
    email: Option<String>,
    name: String,
    role: String,
    plan: Option<String>,
    locale: Option<String>,
    hosting: Option<Hosting>,
    defaults: Option<DefaultsBody>,
}

/// A trainer's values for the fields that a save body leaves out.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DefaultsBody {
    provider: Option<Provider>,
    record_session: Option<bool>,
    settings: Option<MeetingSettings>,
    join_url: Option<String>,
}

/// The maximum number of trainers in the pilot. Settings are one item, which DynamoDB limits to 400 KB. This many ids of 128 bytes and plans with long names take
/// two thirds of that.
pub const PILOT_LIMIT: usize = 2_000;
/// The maximum number of plans.
pub const PLANS_LIMIT: usize = 100;
/// How many meetings a Zoom user may run at a time. The largest of Zoom's plans allow fewer.
pub const HOST_CAPACITY: std::ops::RangeInclusive<u32> = 1..=20;

fn field<T, E: ToString>(name: &str, result: Result<T, E>) -> Result<T, Refusal> {
    result.map_err(|error| Refusal::field(name, error))
}

fn word(name: &str, text: String) -> Result<String, Refusal> {
    let fits = (1..=WORD_LIMIT_CHARS).contains(&text.chars().count())
        && !text.chars().any(char::is_control);
    if fits {
        Ok(text)
    } else {
        Err(Refusal::field(name, format!("must have 1 to {WORD_LIMIT_CHARS} characters")))
    }
}

/// Checks the shape of a language tag (BCP 47, RFC 5646, section 2.1): a language of 2 to 8 letters, then subtags of
/// up to 8 letters and digits, as in `de`, `de-CH` or `zh-Hant-TW`. Whether the subtags are registered is not checked.
fn locale(tag: String) -> Result<String, Refusal> {
    let mut subtags = tag.split('-');
    let language = subtags.next().unwrap_or_default();
    let well_formed = tag.len() <= WORD_LIMIT_CHARS
        && (2..=8).contains(&language.len())
        && language.bytes().all(|byte| byte.is_ascii_alphabetic())
        && subtags.all(|subtag| {
            (1..=8).contains(&subtag.len()) && subtag.bytes().all(|b| b.is_ascii_alphanumeric())
        });
    if well_formed {
        Ok(tag)
    } else {
        Err(Refusal::field("locale", "must be a language tag, as in de or de-CH"))
    }
}

fn email(address: Option<String>) -> Result<Option<Email>, Refusal> {
    address.map(|address| field("email", Email::parse(&address))).transpose()
}

fn course_id(id: &str) -> Result<CourseId, Refusal> {
    field("course_id", CourseId::parse(id))
}

fn user_id(id: &str) -> Result<UserId, Refusal> {
    field("user_id", UserId::parse(id))
}

pub(super) fn course(id: &str, body: CourseBody) -> Result<DirectoryCommand, Refusal> {
    Ok(DirectoryCommand::SaveCourse(Course {
        id: course_id(id)?,
        title: field("title", Title::parse(&body.title))?,
        trainer: field("trainer_id", UserId::parse(&body.trainer_id))?,
    }))
}

pub(super) fn delete_course(id: &str) -> Result<DirectoryCommand, Refusal> {
    Ok(DirectoryCommand::DeleteCourse(course_id(id)?))
}

pub(super) fn enrollment(
    course: &str,
    user: &str,
    body: EnrollmentBody,
) -> Result<DirectoryCommand, Refusal> {
    Ok(DirectoryCommand::SaveEnrollment(Enrollment {
        course: course_id(course)?,
        user: user_id(user)?,
        email: email(body.email)?,
        name: field("name", PersonName::parse(&body.name))?,
        access_granted: body.access_granted,
        former_emails: Vec::new(),
        paid_by: BTreeSet::new(),
    }))
}

pub(super) fn delete_enrollment(course: &str, user: &str) -> Result<DirectoryCommand, Refusal> {
    Ok(DirectoryCommand::DeleteEnrollment { course: course_id(course)?, user: user_id(user)? })
}

pub(super) fn user(id: &str, body: UserBody) -> Result<DirectoryCommand, Refusal> {
    let DefaultsBody { provider, record_session, settings, join_url } =
        body.defaults.unwrap_or_default();
    let default_link = join_url.map(|link| field("defaults.join_url", parse_join_url(&link)));
    let user = User {
        id: user_id(id)?,
        email: email(body.email)?,
        name: field("name", PersonName::parse(&body.name))?,
        role: word("role", body.role)?,
        plan: body.plan.map(|plan| word("plan", plan)).transpose()?,
        locale: body.locale.map(locale).transpose()?,
        hosting: body.hosting,
        defaults: SessionDefaults { provider, record_session, settings, join_url: None },
        former_emails: Vec::new(),
    };
    Ok(DirectoryCommand::SaveUser { user, default_link: default_link.transpose()? })
}

pub(super) fn settings(settings: PlatformSettings) -> Result<DirectoryCommand, Refusal> {
    if settings.plans.len() > PLANS_LIMIT {
        return Err(Refusal::field("plans", format!("must have at most {PLANS_LIMIT} entries")));
    }
    for name in settings.plans.keys() {
        word("plans", name.clone())?;
    }
    if settings.pilot_trainer_ids.as_ref().is_some_and(|pilot| pilot.len() > PILOT_LIMIT) {
        return Err(Refusal::field(
            "pilot_trainer_ids",
            format!("must have at most {PILOT_LIMIT} entries"),
        ));
    }
    if settings.host_capacity.is_some_and(|capacity| !HOST_CAPACITY.contains(&capacity)) {
        let (least, most) = (HOST_CAPACITY.start(), HOST_CAPACITY.end());
        return Err(Refusal::field("host_capacity", format!("must be {least} to {most}")));
    }
    Ok(DirectoryCommand::SaveSettings(settings))
}

pub(super) fn delete_user(id: &str) -> Result<DirectoryCommand, Refusal> {
    Ok(DirectoryCommand::EraseUser(user_id(id)?))
}
