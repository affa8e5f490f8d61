//! Resending invitations: only to the named recipients, with the current details, and rate limited.

use std::sync::atomic::{AtomicU32, Ordering};

use futures::future::join_all;
use http::Method;
use jiff::SignedDuration;
use local::calls::Service;
use local::faults::{Fault, FaultKind};
use serde_json::{Value, json};

use crate::support::{fields, invitees, patched, session_path};
use crate::world::{Response, World, course_session_body, session_body};

fn with_manual_link(body: Value) -> Value {
    patched(body, json!({"provider": "manual", "join_url": "https://meet.example.test/a"}))
}

fn session_body_with_invitees(count: usize) -> Value {
    with_manual_link(patched(
        session_body(50),
        json!({"audience_type": "invitees", "invitees": invitees(count)}),
    ))
}

impl World {
    /// Resends with a new `Idempotency-Key`.
    pub(crate) async fn resend(&self, token: &str, session: &Value, body: Value) -> Response {
        static NEXT_KEY: AtomicU32 = AtomicU32::new(0);
        let key = NEXT_KEY.fetch_add(1, Ordering::Relaxed).to_string();
        self.resend_with_key(token, session, Some(&key), body).await
    }

    pub(crate) async fn resend_with_key(
        &self,
        token: &str,
        session: &Value,
        key: Option<&str>,
        body: Value,
    ) -> Response {
        let headers: Vec<_> = key.map(|key| ("idempotency-key", key)).into_iter().collect();
        let path = format!("{}/resend-invite", session_path(session));
        self.call(Method::POST, &path, token, Some(body), &headers).await
    }

