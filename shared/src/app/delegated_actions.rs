//! Records the changes that somebody makes for the trainer of a session.

use jiff::Timestamp;

use crate::domain::actor::Actor;
use crate::domain::caller::Caller;
use crate::domain::id::PollId;
use crate::domain::session::Session;
use crate::domain::time::whole_milli;
use crate::random::Random;
use crate::store::delegated_actions::{self, CREATED, DelegatedAction};
use crate::store::tx::Action;

/// Returns the action that stores the timeline entry of a change, for the transaction of the change. The trainer's own
/// changes have none. `changed` is the session after the change.
pub(super) fn record(
    random: &Random,
    caller: &Caller,
    changed: &Session,
    kind: &str,
    now: Timestamp,
) -> Option<Action> {
    store(random, Actor::of_change(caller, changed), changed, (kind, None), now)
}

/// Like [`record`], for a change of a poll.
pub(super) fn record_of_poll(
    random: &Random,
    caller: &Caller,
    session: &Session,
    kind: &str,
    poll: &PollId,
    now: Timestamp,
) -> Option<Action> {
    store(random, Actor::of_change(caller, session), session, (kind, Some(poll)), now)
}

/// Like [`record`], for a new session.
pub(super) fn record_creation(
    random: &Random,
    author: Actor,
    created: &Session,
    now: Timestamp,
) -> Option<Action> {
    store(random, author, created, (CREATED, None), now)
}

fn store(
    random: &Random,
    actor: Actor,
    session: &Session,
    (kind, poll): (&str, Option<&PollId>),
    now: Timestamp,
) -> Option<Action> {
    if !actor.is_delegate() {
        return None;
    }
    log_author(&actor, session);
    let action = DelegatedAction::new(kind, actor, session.version, whole_milli(now));
    let action = DelegatedAction { poll: poll.cloned(), ..action };
    let nonce = data_encoding::BASE32_NOPAD.encode(&random.bytes::<5>());
    Some(delegated_actions::put(&session.id, &action, &nonce))
}

/// Adds the author to the log lines of the request, if somebody acts for the trainer.
pub(super) fn log_author(actor: &Actor, session: &Session) {
    if actor.is_delegate() {
        let span = tracing::Span::current();
        span.record("actor", tracing::field::display(&actor.id));
        span.record("actor_role", actor.role.as_str());
        span.record("trainer_id", tracing::field::display(&session.trainer));
    }
}
