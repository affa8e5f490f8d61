//! The stored format of a session.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};

use super::{EditLease, MeetingDeletion, SessionRecord};
use crate::crypt::Sealed;
use crate::domain::audience::{Audience, InviteeList};
use crate::domain::id::{
    CourseId, ExternalRef, MeetingId, PaymentId, SessionId, UserId, ZoomUserId,
};
use crate::domain::meeting_instance::{EarlierInstances, MeetingInstance};
use crate::domain::pending_meeting::PendingMeeting;
use crate::domain::recorded_span::RecordedSpan;
use crate::domain::session::{
    JoinCredentialsTimes, Meeting, Provider, Session, SessionDetails, Source, Status,
};
use crate::domain::session_window::JoinWindowSettings;
use crate::domain::text::Title;
use crate::store::error::StoreError;
use crate::store::item::{decode, encode};
use crate::store::schema::{Index, course_partition, session_sort_key, trainer_partition};
use crate::store::tx::{Item, insert_index_key};

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
    external_ref: Option<ExternalRef>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    triggered_by: Option<PaymentId>,
    /// When the meeting is made, while there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    meeting_due_at: Option<Timestamp>,
    /// Why the meeting was given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    meeting_failure: Option<String>,
    /// Whether it may overlap with others of its host.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    allows_overlap: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    meeting_id: Option<MeetingId>,
    /// Absent until the meeting is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    join_url: Option<Sealed>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    passcode: Option<Sealed>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    join_url_changed_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    passcode_changed_at: Option<Timestamp>,
    /// Absent in items that are older than the attribute.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    has_registration: bool,
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    platform_user: Option<ZoomUserId>,
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

fn stored_source<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Source, D::Error> {
    String::deserialize(deserializer).map(Source::from_stored)
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
        let (meeting_due_at, meeting_failure, allows_overlap) = match s.meeting.pending {
            Some(PendingMeeting { due_at, failure, allows_overlap }) => {
                (Some(due_at), failure, allows_overlap)
            }
            None => (None, None, false),
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
            external_ref: s.external_ref,
            triggered_by: s.triggered_by,
            meeting_due_at,
            meeting_failure,
            allows_overlap,
            meeting_id: s.meeting.id,
            join_url: s.meeting.join_url,
            passcode: s.meeting.passcode,
            join_url_changed_at: s.meeting.credentials_reported_at.join_url,
            passcode_changed_at: s.meeting.credentials_reported_at.passcode,
            has_registration: s.meeting.has_registration,
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
            platform_user: s.meeting.platform_user,
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
            external_ref: s.external_ref,
            triggered_by: s.triggered_by,
            meeting: Meeting {
                account: s.zoom_account,
                host_user: s.host,
                platform_user: s.platform_user,
                id: s.meeting_id,
                join_url: s.join_url,
                passcode: s.passcode,
                has_registration: s.has_registration,
                credentials_reported_at: JoinCredentialsTimes {
                    join_url: s.join_url_changed_at,
                    passcode: s.passcode_changed_at,
                },
                pending: s.meeting_due_at.map(|due_at| PendingMeeting {
                    due_at,
                    failure: s.meeting_failure,
                    allows_overlap: s.allows_overlap,
                }),
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

pub(super) fn encode_session(session: &Session) -> Item {
    let sort_key = session_sort_key(session.details.starts_at, &session.id);
    let mut item = encode(&StoredSession::from(session.clone()));
    insert_index_key(
        &mut item,
        Index::ByOwner,
        trainer_partition(&session.trainer),
        sort_key.clone(),
    );
    if let Some(course) = session.audience.course() {
        insert_index_key(&mut item, Index::ByAudience, course_partition(course), sort_key);
    }
    item
}

pub(super) fn decode_session(item: Item) -> Result<Session, StoreError> {
    decode::<StoredSession>(item).map(Session::from)
}

pub(super) fn decode_record(item: Item) -> Result<SessionRecord, StoreError> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::session::testing;
    use crate::domain::settings::MeetingSettings;
    use crate::store::tx::text;

    fn session() -> Session {
        let mut session =
            testing::session("2026-12-01T09:00:00Z".parse().unwrap(), Status::Scheduled);
        session.details.settings.waiting_room = Some(true);
        session.settings_sent = session.details.settings.names();
        session
    }

    #[test]
    fn details_are_attributes_of_the_stored_session() {
        let item = encode_session(&session());
        for name in [
            "title",
            "description",
            "starts_at",
            "timezone",
            "duration_minutes",
            "record_session",
            "settings",
            "co_trainers",
        ] {
            assert!(item.contains_key(name), "{name}");
        }
        assert!(!item.contains_key("details"));
        assert_eq!(decode_session(item).unwrap(), session());
    }

    #[test]
    fn session_without_optional_attributes_is_readable() {
        let mut item = encode_session(&session());
        for name in ["description", "settings", "co_trainers", "window", "utc_offset"] {
            assert!(item.remove(name).is_some(), "{name}");
        }
        item.insert("attribute_of_a_later_release".to_owned(), text("x"));
        let mut expected = session();
        expected.details.settings = MeetingSettings::default();
        expected.settings_sent = BTreeSet::new();
        assert_eq!(decode_session(item).unwrap(), expected);
    }
}
