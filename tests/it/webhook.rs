//! Zoom's events: which requests are accepted, which events are stored, and their effects in any order and with
//! repetitions.

mod drift;
mod event_order;
mod grants;
mod join_credentials;
mod other_numbers;
mod restarts;
mod rotation;

use futures::future::join_all;
use http::Method;
use jiff::SignedDuration;
use local::calls::Service::{Dynamodb, Zoom};
use local::faults::{Fault, FaultKind};
use serde_json::{Value, json};
use shared::config::names;

use self::event_order::events_of_two_instances;
use crate::functions::{DirectFunctions, gateway_event, set_secret};
use crate::support::patched;
use crate::world::{World, course_session_body};
use crate::zoom_session::{
    ScheduledSession, WebhookSignature, post_signed, post_with_headers, simulate,
};

/// A world with `trainer-1` connected in the app's account, and a session of theirs.
async fn world_with_session() -> (World, String, ScheduledSession) {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    let session = ScheduledSession::schedule_for_course(&world, &trainer).await;
    (world, trainer, session)
}

/// The stored Zoom events.
async fn stored_events(world: &World) -> Vec<Value> {
    let all = world.items("MEETING#").await.into_iter();
    all.filter(|item| item["sk"].as_str().is_some_and(|sk| sk.starts_with("EVENT#"))).collect()
}

