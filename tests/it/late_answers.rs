//! Zoom carries out a call after its caller has given up, or does not answer. Afterwards Zoom's meetings, the stored sessions
//! and the counters agree.

use std::collections::BTreeMap;

use http::Method;
use jiff::{SignedDuration, Timestamp};
use local::calls::Service;
use local::faults::{Fault, FaultKind};
use serde_json::{Value, json};

use crate::support::{items, monthly_session_count, patched, session_path};
use crate::world::{World, session_body};

/// The waits after which a sweep runs. A repair looks in the first two and the last one. Zoom carries out late calls at the
/// third, too, before their tokens expire.
const CHECKS: [SignedDuration; 4] = [
    SignedDuration::from_secs(90),
    SignedDuration::from_mins(10),
    SignedDuration::from_mins(25),
    SignedDuration::from_mins(35),
];
const MONTH: &str = "2026-11";

/// Runs the sweep at every time at which a repair looks. Zoom has carried out its deferred calls by then.
pub(crate) async fn finish_repairs(world: &World) {
    world.stack.faults.clear();
    for wait in CHECKS {
        world.advance(wait);
        world.stack.wire.run_deferred_calls().await;
        world.stack.zoom.deliver_due().await;
        world.sweep().await;
        world.stack.zoom.deliver_due().await;
    }
}

/// Returns the creates and edits that we have counted for all Zoom users, and those that Zoom has counted.
fn daily_writes(world: &World, dump: &[Value]) -> (i64, i64) {
    let ours = items(dump, "ZOOMDAY#");
    let ours = ours.iter().map(|item| item["count"].as_i64().expect("a number")).sum();
    let snapshot = world.stack.zoom.snapshot();
    let of_users = snapshot["daily_writes"].as_object().expect("a map").values();
    (ours, of_users.map(|day| day[1].as_i64().expect("a number")).sum())
}

/// Returns the booked sessions with their start and end in Unix seconds.
pub(crate) fn booked_times(dump: &[Value]) -> BTreeMap<String, (i64, i64)> {
    let days = items(dump, "BOOKINGS#");
    let bookings = days.iter().flat_map(|day| day.as_object().expect("an item"));
    let bookings = bookings.filter(|(name, _)| name.starts_with("ses_"));
    let times = |value: &Value| serde_json::from_value(value.clone()).expect("two times");
    bookings.map(|(name, value)| (name.clone(), times(value))).collect()
}

/// Returns the planned times of sessions like [`booked_times`].
fn times(sessions: &[&Value]) -> BTreeMap<String, (i64, i64)> {
    let times = |session: &Value| {
        let start: Timestamp =
            serde_json::from_value(session["starts_at"].clone()).expect("a time");
        let minutes = session["duration_minutes"].as_i64().expect("a number");
        (start.as_second(), start.as_second() + 60 * minutes)
    };
    let id = |session: &Value| session["id"].as_str().expect("an id").to_owned();
    sessions.iter().map(|session| (id(session), times(session))).collect()
}

/// Checks that each scheduled session of `trainer-1` has one meeting with its values, that no other meeting exists, and that
/// the counters fit. Zoom may have carried out every unanswered call, so our daily count may be higher than Zoom's.
pub(crate) async fn check_agreement(world: &World, trainer: &str, context: &str) {
    check_agreement_after_own_writes(world, trainer, 0, context).await;
}

