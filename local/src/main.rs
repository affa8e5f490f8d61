//! `cargo local`: the whole system on one port. `cargo local demo`: one class, played from its beginning.

use std::path::PathBuf;
use std::process::ExitCode;

use local::demo;
use local::stack::{Options, Stack};
use shared::clock::Clock;
use shared::config::Env;
use shared::random::Random;

const USAGE: &str = "\
cargo local [--port N] [--data DIR] [--cloud-only]
    Starts everything on http://localhost:4000 (--port), in memory unless --data names a directory.
    With --cloud-only the functions are left out, for cargo-lambda or SAM to run them.
cargo local demo
    Plays one class and tells it line by line; ends with an error if a step did not hold.";

const DEFAULT_PORT: u16 = 4000;

struct Arguments {
    demo: bool,
    port: u16,
    data_dir: Option<PathBuf>,
    cloud_only: bool,
}

fn arguments() -> Result<Option<Arguments>, lexopt::Error> {
    use lexopt::{Arg, ValueExt};
    let mut parsed =
        Arguments { demo: false, port: DEFAULT_PORT, data_dir: None, cloud_only: false };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("port") => parsed.port = parser.value()?.parse()?,
            Arg::Long("data") => parsed.data_dir = Some(PathBuf::from(parser.value()?)),
            Arg::Long("cloud-only") => parsed.cloud_only = true,
            Arg::Long("help") | Arg::Short('h') => return Ok(None),
            Arg::Value(word) if word == "demo" && !parsed.demo => parsed.demo = true,
            other => return Err(other.unexpected()),
        }
    }
    Ok(Some(parsed))
}

#[tokio::main]
async fn main() -> ExitCode {
    let parsed = match arguments() {
        Ok(Some(parsed)) => parsed,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("{error}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if parsed.demo { demo::play().await } else { serve(parsed).await }
}

async fn serve(arguments: Arguments) -> ExitCode {
    shared::telemetry::start(&Env::process());
    let begun = tokio::time::Instant::now();
    let options = Options {
        port: arguments.port,
        data_dir: arguments.data_dir,
        cloud_only: arguments.cloud_only,
        clock: Clock::running(),
        random: Random::System,
    };
    match Stack::start(options).await {
        Ok(mut stack) => {
            stack.tick(arguments.cloud_only);
            println!(
                "Live Classes on {} (ready in {} ms; Ctrl-C ends it)",
                stack.base_url,
                begun.elapsed().as_millis()
            );
            let _ = tokio::signal::ctrl_c().await;
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
