//! Determines the recipients of a domain event, and the kind of mail and in-app notification for each.

use super::super::Run;
use crate::app::error::Error;
use crate::app::recipients::{audience_recipients, recipients_with_access};
use crate::domain::audience::Audience;
use crate::domain::domain_event::{
    AudienceRef, ChangeKind, DomainEvent, DomainEventKind, ResendTo, SessionChange,
};
use crate::domain::in_app::NotificationKind;
use crate::domain::mailing::recipients::{Recipients, recipients_of_change};
use crate::domain::mailing::{MailKind, MailSubject, PersonRef, Recipient};
use crate::domain::reminder::Reminder;
use crate::domain::session::Session;
use crate::store::domain_events::PendingEvent;

/// The mail and the in-app notification for a recipient, at the address of the enrollment or the invitation.
#[derive(Clone)]
pub(super) struct PlannedNotification {
    /// In the plan for one person, that person is the first user. Others share the address.
    pub(super) recipient: Recipient,
    pub(super) mail: Option<MailKind>,
    pub(super) in_app: Option<NotificationKind>,
    /// Whether the session has changed since the event, so that nobody needs the notification.
    is_void: bool,
}

impl PlannedNotification {
    pub(super) fn from_mail((recipient, kind): (Recipient, MailKind)) -> Self {
        Self { recipient, mail: Some(kind), in_app: kind.in_app(), is_void: false }
    }

    pub(super) fn mail_only(recipient: Recipient, kind: MailKind) -> Self {
        Self { recipient, mail: Some(kind), in_app: None, is_void: false }
    }

    fn in_app_only(recipients: Recipients, kind: NotificationKind) -> Vec<Self> {
        let all = recipients.into_values();
        all.map(|recipient| Self { recipient, mail: None, in_app: Some(kind), is_void: false })
            .collect()
    }
}

/// Splits a plan into persons after the cursor, in an order that does not change with their addresses. Void
/// notifications are left out, except those of which an earlier run may have queued the mail: their mails are queued
/// again, so that the counts contain them, and are dropped before they are sent.
pub(super) fn remaining_persons(
    planned: Vec<PlannedNotification>,
    subject: &MailSubject,
    pending: &PendingEvent,
    chunk_size: usize,
) -> Vec<(PersonRef, PlannedNotification)> {
    let mut persons = Vec::with_capacity(planned.len());
    for one in planned {
        let users = &one.recipient.users;
        if let (true, Some(email)) = (users.is_empty(), &one.recipient.email) {
            persons.push((PersonRef::of_address(subject, email), one));
            continue;
        }
        for (n, user) in users.iter().enumerate() {
            let mut person = one.clone();
            person.recipient.users.swap(0, n);
            persons.push((PersonRef::of_user(subject, user), person));
        }
    }
    let cursor = pending.cursor.as_deref();
    persons.retain(|(person, _)| cursor.is_none_or(|cursor| person.as_str() > cursor));
    persons.sort_by(|(a, _), (b, _)| a.cmp(b));
    let may_be_queued = if pending.is_started { chunk_size } else { 0 };
    let persons = persons.into_iter().enumerate();
    let persons = persons.filter(|(n, (_, planned))| *n < may_be_queued || !planned.is_void);
    let persons = persons.map(|(_, (person, mut planned))| {
        planned.in_app = planned.in_app.filter(|_| !planned.is_void);
        (person, planned)
    });
    persons.collect()
}

