//! A run of the outbox may die at any line, messages come twice, runs overlap: everybody is told once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::stream::{self, StreamExt};
use jiff::SignedDuration;
use local::calls::Service;
use local::faults::{Fault, Kind};
use mail_parser::MessageParser;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::direct::Direct;
use crate::look::{invitees, with};
use crate::newest::entries;
use crate::outbox_faults::{DEAD, HIDDEN, OUTBOX, RUN};
use crate::world::{World, class};

/// How many are invited.
const INVITED: usize = 3;
const WORLDS_AT_ONCE: usize = 4;
/// More calls than a run makes that tells three of one change.
const MOST_CALLS: u32 = 60;

/// Where a run ends: at its `nth` call to a service, which was carried out or was not.
#[derive(Clone, Copy, Debug)]
struct Crash {
    service: Service,
    nth: u32,
    carried_out: bool,
}

/// Runs the sweep until it makes that call, and then no further; `false` when it makes no such call.
async fn crashed(world: &World, crash: Crash) -> bool {
    let kind = if crash.carried_out { Kind::Late } else { Kind::Timeout };
    world.fault(Fault::new(crash.service, "*", kind).by("outbox-sweep").after(crash.nth));
    let direct = Direct::new(world, &[]);
    let hit = async {
        while world.stack.faults.list().iter().any(|fault| fault.kind == kind) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        // What was asked for beside it comes to its end, as it does when a sandbox dies.
        tokio::time::sleep(Duration::from_millis(60)).await;
    };
    tokio::select! {
        report = direct.drain(RUN) => {
            report.expect("a run without a crash ends well");
            world.stack.faults.clear();
            false
        }
        () = hit => true,
    }
}

/// Lets time pass and runs the sweep until nothing is left to do.
async fn settle(world: &World) {
    for _ in 0..12 {
        world.advance(HIDDEN);
        world.drain().await;
        if world.depth(OUTBOX) == 0 && world.due("OUTBOX").await.is_empty() {
            return;
        }
        // What failed waits longer each time.
        world.advance(SignedDuration::from_hours(2));
    }
    panic!("something stays: {} messages, {:?}", world.depth(OUTBOX), world.due("OUTBOX").await);
}

/// What left: each mail's effect, kind and address.
fn left(world: &World) -> Vec<(String, String, String)> {
    let all = world.stack.aws.mailbox().list().expect("the mailbox can be read").into_iter();
    let read = all.map(|mail| {
        let message = MessageParser::new().parse(&mail.raw).expect("a message");
        let id = message.message_id().expect("an id");
        let effect = id.split('@').next().expect("an effect").to_owned();
        (effect, mail.kind.expect("a kind"), mail.to.concat())
    });
    read.collect()
}

/// How often each mail was sent, by its effect.
fn sent(world: &World) -> BTreeMap<String, usize> {
    let mut sent = BTreeMap::new();
    for (effect, _, _) in left(world) {
        *sent.entry(effect).or_insert(0) += 1;
    }
    sent
}

