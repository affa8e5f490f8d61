//! The import: a file of sessions of the host platform's names, one JSON object per line (NDJSON).
//!
//! A line is a save body with its `external_ref` and `trainer_id`. It is an upsert, so that an import may be repeated and
//! continued. New meetings are made later.
//!
//! Sessions of one trainer and month contend for the monthly count and for the days of the host. They form a chain, whose lines
//! are saved one after the other, while several chains are saved at the same time.

use std::collections::HashMap;
use std::time::Duration;

use futures::stream::{self, StreamExt};
use jiff::Timestamp;
use lambda_http::Request;
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::time::timeout_at;

use super::Deps;
use super::by_ref::parse_upsert;
use crate::app::Services;
use crate::app::error::Error;
use crate::app::run_time::RunTime;
use crate::app::session_save::{UpsertSession, upsert};
use crate::domain::caller::Caller;
use crate::domain::id::{ExternalRef, UserId};
use crate::domain::refusal::Refusal;
use crate::domain::time::utc_month;
use crate::handlers::edge::{RequestError, ResponseBody};
use crate::handlers::ndjson::{
    IMPORT_TIME, LAST_WORK_TIME, LISTED_REJECTIONS, Lines, empty_file_refusal, is_empty, take_text,
};
use crate::http::{self, Problem};

/// The most sessions of one import. Each is a transaction and a wake-up, and more would not be saved in the time of a request.
pub(super) const LINES_LIMIT: usize = 1_000;
/// Chains that are saved at the same time. Each session writes some ten units to the partitions of due work, which accept a
/// thousand per second.
const CONCURRENCY: usize = 8;

/// The result of an import.
#[derive(Debug, Default, Serialize)]
struct ImportedSessions {
    accepted: usize,
    /// The first rejected lines.
    rejected: Vec<RejectedSession>,
    rejected_count: usize,
    /// The first line that was neither applied nor rejected. `None` if there is none.
    next_line: Option<usize>,
}

#[derive(Debug, Serialize)]
struct RejectedSession {
    /// Counted from 1, including empty lines.
    line: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_ref: Option<ExternalRef>,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    message: String,
}

impl RejectedSession {
    fn new(line: usize, external_ref: Option<&ExternalRef>, error: &Error) -> Self {
        let problem = Problem::from(error);
        let (field, message) = match problem.errors.into_iter().next() {
            Some(error) => (Some(error.field), error.message),
            None => (None, problem.detail),
        };
        Self { line, external_ref: external_ref.cloned(), code: problem.code, field, message }
    }
}

/// A valid line.
struct Line {
    number: usize,
    request: UpsertSession,
}

/// The outcome of one line.
enum LineOutcome {
    Accepted,
    Rejected(RejectedSession),
    /// Rejected because of a failure that is not the caller's.
    Failed(RejectedSession, Box<Error>),
    /// The time was used up.
    Left(usize),
}

pub(super) async fn serve(
    deps: &Deps,
    request: &Request,
    caller: &Caller,
) -> Result<ResponseBody, RequestError> {
    let now = deps.clock.now();
    let time = RunTime::new(IMPORT_TIME);
    let file = http::content(request, http::IMPORT_LIMIT_BYTES)?;
    let (lines, rejected) = parse_file(file, |name, body| parse_upsert(deps, caller, name, body))?;
    let imported = import(&deps.clients, lines, rejected, now, time).await?;
    tracing::info!(
        event = "session.import_completed",
        accepted = imported.accepted,
        rejected = imported.rejected_count,
        next_line = imported.next_line
    );
    ResponseBody::ok(&imported)
}

/// Parses every line. Fails if there is none, or if there are too many.
fn parse_file(
    file: &[u8],
    parse_body: impl Fn(ExternalRef, Value) -> Result<UpsertSession, Refusal>,
) -> Result<(Vec<Line>, Vec<RejectedSession>), Refusal> {
    let (mut lines, mut rejected) = (Vec::new(), Vec::new());
    for (number, text) in Lines::new(file).filter(|(_, text)| !is_empty(text)) {
        if lines.len() + rejected.len() == LINES_LIMIT {
            return Err(Refusal::field("body", format!("must have at most {LINES_LIMIT} lines")));
        }
        match parse_line(text, &parse_body) {
            Ok(request) => lines.push(Line { number, request }),
            Err((name, refusal)) => {
                rejected.push(RejectedSession::new(number, name.as_ref(), &refusal.into()));
            }
        }
    }
    if lines.is_empty() && rejected.is_empty() {
        return Err(empty_file_refusal());
    }
    Ok((lines, rejected))
}

