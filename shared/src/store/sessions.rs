//! Sessions: the stored format, the writes, and the lists.

use std::collections::{BTreeSet, HashMap, HashSet};

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};

use super::error::StoreError;
use super::item::{decode, decode_readable, encode, encode_value};
use super::schema::{ItemKey, attr, course_partition, index, session_sort_key, trainer_partition};
use super::tx::{Action, Condition, Item, ItemChanges, number, text};
use super::{BatchItems, ItemPage, KeyRange, Store};
use crate::crypt::Sealed;
use crate::domain::audience::{Audience, InviteeList};
use crate::domain::draft::DURATION_MINUTES;
use crate::domain::id::{CourseId, MeetingId, SessionId, UserId};
use crate::domain::join_window::JoinWindowSettings;
use crate::domain::meeting_instance::{EarlierInstances, MeetingInstance};
use crate::domain::recording::RecordedSpan;
use crate::domain::session::{JoinCredentialsTimes, Meeting, Provider, Session, Source, Status};
use crate::domain::settings::MeetingSettings;
use crate::domain::text::{Description, Title};
use crate::domain::time::{Zone, plus_minutes, sortable_text};

/// Items that a filtered list reads per request. Sparse matches then take few requests.
const FILTERED_PAGE: i32 = 200;
/// Requests per page of a filtered list. If they do not fill the page, it is returned short with a cursor.
const FILTERED_REQUESTS: usize = 10;

#[derive(Serialize, Deserialize)]
struct StoredSession {
    id: SessionId,
    trainer_id: UserId,
    title: Title,
    #[serde(default = "no_description")]
    description: Description,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    course_id: Option<CourseId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    course_title: Option<Title>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    invitee_list: Option<InviteeList>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    invitee_count: Option<usize>,
    starts_at: Timestamp,
    timezone: Zone,
    /// Absent in items that are older than the attribute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    utc_offset: Option<i32>,
    duration_minutes: u16,
    /// Absent in items that are older than the attribute.
    #[serde(default)]
    window: JoinWindowSettings,
    provider: Provider,
    record_session: bool,
    #[serde(default, deserialize_with = "stored_settings")]
    settings: MeetingSettings,
    /// Settings that were sent to Zoom once and are no longer part of `settings`.
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

#[expect(clippy::expect_used, reason = "an empty description is valid")]
fn no_description() -> Description {
    Description::parse("").expect("an empty description is within its limit")
}

fn stored_source<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Source, D::Error> {
    String::deserialize(deserializer).map(Source::from_stored)
}

fn stored_settings<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<MeetingSettings, D::Error> {
    serde_json::Map::deserialize(deserializer).map(MeetingSettings::from_stored)
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
            title: s.title,
            description: s.description,
            course_id,
            course_title,
            invitee_list,
            invitee_count,
            starts_at: s.starts_at,
            timezone: s.zone,
            utc_offset: Some(s.utc_offset),
            duration_minutes: s.duration_minutes,
            window: s.window,
            provider: s.provider,
            record_session: s.record_session,
            settings_sent: &s.settings_sent - &s.settings.names(),
            settings: s.settings,
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
            title: s.title,
            description: s.description,
            audience,
            starts_at: s.starts_at,
            utc_offset: s.utc_offset.unwrap_or_else(|| s.timezone.utc_offset(s.starts_at)),
            zone: s.timezone,
            duration_minutes: s.duration_minutes,
            window: s.window,
            provider: s.provider,
            record_session: s.record_session,
            settings_sent: &s.settings_sent | &s.settings.names(),
            settings: s.settings,
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
    let sort_key = session_sort_key(session.starts_at, &session.id);
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

#[derive(Deserialize)]
struct MeetingPointer {
    session_id: SessionId,
}

/// A filter for session lists.
#[derive(Clone, Debug, Default)]
pub struct SessionFilter {
    pub status: Option<Status>,
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
    /// Whether a session that cannot be read is an error. Otherwise it is left out.
    pub is_strict: bool,
}

/// Sessions that were read by id.
#[derive(Debug, Default)]
pub struct SessionsById {
    pub found: HashMap<SessionId, Session>,
    /// Sessions that exist, but cannot be read.
    pub unreadable: HashSet<SessionId>,
}

/// The part of a session from which its enrollments are fanned out, which is read even if the rest is not readable.
#[derive(Clone, Debug, Deserialize)]
pub struct SessionVersion {
    pub id: SessionId,
    pub version: u64,
    pub created_at: Timestamp,
}

/// The position in a list by start at which a page ended. It contains no partition, so that a cursor cannot open another
/// user's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionCursor {
    pub starts_at: Timestamp,
    pub id: SessionId,
}

impl SessionCursor {
    pub fn from_session(session: &Session) -> Self {
        Self { starts_at: session.starts_at, id: session.id.clone() }
    }
}

impl Store {
    pub async fn session(&self, id: &SessionId) -> Result<Option<SessionRecord>, StoreError> {
        self.get(ItemKey::Session(id)).await?.map(decode_record).transpose()
    }

