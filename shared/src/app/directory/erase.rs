//! Erases a person.
//!
//! There are no table scans. Courses and addresses of the person lead to sessions, and a session leads to its join
//! attempts, polls, Zoom events and archive. Items that lead to others are deleted last, so an interrupted erasure can
//! run again.
//!
//! The sweep may archive a session concurrently, from data that it read before. Therefore the person loses access to
//! all courses first, and each invitation is deleted together with a new revision of the archive, which makes a
//! concurrent archive write fail.

use std::collections::{BTreeMap, BTreeSet};

use futures::stream::{self, StreamExt, TryStreamExt};
use jiff::{SignedDuration, Timestamp};

use super::delete_email_pointer;
use crate::app::error::Error;
use crate::app::{Services, disconnect, join, poll, session_cancel};
use crate::domain::attendance::erased::participant_events;
use crate::domain::attendance::people::PersonDetails;
use crate::domain::attendance::{ErasureMarker, record};
use crate::domain::directory::{ERASED_NAME, Enrollment, EnrollmentPeriod};
use crate::domain::id::{CourseId, SessionId, UserId};
use crate::domain::session::Session;
use crate::domain::text::{Email, PersonName};
use crate::store::archive::Archive;
use crate::store::attendance::StoredOverride;
use crate::store::directory as items;
use crate::store::due_work::ErasureCheck;
use crate::store::error::CommitError;
use crate::store::events::{self, MeetingItems};
use crate::store::schema::limit;
use crate::store::sessions::{SessionCursor, SessionFilter};
use crate::store::tx::Action;
use crate::store::{attendance as attendance_items, host_status, invitations, preferences};

/// Sessions that are processed concurrently, with two queries each.
const CONCURRENCY: usize = 16;
/// Attempts against the sweep, which archives a session once.
const ATTEMPTS: usize = 5;
/// Sessions per page.
const PAGE: usize = 100;

/// A person to erase.
struct ErasedPerson {
    id: UserId,
    /// Every address of the person in the directory.
    addresses: Vec<Email>,
    /// The customer key in Zoom's events. `None` if the Meeting SDK is not configured.
    customer_key: Option<String>,
}

impl ErasedPerson {
    /// Returns the marker of the person in a session, with their current identifiers.
    fn marker(&self, session: &Session, now: Timestamp) -> ErasureMarker {
        let is_host = session.trainer == self.id;
        let mut marker = ErasureMarker::new(&session.id, &self.id, is_host, now);
        self.addresses.iter().for_each(|email| marker.add_email(email));
        self.customer_key.iter().for_each(|key| marker.add_customer_key(key));
        marker
    }
}

