//! Tokens that the platform signs with a shared secret (HS256), and a rotation of that secret under load.

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt};
use jiff::SignedDuration;
use local::calls::Service::Secretsmanager;
use local::faults::{Fault, FaultKind};
use serde_json::{Value, json};

use super::{CONNECTION, assert_problem, claims, hmac, issue_token};
use crate::functions::{DirectFunctions, set_secret};
use crate::support::patched;
use crate::world::World;

/// At least 32 bytes, as RFC 7518 requires.
const HS256_SECRET: &str = "a-shared-secret-of-32-bytes-or-more";
const NEW_SECRET: &str = "the-shared-secret-after-the-rotation";
/// The function reads no key set.
const NO_KEY_SET: (&str, &str) = ("AUTH_JWKS_URL", "");
/// The requests with one secret in one phase of a rotation.
const REQUESTS: usize = 60;
const CONCURRENCY: usize = 16;

async fn set_hs256_secret(world: &World, secret: Value) {
    let secrets = patched(local::settings::secrets(), json!({"auth_hs256_secret": secret}));
    set_secret(world, &secrets.to_string()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shared_secret_accepts_only_hs256() {
    let world = World::start().await;
    set_hs256_secret(&world, json!(HS256_SECRET)).await;
    let functions = DirectFunctions::new(&world, &[NO_KEY_SET]);
    let own_claims = claims(&world, &json!({}));
    let header = |alg: &str| json!({"alg": alg, "typ": "JWT"});
    let get = async |token: &str| functions.call("connect", "GET", CONNECTION, token, None).await;
    get(&hmac(&header("HS256"), &own_claims, HS256_SECRET.as_bytes())).await.expect(200);
    let es256 = issue_token(&world, &json!({}));
    for (case, token) in [
        ("the issuer's ES256", es256),
        ("RS256 with the secret", hmac(&header("RS256"), &own_claims, HS256_SECRET.as_bytes())),
        ("ES256 with the secret", hmac(&header("ES256"), &own_claims, HS256_SECRET.as_bytes())),
        ("HS512 with the secret", hmac(&header("HS512"), &own_claims, HS256_SECRET.as_bytes())),
        (
            "none",
            format!(
                "{}.",
                hmac(&header("none"), &own_claims, b"").rsplit_once('.').expect("parts").0
            ),
        ),
        (
            "another secret",
            hmac(&header("HS256"), &own_claims, b"another-shared-secret-of-32-bytes"),
        ),
        (
            "expired",
            hmac(&header("HS256"), &claims(&world, &json!({"exp": 1})), HS256_SECRET.as_bytes()),
        ),
    ] {
        let response = get(&token).await;
        assert_eq!(response.status, 401, "{case}");
        assert_problem(response, 401, "unauthenticated");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_key_configuration_rejects_every_token() {
    let world = World::start().await;
    let (valid, weak, no_text) =
        (json!(HS256_SECRET), json!("31-bytes-are-not-enough-for-sha"), json!(7));
    let own_claims = claims(&world, &json!({}));
    let header = json!({"alg": "HS256", "typ": "JWT"});
    let tokens = [
        issue_token(&world, &json!({})),
        hmac(&header, &own_claims, HS256_SECRET.as_bytes()),
        hmac(&header, &own_claims, b"31-bytes-are-not-enough-for-sha"),
        hmac(&header, &own_claims, b""),
    ];
    for (secret, changes) in [
        (valid, vec![]),
        (weak, vec![NO_KEY_SET]),
        (no_text.clone(), vec![NO_KEY_SET]),
        (no_text, vec![]),
        (Value::Null, vec![NO_KEY_SET]),
    ] {
        set_hs256_secret(&world, secret.clone()).await;
        let functions = DirectFunctions::new(&world, &changes);
        for token in &tokens {
            let response = functions.call("connect", "GET", CONNECTION, token, None).await;
            assert_eq!(response.status, 503, "{secret} {changes:?}");
            assert_problem(response, 503, "unavailable");
        }
    }
}

fn hs256_token(world: &World, secret: &str) -> String {
    let own_claims = claims(world, &json!({}));
    hmac(&json!({"alg": "HS256", "typ": "JWT"}), &own_claims, secret.as_bytes())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changed_shared_secret_is_read_before_a_token_is_rejected() {
    let world = World::start().await;
    set_hs256_secret(&world, json!(HS256_SECRET)).await;
    let functions = DirectFunctions::new(&world, &[NO_KEY_SET]);
    let get = async |secret: &str| {
        let token = hs256_token(&world, secret);
        functions.call("connect", "GET", CONNECTION, &token, None).await
    };
    get(HS256_SECRET).await.expect(200);
    // Whether the token is valid is not known while the secret cannot be read.
    world.inject_fault(Fault::new(Secretsmanager, "*", FaultKind::Unauthorized).times(50));
    assert_problem(get(NEW_SECRET).await, 503, "unavailable");
    get(HS256_SECRET).await.expect(200);
    world.stack.faults.clear();
    world.advance(SignedDuration::from_secs(15));
    set_hs256_secret(&world, json!([NEW_SECRET, HS256_SECRET])).await;
    get(NEW_SECRET).await.expect(200);
    get(HS256_SECRET).await.expect(200);
    assert_problem(get("another-shared-secret-of-32-bytes").await, 401, "unauthenticated");
}

/// The outcomes of a phase: how many requests with which secret got which status.
type Outcomes = BTreeMap<(&'static str, u16), usize>;

/// Sends requests with tokens of these secrets at the same time. Stores the secret after half of them.
async fn phase(
    world: &World,
    functions: &DirectFunctions,
    signers: &[&'static str],
    change: Option<Value>,
) -> Outcomes {
    let requests = (0..REQUESTS).flat_map(|n| signers.iter().map(move |signer| (n, *signer)));
    let change = &change;
    let statuses: Vec<_> = stream::iter(requests)
        .map(|(n, signer)| async move {
            if let (true, Some(value)) = (n == REQUESTS / 2 && signer == signers[0], change) {
                set_hs256_secret(world, value.clone()).await;
            }
            let token = hs256_token(world, signer);
            let response = functions.call("connect", "GET", CONNECTION, &token, None).await;
            (signer, response.status.as_u16())
        })
        .buffer_unordered(CONCURRENCY)
        .collect()
        .await;
    let mut outcomes = Outcomes::new();
    for outcome in statuses {
        *outcomes.entry(outcome).or_default() += 1;
    }
    outcomes
}

/// Prints its figures: `cargo test -p tests shared_secret_rotation_under_load -- --nocapture`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shared_secret_rotation_under_load_rejects_no_token() {
    let world = World::start().await;
    set_hs256_secret(&world, json!([HS256_SECRET])).await;
    let functions = DirectFunctions::new(&world, &[NO_KEY_SET]);
    let (old, new) = (HS256_SECRET, NEW_SECRET);
    let accepted = |signers: &[&'static str]| -> Outcomes {
        signers.iter().map(|signer| ((*signer, 200), REQUESTS)).collect()
    };
    let rejected = Outcomes::from([((old, 401), REQUESTS), ((new, 200), REQUESTS)]);
    for (name, signers, change, expected) in [
        ("the new secret is stored", &[old][..], Some(json!([new, old])), accepted(&[old])),
        ("the platform signs with both", &[old, new], None, accepted(&[old, new])),
        ("the platform signs with the new one", &[new], Some(json!([new])), accepted(&[new])),
        ("only the new secret is stored", &[old, new], None, rejected),
    ] {
        let outcomes = phase(&world, &functions, signers, change).await;
        println!("{name}: {outcomes:?}");
        assert_eq!(outcomes, expected, "{name}");
        if name == "the platform signs with the new one" {
            // Until then, the function may have the old secret.
            world.advance(SignedDuration::from_mins(5));
        }
    }
}
