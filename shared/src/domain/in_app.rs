//! In-app notices: what a person is told on the platform's own pages, beside a mail or instead of one.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::domain_event::DomainEvent;
use super::id::{SessionId, UserId};
use super::session::Session;
use super::text::Title;
use super::time::whole_milli;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotificationKind {
    Scheduled,
    Updated,
    Cancelled,
    /// To somebody who is no longer invited: for them the class is cancelled, for the others it is not.
    #[serde(rename = "uninvited")]
    Removed,
    Reminder,
    Live,
    RecordingReady,
    /// To a trainer whose Zoom account must be connected again.
    ReconnectZoom,
    /// To a trainer whose meeting was deleted at Zoom.
    MeetingDeleted,
}

impl NotificationKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Updated => "updated",
            Self::Cancelled => "cancelled",
            Self::Removed => "uninvited",
            Self::Reminder => "reminder",
            Self::Live => "live",
            Self::RecordingReady => "recording_ready",
            Self::ReconnectZoom => "reconnect_zoom",
            Self::MeetingDeleted => "meeting_deleted",
        }
    }
}

/// The class that a notice is about, as it stood when the notice was made: a class that moves later has another notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotificationSubject {
    pub session: SessionId,
    pub title: Title,
    pub starts_at: Timestamp,
}

impl NotificationSubject {
    pub fn of(session: &Session) -> Self {
        Self {
            session: session.id.clone(),
            title: session.title.clone(),
            starts_at: session.starts_at,
        }
    }
}

/// One thing that one person is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InAppNotification {
    pub user: UserId,
    pub id: NotificationId,
    pub kind: NotificationKind,
    /// Absent where no class in particular is meant.
    pub about: Option<NotificationSubject>,
}

impl InAppNotification {
    /// The notice that an announcement makes to `user`. Made again it is the same one.
    pub fn of(
        announcement: &DomainEvent,
        kind: NotificationKind,
        user: UserId,
        about: Option<NotificationSubject>,
    ) -> Self {
        Self { user, id: NotificationId::of(announcement, kind), kind, about }
    }
}

/// A notice among those of one person: when it came to be, and what it follows from. It leads to the notice by itself,
/// and only together with whose it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NotificationId {
    pub at: Timestamp,
    digest: String,
}

impl NotificationId {
    const PREFIX: &str = "ntf_";
    const DIGITS: usize = 16;

    fn of(announcement: &DomainEvent, kind: NotificationKind) -> Self {
        let cause = format!("{}\n{}", announcement.key(), kind.as_str());
        let digest =
            data_encoding::BASE32_NOPAD.encode(&Sha256::digest(cause)).to_ascii_lowercase();
        Self { at: whole_milli(announcement.at), digest: digest[..Self::DIGITS].to_owned() }
    }

    pub fn new(at: Timestamp, digest: &str) -> Option<Self> {
        let ours = digest.len() == Self::DIGITS
            && digest.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7'));
        (ours && at == whole_milli(at)).then(|| Self { at, digest: digest.to_owned() })
    }

    /// From its text form, `ntf_`, the time in milliseconds and the digest.
    pub fn parse(text: &str) -> Option<Self> {
        let (millis, digest) = text.strip_prefix(Self::PREFIX)?.split_once('_')?;
        let id = Self::new(Timestamp::from_millisecond(millis.parse().ok()?).ok()?, digest)?;
        // One notice has one id: no sign, no leading zeros.
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
    use crate::domain::domain_event::DomainEventKind;

    fn announcement(version: u64) -> DomainEvent {
        DomainEvent {
            at: "2026-11-21T09:00:00.1234567Z".parse().unwrap(),
            kind: DomainEventKind::ReauthRequired { trainer: UserId::parse("ada").unwrap(), version },
        }
    }

    #[test]
    fn an_id_reads_back_and_nothing_else_does() {
        let id = NotificationId::of(&announcement(1), NotificationKind::ReconnectZoom);
        assert_eq!(NotificationId::parse(&id.to_string()), Some(id.clone()));
        let digest = id.digest();
        for bad in [
            String::new(),
            "ntf_".to_owned(),
            format!("ntf_{digest}"),
            format!("ntf_+1_{digest}"),
            format!("ntf_01_{digest}"),
            format!("ntf_99999999999999999_{digest}"),
            format!("ntf_1_{}", digest.to_uppercase()),
            format!("ntf_1_{}#", &digest[1..]),
        ] {
            assert_eq!(NotificationId::parse(&bad), None, "{bad}");
        }
    }

    #[test]
    fn the_same_announcement_makes_the_same_notice_and_another_makes_another() {
        let id = |version, kind| NotificationId::of(&announcement(version), kind);
        assert_eq!(id(1, NotificationKind::ReconnectZoom), id(1, NotificationKind::ReconnectZoom));
        assert_ne!(id(1, NotificationKind::ReconnectZoom), id(2, NotificationKind::ReconnectZoom));
        assert_ne!(id(1, NotificationKind::Updated), id(1, NotificationKind::Removed));
    }
}
