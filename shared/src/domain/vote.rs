//! Votes, vote shards and tallies.
//!
//! A vote shard stores the latest ballot of each voter, and the tally is computed by reading all shards. There are no
//! counters, so a vote that is repeated, changed, or retried after a lost response is counted exactly once. A closed shard
//! accepts no ballots. Closing and voting write the same item, so each vote is either before or after the close.

use std::collections::{BTreeMap, BTreeSet};

use super::digest::Digest;
use super::id::{PollId, UserId};

/// The intended number of voters per shard. With this many voters and ids as long as a UUID, a shard takes one read unit of
/// 4 KB and on average three write units of 1 KB.
const VOTERS_PER_SHARD: usize = 80;
/// The maximum number of shards of a poll. One request may read 100 items. A student's request needs 98 of them: these
/// shards, one shard for each of 31 closed polls, the session, its list of polls, and the student's enrollment.
const SHARD_LIMIT: usize = 64;

/// Returns the number of shards for a session with this many voters.
pub fn shard_count(voters: usize) -> u16 {
    let shards = voters.div_ceil(VOTERS_PER_SHARD).clamp(1, SHARD_LIMIT);
    u16::try_from(shards).unwrap_or(1)
}

/// The options that a voter chose, as a bit set in which the first option is the lowest bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Choice(u16);

impl Choice {
    pub fn from_options(options: impl IntoIterator<Item = usize>) -> Self {
        Self(options.into_iter().fold(0, |bits, option| bits | 1 << option))
    }

    pub fn contains(self, option: usize) -> bool {
        self.0 >> option & 1 == 1
    }
}

/// One voter's choice. The revision rises with every change, so a delayed write of an older ballot is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ballot {
    pub choice: Choice,
    pub revision: u32,
}

impl Ballot {
    /// The number of bits of the choice, which is the maximum number of options.
    const CHOICE_BITS: u32 = 10;

    /// Returns the number that is stored for the ballot.
    pub fn to_number(self) -> u64 {
        u64::from(self.revision) << Self::CHOICE_BITS | u64::from(self.choice.0)
    }

    pub fn from_number(number: u64) -> Option<Self> {
        let bits = u16::try_from(number & ((1 << Self::CHOICE_BITS) - 1)).ok()?;
        let revision = u32::try_from(number >> Self::CHOICE_BITS).ok()?;
        Some(Self { choice: Choice(bits), revision })
    }
}

/// The attribute name of a voter in a shard. It contains a `#`, which no other attribute of a shard does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Voter(String);

impl Voter {
    const USER_PREFIX: &str = "u#";
    const KEYED_PREFIX: &str = "k#";
    const ERASED_PREFIX: &str = "x#";
    const BARRED_PREFIX: &str = "e#";

    /// Returns the voter of a poll that is not anonymous.
    pub fn from_user(user: &UserId) -> Self {
        Self(format!("{}{user}", Self::USER_PREFIX))
    }

    /// Returns the voter of an anonymous poll, from a keyed hash of the user id.
    pub fn from_keyed_hash(hash: [u8; 16]) -> Self {
        Self(format!("{}{}", Self::KEYED_PREFIX, digits(hash)))
    }

    /// Returns a random voter for an erased person, whose vote still counts.
    pub fn erased(random: [u8; 16]) -> Self {
        Self(format!("{}{}", Self::ERASED_PREFIX, digits(random)))
    }

    /// Returns the attribute that bars this voter from a poll after their erasure, so that a vote in progress is not counted
    /// beside the anonymized one. It is a digest and has no ballot.
    pub fn barred(&self, poll: &PollId) -> Self {
        let digest = Digest::unframed(&[poll.as_str().as_bytes(), self.0.as_bytes()]);
        Self(format!("{}{}", Self::BARRED_PREFIX, digits(digest.first())))
    }

    /// Parses a stored attribute name. Returns `None` for attributes that are not voters.
    pub fn parse(text: &str) -> Option<Self> {
        text.contains('#').then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the user id, unless the voter is anonymous or erased.
    pub fn user(&self) -> Option<UserId> {
        UserId::parse(self.0.strip_prefix(Self::USER_PREFIX)?).ok()
    }

    /// Returns the number of the shard that holds this voter's ballot.
    pub fn shard_number(&self, shards: u16) -> u16 {
        u16::from_be_bytes(Digest::of_value(&self.0).first()) % shards.max(1)
    }
}

fn digits(bytes: [u8; 16]) -> String {
    data_encoding::BASE32_NOPAD.encode(&bytes).to_ascii_lowercase()
}

/// One of the items over which a poll's ballots are spread.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VoteShard {
    pub is_closed: bool,
    pub votes: BTreeMap<Voter, Ballot>,
    /// Voters that were erased while the poll was open.
    pub barred: BTreeSet<Voter>,
}

