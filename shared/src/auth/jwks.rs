//! The issuer's key set over HTTP: kept, renewed, and not fetched more often than need be whatever callers
//! send.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::Algorithm;
use reqwest::StatusCode;
use reqwest::header::ACCEPT;
use tokio::sync::Mutex;
use url::Url;

use super::AuthError;
use super::keys::{VerificationKey, KeySet};
use crate::telemetry;

/// After this a key that the issuer withdrew is no longer accepted. Issuers let the document be cached for
/// 5 minutes to a day.
const FRESH: SignedDuration = SignedDuration::from_mins(10);

/// How long the last good document serves while the issuer cannot be reached.
const STALE: SignedDuration = SignedDuration::from_hours(24);

/// An unknown `kid` may be a key that was just added, or made up by anyone. It causes at most one fetch in
/// this time.
const UNKNOWN_KEY_WINDOW: SignedDuration = SignedDuration::from_secs(60);

/// After a failed fetch; meanwhile callers are answered from what is there, without waiting for a time-out
/// each.
const RETRY_AFTER: SignedDuration = SignedDuration::from_secs(10);

/// For the whole exchange. A caller waits for it, so it must leave time for what the caller came for.
const FETCH_TIMEOUT: Duration = Duration::from_secs(2);

/// A key with its certificate chain has about 5 KiB.
const BODY_BYTES_MAX: usize = 256 * 1024;

#[derive(Debug)]
pub(super) struct Jwks {
    url: Url,
    http: reqwest::Client,
    held: RwLock<Held>,
    /// Whose turn it is to fetch. Who finds their key does not wait for it.
    turn: Mutex<()>,
}

/// What is known of the key set. The set itself is shared, so that this can be copied.
#[derive(Clone, Debug, Default)]
struct Held {
    keys: Option<Arc<KeySet>>,
    fetched: Option<Timestamp>,
    /// When the last fetch failed; `None` after a good one.
    failed: Option<Timestamp>,
    /// When an unknown key was last the reason to fetch.
    sought: Option<Timestamp>,
}

#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    #[error("the answer is {0}")]
    Status(StatusCode),
    #[error("the answer is longer than {BODY_BYTES_MAX} bytes")]
    TooLong,
    #[error("the answer is no key set")]
    NoKeySet,
}

/// Which key a token means.
#[derive(Clone, Copy, Debug)]
struct Wanted<'a> {
    kid: Option<&'a str>,
    algorithm: Algorithm,
}

impl Jwks {
    pub(super) fn new(url: Url, http: reqwest::Client) -> Self {
        Self { url, http, held: RwLock::default(), turn: Mutex::new(()) }
    }

    pub(super) async fn key(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
        now: Timestamp,
    ) -> Result<Arc<VerificationKey>, AuthError> {
        let wanted = Wanted { kid, algorithm };
        if let Some(answer) = self.held().look_up(wanted, FRESH, now) {
            return answer;
        }
        let _turn = self.turn.lock().await;
        let mut held = self.held();
        if let Some(answer) = held.look_up(wanted, FRESH, now) {
            return answer;
        }
        if held.may_fetch(now) {
            held = self.renew(held, now).await;
        }
        let answer = held.look_up(wanted, STALE, now);
        answer.unwrap_or_else(|| Err(held.why_not(now)))
    }

    /// Fetches what nobody has asked for yet. That it failed is not held against the first who asks.
    pub(super) async fn warm(&self, now: Timestamp) {
        let _turn = self.turn.lock().await;
        let held = self.held();
        if held.fetched.is_none() && self.renew(held, now).await.failed.is_some() {
            *self.held.write().unwrap_or_else(PoisonError::into_inner) = Held::default();
        }
    }

    /// Fetches, and keeps what was there if that fails.
    async fn renew(&self, mut held: Held, now: Timestamp) -> Held {
        if held.is_within(FRESH, now) {
            held.sought = Some(now);
        }
        match self.fetch().await {
            Ok(keys) => {
                held.keys = Some(Arc::new(keys));
                held.fetched = Some(now);
                held.failed = None;
            }
            Err(error) => {
                tracing::warn!(event = "jwks.unavailable", error = %telemetry::causes(&error));
                held.failed = Some(now);
            }
        }
        self.held.write().unwrap_or_else(PoisonError::into_inner).clone_from(&held);
        held
    }

