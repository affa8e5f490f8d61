//! Stored types accept the fields of a newer version. During a deployment and after a rollback, two versions read the same
//! items.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::assert_no_problems;
use super::source::{files, relative_path, root};

const DENY: &str = "deny_unknown_fields";

/// A type that is deserialized.
#[derive(Debug, Default, PartialEq, Eq)]
struct Deserialized {
    is_strict: bool,
    /// The words in each field's type, without those of fields that are read by a function of their own.
    words: Vec<BTreeSet<String>>,
}

fn words(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| word.starts_with(|c: char| c.is_ascii_uppercase()))
        .map(str::to_owned)
        .collect()
}

/// The name of the struct or enum that a line of a formatted file defines.
fn defined_type(line: &str) -> Option<&str> {
    let mut parts = line.split_whitespace().skip_while(|part| part.starts_with("pub"));
    let is_type = matches!(parts.next(), Some("struct" | "enum"));
    let name = parts.next()?;
    is_type.then(|| name.split(['(', '<', ';']).next().unwrap_or(name))
}

/// The deserialized types of a formatted file.
fn deserialized_types(text: &str) -> BTreeMap<String, Deserialized> {
    let mut found = BTreeMap::new();
    let mut attributes = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let trimmed = line.trim_start();
        match defined_type(trimmed) {
            Some(name) if attributes.contains("Deserialize") => {
                let mut of =
                    Deserialized { is_strict: attributes.contains(DENY), words: Vec::new() };
                if line.trim_end().ends_with('{') {
                    let end = format!("{}}}", &line[..line.len() - trimmed.len()]);
                    of.words = field_words(lines.by_ref().take_while(|line| *line != end));
                } else {
                    of.words.push(words(line));
                }
                found.insert(name.to_owned(), of);
                attributes.clear();
            }
            _ if trimmed.starts_with("#[") || is_open(&attributes) => attributes.push_str(trimmed),
            _ if trimmed.starts_with("//") => {}
            _ => attributes.clear(),
        }
    }
    found
}

/// Whether an attribute continues on the next line.
fn is_open(attributes: &str) -> bool {
    attributes.matches('[').count() > attributes.matches(']').count()
}

fn field_words<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<BTreeSet<String>> {
    let mut attributes = String::new();
    let mut fields = Vec::new();
    for line in lines.map(str::trim_start).filter(|line| !line.starts_with("//")) {
        if line.starts_with("#[") || is_open(&attributes) {
            attributes.push_str(line);
        } else {
            if !attributes.contains("with = \"") {
                fields.push(words(line));
            }
            attributes.clear();
        }
    }
    fields
}

#[test]
fn stored_types_accept_unknown_fields() {
    let mut types = BTreeMap::new();
    let mut decoded = BTreeSet::new();
    for path in files(&root().join("shared/src")) {
        let text = fs::read_to_string(&path).expect("a source");
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let file = relative_path(&path);
        if file.contains("/store/") {
            decoded.extend(text.split("decode").skip(1).filter_map(|rest| {
                let name = rest.split("::<").nth(1).filter(|_| rest.starts_with(['_', ':']))?;
                Some((file.clone(), name.split('>').next()?.to_owned()))
            }));
        }
        let of_file = deserialized_types(text).into_iter();
        types.extend(of_file.map(|(name, of)| (name, (file.clone(), of))));
    }
    let strict: BTreeSet<_> =
        types.iter().filter(|(_, (_, of))| of.is_strict).map(|(name, _)| name.clone()).collect();
    assert!(strict.contains("PlatformSettings") && strict.len() > 15, "{strict:?}");
    assert!(decoded.iter().any(|(_, name)| name == "StoredSettings"), "{decoded:?}");
    let mut problems: Vec<_> = decoded
        .into_iter()
        .filter(|(_, name)| strict.contains(name))
        .map(|(file, name)| format!("{file} reads `{name}`, which refuses unknown fields"))
        .collect();
    for (name, (file, of)) in types.iter().filter(|(_, (_, of))| !of.is_strict) {
        for refused in of.words.iter().flat_map(|words| words.intersection(&strict)) {
            problems.push(format!(
                "{file}: `{name}` contains `{refused}`, which refuses unknown fields"
            ));
        }
    }
    assert_no_problems(&problems);
}

#[test]
fn strict_parts_of_lenient_types_are_found() {
    let text = r#"
/// A request.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Body {
    name: String,
}

#[derive(Deserialize)]
struct Stored {
    /// A `Body`.
    #[serde(default)]
    body: Option<Body>,
    #[serde(
        deserialize_with = "read",
        skip_serializing_if = "Option::is_none"
    )]
    read: Option<Body>,
}

#[derive(Clone)]
struct Other(Body);
"#;
    let found = deserialized_types(text);
    assert_eq!(found.keys().collect::<Vec<_>>(), ["Body", "Stored"]);
    assert!(found["Body"].is_strict && !found["Stored"].is_strict);
    let words: Vec<_> = found["Stored"].words.iter().flatten().collect();
    assert_eq!(words, ["Body", "Option"], "the second field has a reader of its own");
}
