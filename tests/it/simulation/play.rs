//! Plays a story in a stack: the people at Zoom, the delivery of Zoom's events, and the sweeps.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use jiff::{SignedDuration, Timestamp};
use local::calls::Service;
use local::faults::{Fault, FaultKind};
use local::stack::Options;
use serde_json::{Value, json};
use shared::config::names;

use super::compare::{Disagreement, compare, compare_cancelled};
use super::memory::{Memory, TELEPHONE_OF};
use super::story::{Action, Client, Delivery, HOUR, Hosting, Identity, MINUTE, Step, Story};
use crate::platform_hosting::assign_host;
use crate::variation::Variation;
use crate::world::{World, course_session_body};

/// The start of the class in hours after the start of the stack.
const HOURS_AHEAD: i64 = 26;
/// When the story is over: after the last comparison of the recordings, and after the archiving.
const OVER: i64 = 9 * 24 * HOUR;
/// When the last meeting has ended.
const LAST_END: i64 = 10 * HOUR;
/// Calls that a fault concerns, more than a step causes.
const EVERY_CALL: u32 = 10_000;
const PLATFORM_HOST: &str = "hana@example.test";

/// Plays a story. Returns where the functions disagree with Zoom's memory afterwards.
pub(super) async fn play(story: &Story) -> Vec<Disagreement> {
    let mut player = Box::pin(Player::new(story)).await;
    let (on_the_day, later) =
        story.steps.split_at(story.steps.partition_point(|step| step.at < LAST_END));
    // A story that was shortened may lack an end.
    let last_end = Step { at: LAST_END, action: Action::End, delivery: Delivery::AtOnce };
    for step in on_the_day.iter().chain([&last_end]).chain(later) {
        Box::pin(player.advance(step.at)).await;
        Box::pin(player.carry_out(step)).await;
    }
    Box::pin(player.advance(OVER)).await;
    Box::pin(player.compare()).await
}

struct Player<'a> {
    world: World,
    story: &'a Story,
    path: String,
    meeting: i64,
    starts_at: Timestamp,
    /// The participations of the clients in the meeting.
    participations: BTreeMap<Client, String>,
    /// The participations of telephones that Zoom knows to be a student's.
    bound: BTreeSet<String>,
    /// The `tk` of the personal links that students got from us.
    links: BTreeSet<String>,
    is_cancelled: bool,
    /// Whether the trainer has removed the app at Zoom.
    is_disconnected: bool,
    /// The future runs of the sweeps in seconds after the planned start, the next one last.
    sweeps: Vec<i64>,
    delivery: Delivery,
    trouble: Option<(FaultKind, u32)>,
    /// Whether half a response may have had the only copy of the trainer's next token.
    may_lack_token: bool,
    failures: Vec<Disagreement>,
}

impl<'a> Player<'a> {
    async fn new(story: &'a Story) -> Self {
        let world = start_world(story).await;
        let trainer = world.trainer().await;
        match story.hosting {
            Hosting::Platform | Hosting::PlatformByLink => {
                drop(assign_host(&world, "trainer-1", PLATFORM_HOST).await)
            }
            Hosting::TrainerOfAppAccount => drop(world.connect_zoom(&trainer, "app").await),
            Hosting::TrainerOfOtherAccount => drop(world.connect_zoom(&trainer, "other").await),
        }
        let lists = story.lists;
        let settings = json!({
            "list_page_size": lists.page_size,
            "participants_lag_seconds": lists.lag_seconds,
            "participants_per_connection": lists.has_row_per_connection,
            "expired_pages": lists.expired_pages,
            "webhooks": {"leaves_at_end": lists.has_leaves_at_end},
        });
        world.post("", "/zoom/sim/knobs", settings).await.expect(200);
        let body = course_session_body(HOURS_AHEAD);
        let session = world.create(&trainer, &body).await.expect(201);
        let meeting = session["meeting"]["id"].as_str().expect("a number");
        let mut sweeps = sweep_times();
        sweeps.retain(|at| story.outage.is_none_or(|(from, to)| !(from..to).contains(at)));
        sweeps.reverse();
        Self {
            path: format!("/v1/sessions/{}", session["id"].as_str().expect("an id")),
            meeting: meeting.parse().expect("a number"),
            starts_at: session["starts_at"].as_str().expect("a start").parse().expect("a time"),
            world,
            story,
            participations: BTreeMap::new(),
            bound: BTreeSet::new(),
            links: BTreeSet::new(),
            is_cancelled: false,
            is_disconnected: false,
            sweeps,
            delivery: Delivery::AtOnce,
            trouble: None,
            may_lack_token: false,
            failures: Vec::new(),
        }
    }

