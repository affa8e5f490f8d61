//! Events that contain the meeting's number in another field, or only the uuid of the meeting instance.

use local::calls::Service::Dynamodb;
use serde_json::{Value, json};

use super::{stored_events, world_with_session};
use crate::zoom_session::post_signed;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_is_shown_with_its_session_whichever_field_names_the_meeting() {
    let (world, trainer, session) = world_with_session().await;
    world.advance_to(session.at(0));
    session.post_event(&world, &session.started("u/1==", 0)).await;
    let names = [
        ("number_and_uuid", json!({"meeting_number": session.meeting, "meeting_uuid": "u/1=="})),
        ("id_and_uuid", json!({"meeting_id": session.meeting, "meeting_uuid": "u/1=="})),
        ("id_as_text", json!({"meeting_id": session.meeting.to_string()})),
        ("uuid", json!({"uuid": "u/1=="})),
        ("meeting_uuid", json!({"meeting_uuid": "u/1==", "summary_title": "Ada's question"})),
        ("uuid_as_id", json!({"meeting_id": "u/1=="})),
    ];
    let event = |name: &str, object: &Value, account: &str| {
        json!({
            "event": format!("meeting.{name}"),
            "event_ts": session.at(1).as_millisecond(),
            "payload": {"account_id": account, "object": object},
        })
        .to_string()
    };
    let trainer_sees = async || {
        let timeline = world.list_items(&trainer, &format!("{}/timeline", session.path)).await;
        let kinds = timeline
            .iter()
            .filter_map(|entry| entry["kind"].as_str()?.strip_prefix("zoom.meeting."));
        kinds.map(str::to_owned).collect::<Vec<_>>()
    };
    for (name, object) in &names {
        for _ in 0..2 {
            post_signed(&world, &event(name, object, &session.account)).await.expect(200);
        }
        let shown = trainer_sees().await;
        assert_eq!(shown.iter().filter(|kind| kind == name).count(), 1, "{name}: {shown:?}");
    }
    // Another account, an instance that is not known, and no readable name of the meeting.
    for (account, object) in [
        ("another-account", json!({"uuid": "u/1=="})),
        (session.account.as_str(), json!({"uuid": "unknown"})),
        (session.account.as_str(), json!({"meeting_id": {}})),
    ] {
        post_signed(&world, &event("foreign", &object, account)).await.expect(200);
    }
    assert!(!trainer_sees().await.iter().any(|kind| kind == "foreign"));
    let stored = stored_events(&world).await;
    assert_eq!(stored.len(), 1 + names.len() + 3);
    assert!(!json!(stored).to_string().contains("question"), "only the receipt is stored");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn companion_events_of_simulated_zoom_are_shown_with_their_session() {
    let (world, trainer, session) = world_with_session().await;
    world.advance_to(session.at(0));
    session.simulate(&world, "start", json!({})).await;
    session.simulate(&world, "companion", json!({"action": "start"})).await;
    session.simulate(&world, "end", json!({})).await;
    session.simulate(&world, "companion", json!({"action": "summarize"})).await;
    world.stack.zoom.deliver_due().await;
    let timeline = world.list_items(&trainer, &format!("{}/timeline", session.path)).await;
    for kind in ["zoom.meeting.ai_companion_started", "zoom.meeting.summary_completed"] {
        assert!(timeline.iter().any(|entry| entry["kind"] == kind), "{kind}: {timeline:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_an_event_without_a_number_is_looked_up() {
    let (world, _, session) = world_with_session().await;
    session.post_event(&world, &session.started("u", 0)).await;
    session.post_event(&world, &session.joined("u", "host", 0)).await;
    let requests = async |event: &Value| {
        world.stack.usage.reset();
        session.post_event(&world, event).await;
        world.stack.usage.service_totals("webhook", Dynamodb).calls
    };
    assert_eq!(requests(&session.joined("u", "c", 1)).await, 1);
    let mut by_uuid = session.event("meeting.summary_completed", session.at(2), &json!({}));
    by_uuid["payload"]["object"] = json!({"meeting_uuid": "u"});
    assert_eq!(requests(&by_uuid).await, 3, "the pointer, the session and the event");
}
