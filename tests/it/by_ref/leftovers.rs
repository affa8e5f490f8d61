//! An upsert died while it created a class. The next upsert has another body.

use jiff::SignedDuration;
use local::calls::Service;
use local::faults::{Fault, FaultKind};
use serde_json::{Value, json};

use super::{NAME, connected_world, named_body, of_trainer};
use crate::late_answers::{booked_times, finish_repairs};
use crate::support::{items, monthly_session_count, patched};
use crate::world::{World, session_body};

/// The reads of the name and of the inputs and of the calendar, and the transaction that reserves.
const RESERVED: u32 = 4;
const EVERY_CALL: u32 = 200;

/// Sends an upsert that dies after Zoom has created the meeting, or before.
async fn die_while_creating(world: &World, service: &str, body: &Value, kind: FaultKind) {
    // Loads the secret first, so that the failing calls are those of the request.
    world.upsert(service, "polls", body).await.expect_problem(422, "validation_failed");
    let fault = |fault: Fault| world.inject_fault(fault.for_function("session-save"));
    fault(Fault::new(Service::Zoom, "create_meeting", kind));
    fault(Fault::new(Service::Zoom, "*", FaultKind::Error).after(1).times(EVERY_CALL));
    let table = Fault::new(Service::Dynamodb, "*", FaultKind::Error);
    fault(table.after(RESERVED).times(EVERY_CALL));
    let response = world.upsert(service, NAME, body).await;
    assert!(response.status.as_u16() >= 500, "{}", response.text);
    world.stack.faults.clear();
    let intents = world.items("SESSION#").await;
    assert!(intents.iter().any(|item| item["sk"] == "INTENT"), "the creation is left: {intents:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_body_replaces_an_abandoned_creation() {
    let link = json!({"provider": "manual", "join_url": "https://meet.example.test/a"});
    let others = [
        patched(named_body(50), json!({"title": "Geometry", "duration_minutes": 90})),
        patched(named_body(50), json!({"settings": {"waiting_room": true}})),
        named_body(24 * 20),
        patched(named_body(50), json!({"meeting": "later"})),
        patched(named_body(24 * 20), json!({"meeting": "later", "title": "Geometry"})),
        patched(named_body(50), link.clone()),
        patched(of_trainer(session_body(51)), patched(link, json!({"trainer_id": "trainer-2"}))),
    ];
    for kind in [FaultKind::Lost, FaultKind::Error] {
        for (case, other) in others.iter().enumerate() {
            let context = format!("{kind:?}, case {case}");
            let (world, _, service) = connected_world().await;
            let settings = json!({"settings": {"mute_upon_entry": true}});
            die_while_creating(&world, &service, &patched(named_body(50), settings), kind).await;
            // While the first request may still be running, the second one waits, and gives up at last.
            world.advance(SignedDuration::from_secs(31));
            let made = world.upsert(&service, NAME, other).await;
            assert_eq!(made.status, 201, "{context}: {}", made.text);
            let made = made.json();
            assert_eq!(world.upsert(&service, NAME, other).await.expect(200)["id"], made["id"]);
            finish_repairs(&world).await;
            check_only_class(&world, &made, other, &context).await;
        }
    }
}

/// Checks that the class is the only trace of both requests.
async fn check_only_class(world: &World, made: &Value, body: &Value, context: &str) {
    let meetings = world.meetings();
    let has_meeting = made["meeting_state"] == "ready";
    assert_eq!(meetings.len(), usize::from(has_meeting), "{context}: {meetings:?}");
    if has_meeting {
        let meeting = world.meeting_of(made);
        assert_eq!(meeting["topic"], made["title"], "{context}");
        assert_eq!(meeting["duration"], made["duration_minutes"], "{context}");
        assert_ne!(meeting["settings"]["mute_upon_entry"], true, "{context}: of the first body");
    }
    let dump = world.dump().await;
    let kept = items(&dump, "SESSION#");
    let intents = kept.iter().filter(|item| item["sk"] == "INTENT").count();
    assert_eq!(intents, 0, "{context}: a creation is left");
    assert_eq!(crate::support::due_work(&dump, "REPAIR"), Vec::<Value>::new(), "{context}");
    let trainer = body["trainer_id"].as_str().expect("a trainer");
    for (counted, month) in ["trainer-1", "trainer-2"]
        .into_iter()
        .flat_map(|counted| ["2026-11", "2026-12"].map(|month| (counted, month)))
    {
        let start = made["starts_at"].as_str().expect("a start");
        let expected = i64::from(counted == trainer && start.starts_with(month));
        let count = monthly_session_count(&dump, counted, month);
        assert_eq!(count, expected, "{context}: {counted} in {month}");
    }
    let booked = booked_times(&dump);
    let on_zoom = made["provider"] == "zoom";
    assert_eq!(booked.len(), usize::from(on_zoom), "{context}: {booked:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn class_is_whole_although_two_upserts_of_it_died() {
    let (world, trainer, service) = connected_world().await;
    die_while_creating(&world, &service, &named_body(50), FaultKind::Lost).await;
    world.advance(SignedDuration::from_secs(31));
    let other = patched(named_body(50), json!({"title": "Geometry", "duration_minutes": 90}));
    die_while_creating(&world, &service, &other, FaultKind::Lost).await;
    world.advance(SignedDuration::from_secs(31));
    world.upsert(&service, NAME, &other).await.expect(201);
    finish_repairs(&world).await;
    crate::late_answers::check_agreement(&world, &trainer, "two deaths").await;
}
