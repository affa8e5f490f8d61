//! Changes enrollments in courses with sessions: new students are invited to upcoming ones, and students who lose access
//! are notified. The end of an enrollment is stored for the rosters of sessions that were held before it.
//!
//! Each change is committed with its domain event, on the condition that the enrollments are as they were read. A
//! repeated command therefore notifies once, and a command that changes nobody's access notifies nobody. In a course
//! without upcoming or recent sessions enrollments are plain writes.

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt, TryStreamExt};
use jiff::{SignedDuration, Timestamp};

use super::CONCURRENCY;
use crate::app::Services;
use crate::app::error::Error;
use crate::domain::directory::{DirectoryCommand, Enrollment, EnrollmentPeriod};
use crate::domain::domain_event::{ChangedStudent, DomainEvent, DomainEventKind, EnrollmentChange};
use crate::domain::id::{CourseId, UserId};
use crate::domain::time::whole_milli;
use crate::store::directory as items;
use crate::store::due_work;
use crate::store::error::CommitError;
use crate::store::schema::limit;
use crate::store::sessions::CourseSessions;
use crate::store::tx::Action;

/// Enrollments per transaction. Each takes at most three actions, and there are up to two domain events.
const CHANGES_PER_TRANSACTION: usize = 32;
/// Attempts against concurrent changes of the same enrollments.
const ATTEMPTS: u32 = 4;
const WAIT_MS: u64 = 50;

/// A cache of the sessions of courses, so that an import queries each course once.
#[derive(Debug, Default)]
pub(super) struct SessionsByCourse(BTreeMap<CourseId, CourseSessions>);

impl SessionsByCourse {
    async fn of(
        &mut self,
        services: &Services,
        course: &CourseId,
    ) -> Result<CourseSessions, Error> {
        if let Some(sessions) = self.0.get(course) {
            return Ok(*sessions);
        }
        let now = services.clock.now();
        let recent = SignedDuration::from_hours(24 * limit::ENROLLMENT_PERIOD_TTL_DAYS);
        let recent = now.saturating_sub(recent).unwrap_or(now);
        let sessions = services.store.sessions_of_enrollments(course, recent, now).await?;
        self.0.insert(course.clone(), sessions);
        Ok(sessions)
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
        let access = before.map(|before| before.enrollment.access_granted);
        let (mut actions, change) = match self {
            Self::Put(enrollment) => {
                let since = EnrollmentPeriod::since_of(enrollment, before, at);
                let next = enrollment.clone().replacing(before.map(|before| &before.enrollment));
                if before.is_some_and(|old| old.enrollment == next && old.since == since) {
                    return Vec::new();
                }
                (vec![items::put_enrollment_if(&next, since, access)], Some(enrollment))
            }
            // Repeats the second half of a removal that was interrupted.
            Self::Delete(user) if before.is_none() => {
                return vec![items::put_former_enrollment(course, user)];
            }
            Self::Delete(user) => {
                let delete = items::delete_enrollment_if(course, user, access);
                (vec![delete, items::put_former_enrollment(course, user)], None)
            }
        };
        let ended = before.and_then(|before| before.ended_by(change, at));
        actions.extend(ended.map(|ended| items::put_enrollment_period(&ended, at)));
        actions
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
        if sessions.of(services, course).await? == CourseSessions::None {
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
    let mut batches = Vec::new();
    for (course, changes) in by_course {
        let notifies = sessions.of(services, &course).await? == CourseSessions::Upcoming;
        let chunks = changes.chunks(CHANGES_PER_TRANSACTION);
        batches.extend(chunks.map(|batch| (course.clone(), batch.to_vec(), notifies)));
    }
    stream::iter(batches)
        .map(|(course, batch, notifies)| async move {
            apply_batch(services, &course, &batch, notifies, began_at).await
        })
        .buffer_unordered(CONCURRENCY)
        .try_collect::<Vec<()>>()
        .await?;
    Ok(others)
}

async fn apply_batch(
    services: &Services,
    course: &CourseId,
    changes: &[EnrollmentWrite],
    notifies: bool,
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
        let mut domain_events = domain_events(course, &changes, &before, now);
        domain_events.retain(|_| notifies);
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
            Ok(()) => {
                for domain_event in &domain_events {
                    services.send_wake_up(domain_event).await;
                }
                return Ok(());
            }
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
            DomainEvent { at, kind: DomainEventKind::CourseEnrollments(changes) }
        })
        .collect()
}
