//! Changes enrollments in courses with sessions: new students are invited to upcoming ones, and students who lose access
//! are notified. The end of an enrollment is stored for the rosters of sessions that were held before it.
//!
//! Each change is committed with its domain event, on the condition that the enrollments are as they were read. A
//! repeated command therefore notifies once, and a command that changes nobody's access notifies nobody. In a course
//! without upcoming or recent sessions, new enrollments are plain writes without a read. They follow a domain event that
//! looks for sessions a minute later, because the index may be late and an import caches its result.

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt, TryStreamExt};
use jiff::{SignedDuration, Timestamp};

use super::CONCURRENCY;
use crate::app::Services;
use crate::app::error::Error;
use crate::domain::directory::{DirectoryCommand, Enrollment, EnrollmentPeriod};
use crate::domain::domain_event::{
    ChangedStudent, DomainEvent, DomainEventKind, EnrollmentChange, enrollments_due_at,
};
use crate::domain::id::{CourseId, UserId};
use crate::domain::time::whole_milli;
use crate::store::directory as items;
use crate::store::due_work;
use crate::store::error::CommitError;
use crate::store::schema::limit;
use crate::store::tx::Action;

/// Enrollments per transaction. Each takes at most three actions, and there are up to two domain events.
const CHANGES_PER_TRANSACTION: usize = 32;
/// Attempts against concurrent changes of the same enrollments.
const ATTEMPTS: u32 = 4;
const WAIT_MS: u64 = 50;
/// Enrollments per check, equal to the keys of a DynamoDB batch read.
const USERS_PER_CHECK: usize = limit::BATCH_GETS;

/// A cache of whether courses have upcoming or recent sessions, so that an import queries each course once.
#[derive(Debug, Default)]
pub(super) struct SessionsByCourse(BTreeMap<CourseId, bool>);

impl SessionsByCourse {
    async fn exist(&mut self, services: &Services, course: &CourseId) -> Result<bool, Error> {
        if let Some(exist) = self.0.get(course) {
            return Ok(*exist);
        }
        let now = services.clock.now();
        let recent = SignedDuration::from_hours(24 * limit::ENROLLMENT_PERIOD_TTL_DAYS);
        let recent = now.saturating_sub(recent).unwrap_or(now);
        let exist = services.store.course_has_sessions(course, recent).await?;
        self.0.insert(course.clone(), exist);
        Ok(exist)
    }
}

/// A write of one enrollment.
#[derive(Clone, Debug)]
enum EnrollmentWrite {
    Put(Enrollment),
    Delete(UserId),
}

impl EnrollmentWrite {
    fn user(&self) -> &UserId {
        match self {
            Self::Put(enrollment) => &enrollment.user,
            Self::Delete(user) => user,
        }
    }

    fn grants(&self) -> bool {
        matches!(self, Self::Put(enrollment) if enrollment.access_granted)
    }

    /// Returns whether a concurrent command has taken the place that this one found at its first read. The revocation is the
    /// later of the two, so this command must not grant the place again.
    fn is_overtaken(
        &self,
        first: Option<&EnrollmentPeriod>,
        current: Option<&EnrollmentPeriod>,
    ) -> bool {
        let has_access = |period: &EnrollmentPeriod| period.enrollment.access_granted;
        let is_revoked = first.is_some_and(has_access) && !current.is_some_and(has_access);
        self.grants() && (is_revoked || (first.is_some() && current.is_none()))
    }

    /// Returns the conditional actions, which require the enrollment to be as it was read. None if nothing changes.
    fn actions(
        &self,
        course: &CourseId,
        before: Option<&EnrollmentPeriod>,
        at: Timestamp,
    ) -> Vec<Action> {
        let current = before.map(|before| &before.enrollment);
        let (mut actions, change) = match self {
            Self::Put(enrollment) => {
                let since = EnrollmentPeriod::since_of(enrollment, before, at);
                let next = enrollment.clone().replacing(current);
                if before.is_some_and(|old| old.enrollment == next && old.since == since) {
                    return Vec::new();
                }
                (vec![items::put_enrollment_if(&next, since, current)], Some(enrollment))
            }
            // Repeats the second half of a removal that was interrupted.
            Self::Delete(user) if before.is_none() => {
                return vec![items::put_former_enrollment(course, user)];
            }
            Self::Delete(user) => {
                let delete = items::delete_enrollment_if(course, user, current);
                (vec![delete, items::put_former_enrollment(course, user)], None)
            }
        };
        let ended = before.and_then(|before| before.ended_by(change, at));
        actions.extend(ended.map(|ended| items::put_enrollment_period(&ended, at)));
        actions
    }
}

