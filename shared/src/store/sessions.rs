//! Sessions: the writes. The reads and lists are in `reads`, the stored format is in `stored`.

mod pending;
mod reads;
mod stored;

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use self::stored::encode_session;
use super::item::{encode, encode_value};
use super::schema::{ItemKey, attr};
use super::tx::{Action, Condition, ItemChanges, number, text};
use crate::domain::id::{MeetingId, SessionId, UserId};
use crate::domain::recorded_span::RecordedSpan;
use crate::domain::session::{Meeting, Provider, Session};
use crate::domain::time::sortable_text;

pub use pending::{
    bring_meeting_forward, claim_meeting_notice, store_meeting, store_meeting_failure,
    take_meeting_lease,
};
pub use reads::{
    SessionCursor, SessionFilter, SessionVersion, SessionsById, live_or_upcoming_since,
};

/// Attributes that an edit may remove.
const OPTIONAL_ATTRIBUTES: [&str; 12] = [
    attr::COURSE_ID,
    "course_title",
    "invitee_list",
    "invitee_count",
    attr::G2PK,
    attr::G2SK,
    attr::SETTINGS_SENT,
    attr::ZOOM_SYNCED_AT,
    attr::TRIGGERED_BY,
    attr::MEETING_DUE_AT,
    attr::MEETING_FAILURE,
    attr::ALLOWS_OVERLAP,
];

/// Attributes that Zoom's events determine, under their own revision ([`apply_meeting_events`]).
const EVENT_ATTRIBUTES: [&str; 7] = [
    attr::STATUS,
    attr::MEETING_INSTANCES,
    attr::EARLIER_INSTANCES,
    attr::RECORDINGS,
    attr::DRIFT,
    attr::ACTUAL_STARTED_AT,
    attr::ACTUAL_ENDED_AT,
];

/// Attributes of a Zoom session that only creation and Zoom's events change ([`apply_meeting_events`]).
const JOIN_CREDENTIAL_ATTRIBUTES: [&str; 4] =
    [attr::JOIN_URL, attr::PASSCODE, attr::JOIN_URL_CHANGED_AT, attr::PASSCODE_CHANGED_AT];

/// A session with the store's own bookkeeping.
#[derive(Clone, Debug)]
pub struct SessionRecord {
    pub session: Session,
    /// Counts the changes made by Zoom's events and by the meeting sweep, which `version` does not count.
    pub meeting_revision: u64,
    /// The hash of the create request's body, which identifies a repeated request.
    pub created_from: Option<String>,
    /// The lease of an edit that is in progress or was interrupted.
    pub edit_lease: Option<EditLease>,
    /// The deletion of the meeting of a cancelled session, if it did not succeed at once.
    pub meeting_deletion: Option<MeetingDeletion>,
}

/// The late deletion of a cancelled session's meeting at Zoom, shown in the timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeetingDeletion {
    pub waiting_since: Timestamp,
    /// The reason of the first failure.
    pub reason: String,
    /// When the repair deleted the meeting or was given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    #[serde(default)]
    pub is_given_up: bool,
}

/// The exclusive right to change a session at Zoom for a short time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EditLease {
    pub holder: String,
    pub until: Timestamp,
}

/// Stores a new session. Refused if the id exists.
pub fn create(session: &Session, created_from: &str) -> Action {
    let mut item = encode_session(session);
    item.insert("created_from".to_owned(), text(created_from));
    Action::put(ItemKey::Session(&session.id), item, Condition::item_absent())
}

/// Requires that no session with this id is stored.
pub fn require_absent(session: &SessionId) -> Action {
    Action::check(ItemKey::Session(session), Condition::item_absent())
}

/// The state on which an edit is based.
#[derive(Clone, Copy, Debug)]
pub struct UpdateBasis<'a> {
    /// The session as it was read.
    pub record: &'a SessionRecord,
    /// The holder of the edit lease, if the edit called Zoom.
    pub lease_holder: Option<&'a str>,
    /// Whether the edit replaces the drift, because it sent the whole session to Zoom or read the meeting.
    pub replaces_drift: bool,
}

/// Stores an edited session. Refused if the session has changed since it was read, or if another edit holds the lease.
/// It does not write the attributes of Zoom's events, which may be newer than the read.
pub fn update(next: &Session, basis: &UpdateBasis<'_>) -> Action {
    update_with_lease(next, basis, |changes| {
        changes.remove(attr::EDIT_LEASE_HOLDER).remove(attr::EDIT_LEASE_UNTIL)
    })
}

/// Stores a changed session before Zoom has the change. The expired lease makes a repair send every field.
pub fn update_before_zoom(
    next: &Session,
    basis: &UpdateBasis<'_>,
    holder: &str,
    now: Timestamp,
) -> Action {
    update_with_lease(next, basis, |changes| {
        changes
            .set(attr::EDIT_LEASE_HOLDER, text(holder))
            .set(attr::EDIT_LEASE_UNTIL, text(sortable_text(now)))
    })
}

