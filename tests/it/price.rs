//! The cost of sessions: requests and units per join attempt and Zoom event, and the price of a million participants in
//! dollars.

use jiff::SignedDuration;
use local::calls::Service::{Dynamodb, Secretsmanager};
use local::faults::{Fault, FaultKind};
use local::usage::Price;
use serde_json::{Value, json};
use shared::config::{Env, names};
use shared::handlers::function::Function;
use shared::handlers::join;
use tokio::time::{Duration, Instant};

use crate::functions::{DirectFunctions, environment, gateway_event};
use crate::log::CapturedLog;
use crate::support::patched;
use crate::usage::{check_budgets, take_cost};
use crate::world::{World, course_session_body};
use crate::zoom_session::{ScheduledSession, WebhookSignature};

/// <https://aws.amazon.com/cloudwatch/pricing/>: log ingestion per GB.
const LOG_GB_USD: f64 = 0.50;
/// Bytes that CloudWatch adds to each billed line (the same page).
const LOG_LINE_BYTES: usize = 26;
/// The size of the API's access log line, in the template's format with values of usual length.
const ACCESS_LINE_BYTES: usize = 330 + LOG_LINE_BYTES;
/// The billed time of a warm call per DynamoDB request, which are sequential. An estimate, because time cannot be
/// measured here. Ten times as much would add a quarter of a dollar.
const REQUEST_MS: f64 = 5.0;
/// <https://aws.amazon.com/lambda/pricing/>: arm64, 128 MB, per millisecond.
const LAMBDA_MS_USD: f64 = 0.125 * 0.000_013_333_4 / 1000.0;

const MILLION: f64 = 1e6;
const LIMIT_USD: f64 = 5.50;

