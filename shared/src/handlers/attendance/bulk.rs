//! The body and the response of overrides of many rows.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{OverrideStatus, present_or_null, reason};
use crate::app::attendance::bulk::BulkOverride;
use crate::domain::attendance::override_request::{OverrideRequest, RowOverride};
use crate::domain::attendance::{AttendeeId, ReportRow};
use crate::domain::refusal::{FieldError, Refusal};

/// Rows in one request. A page of a trainer's list shows fewer, and their writes take seven transactions.
pub const ROWS_LIMIT: usize = 300;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BulkBody {
    reason: Option<String>,
    rows: Vec<RowBody>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RowBody {
    attendee_id: Option<String>,
    #[serde(default, deserialize_with = "present_or_null")]
    present: Option<Option<bool>>,
    #[serde(default, deserialize_with = "present_or_null")]
    status: Option<Option<OverrideStatus>>,
}

/// The rows after the overrides, in the order of the request.
#[derive(Serialize)]
pub(super) struct BulkView {
    pub(super) items: Vec<ReportRow>,
}

impl BulkBody {
    pub(super) fn parse(self) -> Result<BulkOverride, Refusal> {
        let mut errors = Vec::new();
        let reason = match reason(self.reason.as_deref().unwrap_or_default()) {
            Ok(Some(reason)) => reason,
            Ok(None) => {
                errors.push(FieldError::new("reason", "is required"));
                String::new()
            }
            Err(error) => {
                errors.push(error);
                String::new()
            }
        };
        if self.rows.is_empty() || self.rows.len() > ROWS_LIMIT {
            let message = format!("must have 1 to {ROWS_LIMIT} entries");
            errors.push(FieldError::new("rows", message));
            return Err(Refusal::Invalid(errors));
        }
        let mut named = BTreeSet::new();
        let mut rows = Vec::new();
        for (index, body) in self.rows.into_iter().enumerate() {
            match body.parse() {
                Ok(row) if named.insert(row.attendee.clone()) => rows.push(row),
                Ok(_) => {
                    let field = format!("rows[{index}].attendee_id");
                    errors.push(FieldError::new(field, "appears twice"));
                }
                Err((field, message)) => {
                    errors.push(FieldError::new(format!("rows[{index}].{field}"), message));
                }
            }
        }
        if errors.is_empty() {
            Ok(BulkOverride { rows, reason })
        } else {
            Err(Refusal::Invalid(errors))
        }
    }
}

impl RowBody {
    /// Returns the request, or the field with an error and its message.
    fn parse(self) -> Result<RowOverride, (&'static str, &'static str)> {
        let id = self.attendee_id.ok_or(("attendee_id", "is required"))?;
        let attendee = AttendeeId::parse(&id).ok_or(("attendee_id", "is not in the report"))?;
        let change = match (self.present, self.status) {
            (Some(present), None) => {
                OverrideRequest { present: Some(present), ..OverrideRequest::default() }
            }
            (None, Some(status)) => {
                OverrideRequest { excused: Some(status.is_some()), ..OverrideRequest::default() }
            }
            (Some(_), Some(_)) => return Err(("status", "must not be given with present")),
            (None, None) => return Err(("present", "is required without a status")),
        };
        Ok(RowOverride { attendee, change })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http;
    use serde_json::{Value, json};

    const ADA: &str = "att_aaaaaaaaaaaaaaaaaaaaaaaaaa";
    const BOB: &str = "att_bbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn parsed(body: &Value) -> Result<BulkOverride, Refusal> {
        http::parse_json::<BulkBody>(body.to_string().as_bytes())?.parse()
    }

    fn errors(body: &Value) -> Vec<String> {
        match parsed(body) {
            Err(Refusal::Invalid(errors)) => errors.into_iter().map(|error| error.field).collect(),
            other => panic!("{body}: {other:?}"),
        }
    }

    #[test]
    fn bulk_row_has_either_a_presence_or_a_status() {
        let change = |row: Value| {
            let mut row = row;
            row["attendee_id"] = ADA.into();
            parsed(&json!({"reason": " Ill. ", "rows": [row]})).map(|request| {
                assert_eq!(request.reason, "Ill.");
                request.rows[0].change.clone()
            })
        };
        let nothing = OverrideRequest::default();
        for (row, expected) in [
            (
                json!({"present": true}),
                OverrideRequest { present: Some(Some(true)), ..nothing.clone() },
            ),
            (json!({"present": null}), OverrideRequest { present: Some(None), ..nothing.clone() }),
            (
                json!({"status": "excused"}),
                OverrideRequest { excused: Some(true), ..nothing.clone() },
            ),
            (json!({"status": null}), OverrideRequest { excused: Some(false), ..nothing }),
        ] {
            assert_eq!(change(row.clone()), Ok(expected), "{row}");
        }
    }

    #[test]
    fn bulk_override_reports_the_errors_of_all_rows() {
        let row = |id: &str| json!({"attendee_id": id, "present": true});
        let many: Vec<_> = vec![row(ADA); ROWS_LIMIT + 1];
        for (body, fields) in [
            (json!({"rows": [row(ADA)]}), vec!["reason"]),
            (json!({"reason": " ", "rows": [row(ADA)]}), vec!["reason"]),
            (json!({"reason": "é".repeat(501), "rows": [row(ADA)]}), vec!["reason"]),
            (json!({"reason": "Ill.", "rows": []}), vec!["rows"]),
            (json!({"reason": "Ill.", "rows": many}), vec!["rows"]),
            (
                json!({"rows": [
                    row(ADA),
                    {"present": true},
                    row("att_x"),
                    row(ADA),
                    {"attendee_id": BOB},
                    {"attendee_id": BOB, "present": true, "status": null},
                    {"attendee_id": BOB, "status": "excused"},
                ]}),
                vec![
                    "reason",
                    "rows[1].attendee_id",
                    "rows[2].attendee_id",
                    "rows[3].attendee_id",
                    "rows[4].present",
                    "rows[5].status",
                ],
            ),
            (
                json!({"reason": "Ill.", "rows": [{"attendee_id": ADA, "status": "late"}]}),
                vec!["rows[0].status"],
            ),
        ] {
            assert_eq!(errors(&body), fields, "{body}");
        }
    }
}
