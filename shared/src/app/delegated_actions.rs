//! Records the changes that somebody makes for the trainer of a session.

use jiff::Timestamp;

use crate::domain::actor::Actor;
use crate::domain::caller::Caller;
use crate::domain::id::PollId;
use crate::domain::session::Session;
use crate::domain::time::whole_milli;
use crate::random::Random;
use crate::store::delegated_actions::{self, DelegatedAction};
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
    store(random, caller, changed, kind, None, now)
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
    store(random, caller, session, kind, Some(poll), now)
}

fn store(
    random: &Random,
    caller: &Caller,
    session: &Session,
    kind: &str,
    poll: Option<&PollId>,
    now: Timestamp,
) -> Option<Action> {
    let actor = Actor::of_change(caller, session);
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
