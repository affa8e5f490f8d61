//! Zoom's limits, and hosts that cannot be used for a while.

use jiff::{SignedDuration, Timestamp};
use local::calls::Service::{Dynamodb, Zoom};
use local::faults::{Fault, FaultKind};
use serde_json::{Value, json};

use super::{HOUR, MINUTE, connected_trainer, later_body, queued_meetings};
use crate::late_answers::check_agreement;
use crate::support::{patched, session_path};
use crate::world::World;

/// Schedules classes with these numbers of days ahead, titled by them.
async fn schedule(world: &World, trainer: &str, days: &[i64]) -> Vec<Value> {
    let mut created = Vec::new();
    for days in days {
        let body = patched(later_body(*days), json!({"title": days.to_string()}));
        created.push(world.create(trainer, &body).await.expect(201));
    }
    created
}

fn limit_writes(world: &World, daily_limit: u32) {
    let update =
        local::zoom::SettingsUpdate { daily_limit: Some(daily_limit), ..Default::default() };
    world.stack.zoom.update_settings(update);
}

async fn next_attempts(world: &World) -> Vec<(Timestamp, String)> {
    let mut all: Vec<_> = world.items("DUE#MEETINGS").await;
    all.sort_by_key(|item| item["sk"].as_str().expect("a key").to_owned());
    let time = |item: &Value| {
        item["sk"].as_str().expect("a value").split('#').next().expect("a value").parse()
    };
    let start = |item: &Value| item["starts_at"].as_str().expect("a value").to_owned();
    all.iter().map(|item| (time(item).expect("a time"), start(item))).collect()
}

#[tokio::test]
async fn daily_limit_lets_all_meetings_wait_and_they_are_made_the_next_day_in_start_order() {
    let (world, trainer) = connected_trainer().await;
    limit_writes(&world, 2);
    schedule(&world, &trainer, &[6, 3, 5, 4, 2]).await;
    let report = world.meeting_sweep().await;
    assert_eq!(report["meetings_made"], 2, "{report}");
    assert_eq!(report["meetings_waiting"], 3, "{report}");
    assert_eq!(world.meeting_titles(), ["2", "3"], "the first starts");
    // They wait in the order of the starts, and for the same time.
    let waiting = next_attempts(&world).await;
    assert!(waiting.is_sorted_by_key(|(_, start)| start.clone()), "{waiting:?}");
    let first = waiting[0].0.duration_since(world.now());
    assert!((MINUTE * 15..=MINUTE * 16).contains(&first), "{first}");
    assert!(waiting[2].0.duration_since(waiting[0].0) < SignedDuration::from_secs(1));

    // Until then nothing is read or written for them.
    world.stack.usage.reset();
    world.advance(MINUTE * 5);
    assert_eq!(world.meeting_sweep().await["due"], 0);
    assert_eq!(world.stack.usage.calls("meeting-sweep", Dynamodb, "TransactWriteItems"), 0);
    assert_eq!(world.zoom_calls("meeting-sweep", "create_meeting"), 0);

    // The pause doubles, and ends at the reset at midnight UTC, 15 hours after the start of the test. Each attempt of the
    // host is one call.
    let mut attempts = 0;
    let mut resumed = None;
    for _ in 0..(16 * 12) {
        world.advance(MINUTE * 5);
        let report = world.meeting_sweep().await;
        attempts += u32::from(report["meetings_waiting"] == 3);
        if report["meetings_made"] == 2 {
            resumed = Some(world.now());
            assert_eq!(report["meetings_waiting"], 1, "{report}");
            break;
        }
        assert_eq!(report["meetings_made"], 0, "{report}");
    }
    assert_eq!(attempts, 6, "about 15, 45, 105, 225, 465 and 825 minutes after the first");
    let resumed = resumed.expect("resumed").to_string();
    assert!(resumed.starts_with("2026-11-22T00:0"), "{resumed}");
    assert_eq!(world.meeting_titles(), ["2", "3", "4", "5"]);
    limit_writes(&world, 100);
    world.advance(HOUR * 6 + MINUTE * 2);
    assert_eq!(world.meeting_sweep().await["meetings_made"], 1);
    check_agreement(&world, &world.trainer().await, "all are made").await;
    assert_eq!(queued_meetings(&world).await, 0);
}

#[tokio::test]
async fn our_own_count_of_the_day_lets_meetings_wait_without_a_call() {
    let (world, trainer) = connected_trainer().await;
    // The rest of the day's writes are another app's.
    limit_writes(&world, 1000);
    let first = schedule(&world, &trainer, &[2]).await.remove(0);
    world.meeting_sweep().await;
    let day = world.items("ZOOMDAY#").await.remove(0);
    let mut update = world.dynamodb().update_item().table_name("MainTable");
    for (name, key) in [("pk", &day["pk"]), ("sk", &day["sk"])] {
        let key = aws_sdk_dynamodb::types::AttributeValue::S(key.as_str().unwrap().to_owned());
        update = update.key(name, key);
    }
    let full = aws_sdk_dynamodb::types::AttributeValue::N("100".to_owned());
    let update = update.update_expression("SET #c = :c").expression_attribute_names("#c", "count");
    update.expression_attribute_values(":c", full).send().await.expect("stored");
    schedule(&world, &trainer, &[3, 4]).await;
    let before = world.zoom_calls("meeting-sweep", "create_meeting");
    let report = world.meeting_sweep().await;
    assert_eq!((&report["meetings_made"], &report["meetings_waiting"]), (&json!(0), &json!(2)));
    assert_eq!(world.zoom_calls("meeting-sweep", "create_meeting"), before);
    // A person's own edit of another class has no place either, and other hosts are not affected.
    let edit = patched(later_body(2), json!({"title": "Moved"}));
    world.edit(&trainer, &first, &edit).await.expect_problem(429, "zoom_rate_limited");
    let other = world.other_trainer().await;
    world.connect_zoom(&other, "other").await;
    schedule(&world, &other, &[5]).await;
    assert_eq!(world.meeting_sweep().await["meetings_made"], 1);
}

