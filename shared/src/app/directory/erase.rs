//! Erases a person.
//!
//! There are no table scans. Courses and addresses of the person lead to sessions, and a session leads to its join
//! attempts, polls, Zoom events and archive. These leads are stored before anything is erased (`leads`), so that an
//! interrupted erasure is finished, and so that it is repeated for data that was not visible or not yet stored.
//!
//! The sweep may archive a session concurrently, from data that it read before. Therefore the person loses access to
//! all courses first, and each invitation is deleted together with a new revision of the archive, which makes a
//! concurrent archive write fail.

mod session;

use std::collections::{BTreeMap, BTreeSet};

use futures::stream::{self, StreamExt, TryStreamExt};
use jiff::Timestamp;

use self::session::erase_from_session;
use super::leads::{Leads, PersonLeads, begin_erasure, open_leads};
use crate::app::error::Error;
use crate::app::{Services, disconnect, hosts, join, payments, poll, session_cancel};
use crate::domain::attendance::ErasureMarker;
use crate::domain::directory::{Enrollment, EnrollmentPeriod};
use crate::domain::id::{CourseId, SessionId, UserId};
use crate::domain::session::Session;
use crate::domain::text::Email;
use crate::domain::time::whole_milli;
use crate::store::directory as items;
use crate::store::error::CommitError;
use crate::store::sessions::{SessionCursor, SessionFilter};
use crate::store::tx::Action;
use crate::store::{erasures, host_status, invitations, mail_addresses};

/// Sessions that are processed concurrently, with two queries each.
const CONCURRENCY: usize = 16;
/// Sessions per page.
const PAGE: usize = 100;

/// A person to erase.
struct ErasedPerson {
    id: UserId,
    /// Every address of the person in the directory.
    addresses: Vec<Email>,
    /// The customer keys in Zoom's events, as a user and as a guest. Empty if the Meeting SDK is not configured.
    customer_keys: Vec<String>,
    erased_at: Timestamp,
}

