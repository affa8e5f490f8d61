//! Polls: one poll list per session, written when a poll is launched or closed, and the vote shards of each poll.
//!
//! A vote is one conditional write to one shard. This spreads the votes over as many partition keys as the poll has
//! shards, without transactions. A shard has one attribute per voter, so a vote is idempotent.
//!
//! A shard of 80 voters with ids of 36 characters has 3.1 KB, so a vote costs 2.1 write units on average.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::item::{decode, encode, encode_value};
use super::schema::{Index, ItemKey, attr, course_polls_partition};
use super::tx::{Action, Condition, Item, ItemChanges, insert_index_key, number};
use super::{BatchItems, KeyRange, Store, UpdateResult};
use crate::crypt::Sealed;
use crate::domain::id::{CourseId, PollId, SessionId};
use crate::domain::poll::{Poll, PollOutcome, ResultsVisibility};
use crate::domain::session::Session;
use crate::domain::text::{OptionText, Question};
use crate::domain::vote::{Ballot, Tally, VoteShard, Voter};

/// Attempts at anonymizing a voter who may be voting.
const ERASE_ATTEMPTS: u32 = 4;

#[derive(Serialize, Deserialize)]
struct StoredPoll {
    question: Question,
    options: Vec<OptionText>,
    multiple: bool,
    anonymous: bool,
    #[serde(default)]
    results: ResultsVisibility,
    shards: u16,
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

impl From<&PollOutcome> for StoredClosed {
    fn from(c: &PollOutcome) -> Self {
        Self {
            at: c.closed_at,
            votes: c.tally.votes.clone(),
            responses: c.tally.responses,
            present: c.present_count,
        }
    }
}

impl StoredPoll {
    fn of(poll: &Poll) -> Self {
        Self {
            question: poll.question.clone(),
            options: poll.options.clone(),
            multiple: poll.multiple,
            anonymous: poll.anonymous,
            results: poll.results,
            shards: poll.shard_count,
            opened_at: poll.opened_at,
            present: poll.present_at_launch,
            key: poll.voter_key.clone(),
            launched_from: poll.launch_body_hash.clone(),
            closed: poll.outcome.as_ref().map(StoredClosed::from),
        }
    }

    fn into_poll(self, id: PollId) -> Poll {
        Poll {
            id,
            question: self.question,
            options: self.options,
            multiple: self.multiple,
            anonymous: self.anonymous,
            results: self.results,
            shard_count: self.shards,
            opened_at: self.opened_at,
            present_at_launch: self.present,
            outcome: self.closed.map(|c| PollOutcome {
                closed_at: c.at,
                tally: Tally { votes: c.votes, responses: c.responses },
                present_count: c.present,
            }),
            voter_key: self.key,
            launch_body_hash: self.launched_from,
        }
    }
}

/// The attributes of a poll list besides the polls.
#[derive(Default, Serialize, Deserialize)]
struct PollListHead {
    revision: u64,
    /// The open poll.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    open: Option<PollId>,
}

/// The polls of a session: the open one first, then the others from newest to oldest.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PollList {
    /// Increases with every launch and close.
    pub revision: u64,
    pub polls: Vec<Poll>,
}

impl PollList {
    pub fn poll(&self, id: &PollId) -> Option<&Poll> {
        self.polls.iter().find(|poll| poll.id == *id)
    }

    pub fn open(&self) -> Option<&Poll> {
        self.polls.iter().find(|poll| poll.is_open())
    }
}

/// Decodes a poll list without the polls that cannot be read.
fn decode_readable_polls(item: Item) -> Result<PollList, StoreError> {
    decode_polls_if(item, |_| Ok(()))
}

/// Decodes a poll list. An erasure must not miss a poll that cannot be read.
fn decode_poll_list(item: Item) -> Result<PollList, StoreError> {
    decode_polls_if(item, Err)
}

