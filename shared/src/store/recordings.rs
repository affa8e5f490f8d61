//! A class's recordings: what Zoom tells of each file. The files themselves stay at Zoom.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::item::{decode, encode};
use super::schema::{Key, RECORDING_PREFIX, attr, session_partition};
use super::tx::{Action, Changes, Guard, text};
use super::{Range, Store};
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
}

/// A file and where it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
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
}

fn available() -> RecordingState {
    RecordingState::Available
}

/// Writes what is known of a file over what was known. Where the file is now is another event's to say,
/// which may have come before.
pub fn describe(session: &SessionId, recording: &Recording) -> Action {
    let changes = Changes::replace(encode(recording), &[]).set_once(attr::STATE, text("available"));
    Action::update(Key::Recording { session, file: &recording.file_id }, changes, Guard::new())
}

/// Writes where a file is since `at`; refused when something later is known.
pub fn place(session: &SessionId, file: &str, state: RecordingState, at: Timestamp) -> Action {
    let word = match state {
        RecordingState::Available => "available",
        RecordingState::Trashed => "trashed",
        RecordingState::Deleted => "deleted",
    };
    let changes = Changes::new().set(attr::STATE, text(word)).set(attr::STATE_AT, text(fixed(at)));
    let guard = Guard::new().absent_or_below(attr::STATE_AT, text(fixed(at)));
    Action::update(Key::Recording { session, file }, changes, guard)
}

impl Store {
    /// The files of a class that are known by more than their id, oldest first.
    pub async fn recordings(&self, session: &SessionId) -> Result<Vec<Kept>, StoreError> {
        let range = Range {
            pk: session_partition(session),
            prefix: Some(RECORDING_PREFIX.to_owned()),
            ..Range::default()
        };
        let mut kept = Vec::new();
        for item in self.query_all(range).await? {
            let stored: Stored = decode(item)?;
            kept.extend(stored.recording.map(|recording| Kept { recording, state: stored.state }));
        }
        kept.sort_by(|a, b| {
            (a.recording.starts_at, &a.recording.file_id)
                .cmp(&(b.recording.starts_at, &b.recording.file_id))
        });
        Ok(kept)
    }
}
