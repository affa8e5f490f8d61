//! Emulated DynamoDB, SQS, Secrets Manager, SES, EventBridge and ZeptoMail, for the unmodified AWS SDK clients.
//!
//! A client's `AWS_ENDPOINT_URL` is the stack's address followed by [`calls::AWS_PATH`]. `X-Amz-Target`
//! selects one of the services with an AWS JSON protocol. SES has its own path.

pub mod calls;
mod dynamodb;
pub mod eventbridge;
mod mail_message;
mod mail_parts;
pub mod mail_reports;
mod mail_routes;
pub mod mailbox;
pub mod names;
pub mod permissions;
mod policies;
pub mod refusal;
mod secrets;
mod ses;
pub mod sqs;
pub mod state_file;
pub mod template;
pub mod zeptomail;

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::random::Random;
use shared::secret::Secret;

use calls::{AWS_PATH, AwsService, SES_SEND_PATH, ZEPTOMAIL_SEND_PATH, aws_target};
use dynamodb::Dynamo;
use eventbridge::EventBuses;
use mailbox::Mailbox;
use names::Names;
use permissions::{DeniedCall, Permissions};
use policies::Policies;
use refusal::Refusal;
use secrets::Secrets;
use sqs::Queues;
use state_file::StateFileError;
use template::{Template, TemplateError};

/// Configuration of the services.
#[derive(Clone, Debug)]
pub struct AwsConfig<'a> {
    /// Directory for the state. Without it, the state is in memory.
    pub data_dir: Option<PathBuf>,
    /// The text of `template.yaml`.
    pub template: &'a str,
    /// The stack's own address, such as `http://localhost:4000`. Queue URLs begin with it.
    pub base_url: String,
    /// Names of tables and queues by the template's logical ids.
    pub names: Names,
    /// Values of the template's parameters that have no default.
    pub parameters: Vec<(&'static str, String)>,
    /// The token that ZeptoMail accepts.
    pub zeptomail_token: Secret,
}

