//! Recordings: metadata and state of each recording file. The files stay at Zoom.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::item::{decode_readable, encode};
use super::schema::{ItemKey, RECORDING_PREFIX, attr, session_partition};
use super::tx::{Action, Condition, ItemChanges, text};
use super::{KeyRange, Store};
use crate::crypt::Sealed;
use crate::domain::id::SessionId;
use crate::domain::recorded_span::RecordedSpan;
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
    /// Set on the item for all recordings of a meeting instance: the uuid of that instance.
    #[serde(default)]
    whole_instance: Option<String>,
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
    let word = match state {
        RecordingState::Available => "available",
        RecordingState::Trashed => "trashed",
        RecordingState::Deleted => "deleted",
    };
    let changes =
        changes.set(attr::STATE, text(word)).set(attr::STATE_AT, text(sortable_text(at.stored())));
    let replaced = text(sortable_text(at.replaces_before()));
    Action::update(key, changes, Condition::new().absent_or_below(attr::STATE_AT, replaced))
}

impl Store {
    /// Returns the recording files of a session that have metadata, oldest first, with strong consistency.
    pub async fn recordings(
        &self,
        session: &SessionId,
    ) -> Result<Vec<StoredRecording>, StoreError> {
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
                let (_, state) = all.filter(|all| all.0 > own.0).copied().unwrap_or(own);
                Some(StoredRecording { recording, state })
            })
            .collect();
        recordings.sort_by(|a, b| {
            (a.recording.starts_at, &a.recording.file_id)
                .cmp(&(b.recording.starts_at, &b.recording.file_id))
        });
        Ok(recordings)
    }
}
