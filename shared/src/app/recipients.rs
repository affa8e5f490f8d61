//! The recipients of a session's mails at their current addresses.

use std::collections::{BTreeMap, BTreeSet};

use super::error::Error;
use crate::domain::audience::Invitee;
use crate::domain::directory::{Enrollment, User};
use crate::domain::domain_event::AudienceRef;
use crate::domain::id::{SessionId, UserId};
use crate::domain::mailing::Recipient;
use crate::domain::mailing::recipients::Recipients;
use crate::domain::text::Email;
use crate::store::Store;
use crate::store::directory::DirectoryUser;

/// Returns everybody in an audience, at the addresses of their enrollments or invitations.
pub(super) async fn audience_recipients(
    store: &Store,
    session: &SessionId,
    audience: &AudienceRef,
) -> Result<Recipients, Error> {
    Ok(match audience {
        AudienceRef::Nobody => Recipients::default(),
        AudienceRef::Course(id) => recipients_with_access(store.students(id).await?),
        AudienceRef::List(list) => {
            store.invitees(session, *list).await?.into_iter().map(plain_recipient).collect()
        }
    })
}

/// Returns the students who have access.
pub(super) fn recipients_with_access(students: Vec<Enrollment>) -> Recipients {
    let students = students.into_iter().filter(|student| student.access_granted);
    students.map(recipient_from_student).collect()
}

pub(super) fn recipient_from_student(student: Enrollment) -> Recipient {
    Recipient {
        email: student.email,
        name: Some(student.name),
        users: vec![student.user],
        former_emails: student.former_emails,
    }
}

/// Returns an invitee as a recipient. Their user is found by the address.
pub(super) fn plain_recipient(invitee: Invitee) -> Recipient {
    Recipient {
        email: Some(invitee.email),
        name: invitee.name,
        users: Vec::new(),
        former_emails: Vec::new(),
    }
}

/// The directory's entries of recipients. They decide which address a user has now.
#[derive(Debug, Default)]
pub(super) struct AddressBook {
    users: BTreeMap<UserId, User>,
    users_by_email: BTreeMap<Email, DirectoryUser>,
}

impl AddressBook {
    pub(super) async fn load<'a>(
        store: &Store,
        recipients: impl Iterator<Item = &'a Recipient> + Clone,
    ) -> Result<Self, Error> {
        let plain = recipients.clone().filter(|recipient| recipient.users.is_empty());
        let plain: Vec<_> = plain.filter_map(|recipient| recipient.email.clone()).collect();
        let users: Vec<_> = recipients.flat_map(|recipient| recipient.users.clone()).collect();
        Ok(Self {
            users_by_email: match plain.is_empty() {
                true => BTreeMap::new(),
                false => store.users_by_email(&plain).await?,
            },
            users: match users.is_empty() {
                true => BTreeMap::new(),
                false => store.users(&users).await?,
            },
        })
    }

    /// Returns a recipient once for each current address: finds the user of a plain address, and uses the address and
    /// name of a user's own entry instead of those in the enrollment. An address that was replaced is a former one. A user
    /// without any address is returned without one.
    pub(super) fn resolve(&self, recipient: Recipient) -> Recipients {
        let Recipient { email, name, users, former_emails } = recipient;
        if users.is_empty() {
            let known = email.as_ref().and_then(|email| self.users_by_email.get(email));
            let name = name.or_else(|| known?.name.clone());
            let users = known.map(|known| known.user.clone()).into_iter().collect();
            return [Recipient { email, name, users, former_emails }].into_iter().collect();
        }
        let resolved = users.into_iter().map(|user| {
            let entry = self.users.get(&user);
            let own = match entry {
                Some(entry) => entry.current_email(email.as_ref()).cloned(),
                None => email.clone(),
            };
            let earlier = entry.map(|entry| entry.former_emails.clone()).unwrap_or_default();
            let mut former: BTreeSet<_> = former_emails.iter().cloned().chain(earlier).collect();
            former.extend(email.clone());
            former.retain(|email| Some(email) != own.as_ref());
            Recipient {
                email: own,
                name: entry.map(|entry| entry.name.clone()).or_else(|| name.clone()),
                users: vec![user],
                former_emails: former.into_iter().collect(),
            }
        });
        resolved.collect()
    }
}

/// Returns the users with access to a course by their current address, for these addresses only. An address that
/// differs from the enrollment is found if its pointer refers to the user.
pub(super) async fn students_at(
    store: &Store,
    students: &[Enrollment],
    addresses: &BTreeSet<Email>,
) -> Result<BTreeMap<Email, Vec<UserId>>, Error> {
    let list: Vec<_> = addresses.iter().cloned().collect();
    let pointers = store.users_by_email(&list).await?;
    let pointed: BTreeSet<_> = pointers.values().map(|known| &known.user).collect();
    let candidates: Vec<_> = students
        .iter()
        .filter(|student| student.access_granted)
        .filter(|student| {
            student.email.as_ref().is_some_and(|email| addresses.contains(email))
                || pointed.contains(&student.user)
        })
        .collect();
    let mut found: BTreeMap<Email, Vec<UserId>> = BTreeMap::new();
    if candidates.is_empty() {
        return Ok(found);
    }
    let ids: Vec<_> = candidates.iter().map(|student| student.user.clone()).collect();
    let entries = store.users(&ids).await?;
    for student in candidates {
        let enrolled = student.email.as_ref();
        let email = match entries.get(&student.user) {
            Some(entry) => entry.current_email(enrolled),
            None => enrolled,
        };
        if let Some(email) = email.filter(|email| addresses.contains(email)) {
            found.entry(email.clone()).or_default().push(student.user.clone());
        }
    }
    Ok(found)
}
