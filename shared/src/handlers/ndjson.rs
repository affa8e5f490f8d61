//! Imports of many lines, one JSON object per line (NDJSON).

use std::iter::Peekable;
use std::slice::Split;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::domain::refusal::Refusal;

/// The time after which an import starts nothing more. The gateway ends a request after 30 s, and its time includes the
/// upload and a cold start.
pub(super) const IMPORT_TIME: Duration = Duration::from_secs(20);
/// The time in which the last started work must finish. Otherwise the next request repeats it.
pub(super) const LAST_WORK_TIME: Duration = Duration::from_secs(6);
/// Rejected lines that are listed. The others are counted, because a file in a wrong format has millions of them.
pub(super) const LISTED_REJECTIONS: usize = 100;

type SplitLines<'a> = Split<'a, u8, fn(&u8) -> bool>;

/// The unread lines of a file with their numbers, from 1 and including empty lines.
pub(super) struct Lines<'a> {
    lines: Peekable<SplitLines<'a>>,
    next_line: usize,
}

impl<'a> Lines<'a> {
    pub(super) fn new(file: &'a [u8]) -> Self {
        let is_line_end: fn(&u8) -> bool = |byte| *byte == b'\n';
        Self { lines: file.split(is_line_end).peekable(), next_line: 1 }
    }

    /// Returns the number of the next line.
    pub(super) fn next_line(&self) -> usize {
        self.next_line
    }

    /// Skips empty lines, so that an import never has to be continued for them alone.
    pub(super) fn is_at_end(&mut self) -> bool {
        while self.lines.next_if(|line| is_empty(line)).is_some() {
            self.next_line += 1;
        }
        self.lines.peek().is_none()
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = (usize, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let line = self.lines.next()?;
        let number = self.next_line;
        self.next_line += 1;
        Some((number, line))
    }
}

pub(super) fn is_empty(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace)
}

/// Returns the refusal of a file without lines, which is more likely a failed export than an import of nothing.
pub(super) fn empty_file_refusal() -> Refusal {
    Refusal::field("body", "must have at least one line")
}

/// Removes a required text from a line.
pub(super) fn take_text(line: &mut Map<String, Value>, name: &str) -> Result<String, Refusal> {
    match line.remove(name) {
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(Refusal::field(name, "must be a string")),
        None => Err(Refusal::field(name, "is required")),
    }
}
