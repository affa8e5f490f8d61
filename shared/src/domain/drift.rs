//! Drift: changes that somebody made to a session's meeting at Zoom.
//!
//! Drift is computed from all events in order of their own times, so the order and repetition of deliveries do not matter.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::session::Session;
use super::zoom_event::{EventPayload, MeetingChange};

/// The drift entry of a deleted meeting.
pub const DELETED: &str = "deleted";
/// The drift entry of a meeting that Zoom does not record although we requested it. No event reports this. It comes from
/// Zoom's response and stays until the next request.
pub const RECORDING: &str = "record_session";

/// Returns the fields in which the meeting differs from the session according to `events`. Events from before the last
/// sync to Zoom are ignored. While an edit is in progress, an event may be its result, so the known fields are kept
/// unchanged. Deletion and recovery are never the result of an edit.
pub fn detect_drift<'a>(
    session: &Session,
    edit_in_progress: bool,
    events: impl IntoIterator<Item = (Timestamp, &'a EventPayload)>,
) -> Vec<String> {
    let mut events: Vec<_> =
        events.into_iter().filter(|(at, _)| *at >= session.zoom_synced_at).collect();
    events.sort_by_key(|(at, _)| *at);
    let mut drifted: BTreeSet<_> = session
        .drift
        .iter()
        .any(|field| field == RECORDING)
        .then_some(RECORDING)
        .into_iter()
        .collect();
    let mut deleted = false;
    for (_, payload) in events {
        match payload {
            EventPayload::Deleted => deleted = true,
            EventPayload::Recovered => deleted = false,
            EventPayload::Updated(change) => {
                for (field, is_different) in compare_fields(session, change) {
                    match is_different {
                        Some(true) => drifted.insert(field),
                        Some(false) => drifted.remove(field),
                        // This event does not include the field.
                        None => false,
                    };
                }
            }
            _ => {}
        }
    }
    let fields = if edit_in_progress {
        session.drift.iter().map(String::as_str).filter(|field| *field != DELETED).collect()
    } else {
        drifted
    };
    fields.into_iter().chain(deleted.then_some(DELETED)).map(str::to_owned).collect()
}

fn compare_fields(session: &Session, change: &MeetingChange) -> [(&'static str, Option<bool>); 3] {
    let topic = change.topic.as_ref().map(|topic| topic != session.title.as_str());
    let start = change.starts_at.map(|at| at != session.starts_at);
    let duration =
        change.duration_minutes.map(|minutes| minutes != i64::from(session.duration_minutes));
    [("title", topic), ("starts_at", start), ("duration_minutes", duration)]
}
