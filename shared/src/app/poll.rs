//! Live polls: launching and closing one, voting, and what it comes to.
//!
//! A vote is two requests to the table: one that reads all that deciding and answering take, and one that writes. Reading
//! the polls is one. What makes that possible is in `look`.

mod erase;
mod look;

use futures::stream::{self, StreamExt, TryStreamExt};
use futures::try_join;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::error::Error;
use super::webhook::is_of_account;
use crate::crypt::{Binding, hmac_sha256};
use crate::domain::attendance::headcount;
use crate::domain::audience::Audience;
use crate::domain::vote::{VoteShard, Choice, Tally, VoteOutcome, Voter, shards_for};
use crate::domain::caller::Caller;
use crate::domain::id::{PollId, SessionId, UserId};
use crate::domain::poll::{Closed, POLLS_LIMIT, Poll, PollDraft, running};
use crate::domain::refusal::Refusal;
use crate::domain::session::Session;
use crate::domain::time::whole_milli;
use crate::random::Random;
use crate::secrets::SecretSet;
use crate::store::Store;
use crate::store::error::CommitError;
use crate::store::polls as items;

pub use erase::forget;
pub use look::PollCache;
use look::{PollsRead, PollQuery, decided};

/// Tries against others who launch or close in the same class, or vote for the same person, at the same time: one trainer
/// or one student with two windows.
const ROUNDS: u32 = 4;
/// Boxes that are shut at once.
const SHUT_AT_ONCE: usize = 16;
/// The field that the key of an anonymous poll is bound to.
const KEY_FIELD: &str = "voter_key";

/// What polls are asked of.
#[derive(Clone, Copy, Debug)]
pub struct PollContext<'a> {
    pub store: &'a Store,
    pub secrets: &'a SecretSet,
    pub memory: &'a PollCache,
    pub random: &'a Random,
    pub now: Timestamp,
}

/// A request for a poll.
#[derive(Debug)]
pub struct LaunchPoll {
    pub draft: PollDraft,
    /// The caller's Idempotency-Key: one key, one poll, as long as the class is kept.
    pub key: Option<String>,
    /// The hash of the body: the same key with another one is refused.
    pub body_hash: String,
}

/// A poll as the caller may see it.
#[derive(Debug)]
pub struct PollWithTally {
    pub poll: Poll,
    pub tally: Tally,
    /// Who chose what, by user; for its owner, and never of an anonymous poll.
    pub voters: Option<Vec<(UserId, Choice)>>,
    /// What the caller chose.
    pub own: Choice,
}

/// A class's polls as the caller may see them: the open one, and then the others from the newest on.
#[derive(Debug)]
pub struct PollsResponse {
    pub polls: Vec<PollWithTally>,
    /// Whether the caller owns the class.
    pub is_owner: bool,
    /// Whether there are more votes than one answer holds, so that those of the older polls are left out.
    pub is_cut: bool,
}

