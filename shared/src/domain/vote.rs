//! Votes, and how they are counted.
//!
//! A vote is kept in a box, as the last word of its voter there; counting is adding up what the boxes hold. Nothing is
//! ever added to a number or taken from one, so a vote that is sent twice, changed, or written again after a lost answer
//! cannot be counted twice or be lost between two answers. A box that is shut takes nothing more: whoever shuts a box
//! and whoever votes into it both write the one item, and one of them was first.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::id::UserId;

/// Voters that a box is meant for: of so many, each with an id as long as a UUID, it is read as one unit of 4 KB and
/// written as three of 1 KB on average.
const VOTERS_PER_BOX: usize = 80;
/// The most boxes of a poll: with those of 31 closed polls that a student's own votes are in, with the class, its list of
/// polls and the student's place in it, they are 98 of the 100 items that one request reads.
const BOXES_LIMIT: usize = 64;

/// In how many boxes a class of so many votes.
pub fn shards_for(voters: usize) -> u16 {
    let boxes = voters.div_ceil(VOTERS_PER_BOX).clamp(1, BOXES_LIMIT);
    u16::try_from(boxes).unwrap_or(1)
}

/// Which of a poll's options somebody chose: a bit for each, the first option's lowest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Choice(u16);

impl Choice {
    pub fn of(options: impl IntoIterator<Item = usize>) -> Self {
        Self(options.into_iter().fold(0, |bits, option| bits | 1 << option))
    }

    pub fn has(self, option: usize) -> bool {
        self.0 >> option & 1 == 1
    }
}

/// A vote as it lies in a box. Its round rises with every change of mind, so that a write that was under way for long and
/// arrives after a later one is told from it and refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ballot {
    pub choice: Choice,
    pub round: u32,
}

impl Ballot {
    /// Bits of the choice; no poll has more options.
    const CHOICE_BITS: u32 = 10;

    /// As one number, as which it is stored.
    pub fn number(self) -> u64 {
        u64::from(self.round) << Self::CHOICE_BITS | u64::from(self.choice.0)
    }

    pub fn from_number(number: u64) -> Option<Self> {
        let bits = u16::try_from(number & ((1 << Self::CHOICE_BITS) - 1)).ok()?;
        let round = u32::try_from(number >> Self::CHOICE_BITS).ok()?;
        Some(Self { choice: Choice(bits), round })
    }
}

/// What a voter is known by in a box. It holds a `#`, which nothing else in a box has in its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Voter(String);

impl Voter {
    const NAMED: &str = "u#";
    const KEYED: &str = "k#";
    const FORGOTTEN: &str = "x#";

    /// Of a poll that is not anonymous.
    pub fn named(user: &UserId) -> Self {
        Self(format!("{}{user}", Self::NAMED))
    }

    /// Of an anonymous poll: what a keyed hash makes of the person.
    pub fn keyed(hash: [u8; 16]) -> Self {
        Self(format!("{}{}", Self::KEYED, digits(hash)))
    }

    /// Somebody who was erased. Their vote stays, and is nobody's.
    pub fn forgotten(drawn: [u8; 16]) -> Self {
        Self(format!("{}{}", Self::FORGOTTEN, digits(drawn)))
    }

    /// As it is stored; `None` for what is no voter.
    pub fn parse(text: &str) -> Option<Self> {
        text.contains('#').then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Who it is, where that is known.
    pub fn user(&self) -> Option<UserId> {
        UserId::parse(self.0.strip_prefix(Self::NAMED)?).ok()
    }

    /// The number of the box that their vote is in.
    pub fn shard_of(&self, boxes: u16) -> u16 {
        let hash = Sha256::digest(&self.0);
        u16::from_be_bytes([hash[0], hash[1]]) % boxes.max(1)
    }
}

fn digits(bytes: [u8; 16]) -> String {
    data_encoding::BASE32_NOPAD.encode(&bytes).to_ascii_lowercase()
}

/// A box, as one item holds it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VoteShard {
    pub is_shut: bool,
    pub votes: BTreeMap<Voter, Ballot>,
}

