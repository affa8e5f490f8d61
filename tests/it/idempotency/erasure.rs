//! If any call of an erasure fails, and while another request of the person is in progress, the repeated request and the sweep
//! leave nothing of the person.

use futures::future::BoxFuture;
use futures::stream::{self, StreamExt};
use http::Method;
use jiff::SignedDuration;
use local::calls::Service;
use local::calls::Service::{Dynamodb, Zoom};
use local::faults::{Fault, FaultKind};
use serde_json::{Value, json};

use crate::support::patched;
use crate::world::{Response, World, course_session_body, session_body};
use crate::zoom_session::ScheduledSession;

const WORLDS_AT_ONCE: usize = 4;
/// The time for which the other request waits.
const SLOW_MS: u64 = 150;
const COURSE_PATH: &str = "/v1/directory/courses/course-1";
const ENROLLMENT_PATH: &str = "/v1/directory/courses/course-1/enrollments/zelda";

/// The failures of a call: before it, after it, and after it with the SDK's own retry. Three failures exceed the SDK's attempts.
const FAILURES: [(Service, FaultKind, u32); 5] = [
    (Dynamodb, FaultKind::Error, 3),
    (Dynamodb, FaultKind::Lost, 3),
    (Dynamodb, FaultKind::Lost, 1),
    (Zoom, FaultKind::Error, 2),
    (Zoom, FaultKind::Lost, 1),
];
/// Each failure hits every ninth call of the table, so that together they hit every third one.
const SHORT_STRIDE: u32 = 9;
/// Each failure hits every call.
const LONG_STRIDE: u32 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    Student,
    Trainer,
    Course,
}

impl Subject {
    fn path(self) -> &'static str {
        match self {
            Self::Student => "/v1/directory/users/zelda",
            Self::Trainer => "/v1/directory/users/trainer-1",
            Self::Course => COURSE_PATH,
        }
    }
}

/// A world in which the person has left data everywhere.
struct Scene {
    world: World,
    service: String,
    trainer: String,
    student: String,
    session: ScheduledSession,
    poll: Value,
    customer_key: Value,
}

impl Scene {
    async fn prepare(subject: Subject) -> Self {
        let world = World::start().await;
        let (trainer, service) = (world.trainer().await, world.service().await);
        let student = json!({"sub": "zelda", "role": "student", "email": "zelda@example.test", "name": "Zelda Zwingli"});
        let student = world.token(student).await;
        world.connect_zoom(&trainer, "app").await;
        let user =
            json!({"email": "zelda@example.test", "name": "Zelda Zwingli", "role": "student"});
        world.put(&service, Subject::Student.path(), user).await.expect(200);
        world.put(&service, ENROLLMENT_PATH, enrollment()).await.expect(200);
        let soon = json!({"starts_at": "2026-11-21T09:05:00Z"});
        let soon = patched(course_session_body(1), soon);
        let session = ScheduledSession::schedule(&world, &trainer, soon).await;
        let (mut poll, mut customer_key) = (Value::Null, Value::Null);
        if subject != Subject::Course {
            let list = json!([{"email": "zelda@example.test", "name": "Zelda Zwingli"}]);
            let link = json!({"provider": "manual", "join_url": "https://meet.example.test/a"});
            let invites = json!({"audience_type": "invitees", "invitees": list});
            let body = patched(patched(session_body(40), link), invites);
            world.create(&trainer, &body).await.expect(201);
        }
        if subject == Subject::Student {
            let loud = json!({"live_session": {"in_app": true, "email": true}});
            world.put(&student, "/v1/me/notification-preferences", loud).await.expect(200);
            world.advance(SignedDuration::from_mins(5));
            let join = format!("{}/join", session.path);
            let credentials = world.post(&student, &join, json!({})).await.expect(200);
            customer_key = credentials["customer_key"].clone();
            session.post_event(&world, &session.started("u1", 0)).await;
            session.post_event(&world, &joined(&session, "c1", &customer_key)).await;
            let question = json!({"question": "Which?", "options": ["2/3", "3/4"]});
            poll = world
                .post(&trainer, &format!("{}/polls", session.path), question)
                .await
                .expect(201);
            let report = format!("{}/attendance", session.path);
            let rows = world.get(&trainer, &report).await.expect(200)["attendees"].clone();
            let row = rows.as_array().expect("rows").iter().find(|row| row["user_id"] == "zelda");
            let row = row.expect("a row")["attendee_id"].as_str().expect("an id").to_owned();
            let present = json!({"present": true, "reason": "Zelda was here."});
            world.put(&trainer, &format!("{report}/{row}"), present).await.expect(200);
        }
        world.run_outbox_sweep().await;
        Self { world, service, trainer, student, session, poll, customer_key }
    }

