//! What somebody changed at Zoom, past us.
//!
//! Like everything that Zoom's events tell, it follows from all of them by their own times, so that neither their order
//! nor their repetition matters.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::session::Session;
use super::zoom_event::{MeetingChange, EventPayload};

/// The mark of a meeting that was deleted.
pub const DELETED: &str = "deleted";
/// The mark of a meeting that Zoom does not record though it was asked to. No event tells of it: it was read from Zoom's
/// answer, and stays until Zoom is asked again.
pub const RECORDING: &str = "record_session";

/// The fields in which a class's meeting differs from the class, as `heard` tells of it. What was heard of the time before
/// Zoom was last told what the meeting is counts no more. While an edit is `under_way` to Zoom, what is heard of the fields
/// may be its own doing, so they stay as they are; that the meeting is gone never is.
pub fn drift<'a>(
    session: &Session,
    under_way: bool,
    heard: impl IntoIterator<Item = (Timestamp, &'a EventPayload)>,
) -> Vec<String> {
    let mut heard: Vec<_> =
        heard.into_iter().filter(|(at, _)| *at >= session.zoom_told_at).collect();
    heard.sort_by_key(|(at, _)| *at);
    let mut differing: BTreeSet<_> = session
        .drift
        .iter()
        .any(|field| field == RECORDING)
        .then_some(RECORDING)
        .into_iter()
        .collect();
    let mut deleted = false;
    for (_, says) in heard {
        match says {
            EventPayload::Deleted => deleted = true,
            EventPayload::Recovered => deleted = false,
            EventPayload::Updated(changed) => {
                for (field, differs) in compared(session, changed) {
                    match differs {
                        Some(true) => differing.insert(field),
                        Some(false) => differing.remove(field),
                        // Not a word of it in this event.
                        None => false,
                    };
                }
            }
            _ => {}
        }
    }
    let fields = if under_way {
        session.drift.iter().map(String::as_str).filter(|field| *field != DELETED).collect()
    } else {
        differing
    };
    fields.into_iter().chain(deleted.then_some(DELETED)).map(str::to_owned).collect()
}

fn compared(session: &Session, changed: &MeetingChange) -> [(&'static str, Option<bool>); 3] {
    let topic = changed.topic.as_ref().map(|topic| topic != session.title.as_str());
    let start = changed.starts_at.map(|at| at != session.starts_at);
    let duration =
        changed.duration_minutes.map(|minutes| minutes != i64::from(session.duration_minutes));
    [("title", topic), ("starts_at", start), ("duration_minutes", duration)]
}
