//! The summary of a session's report: the figures of the session and one short row per student.
//!
//! A course's attendance has a hundred classes of thousands of students. So it is assembled from summaries, which are
//! stored once a report is final.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::Percent;
use super::provenance;
use super::record;
use super::report::{AttendanceReport, ReportRow};
use super::status::AttendanceStatus;
use crate::domain::id::UserId;
use crate::domain::session::Session;

/// Minutes after the session's window in which no summary is stored. A request with an earlier clock may still change
/// the report without replacing the summary, and no request takes that long.
const SETTLE_MINUTES: i64 = 15;

/// The attendance of a student in one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct StudentAttendance {
    /// As in the report's row.
    pub status: Option<AttendanceStatus>,
    pub minutes: u64,
    pub percent: Percent,
}

/// A student of a session's summary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SummarisedStudent {
    pub user: UserId,
    pub name: String,
    pub attendance: StudentAttendance,
}

/// The figures of a whole session, which include people without a user id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionFigures {
    pub held_minutes: u64,
    pub expected: usize,
    /// The report's figure: people who are late or leave early are present.
    pub present: usize,
    pub absent: usize,
    pub excused: usize,
    pub is_final: bool,
}

/// A summary with its students by user id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttendanceSummary {
    pub figures: SessionFigures,
    pub students: Vec<SummarisedStudent>,
}

impl AttendanceSummary {
    pub fn of_report(report: &AttendanceReport) -> Self {
        let expected = || report.attendees.iter().filter(|row| row.is_expected);
        let count = |status| expected().filter(|row| row.status == Some(status)).count();
        let student = |row: &ReportRow| {
            let user = row.user_id.clone()?;
            let attendance = StudentAttendance {
                status: row.status,
                minutes: row.minutes,
                percent: row.percent,
            };
            Some((user.clone(), SummarisedStudent { user, name: row.name.clone(), attendance }))
        };
        let students: BTreeMap<_, _> = expected().filter_map(student).collect();
        Self {
            figures: SessionFigures {
                held_minutes: report.held_minutes,
                expected: report.expected,
                present: report.present,
                absent: count(AttendanceStatus::Absent),
                excused: count(AttendanceStatus::Excused),
                is_final: report.is_final,
            },
            students: students.into_values().collect(),
        }
    }
}

/// Returns whether the summary of a session may be stored by now. Changes of the report replace the summary from the
/// end of the session's window.
pub fn may_be_stored(session: &Session, now: Timestamp) -> bool {
    let settling = SignedDuration::from_mins(SETTLE_MINUTES);
    session.window_closes_at().checked_add(settling).is_ok_and(|settled| now >= settled)
}

/// Returns whether a computed summary of the session is final and stored in any case. Other ones are computed by every
/// request, for about a day.
pub fn is_surely_final(session: &Session, now: Timestamp) -> bool {
    may_be_stored(session, now) && now >= provenance::final_at(session)
}

/// Returns whether a change of a session's report has to invalidate its summary.
pub fn may_be_summarised(session: &Session, now: Timestamp) -> bool {
    now >= session.window_closes_at()
}

/// Returns whether a summary of this time still holds. One that is older than the complete record may lack late events.
pub fn is_current(session: &Session, computed_at: Timestamp, now: Timestamp) -> bool {
    let complete_at = record::complete_at(session);
    now < complete_at || computed_at >= complete_at
}
