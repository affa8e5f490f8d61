//! Hosts of the platform's own Zoom account: requests, removals and reads. `meeting_sweep` carries them out at Zoom.
//!
//! A request is stored with its due work in one transaction. Zoom's answers take time and may have to be repeated, so no
//! caller waits for them.

use jiff::Timestamp;

use super::error::Error;
use crate::domain::id::UserId;
use crate::domain::platform_host::{HostRequest, HostState, PlatformHost, ZoomUserRemoval};
use crate::domain::refusal::Refusal;
use crate::domain::time::{whole_milli, whole_second};
use crate::store::error::CommitError;
use crate::store::hosts::{self, HostCursor, HostPage};
use crate::store::sessions::{SessionFilter, live_or_upcoming_since};
use crate::store::tx::ConditionSubject;
use crate::store::{Store, erasures};

/// Attempts at a change while others change the same host.
const ATTEMPTS: usize = 5;
/// Sessions per page of the search for classes ahead.
const PAGE: usize = 100;

/// A change that the platform requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostCommand {
    Request(HostRequest),
    Remove {
        zoom: ZoomUserRemoval,
        /// Whether the host is removed although classes are ahead.
        force: bool,
    },
}

/// A read of a trainer's host.
pub async fn load(store: &Store, trainer: &UserId) -> Result<PlatformHost, Error> {
    Ok(store.platform_host(trainer).await?.ok_or(Refusal::NotFound)?)
}

/// Returns a page of the hosts in a state, or of all, with the cursor of the next page.
pub async fn list(
    store: &Store,
    state: Option<HostState>,
    after: Option<&HostCursor>,
    limit: usize,
) -> Result<HostPage, Error> {
    Ok(store.platform_hosts(state, after, limit).await?)
}

/// Applies a command and returns the host. It is idempotent.
pub async fn apply(
    store: &Store,
    trainer: &UserId,
    command: &HostCommand,
    now: Timestamp,
) -> Result<PlatformHost, Error> {
    for _ in 0..ATTEMPTS {
        let before = store.platform_host(trainer).await?;
        let Some(after) = decide(store, trainer, before.as_ref(), command, now).await? else {
            return Ok(before.ok_or(Refusal::NotFound)?);
        };
        let mut actions = hosts::replace(before.as_ref(), &after);
        actions.push(erasures::require_not_erased(trainer, whole_milli(now)));
        match store.commit(actions).await {
            Ok(()) => {
                let (state, version) = (after.state.as_str(), after.version);
                tracing::info!(event = "host.requested", trainer_id = %trainer, state, version);
                return Ok(after);
            }
            Err(CommitError::Refused(subjects)) => refuse(&subjects)?,
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::busy("the host is being changed"))
}

/// Applies a command that the platform issued at `issued_at`. One that is delivered after a later command, or after the
/// erasure of its trainer, is ignored.
pub async fn apply_issued(
    store: &Store,
    trainer: &UserId,
    command: &HostCommand,
    issued_at: Timestamp,
    now: Timestamp,
) -> Result<(), Error> {
    let erased_at = store.last_erasure(&[erasures::person_digest(trainer)]).await?;
    let host = store.platform_host(trainer).await?;
    let changed_at = erased_at.max(host.as_ref().map(|host| host.requested_at));
    // EventBridge's times have whole seconds.
    if changed_at.is_some_and(|changed_at| issued_at < whole_second(changed_at)) {
        tracing::info!(event = "host.command_overtaken", trainer_id = %trainer);
        return Ok(());
    }
    if host.is_none() && matches!(command, HostCommand::Remove { .. }) {
        return Ok(());
    }
    apply(store, trainer, command, now).await.map(drop)
}

/// Returns the host after a command. `None` if nothing changes.
async fn decide(
    store: &Store,
    trainer: &UserId,
    before: Option<&PlatformHost>,
    command: &HostCommand,
    now: Timestamp,
) -> Result<Option<PlatformHost>, Error> {
    match (command, before) {
        (HostCommand::Request(request), None) => {
            Ok(Some(PlatformHost::requested(trainer.clone(), request.clone(), now)))
        }
        (HostCommand::Request(request), Some(host)) => Ok(host.with_request(request.clone(), now)?),
        (HostCommand::Remove { .. }, None) => Err(Refusal::NotFound.into()),
        (HostCommand::Remove { zoom, force }, Some(host)) => {
            let removed = host.with_removal(*zoom, now);
            if removed.is_some() && !force && has_classes_ahead(store, host, now).await? {
                return Err(Refusal::Conflict(
                    "classes of the trainer are ahead in this host's meetings: cancel them first, or force the removal",
                )
                .into());
            }
            Ok(removed)
        }
    }
}

/// Returns an error, or nothing if the command is decided again because the host has changed.
fn refuse(subjects: &[ConditionSubject]) -> Result<(), Refusal> {
    if subjects.contains(&ConditionSubject::PlatformHostOfEmail) {
        return Err(Refusal::Conflict("another trainer's host has this address"));
    }
    if subjects.contains(&ConditionSubject::Erasure) {
        return Err(Refusal::USER_ERASED);
    }
    Ok(())
}

/// Returns whether the trainer has upcoming or live classes in meetings of the host's Zoom user.
async fn has_classes_ahead(
    store: &Store,
    host: &PlatformHost,
    now: Timestamp,
) -> Result<bool, Error> {
    let Some(user) = &host.zoom_user else { return Ok(false) };
    let filter =
        SessionFilter { from: Some(live_or_upcoming_since(now)), ..SessionFilter::default() };
    let mut after = None;
    loop {
        let page = store.sessions_of_trainer(&host.trainer, &filter, after.as_ref(), PAGE).await?;
        let (sessions, next) = page;
        let is_ahead = sessions.iter().any(|session| {
            session.meeting.platform_user.as_ref() == Some(user) && session.is_upcoming_or_live(now)
        });
        match next {
            _ if is_ahead => return Ok(true),
            Some(next) => after = Some(next),
            None => return Ok(false),
        }
    }
}

/// Erases the host of a person, and lets the sweep deactivate the Zoom user. With `until`, it spares a host that was
/// requested later.
pub(super) async fn erase(
    store: &Store,
    trainer: &UserId,
    until: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), Error> {
    for _ in 0..ATTEMPTS {
        let host = store.platform_host(trainer).await?;
        let is_older = |host: &PlatformHost| until.is_none_or(|until| host.requested_at < until);
        let Some(host) = host.filter(is_older) else { return Ok(()) };
        match store.commit(hosts::erase(&host, whole_milli(now))).await {
            Ok(()) => {
                tracing::info!(event = "host.erased", trainer_id = %trainer);
                return Ok(());
            }
            Err(CommitError::Refused(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::busy("the host is being changed"))
}
