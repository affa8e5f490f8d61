//! The comparison of a session's recordings with those that Zoom lists.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::session::{Provider, Session, Status};
use super::time::plus_minutes;
use super::zoom_event::RecordingState;

/// Recordings that were compared within this time are not compared again.
const FRESH_MINUTES: i64 = 30;
/// Comparisons in a row that do not find a file, before it counts as gone. Zoom's lists may lag.
const ABSENCES: u32 = 2;
/// How long after a session its recording is expected. Zoom takes about as long as the meeting lasted, and at most a day.
const PROCESSING_MINUTES: i64 = 24 * 60;

/// Where a comparison has found a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilePresence {
    Listed,
    Trashed,
    Absent,
}

/// The state of a file, and the comparisons in a row that did not find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileState {
    pub state: RecordingState,
    pub absences: u32,
}

impl FileState {
    /// Returns the state after a comparison.
    pub fn after(self, presence: FilePresence) -> Self {
        let found = |state| Self { state, absences: 0 };
        match (presence, self.state) {
            (FilePresence::Listed, _) => found(RecordingState::Available),
            (FilePresence::Trashed, _) => found(RecordingState::Trashed),
            (FilePresence::Absent, RecordingState::Deleted | RecordingState::Unavailable) => self,
            (FilePresence::Absent, _) if self.absences + 1 >= ABSENCES => {
                found(RecordingState::Unavailable)
            }
            (FilePresence::Absent, state) => Self { state, absences: self.absences + 1 },
        }
    }
}

/// The last comparison of a session's recordings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordingSync {
    /// When Zoom last answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub synced_at: Option<Timestamp>,
    /// Why Zoom refused the latest comparison, as a word for the API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether Zoom has not finished some file.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_processing: bool,
}

impl RecordingSync {
    /// Returns whether another comparison at `now` would be too early.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        let fresh = SignedDuration::from_mins(FRESH_MINUTES);
        self.synced_at.is_some_and(|at| now.duration_since(at) < fresh)
    }
}

/// The state of a session's recordings as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordingsState {
    /// There is no recording, or none yet.
    None,
    /// Zoom has not finished it.
    Processing,
    /// At least one can be watched.
    Available,
    /// There were recordings, and none can be watched.
    Unavailable,
}

/// The reason of a file's state.
pub fn file_reason(state: RecordingState) -> Option<&'static str> {
    match state {
        RecordingState::Available => None,
        RecordingState::Trashed => Some("in_trash"),
        RecordingState::Deleted => Some("deleted_at_zoom"),
        RecordingState::Unavailable => Some("missing_at_zoom"),
    }
}

