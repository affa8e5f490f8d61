//! Attendance as CSV, and audit entries as JSON. The JSON report is the domain type itself.

use jiff::Timestamp;
use serde::Serialize;

use super::csv::CsvTable;
use super::edge::ResponseBody;
use crate::domain::attendance::overrides::OverrideState;
use crate::domain::attendance::{AttendanceReport, AttendeeId, ReportRow};
use crate::domain::id::UserId;
use crate::store::attendance::AuditEntry;

/// The columns of the CSV, in the order of a row's fields.
const COLUMNS: [&str; 14] = [
    "attendee_id",
    "user_id",
    "name",
    "email",
    "match",
    "first_joined_at",
    "last_left_at",
    "minutes",
    "percent",
    "connections",
    "present",
    "present_by",
    "status",
    "flags",
];

/// Renders the report as CSV, with the rows of the JSON in the same order.
pub(super) fn csv(report: &AttendanceReport) -> ResponseBody {
    let mut table = CsvTable::new(COLUMNS);
    for row in &report.attendees {
        table.row(cells(row));
    }
    ResponseBody::text(CsvTable::<{ COLUMNS.len() }>::CONTENT_TYPE, table.finish())
        .with_file_name(&format!("attendance-{}.csv", report.session_id))
}

fn cells(row: &ReportRow) -> [String; COLUMNS.len()] {
    let time = |at: Option<Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
    let flags: Vec<_> = row.flags.iter().map(|flag| flag.as_str()).collect();
    [
        row.attendee_id.to_string(),
        row.user_id.as_ref().map(|id| id.as_str().to_owned()).unwrap_or_default(),
        row.name.clone(),
        row.email.as_ref().map(|email| email.as_str().to_owned()).unwrap_or_default(),
        row.matched.as_str().to_owned(),
        time(row.first_joined_at),
        time(row.last_left_at),
        row.minutes.to_string(),
        row.percent.to_string(),
        row.connections.to_string(),
        row.present.to_string(),
        row.present_by.as_str().to_owned(),
        row.status.map(|status| status.as_str().to_owned()).unwrap_or_default(),
        // Separated by spaces, because spreadsheets in half of Europe treat a semicolon as a cell separator.
        flags.join(" "),
    ]
}

/// An entry of the audit.
#[derive(Serialize)]
pub(super) struct EntryView<'a> {
    at: Timestamp,
    actor: &'a UserId,
    attendee_id: &'a AttendeeId,
    old: &'a OverrideState,
    new: &'a OverrideState,
    reason: Option<&'a str>,
}

pub(super) fn entry(entry: &AuditEntry) -> EntryView<'_> {
    EntryView {
        at: entry.at,
        actor: &entry.by,
        attendee_id: &entry.attendee,
        old: &entry.old,
        new: &entry.new,
        reason: entry.reason.as_deref(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::attendance::people::IdentityMatch;
    use crate::domain::attendance::report::{Flag, PresentBy};
    use crate::domain::attendance::{AttendanceStatus, Percent};
    use crate::domain::id::SessionId;
    use crate::domain::text::Email;

    /// AWS: the limit of a synchronous response, whose body is a JSON string.
    const RESPONSE_LIMIT_BYTES: usize = 6 * 1024 * 1024;

    #[test]
    fn ten_thousand_rows_fit_into_one_response() {
        let session_id = SessionId::from_bytes([1; 16]);
        let at: Timestamp = "2026-11-22T11:00:07Z".parse().unwrap();
        let row = |n: usize| {
            let user = UserId::parse(&format!("5f7c1c9e-0d5b-4c57-9f43-0000000{n:05}")).unwrap();
            ReportRow {
                attendee_id: AttendeeId::for_user(&session_id, &user),
                user_id: Some(user),
                name: format!("Ada Augusta King, Countess of Lovelace {n}"),
                email: Email::parse(&format!("ada.lovelace.{n}@students.example.test")).ok(),
                matched: IdentityMatch::CustomerKey,
                first_joined_at: Some(at),
                last_left_at: Some(at),
                minutes: 60,
                percent: Percent::ratio(2, 3),
                connections: 2,
                present: true,
                present_by: PresentBy::Rule,
                status: Some(AttendanceStatus::LeftEarly),
                flags: vec![Flag::LeftInferred],
                is_expected: true,
            }
        };
        let report = AttendanceReport {
            session_id: session_id.clone(),
            planned_minutes: 60,
            held_minutes: 60,
            counted_minutes: 60,
            attendees: (0..10_000).map(row).collect(),
            expected: 10_000,
            present: 10_000,
            percent_present: Percent::ratio(1, 1),
        };
        let mut table = CsvTable::new(COLUMNS);
        report.attendees.iter().for_each(|row| table.row(cells(row)));
        let json = serde_json::to_string(&report).unwrap();
        for body in [table.finish(), json] {
            let response = serde_json::to_string(&body).unwrap();
            assert!(response.len() < RESPONSE_LIMIT_BYTES, "{} bytes", response.len());
        }
    }
}
