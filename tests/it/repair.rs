//! The sweep: whatever a request left half done, Zoom and we agree in the end, and the sweep itself stays cheap.

use jiff::SignedDuration;
use local::calls::Service;
use local::faults::{Fault, Kind};
use serde_json::{Value, json};

use crate::direct::{Direct, until};
use crate::look::{path_of, with};
use crate::world::{START, World, class};

async fn ready() -> (World, String) {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    (world, trainer)
}

/// A create whose meeting is at Zoom, and of which we know nothing but the intent.
async fn lost(world: &World, trainer: &str) {
    world.zoom_fails("create_meeting", Kind::Lost);
    world.fault(Fault::new(Service::Zoom, "list_meetings", Kind::Error).times(2));
    world.create_with_key(trainer, "k", &class(50)).await.refused(502, "zoom_unavailable");
}

/// Asks Zoom for a meeting as a request would that hung there, and was carried out late.
async fn lands_late(world: &World, body: Value) {
    let snapshot = world.stack.zoom.snapshot();
    let token = snapshot["access_tokens"].as_object().expect("tokens").keys().next().expect("one");
    world.post(token, "/zoom/v2/users/me/meetings", body).await.expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_meeting_that_came_late_beside_the_classs_own_is_deleted() {
    let (world, trainer) = ready().await;
    // Nobody answers and nothing is there; the retry makes another, and then the first comes after all.
    world.fault(Fault {
        status: Some(502),
        ..Fault::new(Service::Zoom, "create_meeting", Kind::Html)
    });
    world.create_with_key(&trainer, "k", &class(50)).await.refused(502, "zoom_unavailable");
    world.advance(SignedDuration::from_secs(30));
    let made = world.create_with_key(&trainer, "k", &class(50)).await.expect(201);
    lands_late(&world, world.meeting_of(&made)["requests"][0].clone()).await;
    assert_eq!(world.meetings().len(), 2);

    assert_eq!(world.sweep_later().await["repaired"], 1);
    assert_eq!(world.meetings().len(), 1);
    assert_eq!(world.meeting_of(&made)["status"], "waiting", "its own stays");
    assert_eq!(world.due("REPAIR").await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_meeting_with_another_mark_is_never_touched() {
    let (world, trainer) = ready().await;
    let twin = world.create(&trainer, &class(50)).await.expect(201);
    // A description that looks like a mark is not at the end of the agenda.
    lost(&world, &trainer).await;
    let intent = world.items("SESSION#").await.into_iter().find(|item| item["sk"] == "INTENT");
    let id = intent.expect("an intent")["session_id"].as_str().expect("an id").to_owned();
    let forged = with(class(50), json!({"description": format!("[live class {id}]")}));
    let forged = world.create(&trainer, &forged).await.expect(201);
    assert_eq!(world.meetings().len(), 3);
    world.sweep_later().await;
    assert_eq!(world.meetings().len(), 2);
    for session in [&twin, &forged] {
        assert_eq!(world.meeting_of(session)["status"], "waiting");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sweep_leaves_alone_what_a_request_has_in_hand() {
    let (world, trainer) = ready().await;
    lost(&world, &trainer).await;
    world.advance(SignedDuration::from_secs(31));
    // The retry is at Zoom, slowly, while the sweep looks.
    let slow = Fault::new(Service::Zoom, "list_meetings", Kind::Late).by("session-save");
    world.fault(Fault { delay_ms: Some(700), ..slow });
    let body = class(50);
    let (made, report) = futures::join!(world.create_with_key(&trainer, "k", &body), async {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        world.sweep().await
    });
    let made = made.expect(201);
    assert_eq!(report["left"], 1);
    assert_eq!(world.meeting_of(&made)["status"], "waiting");
    world.advance(SignedDuration::from_mins(10));
    assert_eq!(world.sweep().await["left"], 0);
    assert_eq!(world.meeting_of(&made)["status"], "waiting");
    assert_eq!(world.meetings().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_sweeps_at_once_and_one_that_was_cut_off_do_it_once() {
    let (world, trainer) = ready().await;
    lost(&world, &trainer).await;
    world.advance(SignedDuration::from_secs(90));
    // Cut off after the meeting was deleted, before that was noted.
    world.fault(
        Fault::new(Service::Dynamodb, "TransactWriteItems", Kind::Error)
            .by("reminder-sweep")
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
    assert_eq!(world.month_count("trainer-1", "2026-11").await, 0, "given back once");
    assert_eq!(world.items("SESSION#").await, Vec::<Value>::new());
    assert_eq!(world.due("REPAIR").await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_repaired_keeps_nobody_waiting_and_is_given_up_one_day() {
    let (world, trainer) = ready().await;
    lost(&world, &trainer).await;
    world.delete(&trainer, "/v1/zoom/connection").await.expect(204);
    assert_eq!(
        world.sweep_later().await,
        json!({"due": 1, "reminded": 0, "void": 0, "repaired": 0, "archived": 0, "left": 1})
    );
    assert_eq!(
        world.month_count("trainer-1", "2026-11").await,
        0,
        "the month does not wait for Zoom"
    );
    assert_eq!(world.items("SESSION#").await, Vec::<Value>::new());
    // Later and later, and a run reads no more for it.
    let mut tries = 0;
    for _ in 0..72 {
        world.advance(SignedDuration::from_mins(20));
        world.stack.usage.reset();
        let report = world.sweep().await;
        assert_eq!(report["repaired"], 0);
        tries += report["due"].as_u64().expect("a number");
        let queries = world.stack.usage.calls("reminder-sweep", Service::Dynamodb, "Query");
        assert!(queries <= 2, "{queries} queries");
    }
    assert!((20..=30).contains(&tries), "{tries} tries in a day");
    // The others are done meanwhile.
    let other = world.other_trainer().await;
    world.connect_zoom(&other, "app").await;
    lost(&world, &other).await;
    world.sweep_later().await;
    assert_eq!(world.due("REPAIR").await.len(), 1);

    world.advance(SignedDuration::from_hours(24 * 13));
    world.sweep().await;
    world.advance(SignedDuration::from_hours(2));
    world.sweep().await;
    assert_eq!(world.due("REPAIR").await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trainer_who_connects_again_has_the_stray_deleted() {
    let (world, trainer) = ready().await;
    lost(&world, &trainer).await;
    world.delete(&trainer, "/v1/zoom/connection").await.expect(204);
    world.sweep_later().await;
    world.connect_zoom(&trainer, "app").await;
    // Their retry makes a meeting of its own; the one that was lost is not the class's any more.
    let made = world.create_with_key(&trainer, "k", &class(50)).await.expect(201);
    world.advance(SignedDuration::from_mins(10));
    assert_eq!(world.sweep().await["left"], 0);
    let left = world.meetings();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0]["id"].to_string(), made["meeting"]["id"].as_str().expect("an id"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_of_a_meeting_that_vanished_meanwhile_is_let_go() {
    let (world, trainer) = ready().await;
    let made = world.create(&trainer, &class(50)).await.expect(201);
    world.fault(Fault::new(Service::Zoom, "update_meeting", Kind::Lost).times(2));
    let edited = with(class(50), json!({"title": "Geometry"}));
    world.edit(&trainer, &made, &edited).await.refused(502, "zoom_unavailable");
    let id = made["meeting"]["id"].as_str().expect("an id");
    world.delete("", &format!("/zoom/sim/meetings/{id}")).await.expect(204);
    assert_eq!(
        world.sweep_later().await,
        json!({"due": 1, "reminded": 0, "void": 0, "repaired": 1, "archived": 0, "left": 0})
    );
    world.edit(&trainer, &made, &edited).await.refused(409, "conflict");
    assert_eq!(world.get(&trainer, &path_of(&made)).await.expect(200)["version"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_intent_is_free_from_the_very_moment_at_which_its_time_is_over() {
    for seconds in [30, 31] {
        let (world, trainer) = ready().await;
        lost(&world, &trainer).await;
        world.advance(SignedDuration::from_secs(seconds));
        assert_eq!(world.sweep().await["repaired"], 1, "{seconds} s after {START}");
        assert_eq!(world.meetings(), Vec::<Value>::new());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sweep_that_was_out_for_half_a_day_catches_up() {
    let (world, trainer) = ready().await;
    world.sweep().await;
    lost(&world, &trainer).await;
    world.advance(SignedDuration::from_hours(13));
    assert_eq!(world.sweep().await["repaired"], 1);
    assert_eq!(world.meetings(), Vec::<Value>::new());
    world.stack.usage.reset();
    world.sweep().await;
    let calls = world.stack.usage.service_totals("reminder-sweep", Service::Dynamodb).calls;
    assert_eq!(calls, 2, "what is due, and what is to be kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_that_nobody_knows_of_is_set_back_to_what_we_hold() {
    let (world, trainer) = ready().await;
    let made = world.create(&trainer, &class(50)).await.expect(201);
    world.fault(Fault::new(Service::Zoom, "update_meeting", Kind::Lost).times(2));
    let edited = with(class(50), json!({"title": "Geometry", "record_session": true}));
    world.edit(&trainer, &made, &edited).await.refused(502, "zoom_unavailable");
    assert_eq!(world.meeting_of(&made)["topic"], "Geometry");
    assert_eq!(
        world.sweep_later().await,
        json!({"due": 1, "reminded": 0, "void": 0, "repaired": 1, "archived": 0, "left": 0})
    );
    let meeting = world.meeting_of(&made);
    assert_eq!(
        (&meeting["topic"], &meeting["settings"]["auto_recording"]),
        (&json!("Algebra I"), &json!("none"))
    );
    assert_eq!(world.get(&trainer, &path_of(&made)).await.expect(200), made);
    assert_eq!(world.announced().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repair_never_says_what_a_newer_edit_has_changed() {
    // The edit comes after the sweep has read the class, or while the sweep is at Zoom.
    for (service, operation) in [(Service::Dynamodb, "GetItem"), (Service::Zoom, "update_meeting")]
    {
        let (world, trainer) = ready().await;
        let made = world.create(&trainer, &class(50)).await.expect(201);
        world.fault(Fault::new(Service::Zoom, "update_meeting", Kind::Lost).times(2));
        let lost = with(class(50), json!({"title": "Geometry"}));
        world.edit(&trainer, &made, &lost).await.refused(502, "zoom_unavailable");
        world.advance(SignedDuration::from_secs(90));
        let slow = Fault::new(service, operation, Kind::Late).by("reminder-sweep");
        world.fault(Fault { delay_ms: Some(900), ..slow });
        world.stack.usage.reset();
        let newer = with(class(50), json!({"title": "Stereometry"}));
        let (edited, _) = futures::join!(
            async {
                let calls = || world.stack.usage.calls("reminder-sweep", service, operation);
                until("the sweep is there", || calls() > 0).await;
                world.edit(&trainer, &made, &newer).await
            },
            world.sweep()
        );
        edited.expect(200);
        assert_eq!(world.meeting_of(&made)["topic"], "Stereometry", "{operation}");
        world.advance(SignedDuration::from_mins(10));
        assert_eq!(world.sweep().await["left"], 0);
        assert_eq!(world.meeting_of(&made)["topic"], "Stereometry", "{operation}");
        assert_eq!(world.due("REPAIR").await, Vec::<Value>::new());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repair_that_zoom_fails_is_made_by_the_next_edit_or_run() {
    for edits in [true, false] {
        let (world, trainer) = ready().await;
        let made = world.create(&trainer, &class(50)).await.expect(201);
        world.fault(Fault::new(Service::Zoom, "update_meeting", Kind::Lost).times(2));
        let lost = with(class(50), json!({"title": "Geometry"}));
        world.edit(&trainer, &made, &lost).await.refused(502, "zoom_unavailable");
        world.advance(SignedDuration::from_secs(90));
        world.fault(Fault::new(Service::Zoom, "update_meeting", Kind::Error).times(2));
        assert_eq!(world.sweep().await["left"], 1);
        assert_eq!(world.meeting_of(&made)["topic"], "Geometry");
        if edits {
            let longer = with(class(50), json!({"duration_minutes": 90}));
            world.edit(&trainer, &made, &longer).await.expect(200);
        } else {
            world.advance(SignedDuration::from_mins(10));
            assert_eq!(world.sweep().await["repaired"], 1);
        }
        assert_eq!(world.meeting_of(&made)["topic"], "Algebra I", "{edits}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_left_in_an_account_that_is_not_connected_any_more_waits_until_it_is() {
    let (world, trainer) = ready().await;
    let made = world.create(&trainer, &class(50)).await.expect(201);
    world.fault(Fault::new(Service::Zoom, "update_meeting", Kind::Lost).times(2));
    let edited = with(class(50), json!({"title": "Geometry"}));
    world.edit(&trainer, &made, &edited).await.refused(502, "zoom_unavailable");
    lost(&world, &trainer).await;
    world.connect_zoom(&trainer, "other").await;
    assert_eq!(world.sweep_later().await["left"], 2);
    assert_eq!(world.month_count("trainer-1", "2026-11").await, 1, "the month does not wait");
    assert_eq!(world.meetings().len(), 2);

    world.connect_zoom(&trainer, "app").await;
    world.advance(SignedDuration::from_mins(10));
    assert_eq!(world.sweep().await["repaired"], 2);
    assert_eq!(world.meetings().len(), 1);
    assert_eq!(world.meeting_of(&made)["topic"], "Algebra I");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repair_after_a_slow_one_has_its_class_in_hand() {
    let (world, trainer) = ready().await;
    for (key, hours) in [("k", 50), ("l", 51)] {
        world.zoom_fails("create_meeting", Kind::Lost);
        world.fault(Fault::new(Service::Zoom, "list_meetings", Kind::Error).times(2));
        let answer = world.create_with_key(&trainer, key, &class(hours)).await;
        answer.refused(502, "zoom_unavailable");
        world.advance(SignedDuration::from_secs(1));
    }
    world.advance(SignedDuration::from_secs(90));
    let late = |service, operation: &str| {
        let late = Fault::new(service, operation, Kind::Late).by("reminder-sweep");
        Fault { delay_ms: Some(900), ..late }
    };
    // The first repair takes forty seconds. The second has just read whose the class is when its trainer tries again.
    world.fault(late(Service::Zoom, "list_meetings"));
    world.fault(late(Service::Dynamodb, "BatchGetItem").after(1));
    world.stack.usage.reset();
    let again = async {
        let calls = |service, operation: &str| {
            world.stack.usage.calls("reminder-sweep", service, operation)
        };
        until("the first is at Zoom", || calls(Service::Zoom, "list_meetings") > 0).await;
        world.advance(SignedDuration::from_secs(40));
        until("the second reads", || calls(Service::Dynamodb, "BatchGetItem") > 1).await;
        world.create_with_key(&trainer, "l", &class(51)).await
    };
    let (made, report) = futures::join!(again, world.sweep());
    let made = made.expect(201);
    assert_eq!(report["repaired"], 2);
    assert_eq!(world.meeting_of(&made)["status"], "waiting", "nobody took it for a stray");
    assert_eq!(world.meetings().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_begins_no_repair_for_which_it_has_no_time() {
    let (world, trainer) = ready().await;
    lost(&world, &trainer).await;
    world.advance(SignedDuration::from_secs(90));
    let direct = Direct::new(&world, &[]);
    let report = direct.repair(SignedDuration::from_secs(15)).await.expect("it ends by itself");
    assert_eq!((&report["repaired"], &report["left"]), (&json!(0), &json!(1)));
    assert_eq!(world.meetings().len(), 1);
    // It is the next run's first business.
    let report = direct.repair(SignedDuration::from_secs(120)).await.expect("it ends by itself");
    assert_eq!((&report["repaired"], &report["left"]), (&json!(1), &json!(0)));
    assert_eq!(world.meetings(), Vec::<Value>::new());
}
