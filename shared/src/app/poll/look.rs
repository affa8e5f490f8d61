//! Looking at a class's polls in one request.
//!
//! To decide on a vote and to answer it takes the class, its list of polls, the caller's place in the course or on the
//! list of invitees, and the boxes with the votes. Only the class says which course, and only the list says which boxes.
//! So an instance of the function remembers what it saw of a class, and asks by that for all of it at once. It remembers
//! where to look and never what is there: whatever is decided on or answered was read for this very request, and what the
//! memory did not know to ask for, because it is new or was never met, is asked for in a second request.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use super::{PollContext, voter};
use crate::app::error::Error;
use crate::domain::audience::{Audience, InviteeList};
use crate::domain::vote::VoteShard;
use crate::domain::caller::Caller;
use crate::domain::id::{CourseId, PollId, SessionId};
use crate::domain::poll::Poll;
use crate::domain::refusal::Refusal;
use crate::domain::session::Session;
use crate::domain::text::Email;
use crate::store::BatchItems;
use crate::store::error::StoreError;
use crate::store::polls::PollBoard;
use crate::store::schema::ItemKey;

/// Classes that an instance remembers: few are in one meeting at a time, and each is some kilobytes.
const REMEMBERED: usize = 64;
/// From this many boxes on they are read as some replica has them, at half the price. Such a class has hundreds who ask
/// again and again, and what one of them sees may be some milliseconds old; a small one sees its votes at once.
const MANY_BOXES: usize = 9;
/// The most votes of which one answer tells whose they are: at some 80 bytes each they are a third of the 6 MB that
/// Lambda takes for an answer.
const VOTERS_LIMIT: u32 = 20_000;

/// What an instance of the function saw of the classes that it last dealt with.
#[derive(Debug, Default)]
pub struct PollCache(Mutex<BTreeMap<SessionId, (Session, PollBoard)>>);

impl PollCache {
    fn recall(&self, id: &SessionId) -> Option<(Session, PollBoard)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    pub(super) fn remember(&self, session: &Session, board: &PollBoard) {
        let mut classes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if classes.len() >= REMEMBERED && !classes.contains_key(&session.id) {
            classes.clear();
        }
        classes.insert(session.id.clone(), (session.clone(), board.clone()));
    }
}

/// Of which polls the votes are wanted, too.
#[derive(Clone, Copy, Debug)]
pub(super) enum PollQuery<'a> {
    All,
    One(&'a PollId),
    Nothing,
}

/// A class's polls, and what the caller is to the class.
#[derive(Debug)]
pub(super) struct PollsRead {
    pub(super) session: Session,
    pub(super) board: PollBoard,
    pub(super) is_owner: bool,
    is_invited: bool,
    /// Those that were wanted. What is not among them was empty or not wanted.
    pub(super) boxes: BTreeMap<(PollId, u16), VoteShard>,
    /// Polls whose voters are too many for one answer.
    pub(super) left_out: BTreeSet<PollId>,
    /// Whether all of it was read at the source.
    pub(super) is_fresh: bool,
}

impl PollsRead {
    /// Refuses to those whom the class is nothing to, in the words that hide whether there is one.
    pub(super) fn known(&self) -> Result<(), Refusal> {
        if self.is_owner || self.is_invited { Ok(()) } else { Err(Refusal::NotFound) }
    }

    pub(super) fn ballot_box(&self, poll: &PollId, number: u16) -> &VoteShard {
        static EMPTY: VoteShard = VoteShard { is_shut: false, votes: BTreeMap::new() };
        self.boxes.get(&(poll.clone(), number)).unwrap_or(&EMPTY)
    }
}

/// Looks, and decides on what was seen. What would be refused because of what may be some moments old is looked at again
/// at the source.
pub(super) async fn decided<T>(
    desk: &PollContext<'_>,
    caller: &Caller,
    id: &SessionId,
    wanted: PollQuery<'_>,
    decide: impl Fn(&PollsRead) -> Result<T, Error>,
) -> Result<(PollsRead, T), Error> {
    for is_last in [false, true] {
        let outcome = match look(desk, caller, id, wanted, is_last).await? {
            Some(seen) => decide(&seen).map_err(|error| (error, seen.is_fresh)).map(|t| (seen, t)),
            None => Err((Refusal::NotFound.into(), is_last)),
        };
        match outcome {
            Ok(decision) => return Ok(decision),
            Err((Error::Refused(_), false)) => {}
            Err((error, _)) => return Err(error),
        }
    }
    Err(Refusal::NotFound.into())
}

