//! A session's recordings as JSON: where to watch each, while it exists.

use jiff::Timestamp;
use serde::Serialize;

use crate::app::error::Error;
use crate::crypt::{Binding, Keyring};
use crate::domain::session::Session;
use crate::domain::zoom_event::RecordingState;
use crate::store::recordings::StoredRecording;

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
}

/// Renders the files that can be watched, or could be before. A file in the trash or deleted is shown without its
/// link.
pub fn recordings_view(
    session: &Session,
    recordings: &[StoredRecording],
    keyring: &Keyring,
) -> Result<Vec<RecordingView>, Error> {
    let binding = Binding { owner: session.id.as_str(), field: "recording_passcode" };
    let view = |stored: &StoredRecording| {
        let recording = &stored.recording;
        let is_available = stored.state == RecordingState::Available;
        let passcode = recording
            .passcode
            .as_ref()
            .filter(|_| is_available)
            .map(|sealed| keyring.open(sealed, &binding))
            .transpose()?;
        let length = recording
            .starts_at
            .zip(recording.ends_at)
            .map(|(from, to)| to.as_second() - from.as_second());
        Ok(RecordingView {
            id: recording.file_id.clone(),
            file_type: recording.file_type.clone(),
            play_url: recording.play_url.clone().filter(|_| is_available),
            passcode: passcode.map(|passcode| passcode.expose().to_owned()),
            duration_seconds: length.filter(|seconds| *seconds >= 0),
            size_bytes: recording.size_bytes,
            recorded_at: recording.starts_at,
            state: stored.state,
        })
    };
    recordings.iter().filter(|stored| stored.recording.play_url.is_some()).map(view).collect()
}