impl Run<'_> {
    /// Returns the notifications for a domain event, based on the current session.
    pub(super) async fn plan_notifications(
        &self,
        pending: &PendingEvent,
        session: &Session,
    ) -> Result<Vec<PlannedNotification>, Error> {
        let event = &pending.event;
        let is_upcoming = session.is_upcoming_or_live(self.now());
        let is_void = is_void(event, session, is_upcoming);
        if is_void && !pending.is_started {
            return Ok(Vec::new());
        }
        let is_change = matches!(&event.kind, DomainEventKind::Session(_));
        let planned = self.notifications_of_event(event, session).await?.into_iter();
        let planned = planned.map(|planned| {
            // A removal and a cancellation withdraw the calendar entry of a session that is over, too.
            let is_withdrawal = planned.mail.is_some_and(MailKind::is_withdrawal);
            let is_over = is_change && !is_upcoming && !is_withdrawal;
            PlannedNotification { is_void: is_void || is_over, ..planned }
        });
        Ok(planned.filter(|planned| pending.is_started || !planned.is_void).collect())
    }

    /// Returns the notifications for a domain event whose session has not changed since.
    async fn notifications_of_event(
        &self,
        event: &DomainEvent,
        session: &Session,
    ) -> Result<Vec<PlannedNotification>, Error> {
        let current = AudienceRef::from_audience(&session.audience);
        let in_app_only = PlannedNotification::in_app_only;
        let mails = match &event.kind {
            DomainEventKind::Session(change) => self.mails_of_change(change, session).await?,
            DomainEventKind::Reminder { reminder, .. } => {
                let recipients = self.recipients(session, &current).await?;
                match reminder {
                    Reminder::DayBefore => recipients.with_kind(MailKind::ReminderDayBefore),
                    Reminder::HourBefore => recipients.with_kind(MailKind::ReminderHourBefore),
                    Reminder::Start => return Ok(in_app_only(recipients, NotificationKind::LIVE)),
                }
            }
            DomainEventKind::RecordingReady { .. } => {
                let recipients = self.recipients(session, &current).await?;
                return Ok(in_app_only(recipients, NotificationKind::RECORDING_READY));
            }
            DomainEventKind::Resend { to, .. } => {
                self.recipients_of_resend(session, to).await?.with_kind(MailKind::Resent)
            }
            DomainEventKind::SessionEnrollments { change, .. } => {
                return self.recipients_of_enrollment_change(session, change).await;
            }
            DomainEventKind::MeetingDeleted { .. }
            | DomainEventKind::MeetingMissing { .. }
            | DomainEventKind::MailReturned { .. }
            | DomainEventKind::HostNotConnected { .. }
            | DomainEventKind::ReauthRequired { .. }
            | DomainEventKind::EnrollmentCheck { .. }
            | DomainEventKind::CourseEnrollments(_) => Vec::new(),
        };
        Ok(mails.into_iter().map(PlannedNotification::from_mail).collect())
    }

    async fn mails_of_change(
        &self,
        change: &SessionChange,
        session: &Session,
    ) -> Result<Vec<(Recipient, MailKind)>, Error> {
        let current = AudienceRef::from_audience(&session.audience);
        let audience = change.audience.as_ref().unwrap_or(&current);
        let recipients = self.recipients(session, audience).await?;
        Ok(match change.kind {
            ChangeKind::Scheduled => recipients.with_kind(MailKind::Scheduled),
            ChangeKind::Cancelled => recipients.with_kind(MailKind::Cancelled),
            ChangeKind::Updated => {
                let previous = match &change.previous_audience {
                    Some(previous) => Some(self.recipients(session, previous).await?),
                    None => None,
                };
                recipients_of_change(recipients, previous, change.calendar_changed)
            }
        })
    }

    async fn recipients(
        &self,
        session: &Session,
        audience: &AudienceRef,
    ) -> Result<Recipients, Error> {
        audience_recipients(&self.tools.store, &session.id, audience).await
    }

    /// Returns the recipients of a resent invitation. Named students are read by key, because the index may not show the
    /// newest ones.
    async fn recipients_of_resend(
        &self,
        session: &Session,
        to: &ResendTo,
    ) -> Result<Recipients, Error> {
        let current = AudienceRef::from_audience(&session.audience);
        match (to, &session.audience) {
            (ResendTo::All, _) => self.recipients(session, &current).await,
            (ResendTo::Named { users, .. }, Audience::Course { id, .. }) => {
                let students = self.tools.store.enrollments_of_users(id, users).await?;
                Ok(recipients_with_access(students))
            }
            (ResendTo::Named { users, emails }, _) => {
                let mut recipients = self.recipients(session, &current).await?;
                recipients.retain_named(users, emails);
                Ok(recipients)
            }
        }
    }
}

/// Returns whether the session has changed since the event, so that nobody needs a notification.
fn is_void(event: &DomainEvent, session: &Session, is_upcoming: bool) -> bool {
    match &event.kind {
        DomainEventKind::Session(SessionChange { kind: ChangeKind::Scheduled, .. })
        | DomainEventKind::Resend { .. }
        | DomainEventKind::SessionEnrollments { .. } => !is_upcoming,
        DomainEventKind::Reminder { starts_at, .. } => {
            *starts_at != session.details.starts_at || !is_upcoming
        }
        // The trainer may have deleted it since.
        DomainEventKind::RecordingReady { .. } => !session.has_recording_for_audience(),
        _ => false,
    }
}
