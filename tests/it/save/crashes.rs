//! A function dies at a step of a create or an edit: from one of its calls on, no call is answered as expected.
//!
//! The table names each step by the calls before it. The state that the crash leaves shows that the fault has hit that
//! step.

use futures::stream::{self, StreamExt};
use jiff::SignedDuration;
use local::calls::Service;
use local::faults::{Fault, FaultKind};
use serde_json::{Value, json};

use super::connected_trainer;
use crate::late_answers::{check_agreement, finish_repairs};
use crate::support::{patched, session_path};
use crate::world::{Response, World, session_body};

const WORLDS_AT_ONCE: usize = 4;
const NEW_TITLE: &str = "Geometry";
/// More calls than a request makes.
const EVERY_CALL: u32 = 200;

/// The calls that a step follows: the reads of the inputs and of the host's calendar, and the transaction that reserves.
const READ: u32 = 2;
const RESERVED: u32 = 3;

use FaultKind::{Error, Lost};
use Service::{Dynamodb, Zoom};

/// A crash at a step.
#[derive(Clone, Copy, Debug)]
struct Crash {
    step: &'static str,
    /// The first failing call: its service, and the number of this service's calls before it.
    at: (Service, u32),
    /// Whether the call is carried out (`Lost`) or not (`Error`).
    kind: FaultKind,
    /// Whether Zoom refuses the meeting first, so that the step is part of the undo.
    is_refused: bool,
    left: Left,
}

/// The state between crash and repair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Left {
    /// An intent or an edit lease.
    reserved: bool,
    /// Zoom has the request's values.
    at_zoom: bool,
    /// The table has them.
    stored: bool,
}

const NOTHING: Left = Left { reserved: false, at_zoom: false, stored: false };
const RESERVATION: Left = Left { reserved: true, ..NOTHING };
const RESERVATION_AND_MEETING: Left = Left { at_zoom: true, ..RESERVATION };
const EVERYTHING: Left = Left { reserved: false, at_zoom: true, stored: true };

const fn crash(step: &'static str, at: (Service, u32), kind: FaultKind, left: Left) -> Crash {
    Crash { step, at, kind, is_refused: false, left }
}

const fn crash_of_undo(step: &'static str, kind: FaultKind, left: Left) -> Crash {
    Crash { step, at: (Dynamodb, RESERVED), kind, is_refused: true, left }
}

/// The steps of a create and of an edit. Both read, reserve, call Zoom, and commit, or release after a refusal.
const CRASHES: [Crash; 9] = [
    crash("read", (Dynamodb, 0), Error, NOTHING),
    crash("reserve", (Dynamodb, READ), Error, NOTHING),
    crash("reserve", (Dynamodb, READ), Lost, RESERVATION),
    crash("call Zoom", (Zoom, 0), Error, RESERVATION),
    crash("call Zoom", (Zoom, 0), Lost, RESERVATION_AND_MEETING),
    crash("commit", (Dynamodb, RESERVED), Error, RESERVATION_AND_MEETING),
    crash("commit", (Dynamodb, RESERVED), Lost, EVERYTHING),
    crash_of_undo("release", Error, RESERVATION),
    crash_of_undo("release", Lost, NOTHING),
];

#[derive(Clone, Copy, Debug)]
enum Request {
    Create,
    Edit,
}

impl Request {
    async fn send(self, world: &World, trainer: &str, session: &Value) -> Response {
        let body = patched(session_body(50), json!({"title": NEW_TITLE}));
        match self {
            Self::Create => world.create_with_idempotency_key(trainer, "k", &body).await,
            Self::Edit => world.edit_if_match(trainer, session, "\"1\"", &body).await,
        }
    }

    fn zoom_operation(self) -> &'static str {
        match self {
            Self::Create => "create_meeting",
            Self::Edit => "update_meeting",
        }
    }
}

