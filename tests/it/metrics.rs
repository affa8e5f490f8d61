//! The metrics behind the alarms.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::SignedDuration;
use local::calls::Service;
use local::faults::{Fault, FaultKind};
use serde_json::Value;
use shared::telemetry::metrics;

use crate::log::{CapturedLog, DEPLOYMENT};
use crate::world::{World, session_body};

/// A metric's name and the values of its dimensions other than the deployment.
type CountedMetric = (String, Vec<(String, String)>);

/// Returns the metrics in a log and checks the format of their lines.
fn counted(log: &CapturedLog) -> BTreeSet<CountedMetric> {
    let lines = log.lines().into_iter().filter(|line| line["_aws"].is_object());
    lines
        .map(|line| {
            let directive = &line["_aws"]["CloudWatchMetrics"][0];
            assert_eq!(directive["Namespace"], metrics::NAMESPACE);
            assert_eq!(line[metrics::DEPLOYMENT], DEPLOYMENT);
            let name = directive["Metrics"][0]["Name"].as_str().expect("a name").to_owned();
            assert!(line[&name].as_u64() > Some(0), "{line}");
            let dimensions = directive["Dimensions"][0].as_array().expect("a set");
            let dimensions = dimensions.iter().map(|name| name.as_str().expect("a name"));
            let value = |name: &str| line[name].as_str().expect("a value of the dimension");
            let others = dimensions.filter(|name| *name != metrics::DEPLOYMENT);
            (name, others.map(|name| (name.to_owned(), value(name).to_owned())).collect())
        })
        .collect()
}

fn without_dimensions(metric: metrics::Metric) -> CountedMetric {
    (metric.name.to_owned(), Vec::new())
}

/// Asserts that the log contains this metric and no other.
#[track_caller]
fn assert_only(log: &CapturedLog, expected: CountedMetric) {
    assert_eq!(counted(log), BTreeSet::from([expected]));
}

/// Runs on one thread, so that the captured log is complete.
#[tokio::test]
async fn zoom_failures_are_counted() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;

    let log = CapturedLog::start();
    world.inject_zoom_fault("create_meeting", FaultKind::Throttle);
    world.create(&trainer, &session_body(26)).await.expect_problem(429, "zoom_rate_limited");
    assert_only(&log, without_dimensions(metrics::ZOOM_LIMITED));

    let log = CapturedLog::start();
    world.inject_zoom_fault("create_meeting", FaultKind::Html);
    world.create(&trainer, &session_body(26)).await.expect_problem(502, "zoom_unavailable");
    assert_only(&log, without_dimensions(metrics::ZOOM_UNANSWERED));

    let log = CapturedLog::start();
    world.create(&trainer, &session_body(27)).await.expect(201);
    assert_eq!(counted(&log), BTreeSet::new(), "a successful request should not be counted");
    set_daily_zoom_writes(&world, 90).await;
    world.create(&trainer, &session_body(28)).await.expect(201);
    assert_only(&log, without_dimensions(metrics::ZOOM_DAILY_LIMIT_NEAR));

    let log = CapturedLog::start();
    set_daily_zoom_writes(&world, 100).await;
    world.create(&trainer, &session_body(29)).await.expect_problem(429, "zoom_rate_limited");
    assert_only(&log, without_dimensions(metrics::ZOOM_LIMITED));

    let log = CapturedLog::start();
    world.deauthorize_without_event("trainer@app.zoom.test").await;
    world.advance(SignedDuration::from_hours(1));
    world.create(&trainer, &session_body(30)).await.expect_problem(409, "reauth_required");
    assert_only(&log, without_dimensions(metrics::REAUTH_REQUIRED));
}

/// A repair is abandoned because the trainer never reconnects.
#[tokio::test]
async fn abandoned_work_is_counted() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    world.inject_zoom_fault("create_meeting", FaultKind::Lost);
    world.inject_fault(Fault::new(Service::Zoom, "list_meetings", FaultKind::Error).times(2));
    world.create(&trainer, &session_body(50)).await.expect_problem(502, "zoom_unavailable");
    world.delete(&trainer, "/v1/zoom/connection").await.expect(204);
    world.advance_and_sweep().await;
    let log = CapturedLog::start();
    // One sweep within the 14 days of attempts, and one after them.
    for hours in [24 * 13, 26] {
        world.advance(SignedDuration::from_hours(hours));
        world.sweep().await;
    }
    let counted_metrics = counted(&log);
    assert!(
        counted_metrics.contains(&without_dimensions(metrics::GIVEN_UP)),
        "{counted_metrics:?}"
    );
}

/// Sets the number of the trainer's daily write requests to Zoom.
async fn set_daily_zoom_writes(world: &World, count: u32) {
    let day = world.items("ZOOMDAY#").await.remove(0);
    let key = |name: &str| AttributeValue::S(day[name].as_str().expect("text").to_owned());
    let update = world.dynamodb().update_item().table_name("MainTable");
    let update = update.key("pk", key("pk")).key("sk", key("sk"));
    let update = update.update_expression("SET #c = :c").expression_attribute_names("#c", "count");
    let count = AttributeValue::N(count.to_string());
    update.expression_attribute_values(":c", count).send().await.expect("an updated count");
}

#[tokio::test]
async fn finished_sweep_is_counted_by_function() {
    let world = World::start().await;
    for function in shared::handlers::SCHEDULES.iter().map(|schedule| schedule.function) {
        let log = CapturedLog::start();
        let _: Value = world.stack.schedules.run(function).await.expect("a report of the sweep");
        let dimension = metrics::SWEPT.by.expect("a dimension").to_owned();
        assert_only(&log, (metrics::SWEPT.name.to_owned(), vec![(dimension, function.to_owned())]));
    }
}