    /// Reads a session with an eventually consistent read, at half the price. If it is not found, the read is repeated with
    /// strong consistency.
    pub async fn session_eventually_consistent(
        &self,
        id: &SessionId,
    ) -> Result<Option<SessionRecord>, StoreError> {
        match self.get_eventually_consistent(ItemKey::Session(id)).await? {
            Some(item) => decode_record(item).map(Some),
            None => self.session(id).await,
        }
    }

    /// Returns the session of a Zoom meeting.
    pub async fn session_of_meeting(
        &self,
        meeting: MeetingId,
    ) -> Result<Option<SessionRecord>, StoreError> {
        let Some(pointer) = self.get(ItemKey::Meeting(meeting)).await? else { return Ok(None) };
        self.session(&decode::<MeetingPointer>(pointer)?.session_id).await
    }

    /// Returns the ids of the sessions to which meetings belong. Unknown meetings are missing.
    pub async fn owners_of_meetings(
        &self,
        meetings: &[MeetingId],
    ) -> Result<HashMap<MeetingId, SessionId>, StoreError> {
        let keys: Vec<_> = meetings.iter().map(|meeting| ItemKey::Meeting(*meeting)).collect();
        let mut found = self.batch_get(&keys).await?;
        let mut owners = HashMap::new();
        for meeting in meetings {
            if let Some(pointer) = found.take(ItemKey::Meeting(*meeting)) {
                owners.insert(*meeting, decode::<MeetingPointer>(pointer)?.session_id);
            }
        }
        Ok(owners)
    }

    /// Returns the sessions of meeting instances by uuid. Unknown instances are missing.
    pub async fn sessions_of_instances(
        &self,
        uuids: &[&str],
    ) -> Result<HashMap<String, SessionRecord>, StoreError> {
        let keys: Vec<_> = uuids.iter().map(|uuid| ItemKey::MeetingInstance(uuid)).collect();
        let mut pointers = self.batch_get(&keys).await?;
        let mut known = Vec::new();
        for uuid in uuids {
            if let Some(pointer) = pointers.take(ItemKey::MeetingInstance(uuid)) {
                let pointer = decode::<MeetingPointer>(pointer);
                known.extend(pointer.ok().map(|pointer| (*uuid, pointer.session_id)));
            }
        }
        let keys: Vec<_> = known.iter().map(|(_, session)| ItemKey::Session(session)).collect();
        let mut found =
            if keys.is_empty() { BatchItems::default() } else { self.batch_get(&keys).await? };
        let mut records = HashMap::new();
        for (_, id) in &known {
            if let Ok(Some(record)) = found.session(id) {
                records.insert(id.clone(), record);
            }
        }
        let of_instance =
            |(uuid, id): (&str, SessionId)| Some((uuid.to_owned(), records.get(&id)?.clone()));
        Ok(known.into_iter().filter_map(of_instance).collect())
    }

