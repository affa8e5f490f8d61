//! What somebody decided by hand, over the rule: that a person was present or was not, or whose a row is that nobody
//! was recognised in. A decision is never taken away, only followed by another one, and each is told with its reason.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::AttendeeId;
use super::report::{PresentBy, AttendanceReport, ReportRow};
use crate::domain::id::UserId;
use crate::domain::refusal::Refusal;

/// What is decided of a row as things stand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttendanceOverride {
    /// Whether the person was present; without it the rule says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub present: Option<bool>,
    /// Whose the row's connections are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assigned_to: Option<AttendeeId>,
}

pub type AttendanceOverrides = BTreeMap<AttendeeId, AttendanceOverride>;

/// What a request asks for. Each part may be left as it is, set, or (by its inner `None`) given back to the rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OverrideRequest {
    pub present: Option<Option<bool>>,
    pub assign_to: Option<Option<Assignee>>,
}

/// Somebody the class is for, by either of their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Assignee {
    User(UserId),
    Attendee(AttendeeId),
}

/// A row's state in the audit trail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverrideState {
    pub present: bool,
    pub present_by: PresentBy,
    #[serde(default)]
    pub assigned_to: Option<AttendeeId>,
}

/// The rulings that a wish makes of those in force, each of a row of its own, and the row to show for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverrideDecision {
    pub changed: AttendanceOverrides,
    pub shown: AttendeeId,
}

/// What a wish about a row of `report` comes to.
pub fn decide(
    report: &AttendanceReport,
    rulings: &AttendanceOverrides,
    attendee: &AttendeeId,
    wish: &OverrideRequest,
) -> Result<OverrideDecision, Refusal> {
    let ruling = rulings.get(attendee).cloned().unwrap_or_default();
    let row = report.row(attendee);
    // A row that was given to somebody is not in the report any more, but can still be taken back.
    if row.is_none() && ruling.assigned_to.is_none() {
        return Err(Refusal::NotFound);
    }
    let target = match &wish.assign_to {
        None => ruling.assigned_to.clone(),
        Some(None) => None,
        Some(Some(assignee)) => Some(assigned(report, row, assignee)?),
    };
    let mut changed = AttendanceOverrides::new();
    let present = wish.present.unwrap_or(None);
    let shown = match &target {
        // What is said of presence is said of the person from now on.
        Some(person) => {
            if wish.assign_to.is_none() {
                return Err(Refusal::Conflict(
                    "the row is assigned to a person; say it of that person's row",
                ));
            }
            if wish.present.is_some() {
                let of_person = rulings.get(person).cloned().unwrap_or_default();
                changed.insert(person.clone(), AttendanceOverride { present, ..of_person });
            }
            changed.insert(attendee.clone(), AttendanceOverride { assigned_to: target.clone(), present: None });
            person.clone()
        }
        None => {
            let present = if wish.present.is_some() { present } else { ruling.present };
            changed.insert(attendee.clone(), AttendanceOverride { present, assigned_to: None });
            attendee.clone()
        }
    };
    Ok(OverrideDecision { changed, shown })
}

fn assigned(
    report: &AttendanceReport,
    row: Option<&ReportRow>,
    assignee: &Assignee,
) -> Result<AttendeeId, Refusal> {
    if row.is_some_and(|row| row.is_expected) {
        return Err(Refusal::Conflict("only a row that nobody was recognised in can be assigned"));
    }
    let is_meant = |row: &&ReportRow| match assignee {
        Assignee::User(user) => row.user_id.as_ref() == Some(user),
        Assignee::Attendee(id) => row.attendee_id == *id,
    };
    let field = match assignee {
        Assignee::User(_) => "assign_to.user_id",
        Assignee::Attendee(_) => "assign_to.attendee_id",
    };
    let mut expected = report.attendees.iter().filter(|row| row.is_expected);
    let person = expected.find(is_meant);
    person
        .map(|row| row.attendee_id.clone())
        .ok_or_else(|| Refusal::field(field, "is nobody whom this class is for"))
}

/// How a row stands, itself or in the person's whose it is.
pub fn state(report: &AttendanceReport, rulings: &AttendanceOverrides, attendee: &AttendeeId) -> OverrideState {
    let assigned_to = rulings.get(attendee).and_then(|ruling| ruling.assigned_to.clone());
    let row = report.row(attendee).or_else(|| report.row(assigned_to.as_ref()?));
    OverrideState {
        present: row.is_some_and(|row| row.present),
        present_by: row.map_or(PresentBy::Rule, |row| row.present_by),
        assigned_to,
    }
}
