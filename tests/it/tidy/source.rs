//! Rust sources as tokens and paths, with just enough grammar to find the dependencies of a file.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The root of the workspace.
pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// Every file under `directory` in order, without build output and git's own files.
pub(super) fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = fs::read_dir(directory).expect("a directory");
    for path in entries.map(|entry| entry.expect("an entry").path()) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if matches!(name, "target" | ".git" | ".aws-sam" | ".venv" | ".local" | "node_modules") {
            continue;
        }
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// The path relative to the workspace.
pub(super) fn relative_path(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// One Rust file without comments, string literals and unit tests.
pub(super) struct Source {
    pub(super) file: String,
    pub(super) tokens: Vec<String>,
    module: Vec<String>,
}

impl Source {
    /// Reads the file at `path` of the crate whose sources are under `crate_sources`.
    pub(super) fn read(path: &Path, crate_sources: &Path) -> Self {
        let text = fs::read_to_string(path).expect("a source");
        let production = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let inner = path.strip_prefix(crate_sources).expect("a source of the crate");
        let inner = inner.with_extension("");
        let module = inner.iter().map(|part| part.to_string_lossy().into_owned());
        let module = module.filter(|part| !matches!(part.as_str(), "mod" | "lib" | "main"));
        Self { file: relative_path(path), tokens: tokens(production), module: module.collect() }
    }

    /// Every Rust file under `crate_sources`, without files of unit tests.
    pub(super) fn all(crate_sources: &Path) -> Vec<Self> {
        let rust = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "rs");
        let tests = |path: &PathBuf| {
            let inner = path.strip_prefix(crate_sources).unwrap_or(path).with_extension("");
            inner.iter().any(|part| part == "tests")
        };
        files(crate_sources)
            .iter()
            .filter(|path| rust(path) && !tests(path))
            .map(|path| Self::read(path, crate_sources))
            .collect()
    }

    /// The top module of the file: `store` for all files of `store/`.
    pub(super) fn layer(&self) -> &str {
        self.module.first().map_or("", String::as_str)
    }

    /// The path of the file's module: `crate::store::tx`.
    pub(super) fn module_path(&self) -> String {
        std::iter::once("crate")
            .chain(self.module.iter().map(String::as_str))
            .collect::<Vec<_>>()
            .join("::")
    }

    /// The paths in the file, with `use` trees expanded and `super` resolved: `crate::store::tx::Action`,
    /// `jiff::Timestamp`. A path that begins with an imported name is returned as written.
    pub(super) fn paths(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut at = 0;
        while at < self.tokens.len() {
            // In `use ::http`, the leading `::` is not part of the path.
            let begins = is_identifier(&self.tokens[at]) && self.tokens[at] != "use";
            at = if begins { self.read_path(at, &[], &mut found) } else { at + 1 };
        }
        found.iter().map(|path| self.resolve(path)).collect()
    }

    /// Reads a path or a `use` tree at `at` and returns the index after it.
    fn read_path(&self, at: usize, prefix: &[String], found: &mut BTreeSet<Vec<String>>) -> usize {
        let token = |at: usize| self.tokens.get(at).map_or("", String::as_str);
        let mut segments = prefix.to_vec();
        let mut at = at;
        loop {
            if token(at) == "{" && !segments.is_empty() {
                at += 1;
                while !matches!(token(at), "}" | "") {
                    at = if is_identifier(token(at)) {
                        self.read_path(at, &segments, found)
                    } else {
                        at + 1
                    };
                }
                return at + 1;
            }
            if !is_identifier(token(at)) {
                break;
            }
            segments.push(token(at).to_owned());
            at += 1;
            if token(at) != "::" {
                break;
            }
            at += 1;
        }
        if segments.len() > 1 {
            found.insert(segments);
        }
        at
    }

    fn resolve(&self, path: &[String]) -> String {
        let supers = path.iter().take_while(|segment| *segment == "super").count();
        let here = usize::from(path[0] == "self");
        let mut whole = path.to_vec();
        if supers + here > 0 {
            let base = self.module.iter().take(self.module.len().saturating_sub(supers)).cloned();
            let rest = path.iter().skip(supers + here).cloned();
            whole = std::iter::once("crate".to_owned()).chain(base).chain(rest).collect();
        }
        whole.join("::")
    }
}

fn is_identifier(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Splits into words, `::`, and single other characters.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(length) = literal_length(rest) {
            length
        } else if character.is_alphanumeric() || character == '_' {
            let length =
                rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            tokens.push(rest[..length].to_owned());
            length
        } else if rest.starts_with("::") {
            tokens.push("::".to_owned());
            2
        } else {
            if !character.is_whitespace() {
                tokens.push(character.to_string());
            }
            character.len_utf8()
        };
        rest = &rest[length..];
    }
    tokens
}

/// The length of the string or character literal that begins here.
fn literal_length(rest: &str) -> Option<usize> {
    let raw = rest.trim_start_matches('b').strip_prefix('r').filter(|_| !rest.starts_with("bb"));
    if let Some(raw) = raw {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if let Some(body) = raw[hashes..].strip_prefix('"') {
            let close = format!("\"{}", "#".repeat(hashes));
            let end = body.find(&close).map_or(body.len(), |end| end + close.len());
            return Some(rest.len() - body.len() + end);
        }
    }
    let quote = rest.strip_prefix('"').map(|body| ('"', body)).or_else(|| {
        let body = rest.strip_prefix('\'')?;
        let mut characters = body.chars();
        // Without a closing quote after one character, it is a lifetime.
        let is_character = characters.next()? == '\\' || characters.next() == Some('\'');
        is_character.then_some(('\'', body))
    });
    let (quote, body) = quote?;
    let mut escaped = false;
    for (at, character) in body.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            character if character == quote => return Some(rest.len() - body.len() + at + 1),
            _ => {}
        }
    }
    Some(rest.len())
}

#[test]
fn paths_are_resolved_like_in_the_compiler() {
    let source = |module: &[&str], text: &str| Source {
        file: String::new(),
        tokens: tokens(text),
        module: module.iter().map(|part| (*part).to_owned()).collect(),
    };
    let text = r##"
        //! `crate::comment::X`
        use crate::store::{Store, due_work::{self, put_domain_event}, tx::*};
        use super::super::zoom as z; /* crate::comment */
        use ::http::StatusCode;
        fn f<'a>(x: &'a str) -> char { jiff::Timestamp::now::<u8>(); $crate::app::run!("a::b", r#"c::d"#); '"' }
        fn g() { self::h(); "\"e::f" }
    "##;
    let found = source(&["app", "deep", "deeper"], text).paths();
    let expected = [
        "crate::app::deep::deeper::h",
        "crate::app::run",
        "crate::app::zoom",
        "crate::store::Store",
        "crate::store::due_work::put_domain_event",
        "crate::store::due_work::self",
        "crate::store::tx",
        "http::StatusCode",
        "jiff::Timestamp::now",
    ];
    assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), expected);
}
