//! Concurrent votes, and votes while the poll is being closed.

use std::collections::BTreeMap;

use futures::StreamExt;
use local::calls::Service;
use local::faults::{Fault, FaultKind};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use super::{PollSetup, option, tally, text};
use crate::world::{Response, World};

/// The number of concurrent requests. More than a slow machine can answer in time would only measure the waiting of the
/// SDK.
const CONCURRENT_REQUESTS: usize = 16;
/// Lines per import. A debug build processes them in time.
const IMPORT_LINES: usize = 500;

/// Enrolls so many more students in `course-1` and returns their tokens.
pub(super) async fn enroll_voters(world: &World, count: usize) -> Vec<String> {
    let service = world.service().await;
    let line = |n: usize| {
        let email = format!("crowd{n}@example.test");
        json!({"type": "enrollment", "course_id": "course-1", "user_id": user_id(n), "email": email, "name": format!("Student {n}")})
            .to_string()
    };
    let lines: Vec<_> = (0..count).map(line).collect();
    let bearer = format!("Bearer {service}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/x-ndjson")];
    for some in lines.chunks(IMPORT_LINES) {
        let body = some.join("\n").into_bytes();
        let taken = world.send(http::Method::POST, "/v1/directory/import", &headers, body).await;
        assert_eq!(taken.expect(200)["accepted"], some.len());
    }
    let tokens = (0..count).map(|n| world.token(json!({"sub": user_id(n), "role": "student"})));
    futures::stream::iter(tokens).buffered(CONCURRENT_REQUESTS).collect().await
}

/// A user id of the usual length.
pub(super) fn user_id(n: usize) -> String {
    format!("0b5f3c1e-7a52-4a0e-9d4f-{n:012}")
}

