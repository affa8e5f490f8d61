//! What happened around a class, newest first: who clicked, what Zoom said, and what became of each mail.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::error::Error;
use super::webhook::is_of_account;
use crate::domain::caller::{Caller, Role};
use crate::domain::id::SessionId;
use crate::domain::mailing::{MailSubject, DeliveryStatus, RecipientRef};
use crate::domain::refusal::Refusal;
use crate::domain::session::Session;
use crate::domain::text::Email;
use crate::domain::zoom_event::{ParticipantEvent, EventPayload, ZoomEvent};
use crate::store::Store;
use crate::store::join_attempts::JoinAttempt;
use crate::store::mailing::StoredDelivery;
use crate::store::schema::limit;
use crate::store::timeline::TimelineCursor;

#[derive(Debug, serde::Serialize)]
pub struct TimelineEntry {
    pub at: Timestamp,
    pub kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    pub detail: Value,
}

/// Since when a timeline read at `now` is complete: clicks and events of before have run out, or are about to.
pub fn complete_since(now: Timestamp) -> Timestamp {
    let days = limit::EVENT_TTL_DAYS.min(limit::CLICK_TTL_DAYS);
    now.saturating_sub(SignedDuration::from_hours(24 * days)).unwrap_or(now)
}

/// A page of a class's timeline, and where the next begins. For its owner, and for those who support them.
pub async fn page(
    store: &Store,
    caller: &Caller,
    id: &SessionId,
    before: Option<&TimelineCursor>,
    limit: usize,
) -> Result<(Vec<TimelineEntry>, Option<TimelineCursor>), Error> {
    let session = store.session(id).await?.ok_or(Refusal::NotFound)?.session;
    if !session.is_owned_by(caller) && !caller.is(Role::Admin) {
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
    let mails = async { store.deliveries_before(id, before, wanted).await };
    let (clicks, events, mails) = futures::try_join!(clicks, events, mails)?;
    let clicks = clicks.into_iter().map(|(moment, click)| (moment, Told::Entry(of_click(&click))));
    // Shown at the time that is kept with it, and not at its place: an event that tells no time has none of its own.
    let events = events.into_iter().map(|(moment, kept)| {
        let entry = if is_of_account(&session, &kept.event) {
            of_event(&session, kept.at, &kept.event)
        } else {
            None
        };
        (moment, entry.map_or(Told::Nothing, Told::Entry))
    });
    let mails = mails.into_iter().map(|(moment, fate)| (moment, Told::Mail(fate)));
    let mut all: Vec<_> = clicks.chain(events).chain(mails).collect();
    all.sort_by(|(a, _), (b, _)| b.cmp(a));
    let more = all.len() > limit;
    all.truncate(limit);
    let next = if more { all.last().map(|(moment, _)| moment.clone()) } else { None };
    let names = if all.iter().any(|(_, told)| matches!(told, Told::Mail(_))) {
        recipients(store, &session).await?
    } else {
        HashMap::new()
    };
    let entry = |(moment, told): (TimelineCursor, Told)| match told {
        Told::Nothing => None,
        Told::Entry(entry) => Some(entry),
        Told::Mail(fate) => Some(of_mail(moment.at, &fate, &names)),
    };
    Ok((all.into_iter().filter_map(entry).collect(), next))
}

/// What stands at a moment.
enum Told {
    /// Another account's event about the same number.
    Nothing,
    Entry(TimelineEntry),
    Mail(StoredDelivery),
}

/// Whom a class's mails went to, by what their fates call them: students by user id, those invited by their addresses,
/// also those of earlier lists. Who has left the course, or was erased, is among them no more.
async fn recipients(
    store: &Store,
    session: &Session,
) -> Result<HashMap<RecipientRef, String>, Error> {
    let about = MailSubject::Session(session.id.clone());
    let students = async {
        match session.audience.course() {
            Some(course) => store.students(course).await,
            None => Ok(Vec::new()),
        }
    };
    let (students, invitees, trainer) =
        futures::try_join!(students, store.all_invited(&session.id), store.user(&session.trainer))?;
    let named = |email: &Email, name: String| (RecipientRef::of(&about, email), name);
    let invitees = invitees.iter().map(|email| named(email, email.as_str().to_owned()));
    let students = students.iter().map(|one| named(&one.email, one.user.to_string()));
    let trainer = trainer.iter().map(|user| named(&user.email, user.id.to_string()));
    Ok(invitees.chain(trainer).chain(students).collect())
}

fn of_mail(at: Timestamp, fate: &StoredDelivery, names: &HashMap<RecipientRef, String>) -> TimelineEntry {
    let mut detail = json!({"mail": fate.kind, "recipient": names.get(&fate.recipient)});
    if let Some(note) = &fate.note {
        let name = match fate.state {
            DeliveryStatus::Sent => "message_id",
            DeliveryStatus::Dropped => "reason",
            _ => "error",
        };
        detail[name] = json!(note);
    }
    TimelineEntry { at, kind: format!("mail.{}", fate.state.as_str()), actor: None, detail }
}

fn of_click(click: &JoinAttempt) -> TimelineEntry {
    TimelineEntry {
        at: click.at,
        kind: if click.host { "clicked_start" } else { "clicked_join" }.to_owned(),
        actor: Some(click.user_id.to_string()),
        detail: json!({"outcome": click.outcome, "name": click.name.as_ref().map(|name| name.as_str())}),
    }
}

/// An event in the words of a person who looks for what went wrong. Another account's event about the same number is
/// none of the class's.
fn of_event(session: &Session, at: Timestamp, event: &ZoomEvent) -> Option<TimelineEntry> {
    let person = |presence: &ParticipantEvent| {
        json!({
            "name": presence.name,
            "connection": presence.connection,
            "customer_key": presence.customer_key,
            "host": presence.is_host,
        })
    };
    let detail = match &event.payload {
        EventPayload::Joined(presence) | EventPayload::Left(presence) => person(presence),
        EventPayload::Updated(changed) => json!({
            "title": changed.topic,
            "starts_at": changed.starts_at,
            "duration_minutes": changed.duration_minutes,
        }),
        EventPayload::RecordingCompleted { files, .. } => json!({"files": files.len()}),
        EventPayload::RecordingIs { files, .. } => json!({"files": files.len()}),
        _ => json!({"meeting_id": session.meeting.id.map(|id| id.to_string())}),
    };
    Some(TimelineEntry { at, kind: format!("zoom.{}", event.name), actor: None, detail })
}
