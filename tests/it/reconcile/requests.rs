//! The requests and units of the sweep, and runs on demand.

use local::calls::Service::Zoom;

use super::*;
use crate::usage::{check_budgets, take_cost};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_of_the_sweep_stay_within_budget() {
    let held = HeldSession::hold(Some("*")).await;
    let sweep = "reconcile-sweep";
    let mut costs = Vec::new();
    // The first run also opens the function's connections and reads the secret.
    held.sweep_at(5).await;
    held.world.stack.usage.reset();
    held.sweep_at(10).await;
    costs.push(take_cost(&held.world, "reconcile sweep with nothing due", sweep));
    held.sweep_at(31).await;
    costs.push(take_cost(&held.world, "reconcile sweep, two new files", sweep));
    held.sweep_at(91).await;
    costs.push(take_cost(&held.world, "reconcile sweep, nothing new", sweep));
    held.world.post(&held.trainer, &format!("{}/sync", held.path()), json!({})).await.expect(200);
    costs.push(take_cost(&held.world, "comparison on demand, fresh", "session-save"));
    let recordings = held.recordings(&held.student).await;
    let id = recordings["items"][0]["id"].as_str().expect("an id");
    held.world.stack.usage.reset();
    held.world
        .post(&held.student, &format!("{}/{id}/view", held.path()), json!({}))
        .await
        .expect(204);
    costs.push(take_cost(&held.world, "click to watch", "session-save"));
    let budgets = [
        (2, 1.0, 0.0, 0, 0),
        // With the start, the end and the participants of the class.
        (18, 9.0, 38.0, 2, 4),
        (16, 8.0, 12.0, 0, 4),
        (2, 4.0, 0.0, 0, 0),
        (5, 6.0, 4.0, 0, 0),
    ];
    check_budgets(&costs, &budgets);
}

async fn finished_run(held: &HeldSession, body: Value) -> Value {
    let service = held.world.service().await;
    let run = held.world.post(&service, "/v1/runs", body).await.expect(202);
    held.world.reconcile_sweep().await;
    let path = format!("/v1/runs/{}", run["id"].as_str().expect("an id"));
    held.world.get(&service, &path).await.expect(200)
}

fn counts(run: &Value) -> [u64; 5] {
    ["checked", "created", "updated", "skipped", "failed"]
        .map(|name| run[name].as_u64().expect("a number"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requested_run_compares_the_classes_of_its_days() {
    let held = HeldSession::hold(Some("*")).await;
    // Before the first look is due.
    held.advance_to(LENGTH + 10).await;
    let run = finished_run(&held, json!({"kind": "recordings", "days_back": 1})).await;
    assert_eq!((&run["state"], &run["days_back"]), (&json!("finished"), &json!(1)), "{run}");
    assert_eq!(counts(&run), [1, 1, 0, 0, 0]);
    assert_eq!(held.states().await.len(), 2);
    let again = finished_run(&held, json!({"kind": "recordings", "days_back": 1})).await;
    assert_eq!(counts(&again), [1, 0, 0, 1, 0], "they are fresh");
    // Two weeks later, when the hourly comparisons are over.
    held.sweep_at(14 * 24 * 60).await;
    let recent = finished_run(&held, json!({"kind": "recordings", "days_back": 13})).await;
    assert_eq!(counts(&recent), [0; 5]);
    let run = finished_run(&held, json!({"kind": "recordings", "days_back": 15})).await;
    assert!(counts(&run) == [1, 0, 0, 0, 0] || counts(&run) == [1, 0, 0, 1, 0], "{run}");
    let id = held.session.path.rsplit('/').next().expect("an id");
    held.world.advance(MINUTE * 31);
    let run = finished_run(&held, json!({"kind": "recordings", "session_id": id})).await;
    assert_eq!(counts(&run), [1, 0, 0, 0, 0]);
    assert_eq!(held.world.items("DUE#RECONCILERUNS").await.len(), 0);
    assert_eq!(held.world.items("DUE#RUNS").await.len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_sweep_leaves_no_report() {
    let held = HeldSession::hold(Some("*")).await;
    held.sweep_at(10).await;
    let service = held.world.service().await;
    let runs = async || held.world.list_items(&service, "/v1/runs?kind=recordings").await;
    assert_eq!(runs().await, [] as [Value; 0]);
    held.world.inject_fault(Fault::new(Zoom, "recordings", FaultKind::Error).times(2));
    held.sweep_at(31).await;
    held.sweep_at(46).await;
    let found = runs().await;
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!((counts(&found[0]), counts(&found[1])), ([1, 1, 0, 0, 0], [1, 0, 0, 0, 1]));
    assert_eq!(found[1]["errors"][0]["code"], "unavailable");
}
