//! Polls in live sessions: validation, options, and results.

use std::collections::HashSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::attendance::Percent;
use super::id::{OptionId, PollId};
use super::refusal::{FieldError, Refusal};
use super::sealed::Sealed;
use super::session::{Provider, Session, Status};
use super::text::{OptionText, Question};
use super::time::whole_milli;
use super::vote::{Choice, Tally};

/// The allowed number of options. More than ten do not fit beside a video.
pub const OPTION_COUNT: std::ops::RangeInclusive<usize> = 2..=10;
/// The maximum number of polls of one session. Their list is one item of at most 400 KB, of which the longest texts take
/// 300 KB. See also `vote::SHARD_LIMIT`.
pub const POLLS_LIMIT: usize = 32;

/// The unchecked request body of a poll launch.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LaunchBody {
    pub question: Option<String>,
    pub options: Option<Vec<String>>,
    pub multiple: Option<bool>,
    pub anonymous: Option<bool>,
    pub results: Option<ResultsVisibility>,
}

/// When the audience sees the results of a poll. The trainer always does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResultsVisibility {
    #[default]
    Always,
    AfterClose,
}

/// A validated request to launch a poll.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PollDraft {
    pub question: Question,
    pub options: Vec<OptionText>,
    /// Whether a voter may choose several options.
    pub multiple: bool,
    /// Whether the results do not reveal voters.
    pub anonymous: bool,
    pub results: ResultsVisibility,
}

impl PollDraft {
    /// Validates a request body. Returns the errors of all fields at once.
    pub fn check(body: LaunchBody) -> Result<Self, Refusal> {
        let mut errors = Vec::new();
        let question = match body.question.as_deref().map(Question::parse) {
            Some(Ok(question)) => Some(question),
            Some(Err(error)) => {
                errors.push(FieldError::new("question", error));
                None
            }
            None => {
                errors.push(FieldError::new("question", "is required"));
                None
            }
        };
        let options = parse_options(&mut errors, body.options.as_deref());
        match question {
            Some(question) if errors.is_empty() => Ok(Self {
                question,
                options,
                multiple: body.multiple.unwrap_or(false),
                anonymous: body.anonymous.unwrap_or(false),
                results: body.results.unwrap_or_default(),
            }),
            _ => Err(Refusal::Invalid(errors)),
        }
    }
}

fn parse_options(errors: &mut Vec<FieldError>, texts: Option<&[String]>) -> Vec<OptionText> {
    let Some(texts) = texts else {
        errors.push(FieldError::new("options", "is required"));
        return Vec::new();
    };
    if !OPTION_COUNT.contains(&texts.len()) {
        let message =
            format!("must have {} to {} entries", OPTION_COUNT.start(), OPTION_COUNT.end());
        errors.push(FieldError::new("options", message));
        return Vec::new();
    }
    let mut seen = HashSet::new();
    let mut parsed = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        let field = format!("options[{index}]");
        match OptionText::parse(text) {
            Ok(text) if seen.insert(text.clone()) => parsed.push(text),
            Ok(_) => errors.push(FieldError::new(field, "must not repeat another option")),
            Err(error) => errors.push(FieldError::new(field, error)),
        }
    }
    parsed
}

/// A launched poll. Its question and options never change.
#[derive(Clone, Debug, PartialEq)]
pub struct Poll {
    pub id: PollId,
    pub question: Question,
    pub options: Vec<OptionText>,
    pub multiple: bool,
    pub anonymous: bool,
    pub results: ResultsVisibility,
    /// The number of vote shards.
    pub shard_count: u16,
    pub opened_at: Timestamp,
    /// The number of people other than the host in the meeting at launch. `None` for a session that is not on Zoom.
    pub present_at_launch: Option<u32>,
    pub outcome: Option<PollOutcome>,
    /// The key with which an anonymous poll hashes its voters.
    pub voter_key: Option<Sealed>,
    /// The hash of the launch request's body, which distinguishes a retry from a different request.
    pub launch_body_hash: String,
}

/// The final result of a poll. Every shard was closed before it was counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PollOutcome {
    pub closed_at: Timestamp,
    pub tally: Tally,
    /// The number of people in the meeting at some time while the poll was open.
    pub present_count: Option<u32>,
}

