//! Mails that came back: bounces and complaints, as the mail service reports them.
//!
//! Only a mail service that has received the mail reports on it. So a report proves that the mail was sent.

use jiff::{SignedDuration, Timestamp};

use super::id::SessionId;
use super::mailing::{DeliveryStatus, MailKind, MessageKey};
use super::suppression::SuppressionReason;
use super::text::Email;

/// The names of the tags by which a report refers to a mail. They contain ids and digests, and no address.
pub const MESSAGE_TAG: &str = "message";
pub const SESSION_TAG: &str = "session";
pub const KIND_TAG: &str = "kind";

/// The shortest time between two notifications of a trainer about returned mails of one session. A mailing to a whole
/// course can return from many addresses within minutes.
const NOTIFICATION_INTERVAL: SignedDuration = SignedDuration::from_hours(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReturnKind {
    /// The address does not exist, or refuses mails for good.
    HardBounce,
    /// The mail was not delivered for a reason that may pass, such as a full mailbox.
    SoftBounce,
    /// The recipient has marked the mail as spam.
    Complaint,
}

impl ReturnKind {
    /// Returns the reason for which the address gets no further mails, if any.
    pub fn suppression(self) -> Option<SuppressionReason> {
        match self {
            Self::HardBounce => Some(SuppressionReason::Bounce),
            Self::SoftBounce => None,
            Self::Complaint => Some(SuppressionReason::Complaint),
        }
    }

    fn status(self) -> DeliveryStatus {
        match self {
            Self::HardBounce | Self::SoftBounce => DeliveryStatus::Bounced,
            Self::Complaint => DeliveryStatus::Complained,
        }
    }

    /// Returns the new status of a mail, or `None` if the report changes nothing. Reports arrive in any order, and a
    /// complaint outranks a bounce.
    pub fn status_after(self, previous: DeliveryStatus) -> Option<DeliveryStatus> {
        match (previous, self.status()) {
            (DeliveryStatus::Complained, _)
            | (DeliveryStatus::Bounced, DeliveryStatus::Bounced) => None,
            (_, status) => Some(status),
        }
    }
}

/// The mail that came back, from its tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnedMail {
    pub message_key: MessageKey,
    /// `None` for a mail about no session.
    pub session: Option<SessionId>,
    /// `None` if only a newer version has the kind.
    pub kind: Option<MailKind>,
}

/// A report of the mail service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailReturn {
    pub kind: ReturnKind,
    pub mail: ReturnedMail,
    /// The address to which the mail was sent.
    pub to: Email,
    /// The service's words for the reason, such as `permanent_general`.
    pub detail: String,
    pub sent_at: Timestamp,
}

impl MailReturn {
    /// Returns whether the trainer is notified. A soft bounce may be an automatic reply, and is only shown in the timeline.
    pub fn concerns_trainer(&self) -> bool {
        let is_about_returns = self.mail.kind == Some(MailKind::MailReturned);
        self.kind.suppression().is_some() && !is_about_returns
    }
}

/// Returns the time of the next notification of a trainer, after one at `last`. `None` if one is already ahead, which then
/// covers this return, too.
pub fn next_notification(last: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
    let Some(last) = last else { return Some(now) };
    let next = last.saturating_add(NOTIFICATION_INTERVAL).unwrap_or(now);
    (last <= now).then(|| next.max(now))
}

#[cfg(test)]
mod tests {
    use super::DeliveryStatus::*;
    use super::ReturnKind::*;
    use super::*;

    #[test]
    fn complaint_outranks_a_bounce_and_repetitions_change_nothing() {
        let cases = [
            (HardBounce, Sent, Some(Bounced)),
            (SoftBounce, Sent, Some(Bounced)),
            (Complaint, Sent, Some(Complained)),
            (HardBounce, Retrying, Some(Bounced)),
            (HardBounce, Bounced, None),
            (SoftBounce, Bounced, None),
            (Complaint, Bounced, Some(Complained)),
            (HardBounce, Complained, None),
            (Complaint, Complained, None),
        ];
        for (kind, previous, expected) in cases {
            assert_eq!(kind.status_after(previous), expected, "{kind:?} after {previous:?}");
        }
    }

    #[test]
    fn trainer_is_notified_once_per_hour() {
        let at = |minutes| Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minutes);
        let cases = [
            (None, 0, Some(0)),
            (Some(0), 5, Some(60)),
            // The notification at minute 60 is still ahead.
            (Some(60), 20, None),
            (Some(60), 70, Some(120)),
            (Some(60), 500, Some(500)),
        ];
        for (last, now, expected) in cases {
            assert_eq!(
                next_notification(last.map(at), at(now)),
                expected.map(at),
                "{last:?} {now}"
            );
        }
    }
}
