//! Lenient parsing of Zoom's events. Zoom's own examples violate its schema, ids may be strings or numbers, and new fields
//! and events appear without notice. An event that cannot be parsed is ignored rather than treated as an error.

mod limits;
mod parse;
mod redaction;

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use super::directory::ERASED_NAME;
use super::id::MeetingId;
use super::text::Email;

pub use limits::{shorten, without_implausible_times};
pub use parse::{ADMITTED, HANDLED_EVENTS, PUT_IN_WAITING_ROOM};
pub use redaction::{header_only, redact};

use limits::{ID_LIMIT_CHARS, TEXT_LIMIT_CHARS, cut};
use parse::{meeting_number, meeting_uuid, parse_payload};

/// An event with the fields that all events have in common.
#[derive(Clone, Debug, PartialEq)]
pub struct ZoomEvent {
    /// The event's name, such as `meeting.started`.
    pub name: String,
    /// The event's own timestamp, if it has one.
    pub at: Option<Timestamp>,
    pub account: Option<String>,
    pub meeting: Option<MeetingId>,
    /// The uuid of the meeting instance. A restarted meeting has the same number and a new uuid.
    pub uuid: Option<String>,
    pub payload: EventPayload,
}

/// The data of an event.
#[derive(Clone, Debug, PartialEq)]
pub enum EventPayload {
    /// Zoom validates that the endpoint is ours.
    Challenge {
        plain_token: String,
    },
    Started {
        at: Timestamp,
    },
    Ended {
        started_at: Option<Timestamp>,
        at: Timestamp,
    },
    Joined(ParticipantEvent),
    Left(ParticipantEvent),
    /// A telephone turned out to be another participant's, by their participations.
    TelephoneBound {
        telephone: String,
        participant: String,
    },
    /// Somebody deleted the meeting at Zoom.
    Deleted,
    /// Somebody restored the meeting from the trash.
    Recovered,
    /// Somebody changed the meeting at Zoom. The payload has the new values.
    Updated(MeetingChange),
    /// Files of a meeting instance were recorded.
    RecordingCompleted {
        secrets: RecordingSecrets,
        files: Vec<RecordingFile>,
    },
    RecordingStateChanged {
        state: RecordingState,
        files: ChangedFiles,
    },
    /// Recordings of several meetings changed at once. The event contains no meeting number.
    RecordingBatchChanged {
        state: RecordingState,
        instances: Vec<ChangedRecording>,
    },
    /// The user removed the app, so we must delete their data.
    Deauthorized {
        user: String,
        /// The client id of the app. `None` if the event has none, and empty if it cannot be read.
        client: Option<String>,
    },
    UserDeactivated {
        user: String,
    },
    /// The event is stored but has no effect.
    Ignored,
}

/// The time of a reported value, for comparison with the value that is stored. A report without a readable time may be
/// outdated, so it never replaces a dated value. It replaces another undated one, because it arrived later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportedAt(Option<Timestamp>);

impl ReportedAt {
    /// A value that was read at `at`.
    pub fn at(at: Timestamp) -> Self {
        Self(Some(at))
    }

    /// Returns the time to store. The epoch stands for an unknown time.
    pub fn stored(self) -> Timestamp {
        self.0.unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// Returns the time before which a stored value was reported if this one replaces it.
    pub fn replaces_before(self) -> Timestamp {
        self.0.unwrap_or_else(|| Timestamp::UNIX_EPOCH + SignedDuration::from_millis(1))
    }
}

/// A participant's join or leave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParticipantEvent {
    pub at: Timestamp,
    /// Identifies a participation. It is the same in every breakout room and changes after a rejoin.
    pub participant_uuid: String,
    /// Zoom's `user_id`. It changes with every move to a breakout room or back.
    pub room_user_id: Option<String>,
    pub customer_key: Option<String>,
    pub registrant: Option<String>,
    pub email: Option<Email>,
    pub name: String,
    /// The Zoom user, if the person is signed in.
    pub zoom_user: Option<String>,
    pub is_host: bool,
}

impl ParticipantEvent {
    /// Removes the identity of an erased person. The connection and the time remain.
    pub fn anonymize(&mut self) {
        *self = Self {
            at: self.at,
            participant_uuid: std::mem::take(&mut self.participant_uuid),
            room_user_id: self.room_user_id.take(),
            name: ERASED_NAME.to_owned(),
            ..Self::default()
        };
    }
}

/// The fields of a meeting in an event or a response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MeetingChange {
    pub topic: Option<String>,
    pub agenda: Option<String>,
    pub starts_at: Option<Timestamp>,
    pub timezone: Option<String>,
    pub duration_minutes: Option<i64>,
    /// By Zoom's names.
    pub settings: Map<String, Value>,
    pub join_credentials: JoinCredentialsChange,
}

