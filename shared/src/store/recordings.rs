//! A class's recordings: what Zoom tells of each file. The files themselves stay at Zoom.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::item::{decode, encode};
use super::schema::{ItemKey, RECORDING_PREFIX, attr, session_partition};
use super::tx::{Action, ItemChanges, Guard, text};
use super::{KeyRange, Store};
use crate::crypt::Sealed;
use crate::domain::id::SessionId;
use crate::domain::time::fixed;
use crate::domain::zoom_event::RecordingState;

/// What is known of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recording {
    pub file_id: String,
    pub file_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub play_url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passcode: Option<Sealed>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
    pub size_bytes: u64,
    /// The running of the meeting that was recorded, by its uuid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<String>,
}

/// A file and where it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRecording {
    pub recording: Recording,
    pub state: RecordingState,
}

#[derive(Deserialize)]
struct Stored {
    // A file of which only the deletion was heard has nothing but its state.
    #[serde(flatten)]
    recording: Option<Recording>,
    #[serde(default = "available")]
    state: RecordingState,
    /// Since when it is there; unknown where nobody ever said.
    #[serde(default)]
    state_at: Option<Timestamp>,
    /// Of the item that stands for everything recorded of a running: its uuid.
    #[serde(default)]
    all_of: Option<String>,
}

fn available() -> RecordingState {
    RecordingState::Available
}

/// Writes what was said of a file at `at` over what was said before; refused when something later is known. Zoom may
/// say it twice, with another address each time. Where the file now is is another event's to say, which may have come
/// before.
pub fn describe(session: &SessionId, recording: &Recording, at: Timestamp) -> Action {
    let guard = Guard::new().absent_or_below(attr::DESCRIBED_AT, text(fixed(at)));
    describe_if(session, recording, at, guard)
}

/// The same; refused when anything was said of the file before.
pub fn describe_new(session: &SessionId, recording: &Recording, at: Timestamp) -> Action {
    describe_if(session, recording, at, Guard::new().absent(attr::DESCRIBED_AT))
}

fn describe_if(session: &SessionId, recording: &Recording, at: Timestamp, guard: Guard) -> Action {
    let changes = ItemChanges::replace(encode(recording), &[])
        .set(attr::DESCRIBED_AT, text(fixed(at)))
        .set_once(attr::STATE, text("available"));
    Action::update(ItemKey::Recording { session, file: &recording.file_id }, changes, guard)
}

/// Writes where a file is since `at`; refused when something later is known.
pub fn place(session: &SessionId, file: &str, state: RecordingState, at: Timestamp) -> Action {
    placed(ItemKey::Recording { session, file }, ItemChanges::new(), state, at)
}

/// The same of everything that was recorded of a running, files included that nobody has heard of yet: an item of its
/// own says so, and what is later, that or a file's own, counts.
pub fn place_all(
    session: &SessionId,
    running: &str,
    state: RecordingState,
    at: Timestamp,
) -> Action {
    let changes = ItemChanges::new().set(attr::ALL_OF, text(running));
    // No file has an id with a line break in it.
    let file = format!("all\n{running}");
    placed(ItemKey::Recording { session, file: &file }, changes, state, at)
}

fn placed(key: ItemKey<'_>, changes: ItemChanges, state: RecordingState, at: Timestamp) -> Action {
    let word = match state {
        RecordingState::Available => "available",
        RecordingState::Trashed => "trashed",
        RecordingState::Deleted => "deleted",
    };
    let changes = changes.set(attr::STATE, text(word)).set(attr::STATE_AT, text(fixed(at)));
    Action::update(key, changes, Guard::new().absent_or_below(attr::STATE_AT, text(fixed(at))))
}

impl Store {
    /// The files of a class that are known by more than their id, oldest first.
    pub async fn recordings(&self, session: &SessionId) -> Result<Vec<StoredRecording>, StoreError> {
        let range = KeyRange {
            pk: session_partition(session),
            prefix: Some(RECORDING_PREFIX.to_owned()),
            ..KeyRange::default()
        };
        let items = self.query_all(range).await?.into_iter().map(decode::<Stored>);
        let stored = items.collect::<Result<Vec<_>, _>>()?;
        let of_all: HashMap<_, _> = stored
            .iter()
            .filter_map(|stored| Some((stored.all_of.as_deref()?, (stored.state_at, stored.state))))
            .collect();
        let mut kept: Vec<_> = stored
            .iter()
            .filter_map(|stored| {
                let recording = stored.recording.clone()?;
                let own = (stored.state_at, stored.state);
                let all = recording.running.as_deref().and_then(|running| of_all.get(running));
                let (_, state) = all.filter(|all| all.0 > own.0).copied().unwrap_or(own);
                Some(StoredRecording { recording, state })
            })
            .collect();
        kept.sort_by(|a, b| {
            (a.recording.starts_at, &a.recording.file_id)
                .cmp(&(b.recording.starts_at, &b.recording.file_id))
        });
        Ok(kept)
    }
}
