//! The responses of the running system against `openapi.yaml`.

use std::collections::BTreeSet;

use http::Method;
use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::domain::domain_event::{DomainEvent, DomainEventKind, EventNonce};
use shared::domain::id::{SessionId, UserId};
use shared::domain::in_app::{InAppNotification, NotificationKind, NotificationSubject};
use shared::domain::notification_kind::MailKind;
use shared::domain::text::Title;
use shared::handlers::{GUEST_ROUTES, ROUTES, WEBHOOK_ROUTE, match_route};

use super::{PROBLEM_JSON, Spec};
use crate::functions::store;
use crate::guests::guest_tokens;
use crate::support::patched;
use crate::world::{Response, World, course_session_body, session_body};
use crate::zoom_session::WebhookSignature;

/// A world that checks each response against `openapi.yaml`.
pub(super) struct CheckedApi {
    pub(super) world: World,
    pub(super) spec: Spec,
    /// The routes with a successful response.
    pub(super) successful_routes: BTreeSet<String>,
    /// The observed errors: operation, status and code.
    pub(super) observed_errors: BTreeSet<(String, u64, String)>,
}

impl CheckedApi {
    pub(super) fn new(world: World) -> Self {
        Self {
            world,
            spec: Spec::read(),
            successful_routes: BTreeSet::new(),
            observed_errors: BTreeSet::new(),
        }
    }

