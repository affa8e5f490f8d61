//! Texts that no file may contain.

use std::fs;

use super::assert_no_problems;
use super::source::{files, relative_path, root};

#[test]
fn no_file_contains_a_postponement_marker() {
    // Concatenated, so that this file passes its own check.
    let words = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:")];
    search(&words, "open an issue instead");
}

#[test]
fn no_file_names_a_package_registry_host() {
    let hosts = [
        concat!("crates", ".io"),
        concat!("pypi", ".org"),
        concat!("pythonhosted", ".org"),
        concat!("npmjs", ".org"),
        concat!("yarnpkg", ".com"),
        concat!("deb.", "debian.org"),
    ];
    search(&hosts, "the machine configures the registry, which may be a mirror");
}

fn search(words: &[&str], reason: &str) {
    let mut problems = Vec::new();
    for path in files(&root()) {
        // Cargo writes the registry's name into its lock file.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        if path.ends_with("Cargo.lock") {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            for word in words.iter().filter(|word| line.contains(**word)) {
                problems.push(format!(
                    "{}:{}: `{word}`: {reason}",
                    relative_path(&path),
                    number + 1
                ));
            }
        }
    }
    assert_no_problems(&problems);
}
