//! Applies the host platform's directory commands about courses, enrollments, users and settings.

mod enrollment_changes;
mod erase;
mod leads;
mod references;
mod repetition;

use std::collections::{BTreeMap, BTreeSet};

use futures::stream::{self, StreamExt, TryStreamExt};
use jiff::Timestamp;

pub use self::enrollment_changes::EnrollmentTransaction;
use self::enrollment_changes::SessionsByCourse;
use self::leads::{Leads, begin_erasure};
pub use self::references::check_plan;
use self::references::import_warnings;
pub use self::repetition::repeat_erasure;
use super::error::Error;
use super::{Services, default_link};
use crate::domain::directory::{DirectoryCommand, Enrollment, User, former_emails};
use crate::domain::id::{CourseId, UserId};
use crate::domain::import_references::{ImportReferences, ImportWarning};
use crate::domain::text::Email;
use crate::domain::time::{whole_milli, whole_second};
use crate::store::directory as items;
use crate::store::erasures;
use crate::store::error::CommitError;
use crate::store::settings;
use crate::store::tx::Action;

/// Concurrent writes of an import. DynamoDB accepts far more. Our memory is the limit.
const CONCURRENCY: usize = 16;
/// Commands per batch of plain puts and deletes: DynamoDB's own limit times the concurrency.
pub const BATCH: usize = 400;

/// Applies one command. Commands are idempotent.
pub async fn apply(services: &Services, command: DirectoryCommand) -> Result<(), Error> {
    match command {
        DirectoryCommand::DeleteCourse(id) => remove_course(services, &id).await,
        DirectoryCommand::EraseUser(id) => erase::erase(services, &id).await,
        plain => {
            let began_at = whole_milli(services.clock.now());
            put(services, vec![plain], &mut SessionsByCourse::default(), began_at).await
        }
    }
}

/// Applies a command that the platform issued at `issued_at`. A command that is delivered after a later erasure of its person
/// or removal of its course is ignored.
pub async fn apply_issued(
    services: &Services,
    command: DirectoryCommand,
    issued_at: Timestamp,
) -> Result<(), Error> {
    let subjects = match &command {
        DirectoryCommand::SaveUser { user, .. } => vec![erasures::person_digest(&user.id)],
        DirectoryCommand::SaveCourse(course) => vec![erasures::course_digest(&course.id)],
        DirectoryCommand::SaveEnrollment(enrollment) => vec![
            erasures::person_digest(&enrollment.user),
            erasures::course_digest(&enrollment.course),
        ],
        _ => Vec::new(),
    };
    if let Some(erased_at) = services.store.last_erasure(&subjects).await?
        // EventBridge's times have whole seconds.
        && issued_at < whole_second(erased_at)
    {
        tracing::info!(event = "directory.command_overtaken");
        return Ok(());
    }
    apply(services, command).await
}

/// Applies the commands of one request in batches. Commands about the same item are applied in their order.
#[derive(Debug)]
pub struct BatchWriter<'a> {
    services: &'a Services,
    began_at: Timestamp,
    sessions: SessionsByCourse,
}

impl<'a> BatchWriter<'a> {
    pub fn new(services: &'a Services) -> Self {
        let began_at = whole_milli(services.clock.now());
        Self { services, began_at, sessions: SessionsByCourse::default() }
    }

    /// Returns the warnings about the lines that were applied.
    pub async fn warnings(
        &self,
        references: &ImportReferences,
    ) -> Result<Vec<ImportWarning>, Error> {
        import_warnings(self.services, references).await
    }

    pub async fn apply(&mut self, commands: Vec<DirectoryCommand>) -> Result<(), Error> {
        let mut plain: Vec<DirectoryCommand> = Vec::new();
        let mut changed = BTreeSet::new();
        for command in commands {
            let Some(item) = ChangedItem::of(&command) else {
                self.put(std::mem::take(&mut plain)).await?;
                changed.clear();
                apply(self.services, command).await?;
                continue;
            };
            if changed.contains(&item) {
                self.put(std::mem::take(&mut plain)).await?;
                changed.clear();
            }
            changed.insert(item);
            plain.push(command);
        }
        self.put(plain).await
    }

    async fn put(&mut self, plain: Vec<DirectoryCommand>) -> Result<(), Error> {
        put(self.services, plain, &mut self.sessions, self.began_at).await
    }
}

/// Applies puts and deletes of a request that began at `began_at`, at most one per item.
async fn put(
    services: &Services,
    plain: Vec<DirectoryCommand>,
    sessions: &mut SessionsByCourse,
    began_at: Timestamp,
) -> Result<(), Error> {
    let mut plain = enrollment_changes::apply(services, plain, sessions, began_at).await?;
    encrypt_default_links(services, &mut plain, began_at).await?;
    let users: Vec<_> = plain
        .iter_mut()
        .filter_map(|command| match command {
            DirectoryCommand::SaveUser { user, .. } => Some(user),
            _ => None,
        })
        .collect();
    let users = replace_addresses(services, users).await?;
    // If two users have the same address, its pointer refers to the later one.
    let pointers: BTreeMap<_, _> = users
        .into_iter()
        .filter_map(|user| user.email.as_ref().map(|email| (email, &user.id)))
        .collect();
    let pointers = pointers.into_iter().map(|(email, user)| items::put_email_pointer(email, user));
    let pointers: Vec<_> = pointers.collect();
    let mut actions: Vec<_> = plain.iter().flat_map(actions).collect();
    actions.extend(pointers);
    let actions: Vec<_> = actions.into_iter().map(|put| put.requested_at(began_at)).collect();
    let chunks: Vec<_> =
        actions.chunks(crate::store::schema::limit::BATCH_WRITES).map(<[_]>::to_vec).collect();
    stream::iter(chunks)
        .map(|chunk| services.store.write_directory(chunk))
        .buffer_unordered(CONCURRENCY)
        .try_collect::<Vec<()>>()
        .await?;
    Ok(())
}

