//! Polls: one item for a class's list of them, which launching and closing write, and the boxes with their votes.
//!
//! A vote is one conditional write to one box, and no vote writes anything else: what is written for every vote is spread
//! over as many partition keys as the poll has boxes, and no two voters are ever in one transaction. What a box holds is
//! an attribute for each voter with what they chose, so that the same vote written twice is the same.

use std::cmp::Reverse;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::item::{decode, encode, value};
use super::schema::{ItemKey, attr, course_polls_partition, index};
use super::tx::{Action, ItemChanges, Guard, Item, number, text};
use super::{BatchItems, KeyRange, Store, UpdateResult};
use crate::crypt::Sealed;
use crate::domain::vote::{Ballot, VoteShard, Tally, Voter};
use crate::domain::id::{CourseId, PollId, SessionId};
use crate::domain::poll::{Closed, Poll};
use crate::domain::session::Session;
use crate::domain::text::{OptionText, Question};

#[derive(Serialize, Deserialize)]
struct Stored {
    question: Question,
    options: Vec<OptionText>,
    multiple: bool,
    anonymous: bool,
    boxes: u16,
    opened_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    present: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<Sealed>,
    launched_from: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    closed: Option<StoredClosed>,
}

#[derive(Serialize, Deserialize)]
struct StoredClosed {
    at: Timestamp,
    votes: Vec<u32>,
    responses: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    present: Option<u32>,
}

impl From<&Closed> for StoredClosed {
    fn from(c: &Closed) -> Self {
        Self {
            at: c.at,
            votes: c.tally.votes.clone(),
            responses: c.tally.responses,
            present: c.present,
        }
    }
}

impl Stored {
    fn of(poll: &Poll) -> Self {
        Self {
            question: poll.question.clone(),
            options: poll.options.clone(),
            multiple: poll.multiple,
            anonymous: poll.anonymous,
            boxes: poll.boxes,
            opened_at: poll.opened_at,
            present: poll.present,
            key: poll.key.clone(),
            launched_from: poll.launched_from.clone(),
            closed: poll.closed.as_ref().map(StoredClosed::from),
        }
    }

    fn into_poll(self, id: PollId) -> Poll {
        Poll {
            id,
            question: self.question,
            options: self.options,
            multiple: self.multiple,
            anonymous: self.anonymous,
            boxes: self.boxes,
            opened_at: self.opened_at,
            present: self.present,
            closed: self.closed.map(|c| Closed {
                at: c.at,
                tally: Tally { votes: c.votes, responses: c.responses },
                present: c.present,
            }),
            key: self.key,
            launched_from: self.launched_from,
        }
    }
}

/// What the list's item says beside the polls themselves.
#[derive(Default, Serialize, Deserialize)]
struct Head {
    revision: u64,
    /// The one that is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    open: Option<PollId>,
}

/// A class's polls: the open one, and then the others from the newest on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PollBoard {
    /// Rises with every launch and close.
    pub revision: u64,
    pub polls: Vec<Poll>,
}

impl PollBoard {
    pub fn poll(&self, id: &PollId) -> Option<&Poll> {
        self.polls.iter().find(|poll| poll.id == *id)
    }

    pub fn open(&self) -> Option<&Poll> {
        self.polls.iter().find(|poll| poll.is_open())
    }
}

/// The list, whose every attribute that is named like a poll is one: launching and closing touch only their own poll's.
fn decode_board(item: Item) -> Result<PollBoard, StoreError> {
    let mut polls = Vec::new();
    for (name, attribute) in &item {
        if let (Some(id), AttributeValue::M(members)) = (PollId::parse(name), attribute) {
            polls.push(decode::<Stored>(members.clone())?.into_poll(id));
        }
    }
    let place = |poll: &Poll| (poll.is_open(), poll.opened_at, poll.id.clone());
    polls.sort_by_cached_key(|poll| Reverse(place(poll)));
    Ok(PollBoard { revision: decode::<Head>(item)?.revision, polls })
}

fn at_revision(revision: u64) -> Guard {
    match revision {
        0 => Guard::new_item(),
        read => Guard::new().equals(attr::REVISION, number(read)),
    }
}

/// Puts a poll on a class's list; refused when another launch or close was quicker.
pub fn launch(session: &Session, board: &PollBoard, poll: &Poll) -> Action {
    let head = Head { revision: board.revision + 1, open: Some(poll.id.clone()) };
    let mut item = encode(&head);
    if let Some(course) = session.audience.course() {
        item.insert(attr::G2PK.to_owned(), text(course_polls_partition(course)));
        item.insert(attr::G2SK.to_owned(), text(session.id.as_str()));
    }
    let changes = ItemChanges::replace(item, &[]).set(poll.id.as_str(), value(&Stored::of(poll)));
    Action::update(ItemKey::Polls(&session.id), changes, at_revision(board.revision))
}

