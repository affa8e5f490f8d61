//! Operations on queues: create, find, describe, configure and purge.

use std::collections::BTreeMap;

use rusqlite::params;
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::SqsError;
use super::settings::{self, QueueSettings, arn};
use super::{QueueTransaction, empty_response, limits};
use crate::calls::AWS_PATH;
use crate::names::{ACCOUNT_ID, Names};
use crate::template::{Resource, Template};

const QUEUE: &str = "AWS::SQS::Queue";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CreateQueue {
    queue_name: String,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GetQueueUrl {
    queue_name: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListQueues {
    #[serde(default)]
    queue_name_prefix: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GetQueueAttributes {
    queue_url: String,
    #[serde(default)]
    attribute_names: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SetQueueAttributes {
    queue_url: String,
    attributes: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PurgeQueue {
    queue_url: String,
}

/// Returns a queue's URL, in AWS's format under this stack's address.
pub(super) fn url(base_url: &str, name: &str) -> String {
    format!("{}{AWS_PATH}/{ACCOUNT_ID}/{name}", base_url.trim_end_matches('/'))
}

/// Creates the template's queues, or updates existing ones to the template's settings.
pub(super) fn create_from_template(
    transaction: &QueueTransaction<'_>,
    template: &Template,
    names: &Names,
) -> Result<(), SqsError> {
    for resource in template.resources_of_type(QUEUE) {
        let name = names.physical_name(resource, "QueueName");
        check_name(name)?;
        let mut settings = QueueSettings::default();
        settings.apply(&attributes_from_template(resource, template, names))?;
        transaction.write_settings(name, &settings)?;
    }
    Ok(())
}

/// Converts a template's properties to attributes: text values, and a redrive policy with an ARN.
fn attributes_from_template(
    resource: Resource<'_>,
    template: &Template,
    names: &Names,
) -> BTreeMap<String, String> {
    let mut attributes = BTreeMap::new();
    for name in settings::attribute_names() {
        let mut value = resource.property(name).clone();
        if value.is_null() {
            continue;
        }
        if let Some(queue) = names.referenced_queue_name(template, &value["deadLetterTargetArn"]) {
            value["deadLetterTargetArn"] = json!(arn(queue));
        }
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        attributes.insert(name.to_owned(), text);
    }
    attributes
}

pub(super) fn create(
    transaction: &QueueTransaction<'_>,
    request: &CreateQueue,
) -> Result<Value, SqsError> {
    let name = &request.queue_name;
    check_name(name)?;
    let mut settings = QueueSettings::default();
    settings.apply(&request.attributes)?;
    if let Some(redrive) = &settings.redrive
        && transaction.settings(&redrive.dead_letter_queue)?.is_none()
    {
        return Err(SqsError::InvalidParameterValue(
            "Value for parameter RedrivePolicy is invalid. Reason: Dead letter target does not exist."
                .to_owned(),
        ));
    }
    match transaction.settings(name)? {
        None => transaction.write_settings(name, &settings)?,
        // Attributes that are missing in the request are not compared.
        Some(mut existing) => {
            let before = existing.clone();
            existing.apply(&request.attributes)?;
            if existing != before {
                return Err(SqsError::QueueNameExists);
            }
        }
    }
    Ok(json!({ "QueueUrl": url(transaction.base_url, name) }))
}

fn check_name(name: &str) -> Result<(), SqsError> {
    let fits = !name.is_empty() && name.len() <= limits::MAX_QUEUE_NAME_LENGTH;
    if fits && name.chars().all(limits::is_name_character) {
        return Ok(());
    }
    Err(SqsError::InvalidParameterValue(
        "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length. \
         This stack supports standard queues only."
            .to_owned(),
    ))
}

pub(super) fn get_url(
    transaction: &QueueTransaction<'_>,
    request: &GetQueueUrl,
) -> Result<Value, SqsError> {
    transaction.settings(&request.queue_name)?.ok_or(SqsError::QueueDoesNotExist)?;
    Ok(json!({ "QueueUrl": url(transaction.base_url, &request.queue_name) }))
}

pub(super) fn list(
    transaction: &QueueTransaction<'_>,
    request: &ListQueues,
) -> Result<Value, SqsError> {
    let queues = transaction.queues()?;
    let names = queues.iter().map(|(name, _)| name);
    let urls: Vec<_> = names
        .filter(|name| name.starts_with(&request.queue_name_prefix))
        .map(|name| url(transaction.base_url, name))
        .collect();
    Ok(json!({ "QueueUrls": urls }))
}

pub(super) fn get_attributes(
    transaction: &QueueTransaction<'_>,
    request: &GetQueueAttributes,
) -> Result<Value, SqsError> {
    let (name, settings) = transaction.queue(&request.queue_url)?;
    transaction.delete_expired(&name, &settings)?;
    let depth = transaction.depth(&name)?;
    let (created_at, changed_at): (i64, i64) = transaction.database.query_row(
        "SELECT created_at, changed_at FROM queues WHERE name = ?1",
        [&name],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let mut all = settings.to_attributes();
    all.extend([
        ("QueueArn", arn(&name)),
        ("ApproximateNumberOfMessages", depth.visible.to_string()),
        ("ApproximateNumberOfMessagesNotVisible", depth.in_flight.to_string()),
        ("ApproximateNumberOfMessagesDelayed", depth.delayed.to_string()),
        ("CreatedTimestamp", (created_at / 1000).to_string()),
        ("LastModifiedTimestamp", (changed_at / 1000).to_string()),
    ]);
    let requested = &request.attribute_names;
    if !requested.iter().any(|name| name == "All") {
        if let Some(unknown) = requested.iter().find(|name| !is_known_attribute(name, &all)) {
            return Err(SqsError::InvalidAttributeName(unknown.clone()));
        }
        all.retain(|name, _| requested.iter().any(|requested| requested == name));
    }
    Ok(json!({ "Attributes": all }))
}

/// Requesting the redrive policy of a queue that has none is not an error.
fn is_known_attribute(name: &str, all: &BTreeMap<&str, String>) -> bool {
    all.contains_key(name) || name == "RedrivePolicy"
}

pub(super) fn set_attributes(
    transaction: &QueueTransaction<'_>,
    request: &SetQueueAttributes,
) -> Result<Value, SqsError> {
    let (name, mut settings) = transaction.queue(&request.queue_url)?;
    settings.apply(&request.attributes)?;
    transaction.write_settings(&name, &settings)?;
    Ok(empty_response())
}

pub(super) fn purge(
    transaction: &QueueTransaction<'_>,
    request: &PurgeQueue,
) -> Result<Value, SqsError> {
    let (name, _) = transaction.queue(&request.queue_url)?;
    let purged = transaction.database.execute(
        "UPDATE queues SET purged_at = ?2 WHERE name = ?1 AND coalesce(purged_at + ?3 <= ?2, 1)",
        params![name, transaction.now, limits::PURGE_PAUSE_MS],
    )?;
    if purged == 0 {
        return Err(SqsError::PurgeQueueInProgress(name));
    }
    transaction.database.execute("DELETE FROM messages WHERE queue = ?1", [&name])?;
    Ok(empty_response())
}
