//! Every error that `openapi.yaml` documents for an operation can occur there.

mod by_ref;
mod hosting;
mod payments;
mod recordings;

use std::collections::BTreeSet;

use http::Method;
use jiff::SignedDuration;
use local::calls::Service;
use local::faults::{Fault, FaultKind};
use serde_json::{Value, json};
use shared::config::names;
use shared::handlers::{GUEST_ROUTES, ROUTES, Route};

use self::by_ref::{check_names, upsert_body};
use self::hosting::{check_guests, check_hosts, check_licences, create_guest_session};
use self::payments::check_payments;
use super::Spec;
use super::responses::CheckedApi;
use crate::functions::DirectFunctions;
use crate::support::{fields, patched};
use crate::world::{Response, World, course_session_body, session_body};

/// A session that does not exist.
const UNKNOWN_SESSION: &str = "ses_aaaaaaaaaaaaaaaaaaaaaaaaaa";
/// A run that does not exist.
const UNKNOWN_RUN: &str = "run_aaaaaaaaaaaaaaaaaaaaaaaaaa";
/// A valid notification id from the start time of the world, without a notification.
const UNKNOWN_NOTIFICATION: &str = "ntf_1795251600000_aaaaaaaaaaaaaaaa";
/// One byte more than the largest limit, which is the import's 4 MiB.
const OVERSIZED_BODY_BYTES: usize = 4 * 1024 * 1024 + 1;

struct People {
    trainer: String,
    other: String,
    student: String,
    service: String,
    admin: String,
}

impl People {
    async fn of(world: &World) -> Self {
        Self {
            trainer: world.trainer().await,
            other: world.other_trainer().await,
            student: world.student(1).await,
            service: world.service().await,
            admin: world.admin().await,
        }
    }

    /// A token with a role that the operation accepts.
    fn accepted_token(&self, route: &Route) -> &str {
        match route.path {
            path if [
                "/v1/directory/",
                "/v1/hosts",
                "/v1/payments/",
                "/v1/runs",
                "/v1/suppressions",
            ]
            .iter()
            .any(|prefix| path.starts_with(prefix)) =>
            {
                &self.service
            }
            path if path.starts_with("/v1/logs/") => &self.admin,
            path if is_import(path) || path.contains("/by-ref/") => &self.service,
            path if path.starts_with("/v1/me/") || path.ends_with("/vote") => &self.student,
            _ => &self.trainer,
        }
    }

    /// A token with a role that the operation rejects.
    fn rejected_token(&self, route: &Route) -> &str {
        if std::ptr::eq(self.accepted_token(route), &*self.trainer) {
            &self.student
        } else if route.path == "/v1/me/sessions" {
            // A trainer may also be a student in another course.
            &self.service
        } else {
            &self.trainer
        }
    }
}

/// Whether a 403 of the operation depends on the session, not only on the role.
fn depends_on_session(route: &Route) -> bool {
    ["/vote", "/join", "/view"].iter().any(|end| route.path.ends_with(end))
        || (route.method == "GET" && route.path.ends_with("/polls"))
}

/// Whether a request reads or writes an item. The time of a join becomes a metric only.
fn uses_the_table(route: &Route) -> bool {
    !route.path.ends_with("/join-report")
}

/// Path parameters with the prefixes of their ids.
const ID_PREFIXES: [(&str, &str); 2] = [("{attendee_id}", "att_"), ("{poll_id}", "pol_")];

