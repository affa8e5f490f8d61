//! Recordings: metadata and state of each recording file. The files stay at Zoom.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::item::{decode_readable, encode, encode_value};
use super::schema::{ItemKey, RECORDING_PREFIX, attr, session_partition};
use super::tx::{Action, Condition, ItemChanges, number, text};
use super::{KeyRange, Store};
use crate::crypt::Sealed;
use crate::domain::id::SessionId;
use crate::domain::recorded_span::RecordedSpan;
use crate::domain::recording::RecordingVisibility;
use crate::domain::recording_sync::{FileState, RecordingSync};
use crate::domain::time::sortable_text;
use crate::domain::zoom_event::{RecordingState, ReportedAt};

/// The fields to which the secrets of a recording are bound.
pub const PASSCODE_FIELD: &str = "recording_passcode";
pub const PLAY_PASSCODE_FIELD: &str = "recording_play_passcode";

/// The metadata of one recording file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recording {
    pub file_id: String,
    pub file_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub play_url: Option<String>,
    /// The passcode that a person types at Zoom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passcode: Option<Sealed>,
    /// The value of `pwd` in the play URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub play_passcode: Option<Sealed>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
    pub size_bytes: u64,
    /// The uuid of the recorded meeting instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
}

/// A recording file with its current state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRecording {
    pub recording: Recording,
    pub state: RecordingState,
    /// When the state was reported. Unknown for a file of which only its metadata was.
    pub state_at: Option<Timestamp>,
    /// The comparisons in a row that did not find the file at Zoom.
    pub absences: u32,
    /// The trainer's decision about its visibility.
    pub visibility: Option<RecordingVisibility>,
}

/// The recordings of a session, and their last comparison with Zoom's list.
#[derive(Clone, Debug, Default)]
pub struct SessionRecordings {
    /// The files that have metadata, oldest first.
    pub files: Vec<StoredRecording>,
    pub sync: Option<RecordingSync>,
}

/// The difference that a comparison has found in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordingChange {
    pub metadata: Option<Recording>,
    pub state: Option<FileState>,
}

#[derive(Deserialize)]
struct RecordingItem {
    // Absent if only the deletion of the file was received.
    #[serde(flatten)]
    recording: Option<Recording>,
    #[serde(default = "available")]
    state: RecordingState,
    /// The time of the last state event.
    #[serde(default)]
    state_at: Option<Timestamp>,
    #[serde(default)]
    absences: u32,
    #[serde(default)]
    visibility: Option<RecordingVisibility>,
    /// Set on the item for all recordings of a meeting instance: the uuid of that instance.
    #[serde(default)]
    whole_instance: Option<String>,
    /// Set on the item of the last comparison.
    #[serde(default)]
    sync: Option<RecordingSync>,
}

/// Returns the span of a file that can be watched, or could be before.
pub fn span_of_playable(stored: &StoredRecording) -> Option<RecordedSpan> {
    stored.recording.play_url.is_some().then(|| stored.span())
}

impl StoredRecording {
    pub fn span(&self) -> RecordedSpan {
        RecordedSpan {
            starts_at: self.recording.starts_at,
            ends_at: self.recording.ends_at,
            instance: self.recording.instance.clone(),
            visibility: self.visibility,
            is_available: self.state == RecordingState::Available,
            is_notified: false,
        }
    }
}

fn available() -> RecordingState {
    RecordingState::Available
}

/// Stores the metadata of a file from an event at `at`. Refused if newer metadata is stored. Zoom may send it twice with
/// different URLs. The state comes from other events, which may arrive earlier.
pub fn put_metadata(session: &SessionId, recording: &Recording, at: ReportedAt) -> Action {
    let condition = Condition::new()
        .absent_or_below(attr::DESCRIBED_AT, text(sortable_text(at.replaces_before())));
    let changes = ItemChanges::replace(encode(recording), &[])
        .set(attr::DESCRIBED_AT, text(sortable_text(at.stored())))
        .set_once(attr::STATE, text("available"));
    Action::update(ItemKey::Recording { session, file: &recording.file_id }, changes, condition)
}

/// Stores the state of a file since `at`. Refused if a newer state is stored.
pub fn set_state(session: &SessionId, file: &str, state: RecordingState, at: ReportedAt) -> Action {
    update_state(ItemKey::Recording { session, file }, ItemChanges::new(), state, at)
}

