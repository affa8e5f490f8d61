//! The fan-out of enrollment changes: one domain event per session of the course.
//!
//! A session that is scheduled while students are enrolled announces itself to the students that the index shows then.
//! The enrollment change is fanned out a minute later and includes this session. Students of the
//! first invitations are skipped. The others get the same mail and notification, under the same keys.

use std::collections::{BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};

use super::super::Run;
use super::log_overtaken;
use super::plan::PlannedNotification;
use crate::app::error::Error;
use crate::app::recipients::{recipient_from_student, recipients_with_access};
use crate::domain::domain_event::{
    ChangedStudent, DomainEvent, DomainEventKind, ENROLLMENT_DELAY, EnrollmentChange, EventNonce,
};
use crate::domain::id::{CourseId, UserId};
use crate::domain::mailing::recipients::Recipients;
use crate::domain::mailing::{MailKind, MessageKey, Recipient};
use crate::domain::session::Session;
use crate::store::domain_events::PendingEvent;
use crate::store::due_work;
use crate::store::error::CommitError;
use crate::store::schema::limit;
use crate::store::sessions::SessionVersion;

/// The time after the creation of a session in which an enrollment may meet the invitations to it: the longest time that mails
/// wait.
const OVERLAP_TIME: SignedDuration = SignedDuration::from_hours(24);
/// The difference between the clocks of two functions.
const CLOCK_DIFFERENCE: SignedDuration = SignedDuration::from_secs(5);

/// The mails of a session's first invitations, to which newly enrolled students belong.
pub(super) struct EarlierInvitations {
    pub(super) event: DomainEvent,
    /// The times at which mails were queued, by short message key.
    queued: HashMap<String, Timestamp>,
    /// A mail that was queued before this time belongs to an earlier enrollment of the student.
    counts_from: Timestamp,
}

/// How a newly enrolled student is invited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InvitedBy {
    /// By an earlier invitation, which has reached the student.
    EarlierMail,
    /// Under the keys of the earlier invitations, which have missed the student.
    Missed,
    /// By the enrollment, because the earlier invitation belongs to an earlier one.
    Enrolled,
}

impl EarlierInvitations {
    pub(super) fn invited_by(&self, key: &MessageKey) -> InvitedBy {
        match self.queued.get(key.short()) {
            None => InvitedBy::Missed,
            Some(at) if *at >= self.counts_from => InvitedBy::EarlierMail,
            Some(_) => InvitedBy::Enrolled,
        }
    }
}

