//! Links and names in the documents must exist.

use std::fs;

use shared::domain::scope::{REQUIRED, REQUIRED_OF_ACCOUNT, REQUIRED_OF_ACCOUNT_FOR_LINKS};
use shared::domain::zoom_event::HANDLED_EVENTS;
use shared::handlers::{GUEST_ROUTES, ROUTES};

use super::assert_no_problems;
use super::source::{files, relative_path, root};

/// Every Markdown page with its text.
pub(super) fn pages() -> Vec<(String, String)> {
    let markdown =
        files(&root()).into_iter().filter(|path| path.extension().is_some_and(|e| e == "md"));
    markdown
        .map(|path| (relative_path(&path), fs::read_to_string(&path).expect("a page")))
        .collect()
}

pub(super) fn page_text(name: &str) -> String {
    fs::read_to_string(root().join(name)).expect("a page")
}

/// GitHub's anchor of a heading.
pub(super) fn anchor(heading: &str) -> String {
    let allowed = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    allowed.collect::<String>().trim().to_lowercase().replace(' ', "-")
}

/// The anchors of a page's headings.
pub(super) fn anchors(text: &str) -> Vec<String> {
    // In a code block, a line that begins with `#` is a comment.
    let prose = text.split("```").step_by(2);
    let headings = prose.flat_map(str::lines).filter(|line| line.starts_with('#'));
    headings.map(|line| anchor(line.trim_start_matches('#'))).collect()
}

/// The texts in single backticks outside of code blocks.
pub(super) fn inline_code(text: &str) -> Vec<&str> {
    let prose = text.split("```").step_by(2);
    prose.flat_map(|part| part.split('`').skip(1).step_by(2)).collect()
}

/// All Rust sources as one text.
fn sources() -> String {
    let rust =
        files(&root()).into_iter().filter(|path| path.extension().is_some_and(|e| e == "rs"));
    rust.map(|path| fs::read_to_string(path).expect("a source")).collect()
}

#[test]
fn document_links_resolve() {
    let mut problems = Vec::new();
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
                problems.push(format!("{name}: {link}"));
            }
        }
    }
    assert_no_problems(&problems);
}

#[test]
fn documented_tests_exist() {
    let sources = sources();
    // No other quoted name has as many words.
    let is_test = |name: &&str| {
        name.matches('_').count() >= 3
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    };
    let architecture = page_text("ARCHITECTURE.md");
    let named: Vec<_> = inline_code(&architecture).into_iter().filter(is_test).collect();
    assert!(named.len() > 20, "{named:?}");
    let missing = named.iter().filter(|name| !sources.contains(&format!("fn {name}(")));
    assert_no_problems(
        &missing.map(|name| format!("test {name} does not exist")).collect::<Vec<_>>(),
    );
}

#[test]
fn every_setting_is_documented() {
    let page = page_text("docs/reference/configuration.md");
    let settings = fs::read_to_string(root().join("shared/src/config.rs")).expect("a source");
    let fields = fs::read_to_string(root().join("shared/src/secrets/set.rs")).expect("a source");
    let shared = root().join("shared/src");
    let other_sources: String = files(&shared)
        .into_iter()
        .filter(|path| !relative_path(path).ends_with("src/config.rs"))
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
    let mut problems = Vec::new();
    let known = constants(&settings, "pub mod names {");
    for (name, value) in &known {
        let is_read = other_sources.contains(&format!("names::{name}"));
        if is_read && !name.starts_with("AWS_") && !page.contains(&format!("`{value}`")) {
            problems.push(format!("docs/reference/configuration.md does not explain {value}"));
        }
    }
    for (_, value) in constants(&fields, "pub mod fields {") {
        if !page.contains(&format!("`{value}`")) {
            problems.push(format!(
                "docs/reference/configuration.md does not explain the secret's field {value}"
            ));
        }
    }
    let table = page.split("## Variables").nth(1).expect("the section");
    let table = table.split("\n## ").next().unwrap_or_default();
    let is_variable = |name: &&str| {
        name.contains('_') && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
    };
    for name in inline_code(table).into_iter().filter(is_variable) {
        if !known.iter().any(|(_, value)| value == name) {
            problems.push(format!(
                "docs/reference/configuration.md explains {name}, but no function reads it"
            ));
        }
    }
    assert_no_problems(&problems);
}

/// The runbooks.
fn runbooks() -> Vec<(String, String)> {
    pages().into_iter().filter(|(name, _)| name.starts_with("docs/")).collect()
}

/// Whether a quoted word looks like a name from the code or a setting: `a_b`, `a.b_c`, `A_B` or `AbCd`. Another test
/// checks files.
fn is_name(word: &str) -> bool {
    if word.ends_with(".rs") {
        return false;
    }
    let only = |allowed: fn(u8) -> bool| word.bytes().all(allowed);
    let snake = only(|b| b.is_ascii_lowercase() || matches!(b, b'_' | b'.'));
    let constant = only(|b| b.is_ascii_uppercase() || b == b'_');
    let camel = only(|b| b.is_ascii_alphanumeric())
        && word.starts_with(|c: char| c.is_ascii_uppercase())
        && word.bytes().filter(u8::is_ascii_uppercase).count() > 1
        && word.bytes().any(|b| b.is_ascii_lowercase());
    let has_separator = word.contains('_') && !word.starts_with('_');
    ((snake || constant) && has_separator) || camel
}

