//! `ReceiveMessage`: returns visible messages, oldest first. A message that was received too often
//! moves to the dead-letter queue instead.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rusqlite::params;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::digest::{Attributes, md5_of_attributes, md5_of_body};
use super::error::SqsError;
use super::settings::{QueueSettings, arn};
use super::{QueueTransaction, limits};
use crate::names::ACCOUNT_ID;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ReceiveMessage {
    queue_url: String,
    max_number_of_messages: Option<i64>,
    visibility_timeout: Option<i64>,
    wait_time_seconds: Option<i64>,
    #[serde(default)]
    attribute_names: Vec<String>,
    #[serde(default)]
    message_system_attribute_names: Vec<String>,
    #[serde(default)]
    message_attribute_names: Vec<String>,
}

/// The result of a receive.
pub(super) struct ReceiveResult {
    pub(super) response: Value,
    pub(super) count: usize,
    /// How long the caller waits for the first message.
    pub(super) wait: Duration,
}

struct MessageRow {
    number: i64,
    id: String,
    body: String,
    attributes: String,
    sent_at: i64,
    receives: u32,
    first_received_at: Option<i64>,
    dead_letter_source: Option<String>,
    group: Option<String>,
}

pub(super) fn receive(
    transaction: &QueueTransaction<'_>,
    request: &ReceiveMessage,
) -> Result<ReceiveResult, SqsError> {
    let (queue, settings) = transaction.queue(&request.queue_url)?;
    let max_messages = limits::in_range(
        "MaxNumberOfMessages",
        request.max_number_of_messages,
        &limits::RECEIVED_MESSAGES,
        1,
    )?;
    let visibility = limits::in_range(
        "VisibilityTimeout",
        request.visibility_timeout,
        &limits::VISIBILITY_SECONDS,
        settings.visibility_seconds,
    )?;
    let wait = limits::in_range(
        "WaitTimeSeconds",
        request.wait_time_seconds,
        &limits::WAIT_SECONDS,
        settings.wait_seconds,
    )?;
    transaction.delete_expired(&queue, &settings)?;
    let mut messages = Vec::new();
    let skipped_server = (wait == 0).then(|| transaction.draw_server());
    let rows = take_visible(transaction, &queue, &settings, max_messages as usize, skipped_server)?;
    for row in rows {
        messages.push(mark_received(transaction, row, i64::from(visibility) * 1000, request)?);
    }
    let count = messages.len();
    let response = if count == 0 { json!({}) } else { json!({ "Messages": messages }) };
    Ok(ReceiveResult { response, count, wait: Duration::from_secs(wait.into()) })
}

/// The number of servers on which the messages are stored.
const SERVERS: i64 = 4;

/// Returns up to `max_messages` visible messages. A receive that does not wait is a short poll, which skips a server, so
/// it can be empty although there are messages. Messages that were received as often as the
/// redrive policy allows move to the dead-letter queue.
fn take_visible(
    transaction: &QueueTransaction<'_>,
    queue: &str,
    settings: &QueueSettings,
    max_messages: usize,
    skipped_server: Option<i64>,
) -> Result<Vec<MessageRow>, SqsError> {
    let mut statement = transaction.database.prepare_cached(
        "SELECT number, id, body, attributes, sent_at, receives, first_received_at,
                dead_letter_source, message_group
         FROM messages WHERE queue = ?1 AND visible_at <= ?2 ORDER BY visible_at, number",
    )?;
    let mut rows = statement.query(params![queue, transaction.now])?;
    let (mut found, mut exhausted) = (Vec::new(), Vec::new());
    while let Some(row) = rows.next()? {
        let row = MessageRow {
            number: row.get(0)?,
            id: row.get(1)?,
            body: row.get(2)?,
            attributes: row.get(3)?,
            sent_at: row.get(4)?,
            receives: row.get(5)?,
            first_received_at: row.get(6)?,
            dead_letter_source: row.get(7)?,
            group: row.get(8)?,
        };
        if skipped_server == Some(row.number % SERVERS) {
            continue;
        }
        match &settings.redrive {
            Some(redrive) if row.receives >= redrive.max_receive_count => {
                exhausted.push((row.number, &redrive.dead_letter_queue));
            }
            _ => found.push(row),
        }
        if found.len() == max_messages {
            break;
        }
    }
    for (number, dead_letter_queue) in exhausted {
        // The message keeps its id and its time of sending, which determines when it expires.
        transaction.database.execute(
            "UPDATE messages
             SET queue = ?2, visible_at = ?3, receipt = NULL, dead_letter_source = ?4
             WHERE number = ?1",
            params![number, dead_letter_queue, transaction.now, queue],
        )?;
    }
    Ok(found)
}

