//! The JSON secret with all credentials, cached for less than five minutes.

mod set;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;

pub use self::set::{AccountCredentials, SecretList, SecretSet, fields};
use crate::telemetry::{self, metrics};

/// The age at which the secret is fetched again. Changes must take effect within 5 minutes, which leaves one minute for the
/// fetch and the running event.
pub const REFRESH_AFTER: SignedDuration = SignedDuration::from_mins(4);

/// The age up to which the last valid secret is used while Secrets Manager is unavailable or returns an invalid one: long
/// enough for an outage or an operator's mistake, short enough that a revoked secret does not stay in use.
pub const MAX_STALENESS: SignedDuration = SignedDuration::from_mins(60);

/// The pause after a failed fetch, so that an outage delays only a few events.
const RETRY_AFTER: SignedDuration = SignedDuration::from_secs(15);

/// The pause between re-reads for signatures that do not verify, so that invalid ones cause few requests. Secrets Manager
/// charges $0.05 for 10,000 of them.
const REREAD_AFTER: SignedDuration = SignedDuration::from_secs(15);

/// The time without a successful fetch after which the secret counts as stale. It leaves 45 minutes until
/// [`MAX_STALENESS`].
const STALE_AFTER: SignedDuration = SignedDuration::from_mins(15);

/// The cached secret. Create one per function and share it by reference.
#[derive(Debug)]
pub struct Secrets {
    client: aws_sdk_secretsmanager::Client,
    secret_id: String,
    /// Locked during a fetch, so that concurrent readers wait for one response.
    cache: Mutex<Cache>,
}

#[derive(Debug, Default)]
struct Cache {
    latest: Option<Cached>,
    /// The last fetch, if it failed.
    failed: Option<Timestamp>,
    /// The first of the fetches that have failed since the last successful one.
    failing_since: Option<Timestamp>,
    reread: Option<Timestamp>,
}

#[derive(Debug)]
struct Cached {
    set: Arc<SecretSet>,
    fetched: Timestamp,
}

impl Cache {
    fn has_just_failed(&self, now: Timestamp) -> bool {
        self.failed.is_some_and(|failed| within(RETRY_AFTER, failed, now))
    }
}

#[derive(Clone, Debug, thiserror::Error)]
pub enum SecretsError {
    /// The secret could not be fetched, and there is no cached secret below the age limit.
    #[error("the secret cannot be read")]
    Unavailable,
    /// The secret was fetched and is invalid. The reason never contains its content.
    #[error("the secret is invalid: {reason}")]
    Invalid { reason: String },
}

impl Secrets {
    pub fn new(client: aws_sdk_secretsmanager::Client, secret_id: String) -> Self {
        Self { client, secret_id, cache: Mutex::default() }
    }

    pub async fn get(&self, now: Timestamp) -> Result<Arc<SecretSet>, SecretsError> {
        let mut cache = self.cache.lock().await;
        if let Some(cached) = &cache.latest
            && (within(REFRESH_AFTER, cached.fetched, now)
                || (cache.has_just_failed(now) && within(MAX_STALENESS, cached.fetched, now)))
        {
            return Ok(Arc::clone(&cached.set));
        }
        let refreshed = self.refresh(&mut cache, now).await;
        match (refreshed, &cache.latest) {
            (Err(error), Some(cached)) if within(MAX_STALENESS, cached.fetched, now) => {
                tracing::warn!(event = "secrets.stale", %error);
                Ok(Arc::clone(&cached.set))
            }
            (refreshed, _) => refreshed,
        }
    }

    /// Returns the secret as it is stored now, after a signature could not be verified with `seen`, because it may have been
    /// rotated. Returns the last one within the pause between re-reads. An error means that the signature may be valid.
    pub async fn reread(
        &self,
        seen: &Arc<SecretSet>,
        now: Timestamp,
    ) -> Result<Arc<SecretSet>, SecretsError> {
        let mut cache = self.cache.lock().await;
        if let Some(cached) = &cache.latest {
            let is_newer = !Arc::ptr_eq(&cached.set, seen);
            let is_recent = cache.reread.is_some_and(|reread| within(REREAD_AFTER, reread, now));
            if is_newer || (is_recent && cache.failed.is_none()) {
                return Ok(Arc::clone(&cached.set));
            }
        }
        if cache.has_just_failed(now) {
            return Err(SecretsError::Unavailable);
        }
        cache.reread = Some(now);
        self.refresh(&mut cache, now).await
    }

