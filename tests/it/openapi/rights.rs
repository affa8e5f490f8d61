//! The table of rights against the routes, against `openapi.yaml`, and against the running system.

use std::collections::BTreeSet;

use http::Method;
use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::domain::id::SessionId;
use shared::domain::rights::{Answer, Operation, Party, RIGHTS, Rights};
use shared::domain::zoom_event::ReportedAt;
use shared::handlers::{GUEST_ROUTES, ROUTES, Route};
use shared::store::recordings::{Recording, put_metadata};

use super::Spec;
use super::failures::body;
use crate::functions::store;
use crate::support::{patched, session_path};
use crate::world::{Response, World, course_session_body};

/// The parties by the names in `openapi.yaml`, each with the party whose answer is meant if it is missing.
const PARTIES: [(Party, &str, &str); 7] = [
    (Party::Student, "student", "student"),
    (Party::Invited, "invited", "student"),
    (Party::Trainer, "trainer", "trainer"),
    (Party::CoTrainer, "co_trainer", "trainer"),
    (Party::OtherTrainer, "other_trainer", "trainer"),
    (Party::Service, "service", "service"),
    (Party::Admin, "admin", "admin"),
];

fn word(answer: Answer) -> &'static str {
    match answer {
        Answer::Full => "full",
        Answer::Limited => "limited",
        Answer::Forbidden => "forbidden",
        Answer::NotFound => "not_found",
    }
}

fn name(row: &Rights) -> String {
    format!("{} {}", row.method, row.path)
}

#[test]
fn table_of_rights_has_a_row_for_every_route() {
    let routes: BTreeSet<_> =
        ROUTES.iter().map(|route| format!("{} {}", route.method, route.path)).collect();
    let rows: BTreeSet<_> = RIGHTS.iter().map(name).collect();
    assert_eq!(rows, routes);
    assert_eq!(PARTIES.map(|(party, ..)| party), Party::ALL);
}

#[test]
fn api_description_has_the_rights_of_the_table() {
    let spec = Spec::read();
    let mut problems = Vec::new();
    for row in RIGHTS {
        let access = &spec.0["paths"][row.path][row.method.to_lowercase()]["x-access"];
        let names = access.as_object().into_iter().flatten().map(|(name, _)| name.as_str());
        let unknown = names.filter(|name| PARTIES.iter().all(|(_, known, _)| known != name));
        problems.extend(unknown.map(|unknown| format!("{}: {unknown}", name(row))));
        for (party, party_name, default) in PARTIES {
            let described = access.get(party_name).unwrap_or(&access[default]);
            let expected = word(row.answer(party));
            if described != expected {
                problems.push(format!("{} {party_name}: {described}, not {expected}", name(row)));
            }
        }
    }
    assert!(problems.is_empty(), "{problems:#?}");
}

/// A class of `trainer-1` with the co-trainer `trainer-2`, which takes place now and has a poll, and another one later.
struct Scene {
    world: World,
    spec: Spec,
    trainer: String,
    now: Value,
    later: Value,
    poll: Value,
    attendee: String,
}

/// The id of the recording of the class that takes place now.
const RECORDING: &str = "rec-1";

/// Stores a recording, which a class with a link never has.
async fn put_recording(world: &World, session: &Value) {
    let id = SessionId::parse(session["id"].as_str().expect("an id")).expect("an id");
    let recording = Recording {
        file_id: RECORDING.to_owned(),
        file_type: "MP4".to_owned(),
        play_url: Some("https://zoom.us/rec/play/a".to_owned()),
        passcode: None,
        play_passcode: None,
        starts_at: Some(world.now()),
        ends_at: Some(world.now()),
        size_bytes: 1,
        instance: None,
    };
    let put = put_metadata(&id, &recording, ReportedAt::at(world.now()));
    store(world).commit_one(put).await.expect("stored");
}

impl Scene {
    async fn prepare() -> Self {
        let world = World::start().await;
        let trainer = world.trainer().await;
        let fields = json!({
            "provider": "manual",
            "join_url": "https://meet.example.test/a",
            "co_trainers": ["trainer-2"],
        });
        let body = |hours| patched(course_session_body(hours), fields.clone());
        let now = world.create(&trainer, &body(1)).await.expect(201);
        let later = world.create(&trainer, &body(300)).await.expect(201);
        world.advance(SignedDuration::from_mins(61));
        let trainer = world.trainer().await;
        let path = session_path(&now);
        let question = json!({"question": "Ready?", "options": ["Yes", "No"]});
        let poll = world.post(&trainer, &format!("{path}/polls"), question).await.expect(201);
        let report = world.get(&trainer, &format!("{path}/attendance")).await.expect(200);
        put_recording(&world, &now).await;
        let attendee = report["attendees"][0]["attendee_id"].as_str().expect("an id").to_owned();
        Self { world, spec: Spec::read(), trainer, now, later, poll, attendee }
    }