/// The actions that change one enrollment in the transaction of a payment. Refused if the enrollment has changed since it was
/// read.
#[derive(Debug)]
pub struct EnrollmentTransaction {
    pub actions: Vec<Action>,
}

impl EnrollmentTransaction {
    /// Stores an enrollment in place of the one that was read. A student who gains access is invited to the upcoming sessions.
    pub fn put(
        enrollment: Enrollment,
        before: Option<&EnrollmentPeriod>,
        began_at: Timestamp,
        now: Timestamp,
    ) -> Self {
        let course = enrollment.course.clone();
        Self::new(&course, EnrollmentWrite::Put(enrollment), before, began_at, now)
    }

    /// Deletes the enrollment that was read, and notifies the student like the directory.
    pub fn delete(before: &EnrollmentPeriod, began_at: Timestamp, now: Timestamp) -> Self {
        let Enrollment { course, user, .. } = &before.enrollment;
        Self::new(course, EnrollmentWrite::Delete(user.clone()), Some(before), began_at, now)
    }

    fn new(
        course: &CourseId,
        write: EnrollmentWrite,
        before: Option<&EnrollmentPeriod>,
        began_at: Timestamp,
        now: Timestamp,
    ) -> Self {
        let now = whole_milli(now);
        let known = before.map(|period| (period.enrollment.user.clone(), period.clone()));
        let known = BTreeMap::from_iter(known);
        let actions = write.actions(course, before, now).into_iter();
        let mut actions: Vec<_> = actions.map(|action| action.requested_at(began_at)).collect();
        let events = domain_events(course, std::slice::from_ref(&write), &known, now);
        actions.extend(events.iter().map(due_work::put_domain_event));
        Self { actions }
    }
}

/// Applies the commands about enrollments in courses with upcoming or recent sessions, and returns the others.
pub(super) async fn apply(
    services: &Services,
    commands: Vec<DirectoryCommand>,
    sessions: &mut SessionsByCourse,
    began_at: Timestamp,
) -> Result<Vec<DirectoryCommand>, Error> {
    let mut others = Vec::new();
    let mut unread: BTreeMap<CourseId, Vec<UserId>> = BTreeMap::new();
    let mut by_course: BTreeMap<CourseId, Vec<EnrollmentWrite>> = BTreeMap::new();
    for command in commands {
        let course = match &command {
            DirectoryCommand::SaveEnrollment(enrollment) => &enrollment.course,
            DirectoryCommand::DeleteEnrollment { course, .. } => course,
            _ => {
                others.push(command);
                continue;
            }
        };
        if let DirectoryCommand::SaveEnrollment(enrollment) = &command
            && enrollment.access_granted
            && !sessions.exist(services, course).await?
        {
            unread.entry(course.clone()).or_default().push(enrollment.user.clone());
            others.push(command);
            continue;
        }
        let changes = by_course.entry(course.clone()).or_default();
        match command {
            DirectoryCommand::SaveEnrollment(enrollment) => {
                changes.push(EnrollmentWrite::Put(enrollment))
            }
            DirectoryCommand::DeleteEnrollment { user, .. } => {
                changes.push(EnrollmentWrite::Delete(user))
            }
            _ => {}
        }
    }
    put_checks(services, unread).await?;
    let mut batches = Vec::new();
    for (course, changes) in by_course {
        let chunks = changes.chunks(CHANGES_PER_TRANSACTION);
        batches.extend(chunks.map(|batch| (course.clone(), batch.to_vec())));
    }
    stream::iter(batches)
        .map(
            |(course, batch)| async move { apply_batch(services, &course, &batch, began_at).await },
        )
        .buffer_unordered(CONCURRENCY)
        .try_collect::<Vec<()>>()
        .await?;
    Ok(others)
}

