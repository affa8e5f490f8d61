//! The SQS queues. [`PaymentQueue`] starts the steps of payments. Of the outbox, [`SqsQueue`] sends wake-ups, which may be lost because domain events are stored in the
//! table. [`OutboxQueue`] receives wake-ups and sends and receives mails.

mod outbox;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

pub use outbox::{MessageBody, OutboxQueue, QueueError, ReceivedMessage};

use crate::aws::Aws;
use crate::config::{ConfigError, Env, names};
use crate::domain::id::PaymentId;

/// The maximum time that a request waits for the queue. The next sweep finds the domain event within a minute, so a
/// noticeable delay is not justified.
const WAKE_UP_TIMEOUT: Duration = Duration::from_millis(800);

/// The sender of wake-ups. Creates its client on first use, because most invocations never send one and the creation
/// takes half a million instructions.
#[derive(Clone, Debug)]
pub struct SqsQueue {
    aws: Aws,
    client: Arc<OnceLock<aws_sdk_sqs::Client>>,
    url: String,
}

impl SqsQueue {
    pub fn new(aws: Aws, env: &Env) -> Result<Self, ConfigError> {
        Ok(Self { aws, client: Arc::default(), url: env.required(names::OUTBOX_QUEUE_URL)? })
    }

    fn client(&self) -> &aws_sdk_sqs::Client {
        self.client.get_or_init(|| self.aws.sqs())
    }

    /// Sends a wake-up with the key of a stored domain event. Best effort.
    pub async fn send_wake_up(&self, (pk, sk): (String, String)) {
        let body = json!({"v": 1, "type": "wake_up", "pk": pk, "sk": sk}).to_string();
        if let Err(error) = self.send(body).await {
            tracing::warn!(event = "outbox.wake_up_failed", error);
        }
    }

    async fn send(&self, body: String) -> Result<(), String> {
        let send = self.client().send_message().queue_url(&self.url).message_body(body).send();
        match tokio::time::timeout(WAKE_UP_TIMEOUT, send).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error.into_service_error().to_string()),
            Err(_) => Err("timed out".to_owned()),
        }
    }
}

/// The sender of the payments queue, which invokes `payments`. A message may be lost, because the due work is stored in the
/// table.
#[derive(Clone, Debug)]
pub struct PaymentQueue(SqsQueue);

/// A message of the payments queue.
#[derive(Debug, Serialize, Deserialize)]
pub struct PaymentMessage {
    pub payment_id: PaymentId,
}

impl PaymentQueue {
    /// Returns `None` if the deployment has no such queue.
    pub fn new(aws: Aws, env: &Env) -> Option<Self> {
        let url = env.optional(names::PAYMENTS_QUEUE_URL)?;
        Some(Self(SqsQueue { aws, client: Arc::default(), url }))
    }

    /// Starts the steps of a stored payment. Best effort.
    pub async fn send(&self, payment: &PaymentId) {
        let body = json!(PaymentMessage { payment_id: payment.clone() }).to_string();
        if let Err(error) = self.0.send(body).await {
            tracing::warn!(event = "payment.message_failed", payment_id = %payment, error);
        }
    }
}
