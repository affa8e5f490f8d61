//! What polls ask of the table, counted on the wire, and what the busiest of its partition keys has to bear.
//!
//! `VOTERS=5000 cargo test -p tests a_crowds_votes -- --nocapture` plays a class of five thousand and prints the figures; a
//! debug build takes minutes for that, so without the variable they are some hundreds.

use std::collections::BTreeMap;

use futures::StreamExt;
use http::Method;
use local::calls::Service;
use serde_json::Value;
use shared::domain::vote::{Voter, shards_for};
use shared::domain::id::UserId;

use super::ballots::{crowd, user};
use super::{Class, tally};

const VOTERS_VARIABLE: &str = "VOTERS";
const VOTERS: usize = 300;

#[expect(clippy::disallowed_methods, reason = "a setting of the test, not of the system")]
fn voters() -> usize {
    let set = std::env::var(VOTERS_VARIABLE).ok();
    set.and_then(|text| text.parse().ok()).unwrap_or(VOTERS)
}

/// Requests, read units and write units of `poll` since the last time.
fn cost(class: &Class, action: &str) -> (u64, f64, f64) {
    let usage = &class.world.stack.usage;
    let table = usage.service_totals("poll", Service::Dynamodb);
    usage.reset();
    println!("{action:<48} {:>4} {:>6} {:>6}", table.calls, table.read_units, table.write_units);
    (table.calls, table.read_units, table.write_units)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vote_is_two_requests_and_a_tally_one() {
    let class = Class::live().await;
    let world = &class.world;
    let (ada, bob) = (world.student(1).await, world.student(2).await);
    // Keys and secret are read by then; what follows is the steady state.
    world.get(&ada, &class.polls()).await.expect(200);
    world.stack.usage.reset();
    println!("{:<48} {:>4} {:>6} {:>6}", "action", "", "read", "write");
    let poll = class.ask().await;
    assert!(cost(&class, "launch, a class of 5").0 <= 4);
    class.vote(&ada, &poll, &[0]).await.expect(200);
    assert_eq!(cost(&class, "vote"), (2, 4.0, 1.0));
    class.vote(&ada, &poll, &[1]).await.expect(200);
    assert_eq!(cost(&class, "vote, another one").0, 2);
    class.vote(&ada, &poll, &[1]).await.expect(200);
    assert_eq!(cost(&class, "vote, the same again").0, 1);
    class.vote(&bob, &poll, &[1]).await.expect(200);
    assert_eq!(cost(&class, "vote, of somebody else").0, 2);
    let seen = world.get(&ada, &class.polls()).await;
    assert_eq!(cost(&class, "results, a student").0, 1);
    let tag = [("if-none-match", seen.headers["etag"].to_str().expect("a tag"))];
    let same = world.call(Method::GET, &class.polls(), &ada, None, &tag).await;
    assert_eq!(same.status, 304);
    assert_eq!(cost(&class, "results, a student, unchanged").0, 1);
    let seen = world.get(&class.trainer, &class.polls()).await;
    assert_eq!(cost(&class, "results, the owner, with the voters").0, 1);
    let tag = [("if-none-match", seen.headers["etag"].to_str().expect("a tag"))];
    world.call(Method::GET, &class.polls(), &class.trainer, None, &tag).await;
    assert_eq!(cost(&class, "results, the owner, unchanged").0, 1);
    class.close(&poll).await.expect(200);
    assert!(cost(&class, "close, 1 box").0 <= 4);
    for _ in 0..9 {
        let poll = class.ask().await;
        class.vote(&ada, &poll, &[0]).await.expect(200);
        class.close(&poll).await.expect(200);
    }
    class.ask().await;
    world.get(&ada, &class.polls()).await.expect(200);
    world.stack.usage.reset();
    world.get(&ada, &class.polls()).await.expect(200);
    assert_eq!(cost(&class, "results, a student, 10 closed polls and 1 open").0, 1);
    world.get(&class.trainer, &class.polls()).await.expect(200);
    assert_eq!(cost(&class, "results, the owner, 10 closed and 1 open").0, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowds_votes_press_on_no_key() {
    /// How fast they are to be able to vote.
    const SECONDS: f64 = 10.0;
    /// What DynamoDB lets one partition take in a second, and so any one key.
    const PARTITION_WRITES: f64 = 1000.0;
    const PARTITION_READS: f64 = 3000.0;
    let voters = voters();
    let class = Class::live().await;
    let tokens = crowd(&class.world, voters).await;
    let poll = class.ask().await;
    let boxes = shards_for(voters + 5);
    let usage = &class.world.stack.usage;
    usage.reset();

    // One after the other, so that what each vote took is known, and where.
    let mut written: BTreeMap<u16, f64> = BTreeMap::new();
    let mut most_for_one: f64 = 0.0;
    for (n, token) in tokens.iter().enumerate() {
        let before = usage.tally("poll", Service::Dynamodb, "UpdateItem");
        class.vote(token, &poll, &[n % 2]).await.expect(200);
        let after = usage.tally("poll", Service::Dynamodb, "UpdateItem");
        let units = after.write_units - before.write_units;
        let voter = Voter::named(&UserId::parse(&user(n)).expect("an id"));
        *written.entry(voter.shard_of(boxes)).or_default() += units;
        most_for_one = most_for_one.max(units);
    }
    let table = usage.service_totals("poll", Service::Dynamodb);
    let busiest = written.values().copied().fold(0.0, f64::max);
    let reads = usage.tally("poll", Service::Dynamodb, "BatchGetItem").read_units;
    println!(
        "{voters} voters, {boxes} boxes: {} requests, {} read units, {} write units",
        table.calls, table.read_units, table.write_units
    );
    println!(
        "a vote: {:.2} write units on average, {most_for_one} at most, {:.1} read units",
        table.write_units / voters as f64,
        reads / voters as f64
    );
    println!(
        "the busiest key: {busiest} write units, {:.1} a second if all vote in {SECONDS} s",
        busiest / SECONDS
    );
    assert_eq!(table.calls, 2 * voters as u64, "two requests for each");
    assert!(
        (table.write_units - written.values().sum::<f64>()).abs() < 0.5,
        "a vote writes its box and nothing else"
    );
    assert!(busiest / SECONDS < PARTITION_WRITES / 4.0, "{written:?}");
    // Each vote reads each box once, and so does whoever looks.
    let reads_of_one = reads / voters as f64 * voters as f64 / SECONDS / f64::from(boxes);
    println!("a key is read {reads_of_one:.0} units a second by the votes");
    assert!(reads_of_one < PARTITION_READS / 2.0);

    usage.reset();
    let seen = class.world.get(&tokens[0], &class.polls()).await.expect(200);
    let (requests, units, _) = cost(&class, "results, a student of the crowd");
    assert_eq!((requests, tally(&seen["items"][0]).1), (1, voters as u64));
    println!("results: {units} read units");
    // All of them once more, at once: nothing is written, or the same is.
    let again = tokens.iter().enumerate().take(200).map(|(n, token)| {
        let (class, poll) = (&class, &poll);
        async move { class.vote(token, poll, &[n % 2]).await.expect(200) }
    });
    let again: Vec<Value> = futures::stream::iter(again).buffer_unordered(16).collect().await;
    assert!(again.iter().all(|poll| tally(poll).1 == voters as u64));
    usage.reset();
    let closed = class.close(&poll).await.expect(200);
    cost(&class, "close");
    assert_eq!(tally(&closed).1, voters as u64);
}