    pub(super) async fn request(
        &mut self,
        method: Method,
        path: &str,
        token: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Response {
        let response = self.world.call(method.clone(), path, token, body, headers).await;
        self.check(&method, path, &response);
        response
    }

    /// Checks a response against `openapi.yaml`.
    pub(super) fn check(&mut self, method: &Method, path: &str, response: &Response) {
        let route_path = path.split_once('?').map_or(path, |(path, _)| path);
        let (route, _) = match_route(method.as_str(), route_path).expect("a route");
        let name = format!("{} {} → {}", route.method, route.path, response.status);
        let operation = &self.spec.0["paths"][route.path][route.method.to_lowercase()];
        let described = self.spec.resolve(&operation["responses"][response.status.as_str()]);
        assert!(described.is_object(), "{name} is not described: {}", response.text);

        assert_eq!(response.headers["x-content-type-options"], "nosniff", "{name}");
        let is_deprecated = operation["deprecated"] == true;
        assert_eq!(response.headers.contains_key("deprecation"), is_deprecated, "{name}");
        for (header, definition) in described["headers"].as_object().into_iter().flatten() {
            let is_optional = self.spec.resolve(definition)["required"] == false;
            let Some(sent) = response.headers.get(header) else {
                assert!(is_optional, "{name}: no {header}");
                continue;
            };
            let sent = sent.to_str().expect("visible ASCII");
            let value = sent.parse::<u64>().map_or_else(|_| json!(sent), |number| json!(number));
            let schema = &self.spec.resolve(definition)["schema"];
            assert_eq!(
                self.spec.schema_errors(schema, &value),
                Vec::<String>::new(),
                "{name}: {header}"
            );
        }
        match response.headers.get("content-type").map(|kind| kind.to_str().expect("visible ASCII"))
        {
            None => {
                assert!(described.get("content").is_none() && response.text.is_empty(), "{name}")
            }
            Some(kind) => {
                let schema = &described["content"][kind]["schema"];
                assert!(schema.is_object(), "{name} is not described as {kind}");
                let is_json = kind.ends_with("json");
                let body = if is_json { response.json() } else { json!(response.text) };
                assert_eq!(
                    self.spec.schema_errors(schema, &body),
                    Vec::<String>::new(),
                    "{name}: {body}"
                );
                if kind == PROBLEM_JSON {
                    let code = body["code"].as_str().expect("a code");
                    let codes = self.spec.examples(&described["content"][kind]);
                    assert!(codes.contains_key(code), "{name} is not described with {code}");
                    let operation = format!("{} {}", route.method, route.path);
                    let status = u64::from(response.status.as_u16());
                    self.observed_errors.insert((operation, status, code.to_owned()));
                }
            }
        }
        if response.status.is_success() {
            self.successful_routes.insert(format!("{} {}", route.method, route.path));
        }
    }

    pub(super) async fn get(&mut self, token: &str, path: &str) -> Response {
        self.request(Method::GET, path, token, None, &[]).await
    }

    pub(super) async fn post(&mut self, token: &str, path: &str, body: Value) -> Response {
        self.request(Method::POST, path, token, Some(body), &[]).await
    }

    pub(super) async fn put(&mut self, token: &str, path: &str, body: Value) -> Response {
        self.request(Method::PUT, path, token, Some(body), &[]).await
    }

    pub(super) async fn delete(&mut self, token: &str, path: &str) -> Response {
        self.request(Method::DELETE, path, token, None, &[]).await
    }
}

/// Lets a sent mail bounce, lists the suppressed addresses, and ends the suppressions.
async fn suppress_addresses(api: &mut CheckedApi, service: &str) {
    api.world.run_outbox_sweep().await;
    let mails = api.world.stack.aws.mailbox().list().expect("the mailbox can be read");
    let mail = mails.iter().find(|mail| mail.to == ["student1@example.test"]).expect("a mail");
    let path = format!("/local/mail/{}/bounce", mail.id);
    api.world.post("", &path, json!({"kind": "hard"})).await.expect(200);
    let listed = api.get(service, "/v1/suppressions").await.expect(200);
    assert_eq!(listed["items"][0]["email"], "student1@example.test");
    api.delete(service, "/v1/suppressions/student1%40example.test").await.expect(204);
}

/// Sends a payment with a class that is refused, and its refund.
async fn send_payments(api: &mut CheckedApi, service: &str) {
    let path = "/v1/payments/pay-1";
    let class = patched(session_body(48), json!({"trainer_id": "trainer-1"}));
    let foreign = json!({"audience_type": "course", "course_id": "nobodys"});
    let sessions = [class.clone(), patched(class, foreign)];
    let body = json!({"user_id": "student-1", "course_id": "course-1", "sessions": sessions});
    api.put(service, path, body).await.expect(202);
    api.get(service, path).await.expect(200);
    api.world.stack.queue_triggers.deliver().await;
    let done = api.get(service, path).await.expect(200);
    assert_eq!((&done["created"], &done["failed"]), (&json!(1), &json!(1)), "{done}");
    api.delete(service, path).await.expect(202);
    api.world.stack.queue_triggers.deliver().await;
    api.get(service, path).await.expect(200);
    api.delete(service, "/v1/payments/pay-2").await.expect(202);
}

/// Sends the poll requests of a live session.
async fn send_poll_requests(api: &mut CheckedApi, path: &str, trainer: &str, student: &str) {
    let polls = format!("{path}/polls");
    let question = json!({"question": "Which is larger?", "options": ["2/3", "3/4"]});
    api.post(student, &polls, question.clone()).await.expect_problem(403, "forbidden");
    api.post(trainer, &polls, json!({"question": ""}))
        .await
        .expect_problem(422, "validation_failed");
    let key = [("idempotency-key", "p1")];
    let launched =
        api.request(Method::POST, &polls, trainer, Some(question.clone()), &key).await.expect(201);
    let other = json!({"question": "Which?", "options": ["a", "b"], "anonymous": true, "results": "after_close"});
    api.request(Method::POST, &polls, trainer, Some(other.clone()), &key)
        .await
        .expect_problem(422, "idempotency_key_reused");
    api.post(trainer, &polls, other).await.expect_problem(409, "conflict");
    let poll = format!("{polls}/{}", launched["id"].as_str().expect("an id"));
    let vote = format!("{poll}/vote");
    let choice = json!({"option_ids": [launched["options"][1]["id"]]});
    api.put(student, &vote, choice.clone()).await.expect(200);
    api.put(student, &vote, json!({"option_ids": []}))
        .await
        .expect_problem(422, "validation_failed");
    api.put(student, &vote, json!({"option_ids": ["x"]})).await.expect_problem(404, "not_found");
    api.put(trainer, &vote, choice.clone()).await.expect_problem(403, "forbidden");
    api.get(student, &polls).await.expect(200);
    let listed = api.get(trainer, &polls).await;
    let tag = [("if-none-match", listed.headers["etag"].to_str().expect("a tag"))];
    assert_eq!(api.request(Method::GET, &polls, trainer, None, &tag).await.status, 304);
    let file = format!("{polls}?format=csv");
    api.get(trainer, &file).await;
    api.get(student, &file).await.expect_problem(403, "forbidden");
    api.get(trainer, &format!("{polls}?format=pdf")).await.expect_problem(422, "validation_failed");
    api.request(Method::POST, &format!("{poll}/close"), trainer, None, &[]).await.expect(200);
    api.put(student, &vote, choice).await.expect_problem(409, "poll_closed");
    api.get(trainer, &polls).await.expect(200);
}

/// Sends events of Zoom: a challenge, an unknown event, an unsigned one, and one that is too long.
/// Requests with a guest link, the last of which is limited.
async fn send_guest_requests(api: &mut CheckedApi, trainer: &str) {
    let starts_at = api.world.now() + SignedDuration::from_mins(5);
    let invited = patched(
        session_body(1),
        json!({"audience_type": "invitees", "invitees": [{"email": "gil@guests.test"}], "starts_at": starts_at}),
    );
    api.post(trainer, "/v1/sessions", invited).await.expect(201);
    api.world.run_outbox_sweep().await;
    let (_, token) = guest_tokens(&api.world, "gil@guests.test").pop().expect("a mail");
    for path in ["/v1/guest/session", "/v1/guest/join"] {
        api.post("", path, json!({"token": token})).await.expect(200);
        api.post("", path, json!({"token": "x"})).await.expect_problem(404, "not_found");
        api.post("", path, json!({"token": null})).await.expect_problem(422, "validation_failed");
    }
    let by_link = json!({"token": token, "name": "Gil", "prefer": "link"});
    api.post("", "/v1/guest/join", by_link).await.expect(200);
    let report = json!({"token": token, "milliseconds": 1830});
    api.post("", "/v1/guest/join-report", report).await.expect(204);
}

async fn send_zoom_events(api: &mut CheckedApi) {
    let challenge = r#"{"event":"endpoint.url_validation","payload":{"plainToken":"a"}}"#;
    let long = " ".repeat(1024 * 1024 + 1);
    for (body, is_signed, status) in [
        (challenge, true, 200),
        (r#"{"event":"x"}"#, true, 200),
        (challenge, false, 401),
        (&long, true, 413),
    ] {
        let signature = WebhookSignature::sign(api.world.now(), body.as_bytes());
        let headers = signature.headers();
        let headers = if is_signed { &headers[..] } else { &[] };
        let path = WEBHOOK_ROUTE.path;
        let response = api.world.send(Method::POST, path, headers, body.into()).await;
        api.check(&Method::POST, path, &response);
        response.expect(status);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn running_system_matches_the_api_description() {
    let world = World::start().await;
    let (trainer, other) = (world.trainer().await, world.other_trainer().await);
    let (student, service) = (world.student(1).await, world.service().await);
    let mut api = CheckedApi::new(world);

    // Without a token, and with the wrong role.
    for route in ROUTES {
        let path = route
            .path
            .replace("{id}", "ses_aaaaaaaaaaaaaaaaaaaaaaaaaa")
            .replace("{poll_id}", "pol_aaaaaaaaaaaaaaaaaaaaaaaaaa")
            .replace("{user_id}", "u");
        let method: Method = route.method.parse().expect("a method");
        api.request(method, &path, "", None, &[]).await.expect_problem(401, "unauthenticated");
    }
    send_zoom_events(&mut api).await;
    api.get(&student, "/v1/sessions").await.expect_problem(403, "forbidden");
    api.get(&service, "/v1/me/sessions").await.expect_problem(403, "forbidden");
    api.put(&trainer, "/v1/directory/settings", json!({})).await.expect_problem(403, "forbidden");

    // Connecting.
    api.get(&trainer, "/v1/zoom/connection").await.expect(200);
    api.post(&trainer, "/v1/sessions", session_body(26))
        .await
        .expect_problem(409, "zoom_not_connected");
    let redirect_uri = format!("{}/callback", api.world.stack.base_url);
    api.post(&trainer, "/v1/zoom/authorize", json!({"redirect_uri": redirect_uri}))
        .await
        .expect(200);
    api.post(&trainer, "/v1/zoom/authorize", json!({"redirect_uri": "https://else.where"}))
        .await
        .expect_problem(422, "validation_failed");
    let (code, state) = api.world.consent(&trainer, "decision=allow&account=app").await;
    let returned = json!({"code": code, "state": state});
    api.post(&trainer, "/v1/zoom/connect", returned.clone()).await.expect(200);
    api.post(&trainer, "/v1/zoom/connect", returned).await.expect_problem(422, "validation_failed");
    api.get(&trainer, "/v1/zoom/connection").await.expect(200);

    // Scheduling and editing.
    let key = [("idempotency-key", "k1")];
    let made = api
        .request(Method::POST, "/v1/sessions", &trainer, Some(course_session_body(26)), &key)
        .await
        .expect(201);
    api.request(Method::POST, "/v1/sessions", &trainer, Some(session_body(26)), &key)
        .await
        .expect_problem(422, "idempotency_key_reused");
    let path = format!("/v1/sessions/{}", made["id"].as_str().expect("an id"));
    let mut invited = session_body(30);
    invited["audience_type"] = json!("invitees");
    invited["invitees"] = json!([{"email": "guest@example.test"}]);
    invited["description"] = json!("Bring a pencil.");
    invited["settings"] = json!({"waiting_room": true});
    api.post(&trainer, "/v1/sessions", invited).await.expect(201);
    let mut manual = session_body(3);
    manual["provider"] = json!("manual");
    manual["join_url"] = json!("https://meet.example.test/a");
    api.post(&other, "/v1/sessions", manual.clone()).await.expect(201);
    manual["trainer_id"] = json!("trainer-2");
    api.post(&service, "/v1/sessions", manual).await.expect(201);
    api.post(&other, "/v1/sessions", course_session_body(26))
        .await
        .expect_problem(404, "not_found");
    api.post(&trainer, "/v1/sessions", json!({"titel": "?"}))
        .await
        .expect_problem(422, "validation_failed");
    let mut edit = course_session_body(26);
    edit["title"] = json!("Algebra I: fractions");
    api.request(Method::PUT, &path, &trainer, Some(edit.clone()), &[("if-match", "\"1\"")])
        .await
        .expect(200);
    edit["title"] = json!("Algebra I: decimals");
    api.request(Method::PUT, &path, &trainer, Some(edit.clone()), &[("if-match", "\"1\"")])
        .await
        .expect_problem(412, "precondition_failed");
    api.put(&other, &path, edit.clone()).await.expect_problem(404, "not_found");

    // By the platform's own name.
    let by_ref = "/v1/sessions/by-ref/booking-4711";
    let mut named = course_session_body(60);
    named["trainer_id"] = json!("trainer-1");
    api.put(&service, by_ref, named.clone()).await.expect(201);
    api.put(&service, by_ref, named.clone()).await.expect(200);
    api.get(&service, by_ref).await.expect(200);
    api.delete(&service, by_ref).await.expect(200);
    api.get(&trainer, by_ref).await.expect_problem(403, "forbidden");
    let polls = "/v1/sessions/by-ref/polls";
    api.put(&service, polls, named.clone()).await.expect_problem(422, "validation_failed");
    named["external_ref"] = json!("booking-4712");
    api.post(&service, "/v1/sessions/import", named.clone()).await.expect(200);
    named["meeting"] = json!("now");
    let outcome = api.post(&service, "/v1/sessions/import", named).await.expect(200);
    assert_eq!(outcome["rejected"][0]["field"], "meeting");

    // Reading.
    let page = api.get(&trainer, "/v1/sessions?limit=1&status=scheduled").await.expect(200);
    let cursor = page["next_cursor"].as_str().expect("another page");
    api.get(&trainer, &format!("/v1/sessions?limit=1&status=scheduled&cursor={cursor}"))
        .await
        .expect(200);
    api.get(&trainer, "/v1/sessions?limit=101").await.expect_problem(422, "validation_failed");
    api.get(&trainer, &path).await.expect(200);
    api.get(&student, &path).await.expect(200);
    api.get(&other, &path).await.expect_problem(404, "not_found");
    let entry = format!("{path}/calendar.ics");
    api.get(&other, &entry).await.expect_problem(404, "not_found");
    api.get(&trainer, &entry).await;
    let tag = api.get(&student, &entry).await.headers["etag"].to_str().expect("a tag").to_owned();
    let unchanged = [("if-none-match", &*tag)];
    api.request(Method::GET, &entry, &student, None, &unchanged).await.expect(304);
    api.get(&student, "/v1/me/sessions").await.expect(200);

    send_guest_requests(&mut api, &trainer).await;

    // Notifications and preferences.
    let resend = format!("{path}/resend-invite");
    api.post(&trainer, &resend, json!({"recipients": ["student-1"]})).await.expect(202);
    api.post(&trainer, &resend, json!({"recipients": []}))
        .await
        .expect_problem(422, "validation_failed");
    for key in ["r1", "r2"] {
        let key = [("idempotency-key", key)];
        api.request(Method::POST, &resend, &trainer, None, &key).await.expect(202);
    }
    let key = [("idempotency-key", "r1")];
    api.request(Method::POST, &resend, &trainer, Some(json!({"recipients": ["student-1"]})), &key)
        .await
        .expect_problem(422, "idempotency_key_reused");
    let key = [("idempotency-key", "r3")];
    api.request(Method::POST, &resend, &trainer, None, &key)
        .await
        .expect_problem(429, "rate_limited");
    api.post(&other, &resend, json!({})).await.expect_problem(404, "not_found");
    let quiet = json!({"live_session": {"in_app": true, "email": false}});
    api.put(&student, "/v1/me/notification-preferences", quiet).await.expect(200);
    api.put(&student, "/v1/me/notification-preferences", json!({}))
        .await
        .expect_problem(422, "validation_failed");
    api.get(&student, "/v1/me/notification-preferences").await.expect(200);
    let session = SessionId::parse(made["id"].as_str().expect("an id")).expect("an id");
    let without_session = MailKind::ReauthRequired.in_app().expect("a kind");
    let kinds = [(NotificationKind::RECORDING_READY, true), (without_session, false)];
    let notifications = kinds.map(|(kind, of_class)| {
        let announcement = DomainEvent {
            at: api.world.now(),
            kind: DomainEventKind::ReauthRequired {
                trainer: UserId::parse("t").expect("an id"),
                connection_version: 1,
                nonce: EventNonce(1),
            },
        };
        let about = NotificationSubject {
            session: session.clone(),
            title: Title::parse("Algebra I").expect("a title"),
            starts_at: api.world.now(),
        };
        let user = UserId::parse("student-1").expect("an id");
        InAppNotification::new(&announcement, kind, user, of_class.then_some(about))
    });
    store(&api.world).put_notifications(&notifications).await.expect("written");
    let page = api.get(&student, "/v1/me/notifications?limit=1").await.expect(200);
    let cursor = page["next_cursor"].as_str().expect("another page");
    api.get(&student, &format!("/v1/me/notifications?limit=1&cursor={cursor}")).await.expect(200);
    api.get(&student, "/v1/me/notifications?cursor=x")
        .await
        .expect_problem(422, "validation_failed");
    let id = page["items"][0]["id"].as_str().expect("an id");
    for verb in ["read", "dismiss"] {
        let path = |id: &str| format!("/v1/me/notifications/{id}/{verb}");
        api.request(Method::POST, &path(id), &student, None, &[]).await.expect(204);
        api.request(Method::POST, &path("x"), &student, None, &[])
            .await
            .expect_problem(404, "not_found");
    }

    for token in [&student, &trainer, &service] {
        let capabilities = api.get(token, "/v1/me/capabilities").await.expect(200);
        assert_eq!(capabilities["live_classes"], json!({"enabled": true, "reason": null}));
    }

    let admin = api.world.admin().await;

    // The session itself.
    let (join, meeting) =
        (format!("{path}/join"), made["meeting"]["id"].as_str().expect("a meeting"));
    api.request(Method::POST, &join, &student, None, &[]).await.expect_problem(409, "too_early");
    api.world.advance(SignedDuration::from_hours(26));
    api.request(Method::POST, &join, &trainer, None, &[]).await.expect(200);
    api.request(Method::POST, &join, &student, None, &[]).await.expect(200);
    let report = format!("{join}-report");
    api.post(&student, &report, json!({"milliseconds": 1830})).await.expect(204);
    for (verb, body) in [
        ("start", json!({})),
        ("recording", json!({"action": "start"})),
        ("join", json!({"name": "Ada"})),
    ] {
        let act = format!("/zoom/sim/meetings/{meeting}/{verb}");
        api.world.post("", &act, body).await;
    }
    api.put(&trainer, &path, edit).await.expect_problem(422, "validation_failed");
    api.put(&trainer, &path, course_session_body(50)).await.expect_problem(409, "conflict");
    send_poll_requests(&mut api, &path, &trainer, &student).await;
    api.world.advance(SignedDuration::from_mins(30));
    for verb in ["end", "recording"] {
        api.world.post("", &format!("/zoom/sim/meetings/{meeting}/{verb}"), json!({})).await;
    }
    let recordings = api.get(&student, &format!("{path}/recordings")).await.expect(200);
    assert_ne!(recordings["items"], json!([]));
    let file = recordings["items"][0]["id"].as_str().expect("an id");
    let file = format!("{path}/recordings/{file}");
    api.request(Method::POST, &format!("{file}/view"), &student, None, &[]).await.expect(204);
    api.put(&trainer, &file, json!({"visibility": "trainer"})).await.expect(200);
    let sync = format!("{path}/recordings/sync");
    api.request(Method::POST, &sync, &trainer, None, &[]).await.expect(200);
    let fresh = api.request(Method::POST, &sync, &trainer, None, &[]).await.expect(200);
    assert_eq!(fresh, json!({"skipped": "fresh"}));
    let timeline = api.get(&trainer, &format!("{path}/timeline")).await.expect(200);
    assert_ne!(timeline["items"], json!([]));
    let log = api.get(&admin, "/v1/logs/sessions").await.expect(200);
    assert_eq!(log["items"].as_array().expect("a list").len(), 2, "{log}");
    let log = api.get(&admin, &format!("/v1/logs/meetings/{meeting}?raw=true")).await.expect(200);
    assert_ne!(log["items"], json!([]));
    let attendance = format!("{path}/attendance");
    let report = api.get(&trainer, &attendance).await.expect(200);
    let row =
        format!("{attendance}/{}", report["attendees"][0]["attendee_id"].as_str().expect("an id"));
    let unexplained = json!({"assign_to": {"user_id": "student-2"}});
    api.put(&trainer, &row, unexplained).await.expect_problem(422, "validation_failed");
    api.put(&trainer, &row, json!({"status": "excused"})).await.expect(200);
    let decided = json!({"present": true, "reason": "Was in the room."});
    api.put(&trainer, &row, decided).await.expect(200);
    let assign = json!({"reason": "That is Ada.", "assign_to": {"user_id": "student-2"}});
    api.put(&trainer, &row, assign).await.expect_problem(409, "conflict");
    let id = &report["attendees"][0]["attendee_id"];
    let many =
        json!({"reason": "Was in the room.", "rows": [{"attendee_id": id, "present": true}]});
    api.put(&trainer, &attendance, many).await.expect(200);
    let unknown = json!({"reason": "Ill.", "rows": [{"attendee_id": id}]});
    api.put(&trainer, &attendance, unknown).await.expect_problem(422, "validation_failed");
    api.get(&trainer, &format!("{attendance}?format=csv")).await;
    api.get(&trainer, &format!("{attendance}?format=pdf"))
        .await
        .expect_problem(422, "validation_failed");
    let course = "/v1/courses/course-1/attendance";
    let table = api.get(&trainer, course).await.expect(200);
    assert_ne!(table["items"], json!([]));
    api.get(&trainer, &format!("{course}?format=csv&limit=1")).await;
    let reversed = format!("{course}?from=2026-12-02T00:00:00Z&to=2026-12-01T00:00:00Z");
    api.get(&trainer, &reversed).await.expect_problem(422, "validation_failed");
    let audit = api.get(&trainer, &format!("{attendance}/audit")).await.expect(200);
    assert_eq!(audit["items"][0]["reason"], "Was in the room.");
    api.request(Method::POST, &join, &student, None, &[])
        .await
        .expect_problem(409, "session_ended");
    let cancel = format!("{path}/cancel");
    api.post(&trainer, &cancel, json!({})).await.expect_problem(409, "session_ended");
    let other_class = api.post(&trainer, "/v1/sessions", session_body(50)).await.expect(201);
    let cancel = format!("/v1/sessions/{}/cancel", other_class["id"].as_str().expect("an id"));
    api.post(&trainer, &cancel, json!({"reason": "Snow."})).await.expect(200);
    api.get(&trainer, &cancel.replace("/cancel", "/calendar.ics")).await;
    api.post(&trainer, &resend, json!({})).await.expect_problem(409, "session_ended");
    let resend = cancel.replace("/cancel", "/resend-invite");
    api.post(&trainer, &resend, json!({})).await.expect_problem(409, "session_cancelled");

    // The directory.
    let course = "/v1/directory/courses/course-2";
    api.put(&service, course, json!({"title": "Geometry", "trainer_id": "trainer-1"}))
        .await
        .expect(200);
    let enrollment_path = format!("{course}/enrollments/student-9");
    let student_9 = json!({"email": "student9@example.test", "name": "Student 9"});
    api.put(&service, &enrollment_path, student_9).await.expect(200);
    let user = json!({"email": "student9@example.test", "name": "Student 9", "role": "student", "plan": null});
    api.put(&service, "/v1/directory/users/student-9", user).await.expect(200);
    api.put(&service, "/v1/directory/users/a%23b", json!({}))
        .await
        .expect_problem(422, "validation_failed");
    let lines = json!({"type": "user", "id": "student-9", "deleted": true});
    api.post(&service, "/v1/directory/import", lines).await.expect(200);
    api.post(&service, "/v1/directory/import", json!({"type": "planet"})).await.expect(200);
    for path in [&enrollment_path, course, "/v1/directory/users/student-9"] {
        api.delete(&service, path).await.expect(204);
    }
    // Hosts.
    let host = json!({"email": "host@example.test", "create": "auto", "licence": "permanent"});
    api.put(&service, "/v1/hosts/trainer-2", host).await.expect(202);
    api.world.stack.schedules.run("meeting-sweep").await.expect("a report");
    api.get(&service, "/v1/hosts/trainer-2").await.expect(200);
    api.get(&service, "/v1/hosts?state=active").await.expect(200);
    api.get(&service, "/v1/hosts/licences").await.expect(200);
    api.delete(&service, "/v1/hosts/trainer-2?zoom=disassociate").await.expect(202);
    // Runs.
    let run = json!({"kind": "meetings", "days_ahead": 30});
    let run = api.post(&service, "/v1/runs", run).await.expect(202);
    let run = format!("/v1/runs/{}", run["id"].as_str().expect("an id"));
    api.get(&service, &run).await.expect(200);
    api.world.stack.schedules.run("meeting-sweep").await.expect("a report");
    api.get(&service, &run).await.expect(200);
    api.get(&service, "/v1/runs?kind=meetings").await.expect(200);
    let run = json!({"kind": "recordings", "days_back": 3});
    api.post(&service, "/v1/runs", run).await.expect(202);
    api.world.stack.schedules.run("reconcile-sweep").await.expect("a report");
    api.get(&service, "/v1/runs?kind=recordings").await.expect(200);
    suppress_addresses(&mut api, &service).await;
    send_payments(&mut api, &service).await;
    api.put(
        &service,
        "/v1/directory/settings",
        json!({"plans": {"tiny": {"sessions_per_month": 0}}}),
    )
    .await
    .expect(200);
    api.post(&trainer, "/v1/sessions", session_body(60)).await.expect_problem(403, "plan_required");
    api.put(&service, "/v1/directory/settings", json!({"live_classes_enabled": false}))
        .await
        .expect(200);
    api.post(&trainer, "/v1/sessions", session_body(60))
        .await
        .expect_problem(403, "feature_disabled");
    api.delete(&trainer, "/v1/zoom/connection").await.expect(204);

    let all: BTreeSet<_> = ROUTES
        .iter()
        .chain(GUEST_ROUTES)
        .map(|route| format!("{} {}", route.method, route.path))
        .collect();
    let unseen: Vec<_> = all.difference(&api.successful_routes).collect();
    assert!(
        unseen.is_empty(),
        "send these requests here as well, so that their responses are checked: {unseen:?}"
    );
}