impl Poll {
    pub fn is_open(&self) -> bool {
        self.outcome.is_none()
    }

    pub fn option_id(&self, option: usize) -> OptionId {
        OptionId::for_option(&self.id, option)
    }

    /// Parses the option ids of a vote.
    pub fn parse_choice(&self, option_ids: &[String]) -> Result<Choice, Refusal> {
        let invalid = |message: &str| Err(Refusal::field("option_ids", message));
        if option_ids.is_empty() {
            return invalid("must name an option");
        }
        let ids: Vec<_> = (0..self.options.len()).map(|option| self.option_id(option)).collect();
        let mut chosen = Vec::with_capacity(option_ids.len());
        for option_id in option_ids {
            let option =
                ids.iter().position(|id| id.as_str() == option_id).ok_or(Refusal::NotFound)?;
            if chosen.contains(&option) {
                return invalid("must name each option only once");
            }
            chosen.push(option);
        }
        if chosen.len() > 1 && !self.multiple {
            return invalid("must name one option, because the poll is single choice");
        }
        Ok(Choice::from_options(chosen))
    }

    /// Returns whether the audience does not see the results yet.
    pub fn hides_results(&self) -> bool {
        self.is_open() && self.results == ResultsVisibility::AfterClose
    }

    /// Returns the poll as it is after the end of its session, which closes an open poll. If the meeting is started again,
    /// the session and the poll go on.
    pub fn as_of_session(self, session: &Session, tally: &Tally, now: Timestamp) -> Self {
        let ended_at = polls_ended_at(session, now).filter(|_| self.is_open());
        let Some(ended_at) = ended_at else { return self };
        let outcome = PollOutcome {
            closed_at: ended_at.max(self.opened_at),
            tally: tally.clone(),
            present_count: self.present_at_launch,
        };
        Self { outcome: Some(outcome), ..self }
    }

    /// Returns the option ids of a choice in the poll's order.
    pub fn chosen_option_ids(&self, choice: Choice) -> Vec<OptionId> {
        (0..self.options.len())
            .filter(|option| choice.contains(*option))
            .map(|option| self.option_id(option))
            .collect()
    }

    /// Returns the number of people present: at launch for an open poll, while it was open for a closed one.
    pub fn present_count(&self) -> Option<u32> {
        self.outcome.as_ref().map_or(self.present_at_launch, |closed| closed.present_count)
    }

    /// Returns the share of votes among the people present. It is capped at 100%, because people may vote without being in
    /// the meeting.
    pub fn response_rate(&self, responses: u32) -> Option<Percent> {
        let present = self.present_count().filter(|present| *present > 0)?;
        Some(Percent::ratio(responses.min(present).into(), present.into()))
    }
}

/// Returns the end of a session that is over, which closes its polls.
pub fn polls_ended_at(session: &Session, now: Timestamp) -> Option<Timestamp> {
    let end = match check_session_live(session, now) {
        Err(Refusal::SessionEnded) => session.actual_ended_at,
        Err(Refusal::SessionCancelled) => session.actual_ended_at.or(session.cancelled_at),
        _ => return None,
    };
    let window_closes_at = session.window_closes_at();
    Some(whole_milli(end.map_or(window_closes_at, |end| end.min(window_closes_at))))
}

