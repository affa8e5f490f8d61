//! Calendar mail goes by address: each address that holds an entry gets its changes and its withdrawal, with a sequence
//! of its own that always rises.

use http::Method;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::mail_relevance::calendar_entries;
use crate::support::{invitees, patched, session_path};
use crate::world::{World, course_session_body, session_body};

const COURSE: &str = "/v1/directory/courses/course-1/enrollments";

fn with_manual_link(body: Value) -> Value {
    patched(body, json!({"provider": "manual", "join_url": "https://meet.example.test/a"}))
}

fn address(n: u32) -> String {
    format!("student{n}@example.test")
}

impl World {
    /// Creates a session in 50 hours and sends its invitations.
    async fn create_and_invite(&self, body: &Value) -> Value {
        let session = self.create(&self.trainer().await, body).await.expect(201);
        self.run_outbox_sweep().await;
        session
    }

    async fn edit_and_mail(&self, session: &Value, body: &Value) {
        self.advance(SignedDuration::from_mins(1));
        self.edit(&self.trainer().await, session, body).await.expect(200);
        self.run_outbox_sweep().await;
    }

    async fn cancel_and_mail(&self, session: &Value) {
        self.advance(SignedDuration::from_mins(1));
        self.cancel(&self.trainer().await, session).await.expect(200);
        self.run_outbox_sweep().await;
    }

    async fn enroll(&self, n: u32, email: &str) {
        let body = json!({"email": email, "name": format!("Student {n}")});
        let path = format!("{COURSE}/student-{n}");
        self.put(&self.service().await, &path, body).await.expect(200);
    }

    async fn unenroll(&self, n: u32) {
        let path = format!("{COURSE}/student-{n}");
        self.call(Method::DELETE, &path, &self.service().await, None, &[]).await.expect(204);
    }

    async fn enroll_and_mail(&self, n: u32, email: &str) {
        self.advance(SignedDuration::from_mins(1));
        self.enroll(n, email).await;
        self.advance(SignedDuration::from_mins(1));
        self.run_outbox_sweep().await;
    }

    async fn unenroll_and_mail(&self, n: u32) {
        self.advance(SignedDuration::from_mins(1));
        self.unenroll(n).await;
        self.advance(SignedDuration::from_mins(1));
        self.run_outbox_sweep().await;
    }

    async fn set_user_email(&self, n: u32, email: &str) {
        let body = json!({"email": email, "name": format!("Student {n}"), "role": "student"});
        let path = format!("/v1/directory/users/student-{n}");
        self.put(&self.service().await, &path, body).await.expect(200);
    }

    async fn turn_mails(&self, n: u32, email: bool) {
        let preferences = json!({"live_session": {"in_app": true, "email": email}});
        let student = self.student(n).await;
        self.put(&student, "/v1/me/notification-preferences", preferences).await.expect(200);
    }

    /// Checks that the timeline names the student of every mail, also at a former address.
    async fn check_timeline_recipients(&self, session: &Value) {
        let path = format!("{}/timeline?limit=100", session_path(session));
        let entries = self.list_items(&self.trainer().await, &path).await;
        let sent = entries.iter().filter(|entry| entry["kind"] == "mail.sent");
        let recipients: Vec<_> = sent.map(|entry| entry["detail"]["recipient"].clone()).collect();
        let of = |user: &str| recipients.iter().filter(|recipient| **recipient == user).count();
        assert_eq!((of("student-1"), of("student-3"), of("student-20")), (3, 3, 3));
        assert!(!recipients.contains(&Value::Null), "{recipients:?}");
    }

