//! Calls that the template does not grant to the calling function.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::{
    ConditionCheck, Delete, Get, KeysAndAttributes, Put, TransactGetItem, TransactWriteItem,
};
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use aws_types::app_name::AppName;
use local::aws::permissions::DeniedCall;

use crate::dynamodb::text;
use crate::mail::send_raw;
use crate::stack::{FUNCTION, Stack, TEMPLATE};

/// A function that may read items and query one index, and nothing else.
const READER: &str = r#"
  ReaderFunction:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: target/lambda/session-save/
      Policies:
        - Version: "2012-10-17"
          Statement:
            - { Sid: Read, Effect: Allow, Action: dynamodb:GetItem, Resource: !GetAtt Classes.Arn }
            - { Sid: Check, Effect: Allow, Action: dynamodb:ConditionCheckItem, Resource: !GetAtt Classes.Arn }
            - { Sid: Due, Effect: Allow, Action: dynamodb:Query, Resource: !Sub "${Classes.Arn}/index/by-due" }
            - { Sid: Mail, Effect: Allow, Action: ses:SendEmail, Resource: "*" }
"#;

async fn start() -> Stack {
    Stack::start_in(None, &format!("{TEMPLATE}{READER}")).await.unwrap()
}

/// Checks an error and the recorded call.
#[track_caller]
fn assert_denied<E: ProvideErrorMetadata + std::fmt::Debug>(
    stack: &Stack,
    error: SdkError<E>,
    status: u16,
    action: &str,
    resource: &str,
) {
    assert_eq!(error.raw_response().unwrap().status().as_u16(), status, "{error:?}");
    let denied = DeniedCall {
        function: FUNCTION.to_owned(),
        action: action.to_owned(),
        resource: resource.to_owned(),
    };
    assert_eq!(stack.aws.take_denied_calls(), [denied]);
}

const TABLE: &str = "arn:aws:dynamodb:us-east-1:000000000000:table/classes";

#[tokio::test(flavor = "multi_thread")]
async fn item_operations_need_their_action_on_the_table() {
    let stack = start().await;
    let client = stack.dynamodb();
    let get = |table: &str| {
        let get = client.get_item().table_name(table);
        get.key("pk", text("one")).key("sk", text("class")).send()
    };
    get("classes").await.unwrap();
    let put = client.put_item().table_name("classes").item("pk", text("one"));
    let error = put.item("sk", text("class")).send().await.unwrap_err();
    assert_eq!(error.code(), Some("AccessDeniedException"));
    assert_eq!(
        error.message(),
        Some(
            "User: arn:aws:sts::000000000000:assumed-role/local-session-save/local-session-save is \
             not authorized to perform: dynamodb:PutItem on resource: \
             arn:aws:dynamodb:us-east-1:000000000000:table/classes because no identity-based policy \
             allows the dynamodb:PutItem action"
        )
    );
    assert_denied(&stack, error, 400, "dynamodb:PutItem", TABLE);
    assert_eq!(stack.usage.tally(FUNCTION, local::calls::Service::Dynamodb, "PutItem").errors, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_item_of_a_transaction_needs_its_own_action() {
    let stack = start().await;
    let client = stack.dynamodb();
    let get = Get::builder().table_name("classes").key("pk", text("a")).key("sk", text("b"));
    let get = TransactGetItem::builder().get(get.build().unwrap()).build();
    client.transact_get_items().transact_items(get).send().await.unwrap();

    let check = ConditionCheck::builder().table_name("classes").key("pk", text("a"));
    let check = check.key("sk", text("b")).condition_expression("attribute_not_exists(pk)");
    let check = TransactWriteItem::builder().condition_check(check.build().unwrap()).build();
    let write =
        |item| client.transact_write_items().transact_items(check.clone()).transact_items(item);
    let put = Put::builder().table_name("classes").item("pk", text("c")).item("sk", text("d"));
    let put = TransactWriteItem::builder().put(put.build().unwrap()).build();
    let error = write(put).send().await.unwrap_err();
    assert_eq!(error.code(), Some("AccessDeniedException"));
    assert_denied(&stack, error, 400, "dynamodb:PutItem", TABLE);
    let delete = Delete::builder().table_name("Tokens").key("pk", text("c"));
    let delete = TransactWriteItem::builder().delete(delete.build().unwrap()).build();
    let error = write(delete).send().await.unwrap_err();
    let tokens = "arn:aws:dynamodb:us-east-1:000000000000:table/Tokens";
    assert_denied(&stack, error, 400, "dynamodb:DeleteItem", tokens);
}

#[tokio::test(flavor = "multi_thread")]
async fn batch_needs_the_action_of_batches() {
    let stack = start().await;
    let key = [("pk".to_owned(), text("a")), ("sk".to_owned(), text("b"))];
    let keys = KeysAndAttributes::builder().keys(key.into()).build().unwrap();
    let get = stack.dynamodb().batch_get_item().request_items("classes", keys);
    let error = get.send().await.unwrap_err();
    assert_denied(&stack, error, 400, "dynamodb:BatchGetItem", TABLE);
}

#[tokio::test(flavor = "multi_thread")]
async fn query_needs_permission_on_the_index_alone() {
    let stack = start().await;
    let client = stack.dynamodb();
    let query = |name: &str| {
        let query = client.query().table_name("classes");
        let query = query.key_condition_expression(format!("{name} = :value"));
        query.expression_attribute_values(":value", text("one"))
    };
    query("due").index_name("by-due").send().await.unwrap();
    let error = query("pk").send().await.unwrap_err();
    assert_denied(&stack, error, 400, "dynamodb:Query", TABLE);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_services_refuse_in_their_own_way() {
    let stack = start().await;
    let url = stack.aws.queues().url("outbox");
    let entry = SendMessageBatchRequestEntry::builder().id("1").message_body("x").build().unwrap();
    let error = stack.sqs().send_message_batch().queue_url(url).entries(entry).send().await;
    let error = error.unwrap_err();
    assert_eq!(error.code(), Some("AccessDenied"));
    assert!(error.message().unwrap().contains("to perform: sqs:sendmessage on resource"));
    let queue = "arn:aws:sqs:us-east-1:000000000000:outbox";
    assert_denied(&stack, error, 403, "sqs:SendMessage", queue);

    stack.aws.set_secret("config", "x").await.unwrap();
    let error = stack.secrets().get_secret_value().secret_id("config").send().await.unwrap_err();
    assert_eq!(error.code(), Some("AccessDeniedException"));
    let secret = "arn:aws:secretsmanager:us-east-1:000000000000:secret:config";
    assert_denied(&stack, error, 400, "secretsmanager:GetSecretValue", secret);

    // A raw mail needs a second permission.
    let error = send_raw(&stack, "From: a@example.test\r\n\r\nx\r\n").await.unwrap_err();
    assert_eq!(error.code(), Some("AccessDeniedException"));
    let identity = "arn:aws:ses:us-east-1:000000000000:identity/example.test";
    let denied = stack.aws.take_denied_calls();
    assert_eq!((&*denied[0].action, &*denied[0].resource), ("ses:SendRawEmail", identity));
}

/// Tests and operators have all permissions.
#[tokio::test(flavor = "multi_thread")]
async fn caller_that_is_not_a_function_may_do_everything() {
    let stack = start().await;
    let config = stack.config().into_builder().app_name(AppName::new("tests").unwrap());
    let client = aws_sdk_dynamodb::Client::new(&config.build());
    client.scan().table_name("classes").send().await.unwrap();
    assert_eq!(stack.aws.take_denied_calls(), []);
}
