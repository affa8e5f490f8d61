//! What is done by receipt handle: `DeleteMessage`, `ChangeMessageVisibility` and their batches.
//!
//! A handle is that of one receive. When the message is received again the older handle is spent:
//! it deletes nothing and changes nothing.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rusqlite::{OptionalExtension, params};
use serde::Deserialize;
use serde_json::Value;

use super::error::SqsError;
use super::{Session, limits, nothing};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct One {
    queue_url: String,
    #[serde(flatten)]
    handle: Handle,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Batch {
    queue_url: String,
    #[serde(default)]
    entries: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    id: String,
    #[serde(flatten)]
    handle: Handle,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Handle {
    receipt_handle: Option<String>,
    visibility_timeout: Option<i64>,
}

impl Handle {
    /// The handle, if it has the form of one of ours.
    fn checked(&self) -> Result<&str, SqsError> {
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

pub(super) fn delete(session: &Session<'_>, request: &One) -> Result<Value, SqsError> {
    let (queue, _) = session.queue(&request.queue_url)?;
    delete_one(session, &queue, &request.handle)
}

pub(super) fn delete_batch(session: &Session<'_>, request: &Batch) -> Result<Value, SqsError> {
    request.each(session, |queue, handle| delete_one(session, queue, handle))
}

pub(super) fn change(session: &Session<'_>, request: &One) -> Result<Value, SqsError> {
    let (queue, _) = session.queue(&request.queue_url)?;
    change_one(session, &queue, &request.handle)
}

pub(super) fn change_batch(session: &Session<'_>, request: &Batch) -> Result<Value, SqsError> {
    request.each(session, |queue, handle| change_one(session, queue, handle))
}

impl Batch {
    fn each(
        &self,
        session: &Session<'_>,
        work: impl Fn(&str, &Handle) -> Result<Value, SqsError>,
    ) -> Result<Value, SqsError> {
        let (queue, _) = session.queue(&self.queue_url)?;
        limits::batch(self.entries.len(), self.entries.iter().map(|entry| entry.id.as_str()))?;
        let entries = self.entries.iter().map(|entry| (entry.id.as_str(), &entry.handle));
        session.each(entries, |handle| work(&queue, handle))
    }
}

/// Deletes the message, also after its visibility time, as long as it was not received again.
/// A spent handle is no error: AWS answers as if the message had been deleted.
fn delete_one(session: &Session<'_>, queue: &str, handle: &Handle) -> Result<Value, SqsError> {
    session
        .database
        .prepare_cached("DELETE FROM messages WHERE queue = ?1 AND receipt = ?2")?
        .execute(params![queue, handle.checked()?])?;
    Ok(nothing())
}

fn change_one(session: &Session<'_>, queue: &str, handle: &Handle) -> Result<Value, SqsError> {
    let receipt = handle.checked()?;
    if handle.visibility_timeout.is_none() {
        return Err(SqsError::MissingParameter("VisibilityTimeout"));
    }
    let range = &limits::VISIBILITY_SECONDS;
    let seconds = limits::within("VisibilityTimeout", handle.visibility_timeout, range, 0)?;
    let visible_at: Option<i64> = session
        .database
        .prepare_cached("SELECT visible_at FROM messages WHERE queue = ?1 AND receipt = ?2")?
        .query_row(params![queue, receipt], |row| row.get(0))
        .optional()?;
    match visible_at {
        None => Err(SqsError::InvalidParameterValue(format!(
            "Value {receipt} for parameter ReceiptHandle is invalid. Reason: Message does not exist \
             or is not available for visibility timeout change."
        ))),
        Some(at) if at <= session.now => Err(SqsError::MessageNotInflight),
        Some(_) => {
            session
                .database
                .prepare_cached("UPDATE messages SET visible_at = ?2 WHERE receipt = ?1")?
                .execute(params![receipt, session.now + i64::from(seconds) * 1000])?;
            Ok(nothing())
        }
    }
}
