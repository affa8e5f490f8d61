//! The roster of a session, and the matching of participations to its people.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use super::AttendeeId;
use super::participation::Participation;
use crate::domain::audience::Invitee;
use crate::domain::directory::Enrollment;
use crate::domain::id::UserId;
use crate::domain::session::Session;
use crate::domain::text::{Email, PersonName};

/// The evidence by which a participation was matched to a person, strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum IdentityMatch {
    /// The customer key that we issued with the join credentials and that Zoom returned.
    CustomerKey,
    /// The registration for the meeting that we made for a person who joins by link.
    Registrant,
    /// An email address from Zoom that belongs to exactly one person on the roster.
    Email,
    /// No match. Names are never used, because anyone can type any name.
    None,
}

impl IdentityMatch {
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The identity from a join attempt of a person in the audience. A guest has no user, and the invited address identifies
/// them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct JoinIdentity {
    pub user: Option<UserId>,
    pub email: Option<Email>,
    pub name: Option<PersonName>,
    pub host: bool,
    /// Whether the attempt succeeded.
    pub admitted: bool,
    pub customer_key: Option<String>,
    /// Zoom's id of the person's registration, if they joined with a personal link.
    pub registrant: Option<String>,
}

/// A person on the roster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    pub attendee: AttendeeId,
    pub user: Option<UserId>,
    pub email: Option<Email>,
    pub name: Option<PersonName>,
}

/// The identity of a person, stored with their override because they may no longer be on the roster when it is read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonDetails {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Email>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<PersonName>,
}

/// The owner of a customer key, registration or email address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowOwner {
    Host,
    /// The index in [`People::expected`].
    Person(usize),
}

/// The people expected in a session, with indexes of their identities.
#[derive(Clone, Debug, Default)]
pub struct People {
    expected: Vec<Person>,
    by_user: BTreeMap<UserId, usize>,
    by_key: BTreeMap<String, RowOwner>,
    /// `None` for a registration that two people share, because they have the same address.
    by_registrant: BTreeMap<String, Option<RowOwner>>,
    /// `None` for an address that two people share, because it identifies neither of them.
    by_email: BTreeMap<Email, Option<RowOwner>>,
}

impl People {
    /// Builds the roster from the invitees, the students who had access to the course, and the people admitted so
    /// far, even if they have lost access since. A rejected join attempt does not add a person to the roster, but its
    /// customer key and address identify the person if they are on it for another reason. An invitee's row is keyed by the
    /// invited address, so it stays the same when a join attempt reveals the user.
    pub fn new(
        session: &Session,
        invitees: &[Invitee],
        enrollments: &[Enrollment],
        join_identities: &[JoinIdentity],
    ) -> Self {
        let mut people = Self::default();
        for invitee in invitees {
            people.add_person(Person {
                attendee: AttendeeId::for_email(&session.id, &invitee.email),
                user: None,
                email: Some(invitee.email.clone()),
                name: invitee.name.clone(),
            });
        }
        let mut students: Vec<_> = enrollments
            .iter()
            .filter(|enrollment| enrollment.access_granted && enrollment.user != session.trainer)
            .collect();
        // A student with several addresses is one person. The order makes the shown address the same in every report.
        students.sort_by_key(|student| {
            (&student.user, student.email.is_none(), &student.email, &student.name)
        });
        for enrollment in students {
            if let Some(index) = people.by_user.get(&enrollment.user) {
                let owner = RowOwner::Person(*index);
                enrollment.email.iter().for_each(|email| people.index_email(email, owner));
                continue;
            }
            people.add_person(Person {
                attendee: AttendeeId::for_user(&session.id, &enrollment.user),
                user: Some(enrollment.user.clone()),
                email: enrollment.email.clone(),
                name: Some(enrollment.name.clone()),
            });
        }
        // Admitted people come first, so that their rejected attempts find the person added for them.
        let (admitted, rejected): (Vec<_>, Vec<_>) =
            join_identities.iter().partition(|identity| identity.admitted);
        for identity in admitted.into_iter().chain(rejected) {
            let owner = if identity.host || identity.user.as_ref() == Some(&session.trainer) {
                RowOwner::Host
            } else {
                match people.find_or_add(session, identity) {
                    Some(index) => RowOwner::Person(index),
                    None => continue,
                }
            };
            if let Some(key) = &identity.customer_key {
                people.by_key.insert(key.clone(), owner);
            }
            if let Some(registrant) = &identity.registrant {
                index_unless_shared(&mut people.by_registrant, registrant, owner);
            }
            if let Some(email) = &identity.email {
                people.index_email(email, owner);
            }
        }
        people
    }

