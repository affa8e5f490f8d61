//! Stored shapes ⇄ DynamoDB items. Stored structs are not domain structs: each entity's file turns one into the other.

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_dynamo::aws_sdk_dynamodb_1 as dynamo;

use super::error::StoreError;
use super::schema::attr;
use super::tx::{Item, number};

/// The shape that this version writes. It is raised only when a reader must treat an item differently;
/// a new attribute with a default is no such case.
const SHAPE: u32 = 1;

/// A stored shape as an item, without its key.
#[expect(
    clippy::expect_used,
    reason = "our stored shapes are plain structs of text, numbers and lists, which always fit an item"
)]
pub(crate) fn encode(shape: &impl Serialize) -> Item {
    let mut item: Item = dynamo::to_item(shape).expect("a stored shape is an item");
    item.insert(attr::V.to_owned(), number(SHAPE));
    item
}

/// A part of a stored shape as an attribute's value.
#[expect(clippy::expect_used, reason = "parts of our stored shapes are as plain as the whole")]
pub(crate) fn value(part: &impl Serialize) -> AttributeValue {
    dynamo::to_attribute_value(part).expect("a part of a stored shape is a value")
}

/// An item as a stored shape. Attributes of newer versions are passed over.
pub(crate) fn decode<T: DeserializeOwned>(item: Item) -> Result<T, StoreError> {
    let key = key_of(&item);
    dynamo::from_item(item).map_err(|error| StoreError::Corrupt { key, what: error.to_string() })
}

/// An item's key for a log line: made of ids and hashes only.
pub(crate) fn key_of(item: &Item) -> String {
    let part =
        |name| item.get(name).and_then(|value| value.as_s().ok()).map_or("?", String::as_str);
    format!("{} / {}", part(attr::PK), part(attr::SK))
}
