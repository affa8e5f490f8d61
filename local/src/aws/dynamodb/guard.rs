//! What AWS refuses or answers otherwise than the emulator does. Each rule here was seen to differ.

use http::StatusCode;
use serde_json::Value;

use super::KeyAttributes;
use crate::aws::refusal::Refusal;
use crate::calls::Service;

/// Refuses what the emulator would let through.
pub(super) fn check(
    operation: &str,
    request: &Value,
    tables: &KeyAttributes,
) -> Result<(), Refusal> {
    if operation != "TransactWriteItems" {
        return Ok(());
    }
    let items = request["TransactItems"].as_array().into_iter().flatten();
    for update in items.map(|item| &item["Update"]).filter(|update| update.is_object()) {
        let table = update["TableName"].as_str().and_then(|name| tables.get(name));
        let keys = table.map(|table| table.keys.as_slice()).unwrap_or_default();
        let expression = update["UpdateExpression"].as_str().unwrap_or_default();
        for target in targets(expression) {
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

/// Corrects what the emulator answers: an `UpdateItem` that made a new item has no old attributes,
/// where the emulator returns its key.
pub(super) fn correct(operation: &str, request: &Value, answer: &mut Value) {
    if operation == "UpdateItem"
        && request["ReturnValues"] == "ALL_OLD"
        && answer["Attributes"] == request["Key"]
        && let Some(answer) = answer.as_object_mut()
    {
        answer.remove("Attributes");
    }
}

/// The top-level attributes that an update expression writes to, as they are written in it.
fn targets(expression: &str) -> Vec<&str> {
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

/// The words of an expression; each of its signs is one too.
fn words(expression: &str) -> impl Iterator<Item = &str> {
    const SIGNS: [char; 6] = [',', '(', ')', '=', '+', '-'];
    expression
        .split_ascii_whitespace()
        .flat_map(|part| part.split_inclusive(SIGNS))
        .flat_map(|part| match part.char_indices().next_back() {
            Some((at, last)) if SIGNS.contains(&last) => {
                let (word, sign) = part.split_at(at);
                [word, sign]
            }
            _ => [part, ""],
        })
        .filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_targets_of_every_clause_are_found() {
        for (expression, expected) in [
            ("SET #a = :a, b.c=if_not_exists(pk, :b), d[0]=:d", vec!["#a", "b", "d"]),
            ("REMOVE #a,b SET c = c + :one", vec!["#a", "b", "c"]),
            ("add n :one DELETE tags :some", vec!["n", "tags"]),
            ("SET a = list_append(pk, sk), b = :b", vec!["a", "b"]),
            ("", vec![]),
        ] {
            assert_eq!(targets(expression), expected, "{expression}");
        }
    }
}
