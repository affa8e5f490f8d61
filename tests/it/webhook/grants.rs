//! What Zoom says of the users whose grants are held here.

use jiff::SignedDuration;
use local::calls::Service::{Dynamodb, Sqs, Zoom};
use local::faults::{Fault, Kind};
use serde_json::{Value, json};

use super::{status, world_and_lesson};
use crate::direct::until;
use crate::lesson::{act, post};
use crate::world::{World, course_class};

/// The Zoom user of `trainer-1` inside the app's account.
const ZOOM_USER: &str = "trainer@app.zoom.test";

fn zoom_user_id(world: &World) -> String {
    let users = world.stack.zoom.snapshot()["users"].clone();
    let user = users.as_object().expect("users").values().find(|user| user["email"] == ZOOM_USER);
    user.expect("the user")["id"].as_str().expect("an id").to_owned()
}

/// What names the Zoom user, in all that is stored.
async fn naming(world: &World, user: &str) -> Vec<Value> {
    let all = world.dump().await.into_iter();
    all.filter(|item| {
        let text = item.to_string();
        text.contains(user) || text.contains(ZOOM_USER)
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_names_the_zoom_user_who_took_the_app_away() {
    let (world, trainer, lesson) = world_and_lesson().await;
    let user = zoom_user_id(&world);
    // A whole life with every kind of event, and a trainer who had the same Zoom user before.
    let other = world.other_trainer().await;
    let (code, state) = world.consent(&other, &format!("decision=allow&user={ZOOM_USER}")).await;
    world.post(&other, "/v1/zoom/connect", json!({"code": code, "state": state})).await.expect(200);
    world.advance(SignedDuration::from_secs(1));
    world.connect_zoom(&trainer, "app").await;
    let mut body = course_class(26);
    body["title"] = json!("Geometry");
    world.put(&trainer, &lesson.path, body).await.expect(200);
    world.advance(SignedDuration::from_hours(26));
    world.post(&trainer, &format!("{}/join", lesson.path), json!({})).await.expect(200);
    lesson.act(&world, "start", json!({"name": "Tara"})).await;
    let ada = lesson.act(&world, "join", json!({"name": "Ada", "email": "ada@example.test"})).await;
    lesson
        .act(&world, "room-move", json!({"participant_uuid": ada["participant_uuid"], "room": "1"}))
        .await;
    for action in ["start", "pause", "resume", "stop"] {
        lesson.act(&world, "recording", json!({"action": action})).await;
    }
    world.advance(SignedDuration::from_mins(30));
    lesson.act(&world, "end", json!({})).await;
    for action in ["complete", "trash", "recover", "delete"] {
        world.advance(SignedDuration::from_secs(1));
        lesson.act(&world, "recording", json!({"action": action})).await;
    }
    world.stack.zoom.deliver_due().await;
    act(&world, "deactivate", json!({"user": ZOOM_USER})).await;
    let named = naming(&world, &user).await;
    assert!(named.iter().all(|item| item["sk"] == "CONNECTION"), "{named:?}");
    assert!(!named.is_empty(), "the search finds what there is");

    act(&world, "deauthorize", json!({"user": ZOOM_USER})).await;
    let refused: Vec<_> = world
        .stack
        .zoom
        .webhooks()
        .into_iter()
        .filter(|hook| hook["state"] != "delivered")
        .collect();
    assert!(refused.is_empty(), "{refused:?}");
    assert_eq!(naming(&world, &user).await, Vec::<Value>::new());
    assert_eq!(world.items("ZOOMUSER#").await, Vec::<Value>::new());
    let left: Vec<_> = world.items("TRAINER#").await;
    assert!(left.iter().all(|item| item["refresh_token"] == ""), "{left:?}");
    let connection = world.get(&trainer, "/v1/zoom/connection").await.expect(200);
    assert_eq!(connection["status"], "not_connected");
    let connection = world.get(&other, "/v1/zoom/connection").await.expect(200);
    assert_eq!(
        (&connection["status"], &connection["zoom_email"]),
        (&json!("reauth_required"), &Value::Null)
    );
    // The class is still the platform's, and what is known of it.
    assert_eq!(status(&world, &trainer, &lesson).await, "ended");
    world.delete(&other, "/v1/zoom/connection").await.expect(204);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_or_save_in_flight_does_not_bring_the_tokens_back() {
    for (operation, stale) in
        [("token", true), ("create_meeting", false), ("zak", false), ("zak", true)]
    {
        let (world, trainer, lesson) = world_and_lesson().await;
        let user = zoom_user_id(&world);
        world.advance(SignedDuration::from_mins(26 * 60 - 5));
        if !stale {
            // A fresh token, so that only the call itself is under way.
            world.post(&trainer, &format!("{}/join", lesson.path), json!({})).await.expect(200);
        }
        world.fault(Fault { delay_ms: Some(800), ..Fault::new(Zoom, operation, Kind::Late) });
        let waiting = world.stack.zoom.counts();
        let save = async {
            match operation {
                "zak" => world.post(&trainer, &format!("{}/join", lesson.path), json!({})).await,
                _ => world.post(&trainer, "/v1/sessions", course_class(50)).await,
            }
        };
        let leave = async {
            let moved =
                || world.stack.zoom.counts() != waiting && world.stack.faults.list().is_empty();
            until("Zoom is being asked", moved).await;
            act(&world, "deauthorize", json!({"user": ZOOM_USER})).await;
        };
        let (answer, ()) = futures::join!(save, leave);
        assert!(answer.status.as_u16() < 500, "{operation}: {}", answer.text);
        assert_eq!(world.items("TRAINER#").await, Vec::<Value>::new(), "{operation}");
        assert_eq!(world.items("ZOOMUSER#").await, Vec::<Value>::new(), "{operation}");
        assert_eq!(naming(&world, &user).await, Vec::<Value>::new(), "{operation}");
        world
            .post(&trainer, "/v1/sessions", course_class(60))
            .await
            .refused(409, "zoom_not_connected");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_farewell_that_comes_late_does_not_end_a_newer_grant() {
    let (world, trainer, _) = world_and_lesson().await;
    world.advance(SignedDuration::from_secs(10));
    world.fault(Fault::new(Dynamodb, "*", Kind::Error).by("webhook").times(500));
    act(&world, "deauthorize", json!({"user": ZOOM_USER})).await;
    world.stack.faults.clear();
    let farewell = world.stack.zoom.webhooks().last().cloned().expect("a webhook");
    assert_eq!(farewell["event"], "app_deauthorized");
    assert_eq!(farewell["state"], "waiting");
    // They change their mind before Zoom sends it again.
    world.advance(SignedDuration::from_mins(1));
    world.connect_zoom(&trainer, "app").await;
    world.advance(SignedDuration::from_mins(5));
    world.stack.zoom.deliver_due().await;
    let connection = world.get(&trainer, "/v1/zoom/connection").await.expect(200);
    assert_eq!(connection["status"], "connected");
    // So for one who was switched off and on again.
    let event = json!({"event": "user.deactivated", "event_ts": world.now().as_millisecond() - 7 * 60_000,
        "payload": {"account_id": connection["account_id"], "object": {"id": zoom_user_id(&world)}}});
    post(&world, &event.to_string()).await.expect(200);
    let connection = world.get(&trainer, "/v1/zoom/connection").await.expect(200);
    assert_eq!(connection["status"], "connected");
    // Another account's user of that id is somebody else.
    for name in ["app_deauthorized", "user.deactivated"] {
        let event = json!({"event": name, "event_ts": world.now().as_millisecond(),
            "payload": {"account_id": "another", "user_id": zoom_user_id(&world), "object": {"id": zoom_user_id(&world)}}});
        post(&world, &event.to_string()).await.expect(200);
        let connection = world.get(&trainer, "/v1/zoom/connection").await.expect(200);
        assert_eq!(connection["status"], "connected", "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deactivated_user_has_to_connect_again_and_is_told_once() {
    let (world, trainer, lesson) = world_and_lesson().await;
    act(&world, "knobs", json!({"webhooks": {"duplicate": 3}})).await;
    // The notice is stored whatever the queue does.
    world.fault(Fault::new(Sqs, "*", Kind::Error).times(50));
    act(&world, "deactivate", json!({"user": ZOOM_USER})).await;
    let connection = world.get(&trainer, "/v1/zoom/connection").await.expect(200);
    assert_eq!(connection["status"], "reauth_required");
    let notices: Vec<_> = world
        .due("OUTBOX")
        .await
        .into_iter()
        .filter(|item| item["what"] == "reauth_required")
        .collect();
    assert_eq!(notices.len(), 1, "{notices:?}");
    assert_eq!(notices[0]["trainer_id"], "trainer-1");
    world.post(&trainer, "/v1/sessions", course_class(50)).await.refused(409, "reauth_required");
    // What was scheduled is not lost by it.
    assert_eq!(status(&world, &trainer, &lesson).await, "scheduled");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deactivation_that_meets_a_refresh_of_the_same_grant_is_not_lost() {
    let (world, trainer, _) = world_and_lesson().await;
    world.advance(SignedDuration::from_hours(2));
    // The webhook has read the connection, and before it writes, a save refreshes the tokens.
    let late = Fault::new(Dynamodb, "GetItem", Kind::Late).by("webhook").after(1);
    world.fault(Fault { delay_ms: Some(800), ..late });
    let deactivation = act(&world, "deactivate", json!({"user": ZOOM_USER}));
    let refresh = async {
        until("the webhook reads", || world.stack.faults.list().is_empty()).await;
        world.post(&trainer, "/v1/sessions", course_class(50)).await.expect(201);
    };
    futures::join!(deactivation, refresh);
    world.stack.zoom.deliver_due().await;
    let connection = world.get(&trainer, "/v1/zoom/connection").await.expect(200);
    assert_eq!(connection["status"], "reauth_required");
}
