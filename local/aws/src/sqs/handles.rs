//! Operations with a receipt handle: `DeleteMessage`, `ChangeMessageVisibility` and their batches.
//!
//! A handle belongs to one receive. It becomes invalid when the message is received again.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rusqlite::{OptionalExtension, params};
use serde::Deserialize;
use serde_json::Value;

use super::error::SqsError;
use super::{QueueTransaction, empty_response, limits};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SingleRequest {
    queue_url: String,
    #[serde(flatten)]
    handle: HandleParameters,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct BatchRequest {
    queue_url: String,
    #[serde(default)]
    entries: Vec<HandleEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HandleEntry {
    id: String,
    #[serde(flatten)]
    handle: HandleParameters,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HandleParameters {
    receipt_handle: Option<String>,
    visibility_timeout: Option<i64>,
}

impl HandleParameters {
    /// Returns the handle if it has the expected format.
    fn validated_handle(&self) -> Result<&str, SqsError> {
        let handle = self.receipt_handle.as_deref();
        let handle = handle.ok_or(SqsError::MissingParameter("ReceiptHandle"))?;
        let decoded = URL_SAFE_NO_PAD.decode(handle).ok();
        let text = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
        match text.is_some_and(|text| text.contains(':')) {
            true => Ok(handle),
            false => Err(SqsError::ReceiptHandleIsInvalid),
        }
    }
}

pub(super) fn delete(
    transaction: &QueueTransaction<'_>,
    request: &SingleRequest,
) -> Result<Value, SqsError> {
    let (queue, _) = transaction.queue(&request.queue_url)?;
    delete_one(transaction, &queue, &request.handle)
}

pub(super) fn delete_batch(
    transaction: &QueueTransaction<'_>,
    request: &BatchRequest,
) -> Result<Value, SqsError> {
    request.process(transaction, |queue, handle| delete_one(transaction, queue, handle))
}

pub(super) fn change_visibility(
    transaction: &QueueTransaction<'_>,
    request: &SingleRequest,
) -> Result<Value, SqsError> {
    let (queue, _) = transaction.queue(&request.queue_url)?;
    change_one_visibility(transaction, &queue, &request.handle)
}

pub(super) fn change_visibility_batch(
    transaction: &QueueTransaction<'_>,
    request: &BatchRequest,
) -> Result<Value, SqsError> {
    request.process(transaction, |queue, handle| change_one_visibility(transaction, queue, handle))
}

impl BatchRequest {
    fn process(
        &self,
        transaction: &QueueTransaction<'_>,
        work: impl Fn(&str, &HandleParameters) -> Result<Value, SqsError>,
    ) -> Result<Value, SqsError> {
        let (queue, _) = transaction.queue(&self.queue_url)?;
        limits::check_batch(
            self.entries.len(),
            self.entries.iter().map(|entry| entry.id.as_str()),
        )?;
        let entries = self.entries.iter().map(|entry| (entry.id.as_str(), &entry.handle));
        transaction.process_batch(entries, |handle| work(&queue, handle))
    }
}

/// Deletes the message, even after its visibility timeout, unless it was received again.
/// An outdated handle is not an error: AWS responds as if the message had been deleted.
fn delete_one(
    transaction: &QueueTransaction<'_>,
    queue: &str,
    handle: &HandleParameters,
) -> Result<Value, SqsError> {
    transaction
        .database
        .prepare_cached("DELETE FROM messages WHERE queue = ?1 AND receipt = ?2")?
        .execute(params![queue, handle.validated_handle()?])?;
    Ok(empty_response())
}

fn change_one_visibility(
    transaction: &QueueTransaction<'_>,
    queue: &str,
    handle: &HandleParameters,
) -> Result<Value, SqsError> {
    let receipt = handle.validated_handle()?;
    if handle.visibility_timeout.is_none() {
        return Err(SqsError::MissingParameter("VisibilityTimeout"));
    }
    let range = &limits::VISIBILITY_SECONDS;
    let seconds = limits::in_range("VisibilityTimeout", handle.visibility_timeout, range, 0)?;
    let visible_at: Option<i64> = transaction
        .database
        .prepare_cached("SELECT visible_at FROM messages WHERE queue = ?1 AND receipt = ?2")?
        .query_row(params![queue, receipt], |row| row.get(0))
        .optional()?;
    match visible_at {
        None => Err(SqsError::InvalidParameterValue(format!(
            "Value {receipt} for parameter ReceiptHandle is invalid. Reason: Message does not exist \
             or is not available for visibility timeout change."
        ))),
        Some(at) if at <= transaction.now => Err(SqsError::MessageNotInflight),
        Some(_) => {
            transaction
                .database
                .prepare_cached("UPDATE messages SET visible_at = ?2 WHERE receipt = ?1")?
                .execute(params![receipt, transaction.now + i64::from(seconds) * 1000])?;
            Ok(empty_response())
        }
    }
}
