//! The host of a meeting that is made later.

use serde_json::json;

use super::{HOUR, later_body};
use crate::late_answers::{booked_times, check_agreement};
use crate::platform_hosting::assign_host;
use crate::support::{patched, session_path};
use crate::world::World;

#[tokio::test]
async fn host_that_is_active_when_the_meeting_is_made_hosts_it() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let created = world.create(&trainer, &later_body(5)).await.expect(201);
    assert_eq!(created["hosting"], "trainer");
    assert_eq!(booked_times(&world.dump().await).len(), 0, "no host is known");
    assign_host(&world, "trainer-1", "hana@example.test").await;
    world.advance(HOUR);
    world.meeting_sweep().await;
    let shown = world.get(&trainer, &session_path(&created)).await.expect(200);
    assert_eq!((&shown["meeting_state"], &shown["hosting"]), (&json!("ready"), &json!("platform")));
    check_agreement(&world, &trainer, "hosted by the platform").await;
    // Licences are planned by the reminder for the start.
    let reminders = world.items("DUE#WORK").await;
    let hosted = reminders.iter().filter(|item| item["hosted"].is_object()).count();
    assert_eq!(hosted, 1, "{reminders:?}");
}

#[tokio::test]
async fn meeting_follows_a_trainer_who_connects_another_zoom_user() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    let created = world.create(&trainer, &later_body(5)).await.expect(201);
    assert_eq!(booked_times(&world.dump().await).len(), 1);
    world.delete(&trainer, "/v1/zoom/connection").await.expect(204);
    world.connect_zoom(&trainer, "other").await;
    assert_eq!(world.meeting_sweep().await["meetings_made"], 1);
    assert_eq!(world.meeting_state(&created).await, "ready");
    check_agreement(&world, &trainer, "another user").await;
}

#[tokio::test]
async fn host_without_time_gives_the_meeting_up_unless_overlaps_are_allowed() {
    for (allow_overlap, expected) in [(false, "failed"), (true, "ready")] {
        let world = World::start().await;
        let trainer = world.trainer().await;
        let body = patched(later_body(5), json!({"allow_overlap": allow_overlap}));
        let mut created = Vec::new();
        for title in ["A", "B"] {
            let body = patched(body.clone(), json!({"title": title}));
            created.push(world.create(&trainer, &body).await.expect(201));
        }
        // The run that makes the host active makes the meetings as well.
        assign_host(&world, "trainer-1", "hana@example.test").await;
        let mut states = Vec::new();
        for session in &created {
            states.push(world.meeting_state(session).await);
        }
        states.sort();
        assert_eq!(states, [expected, "ready"], "{allow_overlap}");
        if !allow_overlap {
            let failed = if world.meeting_titles() == ["A"] { &created[1] } else { &created[0] };
            world.edit(&trainer, failed, &later_body(6)).await.expect(200);
            assert_eq!(world.meeting_sweep().await["meetings_made"], 1);
            check_agreement(&world, &trainer, "moved").await;
        }
    }
}
