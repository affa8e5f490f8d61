//! A cache of the issuer's key set that limits how often callers can cause a fetch.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::Algorithm;
use reqwest::StatusCode;
use reqwest::header::ACCEPT;
use tokio::sync::Mutex;
use url::Url;

use super::AuthError;
use super::keys::{KeySet, VerificationKey};
use crate::telemetry;

/// A withdrawn key is accepted for at most this long. Issuers allow caching for 5 minutes to a day.
const FRESH_FOR: SignedDuration = SignedDuration::from_mins(10);

/// The last valid key set is used for this long while the issuer is unreachable.
const USABLE_FOR: SignedDuration = SignedDuration::from_hours(24);

/// An unknown `kid` can be a new key or an invented one, so it causes at most one fetch in this time.
const UNKNOWN_KEY_WINDOW: SignedDuration = SignedDuration::from_secs(60);

/// Pause after a failed fetch, so that not every caller waits for a timeout.
const RETRY_AFTER: SignedDuration = SignedDuration::from_secs(10);

/// Timeout of the whole fetch. It must leave the waiting caller time for the actual request.
const FETCH_TIMEOUT: Duration = Duration::from_secs(2);

/// One key with its certificate chain has about 5 KiB.
const BODY_BYTES_MAX: usize = 256 * 1024;

#[derive(Debug)]
pub(super) struct Jwks {
    url: Url,
    http: reqwest::Client,
    cached: RwLock<CachedKeys>,
    /// Held during a fetch. Callers whose key is cached do not wait for it.
    fetch_lock: Mutex<()>,
}

/// The cached key set and the times of the last fetches. Cheap to clone.
#[derive(Clone, Debug, Default)]
struct CachedKeys {
    keys: Option<Arc<KeySet>>,
    fetched_at: Option<Timestamp>,
    /// Time of the last fetch if it failed.
    failed_at: Option<Timestamp>,
    /// Time of the last fetch that an unknown key caused.
    unknown_key_fetched_at: Option<Timestamp>,
}

#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    #[error("the response status is {0}")]
    Status(StatusCode),
    #[error("the response is longer than {BODY_BYTES_MAX} bytes")]
    TooLong,
    #[error("the response is not a key set")]
    Malformed,
}

/// The key id and algorithm of a token.
#[derive(Clone, Copy, Debug)]
struct KeyQuery<'a> {
    kid: Option<&'a str>,
    algorithm: Algorithm,
}

impl Jwks {
    pub(super) fn new(url: Url, http: reqwest::Client) -> Self {
        Self { url, http, cached: RwLock::default(), fetch_lock: Mutex::new(()) }
    }

    pub(super) async fn key(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
        now: Timestamp,
    ) -> Result<Arc<VerificationKey>, AuthError> {
        let query = KeyQuery { kid, algorithm };
        if let Some(result) = self.cache().look_up(query, FRESH_FOR, now) {
            return result;
        }
        let _guard = self.fetch_lock.lock().await;
        let mut cached = self.cache();
        if let Some(result) = cached.look_up(query, FRESH_FOR, now) {
            return result;
        }
        if cached.may_fetch(now) {
            cached = self.refresh(cached, now).await;
        }
        let result = cached.look_up(query, USABLE_FOR, now);
        result.unwrap_or_else(|| Err(cached.lookup_error(now)))
    }

    /// Fetches the key set if it was never fetched. A failure does not delay the first caller's own fetch.
    pub(super) async fn warm(&self, now: Timestamp) {
        let _guard = self.fetch_lock.lock().await;
        let cached = self.cache();
        if cached.fetched_at.is_none() && self.refresh(cached, now).await.failed_at.is_some() {
            *self.cached.write().unwrap_or_else(PoisonError::into_inner) = CachedKeys::default();
        }
    }

    /// Fetches the key set. Keeps the previous one if the fetch fails.
    async fn refresh(&self, mut cached: CachedKeys, now: Timestamp) -> CachedKeys {
        if cached.is_younger_than(FRESH_FOR, now) {
            cached.unknown_key_fetched_at = Some(now);
        }
        match self.fetch().await {
            Ok(keys) => {
                cached.keys = Some(Arc::new(keys));
                cached.fetched_at = Some(now);
                cached.failed_at = None;
            }
            Err(error) => {
                tracing::warn!(event = "jwks.unavailable", error = %telemetry::error_chain(&error));
                cached.failed_at = Some(now);
            }
        }
        self.cached.write().unwrap_or_else(PoisonError::into_inner).clone_from(&cached);
        cached
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
        KeySet::parse(&body).ok_or(FetchError::Malformed)
    }

