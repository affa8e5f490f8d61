//! Mails, from the domain event that causes them to their delivery.
//!
//! The fan-out of a domain event produces one [`Mail`] per recipient. Its [`MessageKey`] is derived from cause, kind
//! and address, so a repeated fan-out or a redelivered message refers to the same mail. A mail is sent only under a
//! [`MailClaim`], and the outcome is stored as a [`DeliveryRecord`].

pub mod calendar_entry;
pub mod claim;
pub mod recipient_state;
pub mod recipients;
pub mod relevance;
pub mod urgency;

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use calendar_entry::{EntryDigest, SentEntry};
pub use claim::MailClaim;
pub use recipient_state::{PastDelivery, RecipientState};
pub use recipients::Recipient;
pub use urgency::Urgency;

use super::digest::Digest;
use super::id::{SessionId, UserId};
use super::link_generation::LinkGeneration;
pub use super::notification_kind::MailKind;
use super::text::Email;

/// The current status of a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryStatus {
    /// Waiting in the queue.
    Queued,
    /// Accepted by the mail service.
    Sent,
    /// The last attempt failed and another one follows.
    Retrying,
    /// Permanently rejected by the mail service.
    Failed,
    /// In the dead-letter queue after the last attempt.
    Dead,
    /// Skipped because it was no longer relevant, or because the address is suppressed.
    Dropped,
    /// Accepted by the mail service, and not delivered.
    Bounced,
    /// Delivered, and marked as spam by the recipient.
    Complained,
    /// A status that only a newer version has. It is never written.
    #[serde(other)]
    Unknown,
}

impl DeliveryStatus {
    pub const ALL: [Self; 8] = [
        Self::Queued,
        Self::Sent,
        Self::Retrying,
        Self::Failed,
        Self::Dead,
        Self::Dropped,
        Self::Bounced,
        Self::Complained,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::Retrying => "retrying",
            Self::Failed => "failed",
            Self::Dead => "dead",
            Self::Dropped => "dropped",
            Self::Bounced => "bounced",
            Self::Complained => "complained",
            Self::Unknown => "unknown",
        }
    }
}

/// The session or trainer that a mail is about. Determines where its claim and delivery records are stored.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MailSubject {
    Session(SessionId),
    /// For [`MailKind::ReauthRequired`], which is about no session.
    Trainer(UserId),
}

impl MailSubject {
    pub fn session(&self) -> Option<&SessionId> {
        match self {
            Self::Session(id) => Some(id),
            Self::Trainer(_) => None,
        }
    }

    fn as_str(&self) -> &str {
        match self {
            Self::Session(id) => id.as_str(),
            Self::Trainer(id) => id.as_str(),
        }
    }
}

/// Hex digits of a message key: 128 bits, because equal keys suppress a mail.
const MESSAGE_KEY_DIGITS: usize = 32;
/// Hex digits of a pseudonym: 80 bits distinguish the people of a session.
const PSEUDONYM_DIGITS: usize = 20;

/// The identity of a mail: a digest of its cause, kind and address with 32 hex digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MessageKey(String);

impl MessageKey {
    /// `cause` is the key of the domain event.
    pub fn new(cause: &str, kind: MailKind, to: &Email) -> Self {
        let digest = Digest::new("mail", [cause, kind.as_str(), to.as_str()]);
        Self(digest.hex(MESSAGE_KEY_DIGITS))
    }

