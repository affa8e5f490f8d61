//! Directory commands of the host platform: requests, imports and EventBridge events, and the erasure of people.

mod defaults;
mod erasure;
pub(crate) mod erasure_in_progress;
mod erasure_of_mails;
mod imports;

use http::Method;
use jiff::SignedDuration;
use local::calls::Service::Dynamodb;
use local::faults::{Fault, FaultKind};
use serde_json::{Value, json};
use shared::domain::text::Email;

use crate::functions::store;
use crate::log::CapturedLog;
use crate::support::{fields, invitees, patched, session_path};
use crate::world::{Response, World, course_session_body, session_body};
use crate::zoom_session::{HOURS_AHEAD, ScheduledSession};

/// Returns every route of the directory with a valid body.
fn routes() -> Vec<(Method, &'static str, Option<Value>)> {
    let course = json!({"title": "Algebra I", "trainer_id": "trainer-1"});
    let enrollment = json!({"email": "s@example.test", "name": "S", "access_granted": true});
    let user =
        json!({"email": "s@example.test", "name": "S", "role": "student", "locale": "de-CH"});
    let settings =
        json!({"live_classes_enabled": true, "plans": {"pro": {"sessions_per_month": 9}}});
    vec![
        (Method::PUT, "/v1/directory/courses/c-1", Some(course)),
        (Method::PUT, "/v1/directory/courses/c-1/enrollments/u-1", Some(enrollment)),
        (Method::PUT, "/v1/directory/users/u-1", Some(user)),
        (Method::PUT, "/v1/directory/settings", Some(settings)),
        (Method::DELETE, "/v1/directory/courses/c-1/enrollments/u-1", None),
        (Method::DELETE, "/v1/directory/courses/c-1", None),
        (Method::DELETE, "/v1/directory/users/u-1", None),
    ]
}

async fn import(world: &World, lines: &str) -> Response {
    let service = world.service().await;
    world.send_raw(Method::POST, "/v1/directory/import", &service, lines.as_bytes().to_vec()).await
}