    async fn refresh(
        &self,
        cache: &mut Cache,
        now: Timestamp,
    ) -> Result<Arc<SecretSet>, SecretsError> {
        match self.fetch().await {
            Ok(set) => {
                let set = Arc::new(set);
                cache.latest = Some(Cached { set: Arc::clone(&set), fetched: now });
                (cache.failed, cache.failing_since) = (None, None);
                Ok(set)
            }
            Err(error) => {
                cache.failed = Some(now);
                let failing_since = *cache.failing_since.get_or_insert(now);
                if now.duration_since(failing_since) >= STALE_AFTER {
                    metrics::STALE_SECRETS.count();
                }
                Err(error)
            }
        }
    }

    async fn fetch(&self) -> Result<SecretSet, SecretsError> {
        let response = self.client.get_secret_value().secret_id(&self.secret_id).send().await;
        let response = response.map_err(|error| {
            // Uses `Display`, because the `Debug` output of an SDK error contains the raw response and thus perhaps
            // the secret.
            tracing::warn!(event = "secrets.unavailable", error = %telemetry::error_chain(&error));
            SecretsError::Unavailable
        })?;
        SecretSet::parse(response.secret_string().unwrap_or_default())
    }
}

/// Returns whether `now` is less than `length` after `start`. A `now` before `start` is not, so that a clock that was set
/// back does not extend the cache.
fn within(length: SignedDuration, start: Timestamp, now: Timestamp) -> bool {
    let age = now.duration_since(start);
    SignedDuration::ZERO <= age && age < length
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex as StdMutex;

    use super::*;
    use crate::aws::Aws;
    use crate::config::{Env, names};
    use crate::net::http_client;
    use crate::net::loopback::{Loopback, LoopbackResponse};

    /// A simulated Secrets Manager that returns `value`, or AccessDenied if there is none.
    struct TestSecrets {
        server: Loopback,
        value: Arc<StdMutex<Option<&'static str>>>,
        secrets: Secrets,
    }

    const OLD: &str = r#"{"zoom_webhook_secret_token":"old"}"#;
    const NEW: &str = r#"{"zoom_webhook_secret_token":"new"}"#;

    fn secrets(value: Option<&'static str>) -> TestSecrets {
        let value = Arc::new(StdMutex::new(value));
        let shared = Arc::clone(&value);
        let server = Loopback::start(move |_| match *shared.lock().unwrap() {
            Some(secret) => LoopbackResponse::ok(
                serde_json::json!({ "Name": "s", "SecretString": secret }).to_string(),
            ),
            None => {
                LoopbackResponse::status(400).header("x-amzn-errortype", "AccessDeniedException")
            }
        });
        let env = Env::from_pairs([
            (names::AWS_REGION, "eu-west-1".to_owned()),
            (names::AWS_ACCESS_KEY_ID, "id".to_owned()),
            (names::AWS_SECRET_ACCESS_KEY, "key".to_owned()),
            (names::AWS_ENDPOINT_URL, server.url("/")),
        ]);
        let client =
            Aws::new(&env, &http_client("live-classes/test").unwrap()).unwrap().secrets_manager();
        TestSecrets { server, value, secrets: Secrets::new(client, "live-classes".to_owned()) }
    }

    fn at(minute: i64, second: i64) -> Timestamp {
        let seconds = 60 * (1_000_000 + minute) + second;
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
    }

    fn webhook_secret(set: &SecretSet) -> String {
        set.zoom_webhook_secrets().unwrap().all()[0].expose().to_owned()
    }

    impl TestSecrets {
        async fn at(&self, minute: i64) -> Result<String, SecretsError> {
            let set = self.secrets.get(at(minute, 0)).await?;
            Ok(webhook_secret(&set))
        }

        /// Re-reads the secret for a signature that the secret of the last fetch does not verify.
        async fn reread_at(&self, minute: i64, second: i64) -> Result<String, SecretsError> {
            let now = at(minute, second);
            let seen = self.secrets.get(now).await?;
            let set = self.secrets.reread(&seen, now).await?;
            Ok(webhook_secret(&set))
        }

        fn holds(&self, value: Option<&'static str>) {
            *self.value.lock().unwrap() = value;
        }

        fn fetches(&self) -> usize {
            self.server.requests().len()
        }
    }

    #[tokio::test]
    async fn secret_is_cached_and_refreshed_within_five_minutes() {
        let secrets = secrets(Some(OLD));
        assert_eq!(secrets.at(0).await.unwrap(), "old");
        secrets.holds(Some(NEW));
        assert_eq!(secrets.at(3).await.unwrap(), "old");
        assert_eq!(secrets.fetches(), 1);
        assert_eq!(secrets.at(4).await.unwrap(), "new");
        assert_eq!(secrets.fetches(), 2);
        assert!(secrets.server.requests()[0].body.contains("live-classes"));
    }

    #[tokio::test]
    async fn concurrent_readers_share_one_fetch() {
        let secrets = secrets(Some(OLD));
        let all = futures::future::join_all((0..20).map(|_| secrets.at(0))).await;
        assert!(all.iter().all(Result::is_ok));
        assert_eq!(secrets.fetches(), 1);
    }

    #[tokio::test]
    async fn cached_secret_is_used_for_an_hour_while_refreshing_fails() {
        let secrets = secrets(Some(OLD));
        secrets.at(0).await.unwrap();
        for broken in [None, Some("{nonsense"), Some("[]")] {
            secrets.holds(broken);
            assert_eq!(secrets.at(59).await.unwrap(), "old");
            assert!(secrets.at(60).await.is_err());
        }
        secrets.holds(Some(NEW));
        assert_eq!(secrets.at(60).await.unwrap(), "new");
    }

    #[tokio::test]
    async fn failed_refresh_is_retried_after_a_pause() {
        let secrets = secrets(Some(OLD));
        secrets.at(0).await.unwrap();
        secrets.holds(None);
        for _ in 0..5 {
            secrets.at(10).await.unwrap();
        }
        assert_eq!(secrets.fetches(), 2);
        secrets.at(11).await.unwrap();
        assert_eq!(secrets.fetches(), 3);
    }

    #[tokio::test]
    async fn reread_returns_a_changed_secret_at_once() {
        let secrets = secrets(Some(OLD));
        secrets.at(0).await.unwrap();
        secrets.holds(Some(NEW));
        // A fetch shortly before does not delay the first re-read.
        assert_eq!(secrets.reread_at(0, 1).await.unwrap(), "new");
        assert_eq!(secrets.at(1).await.unwrap(), "new");
        assert_eq!(secrets.fetches(), 2);
    }

    #[tokio::test]
    async fn reread_happens_at_most_every_15_seconds() {
        let secrets = secrets(Some(OLD));
        for second in 0..30 {
            assert_eq!(secrets.reread_at(0, second).await.unwrap(), "old");
        }
        assert_eq!(secrets.fetches(), 3, "one fetch, and re-reads after 0 and 15 seconds");
        secrets.holds(Some(NEW));
        assert_eq!(secrets.reread_at(0, 30).await.unwrap(), "new");
    }

    #[tokio::test]
    async fn concurrent_rereads_share_one_fetch() {
        let secrets = secrets(Some(OLD));
        let seen = secrets.secrets.get(at(0, 0)).await.unwrap();
        secrets.holds(Some(NEW));
        let rereads = (0..20).map(|_| secrets.secrets.reread(&seen, at(0, 1)));
        for reread in futures::future::join_all(rereads).await {
            assert_eq!(webhook_secret(&reread.unwrap()), "new");
        }
        assert_eq!(secrets.fetches(), 2);
    }

    #[tokio::test]
    async fn failed_reread_is_an_error_until_one_succeeds() {
        let secrets = secrets(Some(OLD));
        secrets.at(0).await.unwrap();
        secrets.holds(None);
        for second in [1, 2, 15] {
            assert!(secrets.reread_at(0, second).await.is_err(), "second {second}");
        }
        assert_eq!(secrets.fetches(), 2);
        assert_eq!(secrets.at(1).await.unwrap(), "old");
        secrets.holds(Some(NEW));
        assert_eq!(secrets.reread_at(0, 16).await.unwrap(), "new");
    }

    #[tokio::test]
    async fn clock_set_back_triggers_a_refresh() {
        let secrets = secrets(Some(OLD));
        secrets.at(600).await.unwrap();
        secrets.holds(Some(NEW));
        assert_eq!(secrets.at(0).await.unwrap(), "new");
    }

    #[tokio::test]
    async fn secret_without_cached_copy_is_unavailable() {
        let secrets = secrets(None);
        assert!(matches!(secrets.at(0).await, Err(SecretsError::Unavailable)));
        secrets.holds(Some("{\"zoom_webhook_secret_token\": hunter2}"));
        let error = secrets.at(0).await.unwrap_err();
        assert!(matches!(error, SecretsError::Invalid { .. }));
        assert!(!format!("{error} {error:?}").contains("hunter2"));
        secrets.holds(Some(NEW));
        assert_eq!(secrets.at(0).await.unwrap(), "new");
    }
}