/// Checks that polls can be launched and answered at `now`, which is while the session is live in its window. A session with a manual link sends no events, so it counts as
/// live from its planned start.
pub fn check_session_live(session: &Session, now: Timestamp) -> Result<(), Refusal> {
    let is_over = now >= session.window_closes_at();
    let is_rehearsal = now < session.window_opens_at();
    match session.status {
        Status::Cancelled => Err(Refusal::SessionCancelled),
        Status::Ended => Err(Refusal::SessionEnded),
        Status::Scheduled | Status::Live if is_over => Err(Refusal::SessionEnded),
        Status::Live if !is_rehearsal => Ok(()),
        Status::Scheduled
            if session.provider == Provider::Manual && now >= session.details.starts_at =>
        {
            Ok(())
        }
        Status::Scheduled | Status::Live => {
            Err(Refusal::NotStarted { starts_at: session.details.starts_at })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(question: &str, options: &[&str]) -> LaunchBody {
        LaunchBody {
            question: Some(question.to_owned()),
            options: Some(options.iter().map(|text| (*text).to_owned()).collect()),
            ..LaunchBody::default()
        }
    }

    fn poll(id: u8, multiple: bool) -> Poll {
        let draft = PollDraft::check(body("Which?", &["a", "b", "c"])).unwrap();
        Poll {
            id: PollId::from_bytes([id; 16]),
            question: draft.question,
            options: draft.options,
            multiple,
            anonymous: false,
            results: ResultsVisibility::Always,
            shard_count: 1,
            opened_at: Timestamp::UNIX_EPOCH,
            present_at_launch: None,
            outcome: None,
            voter_key: None,
            launch_body_hash: String::new(),
        }
    }

    #[test]
    fn invalid_launch_fields_are_reported_by_name() {
        let eleven: Vec<String> = (0..11).map(|n| n.to_string()).collect();
        let eleven: Vec<&str> = eleven.iter().map(String::as_str).collect();
        let long = "é".repeat(301);
        let long_option = "é".repeat(201);
        let cases = [
            (body("Which?", &["a", "b"]), vec![]),
            (body("Which?", &eleven[..10]), vec![]),
            (body(&long[..600], &["a", &long_option[..400]]), vec![]),
            (body("", &["a", "b"]), vec!["question"]),
            (body(" \t", &["a"]), vec!["question", "options"]),
            (body(&long, &["a", "b"]), vec!["question"]),
            (body("a\r\nb", &["a", "b"]), vec!["question"]),
            (body("Which?", &["a"]), vec!["options"]),
            (body("Which?", &eleven), vec!["options"]),
            (body("Which?", &["a", " a "]), vec!["options[1]"]),
            (body("Which?", &["a", "", &long_option]), vec!["options[1]", "options[2]"]),
            (LaunchBody::default(), vec!["question", "options"]),
        ];
        for (body, invalid_fields) in cases {
            let fields: Vec<String> = match PollDraft::check(body.clone()) {
                Ok(_) => Vec::new(),
                Err(Refusal::Invalid(errors)) => errors.into_iter().map(|e| e.field).collect(),
                Err(other) => panic!("{other}"),
            };
            assert_eq!(fields, invalid_fields, "{body:.200?}");
        }
    }

    #[test]
    fn choice_accepts_each_option_of_its_own_poll_once() {
        let (single_choice, multiple_choice) = (poll(1, false), poll(2, true));
        let names = |poll: &Poll, options: &[usize]| -> Vec<String> {
            options.iter().map(|option| poll.option_id(*option).to_string()).collect()
        };
        assert_eq!(
            single_choice.parse_choice(&names(&single_choice, &[2])),
            Ok(Choice::from_options([2]))
        );
        assert_eq!(
            multiple_choice.parse_choice(&names(&multiple_choice, &[2, 0])),
            Ok(Choice::from_options([0, 2]))
        );
        assert_eq!(
            multiple_choice.chosen_option_ids(Choice::from_options([0, 2])),
            [multiple_choice.option_id(0), multiple_choice.option_id(2)]
        );
        assert_eq!(
            single_choice.parse_choice(&names(&multiple_choice, &[0])),
            Err(Refusal::NotFound)
        );
        assert_eq!(single_choice.parse_choice(&["a".to_owned()]), Err(Refusal::NotFound));
        for (poll, options) in
            [(&single_choice, &[][..]), (&single_choice, &[0, 1]), (&multiple_choice, &[1, 1])]
        {
            let result = poll.parse_choice(&names(poll, options));
            assert!(matches!(result, Err(Refusal::Invalid(_))), "{options:?}");
        }
    }

    #[test]
    fn response_rate_is_capped_at_the_people_present() {
        let rate = |present, responses| {
            Poll { present_at_launch: present, ..poll(1, false) }.response_rate(responses)
        };
        assert_eq!(rate(None, 3), None);
        assert_eq!(rate(Some(0), 3), None);
        assert_eq!(rate(Some(4), 3), Some(Percent::ratio(3, 4)));
        assert_eq!(rate(Some(4), 5), Some(Percent::ratio(1, 1)));
    }
}
