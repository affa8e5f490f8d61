//! The attendance report, manual overrides, and their audit.

pub mod bulk;
pub mod course;
pub mod sources;

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future;
use jiff::Timestamp;

use self::sources::{CourseRoster, load_sources_with_roster};
use super::delegated_actions;
use super::error::Error;
use crate::domain::actor::Actor;
use crate::domain::attendance::override_request::{self, OverrideRequest};
use crate::domain::attendance::overrides::{AttendanceOverride, AttendanceOverrides};
use crate::domain::attendance::{
    AttendanceRecord, AttendanceReport, AttendanceRules, AttendeeId, People, ReportInputs,
    ReportRow, summary,
};
use crate::domain::caller::Caller;
use crate::domain::id::{SessionId, UserId};
use crate::domain::refusal::Refusal;
use crate::domain::rights::Operation;
use crate::domain::session::Session;
use crate::domain::time::{plus, whole_milli};
use crate::domain::zoom_event::ZoomEvent;
use crate::domain::zoom_report::InstanceReport;
use crate::random::Random;
use crate::store::Store;
use crate::store::archive::{self, DueArchive};
use crate::store::attendance::{self as items, AuditCursor, AuditEntry, StoredOverride};
use crate::store::attendance_summaries::invalidate_summary;
use crate::store::error::CommitError;
use crate::store::tx::{Action, ConditionSubject};

/// Attempts against concurrent overrides of the same row.
const ATTEMPTS: u32 = 4;
/// The writes of one changed row: the override and its audit entry.
const ACTIONS_PER_ROW: usize = 2;
/// The precision of an audit entry's time.
const TIME_PRECISION: Duration = Duration::from_millis(1);

/// The dependencies and settings of an attendance request.
#[derive(Clone, Copy, Debug)]
pub struct AttendanceContext<'a> {
    pub store: &'a Store,
    pub random: &'a Random,
    pub rules: AttendanceRules,
    pub now: Timestamp,
}

/// A request to override one row.
#[derive(Clone, Debug)]
pub struct OverrideCall {
    pub attendee: AttendeeId,
    pub change: OverrideRequest,
    pub reason: Option<String>,
}

/// The data from which the report of a session is computed.
struct ReportData {
    session: Session,
    events: Vec<ZoomEvent>,
    reports: Vec<InstanceReport>,
    people: People,
    stored: Vec<StoredOverride>,
}

impl ReportData {
    fn overrides(&self) -> AttendanceOverrides {
        self.stored
            .iter()
            .map(|stored| (stored.attendee.clone(), stored.attendance_override.clone()))
            .collect()
    }

    fn report(
        &self,
        overrides: &AttendanceOverrides,
        context: &AttendanceContext<'_>,
    ) -> AttendanceReport {
        AttendanceReport::compute(&ReportInputs {
            session: &self.session,
            events: &self.events,
            reports: &self.reports,
            people: &self.people,
            overrides,
            rules: context.rules,
            now: context.now,
        })
    }
}

/// Computes the report of a session.
pub async fn report(
    context: &AttendanceContext<'_>,
    caller: &Caller,
    id: &SessionId,
) -> Result<AttendanceReport, Error> {
    let session = load_session_for(context.store, caller, id, Operation::ReadAttendance).await?;
    let data = load_report_data(context, session).await?;
    Ok(data.report(&data.overrides(), context))
}

