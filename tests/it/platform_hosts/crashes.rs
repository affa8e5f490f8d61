//! A crash of the sweep at each of its calls. The next run finishes the work, and nothing happens twice.

use jiff::SignedDuration;
use local::calls::Service::{self, Dynamodb, Zoom};
use local::faults::{Fault, FaultKind};
use serde_json::json;

use super::state_and_reason;
use crate::world::World;

/// More calls than a run makes.
const CALLS: u32 = 8;

/// Lets every call of the sweep to a service fail from the crash on.
fn crash(world: &World, service: Service, after: u32, kind: FaultKind) {
    let fault = Fault::new(service, "*", kind).for_function("meeting-sweep");
    world.inject_fault(fault.after(after).times(100));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crashed_request_is_finished_once() {
    let world = World::start().await;
    world.change_zoom(json!({"accounts": {"app": {"licenses": null}}})).await;
    let service = world.service().await;
    let mut reached = 0;
    for (service_name, kind) in [
        (Zoom, FaultKind::Error),
        (Zoom, FaultKind::Lost),
        (Dynamodb, FaultKind::Error),
        (Dynamodb, FaultKind::Lost),
    ] {
        for after in 0..CALLS {
            let name = format!("{service_name:?}-{kind:?}-{after}").to_lowercase();
            let (trainer, email) = (format!("t-{name}"), format!("t-{name}@example.test"));
            world.put_host(&trainer, &email, "auto", "permanent").await;
            crash(&world, service_name, after, kind);
            // A run that cannot use the table fails.
            let _ = world.stack.schedules.run("meeting-sweep").await;
            world.stack.faults.clear();
            reached += u32::from(world.host(&trainer).await["state"] != "active");
            world.advance(SignedDuration::from_mins(8));
            let host = world.host_after_sweep(&trainer).await;
            assert_eq!(state_and_reason(&host), ("active", None), "{name}");
            assert_eq!(host["zoom_user_id"], world.zoom_user(&email).await.expect("a user")["id"]);

            // The removal as well.
            let path = format!("/v1/hosts/{trainer}?zoom=deactivate");
            world.delete(&service, &path).await.expect(202);
            crash(&world, service_name, after, kind);
            let _ = world.stack.schedules.run("meeting-sweep").await;
            world.stack.faults.clear();
            world.advance(SignedDuration::from_mins(8));
            let removed = world.host_after_sweep(&trainer).await;
            assert_eq!(state_and_reason(&removed), ("removed", None), "{name}");
            assert_eq!(world.zoom_user(&email).await.expect("a user")["status"], "inactive");
        }
    }
    assert!(reached > 8, "only {reached} crashes had an effect");
    assert_eq!(world.items("DUE#HOSTS").await, Vec::<serde_json::Value>::new());
}