fn update_with_lease(
    next: &Session,
    basis: &UpdateBasis<'_>,
    set_lease: impl FnOnce(ItemChanges) -> ItemChanges,
) -> Action {
    let mut item = encode_session(next);
    item.retain(|name, _| !EVENT_ATTRIBUTES.contains(&name.as_str()) && name != attr::SOURCE);
    if next.provider == Provider::Zoom {
        item.retain(|name, _| !JOIN_CREDENTIAL_ATTRIBUTES.contains(&name.as_str()));
    }
    let mut changes = set_lease(ItemChanges::replace(item, &OPTIONAL_ATTRIBUTES));
    let mut condition = Condition::new()
        .equals(attr::VERSION, number(basis.record.session.version))
        .equals(attr::STATUS, text("scheduled"));
    condition = match basis.lease_holder {
        Some(holder) => condition.equals(attr::EDIT_LEASE_HOLDER, text(holder)),
        None => condition.absent(attr::EDIT_LEASE_HOLDER),
    };
    if basis.replaces_drift {
        changes = changes.set(attr::DRIFT, encode_value(&next.drift));
    }
    // Drift that an event has added since the read, such as a deleted meeting, must not be lost, nor a meeting that was made.
    if basis.replaces_drift || basis.record.session.meeting.pending.is_some() {
        condition = at_meeting_revision(condition, basis.record.meeting_revision);
    }
    Action::update(ItemKey::Session(&next.id), changes, condition)
}

/// Requires that Zoom's events have changed nothing since `revision`.
fn at_meeting_revision(condition: Condition, revision: u64) -> Condition {
    match revision {
        0 => condition.absent(attr::MEETING_REVISION),
        revision => condition.equals(attr::MEETING_REVISION, number(revision)),
    }
}

/// Takes the edit lease until `until`. Refused while another request holds it. `settings_sent` includes the settings that
/// the change sends to Zoom, because Zoom may keep them even if the change fails.
pub fn take_edit_lease(
    session: &Session,
    settings_sent: &BTreeSet<String>,
    holder: &str,
    until: Timestamp,
    now: Timestamp,
) -> Action {
    let changes = ItemChanges::new()
        .set(attr::EDIT_LEASE_HOLDER, text(holder))
        .set(attr::EDIT_LEASE_UNTIL, text(sortable_text(until)))
        .set(attr::SETTINGS_SENT, encode_value(settings_sent));
    let condition = Condition::new()
        .equals(attr::VERSION, number(session.version))
        .absent_or_expired(attr::EDIT_LEASE_UNTIL, now);
    Action::update(ItemKey::Session(&session.id), changes, condition)
        .recognized_by(attr::EDIT_LEASE_HOLDER, text(holder))
}

/// Releases the edit lease. Succeeds if nobody holds it, because the response to an earlier release may have been lost.
pub fn release_edit_lease(session: &SessionId, holder: &str) -> Action {
    let changes = ItemChanges::new().remove(attr::EDIT_LEASE_HOLDER).remove(attr::EDIT_LEASE_UNTIL);
    let condition =
        Condition::item_exists().absent_or_equals(attr::EDIT_LEASE_HOLDER, text(holder));
    Action::update(ItemKey::Session(session), changes, condition)
}

/// Expires the edit lease of `holder` at once. The remaining attributes mark the session as possibly different at Zoom.
pub fn expire_edit_lease(session: &SessionId, holder: &str, now: Timestamp) -> Action {
    let changes = ItemChanges::new().set(attr::EDIT_LEASE_UNTIL, text(sortable_text(now)));
    Action::update(
        ItemKey::Session(session),
        changes,
        Condition::new().equals(attr::EDIT_LEASE_HOLDER, text(holder)),
    )
}

/// Stores the drift that a comparison with the meeting at `now` has found, and removes the edit lease of `holder`. Refused if
/// the session, its events or its lease have changed since it was read. Recognized by its time: an edit at the same
/// millisecond has sent every field as well.
pub fn store_comparison(
    record: &SessionRecord,
    holder: Option<&str>,
    drift: &[String],
    now: Timestamp,
) -> Action {
    let changes = ItemChanges::new()
        .remove(attr::EDIT_LEASE_HOLDER)
        .remove(attr::EDIT_LEASE_UNTIL)
        .set(attr::DRIFT, encode_value(&drift))
        .set(attr::ZOOM_SYNCED_AT, text(now.to_string()))
        .set(attr::MEETING_REVISION, number(record.meeting_revision + 1));
    let condition = Condition::new().equals(attr::VERSION, number(record.session.version));
    let condition = match holder {
        Some(holder) => condition.equals(attr::EDIT_LEASE_HOLDER, text(holder)),
        None => condition.absent(attr::EDIT_LEASE_HOLDER),
    };
    let condition = at_meeting_revision(condition, record.meeting_revision);
    Action::update(ItemKey::Session(&record.session.id), changes, condition)
        .recognized_by(attr::ZOOM_SYNCED_AT, text(now.to_string()))
}