async fn put(setup: &PollSetup, token: &str, poll: &Value, choice: usize) -> Response {
    setup.vote(token, poll, &[choice]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousand_concurrent_votes_are_counted_exactly() {
    const VOTERS: usize = 1000;
    let setup = PollSetup::live().await;
    let tokens = enroll_voters(&setup.world, VOTERS).await;
    let poll = setup.launch_question().await;
    // Every tenth voter sends the vote twice at once, and every seventh changes it.
    let mut sent: Vec<(usize, usize)> = Vec::new();
    for n in 0..VOTERS {
        sent.push((n, n % 2));
        if n.is_multiple_of(10) {
            sent.push((n, n % 2));
        }
    }
    let changed: Vec<_> =
        (0..VOTERS).filter(|n| n.is_multiple_of(7)).map(|n| (n, 1 - n % 2)).collect();
    for wave in [sent, changed] {
        let votes = wave.into_iter().map(|(n, choice)| put(&setup, &tokens[n], &poll, choice));
        let vote_results: Vec<Response> =
            futures::stream::iter(votes).buffer_unordered(CONCURRENT_REQUESTS).collect().await;
        for response in vote_results {
            response.expect(200);
        }
    }
    let last = |n: usize| if n.is_multiple_of(7) { 1 - n % 2 } else { n % 2 };
    let ones = (0..VOTERS).filter(|n| last(*n) == 1).count() as u64;
    let expected = (vec![VOTERS as u64 - ones, ones], VOTERS as u64);
    assert_eq!(tally(&setup.newest_poll(&tokens[0]).await), expected);
    let closed = setup.close(&poll).await.expect(200);
    assert_eq!(tally(&closed), expected);
    let voters = closed["voters"].as_array().expect("voters");
    assert_eq!(voters.len(), VOTERS);
    for voter in voters {
        let n: usize = text(&voter["user_id"])[24..].parse().expect("a number");
        assert_eq!(voter["option_ids"], json!([option(&poll, last(n))]), "{n}");
    }
}

/// The responses to one voter's votes.
#[derive(Default)]
struct VoteResponses {
    accepted: Option<usize>,
    rejected: Vec<usize>,
}

/// Checks the tally against the responses: it contains the last accepted vote of each voter and no rejected vote.
fn check_tally(poll: &Value, closed: &Value, responses: &BTreeMap<String, VoteResponses>) {
    let accepted: BTreeMap<&str, usize> = closed["voters"]
        .as_array()
        .expect("voters")
        .iter()
        .map(|voter| {
            let choice = (0..2).find(|n| voter["option_ids"] == json!([option(poll, *n)]));
            (text(&voter["user_id"]), choice.expect("one of the two"))
        })
        .collect();
    let mut votes = vec![0; 2];
    for (user_id, responses) in responses {
        assert_eq!(accepted.get(user_id.as_str()).copied(), responses.accepted, "{user_id}");
        if let Some(choice) = responses.accepted {
            votes[choice] += 1;
        }
        for rejected in &responses.rejected {
            assert_ne!(
                Some(*rejected),
                responses.accepted,
                "{user_id} is counted with a rejected vote"
            );
        }
    }
    let responses = votes.iter().sum();
    assert_eq!(tally(closed), (votes, responses));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vote_concurrent_with_close_is_counted_or_rejected_never_both() {
    const VOTERS: usize = 300;
    let setup = PollSetup::live().await;
    let tokens = enroll_voters(&setup.world, VOTERS).await;
    let poll = setup.launch_question().await;
    let votes = async {
        let votes = (0..VOTERS).map(|n| {
            let (setup, poll, token) = (&setup, &poll, &tokens[n]);
            async move { (n, put(setup, token, poll, n % 2).await) }
        });
        futures::stream::iter(votes).buffer_unordered(CONCURRENT_REQUESTS).collect::<Vec<_>>().await
    };
    let close = async {
        // Closes after about a third of the votes.
        for _ in 0..2000 {
            if tally(&setup.newest_poll(&setup.trainer).await).1 > VOTERS as u64 / 3 {
                break;
            }
        }
        setup.close(&poll).await.expect(200)
    };
    let (vote_results, closed) = futures::join!(votes, close);
    let mut responses: BTreeMap<String, VoteResponses> = BTreeMap::new();
    let mut late = 0;
    for (n, response) in vote_results {
        let responses = responses.entry(user_id(n)).or_default();
        if response.status == 200 {
            responses.accepted = Some(n % 2);
        } else {
            response.expect_problem(409, "poll_closed");
            responses.rejected.push(n % 2);
            late += 1;
        }
    }
    println!("{} of {VOTERS} votes were in time", VOTERS - late);
    assert!(late > 0 && late < VOTERS, "the poll was closed during the votes");
    check_tally(&poll, &closed, &responses);
    assert_eq!(setup.newest_poll(&setup.trainer).await, closed, "no vote is counted later");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vote_and_close_are_idempotent_after_any_failure() {
    let setup = PollSetup::live().await;
    let world = &setup.world;
    let ada = world.student(1).await;
    let kinds = [
        FaultKind::Lost,
        FaultKind::Error,
        FaultKind::Throttle,
        FaultKind::Conflict,
        FaultKind::Half,
    ];
    for kind in kinds {
        let poll = setup.launch_question().await;
        setup.vote(&ada, &poll, &[0]).await.expect(200);
        let cuts = [("UpdateItem", 1), ("UpdateItem", 3), ("BatchGetItem", 3)];
        for (n, (operation, times)) in cuts.into_iter().enumerate() {
            if kind == FaultKind::Conflict && operation == "BatchGetItem" {
                continue;
            }
            let choice = 1 - n % 2;
            world.stack.faults.add(fault(kind, operation, times)).expect("a fault");
            // The SDK tries three times. After that, the page retries.
            let response = setup.vote(&ada, &poll, &[choice]).await;
            world.stack.faults.clear();
            if response.status != 200 {
                response.expect_problem(503, "unavailable");
                setup.vote(&ada, &poll, &[choice]).await.expect(200);
            }
            let expected = if choice == 0 { vec![1, 0] } else { vec![0, 1] };
            assert_eq!(
                tally(&setup.newest_poll(&ada).await),
                (expected, 1),
                "{kind:?} {operation} {times}"
            );
        }
        let accepted = tally(&setup.newest_poll(&ada).await);
        // The first UpdateItem of a close closes the vote shard, and the second updates the list.
        for after in [0, 1] {
            let fault = fault(kind, "UpdateItem", 3).after(after);
            world.stack.faults.add(fault).expect("a fault");
            let response = setup.close(&poll).await;
            world.stack.faults.clear();
            if response.status != 200 {
                response.expect_problem(503, "unavailable");
            }
        }
        let closed = setup.close(&poll).await.expect(200);
        assert_eq!(tally(&closed), accepted, "{kind:?}");
    }
}

fn fault(kind: FaultKind, operation: &str, times: u32) -> Fault {
    Fault::new(Service::Dynamodb, operation, kind).times(times).for_function("poll")
}

/// An action of a voter or the trainer.
#[derive(Clone, Copy, Debug)]
enum Action {
    Vote(usize, usize),
    Double(usize, usize),
    Close,
}

fn actions() -> impl Strategy<Value = (Vec<Action>, usize)> {
    let action = prop_oneof![
        6 => (0..5usize, 0..2usize).prop_map(|(voter, choice)| Action::Vote(voter, choice)),
        3 => (0..5usize, 0..2usize).prop_map(|(voter, choice)| Action::Double(voter, choice)),
        1 => Just(Action::Close),
    ];
    (proptest::collection::vec(action, 1..24), 1..6usize)
}

/// Runs the actions with this concurrency and checks the result.
async fn run_actions(setup: &PollSetup, tokens: &[String], actions: &[Action], concurrency: usize) {
    let poll = setup.launch_question().await;
    // The requests of one voter are sequential, and those of different voters are concurrent.
    let votes_by_voter = (0..tokens.len()).map(|voter| {
        let poll = &poll;
        let own_actions = actions.iter().enumerate().filter(move |(_, action)| match action {
            Action::Vote(other, _) | Action::Double(other, _) => *other == voter,
            Action::Close => false,
        });
        async move {
            let mut responses = VoteResponses::default();
            for (_, action) in own_actions {
                let (choice, times) = match action {
                    Action::Vote(_, choice) => (*choice, 1),
                    Action::Double(_, choice) => (*choice, 2),
                    Action::Close => continue,
                };
                let requests = (0..times).map(|_| put(setup, &tokens[voter], poll, choice));
                let vote_results = futures::future::join_all(requests).await;
                if vote_results.iter().any(|response| response.status == 200) {
                    responses.accepted = Some(choice);
                    responses.rejected.clear();
                } else {
                    responses.rejected.push(choice);
                }
            }
            (format!("student-{}", voter + 1), responses)
        }
    });
    let voters = futures::stream::iter(votes_by_voter)
        .buffer_unordered(concurrency)
        .collect::<BTreeMap<_, _>>();
    let closes = async {
        for _ in actions.iter().filter(|action| matches!(action, Action::Close)) {
            setup.close(&poll).await.expect(200);
        }
    };
    let (responses, ()) = futures::join!(voters, closes);
    let closed = setup.close(&poll).await.expect(200);
    // A repeated vote after the close is rejected, but the same earlier vote still counts.
    let responses = responses
        .into_iter()
        .map(|(user_id, mut responses)| {
            responses.rejected.retain(|rejected| Some(*rejected) != responses.accepted);
            (user_id, responses)
        })
        .collect();
    check_tally(&poll, &closed, &responses);
}

#[test]
fn votes_and_close_give_consistent_results_in_any_order() {
    const CASES: u32 = 30;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let (setup, tokens) = runtime.block_on(async {
        let setup = PollSetup::live().await;
        let mut tokens = Vec::new();
        for n in 1..=5 {
            tokens.push(setup.world.student(n).await);
        }
        (setup, tokens)
    });
    let config = Config {
        cases: CASES,
        max_shrink_iters: 0,
        failure_persistence: None,
        ..Config::default()
    };
    let result = TestRunner::new(config).run(&actions(), |(actions, concurrency)| {
        runtime.block_on(run_actions(&setup, &tokens, &actions, concurrency));
        Ok(())
    });
    result.expect("every order gives the accepted votes");
}
