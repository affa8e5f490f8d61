//! The AWS and Zoom requests of each action. These numbers determine the cost.

use http::Method;
use jiff::SignedDuration;
use local::calls::Service;
use local::faults::{Fault, FaultKind};
use serde_json::json;
use shared::domain::directory::Enrollment;
use shared::domain::domain_event::{DomainEvent, DomainEventKind, EventNonce};
use shared::domain::id::{CourseId, SessionId, UserId};
use shared::domain::in_app::{InAppNotification, NotificationKind, NotificationSubject};
use shared::domain::text::{Email, PersonName, Title};
use shared::store::directory::put_enrollment;

use crate::functions::store;
use crate::support::{invitees, patched, session_path};
use crate::world::{World, course_session_body, session_body};

/// The usage of an action.
#[derive(Debug)]
pub(crate) struct Cost {
    pub(crate) action: &'static str,
    dynamodb: u64,
    read: f64,
    write: f64,
    sqs: u64,
    zoom: u64,
}

/// The maximum of DynamoDB requests, read units, write units, SQS requests and Zoom calls.
pub(crate) type Budget = (u64, f64, f64, u64, u64);

/// Returns the usage of `function` since the last call and resets the meter.
pub(crate) fn take_cost(world: &World, action: &'static str, function: &str) -> Cost {
    let usage = &world.stack.usage;
    let of = |service| usage.service_totals(function, service);
    let table = of(Service::Dynamodb);
    let cost = Cost {
        action,
        dynamodb: table.calls,
        read: table.read_units,
        write: table.write_units,
        sqs: of(Service::Sqs).calls,
        zoom: of(Service::Zoom).calls,
    };
    for (name, report) in usage.report().functions {
        let scans = report.calls.iter().filter(|call| call.operation == "Scan").count();
        assert_eq!(scans, 0, "{name} scanned");
    }
    usage.reset();
    cost
}

/// Prints the usage and checks each action against its budget.
pub(crate) fn check_budgets(costs: &[Cost], budgets: &[Budget]) {
    println!(
        "{:<44} {:>8} {:>6} {:>6} {:>4} {:>5}",
        "action", "DynamoDB", "read", "write", "SQS", "Zoom"
    );
    for Cost { action, dynamodb, read, write, sqs, zoom } in costs {
        println!("{action:<44} {dynamodb:>8} {read:>6} {write:>6} {sqs:>4} {zoom:>5}");
    }
    assert_eq!(costs.len(), budgets.len());
    for (cost, &(dynamodb, read, write, sqs, zoom)) in costs.iter().zip(budgets) {
        let within = cost.dynamodb <= dynamodb
            && cost.read <= read
            && cost.write <= write
            && cost.sqs <= sqs
            && cost.zoom <= zoom;
        assert!(within, "{cost:?}");
    }
}

/// Stores so many in-app notifications for `student-1`, the newest with the current time.
async fn store_notifications(world: &World, count: u64) {
    let notification = |n: u64| {
        let event = DomainEvent {
            at: world.now() - SignedDuration::from_mins(i64::try_from(n).expect("a few")),
            kind: DomainEventKind::ReauthRequired {
                trainer: id("trainer-1"),
                connection_version: n,
                nonce: EventNonce(n),
            },
        };
        let subject = NotificationSubject {
            session: SessionId::from_bytes([1; 16]),
            title: Title::parse("Algebra I").expect("a title"),
            starts_at: world.now(),
        };
        InAppNotification::new(
            &event,
            NotificationKind::RECORDING_READY,
            id("student-1"),
            Some(subject),
        )
    };
    let notifications: Vec<_> = (0..count).map(notification).collect();
    store(world).put_notifications(&notifications).await.expect("written");
}

