//! What the documents for readers name is there.

use std::fs;

use shared::domain::scope::REQUIRED;
use shared::domain::zoom_event::HANDLED;
use shared::handlers::ROUTES;

use super::nothing_wrong;
use super::source::{files, root, told};

/// Every page for readers, and its text.
fn pages() -> Vec<(String, String)> {
    let markdown =
        files(&root()).into_iter().filter(|path| path.extension().is_some_and(|e| e == "md"));
    markdown.map(|path| (told(&path), fs::read_to_string(&path).expect("a page"))).collect()
}

fn page(name: &str) -> String {
    fs::read_to_string(root().join(name)).expect("a page")
}

/// GitHub's anchor of a heading.
pub(super) fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().trim().to_lowercase().replace(' ', "-")
}

/// What a page's parts are linked to by.
pub(super) fn anchors(text: &str) -> Vec<String> {
    // In a block a line that begins so is a shell's comment.
    let prose = text.split("```").step_by(2);
    let headings = prose.flat_map(str::lines).filter(|line| line.starts_with('#'));
    headings.map(|line| anchor(line.trim_start_matches('#'))).collect()
}

/// What stands in single backticks, outside of blocks.
fn quoted(text: &str) -> Vec<&str> {
    let prose = text.split("```").step_by(2);
    prose.flat_map(|part| part.split('`').skip(1).step_by(2)).collect()
}

/// Every Rust source outside of build products, as one text.
fn sources() -> String {
    let rust =
        files(&root()).into_iter().filter(|path| path.extension().is_some_and(|e| e == "rs"));
    rust.map(|path| fs::read_to_string(path).expect("a source")).collect()
}

#[test]
fn links_lead_somewhere() {
    let mut wrong = Vec::new();
    for (name, text) in pages() {
        let folder = root().join(&name).parent().expect("a folder").to_owned();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") {
                continue;
            }
            let (path, part) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { root().join(&name) } else { folder.join(path) };
            let is_there = target.exists()
                && (part.is_empty()
                    || fs::read_to_string(&target)
                        .is_ok_and(|text| anchors(&text).iter().any(|anchor| anchor == part)));
            if !is_there {
                wrong.push(format!("{name}: {link}"));
            }
        }
    }
    nothing_wrong(&wrong);
}

#[test]
fn tests_that_are_named_are_there() {
    let sources = sources();
    // No other name has as many words.
    let is_test = |name: &&str| {
        name.matches('_').count() >= 3
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    };
    let architecture = page("ARCHITECTURE.md");
    let named: Vec<_> = quoted(&architecture).into_iter().filter(is_test).collect();
    assert!(named.len() > 20, "{named:?}");
    let gone = named.iter().filter(|name| !sources.contains(&format!("fn {name}(")));
    nothing_wrong(&gone.map(|name| format!("no test {name}")).collect::<Vec<_>>());
}

#[test]
fn every_setting_is_explained() {
    let readme = page("README.md");
    let settings = fs::read_to_string(root().join("shared/src/config.rs")).expect("a source");
    let fields = fs::read_to_string(root().join("shared/src/secrets/set.rs")).expect("a source");
    let shared = root().join("shared/src");
    let elsewhere: String = files(&shared)
        .into_iter()
        .filter(|path| !told(path).ends_with("src/config.rs"))
        .map(|path| fs::read_to_string(path).expect("a source"))
        .collect();
    let constants = |text: &str, module: &str| -> Vec<(String, String)> {
        let start = text.find(module).expect("the module");
        let inside = text[start..].split("\n}").next().unwrap_or_default();
        let lines = inside.lines().filter_map(|line| line.trim().strip_prefix("pub const "));
        lines
            .filter_map(|line| {
                let (name, rest) = line.split_once(": &str = \"")?;
                Some((name.to_owned(), rest.split('"').next()?.to_owned()))
            })
            .collect()
    };
    let mut wrong = Vec::new();
    let known = constants(&settings, "pub mod names {");
    for (name, value) in &known {
        let is_read = elsewhere.contains(&format!("names::{name}"));
        if is_read && !name.starts_with("AWS_") && !readme.contains(&format!("`{value}`")) {
            wrong.push(format!("README.md does not explain {value}"));
        }
    }
    for (_, value) in constants(&fields, "pub mod fields {") {
        if !readme.contains(&format!("`{value}`")) {
            wrong.push(format!("README.md does not explain the secret's {value}"));
        }
    }
    let table = readme.split("## Configuration").nth(1).expect("the section");
    let table = table.split("\n## ").next().unwrap_or_default();
    let is_variable = |name: &&str| {
        name.contains('_') && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
    };
    for name in quoted(table).into_iter().filter(is_variable) {
        if !known.iter().any(|(_, value)| value == name) {
            wrong.push(format!("README.md explains {name}, which nothing reads"));
        }
    }
    nothing_wrong(&wrong);
}

