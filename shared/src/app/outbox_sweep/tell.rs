//! Working an announcement out: whom it concerns, what each is told by which channel, and that they were told.
//!
//! A hundred at a time: their notices are written, their mails queued, and then one transaction notes both that the
//! mails are queued and how far the announcement is told. A run that dies before that queues these mails again, which
//! are the same mails; one that another was quicker than stops.

use super::{Run, TELLING_TIME};
use crate::app::error::Error;
use crate::domain::change::{Announcement, AudienceRef, ChangeKind, ResendTo, SessionChange, What};
use crate::domain::id::UserId;
use crate::domain::mailing::recipients::{Recipients, told_of_change};
use crate::domain::mailing::{About, EffectId, Mail, MailKind, Recipient, RecipientRef};
use crate::domain::notice::{self, Notice, NoticeKind};
use crate::domain::reminder::Reminder;
use crate::domain::session::{Session, Status};
use crate::domain::text::{Email, PersonName};
use crate::store::announcements::Pending;
use crate::store::error::CommitError;
use crate::store::mailing::queued_fates;

/// How many people are told between two notes of how far it is: as many as a batch of DynamoDB's reads.
const CHUNK: usize = 100;

/// What one person is told.
struct Told {
    recipient: Recipient,
    mail: Option<MailKind>,
    notice: Option<NoticeKind>,
}

impl Told {
    fn both((recipient, kind): (Recipient, MailKind)) -> Self {
        Self { recipient, mail: Some(kind), notice: notice_of(kind) }
    }
}

/// What is told in-app beside a mail.
fn notice_of(kind: MailKind) -> Option<NoticeKind> {
    match kind {
        MailKind::Scheduled => Some(NoticeKind::Scheduled),
        MailKind::Updated => Some(NoticeKind::Updated),
        MailKind::Cancelled => Some(NoticeKind::Cancelled),
        MailKind::Uninvited => Some(NoticeKind::Uninvited),
        MailKind::ReminderDayBefore | MailKind::ReminderHourBefore => Some(NoticeKind::Reminder),
        // It is the mail that somebody could not find, not the class.
        MailKind::Resent => None,
        MailKind::ReauthRequired => Some(NoticeKind::ReconnectZoom),
        MailKind::MeetingDeleted => Some(NoticeKind::MeetingDeleted),
    }
}

