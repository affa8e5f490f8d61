//! SQS as the outbox. What is said here was stored before, so that nothing is lost if it is not heard: [`Queue`] tells
//! of an announcement that lies in the table, [`Outbox`] is the other end, with the mails that an announcement comes to.

mod outbox;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::json;

pub use outbox::{MessageBody, OutboxQueue, QueueError, ReceivedMail};

use crate::aws::Aws;
use crate::config::{ConfigError, Env, names};

/// How long a request may wait for the queue: the sweep relays within the minute what was not sent,
/// so nobody should wait longer than they notice.
const NUDGE_TIMEOUT: Duration = Duration::from_millis(800);

/// The queue. Its client is made when something is first said, which most runs of most functions never do: making one
/// takes half a million instructions, as much as a whole function that only says hello.
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

    /// Tells the queue of an announcement that is stored, by where it lies. Best effort.
    pub async fn send_wake_up(&self, (pk, sk): (String, String)) {
        let body = json!({"v": 1, "type": "announcement", "pk": pk, "sk": sk}).to_string();
        let send = self.client().send_message().queue_url(&self.url).message_body(body).send();
        match tokio::time::timeout(NUDGE_TIMEOUT, send).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                tracing::warn!(event = "outbox.nudge_failed", error = %error.into_service_error())
            }
            Err(_) => tracing::warn!(event = "outbox.nudge_failed", error = "timed out"),
        }
    }
}