    /// Parses a key in a tag of a mail.
    pub fn parse(text: &str) -> Option<Self> {
        let is_digit = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let is_key = text.len() == MESSAGE_KEY_DIGITS && text.bytes().all(is_digit);
        is_key.then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns a prefix that is unique among the delivery records of a session.
    pub fn short(&self) -> &str {
        self.0.get(..16).unwrap_or(&self.0)
    }
}

/// A pseudonym of a recipient in delivery records: a digest of subject and address. It can be matched only with the
/// person's enrollment or invitee entry, so erasing that entry anonymizes the delivery records.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecipientRef(String);

impl RecipientRef {
    pub fn new(subject: &MailSubject, to: &Email) -> Self {
        Self(Digest::new("recipient", [subject.as_str(), to.as_str()]).hex(PSEUDONYM_DIGITS))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A digest of an address. A queued mail has it instead of the address, so that erasing a person needs no look at queues.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AddressDigest(String);

impl AddressDigest {
    pub fn new(email: &Email) -> Self {
        Self(Digest::of_value(email.as_str()).to_hex())
    }

    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(data_encoding::HEXLOWER.encode(&bytes))
    }

    /// Parses a digest in its text form.
    pub fn parse(text: &str) -> Option<Self> {
        let digest = Self::from_bytes(Self(text.to_owned()).to_bytes()?);
        (digest.0 == text).then_some(digest)
    }

    /// Returns the bytes of the digest. `None` if it is malformed.
    pub fn to_bytes(&self) -> Option<[u8; 32]> {
        data_encoding::HEXLOWER.decode(self.0.as_bytes()).ok()?.try_into().ok()
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A person in the order of a fan-out: a digest of subject and user id, or of the address of a person without one.
/// It stays the same if the address of a user changes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PersonRef(String);

impl PersonRef {
    pub fn of_user(subject: &MailSubject, user: &UserId) -> Self {
        Self::new(&Digest::new("user", [subject.as_str(), user.as_str()]))
    }

    /// `email` is the address of a person who is no user.
    pub fn of_address(subject: &MailSubject, email: &Email) -> Self {
        Self::new(&Digest::new("address", [subject.as_str(), email.as_str()]))
    }

    fn new(person: &Digest) -> Self {
        // Cursors of earlier versions are hex digits. All of them sort before this prefix, so that such a fan-out starts
        // again.
        Self(format!("p{}", person.hex(PSEUDONYM_DIGITS)))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A mail to be sent, as stored in a queue message. Optional fields have defaults, because later versions must be able
/// to read it. The address and the name are read when it is sent (`store::mail_addresses`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    pub message_key: MessageKey,
    pub kind: MailKind,
    pub subject: MailSubject,
    pub to: AddressDigest,
    pub recipient: RecipientRef,
    /// The platform user with this address, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// Further users with this address. The mail is relevant as long as one of all users is invited.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_users: Vec<UserId>,
    /// The start of the session for which a reminder was created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<Timestamp>,
    /// The trainer's reason for the change or the cancellation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The version of the session that caused the mail. The mail shows this version or a later one. For
    /// [`MailKind::ReauthRequired`] it is the version of the Zoom connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// The generation of the guest link that a resend has begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_generation: Option<LinkGeneration>,
    /// Whether it goes to a newly enrolled student, who may get another mail about the same version.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub to_new_student: bool,
    /// Whether it withdraws an entry because the recipient's mails go to another address now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub address_changed: bool,
    /// How often the mail was moved back from the dead-letter queue.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub redrives: u32,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Mail {
    /// Returns the users with the address of the mail.
    pub fn users(&self) -> impl Iterator<Item = &UserId> {
        self.user.iter().chain(&self.other_users)
    }

    /// Returns the `Message-ID` without angle brackets.
    pub fn message_id(&self) -> String {
        format!("{}@live-classes", self.message_key.as_str())
    }
}

/// The delivery status of a mail at some time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryRecord {
    pub message_key: MessageKey,
    pub recipient: RecipientRef,
    pub kind: MailKind,
    pub status: DeliveryStatus,
    /// The mail service's id of a sent mail, an error code, or the skip reason.
    pub detail: Option<String>,
    /// The version of the session in a sent mail.
    pub sent_version: Option<u64>,
    /// The calendar entry in a mail that was sent, or that may have been.
    pub entry: Option<SentEntry>,
    /// Whether the mail was dropped after an attempt with an unknown outcome.
    pub in_doubt: bool,
}

impl DeliveryRecord {
    pub fn new(mail: &Mail, status: DeliveryStatus, detail: Option<String>) -> Self {
        Self {
            message_key: mail.message_key.clone(),
            recipient: mail.recipient.clone(),
            kind: mail.kind,
            status,
            detail,
            sent_version: None,
            entry: None,
            in_doubt: false,
        }
    }

    pub fn as_past_delivery(&self) -> PastDelivery<'_> {
        PastDelivery {
            short_key: self.message_key.short(),
            kind: self.kind,
            status: self.status,
            sent_version: self.sent_version,
            entry: self.entry.clone(),
            in_doubt: self.in_doubt,
        }
    }
}

impl fmt::Display for MessageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_key_depends_on_cause_kind_and_address() {
        let ada = Email::parse("ada@example.test").unwrap();
        let bob = Email::parse("bob@example.test").unwrap();
        let id = MessageKey::new("ses_1#1", MailKind::Scheduled, &ada);
        assert_eq!(id, MessageKey::new("ses_1#1", MailKind::Scheduled, &ada));
        let others = [
            MessageKey::new("ses_1#2", MailKind::Scheduled, &ada),
            MessageKey::new("ses_1#1", MailKind::Updated, &ada),
            MessageKey::new("ses_1#1", MailKind::Scheduled, &bob),
        ];
        assert!(others.iter().all(|other| *other != id && other.short() != id.short()));
    }

    #[test]
    fn mail_is_parsed_without_optional_fields() {
        let text = r#"{"message_key":"00ff","kind":"cancelled","subject":{"session":"ses_aaaaaaaaaaaaaaaaaaaaaaaaaa"},
            "to":"00ff","recipient":"00aa","something_new":1}"#;
        let mail: Mail = serde_json::from_str(text).unwrap();
        assert_eq!((mail.redrives, mail.user.as_ref(), mail.reason.as_ref()), (0, None, None));
    }
}
