//! Limits on scheduling: the platform's settings and plans, and Zoom's limits.

use jiff::SignedDuration;
use local::calls::Service;
use local::faults::{Fault, FaultKind};
use serde_json::{Value, json};

use super::{assert_nothing_created, connected_trainer, manual_session_body, retry_after};
use crate::support::{invitees, patched};
use crate::world::session_body;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_switch_and_pilot_apply_from_the_next_request() {
    let (world, trainer) = connected_trainer().await;
    let made = world.create(&trainer, &session_body(26)).await.expect(201);
    let plans = json!({"pro": {}});
    for settings in [
        json!({"live_classes_enabled": false, "plans": plans}),
        json!({"plans": plans, "pilot_trainer_ids": ["trainer-2"]}),
    ] {
        world.put_settings(settings).await;
        world.create(&trainer, &session_body(26)).await.expect_problem(403, "feature_disabled");
        world
            .create(&trainer, &manual_session_body())
            .await
            .expect_problem(403, "feature_disabled");
        world
            .edit(&trainer, &made, &session_body(30))
            .await
            .expect_problem(403, "feature_disabled");
    }
    world.put_settings(json!({"plans": plans, "pilot_trainer_ids": ["trainer-1"]})).await;
    world.create(&trainer, &session_body(27)).await.expect(201);
    world.put_settings(json!({"live_classes_enabled": false, "plans": plans})).await;
    world.cancel(&trainer, &made).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plan_is_required_and_its_limits_are_enforced() {
    let (world, trainer) = connected_trainer().await;
    let settings = world.items("SETTINGS").await[0]["settings"].clone();
    for plan in [json!(null), json!("gold")] {
        // The platform may withdraw a plan that a trainer has.
        world.put_settings(json!({"plans": {"gold": {}}})).await;
        world.put_user("trainer-1", json!({"plan": plan})).await;
        world.put_settings(settings.clone()).await;
        world.create(&trainer, &session_body(26)).await.expect_problem(403, "plan_required");
    }
    // The directory has no plan for a trainer that it does not have.
    let stranger = world.token(json!({"sub": "trainer-99", "role": "trainer"})).await;
    let refused = world.create(&stranger, &session_body(26)).await.expect_problem(403, "forbidden");
    assert_eq!(refused["title"], "Unknown trainer");
    let body = patched(session_body(26), json!({"trainer_id": "trainer-99"}));
    let refused = world.create(&world.service().await, &body).await;
    let refused = refused.expect_problem(422, "validation_failed");
    assert_eq!(refused["errors"][0]["field"], "trainer_id");
    world.put_user("trainer-1", json!({"plan": "free"})).await;
    for patch in [
        json!({"duration_minutes": 61}),
        json!({"record_session": true}),
        json!({"audience_type": "invitees", "invitees": invitees(21)}),
    ] {
        let body = patched(session_body(26), patch.clone());
        let problem = world.create(&trainer, &body).await.expect_problem(403, "plan_limit");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.len() > 10), "{patch}");
    }
    assert_nothing_created(&world, &trainer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn monthly_quota_is_enforced_and_released_by_move_or_cancellation() {
    let (world, trainer) = connected_trainer().await;
    world.put_settings(json!({"plans": {"pro": {"sessions_per_month": 2}}})).await;
    let (november, december) =
        (session_body(26), patched(session_body(26), json!({"starts_at": "2026-12-10T09:00:00Z"})));
    let first = world.create(&trainer, &november).await.expect(201);
    let second = world.create(&trainer, &manual_session_body()).await.expect(201);
    for body in [&november, &manual_session_body()] {
        world.create(&trainer, body).await.expect_problem(403, "plan_limit");
    }
    assert_eq!(world.meetings().len(), 1, "rejected requests create no meeting");
    world.create(&trainer, &december).await.expect(201);

    world.cancel(&trainer, &second).await.expect(200);
    world.cancel(&trainer, &second).await.expect(200);
    assert_eq!(world.monthly_session_count("trainer-1", "2026-11").await, 1, "released once");
    let third = world.create(&trainer, &november).await.expect(201);

    // Moved to December, which is then full. The quota of November is released.
    world.edit(&trainer, &third, &december).await.expect(200);
    assert_eq!(world.monthly_session_count("trainer-1", "2026-11").await, 1);
    assert_eq!(world.monthly_session_count("trainer-1", "2026-12").await, 2);
    let before = world.meeting_of(&first);
    world.edit(&trainer, &first, &december).await.expect_problem(403, "plan_limit");
    assert_eq!(world.meeting_of(&first), before, "Zoom is not called for a rejected edit");
    assert_eq!(world.monthly_session_count("trainer-1", "2026-12").await, 2);

    // A plan with a quota of zero rejects every session, also in a month without a counter.
    let fourth = world.create(&trainer, &manual_session_body()).await.expect(201);
    world.put_settings(json!({"plans": {"pro": {"sessions_per_month": 0}}})).await;
    let january = json!({"starts_at": "2027-01-10T09:00:00Z"});
    for body in [
        patched(session_body(26), january.clone()),
        patched(manual_session_body(), january.clone()),
    ] {
        world.create(&trainer, &body).await.expect_problem(403, "plan_limit");
    }
    let moved = patched(manual_session_body(), january);
    world.edit(&trainer, &fourth, &moved).await.expect_problem(403, "plan_limit");
    assert_eq!(world.monthly_session_count("trainer-1", "2027-01").await, 0);
    let renamed = patched(manual_session_body(), json!({"title": "Renamed"}));
    world.edit(&trainer, &fourth, &renamed).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn request_over_the_daily_zoom_limit_is_rejected_without_calling_zoom() {
    let (world, trainer) = connected_trainer().await;
    let made = world.create(&trainer, &session_body(200)).await.expect(201);
    let client = world.dynamodb();
    // Sets the day's counter to 98 directly, because only the limit matters.
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

    let edited = patched(session_body(200), json!({"title": "Geometry"}));
    world.edit(&trainer, &made, &edited).await.expect(200);
    world.create(&trainer, &session_body(201)).await.expect(201);
    let meetings = world.stack.zoom.meetings();
    for response in [
        world.create(&trainer, &session_body(202)).await,
        world.edit(&trainer, &made, &session_body(200)).await,
    ] {
        assert_eq!(retry_after(&response), 15 * 3600, "the day ends in 15 hours");
        response.expect_problem(429, "zoom_rate_limited");
    }
    assert_eq!(world.stack.zoom.meetings(), meetings);
    assert_eq!(world.zoom_calls("session-save", "create_meeting"), 2);
    assert_eq!(world.monthly_session_count("trainer-1", "2026-11").await, 2, "no quota was used");
    world.create(&trainer, &manual_session_body()).await.expect(201);
    // Fields that Zoom does not store may still be edited.
    let audience = patched(edited, json!({"audience_type": "course", "course_id": "course-1"}));
    world.edit(&trainer, &made, &audience).await.expect(200);

    world.advance(SignedDuration::from_hours(15));
    world.create(&trainer, &session_body(202)).await.expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zoom_rate_limit_is_returned_as_retry_after_seconds() {
    let (world, trainer) = connected_trainer().await;
    let fault = |kind| Fault::new(Service::Zoom, "create_meeting", kind);
    let cases = [
        (Fault { retry_after_seconds: Some(7), ..fault(FaultKind::ThrottleSeconds) }, 7),
        (Fault { retry_after_seconds: Some(40), ..fault(FaultKind::ThrottleIso) }, 40),
        (fault(FaultKind::Throttle), 2),
        (fault(FaultKind::Daily), 15 * 3600),
    ];
    for (fault, seconds) in cases {
        world.inject_fault(fault.clone());
        let response = world.create(&trainer, &session_body(26)).await;
        assert_eq!(retry_after(&response), seconds, "{fault:?}");
        response.expect_problem(429, "zoom_rate_limited");
    }
    assert_nothing_created(&world, &trainer).await;
    assert_eq!(world.due_work("REPAIR").await, Vec::<Value>::new());
}