#[test]
fn documented_names_exist_in_the_code() {
    let read = |name: &&str| fs::read_to_string(root().join(name)).expect("a file");
    let files = [
        "clients/python/src/live_classes/client.py",
        "clients/python/src/live_classes/errors.py",
        "clients/python/src/live_classes/importing/command.py",
        "clients/typescript/src/index.ts",
        "infra/watching.yaml",
        "openapi.yaml",
        "README.md",
        "template.yaml",
    ];
    let known: String = files.iter().map(read).chain([sources()]).collect();
    let mut problems = Vec::new();
    let mut seen = 0;
    // The changelog also names things of earlier versions.
    for (page, text) in pages().into_iter().filter(|(page, _)| page != "CHANGELOG.md") {
        for word in inline_code(&text).into_iter().filter(|word| is_name(word)) {
            seen += 1;
            if !known.contains(word) {
                problems.push(format!("{page}: {word} is unknown"));
            }
        }
        // An output of the deployed stack.
        for output in text.split("$(output ").skip(1).filter_map(|rest| rest.split(')').next()) {
            if !known.contains(&format!("\n  {output}:\n    Description:")) {
                problems.push(format!("{page}: the stack has no output {output}"));
            }
        }
    }
    assert!(seen > 50, "only {seen} names");
    assert_no_problems(&problems);
}

#[test]
fn zoom_app_scopes_are_documented() {
    let text = page_text("docs/reference/zoom-app.md");
    for spelling in REQUIRED.iter().flat_map(|spellings| spellings.iter()) {
        assert!(
            text.contains(&format!("`{spelling}`")),
            "docs/reference/zoom-app.md does not list {spelling}"
        );
    }
}

#[test]
fn scopes_of_the_accounts_app_are_documented() {
    let text = page_text("docs/how-to/platform-account.md");
    let listed: Vec<_> =
        inline_code(&text).into_iter().filter(|word| word.ends_with(":admin")).collect();
    assert_eq!(listed, [&REQUIRED_OF_ACCOUNT[..], &REQUIRED_OF_ACCOUNT_FOR_LINKS].concat());
}

/// Zoom does not send events without a subscription, and no error would show that.
#[test]
fn documented_event_subscriptions_match_the_handled_events() {
    let text = page_text("docs/reference/zoom-app.md");
    let section = text.split("## Events").nth(1).expect("the section");
    let section = section.split("\n## ").next().unwrap_or_default();
    let is_zoom_event = |word: &&str| {
        ["app_", "endpoint.", "meeting.", "recording.", "user."]
            .iter()
            .any(|prefix| word.starts_with(prefix))
    };
    let mut names: Vec<_> = inline_code(section).into_iter().filter(is_zoom_event).collect();
    names.sort_unstable();
    assert_eq!(names, HANDLED_EVENTS);
}

#[test]
fn runbook_requests_match_routes() {
    let fits = |route: &str, path: &str| {
        let (route, path): (Vec<_>, Vec<_>) =
            (route.split('/').collect(), path.split('/').collect());
        let same = |(route, path): (&&str, &&str)| route.starts_with('{') || route == path;
        route.len() == path.len() && route.iter().zip(&path).all(same)
    };
    let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '`' | '\'' | ')' | '?' | ',');
    let mut problems = Vec::new();
    let mut seen = 0;
    for (page, text) in runbooks() {
        for line in text.lines() {
            for (at, _) in line.match_indices("/v1/") {
                let path = line[at..].split(ends).next().unwrap_or_default();
                // The method precedes the path. If a line break separates them, any method is accepted.
                let method = ["GET", "POST", "PUT", "DELETE"]
                    .into_iter()
                    .find(|method| line[..at].contains(&format!("{method} ")));
                let known = ROUTES.iter().chain(GUEST_ROUTES).any(|route| {
                    fits(route.path, path) && method.is_none_or(|method| method == route.method)
                });
                seen += 1;
                // The mail service's address has a version as well.
                if !known && !line[..at].contains("zeptomail") {
                    problems
                        .push(format!("{page}: {} {path} is not a route", method.unwrap_or("?")));
                }
            }
        }
    }
    assert!(seen > 8, "only {seen} calls");
    assert_no_problems(&problems);
}

/// A rollback moves the alias and leaves `$LATEST`, which the name alone means.
#[test]
fn pages_invoke_functions_by_their_alias() {
    let template = super::template::template();
    let alias = &template.root()["Globals"]["Function"]["AutoPublishAlias"];
    let alias = format!(":{}\"", alias.as_str().expect("an alias"));
    let pages = pages();
    let invocations: Vec<_> = pages
        .iter()
        .flat_map(|(page, text)| text.lines().map(move |line| (page, line)))
        .filter(|(_, line)| line.contains("aws lambda invoke "))
        .collect();
    assert!(invocations.len() > 2, "{invocations:?}");
    let problems: Vec<_> = invocations
        .iter()
        .filter(|(_, line)| !line.contains(&alias))
        .map(|(page, line)| format!("{page}: {line}"))
        .collect();
    assert_no_problems(&problems);
}
