//! If any call of a request fails, a repeated request and the sweep lead to the same state as a successful request. Without a
//! repetition, or with another request, Zoom's meetings, the stored sessions and the counters agree after the sweep.

mod erasure;

use futures::stream::{self, StreamExt};
use http::Method;
use jiff::SignedDuration;
use local::calls::Service;
use local::faults::{Fault, FaultKind};
use serde_json::{Value, json};

use crate::late_answers::{check_agreement, finish_repairs};
use crate::support::{self, patched, session_path};
use crate::world::{Response, World, course_session_body, session_body};

const WORLDS_AT_ONCE: usize = 4;
const CONNECTION: &str = "/v1/zoom/connection";

/// The failures of a call: before it, after it, late, or by a conflict. Three failures exceed the attempts of the AWS SDK, and
/// two exceed those of a repeatable Zoom call. In the normal run, the failures of a group take turns with the calls.
const FAILURES: [(Service, &[(FaultKind, u32)]); 6] = [
    (Service::Dynamodb, &[(FaultKind::Error, 3)]),
    (Service::Dynamodb, &[(FaultKind::Lost, 3), (FaultKind::Lost, 1)]),
    (Service::Dynamodb, &[(FaultKind::Conflict, 1)]),
    (Service::Zoom, &[(FaultKind::Error, 2), (FaultKind::Error, 1)]),
    (Service::Zoom, &[(FaultKind::Lost, 2), (FaultKind::Lost, 1)]),
    (Service::Zoom, &[(FaultKind::Deferred, 1), (FaultKind::Deferred, 2)]),
];

/// A failure with the number of attempts that it hits.
type Failure = (Service, FaultKind, u32);

/// The failures of a call to Zoom that nobody repeats: before, after, late and twice.
const ZOOM_FAILURES: [(FaultKind, u32); 6] = [
    (FaultKind::Throttle, 1),
    (FaultKind::Error, 2),
    (FaultKind::Lost, 1),
    (FaultKind::Lost, 2),
    (FaultKind::Deferred, 1),
    (FaultKind::Deferred, 2),
];

/// The request after a failed one.
const NEXT: [Option<Request>; 3] = [None, Some(Request::Edit), Some(Request::Cancel)];

#[derive(Clone, Copy, Debug)]
enum Request {
    Create,
    Edit,
    Cancel,
    Connect,
    Disconnect,
    Resend,
    Enroll,
    Unenroll,
    Import,
}

impl Request {
    fn function(self) -> &'static str {
        match self {
            Self::Create | Self::Edit => "session-save",
            Self::Cancel => "session-cancel",
            Self::Connect => "connect",
            Self::Disconnect => "disconnect",
            Self::Resend => "resend-invite",
            Self::Enroll | Self::Unenroll | Self::Import => "directory",
        }
    }

    /// Whether the request changes the Zoom connection instead of a session.
    fn is_of_connection(self) -> bool {
        matches!(self, Self::Connect | Self::Disconnect)
    }

    fn calls_zoom(self) -> bool {
        !matches!(self, Self::Resend | Self::Enroll | Self::Unenroll | Self::Import)
    }

    async fn send(self, world: &World, trainer: &str, session: &Value) -> Response {
        match self {
            Self::Create => {
                world.create_with_idempotency_key(trainer, "k", &course_session_body(50)).await
            }
            Self::Edit => world.edit_if_match(trainer, session, "\"1\"", &moved()).await,
            Self::Cancel => world.cancel(trainer, session).await,
            Self::Connect => connect(world, trainer).await,
            Self::Disconnect => world.delete(trainer, CONNECTION).await,
            Self::Resend => world.resend_with_key(trainer, session, Some("k"), json!({})).await,
            Self::Enroll => world.put(&world.service().await, ENROLLMENT, student_9()).await,
            Self::Unenroll => world.delete(&world.service().await, ENROLLMENT_1).await,
            Self::Import => {
                // One course with a session and one without.
                let line = |course: &str, user: &str, access: bool| {
                    let email = format!("{user}@example.test");
                    json!({"type": "enrollment", "course_id": course, "user_id": user, "email": email, "name": "S", "access_granted": access})
                };
                let lines = [
                    line("course-1", "student-9", true),
                    line("course-1", "student-1", false),
                    line("course-7", "s-2", true),
                ];
                let body = lines.map(|line| line.to_string()).join("\n").into_bytes();
                let service = world.service().await;
                world.send_raw(Method::POST, "/v1/directory/import", &service, body).await
            }
        }
    }
}