    /// Returns one of the requests that may run during an erasure, and the function whose first call is slow.
    fn other_request(&self, subject: Subject, nth: u32) -> (&'static str, BoxFuture<'_, Response>) {
        let Self { world, service, trainer, student, session, poll, customer_key } = self;
        let put = || async {
            let renamed = patched(enrollment(), json!({"name": "Zelda Z."}));
            world.put(service, ENROLLMENT_PATH, renamed).await
        };
        match (subject, nth % 4) {
            (Subject::Course, _) | (Subject::Student, 0) => ("directory", Box::pin(put())),
            (Subject::Trainer, n) if n % 2 == 0 => (
                "session-save",
                Box::pin(async { world.create(trainer, &course_session_body(60)).await }),
            ),
            (Subject::Trainer, _) => (
                "connect",
                Box::pin(async {
                    let (code, state) = world.consent(trainer, "decision=allow&account=app").await;
                    let body = json!({"code": code, "state": state});
                    world.post(trainer, "/v1/zoom/connect", body).await
                }),
            ),
            (Subject::Student, 1) => (
                "poll",
                Box::pin(async move {
                    let id = poll["id"].as_str().expect("an id");
                    let vote = json!({"option_ids": [poll["options"][0]["id"]]});
                    world.put(student, &format!("{}/polls/{id}/vote", session.path), vote).await
                }),
            ),
            (Subject::Student, 2) => (
                "join",
                Box::pin(async {
                    world.post(student, &format!("{}/join", session.path), json!({})).await
                }),
            ),
            (Subject::Student, _) => (
                "webhook",
                Box::pin(async move {
                    let event = joined(session, "c2", customer_key).to_string();
                    crate::zoom_session::post_signed(world, &event).await
                }),
            ),
        }
    }

    /// Lets the repetitions of the erasure run, and asserts that no item and no message names the person.
    async fn assert_nothing_is_left(&self, subject: Subject, context: &str) {
        let world = &self.world;
        // After the repetitions, the sweep rewrites late events.
        for minutes in [3, 60, 60, 60] {
            world.advance(SignedDuration::from_mins(minutes));
            world.sweep().await;
            world.run_outbox_sweep().await;
        }
        for queue in ["OutboxQueue", "OutboxDeadLetterQueue"] {
            let depth = world.stack.aws.queues().depth(queue);
            assert_eq!((depth.visible, depth.in_flight, depth.delayed), (0, 0, 0), "{context}");
        }
        let dump = world.dump().await;
        let of_partition = |pk: &str| dump.iter().filter(|item| item["pk"] == pk).count();
        let text = json!(dump).to_string().to_lowercase();
        match subject {
            Subject::Student => {
                assert!(!text.contains("zelda") && !text.contains("zwingli"), "{context}: {text}")
            }
            Subject::Trainer => {
                for name in ["trainer@example.test", "tara", "access_token", "\"leads\""] {
                    assert!(!text.contains(name), "{context}: {name}");
                }
                assert_eq!(of_partition("USER#trainer-1"), 0, "{context}");
                let open = dump.iter().filter(|item| item["status"] == "scheduled");
                assert_eq!(open.count(), 0, "{context}");
            }
            Subject::Course => {
                let enrollments = dump.iter().filter(|item| item["sk"] == "ENROLLMENT#course-1");
                assert_eq!(enrollments.count() + of_partition(COURSE_ITEM), 0, "{context}");
            }
        }
    }
}