/// Applies an override and returns the resulting row. A repeated request by the same person with the same reason
/// changes nothing.
pub async fn apply_override(
    context: &AttendanceContext<'_>,
    caller: &Caller,
    id: &SessionId,
    request: &OverrideCall,
) -> Result<ReportRow, Error> {
    for _ in 0..ATTEMPTS {
        let operation = Operation::OverrideAttendance;
        let session = load_session_for(context.store, caller, id, operation).await?;
        let data = load_report_data(context, session).await?;
        let (row, actions) = override_actions(context, caller, &data, request)?;
        if actions.is_empty() {
            return Ok(row);
        }
        match context.store.commit(actions).await {
            Ok(()) => {
                delegated_actions::log_author(
                    &Actor::of_change(caller, &data.session),
                    &data.session,
                );
                tracing::info!(event = "attendance.overridden", session_id = %id, attendee_id = %request.attendee);
                return Ok(row);
            }
            Err(CommitError::Refused(subjects))
                if subjects.contains(&ConditionSubject::AttendanceOverride) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::busy("too many concurrent overrides of the row"))
}

/// Returns the row after the override, and the actions that store it with its audit entries.
fn override_actions(
    context: &AttendanceContext<'_>,
    caller: &Caller,
    data: &ReportData,
    request: &OverrideCall,
) -> Result<(ReportRow, Vec<Action>), Error> {
    let before = data.overrides();
    let report_before = data.report(&before, context);
    let decision =
        override_request::decide(&report_before, &before, &request.attendee, &request.change)?;
    let change =
        OverrideChange::new(context, data, before, report_before, decision.changed_overrides);
    let actions = change.actions(context, caller, request.reason.as_deref());
    let row = change.report_after.row(&decision.shown_row).cloned().ok_or(Refusal::NotFound)?;
    let actions = actions.into_iter().flat_map(|row| row.actions).collect();
    Ok((row, with_invalid_summary(context, &data.session, actions)))
}

/// The writes of one changed row.
#[derive(Clone, Debug)]
struct RowActions {
    attendee: AttendeeId,
    actions: [Action; ACTIONS_PER_ROW],
}

/// A decided change of overrides, with the reports before and after it.
struct OverrideChange<'a> {
    data: &'a ReportData,
    changed: AttendanceOverrides,
    before: AttendanceOverrides,
    report_before: AttendanceReport,
    after: AttendanceOverrides,
    report_after: AttendanceReport,
}

impl<'a> OverrideChange<'a> {
    fn new(
        context: &AttendanceContext<'_>,
        data: &'a ReportData,
        before: AttendanceOverrides,
        report_before: AttendanceReport,
        changed: AttendanceOverrides,
    ) -> Self {
        let mut after = before.clone();
        after.extend(changed.clone());
        let report_after = data.report(&after, context);
        Self { data, changed, before, report_before, after, report_after }
    }

    /// Returns the actions that store each changed override and its audit entry. Rows that are stored already have none.
    fn actions(
        &self,
        context: &AttendanceContext<'_>,
        caller: &Caller,
        reason: Option<&str>,
    ) -> Vec<RowActions> {
        let stored: BTreeMap<_, _> =
            self.data.stored.iter().map(|stored| (&stored.attendee, stored)).collect();
        let changed = self.changed.iter().filter_map(|(attendee, new_override)| {
            let previous = stored.get(attendee).copied();
            let is_no_change = is_no_change(previous, new_override, caller, reason);
            (!is_no_change).then_some((attendee, new_override, previous))
        });
        changed
            .map(|(attendee, new_override, previous)| {
                self.row_actions(context, caller, reason, (attendee, new_override), previous)
            })
            .collect()
    }

    fn row_actions(
        &self,
        context: &AttendanceContext<'_>,
        caller: &Caller,
        reason: Option<&str>,
        (attendee, new_override): (&AttendeeId, &AttendanceOverride),
        previous: Option<&StoredOverride>,
    ) -> RowActions {
        let id = &self.data.session.id;
        let actor = Actor::of_change(caller, &self.data.session);
        let at = audit_time(previous, context.now);
        let identified_by = new_override.assigned_to.as_ref().unwrap_or(attendee);
        let stored = StoredOverride {
            attendee: attendee.clone(),
            attendance_override: new_override.clone(),
            identity: self.data.people.person_details(identified_by),
            at: Some(at),
            by: caller.id.clone(),
            reason: reason.map(str::to_owned),
            revision: previous.map_or(0, |previous| previous.revision) + 1,
        };
        let entry = AuditEntry {
            at,
            by: actor.id.clone(),
            by_role: Some(actor.role.as_str().to_owned()),
            attendee: attendee.clone(),
            old: override_request::override_state(&self.report_before, &self.before, attendee),
            new: override_request::override_state(&self.report_after, &self.after, attendee),
            reason: reason.map(str::to_owned),
        };
        let nonce = data_encoding::BASE32_NOPAD.encode(&context.random.bytes::<5>());
        let read_revision = previous.map(|previous| previous.revision);
        let put = items::put_override(id, &stored, read_revision);
        let audit = items::put_audit_entry(id, &entry, &nonce);
        RowActions { attendee: attendee.clone(), actions: [put, audit] }
    }
}

