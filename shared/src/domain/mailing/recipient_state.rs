//! What somebody holds of a class: what the mails that were sent to them come to, one after the other.
//!
//! A mail shows the class as it stands when it is sent. So who was sent an invitation after an edit has seen what the
//! edit made of the class, and needs no mail about it; and who was never sent one needs none about its end.

use std::collections::BTreeMap;

use super::{MailKind, DeliveryStatus};

/// What became of one mail, as far as it matters here.
#[derive(Clone, Copy, Debug)]
pub struct PastDelivery<'a> {
    /// What the mail is known by among those of its class.
    pub mail: &'a str,
    pub kind: MailKind,
    pub state: DeliveryStatus,
    /// The version of the class that it showed, where it was sent.
    pub shows: Option<u64>,
    /// Whether nobody knows if it left before.
    pub in_doubt: bool,
}

/// What one person holds of one class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecipientState {
    /// The version of the class that their newest calendar entry shows.
    entry: Option<u64>,
    /// Whether they have an entry, or nobody can tell.
    may_have: bool,
    /// Whether an invitation was dropped before it left.
    unsent: bool,
    /// Mails with an entry that are still to be sent, or were when it was last heard of them.
    pending: BTreeMap<String, MailKind>,
}

impl RecipientState {
    pub fn follow(&mut self, what: &PastDelivery<'_>) {
        match what.kind {
            MailKind::Scheduled | MailKind::Updated | MailKind::Resent => self.invited(what),
            MailKind::Cancelled | MailKind::Removed if what.state == DeliveryStatus::Sent => {
                let pending = std::mem::take(&mut self.pending);
                *self = Self { pending, ..Self::default() };
            }
            _ => {}
        }
    }

    fn invited(&mut self, what: &PastDelivery<'_>) {
        if matches!(what.state, DeliveryStatus::Queued | DeliveryStatus::Retrying) {
            self.pending.insert(what.mail.to_owned(), what.kind);
            return;
        }
        self.pending.remove(what.mail);
        match what.state {
            DeliveryStatus::Sent => {
                self.may_have = true;
                // An earlier version did not say what was shown.
                self.entry = self.entry.max(Some(what.shows.unwrap_or(0)));
            }
            DeliveryStatus::Dropped if !what.in_doubt => self.unsent = true,
            _ => self.may_have = true,
        }
    }

    /// Whether what was sent to them shows the class as of that version, or of a later one.
    pub fn shows(&self, version: u64) -> bool {
        self.entry.is_some_and(|entry| entry >= version)
    }

    /// Whether their first mail about the class is still to be sent. It will show the class as it stands then.
    pub fn awaits_invitation(&self) -> bool {
        self.entry.is_none() && self.pending.values().any(|kind| *kind == MailKind::Scheduled)
    }

    /// Whether it is certain that every invitation to them was dropped before it left. Of whom nothing is known it is
    /// not: they may have wanted no mails then, or have had another address.
    pub fn was_never_sent_any(&self) -> bool {
        self.unsent && !self.may_have && self.pending.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::MailKind::*;
    use super::DeliveryStatus::*;
    use super::*;

    /// After these: which version they were shown, and whether it is certain that they were sent nothing.
    fn after(all: &[(MailKind, DeliveryStatus, u64)]) -> (Option<u64>, bool) {
        let mut holding = RecipientState::default();
        for (kind, state, version) in all {
            // A mail is here known by its version; one in doubt is a hundred more.
            let (mail, in_doubt) = (format!("{}", version % 100), *version > 100);
            let shows = (*state == Sent).then_some(*version);
            holding.follow(&PastDelivery { mail: &mail, kind: *kind, state: *state, shows, in_doubt });
        }
        ((0..100).rev().find(|version| holding.shows(*version)), holding.was_never_sent_any())
    }

    #[test]
    fn an_invitation_is_awaited_until_one_was_sent() {
        let cases: [(&[(MailKind, DeliveryStatus)], bool); 5] = [
            (&[], false),
            (&[(Scheduled, Queued), (Updated, Queued)], true),
            (&[(Scheduled, Retrying)], true),
            (&[(Scheduled, Sent), (Updated, Queued)], false),
            (&[(Scheduled, Dead), (Updated, Queued)], false),
        ];
        for (all, awaits) in cases {
            let mut holding = RecipientState::default();
            for (kind, state) in all {
                let shows = (*state == Sent).then_some(1);
                let mail = kind.as_str();
                holding.follow(&PastDelivery {
                    mail,
                    kind: *kind,
                    state: *state,
                    shows,
                    in_doubt: false,
                });
            }
            assert_eq!(holding.awaits_invitation(), awaits, "{all:?}");
        }
    }

    #[test]
    fn what_was_sent_last_is_what_they_hold() {
        type Case = (&'static [(MailKind, DeliveryStatus, u64)], Option<u64>, bool);
        let cases: [Case; 15] = [
            (&[], None, false),
            (&[(Scheduled, Queued, 1)], None, false),
            (&[(Scheduled, Queued, 1), (Scheduled, Sent, 1)], Some(1), false),
            (&[(Scheduled, Sent, 3), (Updated, Dropped, 2)], Some(3), false),
            (&[(Scheduled, Sent, 1), (Updated, Sent, 2), (Resent, Sent, 2)], Some(2), false),
            (&[(Scheduled, Sent, 1), (ReminderHourBefore, Sent, 9)], Some(1), false),
            (&[(Scheduled, Sent, 1), (Removed, Sent, 2)], None, false),
            (&[(Scheduled, Sent, 1), (Removed, Dropped, 2)], Some(1), false),
            // Only what certainly never left counts as not sent.
            (&[(Scheduled, Queued, 1), (Scheduled, Dropped, 1)], None, true),
            (&[(Scheduled, Dropped, 101)], None, false),
            (&[(Scheduled, Retrying, 1)], None, false),
            (&[(Scheduled, Retrying, 1), (Scheduled, Dropped, 101)], None, false),
            (&[(Scheduled, Dead, 1)], None, false),
            (&[(Scheduled, Dropped, 1), (Scheduled, Queued, 3)], None, false),
            // Who was told that it is over and is invited anew begins anew.
            (&[(Scheduled, Sent, 1), (Removed, Sent, 2), (Scheduled, Dropped, 3)], None, true),
        ];
        for (all, shown, never) in cases {
            assert_eq!(after(all), (shown, never), "{all:?}");
        }
    }
}