/// Parses a line. A refusal has the name of the session, if it is known.
fn parse_line(
    text: &[u8],
    parse_body: impl Fn(ExternalRef, Value) -> Result<UpsertSession, Refusal>,
) -> Result<UpsertSession, (Option<ExternalRef>, Refusal)> {
    let unnamed = |refusal| (None, refusal);
    let mut fields: Map<String, Value> = http::parse_json(text).map_err(unnamed)?;
    let name = take_text(&mut fields, "external_ref").map_err(unnamed)?;
    let name = ExternalRef::parse(&name)
        .map_err(|error| unnamed(Refusal::field("external_ref", error)))?;
    let parsed = parse_body(name.clone(), Value::Object(fields)).and_then(|request| {
        Ok(UpsertSession { draft: request.draft.clone().for_import()?, ..request })
    });
    parsed.map_err(|refusal| (Some(name), refusal))
}

/// Sorts the lines into chains. Lines of one name stay in their order.
fn chains(lines: Vec<Line>) -> Vec<Vec<Line>> {
    let mut chains: Vec<Vec<Line>> = Vec::new();
    let mut of_month: HashMap<(UserId, String), usize> = HashMap::new();
    let mut of_name: HashMap<ExternalRef, usize> = HashMap::new();
    for line in lines {
        let UpsertSession { name, trainer, draft, .. } = &line.request;
        let chain = of_name.get(name).copied().unwrap_or_else(|| {
            let month = (trainer.clone(), utc_month(draft.starts_at()));
            *of_month.entry(month).or_insert(chains.len())
        });
        of_name.insert(name.clone(), chain);
        match chains.get_mut(chain) {
            Some(chain) => chain.push(line),
            None => chains.push(vec![line]),
        }
    }
    chains
}

async fn import(
    services: &Services,
    lines: Vec<Line>,
    mut rejected: Vec<RejectedSession>,
    now: Timestamp,
    time: RunTime,
) -> Result<ImportedSessions, Error> {
    let mut imported = ImportedSessions::default();
    let mut failure = None;
    let mut outcomes = stream::iter(chains(lines))
        .map(|chain| save_chain(services, chain, now, time))
        .buffer_unordered(CONCURRENCY);
    while let Some(chain) = outcomes.next().await {
        for outcome in chain {
            match outcome {
                LineOutcome::Accepted => imported.accepted += 1,
                LineOutcome::Rejected(line) => rejected.push(line),
                LineOutcome::Failed(line, error) => {
                    rejected.push(line);
                    failure.get_or_insert(error);
                }
                LineOutcome::Left(line) => {
                    let first = imported.next_line.map_or(line, |first| first.min(line));
                    imported.next_line = Some(first);
                }
            }
        }
    }
    if let Some(error) = failure.filter(|_| imported.accepted == 0) {
        // More likely a failure of the whole request than of its lines.
        return Err(*error);
    }
    rejected.sort_by_key(|rejected| rejected.line);
    imported.rejected_count = rejected.len();
    rejected.truncate(LISTED_REJECTIONS);
    Ok(ImportedSessions { rejected, ..imported })
}

/// Saves the lines of a chain in their order, as far as time allows.
async fn save_chain(
    services: &Services,
    chain: Vec<Line>,
    now: Timestamp,
    time: RunTime,
) -> Vec<LineOutcome> {
    let end = time.before_end(Duration::ZERO) + LAST_WORK_TIME;
    let mut outcomes = Vec::with_capacity(chain.len());
    for Line { number, request } in chain {
        if !time.has_left(Duration::ZERO) {
            outcomes.push(LineOutcome::Left(number));
            continue;
        }
        outcomes.push(match timeout_at(end, upsert(services, &request, now)).await {
            Err(_) => LineOutcome::Left(number),
            Ok(Ok(_)) => LineOutcome::Accepted,
            Ok(Err(error)) => failed_line(number, &request.name, error),
        });
    }
    outcomes
}

