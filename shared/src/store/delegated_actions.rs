//! Delegated actions: changes of a session by somebody other than its trainer. The timeline shows them.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::item::encode;
use super::schema::{ItemKey, attr, limit};
use super::tx::{Action, Condition, number};
use crate::domain::actor::Actor;
use crate::domain::id::{PollId, SessionId, UserId};

/// A change that a co-trainer, the host platform's service or an admin made for the trainer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DelegatedAction {
    pub at: Timestamp,
    /// The kind of the timeline entry.
    pub kind: String,
    pub by: UserId,
    /// The word of an [`ActorRole`](crate::domain::actor::ActorRole), maybe of a newer version.
    pub role: String,
    /// The version of the session after the change.
    pub version: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poll: Option<PollId>,
}

/// The kinds of delegated actions.
pub const CREATED: &str = "session.created";
pub const UPDATED: &str = "session.updated";
pub const CANCELLED: &str = "session.cancelled";
pub const RESENT: &str = "invitation.resent";
pub const POLL_LAUNCHED: &str = "poll.launched";
pub const POLL_CLOSED: &str = "poll.closed";

impl DelegatedAction {
    pub fn new(kind: &str, actor: Actor, version: u64, at: Timestamp) -> Self {
        let role = actor.role.as_str().to_owned();
        Self { at, kind: kind.to_owned(), by: actor.id, role, version, poll: None }
    }
}

pub fn put(session: &SessionId, action: &DelegatedAction, nonce: &str) -> Action {
    let mut item = encode(action);
    let kept = SignedDuration::from_hours(24 * limit::DELEGATED_ACTION_TTL_DAYS);
    let ttl = action.at.saturating_add(kept).unwrap_or(action.at);
    item.insert(attr::TTL.to_owned(), number(ttl.as_second()));
    Action::put(ItemKey::DelegatedAction { session, at: action.at, nonce }, item, Condition::new())
}