impl ErasedPerson {
    /// Returns the marker of the person in a session, with their current identifiers.
    fn marker(&self, session: &Session) -> ErasureMarker {
        let is_host = session.trainer == self.id;
        let mut marker = ErasureMarker::new(&session.id, &self.id, is_host, self.erased_at);
        self.addresses.iter().for_each(|email| marker.add_email(email));
        self.customer_keys.iter().for_each(|key| marker.add_customer_key(key));
        marker
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pass {
    /// The request itself, which erases everything.
    Request,
    /// A repetition, which spares data of requests that began after the erasure.
    Repeated,
}

impl Pass {
    /// Returns the time of the newest data to erase.
    fn until(self, erased_at: Timestamp) -> Option<Timestamp> {
        (self == Self::Repeated).then_some(erased_at)
    }
}

/// Erases a person: cancels their upcoming sessions, disconnects Zoom, and erases join attempts, Zoom events, votes,
/// invitations, notifications, preferences, enrollments and the user itself.
pub(super) async fn erase(services: &Services, id: &UserId) -> Result<(), Error> {
    let erased_at = whole_milli(services.clock.now());
    let subject = erasures::person_digest(id);
    let store = &services.store;
    let (user, enrollments, periods) =
        (store.user(id).await?, store.enrollments(id).await?, store.enrollment_periods(id).await?);
    let email_of_preferences = store.email_of_preferences(id).await?;
    let earlier = open_leads(services, &subject).await?;
    let mut leads = match earlier {
        Some((_, Leads::Person(leads))) => leads,
        _ => PersonLeads::new(id),
    };
    let user_emails = user.iter().flat_map(|user| user.emails());
    leads.addresses.extend(user_emails.chain(&email_of_preferences).cloned());
    let former = periods.iter().map(|period| &period.enrollment);
    leads.add_enrollments(enrollments.iter().chain(former));
    leads.add_courses(store.former_courses(id).await?);
    leads.begin_pass();
    begin_erasure(services, &subject, erased_at, &Leads::Person(leads.clone())).await?;
    Erasure::new(services, leads, erased_at, Pass::Request)
        .await?
        .run(enrollments, periods)
        .await
        .map(drop)
}

/// Erases a person again, except data of requests that began after the erasure. Returns the leads for the next repetition.
pub(super) async fn erase_again(
    services: &Services,
    mut leads: PersonLeads,
    erased_at: Timestamp,
) -> Result<PersonLeads, Error> {
    let store = &services.store;
    let enrollments = store.enrollments_requested_before(&leads.user, erased_at).await?;
    leads.add_enrollments(enrollments.iter());
    leads.pending.clear();
    Erasure::new(services, leads, erased_at, Pass::Repeated)
        .await?
        .run(enrollments, Vec::new())
        .await
}

/// An erasure in progress.
struct Erasure<'a> {
    services: &'a Services,
    leads: PersonLeads,
    person: ErasedPerson,
    pass: Pass,
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

impl<'a> Erasure<'a> {
    async fn new(
        services: &'a Services,
        leads: PersonLeads,
        erased_at: Timestamp,
        pass: Pass,
    ) -> Result<Self, Error> {
        let id = leads.user.clone();
        let secrets = services.secrets.get(services.clock.now()).await?;
        let addresses: Vec<_> = leads.addresses.iter().cloned().collect();
        let as_guest = addresses.iter().map(|email| join::guest_customer_key(&secrets, email));
        let customer_keys = std::iter::once(join::customer_key(&secrets, &id)).chain(as_guest);
        let customer_keys = customer_keys.flatten().collect();
        let person = ErasedPerson { id, addresses, customer_keys, erased_at };
        let (finished, counts) = (BTreeSet::new(), ErasureCounts::default());
        Ok(Self { services, leads, person, pass, finished, counts })
    }

    async fn run(
        mut self,
        enrollments: Vec<Enrollment>,
        periods: Vec<EnrollmentPeriod>,
    ) -> Result<PersonLeads, Error> {
        let (services, erased_at) = (self.services, self.person.erased_at);
        let (id, until) = (self.person.id.clone(), self.pass.until(erased_at));
        self.close_enrollments(&enrollments, &periods).await?;
        for email in &self.person.addresses {
            erase_email_pointer(services, email, &id, erased_at).await?;
        }
        self.erase_mail_addresses().await?;
        services.store.erase_from_pending_events(&id, &self.person.addresses, until).await?;
        // Before the invitations, so that no payment creates classes that invite the person again.
        payments::erase(services, &id, until).await?;
        // Requires the grant, so that the meetings can be deleted at Zoom.
        let now = services.clock.now();
        let cancelled = session_cancel::cancel_upcoming(services, &id, until, now).await?;
        disconnect::erase_connection(services, &id, until).await?;
        hosts::erase(&services.store, &id, until, now).await?;
        self.erase_invitations().await?;
        let mut sessions = list_all_sessions(services, SessionsOf::Trainer(&id)).await?;
        sessions.retain(|session| until.is_none_or(|until| session.created_at <= until));
        let hosts: BTreeSet<_> =
            sessions.iter().filter_map(|session| session.meeting.host_user.as_deref()).collect();
        for host in hosts {
            services.store.commit_one(host_status::delete_host_address(host)).await?;
        }
        self.erase_from_sessions(sessions, &BTreeMap::new()).await?;
        // One course after the other, so that an interrupted run leaves less for the next one.
        let courses = match self.pass {
            Pass::Request => self.leads.pending.clone(),
            Pass::Repeated => self.leads.courses.clone(),
        };
        for course in &courses {
            self.erase_course(course).await?;
            self.finish_course(course).await?;
        }
        let own = services.store.erase_own_items(&id, until).await?;
        let (sessions, ErasureCounts { invitations, traces, votes }) =
            (self.finished.len(), self.counts);
        tracing::info!(
            event = "directory.user_erased",
            enrollments = enrollments.len(),
            invitations,
            sessions,
            cancelled,
            traces,
            votes,
            own
        );
        Ok(self.leads)
    }

    /// Lets waiting mails find no address of the person.
    async fn erase_mail_addresses(&self) -> Result<(), Error> {
        let ErasedPerson { addresses, erased_at, .. } = &self.person;
        let store = &self.services.store;
        for email in addresses {
            store.commit_one(mail_addresses::put_erasure(email, *erased_at)).await?;
            store.erase_suppressed_address(email, *erased_at).await?;
        }
        Ok(store.write_directory(addresses.iter().map(mail_addresses::delete).collect()).await?)
    }

    /// Removes the access to all courses. A former enrollment without access is on no roster.
    async fn close_enrollments(
        &self,
        enrollments: &[Enrollment],
        periods: &[EnrollmentPeriod],
    ) -> Result<(), Error> {
        let without_access = |e: &Enrollment| Enrollment { access_granted: false, ..e.clone() };
        let former = periods.iter().filter_map(|period| {
            let enrollment = without_access(&period.enrollment);
            let closed = EnrollmentPeriod { enrollment, ..period.clone() };
            Some(items::put_enrollment_period(&closed, period.until?))
        });
        let closed = enrollments.iter().map(|e| items::put_enrollment(&without_access(e)));
        Ok(self.services.store.write_directory(closed.chain(former).collect()).await?)
    }

    /// Erases the invitations and the sessions to which they belong.
    async fn erase_invitations(&mut self) -> Result<(), Error> {
        let (services, until) = (self.services, self.pass.until(self.person.erased_at));
        let mut invitations: BTreeMap<SessionId, Vec<Action>> = BTreeMap::new();
        for address in &self.person.addresses {
            let mut all =
                services.store.invitations(address, Timestamp::MIN, Timestamp::MAX).await?;
            let is_later = |at: Timestamp| until.is_some_and(|until| at >= until);
            all.retain(|invitation| !invitation.requested_at.is_some_and(is_later));
            for invitation in all {
                let delete = invitations::delete(&invitation.session, invitation.list, address);
                invitations.entry(invitation.session).or_default().push(delete);
            }
        }
        let invited: Vec<_> = invitations.keys().cloned().collect();
        let sessions = services.store.sessions(&invited).await?;
        // Votes are found through the same invitations, so they are anonymized first.
        self.counts.votes += poll::anonymize_votes(
            services,
            &self.person.id,
            &invited,
            Vec::new(),
            self.person.erased_at,
        )
        .await?;
        self.counts.invitations += invitations.values().map(Vec::len).sum::<usize>();
        self.erase_from_sessions(sessions, &invitations).await?;
        // Also those of sessions that do not exist or were erased before.
        services.store.write_directory(invitations.into_values().flatten().collect()).await?;
        Ok(())
    }

    async fn erase_course(&mut self, course: &CourseId) -> Result<(), Error> {
        let services = self.services;
        let sessions = list_all_sessions(services, SessionsOf::Course(course)).await?;
        self.erase_from_sessions(sessions, &BTreeMap::new()).await?;
        let courses = vec![course.clone()];
        self.counts.votes +=
            poll::anonymize_votes(services, &self.person.id, &[], courses, self.person.erased_at)
                .await?;
        Ok(())
    }

    /// Records that a course is finished, in the request that erases everything.
    async fn finish_course(&mut self, course: &CourseId) -> Result<(), Error> {
        if self.pass == Pass::Repeated {
            return Ok(());
        }
        self.leads.pending.remove(course);
        let (id, subject) = (&self.person.id, erasures::person_digest(&self.person.id));
        let leads = Leads::Person(self.leads.clone());
        let leads = leads.seal(self.services, &subject).await?;
        let actions = vec![
            items::delete_enrollment(course, id),
            items::delete_former_enrollment(course, id),
            erasures::put(&subject, self.person.erased_at, &leads),
        ];
        match self.services.store.commit(actions).await {
            Ok(()) => Ok(()),
            Err(CommitError::Refused(_)) => Err(Error::busy("the person is being erased again")),
            Err(error) => Err(error.into()),
        }
    }

    async fn erase_from_sessions(
        &mut self,
        mut sessions: Vec<Session>,
        invitations: &BTreeMap<SessionId, Vec<Action>>,
    ) -> Result<(), Error> {
        let Self { services, person, pass, .. } = &*self;
        sessions.retain(|session| !self.finished.contains(&session.id));
        let mut erasures = Vec::with_capacity(sessions.len());
        for session in &sessions {
            let invitations = invitations.get(&session.id).map(Vec::as_slice).unwrap_or_default();
            erasures.push(erase_from_session(services, session, invitations, person, *pass));
        }
        let traces: Vec<usize> =
            stream::iter(erasures).buffer_unordered(CONCURRENCY).try_collect().await?;
        self.counts.traces += traces.into_iter().sum::<usize>();
        self.finished.extend(sessions.into_iter().map(|session| session.id));
        Ok(())
    }
}

async fn erase_email_pointer(
    services: &Services,
    email: &Email,
    user: &UserId,
    erased_at: Timestamp,
) -> Result<(), Error> {
    match services.store.commit_one(items::erase_email_pointer(email, user, erased_at)).await {
        Ok(()) | Err(CommitError::Refused(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
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
