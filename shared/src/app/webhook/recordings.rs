//! Stores the recordings of a session: where to watch them, and whether they still exist. The files stay at Zoom.

use jiff::Timestamp;

use super::{WebhookContext, session_of_event};
use crate::app::error::Error;
use crate::crypt::Binding;
use crate::domain::audience::Audience;
use crate::domain::domain_event::{DomainEvent, DomainEventKind, EventNonce};
use crate::domain::session::Session;
use crate::domain::time::whole_milli;
use crate::domain::zoom_event::{RecordingFile, RecordingState, ZoomEvent};
use crate::domain::zoom_link::is_zoom_link;
use crate::store::due_work;
use crate::store::error::CommitError;
use crate::store::recordings::{self, Recording};

/// Stores recorded files, and notifies people about the first one that can be watched. The play URL must be an https
/// URL of Zoom's.
pub(super) async fn save_recordings(
    context: &WebhookContext<'_>,
    event: &ZoomEvent,
    passcode: Option<&str>,
    files: &[RecordingFile],
) -> Result<(), Error> {
    let WebhookContext { services, now, .. } = *context;
    let Some(record) = session_of_event(services, event).await? else { return Ok(()) };
    let (id, at) = (&record.session.id, event.at.unwrap_or(now));
    let secrets = services.secrets.get(now).await?;
    let keyring = secrets.keyring()?;
    let recording = |file: &RecordingFile| {
        let binding = Binding { owner: id.as_str(), field: "recording_passcode" };
        Recording {
            file_id: file.id.clone(),
            file_type: file.file_type.clone(),
            play_url: file.play_url.clone().filter(|url| is_zoom_link(url)),
            passcode: passcode.map(|passcode| keyring.seal(passcode, &binding, &services.random)),
            starts_at: file.starts_at,
            ends_at: file.ends_at,
            size_bytes: file.size_bytes,
            instance: event.uuid.clone(),
        }
    };
    let recordings: Vec<_> = files.iter().map(recording).collect();
    let playable = recordings.iter().find(|recording| recording.play_url.is_some());
    let first = playable.filter(|_| record.session.audience != Audience::Standalone);
    if let Some(first) = first {
        save_first_recording(context, event, &record.session, first, at).await?;
    }
    for recording in recordings {
        ignore_outdated(
            services.store.commit_one(recordings::put_metadata(id, &recording, at)).await,
        )?;
    }
    tracing::info!(event = "recording.saved", session_id = %id, files = files.len());
    Ok(())
}

/// Stores a recording together with its domain event, unless the recording is known already.
async fn save_first_recording(
    context: &WebhookContext<'_>,
    event: &ZoomEvent,
    session: &Session,
    recording: &Recording,
    at: Timestamp,
) -> Result<(), Error> {
    let cause = event.uuid.as_deref().unwrap_or(&recording.file_id);
    let domain_event = DomainEvent {
        at: whole_milli(context.now),
        kind: DomainEventKind::RecordingReady {
            session: session.id.clone(),
            nonce: EventNonce::derive(cause),
        },
    };
    let actions = vec![
        recordings::put_metadata_if_new(&session.id, recording, at),
        due_work::put_domain_event(&domain_event),
    ];
    match context.services.store.commit(actions).await {
        Ok(()) => {
            context.services.send_wake_up(&domain_event).await;
            Ok(())
        }
        Err(CommitError::Refused(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Stores the state of recorded files: available, in the trash, or deleted.
pub(super) async fn save_recording_states(
    context: &WebhookContext<'_>,
    event: &ZoomEvent,
    state: RecordingState,
    files: &[String],
) -> Result<(), Error> {
    let WebhookContext { services, now, .. } = *context;
    let Some(record) = session_of_event(services, event).await? else { return Ok(()) };
    let (id, at) = (&record.session.id, event.at.unwrap_or(now));
    let mut actions: Vec<_> =
        files.iter().map(|file| recordings::set_state(id, file, state, at)).collect();
    // Without a list, the event applies to all files of the meeting instance, including files that are not known yet.
    if let (true, Some(instance)) = (files.is_empty(), &event.uuid) {
        actions.push(recordings::set_state_of_instance(id, instance, state, at));
    }
    for action in actions {
        ignore_outdated(services.store.commit_one(action).await)?;
    }
    Ok(())
}

/// A write that is refused because newer data is stored counts as done.
fn ignore_outdated(stored: Result<(), CommitError>) -> Result<(), Error> {
    match stored {
        Ok(()) | Err(CommitError::Refused(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