/// Adds the removal of the session's summary to overrides, if it may have one.
fn with_invalid_summary(
    context: &AttendanceContext<'_>,
    session: &Session,
    mut overrides: Vec<Action>,
) -> Vec<Action> {
    if !overrides.is_empty() && summary::may_be_summarised(session, context.now) {
        overrides.push(invalidate_summary(&session.id));
    }
    overrides
}

/// Returns whether a request repeats the stored override of a row, or removes one that does not exist.
fn is_no_change(
    previous: Option<&StoredOverride>,
    new_override: &AttendanceOverride,
    caller: &Caller,
    reason: Option<&str>,
) -> bool {
    let none = AttendanceOverride::default();
    let is_repeated = previous.is_some_and(|previous| {
        previous.attendance_override == *new_override
            && previous.by == caller.id
            && previous.reason.as_deref() == reason
    });
    let has_none = previous.is_none_or(|previous| previous.attendance_override == none);
    is_repeated || (*new_override == none && has_none)
}

/// Returns the time of an audit entry. Entries of a row stay in the order of the decisions even within one millisecond
/// or with clocks that differ: each is later than the one before.
fn audit_time(previous: Option<&StoredOverride>, now: Timestamp) -> Timestamp {
    let now = whole_milli(now);
    let last = previous.and_then(|previous| previous.at);
    last.map_or(now, |last| now.max(plus(last, TIME_PRECISION)))
}

/// A page of the audit, newest first.
#[derive(Debug)]
pub struct AuditPage {
    pub trainer: UserId,
    pub entries: Vec<AuditEntry>,
    pub next: Option<AuditCursor>,
}

/// Returns a page of the audit.
pub async fn list_audit_entries(
    store: &Store,
    caller: &Caller,
    id: &SessionId,
    after: Option<&AuditCursor>,
    limit: usize,
) -> Result<AuditPage, Error> {
    let trainer = load_session_for(store, caller, id, Operation::ReadAudit).await?.trainer;
    let (entries, next) = store.audit_page(id, after, limit).await?;
    Ok(AuditPage { trainer, entries, next })
}

/// Loads the session if the caller has the right to the operation.
async fn load_session_for(
    store: &Store,
    caller: &Caller,
    id: &SessionId,
    operation: Operation,
) -> Result<Session, Error> {
    let session = store.session(id).await?.ok_or(Refusal::NotFound)?.session;
    session.check_right(operation, caller)?;
    Ok(session)
}

async fn load_report_data(
    context: &AttendanceContext<'_>,
    session: Session,
) -> Result<ReportData, Error> {
    load_report_data_with(context, session, None).await
}

/// Like [`load_report_data`], with a roster that several sessions of the course share.
async fn load_report_data_with(
    context: &AttendanceContext<'_>,
    session: Session,
    roster: Option<&CourseRoster>,
) -> Result<ReportData, Error> {
    let gathering = load_sources_with_roster(context.store, &session, roster, context.now);
    let (gathered, stored) =
        future::try_join(gathering, context.store.readable_overrides(&session.id)).await?;
    if gathered.archive.is_some_and(|archive| !archive.is_archive_of(&session)) {
        request_archiving(context.store, &session).await;
    }
    let decided =
        stored.iter().filter_map(|stored| Some((stored.subject()?, stored.identity.as_ref()?)));
    let people = gathered.record.people(&session).with_overridden_people(decided);
    let AttendanceRecord { events, reports, .. } = gathered.record;
    Ok(ReportData { events, reports, people, stored, session })
}

/// Requests the archive of a session that ended before archives were introduced. A failure does not fail the report.
async fn request_archiving(store: &Store, session: &Session) {
    if let Err(error) =
        store.commit_one(archive::put_due_archive(&DueArchive::for_session(session))).await
    {
        tracing::warn!(event = "attendance.archive_not_requested", session_id = %session.id, %error);
    }
}