/// The path of the route for a session.
fn path(route: &Route, session: &str) -> String {
    let id = match route.function {
        _ if route.path.starts_with("/v1/sessions/") => session,
        "notifications" => UNKNOWN_NOTIFICATION,
        _ if route.path.starts_with("/v1/runs/") => UNKNOWN_RUN,
        _ => "some-id",
    };
    let mut path = route.path.replace("{id}", id).replace("{number}", "85746065123");
    path = path.replace("{email}", "guest%40example.test");
    for (name, form) in ID_PREFIXES {
        path = path.replace(name, &format!("{form}{}", "a".repeat(26)));
    }
    let parts = path.split('/').map(|part| if part.starts_with('{') { "some-id" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

/// Whether the operation accepts any line, and lists the invalid ones.
fn is_import(path: &str) -> bool {
    path.ends_with("/import")
}

/// A valid body: one of the operation's examples. A session gets its own body, because it must lie in the future.
pub(super) fn body(spec: &Spec, route: &Route) -> Option<Value> {
    if route.path == "/v1/sessions/import" {
        return Some(patched(upsert_body(401), json!({"external_ref": "imported"})));
    }
    if route.path.contains("/by-ref/") && route.method == "PUT" {
        return Some(patched(upsert_body(402), json!({"course_id": "nobodys"})));
    }
    if route.function == "session-save" && !route.path.contains("/recordings") {
        return Some(patched(course_session_body(400), json!({"course_id": "nobodys"})));
    }
    // One line, because this test sends JSON bodies.
    if route.path == "/v1/directory/import" {
        return Some(json!({"type": "user", "id": "user-1", "deleted": true}));
    }
    let operation = &spec.0["paths"][route.path][route.method.to_lowercase()];
    let content = &spec.resolve(&operation["requestBody"])["content"];
    let (_, media) = content.as_object()?.iter().next()?;
    let example = spec.examples(media).into_values().next()?.clone();
    Some(example)
}

impl CheckedApi {
    async fn call(
        &mut self,
        route: &Route,
        path: &str,
        token: &str,
        body: Option<Value>,
    ) -> Response {
        let method: Method = route.method.parse().expect("a method");
        self.request(method, path, token, body, &[]).await
    }

    /// Creates a session of the trainer's course so many hours from the start of the world.
    async fn create_session(&mut self, people: &People, hours: i64) -> String {
        let made = self
            .post(&people.trainer, "/v1/sessions", course_session_body(hours))
            .await
            .expect(201);
        format!("/v1/sessions/{}", made["id"].as_str().expect("an id"))
    }

    async fn connect_zoom_as(&mut self, token: &str, decision: &str) -> Response {
        let (code, state) = self.world.consent(token, decision).await;
        self.post(token, "/v1/zoom/connect", json!({"code": code, "state": state})).await
    }

    async fn set(&mut self, people: &People, settings: Value) {
        self.put(&people.service, "/v1/directory/settings", settings).await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_documented_error_occurs() {
    let world = World::start().await;
    let people = People::of(&world).await;
    let mut api = CheckedApi::new(world);

    check_callers_and_requests(&mut api, &people).await;
    check_connecting(&mut api, &people).await;
    check_scheduling(&mut api, &people).await;
    recordings::check_recordings(&mut api, &people).await;
    check_joining(&mut api, &people).await;
    check_guests(&mut api, &people).await;
    check_attendance(&mut api, &people).await;
    check_polls(&mut api, &people).await;
    check_hosts(&mut api, &people).await;
    check_payments(&mut api, &people).await;
    check_names(&mut api, &people).await;
    check_plans(&mut api, &people).await;
    check_licences(&mut api, &people).await;
    check_internal_failures(&mut api, &people).await;

    let documented = |route: &Route| {
        let operation = format!("{} {}", route.method, route.path);
        let problem_codes = api.spec.problem_codes(route).into_iter();
        // A report that uses no table fails only by a defect.
        let can_occur = move |status: u64| status != 500 || uses_the_table(route);
        problem_codes
            .filter(move |(status, _)| can_occur(*status))
            .map(move |(status, code)| (operation.clone(), status, code))
            .collect::<Vec<_>>()
    };
    let documented: BTreeSet<_> = ROUTES.iter().chain(GUEST_ROUTES).flat_map(documented).collect();
    let missing: Vec<_> = documented.difference(&api.observed_errors).collect();
    assert!(missing.is_empty(), "documented, but not observed: {missing:#?}");
}

/// Missing tokens, wrong roles, unknown ids, oversized bodies and invalid bodies.
async fn check_callers_and_requests(api: &mut CheckedApi, people: &People) {
    let link = json!({"provider": "manual", "join_url": "https://meet.example.test/a"});
    let made = api
        .post(&people.trainer, "/v1/sessions", patched(session_body(500), link))
        .await
        .expect(201);
    let own = made["id"].as_str().expect("an id");
    for route in ROUTES {
        let route_path = path(route, UNKNOWN_SESSION);
        let documented = api.spec.problem_codes(route);
        let documents = |status: u64, code: &str| documented.contains(&(status, code.to_owned()));
        api.call(route, &route_path, "", None).await.expect_problem(401, "unauthenticated");
        if documents(403, "forbidden") && !depends_on_session(route) {
            let response = api.call(route, &route_path, people.rejected_token(route), None).await;
            response.expect_problem(403, "forbidden");
        }
        let accepted_token = people.accepted_token(route);
        if documents(404, "not_found") {
            let body = body(&api.spec, route);
            api.call(route, &route_path, accepted_token, body)
                .await
                .expect_problem(404, "not_found");
        }
        let route_path = path(route, own);
        if documents(413, "payload_too_large") {
            let method: Method = route.method.parse().expect("a method");
            let bearer = format!("Bearer {accepted_token}");
            let headers = [("authorization", &*bearer), ("content-type", "application/json")];
            let long = vec![b' '; OVERSIZED_BODY_BYTES];
            let response = api.world.send(method.clone(), &route_path, &headers, long).await;
            api.check(&method, &route_path, &response);
            response.expect_problem(413, "payload_too_large");
            let compressed = [&headers[..], &[("content-encoding", "gzip")]].concat();
            let response =
                api.world.send(method.clone(), &route_path, &compressed, vec![0x1f, 0x8b]).await;
            api.check(&method, &route_path, &response);
            response.expect_problem(415, "unsupported_media_type");
        }
        if documents(422, "validation_failed") && !is_import(route.path) {
            let wrong = match body(&api.spec, route) {
                Some(_) => {
                    api.call(route, &route_path, accepted_token, Some(json!({"colour": "red"})))
                        .await
                }
                None => {
                    let mut query = format!("{route_path}?limit=0&format=pdf");
                    query.push_str("&from=yesterday");
                    api.call(route, &query, accepted_token, None).await
                }
            };
            wrong.expect_problem(422, "validation_failed");
        }
        let unknown = format!("{route_path}?colour=red");
        let response = api.call(route, &unknown, accepted_token, body(&api.spec, route)).await;
        let problem = response.expect_problem(422, "validation_failed");
        assert_eq!(fields(&problem), ["colour"], "{} {}", route.method, route.path);
    }
}

async fn check_connecting(api: &mut CheckedApi, people: &People) {
    api.post(&people.trainer, "/v1/sessions", session_body(26))
        .await
        .expect_problem(409, "zoom_not_connected");
    for (operation, kind, status, code) in [
        ("token", FaultKind::Throttle, 429, "zoom_rate_limited"),
        ("token", FaultKind::Html, 502, "zoom_unavailable"),
        ("get_user", FaultKind::Unauthorized, 409, "reauth_required"),
    ] {
        api.world.inject_fault(Fault::new(Service::Zoom, operation, kind).times(2));
        let response = api.connect_zoom_as(&people.trainer, "decision=allow&account=app").await;
        api.world.stack.faults.clear();
        response.expect_problem(status, code);
    }
    api.world.inject_fault(Fault {
        status: Some(400),
        ..Fault::new(Service::Zoom, "get_user", FaultKind::Error)
    });
    let response = api.connect_zoom_as(&people.trainer, "decision=allow&account=app").await;
    response.expect_problem(502, "zoom_rejected");
    let response =
        api.connect_zoom_as(&people.trainer, "decision=allow&scopes=meeting:write:meeting").await;
    response.expect_problem(409, "missing_scopes");
    api.connect_zoom_as(&people.trainer, "decision=allow&account=app&scopes=user:read:user")
        .await
        .expect(200);
    api.post(&people.trainer, "/v1/sessions", session_body(26))
        .await
        .expect_problem(409, "missing_scopes");
    api.connect_zoom_as(&people.trainer, "decision=allow&account=app").await.expect(200);
}

async fn check_scheduling(api: &mut CheckedApi, people: &People) {
    let trainer = &*people.trainer;
    for (operation, kind, status, code) in [
        ("create_meeting", FaultKind::Throttle, 429, "zoom_rate_limited"),
        ("create_meeting", FaultKind::Html, 502, "zoom_unavailable"),
        ("create_meeting", FaultKind::Unauthorized, 409, "reauth_required"),
    ] {
        api.world.inject_fault(Fault::new(Service::Zoom, operation, kind).times(2));
        api.post(trainer, "/v1/sessions", session_body(26)).await.expect_problem(status, code);
        api.world.stack.faults.clear();
        api.connect_zoom_as(trainer, "decision=allow&account=app").await.expect(200);
    }
    let refusal = |operation| Fault {
        status: Some(400),
        ..Fault::new(Service::Zoom, operation, FaultKind::Error)
    };
    api.world.inject_fault(refusal("create_meeting"));
    api.post(trainer, "/v1/sessions", session_body(26)).await.expect_problem(502, "zoom_rejected");
    let key = [("idempotency-key", "one")];
    let made = api
        .request(Method::POST, "/v1/sessions", trainer, Some(session_body(50)), &key)
        .await
        .expect(201);
    let other =
        api.request(Method::POST, "/v1/sessions", trainer, Some(session_body(51)), &key).await;
    other.expect_problem(422, "idempotency_key_reused");

    api.set(people, json!({"overlap": "refuse"})).await;
    let overlap = api.post(trainer, "/v1/sessions", session_body(50)).await;
    assert_eq!(overlap.expect_problem(409, "conflict")["conflicting_session_id"], made["id"]);
    api.set(people, json!({})).await;

    let session_path = format!("/v1/sessions/{}", made["id"].as_str().expect("an id"));
    let edited = patched(session_body(50), json!({"title": "Geometry"}));
    let stale = [("if-match", "\"7\"")];
    let response =
        api.request(Method::PUT, &session_path, trainer, Some(edited.clone()), &stale).await;
    response.expect_problem(412, "precondition_failed");
    for (kind, status, code) in [
        (FaultKind::Throttle, 429, "zoom_rate_limited"),
        (FaultKind::Html, 502, "zoom_unavailable"),
        (FaultKind::Unauthorized, 409, "reauth_required"),
    ] {
        api.world.inject_fault(Fault::new(Service::Zoom, "update_meeting", kind).times(2));
        api.put(trainer, &session_path, edited.clone()).await.expect_problem(status, code);
        api.world.stack.faults.clear();
        // An edit without a response from Zoom leases the session until the lease expires.
        api.world.advance(SignedDuration::from_mins(2));
        api.connect_zoom_as(trainer, "decision=allow&account=app").await.expect(200);
    }
    api.world.inject_fault(refusal("update_meeting"));
    api.put(trainer, &session_path, edited.clone()).await.expect_problem(502, "zoom_rejected");
    api.world.advance(SignedDuration::from_mins(2));
    api.connect_zoom_as(trainer, "decision=allow&account=app&scopes=user:read:user")
        .await
        .expect(200);
    api.put(trainer, &session_path, edited.clone()).await.expect_problem(409, "missing_scopes");
    api.delete(trainer, "/v1/zoom/connection").await.expect(204);
    api.put(trainer, &session_path, edited.clone()).await.expect_problem(409, "zoom_not_connected");
    api.connect_zoom_as(trainer, "decision=allow&account=other").await.expect(200);
    api.put(trainer, &session_path, edited.clone()).await.expect_problem(409, "conflict");
    api.connect_zoom_as(trainer, "decision=allow&account=app").await.expect(200);
    api.post(trainer, &format!("{session_path}/cancel"), json!({})).await.expect(200);
    api.put(trainer, &session_path, edited).await.expect_problem(409, "session_cancelled");
    let resend = format!("{session_path}/resend-invite");
    api.post(trainer, &resend, json!({})).await.expect_problem(409, "session_cancelled");
    let resend = format!("{}/resend-invite", api.create_session(people, 52).await);
    for key in ["1", "2", "3"] {
        let key = [("idempotency-key", key)];
        api.request(Method::POST, &resend, trainer, Some(json!({})), &key).await.expect(202);
    }
    let key = [("idempotency-key", "1")];
    let other = json!({"recipients": ["student-1"]});
    let reused = api.request(Method::POST, &resend, trainer, Some(other), &key).await;
    reused.expect_problem(422, "idempotency_key_reused");
    let key = [("idempotency-key", "4")];
    let response = api.request(Method::POST, &resend, trainer, Some(json!({})), &key).await;
    response.expect_problem(429, "rate_limited");
}

async fn check_joining(api: &mut CheckedApi, people: &People) {
    let trainer = &*people.trainer;
    let session_path = api.create_session(people, 2).await;
    let join = format!("{session_path}/join");
    api.post(trainer, &join, json!({})).await.expect_problem(409, "too_early");
    api.post(&people.service, &join, json!({})).await.expect_problem(403, "forbidden");
    let (report, time) = (format!("{join}-report"), json!({"milliseconds": 1830}));
    while api.post(trainer, &report, time.clone()).await.status != 429 {}
    api.world.advance(SignedDuration::from_mins(110));
    for (kind, status, code) in [
        (FaultKind::Throttle, 429, "zoom_rate_limited"),
        (FaultKind::Html, 502, "zoom_unavailable"),
    ] {
        api.world.inject_fault(Fault::new(Service::Zoom, "zak", kind).times(2));
        api.post(trainer, &join, json!({})).await.expect_problem(status, code);
        api.world.stack.faults.clear();
    }
    api.world.inject_fault(Fault {
        status: Some(400),
        ..Fault::new(Service::Zoom, "zak", FaultKind::Error)
    });
    api.post(trainer, &join, json!({})).await.expect_problem(502, "zoom_rejected");
    api.world.stack.faults.clear();
    api.connect_zoom_as(trainer, "decision=allow&account=app&scopes=user:read:user")
        .await
        .expect(200);
    api.post(trainer, &join, json!({})).await.expect_problem(409, "missing_scopes");
    api.delete(trainer, "/v1/zoom/connection").await.expect(204);
    api.post(trainer, &join, json!({})).await.expect_problem(409, "zoom_not_connected");
    api.connect_zoom_as(trainer, "decision=allow&account=other").await.expect(200);
    api.post(trainer, &join, json!({})).await.expect_problem(409, "conflict");
    // In some deployments students wait for the trainer.
    let settings = [(names::JOIN_MODE, "signature_obf")];
    let functions = DirectFunctions::new(&api.world, &settings);
    let response = functions.call("join", "POST", &join, &people.student, None).await;
    api.check(&Method::POST, &join, &response);
    response.expect_problem(409, "waiting_for_host");
    api.connect_zoom_as(trainer, "decision=allow&account=app").await.expect(200);
    api.world.deauthorize_without_event("trainer@app.zoom.test").await;
    api.world.advance(SignedDuration::from_mins(5));
    api.post(trainer, &join, json!({})).await.expect_problem(409, "reauth_required");
    let session = api.world.get(trainer, &session_path).await.expect(200);
    let number = session["meeting"]["id"].as_str().expect("a number");
    let meeting = format!("/zoom/sim/meetings/{number}");
    api.world.call(Method::DELETE, &meeting, "", None, &[]).await.expect(204);
    api.world.stack.zoom.deliver_due().await;
    api.post(&people.student, &join, json!({})).await.expect_problem(409, "no_meeting_yet");
    api.connect_zoom_as(trainer, "decision=allow&account=app").await.expect(200);
    let later = api.create_session(people, 3).await;
    api.post(trainer, &format!("{later}/cancel"), json!({})).await.expect(200);
    let response = api.post(&people.student, &format!("{later}/join"), json!({})).await;
    response.expect_problem(409, "session_cancelled");
    api.world.advance(SignedDuration::from_hours(4));
    api.post(&people.student, &join, json!({})).await.expect_problem(409, "session_ended");
    api.connect_zoom_as(trainer, "decision=allow&account=app").await.expect(200);
}

async fn check_attendance(api: &mut CheckedApi, people: &People) {
    let trainer = &*people.trainer;
    // Earlier checks have advanced the clock, so this session begins in the next hour.
    let start = api.world.now() + SignedDuration::from_mins(5);
    let soon = patched(course_session_body(1), json!({"starts_at": start}));
    let made = api.post(trainer, "/v1/sessions", soon).await.expect(201);
    let session_path = format!("/v1/sessions/{}", made["id"].as_str().expect("an id"));
    let meeting = made["meeting"]["id"].as_str().expect("a meeting").to_owned();
    let act = |verb: &str| format!("/zoom/sim/meetings/{meeting}/{verb}");
    let pass =
        api.post(&people.student, &format!("{session_path}/join"), json!({})).await.expect(200);
    api.world.post("", &act("start"), json!({})).await;
    let known = json!({"name": "Student 1", "customer_key": pass["customer_key"]});
    api.world.post("", &act("join"), known).await;
    api.world.advance(SignedDuration::from_mins(30));
    api.world.post("", &act("end"), json!({})).await;
    let report = api.get(trainer, &format!("{session_path}/attendance")).await.expect(200);
    let row = report["attendees"][0]["attendee_id"].as_str().expect("a row").to_owned();
    let assign = json!({"reason": "That is another.", "assign_to": {"user_id": "student-2"}});
    let response = api.put(trainer, &format!("{session_path}/attendance/{row}"), assign).await;
    response.expect_problem(409, "conflict");
    api.put(trainer, &session_path, course_session_body(50))
        .await
        .expect_problem(409, "session_ended");
    for verb in ["cancel", "resend-invite"] {
        let path = format!("{session_path}/{verb}");
        api.post(trainer, &path, json!({})).await.expect_problem(409, "session_ended");
    }
}

async fn check_polls(api: &mut CheckedApi, people: &People) {
    let (trainer, student) = (&*people.trainer, &*people.student);
    let question = json!({"question": "Which is larger?", "options": ["2/3", "3/4"]});
    let vote = |poll: &Value| {
        let id = poll["id"].as_str().expect("an id").to_owned();
        (format!("{id}/vote"), json!({"option_ids": [poll["options"][0]["id"]]}))
    };
    let in_minutes =
        |api: &CheckedApi, minutes| api.world.now() + SignedDuration::from_mins(minutes);
    let soon = patched(course_session_body(1), json!({"starts_at": in_minutes(api, 5)}));
    let made = api.post(trainer, "/v1/sessions", soon).await.expect(201);
    let polls = format!("/v1/sessions/{}/polls", made["id"].as_str().expect("an id"));
    let meeting = made["meeting"]["id"].as_str().expect("a meeting").to_owned();
    let act = |verb: &str| format!("/zoom/sim/meetings/{meeting}/{verb}");
    api.post(trainer, &polls, question.clone()).await.expect_problem(409, "too_early");
    api.world.advance(SignedDuration::from_mins(5));
    api.world.post("", &act("start"), json!({})).await;
    let key = [("idempotency-key", "one")];
    let first =
        api.request(Method::POST, &polls, trainer, Some(question.clone()), &key).await.expect(201);
    let other = patched(question.clone(), json!({"multiple": true}));
    let response = api.request(Method::POST, &polls, trainer, Some(other), &key).await;
    response.expect_problem(422, "idempotency_key_reused");
    api.post(trainer, &polls, question.clone()).await.expect_problem(409, "conflict");
    let (path, choice) = vote(&first);
    let path = format!("{polls}/{path}");
    let own_vote = api.put(trainer, &path, choice.clone()).await;
    let own_file = api.get(student, &format!("{polls}?format=csv")).await;
    for response in [own_vote, own_file] {
        let problem = response.expect_problem(403, "forbidden");
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(!detail.contains("role"), "the role would allow it: {detail}");
    }
    let close = path.replace("/vote", "/close");
    api.request(Method::POST, &close, trainer, None, &[]).await.expect(200);
    api.put(student, &path, choice.clone()).await.expect_problem(409, "poll_closed");
    api.world.advance(SignedDuration::from_mins(1));
    api.world.post("", &act("end"), json!({})).await;
    api.put(student, &path, choice).await.expect_problem(409, "session_ended");
    api.post(trainer, &polls, question.clone()).await.expect_problem(409, "session_ended");

    // A manual session can still be moved and cancelled after its start.
    let link = json!({"provider": "manual", "join_url": "https://meet.example.test/a"});
    let soon =
        patched(course_session_body(1), patched(link, json!({"starts_at": in_minutes(api, 5)})));
    let made = api.post(trainer, "/v1/sessions", soon.clone()).await.expect(201);
    let session_path = format!("/v1/sessions/{}", made["id"].as_str().expect("an id"));
    let polls = format!("{session_path}/polls");
    api.world.advance(SignedDuration::from_mins(5));
    let poll = api.post(trainer, &polls, question.clone()).await.expect(201);
    let (path, choice) = vote(&poll);
    let path = format!("{polls}/{path}");
    let later = patched(soon, json!({"starts_at": in_minutes(api, 60)}));
    api.put(trainer, &session_path, later).await.expect(200);
    api.put(student, &path, choice.clone()).await.expect_problem(409, "too_early");
    api.post(trainer, &format!("{session_path}/cancel"), json!({})).await.expect(200);
    api.put(student, &path, choice).await.expect_problem(409, "session_cancelled");
    api.post(trainer, &polls, question).await.expect_problem(409, "session_cancelled");
}

async fn check_plans(api: &mut CheckedApi, people: &People) {
    let trainer = &*people.other;
    let link = json!({"provider": "manual", "join_url": "https://meet.example.test/a"});
    let body = patched(session_body(200), link.clone());
    let made = api.post(trainer, "/v1/sessions", body).await.expect(201);
    let session_path = format!("/v1/sessions/{}", made["id"].as_str().expect("an id"));
    for (settings, code) in [
        (json!({"plans": {"pro": {"max_duration_minutes": 30}}}), "plan_limit"),
        (json!({"plans": {"tiny": {}}}), "plan_required"),
        (json!({"live_classes_enabled": false}), "feature_disabled"),
    ] {
        api.set(people, settings).await;
        let longer =
            patched(session_body(201), patched(link.clone(), json!({"duration_minutes": 90})));
        api.post(trainer, "/v1/sessions", longer.clone()).await.expect_problem(403, code);
        api.put(trainer, &session_path, longer.clone()).await.expect_problem(403, code);
        let named = patched(longer, json!({"trainer_id": "trainer-2"}));
        let path = "/v1/sessions/by-ref/another";
        api.put(&people.service, path, named).await.expect_problem(403, code);
        if code == "feature_disabled" {
            let resend = format!("{session_path}/resend-invite");
            api.post(trainer, &resend, json!({})).await.expect_problem(403, code);
        }
    }
    api.set(people, json!({})).await;
}

/// AWS rejects every call, first to the tables and then to the secret. The responses are 500 and 503 without a reason.
async fn check_internal_failures(api: &mut CheckedApi, people: &People) {
    let session_path = api.create_session(people, 300).await;
    let session = session_path.rsplit('/').next().unwrap_or_default().to_owned();
    let (_, guest) = create_guest_session(api, people, 120).await;
    for (service, status, code) in
        [(Service::Dynamodb, 500, "internal"), (Service::Secretsmanager, 503, "unavailable")]
    {
        // Longer than the cached secret is used.
        if service == Service::Secretsmanager {
            api.world.advance(SignedDuration::from_mins(61));
        }
        let affected = |route: &&Route| service != Service::Dynamodb || uses_the_table(route);
        for route in ROUTES.iter().filter(affected) {
            let mut body = body(&api.spec, route);
            if route.path == "/v1/zoom/authorize" {
                let redirect_uri = format!("{}/callback", api.world.stack.base_url);
                body = Some(json!({"redirect_uri": redirect_uri}));
            }
            // Starting the consent would read the secret.
            if route.path == "/v1/zoom/connect" && service == Service::Dynamodb {
                let (code, state) = api.world.consent(&people.trainer, "decision=allow").await;
                body = Some(json!({"code": code, "state": state}));
            }
            api.world.inject_fault(Fault::new(service, "*", FaultKind::Unauthorized).times(50));
            let response =
                api.call(route, &path(route, &session), people.accepted_token(route), body).await;
            api.world.stack.faults.clear();
            response.expect_problem(status, code);
        }
        for route in GUEST_ROUTES.iter().filter(affected) {
            api.world.inject_fault(Fault::new(service, "*", FaultKind::Unauthorized).times(50));
            let response = api.post("", route.path, guest.clone()).await;
            api.world.stack.faults.clear();
            response.expect_problem(status, code);
        }
    }
}
