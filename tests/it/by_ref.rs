//! Classes by the platform's own name: an upsert is safe to repeat, and a name refers to one class.

mod leftovers;
mod model;

use futures::future::join_all;
use http::Method;
use jiff::SignedDuration;
use local::calls::Service;
use mail_parser::MessageParser;
use serde_json::{Value, json};

use crate::late_answers::check_agreement;
use crate::support::{fields, invitees, patched, session_path};
use crate::usage::{check_budgets, take_cost};
use crate::world::{Response, World, course_session_body, session_body};

const NAME: &str = "term-1:algebra~2@school";

impl World {
    pub(crate) async fn upsert(&self, service: &str, name: &str, body: &Value) -> Response {
        self.put(service, &ref_path(name), body.clone()).await
    }

    async fn upsert_if_match(&self, service: &str, version: &str, body: &Value) -> Response {
        let headers = [("if-match", version)];
        self.call(Method::PUT, &ref_path(NAME), service, Some(body.clone()), &headers).await
    }
}

fn ref_path(name: &str) -> String {
    format!("/v1/sessions/by-ref/{name}")
}

/// Adds the trainer. An upsert requires one.
fn of_trainer(body: Value) -> Value {
    patched(body, json!({"trainer_id": "trainer-1"}))
}

/// A body for `course-1` of `trainer-1`.
fn named_body(hours: i64) -> Value {
    of_trainer(course_session_body(hours))
}

/// A world where `trainer-1` has connected Zoom, with tokens of the trainer and the service.
async fn connected_world() -> (World, String, String) {
    let world = World::start().await;
    let (trainer, service) = (world.trainer().await, world.service().await);
    world.connect_zoom(&trainer, "app").await;
    (world, trainer, service)
}

