//! The recipients of a domain event and the kind of mail for each.

use std::collections::{BTreeMap, BTreeSet};

use super::MailKind;
use crate::domain::id::UserId;
use crate::domain::text::{Email, PersonName};

/// An address with the platform users that it belongs to, or a user without an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// `None` for a user who gets in-app notifications and no mails.
    pub email: Option<Email>,
    pub name: Option<PersonName>,
    pub users: Vec<UserId>,
    /// Earlier addresses of the users, which may still hold a calendar entry.
    pub former_emails: Vec<Email>,
}

/// The identity of a recipient among others. Users without an address are not one recipient together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum RecipientKey {
    Address(Email),
    Users(Vec<UserId>),
}

impl RecipientKey {
    fn of(recipient: &Recipient) -> Self {
        match &recipient.email {
            Some(email) => Self::Address(email.clone()),
            None => Self::Users(recipient.users.clone()),
        }
    }
}

/// Recipients by address. A duplicate address is one recipient with all its users.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recipients(BTreeMap<RecipientKey, Recipient>);

impl Recipients {
    pub fn add(&mut self, recipient: Recipient) {
        match self.0.get_mut(&RecipientKey::of(&recipient)) {
            Some(existing) => {
                for user in recipient.users {
                    if !existing.users.contains(&user) {
                        existing.users.push(user);
                    }
                }
                existing.name = existing.name.take().or(recipient.name);
                existing.former_emails.extend(recipient.former_emails);
            }
            None => {
                self.0.insert(RecipientKey::of(&recipient), recipient);
            }
        }
    }

