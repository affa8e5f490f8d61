//! What teaching a class costs: each click and each of Zoom's events in requests and units, and a million people's coming
//! and going in dollars.

use jiff::SignedDuration;
use local::calls::Service::{Dynamodb, Secretsmanager};
use local::faults::{Fault, Kind};
use local::usage::Price;
use serde_json::{Value, json};
use shared::config::{Env, names};
use shared::handlers::function::Function;
use shared::handlers::join;
use tokio::time::{Duration, Instant};

use crate::direct::{Direct, environment, event};
use crate::lesson::{Lesson, Seal};
use crate::log::Log;
use crate::look::with;
use crate::usage::{cost, hold};
use crate::world::{World, course_class};

/// <https://aws.amazon.com/cloudwatch/pricing/>, logs taken in, by the GB.
const LOG_GB_USD: f64 = 0.50;
/// What CloudWatch adds to every line that it bills (the same page).
const LOG_LINE_BYTES: usize = 26;
/// The API's own line about a request, by the template's format with every value at its usual length.
const ACCESS_LINE_BYTES: usize = 330 + LOG_LINE_BYTES;
/// How long Lambda bills a warm call for: what DynamoDB takes for each of its requests, one after the other. A guess from
/// outside, as time cannot be measured here; ten times as much would add a quarter of a dollar.
const REQUEST_MS: f64 = 5.0;
/// <https://aws.amazon.com/lambda/pricing/>: arm64, 128 MB, by the millisecond.
const LAMBDA_MS_USD: f64 = 0.125 * 0.000_013_333_4 / 1000.0;

const MILLION: f64 = 1e6;
const LIMIT_USD: f64 = 5.50;