/// Encrypts the default links of the users.
async fn encrypt_default_links(
    services: &Services,
    commands: &mut [DirectoryCommand],
    now: Timestamp,
) -> Result<(), Error> {
    let mut with_link: Vec<_> = commands
        .iter_mut()
        .filter_map(|command| match command {
            DirectoryCommand::SaveUser { user, default_link: Some(link) } => Some((user, &*link)),
            _ => None,
        })
        .collect();
    if with_link.is_empty() {
        return Ok(());
    }
    let secrets = services.secrets.get(now).await?;
    let keyring = secrets.keyring()?;
    for (user, link) in &mut with_link {
        let sealed = default_link::seal(link, &user.id, keyring, &services.random);
        user.defaults.join_url = Some(sealed);
    }
    Ok(())
}

/// Adds the former addresses to the users, and deletes the pointers of addresses that they no longer have. The users are
/// written afterwards, so after an interruption the next run still finds the old address.
async fn replace_addresses<'a>(
    services: &Services,
    users: Vec<&'a mut User>,
) -> Result<Vec<&'a User>, Error> {
    let ids: Vec<_> = users.iter().map(|user| user.id.clone()).collect();
    let before = if ids.is_empty() { BTreeMap::new() } else { services.store.users(&ids).await? };
    let mut saved = Vec::with_capacity(users.len());
    for user in users {
        if let Some(old) = before.get(&user.id) {
            let (before, after) = (old.email.as_ref(), user.email.as_ref());
            user.former_emails = former_emails(before, &old.former_emails, after);
            if let Some(email) = before.filter(|_| before != after) {
                delete_email_pointer(services, email, &user.id).await?;
            }
        }
        saved.push(&*user);
    }
    Ok(saved)
}

async fn delete_email_pointer(
    services: &Services,
    email: &Email,
    user: &UserId,
) -> Result<(), Error> {
    match services.store.commit_one(items::delete_email_pointer(email, user)).await {
        Ok(()) | Err(CommitError::Refused(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The item that a command changes. The order of commands about one item matters.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum ChangedItem {
    Course(CourseId),
    User(UserId),
    Settings,
    Enrollment(CourseId, UserId),
}

impl ChangedItem {
    /// Returns `None` for a removal, which affects many items.
    fn of(command: &DirectoryCommand) -> Option<Self> {
        match command {
            DirectoryCommand::SaveCourse(course) => Some(Self::Course(course.id.clone())),
            DirectoryCommand::SaveUser { user, .. } => Some(Self::User(user.id.clone())),
            DirectoryCommand::SaveSettings(_) => Some(Self::Settings),
            DirectoryCommand::SaveEnrollment(enrollment) => {
                Some(Self::Enrollment(enrollment.course.clone(), enrollment.user.clone()))
            }
            DirectoryCommand::DeleteEnrollment { course, user } => {
                Some(Self::Enrollment(course.clone(), user.clone()))
            }
            DirectoryCommand::DeleteCourse(_) | DirectoryCommand::EraseUser(_) => None,
        }
    }
}

fn actions(command: &DirectoryCommand) -> Vec<Action> {
    vec![match command {
        DirectoryCommand::SaveCourse(course) => items::put_course(course),
        DirectoryCommand::DeleteCourse(id) => items::delete_course(id),
        DirectoryCommand::SaveEnrollment(enrollment) => items::put_enrollment(enrollment),
        DirectoryCommand::DeleteEnrollment { course, user } => {
            return vec![
                items::delete_enrollment(course, user),
                items::put_former_enrollment(course, user),
            ];
        }
        DirectoryCommand::SaveUser { user, .. } => items::put_user(user),
        DirectoryCommand::EraseUser(id) => items::delete_user(id),
        DirectoryCommand::SaveSettings(platform) => settings::put(platform),
    }]
}

/// Deletes a course and its enrollments. Its sessions stay with their trainer and invite nobody through the course any
/// more.
async fn remove_course(services: &Services, id: &CourseId) -> Result<(), Error> {
    let removed_at = whole_milli(services.clock.now());
    let (subject, leads) = (erasures::course_digest(id), Leads::Course(id.clone()));
    begin_erasure(services, &subject, removed_at, &leads).await?;
    let students = services.store.students(id).await?;
    remove_students(services, id, &students).await?;
    services.store.write_directory(vec![items::delete_course(id)]).await?;
    tracing::info!(event = "directory.course_deleted", students = students.len());
    Ok(())
}

/// Removes data of requests that began before the removal of the course, and students that the index did not show.
async fn remove_course_again(
    services: &Services,
    id: &CourseId,
    removed_at: Timestamp,
) -> Result<(), Error> {
    let students = services.store.students_requested_before(id, removed_at).await?;
    remove_students(services, id, &students).await?;
    match services.store.commit_one(items::delete_course_of(id, removed_at)).await {
        Ok(()) | Err(CommitError::Refused(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

async fn remove_students(
    services: &Services,
    id: &CourseId,
    students: &[Enrollment],
) -> Result<(), Error> {
    let removals = students.iter().map(|student| DirectoryCommand::DeleteEnrollment {
        course: id.clone(),
        user: student.user.clone(),
    });
    let began_at = whole_milli(services.clock.now());
    put(services, removals.collect(), &mut SessionsByCourse::default(), began_at).await
}
