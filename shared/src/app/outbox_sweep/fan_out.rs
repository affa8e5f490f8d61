//! The fan-out of a domain event to mails and in-app notifications.
//!
//! It processes 100 persons at a time: writes their notifications, queues their mails, and then records the queued
//! mails and the progress of the domain event in one transaction. A run that stops before that transaction queues the
//! same mails again, with the same message keys. A run whose transaction is refused was overtaken by another one and
//! stops.
//!
//! Before the first mail, the event is marked as started. If it becomes void later, for example by a cancellation, the
//! next chunk is processed once more, because its mails may be in the queue. Every queued mail is counted then.

mod chunk;
mod enrollments;
mod plan;
mod trainer;

use std::collections::HashSet;

use jiff::SignedDuration;

use self::chunk::ChunkContext;
use self::plan::{PlannedNotification, remaining_persons};
use super::Run;
use crate::app::error::Error;
use crate::domain::domain_event::{ChangeKind, DomainEvent, DomainEventKind, SessionChange};
use crate::domain::id::{SessionId, UserId};
use crate::domain::link_generation::LinkGeneration;
use crate::domain::mailing::urgency::{EventUrgency, Urgency};
use crate::domain::mailing::{
    AddressDigest, Mail, MailKind, MailSubject, MessageKey, RecipientRef,
};
use crate::domain::session::Session;
use crate::domain::text::Email;
use crate::store::domain_events::PendingEvent;
use crate::store::error::CommitError;
use crate::store::mailing::{mark_notified, record_queued};

/// The difference between the clocks of two functions.
const CLOCK_DIFFERENCE: SignedDuration = SignedDuration::from_mins(1);

/// The number of persons between two records of the progress, equal to the size of a DynamoDB batch read.
const CHUNK_SIZE: usize = 100;

