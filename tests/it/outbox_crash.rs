//! The outbox sweep notifies everyone once, although runs may crash at any call, messages may be delivered twice, and
//! runs may overlap.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::stream::{self, StreamExt};
use jiff::SignedDuration;
use local::calls::Service;
use local::faults::{Fault, FaultKind};
use mail_parser::MessageParser;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::functions::DirectFunctions;
use crate::mail_relevance::calendar_entries;
use crate::outbox_faults::{AFTER_CLAIM, OUTBOX_DLQ, OUTBOX_QUEUE, RUN_TIME};
use crate::support::{invitees, patched};
use crate::world::{World, session_body};

const INVITEES: usize = 3;
const WORLDS_AT_ONCE: usize = 4;
/// More calls than one run makes for one change with three recipients.
const MOST_CALLS: u32 = 60;

/// A crash at the `nth` call to a service, before or after the service carried it out.
#[derive(Clone, Copy, Debug)]
struct Crash {
    service: Service,
    nth: u32,
    is_carried_out: bool,
}

/// Runs the sweep up to that call. Returns `false` if the sweep makes no such call.
async fn run_until_crash(world: &World, crash: Crash) -> bool {
    let kind = if crash.is_carried_out { FaultKind::Late } else { FaultKind::Timeout };
    world.inject_fault(
        Fault::new(crash.service, "*", kind).for_function("outbox-sweep").after(crash.nth),
    );
    let direct = DirectFunctions::new(world, &[]);
    let hit = async {
        while world.stack.faults.list().iter().any(|fault| fault.kind == kind) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        // Concurrent calls complete, as they do when a sandbox crashes.
        tokio::time::sleep(Duration::from_millis(60)).await;
    };
    tokio::select! {
        report = direct.run_outbox_sweep(RUN_TIME) => {
            report.expect("a run without a crash succeeds");
            world.stack.faults.clear();
            false
        }
        () = hit => true,
    }
}

/// Advances the clock and runs the sweep until no work is left.
async fn run_until_idle(world: &World) {
    for _ in 0..12 {
        world.advance(AFTER_CLAIM);
        world.run_outbox_sweep().await;
        if world.depth(OUTBOX_QUEUE) == 0 && world.due_work("OUTBOX").await.is_empty() {
            return;
        }
        // The delay grows with each failed attempt.
        world.advance(SignedDuration::from_hours(2));
    }
    panic!(
        "work is left: {} messages, {:?}",
        world.depth(OUTBOX_QUEUE),
        world.due_work("OUTBOX").await
    );
}

/// The message key, kind and address of each sent mail.
fn sent_mails_by_key(world: &World) -> Vec<(String, String, String)> {
    let all = world.stack.aws.mailbox().list().expect("the mailbox can be read").into_iter();
    let read = all.map(|mail| {
        let message = MessageParser::new().parse(&mail.raw).expect("a message");
        let id = message.message_id().expect("an id");
        let key = id.split('@').next().expect("a message key").to_owned();
        (key, mail.kind.expect("a kind"), mail.to.concat())
    });
    read.collect()
}

/// The number of sent mails per message key.
fn send_counts(world: &World) -> BTreeMap<String, usize> {
    let mut send_counts = BTreeMap::new();
    for (key, _, _) in sent_mails_by_key(world) {
        *send_counts.entry(key).or_insert(0) += 1;
    }
    send_counts
}

