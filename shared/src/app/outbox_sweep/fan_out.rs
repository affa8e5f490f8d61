//! Working an announcement out: whom it concerns, what each is told by which channel, and that they were told.
//!
//! A hundred at a time: their notices are written, their mails queued, and then one transaction notes both that the
//! mails are queued and how far the announcement is told. A run that dies before that queues these mails again, which
//! are the same mails; one that another was quicker than stops.

use std::collections::{BTreeMap, BTreeSet};

use super::{Run, TELLING_TIME};
use crate::app::error::Error;
use crate::domain::domain_event::{
    DomainEvent, AudienceRef, ChangeKind, EnrollmentChange, ResendTo, SessionChange, DomainEventKind,
};
use crate::domain::directory::Enrollment;
use crate::domain::id::UserId;
use crate::domain::mailing::recipients::{Recipients, told_of_change};
use crate::domain::mailing::{MailSubject, MessageKey, Mail, MailKind, Recipient, RecipientRef};
use crate::domain::in_app::{self, InAppNotification, NotificationKind};
use crate::domain::reminder::Reminder;
use crate::domain::session::{Session, Status};
use crate::domain::text::{Email, PersonName};
use crate::store::domain_events::PendingEvent;
use crate::store::error::CommitError;
use crate::store::mailing::{begin_notifying, queued_deliveries};
use crate::store::outbox;
use crate::store::schema::limit;

/// How many people are told between two notes of how far it is: as many as a batch of DynamoDB's reads.
const CHUNK: usize = 100;

/// What one person is told.
struct Told {
    recipient: Recipient,
    mail: Option<MailKind>,
    notice: Option<NotificationKind>,
}

impl Told {
    fn both((recipient, kind): (Recipient, MailKind)) -> Self {
        Self { recipient, mail: Some(kind), notice: notice_of(kind) }
    }
}

/// What is told in-app beside a mail.
fn notice_of(kind: MailKind) -> Option<NotificationKind> {
    match kind {
        MailKind::Scheduled => Some(NotificationKind::Scheduled),
        MailKind::Updated => Some(NotificationKind::Updated),
        MailKind::Cancelled => Some(NotificationKind::Cancelled),
        MailKind::Removed => Some(NotificationKind::Removed),
        MailKind::ReminderDayBefore | MailKind::ReminderHourBefore => Some(NotificationKind::Reminder),
        // It is the mail that somebody could not find, not the class.
        MailKind::Resent => None,
        MailKind::ReauthRequired => Some(NotificationKind::ReconnectZoom),
        MailKind::MeetingDeleted => Some(NotificationKind::MeetingDeleted),
    }
}

