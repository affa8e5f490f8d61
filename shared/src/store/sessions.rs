//! Sessions: the stored format and the writes. The reads and lists are in `reads`.

mod reads;

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};

use super::error::StoreError;
use super::item::{decode, encode, encode_value};
use super::schema::{ItemKey, attr, course_partition, session_sort_key, trainer_partition};
use super::tx::{Action, Condition, Item, ItemChanges, number, text};
use crate::crypt::Sealed;
use crate::domain::audience::{Audience, InviteeList};
use crate::domain::id::{CourseId, MeetingId, SessionId, UserId};
use crate::domain::meeting_instance::{EarlierInstances, MeetingInstance};
use crate::domain::recorded_span::RecordedSpan;
use crate::domain::session::{
    JoinCredentialsTimes, Meeting, Provider, Session, SessionDetails, Source, Status,
};
use crate::domain::session_window::JoinWindowSettings;
use crate::domain::text::Title;
use crate::domain::time::sortable_text;

pub use reads::{
    SessionCursor, SessionFilter, SessionVersion, SessionsById, live_or_upcoming_since,
};

#[derive(Serialize, Deserialize)]
struct StoredSession {
    id: SessionId,
    trainer_id: UserId,
    /// Stored as attributes of the session.
    #[serde(flatten)]
    details: SessionDetails,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    course_id: Option<CourseId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    course_title: Option<Title>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    invitee_list: Option<InviteeList>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    invitee_count: Option<usize>,
    /// Absent in items that are older than the attribute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    utc_offset: Option<i32>,
    /// Absent in items that are older than the attribute.
    #[serde(default)]
    window: JoinWindowSettings,
    provider: Provider,
    /// Settings that were sent to Zoom once and are no longer part of the details.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    settings_sent: BTreeSet<String>,
    status: Status,
    #[serde(deserialize_with = "stored_source")]
    source: Source,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    meeting_id: Option<MeetingId>,
    join_url: Sealed,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    passcode: Option<Sealed>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    join_url_changed_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    passcode_changed_at: Option<Timestamp>,
    ics_sequence: u32,
    version: u64,
    created_at: Timestamp,
    updated_at: Timestamp,
    /// Absent if it equals `updated_at`, because most changes are sent to Zoom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    zoom_synced_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cancelled_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    actual_started_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    actual_ended_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    zoom_account: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    /// [`attr::MEETING_INSTANCES`].
    #[serde(default, rename = "instances", skip_serializing_if = "Vec::is_empty")]
    meeting_instances: Vec<MeetingInstance>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    earlier_instances: Option<EarlierInstances>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    recordings: Vec<RecordedSpan>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    drift: Vec<String>,
}

