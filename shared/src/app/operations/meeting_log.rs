//! Lists Zoom's events of a meeting as they are stored, newest first. For administrators.
//!
//! The meeting may belong to no session. Nobody can be recognised as erased there, so its participants have no names.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::app::error::Error;
use crate::app::timeline::{event_detail, learn_from_events};
use crate::domain::attendance::ErasureMarker;
use crate::domain::attendance::erased::anonymize_event;
use crate::domain::directory::ERASED_NAME;
use crate::domain::id::{MeetingId, SessionId};
use crate::domain::zoom_event::{EventPayload, ZoomEvent};
use crate::store::Store;
use crate::store::events::{LoggedEvent, StoredEvent, hide_participant};
use crate::store::timeline::{LoggedEvents, TimelineCursor, TimelineRange};

/// Events that one query reads, and queries of one request. A rare event among many others takes several pages.
const EVENTS_PER_QUERY: usize = 200;
const QUERIES: usize = 10;
/// The size of the bodies at which a page ends. A Lambda response has 6 MB at most. As a JSON string, a body has twice the
/// size at most.
const BODIES_LIMIT_BYTES: usize = 2_500_000;

/// The events that are requested.
#[derive(Clone, Debug, Default)]
pub struct MeetingLogFilter {
    /// The name of the events, such as `meeting.started`.
    pub event: Option<String>,
    /// The earliest and the latest time.
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
    /// Whether the stored bodies are returned.
    pub raw: bool,
}

#[derive(Debug)]
pub struct MeetingLogEntry {
    pub at: Timestamp,
    pub event: ZoomEvent,
    pub detail: Value,
    pub body: Option<Value>,
}

#[derive(Debug)]
pub struct MeetingLog {
    /// The session of the meeting, if it is known.
    pub session: Option<SessionId>,
    pub entries: Vec<MeetingLogEntry>,
    pub next: Option<TimelineCursor>,
}

/// Returns a page of the events of a meeting, and the position of the next page.
pub async fn list(
    store: &Store,
    meeting: MeetingId,
    filter: &MeetingLogFilter,
    before: Option<&TimelineCursor>,
    limit: usize,
) -> Result<MeetingLog, Error> {
    let owners = [meeting];
    let (mut owners, markers) =
        futures::try_join!(store.owners_of_meetings(&owners), store.erasure_markers(meeting))?;
    let mut privacy = Privacy { session: owners.remove(&meeting), markers };
    let (mut entries, mut bytes) = (Vec::new(), 0);
    let mut position = before.cloned();
    // The range of the store ends before its end. Zoom's times have milliseconds.
    let end = filter.to.map(|to| to.saturating_add(SignedDuration::from_millis(1)).unwrap_or(to));
    for _ in 0..QUERIES {
        let range = TimelineRange {
            before: position.as_ref(),
            from: filter.from,
            to: end,
            limit: EVENTS_PER_QUERY,
        };
        let LoggedEvents { events, last } = store.logged_events_in(meeting, range).await?;
        learn_from_events(
            &mut privacy.markers,
            events.iter().map(|(_, logged)| &logged.stored.event),
        );
        for (cursor, logged) in events {
            if filter.event.as_ref().is_some_and(|name| *name != logged.stored.event.name) {
                continue;
            }
            // The position is that of the last entry, because another one follows.
            if entries.len() == limit || bytes > BODIES_LIMIT_BYTES {
                return Ok(MeetingLog { session: privacy.session, entries, next: position });
            }
            let entry = privacy.entry(meeting, logged, filter.raw);
            bytes += entry.body.as_ref().map_or(0, |body| body.to_string().len());
            entries.push(entry);
            position = Some(cursor);
        }
        position = last;
        if position.is_none() || entries.len() == limit {
            break;
        }
    }
    Ok(MeetingLog { session: privacy.session, entries, next: position })
}

/// The data that decides which identities are shown.
struct Privacy {
    session: Option<SessionId>,
    markers: Vec<ErasureMarker>,
}

impl Privacy {
    /// Returns an entry without the identities of erased people. Those of an unknown meeting are all left out.
    fn entry(&self, meeting: MeetingId, logged: LoggedEvent, raw: bool) -> MeetingLogEntry {
        let LoggedEvent { stored: StoredEvent { at, mut event }, mut body } = logged;
        let unchanged = event.clone();
        if self.session.is_some() {
            anonymize_event(&mut event, &self.markers);
            if event != unchanged {
                hide_participant(&mut body, Some(ERASED_NAME));
            }
        } else {
            if let EventPayload::Joined(person) | EventPayload::Left(person) = &mut event.payload {
                person.anonymize();
                person.name.clear();
            }
            hide_participant(&mut body, None);
        }
        let detail = event_detail(&event, Some(meeting));
        MeetingLogEntry { at, event, detail, body: raw.then_some(body) }
    }
}
