//! A function dies while it assigns a licence or gives one back: from one of its calls on, no call is answered as expected.

use jiff::SignedDuration;
use local::calls::Service;
use local::faults::{Fault, FaultKind};
use serde_json::Value;

use super::{HostedTrainer, MINUTE, world_with};
use crate::world::World;

/// More calls than a run makes.
const EVERY_CALL: u32 = 200;

/// The first failing call of a function: its service, and the number of this service's calls before it.
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

/// The action that a crash interrupts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Assign,
    Click,
    Return,
}

/// Crashes at a step of the work for a new class, and recovers. No licence is assigned before and after.
async fn crash_and_recover(world: &World, ada: &HostedTrainer, work: Work, crash: Crash) {
    let context = format!("{work:?} {crash:?}");
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
    inject(world, function, crash);
    match work {
        Work::Click => drop(world.click_start(ada, &session).await),
        // A run that dies reports nothing.
        _ => drop::<Result<Value, _>>(world.stack.schedules.run(function).await),
    }
    world.stack.faults.clear();
    // Other processes leave the intent alone for a minute. Then they finish it.
    world.advance(SignedDuration::from_secs(61));
    world.meeting_sweep().await;
    let licences = world.licences().await;
    let held = licences["held"].as_array().expect("a list").len();
    let expected = usize::from(work != Work::Return);
    assert_eq!((world.is_licensed(ada), held), (expected == 1, expected), "{context}");
    assert_eq!(licences["assigned"], expected, "{context}");
    if work != Work::Return {
        world.advance(MINUTE * 5);
        world.click_start(ada, &session).await.expect(200);
        world.advance(MINUTE * 120);
        world.meeting_sweep().await;
        assert!(!world.is_licensed(ada), "{context}: the lease is returned");
    }
    let items = world.items("USER#trainer-1").await;
    let host = items.iter().find(|item| item["sk"] == "PLATFORM_HOST").expect("the host");
    assert!(host.get("licence_intent").is_none_or(Value::is_null), "{context}: {host}");
}

/// The intent, Zoom's calls, and the outcome. The reads before and between them change nothing.
fn crashes(work: Work) -> Vec<Crash> {
    use FaultKind::{Error, Lost};
    use Service::{Dynamodb, Zoom};
    let (zoom_calls, other_calls) = if work == Work::Return { (3, 13) } else { (2, 15) };
    let mut crashes = Vec::new();
    for kind in [Error, Lost] {
        crashes.extend((0..zoom_calls).map(|calls| Crash { service: Zoom, calls, kind }));
        crashes.extend((4..other_calls).map(|calls| Crash { service: Dynamodb, calls, kind }));
    }
    crashes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crash_at_any_step_is_finished_by_the_next_sweep() {
    let all = [Work::Assign, Work::Click, Work::Return].map(|work| async move {
        let (world, trainers) = world_with(1, 1).await;
        for crash in crashes(work) {
            Box::pin(crash_and_recover(&world, &trainers[0], work, crash)).await;
        }
    });
    futures::future::join_all(all).await;
}
