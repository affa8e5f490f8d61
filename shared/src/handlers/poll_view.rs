//! Polls as JSON and CSV.

use jiff::Timestamp;
use serde::Serialize;

use super::csv::{CsvTable, Separator};
use super::cursor::{Cursor, Position};
use super::pages::PAGE_LIMIT_BYTES;
use crate::app::poll::{PollWithTally, PollsResponse};
use crate::domain::attendance::Percent;
use crate::domain::id::{OptionId, PollId, UserId};
use crate::domain::poll::ResultsVisibility;

/// The columns of the CSV.
const COLUMNS: [&str; 14] = [
    "poll_id",
    "question",
    "multiple",
    "anonymous",
    "state",
    "opened_at",
    "closed_at",
    "responses",
    "present",
    "response_rate",
    "option_id",
    "option",
    "votes",
    "user_id",
];

#[derive(Serialize)]
pub(super) struct PollView<'a> {
    id: &'a PollId,
    question: &'a str,
    multiple: bool,
    anonymous: bool,
    results: ResultsVisibility,
    state: &'static str,
    options: Vec<OptionView<'a>>,
    responses: Option<u32>,
    present: Option<u32>,
    response_rate: Option<Percent>,
    my_vote: Vec<OptionId>,
    opened_at: Timestamp,
    closed_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    voters: Option<Vec<VoterView<'a>>>,
}

#[derive(Serialize)]
struct OptionView<'a> {
    id: OptionId,
    text: &'a str,
    votes: Option<u32>,
}

#[derive(Serialize)]
struct VoterView<'a> {
    user_id: &'a UserId,
    option_ids: Vec<OptionId>,
}

#[derive(Serialize)]
pub(super) struct PollsView<'a> {
    items: Vec<PollView<'a>>,
    next_cursor: Option<String>,
    next_look_seconds: u32,
}

/// Renders the polls. Voters who do not fit into the response are left out, and the CSV has all of them.
pub(super) fn polls_view(list: &PollsResponse) -> PollsView<'_> {
    let mut left = PAGE_LIMIT_BYTES - POLLS_BYTES;
    let view = |result| {
        let mut view = poll_view(result);
        let size = view.voters.as_deref().map_or(0, voters_size);
        match left.checked_sub(size) {
            Some(rest) => left = rest,
            None => view.voters = None,
        }
        view
    };
    // A session has fewer polls than the default page size.
    PollsView {
        items: list.polls.iter().map(view).collect(),
        next_cursor: None,
        next_look_seconds: list.next_look_seconds,
    }
}

/// The size of the polls without their voters: 32 polls with the longest texts.
const POLLS_BYTES: usize = 700_000;
/// The size of a voter besides the ids, and of an option id, with escapes.
const VOTER_BYTES: usize = 50;
const OPTION_BYTES: usize = 30;

fn voters_size(voters: &[VoterView<'_>]) -> usize {
    let size = |voter: &VoterView<'_>| {
        VOTER_BYTES + voter.user_id.as_str().len() + OPTION_BYTES * voter.option_ids.len()
    };
    voters.iter().map(size).sum()
}

pub(super) fn poll_view(result: &PollWithTally) -> PollView<'_> {
    let PollWithTally { poll, tally, voters, own_choice: own } = result;
    let options = poll.options.iter().enumerate().map(|(option, text)| OptionView {
        id: poll.option_id(option),
        text: text.as_str(),
        votes: tally.as_ref().map(|tally| tally.votes.get(option).copied().unwrap_or(0)),
    });
    let responses = tally.as_ref().map(|tally| tally.responses);
    let voter =
        |(user_id, choice)| VoterView { user_id, option_ids: poll.chosen_option_ids(choice) };
    PollView {
        id: &poll.id,
        question: poll.question.as_str(),
        multiple: poll.multiple,
        anonymous: poll.anonymous,
        results: poll.results,
        state: state(result),
        options: options.collect(),
        responses,
        present: poll.present_count(),
        response_rate: responses.and_then(|responses| poll.response_rate(responses)),
        my_vote: poll.chosen_option_ids(*own),
        opened_at: poll.opened_at,
        closed_at: poll.outcome.as_ref().map(|closed| closed.closed_at),
        voters: voters
            .as_ref()
            .map(|voters| voters.iter().map(|(user, choice)| voter((user, *choice))).collect()),
    }
}

fn state(result: &PollWithTally) -> &'static str {
    if result.poll.is_open() { "open" } else { "closed" }
}

/// The position of the next row in the CSV. Voters are sorted, so it stays valid while people vote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CsvPosition {
    poll: PollId,
    option: usize,
    /// The voter of the row before.
    after: Option<UserId>,
}

impl CsvPosition {
    pub(super) fn poll(&self) -> &PollId {
        &self.poll
    }

