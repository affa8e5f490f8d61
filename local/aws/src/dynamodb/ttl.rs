//! Time to live on the stack's clock.
//!
//! The emulator's own sweep uses the machine's clock when the database is in a file.

use dynoxide::{Database, DynoxideError};
use jiff::{Timestamp, ToSpan};
use serde_json::json;

use super::Tables;

/// DynamoDB does not delete items that expired longer ago than this.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/howitworks-ttl.html>
const OLDEST_YEARS: i64 = 5;
const HOURS_A_YEAR: i64 = 365 * 24;

/// Deletes the items that expired before `now`, and returns their number.
pub(super) fn sweep(
    database: &Database,
    tables: &Tables,
    now: Timestamp,
) -> Result<usize, DynoxideError> {
    let oldest = now.checked_sub((OLDEST_YEARS * HOURS_A_YEAR).hours()).unwrap_or(Timestamp::MIN);
    let mut deleted = 0;
    for (name, table) in tables {
        let Some(attribute) = &table.ttl else { continue };
        let expired = json!({
            "TableName": name,
            "ExpressionAttributeNames": { "#ttl": attribute },
            "ExpressionAttributeValues": {
                ":now": { "N": now.as_second().to_string() },
                ":oldest": { "N": oldest.as_second().to_string() },
            },
        });
        let with = |member: &str, value| {
            let mut request = expired.clone();
            request[member] = value;
            request
        };
        let between = json!("#ttl < :now AND #ttl > :oldest");
        let mut start = None;
        loop {
            let mut scan = with("FilterExpression", between.clone());
            if let Some(start) = start.take() {
                scan["ExclusiveStartKey"] = start;
            }
            let page = database.scan(from_json(scan)?)?;
            for item in page.items.into_iter().flatten() {
                let mut delete = with("ConditionExpression", between.clone());
                for key in &table.keys {
                    delete["Key"][key] = to_json(&item.get(key))?;
                }
                match database.delete_item(from_json(delete)?) {
                    Ok(_) => deleted += 1,
                    // The item's time to live was extended in the meantime.
                    Err(DynoxideError::ConditionalCheckFailedException(..)) => {}
                    Err(error) => return Err(error),
                }
            }
            match page.last_evaluated_key {
                Some(key) => start = Some(to_json(&key)?),
                None => break,
            }
        }
    }
    Ok(deleted)
}

pub(super) fn from_json<T: serde::de::DeserializeOwned>(
    json: serde_json::Value,
) -> Result<T, DynoxideError> {
    serde_json::from_value(json).map_err(malformed)
}

fn to_json(value: &impl serde::Serialize) -> Result<serde_json::Value, DynoxideError> {
    serde_json::to_value(value).map_err(malformed)
}

fn malformed(error: serde_json::Error) -> DynoxideError {
    DynoxideError::SerializationException(error.to_string())
}
