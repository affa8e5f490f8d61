//! Rust sources as tokens and paths: little of the grammar, enough to see who names whom.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The workspace.
pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// Every file under `directory`, in order; build products and what git keeps for itself are left out.
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

/// The path as it is told: from the workspace on.
pub(super) fn told(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// One Rust file, without comments, texts and unit tests.
pub(super) struct Source {
    pub(super) file: String,
    pub(super) tokens: Vec<String>,
    module: Vec<String>,
}

impl Source {
    /// The file at `path`, whose crate's sources lie under `crate_sources`.
    pub(super) fn read(path: &Path, crate_sources: &Path) -> Self {
        let text = fs::read_to_string(path).expect("a source");
        let production = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let inner = path.strip_prefix(crate_sources).expect("a source of the crate");
        let inner = inner.with_extension("");
        let module = inner.iter().map(|part| part.to_string_lossy().into_owned());
        let module = module.filter(|part| !matches!(part.as_str(), "mod" | "lib" | "main"));
        Self { file: told(path), tokens: tokens(production), module: module.collect() }
    }

    /// Every Rust file under `crate_sources`, but for unit tests that have a file of their own.
    pub(super) fn all(crate_sources: &Path) -> Vec<Self> {
        let rust = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "rs");
        let tests = |path: &PathBuf| {
            let inner = path.strip_prefix(crate_sources).unwrap_or(path).with_extension("");
            inner.iter().any(|part| part == "tests")
        };
        files(crate_sources)
            .iter()
            .filter(|p| rust(p) && !tests(p))
            .map(|p| Self::read(p, crate_sources))
            .collect()
    }

    /// The module of the crate that the file belongs to: `store` for all of `store/`.
    pub(super) fn layer(&self) -> &str {
        self.module.first().map_or("", String::as_str)
    }

    /// The paths that the file names, with `use` trees written out and `super` resolved: `crate::store::tx::Action`,
    /// `jiff::Timestamp`. Those that begin with a name brought in by `use` are told as they stand.
    pub(super) fn paths(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut at = 0;
        while at < self.tokens.len() {
            // `use ::http`: what is before a path is no part of it.
            let begins = is_word(&self.tokens[at]) && self.tokens[at] != "use";
            at = if begins { self.path(at, &[], &mut found) } else { at + 1 };
        }
        found.iter().map(|path| self.resolved(path)).collect()
    }

    /// Reads a path or a `use` tree at `at`; answers where it ends.
    fn path(&self, at: usize, before: &[String], found: &mut BTreeSet<Vec<String>>) -> usize {
        let token = |at: usize| self.tokens.get(at).map_or("", String::as_str);
        let mut segments = before.to_vec();
        let mut at = at;
        loop {
            if token(at) == "{" && !segments.is_empty() {
                at += 1;
                while !matches!(token(at), "}" | "") {
                    at = if is_word(token(at)) { self.path(at, &segments, found) } else { at + 1 };
                }
                return at + 1;
            }
            if !is_word(token(at)) {
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

    fn resolved(&self, path: &[String]) -> String {
        let ups = path.iter().take_while(|segment| *segment == "super").count();
        let here = usize::from(path[0] == "self");
        let mut whole = path.to_vec();
        if ups + here > 0 {
            let base = self.module.iter().take(self.module.len().saturating_sub(ups)).cloned();
            let rest = path.iter().skip(ups + here).cloned();
            whole = std::iter::once("crate".to_owned()).chain(base).chain(rest).collect();
        }
        whole.join("::")
    }
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Words, `::`, and every other sign by itself.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(sign) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(length) = literal(rest) {
            length
        } else if sign.is_alphanumeric() || sign == '_' {
            let length =
                rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            tokens.push(rest[..length].to_owned());
            length
        } else if rest.starts_with("::") {
            tokens.push("::".to_owned());
            2
        } else {
            if !sign.is_whitespace() {
                tokens.push(sign.to_string());
            }
            sign.len_utf8()
        };
        rest = &rest[length..];
    }
    tokens
}

/// How long the text or character is that begins here, if one does.
fn literal(rest: &str) -> Option<usize> {
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
        let mut signs = body.chars();
        // What is not closed after one sign is a lifetime.
        let is_character = signs.next()? == '\\' || signs.next() == Some('\'');
        is_character.then_some(('\'', body))
    });
    let (quote, body) = quote?;
    let mut escaped = false;
    for (at, sign) in body.char_indices() {
        match sign {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            sign if sign == quote => return Some(rest.len() - body.len() + at + 1),
            _ => {}
        }
    }
    Some(rest.len())
}

#[test]
fn paths_are_read_as_the_compiler_reads_them() {
    let source = |module: &[&str], text: &str| Source {
        file: String::new(),
        tokens: tokens(text),
        module: module.iter().map(|part| (*part).to_owned()).collect(),
    };
    let text = r##"
        //! `crate::comment::X`
        use crate::store::{Store, outbox::{self, announce}, tx::*};
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
        "crate::store::outbox::announce",
        "crate::store::outbox::self",
        "crate::store::tx",
        "http::StatusCode",
        "jiff::Timestamp::now",
    ];
    assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), expected);
}