/// Lets every call of the function fail from the crash on.
fn inject(world: &World, request: Request, crash: Crash) {
    let of_function = |fault: Fault| world.inject_fault(fault.for_function("session-save"));
    if crash.is_refused {
        let refusal = Fault::new(Zoom, request.zoom_operation(), Error);
        of_function(Fault { status: Some(400), ..refusal });
    }
    let (service, calls) = crash.at;
    of_function(Fault::new(service, "*", crash.kind).after(calls));
    of_function(Fault::new(service, "*", Error).after(calls).times(EVERY_CALL));
    if service == Zoom {
        of_function(Fault::new(Dynamodb, "*", Error).after(RESERVED).times(EVERY_CALL));
    }
}

async fn left(world: &World, trainer: &str) -> Left {
    let items = world.items("SESSION#").await;
    let meetings = world.meetings();
    Left {
        reserved: items
            .iter()
            .any(|item| item["sk"] == "INTENT" || item["edit_lease_holder"].is_string()),
        at_zoom: meetings.iter().any(|meeting| meeting["topic"] == NEW_TITLE),
        stored: titles(world, trainer).await.contains(&json!(NEW_TITLE)),
    }
}

async fn titles(world: &World, trainer: &str) -> Vec<Value> {
    let sessions = world.list_items(trainer, "/v1/sessions").await;
    sessions.into_iter().map(|session| session["title"].clone()).collect()
}

/// Crashes at a step. Then either the request is repeated after its lease, or only the sweep runs.
async fn crash_and_recover(request: Request, crash: Crash, is_repeated: bool) {
    let Crash { step, kind, .. } = crash;
    let context = format!("{request:?}: {kind:?} at `{step}`, repeated: {is_repeated}");
    let (world, trainer) = connected_trainer().await;
    let session = match request {
        Request::Create => Value::Null,
        Request::Edit => world.create(&trainer, &session_body(50)).await.expect(201),
    };
    // Loads the secret first, so that the failing calls are those of the request.
    let unknown = json!({"id": "ses_aaaaaaaaaaaaaaaaaaaaaaaaaa"});
    world.edit(&trainer, &unknown, &session_body(50)).await.expect_problem(404, "not_found");
    inject(&world, request, crash);
    let response = request.send(&world, &trainer, &session).await;
    assert!(response.status.as_u16() >= 500, "{context}: {}", response.text);
    world.stack.faults.clear();
    assert_eq!(left(&world, &trainer).await, crash.left, "{context}");

    if is_repeated {
        world.advance(SignedDuration::from_secs(31));
        let response = request.send(&world, &trainer, &session).await;
        assert!(response.status.is_success(), "{context}: {}", response.text);
    }
    finish_repairs(&world).await;
    check_agreement(&world, &trainer, &context).await;
    let is_saved = is_repeated || crash.left.stored;
    let expected = match (request, is_saved) {
        (_, true) => vec![json!(NEW_TITLE)],
        (Request::Create, false) => vec![],
        (Request::Edit, false) => vec![session["title"].clone()],
    };
    assert_eq!(titles(&world, &trainer).await, expected, "{context}");
    if let (Request::Edit, true) = (request, is_saved) {
        let shown = world.get(&trainer, &session_path(&session)).await.expect(200);
        assert_eq!(shown["version"], 2, "{context}: edited once");
    }
}

async fn recovers_from_each_crash(request: Request) {
    let cases = CRASHES.into_iter().flat_map(|crash| [(crash, false), (crash, true)]);
    let checks = stream::iter(cases)
        .map(|(crash, is_repeated)| crash_and_recover(request, crash, is_repeated));
    checks.buffer_unordered(WORLDS_AT_ONCE).collect::<()>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crash_at_any_step_of_a_create_is_finished_or_undone() {
    recovers_from_each_crash(Request::Create).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crash_at_any_step_of_an_edit_is_finished_or_undone() {
    recovers_from_each_crash(Request::Edit).await;
}
