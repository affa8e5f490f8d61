//! The fan-out of a domain event to mails and in-app notifications.
//!
//! It processes 100 recipients at a time: writes their notifications, queues their mails, and then records the queued
//! mails and the progress of the domain event in one transaction. A run that stops before that transaction queues the
//! same mails again, with the same message keys. A run whose transaction is refused was overtaken by another one and
//! stops.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{FAN_OUT_TIME, Run};
use crate::app::error::Error;
use crate::app::recipients::{
    AddressBook, audience_recipients, recipient_from_student, recipients_with_access, students_at,
};
use crate::domain::domain_event::{
    AudienceRef, ChangeKind, DomainEvent, DomainEventKind, EnrollmentChange, ResendTo,
    SessionChange,
};
use crate::domain::id::{SessionId, UserId};
use crate::domain::in_app::{InAppNotification, NotificationKind, NotificationSubject};
use crate::domain::mailing::recipients::{Recipients, recipients_of_change};
use crate::domain::mailing::{
    Mail, MailKind, MailSubject, MessageKey, Recipient, RecipientRef, RecipientState,
};
use crate::domain::reminder::Reminder;
use crate::domain::session::{Session, Status};
use crate::domain::text::{Email, PersonName};
use crate::mail::CalendarMethod;
use crate::store::domain_events::PendingEvent;
use crate::store::due_work;
use crate::store::error::CommitError;
use crate::store::mailing::{mark_notified, record_queued};
use crate::store::schema::limit;
use crate::store::sessions::SessionVersion;

/// The number of recipients between two records of the progress, equal to the size of a DynamoDB batch read.
const CHUNK_SIZE: usize = 100;

/// The mail and the in-app notification for one recipient, at the address of the enrollment or the invitation.
struct PlannedNotification {
    recipient: Recipient,
    mail: Option<MailKind>,
    in_app: Option<NotificationKind>,
}

/// The notifications of a chunk at the current addresses.
#[derive(Default)]
struct ResolvedChunk {
    in_app: Vec<(UserId, NotificationKind)>,
    mails: BTreeMap<Email, AddressedMail>,
    /// Addresses that the recipients had before, with the kind of mail to the current address.
    former_addresses: BTreeMap<Email, MailKind>,
}

/// The mail to an address, with its users.
struct AddressedMail {
    kind: MailKind,
    name: Option<PersonName>,
    users: Vec<UserId>,
    address_changed: bool,
}

impl ResolvedChunk {
    /// Merges mails to one address. Whoever is still invited there keeps the invitation.
    fn add_mail(&mut self, email: Email, mail: AddressedMail) {
        let Some(known) = self.mails.get_mut(&email) else {
            self.mails.insert(email, mail);
            return;
        };
        match (known.kind == MailKind::Removed, mail.kind == MailKind::Removed) {
            (false, true) => {}
            (true, false) => *known = mail,
            _ => {
                let new = mail.users.into_iter().filter(|user| !known.users.contains(user));
                let new: Vec<_> = new.collect();
                known.users.extend(new);
                known.name = known.name.take().or(mail.name);
            }
        }
    }
}

/// Returns whether the mail removes the calendar entry.
fn is_withdrawal(kind: MailKind) -> bool {
    kind.calendar_method() == Some(CalendarMethod::Cancel)
}

impl PlannedNotification {
    fn from_mail((recipient, kind): (Recipient, MailKind)) -> Self {
        Self { recipient, mail: Some(kind), in_app: in_app_kind(kind) }
    }
}

/// Returns the kind of in-app notification that accompanies a mail.
fn in_app_kind(kind: MailKind) -> Option<NotificationKind> {
    match kind {
        MailKind::Scheduled => Some(NotificationKind::Scheduled),
        MailKind::Updated => Some(NotificationKind::Updated),
        MailKind::Cancelled => Some(NotificationKind::Cancelled),
        MailKind::Removed => Some(NotificationKind::Removed),
        MailKind::ReminderDayBefore | MailKind::ReminderHourBefore => {
            Some(NotificationKind::Reminder)
        }
        // Only the mail was missing. The in-app notification still exists.
        MailKind::Resent => None,
        MailKind::ReauthRequired => Some(NotificationKind::ReconnectZoom),
        MailKind::HostNotConnected => Some(NotificationKind::HostNotConnected),
        MailKind::MeetingDeleted => Some(NotificationKind::MeetingDeleted),
    }
}

