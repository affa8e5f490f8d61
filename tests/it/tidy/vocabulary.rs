//! One word per meaning, as docs/reference/glossary.md defines it.

use std::collections::BTreeMap;
use std::fs;

use super::assert_no_problems;
use super::source::{Source, root};

/// Retired identifiers with their replacements. docs/reference/glossary.md explains the replacements.
const RETIRED: [(&str, &str); 44] = [
    ("Announcement", "DomainEvent"),
    ("announcement", "domain event"),
    ("Around", "related data"),
    ("BallotBox", "VoteShard"),
    ("ballot_box", "vote shard"),
    ("bury", "move to the dead-letter queue"),
    ("click", "join attempt"),
    ("Clicker", "JoinAttempt"),
    ("clicker", "join attempt"),
    ("door", "join window"),
    ("EffectId", "MessageKey"),
    ("entrance", "join credentials"),
    ("Fate", "DeliveryStatus"),
    ("fate", "delivery status"),
    ("gate", "authenticator"),
    ("Held", "SessionRecord"),
    ("Holding", "RecipientState"),
    ("holding", "recipient state"),
    ("InOtherHands", "leased"),
    ("Kept", "Stored…"),
    ("knobs", "simulator settings"),
    ("lanes", "concurrency"),
    ("Lesson", "session"),
    ("lesson", "session"),
    ("Letter", "MailContext"),
    ("letter", "mail"),
    ("Notice", "InAppNotification"),
    ("notice", "in-app notification"),
    ("Nudge", "WakeUp"),
    ("nudge", "wake-up"),
    ("Occurrence", "MeetingInstance"),
    ("pace", "rate limiter"),
    ("Place", "Venue, Enrollment or Cursor"),
    ("Ruling", "AttendanceOverride"),
    ("ruling", "attendance override"),
    ("Says", "EventPayload"),
    ("session_at_hand", "session_eventually_consistent"),
    ("told", "notified, synced or sent"),
    ("uninvited", "removed"),
    ("Void", "SkipReason"),
    ("Wish", "OverrideRequest"),
    ("wish", "override request"),
    ("Words", "MailContent"),
    ("worth_sending", "is_still_relevant"),
];

/// The item keywords that define a type name.
const TYPE_KEYWORDS: [&str; 5] = ["struct", "enum", "union", "trait", "type"];

/// Names that several modules may define: every handler has its own `Deps`.
const REPEATABLE: [&str; 1] = ["Deps"];

/// The public types of a source as `(keyword, name)`.
fn public_types(source: &Source) -> Vec<(&str, &str)> {
    let token = |at: usize| source.tokens.get(at).map_or("", String::as_str);
    let mut types = Vec::new();
    for start in (0..source.tokens.len()).filter(|at| token(*at) == "pub") {
        let mut at = start + 1;
        if token(at) == "(" {
            at += source.tokens[at..].iter().take_while(|token| *token != ")").count() + 1;
        }
        if token(at) == "unsafe" {
            at += 1;
        }
        // A macro's `$name` is not a name.
        if TYPE_KEYWORDS.contains(&token(at)) && token(at + 1) != "$" {
            types.push((token(at), token(at + 1)));
        }
    }
    types
}

/// The `file:line` of a definition.
fn location(source: &Source, keyword: &str, name: &str) -> String {
    let text = fs::read_to_string(root().join(&source.file)).expect("a source");
    let definition = format!("{keyword} {name}");
    let defines = |line: &str| {
        line.split_once(&definition)
            .is_some_and(|(_, rest)| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
    };
    let line = text.lines().position(defines).map_or(0, |index| index + 1);
    format!("{}:{line}", source.file)
}

#[test]
fn public_type_names_are_unique_in_shared() {
    let mut locations: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for source in Source::all(&root().join("shared/src")) {
        for (keyword, name) in public_types(&source) {
            if !REPEATABLE.contains(&name) {
                locations
                    .entry(name.to_owned())
                    .or_default()
                    .push(location(&source, keyword, name));
            }
        }
    }
    assert!(locations.len() > 100, "only {} types", locations.len());
    let repeated = locations.iter().filter(|(_, locations)| locations.len() > 1);
    let problems: Vec<_> =
        repeated.map(|(name, locations)| format!("{name}: {}", locations.join(" and "))).collect();
    assert_no_problems(&problems);
}

/// Identifiers in `shared`, `local` and `functions`, outside of unit tests.
#[test]
fn retired_words_are_not_used_as_identifiers() {
    let mut problems = Vec::new();
    for folder in ["shared/src", "local/src", "local/aws/src", "local/zoom/src", "functions"] {
        for source in Source::all(&root().join(folder)) {
            for (word, replacement) in RETIRED {
                let count = source.tokens.iter().filter(|token| *token == word).count();
                if count > 0 {
                    problems.push(format!(
                        "{}: {count} × `{word}`: use {replacement} (docs/reference/glossary.md)",
                        source.file
                    ));
                }
            }
        }
    }
    assert_no_problems(&problems);
}
