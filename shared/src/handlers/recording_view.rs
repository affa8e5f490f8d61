//! A class's recordings as JSON: where to watch each, as long as it is there.

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

/// The files that can be watched or could be. One that is in the trash, or deleted, is shown as gone, without the way to it.
pub fn all(session: &Session, kept: &[StoredRecording], keyring: &Keyring) -> Result<Vec<RecordingView>, Error> {
    let bound = Binding { owner: session.id.as_str(), field: "recording_passcode" };
    let view = |kept: &StoredRecording| {
        let recording = &kept.recording;
        let there = kept.state == RecordingState::Available;
        let passcode = recording
            .passcode
            .as_ref()
            .filter(|_| there)
            .map(|sealed| keyring.open(sealed, &bound))
            .transpose()?;
        let length = recording
            .starts_at
            .zip(recording.ends_at)
            .map(|(from, to)| to.as_second() - from.as_second());
        Ok(RecordingView {
            id: recording.file_id.clone(),
            file_type: recording.file_type.clone(),
            play_url: recording.play_url.clone().filter(|_| there),
            passcode: passcode.map(|passcode| passcode.expose().to_owned()),
            duration_seconds: length.filter(|seconds| *seconds >= 0),
            size_bytes: recording.size_bytes,
            recorded_at: recording.starts_at,
            state: kept.state,
        })
    };
    kept.iter().filter(|kept| kept.recording.play_url.is_some()).map(view).collect()
}
