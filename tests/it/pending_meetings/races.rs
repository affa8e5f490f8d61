//! An edit, a cancellation or an erasure while the meeting is made.

use std::time::Duration;

use futures::stream::{self, StreamExt};
use jiff::SignedDuration;
use local::calls::Service::{Dynamodb, Zoom};
use local::faults::{Fault, FaultKind};
use serde_json::{Value, json};

use super::{MINUTE, connected_trainer, later_body, queued_meetings};
use crate::late_answers::{check_agreement, finish_repairs};
use crate::support::{patched, session_path};
use crate::world::World;

/// What happens while the meeting is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Edit,
    Move,
    Cancel,
    Sweep,
}

async fn apply(world: &World, trainer: &str, session: &Value, change: Change) {
    match change {
        Change::Edit => {
            let body = patched(later_body(5), json!({"title": "Edited"}));
            // An edit that meets the lease may ask the trainer to try again.
            let response = world.edit(trainer, session, &body).await;
            assert!([200, 409].contains(&response.status.as_u16()), "{}", response.text);
        }
        Change::Move => {
            let response = world.edit(trainer, session, &later_body(6)).await;
            assert!([200, 409].contains(&response.status.as_u16()), "{}", response.text);
        }
        Change::Cancel => drop(world.cancel(trainer, session).await.expect(200)),
        Change::Sweep => drop(world.meeting_sweep().await),
    }
}

/// Makes a call of the sweep late, and changes the session meanwhile. In the end the class and Zoom agree.
async fn race(change: Change, late: Fault, is_before: bool) {
    let (world, trainer) = connected_trainer().await;
    let session = world.create(&trainer, &later_body(5)).await.expect(201);
    // The token and the secrets are loaded, so that the calls are those of the meeting.
    let context = format!("{change:?} during {late:?}, before: {is_before}");
    world.inject_fault(Fault { delay_ms: Some(900), ..late }.for_function("meeting-sweep"));
    let sweep = world.meeting_sweep();
    let changed = async {
        let wait = if is_before { 50 } else { 450 };
        tokio::time::sleep(Duration::from_millis(wait)).await;
        apply(&world, &trainer, &session, change).await;
    };
    futures::join!(sweep, changed);
    world.stack.faults.clear();
    for _ in 0..3 {
        world.meeting_sweep().await;
        world.advance(MINUTE * 5);
    }
    finish_repairs(&world).await;
    check_agreement(&world, &world.trainer().await, &context).await;
    let shown = world.get(&world.trainer().await, &session_path(&session)).await.expect(200);
    match change {
        Change::Cancel => assert_eq!(world.meetings().len(), 0, "{context}"),
        _ => assert_eq!(shown["meeting_state"], "ready", "{context}"),
    }
    assert_eq!(queued_meetings(&world).await, 0, "{context}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn change_while_the_meeting_is_made_leaves_one_meeting_or_none() {
    let mut races = Vec::new();
    for change in [Change::Edit, Change::Move, Change::Cancel, Change::Sweep] {
        for late in [
            Fault::new(Dynamodb, "BatchGetItem", FaultKind::Late),
            Fault::new(Zoom, "create_meeting", FaultKind::Late),
            Fault::new(Dynamodb, "TransactWriteItems", FaultKind::Late),
            Fault::new(Dynamodb, "TransactWriteItems", FaultKind::Late).after(1),
        ] {
            races.push(race(change, late.clone(), true));
            races.push(race(change, late, false));
        }
    }
    stream::iter(races).buffer_unordered(4).collect::<()>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erasure_of_the_trainer_leaves_no_meeting_to_be_made() {
    let (world, trainer) = connected_trainer().await;
    world.create(&trainer, &later_body(5)).await.expect(201);
    world.create(&trainer, &later_body(20)).await.expect(201);
    let late = Fault::new(Zoom, "create_meeting", FaultKind::Late);
    world.inject_fault(Fault { delay_ms: Some(900), ..late }.for_function("meeting-sweep"));
    let service = world.service().await;
    let erasure = async {
        tokio::time::sleep(Duration::from_millis(400)).await;
        world.delete(&service, "/v1/directory/users/trainer-1").await.expect(204);
    };
    futures::join!(world.meeting_sweep(), erasure);
    world.advance(SignedDuration::from_hours(1));
    world.meeting_sweep().await;
    assert_eq!(queued_meetings(&world).await, 0);
    let sessions = world.items("SESSION#").await;
    let scheduled = sessions.iter().filter(|item| item["status"] == "scheduled").count();
    assert_eq!(scheduled, 0, "{sessions:?}");
}
