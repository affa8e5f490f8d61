//! The timeline of a session, newest first: join attempts, Zoom's events, mails, changes for the trainer, and corrections.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::error::Error;
use super::webhook::is_from_host_account;
use crate::domain::attendance::{ErasureMarker, erased};
use crate::domain::caller::Caller;
use crate::domain::id::{MeetingId, SessionId};
use crate::domain::mailing::{DeliveryStatus, MailSubject, RecipientRef};
use crate::domain::refusal::Refusal;
use crate::domain::rights::Operation;
use crate::domain::session::Session;
use crate::domain::text::Email;
use crate::domain::zoom_event::{ChangedFiles, EventPayload, ParticipantEvent, ZoomEvent};
use crate::store::Store;
use crate::store::corrections::StoredCorrection;
use crate::store::delegated_actions::DelegatedAction;
use crate::store::events::StoredEvent;
use crate::store::join_attempts::JoinAttempt;
use crate::store::mailing::StoredDelivery;
use crate::store::recording_views::WatchClick;
use crate::store::schema::limit;
use crate::store::sessions::{MeetingDeletion, SessionRecord};
use crate::store::timeline::{LoggedChange, TimelineCursor, TimelineRange};

#[derive(Debug, serde::Serialize)]
pub struct TimelineEntry {
    pub at: Timestamp,
    pub kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    pub detail: Value,
}

/// Returns the time since when a timeline read at `now` is complete. Older join attempts and events have expired.
pub fn complete_since(store: &Store, now: Timestamp) -> Timestamp {
    now.saturating_sub(store.event_ttl()).unwrap_or(now)
}

/// Returns a page of a session's timeline and the cursor of the next page.
pub async fn load_timeline(
    store: &Store,
    caller: &Caller,
    id: &SessionId,
    before: Option<&TimelineCursor>,
    limit: usize,
) -> Result<(Vec<TimelineEntry>, Option<TimelineCursor>), Error> {
    let SessionRecord { session, meeting_deletion, .. } =
        store.session(id).await?.ok_or(Refusal::NotFound)?;
    session.check_right(Operation::ReadTimeline, caller)?;
    let mut all = read_sources(store, &session, before, limit).await?;
    let deletion = deletion_entries(&session, meeting_deletion.as_ref())
        .into_iter()
        .filter(|(cursor, _)| before.is_none_or(|before| cursor < before))
        .map(|(cursor, entry)| (cursor, TimelineSource::Entry(entry)));
    all.extend(deletion);
    all.sort_by(|(a, _), (b, _)| b.cmp(a));
    let more = all.len() > limit;
    all.truncate(limit);
    let next = if more { all.last().map(|(cursor, _)| cursor.clone()) } else { None };
    let recipients: Vec<_> = all.iter().filter_map(|(_, source)| source.recipient()).collect();
    let names = if recipients.is_empty() {
        HashMap::new()
    } else {
        recipient_names(store, &session, &recipients).await?
    };
    let entry = |(cursor, source): (TimelineCursor, TimelineSource)| match source {
        TimelineSource::OtherAccount => None,
        TimelineSource::Entry(entry) => Some(entry),
        TimelineSource::Mail(delivery) => Some(mail_entry(cursor.at, &delivery, &names)),
    };
    Ok((all.into_iter().filter_map(entry).collect(), next))
}

/// Reads the newest join attempts, events and mails before a cursor. One extra entry of each shows whether there is
/// another page.
async fn read_sources(
    store: &Store,
    session: &Session,
    before: Option<&TimelineCursor>,
    limit: usize,
) -> Result<Vec<(TimelineCursor, TimelineSource)>, Error> {
    let (id, read_limit) = (&session.id, limit + 1);
    let range = TimelineRange { before, limit: read_limit, ..TimelineRange::default() };
    let attempts = store.join_attempts_in(id, range);
    let actions = store.logged_changes_in(id, range);
    let events = async {
        match session.meeting.id {
            Some(meeting) => store.events_in(meeting, range).await,
            None => Ok(Vec::new()),
        }
    };
    let mails = store.deliveries_before(id, before, read_limit);
    let markers = async {
        match session.meeting.id {
            Some(meeting) => store.erasure_markers(meeting).await,
            None => Ok(Vec::new()),
        }
    };
    let (attempts, actions, mut events, mails, mut markers) =
        futures::try_join!(attempts, actions, events, mails, markers)?;
    learn_from_events(&mut markers, events.iter().map(|(_, stored)| &stored.event));
    for (_, stored) in &mut events {
        erased::anonymize_event(&mut stored.event, &markers);
    }
    let attempts = attempts
        .into_iter()
        .filter(|(_, attempt)| !attempt.is_of_any(&markers))
        .map(|(cursor, attempt)| (cursor, TimelineSource::Entry(join_attempt_entry(&attempt))));
    let events =
        events.into_iter().map(|(cursor, stored)| (cursor, event_source(session, &stored)));
    let mails = mails.into_iter().map(|(cursor, mail)| (cursor, TimelineSource::Mail(mail)));
    let is_erased = |change: &LoggedChange| match change {
        LoggedChange::Viewed(view) => view.is_of_any(&markers),
        LoggedChange::Delegated(_) | LoggedChange::Correction(_) => false,
    };
    let actions = actions.into_iter().filter(|(_, change)| !is_erased(change));
    let actions = actions.map(|(cursor, change)| {
        let entry = match change {
            LoggedChange::Viewed(view) => view_entry(&view),
            LoggedChange::Delegated(action) => delegated_action_entry(session, &action),
            LoggedChange::Correction(correction) => correction_entry(&correction),
        };
        (cursor, TimelineSource::Entry(entry))
    });
    Ok(attempts.chain(actions).chain(events).chain(mails).collect())
}

