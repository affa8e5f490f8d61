//! The running system's answers against the file, one by one.

use std::collections::BTreeSet;

use http::Method;
use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::domain::domain_event::{DomainEvent, DomainEventKind};
use shared::domain::id::{SessionId, UserId};
use shared::domain::in_app::{NotificationSubject, InAppNotification, NotificationKind};
use shared::domain::text::Title;
use shared::handlers::{ROUTES, matching};

use super::{PROBLEM_JSON, Spec};
use crate::direct::store;
use crate::world::{Answer, World, class, course_class};

/// A world whose answers are held against the file, one by one.
pub(super) struct Described {
    pub(super) world: World,
    pub(super) spec: Spec,
    /// The routes whose success was seen.
    pub(super) seen: BTreeSet<String>,
    /// The errors that were seen: the operation, the status and the code.
    pub(super) errors: BTreeSet<(String, u64, String)>,
}

impl Described {
    pub(super) fn new(world: World) -> Self {
        Self { world, spec: Spec::read(), seen: BTreeSet::new(), errors: BTreeSet::new() }
    }

    pub(super) async fn ask(
        &mut self,
        method: Method,
        path: &str,
        token: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let answer = self.world.call(method.clone(), path, token, body, headers).await;
        self.check(&method, path, &answer);
        answer
    }

    /// Holds an answer against the file.
    pub(super) fn check(&mut self, method: &Method, path: &str, answer: &Answer) {
        let route_path = path.split_once('?').map_or(path, |(path, _)| path);
        let (route, _) = matching(method.as_str(), route_path).expect("a route");
        let name = format!("{} {} → {}", route.method, route.path, answer.status);
        let operation = &self.spec.0["paths"][route.path][route.method.to_lowercase()];
        let response = self.spec.resolve(&operation["responses"][answer.status.as_str()]);
        assert!(response.is_object(), "{name} is not described: {}", answer.text);

        for (header, says) in response["headers"].as_object().into_iter().flatten() {
            let sent = answer.headers.get(header).unwrap_or_else(|| panic!("{name}: no {header}"));
            let sent = sent.to_str().expect("visible ASCII");
            let value = sent.parse::<u64>().map_or_else(|_| json!(sent), |number| json!(number));
            let schema = &self.spec.resolve(says)["schema"];
            assert_eq!(self.spec.misfits(schema, &value), Vec::<String>::new(), "{name}: {header}");
        }
        match answer.headers.get("content-type").map(|kind| kind.to_str().expect("visible ASCII")) {
            None => assert!(response.get("content").is_none() && answer.text.is_empty(), "{name}"),
            Some(kind) => {
                let schema = &response["content"][kind]["schema"];
                assert!(schema.is_object(), "{name} is not described as {kind}");
                let is_json = kind.ends_with("json");
                let body = if is_json { answer.json() } else { json!(answer.text) };
                assert_eq!(
                    self.spec.misfits(schema, &body),
                    Vec::<String>::new(),
                    "{name}: {body}"
                );
                if kind == PROBLEM_JSON {
                    let code = body["code"].as_str().expect("a code");
                    let codes = self.spec.examples(&response["content"][kind]);
                    assert!(codes.contains_key(code), "{name} is not described with {code}");
                    let operation = format!("{} {}", route.method, route.path);
                    let status = u64::from(answer.status.as_u16());
                    self.errors.insert((operation, status, code.to_owned()));
                }
            }
        }
        if answer.status.is_success() {
            self.seen.insert(format!("{} {}", route.method, route.path));
        }
    }

    pub(super) async fn get(&mut self, token: &str, path: &str) -> Answer {
        self.ask(Method::GET, path, token, None, &[]).await
    }

    pub(super) async fn post(&mut self, token: &str, path: &str, body: Value) -> Answer {
        self.ask(Method::POST, path, token, Some(body), &[]).await
    }

    pub(super) async fn put(&mut self, token: &str, path: &str, body: Value) -> Answer {
        self.ask(Method::PUT, path, token, Some(body), &[]).await
    }

    pub(super) async fn delete(&mut self, token: &str, path: &str) -> Answer {
        self.ask(Method::DELETE, path, token, None, &[]).await
    }
}

