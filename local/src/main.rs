//! The command line of the local stack: `cargo local`, `cargo local demo` and `cargo local sign`.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::ExitCode;

use local::seed::SeedSource;
use local::stack::{Options, Stack};
use local::{demo, sign};
use shared::clock::Clock;
use shared::config::{Env, names};
use shared::random::Random;

const USAGE: &str = "\
cargo local [--port N] [--listen ADDRESS] [--data DIR] [--seed FILE | --no-seed] [--set NAME=VALUE]... [--cloud-only]
            [--console DIR]
    Starts everything on http://localhost:4000 (--port). A container with a published port needs --listen 0.0.0.0. State
    is in memory unless --data names a directory. --seed loads the lines of a file, as POST /v1/directory/import takes
    them, instead of the starting data, and --no-seed nothing. --set changes an environment variable of the functions or
    a field of the secret, or removes it if the value is empty: --set MAIL_PROVIDER=zeptomail
    --set 'zoom_webhook_secret_token=[\"new\", \"old\"]'. --cloud-only leaves out the functions so that cargo-lambda or
    SAM can run them. --console reads the console's files from a directory at each request, for development.
cargo local demo
    Plays three classes and prints each step. Exits with an error if a step fails.
cargo local sign [--event FILE | --body JSON] [--secret TOKEN]
    Prints a Zoom event as the webhook's function URL receives it, signed with the current time. The input is one of
    events/webhook.*.json or the body alone, by default a meeting.started event. The default secret is the local stack's.
        cargo local sign --event events/webhook.participant-joined.json >/tmp/event.json
        cargo lambda invoke webhook --data-file /tmp/event.json
        cargo local sign | sam local invoke WebhookFunction -e -";

const DEFAULT_PORT: u16 = 4000;

enum Command {
    Serve(ServeArguments),
    Demo,
    Sign(sign::SignRequest),
}

struct ServeArguments {
    listen: IpAddr,
    port: u16,
    data_dir: Option<PathBuf>,
    settings: Vec<(String, String)>,
    cloud_only: bool,
    console_dir: Option<PathBuf>,
    seed: Option<SeedSource>,
}

/// Parses the command line. Returns `None` for `--help`.
fn parse_arguments() -> Result<Option<Command>, lexopt::Error> {
    use lexopt::{Arg, ValueExt};
    let mut serve = ServeArguments {
        listen: IpAddr::V4(Ipv4Addr::LOCALHOST),
        port: DEFAULT_PORT,
        data_dir: None,
        settings: Vec::new(),
        cloud_only: false,
        console_dir: None,
        seed: None,
    };
    let mut sign = sign::SignRequest::default();
    let mut command_name = String::new();
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match (command_name.as_str(), argument) {
            (_, Arg::Long("help") | Arg::Short('h')) => return Ok(None),
            ("", Arg::Long("listen")) => serve.listen = parser.value()?.parse()?,
            ("", Arg::Long("port")) => serve.port = parser.value()?.parse()?,
            ("", Arg::Long("data")) => serve.data_dir = Some(PathBuf::from(parser.value()?)),
            ("", Arg::Long("set")) => {
                serve.settings.push(parser.value()?.parse_with(parse_setting)?)
            }
            ("", Arg::Long("seed" | "no-seed")) if serve.seed.is_some() => {
                return Err("give --seed or --no-seed once".into());
            }
            ("", Arg::Long("seed")) => serve.seed = Some(SeedSource::File(parser.value()?.into())),
            ("", Arg::Long("no-seed")) => serve.seed = Some(SeedSource::Nothing),
            ("", Arg::Long("cloud-only")) => serve.cloud_only = true,
            ("", Arg::Long("console")) => {
                serve.console_dir = Some(PathBuf::from(parser.value()?));
            }
            ("sign", Arg::Long("event")) => sign.event = Some(PathBuf::from(parser.value()?)),
            ("sign", Arg::Long("body")) => sign.body = Some(parser.value()?.string()?),
            ("sign", Arg::Long("secret")) => sign.secret = Some(parser.value()?.string()?),
            ("", Arg::Value(name)) if name == "demo" || name == "sign" => {
                command_name = name.string()?;
            }
            (_, other) => return Err(other.unexpected()),
        }
    }
    Ok(Some(match command_name.as_str() {
        "demo" => Command::Demo,
        "sign" => Command::Sign(sign),
        _ => Command::Serve(serve),
    }))
}

/// Parses `NAME=VALUE`.
fn parse_setting(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// The stack of a worker. All functions run on the workers, and a debug build of them needs more than tokio's 2 MiB. A
/// deployed function runs on the main thread, which has 8 MiB.
const WORKER_STACK_BYTES: usize = 8 * 1024 * 1024;

fn main() -> ExitCode {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    match runtime.enable_all().thread_stack_size(WORKER_STACK_BYTES).build() {
        Ok(runtime) => runtime.block_on(run()),
        Err(error) => {
            eprintln!("the runtime did not start: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> ExitCode {
    match parse_arguments() {
        Ok(Some(Command::Serve(arguments))) => serve(arguments).await,
        Ok(Some(Command::Demo)) => demo::play().await,
        Ok(Some(Command::Sign(request))) => sign::run(&request),
        Ok(None) => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}\n\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

async fn serve(arguments: ServeArguments) -> ExitCode {
    shared::telemetry::start(&log_environment(&arguments.settings));
    let started_at = tokio::time::Instant::now();
    let is_seeded = arguments.seed.is_some();
    let options = Options {
        listen: arguments.listen,
        port: arguments.port,
        data_dir: arguments.data_dir,
        settings: arguments.settings,
        cloud_only: arguments.cloud_only,
        console_dir: arguments.console_dir,
        seed: arguments.seed.unwrap_or_default(),
        clock: Clock::offset_from_system(),
        random: Random::System,
    };
    match Stack::start(options).await {
        Ok(mut stack) => {
            stack.tick(arguments.cloud_only);
            if is_seeded && stack.is_restored() {
                println!("The data directory has a state, so --seed and --no-seed have no effect.");
            }
            for warning in stack.seed_warnings() {
                println!("Warning: {warning}");
            }
            println!(
                "Live Classes on {} (ready in {} ms, press Ctrl-C to stop)",
                stack.base_url,
                started_at.elapsed().as_millis()
            );
            wait_for_shutdown().await;
            // Saves the changes since the last tick.
            if let Err(error) = stack.save() {
                eprintln!("{error}");
                return ExitCode::FAILURE;
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns the environment for the log. `--set` takes precedence over the variable of this process.
fn log_environment(settings: &[(String, String)]) -> Env {
    let changed = settings.iter().rfind(|(name, _)| name == names::LOG_LEVEL);
    changed.map_or_else(Env::process, |(name, level)| Env::from_pairs([(name, level)]))
}

/// Waits for Ctrl-C or for the SIGTERM of a supervisor.
async fn wait_for_shutdown() {
    #[cfg(unix)]
    if let Ok(mut terminate) =
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
    {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        return;
    }
    let _ = tokio::signal::ctrl_c().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_log_level_of_the_command_line_is_used() {
        let set = |level: &str| (names::LOG_LEVEL.to_owned(), level.to_owned());
        let env = log_environment(&[set("info"), set("shared=debug")]);
        assert_eq!(env.optional(names::LOG_LEVEL).as_deref(), Some("shared=debug"));
    }
}