/// Runs the whole OAuth flow. Returns the response to its last request.
async fn connect(world: &World, trainer: &str) -> Response {
    let body = json!({"redirect_uri": format!("{}/callback", world.stack.base_url)});
    let authorized = world.post(trainer, "/v1/zoom/authorize", body).await;
    if !authorized.status.is_success() {
        return authorized;
    }
    let (code, state) = world.submit_consent(&authorized.json(), "decision=allow").await;
    world.post(trainer, "/v1/zoom/connect", json!({"code": code, "state": state})).await
}

const ENROLLMENT: &str = "/v1/directory/courses/course-1/enrollments/student-9";
const ENROLLMENT_1: &str = "/v1/directory/courses/course-1/enrollments/student-1";

fn student_9() -> Value {
    json!({"email": "student9@example.test", "name": "Nine", "access_granted": true})
}

fn moved() -> Value {
    patched(
        course_session_body(50),
        json!({"title": "Geometry", "starts_at": "2026-12-10T09:00:00Z"}),
    )
}

/// The state after a request, without values that depend on the meeting or the time.
async fn state(world: &World, trainer: &str) -> Value {
    let sessions = world.list_items(trainer, "/v1/sessions").await;
    let sessions = sessions.iter().map(|session| {
        let session_fields = ["title", "status", "version", "ics_sequence", "starts_at", "audience_type"];
        let session_fields = session_fields.map(|field| (field.to_owned(), session[field].clone()));
        let meeting = world.meeting_of(session);
        let fields = ["topic", "start_time", "timezone", "duration", "status", "settings"];
        let meeting = fields.map(|field| (field.to_owned(), meeting[field].clone()));
        json!({"session": serde_json::Map::from_iter(session_fields), "meeting": serde_json::Map::from_iter(meeting)})
    });
    let dump = world.dump().await;
    let session_items = support::items(&dump, "SESSION#");
    json!({
        "sessions": sessions.collect::<Vec<_>>(),
        "meetings": world.meetings().len(),
        "items": session_items.iter().map(|item| &item["sk"]).collect::<Vec<_>>(),
        "announced": support::session_events(&dump),
        "reminders": support::reminders(&dump),
        "november": support::monthly_session_count(&dump, "trainer-1", "2026-11"),
        "december": support::monthly_session_count(&dump, "trainer-1", "2026-12"),
        "repairs": support::due_work(&dump, "REPAIR"),
        "enrollments": enrollments(&dump),
        "mails": world.sent_mails().await,
        "notifications": notifications(&dump),
        "mail_counts": support::items(&dump, "SESSION#")
            .iter()
            .find(|item| item["sk"] == "MAILCOUNT"),
    })
}

/// The enrollments with their access.
fn enrollments(dump: &[Value]) -> Vec<Value> {
    let users = support::items(dump, "USER#").into_iter();
    let found =
        users.filter(|item| item["sk"].as_str().is_some_and(|sk| sk.contains("ENROLLMENT#")));
    let fields = found.map(|item| json!([item["pk"], item["sk"], item["access_granted"]]));
    let mut fields: Vec<_> = fields.collect();
    fields.sort_by_key(Value::to_string);
    fields
}

/// The user and kind of each in-app notification.
fn notifications(dump: &[Value]) -> Vec<Value> {
    let users = support::items(dump, "USER#").into_iter();
    let found =
        users.filter(|item| item["sk"].as_str().is_some_and(|sk| sk.starts_with("NOTIFICATION#")));
    let mut fields: Vec<_> = found.map(|item| json!([item["pk"], item["kind"]])).collect();
    fields.sort_by_key(Value::to_string);
    fields
}

/// The Zoom connection after a request, without values that depend on the time.
async fn connection_state(world: &World, trainer: &str) -> Value {
    let connection = world.get(trainer, CONNECTION).await.expect(200);
    let is_connected = connection["status"] == "connected";
    if is_connected {
        // Zoom accepts the stored grant, and it is the only one.
        world.stack.zoom.expire_access_tokens();
        world.create(trainer, &session_body(60)).await.expect(201);
        assert_eq!(
            world.stack.zoom.snapshot()["grants"].as_object().map(serde_json::Map::len),
            Some(1)
        );
    }
    let dump = world.dump().await;
    let keys = |items: Vec<Value>| {
        items.iter().map(|item| json!([item["pk"], item["sk"]])).collect::<Vec<_>>()
    };
    let events = support::due_work(&dump, "OUTBOX").into_iter();
    json!({
        "connection": [connection["status"], connection["zoom_email"]],
        "grant": keys(support::items(&dump, "TRAINER#")),
        "zoom_users": keys(support::items(&dump, "ZOOMUSER#")),
        "addresses": keys(support::items(&dump, "ZOOMHOST#")),
        "host_status": support::items(&dump, "USER#").into_iter().find(|item| item["sk"] == "HOST")
            .map(|item| json!([item["health"], item["zoom_host"]])),
        "notifications": events.filter(|item| item["event"] == "reauth_required").count(),
    })
}

