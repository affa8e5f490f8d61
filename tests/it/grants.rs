//! Races of Zoom grants: two connects at once, disconnects, deauthorizations and refreshes, and another account that is
//! connected while a request runs.

use futures::future::join;
use jiff::SignedDuration;
use local::calls::Service::{self, Dynamodb, Ses, Zoom};
use local::faults::{Fault, FaultKind};
use serde_json::{Value, json};

use crate::functions::wait_until;
use crate::support::{patched, session_path};
use crate::world::{Response, World, course_session_body};
use crate::zoom_session::{ScheduledSession, post_signed, simulate};

const CONNECTION: &str = "/v1/zoom/connection";
const FINISH: &str = "/v1/zoom/connect";
/// The default Zoom user of `trainer-1`, and one that several trainers use.
const ZOOM_USER: &str = "trainer@app.zoom.test";
const SHARED_USER: &str = "shared@zoom.test";

impl World {
    /// Delays the response to a function's next call of an operation, which is processed at once.
    fn delay_response(&self, function: &str, service: Service, operation: &str, delay_ms: u64) {
        let late = Fault::new(service, operation, FaultKind::Late).for_function(function);
        self.inject_fault(Fault { delay_ms: Some(delay_ms), ..late });
    }

    async fn finish_connect(&self, token: &str, (code, state): &(String, String)) -> Response {
        self.post(token, FINISH, json!({"code": code, "state": state})).await
    }

    async fn health(&self, token: &str) -> String {
        let connection = self.get(token, CONNECTION).await.expect(200);
        connection["status"].as_str().expect("a status").to_owned()
    }

    /// Checks that Zoom accepts the stored refresh token.
    async fn check_stored_grant(&self, token: &str) {
        assert_eq!(self.health(token).await, "connected");
        self.stack.zoom.expire_access_tokens();
        self.create(token, &course_session_body(70)).await.expect(201);
    }

    /// The number of mails to a trainer that ask to connect Zoom.
    async fn reconnect_mails(&self) -> usize {
        let sent = self.sent_mails().await;
        sent.iter().filter(|(kind, _)| kind == "reauth_required").count()
    }

    fn zoom_user_id(&self, address: &str) -> String {
        let users = self.stack.zoom.snapshot()["users"].clone();
        let mut users = users.as_object().expect("users").values();
        let user = users.find(|user| user["email"] == address).expect("the user");
        user["id"].as_str().expect("an id").to_owned()
    }
}

/// Waits until every injected fault has been applied.
async fn wait_for_fault(world: &World) {
    wait_until("the request waits", || world.stack.faults.list().is_empty()).await;
}

