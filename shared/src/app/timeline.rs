//! What happened around a class, newest first: who clicked, and what Zoom said.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::error::Error;
use super::webhook::is_of_account;
use crate::domain::caller::{Caller, Role};
use crate::domain::id::SessionId;
use crate::domain::refusal::Refusal;
use crate::domain::session::Session;
use crate::domain::zoom_event::{Presence, Says, ZoomEvent};
use crate::store::Store;
use crate::store::clicks::Click;
use crate::store::timeline::Moment;

#[derive(Debug, serde::Serialize)]
pub struct Entry {
    pub at: Timestamp,
    pub kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    pub detail: Value,
}

/// A page of a class's timeline, and where the next begins. For its owner, and for those who support them.
pub async fn page(
    store: &Store,
    caller: &Caller,
    id: &SessionId,
    before: Option<&Moment>,
    limit: usize,
) -> Result<(Vec<Entry>, Option<Moment>), Error> {
    let session = store.session(id).await?.ok_or(Refusal::NotFound)?.session;
    if !session.is_owned_by(caller) && caller.role != Role::Admin {
        return Err(Refusal::NotFound.into());
    }
    // One more than the page holds tells whether there is another.
    let wanted = limit + 1;
    let clicks = async { store.clicks_before(id, before, wanted).await };
    let events = async {
        match session.meeting.id {
            Some(meeting) => store.events_before(meeting, before, wanted).await,
            None => Ok(Vec::new()),
        }
    };
    let (clicks, events) = futures::try_join!(clicks, events)?;
    let clicks = clicks.into_iter().map(|(moment, click)| (moment, of_click(&click)));
    let events = events.into_iter().map(|(moment, event)| {
        let entry = if is_of_account(&session, &event) {
            of_event(&session, moment.at, &event)
        } else {
            None
        };
        (moment, entry)
    });
    let mut all: Vec<_> =
        clicks.map(|(moment, entry)| (moment, Some(entry))).chain(events).collect();
    all.sort_by(|(a, _), (b, _)| b.cmp(a));
    let more = all.len() > limit;
    all.truncate(limit);
    let next = if more { all.last().map(|(moment, _)| moment.clone()) } else { None };
    Ok((all.into_iter().filter_map(|(_, entry)| entry).collect(), next))
}

fn of_click(click: &Click) -> Entry {
    Entry {
        at: click.at,
        kind: if click.host { "clicked_start" } else { "clicked_join" }.to_owned(),
        actor: Some(click.user_id.to_string()),
        detail: json!({"outcome": click.outcome, "name": click.name.as_ref().map(|name| name.as_str())}),
    }
}

/// An event in the words of a person who looks for what went wrong. Another account's event about the same number is
/// none of the class's.
fn of_event(session: &Session, at: Timestamp, event: &ZoomEvent) -> Option<Entry> {
    let person = |presence: &Presence| {
        json!({
            "name": presence.name,
            "connection": presence.connection,
            "customer_key": presence.customer_key,
            "host": presence.is_host,
        })
    };
    let detail = match &event.says {
        Says::Joined(presence) | Says::Left(presence) => person(presence),
        Says::Updated(changed) => json!({
            "title": changed.topic,
            "starts_at": changed.starts_at,
            "duration_minutes": changed.duration_minutes,
        }),
        Says::RecordingCompleted { files, .. } => json!({"files": files.len()}),
        Says::RecordingIs { files, .. } => json!({"files": files.len()}),
        _ => json!({"meeting_id": session.meeting.id.map(|id| id.to_string())}),
    };
    Some(Entry { at, kind: format!("zoom.{}", event.name), actor: None, detail })
}
