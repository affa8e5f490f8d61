//! Many votes at once, and votes while the poll is being closed.

use std::collections::BTreeMap;

use futures::StreamExt;
use local::calls::Service;
use local::faults::{Fault, Kind};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use super::{Class, option, tally, text};
use crate::world::{Answer, World};

/// Requests under way at once, as sandboxes of the function would be. More of them than a slow machine answers in time
/// would only show how the SDK waits.
const AT_ONCE: usize = 16;
/// Lines of one import: so many are taken in time by a debug build, too.
const LINES_AT_ONCE: usize = 500;

/// Puts so many more students into `course-1`; answers their tokens.
pub(super) async fn crowd(world: &World, count: usize) -> Vec<String> {
    let service = world.service().await;
    let line = |n: usize| {
        let email = format!("crowd{n}@example.test");
        json!({"type": "enrollment", "course_id": "course-1", "user_id": user(n), "email": email, "name": format!("Student {n}")})
            .to_string()
    };
    let lines: Vec<_> = (0..count).map(line).collect();
    let bearer = format!("Bearer {service}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/x-ndjson")];
    for some in lines.chunks(LINES_AT_ONCE) {
        let body = some.join("\n").into_bytes();
        let taken = world.send(http::Method::POST, "/v1/directory/import", &headers, body).await;
        assert_eq!(taken.expect(200)["accepted"], some.len());
    }
    let tokens = (0..count).map(|n| world.token(json!({"sub": user(n), "role": "student"})));
    futures::stream::iter(tokens).buffered(AT_ONCE).collect().await
}

/// An id as long as those of most platforms.
pub(super) fn user(n: usize) -> String {
    format!("0b5f3c1e-7a52-4a0e-9d4f-{n:012}")
}