async fn connected() -> (World, String) {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    (world, trainer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_refresh_of_a_former_connection_does_not_end_the_new_one() {
    let (world, trainer) = connected().await;
    world.advance(SignedDuration::from_hours(2));
    // The request has read the former connection with its expired token.
    world.delay_response("session-save", Dynamodb, "BatchGetItem", 900);
    let body = course_session_body(50);
    let save = world.create(&trainer, &body);
    let replace = async {
        wait_for_fault(&world).await;
        world.delete(&trainer, CONNECTION).await.expect(204);
        world.connect_zoom(&trainer, "app").await;
    };
    let (saved, ()) = join(save, replace).await;
    saved.expect(201);
    world.check_stored_grant(&trainer).await;
    assert_eq!(world.stack.zoom.counts().refused_refreshes, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_loss_of_a_grant_is_notified_also_within_a_millisecond() {
    let (world, trainer) = connected().await;
    for lost in 1..=3 {
        simulate(&world, "deauthorize", json!({"user": ZOOM_USER})).await;
        assert_eq!(world.health(&trainer).await, "not_connected");
        world.run_outbox_sweep().await;
        assert_eq!(world.reconnect_mails().await, lost);
        world.connect_zoom(&trainer, "app").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeated_call_does_not_reach_another_account() {
    // The call waits for a write before it reaches Zoom, which rejects the token of the replaced grant.
    for (function, operation) in [
        ("session-save", "create"),
        ("session-save", "edit"),
        ("session-cancel", "cancel"),
        ("join", "join"),
    ] {
        let (world, trainer) = connected().await;
        let session = world.create(&trainer, &course_session_body(50)).await.expect(201);
        let (delayed, ahead) = match operation {
            "join" => ("GetItem", 50 * 60 - 5),
            _ => ("TransactWriteItems", 1),
        };
        world.advance(SignedDuration::from_mins(ahead));
        let trainer = world.trainer().await;
        if operation == "join" {
            // Refreshes the token, so that only the call itself is in flight.
            world.post(&trainer, &format!("{}/join", session_path(&session)), json!({})).await;
        }
        world.delay_response(function, Dynamodb, delayed, 900);
        let longer = patched(course_session_body(50), json!({"duration_minutes": 90}));
        let request = async {
            match operation {
                "create" => world.create(&trainer, &course_session_body(60)).await,
                "edit" => world.edit(&trainer, &session, &longer).await,
                "cancel" => world.cancel(&trainer, &session).await,
                _ => {
                    let path = format!("{}/join", session_path(&session));
                    world.post(&trainer, &path, json!({})).await
                }
            }
        };
        let replace = async {
            wait_for_fault(&world).await;
            world.connect_zoom(&trainer, "other").await;
        };
        let (response, ()) = join(request, replace).await;
        let own = world.meeting_of(&session);
        assert_eq!((&own["status"], &own["duration"]), (&json!("waiting"), &json!(60)));
        assert_eq!(world.meetings().len(), 1, "{operation}");
        if operation == "cancel" {
            response.expect(200);
            assert_eq!(world.due_work("REPAIR").await.len(), 1, "the repair waits for the host");
        } else {
            let problem = response.expect_problem(409, "conflict");
            let detail = problem["detail"].as_str().expect("a detail");
            assert!(detail.contains(ZOOM_USER), "{operation}: {problem}");
        }
        // With the host connected, the request or its repair succeeds at once.
        world.connect_zoom(&trainer, "app").await;
        match operation {
            "create" => drop(world.create(&trainer, &course_session_body(60)).await.expect(201)),
            "edit" => {
                world.edit(&trainer, &session, &longer).await.expect(200);
                assert_eq!(world.meeting_of(&session)["duration"], 90);
            }
            "cancel" => {
                world.advance(SignedDuration::from_hours(1));
                assert_eq!(world.sweep().await["repaired"], 1);
                assert_eq!(world.meeting_of(&session)["status"], "deleted");
            }
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn later_exchange_wins_if_one_trainer_connects_in_two_tabs() {
    for had_grant in [false, true] {
        let world = World::start().await;
        let trainer = world.trainer().await;
        if had_grant {
            world.connect_zoom(&trainer, "app").await;
            world.advance(SignedDuration::from_hours(2));
        }
        let first = world.consent(&trainer, "decision=allow").await;
        let second = world.consent(&trainer, "decision=allow").await;
        world.delay_response("connect", Zoom, "get_user", 900);
        let slow = world.finish_connect(&trainer, &first);
        let fast = async {
            wait_for_fault(&world).await;
            world.finish_connect(&trainer, &second).await.expect(200)
        };
        let (slow, fast) = join(slow, fast).await;
        assert_eq!(slow.expect(200), fast, "the stored connection");
        world.check_stored_grant(&trainer).await;
        world.run_outbox_sweep().await;
        assert_eq!(world.reconnect_mails().await, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn later_exchange_wins_if_two_trainers_use_one_zoom_user() {
    let decision = format!("decision=allow&user={SHARED_USER}");
    for stored_first in ["the later exchange", "the earlier exchange"] {
        let world = World::start().await;
        let (earlier, later) = (world.trainer().await, world.other_trainer().await);
        let codes =
            (world.consent(&earlier, &decision).await, world.consent(&later, &decision).await);
        world.delay_response("connect", Zoom, "get_user", 1500);
        let exchange_first = world.finish_connect(&earlier, &codes.0);
        let exchange_second = async {
            wait_for_fault(&world).await;
            if stored_first == "the earlier exchange" {
                // The later one has read that nobody uses the Zoom user, and waits before it stores its grant.
                let late = Fault::new(Dynamodb, "GetItem", FaultKind::Late).for_function("connect");
                world.inject_fault(Fault { delay_ms: Some(3000), ..late.after(1) });
            }
            world.finish_connect(&later, &codes.1).await.expect(200)
        };
        let (first, _) = join(exchange_first, exchange_second).await;
        assert_eq!(world.health(&later).await, "connected", "{stored_first}");
        if stored_first == "the earlier exchange" {
            first.expect(200);
            assert_eq!(world.health(&earlier).await, "reauth_required");
            world.run_outbox_sweep().await;
            assert_eq!(world.reconnect_mails().await, 1);
        } else {
            let problem = first.expect_problem(422, "validation_failed");
            assert_eq!(problem["errors"][0]["field"], "code");
            assert_eq!(world.health(&earlier).await, "not_connected");
        }
        let body = patched(
            course_session_body(30),
            json!({"audience_type": "standalone", "course_id": null}),
        );
        world.stack.zoom.expire_access_tokens();
        world.create(&later, &body).await.expect(201);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deauthorization_between_exchange_and_store_is_honoured() {
    for (had_grant, arrives_late) in [(false, false), (true, false), (false, true), (true, true)] {
        let context = format!("had a grant: {had_grant}, event arrives late: {arrives_late}");
        let world = World::start().await;
        let trainer = world.trainer().await;
        if had_grant {
            world.connect_zoom(&trainer, "app").await;
            world.advance(SignedDuration::from_hours(2));
        }
        let consent = world.consent(&trainer, "decision=allow").await;
        world.delay_response("connect", Zoom, "get_user", 900);
        let connect = world.finish_connect(&trainer, &consent);
        let deauthorize = async {
            wait_for_fault(&world).await;
            if arrives_late {
                world.deauthorize_without_event(ZOOM_USER).await;
            } else {
                simulate(&world, "deauthorize", json!({"user": ZOOM_USER})).await;
            }
        };
        let (response, ()) = join(connect, deauthorize).await;
        if arrives_late {
            let payload = json!({"user_id": world.zoom_user_id(ZOOM_USER), "deauthorization_time": world.now()});
            let event = json!({"event": "app_deauthorized", "payload": payload});
            post_signed(&world, &event.to_string()).await.expect(200);
        } else {
            let problem = response.expect_problem(422, "validation_failed");
            assert_eq!(problem["errors"][0]["field"], "code", "{context}");
        }
        assert_eq!(world.health(&trainer).await, "not_connected", "{context}");
        assert_eq!(world.items("TRAINER#").await, Vec::<Value>::new(), "{context}");
        let named =
            world.dump().await.into_iter().filter(|item| item.to_string().contains(ZOOM_USER));
        assert_eq!(named.collect::<Vec<_>>(), Vec::<Value>::new(), "{context}");
        // The trainer can connect again at once.
        world.connect_zoom(&trainer, "app").await;
        world.check_stored_grant(&trainer).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn request_to_connect_again_is_void_once_the_trainer_is_connected() {
    // A refresh is rejected while the trainer connects again.
    let (world, trainer) = connected().await;
    world.advance(SignedDuration::from_hours(2));
    let consent = world.consent(&trainer, "decision=allow").await;
    world.delay_response("connect", Zoom, "get_user", 900);
    let connect = world.finish_connect(&trainer, &consent);
    let refresh = async {
        wait_for_fault(&world).await;
        let refused = world.create(&trainer, &course_session_body(50)).await;
        refused.expect_problem(409, "reauth_required");
    };
    let (connected_again, ()) = join(connect, refresh).await;
    connected_again.expect(200);
    world.run_outbox_sweep().await;
    assert_eq!(world.reconnect_mails().await, 0, "fanned out after connecting");

    // The mail is queued, and waits because the mail service does not respond.
    simulate(&world, "deauthorize", json!({"user": ZOOM_USER})).await;
    world.inject_fault(Fault::new(Ses, "*", FaultKind::Throttle).times(50));
    world.run_outbox_sweep().await;
    world.stack.faults.clear();
    world.connect_zoom(&trainer, "app").await;
    for _ in 0..5 {
        world.advance(SignedDuration::from_mins(10));
        world.run_outbox_sweep().await;
    }
    assert_eq!(world.reconnect_mails().await, 0, "sent after connecting");
    assert_eq!(world.due_work("OUTBOX").await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn request_to_connect_the_host_is_void_once_the_host_is_connected() {
    let (world, trainer) = connected().await;
    world.create(&trainer, &course_session_body(50)).await.expect(201);
    world.run_outbox_sweep().await;
    simulate(&world, "deauthorize", json!({"user": ZOOM_USER})).await;
    world.run_outbox_sweep().await;
    world.advance(SignedDuration::from_hours(26));
    world.sweep().await;
    world.inject_fault(Fault::new(Ses, "*", FaultKind::Throttle).times(50));
    world.run_outbox_sweep().await;
    world.stack.faults.clear();
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    world.advance(SignedDuration::from_mins(10));
    world.run_outbox_sweep().await;
    let sent = world.sent_mails().await;
    assert!(sent.iter().all(|(kind, _)| kind != "host_not_connected"), "{sent:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn change_at_zoom_during_an_edit_is_flagged() {
    let (world, trainer) = connected().await;
    let session = ScheduledSession::schedule_for_course(&world, &trainer).await;
    world.advance(SignedDuration::from_mins(1));
    world.delay_response("session-save", Zoom, "update_meeting", 900);
    let longer = patched(course_session_body(26), json!({"duration_minutes": 90}));
    let edit = world.put(&trainer, &session.path, longer);
    let change = async {
        wait_for_fault(&world).await;
        let event = session.event("meeting.updated", world.now(), &json!({"topic": "Geometry"}));
        session.post_event(&world, &event).await;
        world.stack.zoom.deliver_due().await;
    };
    let (edited, ()) = join(edit, change).await;
    edited.expect(200);
    world.advance(SignedDuration::from_mins(5));
    world.sweep().await;
    let shown = session.fetch(&world, &trainer).await;
    assert_eq!(shown["drift"], json!(["title"]));
    assert_eq!(world.sweep().await["due"], 0);
    // An edit of its own changes leaves nothing to flag.
    let short = patched(course_session_body(26), json!({"duration_minutes": 45}));
    world.delay_response("session-save", Zoom, "update_meeting", 900);
    let before = world.stack.zoom.webhooks().len();
    let edit = world.put(&trainer, &session.path, short);
    let deliver = async {
        wait_until("Zoom has the edit", || world.stack.zoom.webhooks().len() > before).await;
        world.stack.zoom.deliver_due().await;
    };
    let (edited, ()) = join(edit, deliver).await;
    assert_eq!(edited.expect(200)["drift"], json!([]));
    world.advance(SignedDuration::from_mins(5));
    world.sweep().await;
    assert_eq!(session.fetch(&world, &trainer).await["drift"], json!([]));
}
