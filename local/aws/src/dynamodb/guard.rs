//! Rules in which AWS differs from the emulator. Each difference was observed.

use http::StatusCode;
use serde_json::Value;

use super::tables::{Table, Tables};
use crate::calls::AwsService;
use crate::refusal::Refusal;

/// The largest partition key and the largest sort key.
const KEY_LIMITS_BYTES: [usize; 2] = [2048, 1024];
/// The maximum number of operands of `IN`.
const IN_OPERANDS: usize = 100;

/// Rejects a transaction that updates a key attribute, an item with a long key of an index, and a long list after `IN`.
pub(super) fn check_request(
    operation: &str,
    request: &Value,
    tables: &Tables,
) -> Result<(), Refusal> {
    check_operands(request)?;
    for (table, item) in put_items(operation, request) {
        check_index_keys(tables.get(table), item)?;
    }
    if operation != "TransactWriteItems" {
        return Ok(());
    }
    let items = request["TransactItems"].as_array().into_iter().flatten();
    for update in items.map(|item| &item["Update"]).filter(|update| update.is_object()) {
        let table = update["TableName"].as_str().and_then(|name| tables.get(name));
        let keys = table.map(|table| table.keys.as_slice()).unwrap_or_default();
        let expression = update["UpdateExpression"].as_str().unwrap_or_default();
        for target in update_targets(expression) {
            let name = update["ExpressionAttributeNames"][target].as_str().unwrap_or(target);
            if keys.iter().any(|key| key == name) {
                return Err(invalid(&format!(
                    "Cannot update attribute {name}. This attribute is part of the key"
                )));
            }
        }
    }
    Ok(())
}

/// Returns the complete items that a request writes, with the names of their tables.
fn put_items<'a>(operation: &str, request: &'a Value) -> Vec<(&'a str, &'a Value)> {
    let put = |put: &'a Value| Some((put["TableName"].as_str()?, &put["Item"]));
    match operation {
        "PutItem" => put(request).into_iter().collect(),
        "TransactWriteItems" => {
            let items = request["TransactItems"].as_array().into_iter().flatten();
            items.filter_map(|item| put(&item["Put"])).collect()
        }
        "BatchWriteItem" => {
            let tables = request["RequestItems"].as_object().into_iter().flatten();
            let writes = tables.flat_map(|(table, writes)| {
                writes.as_array().into_iter().flatten().map(move |write| (table, write))
            });
            writes.map(|(table, write)| (table.as_str(), &write["PutRequest"]["Item"])).collect()
        }
        _ => Vec::new(),
    }
}

/// Checks the operands of `IN` in every expression of a request.
fn check_operands(request: &Value) -> Result<(), Refusal> {
    match request {
        Value::Array(values) => values.iter().try_for_each(check_operands),
        Value::Object(members) => members.iter().try_for_each(|(name, value)| match value.as_str() {
            Some(expression) if name == "ConditionExpression" || name == "FilterExpression" => {
                let count = most_operands(expression);
                if count <= IN_OPERANDS {
                    return Ok(());
                }
                Err(validation_error(format!(
                    "Invalid {name}: The IN operator is provided with too many operands; number of \
                     operands: {count}"
                )))
            }
            _ => check_operands(value),
        }),
        _ => Ok(()),
    }
}

/// Returns the number of operands in the longest list after `IN`.
fn most_operands(expression: &str) -> usize {
    let mut most = 0;
    let mut words = words(expression);
    while words.by_ref().any(|word| word.eq_ignore_ascii_case("IN")) {
        let list = words.by_ref().take_while(|word| *word != ")");
        most = most.max(list.filter(|word| *word == ",").count() + 1);
    }
    most
}

fn check_index_keys(table: Option<&Table>, item: &Value) -> Result<(), Refusal> {
    let indexes = table.map(|table| table.index_keys.as_slice()).unwrap_or_default();
    for (key, limit) in indexes.iter().flat_map(|keys| keys.iter().zip(KEY_LIMITS_BYTES)) {
        if item[key]["S"].as_str().is_some_and(|text| text.len() > limit) {
            return Err(invalid(&format!(
                "Size of the index key {key} has exceeded the maximum size limit of {limit} bytes"
            )));
        }
    }
    Ok(())
}

fn invalid(problem: &str) -> Refusal {
    validation_error(format!("One or more parameter values were invalid: {problem}"))
}

fn validation_error(message: String) -> Refusal {
    Refusal::new(AwsService::Dynamodb, StatusCode::BAD_REQUEST, "ValidationException", message)
}

/// Removes the old attributes of an `UpdateItem` that created an item. The emulator returns its key.
pub(super) fn correct_response(operation: &str, request: &Value, response: &mut Value) {
    if operation == "UpdateItem"
        && request["ReturnValues"] == "ALL_OLD"
        && response["Attributes"] == request["Key"]
        && let Some(response) = response.as_object_mut()
    {
        response.remove("Attributes");
    }
}

/// Returns the top-level attributes that an update expression changes, as written in the expression.
fn update_targets(expression: &str) -> Vec<&str> {
    let mut targets = Vec::new();
    let mut depth = 0_usize;
    // Whether the next word is the target of an action.
    let mut expected = false;
    for word in words(expression) {
        match word {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            "," if depth == 0 => expected = true,
            _ if depth == 0 && is_clause(word) => expected = true,
            _ if expected => {
                targets.push(word.split(['.', '[']).next().unwrap_or(word));
                expected = false;
            }
            _ => {}
        }
    }
    targets
}

fn is_clause(word: &str) -> bool {
    ["SET", "REMOVE", "ADD", "DELETE"].iter().any(|clause| clause.eq_ignore_ascii_case(word))
}

/// Splits an expression into words. Each operator and punctuation mark is a word of its own.
fn words(expression: &str) -> impl Iterator<Item = &str> {
    const OPERATORS: [char; 6] = [',', '(', ')', '=', '+', '-'];
    expression
        .split_ascii_whitespace()
        .flat_map(|part| part.split_inclusive(OPERATORS))
        .flat_map(|part| match part.char_indices().next_back() {
            Some((at, last)) if OPERATORS.contains(&last) => {
                let (word, operator) = part.split_at(at);
                [word, operator]
            }
            _ => [part, ""],
        })
        .filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operands_of_the_longest_list_are_counted() {
        for (expression, count) in [
            ("a IN (:a,:b) OR b in(:c, :d, :e)", 3),
            ("a IN (:a) AND contains(b, :b)", 1),
            ("attribute_exists(inside)", 0),
        ] {
            assert_eq!(most_operands(expression), count, "{expression}");
        }
    }

    #[test]
    fn update_targets_of_every_clause_are_found() {
        for (expression, expected) in [
            ("SET #a = :a, b.c=if_not_exists(pk, :b), d[0]=:d", vec!["#a", "b", "d"]),
            ("REMOVE #a,b SET c = c + :one", vec!["#a", "b", "c"]),
            ("add n :one DELETE tags :some", vec!["n", "tags"]),
            ("SET a = list_append(pk, sk), b = :b", vec!["a", "b"]),
            ("", vec![]),
        ] {
            assert_eq!(update_targets(expression), expected, "{expression}");
        }
    }
}
