//! Drift: differences between a session and its meeting that somebody made at Zoom.
//!
//! Drift is computed from all events in order of their own times, so the order and repetition of deliveries do not matter.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::meeting_fields::{FieldValues, TIMEZONE, compare, reported_fields};
use super::session::{DELETED, Session};
use super::zoom_event::EventPayload;

/// The drift entry of a meeting that Zoom does not record although we requested it, or records although we did not. An
/// account that forbids recording drops the setting without an event, so the entry also comes from Zoom's responses.
pub const RECORDING: &str = super::meeting_fields::RECORDING;

/// The drift entry of another start. It also comes from Zoom's responses.
pub const STARTS_AT: &str = super::meeting_fields::STARTS_AT;

/// Returns the fields in which the meeting differs from the session according to `events`. Events from before the last
/// sync to Zoom are ignored, and a field without an event stays as it is. While an edit is in progress, an event may be
/// its result, so the known fields are kept unchanged. Deletion and recovery are never the result of an edit.
pub fn detect_drift<'a>(
    session: &Session,
    edit_in_progress: bool,
    events: impl IntoIterator<Item = (Timestamp, &'a EventPayload)>,
) -> Vec<String> {
    let mut events: Vec<_> =
        events.into_iter().filter(|(at, _)| *at >= session.zoom_synced_at).collect();
    events.sort_by_key(|(at, _)| *at);
    let mut deleted = session.drift.iter().any(|field| field == DELETED);
    let mut reported = FieldValues::new();
    for (_, payload) in events {
        match payload {
            EventPayload::Deleted => deleted = true,
            EventPayload::Recovered => deleted = false,
            EventPayload::Updated(change) => reported.extend(reported_fields(change)),
            _ => {}
        }
    }
    let known = session.drift.iter().map(String::as_str).filter(|field| *field != DELETED);
    let mut fields: BTreeSet<&str> = known.collect();
    if !edit_in_progress {
        for (field, is_different) in compare(session, &reported) {
            if is_different && field != TIMEZONE {
                fields.insert(field);
            } else {
                fields.remove(field);
            }
        }
    }
    fields.into_iter().chain(deleted.then_some(DELETED)).map(str::to_owned).collect()
}
