//! A stack that keeps its state: what was answered is there again, however the process ended.

use std::path::Path;

use jiff::SignedDuration;
use serde_json::json;

use crate::look::{path_of, with};
use crate::world::{World, class};

/// Starts in a directory; what ran there before has ended without a word.
async fn started(dir: &Path) -> World {
    World::start_in(dir.to_owned()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_zoom_answered_it_still_knows_after_the_stack_was_killed() {
    let dir = tempfile::tempdir().expect("a directory");
    let world = started(dir.path()).await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    drop(world);
    // The grant is known, and so are the meeting and the time.
    let world = started(dir.path()).await;
    let trainer = world.trainer().await;
    let starts_at = world.now() + SignedDuration::from_hours(50);
    let body = with(class(50), json!({"starts_at": starts_at}));
    let made = world.create(&trainer, &body).await.expect(201);
    world.post("", "/local/clock", json!({"advance": "2h"})).await.expect(200);
    let now = world.now();
    drop(world);
    let world = started(dir.path()).await;
    assert!(world.now() >= now);
    let trainer = world.trainer().await;
    assert_eq!(world.meeting_of(&made)["status"], "waiting");
    world.get(&trainer, &path_of(&made)).await.expect(200);
    world.cancel(&trainer, &made).await.expect(200);
    drop(world);
    let world = started(dir.path()).await;
    assert_eq!(world.meetings(), Vec::<serde_json::Value>::new());
    let state = world.get(&world.trainer().await, "/v1/zoom/connection").await.expect(200);
    assert_eq!(state["status"], "connected");
}

/// Its starting data is told with a token, which would not bear it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_moves_the_clock_while_the_stack_starts_waits_until_it_has() {
    for _ in 0..5 {
        let port = {
            let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
            free.local_addr().expect("an address").port()
        };
        let http = shared::net::http_client("live-classes/tests").expect("a client");
        let clock = format!("http://localhost:{port}/local/clock");
        let moved = async {
            loop {
                let answer = http.post(&clock).body(r#"{"advance": "2400h"}"#).send().await;
                if let Ok(answer) = answer {
                    return answer.status().as_u16();
                }
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        };
        let (world, status) = futures::join!(World::start_on(port), moved);
        assert_eq!(status, 200);
        let start: jiff::Timestamp = crate::world::START.parse().expect("a time");
        assert_eq!(world.now(), start + SignedDuration::from_hours(2400));
        let student = world.student(1).await;
        world.get(&student, "/v1/me/sessions").await.expect(200);
    }
}
