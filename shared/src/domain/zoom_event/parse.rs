//! Parses the payloads of Zoom's events.

use jiff::Timestamp;
use serde_json::Value;

use super::limits::FILES_LIMIT;
use super::{
    ChangedFiles, ChangedRecording, EventPayload, JoinCredentialsChange, MeetingChange,
    ParticipantEvent, RecordedFiles, RecordingFile, RecordingSecrets, RecordingState, event_time,
    id, integer, text,
};
use crate::domain::text::Email;
use crate::domain::zoom_link;

/// The fields in which events contain the meeting's number.
const NUMBER_FIELDS: [&str; 3] = ["id", "meeting_id", "meeting_number"];

pub(super) fn meeting_number(object: &Value) -> &Value {
    let mut fields = NUMBER_FIELDS.iter().map(|field| &object[*field]);
    fields.find(|value| integer(value).is_some()).unwrap_or(&Value::Null)
}

/// Returns the uuid of the meeting instance. Some events contain it in the field of the number.
pub(super) fn meeting_uuid(object: &Value) -> Option<String> {
    let named = ["uuid", "meeting_uuid"].iter().find_map(|field| id(&object[*field]));
    let is_uuid = |value: &&Value| value.is_string() && integer(value).is_none();
    named.or_else(|| id(Some(&object["meeting_id"]).filter(is_uuid)?))
}

/// A participant moved from the waiting room to the meeting.
pub const ADMITTED: &str = "meeting.participant_admitted";
/// A participant moved from the meeting to the waiting room.
pub const PUT_IN_WAITING_ROOM: &str = "meeting.participant_put_in_waiting_room";

/// The subscribed events. Only shown in the timeline: the recording was started, paused, resumed or stopped, and a person
/// came to the waiting room or left it.
pub const HANDLED_EVENTS: [&str; 30] = [
    "app_deauthorized",
    "endpoint.url_validation",
    "meeting.deleted",
    "meeting.ended",
    ADMITTED,
    "meeting.participant_bind",
    "meeting.participant_joined",
    "meeting.participant_joined_breakout_room",
    "meeting.participant_joined_waiting_room",
    "meeting.participant_left",
    "meeting.participant_left_breakout_room",
    "meeting.participant_left_waiting_room",
    PUT_IN_WAITING_ROOM,
    "meeting.permanently_deleted",
    "meeting.recovered",
    "meeting.started",
    "meeting.updated",
    "recording.batch_deleted",
    "recording.batch_recovered",
    "recording.batch_trashed",
    "recording.completed",
    "recording.deleted",
    "recording.paused",
    "recording.recovered",
    "recording.resumed",
    "recording.started",
    "recording.stopped",
    "recording.transcript_completed",
    "recording.trashed",
    "user.deactivated",
];

pub(super) fn parse_payload(
    name: &str,
    payload: &Value,
    event_at: Option<Timestamp>,
) -> EventPayload {
    let object = &payload["object"];
    let time = event_time;
    let parsed = match name {
        "endpoint.url_validation" => {
            text(&payload["plainToken"]).map(|plain_token| EventPayload::Challenge { plain_token })
        }
        "meeting.started" => {
            time(&object["start_time"]).or(event_at).map(|at| EventPayload::Started { at })
        }
        "meeting.ended" => time(&object["end_time"])
            .or(event_at)
            .map(|at| EventPayload::Ended { started_at: time(&object["start_time"]), at }),
        // An admission may come without a join, and a move to the waiting room without a leave.
        "meeting.participant_joined" | "meeting.participant_joined_breakout_room" | ADMITTED => {
            parse_participant_event(object, &["join_time", "date_time"], event_at)
                .map(EventPayload::Joined)
        }
        "meeting.participant_left"
        | "meeting.participant_left_breakout_room"
        | PUT_IN_WAITING_ROOM => {
            parse_participant_event(object, &["leave_time", "date_time"], event_at)
                .map(EventPayload::Left)
        }
        "meeting.participant_bind" => {
            let person = &object["participant"];
            let either = |uuid: &str, user: &str| id(&person[uuid]).or_else(|| id(&person[user]));
            let telephone = either("bind_participant_uuid", "bind_user_id");
            telephone.zip(either("participant_uuid", "user_id")).map(|(telephone, participant)| {
                EventPayload::TelephoneBound { telephone, participant }
            })
        }
        "meeting.deleted" | "meeting.permanently_deleted" => Some(EventPayload::Deleted),
        "meeting.recovered" => Some(EventPayload::Recovered),
        "meeting.updated" => Some(EventPayload::Updated(MeetingChange {
            // An empty passcode is treated like a missing one. Zoom sends empty fields for missing ones, and it accepts a
            // passcode even if the meeting does not require one.
            join_credentials: JoinCredentialsChange {
                passcode: text(&object["password"]),
                join_url: text(&object["join_url"])
                    .and_then(|url| zoom_link::parse_zoom_link(&url))
                    .filter(|url| !zoom_link::is_host_link(url))
                    .map(String::from),
            },
            ..MeetingChange::parse(object)
        })),
        "recording.completed" | "recording.transcript_completed" => {
            let RecordedFiles { secrets, files, .. } = RecordedFiles::parse(object);
            Some(EventPayload::RecordingCompleted { secrets, files })
        }
        "recording.trashed" => Some(recording_state_changed(RecordingState::Trashed, object)),
        "recording.deleted" => Some(recording_state_changed(RecordingState::Deleted, object)),
        "recording.recovered" => Some(recording_state_changed(RecordingState::Available, object)),
        "recording.batch_trashed" => Some(recording_batch_changed(RecordingState::Trashed, object)),
        "recording.batch_deleted" => Some(recording_batch_changed(RecordingState::Deleted, object)),
        "recording.batch_recovered" => {
            Some(recording_batch_changed(RecordingState::Available, object))
        }
        "app_deauthorized" => id(&payload["user_id"]).map(|user| EventPayload::Deauthorized {
            user,
            client: match &payload["client_id"] {
                Value::Null => None,
                client => Some(id(client).unwrap_or_default()),
            },
        }),
        "user.deactivated" => id(&object["id"]).map(|user| EventPayload::UserDeactivated { user }),
        _ => None,
    };
    parsed.unwrap_or(EventPayload::Ignored)
}

