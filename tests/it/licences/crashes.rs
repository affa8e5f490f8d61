//! A function dies while it assigns a licence or gives one back: from one of its calls on, no call is answered as expected.

use jiff::SignedDuration;
use local::calls::Service;
use local::faults::{Fault, FaultKind};
use serde_json::Value;

use super::{HostedTrainer, MINUTE, world_with};
use crate::world::World;

/// More calls than a run makes.
const EVERY_CALL: u32 = 200;

/// The calls of a run that assigns or returns one licence, in their order: the step, and the number of Zoom's and of
/// DynamoDB's calls before it.
#[derive(Clone, Copy, Debug)]
struct Crash {
    service: Service,
    calls: u32,
    kind: FaultKind,
}

/// Lets every call of a function fail from the crash on. A `Lost` call is carried out.
fn inject(world: &World, function: &str, crash: Crash) {
    let Crash { service, calls, kind } = crash;
    let of_function = |fault: Fault| world.inject_fault(fault.for_function(function));
    of_function(Fault::new(service, "*", kind).after(calls));
    of_function(Fault::new(service, "*", FaultKind::Error).after(calls).times(EVERY_CALL));
}

/// What a crash interrupts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Assign,
    Click,
    Return,
}

async fn crash_and_recover(work: Work, crash: Crash) {
    let context = format!("{work:?} {crash:?}");
    let (world, trainers) = world_with(1, 1).await;
    let ada: &HostedTrainer = &trainers[0];
    let session = world.schedule(ada, world.now(), 20, 60).await;
    let function = if work == Work::Click { "join" } else { "meeting-sweep" };
    match work {
        Work::Assign => {}
        Work::Click => world.advance(MINUTE * 15),
        Work::Return => {
            world.meeting_sweep().await;
            world.advance(MINUTE * 110);
        }
    }
    inject(&world, function, crash);
    match work {
        Work::Click => drop(world.click_start(ada, &session).await),
        // A run that dies reports nothing.
        _ => drop::<Result<Value, _>>(world.stack.schedules.run(function).await),
    }
    world.stack.faults.clear();
    // Another process respects the intent, and then finishes it.
    world.advance(SignedDuration::from_secs(61));
    world.meeting_sweep().await;
    if work == Work::Return {
        assert!(!world.is_licensed(ada), "{context}");
        assert_eq!(world.licences().await["assigned"], 0, "{context}");
        return;
    }
    assert!(world.is_licensed(ada), "{context}");
    let licences = world.licences().await;
    assert_eq!(
        (&licences["assigned"], licences["held"].as_array().map(Vec::len)),
        (&Value::from(1), Some(1))
    );
    world.advance(MINUTE * 5);
    world.click_start(ada, &session).await.expect(200);
    world.advance(MINUTE * 120);
    world.meeting_sweep().await;
    assert!(!world.is_licensed(ada), "{context}: the lease is returned");
    let items = world.items("USER#trainer-1").await;
    let host = items.iter().find(|item| item["sk"] == "PLATFORM_HOST").expect("the host");
    assert!(host.get("licence_intent").is_none_or(Value::is_null), "{context}: {host}");
}

/// The steps: the intent, Zoom's calls, and the outcome. The reads before them change nothing.
fn crashes(work: Work) -> Vec<Crash> {
    use FaultKind::{Error, Lost};
    use Service::{Dynamodb, Zoom};
    // The calls of a run up to its first write, and the calls to Zoom after the token.
    let (reads, zoom_calls) = match work {
        Work::Assign => (9, 1),
        Work::Click => (7, 1),
        Work::Return => (6, 2),
    };
    let mut crashes = Vec::new();
    for kind in [Error, Lost] {
        crashes.extend((0..=zoom_calls).map(|calls| Crash { service: Zoom, calls, kind }));
        crashes.extend((reads - 2..reads + 4).map(|calls| Crash {
            service: Dynamodb,
            calls,
            kind,
        }));
    }
    crashes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crash_at_any_step_is_finished_by_the_next_sweep() {
    for work in [Work::Assign, Work::Click, Work::Return] {
        for crash in crashes(work) {
            Box::pin(crash_and_recover(work, crash)).await;
        }
    }
}
