//! What a call consumed: asked of the emulator for every call, whatever the caller asked.

use std::collections::HashMap;

use dynoxide::Database;
use dynoxide::types::{
    AttributeValue, TRANSACTIONAL_CAPACITY_FACTOR, item_size, table_write_capacity_units,
};
use serde_json::{Value, json};

use super::KeyAttributes;
use super::tables::request;
use crate::usage::Units;

const MEMBER: &str = "ReturnConsumedCapacity";
const READS: [&str; 5] = ["GetItem", "Query", "Scan", "BatchGetItem", "TransactGetItems"];
const WRITES: [&str; 5] =
    ["PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems"];

/// What the caller asked about capacity, so that it gets that and no more.
#[derive(Debug, PartialEq)]
pub(super) enum Asked {
    AsIs,
    Total,
    Nothing,
}

/// Makes the request ask for every figure.
pub(super) fn ask(operation: &str, request: &mut Value) -> Asked {
    if !READS.contains(&operation) && !WRITES.contains(&operation) {
        return Asked::AsIs;
    }
    let asked = match request[MEMBER].as_str() {
        None if request[MEMBER].is_null() => Asked::Nothing,
        Some("NONE") => Asked::Nothing,
        Some("TOTAL") => Asked::Total,
        // Every figure already, or a value that is to be refused.
        _ => return Asked::AsIs,
    };
    if let Some(request) = request.as_object_mut() {
        request.insert(MEMBER.to_owned(), json!("INDEXES"));
    }
    asked
}

impl Asked {
    /// Takes out of the answer what the caller did not ask for.
    pub(super) fn restore(&self, answer: &mut Value) {
        match self {
            Self::AsIs => {}
            Self::Nothing => {
                if let Some(answer) = answer.as_object_mut() {
                    answer.remove("ConsumedCapacity");
                }
            }
            Self::Total => {
                let tables = match &mut answer["ConsumedCapacity"] {
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

/// The units that an answer reports, its indexes' included.
pub(super) fn consumed(operation: &str, answer: &Value) -> Units {
    let tables = match &answer["ConsumedCapacity"] {
        Value::Array(tables) => tables.as_slice(),
        Value::Null => &[],
        table => std::slice::from_ref(table),
    };
    let sum = |member| tables.iter().filter_map(|table| table[member].as_f64()).sum::<f64>();
    let (total, read, write) =
        (sum("CapacityUnits"), sum("ReadCapacityUnits"), sum("WriteCapacityUnits"));
    if read + write > 0.0 {
        // Transactions say which kind; one that is repeated under its token is a read.
        Units { read, write }
    } else if READS.contains(&operation) {
        Units { read: total, write: 0.0 }
    } else {
        Units { read: 0.0, write: total }
    }
}

/// The units of a write whose condition failed. DynamoDB takes them and does not report them; how
/// many depends on the size of the item, the stored one or the new one, whichever is larger.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html>
/// For a cancelled transaction the page gives no figure; it is counted as if it had gone through.
pub(super) fn refused(
    operation: &str,
    request: &Value,
    answer: &Value,
    database: &Database,
    keys: &KeyAttributes,
) -> Units {
    let failed = |code: &str| answer["__type"].as_str().is_some_and(|kind| kind.ends_with(code));
    let write = if operation == "TransactWriteItems" && failed("#TransactionCanceledException") {
        let reasons = answer["CancellationReasons"].as_array();
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

/// The units of one write to the table itself.
fn write_units(action: &Value, database: &Database, keys: &KeyAttributes) -> f64 {
    let new: Option<HashMap<String, AttributeValue>> =
        serde_json::from_value(action["Item"].clone()).ok();
    let stored = stored_size(action, database, keys);
    table_write_capacity_units(stored, new.as_ref().map(item_size))
}

fn stored_size(action: &Value, database: &Database, keys: &KeyAttributes) -> Option<usize> {
    let table = action["TableName"].as_str()?;
    let key = match &action["Key"] {
        Value::Null => {
            let names = &keys.get(table)?.keys;
            names.iter().map(|name| (name.clone(), action["Item"][name].clone())).collect()
        }
        key => key.clone(),
    };
    let get = request(json!({ "TableName": table, "Key": key })).ok()?;
    database.get_item(get).ok()?.item.as_ref().map(item_size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caller_gets_what_it_asked_for() {
        let figures = json!({
            "ConsumedCapacity": { "TableName": "t", "CapacityUnits": 3.0, "Table": { "CapacityUnits": 1.0 } }
        });
        for (asked, expected) in [
            (json!({}), json!({})),
            (json!({ MEMBER: "NONE" }), json!({})),
            (
                json!({ MEMBER: "TOTAL" }),
                json!({ "ConsumedCapacity": { "TableName": "t", "CapacityUnits": 3.0 } }),
            ),
            (json!({ MEMBER: "INDEXES" }), figures.clone()),
        ] {
            let mut request = asked;
            let mode = ask("PutItem", &mut request);
            assert_eq!(request[MEMBER], "INDEXES");
            let mut answer = figures.clone();
            mode.restore(&mut answer);
            assert_eq!(answer, expected);
        }
    }

    #[test]
    fn what_is_to_be_refused_is_left_for_the_emulator() {
        let mut request = json!({ MEMBER: "SOME" });
        assert_eq!(ask("PutItem", &mut request), Asked::AsIs);
        assert_eq!(request[MEMBER], "SOME");
    }

    #[test]
    fn units_of_all_tables_and_indexes_are_summed() {
        let answer = json!({ "ConsumedCapacity": [
            { "CapacityUnits": 4.0, "WriteCapacityUnits": 4.0 },
            { "CapacityUnits": 2.0, "WriteCapacityUnits": 2.0 },
        ] });
        assert_eq!(consumed("TransactWriteItems", &answer), Units { read: 0.0, write: 6.0 });
        let answer = json!({ "ConsumedCapacity": { "CapacityUnits": 0.5 } });
        assert_eq!(consumed("Query", &answer), Units { read: 0.5, write: 0.0 });
    }
}
