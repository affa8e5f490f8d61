//! Urgent mails leave before invitations that wait.

use jiff::SignedDuration;
use local::calls::Service;
use local::faults::{Fault, FaultKind};
use serde_json::{Value, json};

use crate::functions::{DirectFunctions, wait_until};
use crate::mail_relevance::calendar_entries;
use crate::outbox_faults::{OUTBOX_BULK_QUEUE, OUTBOX_QUEUE, RUN_TIME};
use crate::support::{invitees, patched, session_path};
use crate::world::{World, course_session_body, session_body};

const FUNCTION: &str = "outbox-sweep";
/// The most bulk mails that may leave before an urgent one: one batch.
const BATCH: usize = 50;

/// The invitees of a large session: many more than a run of a few seconds can notify.
const LARGE: u16 = 300;

/// A manual session, which needs no Zoom connection.
async fn create(world: &World, body: Value) -> Value {
    let link = json!({"provider": "manual", "join_url": "https://meet.example.test/a"});
    let trainer = world.trainer().await;
    world.create(&trainer, &patched(body, link)).await.expect(201)
}

fn large_session(hours: i64) -> Value {
    patched(
        session_body(hours),
        json!({"audience_type": "invitees", "invitees": invitees(usize::from(LARGE))}),
    )
}

/// Fans out domain events and leaves the mails in the queues.
pub(crate) async fn fan_out(world: &World) -> Value {
    let direct = DirectFunctions::new(world, &[("MAIL_FROM", "")]);
    direct.run_outbox_sweep(RUN_TIME).await.expect("the run succeeds")
}

