//! Many recipients: what a mail costs, how many leave in a minute, and a course of ten thousand.

use aws_sdk_dynamodb::types::AttributeValue;
use futures::stream::{self, StreamExt};
use jiff::SignedDuration;
use local::calls::Service;
use local::faults::{Fault, Kind};
use serde_json::{Value, json};
use shared::domain::directory::Enrollment;
use shared::domain::id::{CourseId, UserId};
use shared::domain::text::{Email, PersonName};
use shared::store::directory::put_enrollment;

use crate::direct::{Direct, store};
use crate::look::{invitees, with};
use crate::outbox_faults::{OUTBOX, RUN};
use crate::world::{World, class, course_class};

const FUNCTION: &str = "outbox-sweep";
/// How long the mail service takes for one mail.
const SERVICE_MS: u64 = 50;

/// What the sweep asked of AWS, for so many mails.
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
async fn a_mail_keeps_to_its_budget_from_fan_out_to_receipt() {
    println!(
        "recipients  DynamoDB  read  write  SQS  mails/s  (a mail each; mail service {SERVICE_MS} ms)"
    );
    for count in [30, 200, 1000] {
        let world = World::start().await;
        let (trainer, rate) = (world.trainer().await, [("MAIL_RATE_PER_SECOND", "1000")]);
        world.connect_zoom(&trainer, "app").await;
        let list = json!({"audience_type": "invitees", "invitees": invitees(count)});
        world.create(&trainer, &with(class(50), list)).await.expect(201);
        let mut late = Fault::new(Service::Ses, "SendEmail", Kind::Late);
        late.delay_ms = Some(SERVICE_MS);
        world.fault(late.times(u32::try_from(count).expect("a number")));
        world.stack.usage.reset();
        let (direct, timer) = (Direct::new(&world, &rate), tokio::time::Instant::now());
        let report = direct.drain(RUN).await.expect("it ends");
        let took = timer.elapsed();
        assert_eq!(report["sent"], count, "{report}");
        let [requests, read, write, sqs] = per_mail(&world, count);
        let speed = f64::from(u32::try_from(count).expect("a number")) / took.as_secs_f64();
        println!("{count:>10} {requests:>9.2} {read:>5.2} {write:>6.2} {sqs:>4.2} {speed:>8.0}");
        assert!(requests <= 2.0 && write <= 2.0, "{count} recipients");
        // Asking a queue that turns out to be empty costs as much as asking a full one.
        assert!(sqs <= 0.4 || count < 100, "{count} recipients");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_course_of_ten_thousand_is_worked_out_in_parts() {
    const STUDENTS: usize = 10_000;
    /// Seconds of a run: what one more chunk needs, and a few.
    const TIME: i64 = 36;
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    let enroll = |n: usize| {
        put_enrollment(&Enrollment {
            course: CourseId::parse("course-1").expect("an id"),
            user: UserId::parse(&format!("many-{n}")).expect("an id"),
            email: Email::parse(&format!("many{n}@example.test")).expect("an address"),
            name: PersonName::parse(&format!("Student {n}")).expect("a name"),
            access_granted: true,
        })
    };
    // As the platform's import writes them, without its HTTP.
    store(&world).put_all((0..STUDENTS).map(enroll).collect()).await.expect("they are written");
    let session = world.create(&trainer, &course_class(50)).await.expect(201);
    // No mail is sent meanwhile: the first finds that the day's quota is spent, and so does one that sets out before the
    // first is answered.
    world.fault(Fault::new(Service::Ses, "SendEmail", Kind::Daily).times(1_000));
    let direct = Direct::new(&world, &[]);
    let (mut runs, mut queued) = (0, 0);
    while queued < STUDENTS + 5 {
        let report = direct.drain(SignedDuration::from_secs(TIME)).await.expect("it ends");
        queued += usize::try_from(report["queued"].as_u64().expect("a number")).expect("a number");
        runs += 1;
        assert!(runs < 200, "{queued} of {STUDENTS} after {runs} runs");
    }
    println!("{queued} mails worked out in {runs} runs");
    assert!(runs > 1, "it was cut");
    assert_eq!(queued, STUDENTS + 5);
    let left = store(&world).announcements(world.now(), None).await.expect("they are read");
    assert_eq!(left.all, [], "everybody was told");
    assert_eq!(world.depth(OUTBOX), STUDENTS + 5, "one message each");
    let counts = world.counts(&trainer, &session).await;
    assert_eq!(
        counts["queued"].as_u64().unwrap_or(0) + counts["retrying"].as_u64().unwrap_or(0),
        10_005
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_to_do_costs_the_same_however_much_is_stored() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    let mut costs = Vec::new();
    for classes in [1, 60] {
        let link = json!({"provider": "manual", "join_url": "https://meet.example.test/a"});
        let made = stream::iter(0..classes).map(|n| {
            let (world, trainer, body) =
                (&world, &trainer, with(course_class(60 + n), link.clone()));
            async move { world.create(trainer, &body).await.expect(201) }
        });
        made.buffer_unordered(4).collect::<Vec<_>>().await;
        while world.drain().await["claimed"] != 0 {}
        world.stack.usage.reset();
        world.drain().await;
        let usage = &world.stack.usage;
        let table = usage.service_totals(FUNCTION, Service::Dynamodb);
        let queue = usage.service_totals(FUNCTION, Service::Sqs).calls;
        costs.push((table.calls, table.read_units, table.write_units, queue));
    }
    assert_eq!(costs, [(2, 1.0, 0.0, 1); 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waited_for_days_and_what_was_committed_late_is_told() {
    let world = World::start().await;
    world.inviting(1).await;
    let dynamodb = world.dynamodb();
    let all = dynamodb.scan().table_name("MainTable").send().await.expect("a scan").items;
    let mut late = all
        .expect("items")
        .into_iter()
        .find(|item| item["pk"] == AttributeValue::S("DUE#OUTBOX".to_owned()))
        .expect("an announcement");
    // Nothing ran for a day, and the queue has forgotten.
    let url = world.stack.aws.queues().url(OUTBOX);
    world.sqs("PurgeQueue", json!({"QueueUrl": url})).await;
    world.advance(SignedDuration::from_hours(24));
    assert_eq!(world.drain().await["sent"], 1);
    // Another, whose transaction was begun before that and ends only now.
    let sk = late["sk"].as_s().expect("a key").replacen("T09:", "T05:", 1);
    let sk = sk.replace("#0000000001#", "#0000000002#");
    late.insert("sk".to_owned(), AttributeValue::S(sk));
    late.insert("version".to_owned(), AttributeValue::N("2".to_owned()));
    let put = dynamodb.put_item().table_name("MainTable").set_item(Some(late));
    put.send().await.expect("it is put");
    let report = world.drain().await;
    assert_eq!(report["sent"], 1, "{report}");
    assert_eq!(world.due("OUTBOX").await, [] as [Value; 0]);
}
