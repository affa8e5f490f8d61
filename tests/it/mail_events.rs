//! Bounces and complaints: the delivery status, the counts, the timeline, the trainer's notification and the suppression.

mod bus;
mod crashes;
mod order;

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::{patched, session_path};
use crate::world::World;

/// A guest of a class, whose mails come back.
pub(super) const GUEST: &str = "student1@example.test";

impl World {
    /// The id of the newest mail of a kind to an address.
    pub(crate) fn mail_id(&self, kind: &str, to: &str) -> String {
        let mails = self.stack.aws.mailbox().list().expect("the mailbox can be read");
        let mut mails = mails.into_iter().rev();
        let mail = mails.find(|mail| mail.kind.as_deref() == Some(kind) && mail.to == [to]);
        mail.expect("a mail").id
    }

    /// Lets a mail come back.
    pub(crate) async fn return_mail(&self, id: &str, kind: &str) {
        let path = format!("/local/mail/{id}/bounce");
        self.post("", &path, json!({ "kind": kind })).await.expect(200);
    }

    async fn suppressions(&self) -> Vec<Value> {
        self.list_items(&self.service().await, "/v1/suppressions").await
    }

    /// The notifications of returned mails of trainer-1.
    async fn return_notifications(&self) -> usize {
        let trainer = self.trainer().await;
        let items = self.list_items(&trainer, "/v1/me/notifications").await;
        items.iter().filter(|item| item["kind"] == "mail_returned").count()
    }

    fn count_mails(&self, kind: &str, to: &str) -> usize {
        let mails = self.stack.aws.mailbox().list().expect("the mailbox can be read");
        let of_kind = |mail: &&local::aws::mailbox::Mail| mail.kind.as_deref() == Some(kind);
        mails.iter().filter(of_kind).filter(|mail| mail.to == [to]).count()
    }
}

/// A class of two guests who have got their invitations.
async fn invited_guests() -> (World, String, Value) {
    let world = World::start().await;
    let (trainer, session) = world.create_with_invitees(2).await;
    world.run_outbox_sweep().await;
    (world, trainer, session)
}