/// The kinds of the sent mails in their order.
fn sent_kinds(world: &World) -> Vec<String> {
    let all = world.stack.aws.mailbox().list().expect("the mailbox can be read").into_iter();
    all.map(|mail| mail.kind.expect("a kind")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn urgent_mails_leave_before_waiting_invitations() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let session = create(&world, course_session_body(60)).await;
    world.run_outbox_sweep().await;
    let before = sent_kinds(&world).len();
    // Hundreds of invitations wait in the queue, and hundreds are not fanned out yet.
    create(&world, large_session(70)).await;
    assert_eq!(fan_out(&world).await["queued"], LARGE);
    create(&world, large_session(80)).await;
    world.advance(SignedDuration::from_secs(1));
    world.cancel(&trainer, &session).await.expect(200);
    create(&world, course_session_body(2)).await;
    // The run ends a few seconds after its start.
    let direct = DirectFunctions::new(&world, &[("MAIL_RATE_PER_SECOND", "20")]);
    let report = direct.run_outbox_sweep(SignedDuration::from_secs(19)).await.expect("it succeeds");
    let sent = sent_kinds(&world).split_off(before);
    let first: Vec<_> = sent.iter().take(10 + BATCH).collect();
    let count = |kind: &str| first.iter().filter(|sent| sent.as_str() == kind).count();
    assert_eq!(count("cancelled"), 5, "{report}: {sent:?}");
    let soon = world.sent_mails().await.into_iter();
    let soon = soon.filter(|(kind, to)| kind == "scheduled" && to == "student1@example.test");
    assert!(soon.count() >= 2, "the session that starts soon is announced: {sent:?}");
    let left = world.stack.aws.queues().depth(OUTBOX_BULK_QUEUE);
    assert!(left.visible + left.in_flight > u64::from(LARGE) / 2, "the invitations still wait");
    assert!(sent.len() > 10, "the rest of the time is used for invitations: {sent:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn class_that_moves_near_is_announced_before_waiting_invitations() {
    const WAITING: usize = 300;
    let world = World::start().await;
    let trainer = world.trainer().await;
    let guests: Vec<_> =
        (0..WAITING).map(|n| json!({"email": format!("guest{n}@example.test")})).collect();
    let waiting = json!({"audience_type": "invitees", "invitees": guests});
    create(&world, patched(session_body(70), waiting)).await;
    fan_out(&world).await;
    let session = create(&world, course_session_body(60)).await;
    fan_out(&world).await;
    world.advance(SignedDuration::from_secs(1));
    let link = json!({"provider": "manual", "join_url": "https://meet.example.test/a"});
    let near = patched(course_session_body(3), link);
    let moved = world.edit(&trainer, &session, &near).await.expect(200);
    let run = async |rate: &str, seconds: i64| {
        let direct = DirectFunctions::new(&world, &[("MAIL_RATE_PER_SECOND", rate)]);
        direct.run_outbox_sweep(SignedDuration::from_secs(seconds)).await.expect("it succeeds")
    };
    // The run ends a few seconds after its start.
    let report = run("20", 19).await;
    let students = [1, 2, 3, 4, 5].map(|n| format!("student{n}@example.test"));
    let invited = world.sent_mails().await;
    for student in &students {
        assert!(invited.contains(&("scheduled".to_owned(), student.clone())), "{report}");
    }
    let waiting = world.stack.aws.queues().depth(OUTBOX_BULK_QUEUE);
    assert!(waiting.visible + waiting.in_flight > 200, "the other invitations still wait");
    // The waiting copies are not sent.
    world.advance(SignedDuration::from_secs(1));
    let report = run("1000", 58).await;
    assert_eq!(report["dropped"], 5, "{report}");
    let sent = world.sent_mails().await;
    for student in &students {
        assert_eq!(sent.iter().filter(|(_, to)| to == student).count(), 1, "{student}");
    }
    let counts = world.mail_counts(&trainer, &session).await;
    assert_eq!(counts, json!({"sent": 5, "dropped": 5}));
    let entries = calendar_entries(&world, &students[0]);
    let sequence = moved["ics_sequence"].as_u64().expect("a number");
    let sequence = u32::try_from(sequence).expect("a number");
    assert_eq!(entries, [("scheduled".to_owned(), sequence)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn run_leaves_no_mail_for_the_next_minute() {
    let world = World::start().await;
    let sends = || world.stack.usage.calls(FUNCTION, Service::Ses, "SendEmail");
    // A class is scheduled while the run sends mails.
    create(&world, course_session_body(60)).await;
    let mut late = Fault::new(Service::Ses, "SendEmail", FaultKind::Late);
    late.delay_ms = Some(500);
    world.inject_fault(late.times(5));
    world.stack.usage.reset();
    let during = async {
        wait_until("a mail is being sent", || sends() > 0).await;
        create(&world, course_session_body(50)).await
    };
    let (report, _) = futures::join!(world.run_outbox_sweep(), during);
    assert_eq!(report["sent"], 10, "{report}");
    // The mail service asks for a pause of a second.
    create(&world, course_session_body(70)).await;
    world.inject_fault(Fault::new(Service::Ses, "SendEmail", FaultKind::Throttle).times(2));
    world.stack.usage.reset();
    let delays = || world.stack.usage.calls(FUNCTION, Service::Sqs, "ChangeMessageVisibilityBatch");
    let during = async {
        wait_until("the mails are delayed", || delays() > 0).await;
        // Meanwhile, both queues answer their long polls with nothing.
        tokio::time::sleep(std::time::Duration::from_millis(600)).await;
        world.advance(SignedDuration::from_secs(2));
    };
    let (report, ()) = futures::join!(world.run_outbox_sweep(), during);
    assert_eq!(report["sent"], 5, "{report}");
    assert_eq!(world.depth(OUTBOX_QUEUE), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bulk_mails_wait_in_a_queue_of_their_own() {
    let world = World::start().await;
    let depth = |queue| world.stack.aws.queues().depth(queue).visible;
    // The wake-ups are in the first queue.
    create(&world, course_session_body(25)).await;
    fan_out(&world).await;
    assert_eq!((depth(OUTBOX_QUEUE), depth(OUTBOX_BULK_QUEUE)), (1, 5));
    create(&world, course_session_body(24)).await;
    fan_out(&world).await;
    assert_eq!((depth(OUTBOX_QUEUE), depth(OUTBOX_BULK_QUEUE)), (2 + 5, 5));
    world.run_outbox_sweep().await;
    assert_eq!(world.sent_mails().await.len(), 10);
    assert_eq!((depth(OUTBOX_QUEUE), depth(OUTBOX_BULK_QUEUE)), (0, 0));
    // Without the setting, all mails share one queue.
    create(&world, course_session_body(26)).await;
    let shared = [("OUTBOX_BULK_QUEUE_URL", "")];
    let direct = DirectFunctions::new(&world, &shared);
    direct.run_outbox_sweep(RUN_TIME).await.expect("the run succeeds");
    assert_eq!(world.sent_mails().await.len(), 15);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opt_out_is_honored_while_mails_wait() {
    let world = World::start().await;
    let (trainer, student) = (world.trainer().await, world.student(2).await);
    let session = create(&world, course_session_body(50)).await;
    fan_out(&world).await;
    let quiet = json!({"live_session": {"in_app": true, "email": false}});
    world.put(&student, "/v1/me/notification-preferences", quiet).await.expect(200);
    world.stack.usage.reset();
    world.run_outbox_sweep().await;
    let recipients: Vec<_> = world.sent_mails().await.into_iter().map(|(_, to)| to).collect();
    let expected = [1, 3, 4, 5].map(|n| format!("student{n}@example.test"));
    assert_eq!(recipients, expected);
    let table = world.stack.usage.service_totals(FUNCTION, Service::Dynamodb);
    println!("a run with 5 mails: {} requests, {} read units", table.calls, table.read_units);
    world.advance(SignedDuration::from_secs(1));
    let timeline =
        world.list_items(&trainer, &format!("{}/timeline", session_path(&session))).await;
    let reasons = timeline.iter().filter_map(|entry| entry["detail"]["reason"].as_str());
    assert_eq!(reasons.collect::<Vec<_>>(), ["mails_off"]);
    // An entry that was sent before is withdrawn in any case.
    let quiet = json!({"live_session": {"in_app": true, "email": false}});
    world.cancel(&trainer, &session).await.expect(200);
    fan_out(&world).await;
    let student = world.student(3).await;
    world.put(&student, "/v1/me/notification-preferences", quiet).await.expect(200);
    world.run_outbox_sweep().await;
    let cancelled = world.sent_mails().await.into_iter();
    let cancelled = cancelled.filter(|(kind, _)| kind == "cancelled").map(|(_, to)| to);
    assert_eq!(cancelled.collect::<Vec<_>>(), expected);
}
