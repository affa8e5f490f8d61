//! `SendMessage` and its batch.

use rusqlite::params;
use serde::Deserialize;
use serde_json::{Value, json};

use super::digest::{Attribute, Attributes, of_attributes, of_body};
use super::error::SqsError;
use super::settings::Settings;
use super::{Session, limits};

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
    entries: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
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
    /// On a standard queue it makes for fair sharing and changes nothing else.
    message_group_id: Option<String>,
    message_deduplication_id: Option<String>,
}

impl Message {
    /// The size that counts: the body and every attribute's name, type and value.
    fn bytes(&self) -> usize {
        let attributes = self.message_attributes.iter();
        self.message_body.as_ref().map_or(0, String::len)
            + attributes.map(|(name, value)| name.len() + value.bytes()).sum::<usize>()
    }

    fn checked(&self, settings: &Settings) -> Result<&str, SqsError> {
        let body = self.message_body.as_deref().filter(|body| !body.is_empty());
        let body = body.ok_or(SqsError::MissingParameter("MessageBody"))?;
        if self.message_deduplication_id.is_some() {
            return Err(SqsError::InvalidParameterValue(
                "The request include parameter that is not valid for this queue type.".to_owned(),
            ));
        }
        if self.bytes() > settings.maximum_message_size as usize {
            return Err(SqsError::InvalidParameterValue(format!(
                "One or more parameters are invalid. Reason: Message must be shorter than {} bytes.",
                settings.maximum_message_size
            )));
        }
        if self.message_attributes.len() > limits::MESSAGE_ATTRIBUTES {
            return Err(SqsError::InvalidParameterValue(format!(
                "Number of message attributes [{}] exceeds the allowed maximum [{}].",
                self.message_attributes.len(),
                limits::MESSAGE_ATTRIBUTES
            )));
        }
        let attributes = self.message_attributes.values();
        if let Some(problem) = attributes.filter_map(Attribute::problem).next() {
            return Err(SqsError::InvalidParameterValue(problem));
        }
        if !body.chars().all(limits::is_sendable) {
            return Err(SqsError::InvalidMessageContents);
        }
        Ok(body)
    }
}

pub(super) fn send(session: &Session<'_>, request: &SendMessage) -> Result<Value, SqsError> {
    let (queue, settings) = session.queue(&request.queue_url)?;
    put(session, &queue, &settings, &request.message)
}

pub(super) fn send_batch(
    session: &Session<'_>,
    request: &SendMessageBatch,
) -> Result<Value, SqsError> {
    let (queue, settings) = session.queue(&request.queue_url)?;
    limits::batch(request.entries.len(), request.entries.iter().map(|entry| entry.id.as_str()))?;
    let bytes = request.entries.iter().map(|entry| entry.message.bytes()).sum();
    if bytes > limits::MESSAGE_BYTES {
        return Err(SqsError::BatchRequestTooLong(bytes));
    }
    let entries = request.entries.iter().map(|entry| (entry.id.as_str(), &entry.message));
    session.each(entries, |message| put(session, &queue, &settings, message))
}

fn put(
    session: &Session<'_>,
    queue: &str,
    settings: &Settings,
    message: &Message,
) -> Result<Value, SqsError> {
    let body = message.checked(settings)?;
    let delay = limits::within(
        "DelaySeconds",
        message.delay_seconds,
        &limits::DELAY_SECONDS,
        settings.delay_seconds,
    )?;
    let id = session.random_id();
    session
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
            session.now,
            session.now + i64::from(delay) * 1000,
        ])?;
    let mut sent = json!({ "MessageId": id, "MD5OfMessageBody": of_body(body) });
    if !message.message_attributes.is_empty() {
        sent["MD5OfMessageAttributes"] = json!(of_attributes(&message.message_attributes));
    }
    Ok(sent)
}

impl Session<'_> {
    /// Does the same to every entry of a batch and tells which failed: the others go on.
    pub(super) fn each<'a, T: 'a>(
        &self,
        entries: impl ExactSizeIterator<Item = (&'a str, T)>,
        work: impl Fn(T) -> Result<Value, SqsError>,
    ) -> Result<Value, SqsError> {
        let (mut successful, mut failed) = (Vec::new(), Vec::new());
        let last = entries.len().saturating_sub(1);
        for (index, (id, entry)) in entries.enumerate() {
            let kept_back = self.partial && index == last;
            let done = if kept_back { Err(SqsError::InternalError) } else { work(entry) };
            match done {
                Ok(mut answer) => {
                    answer["Id"] = json!(id);
                    successful.push(answer);
                }
                Err(error) if error.is_entrys() => failed.push(json!({
                    "Id": id,
                    "SenderFault": error.is_senders(),
                    "Code": error.query_code(),
                    "Message": error.to_string(),
                })),
                Err(error) => return Err(error),
            }
        }
        Ok(json!({ "Successful": successful, "Failed": failed }))
    }
}
