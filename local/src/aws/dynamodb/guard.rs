//! Rules in which AWS differs from the emulator. Each difference was observed.

use http::StatusCode;
use serde_json::Value;

use super::Tables;
use crate::aws::refusal::Refusal;
use crate::calls::Service;

/// Rejects a transaction that updates a key attribute, which the emulator accepts.
pub(super) fn check_request(
    operation: &str,
    request: &Value,
    tables: &Tables,
) -> Result<(), Refusal> {
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
                return Err(Refusal::new(
                    Service::Dynamodb,
                    StatusCode::BAD_REQUEST,
                    "ValidationException",
                    format!(
                        "One or more parameter values were invalid: Cannot update attribute \
                         {name}. This attribute is part of the key"
                    ),
                ));
            }
        }
    }
    Ok(())
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
