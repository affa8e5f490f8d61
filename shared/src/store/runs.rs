//! Runs of sweeps, newest last, for 90 days. An open run is also in the queue of its sweep.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::item::{decode, decode_readable, encode};
use super::schema::{DueQueue, ItemKey, RUNS_PARTITION, attr, due_partition, limit};
use super::tx::{Action, Condition, Item, key_item, number, text};
use super::{ItemPage, KeyRange, Store};
use crate::domain::id::{RunId, SessionId};
use crate::domain::run::{Run, RunKind, RunResult, RunScope, RunState};
use crate::domain::time::sortable_text;

/// Open runs that one sweep reads.
const OPEN_RUNS: i32 = 20;
/// Requests for a page of a list that a filter leaves short.
const LIST_REQUESTS: usize = 5;

#[derive(Serialize, Deserialize)]
struct StoredRun {
    id: RunId,
    kind: RunKind,
    state: RunState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    days_ahead: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    days_back: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session_id: Option<SessionId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    started_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ended_at: Option<Timestamp>,
    #[serde(default)]
    result: RunResult,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
    revision: u64,
    #[serde(rename = "expires_at")]
    ttl: i64,
}

#[derive(Serialize, Deserialize)]
struct StoredOpenRun {
    run_id: RunId,
    #[serde(rename = "expires_at")]
    ttl: i64,
}

/// A page of runs, newest first.
#[derive(Debug, Default)]
pub struct RunPage {
    pub runs: Vec<Run>,
    /// The last run that was read, if there may be more.
    pub last: Option<RunId>,
}

/// Stores a new run. One that is not finished is queued for the next sweep.
pub fn create(run: &Run) -> Vec<Action> {
    let mut actions = vec![put(run, Condition::item_absent())];
    if run.state != RunState::Finished {
        let open = StoredOpenRun { run_id: run.id.clone(), ttl: ttl(run) };
        let key = open_key(queue_of(run.kind), &run.id);
        actions.push(Action::put(key, encode(&open), Condition::new()));
    }
    actions
}

/// Replaces the run as it was read. Refused if another sweep has changed it since. A finished run leaves the queue.
pub fn replace(read: &Run, next: &Run) -> Vec<Action> {
    let unchanged = Condition::new().equals(attr::REVISION, number(read.revision));
    let mut actions = vec![put(next, unchanged)];
    if next.state == RunState::Finished {
        actions.push(remove_open(queue_of(next.kind), &next.id));
    }
    actions
}

/// Removes a run from its queue.
pub fn remove_open(queue: DueQueue, run: &RunId) -> Action {
    Action::delete(open_key(queue, run), Condition::new())
}

/// Returns the queue of the open runs of a kind. Each sweep has a queue of its own, so that it reads only its kinds.
fn queue_of(kind: RunKind) -> DueQueue {
    match kind {
        RunKind::Meetings => DueQueue::Runs,
        RunKind::Recordings | RunKind::Attendance => DueQueue::ReconcileRuns,
    }
}

fn put(run: &Run, condition: Condition) -> Action {
    let scope = run.scope.as_ref();
    let stored = StoredRun {
        id: run.id.clone(),
        kind: run.kind,
        state: run.state,
        days_ahead: scope.and_then(RunScope::days_ahead),
        days_back: scope.and_then(RunScope::days_back),
        session_id: scope.and_then(RunScope::session).cloned(),
        started_at: run.started_at,
        ended_at: run.ended_at,
        result: run.result.clone(),
        cursor: run.cursor.clone(),
        revision: run.revision,
        ttl: ttl(run),
    };
    Action::put(ItemKey::Run(&run.id), encode(&stored), condition)
}

fn open_key(queue: DueQueue, run: &RunId) -> ItemKey<'_> {
    ItemKey::Due { queue, at: run.requested_at(), key: run.as_str() }
}

fn ttl(run: &Run) -> i64 {
    let life = SignedDuration::from_hours(24 * limit::RUN_TTL_DAYS);
    let at = run.id.requested_at();
    at.saturating_add(life).unwrap_or(at).as_second()
}

impl From<StoredRun> for Run {
    fn from(stored: StoredRun) -> Self {
        let session = stored.session_id.map(RunScope::Session);
        Self {
            id: stored.id,
            kind: stored.kind,
            scope: session
                .or(stored.days_ahead.map(RunScope::DaysAhead))
                .or(stored.days_back.map(RunScope::DaysBack)),
            state: stored.state,
            started_at: stored.started_at,
            ended_at: stored.ended_at,
            result: stored.result,
            cursor: stored.cursor,
            revision: stored.revision,
        }
    }
}

impl Store {
    /// Returns a run that has not expired at `now`.
    pub async fn run(&self, id: &RunId, now: Timestamp) -> Result<Option<Run>, StoreError> {
        let item = self.get(ItemKey::Run(id)).await?;
        let run = item.map(decode::<StoredRun>).transpose()?.map(Run::from);
        Ok(run.filter(|run| ttl(run) > now.as_second()))
    }

    /// Returns a page of the runs, newest first, after the run `after`. Unreadable ones are left out.
    pub async fn runs(
        &self,
        kind: Option<RunKind>,
        after: Option<&RunId>,
        page: usize,
        now: Timestamp,
    ) -> Result<RunPage, StoreError> {
        let oldest = now.saturating_sub(SignedDuration::from_hours(24 * limit::RUN_TTL_DAYS));
        let oldest = oldest.unwrap_or(now);
        // DynamoDB refuses to start outside of the range.
        if after.is_some_and(|after| after.requested_at() < oldest) {
            return Ok(RunPage::default());
        }
        let mut range = KeyRange {
            pk: RUNS_PARTITION.to_owned(),
            from: Some(sortable_text(oldest)),
            after: after.map(|after| key_item(&ItemKey::Run(after))),
            filter: kind.map(|kind| (attr::KIND, kind_text(kind))).into_iter().collect(),
            descending: true,
            ..KeyRange::default()
        };
        let mut found = RunPage::default();
        for _ in 0..LIST_REQUESTS {
            let left = page - found.runs.len();
            range.limit = Some(i32::try_from(left).unwrap_or(i32::MAX));
            let ItemPage { items, last_key } = self.query(range.clone()).await?;
            found.runs.extend(decode_readable::<StoredRun>(items).map(Run::from));
            found.last = last_key.as_ref().and_then(run_of_key);
            range.after = last_key;
            if range.after.is_none() || found.runs.len() >= page {
                break;
            }
        }
        Ok(found)
    }

    /// Returns the runs of a queue that its sweep has to begin or to continue, oldest first.
    pub async fn open_runs(&self, queue: DueQueue) -> Result<Vec<RunId>, StoreError> {
        let range =
            KeyRange { pk: due_partition(queue), limit: Some(OPEN_RUNS), ..KeyRange::default() };
        let open = decode_readable::<StoredOpenRun>(self.query(range).await?.items);
        Ok(open.map(|open| open.run_id).collect())
    }
}

fn kind_text(kind: RunKind) -> aws_sdk_dynamodb::types::AttributeValue {
    text(kind.as_str())
}

/// Returns the run of a key at which a query stopped.
fn run_of_key(key: &Item) -> Option<RunId> {
    let (_, id) = key.get(attr::SK)?.as_s().ok()?.split_once('#')?;
    RunId::parse(id)
}
