//! Scheduling a class, and changing one.
//!
//! A class and its meeting are in two places, so neither [`create`](create::create) nor [`edit`](edit::edit) calls Zoom
//! before it has stored what it is about to do: an intent, or a claim on the class. Whoever finds one whose time has
//! run out knows what to look for at Zoom (`app::reminder_sweep`).

mod create;
mod edit;

pub use create::{RepeatedCreate, CreateSession, create, made_before};
pub use edit::{EditSession, edit};

use jiff::{SignedDuration, Timestamp};

use super::Services;
use super::error::Error;
use crate::domain::audience::{Audience, AudienceDraft, InviteeList};
use crate::domain::caller::{Caller, Role};
use crate::domain::directory::Course;
use crate::domain::id::UserId;
use crate::domain::refusal::Refusal;
use crate::domain::session::Session;
use crate::domain::time::whole_milli;
use crate::domain::{draft::Draft, scope};
use crate::store::outbox::{self, Repair};
use crate::store::schema::limit;
use crate::store::tx::Action;

/// How long a request keeps others away: longer than its function may run (see `template.yaml`). The sweep's repairs,
/// whose function runs longer, have a time of their own.
const ATTEMPT_SECONDS: i64 = 30;

fn attempt_until(now: Timestamp) -> Timestamp {
    whole_milli(now).saturating_add(SignedDuration::from_secs(ATTEMPT_SECONDS)).unwrap_or(now)
}

/// The audience of a draft, with what the directory knows of the course. A course that is not this trainer's does not
/// exist for them.
fn audience(
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

/// Refuses ahead of a call for which the grant has no scope: the answer would be the same, and later.
fn needs_scope(granted: &[String], scope: &str) -> Result<(), Error> {
    if granted.is_empty() || scope::covers(granted, scope) {
        Ok(())
    } else {
        Err(Refusal::MissingScopes(vec![scope.to_owned()]).into())
    }
}

fn set_reminders(session: &Session, now: Timestamp) -> Vec<Action> {
    crate::domain::reminder::ahead(session.starts_at, now)
        .map(|reminder| outbox::set_reminder(session, reminder))
        .collect()
}

/// The repair of a class that is there, due at `at`.
pub(super) fn repair_of(session: &Session, at: Timestamp) -> Repair {
    Repair {
        session: session.id.clone(),
        trainer: session.trainer.clone(),
        at,
        topic: session.title.as_str().to_owned(),
        starts_at: session.starts_at,
        since: at,
        account: session.meeting.account.clone(),
    }
}

/// The addresses that a draft invites; none for other audiences.
fn invitees(draft: &Draft) -> &[crate::domain::audience::Invitee] {
    match &draft.audience {
        AudienceDraft::Invitees(invitees) => invitees,
        _ => &[],
    }
}

/// Removes a list that was written ahead of a class which certainly does not point at it. It would count for nothing
/// anyway; but addresses are not kept that nothing needs.
async fn forget_list(tools: &Services, session: &Session, length: usize) {
    let Some(list) = session.audience.list().filter(|_| length > limit::INVITEES_IN_TRANSACTION)
    else {
        return;
    };
    if let Err(error) = tools.store.delete_invitees(&session.id, list).await {
        tracing::warn!(event = "session.list_left", session_id = %session.id, %error);
    }
}

/// Whether the caller may schedule at all, and for whom: trainers for themselves, the host platform for its trainers.
pub fn trainer_of(caller: &Caller, on_behalf_of: Option<UserId>) -> Result<UserId, Refusal> {
    match on_behalf_of {
        _ if !caller.is(Role::Trainer) && !caller.is(Role::Service) => Err(Refusal::Forbidden),
        Some(trainer) if caller.is(Role::Service) => Ok(trainer),
        None if caller.is(Role::Trainer) => Ok(caller.id.clone()),
        Some(_) => Err(Refusal::field("trainer_id", "is for the host platform's service only")),
        None => Err(Refusal::field("trainer_id", "is required of the host platform's service")),
    }
}

/// Whether it is the host platform that schedules, and not a trainer in person. Who may do both says which by naming the
/// trainer or not.
pub fn speaks_as_service(caller: &Caller, on_behalf_of: Option<&UserId>) -> bool {
    caller.is(Role::Service) && (on_behalf_of.is_some() || !caller.is(Role::Trainer))
}
