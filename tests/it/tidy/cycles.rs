//! Files do not depend on each other in a cycle.

use std::collections::{BTreeMap, BTreeSet};

use super::assert_no_problems;
use super::source::{Source, root};

const CRATES: [&str; 4] = ["shared/src", "local/src", "local/aws/src", "local/zoom/src"];

/// The paths in each module of a crate.
type Paths = BTreeMap<String, BTreeSet<String>>;

/// The modules of a crate that each module uses. A module may use its descendants and they may use it, so only the
/// descendants' direction counts.
struct Graph(BTreeMap<String, BTreeSet<String>>);

impl Graph {
    /// Builds the graph from the paths in each module.
    fn new(paths: &Paths) -> Self {
        let uses = paths.iter().map(|(module, used)| {
            let targets = used.iter().filter_map(|path| target(path, paths));
            let targets = targets.filter(|used| !is_within(used, module)).collect();
            (module.clone(), targets)
        });
        Self(uses.collect())
    }

    /// The modules that a module uses, directly or through others.
    fn reachable(&self, from: &str) -> BTreeSet<&str> {
        let mut found = BTreeSet::new();
        let mut waiting = vec![from];
        while let Some(module) = waiting.pop() {
            for used in self.0.get(module).into_iter().flatten() {
                if found.insert(used.as_str()) {
                    waiting.push(used);
                }
            }
        }
        found
    }

    /// The modules that depend on themselves through others.
    fn cycles(&self) -> Vec<String> {
        self.0
            .keys()
            .filter(|module| self.reachable(module).contains(module.as_str()))
            .cloned()
            .collect()
    }
}

fn is_within(path: &str, module: &str) -> bool {
    path == module || path.strip_prefix(module).is_some_and(|rest| rest.starts_with("::"))
}

/// The module that defines the item at `path`. A name that a module imports or exports again leads on to its origin.
fn target(path: &str, modules: &Paths) -> Option<String> {
    let mut path = path.trim_end_matches("::self").to_owned();
    // A chain of exports is short. The limit ends a pair that exports to each other.
    for _ in 0..4 {
        let module = longest_module(&path, modules)?;
        let name = path[module.len()..].trim_start_matches("::").split("::").next()?.to_owned();
        let origin = modules[&module].iter().find(|used| {
            let inner = used.strip_prefix(&format!("{module}::")).unwrap_or_default();
            inner.contains("::") && inner.rsplit("::").next() == Some(&name)
        });
        match origin {
            Some(origin) if !name.is_empty() => path.clone_from(origin),
            _ => return Some(module),
        }
    }
    longest_module(&path, modules)
}

fn longest_module(path: &str, modules: &Paths) -> Option<String> {
    let mut prefix = path;
    while !modules.contains_key(prefix) {
        prefix = prefix.rsplit_once("::")?.0;
    }
    (prefix != "crate").then(|| prefix.to_owned())
}

#[test]
fn files_do_not_depend_on_each_other_in_a_cycle() {
    let problems = CRATES.iter().flat_map(|folder| {
        let sources = Source::all(&root().join(folder));
        let paths = sources.iter().map(|source| (source.module_path(), source.paths())).collect();
        let cycles = Graph::new(&paths).cycles();
        cycles.into_iter().map(move |module| format!("{folder}: {module} is part of a cycle"))
    });
    assert_no_problems(&problems.collect::<Vec<_>>());
}

/// Modules with the paths in them.
type Modules = &'static [(&'static str, &'static [&'static str])];

#[test]
fn cycle_is_found_through_other_modules_and_exports() {
    let graph = |modules: Modules| {
        let paths: Paths = modules
            .iter()
            .map(|(module, used)| {
                let used = used.iter().map(|path| (*path).to_owned());
                ((*module).to_owned(), used.collect())
            })
            .collect();
        Graph::new(&paths)
    };
    let straight: Modules =
        &[("crate::a", &["crate::b::X"]), ("crate::b", &["crate::c::Y"]), ("crate::c", &[])];
    let circle: Modules = &[
        ("crate::a", &["crate::b::X"]),
        ("crate::b", &["crate::c::Y"]),
        ("crate::c", &["crate::a::Z"]),
    ];
    let own_part: Modules =
        &[("crate::a", &["crate::a::part::X"]), ("crate::a::part", &["crate::a::Y"])];
    // `crate::a` exports X of its part, which uses `crate::b`.
    let export: Modules = &[
        ("crate::a", &["crate::a::part::X"]),
        ("crate::a::part", &["crate::b::Z"]),
        ("crate::b", &["crate::a::X"]),
    ];
    let none: &[&str] = &[];
    let cases = [
        (straight, none),
        (circle, &["crate::a", "crate::b", "crate::c"]),
        (own_part, none),
        (export, &["crate::a::part", "crate::b"]),
    ];
    for (modules, expected) in cases {
        assert_eq!(graph(modules).cycles(), expected, "{modules:?}");
    }
}
