//! Mails: claims (`claims`), delivery records and mail counts per session (`deliveries`), the people whom the mails of a batch
//! concern, and the lease of the outbox sweep.
//!
//! Claiming a mail costs one write. Delivery records of up to a hundred mails share one item, which is written in one
//! transaction with the mail counts. Only the delivery records show whether a mail was sent, so an unfinished claim is
//! resolved by looking there.

mod claims;
mod deliveries;
mod returns;

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use serde::Deserialize;

pub use claims::{ClaimOutcome, ClaimResult, release_claim};
pub use deliveries::{DeliveryUpdate, MailCounts, StoredDelivery, mark_notified, record_queued};
pub use returns::{ReturnContext, ReturnRecord, ReturnedDelivery};

pub(super) use deliveries::{
    StoredDeliveries, StoredDeliveryRecord, decode_deliveries, delivery_ttl,
};

use super::error::StoreError;
use super::invitations::links_from;
use super::item::decode;
use super::schema::{DueQueue, ItemKey, attr};
use super::tx::{Action, Condition, ItemChanges, text};
use super::{BatchItems, Store};
use crate::domain::audience::Audience;
use crate::domain::directory::User;
use crate::domain::id::UserId;
use crate::domain::link_generation::LinkGeneration;
use crate::domain::mailing::{Mail, MessageKey};
use crate::domain::session::Session;
use crate::domain::time::sortable_text;

/// The trainers of the sessions of some mails, and whether the recipients are invited.
#[derive(Debug, Default)]
pub struct TrainersAndInvitedMails {
    pub trainers: HashMap<UserId, User>,
    /// The mails to recipients that are currently invited.
    pub invited: HashSet<MessageKey>,
    /// The generation of the guest link in a mail to an invited address.
    pub link_generations: HashMap<MessageKey, LinkGeneration>,
    /// The mails with unreadable enrollments.
    pub unreadable: HashSet<MessageKey>,
}

/// The state of the outbox.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct OutboxState {
    /// No mail is sent before this time.
    #[serde(default)]
    pub paused_until: Option<Timestamp>,
    /// The mail service's error code.
    #[serde(default)]
    pub pause_reason: Option<String>,
}

/// Takes the lease to send mails until `until`. Refused while another run holds it: two runs at once would exceed the
/// configured rate.
pub fn take_outbox_lease(holder: &str, now: Timestamp, until: Timestamp) -> Action {
    let changes = ItemChanges::new()
        .set(attr::LEASE_HOLDER, text(holder))
        .set(attr::LEASE_UNTIL, text(sortable_text(until)));
    Action::update(
        ItemKey::Sweep(DueQueue::Outbox),
        changes,
        Condition::new().absent_or_expired(attr::LEASE_UNTIL, now),
    )
    .recognized_by(attr::LEASE_HOLDER, text(holder))
}

/// Releases the outbox lease if `holder` still has it.
pub fn release_outbox_lease(holder: &str) -> Action {
    let changes = ItemChanges::new().remove(attr::LEASE_HOLDER).remove(attr::LEASE_UNTIL);
    let condition = Condition::new().equals(attr::LEASE_HOLDER, text(holder));
    Action::update(ItemKey::Sweep(DueQueue::Outbox), changes, condition)
}

/// Pauses all mails until `until`.
pub fn pause_outbox(until: Timestamp, code: &str) -> Action {
    let changes = ItemChanges::new()
        .set(attr::PAUSED_UNTIL, text(sortable_text(until)))
        .set(attr::PAUSE_REASON, text(code));
    Action::update(ItemKey::Sweep(DueQueue::Outbox), changes, Condition::new())
}

impl Store {
    /// Returns the trainers of the sessions, and whether the recipients of the mails are currently invited. An unreadable
    /// trainer is left out.
    pub async fn trainers_and_invited_mails(
        &self,
        mails: &[(&Session, &Mail)],
    ) -> Result<TrainersAndInvitedMails, StoreError> {
        // DynamoDB refuses duplicate keys in a batch.
        let mut keys = HashMap::new();
        for (session, mail) in mails {
            let trainer = ItemKey::User(&session.trainer);
            keys.insert((trainer.pk(), trainer.sk()), trainer);
            for key in invitation_keys(session, mail) {
                keys.insert((key.pk(), key.sk()), key);
            }
        }
        let keys: Vec<_> = keys.into_values().collect();
        let mut found = self.batch_get(&keys).await?;
        let mut trainers = HashMap::new();
        for (session, _) in mails {
            if let Ok(Some(user)) = found.user(&session.trainer) {
                trainers.insert(session.trainer.clone(), user);
            }
        }
        let link_generations = link_generations(mails, &found);
        let (mut in_audience, mut unreadable) = (HashSet::new(), HashSet::new());
        for key in keys.iter().filter(|key| !matches!(key, ItemKey::User(_))) {
            match found.is_in_audience(*key) {
                Ok(true) => drop(in_audience.insert((key.pk(), key.sk()))),
                Ok(false) => {}
                Err(_) => drop(unreadable.insert((key.pk(), key.sk()))),
            }
        }
        let with_any = |found: &HashSet<(String, String)>| {
            let mails = mails.iter().filter(|(session, mail)| {
                invitation_keys(session, mail)
                    .iter()
                    .any(|key| found.contains(&(key.pk(), key.sk())))
            });
            mails.map(|(_, mail)| mail.message_key.clone()).collect::<HashSet<_>>()
        };
        let invited = with_any(&in_audience);
        let unreadable = &with_any(&unreadable) - &invited;
        Ok(TrainersAndInvitedMails { trainers, invited, link_generations, unreadable })
    }

    /// Returns the state of the outbox with an eventually consistent read.
    pub async fn outbox_state(&self) -> Result<OutboxState, StoreError> {
        let item = self.get_eventually_consistent(ItemKey::Sweep(DueQueue::Outbox)).await?;
        // An unreadable pause must not stop all mails. The service refuses them if it is still paused.
        Ok(item.and_then(|item| decode(item).ok()).unwrap_or_default())
    }
}

/// Returns the generations of the guest links in mails to invited addresses.
fn link_generations(
    mails: &[(&Session, &Mail)],
    found: &BatchItems,
) -> HashMap<MessageKey, LinkGeneration> {
    let generations = mails.iter().filter_map(|(session, mail)| {
        let list = session.audience.invitee_list()?;
        let key = ItemKey::InviteeByDigest { session: &session.id, list, to: &mail.to };
        let generation = links_from(&found.get(key)?)?;
        Some((mail.message_key.clone(), generation))
    });
    generations.collect()
}

/// The keys of the items by which a session may invite the address of a mail.
fn invitation_keys<'a>(session: &'a Session, mail: &'a Mail) -> Vec<ItemKey<'a>> {
    match &session.audience {
        Audience::Standalone => Vec::new(),
        Audience::Course { id, .. } => {
            mail.users().map(|user| ItemKey::Enrollment { user, course: id }).collect()
        }
        Audience::Invitees { list, .. } => {
            vec![ItemKey::InviteeByDigest { session: &session.id, list: *list, to: &mail.to }]
        }
    }
}
