//! The authenticated caller of a request.

use std::collections::BTreeSet;

use strum::{EnumString, IntoStaticStr};

use super::id::UserId;
use super::text::{Email, PersonName};

/// A role that the host platform gives a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Role {
    Student,
    Trainer,
    Admin,
    Service,
}

impl Role {
    /// Parses a role claim. Unknown words are ignored.
    pub fn parse(word: &str) -> Option<Self> {
        word.parse().ok()
    }

    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// A person or service with a verified token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    pub id: UserId,
    /// Roles are independent: an admin may also teach, and a trainer may also learn.
    pub roles: BTreeSet<Role>,
    /// The email address in the token, if the host platform has verified it. Unverified addresses are dropped, because
    /// they prove nothing.
    pub verified_email: Option<Email>,
    /// The name shown in the session.
    pub name: Option<PersonName>,
}

impl Caller {
    pub fn has_role(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }
}
