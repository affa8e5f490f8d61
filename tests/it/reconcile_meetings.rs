//! Meetings at Zoom that belong to no session that takes place, and grants that nobody uses.

use http::Method;
use jiff::SignedDuration;
use local::calls::Service::{Dynamodb, Zoom};
use local::faults::{Fault, FaultKind};
use serde_json::{Value, json};

use crate::support::{patched, session_path};
use crate::world::{World, session_body};

const DAY: SignedDuration = SignedDuration::from_hours(24);
const QUEUE: &str = "DUE#RECONCILE";
const FUNCTION: &str = "reconcile-sweep";

impl World {
    async fn compare(&self) -> Value {
        self.stack.schedules.run(FUNCTION).await.expect("a report of the sweep")
    }

    async fn compare_after(&self, duration: SignedDuration) -> Value {
        self.advance(duration);
        self.compare().await
    }

    /// Calls Zoom's API with the latest access token, like the trainer on Zoom's pages.
    async fn as_zoom_user(&self, method: Method, path: &str, body: Option<&Value>) {
        let trainer = self.trainer().await;
        // The request refreshes a token that has expired.
        self.create(&trainer, &session_body(400)).await.expect(201);
        let snapshot = self.stack.zoom.snapshot();
        let tokens = snapshot["access_tokens"].as_object().expect("tokens");
        let newest = tokens.iter().max_by_key(|(_, token)| token["expires_at"].to_string());
        let (token, _) = newest.expect("a token");
        let response =
            self.call(method, &format!("/zoom/v2{path}"), token, body.cloned(), &[]).await;
        assert!(response.status.is_success(), "{path}: {}", response.status);
    }

    async fn corrections(&self, token: &str, session: &Value) -> Vec<Value> {
        let timeline = format!("{}/timeline", session_path(session));
        let entries = self.list_items(token, &timeline).await;
        let corrections = entries.iter().filter(|entry| entry["kind"] == "session.corrected");
        corrections.map(|entry| entry["detail"].clone()).collect()
    }

    /// The numbers of the meetings with a topic.
    fn meetings_named(&self, topic: &str) -> usize {
        self.meetings().iter().filter(|meeting| meeting["topic"] == topic).count()
    }
}

fn named(hours: i64, title: &str) -> Value {
    patched(session_body(hours), json!({ "title": title }))
}

