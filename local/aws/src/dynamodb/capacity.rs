//! Consumed capacity. Every call requests it from the emulator, even if the caller did not.

use std::collections::HashMap;

use dynoxide::Database;
use dynoxide::types::{
    AttributeValue, TRANSACTIONAL_CAPACITY_FACTOR, item_size, table_write_capacity_units,
};
use serde_json::{Value, json};

use super::Tables;
use super::tables::typed_request;
use crate::Units;

const CAPACITY_MEMBER: &str = "ReturnConsumedCapacity";
const READ_OPERATIONS: [&str; 5] = ["GetItem", "Query", "Scan", "BatchGetItem", "TransactGetItems"];
const WRITE_OPERATIONS: [&str; 5] =
    ["PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems"];

/// The capacity that the caller requested, so that the response contains no more than that.
#[derive(Debug, PartialEq)]
pub(super) enum RequestedCapacity {
    Unchanged,
    Total,
    NotRequested,
}

/// Changes the request so that the response contains the capacity of the table and its indexes.
pub(super) fn request_all_capacity(operation: &str, request: &mut Value) -> RequestedCapacity {
    if !READ_OPERATIONS.contains(&operation) && !WRITE_OPERATIONS.contains(&operation) {
        return RequestedCapacity::Unchanged;
    }
    let requested = match request[CAPACITY_MEMBER].as_str() {
        None if request[CAPACITY_MEMBER].is_null() => RequestedCapacity::NotRequested,
        Some("NONE") => RequestedCapacity::NotRequested,
        Some("TOTAL") => RequestedCapacity::Total,
        // The request has `INDEXES`, or an invalid value that the emulator rejects.
        _ => return RequestedCapacity::Unchanged,
    };
    if let Some(request) = request.as_object_mut() {
        request.insert(CAPACITY_MEMBER.to_owned(), json!("INDEXES"));
    }
    requested
}

impl RequestedCapacity {
    /// Removes the capacity that the caller did not request from the response.
    pub(super) fn remove_unrequested(&self, response: &mut Value) {
        match self {
            Self::Unchanged => {}
            Self::NotRequested => {
                if let Some(response) = response.as_object_mut() {
                    response.remove("ConsumedCapacity");
                }
            }
            Self::Total => {
                let tables = match &mut response["ConsumedCapacity"] {
                    Value::Array(tables) => tables.as_mut_slice(),
                    table => std::slice::from_mut(table),
                };
                for table in tables.iter_mut().filter_map(Value::as_object_mut) {
                    for detail in ["Table", "GlobalSecondaryIndexes", "LocalSecondaryIndexes"] {
                        table.remove(detail);
                    }
                }
            }
        }
    }
}

/// Returns the units in a response, including those of indexes.
pub(super) fn consumed_units(operation: &str, response: &Value) -> Units {
    let tables = match &response["ConsumedCapacity"] {
        Value::Array(tables) => tables.as_slice(),
        Value::Null => &[],
        table => std::slice::from_ref(table),
    };
    let sum = |member| tables.iter().filter_map(|table| table[member].as_f64()).sum::<f64>();
    let (total, read, write) =
        (sum("CapacityUnits"), sum("ReadCapacityUnits"), sum("WriteCapacityUnits"));
    if read + write > 0.0 {
        // Transactions report the kind of unit. Repeating one with the same token consumes read units.
        Units { read, write }
    } else if READ_OPERATIONS.contains(&operation) {
        Units { read: total, write: 0.0 }
    } else {
        Units { read: 0.0, write: total }
    }
}

/// Returns the units of a write whose condition failed. DynamoDB consumes them without reporting
/// them. Their number depends on the larger of the stored and the new item.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html>
/// The page has no number for a cancelled transaction. It is counted like a successful one.
pub(super) fn failed_condition_units(
    operation: &str,
    request: &Value,
    response: &Value,
    database: &Database,
    keys: &Tables,
) -> Units {
    let failed = |code: &str| response["__type"].as_str().is_some_and(|kind| kind.ends_with(code));
    let write = if operation == "TransactWriteItems" && failed("#TransactionCanceledException") {
        let reasons = response["CancellationReasons"].as_array();
        let condition =
            reasons.into_iter().flatten().any(|reason| reason["Code"] == "ConditionalCheckFailed");
        let actions = request["TransactItems"].as_array().filter(|_| condition);
        let units = actions.into_iter().flatten().filter_map(|item| {
            item.as_object()?.values().next().map(|action| write_units(action, database, keys))
        });
        TRANSACTIONAL_CAPACITY_FACTOR * units.sum::<f64>()
    } else if failed("#ConditionalCheckFailedException") {
        write_units(request, database, keys)
    } else {
        0.0
    };
    Units { read: 0.0, write }
}

/// Returns the units of one write to the table, without its indexes.
fn write_units(action: &Value, database: &Database, keys: &Tables) -> f64 {
    let new: Option<HashMap<String, AttributeValue>> =
        serde_json::from_value(action["Item"].clone()).ok();
    let stored = stored_size(action, database, keys);
    table_write_capacity_units(stored, new.as_ref().map(item_size))
}

fn stored_size(action: &Value, database: &Database, keys: &Tables) -> Option<usize> {
    let table = action["TableName"].as_str()?;
    let key = match &action["Key"] {
        Value::Null => {
            let names = &keys.get(table)?.keys;
            names.iter().map(|name| (name.clone(), action["Item"][name].clone())).collect()
        }
        key => key.clone(),
    };
    let get = typed_request(json!({ "TableName": table, "Key": key })).ok()?;
    database.get_item(get).ok()?.item.as_ref().map(item_size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn response_has_the_capacity_that_the_caller_requested() {
        let capacity = json!({
            "ConsumedCapacity": { "TableName": "t", "CapacityUnits": 3.0, "Table": { "CapacityUnits": 1.0 } }
        });
        for (requested, expected) in [
            (json!({}), json!({})),
            (json!({ CAPACITY_MEMBER: "NONE" }), json!({})),
            (
                json!({ CAPACITY_MEMBER: "TOTAL" }),
                json!({ "ConsumedCapacity": { "TableName": "t", "CapacityUnits": 3.0 } }),
            ),
            (json!({ CAPACITY_MEMBER: "INDEXES" }), capacity.clone()),
        ] {
            let mut request = requested;
            let requested_capacity = request_all_capacity("PutItem", &mut request);
            assert_eq!(request[CAPACITY_MEMBER], "INDEXES");
            let mut response = capacity.clone();
            requested_capacity.remove_unrequested(&mut response);
            assert_eq!(response, expected);
        }
    }

    #[test]
    fn invalid_capacity_value_is_left_to_the_emulator() {
        let mut request = json!({ CAPACITY_MEMBER: "SOME" });
        assert_eq!(request_all_capacity("PutItem", &mut request), RequestedCapacity::Unchanged);
        assert_eq!(request[CAPACITY_MEMBER], "SOME");
    }

    #[test]
    fn capacity_units_of_tables_and_indexes_are_summed() {
        let response = json!({ "ConsumedCapacity": [
            { "CapacityUnits": 4.0, "WriteCapacityUnits": 4.0 },
            { "CapacityUnits": 2.0, "WriteCapacityUnits": 2.0 },
        ] });
        assert_eq!(
            consumed_units("TransactWriteItems", &response),
            Units { read: 0.0, write: 6.0 }
        );
        let response = json!({ "ConsumedCapacity": { "CapacityUnits": 0.5 } });
        assert_eq!(consumed_units("Query", &response), Units { read: 0.5, write: 0.0 });
    }
}
