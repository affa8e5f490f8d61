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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_stacks_cannot_use_one_directory() {
    let dir = tempfile::tempdir().expect("a directory");
    let world = start_in(dir.path()).await;
    let second = World::try_start_in_dir(dir.path().to_owned()).await;
    let error = second.map(drop).expect_err("a locked directory").to_string();
    assert!(error.contains("another stack uses the data directory"), "{error}");
    drop(world);
    start_in(dir.path()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unreadable_state_file_is_refused_by_its_name() {
    let dir = tempfile::tempdir().expect("a directory");
    drop(start_in(dir.path()).await);
    for (name, content) in [
        ("zoom.json", r#"{"version": 1, "state": {"meetings": 5}}"#),
        ("zoom.json", r#"{"version": 2, "state": {}}"#),
        ("clock.json", ""),
        ("secrets.json", r#"{"version": 1}"#),
        ("mail.sqlite", "no database, only a text"),
        ("dynamodb.sqlite", "no database, only a text"),
    ] {
        let file = dir.path().join(name);
        let stored = std::fs::read(&file).expect("a state file");
        std::fs::write(&file, content).expect("a changed file");
        let refused = World::try_start_in_dir(dir.path().to_owned()).await;
        let error = refused.map(drop).expect_err("an unreadable file").to_string();
        assert!(error.starts_with(&file.display().to_string()), "{error}");
        std::fs::write(&file, stored).expect("a restored file");
    }
    start_in(dir.path()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_stack_writes_nothing_and_delivered_events_are_not_stored() {
    let dir = tempfile::tempdir().expect("a directory");
    let world = start_in(dir.path()).await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    let starts_at = world.now() + SignedDuration::from_hours(50);
    let body = patched(session_body(50), json!({"starts_at": starts_at}));
    let session = world.create(&trainer, &body).await.expect(201);
    let meeting = session["meeting"]["id"].as_str().expect("an id");
    let start = format!("/zoom/sim/meetings/{meeting}/start");
    world.post("", &start, json!({})).await.expect(200);
    world.stack.zoom.deliver_due().await;
    world.stack.save().expect("a saved state");
    let stored = || std::fs::read_to_string(dir.path().join("zoom.json")).expect("a state file");
    assert!(stored().contains("Algebra I") && !stored().contains("meeting.started"));
    // A write would replace the removed file.
    std::fs::remove_file(dir.path().join("zoom.json")).expect("a file");
    for path in ["/zoom/sim/meetings", "/zoom/sim/users", "/zoom/sim/knobs", "/zoom/sim/webhooks"] {
        world.get("", path).await.expect(200);
        world.stack.zoom.deliver_due().await;
        world.stack.save().expect("nothing to save");
        assert!(!dir.path().join("zoom.json").exists(), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn response_names_the_file_that_cannot_be_written() {
    let dir = tempfile::tempdir().expect("a directory");
    let world = start_in(dir.path()).await;
    // Nobody can write to a directory, like to a full disk.
    let obstacle = dir.path().join("zoom.json.new");
    std::fs::create_dir(&obstacle).expect("a directory");
    let body = json!({"email": "ada@example.test"});
    let refused = world.post("", "/zoom/sim/users", body).await.expect(507);
    let error = refused["error"].as_str().expect("an error");
    assert!(error.contains("zoom.json cannot be written: "), "{error}");
    let refused = world.post("", "/local/clock", json!({"advance": "1h"})).await;
    assert_eq!(refused.status, 507, "{}", refused.text);
    // The next write contains everything.
    std::fs::remove_dir(&obstacle).expect("a removed directory");
    world.post("", "/local/clock", json!({"advance": "1h"})).await.expect(200);
    drop(world);
    let world = start_in(dir.path()).await;
    assert!(world.stack.zoom.users().iter().any(|user| user["email"] == "ada@example.test"));
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