impl Run<'_> {
    /// Tells an announcement to everybody who was not told yet, as far as time allows.
    pub(super) async fn tell(&mut self, pending: &Pending) -> Result<(), Error> {
        let announcement = &pending.announcement;
        let id = match &announcement.what {
            What::ReauthRequired { trainer, .. } => {
                let about = About::Trainer(trainer.clone());
                return self.tell_trainer(pending, &about, trainer, None).await;
            }
            What::Session(SessionChange { session, .. })
            | What::Reminder { session, .. }
            | What::Resend { session, .. }
            | What::RecordingReady { session, .. }
            | What::MeetingDeleted { session, .. } => session,
        };
        let Some(held) = self.tools.store.session(id).await? else {
            return self.finish(pending, &About::Session(id.clone()), &[]).await;
        };
        let session = held.session;
        if let What::MeetingDeleted { trainer, .. } = &announcement.what {
            let about = About::Session(session.id.clone());
            return self.tell_trainer(pending, &about, trainer, Some(&session)).await;
        }
        let told = self.worked_out(announcement, &session).await?;
        self.tell_all(pending, &session, told).await
    }

    /// Everybody whom an announcement about a class concerns, as the class stands.
    async fn worked_out(
        &self,
        announcement: &Announcement,
        session: &Session,
    ) -> Result<Vec<Told>, Error> {
        let current = AudienceRef::of(&session.audience);
        let ahead = match session.status {
            Status::Scheduled => self.now() < session.ends_at(),
            Status::Live => true,
            Status::Ended | Status::Cancelled => false,
        };
        let told = match &announcement.what {
            What::Session(change) => {
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
                        told.retain(|(_, kind)| ahead || *kind == MailKind::Uninvited);
                        told
                    }
                }
            }
            What::Reminder { reminder, starts_at, .. } => {
                if *starts_at != session.starts_at || !ahead {
                    return Ok(Vec::new());
                }
                let everybody = self.recipients(session, &current).await?;
                match reminder {
                    Reminder::DayBefore => everybody.all_told(MailKind::ReminderDayBefore),
                    Reminder::HourBefore => everybody.all_told(MailKind::ReminderHourBefore),
                    Reminder::Start => return Ok(in_app(everybody, NoticeKind::Live)),
                }
            }
            What::RecordingReady { .. } => {
                let everybody = self.recipients(session, &current).await?;
                return Ok(in_app(everybody, NoticeKind::RecordingReady));
            }
            What::Resend { .. } if !ahead => Vec::new(),
            What::Resend { to, .. } => {
                let mut everybody = self.recipients(session, &current).await?;
                if let ResendTo::Named { users, emails } = to {
                    everybody.retain(|one| {
                        emails.contains(&one.email)
                            || one.users.iter().any(|user| users.contains(user))
                    });
                }
                everybody.all_told(MailKind::Resent)
            }
            What::MeetingDeleted { .. } | What::ReauthRequired { .. } => Vec::new(),
        };
        Ok(told.into_iter().map(Told::both).collect())
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
                students
                    .filter(|student| student.access_granted)
                    .map(|student| Recipient {
                        email: student.email,
                        name: Some(student.name),
                        users: vec![student.user],
                    })
                    .collect()
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
        pending: &Pending,
        session: &Session,
        told: Vec<Told>,
    ) -> Result<(), Error> {
        let about = About::Session(session.id.clone());
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
            let mails = self.tell_chunk(&pending.announcement, session, &about, rest).await?;
            rest = later;
            let Some(behind) = behind else { continue };
            let mut actions = queued_fates(&about, &mails, self.now());
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
        let mails = self.tell_chunk(&pending.announcement, session, &about, rest).await?;
        self.finish(&pending, &about, &mails).await
    }

    /// Writes the notices of a chunk and queues its mails; answers these.
    async fn tell_chunk(
        &self,
        announcement: &Announcement,
        session: &Session,
        about: &About,
        mut chunk: Vec<(RecipientRef, Told)>,
    ) -> Result<Vec<Mail>, Error> {
        let store = &self.tools.store;
        let unknown = chunk.iter().map(|(_, told)| &told.recipient);
        let unknown = unknown.filter(|one| one.users.is_empty()).map(|one| one.email.clone());
        let unknown: Vec<_> = unknown.collect();
        if !unknown.is_empty() {
            let mut known = store.users_by_email(&unknown).await?;
            for (_, told) in &mut chunk {
                if let Some(user) = known.remove(&told.recipient.email) {
                    told.recipient.users.push(user.id);
                    told.recipient.name.get_or_insert(user.name);
                }
            }
        }
        let users = chunk.iter().flat_map(|(_, told)| told.recipient.users.iter().cloned());
        let users: Vec<_> = users.collect();
        let preferences =
            if users.is_empty() { Default::default() } else { store.preferences(&users).await? };
        let wants = |user: &UserId| preferences.get(user).copied().unwrap_or_default().live_session;
        let (mut notices, mut mails) = (Vec::new(), Vec::new());
        for (_, Told { recipient: Recipient { email, name, users }, mail, notice }) in chunk {
            if let Some(kind) = notice {
                let about = notice::About::of(session);
                let told = users.iter().filter(|user| wants(user).in_app);
                notices.extend(
                    told.map(|user| {
                        Notice::of(announcement, kind, user.clone(), Some(about.clone()))
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

    /// Tells a trainer what concerns them alone. Who is not in the directory has no address, and finds it in-app.
    async fn tell_trainer(
        &mut self,
        pending: &Pending,
        about: &About,
        trainer: &UserId,
        session: Option<&Session>,
    ) -> Result<(), Error> {
        let kind = match pending.announcement.what {
            What::MeetingDeleted { .. } => MailKind::MeetingDeleted,
            _ => MailKind::ReauthRequired,
        };
        if session.is_some_and(|session| session.status == Status::Cancelled) {
            return self.finish(pending, about, &[]).await;
        }
        let store = &self.tools.store;
        let wants = store.preferences_of(trainer).await?.live_session;
        if let Some(kind) = notice_of(kind).filter(|_| wants.in_app) {
            let about = session.map(notice::About::of);
            let notice = Notice::of(&pending.announcement, kind, trainer.clone(), about);
            store.put_notices(&[notice]).await?;
        }
        let user = if wants.email { store.user(trainer).await? } else { None };
        let mails: Vec<_> = user
            .map(|user| {
                let (email, name) = (user.email, Some(user.name));
                mail_of(&pending.announcement, kind, about, email, name, Some(user.id))
            })
            .into_iter()
            .collect();
        self.tools.outbox.send(&mails).await?;
        self.finish(pending, about, &mails).await
    }

    /// Notes that everybody was told, these last.
    async fn finish(
        &mut self,
        pending: &Pending,
        about: &About,
        mails: &[Mail],
    ) -> Result<(), Error> {
        let mut actions = queued_fates(about, mails, self.now());
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

fn outrun(pending: &Pending) {
    tracing::info!(event = "outbox.outrun", key = pending.announcement.key());
}

fn in_app(everybody: Recipients, kind: NoticeKind) -> Vec<Told> {
    // The mail's kind plays no part.
    let all = everybody.all_told(MailKind::Scheduled).into_iter();
    all.map(|(recipient, _)| Told { recipient, mail: None, notice: Some(kind) }).collect()
}

fn mail_of(
    announcement: &Announcement,
    kind: MailKind,
    about: &About,
    to: Email,
    name: Option<PersonName>,
    user: Option<UserId>,
) -> Mail {
    let (starts_at, reason) = match &announcement.what {
        What::Reminder { starts_at, .. } => (Some(*starts_at), None),
        What::Session(change) => (None, change.reason.clone()),
        _ => (None, None),
    };
    let effect = EffectId::of(&announcement.key(), kind, &to);
    Mail { effect, kind, about: about.clone(), to, name, user, starts_at, reason, round: 0 }
}
