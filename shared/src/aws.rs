//! AWS clients on the shared HTTP client. A function creates each client that it uses once.

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::app_name::AppName;
use aws_types::region::Region;

use crate::config::{ConfigError, Env, names};
use crate::net::{self, SmithyClient};

/// Limit on one attempt, up to the last byte of the response. DynamoDB, SQS and Secrets Manager respond within tens of
/// milliseconds.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);

/// Limit on one operation with all attempts: half of 10 s, the shortest timeout of a function, which leaves time to report
/// the failure.
pub const OPERATION_TIMEOUT: Duration = Duration::from_secs(5);

/// Limit on the one attempt to send a mail through SES, which responds more slowly than DynamoDB.
pub const SEND_TIMEOUT: Duration = Duration::from_secs(5);

/// Attempts per operation, including the first.
pub const MAX_ATTEMPTS: u32 = 3;

/// The SDK waits a random share of this before the second attempt, and of twice this before the third. Its default of 1 s
/// would use up most of [`OPERATION_TIMEOUT`].
const RETRY_BACKOFF: Duration = Duration::from_millis(100);

const DEFAULT_APP_NAME: &str = "live-classes";

/// The configuration that all AWS clients share.
///
/// Region and credentials come only from the variables that Lambda sets. The SDK's default chain also reads files and
/// metadata services, which slows down a cold start and could find unintended credentials.
#[derive(Clone, Debug)]
pub struct Aws {
    config: SdkConfig,
    dynamodb_endpoint: Option<String>,
    secrets_manager_endpoint: Option<String>,
    ses_endpoint: Option<String>,
    sqs_endpoint: Option<String>,
}

impl Aws {
    pub fn new(env: &Env, http: &reqwest::Client) -> Result<Self, ConfigError> {
        let everywhere = env.endpoint(names::AWS_ENDPOINT_URL)?;
        let endpoint = |name| {
            let own = env.endpoint(name)?;
            Ok(own.or_else(|| everywhere.clone()).map(String::from))
        };
        let config = SdkConfig::builder()
            // A fixed date, so that an update of the SDK does not change retries and timeouts unnoticed.
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new(env.required(names::AWS_REGION)?))
            .credentials_provider(SharedCredentialsProvider::new(credentials(env)?))
            .app_name(app_name(env)?)
            .http_client(SmithyClient::new(http.clone()))
            .sleep_impl(TokioSleep::new())
            .retry_config(
                RetryConfig::standard()
                    .with_max_attempts(MAX_ATTEMPTS)
                    .with_initial_backoff(RETRY_BACKOFF),
            )
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(net::CONNECT_TIMEOUT)
                    .read_timeout(ATTEMPT_TIMEOUT)
                    .operation_attempt_timeout(ATTEMPT_TIMEOUT)
                    .operation_timeout(OPERATION_TIMEOUT)
                    .build(),
            )
            // Not needed, because all bodies are in memory.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .build();
        Ok(Self {
            config,
            dynamodb_endpoint: endpoint(names::AWS_ENDPOINT_URL_DYNAMODB)?,
            secrets_manager_endpoint: endpoint(names::AWS_ENDPOINT_URL_SECRETS_MANAGER)?,
            ses_endpoint: endpoint(names::AWS_ENDPOINT_URL_SESV2)?,
            sqs_endpoint: endpoint(names::AWS_ENDPOINT_URL_SQS)?,
        })
    }

    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        let mut config = aws_sdk_dynamodb::config::Builder::from(&self.config);
        config.set_endpoint_url(self.dynamodb_endpoint.clone());
        aws_sdk_dynamodb::Client::from_conf(config.build())
    }

    pub fn secrets_manager(&self) -> aws_sdk_secretsmanager::Client {
        let mut config = aws_sdk_secretsmanager::config::Builder::from(&self.config);
        config.set_endpoint_url(self.secrets_manager_endpoint.clone());
        aws_sdk_secretsmanager::Client::from_conf(config.build())
    }

    /// Returns an SES client without retries. After a lost response the outbox decides whether to send the mail again.
    pub fn ses(&self) -> aws_sdk_sesv2::Client {
        let mut config = aws_sdk_sesv2::config::Builder::from(&self.config);
        config.set_endpoint_url(self.ses_endpoint.clone());
        config.set_retry_config(Some(RetryConfig::disabled()));
        config.set_timeout_config(Some(
            TimeoutConfig::builder()
                .connect_timeout(net::CONNECT_TIMEOUT)
                .read_timeout(SEND_TIMEOUT)
                .operation_attempt_timeout(SEND_TIMEOUT)
                .operation_timeout(SEND_TIMEOUT)
                .build(),
        ));
        aws_sdk_sesv2::Client::from_conf(config.build())
    }

    pub fn sqs(&self) -> aws_sdk_sqs::Client {
        let mut config = aws_sdk_sqs::config::Builder::from(&self.config);
        config.set_endpoint_url(self.sqs_endpoint.clone());
        aws_sdk_sqs::Client::from_conf(config.build())
    }
}

