//! Students of whom the platform has no e-mail address: they are notified in-app, and otherwise are students like others.

use http::Method;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::mail_relevance::calendar_entries;
use crate::support::{fields, patched, session_path};
use crate::world::{World, course_session_body, session_body};

const ENROLLMENT: &str = "/v1/directory/courses/course-1/enrollments/student-7";
const USER: &str = "/v1/directory/users/student-7";
const EMAIL: &str = "student7@example.test";

impl World {
    async fn student_without_address(&self) -> String {
        self.token(json!({"sub": "student-7", "role": "student", "name": "Seven"})).await
    }

    /// Enrolls the student and notifies them a minute later.
    async fn enroll_without_address(&self) {
        let service = self.service().await;
        self.put(&service, ENROLLMENT, json!({"name": "Seven"})).await.expect(200);
        self.notify().await;
    }

    async fn put_student(&self, patch: Value) {
        let user = patched(json!({"name": "Seven", "role": "student"}), patch);
        let service = self.service().await;
        self.put(&service, USER, user).await.expect(200);
    }

    async fn notify(&self) {
        self.advance(SignedDuration::from_mins(1));
        self.run_outbox_sweep().await;
    }

    /// Returns the kinds of the student's in-app notifications, oldest first.
    async fn kinds_of_notifications(&self) -> Vec<String> {
        let token = self.student_without_address().await;
        let items = self.list_items(&token, "/v1/me/notifications").await;
        items.iter().rev().map(|it| it["kind"].as_str().expect("a kind").to_owned()).collect()
    }
}

