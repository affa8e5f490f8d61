//! Messages of the payments queue, each with the id of a payment that has due steps.

use std::time::Duration;

use lambda_http::{Error, LambdaEvent};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Deps;
use crate::app::payments;
use crate::app::run_time::RunTime;
use crate::handlers::edge;
use crate::handlers::function::Function;
use crate::queue::PaymentMessage;
use crate::telemetry::error_chain;

/// The time limit of an invocation without a deadline.
const DEFAULT_TIME: Duration = Duration::from_secs(25);

#[derive(Deserialize)]
struct Messages {
    #[serde(rename = "Records")]
    records: Vec<Message>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    message_id: String,
    body: String,
}

/// The messages that SQS delivers again.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MessagesResult {
    batch_item_failures: Vec<FailedMessage>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FailedMessage {
    item_identifier: String,
}

/// Carries out the payments of the messages, one after the other, so that they do not compete for the calendar of a trainer.
/// A payment that cannot be finished is left to the meeting sweep.
pub(super) async fn handle_messages(
    function: &Function<Deps>,
    event: LambdaEvent<Value>,
) -> Result<Value, Error> {
    let Messages { records } = serde_json::from_value(event.payload)?;
    let deps = function.deps()?;
    let now = deps.clock.now();
    let time = RunTime::new(edge::time_until(event.context.deadline, now, DEFAULT_TIME));
    let mut batch_item_failures = Vec::new();
    for Message { message_id, body } in records {
        let message: PaymentMessage = match serde_json::from_str(&body) {
            Ok(message) => message,
            // It would not be readable later. The sweep finds the payment.
            Err(_) => {
                tracing::error!(event = "payments.message_unreadable", message_id);
                continue;
            }
        };
        let id = message.payment_id;
        if let Err(error) = payments::carry_out(&deps.clients.services, &id, time).await {
            let error = error_chain(&error);
            tracing::error!(event = "payments.message_failed", payment_id = %id, error);
            batch_item_failures.push(FailedMessage { item_identifier: message_id });
        }
    }
    Ok(serde_json::to_value(MessagesResult { batch_item_failures })?)
}
