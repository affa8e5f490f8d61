//! In-app notifications and notification preferences of the caller.

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

/// One page of notifications, the cursor of the next page, and the total number of unread notifications.
#[derive(Debug)]
pub struct NotificationPage {
    pub notifications: Vec<StoredNotification>,
    pub next: Option<NotificationId>,
    pub unread: usize,
}

/// Returns the caller's notifications, newest first.
pub async fn list(
    store: &Store,
    caller: &Caller,
    after: Option<&NotificationId>,
    limit: usize,
    now: Timestamp,
) -> Result<NotificationPage, Error> {
    let ((notifications, next), unread) = try_join!(
        store.notifications_page(&caller.id, after, limit, now),
        store.count_unread_notifications(&caller.id, now)
    )?;
    Ok(NotificationPage { notifications, next, unread })
}

/// A change of a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotificationAction {
    Read,
    Dismissed,
}

/// Marks one of the caller's notifications as read or dismissed. Idempotent.
pub async fn mark(
    store: &Store,
    caller: &Caller,
    id: &NotificationId,
    action: NotificationAction,
    now: Timestamp,
) -> Result<(), Error> {
    if !items::is_shown(id, now) {
        return Err(Refusal::NotFound.into());
    }
    let action: Action = match action {
        NotificationAction::Read => items::mark_read(&caller.id, id, now),
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

/// Stores the caller's preferences. Also links the verified address to the caller, so that the preferences apply to
/// people who are invited by address and are not in the directory.
pub async fn set_preferences(
    store: &Store,
    caller: &Caller,
    preferences: &Preferences,
    now: Timestamp,
) -> Result<(), Error> {
    let email = caller.verified_email.as_ref();
    if let Some(previous) = store.email_of_preferences(&caller.id).await?
        && Some(&previous) != email
    {
        ignore_refusal(
            store.commit_one(directory::delete_email_pointer(&previous, &caller.id)).await,
        )?;
    }
    let put = preferences::put(&caller.id, preferences, email);
    store.commit_one(put.requested_at(now)).await?;
    if let Some(email) = email {
        let point = directory::put_verified_email_pointer(email, &caller.id).requested_at(now);
        ignore_refusal(store.commit_one(point).await)?;
    }
    tracing::info!(
        event = "preferences.saved",
        in_app = preferences.live_session.in_app,
        email = preferences.live_session.email
    );
    Ok(())
}

/// Ignores a refused write, which means that the address belongs to another user now.
fn ignore_refusal(written: Result<(), CommitError>) -> Result<(), Error> {
    match written {
        Ok(()) | Err(CommitError::Refused(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