    /// Moves the clock to this second after the planned start, and runs the sweeps that are due until then.
    async fn advance(&mut self, to: i64) {
        while let Some(at) = self.sweeps.pop_if(|at| *at <= to) {
            self.move_clock(at).await;
            self.sweep().await;
        }
        self.move_clock(to).await;
    }

    async fn move_clock(&self, to: i64) {
        self.world.advance_to(self.starts_at + SignedDuration::from_secs(to));
        self.world.stack.zoom.deliver_due().await;
    }

    async fn sweep(&mut self) {
        // The trainer was asked to connect again.
        if std::mem::take(&mut self.may_lack_token) && !self.is_disconnected {
            self.reconnect().await;
        }
        if let Some((kind, runs)) = self.trouble.take() {
            self.may_lack_token = kind == FaultKind::Half && !self.story.hosting.is_by_platform();
            let fault = Fault::new(Service::Zoom, "*", kind).times(EVERY_CALL);
            self.world.inject_fault(fault.for_function("reconcile-sweep"));
            self.trouble = (runs > 1).then_some((kind, runs - 1));
        }
        for function in ["reminder-sweep", "reconcile-sweep"] {
            if let Err(error) = self.world.stack.schedules.run(function).await {
                self.failures.push(Disagreement::new("every sweep succeeds", error));
            }
        }
        self.set_delivery(self.delivery);
    }

    /// Sets the treatment of events until the next step.
    fn set_delivery(&mut self, delivery: Delivery) {
        self.delivery = delivery;
        self.world.stack.faults.clear();
        let (kind, minutes) = match delivery {
            Delivery::AtOnce => return,
            Delivery::Dropped => (FaultKind::Drop, None),
            Delivery::Doubled => (FaultKind::Duplicate, None),
            Delivery::DelayedMinutes(minutes) => (FaultKind::Delay, Some(minutes)),
            Delivery::Reordered => (FaultKind::Reorder, None),
        };
        let fault = Fault::new(Service::Webhook, "*", kind).times(EVERY_CALL);
        self.world.inject_fault(Fault { delay_ms: minutes.map(|it| it * 60_000), ..fault });
    }

    /// Carries out a step, unless it is impossible.
    async fn carry_out(&mut self, step: &Step) {
        self.set_delivery(step.delivery);
        match &step.action {
            Action::Start | Action::End => {
                let verb = if step.action == Action::Start { "start" } else { "end" };
                if let Some(meeting) = self.simulate(verb, json!({})).await {
                    self.participations.clear();
                    self.participations.extend(present_host(&meeting).map(|it| (Client::HOST, it)));
                }
            }
            Action::Enter(client, identity) => self.enter(*client, *identity, "join").await,
            Action::Wait(client, identity) => self.enter(*client, *identity, "wait").await,
            Action::Leave(client) => self.leave(*client, "leave").await,
            Action::Kill(client) => self.leave(*client, "kill").await,
            Action::Move(client, room) => {
                self.act_as(*client, "room-move", json!({ "room": room })).await;
            }
            Action::Admit(client) => drop(self.act_as(*client, "admit", json!({})).await),
            Action::PutInWaitingRoom(client) => {
                self.act_as(*client, "put-in-waiting-room", json!({})).await;
            }
            Action::BindTelephone(student) => self.bind_telephone(*student).await,
            Action::Recording(action) => self.change_recording(action).await,
            Action::Rename => self.edit_meeting(json!({"topic": "Renamed at Zoom"})).await,
            Action::MoveMeeting(hours) => {
                let start_time = self.starts_at + SignedDuration::from_hours(*hours);
                let start_time = start_time.strftime("%Y-%m-%dT%H:%M:%S").to_string();
                self.edit_meeting(json!({"start_time": start_time, "timezone": "UTC"})).await;
            }
            Action::DeleteMeeting => {
                let path = format!("/zoom/sim/meetings/{}", self.meeting);
                self.world.call(Method::DELETE, &path, "", None, &[]).await;
            }
            Action::Cancel => self.cancel().await,
            Action::RevokeGrant => {
                self.is_disconnected = true;
                let body = Some(json!({}));
                self.world.call(Method::POST, "/zoom/sim/deauthorize", "", body, &[]).await;
            }
            Action::Reconnect => self.reconnect().await,
            Action::Trouble(kind, runs) => self.trouble = Some((*kind, *runs)),
        }
    }