/// Like [`check_agreement`], after writes of the trainer at Zoom, which we cannot count.
async fn check_agreement_after_own_writes(
    world: &World,
    trainer: &str,
    own_writes: i64,
    context: &str,
) {
    let sessions = world.list_items(trainer, "/v1/sessions").await;
    let scheduled: Vec<_> =
        sessions.iter().filter(|session| session["status"] == "scheduled").collect();
    assert_eq!(world.meetings().len(), scheduled.len(), "{context}: {:?}", world.meetings());
    for session in &scheduled {
        let shown = world.get(trainer, &session_path(session)).await.expect(200);
        let meeting = world.meeting_of(&shown);
        let recording = if shown["record_session"] == true { "cloud" } else { "none" };
        let of_session =
            json!([shown["title"], shown["starts_at"], shown["duration_minutes"], recording]);
        let of_meeting = json!([
            meeting["topic"],
            meeting["start_time"],
            meeting["duration"],
            meeting["settings"]["auto_recording"]
        ]);
        assert_eq!(of_session, of_meeting, "{context}");
        let description = shown["description"].as_str().unwrap_or_default();
        let agenda = meeting["agenda"].as_str().expect("an agenda");
        assert!(agenda.starts_with(description), "{context}: {agenda}");
        assert!(agenda.len() < description.len() + 60, "{context}: {agenda}");
        for (name, value) in shown["settings"].as_object().expect("settings") {
            assert_eq!(&meeting["settings"][name], value, "{context}: {name}");
        }
        assert_eq!(meeting["settings"]["waiting_room"], shown["settings"]["waiting_room"] == true);
        assert_eq!(shown["drift"], json!([]), "{context}");
    }
    let dump = world.dump().await;
    for month in [MONTH, "2026-12"] {
        let of_month = |session: &&&Value| {
            session["starts_at"].as_str().is_some_and(|start| start.starts_with(month))
        };
        let expected = scheduled.iter().filter(of_month).count();
        let counted = monthly_session_count(&dump, "trainer-1", month);
        assert_eq!(usize::try_from(counted), Ok(expected), "{context}: {month}");
    }
    assert_eq!(booked_times(&dump), times(&scheduled), "{context}: bookings");
    let (ours, zooms) = daily_writes(world, &dump);
    let zooms = zooms - own_writes;
    assert!(ours >= zooms, "{context}: {ours} of {zooms} writes are counted");
    assert_eq!(crate::support::due_work(&dump, "REPAIR"), Vec::<Value>::new(), "{context}");
    assert!(
        !items(&dump, "SESSION#").iter().any(|item| item["edit_lease_holder"].is_string()),
        "{context}: a lease is left"
    );
}

async fn connected_trainer() -> (World, String) {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    (world, trainer)
}

fn defer(operation: &str, times: u32) -> Fault {
    Fault::new(Service::Zoom, operation, FaultKind::Deferred).times(times)
}

/// An edit of every field that Zoom has.
fn other_body() -> Value {
    let changes = json!({
        "title": "Geometry",
        "description": "With circles.",
        "starts_at": "2026-11-25T09:00:00Z",
        "duration_minutes": 90,
        "record_session": true,
        "settings": {"waiting_room": true, "watermark": true},
    });
    patched(session_body(50), changes)
}

/// Sends a request to Zoom as its user, without our system.
async fn at_zoom(world: &World, method: Method, path: &str, body: Value) {
    let snapshot = world.stack.zoom.snapshot();
    let token = snapshot["access_tokens"].as_object().expect("tokens").keys().next().expect("one");
    let path = format!("/zoom/v2{path}");
    let response = world.call(method, &path, token, Some(body), &[]).await;
    assert!(response.status.is_success(), "{}", response.text);
}

fn meeting_path(session: &Value) -> String {
    format!("/meetings/{}", session["meeting"]["id"].as_str().expect("an id"))
}

