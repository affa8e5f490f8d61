//! The sweep dies at one of its calls: from then on, no call is answered as expected.

use futures::stream::{self, StreamExt};
use jiff::SignedDuration;
use local::calls::Service::{self, Dynamodb, Zoom};
use local::faults::{Fault, FaultKind};
use serde_json::{Value, json};

use super::{MINUTE, connected_trainer, later_body, queued_meetings};
use crate::late_answers::{check_agreement, finish_repairs};
use crate::support::{patched, session_path};
use crate::world::World;

const WORLDS_AT_ONCE: usize = 4;
/// More calls than a run makes.
const CALLS: u32 = 12;

/// The event between the crash and the next run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    Nothing,
    Edit,
    Cancel,
    /// Only the repair runs, a quarter of an hour later.
    Repair,
}

fn crash(world: &World, service: Service, after: u32, kind: FaultKind) {
    let first = Fault::new(service, "*", kind).for_function("meeting-sweep").after(after);
    world.inject_fault(first);
    for service in [Dynamodb, Zoom] {
        let rest = Fault::new(service, "*", FaultKind::Error).for_function("meeting-sweep");
        let calls = if service == Zoom { 0 } else { after };
        if service == Dynamodb {
            world.inject_fault(rest.after(calls).times(100));
        }
    }
}

async fn crash_and_recover(service: Service, calls: u32, kind: FaultKind, after: After) -> bool {
    let context = format!("{service:?} {calls} {kind:?}, then {after:?}");
    let (world, trainer) = connected_trainer().await;
    let session = world.create(&trainer, &later_body(5)).await.expect(201);
    crash(&world, service, calls, kind);
    let _ = world.stack.schedules.run("meeting-sweep").await;
    world.stack.faults.clear();
    let is_interrupted = world.meeting_state(&session).await != "ready";
    // The lease of the run that has died expires.
    world.advance(SignedDuration::from_secs(160));
    match after {
        After::Nothing => {}
        After::Edit => {
            let edited = patched(later_body(6), json!({"title": "Edited"}));
            world.edit(&trainer, &session, &edited).await.expect(200);
        }
        After::Cancel => drop(world.cancel(&trainer, &session).await.expect(200)),
        After::Repair => {
            world.advance(MINUTE * 14);
            world.sweep().await;
        }
    }
    for _ in 0..4 {
        world.meeting_sweep().await;
        world.advance(MINUTE * 16);
    }
    finish_repairs(&world).await;
    let trainer = world.trainer().await;
    check_agreement(&world, &trainer, &context).await;
    let shown = world.get(&trainer, &session_path(&session)).await.expect(200);
    let expected = if after == After::Cancel { Value::Null } else { json!("ready") };
    if after != After::Cancel {
        assert_eq!(shown["meeting_state"], expected, "{context}");
    }
    assert_eq!(queued_meetings(&world).await, 0, "{context}");
    is_interrupted
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crash_at_any_step_leaves_one_meeting_or_none() {
    let mut cases = Vec::new();
    for kind in [FaultKind::Error, FaultKind::Lost] {
        for after in [After::Nothing, After::Edit, After::Cancel, After::Repair] {
            cases.extend((0..CALLS).map(|calls| (Dynamodb, calls, kind, after)));
            cases.push((Zoom, 0, kind, after));
        }
    }
    let checks = stream::iter(cases)
        .map(|(service, calls, kind, after)| crash_and_recover(service, calls, kind, after));
    let interrupted: Vec<bool> = checks.buffer_unordered(WORLDS_AT_ONCE).collect().await;
    let count = interrupted.iter().filter(|it| **it).count();
    assert!(count > 20, "only {count} crashes had an effect");
}
