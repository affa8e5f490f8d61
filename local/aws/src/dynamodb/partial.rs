//! The fault `partial`: the last entry of a batch is not processed.

use serde_json::{Map, Value};

/// An entry that was removed from a batch.
pub(super) struct UnprocessedEntry {
    /// The member of the response that lists unprocessed entries.
    member: &'static str,
    table: String,
    entry: Value,
}

/// Removes the last entry of a batch. A batch with one entry is not changed, because DynamoDB
/// throttles the request if it can process no entry at all.
pub(super) fn remove_last_entry(operation: &str, request: &mut Value) -> Option<UnprocessedEntry> {
    let tables = request["RequestItems"].as_object_mut()?;
    match operation {
        "BatchWriteItem" => {
            let (table, last) = take_last(tables, |requests| requests)?;
            Some(UnprocessedEntry {
                member: "UnprocessedItems",
                table,
                entry: Value::Array(vec![last]),
            })
        }
        "BatchGetItem" => {
            let settings = tables.clone();
            let (table, last) = take_last(tables, |request| &mut request["Keys"])?;
            let mut entry = settings[&table].clone();
            entry["Keys"] = Value::Array(vec![last]);
            Some(UnprocessedEntry { member: "UnprocessedKeys", table, entry })
        }
        _ => None,
    }
}

fn take_last(
    tables: &mut Map<String, Value>,
    entries: fn(&mut Value) -> &mut Value,
) -> Option<(String, Value)> {
    let name = tables.keys().next_back()?.clone();
    let one_table = tables.len() == 1;
    let table_entries = entries(tables.get_mut(&name)?).as_array_mut()?;
    if table_entries.len() == 1 && one_table {
        return None;
    }
    let last = table_entries.pop()?;
    if table_entries.is_empty() {
        tables.remove(&name);
    }
    Some((name, last))
}

impl UnprocessedEntry {
    /// Adds the entry to the unprocessed entries of the response.
    pub(super) fn add_to_response(self, response: &mut Value) {
        if response.is_object() && response["__type"].is_null() {
            response[self.member][self.table] = self.entry;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn last_entry_is_reported_as_unprocessed() {
        let mut request = json!({ "RequestItems": { "a": [1, 2], "b": [3] } });
        let unprocessed = remove_last_entry("BatchWriteItem", &mut request).unwrap();
        assert_eq!(request, json!({ "RequestItems": { "a": [1, 2] } }));
        let mut response = json!({ "UnprocessedItems": {} });
        unprocessed.add_to_response(&mut response);
        assert_eq!(response, json!({ "UnprocessedItems": { "b": [3] } }));
    }

    #[test]
    fn unprocessed_keys_keep_the_settings_of_their_table() {
        let mut request =
            json!({ "RequestItems": { "a": { "Keys": [1, 2], "ConsistentRead": true } } });
        let unprocessed = remove_last_entry("BatchGetItem", &mut request).unwrap();
        let mut response = json!({});
        unprocessed.add_to_response(&mut response);
        assert_eq!(
            response,
            json!({ "UnprocessedKeys": { "a": { "Keys": [2], "ConsistentRead": true } } })
        );
    }

    #[test]
    fn batch_of_one_is_not_split() {
        let mut request = json!({ "RequestItems": { "a": [1] } });
        assert!(remove_last_entry("BatchWriteItem", &mut request).is_none());
        assert_eq!(request["RequestItems"]["a"], json!([1]));
    }
}
