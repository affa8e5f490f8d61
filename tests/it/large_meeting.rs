//! The cost of the participant events of one large meeting.
//!
//! `PARTICIPANTS=10000 cargo test -p tests large_meeting -- --nocapture` prints the cost of a full meeting. This takes
//! minutes in a debug build, so the default is a tenth.

use futures::StreamExt;
use local::calls::Service::{Dynamodb, Zoom};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::functions::gateway_event;
use crate::world::World;
use crate::zoom_session::{ScheduledSession, WebhookSignature};

const PARTICIPANTS_VARIABLE: &str = "PARTICIPANTS";
const DEFAULT_PARTICIPANTS: usize = 1_000;
/// The number of concurrent events, as with one event per sandbox of the function.
const CONCURRENCY: usize = 64;

#[expect(clippy::disallowed_methods, reason = "a setting of the test, not of the system")]
fn participants() -> usize {
    let text = std::env::var(PARTICIPANTS_VARIABLE).ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(DEFAULT_PARTICIPANTS)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_participant_event_costs_one_write() {
    let participants = participants();
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    let session = ScheduledSession::schedule_for_course(&world, &trainer).await;
    session.post_event(&world, &session.started("u1", 0)).await;
    world.stack.usage.reset();

    let started_at = Instant::now();
    let joined = (0..participants).map(|n| {
        let mut body = session.joined("u1", &format!("0A1B2C3D-4E5F-6071-8293-{n:012}"), 1);
        let person = &mut body["payload"]["object"]["participant"];
        person["user_name"] = json!(format!("Jürgen Müller-Lüdenscheidt {n}"));
        person["customer_key"] = json!("abcdefghijklmnopqrstuvwxyz");
        body["payload"]["object"]["topic"] = json!("Algebra I, the fractions");
        let body = body.to_string();
        let mut event = gateway_event("POST", "/", "", Some(&body));
        for (name, value) in WebhookSignature::sign(world.now(), body.as_bytes()).headers() {
            event["headers"][name] = json!(value);
        }
        event
    });
    let responses: Vec<Value> = futures::stream::iter(joined)
        .map(|event| async {
            let response = world.stack.functions.invoke("webhook", event, Default::default()).await;
            response.expect("a response")
        })
        .buffer_unordered(CONCURRENCY)
        .collect()
        .await;
    let elapsed = started_at.elapsed();

    assert_eq!(responses.len(), participants);
    assert!(responses.iter().all(|response| response["statusCode"] == 200));
    let table = world.stack.usage.service_totals("webhook", Dynamodb);
    println!(
        "{participants} join events of one meeting: {} requests, {} write units, {} read units, {} bytes, {:.1} s in this build",
        table.calls,
        table.write_units,
        table.read_units,
        table.bytes_in,
        elapsed.as_secs_f64()
    );
    let expected = u64::try_from(participants).expect("small");
    assert_eq!(table.calls, expected, "each event should cost one conditional write");
    assert!((table.write_units - participants as f64).abs() < f64::EPSILON, "{table:?}");
    assert!(table.read_units.abs() < f64::EPSILON, "{table:?}");
    assert_eq!(world.stack.usage.service_totals("webhook", Zoom).calls, 0);
    assert_eq!(session.fetch(&world, &trainer).await["status"], "live");
}
