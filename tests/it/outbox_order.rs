//! The domain events of one session are fanned out in the order of its versions, also if they are of one instant.

use jiff::SignedDuration;
use local::calls::Service;
use local::faults::{Fault, FaultKind};
use serde_json::{Value, json};

use crate::functions::DirectFunctions;
use crate::mail_relevance::calendar_entries;
use crate::outbox_faults::{AFTER_CLAIM, RUN_TIME};
use crate::support::{patched, session_path};
use crate::world::{World, course_session_body};

const STUDENT: &str = "student1@example.test";

fn fail(operation: &str) -> Fault {
    Fault::new(Service::Dynamodb, operation, FaultKind::Error).for_function("outbox-sweep")
}

/// A session that was scheduled, moved and resent in one instant. No wake-up arrived.
async fn changed_session() -> (World, String, Value) {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    let lost = Fault::new(Service::Sqs, "SendMessage", FaultKind::Error).times(100);
    world.inject_fault(lost);
    let session = world.create(&trainer, &course_session_body(50)).await.expect(201);
    let moved = patched(course_session_body(50), json!({"starts_at": "2026-11-25T09:00:00Z"}));
    world.edit(&trainer, &session, &moved).await.expect(200);
    let resend = format!("{}/resend-invite", session_path(&session));
    world.post(&trainer, &resend, json!({})).await.expect(202);
    world.stack.faults.clear();
    (world, trainer, session)
}

/// The sorted kinds of the mails to a student. The invitation shows the change, so no mail about the change is sent.
fn mail_kinds(world: &World) -> Vec<String> {
    let mut kinds: Vec<_> =
        calendar_entries(world, STUDENT).into_iter().map(|(kind, _)| kind).collect();
    kinds.sort();
    kinds
}

async fn pending_keys(world: &World) -> Vec<String> {
    let pending = world.due_work("OUTBOX").await.into_iter();
    let mut keys: Vec<_> =
        pending.map(|item| item["sk"].as_str().expect("a key").to_owned()).collect();
    keys.sort();
    keys
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_one_instant_are_stored_in_order_of_versions() {
    let (world, trainer, session) = changed_session().await;
    world.cancel(&trainer, &session).await.expect(200);
    let keys = pending_keys(&world).await;
    let kinds = ["#scheduled", "#updated", "#resend", "#cancelled"];
    assert_eq!(keys.len(), kinds.len(), "{keys:?}");
    for (key, kind) in keys.iter().zip(kinds) {
        assert!(key.ends_with(kind), "{kind}: {keys:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wake_up_of_a_later_event_fans_out_the_earlier_ones_first() {
    let (world, _, _) = changed_session().await;
    let keys = pending_keys(&world).await;
    // The sweep finds no event by itself, and only the wake-up of the second event arrives.
    let wake_up = json!({"type": "wake_up", "pk": "DUE#OUTBOX", "sk": keys[1]});
    world.put_message(&wake_up.to_string()).await;
    world.inject_fault(fail("Query").times(4));
    let direct = DirectFunctions::new(&world, &[]);
    direct.run_outbox_sweep(RUN_TIME).await.expect_err("the events could not be read");
    assert_eq!(pending_keys(&world).await, keys[2..], "both are fanned out");
    world.stack.faults.clear();
    world.advance(AFTER_CLAIM);
    world.run_outbox_sweep().await;
    assert_eq!(mail_kinds(&world), ["resent", "scheduled"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_after_a_failed_one_of_its_session_waits() {
    let (world, trainer, _) = changed_session().await;
    let other = world.create(&trainer, &course_session_body(60)).await.expect(201);
    let keys = pending_keys(&world).await;
    // The session of the first event cannot be read. The events of another session are not affected.
    world.inject_fault(fail("GetItem").times(4));
    let direct = DirectFunctions::new(&world, &[]);
    direct.run_outbox_sweep(RUN_TIME).await.expect_err("an event failed");
    world.stack.faults.clear();
    let other = other["id"].as_str().expect("an id");
    let failed_other = keys[0].contains(other);
    let expected = keys.iter().filter(|key| key.contains(other) == failed_other);
    assert_eq!(pending_keys(&world).await, expected.cloned().collect::<Vec<_>>());
    world.advance(AFTER_CLAIM);
    world.run_outbox_sweep().await;
    assert_eq!(mail_kinds(&world), ["resent", "scheduled", "scheduled"]);
    assert!(pending_keys(&world).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_that_fails_for_long_keeps_no_later_one_back() {
    let (world, _, _) = changed_session().await;
    world.advance(SignedDuration::from_mins(11));
    world.inject_fault(fail("GetItem").times(4));
    let direct = DirectFunctions::new(&world, &[]);
    direct.run_outbox_sweep(RUN_TIME).await.expect_err("an event failed");
    let left = pending_keys(&world).await;
    assert!(left.len() == 1 && left[0].ends_with("#scheduled"), "{left:?}");
}
