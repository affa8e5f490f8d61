//! A stack for one test: the services on a socket of their own, and clients for them.

use std::path::Path;

use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::app_name::AppName;
use aws_types::region::Region;
use jiff::{SignedDuration, Timestamp};
use local::aws::names::Names;
use local::aws::{Aws, AwsConfig, StartError};
use local::faults::{Fault, Faults};
use local::usage::Usage;
use local::wire::Wire;
use shared::clock::Clock;
use shared::random::Random;
use shared::secret::Secret;

pub(crate) const TEMPLATE: &str = include_str!("template.yaml");
pub(crate) const ZEPTOMAIL_TOKEN: &str = "zepto-token";
pub(crate) const FUNCTION: &str = "session-save";

pub(crate) struct Stack {
    pub(crate) aws: Aws,
    pub(crate) clock: Clock,
    pub(crate) faults: Faults,
    pub(crate) usage: Usage,
    pub(crate) wire: Wire,
    pub(crate) base_url: String,
}

impl Stack {
    pub(crate) async fn start() -> Self {
        Self::start_in(None, TEMPLATE).await.unwrap()
    }

    pub(crate) async fn start_in(dir: Option<&Path>, template: &str) -> Result<Self, StartError> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let base_url = format!("http://{}", listener.local_addr()?);
        let clock = Clock::stopped_at("2026-11-12T10:00:00Z".parse().unwrap());
        let (faults, usage) = (Faults::default(), Usage::new(clock.clone()));
        let config = AwsConfig {
            data_dir: dir.map(Path::to_owned),
            template,
            base_url: base_url.clone(),
            names: Names::new([("Classes", "classes"), ("Outbox", "outbox")]),
            parameters: vec![("MailIdentity", "example.test".to_owned())],
            zeptomail_token: Secret::new(ZEPTOMAIL_TOKEN),
        };
        let random = Random::seeded(1);
        let aws = Aws::start(config, clock.clone(), random).await?;
        let wire = Wire::new(faults.clone(), usage.clone(), clock.clone());
        let router = wire.wrap(aws.services()).merge(aws.inspection());
        let router = router.merge(faults.router()).merge(usage.router());
        #[expect(clippy::disallowed_methods, reason = "the test's runtime aborts it")]
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { aws, clock, faults, usage, wire, base_url })
    }

    /// Returns the configuration of a function's clients, without retries so that a test sees each error.
    pub(crate) fn config(&self) -> SdkConfig {
        SdkConfig::builder()
            .behavior_version(aws_sdk_dynamodb::config::BehaviorVersion::latest())
            .endpoint_url(format!("{}/local/aws", self.base_url))
            .region(Region::from_static("us-east-1"))
            .credentials_provider(aws_credential_types::provider::SharedCredentialsProvider::new(
                aws_credential_types::Credentials::for_tests(),
            ))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .retry_config(RetryConfig::disabled())
            .timeout_config(
                TimeoutConfig::builder()
                    .operation_timeout(std::time::Duration::from_secs(2))
                    .build(),
            )
            .app_name(AppName::new(FUNCTION).unwrap())
            .build()
    }

    pub(crate) fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        aws_sdk_dynamodb::Client::new(&self.config())
    }

    pub(crate) fn sqs(&self) -> aws_sdk_sqs::Client {
        aws_sdk_sqs::Client::new(&self.config())
    }

    pub(crate) fn secrets(&self) -> aws_sdk_secretsmanager::Client {
        aws_sdk_secretsmanager::Client::new(&self.config())
    }

    pub(crate) fn ses(&self) -> aws_sdk_sesv2::Client {
        aws_sdk_sesv2::Client::new(&self.config())
    }

    pub(crate) fn advance(&self, by: SignedDuration) {
        let Clock::Manual(manual_clock) = &self.clock else { unreachable!() };
        manual_clock.advance(by);
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn fault(&self, fault: Fault) {
        self.faults.add(fault).unwrap();
    }
}