/// Erases a person: cancels their upcoming sessions, disconnects Zoom, and erases join attempts, Zoom events, votes,
/// invitations, notifications, preferences, enrollments and the user itself.
pub(super) async fn erase(services: &Services, id: &UserId) -> Result<(), Error> {
    let user = services.store.user(id).await?;
    let enrollments = services.store.enrollments(id).await?;
    let periods = services.store.enrollment_periods(id).await?;
    let without_access = |e: &Enrollment| Enrollment { access_granted: false, ..e.clone() };
    // A former enrollment without access is on no roster, but still leads to its address and its course.
    let former = periods.iter().filter_map(|period| {
        let enrollment = without_access(&period.enrollment);
        let closed = EnrollmentPeriod { enrollment, ..period.clone() };
        Some(items::put_enrollment_period(&closed, period.until?))
    });
    let closed = enrollments.iter().map(|e| items::put_enrollment(&without_access(e)));
    services.store.write_directory(closed.chain(former).collect()).await?;
    let former = periods.iter().map(|period| &period.enrollment);
    let mut addresses: Vec<Email> =
        enrollments.iter().chain(former).flat_map(Enrollment::emails).cloned().collect();
    if let Some(user) = &user {
        delete_email_pointer(services, &user.email, id).await?;
        addresses.push(user.email.clone());
        addresses.extend(user.former_emails.iter().cloned());
    }
    if let Some(email) = services.store.email_of_preferences(id).await? {
        delete_email_pointer(services, &email, id).await?;
        addresses.push(email);
    }
    addresses.sort();
    addresses.dedup();
    let now = services.clock.now();
    // Requires the grant, so that the meetings can be deleted at Zoom.
    let cancelled = session_cancel::cancel_upcoming(services, id, now).await?;
    disconnect::erase_connection(services, id).await?;
    let customer_key = join::customer_key(&*services.secrets.get(now).await?, id).ok();
    let person = ErasedPerson { id: id.clone(), addresses, customer_key };
    let mut erasure = Erasure {
        services,
        person: &person,
        now,
        finished: BTreeSet::new(),
        counts: ErasureCounts::default(),
    };
    erasure.erase_invitations().await?;
    let sessions = list_all_sessions(services, SessionsOf::Trainer(id)).await?;
    let hosts: BTreeSet<_> =
        sessions.iter().filter_map(|session| session.meeting.host_user.as_deref()).collect();
    for host in hosts {
        services.store.commit_one(host_status::delete_host_address(host)).await?;
    }
    erasure.erase_from_sessions(sessions, &BTreeMap::new()).await?;
    let former_courses = services.store.former_courses(id).await?;
    let last_courses = courses_to_finish_last(&enrollments, user.as_ref().map(|user| &user.email));
    let courses: BTreeSet<_> =
        enrollments.iter().map(|e| &e.course).chain(&former_courses).collect();
    let (last, first): (Vec<_>, Vec<_>) =
        courses.into_iter().partition(|course| last_courses.contains(*course));
    // One course after the other, so that an interrupted run leaves less for the next one.
    for course in first {
        erasure.erase_course(course).await?;
        let deletions =
            [items::delete_enrollment(course, id), items::delete_former_enrollment(course, id)];
        services.store.write_directory(deletions.into()).await?;
    }
    let mut deletions: Vec<_> = periods
        .iter()
        .filter_map(|period| {
            let course = &period.enrollment.course;
            Some(items::delete_enrollment_period(course, id, period.until?))
        })
        .collect();
    for course in last {
        erasure.erase_course(course).await?;
        deletions.extend([
            items::delete_enrollment(course, id),
            items::delete_former_enrollment(course, id),
        ]);
    }
    deletions.push(preferences::delete(id));
    deletions.push(items::delete_user(id));
    let notifications = services.store.erase_notifications(id).await?;
    services.store.erase_mailing(id).await?;
    services.store.write_directory(deletions).await?;
    let (sessions, ErasureCounts { invitations, traces, votes }) =
        (erasure.finished.len(), erasure.counts);
    tracing::info!(
        event = "directory.user_erased",
        enrollments = enrollments.len(),
        invitations,
        notifications,
        sessions,
        cancelled,
        traces,
        votes
    );
    Ok(())
}

/// For each address that occurs only in enrollments, returns one course that has it. The address leads to sessions of
/// other courses, so this course goes last.
fn courses_to_finish_last(enrollments: &[Enrollment], own: Option<&Email>) -> BTreeSet<CourseId> {
    let mut course_by_email: BTreeMap<&Email, &CourseId> = BTreeMap::new();
    for enrollment in enrollments {
        for email in enrollment.emails().filter(|email| Some(*email) != own) {
            course_by_email.insert(email, &enrollment.course);
        }
    }
    course_by_email.into_values().cloned().collect()
}

/// An erasure in progress.
struct Erasure<'a> {
    services: &'a Services,
    person: &'a ErasedPerson,
    now: Timestamp,
    /// Sessions that are finished. A session can be found in several ways.
    finished: BTreeSet<SessionId>,
    counts: ErasureCounts,
}

/// The number of erased items.
#[derive(Clone, Copy, Default)]
struct ErasureCounts {
    invitations: usize,
    traces: usize,
    votes: usize,
}