const COURSE_ITEM: &str = "COURSE#course-1";

fn enrollment() -> Value {
    json!({"email": "zelda@example.test", "name": "Zelda Zwingli"})
}

fn joined(session: &ScheduledSession, participation: &str, key: &Value) -> Value {
    let at = session.at(2);
    let person = json!({"participant_uuid": participation, "user_id": "16778240", "user_name": "Zelda Zwingli",
        "customer_key": key, "join_time": at});
    session.event("meeting.participant_joined", at, &json!({"uuid": "u1", "participant": person}))
}

/// Lets the `nth` call of the erasure fail while another request is in progress. Returns `false` if it makes fewer calls.
async fn fails_at_call(
    subject: Subject,
    (service, kind, times): (Service, FaultKind, u32),
    nth: u32,
) -> bool {
    let scene = Scene::prepare(subject).await;
    let world = &scene.world;
    let (function, other) = scene.other_request(subject, nth);
    let mut slow = Fault::new(Dynamodb, "*", FaultKind::Late).for_function(function);
    slow.delay_ms = Some(SLOW_MS);
    world.inject_fault(slow);
    let context =
        format!("{subject:?}: {kind:?} × {times} from call {nth} to {service}, {function}");
    let mut is_hit = true;
    let erase = async {
        tokio::time::sleep(std::time::Duration::from_millis(SLOW_MS / 3)).await;
        world.advance(SignedDuration::from_millis(5));
        let fault = Fault::new(service, "*", kind).for_function("directory");
        world.inject_fault(fault.after(nth).times(times));
        let first = world.call(Method::DELETE, subject.path(), &scene.service, None, &[]).await;
        is_hit = !world
            .stack
            .faults
            .list()
            .iter()
            .any(|fault| fault.times == times && fault.kind == kind);
        assert!(first.status == 204 || first.status.as_u16() >= 500, "{context}: {}", first.text);
        world.stack.faults.clear();
    };
    tokio::join!(other, erase);
    world.advance(SignedDuration::from_secs(31));
    world.delete(&scene.service, subject.path()).await.expect(204);
    scene.assert_nothing_is_left(subject, &context).await;
    is_hit
}

async fn every_call_fails_once(subject: Subject, table_stride: u32) {
    let checks = stream::iter(FAILURES.into_iter().zip(0..)).map(|(failure, n)| async move {
        let is_of_table = failure.0 == Dynamodb;
        let stride = if is_of_table { table_stride } else { 1 };
        // The failures of the table begin with different calls.
        let mut calls = if is_of_table { n * stride / 3 } else { 0 };
        while fails_at_call(subject, failure, calls).await {
            calls += stride;
        }
        println!("{subject:?}: {calls} calls of {}", failure.0);
    });
    checks.buffer_unordered(WORLDS_AT_ONCE).collect::<()>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erasure_repeated_after_any_failure_leaves_nothing() {
    every_call_fails_once(Subject::Student, SHORT_STRIDE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erasure_of_a_trainer_repeated_after_any_failure_leaves_nothing() {
    every_call_fails_once(Subject::Trainer, SHORT_STRIDE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn course_removal_repeated_after_any_failure_leaves_no_student() {
    every_call_fails_once(Subject::Course, SHORT_STRIDE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: run by .ci/nightly"]
async fn erasure_repeated_after_every_failure_leaves_nothing() {
    for subject in [Subject::Student, Subject::Trainer, Subject::Course] {
        every_call_fails_once(subject, LONG_STRIDE).await;
    }
}
