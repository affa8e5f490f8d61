//! Zoom's events, read leniently: Zoom's own examples break its schema, ids come as texts and as numbers, and fields
//! and events are added without notice. What cannot be read is not an error; it is an event that says nothing to us.

use std::fmt;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::id::MeetingId;
use super::text::Email;
use super::zoom_link;

/// An event, as far as everything is alike.
#[derive(Clone, Debug, PartialEq)]
pub struct ZoomEvent {
    /// As in `meeting.started`.
    pub name: String,
    /// When it happened, by its own word; `None` when it has none.
    pub at: Option<Timestamp>,
    pub account: Option<String>,
    pub meeting: Option<MeetingId>,
    /// One running of the meeting: a meeting that is started again has the same number and another uuid.
    pub uuid: Option<String>,
    pub payload: EventPayload,
}

/// What an event says to us.
#[derive(Clone, Debug, PartialEq)]
pub enum EventPayload {
    /// Zoom checks that the address is ours.
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
    /// Somebody deleted the meeting at Zoom.
    Deleted,
    /// Somebody took it out of the trash again.
    Recovered,
    /// Somebody changed it there; what is given is what it is now.
    Updated(MeetingChange),
    RecordingCompleted {
        passcode: Option<String>,
        files: Vec<RecordingFile>,
    },
    RecordingIs {
        state: RecordingState,
        files: Vec<String>,
    },
    /// The user took the app's access away: what we hold of them must go.
    Deauthorized {
        user: String,
    },
    UserDeactivated {
        user: String,
    },
    /// Kept, and nothing else follows.
    Nothing,
}

/// One person's client coming or going.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParticipantEvent {
    pub at: Timestamp,
    /// Of one connection: the same in every breakout room, another one after a rejoin.
    pub connection: String,
    /// Of the connection in one room: another one after every move to a breakout room or back.
    pub seat: Option<String>,
    pub customer_key: Option<String>,
    pub registrant: Option<String>,
    pub email: Option<Email>,
    pub name: String,
    /// The Zoom user, if the person is signed in.
    pub zoom_user: Option<String>,
    /// Whether it is the host themselves.
    pub is_host: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MeetingChange {
    pub topic: Option<String>,
    pub starts_at: Option<Timestamp>,
    pub duration_minutes: Option<i64>,
    pub entrance: JoinCredentialsChange,
}

/// How people come into a meeting from now on, as far as an event says so. It is never kept with the event, and does
/// not print itself.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct JoinCredentialsChange {
    pub passcode: Option<String>,
    pub join_url: Option<String>,
}

impl JoinCredentialsChange {
    pub fn is_unsaid(&self) -> bool {
        self.passcode.is_none() && self.join_url.is_none()
    }
}