fn id(text: &str) -> UserId {
    UserId::parse(text).expect("an id")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_app_notification_requests_stay_within_budget() {
    let world = World::start().await;
    let student = world.student(1).await;
    world.list_items(&student, "/v1/me/notifications").await;
    store_notifications(&world, 200).await;
    world.stack.usage.reset();
    let mut costs = Vec::new();
    let mut measure = |action| costs.push(take_cost(&world, action, "notifications"));
    let page = world.get(&student, "/v1/me/notifications").await.expect(200);
    measure("notifications, a page of 50 of 200");
    let id = page["items"][0]["id"].as_str().expect("an id");
    world.post(&student, &format!("/v1/me/notifications/{id}/read"), json!({})).await.expect(204);
    measure("a notification read");
    world
        .post(&student, &format!("/v1/me/notifications/{id}/dismiss"), json!({}))
        .await
        .expect(204);
    measure("a notification dismissed");
    world.get(&student, "/v1/me/notification-preferences").await.expect(200);
    measure("preferences");
    let quiet = json!({"live_session": {"in_app": true, "email": false}});
    world.put(&student, "/v1/me/notification-preferences", quiet).await.expect(200);
    measure("preferences, put");
    let budgets = [
        (2, 16.0, 0.0, 0, 0),
        (1, 0.0, 1.0, 0, 0),
        (1, 0.0, 1.0, 0, 0),
        (1, 1.0, 0.0, 0, 0),
        (3, 1.0, 2.0, 0, 0),
    ];
    check_budgets(&costs, &budgets);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn session_requests_stay_within_budget() {
    let world = World::start().await;
    let (trainer, student) = (world.trainer().await, world.student(1).await);
    world.connect_zoom(&trainer, "app").await;
    // From here on the functions have cached their secret and the token keys.
    let warm = world.create(&trainer, &course_session_body(30)).await.expect(201);
    world.cancel(&trainer, &warm).await.expect(200);
    world.list_items(&trainer, "/v1/sessions").await;
    world.sweep().await;
    world.stack.usage.reset();

    let mut costs = Vec::new();
    let mut measure = |action, function| costs.push(take_cost(&world, action, function));
    let made = world.create(&trainer, &course_session_body(50)).await.expect(201);
    measure("create, for a course", "session-save");
    let list = |count| {
        patched(session_body(50), json!({"audience_type": "invitees", "invitees": invitees(count)}))
    };
    let few = world.create(&trainer, &list(10)).await.expect(201);
    measure("create, 10 invitees", "session-save");
    world.create(&trainer, &list(1000)).await.expect(201);
    measure("create, 1,000 invitees", "session-save");
    world.create(&trainer, &course_session_body(62)).await.expect(201);
    measure("create, ends at midnight", "session-save");
    let late = patched(course_session_body(62), json!({"duration_minutes": 61}));
    world.create(&trainer, &late).await.expect(201);
    measure("create, crosses midnight", "session-save");
    let link = json!({"provider": "manual", "join_url": "https://meet.example.test/a"});
    world.create(&trainer, &patched(course_session_body(51), link.clone())).await.expect(201);
    measure("create, manual", "session-save");

    let renamed = patched(course_session_body(50), json!({"title": "Geometry"}));
    world.edit(&trainer, &made, &renamed).await.expect(200);
    measure("edit, the title", "session-save");
    let moved = patched(renamed.clone(), json!({"starts_at": "2026-11-25T09:00:00Z"}));
    world.edit(&trainer, &made, &moved).await.expect(200);
    measure("edit, the start", "session-save");
    world.edit(&trainer, &made, &moved).await.expect(200);
    measure("edit, unchanged", "session-save");
    world.edit(&trainer, &few, &list(11)).await.expect(200);
    measure("edit, 11 invitees for 10", "session-save");
    world.cancel(&trainer, &made).await.expect(200);
    measure("cancel", "session-cancel");
    world.cancel(&trainer, &made).await.expect(200);
    measure("cancel, again", "session-cancel");

    assert_eq!(world.list_items(&trainer, "/v1/sessions").await.len(), 7);
    measure("trainer's list, classes on Zoom on 2 days", "sessions");
    for n in 0..50 {
        world
            .create(&trainer, &patched(course_session_body(60 + n), link.clone()))
            .await
            .expect(201);
    }
    world.stack.usage.reset();
    assert_eq!(world.list_items(&trainer, "/v1/sessions").await.len(), 50);
    measure("trainer's list, a page of 50", "sessions");
    assert_eq!(world.list_items(&trainer, "/v1/sessions?status=scheduled").await.len(), 50);
    measure("trainer's list, by status", "sessions");
    assert_eq!(world.list_items(&student, "/v1/me/sessions").await.len(), 50);
    measure("student's list, 1 course and 2 invitations", "sessions");
    world.get(&trainer, &session_path(&few)).await.expect(200);
    measure("one session, its trainer, 11 invitees", "sessions");
    world.get(&student, &session_path(&few)).await.expect(200);
    measure("one session, invited by address", "sessions");
    world.get(&student, &session_path(&warm)).await.expect(200);
    measure("one session, of a course", "sessions");
    world.sweep().await;
    measure("sweep, nothing due", "reminder-sweep");
    world.advance(SignedDuration::from_hours(1));
    world.sweep().await;
    measure("sweep, nothing due, an hour later", "reminder-sweep");
    let budgets = [
        // One read unit is the trainer's host, and one its calendar. Two write units each: the trainer was not erased, no
        // other request has stored the session, and the booking of the host.
        (4, 8.0, 32.0, 1, 1),
        (4, 7.0, 61.0, 1, 1),
        (45, 7.0, 2034.0, 1, 1),
        // The second day of a booking costs two units.
        (4, 9.0, 32.0, 1, 1),
        (4, 9.0, 34.0, 1, 1),
        (2, 5.0, 16.0, 1, 0),
        (4, 6.0, 16.0, 1, 1),
        // Zoom is asked for the start that it stored.
        (4, 7.0, 34.0, 1, 2),
        (2, 6.0, 0.0, 0, 0),
        (4, 6.0, 38.0, 1, 0),
        // Two units are the check that the meeting is gone before the planned start.
        (3, 2.0, 21.0, 1, 1),
        (1, 2.0, 0.0, 0, 0),
        (2, 3.0, 0.0, 0, 0),
        (2, 6.5, 0.0, 0, 0),
        (2, 7.0, 0.0, 0, 0),
        (4, 8.5, 0.0, 0, 0),
        // A trainer's session is read with the booked classes of its day.
        (4, 3.5, 0.0, 0, 0),
        (2, 2.0, 0.0, 0, 0),
        (2, 2.0, 0.0, 0, 0),
        (3, 1.5, 0.0, 0, 0),
        (3, 1.5, 0.0, 0, 0),
    ];
    check_budgets(&costs, &budgets);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repairs_stay_within_budget() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    let session = world.create(&trainer, &session_body(50)).await.expect(201);
    world.sweep().await;
    let lost = || Fault::new(Service::Zoom, "update_meeting", FaultKind::Lost).times(2);
    let renamed = patched(session_body(50), json!({"title": "Geometry"}));
    world.inject_fault(lost());
    world.stack.usage.reset();
    let mut costs = Vec::new();
    world.edit(&trainer, &session, &renamed).await.expect_problem(502, "zoom_unavailable");
    costs.push(take_cost(&world, "edit, not answered twice", "session-save"));
    world.advance_and_sweep().await;
    costs.push(take_cost(&world, "sweep, a repair that restores", "reminder-sweep"));
    world.advance(SignedDuration::from_mins(10));
    world.sweep().await;
    costs.push(take_cost(&world, "sweep, a repair that finds nothing", "reminder-sweep"));
    world.advance(SignedDuration::from_mins(60));
    world.sweep().await;
    costs.push(take_cost(&world, "sweep, the last check, with a new token", "reminder-sweep"));

    world.inject_zoom_fault("create_meeting", FaultKind::Lost);
    world.inject_fault(Fault::new(Service::Zoom, "list_meetings", FaultKind::Error).times(2));
    let other = world.create_with_idempotency_key(&trainer, "k", &session_body(60)).await;
    other.expect_problem(502, "zoom_unavailable");
    costs.push(take_cost(&world, "create, not answered", "session-save"));
    world.advance_and_sweep().await;
    costs.push(take_cost(&world, "sweep, a repair of a create", "reminder-sweep"));
    let budgets = [
        (5, 6.0, 24.0, 0, 2),
        (9, 8.5, 30.0, 0, 2),
        (6, 6.5, 4.0, 0, 1),
        (8, 6.5, 4.0, 0, 2),
        (4, 7.0, 24.0, 0, 3),
        (13, 10.5, 20.0, 0, 4),
    ];
    check_budgets(&costs, &budgets);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connection_requests_stay_within_budget() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    world.create(&trainer, &session_body(30)).await.expect(201);
    world.delete(&trainer, "/v1/zoom/connection").await.expect(204);
    world.advance(SignedDuration::from_mins(10));
    world.stack.usage.reset();
    let mut costs = Vec::new();
    let mut measure = |action, function| costs.push(take_cost(&world, action, function));
    world.connect_zoom(&trainer, "app").await;
    measure("connect", "connect");
    world.advance(SignedDuration::from_hours(1));
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    measure("connect again, an hour later", "connect");
    world.connect_zoom(&trainer, "app").await;
    measure("connect again, at once", "connect");
    world.create(&trainer, &session_body(50)).await.expect(201);
    measure("create", "session-save");
    world.advance(SignedDuration::from_mins(58));
    world.create(&trainer, &session_body(51)).await.expect(201);
    measure("create, with a refresh", "session-save");
    world.delete(&trainer, "/v1/zoom/connection").await.expect(204);
    measure("disconnect, classes ahead", "disconnect");
    let budgets = [
        (8, 5.0, 16.0, 0, 2),
        // Two units remove the check of the former grant.
        (8, 5.0, 18.0, 0, 2),
        (8, 5.0, 16.0, 0, 3),
        (4, 8.0, 32.0, 1, 1),
        (6, 8.0, 36.0, 1, 2),
        (5, 5.0, 14.0, 1, 1),
    ];
    check_budgets(&costs, &budgets);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn enrollment_and_erasure_requests_stay_within_budget() {
    let world = World::start().await;
    let (trainer, service) = (world.trainer().await, world.service().await);
    let link = json!({"provider": "manual", "join_url": "https://meet.example.test/a"});
    world.create(&trainer, &patched(course_session_body(50), link)).await.expect(201);
    let user = json!({"email": "zelda@example.test", "name": "Zelda", "role": "student"});
    world.put(&service, "/v1/directory/users/zelda", user).await.expect(200);
    world.stack.usage.reset();
    let mut costs = Vec::new();
    let mut measure = |action, function| costs.push(take_cost(&world, action, function));
    let path = "/v1/directory/courses/course-1/enrollments/zelda";
    for (name, action) in [
        ("Zelda", "enrollment, course with a class ahead"),
        ("Zelda", "enrollment, unchanged"),
        ("Zelda Z.", "enrollment, renamed"),
    ] {
        let body = json!({"email": "zelda@example.test", "name": name, "access_granted": true});
        world.put(&service, path, body).await.expect(200);
        measure(action, "directory");
    }
    world.advance(SignedDuration::from_millis(5));
    world.delete(&service, "/v1/directory/users/zelda").await.expect(204);
    measure("erase, a student of one course and one class", "directory");
    world.advance(SignedDuration::from_mins(3));
    world.sweep().await;
    measure("erase, repeated by the sweep", "reminder-sweep");
    let budgets = [
        (3, 3.0, 6.0, 1, 0),
        (2, 3.0, 0.0, 0, 0),
        (3, 3.0, 2.0, 0, 0),
        // One request reads the trainer's host, and another one the payments, from which the erasure removes the person.
        (28, 17.5, 20.0, 1, 0),
        (25, 13.5, 12.0, 1, 0),
    ];
    check_budgets(&costs, &budgets);
}

/// Enrolls `count` more students in `course-1` without HTTP.
async fn enroll_students(world: &World, count: usize) {
    let enroll = |n: usize| {
        put_enrollment(&Enrollment {
            course: CourseId::parse("course-1").expect("an id"),
            user: id(&format!("many-{n}")),
            email: Email::parse(&format!("many{n}@example.test")).ok(),
            name: PersonName::parse(&format!("Student {n}")).expect("a name"),
            access_granted: true,
            former_emails: Vec::new(),
            paid_by: Default::default(),
        })
    };
    store(world).write_directory((0..count).map(enroll).collect()).await.expect("written");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn audience_requests_stay_within_budget() {
    let world = World::start().await;
    let (trainer, service) = (world.trainer().await, world.service().await);
    let student = json!({"email": "s@example.test", "name": "S", "access_granted": true});
    let enrollment =
        |course: &str, user: &str| format!("/v1/directory/courses/{course}/enrollments/{user}");
    let mut costs = Vec::new();
    let mut measure = |action, function| costs.push(take_cost(&world, action, function));
    // From here on the functions have cached their secret and the token keys.
    world
        .put(
            &service,
            "/v1/directory/courses/c-9",
            json!({"title": "T", "trainer_id": "trainer-1"}),
        )
        .await
        .expect(200);
    let link = json!({"provider": "manual", "join_url": "https://meet.example.test/a"});
    world.stack.usage.reset();
    world.put(&service, &enrollment("course-7", "s-1"), student.clone()).await.expect(200);
    measure("enrollment, a course without sessions", "directory");
    world.advance(SignedDuration::from_mins(2));
    world.run_outbox_sweep().await;
    measure("its fan-out", "outbox-sweep");

    enroll_students(&world, 95).await;
    let made = world.create(&trainer, &patched(course_session_body(50), link)).await.expect(201);
    world.stack.usage.reset();
    world.run_outbox_sweep().await;
    measure("fan-out and mails, 100 students", "outbox-sweep");
    world.put(&service, &enrollment("course-1", "s-1"), student.clone()).await.expect(200);
    measure("enrollment, a course with a session", "directory");
    world.advance(SignedDuration::from_mins(2));
    world.run_outbox_sweep().await;
    measure("its fan-out and mail", "outbox-sweep");
    let named = json!({"recipients": ["student-1"]});
    world
        .post(&trainer, &format!("{}/resend-invite", session_path(&made)), named)
        .await
        .expect(202);
    measure("resend, one student", "resend-invite");
    world.run_outbox_sweep().await;
    measure("its fan-out and mail", "outbox-sweep");
    let lines = (0..100).map(|n| {
        let email = format!("i{n}@example.test");
        json!({"type": "enrollment", "course_id": "course-1", "user_id": format!("i-{n}"), "email": email, "name": "S"})
            .to_string()
    });
    let lines = lines.collect::<Vec<_>>().join("\n").into_bytes();
    let import = world.send_raw(Method::POST, "/v1/directory/import", &service, lines).await;
    assert_eq!(import.expect(200)["accepted"], 100);
    measure("import, 100 students of a course with a session", "directory");
    let budgets = [
        (3, 0.5, 3.0, 0, 0),
        (4, 1.5, 2.0, 3, 0),
        // Two units of each mail are its address: the user, the enrollment, the marker of an erasure and the suppression.
        (236, 580.0, 260.0, 45, 0),
        (3, 1.5, 5.0, 0, 0),
        (22, 21.0, 20.0, 8, 0),
        // One request of a resend reads the suppressions.
        (7, 7.5, 4.0, 1, 0),
        (18, 15.5, 15.0, 12, 0),
        // An enrollment costs five units: the item, its index, and the change in a transaction.
        // A look for each user that an enrollment names is 1.5 read units if the directory has none.
        (13, 260.0, 1100.0, 0, 0),
    ];
    check_budgets(&costs, &budgets);
}
