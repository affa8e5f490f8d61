//! How much may be scheduled: by the platform's settings and plans, and by Zoom.

use jiff::SignedDuration;
use local::calls::Service;
use local::faults::{Fault, Kind};
use serde_json::{Value, json};

use super::{nothing_came_of_it, pasted, ready, retry_after};
use crate::look::{invitees, with};
use crate::world::class;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_kill_switch_and_the_pilot_hold_from_the_next_request_on() {
    let (world, trainer) = ready().await;
    let made = world.create(&trainer, &class(26)).await.expect(201);
    let plans = json!({"pro": {}});
    for off in [
        json!({"live_classes_enabled": false, "plans": plans}),
        json!({"plans": plans, "pilot_trainer_ids": ["trainer-2"]}),
    ] {
        world.settings(off).await;
        world.create(&trainer, &class(26)).await.refused(403, "feature_disabled");
        world.create(&trainer, &pasted()).await.refused(403, "feature_disabled");
        world.edit(&trainer, &made, &class(30)).await.refused(403, "feature_disabled");
    }
    world.settings(json!({"plans": plans, "pilot_trainer_ids": ["trainer-1"]})).await;
    world.create(&trainer, &class(27)).await.expect(201);
    world.settings(json!({"live_classes_enabled": false, "plans": plans})).await;
    world.cancel(&trainer, &made).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_is_needed_where_there_are_plans_and_its_limits_hold() {
    let (world, trainer) = ready().await;
    for plan in [json!(null), json!("gold")] {
        world.user("trainer-1", json!({"plan": plan})).await;
        world.create(&trainer, &class(26)).await.refused(403, "plan_required");
    }
    world.user("trainer-1", json!({"plan": "free"})).await;
    for patch in [
        json!({"duration_minutes": 61}),
        json!({"record_session": true}),
        json!({"audience_type": "invitees", "invitees": invitees(21)}),
    ] {
        let body = with(class(26), patch.clone());
        let problem = world.create(&trainer, &body).await.refused(403, "plan_limit");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.len() > 10), "{patch}");
    }
    nothing_came_of_it(&world, &trainer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_month_holds_what_the_plan_says_and_a_class_that_leaves_it_gives_its_place_back() {
    let (world, trainer) = ready().await;
    world.settings(json!({"plans": {"pro": {"sessions_per_month": 2}}})).await;
    let (november, december) =
        (class(26), with(class(26), json!({"starts_at": "2026-12-10T09:00:00Z"})));
    let first = world.create(&trainer, &november).await.expect(201);
    let second = world.create(&trainer, &pasted()).await.expect(201);
    for body in [&november, &pasted()] {
        world.create(&trainer, body).await.refused(403, "plan_limit");
    }
    assert_eq!(world.meetings().len(), 1, "the refused ones have no meeting");
    world.create(&trainer, &december).await.expect(201);

    world.cancel(&trainer, &second).await.expect(200);
    world.cancel(&trainer, &second).await.expect(200);
    assert_eq!(world.month_count("trainer-1", "2026-11").await, 1, "given back once");
    let third = world.create(&trainer, &november).await.expect(201);

    // To December, which then is full, and the November place is free again.
    world.edit(&trainer, &third, &december).await.expect(200);
    assert_eq!(world.month_count("trainer-1", "2026-11").await, 1);
    assert_eq!(world.month_count("trainer-1", "2026-12").await, 2);
    let before = world.meeting_of(&first);
    world.edit(&trainer, &first, &december).await.refused(403, "plan_limit");
    assert_eq!(world.meeting_of(&first), before, "Zoom was not told of what is refused");
    assert_eq!(world.month_count("trainer-1", "2026-12").await, 2);

    // A plan of no classes at all holds none, also in a month of which nothing is counted yet.
    let fourth = world.create(&trainer, &pasted()).await.expect(201);
    world.settings(json!({"plans": {"pro": {"sessions_per_month": 0}}})).await;
    let january = json!({"starts_at": "2027-01-10T09:00:00Z"});
    for body in [with(class(26), january.clone()), with(pasted(), january.clone())] {
        world.create(&trainer, &body).await.refused(403, "plan_limit");
    }
    let moved = with(pasted(), january);
    world.edit(&trainer, &fourth, &moved).await.refused(403, "plan_limit");
    assert_eq!(world.month_count("trainer-1", "2027-01").await, 0);
    let renamed = with(pasted(), json!({"title": "Renamed"}));
    world.edit(&trainer, &fourth, &renamed).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_hundred_and_first_create_or_edit_of_a_day_waits_for_midnight_and_zoom_is_not_asked() {
    let (world, trainer) = ready().await;
    let made = world.create(&trainer, &class(200)).await.expect(201);
    let client = world.dynamodb();
    // Ninety-seven more are put down to the day's counter directly: only the edge is of interest.
    let counter = world.items("ZOOMDAY#").await.remove(0);
    assert_eq!(counter["count"], 1);
    let key = |name: &str| {
        aws_sdk_dynamodb::types::AttributeValue::S(counter[name].as_str().expect("text").to_owned())
    };
    let update =
        client.update_item().table_name("MainTable").key("pk", key("pk")).key("sk", key("sk"));
    let update = update.update_expression("SET #c = :c").expression_attribute_names("#c", "count");
    let count = aws_sdk_dynamodb::types::AttributeValue::N("98".to_owned());
    update.expression_attribute_values(":c", count).send().await.expect("counted");

    let edited = with(class(200), json!({"title": "Geometry"}));
    world.edit(&trainer, &made, &edited).await.expect(200);
    world.create(&trainer, &class(201)).await.expect(201);
    let meetings = world.stack.zoom.meetings();
    for answer in
        [world.create(&trainer, &class(202)).await, world.edit(&trainer, &made, &class(200)).await]
    {
        assert_eq!(retry_after(&answer), 15 * 3600, "it is nine in the morning");
        answer.refused(429, "zoom_rate_limited");
    }
    assert_eq!(world.stack.zoom.meetings(), meetings);
    assert_eq!(world.asked_of_zoom("session-save", "create_meeting"), 2);
    assert_eq!(world.month_count("trainer-1", "2026-11").await, 2, "no place was taken");
    world.create(&trainer, &pasted()).await.expect(201);
    // What Zoom does not know of may still be edited.
    let audience = with(edited, json!({"audience_type": "course", "course_id": "course-1"}));
    world.edit(&trainer, &made, &audience).await.expect(200);

    world.advance(SignedDuration::from_hours(15));
    world.create(&trainer, &class(202)).await.expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zooms_own_limits_are_passed_on_in_seconds() {
    let (world, trainer) = ready().await;
    let fault = |kind| Fault::new(Service::Zoom, "create_meeting", kind);
    let cases = [
        (Fault { retry_after_seconds: Some(7), ..fault(Kind::ThrottleSeconds) }, 7),
        (Fault { retry_after_seconds: Some(40), ..fault(Kind::ThrottleIso) }, 40),
        (fault(Kind::Throttle), 2),
        (fault(Kind::Daily), 15 * 3600),
    ];
    for (fault, seconds) in cases {
        world.fault(fault.clone());
        let answer = world.create(&trainer, &class(26)).await;
        assert_eq!(retry_after(&answer), seconds, "{fault:?}");
        answer.refused(429, "zoom_rate_limited");
    }
    nothing_came_of_it(&world, &trainer).await;
    assert_eq!(world.due("REPAIR").await, Vec::<Value>::new());
}
