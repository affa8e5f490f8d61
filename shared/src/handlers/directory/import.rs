//! The import: a file of directory commands, one JSON object per line (NDJSON).
//!
//! A line is the body of the PUT together with its ids and a `type`, or the DELETE with `"deleted": true`:
//! `{"type":"course","id":"c-1","title":"Algebra","trainer_id":"t-1"}`,
//! `{"type":"enrollment","course_id":"c-1","user_id":"s-1","email":"…","name":"…","access_granted":true}`,
//! `{"type":"user","id":"s-1","email":"…","name":"…","role":"student"}`, `{"type":"settings",…}`.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::command;
use crate::domain::directory::DirectoryCommand;
use crate::domain::plan::PlatformSettings;
use crate::domain::refusal::Refusal;

/// The parsed commands, and the lines that were rejected.
#[derive(Debug)]
pub(super) struct ParsedImport {
    pub(super) commands: Vec<DirectoryCommand>,
    pub(super) outcome: ImportOutcome,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct ImportOutcome {
    accepted: usize,
    rejected: Vec<RejectedLine>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct RejectedLine {
    /// Counted from 1, including empty lines.
    line: usize,
    code: &'static str,
    field: String,
    message: String,
}

/// Parses the lines. A body without any is refused, because it is more likely a failed export than a wish.
pub(super) fn parse_lines(bytes: &[u8]) -> Result<ParsedImport, Refusal> {
    let mut commands = Vec::new();
    let mut outcome = ImportOutcome::default();
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        match crate::http::parse_json::<Map<String, Value>>(line).and_then(parse_line) {
            Ok(command) => commands.push(command),
            Err(refusal) => {
                let (field, message) = match refusal {
                    Refusal::Invalid(mut errors) if !errors.is_empty() => {
                        let error = errors.swap_remove(0);
                        (error.field, error.message)
                    }
                    other => ("line".to_owned(), other.to_string()),
                };
                outcome.rejected.push(RejectedLine {
                    line: index + 1,
                    code: "validation_failed",
                    field,
                    message,
                });
            }
        }
    }
    outcome.accepted = commands.len();
    if commands.is_empty() && outcome.rejected.is_empty() {
        return Err(Refusal::field("body", "must have at least one line"));
    }
    Ok(ParsedImport { commands, outcome })
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

pub(super) fn take_text(line: &mut Map<String, Value>, name: &str) -> Result<String, Refusal> {
    match line.remove(name) {
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(Refusal::field(name, "must be a string")),
        None => Err(Refusal::field(name, "is required")),
    }
}

pub(super) fn body<T: DeserializeOwned>(line: Map<String, Value>) -> Result<T, Refusal> {
    crate::http::parse_value(Value::Object(line))
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let read = parse_lines(lines.as_bytes()).unwrap();
        assert_eq!(read.outcome.accepted, 4);
        let named: Vec<_> =
            read.outcome.rejected.iter().map(|r| (r.line, r.field.as_str())).collect();
        assert_eq!(named, [(4, "email"), (5, "type"), (6, "body"), (7, "colour")]);
        for empty in ["", "\n", " \r\n\t\n"] {
            assert!(parse_lines(empty.as_bytes()).is_err(), "{empty:?}");
        }
    }
}