/// Adds the identities of erased people that follow from the events of their meeting.
pub(super) fn learn_from_events<'a>(
    markers: &mut [ErasureMarker],
    events: impl Iterator<Item = &'a ZoomEvent> + Clone,
) {
    for marker in markers {
        marker.learn_from(erased::participant_events(events.clone()));
        marker.add_telephones(erased::telephones(events.clone()));
    }
}

/// An event is shown at the stored time, because an event without a time of its own is sorted by when it arrived.
fn event_source(session: &Session, stored: &StoredEvent) -> TimelineSource {
    let is_ours = is_from_host_account(session, &stored.event);
    if !is_ours {
        return TimelineSource::OtherAccount;
    }
    let event = &stored.event;
    TimelineSource::Entry(TimelineEntry {
        at: stored.at,
        kind: format!("zoom.{}", event.name),
        actor: None,
        detail: event_detail(event, session.meeting.id),
    })
}

/// Returns the entries about a meeting that was not deleted at once when its session was cancelled.
fn deletion_entries(
    session: &Session,
    deletion: Option<&MeetingDeletion>,
) -> Vec<(TimelineCursor, TimelineEntry)> {
    let Some(deletion) = deletion else { return Vec::new() };
    let meeting = session.meeting.id.map(|id| id.to_string());
    let entry = |at: Timestamp, kind: &str, detail: Value| {
        let tail = kind.chars().filter(char::is_ascii_alphanumeric).collect();
        let cursor = TimelineCursor { at, tail };
        (cursor, TimelineEntry { at, kind: kind.to_owned(), actor: None, detail })
    };
    let waits_for_days = SignedDuration::from_hours(24 * limit::DUE_TTL_DAYS);
    let mut entries = vec![entry(
        deletion.waiting_since,
        "repair.waiting",
        json!({
            "meeting_id": meeting,
            "reason": deletion.reason,
            "until": deletion.waiting_since.saturating_add(waits_for_days).ok(),
        }),
    )];
    if let Some(ended_at) = deletion.ended_at {
        let kind = if deletion.is_given_up { "repair.given_up" } else { "repair.finished" };
        entries.push(entry(ended_at, kind, json!({"meeting_id": meeting})));
    }
    entries
}

/// One item of the timeline before names are resolved.
enum TimelineSource {
    /// An event of another account about the same meeting number.
    OtherAccount,
    Entry(TimelineEntry),
    Mail(StoredDelivery),
}

impl TimelineSource {
    fn recipient(&self) -> Option<&RecipientRef> {
        match self {
            Self::Mail(delivery) => Some(&delivery.recipient),
            Self::OtherAccount | Self::Entry(_) => None,
        }
    }
}