/// Each poll is an attribute named after its id, so that launching and closing write only one poll.
fn decode_polls_if(
    item: Item,
    on_unreadable: impl Fn(StoreError) -> Result<(), StoreError>,
) -> Result<PollList, StoreError> {
    let mut polls = Vec::new();
    for (name, attribute) in &item {
        if let (Some(id), AttributeValue::M(members)) = (PollId::parse(name), attribute) {
            match decode::<StoredPoll>(members.clone()) {
                Ok(stored) => polls.push(stored.into_poll(id)),
                Err(error) => on_unreadable(error)?,
            }
        }
    }
    let sort_key = |poll: &Poll| (poll.is_open(), poll.opened_at, poll.id.clone());
    polls.sort_by_cached_key(|poll| Reverse(sort_key(poll)));
    Ok(PollList { revision: decode::<PollListHead>(item)?.revision, polls })
}

fn at_revision(revision: u64) -> Condition {
    match revision {
        0 => Condition::item_absent(),
        revision => Condition::new().equals(attr::REVISION, number(revision)),
    }
}

/// Adds a poll to the list of a session. Refused if another launch or close was faster.
pub fn launch(session: &Session, list: &PollList, poll: &Poll) -> Action {
    let head = PollListHead { revision: list.revision + 1, open: Some(poll.id.clone()) };
    let mut item = encode(&head);
    if let Some(course) = session.audience.course() {
        insert_index_key(
            &mut item,
            Index::ByAudience,
            course_polls_partition(course),
            session.id.as_str(),
        );
    }
    let stored = encode_value(&StoredPoll::of(poll));
    let changes = ItemChanges::replace(item, &[]).set(poll.id.as_str(), stored.clone());
    Action::update(ItemKey::Polls(&session.id), changes, at_revision(list.revision))
        .recognized_by(poll.id.as_str(), stored)
}

/// Closes a poll with its final tally. Refused if another launch or close was faster.
pub fn close(session: &SessionId, list: &PollList, poll: &PollId, closed: &PollOutcome) -> Action {
    let changes = ItemChanges::new()
        .set(attr::REVISION, number(list.revision + 1))
        .set_member(poll.as_str(), attr::CLOSED, encode_value(&StoredClosed::from(closed)))
        .remove(attr::OPEN);
    Action::update(ItemKey::Polls(session), changes, at_revision(list.revision))
}

fn decode_shard(item: Item) -> VoteShard {
    let is_shut = item.contains_key(attr::VOTING_CLOSED);
    let (mut votes, mut barred) = (BTreeMap::new(), BTreeSet::new());
    for (name, value) in item {
        match (Voter::parse(&name), value) {
            (Some(voter), AttributeValue::Bool(_)) => drop(barred.insert(voter)),
            (Some(voter), AttributeValue::N(number)) => {
                let ballot = number.parse().ok().and_then(Ballot::from_number);
                votes.extend(ballot.map(|ballot| (voter, ballot)));
            }
            _ => {}
        }
    }
    VoteShard { is_closed: is_shut, votes, barred }
}

impl Store {
    /// Casts a ballot in place of the voter's `old` one. Refused if the shard is closed, has another ballot of the voter, or
    /// bars the voter.
    /// Returns the resulting shard.
    pub async fn cast_vote(
        &self,
        poll: &Poll,
        voter: &Voter,
        old: Option<Ballot>,
        new: Ballot,
    ) -> Result<VoteShard, StoreError> {
        let key =
            ItemKey::VoteShard { poll: &poll.id, number: voter.shard_number(poll.shard_count) };
        let changes = ItemChanges::new().set(voter.as_str(), number(new.to_number()));
        let condition =
            Condition::new().absent(attr::VOTING_CLOSED).absent(voter.barred(&poll.id).as_str());
        let condition = match old {
            None => condition.absent(voter.as_str()),
            Some(old) => condition.equals(voter.as_str(), number(old.to_number())),
        };
        let (UpdateResult::Updated(item) | UpdateResult::Refused(item)) =
            self.update_and_read(Action::update(key, changes, condition)).await?;
        Ok(decode_shard(item))
    }

