//! A crowd in one meeting: what their events cost, and that the class is what it should be after.
//!
//! `CROWD=10000 cargo test -p tests crowd -- --nocapture` plays it in full and prints the figures; a debug build takes
//! minutes for that, so without the variable the crowd is a tenth.

use futures::StreamExt;
use local::calls::Service::{Dynamodb, Zoom};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::direct::event;
use crate::lesson::{Lesson, Seal};
use crate::world::World;

const PEOPLE_VARIABLE: &str = "CROWD";
const PEOPLE: usize = 1_000;
/// Events under way at once, as sandboxes of a function would be.
const AT_ONCE: usize = 64;

#[expect(clippy::disallowed_methods, reason = "a setting of the test, not of the system")]
fn people() -> usize {
    let set = std::env::var(PEOPLE_VARIABLE).ok();
    set.and_then(|text| text.parse().ok()).unwrap_or(PEOPLE)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowds_events_are_one_write_each() {
    let people = people();
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    let lesson = Lesson::schedule(&world, &trainer).await;
    lesson.tell(&world, &lesson.started("u1", 0)).await;
    world.stack.usage.reset();

    let begun = Instant::now();
    let joined = (0..people).map(|n| {
        let mut body = lesson.joined("u1", &format!("0A1B2C3D-4E5F-6071-8293-{n:012}"), 1);
        let person = &mut body["payload"]["object"]["participant"];
        person["user_name"] = json!(format!("Jürgen Müller-Lüdenscheidt {n}"));
        person["customer_key"] = json!("abcdefghijklmnopqrstuvwxyz");
        body["payload"]["object"]["topic"] = json!("Algebra I, the fractions");
        let body = body.to_string();
        let mut event = event("POST", "/", "", Some(&body));
        for (name, value) in Seal::at(world.now(), body.as_bytes()).headers() {
            event["headers"][name] = json!(value);
        }
        event
    });
    let answers: Vec<Value> = futures::stream::iter(joined)
        .map(|event| async {
            let answer = world.stack.functions.invoke("webhook", event, Default::default()).await;
            answer.expect("an answer")
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let took = begun.elapsed();

    assert_eq!(answers.len(), people);
    assert!(answers.iter().all(|answer| answer["statusCode"] == 200));
    let table = world.stack.usage.service_totals("webhook", Dynamodb);
    println!(
        "{people} joins of one meeting: {} requests, {} write units, {} read units, {} bytes, {:.1} s in this build",
        table.calls,
        table.write_units,
        table.read_units,
        table.bytes_in,
        took.as_secs_f64()
    );
    let expected = u64::try_from(people).expect("small");
    assert_eq!(table.calls, expected, "one conditional write each, and nothing else");
    assert!((table.write_units - people as f64).abs() < f64::EPSILON, "{table:?}");
    assert!(table.read_units.abs() < f64::EPSILON, "{table:?}");
    assert_eq!(world.stack.usage.service_totals("webhook", Zoom).calls, 0);
    assert_eq!(lesson.shown(&world, &trainer).await["status"], "live");
}
