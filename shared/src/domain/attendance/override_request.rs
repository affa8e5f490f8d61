//! Requests to change an attendance override, and the decision about them.

use serde::{Deserialize, Serialize};

use super::AttendeeId;
use super::overrides::{AttendanceOverride, AttendanceOverrides};
use super::report::{AttendanceReport, ReportRow};
use super::status::{AttendanceStatus, PresentBy};
use crate::domain::id::UserId;
use crate::domain::refusal::{FieldError, Refusal};

/// The requested change of an override. The outer `None` keeps a value, and the inner `None` clears it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OverrideRequest {
    pub present: Option<Option<bool>>,
    /// Sets or clears the excuse.
    pub excused: Option<bool>,
    pub assign_to: Option<Option<Assignee>>,
}

impl AttendanceOverride {
    /// Applies the presence and excuse of a request. A presence replaces an excuse, and the other way round.
    fn with(&self, request: &OverrideRequest) -> Self {
        let mut next = self.clone();
        if let Some(present) = request.present {
            next.present = present;
            next.excused &= present.is_none();
        }
        if let Some(excused) = request.excused {
            next.excused = excused;
            if excused {
                next.present = None;
            }
        }
        next
    }
}

/// A person on the roster, named by user id or by attendee id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Assignee {
    User(UserId),
    Attendee(AttendeeId),
}

/// A row's state in an audit entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverrideState {
    pub present: bool,
    pub present_by: PresentBy,
    #[serde(default)]
    pub status: Option<AttendanceStatus>,
    #[serde(default)]
    pub assigned_to: Option<AttendeeId>,
}

/// The overrides that a request changes, by row, and the row to return to the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverrideDecision {
    pub changed_overrides: AttendanceOverrides,
    pub shown_row: AttendeeId,
}

/// Decides which overrides a request about a row of `report` changes.
pub fn decide(
    report: &AttendanceReport,
    overrides: &AttendanceOverrides,
    attendee: &AttendeeId,
    request: &OverrideRequest,
) -> Result<OverrideDecision, Refusal> {
    let current = overrides.get(attendee).cloned().unwrap_or_default();
    let row = report.row(attendee);
    // An assigned row is no longer in the report, but its assignment can still be changed.
    if row.is_none() && current.assigned_to.is_none() {
        return Err(Refusal::NotFound);
    }
    let target = match &request.assign_to {
        None => current.assigned_to.clone(),
        Some(None) => None,
        Some(Some(assignee)) => Some(resolve_assignee(report, row, assignee)?),
    };
    let mut changed = AttendanceOverrides::new();
    let shown = match &target {
        // The presence of an assigned row is stored as the person's.
        Some(person) => {
            if request.assign_to.is_none() {
                return Err(Refusal::Conflict(
                    "the row is assigned to a person; change that person's row instead",
                ));
            }
            if request.present.is_some() || request.excused.is_some() {
                let of_person = overrides.get(person).cloned().unwrap_or_default();
                changed.insert(person.clone(), of_person.with(request));
            }
            changed.insert(
                attendee.clone(),
                AttendanceOverride { assigned_to: target.clone(), ..Default::default() },
            );
            person.clone()
        }
        None => {
            let unassigned = AttendanceOverride { assigned_to: None, ..current };
            changed.insert(attendee.clone(), unassigned.with(request));
            attendee.clone()
        }
    };
    Ok(OverrideDecision { changed_overrides: changed, shown_row: shown })
}

/// A request for one of many rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowOverride {
    pub attendee: AttendeeId,
    pub change: OverrideRequest,
}

/// Decides which overrides a request about several rows of `report` changes. Refuses the whole request with one error per
/// row that cannot be changed.
pub fn decide_many(
    report: &AttendanceReport,
    overrides: &AttendanceOverrides,
    rows: &[RowOverride],
) -> Result<AttendanceOverrides, Refusal> {
    let mut changed = AttendanceOverrides::new();
    let mut errors = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let message = match decide(report, overrides, &row.attendee, &row.change) {
            Ok(decision) => {
                changed.extend(decision.changed_overrides);
                continue;
            }
            Err(Refusal::NotFound) => "is not in the report",
            Err(Refusal::Conflict(message)) => message,
            Err(refusal) => return Err(refusal),
        };
        errors.push(FieldError::new(format!("rows[{index}].attendee_id"), message));
    }
    if errors.is_empty() { Ok(changed) } else { Err(Refusal::Invalid(errors)) }
}

fn resolve_assignee(
    report: &AttendanceReport,
    row: Option<&ReportRow>,
    assignee: &Assignee,
) -> Result<AttendeeId, Refusal> {
    if row.is_some_and(|row| row.is_expected) {
        return Err(Refusal::Conflict("only an unidentified row can be assigned to a person"));
    }
    let is_assignee = |row: &&ReportRow| match assignee {
        Assignee::User(user) => row.user_id.as_ref() == Some(user),
        Assignee::Attendee(id) => row.attendee_id == *id,
    };
    let field = match assignee {
        Assignee::User(_) => "assign_to.user_id",
        Assignee::Attendee(_) => "assign_to.attendee_id",
    };
    let mut expected = report.attendees.iter().filter(|row| row.is_expected);
    let person = expected.find(is_assignee);
    person
        .map(|row| row.attendee_id.clone())
        .ok_or_else(|| Refusal::field(field, "is not expected in this class"))
}

/// Returns a row's state. For an assigned row it is the state of the person's row.
pub fn override_state(
    report: &AttendanceReport,
    overrides: &AttendanceOverrides,
    attendee: &AttendeeId,
) -> OverrideState {
    let assigned_to = overrides.get(attendee).and_then(|own| own.assigned_to.clone());
    let row = report.row(attendee).or_else(|| report.row(assigned_to.as_ref()?));
    OverrideState {
        present: row.is_some_and(|row| row.present),
        present_by: row.map_or(PresentBy::Rule, |row| row.present_by),
        status: row.and_then(|row| row.status),
        assigned_to,
    }
}
