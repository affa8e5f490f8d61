//! The JSON secret with all credentials, cached for less than five minutes.

mod set;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;

pub use self::set::{SecretSet, fields};
use crate::telemetry;

/// The age at which the secret is fetched again. Changes must take effect within 5 minutes, which leaves one minute for the
/// fetch and the running event.
pub const REFRESH_AFTER: SignedDuration = SignedDuration::from_mins(4);

/// The age up to which the last valid secret is used while Secrets Manager is unavailable or returns an invalid one: long
/// enough for an outage or an operator's mistake, short enough that a revoked secret does not stay in use.
pub const MAX_STALENESS: SignedDuration = SignedDuration::from_mins(60);

/// The pause after a failed fetch, so that an outage delays only a few events.
const RETRY_AFTER: SignedDuration = SignedDuration::from_secs(15);

/// The cached secret. Create one per function and share it by reference.
#[derive(Debug)]
pub struct Secrets {
    client: aws_sdk_secretsmanager::Client,
    secret_id: String,
    /// Locked during a fetch, so that concurrent readers wait for one response.
    cache: Mutex<Option<Cached>>,
}

#[derive(Debug)]
struct Cached {
    set: Arc<SecretSet>,
    fetched: Timestamp,
    tried: Timestamp,
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
        Self { client, secret_id, cache: Mutex::new(None) }
    }

    pub async fn get(&self, now: Timestamp) -> Result<Arc<SecretSet>, SecretsError> {
        let mut cache = self.cache.lock().await;
        if let Some(cached) = cache.as_ref()
            && (within(REFRESH_AFTER, cached.fetched, now)
                || (cached.tried != cached.fetched
                    && within(RETRY_AFTER, cached.tried, now)
                    && within(MAX_STALENESS, cached.fetched, now)))
        {
            return Ok(Arc::clone(&cached.set));
        }
        match self.fetch().await {
            Ok(set) => {
                let set = Arc::new(set);
                *cache = Some(Cached { set: Arc::clone(&set), fetched: now, tried: now });
                Ok(set)
            }
            Err(error) => match cache.as_mut() {
                Some(cached) if within(MAX_STALENESS, cached.fetched, now) => {
                    tracing::warn!(event = "secrets.stale", %error);
                    cached.tried = now;
                    Ok(Arc::clone(&cached.set))
                }
                _ => Err(error),
            },
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

    impl TestSecrets {
        async fn at(&self, minute: i64) -> Result<String, SecretsError> {
            let now = Timestamp::UNIX_EPOCH + SignedDuration::from_mins(1_000_000 + minute);
            let set = self.secrets.get(now).await?;
            Ok(set.zoom_webhook_secret().unwrap().expose().to_owned())
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
