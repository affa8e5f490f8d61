//! Runs on demand and by schedule.

use jiff::SignedDuration;
use local::calls::Service::{Dynamodb, Zoom};
use local::faults::{Fault, FaultKind};
use serde_json::{Value, json};

use super::{MINUTE, connected_trainer, later_body};
use crate::support::patched;
use crate::world::World;

const RUNS: &str = "/v1/runs";

impl World {
    /// Requests a run of the kind `meetings`, and returns its path.
    async fn request_run(&self, scope: Value) -> String {
        let service = self.service().await;
        let body = patched(json!({"kind": "meetings"}), scope);
        let run = self.post(&service, RUNS, body).await.expect(202);
        format!("{RUNS}/{}", run["id"].as_str().expect("an id"))
    }

    async fn run(&self, path: &str) -> Value {
        let service = self.service().await;
        self.get(&service, path).await.expect(200)
    }

    /// Returns all runs, newest first.
    async fn runs(&self) -> Vec<Value> {
        let service = self.service().await;
        self.list_items(&service, RUNS).await
    }
}

fn counts(run: &Value) -> [u64; 5] {
    ["checked", "created", "updated", "skipped", "failed"]
        .map(|name| run[name].as_u64().expect("a number"))
}

#[tokio::test]
async fn run_makes_the_meetings_of_the_requested_days() {
    let (world, trainer) = connected_trainer().await;
    for days in [20, 30, 60] {
        world.create(&trainer, &later_body(days)).await.expect(201);
    }
    let path = world.request_run(json!({"days_ahead": 30})).await;
    let queued = world.run(&path).await;
    assert_eq!((&queued["state"], &queued["started_at"]), (&json!("queued"), &Value::Null));
    world.meeting_sweep().await;
    let finished = world.run(&path).await;
    assert_eq!(finished["state"], "finished", "{finished}");
    assert_eq!(counts(&finished), [2, 2, 0, 0, 0]);
    assert_eq!((&finished["trigger"], &finished["errors"]), (&json!("request"), &json!([])));
    assert_eq!(world.meetings().len(), 2);
    assert_eq!(world.items("DUE#RUNS").await.len(), 0);
    assert_eq!(world.items("DUE#MEETINGS").await.len(), 1);
    // The run again finds nothing to do, and the meetings that were made are due later.
    let again = world.request_run(json!({"days_ahead": 30})).await;
    world.meeting_sweep().await;
    assert_eq!(counts(&world.run(&again).await), [0; 5]);
    world.advance(SignedDuration::from_hours(24 * 24));
    world.meeting_sweep().await;
    assert_eq!(world.runs().await.len(), 2, "a run that finds nothing to do leaves no report");
}

#[tokio::test]
async fn scheduled_run_reports_its_work_and_its_errors() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let created = world.create(&trainer, &later_body(5)).await.expect(201);
    world.meeting_sweep().await;
    world.advance(MINUTE * 5);
    world.meeting_sweep().await;
    let runs = world.runs().await;
    assert_eq!(runs.len(), 1, "{runs:?}");
    assert_eq!((&runs[0]["trigger"], counts(&runs[0])), (&json!("schedule"), [1, 0, 0, 0, 1]));
    let error = json!([{"session_id": created["id"], "code": "zoom_not_connected"}]);
    assert_eq!(runs[0]["errors"], error);
    world.connect_zoom(&trainer, "app").await;
    world.advance(MINUTE * 12);
    world.meeting_sweep().await;
    let runs = world.runs().await;
    assert_eq!((runs.len(), counts(&runs[0])), (2, [1, 1, 0, 0, 0]), "newest first");

    // Pages.
    let service = world.service().await;
    let page = world.get(&service, "/v1/runs?kind=meetings&limit=1").await.expect(200);
    assert_eq!(page["items"][0], runs[0]);
    let cursor = page["next_cursor"].as_str().expect("a cursor");
    let next = format!("/v1/runs?kind=meetings&limit=1&cursor={cursor}");
    assert_eq!(world.get(&service, &next).await.expect(200)["items"][0], runs[1]);
    // They are readable for 90 days.
    world.advance(SignedDuration::from_hours(24 * 89));
    assert_eq!(world.runs().await.len(), 2);
    world.advance(SignedDuration::from_hours(24 * 2));
    assert_eq!(world.runs().await.len(), 0);
    let service = world.service().await;
    let path = format!("{RUNS}/{}", runs[0]["id"].as_str().expect("an id"));
    world.get(&service, &path).await.expect_problem(404, "not_found");
}

