//! Schedules and edits sessions.
//!
//! A session and its meeting are stored in two systems. [`create`](create::create) and [`edit`](edit::edit) therefore
//! have three steps: `reserve` stores an intent or an edit lease, `call_zoom` changes the meeting, and `commit` stores
//! the session. `release` undoes the steps before a failed one. If a request dies, the repair (`app::reminder_sweep`)
//! finds the expired record and compares the session with Zoom.

mod bring_forward;
mod complete;
mod create;
mod edit;
mod invitees;
pub(super) mod overlap;
mod upsert;
mod zone_rules;

pub use bring_forward::bring_meeting_forward;
pub use create::{CreateSession, RepeatedCreate, create, find_created_session};
pub use edit::{EditSession, ExpectedVersion, edit};
pub use upsert::{UpsertSession, Upserted, upsert};
pub use zone_rules::apply_zone_rules;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::error::Error;
use super::meeting::NewMeeting;
use crate::domain::audience::{Audience, AudienceDraft, InviteeList};
use crate::domain::caller::{Caller, Role};
use crate::domain::directory::{Course, User};
use crate::domain::drift;
use crate::domain::id::UserId;
use crate::domain::plan::{PlanLimits, PlatformSettings};
use crate::domain::refusal::Refusal;
use crate::domain::session::{Session, SessionDetails};
use crate::domain::time::{seconds_to_utc_midnight, whole_milli};
use crate::store::due_work;
use crate::store::due_work::repairs::{Repair, RepairTask};
use crate::store::error::CommitError;
use crate::store::tx::{Action, ConditionSubject};

/// How long a request holds its lease: longer than its function may run (see `template.yaml`). Repairs run longer and
/// use their own duration.
const LEASE_SECONDS: i64 = 30;
/// Attempts against concurrent bookings of the same host and day. Each one that fails means that another one succeeded.
const BOOKING_ATTEMPTS: u32 = 10;
/// The pause between two attempts, plus up to as much jitter.
const BOOKING_PAUSE_MS: u64 = 20;

fn lease_until(now: Timestamp) -> Timestamp {
    whole_milli(now).saturating_add(SignedDuration::from_secs(LEASE_SECONDS)).unwrap_or(now)
}

/// Resolves the audience of a draft. A course of another trainer is treated as not found.
fn resolve_audience(
    draft: &AudienceDraft,
    course: Option<Course>,
    trainer: &UserId,
    list: InviteeList,
) -> Result<Audience, Refusal> {
    match draft {
        AudienceDraft::Standalone => Ok(Audience::Standalone),
        AudienceDraft::Invitees(invitees) => Ok(Audience::Invitees { list, count: invitees.len() }),
        AudienceDraft::Course(_) => match course {
            Some(course) if course.trainer == *trainer => {
                Ok(Audience::Course { id: course.id, title: course.title })
            }
            _ => Err(Refusal::NotFound),
        },
    }
}

/// Converts the error of a transaction that counts a call to Zoom for the day.
fn daily_limit_error(error: CommitError, now: Timestamp) -> Error {
    if error.refused(ConditionSubject::ZoomDay) {
        return Error::ZoomLimited { after: Duration::from_secs(seconds_to_utc_midnight(now)) };
    }
    error.into()
}

/// Returns the limits of a trainer's plan. Without plans there are no limits, and the directory need not have the trainer.
fn limits_of(settings: &PlatformSettings, trainer: Option<&User>) -> Result<PlanLimits, Refusal> {
    match trainer {
        None if !settings.plans.is_empty() => Err(Refusal::UnknownTrainer),
        user => settings.plan_limits(user.and_then(|user| user.plan.as_deref())),
    }
}

/// Returns the fields in which a new meeting differs: the account forbids recording, or Zoom did not accept the start.
/// The trainer should see that before the session.
pub(super) fn new_drift(details: &SessionDetails, meeting: &NewMeeting) -> Vec<String> {
    let is_not_recorded = details.record_session && meeting.is_recorded == Some(false);
    let fields = [(is_not_recorded, drift::RECORDING), (meeting.start_differs, drift::STARTS_AT)];
    let differing = fields.into_iter().filter(|(differs, _)| *differs);
    differing.map(|(_, field)| field.to_owned()).collect()
}

fn set_reminders(session: &Session, now: Timestamp) -> Vec<Action> {
    crate::domain::reminder::upcoming_reminders(session.details.starts_at, now)
        .map(|reminder| due_work::put_reminder(session, reminder))
        .collect()
}

/// Builds the repair of an existing session, due at `at`.
pub(super) fn new_repair(session: &Session, at: Timestamp, task: RepairTask) -> Repair {
    Repair {
        session: session.id.clone(),
        trainer: session.trainer.clone(),
        due_at: at,
        first_due_at: at,
        task,
        is_checked: false,
        host: session.meeting.host(),
        is_among_other_work: false,
    }
}

/// Returns the trainer for whom the caller schedules. Trainers schedule for themselves, and the host platform's
/// service schedules for any trainer.
pub fn requested_trainer(caller: &Caller, on_behalf_of: Option<UserId>) -> Result<UserId, Refusal> {
    match on_behalf_of {
        _ if !caller.has_role(Role::Trainer) && !caller.has_role(Role::Service) => {
            Err(Refusal::Forbidden)
        }
        Some(trainer) if caller.has_role(Role::Service) => Ok(trainer),
        None if caller.has_role(Role::Trainer) => Ok(caller.id.clone()),
        Some(_) => Err(Refusal::field("trainer_id", "is reserved for the host platform's service")),
        None => Err(Refusal::field("trainer_id", "is required for the host platform's service")),
    }
}

/// Returns whether the caller acts as the host platform's service. A caller with both roles does so by naming a
/// trainer.
pub fn acts_as_service(caller: &Caller, on_behalf_of: Option<&UserId>) -> bool {
    caller.has_role(Role::Service) && (on_behalf_of.is_some() || !caller.has_role(Role::Trainer))
}