impl Run<'_> {
    /// Notifies all remaining recipients of a domain event, as far as time allows.
    pub(super) async fn fan_out(&mut self, pending: &PendingEvent) -> Result<(), Error> {
        let id = match &pending.event.kind {
            DomainEventKind::ReauthRequired { trainer, connection_version, .. } => {
                return self.fan_out_lost_connection(pending, trainer, *connection_version).await;
            }
            DomainEventKind::CourseEnrollments(change) => {
                return self.fan_out_to_sessions(pending, change).await;
            }
            DomainEventKind::EnrollmentCheck { course, nonce, users } => {
                return self.fan_out_check(pending, course, *nonce, users).await;
            }
            DomainEventKind::Session(SessionChange { session, .. })
            | DomainEventKind::Reminder { session, .. }
            | DomainEventKind::Resend { session, .. }
            | DomainEventKind::RecordingReady { session, .. }
            | DomainEventKind::SessionEnrollments { session, .. }
            | DomainEventKind::HostNotConnected { session, .. }
            | DomainEventKind::MeetingDeleted { session, .. }
            | DomainEventKind::MeetingMissing { session, .. }
            | DomainEventKind::MailReturned { session } => session,
        };
        let Some(record) = self.tools.store.session(id).await? else {
            return self.finish_event(pending, &MailSubject::Session(id.clone()), &[]).await;
        };
        let session = record.session;
        match self.trainer_notification(&pending.event, &session).await? {
            Some(notification) => self.notify_trainer(pending, notification).await,
            None => self.notify_recipients(pending, &session).await,
        }
    }

    /// Notifies the remaining people who are or were invited to a session.
    async fn notify_recipients(
        &mut self,
        pending: &PendingEvent,
        session: &Session,
    ) -> Result<(), Error> {
        let event = &pending.event;
        let subject = MailSubject::Session(session.id.clone());
        let cancelled = matches!(
            &event.kind,
            DomainEventKind::Session(SessionChange { kind: ChangeKind::Cancelled, .. })
        );
        // A session that was cancelled before the first notification needs no cancellation mails.
        if cancelled && !self.tools.store.was_notified(&subject).await? {
            return self.finish_event(pending, &subject, &[]).await;
        }
        let planned = self.plan_notifications(pending, session).await?;
        let sends_mail = planned.iter().any(|planned| planned.mail.is_some());
        if !cancelled && !planned.is_empty() {
            self.tools.store.commit_one(mark_notified(&subject)).await?;
            // In this order: a cancellation either finds the mark, or has finished the event before.
            if sends_mail && !pending.is_started && !self.start(pending).await? {
                return Ok(());
            }
        }
        let earlier = self.earlier_invitations(event, session).await?;
        let queued = match (&pending.cursor, sends_mail) {
            (Some(_), true) => self.queued_by_earlier_runs(event, &session.id).await?,
            _ => HashSet::new(),
        };
        let urgency = match EventUrgency::of(event) {
            EventUrgency::Always(urgency) => urgency,
            _ => Urgency::of_start(session.details.starts_at, self.now()),
        };
        let mut context =
            ChunkContext { event, session, subject, urgency, earlier, queued, states: None };
        self.notify_all(pending.clone(), &mut context, planned).await
    }

    /// Marks a domain event as started. Returns `false` if another run has processed it.
    async fn start(&self, pending: &PendingEvent) -> Result<bool, Error> {
        match self.tools.store.commit_one(pending.start()).await {
            Ok(()) => Ok(true),
            Err(CommitError::Refused(_)) => {
                log_overtaken(pending);
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the short keys of the mails that earlier runs have queued since the event. An address of such a mail may
    /// belong to another person now.
    async fn queued_by_earlier_runs(
        &self,
        event: &DomainEvent,
        session: &SessionId,
    ) -> Result<HashSet<String>, Error> {
        let since = event.at.saturating_sub(CLOCK_DIFFERENCE).unwrap_or(event.at);
        Ok(self.tools.store.queued_mails(session, since).await?.into_keys().collect())
    }

    async fn notify_all(
        &mut self,
        mut pending: PendingEvent,
        context: &mut ChunkContext<'_>,
        planned: Vec<PlannedNotification>,
    ) -> Result<(), Error> {
        let mut rest = remaining_persons(planned, &context.subject, &pending, CHUNK_SIZE);
        while rest.len() > CHUNK_SIZE {
            if !self.has_time_for(context.urgency) {
                self.report.is_full = true;
                self.waiting_sessions.insert(context.session.id.clone());
                return Ok(());
            }
            let later = rest.split_off(CHUNK_SIZE);
            let cursor = rest.last().map(|(person, _)| person.clone());
            let mails = self.notify_chunk(context, rest).await?;
            rest = later;
            let Some(cursor) = cursor else { continue };
            let mut actions = record_queued(&context.subject, &mails, self.now());
            actions.push(pending.advance_cursor(cursor.as_str()));
            match self.tools.store.commit(actions).await {
                Ok(()) => {}
                Err(CommitError::Refused(_)) => {
                    log_overtaken(&pending);
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            }
            self.report.queued += mails.len();
            pending.cursor = Some(cursor.as_str().to_owned());
        }
        let mails = self.notify_chunk(context, rest).await?;
        self.finish_event(&pending, &context.subject, &mails).await
    }

    /// Records the last queued mails and finishes the domain event.
    async fn finish_event(
        &mut self,
        pending: &PendingEvent,
        subject: &MailSubject,
        mails: &[Mail],
    ) -> Result<(), Error> {
        let mut actions = record_queued(subject, mails, self.now());
        actions.push(pending.finish());
        let committed = match actions.len() {
            // A single write costs half as much outside of a transaction.
            1 => self.tools.store.commit_one(pending.finish()).await,
            _ => self.tools.store.commit(actions).await,
        };
        match committed {
            Ok(()) => {}
            Err(CommitError::Refused(_)) => {
                log_overtaken(pending);
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
        self.report.queued += mails.len();
        self.report.finished_events += 1;
        self.finished_events.insert(pending.sort_key());
        Ok(())
    }
}

fn log_overtaken(pending: &PendingEvent) {
    tracing::info!(event = "domain_event.overtaken", key = pending.event.key());
}

fn new_mail(
    event: &DomainEvent,
    kind: MailKind,
    subject: &MailSubject,
    to: &Email,
    user: Option<UserId>,
) -> Mail {
    let (starts_at, reason) = match &event.kind {
        DomainEventKind::Reminder { starts_at, .. }
        | DomainEventKind::HostNotConnected { starts_at, .. } => (Some(*starts_at), None),
        DomainEventKind::Session(change) => (None, change.reason.clone()),
        _ => (None, None),
    };
    let version = match &event.kind {
        DomainEventKind::Session(SessionChange { version, .. })
        | DomainEventKind::Reminder { version, .. }
        | DomainEventKind::Resend { version, .. }
        | DomainEventKind::SessionEnrollments { version, .. } => Some(*version),
        DomainEventKind::ReauthRequired { connection_version, .. } => Some(*connection_version),
        _ => None,
    };
    let link_generation = match &event.kind {
        DomainEventKind::Resend { nonce, .. } => Some(LinkGeneration(nonce.0)),
        _ => None,
    };
    let to_new_student = matches!(event.kind, DomainEventKind::SessionEnrollments { .. });
    Mail {
        message_key: MessageKey::new(&event.key(), kind, to),
        kind,
        subject: subject.clone(),
        to: AddressDigest::new(to),
        recipient: RecipientRef::new(subject, to),
        user,
        other_users: Vec::new(),
        starts_at,
        reason,
        version,
        link_generation,
        to_new_student,
        address_changed: false,
        redrives: 0,
    }
}
