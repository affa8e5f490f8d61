//! Requests that AWS refuses, independent of the caller's permissions.

use http::{Request, StatusCode};
use serde_json::{Map, Value, json};

use crate::mail::send_request;
use crate::stack::Stack;

/// Sends a DynamoDB request as JSON, because the SDK does not build some of these requests.
async fn call(stack: &Stack, operation: &str, body: &Value) -> (StatusCode, Value) {
    let request = Request::post(format!("{}/local/aws/", stack.base_url))
        .header("x-amz-target", format!("DynamoDB_20120810.{operation}"))
        .header("content-type", "application/x-amz-json-1.0")
        .header(
            "authorization",
            "AWS4-HMAC-SHA256 Credential=local/20261112/us-east-1/dynamodb/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature=0",
        )
        .header("x-amz-date", "20261112T100000Z");
    let (status, text) = send_request(request.body(body.to_string()).unwrap()).await;
    (status, serde_json::from_str(&text).unwrap())
}

fn text(value: &str) -> Value {
    json!({ "S": value })
}

fn long_text(bytes: usize) -> Value {
    text(&"x".repeat(bytes))
}

fn key(pk: &str) -> Value {
    json!({ "pk": text(pk), "sk": text("class") })
}

/// Returns an item with these further attributes.
fn item(pk: &str, more: &Value) -> Value {
    let mut item = key(pk);
    for (name, value) in more.as_object().unwrap() {
        item[name] = value.clone();
    }
    item
}

fn put(item: &Value) -> Value {
    json!({ "TableName": "classes", "Item": item })
}

fn update(expression: &str, values: &Value) -> Value {
    let mut update =
        json!({ "TableName": "classes", "Key": key("one"), "UpdateExpression": expression });
    if *values != json!({}) {
        update["ExpressionAttributeValues"] = values.clone();
    }
    update
}

fn query(condition: &str, more: &Value) -> Value {
    let mut query = json!({
        "TableName": "classes",
        "KeyConditionExpression": condition,
        "ExpressionAttributeValues": { ":value": text("one") },
    });
    for (name, value) in more.as_object().unwrap() {
        query[name] = value.clone();
    }
    query
}

fn transaction(items: impl IntoIterator<Item = Value>) -> Value {
    json!({ "TransactItems": items.into_iter().collect::<Vec<_>>() })
}

/// The largest value that fits into an item with the keys of [`key`].
const FITS_BYTES: usize = 400 * 1024 - "pkoneskclassnote".len();

