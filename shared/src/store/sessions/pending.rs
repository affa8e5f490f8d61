//! The writes about a meeting that is made later, until it exists. They are no change of the trainer, so they keep the version
//! and raise the meeting revision. An edit or a cancellation that has read the session before is refused.

use super::at_meeting_revision;
use crate::domain::id::{PaymentId, SessionId};
use crate::store::schema::{ItemKey, attr};
use crate::store::sessions::SessionRecord;
use crate::store::tx::{Action, Condition, ItemChanges, number, text};
use jiff::Timestamp;

/// Requires that the session is scheduled and has not changed since it was read.
fn unchanged(record: &SessionRecord) -> Condition {
    let condition = Condition::new()
        .equals(attr::VERSION, number(record.session.version))
        .equals(attr::STATUS, text("scheduled"));
    at_meeting_revision(condition, record.meeting_revision)
}

fn update(session: &SessionId, changes: ItemChanges, condition: Condition) -> Action {
    Action::update(ItemKey::Session(session), changes.add(attr::MEETING_REVISION, 1), condition)
}

/// Sets the time at which the meeting is due, and the payment that has brought it forward.
pub fn bring_meeting_forward(
    record: &SessionRecord,
    due_at: Timestamp,
    payment: Option<&PaymentId>,
) -> Action {
    let changes = ItemChanges::new().set(attr::MEETING_DUE_AT, text(due_at.to_string()));
    let changes = match payment {
        Some(payment) => changes.set(attr::TRIGGERED_BY, text(payment.as_str())),
        None => changes,
    };
    update(&record.session.id, changes, unchanged(record))
}
