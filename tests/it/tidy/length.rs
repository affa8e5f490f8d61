//! The length of functions.

use std::fs;

use super::assert_no_problems;
use super::source::{files, relative_path, root};

/// The longest use case. A longer one has more than one step, and each step deserves a name.
const LINES: usize = 60;

/// The functions of a formatted file with their numbers of lines. A function ends at the brace in the column of its
/// start.
fn function_lengths(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<_> = text.lines().collect();
    let name = |line: &str| {
        let (before, after) = line.split_once("fn ")?;
        let is_item = before
            .split_whitespace()
            .all(|word| word.starts_with("pub") || matches!(word, "async" | "const"));
        let name: String = after.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        (is_item && !name.is_empty()).then_some(name)
    };
    let functions = lines.iter().enumerate().filter_map(|(start, line)| {
        let name = name(line)?;
        let indent = &line[..line.len() - line.trim_start().len()];
        let end = format!("{indent}}}");
        let length = lines[start..].iter().position(|line| **line == end)? + 1;
        Some((name, length))
    });
    functions.collect()
}

#[test]
fn use_cases_consist_of_short_functions() {
    let mut problems = Vec::new();
    let mut count = 0;
    for path in files(&root().join("shared/src/app")) {
        let file = relative_path(&path);
        if !file.ends_with(".rs") {
            continue;
        }
        for (name, lines) in function_lengths(&fs::read_to_string(&path).expect("a source")) {
            count += 1;
            if lines > LINES {
                problems.push(format!("{file}: `{name}` has {lines} lines, more than {LINES}"));
            }
        }
    }
    assert!(count > 100, "only {count} functions were found");
    assert_no_problems(&problems);
}