#[tokio::test(flavor = "multi_thread")]
async fn dynamodb_accepts_what_is_just_within_its_limits() {
    let stack = Stack::start().await;
    let note = |bytes| item("one", &json!({ "note": long_text(bytes) }));
    for (operation, request) in [
        ("PutItem", put(&note(FITS_BYTES))),
        ("PutItem", put(&item(&"k".repeat(2048), &json!({})))),
        ("UpdateItem", update("SET note = :x", &json!({ ":x": text("") }))),
        ("Query", query("due = :value", &json!({ "IndexName": "by-due" }))),
        ("Query", query("pk = :value", &json!({ "ConsistentRead": true }))),
    ] {
        let (status, answer) = call(&stack, operation, &request).await;
        assert_eq!(status, StatusCode::OK, "{operation}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dynamodb_refuses_what_exceeds_its_limits() {
    let stack = Stack::start().await;
    let note = |pk: &str, bytes| item(pk, &json!({ "note": long_text(bytes) }));
    let put_in_transaction = |item: &Value| json!({ "Put": put(item) });
    let write_in_batch = |item: Value| json!({ "PutRequest": { "Item": item } });
    let batch = |items: Vec<Value>| {
        let requests: Vec<_> = items.into_iter().map(write_in_batch).collect();
        json!({ "RequestItems": { "classes": requests } })
    };
    let long_condition = vec!["attribute_not_exists(pk)"; 200].join(" AND ");
    let operands: Map<_, _> = (0..101).map(|n| (format!(":v{n}"), text("x"))).collect();
    let in_list = operands.keys().cloned().collect::<Vec<_>>().join(",");
    let check = json!({ "ConditionCheck": {
        "TableName": "classes", "Key": key("one"), "ConditionExpression": "attribute_exists(pk)",
    } });
    let mut accepted = Vec::new();
    let nested = (0..33).fold(text("x"), |inner, _| json!({ "L": [inner] }));
    for (name, operation, request) in [
        ("item size", "PutItem", put(&note("one", FITS_BYTES + 1))),
        (
            "item size in a transaction",
            "TransactWriteItems",
            transaction([put_in_transaction(&note("one", 400 * 1024))]),
        ),
        ("item size in a batch", "BatchWriteItem", batch(vec![note("one", 400 * 1024)])),
        (
            "item size of an update",
            "UpdateItem",
            update("SET note = :x", &json!({ ":x": long_text(400 * 1024) })),
        ),
        (
            "transaction size",
            "TransactWriteItems",
            transaction((0..11).map(|n| put_in_transaction(&note(&n.to_string(), 390 * 1024)))),
        ),
        (
            "one item twice in a transaction",
            "TransactWriteItems",
            transaction([put_in_transaction(&key("one")), check]),
        ),
        ("one item twice in a batch", "BatchWriteItem", batch(vec![key("one"), key("one")])),
        (
            "one key twice in a batch",
            "BatchGetItem",
            json!({ "RequestItems": { "classes": { "Keys": [key("one"), key("one")] } } }),
        ),
        ("empty key", "PutItem", put(&key(""))),
        ("empty key of a read", "GetItem", json!({ "TableName": "classes", "Key": key("") })),
        ("empty index key", "PutItem", put(&item("one", &json!({ "due": text("") })))),
        (
            "index key of another type",
            "PutItem",
            put(&item("one", &json!({ "due": { "N": "1" } }))),
        ),
        (
            "empty index key in a transaction",
            "TransactWriteItems",
            transaction([put_in_transaction(&item("one", &json!({ "due": text("") })))]),
        ),
        (
            "empty index key in a batch",
            "BatchWriteItem",
            batch(vec![item("one", &json!({ "due": text("") }))]),
        ),
        (
            "empty index key of an update",
            "UpdateItem",
            update("SET due = :x", &json!({ ":x": text("") })),
        ),
        ("partition key size", "PutItem", put(&key(&"k".repeat(2049)))),
        ("sort key size", "PutItem", put(&json!({ "pk": text("one"), "sk": long_text(1025) }))),
        ("index key size", "PutItem", put(&item("one", &json!({ "due": long_text(2049) })))),
        ("empty set", "PutItem", put(&item("one", &json!({ "tags": { "SS": [] } })))),
        ("nesting", "PutItem", put(&item("one", &json!({ "note": nested })))),
        (
            "number precision",
            "PutItem",
            put(&item("one", &json!({ "n": { "N": "1".repeat(39) } }))),
        ),
        ("key in an update", "UpdateItem", update("SET sk = :x", &json!({ ":x": text("x") }))),
        ("reserved word", "UpdateItem", update("SET name = :x", &json!({ ":x": text("x") }))),
        (
            "overlapping paths",
            "UpdateItem",
            update("SET note = :x REMOVE note", &json!({ ":x": text("x") })),
        ),
        (
            "unused value",
            "UpdateItem",
            update("SET note = :x", &json!({ ":x": text("x"), ":y": text("x") })),
        ),
        (
            "expression size",
            "DeleteItem",
            json!({
                "TableName": "classes", "Key": key("one"), "ConditionExpression": long_condition,
            }),
        ),
        (
            "operands of IN",
            "DeleteItem",
            json!({
                "TableName": "classes", "Key": key("one"),
                "ConditionExpression": format!("note IN ({in_list})"), "ExpressionAttributeValues": operands,
            }),
        ),
        (
            "consistent read of an index",
            "Query",
            query("due = :value", &json!({ "IndexName": "by-due", "ConsistentRead": true })),
        ),
        ("unknown index", "Query", query("due = :value", &json!({ "IndexName": "by-day" }))),
        ("query without the partition key", "Query", query("sk = :value", &json!({}))),
        (
            "filter on a key",
            "Query",
            query("pk = :value", &json!({ "FilterExpression": "sk = :value" })),
        ),
        ("limit of zero", "Query", query("pk = :value", &json!({ "Limit": 0 }))),
        ("token length", "TransactWriteItems", {
            let mut request = transaction([put_in_transaction(&key("one"))]);
            request["ClientRequestToken"] = json!("t".repeat(37));
            request
        }),
    ] {
        let (status, answer) = call(&stack, operation, &request).await;
        let kind = answer["__type"].as_str().unwrap_or_default();
        let refused = kind.ends_with("ValidationException")
            // A transaction reports an invalid item as its reason.
            || answer["CancellationReasons"][0]["Code"] == "ValidationError";
        if status != StatusCode::BAD_REQUEST || !refused {
            accepted.push(format!("{name}: {status} {answer}"));
        }
    }
    assert!(accepted.is_empty(), "{accepted:#?}");
}

/// SQS and Secrets Manager. The sizes of messages and batches are tested with the queues.
#[tokio::test(flavor = "multi_thread")]
async fn secret_above_64_kilobytes_is_refused() {
    let stack = Stack::start().await;
    assert!(stack.aws.set_secret("config", &"x".repeat(65_536)).await.is_ok());
    assert!(stack.aws.set_secret("config", &"x".repeat(65_537)).await.is_err());
}