impl Run<'_> {
    /// Tells an announcement to everybody who was not told yet, as far as time allows.
    pub(super) async fn tell(&mut self, pending: &PendingEvent) -> Result<(), Error> {
        let announcement = &pending.event;
        let id = match &announcement.kind {
            DomainEventKind::ReauthRequired { trainer, .. } => {
                let about = MailSubject::Trainer(trainer.clone());
                return self.tell_trainer(pending, &about, trainer, None).await;
            }
            DomainEventKind::Session(SessionChange { session, .. })
            | DomainEventKind::Reminder { session, .. }
            | DomainEventKind::Resend { session, .. }
            | DomainEventKind::RecordingReady { session, .. }
            | DomainEventKind::SessionEnrollments { session, .. }
            | DomainEventKind::MeetingDeleted { session, .. } => session,
            DomainEventKind::CourseEnrollments(places) => return self.spread(pending, places).await,
        };
        let Some(held) = self.tools.store.session(id).await? else {
            return self.finish(pending, &MailSubject::Session(id.clone()), &[]).await;
        };
        let session = held.session;
        if let DomainEventKind::MeetingDeleted { trainer, .. } = &announcement.kind {
            let about = MailSubject::Session(session.id.clone());
            return self.tell_trainer(pending, &about, trainer, Some(&session)).await;
        }
        let about = MailSubject::Session(session.id.clone());
        let cancelled = matches!(
            &announcement.kind,
            DomainEventKind::Session(SessionChange { kind: ChangeKind::Cancelled, .. })
        );
        // Of a class that was cancelled before anybody was told of it, nobody needs to be told anything.
        if cancelled && !self.tools.store.was_notified(&about).await? {
            return self.finish(pending, &about, &[]).await;
        }
        let told = self.worked_out(announcement, &session).await?;
        if !cancelled && !told.is_empty() {
            self.tools.store.commit_one(begin_notifying(&about)).await?;
        }
        self.tell_all(pending, &session, told).await
    }

    /// Makes of what happened to a course what it is to each of its classes, and tells that. A class that was scheduled
    /// later has an announcement of its own, which finds the course as it is by then.
    async fn spread(&mut self, pending: &PendingEvent, places: &EnrollmentChange) -> Result<(), Error> {
        let at = pending.event.at;
        let classes = self.tools.store.upcoming(&places.course, self.now()).await?;
        let all = classes.into_iter().filter(|class| class.created_at <= at);
        let all = all.map(|class| {
            let (session, version) = (class.id, class.version);
            DomainEvent {
                at,
                kind: DomainEventKind::SessionEnrollments { session, version, places: places.clone() },
            }
        });
        let all: Vec<_> = all.collect();
        let mut actions: Vec<_> = all.iter().map(outbox::announce).collect();
        while actions.len() >= limit::TRANSACTION_ACTIONS {
            let rest = actions.split_off(limit::TRANSACTION_ACTIONS);
            self.tools.store.commit(std::mem::replace(&mut actions, rest)).await?;
        }
        actions.push(pending.finish());
        match self.tools.store.commit(actions).await {
            Ok(()) => {}
            Err(CommitError::Refused(_)) => {
                outrun(pending);
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
        self.told.insert(pending.place());
        self.report.announced += 1;
        for announcement in &all {
            let (pk, sk) = outbox::address(announcement);
            // What time is too short for lies in the table for the next run.
            Box::pin(self.told_of(&pk, &sk)).await;
        }
        Ok(())
    }

    /// Everybody whom an announcement about a class concerns, as the class stands.
    async fn worked_out(
        &self,
        announcement: &DomainEvent,
        session: &Session,
    ) -> Result<Vec<Told>, Error> {
        let current = AudienceRef::of(&session.audience);
        let ahead = session.is_ahead(self.now());
        let told = match &announcement.kind {
            DomainEventKind::Session(change) => {
                let audience = change.audience.as_ref().unwrap_or(&current);
                let now = self.recipients(session, audience).await?;
                match change.kind {
                    ChangeKind::Scheduled if !ahead => Vec::new(),
                    ChangeKind::Scheduled => now.all_told(MailKind::Scheduled),
                    ChangeKind::Cancelled => now.all_told(MailKind::Cancelled),
                    ChangeKind::Updated => {
                        let before = match &change.before {
                            Some(before) => Some(self.recipients(session, before).await?),
                            None => None,
                        };
                        let mut told = told_of_change(now, before, change.calendar_changed);
                        told.retain(|(_, kind)| ahead || *kind == MailKind::Removed);
                        told
                    }
                }
            }
            DomainEventKind::Reminder { reminder, starts_at, .. } => {
                if *starts_at != session.starts_at || !ahead {
                    return Ok(Vec::new());
                }
                let everybody = self.recipients(session, &current).await?;
                match reminder {
                    Reminder::DayBefore => everybody.all_told(MailKind::ReminderDayBefore),
                    Reminder::HourBefore => everybody.all_told(MailKind::ReminderHourBefore),
                    Reminder::Start => return Ok(in_app(everybody, NotificationKind::Live)),
                }
            }
            DomainEventKind::RecordingReady { .. } => {
                let everybody = self.recipients(session, &current).await?;
                return Ok(in_app(everybody, NotificationKind::RecordingReady));
            }
            DomainEventKind::Resend { .. } if !ahead => Vec::new(),
            DomainEventKind::Resend { to, .. } => {
                let mut everybody = self.recipients(session, &current).await?;
                if let ResendTo::Named { users, emails } = to {
                    everybody.retain(|one| {
                        emails.contains(&one.email)
                            || one.users.iter().any(|user| users.contains(user))
                    });
                }
                everybody.all_told(MailKind::Resent)
            }
            DomainEventKind::SessionEnrollments { .. } if !ahead => Vec::new(),
            DomainEventKind::SessionEnrollments { places, .. } => self.newly_placed(session, places).await?,
            DomainEventKind::MeetingDeleted { .. } | DomainEventKind::ReauthRequired { .. } | DomainEventKind::CourseEnrollments(_) => {
                Vec::new()
            }
        };
        Ok(told.into_iter().map(Told::both).collect())
    }

    /// What a class is to those who came to its course or left it: as it is now, whatever came in between.
    async fn newly_placed(
        &self,
        session: &Session,
        places: &EnrollmentChange,
    ) -> Result<Vec<(Recipient, MailKind)>, Error> {
        if session.audience.course() != Some(&places.course) {
            return Ok(Vec::new());
        }
        let store = &self.tools.store;
        let users: Vec<_> = places.who.iter().map(|place| place.user.clone()).collect();
        let there = store.enrollments_in(&places.course, &users).await?;
        if places.granted {
            let students = there.into_iter().filter(|student| student.access_granted);
            let students = students.map(recipient_of).collect::<Recipients>();
            return Ok(students.all_told(MailKind::Scheduled));
        }
        let access: BTreeSet<_> =
            there.iter().filter(|student| student.access_granted).map(|one| &one.user).collect();
        // Who was erased since has no place in the course and left no trace of one.
        let mut known: BTreeSet<_> = there.iter().map(|student| &student.user).collect();
        let left = store.who_left(&places.course, &users).await?;
        known.extend(&left);
        let gone = places.who.iter();
        let gone = gone.filter(|one| known.contains(&one.user) && !access.contains(&one.user));
        let gone = gone.map(|one| Recipient {
            email: one.email.clone(),
            name: Some(one.name.clone()),
            users: vec![one.user.clone()],
        });
        Ok(gone.collect::<Recipients>().all_told(MailKind::Removed))
    }

    async fn recipients(
        &self,
        session: &Session,
        audience: &AudienceRef,
    ) -> Result<Recipients, Error> {
        Ok(match audience {
            AudienceRef::Nobody => Recipients::default(),
            AudienceRef::Course(id) => {
                let students = self.tools.store.students(id).await?.into_iter();
                students.filter(|student| student.access_granted).map(recipient_of).collect()
            }
            AudienceRef::List(list) => {
                let invitees = self.tools.store.invitees(&session.id, *list).await?.into_iter();
                invitees
                    .map(|invitee| Recipient {
                        email: invitee.email,
                        name: invitee.name,
                        users: Vec::new(),
                    })
                    .collect()
            }
        })
    }

    async fn tell_all(
        &mut self,
        pending: &PendingEvent,
        session: &Session,
        told: Vec<Told>,
    ) -> Result<(), Error> {
        let about = MailSubject::Session(session.id.clone());
        // An order that holds however the list was read, and that an announcement can note its place in without
        // holding anybody's address.
        let mut rest: Vec<_> = told
            .into_iter()
            .map(|told| (RecipientRef::of(&about, &told.recipient.email), told))
            .filter(|(place, _)| pending.behind.as_ref().is_none_or(|behind| place > behind))
            .collect();
        rest.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut pending = pending.clone();
        while rest.len() > CHUNK {
            if !self.time.is_left(TELLING_TIME) {
                return Ok(());
            }
            let later = rest.split_off(CHUNK);
            let behind = rest.last().map(|(place, _)| place.clone());
            let mails = self.tell_chunk(&pending.event, session, &about, rest).await?;
            rest = later;
            let Some(behind) = behind else { continue };
            let mut actions = queued_deliveries(&about, &mails, self.now());
            actions.push(pending.told_up_to(&behind));
            match self.tools.store.commit(actions).await {
                Ok(()) => {}
                Err(CommitError::Refused(_)) => {
                    outrun(&pending);
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            }
            self.report.queued += mails.len();
            pending.behind = Some(behind);
        }
        let mails = self.tell_chunk(&pending.event, session, &about, rest).await?;
        self.finish(&pending, &about, &mails).await
    }

    /// Writes the notices of a chunk and queues its mails; answers these.
    async fn tell_chunk(
        &self,
        announcement: &DomainEvent,
        session: &Session,
        about: &MailSubject,
        chunk: Vec<(RecipientRef, Told)>,
    ) -> Result<Vec<Mail>, Error> {
        let store = &self.tools.store;
        let chunk = self.reached(chunk.into_iter().map(|(_, told)| told).collect()).await?;
        let users = chunk.iter().flat_map(|told| told.recipient.users.iter().cloned());
        let users: Vec<_> = users.collect();
        let preferences =
            if users.is_empty() { Default::default() } else { store.preferences(&users).await? };
        let wants = |user: &UserId| preferences.get(user).copied().unwrap_or_default().live_session;
        let (mut notices, mut mails) = (Vec::new(), Vec::new());
        for Told { recipient: Recipient { email, name, users }, mail, notice } in chunk {
            if let Some(kind) = notice {
                let about = in_app::NotificationSubject::of(session);
                let told = users.iter().filter(|user| wants(user).in_app);
                notices.extend(
                    told.map(|user| {
                        InAppNotification::of(announcement, kind, user.clone(), Some(about.clone()))
                    }),
                );
            }
            if let Some(kind) = mail {
                // Who is no user of the platform never said that they want none.
                let reader = users.iter().find(|user| wants(user).email).cloned();
                if reader.is_some() || users.is_empty() {
                    mails.push(mail_of(announcement, kind, about, email, name, reader));
                }
            }
        }
        store.put_notices(&notices).await?;
        self.tools.outbox.send(&mails).await?;
        Ok(mails)
    }

    /// The same people as they are reached now: who stands in a list by their address alone is looked for among the
    /// users, and a user has the address and the name of their own entry, whatever their place in a course says.
    async fn reached(&self, chunk: Vec<Told>) -> Result<Vec<Told>, Error> {
        let store = &self.tools.store;
        let unknown = chunk.iter().map(|told| &told.recipient);
        let unknown = unknown.filter(|one| one.users.is_empty()).map(|one| one.email.clone());
        let unknown: Vec<_> = unknown.collect();
        let mut known = match unknown.is_empty() {
            true => BTreeMap::new(),
            false => store.users_by_email(&unknown).await?,
        };
        let users = chunk.iter().flat_map(|told| told.recipient.users.iter().cloned());
        let users: Vec<_> = users.collect();
        let entries = if users.is_empty() { BTreeMap::new() } else { store.users(&users).await? };
        // An address that two of them have by now is told once.
        let mut reached: BTreeMap<Email, Told> = BTreeMap::new();
        let mut add = |told: Told| match reached.get_mut(&told.recipient.email) {
            Some(before) => before.recipient.users.extend(told.recipient.users),
            None => drop(reached.insert(told.recipient.email.clone(), told)),
        };
        for Told { recipient: Recipient { email, mut name, users }, mail, notice } in chunk {
            let mut here = Vec::new();
            for user in users {
                match entries.get(&user) {
                    Some(entry) if entry.email != email => {
                        let (email, name) = (entry.email.clone(), Some(entry.name.clone()));
                        add(Told {
                            recipient: Recipient { email, name, users: vec![user] },
                            mail,
                            notice,
                        });
                    }
                    entry => {
                        name = entry.map(|entry| entry.name.clone()).or(name);
                        here.push(user);
                    }
                }
            }
            let by_address = unknown.contains(&email);
            if let Some(known) = known.remove(&email) {
                name = name.or(known.name);
                here.push(known.user);
            }
            if by_address || !here.is_empty() {
                add(Told { recipient: Recipient { email, name, users: here }, mail, notice });
            }
        }
        Ok(reached.into_values().collect())
    }

    /// Tells a trainer what concerns them alone. Who is not in the directory has no address, and finds it in-app.
    async fn tell_trainer(
        &mut self,
        pending: &PendingEvent,
        about: &MailSubject,
        trainer: &UserId,
        session: Option<&Session>,
    ) -> Result<(), Error> {
        let kind = match pending.event.kind {
            DomainEventKind::MeetingDeleted { .. } => MailKind::MeetingDeleted,
            _ => MailKind::ReauthRequired,
        };
        if session.is_some_and(|session| session.status == Status::Cancelled) {
            return self.finish(pending, about, &[]).await;
        }
        let store = &self.tools.store;
        let wants = store.preferences_of(trainer).await?.live_session;
        if let Some(kind) = notice_of(kind).filter(|_| wants.in_app) {
            let about = session.map(in_app::NotificationSubject::of);
            let notice = InAppNotification::of(&pending.event, kind, trainer.clone(), about);
            store.put_notices(&[notice]).await?;
        }
        let user = if wants.email { store.user(trainer).await? } else { None };
        let mails: Vec<_> = user
            .map(|user| {
                let (email, name) = (user.email, Some(user.name));
                mail_of(&pending.event, kind, about, email, name, Some(user.id))
            })
            .into_iter()
            .collect();
        self.tools.outbox.send(&mails).await?;
        self.finish(pending, about, &mails).await
    }

    /// Notes that everybody was told, these last.
    async fn finish(
        &mut self,
        pending: &PendingEvent,
        about: &MailSubject,
        mails: &[Mail],
    ) -> Result<(), Error> {
        let mut actions = queued_deliveries(about, mails, self.now());
        actions.push(pending.finish());
        let committed = match actions.len() {
            // Alone, it costs half of what it costs in a transaction.
            1 => self.tools.store.commit_one(pending.finish()).await,
            _ => self.tools.store.commit(actions).await,
        };
        match committed {
            Ok(()) => {}
            Err(CommitError::Refused(_)) => {
                outrun(pending);
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
        self.report.queued += mails.len();
        self.report.announced += 1;
        self.told.insert(pending.place());
        Ok(())
    }
}

fn recipient_of(student: Enrollment) -> Recipient {
    Recipient { email: student.email, name: Some(student.name), users: vec![student.user] }
}

fn outrun(pending: &PendingEvent) {
    tracing::info!(event = "outbox.outrun", key = pending.event.key());
}

fn in_app(everybody: Recipients, kind: NotificationKind) -> Vec<Told> {
    // The mail's kind plays no part.
    let all = everybody.all_told(MailKind::Scheduled).into_iter();
    all.map(|(recipient, _)| Told { recipient, mail: None, notice: Some(kind) }).collect()
}

fn mail_of(
    announcement: &DomainEvent,
    kind: MailKind,
    about: &MailSubject,
    to: Email,
    name: Option<PersonName>,
    user: Option<UserId>,
) -> Mail {
    let (starts_at, reason) = match &announcement.kind {
        DomainEventKind::Reminder { starts_at, .. } => (Some(*starts_at), None),
        DomainEventKind::Session(change) => (None, change.reason.clone()),
        _ => (None, None),
    };
    let version = match &announcement.kind {
        DomainEventKind::Session(SessionChange { version, .. })
        | DomainEventKind::Reminder { version, .. }
        | DomainEventKind::Resend { version, .. }
        | DomainEventKind::SessionEnrollments { version, .. } => Some(*version),
        _ => None,
    };
    let to_newcomer = matches!(announcement.kind, DomainEventKind::SessionEnrollments { .. });
    let effect = MessageKey::of(&announcement.key(), kind, &to);
    let about = about.clone();
    Mail { message_key: effect, kind, subject: about, to, name, user, starts_at, reason, version, to_newcomer, round: 0 }
}