/// Maps the recipient references of deliveries to names: user ids for students and the trainer, addresses for invitees,
/// also of earlier lists, and both at former addresses too. People who were erased or left the course long ago are
/// missing.
async fn recipient_names(
    store: &Store,
    session: &Session,
    recipients: &[&RecipientRef],
) -> Result<HashMap<RecipientRef, String>, Error> {
    let subject = MailSubject::Session(session.id.clone());
    let students = async {
        match session.audience.course() {
            // Also students who left the course after the session was scheduled.
            Some(course) => store.enrollments_since(course, session.created_at).await,
            None => Ok(Vec::new()),
        }
    };
    let (students, invitees, trainer) = futures::try_join!(
        students,
        store.all_invited_emails(&session.id),
        store.user(&session.trainer)
    )?;
    let named = |email: &Email, name: String| (RecipientRef::new(&subject, email), name);
    let invitees = invitees.iter().map(|email| named(email, email.as_str().to_owned()));
    let students: Vec<_> = students.into_iter().map(|period| period.enrollment).collect();
    let students_with_emails = students
        .iter()
        .flat_map(|one| one.emails().map(|email| named(email, one.user.to_string())));
    let trainer = trainer.iter().flat_map(|user| user.email.iter().map(move |it| (it, &user.id)));
    let trainer = trainer.map(|(email, id)| named(email, id.to_string()));
    let mut names: HashMap<_, _> = invitees.chain(trainer).chain(students_with_emails).collect();
    // Mails go to the address of the user's own entry. It is read only if it differs from that of the enrollment.
    if recipients.iter().any(|recipient| !names.contains_key(*recipient)) && !students.is_empty() {
        let ids: Vec<_> = students.iter().map(|student| student.user.clone()).collect();
        for user in store.users(&ids).await?.into_values() {
            names.extend(user.emails().map(|email| named(email, user.id.to_string())));
        }
    }
    Ok(names)
}

fn mail_entry(
    at: Timestamp,
    delivery: &StoredDelivery,
    names: &HashMap<RecipientRef, String>,
) -> TimelineEntry {
    let mut detail = json!({"mail": delivery.kind, "recipient": names.get(&delivery.recipient)});
    if let Some(note) = &delivery.note {
        let name = match delivery.state {
            DeliveryStatus::Sent => "message_id",
            DeliveryStatus::Dropped | DeliveryStatus::Bounced | DeliveryStatus::Complained => {
                "reason"
            }
            _ => "error",
        };
        detail[name] = json!(note);
    }
    TimelineEntry { at, kind: format!("mail.{}", delivery.state.as_str()), actor: None, detail }
}

fn join_attempt_entry(attempt: &JoinAttempt) -> TimelineEntry {
    TimelineEntry {
        at: attempt.at,
        kind: if attempt.host { "clicked_start" } else { "clicked_join" }.to_owned(),
        actor: attempt.actor(),
        detail: json!({"outcome": attempt.outcome, "name": attempt.name.as_ref().map(|name| name.as_str())}),
    }
}

fn delegated_action_entry(session: &Session, action: &DelegatedAction) -> TimelineEntry {
    let mut detail = json!({
        "actor_role": action.role,
        "trainer_id": session.trainer,
        "version": action.version,
    });
    if let Some(poll) = &action.poll {
        detail["poll_id"] = json!(poll);
    }
    TimelineEntry {
        at: action.at,
        kind: action.kind.clone(),
        actor: Some(action.by.to_string()),
        detail,
    }
}

fn view_entry(view: &WatchClick) -> TimelineEntry {
    TimelineEntry {
        at: view.at,
        kind: "recording.viewed".to_owned(),
        actor: Some(view.viewer.to_string()),
        detail: json!({"recording_id": view.recording_id}),
    }
}

fn correction_entry(correction: &StoredCorrection) -> TimelineEntry {
    let StoredCorrection { at, corrected, source, count } = correction;
    let mut detail = json!({"corrected": corrected, "source": source});
    if let Some(count) = count {
        detail["count"] = json!(count);
    }
    TimelineEntry { at: *at, kind: "session.corrected".to_owned(), actor: None, detail }
}

/// Describes a Zoom event of a meeting for troubleshooting.
pub(super) fn event_detail(event: &ZoomEvent, meeting: Option<MeetingId>) -> Value {
    let person = |participant: &ParticipantEvent| {
        json!({
            "name": participant.name,
            "connection": participant.participant_uuid,
            "customer_key": participant.customer_key,
            "host": participant.is_host,
        })
    };
    match &event.payload {
        EventPayload::Joined(participant) | EventPayload::Left(participant) => person(participant),
        EventPayload::Updated(changed) => json!({
            "title": changed.topic,
            "starts_at": changed.starts_at,
            "duration_minutes": changed.duration_minutes,
        }),
        EventPayload::RecordingCompleted { files, .. } => json!({"files": files.len()}),
        EventPayload::RecordingStateChanged { files: ChangedFiles::Listed(files), .. } => {
            json!({"files": files.len()})
        }
        EventPayload::RecordingBatchChanged { instances, .. } => {
            let listed = instances.iter().map(|changed| match &changed.files {
                ChangedFiles::Listed(files) => Some(files.len()),
                ChangedFiles::All => None,
            });
            json!({"files": listed.sum::<Option<usize>>()})
        }
        _ => json!({"meeting_id": meeting.map(|id| id.to_string())}),
    }
}
