//! Licences of the platform's own Zoom account, leased around classes.

mod crashes;
mod shortage;
mod week;

use jiff::{SignedDuration, Timestamp};
use local::settings::APP_ACCOUNT_ID;
use local::zoom::{AccountSettingsUpdate, SettingsUpdate};
use serde_json::{Value, json};
use shared::domain::id::{UserId, ZoomUserId};
use shared::domain::platform_host::{
    HostCreation, HostRequest, HostState, LicenceMode, PlatformHost,
};
use shared::domain::text::Email;
use shared::store::hosts;

use crate::functions::store;
use crate::support::{patched, session_path};
use crate::world::{Response, World, session_body};
use crate::zoom_session::simulate;

const LICENCES: &str = "/v1/hosts/licences";
const MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// A trainer with a host in the platform's account.
#[derive(Clone, Debug)]
pub(crate) struct HostedTrainer {
    pub(crate) id: String,
    /// Valid for the first hour.
    pub(crate) token: String,
    /// The Zoom user.
    pub(crate) user: String,
}

/// Gives a trainer an active host without a licence.
pub(crate) async fn host_trainer(world: &World, id: &str, licence: LicenceMode) -> HostedTrainer {
    let email = format!("{id}@hosts.test");
    let person = json!({"email": email, "account": "app", "first_name": "Hana", "licence": 1});
    let user = simulate(world, "users", person).await["id"].as_str().expect("an id").to_owned();
    let request = HostRequest {
        email: Email::parse(&email).expect("an address"),
        creation: HostCreation::Existing,
        licence,
    };
    let host = PlatformHost {
        state: HostState::Active,
        zoom_user: ZoomUserId::parse(&user).ok(),
        account: Some(APP_ACCOUNT_ID.to_owned()),
        work: None,
        ..PlatformHost::requested(UserId::parse(id).expect("an id"), request, world.now())
    };
    store(world).commit_one(hosts::put(&host, None)).await.expect("stored");
    HostedTrainer { id: id.to_owned(), token: trainer_token(world, id).await, user }
}

async fn trainer_token(world: &World, id: &str) -> String {
    let email = format!("{id}@example.test");
    world.token(json!({"sub": id, "role": "trainer", "email": email, "name": id})).await
}

/// A world with so many licences and trainers with leased hosts.
async fn world_with(licences: usize, trainers: usize) -> (World, Vec<HostedTrainer>) {
    let world = World::start().await;
    limit_at_zoom(&world, licences);
    let mut hosted = Vec::new();
    for number in 1..=trainers {
        let id = format!("trainer-{number}");
        if number > 2 {
            world.put_user(&id, json!({})).await;
        }
        hosted.push(host_trainer(&world, &id, LicenceMode::Leased).await);
    }
    (world, hosted)
}

fn limit_at_zoom(world: &World, licences: usize) {
    let mut update = SettingsUpdate::default();
    let account = AccountSettingsUpdate {
        licenses: Some(Some(licences)),
        ..AccountSettingsUpdate::default()
    };
    update.accounts.insert("app".to_owned(), account);
    world.stack.zoom.update_settings(update);
}

impl World {
    async fn licences(&self) -> Value {
        self.get(&self.service().await, LICENCES).await.expect(200)
    }

    /// Whether Zoom has given a licence to the user of a trainer.
    fn is_licensed(&self, trainer: &HostedTrainer) -> bool {
        self.stack.zoom.snapshot()["users"][&trainer.user]["licence"] == 2
    }

    /// Schedules a class that starts so many minutes after `from`.
    async fn schedule(
        &self,
        trainer: &HostedTrainer,
        from: Timestamp,
        minutes: i64,
        duration: i64,
    ) -> Value {
        let starts_at = from + MINUTE * i32::try_from(minutes).expect("a week at most");
        let times = json!({"starts_at": starts_at, "duration_minutes": duration});
        let token = trainer_token(self, &trainer.id).await;
        self.create(&token, &patched(session_body(1), times)).await.expect(201)
    }

    async fn click_start(&self, trainer: &HostedTrainer, session: &Value) -> Response {
        let path = format!("{}/join", session_path(session));
        let token = trainer_token(self, &trainer.id).await;
        self.post(&token, &path, json!({})).await
    }

    /// Starts or ends the meeting of a class at Zoom.
    async fn meeting(&self, session: &Value, verb: &str) {
        let number = session["meeting"]["id"].as_str().expect("a number");
        simulate(self, &format!("meetings/{number}/{verb}"), json!({})).await;
    }