#[tokio::test]
async fn run_of_one_class_tries_a_refused_meeting_again() {
    let (world, trainer) = connected_trainer().await;
    let created = world.create(&trainer, &later_body(5)).await.expect(201);
    let refusal = Fault::new(Zoom, "create_meeting", FaultKind::Error);
    world.inject_fault(Fault { status: Some(400), ..refusal });
    assert_eq!(world.meeting_sweep().await["meetings_failed"], 1);
    let path = world.request_run(json!({"session_id": created["id"]})).await;
    world.meeting_sweep().await;
    assert_eq!(counts(&world.run(&path).await), [1, 1, 0, 0, 0]);
    assert_eq!(world.meeting_state(&created).await, "ready");
    // Before it is due.
    let later = world.create(&trainer, &later_body(50)).await.expect(201);
    let path = world.request_run(json!({"session_id": later["id"]})).await;
    world.meeting_sweep().await;
    assert_eq!(counts(&world.run(&path).await), [1, 1, 0, 0, 0]);
    let path = world.request_run(json!({"session_id": later["id"]})).await;
    world.meeting_sweep().await;
    assert_eq!(counts(&world.run(&path).await), [1, 0, 0, 1, 0], "it exists");
}

#[tokio::test]
async fn run_that_dies_is_continued_by_the_next_sweep() {
    for calls in 0..14 {
        let (world, trainer) = connected_trainer().await;
        for days in [20, 25, 30] {
            world.create(&trainer, &later_body(days)).await.expect(201);
        }
        let path = world.request_run(json!({"days_ahead": 40})).await;
        let crash = Fault::new(Dynamodb, "*", FaultKind::Error).for_function("meeting-sweep");
        world.inject_fault(crash.after(calls).times(100));
        let _ = world.stack.schedules.run("meeting-sweep").await;
        world.stack.faults.clear();
        for _ in 0..3 {
            world.advance(MINUTE * 5);
            world.meeting_sweep().await;
        }
        let run = world.run(&path).await;
        assert_eq!(run["state"], "finished", "{calls}: {run}");
        // A session that the run has left is made by a later one.
        let again = world.request_run(json!({"days_ahead": 40})).await;
        world.meeting_sweep().await;
        assert_eq!(world.run(&again).await["state"], "finished");
        assert_eq!(world.meetings().len(), 3, "{calls}: {run}");
    }
}

#[tokio::test]
async fn invalid_requests_are_refused() {
    let world = World::start().await;
    let (service, trainer) = (world.service().await, world.trainer().await);
    let unknown = "ses_aaaaaaaaaaaaaaaaaaaaaaaaaa";
    for body in [
        json!({}),
        json!({"kind": "meetings"}),
        json!({"kind": "planets", "days_ahead": 1}),
        json!({"kind": "meetings", "days_ahead": 0}),
        json!({"kind": "meetings", "days_ahead": 731}),
        json!({"kind": "meetings", "days_ahead": 1, "session_id": unknown}),
        json!({"kind": "meetings", "days_back": 1}),
    ] {
        world.post(&service, RUNS, body).await.expect_problem(422, "validation_failed");
    }
    let body = json!({"kind": "meetings", "session_id": unknown});
    world.post(&service, RUNS, body.clone()).await.expect_problem(404, "not_found");
    world.post(&trainer, RUNS, body).await.expect_problem(403, "forbidden");
    world.get(&trainer, RUNS).await.expect_problem(403, "forbidden");
    let run = "/v1/runs/run_aaaaaaaaaaaaaaaaaaaaaaaaaa";
    world.get(&service, run).await.expect_problem(404, "not_found");
    world.get(&service, "/v1/runs?kind=planets").await.expect_problem(422, "validation_failed");
}
