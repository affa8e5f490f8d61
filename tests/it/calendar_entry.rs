//! The calendar entry of a class as a file, compared with the mailed entry by an independent parser.

use std::collections::BTreeMap;

use http::Method;
use icalendar::parser::{Component, read_calendar, unfold};
use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::config::names;

use crate::functions::DirectFunctions;
use crate::mail_relevance::mailed_calendars;
use crate::support::{patched, session_path};
use crate::usage::{check_budgets, take_cost};
use crate::world::{Response, World, course_session_body, session_body};

const ADDRESS: &str = "student1@example.test";
const USER: &str = "/v1/directory/users/student-1";
const ENROLLMENT: &str = "/v1/directory/courses/course-1/enrollments/student-1";

fn path(session: &Value) -> String {
    format!("{}/calendar.ics", session_path(session))
}

fn with_link(body: Value) -> Value {
    let texts = json!({
        "title": "Brüche; Teil 1, kurz", "description": "Bring a pencil.\nAnd paper.", "timezone": "Europe/Berlin",
        "provider": "manual", "join_url": "https://meet.example.test/a",
    });
    patched(body, texts)
}

/// The properties of a calendar with those of its components, each with its parameters.
type Properties = BTreeMap<String, String>;

fn collect(component: &Component<'_>, prefix: &str, all: &mut Properties) {
    let mut repeated: BTreeMap<&str, usize> = BTreeMap::new();
    for property in &component.properties {
        let parameters = property.params.iter().map(|parameter| {
            let value = parameter.val.as_ref().map(|value| value.as_str()).unwrap_or_default();
            format!("{}={value}", parameter.key.as_str())
        });
        let parameters: Vec<_> = parameters.collect();
        let value = format!("{parameters:?} {}", property.val.as_str());
        all.insert(format!("{prefix}{}", property.name.as_str()), value);
    }
    for part in &component.components {
        let count = repeated.entry(part.name.as_str()).or_default();
        collect(part, &format!("{prefix}{}{count}.", part.name.as_str()), all);
        *count += 1;
    }
}

/// Returns all properties except the time of the entry.
fn properties(calendar: &str) -> Properties {
    let text = unfold(calendar);
    let parsed = read_calendar(&text).expect("a calendar");
    let mut all = Properties::new();
    for property in &parsed.properties {
        all.insert(property.name.as_str().to_owned(), property.val.as_str().to_owned());
    }
    for component in &parsed.components {
        collect(component, &format!("{}.", component.name.as_str()), &mut all);
    }
    assert!(all.remove("VEVENT.DTSTAMP").is_some(), "{all:?}");
    all
}

/// Returns the properties of a file after checking its headers.
#[track_caller]
fn file(response: &Response) -> Properties {
    assert_eq!(response.status, 200, "{}", response.text);
    let all = properties(&response.text);
    let kind = format!("text/calendar; charset=UTF-8; method={}", all["METHOD"]);
    for (name, expected) in [
        ("content-type", kind.as_str()),
        ("content-disposition", "attachment; filename=\"class.ics\""),
        ("cache-control", "private, no-cache"),
    ] {
        assert_eq!(response.headers[name], expected);
        assert_eq!(response.headers.get_all(name).iter().count(), 1, "{name}");
    }
    all
}

impl World {
    async fn file(&self, token: &str, session: &Value) -> Properties {
        file(&self.get(token, &path(session)).await)
    }

    /// Returns the properties of the last entry that was mailed to an address.
    fn mailed(&self, address: &str) -> Properties {
        let (_, calendar) = mailed_calendars(self, address).pop().expect("a mailed entry");
        properties(&calendar)
    }

