//! Runs that die, limits of Zoom, and failures that must not delay others.

use local::calls::Service::{Dynamodb, Zoom};

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn run_that_dies_anywhere_is_continued_without_a_second_notification() {
    for calls in 0..16 {
        let held = HeldSession::hold(Some("*")).await;
        // New tokens that are lost in a crash cannot be recovered, so they are requested before.
        let join = format!("{}/join", held.session.path);
        held.world.post(&held.trainer, &join, json!({})).await.expect(200);
        held.advance_to(LENGTH + 31).await;
        let crash = Fault::new(Dynamodb, "*", FaultKind::Error).for_function("reconcile-sweep");
        held.world.inject_fault(crash.after(calls).times(1000));
        let _ = held.world.stack.schedules.run("reconcile-sweep").await;
        held.world.stack.faults.clear();
        for minute in [46, 91, 151] {
            held.sweep_at(minute).await;
        }
        assert_eq!(held.recordings(&held.student).await["state"], "available", "{calls}");
        let session = held.session.fetch(&held.world, &held.student).await;
        assert_eq!(session["has_recording"], true, "{calls}");
        assert_eq!(held.corrections().await, [2], "{calls}");
        assert_eq!(held.recording_notifications().await, 1, "{calls}");
        assert_eq!(held.queued().await, 1, "{calls}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limit_of_zoom_leaves_the_session_to_a_later_run() {
    for (kind, seconds, minute) in
        [(FaultKind::ThrottleSeconds, 2, 50), (FaultKind::ThrottleIso, 7200, 31 + 121)]
    {
        let held = HeldSession::hold(Some("*")).await;
        let limit = Fault::new(Zoom, "recordings", kind);
        held.world.inject_fault(Fault { retry_after_seconds: Some(seconds), ..limit });
        held.sweep_at(31).await;
        assert_eq!(held.recordings(&held.trainer).await["items"], json!([]));
        held.sweep_at(minute - 16).await;
        held.sweep_at(minute).await;
        assert_eq!(held.states().await.len(), 2, "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failing_session_does_not_delay_others() {
    let held = HeldSession::hold(Some("recording.completed")).await;
    held.world.inject_fault(Fault::new(Zoom, "recordings", FaultKind::Error).times(2));
    let report = held.sweep_at(31).await;
    assert_eq!((&report["failed"], &report["corrected"]), (&json!(1), &json!(0)), "{report}");
    assert_eq!(held.sweep_at(40).await["due"], 0, "it waits for a quarter of an hour");
    assert_eq!(held.sweep_at(46).await["corrected"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moved_or_cancelled_class_is_not_compared() {
    let world = World::start().await;
    let (trainer, student) = (world.trainer().await, world.student(1).await);
    world.connect_zoom(&trainer, "app").await;
    let session = ScheduledSession::schedule_for_course(&world, &trainer).await;
    let held = HeldSession { world, trainer, student, session };
    held.advance_to(1).await;
    held.world.sweep().await;
    assert_eq!(held.queued().await, 1);
    held.world
        .post(&held.trainer, &format!("{}/cancel", held.session.path), json!({}))
        .await
        .expect(200);
    held.world.stack.usage.reset();
    held.sweep_at(31).await;
    assert_eq!(held.world.zoom_calls("reconcile-sweep", "recordings"), 0);
    assert_eq!(held.queued().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_calls_of_zoom_end_in_the_same_record() {
    let lists = ["past_instances", "past_meeting", "recordings", "past_participants"];
    for (kind, times) in [
        // Within one run: one retry, or one refresh of the token.
        (FaultKind::Error, 1),
        (FaultKind::Html, 1),
        (FaultKind::Half, 1),
        (FaultKind::Lost, 1),
        (FaultKind::Unauthorized, 1),
        // For a run or two.
        (FaultKind::Error, 4),
        (FaultKind::Half, 3),
        (FaultKind::Lost, 4),
        (FaultKind::Throttle, 2),
    ] {
        let held = HeldSession::hold(Some("*")).await;
        for list in lists {
            held.world.inject_fault(Fault::new(Zoom, list, kind).times(times));
        }
        // Two lists of one task fail one after the other, and each failure doubles the delay.
        for minute in [31, 61, 91, 121, 151, 181, 271, 331, 571, 1051] {
            held.sweep_at(minute).await;
        }
        assert_eq!(held.recordings(&held.student).await["state"], "available", "{kind:?} {times}");
        let session = held.session.fetch(&held.world, &held.trainer).await;
        assert_eq!(session["status"], "ended", "{kind:?} {times}");
        let report = format!("{}/attendance", held.session.path);
        let report = held.world.get(&held.trainer, &report).await.expect(200);
        assert_eq!(report["sources"]["report"], "complete", "{kind:?} {times}");
        assert_eq!(held.corrections().await, [2], "{kind:?} {times}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overlapping_runs_correct_a_session_once() {
    let held = HeldSession::hold(Some("*")).await;
    for minute in [31, 61] {
        held.advance_to(LENGTH + minute).await;
        let run = || held.world.stack.schedules.run("reconcile-sweep");
        // A run may meet the writes of another one, and leaves the rest to the next.
        drop(futures::join!(run(), run(), run()));
    }
    held.sweep_at(91).await;
    assert_eq!(held.recordings(&held.student).await["state"], "available");
    assert_eq!((held.corrections().await, held.recording_notifications().await), (vec![2], 1));
    let timeline = format!("{}/timeline", held.session.path);
    let timeline = held.world.list_items(&held.trainer, &timeline).await;
    let is_lifecycle = |entry: &&Value| entry["detail"]["corrected"] == "lifecycle";
    assert_eq!(timeline.iter().filter(is_lifecycle).count(), 1, "{timeline:?}");
    assert_eq!(held.queued().await, 1);
}

/// The start reminder is sent late if Zoom reports the start late. The comparison does not wait for that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn class_without_events_is_compared_in_time_after_late_sweeps() {
    let world = World::start().await;
    let (trainer, student) = (world.trainer().await, world.student(1).await);
    world.connect_zoom(&trainer, "app").await;
    let session = ScheduledSession::schedule_for_course(&world, &trainer).await;
    let held = HeldSession { world, trainer, student, session };
    held.world.lose_events("*");
    held.advance_to(0).await;
    held.simulate("start", json!({})).await;
    held.advance_to(55).await;
    held.world.sweep().await;
    held.advance_to(LENGTH).await;
    held.simulate("end", json!({})).await;
    held.simulate("recording", json!({})).await;
    held.sweep_at(31).await;
    assert_eq!(held.recordings(&held.student).await["state"], "available");
    // The reminder is given up when the window closes. The session has no second entry then.
    held.sweep_at(61).await;
    held.advance_to(LENGTH + 95).await;
    held.world.sweep().await;
    assert_eq!(held.queued().await, 1);
    assert!(held.world.due_work("REMINDER").await.iter().all(|item| item["reminder"] != "start"));
}
