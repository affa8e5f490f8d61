//! Students who join or leave a course with upcoming sessions.

use http::Method;
use jiff::SignedDuration;
use local::calls::Service;
use local::faults::{Fault, FaultKind};
use serde_json::{Value, json};

use crate::mail_relevance::calendar_entries;
use crate::support::{patched, session_path};
use crate::world::{World, course_session_body};

const ENROLLMENT: &str = "/v1/directory/courses/course-1/enrollments/student-9";
const EMAIL: &str = "student9@example.test";

impl World {
    /// The kinds of the in-app notifications of `student-n` about a session, oldest first.
    async fn notification_kinds_about(&self, n: u32, session: &Value) -> Vec<String> {
        let items = self.list_items(&self.student(n).await, "/v1/me/notifications").await;
        let about = items.iter().rev().filter(|item| item["session_id"] == session["id"]);
        about.map(|item| item["kind"].as_str().expect("a kind").to_owned()).collect()
    }

    /// Sends a directory request and runs the outbox sweep a minute later.
    async fn change_directory(&self, method: Method, path: &str, body: Option<Value>) {
        let service = self.service().await;
        let response = self.call(method, path, &service, body, &[]).await;
        assert!(response.status.is_success(), "{}", response.text);
        self.advance(SignedDuration::from_mins(1));
        self.run_outbox_sweep().await;
    }

    fn mail_kinds_to(&self, address: &str) -> Vec<String> {
        calendar_entries(self, address).into_iter().map(|(kind, _)| kind).collect()
    }
}

/// A manual session of `course-1` whose students were notified.
async fn create_course_session(world: &World, hours: i64) -> Value {
    let link = json!({"provider": "manual", "join_url": "https://meet.example.test/a"});
    let trainer = world.trainer().await;
    let made = world.create(&trainer, &patched(course_session_body(hours), link)).await.expect(201);
    world.run_outbox_sweep().await;
    made
}

