//! Cancelling a class: it is cancelled here whatever Zoom does, those invited are told once, and the meeting goes.

use futures::future::join_all;
use http::Method;
use jiff::SignedDuration;
use local::calls::Service;
use local::faults::{Fault, Kind};
use serde_json::{Value, json};

use crate::look::{fields, path_of, with};
use crate::world::{World, course_class};

async fn scheduled() -> (World, String, Value) {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    let made = world.create(&trainer, &course_class(50)).await.expect(201);
    (world, trainer, made)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_class_is_told_once_and_its_meeting_is_gone() {
    let (world, trainer, made) = scheduled().await;
    let path = format!("{}/cancel", path_of(&made));
    let reason = json!({"reason": " The trainer is ill. "});
    let cancelled = world.post(&trainer, &path, reason).await.expect(200);
    assert_eq!(cancelled["status"], "cancelled");
    assert_eq!(cancelled["cancelled_at"], "2026-11-21T09:00:00Z");
    assert_eq!((&cancelled["version"], &cancelled["ics_sequence"]), (&json!(2), &json!(1)));
    assert_eq!(world.meeting_of(&made)["status"], "deleted");
    assert_eq!(world.reminders().await, []);
    assert_eq!(
        world.announced().await,
        [("scheduled".to_owned(), 1, 0), ("cancelled".to_owned(), 2, 1)]
    );
    let told = world.due("OUTBOX").await;
    assert!(
        told.iter().any(|it| it["kind"] == "cancelled" && it["reason"] == "The trainer is ill.")
    );
    assert_eq!(world.month_count("trainer-1", "2026-11").await, 0);
    assert_eq!(world.due("REPAIR").await, Vec::<Value>::new());

    world.advance(SignedDuration::from_mins(1));
    let again = world.post(&trainer, &path, json!({"reason": "Another one."})).await.expect(200);
    assert_eq!(again, cancelled, "the second changes nothing");
    assert_eq!(world.announced().await.len(), 2);
    assert_eq!(world.asked_of_zoom("session-cancel", "delete_meeting"), 1);

    let student = world.student(1).await;
    let listed = world.listed(&student, "/v1/me/sessions").await;
    assert_eq!(listed[0]["join"]["state"], "cancelled");
    assert_eq!(world.listed(&trainer, "/v1/sessions?status=cancelled").await.len(), 1);
    assert_eq!(world.listed(&trainer, "/v1/sessions?status=scheduled").await.len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_cancellations_at_once_are_one() {
    let (world, trainer, made) = scheduled().await;
    let answers = join_all((0..10).map(|_| world.cancel(&trainer, &made))).await;
    let bodies: Vec<_> = answers.into_iter().map(|answer| answer.expect(200)).collect();
    assert!(bodies.iter().all(|body| *body == bodies[0]));
    assert_eq!(world.announced().await.len(), 2);
    assert_eq!(world.month_count("trainer-1", "2026-11").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_meeting_that_is_gone_already_is_no_obstacle() {
    let (world, trainer, made) = scheduled().await;
    let id = made["meeting"]["id"].as_str().expect("an id");
    world.delete("", &format!("/zoom/sim/meetings/{id}")).await.expect(204);
    world.cancel(&trainer, &made).await.expect(200);
    assert_eq!(world.due("REPAIR").await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_zoom_that_is_down_keeps_nothing_and_the_meeting_goes_later() {
    for kind in [Kind::Error, Kind::Html, Kind::Throttle, Kind::Daily] {
        let (world, trainer, made) = scheduled().await;
        world.fault(Fault::new(Service::Zoom, "delete_meeting", kind).times(2));
        let cancelled = world.cancel(&trainer, &made).await.expect(200);
        assert_eq!(cancelled["status"], "cancelled");
        assert_eq!(world.meeting_of(&made)["status"], "waiting", "{kind:?}");
        assert_eq!(world.announced().await.len(), 2);
        assert_eq!(world.sweep_later().await["repaired"], 1);
        assert_eq!(world.meeting_of(&made)["status"], "deleted", "{kind:?}");
        assert_eq!(world.due("REPAIR").await, Vec::<Value>::new());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_grant_a_class_can_still_be_cancelled() {
    let (world, trainer, made) = scheduled().await;
    world.delete(&trainer, "/v1/zoom/connection").await.expect(204);
    world.cancel(&trainer, &made).await.expect(200);
    assert_eq!(world.announced().await.len(), 2);
    assert_eq!(
        world.sweep_later().await,
        json!({"due": 1, "reminded": 0, "void": 0, "repaired": 1, "archived": 0, "left": 0})
    );

    // A grant that is dead may come to life again, and then the meeting goes.
    let (world, trainer, made) = scheduled().await;
    world.advance(SignedDuration::from_hours(2));
    world.zoom_fails("token", Kind::InvalidGrant);
    world.cancel(&trainer, &made).await.expect(200);
    assert_eq!(world.sweep_later().await["left"], 1);
    assert_eq!(world.sweep().await["due"], 0, "it is put off, not read again by every run");
    world.connect_zoom(&trainer, "app").await;
    world.advance(SignedDuration::from_mins(10));
    assert_eq!(world.sweep().await["repaired"], 1);
    assert_eq!(world.meeting_of(&made)["status"], "deleted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancellation_that_could_not_be_stored_changed_nothing_and_can_be_repeated() {
    for (kind, times) in [(Kind::Error, 3), (Kind::Throttle, 3), (Kind::Conflict, 5)] {
        let (world, trainer, made) = scheduled().await;
        let fault = Fault::new(Service::Dynamodb, "TransactWriteItems", kind).by("session-cancel");
        world.fault(fault.times(times));
        world.cancel(&trainer, &made).await.refused(503, "unavailable");
        assert_eq!(world.meeting_of(&made)["status"], "waiting");
        assert_eq!(world.get(&trainer, &path_of(&made)).await.expect(200)["status"], "scheduled");
        world.cancel(&trainer, &made).await.expect(200);
    }
    let (world, trainer, made) = scheduled().await;
    let fault =
        Fault::new(Service::Dynamodb, "TransactWriteItems", Kind::Lost).by("session-cancel");
    world.fault(fault.times(2));
    assert_eq!(world.cancel(&trainer, &made).await.expect(200)["version"], 2);
    assert_eq!(world.meeting_of(&made)["status"], "deleted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_class_is_ended_for_everyone() {
    let (world, trainer, made) = scheduled().await;
    let id = made["meeting"]["id"].as_str().expect("an id");
    world.post("", &format!("/zoom/sim/meetings/{id}/start"), json!({})).await.expect(200);
    world.cancel(&trainer, &made).await.expect(200);
    let meeting = world.meeting_of(&made);
    assert_eq!(meeting["status"], "deleted");
    assert!(meeting["instances"][0]["ended_at"].is_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_class_whose_meeting_could_not_be_ended_is_ended_by_the_sweep() {
    let (world, trainer, made) = scheduled().await;
    let id = made["meeting"]["id"].as_str().expect("an id");
    world.post("", &format!("/zoom/sim/meetings/{id}/start"), json!({})).await.expect(200);
    world
        .post("", &format!("/zoom/sim/meetings/{id}/join"), json!({"name": "Sam"}))
        .await
        .expect(200);
    for operation in ["end_meeting", "delete_meeting"] {
        world.fault(Fault::new(Service::Zoom, operation, Kind::Error).times(2));
    }
    world.cancel(&trainer, &made).await.expect(200);
    assert_eq!(world.meeting_of(&made)["status"], "started");
    assert_eq!(world.sweep_later().await["repaired"], 1);
    let meeting = world.meeting_of(&made);
    assert_eq!(meeting["status"], "deleted");
    assert!(meeting["instances"][0]["ended_at"].is_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_meeting_in_an_account_that_is_not_connected_any_more_waits_until_it_is() {
    let (world, trainer, made) = scheduled().await;
    world.connect_zoom(&trainer, "other").await;
    world.cancel(&trainer, &made).await.expect(200);
    assert_eq!(world.announced().await.len(), 2, "those invited are told all the same");
    assert_eq!(world.meeting_of(&made)["status"], "waiting");
    assert_eq!(world.sweep_later().await["left"], 1);
    assert_eq!(world.meeting_of(&made)["status"], "waiting");

    world.connect_zoom(&trainer, "app").await;
    world.advance(SignedDuration::from_mins(10));
    assert_eq!(world.sweep().await["repaired"], 1);
    assert_eq!(world.meeting_of(&made)["status"], "deleted");
    assert_eq!(world.due("REPAIR").await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_class_that_is_changed_and_cancelled_at_once_ends_cancelled() {
    let (world, trainer, made) = scheduled().await;
    let body = with(course_class(50), json!({"title": "Geometry"}));
    let (edited, cancelled) =
        futures::join!(world.edit(&trainer, &made, &body), world.cancel(&trainer, &made));
    cancelled.expect(200);
    assert!([200, 409].contains(&edited.status.as_u16()), "{}", edited.text);
    world.sweep_later().await;
    let shown = world.get(&trainer, &path_of(&made)).await.expect(200);
    assert_eq!(shown["status"], "cancelled");
    assert_eq!(world.meeting_of(&made)["status"], "deleted");
    let announced = world.announced().await;
    assert_eq!(announced.last().map(|(kind, ..)| kind.as_str()), Some("cancelled"));
    assert_eq!(announced.last().map(|(.., sequence)| *sequence), shown["ics_sequence"].as_u64());
    assert_eq!(world.reminders().await, []);
    assert_eq!(world.due("REPAIR").await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_theirs_nobody_cancels() {
    let (world, trainer, made) = scheduled().await;
    let other = world.other_trainer().await;
    world.cancel(&other, &made).await.refused(404, "not_found");
    let student = world.student(1).await;
    world.cancel(&student, &made).await.refused(403, "forbidden");
    world.cancel("", &made).await.refused(401, "unauthenticated");
    for id in ["ses_aaaaaaaaaaaaaaaaaaaaaaaaaa", "nonsense"] {
        world
            .post(&trainer, &format!("/v1/sessions/{id}/cancel"), json!({}))
            .await
            .refused(404, "not_found");
    }
    let path = format!("{}/cancel", path_of(&made));
    for (body, field) in [
        (json!({"reason": "x".repeat(501)}), "reason"),
        (json!({"reason": 7}), "reason"),
        (json!({"why": "x"}), "why"),
    ] {
        let problem = world
            .call(Method::POST, &path, &trainer, Some(body), &[])
            .await
            .refused(422, "validation_failed");
        assert_eq!(fields(&problem), [field]);
    }
    assert_eq!(world.get(&trainer, &path_of(&made)).await.expect(200)["status"], "scheduled");
    assert_eq!(world.meetings().len(), 1);
}
