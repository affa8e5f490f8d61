//! Disconnecting a Zoom account, and failures of Zoom and the table.

use futures::future::join_all;
use jiff::SignedDuration;
use local::calls::Service::{Dynamodb, Secretsmanager, Zoom};
use local::faults::{Fault, FaultKind};

use super::{CONNECTION, fault, grants, status};
use crate::functions::{TOKENS_TABLE, items_with_prefix, table_items};
use crate::world::{World, session_body};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disconnecting_revokes_grant_and_is_idempotent() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let response = world.delete(&trainer, CONNECTION).await;
    assert_eq!(
        (response.status.as_u16(), response.text.as_str()),
        (204, ""),
        "there is no connection"
    );
    world.connect_zoom(&trainer, "app").await;
    world.post(&trainer, "/v1/sessions", session_body(26)).await.expect(201);
    for _ in 0..2 {
        let response = world.delete(&trainer, CONNECTION).await;
        assert_eq!((response.status.as_u16(), response.text.as_str()), (204, ""));
        assert!(
            !response.headers.contains_key("content-type"),
            "an empty response should have no content type"
        );
    }
    assert!(grants(&world).is_empty());
    // The class ahead needs this Zoom user, so that its address is kept to name it.
    let kept = table_items(&world, TOKENS_TABLE).await;
    assert_eq!(kept, items_with_prefix(&world, TOKENS_TABLE, "ZOOMHOST#").await);
    assert_eq!(kept.len(), 1);
    assert_eq!(world.stack.usage.calls("disconnect", Zoom, "revoke"), 1);
    assert_eq!(status(&world, &trainer).await, "not_connected");
    world
        .post(&trainer, "/v1/sessions", session_body(26))
        .await
        .expect_problem(409, "zoom_not_connected");
    // Concurrent requests are idempotent.
    world.connect_zoom(&trainer, "app").await;
    let all = join_all((0..12).map(|_| world.delete(&trainer, CONNECTION))).await;
    for response in all {
        response.expect(204);
    }
    assert_eq!(table_items(&world, TOKENS_TABLE).await, kept);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disconnecting_deletes_tokens_if_revocation_fails() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let all = [
        Fault::new(Zoom, "revoke", FaultKind::Error),
        Fault::new(Zoom, "revoke", FaultKind::Html),
        Fault::new(Zoom, "revoke", FaultKind::Half),
        Fault::new(Zoom, "revoke", FaultKind::Lost),
        Fault::new(Zoom, "revoke", FaultKind::Throttle),
        Fault::new(Zoom, "revoke", FaultKind::ThrottleIso),
        Fault::new(Zoom, "revoke", FaultKind::Unauthorized),
    ];
    for revoke_fault in all {
        let fault_name = format!("{revoke_fault:?}");
        world.connect_zoom(&trainer, "app").await;
        fault(&world, revoke_fault);
        let response = world.delete(&trainer, CONNECTION).await;
        assert_eq!(response.status, 204, "{fault_name}");
        assert_eq!(table_items(&world, TOKENS_TABLE).await, Vec::new(), "{fault_name}");
        assert!(world.stack.faults.list().is_empty(), "{fault_name} should have occurred");
    }
    // The grant was already revoked at Zoom.
    let connection = world.connect_zoom(&trainer, "app").await;
    world.deauthorize_without_event(connection["zoom_email"].as_str().expect("a URL")).await;
    world.delete(&trainer, CONNECTION).await.expect(204);
    assert_eq!(table_items(&world, TOKENS_TABLE).await, Vec::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn table_failure_while_disconnecting_is_retried_or_returns_503() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    for single_fault in [
        Fault::new(Dynamodb, "GetItem", FaultKind::Throttle).for_function("disconnect"),
        Fault::new(Dynamodb, "TransactWriteItems", FaultKind::Throttle).for_function("disconnect"),
        Fault::new(Dynamodb, "TransactWriteItems", FaultKind::Conflict)
            .for_function("disconnect")
            .times(2),
        Fault::new(Dynamodb, "TransactWriteItems", FaultKind::Lost).for_function("disconnect"),
        Fault::new(Secretsmanager, "GetSecretValue", FaultKind::Throttle)
            .for_function("disconnect"),
    ] {
        let fault_name = format!("{single_fault:?}");
        world.connect_zoom(&trainer, "app").await;
        world.advance(SignedDuration::from_mins(5));
        fault(&world, single_fault);
        assert_eq!(world.delete(&trainer, CONNECTION).await.status, 204, "{fault_name}");
        assert!(world.stack.faults.list().is_empty(), "{fault_name} should have occurred");
        assert_eq!(table_items(&world, TOKENS_TABLE).await, Vec::new(), "{fault_name}");
    }
    world.connect_zoom(&trainer, "app").await;
    fault(
        &world,
        Fault::new(Dynamodb, "TransactWriteItems", FaultKind::Conflict)
            .for_function("disconnect")
            .times(5),
    );
    world.delete(&trainer, CONNECTION).await.expect_problem(503, "unavailable");
    assert_eq!(
        items_with_prefix(&world, TOKENS_TABLE, "").await.len(),
        2,
        "both items should be left"
    );
    world.delete(&trainer, CONNECTION).await.expect(204);
    assert_eq!(table_items(&world, TOKENS_TABLE).await, Vec::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disconnecting_succeeds_if_revocation_times_out() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    fault(&world, Fault::new(Zoom, "revoke", FaultKind::Timeout));
    world.delete(&trainer, CONNECTION).await.expect(204);
    assert_eq!(table_items(&world, TOKENS_TABLE).await, Vec::new());
}
