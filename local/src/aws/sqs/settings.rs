//! A queue's settings, which SQS calls attributes and carries as text.
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html>

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::error::SqsError;
use super::limits;
use crate::aws::names::{ACCOUNT_ID, REGION};

/// The settings, with SQS's own defaults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Settings {
    pub(super) delay_seconds: u32,
    pub(super) visibility_seconds: u32,
    pub(super) wait_seconds: u32,
    pub(super) retention_seconds: u32,
    pub(super) maximum_message_size: u32,
    pub(super) redrive: Option<Redrive>,
}

/// Where messages go that were received too often.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Redrive {
    pub(super) dead_letter_queue: String,
    pub(super) max_receive_count: u32,
}

impl Default for Settings {
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

/// The settings that are a number: their name, their place and their range.
type Numeric = (&'static str, fn(&mut Settings) -> &mut u32, RangeInclusive<u32>);

const NUMERIC: [Numeric; 5] = [
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

/// Settings of a deployed queue that mean nothing on one machine.
const IGNORED: [&str; 6] = [
    "KmsDataKeyReusePeriodSeconds",
    "KmsMasterKeyId",
    "Policy",
    "RedriveAllowPolicy",
    "SqsManagedSseEnabled",
    "Tags",
];

/// The names of the settings that a template's queue may have beside its own name.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    NUMERIC.iter().map(|(name, ..)| *name).chain(["RedrivePolicy"])
}

impl Settings {
    /// Sets what is given and leaves the rest.
    pub(super) fn apply(&mut self, given: &BTreeMap<String, String>) -> Result<(), SqsError> {
        for (name, value) in given {
            if name == "RedrivePolicy" {
                self.redrive = redrive(value)?;
            } else if let Some((_, place, range)) = NUMERIC.iter().find(|(known, ..)| known == name)
            {
                let value = value.parse().ok().filter(|value| range.contains(value));
                *place(self) =
                    value.ok_or_else(|| SqsError::InvalidAttributeValue(name.clone()))?;
            } else if !IGNORED.contains(&name.as_str()) {
                return Err(SqsError::InvalidAttributeName(name.clone()));
            }
        }
        Ok(())
    }

    /// The settings as SQS tells them.
    pub(super) fn told(&self) -> BTreeMap<&'static str, String> {
        let mut settings = self.clone();
        let mut told: BTreeMap<_, _> = NUMERIC
            .iter()
            .map(|(name, place, _)| (*name, place(&mut settings).to_string()))
            .collect();
        if let Some(redrive) = &self.redrive {
            let policy = json!({
                "deadLetterTargetArn": arn(&redrive.dead_letter_queue),
                "maxReceiveCount": redrive.max_receive_count,
            });
            told.insert("RedrivePolicy", policy.to_string());
        }
        told
    }
}

/// A redrive policy; an empty one takes the policy away.
fn redrive(text: &str) -> Result<Option<Redrive>, SqsError> {
    if text.is_empty() {
        return Ok(None);
    }
    let invalid = || SqsError::InvalidAttributeValue("RedrivePolicy".to_owned());
    let policy: Value = serde_json::from_str(text).map_err(|_| invalid())?;
    let queue = policy["deadLetterTargetArn"].as_str().and_then(queue_of).ok_or_else(invalid)?;
    // The console and CloudFormation write a number, some tools its digits.
    let count = match &policy["maxReceiveCount"] {
        Value::String(digits) => digits.parse().ok(),
        number => number.as_u64().and_then(|count| u32::try_from(count).ok()),
    };
    let count = count.filter(|count| limits::MAX_RECEIVE_COUNT.contains(count));
    Ok(Some(Redrive {
        dead_letter_queue: queue.to_owned(),
        max_receive_count: count.ok_or_else(invalid)?,
    }))
}

/// A queue's ARN.
pub(super) fn arn(queue: &str) -> String {
    format!("arn:aws:sqs:{REGION}:{ACCOUNT_ID}:{queue}")
}

/// The queue that an ARN names.
pub(super) fn queue_of(arn: &str) -> Option<&str> {
    arn.strip_prefix("arn:aws:sqs:")?.rsplit(':').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(name: &str, value: &str) -> Result<Settings, SqsError> {
        let mut settings = Settings::default();
        settings.apply(&[(name.to_owned(), value.to_owned())].into())?;
        Ok(settings)
    }

    #[test]
    fn settings_are_checked_and_told_again() {
        let policy = r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:dead","maxReceiveCount":"5"}"#;
        let settings = applied("RedrivePolicy", policy).unwrap();
        assert_eq!(settings.redrive.as_ref().unwrap().max_receive_count, 5);
        assert_eq!(settings.told()["RedrivePolicy"], policy.replace("\"5\"", "5"));
        assert_eq!(applied("VisibilityTimeout", "90").unwrap().told()["VisibilityTimeout"], "90");
        assert_eq!(applied("RedrivePolicy", "").unwrap(), Settings::default());
    }

    #[test]
    fn what_aws_refuses_is_refused() {
        for (name, value) in [
            ("VisibilityTimeout", "43201"),
            ("DelaySeconds", "901"),
            ("DelaySeconds", "soon"),
            ("MessageRetentionPeriod", "59"),
            ("RedrivePolicy", "{}"),
            ("RedrivePolicy", r#"{"deadLetterTargetArn":"arn:aws:sqs:r:a:q","maxReceiveCount":0}"#),
        ] {
            let error = applied(name, value).unwrap_err();
            assert!(matches!(error, SqsError::InvalidAttributeValue(_)), "{name} {value}");
        }
        assert!(matches!(applied("Color", "red").unwrap_err(), SqsError::InvalidAttributeName(_)));
    }
}