async fn put(class: &Class, token: &str, poll: &Value, choice: usize) -> Answer {
    class.vote(token, poll, &[choice]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_who_vote_at_once_are_counted_exactly() {
    const VOTERS: usize = 1000;
    let class = Class::live().await;
    let tokens = crowd(&class.world, VOTERS).await;
    let poll = class.ask().await;
    // Every tenth sends their vote twice at once, and every seventh changes it.
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
        let votes = wave.into_iter().map(|(n, choice)| put(&class, &tokens[n], &poll, choice));
        let answers: Vec<Answer> =
            futures::stream::iter(votes).buffer_unordered(AT_ONCE).collect().await;
        for answer in answers {
            answer.expect(200);
        }
    }
    let last = |n: usize| if n.is_multiple_of(7) { 1 - n % 2 } else { n % 2 };
    let ones = (0..VOTERS).filter(|n| last(*n) == 1).count() as u64;
    let expected = (vec![VOTERS as u64 - ones, ones], VOTERS as u64);
    assert_eq!(tally(&class.seen(&tokens[0]).await), expected);
    let closed = class.close(&poll).await.expect(200);
    assert_eq!(tally(&closed), expected);
    let voters = closed["voters"].as_array().expect("voters");
    assert_eq!(voters.len(), VOTERS);
    for voter in voters {
        let n: usize = text(&voter["user_id"])[24..].parse().expect("a number");
        assert_eq!(voter["option_ids"], json!([option(&poll, last(n))]), "{n}");
    }
}

/// What each voter was told last, by what they had asked for.
#[derive(Default)]
struct Told {
    counted: Option<usize>,
    refused: Vec<usize>,
}

/// Holds what was told against what was counted: who was told that a vote counts is counted with their last such vote,
/// and nobody with a vote that was refused.
fn hold(poll: &Value, closed: &Value, told: &BTreeMap<String, Told>) {
    let counted: BTreeMap<&str, usize> = closed["voters"]
        .as_array()
        .expect("voters")
        .iter()
        .map(|voter| {
            let choice = (0..2).find(|n| voter["option_ids"] == json!([option(poll, *n)]));
            (text(&voter["user_id"]), choice.expect("one of the two"))
        })
        .collect();
    let mut votes = vec![0; 2];
    for (user, told) in told {
        assert_eq!(counted.get(user.as_str()).copied(), told.counted, "{user}");
        if let Some(choice) = told.counted {
            votes[choice] += 1;
        }
        for refused in &told.refused {
            assert_ne!(
                Some(*refused),
                told.counted,
                "{user} was told that their vote does not count"
            );
        }
    }
    let responses = votes.iter().sum();
    assert_eq!(tally(closed), (votes, responses));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vote_that_meets_the_close_is_counted_or_refused_and_never_both() {
    const VOTERS: usize = 300;
    let class = Class::live().await;
    let tokens = crowd(&class.world, VOTERS).await;
    let poll = class.ask().await;
    let votes = async {
        let votes = (0..VOTERS).map(|n| {
            let (class, poll, token) = (&class, &poll, &tokens[n]);
            async move { (n, put(class, token, poll, n % 2).await) }
        });
        futures::stream::iter(votes).buffer_unordered(AT_ONCE).collect::<Vec<_>>().await
    };
    let close = async {
        // When about half of them have voted.
        for _ in 0..2000 {
            if tally(&class.seen(&class.trainer).await).1 > VOTERS as u64 / 3 {
                break;
            }
        }
        class.close(&poll).await.expect(200)
    };
    let (answers, closed) = futures::join!(votes, close);
    let mut told: BTreeMap<String, Told> = BTreeMap::new();
    let mut late = 0;
    for (n, answer) in answers {
        let told = told.entry(user(n)).or_default();
        if answer.status == 200 {
            told.counted = Some(n % 2);
        } else {
            answer.refused(409, "poll_closed");
            told.refused.push(n % 2);
            late += 1;
        }
    }
    println!("{} of {VOTERS} votes were in time", VOTERS - late);
    assert!(late > 0 && late < VOTERS, "the close came among the votes");
    hold(&poll, &closed, &told);
    assert_eq!(class.seen(&class.trainer).await, closed, "and nothing is counted later");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vote_and_a_close_repeated_after_any_failure_are_one() {
    let class = Class::live().await;
    let world = &class.world;
    let ada = world.student(1).await;
    let kinds = [Kind::Lost, Kind::Error, Kind::Throttle, Kind::Conflict, Kind::Half];
    for kind in kinds {
        let poll = class.ask().await;
        class.vote(&ada, &poll, &[0]).await.expect(200);
        let cuts = [("UpdateItem", 1), ("UpdateItem", 3), ("BatchGetItem", 3)];
        for (n, (operation, times)) in cuts.into_iter().enumerate() {
            if kind == Kind::Conflict && operation == "BatchGetItem" {
                continue;
            }
            let choice = 1 - n % 2;
            world.stack.faults.add(fault(kind, operation, times)).expect("a fault");
            // The SDK tries three times; where it gives up, the page asks again.
            let answer = class.vote(&ada, &poll, &[choice]).await;
            world.stack.faults.clear();
            if answer.status != 200 {
                answer.refused(503, "unavailable");
                class.vote(&ada, &poll, &[choice]).await.expect(200);
            }
            let expected = if choice == 0 { vec![1, 0] } else { vec![0, 1] };
            assert_eq!(
                tally(&class.seen(&ada).await),
                (expected, 1),
                "{kind:?} {operation} {times}"
            );
        }
        let counted = tally(&class.seen(&ada).await);
        // The first UpdateItem of a close shuts the box, and the second says so on the list.
        for after in [0, 1] {
            let fault = fault(kind, "UpdateItem", 3).after(after);
            world.stack.faults.add(fault).expect("a fault");
            let answer = class.close(&poll).await;
            world.stack.faults.clear();
            if answer.status != 200 {
                answer.refused(503, "unavailable");
            }
        }
        let closed = class.close(&poll).await.expect(200);
        assert_eq!(tally(&closed), counted, "{kind:?}");
    }
}

fn fault(kind: Kind, operation: &str, times: u32) -> Fault {
    Fault::new(Service::Dynamodb, operation, kind).times(times).by("poll")
}

/// What somebody does.
#[derive(Clone, Copy, Debug)]
enum Act {
    Vote(usize, usize),
    Double(usize, usize),
    Close,
}

fn acts() -> impl Strategy<Value = (Vec<Act>, usize)> {
    let act = prop_oneof![
        6 => (0..5usize, 0..2usize).prop_map(|(who, what)| Act::Vote(who, what)),
        3 => (0..5usize, 0..2usize).prop_map(|(who, what)| Act::Double(who, what)),
        1 => Just(Act::Close),
    ];
    (proptest::collection::vec(act, 1..24), 1..6usize)
}

/// Plays one order of things, so many at once, and holds the end against what was told.
async fn play(class: &Class, tokens: &[String], acts: &[Act], at_once: usize) {
    let poll = class.ask().await;
    // A voter's own requests follow one another, as a person's do; those of different people run into each other.
    let own = (0..tokens.len()).map(|who| {
        let poll = &poll;
        let mine = acts.iter().enumerate().filter(move |(_, act)| match act {
            Act::Vote(other, _) | Act::Double(other, _) => *other == who,
            Act::Close => false,
        });
        async move {
            let mut told = Told::default();
            for (_, act) in mine {
                let (what, times) = match act {
                    Act::Vote(_, what) => (*what, 1),
                    Act::Double(_, what) => (*what, 2),
                    Act::Close => continue,
                };
                let clicks = (0..times).map(|_| put(class, &tokens[who], poll, what));
                let answers = futures::future::join_all(clicks).await;
                if answers.iter().any(|answer| answer.status == 200) {
                    told.counted = Some(what);
                    told.refused.clear();
                } else {
                    told.refused.push(what);
                }
            }
            (format!("student-{}", who + 1), told)
        }
    });
    let voters = futures::stream::iter(own).buffer_unordered(at_once).collect::<BTreeMap<_, _>>();
    let closes = async {
        for _ in acts.iter().filter(|act| matches!(act, Act::Close)) {
            class.close(&poll).await.expect(200);
        }
    };
    let (told, ()) = futures::join!(voters, closes);
    let closed = class.close(&poll).await.expect(200);
    // Who asked again for what already counted was told that the poll is closed, and is counted all the same.
    let told = told
        .into_iter()
        .map(|(user, mut told)| {
            told.refused.retain(|refused| Some(*refused) != told.counted);
            (user, told)
        })
        .collect();
    hold(&poll, &closed, &told);
}

#[test]
fn votes_changes_doubles_and_the_close_come_to_the_same_in_any_order() {
    const CASES: u32 = 30;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let (class, tokens) = runtime.block_on(async {
        let class = Class::live().await;
        let mut tokens = Vec::new();
        for n in 1..=5 {
            tokens.push(class.world.student(n).await);
        }
        (class, tokens)
    });
    let config = Config {
        cases: CASES,
        max_shrink_iters: 0,
        failure_persistence: None,
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(&acts(), |(acts, at_once)| {
        runtime.block_on(play(&class, &tokens, &acts, at_once));
        Ok(())
    });
    outcome.expect("every order comes to what was told");
}
