//! Notifications that only the trainer gets.

use super::super::Run;
use super::new_mail;
use crate::app::error::Error;
use crate::domain::domain_event::{DomainEvent, DomainEventKind};
use crate::domain::id::UserId;
use crate::domain::in_app::{InAppNotification, NotificationSubject};
use crate::domain::mailing::urgency::Urgency;
use crate::domain::mailing::{MailKind, MailSubject};
use crate::domain::session::{Session, Status};
use crate::store::domain_events::PendingEvent;

/// A notification of a trainer.
pub(super) struct TrainerNotification<'a> {
    kind: MailKind,
    trainer: &'a UserId,
    session: Option<&'a Session>,
    /// Whether its reason is gone.
    is_void: bool,
}

impl Run<'_> {
    /// Notifies a trainer whose Zoom connection of this version was lost.
    pub(super) async fn fan_out_lost_connection(
        &mut self,
        pending: &PendingEvent,
        trainer: &UserId,
        connection_version: u64,
    ) -> Result<(), Error> {
        // The trainer may have solved the problem already.
        let host = self.tools.store.current_host_status(trainer).await?;
        let is_void = host.has_replaced(connection_version);
        let kind = MailKind::ReauthRequired;
        self.notify_trainer(pending, TrainerNotification { kind, trainer, session: None, is_void })
            .await
    }

    /// Returns the notification of a domain event of a session that concerns only its trainer.
    pub(super) async fn trainer_notification<'e>(
        &self,
        event: &'e DomainEvent,
        session: &'e Session,
    ) -> Result<Option<TrainerNotification<'e>>, Error> {
        let is_cancelled = session.status == Status::Cancelled;
        let (kind, trainer, is_void) = match &event.kind {
            DomainEventKind::MeetingDeleted { trainer, .. } => {
                (MailKind::MeetingDeleted, trainer, is_cancelled)
            }
            DomainEventKind::MeetingMissing { trainer, starts_at, .. } => {
                let is_void = is_cancelled
                    || session.details.starts_at != *starts_at
                    || session.meeting.pending.is_none();
                (MailKind::MeetingMissing, trainer, is_void)
            }
            DomainEventKind::HostNotConnected { trainer, starts_at, .. } => {
                let host = self.tools.store.host_status(trainer).await?;
                let is_void = is_cancelled
                    || session.details.starts_at != *starts_at
                    || host.problem(session).is_none();
                (MailKind::HostNotConnected, trainer, is_void)
            }
            DomainEventKind::MailReturned { .. } => {
                (MailKind::MailReturned, &session.trainer, false)
            }
            _ => return Ok(None),
        };
        Ok(Some(TrainerNotification { kind, trainer, session: Some(session), is_void }))
    }

    /// Notifies the trainer. Trainers without an address in the directory get an in-app notification.
    pub(super) async fn notify_trainer(
        &mut self,
        pending: &PendingEvent,
        notification: TrainerNotification<'_>,
    ) -> Result<(), Error> {
        let TrainerNotification { kind, trainer, session, is_void } = notification;
        let subject = match session {
            Some(session) => MailSubject::Session(session.id.clone()),
            None => MailSubject::Trainer(trainer.clone()),
        };
        if is_void && !pending.is_started {
            return self.finish_event(pending, &subject, &[]).await;
        }
        if !pending.is_started && !self.start(pending).await? {
            return Ok(());
        }
        let store = &self.tools.store;
        let channels = store.preferences_of(trainer).await?.live_session;
        if let Some(kind) = kind.in_app().filter(|_| channels.in_app && !is_void) {
            let about = session.map(NotificationSubject::from_session);
            let notification = InAppNotification::new(&pending.event, kind, trainer.clone(), about);
            store.put_notifications(&[notification]).await?;
        }
        let user = if channels.email { store.user(trainer).await? } else { None };
        let addressed = user.and_then(|user| Some((user.email?, user.id)));
        let mails: Vec<_> = addressed
            .map(|(email, id)| new_mail(&pending.event, kind, &subject, &email, Some(id)))
            .into_iter()
            .collect();
        self.tools.outbox.send(Urgency::Urgent, &mails).await?;
        self.finish_event(pending, &subject, &mails).await
    }
}