#[tokio::test]
async fn limit_per_second_leaves_the_account_to_people_until_the_next_run() {
    let (world, trainer) = connected_trainer().await;
    schedule(&world, &trainer, &[2, 3, 4]).await;
    let throttle = Fault::new(Zoom, "create_meeting", FaultKind::Throttle);
    world.inject_fault(throttle.for_function("meeting-sweep"));
    let report = world.meeting_sweep().await;
    assert_eq!((&report["meetings_made"], &report["postponed"]), (&json!(0), &json!(3)));
    assert_eq!(world.zoom_calls("meeting-sweep", "create_meeting"), 1);
    world.advance(MINUTE * 5);
    assert_eq!(world.meeting_sweep().await["meetings_made"], 3);
    check_agreement(&world, &trainer, "made by the next run").await;
}

#[tokio::test]
async fn meeting_waits_until_zoom_is_connected() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let created = schedule(&world, &trainer, &[5, 6]).await;
    let report = world.meeting_sweep().await;
    assert_eq!(report["meetings_waiting"], 2, "{report}");
    world.advance(HOUR);
    assert_eq!(world.meeting_sweep().await["meetings_waiting"], 2);
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "other").await;
    world.advance(MINUTE * 31);
    assert_eq!(world.meeting_sweep().await["meetings_made"], 2);
    check_agreement(&world, &trainer, "connected").await;
    let shown = world.get(&trainer, &session_path(&created[0])).await.expect(200);
    assert_eq!(shown["hosting"], "trainer");
}

#[tokio::test]
async fn refused_meeting_is_given_up_until_an_edit() {
    let (world, trainer) = connected_trainer().await;
    let created = schedule(&world, &trainer, &[5]).await.remove(0);
    let refusal = Fault::new(Zoom, "create_meeting", FaultKind::Error);
    world.inject_fault(Fault { status: Some(400), ..refusal });
    assert_eq!(world.meeting_sweep().await["meetings_failed"], 1);
    assert_eq!(world.meeting_state(&created).await, "failed");
    world.advance(HOUR);
    assert_eq!(world.meeting_sweep().await["due"], 0, "only an edit tries again");

    let edit = patched(later_body(5), json!({"title": "Other"}));
    let edited = world.edit(&trainer, &created, &edit).await.expect(200);
    assert_eq!(edited["meeting_state"], "pending");
    assert_eq!(world.meeting_sweep().await["meetings_made"], 1);
    check_agreement(&world, &trainer, "edited").await;
    assert_eq!(queued_meetings(&world).await, 0);
}

#[tokio::test]
async fn silent_zoom_is_tried_again_and_makes_one_meeting() {
    for kind in [FaultKind::Timeout, FaultKind::Error, FaultKind::Html, FaultKind::Half] {
        let (world, trainer) = connected_trainer().await;
        schedule(&world, &trainer, &[5]).await;
        let fault = Fault::new(Zoom, "create_meeting", kind);
        world.inject_fault(fault.for_function("meeting-sweep"));
        let report = world.meeting_sweep().await;
        world.advance(MINUTE * 17);
        let next = world.meeting_sweep().await;
        let made = |report: &Value| report["meetings_made"].as_u64().expect("a number");
        assert_eq!(made(&report) + made(&next), 1, "{kind:?}: {report} {next}");
        crate::late_answers::finish_repairs(&world).await;
        check_agreement(&world, &world.trainer().await, &format!("{kind:?}")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_classes_cost_one_attempt_per_pause_and_do_not_block_others() {
    const CLASSES: usize = 230;
    let world = World::start().await;
    let trainer = world.trainer().await;
    for _ in 0..CLASSES {
        world.create(&trainer, &later_body(3)).await.expect(201);
    }
    let other = world.other_trainer().await;
    world.connect_zoom(&other, "other").await;
    world.create(&other, &later_body(4)).await.expect(201);
    world.stack.usage.reset();
    let report = world.meeting_sweep().await;
    assert_eq!(report["meetings_waiting"], CLASSES, "{report}");
    assert_eq!(report["meetings_made"], 1, "the class of another trainer, in the last page");
    let calls = |operation| world.stack.usage.calls("meeting-sweep", Dynamodb, operation);
    // Five move the entries, two make the meeting, and one stores the report.
    assert_eq!(calls("TransactWriteItems"), 8);
    let reads = calls("GetItem") + calls("BatchGetItem");
    assert!(reads < 15, "{reads}: only two sessions are read");
    // Nothing is read or written during the pause.
    world.stack.usage.reset();
    world.advance(MINUTE * 14);
    let idle = world.meeting_sweep().await;
    assert_eq!((&idle["due"], calls("TransactWriteItems")), (&json!(0), 0));
    assert!(calls("Query") < 8, "{}", calls("Query"));
    world.advance(MINUTE * 3);
    assert_eq!(world.meeting_sweep().await["meetings_waiting"], CLASSES);
    assert_eq!(queued_meetings(&world).await, CLASSES);
}
