//! What a recipient has been sent about a session, computed from their delivery records.
//!
//! A mail shows the session's version at the time of sending. A recipient whose invitation was sent after an edit needs
//! no mail about that edit, and a recipient who was never sent an invitation needs no cancellation.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{DeliveryStatus, EntryDigest, MailKind, SentEntry};
use crate::domain::notification_kind::CalendarMethod;

/// The part of a delivery record that determines the recipient state.
#[derive(Clone, Debug)]
pub struct PastDelivery<'a> {
    /// The short message key of the mail.
    pub short_key: &'a str,
    pub kind: MailKind,
    pub status: DeliveryStatus,
    /// The version of the session in a sent mail.
    pub sent_version: Option<u64>,
    /// The calendar entry in a mail that was sent, or that may have been.
    pub entry: Option<SentEntry>,
    /// Whether an earlier attempt had an unknown outcome.
    pub in_doubt: bool,
}

/// The mails that one recipient was sent about one session. Stored with short names, because a snapshot has thousands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecipientState {
    /// The version of the session in their latest calendar entry.
    #[serde(default, rename = "v", skip_serializing_if = "Option::is_none")]
    sent_version: Option<u64>,
    /// Whether they have, or may have, a calendar entry.
    #[serde(default, rename = "h", skip_serializing_if = "is_false")]
    may_have_entry: bool,
    /// Whether they were sent a mail without a calendar entry, such as a reminder.
    #[serde(default, rename = "m", skip_serializing_if = "is_false")]
    was_mailed: bool,
    /// The latest entry that was sent or may have been, and whether it certainly was. It outlives a withdrawal, because
    /// the next entry needs a higher sequence.
    #[serde(default, rename = "e", skip_serializing_if = "Option::is_none")]
    last_entry: Option<(SentEntry, bool)>,
    /// Whether an invitation was dropped before it was sent.
    #[serde(default, rename = "d", skip_serializing_if = "is_false")]
    has_dropped_invitation: bool,
    /// Mails with a calendar entry that are still to be sent, by short message key.
    #[serde(default, rename = "p", skip_serializing_if = "BTreeMap::is_empty")]
    pending_invitations: BTreeMap<String, MailKind>,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

impl RecipientState {
    pub fn apply(&mut self, delivery: &PastDelivery<'_>) {
        if matches!(delivery.status, DeliveryStatus::Bounced | DeliveryStatus::Complained) {
            return self.apply_return(delivery.short_key);
        }
        let is_sent = delivery.status == DeliveryStatus::Sent;
        // A status of a newer version may mean that the mail was sent.
        let is_unknown = delivery.status == DeliveryStatus::Unknown;
        if let Some(entry) = &delivery.entry
            && self.last_entry.as_ref().is_none_or(|(last, _)| last.sequence <= entry.sequence)
        {
            self.last_entry = Some((entry.clone(), is_sent));
        }
        match delivery.kind.calendar_method() {
            Some(CalendarMethod::Request) => self.apply_invitation(delivery),
            Some(CalendarMethod::Cancel) if is_sent => {
                let previous = std::mem::take(self);
                self.pending_invitations = previous.pending_invitations;
                self.last_entry = previous.last_entry;
            }
            Some(CalendarMethod::Cancel) if delivery.in_doubt || is_unknown => {
                self.doubt_withdrawal()
            }
            Some(CalendarMethod::Cancel) => {}
            None => self.was_mailed |= is_sent || is_unknown,
        }
    }

    /// Takes into account a mail that came back. The record of its sending determines the state, except if the run that
    /// sent it could not store one.
    fn apply_return(&mut self, short_key: &str) {
        if self.pending_invitations.remove(short_key).is_some() {
            self.may_have_entry = true;
        }
    }

    /// Takes into account a mail of a kind that only a newer version has. It may have had a calendar entry.
    pub fn apply_unknown(&mut self, short_key: &str) {
        self.pending_invitations.remove(short_key);
        self.may_have_entry = true;
    }

