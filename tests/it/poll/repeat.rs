//! If any call of a poll request fails, the repeated request leads to the same result as a request without failures.

use futures::stream::{self, StreamExt};
use http::Method;
use local::calls::Service;
use local::faults::{Fault, FaultKind};
use serde_json::{Value, json};

use super::{PollSetup, question, tally, text};
use crate::world::Response;

const WORLDS_AT_ONCE: usize = 4;
/// The failures of a call to the table: it fails before or after it took effect, its response is late, or it conflicts. Three
/// failures exceed the attempts of the AWS SDK. The failures of a group take turns with the calls.
const FAILURES: [&[(FaultKind, u32)]; 4] = [
    &[(FaultKind::Error, 3)],
    &[(FaultKind::Lost, 3), (FaultKind::Lost, 1)],
    &[(FaultKind::Late, 1)],
    &[(FaultKind::Conflict, 1)],
];

#[derive(Clone, Copy, Debug)]
enum Request {
    Launch,
    Vote,
    ChangeVote,
    Close,
}

/// A live session with the polls that the request needs.
struct Prepared {
    setup: PollSetup,
    ada: String,
    poll: Value,
}

impl Request {
    async fn prepare(self) -> Prepared {
        let setup = PollSetup::live().await;
        let world = &setup.world;
        let (ada, bob) = (world.student(1).await, world.student(2).await);
        setup.session.post_event(world, &setup.session.joined("u1", "p1", 1)).await;
        // Loads the secret first, so that the failing calls are those of the request.
        setup.newest_poll(&ada).await;
        let poll = match self {
            Self::Launch => Value::Null,
            Self::Vote | Self::ChangeVote | Self::Close => setup.launch_question().await,
        };
        if matches!(self, Self::ChangeVote | Self::Close) {
            setup.vote(&ada, &poll, &[0]).await.expect(200);
            setup.vote(&bob, &poll, &[1]).await.expect(200);
        }
        Prepared { ada, poll, setup }
    }

    async fn send(self, Prepared { setup, ada, poll }: &Prepared) -> Response {
        match self {
            Self::Launch => {
                let key = [("idempotency-key", "launch-1")];
                let (path, body) = (setup.polls(), Some(question()));
                setup.world.call(Method::POST, &path, &setup.trainer, body, &key).await
            }
            Self::Vote | Self::ChangeVote => setup.vote(ada, poll, &[1]).await,
            Self::Close => setup.close(poll).await,
        }
    }
}

/// The polls as the trainer sees them, and the stored shards, without ids.
async fn state(Prepared { setup, .. }: &Prepared) -> Value {
    let listed = setup.world.get(&setup.trainer, &setup.polls()).await.expect(200);
    let polls = listed["items"].as_array().expect("polls").iter().map(|poll| {
        let voters = poll["voters"].as_array().map(|voters| {
            voters.iter().map(|voter| voter["user_id"].clone()).collect::<Vec<_>>()
        });
        json!({"state": poll["state"], "tally": tally(poll), "present": poll["present"], "voters": voters})
    });
    let polls: Vec<_> = polls.collect();
    let shards = setup.world.items("POLL#").await;
    let closed = shards.iter().filter(|shard| shard["voting_closed"] == true).count();
    json!({"polls": polls, "shards": shards.len(), "closed": closed})
}

/// Lets the `nth` call of a request fail. Returns `false` if the request makes fewer calls.
async fn fails_at_call(
    request: Request,
    (kind, times): (FaultKind, u32),
    nth: u32,
    expected: &Value,
) -> bool {
    let prepared = request.prepare().await;
    let world = &prepared.setup.world;
    let fault = Fault::new(Service::Dynamodb, "*", kind).for_function("poll");
    world.inject_fault(fault.after(nth).times(times));
    let first = request.send(&prepared).await;
    let context = format!("{request:?}: {kind:?} × {times} from call {nth}, {}", first.status);
    if world.stack.faults.list().iter().any(|fault| fault.times == times) {
        assert!(first.status.is_success(), "{context}");
        return false;
    }
    assert!(first.status.is_success() || first.status.as_u16() >= 500, "{context}: {}", first.text);
    world.stack.faults.clear();
    let second = request.send(&prepared).await;
    assert!(second.status.is_success(), "{context}: {}", second.text);
    assert_eq!(state(&prepared).await, *expected, "{context}");
    let shown = prepared.setup.newest_poll(&prepared.ada).await;
    assert_eq!(text(&shown["id"]), text(&second.json()["id"]), "{context}");
    true
}

async fn every_call_fails_once(request: Request) {
    let prepared = request.prepare().await;
    let response = request.send(&prepared).await;
    assert!(response.status.is_success(), "{}", response.text);
    let expected = state(&prepared).await;
    let checks = stream::iter(FAILURES).map(|failures| {
        let expected = &expected;
        async move {
            let mut turns = (0..).zip(failures.iter().cycle());
            let mut calls = 0;
            while let Some((nth, failure)) = turns.next()
                && fails_at_call(request, *failure, nth, expected).await
            {
                calls = nth + 1;
            }
            assert!(calls > 1, "{request:?} reads and writes");
        }
    });
    checks.buffer_unordered(WORLDS_AT_ONCE).collect::<()>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn launch_repeated_after_any_failure_makes_one_poll() {
    every_call_fails_once(Request::Launch).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vote_repeated_after_any_failure_counts_once() {
    every_call_fails_once(Request::Vote).await;
    every_call_fails_once(Request::ChangeVote).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn close_repeated_after_any_failure_keeps_every_vote() {
    every_call_fails_once(Request::Close).await;
}
