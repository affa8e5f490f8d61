//! What is recorded of a class: where to watch it, and whether it still is there. The files stay at Zoom.

use jiff::Timestamp;

use super::{WebhookContext, class_of};
use crate::app::error::Error;
use crate::crypt::Binding;
use crate::domain::audience::Audience;
use crate::domain::domain_event::{DomainEvent, EventNonce, DomainEventKind};
use crate::domain::session::Session;
use crate::domain::time::whole_milli;
use crate::domain::zoom_event::{RecordingFile, RecordingState, ZoomEvent};
use crate::domain::zoom_link::is_zooms;
use crate::store::error::CommitError;
use crate::store::outbox;
use crate::store::recordings::{self, Recording};

/// Keeps what Zoom tells of recorded files, and announces the first that there is to watch of them. Where to watch them
/// must be an https address of Zoom's own.
pub(super) async fn describe(
    desk: &WebhookContext<'_>,
    event: &ZoomEvent,
    passcode: Option<&str>,
    files: &[RecordingFile],
) -> Result<(), Error> {
    let WebhookContext { tools, now, .. } = *desk;
    let Some(held) = class_of(tools, event).await? else { return Ok(()) };
    let (id, at) = (&held.session.id, event.at.unwrap_or(now));
    let secrets = tools.secrets.get(now).await?;
    let keyring = secrets.keyring()?;
    let recording = |file: &RecordingFile| {
        let bound = Binding { owner: id.as_str(), field: "recording_passcode" };
        Recording {
            file_id: file.id.clone(),
            file_type: file.file_type.clone(),
            play_url: file.play_url.clone().filter(|url| is_zooms(url)),
            passcode: passcode.map(|passcode| keyring.seal(passcode, &bound, &tools.random)),
            starts_at: file.starts_at,
            ends_at: file.ends_at,
            size_bytes: file.size_bytes,
            running: event.uuid.clone(),
        }
    };
    let recordings: Vec<_> = files.iter().map(recording).collect();
    let watched = recordings.iter().find(|recording| recording.play_url.is_some());
    let first = watched.filter(|_| held.session.audience != Audience::Standalone);
    if let Some(first) = first {
        announce_recording(desk, event, &held.session, first, at).await?;
    }
    for recording in recordings {
        unless_later(tools.store.commit_one(recordings::describe(id, &recording, at)).await)?;
    }
    tracing::info!(event = "recording.described", session_id = %id, files = files.len());
    Ok(())
}

/// Keeps a recording and its announcement together, if it is one that nobody knew of. One that is known was announced.
async fn announce_recording(
    desk: &WebhookContext<'_>,
    event: &ZoomEvent,
    session: &Session,
    recording: &Recording,
    at: Timestamp,
) -> Result<(), Error> {
    let cause = event.uuid.as_deref().unwrap_or(&recording.file_id);
    let announcement = DomainEvent {
        at: whole_milli(desk.now),
        kind: DomainEventKind::RecordingReady { session: session.id.clone(), turn: EventNonce::of(cause) },
    };
    let actions =
        vec![recordings::describe_new(&session.id, recording, at), outbox::announce(&announcement)];
    match desk.tools.store.commit(actions).await {
        Ok(()) => {
            desk.tools.send_wake_up(&announcement).await;
            Ok(())
        }
        Err(CommitError::Refused(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Follows what became of recorded files at Zoom.
pub(super) async fn place(
    desk: &WebhookContext<'_>,
    event: &ZoomEvent,
    state: RecordingState,
    files: &[String],
) -> Result<(), Error> {
    let WebhookContext { tools, now, .. } = *desk;
    let Some(held) = class_of(tools, event).await? else { return Ok(()) };
    let (id, at) = (&held.session.id, event.at.unwrap_or(now));
    let mut places: Vec<_> =
        files.iter().map(|file| recordings::place(id, file, state, at)).collect();
    // Without a list, everything that was recorded of the running is meant, also what is not known of yet.
    if let (true, Some(running)) = (files.is_empty(), &event.uuid) {
        places.push(recordings::place_all(id, running, state, at));
    }
    for place in places {
        unless_later(tools.store.commit_one(place).await)?;
    }
    Ok(())
}

/// What was refused because something later is known is done.
fn unless_later(stored: Result<(), CommitError>) -> Result<(), Error> {
    match stored {
        Ok(()) | Err(CommitError::Refused(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
