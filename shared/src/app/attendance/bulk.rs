//! Overrides of many rows of one session with one reason.
//!
//! All rows are checked before the first write. The writes are several transactions, because one has a limited number
//! of actions. A repetition of the request writes only the rows that are missing, so a request that failed half-way can
//! be sent again.

use std::collections::BTreeSet;

use super::{
    ACTIONS_PER_ROW, ATTEMPTS, AttendanceContext, OverrideChange, ReportData, RowActions,
    load_report_data, load_session_for, with_invalid_summary,
};
use crate::app::delegated_actions;
use crate::app::error::Error;
use crate::domain::actor::Actor;
use crate::domain::attendance::override_request::{self, RowOverride};
use crate::domain::attendance::{AttendeeId, ReportRow};
use crate::domain::caller::Caller;
use crate::domain::id::SessionId;
use crate::domain::refusal::Refusal;
use crate::domain::rights::Operation;
use crate::domain::session::Session;
use crate::store::error::CommitError;
use crate::store::schema::limit;
use crate::store::tx::ConditionSubject;

/// Rows in one transaction, which also has the removal of the session's summary.
const ROWS_PER_TRANSACTION: usize = (limit::TRANSACTION_ACTIONS - 1) / ACTIONS_PER_ROW;

/// A request to override many rows.
#[derive(Clone, Debug)]
pub struct BulkOverride {
    pub rows: Vec<RowOverride>,
    pub reason: String,
}

/// Applies the overrides and returns the resulting rows in the order of the request.
pub async fn apply_overrides(
    context: &AttendanceContext<'_>,
    caller: &Caller,
    id: &SessionId,
    request: &BulkOverride,
) -> Result<Vec<ReportRow>, Error> {
    // A row that this request has stored may be changed by another one before the next attempt.
    let mut stored = BTreeSet::new();
    for _ in 0..ATTEMPTS {
        let operation = Operation::OverrideManyAttendances;
        let session = load_session_for(context.store, caller, id, operation).await?;
        let data = load_report_data(context, session).await?;
        let (rows, actions) = bulk_actions(context, caller, &data, request, &stored)?;
        if actions.is_empty() {
            return Ok(rows);
        }
        let count = actions.len();
        if commit_rows(context, &data.session, actions, &mut stored).await? {
            delegated_actions::log_author(&Actor::of_change(caller, &data.session), &data.session);
            tracing::info!(event = "attendance.overridden_in_bulk", session_id = %id, rows = count);
            return Ok(rows);
        }
    }
    Err(Error::busy("too many concurrent overrides of the rows"))
}

/// Returns the rows after the overrides, and the actions of the rows that are not stored yet.
fn bulk_actions(
    context: &AttendanceContext<'_>,
    caller: &Caller,
    data: &ReportData,
    request: &BulkOverride,
    stored: &BTreeSet<AttendeeId>,
) -> Result<(Vec<ReportRow>, Vec<RowActions>), Error> {
    let before = data.overrides();
    let report_before = data.report(&before, context);
    let mut changed = override_request::decide_many(&report_before, &before, &request.rows)?;
    changed.retain(|attendee, _| !stored.contains(attendee));
    let change = OverrideChange::new(context, data, before, report_before, changed);
    let actions = change.actions(context, caller, Some(&request.reason));
    let row = |row: &RowOverride| change.report_after.row(&row.attendee).cloned();
    let rows = request.rows.iter().map(row).collect::<Option<Vec<_>>>();
    Ok((rows.ok_or(Refusal::NotFound)?, actions))
}

/// Stores the rows in as few transactions as possible, and adds them to `stored`. Returns `false` if a concurrent
/// override of one of the rows was faster. The rows of other transactions are stored even then.
async fn commit_rows(
    context: &AttendanceContext<'_>,
    session: &Session,
    actions: Vec<RowActions>,
    stored: &mut BTreeSet<AttendeeId>,
) -> Result<bool, CommitError> {
    let mut are_stored = true;
    for rows in actions.chunks(ROWS_PER_TRANSACTION) {
        let overrides = rows.iter().flat_map(|row| row.actions.clone()).collect();
        let actions = with_invalid_summary(context, session, overrides);
        match context.store.commit(actions).await {
            Ok(()) => stored.extend(rows.iter().map(|row| row.attendee.clone())),
            Err(CommitError::Refused(subjects))
                if subjects.contains(&ConditionSubject::AttendanceOverride) =>
            {
                are_stored = false;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(are_stored)
}