fn enrollment(access_granted: bool) -> Option<Value> {
    Some(json!({"email": EMAIL, "name": "Student Nine", "access_granted": access_granted}))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn enrollment_sends_invitation_and_its_end_sends_removal() {
    let world = World::start().await;
    let session = create_course_session(&world, 50).await;
    let mailed = world.sent_mails().await.len();
    // Requests are idempotent. An enrollment without access does not count.
    world.change_directory(Method::PUT, ENROLLMENT, enrollment(false)).await;
    assert_eq!(world.mail_kinds_to(EMAIL), [""; 0]);
    for _ in 0..2 {
        world.change_directory(Method::PUT, ENROLLMENT, enrollment(true)).await;
    }
    assert_eq!(world.mail_kinds_to(EMAIL), ["scheduled"]);
    assert_eq!(world.notification_kinds_about(9, &session).await, ["scheduled"]);
    for _ in 0..2 {
        world.change_directory(Method::PUT, ENROLLMENT, enrollment(false)).await;
    }
    world.change_directory(Method::PUT, ENROLLMENT, enrollment(true)).await;
    for _ in 0..2 {
        world.change_directory(Method::DELETE, ENROLLMENT, None).await;
    }
    let expected = ["scheduled", "uninvited", "scheduled", "uninvited"];
    assert_eq!(world.mail_kinds_to(EMAIL), expected);
    assert_eq!(world.notification_kinds_about(9, &session).await, expected);
    assert_eq!(world.sent_mails().await.len(), mailed + 4, "nobody else is notified");
    assert_eq!(world.due_work("OUTBOX").await, [] as [Value; 0]);
}

/// Renames `student-9` and lets `meanwhile` happen after the request has read the enrollment.
async fn rename_slowly(world: &World, meanwhile: impl Future<Output = ()>) {
    let service = world.service().await;
    let mut late = Fault::new(Service::Dynamodb, "BatchGetItem", FaultKind::Late);
    late.delay_ms = Some(600);
    world.inject_fault(late.for_function("directory"));
    let body = json!({"email": EMAIL, "name": "Nina", "access_granted": true});
    let rename = async { world.put(&service, ENROLLMENT, body).await.expect(200) };
    let meanwhile = async {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        meanwhile.await;
    };
    tokio::join!(rename, meanwhile);
    assert!(world.stack.faults.list().is_empty(), "the rename should have been slow");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_rename_does_not_grant_a_revoked_place() {
    let world = World::start().await;
    let service = world.service().await;
    create_course_session(&world, 50).await;
    for revoke in [None, enrollment(false)] {
        world.change_directory(Method::PUT, ENROLLMENT, enrollment(true)).await;
        rename_slowly(&world, async {
            let response = match &revoke {
                None => world.delete(&service, ENROLLMENT).await,
                Some(body) => world.put(&service, ENROLLMENT, body.clone()).await,
            };
            assert!(response.status.is_success(), "{}", response.text);
        })
        .await;
        let listed = world.list_items(&world.student(9).await, "/v1/me/sessions").await;
        assert_eq!(listed, [] as [Value; 0], "revoked by {revoke:?}");
        world.advance(SignedDuration::from_mins(1));
        world.run_outbox_sweep().await;
        assert_eq!(world.mail_kinds_to(EMAIL).last().map(String::as_str), Some("uninvited"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_rename_is_kept_if_the_place_was_not_revoked() {
    let world = World::start().await;
    let service = world.service().await;
    create_course_session(&world, 50).await;
    world.change_directory(Method::PUT, ENROLLMENT, enrollment(true)).await;
    rename_slowly(&world, async {
        world.put(&service, ENROLLMENT, enrollment(true).expect("a body")).await.expect(200);
    })
    .await;
    let stored = json!(world.items("USER#student-9").await).to_string();
    assert!(stored.contains("Nina"), "{stored}");
    world.stack.usage.reset();
    let same = json!({"email": EMAIL, "name": "Nina", "access_granted": true});
    world.put(&service, ENROLLMENT, same).await.expect(200);
    let writes = world.stack.usage.service_totals("directory", Service::Dynamodb).write_units;
    assert!(writes == 0.0, "an unchanged enrollment is not written");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fan_out_uses_the_current_enrollment() {
    let world = World::start().await;
    let service = world.service().await;
    let session = create_course_session(&world, 50).await;
    // Enrolled and removed within the minute: no invitation. Removed and enrolled again: no removal.
    world.put(&service, ENROLLMENT, enrollment(true).expect("a body")).await.expect(200);
    world.change_directory(Method::PUT, ENROLLMENT, enrollment(false)).await;
    assert!(!world.mail_kinds_to(EMAIL).contains(&"scheduled".to_owned()));
    let one = "/v1/directory/courses/course-1/enrollments/student-1";
    world.delete(&service, one).await.expect(204);
    let back = json!({"email": "student1@example.test", "name": "Student 1"});
    world.change_directory(Method::PUT, one, Some(back)).await;
    assert_eq!(world.mail_kinds_to("student1@example.test"), ["scheduled"], "one mail in total");
    // An erased person gets no mail, and no item names them.
    world.change_directory(Method::PUT, ENROLLMENT, enrollment(true)).await;
    world.delete(&service, ENROLLMENT).await.expect(204);
    world.delete(&service, "/v1/directory/users/student-9").await.expect(204);
    let before = world.sent_mails().await.len();
    world.advance(SignedDuration::from_mins(1));
    world.run_outbox_sweep().await;
    assert_eq!(world.sent_mails().await.len(), before);
    let left = json!(world.dump().await).to_string();
    assert!(!left.contains(EMAIL), "{left}");
    // A session that has ended or was cancelled sends no invitation.
    let trainer = world.trainer().await;
    world.cancel(&trainer, &session).await.expect(200);
    world.run_outbox_sweep().await;
    let before = world.sent_mails().await.len();
    world.change_directory(Method::PUT, ENROLLMENT, enrollment(true)).await;
    assert_eq!(world.sent_mails().await.len(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn enrollment_and_course_removal_notify_about_upcoming_sessions() {
    let world = World::start().await;
    let ended = create_course_session(&world, 1).await;
    world.advance(SignedDuration::from_hours(4));
    let sessions =
        [create_course_session(&world, 50).await, create_course_session(&world, 60).await];
    world.change_directory(Method::PUT, ENROLLMENT, enrollment(true)).await;
    assert_eq!(world.mail_kinds_to(EMAIL), ["scheduled"; 2]);
    assert_eq!(world.notification_kinds_about(9, &ended).await, [""; 0]);
    world.change_directory(Method::DELETE, "/v1/directory/courses/course-1", None).await;
    for session in &sessions {
        for n in [1, 5, 9] {
            assert_eq!(
                world.notification_kinds_about(n, session).await,
                ["scheduled", "uninvited"],
                "{n}"
            );
        }
    }
    let mailed = world.sent_mails().await;
    assert_eq!(mailed.iter().filter(|(kind, _)| kind == "uninvited").count(), 12);
    // A removed student gets no cancellation.
    let trainer = world.trainer().await;
    world.cancel(&trainer, &sessions[0]).await.expect(200);
    world.run_outbox_sweep().await;
    assert_eq!(world.sent_mails().await.len(), mailed.len());
    let shown = world.get(&trainer, &session_path(&sessions[1])).await.expect(200);
    assert_eq!(shown["status"], "scheduled", "the session stays with its trainer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn import_reads_each_course_once_and_notifies_new_students() {
    let world = World::start().await;
    let service = world.service().await;
    let line = |course: &str, n: usize| {
        let email = format!("s{n}@example.test");
        json!({"type": "enrollment", "course_id": course, "user_id": format!("s-{n}"), "email": email, "name": "S"})
            .to_string()
    };
    let import = async |course: &str, count: usize| {
        let lines: Vec<_> = (0..count).map(|n| line(course, n)).collect();
        let lines = lines.join("\n").into_bytes();
        world.stack.usage.reset();
        let response = world.send_raw(Method::POST, "/v1/directory/import", &service, lines).await;
        assert_eq!(response.expect(200)["accepted"], count);
    };
    let calls = |operation| world.stack.usage.calls("directory", Service::Dynamodb, operation);
    import("course-7", 450).await;
    assert_eq!((calls("Query"), calls("TransactWriteItems")), (1, 0), "a course without sessions");
    assert_eq!(calls("BatchGetItem"), 10, "two for each hundred references that may not exist");

    create_course_session(&world, 50).await;
    let before = world.sent_mails().await.len();
    for _ in 0..2 {
        import("course-1", 50).await;
        world.advance(SignedDuration::from_mins(1));
        world.run_outbox_sweep().await;
        assert_eq!(world.sent_mails().await.len(), before + 50, "each student is notified once");
    }
}