impl Erasure<'_> {
    /// Erases the invitations and the sessions to which they belong.
    async fn erase_invitations(&mut self) -> Result<(), Error> {
        let Self { services, person, .. } = *self;
        let mut invitations: BTreeMap<SessionId, Vec<Action>> = BTreeMap::new();
        for address in &person.addresses {
            let all = services.store.invitations(address, Timestamp::MIN, Timestamp::MAX).await?;
            for invitation in all {
                let delete = invitations::delete(&invitation.session, invitation.list, address);
                invitations.entry(invitation.session).or_default().push(delete);
            }
        }
        let invited: Vec<_> = invitations.keys().cloned().collect();
        let sessions = services.store.sessions(&invited).await?;
        // Votes are found through the same invitations, so they are anonymized first.
        self.counts.votes +=
            poll::anonymize_votes(services, &person.id, BTreeSet::new(), &person.addresses).await?;
        self.erase_from_sessions(sessions, &invitations).await?;
        let mut unlinked = 0;
        for address in &person.addresses {
            unlinked += services.store.erase_invitations(address).await?;
        }
        self.counts.invitations += invitations.values().map(Vec::len).sum::<usize>().max(unlinked);
        Ok(())
    }

    async fn erase_course(&mut self, course: &CourseId) -> Result<(), Error> {
        let Self { services, person, .. } = *self;
        let sessions = list_all_sessions(services, SessionsOf::Course(course)).await?;
        self.erase_from_sessions(sessions, &BTreeMap::new()).await?;
        let course = BTreeSet::from([course.clone()]);
        self.counts.votes += poll::anonymize_votes(services, &person.id, course, &[]).await?;
        Ok(())
    }

    async fn erase_from_sessions(
        &mut self,
        mut sessions: Vec<Session>,
        invitations: &BTreeMap<SessionId, Vec<Action>>,
    ) -> Result<(), Error> {
        let Self { services, person, now, .. } = *self;
        sessions.retain(|session| !self.finished.contains(&session.id));
        let mut erasures = Vec::with_capacity(sessions.len());
        for session in &sessions {
            let invitations = invitations.get(&session.id).map(Vec::as_slice).unwrap_or_default();
            erasures.push(erase_from_session(services, session, invitations, person, now));
        }
        let traces: Vec<usize> =
            stream::iter(erasures).buffer_unordered(CONCURRENCY).try_collect().await?;
        self.counts.traces += traces.into_iter().sum::<usize>();
        self.finished.extend(sessions.into_iter().map(|session| session.id));
        Ok(())
    }
}

/// Returns whether join attempts and events of the session may still exist, given their expiry.
fn may_have_traces(session: &Session, now: Timestamp) -> bool {
    let days = limit::EVENT_TTL_DAYS.max(limit::JOIN_ATTEMPT_TTL_DAYS) + limit::LATE_DELETION_DAYS;
    let since = now.saturating_sub(SignedDuration::from_hours(24 * days)).unwrap_or(now);
    record::last_trace_at(session) >= since
}