/// Creates a session of `course-1` with Zoom connected, and sets the clock to five minutes before its start.
async fn prepare_session(world: &World) -> (String, ScheduledSession) {
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    let session = ScheduledSession::schedule_for_course(world, &trainer).await;
    world.advance(session.at(-5).duration_since(world.now()));
    (trainer, session)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn join_attempts_and_zoom_events_stay_within_budget() {
    let world = World::start().await;
    let (trainer, session) = prepare_session(&world).await;
    let student = world.student(1).await;
    let join = format!("{}/join", session.path);
    let join_as = async |token: &str| world.post(token, &join, json!({})).await.expect(200);
    // From here on the functions have cached their secret, the token keys and the trainer's token.
    join_as(&student).await;
    join_as(&trainer).await;
    world.stack.usage.reset();

    let mut costs = Vec::new();
    let mut measure = |action, function| costs.push(take_cost(&world, action, function));
    join_as(&student).await;
    measure("join, a student of the course", "join");
    join_as(&trainer).await;
    measure("join, the host", "join");

    session.post_event(&world, &session.started("u1", 0)).await;
    measure("webhook, started", "webhook");
    let joined = |person| session.joined("u1", person, 1);
    session.post_event(&world, &joined("p1")).await;
    measure("webhook, a participant joined", "webhook");
    session.post_event(&world, &joined("p1")).await;
    measure("webhook, the same again", "webhook");
    session.post_event(&world, &session.left("u1", "p1", 30)).await;
    measure("webhook, a participant left", "webhook");
    session.post_event(&world, &session.left("u1", "p1", 30)).await;
    measure("webhook, the same again", "webhook");
    // A new sandbox looks up the session once and caches the result.
    let another = DirectFunctions::new(&world, &[]);
    for (person, action) in [
        ("p2", "webhook, joined, in a new sandbox"),
        ("p3", "webhook, joined, in the same sandbox"),
    ] {
        invoke_webhook(&another, &world, &joined(person)).await;
        measure(action, "webhook");
    }

    check_budgets(
        &costs,
        &[
            (3, 1.5, 1.0, 0, 0),
            (3, 1.5, 1.0, 0, 1),
            // Two units are the pointer by which events that contain only a uuid find the session, and two the entry in the queue
            // of comparisons.
            (4, 2.0, 21.0, 1, 0),
            (1, 0.0, 1.0, 0, 0),
            (1, 0.0, 1.0, 0, 0),
            (1, 0.0, 1.0, 0, 0),
            (1, 0.0, 1.0, 0, 0),
            (3, 2.0, 1.0, 0, 0),
            (1, 0.0, 1.0, 0, 0),
        ],
    );
}

/// Invokes a separate instance of the webhook function with a Zoom event.
async fn invoke_webhook(functions: &DirectFunctions, world: &World, body: &Value) {
    let body = body.to_string();
    let mut event = gateway_event("POST", "/", "", Some(&body));
    for (name, value) in WebhookSignature::sign(world.now(), body.as_bytes()).headers() {
        event["headers"][name] = json!(value);
    }
    functions.invoke("webhook", event, SignedDuration::from_secs(10)).await.expect(200);
}

/// On one thread, so that the whole log is captured.
#[tokio::test]
async fn million_participants_stay_within_the_price_limit() {
    let world = World::start().await;
    let (_, session) = prepare_session(&world).await;
    let student = world.student(1).await;
    let join = format!("{}/join", session.path);
    world.post(&student, &join, json!({})).await.expect(200);
    session.post_event(&world, &session.started("u1", 0)).await;
    world.stack.usage.reset();
    let log = CapturedLog::start();

    world.post(&student, &join, json!({})).await.expect(200);
    session.post_event(&world, &session.joined("u1", "p1", 1)).await;
    session.post_event(&world, &session.left("u1", "p1", 30)).await;

    let lines = log.lines();
    let billed_lines =
        lines.iter().filter(|line| !matches!(line["level"].as_str(), Some("DEBUG" | "TRACE")));
    let logged: usize = billed_lines.map(|line| line.to_string().len() + 1 + LOG_LINE_BYTES).sum();
    assert!(logged > 0, "the log is empty");
    let report = world.stack.usage.report();
    let price_per_million = |part: fn(&Price) -> f64| -> f64 {
        MILLION * report.functions.values().map(|function| part(&function.price)).sum::<f64>()
    };
    let requests: u64 = report.functions.values().map(|function| function.totals.calls).sum();
    let bill = [
        ("DynamoDB", price_per_million(|price| price.dynamodb)),
        ("HTTP API", price_per_million(|price| price.api_gateway)),
        ("Lambda, requests", price_per_million(|price| price.lambda_requests)),
        ("Lambda, duration", MILLION * requests as f64 * REQUEST_MS * LAMBDA_MS_USD),
        ("logs", MILLION * (logged + ACCESS_LINE_BYTES) as f64 * 1e-9 * LOG_GB_USD),
        (
            "SQS, SES, secrets",
            price_per_million(|price| price.sqs + price.ses + price.secretsmanager),
        ),
    ];
    println!(
        "1,000,000 people who request to join, join and leave, in USD at list prices of us-east-1:"
    );
    for (service, price) in bill {
        println!("{service:<18} {price:>6.2}");
    }
    let total: f64 = bill.iter().map(|(_, price)| price).sum();
    println!(
        "{:<18} {total:>6.2} of {LIMIT_USD:.2}; {logged} bytes of our own log for each",
        "all"
    );
    assert!(total <= LIMIT_USD, "{total}");
}

/// A sweep queries due work by time bucket, so the number of sessions must not matter.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_sweep_cost_does_not_depend_on_session_count() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.sweep().await;
    world.stack.usage.reset();
    world.sweep().await;
    let none = take_cost(&world, "sweep, no session", "reminder-sweep");
    let link = json!({"provider": "manual", "join_url": "https://meet.example.test/a"});
    for n in 0..100 {
        world
            .create(&trainer, &patched(course_session_body(60 + n), link.clone()))
            .await
            .expect(201);
    }
    world.stack.usage.reset();
    world.sweep().await;
    let hundred = take_cost(&world, "sweep, 100 sessions, nothing due", "reminder-sweep");
    check_budgets(&[none, hundred], &[(3, 1.5, 0.0, 0, 0); 2]);
}

/// Lambda ends a sandbox whose start takes longer than ten seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cold_start_prepares_connections_and_abandons_hanging_calls() {
    let world = World::start().await;
    let name = (names::AWS_LAMBDA_FUNCTION_NAME, "join".to_owned());
    let env = Env::from_pairs(environment(&world).into_iter().chain([name]));
    let usage = &world.stack.usage;
    Function::<join::Deps>::start(&env).await.deps().expect("all settings are present");
    let table = usage.service_totals("join", Dynamodb);
    assert_eq!((table.calls, usage.service_totals("join", Secretsmanager).calls), (1, 1));
    assert!((table.read_units - 0.5).abs() < f64::EPSILON, "{table:?}");

    for service in [Dynamodb, Secretsmanager] {
        let hanging =
            json!({"service": service, "operation": "*", "kind": FaultKind::Timeout, "times": 9});
        let hanging: Fault = serde_json::from_value(hanging).expect("a fault");
        world.stack.faults.add(hanging).expect("a valid fault");
    }
    let started_at = Instant::now();
    Function::<join::Deps>::start(&env).await.deps().expect("all settings are present");
    assert!(started_at.elapsed() < Duration::from_secs(8), "{:?}", started_at.elapsed());
}
