//! Invitee lists of a session that was never stored.

use jiff::SignedDuration;
use local::calls::Service;
use local::faults::{Fault, FaultKind};
use serde_json::{Value, json};

use crate::support::{invitees, patched};
use crate::world::{World, session_body};

async fn stored_invitees(world: &World) -> usize {
    let items = world.items("SESSION#").await;
    let is_invitee =
        |item: &&Value| item["sk"].as_str().is_some_and(|key| key.starts_with("INVITEE#"));
    items.iter().filter(is_invitee).count()
}

fn body(invited: usize, patch: Value) -> Value {
    let list = json!({"audience_type": "invitees", "invitees": invitees(invited)});
    patched(patched(session_body(50), list), patch)
}

fn fail_transaction(world: &World, kind: FaultKind, times: u32) {
    let fault = Fault::new(Service::Dynamodb, "TransactWriteItems", kind);
    world.inject_fault(fault.for_function("session-save").times(times));
}

/// Sends a request. Its transaction fails three times, which exceeds the attempts of the SDK.
async fn fails_to_store(world: &World, trainer: &str, session: Option<&Value>, body: &Value) {
    fail_transaction(world, FaultKind::Error, 3);
    let response = match session {
        Some(session) => world.edit(trainer, session, body).await,
        None => world.create(trainer, body).await,
    };
    assert!(response.status.is_server_error(), "{}", response.text);
    world.stack.faults.clear();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invitee_list_of_a_session_that_was_not_stored_is_deleted() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let link = json!({"provider": "manual", "join_url": "https://meet.example.test/a"});

    fails_to_store(&world, &trainer, None, &body(100, link.clone())).await;
    assert_eq!(stored_invitees(&world).await, 100, "the list was written ahead");
    world.advance(SignedDuration::from_mins(5));
    world.sweep().await;
    assert_eq!(stored_invitees(&world).await, 0);

    let few = world.create(&trainer, &body(5, link.clone())).await.expect(201);
    fails_to_store(&world, &trainer, Some(&few), &body(100, link.clone())).await;
    world.advance(SignedDuration::from_mins(5));
    world.sweep().await;
    assert_eq!(stored_invitees(&world).await, 5);

    // The list of a stored session stays, also if the response to its transaction was lost.
    fail_transaction(&world, FaultKind::Lost, 1);
    let many = world.create(&trainer, &body(80, link)).await.expect(201);
    assert!(world.due_work("invitee_list_check").await.is_empty());
    world.advance(SignedDuration::from_mins(5));
    world.sweep().await;
    assert_eq!(stored_invitees(&world).await, 85);
    let path = crate::support::session_path(&many);
    let shown = world.get(&trainer, &path).await.expect(200);
    assert_eq!(shown["invitees"].as_array().map(Vec::len), Some(80));
}