/// The reason why the services did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the template cannot be used")]
    Template(#[from] TemplateError),
    #[error("the data directory cannot be used")]
    Io(#[from] std::io::Error),
    #[error("DynamoDB did not start: {0}")]
    Dynamodb(#[from] dynoxide::DynoxideError),
    #[error("a table definition of the template is invalid")]
    Definition(#[source] serde_json::Error),
    #[error(
        "the table {table} in the data directory has different keys or indexes than the template: \
        start with an empty directory"
    )]
    TableMismatch { table: String },
    #[error("the mailbox did not start")]
    Mailbox(#[from] rusqlite::Error),
    #[error("the queues did not start: {0}")]
    Queues(String),
    #[error("the secrets did not start")]
    Secrets(#[source] serde_json::Error),
    #[error(transparent)]
    File(#[from] StateFileError),
    #[error("the emulator's address is invalid")]
    Address(#[from] http::Error),
}

/// A secret could not be written.
#[derive(Debug, thiserror::Error)]
#[error("the secret {id} could not be set")]
pub struct SecretError {
    id: String,
}

/// A fault that only a service itself can apply. The request has it as an extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceFault {
    /// The last entry of a batch is not processed.
    Partial,
    /// The index returns an earlier result.
    Stale,
}

/// DynamoDB's request units of one call. The response has them as an extension.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Units {
    pub read: f64,
    pub write: f64,
}

/// The running services. They stop when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Aws {
    dynamo: Dynamo,
    queues: Queues,
    secrets: Arc<Secrets>,
    mailbox: Mailbox,
    buses: EventBuses,
    zeptomail_token: Secret,
    permissions: Permissions,
    template: Arc<Template>,
    names: Names,
}

impl Aws {
    /// Starts the services, opens or creates their state, and creates the template's tables and queues.
    pub async fn start(
        config: AwsConfig<'_>,
        clock: Clock,
        random: Random,
    ) -> Result<Self, StartError> {
        if let Some(dir) = &config.data_dir {
            std::fs::create_dir_all(dir)?;
        }
        let file = |name: &str| config.data_dir.as_ref().map(|dir| dir.join(name));
        let template = Template::parse(config.template)?;
        let names = &config.names;
        let dynamo =
            Dynamo::start(file("dynamodb.sqlite").as_deref(), &template, names, clock.clone())
                .await?;
        let queues = Queues::start(
            file("sqs.sqlite").as_deref(),
            &config.base_url,
            &template,
            names,
            clock.clone(),
            random.clone(),
        )?;
        let values = policies::template_values(&template, names, config.parameters);
        let policies = Policies::from_template(&template, &values)?;
        let buses = EventBuses::new(&template, names, &values, clock.clone(), random.clone())?;
        Ok(Self {
            dynamo,
            buses,
            queues,
            secrets: Arc::new(Secrets::start(file("secrets.json")).await?),
            mailbox: Mailbox::start(file("mail.sqlite").as_deref(), clock, random)?,
            zeptomail_token: config.zeptomail_token,
            permissions: Permissions::new(policies),
            template: Arc::new(template),
            names: config.names,
        })
    }

    /// Returns to the state of a new stack: empty tables and queues, and neither mails nor secrets.
    pub async fn reset(&self) -> Result<(), StartError> {
        self.dynamo.reset(&self.template, &self.names)?;
        self.queues.reset(&self.template, &self.names)?;
        self.mailbox.clear()?;
        self.buses.reset();
        self.secrets.reset().await?;
        drop(self.permissions.take_denied_calls());
        Ok(())
    }

    /// Sets the token that ZeptoMail accepts.
    pub fn accept_zeptomail_token(&mut self, token: Secret) {
        self.zeptomail_token = token;
    }

    /// Routes of the services. They have absolute paths, so merge this router and do not nest it.
    pub fn services(&self) -> Router {
        Router::new()
            .route(AWS_PATH, post(aws_json))
            .route(&format!("{AWS_PATH}/"), post(aws_json))
            .route(
                SES_SEND_PATH,
                post(async |State(aws): State<Self>, body: Bytes| {
                    ses::send(&aws.mailbox, &aws.configuration_sets(), &body)
                }),
            )
            .route(
                ZEPTOMAIL_SEND_PATH,
                post(async |State(aws): State<Self>, headers: HeaderMap, body: Bytes| {
                    zeptomail::send(&aws.mailbox, &aws.zeptomail_token, &headers, &body)
                }),
            )
            // Each service has its own limit, and the wire has already read the body.
            .layer(DefaultBodyLimit::disable())
            .layer(from_fn_with_state(self.permissions.clone(), permissions::authorize))
            .with_state(self.clone())
    }

    /// Routes to inspect mails, tables, queues and denied calls.
    pub fn inspection(&self) -> Router {
        mail_routes::router(&self.mailbox)
            .merge(self.dynamo.router())
            .merge(self.queues.router())
            .merge(self.queues.browser())
            .merge(self.permissions.router())
    }

    /// Returns the calls that were denied for lack of permission since the last call of this method.
    pub fn take_denied_calls(&self) -> Vec<DeniedCall> {
        self.permissions.take_denied_calls()
    }

    pub fn mailbox(&self) -> &Mailbox {
        &self.mailbox
    }

    pub fn queues(&self) -> &Queues {
        &self.queues
    }

    pub fn event_buses(&self) -> &EventBuses {
        &self.buses
    }

    /// Sends an event that a function has failed to handle to a queue.
    pub async fn send_to_queue(&self, queue: &str, event: &Value) {
        let url = self.queues.url(queue);
        let message = json!({ "QueueUrl": url, "MessageBody": event.to_string() });
        let sent = self.queues.handle("SendMessage", message.to_string().as_bytes(), None).await;
        if !sent.status().is_success() {
            tracing::error!(event = "eventbridge.event_lost", queue);
        }
    }

    /// Returns the names of the template's configuration sets.
    fn configuration_sets(&self) -> Vec<String> {
        let sets = self.template.resources_of_type("AWS::SES::ConfigurationSet");
        sets.map(|set| self.names.physical_name(set, "Name").to_owned()).collect()
    }

    /// Returns the value of a secret, if there is one.
    pub async fn secret(&self, id: &str) -> Option<String> {
        self.secrets.get(id).await
    }

    /// Creates a secret or replaces its value.
    pub async fn set_secret(&self, id: &str, value: &str) -> Result<(), SecretError> {
        match self.secrets.set(id, value).await {
            true => Ok(()),
            false => Err(SecretError { id: id.to_owned() }),
        }
    }

    /// Deletes the items whose time to live has ended on the stack's clock, and returns their number.
    pub fn sweep_ttl(&self) -> Result<usize, dynoxide::DynoxideError> {
        self.dynamo.sweep_ttl()
    }
}

/// Handles a request of an AWS JSON protocol.
async fn aws_json(State(aws): State<Aws>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let fault = head.extensions.get::<ServiceFault>().copied();
    match aws_target(&head.headers) {
        Some((AwsService::Dynamodb, operation)) => {
            aws.dynamo.handle(&operation, &head.headers, body, fault).await
        }
        Some((AwsService::Sqs, operation)) => aws.queues.handle(&operation, &body, fault).await,
        Some((AwsService::Eventbridge, operation)) => aws.buses.handle(&operation, &body),
        Some((AwsService::Secretsmanager, operation)) => {
            aws.secrets.handle(&operation, head.headers, body).await
        }
        _ => Refusal::new(
            AwsService::Dynamodb,
            StatusCode::BAD_REQUEST,
            "UnknownOperationException",
            "The operation in X-Amz-Target is not supported by any service of this stack.",
        )
        .into_response(),
    }
}
