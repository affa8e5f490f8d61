//! `StartMessageMoveTask`: moves dead-lettered messages back to their source queue, immediately.
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html>

use std::collections::BTreeSet;

use rusqlite::params;
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::SqsError;
use super::settings::{arn, queue_name_from_arn};
use super::{QueueTransaction, limits};

/// The number of listed tasks if the request does not set one.
const DEFAULT_LISTED_TASKS: i64 = 1;
const MAX_LISTED_TASKS: i64 = 10;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct StartMessageMoveTask {
    source_arn: String,
    destination_arn: Option<String>,
    max_number_of_messages_per_second: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListMessageMoveTasks {
    source_arn: String,
    max_results: Option<i64>,
}

impl StartMessageMoveTask {
    /// Returns a request that moves all messages, without a rate limit.
    pub(super) fn all_messages(source_arn: String, destination_arn: String) -> Self {
        let destination_arn = Some(destination_arn);
        Self { source_arn, destination_arn, max_number_of_messages_per_second: None }
    }
}

pub(super) fn start(
    transaction: &QueueTransaction<'_>,
    request: &StartMessageMoveTask,
) -> Result<Value, SqsError> {
    let rate = request.max_number_of_messages_per_second;
    limits::in_range("MaxNumberOfMessagesPerSecond", rate, &limits::MOVED_PER_SECOND, 1)?;
    let source = dead_letter_queue(transaction, &request.source_arn)?;
    let destination = match &request.destination_arn {
        None => None,
        Some(arn) => {
            let name = queue_name_from_arn(arn).ok_or(SqsError::ResourceNotFound)?;
            transaction.settings(name)?.ok_or(SqsError::ResourceNotFound)?;
            Some(name)
        }
    };
    let waiting = transaction.depth(&source)?.visible;
    let moved = move_all(transaction, &source, destination)?;
    let handle = transaction.random_hex::<24>();
    let mut task = json!({
        "Status": "COMPLETED",
        "SourceArn": request.source_arn,
        "ApproximateNumberOfMessagesMoved": moved,
        "ApproximateNumberOfMessagesToMove": waiting,
        "StartedTimestamp": transaction.now,
    });
    if let Some(destination) = destination {
        task["DestinationArn"] = json!(arn(destination));
    }
    if let Some(rate) = rate {
        task["MaxNumberOfMessagesPerSecond"] = json!(rate);
    }
    if moved < waiting {
        task["Status"] = json!("FAILED");
        task["FailureReason"] = json!("CouldNotDetermineMessageSource");
    }
    transaction.database.execute(
        "INSERT INTO moves (source, task) VALUES (?1, ?2)",
        params![source, task.to_string()],
    )?;
    Ok(json!({ "TaskHandle": handle }))
}

/// Moves every visible message. Without a destination each message returns to its source queue. A
/// message that was sent to the dead-letter queue directly has no source queue and stays.
fn move_all(
    transaction: &QueueTransaction<'_>,
    source: &str,
    destination: Option<&str>,
) -> Result<u64, SqsError> {
    let numbers = transaction
        .database
        .prepare(
            "SELECT number FROM messages WHERE queue = ?1 AND visible_at <= ?2
             AND coalesce(?3, dead_letter_source) IS NOT NULL ORDER BY number",
        )?
        .query_map(params![source, transaction.now, destination], |row| row.get::<_, i64>(0))?
        .collect::<Result<Vec<_>, _>>()?;
    for number in &numbers {
        // A message that is moved back counts as new: it gets a new id and a new time of sending.
        // https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-configure-dead-letter-queue-redrive.html
        transaction.database.execute(
            "UPDATE messages
             SET queue = coalesce(?2, dead_letter_source), id = ?3, sent_at = ?4, visible_at = ?4,
                 receives = 0, first_received_at = NULL, receipt = NULL, dead_letter_source = NULL
             WHERE number = ?1",
            params![number, destination, transaction.random_id(), transaction.now],
        )?;
    }
    Ok(u64::try_from(numbers.len()).unwrap_or(u64::MAX))
}

pub(super) fn list(
    transaction: &QueueTransaction<'_>,
    request: &ListMessageMoveTasks,
) -> Result<Value, SqsError> {
    let source = queue_name_from_arn(&request.source_arn).ok_or(SqsError::ResourceNotFound)?;
    transaction.settings(source)?.ok_or(SqsError::ResourceNotFound)?;
    let most = request.max_results.unwrap_or(DEFAULT_LISTED_TASKS).clamp(1, MAX_LISTED_TASKS);
    let tasks = transaction
        .database
        .prepare("SELECT task FROM moves WHERE source = ?1 ORDER BY number DESC LIMIT ?2")?
        .query_map(params![source, most], |row| row.get::<_, String>(0))?
        .collect::<Result<Vec<_>, _>>()?;
    let tasks: Vec<Value> =
        tasks.iter().map(|task| serde_json::from_str(task)).collect::<Result<_, _>>()?;
    Ok(json!({ "Results": tasks }))
}

/// Returns the queue of an ARN if it is the dead-letter queue of another queue.
fn dead_letter_queue(transaction: &QueueTransaction<'_>, arn: &str) -> Result<String, SqsError> {
    let name = queue_name_from_arn(arn).ok_or(SqsError::ResourceNotFound)?;
    transaction.settings(name)?.ok_or(SqsError::ResourceNotFound)?;
    let queues = transaction.queues()?;
    let dead_letter_queues: BTreeSet<_> = queues
        .iter()
        .filter_map(|(_, settings)| Some(settings.redrive.as_ref()?.dead_letter_queue.as_str()))
        .collect();
    if dead_letter_queues.contains(name) {
        return Ok(name.to_owned());
    }
    Err(SqsError::InvalidParameterValue(
        "Source queue must be configured as a Dead Letter Queue.".to_owned(),
    ))
}
