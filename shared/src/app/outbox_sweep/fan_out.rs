//! The fan-out of a domain event to mails and in-app notifications.
//!
//! It processes 100 persons at a time: writes their notifications, queues their mails, and then records the queued
//! mails and the progress of the domain event in one transaction. A run that stops before that transaction queues the
//! same mails again, with the same message keys. A run whose transaction is refused was overtaken by another one and
//! stops.
//!
//! Before the first mail, the event is marked as started. If it becomes void later, for example by a cancellation, the
//! next chunk is processed once more, because its mails may be in the queue. Every queued mail is counted then.

mod enrollments;
mod plan;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::SignedDuration;

use self::enrollments::{EarlierInvitations, InvitedBy};
use self::plan::{PlannedNotification, remaining_persons};
use super::Run;
use crate::app::error::Error;
use crate::app::recipients::{AddressBook, students_at};
use crate::domain::domain_event::{ChangeKind, DomainEvent, DomainEventKind, SessionChange};
use crate::domain::id::{SessionId, UserId};
use crate::domain::in_app::{InAppNotification, NotificationKind, NotificationSubject};
use crate::domain::mailing::urgency::{EventUrgency, Urgency};
use crate::domain::mailing::{
    AddressDigest, Mail, MailKind, MailSubject, MessageKey, PersonRef, Recipient, RecipientRef,
    RecipientState,
};
use crate::domain::session::{Session, Status};
use crate::domain::text::{Email, PersonName};
use crate::store::domain_events::PendingEvent;
use crate::store::error::CommitError;
use crate::store::mail_addresses::MailAddress;
use crate::store::mailing::{mark_notified, record_queued};

/// The difference between the clocks of two functions.
const CLOCK_DIFFERENCE: SignedDuration = SignedDuration::from_mins(1);

/// The number of persons between two records of the progress, equal to the size of a DynamoDB batch read.
const CHUNK_SIZE: usize = 100;

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

/// The data that the chunks of one domain event share.
struct ChunkContext<'a> {
    session: &'a Session,
    urgency: Urgency,
    /// The earlier invitations to which newly enrolled students belong.
    earlier: Option<EarlierInvitations>,
    /// The short keys of the mails that were queued for this event.
    queued: HashSet<String>,
    /// The recipient states, loaded once if they matter.
    states: Option<HashMap<RecipientRef, RecipientState>>,
}

/// How the newly enrolled students of a chunk are invited.
struct InvitationCauses<'a> {
    earlier: &'a EarlierInvitations,
    users: HashMap<UserId, InvitedBy>,
}

impl InvitationCauses<'_> {
    fn add(&mut self, email: &Email, mail: &AddressedMail) -> Option<InvitedBy> {
        if mail.kind != MailKind::Scheduled {
            return None;
        }
        let key = MessageKey::new(&self.earlier.event.key(), mail.kind, email);
        let invitation = self.earlier.invited_by(&key);
        self.users.extend(mail.users.iter().map(|user| (user.clone(), invitation)));
        Some(invitation)
    }

    fn of(&self, user: &UserId, kind: NotificationKind) -> Option<InvitedBy> {
        self.users.get(user).copied().filter(|_| Some(kind) == MailKind::Scheduled.in_app())
    }
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