/// Prepares a world with Zoom connected unless the request connects it, and a session if the request needs one.
async fn prepare(request: Request) -> (World, String, Value) {
    let world = World::start().await;
    let trainer = world.trainer().await;
    if matches!(request, Request::Connect) {
        // Loads the secret first, like the requests below.
        world.consent(&trainer, "decision=deny").await;
        return (world, trainer, Value::Null);
    }
    world.connect_zoom(&trainer, "app").await;
    let session = match request {
        Request::Create | Request::Connect => Value::Null,
        _ => world
            .create_with_idempotency_key(&trainer, "k", &course_session_body(50))
            .await
            .expect(201),
    };
    // Loads the secret first, so that the failing calls are those of the request.
    let _ = world
        .edit(&trainer, &json!({"id": "ses_aaaaaaaaaaaaaaaaaaaaaaaaaa"}), &session_body(50))
        .await;
    (world, trainer, session)
}

async fn state_after_sweeps(request: Request, world: &World, trainer: &str) -> Value {
    finish_repairs(world).await;
    if request.is_of_connection() {
        return connection_state(world, trainer).await;
    }
    check_agreement(world, trainer, "after the sweeps").await;
    state(world, trainer).await
}

/// The state after the outbox has notified everybody of a change of its own.
async fn state_after_notification(world: &World, trainer: &str) -> Value {
    for _ in 0..3 {
        world.advance(SignedDuration::from_mins(2));
        world.run_outbox_sweep().await;
    }
    state(world, trainer).await
}

async fn final_state(request: Request, world: &World, trainer: &str) -> Value {
    match request.calls_zoom() {
        true => state_after_sweeps(request, world, trainer).await,
        false => state_after_notification(world, trainer).await,
    }
}

/// How many combinations of failures a test tries.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Extent {
    /// Every call with every kind of failure.
    Short,
    /// Every call with every failure, and every next request.
    Long,
}

/// Returns the calls of a request with the failures that hit them.
fn hits(extent: Extent, calls_of: impl Fn(Service) -> u64) -> Vec<(u32, Failure)> {
    let mut hits = Vec::new();
    for (service, group) in FAILURES {
        let calls = u32::try_from(calls_of(service)).expect("a few");
        for (nth, n) in (0..calls).zip(0_usize..) {
            let failures = match extent {
                Extent::Short => &group[n % group.len()..][..1],
                Extent::Long => group,
            };
            hits.extend(failures.iter().map(|(kind, times)| (nth, (service, *kind, *times))));
        }
    }
    hits
}

async fn every_call_fails_once(request: Request, extent: Extent) {
    let (world, trainer, session) = prepare(request).await;
    world.stack.usage.reset();
    request.send(&world, &trainer, &session).await;
    let usage = world.stack.usage.clone();
    let calls_of = |service| usage.service_totals(request.function(), service).calls;
    assert!(calls_of(Service::Dynamodb) > 0, "{request:?} calls the table");
    assert_eq!(calls_of(Service::Zoom) > 0, request.calls_zoom(), "{request:?}");
    let hits = hits(extent, calls_of);
    let expected = final_state(request, &world, &trainer).await;
    // The worlds run concurrently, because they mostly wait.
    let checks = stream::iter(hits).map(|(nth, failure)| {
        let expected = &expected;
        async move {
            let is_hit = fails_at_call(request, failure, nth, expected).await;
            assert!(is_hit, "{request:?}: call {nth} to {}", failure.0);
        }
    });
    checks.buffer_unordered(WORLDS_AT_ONCE).collect::<()>().await;
}

/// Lets the `nth` call of a request fail. Returns `false` if the request makes fewer calls.
async fn fails_at_call(
    request: Request,
    (service, kind, times): Failure,
    nth: u32,
    expected: &Value,
) -> bool {
    let (world, trainer, session) = prepare(request).await;
    let fault =
        Fault::new(service, "*", kind).for_function(request.function()).after(nth).times(times);
    world.inject_fault(fault);
    let first = request.send(&world, &trainer, &session).await;
    let context = format!(
        "{request:?}: {kind:?} × {times} from call {nth} to {service}, first {}",
        first.status
    );
    if world.stack.faults.list().iter().any(|fault| fault.times == times) {
        assert!(first.status.is_success(), "{context}");
        return false;
    }
    assert!(first.status.is_success() || first.status.as_u16() >= 500, "{context}: {}", first.text);
    world.stack.faults.clear();
    // No lease of the first request is in the way, although the clock has not advanced.
    let second = request.send(&world, &trainer, &session).await;
    assert!(second.status.is_success(), "{context}: {}", second.text);
    assert_eq!(final_state(request, &world, &trainer).await, *expected, "{context}");
    if request.is_of_connection() || !request.calls_zoom() {
        return true;
    }
    let listed = world.list_items(&trainer, "/v1/sessions").await;
    let shown = world.get(&trainer, &session_path(&listed[0])).await.expect(200);
    assert_eq!(shown, second.json(), "{context}");
    true
}

