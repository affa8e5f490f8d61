//! The import: a file of directory commands, one JSON object per line (NDJSON).
//!
//! A line is the body of the PUT together with its ids and a `type`, or the DELETE with `"deleted": true`:
//! `{"type":"course","id":"c-1","title":"Algebra","trainer_id":"t-1"}`,
//! `{"type":"enrollment","course_id":"c-1","user_id":"s-1","email":"…","name":"…","access_granted":true}`,
//! `{"type":"user","id":"s-1","email":"…","name":"…","role":"student"}`, `{"type":"settings",…}`.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::time::timeout_at;

use super::command;
use crate::app::directory::{BATCH, BatchWriter};
use crate::app::error::Error;
use crate::app::run_time::RunTime;
use crate::domain::directory::DirectoryCommand;
use crate::domain::id::{CourseId, UserId};
use crate::domain::import_references::{ImportReferences, ImportWarning};
use crate::domain::plan::PlatformSettings;
use crate::domain::refusal::{FieldError, Refusal};
use crate::domain::text::Email;
use crate::handlers::ndjson::{
    LAST_WORK_TIME, LISTED_REJECTIONS, Lines, empty_file_refusal, is_empty, take_text,
};

/// Lines that are parsed before the time is checked. A rejected line takes a few microseconds.
const BATCH_LINES: usize = 10_000;

/// The result of an import, up to the line at which it stopped.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct ImportOutcome {
    accepted: usize,
    /// The first rejected lines.
    rejected: Vec<RejectedLine>,
    rejected_count: usize,
    /// The first line that was neither applied nor rejected. `None` at the end of the file.
    next_line: Option<usize>,
    /// The references of applied lines to records that do not exist. `None` if there was no time to look.
    warnings: Option<Vec<ImportWarning>>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct RejectedLine {
    /// Counted from 1, including empty lines.
    line: usize,
    #[serde(flatten)]
    ids: LineIds,
    code: &'static str,
    field: String,
    message: String,
}

/// The ids of a line's record, as far as they are valid.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct LineIds {
    #[serde(skip_serializing_if = "Option::is_none")]
    course_id: Option<CourseId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<UserId>,
}

impl LineIds {
    fn of(line: &Map<String, Value>) -> Self {
        // A column in the wrong place may put an address where an id belongs. Results of imports must not have addresses.
        let text = |name: &str| {
            let text = line.get(name).and_then(Value::as_str)?;
            Email::parse(text).is_err().then_some(text)
        };
        let (course, user) = match line.get("type").and_then(Value::as_str) {
            Some("course") => (text("id"), None),
            Some("user") => (None, text("id")),
            Some("enrollment") => (text("course_id"), text("user_id")),
            _ => (None, None),
        };
        Self {
            course_id: course.and_then(|id| CourseId::parse(id).ok()),
            user_id: user.and_then(|id| UserId::parse(id).ok()),
        }
    }
}

/// Parses and applies a file in batches until it ends or the time is used up.
pub(super) async fn import(
    file: &[u8],
    writer: &mut BatchWriter<'_>,
    time: RunTime,
) -> Result<ImportOutcome, Error> {
    let mut import = Import::new(file);
    let end = time.before_end(Duration::ZERO) + LAST_WORK_TIME;
    loop {
        let batch = next_batch(&mut import.lines);
        let applied = match timeout_at(end, writer.apply(batch.commands)).await {
            Ok(applied) => applied,
            Err(_) => Err(Error::busy("the batch took too long")),
        };
        let counts = applied.map(|()| batch.counts);
        if !import.add(counts, time.has_left(Duration::ZERO))? {
            break;
        }
        // The time limit of the request applies only if the task yields.
        tokio::task::yield_now().await;
    }
    let warnings = timeout_at(end, writer.warnings(&import.references)).await;
    // The lines are applied. A failed look must not make the platform send them again.
    let warnings = warnings.unwrap_or_else(|_| Err(Error::busy("the look took too long")));
    let warnings = warnings.inspect_err(|error| {
        tracing::warn!(event = "directory.import_unchecked", %error);
    });
    Ok(ImportOutcome { warnings: warnings.ok(), ..import.outcome })
}

struct Import<'a> {
    lines: Lines<'a>,
    outcome: ImportOutcome,
    references: ImportReferences,
    /// The first line of the current batch.
    batch_line: usize,
}

impl<'a> Import<'a> {
    fn new(file: &'a [u8]) -> Self {
        let (outcome, references) = Default::default();
        Self { lines: Lines::new(file), outcome, references, batch_line: 1 }
    }

