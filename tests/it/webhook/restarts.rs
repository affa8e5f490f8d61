//! Meetings that are restarted often: the cost of the next event does not grow, and nothing of the session is lost.

use jiff::SignedDuration;
use local::calls::Service;
use serde_json::{Value, json};

use crate::world::World;
use crate::zoom_session::{HOURS_AHEAD, ScheduledSession};

/// A restart a minute, so that all of them are in the session's window.
const RESTARTS: i64 = 120;

/// The DynamoDB requests, read units and write units of one event.
async fn cost(world: &World, session: &ScheduledSession, event: &Value) -> (u64, f64, f64) {
    world.stack.usage.reset();
    session.post_event(world, event).await;
    let table = world.stack.usage.service_totals("webhook", Service::Dynamodb);
    (table.calls, table.read_units, table.write_units)
}

/// The start and the end of the `nth` instance, which takes half a minute.
fn events(session: &ScheduledSession, n: i64) -> [Value; 2] {
    let (uuid, from) = (format!("restart-of-the-meeting-{n:03}"), session.at(n));
    let to = from + SignedDuration::from_secs(30);
    let started = session.started(&uuid, n);
    let object = json!({"uuid": uuid, "start_time": from, "end_time": to});
    [started, session.event("meeting.ended", to, &object)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarts_do_not_raise_the_cost_of_the_next_event() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    let session = ScheduledSession::schedule_for_course(&world, &trainer).await;
    world.advance(SignedDuration::from_hours(HOURS_AHEAD));
    let mut costs = Vec::new();
    println!("{:<14} {:>8} {:>6} {:>6}", "event", "DynamoDB", "read", "write");
    for n in 0..RESTARTS {
        let [started, ended] = events(&session, n);
        // The end of the third instance is late.
        let ended = if n == 3 { started.clone() } else { ended };
        let pair = [cost(&world, &session, &started).await, cost(&world, &session, &ended).await];
        if [0, 1, 9, 119].contains(&n) {
            for (name, (calls, read, write)) in ["started", "ended"].iter().zip(pair) {
                println!("{:<14} {calls:>8} {read:>6} {write:>6}", format!("{name}, {}", n + 1));
            }
        }
        costs.push(pair);
        world.advance(SignedDuration::from_mins(1));
    }
    let ([tenth_start, tenth_end], [started, ended]) = (costs[9], costs[costs.len() - 1]);
    assert!(started.2 <= tenth_start.2 && ended.2 <= tenth_end.2, "{started:?} {ended:?}");
    assert!(ended.2 <= 7.0, "{ended:?}");

    // Late and repeated events of instances that are no longer stored one by one change nothing.
    let [_, late_end] = events(&session, 3);
    session.post_event(&world, &late_end).await;
    session.post_event(&world, &events(&session, 5)[0]).await;
    session.post_event(&world, &session.joined("restart-of-the-meeting-007", "p1", 7)).await;
    let shown = session.fetch(&world, &trainer).await;
    let last = session.at(RESTARTS - 1) + SignedDuration::from_secs(30);
    assert_eq!(shown["status"], "ended");
    assert_eq!(shown["actual_started_at"], json!(session.at(0)));
    assert_eq!(shown["actual_ended_at"], json!(last));
    let report = world.get(&trainer, &format!("{}/attendance", session.path)).await.expect(200);
    assert_eq!(report["held_minutes"], RESTARTS / 2);

    // A recording of an early instance belongs to the class.
    let file = json!({"id": "f1", "file_type": "MP4", "play_url": "https://zoom.us/rec/play/f1",
        "recording_start": session.at(2), "recording_end": session.at(3), "file_size": 1});
    let object = json!({"uuid": "restart-of-the-meeting-002", "recording_files": [file]});
    let recorded = session.event("recording.completed", world.now(), &object);
    session.post_event(&world, &recorded).await;
    assert_eq!(session.fetch(&world, &trainer).await["has_recording"], true);
    let student = world.student(1).await;
    assert_eq!(session.fetch(&world, &student).await["has_recording"], true);
}
