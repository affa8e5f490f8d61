//! The webhook's secrets: invalid signatures, several secrets, and a rotation under load.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::stream::{self, StreamExt};
use http::Method;
use jiff::{SignedDuration, Timestamp};
use local::calls::Service::Secretsmanager;
use local::faults::{Fault, FaultKind};
use local::settings::WEBHOOK_SECRET as OLD;
use serde_json::{Value, json};
use shared::handlers::WEBHOOK_ROUTE;
use shared::telemetry::metrics;

use super::stored_events;
use crate::functions::set_secret;
use crate::log::CapturedLog;
use crate::support::patched;
use crate::world::{Response, World};
use crate::zoom_session::WebhookSignature;

const NEW: &str = "the-secret-after-the-rotation";
/// The function URL and the route of the HTTP API.
const ADDRESSES: [&str; 2] = ["/webhook", WEBHOOK_ROUTE.path];
/// The events of one secret in one phase of a rotation.
const EVENTS: usize = 60;
/// Zoom's concurrent requests.
const CONCURRENCY: usize = 16;

async fn set_webhook_secret(world: &World, value: &Value) {
    let changes = json!({ "zoom_webhook_secret_token": value });
    set_secret(world, &patched(local::settings::secrets(), changes).to_string()).await;
}

fn event(number: usize) -> String {
    json!({"event": "rotation.test", "event_ts": 1_790_000_000_000_u64, "payload": {"n": number}})
        .to_string()
}

/// Posts an event to an address, signed with this secret at this time.
async fn post(world: &World, address: &str, secret: &str, at: Timestamp, body: &str) -> Response {
    let signature = WebhookSignature::sign_with(secret, at, body.as_bytes());
    world.send(Method::POST, address, &signature.headers(), body.into()).await
}

fn invalid_signatures(log: &CapturedLog) -> u64 {
    let name = metrics::INVALID_SIGNATURES.name;
    log.lines().iter().filter_map(|line| line[name].as_u64()).sum()
}

