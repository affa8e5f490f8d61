//! A session's recordings as JSON: where to watch each, while it exists.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::app::error::Error;
use crate::crypt::{Binding, Keyring};
use crate::domain::recording::RecordingVisibility;
use crate::domain::sealed::Sealed;
use crate::domain::session::Session;
use crate::domain::zoom_event::RecordingState;
use crate::domain::zoom_link;
use crate::store::recordings::{PASSCODE_FIELD, PLAY_PASSCODE_FIELD, StoredRecording};

/// The newest recordings are listed. With the longest links they take a third of the size of a response.
const LISTED_RECORDINGS: usize = 500;

#[derive(Debug, Serialize)]
pub struct RecordingsView {
    pub items: Vec<RecordingView>,
}

#[derive(Debug, Serialize)]
pub struct RecordingView {
    id: String,
    file_type: String,
    play_url: Option<String>,
    passcode: Option<String>,
    duration_seconds: Option<i64>,
    size_bytes: u64,
    recorded_at: Option<Timestamp>,
    state: RecordingState,
    visibility: RecordingVisibility,
}

/// Renders the files that can be watched, or could be before. A file in the trash or deleted is shown without its
/// link. Invited people get only recordings of the session.
pub fn recordings_view(
    session: &Session,
    recordings: &[StoredRecording],
    reader: RecordingVisibility,
    keyring: &Keyring,
) -> Result<Vec<RecordingView>, Error> {
    let open = |sealed: Option<&Sealed>, field| {
        let binding = Binding { owner: session.id.as_str(), field };
        sealed.map(|sealed| keyring.open(sealed, &binding)).transpose()
    };
    // The event about a transcript does not contain the secret that it shares with the other files.
    let play_passcodes: HashMap<_, _> = recordings
        .iter()
        .filter_map(|stored| {
            let recording = &stored.recording;
            Some((recording.instance.as_deref()?, recording.play_passcode.as_ref()?))
        })
        .collect();
    let view = |stored: &StoredRecording| {
        let recording = &stored.recording;
        let visibility = session.recording_visibility(&stored.span());
        let play_url = recording.play_url.as_deref().and_then(zoom_link::parse_zoom_link);
        let Some(play_url) = play_url.filter(|_| {
            reader == RecordingVisibility::Trainer || visibility == RecordingVisibility::Invited
        }) else {
            return Ok(None);
        };
        let is_available = stored.state == RecordingState::Available;
        let passcode = recording.passcode.as_ref().filter(|_| is_available);
        let of_instance =
            || recording.instance.as_deref().and_then(|instance| play_passcodes.get(instance));
        let play_passcode = recording.play_passcode.as_ref().or_else(|| of_instance().copied());
        let play_url = match open(play_passcode.filter(|_| is_available), PLAY_PASSCODE_FIELD)? {
            Some(secret) => zoom_link::with_play_passcode(play_url, secret.expose()),
            None => play_url,
        };
        let length = recording
            .starts_at
            .zip(recording.ends_at)
            .map(|(from, to)| to.as_second() - from.as_second());
        Ok(Some(RecordingView {
            id: recording.file_id.clone(),
            file_type: recording.file_type.clone(),
            play_url: is_available.then(|| play_url.into()),
            passcode: open(passcode, PASSCODE_FIELD)?.map(|secret| secret.expose().to_owned()),
            duration_seconds: length.filter(|seconds| *seconds >= 0),
            size_bytes: recording.size_bytes,
            recorded_at: recording.starts_at,
            state: stored.state,
            visibility,
        }))
    };
    let first = recordings.len().saturating_sub(LISTED_RECORDINGS);
    recordings[first..].iter().filter_map(|stored| view(stored).transpose()).collect()
}
