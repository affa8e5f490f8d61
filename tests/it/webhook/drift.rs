//! What somebody changes at Zoom, past us: it is flagged, told of late or not, and our own changes are not.

use http::Method;
use jiff::SignedDuration;
use local::calls::Service::{Dynamodb, Zoom};
use local::faults::{Fault, Kind};
use serde_json::{Value, json};

use super::world_and_lesson;
use crate::direct::until;
use crate::lesson::{Lesson, act};
use crate::look::{invitees, with};
use crate::world::{World, course_class};

/// A class for two addresses: another edit than this is none of Zoom's business.
fn invited() -> Value {
    let audience = json!({"audience_type": "invitees", "course_id": null, "invitees": invitees(2)});
    with(course_class(26), audience)
}

/// How often the trainer is to be told that the meeting is gone.
async fn told_deleted(world: &World) -> usize {
    let told = world.due("OUTBOX").await;
    told.iter().filter(|item| item["what"] == "meeting_deleted").count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_changed_at_zoom_is_flagged_until_the_next_edit() {
    let (world, trainer, lesson) = world_and_lesson().await;
    let drift = async || lesson.shown(&world, &trainer).await["drift"].clone();
    let moved = lesson.at(30);
    let updated = |minute: i64, object: Value| {
        let at = world.now() + SignedDuration::from_mins(minute);
        lesson.event("meeting.updated", at, &object)
    };
    let title = updated(1, json!({"topic": "Geometry"}));
    lesson.tell(&world, &title).await;
    assert_eq!(drift().await, json!(["title"]));
    // Not a word of the title, which is still another.
    lesson.tell(&world, &updated(2, json!({"duration": 90, "start_time": moved}))).await;
    assert_eq!(drift().await, json!(["duration_minutes", "starts_at", "title"]));
    lesson.tell(&world, &updated(3, json!({"settings": {"mute_upon_entry": true}}))).await;
    assert_eq!(drift().await, json!(["duration_minutes", "starts_at", "title"]));
    // Put back, and told late: what is said of an earlier time does not count against it.
    lesson.tell(&world, &updated(5, json!({"duration": 60, "start_time": lesson.starts_at}))).await;
    lesson.tell(&world, &updated(4, json!({"duration": 45}))).await;
    assert_eq!(drift().await, json!(["title"]));
    // Students see nothing of it.
    let seen = world.get(&world.student(1).await, &lesson.path).await.expect(200);
    assert!(seen.get("drift").is_none());

    world.advance(SignedDuration::from_mins(10));
    let mut body = course_class(26);
    body["description"] = json!("With fractions.");
    world.put(&trainer, &lesson.path, body.clone()).await.expect(200);
    assert_eq!(drift().await, json!([]));
    let patch = world.stack.zoom.meeting(lesson.meeting).expect("a meeting")["requests"]
        .as_array()
        .and_then(|all| all.last())
        .cloned()
        .expect("a request");
    assert!(patch.to_string().contains("Algebra I"), "the title is set back: {patch}");
    // Zoom sends it again, long after.
    lesson.tell(&world, &title).await;
    assert_eq!(drift().await, json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_echo_of_our_own_edits_is_no_drift_in_any_order() {
    let (world, trainer, lesson) = world_and_lesson().await;
    act(&world, "knobs", json!({"webhooks": {"shuffle": true, "duplicate": 2}})).await;
    for n in 0..5 {
        world.advance(SignedDuration::from_secs(1));
        let mut body = course_class(26 + n);
        body["title"] = json!(format!("Algebra {n}"));
        body["duration_minutes"] = json!(60 + 15 * n);
        world.put(&trainer, &lesson.path, body).await.expect(200);
        if n % 2 == 0 {
            world.stack.zoom.deliver_due().await;
        }
    }
    world.stack.zoom.deliver_due().await;
    assert_eq!(lesson.shown(&world, &trainer).await["drift"], json!([]));

    // While it is under way: Zoom tells of it before we have stored it.
    world.advance(SignedDuration::from_secs(1));
    let slow = Fault { delay_ms: Some(600), ..Fault::new(Zoom, "update_meeting", Kind::Late) };
    world.fault(slow);
    let mut body = course_class(26);
    body["title"] = json!("Geometry");
    let before = world.stack.zoom.webhooks().len();
    let edit = world.put(&trainer, &lesson.path, body);
    let tell = async {
        until("Zoom has it", || world.stack.zoom.webhooks().len() > before).await;
        world.stack.zoom.deliver_due().await;
    };
    let (edited, ()) = futures::join!(edit, tell);
    assert_eq!(edited.expect(200)["drift"], json!([]));
    assert_eq!(lesson.shown(&world, &trainer).await["drift"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_meeting_deleted_at_zoom_is_flagged_and_our_own_deletion_is_not() {
    let (world, trainer, lesson) = world_and_lesson().await;
    let drift = async || lesson.shown(&world, &trainer).await["drift"].clone();
    let later = world.now() + SignedDuration::from_mins(2);
    let recovered = lesson.event("meeting.recovered", later, &json!({}));
    let path = format!("/zoom/sim/meetings/{}", lesson.meeting);
    world.call(Method::DELETE, &path, "", None, &[]).await.expect(204);
    assert_eq!(drift().await, json!(["deleted"]));
    // Another field does not take the flag away, getting the meeting back does.
    let updated = lesson.event("meeting.updated", later, &json!({"topic": "Geometry"}));
    lesson.tell(&world, &updated).await;
    assert_eq!(drift().await, json!(["title", "deleted"]));
    lesson.tell(&world, &recovered).await;
    assert_eq!(drift().await, json!(["title"]));

    let lesson = Lesson::schedule(&world, &trainer).await;
    world.post(&trainer, &format!("{}/cancel", lesson.path), json!({})).await.expect(200);
    world.stack.zoom.deliver_due().await;
    let shown = lesson.shown(&world, &trainer).await;
    assert_eq!((&shown["status"], &shown["drift"]), (&json!("cancelled"), &json!([])));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_that_is_told_late_counts_after_an_edit_of_which_zoom_heard_nothing() {
    let (world, trainer, lesson) = world_and_lesson().await;
    world.advance(SignedDuration::from_mins(1));
    let deleted = lesson.event("meeting.deleted", world.now(), &json!({}));
    world.advance(SignedDuration::from_mins(1));
    world.put(&trainer, &lesson.path, invited()).await.expect(200);
    world.advance(SignedDuration::from_mins(3));
    lesson.tell(&world, &deleted).await;
    assert_eq!(lesson.shown(&world, &trainer).await["drift"], json!(["deleted"]));
    assert_eq!(told_deleted(&world).await, 1);

    // Of which it did hear: the meeting was there then.
    let lesson = Lesson::schedule(&world, &trainer).await;
    world.advance(SignedDuration::from_mins(1));
    let deleted = lesson.event("meeting.deleted", world.now(), &json!({}));
    world.advance(SignedDuration::from_mins(1));
    let longer = with(course_class(26), json!({"duration_minutes": 90}));
    world.put(&trainer, &lesson.path, longer).await.expect(200);
    lesson.tell(&world, &deleted).await;
    assert_eq!(lesson.shown(&world, &trainer).await["drift"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_while_an_edit_is_under_way_is_not_lost() {
    let slow = |service, operation: &str| {
        let late = Fault::new(service, operation, Kind::Late).by("session-save");
        Fault { delay_ms: Some(900), ..late }
    };
    let longer = with(course_class(26), json!({"duration_minutes": 90}));
    for (reads, body) in [(true, invited()), (true, longer.clone()), (false, longer)] {
        let (world, trainer, lesson) = world_and_lesson().await;
        world.stack.usage.reset();
        let (service, operation) =
            if reads { (Dynamodb, "BatchGetItem") } else { (Zoom, "update_meeting") };
        world.fault(slow(service, operation));
        let edit = world.put(&trainer, &lesson.path, body.clone());
        let delete = async {
            let calls = || world.stack.usage.calls("session-save", service, operation);
            until("the edit is there", || calls() > 0).await;
            let path = format!("/zoom/sim/meetings/{}", lesson.meeting);
            world.call(Method::DELETE, &path, "", None, &[]).await.expect(204);
        };
        let (edited, ()) = futures::join!(edit, delete);
        // Zoom, if it is asked after the deletion, says so itself.
        assert!([200, 409].contains(&edited.status.as_u16()), "{}", edited.text);
        let shown = lesson.shown(&world, &trainer).await;
        assert_eq!(shown["drift"], json!(["deleted"]), "{service:?} {body}");
        assert_eq!(told_deleted(&world).await, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_that_sets_all_right_does_not_take_away_a_flag_that_it_has_not_seen() {
    let (world, trainer, lesson) = world_and_lesson().await;
    let at = world.now() + SignedDuration::from_mins(1);
    lesson.tell(&world, &lesson.event("meeting.updated", at, &json!({"topic": "Geometry"}))).await;
    world.advance(SignedDuration::from_mins(2));
    world.stack.usage.reset();
    // Long enough for the deletion to be heard of in between, also on a busy machine.
    let slow = Fault { delay_ms: Some(3000), ..Fault::new(Zoom, "update_meeting", Kind::Late) };
    world.fault(slow.by("session-save"));
    let longer = with(course_class(26), json!({"duration_minutes": 90}));
    let edit = world.put(&trainer, &lesson.path, longer);
    let delete = async {
        let calls = || world.stack.usage.calls("session-save", Zoom, "update_meeting");
        until("Zoom has it", || calls() > 0).await;
        let path = format!("/zoom/sim/meetings/{}", lesson.meeting);
        world.call(Method::DELETE, &path, "", None, &[]).await.expect(204);
    };
    let (edited, ()) = futures::join!(edit, delete);
    edited.refused(409, "conflict");
    let shown = lesson.shown(&world, &trainer).await;
    assert_eq!((&shown["version"], &shown["duration_minutes"]), (&json!(1), &json!(60)));
    assert!(shown["drift"].as_array().is_some_and(|drift| drift.contains(&json!("deleted"))));
    assert_eq!(told_deleted(&world).await, 1);
}