    async fn fetch(&self) -> Result<KeySet, FetchError> {
        let request = self.http.get(self.url.clone()).header(ACCEPT, "application/json");
        let mut response = request.timeout(FETCH_TIMEOUT).send().await?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status(response.status()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > BODY_BYTES_MAX {
                return Err(FetchError::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        KeySet::parse(&body).ok_or(FetchError::NoKeySet)
    }

    fn held(&self) -> Held {
        self.held.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Held {
    /// The key, from a set no older than `age`. `None`: there is no such set, or no such key in it.
    fn look_up(
        &self,
        wanted: Wanted<'_>,
        age: SignedDuration,
        now: Timestamp,
    ) -> Option<Result<Arc<VerificationKey>, AuthError>> {
        let keys = self.keys.as_ref().filter(|_| self.is_within(age, now))?;
        keys.find(wanted.kid, wanted.algorithm)
    }

    fn may_fetch(&self, now: Timestamp) -> bool {
        if within(RETRY_AFTER, self.failed, now) {
            return false;
        }
        !self.is_within(FRESH, now) || !within(UNKNOWN_KEY_WINDOW, self.sought, now)
    }

    /// While the issuer cannot be asked, an unknown key may well be a good one.
    fn why_not(&self, now: Timestamp) -> AuthError {
        if self.failed.is_some() || !self.is_within(STALE, now) {
            AuthError::KeysUnavailable
        } else {
            AuthError::UnknownKey
        }
    }

    fn is_within(&self, age: SignedDuration, now: Timestamp) -> bool {
        within(age, self.fetched, now)
    }
}

/// Whether `now` lies in the time of this length that began at `start`. Before `start` it does not: a clock
/// that was turned back must neither keep keys for ever nor forbid a fetch for ever.
fn within(length: SignedDuration, start: Option<Timestamp>, now: Timestamp) -> bool {
    start.is_some_and(|start| {
        let age = now.duration_since(start);
        SignedDuration::ZERO <= age && age < length
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex as Plain;

    use serde_json::{Value, json};

    use super::super::testing::Signer;
    use super::*;
    use crate::jwt::install_crypto;
    use crate::net::http_client;
    use crate::net::loopback::{LoopbackResponse, Loopback};

    /// An issuer that publishes what it is told.
    struct World {
        server: Loopback,
        answer: Arc<Plain<LoopbackResponse>>,
        jwks: Jwks,
    }

    fn world(answer: LoopbackResponse) -> World {
        install_crypto();
        let answer = Arc::new(Plain::new(answer));
        let shared = Arc::clone(&answer);
        let server = Loopback::start(move |_| shared.lock().unwrap().clone());
        let url = Url::parse(&server.url("/jwks.json")).unwrap();
        let jwks = Jwks::new(url, http_client("live-classes/test").unwrap());
        World { server, answer, jwks }
    }

    /// A document with an Ed25519 key of each name.
    fn keys(kids: &[&str]) -> LoopbackResponse {
        let keys: Vec<Value> = kids.iter().map(|kid| Signer::ed25519(1).jwk(kid)).collect();
        LoopbackResponse::ok(json!({ "keys": keys }).to_string())
    }

    impl World {
        fn answers(&self, answer: LoopbackResponse) {
            *self.answer.lock().unwrap() = answer;
        }

        async fn at(&self, second: i64, kid: &str) -> Result<(), AuthError> {
            let now = Timestamp::from_second(1_800_000_000 + second).unwrap();
            self.jwks.key(Some(kid), Algorithm::EdDSA, now).await.map(drop)
        }

        fn fetches(&self) -> usize {
            self.server.requests().len()
        }
    }

    const HOUR: i64 = 3600;

    #[tokio::test]
    async fn what_was_read_ahead_is_not_fetched_again_and_a_failure_is_not_held_against_who_asks() {
        let world = world(LoopbackResponse::status(503));
        let now = Timestamp::UNIX_EPOCH;
        world.jwks.warm(now).await;
        *world.answer.lock().unwrap() = keys(&["a"]);
        let ask = || world.jwks.key(Some("a"), Algorithm::EdDSA, now);
        ask().await.unwrap();
        assert_eq!(world.server.requests().len(), 2);
        world.jwks.warm(now).await;
        ask().await.unwrap();
        assert_eq!(world.server.requests().len(), 2);
    }

    #[tokio::test]
    async fn a_set_is_fetched_once_and_again_when_it_is_old() {
        let world = world(keys(&["a"]));
        for second in [0, 1, 599] {
            world.at(second, "a").await.unwrap();
        }
        assert_eq!(world.fetches(), 1);
        world.answers(keys(&["b"]));
        assert_eq!(world.at(600, "a").await, Err(AuthError::UnknownKey));
        assert_eq!(world.server.requests()[0].path, "/jwks.json");
    }

    #[tokio::test]
    async fn a_rotated_key_is_found_at_once() {
        let world = world(keys(&["a"]));
        world.at(0, "a").await.unwrap();
        world.answers(keys(&["a", "b"]));
        world.at(1, "b").await.unwrap();
        world.at(1, "a").await.unwrap();
        assert_eq!(world.fetches(), 2);
    }

    #[tokio::test]
    async fn a_flood_of_unknown_keys_costs_one_fetch_in_a_window() {
        let world = world(keys(&["a"]));
        world.at(0, "a").await.unwrap();
        let names: Vec<String> = (0..50).map(|n| format!("made-up-{n}")).collect();
        for (second, fetches) in [(10, 2), (69, 2), (70, 3), (130, 4)] {
            let flood = names.iter().map(|kid| world.at(second, kid));
            for answer in futures::future::join_all(flood).await {
                assert_eq!(answer, Err(AuthError::UnknownKey));
            }
            assert_eq!(world.fetches(), fetches, "second {second}");
        }
        world.at(131, "a").await.unwrap();
    }

    #[tokio::test]
    async fn who_asks_at_once_shares_one_fetch() {
        let world = world(keys(&["a"]).late(Duration::from_millis(50)));
        let all = futures::future::join_all((0..20).map(|_| world.at(0, "a"))).await;
        assert!(all.iter().all(Result::is_ok));
        assert_eq!(world.fetches(), 1);
    }

    #[tokio::test]
    async fn old_keys_serve_for_a_day_while_the_issuer_is_down() {
        let world = world(keys(&["a"]));
        world.at(0, "a").await.unwrap();
        let broken = [
            LoopbackResponse::status(500),
            LoopbackResponse::status(302).header("location", "/elsewhere"),
            LoopbackResponse::ok("<html>"),
            LoopbackResponse::ok("{\"keys\":[]}").cut_in_half(),
            LoopbackResponse::ok(format!("{{\"keys\":[],\"x\":\"{}\"}}", "x".repeat(BODY_BYTES_MAX))),
        ];
        for (n, answer) in (1..).zip(broken) {
            world.answers(answer);
            world.at(n * HOUR, "a").await.unwrap();
            assert_eq!(world.at(n * HOUR, "b").await, Err(AuthError::KeysUnavailable));
            assert_eq!(world.fetches() as i64, 1 + n, "asked once, then left alone for a while");
        }
        world.at(24 * HOUR - 1, "a").await.unwrap();
        assert_eq!(world.at(24 * HOUR, "a").await, Err(AuthError::KeysUnavailable));
        world.answers(keys(&["a"]));
        world.at(24 * HOUR + 10, "a").await.unwrap();
    }

    #[tokio::test]
    async fn an_issuer_that_was_never_reached_is_asked_again_soon() {
        let world = world(keys(&["a"]).late(FETCH_TIMEOUT + Duration::from_millis(500)));
        assert_eq!(world.at(0, "a").await, Err(AuthError::KeysUnavailable));
        world.answers(keys(&["a"]));
        assert_eq!(world.at(9, "a").await, Err(AuthError::KeysUnavailable));
        assert_eq!(world.fetches(), 1);
        world.at(10, "a").await.unwrap();
    }

    #[tokio::test]
    async fn a_clock_that_was_turned_back_freezes_neither_keys_nor_fetching() {
        let world = world(keys(&["a"]));
        world.at(HOUR, "a").await.unwrap();
        world.at(HOUR, "b").await.unwrap_err();
        world.answers(keys(&["b"]));
        world.at(0, "b").await.unwrap();
        assert_eq!(world.at(0, "a").await, Err(AuthError::UnknownKey));
    }
}
