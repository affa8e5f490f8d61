//! The queues themselves: made, found, described, set and emptied.

use std::collections::BTreeMap;

use rusqlite::params;
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::SqsError;
use super::settings::{self, Settings, arn};
use super::{Session, limits, nothing};
use crate::aws::names::{ACCOUNT_ID, Names};
use crate::calls::AWS_PATH;
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

/// A queue's URL, in AWS's form under this stack's address.
pub(super) fn url(base_url: &str, name: &str) -> String {
    format!("{}{AWS_PATH}/{ACCOUNT_ID}/{name}", base_url.trim_end_matches('/'))
}

/// Makes the template's queues, or sets those that are there as the template says now.
pub(super) fn create_from(
    session: &Session<'_>,
    template: &Template,
    names: &Names,
) -> Result<(), SqsError> {
    for resource in template.of_type(QUEUE) {
        let name = names.of(resource, "QueueName");
        check_name(name)?;
        let mut settings = Settings::default();
        settings.apply(&attributes_of(resource, template, names))?;
        session.write_settings(name, &settings)?;
    }
    Ok(())
}

/// A template's properties in the form of attributes: as text, the redrive policy with an ARN.
fn attributes_of(
    resource: Resource<'_>,
    template: &Template,
    names: &Names,
) -> BTreeMap<String, String> {
    let mut attributes = BTreeMap::new();
    for name in settings::names() {
        let mut value = resource.property(name).clone();
        if value.is_null() {
            continue;
        }
        if let Some(queue) = names.queue_referred(template, &value["deadLetterTargetArn"]) {
            value["deadLetterTargetArn"] = json!(arn(queue));
        }
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        attributes.insert(name.to_owned(), text);
    }
    attributes
}

pub(super) fn create(session: &Session<'_>, request: &CreateQueue) -> Result<Value, SqsError> {
    let name = &request.queue_name;
    check_name(name)?;
    let mut settings = Settings::default();
    settings.apply(&request.attributes)?;
    if let Some(redrive) = &settings.redrive
        && session.settings(&redrive.dead_letter_queue)?.is_none()
    {
        return Err(SqsError::InvalidParameterValue(
            "Value for parameter RedrivePolicy is invalid. Reason: Dead letter target does not exist."
                .to_owned(),
        ));
    }
    match session.settings(name)? {
        None => session.write_settings(name, &settings)?,
        // Attributes that are not given are not compared.
        Some(mut existing) => {
            let before = existing.clone();
            existing.apply(&request.attributes)?;
            if existing != before {
                return Err(SqsError::QueueNameExists);
            }
        }
    }
    Ok(json!({ "QueueUrl": url(session.base_url, name) }))
}

fn check_name(name: &str) -> Result<(), SqsError> {
    let fits = !name.is_empty() && name.len() <= limits::QUEUE_NAME_LENGTH;
    if fits && name.chars().all(limits::is_plain) {
        return Ok(());
    }
    Err(SqsError::InvalidParameterValue(
        "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length; \
         this stack has standard queues only."
            .to_owned(),
    ))
}

pub(super) fn get_url(session: &Session<'_>, request: &GetQueueUrl) -> Result<Value, SqsError> {
    session.settings(&request.queue_name)?.ok_or(SqsError::QueueDoesNotExist)?;
    Ok(json!({ "QueueUrl": url(session.base_url, &request.queue_name) }))
}

pub(super) fn list(session: &Session<'_>, request: &ListQueues) -> Result<Value, SqsError> {
    let queues = session.queues()?;
    let names = queues.iter().map(|(name, _)| name);
    let urls: Vec<_> = names
        .filter(|name| name.starts_with(&request.queue_name_prefix))
        .map(|name| url(session.base_url, name))
        .collect();
    Ok(json!({ "QueueUrls": urls }))
}

pub(super) fn attributes(
    session: &Session<'_>,
    request: &GetQueueAttributes,
) -> Result<Value, SqsError> {
    let (name, settings) = session.queue(&request.queue_url)?;
    session.drop_expired(&name, &settings)?;
    let depth = session.depth(&name)?;
    let (created_at, changed_at): (i64, i64) = session.database.query_row(
        "SELECT created_at, changed_at FROM queues WHERE name = ?1",
        [&name],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let mut all = settings.told();
    all.extend([
        ("QueueArn", arn(&name)),
        ("ApproximateNumberOfMessages", depth.visible.to_string()),
        ("ApproximateNumberOfMessagesNotVisible", depth.in_flight.to_string()),
        ("ApproximateNumberOfMessagesDelayed", depth.delayed.to_string()),
        ("CreatedTimestamp", (created_at / 1000).to_string()),
        ("LastModifiedTimestamp", (changed_at / 1000).to_string()),
    ]);
    let asked = &request.attribute_names;
    if !asked.iter().any(|name| name == "All") {
        if let Some(unknown) = asked.iter().find(|name| !is_known(name, &all)) {
            return Err(SqsError::InvalidAttributeName(unknown.clone()));
        }
        all.retain(|name, _| asked.iter().any(|asked| asked == name));
    }
    Ok(json!({ "Attributes": all }))
}

/// A queue without a redrive policy has no such attribute, and may be asked for it.
fn is_known(name: &str, all: &BTreeMap<&str, String>) -> bool {
    all.contains_key(name) || name == "RedrivePolicy"
}

pub(super) fn set_attributes(
    session: &Session<'_>,
    request: &SetQueueAttributes,
) -> Result<Value, SqsError> {
    let (name, mut settings) = session.queue(&request.queue_url)?;
    settings.apply(&request.attributes)?;
    session.write_settings(&name, &settings)?;
    Ok(nothing())
}

pub(super) fn purge(session: &Session<'_>, request: &PurgeQueue) -> Result<Value, SqsError> {
    let (name, _) = session.queue(&request.queue_url)?;
    let purged = session.database.execute(
        "UPDATE queues SET purged_at = ?2 WHERE name = ?1 AND coalesce(purged_at + ?3 <= ?2, 1)",
        params![name, session.now, limits::PURGE_PAUSE_MS],
    )?;
    if purged == 0 {
        return Err(SqsError::PurgeQueueInProgress(name));
    }
    session.database.execute("DELETE FROM messages WHERE queue = ?1", [&name])?;
    Ok(nothing())
}