impl Run<'_> {
    /// Notifies all remaining recipients of a domain event, as far as time allows.
    pub(super) async fn fan_out(&mut self, pending: &PendingEvent) -> Result<(), Error> {
        let event = &pending.event;
        let id = match &event.kind {
            DomainEventKind::ReauthRequired { trainer, connection_version, .. } => {
                let subject = MailSubject::Trainer(trainer.clone());
                // The trainer may have solved the problem already.
                let host = self.tools.store.current_host_status(trainer).await?;
                let is_void = host.has_replaced(*connection_version);
                return self.notify_trainer(pending, &subject, trainer, None, is_void).await;
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
            DomainEventKind::EnrollmentCheck { course, nonce, users } => {
                return self.fan_out_check(pending, course, *nonce, users).await;
            }
        };
        let Some(record) = self.tools.store.session(id).await? else {
            return self.finish_event(pending, &MailSubject::Session(id.clone()), &[]).await;
        };
        let session = record.session;
        let subject = MailSubject::Session(session.id.clone());
        if let DomainEventKind::MeetingDeleted { trainer, .. } = &event.kind {
            let is_void = session.status == Status::Cancelled;
            return self.notify_trainer(pending, &subject, trainer, Some(&session), is_void).await;
        }
        if let DomainEventKind::HostNotConnected { trainer, starts_at, .. } = &event.kind {
            let host = self.tools.store.host_status(trainer).await?;
            let is_void = session.status == Status::Cancelled
                || session.details.starts_at != *starts_at
                || host.problem(&session).is_none();
            return self.notify_trainer(pending, &subject, trainer, Some(&session), is_void).await;
        }
        let cancelled = matches!(
            &event.kind,
            DomainEventKind::Session(SessionChange { kind: ChangeKind::Cancelled, .. })
        );
        // A session that was cancelled before the first notification needs no cancellation mails.
        if cancelled && !self.tools.store.was_notified(&subject).await? {
            return self.finish_event(pending, &subject, &[]).await;
        }
        let planned = self.plan_notifications(pending, &session).await?;
        let sends_mail = planned.iter().any(|planned| planned.mail.is_some());
        let mut pending = pending.clone();
        if !cancelled && !planned.is_empty() {
            self.tools.store.commit_one(mark_notified(&subject)).await?;
            // In this order: a cancellation either finds the mark, or has finished the event before.
            if sends_mail && !pending.is_started && !self.start(&pending).await? {
                return Ok(());
            }
        }
        let earlier = self.earlier_invitations(event, &session).await?;
        let queued = match (&pending.cursor, sends_mail) {
            (Some(_), true) => self.queued_by_earlier_runs(event, &session.id).await?,
            _ => HashSet::new(),
        };
        let urgency = match EventUrgency::of(event) {
            EventUrgency::Always(urgency) => urgency,
            _ => Urgency::of_start(session.details.starts_at, self.now()),
        };
        let mut context =
            ChunkContext { session: &session, urgency, earlier, queued, states: None };
        self.notify_all(&mut pending, &mut context, planned).await
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
        pending: &mut PendingEvent,
        context: &mut ChunkContext<'_>,
        planned: Vec<PlannedNotification>,
    ) -> Result<(), Error> {
        let subject = MailSubject::Session(context.session.id.clone());
        let mut rest = remaining_persons(planned, &subject, pending, CHUNK_SIZE);
        while rest.len() > CHUNK_SIZE {
            if !self.has_time_for(context.urgency) {
                self.report.is_full = true;
                self.waiting_sessions.insert(context.session.id.clone());
                return Ok(());
            }
            let later = rest.split_off(CHUNK_SIZE);
            let cursor = rest.last().map(|(person, _)| person.clone());
            let mails = self.notify_chunk(&pending.event, context, &subject, rest).await?;
            rest = later;
            let Some(cursor) = cursor else { continue };
            let mut actions = record_queued(&subject, &mails, self.now());
            actions.push(pending.advance_cursor(cursor.as_str()));
            match self.tools.store.commit(actions).await {
                Ok(()) => {}
                Err(CommitError::Refused(_)) => {
                    log_overtaken(pending);
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            }
            self.report.queued += mails.len();
            pending.cursor = Some(cursor.as_str().to_owned());
        }
        let mails = self.notify_chunk(&pending.event, context, &subject, rest).await?;
        self.finish_event(pending, &subject, &mails).await
    }

    /// Writes the in-app notifications of a chunk, queues its mails and returns the mails.
    async fn notify_chunk(
        &self,
        event: &DomainEvent,
        context: &mut ChunkContext<'_>,
        subject: &MailSubject,
        chunk: Vec<(PersonRef, PlannedNotification)>,
    ) -> Result<Vec<Mail>, Error> {
        let store = &self.tools.store;
        let session = context.session;
        let planned = chunk.into_iter().map(|(_, planned)| planned).collect();
        let ResolvedChunk { mut in_app, mut mails, former_addresses } =
            self.resolve_chunk(planned).await?;
        let causes = context.earlier.as_ref().map(|earlier| {
            let mut causes = InvitationCauses { earlier, users: HashMap::new() };
            mails.retain(|email, mail| causes.add(email, mail) != Some(InvitedBy::EarlierMail));
            in_app.retain(|(user, kind)| causes.of(user, *kind) != Some(InvitedBy::EarlierMail));
            causes
        });
        for (email, kind) in former_addresses {
            // A withdrawal for each former address that may hold a calendar entry.
            if self.may_hold_entry(&mut context.states, &session.id, subject, &email).await? {
                let address_changed = !kind.is_withdrawal();
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
        let cause_of = |user: &UserId, kind| match &causes {
            Some(causes) if causes.of(user, kind) == Some(InvitedBy::Missed) => {
                &causes.earlier.event
            }
            _ => event,
        };
        let notifications = in_app.into_iter().filter(|(user, _)| channels(user).in_app);
        let notifications: Vec<_> = notifications
            .map(|(user, kind)| {
                let cause = cause_of(&user, kind);
                InAppNotification::new(cause, kind, user, Some(about.clone()))
            })
            .collect();
        let mut queued = Vec::with_capacity(mails.len());
        let mut addresses = Vec::new();
        for (email, AddressedMail { kind, name, mut users, address_changed }) in mails {
            // People who are not users of the platform have no preferences and always get mails.
            let reader = users.iter().position(|user| channels(user).email);
            let is_muted = reader.is_none() && !users.is_empty();
            // An entry that was sent before the person turned mails off must not stay in the calendar.
            if is_muted
                && !(kind.is_withdrawal()
                    && self
                        .may_hold_entry(&mut context.states, &session.id, subject, &email)
                        .await?)
            {
                continue;
            }
            let cause = match (users.first(), kind.in_app()) {
                (Some(user), Some(kind)) => cause_of(user, kind),
                _ => event,
            };
            let message_key = MessageKey::new(&cause.key(), kind, &email);
            let user = (!users.is_empty()).then(|| users.swap_remove(reader.unwrap_or(0)));
            let mut mail = new_mail(event, kind, subject, &email, user);
            mail.message_key = message_key;
            mail.other_users = users;
            mail.address_changed = address_changed;
            // The address may have got the mail with an earlier chunk, when it belonged to somebody else.
            if context.queued.insert(mail.message_key.short().to_owned()) {
                if mail.kind.is_withdrawal() {
                    addresses.push(MailAddress { email, name });
                }
                queued.push(mail);
            }
        }
        store.put_notifications(&notifications).await?;
        store.put_mail_addresses(&addresses, self.now()).await?;
        self.send_to_queues(context, &queued).await?;
        Ok(queued)
    }

    /// Sends mails to the queue of their urgency. A withdrawal follows an invitation that still waits in the other queue, so
    /// that both are dropped.
    async fn send_to_queues(
        &self,
        context: &mut ChunkContext<'_>,
        mails: &[Mail],
    ) -> Result<(), Error> {
        let (mut own, mut bulk) = (Vec::new(), Vec::new());
        for mail in mails {
            let may_follow = context.urgency == Urgency::Urgent && mail.kind.is_withdrawal();
            let follows = may_follow
                && self
                    .recipient_states(&mut context.states, &context.session.id)
                    .await?
                    .get(&mail.recipient)
                    .is_some_and(RecipientState::awaits_invitation);
            if follows { bulk.push(mail.clone()) } else { own.push(mail.clone()) }
        }
        self.tools.outbox.send(context.urgency, &own).await?;
        self.tools.outbox.send(Urgency::Bulk, &bulk).await?;
        Ok(())
    }

    /// Resolves the current addresses of a chunk. Users who share an address get one mail together.
    async fn resolve_chunk(
        &self,
        planned: Vec<PlannedNotification>,
    ) -> Result<ResolvedChunk, Error> {
        let recipients = planned.iter().map(|planned| &planned.recipient);
        let book = AddressBook::load(&self.tools.store, recipients).await?;
        let mut chunk = ResolvedChunk::default();
        for PlannedNotification { recipient, mail, in_app, .. } in planned {
            let is_user = !recipient.users.is_empty();
            let person = recipient.users.first().cloned();
            for recipient in book.resolve(recipient).into_values() {
                let Recipient { email, name, users, former_emails } = recipient;
                // The other users of the address have a turn of their own.
                if is_user && !users.iter().any(|user| Some(user) == person.as_ref()) {
                    continue;
                }
                let person = person.as_ref().or(users.first());
                chunk.in_app.extend(in_app.and_then(|kind| Some((person?.clone(), kind))));
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

    /// Returns the recipient states of a session. Loads them once per domain event.
    async fn recipient_states<'s>(
        &self,
        states: &'s mut Option<HashMap<RecipientRef, RecipientState>>,
        session: &SessionId,
    ) -> Result<&'s HashMap<RecipientRef, RecipientState>, Error> {
        Ok(match states {
            Some(states) => states,
            None => states.insert(self.tools.store.recipient_states(session).await?),
        })
    }

    /// Returns whether the calendar of an address may have the entry of a session.
    async fn may_hold_entry(
        &self,
        states: &mut Option<HashMap<RecipientRef, RecipientState>>,
        session: &SessionId,
        subject: &MailSubject,
        email: &Email,
    ) -> Result<bool, Error> {
        let states = self.recipient_states(states, session).await?;
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
        is_void: bool,
    ) -> Result<(), Error> {
        let kind = match pending.event.kind {
            DomainEventKind::MeetingDeleted { .. } => MailKind::MeetingDeleted,
            DomainEventKind::HostNotConnected { .. } => MailKind::HostNotConnected,
            _ => MailKind::ReauthRequired,
        };
        if is_void && !pending.is_started {
            return self.finish_event(pending, subject, &[]).await;
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
        let mails: Vec<_> = user
            .map(|user| new_mail(&pending.event, kind, subject, &user.email, Some(user.id)))
            .into_iter()
            .collect();
        self.tools.outbox.send(Urgency::Urgent, &mails).await?;
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
        to_new_student,
        address_changed: false,
        redrives: 0,
    }
}
