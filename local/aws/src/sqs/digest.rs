//! Message attributes, and the MD5 digests with which SDKs verify that a message arrived intact.
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html>

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};

/// Message attributes, sorted by name as the digest requires.
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

/// In the digest, one byte after the type marks the value as text or as bytes.
const TEXT_VALUE: u8 = 1;
const BINARY_VALUE: u8 = 2;

impl Attribute {
    fn encoded_value(&self) -> (u8, Vec<u8>) {
        match (&self.string_value, &self.binary_value) {
            (Some(text), _) => (TEXT_VALUE, text.clone().into_bytes()),
            (None, Some(base64)) => (BINARY_VALUE, STANDARD.decode(base64).unwrap_or_default()),
            (None, None) => (TEXT_VALUE, Vec::new()),
        }
    }

    /// Returns the size that counts towards the message's limit, without the name.
    pub(super) fn size_bytes(&self) -> usize {
        self.data_type.len() + self.encoded_value().1.len()
    }

    /// Returns the reason why the attribute is invalid.
    pub(super) fn validation_error(&self) -> Option<String> {
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

pub(super) fn md5_of_body(body: &str) -> String {
    hex(Md5::digest(body))
}

pub(super) fn md5_of_attributes(attributes: &Attributes) -> String {
    let mut sum = Md5::new();
    for (name, attribute) in attributes {
        let (carried, value) = attribute.encoded_value();
        add_with_length(&mut sum, name.as_bytes());
        add_with_length(&mut sum, attribute.data_type.as_bytes());
        sum.update([carried]);
        add_with_length(&mut sum, &value);
    }
    hex(sum.finalize())
}

/// Adds bytes to the digest, preceded by their length.
fn add_with_length(sum: &mut Md5, bytes: &[u8]) {
    // A message holds at most 1 MiB, so the length always fits.
    sum.update(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    sum.update(bytes);
}

fn hex(sum: impl AsRef<[u8]>) -> String {
    data_encoding::HEXLOWER.encode(sum.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first digest is from AWS's documentation.
    #[test]
    fn md5_sums_match_aws() {
        assert_eq!(md5_of_body("This is a test message"), "fafb00f5732ab283681e124bf8747ed1");
        let text = Attribute {
            data_type: "String".into(),
            string_value: Some("test".into()),
            binary_value: None,
        };
        // Built from the documented rule: 4-byte lengths and the byte for the value's kind.
        let mut expected = Md5::new();
        expected.update(b"\0\0\0\x04name\0\0\0\x06String\x01\0\0\0\x04test");
        assert_eq!(md5_of_attributes(&[("name".into(), text)].into()), hex(expected.finalize()));
    }

    #[test]
    fn attributes_without_type_or_value_are_rejected() {
        let attribute = |data_type: &str, text: Option<&str>| Attribute {
            data_type: data_type.into(),
            string_value: text.map(str::to_owned),
            binary_value: None,
        };
        assert!(attribute("Number.int", Some("1")).validation_error().is_none());
        assert!(attribute("", Some("1")).validation_error().is_some());
        assert!(attribute("String", Some("")).validation_error().is_some());
        assert!(attribute("Binary", Some("1")).validation_error().is_some());
    }
}
