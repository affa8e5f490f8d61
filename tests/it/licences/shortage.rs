//! No licence is free.

use futures::future::join_all;
use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::domain::platform_host::LicenceMode;
use shared::telemetry::metrics;

use super::{HostedTrainer, MINUTE, host_trainer, limit_at_zoom, world_with};
use crate::log::CapturedLog;
use crate::world::World;

const FORTY_MINUTES: &str = "forty_minutes";

fn licensed(world: &World, trainers: &[HostedTrainer]) -> usize {
    trainers.iter().filter(|trainer| world.is_licensed(trainer)).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn setting_decides_whether_a_class_starts_without_a_licence() {
    let (world, trainers) = world_with(1, 2).await;
    let (ada, eve) = (&trainers[0], &trainers[1]);
    let start = world.now();
    let first = world.schedule(ada, start, 20, 60).await;
    let long = world.schedule(eve, start, 21, 60).await;
    world.meeting_sweep().await;
    // Zoom has named the limit.
    assert_eq!(world.licences().await["limit"], 1);
    assert_eq!(world.warnings_of(eve, &long).await, json!([]), "there is still time");
    world.advance(MINUTE * 10);
    assert_eq!(world.warnings_of(eve, &long).await, json!([FORTY_MINUTES]));
    world.put_settings(json!({"licence_shortage": "refuse"})).await;
    world.click_start(ada, &first).await.expect(200);
    world.click_start(eve, &long).await.expect_problem(409, "no_licence");
    // The default.
    world.put_settings(json!({})).await;
    world.click_start(eve, &long).await.expect(200);
    world.meeting(&long, "start").await;
    assert_eq!(world.warnings_of(eve, &long).await, json!([FORTY_MINUTES]));
    assert_eq!(world.warnings_of(ada, &first).await, json!([]));

    // The first class is over early, so its licence may go to the other one.
    world.meeting(&first, "start").await;
    world.advance(MINUTE * 70);
    world.click_start(eve, &long).await.expect(200);
    assert!(world.is_licensed(ada), "the host is live after the end");
    world.meeting(&first, "end").await;
    world.advance(MINUTE * 16);
    world.click_start(eve, &long).await.expect(200);
    assert!(!world.is_licensed(ada) && world.is_licensed(eve));
    assert_eq!(world.live_downgrades(), 0);
    // Somebody buys more licences.
    limit_at_zoom(&world, 2);
    world.advance(MINUTE * 2);
    let again = world.schedule(ada, world.now(), 20, 60).await;
    world.meeting_sweep().await;
    world.click_start(ada, &again).await.expect_problem(409, "too_early");
    assert_eq!((licensed(&world, &trainers), &world.licences().await["limit"]), (2, &Value::Null));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sweeps_and_clicks_at_once_assign_no_more_than_the_setting() {
    let (world, trainers) = world_with(9, 5).await;
    let permanent = host_trainer(&world, "permanent", LicenceMode::Permanent).await;
    world.put_settings(json!({"licence_limit": 2, "licence_shortage": "refuse"})).await;
    let start = world.now();
    let mut sessions = Vec::new();
    for trainer in &trainers {
        sessions.push(world.schedule(trainer, start, 10, 60).await);
    }
    let clicks = trainers
        .iter()
        .zip(&sessions)
        .map(|(trainer, session)| world.click_start(trainer, session));
    let sweeps = (0..2).map(|_| world.stack.schedules.run("meeting-sweep"));
    let (clicks, _) = futures::join!(join_all(clicks), join_all(sweeps));
    let admitted = clicks.iter().filter(|response| response.status == 200).count();
    assert_eq!(licensed(&world, &trainers), 2);
    assert!(admitted <= 2, "{admitted}");
    for response in clicks.into_iter().filter(|response| response.status != 200) {
        response.expect_problem(409, "no_licence");
    }
    let licences = world.licences().await;
    assert_eq!((&licences["limit"], &licences["assigned"]), (&json!(2), &json!(2)));
    assert!(!world.is_licensed(&permanent));
    // The holders may start at any time.
    world.advance(MINUTE * 5);
    for (trainer, session) in trainers.iter().zip(&sessions) {
        let expected = if world.is_licensed(trainer) { 200 } else { 409 };
        assert_eq!(world.click_start(trainer, session).await.status.as_u16(), expected);
    }
}

/// Runs on one thread, so that the captured log is complete.
#[tokio::test]
async fn shortage_is_reported_a_day_ahead() {
    let (world, trainers) = world_with(9, 2).await;
    world.put_settings(json!({"licence_limit": 1})).await;
    let start = world.now();
    for trainer in &trainers {
        world.schedule(trainer, start, 27 * 60, 60).await;
    }
    let reported = |log: &CapturedLog| -> u64 {
        let name = metrics::LICENCE_SHORTAGE.name;
        log.lines().iter().filter_map(|line| line[name].as_u64()).sum()
    };
    let log = CapturedLog::start();
    world.meeting_sweep().await;
    assert_eq!(reported(&log), 0, "a day and more ahead");
    let forecast = world.licences().await["forecast"].clone();
    assert_eq!(forecast[1]["needed"], 2, "{forecast}");
    world.advance(SignedDuration::from_hours(3));
    world.meeting_sweep().await;
    assert_eq!(reported(&log), 1);
    assert!(log.text().contains("licence.shortage"));
    world.put_settings(json!({"licence_limit": 2})).await;
    world.meeting_sweep().await;
    assert_eq!(reported(&log), 1);
}
