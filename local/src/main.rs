//! `cargo local`: the whole system on one port. `cargo local demo`: one class, played from its beginning.
//! `cargo local sign`: an event of Zoom's, signed now.

use std::path::PathBuf;
use std::process::ExitCode;

use local::stack::{Options, Stack};
use local::{demo, sign};
use shared::clock::Clock;
use shared::config::Env;
use shared::random::Random;

const USAGE: &str = "\
cargo local [--port N] [--data DIR] [--set NAME=VALUE]... [--cloud-only] [--console DIR]
    Starts everything on http://localhost:4000 (--port), in memory unless --data names a directory. With --set the
    functions are given another value of a variable, or none where the value is empty: --set MAIL_PROVIDER=zeptomail.
    With --cloud-only the functions are left out, for cargo-lambda or SAM to run them. With --console the console's
    files are read from a directory at each request, to work on them.
cargo local demo
    Plays one class and tells it line by line; ends with an error if a step did not hold.
cargo local sign [--event FILE | --body JSON] [--secret TOKEN]
    Prints an event of Zoom's as the webhook's function URL is handed it, signed now: one of events/webhook.*.json, or
    Zoom's body alone, or by default a meeting's start. With the local stack's secret unless another is given.
        cargo local sign --event events/webhook.participant-joined.json >/tmp/event.json
        cargo lambda invoke webhook --data-file /tmp/event.json
        cargo local sign | sam local invoke WebhookFunction -e -";

const DEFAULT_PORT: u16 = 4000;

enum Command {
    Serve(Serving),
    Demo,
    Sign(sign::Request),
}

struct Serving {
    port: u16,
    data_dir: Option<PathBuf>,
    settings: Vec<(String, String)>,
    cloud_only: bool,
    console_dir: Option<PathBuf>,
}

/// What the command line asks for; nothing when it asks how to.
fn command() -> Result<Option<Command>, lexopt::Error> {
    use lexopt::{Arg, ValueExt};
    let mut serving = Serving {
        port: DEFAULT_PORT,
        data_dir: None,
        settings: Vec::new(),
        cloud_only: false,
        console_dir: None,
    };
    let mut signing = sign::Request::default();
    let mut word = String::new();
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match (word.as_str(), argument) {
            (_, Arg::Long("help") | Arg::Short('h')) => return Ok(None),
            ("", Arg::Long("port")) => serving.port = parser.value()?.parse()?,
            ("", Arg::Long("data")) => serving.data_dir = Some(PathBuf::from(parser.value()?)),
            ("", Arg::Long("set")) => serving.settings.push(parser.value()?.parse_with(setting)?),
            ("", Arg::Long("cloud-only")) => serving.cloud_only = true,
            ("", Arg::Long("console")) => {
                serving.console_dir = Some(PathBuf::from(parser.value()?));
            }
            ("sign", Arg::Long("event")) => signing.event = Some(PathBuf::from(parser.value()?)),
            ("sign", Arg::Long("body")) => signing.body = Some(parser.value()?.string()?),
            ("sign", Arg::Long("secret")) => signing.secret = Some(parser.value()?.string()?),
            ("", Arg::Value(given)) if given == "demo" || given == "sign" => {
                word = given.string()?;
            }
            (_, other) => return Err(other.unexpected()),
        }
    }
    Ok(Some(match word.as_str() {
        "demo" => Command::Demo,
        "sign" => Command::Sign(signing),
        _ => Command::Serve(serving),
    }))
}

/// A variable and its value, as a shell writes them.
fn setting(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once('=').ok_or("a setting is NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[tokio::main]
async fn main() -> ExitCode {
    match command() {
        Ok(Some(Command::Serve(serving))) => serve(serving).await,
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

async fn serve(arguments: Serving) -> ExitCode {
    shared::telemetry::start(&Env::process());
    let begun = tokio::time::Instant::now();
    let options = Options {
        port: arguments.port,
        data_dir: arguments.data_dir,
        settings: arguments.settings,
        cloud_only: arguments.cloud_only,
        console_dir: arguments.console_dir,
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
            ended().await;
            // Whatever happened since the last tick.
            stack.save();
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Ctrl-C, or what a supervisor sends.
async fn ended() {
    #[cfg(unix)]
    if let Ok(mut told) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
    {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = told.recv() => {}
        }
        return;
    }
    let _ = tokio::signal::ctrl_c().await;
}