    fn apply_invitation(&mut self, delivery: &PastDelivery<'_>) {
        if matches!(delivery.status, DeliveryStatus::Queued | DeliveryStatus::Retrying) {
            self.pending_invitations.insert(delivery.short_key.to_owned(), delivery.kind);
            return;
        }
        self.pending_invitations.remove(delivery.short_key);
        match delivery.status {
            DeliveryStatus::Sent => {
                self.may_have_entry = true;
                // Older delivery records have no version.
                self.sent_version = self.sent_version.max(Some(delivery.sent_version.unwrap_or(0)));
            }
            DeliveryStatus::Dropped if !delivery.in_doubt => self.has_dropped_invitation = true,
            _ => self.may_have_entry = true,
        }
    }

    /// Takes into account that an attempt with an unknown outcome may have sent another entry.
    pub fn doubt_entry(&mut self) {
        if let Some((_, is_sent)) = &mut self.last_entry {
            *is_sent = false;
        }
    }

    /// Takes into account that an entry may have been withdrawn, so that the next one has a higher sequence.
    fn doubt_withdrawal(&mut self) {
        if let Some((entry, is_sent)) = &mut self.last_entry
            && entry.content.take().is_some()
        {
            entry.sequence += 1;
            *is_sent = false;
        }
    }

    /// Whether they were sent this version of the session or a later one.
    pub fn has_version(&self, version: u64) -> bool {
        self.sent_version.is_some_and(|entry| entry >= version)
    }

    /// Whether their calendar certainly has exactly this entry.
    pub fn has_entry(&self, content: &EntryDigest) -> bool {
        let last = self.last_entry.as_ref().filter(|(_, is_sent)| *is_sent);
        last.is_some_and(|(entry, _)| entry.content.as_ref() == Some(content))
    }

    /// Returns the entry that is sent to them next. `content` is `None` if it withdraws their entry.
    pub fn next_entry(&self, session_sequence: u32, content: Option<EntryDigest>) -> SentEntry {
        let last = self.last_entry.as_ref().map(|(entry, _)| entry);
        SentEntry::after(last, session_sequence, content)
    }

    /// Whether their calendar has an entry, may have one, or may get one from a mail that is still to be sent.
    pub fn may_hold_entry(&self) -> bool {
        self.may_have_entry || !self.pending_invitations.is_empty()
    }

    /// Whether a mail has informed them of the session, or may have.
    pub fn may_know_session(&self) -> bool {
        self.may_hold_entry() || self.was_mailed
    }

    /// Whether their invitation is still to be sent. It will show the current version.
    pub fn awaits_invitation(&self) -> bool {
        self.sent_version.is_none()
            && self.pending_invitations.values().any(|kind| *kind == MailKind::Scheduled)
    }

