//! An update of the time zone data: a class stays at its local time.
//!
//! A session stores the offset that its zone had. The tests store another offset, as if the session had been saved with
//! older data, and let the sweep run with the current one. `domain/time.rs` tests the rule itself with other data.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};
use local::calls::Service;
use serde_json::{Value, json};

use crate::functions::{DirectFunctions, MAIN_TABLE};
use crate::late_answers::{booked_times, check_agreement};
use crate::outbox_faults::RUN_TIME;
use crate::support::{invitees, patched, session_path};
use crate::world::{World, course_session_body, session_body};

async fn set(world: &World, key: (&str, &str), attribute: &str, value: AttributeValue) {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let update = world.dynamodb().update_item().table_name(MAIN_TABLE);
    let update = update.key("pk", text(key.0)).key("sk", text(key.1));
    let update =
        update.update_expression("SET #a = :a").expression_attribute_names("#a", attribute);
    update.expression_attribute_values(":a", value).send().await.expect("stored");
}

/// Stores that Berlin was two hours ahead of UTC when the session was saved, so that it was planned for 13:00 there.
async fn save_with_older_data(world: &World, session: &Value) {
    let id = session["id"].as_str().expect("an id");
    let offset = || AttributeValue::N("7200".to_owned());
    set(world, (&format!("SESSION#{id}"), "SESSION"), "utc_offset", offset()).await;
    let reminders = world.due_work("REMINDER").await;
    let start = reminders
        .iter()
        .find(|item| item["session_id"] == session["id"] && item["reminder"] == "start");
    let key = start.and_then(|item| item["sk"].as_str()).expect("a reminder");
    set(world, ("DUE#WORK", key), "utc_offset", offset()).await;
}

async fn update_zone_data(world: &World) {
    let older = AttributeValue::S("2019a".to_owned());
    set(world, ("DUE#WORK", "1970-01-01T00:00:00.000Z#zone_check"), "data", older).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn class_keeps_its_local_time_when_the_rules_of_its_zone_change() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    world.sweep().await;
    let moved = world.create(&trainer, &course_session_body(50)).await.expect(201);
    let list = json!({"audience_type": "invitees", "invitees": invitees(3), "provider": "manual",
        "join_url": "https://meet.example.test/a"});
    let invited = world.create(&trainer, &patched(session_body(51), list)).await.expect(201);
    let same = world.create(&trainer, &course_session_body(52)).await.expect(201);
    let outbox = DirectFunctions::new(&world, &[]);
    outbox.run_outbox_sweep(RUN_TIME).await.expect("the run succeeds");

    // The check of new data reads one page and writes its progress. Sessions at the same instant cost nothing.
    update_zone_data(&world).await;
    world.stack.usage.reset();
    world.sweep().await;
    let table = world.stack.usage.service_totals("reminder-sweep", Service::Dynamodb);
    println!("check of 3 sessions: {table:?}");
    assert_eq!((table.calls, table.write_units as u64), (5, 1));

    save_with_older_data(&world, &moved).await;
    save_with_older_data(&world, &invited).await;
    update_zone_data(&world).await;
    world.stack.usage.reset();
    world.sweep().await;
    let table = world.stack.usage.service_totals("reminder-sweep", Service::Dynamodb);
    println!("check with 2 changed sessions: {table:?}");
    let shown = world.get(&trainer, &session_path(&moved)).await.expect(200);
    assert_eq!(shown["starts_at"], "2026-11-23T12:00:00Z", "13:00 in Berlin");
    assert_eq!((&shown["version"], &shown["ics_sequence"]), (&json!(2), &json!(1)));
    let unchanged = world.get(&trainer, &session_path(&same)).await.expect(200);
    assert_eq!((&unchanged["starts_at"], &unchanged["version"]), (&same["starts_at"], &json!(1)));
    let shown = world.get(&trainer, &session_path(&invited)).await.expect(200);
    assert_eq!(shown["starts_at"], "2026-11-23T13:00:00Z");
    assert_eq!(shown["invitees"], invited["invitees"]);
    let starts: Vec<_> =
        world.reminders().await.into_iter().filter(|(kind, _)| kind == "start").collect();
    let starts: Vec<_> = starts.iter().map(|(_, at)| at.as_str()).collect();
    assert_eq!(
        starts,
        ["2026-11-23T12:00:00.000Z", "2026-11-23T13:00:00.000Z", "2026-11-23T13:00:00.000Z"]
    );

    let booked = booked_times(&world.dump().await);
    let start: Timestamp = "2026-11-23T12:00:00Z".parse().expect("a time");
    assert_eq!(booked[moved["id"].as_str().expect("an id")].0, start.as_second(), "{booked:?}");

    // Invitations and Zoom follow.
    let report = outbox.run_outbox_sweep(RUN_TIME).await.expect("the run succeeds");
    assert_eq!(report["sent"], 5 + 3, "{report}");
    world.advance(SignedDuration::from_mins(5));
    world.sweep().await;
    let meeting = world.meeting_of(&moved);
    assert_eq!(meeting["start_time"], "2026-11-23T12:00:00Z");
    let body = patched(course_session_body(50), json!({"starts_at": "2026-11-23T13:00:00"}));
    let edited = world.edit(&trainer, &moved, &body).await.expect(200);
    assert_eq!(edited["version"], 2, "nothing changes");
    world.stack.usage.reset();
    world.sweep().await;
    let table = world.stack.usage.service_totals("reminder-sweep", Service::Dynamodb);
    assert_eq!(table.calls, 3, "the check is done");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reminder_moves_a_class_that_was_saved_with_older_zone_data() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    world.sweep().await;
    let session = world.create(&trainer, &course_session_body(50)).await.expect(201);
    save_with_older_data(&world, &session).await;
    // The reminder of the previous start is due, and the class is an hour later.
    world.advance(SignedDuration::from_hours(26));
    world.sweep().await;
    let shown = world.get(&trainer, &session_path(&session)).await.expect(200);
    assert_eq!(
        (&shown["starts_at"], &shown["version"]),
        (&json!("2026-11-23T12:00:00Z"), &json!(2))
    );
    assert_eq!(world.reminders().await.len(), 3, "a day, an hour and no time before the new start");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pending_class_is_moved_before_its_meeting_is_made() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    let body = patched(course_session_body(24 * 5), json!({"meeting": "later"}));
    let session = world.create(&trainer, &body).await.expect(201);
    save_with_older_data(&world, &session).await;
    assert_eq!(world.meeting_sweep().await["meetings_made"], 0, "it is moved first");
    assert_eq!(world.meeting_sweep().await["meetings_made"], 1);
    let shown = world.get(&trainer, &session_path(&session)).await.expect(200);
    assert_eq!(shown["version"], 2);
    assert_ne!(shown["starts_at"], session["starts_at"]);
    check_agreement(&world, &trainer, "moved").await;
}
