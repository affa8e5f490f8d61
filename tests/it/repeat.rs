//! Whichever call of a request fails, and however: once the request was repeated and the sweep has run, all is as after
//! one that went well.

use futures::stream::{self, StreamExt};
use jiff::SignedDuration;
use local::calls::Service;
use local::faults::{Fault, Kind};
use serde_json::{Value, json};

use crate::look::{self, path_of, with};
use crate::world::{Answer, World, class, course_class};

const WORLDS_AT_ONCE: usize = 4;

/// How a call fails: `times` 3 outlasts the attempts of the AWS SDK, 2 those of a call to Zoom that may be repeated.
const FAILURES: [(Service, Kind, u32); 8] = [
    (Service::Dynamodb, Kind::Error, 3),
    (Service::Dynamodb, Kind::Lost, 1),
    (Service::Dynamodb, Kind::Lost, 3),
    (Service::Dynamodb, Kind::Conflict, 1),
    (Service::Zoom, Kind::Error, 1),
    (Service::Zoom, Kind::Error, 2),
    (Service::Zoom, Kind::Lost, 1),
    (Service::Zoom, Kind::Lost, 2),
];

#[derive(Clone, Copy, Debug)]
enum Request {
    Create,
    Edit,
    Cancel,
}

impl Request {
    fn function(self) -> &'static str {
        match self {
            Self::Create | Self::Edit => "session-save",
            Self::Cancel => "session-cancel",
        }
    }

    async fn send(self, world: &World, trainer: &str, session: &Value) -> Answer {
        match self {
            Self::Create => world.create_with_key(trainer, "k", &course_class(50)).await,
            Self::Edit => world.edit_if(trainer, session, "\"1\"", &moved()).await,
            Self::Cancel => world.cancel(trainer, session).await,
        }
    }
}

fn moved() -> Value {
    with(course_class(50), json!({"title": "Geometry", "starts_at": "2026-12-10T09:00:00Z"}))
}

/// All that a request leaves behind, without what differs from one meeting or moment to another.
async fn state(world: &World, trainer: &str) -> Value {
    let sessions = world.listed(trainer, "/v1/sessions").await;
    let own = sessions.iter().map(|session| {
        let kept = ["title", "status", "version", "ics_sequence", "starts_at", "audience_type"];
        let kept = kept.map(|field| (field.to_owned(), session[field].clone()));
        let meeting = world.meeting_of(session);
        let fields = ["topic", "start_time", "timezone", "duration", "status", "settings"];
        let meeting = fields.map(|field| (field.to_owned(), meeting[field].clone()));
        json!({"session": serde_json::Map::from_iter(kept), "meeting": serde_json::Map::from_iter(meeting)})
    });
    let dump = world.dump().await;
    let of_classes = look::items(&dump, "SESSION#");
    json!({
        "classes": own.collect::<Vec<_>>(),
        "meetings": world.meetings().len(),
        "items": of_classes.iter().map(|item| &item["sk"]).collect::<Vec<_>>(),
        "announced": look::announced(&dump),
        "reminders": look::reminders(&dump),
        "november": look::month_count(&dump, "trainer-1", "2026-11"),
        "december": look::month_count(&dump, "trainer-1", "2026-12"),
        "repairs": look::due(&dump, "REPAIR"),
    })
}

/// A world with Zoom connected, and a class where the request is about one.
async fn begin(request: Request) -> (World, String, Value) {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    let session = match request {
        Request::Create => Value::Null,
        Request::Edit | Request::Cancel => {
            world.create_with_key(&trainer, "k", &course_class(50)).await.expect(201)
        }
    };
    // The secret is read ahead, so that the calls that fail are the request's own.
    let _ =
        world.edit(&trainer, &json!({"id": "ses_aaaaaaaaaaaaaaaaaaaaaaaaaa"}), &class(50)).await;
    (world, trainer, session)
}

async fn settled(world: &World, trainer: &str) -> Value {
    world.sweep_later().await;
    world.advance(SignedDuration::from_mins(10));
    let report = world.sweep().await;
    assert_eq!(report["left"], 0);
    state(world, trainer).await
}

async fn every_call_fails_once(request: Request) {
    let (world, trainer, session) = begin(request).await;
    request.send(&world, &trainer, &session).await;
    let expected = settled(&world, &trainer).await;
    // Mostly it is waited, so the worlds may as well stand side by side.
    let ways = stream::iter(FAILURES).map(|failure| {
        let expected = &expected;
        async move {
            let mut calls = 0;
            while fails(request, failure, calls, expected).await {
                calls += 1;
            }
            assert!(calls > 0, "{request:?} does not call {}", failure.0);
        }
    });
    ways.buffer_unordered(WORLDS_AT_ONCE).collect::<()>().await;
}

/// Has the `nth` call of a request fail; `false` when the request makes no more than so many.
async fn fails(
    request: Request,
    (service, kind, times): (Service, Kind, u32),
    nth: u32,
    expected: &Value,
) -> bool {
    let (world, trainer, session) = begin(request).await;
    let fault = Fault::new(service, "*", kind).by(request.function()).after(nth).times(times);
    world.fault(fault);
    let first = request.send(&world, &trainer, &session).await;
    let what = format!(
        "{request:?}: {kind:?} × {times} from call {nth} to {service}, first {}",
        first.status
    );
    if world.stack.faults.list().iter().any(|fault| fault.times == times) {
        assert!(first.status.is_success(), "{what}");
        return false;
    }
    assert!(first.status.is_success() || first.status.as_u16() >= 500, "{what}: {}", first.text);
    world.stack.faults.clear();
    world.advance(SignedDuration::from_secs(31));
    let second = request.send(&world, &trainer, &session).await;
    assert!(second.status.is_success(), "{what}: {}", second.text);
    assert_eq!(settled(&world, &trainer).await, *expected, "{what}");
    let listed = world.listed(&trainer, "/v1/sessions").await;
    let shown = world.get(&trainer, &path_of(&listed[0])).await.expect(200);
    assert_eq!(shown, second.json(), "{what}");
    true
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_create_repeated_after_any_failure_is_one_class() {
    every_call_fails_once(Request::Create).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_repeated_after_any_failure_is_one_edit() {
    every_call_fails_once(Request::Edit).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancellation_repeated_after_any_failure_is_one_cancellation() {
    every_call_fails_once(Request::Cancel).await;
}
