//! Returned mails: the stored data about them, and the transaction that records a return.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

use super::claims::{decode_claim, finish_returned};
use super::deliveries::{change_counts, put_deliveries};
use crate::domain::domain_event::DomainEvent;
use crate::domain::mail_return::MailReturn;
use crate::domain::mailing::claim::ClaimPhase;
use crate::domain::mailing::{
    AddressDigest, DeliveryRecord, DeliveryStatus, MailClaim, MailSubject, RecipientRef,
};
use crate::domain::suppression::{Suppression, SuppressionReason};
use crate::domain::time::sortable_text;
use crate::store::Store;
use crate::store::domain_events::put_domain_event;
use crate::store::erasures::StoredErasure;
use crate::store::error::{CommitError, StoreError};
use crate::store::item::decode;
use crate::store::mail_addresses::erased_address;
use crate::store::schema::{ItemKey, attr};
use crate::store::suppressions::{self, StoredSuppression};
use crate::store::tx::{Action, Condition, ItemChanges, text};

#[derive(Deserialize)]
struct StoredNotification {
    #[serde(default)]
    return_notification_at: Option<Timestamp>,
}

/// The stored data about a returned mail.
#[derive(Clone, Debug)]
pub struct ReturnContext {
    /// The claim of the mail and its session. `None` if the mail is unknown, is about no session, or was sent too long ago.
    pub delivery: Option<ReturnedDelivery>,
    /// The reason for which the address is suppressed already.
    pub suppressed: Option<SuppressionReason>,
    /// Whether the person with the address was erased after the mail was sent.
    pub is_erased: bool,
}

#[derive(Clone, Debug)]
pub struct ReturnedDelivery {
    pub subject: MailSubject,
    pub claim: MailClaim,
    /// The last notification of the trainer about returned mails. It may lie ahead.
    pub notification_at: Option<Timestamp>,
}

/// A new delivery status of a mail that came back.
#[derive(Clone, Debug)]
pub struct ReturnRecord<'a> {
    pub delivery: &'a ReturnedDelivery,
    pub record: DeliveryRecord,
    /// The status that the counts of the session have for the mail.
    pub previous_status: DeliveryStatus,
    /// The notification of the trainer.
    pub notification: Option<DomainEvent>,
}

impl Store {
    /// Reads the stored data about a returned mail, with one request.
    pub async fn return_context(&self, returned: &MailReturn) -> Result<ReturnContext, StoreError> {
        let address = AddressDigest::new(&returned.to);
        let erasure = erased_address(&address);
        let mut keys = vec![ItemKey::Suppression(&address), ItemKey::Erasure(&erasure)];
        let mail = &returned.mail;
        let subject = mail.session.clone().map(MailSubject::Session);
        if let (Some(subject), Some(session)) = (&subject, &mail.session) {
            keys.push(ItemKey::Session(session));
            keys.push(ItemKey::Mail { subject, message_key: &mail.message_key });
            keys.push(ItemKey::MailCount(subject));
        }
        let mut found = self.batch_get(&keys).await?;
        let suppressed = found
            .take(ItemKey::Suppression(&address))
            .map(decode::<StoredSuppression>)
            .transpose()?;
        let erased =
            found.take(ItemKey::Erasure(&erasure)).map(decode::<StoredErasure>).transpose()?;
        let mut delivery = None;
        if let (Some(subject), Some(session)) = (subject, &mail.session)
            && found.get(ItemKey::Session(session)).is_some()
            && let Some(claim) =
                found.take(ItemKey::Mail { subject: &subject, message_key: &mail.message_key })
        {
            let claim = decode_claim(claim)?;
            let notification = found
                .take(ItemKey::MailCount(&subject))
                .map(decode::<StoredNotification>)
                .transpose()?;
            let notification_at =
                notification.and_then(|notification| notification.return_notification_at);
            delivery = Some(ReturnedDelivery { subject, claim, notification_at });
        }
        Ok(ReturnContext {
            delivery,
            suppressed: suppressed.map(|stored| stored.reason),
            is_erased: erased.is_some_and(|erased| erased.erased_at >= returned.sent_at),
        })
    }

    /// Suppresses the address of a returned mail and records its delivery status, in one transaction. Refused if something
    /// has changed since `context` was read.
    pub async fn record_return(
        &self,
        context: &ReturnContext,
        suppression: Option<&Suppression>,
        record: Option<&ReturnRecord<'_>>,
        returned: &MailReturn,
        now: Timestamp,
    ) -> Result<(), CommitError> {
        let mut actions = Vec::new();
        if let Some(suppression) = suppression {
            actions.push(suppressions::put(suppression, context.suppressed));
            if suppression.email.is_some() {
                // An erasure that began meanwhile would not find the address.
                let sent_at = text(sortable_text(returned.sent_at));
                let condition = Condition::new().absent_or_at_most(attr::ERASED_AT, sent_at);
                let erasure = erased_address(&suppression.address);
                actions.push(Action::check(ItemKey::Erasure(&erasure), condition));
            }
        }
        if let Some(record) = record {
            actions.extend(record.actions(now));
        }
        self.commit(actions).await
    }
}

impl ReturnRecord<'_> {
    fn actions(&self, now: Timestamp) -> Vec<Action> {
        let ReturnedDelivery { subject, claim, notification_at } = self.delivery;
        let key = &self.record.message_key;
        let moves = BTreeMap::from([(self.previous_status, -1), (self.record.status, 1)]);
        let mut actions = vec![
            finish_returned(subject, key, claim, self.record.status),
            put_deliveries(subject, std::iter::once(&self.record), now),
        ];
        actions.extend(match &self.notification {
            None => change_counts(subject, &moves),
            Some(notification) => {
                let changes = moves.iter().fold(ItemChanges::new(), |changes, (status, by)| {
                    changes.add(status.as_str(), *by)
                });
                let changes =
                    changes.set(attr::RETURN_NOTIFICATION_AT, text(sortable_text(notification.at)));
                let condition = match notification_at {
                    None => Condition::new().absent(attr::RETURN_NOTIFICATION_AT),
                    Some(at) => Condition::new()
                        .equals(attr::RETURN_NOTIFICATION_AT, text(sortable_text(*at))),
                };
                Some(Action::update(ItemKey::MailCount(subject), changes, condition))
            }
        });
        actions.extend(self.notification.iter().map(put_domain_event));
        actions
    }
}

impl ReturnedDelivery {
    /// Returns whether a run may still be recording that the mail was sent.
    pub fn is_being_recorded(&self, now: Timestamp) -> bool {
        matches!(self.claim.phase, ClaimPhase::Sending { until } if until > now)
    }

    pub fn recipient(&self, returned: &MailReturn) -> RecipientRef {
        RecipientRef::new(&self.subject, &returned.to)
    }
}
