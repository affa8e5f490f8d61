//! Live polls: launch, close, vote, and results.
//!
//! A vote takes two requests to the table: one that reads all data, and one that writes. Reading the polls takes one.
//! The cache in `reader` makes that possible.

mod erase;
mod look;
mod reader;

use futures::stream::{self, StreamExt, TryStreamExt};
use futures::try_join;
use jiff::Timestamp;

use super::attendance::sources::load_attendance_sources;
use super::delegated_actions;
use super::error::Error;
use crate::crypt::{Binding, hmac_sha256};
use crate::domain::attendance::headcount;
use crate::domain::audience::Audience;
use crate::domain::caller::Caller;
use crate::domain::id::{PollId, SessionId, UserId};
use crate::domain::next_look;
use crate::domain::poll::{
    POLLS_LIMIT, Poll, PollDraft, PollOutcome, check_session_live, polls_ended_at,
};
use crate::domain::refusal::Refusal;
use crate::domain::rights::{Operation, View};
use crate::domain::session::Session;
use crate::domain::time::whole_milli;
use crate::domain::vote::{Choice, Tally, VoteOutcome, VoteShard, Voter, shard_count};
use crate::random::Random;
use crate::secrets::SecretSet;
use crate::store::Store;
use crate::store::delegated_actions::{POLL_CLOSED, POLL_LAUNCHED};
use crate::store::error::CommitError;
use crate::store::polls as items;
use crate::store::tx::Action;

pub use erase::anonymize_votes;
pub use look::LookMemory;
use look::QuietLook;
pub use reader::PollCache;
use reader::{PollQuery, PollRequest, PollsRead, read_and_decide};

/// Attempts against concurrent requests: one trainer or one student with two windows.
const ATTEMPTS: u32 = 4;
/// Vote shards that are closed concurrently.
const CLOSE_CONCURRENCY: usize = 16;
/// The field name to which the key of an anonymous poll is bound.
const KEY_FIELD: &str = "voter_key";

/// The dependencies of a poll request.
#[derive(Clone, Copy, Debug)]
pub struct PollContext<'a> {
    pub store: &'a Store,
    pub secrets: &'a SecretSet,
    pub cache: &'a PollCache,
    pub looks: &'a LookMemory,
    pub random: &'a Random,
    pub now: Timestamp,
}

/// A request to launch a poll.
#[derive(Debug)]
pub struct LaunchPoll {
    pub draft: PollDraft,
    /// The caller's Idempotency-Key. A key always refers to the same poll.
    pub key: Option<String>,
    /// The hash of the body. The same key with another body is refused.
    pub body_hash: String,
}

/// A poll as the caller may see it.
#[derive(Debug)]
pub struct PollWithTally {
    pub poll: Poll,
    /// `None` for the audience of a poll whose results appear after it is closed.
    pub tally: Option<Tally>,
    /// The choice of each user. Only for the owner, and never for an anonymous poll.
    pub voters: Option<Vec<(UserId, Choice)>>,
    /// The caller's own choice.
    pub own_choice: Choice,
}

/// A session's polls as the caller may see them: the open one first, then the others from newest to oldest.
#[derive(Debug)]
pub struct PollsResponse {
    pub polls: Vec<PollWithTally>,
    pub view: View,
    pub next_look_seconds: u32,
    /// The facts for [`remember_look`], while no poll is open.
    quiet: Option<QuietLook>,
}

#[cfg(test)]
impl PollsResponse {
    /// The response to a trainer.
    pub(crate) fn full(polls: Vec<PollWithTally>) -> Self {
        Self { polls, view: View::Full, next_look_seconds: 15, quiet: None }
    }
}