    /// Posts a command about the meeting to the simulated Zoom. Returns `None` if it is impossible.
    async fn simulate(&self, verb: &str, body: Value) -> Option<Value> {
        let path = format!("/zoom/sim/meetings/{}/{verb}", self.meeting);
        let response = self.world.call(Method::POST, &path, "", Some(body), &[]).await;
        response.status.is_success().then(|| response.json())
    }

    async fn enter(&mut self, client: Client, identity: Identity, verb: &str) {
        if self.participations.contains_key(&client) {
            return;
        }
        let person = client.person;
        let has_registration = self.story.hosting == Hosting::PlatformByLink;
        let participant = match identity {
            Identity::Host => {
                let meeting = self.world.stack.zoom.meeting(self.meeting).expect("a meeting");
                json!({"name": "The host", "email": meeting["host_email"]})
            }
            Identity::Telephone => {
                let name = format!("{TELEPHONE_OF}Student {person}");
                json!({"name": name, "phone_number": format!("+4930123400{person}")})
            }
            Identity::Name if has_registration => {
                let address = format!("guest{person}@guests.test");
                json!({"name": format!("Guest {person}"), "register": address})
            }
            Identity::Name => json!({"name": format!("Guest {person}")}),
            Identity::Email => {
                let email = format!("student{person}@example.test");
                let form = has_registration.then(|| email.clone());
                json!({"name": format!("Student {person}"), "email": email, "register": form})
            }
            Identity::Key => {
                let Some(credentials) = self.join_credentials(person).await else { return };
                let tk = tk(&credentials);
                self.links.extend(tk.clone());
                let key = &credentials["customer_key"];
                json!({"name": format!("Student {person}"), "customer_key": key, "tk": tk})
            }
        };
        if let Some(joined) = self.simulate(verb, participant).await {
            let uuid = joined["participant_uuid"].as_str().expect("a uuid");
            self.participations.insert(client, uuid.to_owned());
        }
    }

    /// Returns a student's join credentials, which are not given at every time.
    async fn join_credentials(&self, student: u64) -> Option<Value> {
        let token = self.world.student(u32::try_from(student).expect("a student")).await;
        let path = format!("{}/join", self.path);
        let credentials = self.world.post(&token, &path, json!({})).await;
        credentials.status.is_success().then(|| credentials.json())
    }

    async fn bind_telephone(&mut self, student: u64) {
        let telephone = self.participations.get(&Client::telephone_of(student)).cloned();
        let clients = [1, 2].map(|device| Client { person: student, device });
        let client = clients.into_iter().find(|client| self.participations.contains_key(client));
        let (Some(telephone), Some(client)) = (telephone, client) else { return };
        let binding = json!({ "bind_participant_uuid": telephone });
        if self.act_as(client, "bind", binding).await.is_some() {
            self.bound.insert(telephone);
        }
    }

    async fn cancel(&mut self) {
        let service = self.world.service().await;
        let path = format!("{}/cancel", self.path);
        let response = self.world.post(&service, &path, json!({})).await;
        self.is_cancelled |= response.status.is_success();
    }

    async fn act_as(&self, client: Client, verb: &str, mut body: Value) -> Option<Value> {
        body["participant_uuid"] = json!(self.participations.get(&client)?);
        self.simulate(verb, body).await
    }

    async fn leave(&mut self, client: Client, verb: &str) {
        if self.act_as(client, verb, json!({})).await.is_some() {
            self.participations.remove(&client);
        }
    }