/// Selects the sessions to list.
#[derive(Clone, Copy)]
enum SessionsOf<'a> {
    Course(&'a CourseId),
    Trainer(&'a UserId),
}

async fn list_all_sessions(services: &Services, of: SessionsOf<'_>) -> Result<Vec<Session>, Error> {
    let mut sessions = Vec::new();
    let filter = SessionFilter { is_strict: true, ..SessionFilter::default() };
    let mut after: Option<SessionCursor> = None;
    loop {
        let cursor = after.as_ref();
        let (page, next) = match of {
            SessionsOf::Course(id) => {
                services.store.sessions_of_course(id, None, &filter, cursor, PAGE).await?
            }
            SessionsOf::Trainer(id) => {
                services.store.sessions_of_trainer(id, &filter, cursor, PAGE).await?
            }
        };
        sessions.extend(page);
        match next {
            Some(cursor) => after = Some(cursor),
            None => return Ok(sessions),
        }
    }
}

/// Erases a person from one session, and deletes their invitations last. Returns the number of erased items. The
/// anonymous attendance stays, because it is part of the session's report.
async fn erase_from_session(
    services: &Services,
    session: &Session,
    invitations: &[Action],
    person: &ErasedPerson,
    now: Timestamp,
) -> Result<usize, Error> {
    let store = &services.store;
    let mut marker = person.marker(session, now);
    let may_have_traces = may_have_traces(session, now);
    let meeting = session.meeting.id.filter(|_| may_have_traces);
    let items = match meeting {
        Some(meeting) => Some(store.meeting_items(meeting).await?),
        None => None,
    };
    let attempts = match may_have_traces {
        true => store.join_attempts_of_person(&session.id, &marker).await?,
        false => Vec::new(),
    };
    let mut archive = match record::may_have_archive(session, now) {
        true => Some(store.archive(&session.id).await?),
        false => None,
    };
    // Customer keys change with the Meeting SDK's secret, and addresses change too.
    let archived = archive.iter().flat_map(|archive| archive.join_attempts_of(&marker));
    let identifiers: Vec<_> = attempts
        .iter()
        .map(|(attempt, _)| (attempt.customer_key.clone(), attempt.email.clone()))
        .chain(archived)
        .collect();
    for (key, email) in identifiers {
        key.iter().for_each(|key| marker.add_customer_key(key));
        email.iter().for_each(|email| marker.add_email(email));
    }
    let overrides = store.attendance_overrides(&session.id).await?;
    add_assigned_rows(&mut marker, &overrides);
    let events = items.as_ref().map(MeetingItems::events).unwrap_or_default();
    let archived = archive.as_ref().map(Archive::participant_events).unwrap_or_default();
    let archived = archived.iter().map(|(instance, event)| (instance.as_str(), event));
    let stored = participant_events(events.iter().map(|stored| &stored.event));
    marker.learn_from(stored.chain(archived));
    let mut traces = anonymize_overrides(services, session, person, &marker, &overrides).await?;
    if let (Some(meeting), Some(items)) = (meeting, &items) {
        let earlier = items.markers()?.into_iter().find(|other| other.person == marker.person);
        marker.identities.extend(earlier.into_iter().flat_map(|earlier| earlier.identities));
        // Stored first, so that an event that arrives from now on is recognised.
        let put = events::put_erasure_marker(meeting, &marker, record::last_trace_at(session));
        let due_at = record::first_erasure_check(session, now);
        let check = ErasureCheck { session: session.id.clone(), due_at }.put();
        store.write_directory(vec![put, check]).await?;
        let is_person = |instance: &str, event: &_| marker.is_participant(instance, event);
        traces += store.anonymize_participants(meeting, items, ERASED_NAME, is_person).await?;
    }
    // Deleted last, because they lead to the events.
    traces += attempts.len();
    store.write_directory(attempts.into_iter().map(|(_, delete)| delete).collect()).await?;
    if archive.is_none() {
        store.write_directory(invitations.to_vec()).await?;
        return Ok(traces);
    }
    for _ in 0..ATTEMPTS {
        let archive = match archive.take() {
            Some(archive) => archive,
            None => store.archive(&session.id).await?,
        };
        let forgotten = store.erase_from_archive(&session.id, &archive, &marker).await;
        let finished = match forgotten {
            Ok(0) => {
                store
                    .commit_unless_archive_changed(&session.id, &archive, invitations.to_vec())
                    .await
            }
            Ok(more) => {
                traces += more;
                continue;
            }
            Err(error) => Err(error),
        };
        match finished {
            Ok(()) => return Ok(traces),
            Err(CommitError::Refused(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::busy("too many concurrent writes of the session's archive"))
}

/// Adds the rows that a trainer assigned to the person. Their names and telephone numbers are the person's.
fn add_assigned_rows(marker: &mut ErasureMarker, overrides: &[StoredOverride]) {
    for stored in overrides {
        let assigned_to = &stored.attendance_override.assigned_to;
        if assigned_to.as_ref().is_some_and(|person| marker.identities.contains(person)) {
            marker.identities.insert(stored.attendee.clone());
        }
    }
}

/// Anonymizes the attendance overrides of a person and their audit, whose reasons may name the person.
async fn anonymize_overrides(
    services: &Services,
    session: &Session,
    person: &ErasedPerson,
    marker: &ErasureMarker,
    overrides: &[StoredOverride],
) -> Result<usize, Error> {
    let mut forgotten = 0;
    for stored in overrides {
        let is_theirs = marker.identities.contains(&stored.attendee)
            || stored.identity.as_ref().is_some_and(|identity| {
                identity.user.as_ref() == Some(&person.id)
                    || identity.email.as_ref().is_some_and(|email| person.addresses.contains(email))
            });
        if is_theirs {
            let nobody = PersonDetails {
                name: PersonName::parse(ERASED_NAME).ok(),
                ..PersonDetails::default()
            };
            // A concurrent override stores the name again, in which case the erasure has to be repeated.
            let put =
                attendance_items::put_anonymous_override(&session.id, stored, nobody, ERASED_NAME);
            services.store.commit_one(put).await?;
            forgotten += 1;
        }
    }
    if !overrides.is_empty() {
        let rows = &marker.identities;
        forgotten += services.store.erase_audit_reasons(&session.id, rows, ERASED_NAME).await?;
    }
    Ok(forgotten)
}
