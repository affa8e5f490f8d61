//! Classes whose meeting is made later.

use serde_json::{Value, json};

use crate::support::{patched, session_path};
use crate::world::{World, session_body};

/// A body of a session whose meeting is made later, `days` ahead.
pub(crate) fn later_body(days: i64) -> Value {
    patched(session_body(24 * days), json!({"meeting": "later"}))
}

async fn queued_meetings(world: &World) -> usize {
    world.items("DUE#MEETINGS").await.len()
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
    world.post(&trainer, &format!("{path}/cancel"), json!({})).await.expect(200);
    assert_eq!(queued_meetings(&world).await, 0);
    assert_eq!(world.zoom_calls("session-save", "create_meeting"), 0);
    assert_eq!(world.zoom_calls("session-cancel", "delete_meeting"), 0);
}