/// Notes on a class's list that a poll is closed, and its final count; refused when another close was quicker.
pub fn close(session: &SessionId, board: &PollBoard, poll: &PollId, closed: &Closed) -> Action {
    let changes = ItemChanges::new()
        .set(attr::REVISION, number(board.revision + 1))
        .set_member(poll.as_str(), attr::CLOSED, value(&StoredClosed::from(closed)))
        .remove(attr::OPEN);
    Action::update(ItemKey::Polls(session), changes, at_revision(board.revision))
}

fn decode_box(item: Item) -> VoteShard {
    let is_shut = item.contains_key(attr::SHUT);
    let vote = |(name, value): (String, AttributeValue)| {
        let ballot = Ballot::from_number(value.as_n().ok()?.parse().ok()?)?;
        Some((Voter::parse(&name)?, ballot))
    };
    VoteShard { is_shut, votes: item.into_iter().filter_map(vote).collect() }
}

impl Store {
    /// Puts a ballot into a voter's box in the place of their old one; refused when the box is shut, or when what is there
    /// is not that old one. Answers the box as it then is.
    pub async fn cast(
        &self,
        poll: &Poll,
        voter: &Voter,
        old: Option<Ballot>,
        new: Ballot,
    ) -> Result<VoteShard, StoreError> {
        let key = ItemKey::VoteShard { poll: &poll.id, number: voter.shard_of(poll.boxes) };
        let changes = ItemChanges::new().set(voter.as_str(), number(new.number()));
        let guard = Guard::new().absent(attr::SHUT);
        let guard = match old {
            None => guard.absent(voter.as_str()),
            Some(old) => guard.equals(voter.as_str(), number(old.number())),
        };
        let (UpdateResult::Done(item) | UpdateResult::Refused(item)) =
            self.update_and_read(Action::update(key, changes, guard)).await?;
        Ok(decode_box(item))
    }

    /// Shuts a box for ever, and answers what it holds.
    pub async fn shut_box(&self, poll: &PollId, number: u16) -> Result<VoteShard, StoreError> {
        let changes = ItemChanges::new().set(attr::SHUT, AttributeValue::Bool(true));
        let action = Action::update(ItemKey::VoteShard { poll, number }, changes, Guard::new());
        let (UpdateResult::Done(item) | UpdateResult::Refused(item)) = self.update_and_read(action).await?;
        Ok(decode_box(item))
    }

    /// Makes a vote nobody's, if there is one. It stays in its box and goes on counting.
    pub async fn forget_voter(
        &self,
        poll: &Poll,
        voter: &Voter,
        forgotten: &Voter,
    ) -> Result<bool, StoreError> {
        let key = ItemKey::VoteShard { poll: &poll.id, number: voter.shard_of(poll.boxes) };
        let changes = ItemChanges::new().rename(voter.as_str(), forgotten.as_str());
        let action = Action::update(key, changes, Guard::new().exists(voter.as_str()));
        Ok(matches!(self.update_and_read(action).await?, UpdateResult::Done(_)))
    }

    /// The polls of every class that was ever held for a course.
    pub async fn polls_of_course(&self, course: &CourseId) -> Result<Vec<Poll>, StoreError> {
        let range = KeyRange {
            index: Some(index::BY_AUDIENCE),
            pk: course_polls_partition(course),
            ..KeyRange::default()
        };
        let boards = self.query_all(range).await?.into_iter().map(decode_board);
        Ok(boards.collect::<Result<Vec<_>, _>>()?.into_iter().flat_map(|b| b.polls).collect())
    }

    /// The polls of these classes.
    pub async fn polls_of(&self, sessions: &[SessionId]) -> Result<Vec<Poll>, StoreError> {
        let keys: Vec<_> = sessions.iter().map(ItemKey::Polls).collect();
        let mut found = self.batch_get(&keys).await?;
        let boards: Result<Vec<_>, _> = sessions.iter().map(|id| found.board(id)).collect();
        Ok(boards?.into_iter().flat_map(|board| board.polls).collect())
    }
}

impl BatchItems {
    /// A class's polls; of a class that never had one, none.
    pub(crate) fn board(&mut self, session: &SessionId) -> Result<PollBoard, StoreError> {
        Ok(self.take(ItemKey::Polls(session)).map(decode_board).transpose()?.unwrap_or_default())
    }

    /// A box; one that nobody voted into is not there, and empty.
    pub(crate) fn ballot_box(&mut self, poll: &PollId, number: u16) -> VoteShard {
        self.take(ItemKey::VoteShard { poll, number }).map(decode_box).unwrap_or_default()
    }
}