/// The changing calls of Zoom's API: creates, edits and deletions.
fn zoom_changes(world: &World) -> [u64; 3] {
    [
        ("session-save", "create_meeting"),
        ("session-save", "update_meeting"),
        ("session-cancel", "delete_meeting"),
    ]
    .map(|(function, operation)| world.zoom_calls(function, operation))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_simultaneous_upserts_make_one_class() {
    for body in [
        named_body(50),
        patched(named_body(24 * 30), json!({"meeting": "later"})),
        patched(named_body(50), json!({"provider": "manual", "join_url": "https://a.test/b"})),
    ] {
        let (world, trainer, service) = connected_world().await;
        let responses = join_all((0..10).map(|_| world.upsert(&service, NAME, &body))).await;
        let created = responses.iter().filter(|response| response.status == 201).count();
        assert_eq!(created, 1, "one request creates the class");
        let bodies: Vec<_> = responses.into_iter().map(|response| response.json()).collect();
        assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:#?}");
        assert_eq!(bodies[0]["external_ref"], NAME);
        assert_eq!(world.list_items(&trainer, "/v1/sessions").await.len(), 1);
        let on_zoom = body["provider"] != "manual" && body["meeting"] != "later";
        assert_eq!(world.stack.zoom.meetings().len(), usize::from(on_zoom));
        assert_eq!(world.session_events().await, [("scheduled".to_owned(), 1, 0)]);
        assert_eq!(world.due_work("REPAIR").await, Vec::<Value>::new());
        let month = &bodies[0]["starts_at"].as_str().expect("a start")[..7];
        assert_eq!(world.monthly_session_count("trainer-1", month).await, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn simultaneous_upserts_of_different_bodies_are_applied_or_refused() {
    let (world, trainer, service) = connected_world().await;
    let titles: Vec<_> = (0..6).map(|n| format!("Title {n}")).collect();
    let bodies: Vec<_> =
        titles.iter().map(|title| patched(named_body(50), json!({"title": title}))).collect();
    let responses = join_all(bodies.iter().map(|body| world.upsert(&service, NAME, body))).await;
    let mut ids = Vec::new();
    for (response, title) in responses.into_iter().zip(&titles) {
        if response.status.is_success() {
            let saved = response.json();
            assert_eq!(saved["title"], title.as_str(), "a body is applied as a whole");
            ids.push(saved["id"].clone());
        } else {
            response.expect_problem(409, "conflict");
        }
    }
    assert!(!ids.is_empty() && ids.iter().all(|id| *id == ids[0]), "one class: {ids:?}");
    // The clock of the test stands, so that Zoom's events of the edits may count as drift.
    assert_eq!(world.list_items(&trainer, "/v1/sessions").await.len(), 1);
    assert_eq!(world.meetings().len(), 1);
    let shown = world.get(&service, &ref_path(NAME)).await.expect(200);
    assert_eq!(world.meeting_of(&shown)["topic"], shown["title"]);
    assert_eq!(world.monthly_session_count("trainer-1", "2026-11").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn difference_to_the_class_decides_who_hears_of_it() {
    let (world, trainer, service) = connected_world().await;
    let body = named_body(50);
    let made = world.upsert(&service, NAME, &body).await;
    let location = made.headers["location"].to_str().expect("a path").to_owned();
    let made = made.expect(201);
    assert_eq!(location, session_path(&made));
    assert_eq!((&made["source"], &made["version"]), (&json!("service"), &json!(1)));
    world.run_outbox_sweep().await;
    let invited = world.sent_mails().await.len();
    assert_eq!((invited, zoom_changes(&world)), (5, [1, 0, 0]));

    // Another form of the same values, and values that a class does not have.
    let local = json!({"starts_at": "2026-11-23T12:00:00", "description": "", "settings": {}});
    let same = patched(body.clone(), patched(local, json!({"allow_overlap": true})));
    let same = patched(same, json!({"source": "schedule", "meeting": "now"}));
    for body in [&body, &same] {
        assert_eq!(world.upsert(&service, NAME, body).await.expect(200), made);
    }
    // Only the trainers hear of a second teacher.
    let taught = patched(body.clone(), json!({"co_trainers": ["trainer-2"]}));
    assert_eq!(world.upsert(&service, NAME, &taught).await.expect(200)["version"], 2);
    world.run_outbox_sweep().await;
    assert_eq!((world.sent_mails().await.len(), zoom_changes(&world)), (invited, [1, 0, 0]));

    let renamed = patched(taught, json!({"title": "Geometry"}));
    assert_eq!(world.upsert(&service, NAME, &renamed).await.expect(200)["version"], 3);
    world.run_outbox_sweep().await;
    assert_eq!((world.sent_mails().await.len(), zoom_changes(&world)), (2 * invited, [1, 1, 0]));

    // The trainer's own edit is a difference to the body that the platform repeats.
    let own = patched(course_session_body(50), json!({"title": "Algebra", "co_trainers": []}));
    world.edit(&trainer, &made, &own).await.expect(200);
    let restored = world.upsert(&service, NAME, &renamed).await.expect(200);
    assert_eq!((&restored["title"], &restored["version"]), (&json!("Geometry"), &json!(5)));
    assert_eq!(zoom_changes(&world), [1, 3, 0]);
    check_agreement(&world, &trainer, "after the edits").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upsert_after_a_cancellation_makes_a_new_class() {
    let (world, trainer, service) = connected_world().await;
    let body = named_body(50);
    world.delete(&service, &ref_path(NAME)).await.expect_problem(404, "not_found");
    let mut ids = Vec::new();
    for generation in 1..=3 {
        let all = (0..5).map(|_| world.upsert(&service, NAME, &body));
        let responses = join_all(all).await;
        let created = responses.iter().filter(|response| response.status == 201).count();
        assert_eq!(created, 1, "generation {generation}");
        let made = responses.into_iter().next().expect("a response").json();
        ids.push(made["id"].as_str().expect("an id").to_owned());
        let shown = world.get(&service, &ref_path(NAME)).await.expect(200);
        assert_eq!((&shown["id"], &shown["status"]), (&made["id"], &json!("scheduled")));
        world.run_outbox_sweep().await;
        let reason = json!({"reason": "Snow."});
        let path = ref_path(NAME);
        let cancel = || world.call(Method::DELETE, &path, &service, Some(reason.clone()), &[]);
        let cancelled = cancel().await.expect(200);
        assert_eq!((&cancelled["id"], &cancelled["status"]), (&made["id"], &json!("cancelled")));
        assert_eq!(cancel().await.expect(200), cancelled, "repeated");
        assert_eq!(world.get(&service, &path).await.expect(200)["status"], "cancelled");
        world.run_outbox_sweep().await;
        world.advance(SignedDuration::from_mins(1));
    }
    ids.dedup();
    assert_eq!(ids.len(), 3);
    assert_eq!(zoom_changes(&world), [3, 0, 3]);
    assert_eq!(world.monthly_session_count("trainer-1", "2026-11").await, 0);
    check_agreement(&world, &trainer, "cancelled").await;
    let entries = calendar_entries(&world, "student1@example.test");
    let expected = ids.iter().flat_map(|id| ["REQUEST", "CANCEL"].map(|method| (id, method)));
    assert_eq!(entries.len(), 6, "{entries:?}");
    for ((id, method), (uid, sent)) in expected.zip(&entries) {
        assert!(uid.contains(id.as_str()) && sent == method, "{id} {method}: {uid} {sent}");
    }
    let list = "/v1/sessions?external_ref=term-1:algebra~2@school";
    let page = world.get(&service, &format!("{list}&limit=2")).await.expect(200);
    let cursor = page["next_cursor"].as_str().expect("another page").to_owned();
    let rest = world.list_items(&service, &format!("{list}&cursor={cursor}")).await;
    assert_eq!((page["items"].as_array().map(Vec::len), rest.len()), (Some(2), 1));
    assert_eq!(world.list_items(&service, &format!("{list}&status=scheduled")).await.len(), 0);
    for (token, query) in [(&trainer, ""), (&service, "&trainer_id=trainer-1")] {
        let refused = world.get(token, &format!("{list}{query}")).await;
        assert_eq!(fields(&refused.expect_problem(422, "validation_failed")), ["external_ref"]);
    }
    // Cancelling by the id frees the name as well, and the trainer sees the name.
    let made = world.upsert(&service, NAME, &body).await.expect(201);
    world.cancel(&trainer, &made).await.expect(200);
    world.upsert(&service, NAME, &body).await.expect(201);
    let listed = world.list_items(&trainer, "/v1/sessions?status=scheduled").await;
    assert_eq!((listed.len(), &listed[0]["external_ref"]), (1, &json!(NAME)));
}

/// The UID and the method of each calendar entry that was sent to an address.
fn calendar_entries(world: &World, address: &str) -> Vec<(String, String)> {
    let mails = world.stack.aws.mailbox().list().expect("the mailbox can be read").into_iter();
    let addressed = mails.filter(|mail| mail.to.iter().any(|to| to == address));
    let entries = addressed.filter_map(|mail| {
        let message = MessageParser::new().parse(&mail.raw).expect("a message");
        let mut texts = message.parts.iter().filter_map(|part| part.text_contents());
        let calendar = texts.rfind(|text| text.starts_with("BEGIN:VCALENDAR"))?;
        let calendar = calendar.replace("\r\n ", "");
        let value = |name: &str| {
            calendar.lines().find_map(|line| line.strip_prefix(name)).expect("a value").to_owned()
        };
        Some((value("UID:"), value("METHOD:")))
    });
    entries.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stored_body_is_accepted_at_any_time() {
    let (world, _, service) = connected_world().await;
    let link = json!({"provider": "manual", "join_url": "https://meet.example.test/a"});
    let list = of_trainer(patched(
        session_body(3),
        json!({"audience_type": "invitees", "invitees": invitees(3)}),
    ));
    let bodies =
        [("zoom", named_body(2)), ("manual", patched(named_body(3), link)), ("list", list)];
    for (name, body) in &bodies {
        world.upsert(&service, name, body).await.expect(201);
    }
    let other = patched(named_body(60), json!({"title": "Geometry"}));
    let repeat_all = async |context: &str| {
        for (name, body) in &bodies {
            let repeated = world.upsert(&service, name, body).await;
            assert_eq!(repeated.status, 200, "{context}, {name}: {}", repeated.text);
            assert_eq!(repeated.json()["version"], 1);
        }
    };
    // The class was started, so an equal body changes nothing and another one is refused.
    let shown = world.get(&service, &ref_path("zoom")).await.expect(200);
    let number = shown["meeting"]["id"].as_str().expect("a number").to_owned();
    world.advance(SignedDuration::from_mins(119));
    world.post("", &format!("/zoom/sim/meetings/{number}/start"), json!({})).await;
    repeat_all("live").await;
    world.upsert(&service, "zoom", &other).await.expect_problem(409, "conflict");
    world.post("", &format!("/zoom/sim/meetings/{number}/end"), json!({})).await;
    repeat_all("after the meeting").await;
    let past_title = patched(bodies[1].1.clone(), json!({"title": "Geometry"}));
    world.advance(SignedDuration::from_mins(90));
    let refused = world.upsert(&service, "manual", &past_title).await;
    assert_eq!(fields(&refused.expect_problem(422, "validation_failed")), ["starts_at"]);
    world.advance(SignedDuration::from_hours(24));
    // Neither the course nor the plan matters to a class that stays as it is.
    world
        .put(
            &service,
            "/v1/directory/courses/course-1",
            json!({"title": "New", "trainer_id": "trainer-2"}),
        )
        .await
        .expect(200);
    world.put_settings(json!({"live_classes_enabled": false})).await;
    repeat_all("after the end").await;
    for (name, _) in &bodies {
        world.upsert(&service, name, &other).await.expect_problem(409, "session_ended");
    }
    let started = patched(named_body(2), json!({"title": "Algebra"}));
    let refused = world.upsert(&service, "new", &started).await;
    assert_eq!(fields(&refused.expect_problem(422, "validation_failed")), ["starts_at"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_service_uses_names_and_only_valid_ones() {
    let (world, trainer, service) = connected_world().await;
    let body = named_body(50);
    let admin = world.token(json!({"sub": "admin-1", "role": "admin"})).await;
    for token in [&trainer, &admin, &world.student(1).await] {
        world.upsert(token, NAME, &body).await.expect_problem(403, "forbidden");
        world.get(token, &ref_path(NAME)).await.expect_problem(403, "forbidden");
        world.delete(token, &ref_path(NAME)).await.expect_problem(403, "forbidden");
    }
    for name in ["polls", "recordings", "timeline", "attendance", "a%23b", "a%20b", "%C3%A4"] {
        let refused = world.upsert(&service, name, &body).await;
        assert_eq!(fields(&refused.expect_problem(422, "validation_failed")), ["external_ref"]);
    }
    for (patch, field) in [
        (json!({"trainer_id": null}), "trainer_id"),
        (json!({"trainer_id": "a#b"}), "trainer_id"),
        (json!({"source": "manual"}), "source"),
        (json!({"title": null}), "title"),
        (json!({"external_ref": "b"}), "external_ref"),
    ] {
        let refused = world.upsert(&service, NAME, &patched(body.clone(), patch)).await;
        assert_eq!(fields(&refused.expect_problem(422, "validation_failed")), [field]);
    }
    world.upsert(&service, NAME, &body).await.expect(201);
    // A name may be encoded in the path.
    let encoded = NAME.replace(':', "%3A").replace('@', "%40");
    world.get(&service, &ref_path(&encoded)).await.expect(200);
    for (patch, field) in [
        (json!({"trainer_id": "trainer-2"}), "trainer_id"),
        (json!({"provider": "manual", "join_url": "https://a.test/b"}), "provider"),
    ] {
        let refused =
            world.upsert(&service, NAME, &patched(of_trainer(session_body(50)), patch)).await;
        assert_eq!(fields(&refused.expect_problem(422, "validation_failed")), [field]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn condition_on_the_version_protects_the_class() {
    let (world, _, service) = connected_world().await;
    let body = named_body(50);
    for version in ["\"1\"", "*"] {
        let missing = world.upsert_if_match(&service, version, &body).await;
        missing.expect_problem(412, "precondition_failed");
    }
    world.upsert(&service, NAME, &body).await.expect(201);
    let renamed = patched(body.clone(), json!({"title": "Geometry"}));
    let stale = world.upsert_if_match(&service, "\"7\"", &renamed).await;
    stale.expect_problem(412, "precondition_failed");
    world.upsert_if_match(&service, "\"7\"", &body).await.expect(200);
    let edited = world.upsert_if_match(&service, "\"1\"", &renamed).await;
    assert_eq!(edited.headers["etag"], "\"2\"");
    world.upsert_if_match(&service, "*", &body).await.expect(200);
    world.delete(&service, &ref_path(NAME)).await.expect(200);
    let cancelled = world.upsert_if_match(&service, "*", &body).await;
    cancelled.expect_problem(412, "precondition_failed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pending_meeting_is_brought_forward_by_an_upsert() {
    let (world, _, service) = connected_world().await;
    let later = patched(named_body(24 * 30), json!({"meeting": "later"}));
    let made = world.upsert(&service, NAME, &later).await.expect(201);
    assert_eq!((&made["meeting_state"], &made["version"]), (&json!("pending"), &json!(1)));
    let unspecified = named_body(24 * 30);
    for body in [&later, &unspecified] {
        assert_eq!(world.upsert(&service, NAME, body).await.expect(200), made);
    }
    let now = patched(unspecified, json!({"meeting": "now"}));
    let hastened = world.upsert(&service, NAME, &now).await.expect(200);
    assert_eq!((&hastened["meeting_at"], &hastened["version"]), (&json!(world.now()), &json!(2)));
    for body in [&now, &later] {
        assert_eq!(world.upsert(&service, NAME, body).await.expect(200), hastened);
    }
    assert_eq!(world.items("DUE#MEETINGS").await.len(), 1);
    assert_eq!(zoom_changes(&world), [0, 0, 0]);
    world.delete(&service, &ref_path(NAME)).await.expect(200);
    assert_eq!(world.items("DUE#MEETINGS").await.len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_by_name_stay_within_budget() {
    let (world, trainer, service) = connected_world().await;
    let warm = world.upsert(&service, "warm", &named_body(30)).await.expect(201);
    world.delete(&service, &ref_path("warm")).await.expect(200);
    world.cancel(&trainer, &warm).await.expect(200);
    world.get(&service, &ref_path("warm")).await.expect(200);
    world.stack.usage.reset();
    let mut costs = Vec::new();
    let mut measure = |action, function| costs.push(take_cost(&world, action, function));
    let body = named_body(50);
    world.upsert(&service, NAME, &body).await.expect(201);
    measure("upsert, new", "session-save");
    world.upsert(&service, NAME, &body).await.expect(200);
    measure("upsert, unchanged", "session-save");
    let renamed = patched(body.clone(), json!({"title": "Geometry"}));
    world.upsert(&service, NAME, &renamed).await.expect(200);
    measure("upsert, another title", "session-save");
    world.get(&service, &ref_path(NAME)).await.expect(200);
    measure("read by name", "sessions");
    world.delete(&service, &ref_path(NAME)).await.expect(200);
    measure("cancel by name", "session-cancel");
    world.upsert(&service, NAME, &body).await.expect(201);
    measure("upsert, after a cancellation", "session-save");
    world.upsert(&service, NAME, &body).await.expect(200);
    measure("upsert, unchanged, second generation", "session-save");
    let budgets = BUDGETS;
    check_budgets(&costs, &budgets);
    assert_eq!(world.stack.usage.service_totals("session-save", Service::Zoom).calls, 0);
}

/// A name costs one write of two units, and one read beside those of a request by id.
const BUDGETS: [crate::usage::Budget; 7] = [
    (5, 12.0, 40.0, 1, 1),
    (2, 4.0, 0.0, 0, 0),
    (5, 10.0, 30.0, 1, 1),
    (3, 4.0, 0.0, 0, 0),
    (5, 6.0, 25.0, 1, 1),
    (5, 12.0, 40.0, 1, 1),
    (3, 5.0, 0.0, 0, 0),
];