fn with_link(body: Value) -> Value {
    patched(body, json!({"provider": "manual", "join_url": "https://meet.example.test/a"}))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn student_without_address_is_notified_in_app_only() {
    let world = World::start().await;
    let (trainer, service) = (world.trainer().await, world.service().await);
    let body = with_link(course_session_body(50));
    let session = world.create(&trainer, &body).await.expect(201);
    world.run_outbox_sweep().await;
    let mailed = world.sent_mails().await.len();
    world.enroll_without_address().await;
    assert_eq!(world.kinds_of_notifications().await, ["scheduled"]);
    assert_eq!(world.sent_mails().await.len(), mailed, "nobody is mailed");
    let listed = world.list_items(&world.student_without_address().await, "/v1/me/sessions").await;
    assert_eq!(listed.len(), 1);

    // A second student without an address is another person.
    let second = "/v1/directory/courses/course-1/enrollments/student-8";
    world.put(&service, second, json!({"name": "Eight", "email": null})).await.expect(200);
    let resent = world.resend(&trainer, &session, json!({})).await.expect(202);
    assert_eq!(resent["queued"], 5, "one mail for each student with an address");
    let moved = patched(body, json!({"starts_at": world.now() + SignedDuration::from_hours(60)}));
    world.edit(&trainer, &session, &moved).await.expect(200);
    world.notify().await;
    world.cancel(&trainer, &session).await.expect(200);
    world.run_outbox_sweep().await;
    assert_eq!(world.kinds_of_notifications().await, ["scheduled", "updated", "cancelled"]);
    let eight = world.token(json!({"sub": "student-8", "role": "student"})).await;
    let kinds = world.list_items(&eight, "/v1/me/notifications").await;
    assert!(kinds.iter().any(|it| it["kind"] == "cancelled"), "{kinds:?}");
    assert_eq!(world.due_work("OUTBOX").await, [] as [Value; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn first_invitation_and_enrollment_notify_once() {
    let world = World::start().await;
    let (trainer, service) = (world.trainer().await, world.service().await);
    world.put(&service, ENROLLMENT, json!({"name": "Seven"})).await.expect(200);
    let body = with_link(course_session_body(50));
    world.create(&trainer, &body).await.expect(201);
    world.run_outbox_sweep().await;
    world.notify().await;
    assert_eq!(world.kinds_of_notifications().await, ["scheduled"]);
    // The removal is notified in-app, too.
    world.delete(&service, ENROLLMENT).await.expect(204);
    world.notify().await;
    assert_eq!(world.kinds_of_notifications().await, ["scheduled", "uninvited"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mails_follow_the_address_of_the_user() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.enroll_without_address().await;
    world.put_student(json!({ "email": EMAIL })).await;
    let body = with_link(course_session_body(50));
    let session = world.create(&trainer, &body).await.expect(201);
    world.run_outbox_sweep().await;
    assert_eq!(calendar_entries(&world, EMAIL).len(), 1, "the user has an address");
    // Without it, the entry is withdrawn with the next change, and no address gets a mail.
    world.advance(SignedDuration::from_secs(1));
    world.put_student(json!({})).await;
    let moved = patched(body, json!({"starts_at": world.now() + SignedDuration::from_hours(60)}));
    world.edit(&trainer, &session, &moved).await.expect(200);
    world.notify().await;
    let kinds: Vec<_> = calendar_entries(&world, EMAIL).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, ["scheduled", "uninvited"]);
    assert_eq!(world.kinds_of_notifications().await, ["scheduled", "updated"]);
    // An enrollment may have an address that the user lacks.
    let service = world.service().await;
    let other = json!({"name": "Seven", "email": "seven@example.test"});
    world.put(&service, ENROLLMENT, other).await.expect(200);
    let session = world.get(&trainer, &session_path(&session)).await.expect(200);
    world.advance(SignedDuration::from_secs(1));
    world.cancel(&trainer, &session).await.expect(200);
    world.run_outbox_sweep().await;
    assert_eq!(world.kinds_of_notifications().await.last().map(String::as_str), Some("cancelled"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attendance_matches_a_student_without_address_by_customer_key() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    world.enroll_without_address().await;
    let session = world.create(&trainer, &course_session_body(26)).await.expect(201);
    let path = session_path(&session);
    let meeting = session["meeting"]["id"].as_str().expect("a meeting").to_owned();
    world.advance(SignedDuration::from_hours(26));
    let student = world.student_without_address().await;
    let pass = world.post(&student, &format!("{path}/join"), json!({})).await.expect(200);
    let simulate = async |verb: &str, body: Value| {
        let path = format!("/zoom/sim/meetings/{meeting}/{verb}");
        let response = world.call(Method::POST, &path, "", Some(body), &[]).await;
        assert!(response.status.is_success(), "{verb}: {}", response.text);
    };
    simulate("start", json!({})).await;
    simulate("join", json!({"name": "?", "customer_key": pass["customer_key"]})).await;
    world.advance(SignedDuration::from_mins(60));
    simulate("end", json!({})).await;
    world.post("", "/zoom/sim/webhooks/deliver", json!({})).await;
    let report = async || {
        // A token is valid for some hours only.
        let trainer = world.trainer().await;
        let report = world.get(&trainer, &format!("{path}/attendance")).await.expect(200);
        let rows = report["attendees"].as_array().expect("rows").clone();
        rows.into_iter().find(|row| row["user_id"] == "student-7")
    };
    let row = report().await.expect("a row");
    assert_eq!((&row["match"], &row["present"]), (&json!("customer_key"), &json!(true)), "{row}");
    assert_eq!((&row["name"], &row["email"]), (&json!("Seven"), &Value::Null));
    // The archive has the student, too.
    world.advance(SignedDuration::from_hours(4 * 24));
    world.sweep().await;
    world.advance(SignedDuration::from_hours(130 * 24));
    world.stack.aws.sweep_ttl().expect("a sweep of expired items");
    assert_eq!(report().await.as_ref(), Some(&row));
    world.delete(&world.service().await, USER).await.expect(204);
    assert_eq!(report().await, None);
    let left = json!(world.dump().await).to_string();
    assert!(!left.contains("Seven"), "{left}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn address_is_needed_only_to_be_invited_by_it() {
    let world = World::start().await;
    let (trainer, service) = (world.trainer().await, world.service().await);
    world.put_student(json!({ "email": null })).await;
    let invited = json!({"audience_type": "invitees", "invitees": [{"user_id": "student-7"}]});
    let body = with_link(patched(session_body(30), invited));
    let refused = world.create(&trainer, &body).await.expect_problem(422, "validation_failed");
    assert_eq!(fields(&refused), ["invitees[0].user_id"]);
    let paid = json!({"user_id": "student-7", "sessions": [patched(body, json!({"trainer_id": "trainer-1"}))]});
    let refused = world.put(&service, "/v1/payments/pay-1", paid).await;
    let refused = refused.expect_problem(422, "validation_failed");
    assert_eq!(fields(&refused), ["sessions[0].invitees"]);
    let paid = json!({"user_id": "student-7", "course_id": "course-1"});
    world.put(&service, "/v1/payments/pay-2", paid).await.expect(202);
    world.stack.queue_triggers.deliver().await;
    let payment = world.get(&service, "/v1/payments/pay-2").await.expect(200);
    assert_eq!(payment["enrollment"], "granted");
    for wrong in [json!(""), json!("nobody"), json!(7)] {
        let body = json!({"name": "Seven", "email": wrong});
        world.put(&service, ENROLLMENT, body).await.expect_problem(422, "validation_failed");
    }
}