/// Runs on one thread, so that the captured log is complete.
#[tokio::test]
async fn invalid_signature_is_refused_and_counted_at_both_addresses() {
    let world = World::start().await;
    let body = event(1);
    let old = world.now() - SignedDuration::from_mins(91);
    for address in ADDRESSES {
        let log = CapturedLog::start();
        for (secret, at) in [("another", world.now()), ("", world.now()), (OLD, old)] {
            let response = post(&world, address, secret, at, &body).await;
            response.expect_problem(401, "unauthenticated");
        }
        let malformed = WebhookSignature { signature: "v0=x".into(), timestamp: "1".into() };
        let changed = WebhookSignature::sign_with(OLD, world.now(), b"another body");
        for headers in [malformed.headers(), changed.headers()] {
            let response = world.send(Method::POST, address, &headers, body.clone().into()).await;
            response.expect_problem(401, "unauthenticated");
        }
        assert_eq!(invalid_signatures(&log), 5, "{address}");
        // Scanners send no headers of Zoom.
        let response = world.send(Method::POST, address, &[], body.clone().into()).await;
        response.expect_problem(401, "unauthenticated");
        assert_eq!(invalid_signatures(&log), 5, "{address}");
        post(&world, address, OLD, world.now(), &body).await.expect(200);
        assert_eq!(invalid_signatures(&log), 5, "{address}");
    }
    assert_eq!(stored_events(&world).await.len(), 1);
    // The first read, and one re-read within 15 seconds.
    assert_eq!(world.stack.usage.calls("webhook", Secretsmanager, "GetSecretValue"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changed_secret_is_read_before_an_event_is_refused() {
    for address in ADDRESSES {
        let world = World::start().await;
        post(&world, address, OLD, world.now(), &event(1)).await.expect(200);
        set_webhook_secret(&world, &json!([NEW, OLD])).await;
        for (number, secret) in [(2, NEW), (3, OLD)] {
            post(&world, address, secret, world.now(), &event(number)).await.expect(200);
        }
        set_webhook_secret(&world, &json!(NEW)).await;
        world.advance(SignedDuration::from_mins(5));
        post(&world, address, OLD, world.now(), &event(4)).await.expect(401);
        post(&world, address, NEW, world.now(), &event(4)).await.expect(200);
        assert_eq!(stored_events(&world).await.len(), 4);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_that_cannot_be_verified_yet_is_repeated_by_zoom() {
    let world = World::start().await;
    let body = event(1);
    post(&world, "/webhook", OLD, world.now(), &event(0)).await.expect(200);
    // The secret may have changed, and it cannot be read.
    world.inject_fault(Fault::new(Secretsmanager, "*", FaultKind::Unauthorized).times(50));
    for address in ADDRESSES {
        let response = post(&world, address, NEW, world.now(), &body).await;
        response.expect_problem(503, "unavailable");
        post(&world, address, OLD, world.now(), &event(0)).await.expect(200);
    }
    world.stack.faults.clear();
    // Another secret is announced, and Zoom has begun to use it.
    world.advance(SignedDuration::from_secs(15));
    set_webhook_secret(&world, &json!([OLD, null])).await;
    for address in ADDRESSES {
        let response = post(&world, address, NEW, world.now(), &body).await;
        response.expect_problem(503, "unavailable");
        post(&world, address, OLD, world.now(), &event(0)).await.expect(200);
    }
    set_webhook_secret(&world, &json!([NEW, OLD])).await;
    world.advance(SignedDuration::from_secs(15));
    post(&world, "/webhook", NEW, world.now(), &body).await.expect(200);
    assert_eq!(stored_events(&world).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn challenge_is_answered_with_the_secret_that_signed_it() {
    let world = World::start().await;
    set_webhook_secret(&world, &json!([NEW, OLD])).await;
    let body = json!({"event": "endpoint.url_validation", "payload": {"plainToken": "plain"}});
    let body = body.to_string();
    for address in ADDRESSES {
        for secret in [OLD, NEW] {
            let expected = shared::zoom::webhook::challenge_response(
                &shared::secret::Secret::new(secret),
                "plain",
            );
            let response = post(&world, address, secret, world.now(), &body).await.expect(200);
            assert_eq!(response, json!({"plainToken": "plain", "encryptedToken": expected}));
        }
    }
}

/// Zoom's requests during a rotation.
struct Load {
    world: World,
    sent: AtomicUsize,
    refused: AtomicUsize,
}

/// The outcomes of a phase: how many events of which secret got which status.
type Outcomes = BTreeMap<(&'static str, u16), usize>;

impl Load {
    /// Sends events of these signers at the same time, alternately to both addresses. Stores the secret after half of them.
    /// Events that are answered 5xx are sent again after five minutes, as Zoom does.
    /// Those of the secret `removed` may be refused.
    async fn phase(
        &self,
        signers: &[&'static str],
        change: Option<Value>,
        removed: &str,
    ) -> Outcomes {
        let events = (0..EVENTS).flat_map(|n| signers.iter().map(move |signer| (n, *signer)));
        let change = &change;
        let responses: Vec<_> = stream::iter(events)
            .map(|(n, signer)| async move {
                if let (true, Some(value)) = (n == EVENTS / 2 && signer == signers[0], change) {
                    set_webhook_secret(&self.world, value).await;
                    // The time within which the functions read the secret once for invalid signatures.
                    self.world.advance(SignedDuration::from_secs(15));
                }
                let number = self.sent.fetch_add(1, Ordering::Relaxed);
                let (address, body) = (ADDRESSES[number % 2], event(number));
                let response = post(&self.world, address, signer, self.world.now(), &body).await;
                (signer, address, body, response.status.as_u16())
            })
            .buffer_unordered(CONCURRENCY)
            .collect()
            .await;
        let mut outcomes = Outcomes::new();
        let failed = responses.iter().filter(|(.., status)| *status >= 500);
        for (signer, _, _, status) in &responses {
            *outcomes.entry((*signer, *status)).or_default() += 1;
        }
        self.world.advance(SignedDuration::from_mins(5));
        let mut refused = responses.iter().filter(|(.., status)| *status == 401).count();
        for (signer, address, body, _) in failed {
            let repeated = post(&self.world, address, signer, self.world.now(), body).await;
            if *signer == removed {
                refused += usize::from(repeated.status == 401);
            } else {
                repeated.expect(200);
            }
        }
        self.refused.fetch_add(refused, Ordering::Relaxed);
        outcomes
    }
}

/// Prints its figures: `cargo test -p tests rotation_under_load -- --nocapture`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotation_under_load_refuses_no_event() {
    let load = Load {
        world: World::start().await,
        sent: AtomicUsize::new(0),
        refused: AtomicUsize::new(0),
    };
    let phases = [
        ("the new secret is announced", &[OLD][..], Some(json!([OLD, null]))),
        (
            "Zoom signs with both, and the new secret is stored",
            &[OLD, NEW],
            Some(json!([NEW, OLD])),
        ),
        ("both secrets are stored", &[OLD, NEW], None),
        ("the old secret is removed", &[OLD, NEW], Some(json!([NEW]))),
        ("only the new secret is stored", &[OLD, NEW], None),
    ];
    for (number, (name, signers, change)) in phases.into_iter().enumerate() {
        let outcomes = load.phase(signers, change, if number < 3 { "" } else { OLD }).await;
        println!("{name}: {outcomes:?}");
        let count = |signer, status| outcomes.get(&(signer, status)).copied().unwrap_or(0);
        // A slow machine may answer 503 as well, and Zoom repeats such an event.
        let delivered = |signer| count(signer, 200) + count(signer, 503);
        match number {
            0 => assert_eq!(delivered(OLD), EVENTS, "{outcomes:?}"),
            1 | 2 => {
                assert_eq!((delivered(OLD), delivered(NEW)), (EVENTS, EVENTS), "{outcomes:?}");
                assert!(count(NEW, 200) > 0, "the new secret is read at once: {outcomes:?}");
            }
            // The old secret is valid until the functions read the secret again.
            3 => assert_eq!(delivered(NEW), EVENTS, "{outcomes:?}"),
            _ => {
                assert_eq!((count(OLD, 200), delivered(NEW)), (0, EVENTS), "{outcomes:?}");
            }
        }
    }
    let reads = load.world.stack.usage.calls("webhook", Secretsmanager, "GetSecretValue");
    println!("{} events, {reads} reads of the secret", load.sent.load(Ordering::Relaxed));
    let (sent, refused) = (load.sent.load(Ordering::Relaxed), load.refused.load(Ordering::Relaxed));
    assert_eq!(stored_events(&load.world).await.len(), sent - refused, "of {sent}");
    assert!(reads < 12, "{reads} reads");
}
