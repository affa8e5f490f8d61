//! Nobody is skipped or notified twice while the audience, its addresses or the session change.

use std::collections::BTreeMap;

use http::Method;
use jiff::SignedDuration;
use local::calls::Service;
use local::faults::{Fault, FaultKind};
use serde_json::{Value, json};
use shared::domain::directory::Enrollment;
use shared::domain::id::{CourseId, UserId};
use shared::domain::text::{Email, PersonName};
use shared::store::directory::put_enrollment;
use tokio::time::{Duration, Instant, sleep};

use crate::functions::{DirectFunctions, store};
use crate::outbox_faults::RUN_TIME;
use crate::support::{patched, session_path};
use crate::world::{World, course_session_body};

/// Enough mails per second for hundreds of recipients.
const FAST: [(&str, &str); 1] = [("MAIL_RATE_PER_SECOND", "1000")];
/// The time of a run that stops after the first chunk, if recording the chunk takes a second.
const ONE_CHUNK: SignedDuration = SignedDuration::from_millis(28_800);

impl World {
    /// The number of in-app notifications per user and kind.
    async fn notifications_by_user(&self) -> BTreeMap<(String, String), usize> {
        let mut found = BTreeMap::new();
        for item in self.items("USER#").await {
            let is_notification =
                item["sk"].as_str().is_some_and(|sk| sk.starts_with("NOTIFICATION#"));
            if let (true, Some(user), Some(kind)) =
                (is_notification, item["pk"].as_str(), item["kind"].as_str())
            {
                let user = user.trim_start_matches("USER#").to_owned();
                *found.entry((user, kind.to_owned())).or_insert(0) += 1;
            }
        }
        found
    }

    /// The stored mail counts of a session, which must never be negative.
    async fn stored_counts(&self, session: &Value) -> BTreeMap<String, i64> {
        let partition = format!("SESSION#{}", session["id"].as_str().expect("an id"));
        let items = self.items(&partition).await;
        let counts = items.iter().find(|item| item["sk"] == "MAILCOUNT").cloned();
        let counts = counts.unwrap_or_else(|| json!({}));
        let counts = counts.as_object().expect("an item").iter();
        let counts = counts.filter_map(|(name, count)| Some((name.clone(), count.as_i64()?)));
        counts.filter(|(_, count)| *count != 0).collect()
    }

    async fn run_fast_outbox_sweep(&self) -> Value {
        let direct = DirectFunctions::new(self, &FAST);
        direct.run_outbox_sweep(RUN_TIME).await.expect("the run succeeds")
    }
}

