//! What a person was told in-app, and what they want to be told of. Everybody sees their own and nobody else's.

use futures::try_join;
use jiff::Timestamp;

use super::error::Error;
use crate::domain::caller::Caller;
use crate::domain::in_app::NotificationId;
use crate::domain::preferences::Preferences;
use crate::domain::refusal::Refusal;
use crate::store::Store;
use crate::store::error::CommitError;
use crate::store::notifications::{self as items, StoredNotification};
use crate::store::tx::Action;
use crate::store::{directory, preferences};

/// A page, where the next begins, and how many of all are unread.
#[derive(Debug)]
pub struct NotificationPage {
    pub notices: Vec<StoredNotification>,
    pub next: Option<NotificationId>,
    pub unread: usize,
}

/// The caller's notices, newest first.
pub async fn list(
    store: &Store,
    caller: &Caller,
    after: Option<&NotificationId>,
    limit: usize,
    now: Timestamp,
) -> Result<NotificationPage, Error> {
    let ((notices, next), unread) = try_join!(
        store.notices(&caller.id, after, limit, now),
        store.unread_notices(&caller.id, now)
    )?;
    Ok(NotificationPage { notices, next, unread })
}

/// What can be done about a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotificationAction {
    Read,
    Dismissed,
}

/// Marks one of the caller's notices; one that is marked so already stays as it is.
pub async fn mark(
    store: &Store,
    caller: &Caller,
    id: &NotificationId,
    mark: NotificationAction,
    now: Timestamp,
) -> Result<(), Error> {
    if !items::is_shown(id, now) {
        return Err(Refusal::NotFound.into());
    }
    let action: Action = match mark {
        NotificationAction::Read => items::read(&caller.id, id, now),
        NotificationAction::Dismissed => items::dismiss(&caller.id, id, now),
    };
    match store.commit_one(action).await {
        Ok(()) => Ok(()),
        Err(CommitError::Refused(_)) => Err(Refusal::NotFound.into()),
        Err(error) => Err(error.into()),
    }
}

pub async fn preferences(store: &Store, caller: &Caller) -> Result<Preferences, Error> {
    Ok(store.preferences_of(&caller.id).await?)
}

/// Says what the caller wants from now on. Who is invited by their address may be in no directory: from then on their
/// verified address leads to them, so that what is sent there is what they want.
pub async fn prefer(store: &Store, caller: &Caller, wanted: &Preferences) -> Result<(), Error> {
    let email = caller.verified_email.as_ref();
    if let Some(before) = store.address_with_preferences(&caller.id).await?
        && Some(&before) != email
    {
        unless_others(store.commit_one(directory::forget_email(&before, &caller.id)).await)?;
    }
    store.commit_one(preferences::put(&caller.id, wanted, email)).await?;
    if let Some(email) = email {
        let point = directory::point_from_verified_email(email, &caller.id);
        unless_others(store.commit_one(point).await)?;
    }
    tracing::info!(
        event = "preferences.put",
        in_app = wanted.live_session.in_app,
        email = wanted.live_session.email
    );
    Ok(())
}

/// An address that is somebody else's by now stays theirs.
fn unless_others(written: Result<(), CommitError>) -> Result<(), Error> {
    match written {
        Ok(()) | Err(CommitError::Refused(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
