//! The audience of a recording: the trainer's decision, and the clicks to watch.

use std::time::Duration;

use jiff::Timestamp;

use super::Services;
use super::error::Error;
use super::recorded_spans::spans_of;
use super::sessions::load_visible_session;
use crate::domain::caller::Caller;
use crate::domain::id::SessionId;
use crate::domain::recording::RecordingVisibility;
use crate::domain::refusal::Refusal;
use crate::domain::rights::{Operation, View};
use crate::domain::session::Session;
use crate::domain::time::whole_milli;
use crate::store::error::CommitError;
use crate::store::recording_views::{self, WatchClick};
use crate::store::recordings::{self, SessionRecordings, StoredRecording};
use crate::store::sessions;

/// Attempts against concurrent events of the same meeting.
const ATTEMPTS: u32 = 8;
const WAIT_MS: u64 = 40;

/// A file after the trainer's decision, with its session.
#[derive(Debug)]
pub struct DecidedRecording {
    pub session: Session,
    pub recordings: SessionRecordings,
    pub file: StoredRecording,
}

/// Stores the visibility of a recording. The decision outlives later events and comparisons.
pub async fn set_visibility(
    services: &Services,
    caller: &Caller,
    id: &SessionId,
    file: &str,
    visibility: RecordingVisibility,
) -> Result<DecidedRecording, Error> {
    let store = &services.store;
    for _ in 0..ATTEMPTS {
        let record = store.session(id).await?.ok_or(Refusal::NotFound)?;
        let session = record.session;
        session.check_right(Operation::SetRecordingVisibility, caller)?;
        let mut recordings = store.recordings(id).await?;
        let found = recordings.files.iter_mut().find(|stored| is_watchable(stored, file));
        let found = found.ok_or(Refusal::NotFound)?;
        found.visibility = Some(visibility);
        let decided = found.clone();
        let spans = spans_of(&session, &recordings.files);
        let mut actions = vec![recordings::set_visibility(id, file, visibility)];
        if spans != session.recordings {
            actions.push(sessions::set_recordings(id, &spans, record.meeting_revision));
        }
        match store.commit(actions).await {
            Ok(()) => {
                tracing::info!(event = "recording.visibility_set", session_id = %id, ?visibility);
                return Ok(DecidedRecording { session, recordings, file: decided });
            }
            Err(CommitError::Refused(_)) => {}
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(Duration::from_millis(WAIT_MS + services.random.below(WAIT_MS))).await;
    }
    Err(Error::busy("too many concurrent changes of the recordings"))
}

/// Stores a click to watch a recording that the caller sees, for the timeline. Clicks that follow each other closely are one.
pub async fn record_view(
    services: &Services,
    caller: &Caller,
    id: &SessionId,
    file: &str,
    now: Timestamp,
) -> Result<(), Error> {
    let store = &services.store;
    let (session, view) = load_visible_session(store, caller, id, Operation::ViewRecording).await?;
    let recordings = store.recordings(id).await?;
    let found = recordings.files.iter().find(|stored| is_watchable(stored, file));
    let is_visible = |stored: &&StoredRecording| {
        view == View::Full
            || session.recording_visibility(&stored.span()) == RecordingVisibility::Invited
    };
    found.filter(is_visible).ok_or(Refusal::NotFound)?;
    let view = WatchClick {
        at: whole_milli(now),
        viewer: caller.id.clone(),
        recording_id: file.to_owned(),
    };
    match store.commit(recording_views::put(id, &view, store.event_ttl())).await {
        // The person has just clicked, or has clicked very often.
        Ok(()) | Err(CommitError::Refused(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Returns whether a file is the one with this id, and is shown in lists.
fn is_watchable(stored: &StoredRecording, file: &str) -> bool {
    stored.recording.file_id == file && stored.recording.play_url.is_some()
}