async fn every_zoom_call_fails_without_repetition(request: Request, extent: Extent) {
    let checks = ZOOM_FAILURES.iter().zip(0..).flat_map(|(failure, n)| {
        let next: &[Option<Request>] = match extent {
            Extent::Short => &NEXT[n % NEXT.len()..][..1],
            Extent::Long => &NEXT,
        };
        next.iter().map(|next| (*failure, *next))
    });
    let checks = stream::iter(checks).map(|(failure, next)| async move {
        let mut calls = 0;
        while agrees_after_failure(request, failure, calls, next).await {
            calls += 1;
        }
        assert!(calls > 0, "{request:?} does not call Zoom");
    });
    checks.buffer_unordered(WORLDS_AT_ONCE).collect::<()>().await;
}

/// Lets the `nth` call of a request to Zoom fail, and sends the next request. Returns `false` if the request makes fewer calls.
async fn agrees_after_failure(
    request: Request,
    (kind, times): (FaultKind, u32),
    nth: u32,
    next: Option<Request>,
) -> bool {
    let (world, trainer, _) = prepare(request).await;
    let listed = async || world.list_items(&trainer, "/v1/sessions").await;
    let session = listed().await.pop().unwrap_or_default();
    let fault = Fault::new(Service::Zoom, "*", kind).for_function(request.function());
    world.inject_fault(fault.after(nth).times(times));
    let first = request.send(&world, &trainer, &session).await;
    if world.stack.faults.list().iter().any(|fault| fault.times == times) {
        return false;
    }
    world.stack.faults.clear();
    if let Some(next) = next {
        world.advance(SignedDuration::from_secs(31));
        if matches!(request, Request::Create) {
            request.send(&world, &trainer, &session).await.expect(201);
        }
        let session = listed().await.pop().expect("a session");
        let newer = patched(course_session_body(50), json!({"title": "Stereometry"}));
        match next {
            Request::Edit => drop(world.edit(&trainer, &session, &newer).await),
            _ => drop(world.cancel(&trainer, &session).await.expect(200)),
        }
    }
    finish_repairs(&world).await;
    let context = format!(
        "{request:?}: {kind:?} × {times} from call {nth}, first {}, then {next:?}",
        first.status
    );
    check_agreement(&world, &trainer, &context).await;
    true
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn systems_agree_after_any_failure_of_a_create_at_zoom() {
    every_zoom_call_fails_without_repetition(Request::Create, Extent::Short).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn systems_agree_after_any_failure_of_an_edit_at_zoom() {
    every_zoom_call_fails_without_repetition(Request::Edit, Extent::Short).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn systems_agree_after_any_failure_of_a_cancellation_at_zoom() {
    every_zoom_call_fails_without_repetition(Request::Cancel, Extent::Short).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn create_repeated_after_any_failure_makes_one_session() {
    every_call_fails_once(Request::Create, Extent::Short).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edit_repeated_after_any_failure_is_applied_once() {
    every_call_fails_once(Request::Edit, Extent::Short).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancellation_repeated_after_any_failure_is_applied_once() {
    every_call_fails_once(Request::Cancel, Extent::Short).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connect_repeated_after_any_failure_stores_one_valid_grant() {
    every_call_fails_once(Request::Connect, Extent::Short).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disconnect_repeated_after_any_failure_is_applied_once() {
    every_call_fails_once(Request::Disconnect, Extent::Short).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resend_repeated_after_any_failure_sends_one_mail_each() {
    every_call_fails_once(Request::Resend, Extent::Short).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn enrollment_repeated_after_any_failure_notifies_once() {
    every_call_fails_once(Request::Enroll, Extent::Short).await;
    every_call_fails_once(Request::Unenroll, Extent::Short).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn import_repeated_after_any_failure_notifies_once() {
    every_call_fails_once(Request::Import, Extent::Short).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: run by .ci/nightly"]
async fn systems_agree_after_every_failure_and_next_request() {
    for request in [Request::Create, Request::Edit, Request::Cancel] {
        every_zoom_call_fails_without_repetition(request, Extent::Long).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: run by .ci/nightly"]
async fn request_repeated_after_every_failure_is_applied_once() {
    let of_sessions = [Request::Create, Request::Edit, Request::Cancel, Request::Resend];
    let others = [Request::Connect, Request::Disconnect];
    let of_directory = [Request::Enroll, Request::Unenroll, Request::Import];
    for request in of_sessions.into_iter().chain(others).chain(of_directory) {
        every_call_fails_once(request, Extent::Long).await;
    }
}
