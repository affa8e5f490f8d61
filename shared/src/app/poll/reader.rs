//! Reads a session's polls in one request.
//!
//! A vote needs the session, its poll list, the caller's enrollment or invitation, and the vote shards. The session
//! names the course, and the poll list names the shards. To avoid sequential reads, a function instance caches both
//! and uses them only to decide which items to read. All data for a decision or response is read anew. Items that the
//! cache did not name are read in a second request.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use super::{PollContext, voter_in};
use crate::app::error::Error;
use crate::app::visibility::VisibilitySource;
use crate::domain::caller::Caller;
use crate::domain::id::{PollId, SessionId};
use crate::domain::poll::Poll;
use crate::domain::refusal::Refusal;
use crate::domain::rights::{Operation, Relation, View};
use crate::domain::session::Session;
use crate::domain::vote::VoteShard;
use crate::store::BatchItems;
use crate::store::error::StoreError;
use crate::store::polls::PollList;
use crate::store::schema::ItemKey;

/// Sessions in the cache. Few are live at a time, and each takes a few kilobytes.
const CACHE_LIMIT: usize = 64;
/// From this many shards on, reads are eventually consistent, at half the price. In such a session hundreds of people
/// poll repeatedly, and data may be some milliseconds old. Smaller sessions use consistent reads.
const EVENTUAL_READ_SHARDS: usize = 9;
/// The maximum number of voters that are read for one response, besides those of its first poll. At about 80 bytes each they
/// take a third of Lambda's response limit of 6 MB.
const VOTERS_LIMIT: u32 = 20_000;

/// The sessions and poll lists that a function instance read last.
#[derive(Debug, Default)]
pub struct PollCache(Mutex<BTreeMap<SessionId, (Session, PollList)>>);

impl PollCache {
    fn recall(&self, id: &SessionId) -> Option<(Session, PollList)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    pub(super) fn remember(&self, session: &Session, poll_list: &PollList) {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sessions.len() >= CACHE_LIMIT && !sessions.contains_key(&session.id) {
            sessions.clear();
        }
        sessions.insert(session.id.clone(), (session.clone(), poll_list.clone()));
    }
}

/// The polls whose votes are read.
#[derive(Clone, Copy, Debug)]
pub(super) enum PollQuery<'a> {
    All,
    /// All polls from this one on, in the order of the list.
    From(&'a PollId),
    One(&'a PollId),
    NoVotes,
}

impl<'a> PollQuery<'a> {
    /// Returns the polls whose votes are read.
    pub(super) fn polls(self, list: &'a PollList) -> impl Iterator<Item = &'a Poll> {
        let is_requested = move |poll: &&Poll| match self {
            Self::All | Self::From(_) => true,
            Self::One(id) => poll.id == *id,
            Self::NoVotes => false,
        };
        let is_before = move |poll: &&Poll| matches!(self, Self::From(id) if poll.id != *id);
        list.polls.iter().skip_while(is_before).filter(is_requested)
    }
}

/// A request about a session's polls.
#[derive(Clone, Copy, Debug)]
pub(super) struct PollRequest<'a> {
    pub(super) operation: Operation,
    pub(super) caller: &'a Caller,
    pub(super) session: &'a SessionId,
}

impl PollRequest<'_> {
    /// Returns whether the caller's right may depend on an invitation.
    pub(super) fn depends_on_invitation(&self, session: &Session) -> bool {
        session.relation_to(self.caller) == Relation::None
            && !self.allows_all(session)
            && self.operation.check(self.caller, Relation::Invited).is_ok()
    }

    /// Returns whether the caller has the trainer's view without an invitation.
    fn allows_all(&self, session: &Session) -> bool {
        self.operation.check(self.caller, session.relation_to(self.caller)) == Ok(View::Full)
    }
}

/// A session's polls and the caller's view of them.
#[derive(Debug)]
pub(super) struct PollsRead {
    pub(super) session: Session,
    pub(super) poll_list: PollList,
    view: Result<View, Refusal>,
    /// The requested shards. A missing one is empty or was not requested.
    pub(super) shards: BTreeMap<(PollId, u16), VoteShard>,
    /// Polls whose voters do not fit into one response.
    pub(super) truncated_polls: BTreeSet<PollId>,
    /// Whether all data was read consistently.
    pub(super) is_fresh: bool,
}

impl PollsRead {
    /// Returns the caller's view, or the refusal of the operation.
    pub(super) fn view(&self) -> Result<View, Refusal> {
        self.view.clone()
    }

    /// Returns whether the caller has the trainer's view.
    pub(super) fn shows_all(&self) -> bool {
        self.view == Ok(View::Full)
    }

    pub(super) fn shard(&self, poll: &PollId, number: u16) -> &VoteShard {
        static EMPTY: VoteShard =
            VoteShard { is_closed: false, votes: BTreeMap::new(), barred: BTreeSet::new() };
        self.shards.get(&(poll.clone(), number)).unwrap_or(&EMPTY)
    }
}

