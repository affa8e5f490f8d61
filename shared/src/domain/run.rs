//! Runs of sweeps: work that somebody has requested, and the reports of sweeps.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::id::{RunId, SessionId};

/// The kind of work of a run.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    strum::EnumString,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum RunKind {
    /// Makes the meetings of sessions that have none yet.
    Meetings,
    /// Compares the recordings of ended sessions with Zoom's.
    Recordings,
    /// Compares the participants of ended sessions with Zoom's reports.
    Attendance,
}

impl RunKind {
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The state of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// The next sweep begins it.
    Queued,
    /// A sweep has begun it. If the sweep dies or has no time, the next one continues.
    Running,
    Finished,
}

/// The sessions of a requested run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunScope {
    /// The sessions that start within this number of days.
    DaysAhead(u16),
    /// The sessions that ended within this number of days.
    DaysBack(u16),
    Session(SessionId),
}

impl RunScope {
    pub fn days_ahead(&self) -> Option<u16> {
        match self {
            Self::DaysAhead(days) => Some(*days),
            Self::DaysBack(_) | Self::Session(_) => None,
        }
    }

    pub fn days_back(&self) -> Option<u16> {
        match self {
            Self::DaysBack(days) => Some(*days),
            Self::DaysAhead(_) | Self::Session(_) => None,
        }
    }

    pub fn session(&self) -> Option<&SessionId> {
        match self {
            Self::Session(session) => Some(session),
            Self::DaysAhead(_) | Self::DaysBack(_) => None,
        }
    }
}

/// The results of a run. An error is about one session, and contains no personal data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunResult {
    pub checked: u32,
    pub created: u32,
    pub updated: u32,
    pub skipped: u32,
    pub failed: u32,
    pub errors: Vec<RunError>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunError {
    pub session_id: SessionId,
    pub code: String,
}

/// The errors that a report keeps. More of them have the same few reasons.
pub const ERRORS_LIMIT: usize = 50;

impl RunResult {
    pub fn created(&mut self) {
        self.checked += 1;
        self.created += 1;
    }

    pub fn updated(&mut self) {
        self.checked += 1;
        self.updated += 1;
    }

    pub fn unchanged(&mut self) {
        self.checked += 1;
    }

    pub fn skipped(&mut self) {
        self.checked += 1;
        self.skipped += 1;
    }

    pub fn failed(&mut self, session: &SessionId, code: &str) {
        self.checked += 1;
        self.failed += 1;
        if self.errors.len() < ERRORS_LIMIT {
            self.errors.push(RunError { session_id: session.clone(), code: code.to_owned() });
        }
    }

    pub fn is_empty(&self) -> bool {
        self.checked == 0
    }
}

/// A run of a sweep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Contains the time of the request.
    pub id: RunId,
    pub kind: RunKind,
    /// The requested sessions. `None` for a scheduled run.
    pub scope: Option<RunScope>,
    pub state: RunState,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub result: RunResult,
    /// The position in the queue up to which the run has come.
    pub cursor: Option<String>,
    /// Counts the changes, so that of two sweeps only one continues the run.
    pub revision: u64,
}

impl Run {
    /// A run that the next sweep begins.
    pub fn requested(id: RunId, kind: RunKind, scope: RunScope) -> Self {
        Self {
            id,
            kind,
            scope: Some(scope),
            state: RunState::Queued,
            started_at: None,
            ended_at: None,
            result: RunResult::default(),
            cursor: None,
            revision: 1,
        }
    }

    /// The report of a scheduled run.
    pub fn scheduled(
        id: RunId,
        kind: RunKind,
        result: RunResult,
        started_at: Timestamp,
        ended_at: Timestamp,
    ) -> Self {
        Self {
            id,
            kind,
            scope: None,
            state: RunState::Finished,
            started_at: Some(started_at),
            ended_at: Some(ended_at),
            result,
            cursor: None,
            revision: 1,
        }
    }

    /// Returns the run as it is continued at `now`.
    pub fn continued(&self, now: Timestamp) -> Self {
        Self {
            state: RunState::Running,
            started_at: self.started_at.or(Some(now)),
            revision: self.revision + 1,
            ..self.clone()
        }
    }

    pub fn finished(&self, now: Timestamp) -> Self {
        Self {
            state: RunState::Finished,
            ended_at: Some(now),
            cursor: None,
            revision: self.revision + 1,
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn report_counts_every_session_and_keeps_few_errors() {
        let session = SessionId::from_bytes([1; 16]);
        let mut result = RunResult::default();
        assert!(result.is_empty());
        result.created();
        result.skipped();
        for _ in 0..60 {
            result.failed(&session, "zoom_rate_limited");
        }
        let RunResult { checked, created, updated, skipped, failed, ref errors } = result;
        assert_eq!((checked, created, updated, skipped, failed), (62, 1, 0, 1, 60));
        assert_eq!(errors.len(), ERRORS_LIMIT);
    }

    #[test]
    fn run_keeps_its_start_when_it_is_continued() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let id = RunId::new(at(1), [2; 10]);
        let run = Run::requested(id, RunKind::Meetings, RunScope::DaysAhead(30));
        let first = run.continued(at(10));
        let second = first.continued(at(20));
        assert_eq!((second.started_at, second.state), (Some(at(10)), RunState::Running));
        let finished = second.finished(at(30));
        assert_eq!((finished.ended_at, finished.revision), (Some(at(30)), 4));
    }
}