fn credentials(env: &Env) -> Result<Credentials, ConfigError> {
    Ok(Credentials::new(
        env.required(names::AWS_ACCESS_KEY_ID)?,
        env.required(names::AWS_SECRET_ACCESS_KEY)?,
        // Credentials on Lambda are temporary and have a session token. Those of a local stack may not.
        env.optional(names::AWS_SESSION_TOKEN),
        None,
        "environment",
    ))
}

/// Returns the function name for the User-Agent, by which CloudTrail and the local stack identify the caller.
fn app_name(env: &Env) -> Result<AppName, ConfigError> {
    let name = env.optional(names::AWS_LAMBDA_FUNCTION_NAME);
    AppName::new(name.unwrap_or_else(|| DEFAULT_APP_NAME.to_owned()))
        .map_err(|error| ConfigError::invalid(names::AWS_LAMBDA_FUNCTION_NAME, error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::http_client;
    use crate::net::loopback::{Loopback, LoopbackResponse, unreachable_url};

    fn env(more: &[(&'static str, String)]) -> Env {
        let base = [
            (names::AWS_REGION, "eu-west-1".to_owned()),
            (names::AWS_ACCESS_KEY_ID, "AKIDEXAMPLE".to_owned()),
            (names::AWS_SECRET_ACCESS_KEY, "hunter2".to_owned()),
            (names::AWS_SESSION_TOKEN, "a-session".to_owned()),
            (names::AWS_LAMBDA_FUNCTION_NAME, "join".to_owned()),
        ];
        Env::from_pairs(base.into_iter().chain(more.iter().cloned()))
    }

    fn aws(env: &Env) -> Result<Aws, ConfigError> {
        Aws::new(env, &http_client("live-classes/join").unwrap())
    }

    #[tokio::test]
    async fn clients_use_their_endpoints_and_send_the_function_name() {
        let own = Loopback::start(|_| LoopbackResponse::ok("{}"));
        let shared = Loopback::start(|_| LoopbackResponse::ok("{}"));
        let env = env(&[
            (names::AWS_ENDPOINT_URL, shared.url("/aws")),
            (names::AWS_ENDPOINT_URL_DYNAMODB, own.url("/")),
        ]);
        let aws = aws(&env).unwrap();
        aws.dynamodb().list_tables().send().await.unwrap();
        aws.sqs().list_queues().send().await.unwrap();
        aws.secrets_manager().get_secret_value().secret_id("s").send().await.unwrap();

        assert_eq!((own.requests().len(), shared.requests().len()), (1, 2));
        assert_eq!(shared.requests()[0].path, "/aws/");
        for request in own.requests().iter().chain(&shared.requests()) {
            let agent = request.header("user-agent").unwrap();
            assert!(agent.contains("app/join"), "{agent}");
            assert_eq!(request.header("x-amz-security-token"), Some("a-session"));
            let signed = request.header("authorization").unwrap();
            assert!(signed.contains("AKIDEXAMPLE/") && signed.contains("/eu-west-1/"), "{signed}");
        }
    }

    #[tokio::test]
    async fn transient_errors_are_tried_three_times_and_others_once() {
        for (status, attempts) in [(500, 3), (400, 1)] {
            let server = Loopback::start(move |_| LoopbackResponse::status(status));
            let env = env(&[(names::AWS_ENDPOINT_URL, server.url("/"))]);
            aws(&env).unwrap().dynamodb().list_tables().send().await.unwrap_err();
            assert_eq!(server.requests().len(), attempts, "{status}");
        }
        let env = env(&[(names::AWS_ENDPOINT_URL, unreachable_url())]);
        aws(&env).unwrap().dynamodb().list_tables().send().await.unwrap_err();
    }

    #[test]
    fn missing_lambda_variable_is_a_config_error() {
        for name in [names::AWS_REGION, names::AWS_ACCESS_KEY_ID, names::AWS_SECRET_ACCESS_KEY] {
            let env = env(&[(name, String::new())]);
            assert_eq!(aws(&env).unwrap_err(), ConfigError::Missing { name });
        }
        let env = env(&[(names::AWS_LAMBDA_FUNCTION_NAME, "a b".to_owned())]);
        assert_eq!(aws(&env).unwrap_err().name(), names::AWS_LAMBDA_FUNCTION_NAME);
    }

    #[test]
    fn debug_output_contains_no_credentials() {
        let text = format!("{:?}", aws(&env(&[])).unwrap());
        assert!(!text.contains("hunter2") && !text.contains("a-session"), "{text}");
    }

    #[test]
    fn attempt_timeouts_fit_into_the_operation_timeout() {
        assert!(net::CONNECT_TIMEOUT <= ATTEMPT_TIMEOUT);
        assert!(ATTEMPT_TIMEOUT * 2 < OPERATION_TIMEOUT);
    }
}
