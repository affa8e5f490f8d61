//! Finds the differences between the stored files and those that Zoom lists.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

use super::list::FoundRecordings;
use crate::app::error::Error;
use crate::app::recorded_spans::sealed_recording;
use crate::crypt::{Binding, Keyring};
use crate::domain::correction::{CorrectedPart, Correction, CorrectionSource};
use crate::domain::id::SessionId;
use crate::domain::recording_sync::{FilePresence, FileState};
use crate::domain::sealed::Sealed;
use crate::domain::zoom_event::{RecordedFiles, RecordingFile, RecordingState};
use crate::domain::zoom_link;
use crate::random::Random;
use crate::store::recordings::{
    PASSCODE_FIELD, PLAY_PASSCODE_FIELD, Recording, RecordingChange, SessionRecordings,
    StoredRecording,
};

const LISTED: FileState = FileState { state: RecordingState::Available, absences: 0 };

/// A file that differs from Zoom's list.
#[derive(Debug)]
pub(super) struct ChangedFile {
    pub(super) file: String,
    pub(super) change: RecordingChange,
    kind: ChangeKind,
}

/// How a file differs from the stored one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ChangeKind {
    New,
    /// In its state, its times, its type or its size.
    Corrected,
    /// Only in its links and passcodes, which Zoom renews, or in the number of its absences.
    Minor,
}

impl ChangeKind {
    /// Returns whether the timeline shows it.
    fn is_correction(self) -> bool {
        self != Self::Minor
    }
}

/// The differences between the stored files and those that Zoom lists.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    pub(super) changes: Vec<ChangedFile>,
    pub(super) added: usize,
    /// The known files of which the timeline shows a correction.
    pub(super) changed: usize,
}

/// Compares the stored files with those that Zoom listed at `at`. A newer report about a file is kept.
pub(super) fn compare(
    session: &SessionId,
    stored: &SessionRecordings,
    found: &FoundRecordings,
    at: Timestamp,
    keyring: &Keyring,
    random: &Random,
) -> Result<Comparison, Error> {
    let known: HashMap<_, _> =
        stored.files.iter().map(|stored| (stored.recording.file_id.as_str(), stored)).collect();
    let mut changes: BTreeMap<&str, ChangedFile> = BTreeMap::new();
    for listed in &found.listed {
        for file in listed.files.iter().filter(|file| file.is_complete) {
            let known = known.get(file.id.as_str()).copied();
            let sealed = |secrets| {
                let instance = listed.instance.as_deref();
                sealed_recording(session, instance, secrets, file, keyring, random)
            };
            let Some(kind) = difference(session, known, listed, file, keyring)? else { continue };
            // A new file may be known as trashed from an older event about its whole meeting instance.
            let state = known.is_none().then_some(LISTED);
            let change = RecordingChange { metadata: Some(sealed(&listed.secrets)), state };
            changes.insert(&file.id, ChangedFile { file: file.id.clone(), change, kind });
        }
    }
    for stored in &stored.files {
        let Some(state) = changed_state(stored, found, at) else { continue };
        let file = stored.recording.file_id.as_str();
        let changed = changes.entry(file).or_insert_with(|| ChangedFile {
            file: file.to_owned(),
            change: RecordingChange::default(),
            kind: ChangeKind::Minor,
        });
        changed.change.state = Some(state);
        if state.state != stored.state {
            changed.kind = ChangeKind::Corrected;
        }
    }
    let changes: Vec<_> = changes.into_values().collect();
    let count = |kind| changes.iter().filter(|it| it.kind == kind).count();
    let (added, changed) = (count(ChangeKind::New), count(ChangeKind::Corrected));
    Ok(Comparison { changes, added, changed })
}

/// Returns the correction of some files for the timeline, if the timeline shows one of them.
pub(super) fn correction(changes: &[ChangedFile], at: Timestamp) -> Option<Correction> {
    let count = changes.iter().filter(|changed| changed.kind.is_correction()).count();
    let (part, source) = (CorrectedPart::Recordings, CorrectionSource::RecordingList);
    (count > 0).then_some(Correction { at, part, source, count: Some(count) })
}

/// Returns the state of a known file after the comparison, if it changes.
fn changed_state(
    stored: &StoredRecording,
    found: &FoundRecordings,
    at: Timestamp,
) -> Option<FileState> {
    if stored.state_at.is_some_and(|reported_at| reported_at >= at) {
        return None;
    }
    let known = FileState { state: stored.state, absences: stored.absences };
    let presence: FilePresence = found.presence(stored)?;
    Some(known.after(presence)).filter(|next| *next != known)
}

fn difference(
    session: &SessionId,
    known: Option<&StoredRecording>,
    listed: &RecordedFiles,
    file: &RecordingFile,
    keyring: &Keyring,
) -> Result<Option<ChangeKind>, Error> {
    let Some(StoredRecording { recording, .. }) = known else { return Ok(Some(ChangeKind::New)) };
    let Recording { file_type, starts_at, ends_at, size_bytes, instance, .. } = recording;
    let stored = (file_type, starts_at, ends_at, size_bytes, instance);
    if stored
        != (&file.file_type, &file.starts_at, &file.ends_at, &file.size_bytes, &listed.instance)
    {
        return Ok(Some(ChangeKind::Corrected));
    }
    let is_same =
        |sealed: &Option<Sealed>, listed: &Option<String>, field| -> Result<bool, Error> {
            let binding = Binding { owner: session.as_str(), field };
            // The list of a meeting may lack a passcode that an event had.
            let Some(listed) = listed else { return Ok(true) };
            let opened =
                sealed.as_ref().map(|sealed| keyring.open(sealed, &binding)).transpose()?;
            Ok(opened.is_some_and(|opened| opened.expose() == listed.as_str()))
        };
    let play_url = file.play_url.as_deref().and_then(zoom_link::parse_zoom_link).map(String::from);
    let has_same_links = recording.play_url == play_url
        && is_same(&recording.passcode, &listed.secrets.passcode, PASSCODE_FIELD)?
        && is_same(&recording.play_passcode, &listed.secrets.play_passcode, PLAY_PASSCODE_FIELD)?;
    Ok((!has_same_links).then_some(ChangeKind::Minor))
}
