//! Zoom's events about users with a stored grant.

use jiff::SignedDuration;
use local::calls::Service::{Dynamodb, Sqs, Zoom};
use local::faults::{Fault, FaultKind};
use serde_json::{Value, json};

use super::{status, world_with_session};
use crate::functions::wait_until;
use crate::world::{World, course_session_body};
use crate::zoom_session::{post_signed, simulate};

/// The Zoom user of `trainer-1` in the app's account.
const ZOOM_USER: &str = "trainer@app.zoom.test";

fn zoom_user_id(world: &World) -> String {
    let users = world.stack.zoom.snapshot()["users"].clone();
    let user = users.as_object().expect("users").values().find(|user| user["email"] == ZOOM_USER);
    user.expect("the user")["id"].as_str().expect("an id").to_owned()
}

/// The stored items that name the Zoom user.
async fn items_naming(world: &World, user: &str) -> Vec<Value> {
    let all = world.dump().await.into_iter();
    all.filter(|item| {
        let text = item.to_string();
        text.contains(user) || text.contains(ZOOM_USER)
    })
    .collect()
}

/// Checks that only the time of the removal is kept, for a day, under a hash of the Zoom user.
async fn check_only_removal_is_kept(world: &World) {
    let day = SignedDuration::from_hours(24);
    for item in world.items("ZOOMUSER#").await {
        let names: Vec<_> = item.as_object().expect("an item").keys().map(String::as_str).collect();
        let names: Vec<_> = names.into_iter().filter(|name| *name != "v").collect();
        assert_eq!(names, ["deauthorized_at", "expires_at", "pk", "sk", "version"]);
        assert_eq!(item["expires_at"], (world.now() + day).as_second());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deauthorization_erases_every_reference_to_the_zoom_user() {
    let (world, trainer, session) = world_with_session().await;
    let user = zoom_user_id(&world);
    // Every kind of event of a session, and another trainer who used the same Zoom user before.
    let other = world.other_trainer().await;
    let (code, state) = world.consent(&other, &format!("decision=allow&user={ZOOM_USER}")).await;
    world.post(&other, "/v1/zoom/connect", json!({"code": code, "state": state})).await.expect(200);
    world.advance(SignedDuration::from_secs(1));
    world.connect_zoom(&trainer, "app").await;
    let mut body = course_session_body(26);
    body["title"] = json!("Geometry");
    world.put(&trainer, &session.path, body).await.expect(200);
    world.advance(SignedDuration::from_hours(26));
    world.post(&trainer, &format!("{}/join", session.path), json!({})).await.expect(200);
    session.simulate(&world, "start", json!({"name": "Tara"})).await;
    let ada =
        session.simulate(&world, "join", json!({"name": "Ada", "email": "ada@example.test"})).await;
    session
        .simulate(
            &world,
            "room-move",
            json!({"participant_uuid": ada["participant_uuid"], "room": "1"}),
        )
        .await;
    for action in ["start", "pause", "resume", "stop"] {
        session.simulate(&world, "recording", json!({"action": action})).await;
    }
    world.advance(SignedDuration::from_mins(30));
    session.simulate(&world, "end", json!({})).await;
    for action in ["complete", "trash", "recover", "delete"] {
        world.advance(SignedDuration::from_secs(1));
        session.simulate(&world, "recording", json!({"action": action})).await;
    }
    world.stack.zoom.deliver_due().await;
    simulate(&world, "deactivate", json!({"user": ZOOM_USER})).await;
    let items = items_naming(&world, &user).await;
    assert!(items.iter().all(|item| item["sk"] == "CONNECTION"), "{items:?}");
    assert!(!items.is_empty(), "the search works");

    simulate(&world, "deauthorize", json!({"user": ZOOM_USER})).await;
    let refused: Vec<_> = world
        .stack
        .zoom
        .webhooks()
        .into_iter()
        .filter(|hook| hook["state"] != "delivered")
        .collect();
    assert!(refused.is_empty(), "{refused:?}");
    assert_eq!(items_naming(&world, &user).await, Vec::<Value>::new());
    check_only_removal_is_kept(&world).await;
    let left: Vec<_> = world.items("TRAINER#").await;
    assert!(left.iter().all(|item| item["refresh_token"] == ""), "{left:?}");
    let connection = world.get(&trainer, "/v1/zoom/connection").await.expect(200);
    assert_eq!(connection["status"], "not_connected");
    let connection = world.get(&other, "/v1/zoom/connection").await.expect(200);
    assert_eq!(
        (&connection["status"], &connection["zoom_email"]),
        (&json!("reauth_required"), &Value::Null)
    );
    // The session and its status remain.
    assert_eq!(status(&world, &trainer, &session).await, "ended");
    world.delete(&other, "/v1/zoom/connection").await.expect(204);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn request_during_deauthorization_does_not_restore_tokens() {
    for (operation, is_token_expired) in
        [("token", true), ("create_meeting", false), ("zak", false), ("zak", true)]
    {
        let (world, trainer, session) = world_with_session().await;
        let user = zoom_user_id(&world);
        world.advance(SignedDuration::from_mins(26 * 60 - 5));
        if !is_token_expired {
            // A fresh token, so that only the call itself is in flight.
            world.post(&trainer, &format!("{}/join", session.path), json!({})).await.expect(200);
        }
        world.inject_fault(Fault {
            delay_ms: Some(800),
            ..Fault::new(Zoom, operation, FaultKind::Late)
        });
        let counts_before = world.stack.zoom.counts();
        let save = async {
            match operation {
                "zak" => world.post(&trainer, &format!("{}/join", session.path), json!({})).await,
                _ => world.post(&trainer, "/v1/sessions", course_session_body(50)).await,
            }
        };
        let deauthorize = async {
            let has_called_zoom = || {
                world.stack.zoom.counts() != counts_before && world.stack.faults.list().is_empty()
            };
            wait_until("Zoom is being asked", has_called_zoom).await;
            simulate(&world, "deauthorize", json!({"user": ZOOM_USER})).await;
        };
        let (response, ()) = futures::join!(save, deauthorize);
        assert!(response.status.as_u16() < 500, "{operation}: {}", response.text);
        assert_eq!(world.items("TRAINER#").await, Vec::<Value>::new(), "{operation}");
        check_only_removal_is_kept(&world).await;
        assert_eq!(items_naming(&world, &user).await, Vec::<Value>::new(), "{operation}");
        world
            .post(&trainer, "/v1/sessions", course_session_body(60))
            .await
            .expect_problem(409, "zoom_not_connected");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_deauthorization_does_not_end_a_newer_grant() {
    let (world, trainer, _) = world_with_session().await;
    world.advance(SignedDuration::from_secs(10));
    world.inject_fault(
        Fault::new(Dynamodb, "*", FaultKind::Error).for_function("webhook").times(500),
    );
    simulate(&world, "deauthorize", json!({"user": ZOOM_USER})).await;
    world.stack.faults.clear();
    let deauthorization = world.stack.zoom.webhooks().last().cloned().expect("a webhook");
    assert_eq!(deauthorization["event"], "app_deauthorized");
    assert_eq!(deauthorization["state"], "waiting");
    // The trainer reconnects before Zoom repeats the event.
    world.advance(SignedDuration::from_mins(1));
    world.connect_zoom(&trainer, "app").await;
    world.advance(SignedDuration::from_mins(5));
    world.stack.zoom.deliver_due().await;
    let connection = world.get(&trainer, "/v1/zoom/connection").await.expect(200);
    assert_eq!(connection["status"], "connected");
    // The same for a user who was deactivated and activated again.
    let event = json!({"event": "user.deactivated", "event_ts": world.now().as_millisecond() - 7 * 60_000,
        "payload": {"account_id": connection["account_id"], "object": {"id": zoom_user_id(&world)}}});
    post_signed(&world, &event.to_string()).await.expect(200);
    let connection = world.get(&trainer, "/v1/zoom/connection").await.expect(200);
    assert_eq!(connection["status"], "connected");
    // The same user id in another account is another user.
    for name in ["app_deauthorized", "user.deactivated"] {
        let event = json!({"event": name, "event_ts": world.now().as_millisecond(),
            "payload": {"account_id": "another", "user_id": zoom_user_id(&world), "object": {"id": zoom_user_id(&world)}}});
        post_signed(&world, &event.to_string()).await.expect(200);
        let connection = world.get(&trainer, "/v1/zoom/connection").await.expect(200);
        assert_eq!(connection["status"], "connected", "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deactivated_user_must_reconnect_and_is_notified_once() {
    let (world, trainer, session) = world_with_session().await;
    simulate(&world, "knobs", json!({"webhooks": {"duplicate": 3}})).await;
    // The notification is stored although the queue fails.
    world.inject_fault(Fault::new(Sqs, "*", FaultKind::Error).times(50));
    simulate(&world, "deactivate", json!({"user": ZOOM_USER})).await;
    let connection = world.get(&trainer, "/v1/zoom/connection").await.expect(200);
    assert_eq!(connection["status"], "reauth_required");
    let notifications: Vec<_> = world
        .due_work("OUTBOX")
        .await
        .into_iter()
        .filter(|item| item["event"] == "reauth_required")
        .collect();
    assert_eq!(notifications.len(), 1, "{notifications:?}");
    assert_eq!(notifications[0]["trainer_id"], "trainer-1");
    world
        .post(&trainer, "/v1/sessions", course_session_body(50))
        .await
        .expect_problem(409, "reauth_required");
    // The scheduled session remains.
    assert_eq!(status(&world, &trainer, &session).await, "scheduled");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deactivation_concurrent_with_a_refresh_is_not_lost() {
    let (world, trainer, _) = world_with_session().await;
    world.advance(SignedDuration::from_hours(2));
    // A save refreshes the tokens after the webhook has read the connection and before it writes.
    let late = Fault::new(Dynamodb, "GetItem", FaultKind::Late).for_function("webhook").after(1);
    world.inject_fault(Fault { delay_ms: Some(800), ..late });
    let deactivation = simulate(&world, "deactivate", json!({"user": ZOOM_USER}));
    let refresh = async {
        wait_until("the webhook reads", || world.stack.faults.list().is_empty()).await;
        world.post(&trainer, "/v1/sessions", course_session_body(50)).await.expect(201);
    };
    futures::join!(deactivation, refresh);
    world.stack.zoom.deliver_due().await;
    let connection = world.get(&trainer, "/v1/zoom/connection").await.expect(200);
    assert_eq!(connection["status"], "reauth_required");
}
