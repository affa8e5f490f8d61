//! Mailing: one mail to one person, from the announcement that causes it to what became of it.
//!
//! An announcement is worked out into [`Mail`]s, one for each person it is told to. Each has an [`EffectId`] made of its
//! cause, its kind and its address: however often an announcement is worked out, or a message about a mail arrives, it
//! is the same mail. Whoever is about to send it takes a [`Claim`] first; what came of it is a [`Fate`].

pub mod claim;
pub mod recipient_state;
pub mod recipients;
pub mod relevance;

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use claim::MailClaim;
pub use recipient_state::{PastDelivery, RecipientState};
pub use recipients::Recipient;

use super::id::{SessionId, UserId};
use super::text::{Email, PersonName};

/// What a mail is about; also the value of its `X-Live-Class-Kind` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MailKind {
    Scheduled,
    Updated,
    Cancelled,
    ReminderDayBefore,
    ReminderHourBefore,
    /// The invitation once more, as the class now stands.
    Resent,
    /// To somebody who is no longer invited: for them the class is cancelled, for the others it is not.
    #[serde(rename = "uninvited")]
    Removed,
    /// To a trainer whose Zoom account must be connected again.
    ReauthRequired,
    /// To a trainer whose meeting was deleted at Zoom.
    MeetingDeleted,
}

impl MailKind {
    pub const ALL: [Self; 9] = [
        Self::Scheduled,
        Self::Updated,
        Self::Cancelled,
        Self::ReminderDayBefore,
        Self::ReminderHourBefore,
        Self::Resent,
        Self::Removed,
        Self::ReauthRequired,
        Self::MeetingDeleted,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Updated => "updated",
            Self::Cancelled => "cancelled",
            Self::ReminderDayBefore => "reminder_day_before",
            Self::ReminderHourBefore => "reminder_hour_before",
            Self::Resent => "resent",
            Self::Removed => "uninvited",
            Self::ReauthRequired => "reauth_required",
            Self::MeetingDeleted => "meeting_deleted",
        }
    }
}

/// What is known of a mail, at each moment one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryStatus {
    /// Waiting for its turn.
    Queued,
    /// The mail service took it.
    Sent,
    /// It could not be sent and is tried again.
    Retrying,
    /// The mail service refused it for good.
    Failed,
    /// It was tried as often as mails are, and lies in the dead-letter queue.
    Dead,
    /// It had become void before it was sent.
    Dropped,
}

impl DeliveryStatus {
    pub const ALL: [Self; 6] =
        [Self::Queued, Self::Sent, Self::Retrying, Self::Failed, Self::Dead, Self::Dropped];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::Retrying => "retrying",
            Self::Failed => "failed",
            Self::Dead => "dead",
            Self::Dropped => "dropped",
        }
    }
}

/// Whose affair a mail is: where its claim and its fate are kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MailSubject {
    Session(SessionId),
    /// About no class, to a trainer: [`MailKind::ReauthRequired`].
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

/// The first half of the SHA-256 of parts that no two different lists of share, in hex.
fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    data_encoding::HEXLOWER.encode(&hash.finalize()[..16])
}

/// One mail of all: what causes it, its kind and its address, as a digest of 32 hex digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MessageKey(String);

impl MessageKey {
    /// `cause` is the announcement's key.
    pub fn of(cause: &str, kind: MailKind, to: &Email) -> Self {
        Self(digest(&["mail", cause, kind.as_str(), to.as_str()]))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Enough of it to find a fate by among those of one class.
    pub fn short(&self) -> &str {
        self.0.get(..16).unwrap_or(&self.0)
    }
}

/// By what a fate names its recipient: a digest of class and address. It names nobody by itself; only who still has the
/// person's entry, in the course or in the list, can tell whose it is. So erasing a person leaves no fate that does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecipientRef(String);

impl RecipientRef {
    pub fn of(about: &MailSubject, to: &Email) -> Self {
        let mut text = digest(&["recipient", about.as_str(), to.as_str()]);
        text.truncate(20);
        Self(text)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One mail to be sent: what a message of the queue says. Written by this version and read by later ones, which is why
/// everything that is not needed always has a default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    pub message_key: MessageKey,
    pub kind: MailKind,
    pub subject: MailSubject,
    pub to: Email,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<PersonName>,
    /// The user of the platform that the address belongs to, where one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// The start that a reminder is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<Timestamp>,
    /// Why the class was cancelled, in its trainer's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The class's version that it tells of. What is sent shows that version or a later one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// Whether it goes to one who came to the class's course, and who may be told of the class otherwise, too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub to_newcomer: bool,
    /// How often it came back from the dead-letter queue.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub round: u32,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Mail {
    pub fn recipient(&self) -> RecipientRef {
        RecipientRef::of(&self.subject, &self.to)
    }

    /// Its `Message-ID`, without the angle brackets.
    pub fn message_id(&self) -> String {
        format!("{}@live-classes", self.message_key.as_str())
    }
}

/// What became of a mail at some moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryRecord {
    pub effect: MessageKey,
    pub recipient: RecipientRef,
    pub kind: MailKind,
    pub state: DeliveryStatus,
    /// The mail service's own id of a mail that was sent, the code of an error, or why it was dropped.
    pub note: Option<String>,
    /// The version of the class that it showed, where it was sent.
    pub shows: Option<u64>,
    /// Whether it was dropped after a try of which nobody knows what came of it.
    pub in_doubt: bool,
}

impl DeliveryRecord {
    pub fn of(mail: &Mail, state: DeliveryStatus, note: Option<String>) -> Self {
        Self {
            effect: mail.message_key.clone(),
            recipient: mail.recipient(),
            kind: mail.kind,
            state,
            note,
            shows: None,
            in_doubt: false,
        }
    }

    pub fn happened(&self) -> PastDelivery<'_> {
        PastDelivery {
            mail: self.effect.short(),
            kind: self.kind,
            state: self.state,
            shows: self.shows,
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
    fn a_mail_is_the_same_for_the_same_cause_kind_and_address_and_for_nothing_else() {
        let ada = Email::parse("ada@example.test").unwrap();
        let bob = Email::parse("bob@example.test").unwrap();
        let id = MessageKey::of("ses_1#1", MailKind::Scheduled, &ada);
        assert_eq!(id, MessageKey::of("ses_1#1", MailKind::Scheduled, &ada));
        let others = [
            MessageKey::of("ses_1#2", MailKind::Scheduled, &ada),
            MessageKey::of("ses_1#1", MailKind::Updated, &ada),
            MessageKey::of("ses_1#1", MailKind::Scheduled, &bob),
        ];
        assert!(others.iter().all(|other| *other != id && other.short() != id.short()));
    }

    #[test]
    fn a_message_of_today_reads_without_what_it_may_lack() {
        let text = r#"{"effect":"00ff","kind":"cancelled","about":{"session":"ses_aaaaaaaaaaaaaaaaaaaaaaaaaa"},
            "to":"ada@example.test","something_new":1}"#;
        let mail: Mail = serde_json::from_str(text).unwrap();
        assert_eq!((mail.round, mail.user.as_ref(), mail.reason.as_ref()), (0, None, None));
        assert!(!mail.recipient().as_str().contains("ada"));
    }
}