    async fn warnings_of(&self, trainer: &HostedTrainer, session: &Value) -> Value {
        let token = trainer_token(self, &trainer.id).await;
        let shown = self.get(&token, &session_path(session)).await.expect(200);
        shown["warnings"].clone()
    }

    fn live_downgrades(&self) -> Value {
        self.stack.zoom.snapshot()["counts"]["live_downgrades"].clone()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lease_begins_before_the_class_and_ends_after_it_unless_the_host_is_live() {
    let (world, trainers) = world_with(3, 1).await;
    let ada = &trainers[0];
    let start = world.now();
    let session = world.schedule(ada, start, 120, 60).await;
    let forecast = world.licences().await;
    assert_eq!(
        (&forecast["limit"], &forecast["assigned"], &forecast["held"]),
        (&Value::Null, &json!(0), &json!([]))
    );
    let need = |hours: i32, needed| json!({"at": start + MINUTE * 60 * hours, "needed": needed});
    assert_eq!(forecast["forecast"], json!([need(0, 0), need(1, 1), need(4, 0)]));

    world.advance(MINUTE * 85);
    world.meeting_sweep().await;
    assert!(!world.is_licensed(ada), "35 minutes before the start");
    world.advance(MINUTE * 5);
    assert_eq!(world.meeting_sweep().await["licences_assigned"], 1);
    assert!(world.is_licensed(ada));
    let (since, until) = (start + MINUTE * 90, start + MINUTE * 210);
    let held = json!([{"trainer_id": "trainer-1", "since": since, "until": until}]);
    assert_eq!(world.licences().await["held"], held);

    // A longer class, a click and another class within the hour extend the lease.
    let longer = patched(
        session_body(2),
        json!({"starts_at": start + MINUTE * 120, "duration_minutes": 90}),
    );
    let token = trainer_token(&world, &ada.id).await;
    let session = world.edit(&token, &session, &longer).await.expect(200);
    world.advance(MINUTE * 20);
    world.meeting_sweep().await;
    assert_eq!(world.licences().await["held"][0]["until"], json!(start + MINUTE * 240));
    world.advance(MINUTE * 5);
    world.click_start(ada, &session).await.expect(200);
    assert_eq!(world.zoom_calls("join", "update_user"), 0, "it has one already");
    world.meeting(&session, "start").await;
    assert_eq!(world.warnings_of(ada, &session).await, json!([]));

    // The host is still live when the lease is over.
    world.advance(MINUTE * 125);
    let report = world.meeting_sweep().await;
    assert_eq!((&report["licences_returned"], world.is_licensed(ada)), (&json!(0), true));
    assert_eq!(world.licences().await["held"][0]["until"], json!(start + MINUTE * 255));
    world.meeting(&session, "end").await;
    world.advance(MINUTE * 15);
    assert_eq!(world.meeting_sweep().await["licences_returned"], 1);
    assert!(!world.is_licensed(ada));
    let after = world.licences().await;
    assert_eq!((&after["assigned"], &after["held"]), (&json!(0), &json!([])));
    assert_eq!(world.live_downgrades(), 0, "Zoom was never asked to take it from a live host");
    let store = store(&world);
    let host = store.platform_host(&UserId::parse("trainer-1").expect("an id")).await;
    let history = host.expect("read").expect("a host").licence_history;
    assert_eq!((history.len(), history[0].since), (1, since));
    // Nothing is left to do, and an idle run calls nobody.
    world.stack.usage.reset();
    world.meeting_sweep().await;
    assert_eq!(world.zoom_calls("meeting-sweep", "update_user"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn licence_of_a_removed_host_is_free_again() {
    let (world, trainers) = world_with(1, 2).await;
    let (ada, eve) = (&trainers[0], &trainers[1]);
    let start = world.now();
    let session = world.schedule(ada, start, 20, 60).await;
    let next = world.schedule(eve, start, 25, 60).await;
    let report = world.meeting_sweep().await;
    assert_eq!((&report["licences_assigned"], &report["without_licence"]), (&json!(1), &json!(1)));
    assert!(world.is_licensed(ada), "the class that starts first");
    world.cancel(&ada.token, &session).await.expect(200);
    let service = world.service().await;
    world.delete(&service, "/v1/hosts/trainer-1?zoom=keep").await.expect(202);
    world.advance(MINUTE * 5);
    world.meeting_sweep().await;
    assert!(!world.is_licensed(ada));
    world.advance(MINUTE * 5);
    world.click_start(eve, &next).await.expect(200);
    world.meeting_sweep().await;
    assert!(world.is_licensed(eve));
    assert_eq!(world.licences().await["assigned"], 1);
}
