//! In-app notifications, shown on the platform's pages in addition to mails or instead of them.

use std::fmt;

use jiff::Timestamp;

use super::digest::Digest;
use super::domain_event::DomainEvent;
use super::id::{SessionId, UserId};
pub use super::notification_kind::NotificationKind;
use super::session::Session;
use super::text::Title;
use super::time::whole_milli;

/// The session of a notification, with its title and start at the time of creation. A later change creates another
/// notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotificationSubject {
    pub session: SessionId,
    pub title: Title,
    pub starts_at: Timestamp,
}

impl NotificationSubject {
    pub fn from_session(session: &Session) -> Self {
        Self {
            session: session.id.clone(),
            title: session.details.title.clone(),
            starts_at: session.details.starts_at,
        }
    }
}

/// A notification of one person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InAppNotification {
    pub user: UserId,
    pub id: NotificationId,
    pub kind: NotificationKind,
    /// `None` if the notification is about no particular session.
    pub subject: Option<NotificationSubject>,
}

impl InAppNotification {
    /// Returns the notification of `user` for a domain event. The id is the same for every repetition.
    pub fn new(
        event: &DomainEvent,
        kind: NotificationKind,
        user: UserId,
        subject: Option<NotificationSubject>,
    ) -> Self {
        Self { user, id: NotificationId::derive(event, kind), kind, subject }
    }
}

/// The id of a notification among those of one person: its time and a digest of its cause. Together with the user it is
/// the key of the notification.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NotificationId {
    pub at: Timestamp,
    digest: String,
}

impl NotificationId {
    const PREFIX: &str = "ntf_";
    const DIGITS: usize = 16;

    fn derive(event: &DomainEvent, kind: NotificationKind) -> Self {
        let cause = format!("{}\n{}", event.key(), kind.as_str());
        // Ten bytes have 16 digits of five bits.
        let bytes = Digest::of_value(cause).first::<10>();
        let digest = data_encoding::BASE32_NOPAD.encode(&bytes).to_ascii_lowercase();
        Self { at: whole_milli(event.at), digest }
    }

    pub fn new(at: Timestamp, digest: &str) -> Option<Self> {
        let is_valid = digest.len() == Self::DIGITS
            && digest.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7'));
        (is_valid && at == whole_milli(at)).then(|| Self { at, digest: digest.to_owned() })
    }

    /// Parses the text form: `ntf_`, the time in milliseconds and the digest.
    pub fn parse(text: &str) -> Option<Self> {
        let (millis, digest) = text.strip_prefix(Self::PREFIX)?.split_once('_')?;
        let id = Self::new(Timestamp::from_millisecond(millis.parse().ok()?).ok()?, digest)?;
        // Rejects signs and leading zeros, so each notification has exactly one id.
        (id.to_string() == text).then_some(id)
    }

    pub fn digest(&self) -> &str {
        &self.digest
    }
}

impl fmt::Display for NotificationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}_{}", Self::PREFIX, self.at.as_millisecond(), self.digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::domain_event::{DomainEventKind, EventNonce};

    fn event(version: u64) -> DomainEvent {
        DomainEvent {
            at: "2026-11-21T09:00:00.1234567Z".parse().unwrap(),
            kind: DomainEventKind::ReauthRequired {
                trainer: UserId::parse("ada").unwrap(),
                connection_version: 1,
                nonce: EventNonce(version),
            },
        }
    }

    #[test]
    fn only_the_canonical_id_is_parsed() {
        let id = NotificationId::derive(&event(1), NotificationKind::LIVE);
        assert_eq!(NotificationId::parse(&id.to_string()), Some(id.clone()));
        let digest = id.digest();
        for invalid in [
            String::new(),
            "ntf_".to_owned(),
            format!("ntf_{digest}"),
            format!("ntf_+1_{digest}"),
            format!("ntf_01_{digest}"),
            format!("ntf_99999999999999999_{digest}"),
            format!("ntf_1_{}", digest.to_uppercase()),
            format!("ntf_1_{}#", &digest[1..]),
        ] {
            assert_eq!(NotificationId::parse(&invalid), None, "{invalid}");
        }
    }

    #[test]
    fn notification_id_depends_on_event_and_kind() {
        let id = |version, kind| NotificationId::derive(&event(version), kind);
        assert_eq!(id(1, NotificationKind::LIVE), id(1, NotificationKind::LIVE));
        assert_ne!(id(1, NotificationKind::LIVE), id(2, NotificationKind::LIVE));
        assert_ne!(id(1, NotificationKind::LIVE), id(1, NotificationKind::RECORDING_READY));
    }
}
