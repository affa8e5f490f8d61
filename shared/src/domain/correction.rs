//! Corrections: changes of a session because it differed from Zoom, without an event of Zoom. The timeline shows them.

use jiff::Timestamp;

/// The corrected part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum CorrectedPart {
    /// The status and the actual times.
    Lifecycle,
    Recordings,
    Participants,
    /// The meeting at Zoom.
    Meeting,
}

/// The source that showed the difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum CorrectionSource {
    /// Zoom's data about a meeting that is over.
    PastMeeting,
    /// Zoom's list of recordings, or its trash.
    RecordingList,
    /// Zoom's list of the participants of a meeting that is over.
    ParticipantList,
    /// The report of the platform's own Zoom account.
    AccountReport,
    /// Zoom's list of the host's meetings.
    MeetingList,
    /// The meeting itself.
    Meeting,
}

/// A correction of a session. It contains no personal data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Correction {
    pub at: Timestamp,
    pub part: CorrectedPart,
    pub source: CorrectionSource,
    /// The number of corrected files, people or meetings.
    pub count: Option<usize>,
}

impl CorrectedPart {
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

impl CorrectionSource {
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}
