//! The one JSON secret: fetched when first asked for, and again before five minutes have passed.

mod set;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;

pub use self::set::{SecretSet, fields};
use crate::telemetry;

/// A change must be seen within 5 minutes; this leaves one for the fetch and for the event that is running.
pub const FRESH: SignedDuration = SignedDuration::from_mins(4);

/// How long the last good copy serves while Secrets Manager cannot be read or holds nonsense: long enough
/// to outlive an outage or a slip of an operator's hand, short enough that a secret that was withdrawn does
/// not live on.
pub const STALE: SignedDuration = SignedDuration::from_mins(60);

/// After a failed fetch the old copy serves this long before the next try, so that an outage costs one
/// event in a while its time and not all of them.
const RETRY_AFTER: SignedDuration = SignedDuration::from_secs(15);

/// The secret, cached. One per function; share it by reference.
#[derive(Debug)]
pub struct Secrets {
    client: aws_sdk_secretsmanager::Client,
    secret_id: String,
    /// Held while fetching: who comes meanwhile waits for the same answer.
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
    /// It could not be fetched, and there is no copy that may still serve.
    #[error("the secret cannot be read")]
    Unavailable,
    /// It was fetched and cannot be understood. What it says is never told.
    #[error("the secret is not usable: {why}")]
    Invalid { why: String },
}

impl Secrets {
    pub fn new(client: aws_sdk_secretsmanager::Client, secret_id: String) -> Self {
        Self { client, secret_id, cache: Mutex::new(None) }
    }

    pub async fn get(&self, now: Timestamp) -> Result<Arc<SecretSet>, SecretsError> {
        let mut cache = self.cache.lock().await;
        if let Some(cached) = cache.as_ref()
            && (within(FRESH, cached.fetched, now)
                || (cached.tried != cached.fetched
                    && within(RETRY_AFTER, cached.tried, now)
                    && within(STALE, cached.fetched, now)))
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
                Some(cached) if within(STALE, cached.fetched, now) => {
                    tracing::warn!(event = "secrets.stale", %error);
                    cached.tried = now;
                    Ok(Arc::clone(&cached.set))
                }
                _ => Err(error),
            },
        }
    }

    async fn fetch(&self) -> Result<SecretSet, SecretsError> {
        let answer = self.client.get_secret_value().secret_id(&self.secret_id).send().await;
        let answer = answer.map_err(|error| {
            // The service's reason (no such secret, not allowed, too late) by `Display`: an SDK error's
            // `Debug` shows the raw answer, which may hold the secret.
            tracing::warn!(event = "secrets.unavailable", error = %telemetry::causes(&error));
            SecretsError::Unavailable
        })?;
        SecretSet::parse(answer.secret_string().unwrap_or_default())
    }
}

/// Whether `now` lies in the time of this length that began at `start`. Before `start` it does not: a clock
/// that was turned back must not make a copy last.
fn within(length: SignedDuration, start: Timestamp, now: Timestamp) -> bool {
    let age = now.duration_since(start);
    SignedDuration::ZERO <= age && age < length
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex as Plain;

    use super::*;
    use crate::aws::Aws;
    use crate::config::{Env, names};
    use crate::net::http_client;
    use crate::net::loopback::{LoopbackResponse, Loopback};

    /// A Secrets Manager that answers what stands in the box: a secret, or nothing for "you may not".
    struct World {
        server: Loopback,
        value: Arc<Plain<Option<&'static str>>>,
        secrets: Secrets,
    }

    const OLD: &str = r#"{"zoom_webhook_secret_token":"old"}"#;
    const NEW: &str = r#"{"zoom_webhook_secret_token":"new"}"#;

    fn world(value: Option<&'static str>) -> World {
        let value = Arc::new(Plain::new(value));
        let shared = Arc::clone(&value);
        let server = Loopback::start(move |_| match *shared.lock().unwrap() {
            Some(secret) => {
                LoopbackResponse::ok(serde_json::json!({ "Name": "s", "SecretString": secret }).to_string())
            }
            None => LoopbackResponse::status(400).header("x-amzn-errortype", "AccessDeniedException"),
        });
        let env = Env::from_pairs([
            (names::AWS_REGION, "eu-west-1".to_owned()),
            (names::AWS_ACCESS_KEY_ID, "id".to_owned()),
            (names::AWS_SECRET_ACCESS_KEY, "key".to_owned()),
            (names::AWS_ENDPOINT_URL, server.url("/")),
        ]);
        let client =
            Aws::new(&env, &http_client("live-classes/test").unwrap()).unwrap().secrets_manager();
        World { server, value, secrets: Secrets::new(client, "live-classes".to_owned()) }
    }

    impl World {
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
    async fn it_is_fetched_once_and_a_change_is_seen_within_five_minutes() {
        let world = world(Some(OLD));
        assert_eq!(world.at(0).await.unwrap(), "old");
        world.holds(Some(NEW));
        assert_eq!(world.at(3).await.unwrap(), "old");
        assert_eq!(world.fetches(), 1);
        assert_eq!(world.at(4).await.unwrap(), "new");
        assert_eq!(world.fetches(), 2);
        assert!(world.server.requests()[0].body.contains("live-classes"));
    }

    #[tokio::test]
    async fn who_asks_at_once_shares_one_fetch() {
        let world = world(Some(OLD));
        let all = futures::future::join_all((0..20).map(|_| world.at(0))).await;
        assert!(all.iter().all(Result::is_ok));
        assert_eq!(world.fetches(), 1);
    }

    #[tokio::test]
    async fn a_good_copy_serves_for_an_hour_when_it_cannot_be_read_again() {
        let world = world(Some(OLD));
        world.at(0).await.unwrap();
        for broken in [None, Some("{nonsense"), Some("[]")] {
            world.holds(broken);
            assert_eq!(world.at(59).await.unwrap(), "old");
            assert!(world.at(60).await.is_err());
        }
        world.holds(Some(NEW));
        assert_eq!(world.at(60).await.unwrap(), "new");
    }

    #[tokio::test]
    async fn an_outage_is_asked_about_once_in_a_while() {
        let world = world(Some(OLD));
        world.at(0).await.unwrap();
        world.holds(None);
        for _ in 0..5 {
            world.at(10).await.unwrap();
        }
        assert_eq!(world.fetches(), 2);
        world.at(11).await.unwrap();
        assert_eq!(world.fetches(), 3);
    }

    #[tokio::test]
    async fn a_clock_that_was_turned_back_does_not_freeze_it() {
        let world = world(Some(OLD));
        world.at(600).await.unwrap();
        world.holds(Some(NEW));
        assert_eq!(world.at(0).await.unwrap(), "new");
    }

    #[tokio::test]
    async fn without_any_copy_it_is_unavailable_until_it_can_be_read() {
        let world = world(None);
        assert!(matches!(world.at(0).await, Err(SecretsError::Unavailable)));
        world.holds(Some("{\"zoom_webhook_secret_token\": hunter2}"));
        let error = world.at(0).await.unwrap_err();
        assert!(matches!(error, SecretsError::Invalid { .. }));
        assert!(!format!("{error} {error:?}").contains("hunter2"));
        world.holds(Some(NEW));
        assert_eq!(world.at(0).await.unwrap(), "new");
    }
}