fn counts(all: &[(&str, i64)]) -> BTreeMap<String, i64> {
    all.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

fn enrollment(n: usize, email: &str) -> Enrollment {
    Enrollment {
        course: CourseId::parse("course-1").expect("an id"),
        user: UserId::parse(&format!("many-{n}")).expect("an id"),
        email: Email::parse(email).ok(),
        name: PersonName::parse(&format!("Student {n}")).expect("a name"),
        access_granted: true,
        former_emails: Vec::new(),
        paid_by: Default::default(),
    }
}

async fn enroll(world: &World, students: impl Iterator<Item = Enrollment>) {
    let actions = students.map(|student| put_enrollment(&student)).collect();
    store(world).write_directory(actions).await.expect("they are written");
}

/// A manual session of `course-1`, which needs no Zoom connection.
async fn create(world: &World, hours: i64) -> Value {
    let link = json!({"provider": "manual", "join_url": "https://meet.example.test/a"});
    let trainer = world.trainer().await;
    world.create(&trainer, &patched(course_session_body(hours), link)).await.expect(201)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changed_address_neither_skips_nor_repeats_a_student() {
    const STUDENTS: usize = 250;
    let world = World::start().await;
    // The last ones share an address.
    let address = |prefix: &str, n: usize| match n {
        0..240 => format!("{prefix}{n}@example.test"),
        _ => "shared@example.test".to_owned(),
    };
    enroll(&world, (0..STUDENTS).map(|n| enrollment(n, &address("many", n)))).await;
    let session = create(&world, 50).await;
    let mut late = Fault::new(Service::Dynamodb, "TransactWriteItems", FaultKind::Late);
    late.delay_ms = Some(1_000);
    world.inject_fault(late.for_function("outbox-sweep"));
    let direct = DirectFunctions::new(&world, &FAST);
    let report = direct.run_outbox_sweep(ONE_CHUNK).await.expect("the run succeeds");
    let first = report["queued"].as_u64().expect("a number");
    assert!((90..=100).contains(&first), "{report}");
    enroll(&world, (0..240).map(|n| enrollment(n, &address("moved", n)))).await;
    for _ in 0..4 {
        world.advance(SignedDuration::from_mins(2));
        world.run_fast_outbox_sweep().await;
    }
    let notified = world.notifications_by_user().await;
    assert_eq!(notified.len(), STUDENTS + 5, "everybody is notified in-app");
    let sent = world.sent_mails().await;
    for n in 0..240 {
        let addresses = [address("many", n), address("moved", n)];
        let mails = sent.iter().filter(|(_, to)| addresses.contains(to)).count();
        assert_eq!(mails, 1, "student {n}");
    }
    let shared = sent.iter().filter(|(_, to)| to == "shared@example.test").count();
    assert_eq!(shared, 1, "an address gets one mail");
    assert_eq!(world.stored_counts(&session).await, counts(&[("sent", 246)]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dismissed_notification_stays_dismissed_if_its_write_is_repeated() {
    let world = World::start().await;
    let student = world.student(1).await;
    create(&world, 50).await;
    // The response is later than the SDK waits, so that it repeats the write.
    for operation in ["PutItem", "BatchWriteItem"] {
        world.inject_fault(
            Fault::new(Service::Dynamodb, operation, FaultKind::Late)
                .for_function("outbox-sweep")
                .times(5),
        );
    }
    const LIST: &str = "/v1/me/notifications";
    let dismissal = async {
        let started_at = Instant::now();
        loop {
            let items = world.list_items(&student, LIST).await;
            if let Some(item) = items.first() {
                let id = item["id"].as_str().expect("an id");
                world
                    .call(Method::POST, &format!("{LIST}/{id}/dismiss"), &student, None, &[])
                    .await
                    .expect(204);
                return;
            }
            assert!(started_at.elapsed() < Duration::from_secs(20), "there is no notification");
            sleep(Duration::from_millis(20)).await;
        }
    };
    futures::join!(world.run_outbox_sweep(), dismissal);
    world.stack.faults.clear();
    world.advance(SignedDuration::from_mins(2));
    world.run_outbox_sweep().await;
    let page = world.get(&student, LIST).await.expect(200);
    assert_eq!((&page["items"], &page["unread_count"]), (&json!([]), &json!(0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fan_out_overtaken_by_a_cancellation_leaves_nothing_behind() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let session = create(&world, 50).await;
    // The first run has read the session, and gets the students after the second run.
    let mut late = Fault::new(Service::Dynamodb, "Query", FaultKind::Late).after(1);
    late.delay_ms = Some(1_800);
    world.inject_fault(late.for_function("outbox-sweep"));
    let slow = DirectFunctions::new(&world, &[]);
    let overtaking = async {
        while !world.stack.faults.list().is_empty() {
            sleep(Duration::from_millis(5)).await;
        }
        world.cancel(&trainer, &session).await.expect(200);
        DirectFunctions::new(&world, &[]).run_outbox_sweep(RUN_TIME).await.expect("it succeeds");
    };
    let (first, ()) = futures::join!(slow.run_outbox_sweep(RUN_TIME), overtaking);
    first.expect("the run succeeds");
    for _ in 0..2 {
        world.advance(SignedDuration::from_mins(3));
        world.run_outbox_sweep().await;
    }
    assert_eq!(world.notifications_by_user().await, BTreeMap::new());
    assert_eq!(world.sent_mails().await, []);
    let stored = world.stored_counts(&session).await;
    assert!(stored.values().all(|count| *count >= 0), "{stored:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_add_up_if_a_session_is_cancelled_after_a_crash() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let session = create(&world, 50).await;
    // The run queues the mails and cannot record them.
    let fails = Fault::new(Service::Dynamodb, "TransactWriteItems", FaultKind::Error);
    world.inject_fault(fails.for_function("outbox-sweep").times(3));
    // No mail is sent by this run.
    world.inject_fault(Fault::new(Service::Sqs, "ReceiveMessage", FaultKind::Error).times(9));
    let direct = DirectFunctions::new(&world, &[]);
    direct.run_outbox_sweep(RUN_TIME).await.expect_err("the run fails");
    world.stack.faults.clear();
    world.cancel(&trainer, &session).await.expect(200);
    for _ in 0..3 {
        world.advance(SignedDuration::from_mins(3));
        world.run_outbox_sweep().await;
    }
    let stored = world.stored_counts(&session).await;
    // Five invitations, and five cancellations to people who never got them.
    assert_eq!(stored, counts(&[("dropped", 10)]), "{:?}", world.sent_mails().await);
    let kinds = world.notifications_by_user().await;
    for n in 1..=5 {
        let of = |kind: &str| kinds.get(&(format!("student-{n}"), kind.to_owned())).copied();
        assert_eq!((of("scheduled"), of("cancelled")), (Some(1), Some(1)), "with its cancellation");
    }
    let shown = world.get(&trainer, &session_path(&session)).await.expect(200);
    assert_eq!((&shown["mail"]["queued"], &shown["mail"]["dropped"]), (&json!(0), &json!(10)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelled_session_is_not_announced_in_app_after_a_crash() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let session = create(&world, 50).await;
    // The run marks the event as started and cannot store the notifications.
    let fails = Fault::new(Service::Dynamodb, "PutItem", FaultKind::Error);
    world.inject_fault(fails.for_function("outbox-sweep").times(99));
    let direct = DirectFunctions::new(&world, &[]);
    direct.run_outbox_sweep(RUN_TIME).await.expect_err("the run fails");
    world.stack.faults.clear();
    world.cancel(&trainer, &session).await.expect(200);
    for _ in 0..2 {
        world.advance(SignedDuration::from_mins(3));
        world.run_outbox_sweep().await;
    }
    let notified = world.notifications_by_user().await;
    assert!(!notified.keys().any(|(_, kind)| kind == "scheduled"), "{notified:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn enrollment_is_fanned_out_after_the_index_shows_the_session() {
    let world = World::start().await;
    let service = world.service().await;
    let enroll = async |n: usize| {
        let path = format!("/v1/directory/courses/course-1/enrollments/student-{n}");
        let email = format!("student{n}@example.test");
        world.put(&service, &path, json!({"email": email, "name": "S"})).await.expect(200);
    };
    // The sweep has read the sessions of the course before there is one.
    enroll(9).await;
    world.advance(SignedDuration::from_mins(1));
    world.run_outbox_sweep().await;
    create(&world, 50).await;
    world.run_outbox_sweep().await;
    enroll(8).await;
    let stale = Fault::new(Service::Dynamodb, "Query", FaultKind::Stale);
    world.inject_fault(stale.for_function("outbox-sweep").times(100));
    world.run_outbox_sweep().await;
    world.stack.faults.clear();
    world.advance(SignedDuration::from_mins(1));
    world.run_outbox_sweep().await;
    let invited: Vec<_> = world.sent_mails().await.into_iter().map(|(_, to)| to).collect();
    let expected = [1, 2, 3, 4, 5, 8, 9].map(|n| format!("student{n}@example.test"));
    assert_eq!(invited, expected);
}

/// Lets the indexes show no change to the directory.
fn hide_sessions_from_directory(world: &World) {
    world.inject_fault(
        Fault::new(Service::Dynamodb, "Query", FaultKind::Stale)
            .for_function("directory")
            .times(100),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn student_is_invited_although_the_index_does_not_show_the_session() {
    let world = World::start().await;
    let service = world.service().await;
    let session = create(&world, 50).await;
    world.run_outbox_sweep().await;
    hide_sessions_from_directory(&world);
    let body = json!({"email": "student9@example.test", "name": "Nine", "access_granted": true});
    let path = "/v1/directory/courses/course-1/enrollments/student-9";
    for _ in 0..2 {
        world.put(&service, path, body.clone()).await.expect(200);
        world.advance(SignedDuration::from_mins(1));
        world.run_outbox_sweep().await;
        // A change may be repeated, and students who were invited before may be part of it.
        let again = json!({"email": "student1@example.test", "name": "1", "access_granted": true});
        let path = "/v1/directory/courses/course-1/enrollments/student-1";
        world.put(&service, path, again).await.expect(200);
        world.advance(SignedDuration::from_mins(1));
        world.run_outbox_sweep().await;
    }
    let expected: Vec<_> = [1, 2, 3, 4, 5, 9]
        .map(|n| ("scheduled".to_owned(), format!("student{n}@example.test")))
        .into();
    assert_eq!(world.sent_mails().await, expected);
    let notified = world.notifications_by_user().await;
    assert_eq!(notified.values().copied().collect::<Vec<_>>(), [1; 6], "{notified:?}");
    assert_eq!(world.stored_counts(&session).await, counts(&[("sent", 6)]));
    assert_eq!(world.due_work("OUTBOX").await, [] as [Value; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn session_saved_during_an_import_invites_every_student_once() {
    const BEFORE: usize = 110;
    /// More than one check of the import contains.
    const STUDENTS: usize = 290;
    let world = World::start().await;
    let service = world.service().await;
    let import = async |from: usize, to: usize| {
        let lines = (from..to).map(|n| {
            let email = format!("s{n}@example.test");
            json!({"type": "enrollment", "course_id": "course-1", "user_id": format!("s-{n}"), "email": email, "name": "S"})
                .to_string()
        });
        let lines = lines.collect::<Vec<_>>().join("\n").into_bytes();
        let response = world.send_raw(Method::POST, "/v1/directory/import", &service, lines).await;
        assert_eq!(response.expect(200)["rejected"], json!([]));
    };
    import(0, BEFORE).await;
    world.advance(SignedDuration::from_secs(10));
    let session = create(&world, 50).await;
    // The rest of the import relies on what it read before the session existed.
    hide_sessions_from_directory(&world);
    import(BEFORE, BEFORE + 60).await;
    // The session is fanned out now, to some of them.
    world.run_fast_outbox_sweep().await;
    import(BEFORE + 60, STUDENTS).await;
    for _ in 0..4 {
        world.advance(SignedDuration::from_mins(2));
        world.run_fast_outbox_sweep().await;
    }
    let sent = world.sent_mails().await;
    let mut addresses: Vec<_> = sent.iter().map(|(_, to)| to).collect();
    addresses.dedup();
    assert_eq!((sent.len(), addresses.len()), (STUDENTS + 5, STUDENTS + 5));
    let notified = world.notifications_by_user().await;
    assert_eq!(notified.len(), STUDENTS + 5);
    assert!(notified.values().all(|count| *count == 1), "{notified:?}");
    let expected = i64::try_from(STUDENTS + 5).expect("a number");
    assert_eq!(world.stored_counts(&session).await, counts(&[("sent", expected)]));
}