    /// Closes a shard permanently and returns it.
    pub async fn close_shard(&self, poll: &PollId, number: u16) -> Result<VoteShard, StoreError> {
        let changes = ItemChanges::new().set(attr::VOTING_CLOSED, AttributeValue::Bool(true));
        let action = Action::update(ItemKey::VoteShard { poll, number }, changes, Condition::new());
        let (UpdateResult::Updated(item) | UpdateResult::Refused(item)) =
            self.update_and_read(action).await?;
        Ok(decode_shard(item))
    }

    /// Anonymizes a vote, if there is one. It continues to count. While the poll is open, the voter is also barred, because a
    /// vote may be in progress.
    pub async fn anonymize_voter(
        &self,
        poll: &Poll,
        voter: &Voter,
        replacement: &Voter,
    ) -> Result<bool, StoreError> {
        let key =
            ItemKey::VoteShard { poll: &poll.id, number: voter.shard_number(poll.shard_count) };
        let barred = voter.barred(&poll.id);
        let bar = |changes: ItemChanges| changes.set(barred.as_str(), AttributeValue::Bool(true));
        for _ in 0..ERASE_ATTEMPTS {
            let rename = ItemChanges::new().rename(voter.as_str(), replacement.as_str());
            let rename = if poll.is_open() { bar(rename) } else { rename };
            let rename = Action::update(key, rename, Condition::new().exists(voter.as_str()));
            let shard = match self.update_and_read(rename).await? {
                UpdateResult::Updated(_) => return Ok(true),
                UpdateResult::Refused(item) => decode_shard(item),
            };
            if !poll.is_open() || shard.is_closed || shard.barred.contains(&barred) {
                return Ok(false);
            }
            let condition = Condition::new().absent(voter.as_str()).absent(attr::VOTING_CLOSED);
            let bar = Action::update(key, bar(ItemChanges::new()), condition);
            if let UpdateResult::Updated(_) = self.update_and_read(bar).await? {
                return Ok(false);
            }
        }
        Err(StoreError::Busy { operation: "UpdateItem", source: "the person keeps voting".into() })
    }

    /// Returns the polls of all sessions of a course.
    pub async fn polls_of_course(&self, course: &CourseId) -> Result<Vec<Poll>, StoreError> {
        let range = KeyRange {
            index: Some(Index::ByAudience),
            pk: course_polls_partition(course),
            ..KeyRange::default()
        };
        let lists = self.query_all(range).await?.into_iter().map(decode_poll_list);
        Ok(lists.collect::<Result<Vec<_>, _>>()?.into_iter().flat_map(|b| b.polls).collect())
    }

    /// Returns the polls of these sessions.
    pub async fn polls_of_sessions(&self, sessions: &[SessionId]) -> Result<Vec<Poll>, StoreError> {
        let keys: Vec<_> = sessions.iter().map(ItemKey::Polls).collect();
        let mut found = self.batch_get(&keys).await?;
        let items = sessions.iter().filter_map(|id| found.take(ItemKey::Polls(id)));
        let lists: Result<Vec<_>, _> = items.map(decode_poll_list).collect();
        Ok(lists?.into_iter().flat_map(|list| list.polls).collect())
    }
}

impl BatchItems {
    /// Returns the readable polls of a session.
    pub(crate) fn poll_list(&mut self, session: &SessionId) -> Result<PollList, StoreError> {
        Ok(self
            .take(ItemKey::Polls(session))
            .map(decode_readable_polls)
            .transpose()?
            .unwrap_or_default())
    }

    /// Returns a vote shard. A shard without votes has no item and is empty.
    pub(crate) fn vote_shard(&mut self, poll: &PollId, number: u16) -> VoteShard {
        self.take(ItemKey::VoteShard { poll, number }).map(decode_shard).unwrap_or_default()
    }
}
