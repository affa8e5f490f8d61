//! Many recipients: cost per mail, mails per minute, and a course of ten thousand students.

use aws_sdk_dynamodb::types::AttributeValue;
use futures::stream::{self, StreamExt};
use jiff::SignedDuration;
use local::calls::Service;
use local::faults::{Fault, FaultKind};
use serde_json::{Value, json};
use shared::domain::directory::Enrollment;
use shared::domain::id::{CourseId, UserId};
use shared::domain::text::{Email, PersonName};
use shared::store::directory::put_enrollment;

use crate::functions::{DirectFunctions, store};
use crate::outbox_faults::{OUTBOX_BULK_QUEUE, OUTBOX_QUEUE, RUN_TIME};
use crate::support::{invitees, patched};
use crate::world::{World, course_session_body, session_body};

const FUNCTION: &str = "outbox-sweep";
/// The response time of the mail service for one mail.
const SERVICE_MS: u64 = 50;

/// The AWS usage of the sweep per mail.
fn per_mail(world: &World, mails: usize) -> [f64; 4] {
    let usage = &world.stack.usage;
    let (table, queue) = (
        usage.service_totals(FUNCTION, Service::Dynamodb),
        usage.service_totals(FUNCTION, Service::Sqs),
    );
    let mails = f64::from(u32::try_from(mails).expect("a number"));
    let count = |calls: u64| f64::from(u32::try_from(calls).expect("a number"));
    [
        count(table.calls) / mails,
        table.read_units / mails,
        table.write_units / mails,
        count(queue.calls) / mails,
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_stays_within_budget_from_fan_out_to_receipt() {
    check_cost_of_mails(&[30, 200]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: run by .ci/nightly"]
async fn mail_to_a_thousand_recipients_stays_within_budget() {
    check_cost_of_mails(&[1000]).await;
}

async fn check_cost_of_mails(counts: &[usize]) {
    println!(
        "recipients  DynamoDB  read  write  SQS  mails/s  (a mail each; mail service {SERVICE_MS} ms)"
    );
    for &count in counts {
        let world = World::start().await;
        let (trainer, rate) = (world.trainer().await, [("MAIL_RATE_PER_SECOND", "1000")]);
        world.connect_zoom(&trainer, "app").await;
        let list = json!({"audience_type": "invitees", "invitees": invitees(count)});
        world.create(&trainer, &patched(session_body(50), list)).await.expect(201);
        let mut late = Fault::new(Service::Ses, "SendEmail", FaultKind::Late);
        late.delay_ms = Some(SERVICE_MS);
        world.inject_fault(late.times(u32::try_from(count).expect("a number")));
        world.stack.usage.reset();
        let (direct, timer) = (DirectFunctions::new(&world, &rate), tokio::time::Instant::now());
        let report = direct.run_outbox_sweep(RUN_TIME).await.expect("the run succeeds");
        let took = timer.elapsed();
        assert_eq!(report["sent"], count, "{report}");
        let [requests, read, write, sqs] = per_mail(&world, count);
        let speed = f64::from(u32::try_from(count).expect("a number")) / took.as_secs_f64();
        println!("{count:>10} {requests:>9.2} {read:>5.2} {write:>6.2} {sqs:>4.2} {speed:>8.0}");
        // SQS may return fewer messages than it has. With few recipients, one batch more is a tenth of the cost.
        let budget = if count < 100 { 2.2 } else { 2.0 };
        assert!(requests <= budget && write <= budget, "{count} recipients");
        // Receiving from an empty queue costs as much as receiving from a full one.
        assert!(sqs <= 0.4 || count < 100, "{count} recipients");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fan_out_to_many_students_is_split_over_runs() {
    check_split_fan_out(2_000, SignedDuration::from_millis(29_600)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: run by .ci/nightly"]
async fn fan_out_to_ten_thousand_students_is_split_over_runs() {
    check_split_fan_out(10_000, SignedDuration::from_secs(36)).await;
}

/// The time of a run is enough for one more chunk.
async fn check_split_fan_out(students: usize, time: SignedDuration) {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    let enroll = |n: usize| {
        put_enrollment(&Enrollment {
            course: CourseId::parse("course-1").expect("an id"),
            user: UserId::parse(&format!("many-{n}")).expect("an id"),
            email: Email::parse(&format!("many{n}@example.test")).ok(),
            name: PersonName::parse(&format!("Student {n}")).expect("a name"),
            access_granted: true,
            former_emails: Vec::new(),
            paid_by: Default::default(),
        })
    };
    // Written like the import does, but without HTTP.
    store(&world)
        .write_directory((0..students).map(enroll).collect())
        .await
        .expect("they are written");
    let session = world.create(&trainer, &course_session_body(50)).await.expect(201);
    // No mail is sent meanwhile: the daily quota is exhausted for the first mail and for those sent before its
    // response.
    world.inject_fault(Fault::new(Service::Ses, "SendEmail", FaultKind::Daily).times(1_000));
    let direct = DirectFunctions::new(&world, &[]);
    let (mut runs, mut queued) = (0, 0);
    while queued < students + 5 {
        let report = direct.run_outbox_sweep(time).await.expect("the run succeeds");
        queued += usize::try_from(report["queued"].as_u64().expect("a number")).expect("a number");
        runs += 1;
        assert!(runs < 200, "{queued} of {students} after {runs} runs");
    }
    println!("{queued} mails queued in {runs} runs");
    assert!(runs > 1, "fan-out was split");
    assert_eq!(queued, students + 5);
    let left = store(&world).pending_events(world.now(), None).await.expect("they are read");
    assert_eq!(left.events, [], "every domain event is finished");
    assert_eq!(world.depth(OUTBOX_BULK_QUEUE), students + 5, "one message each");
    let counts = world.mail_counts(&trainer, &session).await;
    assert_eq!(
        counts["queued"].as_u64().unwrap_or(0) + counts["retrying"].as_u64().unwrap_or(0),
        u64::try_from(students + 5).expect("a number")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_outbox_cost_does_not_depend_on_stored_sessions() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    let mut costs = Vec::new();
    for session_count in [1, 60] {
        let link = json!({"provider": "manual", "join_url": "https://meet.example.test/a"});
        let creates = stream::iter(0..session_count).map(|n| {
            let (world, trainer, body) =
                (&world, &trainer, patched(course_session_body(60 + n), link.clone()));
            async move { world.create(trainer, &body).await.expect(201) }
        });
        creates.buffer_unordered(4).collect::<Vec<_>>().await;
        while world.run_outbox_sweep().await["claimed"] != 0 {}
        world.stack.usage.reset();
        world.run_outbox_sweep().await;
        let usage = &world.stack.usage;
        let table = usage.service_totals(FUNCTION, Service::Dynamodb);
        let queue = usage.service_totals(FUNCTION, Service::Sqs).calls;
        costs.push((table.calls, table.read_units, table.write_units, queue));
    }
    // A long poll of each queue, after a short one.
    assert_eq!(costs, [(2, 1.0, 0.0, 3); 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delayed_and_late_committed_domain_events_are_sent() {
    let world = World::start().await;
    world.create_with_invitees(1).await;
    let dynamodb = world.dynamodb();
    let all = dynamodb.scan().table_name("MainTable").send().await.expect("a scan").items;
    let mut late = all
        .expect("items")
        .into_iter()
        .find(|item| item["pk"] == AttributeValue::S("DUE#OUTBOX".to_owned()))
        .expect("an announcement");
    // No sweep ran for a day, and the queue has lost the wake-up.
    let url = world.stack.aws.queues().url(OUTBOX_QUEUE);
    world.sqs("PurgeQueue", json!({"QueueUrl": url})).await;
    world.advance(SignedDuration::from_hours(24));
    assert_eq!(world.run_outbox_sweep().await["sent"], 1);
    // A second event, whose transaction began earlier and commits only now.
    let sk = late["sk"].as_s().expect("a key").replacen("T09:", "T05:", 1);
    let sk = sk.replace("#0000000001#", "#0000000002#");
    late.insert("sk".to_owned(), AttributeValue::S(sk));
    late.insert("version".to_owned(), AttributeValue::N("2".to_owned()));
    let put = dynamodb.put_item().table_name("MainTable").set_item(Some(late));
    put.send().await.expect("it is put");
    let report = world.run_outbox_sweep().await;
    assert_eq!(report["sent"], 1, "{report}");
    assert_eq!(world.due_work("OUTBOX").await, [] as [Value; 0]);
}
