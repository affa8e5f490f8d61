//! What a person was told in-app, and what they want to be told of. Everybody sees their own and nobody else's.

use futures::try_join;
use jiff::Timestamp;

use super::error::Error;
use crate::domain::caller::Caller;
use crate::domain::notice::NoticeId;
use crate::domain::preferences::Preferences;
use crate::domain::refusal::Refusal;
use crate::store::Store;
use crate::store::error::CommitError;
use crate::store::notifications::{self as items, Kept};
use crate::store::preferences;
use crate::store::tx::Action;

/// A page, where the next begins, and how many of all are unread.
#[derive(Debug)]
pub struct Listed {
    pub notices: Vec<Kept>,
    pub next: Option<NoticeId>,
    pub unread: usize,
}

/// The caller's notices, newest first.
pub async fn list(
    store: &Store,
    caller: &Caller,
    after: Option<&NoticeId>,
    limit: usize,
    now: Timestamp,
) -> Result<Listed, Error> {
    let ((notices, next), unread) = try_join!(
        store.notices(&caller.id, after, limit, now),
        store.unread_notices(&caller.id, now)
    )?;
    Ok(Listed { notices, next, unread })
}

/// What can be done about a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    Read,
    Dismissed,
}

/// Marks one of the caller's notices; one that is marked so already stays as it is.
pub async fn mark(
    store: &Store,
    caller: &Caller,
    id: &NoticeId,
    mark: Mark,
    now: Timestamp,
) -> Result<(), Error> {
    if !items::is_shown(id, now) {
        return Err(Refusal::NotFound.into());
    }
    let action: Action = match mark {
        Mark::Read => items::read(&caller.id, id, now),
        Mark::Dismissed => items::dismiss(&caller.id, id, now),
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

/// Says what the caller wants from now on.
pub async fn prefer(store: &Store, caller: &Caller, wanted: &Preferences) -> Result<(), Error> {
    store.commit_one(preferences::put(&caller.id, wanted)).await?;
    tracing::info!(
        event = "preferences.put",
        in_app = wanted.live_session.in_app,
        email = wanted.live_session.email
    );
    Ok(())
}
