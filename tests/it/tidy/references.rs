//! Documents name nothing that does not exist: pages, files, commands, options, alarms and releases. Files state the same version.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::assert_no_problems;
use super::documents::{anchors, inline_code, page_text, pages};
use super::source::{files, relative_path, root};

/// Cargo's own commands, and those of tools that the pages install first.
const CARGO_COMMANDS: [&str; 10] =
    ["build", "check", "clippy", "deny", "doc", "fmt", "install", "lambda", "test", "update"];

/// Folders whose files the pages name by their path.
const FOLDERS: [&str; 9] = [
    ".ci/",
    ".github/",
    "clients/",
    "docs/",
    "events/",
    "functions/",
    "infra/",
    "local/",
    "shared/",
];

/// The code blocks of a page.
fn code_blocks(text: &str) -> impl Iterator<Item = &str> {
    text.split("```").skip(1).step_by(2)
}

/// The words of a page's code, inline and in blocks, without quotes and punctuation at their ends.
fn code_words(text: &str) -> Vec<&str> {
    let around = |c: char| matches!(c, '"' | '\'' | ',' | '.' | ';' | ':' | '(' | ')' | '`');
    let words = code_blocks(text).chain(inline_code(text)).flat_map(str::split_whitespace);
    words.map(|word| word.trim_end_matches(around).trim_start_matches(['"', '\'', '('])).collect()
}

/// Whether a word has a placeholder (`functions/<name>`) or a pattern instead of a name.
fn is_pattern(word: &str) -> bool {
    word.contains(['<', '{', '$', '*', '…', '\\', '='])
}

fn exists(path: &str) -> bool {
    root().join(path).exists()
}

#[test]
fn every_page_is_in_the_index() {
    let index = page_text("docs/README.md");
    let problems: Vec<_> = pages()
        .into_iter()
        .map(|(name, _)| name)
        // The pages of a folder with a list of its own are found by that list.
        .filter(|name| name.starts_with("docs/") && !name.starts_with("docs/adr/0"))
        .filter_map(|name| name.strip_prefix("docs/").map(str::to_owned))
        .filter(|name| name != "README.md" && !index.contains(&format!("({name})")))
        .map(|name| format!("docs/README.md does not list {name}"))
        .collect();
    assert_no_problems(&problems);
}

/// Comments, descriptions and messages name pages as `docs/<folder>/<page>.md`, with or without a section.
#[test]
fn pages_that_any_file_names_exist() {
    let mut problems = Vec::new();
    let mut seen = 0;
    for path in files(&root()) {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let name = relative_path(&path);
        for (at, _) in text.match_indices("docs/") {
            let ends = |c: char| !(c.is_ascii_alphanumeric() || "/.-_#".contains(c));
            let reference = text[at..].split(ends).next().unwrap_or_default();
            let (page, section) = reference.split_once('#').unwrap_or((reference, ""));
            // `docs/` in the middle of another path, such as an address, begins no path of ours.
            let is_inner = text[..at].ends_with(|c: char| c.is_alphanumeric())
                || (text[..at].ends_with('/') && !text[..at].ends_with("../"));
            if is_inner || !page.ends_with(".md") {
                continue;
            }
            seen += 1;
            let section = section.trim_end_matches('.');
            let is_there = fs::read_to_string(root().join(page)).is_ok_and(|text| {
                section.is_empty() || anchors(&text).iter().any(|anchor| anchor == section)
            });
            if !is_there {
                problems.push(format!("{name}: {reference}"));
            }
        }
    }
    assert!(seen > 50, "only {seen} references");
    assert_no_problems(&problems);
}

#[test]
fn files_that_pages_name_exist() {
    let all: BTreeSet<String> = files(&root()).iter().map(|path| relative_path(path)).collect();
    let mut problems = Vec::new();
    let mut seen = 0;
    for (page, text) in pages() {
        let folder = Path::new(&page).parent().expect("a folder").to_string_lossy().into_owned();
        for word in code_words(&text).into_iter().filter(|word| !is_pattern(word)) {
            let is_path = FOLDERS.iter().chain(&["tests/"]).any(|folder| word.starts_with(folder));
            let is_source = [".rs", ".py", ".sh"].iter().any(|ending| word.ends_with(ending));
            if !is_path && !is_source {
                continue;
            }
            seen += 1;
            // A source may be named by the end of its path, and any file from the page's folder.
            let ending = format!("/{word}");
            let is_there = exists(word)
                || exists(&format!("{folder}/{word}"))
                || (is_source && all.iter().any(|file| file.ends_with(&ending)));
            if !is_there {
                problems.push(format!("{page}: {word}"));
            }
        }
    }
    assert!(seen > 40, "only {seen} files");
    assert_no_problems(&problems);
}