async fn move_class(world: &World, trainer: &str, session: &Value, title: &str) -> Value {
    world.advance(SignedDuration::from_secs(1));
    let current = world.get(trainer, &session_path(session)).await.expect(200);
    let hour = if title.len().is_multiple_of(2) { "12" } else { "13" };
    let body = json!({
        "title": title,
        "audience_type": "invitees",
        "invitees": current["invitees"],
        "starts_at": format!("2026-11-24T{hour}:00:00Z"),
        "timezone": "Europe/Berlin",
        "duration_minutes": 60,
    });
    let moved = world.edit(trainer, &current, &body).await.expect(200);
    world.run_outbox_sweep().await;
    moved
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hard_bounce_is_recorded_and_suppresses_the_address() {
    let (world, trainer, session) = invited_guests().await;
    world.return_mail(&world.mail_id("scheduled", GUEST), "hard").await;

    assert_eq!(world.mail_counts(&trainer, &session).await, json!({"sent": 1, "bounced": 1}));
    let statuses = world.delivery_statuses(&trainer, &session).await;
    assert_eq!(statuses.last(), Some(&("bounced".to_owned(), json!("permanent_general"))));
    let timeline = format!("{}/timeline", session_path(&session));
    let entry = world.list_items(&trainer, &timeline).await.remove(0);
    assert_eq!(entry["kind"], "mail.bounced");
    assert_eq!(entry["detail"]["recipient"], GUEST);

    let suppressions = world.suppressions().await;
    let expected = json!([{
        "email": GUEST, "reason": "bounce", "detail": "permanent_general",
        "suppressed_at": world.now(), "session_id": session["id"],
    }]);
    assert_eq!(Value::from(suppressions), expected);

    // The next mail is skipped, and the other guest gets it.
    move_class(&world, &trainer, &session, "Algebra II").await;
    assert_eq!(world.count_mails("updated", GUEST), 0);
    assert_eq!(world.count_mails("updated", "student2@example.test"), 1);
    let statuses = world.delivery_statuses(&trainer, &session).await;
    assert!(statuses.contains(&("dropped".to_owned(), json!("suppressed"))), "{statuses:?}");

    // An operator ends the suppression.
    let service = world.service().await;
    let path = "/v1/suppressions/STUDENT1%40example.test";
    world.delete(&service, path).await.expect(204);
    world.delete(&service, path).await.expect(204);
    assert_eq!(world.suppressions().await, Vec::<Value>::new());
    move_class(&world, &trainer, &session, "Algebra III").await;
    assert_eq!(world.count_mails("updated", GUEST), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn complaint_is_recorded_and_outranks_a_bounce() {
    let (world, trainer, session) = invited_guests().await;
    let mail = world.mail_id("scheduled", GUEST);
    for (kind, expected, reason) in [
        ("hard", json!({"sent": 1, "bounced": 1}), "bounce"),
        ("complaint", json!({"sent": 1, "complained": 1}), "complaint"),
        ("hard", json!({"sent": 1, "complained": 1}), "complaint"),
    ] {
        world.advance(SignedDuration::from_secs(1));
        world.return_mail(&mail, kind).await;
        assert_eq!(world.mail_counts(&trainer, &session).await, expected, "{kind}");
        assert_eq!(world.suppressions().await[0]["reason"], reason, "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn soft_bounce_is_recorded_and_suppresses_nothing() {
    let (world, trainer, session) = invited_guests().await;
    world.return_mail(&world.mail_id("scheduled", GUEST), "soft").await;
    assert_eq!(world.mail_counts(&trainer, &session).await, json!({"sent": 1, "bounced": 1}));
    let statuses = world.delivery_statuses(&trainer, &session).await;
    assert_eq!(statuses.last(), Some(&("bounced".to_owned(), json!("transient_mailbox_full"))));
    assert_eq!(world.suppressions().await, Vec::<Value>::new());
    move_class(&world, &trainer, &session, "Algebra II").await;
    assert_eq!((world.count_mails("updated", GUEST), world.return_notifications().await), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trainer_is_notified_once_per_class_and_hour() {
    let world = World::start().await;
    let (trainer, session) = world.create_with_invitees(4).await;
    world.run_outbox_sweep().await;
    let mails: Vec<_> =
        (1..=4).map(|n| world.mail_id("scheduled", &format!("student{n}@example.test"))).collect();
    let sweep_after = async |minutes| {
        world.advance(SignedDuration::from_mins(minutes));
        world.run_outbox_sweep().await;
        (
            world.return_notifications().await,
            world.count_mails("mail_returned", "trainer@example.test"),
        )
    };
    world.return_mail(&mails[0], "hard").await;
    assert_eq!(sweep_after(0).await, (1, 1));
    // Two more within the hour share the next notification.
    world.return_mail(&mails[1], "hard").await;
    world.return_mail(&mails[2], "complaint").await;
    assert_eq!(sweep_after(30).await, (1, 1));
    assert_eq!(sweep_after(30).await, (2, 2));
    assert_eq!(sweep_after(120).await, (2, 2));
    world.return_mail(&mails[3], "hard").await;
    assert_eq!(sweep_after(0).await, (3, 3));
    // The counts include the mails to the trainer.
    let expected = json!({"sent": 3, "bounced": 3, "complained": 1});
    assert_eq!(world.mail_counts(&trainer, &session).await, expected);
    // A notification that comes back causes no other one.
    world.return_mail(&world.mail_id("mail_returned", "trainer@example.test"), "hard").await;
    assert_eq!(sweep_after(0).await, (3, 3));
    assert_eq!(sweep_after(61).await, (3, 3));
    assert_eq!(world.suppressions().await.len(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resend_to_a_suppressed_address_reports_it() {
    let (world, trainer, session) = invited_guests().await;
    world.return_mail(&world.mail_id("scheduled", GUEST), "hard").await;
    let path = format!("{}/resend-invite", session_path(&session));
    let only = json!({"recipients": [GUEST]});
    let response = world.post(&trainer, &path, only.clone()).await.expect(202);
    assert_eq!(response, json!({"queued": 0, "suppressed": 1}));
    let both = json!({"recipients": [GUEST, "student2@example.test"]});
    let response = world.post(&trainer, &path, both.clone()).await.expect(202);
    assert_eq!(response, json!({"queued": 1, "suppressed": 1}));
    // A repetition gets the same response.
    assert_eq!(world.post(&trainer, &path, both).await.expect(202), response);
    world.run_outbox_sweep().await;
    assert_eq!(world.count_mails("resent", GUEST), 0);
    assert_eq!(world.count_mails("resent", "student2@example.test"), 1);
    world
        .delete(&world.admin().await, "/v1/suppressions/student1%40example.test")
        .await
        .expect(204);
    world.advance(SignedDuration::from_mins(2));
    let response = world.post(&trainer, &path, only).await.expect(202);
    assert_eq!(response, json!({"queued": 1}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn suppressed_student_still_gets_in_app_notifications() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    let session = world.create(&trainer, &crate::world::course_session_body(50)).await.expect(201);
    world.run_outbox_sweep().await;
    world.return_mail(&world.mail_id("scheduled", "student1@example.test"), "complaint").await;
    world.advance(SignedDuration::from_secs(1));
    world.cancel(&trainer, &session).await.expect(200);
    world.run_outbox_sweep().await;
    assert_eq!(world.count_mails("cancelled", "student1@example.test"), 0);
    assert_eq!(world.count_mails("cancelled", "student2@example.test"), 1);
    let items = world.list_items(&world.student(1).await, "/v1/me/notifications").await;
    assert_eq!(items.iter().filter(|item| item["kind"] == "cancelled").count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn suppressions_are_listed_in_pages_for_operators_only() {
    let world = World::start().await;
    let (trainer, _) = world.create_with_invitees(3).await;
    world.run_outbox_sweep().await;
    for n in 1..=3 {
        let mail = world.mail_id("scheduled", &format!("student{n}@example.test"));
        world.return_mail(&mail, "hard").await;
    }
    let admin = world.admin().await;
    let mut found = std::collections::BTreeSet::new();
    let mut path = "/v1/suppressions?limit=2".to_owned();
    loop {
        let page = world.get(&admin, &path).await.expect(200);
        let items = page["items"].as_array().expect("items");
        found.extend(items.iter().map(|item| item["email"].as_str().expect("one").to_owned()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/suppressions?limit=2&cursor={cursor}");
    }
    let all = ["student1@example.test", "student2@example.test", "student3@example.test"];
    assert_eq!(found.into_iter().collect::<Vec<_>>(), all);
    for token in [trainer, world.student(1).await] {
        world.get(&token, "/v1/suppressions").await.expect_problem(403, "forbidden");
        let one = "/v1/suppressions/student1%40example.test";
        world.delete(&token, one).await.expect_problem(403, "forbidden");
    }
    world.delete(&admin, "/v1/suppressions/nobody").await.expect_problem(422, "validation_failed");
    let cursor = "/v1/suppressions?cursor=student1";
    world.get(&admin, cursor).await.expect_problem(422, "validation_failed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erased_person_leaves_a_suppression_without_an_address() {
    for is_late in [false, true] {
        let world = World::start().await;
        let trainer = world.trainer().await;
        world.connect_zoom(&trainer, "app").await;
        let body = crate::world::course_session_body(50);
        world.create(&trainer, &body).await.expect(201);
        world.run_outbox_sweep().await;
        let mail = world.mail_id("scheduled", "student1@example.test");
        world.advance(SignedDuration::from_secs(1));
        if !is_late {
            world.return_mail(&mail, "hard").await;
            world.advance(SignedDuration::from_secs(1));
        }
        let service = world.service().await;
        world.delete(&service, "/v1/directory/users/student-1").await.expect(204);
        if is_late {
            world.return_mail(&mail, "hard").await;
        }
        let listed = world.suppressions().await;
        assert_eq!((listed.len(), &listed[0]["email"]), (1, &Value::Null), "{listed:?}");
        let dump = world.dump().await;
        let with_address: Vec<_> =
            dump.iter().filter(|item| item.to_string().contains("student1@example.test")).collect();
        assert_eq!(with_address, Vec::<&Value>::new());
        // The address is still suppressed, and a person who comes back has no mail.
        let person = json!({"email": "student1@example.test", "name": "S", "role": "student"});
        let person = patched(person, json!({"plan": null}));
        world.put(&service, "/v1/directory/users/student-1", person).await.expect(200);
        let path = "/v1/directory/courses/course-1/enrollments/student-1";
        let enrollment =
            json!({"email": "student1@example.test", "name": "S", "access_granted": true});
        world.put(&service, path, enrollment).await.expect(200);
        world.advance(SignedDuration::from_mins(2));
        world.create(&trainer, &patched(body, json!({"title": "Algebra II"}))).await.expect(201);
        world.run_outbox_sweep().await;
        assert_eq!(world.count_mails("scheduled", "student2@example.test"), 2);
        assert_eq!(world.count_mails("scheduled", "student1@example.test"), 1);
    }
}