/// Sends a create. Zoom's response is lost, and the list of meetings fails as well.
async fn create_unanswered(world: &World, trainer: &str, body: &Value) {
    world.inject_zoom_fault("create_meeting", FaultKind::Lost);
    world.inject_fault(Fault::new(Service::Zoom, "list_meetings", FaultKind::Error).times(2));
    world
        .create_with_idempotency_key(trainer, "k", body)
        .await
        .expect_problem(502, "zoom_unavailable");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edit_that_zoom_carries_out_late_is_reverted() {
    // Before the first check, before the second and before the last.
    for (minutes, webhooks_lost) in [(1, false), (5, false), (5, true), (30, false)] {
        let (world, trainer) = connected_trainer().await;
        let session = world.create(&trainer, &session_body(50)).await.expect(201);
        world
            .inject_fault(Fault { delay_ms: Some(minutes * 60_000), ..defer("update_meeting", 2) });
        world.edit(&trainer, &session, &other_body()).await.expect_problem(502, "zoom_unavailable");
        if webhooks_lost {
            let knobs = json!({"webhooks": {"drop": 100}});
            world.post("", "/zoom/sim/knobs", knobs).await.expect(200);
        }
        finish_repairs(&world).await;
        let context = format!("{minutes} minutes, webhooks lost: {webhooks_lost}");
        assert!(world.meeting_updates(&session).len() > 2, "{context}: restored");
        check_agreement(&world, &trainer, &context).await;
        let shown = world.get(&trainer, &session_path(&session)).await.expect(200);
        assert_eq!(shown, session, "{context}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn own_change_at_zoom_during_a_repair_is_flagged_and_kept() {
    for webhooks_lost in [false, true] {
        let (world, trainer) = connected_trainer().await;
        let session = world.create(&trainer, &session_body(50)).await.expect(201);
        if webhooks_lost {
            let knobs = json!({"webhooks": {"drop": 100}});
            world.post("", "/zoom/sim/knobs", knobs).await.expect(200);
        }
        world.inject_fault(defer("update_meeting", 2));
        world.edit(&trainer, &session, &other_body()).await.expect_problem(502, "zoom_unavailable");
        world.advance(SignedDuration::from_mins(6));
        world.stack.wire.run_deferred_calls().await;
        // The trainer changes two of the fields to values that nobody sent, and one that was not sent.
        let own = json!({"duration": 45, "settings": {"auto_recording": "local", "join_before_host": false, "waiting_room": false}});
        at_zoom(&world, Method::PATCH, &meeting_path(&session), own).await;
        finish_repairs(&world).await;
        let meeting = world.meeting_of(&session);
        assert_eq!(
            (&meeting["topic"], &meeting["duration"], &meeting["settings"]["auto_recording"]),
            (&json!("Algebra I"), &json!(45), &json!("local")),
            "{webhooks_lost}"
        );
        assert_eq!(meeting["settings"]["watermark"], false);
        assert!(!meeting["agenda"].as_str().expect("an agenda").contains("circles"));
        let shown = world.get(&trainer, &session_path(&session)).await.expect(200);
        assert_eq!(shown["drift"], json!(["duration_minutes", "record_session"]));
        // The next edit corrects it.
        let renamed = patched(session_body(50), json!({"title": "Algebra II"}));
        let edited = world.edit(&trainer, &session, &renamed).await.expect(200);
        assert_eq!(edited["drift"], json!([]));
        world.stack.zoom.deliver_due().await;
        check_agreement_after_own_writes(&world, &trainer, 1, "after the edit").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recording_and_settings_changed_at_zoom_are_drift() {
    let (world, trainer) = connected_trainer().await;
    let session = world.create(&trainer, &session_body(50)).await.expect(201);
    world.advance(SignedDuration::from_mins(1));
    let own = json!({"agenda": "Changed", "settings": {"auto_recording": "cloud", "waiting_room": true, "mute_upon_entry": true}});
    at_zoom(&world, Method::PATCH, &meeting_path(&session), own).await;
    world.stack.zoom.deliver_due().await;
    let shown = world.get(&trainer, &session_path(&session)).await.expect(200);
    let drift = json!(["description", "record_session", "settings.waiting_room"]);
    assert_eq!(shown["drift"], drift, "the class sets no sound");
    world.advance(SignedDuration::from_mins(1));
    let renamed = patched(session_body(50), json!({"title": "Algebra II"}));
    world.edit(&trainer, &session, &renamed).await.expect(200);
    world.stack.zoom.deliver_due().await;
    check_agreement_after_own_writes(&world, &trainer, 1, "after the edit").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_attempt_of_an_answered_edit_does_not_undo_a_newer_one() {
    let (world, trainer) = connected_trainer().await;
    let session = world.create(&trainer, &session_body(50)).await.expect(201);
    world.inject_fault(defer("update_meeting", 1));
    world.edit(&trainer, &session, &other_body()).await.expect(200);
    world.advance(SignedDuration::from_secs(10));
    let newer = patched(session_body(50), json!({"title": "Stereometry"}));
    world.edit(&trainer, &session, &newer).await.expect(200);
    finish_repairs(&world).await;
    assert_eq!(world.meeting_of(&session)["topic"], "Stereometry");
    check_agreement(&world, &trainer, "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unanswered_restore_is_under_repair_too() {
    let (world, trainer) = connected_trainer().await;
    let session = world.create(&trainer, &session_body(50)).await.expect(201);
    world.inject_fault(Fault::new(Service::Zoom, "update_meeting", FaultKind::Lost).times(2));
    world.edit(&trainer, &session, &other_body()).await.expect_problem(502, "zoom_unavailable");
    world.advance(SignedDuration::from_secs(90));
    // Zoom carries out the restore only after the next edit.
    world.inject_fault(Fault { delay_ms: Some(240_000), ..defer("update_meeting", 2) });
    assert_eq!(world.sweep().await["postponed"], 1);
    let newer = patched(session_body(50), json!({"title": "Stereometry", "duration_minutes": 75}));
    world.edit(&trainer, &session, &newer).await.expect(200);
    finish_repairs(&world).await;
    assert_eq!(world.meeting_of(&session)["topic"], "Stereometry");
    check_agreement(&world, &trainer, "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_meeting_is_deleted_whatever_happened_to_its_session() {
    for (minutes, then) in [
        (1, "nothing"),
        (5, "nothing"),
        (30, "nothing"),
        (1, "cancel"),
        (5, "cancel"),
        (1, "edit"),
        (5, "edit"),
        (1, "unanswered edit"),
        (5, "unanswered edit"),
        (5, "at once"),
    ] {
        let context = format!("{minutes} minutes, then {then}");
        let (world, trainer) = connected_trainer().await;
        world
            .inject_fault(Fault { delay_ms: Some(minutes * 60_000), ..defer("create_meeting", 1) });
        let body = session_body(50);
        world
            .create_with_idempotency_key(&trainer, "k", &body)
            .await
            .expect_problem(502, "zoom_unavailable");
        if then != "nothing" {
            // At once, both attempts have a repair that is due at the same time.
            let wait = if then == "at once" { 0 } else { 31 };
            world.advance(SignedDuration::from_secs(wait));
            let session = world.create_with_idempotency_key(&trainer, "k", &body).await.expect(201);
            match then {
                "cancel" => drop(world.cancel(&trainer, &session).await.expect(200)),
                "edit" => drop(world.edit(&trainer, &session, &other_body()).await.expect(200)),
                "unanswered edit" => {
                    let lost = Fault::new(Service::Zoom, "update_meeting", FaultKind::Lost);
                    world.inject_fault(lost.times(2));
                    let edited = world.edit(&trainer, &session, &other_body()).await;
                    edited.expect_problem(502, "zoom_unavailable");
                }
                _ => {}
            }
        }
        finish_repairs(&world).await;
        check_agreement(&world, &trainer, &context).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mark_with_text_behind_it_is_found() {
    for agenda in ["{}\nSee you there!", "Notes\n\n{} (moved)", "{}\r\n[live class nonsense]"] {
        let (world, trainer) = connected_trainer().await;
        create_unanswered(&world, &trainer, &session_body(50)).await;
        let stray = &world.meetings()[0];
        let mark = stray["agenda"].as_str().expect("an agenda");
        let changed = json!({"agenda": agenda.replace("{}", mark)});
        at_zoom(&world, Method::PATCH, &format!("/meetings/{}", stray["id"]), changed).await;
        finish_repairs(&world).await;
        assert_eq!(world.meetings(), Vec::<Value>::new(), "{agenda}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn meeting_of_a_session_with_a_copied_agenda_is_kept() {
    let (world, trainer) = connected_trainer().await;
    let session = world.create(&trainer, &session_body(50)).await.expect(201);
    create_unanswered(&world, &trainer, &session_body(50)).await;
    let stray = world.meetings().into_iter().find(|meeting| *meeting != world.meeting_of(&session));
    let copied = json!({"agenda": stray.expect("a stray")["agenda"]});
    at_zoom(&world, Method::PATCH, &meeting_path(&session), copied).await;
    finish_repairs(&world).await;
    assert_eq!(world.meetings().len(), 1);
    assert_eq!(world.meeting_of(&session)["status"], "waiting");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn list_of_meetings_that_ends_at_its_page_limit_is_an_error() {
    let (world, trainer) = connected_trainer().await;
    for hours in 30..41 {
        world.create(&trainer, &session_body(hours)).await.expect(201);
    }
    create_unanswered(&world, &trainer, &session_body(50)).await;
    let knobs = json!({"list_page_size": 1});
    world.post("", "/zoom/sim/knobs", knobs).await.expect(200);
    world.advance(SignedDuration::from_secs(31));
    // The retry cannot exclude that a meeting exists, so it creates none.
    world
        .create_with_idempotency_key(&trainer, "k", &session_body(50))
        .await
        .expect_problem(502, "zoom_unavailable");
    assert_eq!(world.meetings().len(), 12);
    world.advance(SignedDuration::from_secs(31));
    let report = world.sweep().await;
    assert!(report["postponed"].as_u64() > Some(0), "{report}");
    assert_eq!(world.monthly_session_count("trainer-1", MONTH).await, 11);
    let knobs = json!({"list_page_size": null});
    world.post("", "/zoom/sim/knobs", knobs).await.expect(200);
    finish_repairs(&world).await;
    check_agreement(&world, &trainer, "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn list_of_meetings_with_an_expired_page_is_read_from_its_start() {
    let (world, trainer) = connected_trainer().await;
    for hours in 30..33 {
        world.create(&trainer, &session_body(hours)).await.expect(201);
    }
    create_unanswered(&world, &trainer, &session_body(50)).await;
    let knobs = json!({"list_page_size": 1, "expired_pages": 2});
    world.post("", "/zoom/sim/knobs", knobs).await.expect(200);
    world.advance(SignedDuration::from_secs(31));
    world.create_with_idempotency_key(&trainer, "k", &session_body(50)).await.expect(201);
    assert_eq!(world.meetings().len(), 4, "the meeting of the first attempt is adopted");
    finish_repairs(&world).await;
    check_agreement(&world, &trainer, "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_adoption_gives_the_monthly_quota_back() {
    let (world, trainer) = connected_trainer().await;
    create_unanswered(&world, &trainer, &session_body(50)).await;
    world.advance(SignedDuration::from_secs(31));
    world.inject_fault(Fault::new(Service::Zoom, "list_meetings", FaultKind::Error).times(2));
    world
        .create_with_idempotency_key(&trainer, "k", &session_body(50))
        .await
        .expect_problem(502, "zoom_unavailable");
    assert_eq!(world.monthly_session_count("trainer-1", MONTH).await, 0);
    let (ours, zooms) = daily_writes(&world, &world.dump().await);
    assert_eq!((ours, zooms), (1, 1), "the adoption has created nothing");
    // The next attempt need not wait, and adopts the meeting.
    world.create_with_idempotency_key(&trainer, "k", &session_body(50)).await.expect(201);
    let (ours, zooms) = daily_writes(&world, &world.dump().await);
    assert_eq!((ours, zooms), (1, 1), "the adoption has created nothing");
    finish_repairs(&world).await;
    check_agreement(&world, &trainer, "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_repair_gives_the_monthly_quota_back_once() {
    let (world, trainer) = connected_trainer().await;
    // The request cannot give the quota back.
    let failing = Fault::new(Service::Dynamodb, "TransactWriteItems", FaultKind::Error).after(1);
    world.inject_fault(failing.for_function("session-save").times(6));
    create_unanswered(&world, &trainer, &session_body(50)).await;
    world.stack.faults.clear();
    assert_eq!(world.monthly_session_count("trainer-1", MONTH).await, 1);
    world.advance(SignedDuration::from_secs(90));
    for _ in 0..2 {
        world.inject_fault(Fault::new(Service::Zoom, "list_meetings", FaultKind::Error).times(2));
        assert_eq!(world.sweep().await["postponed"], 1);
        assert_eq!(world.monthly_session_count("trainer-1", MONTH).await, 0);
        world.advance(SignedDuration::from_mins(10));
    }
    finish_repairs(&world).await;
    check_agreement(&world, &trainer, "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_calls_are_not_counted_for_the_day() {
    let (world, trainer) = connected_trainer().await;
    let session = world.create(&trainer, &session_body(50)).await.expect(201);
    let refusals = [
        (FaultKind::Throttle, 429, "zoom_rate_limited"),
        (FaultKind::Daily, 429, "zoom_rate_limited"),
    ];
    for (kind, status, code) in refusals {
        world.inject_zoom_fault("create_meeting", kind);
        let refused = world.create(&trainer, &session_body(60)).await;
        refused.expect_problem(status, code);
        world.inject_zoom_fault("update_meeting", kind);
        let refused = world.edit(&trainer, &session, &other_body()).await;
        refused.expect_problem(status, code);
        let (ours, zooms) = daily_writes(&world, &world.dump().await);
        assert_eq!((ours, zooms), (1, 1), "{kind:?}");
    }
    // Zoom counts both attempts of an edit if the first response is lost.
    world.inject_zoom_fault("update_meeting", FaultKind::Lost);
    world.edit(&trainer, &session, &other_body()).await.expect(200);
    let (ours, zooms) = daily_writes(&world, &world.dump().await);
    assert_eq!((ours, zooms), (3, 3));
    finish_repairs(&world).await;
    check_agreement(&world, &trainer, "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusal_after_an_unanswered_attempt_leaves_the_edit_under_repair() {
    let (world, trainer) = connected_trainer().await;
    let session = world.create(&trainer, &session_body(50)).await.expect(201);
    world.inject_zoom_fault("update_meeting", FaultKind::Lost);
    world.inject_zoom_fault("update_meeting", FaultKind::Throttle);
    world.edit(&trainer, &session, &other_body()).await.expect_problem(502, "zoom_unavailable");
    assert_eq!(world.meeting_of(&session)["topic"], "Geometry");
    finish_repairs(&world).await;
    check_agreement(&world, &trainer, "").await;
    let shown = world.get(&trainer, &session_path(&session)).await.expect(200);
    assert_eq!(shown, session);
}
