//! Conversion between stored structs and DynamoDB items. The module of each entity converts stored structs to domain
//! structs.

use aws_sdk_dynamodb::types::AttributeValue;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer, Serialize};
use serde_dynamo::aws_sdk_dynamodb_1 as dynamo;

use super::error::StoreError;
use super::schema::attr;
use super::tx::{Item, number};
use crate::telemetry::metrics;

/// The item format that this version writes. It changes only if a reader must treat an item differently, which a new
/// attribute with a default does not require.
const ITEM_VERSION: u32 = 1;

/// Converts a stored struct to an item without its key.
#[expect(
    clippy::expect_used,
    reason = "stored structs contain only text, numbers and lists, which always convert"
)]
pub(crate) fn encode(stored: &impl Serialize) -> Item {
    let mut item: Item = dynamo::to_item(stored).expect("a stored struct converts to an item");
    item.insert(attr::V.to_owned(), number(ITEM_VERSION));
    item
}

/// Converts a part of a stored struct to an attribute value.
#[expect(clippy::expect_used, reason = "parts of stored structs always convert, like the whole")]
pub(crate) fn encode_value(part: &impl Serialize) -> AttributeValue {
    dynamo::to_attribute_value(part).expect("a part of a stored struct converts to a value")
}

/// Converts an item to a stored struct and ignores unknown attributes of newer versions. An item that cannot be read is
/// counted here, so that callers may skip it.
pub(crate) fn decode<T: DeserializeOwned>(item: Item) -> Result<T, StoreError> {
    let key = key_for_log(&item);
    dynamo::from_item(item).map_err(|error| unreadable(key, &error.to_string()))
}

/// Counts an unreadable item and returns its error.
pub(crate) fn unreadable(key: String, reason: &str) -> StoreError {
    // The text after a quotation mark may be somebody's name.
    let reason = reason.split('"').next().unwrap_or_default().to_owned();
    tracing::error!(event = "store.item_unreadable", key, reason);
    metrics::UNREADABLE_ITEMS.count();
    StoreError::Corrupt { key, reason }
}

/// Converts items and leaves out those that cannot be read, so that they do not block the others.
pub(crate) fn decode_readable<T: DeserializeOwned>(
    items: impl IntoIterator<Item = Item>,
) -> impl Iterator<Item = T> {
    items.into_iter().filter_map(|item| decode(item).ok())
}

/// A part of an item that may be of a newer version.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum Part<T> {
    Readable(T),
    Unreadable(IgnoredAny),
}

impl<T> Part<T> {
    pub(crate) fn readable(self) -> Option<T> {
        match self {
            Self::Readable(part) => Some(part),
            Self::Unreadable(_) => None,
        }
    }
}

/// Reads a part that has a default, which also replaces an unreadable one.
pub(crate) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned + Default,
{
    Ok(Part::deserialize(deserializer)?.readable().unwrap_or_default())
}

/// Reads a counter. A negative or too large number is clamped, so that a wrong counter does not make its item unreadable.
pub(crate) fn not_negative<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let number = i64::deserialize(deserializer)?;
    Ok(u32::try_from(number.max(0)).unwrap_or(u32::MAX))
}

/// Formats an item's key for the log. Keys contain only ids and hashes.
pub(crate) fn key_for_log(item: &Item) -> String {
    let part =
        |name| item.get(name).and_then(|value| value.as_s().ok()).map_or("?", String::as_str);
    format!("{} / {}", part(attr::PK), part(attr::SK))
}
