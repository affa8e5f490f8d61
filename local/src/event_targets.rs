//! Delivers the events of the simulated EventBridge to their functions.

use std::sync::Arc;

use shared::clock::Clock;
use simulated_aws::Aws;
use simulated_aws::eventbridge::AfterFailure;

use crate::lambda::Lambda;

#[derive(Clone, Debug)]
pub struct EventTargets {
    lambda: Lambda,
    aws: Aws,
    clock: Clock,
    /// Held while events are delivered, so that the caller of [`Self::deliver`] also waits for those that another one has
    /// taken.
    delivery_lock: Arc<tokio::sync::Mutex<()>>,
}

impl EventTargets {
    pub fn new(lambda: Lambda, aws: Aws, clock: Clock) -> Self {
        Self { lambda, aws, clock, delivery_lock: Arc::default() }
    }

    /// Delivers all events that are due. A failed one is tried again later, or goes to the dead-letter queue of its function.
    pub async fn deliver(&self) {
        let _turn = self.delivery_lock.lock().await;
        while let Some(delivery) = self.aws.event_buses().take_due() {
            let (function, event) = (delivery.function.clone(), delivery.event.clone());
            let id = event["id"].as_str().unwrap_or_default();
            let request_id = format!("eventbridge-{}-{id}", self.clock.now().as_millisecond());
            let Err(error) = self.lambda.invoke(&function, request_id, event.clone()).await else {
                continue;
            };
            tracing::error!(event = "event_target.failed", function, %error);
            if let AfterFailure::DeadLetter(queue) = self.aws.event_buses().fail(delivery) {
                self.aws.send_to_queue(&queue, &event).await;
            }
        }
    }
}
