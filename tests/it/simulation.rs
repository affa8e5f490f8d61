//! A simulation: classes with lost, doubled, delayed and reordered events and random changes at Zoom, in virtual time.
//!
//! After the sweeps have run, the status, the times, the recordings and the minutes of each person agree with the memory of
//! the simulated Zoom. A story that ends otherwise is shortened and printed, and its seed repeats it.

mod compare;
mod memory;
mod play;
mod story;

use std::collections::BTreeSet;
use std::fmt;
use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};
use shared::clock::Clock;

use self::compare::Disagreement;
use self::play::play;
use self::story::Story;

/// The variable that plays the story of one seed.
const SEED_VARIABLE: &str = "SIMULATION_SEED";
/// The variable with the minutes in which fresh stories are played.
const MINUTES_VARIABLE: &str = "SIMULATION_MINUTES";
/// The seeds of a run without a variable.
const FIXED_SEEDS: std::ops::RangeInclusive<u64> = 1..=8;
/// Attempts to shorten a story that fails. One takes a few seconds.
const SHORTENINGS: usize = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn classes_agree_with_zooms_memory_after_the_sweeps() {
    if let Some(seed) = variable(SEED_VARIABLE) {
        return check(seed).await;
    }
    let Some(minutes) = variable(MINUTES_VARIABLE) else {
        for seed in FIXED_SEEDS {
            check(seed).await;
        }
        return;
    };
    let began_at = Clock::System.now();
    let time = SignedDuration::from_mins(i64::try_from(minutes).expect("a few minutes"));
    let first = fresh_seed(began_at);
    let mut next = first;
    while next == first || Clock::System.now().duration_since(began_at) < time {
        check(next).await;
        next += 1;
    }
    eprintln!("{} stories agree, with the seeds from {first} to {}", next - first, next - 1);
}

/// Plays the story of a seed. If it fails, prints a short story that fails in the same way.
async fn check(seed: u64) {
    let story = Story::draw(seed);
    let found = play_safely(&story).await;
    if found.is_empty() {
        return;
    }
    eprintln!("{story}\n{}\n\nThe story is being shortened.", Listed(&found));
    let (story, found) = shorten(story, found).await;
    panic!(
        "{story}\n{}\n\n{SEED_VARIABLE}={seed} cargo it -- simulation\nrepeats it.",
        Listed(&found)
    );
}

/// Shows broken rules, one a line.
struct Listed<'a>(&'a [Disagreement]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|found| writeln!(f, "{found}"))
    }
}

/// Plays a story. A panic is a disagreement too.
async fn play_safely(story: &Story) -> Vec<Disagreement> {
    match AssertUnwindSafe(Box::pin(play(story))).catch_unwind().await {
        Ok(found) => found,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            vec![Disagreement::new("every request succeeds", text.unwrap_or("a panic"))]
        }
    }
}

/// Leaves out steps, first many and then single ones, as long as the story breaks one of the same rules.
async fn shorten(mut story: Story, mut found: Vec<Disagreement>) -> (Story, Vec<Disagreement>) {
    let rules: BTreeSet<_> = found.iter().map(|it| it.rule).collect();
    let mut attempts = 0;
    let mut length = story.steps.len().div_ceil(2);
    while length > 0 {
        let mut from = 0;
        while from < story.steps.len() && attempts < SHORTENINGS {
            attempts += 1;
            let mut steps = story.steps.clone();
            steps.drain(from..(from + length).min(steps.len()));
            let shorter = story.with_steps(steps);
            let broken = play_safely(&shorter).await;
            if broken.iter().any(|it| rules.contains(it.rule)) {
                (story, found) = (shorter, broken);
            } else {
                from += length;
            }
        }
        length /= 2;
    }
    (story, found)
}

#[expect(clippy::disallowed_methods, reason = "the variables are for tests and not settings")]
fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// Returns the first seed of a run. A story takes longer than a millisecond, so no two runs have a seed in common.
fn fresh_seed(now: Timestamp) -> u64 {
    u64::try_from(now.as_millisecond()).expect("a time after 1970")
}
