//! A stack with a data directory restores its state after an abrupt end.

use std::path::Path;

use jiff::SignedDuration;
use serde_json::json;

use crate::support::{patched, session_path};
use crate::world::{World, session_body};

/// Starts a stack in a directory. The previous one was dropped without a shutdown.
async fn start_in(dir: &Path) -> World {
    World::start_in_dir(dir.to_owned()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zoom_state_survives_killed_stack() {
    let dir = tempfile::tempdir().expect("a directory");
    let world = start_in(dir.path()).await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    drop(world);
    // The grant, the meeting and the time are restored.
    let world = start_in(dir.path()).await;
    let trainer = world.trainer().await;
    let starts_at = world.now() + SignedDuration::from_hours(50);
    let body = patched(session_body(50), json!({"starts_at": starts_at}));
    let session = world.create(&trainer, &body).await.expect(201);
    world.post("", "/local/clock", json!({"advance": "2h"})).await.expect(200);
    let now = world.now();
    drop(world);
    let world = start_in(dir.path()).await;
    assert!(world.now() >= now);
    let trainer = world.trainer().await;
    assert_eq!(world.meeting_of(&session)["status"], "waiting");
    world.get(&trainer, &session_path(&session)).await.expect(200);
    world.cancel(&trainer, &session).await.expect(200);
    drop(world);
    let world = start_in(dir.path()).await;
    assert_eq!(world.meetings(), Vec::<serde_json::Value>::new());
    let state = world.get(&world.trainer().await, "/v1/zoom/connection").await.expect(200);
    assert_eq!(state["status"], "connected");
}

/// The seed data is loaded with a token that expires when the clock is moved this far.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clock_change_during_start_waits_for_seed_data() {
    for _ in 0..5 {
        let port = {
            let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
            free.local_addr().expect("an address").port()
        };
        let http = shared::net::http_client("live-classes/tests").expect("an HTTP client");
        let clock = format!("http://localhost:{port}/local/clock");
        let clock_change = async {
            loop {
                let response = http.post(&clock).body(r#"{"advance": "2400h"}"#).send().await;
                if let Ok(response) = response {
                    return response.status().as_u16();
                }
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        };
        let (world, status) = futures::join!(World::start_on_port(port), clock_change);
        assert_eq!(status, 200);
        let start: jiff::Timestamp = crate::world::START.parse().expect("a time");
        assert_eq!(world.now(), start + SignedDuration::from_hours(2400));
        let student = world.student(1).await;
        world.get(&student, "/v1/me/sessions").await.expect(200);
    }
}
