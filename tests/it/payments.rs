//! Payments: access to a course, classes, and meetings that are brought forward.

mod cost;
mod crashes;
mod daily_limit;
mod events;
mod refunds;
mod sequences;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::pending_meetings::later_body;
use crate::support::{fields, patched, session_path};
use crate::world::{Response, World, session_body};

/// A class of `trainer-1` in so many days that invites these addresses.
fn class(days: i64, invited: &[&str]) -> Value {
    let invitees: Vec<_> = invited.iter().map(|email| json!({ "email": email })).collect();
    let audience = json!({"audience_type": "invitees", "invitees": invitees});
    patched(patched(session_body(24 * days), audience), json!({"trainer_id": "trainer-1"}))
}

/// A class of `trainer-1` for `student-9` alone.
fn own_class(days: i64) -> Value {
    class(days, &["student9@example.test"])
}

/// A payment of `student-9`.
fn payment(patch: Value) -> Value {
    patched(json!({"user_id": "student-9"}), patch)
}

impl World {
    async fn put_payment(&self, id: &str, body: &Value) -> Response {
        let service = self.service().await;
        self.put(&service, &format!("/v1/payments/{id}"), body.clone()).await
    }

    async fn refund(&self, id: &str) -> Value {
        let service = self.service().await;
        self.delete(&service, &format!("/v1/payments/{id}")).await.expect(202)
    }

    async fn payment(&self, id: &str) -> Value {
        let service = self.service().await;
        self.get(&service, &format!("/v1/payments/{id}")).await.expect(200)
    }

    /// Delivers the messages of the queue that carries out payments.
    async fn deliver_payments(&self) {
        self.stack.queue_triggers.deliver().await;
    }

    /// Stores a payment, carries it out and returns it.
    async fn pay(&self, id: &str, body: &Value) -> Value {
        self.put_payment(id, body).await.expect(202);
        self.deliver_payments().await;
        self.payment(id).await
    }

    /// Stores a refund, carries it out and returns the payment.
    async fn refunded(&self, id: &str) -> Value {
        self.refund(id).await;
        self.deliver_payments().await;
        self.payment(id).await
    }

    /// Returns the enrollment of a student, if there is one with access.
    async fn access(&self, course: &str, student: &str) -> bool {
        let items = self.items(&format!("USER#{student}")).await;
        let key = format!("ENROLLMENT#{course}");
        items.iter().any(|item| item["sk"] == key.as_str() && item["access_granted"] == true)
    }