    /// Whether every invitation to them was certainly dropped before it was sent. False without any delivery record,
    /// because they may have disabled mails or had another address.
    pub fn was_never_invited(&self) -> bool {
        self.has_dropped_invitation && !self.may_have_entry && self.pending_invitations.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::DeliveryStatus::*;
    use super::MailKind::*;
    use super::*;

    /// Returns the latest sent version, and whether the recipient was never invited.
    fn state_after(all: &[(MailKind, DeliveryStatus, u64)]) -> (Option<u64>, bool) {
        let mut state = RecipientState::default();
        for (kind, status, version) in all {
            // The version serves as the message key. A version above 100 means in doubt.
            let (short_key, in_doubt) = (format!("{}", version % 100), *version > 100);
            let sent_version = (*status == Sent).then_some(*version);
            state.apply(&PastDelivery {
                short_key: &short_key,
                kind: *kind,
                status: *status,
                sent_version,
                entry: None,
                in_doubt,
            });
        }
        ((0..100).rev().find(|version| state.has_version(*version)), state.was_never_invited())
    }

    #[test]
    fn doubtful_attempt_makes_the_entry_uncertain() {
        let content: EntryDigest = serde_json::from_str("\"0123\"").unwrap();
        let delivery = |kind, status, sequence: Option<u32>, in_doubt| PastDelivery {
            short_key: "x",
            kind,
            status,
            sent_version: None,
            entry: sequence.map(|sequence| SentEntry { sequence, content: Some(content.clone()) }),
            in_doubt,
        };
        let mut state = RecipientState::default();
        state.apply(&delivery(Scheduled, Sent, Some(0), false));
        assert!(state.has_entry(&content));
        // A removal that was certainly not sent changes nothing.
        state.apply(&delivery(Removed, Dropped, None, false));
        assert!(state.has_entry(&content));
        // A removal that may have been sent had the next sequence.
        for _ in 0..2 {
            state.apply(&delivery(Removed, Dropped, None, true));
            assert!(!state.has_entry(&content));
            assert_eq!(state.next_entry(0, Some(content.clone())).sequence, 2);
        }
        state.apply(&delivery(Scheduled, Sent, Some(2), false));
        assert!(state.has_entry(&content));
        state.doubt_entry();
        assert!(!state.has_entry(&content));
        assert_eq!(state.next_entry(0, Some(content.clone())).sequence, 2);
    }

    #[test]
    fn invitation_is_awaited_until_one_was_sent() {
        let cases: [(&[(MailKind, DeliveryStatus)], bool); 5] = [
            (&[], false),
            (&[(Scheduled, Queued), (Updated, Queued)], true),
            (&[(Scheduled, Retrying)], true),
            (&[(Scheduled, Sent), (Updated, Queued)], false),
            (&[(Scheduled, Dead), (Updated, Queued)], false),
        ];
        for (all, awaits) in cases {
            let mut state = RecipientState::default();
            for (kind, status) in all {
                state.apply(&PastDelivery {
                    short_key: kind.as_str(),
                    kind: *kind,
                    status: *status,
                    sent_version: (*status == Sent).then_some(1),
                    entry: None,
                    in_doubt: false,
                });
            }
            assert_eq!(state.awaits_invitation(), awaits, "{all:?}");
        }
    }

    #[test]
    fn state_follows_from_the_sent_mails() {
        type Case = (&'static [(MailKind, DeliveryStatus, u64)], Option<u64>, bool);
        let cases: [Case; 18] = [
            (&[], None, false),
            (&[(Scheduled, Queued, 1)], None, false),
            (&[(Scheduled, Queued, 1), (Scheduled, Sent, 1)], Some(1), false),
            (&[(Scheduled, Sent, 3), (Updated, Dropped, 2)], Some(3), false),
            (&[(Scheduled, Sent, 1), (Updated, Sent, 2), (Resent, Sent, 2)], Some(2), false),
            (&[(Scheduled, Sent, 1), (ReminderHourBefore, Sent, 9)], Some(1), false),
            (&[(Scheduled, Sent, 1), (Removed, Sent, 2)], None, false),
            (&[(Scheduled, Sent, 1), (Removed, Dropped, 2)], Some(1), false),
            // Only mails that were certainly not sent count as not sent.
            (&[(Scheduled, Queued, 1), (Scheduled, Dropped, 1)], None, true),
            (&[(Scheduled, Dropped, 101)], None, false),
            (&[(Scheduled, Retrying, 1)], None, false),
            (&[(Scheduled, Retrying, 1), (Scheduled, Dropped, 101)], None, false),
            (&[(Scheduled, Dead, 1)], None, false),
            (&[(Scheduled, Dropped, 1), (Scheduled, Queued, 3)], None, false),
            // A return may be reported late, and when no record of the sending was stored.
            (&[(Scheduled, Sent, 1), (Scheduled, Bounced, 1)], Some(1), false),
            (&[(Scheduled, Queued, 1), (Scheduled, Bounced, 1)], None, false),
            (&[(Removed, Sent, 1), (Scheduled, Dropped, 2), (Removed, Bounced, 1)], None, true),
            // A new invitation after a removal starts from the beginning.
            (&[(Scheduled, Sent, 1), (Removed, Sent, 2), (Scheduled, Dropped, 3)], None, true),
        ];
        for (all, sent_version, never_invited) in cases {
            assert_eq!(state_after(all), (sent_version, never_invited), "{all:?}");
        }
    }
}