    async fn mail_a_minute_later(&self) {
        self.advance(SignedDuration::from_mins(1));
        self.run_outbox_sweep().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn file_of_a_student_is_the_mailed_entry() {
    let world = World::start().await;
    let (trainer, student) = (world.trainer().await, world.student(1).await);
    let body = with_link(course_session_body(50));
    let session = world.create(&trainer, &body).await.expect(201);
    world.run_outbox_sweep().await;
    let entry = world.file(&student, &session).await;
    assert_eq!(entry, world.mailed(ADDRESS));
    assert_eq!(entry["METHOD"], "REQUEST");
    assert!(entry["VEVENT.ATTENDEE"].ends_with(&format!("mailto:{ADDRESS}")), "{entry:?}");
    assert!(entry.keys().any(|name| name.starts_with("VTIMEZONE.")), "{entry:?}");

    let moved = patched(body, json!({"starts_at": world.now() + SignedDuration::from_hours(60)}));
    world.edit(&trainer, &session, &moved).await.expect(200);
    world.mail_a_minute_later().await;
    let changed = world.file(&student, &session).await;
    assert_eq!(changed, world.mailed(ADDRESS));
    assert_ne!(changed["VEVENT.SEQUENCE"], entry["VEVENT.SEQUENCE"]);

    // The address of the directory counts, with the name there.
    let user = json!({"email": "new1@example.test", "name": "Ada, Countess", "role": "student"});
    world.put(&world.service().await, USER, user).await.expect(200);
    world.post(&trainer, &format!("{}/resend-invite", session_path(&session)), json!({})).await;
    world.mail_a_minute_later().await;
    assert_eq!(world.file(&student, &session).await, world.mailed("new1@example.test"));

    world.cancel(&trainer, &session).await.expect(200);
    world.mail_a_minute_later().await;
    let cancelled = world.file(&student, &session).await;
    assert_eq!(cancelled, world.mailed("new1@example.test"));
    assert_eq!((&*cancelled["METHOD"], &*cancelled["VEVENT.STATUS"]), ("CANCEL", "[] CANCELLED"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn file_of_an_invited_address_is_the_mailed_entry() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    // One name is that of the invitation, the other one that of the user.
    let invited = json!([{"email": ADDRESS}, {"email": "student2@example.test", "name": "Bo"}]);
    let body = json!({"audience_type": "invitees", "invitees": invited});
    let session =
        world.create(&trainer, &patched(with_link(session_body(50)), body)).await.expect(201);
    world.run_outbox_sweep().await;
    for n in [1, 2] {
        let entry = world.file(&world.student(n).await, &session).await;
        assert_eq!(entry, world.mailed(&format!("student{n}@example.test")));
    }
    let unverified = json!({
        "sub": "student-1", "role": "student", "email": ADDRESS, "email_verified": false,
    });
    for token in [world.student(3).await, world.token(unverified).await] {
        world.get(&token, &path(&session)).await.expect_problem(404, "not_found");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn person_without_mails_gets_a_published_entry() {
    let world = World::start().await;
    let (trainer, service) = (world.trainer().await, world.service().await);
    let enrollment = "/v1/directory/courses/course-1/enrollments/student-7";
    world.put(&service, enrollment, json!({"name": "Seven"})).await.expect(200);
    let teachers = json!({"co_trainers": ["trainer-2"]});
    let body = patched(with_link(course_session_body(50)), teachers);
    let session = world.create(&trainer, &body).await.expect(201);
    world.run_outbox_sweep().await;
    let published = |method: &str, status: &str| {
        let mut entry = world.mailed(ADDRESS);
        entry.remove("VEVENT.ATTENDEE").expect("an attendee");
        entry.insert("METHOD".to_owned(), method.to_owned());
        assert_eq!(entry["VEVENT.STATUS"], format!("[] {status}"));
        entry
    };
    let seven = world.token(json!({"sub": "student-7", "role": "student"})).await;
    let (other, admin) = (world.other_trainer().await, world.admin().await);
    let readers = [&trainer, &seven, &other, &admin, &service];
    for reader in readers {
        assert_eq!(world.file(reader, &session).await, published("PUBLISH", "CONFIRMED"));
    }
    world.cancel(&trainer, &session).await.expect(200);
    world.mail_a_minute_later().await;
    for reader in readers {
        assert_eq!(world.file(reader, &session).await, published("PUBLISH", "CANCELLED"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entry_is_refused_like_its_session() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let session = world.create(&trainer, &with_link(course_session_body(50))).await.expect(201);
    let alone = world.create(&trainer, &with_link(session_body(70))).await.expect(201);
    let (student, stranger) = (world.student(1).await, world.student(9).await);
    let other = world.other_trainer().await;
    for (token, session) in [(&stranger, &session), (&other, &session), (&student, &alone)] {
        for path in [session_path(session), path(session)] {
            world.get(token, &path).await.expect_problem(404, "not_found");
        }
    }
    for unknown in ["ses_aaaaaaaaaaaaaaaaaaaaaaaaaa", "x"] {
        let path = format!("/v1/sessions/{unknown}/calendar.ics");
        world.get(&student, &path).await.expect_problem(404, "not_found");
    }
    world.get("", &path(&session)).await.expect_problem(401, "unauthenticated");
    let query = format!("{}?method=PUBLISH", path(&session));
    world.get(&student, &query).await.expect_problem(422, "validation_failed");
    // Revoked access takes effect with the next request.
    world.file(&student, &session).await;
    world.delete(&world.service().await, ENROLLMENT).await.expect(204);
    world.get(&student, &path(&session)).await.expect_problem(404, "not_found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn session_without_a_meeting_has_its_mailed_entry() {
    let world = World::start().await;
    let (trainer, student) = (world.trainer().await, world.student(1).await);
    world.connect_zoom(&trainer, "app").await;
    let body = patched(course_session_body(24 * 20), json!({"meeting": "later"}));
    let session = world.create(&trainer, &body).await.expect(201);
    assert_eq!(session["meeting"]["join_url"], Value::Null);
    world.run_outbox_sweep().await;
    assert_eq!(world.file(&student, &session).await, world.mailed(ADDRESS));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn file_after_a_removal_has_the_sequence_of_the_address() {
    let world = World::start().await;
    let (trainer, service) = (world.trainer().await, world.service().await);
    let student = world.student(1).await;
    let session = world.create(&trainer, &with_link(course_session_body(50))).await.expect(201);
    world.run_outbox_sweep().await;
    world.advance(SignedDuration::from_mins(1));
    world.delete(&service, ENROLLMENT).await.expect(204);
    world.mail_a_minute_later().await;
    assert_eq!(world.mailed(ADDRESS)["METHOD"], "CANCEL");
    let again = json!({"email": ADDRESS, "name": "Student 1"});
    world.put(&service, ENROLLMENT, again).await.expect(200);
    // Before the mail leaves, the file has the entry that it will have.
    let next = world.file(&student, &session).await;
    world.mail_a_minute_later().await;
    assert_eq!(next, world.mailed(ADDRESS));
    assert_eq!(next["VEVENT.SEQUENCE"], "[] 2");
    assert_eq!(world.file(&student, &session).await, next);
    // The addresses of others have the sequence of the session.
    let other = world.file(&world.student(2).await, &session).await;
    assert_eq!(other, world.mailed("student2@example.test"));
    assert_eq!(other["VEVENT.SEQUENCE"], "[] 0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn file_restores_a_removed_entry_for_a_person_without_mails() {
    let world = World::start().await;
    let (trainer, service) = (world.trainer().await, world.service().await);
    let student = world.student(1).await;
    let session = world.create(&trainer, &with_link(course_session_body(50))).await.expect(201);
    world.run_outbox_sweep().await;
    let quiet = json!({"live_session": {"in_app": true, "email": false}});
    world.put(&student, "/v1/me/notification-preferences", quiet).await.expect(200);
    world.advance(SignedDuration::from_mins(1));
    world.delete(&service, ENROLLMENT).await.expect(204);
    world.mail_a_minute_later().await;
    let again = json!({"email": ADDRESS, "name": "Student 1"});
    world.put(&service, ENROLLMENT, again).await.expect(200);
    world.mail_a_minute_later().await;
    // Nobody mails the second invitation, and a calendar ignores an entry with the sequence of its removal.
    let (removed, entry) = (world.mailed(ADDRESS), world.file(&student, &session).await);
    let methods = (&*removed["METHOD"], &*entry["METHOD"]);
    let sequences = (&*removed["VEVENT.SEQUENCE"], &*entry["VEVENT.SEQUENCE"]);
    assert_eq!((methods, sequences), (("CANCEL", "REQUEST"), ("[] 1", "[] 2")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unchanged_file_is_not_sent_again() {
    let world = World::start().await;
    let (trainer, student) = (world.trainer().await, world.student(1).await);
    let body = with_link(course_session_body(50));
    let session = world.create(&trainer, &body).await.expect(201);
    let path = path(&session);
    let first = world.get(&student, &path).await;
    let tag = first.headers["etag"].to_str().expect("a tag").to_owned();
    world.advance(SignedDuration::from_hours(1));
    let request = async |tag: &str| {
        world.call(Method::GET, &path, &student, None, &[("if-none-match", tag)]).await
    };
    let unchanged = request(&tag).await;
    assert_eq!((unchanged.status.as_u16(), &*unchanged.text), (304, ""));
    assert_eq!(unchanged.headers["etag"], tag);
    assert_eq!(unchanged.headers["cache-control"], "private, no-cache");
    // The trainer's file is another one.
    assert_ne!(world.get(&trainer, &path).await.headers["etag"], tag);
    let renamed = patched(body, json!({"title": "Geometry"}));
    world.edit(&trainer, &session, &renamed).await.expect(200);
    let changed = request(&tag).await;
    assert_eq!(file(&changed)["VEVENT.SUMMARY"], "[] Geometry");
    request("nothing quoted").await.expect_problem(422, "validation_failed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entry_without_a_sender_is_unavailable() {
    let world = World::start().await;
    let (trainer, student) = (world.trainer().await, world.student(1).await);
    let session = world.create(&trainer, &with_link(course_session_body(50))).await.expect(201);
    let functions = DirectFunctions::new(&world, &[(names::MAIL_FROM, "")]);
    let get = async |path: &str| functions.call("sessions", "GET", path, &student, None).await;
    get(&path(&session)).await.expect_problem(503, "unavailable");
    // Only this file needs the sender.
    get(&session_path(&session)).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entry_stays_within_budget() {
    let world = World::start().await;
    let (trainer, student) = (world.trainer().await, world.student(1).await);
    let of_course = world.create(&trainer, &with_link(course_session_body(50))).await.expect(201);
    let invited = json!({"audience_type": "invitees", "invitees": [{"email": ADDRESS}]});
    let invited = patched(with_link(session_body(70)), invited);
    let invited = world.create(&trainer, &invited).await.expect(201);
    world.run_outbox_sweep().await;
    // From here on the function has cached its secret and the token keys.
    world.get(&trainer, "/v1/sessions").await.expect(200);
    world.stack.usage.reset();
    let mut costs = Vec::new();
    let mut measure = |action| costs.push(take_cost(&world, action, "sessions"));
    world.file(&student, &of_course).await;
    measure("calendar entry, of a course");
    world.file(&student, &invited).await;
    measure("calendar entry, invited by address");
    world.file(&trainer, &of_course).await;
    measure("calendar entry, its trainer");
    world.get(&world.student(9).await, &path(&of_course)).await.expect_problem(404, "not_found");
    measure("calendar entry, a stranger");
    let budgets =
        [(2, 4.0, 0.0, 0, 0), (2, 4.0, 0.0, 0, 0), (1, 3.0, 0.0, 0, 0), (2, 4.0, 0.0, 0, 0)];
    check_budgets(&costs, &budgets);
}
