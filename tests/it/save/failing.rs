//! A class that is scheduled while Zoom, the table or the function fails: there is one with one meeting, or neither.

use jiff::SignedDuration;
use local::calls::Service;
use local::faults::{Fault, Kind};
use serde_json::{Value, json};

use super::{exactly_one, nothing_came_of_it, pasted, ready};
use crate::direct::until;
use crate::look::with;
use crate::world::class;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_zoom_fails_nothing_is_half_done() {
    let (world, trainer) = ready().await;
    let unknown = [
        Fault::new(Service::Zoom, "create_meeting", Kind::Error),
        Fault::new(Service::Zoom, "create_meeting", Kind::Html),
        Fault { status: Some(200), ..Fault::new(Service::Zoom, "create_meeting", Kind::Html) },
    ];
    for fault in unknown {
        world.fault(fault);
        let problem = world.create(&trainer, &class(26)).await.refused(502, "zoom_unavailable");
        assert!(!problem["detail"].as_str().unwrap_or_default().contains("html"), "{problem}");
        // Whether Zoom has made it is not known; the sweep looks, and gives the month's place back.
        assert_eq!(world.sweep_later().await["left"], 0);
        nothing_came_of_it(&world, &trainer).await;
        assert_eq!(world.due("REPAIR").await, Vec::<Value>::new());
    }
    // A 401 leads to one refresh and one retry; what Zoom refuses is not tried again.
    world.fault(Fault::new(Service::Zoom, "create_meeting", Kind::Unauthorized).times(2));
    world.create(&trainer, &class(26)).await.refused(409, "reauth_required");
    world.fault(Fault {
        status: Some(400),
        ..Fault::new(Service::Zoom, "create_meeting", Kind::Error)
    });
    world.create(&trainer, &class(26)).await.refused(502, "zoom_rejected");
    nothing_came_of_it(&world, &trainer).await;
    world.zoom_fails("create_meeting", Kind::Unauthorized);
    world.create(&trainer, &class(26)).await.expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_zoom_that_hangs_is_given_up_within_the_functions_time() {
    let (world, trainer) = ready().await;
    world.zoom_fails("create_meeting", Kind::Timeout);
    world.create(&trainer, &class(26)).await.refused(502, "zoom_unavailable");
    world.sweep_later().await;
    nothing_came_of_it(&world, &trainer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_meeting_whose_answer_was_lost_is_found_by_its_mark() {
    for kind in [Kind::Lost, Kind::Half] {
        let (world, trainer) = ready().await;
        // The class of somebody else has the same title and start; its mark is another one.
        world.create(&trainer, &class(26)).await.expect(201);
        world.zoom_fails("create_meeting", kind);
        let long = with(class(26), json!({"description": "é".repeat(2000)}));
        let made = world.create(&trainer, &long).await.expect(201);
        assert_eq!(world.stack.zoom.meetings().len(), 2, "{kind:?}");
        assert_eq!(world.asked_of_zoom("session-save", "create_meeting"), 2, "no blind retry");
        let meeting = world.meeting_of(&made);
        assert_eq!(made["meeting"]["passcode"], meeting["password"]);
        assert_eq!(meeting["status"], "waiting");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_meeting_that_could_not_be_looked_up_is_adopted_by_the_retry() {
    let (world, trainer) = ready().await;
    world.zoom_fails("create_meeting", Kind::Lost);
    world.fault(Fault::new(Service::Zoom, "list_meetings", Kind::Error).times(2));
    world.create_with_key(&trainer, "k", &class(26)).await.refused(502, "zoom_unavailable");
    assert_eq!(world.meetings().len(), 1, "it is there and nobody knows");
    // Another body under the key is refused while the first is unsettled, too.
    let other = with(class(26), json!({"title": "Geometry"}));
    for body in [&other, &pasted()] {
        world.create_with_key(&trainer, "k", body).await.refused(422, "idempotency_key_reused");
    }
    // At once: whoever gave up has said so, and nobody waits for them.
    world.create_with_key(&trainer, "k", &class(26)).await.expect(201);
    exactly_one(&world, &trainer).await;
    assert_eq!(world.asked_of_zoom("session-save", "create_meeting"), 1);
    assert_eq!(world.sweep_later().await["left"], 0);
    exactly_one(&world, &trainer).await;
    assert_eq!(world.due("REPAIR").await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_meeting_that_nobody_asks_for_again_is_deleted_by_the_sweep() {
    let (world, trainer) = ready().await;
    world.zoom_fails("create_meeting", Kind::Lost);
    world.fault(Fault::new(Service::Zoom, "list_meetings", Kind::Error).times(2));
    world.create_with_key(&trainer, "k", &class(26)).await.refused(502, "zoom_unavailable");
    let report = world.sweep().await;
    assert_eq!(report["due"], 0, "the attempt has its time first");
    let report = world.sweep_later().await;
    assert_eq!((&report["repaired"], &report["left"]), (&json!(1), &json!(0)));
    nothing_came_of_it(&world, &trainer).await;
    world.create_with_key(&trainer, "k", &class(26)).await.expect(201);
    exactly_one(&world, &trainer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_tries_again_after_zoom_was_silent_is_not_told_that_the_month_is_full() {
    let (world, trainer) = ready().await;
    world.settings(json!({"plans": {"pro": {"sessions_per_month": 1}}})).await;
    let count = async || world.month_count("trainer-1", "2026-11").await;
    for kind in [Kind::Error, Kind::Html, Kind::Lost] {
        world.zoom_fails("create_meeting", kind);
        world.fault(Fault::new(Service::Zoom, "list_meetings", Kind::Error).times(2));
        world.create(&trainer, &class(26)).await.refused(502, "zoom_unavailable");
        assert_eq!(count().await, 0, "{kind:?}");
    }
    // With its key, the class that was begun is the one that is counted.
    world.zoom_fails("create_meeting", Kind::Error);
    world.create_with_key(&trainer, "k", &class(27)).await.refused(502, "zoom_unavailable");
    let made = world.create_with_key(&trainer, "k", &class(27)).await.expect(201);
    assert_eq!(count().await, 1);
    // What was begun before it does not come to a place any more, nor does clearing up after it give one back.
    world.create(&trainer, &class(28)).await.refused(403, "plan_limit");
    assert_eq!(world.sweep_later().await["left"], 0);
    assert_eq!((count().await, world.meetings().len()), (1, 1));
    world.cancel(&trainer, &made).await.expect(200);
    assert_eq!(count().await, 0);

    // A place that somebody else has taken meanwhile is gone.
    world.zoom_fails("create_meeting", Kind::Error);
    world.create_with_key(&trainer, "l", &class(29)).await.refused(502, "zoom_unavailable");
    world.create(&trainer, &class(30)).await.expect(201);
    world.create_with_key(&trainer, "l", &class(29)).await.refused(403, "plan_limit");
    assert_eq!(count().await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_class_that_cannot_be_stored_takes_its_meeting_with_it() {
    for (kind, times) in
        [(Kind::Error, 3), (Kind::Throttle, 3), (Kind::Conflict, 5), (Kind::Unauthorized, 1)]
    {
        let (world, trainer) = ready().await;
        world.commit_fails(kind, times);
        let answer = world.create_with_key(&trainer, "k", &class(26)).await;
        let status = answer.status.as_u16();
        assert!(status == 503 || status == 500, "{kind:?}: {status}");
        assert_eq!(world.stack.zoom.meetings().len(), 1, "{kind:?}: it had been made");
        nothing_came_of_it(&world, &trainer).await;
        world.create_with_key(&trainer, "k", &class(26)).await.expect(201);
        assert_eq!(world.sweep_later().await["left"], 0);
        exactly_one(&world, &trainer).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_meets_others_or_is_throttled_once_goes_through() {
    for (kind, times) in
        [(Kind::Error, 2), (Kind::Throttle, 2), (Kind::Conflict, 4), (Kind::Lost, 1)]
    {
        let (world, trainer) = ready().await;
        world.commit_fails(kind, times);
        world.create(&trainer, &class(26)).await.expect(201);
        exactly_one(&world, &trainer).await;
        assert_eq!(world.due("REPAIR").await, Vec::<Value>::new());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_class_that_was_stored_though_the_answer_was_lost_keeps_its_meeting() {
    let (world, trainer) = ready().await;
    // All three attempts of the SDK are made; the first is the one that counts.
    world.commit_fails(Kind::Lost, 3);
    let made = world.create(&trainer, &class(26)).await.expect(201);
    assert_eq!(world.meeting_of(&made)["status"], "waiting");
    exactly_one(&world, &trainer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_died_after_zoom_had_made_the_meeting_leaves_none_behind() {
    let (world, trainer) = ready().await;
    // From the commit on DynamoDB is gone for this function, as it is for a process that has ended.
    world.commit_fails(Kind::Error, 100);
    world.create_with_key(&trainer, "k", &class(26)).await.refused(503, "unavailable");
    assert_eq!(world.meetings().len(), 1);
    world.stack.faults.clear();
    world.sweep_later().await;
    nothing_came_of_it(&world, &trainer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_click_takes_over_what_the_first_hands_back_while_it_waits() {
    let (world, trainer) = ready().await;
    // The first hears nothing from Zoom and looks, for a while, whether there is a meeting.
    world.fault(Fault {
        status: Some(502),
        ..Fault::new(Service::Zoom, "create_meeting", Kind::Html)
    });
    let slow = Fault::new(Service::Zoom, "list_meetings", Kind::Late);
    world.fault(Fault { delay_ms: Some(900), ..slow });
    world.stack.usage.reset();
    let body = class(26);
    let first = world.create_with_key(&trainer, "k", &body);
    let second = async {
        let looks = || world.asked_of_zoom("session-save", "list_meetings");
        until("the first looks", || looks() > 0).await;
        let later = async {
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            world.advance(SignedDuration::from_secs(6));
        };
        futures::join!(world.create_with_key(&trainer, "k", &body), later).0
    };
    let (first, second) = futures::join!(first, second);
    first.refused(502, "zoom_unavailable");
    second.expect(201);
    exactly_one(&world, &trainer).await;
}
