//! Time zones that Zoom does not list: it misreads the start, which is corrected in UTC.

use std::collections::BTreeSet;

use local::faults::FaultKind;
use local::zoom::{SettingsUpdate, WebhookSettingsUpdate};
use serde_json::{Value, json};

use super::connected_trainer;
use crate::support::patched;
use crate::world::{World, session_body};

const ZONE: &str = "Asia/Manila";

async fn world_without_zone() -> (World, String) {
    let (world, trainer) = connected_trainer().await;
    let webhooks = WebhookSettingsUpdate {
        // The clock stands still, so the events of a change and of its correction would have the same time.
        events: Some(Some(BTreeSet::new())),
        ..WebhookSettingsUpdate::default()
    };
    let unlisted_zones = Some(BTreeSet::from([ZONE.to_owned()]));
    world.stack.zoom.update_settings(SettingsUpdate {
        unlisted_zones,
        webhooks,
        ..SettingsUpdate::default()
    });
    (world, trainer)
}

fn body(starts_at: &str) -> Value {
    patched(session_body(26), json!({"starts_at": starts_at, "timezone": ZONE}))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn misread_start_is_corrected_in_utc_after_create_and_edit() {
    let (world, trainer) = world_without_zone().await;
    let made = world.create(&trainer, &body("2026-12-01T10:00:00")).await.expect(201);
    assert_eq!(made["starts_at"], "2026-12-01T02:00:00Z");
    assert_eq!((&made["timezone"], &made["drift"]), (&json!(ZONE), &json!([])));
    assert_eq!(world.meeting_of(&made)["start_time"], made["starts_at"]);
    let in_utc = |start: &str| json!({"start_time": start, "timezone": "UTC"});
    assert_eq!(world.meeting_updates(&made), [in_utc("2026-12-01T02:00:00")]);

    let edited = world.edit(&trainer, &made, &body("2026-12-02T10:00:00")).await.expect(200);
    assert_eq!(edited["drift"], json!([]));
    assert_eq!(world.meeting_of(&edited)["start_time"], edited["starts_at"]);
    let sent = json!({"start_time": "2026-12-02T10:00:00", "timezone": ZONE});
    assert_eq!(world.meeting_updates(&edited)[1..], [sent, in_utc("2026-12-02T02:00:00")]);

    // Other fields do not send the start, so nothing is compared.
    let titled = patched(body("2026-12-02T10:00:00"), json!({"title": "Geometry"}));
    world.stack.usage.reset();
    world.edit(&trainer, &made, &titled).await.expect(200);
    assert_eq!(world.meeting_updates(&made)[3..], [json!({"topic": "Geometry"})]);
    assert_eq!(world.zoom_calls("session-save", "get_meeting"), 0);
    assert_eq!(world.meeting_of(&edited)["start_time"], edited["starts_at"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_correction_of_a_start_is_drift_until_the_next_edit() {
    let (world, trainer) = world_without_zone().await;
    world.inject_zoom_fault("update_meeting", FaultKind::Throttle);
    let made = world.create(&trainer, &body("2026-12-01T10:00:00")).await.expect(201);
    assert_eq!(made["drift"], json!(["starts_at"]));
    assert_ne!(world.meeting_of(&made)["start_time"], made["starts_at"]);
    world.stack.faults.clear();
    let edited = world.edit(&trainer, &made, &body("2026-12-01T10:00:00")).await.expect(200);
    assert_eq!(edited["drift"], json!([]));
    assert_eq!(world.meeting_of(&made)["start_time"], made["starts_at"]);
}
