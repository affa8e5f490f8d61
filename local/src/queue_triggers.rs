//! Lambda's event sources: queues whose messages invoke a function.
//! <https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html>

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::handlers::{QUEUE_TRIGGERS, QueueTrigger};
use simulated_aws::sqs::Queues;

use crate::lambda::Lambda;
use crate::settings;

/// Delivers the messages of the queues to their functions.
#[derive(Clone, Debug)]
pub struct QueueTriggers {
    lambda: Lambda,
    queues: Queues,
    clock: Clock,
    /// The names of the queues, in the order of [`QUEUE_TRIGGERS`].
    names: Arc<Vec<String>>,
    /// Held while messages are delivered, so that the caller of [`Self::deliver`] also waits for those that another one has
    /// received.
    delivery_lock: Arc<tokio::sync::Mutex<()>>,
}

impl QueueTriggers {
    pub fn new(
        lambda: Lambda,
        queues: Queues,
        clock: Clock,
        environment: &[(String, String)],
    ) -> Self {
        let name =
            |trigger: &QueueTrigger| settings::queue_name(environment, trigger.queue).to_owned();
        let names = Arc::new(QUEUE_TRIGGERS.iter().map(name).collect());
        Self { lambda, queues, clock, names, delivery_lock: Arc::default() }
    }

    /// Delivers all visible messages. Those that a function has not handled stay in their queue until their visibility timeout
    /// ends.
    pub async fn deliver(&self) {
        let _turn = self.delivery_lock.lock().await;
        for (trigger, queue) in QUEUE_TRIGGERS.iter().zip(self.names.iter()) {
            while self.deliver_batch(trigger, queue).await {}
        }
    }

    /// Delivers one batch. Returns whether there was one.
    async fn deliver_batch(&self, trigger: &QueueTrigger, queue: &str) -> bool {
        let messages = self.queues.receive_for_function(queue, trigger.batch_size);
        if messages.is_empty() {
            return false;
        }
        let records: Vec<_> = messages.iter().map(|message| message.record.clone()).collect();
        let request_id = format!("queue-{}-{}", unix_ms(self.clock.now()), messages[0].id);
        let event = json!({ "Records": records });
        match self.lambda.invoke(trigger.function, request_id, event).await {
            Ok(result) => {
                let handled = messages.iter().filter(|message| !has_failed(&result, &message.id));
                handled.for_each(|message| self.queues.delete_handled(queue, message));
            }
            Err(error) => {
                let function = trigger.function;
                tracing::error!(event = "queue_trigger.failed", function, %error);
            }
        }
        true
    }
}

fn unix_ms(at: Timestamp) -> i64 {
    at.as_millisecond()
}

fn has_failed(result: &Value, message: &str) -> bool {
    let failures = result["batchItemFailures"].as_array().map(Vec::as_slice).unwrap_or_default();
    failures.iter().any(|failure| failure["itemIdentifier"] == message)
}
