//! Requests for runs of sweeps, and their reports.

use jiff::Timestamp;

use crate::app::error::Error;
use crate::domain::id::RunId;
use crate::domain::refusal::Refusal;
use crate::domain::run::{Run, RunKind, RunScope};
use crate::random::Random;
use crate::store::runs::RunPage;
use crate::store::{Store, runs};

/// Stores a run, which the next sweep carries out.
pub async fn request(
    store: &Store,
    random: &Random,
    kind: RunKind,
    scope: RunScope,
    now: Timestamp,
) -> Result<Run, Error> {
    if let RunScope::Session(session) = &scope {
        store.session(session).await?.ok_or(Refusal::NotFound)?;
    }
    let run = Run::requested(RunId::new(now, random.bytes()), kind, scope);
    store.commit(runs::create(&run)).await?;
    tracing::info!(event = "run.requested", run_id = %run.id, scope = ?run.scope);
    Ok(run)
}

pub async fn show(store: &Store, id: &RunId, now: Timestamp) -> Result<Run, Error> {
    Ok(store.run(id, now).await?.ok_or(Refusal::NotFound)?)
}

pub async fn list(
    store: &Store,
    kind: Option<RunKind>,
    after: Option<&RunId>,
    limit: usize,
    now: Timestamp,
) -> Result<RunPage, Error> {
    Ok(store.runs(kind, after, limit, now).await?)
}