/// A class of `course-1` whose trainer has connected Zoom, five minutes before its start.
async fn scene(world: &World) -> (String, Lesson) {
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    let lesson = Lesson::schedule(world, &trainer).await;
    world.advance(lesson.at(-5).duration_since(world.now()));
    (trainer, lesson)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clicks_and_events_keep_to_their_budget() {
    let world = World::start().await;
    let (trainer, lesson) = scene(&world).await;
    let student = world.student(1).await;
    let join = format!("{}/join", lesson.path);
    let click = async |token: &str| world.post(token, &join, json!({})).await.expect(200);
    // From here on the functions hold their secret, the keys of the tokens and the trainer's token.
    click(&student).await;
    click(&trainer).await;
    world.stack.usage.reset();

    let mut costs = Vec::new();
    let mut measured = |action, function| costs.push(cost(&world, action, function));
    click(&student).await;
    measured("join, a student of the course", "join");
    click(&trainer).await;
    measured("join, the host", "join");

    lesson.tell(&world, &lesson.started("u1", 0)).await;
    measured("webhook, started", "webhook");
    let joined = |person| lesson.joined("u1", person, 1);
    lesson.tell(&world, &joined("p1")).await;
    measured("webhook, a participant joined", "webhook");
    lesson.tell(&world, &joined("p1")).await;
    measured("webhook, the same again", "webhook");
    lesson.tell(&world, &lesson.left("u1", "p1", 30)).await;
    measured("webhook, a participant left", "webhook");
    lesson.tell(&world, &lesson.left("u1", "p1", 30)).await;
    measured("webhook, the same again", "webhook");
    // A sandbox that was not there when the class began looks once, and knows from then on.
    let another = Direct::new(&world, &[]);
    for (person, action) in
        [("p2", "webhook, joined, to a new sandbox"), ("p3", "webhook, joined, to it again")]
    {
        tell(&another, &world, &joined(person)).await;
        measured(action, "webhook");
    }

    hold(
        &costs,
        &[
            (3, 1.5, 1.0, 0, 0),
            (3, 1.5, 1.0, 0, 1),
            (4, 2.0, 13.0, 1, 0),
            (1, 0.0, 1.0, 0, 0),
            (1, 0.0, 1.0, 0, 0),
            (1, 0.0, 1.0, 0, 0),
            (1, 0.0, 1.0, 0, 0),
            (3, 2.0, 1.0, 0, 0),
            (1, 0.0, 1.0, 0, 0),
        ],
    );
}

/// Hands an event of Zoom's to functions that stand beside the stack's own.
async fn tell(functions: &Direct, world: &World, body: &Value) {
    let body = body.to_string();
    let mut event = event("POST", "/", "", Some(&body));
    for (name, value) in Seal::at(world.now(), body.as_bytes()).headers() {
        event["headers"][name] = json!(value);
    }
    functions.invoke("webhook", event, SignedDuration::from_secs(10)).await.expect(200);
}

/// On one thread, so that the log is read whole.
#[tokio::test]
async fn a_million_people_who_come_and_go_cost_what_they_may() {
    let world = World::start().await;
    let (_, lesson) = scene(&world).await;
    let student = world.student(1).await;
    let join = format!("{}/join", lesson.path);
    world.post(&student, &join, json!({})).await.expect(200);
    lesson.tell(&world, &lesson.started("u1", 0)).await;
    world.stack.usage.reset();
    let log = Log::start();

    world.post(&student, &join, json!({})).await.expect(200);
    lesson.tell(&world, &lesson.joined("u1", "p1", 1)).await;
    lesson.tell(&world, &lesson.left("u1", "p1", 30)).await;

    let lines = log.lines();
    let kept =
        lines.iter().filter(|line| !matches!(line["level"].as_str(), Some("DEBUG" | "TRACE")));
    let logged: usize = kept.map(|line| line.to_string().len() + 1 + LOG_LINE_BYTES).sum();
    assert!(logged > 0, "the log was not read");
    let report = world.stack.usage.report();
    let of = |part: fn(&Price) -> f64| -> f64 {
        MILLION * report.functions.values().map(|function| part(&function.price)).sum::<f64>()
    };
    let requests: u64 = report.functions.values().map(|function| function.totals.calls).sum();
    let bill = [
        ("DynamoDB", of(|price| price.dynamodb)),
        ("HTTP API", of(|price| price.api_gateway)),
        ("Lambda, by call", of(|price| price.lambda_requests)),
        ("Lambda, by time", MILLION * requests as f64 * REQUEST_MS * LAMBDA_MS_USD),
        ("logs", MILLION * (logged + ACCESS_LINE_BYTES) as f64 * 1e-9 * LOG_GB_USD),
        ("SQS, SES, secrets", of(|price| price.sqs + price.ses + price.secretsmanager)),
    ];
    println!(
        "1,000,000 people who join a class, come in and leave, in USD at list prices of us-east-1:"
    );
    for (what, price) in bill {
        println!("{what:<18} {price:>6.2}");
    }
    let total: f64 = bill.iter().map(|(_, price)| price).sum();
    println!(
        "{:<18} {total:>6.2} of {LIMIT_USD:.2}; {logged} bytes of ours in the log for each",
        "all"
    );
    assert!(total <= LIMIT_USD, "{total}");
}

/// A sweep finds what is due by a time bucket; how many classes there are must not matter to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sweep_with_nothing_due_costs_the_same_however_many_classes_there_are() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.sweep().await;
    world.stack.usage.reset();
    world.sweep().await;
    let none = cost(&world, "sweep, no class at all", "reminder-sweep");
    let link = json!({"provider": "manual", "join_url": "https://meet.example.test/a"});
    for n in 0..100 {
        world.create(&trainer, &with(course_class(60 + n), link.clone())).await.expect(201);
    }
    world.stack.usage.reset();
    world.sweep().await;
    let hundred = cost(&world, "sweep, 100 classes and nothing due", "reminder-sweep");
    hold(&[none, hundred], &[(2, 1.0, 0.0, 0, 0); 2]);
}

/// Lambda gives a start ten seconds, and ends a sandbox that takes longer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_opens_what_the_first_event_will_use_and_does_not_wait_for_what_hangs() {
    let world = World::start().await;
    let name = (names::AWS_LAMBDA_FUNCTION_NAME, "join".to_owned());
    let env = Env::from_pairs(environment(&world).into_iter().chain([name]));
    let usage = &world.stack.usage;
    Function::<join::Deps>::start(&env).await.deps().expect("it lacks nothing");
    let table = usage.service_totals("join", Dynamodb);
    assert_eq!((table.calls, usage.service_totals("join", Secretsmanager).calls), (1, 1));
    assert!((table.read_units - 0.5).abs() < f64::EPSILON, "{table:?}");

    for service in [Dynamodb, Secretsmanager] {
        let hang = json!({"service": service, "operation": "*", "kind": Kind::Timeout, "times": 9});
        let hang: Fault = serde_json::from_value(hang).expect("a fault");
        world.stack.faults.add(hang).expect("a fault that can be");
    }
    let begun = Instant::now();
    Function::<join::Deps>::start(&env).await.deps().expect("it lacks nothing");
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
}
