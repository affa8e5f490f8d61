//! Schedules and edits sessions.
//!
//! A session and its meeting are stored in two systems. [`create`](create::create) and [`edit`](edit::edit) therefore
//! store an intent or an edit lease before they call Zoom. If a request dies, the repair (`app::reminder_sweep`) finds
//! the expired record and compares the session with Zoom.

mod create;
mod edit;
mod zone_rules;

pub use create::{CreateSession, RepeatedCreate, create, find_created_session};
pub use edit::{EditSession, ExpectedVersion, edit};
pub use zone_rules::apply_zone_rules;

use jiff::{SignedDuration, Timestamp};

use super::Services;
use super::error::Error;
use crate::domain::audience::{Audience, AudienceDraft, Invitee, InviteeList};
use crate::domain::caller::{Caller, Role};
use crate::domain::directory::Course;
use crate::domain::id::UserId;
use crate::domain::refusal::Refusal;
use crate::domain::session::Session;
use crate::domain::time::{plus_minutes, whole_milli};
use crate::domain::{draft::Draft, scope};
use crate::store::due_work::repairs::{Repair, RepairTask};
use crate::store::due_work::{self, InviteeListCheck};
use crate::store::error::StoreError;
use crate::store::invitations::ListReplacement;
use crate::store::schema::limit;
use crate::store::tx::Action;

/// How long a request holds its lease: longer than its function may run (see `template.yaml`). Repairs run longer and
/// use their own duration.
const LEASE_SECONDS: i64 = 30;

/// Minutes until the check of a list that was written ahead. The request has ended by then.
const LIST_CHECK_MINUTES: i64 = 2;

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

/// Refuses early if the grant lacks the scope that the next call to Zoom requires.
fn require_scope(granted: &[String], scope: &str) -> Result<(), Error> {
    if granted.is_empty() || scope::covers(granted, scope) {
        Ok(())
    } else {
        Err(Refusal::MissingScopes(vec![scope.to_owned()]).into())
    }
}

fn set_reminders(session: &Session, now: Timestamp) -> Vec<Action> {
    crate::domain::reminder::upcoming_reminders(session.starts_at, now)
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
        host_user: session.meeting.host_user.clone(),
        is_among_other_work: false,
    }
}

/// Returns the addresses that a draft invites. Empty for other audience types.
fn drafted_invitees(draft: &Draft) -> &[Invitee] {
    match &draft.audience {
        AudienceDraft::Invitees(invitees) => invitees,
        _ => &[],
    }
}

/// Writes a long invitee list before the session refers to it. Returns the action that belongs to the session's transaction.
/// Until then a check is due, which deletes the list if the request dies.
async fn write_long_list(
    services: &Services,
    session: &Session,
    list: InviteeList,
    replacement: Option<ListReplacement>,
    invitees: &[Invitee],
    now: Timestamp,
) -> Result<Action, StoreError> {
    let due_at = plus_minutes(whole_milli(now), LIST_CHECK_MINUTES);
    let check = InviteeListCheck { session: session.id.clone(), list, due_at };
    services.store.write_all(vec![check.put()]).await?;
    services.store.write_invitees(session, list, replacement, invitees).await?;
    Ok(check.delete())
}

/// Deletes an invitee list that was written ahead of a session but is not referenced by it, so that no addresses are
/// stored without need.
async fn delete_unused_invitees(services: &Services, session: &Session, length: usize) {
    let Some(list) =
        session.audience.invitee_list().filter(|_| length > limit::INVITEES_IN_TRANSACTION)
    else {
        return;
    };
    if let Err(error) = services.store.delete_invitees(&session.id, list).await {
        tracing::warn!(event = "session.invitee_list_not_deleted", session_id = %session.id, %error);
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
