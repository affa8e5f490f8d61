//! The invitee lists of sessions that are created or edited. A long list does not fit into the session's transaction.

use jiff::Timestamp;

use crate::app::Services;
use crate::domain::audience::{AudienceDraft, Invitee};
use crate::domain::draft::Draft;
use crate::domain::link_generation::LinkGenerations;
use crate::domain::session::Session;
use crate::domain::time::{plus_minutes, whole_milli};
use crate::store::due_work::InviteeListCheck;
use crate::store::error::StoreError;
use crate::store::invitations::{self, ListReplacement, NewList};
use crate::store::schema::limit;
use crate::store::tx::Action;

/// Minutes until the check of a list that was written ahead. The request has ended by then.
const LIST_CHECK_MINUTES: i64 = 2;

/// Returns the addresses that a draft invites. Empty for other audience types.
pub(super) fn drafted_invitees(draft: &Draft) -> &[Invitee] {
    match &draft.audience {
        AudienceDraft::Invitees(invitees) => invitees,
        _ => &[],
    }
}

/// The invitees of a created or edited session.
#[derive(Clone, Copy)]
pub(super) struct NewInvitees<'a> {
    pub(super) invitees: &'a [Invitee],
    pub(super) replacement: Option<ListReplacement>,
    pub(super) generations: &'a LinkGenerations,
}

/// Returns the actions that store the session's invitees. They belong to the session's transaction.
///
/// A long list is written at once, before the session refers to it. Until then a check is due, which deletes the list
/// if the request dies.
pub(super) async fn invitee_actions(
    services: &Services,
    session: &Session,
    NewInvitees { invitees, replacement, generations }: NewInvitees<'_>,
    now: Timestamp,
) -> Result<Vec<Action>, StoreError> {
    let Some(list) = session.audience.invitee_list() else { return Ok(Vec::new()) };
    let new = NewList { list, invitees, replacement, generations };
    if invitees.len() <= limit::INVITEES_IN_TRANSACTION {
        return Ok(invitations::put_list(session, &new));
    }
    let due_at = plus_minutes(whole_milli(now), LIST_CHECK_MINUTES);
    let check = InviteeListCheck { session: session.id.clone(), list, due_at };
    services.store.write_all(vec![check.put()]).await?;
    services.store.write_invitees(session, &new).await?;
    Ok(vec![check.delete()])
}

/// Deletes an invitee list that was written ahead of a session but is not referenced by it, so that no addresses are
/// stored without need.
pub(super) async fn delete_unused_invitees(services: &Services, session: &Session, length: usize) {
    let Some(list) =
        session.audience.invitee_list().filter(|_| length > limit::INVITEES_IN_TRANSACTION)
    else {
        return;
    };
    if let Err(error) = services.store.delete_invitees(&session.id, list).await {
        tracing::warn!(event = "session.invitee_list_not_deleted", session_id = %session.id, %error);
    }
}