    pub async fn sessions(&self, ids: &[SessionId]) -> Result<Vec<Session>, StoreError> {
        let keys: Vec<_> = ids.iter().map(ItemKey::Session).collect();
        let mut found = self.batch_get(&keys).await?;
        ids.iter().filter_map(|id| found.take(ItemKey::Session(id))).map(decode_session).collect()
    }

    /// Returns the sessions with these ids. A session that cannot be read does not affect the others.
    pub async fn sessions_by_id(&self, ids: &[SessionId]) -> Result<SessionsById, StoreError> {
        let keys: Vec<_> = ids.iter().map(ItemKey::Session).collect();
        let mut batch = self.batch_get(&keys).await?;
        let mut sessions = SessionsById::default();
        for id in ids {
            match batch.take(ItemKey::Session(id)).map(decode_session) {
                Some(Ok(session)) => drop(sessions.found.insert(id.clone(), session)),
                Some(Err(_)) => drop(sessions.unreadable.insert(id.clone())),
                None => {}
            }
        }
        Ok(sessions)
    }

    /// Returns the starts of sessions with eventual consistency. An unreadable session is left out.
    pub async fn session_starts(
        &self,
        ids: &[SessionId],
    ) -> Result<HashMap<SessionId, Timestamp>, StoreError> {
        let keys: Vec<_> = ids.iter().map(ItemKey::Session).collect();
        let mut found = self.batch_get_eventually_consistent(&keys).await?;
        let sessions = ids.iter().filter_map(|id| {
            let session = found.take(ItemKey::Session(id)).map(decode_session)?.ok()?;
            Some((id.clone(), session.starts_at))
        });
        Ok(sessions.collect())
    }

    /// Returns a page of a trainer's sessions by start, with the cursor of the next page.
    pub async fn sessions_of_trainer(
        &self,
        trainer: &UserId,
        filter: &SessionFilter,
        after: Option<&SessionCursor>,
        limit: usize,
    ) -> Result<(Vec<Session>, Option<SessionCursor>), StoreError> {
        let range = list_range(index::BY_OWNER, trainer_partition(trainer), filter, after);
        self.session_page(range, limit, filter.is_strict).await
    }

    /// Returns a page of a course's sessions by start, of one trainer or of all, with the cursor of the next page.
    pub async fn sessions_of_course(
        &self,
        course: &CourseId,
        trainer: Option<&UserId>,
        filter: &SessionFilter,
        after: Option<&SessionCursor>,
        limit: usize,
    ) -> Result<(Vec<Session>, Option<SessionCursor>), StoreError> {
        let mut range = list_range(index::BY_AUDIENCE, course_partition(course), filter, after);
        range.filter.extend(trainer.map(|trainer| (attr::TRAINER_ID, text(trainer.as_str()))));
        self.session_page(range, limit, filter.is_strict).await
    }

    /// Returns the sessions of a range that fit into one request.
    pub(super) async fn sessions_in_range(
        &self,
        range: KeyRange,
    ) -> Result<Vec<Session>, StoreError> {
        let items = self.query(range).await?.items;
        Ok(items.into_iter().filter_map(|item| decode_session(item).ok()).collect())
    }

    /// Returns the live and upcoming sessions of a course. A session that cannot be read may be one of them.
    pub async fn upcoming_sessions(
        &self,
        course: &CourseId,
        now: Timestamp,
    ) -> Result<Vec<SessionVersion>, StoreError> {
        let mut items = self.query_all(live_or_upcoming_range(course, now)).await?;
        items.retain(|item| {
            decode_session(item.clone()).map_or(true, |session| session.is_upcoming_or_live(now))
        });
        Ok(decode_readable(items).collect())
    }