fn mark_received(
    transaction: &QueueTransaction<'_>,
    row: MessageRow,
    visibility_ms: i64,
    request: &ReceiveMessage,
) -> Result<Value, SqsError> {
    let receipt = URL_SAFE_NO_PAD.encode(format!("{}:{}", row.id, transaction.random_hex::<16>()));
    let first_received_at = row.first_received_at.unwrap_or(transaction.now);
    let receives = row.receives + 1;
    transaction
        .database
        .prepare_cached(
            "UPDATE messages
             SET receipt = ?2, receives = ?3, first_received_at = ?4, visible_at = ?5
             WHERE number = ?1",
        )?
        .execute(params![
            row.number,
            receipt,
            receives,
            first_received_at,
            transaction.now + visibility_ms
        ])?;

    let mut message = json!({
        "MessageId": row.id,
        "ReceiptHandle": receipt,
        "MD5OfBody": md5_of_body(&row.body),
        "Body": row.body,
    });
    let mut system = vec![
        ("ApproximateReceiveCount", receives.to_string()),
        ("SentTimestamp", row.sent_at.to_string()),
        ("ApproximateFirstReceiveTimestamp", first_received_at.to_string()),
        ("SenderId", ACCOUNT_ID.to_owned()),
    ];
    if let Some(source) = &row.dead_letter_source {
        system.push(("DeadLetterQueueSourceArn", arn(source)));
    }
    if let Some(group) = row.group {
        system.push(("MessageGroupId", group));
    }
    let system: Map<_, _> = system
        .into_iter()
        .filter(|(name, _)| request.wants_system_attribute(name))
        .map(|(name, value)| (name.to_owned(), Value::String(value)))
        .collect();
    if !system.is_empty() {
        message["Attributes"] = Value::Object(system);
    }
    let mut attributes: Attributes = serde_json::from_str(&row.attributes)?;
    attributes.retain(|name, _| request.wants_attribute(name));
    if !attributes.is_empty() {
        message["MD5OfMessageAttributes"] = json!(md5_of_attributes(&attributes));
        message["MessageAttributes"] = json!(attributes);
    }
    Ok(message)
}

impl ReceiveMessage {
    fn wants_system_attribute(&self, name: &str) -> bool {
        // `AttributeNames` is the older name of the parameter.
        let requested = self.message_system_attribute_names.iter().chain(&self.attribute_names);
        requested.into_iter().any(|requested| requested == "All" || requested == name)
    }

    fn wants_attribute(&self, name: &str) -> bool {
        self.message_attribute_names.iter().any(|requested| match requested.strip_suffix(".*") {
            Some(prefix) => name.starts_with(prefix),
            None => requested == "All" || requested == name,
        })
    }
}

impl QueueTransaction<'_> {
    fn draw_server(&self) -> i64 {
        let [draw] = self.random.bytes::<1>();
        i64::from(draw) % SERVERS
    }

    /// Deletes messages that are older than the queue's retention period.
    pub(super) fn delete_expired(
        &self,
        queue: &str,
        settings: &QueueSettings,
    ) -> Result<(), SqsError> {
        let oldest = self.now - i64::from(settings.retention_seconds) * 1000;
        self.database
            .prepare_cached("DELETE FROM messages WHERE queue = ?1 AND sent_at <= ?2")?
            .execute(params![queue, oldest])?;
        Ok(())
    }
}