/// Attributes that an edit may remove.
const OPTIONAL_ATTRIBUTES: [&str; 8] = [
    attr::COURSE_ID,
    "course_title",
    "invitee_list",
    "invitee_count",
    attr::G2PK,
    attr::G2SK,
    attr::SETTINGS_SENT,
    attr::ZOOM_SYNCED_AT,
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

fn stored_source<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Source, D::Error> {
    String::deserialize(deserializer).map(Source::from_stored)
}

/// A session with the store's own bookkeeping.
#[derive(Clone, Debug)]
pub struct SessionRecord {
    pub session: Session,
    /// Counts the changes made by Zoom's events, which `version` does not count.
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

#[derive(Deserialize)]
struct StoredBookkeeping {
    #[serde(default)]
    meeting_revision: u64,
    #[serde(default)]
    created_from: Option<String>,
    #[serde(default)]
    edit_lease_holder: Option<String>,
    #[serde(default)]
    edit_lease_until: Option<Timestamp>,
    #[serde(default)]
    meeting_deletion: Option<MeetingDeletion>,
}

impl From<Session> for StoredSession {
    fn from(s: Session) -> Self {
        let (course_id, course_title, invitee_list, invitee_count) = match s.audience {
            Audience::Standalone => (None, None, None, None),
            Audience::Course { id, title } => (Some(id), Some(title), None, None),
            Audience::Invitees { list, count } => (None, None, Some(list), Some(count)),
        };
        Self {
            id: s.id,
            trainer_id: s.trainer,
            course_id,
            course_title,
            invitee_list,
            invitee_count,
            utc_offset: Some(s.utc_offset),
            window: s.window,
            provider: s.provider,
            settings_sent: &s.settings_sent - &s.details.settings.names(),
            details: s.details,
            status: s.status,
            source: s.source,
            meeting_id: s.meeting.id,
            join_url: s.meeting.join_url,
            passcode: s.meeting.passcode,
            join_url_changed_at: s.meeting.credentials_reported_at.join_url,
            passcode_changed_at: s.meeting.credentials_reported_at.passcode,
            ics_sequence: s.ics_sequence,
            version: s.version,
            created_at: s.created_at,
            updated_at: s.updated_at,
            zoom_synced_at: (s.zoom_synced_at != s.updated_at).then_some(s.zoom_synced_at),
            cancelled_at: s.cancelled_at,
            actual_started_at: s.actual_started_at,
            actual_ended_at: s.actual_ended_at,
            zoom_account: s.meeting.account,
            host: s.meeting.host_user,
            meeting_instances: s.meeting_instances,
            earlier_instances: s.earlier_instances,
            recordings: s.recordings,
            drift: s.drift,
        }
    }
}

impl From<StoredSession> for Session {
    fn from(s: StoredSession) -> Self {
        let audience = match (s.course_id, s.course_title, s.invitee_list) {
            (Some(id), Some(title), _) => Audience::Course { id, title },
            (_, _, Some(list)) => Audience::Invitees { list, count: s.invitee_count.unwrap_or(0) },
            _ => Audience::Standalone,
        };
        Self {
            id: s.id,
            trainer: s.trainer_id,
            audience,
            utc_offset: s
                .utc_offset
                .unwrap_or_else(|| s.details.zone.utc_offset(s.details.starts_at)),
            window: s.window,
            provider: s.provider,
            settings_sent: &s.settings_sent | &s.details.settings.names(),
            details: s.details,
            status: s.status,
            source: s.source,
            meeting: Meeting {
                account: s.zoom_account,
                host_user: s.host,
                id: s.meeting_id,
                join_url: s.join_url,
                passcode: s.passcode,
                credentials_reported_at: JoinCredentialsTimes {
                    join_url: s.join_url_changed_at,
                    passcode: s.passcode_changed_at,
                },
            },
            ics_sequence: s.ics_sequence,
            version: s.version,
            created_at: s.created_at,
            updated_at: s.updated_at,
            zoom_synced_at: s.zoom_synced_at.unwrap_or(s.updated_at),
            cancelled_at: s.cancelled_at,
            actual_started_at: s.actual_started_at,
            actual_ended_at: s.actual_ended_at,
            meeting_instances: s.meeting_instances,
            earlier_instances: s.earlier_instances,
            recordings: s.recordings,
            drift: s.drift,
        }
    }
}

fn encode_session(session: &Session) -> Item {
    let sort_key = session_sort_key(session.details.starts_at, &session.id);
    let mut item = encode(&StoredSession::from(session.clone()));
    item.insert(attr::G1PK.to_owned(), text(trainer_partition(&session.trainer)));
    item.insert(attr::G1SK.to_owned(), text(sort_key.clone()));
    if let Some(course) = session.audience.course() {
        item.insert(attr::G2PK.to_owned(), text(course_partition(course)));
        item.insert(attr::G2SK.to_owned(), text(sort_key));
    }
    item
}

fn decode_session(item: Item) -> Result<Session, StoreError> {
    decode::<StoredSession>(item).map(Session::from)
}

fn decode_record(item: Item) -> Result<SessionRecord, StoreError> {
    let bookkeeping: StoredBookkeeping = decode(item.clone())?;
    let edit_lease = bookkeeping
        .edit_lease_holder
        .zip(bookkeeping.edit_lease_until)
        .map(|(holder, until)| EditLease { holder, until });
    Ok(SessionRecord {
        session: decode_session(item)?,
        meeting_revision: bookkeeping.meeting_revision,
        created_from: bookkeeping.created_from,
        edit_lease,
        meeting_deletion: bookkeeping.meeting_deletion,
    })
}

/// Stores a new session. Refused if the id exists.
pub fn create(session: &Session, created_from: &str) -> Action {
    let mut item = encode_session(session);
    item.insert("created_from".to_owned(), text(created_from));
    Action::put(ItemKey::Session(&session.id), item, Condition::item_absent())
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
        // Drift that an event has added since the read, such as a deleted meeting, must not be lost.
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

/// Stores a cancellation. Refused if the session has changed since it was read.
pub fn cancel(next: &Session, read_version: u64) -> Action {
    let cancelled_at = next.cancelled_at.unwrap_or(next.updated_at);
    let changes = ItemChanges::new()
        .set(attr::STATUS, text("cancelled"))
        .set(attr::CANCELLED_AT, text(cancelled_at.to_string()))
        .set(attr::UPDATED_AT, text(next.updated_at.to_string()))
        .set(attr::ICS_SEQUENCE, number(next.ics_sequence))
        .set(attr::VERSION, number(next.version))
        .remove(attr::EDIT_LEASE_HOLDER)
        .remove(attr::EDIT_LEASE_UNTIL);
    Action::update(
        ItemKey::Session(&next.id),
        changes,
        Condition::new().equals(attr::VERSION, number(read_version)),
    )
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
    if let Some(at) = meeting.credentials_reported_at.join_url {
        changes = changes
            .set(attr::JOIN_URL, text(meeting.join_url.as_str()))
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
