//! Counts the instructions and the memory of cold starts and warm calls. Times would vary too much on a shared machine.
//!
//! `tests/bench.sh` builds the functions and runs this program. `docs/explanation/performance.md` explains the figures.

mod endpoint;
mod measure;
mod runtime;
mod scene;
mod sheet;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};

use self::measure::Subject;
use self::scene::{FunctionSetting, Hosts, Issuer, Scene};
use self::sheet::{Cost, Limit, Limits, Sheet};

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The number of warm calls over which the cost is averaged.
const WARM_CALLS: usize = 50;

/// The budget of instructions until the first response, as a multiple of the minimal function's.
const FIRST_BUDGET: f64 = 7.0;
/// The budget of a warm call, in thousands of instructions.
const JOIN_BUDGET: f64 = 700.0;
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

/// Prints every figure with its budget and its ceiling. Returns whether all figures are within their ceilings.
async fn run(programs: &Path, files: &Path) -> Result<bool, BoxError> {
    use Hosts::{Each, One};
    use Issuer::{KeySet, SharedSecret};
    let scene = &Scene::prepare(files).await?;
    let minimal = FunctionSetting { issuer: SharedSecret, hosts: One };
    let hello = subject(scene, programs, "hello", "hello", minimal).await?;
    let reference = cost(&hello, files, || Ok(json!({}))).await?;
    let mut sheet = Sheet::start(&reference);

    // The budgets apply to one host. The ceilings are 5 % above the latest measurements.
    let first = |hosts, ceiling| match hosts {
        One => Limit::budget(FIRST_BUDGET, ceiling),
        Each => Limit::ceiling(ceiling),
    };
    for (name, issuer, hosts, first_ceiling, warm_ceiling) in [
        ("join, one host", SharedSecret, One, 20.0, 1700.0),
        ("join", SharedSecret, Each, 19.3, 1700.0),
        ("join, key set", KeySet, Each, 25.2, 2470.0),
    ] {
        let setting = FunctionSetting { issuer, hosts };
        let subject = subject(scene, programs, name, "join", setting).await?;
        let cost = cost(&subject, files, || scene.join_request(issuer)).await?;
        let warm = Limit::budget(JOIN_BUDGET, warm_ceiling);
        sheet.write_line(name, &cost, Limits { first: first(hosts, first_ceiling), warm });
    }
    for (name, issuer, hosts, first_ceiling, warm_ceiling) in [
        ("sessions, one host", SharedSecret, One, 18.7, 1630.0),
        ("sessions", SharedSecret, Each, 18.0, 1630.0),
        ("sessions, key set", KeySet, Each, 24.0, 2350.0),
    ] {
        let setting = FunctionSetting { issuer, hosts };
        let subject = subject(scene, programs, name, "sessions", setting).await?;
        let cost = cost(&subject, files, || scene.list_request(issuer)).await?;
        let warm = Limit::ceiling(warm_ceiling);
        sheet.write_line(name, &cost, Limits { first: first(hosts, first_ceiling), warm });
    }
    for (name, hosts, first_ceiling, warm_ceiling) in
        [("webhook, one host", One, 20.0, 1000.0), ("webhook", Each, 19.3, 1000.0)]
    {
        let setting = FunctionSetting { issuer: SharedSecret, hosts };
        let subject = subject(scene, programs, name, "webhook", setting).await?;
        let cost = cost(&subject, files, || Ok(scene.participant_joined_event())).await?;
        let warm = Limit::budget(EVENT_BUDGET, warm_ceiling);
        sheet.write_line(name, &cost, Limits { first: first(hosts, first_ceiling), warm });
    }

    sheet.write_size_header();
    for function in built_functions(programs)? {
        sheet.write_size(&function, measure::deflated_size(&programs.join(&function)).await?);
    }
    Ok(sheet.is_within_ceilings())
}

async fn subject(
    scene: &Scene,
    programs: &Path,
    name: &'static str,
    function: &'static str,
    setting: FunctionSetting,
) -> Result<Subject, BoxError> {
    let environment = scene.prepare_environment(function, setting).await?;
    Ok(Subject { name, program: programs.join(function), environment })
}

/// The number of runs per measurement, of which the cheapest counts. Under valgrind on a busy machine a connection may
/// time out and be opened again.
const RUNS: usize = 3;

/// Measures a function. `event` creates a new event for each invocation.
async fn cost(
    subject: &Subject,
    files: &Path,
    event: impl Fn() -> Result<Value, BoxError>,
) -> Result<Cost, BoxError> {
    let mut least = [u64::MAX; 3];
    for _ in 0..RUNS {
        for (least, count) in least.iter_mut().zip([0, 1, 1 + WARM_CALLS]) {
            let events = (0..count).map(|_| event()).collect::<Result<Vec<_>, _>>()?;
            *least = subject.count_instructions(events, files).await?.min(*least);
        }
    }
    let [ready, first, all] = least;
    Ok(Cost {
        ready,
        first,
        warm: all.saturating_sub(first) / u64::try_from(WARM_CALLS)?,
        peak_kib: subject.peak_memory_kib(event()?).await?,
    })
}

/// Returns the names of the built functions in alphabetical order.
fn built_functions(programs: &Path) -> Result<Vec<String>, BoxError> {
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
