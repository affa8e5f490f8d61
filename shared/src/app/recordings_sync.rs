//! Compares the recordings of a session with Zoom's lists, for the reconcile sweep and for a trainer who asks for it.
//!
//! The list at the time of the request replaces older reports, and a newer event is kept. So the result does not
//! depend on the order in which events and comparisons are stored.

mod compare;
mod list;

use jiff::Timestamp;

use self::compare::{Comparison, compare};
use self::list::{FoundRecordings, list};
use super::Services;
use super::error::Error;
use super::recorded_spans::{are_outdated, store_spans};
use super::session_cancel::failure_reason;
use super::zoom_rate_limiter::ZoomRateLimiter;
use crate::domain::caller::Caller;
use crate::domain::id::SessionId;
use crate::domain::recording_sync::RecordingSync;
use crate::domain::refusal::Refusal;
use crate::domain::rights::Operation;
use crate::domain::session::{Provider, Session};
use crate::domain::time::whole_milli;
use crate::domain::zoom_event::ReportedAt;
use crate::store::corrections;
use crate::store::error::CommitError;
use crate::store::recordings::{self, SessionRecordings};
use crate::store::sessions::{self, SessionRecord};
use crate::store::tx::Action;

/// Attempts against concurrent events about the same files.
const ATTEMPTS: u32 = 4;
/// Files that are changed in one transaction. A file takes up to two of its 100 actions.
const FILES_AT_ONCE: usize = 40;

/// The outcome of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncOutcome {
    /// The recordings were compared a moment ago.
    Fresh,
    Compared {
        /// The files that Zoom lists.
        files: usize,
        /// The files that were not known before.
        added: usize,
        /// The known files that differed.
        changed: usize,
    },
}

/// Compares the recordings of a session for a caller.
pub async fn sync_for(
    tools: &Services,
    caller: &Caller,
    id: &SessionId,
) -> Result<SyncOutcome, Error> {
    let record = tools.store.session(id).await?.ok_or(Refusal::NotFound)?;
    record.session.check_right(Operation::SyncRecordings, caller)?;
    if record.session.provider != Provider::Zoom {
        return Err(Refusal::Conflict("the class is not held at Zoom").into());
    }
    sync(tools, &mut ZoomRateLimiter::default(), &record).await
}

/// Compares the recordings of a session, unless they were compared a moment ago.
pub(super) async fn sync(
    tools: &Services,
    limiter: &mut ZoomRateLimiter,
    record: &SessionRecord,
) -> Result<SyncOutcome, Error> {
    let session = &record.session;
    let stored = tools.store.recordings(&session.id).await?;
    let at = whole_milli(tools.clock.now());
    if stored.sync.as_ref().is_some_and(|sync| sync.is_fresh(at)) {
        return Ok(SyncOutcome::Fresh);
    }
    match list(tools, limiter, session, &stored).await {
        Ok(found) => store_found(tools, record, stored, &found, at).await,
        Err(error) => {
            store_reason(tools, session, &stored, &error).await?;
            Err(error)
        }
    }
}

/// Stores why Zoom refuses to list the recordings, until somebody changes that. Other failures are temporary.
async fn store_reason(
    tools: &Services,
    session: &Session,
    stored: &SessionRecordings,
    error: &Error,
) -> Result<(), Error> {
    if !matches!(error, Error::Refused(_) | Error::ZoomRejected { .. }) {
        return Ok(());
    }
    let known = stored.sync.clone().unwrap_or_default();
    let sync = RecordingSync { reason: Some(failure_reason(error).to_owned()), ..known.clone() };
    if sync == known {
        return Ok(());
    }
    Ok(tools.store.commit_one(recordings::put_sync(&session.id, &sync)).await?)
}

/// Stores the list of the time `at`, and notifies the audience about the first recording of a meeting instance.
async fn store_found(
    tools: &Services,
    record: &SessionRecord,
    mut stored: SessionRecordings,
    found: &FoundRecordings,
    at: Timestamp,
) -> Result<SyncOutcome, Error> {
    let session = &record.session;
    let secrets = tools.secrets.get(at).await?;
    let keyring = secrets.keyring()?;
    let instances: Vec<_> = found.listed.iter().map(|listed| listed.instance.as_deref()).collect();
    for _ in 0..ATTEMPTS {
        let comparison = compare(&session.id, &stored, found, at, keyring, &tools.random)?;
        let is_unchanged = comparison.changes.is_empty();
        match store_comparison(tools, session, &comparison, found, at).await {
            Ok(()) => {}
            // An event has changed a file since it was read.
            Err(CommitError::Refused(_)) => {
                stored = tools.store.recordings(&session.id).await?;
                continue;
            }
            Err(error) => return Err(error.into()),
        }
        // A crash after an earlier comparison may have left the session behind.
        if !is_unchanged || are_outdated(session, &stored.files, &instances, at) {
            store_spans(tools, record.clone(), &instances, at).await?;
        }
        let Comparison { added, changed, .. } = comparison;
        if !is_unchanged {
            tracing::info!(event = "recording.synced", session_id = %session.id, added, changed);
        }
        return Ok(SyncOutcome::Compared { files: found.files(), added, changed });
    }
    Err(Error::busy("too many concurrent changes of the recordings"))
}

/// Stores the changed files with their timeline entries, and the time of the comparison with the last of them.
async fn store_comparison(
    tools: &Services,
    session: &Session,
    comparison: &Comparison,
    found: &FoundRecordings,
    at: Timestamp,
) -> Result<(), CommitError> {
    let (id, store) = (&session.id, &tools.store);
    let sync =
        RecordingSync { synced_at: Some(at), reason: None, is_processing: found.is_processing() };
    let mut chunks = comparison.changes.chunks(FILES_AT_ONCE).enumerate().peekable();
    if chunks.peek().is_none() {
        return store.commit_one(recordings::put_sync(id, &sync)).await;
    }
    while let Some((number, chunk)) = chunks.next() {
        let files = chunk.iter().map(|changed| {
            recordings::apply_comparison(id, &changed.file, &changed.change, ReportedAt::at(at))
        });
        let mut actions: Vec<Action> = files.collect();
        let correction = compare::correction(chunk, at);
        actions
            .extend(correction.map(|it| corrections::put(id, &it, &format!("recordings{number}"))));
        if chunks.peek().is_none() {
            let pointers = found.unknown_instances(session).into_iter();
            let pointer = |uuid| sessions::put_instance_pointer(uuid, id, &session.trainer);
            actions.extend(pointers.map(pointer));
            actions.push(recordings::put_sync(id, &sync));
        }
        store.commit(actions).await?;
    }
    Ok(())
}
