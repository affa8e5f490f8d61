//! Taking in what the host platform says of its courses, people and settings.

mod erase;
mod places;

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt, TryStreamExt};

use self::places::Upcoming;
use super::Tools;
use super::error::Error;
use crate::domain::directory::{Statement, User};
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
pub async fn tell(tools: &Tools, statement: Statement) -> Result<(), Error> {
    match statement {
        Statement::NoCourse(id) => remove_course(tools, &id).await,
        Statement::NoUser(id) => erase::erase(tools, &id).await,
        plain => put(tools, vec![plain], &mut Upcoming::default()).await,
    }
}

/// Carries out many statements, in their order where they are of the same thing.
pub async fn tell_all(tools: &Tools, statements: Vec<Statement>) -> Result<(), Error> {
    let mut plain: Vec<Statement> = Vec::new();
    let mut upcoming = Upcoming::default();
    for statement in statements {
        let heavy = matches!(statement, Statement::NoCourse(_) | Statement::NoUser(_));
        if heavy || plain.len() == BATCH || plain.iter().any(|other| same_thing(other, &statement))
        {
            flush(tools, &mut plain, &mut upcoming).await?;
        }
        if heavy { tell(tools, statement).await? } else { plain.push(statement) }
    }
    flush(tools, &mut plain, &mut upcoming).await
}

async fn flush(
    tools: &Tools,
    plain: &mut Vec<Statement>,
    upcoming: &mut Upcoming,
) -> Result<(), Error> {
    put(tools, std::mem::take(plain), upcoming).await
}

/// Carries out plain statements, of a thing one each.
async fn put(tools: &Tools, plain: Vec<Statement>, upcoming: &mut Upcoming) -> Result<(), Error> {
    let plain = places::change(tools, plain, upcoming).await?;
    let users: Vec<_> = plain
        .iter()
        .filter_map(|statement| match statement {
            Statement::User(user) => Some(user),
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
async fn leave_addresses(tools: &Tools, users: &[&User]) -> Result<(), Error> {
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

async fn forget_email(tools: &Tools, email: &Email, user: &UserId) -> Result<(), Error> {
    match tools.store.commit_one(items::forget_email(email, user)).await {
        Ok(()) | Err(CommitError::Refused(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Whether two statements are of the same item, so that the later must come after the earlier.
fn same_thing(a: &Statement, b: &Statement) -> bool {
    use crate::domain::directory::Statement as S;
    fn enrollment(s: &Statement) -> Option<(&CourseId, &UserId)> {
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

fn actions(statement: &Statement) -> Vec<Action> {
    vec![match statement {
        Statement::Course(course) => items::put_course(course),
        Statement::NoCourse(id) => items::delete_course(id),
        Statement::Enrollment(enrollment) => items::put_enrollment(enrollment),
        Statement::NoEnrollment { course, user } => {
            return vec![items::delete_enrollment(course, user), items::put_left(course, user)];
        }
        Statement::User(user) => items::put_user(user),
        Statement::NoUser(id) => items::delete_user(id),
        Statement::Settings(settings) => items::put_settings(settings),
    }]
}

/// Removes a course and every place in it; its classes stay with their trainer, and nobody is invited by it any more.
async fn remove_course(tools: &Tools, id: &CourseId) -> Result<(), Error> {
    let students = tools.store.students(id).await?;
    let gone = students
        .iter()
        .map(|student| Statement::NoEnrollment { course: id.clone(), user: student.user.clone() });
    put(tools, gone.collect(), &mut Upcoming::default()).await?;
    tools.store.put_all(vec![items::delete_course(id)]).await?;
    tracing::info!(event = "directory.course_removed", students = students.len());
    Ok(())
}