    /// Adds the result of a batch, and returns whether to continue. An error ends an import that has applied nothing.
    /// Otherwise the outcome states where to continue, so that repeated requests make progress.
    fn add(&mut self, batch: Result<BatchCounts, Error>, has_time: bool) -> Result<bool, Error> {
        let outcome = &mut self.outcome;
        match batch {
            Ok(batch) => {
                outcome.accepted += batch.accepted;
                outcome.rejected_count += batch.rejected_count;
                outcome.rejected.extend(batch.rejected);
                outcome.rejected.truncate(LISTED_REJECTIONS);
                self.references.append(batch.references);
            }
            Err(error) if outcome.accepted == 0 => return Err(error),
            Err(error) => {
                tracing::warn!(event = "directory.import_interrupted", line = self.batch_line, %error);
                outcome.next_line = Some(self.batch_line);
                return Ok(false);
            }
        }
        self.batch_line = self.lines.next_line();
        let is_at_end = self.lines.is_at_end();
        if is_at_end && outcome.accepted + outcome.rejected_count == 0 {
            return Err(empty_file_refusal().into());
        }
        if !is_at_end && !has_time {
            outcome.next_line = Some(self.batch_line);
        }
        Ok(!is_at_end && has_time)
    }
}

#[derive(Debug, Default)]
struct Batch {
    commands: Vec<DirectoryCommand>,
    counts: BatchCounts,
}

#[derive(Debug, Default)]
struct BatchCounts {
    accepted: usize,
    rejected: Vec<RejectedLine>,
    rejected_count: usize,
    references: ImportReferences,
}

fn next_batch(lines: &mut Lines<'_>) -> Batch {
    let mut batch = Batch::default();
    for (number, line) in lines.take(BATCH_LINES) {
        if is_empty(line) {
            continue;
        }
        let counts = &mut batch.counts;
        let line = crate::http::parse_json::<Map<String, Value>>(line);
        let ids = line.as_ref().map(LineIds::of).unwrap_or_default();
        match line.and_then(parse_line) {
            Ok(command) => {
                counts.accepted += 1;
                counts.references.add(number, &command);
                batch.commands.push(command);
            }
            Err(refusal) => {
                counts.rejected_count += 1;
                if counts.rejected.len() < LISTED_REJECTIONS {
                    counts.rejected.push(rejected_line(number, ids, refusal));
                }
            }
        }
        if batch.commands.len() == BATCH {
            break;
        }
    }
    batch
}

fn rejected_line(line: usize, ids: LineIds, refusal: Refusal) -> RejectedLine {
    let FieldError { field, message } = match refusal {
        Refusal::Invalid(mut errors) if !errors.is_empty() => errors.swap_remove(0),
        other => FieldError::new("line", other),
    };
    RejectedLine { line, ids, code: "validation_failed", field, message }
}

fn parse_line(mut line: Map<String, Value>) -> Result<DirectoryCommand, Refusal> {
    let kind = take_text(&mut line, "type")?;
    let deleted = match line.remove("deleted") {
        None => false,
        Some(Value::Bool(deleted)) => deleted,
        Some(_) => return Err(Refusal::field("deleted", "must be true or false")),
    };
    match (kind.as_str(), deleted) {
        ("course", false) => command::course(&take_text(&mut line, "id")?, body(line)?),
        ("course", true) => command::delete_course(&take_text(&mut line, "id")?),
        ("enrollment", false) => {
            let (course, user) =
                (take_text(&mut line, "course_id")?, take_text(&mut line, "user_id")?);
            command::enrollment(&course, &user, body(line)?)
        }
        ("enrollment", true) => command::delete_enrollment(
            &take_text(&mut line, "course_id")?,
            &take_text(&mut line, "user_id")?,
        ),
        ("user", false) => command::user(&take_text(&mut line, "id")?, body(line)?),
        ("user", true) => command::delete_user(&take_text(&mut line, "id")?),
        ("settings", false) => command::settings(body::<PlatformSettings>(line)?),
        _ => Err(Refusal::field("type", "must be course, enrollment, user or settings")),
    }
}