    /// Adds people with an override after they have left the roster, because an override outlives an enrollment. Their identities
    /// never replace those of people on the roster.
    pub fn with_overridden_people<'a>(
        mut self,
        overridden: impl IntoIterator<Item = (&'a AttendeeId, &'a PersonDetails)>,
    ) -> Self {
        let mut listed: BTreeSet<_> =
            self.expected.iter().map(|person| person.attendee.clone()).collect();
        for (attendee, details) in overridden {
            if !listed.insert(attendee.clone()) {
                continue;
            }
            let index = self.expected.len();
            if let Some(user) = &details.user {
                self.by_user.entry(user.clone()).or_insert(index);
            }
            if let Some(email) = &details.email {
                self.by_email.entry(email.clone()).or_insert(Some(RowOwner::Person(index)));
            }
            self.expected.push(Person {
                attendee: attendee.clone(),
                user: details.user.clone(),
                email: details.email.clone(),
                name: details.name.clone(),
            });
        }
        self
    }

    /// Returns the identity of a person on the roster.
    pub fn person_details(&self, attendee: &AttendeeId) -> Option<PersonDetails> {
        let person = self.expected.iter().find(|person| person.attendee == *attendee)?;
        let Person { user, email, name, .. } = person.clone();
        Some(PersonDetails { user, email, name })
    }

    fn add_person(&mut self, person: Person) -> usize {
        let index = self.expected.len();
        if let Some(email) = &person.email {
            self.index_email(email, RowOwner::Person(index));
        }
        if let Some(user) = &person.user {
            self.by_user.insert(user.clone(), index);
        }
        self.expected.push(person);
        index
    }

    fn index_email(&mut self, email: &Email, owner: RowOwner) {
        index_unless_shared(&mut self.by_email, email, owner);
    }

    /// Finds a person by user id or invited address, and returns their index. Adds an admitted person if none is found.
    fn find_or_add(&mut self, session: &Session, identity: &JoinIdentity) -> Option<usize> {
        let by_user = identity.user.as_ref().and_then(|user| self.by_user.get(user).copied());
        match by_user.or_else(|| self.find_by_address(identity)) {
            Some(index) => {
                let person = &mut self.expected[index];
                person.name = person.name.take().or_else(|| identity.name.clone());
                if let Some(user) = &identity.user {
                    person.user = Some(user.clone());
                    self.by_user.insert(user.clone(), index);
                }
                Some(index)
            }
            None if !identity.admitted => None,
            None => {
                let attendee = match (&identity.user, &identity.email) {
                    (Some(user), _) => AttendeeId::for_user(&session.id, user),
                    (None, Some(email)) => AttendeeId::for_email(&session.id, email),
                    (None, None) => return None,
                };
                Some(self.add_person(Person {
                    attendee,
                    user: identity.user.clone(),
                    email: identity.email.clone(),
                    name: identity.name.clone(),
                }))
            }
        }
    }

    /// Finds the person with the address of an identity. Two users with one address are two people. A guest has no user,
    /// and is the person with the address.
    fn find_by_address(&self, identity: &JoinIdentity) -> Option<usize> {
        match self.by_email.get(identity.email.as_ref()?)? {
            Some(RowOwner::Person(index))
                if identity.user.is_none() || self.expected[*index].user.is_none() =>
            {
                Some(*index)
            }
            _ => None,
        }
    }

    pub fn expected(&self) -> &[Person] {
        &self.expected
    }

    /// Returns the owner of a participation and the evidence for it. `email` is the address that Zoom gives for the
    /// participation, or for another participation of the same signed-in Zoom user.
    pub(super) fn identify(
        &self,
        participation: &Participation,
        email: Option<&Email>,
    ) -> Option<(RowOwner, IdentityMatch)> {
        let by_key = || participation.customer_key.as_ref().and_then(|key| self.by_key.get(key));
        let registrant = participation.registrant.as_ref();
        let by_registrant = || registrant.and_then(|id| self.by_registrant.get(id)?.as_ref());
        let by_email = || email.and_then(|email| self.by_email.get(email)?.as_ref());
        by_key()
            .map(|owner| (*owner, IdentityMatch::CustomerKey))
            .or_else(|| by_registrant().map(|owner| (*owner, IdentityMatch::Registrant)))
            .or_else(|| by_email().map(|owner| (*owner, IdentityMatch::Email)))
    }
}

/// Adds an identity to an index. An identity with two owners identifies neither of them.
fn index_unless_shared<K: Clone + Ord>(
    index: &mut BTreeMap<K, Option<RowOwner>>,
    identity: &K,
    owner: RowOwner,
) {
    let entry = index.entry(identity.clone()).or_insert(Some(owner));
    if *entry != Some(owner) {
        *entry = None;
    }
}