/// Stores a cancellation. Refused if the session has changed since it was read, or if its meeting was made since.
pub fn cancel(next: &Session, read: &SessionRecord) -> Action {
    let cancelled_at = next.cancelled_at.unwrap_or(next.updated_at);
    let changes = ItemChanges::new()
        .set(attr::STATUS, text("cancelled"))
        .set(attr::CANCELLED_AT, text(cancelled_at.to_string()))
        .set(attr::UPDATED_AT, text(next.updated_at.to_string()))
        .set(attr::ICS_SEQUENCE, number(next.ics_sequence))
        .set(attr::VERSION, number(next.version))
        .remove(attr::EDIT_LEASE_HOLDER)
        .remove(attr::EDIT_LEASE_UNTIL);
    let mut condition = Condition::new().equals(attr::VERSION, number(read.session.version));
    if read.session.meeting.pending.is_some() {
        condition = at_meeting_revision(condition, read.meeting_revision);
    }
    Action::update(ItemKey::Session(&next.id), changes, condition)
}

/// Stores the state of the meeting's deletion of a cancelled session. Refused if the session does not exist.
pub fn put_meeting_deletion(session: &SessionId, deletion: &MeetingDeletion) -> Action {
    Action::update(
        ItemKey::Session(session),
        ItemChanges::new().set(attr::MEETING_DELETION, encode_value(deletion)),
        Condition::item_exists(),
    )
}

#[derive(Serialize)]
struct StoredMeetingPointer<'a> {
    session_id: &'a SessionId,
    trainer_id: &'a UserId,
}

/// Stores the pointer from a Zoom meeting to its session, by which the webhook finds the session.
pub fn put_meeting_pointer(meeting: MeetingId, session: &SessionId, trainer: &UserId) -> Action {
    let item = encode(&StoredMeetingPointer { session_id: session, trainer_id: trainer });
    Action::put(ItemKey::Meeting(meeting), item, Condition::new())
}

/// Stores the pointer from a meeting instance to its session. Some of Zoom's events contain only the uuid.
pub fn put_instance_pointer(uuid: &str, session: &SessionId, trainer: &UserId) -> Action {
    let item = encode(&StoredMeetingPointer { session_id: session, trainer_id: trainer });
    Action::put(ItemKey::MeetingInstance(uuid), item, Condition::new())
}

/// Stores the session lifecycle that follows from Zoom's events. Refused if other events have changed it since it was read.
pub fn apply_meeting_events(next: &Session, read_revision: u64) -> Action {
    let time = |changes: ItemChanges, name: &'static str, at: Option<Timestamp>| match at {
        Some(at) => changes.set(name, text(at.to_string())),
        None => changes.remove(name),
    };
    let changes = ItemChanges::new()
        .set(attr::STATUS, text(next.status.as_str()))
        .set(attr::MEETING_INSTANCES, encode_value(&next.meeting_instances))
        .set(attr::DRIFT, encode_value(&next.drift))
        .set(attr::MEETING_REVISION, number(read_revision + 1));
    let changes = match &next.earlier_instances {
        Some(earlier) => changes.set(attr::EARLIER_INSTANCES, encode_value(earlier)),
        None => changes,
    };
    let changes = time(changes, attr::ACTUAL_STARTED_AT, next.actual_started_at);
    let changes = time(changes, attr::ACTUAL_ENDED_AT, next.actual_ended_at);
    let changes = set_join_credentials(changes, &next.meeting);
    // The version check keeps a concurrent cancellation from being undone.
    let condition = at_meeting_revision(
        Condition::new().equals(attr::VERSION, number(next.version)),
        read_revision,
    );
    Action::update(ItemKey::Session(&next.id), changes, condition)
}

/// Stores the spans of the session's recordings. Refused if other events have changed the session since it was read.
pub fn set_recordings(
    session: &SessionId,
    recordings: &[RecordedSpan],
    read_revision: u64,
) -> Action {
    let changes = ItemChanges::new()
        .set(attr::RECORDINGS, encode_value(&recordings))
        .set(attr::MEETING_REVISION, number(read_revision + 1));
    let condition = at_meeting_revision(Condition::item_exists(), read_revision);
    Action::update(ItemKey::Session(session), changes, condition)
}

/// Sets the join credentials that Zoom's events have changed.
fn set_join_credentials(mut changes: ItemChanges, meeting: &Meeting) -> ItemChanges {
    if let (Some(at), Some(join_url)) =
        (meeting.credentials_reported_at.join_url, &meeting.join_url)
    {
        changes = changes
            .set(attr::JOIN_URL, text(join_url.as_str()))
            .set(attr::JOIN_URL_CHANGED_AT, text(at.to_string()));
    }
    if let (Some(at), Some(passcode)) =
        (meeting.credentials_reported_at.passcode, &meeting.passcode)
    {
        changes = changes
            .set(attr::PASSCODE, text(passcode.as_str()))
            .set(attr::PASSCODE_CHANGED_AT, text(at.to_string()));
    }
    changes
}
