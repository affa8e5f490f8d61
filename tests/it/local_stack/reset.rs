//! `POST /local/reset` returns to the state after the start.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::session_path;
use crate::world::{START, World, course_session_body};

/// Uses every part of the stack.
async fn use_stack(world: &World) -> Value {
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    let session = world.create(&trainer, &course_session_body(24)).await.expect(201);
    world.post("", "/local/clock", json!({"advance": "1h", "frozen": true})).await.expect(200);
    let fault = json!({"service": "zoom", "operation": "zak", "kind": "error"});
    world.post("", "/local/faults", fault).await.expect(200);
    assert!(!world.stack.aws.mailbox().list().expect("a list").is_empty());
    session
}

#[tokio::test(flavor = "multi_thread")]
async fn reset_returns_to_the_state_after_the_start() {
    let world = World::start().await;
    let before = world.dump().await;
    let session = use_stack(&world).await;
    let refused = world.post("", "/local/reset", json!({"tables": false})).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
    world.call(Method::POST, "/local/reset", "", None, &[]).await.expect(204);

    let get = async |path: &str| world.get("", path).await.expect(200);
    assert_eq!(get("/local/clock").await, json!({"now": START, "frozen": true}));
    let nothing = json!([]);
    for path in ["/local/mail", "/local/faults", "/zoom/sim/meetings", "/zoom/sim/webhooks"] {
        assert_eq!(get(path).await["items"], nothing, "{path}");
    }
    assert_eq!(get("/local/usage").await["functions"], json!({}));
    world.drop_pending_events().await;
    assert_eq!(world.dump().await, before);
    let trainer = world.trainer().await;
    let connection = world.get(&trainer, "/v1/zoom/connection").await.expect(200);
    assert_eq!(connection["status"], "not_connected");
    world.get(&trainer, &session_path(&session)).await.expect_problem(404, "not_found");
    // Everything works again, also with the numbers and names of before.
    use_stack(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_during_a_reset_wait_for_its_end() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let reset = async { world.post("", "/local/reset", json!({})).await.expect(204) };
    let read = async || {
        // The course is part of the starting data.
        let service = world.service().await;
        let path = "/v1/sessions?course_id=course-1";
        assert_eq!(world.get(&trainer, path).await.status, 200);
        assert_eq!(world.get(&service, "/v1/hosts").await.status, 200);
    };
    futures::join!(reset, read(), read(), read(), async {
        for _ in 0..3 {
            world.post("", "/local/clock", json!({"advance": "5m"})).await.expect(200);
        }
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reset_of_a_data_directory_is_stored() {
    let dir = tempfile::tempdir().expect("a directory");
    let world = World::start_in_dir(dir.path().to_owned()).await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    world.post("", "/local/clock", json!({"advance": "48h", "frozen": true})).await.expect(200);
    let moved = world.now();
    world.post("", "/local/reset", json!({})).await.expect(204);
    drop(world);
    let world = World::start_in_dir(dir.path().to_owned()).await;
    assert!(world.now() < moved);
    assert_eq!(world.get("", "/local/clock").await.expect(200)["frozen"], false);
    let connection = world.get(&world.trainer().await, "/v1/zoom/connection").await.expect(200);
    assert_eq!(connection["status"], "not_connected");
}
