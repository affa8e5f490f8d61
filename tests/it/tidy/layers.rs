//! Who may name whom: the arrows of ARCHITECTURE.md.

use std::fs;

use super::nothing_wrong;
use super::source::{Source, files, root, told};

/// What every layer but `domain` may use: modules that use no layer themselves.
const LEAVES: [&str; 11] = [
    "aws",
    "clock",
    "config",
    "crypt",
    "jwt",
    "net",
    "random",
    "secret",
    "secrets",
    "telemetry",
    "domain",
];

/// Modules of `shared` that stand between the handlers and the rest.
const LAYERS: [&str; 6] = ["domain", "store", "zoom", "mail", "queue", "app"];

/// The modules of `shared` that one of them may name, beside itself.
fn may_name(layer: &str) -> Vec<&'static str> {
    match layer {
        "domain" => vec![],
        // Whoever talks to the outside has an address and a client of its own, and knows nobody else who has.
        "store" | "zoom" | "mail" | "queue" => LEAVES.to_vec(),
        // Its tools come ready-made from the handlers, so it needs neither clients nor connections.
        "app" => {
            let leaves = LEAVES.iter().filter(|leaf| !matches!(**leaf, "aws" | "net"));
            leaves.chain(&["store", "zoom", "mail", "queue"]).copied().collect()
        }
        _ => unreachable!("{layer} is no layer"),
    }
}

/// Crates of the outside world, by the beginnings of their names.
const AWS: &str = "aws_";
const LAMBDA: &str = "lambda_";
const HTTP: [&str; 4] = ["http", "hyper", "reqwest", "rustls"];

fn shared() -> Vec<Source> {
    Source::all(&root().join("shared/src"))
}

fn first(path: &str) -> &str {
    path.split("::").next().unwrap_or_default()
}

/// The module of the crate itself that a path leads into.
fn own_module(path: &str) -> Option<&str> {
    path.strip_prefix("crate::").map(first)
}

#[test]
fn arrows_point_one_way() {
    let mut wrong = Vec::new();
    for source in shared() {
        let layer = source.layer();
        let allowed = if LAYERS.contains(&layer) {
            may_name(layer)
        } else if matches!(layer, "" | "handlers") {
            continue;
        } else {
            LEAVES.iter().chain(&["auth", "http"]).copied().collect()
        };
        for path in source.paths() {
            if let Some(module) = own_module(&path)
                && module != layer
                && !allowed.contains(&module)
            {
                wrong.push(format!("{}: `{layer}` must not know of `{path}`", source.file));
            }
        }
    }
    nothing_wrong(&wrong);
}

#[test]
fn the_domain_is_values() {
    // What computes with values and reaches for nothing.
    const CRATES: [&str; 8] = [
        "data_encoding",
        "email_address",
        "jiff",
        "serde",
        "serde_json",
        "sha2",
        "thiserror",
        "url",
    ];
    let manifest = fs::read_to_string(root().join("shared/Cargo.toml")).expect("a manifest");
    let dependencies: Vec<String> = manifest
        .lines()
        .filter_map(|line| Some(line.split_once(".workspace")?.0.replace('-', "_")))
        .collect();
    assert!(dependencies.iter().any(|name| name == "aws_sdk_dynamodb"), "{dependencies:?}");
    let mut wrong = Vec::new();
    for source in shared().iter().filter(|source| source.layer() == "domain") {
        for word in ["async", "await", "Clock", "Random"] {
            if source.tokens.iter().any(|token| token == word) {
                wrong.push(format!("{}: a value has no `{word}`", source.file));
            }
        }
        for path in source.paths() {
            let name = first(&path);
            if dependencies.iter().any(|dependency| dependency == name) && !CRATES.contains(&name) {
                wrong.push(format!("{}: the domain does without `{path}`", source.file));
            }
        }
    }
    nothing_wrong(&wrong);
}

#[test]
fn vendors_stay_where_they_belong() {
    let mut wrong = Vec::new();
    for source in shared() {
        let layer = source.layer();
        for path in source.paths() {
            let name = first(&path);
            let belongs = if name.starts_with("aws_sdk_dynamodb") {
                matches!(layer, "store" | "aws")
            } else if name.starts_with("aws_sdk_sqs") {
                matches!(layer, "queue" | "aws")
            } else if name.starts_with(AWS) {
                !matches!(layer, "domain" | "app" | "handlers" | "zoom")
            } else if name.starts_with(LAMBDA) {
                matches!(layer, "handlers" | "http")
            } else if HTTP.contains(&name) {
                !matches!(layer, "domain" | "app" | "store" | "queue")
            } else {
                true
            };
            if !belongs {
                wrong.push(format!("{}: `{path}` does not belong here", source.file));
            }
        }
    }
    nothing_wrong(&wrong);
}

#[test]
fn there_is_no_scan() {
    let mut wrong = Vec::new();
    for source in shared() {
        let operation =
            |pair: &[String]| pair[1] == "scan" && matches!(pair[0].as_str(), "." | "::");
        if source.tokens.windows(2).any(operation)
            || source.tokens.iter().any(|token| token.starts_with("Scan"))
        {
            wrong.push(format!("{}: every read has a key", source.file));
        }
    }
    nothing_wrong(&wrong);
}

/// The names of the functions, by their folders.
pub(super) fn functions() -> Vec<String> {
    let manifests = files(&root().join("functions"));
    let manifests = manifests.iter().filter(|path| path.ends_with("Cargo.toml"));
    let name = |path: &std::path::PathBuf| {
        let folder = path.parent()?.strip_prefix(root().join("functions")).ok()?;
        Some(folder.display().to_string())
    };
    manifests.filter_map(name).collect()
}

#[test]
fn a_function_is_its_handler_and_little_else() {
    const LINES: usize = 20;
    let mut wrong = Vec::new();
    for function in functions() {
        let folder = root().join("functions").join(&function);
        let main = folder.join("src/main.rs");
        let text = fs::read_to_string(&main).expect("a main");
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with("//")).count();
        if lines > LINES {
            wrong.push(format!(
                "{}: {lines} lines; what they do belongs into a handler",
                told(&main)
            ));
        }
        let mut handlers: Vec<String> = Source::read(&main, &folder.join("src"))
            .paths()
            .iter()
            .filter_map(|path| Some(first(path.strip_prefix("shared::handlers::")?).to_owned()))
            .filter(|module| module != "function")
            .collect();
        handlers.dedup();
        let module = function.replace('-', "_");
        if handlers != [module.as_str()] {
            wrong.push(format!("{}: names {handlers:?}, not only `{module}`", told(&main)));
        }
        for layer in ["handlers", "app"] {
            if !root().join(format!("shared/src/{layer}/{module}.rs")).exists() {
                wrong.push(format!("{function}: there is no {layer}/{module}.rs"));
            }
        }
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).expect("a manifest");
        if manifest.matches(&format!("name = \"{function}\"")).count() != 2 {
            wrong.push(format!("{function}: its package and its binary bear other names"));
        }
    }
    nothing_wrong(&wrong);
}

#[test]
fn a_handler_with_dependencies_is_a_function() {
    let mut handlers: Vec<String> = shared()
        .iter()
        .filter(|source| source.tokens.windows(3).any(|three| three == ["Deps", "for", "Deps"]))
        .map(|source| {
            let name = source.file.rsplit('/').next().unwrap_or_default();
            name.trim_end_matches(".rs").replace('_', "-")
        })
        .collect();
    handlers.sort();
    assert_eq!(handlers, functions());
}