    fn cache(&self) -> CachedKeys {
        self.cached.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl CachedKeys {
    /// Looks for the key in a set that is younger than `age`. `None` means that there is no such set or no such key.
    fn look_up(
        &self,
        query: KeyQuery<'_>,
        age: SignedDuration,
        now: Timestamp,
    ) -> Option<Result<Arc<VerificationKey>, AuthError>> {
        let keys = self.keys.as_ref().filter(|_| self.is_younger_than(age, now))?;
        keys.find(query.kid, query.algorithm)
    }

    fn may_fetch(&self, now: Timestamp) -> bool {
        if is_within(RETRY_AFTER, self.failed_at, now) {
            return false;
        }
        !self.is_younger_than(FRESH_FOR, now)
            || !is_within(UNKNOWN_KEY_WINDOW, self.unknown_key_fetched_at, now)
    }

    /// While the issuer is unreachable, an unknown key may be valid.
    fn lookup_error(&self, now: Timestamp) -> AuthError {
        if self.failed_at.is_some() || !self.is_younger_than(USABLE_FOR, now) {
            AuthError::KeysUnavailable
        } else {
            AuthError::UnknownKey
        }
    }

    fn is_younger_than(&self, age: SignedDuration, now: Timestamp) -> bool {
        is_within(age, self.fetched_at, now)
    }
}

/// Returns whether `now` is in the period that began at `start`. A time before `start` is not, so that a clock that
/// was set back neither keeps keys nor blocks fetches for ever.
fn is_within(length: SignedDuration, start: Option<Timestamp>, now: Timestamp) -> bool {
    start.is_some_and(|start| {
        let age = now.duration_since(start);
        SignedDuration::ZERO <= age && age < length
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex as SyncMutex;

    use serde_json::{Value, json};

    use super::super::testing::Signer;
    use super::*;
    use crate::jwt::install_crypto;
    use crate::net::http_client;
    use crate::net::loopback::{Loopback, LoopbackResponse};

    /// An issuer with a configurable response.
    struct TestIssuer {
        server: Loopback,
        response: Arc<SyncMutex<LoopbackResponse>>,
        jwks: Jwks,
    }

    fn test_issuer(response: LoopbackResponse) -> TestIssuer {
        install_crypto();
        let response = Arc::new(SyncMutex::new(response));
        let shared = Arc::clone(&response);
        let server = Loopback::start(move |_| shared.lock().unwrap().clone());
        let url = Url::parse(&server.url("/jwks.json")).unwrap();
        let jwks = Jwks::new(url, http_client("live-classes/test").unwrap());
        TestIssuer { server, response, jwks }
    }

    /// Returns a key set with an Ed25519 key for each kid.
    fn keys(kids: &[&str]) -> LoopbackResponse {
        let keys: Vec<Value> = kids.iter().map(|kid| Signer::ed25519(1).jwk(kid)).collect();
        LoopbackResponse::ok(json!({ "keys": keys }).to_string())
    }

    impl TestIssuer {
        fn respond_with(&self, response: LoopbackResponse) {
            *self.response.lock().unwrap() = response;
        }

        async fn key_at(&self, second: i64, kid: &str) -> Result<(), AuthError> {
            let now = Timestamp::from_second(1_800_000_000 + second).unwrap();
            self.jwks.key(Some(kid), Algorithm::EdDSA, now).await.map(drop)
        }

        fn fetches(&self) -> usize {
            self.server.requests().len()
        }
    }

    const HOUR: i64 = 3600;

    #[tokio::test]
    async fn prefetched_keys_are_reused_and_a_failed_prefetch_is_retried() {
        let issuer = test_issuer(LoopbackResponse::status(503));
        let now = Timestamp::UNIX_EPOCH;
        issuer.jwks.warm(now).await;
        *issuer.response.lock().unwrap() = keys(&["a"]);
        let look_up = || issuer.jwks.key(Some("a"), Algorithm::EdDSA, now);
        look_up().await.unwrap();
        assert_eq!(issuer.server.requests().len(), 2);
        issuer.jwks.warm(now).await;
        look_up().await.unwrap();
        assert_eq!(issuer.server.requests().len(), 2);
    }

    #[tokio::test]
    async fn key_set_is_fetched_once_and_again_after_ten_minutes() {
        let issuer = test_issuer(keys(&["a"]));
        for second in [0, 1, 599] {
            issuer.key_at(second, "a").await.unwrap();
        }
        assert_eq!(issuer.fetches(), 1);
        issuer.respond_with(keys(&["b"]));
        assert_eq!(issuer.key_at(600, "a").await, Err(AuthError::UnknownKey));
        assert_eq!(issuer.server.requests()[0].path, "/jwks.json");
    }

    #[tokio::test]
    async fn rotated_key_is_found_at_once() {
        let issuer = test_issuer(keys(&["a"]));
        issuer.key_at(0, "a").await.unwrap();
        issuer.respond_with(keys(&["a", "b"]));
        issuer.key_at(1, "b").await.unwrap();
        issuer.key_at(1, "a").await.unwrap();
        assert_eq!(issuer.fetches(), 2);
    }

    #[tokio::test]
    async fn unknown_keys_cause_one_fetch_per_minute() {
        let issuer = test_issuer(keys(&["a"]));
        issuer.key_at(0, "a").await.unwrap();
        let names: Vec<String> = (0..50).map(|n| format!("made-up-{n}")).collect();
        for (second, fetches) in [(10, 2), (69, 2), (70, 3), (130, 4)] {
            let lookups = names.iter().map(|kid| issuer.key_at(second, kid));
            for result in futures::future::join_all(lookups).await {
                assert_eq!(result, Err(AuthError::UnknownKey));
            }
            assert_eq!(issuer.fetches(), fetches, "second {second}");
        }
        issuer.key_at(131, "a").await.unwrap();
    }

    #[tokio::test]
    async fn concurrent_callers_share_one_fetch() {
        let issuer = test_issuer(keys(&["a"]).delayed(Duration::from_millis(50)));
        let all = futures::future::join_all((0..20).map(|_| issuer.key_at(0, "a"))).await;
        assert!(all.iter().all(Result::is_ok));
        assert_eq!(issuer.fetches(), 1);
    }

    #[tokio::test]
    async fn old_keys_are_used_for_a_day_while_the_issuer_is_down() {
        let issuer = test_issuer(keys(&["a"]));
        issuer.key_at(0, "a").await.unwrap();
        let broken = [
            LoopbackResponse::status(500),
            LoopbackResponse::status(302).header("location", "/elsewhere"),
            LoopbackResponse::ok("<html>"),
            LoopbackResponse::ok("{\"keys\":[]}").truncated(),
            LoopbackResponse::ok(format!(
                "{{\"keys\":[],\"x\":\"{}\"}}",
                "x".repeat(BODY_BYTES_MAX)
            )),
        ];
        for (n, response) in (1..).zip(broken) {
            issuer.respond_with(response);
            issuer.key_at(n * HOUR, "a").await.unwrap();
            assert_eq!(issuer.key_at(n * HOUR, "b").await, Err(AuthError::KeysUnavailable));
            assert_eq!(
                issuer.fetches() as i64,
                1 + n,
                "one fetch, and no retry before the pause is over"
            );
        }
        issuer.key_at(24 * HOUR - 1, "a").await.unwrap();
        assert_eq!(issuer.key_at(24 * HOUR, "a").await, Err(AuthError::KeysUnavailable));
        issuer.respond_with(keys(&["a"]));
        issuer.key_at(24 * HOUR + 10, "a").await.unwrap();
    }

    #[tokio::test]
    async fn unreached_issuer_is_retried_after_ten_seconds() {
        let issuer = test_issuer(keys(&["a"]).delayed(FETCH_TIMEOUT + Duration::from_millis(500)));
        assert_eq!(issuer.key_at(0, "a").await, Err(AuthError::KeysUnavailable));
        issuer.respond_with(keys(&["a"]));
        assert_eq!(issuer.key_at(9, "a").await, Err(AuthError::KeysUnavailable));
        assert_eq!(issuer.fetches(), 1);
        issuer.key_at(10, "a").await.unwrap();
    }

    #[tokio::test]
    async fn clock_set_back_blocks_neither_keys_nor_fetching() {
        let issuer = test_issuer(keys(&["a"]));
        issuer.key_at(HOUR, "a").await.unwrap();
        issuer.key_at(HOUR, "b").await.unwrap_err();
        issuer.respond_with(keys(&["b"]));
        issuer.key_at(0, "b").await.unwrap();
        assert_eq!(issuer.key_at(0, "a").await, Err(AuthError::UnknownKey));
    }
}