fn parse_participant_event(
    object: &Value,
    times: &[&str],
    event_at: Option<Timestamp>,
) -> Option<ParticipantEvent> {
    let person = &object["participant"];
    let own_time = times.iter().find_map(|name| event_time(&person[*name]));
    let zoom_user = id(&person["id"]).or_else(|| id(&person["participant_user_id"]));
    let host = id(&object["host_id"]);
    Some(ParticipantEvent {
        at: own_time.or(event_at)?,
        participant_uuid: id(&person["participant_uuid"]).or_else(|| id(&person["user_id"]))?,
        room_user_id: id(&person["user_id"]),
        customer_key: id(&person["customer_key"]),
        registrant: id(&person["registrant_id"]),
        email: text(&person["email"]).and_then(|email| Email::parse(&email).ok()),
        name: id(&person["user_name"]).unwrap_or_default(),
        is_host: host.is_some() && host == zoom_user,
        zoom_user,
    })
}

fn recording_state_changed(state: RecordingState, object: &Value) -> EventPayload {
    EventPayload::RecordingStateChanged {
        state,
        files: changed_files(&object["recording_files"], |file| id(&file["id"])),
    }
}

/// Parses either form: a list of uuids, or a list of meetings with their files.
fn recording_batch_changed(state: RecordingState, object: &Value) -> EventPayload {
    let list = |name: &str| object[name].as_array().map(Vec::as_slice).unwrap_or_default();
    let whole = list("meeting_uuids")
        .iter()
        .filter_map(id)
        .map(|uuid| ChangedRecording { uuid, files: ChangedFiles::All });
    let listed = list("meetings").iter().filter_map(|meeting| {
        let uuid = id(&meeting["meeting_uuid"])?;
        Some(ChangedRecording { uuid, files: changed_files(&meeting["recording_file_ids"], id) })
    });
    EventPayload::RecordingBatchChanged { state, instances: whole.chain(listed).collect() }
}

/// Parses a list of files. Zoom sends no list or an empty one for all files. A list without a readable id means no file.
fn changed_files(list: &Value, id: impl Fn(&Value) -> Option<String>) -> ChangedFiles {
    match list {
        Value::Null => ChangedFiles::All,
        Value::Array(files) if files.is_empty() => ChangedFiles::All,
        list => {
            let files = list.as_array().map(Vec::as_slice).unwrap_or_default();
            ChangedFiles::Listed(files.iter().filter_map(id).take(FILES_LIMIT).collect())
        }
    }
}

impl RecordedFiles {
    /// Reads the files of an object in an event or in the list of a meeting's recordings.
    pub fn parse(object: &Value) -> Self {
        Self {
            instance: id(&object["uuid"]),
            secrets: RecordingSecrets {
                passcode: text(&object["password"]),
                play_passcode: text(&object["recording_play_passcode"]),
            },
            files: files(object),
        }
    }
}

fn files(object: &Value) -> Vec<RecordingFile> {
    let all = object["recording_files"].as_array().map(Vec::as_slice).unwrap_or_default();
    let time = event_time;
    let file = |file: &Value| {
        Some(RecordingFile {
            id: id(&file["id"])?,
            play_url: text(&file["play_url"]),
            file_type: id(&file["file_type"]).unwrap_or_default(),
            starts_at: time(&file["recording_start"]).or_else(|| time(&object["start_time"])),
            ends_at: time(&file["recording_end"]),
            size_bytes: integer(&file["file_size"])
                .and_then(|size| u64::try_from(size).ok())
                .unwrap_or(0),
            is_complete: text(&file["status"]).is_none_or(|status| status == "completed"),
        })
    };
    all.iter().filter_map(file).take(FILES_LIMIT).collect()
}
