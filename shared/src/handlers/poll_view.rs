//! Polls as the API shows them.

use jiff::Timestamp;
use serde::Serialize;

use super::csv::CsvTable;
use super::edge::ResponseBody;
use crate::app::poll::{PollsResponse, PollWithTally};
use crate::domain::attendance::Percent;
use crate::domain::id::{OptionId, PollId, SessionId, UserId};
use crate::domain::refusal::Refusal;

/// What a file may have, so that it fits into an answer of Lambda's, which ends at 6 MB with the headers and the escapes
/// that the file's quotes and line ends take.
const FILE_LIMIT_BYTES: usize = 5_000_000;

/// The columns of the CSV, in their order.
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

pub(super) fn list(list: &PollsResponse) -> PollsView<'_> {
    // A class has fewer polls than the shortest page that anybody gets without asking.
    PollsView { items: list.polls.iter().map(poll).collect(), next_cursor: None }
}

pub(super) fn poll(shown: &PollWithTally) -> PollView<'_> {
    let PollWithTally { poll, tally, voters, own } = shown;
    let options = poll.options.iter().enumerate().map(|(option, text)| OptionView {
        id: poll.option_id(option),
        text: text.as_str(),
        votes: tally.votes.get(option).copied().unwrap_or(0),
    });
    let voter = |(user_id, choice)| VoterView { user_id, option_ids: poll.chosen(choice) };
    PollView {
        id: &poll.id,
        question: poll.question.as_str(),
        multiple: poll.multiple,
        anonymous: poll.anonymous,
        state: state(shown),
        options: options.collect(),
        responses: tally.responses,
        present: poll.present(),
        response_rate: poll.response_rate(tally.responses),
        my_vote: poll.chosen(*own),
        opened_at: poll.opened_at,
        closed_at: poll.closed.as_ref().map(|closed| closed.at),
        voters: voters
            .as_ref()
            .map(|voters| voters.iter().map(|(user, choice)| voter((user, *choice))).collect()),
    }
}

fn state(shown: &PollWithTally) -> &'static str {
    if shown.poll.is_open() { "open" } else { "closed" }
}

/// The results as a file: for each option of each poll a row for everybody of whom it is known that they chose it, or one
/// row without anybody.
pub(super) fn csv(session: &SessionId, list: &PollsResponse) -> Result<ResponseBody, Refusal> {
    let too_much =
        || Refusal::field("poll_id", "must name a poll: all of them do not fit one file");
    if list.is_cut {
        return Err(too_much());
    }
    let mut table = CsvTable::new(COLUMNS);
    for shown in &list.polls {
        rows(&mut table, shown);
    }
    let text = table.finish();
    if text.len() > FILE_LIMIT_BYTES {
        return Err(too_much());
    }
    Ok(ResponseBody::text(CsvTable::<{ COLUMNS.len() }>::CONTENT_TYPE, text)
        .as_file(&format!("polls-{session}.csv")))
}

fn rows(table: &mut CsvTable<{ COLUMNS.len() }>, shown: &PollWithTally) {
    let PollWithTally { poll, tally, voters, .. } = shown;
    let or_empty = |text: Option<String>| text.unwrap_or_default();
    for (option, text) in poll.options.iter().enumerate() {
        let row = |user: &str| {
            [
                poll.id.to_string(),
                poll.question.as_str().to_owned(),
                poll.multiple.to_string(),
                poll.anonymous.to_string(),
                state(shown).to_owned(),
                poll.opened_at.to_string(),
                or_empty(poll.closed.as_ref().map(|closed| closed.at.to_string())),
                tally.responses.to_string(),
                or_empty(poll.present().map(|present| present.to_string())),
                or_empty(poll.response_rate(tally.responses).map(|rate| rate.to_string())),
                poll.option_id(option).to_string(),
                text.as_str().to_owned(),
                tally.votes.get(option).copied().unwrap_or(0).to_string(),
                user.to_owned(),
            ]
        };
        let chose = voters.iter().flatten().filter(|(_, choice)| choice.has(option));
        let mut chose = chose.map(|(user, _)| user.as_str()).peekable();
        if chose.peek().is_none() {
            table.row(row(""));
        }
        for user in chose {
            table.row(row(user));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::vote::{Choice, Tally};
    use crate::domain::poll::Poll;
    use crate::domain::text::{OptionText, Question};

    fn shown(anonymous: bool, voters: usize) -> PollWithTally {
        let poll = Poll {
            id: PollId::from_bytes([1; 16]),
            question: Question::parse("=How many, \"roughly\"?").unwrap(),
            options: ["+1", "2, or so"].map(|text| OptionText::parse(text).unwrap()).to_vec(),
            multiple: false,
            anonymous,
            boxes: 1,
            opened_at: "2026-11-22T11:00:00Z".parse().unwrap(),
            present: Some(4),
            closed: None,
            key: None,
            launched_from: String::new(),
        };
        let user = |n| UserId::parse(&format!("0b5f3c1e-7a52-4a0e-9d4f-{n:012}")).unwrap();
        let named: Vec<_> = (0..voters).map(|n| (user(n), Choice::of([1]))).collect();
        let count = u32::try_from(voters).unwrap();
        PollWithTally {
            poll,
            tally: Tally { votes: vec![0, count], responses: count },
            voters: (!anonymous).then_some(named),
            own: Choice::default(),
        }
    }

    fn text(polls: Vec<PollWithTally>) -> String {
        let mut table = CsvTable::new(COLUMNS);
        polls.iter().for_each(|shown| rows(&mut table, shown));
        table.finish()
    }

    #[test]
    fn every_option_is_in_the_file_and_nothing_in_it_is_a_formula() {
        let named = text(vec![shown(false, 2)]);
        let lines: Vec<_> = named.lines().collect();
        assert_eq!(lines.len(), 1 + 1 + 2, "{named}");
        assert!(
            lines[1].contains(",\"'=How many, \"\"roughly\"\"?\",false,false,open,"),
            "{named}"
        );
        assert!(lines[1].ends_with(",'+1,0,"), "{named}");
        assert!(lines[3].ends_with(",\"2, or so\",2,0b5f3c1e-7a52-4a0e-9d4f-000000000001"));
        assert!(lines[3].contains(",2,4,50.0,opt_"), "{named}");
        let anonymous = text(vec![shown(true, 2)]);
        assert_eq!(anonymous.lines().count(), 1 + 2);
        assert!(anonymous.lines().skip(1).all(|line| line.ends_with(',')), "{anonymous}");
    }

    /// AWS: the answer of a synchronous call, in which the body is a JSON text.
    const ANSWER_LIMIT_BYTES: usize = 6 * 1024 * 1024;

    #[test]
    fn the_voters_of_one_answer_fit_into_it() {
        let polls = PollsResponse { polls: vec![shown(false, 20_000)], is_owner: true, is_cut: false };
        let json = serde_json::to_string(&list(&polls)).unwrap();
        let file = text(polls.polls);
        assert!(file.len() < FILE_LIMIT_BYTES, "{} bytes", file.len());
        for body in [json, file] {
            let answer = serde_json::to_string(&body).unwrap();
            assert!(answer.len() < ANSWER_LIMIT_BYTES, "{} bytes", answer.len());
        }
    }
}
