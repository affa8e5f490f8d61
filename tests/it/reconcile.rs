//! The reconcile sweep: data of lost events is read from Zoom after the session.

mod crashes;
mod recordings;
mod requests;
mod visibility;

use jiff::SignedDuration;
use local::calls::Service::Webhook;
use local::faults::{Fault, FaultKind};
use serde_json::{Value, json};

use crate::world::World;
use crate::zoom_session::ScheduledSession;

const MINUTE: SignedDuration = SignedDuration::from_mins(1);
/// The duration of a session in minutes.
const LENGTH: i64 = 60;

impl World {
    pub(crate) async fn reconcile_sweep(&self) -> Value {
        self.stack.schedules.run("reconcile-sweep").await.expect("a report of the sweep")
    }

    /// Loses Zoom's events of this name, or all of them.
    fn lose_events(&self, name: &str) {
        self.inject_fault(Fault::new(Webhook, name, FaultKind::Drop).times(1000));
    }
}

/// A session that was held and recorded at Zoom.
struct HeldSession {
    world: World,
    trainer: String,
    student: String,
    session: ScheduledSession,
}

impl HeldSession {
    /// Schedules a session and holds it. The events of this name are lost.
    async fn hold(lost: Option<&str>) -> Self {
        let world = World::start().await;
        world.connect_zoom(&world.trainer().await, "app").await;
        Self::hold_in(world, lost).await
    }

    /// Like [`Self::hold`], in a world whose trainer has a host.
    async fn hold_in(world: World, lost: Option<&str>) -> Self {
        let (trainer, student) = (world.trainer().await, world.student(1).await);
        let session = ScheduledSession::schedule_for_course(&world, &trainer).await;
        let held = Self { world, trainer, student, session };
        held.advance_to(0).await;
        held.simulate("start", json!({})).await;
        held.world.sweep().await;
        if let Some(lost) = lost {
            held.world.lose_events(lost);
        }
        held.advance_to(LENGTH).await;
        held.simulate("end", json!({})).await;
        held.simulate("recording", json!({})).await;
        held
    }

    async fn advance_to(&self, minute: i64) {
        self.world.advance_to(self.session.at(minute));
    }

    /// Moves the clock to this minute after the planned end, and runs the sweep.
    async fn sweep_at(&self, minute: i64) -> Value {
        self.advance_to(LENGTH + minute).await;
        self.world.reconcile_sweep().await
    }

    async fn simulate(&self, verb: &str, body: Value) -> Value {
        let state = self.session.simulate(&self.world, verb, body).await;
        self.world.stack.zoom.deliver_due().await;
        state
    }

    fn path(&self) -> String {
        format!("{}/recordings", self.session.path)
    }

    async fn recordings(&self, token: &str) -> Value {
        self.world.get(token, &self.path()).await.expect(200)
    }

    /// The states and reasons of the files that the trainer sees.
    async fn states(&self) -> Vec<(String, Value)> {
        let recordings = self.recordings(&self.trainer).await;
        let items = recordings["items"].as_array().expect("a list").iter();
        items
            .map(|item| {
                (item["state"].as_str().expect("a state").to_owned(), item["reason"].clone())
            })
            .collect()
    }

    /// The numbers of corrected files in the timeline, oldest first.
    async fn corrections(&self) -> Vec<u64> {
        let path = format!("{}/timeline", self.session.path);
        let entries = self.world.list_items(&self.trainer, &path).await;
        let corrections = entries.iter().rev().filter(|entry| {
            entry["kind"] == "session.corrected" && entry["detail"]["corrected"] == "recordings"
        });
        corrections
            .map(|entry| {
                let detail = &entry["detail"];
                assert_eq!(detail["source"], "recording_list");
                detail["count"].as_u64().expect("a number")
            })
            .collect()
    }

    /// The number of the session's entries in the queue.
    async fn queued(&self) -> usize {
        let queue = self.world.items("DUE#RECONCILE").await;
        queue.iter().filter(|item| item["work"] == "session").count()
    }

    async fn recording_notifications(&self) -> usize {
        let pending = self.world.pending_notifications().await;
        pending.iter().filter(|(event, _)| event == "recording_ready").count()
    }
}