/// Checks that everyone received one invitation and, from it or from an update, the final version. One update may cover
/// several moves. A mail may be sent twice only if its first attempt had an unknown outcome. `moves` is `None` if some
/// mails are dead.
async fn check_notifications(
    world: &World,
    session: &Value,
    moves: Option<u32>,
) -> Result<(), String> {
    let send_counts = send_counts(world);
    let partition = format!("SESSION#{}", session["id"].as_str().expect("an id"));
    let items = world.items(&partition).await;
    let claims = items.iter().filter_map(|item| {
        let key = item["sk"].as_str()?.strip_prefix("MAIL#")?;
        Some((key.to_owned(), item["unknown_outcomes"].as_u64().unwrap_or(0)))
    });
    let claims: BTreeMap<_, _> = claims.collect();
    for (key, times) in &send_counts {
        let unknown = claims.get(key).copied();
        let most = 1 + usize::try_from(unknown.unwrap_or(0)).expect("a number");
        if unknown.is_none() || *times > most {
            return Err(format!("{key} was sent {times} times with {unknown:?} unknown outcomes"));
        }
    }
    if let Some(moves) = moves {
        // The kinds of distinct mails per recipient.
        let distinct: BTreeSet<_> = sent_mails_by_key(world).into_iter().collect();
        let mut kinds_by_recipient: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (_, kind, to) in distinct {
            kinds_by_recipient.entry(to).or_default().push(kind);
        }
        for (to, kinds) in &kinds_by_recipient {
            let count = |kind: &str| kinds.iter().filter(|received| *received == kind).count();
            let (invited, updated) = (count("scheduled"), count("updated"));
            let most = usize::try_from(moves).expect("a number");
            if invited != 1 || updated > most || kinds.len() != invited + updated {
                return Err(format!("{to} received {kinds:?} after {moves} moves"));
            }
            let entries = calendar_entries(world, to);
            if entries.iter().map(|(_, sequence)| *sequence).max() != Some(moves) {
                return Err(format!("{to} received {entries:?} after {moves} moves"));
            }
        }
        if kinds_by_recipient.len() != INVITEES {
            return Err(format!("only {:?} were notified", kinds_by_recipient.keys()));
        }
    }
    let counts = items.iter().find(|item| item["sk"] == "MAILCOUNT").cloned().unwrap_or_default();
    let of = |state: &str| counts[state].as_i64().unwrap_or(0);
    if of("queued") != 0 || of("retrying") != 0 {
        return Err(format!("some mails are pending: {counts}"));
    }
    let all = of("sent") + of("failed") + of("dead") + of("dropped");
    if usize::try_from(all) != Ok(claims.len()) {
        return Err(format!("{} mails, but the counts are {counts}", claims.len()));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crash_at_any_call_neither_loses_nor_duplicates_mails() {
    let services = [Service::Dynamodb, Service::Sqs, Service::Ses];
    let crash_kinds = services.into_iter().flat_map(|service| [(service, false), (service, true)]);
    let crash_kinds = stream::iter(crash_kinds).map(|(service, is_carried_out)| async move {
        for nth in 0..MOST_CALLS {
            let world = World::start().await;
            let (_, session) = world.create_with_invitees(INVITEES).await;
            let crash = Crash { service, nth, is_carried_out };
            let hit = run_until_crash(&world, crash).await;
            run_until_idle(&world).await;
            let result = check_notifications(&world, &session, Some(0)).await;
            assert_eq!(result, Ok(()), "{crash:?}");
            if !hit {
                assert!(nth > 1, "a run calls {service}");
                assert_eq!(
                    send_counts(&world).values().copied().collect::<Vec<_>>(),
                    [1; INVITEES]
                );
                return;
            }
        }
        panic!("a run makes more than {MOST_CALLS} calls to {service}");
    });
    crash_kinds.buffer_unordered(WORLDS_AT_ONCE).collect::<()>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sent_mails_are_recorded_before_failures_are_handled() {
    // Returning a mail is an update, like the marks of session and event, the run's lease and the three claims. A dead mail
    // is sent to the dead-letter queue.
    for (failure, service, operation, claims) in [
        (FaultKind::Throttle, Service::Dynamodb, "UpdateItem", 6),
        (FaultKind::Rejected, Service::Sqs, "SendMessage", 0),
    ] {
        let world = World::start().await;
        let (trainer, session) = world.create_with_invitees(3).await;
        if failure == FaultKind::Rejected {
            // One of the three mails is at its last attempt.
            for minutes in [1, 5, 30, 120] {
                world
                    .inject_fault(Fault::new(Service::Ses, "SendEmail", FaultKind::Error).times(3));
                world.run_outbox_sweep().await;
                world.advance(SignedDuration::from_mins(minutes));
            }
        }
        let fails = if failure == FaultKind::Rejected { FaultKind::Error } else { failure };
        world.inject_fault(Fault::new(Service::Ses, "SendEmail", fails));
        let hanging =
            Fault::new(service, operation, FaultKind::Timeout).for_function("outbox-sweep");
        world.inject_fault(hanging.after(claims));
        let direct = DirectFunctions::new(&world, &[]);
        let hit = async {
            while world.stack.faults.list().iter().any(|fault| fault.kind == FaultKind::Timeout) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::select! {
            report = direct.run_outbox_sweep(RUN_TIME) => panic!("no call was hanging: {report:?}"),
            () = hit => {}
        }
        // The run ends here, while one call is in flight.
        let counts = world.mail_counts(&trainer, &session).await;
        assert_eq!(counts["sent"], 2, "{operation}: {counts}");
    }
}

/// One step of a random scenario.
#[derive(Clone, Debug)]
enum Step {
    Move,
    Crash(Crash),
    Drain,
    /// Two concurrent runs.
    Overlap,
    /// The queue delivers a message again.
    Redeliver,
    /// The mail service fails for one mail, or its response is lost.
    MailFailure(FaultKind),
    Wait(i64),
}

fn step() -> impl Strategy<Value = Step> {
    let service = prop_oneof![Just(Service::Dynamodb), Just(Service::Sqs), Just(Service::Ses)];
    let crash = (service, 0_u32..20, any::<bool>()).prop_map(|(service, nth, is_carried_out)| {
        Step::Crash(Crash { service, nth, is_carried_out })
    });
    prop_oneof![
        2 => Just(Step::Move),
        4 => crash,
        2 => Just(Step::Drain),
        1 => Just(Step::Overlap),
        2 => Just(Step::Redeliver),
        1 => prop_oneof![Just(FaultKind::Error), Just(FaultKind::Throttle)].prop_map(Step::MailFailure),
        2 => prop_oneof![Just(1_i64), Just(61), Just(121), Just(600)].prop_map(Step::Wait),
    ]
}

async fn run_steps(script: &[Step]) -> Result<(), String> {
    let world = World::start().await;
    let (trainer, session) = world.create_with_invitees(INVITEES).await;
    let (mut moves, mut claims) = (0, 0);
    for step in script {
        match step {
            Step::Move => {
                moves += 1;
                let body = json!({"audience_type": "invitees", "invitees": invitees(INVITEES)});
                let moved = patched(session_body(400 + moves), body);
                world.edit(&trainer, &session, &moved).await.expect(200);
            }
            Step::Crash(crash) => {
                claims += usize::from(run_until_crash(&world, *crash).await);
            }
            Step::Drain => drop(DirectFunctions::new(&world, &[]).run_outbox_sweep(RUN_TIME).await),
            Step::Overlap => {
                let (one, other) =
                    (DirectFunctions::new(&world, &[]), DirectFunctions::new(&world, &[]));
                let _ = futures::join!(
                    one.run_outbox_sweep(RUN_TIME),
                    other.run_outbox_sweep(RUN_TIME)
                );
            }
            Step::Redeliver => {
                if let Some(message) = world.messages(OUTBOX_QUEUE).await.first() {
                    world.put_message(message).await;
                }
            }
            Step::MailFailure(kind) => {
                world.inject_fault(Fault::new(Service::Ses, "SendEmail", *kind))
            }
            Step::Wait(seconds) => world.advance(SignedDuration::from_secs(*seconds)),
        }
    }
    world.stack.faults.clear();
    run_until_idle(&world).await;
    // After two attempts with unknown outcome a mail is not sent again, but moved to the dead-letter queue.
    let dead = world.depth(OUTBOX_DLQ);
    if dead > 0 && claims < 2 {
        return Err(format!("{dead} mails are dead after {claims} crashes"));
    }
    let moves = u32::try_from(moves).unwrap_or(0);
    check_notifications(&world, &session, (dead == 0).then_some(moves)).await
}

#[test]
fn random_crashes_and_retries_notify_everyone_once() {
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
        let result = runtime.block_on(run_steps(&script));
        prop_assert_eq!(result, Ok(()));
    });
}