/// Stores the state of all recordings of a meeting instance, including files that are not known yet, in an item of its
/// own. The later of this state and the file's own state counts.
pub fn set_state_of_instance(
    session: &SessionId,
    instance: &str,
    state: RecordingState,
    at: ReportedAt,
) -> Action {
    let changes = ItemChanges::new().set(attr::WHOLE_INSTANCE, text(instance));
    // A file id contains no line break, so this key is unique.
    let file = format!("all\n{instance}");
    update_state(ItemKey::Recording { session, file: &file }, changes, state, at)
}

fn update_state(
    key: ItemKey<'_>,
    changes: ItemChanges,
    state: RecordingState,
    at: ReportedAt,
) -> Action {
    let changes = changes
        .set(attr::STATE, text(state.as_str()))
        .set(attr::STATE_AT, text(sortable_text(at.stored())))
        .remove(attr::ABSENCES);
    let replaced = text(sortable_text(at.replaces_before()));
    Action::update(key, changes, Condition::new().absent_or_below(attr::STATE_AT, replaced))
}

/// Stores the difference that a comparison at `at` has found in a file. Refused if Zoom has reported something newer.
pub fn apply_comparison(
    session: &SessionId,
    file: &str,
    change: &RecordingChange,
    at: ReportedAt,
) -> Action {
    let replaced = || text(sortable_text(at.replaces_before()));
    let stored_at = || text(sortable_text(at.stored()));
    let mut condition = Condition::new();
    let mut changes = ItemChanges::new();
    if let Some(recording) = &change.metadata {
        condition = condition.absent_or_below(attr::DESCRIBED_AT, replaced());
        changes = ItemChanges::replace(encode(recording), &[]).set(attr::DESCRIBED_AT, stored_at());
    }
    changes = match change.state {
        Some(FileState { state, absences: 0 }) => {
            condition = condition.absent_or_below(attr::STATE_AT, replaced());
            let changes = changes.set(attr::STATE, text(state.as_str()));
            changes.set(attr::STATE_AT, stored_at()).remove(attr::ABSENCES)
        }
        // The state stays, and so does its time.
        Some(FileState { absences, .. }) => {
            condition = condition.absent_or_below(attr::STATE_AT, replaced());
            changes.set(attr::ABSENCES, number(absences))
        }
        None => changes.set_once(attr::STATE, text(RecordingState::Available.as_str())),
    };
    Action::update(ItemKey::Recording { session, file }, changes, condition)
}

/// Stores the last comparison of a session's recordings.
pub fn put_sync(session: &SessionId, sync: &RecordingSync) -> Action {
    let changes = ItemChanges::new().set(attr::SYNC, encode_value(sync));
    // A file id contains no line break, so this key is unique.
    Action::update(ItemKey::Recording { session, file: "sync\n" }, changes, Condition::new())
}

/// Stores the visibility of a file. Refused if the file is unknown.
pub fn set_visibility(session: &SessionId, file: &str, visibility: RecordingVisibility) -> Action {
    let changes = ItemChanges::new().set(attr::VISIBILITY, encode_value(&visibility));
    let known = Condition::item_exists().exists(attr::FILE_ID);
    Action::update(ItemKey::Recording { session, file }, changes, known)
}

impl Store {
    /// Returns the recordings of a session, with strong consistency.
    pub async fn recordings(&self, session: &SessionId) -> Result<SessionRecordings, StoreError> {
        let range = KeyRange {
            pk: session_partition(session),
            prefix: Some(RECORDING_PREFIX.to_owned()),
            consistent: true,
            ..KeyRange::default()
        };
        let stored = decode_readable::<RecordingItem>(self.query_all(range).await?);
        let stored: Vec<_> = stored.collect();
        let instance_states: HashMap<_, _> = stored
            .iter()
            .filter_map(|stored| {
                Some((stored.whole_instance.as_deref()?, (stored.state_at, stored.state)))
            })
            .collect();
        let mut recordings: Vec<_> = stored
            .iter()
            .filter_map(|stored| {
                let recording = stored.recording.clone()?;
                let own = (stored.state_at, stored.state);
                let all = recording
                    .instance
                    .as_deref()
                    .and_then(|instance| instance_states.get(instance));
                let (state_at, state) = all.filter(|all| all.0 > own.0).copied().unwrap_or(own);
                let (absences, visibility) = (stored.absences, stored.visibility);
                Some(StoredRecording { recording, state, state_at, absences, visibility })
            })
            .collect();
        let sync = stored.iter().find_map(|stored| stored.sync.clone());
        recordings.sort_by(|a, b| {
            (a.recording.starts_at, &a.recording.file_id)
                .cmp(&(b.recording.starts_at, &b.recording.file_id))
        });
        Ok(SessionRecordings { files: recordings, sync })
    }
}