/// Everybody was invited once and has what they hold in the end from that or from an update: of several moves one mail may
/// tell. Nothing was sent twice but what nobody could know about whether it had left. `None` where some was given up.
async fn check(world: &World, session: &Value, moves: Option<u32>) -> Result<(), String> {
    let sent = sent(world);
    let partition = format!("SESSION#{}", session["id"].as_str().expect("an id"));
    let items = world.items(&partition).await;
    let claims = items.iter().filter_map(|item| {
        let effect = item["sk"].as_str()?.strip_prefix("MAIL#")?;
        Some((effect.to_owned(), item["lost"].as_u64().unwrap_or(0)))
    });
    let claims: BTreeMap<_, _> = claims.collect();
    for (effect, times) in &sent {
        let lost = claims.get(effect).copied();
        let most = 1 + usize::try_from(lost.unwrap_or(0)).expect("a number");
        if lost.is_none() || *times > most {
            return Err(format!("{effect} was sent {times} times, its claims lost: {lost:?}"));
        }
    }
    if let Some(moves) = moves {
        // Of which kinds each was told, in as many mails as are not the same one.
        let distinct: BTreeSet<_> = left(world).into_iter().collect();
        let mut told: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (_, kind, to) in distinct {
            told.entry(to).or_default().push(kind);
        }
        for (to, kinds) in &told {
            let of = |kind: &str| kinds.iter().filter(|told| *told == kind).count();
            let (invited, updated) = (of("scheduled"), of("updated"));
            let most = usize::try_from(moves).expect("a number");
            if invited != 1 || updated > most || kinds.len() != invited + updated {
                return Err(format!("{to} was told {kinds:?}, and there were {moves} moves"));
            }
            let entries = entries(world, to);
            if entries.iter().map(|(_, sequence)| *sequence).max() != Some(moves) {
                return Err(format!("{to} was sent {entries:?}, and there were {moves} moves"));
            }
        }
        if told.len() != INVITED {
            return Err(format!("{:?} were told", told.keys()));
        }
    }
    let counts = items.iter().find(|item| item["sk"] == "MAILCOUNT").cloned().unwrap_or_default();
    let of = |state: &str| counts[state].as_i64().unwrap_or(0);
    if of("queued") != 0 || of("retrying") != 0 {
        return Err(format!("something is still to come: {counts}"));
    }
    let all = of("sent") + of("failed") + of("dead") + of("dropped");
    if usize::try_from(all) != Ok(claims.len()) {
        return Err(format!("{} mails are counted as {counts}", claims.len()));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_line_of_a_run_may_be_its_last() {
    let services = [Service::Dynamodb, Service::Sqs, Service::Ses];
    let ways = services.into_iter().flat_map(|service| [(service, false), (service, true)]);
    let ways = stream::iter(ways).map(|(service, carried_out)| async move {
        for nth in 0..MOST_CALLS {
            let world = World::start().await;
            let (_, session) = world.inviting(INVITED).await;
            let crash = Crash { service, nth, carried_out };
            let hit = crashed(&world, crash).await;
            settle(&world).await;
            let told = check(&world, &session, Some(0)).await;
            assert_eq!(told, Ok(()), "{crash:?}");
            if !hit {
                assert!(nth > 1, "a run calls {service}");
                assert_eq!(sent(&world).values().copied().collect::<Vec<_>>(), [1; INVITED]);
                return;
            }
        }
        panic!("a run makes more than {MOST_CALLS} calls to {service}");
    });
    ways.buffer_unordered(WORLDS_AT_ONCE).collect::<()>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_left_is_noted_before_anything_else_is_seen_to() {
    // What is given back is an update, as are the run's own hold, the mark that somebody was told, and three claims; what is given up is a message to the dead.
    for (trouble, service, operation, claims) in [
        (Kind::Throttle, Service::Dynamodb, "UpdateItem", 5),
        (Kind::Rejected, Service::Sqs, "SendMessage", 0),
    ] {
        let world = World::start().await;
        let (trainer, session) = world.inviting(3).await;
        if trouble == Kind::Rejected {
            // One of three is at its last try.
            for minutes in [1, 5, 30, 120] {
                world.fault(Fault::new(Service::Ses, "SendEmail", Kind::Error).times(3));
                world.drain().await;
                world.advance(SignedDuration::from_mins(minutes));
            }
        }
        let fails = if trouble == Kind::Rejected { Kind::Error } else { trouble };
        world.fault(Fault::new(Service::Ses, "SendEmail", fails));
        let stuck = Fault::new(service, operation, Kind::Timeout).by("outbox-sweep");
        world.fault(stuck.after(claims));
        let direct = Direct::new(&world, &[]);
        let hit = async {
            while world.stack.faults.list().iter().any(|fault| fault.kind == Kind::Timeout) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::select! {
            report = direct.drain(RUN) => panic!("nothing was stuck: {report:?}"),
            () = hit => {}
        }
        // The run ends here, with one call under way.
        let counts = world.counts(&trainer, &session).await;
        assert_eq!(counts["sent"], 2, "{operation}: {counts}");
    }
}

/// One thing that happens.
#[derive(Clone, Debug)]
enum Step {
    Move,
    Crash(Crash),
    Drain,
    /// Two runs at once.
    Overlap,
    /// A message of the queue comes once more.
    Again,
    /// The mail service does not answer one mail, or loses its answer.
    Trouble(Kind),
    Wait(i64),
}

fn step() -> impl Strategy<Value = Step> {
    let service = prop_oneof![Just(Service::Dynamodb), Just(Service::Sqs), Just(Service::Ses)];
    let crash = (service, 0_u32..20, any::<bool>())
        .prop_map(|(service, nth, carried_out)| Step::Crash(Crash { service, nth, carried_out }));
    prop_oneof![
        2 => Just(Step::Move),
        4 => crash,
        2 => Just(Step::Drain),
        1 => Just(Step::Overlap),
        2 => Just(Step::Again),
        1 => prop_oneof![Just(Kind::Error), Just(Kind::Throttle)].prop_map(Step::Trouble),
        2 => prop_oneof![Just(1_i64), Just(61), Just(121), Just(600)].prop_map(Step::Wait),
    ]
}

async fn play(script: &[Step]) -> Result<(), String> {
    let world = World::start().await;
    let (trainer, session) = world.inviting(INVITED).await;
    let (mut moves, mut claims) = (0, 0);
    for step in script {
        match step {
            Step::Move => {
                moves += 1;
                let body = json!({"audience_type": "invitees", "invitees": invitees(INVITED)});
                let moved = with(class(400 + moves), body);
                world.edit(&trainer, &session, &moved).await.expect(200);
            }
            Step::Crash(crash) => {
                claims += usize::from(crashed(&world, *crash).await);
            }
            Step::Drain => drop(Direct::new(&world, &[]).drain(RUN).await),
            Step::Overlap => {
                let (one, other) = (Direct::new(&world, &[]), Direct::new(&world, &[]));
                let _ = futures::join!(one.drain(RUN), other.drain(RUN));
            }
            Step::Again => {
                if let Some(message) = world.messages(OUTBOX).await.first() {
                    world.put_message(message).await;
                }
            }
            Step::Trouble(kind) => world.fault(Fault::new(Service::Ses, "SendEmail", *kind)),
            Step::Wait(seconds) => world.advance(SignedDuration::from_secs(*seconds)),
        }
    }
    world.stack.faults.clear();
    settle(&world).await;
    // A mail that was in doubt twice is not sent a third time, and lies among the dead.
    let given_up = world.depth(DEAD);
    if given_up > 0 && claims < 2 {
        return Err(format!("{given_up} were given up after {claims} crashes"));
    }
    let moves = u32::try_from(moves).unwrap_or(0);
    check(&world, &session, (given_up == 0).then_some(moves)).await
}

#[test]
fn whatever_crashes_everybody_is_told_once() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let config = ProptestConfig {
        cases: 12,
        max_shrink_iters: 12,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(script in proptest::collection::vec(step(), 3..10))| {
        let told = runtime.block_on(play(&script));
        prop_assert_eq!(told, Ok(()));
    });
}
