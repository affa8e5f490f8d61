//! Sending an invitation again: to those it names and nobody else, as the class stands, and not without end.

use futures::future::join_all;
use jiff::SignedDuration;
use local::calls::Service;
use serde_json::{Value, json};

use crate::look::{fields, invitees, path_of, with};
use crate::world::{Answer, World, class, course_class};

fn link(class: Value) -> Value {
    with(class, json!({"provider": "manual", "join_url": "https://meet.example.test/a"}))
}

fn inviting(count: usize) -> Value {
    link(with(class(50), json!({"audience_type": "invitees", "invitees": invitees(count)})))
}

impl World {
    async fn resend(&self, token: &str, session: &Value, body: Value) -> Answer {
        self.post(token, &format!("{}/resend-invite", path_of(session)), body).await
    }

    /// What the outbox was asked to send again.
    async fn resent(&self) -> Vec<Value> {
        let due = self.due("OUTBOX").await;
        due.into_iter().filter(|item| item["what"] == "resend").collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_goes_to_all_or_to_those_who_are_named() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let course = world.create(&trainer, &link(course_class(50))).await.expect(201);
    let list = world.create(&trainer, &inviting(3)).await.expect(201);
    let nobody = world.create(&trainer, &link(class(50))).await.expect(201);
    let edited = with(link(course_class(50)), json!({"title": "Geometry"}));
    world.edit(&trainer, &course, &edited).await.expect(200);

    for (session, body, queued, users, emails) in [
        (&course, json!({}), 5, None, None),
        (&course, json!({"recipients": null}), 5, None, None),
        (
            &course,
            json!({"recipients": ["student-2", "STUDENT3@example.test", "student-2", "student2@example.test"]}),
            2,
            Some(json!(["student-2", "student-3"])),
            Some(json!([])),
        ),
        (&list, json!({}), 3, None, None),
        (
            &list,
            json!({"recipients": ["Student1@example.test", "student-2", "student2@example.test"]}),
            2,
            Some(json!([])),
            Some(json!(["student1@example.test", "student2@example.test"])),
        ),
    ] {
        let before = world.resent().await.len();
        let told = world.resend(&trainer, session, body.clone()).await.expect(202);
        assert_eq!(told, json!({"queued": queued}), "{body}");
        let resent = world.resent().await;
        assert_eq!(resent.len(), before + 1, "{body}");
        let last = resent
            .iter()
            .filter(|item| item["session_id"] == session["id"])
            .max_by_key(|item| item["turn"].as_u64())
            .expect("one");
        assert_eq!(
            (last["named"].get("users").cloned(), last["named"].get("emails").cloned()),
            (users, emails),
            "{body}"
        );
        world.advance(SignedDuration::from_mins(1));
    }
    let of_course = |item: &&Value| item["session_id"] == course["id"];
    let resent = world.resent().await;
    let state = resent.iter().find(of_course).expect("one");
    assert_eq!((&state["version"], &state["sequence"]), (&json!(2), &json!(1)), "as it stands");
    assert_eq!(world.resend(&trainer, &nobody, json!({})).await.expect(202), json!({"queued": 0}));
    assert_eq!(world.resent().await.len(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_invited_is_refused_by_name_and_then_it_goes_to_nobody() {
    let world = World::start().await;
    let (trainer, service) = (world.trainer().await, world.service().await);
    let course = world.create(&trainer, &link(course_class(50))).await.expect(201);
    let list = world.create(&trainer, &inviting(3)).await.expect(201);
    let nobody = world.create(&trainer, &link(class(50))).await.expect(201);
    let place = json!({"email": "student5@example.test", "name": "Five", "access_granted": false});
    world
        .put(&service, "/v1/directory/courses/course-1/enrollments/student-5", place)
        .await
        .expect(200);
    for (session, named, refused) in [
        (
            &course,
            json!(["student-1", "student-9", "student2@example.test", "student9@example.test"]),
            vec![1, 3],
        ),
        (&course, json!(["student-5", "student5@example.test"]), vec![0, 1]),
        (&course, json!(["", "a#b", "trainer-1"]), vec![0, 1, 2]),
        (
            &list,
            json!(["student-1", "student-4", "guest@example.test", "student3@example.test"]),
            vec![1, 2],
        ),
        (&nobody, json!(["student-1"]), vec![0]),
    ] {
        let problem = world.resend(&trainer, session, json!({"recipients": named})).await;
        let problem = problem.refused(422, "validation_failed");
        let expected: Vec<_> = refused.iter().map(|n| format!("recipients[{n}]")).collect();
        assert_eq!(fields(&problem), expected, "{named}");
    }
    let many: Vec<_> = (0..1001).map(|n| format!("student-{n}")).collect();
    for (body, field) in [
        (json!({"recipients": []}), "recipients"),
        (json!({"recipients": many}), "recipients"),
        (json!({"recipients": "student-1"}), "recipients"),
        (json!({"recipients": [1]}), "recipients[0]"),
        (json!({"to": ["student-1"]}), "to"),
    ] {
        let problem = world.resend(&trainer, &course, body).await.refused(422, "validation_failed");
        assert_eq!(fields(&problem), [field]);
    }
    assert_eq!(world.resent().await, Vec::<Value>::new());
    // What was refused does not count.
    for _ in 0..3 {
        world.resend(&trainer, &course, json!({})).await.expect(202);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_for_the_owner_of_a_class_that_is_still_to_come() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let made = world.create(&trainer, &link(course_class(50))).await.expect(201);
    world.resend(&world.other_trainer().await, &made, json!({})).await.refused(404, "not_found");
    world.resend(&world.student(1).await, &made, json!({})).await.refused(403, "forbidden");
    world.resend("", &made, json!({})).await.refused(401, "unauthenticated");
    world.post(&trainer, "/v1/sessions/x/resend-invite", json!({})).await.refused(404, "not_found");

    world.settings(json!({"live_classes_enabled": false})).await;
    world.resend(&trainer, &made, json!({})).await.refused(403, "feature_disabled");
    world.settings(json!({"live_classes_enabled": true})).await;
    world.resend(&trainer, &made, json!({})).await.expect(202);
    let cancelled = world.create(&trainer, &link(course_class(50))).await.expect(201);
    world.cancel(&trainer, &cancelled).await.expect(200);
    world.resend(&trainer, &cancelled, json!({})).await.refused(409, "session_cancelled");
    // A class by a pasted link has no end but the planned one.
    world.advance(SignedDuration::from_mins(50 * 60 + 59));
    let trainer = world.trainer().await;
    world.resend(&trainer, &made, json!({})).await.expect(202);
    world.advance(SignedDuration::from_mins(1));
    world.resend(&trainer, &made, json!({})).await.refused(409, "session_ended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_in_an_hour_also_at_once_and_the_next_when_it_says() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let made = world.create(&trainer, &link(course_class(50))).await.expect(201);
    let other = world.create(&trainer, &link(course_class(50))).await.expect(201);
    let all = join_all((0..6).map(|_| world.resend(&trainer, &made, json!({})))).await;
    let sent = all.iter().filter(|answer| answer.status == 202).count();
    let busy = all.iter().filter(|answer| answer.status == 503).count();
    assert!(sent == 3 || sent + busy == 6 && sent <= 3, "{all:?}");
    for _ in sent..3 {
        world.resend(&trainer, &made, json!({})).await.expect(202);
    }
    assert_eq!(world.resent().await.len(), 3, "each of its own");
    world.advance(SignedDuration::from_mins(20));
    let limited = world.resend(&trainer, &made, json!({})).await;
    assert_eq!(limited.headers["retry-after"], "2400");
    limited.refused(429, "rate_limited");
    world.resend(&trainer, &other, json!({})).await.expect(202);
    world.advance(SignedDuration::from_secs(2399));
    world.resend(&trainer, &made, json!({})).await.refused(429, "rate_limited");
    world.advance(SignedDuration::from_secs(1));
    let trainer = world.trainer().await;
    world.stack.usage.reset();
    world.resend(&trainer, &made, json!({})).await.expect(202);
    let of = |service| world.stack.usage.service_totals("resend-invite", service).calls;
    assert_eq!((of(Service::Dynamodb), of(Service::Sqs)), (3, 1), "read, counted and stored");
    assert_eq!(world.resent().await.len(), 5);
}