impl MeetingChange {
    /// Parses the fields that a meeting shares with its session, as far as they are present and readable.
    pub fn parse(meeting: &Value) -> Self {
        Self {
            topic: text(&meeting["topic"]),
            agenda: text(&meeting["agenda"]),
            starts_at: event_time(&meeting["start_time"]),
            timezone: text(&meeting["timezone"]),
            duration_minutes: integer(&meeting["duration"]),
            settings: meeting["settings"].as_object().cloned().unwrap_or_default(),
            join_credentials: JoinCredentialsChange::default(),
        }
    }
}

/// The changed join URL or passcode of a meeting. It is never stored with the event, and its `Debug` output is redacted.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct JoinCredentialsChange {
    pub passcode: Option<String>,
    pub join_url: Option<String>,
}

impl JoinCredentialsChange {
    pub fn is_empty(&self) -> bool {
        self.passcode.is_none() && self.join_url.is_none()
    }
}

impl fmt::Debug for JoinCredentialsChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() {
            "JoinCredentialsChange(none)"
        } else {
            "JoinCredentialsChange([redacted])"
        })
    }
}

/// The two secrets of a meeting instance's recordings. They are never stored with the event, and the `Debug` output is
/// redacted.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RecordingSecrets {
    /// The passcode that a person types at Zoom.
    pub passcode: Option<String>,
    /// The value of `pwd` in the play URL, which replaces typing the passcode.
    pub play_passcode: Option<String>,
}

impl fmt::Debug for RecordingSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecordingSecrets([redacted])")
    }
}

/// The files of a meeting instance to which a change applies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangedFiles {
    /// All files, including those that are not known yet.
    All,
    Listed(Vec<String>),
}

/// A changed recording in an event about several meetings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedRecording {
    /// The uuid of the recorded meeting instance.
    pub uuid: String,
    pub files: ChangedFiles,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordingFile {
    pub id: String,
    pub play_url: Option<String>,
    pub file_type: String,
    pub starts_at: Option<Timestamp>,
    pub ends_at: Option<Timestamp>,
    pub size_bytes: u64,
    /// Whether Zoom has finished the file.
    pub is_complete: bool,
}

/// The recordings of a meeting instance, in an event or a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedFiles {
    pub instance: Option<String>,
    pub secrets: RecordingSecrets,
    pub files: Vec<RecordingFile>,
}

#[derive(
    Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, strum::IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum RecordingState {
    Available,
    Trashed,
    Deleted,
    /// Zoom lists it no longer, and has not reported why.
    Unavailable,
}

impl RecordingState {
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

impl ZoomEvent {
    /// Parses an event. Returns `None` if it is not an object with a name.
    pub fn parse(body: &Value) -> Option<Self> {
        let name = cut(body.get("event")?.as_str()?, ID_LIMIT_CHARS).to_owned();
        let payload = &body["payload"];
        let object = &payload["object"];
        // Zoom's own field for the time of a deauthorization is always complete. Its `event_ts` is not.
        let at = [&payload["deauthorization_time"], &body["event_ts"], &payload["event_ts"]]
            .into_iter()
            .find_map(event_time);
        let event_payload = parse_payload(&name, payload, at);
        Some(Self {
            at,
            account: id(&payload["account_id"]).or_else(|| id(&object["account_id"])),
            meeting: integer(meeting_number(object))
                .map(MeetingId)
                .filter(|_| !name.starts_with("user.")),
            uuid: meeting_uuid(object),
            payload: event_payload,
            name,
        })
    }

    /// Returns the event for a request with a valid signature and an unreadable body. It is stored like other events.
    pub fn unreadable() -> Self {
        Self {
            name: "unreadable".to_owned(),
            at: None,
            account: None,
            meeting: None,
            uuid: None,
            payload: EventPayload::Ignored,
        }
    }

    pub fn reported_at(&self) -> ReportedAt {
        ReportedAt(self.at)
    }

    /// Returns the most precise time of the event.
    pub fn occurred_at(&self) -> Option<Timestamp> {
        match &self.payload {
            EventPayload::Joined(participant) | EventPayload::Left(participant) => {
                Some(participant.at)
            }
            EventPayload::Started { at } | EventPayload::Ended { at, .. } => Some(*at),
            _ => self.at,
        }
    }