/// A poll in a class that is on.
async fn polls(api: &mut Described, path: &str, trainer: &str, student: &str) {
    let polls = format!("{path}/polls");
    let question = json!({"question": "Which is larger?", "options": ["2/3", "3/4"]});
    api.post(student, &polls, question.clone()).await.refused(403, "forbidden");
    api.post(trainer, &polls, json!({"question": ""})).await.refused(422, "validation_failed");
    let key = [("idempotency-key", "p1")];
    let launched =
        api.ask(Method::POST, &polls, trainer, Some(question.clone()), &key).await.expect(201);
    let other = json!({"question": "Which?", "options": ["a", "b"], "anonymous": true});
    api.ask(Method::POST, &polls, trainer, Some(other.clone()), &key)
        .await
        .refused(422, "idempotency_key_reused");
    api.post(trainer, &polls, other).await.refused(409, "conflict");
    let poll = format!("{polls}/{}", launched["id"].as_str().expect("an id"));
    let vote = format!("{poll}/vote");
    let choice = json!({"option_ids": [launched["options"][1]["id"]]});
    api.put(student, &vote, choice.clone()).await.expect(200);
    api.put(student, &vote, json!({"option_ids": []})).await.refused(422, "validation_failed");
    api.put(student, &vote, json!({"option_ids": ["x"]})).await.refused(404, "not_found");
    api.put(trainer, &vote, choice.clone()).await.refused(403, "forbidden");
    api.get(student, &polls).await.expect(200);
    let seen = api.get(trainer, &polls).await;
    let tag = [("if-none-match", seen.headers["etag"].to_str().expect("a tag"))];
    assert_eq!(api.ask(Method::GET, &polls, trainer, None, &tag).await.status, 304);
    let file = format!("{polls}?format=csv");
    api.get(trainer, &file).await;
    api.get(student, &file).await.refused(403, "forbidden");
    api.get(trainer, &format!("{polls}?format=pdf")).await.refused(422, "validation_failed");
    api.ask(Method::POST, &format!("{poll}/close"), trainer, None, &[]).await.expect(200);
    api.put(student, &vote, choice).await.refused(409, "poll_closed");
    api.get(trainer, &polls).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_running_system_answers_as_described() {
    let world = World::start().await;
    let (trainer, other) = (world.trainer().await, world.other_trainer().await);
    let (student, service) = (world.student(1).await, world.service().await);
    let mut api = Described::new(world);

    // Nobody, and the wrong ones.
    for route in ROUTES {
        let path = route
            .path
            .replace("{id}", "ses_aaaaaaaaaaaaaaaaaaaaaaaaaa")
            .replace("{poll_id}", "pol_aaaaaaaaaaaaaaaaaaaaaaaaaa")
            .replace("{user_id}", "u");
        let method: Method = route.method.parse().expect("a method");
        api.ask(method, &path, "", None, &[]).await.refused(401, "unauthenticated");
    }
    api.get(&student, "/v1/sessions").await.refused(403, "forbidden");
    api.get(&service, "/v1/me/sessions").await.refused(403, "forbidden");
    api.put(&trainer, "/v1/directory/settings", json!({})).await.refused(403, "forbidden");

    // Connecting.
    api.get(&trainer, "/v1/zoom/connection").await.expect(200);
    api.post(&trainer, "/v1/sessions", class(26)).await.refused(409, "zoom_not_connected");
    let redirect_uri = format!("{}/callback", api.world.stack.base_url);
    api.post(&trainer, "/v1/zoom/authorize", json!({"redirect_uri": redirect_uri}))
        .await
        .expect(200);
    api.post(&trainer, "/v1/zoom/authorize", json!({"redirect_uri": "https://else.where"}))
        .await
        .refused(422, "validation_failed");
    let (code, state) = api.world.consent(&trainer, "decision=allow&account=app").await;
    let returned = json!({"code": code, "state": state});
    api.post(&trainer, "/v1/zoom/connect", returned.clone()).await.expect(200);
    api.post(&trainer, "/v1/zoom/connect", returned).await.refused(422, "validation_failed");
    api.get(&trainer, "/v1/zoom/connection").await.expect(200);

    // Scheduling and editing.
    let key = [("idempotency-key", "k1")];
    let made = api
        .ask(Method::POST, "/v1/sessions", &trainer, Some(course_class(26)), &key)
        .await
        .expect(201);
    api.ask(Method::POST, "/v1/sessions", &trainer, Some(class(26)), &key)
        .await
        .refused(422, "idempotency_key_reused");
    let path = format!("/v1/sessions/{}", made["id"].as_str().expect("an id"));
    let mut invited = class(30);
    invited["audience_type"] = json!("invitees");
    invited["invitees"] = json!([{"email": "guest@example.test"}]);
    invited["description"] = json!("Bring a pencil.");
    invited["settings"] = json!({"waiting_room": true});
    api.post(&trainer, "/v1/sessions", invited).await.expect(201);
    let mut manual = class(3);
    manual["provider"] = json!("manual");
    manual["join_url"] = json!("https://meet.example.test/a");
    api.post(&other, "/v1/sessions", manual.clone()).await.expect(201);
    manual["trainer_id"] = json!("trainer-2");
    api.post(&service, "/v1/sessions", manual).await.expect(201);
    api.post(&other, "/v1/sessions", course_class(26)).await.refused(404, "not_found");
    api.post(&trainer, "/v1/sessions", json!({"titel": "?"}))
        .await
        .refused(422, "validation_failed");
    let mut edit = course_class(26);
    edit["title"] = json!("Algebra I: fractions");
    api.ask(Method::PUT, &path, &trainer, Some(edit.clone()), &[("if-match", "\"1\"")])
        .await
        .expect(200);
    edit["title"] = json!("Algebra I: decimals");
    api.ask(Method::PUT, &path, &trainer, Some(edit.clone()), &[("if-match", "\"1\"")])
        .await
        .refused(412, "precondition_failed");
    api.put(&other, &path, edit.clone()).await.refused(404, "not_found");

    // Reading.
    let page = api.get(&trainer, "/v1/sessions?limit=1&status=scheduled").await.expect(200);
    let cursor = page["next_cursor"].as_str().expect("another page");
    api.get(&trainer, &format!("/v1/sessions?limit=1&status=scheduled&cursor={cursor}"))
        .await
        .expect(200);
    api.get(&trainer, "/v1/sessions?limit=101").await.refused(422, "validation_failed");
    api.get(&trainer, &path).await.expect(200);
    api.get(&student, &path).await.expect(200);
    api.get(&other, &path).await.refused(404, "not_found");
    api.get(&student, "/v1/me/sessions").await.expect(200);

    // Telling people, and what they want to be told.
    let resend = format!("{path}/resend-invite");
    api.post(&trainer, &resend, json!({"recipients": ["student-1"]})).await.expect(202);
    api.post(&trainer, &resend, json!({"recipients": []})).await.refused(422, "validation_failed");
    for _ in 0..2 {
        api.ask(Method::POST, &resend, &trainer, None, &[]).await.expect(202);
    }
    api.post(&trainer, &resend, json!({})).await.refused(429, "rate_limited");
    api.post(&other, &resend, json!({})).await.refused(404, "not_found");
    let quiet = json!({"live_session": {"in_app": true, "email": false}});
    api.put(&student, "/v1/me/notification-preferences", quiet).await.expect(200);
    api.put(&student, "/v1/me/notification-preferences", json!({}))
        .await
        .refused(422, "validation_failed");
    api.get(&student, "/v1/me/notification-preferences").await.expect(200);
    let session = SessionId::parse(made["id"].as_str().expect("an id")).expect("an id");
    let told = [(NotificationKind::Scheduled, true), (NotificationKind::ReconnectZoom, false)];
    let told = told.map(|(kind, of_class)| {
        let announcement = DomainEvent {
            at: api.world.now(),
            kind: DomainEventKind::ReauthRequired { trainer: UserId::parse("t").expect("an id"), version: 1 },
        };
        let about = NotificationSubject {
            session: session.clone(),
            title: Title::parse("Algebra I").expect("a title"),
            starts_at: api.world.now(),
        };
        let user = UserId::parse("student-1").expect("an id");
        InAppNotification::of(&announcement, kind, user, of_class.then_some(about))
    });
    store(&api.world).put_notices(&told).await.expect("written");
    let page = api.get(&student, "/v1/me/notifications?limit=1").await.expect(200);
    let cursor = page["next_cursor"].as_str().expect("another page");
    api.get(&student, &format!("/v1/me/notifications?limit=1&cursor={cursor}")).await.expect(200);
    api.get(&student, "/v1/me/notifications?cursor=x").await.refused(422, "validation_failed");
    let id = page["items"][0]["id"].as_str().expect("an id");
    for verb in ["read", "dismiss"] {
        let path = |id: &str| format!("/v1/me/notifications/{id}/{verb}");
        api.ask(Method::POST, &path(id), &student, None, &[]).await.expect(204);
        api.ask(Method::POST, &path("x"), &student, None, &[]).await.refused(404, "not_found");
    }

    // The class itself.
    let (join, meeting) =
        (format!("{path}/join"), made["meeting"]["id"].as_str().expect("a meeting"));
    api.ask(Method::POST, &join, &student, None, &[]).await.refused(409, "too_early");
    api.world.advance(SignedDuration::from_hours(26));
    api.ask(Method::POST, &join, &trainer, None, &[]).await.expect(200);
    api.ask(Method::POST, &join, &student, None, &[]).await.expect(200);
    for (verb, body) in [
        ("start", json!({})),
        ("recording", json!({"action": "start"})),
        ("join", json!({"name": "Ada"})),
    ] {
        let act = format!("/zoom/sim/meetings/{meeting}/{verb}");
        api.world.post("", &act, body).await;
    }
    api.put(&trainer, &path, edit).await.refused(422, "validation_failed");
    api.put(&trainer, &path, course_class(50)).await.refused(409, "conflict");
    polls(&mut api, &path, &trainer, &student).await;
    api.world.advance(SignedDuration::from_mins(30));
    for verb in ["end", "recording"] {
        api.world.post("", &format!("/zoom/sim/meetings/{meeting}/{verb}"), json!({})).await;
    }
    let recordings = api.get(&student, &format!("{path}/recordings")).await.expect(200);
    assert_ne!(recordings["items"], json!([]));
    let timeline = api.get(&trainer, &format!("{path}/timeline")).await.expect(200);
    assert_ne!(timeline["items"], json!([]));
    let attendance = format!("{path}/attendance");
    let report = api.get(&trainer, &attendance).await.expect(200);
    let row =
        format!("{attendance}/{}", report["attendees"][0]["attendee_id"].as_str().expect("an id"));
    api.put(&trainer, &row, json!({"present": true})).await.refused(422, "validation_failed");
    let decided = json!({"present": true, "reason": "Was in the room."});
    api.put(&trainer, &row, decided).await.expect(200);
    let assign = json!({"reason": "That is Ada.", "assign_to": {"user_id": "student-2"}});
    api.put(&trainer, &row, assign).await.refused(409, "conflict");
    api.get(&trainer, &format!("{attendance}?format=csv")).await;
    api.get(&trainer, &format!("{attendance}?format=pdf")).await.refused(422, "validation_failed");
    let audit = api.get(&trainer, &format!("{attendance}/audit")).await.expect(200);
    assert_eq!(audit["items"][0]["reason"], "Was in the room.");
    api.ask(Method::POST, &join, &student, None, &[]).await.refused(409, "session_ended");
    let cancel = format!("{path}/cancel");
    api.post(&trainer, &cancel, json!({})).await.refused(409, "session_ended");
    let other_class = api.post(&trainer, "/v1/sessions", class(50)).await.expect(201);
    let cancel = format!("/v1/sessions/{}/cancel", other_class["id"].as_str().expect("an id"));
    api.post(&trainer, &cancel, json!({"reason": "Snow."})).await.expect(200);
    api.post(&trainer, &resend, json!({})).await.refused(409, "session_ended");
    let resend = cancel.replace("/cancel", "/resend-invite");
    api.post(&trainer, &resend, json!({})).await.refused(409, "session_cancelled");

    // The directory.
    let course = "/v1/directory/courses/course-2";
    api.put(&service, course, json!({"title": "Geometry", "trainer_id": "trainer-1"}))
        .await
        .expect(200);
    let place = format!("{course}/enrollments/student-9");
    let student_9 = json!({"email": "student9@example.test", "name": "Student 9"});
    api.put(&service, &place, student_9).await.expect(200);
    let user = json!({"email": "student9@example.test", "name": "Student 9", "role": "student", "plan": null});
    api.put(&service, "/v1/directory/users/student-9", user).await.expect(200);
    api.put(&service, "/v1/directory/users/a%23b", json!({}))
        .await
        .refused(422, "validation_failed");
    let lines = json!({"type": "user", "id": "student-9", "deleted": true});
    api.post(&service, "/v1/directory/import", lines).await.expect(200);
    api.post(&service, "/v1/directory/import", json!({"type": "planet"})).await.expect(200);
    for path in [&place, course, "/v1/directory/users/student-9"] {
        api.delete(&service, path).await.expect(204);
    }
    api.put(
        &service,
        "/v1/directory/settings",
        json!({"plans": {"tiny": {"sessions_per_month": 0}}}),
    )
    .await
    .expect(200);
    api.post(&trainer, "/v1/sessions", class(60)).await.refused(403, "plan_required");
    api.put(&service, "/v1/directory/settings", json!({"live_classes_enabled": false}))
        .await
        .expect(200);
    api.post(&trainer, "/v1/sessions", class(60)).await.refused(403, "feature_disabled");
    api.delete(&trainer, "/v1/zoom/connection").await.expect(204);

    let all: BTreeSet<_> =
        ROUTES.iter().map(|route| format!("{} {}", route.method, route.path)).collect();
    let unseen: Vec<_> = all.difference(&api.seen).collect();
    assert!(
        unseen.is_empty(),
        "call these here, too, so that their answers are held against the file: {unseen:?}"
    );
}