    /// Returns whether a course has sessions that start after `from`. Eventually consistent.
    pub async fn course_has_sessions(
        &self,
        course: &CourseId,
        from: Timestamp,
    ) -> Result<bool, StoreError> {
        let filter = SessionFilter { from: Some(from), ..SessionFilter::default() };
        let range = list_range(index::BY_AUDIENCE, course_partition(course), &filter, None);
        let page = self.query(KeyRange { limit: Some(1), ..range }).await?;
        Ok(!page.items.is_empty())
    }

    async fn session_page(
        &self,
        mut range: KeyRange,
        limit: usize,
        is_strict: bool,
    ) -> Result<(Vec<Session>, Option<SessionCursor>), StoreError> {
        let full_page = i32::try_from(limit).unwrap_or(i32::MAX);
        range.limit =
            Some(if range.filter.is_empty() { full_page } else { full_page.max(FILTERED_PAGE) });
        let mut sessions: Vec<Session> = Vec::new();
        for _ in 0..FILTERED_REQUESTS {
            let ItemPage { items, last_key: last } = self.query(range.clone()).await?;
            for item in items {
                if sessions.len() == limit {
                    return Ok((
                        sessions.clone(),
                        sessions.last().map(SessionCursor::from_session),
                    ));
                }
                match decode_session(item) {
                    Ok(session) => sessions.push(session),
                    Err(error) if is_strict => return Err(error),
                    Err(_) => {}
                }
            }
            match last {
                None => return Ok((sessions, None)),
                Some(last_key) if sessions.len() == limit => {
                    return Ok((sessions, cursor_from_key(&last_key)));
                }
                Some(last_key) => range.after = Some(last_key),
            }
        }
        let next = range.after.as_ref().and_then(cursor_from_key);
        Ok((sessions, next))
    }
}

/// The range of a course's sessions that may not be over, given the longest duration and window.
fn live_or_upcoming_range(course: &CourseId, now: Timestamp) -> KeyRange {
    let from = live_or_upcoming_since(now);
    let filter = SessionFilter { from: Some(from), ..SessionFilter::default() };
    list_range(index::BY_AUDIENCE, course_partition(course), &filter, None)
}

/// Returns the earliest planned start of a session with a window that may be open at `now`.
pub fn live_or_upcoming_since(now: Timestamp) -> Timestamp {
    plus_minutes(now, -(DURATION_MINUTES.end() + JoinWindowSettings::LIMIT_MINUTES))
}

fn list_range(
    index: &'static str,
    pk: String,
    filter: &SessionFilter,
    after: Option<&SessionCursor>,
) -> KeyRange {
    // A bound instead of DynamoDB's start key, which is an error outside the range, as with the cursor of another `from`.
    // '!' sorts after the end of a key and before every continuation.
    let lower = after.map(|cursor| format!("{}!", session_sort_key(cursor.starts_at, &cursor.id)));
    KeyRange {
        index: Some(index),
        from: filter.from.map(sortable_text).max(lower),
        // '~' sorts after the '#' that follows the time, so that a start at exactly `to` is included.
        to: filter.to.map(|to| format!("{}~", sortable_text(to))),
        filter: filter
            .status
            .map(|status| (attr::STATUS, text(status.as_str())))
            .into_iter()
            .collect(),
        pk,
        ..KeyRange::default()
    }
}

/// The cursor for a query's last key.
fn cursor_from_key(last_key: &Item) -> Option<SessionCursor> {
    let key = last_key.get(attr::G1SK).or_else(|| last_key.get(attr::G2SK))?.as_s().ok()?;
    let (starts_at, id) = key.split_once('#')?;
    Some(SessionCursor { starts_at: starts_at.parse().ok()?, id: SessionId::parse(id)? })
}

impl BatchItems {
    pub(crate) fn session(&mut self, id: &SessionId) -> Result<Option<SessionRecord>, StoreError> {
        self.take(ItemKey::Session(id)).map(decode_record).transpose()
    }
}