    /// Returns a key that is equal for redeliveries of the same event: meeting instance, participation, event and time.
    pub fn deduplication_key(&self, body: &Value) -> String {
        match &self.payload {
            EventPayload::Joined(participant) | EventPayload::Left(participant) => {
                let uuid = self.uuid.as_deref().unwrap_or_default();
                format!(
                    "{}\n{uuid}\n{}\n{}",
                    self.name, participant.participant_uuid, participant.at
                )
            }
            // serde_json sorts the keys of objects, so equal content gives equal text.
            _ => body.to_string(),
        }
    }
}

/// Returns an id, a name or a word.
pub(super) fn id(value: &Value) -> Option<String> {
    text(value).map(|text| cut(&text, ID_LIMIT_CHARS).to_owned())
}

/// Returns an id in the length in which it is stored, so that the ids of events and lists stay comparable.
pub fn cut_id(id: &str) -> String {
    cut(id, ID_LIMIT_CHARS).to_owned()
}

/// Returns a non-empty string or the digits of a number. Zoom sends empty strings for missing fields.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(cut(text, TEXT_LIMIT_CHARS).to_owned()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

pub(super) fn integer(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

/// Parses a time in any spelling that Zoom uses: milliseconds since the epoch as a number or as text, RFC 3339, and a
/// date and time in UTC without an offset, such as `2024-09-08 15:58:40`.
pub(super) fn event_time(value: &Value) -> Option<Timestamp> {
    if let Some(millis) = integer(value) {
        return Timestamp::from_millisecond(millis).ok();
    }
    let text = value.as_str()?.trim();
    let is_plausible = text.len() <= 40
        && text.bytes().all(|byte| {
            byte.is_ascii_digit()
                || matches!(byte, b'-' | b'+' | b':' | b'.' | b' ' | b'T' | b'Z' | b't' | b'z')
        })
        && text.contains(':');
    if !is_plausible {
        return None;
    }
    text.parse().ok().or_else(|| {
        let local: jiff::civil::DateTime = text.parse().ok()?;
        Some(local.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(body: Value) -> ZoomEvent {
        ZoomEvent::parse(&body).unwrap()
    }

    #[test]
    fn meeting_id_is_parsed_from_string_and_number() {
        for id in [json!(98765432101_i64), json!("98765432101")] {
            let event = parse(
                json!({"event": "meeting.started", "event_ts": 1, "payload": {"object": {"id": id, "uuid": "a/b=="}}}),
            );
            assert_eq!(event.meeting, Some(MeetingId(98765432101)));
            assert_eq!(event.uuid.as_deref(), Some("a/b=="));
        }
    }

    #[test]
    fn deauthorization_time_is_parsed_from_the_payload() {
        let event = parse(
            json!({"event": "app_deauthorized", "payload": {"account_id": "a", "user_id": "u", "event_ts": "1800000000000"}}),
        );
        assert_eq!(event.at, Timestamp::from_second(1_800_000_000).ok());
        assert_eq!(event.payload, EventPayload::Deauthorized { user: "u".into(), client: None });
    }

    #[test]
    fn event_time_is_parsed_in_every_spelling_of_zoom() {
        let expected = "2024-09-08T15:58:40Z".parse().ok();
        for spelling in [
            json!(1_725_811_120_000_i64),
            json!("1725811120000"),
            json!("2024-09-08 15:58:40"),
            json!("2024-09-08T15:58:40"),
            json!("2024-09-08T15:58:40Z"),
            json!("2024-09-08T17:58:40+02:00"),
            json!(" 2024-09-08T15:58:40.000Z "),
        ] {
            let timeless = json!({"account_id": "a", "user_id": "u"});
            let event = |payload| parse(json!({"event": "app_deauthorized", "payload": payload}));
            for field in ["deauthorization_time", "event_ts"] {
                let mut payload = timeless.clone();
                payload[field] = spelling.clone();
                assert_eq!(event(payload).at, expected, "{field} {spelling}");
            }
            let mut both = timeless.clone();
            both["deauthorization_time"] = spelling.clone();
            both["event_ts"] = json!("1");
            assert_eq!(event(both).at, expected, "{spelling} beside event_ts");
            let top = parse(json!({"event": "user.deactivated", "event_ts": spelling}));
            assert_eq!(top.at, expected, "top level {spelling}");
        }
        for unreadable in [
            json!(""),
            json!("yesterday"),
            json!("2024-09-08T15:58:40Z[Europe/Berlin]"),
            json!(1.5),
            json!("15:58"),
            json!({}),
        ] {
            let event = json!({"event": "app_deauthorized", "payload": {"user_id": "u", "event_ts": unreadable}});
            assert_eq!(parse(event).at, None, "{unreadable}");
        }
    }

    #[test]
    fn unreadable_client_of_a_deauthorization_is_no_missing_client() {
        for (client, expected) in [
            (Value::Null, None),
            (json!("abc"), Some("abc")),
            (json!(""), Some("")),
            (json!(["abc"]), Some("")),
        ] {
            let event = json!({"event": "app_deauthorized", "payload": {"user_id": "u", "client_id": client}});
            let EventPayload::Deauthorized { client, .. } = parse(event).payload else { panic!() };
            assert_eq!(client.as_deref(), expected);
        }
    }

    #[test]
    fn unknown_or_incomplete_event_is_ignored() {
        for body in [
            json!({"event": "meeting.summary_shared", "payload": {"object": {"id": 1}}}),
            json!({"event": "meeting.started", "payload": null}),
            json!({"event": "meeting.participant_joined", "event_ts": 5, "payload": {"object": {"participant": {}}}}),
            json!({"event": "app_deauthorized", "payload": {}}),
        ] {
            assert_eq!(parse(body).payload, EventPayload::Ignored);
        }
        assert_eq!(ZoomEvent::parse(&json!([1])), None);
        assert_eq!(ZoomEvent::parse(&json!({"payload": {}})), None);
    }

    #[test]
    fn redelivery_has_the_same_deduplication_key() {
        let join = |uuid: &str, connection: &str, at: &str, extra: Value| {
            let body = json!({"event": "meeting.participant_joined", "event_ts": extra, "payload": {"object": {
                "id": "1", "uuid": uuid, "participant": {"participant_uuid": connection, "join_time": at}}}});
            parse(body.clone()).deduplication_key(&body)
        };
        let first = join("u", "c", "2026-11-21T09:00:00Z", json!(1));
        assert_eq!(first, join("u", "c", "2026-11-21T09:00:00Z", json!(2)));
        for different in [
            join("v", "c", "2026-11-21T09:00:00Z", json!(1)),
            join("u", "d", "2026-11-21T09:00:00Z", json!(1)),
            join("u", "c", "2026-11-21T09:00:01Z", json!(1)),
        ] {
            assert_ne!(first, different);
        }
    }

    #[test]
    fn credentials_are_redacted() {
        let body = json!({"event": "recording.completed", "download_token": "jwt", "payload": {"object": {"password": "p", "id": 1,
            "recording_files": [{"id": "f", "recording_play_passcode": "x"}]}}});
        assert_eq!(
            redact(&body, str::to_owned),
            json!({"event": "recording.completed", "payload": {"object": {"id": 1, "recording_files": [{"id": "f"}]}}})
        );
        let without_credentials = json!({"event": "meeting.started", "extra": [1, {"a": null}]});
        assert_eq!(redact(&without_credentials, str::to_owned), without_credentials);
    }

    #[test]
    fn header_keeps_the_common_fields_and_is_idempotent() {
        for body in [
            json!({"event": "x", "event_ts": 5, "payload": {"account_id": "a", "object": {"id": "1", "uuid": "u", "topic": "T"}}}),
            json!({"event": "x", "payload": {"event_ts": 5, "object": {"id": 1, "uuid": "u", "account_id": "a", "p": []}}}),
            json!({"event": "x", "payload": null}),
        ] {
            let header = header_only(&body);
            assert_eq!(parse(header.clone()), parse(body));
            assert_eq!(header_only(&header), header);
        }
    }

    #[test]
    fn redacted_event_hides_the_host_but_still_identifies_them() {
        let join = |id: &str| {
            json!({"event": "meeting.participant_joined", "event_ts": 5, "payload": {"operator": "host@example.test", "object": {
                "id": "1", "uuid": "u", "host_id": "HOST", "host_email": "host@example.test",
                "participant": {"id": id, "participant_user_id": id, "participant_uuid": "c", "user_name": "N",
                    "email": format!("{id}@example.test")}}}})
        };
        let pseudonym = |id: &str| format!("~{}", id.len());
        for (id, is_host) in [("HOST", true), ("GUEST", false)] {
            let redacted = redact(&join(id), pseudonym);
            let text = redacted.to_string();
            assert!(!text.contains("HOST") && !text.contains("host@"), "{text}");
            let EventPayload::Joined(participant) = parse(redacted).payload else {
                panic!("{text}")
            };
            assert_eq!(participant.is_host, is_host);
            assert_eq!(participant.email.is_none(), is_host);
        }
        let deactivated = json!({"event": "user.deactivated", "payload": {"account_id": "a", "operator": "o", "object": {"id": "HOST", "first_name": "H"}}});
        assert_eq!(
            redact(&deactivated, pseudonym),
            json!({"event": "user.deactivated", "payload": {"account_id": "a"}})
        );
    }
}
