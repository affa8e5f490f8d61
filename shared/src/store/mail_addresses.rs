//! The addresses of queued mails. A message in a queue contains a digest of the address. The address is read when the mail is
//! sent, from the entries of the recipient: the user, the enrollment, or the invitation. Nobody has the address of a person
//! who was erased meanwhile.
//!
//! A withdrawal also goes to people who are not enrolled or invited any more, and to former addresses. Its address has an
//! item of its own.

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Store;
use super::erasures::{self, StoredErasure, person_digest, subject_digest};
use super::error::StoreError;
use super::item::{decode, encode, or_default, unreadable};
use super::read::BatchItems;
use super::schema::{ItemKey, limit};
use super::tx::{Action, Condition};
use crate::domain::audience::Audience;
use crate::domain::mailing::{AddressDigest, Mail, MessageKey};
use crate::domain::session::Session;
use crate::domain::text::{Email, PersonName};

#[derive(Serialize)]
struct StoredMailAddress<'a> {
    email: &'a Email,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a PersonName>,
    #[serde(rename = "expires_at")]
    ttl: i64,
}

/// The addresses in an item of a user, an enrollment, an invitee or a withdrawal.
#[derive(Deserialize)]
struct StoredAddresses {
    #[serde(default)]
    email: Option<Email>,
    #[serde(default, deserialize_with = "or_default")]
    name: Option<PersonName>,
    #[serde(default, deserialize_with = "or_default")]
    former_emails: Vec<Email>,
    #[serde(rename = "t", default)]
    requested_ms: Option<i64>,
}

impl StoredAddresses {
    /// Returns whether the request that wrote the item began before the person was erased.
    fn is_erased(&self, erased_at: Option<Timestamp>) -> bool {
        let requested_ms = self.requested_ms.unwrap_or(i64::MIN);
        erased_at.is_some_and(|erased_at| requested_ms < erased_at.as_millisecond())
    }

    fn find(self, to: &AddressDigest) -> Option<MailAddress> {
        let all = self.email.into_iter().chain(self.former_emails);
        let email = all.into_iter().find(|email| AddressDigest::new(email) == *to)?;
        Some(MailAddress { email, name: self.name })
    }
}

/// The address to which a mail is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailAddress {
    pub email: Email,
    pub name: Option<PersonName>,
}

/// The addresses of some mails.
#[derive(Debug, Default)]
pub struct MailAddresses {
    pub found: HashMap<MessageKey, MailAddress>,
    /// The mails without an address of which an entry cannot be read.
    pub unreadable: HashSet<MessageKey>,
    /// The mails to suppressed addresses.
    pub suppressed: HashSet<MessageKey>,
}

fn put(address: &MailAddress, now: Timestamp) -> Action {
    let life = SignedDuration::from_hours(24 * limit::CLAIM_TTL_DAYS);
    let ttl = now.saturating_add(life).unwrap_or(now).as_second();
    let MailAddress { email, name } = address;
    let item = encode(&StoredMailAddress { email, name: name.as_ref(), ttl });
    Action::put(ItemKey::MailAddress(&AddressDigest::new(email)), item, Condition::new())
}

/// Deletes the address of queued withdrawals, when a person with this address is erased.
pub fn delete(email: &Email) -> Action {
    Action::delete(ItemKey::MailAddress(&AddressDigest::new(email)), Condition::new())
}

/// Stores that the person with an address was erased, so that an invitation by a request in progress is not sent.
pub fn put_erasure(email: &Email, erased_at: Timestamp) -> Action {
    let digest = erased_address(&AddressDigest::new(email));
    erasures::put_without_leads(&digest, erased_at)
}

/// Returns the digest under which the erasure of a person with this address is stored.
pub fn erased_address(to: &AddressDigest) -> String {
    subject_digest("address", to.as_str())
}

impl Store {
    /// Stores the addresses of withdrawals before they are queued.
    pub async fn put_mail_addresses(
        &self,
        addresses: &[MailAddress],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let addresses: HashMap<_, _> = addresses.iter().map(|one| (&one.email, one)).collect();
        self.write_all(addresses.into_values().map(|one| put(one, now)).collect()).await
    }

    /// Returns the addresses of mails, which may be about a session. Only a mail whose address a cheap read does not find
    /// needs a consistent one.
    pub async fn mail_addresses(
        &self,
        mails: &[(Option<&Session>, &Mail)],
    ) -> Result<MailAddresses, StoreError> {
        let mut addresses = self.read_mail_addresses(mails, false).await?;
        let is_found = |mail: &Mail| addresses.found.contains_key(&mail.message_key);
        let missing = mails.iter().filter(|(_, mail)| !is_found(mail));
        let missing: Vec<_> = missing.copied().collect();
        if !missing.is_empty() {
            let MailAddresses { found, unreadable, .. } =
                self.read_mail_addresses(&missing, true).await?;
            addresses.found.extend(found);
            addresses.unreadable = unreadable;
        }
        Ok(addresses)
    }

