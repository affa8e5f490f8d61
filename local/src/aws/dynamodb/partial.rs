//! Batches that are processed in part: the fault that leaves the last entry unprocessed.

use serde_json::{Map, Value};

/// An entry that was taken out of a batch.
pub(super) struct KeptBack {
    /// The member of the answer that lists such entries.
    member: &'static str,
    table: String,
    entry: Value,
}

/// Takes the last entry out of a batch. A batch of one stays whole: DynamoDB does not answer that it
/// processed nothing, it throttles.
pub(super) fn keep_back(operation: &str, request: &mut Value) -> Option<KeptBack> {
    let tables = request["RequestItems"].as_object_mut()?;
    match operation {
        "BatchWriteItem" => {
            let (table, last) = take_last(tables, |requests| requests)?;
            Some(KeptBack { member: "UnprocessedItems", table, entry: Value::Array(vec![last]) })
        }
        "BatchGetItem" => {
            let settings = tables.clone();
            let (table, last) = take_last(tables, |request| &mut request["Keys"])?;
            let mut entry = settings[&table].clone();
            entry["Keys"] = Value::Array(vec![last]);
            Some(KeptBack { member: "UnprocessedKeys", table, entry })
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
    let listed = entries(tables.get_mut(&name)?).as_array_mut()?;
    if listed.len() == 1 && one_table {
        return None;
    }
    let last = listed.pop()?;
    if listed.is_empty() {
        tables.remove(&name);
    }
    Some((name, last))
}

impl KeptBack {
    /// Lists the entry among those that were not processed.
    pub(super) fn report(self, answer: &mut Value) {
        if answer.is_object() && answer["__type"].is_null() {
            answer[self.member][self.table] = self.entry;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_last_entry_is_kept_back_and_reported() {
        let mut request = json!({ "RequestItems": { "a": [1, 2], "b": [3] } });
        let kept_back = keep_back("BatchWriteItem", &mut request).unwrap();
        assert_eq!(request, json!({ "RequestItems": { "a": [1, 2] } }));
        let mut answer = json!({ "UnprocessedItems": {} });
        kept_back.report(&mut answer);
        assert_eq!(answer, json!({ "UnprocessedItems": { "b": [3] } }));
    }

    #[test]
    fn keys_keep_the_settings_of_their_table() {
        let mut request =
            json!({ "RequestItems": { "a": { "Keys": [1, 2], "ConsistentRead": true } } });
        let kept_back = keep_back("BatchGetItem", &mut request).unwrap();
        let mut answer = json!({});
        kept_back.report(&mut answer);
        assert_eq!(
            answer,
            json!({ "UnprocessedKeys": { "a": { "Keys": [2], "ConsistentRead": true } } })
        );
    }

    #[test]
    fn a_batch_of_one_stays_whole() {
        let mut request = json!({ "RequestItems": { "a": [1] } });
        assert!(keep_back("BatchWriteItem", &mut request).is_none());
        assert_eq!(request["RequestItems"]["a"], json!([1]));
    }
}
