//! SQS as the outbox: what is said here was stored before, so that nothing is lost if it is not heard.

use std::time::Duration;

use serde_json::json;

use crate::config::{ConfigError, Env, names};

/// How long a request may wait for the queue: the sweep relays within the minute what was not sent,
/// so nobody should wait longer than they notice.
const NUDGE_TIMEOUT: Duration = Duration::from_millis(800);

#[derive(Clone, Debug)]
pub struct Queue {
    client: aws_sdk_sqs::Client,
    url: String,
}

impl Queue {
    pub fn new(client: aws_sdk_sqs::Client, env: &Env) -> Result<Self, ConfigError> {
        Ok(Self { client, url: env.required(names::OUTBOX_QUEUE_URL)? })
    }

    /// Tells the queue of an announcement that is stored, by where it lies. Best effort.
    pub async fn nudge(&self, (pk, sk): (String, String)) {
        let body = json!({"v": 1, "type": "announcement", "pk": pk, "sk": sk}).to_string();
        let send = self.client.send_message().queue_url(&self.url).message_body(body).send();
        match tokio::time::timeout(NUDGE_TIMEOUT, send).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                tracing::warn!(event = "outbox.nudge_failed", error = %error.into_service_error())
            }
            Err(_) => tracing::warn!(event = "outbox.nudge_failed", error = "timed out"),
        }
    }
}