    /// The pending resend events of the outbox.
    async fn pending_resends(&self) -> Vec<Value> {
        let due = self.due_work("OUTBOX").await;
        due.into_iter().filter(|item| item["event"] == "resend").collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resend_reaches_everyone_or_only_named_recipients() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let course_session =
        world.create(&trainer, &with_manual_link(course_session_body(50))).await.expect(201);
    let invitee_session = world.create(&trainer, &session_body_with_invitees(3)).await.expect(201);
    let without_audience =
        world.create(&trainer, &with_manual_link(session_body(50))).await.expect(201);
    let edited = patched(with_manual_link(course_session_body(50)), json!({"title": "Geometry"}));
    world.edit(&trainer, &course_session, &edited).await.expect(200);

    for (session, body, queued, users, emails) in [
        (&course_session, json!({}), 5, None, None),
        (&course_session, json!({"recipients": null}), 5, None, None),
        (
            &course_session,
            json!({"recipients": ["student-2", "STUDENT3@example.test", "student-2", "student2@example.test"]}),
            2,
            Some(json!(["student-2", "student-3"])),
            Some(json!([])),
        ),
        (&invitee_session, json!({}), 3, None, None),
        (
            &invitee_session,
            json!({"recipients": ["Student1@example.test", "student2@example.test", "STUDENT2@example.test"]}),
            2,
            Some(json!([])),
            Some(json!(["student1@example.test", "student2@example.test"])),
        ),
    ] {
        let before = world.pending_resends().await.len();
        let response = world.resend(&trainer, session, body.clone()).await.expect(202);
        assert_eq!(response, json!({"queued": queued}), "{body}");
        let pending_resends = world.pending_resends().await;
        assert_eq!(pending_resends.len(), before + 1, "{body}");
        let last = pending_resends
            .iter()
            .filter(|item| item["session_id"] == session["id"])
            .max_by_key(|item| item["nonce"].as_u64())
            .expect("one");
        assert_eq!(
            (last["recipients"].get("users").cloned(), last["recipients"].get("emails").cloned()),
            (users, emails),
            "{body}"
        );
        world.advance(SignedDuration::from_mins(1));
    }
    let is_of_course = |item: &&Value| item["session_id"] == course_session["id"];
    let pending_resends = world.pending_resends().await;
    let state = pending_resends.iter().find(is_of_course).expect("one");
    assert_eq!(
        (&state["version"], &state["sequence"]),
        (&json!(2), &json!(1)),
        "the current version"
    );
    assert_eq!(
        world.resend(&trainer, &without_audience, json!({})).await.expect(202),
        json!({"queued": 0})
    );
    assert_eq!(world.pending_resends().await.len(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resend_with_unknown_recipient_is_rejected_and_sends_nothing() {
    let world = World::start().await;
    let (trainer, service) = (world.trainer().await, world.service().await);
    let course_session =
        world.create(&trainer, &with_manual_link(course_session_body(50))).await.expect(201);
    let invitee_session = world.create(&trainer, &session_body_with_invitees(3)).await.expect(201);
    let without_audience =
        world.create(&trainer, &with_manual_link(session_body(50))).await.expect(201);
    let enrollment =
        json!({"email": "student5@example.test", "name": "Five", "access_granted": false});
    world
        .put(&service, "/v1/directory/courses/course-1/enrollments/student-5", enrollment)
        .await
        .expect(200);
    for (session, recipients, refused) in [
        (
            &course_session,
            json!(["student-1", "student-9", "student2@example.test", "student9@example.test"]),
            vec![1, 3],
        ),
        (&course_session, json!(["student-5", "student5@example.test"]), vec![0, 1]),
        (&course_session, json!(["", "a#b", "trainer-1"]), vec![0, 1, 2]),
        (
            &invitee_session,
            // Whether a user has an invited address is not disclosed, so no user id is accepted.
            json!(["student-1", "student-4", "guest@example.test", "student3@example.test"]),
            vec![0, 1, 2],
        ),
        (&without_audience, json!(["student-1"]), vec![0]),
    ] {
        let problem = world.resend(&trainer, session, json!({"recipients": recipients})).await;
        let problem = problem.expect_problem(422, "validation_failed");
        let expected: Vec<_> = refused.iter().map(|n| format!("recipients[{n}]")).collect();
        assert_eq!(fields(&problem), expected, "{recipients}");
    }
    // The directory has another address of the student than the enrollment. The trainer does not see it.
    let user = json!({"email": "private@example.test", "name": "One", "role": "student"});
    world.put(&service, "/v1/directory/users/student-1", user).await.expect(200);
    let body = json!({"recipients": ["student-1", "private@example.test"]});
    let problem = world.resend(&trainer, &course_session, body).await;
    assert_eq!(fields(&problem.expect_problem(422, "validation_failed")), ["recipients[1]"]);
    let many: Vec<_> = (0..1001).map(|n| format!("student-{n}")).collect();
    for (body, field) in [
        (json!({"recipients": []}), "recipients"),
        (json!({"recipients": many}), "recipients"),
        (json!({"recipients": "student-1"}), "recipients"),
        (json!({"recipients": [1]}), "recipients[0]"),
        (json!({"to": ["student-1"]}), "to"),
    ] {
        let problem = world
            .resend(&trainer, &course_session, body)
            .await
            .expect_problem(422, "validation_failed");
        assert_eq!(fields(&problem), [field]);
    }
    assert_eq!(world.pending_resends().await, Vec::<Value>::new());
    // Rejected requests do not use the limit.
    for _ in 0..3 {
        world.resend(&trainer, &course_session, json!({})).await.expect(202);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resend_is_for_the_trainer_of_an_upcoming_session() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let made = world.create(&trainer, &with_manual_link(course_session_body(50))).await.expect(201);
    world
        .resend(&world.other_trainer().await, &made, json!({}))
        .await
        .expect_problem(404, "not_found");
    world.resend(&world.student(1).await, &made, json!({})).await.expect_problem(403, "forbidden");
    world.resend("", &made, json!({})).await.expect_problem(401, "unauthenticated");
    world
        .post(&trainer, "/v1/sessions/x/resend-invite", json!({}))
        .await
        .expect_problem(404, "not_found");

    world.put_settings(json!({"live_classes_enabled": false})).await;
    world.resend(&trainer, &made, json!({})).await.expect_problem(403, "feature_disabled");
    world.put_settings(json!({"live_classes_enabled": true})).await;
    world.resend(&trainer, &made, json!({})).await.expect(202);
    let cancelled =
        world.create(&trainer, &with_manual_link(course_session_body(50))).await.expect(201);
    world.cancel(&trainer, &cancelled).await.expect(200);
    world.resend(&trainer, &cancelled, json!({})).await.expect_problem(409, "session_cancelled");
    // A session that nobody reports as started is over when its window closes.
    world.advance(SignedDuration::from_mins(50 * 60 + 60 + 89));
    let trainer = world.trainer().await;
    world.resend(&trainer, &made, json!({})).await.expect(202);
    world.advance(SignedDuration::from_mins(1));
    world.resend(&trainer, &made, json!({})).await.expect_problem(409, "session_ended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resend_is_limited_to_three_per_hour_and_session() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let made = world.create(&trainer, &with_manual_link(course_session_body(50))).await.expect(201);
    let other =
        world.create(&trainer, &with_manual_link(course_session_body(50))).await.expect(201);
    let all = join_all((0..6).map(|_| world.resend(&trainer, &made, json!({})))).await;
    let sent = all.iter().filter(|response| response.status == 202).count();
    let unavailable = all.iter().filter(|response| response.status == 503).count();
    assert!(sent == 3 || sent + unavailable == 6 && sent <= 3, "{all:?}");
    for _ in sent..3 {
        world.resend(&trainer, &made, json!({})).await.expect(202);
    }
    assert_eq!(world.pending_resends().await.len(), 3, "one event per request");
    world.advance(SignedDuration::from_mins(20));
    let limited = world.resend(&trainer, &made, json!({})).await;
    assert_eq!(limited.headers["retry-after"], "2400");
    limited.expect_problem(429, "rate_limited");
    world.resend(&trainer, &other, json!({})).await.expect(202);
    world.advance(SignedDuration::from_secs(2399));
    world.resend(&trainer, &made, json!({})).await.expect_problem(429, "rate_limited");
    world.advance(SignedDuration::from_secs(1));
    let trainer = world.trainer().await;
    world.stack.usage.reset();
    world.resend(&trainer, &made, json!({})).await.expect(202);
    let of = |service| world.stack.usage.service_totals("resend-invite", service).calls;
    assert_eq!(
        (of(Service::Dynamodb), of(Service::Sqs)),
        (5, 1),
        "one read, the students with their entries and preferences, and one write"
    );
    assert_eq!(world.pending_resends().await.len(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeated_resend_returns_the_first_response_and_sends_once() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let made = world.create(&trainer, &session_body_with_invitees(3)).await.expect(201);
    let two = json!({"recipients": ["student1@example.test", "student2@example.test"]});
    let reversed = json!({"recipients": ["student-2", "STUDENT1@example.test"]});
    let same = json!({"recipients": ["student2@example.test", "STUDENT1@example.test"]});
    let resend =
        async |key, body: &Value| world.resend_with_key(&trainer, &made, key, body.clone()).await;
    let key = Some("a");
    let all = join_all([&two, &same, &two].map(|body| resend(key, body))).await;
    for response in all {
        assert_eq!(response.expect(202), json!({"queued": 2}));
    }
    assert_eq!(world.pending_resends().await.len(), 1, "one event for one key");
    resend(key, &json!({})).await.expect_problem(422, "idempotency_key_reused");
    resend(key, &reversed).await.expect_problem(422, "idempotency_key_reused");
    // The key is remembered when the session has changed, the hourly limit is reached or the session is cancelled.
    let moved = patched(session_body_with_invitees(3), json!({"title": "Geometry"}));
    world.edit(&trainer, &made, &moved).await.expect(200);
    // Without a key, equal requests within a minute are one.
    for _ in 0..2 {
        assert_eq!(resend(None, &json!({})).await.expect(202), json!({"queued": 3}));
    }
    assert_eq!(world.pending_resends().await.len(), 2);
    world.advance(SignedDuration::from_mins(1));
    resend(None, &json!({})).await.expect(202);
    assert_eq!(world.pending_resends().await.len(), 3);
    resend(Some("b"), &json!({})).await.expect_problem(429, "rate_limited");
    world.cancel(&trainer, &made).await.expect(200);
    assert_eq!(resend(key, &two).await.expect(202), json!({"queued": 2}));
    assert_eq!(world.pending_resends().await.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resend_reaches_a_named_student_whom_the_index_does_not_show() {
    let world = World::start().await;
    let (trainer, service) = (world.trainer().await, world.service().await);
    let made = world.create(&trainer, &with_manual_link(course_session_body(50))).await.expect(201);
    world.run_outbox_sweep().await;
    let enrollment =
        json!({"email": "student9@example.test", "name": "Nine", "access_granted": true});
    let path = "/v1/directory/courses/course-1/enrollments/student-9";
    world.put(&service, path, enrollment).await.expect(200);
    let body = json!({"recipients": ["student-9"]});
    assert_eq!(world.resend(&trainer, &made, body).await.expect(202), json!({"queued": 1}));
    let stale = Fault::new(Service::Dynamodb, "Query", FaultKind::Stale);
    world.inject_fault(stale.for_function("outbox-sweep").times(50));
    world.run_outbox_sweep().await;
    let resent = ("resent".to_owned(), "student9@example.test".to_owned());
    assert!(world.sent_mails().await.contains(&resent), "{:?}", world.sent_mails().await);
}
