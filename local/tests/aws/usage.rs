use aws_sdk_dynamodb::types::{Put, TransactWriteItem};
use http::{Request, StatusCode};
use local::calls::Service::{Dynamodb, Ses, Sqs};
use local::faults::{Fault, FaultKind};
use serde_json::{Value, json};

use crate::dynamodb::{put, text};
use crate::mail::{send_raw, send_request};
use crate::stack::{FUNCTION, Stack};

fn item(pk: &str) -> TransactWriteItem {
    let put = Put::builder().table_name("classes").item("pk", text(pk)).item("sk", text("class"));
    let put = put.condition_expression("attribute_not_exists(pk)");
    TransactWriteItem::builder().put(put.build().unwrap()).build()
}

#[tokio::test(flavor = "multi_thread")]
async fn capacity_units_are_metered_by_function() {
    let stack = Stack::start().await;
    let client = stack.dynamodb();
    put(&client, "one", "today").await;
    let tally = stack.usage.tally(FUNCTION, Dynamodb, "PutItem");
    assert_eq!(
        (tally.calls, tally.write_units),
        (1, 2.0),
        "one unit for the table and one for the index"
    );
    assert!(tally.bytes_in > 50 && tally.bytes_out == 2, "{tally:?}");

    let get =
        client.get_item().table_name("classes").key("pk", text("one")).key("sk", text("class"));
    get.clone().send().await.unwrap();
    get.consistent_read(true).send().await.unwrap();
    let tally = stack.usage.tally(FUNCTION, Dynamodb, "GetItem");
    assert_eq!((tally.calls, tally.read_units, tally.write_units), (2, 1.5, 0.0));

    let transact = client.transact_write_items();
    transact.transact_items(item("two")).transact_items(item("three")).send().await.unwrap();
    assert_eq!(stack.usage.tally(FUNCTION, Dynamodb, "TransactWriteItems").write_units, 4.0);
    assert_eq!(stack.usage.calls("join", Dynamodb, "GetItem"), 0);
    assert_eq!(stack.usage.totals(FUNCTION).calls, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_condition_consumes_units_and_a_fault_does_not() {
    let stack = Stack::start().await;
    let client = stack.dynamodb();
    let put = |note: &str| {
        let put = client.put_item().table_name("classes").item("pk", text("one"));
        let put = put.item("sk", text("class")).item("note", text(note));
        put.condition_expression("attribute_not_exists(pk)").send()
    };
    put(&"x".repeat(3000)).await.unwrap();
    assert!(
        put("").await.unwrap_err().into_service_error().is_conditional_check_failed_exception()
    );
    let tally = stack.usage.tally(FUNCTION, Dynamodb, "PutItem");
    assert_eq!(
        (tally.errors, tally.write_units),
        (1, 6.0),
        "the stored item of 3 KB determines the units"
    );

    stack.fault(Fault::new(Dynamodb, "PutItem", FaultKind::Throttle));
    put("").await.unwrap_err();
    assert_eq!(stack.usage.tally(FUNCTION, Dynamodb, "PutItem").write_units, 6.0);

    let transact = client.transact_write_items();
    transact.transact_items(item("one")).transact_items(item("two")).send().await.unwrap_err();
    let tally = stack.usage.tally(FUNCTION, Dynamodb, "TransactWriteItems");
    assert_eq!(
        (tally.errors, tally.write_units),
        (1, 8.0),
        "a transaction consumes twice the units of 3 KB and 1 KB"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn report_has_calls_totals_and_price() {
    let stack = Stack::start().await;
    send_raw(&stack, "From: a@example.test\r\n\r\nx\r\n").await.unwrap();
    let url = stack.aws.queues().url("outbox");
    let body = "x".repeat(100_000);
    stack.sqs().send_message().queue_url(url).message_body(body).send().await.unwrap();
    assert_eq!(stack.usage.tally(FUNCTION, Sqs, "SendMessage").billed_requests, 2);
    assert_eq!(stack.usage.calls(FUNCTION, Ses, "SendEmail"), 1);
    stack.usage.invocation(FUNCTION, 3);

    let at = format!("{}/local/usage", stack.base_url);
    let (_, report) = send_request(Request::get(&at).body(String::new()).unwrap()).await;
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["since"], "2026-11-12T10:00:00Z");
    let function = &report["functions"][FUNCTION];
    assert_eq!(function["invocations"], 1);
    assert_eq!(function["totals"]["calls"], 2);
    let calls: Vec<_> = function["calls"]
        .as_array()
        .unwrap()
        .iter()
        .map(|call| (&call["service"], &call["calls"]))
        .collect();
    assert_eq!(calls, [(&json!("sqs"), &json!(1)), (&json!("ses"), &json!(1))]);
    let price = function["price_usd"].as_f64().unwrap();
    assert!((price - 0.000_101_005).abs() < 1e-8, "{price}");

    let (status, _) = send_request(Request::delete(&at).body(String::new()).unwrap()).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(stack.usage.totals(FUNCTION).calls, 0);
}