impl Run<'_> {
    /// Notifies all remaining recipients of a domain event, as far as time allows.
    pub(super) async fn fan_out(&mut self, pending: &PendingEvent) -> Result<(), Error> {
        let event = &pending.event;
        let id = match &event.kind {
            DomainEventKind::ReauthRequired { trainer, connection_version, .. } => {
                let subject = MailSubject::Trainer(trainer.clone());
                // The trainer has solved the problem already.
                let host = self.tools.store.current_host_status(trainer).await?;
                if host.has_replaced(*connection_version) {
                    return self.finish_event(pending, &subject, &[]).await;
                }
                return self.notify_trainer(pending, &subject, trainer, None).await;
            }
            DomainEventKind::Session(SessionChange { session, .. })
            | DomainEventKind::Reminder { session, .. }
            | DomainEventKind::Resend { session, .. }
            | DomainEventKind::RecordingReady { session, .. }
            | DomainEventKind::SessionEnrollments { session, .. }
            | DomainEventKind::HostNotConnected { session, .. }
            | DomainEventKind::MeetingDeleted { session, .. } => session,
            DomainEventKind::CourseEnrollments(change) => {
                return self.fan_out_to_sessions(pending, change).await;
            }
        };
        let Some(record) = self.tools.store.session(id).await? else {
            return self.finish_event(pending, &MailSubject::Session(id.clone()), &[]).await;
        };
        let session = record.session;
        let subject = MailSubject::Session(session.id.clone());
        if let DomainEventKind::MeetingDeleted { trainer, .. } = &event.kind {
            return self.notify_trainer(pending, &subject, trainer, Some(&session)).await;
        }
        if let DomainEventKind::HostNotConnected { trainer, starts_at, .. } = &event.kind {
            let host = self.tools.store.host_status(trainer).await?;
            if session.starts_at != *starts_at || host.problem(&session).is_none() {
                return self.finish_event(pending, &subject, &[]).await;
            }
            return self.notify_trainer(pending, &subject, trainer, Some(&session)).await;
        }
        let cancelled = matches!(
            &event.kind,
            DomainEventKind::Session(SessionChange { kind: ChangeKind::Cancelled, .. })
        );
        // A session that was cancelled before the first notification needs no cancellation mails.
        if cancelled && !self.tools.store.was_notified(&subject).await? {
            return self.finish_event(pending, &subject, &[]).await;
        }
        let planned = self.plan_notifications(event, &session).await?;
        if !cancelled && !planned.is_empty() {
            self.tools.store.commit_one(mark_notified(&subject)).await?;
        }
        self.notify_all(pending, &session, planned).await
    }

    /// Stores one domain event per upcoming session of the course and fans these out. Sessions that were scheduled
    /// after the change are left out, because their own domain event uses the current enrollments.
    async fn fan_out_to_sessions(
        &mut self,
        pending: &PendingEvent,
        change: &EnrollmentChange,
    ) -> Result<(), Error> {
        let at = pending.event.at;
        let sessions = self.tools.store.upcoming_sessions(&change.course, self.now()).await?;
        let events = sessions.into_iter().filter(|session| session.created_at <= at);
        let events = events.map(|SessionVersion { id: session, version, .. }| DomainEvent {
            at,
            kind: DomainEventKind::SessionEnrollments { session, version, change: change.clone() },
        });
        let events: Vec<_> = events.collect();
        let mut actions: Vec<_> = events.iter().map(due_work::put_domain_event).collect();
        while actions.len() >= limit::TRANSACTION_ACTIONS {
            let rest = actions.split_off(limit::TRANSACTION_ACTIONS);
            self.tools.store.commit(std::mem::replace(&mut actions, rest)).await?;
        }
        actions.push(pending.finish());
        match self.tools.store.commit(actions).await {
            Ok(()) => {}
            Err(CommitError::Refused(_)) => {
                log_overtaken(pending);
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
        self.finished_events.insert(pending.sort_key());
        self.report.finished_events += 1;
        for event in &events {
            let (pk, sk) = due_work::domain_event_key(event);
            // If there is no time left, the next run finds the domain event in the table.
            Box::pin(self.fan_out_stored_event(&pk, &sk)).await;
        }
        Ok(())
    }

    /// Returns the notifications for a domain event, based on the current session.
    async fn plan_notifications(
        &self,
        event: &DomainEvent,
        session: &Session,
    ) -> Result<Vec<PlannedNotification>, Error> {
        let current = AudienceRef::from_audience(&session.audience);
        let is_upcoming = session.is_upcoming_or_live(self.now());
        let mails = match &event.kind {
            DomainEventKind::Session(change) => {
                let audience = change.audience.as_ref().unwrap_or(&current);
                let recipients = self.recipients(session, audience).await?;
                match change.kind {
                    ChangeKind::Scheduled if !is_upcoming => Vec::new(),
                    ChangeKind::Scheduled => recipients.with_kind(MailKind::Scheduled),
                    ChangeKind::Cancelled => recipients.with_kind(MailKind::Cancelled),
                    ChangeKind::Updated => {
                        let previous = match &change.previous_audience {
                            Some(previous) => Some(self.recipients(session, previous).await?),
                            None => None,
                        };
                        let mut mails =
                            recipients_of_change(recipients, previous, change.calendar_changed);
                        mails.retain(|(_, kind)| is_upcoming || *kind == MailKind::Removed);
                        mails
                    }
                }
            }
            DomainEventKind::Reminder { reminder, starts_at, .. } => {
                if *starts_at != session.starts_at || !is_upcoming {
                    return Ok(Vec::new());
                }
                let recipients = self.recipients(session, &current).await?;
                match reminder {
                    Reminder::DayBefore => recipients.with_kind(MailKind::ReminderDayBefore),
                    Reminder::HourBefore => recipients.with_kind(MailKind::ReminderHourBefore),
                    Reminder::Start => return Ok(in_app_only(recipients, NotificationKind::Live)),
                }
            }
            // The trainer may have deleted it since.
            DomainEventKind::RecordingReady { .. } if !session.has_recording_for_audience() => {
                Vec::new()
            }
            DomainEventKind::RecordingReady { .. } => {
                let recipients = self.recipients(session, &current).await?;
                return Ok(in_app_only(recipients, NotificationKind::RecordingReady));
            }
            DomainEventKind::Resend { .. } if !is_upcoming => Vec::new(),
            DomainEventKind::Resend { to, .. } => {
                let mut recipients = self.recipients(session, &current).await?;
                if let ResendTo::Named { users, emails } = to {
                    recipients.retain_named(users, emails);
                }
                recipients.with_kind(MailKind::Resent)
            }
            DomainEventKind::SessionEnrollments { .. } if !is_upcoming => Vec::new(),
            DomainEventKind::SessionEnrollments { change, .. } => {
                return self.recipients_of_enrollment_change(session, change).await;
            }
            DomainEventKind::MeetingDeleted { .. }
            | DomainEventKind::HostNotConnected { .. }
            | DomainEventKind::ReauthRequired { .. }
            | DomainEventKind::CourseEnrollments(_) => Vec::new(),
        };
        Ok(mails.into_iter().map(PlannedNotification::from_mail).collect())
    }

    /// Returns the mails for students who gained or lost access, according to their current enrollments.
    async fn recipients_of_enrollment_change(
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
            let student = student.replacing_address(&old.email, &old.former_emails);
            moved.then(|| PlannedNotification {
                in_app: None,
                ..PlannedNotification::from_mail((
                    recipient_from_student(student),
                    MailKind::Scheduled,
                ))
            })
        });
        let returned: Vec<_> = returned.collect();
        Ok(planned(removed).chain(returned).collect())
    }

    async fn recipients(
        &self,
        session: &Session,
        audience: &AudienceRef,
    ) -> Result<Recipients, Error> {
        audience_recipients(&self.tools.store, &session.id, audience).await
    }

    async fn notify_all(
        &mut self,
        pending: &PendingEvent,
        session: &Session,
        planned: Vec<PlannedNotification>,
    ) -> Result<(), Error> {
        let subject = MailSubject::Session(session.id.clone());
        // Orders by recipient reference. The order is stable, and the cursor of the domain event contains no address.
        let mut rest: Vec<_> = planned
            .into_iter()
            .map(|planned| (RecipientRef::new(&subject, &planned.recipient.email), planned))
            .filter(|(recipient, _)| {
                pending.cursor.as_ref().is_none_or(|cursor| recipient > cursor)
            })
            .collect();
        rest.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut pending = pending.clone();
        let mut states = None;
        while rest.len() > CHUNK_SIZE {
            if !self.time.has_left(FAN_OUT_TIME) {
                return Ok(());
            }
            let later = rest.split_off(CHUNK_SIZE);
            let cursor = rest.last().map(|(recipient, _)| recipient.clone());
            let mails =
                self.notify_chunk(&pending.event, session, &subject, &mut states, rest).await?;
            rest = later;
            let Some(cursor) = cursor else { continue };
            let mut actions = record_queued(&subject, &mails, self.now());
            actions.push(pending.advance_cursor(&cursor));
            match self.tools.store.commit(actions).await {
                Ok(()) => {}
                Err(CommitError::Refused(_)) => {
                    log_overtaken(&pending);
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            }
            self.report.queued += mails.len();
            pending.cursor = Some(cursor);
        }
        let mails = self.notify_chunk(&pending.event, session, &subject, &mut states, rest).await?;
        self.finish_event(&pending, &subject, &mails).await
    }

    /// Writes the in-app notifications of a chunk, queues its mails and returns the mails.
    async fn notify_chunk(
        &self,
        event: &DomainEvent,
        session: &Session,
        subject: &MailSubject,
        states: &mut Option<HashMap<RecipientRef, RecipientState>>,
        chunk: Vec<(RecipientRef, PlannedNotification)>,
    ) -> Result<Vec<Mail>, Error> {
        let store = &self.tools.store;
        let planned = chunk.into_iter().map(|(_, planned)| planned).collect();
        let ResolvedChunk { in_app, mut mails, former_addresses } =
            self.resolve_chunk(planned).await?;
        for (email, kind) in former_addresses {
            // A withdrawal for each former address that may hold a calendar entry.
            if self.may_hold_entry(states, &session.id, subject, &email).await? {
                let address_changed = !is_withdrawal(kind);
                let kind = if address_changed { MailKind::Removed } else { kind };
                let (name, users) = (None, Vec::new());
                mails.insert(email, AddressedMail { kind, name, users, address_changed });
            }
        }
        self.retain_withdrawals(session, &mut mails).await?;
        let mailed = mails.values().flat_map(|mail| &mail.users);
        let users: BTreeSet<_> = in_app.iter().map(|(user, _)| user).chain(mailed).collect();
        let users: Vec<_> = users.into_iter().cloned().collect();
        let preferences =
            if users.is_empty() { Default::default() } else { store.preferences(&users).await? };
        let channels =
            |user: &UserId| preferences.get(user).copied().unwrap_or_default().live_session;
        let about = NotificationSubject::from_session(session);
        let notifications = in_app.into_iter().filter(|(user, _)| channels(user).in_app);
        let notifications: Vec<_> = notifications
            .map(|(user, kind)| InAppNotification::new(event, kind, user, Some(about.clone())))
            .collect();
        let mut queued = Vec::with_capacity(mails.len());
        for (email, AddressedMail { kind, name, mut users, address_changed }) in mails {
            // People who are not users of the platform have no preferences and always get mails.
            let reader = users.iter().position(|user| channels(user).email);
            let is_muted = reader.is_none() && !users.is_empty();
            // An entry that was sent before the person turned mails off must not stay in the calendar.
            if is_muted
                && !(is_withdrawal(kind)
                    && self.may_hold_entry(states, &session.id, subject, &email).await?)
            {
                continue;
            }
            let user = (!users.is_empty()).then(|| users.swap_remove(reader.unwrap_or(0)));
            let mut mail = new_mail(event, kind, subject, email, name, user);
            mail.other_users = users;
            mail.address_changed = address_changed;
            queued.push(mail);
        }
        store.put_notifications(&notifications).await?;
        self.tools.outbox.send(&queued).await?;
        Ok(queued)
    }

    /// Resolves the current addresses of a chunk. Users who share an address get one mail together.
    async fn resolve_chunk(
        &self,
        planned: Vec<PlannedNotification>,
    ) -> Result<ResolvedChunk, Error> {
        let recipients = planned.iter().map(|planned| &planned.recipient);
        let book = AddressBook::load(&self.tools.store, recipients).await?;
        let mut chunk = ResolvedChunk::default();
        for PlannedNotification { recipient, mail, in_app } in planned {
            for recipient in book.resolve(recipient).into_values() {
                let Recipient { email, name, users, former_emails } = recipient;
                chunk.in_app.extend(
                    in_app
                        .into_iter()
                        .flat_map(|kind| users.iter().map(move |user| (user.clone(), kind))),
                );
                let Some(kind) = mail else { continue };
                if kind.calendar_method().is_some() && kind != MailKind::Resent {
                    chunk.former_addresses.extend(former_emails.into_iter().map(|it| (it, kind)));
                }
                chunk.add_mail(email, AddressedMail { kind, name, users, address_changed: false });
            }
        }
        let mails = &chunk.mails;
        chunk.former_addresses.retain(|email, _| !mails.contains_key(email));
        Ok(chunk)
    }

    /// Leaves out removals of addresses that a student of the course has.
    async fn retain_withdrawals(
        &self,
        session: &Session,
        mails: &mut BTreeMap<Email, AddressedMail>,
    ) -> Result<(), Error> {
        let removals = mails.iter().filter(|(_, mail)| mail.kind == MailKind::Removed);
        let removals: BTreeSet<_> = removals.map(|(email, _)| email.clone()).collect();
        let Some(course) = session.audience.course().filter(|_| !removals.is_empty()) else {
            return Ok(());
        };
        let store = &self.tools.store;
        let students = store.students(course).await?;
        let invited = students_at(store, &students, &removals).await?;
        mails.retain(|email, mail| mail.kind != MailKind::Removed || !invited.contains_key(email));
        Ok(())
    }

    /// Returns whether the calendar of an address may have the entry of a session. Loads the states once per domain event.
    async fn may_hold_entry(
        &self,
        states: &mut Option<HashMap<RecipientRef, RecipientState>>,
        session: &SessionId,
        subject: &MailSubject,
        email: &Email,
    ) -> Result<bool, Error> {
        let states = match states {
            Some(states) => states,
            None => states.insert(self.tools.store.recipient_states(session).await?),
        };
        let state = states.get(&RecipientRef::new(subject, email));
        Ok(state.is_some_and(RecipientState::may_hold_entry))
    }

    /// Notifies the trainer only. Trainers who are not in the directory have no address and get an in-app notification.
    async fn notify_trainer(
        &mut self,
        pending: &PendingEvent,
        subject: &MailSubject,
        trainer: &UserId,
        session: Option<&Session>,
    ) -> Result<(), Error> {
        let kind = match pending.event.kind {
            DomainEventKind::MeetingDeleted { .. } => MailKind::MeetingDeleted,
            DomainEventKind::HostNotConnected { .. } => MailKind::HostNotConnected,
            _ => MailKind::ReauthRequired,
        };
        if session.is_some_and(|session| session.status == Status::Cancelled) {
            return self.finish_event(pending, subject, &[]).await;
        }
        let store = &self.tools.store;
        let channels = store.preferences_of(trainer).await?.live_session;
        if let Some(kind) = in_app_kind(kind).filter(|_| channels.in_app) {
            let about = session.map(NotificationSubject::from_session);
            let notification = InAppNotification::new(&pending.event, kind, trainer.clone(), about);
            store.put_notifications(&[notification]).await?;
        }
        let user = if channels.email { store.user(trainer).await? } else { None };
        let mails: Vec<_> = user
            .map(|user| {
                let (email, name) = (user.email, Some(user.name));
                new_mail(&pending.event, kind, subject, email, name, Some(user.id))
            })
            .into_iter()
            .collect();
        self.tools.outbox.send(&mails).await?;
        self.finish_event(pending, subject, &mails).await
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

fn in_app_only(recipients: Recipients, kind: NotificationKind) -> Vec<PlannedNotification> {
    // The kind of mail is not used.
    let all = recipients.with_kind(MailKind::Scheduled).into_iter();
    all.map(|(recipient, _)| PlannedNotification { recipient, mail: None, in_app: Some(kind) })
        .collect()
}

fn new_mail(
    event: &DomainEvent,
    kind: MailKind,
    subject: &MailSubject,
    to: Email,
    name: Option<PersonName>,
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
    let to_new_student = matches!(event.kind, DomainEventKind::SessionEnrollments { .. });
    Mail {
        message_key: MessageKey::new(&event.key(), kind, &to),
        kind,
        subject: subject.clone(),
        to,
        name,
        user,
        other_users: Vec::new(),
        starts_at,
        reason,
        version,
        to_new_student,
        address_changed: false,
        redrives: 0,
    }
}