    fn start_of(poll: &PollId) -> Self {
        Self { poll: poll.clone(), option: 0, after: None }
    }
}

impl Position for CsvPosition {
    fn to_text(&self) -> String {
        let after = self.after.as_ref().map(UserId::as_str).unwrap_or_default();
        format!("{}#{}#{after}", self.poll, self.option)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '#');
        let (poll, option) = (PollId::parse(parts.next()?)?, parts.next()?.parse().ok()?);
        let after = match parts.next()? {
            "" => None,
            user => Some(UserId::parse(user).ok()?),
        };
        Some(Self { poll, option, after })
    }
}

/// Renders a page of the results as CSV: for each option of each poll one row per known voter, or one row without a voter.
/// Returns the cursor of the next page.
pub(super) fn csv(
    list: &PollsResponse,
    separator: Separator,
    from: Option<&CsvPosition>,
) -> (CsvTable, Option<Cursor<CsvPosition>>) {
    let mut table = match from {
        None => CsvTable::new(COLUMNS, separator),
        Some(_) => CsvTable::later_page(separator),
    };
    for result in &list.polls {
        let start = CsvPosition::start_of(&result.poll.id);
        let start = from.filter(|from| from.poll == start.poll).cloned().unwrap_or(start);
        // The voters were not read, because the polls before have too many.
        let is_unread = result.voters.is_none() && !result.poll.anonymous;
        let next = if is_unread { Some(start) } else { rows(&mut table, result, start) };
        if let Some(next) = next {
            return (table, Some(Cursor(next)));
        }
    }
    (table, None)
}

/// Writes the rows of a poll from a position on. Returns the position at which the page is full.
fn rows(table: &mut CsvTable, result: &PollWithTally, start: CsvPosition) -> Option<CsvPosition> {
    let PollWithTally { poll, voters, .. } = result;
    for option in start.option..poll.options.len() {
        let mut after = start.after.as_ref().filter(|_| option == start.option);
        let is_left = |user: &UserId| after.is_none_or(|after| user > after);
        let mut voters: Vec<_> = voters
            .iter()
            .flatten()
            .filter(|(user, choice)| choice.contains(option) && is_left(user))
            .map(|(user, _)| Some(user))
            .collect();
        if voters.is_empty() && after.is_none() {
            voters.push(None);
        }
        for user in voters {
            if table.size() > PAGE_LIMIT_BYTES {
                let (poll, after) = (poll.id.clone(), after.cloned());
                return Some(CsvPosition { poll, option, after });
            }
            table.row(cells(result, option, user));
            after = user;
        }
    }
    None
}

