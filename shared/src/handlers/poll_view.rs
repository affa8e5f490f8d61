//! Polls as JSON and CSV.

use jiff::Timestamp;
use serde::Serialize;

use super::csv::CsvTable;
use super::edge::ResponseBody;
use crate::app::poll::{PollWithTally, PollsResponse};
use crate::domain::attendance::Percent;
use crate::domain::id::{OptionId, PollId, SessionId, UserId};
use crate::domain::refusal::Refusal;

/// The size limit of a CSV file. A Lambda response ends at 6 MB, including headers and the escapes for quotes and line
/// ends.
const FILE_LIMIT_BYTES: usize = 5_000_000;

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
    state: &'static str,
    options: Vec<OptionView<'a>>,
    responses: u32,
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
    votes: u32,
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
}

pub(super) fn polls_view(list: &PollsResponse) -> PollsView<'_> {
    // A session has fewer polls than the default page size.
    PollsView { items: list.polls.iter().map(poll_view).collect(), next_cursor: None }
}

pub(super) fn poll_view(result: &PollWithTally) -> PollView<'_> {
    let PollWithTally { poll, tally, voters, own_choice: own } = result;
    let options = poll.options.iter().enumerate().map(|(option, text)| OptionView {
        id: poll.option_id(option),
        text: text.as_str(),
        votes: tally.votes.get(option).copied().unwrap_or(0),
    });
    let voter =
        |(user_id, choice)| VoterView { user_id, option_ids: poll.chosen_option_ids(choice) };
    PollView {
        id: &poll.id,
        question: poll.question.as_str(),
        multiple: poll.multiple,
        anonymous: poll.anonymous,
        state: state(result),
        options: options.collect(),
        responses: tally.responses,
        present: poll.present_count(),
        response_rate: poll.response_rate(tally.responses),
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

/// Renders the results as CSV: for each option of each poll one row per known voter, or one row without a voter.
pub(super) fn csv(session: &SessionId, list: &PollsResponse) -> Result<ResponseBody, Refusal> {
    let too_large = || {
        Refusal::field(
            "poll_id",
            "is required, because the results of all polls do not fit into one file",
        )
    };
    if list.is_truncated {
        return Err(too_large());
    }
    let mut table = CsvTable::new(COLUMNS);
    for result in &list.polls {
        rows(&mut table, result);
    }
    let text = table.finish();
    if text.len() > FILE_LIMIT_BYTES {
        return Err(too_large());
    }
    Ok(ResponseBody::text(CsvTable::<{ COLUMNS.len() }>::CONTENT_TYPE, text)
        .with_file_name(&format!("polls-{session}.csv")))
}

fn rows(table: &mut CsvTable<{ COLUMNS.len() }>, result: &PollWithTally) {
    let PollWithTally { poll, tally, voters, .. } = result;
    let or_empty = |text: Option<String>| text.unwrap_or_default();
    for (option, text) in poll.options.iter().enumerate() {
        let row = |user: &str| {
            [
                poll.id.to_string(),
                poll.question.as_str().to_owned(),
                poll.multiple.to_string(),
                poll.anonymous.to_string(),
                state(result).to_owned(),
                poll.opened_at.to_string(),
                or_empty(poll.outcome.as_ref().map(|closed| closed.closed_at.to_string())),
                tally.responses.to_string(),
                or_empty(poll.present_count().map(|present| present.to_string())),
                or_empty(poll.response_rate(tally.responses).map(|rate| rate.to_string())),
                poll.option_id(option).to_string(),
                text.as_str().to_owned(),
                tally.votes.get(option).copied().unwrap_or(0).to_string(),
                user.to_owned(),
            ]
        };
        let voters_of_option =
            voters.iter().flatten().filter(|(_, choice)| choice.contains(option));
        let mut voters_of_option = voters_of_option.map(|(user, _)| user.as_str()).peekable();
        if voters_of_option.peek().is_none() {
            table.row(row(""));
        }
        for user in voters_of_option {
            table.row(row(user));
        }
    }
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
            tally: Tally { votes: vec![0, count], responses: count },
            voters: (!anonymous).then_some(named),
            own_choice: Choice::default(),
        }
    }

    fn text(polls: Vec<PollWithTally>) -> String {
        let mut table = CsvTable::new(COLUMNS);
        polls.iter().for_each(|result| rows(&mut table, result));
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

    #[test]
    fn maximum_voters_fit_into_one_response() {
        let polls = PollsResponse {
            polls: vec![result(false, 20_000)],
            is_owner: true,
            is_truncated: false,
        };
        let json = serde_json::to_string(&polls_view(&polls)).unwrap();
        let file = text(polls.polls);
        assert!(file.len() < FILE_LIMIT_BYTES, "{} bytes", file.len());
        for body in [json, file] {
            let response = serde_json::to_string(&body).unwrap();
            assert!(response.len() < RESPONSE_LIMIT_BYTES, "{} bytes", response.len());
        }
    }
}
