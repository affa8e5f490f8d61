//! Whom an announcement is told, and what each of them.

use std::collections::BTreeMap;

use super::MailKind;
use crate::domain::id::UserId;
use crate::domain::text::{Email, PersonName};

/// An address, and who of the platform's users is reached by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    pub email: Email,
    pub name: Option<PersonName>,
    pub users: Vec<UserId>,
}

/// Recipients by address: an address that stands in a list twice is one recipient, with all its users.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recipients(BTreeMap<Email, Recipient>);

impl Recipients {
    pub fn add(&mut self, recipient: Recipient) {
        match self.0.get_mut(&recipient.email) {
            Some(known) => {
                for user in recipient.users {
                    if !known.users.contains(&user) {
                        known.users.push(user);
                    }
                }
                known.name = known.name.take().or(recipient.name);
            }
            None => {
                self.0.insert(recipient.email.clone(), recipient);
            }
        }
    }

    pub fn has(&self, email: &Email) -> bool {
        self.0.contains_key(email)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Only those whom `keep` keeps.
    pub fn retain(&mut self, mut keep: impl FnMut(&Recipient) -> bool) {
        self.0.retain(|_, recipient| keep(recipient));
    }

    fn into_values(self) -> impl Iterator<Item = Recipient> {
        self.0.into_values()
    }

    /// Everybody, all of them told the same.
    pub fn all_told(self, kind: MailKind) -> Vec<(Recipient, MailKind)> {
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

/// What a change of a class is to each: news to who stayed, if it concerns their calendar; an invitation to who is new;
/// and to who is no longer invited that they are not.
pub fn told_of_change(
    now: Recipients,
    before: Option<Recipients>,
    calendar_changed: bool,
) -> Vec<(Recipient, MailKind)> {
    let Some(before) = before else {
        return if calendar_changed { now.all_told(MailKind::Updated) } else { Vec::new() };
    };
    let gone: Vec<_> = before.0.values().filter(|old| !now.has(&old.email)).cloned().collect();
    let told = now.into_values().filter_map(|recipient| {
        let kind = if !before.has(&recipient.email) {
            MailKind::Scheduled
        } else if calendar_changed {
            MailKind::Updated
        } else {
            return None;
        };
        Some((recipient, kind))
    });
    let told: Vec<_> = told.collect();
    told.into_iter().chain(gone.into_iter().map(|old| (old, MailKind::Removed))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(names: &[&str]) -> Recipients {
        let one = |name: &&str| Recipient {
            email: Email::parse(&format!("{name}@example.test")).unwrap(),
            name: None,
            users: Vec::new(),
        };
        names.iter().map(one).collect()
    }

    fn told(now: &[&str], before: Option<&[&str]>, changed: bool) -> Vec<(String, MailKind)> {
        let all = told_of_change(list(now), before.map(list), changed);
        let name = |email: &Email| email.as_str().split('@').next().unwrap().to_owned();
        all.iter().map(|(recipient, kind)| (name(&recipient.email), *kind)).collect()
    }

    #[test]
    fn a_change_is_told_to_each_as_it_concerns_them() {
        use MailKind::{Scheduled, Removed, Updated};
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
        for (now, before, changed, expected) in cases {
            let expected: Vec<_> =
                expected.into_iter().map(|(name, kind)| (name.to_owned(), kind)).collect();
            assert_eq!(told(now, before, changed), expected, "{now:?} {before:?} {changed}");
        }
    }

    #[test]
    fn an_address_that_two_users_share_is_told_once() {
        let one = |user: &str| Recipient {
            email: Email::parse("shared@example.test").unwrap(),
            name: None,
            users: vec![UserId::parse(user).unwrap()],
        };
        let all: Recipients = [one("u1"), one("u2"), one("u1")].into_iter().collect();
        assert_eq!(all.len(), 1);
        let told = all.all_told(MailKind::Scheduled);
        assert_eq!(told[0].0.users.len(), 2);
    }
}
