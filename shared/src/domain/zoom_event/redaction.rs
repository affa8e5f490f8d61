//! Removes credentials and personal data from the bodies of events before they are stored.

use serde_json::{Value, json};

use super::{meeting_number, meeting_uuid, shorten, text};

/// Fields with credentials.
const SECRET_FIELDS: [&str; 10] = [
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
/// Fields with personal data that we do not need.
const PERSONAL_FIELDS: [&str; 7] = [
    "operator",
    "operator_id",
    "alternative_hosts",
    "meeting_invitees",
    "phone_number",
    "public_ip",
    "private_ip",
];
/// The fields that are stored of a participant and their telephone.
const BINDING_FIELDS: [&str; 4] =
    ["participant_uuid", "user_id", "bind_participant_uuid", "bind_user_id"];
/// Fields with a Zoom user id that is compared with other ids.
const PSEUDONYMIZED_FIELDS: [&str; 4] =
    ["host_id", "meeting_host_id", "file_owner_id", "participant_user_id"];

/// Returns the event as it is stored: without credentials, and without the host's identity at Zoom. A host can remove the
/// app and must then be erased, and data that was never stored need not be found. Ids that are compared are replaced by
/// `pseudonym`.
pub fn redact(body: &Value, pseudonym: impl Fn(&str) -> String) -> Value {
    let mut redacted = body.clone();
    let host = text(&body["payload"]["object"]["host_id"]);
    // A user event has no other data that we need.
    if body["event"].as_str().is_some_and(|name| name.starts_with("user."))
        && let Some(payload) = redacted["payload"].as_object_mut()
    {
        payload.retain(|name, _| name == "account_id");
    }
    // The person is known from their own events.
    if body["event"] == "meeting.participant_bind"
        && let Some(person) = redacted["payload"]["object"]["participant"].as_object_mut()
    {
        person.retain(|name, _| BINDING_FIELDS.contains(&name.as_str()));
    }
    redact_value(&mut redacted, host.as_deref(), &pseudonym);
    redacted
}

fn redact_value(value: &mut Value, host: Option<&str>, pseudonym: &impl Fn(&str) -> String) {
    let fields = match value {
        Value::Object(fields) => fields,
        Value::Array(items) => {
            return items.iter_mut().for_each(|item| redact_value(item, host, pseudonym));
        }
        _ => return,
    };
    fields.retain(|name, _| {
        let name = name.as_str();
        !(SECRET_FIELDS.contains(&name)
            || PERSONAL_FIELDS.contains(&name)
            || name.ends_with("_email"))
    });
    // Only objects that describe a person have this field beside `id`.
    if fields.contains_key("user_name") {
        let is_host = ["id", "participant_user_id"].iter().any(|name| {
            fields.get(*name).and_then(text).is_some_and(|id| host.is_some_and(|host| host == id))
        });
        if is_host {
            fields.remove("email");
        }
        pseudonymize(fields.get_mut("id"), pseudonym);
    }
    for name in PSEUDONYMIZED_FIELDS {
        pseudonymize(fields.get_mut(name), pseudonym);
    }
    fields.values_mut().for_each(|value| redact_value(value, host, pseudonym));
}

fn pseudonymize(value: Option<&mut Value>, pseudonym: &impl Fn(&str) -> String) {
    if let Some(value) = value
        && let Some(id) = text(value)
    {
        *value = Value::String(pseudonym(&id));
    }
}

/// Returns only the fields that all events have: name, time, account, meeting and meeting instance. Their length is limited.
pub fn header_only(body: &Value) -> Value {
    let (payload, object) = (&body["payload"], &body["payload"]["object"]);
    let either = |first: &Value, second: &Value| {
        let value = if first.is_null() { second } else { first };
        if value.is_object() || value.is_array() { Value::Null } else { value.clone() }
    };
    let mut header = json!({
        "event": body["event"],
        "event_ts": either(&body["event_ts"], &payload["event_ts"]),
        "payload": {
            "account_id": either(&payload["account_id"], &object["account_id"]),
            "object": {"id": meeting_number(object), "uuid": meeting_uuid(object)},
        },
        "header_only": true,
    });
    shorten(&mut header);
    header
}
