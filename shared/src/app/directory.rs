//! Taking in what the host platform says of its courses, people and settings.

mod erase;
mod enrollment_changes;

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt, TryStreamExt};

use self::enrollment_changes::UpcomingSessions;
use super::Services;
use super::error::Error;
use crate::domain::directory::{DirectoryCommand, User};
use crate::domain::id::{CourseId, UserId};
use crate::domain::text::Email;
use crate::store::directory as items;
use crate::store::error::CommitError;
use crate::store::tx::Action;

/// Statements of an import that are carried out at once: DynamoDB takes far more; what bounds it is our memory.
const AT_ONCE: usize = 16;
/// Batches of plain puts and deletes are this long, DynamoDB's own limit times the number that go at once.
const BATCH: usize = 400;

/// Carries out one statement. Saying the same twice is saying it once.
pub async fn tell(tools: &Services, statement: DirectoryCommand) -> Result<(), Error> {
    match statement {
        DirectoryCommand::NoCourse(id) => remove_course(tools, &id).await,
        DirectoryCommand::NoUser(id) => erase::erase(tools, &id).await,
        plain => put(tools, vec![plain], &mut UpcomingSessions::default()).await,
    }
}

/// Carries out many statements, in their order where they are of the same thing.
pub async fn tell_all(tools: &Services, statements: Vec<DirectoryCommand>) -> Result<(), Error> {
    let mut plain: Vec<DirectoryCommand> = Vec::new();
    let mut upcoming = UpcomingSessions::default();
    for statement in statements {
        let heavy = matches!(statement, DirectoryCommand::NoCourse(_) | DirectoryCommand::NoUser(_));
        if heavy || plain.len() == BATCH || plain.iter().any(|other| same_thing(other, &statement))
        {
            flush(tools, &mut plain, &mut upcoming).await?;
        }
        if heavy { tell(tools, statement).await? } else { plain.push(statement) }
    }
    flush(tools, &mut plain, &mut upcoming).await
}

async fn flush(
    tools: &Services,
    plain: &mut Vec<DirectoryCommand>,
    upcoming: &mut UpcomingSessions,
) -> Result<(), Error> {
    put(tools, std::mem::take(plain), upcoming).await
}

/// Carries out plain statements, of a thing one each.
async fn put(tools: &Services, plain: Vec<DirectoryCommand>, upcoming: &mut UpcomingSessions) -> Result<(), Error> {
    let plain = enrollment_changes::change(tools, plain, upcoming).await?;
    let users: Vec<_> = plain
        .iter()
        .filter_map(|statement| match statement {
            DirectoryCommand::User(user) => Some(user),
            _ => None,
        })
        .collect();
    leave_addresses(tools, &users).await?;
    // Two users with one address make one pointer, and the later has it.
    let pointers: BTreeMap<_, _> = users.into_iter().map(|user| (&user.email, user)).collect();
    let mut actions: Vec<_> = plain.iter().flat_map(actions).collect();
    actions.extend(pointers.into_values().map(items::point_from_email));
    let chunks: Vec<_> =
        actions.chunks(crate::store::schema::limit::BATCH_WRITES).map(<[_]>::to_vec).collect();
    stream::iter(chunks)
        .map(|chunk| tools.store.put_all(chunk))
        .buffer_unordered(AT_ONCE)
        .try_collect::<Vec<()>>()
        .await?;
    Ok(())
}

/// Takes back the pointers from addresses that users no longer have, before their entries say so: a run that was cut
/// off between still finds the old address in the next.
async fn leave_addresses(tools: &Services, users: &[&User]) -> Result<(), Error> {
    let ids: Vec<_> = users.iter().map(|user| user.id.clone()).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let before = tools.store.users(&ids).await?;
    for user in users {
        if let Some(old) = before.get(&user.id).filter(|old| old.email != user.email) {
            forget_email(tools, &old.email, &user.id).await?;
        }
    }
    Ok(())
}

async fn forget_email(tools: &Services, email: &Email, user: &UserId) -> Result<(), Error> {
    match tools.store.commit_one(items::forget_email(email, user)).await {
        Ok(()) | Err(CommitError::Refused(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Whether two statements are of the same item, so that the later must come after the earlier.
fn same_thing(a: &DirectoryCommand, b: &DirectoryCommand) -> bool {
    use crate::domain::directory::DirectoryCommand as S;
    fn enrollment(s: &DirectoryCommand) -> Option<(&CourseId, &UserId)> {
        match s {
            S::Enrollment(e) => Some((&e.course, &e.user)),
            S::NoEnrollment { course, user } => Some((course, user)),
            _ => None,
        }
    }
    match (a, b) {
        (S::Course(a), S::Course(b)) => a.id == b.id,
        (S::User(a), S::User(b)) => a.id == b.id,
        (S::Settings(_), S::Settings(_)) => true,
        _ => enrollment(a).is_some() && enrollment(a) == enrollment(b),
    }
}

fn actions(statement: &DirectoryCommand) -> Vec<Action> {
    vec![match statement {
        DirectoryCommand::Course(course) => items::put_course(course),
        DirectoryCommand::NoCourse(id) => items::delete_course(id),
        DirectoryCommand::Enrollment(enrollment) => items::put_enrollment(enrollment),
        DirectoryCommand::NoEnrollment { course, user } => {
            return vec![items::delete_enrollment(course, user), items::put_left(course, user)];
        }
        DirectoryCommand::User(user) => items::put_user(user),
        DirectoryCommand::NoUser(id) => items::delete_user(id),
        DirectoryCommand::Settings(settings) => items::put_settings(settings),
    }]
}

/// Removes a course and every place in it; its classes stay with their trainer, and nobody is invited by it any more.
async fn remove_course(tools: &Services, id: &CourseId) -> Result<(), Error> {
    let students = tools.store.students(id).await?;
    let gone = students
        .iter()
        .map(|student| DirectoryCommand::NoEnrollment { course: id.clone(), user: student.user.clone() });
    put(tools, gone.collect(), &mut UpcomingSessions::default()).await?;
    tools.store.put_all(vec![items::delete_course(id)]).await?;
    tracing::info!(event = "directory.course_removed", students = students.len());
    Ok(())
}