impl Run<'_> {
    /// Returns the earlier invitations to which the students of a domain event belong. `None` if the event does not invite new
    /// students or if the session was announced long before.
    pub(super) async fn earlier_invitations(
        &self,
        event: &DomainEvent,
        session: &Session,
    ) -> Result<Option<EarlierInvitations>, Error> {
        let DomainEventKind::SessionEnrollments { change, .. } = &event.kind else {
            return Ok(None);
        };
        let enrolled_at = event.at.saturating_sub(ENROLLMENT_DELAY).unwrap_or(event.at);
        let age = enrolled_at.duration_since(session.created_at);
        if !change.granted || age > OVERLAP_TIME {
            return Ok(None);
        }
        let queued = self.tools.store.queued_mails(&session.id, session.created_at).await?;
        let counts_from = match change.is_unchecked {
            true => Timestamp::MIN,
            false => enrolled_at.saturating_sub(CLOCK_DIFFERENCE).unwrap_or(enrolled_at),
        };
        Ok(Some(EarlierInvitations {
            event: DomainEvent::scheduling(session),
            queued,
            counts_from,
        }))
    }

    /// Fans out enrollments that were written without being read, to the users with access.
    pub(super) async fn fan_out_check(
        &mut self,
        pending: &PendingEvent,
        course: &CourseId,
        nonce: EventNonce,
        users: &[UserId],
    ) -> Result<(), Error> {
        let store = &self.tools.store;
        let enrollments = match store.upcoming_sessions(course, self.now()).await?.is_empty() {
            true => Vec::new(),
            false => store.enrollments_of_users(course, users).await?,
        };
        let students = enrollments.into_iter().filter(|student| student.access_granted);
        let students = students.map(|student| ChangedStudent {
            user: student.user,
            email: student.email,
            name: student.name,
            former_emails: student.former_emails,
        });
        let students: Vec<_> = students.collect();
        let course = course.clone();
        let change =
            EnrollmentChange { course, granted: true, nonce, students, is_unchecked: true };
        self.fan_out_to_sessions(pending, &change).await
    }

    /// Stores one domain event per upcoming session of the course. The run fans them out in the order of all events.
    pub(super) async fn fan_out_to_sessions(
        &mut self,
        pending: &PendingEvent,
        change: &EnrollmentChange,
    ) -> Result<(), Error> {
        let mut pending = pending.clone();
        let at = pending.event.at;
        let mut sessions = match change.students.is_empty() {
            true => Vec::new(),
            false => self.tools.store.upcoming_sessions(&change.course, self.now()).await?,
        };
        // A session that was scheduled since announces itself to the current students.
        sessions.retain(|session| session.created_at <= at);
        // The progress is by session id, because a start may change meanwhile.
        let cursor = pending.cursor.clone();
        sessions.retain(|session| cursor.as_deref().is_none_or(|last| session.id.as_str() > last));
        sessions.sort_by(|a, b| a.id.cmp(&b.id));
        let events = sessions.into_iter().map(|SessionVersion { id: session, version, .. }| {
            let kind = DomainEventKind::SessionEnrollments {
                session: session.clone(),
                version,
                change: change.clone(),
            };
            (session, DomainEvent { at, kind })
        });
        let mut rest: Vec<_> = events.collect();
        let mut stored = Vec::with_capacity(rest.len());
        loop {
            // Every transaction also records the progress, so that none is repeated after its events were fanned out.
            let later = rest.split_off(rest.len().min(limit::TRANSACTION_ACTIONS - 1));
            let mut actions: Vec<_> =
                rest.iter().map(|(_, event)| due_work::put_domain_event(event)).collect();
            let last = rest.last().filter(|_| !later.is_empty()).map(|(id, _)| id.clone());
            actions.push(match &last {
                Some(last) => pending.advance_cursor(last.as_str()),
                None => pending.finish(),
            });
            match self.tools.store.commit(actions).await {
                Ok(()) => {}
                Err(CommitError::Refused(_)) => {
                    log_overtaken(&pending);
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            }
            stored.extend(rest.into_iter().map(|(_, event)| event));
            let Some(last) = last else { break };
            pending.cursor = Some(last.as_str().to_owned());
            rest = later;
        }
        self.finished_events.insert(pending.sort_key());
        self.report.finished_events += 1;
        self.created_events.extend(stored.into_iter().map(PendingEvent::new));
        Ok(())
    }

    /// Returns the mails for students who gained or lost access, according to their current enrollments.
    pub(super) async fn recipients_of_enrollment_change(
        &self,
        session: &Session,
        change: &EnrollmentChange,
    ) -> Result<Vec<PlannedNotification>, Error> {
        let planned = |mails: Vec<_>| mails.into_iter().map(PlannedNotification::from_mail);
        if session.audience.course() != Some(&change.course) {
            return Ok(Vec::new());
        }
        let store = &self.tools.store;
        let users: Vec<_> = change.students.iter().map(|student| student.user.clone()).collect();
        let enrollments = store.enrollments_of_users(&change.course, &users).await?;
        if change.granted {
            let recipients = recipients_with_access(enrollments);
            return Ok(planned(recipients.with_kind(MailKind::Scheduled)).collect());
        }
        let with_access: BTreeSet<_> = enrollments
            .iter()
            .filter(|student| student.access_granted)
            .map(|student| &student.user)
            .collect();
        // Erased people have neither a current nor a former enrollment and are not notified.
        let mut known: BTreeSet<_> = enrollments.iter().map(|student| &student.user).collect();
        let former = store.former_students(&change.course, &users).await?;
        known.extend(&former);
        let removed = change.students.iter().filter(|student| {
            known.contains(&student.user) && !with_access.contains(&student.user)
        });
        let removed = removed.map(|student| Recipient {
            email: student.email.clone(),
            name: Some(student.name.clone()),
            users: vec![student.user.clone()],
            former_emails: student.former_emails.clone(),
        });
        let removed = removed.collect::<Recipients>().with_kind(MailKind::Removed);
        // A student with access again keeps the entry, but not at an earlier address.
        let returned = enrollments.into_iter().filter_map(|student| {
            let old = change.students.iter().find(|old| old.user == student.user)?;
            let moved = student.access_granted && old.email != student.email;
            let student = student.replacing_address(old.email.as_ref(), &old.former_emails);
            let recipient = recipient_from_student(student);
            moved.then(|| PlannedNotification::mail_only(recipient, MailKind::Scheduled))
        });
        let returned: Vec<_> = returned.collect();
        Ok(planned(removed).chain(returned).collect())
    }
}