/// Stores the checks of enrollments before they are written, so that an interruption loses none.
async fn put_checks(
    services: &Services,
    unread: BTreeMap<CourseId, Vec<UserId>>,
) -> Result<(), Error> {
    let now = whole_milli(services.clock.now());
    let checks = unread.iter().flat_map(|(course, users)| {
        let chunks = users.chunks(USERS_PER_CHECK);
        chunks.map(|users| DomainEvent::enrollment_check(course.clone(), users.to_vec(), now))
    });
    let checks: Vec<_> = checks.map(|check| due_work::put_domain_event(&check)).collect();
    Ok(services.store.write_directory(checks).await?)
}

async fn apply_batch(
    services: &Services,
    course: &CourseId,
    changes: &[EnrollmentWrite],
    began_at: Timestamp,
) -> Result<(), Error> {
    let users: Vec<_> = changes.iter().map(|change| change.user().clone()).collect();
    let mut changes = changes.to_vec();
    let mut first: Option<BTreeMap<UserId, EnrollmentPeriod>> = None;
    for _ in 0..ATTEMPTS {
        let before = services.store.current_enrollments(course, &users).await?;
        let before: BTreeMap<_, _> =
            before.into_iter().map(|period| (period.enrollment.user.clone(), period)).collect();
        let first = first.get_or_insert_with(|| before.clone());
        changes.retain(|change| {
            let user = change.user();
            !change.is_overtaken(first.get(user), before.get(user))
        });
        let now = whole_milli(services.clock.now());
        let domain_events = domain_events(course, &changes, &before, now);
        let mut actions: Vec<_> = changes
            .iter()
            .flat_map(|change| change.actions(course, before.get(change.user()), now))
            .map(|action| action.requested_at(began_at))
            .collect();
        actions.extend(domain_events.iter().map(due_work::put_domain_event));
        // Conditional even if nobody's access changes, because a place may be revoked meanwhile.
        let committed = match actions.len() {
            0 => return Ok(()),
            // A single write costs half as much outside of a transaction.
            1 => services.store.commit_one(actions.remove(0)).await,
            _ => services.store.commit(actions).await,
        };
        match committed {
            // The sweep finds the events when they are due.
            Ok(()) => return Ok(()),
            Err(CommitError::Refused(_)) => {
                let wait = WAIT_MS + services.random.below(WAIT_MS);
                tokio::time::sleep(std::time::Duration::from_millis(wait)).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::busy("too many concurrent changes of the enrollments"))
}

/// Returns the domain events for students who gain or lose access.
fn domain_events(
    course: &CourseId,
    changes: &[EnrollmentWrite],
    before: &BTreeMap<UserId, EnrollmentPeriod>,
    at: Timestamp,
) -> Vec<DomainEvent> {
    let (mut granted_students, mut revoked_students) = (Vec::new(), Vec::new());
    for change in changes {
        let old = before.get(change.user()).map(|period| &period.enrollment);
        let had_access = old.is_some_and(|enrollment| enrollment.access_granted);
        let enrollment = |enrollment: &Enrollment| ChangedStudent {
            user: enrollment.user.clone(),
            email: enrollment.email.clone(),
            name: enrollment.name.clone(),
            former_emails: enrollment.former_emails.clone(),
        };
        match change {
            EnrollmentWrite::Put(new) if new.access_granted && !had_access => {
                granted_students.push(enrollment(new))
            }
            // Students are notified at the address to which the invitation went.
            _ if had_access && !change.grants() => revoked_students.extend(old.map(enrollment)),
            _ => {}
        }
    }
    [(true, granted_students), (false, revoked_students)]
        .into_iter()
        .filter(|(_, students)| !students.is_empty())
        .map(|(granted, students)| {
            let changes = EnrollmentChange::new(course.clone(), granted, students, at);
            let kind = DomainEventKind::CourseEnrollments(changes);
            DomainEvent { at: enrollments_due_at(at), kind }
        })
        .collect()
}
