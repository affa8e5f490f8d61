//! Loads the data by which claimed mails are checked and composed.

use std::collections::{HashMap, HashSet};

use super::{ClaimedMail, Delivery};
use crate::app::error::Error;
use crate::domain::host_status::HostStatuses;
use crate::domain::id::{SessionId, UserId};
use crate::domain::mailing::relevance::depends_on_recipient_state;
use crate::domain::mailing::{Mail, MailSubject, RecipientRef, RecipientState};
use crate::domain::session::Session;
use crate::store::error::StoreError;
use crate::store::mail_addresses::MailAddresses;
use crate::store::mailing::TrainersAndInvitedMails;
use crate::store::sessions::SessionsById;

/// The recipient states of one session.
#[derive(Default)]
pub(super) struct SessionRecipientStates {
    /// Whether mails that were sent before this run are included.
    pub(super) complete: bool,
    pub(super) by_recipient: HashMap<RecipientRef, RecipientState>,
}

/// The data that is needed to compose the mails of a batch.
#[derive(Default)]
pub(super) struct RelatedData {
    pub(super) sessions: HashMap<SessionId, Session>,
    /// The sessions of which an item cannot be read. Their mails wait.
    unreadable: HashSet<SessionId>,
    pub(super) recipients: TrainersAndInvitedMails,
    /// The host statuses of the trainers who get a mail that asks to connect Zoom.
    pub(super) hosts: HostStatuses,
    /// The users without mails.
    pub(super) muted: HashSet<UserId>,
    pub(super) addresses: MailAddresses,
}

impl RelatedData {
    pub(super) fn is_readable(&self, mail: &Mail) -> bool {
        let session = mail.subject.session();
        session.is_none_or(|session| !self.unreadable.contains(session))
            && !self.recipients.unreadable.contains(&mail.message_key)
            && !self.addresses.unreadable.contains(&mail.message_key)
    }
}

impl Delivery<'_> {
    /// Reads the current sessions after the mails were claimed.
    pub(super) async fn load_related_data(
        &mut self,
        claimed: &[ClaimedMail],
    ) -> Result<RelatedData, Error> {
        let ids: HashSet<_> =
            claimed.iter().filter_map(|claimed| claimed.mail.subject.session()).collect();
        let ids: Vec<_> = ids.into_iter().cloned().collect();
        let users: HashSet<_> = claimed.iter().flat_map(|claimed| claimed.mail.users()).collect();
        let users: Vec<_> = users.into_iter().cloned().collect();
        let muted = match users.is_empty() {
            true => HashSet::new(),
            false => self.tools.store.users_without_mails(&users).await?,
        };
        if ids.is_empty() {
            let hosts = self.load_hosts(claimed, &HashMap::new()).await?;
            let addresses = self.load_addresses(claimed, &HashMap::new()).await?;
            return Ok(RelatedData { hosts, muted, addresses, ..RelatedData::default() });
        }
        let SessionsById { found: sessions, mut unreadable } =
            self.tools.store.sessions_by_id(&ids).await?;
        let mails = claimed.iter().filter_map(|claimed| {
            let session = sessions.get(claimed.mail.subject.session()?)?;
            Some((session, &claimed.mail))
        });
        let mails: Vec<_> = mails.collect();
        unreadable.extend(self.load_recipient_states(&mails).await?);
        let recipients = self.tools.store.trainers_and_invited_mails(&mails).await?;
        let hosts = self.load_hosts(claimed, &sessions).await?;
        let addresses = self.load_addresses(claimed, &sessions).await?;
        Ok(RelatedData { sessions, unreadable, recipients, hosts, muted, addresses })
    }

    /// Reads the addresses, which the messages do not contain.
    async fn load_addresses(
        &self,
        claimed: &[ClaimedMail],
        sessions: &HashMap<SessionId, Session>,
    ) -> Result<MailAddresses, Error> {
        let mails = claimed.iter().map(|claimed| {
            let session = claimed.mail.subject.session().and_then(|id| sessions.get(id));
            (session, &claimed.mail)
        });
        let mails: Vec<_> = mails.collect();
        Ok(self.tools.store.mail_addresses(&mails).await?)
    }

    async fn load_hosts(
        &self,
        claimed: &[ClaimedMail],
        sessions: &HashMap<SessionId, Session>,
    ) -> Result<HostStatuses, Error> {
        let mails = claimed.iter().map(|claimed| &claimed.mail);
        let mails = mails.filter(|mail| mail.kind.spec().asks_to_connect);
        let trainers: HashSet<_> =
            mails.filter_map(|mail| trainer_of_subject(&mail.subject, sessions)).collect();
        if trainers.is_empty() {
            return Ok(HostStatuses::default());
        }
        let trainers: Vec<_> = trainers.into_iter().cloned().collect();
        Ok(self.tools.store.host_statuses(&trainers).await?)
    }

    /// Loads the recipient states of the sessions for which they matter. Once per run is sufficient, because the
    /// outbox lease keeps other runs from sending. Returns the sessions whose delivery records cannot be read.
    async fn load_recipient_states(
        &mut self,
        mails: &[(&Session, &Mail)],
    ) -> Result<HashSet<SessionId>, Error> {
        let mut unreadable = HashSet::new();
        for (session, mail) in mails {
            let states = self.recipient_states.get(&session.id);
            let is_loaded = states.is_some_and(|states| states.complete);
            if !is_loaded && depends_on_recipient_state(mail, session) {
                let (store, now) = (&self.tools.store, self.tools.clock.now());
                let by_recipient =
                    match store.recipient_states_with_snapshot(&session.id, now).await {
                        Ok(by_recipient) => by_recipient,
                        Err(StoreError::Corrupt { .. }) => {
                            unreadable.insert(session.id.clone());
                            continue;
                        }
                        Err(error) => return Err(error.into()),
                    };
                let states = SessionRecipientStates { complete: true, by_recipient };
                self.recipient_states.insert(session.id.clone(), states);
            }
        }
        Ok(unreadable)
    }
}

/// Returns the trainer of a mail's session, or the trainer in the mail's subject.
pub(super) fn trainer_of_subject<'a>(
    subject: &'a MailSubject,
    sessions: &'a HashMap<SessionId, Session>,
) -> Option<&'a UserId> {
    match subject {
        MailSubject::Session(id) => sessions.get(id).map(|session| &session.trainer),
        MailSubject::Trainer(trainer) => Some(trainer),
    }
}
