//! What the host platform says: taken one by one, as a file and as events, all in the same words, and forgotten whole.

mod erased;

use http::Method;
use jiff::SignedDuration;
use local::calls::Service::Dynamodb;
use local::faults::{Fault, Kind};
use serde_json::{Value, json};
use shared::domain::text::Email;

use crate::direct::store;
use crate::lesson::{HOURS_AHEAD, Lesson};
use crate::log::Log;
use crate::look::{fields, invitees, path_of, with};
use crate::world::{Answer, World, class, course_class};

/// Every route of the directory, with a body that is right.
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

async fn import(world: &World, lines: &str) -> Answer {
    let service = world.service().await;
    world.raw(Method::POST, "/v1/directory/import", &service, lines.as_bytes().to_vec()).await
}

async fn tell(world: &World, kind: &str, detail: Value) -> Result<Value, String> {
    let event = json!({
        "version": "0", "id": "e-1", "detail-type": kind, "source": "host.platform", "account": "000000000000",
        "time": "2026-11-21T09:00:00Z", "region": "eu-central-1", "resources": [], "detail": detail,
    });
    let told = world.stack.functions.invoke("directory", event, Default::default()).await;
    told.map_err(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_statement_is_taken_from_the_platform_and_from_nobody_else() {
    let world = World::start().await;
    let admin = world.token(json!({"sub": "a", "role": "admin"})).await;
    let strangers = [world.trainer().await, world.student(1).await, admin];
    let before = world.dump().await.len();
    for (method, path, body) in routes() {
        for stranger in &strangers {
            let answer = world.call(method.clone(), path, stranger, body.clone(), &[]).await;
            answer.refused(403, "forbidden");
        }
        world.call(method, path, "", body, &[]).await.refused(401, "unauthenticated");
    }
    let answer =
        world.raw(Method::POST, "/v1/directory/import", &strangers[0], b"{}".to_vec()).await;
    answer.refused(403, "forbidden");
    assert_eq!(world.dump().await.len(), before);

    let service = world.service().await;
    for (method, path, body) in routes() {
        // Saying a thing twice is saying it once.
        for _ in 0..2 {
            let answer = world.call(method.clone(), path, &service, body.clone(), &[]).await;
            match &body {
                None => drop(answer.expect(204)),
                Some(body) => {
                    let told = answer.expect(200);
                    for (field, value) in body.as_object().expect("an object") {
                        assert_eq!(told[field], *value, "{path}");
                    }
                }
            }
        }
    }
    let left = world.dump().await;
    assert_eq!(left.len(), before, "what was put was deleted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_fit_is_named_and_not_taken() {
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
        let problem = problem.refused(422, "validation_failed");
        assert_eq!(fields(&problem), [field], "{path} {body:.200}");
    }
    assert_eq!(world.dump().await.len(), before.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_names_are_kept_as_they_are() {
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
        let told = world.put(&service, "/v1/directory/users/odd", user).await.expect(200);
        assert_eq!(told["name"], name);
        assert_eq!(world.items("USER#odd").await[0]["name"], name);
        let course = json!({"title": name, "trainer_id": "trainer-1"});
        world.put(&service, "/v1/directory/courses/odd", course).await.expect(200);
        assert_eq!(world.items("COURSE#odd").await[0]["title"], name);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_takes_the_good_lines_and_names_the_bad_ones() {
    let world = World::start().await;
    let lines = [
        r#"{"type":"course","id":"c-1","title":"First","trainer_id":"trainer-1"}"#,
        r#"{"type":"user","id":"u-1","email":"nobody","name":"Ada","role":"student"}"#,
        "",
        r#"{"type":"enrollment","course_id":"c-1","user_id":"student-9","email":"student9@example.test","name":"Nine"}"#,
        "nonsense",
        r#"{"type":"course","id":"c-1","title":"Last","trainer_id":"trainer-1"}"#,
        r#"{"type":"enrollment","course_id":"c-2","user_id":"u-1","email":"u@example.test","name":"U","deleted":true}"#,
        r#"{"type":"user","id":"u-2","email":"u2@example.test","name":"Two","role":"student"}"#,
        r#"{"type":"user","id":"u-2","deleted":true}"#,
        r#"{"type":"user","id":"u-3","deleted":true}"#,
        r#"{"type":"user","id":"u-3","email":"u3@example.test","name":"Three","role":"student"}"#,
        r#"{"type":"enrollment","course_id":"c-1","user_id":"student-8","email":"s8@example.test","name":"Eight"}"#,
        r#"{"type":"enrollment","course_id":"c-1","user_id":"student-8","deleted":true}"#,
        r#"{"type":"moon"}"#,
        r#"{"type":"course","id":"c-1","title":"x","trainer_id":"t","deleted":"yes"}"#,
    ];
    let told = import(&world, &lines.join("\r\n")).await.expect(200);
    assert_eq!(told["accepted"], 10);
    let rejected: Vec<_> = told["rejected"].as_array().expect("a list").iter().collect();
    assert_eq!(rejected.iter().map(|it| &it["line"]).collect::<Vec<_>>(), [2, 5, 14, 15]);
    assert!(rejected.iter().all(|it| it["code"] == "validation_failed"));
    let courses = world.items("COURSE#c-1").await;
    assert_eq!(courses[0]["title"], "Last", "the later line counts");
    assert_eq!(world.items("USER#u-2").await, Vec::<Value>::new());
    assert_eq!(world.items("USER#u-3").await.len(), 1);
    let left = world.items("USER#student-8").await;
    assert_eq!((left.len(), &left[0]["sk"]), (1, &json!("LEFT#c-1")), "only that they were there");
    assert_eq!(world.items("USER#student-9").await.len(), 2, "themselves and their place");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_of_thousands_of_lines_is_taken_whole_or_said_to_be_too_large() {
    let world = World::start().await;
    let line = |n: usize| {
        json!({"type": "enrollment", "course_id": "course-1", "user_id": format!("u-{n}"),
            "email": format!("u{n}@example.test"), "name": format!("User {n}")})
        .to_string()
    };
    // Some of the batches are not taken whole at first.
    world.fault(
        local::faults::Fault::new(local::calls::Service::Dynamodb, "BatchWriteItem", Kind::Partial)
            .times(5),
    );
    let lines: Vec<_> = (0..2000).map(line).collect();
    let told = import(&world, &lines.join("\n")).await.expect(200);
    assert_eq!((&told["accepted"], &told["rejected"]), (&json!(2000), &json!([])));
    assert_eq!(world.items("USER#u-").await.len(), 2000);
    let answer = import(&world, &"x".repeat(4 * 1024 * 1024 + 1)).await;
    answer.refused(413, "payload_too_large");
    assert_eq!(import(&world, "").await.expect(200), json!({"accepted": 0, "rejected": []}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_say_the_same_things() {
    let world = World::start().await;
    let (trainer, student) = (world.trainer().await, world.student(9).await);
    let course = json!({"id": "c-7", "title": "Seven", "trainer_id": "trainer-1"});
    let place = json!({"course_id": "c-7", "user_id": "student-9"});
    let granted = with(place.clone(), json!({"email": "student9@example.test", "name": "Nine"}));
    // At least once, as EventBridge delivers.
    for _ in 0..2 {
        tell(&world, "CourseUpserted", course.clone()).await.expect("taken");
        tell(&world, "EnrollmentGranted", granted.clone()).await.expect("taken");
    }
    let link = json!({"course_id": "c-7", "provider": "manual", "join_url": "https://meet.example.test/a"});
    world.create(&trainer, &with(course_class(26), link.clone())).await.expect(201);
    assert_eq!(world.listed(&student, "/v1/me/sessions").await.len(), 1);
    tell(&world, "EnrollmentRevoked", place).await.expect("taken");
    assert_eq!(world.listed(&student, "/v1/me/sessions").await.len(), 0);

    let settings = json!({"live_classes_enabled": true, "plans": {"gold": {}}});
    tell(&world, "SettingsUpdated", settings).await.expect("taken");
    world
        .create(&trainer, &with(course_class(26), link.clone()))
        .await
        .refused(403, "plan_required");
    let user = json!({"id": "trainer-1", "email": "trainer@example.test", "name": "Tara", "role": "trainer", "plan": "gold"});
    tell(&world, "UserUpserted", user).await.expect("taken");
    world.create(&trainer, &with(course_class(26), link)).await.expect(201);
    tell(&world, "UserDeleted", json!({"id": "student-9"})).await.expect("taken");
    assert_eq!(world.items("USER#student-9").await, Vec::<Value>::new());

    // What is not known is left alone; what is wrong goes back, to be looked at by a person.
    tell(&world, "MoonRisen", json!({"id": "x"})).await.expect("passed over");
    for (kind, detail) in [
        ("CourseUpserted", json!({"id": "c-8", "title": "", "trainer_id": "t"})),
        ("CourseUpserted", json!({"title": "x", "trainer_id": "t"})),
        ("UserDeleted", json!({})),
        ("UserUpserted", json!({"id": 7})),
    ] {
        let failed = tell(&world, kind, detail).await.expect_err("refused");
        assert!(!failed.contains('{'), "{failed}");
    }
    // Whoever looks for it finds in the log which field it was.
    let log = Log::start();
    let wrong = json!({"id": "c-8", "title": "", "trainer_id": "hunter2#"});
    tell(&world, "CourseUpserted", wrong).await.expect_err("refused");
    let said = log.events("directory.event_failed");
    assert_eq!(said.len(), 1, "{said:?}");
    let said = said[0]["error"].as_str().expect("a text");
    assert!(said.contains("title") && !said.contains("hunter2"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_course_that_is_removed_invites_nobody_and_its_classes_stay_with_their_trainer() {
    let world = World::start().await;
    let (trainer, student, service) =
        (world.trainer().await, world.student(1).await, world.service().await);
    let link = json!({"provider": "manual", "join_url": "https://meet.example.test/a"});
    let made = world.create(&trainer, &with(course_class(26), link)).await.expect(201);
    world.delete(&service, "/v1/directory/courses/course-1").await.expect(204);
    assert_eq!(world.listed(&student, "/v1/me/sessions").await, Vec::<Value>::new());
    world.get(&student, &path_of(&made)).await.refused(404, "not_found");
    assert_eq!(world.get(&trainer, &path_of(&made)).await.expect(200), made);
    let left = json!(world.dump().await).to_string();
    assert!(!left.contains("ENROLLMENT#course-1"));
    world.cancel(&trainer, &made).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_leads_to_whose_it_is_now() {
    let world = World::start().await;
    let service = world.service().await;
    let put = async |id: &str, email: &str| {
        let user = json!({"email": email, "name": "Somebody", "role": "student"});
        world.put(&service, &format!("/v1/directory/users/{id}"), user).await.expect(200);
    };
    let store = store(&world);
    let whose = async |email: &str| {
        let email = Email::parse(email).expect("an address");
        let users = store.users_by_email(std::slice::from_ref(&email)).await.expect("read");
        users.get(&email).map(|known| known.user.to_string())
    };
    put("ada", "ada@example.test").await;
    assert_eq!(whose("ADA@example.test").await.as_deref(), Some("ada"));
    put("ada", "lovelace@example.test").await;
    assert_eq!(whose("ada@example.test").await, None);
    assert_eq!(whose("lovelace@example.test").await.as_deref(), Some("ada"));

    // What somebody left is free for another, and whoever leaves it later takes nothing from them.
    put("bob", "ada@example.test").await;
    put("ada", "ada@example.test").await;
    put("bob", "ada@example.test").await;
    put("ada", "lovelace@example.test").await;
    assert_eq!(whose("ada@example.test").await.as_deref(), Some("bob"));
    // Two who swap, in one import.
    let line = |id: &str, email: &str| {
        json!({"type": "user", "id": id, "email": email, "name": "Somebody", "role": "student"})
            .to_string()
    };
    let lines = [line("bob", "lovelace@example.test"), line("ada", "ada@example.test")];
    import(&world, &lines.join("\n")).await.expect(200);
    assert_eq!(whose("ada@example.test").await.as_deref(), Some("ada"));
    assert_eq!(whose("lovelace@example.test").await.as_deref(), Some("bob"));

    for id in ["ada", "bob"] {
        world.delete(&service, &format!("/v1/directory/users/{id}")).await.expect(204);
        world.delete(&service, &format!("/v1/directory/users/{id}")).await.expect(204);
    }
    let left = world.items("EMAIL#").await.len();
    assert_eq!(left, 8, "of the starting data's users");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_student_who_is_erased_is_named_nowhere() {
    let world = World::start().await;
    let (trainer, service) = (world.trainer().await, world.service().await);
    let user = json!({"email": "zelda@example.test", "name": "Zelda Zwingli", "role": "student"});
    world.put(&service, "/v1/directory/users/zelda", user).await.expect(200);
    // The place in a course has another address of theirs.
    let place = json!({"email": "zelda.work@example.test", "name": "Zelda Zwingli", "access_granted": true});
    world
        .put(&service, "/v1/directory/courses/course-1/enrollments/zelda", place)
        .await
        .expect(200);
    let link = json!({"provider": "manual", "join_url": "https://meet.example.test/a", "audience_type": "invitees"});
    let list = |email: &str| json!({"invitees": [{"email": email, "name": "Zelda Zwingli"}, {"email": "student1@example.test"}]});
    let first = with(with(class(26), link.clone()), list("ZELDA@example.test"));
    let made = world.create(&trainer, &first).await.expect(201);
    world
        .create(&trainer, &with(with(class(30), link.clone()), list("zelda.work@example.test")))
        .await
        .expect(201);
    // In a list that was replaced, too, and in one of many.
    let edited = with(first, json!({"invitees": invitees(3)}));
    world.edit(&trainer, &made, &edited).await.expect(200);
    let mut many = invitees(100);
    many.as_array_mut()
        .expect("a list")
        .push(json!({"email": "zelda@example.test", "name": "Zelda Zwingli"}));
    world
        .create(&trainer, &with(with(class(40), link), json!({"invitees": many})))
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
    let shown = world.listed(&trainer, "/v1/sessions").await;
    assert_eq!(shown.len(), 3, "the classes stay");
    let student = world.student(1).await;
    assert_eq!(world.listed(&student, "/v1/me/sessions").await.len(), 3, "with the others in them");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_zoom_told_of_somebody_who_is_erased_names_nobody() {
    let world = World::start().await;
    let (trainer, service) = (world.trainer().await, world.service().await);
    world.connect_zoom(&trainer, "app").await;
    let place = json!({"email": "zelda@example.test", "name": "Zelda Zwingli"});
    let path = "/v1/directory/courses/course-1/enrollments/zelda";
    world.put(&service, path, place).await.expect(200);
    let lesson = Lesson::schedule(&world, &trainer).await;
    world.advance(SignedDuration::from_hours(HOURS_AHEAD));
    let zelda = json!({"sub": "zelda", "role": "student", "email": "zelda@example.test", "name": "Zelda Zwingli"});
    let zelda = world.token(zelda).await;
    let join = format!("{}/join", lesson.path);
    let pass = world.post(&zelda, &join, json!({})).await.expect(200);
    world.post(&world.student(1).await, &join, json!({})).await.expect(200);
    lesson.act(&world, "start", json!({})).await;
    let by_key = json!({"name": "Zelda Zwingli", "customer_key": pass["customer_key"]});
    lesson.act(&world, "join", by_key).await;
    // From a second device, signed in to a Zoom account of her own.
    lesson
        .act(&world, "join", json!({"name": "zelda's phone", "email": "zelda@example.test"}))
        .await;
    lesson.act(&world, "join", json!({"name": "Student 1"})).await;
    world.advance(SignedDuration::from_mins(30));
    lesson.act(&world, "end", json!({})).await;
    let named = json!(world.dump().await).to_string().to_lowercase().matches("zelda").count();
    assert!(named > 5, "{named}");

    for _ in 0..2 {
        world.delete(&service, "/v1/directory/users/zelda").await.expect(204);
        for item in world.dump().await {
            let text = item.to_string().to_lowercase();
            assert!(!text.contains("zelda") && !text.contains("zwingli"), "{item}");
        }
    }
    let report = world.get(&trainer, &format!("{}/attendance", lesson.path)).await.expect(200);
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
async fn settings_that_no_item_would_hold_are_refused() {
    let world = World::start().await;
    let service = world.service().await;
    let pilot: Vec<_> = (0..2001).map(|n| format!("trainer-{n}")).collect();
    let plans: serde_json::Map<_, _> = (0..101).map(|n| (format!("plan-{n}"), json!({}))).collect();
    for (settings, field) in [
        (json!({"live_classes_enabled": true, "pilot_trainer_ids": pilot}), "pilot_trainer_ids"),
        (json!({"live_classes_enabled": true, "plans": plans}), "plans"),
        (json!({"live_classes_enabled": true, "plans": {"p".repeat(65): {}}}), "plans"),
    ] {
        let answer = world.put(&service, "/v1/directory/settings", settings).await;
        assert_eq!(fields(&answer.refused(422, "validation_failed")), [field]);
    }
    let largest: Vec<_> = (0..2000).map(|n| format!("{n:0>128}")).collect();
    let settings = json!({"live_classes_enabled": true, "pilot_trainer_ids": largest});
    world.put(&service, "/v1/directory/settings", settings).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_of_whom_the_directory_never_heard_is_erased_by_the_address_that_was_invited() {
    let world = World::start().await;
    let (trainer, service) = (world.trainer().await, world.service().await);
    world.connect_zoom(&trainer, "app").await;
    let list = json!({"invitees": [{"email": "zelda@example.test", "name": "Zelda Zwingli"}]});
    let body = with(with(class(1), json!({"audience_type": "invitees"})), list);
    let made = world.create(&trainer, &body).await.expect(201);
    world.advance(SignedDuration::from_mins(55));
    let guest = json!({"sub": "zelda-1", "role": "student", "email": "zelda@example.test", "name": "Zelda Zwingli"});
    let guest = world.token(guest).await;
    world.post(&guest, &format!("{}/join", path_of(&made)), json!({})).await.expect(200);
    let named =
        async || json!(world.dump().await).to_string().to_lowercase().matches("zelda").count();
    assert!(named().await > 1);
    // As the runbook says: who they are first, and then that they are gone.
    let user = "/v1/directory/users/zelda-1";
    let entry = json!({"email": "zelda@example.test", "name": "Zelda Zwingli", "role": "student"});
    world.put(&service, user, entry).await.expect(200);
    world.delete(&service, user).await.expect(204);
    assert_eq!(named().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_erased_trainer_was_to_teach_is_cancelled_and_its_students_are_told() {
    let world = World::start().await;
    let (trainer, service) = (world.trainer().await, world.service().await);
    world.connect_zoom(&trainer, "app").await;
    let past = world.create(&trainer, &course_class(1)).await.expect(201);
    let mut ahead = Vec::new();
    for hours in [30, 40, 50] {
        ahead.push(world.create(&trainer, &course_class(hours)).await.expect(201));
    }
    world.advance(SignedDuration::from_hours(3));
    world.drain().await;
    let cancelled = async || {
        let mailed = world.mailed().await;
        mailed.iter().filter(|(kind, _)| kind == "cancelled").count()
    };
    // Cut off in the midst of it, and said again.
    let fault = Fault::new(Dynamodb, "TransactWriteItems", Kind::Error).by("directory");
    world.fault(fault.after(1).times(20));
    let erase = "/v1/directory/users/trainer-1";
    let cut = world.delete(&service, erase).await;
    assert!(cut.status.is_server_error(), "{}", cut.status);
    world.stack.faults.clear();
    world.delete(&service, erase).await.expect(204);
    world.drain().await;
    assert_eq!(cancelled().await, 15, "three classes, five students, each once");
    for class in &ahead {
        assert_eq!(world.meeting_of(class)["status"], "deleted");
    }
    let student = world.student(1).await;
    let listed = world.listed(&student, "/v1/me/sessions").await;
    let state = |class: &Value| {
        let shown = listed.iter().find(|shown| shown["id"] == class["id"]);
        shown.map(|shown| shown["join"]["state"].clone()).expect("it is listed")
    };
    assert!(ahead.iter().all(|class| state(class) == "cancelled"), "{listed:?}");
    assert_eq!(state(&past), "open", "what was held is not undone");
    world.delete(&service, erase).await.expect(204);
    world.advance(SignedDuration::from_hours(60));
    assert_eq!(world.sweep().await["reminded"], 0);
    world.drain().await;
    assert_eq!(cancelled().await, 15);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trainer_who_is_erased_leaves_no_grant_here_or_at_zoom() {
    let world = World::start().await;
    let (trainer, service) = (world.trainer().await, world.service().await);
    world.connect_zoom(&trainer, "app").await;
    world.create(&trainer, &class(26)).await.expect(201);
    let grants =
        || world.stack.zoom.snapshot()["grants"].as_object().map_or(0, serde_json::Map::len);
    assert_eq!(grants(), 1);
    let zoom_user =
        world.get(&trainer, "/v1/zoom/connection").await.expect(200)["zoom_email"].clone();
    world.delete(&service, "/v1/directory/users/trainer-1").await.expect(204);
    assert_eq!(grants(), 0, "revoked at Zoom");
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
    world.create(&trainer, &class(26)).await.refused(403, "plan_required");
}