/// The runbooks: what is read in a hurry must be right.
fn runbooks() -> Vec<(String, String)> {
    pages().into_iter().filter(|(name, _)| name.starts_with("docs/")).collect()
}

/// Whether a quoted word is a name of ours or of a setting's: `a_b`, `a.b_c`, `A_B` or `AbCd`.
fn is_name(word: &str) -> bool {
    let only = |allowed: fn(u8) -> bool| word.bytes().all(allowed);
    let snake = only(|b| b.is_ascii_lowercase() || matches!(b, b'_' | b'.'));
    let constant = only(|b| b.is_ascii_uppercase() || b == b'_');
    let camel = only(|b| b.is_ascii_alphanumeric())
        && word.starts_with(|c: char| c.is_ascii_uppercase())
        && word.bytes().filter(u8::is_ascii_uppercase).count() > 1
        && word.bytes().any(|b| b.is_ascii_lowercase());
    let told_apart = word.contains('_') && !word.starts_with('_');
    ((snake || constant) && told_apart) || camel
}

#[test]
fn names_in_runbooks_are_names_of_something() {
    let read = |name: &&str| fs::read_to_string(root().join(name)).expect("a file");
    let files = ["openapi.yaml", "template.yaml", "infra/watching.yaml", "README.md"];
    let known: String = files.iter().map(read).chain([sources()]).collect();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (page, text) in runbooks() {
        for word in quoted(&text).into_iter().filter(|word| is_name(word)) {
            seen += 1;
            if !known.contains(word) {
                wrong.push(format!("{page}: what is {word}?"));
            }
        }
        // An output that a shell is to ask for.
        for output in text.split("$(output ").skip(1).filter_map(|rest| rest.split(')').next()) {
            if !known.contains(&format!("\n  {output}:\n    Description:")) {
                wrong.push(format!("{page}: the stack has no output {output}"));
            }
        }
    }
    assert!(seen > 50, "only {seen} names");
    nothing_wrong(&wrong);
}

#[test]
fn the_zoom_apps_scopes_are_all_told() {
    let text = page("docs/zoom-app.md");
    for spelling in REQUIRED.iter().flat_map(|spellings| spellings.iter()) {
        assert!(
            text.contains(&format!("`{spelling}`")),
            "docs/zoom-app.md does not tell of {spelling}"
        );
    }
}

/// An event that nobody subscribed to never comes, and nothing would say so.
#[test]
fn the_events_to_subscribe_to_are_those_that_are_handled() {
    let text = page("docs/zoom-app.md");
    let part = text.split("## Event subscription").nth(1).expect("the part");
    let part = part.split("\n## ").next().unwrap_or_default();
    let of_zoom = |word: &&str| {
        ["app_", "endpoint.", "meeting.", "recording.", "user."]
            .iter()
            .any(|of| word.starts_with(of))
    };
    let mut told: Vec<_> = quoted(part).into_iter().filter(of_zoom).collect();
    told.sort_unstable();
    assert_eq!(told, HANDLED);
}

#[test]
fn calls_in_runbooks_are_routes() {
    let fits = |route: &str, path: &str| {
        let (route, path): (Vec<_>, Vec<_>) =
            (route.split('/').collect(), path.split('/').collect());
        let same = |(route, path): (&&str, &&str)| route.starts_with('{') || route == path;
        route.len() == path.len() && route.iter().zip(&path).all(same)
    };
    let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '`' | '\'' | ')' | '?' | ',');
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (page, text) in runbooks() {
        for line in text.lines() {
            for (at, _) in line.match_indices("/v1/") {
                let path = line[at..].split(ends).next().unwrap_or_default();
                // Said before the path, or to curl; a line may break in between, and then any method will do.
                let method = ["GET", "POST", "PUT", "DELETE"]
                    .into_iter()
                    .find(|method| line[..at].contains(&format!("{method} ")));
                let known = ROUTES.iter().any(|route| {
                    fits(route.path, path) && method.is_none_or(|method| method == route.method)
                });
                seen += 1;
                // The mail service's address has a version, too.
                if !known && !line[..at].contains("zeptomail") {
                    wrong.push(format!("{page}: {} {path} is no route", method.unwrap_or("?")));
                }
            }
        }
    }
    assert!(seen > 8, "only {seen} calls");
    nothing_wrong(&wrong);
}
