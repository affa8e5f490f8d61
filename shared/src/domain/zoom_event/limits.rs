//! Limits of what one event may contain. Zoom's own events are far below them. An event beyond them must neither fail, because
//! Zoom would repeat it, nor spoil the data of the other events.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::event_time;

/// The longest id, name or word. A session stores the uuids of 46 meeting instances in one item of at most 400 KB.
pub(super) const ID_LIMIT_CHARS: usize = 256;
/// The longest text. Zoom's longest field is an agenda of 2,000 characters.
pub(super) const TEXT_LIMIT_CHARS: usize = 4096;
/// Files of one event. Each is a write, and Zoom records a handful per meeting instance.
pub(super) const FILES_LIMIT: usize = 200;
/// The difference between the times of an event. A meeting lasts 30 hours at most.
const EVENT_TOLERANCE: SignedDuration = SignedDuration::from_hours(36);
/// The difference between a recording and an event about it. A recording stays in Zoom's trash for 30 days.
const RECORDING_TOLERANCE: SignedDuration = SignedDuration::from_hours(24 * 60);

/// Returns the first characters of a text.
pub(super) fn cut(text: &str, limit: usize) -> &str {
    match text.char_indices().nth(limit) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

/// Cuts every text in an event. The parsed event stays the same, because parsing cuts at the same length or earlier.
pub fn shorten(value: &mut Value) {
    match value {
        Value::String(text) => {
            let end = cut(text, TEXT_LIMIT_CHARS).len();
            text.truncate(end);
        }
        Value::Array(items) => items.iter_mut().for_each(shorten),
        Value::Object(fields) => fields.values_mut().for_each(shorten),
        _ => {}
    }
}

/// Removes times that are far from the event's own time, so that the event's own time counts instead. A time that is near
/// the receipt is kept, because the event's own time may be the wrong one. If neither can be right, both are removed.
pub fn without_implausible_times(mut body: Value, received_at: Timestamp) -> Value {
    let name = body["event"].as_str().unwrap_or_default();
    let (is_of_meeting, is_of_recording) = (
        matches!(name, "meeting.started" | "meeting.ended")
            || name.starts_with("meeting.participant_"),
        matches!(name, "recording.completed" | "recording.transcript_completed"),
    );
    let tolerance = match (is_of_meeting, is_of_recording) {
        (true, _) => EVENT_TOLERANCE,
        (_, true) => RECORDING_TOLERANCE,
        _ => return body,
    };
    let own_time = event_time(&body["event_ts"]);
    let is_near = |at: Timestamp, other: Timestamp| at.duration_since(other).abs() <= tolerance;
    let is_implausible = |value: &Value| {
        event_time(value).is_some_and(|at| {
            !own_time.is_some_and(|own| is_near(at, own)) && !is_near(at, received_at)
        })
    };
    let mut is_any_removed = false;
    let mut remove = |fields: &mut Value, names: &[&str]| {
        for name in names {
            if fields.get(name).is_some_and(is_implausible) {
                fields[*name] = Value::Null;
                is_any_removed = true;
            }
        }
    };
    let Some(object) = body.pointer_mut("/payload/object").filter(|object| object.is_object())
    else {
        return body;
    };
    remove(object, &["start_time", "end_time"]);
    if object["participant"].is_object() {
        remove(&mut object["participant"], &["join_time", "leave_time", "date_time"]);
    }
    let files = object.get_mut("recording_files").and_then(Value::as_array_mut);
    for file in files.into_iter().flatten() {
        remove(file, &["recording_start", "recording_end"]);
    }
    if is_any_removed && !own_time.is_some_and(|own| is_near(own, received_at)) {
        body["event_ts"] = Value::Null;
    }
    body
}

#[cfg(test)]
mod tests {
    use super::super::{EventPayload, ZoomEvent, redact};
    use super::*;
    use serde_json::json;

    const NOW: &str = "2026-12-01T09:00:00Z";

    fn now() -> Timestamp {
        NOW.parse().unwrap()
    }

    fn at(hours: i64) -> Timestamp {
        now() + SignedDuration::from_hours(hours)
    }

    #[test]
    fn time_far_from_its_event_is_replaced_by_the_time_of_the_event() {
        let far = ["1970-01-01T00:00:00Z", "9999-12-30T00:00:00Z"];
        let join = |event_ts: Value, join_time: &str| {
            let body = json!({"event": "meeting.participant_joined", "event_ts": event_ts, "payload": {"object": {
                "id": "1", "uuid": "u", "participant": {"participant_uuid": "c", "join_time": join_time}}}});
            ZoomEvent::parse(&without_implausible_times(body, now())).unwrap().occurred_at()
        };
        let millis = |hours| json!(at(hours).as_millisecond());
        for join_time in far {
            assert_eq!(join(millis(-1), join_time), Some(at(-1)), "{join_time}");
            assert_eq!(
                join(json!(5), join_time),
                if join_time == far[0] { far[0].parse().ok() } else { None }
            );
            assert_eq!(join(Value::Null, join_time), None, "{join_time}");
        }
        for (event_ts, join_time) in
            [(millis(-1), at(-2)), (json!(5), at(-2)), (millis(-500), at(-501))]
        {
            assert_eq!(join(event_ts, &join_time.to_string()), Some(join_time));
        }
        for (start, started_at) in [(at(-30), Some(at(-30))), (at(-400), None)] {
            let body = json!({"event": "meeting.ended", "event_ts": millis(0), "payload": {"object": {
                "id": "1", "uuid": "u", "start_time": start, "end_time": far[1]}}});
            let event = ZoomEvent::parse(&without_implausible_times(body, now())).unwrap();
            assert_eq!(event.payload, EventPayload::Ended { started_at, at: now() });
        }
        for (start, starts_at) in [(at(-24 * 20), Some(at(-24 * 20))), (at(-24 * 400), None)] {
            let body = json!({"event": "recording.completed", "event_ts": millis(0), "payload": {"object": {
                "recording_files": [{"id": "f", "recording_start": start}]}}});
            let event = ZoomEvent::parse(&without_implausible_times(body, now())).unwrap();
            let EventPayload::RecordingCompleted { files, .. } = event.payload else { panic!() };
            assert_eq!(files[0].starts_at, starts_at);
        }
        let planned = json!({"event": "meeting.updated", "event_ts": 5, "payload": {"object": {"start_time": far[1]}}});
        assert_eq!(without_implausible_times(planned.clone(), now()), planned);
    }

    #[test]
    fn shortened_event_is_parsed_like_the_full_one() {
        let long = "é".repeat(400_000);
        let mut body = json!({"event": "meeting.participant_joined", "event_ts": 5, "payload": {"account_id": long, "object": {
            "id": "1", "uuid": long, "participant": {"participant_uuid": long, "user_name": long, "customer_key": long}}}});
        let parsed = ZoomEvent::parse(&body).unwrap();
        assert_eq!(parsed.uuid.as_ref().unwrap().chars().count(), ID_LIMIT_CHARS);
        body = redact(&body, str::to_owned);
        shorten(&mut body);
        assert!(body.to_string().len() < 50_000);
        assert_eq!(ZoomEvent::parse(&body).unwrap(), parsed);
    }
}
