//! Who may have been there, and whose a connection is.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::AttendeeId;
use super::participation::Participation;
use crate::domain::audience::Invitee;
use crate::domain::directory::Enrollment;
use crate::domain::id::UserId;
use crate::domain::session::Session;
use crate::domain::text::{Email, PersonName};

/// What a connection was recognised by, the surest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IdentityMatch {
    /// The key that we gave out with the join, and that Zoom gave back.
    CustomerKey,
    /// A registration at Zoom that we made. We make none today, so that this matches nobody yet.
    Registrant,
    /// An address that Zoom names and that is one person's here.
    Email,
    /// Nothing: nobody is ever recognised by a name, which anyone can type.
    None,
}

impl IdentityMatch {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CustomerKey => "customer_key",
            Self::Registrant => "registrant",
            Self::Email => "email",
            Self::None => "none",
        }
    }
}

/// Somebody who clicked start or join and for whom the class was.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct JoinIdentity {
    pub user: UserId,
    pub email: Option<Email>,
    pub name: Option<PersonName>,
    pub host: bool,
    /// Whether they were let in, and not told to come later or again.
    pub admitted: bool,
    pub customer_key: Option<String>,
}

/// Somebody the class is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    pub attendee: AttendeeId,
    pub user: Option<UserId>,
    pub email: Option<Email>,
    pub name: Option<PersonName>,
}

/// What somebody is known by. It is kept with what is decided of them, because the class may be for them no longer when
/// that is read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownBy {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Email>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<PersonName>,
}

/// Whose something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowOwner {
    Host,
    /// By their place in [`People::expected`].
    Person(usize),
}

/// Everybody the class is for, and by what they are known.
#[derive(Clone, Debug, Default)]
pub struct People {
    expected: Vec<Person>,
    by_user: BTreeMap<UserId, usize>,
    by_key: BTreeMap<String, RowOwner>,
    /// `None` for an address that two people share: it tells neither of them.
    by_email: BTreeMap<Email, Option<RowOwner>>,
}

impl People {
    /// Those invited, those with access to the course, and those who were let in when they clicked, even if they have
    /// lost their access since. Who clicked in vain is expected by nothing but that, and is known by what the click told
    /// all the same, should they be expected or have been let in another time. An invitation's address stands for its person from the start, so that the row stays
    /// the same when a click tells which user it is.
    pub fn new(
        session: &Session,
        invitees: &[Invitee],
        enrollments: &[Enrollment],
        clickers: &[JoinIdentity],
    ) -> Self {
        let mut people = Self::default();
        for invitee in invitees {
            people.add(Person {
                attendee: AttendeeId::of_address(&session.id, &invitee.email),
                user: None,
                email: Some(invitee.email.clone()),
                name: invitee.name.clone(),
            });
        }
        let with_access = enrollments.iter().filter(|enrollment| enrollment.access_granted);
        for enrollment in with_access.filter(|enrollment| enrollment.user != session.trainer) {
            people.add(Person {
                attendee: AttendeeId::of_user(&session.id, &enrollment.user),
                user: Some(enrollment.user.clone()),
                email: Some(enrollment.email.clone()),
                name: Some(enrollment.name.clone()),
            });
        }
        // Those who were let in go first, so that their clicks in vain find the place that they have by that.
        let (admitted, in_vain): (Vec<_>, Vec<_>) =
            clickers.iter().partition(|clicker| clicker.admitted);
        for clicker in admitted.into_iter().chain(in_vain) {
            let owner = if clicker.host || clicker.user == session.trainer {
                RowOwner::Host
            } else {
                match people.place_of(session, clicker) {
                    Some(place) => RowOwner::Person(place),
                    None => continue,
                }
            };
            if let Some(key) = &clicker.customer_key {
                people.by_key.insert(key.clone(), owner);
            }
            if let Some(email) = &clicker.email {
                people.know_address(email, owner);
            }
        }
        people
    }

    /// With those of whom something was decided, though the class is for them no longer: a decision does not vanish with a
    /// place in a course. What they are known by tells nobody else's connections from theirs.
    pub fn and_decided<'a>(
        mut self,
        decided: impl IntoIterator<Item = (&'a AttendeeId, &'a KnownBy)>,
    ) -> Self {
        let mut there: BTreeSet<_> =
            self.expected.iter().map(|person| person.attendee.clone()).collect();
        for (attendee, known) in decided {
            if !there.insert(attendee.clone()) {
                continue;
            }
            let place = self.expected.len();
            if let Some(user) = &known.user {
                self.by_user.entry(user.clone()).or_insert(place);
            }
            if let Some(email) = &known.email {
                self.by_email.entry(email.clone()).or_insert(Some(RowOwner::Person(place)));
            }
            self.expected.push(Person {
                attendee: attendee.clone(),
                user: known.user.clone(),
                email: known.email.clone(),
                name: known.name.clone(),
            });
        }
        self
    }

    /// What somebody the class is for is known by.
    pub fn known_by(&self, attendee: &AttendeeId) -> Option<KnownBy> {
        let person = self.expected.iter().find(|person| person.attendee == *attendee)?;
        let Person { user, email, name, .. } = person.clone();
        Some(KnownBy { user, email, name })
    }

    fn add(&mut self, person: Person) -> usize {
        let place = self.expected.len();
        if let Some(email) = &person.email {
            self.know_address(email, RowOwner::Person(place));
        }
        if let Some(user) = &person.user {
            self.by_user.insert(user.clone(), place);
        }
        self.expected.push(person);
        place
    }

    fn know_address(&mut self, email: &Email, owner: RowOwner) {
        let known = self.by_email.entry(email.clone()).or_insert(Some(owner));
        if *known != Some(owner) {
            *known = None;
        }
    }

    /// The place of somebody who clicked: as a user, or as the address that was invited, or else a new one if they were let
    /// in.
    fn place_of(&mut self, session: &Session, clicker: &JoinIdentity) -> Option<usize> {
        let as_guest = || match self.by_email.get(clicker.email.as_ref()?)? {
            Some(RowOwner::Person(place)) if self.expected[*place].user.is_none() => Some(*place),
            _ => None,
        };
        match self.by_user.get(&clicker.user).copied().or_else(as_guest) {
            Some(place) => {
                self.by_user.insert(clicker.user.clone(), place);
                let person = &mut self.expected[place];
                person.user = Some(clicker.user.clone());
                person.name = person.name.take().or_else(|| clicker.name.clone());
                Some(place)
            }
            None if !clicker.admitted => None,
            None => Some(self.add(Person {
                attendee: AttendeeId::of_user(&session.id, &clicker.user),
                user: Some(clicker.user.clone()),
                email: clicker.email.clone(),
                name: clicker.name.clone(),
            })),
        }
    }

    pub fn expected(&self) -> &[Person] {
        &self.expected
    }

    /// Whose a connection is, and by what it is recognised. `email` is the address that Zoom names for the connection or, of a
    /// signed-in Zoom user, for another of theirs.
    pub(super) fn owner(
        &self,
        connection: &Participation,
        email: Option<&Email>,
    ) -> Option<(RowOwner, IdentityMatch)> {
        let by_key = || connection.customer_key.as_ref().and_then(|key| self.by_key.get(key));
        let by_email = || email.and_then(|email| self.by_email.get(email)?.as_ref());
        by_key()
            .map(|owner| (*owner, IdentityMatch::CustomerKey))
            .or_else(|| by_email().map(|owner| (*owner, IdentityMatch::Email)))
    }
}
