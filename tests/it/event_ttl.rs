//! The time for which Zoom's events and join attempts are kept (`EVENT_TTL_DAYS`).

use jiff::{SignedDuration, Timestamp};
use local::sign::sign_event;
use serde_json::{Value, json};
use shared::config::names;
use shared::secret::Secret;

use crate::functions::DirectFunctions;
use crate::support::items;
use crate::world::World;
use crate::zoom_session::ScheduledSession;

/// An event of Zoom as the function URL delivers it.
const STARTED: &str = include_str!("../../events/webhook.meeting-started.json");

/// Returns the whole days for which each item is kept whose sort key has this prefix.
async fn days_kept(world: &World, prefix: &str) -> Vec<i64> {
    let of_prefix = |item: &Value| item["sk"].as_str().is_some_and(|sk| sk.starts_with(prefix));
    let dump = world.dump().await;
    let kept = items(&dump, "").into_iter().filter(of_prefix).map(|item| {
        let until = item["expires_at"].as_i64().expect("an expiry");
        (until - world.now().as_second()).div_euclid(86_400)
    });
    kept.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_and_join_attempts_expire_after_the_configured_days() {
    for (setting, days) in [("", 90), ("30", 30), ("365", 365)] {
        let world = World::start().await;
        let trainer = world.trainer().await;
        world.connect_zoom(&trainer, "app").await;
        let session = ScheduledSession::schedule_for_course(&world, &trainer).await;
        let functions = DirectFunctions::new(&world, &[(names::EVENT_TTL_DAYS, setting)]);
        let join = format!("{}/join", session.path);
        functions
            .call("join", "POST", &join, &trainer, None)
            .await
            .expect_problem(409, "too_early");
        let event = serde_json::from_str(STARTED).expect("an event");
        let secret = Secret::new(local::settings::WEBHOOK_SECRET);
        let event = sign_event(event, &secret, world.now()).expect("a body");
        functions.invoke("webhook", event, SignedDuration::from_secs(10)).await.expect(200);
        assert_eq!(days_kept(&world, "JOIN_ATTEMPT#").await, [days], "{setting}");
        assert_eq!(days_kept(&world, "EVENT#").await, [days], "{setting}");
        let timeline = format!("{}/timeline", session.path);
        let page = functions.call("sessions", "GET", &timeline, &trainer, None).await.expect(200);
        let since: Timestamp =
            page["complete_since"].as_str().expect("a time").parse().expect("a time");
        let expected = json!(world.now() - SignedDuration::from_hours(24 * days));
        assert_eq!(json!(since), expected, "{setting}");
    }
}