/// Reads the polls and decides. A refusal that may be due to stale data is checked again with consistent reads.
pub(super) async fn read_and_decide<T>(
    context: &PollContext<'_>,
    request: PollRequest<'_>,
    query: PollQuery<'_>,
    decide: impl Fn(&PollsRead) -> Result<T, Error>,
) -> Result<(PollsRead, T), Error> {
    for is_consistent in [false, true] {
        let outcome = match read_polls(context, request, query, is_consistent).await? {
            Some(loaded) => {
                decide(&loaded).map_err(|error| (error, loaded.is_fresh)).map(|t| (loaded, t))
            }
            None => Err((Refusal::NotFound.into(), is_consistent)),
        };
        match outcome {
            Ok(decision) => return Ok(decision),
            Err((Error::Refused(_), false)) => {}
            Err((error, _)) => return Err(error),
        }
    }
    Err(Refusal::NotFound.into())
}

async fn read_polls(
    context: &PollContext<'_>,
    request: PollRequest<'_>,
    query: PollQuery<'_>,
    is_consistent: bool,
) -> Result<Option<PollsRead>, Error> {
    let PollRequest { operation, caller, session: id } = request;
    let cached_plan = match context.cache.recall(id) {
        Some((session, poll_list)) => ReadPlan::new(context, request, &session, &poll_list, query)?,
        None => ReadPlan::default(),
    };
    let mut keys = vec![ItemKey::Session(id), ItemKey::Polls(id)];
    keys.extend(cached_plan.keys(id, caller));
    let reads_consistently = |shards: usize| is_consistent || shards < EVENTUAL_READ_SHARDS;
    let mut is_fresh = reads_consistently(cached_plan.shards.len());
    let mut found = batch_get(context, &keys, is_fresh).await?;
    let Some(record) = found.session(id)? else { return Ok(None) };
    let (session, poll_list) = (record.session, found.poll_list(id)?);
    let plan = ReadPlan::new(context, request, &session, &poll_list, query)?;
    let missing = plan.difference(&cached_plan);
    let keys = missing.keys(id, caller);
    if !keys.is_empty() {
        let reads_consistently = reads_consistently(missing.shards.len());
        is_fresh &= reads_consistently;
        found = found.merge(batch_get(context, &keys, reads_consistently).await?);
    }
    context.cache.remember(&session, &poll_list);
    let is_invited = match &plan.access {
        None => false,
        Some(access) => access.is_granted(&mut found, id, caller)?,
    };
    let shards = plan.shards.iter().map(|(poll, number)| {
        let shard = found.vote_shard(poll, *number);
        ((poll.clone(), *number), shard)
    });
    let relation = if is_invited { Relation::Invited } else { session.relation_to(caller) };
    Ok(Some(PollsRead {
        view: operation.check(caller, relation),
        shards: shards.collect(),
        truncated_polls: plan.truncated_polls,
        is_fresh,
        session,
        poll_list,
    }))
}

async fn batch_get(
    context: &PollContext<'_>,
    keys: &[ItemKey<'_>],
    is_consistent: bool,
) -> Result<BatchItems, StoreError> {
    if is_consistent {
        context.store.batch_get(keys).await
    } else {
        context.store.batch_get_eventually_consistent(keys).await
    }
}

/// The items to read in addition to the session and its poll list.
#[derive(Debug, Default)]
struct ReadPlan {
    access: Option<VisibilitySource>,
    shards: BTreeSet<(PollId, u16)>,
    truncated_polls: BTreeSet<PollId>,
}

impl ReadPlan {
    /// Returns the items that the request needs, given the current or the cached session.
    fn new(
        context: &PollContext<'_>,
        request: PollRequest<'_>,
        session: &Session,
        poll_list: &PollList,
        query: PollQuery<'_>,
    ) -> Result<Self, Error> {
        let shows_all = request.allows_all(session);
        let mut plan = Self::default();
        if request.depends_on_invitation(session) {
            plan.access = VisibilitySource::new(request.caller, &session.audience);
        }
        let mut voters = 0;
        for (n, poll) in query.polls(poll_list).enumerate() {
            if let Some(closed) = poll.outcome.as_ref().filter(|_| !poll.anonymous) {
                voters += closed.tally.responses;
            }
            // The first poll is always read, so that a list of all voters makes progress.
            let too_many = voters > VOTERS_LIMIT && n > 0;
            let all = match (poll.is_open(), shows_all) {
                (true, _) => true,
                // A closed poll has its tally already. Its shards are needed only to list voters.
                (false, true) if poll.anonymous => continue,
                (false, true) if too_many => {
                    plan.truncated_polls.insert(poll.id.clone());
                    continue;
                }
                (false, true) => true,
                (false, false) => false,
            };
            if all {
                plan.shards.extend((0..poll.shard_count).map(|number| (poll.id.clone(), number)));
            } else {
                let voter = voter_in(context.secrets, poll, &request.caller.id)?;
                let own = voter.shard_number(poll.shard_count);
                plan.shards.insert((poll.id.clone(), own));
            }
        }
        Ok(plan)
    }

    /// Returns the part of this plan that is not in the other plan.
    fn difference(&self, other: &Self) -> Self {
        Self {
            access: self.access.clone().filter(|access| other.access.as_ref() != Some(access)),
            shards: self.shards.difference(&other.shards).cloned().collect(),
            truncated_polls: BTreeSet::new(),
        }
    }

    fn keys<'a>(&'a self, session: &'a SessionId, caller: &'a Caller) -> Vec<ItemKey<'a>> {
        let access = self.access.as_ref().map(|access| access.key(session, caller));
        let shards =
            self.shards.iter().map(|(poll, number)| ItemKey::VoteShard { poll, number: *number });
        access.into_iter().chain(shards).collect()
    }
}