    async fn token(&self, party: Party) -> String {
        let world = &self.world;
        match party {
            Party::Student => world.student(9).await,
            Party::Invited => world.student(1).await,
            Party::Trainer => self.trainer.clone(),
            Party::CoTrainer => world.other_trainer().await,
            Party::OtherTrainer => {
                world.put_user("trainer-3", json!({})).await;
                world.token(json!({"sub": "trainer-3", "role": "trainer"})).await
            }
            Party::Service => world.service().await,
            Party::Admin => world.token(json!({"sub": "root", "role": "admin"})).await,
        }
    }

    /// The path of an operation on objects that exist, as far as its answer depends on them. A changed session must not
    /// have begun.
    fn path(&self, row: &Rights) -> String {
        let session = match row.operation {
            Operation::EditSession | Operation::CancelSession => &self.later,
            _ => &self.now,
        };
        let id = match row.path.strip_prefix("/v1/sessions/{id}") {
            Some(_) => session["id"].as_str().expect("an id"),
            None if row.operation == Operation::ReadCourseAttendance => "course-1",
            None => "some-id",
        };
        let path = row.path.replace("{id}", id).replace("{attendee_id}", &self.attendee);
        let path = path.replace("{poll_id}", self.poll["id"].as_str().expect("an id"));
        let path = path.replace("{recording_id}", RECORDING);
        let path = path.replace("{user_id}", "some-id").replace("{trainer_id}", "some-id");
        let path = path.replace("{payment_id}", "some-id").replace("{external_ref}", "some-ref");
        match row.operation {
            Operation::ListSessions => format!("{path}?course_id=course-1"),
            _ => path,
        }
    }

    /// A valid body: an example of `openapi.yaml`, or one that fits the objects.
    fn body(&self, row: &Rights) -> Option<Value> {
        match row.operation {
            Operation::EditSession => Some(patched(
                course_session_body(300),
                json!({
                    "provider": "manual",
                    "join_url": "https://meet.example.test/b",
                    "co_trainers": ["trainer-2"],
                }),
            )),
            Operation::Vote => Some(json!({"option_ids": [self.poll["options"][0]["id"]]})),
            Operation::OverrideAttendance => Some(json!({"present": true})),
            // The next operation needs a recording that invited people see.
            Operation::SetRecordingVisibility => Some(json!({"visibility": "invited"})),
            // An example would switch the feature off for some.
            Operation::PutSettings => Some(json!({})),
            Operation::ResendInvite => None,
            _ => {
                let is_row = |route: &&Route| (route.method, route.path) == (row.method, row.path);
                body(&self.spec, ROUTES.iter().find(is_row).expect("a route"))
            }
        }
    }

    async fn call(&self, row: &Rights, token: &str) -> Response {
        let method: Method = row.method.parse().expect("a method");
        self.world.call(method, &self.path(row), token, self.body(row), &[]).await
    }
}

/// The observed answer. Other errors than these two mean that the operation was allowed. An operation whose rights do not
/// depend on a session answers `not_found` for other reasons.
fn observed(row: &Rights, response: &Response) -> &'static str {
    let hides = Party::ALL.iter().any(|party| row.answer(*party) == Answer::NotFound);
    let is_problem = response.status.is_client_error() || response.status.is_server_error();
    let code = if is_problem { response.json()["code"].clone() } else { Value::Null };
    match code.as_str() {
        Some("forbidden") => "forbidden",
        Some("not_found") if hides => "not_found",
        _ => "allowed",
    }
}

/// Returns whether a response has the fields that only the trainer sees. `None` if it never has.
fn shows_all(row: &Rights, response: &Response) -> Option<bool> {
    match row.operation {
        Operation::ReadSession => Some(response.json()["meeting"].is_object()),
        // Only a person who gets mails is an attendee.
        Operation::ReadCalendarEntry => Some(!response.text.contains("\nATTENDEE")),
        Operation::ListPolls => Some(response.json()["items"][0]["voters"].is_array()),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_answers_every_party_as_the_table_says() {
    let scene = Scene::prepare().await;
    let mut problems = Vec::new();
    for row in RIGHTS {
        for (party, party_name, _) in PARTIES {
            let token = scene.token(party).await;
            let response = scene.call(row, &token).await;
            let answer = row.answer(party);
            let expected = match answer {
                Answer::Full | Answer::Limited => "allowed",
                refused => word(refused),
            };
            let seen = observed(row, &response);
            if seen != expected {
                let text = &response.text;
                problems
                    .push(format!("{} {party_name}: {seen}, not {expected}: {text}", name(row)));
            } else if seen == "allowed"
                && let Some(shows_all) = shows_all(row, &response)
                && shows_all != (answer == Answer::Full)
            {
                problems.push(format!("{} {party_name}: shows all is {shows_all}", name(row)));
            }
        }
        scene.call(row, "").await.expect_problem(401, "unauthenticated");
    }
    assert!(problems.is_empty(), "{problems:#?}");
    for route in GUEST_ROUTES {
        let method: Method = route.method.parse().expect("a method");
        let body = Some(json!({"token": "unknown"}));
        let response = scene.world.call(method, route.path, "", body, &[]).await;
        response.expect_problem(404, "not_found");
    }
}
