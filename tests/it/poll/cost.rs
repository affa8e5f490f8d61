//! The table requests of polls, and the load on the busiest partition key.
//!
//! `VOTERS=5000 cargo test -p tests large_poll -- --nocapture` runs a poll with five thousand voters and prints the
//! figures. A debug build takes minutes for that, so the default is 300 voters.

use std::collections::BTreeMap;

use futures::StreamExt;
use http::Method;
use jiff::SignedDuration;
use local::calls::Service;
use serde_json::Value;
use shared::domain::id::UserId;
use shared::domain::vote::{Voter, shard_count};

use super::ballots::{enroll_voters, user_id};
use super::{PollSetup, tally};

const VOTERS_VARIABLE: &str = "VOTERS";
const VOTERS: usize = 300;

#[expect(clippy::disallowed_methods, reason = "a setting of the test, not of the system")]
fn voters() -> usize {
    let variable = std::env::var(VOTERS_VARIABLE).ok();
    variable.and_then(|text| text.parse().ok()).unwrap_or(VOTERS)
}

/// Requests, read units and write units of `poll` since the last call.
fn cost(setup: &PollSetup, action: &str) -> (u64, f64, f64) {
    let usage = &setup.world.stack.usage;
    let table = usage.service_totals("poll", Service::Dynamodb);
    usage.reset();
    println!("{action:<48} {:>4} {:>6} {:>6}", table.calls, table.read_units, table.write_units);
    (table.calls, table.read_units, table.write_units)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vote_costs_two_requests_and_tally_one() {
    let setup = PollSetup::live().await;
    let world = &setup.world;
    let (ada, bob) = (world.student(1).await, world.student(2).await);
    // From here on the keys and the secret are cached.
    world.get(&ada, &setup.polls()).await.expect(200);
    world.stack.usage.reset();
    println!("{:<48} {:>4} {:>6} {:>6}", "action", "", "read", "write");
    let poll = setup.launch_question().await;
    // The people present are recognized by the students and the join attempts.
    assert!(cost(&setup, "launch, 5 students").0 <= 6);
    setup.vote(&ada, &poll, &[0]).await.expect(200);
    assert_eq!(cost(&setup, "vote"), (2, 4.0, 1.0));
    setup.vote(&ada, &poll, &[1]).await.expect(200);
    assert_eq!(cost(&setup, "vote, changed").0, 2);
    setup.vote(&ada, &poll, &[1]).await.expect(200);
    assert_eq!(cost(&setup, "vote, the same again").0, 1);
    setup.vote(&bob, &poll, &[1]).await.expect(200);
    assert_eq!(cost(&setup, "vote, another voter").0, 2);
    let response = world.get(&ada, &setup.polls()).await;
    assert_eq!(cost(&setup, "results, a student").0, 1);
    let tag = [("if-none-match", response.headers["etag"].to_str().expect("a tag"))];
    let same = world.call(Method::GET, &setup.polls(), &ada, None, &tag).await;
    assert_eq!(same.status, 304);
    assert_eq!(cost(&setup, "results, a student, unchanged").0, 1);
    let response = world.get(&setup.trainer, &setup.polls()).await;
    assert_eq!(cost(&setup, "results, the owner, with the voters").0, 1);
    let tag = [("if-none-match", response.headers["etag"].to_str().expect("a tag"))];
    world.call(Method::GET, &setup.polls(), &setup.trainer, None, &tag).await;
    assert_eq!(cost(&setup, "results, the owner, unchanged").0, 1);
    setup.close(&poll).await.expect(200);
    assert!(cost(&setup, "close, 1 shard").0 <= 6);
    for _ in 0..9 {
        let poll = setup.launch_question().await;
        setup.vote(&ada, &poll, &[0]).await.expect(200);
        setup.close(&poll).await.expect(200);
    }
    setup.launch_question().await;
    world.get(&ada, &setup.polls()).await.expect(200);
    world.stack.usage.reset();
    world.get(&ada, &setup.polls()).await.expect(200);
    assert_eq!(cost(&setup, "results, a student, 10 closed polls and 1 open").0, 1);
    world.get(&setup.trainer, &setup.polls()).await.expect(200);
    assert_eq!(cost(&setup, "results, the owner, 10 closed and 1 open").0, 1);
}

/// Looks with the entity tag of the last response. Returns the status, the read units and the tag.
async fn look(setup: &PollSetup, token: &str, tag: Option<&str>) -> (u16, f64, String) {
    setup.world.stack.usage.reset();
    let headers: Vec<_> = tag.iter().map(|tag| ("if-none-match", *tag)).collect();
    let response = setup.world.call(Method::GET, &setup.polls(), token, None, &headers).await;
    let (_, units, _) = cost(setup, "a look");
    let tag = response.headers["etag"].to_str().expect("a tag").to_owned();
    (response.status.as_u16(), units, tag)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn look_without_an_open_poll_costs_at_most_one_read_unit() {
    let setup = PollSetup::live().await;
    let world = &setup.world;
    let (ada, trainer) = (world.student(1).await, setup.trainer.clone());
    let poll = setup.launch_question().await;
    setup.vote(&ada, &poll, &[0]).await.expect(200);
    setup.close(&poll).await.expect(200);
    for token in [&ada, &trainer] {
        let (status, _, tag) = look(&setup, token, None).await;
        assert_eq!(status, 200);
        for _ in 0..8 {
            world.advance(SignedDuration::from_secs(15));
            assert_eq!(look(&setup, token, Some(&tag)).await, (304, 1.0, tag.clone()));
        }
    }
    // A new poll, the end of the class and a removed student are noticed by the next look, or the one after it.
    let (_, _, tag) = look(&setup, &ada, None).await;
    let poll = setup.launch_question().await;
    assert_eq!(look(&setup, &ada, Some(&tag)).await.0, 200);
    setup.close(&poll).await.expect(200);
    let (_, _, tag) = look(&setup, &ada, None).await;
    assert_eq!(look(&setup, &ada, Some(&tag)).await.0, 304);
    setup.end().await;
    let ends = [look(&setup, &ada, Some(&tag)).await.0, look(&setup, &ada, Some(&tag)).await.0];
    assert!(ends.contains(&200), "{ends:?}");
    let (_, _, tag) = look(&setup, &ada, None).await;
    world.advance(SignedDuration::from_secs(60));
    assert_eq!(look(&setup, &ada, Some(&tag)).await, (304, 1.0, tag));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn next_look_is_soon_while_the_class_is_live() {
    let setup = PollSetup::live().await;
    let world = &setup.world;
    let ada = world.student(1).await;
    let seconds =
        async |path: &str| world.get(&ada, path).await.expect(200)["next_look_seconds"].clone();
    assert_eq!(seconds(&setup.polls()).await, 15);
    assert_eq!(seconds("/v1/me/sessions").await, 15);
    let poll = setup.launch_question().await;
    assert_eq!(seconds(&setup.polls()).await, 5);
    setup.close(&poll).await.expect(200);
    setup.end().await;
    assert_eq!(seconds(&setup.polls()).await, 60);
    assert_eq!(seconds("/v1/me/sessions").await, 60);
    assert_eq!(seconds("/v1/me/notifications").await, 60);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_poll_spreads_votes_over_partition_keys() {
    /// The time in which everyone votes.
    const SECONDS: f64 = 10.0;
    /// DynamoDB's limits per partition, and thus per key, in units per second.
    const PARTITION_WRITES: f64 = 1000.0;
    const PARTITION_READS: f64 = 3000.0;
    let voters = voters();
    let setup = PollSetup::live().await;
    let tokens = enroll_voters(&setup.world, voters).await;
    let poll = setup.launch_question().await;
    let shards = shard_count(voters + 5);
    let usage = &setup.world.stack.usage;
    usage.reset();

    // Sequential, so that the units and the key of each vote are known.
    let mut written: BTreeMap<u16, f64> = BTreeMap::new();
    let mut maximum_per_vote: f64 = 0.0;
    for (n, token) in tokens.iter().enumerate() {
        let before = usage.tally("poll", Service::Dynamodb, "UpdateItem");
        setup.vote(token, &poll, &[n % 2]).await.expect(200);
        let after = usage.tally("poll", Service::Dynamodb, "UpdateItem");
        let units = after.write_units - before.write_units;
        let voter = Voter::from_user(&UserId::parse(&user_id(n)).expect("an id"));
        *written.entry(voter.shard_number(shards)).or_default() += units;
        maximum_per_vote = maximum_per_vote.max(units);
    }
    let table = usage.service_totals("poll", Service::Dynamodb);
    let busiest = written.values().copied().fold(0.0, f64::max);
    let reads = usage.tally("poll", Service::Dynamodb, "BatchGetItem").read_units;
    println!(
        "{voters} voters, {shards} shards: {} requests, {} read units, {} write units",
        table.calls, table.read_units, table.write_units
    );
    println!(
        "a vote: {:.2} write units on average, {maximum_per_vote} at most, {:.1} read units",
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
        "a vote writes only its shard"
    );
    assert!(busiest / SECONDS < PARTITION_WRITES / 4.0, "{written:?}");
    // Each vote and each list request reads every shard once.
    let reads_of_one = reads / voters as f64 * voters as f64 / SECONDS / f64::from(shards);
    println!("a key is read {reads_of_one:.0} units a second by the votes");
    assert!(reads_of_one < PARTITION_READS / 2.0);

    usage.reset();
    let response = setup.world.get(&tokens[0], &setup.polls()).await.expect(200);
    let (requests, units, _) = cost(&setup, "results, a student of the crowd");
    assert_eq!((requests, tally(&response["items"][0]).1), (1, voters as u64));
    println!("results: {units} read units");
    // The same votes again, concurrently: the tally stays the same.
    let again = tokens.iter().enumerate().take(200).map(|(n, token)| {
        let (setup, poll) = (&setup, &poll);
        async move { setup.vote(token, poll, &[n % 2]).await.expect(200) }
    });
    let again: Vec<Value> = futures::stream::iter(again).buffer_unordered(16).collect().await;
    assert!(again.iter().all(|poll| tally(poll).1 == voters as u64));
    usage.reset();
    let closed = setup.close(&poll).await.expect(200);
    cost(&setup, "close");
    assert_eq!(tally(&closed).1, voters as u64);
}
