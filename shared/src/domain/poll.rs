//! A question that is put to a running class: who may ask it, who may answer, and what it comes to.

use std::collections::HashSet;

use jiff::Timestamp;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::attendance::Percent;
use super::vote::{Choice, Tally};
use super::id::{OptionId, PollId};
use super::refusal::{FieldError, Refusal};
use super::sealed::Sealed;
use super::session::{Provider, Session, Status};
use super::text::{OptionText, Question};

/// How many options a poll has: one is no question, and more than ten do not fit beside a video.
pub const OPTIONS: std::ops::RangeInclusive<usize> = 2..=10;
/// Polls of one class. They are listed in one item of 400 KB, of which the longest texts take 300; and see
/// `ballot::BOXES_LIMIT`.
pub const POLLS_LIMIT: usize = 32;
/// The body of a launch as it comes in.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LaunchBody {
    pub question: Option<String>,
    pub options: Option<Vec<String>>,
    pub multiple: Option<bool>,
    pub anonymous: Option<bool>,
}

/// The body of a launch, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PollDraft {
    pub question: Question,
    pub options: Vec<OptionText>,
    /// Whether a voter may choose several options.
    pub multiple: bool,
    /// Whether nobody learns who chose what.
    pub anonymous: bool,
}

impl PollDraft {
    /// Checks a launch. All that is wrong is told at once, field by field.
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
        let options = options(&mut errors, body.options.as_deref());
        match question {
            Some(question) if errors.is_empty() => Ok(Self {
                question,
                options,
                multiple: body.multiple.unwrap_or(false),
                anonymous: body.anonymous.unwrap_or(false),
            }),
            _ => Err(Refusal::Invalid(errors)),
        }
    }
}

fn options(errors: &mut Vec<FieldError>, texts: Option<&[String]>) -> Vec<OptionText> {
    let Some(texts) = texts else {
        errors.push(FieldError::new("options", "is required"));
        return Vec::new();
    };
    if !OPTIONS.contains(&texts.len()) {
        let words = format!("must have {} to {} entries", OPTIONS.start(), OPTIONS.end());
        errors.push(FieldError::new("options", words));
        return Vec::new();
    }
    let mut seen = HashSet::new();
    let mut parsed = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        let field = format!("options[{index}]");
        match OptionText::parse(text) {
            Ok(text) if seen.insert(text.clone()) => parsed.push(text),
            Ok(_) => errors.push(FieldError::new(field, "is there already")),
            Err(error) => errors.push(FieldError::new(field, error)),
        }
    }
    parsed
}

/// A poll. What it asks never changes once it is launched.
#[derive(Clone, Debug, PartialEq)]
pub struct Poll {
    pub id: PollId,
    pub question: Question,
    pub options: Vec<OptionText>,
    pub multiple: bool,
    pub anonymous: bool,
    /// In how many boxes its votes are kept.
    pub boxes: u16,
    pub opened_at: Timestamp,
    /// How many people were in the meeting then, but for its host; of a class that is not on Zoom nobody knows.
    pub present: Option<u32>,
    pub closed: Option<Closed>,
    /// Of an anonymous poll: what voters are made unrecognisable with.
    pub key: Option<Sealed>,
    /// The hash of the body that launched it, by which a repeated launch is told from another one.
    pub launched_from: String,
}

/// How a poll ended. The count is final: every box was shut before it was counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    pub at: Timestamp,
    pub tally: Tally,
    /// How many people were in the meeting at some time while the poll was open.
    pub present: Option<u32>,
}

impl Poll {
    pub fn is_open(&self) -> bool {
        self.closed.is_none()
    }

    /// The id of an option, made of the poll's own, so that another poll's option is none of this one's.
    pub fn option_id(&self, option: usize) -> OptionId {
        let hash = Sha256::new()
            .chain_update("option\0")
            .chain_update(self.id.as_str())
            .chain_update([0, u8::try_from(option).unwrap_or(u8::MAX)])
            .finalize();
        let mut bytes = [0; 10];
        bytes.copy_from_slice(&hash[..10]);
        OptionId::from_bytes(bytes)
    }

