//! Recordings: files that no event has reported, and files that are gone.

use super::*;
use crate::platform_hosting::assign_host;

/// The files without Zoom's random ids, links and passcodes.
fn comparable(recordings: &Value) -> Vec<Value> {
    let mut items = recordings["items"].as_array().expect("a list").clone();
    for item in &mut items {
        let object = item.as_object_mut().expect("an object");
        object.remove("id");
        for field in ["play_url", "passcode"] {
            object.insert(field.to_owned(), json!(object[field].is_string()));
        }
    }
    items.sort_by_key(|item| item["file_type"].to_string());
    items
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sweep_replaces_the_lost_events_of_a_recording() {
    let (told, lost) = (HeldSession::hold(None).await, HeldSession::hold(Some("*")).await);
    assert_eq!(lost.recordings(&lost.trainer).await["items"], json!([]));
    assert_eq!(lost.sweep_at(29).await["due"], 0);
    assert_eq!(lost.sweep_at(31).await["corrected"], 1);
    assert_eq!(told.sweep_at(31).await["compared"], 1);
    for (name, by_event, by_sweep) in
        [("trainer", &told.trainer, &lost.trainer), ("student", &told.student, &lost.student)]
    {
        let expected = told.recordings(by_event).await;
        let found = lost.recordings(by_sweep).await;
        assert_eq!(comparable(&found), comparable(&expected), "{name}");
        assert_eq!(found["state"], "available", "{name}: {found}");
        assert_eq!((&found["reason"], found["synced_at"].is_string()), (&Value::Null, true));
    }
    for held in [&told, &lost] {
        let session = held.session.fetch(&held.world, &held.trainer).await;
        assert_eq!(session["has_recording"], true);
        assert_eq!(held.recording_notifications().await, 1);
    }
    assert_eq!((told.corrections().await, lost.corrections().await), (vec![], vec![2]));
    // The next looks find nothing more to do.
    for minute in [91, 151] {
        lost.sweep_at(minute).await;
    }
    assert_eq!((lost.recording_notifications().await, lost.corrections().await), (1, vec![2]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn file_that_is_missing_twice_becomes_unavailable() {
    let held = HeldSession::hold(None).await;
    held.world.lose_events("recording.deleted");
    held.simulate("recording", json!({"action": "delete"})).await;
    let available = ("available".to_owned(), Value::Null);
    held.sweep_at(31).await;
    assert_eq!(held.states().await, [available.clone(), available], "Zoom's lists may lag");
    assert_eq!(held.corrections().await, [] as [u64; 0]);
    held.sweep_at(91).await;
    let missing = ("unavailable".to_owned(), json!("missing_at_zoom"));
    assert_eq!(held.states().await, [missing.clone(), missing]);
    let recordings = held.recordings(&held.student).await;
    assert_eq!(
        (&recordings["state"], &recordings["reason"]),
        (&json!("unavailable"), &json!("missing_at_zoom"))
    );
    assert_eq!(recordings["items"][0]["play_url"], Value::Null);
    let session = held.session.fetch(&held.world, &held.trainer).await;
    assert_eq!(session["has_recording"], false);
    assert_eq!(held.corrections().await, [2]);
    held.world.stack.usage.reset();
    held.sweep_at(151).await;
    assert_eq!(held.corrections().await, [2]);
    assert_eq!(held.world.zoom_calls("reconcile-sweep", "user_recordings"), 0, "no trash");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn file_in_the_trash_is_not_missing_and_can_come_back() {
    let held = HeldSession::hold(None).await;
    held.world.lose_events("*");
    held.simulate("recording", json!({"action": "trash"})).await;
    let trashed = ("trashed".to_owned(), json!("in_trash"));
    for minute in [31, 91, 151] {
        held.sweep_at(minute).await;
        assert_eq!(held.states().await, [trashed.clone(), trashed.clone()], "{minute}");
    }
    held.simulate("recording", json!({"action": "recover"})).await;
    held.sweep_at(211).await;
    let available = ("available".to_owned(), Value::Null);
    assert_eq!(held.states().await, [available.clone(), available]);
    assert_eq!(held.corrections().await, [2, 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recordings_need_no_event_for_any_host_and_uuid() {
    for is_platform in [false, true] {
        for (uuid_form, slashes) in [("plain", ""), ("leading_slash", "/"), ("double_slash", "//")]
        {
            let world = World::start().await;
            world.post("", "/zoom/sim/knobs", json!({"uuid_form": uuid_form})).await.expect(200);
            match is_platform {
                true => drop(assign_host(&world, "trainer-1", "hana@example.test").await),
                false => drop(world.connect_zoom(&world.trainer().await, "app").await),
            }
            let held = HeldSession::hold_in(world, Some("*")).await;
            let meeting = held.world.stack.zoom.meeting(held.session.meeting).expect("a meeting");
            let uuid = meeting["uuid"].as_str().expect("a uuid");
            assert!(uuid.contains(slashes), "{uuid}");
            let (mut states, mut found) = (Vec::new(), Vec::new());
            for (action, minutes) in [
                (None, &[31][..]),
                (Some("trash"), &[91]),
                (Some("recover"), &[151]),
                (Some("delete"), &[211, 271]),
            ] {
                if let Some(action) = action {
                    held.simulate("recording", json!({ "action": action })).await;
                }
                for minute in minutes {
                    held.sweep_at(*minute).await;
                }
                states.push(held.states().await);
                found.push(held.recordings(&held.student).await["state"].clone());
            }
            let expected = [
                ("available", Value::Null),
                ("trashed", json!("in_trash")),
                ("available", Value::Null),
                ("unavailable", json!("missing_at_zoom")),
            ];
            let expected = expected.map(|(state, reason)| (state.to_owned(), reason));
            assert_eq!(states, expected.map(|state| vec![state.clone(), state]), "{uuid}");
            assert_eq!(found, ["available", "unavailable", "available", "unavailable"], "{uuid}");
            assert_eq!(held.corrections().await, [2, 2, 2, 2], "{uuid}");
            assert_eq!(held.recording_notifications().await, 1, "{uuid}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trash_with_an_expired_page_is_read_from_its_start() {
    let held = HeldSession::hold(None).await;
    held.world.lose_events("recording.trashed");
    held.simulate("recording", json!({"action": "trash"})).await;
    // The recording of a second meeting instance is on the second page.
    held.simulate("start", json!({})).await;
    held.advance_to(LENGTH + 5).await;
    held.simulate("end", json!({})).await;
    held.simulate("recording", json!({})).await;
    held.simulate("recording", json!({"action": "trash"})).await;
    let configure = async |settings: Value| {
        held.world.post("", "/zoom/sim/knobs", settings).await.expect(200);
    };
    configure(json!({"list_page_size": 1, "expired_pages": 1000})).await;
    assert_eq!(held.sweep_at(31).await["failed"], 1);
    let available = ("available".to_owned(), Value::Null);
    assert_eq!(held.states().await, vec![available; 4], "half a list proves nothing");
    assert_eq!(held.recordings(&held.trainer).await["reason"], Value::Null);

    configure(json!({"expired_pages": 1})).await;
    held.world.stack.usage.reset();
    held.sweep_at(46).await;
    assert_eq!(held.states().await, vec![("trashed".to_owned(), json!("in_trash")); 4]);
    assert_eq!(held.world.zoom_calls("reconcile-sweep", "user_recordings"), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recordings_are_compared_hourly_for_a_week() {
    let held = HeldSession::hold(None).await;
    held.world.stack.usage.reset();
    let calls = || held.world.zoom_calls("reconcile-sweep", "recordings");
    for (minute, expected) in
        [(30, 1), (45, 1), (60, 1), (90, 2), (105, 2), (24 * 60, 3), (7 * 24 * 60 + 30, 4)]
    {
        held.sweep_at(minute).await;
        assert_eq!(calls(), expected, "{minute}");
    }
    held.sweep_at(9 * 24 * 60).await;
    assert_eq!(calls(), 4);
    assert_eq!(held.queued().await, 1, "it waits for requested runs");
    held.sweep_at(32 * 24 * 60).await;
    assert_eq!(held.queued().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn comparison_on_demand_is_skipped_if_it_was_done_a_moment_ago() {
    let held = HeldSession::hold(Some("*")).await;
    let path = format!("{}/sync", held.path());
    let sync = async |token: &str| held.world.post(token, &path, json!({})).await;
    held.advance_to(LENGTH + 5).await;
    assert_eq!(sync(&held.trainer).await.expect(200), json!({"files": 2}));
    assert_eq!(held.states().await.len(), 2);
    assert_eq!(sync(&held.trainer).await.expect(200), json!({"skipped": "fresh"}));
    let (service, admin) = (held.world.service().await, held.world.admin().await);
    for token in [&service, &admin] {
        assert_eq!(sync(token).await.expect(200), json!({"skipped": "fresh"}));
    }
    sync(&held.student).await.expect_problem(403, "forbidden");
    sync(&held.world.other_trainer().await).await.expect_problem(404, "not_found");
    held.world.stack.usage.reset();
    held.sweep_at(31).await;
    assert_eq!(held.world.zoom_calls("reconcile-sweep", "recordings"), 0, "still fresh");
    held.sweep_at(91).await;
    assert_eq!(held.world.zoom_calls("reconcile-sweep", "recordings"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusal_of_zoom_is_a_reason_and_no_endless_retry() {
    let held = HeldSession::hold(Some("*")).await;
    held.world.delete(&held.trainer, "/v1/zoom/connection").await.expect(204);
    held.world.stack.usage.reset();
    held.sweep_at(31).await;
    let reason = async |token: &str| {
        let recordings = held.recordings(token).await;
        (recordings["state"].clone(), recordings["reason"].clone())
    };
    assert_eq!(reason(&held.trainer).await, (json!("none"), json!("zoom_not_connected")));
    let (_, for_students) = reason(&held.student).await;
    assert_ne!(for_students, "zoom_not_connected", "it concerns the trainer");
    assert_eq!(held.sweep_at(46).await["due"], 0, "it waits for the next hour");
    held.world
        .post(&held.trainer, &format!("{}/sync", held.path()), json!({}))
        .await
        .expect_problem(409, "zoom_not_connected");
    held.world.connect_zoom(&held.trainer, "app").await;
    held.sweep_at(91).await;
    assert_eq!(reason(&held.trainer).await, (json!("available"), Value::Null));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn state_has_a_reason_before_there_is_a_recording() {
    let world = World::start().await;
    let (trainer, student) = (world.trainer().await, world.student(1).await);
    world.connect_zoom(&trainer, "app").await;
    let session = ScheduledSession::schedule_for_course(&world, &trainer).await;
    let held = HeldSession { world, trainer, student, session };
    for (minute, reason) in
        [(0, "not_over"), (LENGTH + 5, "not_over"), (LENGTH + 24 * 60, "not_held")]
    {
        held.advance_to(minute).await;
        let recordings = held.recordings(&held.student).await;
        let expected =
            json!({"items": [], "state": "none", "reason": reason, "synced_at": Value::Null});
        assert_eq!(recordings, expected, "{minute}");
    }
}
