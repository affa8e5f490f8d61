//! The host platform's service and admins act for trainers: with the trainer's data, and with their name in the audit and
//! the timeline.

use jiff::SignedDuration;
use local::calls::Service;
use local::faults::{Fault, FaultKind};
use serde_json::{Value, json};

use crate::support::{fields, patched, session_path};
use crate::world::{World, course_session_body, session_body};

/// A world with `trainer-1` connected, and a session of `course-1` so many hours ahead.
async fn scheduled(hours: i64) -> (World, String, Value) {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    let session = world.create(&trainer, &course_session_body(hours)).await.expect(201);
    (world, trainer, session)
}

impl World {
    /// The changes for the trainer in the timeline, oldest first, as `kind actor actor_role trainer_id version`.
    async fn changes_for_trainer(&self, session: &Value) -> Vec<String> {
        let path = format!("{}/timeline?limit=100", session_path(session));
        let entries = self.list_items(&self.admin().await, &path).await.into_iter().rev();
        let of_delegates = entries.filter(|entry| !entry["detail"]["actor_role"].is_null());
        of_delegates
            .map(|entry| {
                let detail = &entry["detail"];
                let words = [
                    &entry["kind"],
                    &entry["actor"],
                    &detail["actor_role"],
                    &detail["trainer_id"],
                    &detail["version"],
                ];
                words.map(|word| word.to_string().replace('"', "")).join(" ")
            })
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn service_edits_and_cancels_with_the_trainers_data() {
    let (world, trainer, session) = scheduled(26).await;
    let service = world.service().await;
    let plans = json!({"plans": {"pro": {"sessions_per_month": 1}}});
    world.put_settings(plans).await;

    // 11 days later is another month. The trainer's count moves, and the trainer's grant is used at Zoom.
    let moved = patched(course_session_body(26 + 24 * 11), json!({"title": "Geometry"}));
    let edited = world.edit(&service, &session, &moved).await.expect(200);
    assert_eq!((&edited["title"], &edited["version"]), (&json!("Geometry"), &json!(2)));
    assert_eq!(edited["meeting"], session["meeting"], "the owner's view");
    assert_eq!(world.meeting_updates(&session)[0]["topic"], "Geometry");
    for (user, month, count) in [
        ("trainer-1", "2026-11", 0),
        ("trainer-1", "2026-12", 1),
        ("host-platform", "2026-11", 0),
        ("host-platform", "2026-12", 0),
    ] {
        assert_eq!(world.monthly_session_count(user, month).await, count, "{user} {month}");
    }
    // An edit without differences leaves no entry. The trainer's plan and course count, not the caller's.
    world.edit(&service, &session, &moved).await.expect(200);
    world.create(&trainer, &session_body(30)).await.expect(201);
    let back = patched(moved, json!({"starts_at": session["starts_at"]}));
    let response = world.edit(&service, &session, &back).await;
    response.expect_problem(403, "plan_limit");
    let foreign = json!({"title": "Foreign", "trainer_id": "trainer-2"});
    let path = "/v1/directory/courses/course-2";
    world.put(&service, path, foreign).await.expect(200);
    let other_course = patched(back, json!({"course_id": "course-2"}));
    world.edit(&service, &session, &other_course).await.expect_problem(404, "not_found");

    world.advance(SignedDuration::from_secs(1));
    world.cancel(&service, &session).await.expect(200);
    world.cancel(&service, &session).await.expect(200);
    assert_eq!(world.meeting_of(&session)["status"], "deleted");
    assert_eq!(world.due_work("REPAIR").await, Vec::<Value>::new(), "deleted with the first call");
    assert_eq!(
        world.changes_for_trainer(&session).await,
        [
            "session.updated host-platform service trainer-1 2",
            "session.cancelled host-platform service trainer-1 3",
        ]
    );
}

/// The entry is part of the transaction, so a retry after any lost response leaves one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retried_requests_of_the_service_leave_one_entry_each() {
    let (world, _, _) = scheduled(50).await;
    let service = world.service().await;
    let body = patched(course_session_body(26), json!({"trainer_id": "trainer-1"}));
    let lost = || Fault::new(Service::Dynamodb, "TransactWriteItems", FaultKind::Lost).times(4);
    world.inject_fault(lost().for_function("session-save").after(1));
    let create = async || world.create_with_idempotency_key(&service, "one", &body).await;
    create().await;
    world.stack.faults.clear();
    let session = create().await.expect(201);
    assert_eq!((&session["version"], &session["source"]), (&json!(1), &json!("service")));
    let edited = patched(course_session_body(26), json!({"title": "Geometry"}));
    world.inject_fault(lost().for_function("session-save").after(1));
    world.advance(SignedDuration::from_secs(40));
    world.edit(&service, &session, &edited).await;
    world.stack.faults.clear();
    world.advance(SignedDuration::from_secs(40));
    world.edit(&service, &session, &edited).await.expect(200);
    world.inject_fault(lost().for_function("session-cancel"));
    world.cancel(&service, &session).await;
    world.stack.faults.clear();
    world.cancel(&service, &session).await.expect(200);
    assert_eq!(
        world.changes_for_trainer(&session).await,
        [
            "session.created host-platform service trainer-1 1",
            "session.updated host-platform service trainer-1 2",
            "session.cancelled host-platform service trainer-1 3",
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn service_and_admins_list_the_classes_of_a_trainer_or_a_course() {
    let (world, trainer, session) = scheduled(26).await;
    let other = world.other_trainer().await;
    let link = json!({"provider": "manual", "join_url": "https://meet.example.test/a"});
    let second = world.create(&trainer, &patched(session_body(30), link.clone())).await.expect(201);
    let foreign = world.create(&other, &patched(session_body(32), link)).await.expect(201);
    // The warnings are those of the trainer's connection.
    world.delete(&trainer, "/v1/zoom/connection").await.expect(204);
    for token in [world.service().await, world.admin().await] {
        for (query, expected) in [
            ("trainer_id=trainer-1", vec![&session, &second]),
            ("trainer_id=trainer-2", vec![&foreign]),
            ("course_id=course-1", vec![&session]),
            ("trainer_id=trainer-1&course_id=course-1", vec![&session]),
            ("trainer_id=trainer-2&course_id=course-1", vec![]),
        ] {
            let listed = world.list_items(&token, &format!("/v1/sessions?{query}")).await;
            let ids = |sessions: &[&Value]| {
                sessions.iter().map(|session| session["id"].clone()).collect::<Vec<_>>()
            };
            assert_eq!(ids(&listed.iter().collect::<Vec<_>>()), ids(&expected), "{query}");
            if query == "course_id=course-1" {
                assert_eq!(listed[0]["warnings"], json!(["zoom_not_connected"]));
                assert_eq!(listed[0]["meeting"], session["meeting"]);
            }
        }
        let problem = world.get(&token, "/v1/sessions").await;
        let problem = problem.expect_problem(422, "validation_failed");
        assert_eq!(fields(&problem), ["trainer_id"]);
    }
    assert_eq!(world.list_items(&trainer, "/v1/sessions?trainer_id=trainer-1").await.len(), 2);
    let response = world.get(&trainer, "/v1/sessions?trainer_id=trainer-2").await;
    assert_eq!(fields(&response.expect_problem(422, "validation_failed")), ["trainer_id"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn audit_and_timeline_name_the_author_and_the_trainer() {
    let world = World::start().await;
    let (trainer, other) = (world.trainer().await, world.other_trainer().await);
    let fields = json!({
        "provider": "manual",
        "join_url": "https://meet.example.test/a",
        "co_trainers": ["trainer-2"],
    });
    let session = world.create(&trainer, &patched(course_session_body(1), fields)).await;
    let session = session.expect(201);
    let path = session_path(&session);
    let (service, admin) = (world.service().await, world.admin().await);
    let resend = format!("{path}/resend-invite");
    world.post(&service, &resend, json!({})).await.expect(202);
    world.post(&admin, &resend, json!({})).await.expect_problem(403, "forbidden");

    world.advance(SignedDuration::from_mins(61));
    let (trainer, other) = (world.trainer().await, other);
    let report = world.get(&admin, &format!("{path}/attendance")).await.expect(200);
    let row = report["attendees"][0]["attendee_id"].as_str().expect("an id");
    let row = format!("{path}/attendance/{row}");
    for (token, present) in [(&trainer, true), (&other, false), (&service, true), (&admin, false)] {
        world.put(token, &row, json!({"present": present})).await.expect(200);
    }
    let audit = world.list_items(&service, &format!("{path}/attendance/audit")).await;
    let authors: Vec<_> =
        audit.iter().map(|entry| (entry["actor"].clone(), entry["actor_role"].clone())).collect();
    let expected = [
        ("admin-1", "admin"),
        ("host-platform", "service"),
        ("trainer-2", "co_trainer"),
        ("trainer-1", "trainer"),
    ];
    assert_eq!(authors, expected.map(|(actor, role)| (json!(actor), json!(role))));
    assert!(audit.iter().all(|entry| entry["trainer_id"] == "trainer-1"), "{audit:?}");

    let polls = format!("{path}/polls");
    let question = json!({"question": "Ready?", "options": ["Yes", "No"]});
    let poll = world.post(&service, &polls, question.clone()).await.expect(201);
    let poll_id = poll["id"].as_str().expect("an id");
    let vote = json!({"option_ids": [poll["options"][1]["id"]]});
    let student = world.student(1).await;
    world.put(&student, &format!("{polls}/{poll_id}/vote"), vote).await.expect(200);
    let shown = world.get(&admin, &polls).await.expect(200)["items"][0].clone();
    assert_eq!(shown["voters"][0]["user_id"], "student-1");
    world.advance(SignedDuration::from_secs(1));
    for _ in 0..2 {
        world.post(&other, &format!("{polls}/{poll_id}/close"), json!({})).await.expect(200);
    }
    // The trainer's own changes have no entry.
    let own = world.post(&trainer, &polls, question).await.expect(201);
    let close = format!("{polls}/{}/close", own["id"].as_str().expect("an id"));
    world.post(&trainer, &close, json!({})).await.expect(200);
    world.advance(SignedDuration::from_secs(1));
    world.cancel(&admin, &session).await.expect(200);
    let changes = world.changes_for_trainer(&session).await;
    assert_eq!(
        changes,
        [
            "invitation.resent host-platform service trainer-1 1",
            "poll.launched host-platform service trainer-1 1",
            "poll.closed trainer-2 co_trainer trainer-1 1",
            "session.cancelled admin-1 admin trainer-1 2",
        ]
    );
    let entries = world.list_items(&trainer, &format!("{path}/timeline?limit=100")).await;
    let launch = entries.iter().find(|entry| entry["kind"] == "poll.launched").expect("an entry");
    assert_eq!(launch["detail"]["poll_id"], *poll_id);
    // Pages continue between the sources of the timeline.
    let (mut paged, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = format!("{path}/timeline?limit=1{cursor}");
        let page = world.get(&trainer, &page).await.expect(200);
        paged.extend(page["items"].as_array().expect("a list").clone());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(paged, entries);
}