    /// Returns the stored sessions that payments have created, by their status.
    async fn paid_sessions(&self, status: &str) -> Vec<Value> {
        let mut sessions = self.items("SESSION#").await;
        sessions.retain(|item| item["source"] == "payment" && item["status"] == status);
        sessions
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payment_enrolls_creates_classes_and_brings_meetings_forward() {
    let world = World::start().await;
    let (trainer, service) = (world.trainer().await, world.service().await);
    let course = json!({"audience_type": "course", "course_id": "course-1"});
    let invites = |email: &str| {
        let invitees = json!([{"email": "guest@example.test"}, { "email": email }]);
        json!({"audience_type": "invitees", "invitees": invitees})
    };
    let mut waiting = Vec::new();
    for (days, audience) in
        [(30, course), (31, invites("student9@example.test")), (32, invites("a@b.test"))]
    {
        let body = patched(later_body(days), audience);
        waiting.push(world.create(&trainer, &body).await.expect(201));
    }

    let manual = json!({"provider": "manual", "join_url": "https://meet.example.test/a"});
    let body = payment(json!({
        "course_id": "course-1",
        "sessions": [own_class(40), patched(own_class(41), manual), class(42, &["b@c.test"])],
    }));
    let stored = world.put_payment("pay-1", &body).await.expect(202);
    assert_eq!((&stored["state"], &stored["enrollment"]), (&json!("pending"), &json!("pending")));
    assert_eq!((&stored["total"], &stored["created"]), (&json!(3), &json!(0)));
    world.deliver_payments().await;

    let done = world.payment("pay-1").await;
    let counts = ["total", "created", "failed", "cancelled"].map(|name| done[name].as_u64());
    assert_eq!(counts, [Some(3), Some(3), Some(0), Some(0)], "{done}");
    assert_eq!((&done["state"], &done["enrollment"]), (&json!("done"), &json!("granted")));
    let ids = done["session_ids"].as_array().expect("ids").clone();
    let mut states = Vec::new();
    for id in &ids {
        let session = world.get(&trainer, &session_path(&json!({ "id": id }))).await.expect(200);
        assert_eq!(session["source"], "payment");
        assert_eq!(session["triggered_by"], "pay-1");
        states.push(session["meeting_state"].clone());
    }
    assert_eq!(states, ["pending", "none", "pending"]);
    let now = world.now().to_string();
    for (session, is_student) in waiting.iter().zip([true, true, false]) {
        let session = world.get(&trainer, &session_path(session)).await.expect(200);
        assert_eq!(session["meeting_at"] == now.as_str(), is_student, "{session}");
        assert_eq!(session["triggered_by"] == "pay-1", is_student, "{session}");
    }
    let student = json!({"sub": "student-9", "role": "student", "email": "student9@example.test"});
    let student = world.token(student).await;
    assert_eq!(world.list_items(&student, "/v1/me/sessions").await.len(), 4);
    // The sweep makes the meetings.
    assert_eq!(world.zoom_calls("payments", "create_meeting"), 0);

    // Repeating the request changes nothing, also later.
    let before = world.dump().await;
    world.advance(SignedDuration::from_hours(1));
    let same = world.put_payment("pay-1", &body).await.expect(202);
    assert_eq!(same, done);
    world.deliver_payments().await;
    assert_eq!(world.dump().await, before);
    let other = patched(body, json!({"course_id": null}));
    world.put_payment("pay-1", &other).await.expect_problem(422, "idempotency_key_reused");
    let unknown = world.get(&service, "/v1/payments/pay-2").await;
    unknown.expect_problem(404, "not_found");
    assert_eq!(world.items("DUE#PAYMENTS").await.len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn enrolled_student_is_invited_to_the_classes_ahead() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let body = json!({"audience_type": "course", "course_id": "course-1"});
    world.create(&trainer, &patched(later_body(30), body)).await.expect(201);
    world.run_outbox_sweep().await;
    world.pay("pay-1", &payment(json!({"course_id": "course-1"}))).await;
    world.advance(SignedDuration::from_mins(2));
    world.run_outbox_sweep().await;
    let mails = async |text: &str| {
        let mails = world.list_items("", "/local/mail").await;
        let to = |mail: &&Value| mail["to"].to_string().contains(text);
        mails.iter().filter(to).count()
    };
    assert_eq!(mails("student9@example.test").await, 1);
    world.refunded("pay-1").await;
    world.advance(SignedDuration::from_mins(2));
    world.run_outbox_sweep().await;
    assert_eq!(mails("student9@example.test").await, 2, "the invitation and its withdrawal");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_payments_store_nothing() {
    let world = World::start().await;
    let service = world.service().await;
    let many = vec![own_class(3); 53];
    let cases = [
        (json!({}), "user_id"),
        (payment(json!({})), "sessions"),
        (payment(json!({"sessions": []})), "sessions"),
        (payment(json!({"sessions": many})), "sessions"),
        (payment(json!({"user_id": "nobody", "course_id": "course-1"})), "user_id"),
        (payment(json!({"course_id": "nobodys"})), "course_id"),
        (payment(json!({"course_id": "a b"})), "course_id"),
        (payment(json!({"course_id": "course-1", "colour": "red"})), "colour"),
        (payment(json!({"sessions": [1]})), "sessions[0]"),
    ];
    for (body, field) in cases {
        let problem =
            world.put_payment("pay-1", &body).await.expect_problem(422, "validation_failed");
        assert_eq!(fields(&problem), [field], "{body:.200}");
    }
    let classes = [
        (json!({"trainer_id": null}), "trainer_id"),
        (json!({"title": null}), "title"),
        (json!({"colour": "red"}), "colour"),
        (json!({"source": "schedule"}), "source"),
        (json!({"starts_at": "2026-11-20T09:00:00Z"}), "starts_at"),
        (json!({"timezone": "Mars/Olympus"}), "timezone"),
        (json!({"invitees": [{"email": "nobody"}]}), "invitees[0].email"),
    ];
    for (patch, field) in classes {
        let body = payment(json!({"sessions": [own_class(3), patched(own_class(4), patch)]}));
        let problem =
            world.put_payment("pay-1", &body).await.expect_problem(422, "validation_failed");
        assert_eq!(fields(&problem), [format!("sessions[1].{field}")], "{body}");
    }
    world.get(&service, "/v1/payments/pay-1").await.expect_problem(404, "not_found");
    let trainer = world.trainer().await;
    let body = payment(json!({"course_id": "course-1"}));
    let refused = world.put(&trainer, "/v1/payments/pay-1", body).await;
    refused.expect_problem(403, "forbidden");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_class_does_not_block_the_others() {
    let world = World::start().await;
    world.put_user("trainer-3", json!({"plan": "free"})).await;
    let of_free_trainer = json!({"trainer_id": "trainer-3", "duration_minutes": 90});
    let foreign = json!({"audience_type": "course", "course_id": "course-1", "trainer_id": "trainer-2", "invitees": null});
    let sessions = json!([
        patched(own_class(3), of_free_trainer),
        patched(own_class(4), foreign),
        own_class(5),
        patched(own_class(6), json!({"trainer_id": "trainer-3"})),
    ]);
    let done = world.pay("pay-1", &payment(json!({ "sessions": sessions }))).await;
    assert_eq!((&done["state"], &done["created"]), (&json!("done"), &json!(2)), "{done}");
    let failures = json!([{"index": 0, "code": "plan_limit"}, {"index": 1, "code": "not_found"}]);
    assert_eq!((&done["failures"], &done["failed"]), (&failures, &json!(2)));
    assert_eq!(world.paid_sessions("scheduled").await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn class_whose_start_passes_before_it_is_created_is_refused() {
    let world = World::start().await;
    let soon = world.now() + SignedDuration::from_mins(20);
    let zone_of_the_deployment =
        json!({"timezone": null, "starts_at": "2026-12-01T09:00:00", "duration_minutes": 30});
    let sessions = json!([
        patched(own_class(3), json!({"starts_at": soon})),
        patched(own_class(4), zone_of_the_deployment),
    ]);
    world.put_payment("pay-1", &payment(json!({ "sessions": sessions }))).await.expect(202);
    world.advance(SignedDuration::from_mins(30));
    let report = world.meeting_sweep().await;
    assert_eq!(report["payments_finished"], 1, "{report}");
    let done = world.payment("pay-1").await;
    assert_eq!(done["failures"], json!([{"index": 0, "code": "session_ended"}]));
    let created = world.paid_sessions("scheduled").await.remove(0);
    assert_eq!(created["timezone"], "Europe/Berlin");
    let starts_at: Timestamp =
        created["starts_at"].as_str().expect("a time").parse().expect("a time");
    assert_eq!(starts_at.to_string(), "2026-12-01T08:00:00Z");
}