fn cells(result: &PollWithTally, option: usize, user: Option<&UserId>) -> [String; COLUMNS.len()] {
    let PollWithTally { poll, tally, .. } = result;
    let or_empty = |text: Option<String>| text.unwrap_or_default();
    let responses = tally.as_ref().map(|tally| tally.responses);
    let rate = responses.and_then(|responses| poll.response_rate(responses));
    let votes = tally.as_ref().map(|tally| tally.votes.get(option).copied().unwrap_or(0));
    [
        poll.id.to_string(),
        poll.question.as_str().to_owned(),
        poll.multiple.to_string(),
        poll.anonymous.to_string(),
        state(result).to_owned(),
        poll.opened_at.to_string(),
        or_empty(poll.outcome.as_ref().map(|closed| closed.closed_at.to_string())),
        or_empty(responses.map(|responses| responses.to_string())),
        or_empty(poll.present_count().map(|present| present.to_string())),
        or_empty(rate.map(|rate| rate.to_string())),
        poll.option_id(option).to_string(),
        poll.options.get(option).map(|text| text.as_str().to_owned()).unwrap_or_default(),
        or_empty(votes.map(|votes| votes.to_string())),
        or_empty(user.map(|user| user.as_str().to_owned())),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::poll::Poll;
    use crate::domain::text::{OptionText, Question};
    use crate::domain::vote::{Choice, Tally};

    fn result(anonymous: bool, voters: usize) -> PollWithTally {
        let poll = Poll {
            id: PollId::from_bytes([1; 16]),
            question: Question::parse("=How many, \"roughly\"?").unwrap(),
            options: ["+1", "2, or so"].map(|text| OptionText::parse(text).unwrap()).to_vec(),
            multiple: false,
            anonymous,
            results: ResultsVisibility::Always,
            shard_count: 1,
            opened_at: "2026-11-22T11:00:00Z".parse().unwrap(),
            present_at_launch: Some(4),
            outcome: None,
            voter_key: None,
            launch_body_hash: String::new(),
        };
        let user = |n| UserId::parse(&format!("0b5f3c1e-7a52-4a0e-9d4f-{n:012}")).unwrap();
        let named: Vec<_> = (0..voters).map(|n| (user(n), Choice::from_options([1]))).collect();
        let count = u32::try_from(voters).unwrap();
        PollWithTally {
            poll,
            tally: Some(Tally { votes: vec![0, count], responses: count }),
            voters: (!anonymous).then_some(named),
            own_choice: Choice::default(),
        }
    }

    fn list(polls: Vec<PollWithTally>) -> PollsResponse {
        PollsResponse::full(polls)
    }

    fn text(polls: Vec<PollWithTally>) -> String {
        let (table, next) = csv(&list(polls), Separator::Comma, None);
        assert_eq!(next, None);
        table.finish()
    }

    #[test]
    fn csv_contains_every_option_and_no_formulas() {
        let named = text(vec![result(false, 2)]);
        let lines: Vec<_> = named.lines().collect();
        assert_eq!(lines.len(), 1 + 1 + 2, "{named}");
        assert!(
            lines[1].contains(",\"'=How many, \"\"roughly\"\"?\",false,false,open,"),
            "{named}"
        );
        assert!(lines[1].ends_with(",'+1,0,"), "{named}");
        assert!(lines[3].ends_with(",\"2, or so\",2,0b5f3c1e-7a52-4a0e-9d4f-000000000001"));
        assert!(lines[3].contains(",2,4,50.0,opt_"), "{named}");
        let anonymous = text(vec![result(true, 2)]);
        assert_eq!(anonymous.lines().count(), 1 + 2);
        assert!(anonymous.lines().skip(1).all(|line| line.ends_with(',')), "{anonymous}");
    }

    /// AWS: the limit of a synchronous response, whose body is a JSON string.
    const RESPONSE_LIMIT_BYTES: usize = 6 * 1024 * 1024;

    /// A poll in which every voter chose every option.
    fn large(voters: usize) -> PollWithTally {
        let mut result = result(false, voters);
        let poll = &mut result.poll;
        poll.question = Question::parse(&"\"é".repeat(30)).unwrap();
        poll.options = (0..10)
            .map(|n| OptionText::parse(&format!("{n}{}", "\"".repeat(40))).unwrap())
            .collect();
        for (_, choice) in result.voters.iter_mut().flatten() {
            *choice = Choice::from_options(0..10);
        }
        result
    }

    #[test]
    fn ten_options_of_five_thousand_voters_are_exported_in_pages() {
        let mut second = result(false, 3);
        second.poll.id = PollId::from_bytes([2; 16]);
        let polls = list(vec![large(5_000), second]);
        let (mut file, mut cursor, mut pages) = (String::new(), None, 0);
        loop {
            let from = cursor
                .map(|cursor: Cursor<CsvPosition>| Cursor::decode(&cursor.encode()).unwrap().0);
            let (page, next) = csv(&polls, Separator::Semicolon, from.as_ref());
            let page = page.finish();
            let response = serde_json::to_string(&page).unwrap();
            assert!(response.len() < RESPONSE_LIMIT_BYTES, "{} bytes", response.len());
            file.push_str(&page);
            pages += 1;
            cursor = next;
            if cursor.is_none() {
                break;
            }
        }
        assert!(pages > 4, "{pages} pages");
        let rows: Vec<_> = file.lines().skip(1).collect();
        let distinct: std::collections::BTreeSet<_> = rows.iter().collect();
        assert_eq!((rows.len(), distinct.len()), (50_000 + 1 + 3, 50_000 + 1 + 3));
    }

    #[test]
    fn polls_without_read_voters_begin_the_next_page() {
        let mut unread = result(false, 1);
        unread.poll.id = PollId::from_bytes([2; 16]);
        unread.voters = None;
        let polls = list(vec![result(false, 1), unread]);
        let (page, next) = csv(&polls, Separator::Comma, None);
        assert_eq!(page.finish().lines().count(), 1 + 2);
        assert_eq!(next.unwrap().0, CsvPosition::start_of(&polls.polls[1].poll.id));
    }

    #[test]
    fn voters_that_do_not_fit_are_left_out_of_the_json() {
        for (polls, listed) in [
            (vec![result(false, 20_000)], vec![true]),
            (vec![large(5_000), result(false, 1)], vec![true, true]),
            (vec![large(20_000), result(false, 1)], vec![false, true]),
        ] {
            let polls = list(polls);
            let view = polls_view(&polls);
            let has_voters: Vec<_> = view.items.iter().map(|poll| poll.voters.is_some()).collect();
            assert_eq!(has_voters, listed);
            let json = serde_json::to_string(&view).unwrap();
            let response = serde_json::to_string(&json).unwrap();
            assert!(response.len() < RESPONSE_LIMIT_BYTES, "{} bytes", response.len());
        }
    }
}
