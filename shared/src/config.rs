//! Settings from environment variables. Errors name the missing or invalid variable.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use url::{Host, Url};

/// The variables that the functions read.
pub mod names {
    pub const TABLE_NAME: &str = "TABLE_NAME";
    pub const TOKENS_TABLE_NAME: &str = "TOKENS_TABLE_NAME";
    pub const OUTBOX_QUEUE_URL: &str = "OUTBOX_QUEUE_URL";
    pub const OUTBOX_BULK_QUEUE_URL: &str = "OUTBOX_BULK_QUEUE_URL";
    pub const OUTBOX_DLQ_URL: &str = "OUTBOX_DLQ_URL";
    pub const PAYMENTS_QUEUE_URL: &str = "PAYMENTS_QUEUE_URL";
    pub const CONFIG_SECRET_ID: &str = "CONFIG_SECRET_ID";
    pub const ZOOM_API_BASE_URL: &str = "ZOOM_API_BASE_URL";
    pub const ZOOM_OAUTH_BASE_URL: &str = "ZOOM_OAUTH_BASE_URL";
    pub const ZOOM_REDIRECT_URIS: &str = "ZOOM_REDIRECT_URIS";
    pub const MAIL_PROVIDER: &str = "MAIL_PROVIDER";
    pub const MAIL_FROM: &str = "MAIL_FROM";
    pub const ZEPTOMAIL_API_URL: &str = "ZEPTOMAIL_API_URL";
    pub const AUTH_ISSUER: &str = "AUTH_ISSUER";
    pub const AUTH_AUDIENCE: &str = "AUTH_AUDIENCE";
    pub const AUTH_JWKS_URL: &str = "AUTH_JWKS_URL";
    pub const AUTH_ROLE_CLAIM: &str = "AUTH_ROLE_CLAIM";
    pub const BRAND_NAME: &str = "BRAND_NAME";
    pub const APP_URL: &str = "APP_URL";
    pub const DEFAULT_TIMEZONE: &str = "DEFAULT_TIMEZONE";
    pub const DISCLAIMER: &str = "DISCLAIMER";
    pub const LOG_LEVEL: &str = "LOG_LEVEL";
    // Optional: the join method of attendees, and the Zoom account of the app itself.
    pub const JOIN_MODE: &str = "JOIN_MODE";
    pub const ZOOM_APP_ACCOUNT_ID: &str = "ZOOM_APP_ACCOUNT_ID";
    // Optional: which Zoom account hosts the meetings.
    pub const ZOOM_HOSTING: &str = "ZOOM_HOSTING";
    // Optional: how many days before the start a meeting is made that was not wanted at once.
    pub const MEETING_AHEAD_DAYS: &str = "MEETING_AHEAD_DAYS";
    pub const RECORDING_SYNC_DAYS: &str = "RECORDING_SYNC_DAYS";
    // Optional: the SES configuration set that publishes bounces and complaints.
    pub const MAIL_CONFIGURATION_SET: &str = "MAIL_CONFIGURATION_SET";
    // Optional: mails per second.
    pub const MAIL_RATE_PER_SECOND: &str = "MAIL_RATE_PER_SECOND";
    // Optional: the greatest age of a Zoom event.
    pub const WEBHOOK_REPLAY_MINUTES: &str = "WEBHOOK_REPLAY_MINUTES";
    // Optional: the join window before and after a session.
    pub const JOIN_OWNER_BEFORE_MINUTES: &str = "JOIN_OWNER_BEFORE_MINUTES";
    pub const JOIN_INVITED_BEFORE_MINUTES: &str = "JOIN_INVITED_BEFORE_MINUTES";
    pub const JOIN_AFTER_END_MINUTES: &str = "JOIN_AFTER_END_MINUTES";
    // Optional: the share of a session from which a person counts as present, in percent.
    pub const ATTENDANCE_PRESENT_PERCENT: &str = "ATTENDANCE_PRESENT_PERCENT";
    pub const ATTENDANCE_LATE_MINUTES: &str = "ATTENDANCE_LATE_MINUTES";
    // Optional: the days that Zoom's events and join attempts are kept.
    pub const EVENT_TTL_DAYS: &str = "EVENT_TTL_DAYS";