impl fmt::Debug for JoinCredentialsChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_unsaid() { "Entrance(unsaid)" } else { "Entrance([redacted])" })
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordingFile {
    pub id: String,
    pub play_url: Option<String>,
    pub file_type: String,
    pub starts_at: Option<Timestamp>,
    pub ends_at: Option<Timestamp>,
    pub size_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordingState {
    Available,
    Trashed,
    Deleted,
}

impl ZoomEvent {
    /// Reads an event; `None` when it is not even an object with a name.
    pub fn read(body: &Value) -> Option<Self> {
        let name = body.get("event")?.as_str()?.to_owned();
        let payload = &body["payload"];
        let object = &payload["object"];
        let at = millis(&body["event_ts"]).or_else(|| millis(&payload["event_ts"]));
        let says = says(&name, payload, at);
        Some(Self {
            at,
            account: text(&payload["account_id"]).or_else(|| text(&object["account_id"])),
            meeting: integer(&object["id"]).map(MeetingId).filter(|_| !name.starts_with("user.")),
            uuid: text(&object["uuid"]),
            payload: says,
            name,
        })
    }

    /// What is signed by Zoom and no event that can be read: kept like the others.
    pub fn unreadable() -> Self {
        Self {
            name: "unreadable".to_owned(),
            at: None,
            account: None,
            meeting: None,
            uuid: None,
            payload: EventPayload::Nothing,
        }
    }

    /// When it happened, as exactly as it says.
    pub fn time(&self) -> Option<Timestamp> {
        match &self.payload {
            EventPayload::Joined(presence) | EventPayload::Left(presence) => Some(presence.at),
            EventPayload::Started { at } | EventPayload::Ended { at, .. } => Some(*at),
            _ => self.at,
        }
    }

    /// What a redelivery has in common with the first: the running, the connection, the event and its time.
    pub fn natural_key(&self, body: &Value) -> String {
        match &self.payload {
            EventPayload::Joined(presence) | EventPayload::Left(presence) => {
                let uuid = self.uuid.as_deref().unwrap_or_default();
                format!("{}\n{uuid}\n{}\n{}", self.name, presence.connection, presence.at)
            }
            // serde_json keeps objects sorted, so that the same content is the same text however it was written.
            _ => body.to_string(),
        }
    }
}

/// The events that mean something to a class or a connection. A class's recording being on or off is only told of.
pub const HANDLED: [&str; 21] = [
    "app_deauthorized",
    "endpoint.url_validation",
    "meeting.deleted",
    "meeting.ended",
    "meeting.participant_joined",
    "meeting.participant_joined_breakout_room",
    "meeting.participant_left",
    "meeting.participant_left_breakout_room",
    "meeting.permanently_deleted",
    "meeting.recovered",
    "meeting.started",
    "meeting.updated",
    "recording.completed",
    "recording.deleted",
    "recording.paused",
    "recording.recovered",
    "recording.resumed",
    "recording.started",
    "recording.stopped",
    "recording.trashed",
    "user.deactivated",
];

fn says(name: &str, payload: &Value, event_at: Option<Timestamp>) -> EventPayload {
    let object = &payload["object"];
    let time = |value: &Value| value.as_str().and_then(|text| text.parse::<Timestamp>().ok());
    let said = match name {
        "endpoint.url_validation" => {
            text(&payload["plainToken"]).map(|plain_token| EventPayload::Challenge { plain_token })
        }
        "meeting.started" => {
            time(&object["start_time"]).or(event_at).map(|at| EventPayload::Started { at })
        }
        "meeting.ended" => time(&object["end_time"])
            .or(event_at)
            .map(|at| EventPayload::Ended { started_at: time(&object["start_time"]), at }),
        "meeting.participant_joined" | "meeting.participant_joined_breakout_room" => {
            presence(object, &["join_time", "date_time"], event_at).map(EventPayload::Joined)
        }
        "meeting.participant_left" | "meeting.participant_left_breakout_room" => {
            presence(object, &["leave_time"], event_at).map(EventPayload::Left)
        }
        "meeting.deleted" | "meeting.permanently_deleted" => Some(EventPayload::Deleted),
        "meeting.recovered" => Some(EventPayload::Recovered),
        "meeting.updated" => Some(EventPayload::Updated(MeetingChange {
            topic: text(&object["topic"]),
            starts_at: time(&object["start_time"]),
            duration_minutes: integer(&object["duration"]),
            // An empty passcode says no more than a missing one: Zoom leaves fields empty as readily as out, and lets in
            // whoever has a passcode that it does not ask for.
            entrance: JoinCredentialsChange {
                passcode: text(&object["password"]),
                join_url: text(&object["join_url"]).filter(|url| zoom_link::is_zooms(url)),
            },
        })),
        "recording.completed" => Some(EventPayload::RecordingCompleted {
            passcode: text(&object["recording_play_passcode"])
                .or_else(|| text(&object["password"])),
            files: files(object),
        }),
        "recording.trashed" => Some(recording_is(RecordingState::Trashed, object)),
        "recording.deleted" => Some(recording_is(RecordingState::Deleted, object)),
        "recording.recovered" => Some(recording_is(RecordingState::Available, object)),
        "app_deauthorized" => text(&payload["user_id"]).map(|user| EventPayload::Deauthorized { user }),
        "user.deactivated" => text(&object["id"]).map(|user| EventPayload::UserDeactivated { user }),
        _ => None,
    };
    said.unwrap_or(EventPayload::Nothing)
}

fn presence(object: &Value, times: &[&str], event_at: Option<Timestamp>) -> Option<ParticipantEvent> {
    let person = &object["participant"];
    let stated = times.iter().find_map(|name| person[*name].as_str()?.parse().ok());
    let zoom_user = text(&person["id"]).or_else(|| text(&person["participant_user_id"]));
    let host = text(&object["host_id"]);
    Some(ParticipantEvent {
        at: stated.or(event_at)?,
        connection: text(&person["participant_uuid"]).or_else(|| text(&person["user_id"]))?,
        seat: text(&person["user_id"]),
        customer_key: text(&person["customer_key"]),
        registrant: text(&person["registrant_id"]),
        email: text(&person["email"]).and_then(|email| Email::parse(&email).ok()),
        name: text(&person["user_name"]).unwrap_or_default(),
        is_host: host.is_some() && host == zoom_user,
        zoom_user,
    })
}

fn recording_is(state: RecordingState, object: &Value) -> EventPayload {
    EventPayload::RecordingIs { state, files: files(object).into_iter().map(|file| file.id).collect() }
}

fn files(object: &Value) -> Vec<RecordingFile> {
    let all = object["recording_files"].as_array().map(Vec::as_slice).unwrap_or_default();
    let time = |value: &Value| value.as_str().and_then(|text| text.parse().ok());
    let file = |file: &Value| {
        Some(RecordingFile {
            id: text(&file["id"])?,
            play_url: text(&file["play_url"]),
            file_type: text(&file["file_type"]).unwrap_or_default(),
            starts_at: time(&file["recording_start"]),
            ends_at: time(&file["recording_end"]),
            size_bytes: integer(&file["file_size"])
                .and_then(|size| u64::try_from(size).ok())
                .unwrap_or(0),
        })
    };
    all.iter().filter_map(file).collect()
}

/// A text that says something; Zoom leaves fields empty as readily as out. A number stands for its digits.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn integer(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

/// Milliseconds since the epoch, as a number or as its digits.
fn millis(value: &Value) -> Option<Timestamp> {
    Timestamp::from_millisecond(integer(value)?).ok()
}

/// Fields of an event that let somebody in somewhere.
const SECRET: [&str; 10] = [
    "download_token",
    "password",
    "recording_play_passcode",
    "participant_pin_code",
    "conference_code",
    "leader_pin",
    "stream_key",
    "join_url",
    "start_url",
    "meeting_url",
];
/// Fields that name people and say nothing that we need.
const NAMING: [&str; 4] = ["operator", "operator_id", "alternative_hosts", "meeting_invitees"];
/// Fields that name a Zoom user and are compared with others.
const COMPARED: [&str; 4] = ["host_id", "meeting_host_id", "file_owner_id", "participant_user_id"];

/// The event as it is kept: what it says, without what lets somebody in, and without the host's name at Zoom. A host may
/// take the app away again and has to be forgotten then; what was never written need not be sought out. Where it
/// matters whether two are the same user, `pseudonym` stands for the id.
pub fn as_kept(body: &Value, pseudonym: impl Fn(&str) -> String) -> Value {
    let mut kept = body.clone();
    let host = text(&body["payload"]["object"]["host_id"]);
    // An event about a user is about nothing else.
    if body["event"].as_str().is_some_and(|name| name.starts_with("user."))
        && let Some(payload) = kept["payload"].as_object_mut()
    {
        payload.retain(|name, _| name == "account_id");
    }
    purge(&mut kept, host.as_deref(), &pseudonym);
    kept
}

fn purge(value: &mut Value, host: Option<&str>, pseudonym: &impl Fn(&str) -> String) {
    let fields = match value {
        Value::Object(fields) => fields,
        Value::Array(items) => {
            return items.iter_mut().for_each(|item| purge(item, host, pseudonym));
        }
        _ => return,
    };
    fields.retain(|name, _| {
        let name = name.as_str();
        !(SECRET.contains(&name) || NAMING.contains(&name) || name.ends_with("_email"))
    });
    // Only people have such a field beside their `id`.
    if fields.contains_key("user_name") {
        let is_host = ["id", "participant_user_id"].iter().any(|name| {
            fields.get(*name).and_then(text).is_some_and(|id| host.is_some_and(|host| host == id))
        });
        if is_host {
            fields.remove("email");
        }
        disguise(fields.get_mut("id"), pseudonym);
    }
    for name in COMPARED {
        disguise(fields.get_mut(name), pseudonym);
    }
    fields.values_mut().for_each(|value| purge(value, host, pseudonym));
}

fn disguise(value: Option<&mut Value>, pseudonym: &impl Fn(&str) -> String) {
    if let Some(value) = value
        && let Some(id) = text(value)
    {
        *value = Value::String(pseudonym(&id));
    }
}

/// No more than what every event begins with: its name, its time, and which running of which meeting it is about.
pub fn shortened(body: &Value) -> Value {
    let (payload, object) = (&body["payload"], &body["payload"]["object"]);
    let either = |first: &Value, second: &Value| {
        if first.is_null() { second.clone() } else { first.clone() }
    };
    json!({
        "event": body["event"],
        "event_ts": either(&body["event_ts"], &payload["event_ts"]),
        "payload": {
            "account_id": either(&payload["account_id"], &object["account_id"]),
            "object": {"id": object["id"], "uuid": object["uuid"]},
        },
        "shortened": true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(body: Value) -> ZoomEvent {
        ZoomEvent::read(&body).unwrap()
    }

    #[test]
    fn ids_are_read_as_texts_and_as_numbers() {
        for id in [json!(98765432101_i64), json!("98765432101")] {
            let event = read(
                json!({"event": "meeting.started", "event_ts": 1, "payload": {"object": {"id": id, "uuid": "a/b=="}}}),
            );
            assert_eq!(event.meeting, Some(MeetingId(98765432101)));
            assert_eq!(event.uuid.as_deref(), Some("a/b=="));
        }
    }

    #[test]
    fn a_deauthorisation_has_its_time_in_the_payload_and_as_text() {
        let event = read(
            json!({"event": "app_deauthorized", "payload": {"account_id": "a", "user_id": "u", "event_ts": "1800000000000"}}),
        );
        assert_eq!(event.at, Timestamp::from_second(1_800_000_000).ok());
        assert_eq!(event.payload, EventPayload::Deauthorized { user: "u".into() });
    }

    #[test]
    fn what_says_nothing_to_us_is_no_error() {
        for body in [
            json!({"event": "meeting.summary_shared", "payload": {"object": {"id": 1}}}),
            json!({"event": "meeting.started", "payload": null}),
            json!({"event": "meeting.participant_joined", "event_ts": 5, "payload": {"object": {"participant": {}}}}),
            json!({"event": "app_deauthorized", "payload": {}}),
        ] {
            assert_eq!(read(body).payload, EventPayload::Nothing);
        }
        assert_eq!(ZoomEvent::read(&json!([1])), None);
        assert_eq!(ZoomEvent::read(&json!({"payload": {}})), None);
    }

    #[test]
    fn a_redelivery_has_the_same_key_and_a_rejoin_another() {
        let join = |uuid: &str, connection: &str, at: &str, extra: Value| {
            let body = json!({"event": "meeting.participant_joined", "event_ts": extra, "payload": {"object": {
                "id": "1", "uuid": uuid, "participant": {"participant_uuid": connection, "join_time": at}}}});
            read(body.clone()).natural_key(&body)
        };
        let first = join("u", "c", "2026-11-21T09:00:00Z", json!(1));
        assert_eq!(first, join("u", "c", "2026-11-21T09:00:00Z", json!(2)));
        for other in [
            join("v", "c", "2026-11-21T09:00:00Z", json!(1)),
            join("u", "d", "2026-11-21T09:00:00Z", json!(1)),
            join("u", "c", "2026-11-21T09:00:01Z", json!(1)),
        ] {
            assert_ne!(first, other);
        }
    }

    #[test]
    fn what_lets_people_in_is_not_kept() {
        let body = json!({"event": "recording.completed", "download_token": "jwt", "payload": {"object": {"password": "p", "id": 1,
            "recording_files": [{"id": "f", "recording_play_passcode": "x"}]}}});
        assert_eq!(
            as_kept(&body, str::to_owned),
            json!({"event": "recording.completed", "payload": {"object": {"id": 1, "recording_files": [{"id": "f"}]}}})
        );
        let nothing_secret = json!({"event": "meeting.started", "extra": [1, {"a": null}]});
        assert_eq!(as_kept(&nothing_secret, str::to_owned), nothing_secret);
    }

    #[test]
    fn what_is_shortened_is_the_same_event_and_cannot_be_shortened_further() {
        for body in [
            json!({"event": "x", "event_ts": 5, "payload": {"account_id": "a", "object": {"id": "1", "uuid": "u", "topic": "T"}}}),
            json!({"event": "x", "payload": {"event_ts": 5, "object": {"id": 1, "uuid": "u", "account_id": "a", "p": []}}}),
            json!({"event": "x", "payload": null}),
        ] {
            let short = shortened(&body);
            assert_eq!(read(short.clone()), read(body));
            assert_eq!(shortened(&short), short);
        }
    }

    #[test]
    fn the_host_is_not_named_in_what_is_kept_and_still_told_from_others() {
        let join = |id: &str| {
            json!({"event": "meeting.participant_joined", "event_ts": 5, "payload": {"operator": "host@example.test", "object": {
                "id": "1", "uuid": "u", "host_id": "HOST", "host_email": "host@example.test",
                "participant": {"id": id, "participant_user_id": id, "participant_uuid": "c", "user_name": "N",
                    "email": format!("{id}@example.test")}}}})
        };
        let disguised = |id: &str| format!("~{}", id.len());
        for (id, is_host) in [("HOST", true), ("GUEST", false)] {
            let kept = as_kept(&join(id), disguised);
            let text = kept.to_string();
            assert!(!text.contains("HOST") && !text.contains("host@"), "{text}");
            let EventPayload::Joined(presence) = read(kept).payload else { panic!("{text}") };
            assert_eq!(presence.is_host, is_host);
            assert_eq!(presence.email.is_none(), is_host);
        }
        let switched_off = json!({"event": "user.deactivated", "payload": {"account_id": "a", "operator": "o", "object": {"id": "HOST", "first_name": "H"}}});
        assert_eq!(
            as_kept(&switched_off, disguised),
            json!({"event": "user.deactivated", "payload": {"account_id": "a"}})
        );
    }
}
