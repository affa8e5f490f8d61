//! Message attributes, and the MD5 sums by which SDKs check that a message arrived whole.
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html>

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};

/// Message attributes, sorted by name, as the sum needs them.
pub(super) type Attributes = BTreeMap<String, Attribute>;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Attribute {
    #[serde(default)]
    data_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    string_value: Option<String>,
    /// Base64, as the JSON protocol carries it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    binary_value: Option<String>,
}

/// In the sum, what follows the type says how the value is carried.
const CARRIED_AS_TEXT: u8 = 1;
const CARRIED_AS_BYTES: u8 = 2;

impl Attribute {
    fn value(&self) -> (u8, Vec<u8>) {
        match (&self.string_value, &self.binary_value) {
            (Some(text), _) => (CARRIED_AS_TEXT, text.clone().into_bytes()),
            (None, Some(base64)) => (CARRIED_AS_BYTES, STANDARD.decode(base64).unwrap_or_default()),
            (None, None) => (CARRIED_AS_TEXT, Vec::new()),
        }
    }

    /// The size that counts towards the message's.
    pub(super) fn bytes(&self) -> usize {
        self.data_type.len() + self.value().1.len()
    }

    /// What keeps the attribute from being sent.
    pub(super) fn problem(&self) -> Option<String> {
        let kind = self.data_type.split('.').next().unwrap_or_default();
        let value = match kind {
            "String" | "Number" => &self.string_value,
            "Binary" => &self.binary_value,
            _ => {
                return Some(format!("The type of message (user) attribute is invalid: '{kind}'."));
            }
        };
        let missing = value.as_ref().is_none_or(String::is_empty);
        missing.then(|| "Message (user) attribute must contain a non-empty value.".to_owned())
    }
}

pub(super) fn of_body(body: &str) -> String {
    hex(Md5::digest(body))
}

pub(super) fn of_attributes(attributes: &Attributes) -> String {
    let mut sum = Md5::new();
    for (name, attribute) in attributes {
        let (carried, value) = attribute.value();
        add(&mut sum, name.as_bytes());
        add(&mut sum, attribute.data_type.as_bytes());
        sum.update([carried]);
        add(&mut sum, &value);
    }
    hex(sum.finalize())
}

/// Adds bytes behind their length.
fn add(sum: &mut Md5, bytes: &[u8]) {
    // A message holds 1 MiB, so its parts' lengths fit.
    sum.update(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    sum.update(bytes);
}

fn hex(sum: impl AsRef<[u8]>) -> String {
    data_encoding::HEXLOWER.encode(sum.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sums that AWS's documentation and its CLI show.
    #[test]
    fn sums_are_those_of_aws() {
        assert_eq!(of_body("This is a test message"), "fafb00f5732ab283681e124bf8747ed1");
        let text = Attribute {
            data_type: "String".into(),
            string_value: Some("test".into()),
            binary_value: None,
        };
        // Computed by hand from the rule: 4-byte lengths, the carrier's byte, sorted by name.
        let mut expected = Md5::new();
        expected.update(b"\0\0\0\x04name\0\0\0\x06String\x01\0\0\0\x04test");
        assert_eq!(of_attributes(&[("name".into(), text)].into()), hex(expected.finalize()));
    }

    #[test]
    fn attributes_without_a_type_or_value_are_refused() {
        let attribute = |data_type: &str, text: Option<&str>| Attribute {
            data_type: data_type.into(),
            string_value: text.map(str::to_owned),
            binary_value: None,
        };
        assert!(attribute("Number.int", Some("1")).problem().is_none());
        assert!(attribute("", Some("1")).problem().is_some());
        assert!(attribute("String", Some("")).problem().is_some());
        assert!(attribute("Binary", Some("1")).problem().is_some());
    }
}
