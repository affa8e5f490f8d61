//! Classes with a meeting that is made later.

mod crashes;
mod hosting;
mod limits;
mod notices;
mod races;
mod runs;

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::late_answers::check_agreement;
use crate::support::{patched, session_path};
use crate::usage::{check_budgets, take_cost};
use crate::world::{World, course_session_body, session_body};

const HOUR: SignedDuration = SignedDuration::from_hours(1);
const MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// A body of a session with a meeting that is made later, `days` ahead. It is due at once if it starts within seven days.
pub(crate) fn later_body(days: i64) -> Value {
    patched(session_body(24 * days), json!({"meeting": "later"}))
}

async fn queued_meetings(world: &World) -> usize {
    world.items("DUE#MEETINGS").await.len()
}

async fn connected_trainer() -> (World, String) {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    (world, trainer)
}

impl World {
    /// Returns the state of a class's meeting.
    async fn meeting_state(&self, session: &Value) -> String {
        let trainer = self.trainer().await;
        let shown = self.get(&trainer, &session_path(session)).await.expect(200);
        shown["meeting_state"].as_str().expect("a state").to_owned()
    }

    /// Returns the titles of the meetings at Zoom, sorted.
    fn meeting_titles(&self) -> Vec<String> {
        let topic = |meeting: Value| meeting["topic"].as_str().expect("a topic").to_owned();
        let mut titles: Vec<_> = self.meetings().into_iter().map(topic).collect();
        titles.sort();
        titles
    }
}

#[tokio::test]
async fn class_is_scheduled_moved_and_cancelled_without_a_call_to_zoom() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    // The trainer may connect Zoom until the meeting is made.
    let body = later_body(30);
    let created = world.create(&trainer, &body).await.expect(201);
    let path = session_path(&created);
    assert_eq!(created["meeting_state"], "pending");
    assert_eq!(created["meeting"], json!({"id": null, "join_url": null, "passcode": null}));
    let days_before = |session: &Value| {
        let at = |field: &str| session[field].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        (at("starts_at").as_second() - at("meeting_at").as_second()) / 86_400
    };
    assert_eq!(days_before(&created), 7);
    assert_eq!(queued_meetings(&world).await, 1);

    let moved = patched(later_body(40), json!({"title": "Moved"}));
    let moved = world.put(&trainer, &path, moved).await.expect(200);
    assert_eq!((days_before(&moved), &moved["meeting_state"]), (7, &json!("pending")));
    assert_eq!(queued_meetings(&world).await, 1);

    let listed = world.list_items(&trainer, "/v1/sessions").await;
    assert_eq!(listed[0]["meeting_state"], "pending");
    world.meeting_sweep().await;
    world.post(&trainer, &format!("{path}/cancel"), json!({})).await.expect(200);
    assert_eq!(queued_meetings(&world).await, 0);
    for function in ["session-save", "session-cancel", "meeting-sweep"] {
        assert_eq!(world.zoom_calls(function, "create_meeting"), 0);
        assert_eq!(world.zoom_calls(function, "delete_meeting"), 0);
    }
}

#[tokio::test]
async fn meeting_is_made_when_it_is_due_and_nobody_is_mailed_again() {
    let (world, trainer) = connected_trainer().await;
    let body = patched(course_session_body(24 * 10), json!({"meeting": "later"}));
    let created = world.create(&trainer, &body).await.expect(201);
    world.run_outbox_sweep().await;
    assert_eq!(world.sent_mails().await.len(), 5, "the students are invited");
    assert_eq!(world.meeting_sweep().await["meetings_made"], 0);

    world.advance(HOUR * (3 * 24) + MINUTE);
    let trainer = world.trainer().await;
    let report = world.meeting_sweep().await;
    assert_eq!((&report["meetings_made"], &report["due"]), (&json!(1), &json!(1)), "{report}");
    let made = world.get(&trainer, &session_path(&created)).await.expect(200);
    assert_eq!(made["meeting_state"], "ready");
    assert_eq!((&made["meeting_at"], &made["warnings"]), (&Value::Null, &json!([])));
    for field in ["version", "ics_sequence", "updated_at", "title", "starts_at"] {
        assert_eq!(made[field], created[field], "{field}");
    }
    check_agreement(&world, &trainer, "made").await;
    assert_eq!(queued_meetings(&world).await, 0);
    world.run_outbox_sweep().await;
    assert_eq!(world.sent_mails().await.len(), 5, "nobody is mailed");

    // From now on, it is a class like any other.
    let moved = patched(course_session_body(24 * 11), json!({"title": "Moved"}));
    world.edit_if_match(&trainer, &made, "\"1\"", &moved).await.expect(200);
    check_agreement(&world, &trainer, "edited").await;
    world.cancel(&trainer, &made).await.expect(200);
    check_agreement(&world, &trainer, "cancelled").await;
}

#[tokio::test]
async fn edit_with_meeting_now_brings_the_meeting_forward() {
    let (world, trainer) = connected_trainer().await;
    let created = world.create(&trainer, &later_body(30)).await.expect(201);
    let now = patched(session_body(24 * 30), json!({"meeting": "now"}));
    let edited = world.edit(&trainer, &created, &now).await.expect(200);
    assert_eq!(edited["meeting_state"], "pending");
    assert_eq!(world.meeting_sweep().await["meetings_made"], 1);
    assert_eq!(queued_meetings(&world).await, 0);
    check_agreement(&world, &trainer, "brought forward").await;
}

#[tokio::test]
async fn sweep_stays_within_budget_and_its_idle_cost_does_not_depend_on_waiting_classes() {
    let (world, trainer) = connected_trainer().await;
    world.meeting_sweep().await;
    world.stack.usage.reset();
    let mut costs = Vec::new();
    world.meeting_sweep().await;
    costs.push(take_cost(&world, "meeting sweep, no class", "meeting-sweep"));
    for _ in 0..20 {
        world.create(&trainer, &later_body(30)).await.expect(201);
    }
    world.stack.usage.reset();
    world.meeting_sweep().await;
    costs.push(take_cost(&world, "meeting sweep, 20 classes wait", "meeting-sweep"));
    world.create(&trainer, &later_body(5)).await.expect(201);
    world.stack.usage.reset();
    assert_eq!(world.meeting_sweep().await["meetings_made"], 1);
    costs.push(take_cost(&world, "meeting sweep, one meeting is made", "meeting-sweep"));
    let idle = (7, 5.0, 0.0, 0, 0);
    check_budgets(&costs, &[idle, idle, (12, 10.0, 18.0, 0, 1)]);
}