    // Variables of the AWS SDKs. Lambda sets all of them except the endpoints, so the template does not contain them.
    pub const AWS_REGION: &str = "AWS_REGION";
    pub const AWS_ACCESS_KEY_ID: &str = "AWS_ACCESS_KEY_ID";
    pub const AWS_SECRET_ACCESS_KEY: &str = "AWS_SECRET_ACCESS_KEY";
    pub const AWS_SESSION_TOKEN: &str = "AWS_SESSION_TOKEN";
    pub const AWS_LAMBDA_FUNCTION_NAME: &str = "AWS_LAMBDA_FUNCTION_NAME";
    pub const AWS_LAMBDA_LOG_GROUP_NAME: &str = "AWS_LAMBDA_LOG_GROUP_NAME";
    pub const AWS_LAMBDA_RUNTIME_API: &str = "AWS_LAMBDA_RUNTIME_API";
    pub const AWS_ENDPOINT_URL: &str = "AWS_ENDPOINT_URL";
    pub const AWS_ENDPOINT_URL_DYNAMODB: &str = "AWS_ENDPOINT_URL_DYNAMODB";
    pub const AWS_ENDPOINT_URL_SECRETS_MANAGER: &str = "AWS_ENDPOINT_URL_SECRETS_MANAGER";
    pub const AWS_ENDPOINT_URL_SESV2: &str = "AWS_ENDPOINT_URL_SESV2";
    pub const AWS_ENDPOINT_URL_SQS: &str = "AWS_ENDPOINT_URL_SQS";
    pub const AWS_CA_BUNDLE: &str = "AWS_CA_BUNDLE";
}

/// A configuration error, with the name of the variable or of the field in the secret. It never contains a secret value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("{name} is not set")]
    Missing { name: &'static str },
    #[error("{name} is invalid: {reason}")]
    Invalid { name: &'static str, reason: String },
}

impl ConfigError {
    pub fn invalid(name: &'static str, reason: impl fmt::Display) -> Self {
        Self::Invalid { name, reason: reason.to_string() }
    }

    /// Returns the name of the variable or field.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Missing { name } | Self::Invalid { name, .. } => name,
        }
    }
}

/// A reader of settings. It records the names that were read, and clones share the record.
#[derive(Clone)]
pub struct Env {
    source: Source,
    asked: Arc<Mutex<BTreeSet<&'static str>>>,
}

#[derive(Clone)]
enum Source {
    Process,
    Pairs(Arc<BTreeMap<String, String>>),
}

impl Env {
    /// Reads the variables of this process.
    pub fn process() -> Self {
        Self { source: Source::Process, asked: Arc::default() }
    }

    /// Reads only these variables, for the local stack and tests.
    pub fn from_pairs<I, K, V>(pairs: I) -> Self
    where
        I: IntoIterator<Item = (K, V)>,
        K: Into<String>,
        V: Into<String>,
    {
        let pairs = pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Self { source: Source::Pairs(Arc::new(pairs)), asked: Arc::default() }
    }

    /// Returns the value. An empty string counts as absent, because a template cannot leave a variable unset.
    pub fn required(&self, name: &'static str) -> Result<String, ConfigError> {
        self.optional(name).ok_or(ConfigError::Missing { name })
    }

    pub fn optional(&self, name: &'static str) -> Option<String> {
        self.lock_names().insert(name);
        self.look_up(name)
    }

    /// Returns a URL that we call or send to people.
    pub fn url(&self, name: &'static str) -> Result<Url, ConfigError> {
        self.optional_url(name)?.ok_or(ConfigError::Missing { name })
    }

    pub fn optional_url(&self, name: &'static str) -> Result<Option<Url>, ConfigError> {
        let Some(value) = self.optional(name) else { return Ok(None) };
        let url = parse_url(name, &value)?;
        if self.is_production() && is_local(&url) {
            return Err(ConfigError::invalid(
                name,
                "on Lambda a URL must be https and not local, unless AWS_ENDPOINT_URL points to a local stack",
            ));
        }
        Ok(Some(url))
    }

    /// Returns an AWS endpoint. It may be local, which identifies a local stack.
    pub fn endpoint(&self, name: &'static str) -> Result<Option<Url>, ConfigError> {
        self.optional(name).map(|value| parse_url(name, &value)).transpose()
    }

    pub fn parsed<T>(&self, name: &'static str, default: T) -> Result<T, ConfigError>
    where
        T: FromStr,
        T::Err: fmt::Display,
    {
        match self.optional(name) {
            None => Ok(default),
            Some(value) => value.parse().map_err(|error| ConfigError::invalid(name, error)),
        }
    }

    /// Returns the names read so far in alphabetical order. A test compares them with the template.
    pub fn names_read(&self) -> Vec<&'static str> {
        self.lock_names().iter().copied().collect()
    }

    /// Returns whether the Lambda runtime or a simulation of it started this process.
    pub fn is_lambda(&self) -> bool {
        self.look_up(names::AWS_LAMBDA_RUNTIME_API).is_some()
    }

    /// Returns whether this is Lambda itself, not `cargo lambda` or `sam local` with a local stack.
    ///
    /// The address of the runtime API does not distinguish them, because it has been a loopback address on Lambda, too. The
    /// AWS endpoint does: a function with a local endpoint cannot damage real data.
    fn is_production(&self) -> bool {
        let aws = self.look_up(names::AWS_ENDPOINT_URL).and_then(|value| Url::parse(&value).ok());
        self.is_lambda() && !aws.is_some_and(|url| is_local(&url))
    }

    fn look_up(&self, name: &str) -> Option<String> {
        let value = match &self.source {
            Source::Process => process_variable(name),
            Source::Pairs(pairs) => pairs.get(name).cloned(),
        };
        value.filter(|value| !value.is_empty())
    }