/// The action that a vote requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VoteOutcome {
    AlreadyCounted,
    /// The shard is closed.
    Refused,
    /// Replace `old` by `new` on condition that the shard is open and still holds `old`.
    Write {
        old: Option<Ballot>,
        new: Ballot,
    },
}

impl VoteShard {
    /// Decides how to record a voter's choice. Without a consistent read, an equal choice is written again, because the
    /// shard may hold an outdated ballot. A closed shard never changes, so any read of it is current.
    pub fn outcome(&self, voter: &Voter, choice: Choice, is_consistent_read: bool) -> VoteOutcome {
        let old = self.votes.get(voter).copied();
        match old {
            Some(ballot) if ballot.choice == choice && (is_consistent_read || self.is_closed) => {
                VoteOutcome::AlreadyCounted
            }
            _ if self.is_closed => VoteOutcome::Refused,
            _ => {
                let revision = old.map_or(0, |old| old.revision.saturating_add(1));
                VoteOutcome::Write { old, new: Ballot { choice, revision } }
            }
        }
    }
}

/// The votes of a poll, added up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// The number of votes by option.
    pub votes: Vec<u32>,
    pub responses: u32,
}

impl Tally {
    pub fn count<'a>(options: usize, shards: impl IntoIterator<Item = &'a VoteShard>) -> Self {
        let mut tally = Self { votes: vec![0; options], responses: 0 };
        for ballot in shards.into_iter().flat_map(|shard| shard.votes.values()) {
            tally.responses += 1;
            for (option, votes) in tally.votes.iter_mut().enumerate() {
                *votes += u32::from(ballot.choice.contains(option));
            }
        }
        tally
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn user(n: usize) -> UserId {
        UserId::parse(&format!("0b5f3c1e-7a52-4a0e-9d4f-{n:012}")).unwrap()
    }

    #[test]
    fn shard_count_is_one_for_small_sessions_and_bounded_for_large_ones() {
        for (voters, shards) in
            [(0, 1), (1, 1), (80, 1), (81, 2), (1000, 13), (5000, 63), (10_000, 64)]
        {
            assert_eq!(shard_count(voters), shards, "{voters}");
        }
    }

    #[test]
    fn voters_are_spread_evenly_over_stable_shards() {
        let mut voters_per_shard = vec![0; 63];
        for n in 0..5000 {
            let voter = Voter::from_user(&user(n));
            assert_eq!(voter.shard_number(63), voter.shard_number(63));
            voters_per_shard[usize::from(voter.shard_number(63))] += 1;
        }
        assert!(
            voters_per_shard.iter().all(|voters| (40..=120).contains(voters)),
            "{voters_per_shard:?}"
        );
        assert_eq!(Voter::from_user(&user(1)).shard_number(1), 0);
    }

    #[test]
    fn only_voter_of_a_named_poll_has_a_user_id() {
        let named = Voter::from_user(&user(7));
        assert_eq!(named.user(), Some(user(7)));
        assert_eq!(Voter::parse(named.as_str()), Some(named));
        let barred = Voter::from_user(&user(7)).barred(&PollId::from_bytes([1; 16]));
        for voter in [Voter::from_keyed_hash([7; 16]), Voter::erased([7; 16]), barred] {
            assert_eq!(voter.user(), None);
        }
        for attribute in ["pk", "sk", "voting_closed", "v", "expires_at"] {
            assert_eq!(Voter::parse(attribute), None, "{attribute}");
        }
    }

    #[test]
    fn each_chosen_option_counts_once_per_voter() {
        let shard = |votes: &[(usize, &[usize])]| VoteShard {
            is_closed: false,
            votes: votes
                .iter()
                .map(|(n, options)| {
                    let choice = Choice::from_options(options.iter().copied());
                    (Voter::from_user(&user(*n)), Ballot { choice, revision: 0 })
                })
                .collect(),
            barred: BTreeSet::new(),
        };
        let shards = [shard(&[(1, &[0]), (2, &[0, 2])]), shard(&[(3, &[2])]), shard(&[])];
        let tally = Tally::count(3, &shards);
        assert_eq!(tally, Tally { votes: vec![2, 0, 2], responses: 3 });
    }

    #[test]
    fn ballot_round_trips_through_its_number() {
        for (options, revision) in
            [(vec![0], 0), (vec![9], 0), ((0..10).collect(), 7), (vec![3], u32::MAX)]
        {
            let ballot = Ballot { choice: Choice::from_options(options), revision };
            assert_eq!(Ballot::from_number(ballot.to_number()), Some(ballot));
        }
        assert_eq!(Ballot::from_number(u64::MAX), None);
    }

    /// An event in the life of a poll with three options.
    #[derive(Clone, Copy, Debug)]
    enum Event {
        /// A voter votes once.
        Vote(usize, usize),
        /// A voter votes, and the request is retried after a lost response.
        RetriedVote(usize, usize),
        /// A delayed duplicate of an earlier write arrives.
        DelayedWrite(usize),
        /// The next shard is closed.
        CloseShard,
    }

    fn events() -> impl Strategy<Value = Vec<Event>> {
        let event = prop_oneof![
            6 => (0..12usize, 0..3usize).prop_map(|(user_number, option)| Event::Vote(user_number, option)),
            2 => (0..12usize, 0..3usize).prop_map(|(user_number, option)| Event::RetriedVote(user_number, option)),
            3 => (0..1000usize).prop_map(Event::DelayedWrite),
            1 => Just(Event::CloseShard),
        ];
        proptest::collection::vec(event, 0..200)
    }

    /// Applies a conditional write like the table does.
    fn write(shard: &mut VoteShard, voter: &Voter, old: Option<Ballot>, new: Ballot) {
        if !shard.is_closed && shard.votes.get(voter).copied() == old {
            shard.votes.insert(voter.clone(), new);
        }
    }

    proptest! {
        /// A voter whose vote was accepted is counted with exactly that vote, and a refused vote is never counted.
        #[test]
        fn vote_is_either_counted_or_refused(events in events(), count in 1..6u16) {
            let mut shards = vec![VoteShard::default(); usize::from(count)];
            let mut writes: Vec<(Voter, Option<Ballot>, Ballot)> = Vec::new();
            let mut accepted: BTreeMap<Voter, Choice> = BTreeMap::new();
            let mut closed_count = 0;
            for event in events {
                let (user_number, option, times) = match event {
                    Event::Vote(user_number, option) => (user_number, option, 1),
                    Event::RetriedVote(user_number, option) => (user_number, option, 2),
                    Event::DelayedWrite(_) if writes.is_empty() => continue,
                    Event::DelayedWrite(which) => {
                        let (voter, old, new) = &writes[which % writes.len()];
                        write(&mut shards[usize::from(voter.shard_number(count))], voter, *old, *new);
                        continue;
                    }
                    Event::CloseShard => {
                        if let Some(next) = shards.get_mut(closed_count) {
                            next.is_closed = true;
                            closed_count += 1;
                        }
                        continue;
                    }
                };
                let (voter, choice) = (Voter::from_user(&user(user_number)), Choice::from_options([option]));
                let shard = &mut shards[usize::from(voter.shard_number(count))];
                for _ in 0..times {
                    if let VoteOutcome::Write { old, new } = shard.outcome(&voter, choice, true) {
                        write(shard, &voter, old, new);
                        writes.push((voter.clone(), old, new));
                    }
                }
                match shard.outcome(&voter, choice, true) {
                    VoteOutcome::AlreadyCounted => drop(accepted.insert(voter, choice)),
                    VoteOutcome::Refused => prop_assert!(accepted.get(&voter) != Some(&choice)),
                    VoteOutcome::Write { .. } => prop_assert!(false, "an open shard must accept the vote"),
                }
            }
            let mut expected = Tally { votes: vec![0; 3], responses: 0 };
            for choice in accepted.values() {
                expected.responses += 1;
                (0..3).for_each(|option| expected.votes[option] += u32::from(choice.contains(option)));
            }
            prop_assert_eq!(Tally::count(3, &shards), expected);
        }
    }
}