/// Launches a poll, or answers the one that the same request launched before.
pub async fn launch(
    desk: &PollContext<'_>,
    caller: &Caller,
    id: &SessionId,
    request: &LaunchPoll,
) -> Result<PollWithTally, Error> {
    let poll_id = poll_id(desk, id, request.key.as_deref());
    for _ in 0..ROUNDS {
        let seen = owned(desk, caller, id).await?;
        if let Some(poll) = seen.board.poll(&poll_id) {
            if poll.launched_from != request.body_hash {
                return Err(Refusal::IdempotencyKeyReused.into());
            }
            return shown(desk, caller, id, &poll_id).await;
        }
        running(&seen.session, desk.now)?;
        if seen.board.open().is_some() {
            return Err(
                Refusal::Conflict("another poll of the class is open; close it first").into()
            );
        }
        if seen.board.polls.len() >= POLLS_LIMIT {
            return Err(
                Refusal::Conflict("the class has had 32 polls, which is all it can have").into()
            );
        }
        let poll = new_poll(desk, &seen.session, poll_id.clone(), request).await?;
        let action = items::launch(&seen.session, &seen.board, &poll);
        match desk.store.commit_one(action).await {
            Ok(()) => {
                tracing::info!(event = "poll.launched", session_id = %id, poll_id = %poll_id, boxes = poll.boxes);
                let mut board = seen.board;
                board.revision += 1;
                board.polls.insert(0, poll.clone());
                desk.memory.remember(&seen.session, &board);
                let tally = Tally::of(poll.options.len(), &[]);
                let voters = (!poll.anonymous).then(Vec::new);
                return Ok(PollWithTally { poll, tally, voters, own: Choice::default() });
            }
            Err(CommitError::Refused(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::busy("the class's polls keep changing"))
}

/// Derived from the key, so that every retry means the same poll; drawn where there is no key.
fn poll_id(desk: &PollContext<'_>, session: &SessionId, key: Option<&str>) -> PollId {
    let Some(key) = key else { return PollId::from_bytes(desk.random.bytes()) };
    let hash = Sha256::new()
        .chain_update("poll\0")
        .chain_update(session.as_str())
        .chain_update("\0")
        .chain_update(key)
        .finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    PollId::from_bytes(bytes)
}

async fn new_poll(
    desk: &PollContext<'_>,
    session: &Session,
    id: PollId,
    request: &LaunchPoll,
) -> Result<Poll, Error> {
    let now = whole_milli(desk.now);
    let (voters, present) = try_join!(voters(desk, session), present(desk, session, (now, now)))?;
    let key = if request.draft.anonymous {
        let key = data_encoding::BASE64.encode(&desk.random.bytes::<32>());
        Some(desk.secrets.keyring()?.seal(&key, &key_binding(&id), desk.random))
    } else {
        None
    };
    Ok(Poll {
        id,
        question: request.draft.question.clone(),
        options: request.draft.options.clone(),
        multiple: request.draft.multiple,
        anonymous: request.draft.anonymous,
        boxes: shards_for(voters),
        opened_at: now,
        present,
        closed: None,
        key,
        launched_from: request.body_hash.clone(),
    })
}

/// How many may vote.
async fn voters(desk: &PollContext<'_>, session: &Session) -> Result<usize, Error> {
    Ok(match &session.audience {
        Audience::Standalone => 0,
        Audience::Course { id, .. } => desk.store.count_students(id).await?,
        Audience::Invitees { count, .. } => *count,
    })
}

/// How many people were in the meeting at some time of a stretch. It takes reading everything that Zoom said of the
/// meeting, so it is counted when a poll is launched and when it is closed, and not for those who look at it.
async fn present(
    desk: &PollContext<'_>,
    session: &Session,
    stretch: (Timestamp, Timestamp),
) -> Result<Option<u32>, Error> {
    let Some(meeting) = session.meeting.id else { return Ok(None) };
    let kept = desk.store.meeting_events(meeting).await?;
    let events: Vec<_> = kept
        .into_iter()
        .map(|kept| kept.event)
        .filter(|event| is_of_account(session, event))
        .collect();
    Ok(u32::try_from(headcount(session, &events, stretch, desk.now)).ok())
}

/// Closes a poll; one that was closed before stays as it is. What was left open can still be closed when the class is
/// over.
///
/// First every box is shut, and only what the boxes then hold is counted: a vote that comes at the same time was in its
/// box before, and counts, or finds it shut, and is refused. If this is cut off in between, closing again finishes it.
pub async fn close(
    desk: &PollContext<'_>,
    caller: &Caller,
    id: &SessionId,
    poll_id: &PollId,
) -> Result<PollWithTally, Error> {
    for _ in 0..ROUNDS {
        let PollsRead { session, board, .. } = owned(desk, caller, id).await?;
        let poll = board.poll(poll_id).ok_or(Refusal::NotFound)?;
        if !poll.is_open() {
            return shown(desk, caller, id, poll_id).await;
        }
        let now = whole_milli(desk.now);
        let boxes = async {
            let shut = |number| desk.store.shut_box(poll_id, number);
            let boxes = stream::iter(0..poll.boxes).map(shut).buffer_unordered(SHUT_AT_ONCE);
            Ok(boxes.try_collect::<Vec<_>>().await?)
        };
        let (boxes, present) = try_join!(boxes, present(desk, &session, (poll.opened_at, now)))?;
        let tally = Tally::of(poll.options.len(), &boxes);
        let closed = Closed { at: now, tally: tally.clone(), present };
        match desk.store.commit_one(items::close(id, &board, poll_id, &closed)).await {
            Ok(()) => {
                tracing::info!(event = "poll.closed", session_id = %id, poll_id = %poll_id, responses = tally.responses);
                let poll = Poll { closed: Some(closed), ..poll.clone() };
                let voters = (!poll.anonymous).then(|| who_chose_what(&boxes));
                return Ok(PollWithTally { poll, tally, voters, own: Choice::default() });
            }
            Err(CommitError::Refused(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::busy("the class's polls keep changing"))
}

/// Votes, in the place of the voter's earlier vote. The same vote again changes nothing and writes nothing.
pub async fn vote(
    desk: &PollContext<'_>,
    caller: &Caller,
    id: &SessionId,
    poll_id: &PollId,
    options: &[String],
) -> Result<PollWithTally, Error> {
    let decide = |seen: &PollsRead| {
        seen.known()?;
        let poll = seen.board.poll(poll_id).ok_or(Refusal::NotFound)?;
        if seen.is_owner {
            return Err(Refusal::Forbidden.into());
        }
        running(&seen.session, desk.now)?;
        if !poll.is_open() {
            return Err(Refusal::PollClosed.into());
        }
        Ok((poll.clone(), voter(desk.secrets, poll, &caller.id)?, poll.choice(options)?))
    };
    let (mut seen, (poll, voter, choice)) =
        decided(desk, caller, id, PollQuery::One(poll_id), decide).await?;
    let number = voter.shard_of(poll.boxes);
    let own = seen.ballot_box(poll_id, number).clone();
    let own = cast(desk, &poll, &voter, choice, own, seen.is_fresh).await?;
    seen.boxes.insert((poll_id.clone(), number), own);
    one(desk, caller, &seen, poll)
}

/// Sees to it that a choice is in its voter's box, or says why not; answers the box with it.
async fn cast(
    desk: &PollContext<'_>,
    poll: &Poll,
    voter: &Voter,
    choice: Choice,
    mut own: VoteShard,
    mut is_sure: bool,
) -> Result<VoteShard, Error> {
    // An attempt whose answer was lost may have been in time; what is there counts, whoever wrote it.
    for _ in 0..=ROUNDS {
        match own.outcome(voter, choice, is_sure) {
            VoteOutcome::Counts => return Ok(own),
            VoteOutcome::Refused => return Err(Refusal::PollClosed.into()),
            VoteOutcome::Write { old, new } => {
                own = desk.store.cast(poll, voter, old, new).await?;
                is_sure = true;
            }
        }
    }
    Err(Error::busy("the voter keeps changing their mind"))
}

/// The polls of a class, or one of them, for its owner and for those whom it is for.
pub async fn list(
    desk: &PollContext<'_>,
    caller: &Caller,
    id: &SessionId,
    only: Option<&PollId>,
) -> Result<PollsResponse, Error> {
    let decide = |seen: &PollsRead| {
        seen.known()?;
        match only {
            Some(poll) if seen.board.poll(poll).is_none() => Err(Refusal::NotFound.into()),
            _ => Ok(()),
        }
    };
    let wanted = only.map_or(PollQuery::All, PollQuery::One);
    let (seen, ()) = decided(desk, caller, id, wanted, decide).await?;
    let polls = seen.board.polls.iter().filter(|poll| only.is_none_or(|id| poll.id == *id));
    let polls: Vec<_> =
        polls.map(|poll| one(desk, caller, &seen, poll.clone())).collect::<Result<_, Error>>()?;
    let is_cut = polls.iter().any(|shown| shown.voters.is_none() && !shown.poll.anonymous);
    Ok(PollsResponse { is_owner: seen.is_owner, is_cut: is_cut && seen.is_owner, polls })
}

/// The class and its list of polls, for its owner.
async fn owned(desk: &PollContext<'_>, caller: &Caller, id: &SessionId) -> Result<PollsRead, Error> {
    let decide = |seen: &PollsRead| Ok(seen.session.owned_by(caller)?);
    let (seen, ()) = decided(desk, caller, id, PollQuery::Nothing, decide).await?;
    Ok(seen)
}

/// One poll, looked at anew.
async fn shown(
    desk: &PollContext<'_>,
    caller: &Caller,
    id: &SessionId,
    poll_id: &PollId,
) -> Result<PollWithTally, Error> {
    let mut polls = list(desk, caller, id, Some(poll_id)).await?.polls;
    Ok(polls.pop().ok_or(Refusal::NotFound)?)
}

/// A poll of what was seen.
fn one(desk: &PollContext<'_>, caller: &Caller, seen: &PollsRead, poll: Poll) -> Result<PollWithTally, Error> {
    let boxes = || (0..poll.boxes).filter_map(|number| seen.boxes.get(&(poll.id.clone(), number)));
    let tally = match &poll.closed {
        Some(closed) => closed.tally.clone(),
        None => Tally::of(poll.options.len(), boxes()),
    };
    let own = if seen.is_owner {
        Choice::default()
    } else {
        let voter = voter(desk.secrets, &poll, &caller.id)?;
        let own = seen.ballot_box(&poll.id, voter.shard_of(poll.boxes));
        own.votes.get(&voter).map(|ballot| ballot.choice).unwrap_or_default()
    };
    let is_told = seen.is_owner && !poll.anonymous && !seen.left_out.contains(&poll.id);
    let voters = is_told.then(|| who_chose_what(boxes()));
    Ok(PollWithTally { poll, tally, voters, own })
}

fn who_chose_what<'a>(boxes: impl IntoIterator<Item = &'a VoteShard>) -> Vec<(UserId, Choice)> {
    let votes = boxes.into_iter().flat_map(|filled| &filled.votes);
    let mut named: Vec<_> =
        votes.filter_map(|(voter, ballot)| Some((voter.user()?, ballot.choice))).collect();
    named.sort();
    named
}

/// What somebody is known by in a poll's boxes: themselves, or what the poll's own key makes of them, which tells nobody
/// who they are and is the same again when they change their vote.
fn voter(secrets: &SecretSet, poll: &Poll, user: &UserId) -> Result<Voter, Error> {
    let Some(key) = &poll.key else { return Ok(Voter::named(user)) };
    let key = secrets.keyring()?.open(key, &key_binding(&poll.id))?;
    let mac = hmac_sha256(key.expose().as_bytes(), &[user.as_str().as_bytes()]);
    let mut hash = [0; 16];
    hash.copy_from_slice(&mac[..16]);
    Ok(Voter::keyed(hash))
}

fn key_binding(poll: &PollId) -> Binding<'_> {
    Binding { owner: poll.as_str(), field: KEY_FIELD }
}