    /// What somebody chooses who names these options.
    pub fn choice(&self, named: &[String]) -> Result<Choice, Refusal> {
        let wrong = |words: &str| Err(Refusal::field("option_ids", words));
        if named.is_empty() {
            return wrong("must name an option");
        }
        let ids: Vec<_> = (0..self.options.len()).map(|option| self.option_id(option)).collect();
        let mut chosen = Vec::with_capacity(named.len());
        for name in named {
            let option = ids.iter().position(|id| id.as_str() == name).ok_or(Refusal::NotFound)?;
            if chosen.contains(&option) {
                return wrong("must name each option once");
            }
            chosen.push(option);
        }
        if chosen.len() > 1 && !self.multiple {
            return wrong("must name one option: the poll is no multiple choice");
        }
        Ok(Choice::of(chosen))
    }

    /// The options of a choice, in the poll's order.
    pub fn chosen(&self, choice: Choice) -> Vec<OptionId> {
        (0..self.options.len())
            .filter(|option| choice.has(*option))
            .map(|option| self.option_id(option))
            .collect()
    }

    /// Of how many people present answers are told: while it is open, of those at its launch.
    pub fn present(&self) -> Option<u32> {
        self.closed.as_ref().map_or(self.present, |closed| closed.present)
    }

    /// The share of those present who answered. Somebody may vote without being in the meeting, so it ends at 100.
    pub fn response_rate(&self, responses: u32) -> Option<Percent> {
        let present = self.present().filter(|present| *present > 0)?;
        Some(Percent::of(responses.min(present).into(), present.into()))
    }
}

/// Whether polls can be launched and answered in a class at `now`. A class behind a pasted link is taken to go on from its
/// planned start, since nobody tells how it goes.
pub fn running(session: &Session, now: Timestamp) -> Result<(), Refusal> {
    let over = now >= session.over_at();
    match session.status {
        Status::Cancelled => Err(Refusal::SessionCancelled),
        Status::Ended => Err(Refusal::SessionEnded),
        Status::Live => Ok(()),
        Status::Scheduled if over => Err(Refusal::SessionEnded),
        Status::Scheduled if session.provider == Provider::Manual && now >= session.starts_at => {
            Ok(())
        }
        Status::Scheduled => Err(Refusal::NotBegun { starts_at: session.starts_at }),
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
            boxes: 1,
            opened_at: Timestamp::UNIX_EPOCH,
            present: None,
            closed: None,
            key: None,
            launched_from: String::new(),
        }
    }

    #[test]
    fn what_may_be_asked_and_which_field_is_named_when_not() {
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
        for (body, wrong) in cases {
            let fields: Vec<String> = match PollDraft::check(body.clone()) {
                Ok(_) => Vec::new(),
                Err(Refusal::Invalid(errors)) => errors.into_iter().map(|e| e.field).collect(),
                Err(other) => panic!("{other}"),
            };
            assert_eq!(fields, wrong, "{body:.200?}");
        }
    }

    #[test]
    fn a_choice_names_the_polls_own_options_each_once() {
        let (single, several) = (poll(1, false), poll(2, true));
        let names = |poll: &Poll, options: &[usize]| -> Vec<String> {
            options.iter().map(|option| poll.option_id(*option).to_string()).collect()
        };
        assert_eq!(single.choice(&names(&single, &[2])), Ok(Choice::of([2])));
        assert_eq!(several.choice(&names(&several, &[2, 0])), Ok(Choice::of([0, 2])));
        assert_eq!(
            several.chosen(Choice::of([0, 2])),
            [several.option_id(0), several.option_id(2)]
        );
        assert_eq!(single.choice(&names(&several, &[0])), Err(Refusal::NotFound));
        assert_eq!(single.choice(&["a".to_owned()]), Err(Refusal::NotFound));
        for (poll, options) in [(&single, &[][..]), (&single, &[0, 1]), (&several, &[1, 1])] {
            let refused = poll.choice(&names(poll, options));
            assert!(matches!(refused, Err(Refusal::Invalid(_))), "{options:?}");
        }
    }

    #[test]
    fn a_rate_is_of_those_present_and_ends_at_all_of_them() {
        let rate = |present, responses| Poll { present, ..poll(1, false) }.response_rate(responses);
        assert_eq!(rate(None, 3), None);
        assert_eq!(rate(Some(0), 3), None);
        assert_eq!(rate(Some(4), 3), Some(Percent::of(3, 4)));
        assert_eq!(rate(Some(4), 5), Some(Percent::of(1, 1)));
    }
}
