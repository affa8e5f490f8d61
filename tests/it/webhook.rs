//! Zoom's events: what is let in, what is kept, and what follows, in whatever order and however often they come.

mod drift;
mod entrance;
mod grants;
mod order;

use futures::future::join_all;
use http::Method;
use jiff::SignedDuration;
use local::calls::Service::{Dynamodb, Zoom};
use local::faults::{Fault, Kind};
use serde_json::{Value, json};
use shared::config::names;

use self::order::twice;
use crate::direct::{Direct, event};
use crate::lesson::{Lesson, Seal, act, post, post_as};
use crate::look::with;
use crate::world::{World, course_class};

/// A world with `trainer-1` connected inside the app's account, and a class of theirs.
async fn world_and_lesson() -> (World, String, Lesson) {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    let lesson = Lesson::schedule(&world, &trainer).await;
    (world, trainer, lesson)
}

/// What is kept of Zoom's events.
async fn kept(world: &World) -> Vec<Value> {
    let all = world.items("MEETING#").await.into_iter();
    all.filter(|item| item["sk"].as_str().is_some_and(|sk| sk.starts_with("EVENT#"))).collect()
}

async fn status(world: &World, trainer: &str, lesson: &Lesson) -> String {
    let shown = lesson.shown(world, trainer).await;
    shown["status"].as_str().expect("a word").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rehearsal_does_not_use_the_class_up() {
    let (world, trainer, lesson) = world_and_lesson().await;
    let student = world.student(1).await;
    let (from, to) = (-20 * 60, -20 * 60 + 5);
    lesson.tell(&world, &lesson.started("r", from)).await;
    lesson.tell(&world, &lesson.joined("r", "c", from + 1)).await;
    assert_eq!(status(&world, &trainer, &lesson).await, "live", "it does run");
    lesson.tell(&world, &lesson.left("r", "c", to)).await;
    lesson.tell(&world, &lesson.ended("r", from, to)).await;
    let shown = lesson.shown(&world, &trainer).await;
    assert_eq!(
        (&shown["status"], &shown["actual_started_at"], &shown["actual_ended_at"]),
        (&json!("scheduled"), &Value::Null, &Value::Null)
    );
    let listed = world.listed(&student, "/v1/me/sessions").await;
    assert_eq!(
        (&listed[0]["status"], &listed[0]["join"]["state"]),
        (&json!("scheduled"), &json!("too_early"))
    );
    let attendance = format!("{}/attendance", lesson.path);
    let report = world.get(&trainer, &attendance).await.expect(200);
    assert_eq!((&report["held_minutes"], &report["present"]), (&json!(0), &json!(0)));
    assert_eq!(report["attendees"].as_array().map(Vec::len), Some(5), "{report}");
    let timeline = world.listed(&trainer, &format!("{}/timeline", lesson.path)).await;
    assert_eq!(timeline.len(), 4, "and yet it is told of: {timeline:?}");
    // It can be edited as before; it is not over.
    let renamed = with(course_class(26), json!({"title": "Algebra II"}));
    world.put(&trainer, &lesson.path, renamed).await.expect(200);

    world.advance(lesson.at(-5).duration_since(world.now()));
    let trainer = world.trainer().await;
    lesson.tell(&world, &lesson.started("u", -5)).await;
    assert_eq!(status(&world, &trainer, &lesson).await, "live");
    let live: Vec<_> = world.due("OUTBOX").await;
    assert_eq!(live.iter().filter(|item| item["reminder"] == "start").count(), 1, "{live:?}");
    world.advance(SignedDuration::from_mins(65));
    lesson.tell(&world, &lesson.ended("u", -5, 60)).await;
    // The end of the rehearsal once more, late.
    lesson.tell(&world, &lesson.ended("r", from, to)).await;
    let shown = lesson.shown(&world, &trainer).await;
    assert_eq!(
        (&shown["status"], &shown["actual_started_at"], &shown["actual_ended_at"]),
        (&json!("ended"), &json!(lesson.at(-5)), &json!(lesson.at(60)))
    );
    assert_eq!(world.get(&trainer, &attendance).await.expect(200)["held_minutes"], 65);
}

/// An event of the function URL, signed now with the stack's secret.
fn signed(world: &World, body: &str) -> Value {
    let mut event = event("POST", "/", "", Some(body));
    for (name, value) in Seal::at(world.now(), body.as_bytes()).headers() {
        event["headers"][name] = json!(value);
    }
    event
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_challenge_is_answered_and_not_kept() {
    let world = World::start().await;
    act(&world, "validate-url", json!({})).await;
    world.stack.usage.reset();
    let body = json!({"event": "endpoint.url_validation", "event_ts": 1, "payload": {"plainToken": "qgg8vlvZRS6UYooatFL8Aw"}});
    let answer = post(&world, &body.to_string()).await.expect(200);
    // Computed with `printf qgg8vlvZRS6UYooatFL8Aw | openssl dgst -sha256 -hmac local-webhook-secret-token`.
    let encrypted = "21d4966d1adfdacb5b87240248fc9c87ca74f9854a9162ddf0bc5ba5297ef901";
    assert_eq!(
        answer,
        json!({"plainToken": "qgg8vlvZRS6UYooatFL8Aw", "encryptedToken": encrypted})
    );
    // One that nobody signed could be asked for the HMAC of anything.
    post_as(&world, body.to_string().as_bytes(), &[]).await.refused(401, "unauthenticated");
    assert_eq!(world.stack.usage.service_totals("webhook", Dynamodb).calls, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_event_is_refused_before_anything_is_looked_up() {
    let world = World::start().await;
    for method in [Method::GET, Method::PUT, Method::DELETE, Method::HEAD] {
        let answer = world.send(method.clone(), "/webhook", &[], Vec::new()).await;
        assert_eq!(answer.status, 404, "{method}");
    }
    // 1 MiB is the most, whether signed or not.
    let long = |bytes: usize| {
        let frame = json!({"event": "x", "pad": ""}).to_string().len();
        json!({"event": "x", "pad": "p".repeat(bytes - frame)}).to_string()
    };
    let most = 1024 * 1024;
    assert_eq!(post(&world, &long(most)).await.status, 200);
    post(&world, &long(most + 1)).await.refused(413, "payload_too_large");
    let body = vec![b' '; most + 1];
    post_as(&world, &body, &[]).await.refused(413, "payload_too_large");
    // The long one was kept, as far as an item can hold it.
    let kept = kept(&world).await;
    assert_eq!(kept.len(), 1);
    assert!(kept[0]["raw"].as_str().is_some_and(|raw| raw.contains("shortened")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_secret_nothing_is_let_in() {
    let world = World::start().await;
    for (n, secret) in [Value::Null, json!("")].into_iter().enumerate() {
        let id = format!("secret-{n}");
        let set = with(local::settings::secrets(), json!({"zoom_webhook_secret_token": secret}));
        world.stack.aws.set_secret(&id, &set.to_string()).await.expect("set");
        let direct = Direct::new(&world, &[(names::CONFIG_SECRET_ID, &id)]);
        let body = json!({"event": "meeting.started"}).to_string();
        let mut empty = event("POST", "/", "", Some(&body));
        for (name, value) in Seal::by("", world.now(), body.as_bytes()).headers() {
            empty["headers"][name] = json!(value);
        }
        for event in [signed(&world, &body), empty] {
            let answer = direct.invoke("webhook", event, SignedDuration::from_secs(10)).await;
            answer.refused(503, "unavailable");
        }
    }
    assert!(kept(&world).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_replay_window_is_the_deployments_and_bounded() {
    let world = World::start().await;
    let body = json!({"event": "x", "event_ts": 1}).to_string();
    let seconds_old = |seconds: i64| {
        let at = world.now() - SignedDuration::from_secs(seconds);
        let mut event = event("POST", "/", "", Some(&body));
        for (name, value) in Seal::at(at, body.as_bytes()).headers() {
            event["headers"][name] = json!(value);
        }
        event
    };
    for (minutes, seconds, status) in [
        ("", 90 * 60, 200),
        ("", 90 * 60 + 1, 401),
        ("10", 600, 200),
        ("10", 601, 401),
        ("1440", 86_400, 200),
        ("1440", 86_401, 401),
        ("1440", -300, 200),
        ("1440", -301, 401),
        ("0", 0, 503),
        ("-5", 0, 503),
        ("1441", 0, 503),
        ("soon", 0, 503),
    ] {
        let direct = Direct::new(&world, &[(names::WEBHOOK_REPLAY_MINUTES, minutes)]);
        let time = SignedDuration::from_secs(10);
        let answer = direct.invoke("webhook", seconds_old(seconds), time).await;
        assert_eq!(answer.status, status, "{minutes:?} {seconds}: {}", answer.text);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_could_not_be_stored_is_asked_for_again_and_then_stored_once() {
    let (world, trainer, lesson) = world_and_lesson().await;
    let started = lesson.started("u1", 0).to_string();
    for kind in [Kind::Error, Kind::Half, Kind::Html] {
        world.fault(Fault::new(Dynamodb, "*", kind).by("webhook").times(20));
        let answer = post(&world, &started).await;
        assert!(answer.status.is_server_error(), "{kind:?}: {} {}", answer.status, answer.text);
        world.stack.faults.clear();
    }
    // Kept at last, but what follows from it could not be stored: the next delivery does that.
    world.fault(Fault::new(Dynamodb, "TransactWriteItems", Kind::Error).by("webhook").times(20));
    let answer = post(&world, &started).await;
    assert!(answer.status.is_server_error(), "{}", answer.status);
    world.stack.faults.clear();
    assert_eq!(status(&world, &trainer, &lesson).await, "scheduled");
    assert_eq!(post(&world, &started).await.status, 200);
    assert_eq!(status(&world, &trainer, &lesson).await, "live");
    assert_eq!(kept(&world).await.len(), 1);

    let ended = lesson.ended("u1", 0, 60).to_string();
    world.fault(Fault::new(Dynamodb, "PutItem", Kind::Throttle).by("webhook"));
    assert_eq!(post(&world, &ended).await.status, 200, "throttled once is tried again");
    assert_eq!(status(&world, &trainer, &lesson).await, "ended");
    // Written, and the answer lost: the try after that finds its own.
    let again = lesson.started("u2", 70).to_string();
    world.fault(Fault::new(Dynamodb, "PutItem", Kind::Lost).by("webhook"));
    assert_eq!(post(&world, &again).await.status, 200);
    assert_eq!(status(&world, &trainer, &lesson).await, "live");
    assert_eq!(kept(&world).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zoom_sends_again_by_its_rule_until_it_is_stored() {
    let (world, trainer, lesson) = world_and_lesson().await;
    world.advance(SignedDuration::from_hours(26));
    world.fault(Fault::new(Dynamodb, "*", Kind::Error).by("webhook").times(500));
    lesson.act(&world, "start", json!({})).await;
    world.stack.faults.clear();
    // The third and last retry carries the timestamp of the first attempt, 85 minutes ago.
    for minutes in [5, 20] {
        world.fault(Fault::new(Dynamodb, "*", Kind::Error).by("webhook").times(500));
        world.advance(SignedDuration::from_mins(minutes));
        world.stack.zoom.deliver_due().await;
        world.stack.faults.clear();
    }
    assert_eq!(status(&world, &trainer, &lesson).await, "scheduled");
    world.advance(SignedDuration::from_mins(60));
    world.stack.zoom.deliver_due().await;
    assert_eq!(status(&world, &trainer, &lesson).await, "live");
    let shown = lesson.shown(&world, &trainer).await;
    assert_eq!(shown["actual_started_at"], json!(lesson.starts_at));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_join_that_could_not_be_followed_up_is_when_it_comes_again() {
    let (world, trainer, lesson) = world_and_lesson().await;
    let joined = lesson.joined("u1", "c1", 1).to_string();
    world.fault(Fault::new(Dynamodb, "TransactWriteItems", Kind::Error).by("webhook").times(20));
    assert!(post(&world, &joined).await.status.is_server_error());
    world.stack.faults.clear();
    assert_eq!(post(&world, &joined).await.status, 200);
    assert_eq!(status(&world, &trainer, &lesson).await, "live", "the start was lost");
    // From now on it is known, and a repetition is one write.
    world.stack.usage.reset();
    assert_eq!(post(&world, &joined).await.status, 200);
    let tally = world.stack.usage.service_totals("webhook", Dynamodb);
    assert_eq!((tally.calls, tally.write_units, tally.read_units), (1, 1.0, 0.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_start_was_lost_the_earliest_join_stands_for_it_whichever_comes_first() {
    for order in [[3, 1, 2], [1, 2, 3], [2, 3, 1]] {
        let (world, trainer, lesson) = world_and_lesson().await;
        for minute in order {
            let joined = lesson.joined("u1", &format!("c{minute}"), minute);
            assert_eq!(post(&world, &joined.to_string()).await.status, 200);
        }
        let shown = lesson.shown(&world, &trainer).await;
        assert_eq!(shown["actual_started_at"], json!(lesson.at(1)), "{order:?}");
        // Whoever comes later than that is one write.
        world.stack.usage.reset();
        lesson.tell(&world, &lesson.joined("u1", "c9", 9)).await;
        let tally = world.stack.usage.service_totals("webhook", Dynamodb);
        assert_eq!((tally.calls, tally.write_units, tally.read_units), (1, 1.0, 0.0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_says_nothing_to_us_is_kept_once_and_changes_nothing_else() {
    let (world, trainer, lesson) = world_and_lesson().await;
    let timeline = format!("{}/timeline", lesson.path);
    let before = (lesson.shown(&world, &trainer).await, world.listed(&trainer, &timeline).await);
    let class_items = world.items("SESSION#").await;
    let at = lesson.at(0);
    let other = |mut event: Value| {
        event["payload"]["account_id"] = json!("somebody-elses-account");
        event.to_string()
    };
    let unknown_meeting = Lesson {
        meeting: 98_765_432_101,
        account: lesson.account.clone(),

        path: String::new(),
        starts_at: at,
    };
    let files = json!({"uuid": "u", "recording_files": [{"id": "f", "play_url": "https://zoom.us/rec/play/x", "file_type": "MP4"}]});
    let bodies = [
        // Unknown meetings.
        unknown_meeting.started("u1", 0).to_string(),
        unknown_meeting.joined("u1", "c", 0).to_string(),
        unknown_meeting.event("recording.completed", at, &files).to_string(),
        unknown_meeting.event("meeting.deleted", at, &json!({})).to_string(),
        // Another account's meeting of the same number.
        other(lesson.started("u2", 0)),
        other(lesson.ended("u2", 0, 60)),
        other(lesson.joined("u3", "c", 0)),
        other(lesson.event("recording.completed", at, &files)),
        other(lesson.event("recording.deleted", at, &files)),
        other(lesson.event("meeting.deleted", at, &json!({}))),
        other(lesson.event("meeting.updated", at, &json!({"topic": "Another"}))),
        // Ours, but nothing to go by.
        json!({"event": "meeting.started", "event_ts": 1, "payload": {"account_id": lesson.account}}).to_string(),
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
        // The second time later, as Zoom repeats.
        world.advance(SignedDuration::from_mins(minutes));
        for body in &bodies {
            let answer = post(&world, body).await;
            assert_eq!(answer.status, 200, "{body}: {}", answer.text);
        }
    }
    // No UTF-8 at all.
    let bytes = b"{\"event\":\"x\xff\"}";
    let seal = Seal::at(world.now(), bytes);
    assert_eq!(post_as(&world, bytes, &seal.headers()).await.status, 200);

    // A deauthorisation names somebody, so it is not kept.
    assert_eq!(kept(&world).await.len(), bodies.len() - 1 + 1);
    let after = (lesson.shown(&world, &trainer).await, world.listed(&trainer, &timeline).await);
    assert_eq!(after, before);
    assert_eq!(world.items("SESSION#").await, class_items);
    assert_eq!(world.stack.usage.service_totals("webhook", Zoom).calls, 0);
    let connection = world.get(&trainer, "/v1/zoom/connection").await.expect(200);
    assert_eq!(connection["status"], "connected");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_event_at_once_and_again_is_one_item_and_one_effect() {
    let (world, trainer, lesson) = world_and_lesson().await;
    // Another sandbox beside the stack's own.
    let direct = Direct::new(&world, &[]);
    let events = [
        lesson.started("u1", 0),
        lesson.joined("u1", "c1", 1),
        lesson.left("u1", "c1", 2),
        lesson.ended("u1", 0, 60),
    ];
    for (n, event) in events.iter().enumerate() {
        let body = event.to_string();
        let indented = format!("{event:#}");
        let here = (0..10).map(|n| post(&world, if n % 2 == 0 { &body } else { &indented }));
        let there = (0..10).map(|_| {
            direct.invoke("webhook", signed(&world, &body), SignedDuration::from_secs(20))
        });
        let (here, there) = futures::join!(join_all(here), join_all(there));
        for answer in here.into_iter().chain(there) {
            assert_eq!(answer.status, 200, "{body}: {}", answer.text);
        }
        assert_eq!(kept(&world).await.len(), n + 1);
    }
    let shown = lesson.shown(&world, &trainer).await;
    assert_eq!(shown["status"], "ended");
    assert_eq!(shown["version"], 1, "Zoom's events are no edits");
    assert_eq!(shown["actual_started_at"], json!(lesson.at(0)));
    assert_eq!(shown["actual_ended_at"], json!(lesson.at(60)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_class_stays_cancelled_whatever_its_meeting_does() {
    let (world, trainer, lesson) = world_and_lesson().await;
    lesson.tell(&world, &lesson.started("first", 0)).await;
    world.post(&trainer, &format!("{}/cancel", lesson.path), json!({})).await.expect(200);
    for event in twice(&lesson) {
        lesson.tell(&world, &event).await;
        assert_eq!(status(&world, &trainer, &lesson).await, "cancelled");
    }
    // At the same time.
    let lesson = Lesson::schedule(&world, &trainer).await;
    let cancel = format!("{}/cancel", lesson.path);
    let events = twice(&lesson);
    let told = join_all(events.iter().map(|event| lesson.tell(&world, event)));
    let (_, cancelled) = futures::join!(told, world.post(&trainer, &cancel, json!({})));
    let found = status(&world, &trainer, &lesson).await;
    // It may have ended before it could be cancelled.
    assert_eq!(found, if cancelled.status == 200 { "cancelled" } else { "ended" });
}
