//! `SendMessage` and `SendMessageBatch`.

use rusqlite::params;
use serde::Deserialize;
use serde_json::{Value, json};

use super::digest::{Attribute, Attributes, md5_of_attributes, md5_of_body};
use super::error::SqsError;
use super::settings::QueueSettings;
use super::{QueueTransaction, limits};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SendMessage {
    queue_url: String,
    #[serde(flatten)]
    message: Message,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SendMessageBatch {
    queue_url: String,
    #[serde(default)]
    entries: Vec<SendEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SendEntry {
    id: String,
    #[serde(flatten)]
    message: Message,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Message {
    message_body: Option<String>,
    delay_seconds: Option<i64>,
    #[serde(default)]
    message_attributes: Attributes,
    /// On a standard queue this only affects fair sharing between groups.
    message_group_id: Option<String>,
    message_deduplication_id: Option<String>,
}

impl Message {
    /// Returns the size that counts towards the limit: the body and each attribute's name, type and value.
    fn size_bytes(&self) -> usize {
        let attributes = self.message_attributes.iter();
        self.message_body.as_ref().map_or(0, String::len)
            + attributes.map(|(name, value)| name.len() + value.size_bytes()).sum::<usize>()
    }

    fn validated_body(&self, settings: &QueueSettings) -> Result<&str, SqsError> {
        let body = self.message_body.as_deref().filter(|body| !body.is_empty());
        let body = body.ok_or(SqsError::MissingParameter("MessageBody"))?;
        if self.message_deduplication_id.is_some() {
            return Err(SqsError::InvalidParameterValue(
                "The request include parameter that is not valid for this queue type.".to_owned(),
            ));
        }
        if self.size_bytes() > settings.maximum_message_size as usize {
            return Err(SqsError::InvalidParameterValue(format!(
                "One or more parameters are invalid. Reason: Message must be shorter than {} bytes.",
                settings.maximum_message_size
            )));
        }
        if self.message_attributes.len() > limits::MAX_MESSAGE_ATTRIBUTES {
            return Err(SqsError::InvalidParameterValue(format!(
                "Number of message attributes [{}] exceeds the allowed maximum [{}].",
                self.message_attributes.len(),
                limits::MAX_MESSAGE_ATTRIBUTES
            )));
        }
        let attributes = self.message_attributes.values();
        if let Some(problem) = attributes.filter_map(Attribute::validation_error).next() {
            return Err(SqsError::InvalidParameterValue(problem));
        }
        if !body.chars().all(limits::is_message_character) {
            return Err(SqsError::InvalidMessageContents);
        }
        Ok(body)
    }
}

pub(super) fn send(
    transaction: &QueueTransaction<'_>,
    request: &SendMessage,
) -> Result<Value, SqsError> {
    let (queue, settings) = transaction.queue(&request.queue_url)?;
    insert_message(transaction, &queue, &settings, &request.message)
}

pub(super) fn send_batch(
    transaction: &QueueTransaction<'_>,
    request: &SendMessageBatch,
) -> Result<Value, SqsError> {
    let (queue, settings) = transaction.queue(&request.queue_url)?;
    limits::check_batch(
        request.entries.len(),
        request.entries.iter().map(|entry| entry.id.as_str()),
    )?;
    let bytes = request.entries.iter().map(|entry| entry.message.size_bytes()).sum();
    if bytes > limits::MAX_MESSAGE_BYTES {
        return Err(SqsError::BatchRequestTooLong { sent: bytes, max: limits::MAX_MESSAGE_BYTES });
    }
    let entries = request.entries.iter().map(|entry| (entry.id.as_str(), &entry.message));
    transaction
        .process_batch(entries, |message| insert_message(transaction, &queue, &settings, message))
}

fn insert_message(
    transaction: &QueueTransaction<'_>,
    queue: &str,
    settings: &QueueSettings,
    message: &Message,
) -> Result<Value, SqsError> {
    let body = message.validated_body(settings)?;
    let delay = limits::in_range(
        "DelaySeconds",
        message.delay_seconds,
        &limits::DELAY_SECONDS,
        settings.delay_seconds,
    )?;
    let id = transaction.random_id();
    transaction
        .database
        .prepare_cached(
            "INSERT INTO messages (queue, id, body, attributes, message_group, sent_at, visible_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            queue,
            id,
            body,
            serde_json::to_string(&message.message_attributes)?,
            message.message_group_id,
            transaction.now,
            transaction.now + i64::from(delay) * 1000,
        ])?;
    let mut sent = json!({ "MessageId": id, "MD5OfMessageBody": md5_of_body(body) });
    if !message.message_attributes.is_empty() {
        sent["MD5OfMessageAttributes"] = json!(md5_of_attributes(&message.message_attributes));
    }
    Ok(sent)
}

impl QueueTransaction<'_> {
    /// Processes every entry of a batch and reports the failed ones. A failed entry does not stop the others.
    pub(super) fn process_batch<'a, T: 'a>(
        &self,
        entries: impl ExactSizeIterator<Item = (&'a str, T)>,
        work: impl Fn(T) -> Result<Value, SqsError>,
    ) -> Result<Value, SqsError> {
        let (mut successful, mut failed) = (Vec::new(), Vec::new());
        let last = entries.len().saturating_sub(1);
        for (index, (id, entry)) in entries.enumerate() {
            let unprocessed = self.fail_last_entry && index == last;
            let done = if unprocessed { Err(SqsError::InternalError) } else { work(entry) };
            match done {
                Ok(mut result) => {
                    result["Id"] = json!(id);
                    successful.push(result);
                }
                Err(error) if error.is_entry_error() => failed.push(json!({
                    "Id": id,
                    "SenderFault": error.is_sender_fault(),
                    "Code": error.query_code(),
                    "Message": error.to_string(),
                })),
                Err(error) => return Err(error),
            }
        }
        Ok(json!({ "Successful": successful, "Failed": failed }))
    }
}
