//! What is counted for the alarms is counted when it happens.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::SignedDuration;
use local::calls::Service;
use local::faults::{Fault, Kind};
use serde_json::Value;
use shared::telemetry::metrics;

use crate::log::{DEPLOYMENT, Log};
use crate::world::{World, class};

/// A metric as CloudWatch would list it: its name, and the values of its dimensions beside the deployment.
type Counted = (String, Vec<(String, String)>);

/// The metrics of a log, each line being whole.
fn counted(log: &Log) -> BTreeSet<Counted> {
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
            let of = |name: &str| line[name].as_str().expect("each dimension has a value");
            let beside = dimensions.filter(|name| *name != metrics::DEPLOYMENT);
            (name, beside.map(|name| (name.to_owned(), of(name).to_owned())).collect())
        })
        .collect()
}

fn plain(metric: metrics::Metric) -> Counted {
    (metric.name.to_owned(), Vec::new())
}

/// The one metric that what follows counts.
#[track_caller]
fn only(log: &Log, expected: Counted) {
    assert_eq!(counted(log), BTreeSet::from([expected]));
}

/// On one thread, so that all of the log is read.
#[tokio::test]
async fn trouble_with_zoom_is_counted() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;

    let log = Log::start();
    world.zoom_fails("create_meeting", Kind::Throttle);
    world.create(&trainer, &class(26)).await.refused(429, "zoom_rate_limited");
    only(&log, plain(metrics::ZOOM_LIMITED));

    let log = Log::start();
    world.zoom_fails("create_meeting", Kind::Html);
    world.create(&trainer, &class(26)).await.refused(502, "zoom_unavailable");
    only(&log, plain(metrics::ZOOM_UNANSWERED));

    let log = Log::start();
    world.create(&trainer, &class(27)).await.expect(201);
    assert_eq!(counted(&log), BTreeSet::new(), "a good day is not counted");
    spend_the_day(&world, 90).await;
    world.create(&trainer, &class(28)).await.expect(201);
    only(&log, plain(metrics::ZOOM_DAY_NEAR));

    let log = Log::start();
    spend_the_day(&world, 100).await;
    world.create(&trainer, &class(29)).await.refused(429, "zoom_rate_limited");
    only(&log, plain(metrics::ZOOM_LIMITED));

    let log = Log::start();
    world.deauthorize_unheard("trainer@app.zoom.test").await;
    world.advance(SignedDuration::from_hours(1));
    world.create(&trainer, &class(30)).await.refused(409, "reauth_required");
    only(&log, plain(metrics::REAUTH_REQUIRED));
}

/// A repair waits for a grant that nobody gives any more.
#[tokio::test]
async fn work_that_is_given_up_is_counted() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    world.zoom_fails("create_meeting", Kind::Lost);
    world.fault(Fault::new(Service::Zoom, "list_meetings", Kind::Error).times(2));
    world.create(&trainer, &class(50)).await.refused(502, "zoom_unavailable");
    world.delete(&trainer, "/v1/zoom/connection").await.expect(204);
    world.sweep_later().await;
    let log = Log::start();
    // Once while it may yet be done, and once after the fortnight that it is tried for.
    for hours in [24 * 13, 26] {
        world.advance(SignedDuration::from_hours(hours));
        world.sweep().await;
    }
    let all = counted(&log);
    assert!(all.contains(&plain(metrics::GIVEN_UP)), "{all:?}");
}

/// Says that Zoom's day of the only trainer has so many writes.
async fn spend_the_day(world: &World, count: u32) {
    let day = world.items("ZOOMDAY#").await.remove(0);
    let key = |name: &str| AttributeValue::S(day[name].as_str().expect("text").to_owned());
    let update = world.dynamodb().update_item().table_name("MainTable");
    let update = update.key("pk", key("pk")).key("sk", key("sk"));
    let update = update.update_expression("SET #c = :c").expression_attribute_names("#c", "count");
    let count = AttributeValue::N(count.to_string());
    update.expression_attribute_values(":c", count).send().await.expect("counted");
}

#[tokio::test]
async fn a_sweep_that_ended_is_counted_by_its_name() {
    let world = World::start().await;
    for function in shared::handlers::SCHEDULES.iter().map(|schedule| schedule.function) {
        let log = Log::start();
        let _: Value = world.stack.schedules.run(function).await.expect("the sweep ends");
        let by = metrics::SWEPT.by.expect("a dimension").to_owned();
        only(&log, (metrics::SWEPT.name.to_owned(), vec![(by, function.to_owned())]));
    }
}