    fn contains(&self, recipient: &Recipient) -> bool {
        self.0.contains_key(&RecipientKey::of(recipient))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Retains the named people. Of the users who share an address, only the named ones are recipients.
    pub fn retain_named(&mut self, users: &[UserId], emails: &[Email]) {
        self.0.retain(|_, recipient| {
            if recipient.email.as_ref().is_some_and(|email| emails.contains(email)) {
                return true;
            }
            recipient.users.retain(|user| users.contains(user));
            !recipient.users.is_empty()
        });
    }

    pub fn iter(&self) -> impl Iterator<Item = &Recipient> + Clone {
        self.0.values()
    }

    /// Returns the recipients who are users.
    fn users(&self) -> BTreeSet<UserId> {
        self.0.values().flat_map(|recipient| recipient.users.iter().cloned()).collect()
    }

    pub fn into_values(self) -> impl Iterator<Item = Recipient> {
        self.0.into_values()
    }

    /// Returns all recipients with the same kind of mail.
    pub fn with_kind(self, kind: MailKind) -> Vec<(Recipient, MailKind)> {
        self.into_values().map(|recipient| (recipient, kind)).collect()
    }
}

impl FromIterator<Recipient> for Recipients {
    fn from_iter<I: IntoIterator<Item = Recipient>>(all: I) -> Self {
        let mut recipients = Self::default();
        all.into_iter().for_each(|recipient| recipients.add(recipient));
        recipients
    }
}

/// Returns the mail for each recipient of a change: an update for those who were invited before (if their calendar
/// entry changes), an invitation for new ones, and a removal for those who are no longer invited. A user who was and is
/// invited stays invited, even if the two audiences have different addresses of that user.
pub fn recipients_of_change(
    current: Recipients,
    previous: Option<Recipients>,
    calendar_changed: bool,
) -> Vec<(Recipient, MailKind)> {
    let Some(previous) = previous else {
        return if calendar_changed { current.with_kind(MailKind::Updated) } else { Vec::new() };
    };
    let (users, previous_users) = (current.users(), previous.users());
    let removed = previous.0.values().filter(|old| !current.contains(old));
    let removed = removed.filter_map(|old| {
        let mut old = old.clone();
        let is_plain_address = old.users.is_empty();
        old.users.retain(|user| !users.contains(user));
        (is_plain_address || !old.users.is_empty()).then_some(old)
    });
    let removed: Vec<_> = removed.collect();
    let remaining = current.into_values().filter_map(|recipient| {
        let was_invited = previous.contains(&recipient)
            || recipient.users.iter().any(|user| previous_users.contains(user));
        let kind = if !was_invited {
            MailKind::Scheduled
        } else if calendar_changed {
            MailKind::Updated
        } else {
            return None;
        };
        Some((recipient, kind))
    });
    remaining.chain(removed.into_iter().map(|old| (old, MailKind::Removed))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(names: &[&str]) -> Recipients {
        let one = |name: &&str| Recipient {
            email: Email::parse(&format!("{name}@example.test")).ok(),
            name: None,
            users: Vec::new(),
            former_emails: Vec::new(),
        };
        names.iter().map(one).collect()
    }

    fn kinds(
        current: &[&str],
        previous: Option<&[&str]>,
        changed: bool,
    ) -> Vec<(String, MailKind)> {
        let all = recipients_of_change(list(current), previous.map(list), changed);
        let name = |email: &Email| email.as_str().split('@').next().unwrap().to_owned();
        all.iter()
            .map(|(recipient, kind)| (recipient.email.as_ref().map(name).unwrap(), *kind))
            .collect()
    }

    #[test]
    fn change_has_a_kind_of_mail_for_each_recipient() {
        use MailKind::{Removed, Scheduled, Updated};
        type Case = (
            &'static [&'static str],
            Option<&'static [&'static str]>,
            bool,
            Vec<(&'static str, MailKind)>,
        );
        let cases: [Case; 6] = [
            (&["a", "b"], None, true, vec![("a", Updated), ("b", Updated)]),
            (&["a", "b"], None, false, vec![]),
            (
                &["a", "b"],
                Some(&["a", "c"]),
                true,
                vec![("a", Updated), ("b", Scheduled), ("c", Removed)],
            ),
            (&["a", "b"], Some(&["a", "c"]), false, vec![("b", Scheduled), ("c", Removed)]),
            (&["a"], Some(&["a"]), true, vec![("a", Updated)]),
            (&[], Some(&["a"]), false, vec![("a", Removed)]),
        ];
        for (current, previous, changed, expected) in cases {
            let expected: Vec<_> =
                expected.into_iter().map(|(name, kind)| (name.to_owned(), kind)).collect();
            assert_eq!(
                kinds(current, previous, changed),
                expected,
                "{current:?} {previous:?} {changed}"
            );
        }
    }

    #[test]
    fn user_with_two_addresses_stays_invited() {
        let one = |user: &str, address: &str| Recipient {
            email: Email::parse(address).ok(),
            name: None,
            users: vec![UserId::parse(user).unwrap()],
            former_emails: Vec::new(),
        };
        let current = || [one("u1", "new@example.test")].into_iter().collect::<Recipients>();
        let previous = [one("u1", "old@example.test"), one("u2", "old@example.test")];
        let mails = recipients_of_change(current(), Some(previous.into_iter().collect()), true);
        let kinds: Vec<_> =
            mails.iter().map(|(recipient, kind)| (recipient.users.clone(), *kind)).collect();
        let user = |id: &str| vec![UserId::parse(id).unwrap()];
        assert_eq!(kinds, [(user("u1"), MailKind::Updated), (user("u2"), MailKind::Removed)]);
    }

    #[test]
    fn users_without_an_address_are_recipients_of_their_own() {
        let one = |user: &str| Recipient {
            email: None,
            name: None,
            users: vec![UserId::parse(user).unwrap()],
            former_emails: Vec::new(),
        };
        let list = |users: &[&str]| users.iter().map(|user| one(user)).collect::<Recipients>();
        assert_eq!(list(&["u1", "u2", "u1"]).len(), 2);
        let changed = recipients_of_change(list(&["u1", "u2"]), Some(list(&["u2", "u3"])), true);
        let kinds: Vec<_> =
            changed.iter().map(|(recipient, kind)| (recipient.users[0].as_str(), *kind)).collect();
        let expected =
            [("u1", MailKind::Scheduled), ("u2", MailKind::Updated), ("u3", MailKind::Removed)];
        assert_eq!(kinds, expected);
        let mut named = list(&["u1", "u2"]);
        named.retain_named(&[UserId::parse("u2").unwrap()], &[]);
        assert_eq!(named, list(&["u2"]));
    }

    #[test]
    fn address_of_two_users_is_one_recipient() {
        let one = |user: &str| Recipient {
            email: Email::parse("shared@example.test").ok(),
            name: None,
            users: vec![UserId::parse(user).unwrap()],
            former_emails: Vec::new(),
        };
        let all: Recipients = [one("u1"), one("u2"), one("u1")].into_iter().collect();
        assert_eq!(all.len(), 1);
        let mails = all.with_kind(MailKind::Scheduled);
        assert_eq!(mails[0].0.users.len(), 2);
    }
}
