//! The capabilities of each role, and how they follow the settings, the plan and the month.

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::{patched, session_path};
use crate::usage::{check_budgets, take_cost};
use crate::world::{World, session_body};

const CAPABILITIES: &str = "/v1/me/capabilities";

impl World {
    async fn capabilities(&self, token: &str) -> Value {
        self.get(token, CAPABILITIES).await.expect(200)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn capabilities_follow_role_settings_and_plan() {
    let world = World::start().await;
    let (trainer, student) = (world.trainer().await, world.student(1).await);
    let shown = world.capabilities(&trainer).await;
    let limits = json!({"sessions_per_month": null, "max_duration_minutes": null,
        "max_invitees": null, "recording": true});
    let expected = json!({
        "roles": ["trainer"],
        "live_classes": {"enabled": true, "reason": null},
        "plan": {"name": "pro", "limits": limits, "used": 0, "month": "2026-11"},
        "hosting": "trainer",
        "windows": {"owner_before_minutes": 15, "invited_before_minutes": 10,
            "after_end_minutes": 90},
        "recording_allowed": true,
        "disclaimer": "Classes may be recorded.",
        "languages": ["en"],
    });
    assert_eq!(shown, expected);
    let shown = world.capabilities(&student).await;
    assert_eq!(shown["roles"], json!(["student"]));
    assert_eq!((&shown["hosting"], &shown["recording_allowed"]), (&Value::Null, &json!(false)));

    let plans = json!({"pro": {"sessions_per_month": 4, "max_duration_minutes": 60,
        "recording": false}});
    let none = json!({"free": {}});
    let on = json!({"enabled": true, "reason": null});
    let off = |reason: &str| json!({"enabled": false, "reason": reason});
    // The settings, and the answers for the trainer and the student.
    for (settings, for_trainer, for_student) in [
        (json!({"plans": plans}), on.clone(), on.clone()),
        (json!({"plans": none}), off("plan_required"), on.clone()),
        (json!({"pilot_trainer_ids": ["trainer-2"]}), off("feature_disabled"), on.clone()),
        (json!({"live_classes_enabled": false}), off("feature_disabled"), off("feature_disabled")),
    ] {
        world.put_settings(settings.clone()).await;
        let shown = world.capabilities(&trainer).await;
        assert_eq!(shown["live_classes"], for_trainer, "{settings}");
        assert_eq!(world.capabilities(&student).await["live_classes"], for_student, "{settings}");
        // The refusal has the code of the reason.
        if let Some(code) = for_trainer["reason"].as_str() {
            let refused = world.post(&trainer, "/v1/sessions", session_body(30)).await;
            refused.expect_problem(403, code);
        } else {
            assert_eq!(shown["plan"]["limits"]["max_duration_minutes"], 60);
            assert_eq!(shown["recording_allowed"], false);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn used_sessions_are_those_that_start_this_month() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    world.put_settings(json!({"plans": {"pro": {"sessions_per_month": 2}}})).await;
    let used = async || world.capabilities(&trainer).await["plan"]["used"].clone();
    let made = world.post(&trainer, "/v1/sessions", session_body(30)).await.expect(201);
    assert_eq!(used().await, 1);
    // The next month has a count of its own.
    world.post(&trainer, "/v1/sessions", session_body(24 * 20)).await.expect(201);
    assert_eq!(used().await, 1);
    world.post(&trainer, "/v1/sessions", session_body(40)).await.expect(201);
    assert_eq!(used().await, 2);
    let refused = world.post(&trainer, "/v1/sessions", session_body(50)).await;
    refused.expect_problem(403, "plan_limit");
    let cancel = format!("{}/cancel", session_path(&made));
    world.post(&trainer, &cancel, json!({})).await.expect(200);
    assert_eq!(used().await, 1);
    world.advance(SignedDuration::from_hours(24 * 15));
    let shown = world.capabilities(&world.trainer().await).await;
    assert_eq!((&shown["plan"]["month"], &shown["plan"]["used"]), (&json!("2026-12"), &json!(1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosting_follows_the_trainers_host() {
    let world = World::start().await;
    let (trainer, service) = (world.trainer().await, world.service().await);
    let host = json!({"email": "host@example.test", "create": "auto", "licence": "none"});
    world.put(&service, "/v1/hosts/trainer-1", host).await.expect(202);
    assert_eq!(world.capabilities(&trainer).await["hosting"], "trainer");
    world.meeting_sweep().await;
    assert_eq!(world.capabilities(&trainer).await["hosting"], "platform");
    let user =
        json!({"email": "trainer@example.test", "name": "Tara", "role": "trainer", "plan": "pro"});
    let user = patched(user, json!({"hosting": "trainer"}));
    world.put(&service, "/v1/directory/users/trainer-1", user).await.expect(200);
    assert_eq!(world.capabilities(&trainer).await["hosting"], "trainer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn capabilities_take_one_request() {
    let world = World::start().await;
    let (trainer, student) = (world.trainer().await, world.student(1).await);
    world.capabilities(&trainer).await;
    world.stack.usage.reset();
    world.capabilities(&trainer).await;
    let of_trainer = take_cost(&world, "capabilities of a trainer", "operations");
    world.capabilities(&student).await;
    let of_student = take_cost(&world, "capabilities of a student", "operations");
    check_budgets(&[of_trainer, of_student], &[(1, 4.0, 0.0, 0, 0), (1, 1.0, 0.0, 0, 0)]);
}