/// Launches a poll, or returns the one that the same request launched before.
pub async fn launch(
    context: &PollContext<'_>,
    caller: &Caller,
    id: &SessionId,
    request: &LaunchPoll,
) -> Result<PollWithTally, Error> {
    let poll_id = poll_id(context, id, request.key.as_deref());
    let launch = PollRequest { operation: Operation::LaunchPoll, caller, session: id };
    for _ in 0..ATTEMPTS {
        let loaded = load_poll_list(context, launch).await?;
        if let Some(poll) = loaded.poll_list.poll(&poll_id) {
            if poll.launch_body_hash != request.body_hash {
                return Err(Refusal::IdempotencyKeyReused.into());
            }
            return load_poll(context, launch, &poll_id).await;
        }
        check_session_live(&loaded.session, context.now)?;
        if loaded.poll_list.open().is_some() {
            return Err(Refusal::Conflict(
                "another poll of the class is open, please close it first",
            )
            .into());
        }
        if loaded.poll_list.polls.len() >= POLLS_LIMIT {
            return Err(Refusal::Conflict("the class has reached the limit of 32 polls").into());
        }
        let poll = new_poll(context, &loaded.session, poll_id.clone(), request).await?;
        let action = items::launch(&loaded.session, &loaded.poll_list, &poll);
        let delegated =
            delegated_action(context, &launch, &loaded.session, POLL_LAUNCHED, &poll_id);
        match commit(context, action, delegated).await {
            Ok(()) => {
                tracing::info!(event = "poll.launched", session_id = %id, poll_id = %poll_id, shards = poll.shard_count);
                let mut poll_list = loaded.poll_list;
                poll_list.revision += 1;
                poll_list.polls.insert(0, poll.clone());
                context.cache.remember(&loaded.session, &poll_list);
                let tally = Tally::count(poll.options.len(), &[]);
                let voters = (!poll.anonymous).then(Vec::new);
                return Ok(PollWithTally {
                    poll,
                    tally: Some(tally),
                    voters,
                    own_choice: Choice::default(),
                });
            }
            Err(CommitError::Refused(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::busy("too many concurrent changes of the polls"))
}

/// Derives the id from the key, so that every retry refers to the same poll. Without a key the id is random.
fn poll_id(context: &PollContext<'_>, session: &SessionId, key: Option<&str>) -> PollId {
    match key {
        Some(key) => PollId::for_key(session, key),
        None => PollId::from_bytes(context.random.bytes()),
    }
}

async fn new_poll(
    context: &PollContext<'_>,
    session: &Session,
    id: PollId,
    request: &LaunchPoll,
) -> Result<Poll, Error> {
    let now = whole_milli(context.now);
    let (voters, present) =
        try_join!(count_voters(context, session), count_present(context, session, (now, now)))?;
    let key = if request.draft.anonymous {
        let key = data_encoding::BASE64.encode(&context.random.bytes::<32>());
        Some(context.secrets.keyring()?.seal(&key, &key_binding(&id), context.random))
    } else {
        None
    };
    Ok(Poll {
        id,
        question: request.draft.question.clone(),
        options: request.draft.options.clone(),
        multiple: request.draft.multiple,
        anonymous: request.draft.anonymous,
        results: request.draft.results,
        shard_count: shard_count(voters),
        opened_at: now,
        present_at_launch: present,
        outcome: None,
        voter_key: key,
        launch_body_hash: request.body_hash.clone(),
    })
}

/// Counts the people who may vote.
async fn count_voters(context: &PollContext<'_>, session: &Session) -> Result<usize, Error> {
    Ok(match &session.audience {
        Audience::Standalone => 0,
        Audience::Course { id, .. } => context.store.count_students(id).await?,
        Audience::Invitees { count, .. } => *count,
    })
}

/// Counts the people who were in the meeting during an interval. It reads the sources of the attendance report, so it runs
/// only when a poll is launched or closed.
async fn count_present(
    context: &PollContext<'_>,
    session: &Session,
    interval: (Timestamp, Timestamp),
) -> Result<Option<u32>, Error> {
    if session.meeting.id.is_none() {
        return Ok(None);
    }
    let record = load_attendance_sources(context.store, session, context.now).await?.record;
    let people = record.people(session);
    Ok(u32::try_from(headcount(session, &people, &record.events, interval, context.now)).ok())
}

/// Closes a poll. A poll that is already closed is returned unchanged. The end of the session closes a poll as well, and
/// this stores its results.
///
/// Every shard is closed before the votes are counted. A concurrent vote is either in its shard before that and
/// counts, or is refused. After an interruption, the next close request finishes the work.
pub async fn close(
    context: &PollContext<'_>,
    caller: &Caller,
    id: &SessionId,
    poll_id: &PollId,
) -> Result<PollWithTally, Error> {
    let request = PollRequest { operation: Operation::ClosePoll, caller, session: id };
    match close_open_poll(context, request, poll_id).await? {
        Some(closed) => Ok(closed),
        None => load_poll(context, request, poll_id).await,
    }
}

/// Closes an open poll. `None` if it is closed already.
async fn close_open_poll(
    context: &PollContext<'_>,
    request: PollRequest<'_>,
    poll_id: &PollId,
) -> Result<Option<PollWithTally>, Error> {
    let id = request.session;
    for _ in 0..ATTEMPTS {
        let PollsRead { session, poll_list, .. } = load_poll_list(context, request).await?;
        let poll = poll_list.poll(poll_id).ok_or(Refusal::NotFound)?;
        if !poll.is_open() {
            return Ok(None);
        }
        // After the session, the poll was open until its end.
        let ended_at = polls_ended_at(&session, context.now);
        let closed_at = ended_at.unwrap_or(whole_milli(context.now)).max(poll.opened_at);
        let shards = async {
            let close = |number| context.store.close_shard(poll_id, number);
            let shards =
                stream::iter(0..poll.shard_count).map(close).buffer_unordered(CLOSE_CONCURRENCY);
            Ok(shards.try_collect::<Vec<_>>().await?)
        };
        let (shards, present) =
            try_join!(shards, count_present(context, &session, (poll.opened_at, closed_at)))?;
        let tally = Tally::count(poll.options.len(), &shards);
        let outcome = PollOutcome { closed_at, tally: tally.clone(), present_count: present };
        let action = items::close(id, &poll_list, poll_id, &outcome);
        // A reader's request stores the results of a poll that the end of the session has closed.
        let delegated = (request.operation == Operation::ClosePoll)
            .then(|| delegated_action(context, &request, &session, POLL_CLOSED, poll_id))
            .flatten();
        match commit(context, action, delegated).await {
            Ok(()) => {
                tracing::info!(event = "poll.closed", session_id = %id, poll_id = %poll_id, responses = tally.responses);
                let poll = Poll { outcome: Some(outcome), ..poll.clone() };
                let voters = (!poll.anonymous).then(|| named_votes(&shards));
                return Ok(Some(PollWithTally {
                    poll,
                    tally: Some(tally),
                    voters,
                    own_choice: Choice::default(),
                }));
            }
            Err(CommitError::Refused(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::busy("too many concurrent changes of the polls"))
}

/// Returns the timeline entry of a change of a poll for the trainer.
fn delegated_action(
    context: &PollContext<'_>,
    request: &PollRequest<'_>,
    session: &Session,
    kind: &str,
    poll: &PollId,
) -> Option<Action> {
    let caller = request.caller;
    delegated_actions::record_of_poll(context.random, caller, session, kind, poll, context.now)
}

/// Stores a change of a poll. The trainer's own is one write, and costs half of a transaction.
async fn commit(
    context: &PollContext<'_>,
    action: Action,
    delegated: Option<Action>,
) -> Result<(), CommitError> {
    match delegated {
        None => context.store.commit_one(action).await,
        Some(delegated) => context.store.commit(vec![action, delegated]).await,
    }
}

/// Stores a vote in place of the voter's earlier vote. A repeated vote writes nothing.
pub async fn vote(
    context: &PollContext<'_>,
    caller: &Caller,
    id: &SessionId,
    poll_id: &PollId,
    options: &[String],
) -> Result<PollWithTally, Error> {
    let request = PollRequest { operation: Operation::Vote, caller, session: id };
    let decide = |loaded: &PollsRead| {
        let poll = loaded.poll_list.poll(poll_id).ok_or(Refusal::NotFound);
        if loaded.session.is_taught_by(caller) {
            poll?;
            return Err(Refusal::NotAllowed("the trainer of the class cannot vote").into());
        }
        loaded.view()?;
        let poll = poll?;
        check_session_live(&loaded.session, context.now)?;
        if !poll.is_open() {
            return Err(Refusal::PollClosed.into());
        }
        Ok((
            poll.clone(),
            voter_in(context.secrets, poll, &caller.id)?,
            poll.parse_choice(options)?,
        ))
    };
    let (mut loaded, (poll, voter, choice)) =
        read_and_decide(context, request, PollQuery::One(poll_id), decide).await?;
    let number = voter.shard_number(poll.shard_count);
    let own = loaded.shard(poll_id, number).clone();
    let own = store_vote(context, &poll, &voter, choice, own, loaded.is_fresh).await?;
    loaded.shards.insert((poll_id.clone(), number), own);
    poll_with_tally(context, caller, &loaded, poll)
}

/// Stores the choice in the voter's shard, or refuses it. Returns the shard with the choice.
async fn store_vote(
    context: &PollContext<'_>,
    poll: &Poll,
    voter: &Voter,
    choice: Choice,
    mut shard: VoteShard,
    mut is_fresh: bool,
) -> Result<VoteShard, Error> {
    // An attempt whose response was lost may have succeeded. The stored vote counts.
    for _ in 0..=ATTEMPTS {
        // The person was erased meanwhile, and an earlier vote of theirs counts anonymously.
        if shard.barred.contains(&voter.barred(&poll.id)) {
            return Err(Refusal::PollClosed.into());
        }
        match shard.outcome(voter, choice, is_fresh) {
            VoteOutcome::AlreadyCounted => return Ok(shard),
            VoteOutcome::Refused => return Err(Refusal::PollClosed.into()),
            VoteOutcome::Write { old, new } => {
                shard = context.store.cast_vote(poll, voter, old, new).await?;
                is_fresh = true;
            }
        }
    }
    Err(Error::busy("too many concurrent votes of the voter"))
}

/// The polls of a session that are listed.
#[derive(Clone, Copy, Debug, Default)]
pub struct PollSelection<'a> {
    pub only: Option<&'a PollId>,
    /// The first poll of a later page.
    pub from: Option<&'a PollId>,
}

/// Lists the polls of a session, or some of them, for the owner and for invited people. The owner's request after the end
/// of the session stores the results of a poll that was still open.
pub async fn list(
    context: &PollContext<'_>,
    caller: &Caller,
    id: &SessionId,
    selection: PollSelection<'_>,
) -> Result<PollsResponse, Error> {
    let query = match (selection.only, selection.from) {
        (Some(only), _) => PollQuery::One(only),
        (None, Some(from)) => PollQuery::From(from),
        (None, None) => PollQuery::All,
    };
    let request = PollRequest { operation: Operation::ListPolls, caller, session: id };
    let decide = |loaded: &PollsRead| {
        let view = loaded.view()?;
        let is_missing = |poll: &PollId| loaded.poll_list.poll(poll).is_none();
        match (selection.only, selection.from) {
            (Some(poll), _) if is_missing(poll) => Err(Refusal::NotFound.into()),
            (_, Some(poll)) if is_missing(poll) => Err(Refusal::invalid_cursor().into()),
            _ => Ok(view),
        }
    };
    let (mut loaded, mut view) = read_and_decide(context, request, query, decide).await?;
    if let Some(open) = loaded.poll_list.open()
        && view == View::Full
        && polls_ended_at(&loaded.session, context.now).is_some()
    {
        match close_open_poll(context, request, &open.id).await {
            Ok(_) => (loaded, view) = read_and_decide(context, request, query, decide).await?,
            // The next request tries again. This one shows the poll as closed.
            Err(error) => tracing::warn!(event = "poll.not_closed", session_id = %id, %error),
        }
    }
    let polls: Vec<_> = query
        .polls(&loaded.poll_list)
        .map(|poll| poll_with_tally(context, caller, &loaded, poll.clone()))
        .collect::<Result<_, Error>>()?;
    let has_open_poll = loaded.poll_list.open().is_some();
    let next_look_seconds = next_look::for_polls(&loaded.session, has_open_poll, context.now);
    // A look at some of the polls, or at a page of them, has another response.
    let quiet = matches!(query, PollQuery::All)
        .then(|| QuietLook::of(&request, &loaded, context.now))
        .flatten();
    Ok(PollsResponse { view, polls, next_look_seconds, quiet })
}

/// Returns the entity tag that the caller has, if the list of all polls is unchanged. Costs at most one read unit, and
/// only a function instance that gave this tag to the caller answers.
pub async fn unchanged_since(
    context: &PollContext<'_>,
    caller: &Caller,
    id: &SessionId,
    has_tag: impl Fn(&str) -> bool,
) -> Result<Option<String>, Error> {
    let request = PollRequest { operation: Operation::ListPolls, caller, session: id };
    look::unchanged(context, &request, has_tag).await
}

/// Remembers the entity tag of a response for [`unchanged_since`].
pub fn remember_look(
    context: &PollContext<'_>,
    caller: &Caller,
    id: &SessionId,
    response: &PollsResponse,
    tag: String,
) {
    let request = PollRequest { operation: Operation::ListPolls, caller, session: id };
    if let Some(quiet) = response.quiet.clone() {
        look::remember(context, &request, quiet, tag);
    }
}

/// Loads the session and its poll list, without votes.
async fn load_poll_list(
    context: &PollContext<'_>,
    request: PollRequest<'_>,
) -> Result<PollsRead, Error> {
    let decide = |loaded: &PollsRead| Ok(loaded.view()?);
    let (loaded, _) = read_and_decide(context, request, PollQuery::NoVotes, decide).await?;
    Ok(loaded)
}

/// Reads one poll again.
async fn load_poll(
    context: &PollContext<'_>,
    request: PollRequest<'_>,
    poll_id: &PollId,
) -> Result<PollWithTally, Error> {
    let decide = |loaded: &PollsRead| {
        loaded.view()?;
        Ok(loaded.poll_list.poll(poll_id).cloned().ok_or(Refusal::NotFound)?)
    };
    let query = PollQuery::One(poll_id);
    let (loaded, poll) = read_and_decide(context, request, query, decide).await?;
    poll_with_tally(context, request.caller, &loaded, poll)
}

/// Builds a poll with its tally from the loaded data.
fn poll_with_tally(
    context: &PollContext<'_>,
    caller: &Caller,
    loaded: &PollsRead,
    poll: Poll,
) -> Result<PollWithTally, Error> {
    let shards =
        || (0..poll.shard_count).filter_map(|number| loaded.shards.get(&(poll.id.clone(), number)));
    let tally = match &poll.outcome {
        Some(closed) => closed.tally.clone(),
        None => Tally::count(poll.options.len(), shards()),
    };
    let own = if loaded.shows_all() {
        Choice::default()
    } else {
        let voter = voter_in(context.secrets, &poll, &caller.id)?;
        let own = loaded.shard(&poll.id, voter.shard_number(poll.shard_count));
        own.votes.get(&voter).map(|ballot| ballot.choice).unwrap_or_default()
    };
    let shows_voters =
        loaded.shows_all() && !poll.anonymous && !loaded.truncated_polls.contains(&poll.id);
    let voters = shows_voters.then(|| named_votes(shards()));
    let poll = poll.as_of_session(&loaded.session, &tally, context.now);
    let tally = (loaded.shows_all() || !poll.hides_results()).then_some(tally);
    Ok(PollWithTally { poll, tally, voters, own_choice: own })
}

fn named_votes<'a>(boxes: impl IntoIterator<Item = &'a VoteShard>) -> Vec<(UserId, Choice)> {
    let votes = boxes.into_iter().flat_map(|shard| &shard.votes);
    let mut named: Vec<_> =
        votes.filter_map(|(voter, ballot)| Some((voter.user()?, ballot.choice))).collect();
    named.sort();
    named
}

/// Derives the voter under which a user's ballot is stored: the user id, or a hash under the poll's own key if the
/// poll is anonymous. The hash does not identify the user, and is the same when they change their vote.
fn voter_in(secrets: &SecretSet, poll: &Poll, user: &UserId) -> Result<Voter, Error> {
    let Some(key) = &poll.voter_key else { return Ok(Voter::from_user(user)) };
    let key = secrets.keyring()?.open(key, &key_binding(&poll.id))?;
    let mac = hmac_sha256(key.expose().as_bytes(), &[user.as_str().as_bytes()]);
    let mut hash = [0; 16];
    hash.copy_from_slice(&mac[..16]);
    Ok(Voter::from_keyed_hash(hash))
}

fn key_binding(poll: &PollId) -> Binding<'_> {
    Binding { owner: poll.as_str(), field: KEY_FIELD }
}
