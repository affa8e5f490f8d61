//! Attendance as CSV, and audit entries as JSON. The JSON report is the domain type itself.

use jiff::Timestamp;
use serde::Serialize;

use super::csv::{CsvTable, Separator};
use super::edge::ResponseBody;
use super::pages::{PAGE_LIMIT_BYTES, escaped_len};
use crate::domain::attendance::override_request::OverrideState;
use crate::domain::attendance::{AttendanceReport, AttendeeId, ReportRow};
use crate::domain::id::UserId;
use crate::domain::refusal::Refusal;
use crate::store::attendance::AuditEntry;

/// The columns of the CSV, in the order of a row's fields.
const COLUMNS: [&str; 15] = [
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
    "provenance",
];

/// A page of the report. The figures are those of the whole session.
#[derive(Serialize)]
pub(super) struct ReportPage {
    #[serde(flatten)]
    report: AttendanceReport,
    /// The last row of the page, if there are more.
    next_cursor: Option<AttendeeId>,
}

/// Returns the rows after `after` that fit into one response as JSON.
pub(super) fn page(
    mut report: AttendanceReport,
    after: Option<&AttendeeId>,
) -> Result<ReportPage, Refusal> {
    report.attendees.drain(..first_row(&report, after)?);
    let mut size = 0;
    let is_full = |row: &ReportRow| {
        size += serde_json::to_string(row).map_or(0, |text| escaped_len(&text) + 1);
        size > PAGE_LIMIT_BYTES
    };
    let count = report.attendees.iter().position(is_full).unwrap_or(report.attendees.len());
    let is_last = count == report.attendees.len();
    report.attendees.truncate(count);
    let last = report.attendees.last().filter(|_| !is_last);
    let next_cursor = last.map(|row| row.attendee_id.clone());
    Ok(ReportPage { report, next_cursor })
}

/// Renders a page of the report as CSV, with the rows of the JSON in the same order. Returns the cursor of the next page.
pub(super) fn csv(
    report: &AttendanceReport,
    separator: Separator,
    after: Option<&AttendeeId>,
) -> Result<(ResponseBody, Option<AttendeeId>), Refusal> {
    let mut table = match after {
        None => CsvTable::new(COLUMNS, separator),
        Some(_) => CsvTable::later_page(separator),
    };
    let mut last = None;
    let mut rows = report.attendees.iter().skip(first_row(report, after)?).peekable();
    while let Some(row) = rows.next_if(|_| table.size() <= PAGE_LIMIT_BYTES) {
        table.row(cells(row));
        last = Some(&row.attendee_id);
    }
    let next = last.filter(|_| rows.peek().is_some()).cloned();
    Ok((table.respond(&format!("attendance-{}.csv", report.session_id)), next))
}

/// Returns the index of the first row of a page.
fn first_row(report: &AttendanceReport, after: Option<&AttendeeId>) -> Result<usize, Refusal> {
    let Some(after) = after else { return Ok(0) };
    let last = report.attendees.iter().position(|row| row.attendee_id == *after);
    Ok(last.ok_or_else(Refusal::invalid_cursor)? + 1)
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
        row.provenance.as_str().to_owned(),
    ]
}

/// An entry of the audit.
#[derive(Serialize)]
pub(super) struct EntryView<'a> {
    at: Timestamp,
    actor: &'a UserId,
    actor_role: Option<&'a str>,
    trainer_id: &'a UserId,
    attendee_id: &'a AttendeeId,
    old: &'a OverrideState,
    new: &'a OverrideState,
    reason: Option<&'a str>,
}

pub(super) fn entry<'a>(entry: &'a AuditEntry, trainer: &'a UserId) -> EntryView<'a> {
    EntryView {
        at: entry.at,
        actor: &entry.by,
        actor_role: entry.by_role.as_deref(),
        trainer_id: trainer,
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
    use crate::domain::attendance::report::Flag;
    use crate::domain::attendance::status::PresentBy;
    use crate::domain::attendance::{AttendanceStatus, Percent, Provenance, ReportSources};
    use crate::domain::id::SessionId;
    use crate::domain::text::Email;

    /// AWS: the limit of a synchronous response, whose body is a JSON string.
    const RESPONSE_LIMIT_BYTES: usize = 6 * 1024 * 1024;

    #[test]
    fn report_is_answered_in_pages_that_fit_into_a_response() {
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
                provenance: Provenance::Webhook,
                is_expected: true,
            }
        };
        let mut report = AttendanceReport {
            session_id: session_id.clone(),
            planned_minutes: 60,
            held_minutes: 60,
            counted_minutes: 60,
            attendees: (0..9_000).map(row).collect(),
            expected: 9_000,
            present: 9_000,
            percent_present: Percent::ratio(1, 1),
            sources: ReportSources::default(),
            is_final: false,
        };
        let json = serde_json::to_string(&page(report.clone(), None).unwrap()).unwrap();
        assert!(json.contains("\"next_cursor\":null"));
        let (table, next) = csv(&report, Separator::Comma, None).unwrap();
        assert_eq!(next, None);
        for body in [table.into_text(), json] {
            let response = serde_json::to_string(&body).unwrap();
            assert!(response.len() < RESPONSE_LIMIT_BYTES, "{} bytes", response.len());
        }

        // Four times the size takes several pages.
        for row in &mut report.attendees {
            row.name = "\"".repeat(600);
        }
        let (mut rows, mut after) = (0, None);
        loop {
            let page = page(report.clone(), after.as_ref()).unwrap();
            let response = serde_json::to_string(&serde_json::to_string(&page).unwrap()).unwrap();
            assert!(response.len() < RESPONSE_LIMIT_BYTES, "{} bytes", response.len());
            rows += page.report.attendees.len();
            after = page.next_cursor;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(rows, 9_000);
        let (mut file, mut after) = (String::new(), None);
        loop {
            let (page, next) = csv(&report, Separator::Comma, after.as_ref()).unwrap();
            let page = page.into_text();
            let response = serde_json::to_string(&page).unwrap();
            assert!(response.len() < RESPONSE_LIMIT_BYTES, "{} bytes", response.len());
            file.push_str(&page);
            after = next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(file.lines().count(), 1 + 9_000);
    }
}
