//! Module dependencies, as ARCHITECTURE.md describes them.

use std::fs;

use super::assert_no_problems;
use super::source::{Source, files, relative_path, root};

/// Modules that every layer except `domain` may use. `domain` is the only layer among them.
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

/// The modules of `shared` below the handlers.
const LAYERS: [&str; 6] = ["domain", "store", "zoom", "mail", "queue", "app"];

/// The other modules of `shared` that a layer may name.
fn allowed_modules(layer: &str) -> Vec<&'static str> {
    match layer {
        "domain" => vec![],
        // Each client module has its own address and client, and does not use another client module.
        "store" | "zoom" | "mail" | "queue" => LEAVES.to_vec(),
        // The handlers pass in the clients, so the use cases create no connection.
        "app" => {
            let leaves = LEAVES.iter().filter(|leaf| !matches!(**leaf, "aws" | "net"));
            leaves.chain(&["store", "zoom", "mail", "queue"]).copied().collect()
        }
        _ => unreachable!("{layer} is not a layer"),
    }
}

/// Prefixes of vendor crates.
const AWS: &str = "aws_";
const LAMBDA: &str = "lambda_";
const HTTP: [&str; 4] = ["http", "hyper", "reqwest", "rustls"];

fn shared_sources() -> Vec<Source> {
    Source::all(&root().join("shared/src"))
}

fn first(path: &str) -> &str {
    path.split("::").next().unwrap_or_default()
}

/// The module of the same crate that a path begins with.
fn crate_module(path: &str) -> Option<&str> {
    path.strip_prefix("crate::").map(first)
}

#[test]
fn module_dependencies_point_one_way() {
    let mut problems = Vec::new();
    for source in shared_sources() {
        let layer = source.layer();
        let allowed = if LAYERS.contains(&layer) {
            allowed_modules(layer)
        } else if matches!(layer, "" | "handlers") {
            continue;
        } else {
            LEAVES.iter().chain(&["auth", "http"]).copied().collect()
        };
        for path in source.paths() {
            if let Some(module) = crate_module(&path)
                && module != layer
                && !allowed.contains(&module)
            {
                problems.push(format!("{}: `{layer}` must not use `{path}`", source.file));
            }
        }
    }
    assert_no_problems(&problems);
}

#[test]
fn domain_contains_only_values() {
    // Crates without I/O.
    const CRATES: [&str; 10] = [
        "data_encoding",
        "email_address",
        "jiff",
        "percent_encoding",
        "serde",
        "serde_json",
        "sha2",
        "strum",
        "thiserror",
        "url",
    ];
    let manifest = fs::read_to_string(root().join("shared/Cargo.toml")).expect("a manifest");
    let dependencies: Vec<String> = manifest
        .lines()
        .filter_map(|line| Some(line.split_once(".workspace")?.0.replace('-', "_")))
        .collect();
    assert!(dependencies.iter().any(|name| name == "aws_sdk_dynamodb"), "{dependencies:?}");
    let mut problems = Vec::new();
    for source in shared_sources().iter().filter(|source| source.layer() == "domain") {
        for word in ["async", "await", "Clock", "Random"] {
            if source.tokens.iter().any(|token| token == word) {
                problems.push(format!("{}: the domain must not use `{word}`", source.file));
            }
        }
        for path in source.paths() {
            let name = first(&path);
            if dependencies.iter().any(|dependency| dependency == name) && !CRATES.contains(&name) {
                problems.push(format!("{}: the domain must not use `{path}`", source.file));
            }
        }
    }
    assert_no_problems(&problems);
}

#[test]
fn vendor_crates_stay_in_their_layers() {
    let mut problems = Vec::new();
    for source in shared_sources() {
        let layer = source.layer();
        for path in source.paths() {
            let name = first(&path);
            let is_allowed = if name.starts_with("aws_sdk_dynamodb") {
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
            if !is_allowed {
                problems.push(format!("{}: this layer must not use `{path}`", source.file));
            }
        }
    }
    assert_no_problems(&problems);
}

#[test]
fn no_code_scans_a_table() {
    let mut problems = Vec::new();
    for source in shared_sources() {
        let operation =
            |pair: &[String]| pair[1] == "scan" && matches!(pair[0].as_str(), "." | "::");
        if source.tokens.windows(2).any(operation)
            || source.tokens.iter().any(|token| token.starts_with("Scan"))
        {
            problems.push(format!("{}: scans a table", source.file));
        }
    }
    assert_no_problems(&problems);
}

/// `crypt` needs the hash for HMAC, whose parts it joins in the forms that Zoom and the stored values prescribe.
#[test]
fn only_one_module_frames_digests() {
    const MAY_HASH: [&str; 2] = ["shared/src/crypt.rs", "shared/src/domain/digest.rs"];
    let mut problems = Vec::new();
    for source in shared_sources() {
        if !MAY_HASH.contains(&source.file.as_str())
            && source.paths().iter().any(|path| first(path) == "sha2")
        {
            problems.push(format!("{}: use `domain::digest::Digest`", source.file));
        }
    }
    assert_no_problems(&problems);
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
fn function_only_starts_its_handler() {
    const LINES: usize = 20;
    let mut problems = Vec::new();
    for function in functions() {
        let folder = root().join("functions").join(&function);
        let main = folder.join("src/main.rs");
        let text = fs::read_to_string(&main).expect("a main");
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with("//")).count();
        if lines > LINES {
            problems.push(format!(
                "{}: {lines} lines. Move the code to a handler",
                relative_path(&main)
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
            problems.push(format!(
                "{}: uses {handlers:?}, expected only `{module}`",
                relative_path(&main)
            ));
        }
        for layer in ["handlers", "app"] {
            if !root().join(format!("shared/src/{layer}/{module}.rs")).exists() {
                problems.push(format!("{function}: {layer}/{module}.rs is missing"));
            }
        }
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).expect("a manifest");
        if manifest.matches(&format!("name = \"{function}\"")).count() != 2 {
            problems
                .push(format!("{function}: package and binary must have the name of the folder"));
        }
    }
    assert_no_problems(&problems);
}

#[test]
fn every_handler_with_dependencies_has_a_function() {
    let mut handlers: Vec<String> = shared_sources()
        .iter()
        .filter(|source| {
            let is_declared = |three: &[String]| {
                three == ["Deps", "for", "Deps"] || three == ["type", "Deps", "="]
            };
            source.tokens.windows(3).any(is_declared)
        })
        .map(|source| {
            let name = source.file.rsplit('/').next().unwrap_or_default();
            name.trim_end_matches(".rs").replace('_', "-")
        })
        .collect();
    handlers.sort();
    assert_eq!(handlers, functions());
}