fn failed_line(number: usize, name: &ExternalRef, error: Error) -> LineOutcome {
    let rejected = RejectedSession::new(number, Some(name), &error);
    if matches!(error, Error::Refused(_) | Error::ZoomLimited { .. } | Error::ZoomRejected { .. }) {
        return LineOutcome::Rejected(rejected);
    }
    tracing::warn!(event = "session.import_line_failed", line = number, %error);
    LineOutcome::Failed(rejected, Box::new(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::session_save::ExpectedVersion;
    use crate::domain::caller::Role;
    use crate::domain::draft::{Completion, OpenDraft, SaveBody};
    use crate::domain::pending_meeting::{MeetingLead, MeetingTime};
    use crate::domain::session::Source;
    use crate::domain::time::Zone;

    fn parse_body(name: ExternalRef, body: Value) -> Result<UpsertSession, Refusal> {
        let mut body: SaveBody = http::parse_value(body)?;
        let trainer = UserId::parse(&body.trainer_id.take().unwrap_or_default());
        Ok(UpsertSession {
            caller: Caller {
                id: UserId::parse("platform").unwrap(),
                roles: [Role::Service].into(),
                verified_email: None,
                name: None,
            },
            name,
            trainer: trainer.map_err(|error| Refusal::field("trainer_id", error))?,
            source: Source::Service,
            draft: OpenDraft::check_without_start(body, &Zone::utc())?,
            window: Default::default(),
            meeting_lead: MeetingLead::default(),
            body_hash: String::new(),
            expected_version: ExpectedVersion::Any,
        })
    }

    fn line(name: &str, trainer: &str, day: &str, rest: &str) -> String {
        format!(
            r#"{{"external_ref":"{name}","trainer_id":"{trainer}","title":"Algebra","audience_type":"standalone","starts_at":"{day}T10:00:00Z","duration_minutes":60{rest}}}"#
        )
    }

    fn parse(file: &str) -> Result<(Vec<Line>, Vec<RejectedSession>), Refusal> {
        parse_file(file.as_bytes(), parse_body)
    }

    #[test]
    fn invalid_lines_are_reported_with_their_names() {
        let valid = line("a", "t", "2026-12-01", "");
        let file = [
            valid.clone(),
            String::new(),
            "nonsense".to_owned(),
            line("a b", "t", "2026-12-01", ""),
            line("polls", "t", "2026-12-01", ""),
            line("c", "#", "2026-12-01", ""),
            line("d", "t", "2026-12-01", r#","meeting":"now""#),
            line("e", "t", "2026-12-01", r#","colour":"red""#),
            r#"{"title":"Algebra"}"#.to_owned(),
        ];
        let (lines, rejected) = parse(&file.join("\r\n")).unwrap();
        assert_eq!(lines.len(), 1);
        let draft = lines[0].request.draft.complete(&Completion::default()).unwrap();
        assert_eq!(draft.meeting_time, Some(MeetingTime::Later));
        let reported: Vec<_> = rejected
            .iter()
            .map(|it| {
                let name = it.external_ref.as_ref().map(ExternalRef::as_str);
                (it.line, name, it.field.as_deref().unwrap_or_default(), it.code)
            })
            .collect();
        let expected = [
            (3, None, "body"),
            (4, None, "external_ref"),
            (5, None, "external_ref"),
            (6, Some("c"), "trainer_id"),
            (7, Some("d"), "meeting"),
            (8, Some("e"), "colour"),
            (9, None, "external_ref"),
        ];
        let code = "validation_failed";
        assert_eq!(reported, expected.map(|(line, name, field)| (line, name, field, code)));
        for wrong in [String::new(), "\n \n".to_owned(), format!("{valid}\n").repeat(1_001)] {
            assert!(parse(&wrong).is_err(), "{:.40}", wrong);
        }
        assert_eq!(parse(&format!("{valid}\n\n").repeat(1_000)).unwrap().0.len(), 1_000);
    }

    #[test]
    fn link_needs_no_meeting() {
        let link = r#","provider":"manual","join_url":"https://meet.example.test/a""#;
        let (lines, _) = parse(&line("a", "t", "2026-12-01", link)).unwrap();
        let draft = lines[0].request.draft.complete(&Completion::default()).unwrap();
        assert_eq!(draft.meeting_time, None);
    }

    #[test]
    fn chains_separate_trainers_and_months_but_not_the_lines_of_a_name() {
        let file = [
            line("a", "t", "2026-12-01", ""),
            line("b", "u", "2026-12-01", ""),
            line("c", "t", "2027-01-01", ""),
            line("d", "t", "2026-12-31", ""),
            line("b", "t", "2027-01-02", ""),
            line("e", "t", "2027-01-03", ""),
        ];
        let chains = chains(parse(&file.join("\n")).unwrap().0);
        let numbers: Vec<Vec<_>> =
            chains.iter().map(|chain| chain.iter().map(|line| line.number).collect()).collect();
        assert_eq!(numbers, [vec![1, 4], vec![2, 5], vec![3, 6]]);
    }
}
