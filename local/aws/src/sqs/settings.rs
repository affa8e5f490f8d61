//! A queue's settings. SQS calls them attributes and transmits them as text.
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html>

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::error::SqsError;
use super::limits;
pub(super) use crate::names::queue_arn as arn;

/// The settings of a queue. The defaults are SQS's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct QueueSettings {
    pub(super) delay_seconds: u32,
    pub(super) visibility_seconds: u32,
    pub(super) wait_seconds: u32,
    pub(super) retention_seconds: u32,
    pub(super) maximum_message_size: u32,
    pub(super) redrive: Option<RedrivePolicy>,
}

/// The dead-letter queue, and the number of receives after which a message moves to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct RedrivePolicy {
    pub(super) dead_letter_queue: String,
    pub(super) max_receive_count: u32,
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self {
            delay_seconds: 0,
            visibility_seconds: 30,
            wait_seconds: 0,
            retention_seconds: 345_600,
            maximum_message_size: 1_048_576,
            redrive: None,
        }
    }
}

/// A numeric attribute: its name, its field and its range.
type NumericAttribute = (&'static str, fn(&mut QueueSettings) -> &mut u32, RangeInclusive<u32>);

const NUMERIC_ATTRIBUTES: [NumericAttribute; 5] = [
    ("DelaySeconds", |settings| &mut settings.delay_seconds, limits::DELAY_SECONDS),
    ("VisibilityTimeout", |settings| &mut settings.visibility_seconds, limits::VISIBILITY_SECONDS),
    ("ReceiveMessageWaitTimeSeconds", |settings| &mut settings.wait_seconds, limits::WAIT_SECONDS),
    (
        "MessageRetentionPeriod",
        |settings| &mut settings.retention_seconds,
        limits::RETENTION_SECONDS,
    ),
    (
        "MaximumMessageSize",
        |settings| &mut settings.maximum_message_size,
        limits::MAXIMUM_MESSAGE_SIZE,
    ),
];

/// Attributes of a deployed queue that have no meaning on one machine.
const IGNORED_ATTRIBUTES: [&str; 6] = [
    "KmsDataKeyReusePeriodSeconds",
    "KmsMasterKeyId",
    "Policy",
    "RedriveAllowPolicy",
    "SqsManagedSseEnabled",
    "Tags",
];

/// Returns the names of the attributes that a queue in the template may have.
pub(super) fn attribute_names() -> impl Iterator<Item = &'static str> {
    NUMERIC_ATTRIBUTES.iter().map(|(name, ..)| *name).chain(["RedrivePolicy"])
}

impl QueueSettings {
    /// Sets the attributes attributes and keeps the others.
    pub(super) fn apply(&mut self, attributes: &BTreeMap<String, String>) -> Result<(), SqsError> {
        for (name, value) in attributes {
            if name == "RedrivePolicy" {
                self.redrive = parse_redrive_policy(value)?;
            } else if let Some((_, field, range)) =
                NUMERIC_ATTRIBUTES.iter().find(|(known, ..)| known == name)
            {
                let value = value.parse().ok().filter(|value| range.contains(value));
                *field(self) =
                    value.ok_or_else(|| SqsError::InvalidAttributeValue(name.clone()))?;
            } else if !IGNORED_ATTRIBUTES.contains(&name.as_str()) {
                return Err(SqsError::InvalidAttributeName(name.clone()));
            }
        }
        Ok(())
    }

    /// Returns the settings as SQS attributes.
    pub(super) fn to_attributes(&self) -> BTreeMap<&'static str, String> {
        let mut settings = self.clone();
        let mut attributes: BTreeMap<_, _> = NUMERIC_ATTRIBUTES
            .iter()
            .map(|(name, field, _)| (*name, field(&mut settings).to_string()))
            .collect();
        if let Some(redrive) = &self.redrive {
            let policy = json!({
                "deadLetterTargetArn": arn(&redrive.dead_letter_queue),
                "maxReceiveCount": redrive.max_receive_count,
            });
            attributes.insert("RedrivePolicy", policy.to_string());
        }
        attributes
    }
}

/// Parses a redrive policy. An empty text removes the policy.
fn parse_redrive_policy(text: &str) -> Result<Option<RedrivePolicy>, SqsError> {
    if text.is_empty() {
        return Ok(None);
    }
    let invalid = || SqsError::InvalidAttributeValue("RedrivePolicy".to_owned());
    let policy: Value = serde_json::from_str(text).map_err(|_| invalid())?;
    let queue =
        policy["deadLetterTargetArn"].as_str().and_then(queue_name_from_arn).ok_or_else(invalid)?;
    // The console and CloudFormation write a number. Some tools write a string.
    let count = match &policy["maxReceiveCount"] {
        Value::String(digits) => digits.parse().ok(),
        number => number.as_u64().and_then(|count| u32::try_from(count).ok()),
    };
    let count = count.filter(|count| limits::MAX_RECEIVE_COUNT.contains(count));
    Ok(Some(RedrivePolicy {
        dead_letter_queue: queue.to_owned(),
        max_receive_count: count.ok_or_else(invalid)?,
    }))
}

/// Returns the queue name in an ARN.
pub(super) fn queue_name_from_arn(arn: &str) -> Option<&str> {
    arn.strip_prefix("arn:aws:sqs:")?.rsplit(':').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(name: &str, value: &str) -> Result<QueueSettings, SqsError> {
        let mut settings = QueueSettings::default();
        settings.apply(&[(name.to_owned(), value.to_owned())].into())?;
        Ok(settings)
    }

    #[test]
    fn settings_are_validated_and_returned_as_attributes() {
        let policy = r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:dead","maxReceiveCount":"5"}"#;
        let settings = apply("RedrivePolicy", policy).unwrap();
        assert_eq!(settings.redrive.as_ref().unwrap().max_receive_count, 5);
        assert_eq!(settings.to_attributes()["RedrivePolicy"], policy.replace("\"5\"", "5"));
        assert_eq!(
            apply("VisibilityTimeout", "90").unwrap().to_attributes()["VisibilityTimeout"],
            "90"
        );
        assert_eq!(apply("RedrivePolicy", "").unwrap(), QueueSettings::default());
    }

    #[test]
    fn settings_outside_the_limits_of_aws_are_rejected() {
        for (name, value) in [
            ("VisibilityTimeout", "43201"),
            ("DelaySeconds", "901"),
            ("DelaySeconds", "soon"),
            ("MessageRetentionPeriod", "59"),
            ("RedrivePolicy", "{}"),
            ("RedrivePolicy", r#"{"deadLetterTargetArn":"arn:aws:sqs:r:a:q","maxReceiveCount":0}"#),
        ] {
            let error = apply(name, value).unwrap_err();
            assert!(matches!(error, SqsError::InvalidAttributeValue(_)), "{name} {value}");
        }
        assert!(matches!(apply("Color", "red").unwrap_err(), SqsError::InvalidAttributeName(_)));
    }
}