/// The options that `local/src/main.rs` reads.
fn local_options() -> BTreeSet<String> {
    let source = page_text("local/src/main.rs");
    let options = source.split("Arg::Long(\"").skip(1).filter_map(|rest| rest.split('"').next());
    options.map(|option| format!("--{option}")).collect()
}

#[test]
fn documented_commands_and_options_exist() {
    let aliases = page_text(".cargo/config.toml");
    let scripts: String = ["tests/console/package.json", "clients/typescript/package.json"]
        .iter()
        .map(|file| page_text(file))
        .collect();
    let options = local_options();
    let mut problems = Vec::new();
    let mut seen = 0;
    for (page, text) in pages() {
        let prose = inline_code(&text);
        for line in code_blocks(&text).flat_map(str::lines).chain(prose.iter().copied()) {
            for (at, _) in line.match_indices("cargo ") {
                // `+1.2.3` selects a toolchain.
                let mut words = line[at..].split_whitespace().skip(1).peekable();
                words.next_if(|word| word.starts_with('+'));
                let command = words.next().unwrap_or_default();
                seen += 1;
                let is_known = CARGO_COMMANDS.contains(&command)
                    || aliases.contains(&format!("\n{command} = "));
                if !is_known {
                    problems.push(format!("{page}: cargo {command}"));
                }
                if command == "local" {
                    let until_pipe = words.take_while(|word| !matches!(*word, "|" | "&" | "#"));
                    for option in until_pipe.filter(|word| word.starts_with("--")) {
                        if !options.contains(option) {
                            problems.push(format!("{page}: cargo local {option}"));
                        }
                    }
                }
            }
            for script in line.split("npm run ").skip(1) {
                let script = script.split(|c: char| !c.is_ascii_alphanumeric()).next();
                let script = script.unwrap_or_default();
                if !scripts.contains(&format!("\"{script}\": ")) {
                    problems.push(format!("{page}: npm run {script}"));
                }
            }
        }
    }
    assert!(seen > 20, "only {seen} commands");
    assert_no_problems(&problems);
}

/// Whether a documented path is a route. A placeholder or a variable of the shell stands for one segment.
fn is_route(path: &str, routes: &BTreeSet<&str>) -> bool {
    let is_any = |segment: &str| segment.starts_with(['{', '$']);
    routes.iter().any(|route| {
        let (route, path): (Vec<_>, Vec<_>) =
            (route.split('/').collect(), path.split('/').collect());
        route.len() == path.len()
            && route.iter().zip(&path).all(|(a, b)| a == b || is_any(a) || is_any(b))
    })
}

/// The routes of the local stack and of the simulated Zoom.
#[test]
fn documented_local_routes_exist() {
    let sources: Vec<_> = ["local/src", "local/aws/src", "local/zoom/src"]
        .iter()
        .flat_map(|folder| files(&root().join(folder)))
        // Tests build paths with placeholders.
        .filter(|path| !relative_path(path).contains("/tests/"))
        .filter_map(|path| fs::read_to_string(path).ok())
        .collect();
    let routes: BTreeSet<&str> = sources
        .iter()
        .flat_map(|source| source.split('"'))
        .filter(|text| text.starts_with("/local/") || text.starts_with("/zoom/"))
        .collect();
    let mut problems = Vec::new();
    let mut seen = 0;
    for (page, text) in pages() {
        for word in code_words(&text).into_iter().filter(|word| !word.contains('…')) {
            let path = word.rsplit_once("$B").or_else(|| word.rsplit_once(":4000"));
            let path = path.map_or(word, |(_, path)| path);
            let path = path.split(['?', '"']).next().unwrap_or_default();
            let is_local = path.starts_with("/local/") || path.starts_with("/zoom/");
            // `/zoom/oauth` alone names a part of the paths.
            if !is_local || path.matches('/').count() < 3 && path.starts_with("/zoom/") {
                continue;
            }
            seen += 1;
            if !is_route(path, &routes) {
                problems.push(format!("{page}: {path}"));
            }
        }
    }
    assert!(seen > 20, "only {seen} routes");
    assert_no_problems(&problems);
}