/// What is to be done to have somebody's vote in a box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VoteOutcome {
    /// Nothing: it is there.
    Counts,
    /// Nothing can be done any more.
    Refused,
    /// To put `new` in the place of `old`, if that is still there and the box still open.
    Write { old: Option<Ballot>, new: Ballot },
}

impl VoteShard {
    /// What it takes for a voter's choice to be in it. With `is_sure`, it was read at the source; what some replica has may
    /// be the vote before the last, unless it has the shut box, so that the same choice is then written once more.
    pub fn outcome(&self, voter: &Voter, choice: Choice, is_sure: bool) -> VoteOutcome {
        let old = self.votes.get(voter).copied();
        match old {
            Some(there) if there.choice == choice && (is_sure || self.is_shut) => VoteOutcome::Counts,
            _ if self.is_shut => VoteOutcome::Refused,
            _ => {
                let round = old.map_or(0, |old| old.round.saturating_add(1));
                VoteOutcome::Write { old, new: Ballot { choice, round } }
            }
        }
    }
}

/// The votes of a poll, added up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// By option.
    pub votes: Vec<u32>,
    pub responses: u32,
}

impl Tally {
    pub fn of<'a>(options: usize, boxes: impl IntoIterator<Item = &'a VoteShard>) -> Self {
        let mut tally = Self { votes: vec![0; options], responses: 0 };
        for ballot in boxes.into_iter().flat_map(|filled| filled.votes.values()) {
            tally.responses += 1;
            for (option, votes) in tally.votes.iter_mut().enumerate() {
                *votes += u32::from(ballot.choice.has(option));
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
    fn small_classes_have_one_box_and_none_has_more_than_a_request_reads() {
        for (voters, boxes) in
            [(0, 1), (1, 1), (80, 1), (81, 2), (1000, 13), (5000, 63), (10_000, 64)]
        {
            assert_eq!(shards_for(voters), boxes, "{voters}");
        }
    }

    #[test]
    fn voters_spread_over_the_boxes_and_each_stays_in_theirs() {
        let mut filled = vec![0; 63];
        for n in 0..5000 {
            let voter = Voter::named(&user(n));
            assert_eq!(voter.shard_of(63), voter.shard_of(63));
            filled[usize::from(voter.shard_of(63))] += 1;
        }
        assert!(filled.iter().all(|voters| (40..=120).contains(voters)), "{filled:?}");
        assert_eq!(Voter::named(&user(1)).shard_of(1), 0);
    }

    #[test]
    fn only_a_named_voter_is_somebody() {
        let named = Voter::named(&user(7));
        assert_eq!(named.user(), Some(user(7)));
        assert_eq!(Voter::parse(named.as_str()), Some(named));
        for nobody in [Voter::keyed([7; 16]), Voter::forgotten([7; 16])] {
            assert_eq!(nobody.user(), None);
        }
        for own in ["pk", "sk", "shut", "v", "expires_at"] {
            assert_eq!(Voter::parse(own), None, "{own}");
        }
    }

    #[test]
    fn every_chosen_option_counts_once_for_each_voter() {
        let filled = |votes: &[(usize, &[usize])]| VoteShard {
            is_shut: false,
            votes: votes
                .iter()
                .map(|(n, options)| {
                    let choice = Choice::of(options.iter().copied());
                    (Voter::named(&user(*n)), Ballot { choice, round: 0 })
                })
                .collect(),
        };
        let boxes = [filled(&[(1, &[0]), (2, &[0, 2])]), filled(&[(3, &[2])]), filled(&[])];
        let tally = Tally::of(3, &boxes);
        assert_eq!(tally, Tally { votes: vec![2, 0, 2], responses: 3 });
    }

    #[test]
    fn a_ballot_is_one_number_and_a_later_one_is_another() {
        for (options, round) in
            [(vec![0], 0), (vec![9], 0), ((0..10).collect(), 7), (vec![3], u32::MAX)]
        {
            let ballot = Ballot { choice: Choice::of(options), round };
            assert_eq!(Ballot::from_number(ballot.number()), Some(ballot));
        }
        assert_eq!(Ballot::from_number(u64::MAX), None);
    }

    /// What happens to a poll of three options.
    #[derive(Clone, Copy, Debug)]
    enum Act {
        /// A voter chooses, and the write that it takes reaches the box.
        Vote(usize, usize),
        /// A voter chooses, and it is written; the answer is lost, and the same is asked once more.
        Again(usize, usize),
        /// A write that was sent some time ago arrives once more.
        Late(usize),
        /// Whoever closes the poll shuts the next box.
        Shut,
    }

    fn acts() -> impl Strategy<Value = Vec<Act>> {
        let act = prop_oneof![
            6 => (0..12usize, 0..3usize).prop_map(|(who, what)| Act::Vote(who, what)),
            2 => (0..12usize, 0..3usize).prop_map(|(who, what)| Act::Again(who, what)),
            3 => (0..1000usize).prop_map(Act::Late),
            1 => Just(Act::Shut),
        ];
        proptest::collection::vec(act, 0..200)
    }

    /// As the table carries out a write: whole, and only under its condition.
    fn write(own: &mut VoteShard, voter: &Voter, old: Option<Ballot>, new: Ballot) {
        if !own.is_shut && own.votes.get(voter).copied() == old {
            own.votes.insert(voter.clone(), new);
        }
    }

    proptest! {
        /// However votes, changes, doubles, late arrivals and the shutting of the boxes follow one another: whoever was told
        /// that their vote counts is counted with just that vote, and nobody with a vote that was refused.
        #[test]
        fn a_vote_is_counted_or_refused_and_never_both(acts in acts(), count in 1..6u16) {
            let mut boxes = vec![VoteShard::default(); usize::from(count)];
            let mut sent: Vec<(Voter, Option<Ballot>, Ballot)> = Vec::new();
            let mut counted: BTreeMap<Voter, Choice> = BTreeMap::new();
            let mut shut = 0;
            for act in acts {
                let (who, what, times) = match act {
                    Act::Vote(who, what) => (who, what, 1),
                    Act::Again(who, what) => (who, what, 2),
                    Act::Late(_) if sent.is_empty() => continue,
                    Act::Late(which) => {
                        let (voter, old, new) = &sent[which % sent.len()];
                        write(&mut boxes[usize::from(voter.shard_of(count))], voter, *old, *new);
                        continue;
                    }
                    Act::Shut => {
                        if let Some(next) = boxes.get_mut(shut) {
                            next.is_shut = true;
                            shut += 1;
                        }
                        continue;
                    }
                };
                let (voter, choice) = (Voter::named(&user(who)), Choice::of([what]));
                let own = &mut boxes[usize::from(voter.shard_of(count))];
                for _ in 0..times {
                    if let VoteOutcome::Write { old, new } = own.outcome(&voter, choice, true) {
                        write(own, &voter, old, new);
                        sent.push((voter.clone(), old, new));
                    }
                }
                match own.outcome(&voter, choice, true) {
                    VoteOutcome::Counts => drop(counted.insert(voter, choice)),
                    VoteOutcome::Refused => prop_assert!(counted.get(&voter) != Some(&choice)),
                    VoteOutcome::Write { .. } => prop_assert!(false, "an open box takes a vote"),
                }
            }
            let mut expected = Tally { votes: vec![0; 3], responses: 0 };
            for choice in counted.values() {
                expected.responses += 1;
                (0..3).for_each(|option| expected.votes[option] += u32::from(choice.has(option)));
            }
            prop_assert_eq!(Tally::of(3, &boxes), expected);
        }
    }
}
