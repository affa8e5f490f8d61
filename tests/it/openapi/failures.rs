//! Every error that `openapi.yaml` tells of happens, for every operation that it is told of, and is answered as told.

use std::collections::BTreeSet;

use http::Method;
use jiff::SignedDuration;
use local::calls::Service;
use local::faults::{Fault, Kind};
use serde_json::{Value, json};
use shared::handlers::{ROUTES, Route};

use super::Spec;
use super::answers::Described;
use crate::look::with;
use crate::world::{Answer, World, class, course_class};

/// A class that is not there.
const NOBODYS: &str = "ses_aaaaaaaaaaaaaaaaaaaaaaaaaa";
/// A notification that could be there, of the time when the world begins.
const NOBODYS_NOTICE: &str = "ntf_1795251600000_aaaaaaaaaaaaaaaa";
/// More than any body may have, the import's included.
const TOO_LONG: usize = 4 * 1024 * 1024 + 1;

struct People {
    trainer: String,
    other: String,
    student: String,
    service: String,
}

impl People {
    async fn of(world: &World) -> Self {
        Self {
            trainer: world.trainer().await,
            other: world.other_trainer().await,
            student: world.student(1).await,
            service: world.service().await,
        }
    }

    /// Somebody whom the operation is for.
    fn fitting(&self, route: &Route) -> &str {
        match route.path {
            path if path.starts_with("/v1/directory/") => &self.service,
            path if path.starts_with("/v1/me/") || path.ends_with("/vote") => &self.student,
            _ => &self.trainer,
        }
    }

    /// Somebody whom it is not for.
    fn unfitting(&self, route: &Route) -> &str {
        if std::ptr::eq(self.fitting(route), &*self.trainer) {
            &self.student
        } else if route.path == "/v1/me/sessions" {
            // A trainer may learn from another.
            &self.service
        } else {
            &self.trainer
        }
    }
}

/// Whether it is the class, and not the role alone, that says to whom the operation is forbidden.
fn by_class(route: &Route) -> bool {
    route.path.ends_with("/vote") || (route.method == "GET" && route.path.ends_with("/polls"))
}

/// What has the form of a row's or a poll's id and is none of anybody's.
const FORMS: [(&str, &str); 2] = [("{attendee_id}", "att_"), ("{poll_id}", "pol_")];