/// A page that names a release, such as a tag to check out, needs the release to be in the changelog.
#[test]
fn documented_releases_are_in_the_changelog() {
    let changelog = page_text("CHANGELOG.md");
    let is_release = |word: &&str| {
        let numbers: Vec<_> = word.strip_prefix('v').unwrap_or_default().split('.').collect();
        numbers.len() == 3 && numbers.iter().all(|number| number.parse::<u32>().is_ok())
    };
    let mut problems = Vec::new();
    for (page, text) in pages() {
        for release in code_words(&text).into_iter().filter(is_release) {
            if !changelog.contains(&format!("\n## [{}]", &release[1..])) {
                problems.push(format!("{page}: there is no release {release}"));
            }
        }
    }
    assert_no_problems(&problems);
}

/// The runbook of an alarm: the impact, the place to look, the remedy, and the alarms that exist.
#[test]
fn alarm_sections_begin_with_impact_check_and_do() {
    let watching = page_text("infra/watching.yaml");
    let page = page_text("docs/how-to/operations.md");
    let sections: Vec<_> = page.split("\n### ").skip(1).collect();
    let mut problems = Vec::new();
    for section in &sections {
        let (heading, body) = section.split_once('\n').unwrap_or((section, ""));
        let items: Vec<_> = body
            .split("\n\n")
            .next()
            .map(str::trim)
            .filter(|text| !text.is_empty())
            .or_else(|| body.split("\n\n").nth(1))
            .unwrap_or_default()
            .split("\n- ")
            .map(|item| item.trim_start().trim_start_matches("- "))
            .collect();
        let expected = ["**Impact**: ", "**Check**: ", "**Do**: "];
        let in_order = items.len() == expected.len()
            && items.iter().zip(expected).all(|(item, start)| item.starts_with(start));
        if !in_order {
            problems.push(format!("{heading} does not begin with Impact, Check and Do"));
        }
        let alarms = body.lines().find(|line| line.starts_with("Alarm"));
        let alarms = alarms.map(|line| inline_code(line)).unwrap_or_default();
        if alarms.is_empty() {
            problems.push(format!("{heading} names no alarm"));
        }
        for alarm in alarms {
            if !watching.contains(&format!("AlarmName: !Sub ${{Deployment}}-{alarm}\n")) {
                problems.push(format!("{heading}: there is no alarm {alarm}"));
            }
        }
    }
    assert!(sections.len() > 20, "only {} sections", sections.len());
    assert_no_problems(&problems);
}

/// A number in `Cargo.toml` that no build uses would be a guess.
#[test]
fn minimum_rust_version_is_built_every_night() {
    let manifest = page_text("Cargo.toml");
    let version = manifest.split("\nrust-version = \"").nth(1).expect("a declaration");
    let version = version.split('"').next().expect("a version");
    let nightly = page_text(".ci/nightly");
    assert!(nightly.contains("rust-version"), "reads the version from Cargo.toml");
    let pinned = page_text("rust-toolchain.toml");
    let pinned = pinned.split("channel = \"").nth(1).expect("a channel");
    let numbers = |version: &str| -> Vec<u32> {
        version.split(['.', '"']).map_while(|number| number.parse().ok()).collect()
    };
    assert!(numbers(version) <= numbers(pinned), "{version} is later than the pinned version");
}

#[test]
fn every_file_states_the_same_version() {
    let version = env!("CARGO_PKG_VERSION");
    let openapi: Value = serde_norway::from_str(&page_text("openapi.yaml")).expect("YAML");
    assert_eq!(openapi["info"]["version"], version);
    for file in ["package.json", "package-lock.json"] {
        let path = format!("clients/typescript/{file}");
        let package: Value = serde_json::from_str(&page_text(&path)).expect("JSON");
        assert_eq!(package["version"], version, "{path}");
    }
    let python = page_text("clients/python/pyproject.toml");
    assert!(python.contains(&format!("\nversion = \"{version}\"\n")), "clients/python");
    let released = page_text("CHANGELOG.md");
    let released = released.split("\n## [").nth(2).expect("a release below Unreleased");
    assert!(released.starts_with(&format!("{version}] - ")), "{version} is the first release");
}