/// Returns the state of a session's recordings and its reason. `visible` are the states of the files that the reader sees.
/// `sync` is the last comparison, for a reader who may see why it failed.
pub fn recordings_state(
    session: &Session,
    visible: &[RecordingState],
    sync: Option<&RecordingSync>,
    now: Timestamp,
) -> (RecordingsState, Option<String>) {
    let because = |state, reason: &str| (state, Some(reason.to_owned()));
    if visible.contains(&RecordingState::Available) {
        return (RecordingsState::Available, None);
    }
    // The latest file.
    if let Some(reason) = visible.last().and_then(|state| file_reason(*state)) {
        return because(RecordingsState::Unavailable, reason);
    }
    let is_over = session.status == Status::Ended || now >= session.window_closes_at();
    let may_follow = now < plus_minutes(session.planned_end(), PROCESSING_MINUTES);
    let was_held = !session.meeting_instances.is_empty();
    match (session.provider, session.status) {
        (Provider::Manual, _) => because(RecordingsState::None, "other_provider"),
        (_, Status::Cancelled) => because(RecordingsState::None, "cancelled"),
        _ if let Some(reason) = sync.and_then(|sync| sync.reason.as_deref()) => {
            because(RecordingsState::None, reason)
        }
        _ if !is_over => because(RecordingsState::None, "not_over"),
        _ if sync.is_some_and(|sync| sync.is_processing) => {
            because(RecordingsState::Processing, "not_ready")
        }
        _ if session.details.record_session && was_held && may_follow => {
            because(RecordingsState::Processing, "not_ready")
        }
        _ if was_held => because(RecordingsState::None, "not_recorded"),
        _ => because(RecordingsState::None, "not_held"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::meeting_instance::MeetingInstance;
    use crate::domain::session::testing;
    use proptest::prelude::*;

    use FilePresence::{Absent, Listed, Trashed as InTrash};
    use RecordingState::{Available, Deleted, Trashed, Unavailable};

    #[test]
    fn file_is_unavailable_after_two_absences() {
        for (state, looks, expected) in [
            (Available, vec![Listed], Available),
            (Available, vec![Absent], Available),
            (Available, vec![Absent, Absent], Unavailable),
            (Available, vec![Absent, Listed, Absent], Available),
            (Available, vec![Absent, InTrash, Absent], Trashed),
            (Trashed, vec![Listed], Available),
            (Trashed, vec![Absent, Absent], Unavailable),
            (Deleted, vec![Absent, Absent], Deleted),
            (Deleted, vec![InTrash], Trashed),
            (Unavailable, vec![Absent], Unavailable),
            (Unavailable, vec![Listed], Available),
            (Unavailable, vec![Listed, Absent], Available),
        ] {
            let known = FileState { state, absences: 0 };
            let after = looks.iter().fold(known, |known, look| known.after(*look));
            assert_eq!(after.state, expected, "{state:?} {looks:?}");
        }
    }

    fn presence() -> impl Strategy<Value = FilePresence> {
        prop_oneof![Just(Listed), Just(InTrash), Just(Absent)]
    }

    proptest! {
        #[test]
        fn last_sighting_decides_about_a_file(looks in prop::collection::vec(presence(), 1..12)) {
            let known = FileState { state: Available, absences: 0 };
            let after = looks.iter().fold(known, |known, look| known.after(*look));
            let seen = looks.iter().rev().position(|look| *look != Absent);
            let last = seen.map(|ago| looks[looks.len() - 1 - ago]);
            let expected = match (seen.unwrap_or(looks.len()), last) {
                (2.., _) => Unavailable,
                (_, Some(InTrash)) => Trashed,
                _ => Available,
            };
            prop_assert_eq!(after.state, expected);
        }
    }

    #[test]
    fn state_of_all_recordings_has_a_reason() {
        let start: Timestamp = "2026-12-01T09:00:00Z".parse().unwrap();
        let at = |minute| plus_minutes(start, minute);
        let session = |status: Status, was_held: bool, records: bool| {
            let mut session = testing::session(start, status);
            session.details.record_session = records;
            session.meeting_instances = Vec::from_iter(was_held.then(|| MeetingInstance {
                uuid: "a".to_owned(),
                started_at: at(0),
                ended_at: Some(at(60)),
                inferred_end: None,
                host_joined_at: None,
            }));
            session
        };
        let refused =
            RecordingSync { reason: Some("missing_scopes".to_owned()), ..Default::default() };
        let processing = RecordingSync { is_processing: true, ..Default::default() };
        let none = RecordingSync::default();
        let day = 24 * 60;
        let (ended, open) = (Status::Ended, Status::Scheduled);
        use RecordingsState as State;
        for (status, held, records, visible, sync, minute, state, reason) in [
            (open, false, true, vec![], &none, 30, State::None, "not_over"),
            (open, false, true, vec![], &none, day, State::None, "not_held"),
            (Status::Cancelled, false, true, vec![], &none, 30, State::None, "cancelled"),
            (ended, true, true, vec![], &none, 90, State::Processing, "not_ready"),
            (ended, true, true, vec![], &none, 2 * day, State::None, "not_recorded"),
            (ended, true, false, vec![], &none, 90, State::None, "not_recorded"),
            (ended, true, false, vec![], &processing, 90, State::Processing, "not_ready"),
            (ended, true, true, vec![], &refused, 90, State::None, "missing_scopes"),
            (ended, true, true, vec![Trashed], &refused, 90, State::Unavailable, "in_trash"),
            (ended, true, true, vec![Deleted], &none, 90, State::Unavailable, "deleted_at_zoom"),
            (
                ended,
                true,
                true,
                vec![Unavailable],
                &none,
                90,
                State::Unavailable,
                "missing_at_zoom",
            ),
            (ended, true, true, vec![Available, Deleted], &none, 90, State::Available, ""),
        ] {
            let session = session(status, held, records);
            let found = recordings_state(&session, &visible, Some(sync), at(minute));
            let expected = (state, Some(reason.to_owned()).filter(|reason| !reason.is_empty()));
            assert_eq!(found, expected, "{status:?} {held} {records} {visible:?} {minute}");
        }
    }
}