async fn look(
    desk: &PollContext<'_>,
    caller: &Caller,
    id: &SessionId,
    wanted: PollQuery<'_>,
    at_source: bool,
) -> Result<Option<PollsRead>, Error> {
    let first = match desk.memory.recall(id) {
        Some((session, board)) => Ask::of(desk, caller, &session, &board, wanted)?,
        None => Ask::default(),
    };
    let mut keys = vec![ItemKey::Session(id), ItemKey::Polls(id)];
    keys.extend(first.keys(id, caller));
    let is_few = |boxes: usize| at_source || boxes < MANY_BOXES;
    let mut is_fresh = is_few(first.boxes.len());
    let mut found = read(desk, &keys, is_fresh).await?;
    let Some(held) = found.session(id)? else { return Ok(None) };
    let (session, board) = (held.session, found.board(id)?);
    let needed = Ask::of(desk, caller, &session, &board, wanted)?;
    let rest = needed.without(&first);
    let keys = rest.keys(id, caller);
    if !keys.is_empty() {
        let is_few = is_few(rest.boxes.len());
        is_fresh &= is_few;
        found = found.and(read(desk, &keys, is_few).await?);
    }
    desk.memory.remember(&session, &board);
    let is_invited = match &needed.access {
        None => false,
        Some(Access::Course(course)) => found
            .enrollment(&caller.id, course)?
            .is_some_and(|enrollment| enrollment.access_granted),
        Some(Access::List(list, email)) => {
            found.take(ItemKey::Invitee { session: id, list: *list, email }).is_some()
        }
    };
    let boxes = needed.boxes.iter().map(|(poll, number)| {
        let filled = found.ballot_box(poll, *number);
        ((poll.clone(), *number), filled)
    });
    Ok(Some(PollsRead {
        is_owner: session.is_owned_by(caller),
        is_invited,
        boxes: boxes.collect(),
        left_out: needed.left_out,
        is_fresh,
        session,
        board,
    }))
}

async fn read(desk: &PollContext<'_>, keys: &[ItemKey<'_>], at_source: bool) -> Result<BatchItems, StoreError> {
    if at_source {
        desk.store.batch_get(keys).await
    } else {
        desk.store.batch_get_eventually(keys).await
    }
}

/// Where a caller's right to know of a class is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Access {
    Course(CourseId),
    List(InviteeList, Email),
}

/// What there is to be read beside the class and its list of polls.
#[derive(Debug, Default)]
struct Ask {
    access: Option<Access>,
    boxes: BTreeSet<(PollId, u16)>,
    left_out: BTreeSet<PollId>,
}

impl Ask {
    /// What `caller` needs of a class as it is, or as it was remembered.
    fn of(
        desk: &PollContext<'_>,
        caller: &Caller,
        session: &Session,
        board: &PollBoard,
        wanted: PollQuery<'_>,
    ) -> Result<Self, Error> {
        let is_owner = session.is_owned_by(caller);
        let mut ask = Self::default();
        if !is_owner {
            ask.access = match &session.audience {
                Audience::Standalone => None,
                Audience::Course { id, .. } => Some(Access::Course(id.clone())),
                Audience::Invitees { list, .. } => {
                    caller.verified_email.clone().map(|email| Access::List(*list, email))
                }
            };
        }
        let is_wanted = |poll: &&Poll| match wanted {
            PollQuery::All => true,
            PollQuery::One(id) => poll.id == *id,
            PollQuery::Nothing => false,
        };
        let mut voters = 0;
        for poll in board.polls.iter().filter(is_wanted) {
            if let Some(closed) = poll.closed.as_ref().filter(|_| !poll.anonymous) {
                voters += closed.tally.responses;
            }
            let too_many = voters > VOTERS_LIMIT && matches!(wanted, PollQuery::All);
            let all = match (poll.is_open(), is_owner) {
                (true, _) => true,
                // A closed poll is counted; what is left to tell is who chose what.
                (false, true) if poll.anonymous => continue,
                (false, true) if too_many => {
                    ask.left_out.insert(poll.id.clone());
                    continue;
                }
                (false, true) => true,
                (false, false) => false,
            };
            if all {
                ask.boxes.extend((0..poll.boxes).map(|number| (poll.id.clone(), number)));
            } else {
                let own = voter(desk.secrets, poll, &caller.id)?.shard_of(poll.boxes);
                ask.boxes.insert((poll.id.clone(), own));
            }
        }
        Ok(ask)
    }

    /// What of this another request did not ask for.
    fn without(&self, asked: &Self) -> Self {
        Self {
            access: self.access.clone().filter(|access| asked.access.as_ref() != Some(access)),
            boxes: self.boxes.difference(&asked.boxes).cloned().collect(),
            left_out: BTreeSet::new(),
        }
    }

    fn keys<'a>(&'a self, session: &'a SessionId, caller: &'a Caller) -> Vec<ItemKey<'a>> {
        let access = self.access.as_ref().map(|access| match access {
            Access::Course(course) => ItemKey::Enrollment { user: &caller.id, course },
            Access::List(list, email) => ItemKey::Invitee { session, list: *list, email },
        });
        let boxes =
            self.boxes.iter().map(|(poll, number)| ItemKey::VoteShard { poll, number: *number });
        access.into_iter().chain(boxes).collect()
    }
}