    async fn read_mail_addresses(
        &self,
        mails: &[(Option<&Session>, &Mail)],
        is_consistent: bool,
    ) -> Result<MailAddresses, StoreError> {
        let entries: Vec<_> =
            mails.iter().flat_map(|(session, mail)| address_keys(*session, mail)).collect();
        let subjects: HashSet<_> = entries.iter().filter_map(erasure_subject).collect();
        // DynamoDB refuses duplicate keys in a batch.
        let mut keys = HashMap::new();
        let erasures = subjects.iter().map(|it| ItemKey::Erasure(it));
        let suppressions = mails.iter().map(|(_, mail)| ItemKey::Suppression(&mail.to));
        for key in entries.into_iter().chain(erasures).chain(suppressions) {
            keys.insert((key.pk(), key.sk()), key);
        }
        let keys: Vec<_> = keys.into_values().collect();
        let items = match is_consistent {
            true => self.batch_get(&keys).await?,
            false => self.batch_get_eventually_consistent(&keys).await?,
        };
        let mut addresses = MailAddresses::default();
        for (session, mail) in mails {
            let key = mail.message_key.clone();
            if items.get(ItemKey::Suppression(&mail.to)).is_some() {
                addresses.suppressed.insert(key.clone());
            }
            match find_address(*session, mail, &items) {
                Ok(Some(address)) => drop(addresses.found.insert(key, address)),
                Ok(None) => {}
                Err(_) => drop(addresses.unreadable.insert(key)),
            }
        }
        Ok(addresses)
    }
}

/// The items that may have the address of a mail.
fn address_keys<'a>(session: Option<&'a Session>, mail: &'a Mail) -> Vec<ItemKey<'a>> {
    let mut keys = Vec::new();
    match session.map(|session| (session, &session.audience)) {
        Some((session, Audience::Invitees { list, .. })) => {
            keys.push(ItemKey::InviteeByDigest { session: &session.id, list: *list, to: &mail.to })
        }
        Some((_, Audience::Course { id, .. })) => {
            keys.extend(mail.users().map(|user| ItemKey::Enrollment { user, course: id }));
        }
        _ => {}
    }
    keys.extend(mail.users().map(ItemKey::User));
    if mail.kind.is_withdrawal() {
        keys.push(ItemKey::MailAddress(&mail.to));
    }
    keys
}

/// Returns the digest under which the erasure of an entry's person is stored.
fn erasure_subject(key: &ItemKey<'_>) -> Option<String> {
    match key {
        ItemKey::User(user) | ItemKey::Enrollment { user, .. } => Some(person_digest(user)),
        ItemKey::InviteeByDigest { to, .. } => Some(erased_address(to)),
        _ => None,
    }
}

/// Returns whether an entry may be about a person without an address.
fn may_lack_address(key: &ItemKey<'_>) -> bool {
    matches!(key, ItemKey::User(_) | ItemKey::Enrollment { .. })
}

/// Returns the address of a mail with the first name that is known. An error means that an unreadable item may have it.
fn find_address(
    session: Option<&Session>,
    mail: &Mail,
    items: &BatchItems,
) -> Result<Option<MailAddress>, StoreError> {
    let (mut found, mut failed): (Option<MailAddress>, _) = (None, None);
    for key in address_keys(session, mail) {
        let erasure = erasure_subject(&key).and_then(|it| items.get(ItemKey::Erasure(&it)));
        let erasure = erasure.map(decode::<StoredErasure>).transpose()?;
        let erased_at = erasure.map(|erasure| erasure.erased_at);
        match items.get(key).map(decode::<StoredAddresses>).transpose() {
            Ok(Some(stored)) if stored.email.is_none() && !may_lack_address(&key) => {
                failed =
                    Some(unreadable(format!("{} / {}", key.pk(), key.sk()), "it has no address"));
            }
            Ok(Some(stored)) if !stored.is_erased(erased_at) => {
                let Some(address) = stored.find(&mail.to) else { continue };
                let name = found.take().and_then(|found| found.name).or(address.name);
                found = Some(MailAddress { email: address.email, name });
            }
            Ok(_) => {}
            Err(error) => failed = Some(error),
        }
    }
    match (found, failed) {
        (Some(address), _) => {
            let name = address.name.filter(|_| !mail.address_changed);
            Ok(Some(MailAddress { name, ..address }))
        }
        (None, Some(error)) => Err(error),
        (None, None) => Ok(None),
    }
}