pub(super) fn body<T: DeserializeOwned>(line: Map<String, Value>) -> Result<T, Refusal> {
    crate::http::parse_value(Value::Object(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Imports a file. `fail_at` is the batch whose commands cannot be applied.
    fn run(file: &str, has_time: bool, fail_at: Option<usize>) -> Result<ImportOutcome, Error> {
        let mut import = Import::new(file.as_bytes());
        for n in 0.. {
            let batch = next_batch(&mut import.lines);
            assert!(batch.commands.len() <= BATCH);
            let failed = (fail_at == Some(n)).then(|| Error::busy("a test"));
            if !import.add(failed.map_or(Ok(batch.counts), Err), has_time)? {
                break;
            }
        }
        Ok(import.outcome)
    }

    fn course(n: usize) -> String {
        format!(r#"{{"type":"course","id":"c-{n}","title":"Algebra","trainer_id":"t-1"}}"#)
    }

    #[test]
    fn valid_lines_are_accepted_and_invalid_ones_reported() {
        let lines = concat!(
            r#"{"type":"course","id":"c-1","title":"Algebra","trainer_id":"t-1"}"#,
            "\n\n",
            r#"{"type":"enrollment","course_id":"c-1","user_id":"s-1","email":"a@b.cd","name":"Ada"}"#,
            "\r\n",
            r#"{"type":"user","id":"s-1","email":"nobody","name":"Ada","role":"student"}"#,
            "\n",
            r#"{"type":"planet"}"#,
            "\n",
            "nonsense\n",
            r#"{"type":"course","id":"c-1","title":"Algebra","trainer_id":"t-1","colour":"red"}"#,
            "\n",
            r#"{"type":"settings","live_classes_enabled":false}"#,
            "\n",
            r#"{"type":"user","id":"s-1","deleted":true}"#,
        );
        let outcome = run(lines, true, None).unwrap();
        assert_eq!((outcome.accepted, outcome.rejected_count, outcome.next_line), (4, 4, None));
        let named: Vec<_> = outcome.rejected.iter().map(|r| (r.line, r.field.as_str())).collect();
        assert_eq!(named, [(4, "email"), (5, "type"), (6, "body"), (7, "colour")]);
        for empty in ["", "\n", " \r\n\t\n"] {
            assert!(matches!(run(empty, true, None), Err(Error::Refused(_))), "{empty:?}");
        }
    }

    #[test]
    fn rejected_line_has_the_ids_of_its_record_and_no_address() {
        // The line, and the course and the user in its report.
        let cases = [
            (r#"{"type":"course","id":"c-1"}"#, Some("c-1"), None),
            (r#"{"type":"user","id":"s-1","email":"ada@example.test"}"#, None, Some("s-1")),
            (
                r#"{"type":"enrollment","course_id":"c-1","user_id":"s-1"}"#,
                Some("c-1"),
                Some("s-1"),
            ),
            (r#"{"type":"enrollment","course_id":7,"user_id":"s-1"}"#, None, Some("s-1")),
            (r#"{"type":"user","id":"ada@example.test"}"#, None, None),
            (r#"{"type":"user","id":"s 1"}"#, None, None),
            (r#"{"type":"planet","id":"c-1"}"#, None, None),
            ("nonsense", None, None),
        ];
        for (line, course, user) in cases {
            let outcome = run(line, true, None).unwrap();
            let LineIds { course_id, user_id } = &outcome.rejected[0].ids;
            let ids =
                (course_id.as_ref().map(CourseId::as_str), user_id.as_ref().map(UserId::as_str));
            assert_eq!(ids, (course, user), "{line}");
            let report = serde_json::to_string(&outcome.rejected).unwrap();
            assert!(!report.contains('@'), "{report}");
        }
    }

    #[test]
    fn wrong_file_lists_its_first_hundred_lines() {
        let file = format!("{}\n{}", "x\n".repeat(25_000), course(1));
        let outcome = run(&file, true, None).unwrap();
        assert_eq!(
            (outcome.accepted, outcome.rejected_count, outcome.next_line),
            (1, 25_000, None)
        );
        let listed: Vec<_> = outcome.rejected.iter().map(|rejected| rejected.line).collect();
        assert_eq!(listed, (1..=100).collect::<Vec<_>>());
        // The sender chooses the name of an unknown field.
        let named = format!(
            r#"{{"type":"course","id":"c","title":"T","trainer_id":"t","{}":1}}"#,
            "\\u0001".repeat(9_999)
        );
        let outcome = run(&named, true, None).unwrap();
        assert!(serde_json::to_string(&outcome).unwrap().len() < 2_000);
    }

    #[test]
    fn import_continues_at_the_line_at_which_it_stopped() {
        let lines: Vec<_> = (0..1000).map(course).collect();
        let (mut rest, mut seen) = (lines.as_slice(), Vec::new());
        loop {
            let outcome = run(&rest.join("\n"), false, None).unwrap();
            seen.push(outcome.accepted);
            let Some(line) = outcome.next_line else { break };
            rest = &rest[line - 1..];
        }
        assert_eq!(seen, [400, 400, 200]);
        let file = format!("{}\n\n", lines[..400].join("\n"));
        assert_eq!(run(&file, false, None).unwrap().next_line, None);
    }

    #[test]
    fn failure_after_progress_states_where_to_continue() {
        let file = (0..1000).map(course).collect::<Vec<_>>().join("\n");
        let outcome = run(&file, true, Some(2)).unwrap();
        assert_eq!((outcome.accepted, outcome.next_line), (800, Some(801)));
        assert!(matches!(run(&file, true, Some(0)), Err(Error::Busy(_))));
    }
}
