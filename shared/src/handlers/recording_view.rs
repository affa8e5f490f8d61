//! A session's recordings as JSON: where to watch each, while it exists.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::app::error::Error;
use crate::crypt::{Binding, Keyring};
use crate::domain::recording::RecordingVisibility;
use crate::domain::recording_sync::{
    RecordingSync, RecordingsState, file_reason, recordings_state,
};
use crate::domain::sealed::Sealed;
use crate::domain::session::Session;
use crate::domain::zoom_event::RecordingState;
use crate::domain::zoom_link;
use crate::secret::Secret;
use crate::store::recordings::{
    PASSCODE_FIELD, PLAY_PASSCODE_FIELD, SessionRecordings, StoredRecording,
};

/// The newest recordings are listed. With the longest links they take a third of the size of a response.
const LISTED_RECORDINGS: usize = 500;

#[derive(Debug, Serialize)]
pub struct RecordingsView {
    pub items: Vec<RecordingView>,
    state: RecordingsState,
    reason: Option<String>,
    synced_at: Option<Timestamp>,
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
    reason: Option<&'static str>,
    visibility: RecordingVisibility,
}

/// Opens the secrets of a session's recordings.
struct Opener<'a> {
    session: &'a Session,
    keyring: &'a Keyring,
    /// The event about a transcript does not contain the secret that it shares with the other files.
    play_passcodes: HashMap<&'a str, &'a Sealed>,
}

/// Renders the recordings of a session. Invited people get only those of the session, and no reason that concerns the
/// trainer's Zoom account.
pub fn recordings_view(
    session: &Session,
    recordings: &SessionRecordings,
    reader: RecordingVisibility,
    keyring: &Keyring,
    now: Timestamp,
) -> Result<RecordingsView, Error> {
    let opener = Opener::new(session, &recordings.files, keyring);
    let first = recordings.files.len().saturating_sub(LISTED_RECORDINGS);
    let is_visible = |stored: &&StoredRecording| {
        reader == RecordingVisibility::Trainer
            || session.recording_visibility(&stored.span()) == RecordingVisibility::Invited
    };
    let visible = recordings.files[first..].iter().filter(is_visible);
    let items = visible
        .filter_map(|stored| opener.view(stored).transpose())
        .collect::<Result<Vec<_>, Error>>()?;
    let states: Vec<_> = items.iter().map(|item| item.state).collect();
    let sync = recordings.sync.as_ref();
    let explained = match reader {
        RecordingVisibility::Trainer => sync.cloned(),
        RecordingVisibility::Invited => {
            sync.map(|sync| RecordingSync { reason: None, ..sync.clone() })
        }
    };
    let (state, reason) = recordings_state(session, &states, explained.as_ref(), now);
    Ok(RecordingsView { items, state, reason, synced_at: sync.and_then(|sync| sync.synced_at) })
}

/// Renders one file for its trainer.
pub fn recording_view(
    session: &Session,
    recordings: &SessionRecordings,
    stored: &StoredRecording,
    keyring: &Keyring,
) -> Result<Option<RecordingView>, Error> {
    Opener::new(session, &recordings.files, keyring).view(stored)
}

impl<'a> Opener<'a> {
    fn new(session: &'a Session, recordings: &'a [StoredRecording], keyring: &'a Keyring) -> Self {
        let play_passcodes = recordings.iter().filter_map(|stored| {
            let recording = &stored.recording;
            Some((recording.instance.as_deref()?, recording.play_passcode.as_ref()?))
        });
        Self { session, keyring, play_passcodes: play_passcodes.collect() }
    }

    fn open(&self, sealed: Option<&Sealed>, field: &str) -> Result<Option<Secret>, Error> {
        let binding = Binding { owner: self.session.id.as_str(), field };
        Ok(sealed.map(|sealed| self.keyring.open(sealed, &binding)).transpose()?)
    }

    /// Renders a file that can be watched, or could be before. Otherwise it is shown without its link.
    fn view(&self, stored: &StoredRecording) -> Result<Option<RecordingView>, Error> {
        let recording = &stored.recording;
        let play_url = recording.play_url.as_deref().and_then(zoom_link::parse_zoom_link);
        let Some(play_url) = play_url else { return Ok(None) };
        let is_available = stored.state == RecordingState::Available;
        let passcode = recording.passcode.as_ref().filter(|_| is_available);
        let of_instance =
            || recording.instance.as_deref().and_then(|instance| self.play_passcodes.get(instance));
        let play_passcode = recording.play_passcode.as_ref().or_else(|| of_instance().copied());
        let play_url =
            match self.open(play_passcode.filter(|_| is_available), PLAY_PASSCODE_FIELD)? {
                Some(secret) => zoom_link::with_play_passcode(play_url, secret.expose()),
                None => play_url,
            };
        let times = recording.starts_at.zip(recording.ends_at);
        let length = times.map(|(from, to)| to.as_second() - from.as_second());
        let passcode = self.open(passcode, PASSCODE_FIELD)?;
        Ok(Some(RecordingView {
            id: recording.file_id.clone(),
            file_type: recording.file_type.clone(),
            play_url: is_available.then(|| play_url.into()),
            passcode: passcode.map(|secret| secret.expose().to_owned()),
            duration_seconds: length.filter(|seconds| *seconds >= 0),
            size_bytes: recording.size_bytes,
            recorded_at: recording.starts_at,
            state: stored.state,
            reason: file_reason(stored.state),
            visibility: self.session.recording_visibility(&stored.span()),
        }))
    }
}
