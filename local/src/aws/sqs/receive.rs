//! `ReceiveMessage`: what is visible, oldest first; what was received too often goes to the
//! dead-letter queue instead.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rusqlite::params;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::digest::{Attributes, of_attributes, of_body};
use super::error::SqsError;
use super::settings::{Settings, arn};
use super::{Session, limits};
use crate::aws::names::ACCOUNT_ID;

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

/// What a receive found.
pub(super) struct Received {
    pub(super) answer: Value,
    pub(super) count: usize,
    /// How long the caller is ready to wait for the first message.
    pub(super) wait: Duration,
}

struct Row {
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
    session: &Session<'_>,
    request: &ReceiveMessage,
) -> Result<Received, SqsError> {
    let (queue, settings) = session.queue(&request.queue_url)?;
    let wanted = limits::within(
        "MaxNumberOfMessages",
        request.max_number_of_messages,
        &limits::RECEIVED_MESSAGES,
        1,
    )?;
    let visibility = limits::within(
        "VisibilityTimeout",
        request.visibility_timeout,
        &limits::VISIBILITY_SECONDS,
        settings.visibility_seconds,
    )?;
    let wait = limits::within(
        "WaitTimeSeconds",
        request.wait_time_seconds,
        &limits::WAIT_SECONDS,
        settings.wait_seconds,
    )?;
    session.drop_expired(&queue, &settings)?;
    let mut messages = Vec::new();
    for row in visible(session, &queue, &settings, wanted as usize)? {
        messages.push(hand_out(session, row, i64::from(visibility) * 1000, request)?);
    }
    let count = messages.len();
    let answer = if count == 0 { json!({}) } else { json!({ "Messages": messages }) };
    Ok(Received { answer, count, wait: Duration::from_secs(wait.into()) })
}

/// Up to `wanted` messages that are visible. On the way, those that were received as often as the
/// redrive policy allows are moved to the dead-letter queue.
fn visible(
    session: &Session<'_>,
    queue: &str,
    settings: &Settings,
    wanted: usize,
) -> Result<Vec<Row>, SqsError> {
    let mut statement = session.database.prepare_cached(
        "SELECT number, id, body, attributes, sent_at, receives, first_received_at,
                dead_letter_source, message_group
         FROM messages WHERE queue = ?1 AND visible_at <= ?2 ORDER BY visible_at, number",
    )?;
    let mut rows = statement.query(params![queue, session.now])?;
    let (mut found, mut dead) = (Vec::new(), Vec::new());
    while let Some(row) = rows.next()? {
        let row = Row {
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
        match &settings.redrive {
            Some(redrive) if row.receives >= redrive.max_receive_count => {
                dead.push((row.number, &redrive.dead_letter_queue));
            }
            _ => found.push(row),
        }
        if found.len() == wanted {
            break;
        }
    }
    for (number, dead_letter_queue) in dead {
        // It keeps its id and the time it was sent, by which it expires in the other queue.
        session.database.execute(
            "UPDATE messages
             SET queue = ?2, visible_at = ?3, receipt = NULL, dead_letter_source = ?4
             WHERE number = ?1",
            params![number, dead_letter_queue, session.now, queue],
        )?;
    }
    Ok(found)
}

fn hand_out(
    session: &Session<'_>,
    row: Row,
    visibility_ms: i64,
    request: &ReceiveMessage,
) -> Result<Value, SqsError> {
    let receipt = URL_SAFE_NO_PAD.encode(format!("{}:{}", row.id, session.random_hex::<16>()));
    let first_received_at = row.first_received_at.unwrap_or(session.now);
    let receives = row.receives + 1;
    session
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
            session.now + visibility_ms
        ])?;

    let mut message = json!({
        "MessageId": row.id,
        "ReceiptHandle": receipt,
        "MD5OfBody": of_body(&row.body),
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
        .filter(|(name, _)| request.wants_system(name))
        .map(|(name, value)| (name.to_owned(), Value::String(value)))
        .collect();
    if !system.is_empty() {
        message["Attributes"] = Value::Object(system);
    }
    let mut attributes: Attributes = serde_json::from_str(&row.attributes)?;
    attributes.retain(|name, _| request.wants(name));
    if !attributes.is_empty() {
        message["MD5OfMessageAttributes"] = json!(of_attributes(&attributes));
        message["MessageAttributes"] = json!(attributes);
    }
    Ok(message)
}

impl ReceiveMessage {
    fn wants_system(&self, name: &str) -> bool {
        // `AttributeNames` is the older name of the parameter.
        let asked = self.message_system_attribute_names.iter().chain(&self.attribute_names);
        asked.into_iter().any(|asked| asked == "All" || asked == name)
    }

    fn wants(&self, name: &str) -> bool {
        self.message_attribute_names.iter().any(|asked| match asked.strip_suffix(".*") {
            Some(prefix) => name.starts_with(prefix),
            None => asked == "All" || asked == name,
        })
    }
}

impl Session<'_> {
    /// Drops what the queue has kept for as long as it keeps messages.
    pub(super) fn drop_expired(&self, queue: &str, settings: &Settings) -> Result<(), SqsError> {
        let oldest = self.now - i64::from(settings.retention_seconds) * 1000;
        self.database
            .prepare_cached("DELETE FROM messages WHERE queue = ?1 AND sent_at <= ?2")?
            .execute(params![queue, oldest])?;
        Ok(())
    }
}
