//! The person or service that changes a session.

use strum::IntoStaticStr;

use super::caller::{Caller, Role};
use super::id::UserId;
use super::rights::Relation;
use super::session::Session;

/// The capacity in which somebody changes a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum ActorRole {
    Trainer,
    CoTrainer,
    Service,
    Admin,
}

impl ActorRole {
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The author of a change, which is written to the audit, the timeline and the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    pub id: UserId,
    pub role: ActorRole,
}

impl Actor {
    /// Returns the author of a change that the caller has the right to. The relation to the session comes before the roles
    /// that concern every session.
    pub fn of_change(caller: &Caller, session: &Session) -> Self {
        let role = match session.relation_to(caller) {
            Relation::Trainer => ActorRole::Trainer,
            Relation::CoTrainer => ActorRole::CoTrainer,
            _ if caller.has_role(Role::Service) => ActorRole::Service,
            _ => ActorRole::Admin,
        };
        Self { id: caller.id.clone(), role }
    }

    /// Returns the host platform's service, which acts for any trainer.
    pub fn service(caller: &Caller) -> Self {
        Self { id: caller.id.clone(), role: ActorRole::Service }
    }

    /// Returns whether somebody else acts for the trainer.
    pub fn is_delegate(&self) -> bool {
        self.role != ActorRole::Trainer
    }
}
