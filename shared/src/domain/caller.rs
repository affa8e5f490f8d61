//! Who is asking.

use std::collections::BTreeSet;

use super::id::UserId;
use super::text::{Email, PersonName};

/// What the host platform says a caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    Student,
    Trainer,
    Admin,
    Service,
}

impl Role {
    /// The role that a claim names; unknown words are no role.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "student" => Some(Self::Student),
            "trainer" => Some(Self::Trainer),
            "admin" => Some(Self::Admin),
            "service" => Some(Self::Service),
            _ => None,
        }
    }
}

/// A person or service whose token was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    pub id: UserId,
    /// Each allows what it allows, whatever the others are: who administers may teach, and who teaches may learn.
    pub roles: BTreeSet<Role>,
    /// The address in the token, if the host platform says that it was verified. An unverified one
    /// never gets this far: it proves nothing.
    pub verified_email: Option<Email>,
    /// What the person is called in the class.
    pub name: Option<PersonName>,
}

impl Caller {
    pub fn is(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }
}
