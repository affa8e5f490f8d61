//! Taking a connection back, whatever Zoom and the table say.

use futures::future::join_all;
use jiff::SignedDuration;
use local::calls::Service::{Dynamodb, Secretsmanager, Zoom};
use local::faults::{Fault, Kind};

use super::{CONNECTION, fault, grants, status};
use crate::direct::{TOKENS_TABLE, dump, items};
use crate::world::{World, class};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disconnecting_ends_the_grant_at_zoom_and_here_and_is_repeatable() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let answer = world.delete(&trainer, CONNECTION).await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (204, ""), "there is none");
    world.connect_zoom(&trainer, "app").await;
    world.post(&trainer, "/v1/sessions", class(26)).await.expect(201);
    for _ in 0..2 {
        let answer = world.delete(&trainer, CONNECTION).await;
        assert_eq!((answer.status.as_u16(), answer.text.as_str()), (204, ""));
        assert!(!answer.headers.contains_key("content-type"), "there is no content");
    }
    assert!(grants(&world).is_empty());
    assert_eq!(dump(&world, TOKENS_TABLE).await, Vec::new());
    assert_eq!(world.stack.usage.calls("disconnect", Zoom, "revoke"), 1);
    assert_eq!(status(&world, &trainer).await, "not_connected");
    world.post(&trainer, "/v1/sessions", class(26)).await.refused(409, "zoom_not_connected");
    // Twelve at once are as good as one.
    world.connect_zoom(&trainer, "app").await;
    let all = join_all((0..12).map(|_| world.delete(&trainer, CONNECTION))).await;
    for answer in all {
        answer.expect(204);
    }
    assert_eq!(dump(&world, TOKENS_TABLE).await, Vec::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disconnecting_forgets_the_tokens_whatever_zoom_says() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let all = [
        Fault::new(Zoom, "revoke", Kind::Error),
        Fault::new(Zoom, "revoke", Kind::Html),
        Fault::new(Zoom, "revoke", Kind::Half),
        Fault::new(Zoom, "revoke", Kind::Lost),
        Fault::new(Zoom, "revoke", Kind::Throttle),
        Fault::new(Zoom, "revoke", Kind::ThrottleIso),
        Fault::new(Zoom, "revoke", Kind::Unauthorized),
    ];
    for fails in all {
        let what = format!("{fails:?}");
        world.connect_zoom(&trainer, "app").await;
        fault(&world, fails);
        let answer = world.delete(&trainer, CONNECTION).await;
        assert_eq!(answer.status, 204, "{what}");
        assert_eq!(dump(&world, TOKENS_TABLE).await, Vec::new(), "{what}");
        assert!(world.stack.faults.list().is_empty(), "{what} was met");
    }
    // Already gone at Zoom.
    let connection = world.connect_zoom(&trainer, "app").await;
    world.deauthorize_unheard(connection["zoom_email"].as_str().expect("an address")).await;
    world.delete(&trainer, CONNECTION).await.expect(204);
    assert_eq!(dump(&world, TOKENS_TABLE).await, Vec::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_stumbles_while_disconnecting_is_tried_again_or_leaves_it_to_the_trainer() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    for stumble in [
        Fault::new(Dynamodb, "GetItem", Kind::Throttle).by("disconnect"),
        Fault::new(Dynamodb, "TransactWriteItems", Kind::Throttle).by("disconnect"),
        Fault::new(Dynamodb, "TransactWriteItems", Kind::Conflict).by("disconnect").times(2),
        Fault::new(Dynamodb, "TransactWriteItems", Kind::Lost).by("disconnect"),
        Fault::new(Secretsmanager, "GetSecretValue", Kind::Throttle).by("disconnect"),
    ] {
        let what = format!("{stumble:?}");
        world.connect_zoom(&trainer, "app").await;
        world.advance(SignedDuration::from_mins(5));
        fault(&world, stumble);
        assert_eq!(world.delete(&trainer, CONNECTION).await.status, 204, "{what}");
        assert!(world.stack.faults.list().is_empty(), "{what} was met");
        assert_eq!(dump(&world, TOKENS_TABLE).await, Vec::new(), "{what}");
    }
    world.connect_zoom(&trainer, "app").await;
    fault(
        &world,
        Fault::new(Dynamodb, "TransactWriteItems", Kind::Conflict).by("disconnect").times(5),
    );
    world.delete(&trainer, CONNECTION).await.refused(503, "unavailable");
    assert_eq!(items(&world, TOKENS_TABLE, "").await.len(), 2, "both items or none");
    world.delete(&trainer, CONNECTION).await.expect(204);
    assert_eq!(dump(&world, TOKENS_TABLE).await, Vec::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disconnecting_does_not_wait_for_a_zoom_that_hangs_longer_than_a_function_may() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    fault(&world, Fault::new(Zoom, "revoke", Kind::Timeout));
    world.delete(&trainer, CONNECTION).await.expect(204);
    assert_eq!(dump(&world, TOKENS_TABLE).await, Vec::new());
}
