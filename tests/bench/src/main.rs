//! What starting and calling a function costs, counted rather than timed: seconds are noise on a shared machine.
//!
//! `tests/bench.sh` builds what is measured and runs this; `docs/performance.md` holds the figures and says what they are.

mod endpoint;
mod measure;
mod runtime;
mod scene;
mod sheet;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};

use self::measure::Subject;
use self::scene::{Hosts, Issuer, Scene, Setting};
use self::sheet::{Cost, Limit, Limits, Sheet};

pub(crate) type Fault = Box<dyn std::error::Error + Send + Sync>;

/// Calls after the first, over which the cost of a warm one is averaged.
const WARM_CALLS: usize = 50;

/// How many times as many instructions as the least function one may take to its first answer.
const FIRST_BUDGET: f64 = 7.0;
/// Thousands of instructions that a warm call may take.
const CLICK_BUDGET: f64 = 700.0;
const EVENT_BUDGET: f64 = 500.0;

#[tokio::main]
async fn main() -> ExitCode {
    shared::jwt::install_crypto();
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(programs), Some(files)) = (arguments.next(), arguments.next()) else {
        eprintln!("bench PROGRAMS FILES: see tests/bench.sh");
        return ExitCode::from(2);
    };
    match run(&programs, &files).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(fault) => {
            eprintln!("{fault}");
            ExitCode::FAILURE
        }
    }
}

/// Prints every figure beside its budget and its ceiling, and says whether all are below that.
async fn run(programs: &Path, files: &Path) -> Result<bool, Fault> {
    use Hosts::{Each, One};
    use Issuer::{KeySet, SharedSecret};
    let scene = &Scene::set(files).await?;
    let least = Setting { issuer: SharedSecret, hosts: One };
    let hello = subject(scene, programs, "hello", "hello", least);
    let reference = cost(&hello, files, || Ok(json!({}))).await?;
    let mut sheet = Sheet::beside(&reference);

    // The budgets were set for one host. The ceilings are a twentieth above what was counted last.
    let first = |hosts, ceiling| match hosts {
        One => Limit::budget(FIRST_BUDGET, ceiling),
        Each => Limit::ceiling(ceiling),
    };
    for (name, issuer, hosts, most_first, most_warm) in [
        ("join, one host", SharedSecret, One, 22.0, 2400.0),
        ("join", SharedSecret, Each, 21.5, 2400.0),
        ("join, key set", KeySet, Each, 28.0, 3150.0),
    ] {
        let setting = Setting { issuer, hosts };
        let subject = subject(scene, programs, name, "join", setting);
        let cost = cost(&subject, files, || scene.click(issuer)).await?;
        let warm = Limit::budget(CLICK_BUDGET, most_warm);
        sheet.line(name, &cost, Limits { first: first(hosts, most_first), warm });
    }
    for (name, issuer, hosts, most_first, most_warm) in [
        ("sessions, one host", SharedSecret, One, 19.5, 1100.0),
        ("sessions", SharedSecret, Each, 18.5, 1100.0),
        ("sessions, key set", KeySet, Each, 25.5, 1900.0),
    ] {
        let setting = Setting { issuer, hosts };
        let subject = subject(scene, programs, name, "sessions", setting);
        let cost = cost(&subject, files, || scene.list(issuer)).await?;
        let warm = Limit::ceiling(most_warm);
        sheet.line(name, &cost, Limits { first: first(hosts, most_first), warm });
    }
    for (name, hosts, most_first, most_warm) in
        [("webhook, one host", One, 22.0, 1080.0), ("webhook", Each, 21.5, 1080.0)]
    {
        let setting = Setting { issuer: SharedSecret, hosts };
        let subject = subject(scene, programs, name, "webhook", setting);
        let cost = cost(&subject, files, || Ok(scene.joined())).await?;
        let warm = Limit::budget(EVENT_BUDGET, most_warm);
        sheet.line(name, &cost, Limits { first: first(hosts, most_first), warm });
    }

    sheet.sizes();
    for function in functions(programs)? {
        sheet.size(&function, measure::deflated(&programs.join(&function)).await?);
    }
    Ok(sheet.kept())
}

fn subject(
    scene: &Scene,
    programs: &Path,
    name: &'static str,
    function: &'static str,
    setting: Setting,
) -> Subject {
    Subject {
        name,
        program: programs.join(function),
        environment: scene.environment(function, setting),
    }
}

/// Runs of one kind, of which the cheapest counts: under valgrind on a busy machine a connection may time out and be
/// opened once more.
const RUNS: usize = 3;

/// What a function costs from its start on, with events made as they are needed.
async fn cost(
    subject: &Subject,
    files: &Path,
    event: impl Fn() -> Result<Value, Fault>,
) -> Result<Cost, Fault> {
    let mut least = [u64::MAX; 3];
    for _ in 0..RUNS {
        for (least, count) in least.iter_mut().zip([0, 1, 1 + WARM_CALLS]) {
            let events = (0..count).map(|_| event()).collect::<Result<Vec<_>, _>>()?;
            *least = subject.instructions(events, files).await?.min(*least);
        }
    }
    let [ready, first, all] = least;
    Ok(Cost {
        ready,
        first,
        warm: all.saturating_sub(first) / u64::try_from(WARM_CALLS)?,
        peak_kib: subject.memory(event()?).await?,
    })
}

/// The functions that were built, in order of the alphabet.
fn functions(programs: &Path) -> Result<Vec<String>, Fault> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../functions"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if programs.join(&name).is_file() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}
