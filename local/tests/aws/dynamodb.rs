use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{
    AttributeValue, KeysAndAttributes, Put, PutRequest, ReturnConsumedCapacity, ReturnValue,
    TransactWriteItem, Update, WriteRequest,
};
use jiff::SignedDuration;

use crate::stack::Stack;

pub(crate) fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

pub(crate) async fn put(client: &Client, pk: &str, due: &str) {
    client
        .put_item()
        .table_name("classes")
        .item("pk", text(pk))
        .item("sk", text("class"))
        .item("due", text(due))
        .send()
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_the_template_exist_under_their_names() {
    let stack = Stack::start().await;
    let client = stack.dynamodb();
    let tables = client.list_tables().send().await.unwrap();
    assert_eq!(tables.table_names(), ["Tokens", "classes"]);
    let table = client.describe_table().table_name("classes").send().await.unwrap().table.unwrap();
    assert_eq!(table.key_schema()[1].attribute_name(), "sk");
    assert_eq!(table.global_secondary_indexes()[0].index_name(), Some("by-due"));
    let ttl = client.describe_time_to_live().table_name("classes").send().await.unwrap();
    assert_eq!(ttl.time_to_live_description.unwrap().attribute_name(), Some("ttl"));
}

#[tokio::test(flavor = "multi_thread")]
async fn items_are_written_read_and_queried_by_index() {
    let stack = Stack::start().await;
    let client = stack.dynamodb();
    put(&client, "one", "today").await;
    let found = client
        .query()
        .table_name("classes")
        .index_name("by-due")
        .key_condition_expression("due = :due")
        .expression_attribute_values(":due", text("today"))
        .send()
        .await
        .unwrap();
    assert_eq!(found.items()[0]["pk"], text("one"));
    assert!(found.consumed_capacity().is_none(), "capacity was not requested");

    let requested = client
        .get_item()
        .table_name("classes")
        .key("pk", text("one"))
        .key("sk", text("class"))
        .consistent_read(true)
        .return_consumed_capacity(ReturnConsumedCapacity::Total)
        .send()
        .await
        .unwrap();
    let capacity = requested.consumed_capacity.unwrap();
    assert_eq!(capacity.capacity_units(), Some(1.0));
    assert!(capacity.table().is_none(), "TOTAL has no details");
}

#[tokio::test(flavor = "multi_thread")]
async fn transaction_that_sets_a_key_is_rejected() {
    let stack = Stack::start().await;
    let update = |expression: &str| {
        let update = Update::builder()
            .table_name("classes")
            .key("pk", text("one"))
            .key("sk", text("class"))
            .update_expression(expression)
            .expression_attribute_names("#key", "sk")
            .expression_attribute_names("#n", "n")
            .expression_attribute_values(":x", text("x"))
            .build()
            .unwrap();
        let item = TransactWriteItem::builder().update(update).build();
        stack.dynamodb().transact_write_items().transact_items(item).send()
    };
    let refused = update("SET #n = :x, #key = :x").await.unwrap_err().into_service_error();
    assert_eq!(refused.code(), Some("ValidationException"));
    assert!(refused.message().unwrap().contains("Cannot update attribute sk."));
}

#[tokio::test(flavor = "multi_thread")]
async fn update_that_creates_an_item_returns_no_old_attributes() {
    let stack = Stack::start().await;
    let client = stack.dynamodb();
    let update = || {
        client
            .update_item()
            .table_name("classes")
            .key("pk", text("one"))
            .key("sk", text("class"))
            .update_expression("SET n = :x")
            .expression_attribute_values(":x", text("x"))
            .return_values(ReturnValue::AllOld)
            .send()
    };
    assert_eq!(update().await.unwrap().attributes, None);
    assert_eq!(update().await.unwrap().attributes.unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_have_the_limits_of_aws() {
    let stack = Stack::start().await;
    let client = stack.dynamodb();
    let key = |n: usize| [("pk".to_owned(), text(&n.to_string())), ("sk".to_owned(), text("c"))];
    let put = |n| {
        let request = PutRequest::builder().set_item(Some(key(n).into())).build().unwrap();
        WriteRequest::builder().put_request(request).build()
    };
    let write = |count| {
        client.batch_write_item().request_items("classes", (0..count).map(put).collect()).send()
    };
    assert!(write(25).await.is_ok());
    assert_eq!(write(26).await.unwrap_err().code(), Some("ValidationException"));

    let get = |count| {
        let keys = (0..count).map(|n| key(n).into()).collect();
        let keys = KeysAndAttributes::builder().set_keys(Some(keys)).build().unwrap();
        client.batch_get_item().request_items("classes", keys).send()
    };
    assert!(get(100).await.is_ok());
    assert_eq!(get(101).await.unwrap_err().code(), Some("ValidationException"));

    let transact = |count| {
        let put = |n| {
            let put = Put::builder().table_name("classes").set_item(Some(key(n).into()));
            TransactWriteItem::builder().put(put.build().unwrap()).build()
        };
        client.transact_write_items().set_transact_items(Some((0..count).map(put).collect())).send()
    };
    assert!(transact(100).await.is_ok());
    assert_eq!(transact(101).await.unwrap_err().code(), Some("ValidationException"));
}

#[tokio::test(flavor = "multi_thread")]
async fn time_to_live_follows_the_clock_of_the_stack() {
    let stack = Stack::start().await;
    let client = stack.dynamodb();
    for (pk, hours) in [("soon", 1), ("later", 3)] {
        let at = stack.now() + SignedDuration::from_hours(hours);
        client
            .put_item()
            .table_name("classes")
            .item("pk", text(pk))
            .item("sk", text("class"))
            .item("ttl", AttributeValue::N(at.as_second().to_string()))
            .send()
            .await
            .unwrap();
    }
    assert_eq!(stack.aws.sweep_ttl().unwrap(), 0);
    stack.advance(SignedDuration::from_hours(2));
    assert_eq!(stack.aws.sweep_ttl().unwrap(), 1);
    let left = client.scan().table_name("classes").send().await.unwrap();
    assert_eq!(left.items()[0]["pk"], text("later"));
}
