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
use self::scene::{Issuer, Scene};
use self::sheet::{Cost, Sheet};

pub(crate) type Fault = Box<dyn std::error::Error + Send + Sync>;

/// Calls after the first, over which the cost of a warm one is averaged.
const WARM_CALLS: usize = 50;

/// Instructions that a warm call may take.
const JOIN_CALL_LIMIT: u64 = 700_000;
const WEBHOOK_CALL_LIMIT: u64 = 500_000;

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

/// Prints every figure beside its budget, and says whether all are kept.
async fn run(programs: &Path, files: &Path) -> Result<bool, Fault> {
    use Issuer::{KeySet, SharedSecret};
    let scene = &Scene::set(files).await?;
    let subject = |name, function: &'static str, issuer| Subject {
        name,
        program: programs.join(function),
        environment: scene.environment(function, issuer),
    };
    let click = |issuer| move || scene.click(issuer);
    let list = |issuer| move || scene.list(issuer);

    let hello = subject("hello", "hello", KeySet);
    let reference = cost(&hello, files, || Ok(json!({}))).await?;
    let mut sheet = Sheet::beside(&reference);

    let join = subject("join", "join", SharedSecret);
    sheet.line(&join, &cost(&join, files, click(SharedSecret)).await?, Some(JOIN_CALL_LIMIT));
    let join = subject("join, key set", "join", KeySet);
    sheet.line(&join, &cost(&join, files, click(KeySet)).await?, Some(JOIN_CALL_LIMIT));
    let sessions = subject("sessions", "sessions", SharedSecret);
    sheet.line(&sessions, &cost(&sessions, files, list(SharedSecret)).await?, None);
    let sessions = subject("sessions, key set", "sessions", KeySet);
    sheet.line(&sessions, &cost(&sessions, files, list(KeySet)).await?, None);
    let webhook = subject("webhook", "webhook", KeySet);
    let joined = || Ok(scene.joined());
    sheet.line(&webhook, &cost(&webhook, files, joined).await?, Some(WEBHOOK_CALL_LIMIT));

    sheet.sizes();
    for function in functions(programs)? {
        sheet.size(&function, measure::deflated(&programs.join(&function)).await?);
    }
    Ok(sheet.kept())
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
