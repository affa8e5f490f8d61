//! `cargo local demo`: plays three classes over HTTP as the platform, trainers, students and a guest, and prints each step
//! with values from the responses. It fails at the first step with an unexpected response.

mod booking;
mod classes;
mod client;
mod mails;
mod meter;
mod notifications;
mod platform_hosting;
mod teaching;
mod zoom_account;

use std::net::Ipv4Addr;
use std::process::ExitCode;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::random::Random;

use self::classes::DemoClass;
use self::client::{Client, DemoError};
use self::notifications::NotificationSteps;
use self::teaching::LiveSession;
use crate::seed::SeedSource;
use crate::stack::{Options, Stack};

/// Runs the demo on its own stack in memory.
pub async fn play() -> ExitCode {
    let options = Options {
        listen: Ipv4Addr::LOCALHOST.into(),
        port: 0,
        data_dir: None,
        settings: Vec::new(),
        cloud_only: false,
        console_dir: None,
        seed: SeedSource::School,
        clock: Clock::offset_from_system(),
        random: Random::System,
    };
    let stack = match Stack::start(options).await {
        Ok(stack) => stack,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    match run_steps(&stack).await {
        Ok(steps) => {
            let denied = stack.aws.take_denied_calls();
            for call in &denied {
                println!("  ✗ {call}");
            }
            if !denied.is_empty() {
                return ExitCode::FAILURE;
            }
            println!("\nAll {steps} steps passed.");
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("  ✗ {error}");
            ExitCode::FAILURE
        }
    }
}

/// The tokens of the people in the demo.
struct People {
    trainer: String,
    /// A trainer of other classes.
    stranger: String,
    student: String,
    classmate: String,
    /// A person who is invited by address.
    guest: String,
}

impl People {
    async fn sign_in(client: &Client) -> Result<Self, DemoError> {
        Ok(Self {
            trainer: client.token("trainer-1", "trainer", "trainer@example.test").await?,
            stranger: client.token("trainer-2", "trainer", "trainer2@example.test").await?,
            student: client.token("student-1", "student", "student1@example.test").await?,
            classmate: client.token("student-2", "student", "student2@example.test").await?,
            guest: client.token("guest-1", "student", "guest@example.test").await?,
        })
    }
}

/// Runs all steps and returns their number. The first failed step ends the demo.
async fn run_steps(stack: &Stack) -> Result<u32, DemoError> {
    let client = &mut Client::new(&stack.base_url)?;
    let people = &People::sign_in(client).await?;
    zoom_account::connect(client, stack, people).await?;
    let class = &classes::schedule(client, stack, people).await?;
    mails::invited(client).await?;
    classes::view(client, people, class).await?;
    classes::edit(client, people, class).await?;
    mails::updated(client, &people.trainer, &class.path).await?;
    take_place(client, people, class).await?;
    let private = classes::invite_guest(client, stack, people).await?;
    classes::revoke_access(client, people, &class.path).await?;
    classes::cancel(client, people, &private).await?;
    platform_hosting::play(client, stack).await?;
    booking::play(client, stack, people).await?;
    show_costs(client, people).await?;
    zoom_account::disconnect(client, people).await?;
    Ok(client.steps)
}

/// Plays the class itself, with the notifications before and after it.
async fn take_place(
    client: &mut Client,
    people: &People,
    class: &DemoClass,
) -> Result<(), DemoError> {
    let starts_at = text(&class.session["starts_at"])?;
    let starts_at: Timestamp = starts_at.parse().map_err(|_| DemoError::missing(&class.session))?;
    let People { trainer, student, classmate, .. } = people;
    let (path, meeting) = (&class.path, &class.meeting);
    let five_minutes_before = starts_at - SignedDuration::from_mins(5);
    let live_session =
        LiveSession { trainer, student, classmate, path, meeting, five_minutes_before };
    let notifications = NotificationSteps { trainer, student, classmate, path, starts_at };
    notifications.before_class(client).await?;
    live_session.play(client).await?;
    notifications.after_class(client).await
}

/// Prints the metered cost of each function.
async fn show_costs(client: &mut Client, people: &People) -> Result<(), DemoError> {
    client.print_heading("Costs per function");
    for function in [
        "session-save",
        "session-cancel",
        "sessions",
        "join",
        "poll",
        "webhook",
        "attendance",
        "hosts",
        "meeting-sweep",
    ] {
        let usage = client.get(&people.trainer, "/local/usage").await?.expect(200)?;
        let totals = &usage["functions"][function];
        client.check(function, totals["invocations"].as_u64().is_some_and(|n| n > 0), &json!({"invocations": totals["invocations"], "totals": totals["totals"], "price_usd": totals["price_usd"]}))?;
    }
    Ok(())
}

fn text(value: &Value) -> Result<&str, DemoError> {
    value.as_str().ok_or_else(|| DemoError::missing(value))
}