    /// Acts on the recording of the latest instance. Zoom completes one after the instance has ended, and not again after
    /// the host has deleted it.
    async fn change_recording(&self, action: &str) {
        let meeting = self.world.stack.zoom.meeting(self.meeting).expect("a meeting");
        let is_gone = ["trashed", "deleted"].iter().any(|state| meeting["recording"] == *state);
        if action == "complete" && (meeting["status"] != "ended" || is_gone) {
            return;
        }
        self.simulate("recording", json!({ "action": action })).await;
    }

    async fn edit_meeting(&self, changes: Value) {
        let path = format!("/zoom/sim/meetings/{}", self.meeting);
        self.world.call(Method::PATCH, &path, "", Some(changes), &[]).await;
    }

    async fn reconnect(&mut self) {
        self.is_disconnected = false;
        let trainer = self.world.trainer().await;
        let is_own = self.story.hosting == Hosting::TrainerOfAppAccount;
        self.world.connect_zoom(&trainer, if is_own { "app" } else { "other" }).await;
    }

    async fn compare(self) -> Vec<Disagreement> {
        let Self { world, path, .. } = &self;
        let meeting = world.stack.zoom.meeting(self.meeting).expect("a meeting");
        let (trainer, student) = (world.trainer().await, world.student(1).await);
        let get = async |token: &str, part: &str| {
            world.get(token, &format!("{path}{part}")).await.expect(200)
        };
        let session = get(&trainer, "").await;
        if self.is_cancelled {
            let mut found = self.failures;
            found.extend(compare_cancelled(&session, &meeting, self.is_disconnected));
            return found;
        }
        let registrants = registrants_of(&meeting, &self.links);
        let (bound, registrants) = (&self.bound, &registrants);
        let memory = Memory { meeting: &meeting, starts_at: self.starts_at, bound, registrants };
        let report = get(&trainer, "/attendance").await;
        let of_trainer = get(&trainer, "/recordings").await;
        let of_student = get(&student, "/recordings").await;
        let expected = memory.expectations(self.story.hosting);
        let mut found = self.failures;
        found.extend(compare(&expected, &session, &report, [&of_trainer, &of_student]));
        found
    }
}

/// Starts the stack of a story, with the variations of its seed.
async fn start_world(story: &Story) -> World {
    let mut settings = Vec::new();
    if story.hosting == Hosting::PlatformByLink {
        settings.push((names::JOIN_MODE.to_owned(), "link".to_owned()));
    }
    let options = Options { settings, ..World::options() };
    World::start_with_variation(options, Variation::from_seed(story.seed)).await
}

/// Returns the participation of the host in the running instance of a meeting.
fn present_host(meeting: &Value) -> Option<String> {
    let participants = meeting["participants"].as_array().expect("a list");
    let is_present = |it: &&Value| it["host"] == true && it["leave_time"].is_null();
    let host = participants.iter().find(is_present)?;
    host["participant_uuid"].as_str().map(str::to_owned)
}

/// Returns the token in a personal link.
fn tk(credentials: &Value) -> Option<String> {
    let url = reqwest::Url::parse(credentials["join_url"].as_str()?).expect("a URL");
    url.query_pairs().find(|(name, _)| name == "tk").map(|(_, value)| value.into_owned())
}

/// Returns the ids of the registrations with these links.
fn registrants_of(meeting: &Value, links: &BTreeSet<String>) -> BTreeSet<String> {
    let all = meeting["registrants"].as_array().into_iter().flatten();
    let known = all.filter(|it| it["tk"].as_str().is_some_and(|tk| links.contains(tk)));
    known.filter_map(|it| it["id"].as_str()).map(str::to_owned).collect()
}

/// Returns when the sweeps run: often around the class, and less often in the days after it.
fn sweep_times() -> Vec<i64> {
    let quarters = (-1..=16).map(|n| n * 15 * MINUTE);
    let hours = [5, 6, 7, 8, 10, 12, 15, 18, 22, 24, 25, 26, 28].map(|n| n * HOUR);
    let days = (2..=17).map(|n| n * 12 * HOUR + 6 * HOUR).step_by(2);
    quarters.chain(hours).chain(days).collect()
}