    #[track_caller]
    fn check_entries(&self, address: &str, expected: &[(&str, u32)]) {
        let expected: Vec<_> =
            expected.iter().map(|(kind, sequence)| ((*kind).to_owned(), *sequence)).collect();
        assert_eq!(calendar_entries(self, address), expected, "{address}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shared_address_keeps_its_entry_until_the_last_student_leaves() {
    // The second student has the address in the directory entry, or only in the enrollment.
    for other in [9, 20] {
        let world = World::start().await;
        if other == 9 {
            world.set_user_email(9, &address(1)).await;
            world.enroll(9, &address(9)).await;
        } else {
            world.enroll(20, &address(1)).await;
        }
        world.create_and_invite(&with_manual_link(course_session_body(50))).await;
        world.check_entries(&address(1), &[("scheduled", 0)]);
        world.unenroll_and_mail(1).await;
        world.check_entries(&address(1), &[("scheduled", 0)]);
        // The first student returns, which needs no second invitation.
        world.enroll_and_mail(1, &address(1)).await;
        world.check_entries(&address(1), &[("scheduled", 0)]);
        world.unenroll_and_mail(other).await;
        world.check_entries(&address(1), &[("scheduled", 0)]);
        world.unenroll_and_mail(1).await;
        world.check_entries(&address(1), &[("scheduled", 0), ("uninvited", 1)]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sequence_of_an_address_rises_with_every_entry() {
    let world = World::start().await;
    let body = with_manual_link(course_session_body(50));
    let session = world.create_and_invite(&body).await;
    world.unenroll_and_mail(1).await;
    world.enroll_and_mail(1, &address(1)).await;
    let mut expected = vec![("scheduled", 0), ("uninvited", 1), ("scheduled", 2)];
    world.check_entries(&address(1), &expected);
    world.edit_and_mail(&session, &patched(body.clone(), json!({"title": "Geometry"}))).await;
    // A resend changes nothing, so it has the same sequence.
    let resend = format!("{}/resend-invite", session_path(&session));
    world.post(&world.trainer().await, &resend, json!({})).await.expect(202);
    world.run_outbox_sweep().await;
    world.cancel_and_mail(&session).await;
    expected.extend([("updated", 3), ("resent", 3), ("cancelled", 4)]);
    world.check_entries(&address(1), &expected);
    // Others have the sequences of the session.
    let others = [("scheduled", 0), ("updated", 1), ("resent", 1), ("cancelled", 2)];
    world.check_entries(&address(2), &others);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn former_address_loses_its_entry_with_the_next_change() {
    for change in ["moved", "cancelled", "removed"] {
        let world = World::start().await;
        world.enroll(20, &address(20)).await;
        let session = world.create_and_invite(&with_manual_link(course_session_body(50))).await;
        world.advance(SignedDuration::from_mins(1));
        world.run_outbox_sweep().await;
        // The address changes in the directory entry, or in the enrollment of a student without one. The third student's
        // address changes twice.
        world.set_user_email(1, "new1@example.test").await;
        world.enroll(20, "new20@example.test").await;
        world.set_user_email(3, "new3@example.test").await;
        world.set_user_email(3, "newer3@example.test").await;
        match change {
            "moved" => {
                world.edit_and_mail(&session, &with_manual_link(course_session_body(60))).await;
            }
            "cancelled" => world.cancel_and_mail(&session).await,
            _ => {
                for n in [1, 3, 20] {
                    world.unenroll(n).await;
                }
                world.advance(SignedDuration::from_mins(1));
                world.run_outbox_sweep().await;
            }
        }
        let (at_former_address, at_new_address) = match change {
            "moved" => ("uninvited", vec![("updated", 1)]),
            "cancelled" => ("cancelled", vec![("cancelled", 1)]),
            _ => ("uninvited", vec![]),
        };
        for n in [1, 3, 20] {
            world.check_entries(&address(n), &[("scheduled", 0), (at_former_address, 1)]);
        }
        for new in ["new1", "new20", "newer3"] {
            world.check_entries(&format!("{new}@example.test"), &at_new_address);
        }
        world.check_entries("new3@example.test", &[]);
        if change == "moved" {
            world.check_timeline_recipients(&session).await;
        }
        // The former addresses have no entry left, so they get nothing more.
        if change == "moved" {
            world.cancel_and_mail(&session).await;
            for n in [1, 3, 20] {
                world.check_entries(&address(n), &[("scheduled", 0), ("uninvited", 1)]);
            }
            let expected = [("updated", 1), ("cancelled", 2)];
            world.check_entries("new1@example.test", &expected);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn student_who_returns_with_another_address_loses_the_former_entry() {
    let world = World::start().await;
    world.enroll(20, &address(20)).await;
    world.create_and_invite(&with_manual_link(course_session_body(50))).await;
    world.unenroll(20).await;
    world.enroll_and_mail(20, "new20@example.test").await;
    world.check_entries(&address(20), &[("scheduled", 0), ("uninvited", 1)]);
    world.check_entries("new20@example.test", &[("scheduled", 0)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn address_that_another_student_has_now_is_no_former_address() {
    let world = World::start().await;
    let session = world.create_and_invite(&with_manual_link(course_session_body(50))).await;
    // Two students swap their addresses, and the address of the third goes to a new student.
    world.set_user_email(1, &address(2)).await;
    world.set_user_email(2, &address(1)).await;
    world.set_user_email(3, "new3@example.test").await;
    world.enroll_and_mail(20, &address(3)).await;
    world.check_entries(&address(3), &[("scheduled", 0)]);
    world.edit_and_mail(&session, &with_manual_link(course_session_body(60))).await;
    for n in 1..=3 {
        world.check_entries(&address(n), &[("scheduled", 0), ("updated", 1)]);
    }
    world.check_entries("new3@example.test", &[("updated", 1)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn person_who_was_sent_no_mail_is_not_told_of_a_removal() {
    let world = World::start().await;
    world.create_and_invite(&with_manual_link(course_session_body(50))).await;
    world.enroll(9, &address(9)).await;
    world.advance(SignedDuration::from_secs(5));
    world.unenroll(9).await;
    world.advance(SignedDuration::from_mins(1));
    world.run_outbox_sweep().await;
    world.check_entries(&address(9), &[]);
    // With an invitee list, the person is removed before the invitations are sent.
    let body = |count: usize| {
        let list = json!({"audience_type": "invitees", "invitees": invitees(count)});
        with_manual_link(patched(session_body(50), list))
    };
    let session = world.create(&world.trainer().await, &body(8)).await.expect(201);
    world.edit_and_mail(&session, &body(7)).await;
    world.check_entries(&address(8), &[]);
    world.check_entries(&address(7), &[("scheduled", 1)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn change_without_effect_on_the_entry_sends_no_mail() {
    let world = World::start().await;
    let body = |hours: i64, zone: &str| {
        let zone = json!({"timezone": zone});
        with_manual_link(patched(course_session_body(hours), zone))
    };
    let session = world.create_and_invite(&body(50, "Asia/Kolkata")).await;
    // Another name of the same zone.
    world.edit_and_mail(&session, &body(50, "Asia/Calcutta")).await;
    let trainer = world.trainer().await;
    let shown = world.get(&trainer, &session_path(&session)).await.expect(200);
    assert_eq!(
        (&shown["timezone"], &shown["ics_sequence"]),
        (&json!("Asia/Calcutta"), &json!(0)),
        "{shown}"
    );
    // Moved and moved back before the first mail about it.
    for hours in [60, 50] {
        world.advance(SignedDuration::from_secs(5));
        world.edit(&trainer, &session, &body(hours, "Asia/Calcutta")).await.expect(200);
    }
    world.run_outbox_sweep().await;
    world.check_entries(&address(1), &[("scheduled", 0)]);
    // A later move is sent.
    world.edit_and_mail(&session, &body(60, "Asia/Calcutta")).await;
    world.check_entries(&address(1), &[("scheduled", 0), ("updated", 3)]);
    world.edit_and_mail(&session, &body(60, "Asia/Dubai")).await;
    world.check_entries(&address(1), &[("scheduled", 0), ("updated", 3), ("updated", 4)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resend_counts_the_mails_that_it_queues() {
    let world = World::start().await;
    // Students 1 and 9 share an address.
    world.set_user_email(9, &address(1)).await;
    world.enroll(9, &address(9)).await;
    world.turn_mails(1, false).await;
    world.turn_mails(3, false).await;
    let of_course = world.create_and_invite(&with_manual_link(course_session_body(50))).await;
    let list = json!({"audience_type": "invitees", "invitees": invitees(4)});
    let of_list = world.create_and_invite(&with_manual_link(patched(session_body(50), list))).await;
    for (session, recipients, queued) in [
        (&of_course, json!(["student-3"]), 0),
        (&of_course, json!(["student-1"]), 0),
        (&of_course, json!(["student-9"]), 1),
        (&of_course, json!(["student-2", "student-3"]), 1),
        (&of_course, json!(null), 4),
        (&of_list, json!([address(3)]), 0),
        (&of_list, json!([address(3), address(4)]), 1),
        (&of_list, json!(null), 3),
    ] {
        world.advance(SignedDuration::from_mins(21));
        let before = world.sent_mails().await.len();
        let resend = format!("{}/resend-invite", session_path(session));
        let body = json!({"recipients": recipients});
        let response = world.post(&world.trainer().await, &resend, body).await.expect(202);
        assert_eq!(response, json!({"queued": queued}), "{recipients}");
        world.run_outbox_sweep().await;
        assert_eq!(world.sent_mails().await.len(), before + queued, "{recipients}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entry_is_withdrawn_after_mails_were_turned_off() {
    let world = World::start().await;
    // Student 5 never wanted mails.
    world.turn_mails(5, false).await;
    let of_course = world.create_and_invite(&with_manual_link(course_session_body(50))).await;
    let list = |count: usize| {
        let list = json!({"audience_type": "invitees", "invitees": invitees(count)});
        with_manual_link(patched(session_body(50), list))
    };
    let of_list = world.create_and_invite(&list(5)).await;
    for n in 1..=3 {
        world.turn_mails(n, false).await;
    }
    world.unenroll_and_mail(1).await;
    world.check_entries(&address(1), &[("scheduled", 0), ("scheduled", 0), ("uninvited", 1)]);
    // A change respects the preference.
    let moved = with_manual_link(course_session_body(60));
    world.edit_and_mail(&of_course, &moved).await;
    world.check_entries(&address(2), &[("scheduled", 0), ("scheduled", 0)]);
    world.cancel_and_mail(&of_course).await;
    world.check_entries(&address(2), &[("scheduled", 0), ("scheduled", 0), ("cancelled", 2)]);
    world.edit_and_mail(&of_list, &list(2)).await;
    world.cancel_and_mail(&of_list).await;
    let entries = calendar_entries(&world, &address(3));
    let kinds: Vec<_> = entries.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["scheduled", "scheduled", "cancelled", "uninvited"]);
    let entries = calendar_entries(&world, &address(2));
    assert_eq!(entries.last().map(|(kind, _)| kind.as_str()), Some("cancelled"));
    world.check_entries(&address(5), &[]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn student_of_the_old_and_the_new_course_stays_invited() {
    let world = World::start().await;
    let service = world.service().await;
    let course = json!({"title": "Biology", "trainer_id": "trainer-1"});
    world.put(&service, "/v1/directory/courses/course-2", course).await.expect(200);
    // Student 1 has another address in the second course, and a directory entry decides in both.
    let body = json!({"email": "other1@example.test", "name": "Student 1"});
    let path = "/v1/directory/courses/course-2/enrollments/student-1";
    world.put(&service, path, body).await.expect(200);
    world.set_user_email(1, "own1@example.test").await;
    let body = with_manual_link(course_session_body(50));
    let session = world.create_and_invite(&body).await;
    world.edit_and_mail(&session, &patched(body, json!({"course_id": "course-2"}))).await;
    world.check_entries("own1@example.test", &[("scheduled", 0)]);
    world.check_entries(&address(2), &[("scheduled", 0), ("uninvited", 1)]);
}