    fn lock_names(&self) -> MutexGuard<'_, BTreeSet<&'static str>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Shows only names, because the values contain credentials.
impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Env").field("asked", &self.names_read()).finish_non_exhaustive()
    }
}

#[expect(clippy::disallowed_methods, reason = "the only place that reads environment variables")]
fn process_variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn parse_url(name: &'static str, value: &str) -> Result<Url, ConfigError> {
    let url = Url::parse(value).map_err(|error| ConfigError::invalid(name, error))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(ConfigError::invalid(name, "it must start with https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(ConfigError::invalid(name, "a URL must not contain credentials"));
    }
    Ok(url)
}

/// Returns whether a URL uses plain http or points to this machine.
fn is_local(url: &Url) -> bool {
    url.scheme() != "https"
        || match url.host() {
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(Host::Ipv4(ip)) => ip.is_loopback() || ip.is_unspecified(),
            Some(Host::Ipv6(ip)) => {
                let mapped = ip.to_ipv4_mapped();
                ip.is_loopback()
                    || ip.is_unspecified()
                    || mapped.is_some_and(|ip| ip.is_loopback() || ip.is_unspecified())
            }
            None => true,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAMBDA: (&str, &str) = (names::AWS_LAMBDA_RUNTIME_API, "169.254.100.1:9001");

    #[test]
    fn missing_or_empty_variable_is_named() {
        let env = Env::from_pairs([(names::TABLE_NAME, "")]);
        for name in [names::TABLE_NAME, names::OUTBOX_QUEUE_URL] {
            let error = env.required(name).unwrap_err();
            assert_eq!(error, ConfigError::Missing { name });
            assert_eq!(error.to_string(), format!("{name} is not set"));
        }
        assert_eq!(env.optional(names::TABLE_NAME), None);
        assert_eq!(env.url(names::APP_URL), Err(ConfigError::Missing { name: names::APP_URL }));
    }

    #[test]
    fn error_of_invalid_variable_does_not_contain_its_value() {
        for value in ["hunter2", "ftp://hunter2.test", "https://user:hunter2@zoom.test"] {
            let env = Env::from_pairs([(names::APP_URL, value)]);
            let error = env.url(names::APP_URL).unwrap_err();
            assert_eq!(error.name(), names::APP_URL);
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
        let env = Env::from_pairs([(names::LOG_LEVEL, "ninety")]);
        assert_eq!(env.parsed(names::LOG_LEVEL, 7_u8).unwrap_err().name(), names::LOG_LEVEL);
        assert_eq!(env.parsed(names::DISCLAIMER, 7_u8), Ok(7));
    }

    #[test]
    fn production_refuses_plain_http_and_loopback_urls() {
        let refused = [
            "http://api.zoom.us/v2",
            "https://localhost/v2",
            "https://zoom.localhost/v2",
            "https://127.0.0.1:4000",
            "https://0.0.0.0",
            "https://[::1]",
            "https://[::]",
            "https://[::ffff:127.0.0.1]",
        ];
        for value in refused {
            for name in [names::ZOOM_API_BASE_URL, names::AUTH_JWKS_URL, names::ZEPTOMAIL_API_URL] {
                let error = Env::from_pairs([(name, value), LAMBDA]).url(name).unwrap_err();
                assert_eq!(error.name(), name, "{value}");
                assert!(
                    Env::from_pairs([(name, value)]).url(name).is_ok(),
                    "{value} outside Lambda"
                );
            }
        }
        let env = Env::from_pairs([(names::ZOOM_API_BASE_URL, "https://api.zoom.us/v2"), LAMBDA]);
        assert!(env.url(names::ZOOM_API_BASE_URL).is_ok());
    }

    #[test]
    fn local_aws_endpoint_allows_local_urls() {
        let zoom = (names::ZOOM_API_BASE_URL, "http://localhost:4000/zoom/v2");
        let cases = [
            ("http://localhost:4000/aws", true),
            ("http://host.docker.internal:4000/aws", true),
            ("https://127.0.0.1:4000", true),
            ("https://vpce-1.dynamodb.eu-west-1.vpce.amazonaws.com", false),
            ("nonsense", false),
        ];
        for (endpoint, allowed) in cases {
            let env = Env::from_pairs([zoom, LAMBDA, (names::AWS_ENDPOINT_URL, endpoint)]);
            assert_eq!(env.url(names::ZOOM_API_BASE_URL).is_ok(), allowed, "{endpoint}");
        }
    }

    #[test]
    fn env_records_read_names_and_debug_shows_no_values() {
        let env = Env::from_pairs([(names::AWS_SECRET_ACCESS_KEY, "hunter2")]);
        let _ = env.clone().required(names::TABLE_NAME);
        let _ = env.optional(names::AWS_SECRET_ACCESS_KEY);
        assert_eq!(env.names_read(), [names::AWS_SECRET_ACCESS_KEY, names::TABLE_NAME]);
        assert!(!format!("{env:?}").contains("hunter2"));
    }
}
