//! The sweep completes or reverts half-done requests, so that Zoom and the table agree, and it stays cheap.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};
use local::calls::Service;
use local::faults::{Fault, FaultKind};
use serde_json::{Value, json};
use shared::domain::hosting::MeetingHost;
use shared::domain::id::{SessionId, UserId};
use shared::domain::scope;
use shared::store::due_work::repairs::{Repair, RepairTask};

use crate::functions::{DirectFunctions, items_with_prefix, store, wait_until};
use crate::late_answers::finish_repairs;
use crate::reminders::manual_session;
use crate::support::{patched, session_path};
use crate::world::{START, World, session_body};

async fn connected_trainer() -> (World, String) {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    (world, trainer)
}

/// Sends a create whose response from Zoom is lost. The meeting exists at Zoom, and the table holds only the creation
/// intent.
async fn create_with_lost_response(world: &World, trainer: &str) {
    world.inject_zoom_fault("create_meeting", FaultKind::Lost);
    world.inject_fault(Fault::new(Service::Zoom, "list_meetings", FaultKind::Error).times(2));
    world
        .create_with_idempotency_key(trainer, "k", &session_body(50))
        .await
        .expect_problem(502, "zoom_unavailable");
}

/// Creates a meeting at Zoom, like a hanging request that Zoom carries out late.
async fn create_late_meeting(world: &World, body: Value) {
    let snapshot = world.stack.zoom.snapshot();
    let token = snapshot["access_tokens"].as_object().expect("tokens").keys().next().expect("one");
    world.post(token, "/zoom/v2/users/me/meetings", body).await.expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_second_meeting_of_a_session_is_deleted() {
    let (world, trainer) = connected_trainer().await;
    // Zoom does not respond and has no meeting. The retry creates one, and then the first meeting appears as well.
    world.inject_fault(Fault {
        status: Some(502),
        ..Fault::new(Service::Zoom, "create_meeting", FaultKind::Html)
    });
    world
        .create_with_idempotency_key(&trainer, "k", &session_body(50))
        .await
        .expect_problem(502, "zoom_unavailable");
    world.advance(SignedDuration::from_secs(30));
    let made =
        world.create_with_idempotency_key(&trainer, "k", &session_body(50)).await.expect(201);
    create_late_meeting(&world, world.meeting_of(&made)["requests"][0].clone()).await;
    assert_eq!(world.meetings().len(), 2);

    assert_eq!(world.advance_and_sweep().await["repaired"], 1);
    assert_eq!(world.meetings().len(), 1);
    assert_eq!(world.meeting_of(&made)["status"], "waiting", "the session keeps its own meeting");
    assert_eq!(world.due_work("REPAIR").await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_optional_scopes_block_nothing() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let required: Vec<_> = scope::REQUIRED.iter().map(|names| names[0]).collect();
    let decision = format!("decision=allow&account=app&scopes={}", required.join("+"));
    let (code, state) = world.consent(&trainer, &decision).await;
    let grant = json!({"code": code, "state": state});
    let connection = world.post(&trainer, "/v1/zoom/connect", grant).await.expect(200);
    assert_eq!(connection["missing_scopes"], json!([]));

    // The meeting of the first attempt cannot be read, so the retry replaces it.
    create_with_lost_response(&world, &trainer).await;
    world.advance(SignedDuration::from_secs(31));
    let session =
        world.create_with_idempotency_key(&trainer, "k", &session_body(50)).await.expect(201);
    assert_eq!(world.meetings().len(), 1);
    assert_eq!(world.meeting_of(&session)["status"], "waiting");
    // The same for an attempt that nobody repeats.
    world.inject_zoom_fault("create_meeting", FaultKind::Lost);
    world.inject_fault(Fault::new(Service::Zoom, "list_meetings", FaultKind::Error).times(2));
    let other = patched(session_body(50), json!({"title": "Geometry"}));
    world
        .create_with_idempotency_key(&trainer, "l", &other)
        .await
        .expect_problem(502, "zoom_unavailable");
    world.advance_and_sweep().await;
    assert_eq!(world.meetings().len(), 1);
    finish_repairs(&world).await;
    assert_eq!(world.due_work("REPAIR").await, Vec::<Value>::new());

    let recorded = patched(session_body(50), json!({"record_session": true}));
    world.edit(&trainer, &session, &recorded).await.expect(200);
    world.cancel(&trainer, &session).await.expect(200);
    assert_eq!(world.meetings().len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn meeting_with_another_mark_is_not_touched() {
    let (world, trainer) = connected_trainer().await;
    let twin = world.create(&trainer, &session_body(50)).await.expect(201);
    // A description can contain a text like a mark, but not at the end of the agenda.
    create_with_lost_response(&world, &trainer).await;
    let intent = world.items("SESSION#").await.into_iter().find(|item| item["sk"] == "INTENT");
    let id = intent.expect("an intent")["session_id"].as_str().expect("an id").to_owned();
    let similar = patched(session_body(50), json!({"description": format!("[live class {id}]")}));
    let similar = world.create(&trainer, &similar).await.expect(201);
    assert_eq!(world.meetings().len(), 3);
    world.advance_and_sweep().await;
    assert_eq!(world.meetings().len(), 2);
    for session in [&twin, &similar] {
        assert_eq!(world.meeting_of(session)["status"], "waiting");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sweep_skips_work_leased_by_a_request() {
    let (world, trainer) = connected_trainer().await;
    create_with_lost_response(&world, &trainer).await;
    world.advance(SignedDuration::from_secs(31));
    // The sweep runs during a slow Zoom call of the retry.
    let slow =
        Fault::new(Service::Zoom, "list_meetings", FaultKind::Late).for_function("session-save");
    world.inject_fault(Fault { delay_ms: Some(700), ..slow });
    let body = session_body(50);
    let (made, report) =
        futures::join!(world.create_with_idempotency_key(&trainer, "k", &body), async {
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            world.sweep().await
        });
    let made = made.expect(201);
    assert_eq!(report["postponed"], 1);
    assert_eq!(world.meeting_of(&made)["status"], "waiting");
    world.advance(SignedDuration::from_mins(10));
    assert_eq!(world.sweep().await["postponed"], 0);
    assert_eq!(world.meeting_of(&made)["status"], "waiting");
    assert_eq!(world.meetings().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_and_interrupted_sweeps_repair_once() {
    let (world, trainer) = connected_trainer().await;
    create_with_lost_response(&world, &trainer).await;
    world.advance(SignedDuration::from_secs(90));
    // Interrupted after the meeting was deleted and before the deletion was stored.
    world.inject_fault(
        Fault::new(Service::Dynamodb, "TransactWriteItems", FaultKind::Error)
            .for_function("reminder-sweep")
            .times(6),
    );
    let run = world.stack.schedules.run("reminder-sweep").await;
    assert!(run.is_err(), "{run:?}");
    world.stack.faults.clear();
    world.advance(SignedDuration::from_mins(5));
    futures::join!(world.sweep(), world.sweep());
    world.advance(SignedDuration::from_mins(10));
    world.sweep().await;
    assert_eq!(world.meetings(), Vec::<Value>::new());
    assert_eq!(world.monthly_session_count("trainer-1", "2026-11").await, 0, "released once");
    assert_eq!(world.items("SESSION#").await, Vec::<Value>::new());
    finish_repairs(&world).await;
    assert_eq!(world.due_work("REPAIR").await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failing_repair_does_not_block_others_and_is_finally_abandoned() {
    let (world, trainer) = connected_trainer().await;
    create_with_lost_response(&world, &trainer).await;
    world.delete(&trainer, "/v1/zoom/connection").await.expect(204);
    assert_eq!(
        world.advance_and_sweep().await,
        json!({"due": 1, "reminded": 0, "skipped": 0, "repaired": 0, "archived": 0, "postponed": 1})
    );
    assert_eq!(
        world.monthly_session_count("trainer-1", "2026-11").await,
        0,
        "the monthly quota is released without Zoom"
    );
    assert_eq!(world.items("SESSION#").await, Vec::<Value>::new());
    // The retries get rarer, and an idle run does not read more.
    let mut tries = 0;
    for _ in 0..72 {
        world.advance(SignedDuration::from_mins(20));
        world.stack.usage.reset();
        let report = world.sweep().await;
        assert_eq!(report["repaired"], 0);
        tries += report["due"].as_u64().expect("a number");
        let queries = world.stack.usage.calls("reminder-sweep", Service::Dynamodb, "Query");
        assert!(queries <= 3, "{queries} queries");
    }
    assert!((20..=30).contains(&tries), "{tries} tries in a day");
    // Other repairs are completed meanwhile.
    let other = world.other_trainer().await;
    world.connect_zoom(&other, "app").await;
    create_with_lost_response(&world, &other).await;
    world.advance_and_sweep().await;
    assert_eq!(world.due_work("REPAIR").await.len(), 1);

    world.advance(SignedDuration::from_hours(24 * 13));
    world.sweep().await;
    world.advance(SignedDuration::from_hours(2));
    world.sweep().await;
    assert_eq!(world.due_work("REPAIR").await, Vec::<Value>::new());
}

/// Repairs of more than a run takes.
fn repair_backlog(due_at: Timestamp) -> Vec<Repair> {
    let repair = |n: u32| {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&n.to_be_bytes());
        Repair {
            session: SessionId::from_bytes(bytes),
            trainer: UserId::parse("trainer-1").expect("an id"),
            due_at,
            first_due_at: due_at,
            task: RepairTask::DeleteMeeting,
            is_checked: false,
            host: MeetingHost::Trainer { pseudonym: None },
            is_among_other_work: false,
        }
    };
    (0..2_100).map(repair).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backlog_of_repairs_delays_no_reminder() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.create(&trainer, &manual_session(26)).await.expect(201);
    // Zoom has been down for two hours, and a run has no time for a repair.
    let backlog = repair_backlog(world.now());
    let puts = backlog.iter().map(Repair::put).collect();
    store(&world).write_directory(puts).await.expect("they are written");
    world.advance(SignedDuration::from_hours(2));
    let report = DirectFunctions::new(&world, &[])
        .run_reminder_sweep(SignedDuration::from_secs(20))
        .await
        .expect("the run succeeds");
    assert_eq!((&report["reminded"], &report["repaired"]), (&json!(1), &json!(0)), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repairs_that_the_previous_version_stored_are_finished() {
    let (world, trainer) = connected_trainer().await;
    create_with_lost_response(&world, &trainer).await;
    let moved = items_with_prefix(&world, "MainTable", "DUE#REPAIRS").await;
    assert_eq!(moved.len(), 1);
    for mut item in moved {
        let dynamodb = world.dynamodb();
        let delete = dynamodb.delete_item().table_name("MainTable");
        let delete = delete.key("pk", item["pk"].clone()).key("sk", item["sk"].clone());
        delete.send().await.expect("it is deleted");
        item.insert("pk".to_owned(), AttributeValue::S("DUE#WORK".to_owned()));
        let put = dynamodb.put_item().table_name("MainTable").set_item(Some(item));
        put.send().await.expect("it is put");
    }
    // Zoom is down first, so the repair is postponed, and moves to the partition of repairs.
    world.advance(SignedDuration::from_secs(90));
    world.inject_fault(Fault::new(Service::Zoom, "list_meetings", FaultKind::Error).times(9));
    assert_eq!(world.sweep().await["postponed"], 1);
    let of_repairs = |item: &Value| item["work"] == "repair";
    assert!(!world.items("DUE#WORK").await.iter().any(of_repairs));
    assert_eq!(world.items("DUE#REPAIRS").await.len(), 1);
    world.stack.faults.clear();
    world.advance(SignedDuration::from_mins(5));
    assert_eq!(world.sweep().await["repaired"], 1);
    assert_eq!(world.meetings(), Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stray_meeting_is_deleted_after_the_trainer_reconnects() {
    let (world, trainer) = connected_trainer().await;
    create_with_lost_response(&world, &trainer).await;
    world.delete(&trainer, "/v1/zoom/connection").await.expect(204);
    world.advance_and_sweep().await;
    world.connect_zoom(&trainer, "app").await;
    // The retry creates its own meeting, and the lost meeting is a stray.
    let made =
        world.create_with_idempotency_key(&trainer, "k", &session_body(50)).await.expect(201);
    world.advance(SignedDuration::from_mins(10));
    assert_eq!(world.sweep().await["postponed"], 0);
    let remaining = world.meetings();
    assert_eq!(remaining.len(), 1);
    assert_eq!(remaining[0]["id"].to_string(), made["meeting"]["id"].as_str().expect("an id"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repair_ends_when_the_meeting_no_longer_exists() {
    let (world, trainer) = connected_trainer().await;
    let made = world.create(&trainer, &session_body(50)).await.expect(201);
    world.inject_fault(Fault::new(Service::Zoom, "update_meeting", FaultKind::Lost).times(2));
    let edited = patched(session_body(50), json!({"title": "Geometry"}));
    world.edit(&trainer, &made, &edited).await.expect_problem(502, "zoom_unavailable");
    let id = made["meeting"]["id"].as_str().expect("an id");
    world.delete("", &format!("/zoom/sim/meetings/{id}")).await.expect(204);
    assert_eq!(
        world.advance_and_sweep().await,
        json!({"due": 1, "reminded": 0, "skipped": 0, "repaired": 1, "archived": 0, "postponed": 0})
    );
    world.edit(&trainer, &made, &edited).await.expect_problem(409, "conflict");
    assert_eq!(world.get(&trainer, &session_path(&made)).await.expect(200)["version"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn creation_intent_expires_exactly_at_its_deadline() {
    for seconds in [30, 31] {
        let (world, trainer) = connected_trainer().await;
        create_with_lost_response(&world, &trainer).await;
        world.advance(SignedDuration::from_secs(seconds));
        assert_eq!(world.sweep().await["repaired"], 1, "{seconds} s after {START}");
        assert_eq!(world.meetings(), Vec::<Value>::new());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sweep_catches_up_after_half_a_day_of_outage() {
    let (world, trainer) = connected_trainer().await;
    world.sweep().await;
    create_with_lost_response(&world, &trainer).await;
    world.advance(SignedDuration::from_hours(13));
    assert_eq!(world.sweep().await["repaired"], 1);
    assert_eq!(world.meetings(), Vec::<Value>::new());
    world.stack.usage.reset();
    world.sweep().await;
    let calls = world.stack.usage.service_totals("reminder-sweep", Service::Dynamodb).calls;
    assert_eq!(calls, 3, "one query each for due work, repairs and archives");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unconfirmed_update_at_zoom_is_reverted_to_the_stored_session() {
    let (world, trainer) = connected_trainer().await;
    let made = world.create(&trainer, &session_body(50)).await.expect(201);
    world.inject_fault(Fault::new(Service::Zoom, "update_meeting", FaultKind::Lost).times(2));
    let edited = patched(session_body(50), json!({"title": "Geometry", "record_session": true}));
    world.edit(&trainer, &made, &edited).await.expect_problem(502, "zoom_unavailable");
    assert_eq!(world.meeting_of(&made)["topic"], "Geometry");
    assert_eq!(
        world.advance_and_sweep().await,
        json!({"due": 1, "reminded": 0, "skipped": 0, "repaired": 1, "archived": 0, "postponed": 0})
    );
    let meeting = world.meeting_of(&made);
    assert_eq!(
        (&meeting["topic"], &meeting["settings"]["auto_recording"]),
        (&json!("Algebra I"), &json!("none"))
    );
    assert_eq!(world.get(&trainer, &session_path(&made)).await.expect(200), made);
    assert_eq!(world.session_events().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repair_does_not_overwrite_a_newer_edit() {
    // The edit arrives after the sweep has read the session, or during the sweep's Zoom call.
    for (service, operation) in [(Service::Dynamodb, "GetItem"), (Service::Zoom, "update_meeting")]
    {
        let (world, trainer) = connected_trainer().await;
        let made = world.create(&trainer, &session_body(50)).await.expect(201);
        world.inject_fault(Fault::new(Service::Zoom, "update_meeting", FaultKind::Lost).times(2));
        let lost = patched(session_body(50), json!({"title": "Geometry"}));
        world.edit(&trainer, &made, &lost).await.expect_problem(502, "zoom_unavailable");
        world.advance(SignedDuration::from_secs(90));
        let slow = Fault::new(service, operation, FaultKind::Late).for_function("reminder-sweep");
        world.inject_fault(Fault { delay_ms: Some(900), ..slow });
        world.stack.usage.reset();
        let newer = patched(session_body(50), json!({"title": "Stereometry"}));
        let (edited, _) = futures::join!(
            async {
                let calls = || world.stack.usage.calls("reminder-sweep", service, operation);
                wait_until("the sweep is waiting", || calls() > 0).await;
                world.edit(&trainer, &made, &newer).await
            },
            world.sweep()
        );
        edited.expect(200);
        assert_eq!(world.meeting_of(&made)["topic"], "Stereometry", "{operation}");
        world.advance(SignedDuration::from_mins(10));
        assert_eq!(world.sweep().await["postponed"], 0);
        finish_repairs(&world).await;
        assert_eq!(world.meeting_of(&made)["topic"], "Stereometry", "{operation}");
        assert_eq!(world.due_work("REPAIR").await, Vec::<Value>::new());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_repair_is_completed_by_the_next_edit_or_run() {
    for edits in [true, false] {
        let (world, trainer) = connected_trainer().await;
        let made = world.create(&trainer, &session_body(50)).await.expect(201);
        world.inject_fault(Fault::new(Service::Zoom, "update_meeting", FaultKind::Lost).times(2));
        let lost = patched(session_body(50), json!({"title": "Geometry"}));
        world.edit(&trainer, &made, &lost).await.expect_problem(502, "zoom_unavailable");
        world.advance(SignedDuration::from_secs(90));
        world.inject_fault(Fault::new(Service::Zoom, "update_meeting", FaultKind::Error).times(2));
        assert_eq!(world.sweep().await["postponed"], 1);
        assert_eq!(world.meeting_of(&made)["topic"], "Geometry");
        if edits {
            let longer = patched(session_body(50), json!({"duration_minutes": 90}));
            world.edit(&trainer, &made, &longer).await.expect(200);
        } else {
            world.advance(SignedDuration::from_mins(10));
            assert_eq!(world.sweep().await["repaired"], 1);
        }
        assert_eq!(world.meeting_of(&made)["topic"], "Algebra I", "{edits}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repair_in_a_disconnected_account_waits_for_reconnection() {
    let (world, trainer) = connected_trainer().await;
    let made = world.create(&trainer, &session_body(50)).await.expect(201);
    world.inject_fault(Fault::new(Service::Zoom, "update_meeting", FaultKind::Lost).times(2));
    let edited = patched(session_body(50), json!({"title": "Geometry"}));
    world.edit(&trainer, &made, &edited).await.expect_problem(502, "zoom_unavailable");
    create_with_lost_response(&world, &trainer).await;
    world.connect_zoom(&trainer, "other").await;
    assert_eq!(world.advance_and_sweep().await["postponed"], 2);
    assert_eq!(
        world.monthly_session_count("trainer-1", "2026-11").await,
        1,
        "the monthly quota is released"
    );
    assert_eq!(world.meetings().len(), 2);

    world.connect_zoom(&trainer, "app").await;
    world.advance(SignedDuration::from_mins(10));
    assert_eq!(world.sweep().await["repaired"], 2);
    assert_eq!(world.meetings().len(), 1);
    assert_eq!(world.meeting_of(&made)["topic"], "Algebra I");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repair_after_a_slow_repair_holds_a_valid_lease() {
    let (world, trainer) = connected_trainer().await;
    for (key, hours) in [("k", 50), ("l", 51)] {
        world.inject_zoom_fault("create_meeting", FaultKind::Lost);
        world.inject_fault(Fault::new(Service::Zoom, "list_meetings", FaultKind::Error).times(2));
        let response = world.create_with_idempotency_key(&trainer, key, &session_body(hours)).await;
        response.expect_problem(502, "zoom_unavailable");
        world.advance(SignedDuration::from_secs(1));
    }
    world.advance(SignedDuration::from_secs(90));
    let late = |service, operation: &str| {
        let late = Fault::new(service, operation, FaultKind::Late).for_function("reminder-sweep");
        Fault { delay_ms: Some(900), ..late }
    };
    // The first repair takes forty seconds. The second has just read the trainer of its session when this trainer
    // retries.
    world.inject_fault(late(Service::Zoom, "list_meetings"));
    world.inject_fault(late(Service::Dynamodb, "BatchGetItem").after(1));
    world.stack.usage.reset();
    let retry = async {
        let calls = |service, operation: &str| {
            world.stack.usage.calls("reminder-sweep", service, operation)
        };
        wait_until("the first repair calls Zoom", || calls(Service::Zoom, "list_meetings") > 0)
            .await;
        world.advance(SignedDuration::from_secs(40));
        wait_until("the second repair reads", || calls(Service::Dynamodb, "BatchGetItem") > 1)
            .await;
        world.create_with_idempotency_key(&trainer, "l", &session_body(51)).await
    };
    let (made, report) = futures::join!(retry, world.sweep());
    let made = made.expect(201);
    assert_eq!(report["repaired"], 2);
    assert_eq!(
        world.meeting_of(&made)["status"],
        "waiting",
        "the meeting is not deleted as a stray"
    );
    assert_eq!(world.meetings().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repair_is_not_started_without_enough_remaining_time() {
    let (world, trainer) = connected_trainer().await;
    create_with_lost_response(&world, &trainer).await;
    world.advance(SignedDuration::from_secs(90));
    let direct = DirectFunctions::new(&world, &[]);
    let report =
        direct.run_reminder_sweep(SignedDuration::from_secs(15)).await.expect("the run succeeds");
    // The first run also has to check the local times.
    assert_eq!((&report["repaired"], &report["postponed"]), (&json!(0), &json!(2)));
    assert_eq!(world.meetings().len(), 1);
    // The next run completes it.
    let report =
        direct.run_reminder_sweep(SignedDuration::from_secs(120)).await.expect("the run succeeds");
    assert_eq!((&report["repaired"], &report["postponed"]), (&json!(1), &json!(0)));
    assert_eq!(world.meetings(), Vec::<Value>::new());
}