/// The route's path, for the class `session`.
fn path(route: &Route, session: &str) -> String {
    let id = match route.function {
        _ if route.path.starts_with("/v1/sessions/") => session,
        "notifications" => NOBODYS_NOTICE,
        _ => "some-id",
    };
    let mut path = route.path.replace("{id}", id);
    for (name, form) in FORMS {
        path = path.replace(name, &format!("{form}{}", "a".repeat(26)));
    }
    let parts = path.split('/').map(|part| if part.starts_with('{') { "some-id" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

/// A body that the operation takes, of what there is: from its examples, but for a class, which must lie in the future.
fn body(spec: &Spec, route: &Route) -> Option<Value> {
    if route.function == "session-save" {
        return Some(with(course_class(400), json!({"course_id": "nobodys"})));
    }
    // One line, as a JSON body is sent here.
    if route.path == "/v1/directory/import" {
        return Some(json!({"type": "user", "id": "user-1", "deleted": true}));
    }
    let says = &spec.0["paths"][route.path][route.method.to_lowercase()];
    let content = &spec.resolve(&says["requestBody"])["content"];
    let (_, media) = content.as_object()?.iter().next()?;
    let example = spec.examples(media).into_values().next()?.clone();
    Some(example)
}

impl Described {
    async fn call(
        &mut self,
        route: &Route,
        path: &str,
        token: &str,
        body: Option<Value>,
    ) -> Answer {
        let method: Method = route.method.parse().expect("a method");
        self.ask(method, path, token, body, &[]).await
    }

    /// A class of the trainer's course, so many hours from the world's beginning.
    async fn class_in(&mut self, people: &People, hours: i64) -> String {
        let made =
            self.post(&people.trainer, "/v1/sessions", course_class(hours)).await.expect(201);
        format!("/v1/sessions/{}", made["id"].as_str().expect("an id"))
    }

    async fn grant(&mut self, token: &str, decision: &str) -> Answer {
        let (code, state) = self.world.consent(token, decision).await;
        self.post(token, "/v1/zoom/connect", json!({"code": code, "state": state})).await
    }

    async fn set(&mut self, people: &People, settings: Value) {
        self.put(&people.service, "/v1/directory/settings", settings).await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_error_that_is_told_of_happens() {
    let world = World::start().await;
    let people = People::of(&world).await;
    let mut api = Described::new(world);

    callers_and_requests(&mut api, &people).await;
    connecting(&mut api, &people).await;
    scheduling(&mut api, &people).await;
    joining(&mut api, &people).await;
    attending(&mut api, &people).await;
    polling(&mut api, &people).await;
    plans(&mut api, &people).await;
    faults_of_ours(&mut api, &people).await;

    let told = |route: &Route| {
        let operation = format!("{} {}", route.method, route.path);
        let codes = api.spec.codes(route).into_iter();
        codes.map(move |(status, code)| (operation.clone(), status, code)).collect::<Vec<_>>()
    };
    let told: BTreeSet<_> = ROUTES.iter().flat_map(told).collect();
    let never: Vec<_> = told.difference(&api.errors).collect();
    assert!(never.is_empty(), "told of, and not seen here: {never:#?}");
}

/// Nobody, the wrong ones, what is not there, what is too long, and what is nonsense.
async fn callers_and_requests(api: &mut Described, people: &People) {
    let link = json!({"provider": "manual", "join_url": "https://meet.example.test/a"});
    let made = api.post(&people.trainer, "/v1/sessions", with(class(500), link)).await.expect(201);
    let own = made["id"].as_str().expect("an id");
    for route in ROUTES {
        let there = path(route, NOBODYS);
        let told = api.spec.codes(route);
        let says = |status: u64, code: &str| told.contains(&(status, code.to_owned()));
        api.call(route, &there, "", None).await.refused(401, "unauthenticated");
        if says(403, "forbidden") && !by_class(route) {
            let answer = api.call(route, &there, people.unfitting(route), None).await;
            answer.refused(403, "forbidden");
        }
        let fitting = people.fitting(route);
        if says(404, "not_found") {
            let body = body(&api.spec, route);
            api.call(route, &there, fitting, body).await.refused(404, "not_found");
        }
        let there = path(route, own);
        if says(413, "payload_too_large") {
            let method: Method = route.method.parse().expect("a method");
            let bearer = format!("Bearer {fitting}");
            let headers = [("authorization", &*bearer), ("content-type", "application/json")];
            let long = vec![b' '; TOO_LONG];
            let answer = api.world.send(method.clone(), &there, &headers, long).await;
            api.check(&method, &there, &answer);
            answer.refused(413, "payload_too_large");
        }
        if says(422, "validation_failed") {
            let wrong = match body(&api.spec, route) {
                Some(_) => api.call(route, &there, fitting, Some(json!({"colour": "red"}))).await,
                None if route.method == "GET" => {
                    let mut query = format!("{there}?limit=0&format=pdf");
                    query.push_str("&from=yesterday");
                    api.call(route, &query, fitting, None).await
                }
                None => api.call(route, &there.replace("some-id", "a%23b"), fitting, None).await,
            };
            wrong.refused(422, "validation_failed");
        }
    }
}

async fn connecting(api: &mut Described, people: &People) {
    api.post(&people.trainer, "/v1/sessions", class(26)).await.refused(409, "zoom_not_connected");
    for (operation, kind, status, code) in [
        ("token", Kind::Throttle, 429, "zoom_rate_limited"),
        ("token", Kind::Html, 502, "zoom_unavailable"),
        ("get_user", Kind::Unauthorized, 409, "reauth_required"),
    ] {
        api.world.fault(Fault::new(Service::Zoom, operation, kind).times(2));
        let answer = api.grant(&people.trainer, "decision=allow&account=app").await;
        api.world.stack.faults.clear();
        answer.refused(status, code);
    }
    api.world
        .fault(Fault { status: Some(400), ..Fault::new(Service::Zoom, "get_user", Kind::Error) });
    let answer = api.grant(&people.trainer, "decision=allow&account=app").await;
    answer.refused(502, "zoom_rejected");
    let answer = api.grant(&people.trainer, "decision=allow&scopes=meeting:write:meeting").await;
    answer.refused(409, "missing_scopes");
    api.grant(&people.trainer, "decision=allow&account=app&scopes=user:read:user")
        .await
        .expect(200);
    api.post(&people.trainer, "/v1/sessions", class(26)).await.refused(409, "missing_scopes");
    api.grant(&people.trainer, "decision=allow&account=app").await.expect(200);
}

async fn scheduling(api: &mut Described, people: &People) {
    let trainer = &*people.trainer;
    for (operation, kind, status, code) in [
        ("create_meeting", Kind::Throttle, 429, "zoom_rate_limited"),
        ("create_meeting", Kind::Html, 502, "zoom_unavailable"),
        ("create_meeting", Kind::Unauthorized, 409, "reauth_required"),
    ] {
        api.world.fault(Fault::new(Service::Zoom, operation, kind).times(2));
        api.post(trainer, "/v1/sessions", class(26)).await.refused(status, code);
        api.world.stack.faults.clear();
        api.grant(trainer, "decision=allow&account=app").await.expect(200);
    }
    let refusal = |operation| Fault {
        status: Some(400),
        ..Fault::new(Service::Zoom, operation, Kind::Error)
    };
    api.world.fault(refusal("create_meeting"));
    api.post(trainer, "/v1/sessions", class(26)).await.refused(502, "zoom_rejected");
    let key = [("idempotency-key", "one")];
    let made =
        api.ask(Method::POST, "/v1/sessions", trainer, Some(class(50)), &key).await.expect(201);
    let other = api.ask(Method::POST, "/v1/sessions", trainer, Some(class(51)), &key).await;
    other.refused(422, "idempotency_key_reused");

    let there = format!("/v1/sessions/{}", made["id"].as_str().expect("an id"));
    let edited = with(class(50), json!({"title": "Geometry"}));
    let stale = [("if-match", "\"7\"")];
    let answer = api.ask(Method::PUT, &there, trainer, Some(edited.clone()), &stale).await;
    answer.refused(412, "precondition_failed");
    for (kind, status, code) in [
        (Kind::Throttle, 429, "zoom_rate_limited"),
        (Kind::Html, 502, "zoom_unavailable"),
        (Kind::Unauthorized, 409, "reauth_required"),
    ] {
        api.world.fault(Fault::new(Service::Zoom, "update_meeting", kind).times(2));
        api.put(trainer, &there, edited.clone()).await.refused(status, code);
        api.world.stack.faults.clear();
        // An edit that Zoom was silent to holds the class until its time is over.
        api.world.advance(SignedDuration::from_mins(2));
        api.grant(trainer, "decision=allow&account=app").await.expect(200);
    }
    api.world.fault(refusal("update_meeting"));
    api.put(trainer, &there, edited.clone()).await.refused(502, "zoom_rejected");
    api.world.advance(SignedDuration::from_mins(2));
    api.grant(trainer, "decision=allow&account=app&scopes=user:read:user").await.expect(200);
    api.put(trainer, &there, edited.clone()).await.refused(409, "missing_scopes");
    api.delete(trainer, "/v1/zoom/connection").await.expect(204);
    api.put(trainer, &there, edited.clone()).await.refused(409, "zoom_not_connected");
    api.grant(trainer, "decision=allow&account=other").await.expect(200);
    api.put(trainer, &there, edited.clone()).await.refused(409, "conflict");
    api.grant(trainer, "decision=allow&account=app").await.expect(200);
    api.post(trainer, &format!("{there}/cancel"), json!({})).await.expect(200);
    api.put(trainer, &there, edited).await.refused(409, "session_cancelled");
    let resend = format!("{there}/resend-invite");
    api.post(trainer, &resend, json!({})).await.refused(409, "session_cancelled");
    let resend = format!("{}/resend-invite", api.class_in(people, 52).await);
    for _ in 0..3 {
        api.post(trainer, &resend, json!({})).await.expect(202);
    }
    api.post(trainer, &resend, json!({})).await.refused(429, "rate_limited");
}

async fn joining(api: &mut Described, people: &People) {
    let trainer = &*people.trainer;
    let there = api.class_in(people, 2).await;
    let join = format!("{there}/join");
    api.post(trainer, &join, json!({})).await.refused(409, "too_early");
    api.world.advance(SignedDuration::from_mins(110));
    for (kind, status, code) in
        [(Kind::Throttle, 429, "zoom_rate_limited"), (Kind::Html, 502, "zoom_unavailable")]
    {
        api.world.fault(Fault::new(Service::Zoom, "zak", kind).times(2));
        api.post(trainer, &join, json!({})).await.refused(status, code);
        api.world.stack.faults.clear();
    }
    api.world.fault(Fault { status: Some(400), ..Fault::new(Service::Zoom, "zak", Kind::Error) });
    api.post(trainer, &join, json!({})).await.refused(502, "zoom_rejected");
    api.world.stack.faults.clear();
    api.grant(trainer, "decision=allow&account=app&scopes=user:read:user").await.expect(200);
    api.post(trainer, &join, json!({})).await.refused(409, "missing_scopes");
    api.delete(trainer, "/v1/zoom/connection").await.expect(204);
    api.post(trainer, &join, json!({})).await.refused(409, "zoom_not_connected");
    api.grant(trainer, "decision=allow&account=other").await.expect(200);
    api.post(trainer, &join, json!({})).await.refused(409, "conflict");
    // A class in the other account: there those invited wait for the trainer.
    let elsewhere = api.class_in(people, 3).await;
    api.world.advance(SignedDuration::from_mins(60));
    let answer = api.post(&people.student, &format!("{elsewhere}/join"), json!({})).await;
    answer.refused(409, "waiting_for_host");
    api.world.deauthorize_unheard("trainer@other.zoom.test").await;
    api.world.advance(SignedDuration::from_mins(5));
    let answer = api.post(trainer, &format!("{elsewhere}/join"), json!({})).await;
    answer.refused(409, "reauth_required");
    api.post(trainer, &format!("{elsewhere}/cancel"), json!({})).await.expect(200);
    let answer = api.post(&people.student, &format!("{elsewhere}/join"), json!({})).await;
    answer.refused(409, "session_cancelled");
    api.world.advance(SignedDuration::from_hours(4));
    api.post(&people.student, &join, json!({})).await.refused(409, "session_ended");
    api.grant(trainer, "decision=allow&account=app").await.expect(200);
}

async fn attending(api: &mut Described, people: &People) {
    let trainer = &*people.trainer;
    // A world's hours were spent above; this class begins in the next.
    let start = api.world.now() + SignedDuration::from_mins(5);
    let soon = with(course_class(1), json!({"starts_at": start}));
    let made = api.post(trainer, "/v1/sessions", soon).await.expect(201);
    let there = format!("/v1/sessions/{}", made["id"].as_str().expect("an id"));
    let meeting = made["meeting"]["id"].as_str().expect("a meeting").to_owned();
    let act = |verb: &str| format!("/zoom/sim/meetings/{meeting}/{verb}");
    let pass = api.post(&people.student, &format!("{there}/join"), json!({})).await.expect(200);
    api.world.post("", &act("start"), json!({})).await;
    let known = json!({"name": "Student 1", "customer_key": pass["customer_key"]});
    api.world.post("", &act("join"), known).await;
    api.world.advance(SignedDuration::from_mins(30));
    api.world.post("", &act("end"), json!({})).await;
    let report = api.get(trainer, &format!("{there}/attendance")).await.expect(200);
    let row = report["attendees"][0]["attendee_id"].as_str().expect("a row").to_owned();
    let assign = json!({"reason": "That is another.", "assign_to": {"user_id": "student-2"}});
    let answer = api.put(trainer, &format!("{there}/attendance/{row}"), assign).await;
    answer.refused(409, "conflict");
    api.put(trainer, &there, course_class(50)).await.refused(409, "session_ended");
    for verb in ["cancel", "resend-invite"] {
        let path = format!("{there}/{verb}");
        api.post(trainer, &path, json!({})).await.refused(409, "session_ended");
    }
}

async fn polling(api: &mut Described, people: &People) {
    let (trainer, student) = (&*people.trainer, &*people.student);
    let question = json!({"question": "Which is larger?", "options": ["2/3", "3/4"]});
    let vote = |poll: &Value| {
        let id = poll["id"].as_str().expect("an id").to_owned();
        (format!("{id}/vote"), json!({"option_ids": [poll["options"][0]["id"]]}))
    };
    let in_minutes =
        |api: &Described, minutes| api.world.now() + SignedDuration::from_mins(minutes);
    let soon = with(course_class(1), json!({"starts_at": in_minutes(api, 5)}));
    let made = api.post(trainer, "/v1/sessions", soon).await.expect(201);
    let polls = format!("/v1/sessions/{}/polls", made["id"].as_str().expect("an id"));
    let meeting = made["meeting"]["id"].as_str().expect("a meeting").to_owned();
    let act = |verb: &str| format!("/zoom/sim/meetings/{meeting}/{verb}");
    api.post(trainer, &polls, question.clone()).await.refused(409, "too_early");
    api.world.advance(SignedDuration::from_mins(5));
    api.world.post("", &act("start"), json!({})).await;
    let key = [("idempotency-key", "one")];
    let first =
        api.ask(Method::POST, &polls, trainer, Some(question.clone()), &key).await.expect(201);
    let other = with(question.clone(), json!({"multiple": true}));
    let answer = api.ask(Method::POST, &polls, trainer, Some(other), &key).await;
    answer.refused(422, "idempotency_key_reused");
    api.post(trainer, &polls, question.clone()).await.refused(409, "conflict");
    let (path, choice) = vote(&first);
    let path = format!("{polls}/{path}");
    api.put(trainer, &path, choice.clone()).await.refused(403, "forbidden");
    api.get(student, &format!("{polls}?format=csv")).await.refused(403, "forbidden");
    let close = path.replace("/vote", "/close");
    api.ask(Method::POST, &close, trainer, None, &[]).await.expect(200);
    api.put(student, &path, choice.clone()).await.refused(409, "poll_closed");
    api.world.advance(SignedDuration::from_mins(1));
    api.world.post("", &act("end"), json!({})).await;
    api.put(student, &path, choice).await.refused(409, "session_ended");
    api.post(trainer, &polls, question.clone()).await.refused(409, "session_ended");

    // A class behind a link can still be moved, and cancelled, after it has begun.
    let link = json!({"provider": "manual", "join_url": "https://meet.example.test/a"});
    let soon = with(course_class(1), with(link, json!({"starts_at": in_minutes(api, 5)})));
    let made = api.post(trainer, "/v1/sessions", soon.clone()).await.expect(201);
    let there = format!("/v1/sessions/{}", made["id"].as_str().expect("an id"));
    let polls = format!("{there}/polls");
    api.world.advance(SignedDuration::from_mins(5));
    let poll = api.post(trainer, &polls, question.clone()).await.expect(201);
    let (path, choice) = vote(&poll);
    let path = format!("{polls}/{path}");
    let later = with(soon, json!({"starts_at": in_minutes(api, 60)}));
    api.put(trainer, &there, later).await.expect(200);
    api.put(student, &path, choice.clone()).await.refused(409, "too_early");
    api.post(trainer, &format!("{there}/cancel"), json!({})).await.expect(200);
    api.put(student, &path, choice).await.refused(409, "session_cancelled");
    api.post(trainer, &polls, question).await.refused(409, "session_cancelled");
}

async fn plans(api: &mut Described, people: &People) {
    let trainer = &*people.other;
    let link = json!({"provider": "manual", "join_url": "https://meet.example.test/a"});
    let body = with(class(200), link.clone());
    let made = api.post(trainer, "/v1/sessions", body).await.expect(201);
    let there = format!("/v1/sessions/{}", made["id"].as_str().expect("an id"));
    for (settings, code) in [
        (json!({"plans": {"pro": {"max_duration_minutes": 30}}}), "plan_limit"),
        (json!({"plans": {"tiny": {}}}), "plan_required"),
        (json!({"live_classes_enabled": false}), "feature_disabled"),
    ] {
        api.set(people, settings).await;
        let longer = with(class(201), with(link.clone(), json!({"duration_minutes": 90})));
        api.post(trainer, "/v1/sessions", longer.clone()).await.refused(403, code);
        api.put(trainer, &there, longer).await.refused(403, code);
        if code == "feature_disabled" {
            let resend = format!("{there}/resend-invite");
            api.post(trainer, &resend, json!({})).await.refused(403, code);
        }
    }
    api.set(people, json!({})).await;
}

/// Whatever is asked of AWS is refused, first by the tables and then by the secret: 500 and 503, and not a word of why.
async fn faults_of_ours(api: &mut Described, people: &People) {
    let there = api.class_in(people, 300).await;
    let session = there.rsplit('/').next().unwrap_or_default().to_owned();
    for (service, status, code) in
        [(Service::Dynamodb, 500, "internal"), (Service::Secretsmanager, 503, "unavailable")]
    {
        // Longer than a good copy of the secret serves.
        if service == Service::Secretsmanager {
            api.world.advance(SignedDuration::from_mins(61));
        }
        for route in ROUTES {
            let mut body = body(&api.spec, route);
            if route.path == "/v1/zoom/authorize" {
                let redirect_uri = format!("{}/callback", api.world.stack.base_url);
                body = Some(json!({"redirect_uri": redirect_uri}));
            }
            // To begin would read the secret.
            if route.path == "/v1/zoom/connect" && service == Service::Dynamodb {
                let (code, state) = api.world.consent(&people.trainer, "decision=allow").await;
                body = Some(json!({"code": code, "state": state}));
            }
            api.world.fault(Fault::new(service, "*", Kind::Unauthorized).times(50));
            let answer = api.call(route, &path(route, &session), people.fitting(route), body).await;
            api.world.stack.faults.clear();
            answer.refused(status, code);
        }
    }
}