async fn status(world: &World, trainer: &str, session: &ScheduledSession) -> String {
    let shown = session.fetch(world, trainer).await;
    shown["status"].as_str().expect("a word").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rehearsal_leaves_the_session_scheduled() {
    let (world, trainer, session) = world_with_session().await;
    let student = world.student(1).await;
    let (from, to) = (-20 * 60, -20 * 60 + 5);
    session.post_event(&world, &session.started("r", from)).await;
    session.post_event(&world, &session.joined("r", "c", from + 1)).await;
    assert_eq!(status(&world, &trainer, &session).await, "live", "the meeting has started");
    session.post_event(&world, &session.left("r", "c", to)).await;
    session.post_event(&world, &session.ended("r", from, to)).await;
    let shown = session.fetch(&world, &trainer).await;
    assert_eq!(
        (&shown["status"], &shown["actual_started_at"], &shown["actual_ended_at"]),
        (&json!("scheduled"), &Value::Null, &Value::Null)
    );
    let listed = world.list_items(&student, "/v1/me/sessions").await;
    assert_eq!(
        (&listed[0]["status"], &listed[0]["join"]["state"]),
        (&json!("scheduled"), &json!("too_early"))
    );
    let attendance = format!("{}/attendance", session.path);
    let report = world.get(&trainer, &attendance).await.expect(200);
    assert_eq!((&report["held_minutes"], &report["present"]), (&json!(0), &json!(0)));
    assert_eq!(report["attendees"].as_array().map(Vec::len), Some(5), "{report}");
    let timeline = world.list_items(&trainer, &format!("{}/timeline", session.path)).await;
    assert_eq!(timeline.len(), 4, "the timeline shows the rehearsal: {timeline:?}");
    // The session can still be edited.
    let renamed = patched(course_session_body(26), json!({"title": "Algebra II"}));
    world.put(&trainer, &session.path, renamed).await.expect(200);

    world.advance(session.at(-5).duration_since(world.now()));
    let trainer = world.trainer().await;
    session.post_event(&world, &session.started("u", -5)).await;
    assert_eq!(status(&world, &trainer, &session).await, "live");
    let live: Vec<_> = world.due_work("OUTBOX").await;
    assert_eq!(live.iter().filter(|item| item["reminder"] == "start").count(), 1, "{live:?}");
    world.advance(SignedDuration::from_mins(65));
    session.post_event(&world, &session.ended("u", -5, 60)).await;
    // The end of the rehearsal again, late.
    session.post_event(&world, &session.ended("r", from, to)).await;
    let shown = session.fetch(&world, &trainer).await;
    assert_eq!(
        (&shown["status"], &shown["actual_started_at"], &shown["actual_ended_at"]),
        (&json!("ended"), &json!(session.at(-5)), &json!(session.at(60)))
    );
    assert_eq!(world.get(&trainer, &attendance).await.expect(200)["held_minutes"], 65);
}

/// A function URL event, signed now with the stack's secret.
fn signed(world: &World, body: &str) -> Value {
    let mut event = gateway_event("POST", "/", "", Some(body));
    for (name, value) in WebhookSignature::sign(world.now(), body.as_bytes()).headers() {
        event["headers"][name] = json!(value);
    }
    event
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn challenge_is_answered_and_not_stored() {
    let world = World::start().await;
    simulate(&world, "validate-url", json!({})).await;
    world.stack.usage.reset();
    let body = json!({"event": "endpoint.url_validation", "event_ts": 1, "payload": {"plainToken": "qgg8vlvZRS6UYooatFL8Aw"}});
    let response = post_signed(&world, &body.to_string()).await.expect(200);
    // Computed with `printf qgg8vlvZRS6UYooatFL8Aw | openssl dgst -sha256 -hmac local-webhook-secret-token`.
    let encrypted = "21d4966d1adfdacb5b87240248fc9c87ca74f9854a9162ddf0bc5ba5297ef901";
    assert_eq!(
        response,
        json!({"plainToken": "qgg8vlvZRS6UYooatFL8Aw", "encryptedToken": encrypted})
    );
    // An unsigned challenge must fail. Otherwise anyone could obtain the HMAC of any text.
    post_with_headers(&world, body.to_string().as_bytes(), &[])
        .await
        .expect_problem(401, "unauthenticated");
    assert_eq!(world.stack.usage.service_totals("webhook", Dynamodb).calls, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_request_is_rejected_before_any_lookup() {
    let world = World::start().await;
    for method in [Method::GET, Method::PUT, Method::DELETE, Method::HEAD] {
        let response = world.send(method.clone(), "/webhook", &[], Vec::new()).await;
        assert_eq!(response.status, 404, "{method}");
    }
    // The limit is 1 MiB, signed or not.
    let long = |bytes: usize| {
        let frame = json!({"event": "x", "pad": ""}).to_string().len();
        json!({"event": "x", "pad": "p".repeat(bytes - frame)}).to_string()
    };
    let limit = 1024 * 1024;
    assert_eq!(post_signed(&world, &long(limit)).await.status, 200);
    post_signed(&world, &long(limit + 1)).await.expect_problem(413, "payload_too_large");
    let body = vec![b' '; limit + 1];
    post_with_headers(&world, &body, &[]).await.expect_problem(413, "payload_too_large");
    // The long event was stored up to the item limit.
    let stored_events = stored_events(&world).await;
    assert_eq!(stored_events.len(), 1);
    assert!(stored_events[0]["raw"].as_str().is_some_and(|raw| raw.contains("header_only")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn absurd_events_are_stored_and_do_not_spoil_the_report() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    let session = ScheduledSession::schedule_for_course(&world, &trainer).await;
    world.advance_to(session.at(0));
    session.post_event(&world, &session.started("u1", 0)).await;
    session.post_event(&world, &session.joined("u1", "ada", 0)).await;
    let long = "é".repeat(200_000);
    let mut huge = session.joined("u1", "huge", 10);
    huge["payload"]["object"]["participant"]["user_name"] = json!(long);
    huge["payload"]["object"]["topic"] = json!(long);
    session.post_event(&world, &huge).await;
    let mut stranger = session.joined("u1", &long, 10);
    stranger["payload"]["object"]["uuid"] = json!(long);
    session.post_event(&world, &stranger).await;
    let mut recording = session.event(
        "recording.completed",
        session.at(20),
        &json!({"uuid": "u1", "recording_files": [
            {"id": long, "file_type": "MP4", "play_url": format!("https://zoom.us/rec/{long}")}]}),
    );
    session.post_event(&world, &recording).await;
    let file = json!({"id": "f", "file_type": "MP4", "play_url": "https://zoom.us/rec/play/x",
        "recording_start": "0001-01-01T00:00:00Z", "recording_end": "9999-12-30T00:00:00Z"});
    recording["payload"]["object"] =
        json!({"id": session.meeting, "uuid": "u1", "recording_files": vec![file; 1]});
    session.post_event(&world, &recording).await;
    for time in ["0001-01-01T00:00:00Z", "9999-12-30T00:00:00Z"] {
        for (name, field) in [("joined", "join_time"), ("left", "leave_time")] {
            let mut event = match name {
                "joined" => session.joined("u1", time, 30),
                _ => session.left("u1", time, 40),
            };
            event["payload"]["object"]["participant"][field] = json!(time);
            session.post_event(&world, &event).await;
        }
    }
    let mut ended = session.ended("u1", 0, 60);
    ended["payload"]["object"]["start_time"] = json!("0001-01-01T00:00:00Z");
    world.advance_to(session.at(60));
    session.post_event(&world, &session.left("u1", "ada", 60)).await;
    session.post_event(&world, &ended).await;

    let report = world.get(&trainer, &format!("{}/attendance", session.path)).await.expect(200);
    assert_eq!((&report["held_minutes"], &report["counted_minutes"]), (&json!(60), &json!(60)));
    let rows = report["attendees"].as_array().expect("rows").iter();
    let minutes = rows.filter(|row| row["connections"] != 0).map(|row| row["minutes"].as_u64());
    let mut minutes: Vec<_> = minutes.map(|minutes| minutes.expect("a number")).collect();
    minutes.sort_unstable();
    assert_eq!(minutes, [10, 10, 50, 50, 60], "{report:.3000}");
    assert!(report.to_string().len() < 10_000, "{} bytes", report.to_string().len());
    for event in stored_events(&world).await {
        assert!(event.to_string().len() < 100_000, "{}", event.to_string().len());
    }
    let recordings = format!("{}/recordings", session.path);
    let listed = world.get(&trainer, &recordings).await.expect(200);
    let fields = |item: &Value| (item["id"].clone(), item["recorded_at"].clone());
    assert_eq!(
        listed["items"].as_array().expect("items").iter().map(fields).collect::<Vec<_>>(),
        [(json!("f"), Value::Null)]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_webhook_secret_rejects_every_event() {
    let world = World::start().await;
    for secret in [Value::Null, json!("")] {
        let set = patched(local::settings::secrets(), json!({"zoom_webhook_secret_token": secret}));
        set_secret(&world, &set.to_string()).await;
        let direct = DirectFunctions::new(&world, &[]);
        let body = json!({"event": "meeting.started"}).to_string();
        let mut signed_without_secret = gateway_event("POST", "/", "", Some(&body));
        for (name, value) in WebhookSignature::sign_with("", world.now(), body.as_bytes()).headers()
        {
            signed_without_secret["headers"][name] = json!(value);
        }
        for event in [signed(&world, &body), signed_without_secret] {
            let response = direct.invoke("webhook", event, SignedDuration::from_secs(10)).await;
            response.expect_problem(503, "unavailable");
        }
    }
    assert!(stored_events(&world).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replay_window_is_configurable_and_bounded() {
    let world = World::start().await;
    let body = json!({"event": "x", "event_ts": 1}).to_string();
    let event_with_age = |seconds: i64| {
        let at = world.now() - SignedDuration::from_secs(seconds);
        let mut event = gateway_event("POST", "/", "", Some(&body));
        for (name, value) in WebhookSignature::sign(at, body.as_bytes()).headers() {
            event["headers"][name] = json!(value);
        }
        event
    };
    for (minutes, seconds, status) in [
        ("", 90 * 60, 200),
        ("", 90 * 60 + 1, 401),
        ("120", 120 * 60, 200),
        ("120", 120 * 60 + 1, 401),
        ("1440", 86_400, 200),
        ("1440", 86_401, 401),
        ("1440", -300, 200),
        ("1440", -301, 401),
        ("0", 0, 503),
        ("-5", 0, 503),
        // Zoom's last retry would be refused.
        ("89", 0, 503),
        ("1441", 0, 503),
        ("soon", 0, 503),
    ] {
        let direct = DirectFunctions::new(&world, &[(names::WEBHOOK_REPLAY_MINUTES, minutes)]);
        let time = SignedDuration::from_secs(10);
        let response = direct.invoke("webhook", event_with_age(seconds), time).await;
        assert_eq!(response.status, status, "{minutes:?} {seconds}: {}", response.text);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_event_is_requested_again_and_stored_once() {
    let (world, trainer, session) = world_with_session().await;
    let started = session.started("u1", 0).to_string();
    for kind in [FaultKind::Error, FaultKind::Half, FaultKind::Html] {
        world.inject_fault(Fault::new(Dynamodb, "*", kind).for_function("webhook").times(20));
        let response = post_signed(&world, &started).await;
        assert!(
            response.status.is_server_error(),
            "{kind:?}: {} {}",
            response.status,
            response.text
        );
        world.stack.faults.clear();
    }
    // The event is stored, but its effects fail. The next delivery applies them.
    world.inject_fault(
        Fault::new(Dynamodb, "TransactWriteItems", FaultKind::Error)
            .for_function("webhook")
            .times(20),
    );
    let response = post_signed(&world, &started).await;
    assert!(response.status.is_server_error(), "{}", response.status);
    world.stack.faults.clear();
    assert_eq!(status(&world, &trainer, &session).await, "scheduled");
    assert_eq!(post_signed(&world, &started).await.status, 200);
    assert_eq!(status(&world, &trainer, &session).await, "live");
    assert_eq!(stored_events(&world).await.len(), 1);

    let ended = session.ended("u1", 0, 60).to_string();
    world
        .inject_fault(Fault::new(Dynamodb, "PutItem", FaultKind::Throttle).for_function("webhook"));
    assert_eq!(post_signed(&world, &ended).await.status, 200, "a throttled write is retried");
    assert_eq!(status(&world, &trainer, &session).await, "ended");
    // The write succeeds and its response is lost. The retry finds the stored event.
    let again = session.started("u2", 70).to_string();
    world.inject_fault(Fault::new(Dynamodb, "PutItem", FaultKind::Lost).for_function("webhook"));
    assert_eq!(post_signed(&world, &again).await.status, 200);
    assert_eq!(status(&world, &trainer, &session).await, "live");
    assert_eq!(stored_events(&world).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zoom_retries_until_the_event_is_stored() {
    let (world, trainer, session) = world_with_session().await;
    world.advance(SignedDuration::from_hours(26));
    world.inject_fault(
        Fault::new(Dynamodb, "*", FaultKind::Error).for_function("webhook").times(500),
    );
    session.simulate(&world, "start", json!({})).await;
    world.stack.faults.clear();
    // The third and last retry carries the timestamp of the first attempt, 85 minutes ago.
    for minutes in [5, 20] {
        world.inject_fault(
            Fault::new(Dynamodb, "*", FaultKind::Error).for_function("webhook").times(500),
        );
        world.advance(SignedDuration::from_mins(minutes));
        world.stack.zoom.deliver_due().await;
        world.stack.faults.clear();
    }
    assert_eq!(status(&world, &trainer, &session).await, "scheduled");
    world.advance(SignedDuration::from_mins(60));
    world.stack.zoom.deliver_due().await;
    assert_eq!(status(&world, &trainer, &session).await, "live");
    let shown = session.fetch(&world, &trainer).await;
    assert_eq!(shown["actual_started_at"], json!(session.starts_at));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_first_join_is_processed_when_it_is_repeated() {
    let (world, trainer, session) = world_with_session().await;
    let joined = session.joined("u1", "c1", 1).to_string();
    world.inject_fault(
        Fault::new(Dynamodb, "TransactWriteItems", FaultKind::Error)
            .for_function("webhook")
            .times(20),
    );
    assert!(post_signed(&world, &joined).await.status.is_server_error());
    world.stack.faults.clear();
    assert_eq!(post_signed(&world, &joined).await.status, 200);
    assert_eq!(status(&world, &trainer, &session).await, "live", "the start was lost");
    // From now on a repetition is one write.
    world.stack.usage.reset();
    assert_eq!(post_signed(&world, &joined).await.status, 200);
    let tally = world.stack.usage.service_totals("webhook", Dynamodb);
    assert_eq!((tally.calls, tally.write_units, tally.read_units), (1, 1.0, 0.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn earliest_join_replaces_a_lost_start_in_any_order() {
    for order in [[3, 1, 2], [1, 2, 3], [2, 3, 1]] {
        let (world, trainer, session) = world_with_session().await;
        for minute in order {
            let joined = session.joined("u1", &format!("c{minute}"), minute);
            assert_eq!(post_signed(&world, &joined.to_string()).await.status, 200);
        }
        let shown = session.fetch(&world, &trainer).await;
        assert_eq!(shown["actual_started_at"], json!(session.at(1)), "{order:?}");
        // A later join is one write.
        world.stack.usage.reset();
        session.post_event(&world, &session.joined("u1", "c9", 9)).await;
        let tally = world.stack.usage.service_totals("webhook", Dynamodb);
        assert_eq!((tally.calls, tally.write_units, tally.read_units), (1, 1.0, 0.0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn irrelevant_event_is_stored_once_and_changes_nothing_else() {
    let (world, trainer, session) = world_with_session().await;
    let timeline = format!("{}/timeline", session.path);
    let before =
        (session.fetch(&world, &trainer).await, world.list_items(&trainer, &timeline).await);
    let class_items = world.items("SESSION#").await;
    let at = session.at(0);
    let other = |mut event: Value| {
        event["payload"]["account_id"] = json!("somebody-elses-account");
        event.to_string()
    };
    let unknown_meeting = ScheduledSession {
        meeting: 98_765_432_101,
        account: session.account.clone(),

        path: String::new(),
        starts_at: at,
    };
    let files = json!({"uuid": "u", "recording_files": [{"id": "f", "play_url": "https://zoom.us/rec/play/x", "file_type": "MP4"}]});
    let bodies = [
        // Events of unknown meetings.
        unknown_meeting.started("u1", 0).to_string(),
        unknown_meeting.joined("u1", "c", 0).to_string(),
        unknown_meeting.event("recording.completed", at, &files).to_string(),
        unknown_meeting.event("meeting.deleted", at, &json!({})).to_string(),
        // Events of another account's meeting with the same number.
        other(session.started("u2", 0)),
        other(session.ended("u2", 0, 60)),
        other(session.joined("u3", "c", 0)),
        other(session.event("recording.completed", at, &files)),
        other(session.event("recording.deleted", at, &files)),
        other(session.event("meeting.deleted", at, &json!({}))),
        other(session.event("meeting.updated", at, &json!({"topic": "Another"}))),
        // Incomplete or unknown events.
        json!({"event": "meeting.started", "event_ts": 1, "payload": {"account_id": session.account}}).to_string(),
        json!({"event": "meeting.ended", "event_ts": 1, "payload": Value::Null}).to_string(),
        json!({"event": "app_deauthorized", "payload": {"user_id": "nobody-we-know"}}).to_string(),
        json!({"event": "user.deactivated", "event_ts": 1, "payload": {"object": {"id": "nobody"}}}).to_string(),
        json!({"event": "something.new", "event_ts": 1, "more": {"deep": [1]}}).to_string(),
        json!({"event": "without.a.time"}).to_string(),
        json!({"event": 7}).to_string(),
        json!([1, 2]).to_string(),
        "null".to_owned(),
        "7".to_owned(),
        "not JSON".to_owned(),
        String::new(),
        r#"{"event":"meeting.started""#.to_owned(),
        "\u{0}".to_owned(),
    ];
    for minutes in [0, 5] {
        // The repetition arrives later, like Zoom's retries.
        world.advance(SignedDuration::from_mins(minutes));
        for body in &bodies {
            let response = post_signed(&world, body).await;
            assert_eq!(response.status, 200, "{body}: {}", response.text);
        }
    }
    // Invalid UTF-8.
    let bytes = b"{\"event\":\"x\xff\"}";
    let seal = WebhookSignature::sign(world.now(), bytes);
    assert_eq!(post_with_headers(&world, bytes, &seal.headers()).await.status, 200);

    // A deauthorization names a person and is not stored.
    assert_eq!(stored_events(&world).await.len(), bodies.len() - 1 + 1);
    let after =
        (session.fetch(&world, &trainer).await, world.list_items(&trainer, &timeline).await);
    assert_eq!(after, before);
    assert_eq!(world.items("SESSION#").await, class_items);
    assert_eq!(world.stack.usage.service_totals("webhook", Zoom).calls, 0);
    let connection = world.get(&trainer, "/v1/zoom/connection").await.expect(200);
    assert_eq!(connection["status"], "connected");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_and_repeated_event_is_stored_and_applied_once() {
    let (world, trainer, session) = world_with_session().await;
    // A second sandbox.
    let direct = DirectFunctions::new(&world, &[]);
    let events = [
        session.started("u1", 0),
        session.joined("u1", "c1", 1),
        session.left("u1", "c1", 2),
        session.ended("u1", 0, 60),
    ];
    for (n, event) in events.iter().enumerate() {
        let body = event.to_string();
        let indented = format!("{event:#}");
        let here = (0..10).map(|n| post_signed(&world, if n % 2 == 0 { &body } else { &indented }));
        let there = (0..10).map(|_| {
            direct.invoke("webhook", signed(&world, &body), SignedDuration::from_secs(20))
        });
        let (here, there) = futures::join!(join_all(here), join_all(there));
        for response in here.into_iter().chain(there) {
            assert_eq!(response.status, 200, "{body}: {}", response.text);
        }
        assert_eq!(stored_events(&world).await.len(), n + 1);
    }
    let shown = session.fetch(&world, &trainer).await;
    assert_eq!(shown["status"], "ended");
    assert_eq!(shown["version"], 1, "Zoom's events do not count as edits");
    assert_eq!(shown["actual_started_at"], json!(session.at(0)));
    assert_eq!(shown["actual_ended_at"], json!(session.at(60)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelled_session_stays_cancelled_after_meeting_events() {
    let (world, trainer, session) = world_with_session().await;
    session.post_event(&world, &session.started("first", 0)).await;
    world.post(&trainer, &format!("{}/cancel", session.path), json!({})).await.expect(200);
    for event in events_of_two_instances(&session) {
        session.post_event(&world, &event).await;
        assert_eq!(status(&world, &trainer, &session).await, "cancelled");
    }
    // Concurrently.
    let session = ScheduledSession::schedule_for_course(&world, &trainer).await;
    let cancel = format!("{}/cancel", session.path);
    let events = events_of_two_instances(&session);
    let deliveries = join_all(events.iter().map(|event| session.post_event(&world, event)));
    let (_, cancelled) = futures::join!(deliveries, world.post(&trainer, &cancel, json!({})));
    let found = status(&world, &trainer, &session).await;
    // The session may have ended before the cancellation.
    assert_eq!(found, if cancelled.status == 200 { "cancelled" } else { "ended" });
}
