//! One chunk of a fan-out: resolves the current addresses, writes the in-app notifications and queues the mails.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use futures::stream::{self, StreamExt};

use super::super::Run;
use super::enrollments::{EarlierInvitations, InvitedBy};
use super::new_mail;
use super::plan::PlannedNotification;
use crate::app::error::Error;
use crate::app::recipients::{AddressBook, students_at};
use crate::domain::domain_event::{DomainEvent, DomainEventKind};
use crate::domain::id::UserId;
use crate::domain::in_app::{InAppNotification, NotificationKind, NotificationSubject};
use crate::domain::link_generation::LinkGeneration;
use crate::domain::mailing::urgency::Urgency;
use crate::domain::mailing::{
    Mail, MailKind, MailSubject, MessageKey, PersonRef, Recipient, RecipientRef, RecipientState,
};
use crate::domain::preferences::{NotificationChannels, Preferences};
use crate::domain::session::Session;
use crate::domain::text::{Email, PersonName};
use crate::store::error::CommitError;
use crate::store::invitations::replace_links;
use crate::store::mail_addresses::MailAddress;

/// The number of concurrent writes of a chunk.
const WRITE_CONCURRENCY: usize = 25;

/// The data that the chunks of one domain event share.
pub(super) struct ChunkContext<'a> {
    pub(super) event: &'a DomainEvent,
    pub(super) session: &'a Session,
    pub(super) subject: MailSubject,
    pub(super) urgency: Urgency,
    /// The earlier invitations to which newly enrolled students belong.
    pub(super) earlier: Option<EarlierInvitations>,
    /// The short keys of the mails that were queued for this event.
    pub(super) queued: HashSet<String>,
    /// The recipient states, loaded once if they matter.
    pub(super) states: Option<HashMap<RecipientRef, RecipientState>>,
}

impl ChunkContext<'_> {
    /// Returns the domain event whose key determines the keys of a person's notifications.
    fn cause(&self, invited_by: Option<InvitedBy>) -> &DomainEvent {
        match (invited_by, &self.earlier) {
            (Some(InvitedBy::Missed), Some(earlier)) => &earlier.event,
            _ => self.event,
        }
    }
}

/// The notifications of a chunk at the current addresses.
#[derive(Default)]
struct ResolvedChunk {
    in_app: Vec<(UserId, NotificationKind)>,
    mails: BTreeMap<Email, AddressedMail>,
    /// Addresses that the recipients had before, with the kind of mail to the current address.
    former_addresses: BTreeMap<Email, MailKind>,
    /// How the newly enrolled students are invited.
    invited_by: HashMap<UserId, InvitedBy>,
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

    /// Leaves out the students who have got an earlier invitation.
    fn leave_out_invited(&mut self, earlier: &EarlierInvitations) {
        let Self { in_app, mails, invited_by, .. } = self;
        mails.retain(|email, mail| {
            if mail.kind != MailKind::Scheduled {
                return true;
            }
            let key = MessageKey::new(&earlier.event.key(), mail.kind, email);
            let invitation = earlier.invited_by(&key);
            invited_by.extend(mail.users.iter().map(|user| (user.clone(), invitation)));
            invitation != InvitedBy::EarlierMail
        });
        // Nothing shows whether a person without an address was notified. The key of the earlier notification prevents a
        // second one.
        for (user, _) in &*in_app {
            invited_by.entry(user.clone()).or_insert(InvitedBy::Missed);
        }
        in_app.retain(|(user, kind)| {
            let is_invitation = Some(*kind) == MailKind::Scheduled.in_app();
            !is_invitation || invited_by.get(user) != Some(&InvitedBy::EarlierMail)
        });
    }

    fn invited_by(&self, user: &UserId, kind: NotificationKind) -> Option<InvitedBy> {
        let invited_by = self.invited_by.get(user).copied();
        invited_by.filter(|_| Some(kind) == MailKind::Scheduled.in_app())
    }

    /// Returns how the recipients of a mail are invited.
    fn mail_invited_by(&self, mail: &AddressedMail) -> Option<InvitedBy> {
        self.invited_by(mail.users.first()?, mail.kind.in_app()?)
    }

    fn users(&self) -> BTreeSet<UserId> {
        let mailed = self.mails.values().flat_map(|mail| &mail.users);
        self.in_app.iter().map(|(user, _)| user).chain(mailed).cloned().collect()
    }
}

/// The channels that each user has chosen.
struct ChosenChannels(BTreeMap<UserId, Preferences>);

impl ChosenChannels {
    fn of(&self, user: &UserId) -> NotificationChannels {
        self.0.get(user).copied().unwrap_or_default().live_session
    }
}

