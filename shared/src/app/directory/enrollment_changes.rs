//! Places in courses that have classes to come: who gets one is invited to these, and who loses theirs is told so.
//!
//! The change and its announcement are one transaction, which holds only if the places are as they were read. So a
//! statement that is made twice is announced once, and one that changes nobody's access is not announced at all. In a
//! course without classes there is nothing to tell, and its places are written like everything else.

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt, TryStreamExt};
use jiff::Timestamp;

use super::AT_ONCE;
use crate::app::Services;
use crate::app::error::Error;
use crate::domain::domain_event::{DomainEvent, ChangedStudent, EnrollmentChange, DomainEventKind};
use crate::domain::directory::{Enrollment, DirectoryCommand};
use crate::domain::id::{CourseId, UserId};
use crate::domain::time::whole_milli;
use crate::store::directory as items;
use crate::store::error::CommitError;
use crate::store::outbox;
use crate::store::tx::Action;

/// Places that one transaction changes: each is two actions at most, and two announcements go with them.
const TOGETHER: usize = 40;
/// Tries against others who change the same places.
const ROUNDS: u32 = 4;
const WAIT_MS: u64 = 50;

/// Which courses have classes to come, as far as it was asked: once for each course, however long an import is.
#[derive(Debug, Default)]
pub(super) struct UpcomingSessions(BTreeMap<CourseId, bool>);

impl UpcomingSessions {
    async fn has(&mut self, tools: &Services, course: &CourseId) -> Result<bool, Error> {
        if let Some(known) = self.0.get(course) {
            return Ok(*known);
        }
        let has = tools.store.has_upcoming(course, tools.clock.now()).await?;
        self.0.insert(course.clone(), has);
        Ok(has)
    }
}

/// What becomes of one place.
#[derive(Clone, Debug)]
enum Change {
    Put(Enrollment),
    Delete(UserId),
}

impl Change {
    fn user(&self) -> &UserId {
        match self {
            Self::Put(place) => &place.user,
            Self::Delete(user) => user,
        }
    }

    fn grants(&self) -> bool {
        matches!(self, Self::Put(place) if place.access_granted)
    }

    /// As a transaction over places that are as they were read.
    fn actions(&self, course: &CourseId, before: Option<bool>) -> Vec<Action> {
        match self {
            Self::Put(place) => vec![items::put_enrollment_if(place, before)],
            Self::Delete(user) => vec![
                items::delete_enrollment_if(course, user, before),
                items::put_left(course, user),
            ],
        }
    }
}

/// Carries out those of the statements that are about places in courses with classes to come; answers the others.
pub(super) async fn change(
    tools: &Services,
    statements: Vec<DirectoryCommand>,
    upcoming: &mut UpcomingSessions,
) -> Result<Vec<DirectoryCommand>, Error> {
    let mut others = Vec::new();
    let mut by_course: BTreeMap<CourseId, Vec<Change>> = BTreeMap::new();
    for statement in statements {
        let course = match &statement {
            DirectoryCommand::Enrollment(place) => &place.course,
            DirectoryCommand::NoEnrollment { course, .. } => course,
            _ => {
                others.push(statement);
                continue;
            }
        };
        if !upcoming.has(tools, course).await? {
            others.push(statement);
            continue;
        }
        let changes = by_course.entry(course.clone()).or_default();
        match statement {
            DirectoryCommand::Enrollment(place) => changes.push(Change::Put(place)),
            DirectoryCommand::NoEnrollment { user, .. } => changes.push(Change::Delete(user)),
            _ => {}
        }
    }
    let parts = by_course.into_iter().flat_map(|(course, changes)| {
        let parts: Vec<_> = changes.chunks(TOGETHER).map(<[_]>::to_vec).collect();
        parts.into_iter().map(move |part| (course.clone(), part))
    });
    stream::iter(parts)
        .map(|(course, part)| async move { change_together(tools, &course, &part).await })
        .buffer_unordered(AT_ONCE)
        .try_collect::<Vec<()>>()
        .await?;
    Ok(others)
}

async fn change_together(
    tools: &Services,
    course: &CourseId,
    changes: &[Change],
) -> Result<(), Error> {
    let users: Vec<_> = changes.iter().map(|change| change.user().clone()).collect();
    for _ in 0..ROUNDS {
        let before = tools.store.enrollments_in(course, &users).await?;
        let before: BTreeMap<_, _> =
            before.into_iter().map(|place| (place.user.clone(), place)).collect();
        let announcements = announcements(course, changes, &before, tools.clock.now());
        let mut actions: Vec<_> = changes
            .iter()
            .flat_map(|change| {
                let before = before.get(change.user()).map(|place| place.access_granted);
                change.actions(course, before)
            })
            .collect();
        if announcements.is_empty() {
            // Nobody's access changes, and what else is said of them holds as the last word.
            return Ok(tools.store.put_all(actions).await?);
        }
        actions.extend(announcements.iter().map(outbox::announce));
        match tools.store.commit(actions).await {
            Ok(()) => {
                for announcement in &announcements {
                    tools.send_wake_up(announcement).await;
                }
                return Ok(());
            }
            Err(CommitError::Refused(_)) => {
                let wait = WAIT_MS + tools.random.below(WAIT_MS);
                tokio::time::sleep(std::time::Duration::from_millis(wait)).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::busy("the places of the course keep changing"))
}

/// Who gets access by the changes, and who loses it.
fn announcements(
    course: &CourseId,
    changes: &[Change],
    before: &BTreeMap<UserId, Enrollment>,
    now: Timestamp,
) -> Vec<DomainEvent> {
    let at = whole_milli(now);
    let (mut come, mut gone) = (Vec::new(), Vec::new());
    for change in changes {
        let old = before.get(change.user());
        let had = old.is_some_and(|place| place.access_granted);
        let place = |place: &Enrollment| ChangedStudent {
            user: place.user.clone(),
            email: place.email.clone(),
            name: place.name.clone(),
        };
        match change {
            Change::Put(new) if new.access_granted && !had => come.push(place(new)),
            // They are told where they were invited.
            _ if had && !change.grants() => gone.extend(old.map(place)),
            _ => {}
        }
    }
    [(true, come), (false, gone)]
        .into_iter()
        .filter(|(_, who)| !who.is_empty())
        .map(|(granted, who)| {
            let places = EnrollmentChange::new(course.clone(), granted, who, at);
            DomainEvent { at, kind: DomainEventKind::CourseEnrollments(places) }
        })
        .collect()
}
