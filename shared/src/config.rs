//! Settings from the environment. Every variable is named here, and what is missing or unusable is said by
//! name.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use url::{Host, Url};

/// The variables that the functions read, spelt once.
pub mod names {
    pub const TABLE_NAME: &str = "TABLE_NAME";
    pub const TOKENS_TABLE_NAME: &str = "TOKENS_TABLE_NAME";
    pub const OUTBOX_QUEUE_URL: &str = "OUTBOX_QUEUE_URL";
    pub const OUTBOX_DLQ_URL: &str = "OUTBOX_DLQ_URL";
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
    // Optional: how attendees are admitted, and the Zoom account that the app itself belongs to.
    pub const JOIN_MODE: &str = "JOIN_MODE";
    pub const ZOOM_APP_ACCOUNT_ID: &str = "ZOOM_APP_ACCOUNT_ID";
    // Optional: how many mails leave in a second.
    pub const MAIL_RATE_PER_SECOND: &str = "MAIL_RATE_PER_SECOND";
    // Optional: how old an event of Zoom's may be.
    pub const WEBHOOK_REPLAY_MINUTES: &str = "WEBHOOK_REPLAY_MINUTES";
    // Optional: how long before and after a class its door is open.
    pub const JOIN_OWNER_BEFORE_MINUTES: &str = "JOIN_OWNER_BEFORE_MINUTES";
    pub const JOIN_INVITED_BEFORE_MINUTES: &str = "JOIN_INVITED_BEFORE_MINUTES";
    pub const JOIN_AFTER_END_MINUTES: &str = "JOIN_AFTER_END_MINUTES";
    // Optional: from which share of a class somebody was present, in percent.
    pub const ATTENDANCE_PRESENT_PERCENT: &str = "ATTENDANCE_PRESENT_PERCENT";

    // The AWS SDKs' own. Lambda sets all of them but the endpoints, so no template names them.
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

/// What is wrong with the configuration. The name is a variable's, or a field's of the
/// secret JSON; a secret's value is never told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("{name} is not set")]
    Missing { name: &'static str },
    #[error("{name} cannot be used: {why}")]
    Invalid { name: &'static str, why: String },
}

impl ConfigError {
    pub fn invalid(name: &'static str, why: impl fmt::Display) -> Self {
        Self::Invalid { name, why: why.to_string() }
    }

    /// The variable or field to look at.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Missing { name } | Self::Invalid { name, .. } => name,
        }
    }
}

/// A reader of settings. Clones share the record of what was asked.
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
    /// The variables of this process.
    pub fn process() -> Self {
        Self { source: Source::Process, asked: Arc::default() }
    }

    /// These variables and no others: the local stack and the tests.
    pub fn from_pairs<I, K, V>(pairs: I) -> Self
    where
        I: IntoIterator<Item = (K, V)>,
        K: Into<String>,
        V: Into<String>,
    {
        let pairs = pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Self { source: Source::Pairs(Arc::new(pairs)), asked: Arc::default() }
    }

    /// The value. Templates can only set a variable to the empty string, so that counts as absent.
    pub fn required(&self, name: &'static str) -> Result<String, ConfigError> {
        self.optional(name).ok_or(ConfigError::Missing { name })
    }

    pub fn optional(&self, name: &'static str) -> Option<String> {
        self.record().insert(name);
        self.look_up(name)
    }

    /// An address that we will call or send people to.
    pub fn url(&self, name: &'static str) -> Result<Url, ConfigError> {
        self.optional_url(name)?.ok_or(ConfigError::Missing { name })
    }

    pub fn optional_url(&self, name: &'static str) -> Result<Option<Url>, ConfigError> {
        let Some(value) = self.optional(name) else { return Ok(None) };
        let url = parse_url(name, &value)?;
        if self.is_production() && is_local(&url) {
            return Err(ConfigError::invalid(
                name,
                "on Lambda an address must be https and elsewhere, unless AWS_ENDPOINT_URL points to a local stack",
            ));
        }
        Ok(Some(url))
    }

    /// An address of AWS, taken as it is: a local stack is told by it.
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
            Some(value) => value.parse().map_err(|why| ConfigError::invalid(name, why)),
        }
    }

    /// The names asked so far, in order of the alphabet. A test compares them with the template.
    pub fn asked(&self) -> Vec<&'static str> {
        self.record().iter().copied().collect()
    }

    /// Whether the Lambda runtime, or something that plays it, started this process.
    pub fn is_lambda(&self) -> bool {
        self.look_up(names::AWS_LAMBDA_RUNTIME_API).is_some()
    }

    /// On Lambda, and not under `cargo lambda` or `sam local` against a local stack.
    ///
    /// The runtime API's address cannot tell them apart: it has been a loopback address on Lambda itself.
    /// What tells is where AWS is: a function whose AWS is on plain http has no real table to harm.
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

    fn record(&self) -> MutexGuard<'_, BTreeSet<&'static str>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The values hold credentials, so only what was asked is shown.
impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Env").field("asked", &self.asked()).finish_non_exhaustive()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that reads the process's variables"
)]
fn process_variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn parse_url(name: &'static str, value: &str) -> Result<Url, ConfigError> {
    let url = Url::parse(value).map_err(|why| ConfigError::invalid(name, why))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(ConfigError::invalid(name, "it must start with https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(ConfigError::invalid(name, "credentials do not belong into an address"));
    }
    Ok(url)
}

/// Plain http, or this machine.
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
    fn what_is_missing_or_empty_is_named() {
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
    fn what_cannot_be_used_is_named_and_its_value_is_not_told() {
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
    fn production_refuses_plain_http_and_this_machine() {
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
                assert!(Env::from_pairs([(name, value)]).url(name).is_ok(), "{value} at home");
            }
        }
        let env = Env::from_pairs([(names::ZOOM_API_BASE_URL, "https://api.zoom.us/v2"), LAMBDA]);
        assert!(env.url(names::ZOOM_API_BASE_URL).is_ok());
    }

    #[test]
    fn a_local_stack_is_told_by_its_aws_endpoint() {
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
    fn it_remembers_what_was_asked_and_prints_no_value() {
        let env = Env::from_pairs([(names::AWS_SECRET_ACCESS_KEY, "hunter2")]);
        let _ = env.clone().required(names::TABLE_NAME);
        let _ = env.optional(names::AWS_SECRET_ACCESS_KEY);
        assert_eq!(env.asked(), [names::AWS_SECRET_ACCESS_KEY, names::TABLE_NAME]);
        assert!(!format!("{env:?}").contains("hunter2"));
    }
}
