//! What must not stand in any file.

use std::fs;

use super::nothing_wrong;
use super::source::{files, root, told};

#[test]
fn nothing_is_left_for_later() {
    // Each put together, so that this file may be searched too.
    let words = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:")];
    search(&words, "what is to be done is an issue, not a comment");
}

#[test]
fn packages_come_from_wherever_the_machine_gets_them() {
    let hosts = [
        concat!("crates", ".io"),
        concat!("pypi", ".org"),
        concat!("pythonhosted", ".org"),
        concat!("npmjs", ".org"),
        concat!("yarnpkg", ".com"),
        concat!("deb.", "debian.org"),
    ];
    search(&hosts, "a mirror may stand in its place");
}

fn search(words: &[&str], why: &str) {
    let mut wrong = Vec::new();
    for path in files(&root()) {
        // Cargo writes the registry's name into its lock file itself.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        if path.ends_with("Cargo.lock") {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            for word in words.iter().filter(|word| line.contains(**word)) {
                wrong.push(format!("{}:{}: `{word}`: {why}", told(&path), number + 1));
            }
        }
    }
    nothing_wrong(&wrong);
}