async fn connected() -> (World, String) {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    (world, trainer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn meeting_that_returns_after_a_cancellation_is_deleted_before_the_start() {
    let (world, trainer) = connected().await;
    let session = world.create(&trainer, &named(50, "Cancelled")).await.expect(201);
    let kept = world.create(&trainer, &named(50, "Gone")).await.expect(201);
    for session in [&session, &kept] {
        world.cancel(&trainer, session).await.expect(200);
    }
    let meeting = session["meeting"]["id"].as_str().expect("a number");
    let status = format!("/meetings/{meeting}/status");
    world.as_zoom_user(Method::PUT, &status, Some(&json!({"action": "recover"}))).await;
    assert_eq!(world.meetings_named("Cancelled"), 1);
    assert_eq!(world.compare_after(SignedDuration::from_hours(48)).await["due"], 0);

    let report = world.compare_after(SignedDuration::from_hours(1)).await;
    assert_eq!((&report["corrected"], &report["compared"]), (&json!(1), &json!(1)), "{report}");
    assert_eq!(world.meetings_named("Cancelled"), 0);
    let expected = json!({"corrected": "meeting", "source": "meeting"});
    assert_eq!(world.corrections(&trainer, &session).await, [expected]);
    assert_eq!(world.corrections(&trainer, &kept).await, [] as [Value; 0]);
    assert_eq!(world.compare_after(DAY).await["due"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_check_of_a_cancelled_meeting_is_repeated_a_few_times() {
    let (world, trainer) = connected().await;
    let session = world.create(&trainer, &session_body(2)).await.expect(201);
    world.cancel(&trainer, &session).await.expect(200);
    world.advance(SignedDuration::from_hours(3));
    world.inject_fault(Fault::new(Zoom, "delete_meeting", FaultKind::Error).times(100));
    let (mut attempts, mut hours) = (0, 0);
    while !world.items(QUEUE).await.iter().all(|item| item["work"] != "cancelled_meeting") {
        attempts += usize::from(world.compare().await["failed"] == 1);
        world.advance(SignedDuration::from_hours(1));
        hours += 1;
        assert!(hours < 30, "it is never given up");
    }
    assert_eq!(attempts, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn second_meetings_are_deleted_and_copies_of_a_host_stay() {
    let (world, trainer) = connected().await;
    let held = world.create(&trainer, &named(2, "Held")).await.expect(201);
    let twice = world.create(&trainer, &named(200, "Twice")).await.expect(201);
    let copied = world.create(&trainer, &named(200, "Copied")).await.expect(201);
    let cancelled = world.create(&trainer, &named(200, "Cancelled")).await.expect(201);
    let body_of = |session: &Value| world.meeting_of(session)["requests"][0].clone();
    let bodies = [body_of(&twice), body_of(&copied), body_of(&cancelled)];
    let foreign = patched(
        bodies[1].clone(),
        json!({"topic": "Foreign", "agenda": "[live class ses_aaaaaaaaaaaaaaaaaaaaaaaaaa]"}),
    );
    let users = "/users/me/meetings";
    world.as_zoom_user(Method::POST, users, Some(&bodies[0])).await;
    world.advance(SignedDuration::from_hours(2));
    world.sweep().await;
    world.cancel(&trainer, &cancelled).await.expect(200);
    for body in [&bodies[1], &bodies[2], &foreign] {
        world.as_zoom_user(Method::POST, users, Some(body)).await;
    }
    assert_eq!(world.meetings_named("Twice"), 2);
    // The first look at a session that is over schedules the check of its host on the next day.
    world.compare_after(SignedDuration::from_mins(91)).await;
    assert_eq!(world.items(QUEUE).await.iter().filter(|item| item["work"] == "host").count(), 1);
    world.compare_after(DAY).await;
    world.compare_after(DAY).await;
    assert_eq!(world.items(QUEUE).await.iter().filter(|item| item["work"] == "host").count(), 0);

    let counts = ["Twice", "Copied", "Cancelled", "Foreign"].map(|name| world.meetings_named(name));
    assert_eq!(counts, [1, 2, 0, 1]);
    assert_eq!(world.meeting_of(&twice)["status"], "waiting", "it keeps its own meeting");
    let expected = json!({"corrected": "meeting", "source": "meeting_list"});
    for session in [&twice, &cancelled] {
        assert_eq!(world.corrections(&trainer, session).await, std::slice::from_ref(&expected));
    }
    for session in [&held, &copied] {
        let corrections = world.corrections(&trainer, session).await;
        assert!(corrections.iter().all(|detail| detail["corrected"] != "meeting"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unused_grant_is_renewed_before_zoom_ends_it() {
    let (world, _) = connected().await;
    let renewals = |world: &World| world.stack.usage.calls(FUNCTION, Zoom, "token");
    assert_eq!(world.compare_after(DAY * 79).await["due"], 0);
    assert_eq!(world.compare_after(DAY * 1).await["corrected"], 1);
    assert_eq!(renewals(&world), 1);
    // Without that, it would have ended on day 90.
    assert_eq!(world.compare_after(DAY * 80).await["corrected"], 1);
    let trainer = world.trainer().await;
    world.create(&trainer, &session_body(24 * 170)).await.expect(201);

    // A grant that is used needs no renewal.
    world.advance(DAY * 40);
    let trainer = world.trainer().await;
    world.create(&trainer, &session_body(24 * 210)).await.expect(201);
    let before = renewals(&world);
    let report = world.compare_after(DAY * 40).await;
    assert_eq!((&report["corrected"], renewals(&world)), (&json!(0), before), "{report}");
    assert_eq!(world.compare_after(DAY * 40).await["corrected"], 1);

    let trainer = world.trainer().await;
    world.delete(&trainer, "/v1/zoom/connection").await.expect(204);
    let left = world.items(QUEUE).await;
    assert!(left.iter().all(|item| item["work"] != "grant"), "{left:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn renewal_of_a_grant_survives_crashes_and_a_concurrent_request() {
    for calls in 0..8 {
        let (world, _) = connected().await;
        world.advance(DAY * 80);
        let crash = Fault::new(Dynamodb, "*", FaultKind::Error).for_function(FUNCTION);
        world.inject_fault(crash.after(calls).times(1000));
        let _ = world.stack.schedules.run(FUNCTION).await;
        world.stack.faults.clear();
        // A lost token cannot be recovered, so only a crash before the refresh or after it is survived.
        world.compare_after(SignedDuration::from_hours(25)).await;
        let grants = world.items(QUEUE).await;
        let grants = grants.iter().filter(|item| item["work"] == "grant").count();
        let trainer = world.trainer().await;
        let connection = world.get(&trainer, "/v1/zoom/connection").await.expect(200);
        match connection["status"].as_str() {
            Some("connected") => assert_eq!(grants, 1, "{calls}"),
            status => assert_eq!((status, grants), (Some("reauth_required"), 0), "{calls}"),
        }
    }
    let (world, _) = connected().await;
    world.advance(DAY * 80);
    let trainer = world.trainer().await;
    let body = session_body(24 * 90);
    let (report, created) = futures::join!(world.compare(), world.create(&trainer, &body));
    created.expect(201);
    assert_eq!(report["failed"], 0, "{report}");
    let connection = world.get(&trainer, "/v1/zoom/connection").await.expect(200);
    assert_eq!(connection["status"], "connected");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grant_that_zoom_has_ended_is_reported_to_its_trainer() {
    let (world, _) = connected().await;
    // No sweep has run for ten days.
    world.compare_after(DAY * 91).await;
    let trainer = world.trainer().await;
    let connection = world.get(&trainer, "/v1/zoom/connection").await.expect(200);
    assert_eq!(connection["status"], "reauth_required");
    let pending = world.pending_notifications().await;
    assert!(pending.iter().any(|(event, _)| event == "reauth_required"), "{pending:?}");
    let left = world.items(QUEUE).await;
    assert!(left.iter().all(|item| item["work"] != "grant"), "{left:?}");
}