impl Run<'_> {
    /// Writes the in-app notifications of a chunk, queues its mails and returns the mails.
    pub(super) async fn notify_chunk(
        &self,
        context: &mut ChunkContext<'_>,
        persons: Vec<(PersonRef, PlannedNotification)>,
    ) -> Result<Vec<Mail>, Error> {
        let store = &self.tools.store;
        let planned = persons.into_iter().map(|(_, planned)| planned).collect();
        let mut chunk = self.resolve_chunk(planned).await?;
        if let Some(earlier) = &context.earlier {
            chunk.leave_out_invited(earlier);
        }
        self.withdraw_from_former_addresses(context, &mut chunk).await?;
        self.retain_withdrawals(context.session, &mut chunk.mails).await?;
        let users: Vec<_> = chunk.users().into_iter().collect();
        let channels = ChosenChannels(match users.is_empty() {
            true => BTreeMap::new(),
            false => store.preferences(&users).await?,
        });
        let about = NotificationSubject::from_session(context.session);
        let in_app = chunk.in_app.iter().filter(|(user, _)| channels.of(user).in_app);
        let notifications: Vec<_> = in_app
            .map(|(user, kind)| {
                let cause = context.cause(chunk.invited_by(user, *kind));
                InAppNotification::new(cause, *kind, user.clone(), Some(about.clone()))
            })
            .collect();
        self.replace_guest_links(context, &chunk).await?;
        let (mails, addresses) = self.new_mails(context, chunk, &channels).await?;
        store.put_notifications(&notifications).await?;
        store.put_mail_addresses(&addresses, self.now()).await?;
        self.send_to_queues(context, &mails).await?;
        Ok(mails)
    }

    /// Invalidates the earlier guest links of the addresses to which an invitation is sent again. Replaced before the mails
    /// are queued, so that none of them has a link of an earlier generation.
    async fn replace_guest_links(
        &self,
        context: &ChunkContext<'_>,
        chunk: &ResolvedChunk,
    ) -> Result<(), Error> {
        let DomainEventKind::Resend { nonce, .. } = &context.event.kind else { return Ok(()) };
        let Some(list) = context.session.audience.invitee_list() else { return Ok(()) };
        let generation = LinkGeneration(nonce.0);
        let guests = chunk.mails.iter().filter(|(_, mail)| mail.users.is_empty());
        let session = &context.session.id;
        let replace = guests.map(|(email, _)| replace_links(session, list, email, generation));
        let replace: Vec<_> = replace.collect();
        let writes = stream::iter(replace).map(|action| self.tools.store.commit_one(action));
        let outcomes: Vec<_> = writes.buffer_unordered(WRITE_CONCURRENCY).collect().await;
        for outcome in outcomes {
            match outcome {
                // Refused for an address that is no longer invited, and when the chunk is repeated.
                Ok(()) | Err(CommitError::Refused(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Returns the mails of a chunk that are not queued yet, and the addresses of withdrawals.
    async fn new_mails(
        &self,
        context: &mut ChunkContext<'_>,
        mut chunk: ResolvedChunk,
        channels: &ChosenChannels,
    ) -> Result<(Vec<Mail>, Vec<MailAddress>), Error> {
        let (mut mails, mut addresses) = (Vec::with_capacity(chunk.mails.len()), Vec::new());
        for (email, addressed) in std::mem::take(&mut chunk.mails) {
            // People who are not users of the platform have no preferences and always get mails.
            let reader = addressed.users.iter().position(|user| channels.of(user).email);
            let is_muted = reader.is_none() && !addressed.users.is_empty();
            // An entry that was sent before the person turned mails off must not stay in the calendar.
            if is_muted
                && !(addressed.kind.is_withdrawal() && self.may_hold_entry(context, &email).await?)
            {
                continue;
            }
            let cause = context.cause(chunk.mail_invited_by(&addressed)).key();
            let AddressedMail { kind, name, mut users, address_changed } = addressed;
            let user = (!users.is_empty()).then(|| users.swap_remove(reader.unwrap_or(0)));
            let mut mail = new_mail(context.event, kind, &context.subject, &email, user);
            mail.message_key = MessageKey::new(&cause, kind, &email);
            mail.other_users = users;
            mail.address_changed = address_changed;
            // The address may have got the mail with an earlier chunk, when it belonged to somebody else.
            if context.queued.insert(mail.message_key.short().to_owned()) {
                if kind.is_withdrawal() {
                    addresses.push(MailAddress { email, name });
                }
                mails.push(mail);
            }
        }
        Ok((mails, addresses))
    }

    /// Adds a withdrawal for each former address that may hold a calendar entry.
    async fn withdraw_from_former_addresses(
        &self,
        context: &mut ChunkContext<'_>,
        chunk: &mut ResolvedChunk,
    ) -> Result<(), Error> {
        for (email, kind) in std::mem::take(&mut chunk.former_addresses) {
            if self.may_hold_entry(context, &email).await? {
                let address_changed = !kind.is_withdrawal();
                let kind = if address_changed { MailKind::Removed } else { kind };
                let (name, users) = (None, Vec::new());
                chunk.mails.insert(email, AddressedMail { kind, name, users, address_changed });
            }
        }
        Ok(())
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
                    .recipient_states(context)
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
                // A person without an address may have had one, whose calendar entry is withdrawn.
                if kind.calendar_method().is_some() && kind != MailKind::Resent {
                    chunk.former_addresses.extend(former_emails.into_iter().map(|it| (it, kind)));
                }
                let Some(email) = email else { continue };
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

    /// Returns the recipient states of the session. Loads them once per domain event.
    async fn recipient_states<'s>(
        &self,
        context: &'s mut ChunkContext<'_>,
    ) -> Result<&'s HashMap<RecipientRef, RecipientState>, Error> {
        Ok(match &mut context.states {
            Some(states) => states,
            states => states.insert(self.tools.store.recipient_states(&context.session.id).await?),
        })
    }

    /// Returns whether the calendar of an address may have the entry of the session.
    async fn may_hold_entry(
        &self,
        context: &mut ChunkContext<'_>,
        email: &Email,
    ) -> Result<bool, Error> {
        let recipient = RecipientRef::new(&context.subject, email);
        let states = self.recipient_states(context).await?;
        Ok(states.get(&recipient).is_some_and(RecipientState::may_hold_entry))
    }
}
