//! The writes about a meeting that is made later, until it exists. They are no change of the trainer, so they keep the version
//! and raise the meeting revision. An edit or a cancellation that has read the session before is refused.

use jiff::Timestamp;

use super::{SessionRecord, at_meeting_revision};
use crate::domain::id::{PaymentId, SessionId};
use crate::domain::session::{Meeting, Session};
use crate::domain::time::sortable_text;
use crate::store::item::encode_value;
use crate::store::schema::{ItemKey, attr};
use crate::store::tx::{Action, Condition, ItemChanges, number, text};

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

/// Takes the edit lease to make the meeting, and stores its host. Refused while another request holds the lease. Until the
/// meeting is made, an expired lease means that it may exist at Zoom.
pub fn take_meeting_lease(
    record: &SessionRecord,
    host: &Meeting,
    holder: &str,
    until: Timestamp,
    now: Timestamp,
) -> Action {
    let changes = set_host(ItemChanges::new(), host)
        .set(attr::EDIT_LEASE_HOLDER, text(holder))
        .set(attr::EDIT_LEASE_UNTIL, text(sortable_text(until)));
    let condition = unchanged(record).absent_or_expired(attr::EDIT_LEASE_UNTIL, now);
    update(&record.session.id, changes, condition)
        .recognized_by(attr::EDIT_LEASE_HOLDER, text(holder))
}

/// Stores the meeting, and removes the lease of `holder`. Refused if the session was edited or cancelled since the lease was
/// taken, or if the lease was lost.
pub fn store_meeting(next: &Session, holder: &str) -> Action {
    let Meeting { id, join_url, passcode, has_registration, .. } = &next.meeting;
    let mut changes = set_host(ItemChanges::new(), &next.meeting)
        .set(attr::DRIFT, encode_value(&next.drift))
        .set(attr::ZOOM_SYNCED_AT, text(next.zoom_synced_at.to_string()))
        .remove(attr::MEETING_DUE_AT)
        .remove(attr::MEETING_FAILURE)
        .remove(attr::ALLOWS_OVERLAP)
        .remove(attr::EDIT_LEASE_HOLDER)
        .remove(attr::EDIT_LEASE_UNTIL);
    if *has_registration {
        changes = changes.set(attr::HAS_REGISTRATION, encode_value(&true));
    }
    let number_of_meeting = encode_value(id);
    changes = changes.set(attr::MEETING_ID, number_of_meeting.clone());
    for (name, sealed) in [(attr::JOIN_URL, join_url), (attr::PASSCODE, passcode)] {
        changes = set_or_remove(changes, name, sealed.as_ref().map(|sealed| sealed.as_str()));
    }
    update(&next.id, changes, held(next, holder)).recognized_by(attr::MEETING_ID, number_of_meeting)
}

/// Stores that the meeting was given up, and removes the lease of `holder`.
pub fn store_meeting_failure(session: &Session, holder: Option<&str>, failure: &str) -> Action {
    let changes = ItemChanges::new().set(attr::MEETING_FAILURE, text(failure));
    let (changes, condition) = match holder {
        Some(holder) => (
            changes.remove(attr::EDIT_LEASE_HOLDER).remove(attr::EDIT_LEASE_UNTIL),
            held(session, holder),
        ),
        None => {
            let condition = Condition::new()
                .equals(attr::VERSION, number(session.version))
                .absent(attr::EDIT_LEASE_HOLDER);
            (changes, condition.exists(attr::MEETING_DUE_AT))
        }
    };
    update(&session.id, changes, condition)
}

/// Marks that the trainer is notified of the missing meeting, in the transaction of the domain event. Refused if they were
/// notified for this start before, or if the session has a meeting, was moved or was cancelled.
pub fn claim_meeting_notice(session: &SessionId, starts_at: Timestamp) -> Action {
    let start = text(starts_at.to_string());
    let condition = Condition::new()
        .equals(attr::STATUS, text("scheduled"))
        .equals(attr::STARTS_AT, start.clone())
        .exists(attr::MEETING_DUE_AT)
        .absent_or_differs(attr::MEETING_NOTICE_FOR, start.clone());
    let changes = ItemChanges::new().set(attr::MEETING_NOTICE_FOR, start);
    Action::update(ItemKey::Session(session), changes, condition)
}

fn held(session: &Session, holder: &str) -> Condition {
    Condition::new()
        .equals(attr::VERSION, number(session.version))
        .equals(attr::STATUS, text("scheduled"))
        .equals(attr::EDIT_LEASE_HOLDER, text(holder))
}

fn set_host(mut changes: ItemChanges, meeting: &Meeting) -> ItemChanges {
    for (name, value) in [
        (attr::ZOOM_ACCOUNT, meeting.account.as_deref()),
        (attr::HOST, meeting.host_user.as_deref()),
        (attr::PLATFORM_USER, meeting.platform_user.as_ref().map(|user| user.as_str())),
    ] {
        changes = set_or_remove(changes, name, value);
    }
    changes
}

fn set_or_remove(changes: ItemChanges, name: &str, value: Option<&str>) -> ItemChanges {
    match value {
        Some(value) => changes.set(name, text(value)),
        None => changes.remove(name),
    }
}