async fn send_event(world: &World, kind: &str, detail: Value) -> Result<Value, String> {
    let event = json!({
        "version": "0", "id": "e-1", "detail-type": kind, "source": "host.platform", "account": "000000000000",
        "time": "2026-11-21T09:00:00Z", "region": "eu-central-1", "resources": [], "detail": detail,
    });
    let result = world.stack.functions.invoke("directory", event, Default::default()).await;
    result.map_err(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_service_role_may_send_directory_commands() {
    let world = World::start().await;
    let admin = world.token(json!({"sub": "a", "role": "admin"})).await;
    let strangers = [world.trainer().await, world.student(1).await, admin];
    let before = world.dump().await.len();
    for (method, path, body) in routes() {
        for stranger in &strangers {
            let response = world.call(method.clone(), path, stranger, body.clone(), &[]).await;
            response.expect_problem(403, "forbidden");
        }
        world.call(method, path, "", body, &[]).await.expect_problem(401, "unauthenticated");
    }
    let response =
        world.send_raw(Method::POST, "/v1/directory/import", &strangers[0], b"{}".to_vec()).await;
    response.expect_problem(403, "forbidden");
    assert_eq!(world.dump().await.len(), before);

    let service = world.service().await;
    for (method, path, body) in routes() {
        // Commands are idempotent.
        for _ in 0..2 {
            let response = world.call(method.clone(), path, &service, body.clone(), &[]).await;
            match &body {
                None => drop(response.expect(204)),
                Some(body) => {
                    let stored = response.expect(200);
                    for (field, value) in body.as_object().expect("an object") {
                        assert_eq!(stored[field], *value, "{path}");
                    }
                }
            }
        }
    }
    // The erasure and the removal of the course are remembered by digests, and repeated once each. Changes of enrollments
    // wait for a minute.
    let left = world.dump().await.into_iter();
    let left = left.filter(|item| !item.to_string().contains("erased_at"));
    let left = left.filter(|item| item["pk"] != "DUE#OUTBOX");
    assert_eq!(left.count(), before, "every stored item should be deleted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_directory_command_is_rejected_with_field() {
    let world = World::start().await;
    let service = world.service().await;
    let before = world.dump().await;
    for (path, body, field) in [
        ("courses/c-1", json!({"trainer_id": "t"}), "title"),
        ("courses/c-1", json!({"title": "", "trainer_id": "t"}), "title"),
        ("courses/c-1", json!({"title": "x", "trainer_id": "a#b"}), "trainer_id"),
        ("courses/c-1", json!({"title": "x", "trainer_id": "t", "colour": "red"}), "colour"),
        ("courses/a%23b", json!({"title": "x", "trainer_id": "t"}), "course_id"),
        ("courses/%00", json!({"title": "x", "trainer_id": "t"}), "course_id"),
        ("users/u", json!({"email": "nobody", "name": "x", "role": "student"}), "email"),
        ("users/u", json!({"email": "a@b.cd", "name": "a\r\nBcc: x", "role": "student"}), "name"),
        ("users/u", json!({"email": "a@b.cd", "name": "a\u{0}", "role": "student"}), "name"),
        (
            "users/u",
            json!({"email": "a@b.cd", "name": "x".repeat(64 * 1024), "role": "student"}),
            "name",
        ),
        (
            "users/u",
            json!({"email": "a@b.cd\r\nBcc: c@d.ef", "name": "x", "role": "student"}),
            "email",
        ),
        ("users/u", json!({"email": "a@b.cd", "name": "x", "role": ""}), "role"),
        (
            "users/u",
            json!({"email": "a@b.cd", "name": "x", "role": "student", "plan": "p".repeat(65)}),
            "plan",
        ),
        ("users/u", json!({"name": "x", "role": "trainer", "plan": "gold"}), "plan"),
        ("users/u", json!({"email": "ü@x.test", "name": "x", "role": "student"}), "email"),
        (
            "users/u",
            json!({"email": "a@b.cd", "name": "x", "role": "student", "locale": "not a tag!"}),
            "locale",
        ),
        (
            "users/u",
            json!({"email": "a@b.cd", "name": "x", "role": "student", "locale": "de_CH"}),
            "locale",
        ),
        ("courses/c/enrollments/u", json!({"email": "a@b.cd"}), "name"),
        (
            "courses/c/enrollments/u",
            json!({"email": "a@b.cd", "name": "x", "access_granted": "yes"}),
            "access_granted",
        ),
        ("settings", json!({"live_classes_enabled": "no"}), "live_classes_enabled"),
        (
            "settings",
            json!({"plans": {"pro": {"sessions_per_month": -1}}}),
            "plans.pro.sessions_per_month",
        ),
        ("settings", json!({"plans": {"pro": {"classes": 1}}}), "plans.pro.classes"),
    ] {
        let problem = world.put(&service, &format!("/v1/directory/{path}"), body.clone()).await;
        let problem = problem.expect_problem(422, "validation_failed");
        assert_eq!(fields(&problem), [field], "{path} {body:.200}");
    }
    assert_eq!(world.dump().await.len(), before.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unusual_names_are_stored_unchanged() {
    let world = World::start().await;
    let service = world.service().await;
    for name in [
        "👩‍🏫",
        "درس \u{202e}مباشر",
        "=cmd|' /C calc'!A0",
        "<script>alert(1)</script>",
        "O'Neil; DROP TABLE",
    ] {
        let user = json!({"email": "odd@example.test", "name": name, "role": "student"});
        let stored = world.put(&service, "/v1/directory/users/odd", user).await.expect(200);
        assert_eq!(stored["name"], name);
        assert_eq!(world.items("USER#odd").await[0]["name"], name);
        let course = json!({"title": name, "trainer_id": "trainer-1"});
        world.put(&service, "/v1/directory/courses/odd", course).await.expect(200);
        assert_eq!(world.items("COURSE#odd").await[0]["title"], name);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eventbridge_events_apply_same_commands_as_api() {
    let world = World::start().await;
    let (trainer, student) = (world.trainer().await, world.student(9).await);
    let course = json!({"id": "c-7", "title": "Seven", "trainer_id": "trainer-1"});
    let enrollment = json!({"course_id": "c-7", "user_id": "student-9"});
    let granted =
        patched(enrollment.clone(), json!({"email": "student9@example.test", "name": "Nine"}));
    // EventBridge delivers at least once.
    for _ in 0..2 {
        send_event(&world, "CourseUpserted", course.clone()).await.expect("an accepted event");
        send_event(&world, "EnrollmentGranted", granted.clone()).await.expect("an accepted event");
    }
    let link = json!({"course_id": "c-7", "provider": "manual", "join_url": "https://meet.example.test/a"});
    world.create(&trainer, &patched(course_session_body(26), link.clone())).await.expect(201);
    assert_eq!(world.list_items(&student, "/v1/me/sessions").await.len(), 1);
    send_event(&world, "EnrollmentRevoked", enrollment).await.expect("an accepted event");
    assert_eq!(world.list_items(&student, "/v1/me/sessions").await.len(), 0);

    let settings = json!({"live_classes_enabled": true, "plans": {"gold": {}}});
    send_event(&world, "SettingsUpdated", settings).await.expect("an accepted event");
    world
        .create(&trainer, &patched(course_session_body(26), link.clone()))
        .await
        .expect_problem(403, "plan_required");
    let user = json!({"id": "trainer-1", "email": "trainer@example.test", "name": "Tara", "role": "trainer", "plan": "gold"});
    send_event(&world, "UserUpserted", user).await.expect("an accepted event");
    world.create(&trainer, &patched(course_session_body(26), link)).await.expect(201);
    send_event(&world, "UserDeleted", json!({"id": "student-9"})).await.expect("an accepted event");
    assert_eq!(world.items("USER#student-9").await, Vec::<Value>::new());

    // Unknown events are ignored. Invalid events fail and end up in the dead-letter queue.
    send_event(&world, "MoonRisen", json!({"id": "x"})).await.expect("an ignored event");
    for (kind, detail) in [
        ("CourseUpserted", json!({"id": "c-8", "title": "", "trainer_id": "t"})),
        ("CourseUpserted", json!({"title": "x", "trainer_id": "t"})),
        ("UserDeleted", json!({})),
        ("UserUpserted", json!({"id": 7})),
    ] {
        let failed = send_event(&world, kind, detail).await.expect_err("a rejected event");
        assert!(!failed.contains('{'), "{failed}");
    }
    // The log names the invalid field.
    let log = CapturedLog::start();
    let wrong = json!({"id": "c-8", "title": "", "trainer_id": "hunter2#"});
    send_event(&world, "CourseUpserted", wrong).await.expect_err("a rejected event");
    let failures = log.events("directory.event_failed");
    assert_eq!(failures.len(), 1, "{failures:?}");
    let error = failures[0]["error"].as_str().expect("text");
    assert!(error.contains("title") && !error.contains("hunter2"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleted_course_removes_enrollments_but_not_sessions() {
    let world = World::start().await;
    let (trainer, student, service) =
        (world.trainer().await, world.student(1).await, world.service().await);
    let link = json!({"provider": "manual", "join_url": "https://meet.example.test/a"});
    let session = world.create(&trainer, &patched(course_session_body(26), link)).await.expect(201);
    world.delete(&service, "/v1/directory/courses/course-1").await.expect(204);
    assert_eq!(world.list_items(&student, "/v1/me/sessions").await, Vec::<Value>::new());
    world.get(&student, &session_path(&session)).await.expect_problem(404, "not_found");
    assert_eq!(world.get(&trainer, &session_path(&session)).await.expect(200), session);
    let left = json!(world.dump().await).to_string();
    assert!(!left.contains("\"ENROLLMENT#course-1"));
    world.cancel(&trainer, &session).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn email_index_points_to_current_user() {
    let world = World::start().await;
    let service = world.service().await;
    let put = async |id: &str, email: &str| {
        let user = json!({"email": email, "name": "Somebody", "role": "student"});
        world.put(&service, &format!("/v1/directory/users/{id}"), user).await.expect(200);
    };
    let store = store(&world);
    let user_of = async |email: &str| {
        let email = Email::parse(email).expect("an address");
        let users = store.users_by_email(std::slice::from_ref(&email)).await.expect("read");
        users.get(&email).map(|known| known.user.to_string())
    };
    put("ada", "ada@example.test").await;
    assert_eq!(user_of("ADA@example.test").await.as_deref(), Some("ada"));
    put("ada", "lovelace@example.test").await;
    assert_eq!(user_of("ada@example.test").await, None);
    assert_eq!(user_of("lovelace@example.test").await.as_deref(), Some("ada"));

    // A released address can be taken by another user, and a later change of the first user does not affect it.
    put("bob", "ada@example.test").await;
    put("ada", "ada@example.test").await;
    put("bob", "ada@example.test").await;
    put("ada", "lovelace@example.test").await;
    assert_eq!(user_of("ada@example.test").await.as_deref(), Some("bob"));
    // Two users swap addresses in one import.
    let line = |id: &str, email: &str| {
        json!({"type": "user", "id": id, "email": email, "name": "Somebody", "role": "student"})
            .to_string()
    };
    let lines = [line("bob", "lovelace@example.test"), line("ada", "ada@example.test")];
    import(&world, &lines.join("\n")).await.expect(200);
    assert_eq!(user_of("ada@example.test").await.as_deref(), Some("ada"));
    assert_eq!(user_of("lovelace@example.test").await.as_deref(), Some("bob"));

    for id in ["ada", "bob"] {
        world.delete(&service, &format!("/v1/directory/users/{id}")).await.expect(204);
        world.delete(&service, &format!("/v1/directory/users/{id}")).await.expect(204);
    }
    let left = world.items("EMAIL#").await.len();
    assert_eq!(left, 8, "the entries of the seeded users");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erased_student_is_removed_from_all_items() {
    let world = World::start().await;
    let (trainer, service) = (world.trainer().await, world.service().await);
    let user = json!({"email": "zelda@example.test", "name": "Zelda Zwingli", "role": "student"});
    world.put(&service, "/v1/directory/users/zelda", user).await.expect(200);
    // The enrollment has another email address.
    let enrollment = json!({"email": "zelda.work@example.test", "name": "Zelda Zwingli", "access_granted": true});
    world
        .put(&service, "/v1/directory/courses/course-1/enrollments/zelda", enrollment)
        .await
        .expect(200);
    world.advance(SignedDuration::from_mins(1));
    world.run_outbox_sweep().await;
    let link = json!({"provider": "manual", "join_url": "https://meet.example.test/a", "audience_type": "invitees"});
    let list = |email: &str| json!({"invitees": [{"email": email, "name": "Zelda Zwingli"}, {"email": "student1@example.test"}]});
    let first = patched(patched(session_body(26), link.clone()), list("ZELDA@example.test"));
    let session = world.create(&trainer, &first).await.expect(201);
    world
        .create(
            &trainer,
            &patched(patched(session_body(30), link.clone()), list("zelda.work@example.test")),
        )
        .await
        .expect(201);
    // A replaced invitee list and a long one also contain the student.
    let edited = patched(first, json!({"invitees": invitees(3)}));
    world.edit(&trainer, &session, &edited).await.expect(200);
    let mut many = invitees(100);
    many.as_array_mut()
        .expect("a list")
        .push(json!({"email": "zelda@example.test", "name": "Zelda Zwingli"}));
    world
        .create(&trainer, &patched(patched(session_body(40), link), json!({"invitees": many})))
        .await
        .expect(201);
    let named = json!(world.dump().await).to_string().to_lowercase().matches("zelda").count();
    assert!(named > 5);

    for _ in 0..2 {
        world.delete(&service, "/v1/directory/users/zelda").await.expect(204);
        let left: Vec<_> = world
            .dump()
            .await
            .into_iter()
            .filter(|item| {
                let text = item.to_string().to_lowercase();
                text.contains("zelda") || text.contains("zwingli")
            })
            .collect();
        assert_eq!(left, Vec::<Value>::new());
    }
    let shown = world.list_items(&trainer, "/v1/sessions").await;
    assert_eq!(shown.len(), 3, "the sessions should be kept");
    let student = world.student(1).await;
    assert_eq!(
        world.list_items(&student, "/v1/me/sessions").await.len(),
        3,
        "the other invitees should be kept"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erased_student_is_removed_from_zoom_events() {
    let world = World::start().await;
    let (trainer, service) = (world.trainer().await, world.service().await);
    world.connect_zoom(&trainer, "app").await;
    let enrollment = json!({"email": "zelda@example.test", "name": "Zelda Zwingli"});
    let path = "/v1/directory/courses/course-1/enrollments/zelda";
    world.put(&service, path, enrollment).await.expect(200);
    let session = ScheduledSession::schedule_for_course(&world, &trainer).await;
    world.advance(SignedDuration::from_hours(HOURS_AHEAD));
    let zelda = json!({"sub": "zelda", "role": "student", "email": "zelda@example.test", "name": "Zelda Zwingli"});
    let zelda = world.token(zelda).await;
    let join = format!("{}/join", session.path);
    let credentials = world.post(&zelda, &join, json!({})).await.expect(200);
    world.post(&world.student(1).await, &join, json!({})).await.expect(200);
    session.simulate(&world, "start", json!({})).await;
    let by_key = json!({"name": "Zelda Zwingli", "customer_key": credentials["customer_key"]});
    session.simulate(&world, "join", by_key).await;
    // A second device is signed in to the student's own Zoom account.
    session
        .simulate(&world, "join", json!({"name": "zelda's phone", "email": "zelda@example.test"}))
        .await;
    session.simulate(&world, "join", json!({"name": "Student 1"})).await;
    world.advance(SignedDuration::from_mins(30));
    session.simulate(&world, "end", json!({})).await;
    let named = json!(world.dump().await).to_string().to_lowercase().matches("zelda").count();
    assert!(named > 5, "{named}");

    for _ in 0..2 {
        world.delete(&service, "/v1/directory/users/zelda").await.expect(204);
        assert_eq!(erasure::items_with_personal_data(&world).await, Vec::<Value>::new());
    }
    let report = world.get(&trainer, &format!("{}/attendance", session.path)).await.expect(200);
    let names: Vec<_> = report["attendees"]
        .as_array()
        .expect("rows")
        .iter()
        .filter(|row| row["minutes"] != 0)
        .map(|row| row["name"].as_str().unwrap_or_default())
        .collect();
    assert_eq!(names.iter().filter(|name| **name == "(erased)").count(), 2, "{names:?}");
    assert!(names.contains(&"Student 1"), "{names:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oversized_settings_are_rejected() {
    let world = World::start().await;
    let service = world.service().await;
    let pilot: Vec<_> = (0..2001).map(|n| format!("trainer-{n}")).collect();
    let plans: serde_json::Map<_, _> = (0..101).map(|n| (format!("plan-{n}"), json!({}))).collect();
    for (settings, field) in [
        (json!({"live_classes_enabled": true, "pilot_trainer_ids": pilot}), "pilot_trainer_ids"),
        (json!({"live_classes_enabled": true, "plans": plans}), "plans"),
        (json!({"live_classes_enabled": true, "plans": {"p".repeat(65): {}}}), "plans"),
    ] {
        let response = world.put(&service, "/v1/directory/settings", settings).await;
        assert_eq!(fields(&response.expect_problem(422, "validation_failed")), [field]);
    }
    let largest: Vec<_> = (0..2000).map(|n| format!("{n:0>128}")).collect();
    let settings = json!({"live_classes_enabled": true, "pilot_trainer_ids": largest});
    world.put(&service, "/v1/directory/settings", settings).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guest_unknown_to_directory_is_erased_by_invited_address() {
    let world = World::start().await;
    let (trainer, service) = (world.trainer().await, world.service().await);
    world.connect_zoom(&trainer, "app").await;
    let list = json!({"invitees": [{"email": "zelda@example.test", "name": "Zelda Zwingli"}]});
    let body = patched(patched(session_body(1), json!({"audience_type": "invitees"})), list);
    let session = world.create(&trainer, &body).await.expect(201);
    world.advance(SignedDuration::from_mins(55));
    let guest = json!({"sub": "zelda-1", "role": "student", "email": "zelda@example.test", "name": "Zelda Zwingli"});
    let guest = world.token(guest).await;
    world.post(&guest, &format!("{}/join", session_path(&session)), json!({})).await.expect(200);
    let named =
        async || json!(world.dump().await).to_string().to_lowercase().matches("zelda").count();
    assert!(named().await > 1);
    // The runbook's procedure: create the user, then delete it.
    let user = "/v1/directory/users/zelda-1";
    let entry = json!({"email": "zelda@example.test", "name": "Zelda Zwingli", "role": "student"});
    world.put(&service, user, entry).await.expect(200);
    world.delete(&service, user).await.expect(204);
    assert_eq!(named().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erasing_trainer_cancels_upcoming_sessions_and_notifies_students() {
    let world = World::start().await;
    let (trainer, service) = (world.trainer().await, world.service().await);
    world.connect_zoom(&trainer, "app").await;
    let past = world.create(&trainer, &course_session_body(1)).await.expect(201);
    let mut upcoming = Vec::new();
    for hours in [30, 40, 50] {
        upcoming.push(world.create(&trainer, &course_session_body(hours)).await.expect(201));
    }
    // The window of the first one closes after three and a half hours.
    world.advance(SignedDuration::from_hours(4));
    world.run_outbox_sweep().await;
    let cancelled = async || {
        let mailed = world.sent_mails().await;
        mailed.iter().filter(|(kind, _)| kind == "cancelled").count()
    };
    // The erasure is interrupted and retried.
    let fault =
        Fault::new(Dynamodb, "TransactWriteItems", FaultKind::Error).for_function("directory");
    world.inject_fault(fault.after(1).times(20));
    let erase = "/v1/directory/users/trainer-1";
    let interrupted = world.delete(&service, erase).await;
    assert!(interrupted.status.is_server_error(), "{}", interrupted.status);
    world.stack.faults.clear();
    world.delete(&service, erase).await.expect(204);
    world.run_outbox_sweep().await;
    assert_eq!(
        cancelled().await,
        15,
        "five students should get one cancellation for each of three sessions"
    );
    for session in &upcoming {
        assert_eq!(world.meeting_of(session)["status"], "deleted");
    }
    let student = world.student(1).await;
    let listed = world.list_items(&student, "/v1/me/sessions").await;
    let join_state = |session: &Value| {
        let shown = listed.iter().find(|shown| shown["id"] == session["id"]);
        shown.map(|shown| shown["join"]["state"].clone()).expect("a listed session")
    };
    assert!(upcoming.iter().all(|session| join_state(session) == "cancelled"), "{listed:?}");
    assert_eq!(join_state(&past), "closed", "a past session should not be cancelled");
    world.delete(&service, erase).await.expect(204);
    world.advance(SignedDuration::from_hours(60));
    assert_eq!(world.sweep().await["reminded"], 0);
    world.run_outbox_sweep().await;
    assert_eq!(cancelled().await, 15);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erasing_trainer_revokes_and_deletes_grant() {
    let world = World::start().await;
    let (trainer, service) = (world.trainer().await, world.service().await);
    world.connect_zoom(&trainer, "app").await;
    world.create(&trainer, &session_body(26)).await.expect(201);
    let grants =
        || world.stack.zoom.snapshot()["grants"].as_object().map_or(0, serde_json::Map::len);
    assert_eq!(grants(), 1);
    let zoom_user =
        world.get(&trainer, "/v1/zoom/connection").await.expect(200)["zoom_email"].clone();
    world.delete(&service, "/v1/directory/users/trainer-1").await.expect(204);
    assert_eq!(grants(), 0, "the grant should be revoked at Zoom");
    let left = json!(world.dump().await).to_string();
    for named in [
        "trainer@example.test",
        "Tara",
        zoom_user.as_str().expect("an address"),
        "access_token",
        "refresh_token",
    ] {
        assert!(!left.contains(named), "{named}");
    }
    world.create(&trainer, &session_body(26)).await.expect_problem(403, "forbidden");
}
