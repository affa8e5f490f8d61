//! Stores the recordings of a session: where to watch them, and whether they still exist. The files stay at Zoom.
//!
//! The spans of the files are also stored with the session, so that lists show `has_recording`. Some events name
//! recordings only by the uuid of the meeting instance. A pointer per instance leads from there to the session.

use std::collections::BTreeSet;

use futures::stream::{self, TryStreamExt};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{WebhookContext, is_from_host_account, session_of_event};
use crate::app::error::Error;
use crate::app::recorded_spans::{sealed_recording, store_spans};
use crate::domain::zoom_event::{
    ChangedFiles, ChangedRecording, RecordingFile, RecordingSecrets, RecordingState, ReportedAt,
    ZoomEvent,
};
use crate::store::error::CommitError;
use crate::store::recordings;
use crate::store::sessions::{self, SessionRecord};

/// Meeting instances of one batch event that are processed. Zoom's pages list 30, and an account's whole trash may hold
/// more than fits into the time in which Zoom waits for a response.
const BATCH_LIMIT: usize = 2000;
/// Sessions of a batch event that are updated concurrently.
const SESSIONS_AT_ONCE: usize = 8;

/// Stores recorded files, and notifies the audience about the first one that it can watch. The play URL must be an https
/// URL of Zoom's.
pub(super) async fn save_recordings(
    context: &WebhookContext<'_>,
    event: &ZoomEvent,
    recording_secrets: &RecordingSecrets,
    files: &[RecordingFile],
) -> Result<(), Error> {
    let WebhookContext { services, now, .. } = *context;
    let Some(record) = session_of_event(services, event).await? else { return Ok(()) };
    let session = &record.session;
    let (id, at) = (&session.id, event.reported_at());
    let secrets = services.secrets.get(now).await?;
    let keyring = secrets.keyring()?;
    let instance = event.uuid.as_deref();
    for file in files {
        let recording =
            sealed_recording(id, instance, recording_secrets, file, keyring, &services.random);
        ignore_outdated(
            services.store.commit_one(recordings::put_metadata(id, &recording, at)).await,
        )?;
    }
    // The events that would have stored the pointer may have been lost.
    if let Some(uuid) = &event.uuid
        && !session.meeting_instances.iter().any(|instance| instance.uuid == *uuid)
    {
        let pointer = sessions::put_instance_pointer(uuid, id, &session.trainer);
        services.store.commit_one(pointer).await?;
    }
    tracing::info!(event = "recording.saved", session_id = %id, files = files.len());
    // A transcript follows a recording about which everybody was notified.
    let notifies = event.name == "recording.completed";
    let instances = [event.uuid.as_deref()];
    store_spans(services, record, if notifies { &instances[..] } else { &[] }, now).await
}

/// Stores the state of recorded files: available, in the trash, or deleted.
pub(super) async fn save_recording_states(
    context: &WebhookContext<'_>,
    event: &ZoomEvent,
    state: RecordingState,
    files: &ChangedFiles,
) -> Result<(), Error> {
    let Some(record) = session_of_event(context.services, event).await? else { return Ok(()) };
    let at = event.reported_at();
    save_states(context, record, event.uuid.as_deref(), state, files, at).await
}

/// Stores the states of an event about recordings of several meetings. The event is also stored with each of its sessions,
/// so that their timelines show it.
pub(super) async fn save_batch_states(
    context: &WebhookContext<'_>,
    event: &ZoomEvent,
    state: RecordingState,
    instances: &[ChangedRecording],
) -> Result<(), Error> {
    let WebhookContext { services, now, .. } = *context;
    if instances.len() > BATCH_LIMIT {
        let left_out = instances.len() - BATCH_LIMIT;
        tracing::warn!(event = "recording.batch_shortened", left_out);
    }
    let instances = &instances[..instances.len().min(BATCH_LIMIT)];
    let uuids: BTreeSet<_> = instances.iter().map(|changed| changed.uuid.as_str()).collect();
    let uuids: Vec<_> = uuids.into_iter().collect();
    let records = services.store.sessions_of_instances(&uuids).await?;
    let at = event.reported_at();
    let changes = instances.iter().filter_map(|changed| {
        let record = records.get(&changed.uuid)?;
        is_from_host_account(&record.session, event).then(|| (changed, record.clone()))
    });
    stream::iter(changes.map(Ok))
        .try_for_each_concurrent(SESSIONS_AT_ONCE, |(changed, record)| async move {
            let (part, body) = part_of_batch(event, &record, changed);
            services.store.store_event(&part, &body, now).await?;
            save_states(context, record, Some(&changed.uuid), state, &changed.files, at).await
        })
        .await
}

/// Returns the part of a batch event about one meeting instance, with the meeting's number.
fn part_of_batch(
    event: &ZoomEvent,
    record: &SessionRecord,
    changed: &ChangedRecording,
) -> (ZoomEvent, Value) {
    let meeting = record.session.meeting.id;
    let files = match &changed.files {
        ChangedFiles::All => Value::Null,
        ChangedFiles::Listed(files) => json!(files),
    };
    let body = json!({
        "event": event.name,
        "event_ts": event.at.map(Timestamp::as_millisecond),
        "payload": {
            "account_id": event.account,
            "object": {
                "id": meeting.map(|id| id.0),
                "uuid": changed.uuid,
                "meetings": [{"meeting_uuid": changed.uuid, "recording_file_ids": files}],
            },
        },
    });
    let part = ZoomEvent { meeting, uuid: Some(changed.uuid.clone()), ..event.clone() };
    (part, body)
}

async fn save_states(
    context: &WebhookContext<'_>,
    record: SessionRecord,
    instance: Option<&str>,
    state: RecordingState,
    files: &ChangedFiles,
    at: ReportedAt,
) -> Result<(), Error> {
    let id = &record.session.id;
    let actions: Vec<_> = match (files, instance) {
        (ChangedFiles::Listed(files), _) => {
            files.iter().map(|file| recordings::set_state(id, file, state, at)).collect()
        }
        (ChangedFiles::All, Some(instance)) => {
            vec![recordings::set_state_of_instance(id, instance, state, at)]
        }
        (ChangedFiles::All, None) => Vec::new(),
    };
    for action in actions {
        ignore_outdated(context.services.store.commit_one(action).await)?;
    }
    store_spans(context.services, record, &[], context.now).await
}

/// A write that is refused because newer data is stored counts as done.
fn ignore_outdated(stored: Result<(), CommitError>) -> Result<(), Error> {
    match stored {
        Ok(()) | Err(CommitError::Refused(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
