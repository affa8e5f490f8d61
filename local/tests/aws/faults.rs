use std::time::Duration;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::{Put, PutRequest, TransactWriteItem, WriteRequest};
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use http::{Request, StatusCode};
use local::calls::Service::{Dynamodb, Secretsmanager, Ses, Sqs, Zeptomail, Zoom};
use local::faults::{Fault, FaultKind};
use serde_json::{Value, json};

use crate::dynamodb::{put, text};
use crate::mail::{send_raw, send_request};
use crate::stack::{FUNCTION, Stack};

const RAW: &str = "From: a@example.test\r\nSubject: x\r\n\r\nx\r\n";

async fn get(
    stack: &Stack,
) -> Result<Option<String>, SdkError<impl ProvideErrorMetadata + std::fmt::Debug>> {
    let get = stack.dynamodb().get_item().table_name("classes");
    let get = get.key("pk", text("one")).key("sk", text("class")).send().await;
    get.map(|found| Some(found.item?["pk"].as_s().unwrap().clone()))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_service_fails_with_its_own_error_codes() {
    let stack = Stack::start().await;
    stack.aws.set_secret("config", "x").await.unwrap();

    stack.fault(Fault::new(Dynamodb, "GetItem", FaultKind::Throttle));
    let error = get(&stack).await.unwrap_err();
    assert_eq!(error.code(), Some("ProvisionedThroughputExceededException"));
    stack.fault(Fault::new(Dynamodb, "*", FaultKind::Error));
    assert_eq!(get(&stack).await.unwrap_err().code(), Some("InternalServerError"));
    stack.fault(Fault::new(Dynamodb, "GetItem", FaultKind::Conflict));
    assert_eq!(get(&stack).await.unwrap_err().code(), Some("TransactionConflictException"));

    let secret = || stack.secrets().get_secret_value().secret_id("config").send();
    stack.fault(Fault::new(Secretsmanager, "GetSecretValue", FaultKind::Error));
    assert!(secret().await.unwrap_err().into_service_error().is_internal_service_error());
    stack.fault(Fault::new(Secretsmanager, "GetSecretValue", FaultKind::Throttle));
    assert_eq!(secret().await.unwrap_err().code(), Some("ThrottlingException"));

    let url = stack.aws.queues().url("outbox");
    let send = || stack.sqs().send_message().queue_url(&url).message_body("x").send();
    stack.fault(Fault::new(Sqs, "SendMessage", FaultKind::Throttle));
    assert!(send().await.unwrap_err().into_service_error().is_request_throttled());
    stack.fault(Fault::new(Sqs, "SendMessage", FaultKind::Error));
    assert_eq!(send().await.unwrap_err().code(), Some("InternalFailure"));

    for (kind, code) in [
        (FaultKind::Throttle, "TooManyRequestsException"),
        (FaultKind::Daily, "TooManyRequestsException"),
        (FaultKind::Paused, "SendingPausedException"),
        (FaultKind::Rejected, "MessageRejected"),
        (FaultKind::Error, "InternalServiceErrorException"),
    ] {
        stack.fault(Fault::new(Ses, "SendEmail", kind));
        assert_eq!(send_raw(&stack, RAW).await.unwrap_err().code(), Some(code));
    }
    assert_eq!(stack.faults.list(), []);
    assert!(get(&stack).await.is_ok() && secret().await.is_ok() && send().await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn conflicting_transaction_returns_its_reasons() {
    let stack = Stack::start().await;
    stack.fault(Fault::new(Dynamodb, "TransactWriteItems", FaultKind::Conflict));
    let item = |pk: &str| {
        let put = Put::builder().table_name("classes").item("pk", text(pk)).item("sk", text("c"));
        TransactWriteItem::builder().put(put.build().unwrap()).build()
    };
    let transact = stack.dynamodb().transact_write_items();
    let error = transact.transact_items(item("a")).transact_items(item("b")).send().await;
    let error = error.unwrap_err().into_service_error();
    let aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError::TransactionCanceledException(cancelled) = error else {
        panic!("{error:?}");
    };
    let reasons = cancelled.cancellation_reasons().iter().map(|reason| reason.code().unwrap());
    assert_eq!(reasons.collect::<Vec<_>>(), ["TransactionConflict", "None"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_late_or_truncated_response_leaves_the_write_done() {
    let stack = Stack::start().await;
    for (pk, fault) in [
        ("lost", Fault::new(Dynamodb, "PutItem", FaultKind::Lost)),
        ("half", Fault::new(Dynamodb, "PutItem", FaultKind::Half)),
        (
            "late",
            Fault { delay_ms: Some(60_000), ..Fault::new(Dynamodb, "PutItem", FaultKind::Late) },
        ),
    ] {
        stack.fault(fault);
        let put = stack.dynamodb().put_item().table_name("classes");
        let put = put.item("pk", text(pk)).item("sk", text("class"));
        let put = put.return_values(aws_sdk_dynamodb::types::ReturnValue::AllOld);
        let error = put.send().await.unwrap_err();
        let expected = match pk {
            "late" => matches!(error, SdkError::TimeoutError(_)),
            // Truncated JSON is a service error without a code.
            "half" => matches!(error, SdkError::ServiceError(_)) && error.code().is_none(),
            _ => matches!(error, SdkError::ResponseError(_) | SdkError::DispatchFailure(_)),
        };
        assert!(expected, "{pk}: {error:?}");
        let get = stack.dynamodb().get_item().table_name("classes");
        let found = get.key("pk", text(pk)).key("sk", text("class")).send().await.unwrap();
        assert!(found.item.is_some(), "{pk}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hanging_call_has_no_effect() {
    let stack = Stack::start().await;
    stack.fault(Fault::new(Sqs, "SendMessage", FaultKind::Timeout));
    let url = stack.aws.queues().url("outbox");
    let send = stack.sqs().send_message().queue_url(url).message_body("x").send();
    let hanging = tokio::time::timeout(Duration::from_millis(300), send).await;
    assert!(hanging.is_err());
    assert_eq!(stack.aws.queues().depth("outbox").visible, 0);
    assert_eq!(stack.usage.tally(FUNCTION, Sqs, "SendMessage").errors, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn late_response_arrives() {
    let stack = Stack::start().await;
    stack.fault(Fault { delay_ms: Some(50), ..Fault::new(Dynamodb, "GetItem", FaultKind::Late) });
    assert_eq!(get(&stack).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn partial_fault_fails_the_last_entry_of_a_batch() {
    let stack = Stack::start().await;
    stack.fault(Fault::new(Dynamodb, "BatchWriteItem", FaultKind::Partial));
    let write = |pk: &str| {
        let put = PutRequest::builder().item("pk", text(pk)).item("sk", text("class"));
        WriteRequest::builder().put_request(put.build().unwrap()).build()
    };
    let batch = stack.dynamodb().batch_write_item();
    let written = batch.request_items("classes", vec![write("one"), write("two")]).send().await;
    let unprocessed = written.unwrap().unprocessed_items.unwrap();
    assert_eq!(unprocessed["classes"], [write("two")]);

    stack.fault(Fault::new(Sqs, "SendMessageBatch", FaultKind::Partial));
    let entry = |id: &str| {
        SendMessageBatchRequestEntry::builder().id(id).message_body("x").build().unwrap()
    };
    let batch = stack.sqs().send_message_batch().queue_url(stack.aws.queues().url("outbox"));
    let sent = batch.entries(entry("one")).entries(entry("two")).send().await.unwrap();
    assert_eq!((sent.successful()[0].id(), sent.failed()[0].id()), ("one", "two"));
    assert!(!sent.failed()[0].sender_fault());
}

#[tokio::test(flavor = "multi_thread")]
async fn stale_fault_returns_the_previous_index_query() {
    let stack = Stack::start().await;
    let client = stack.dynamodb();
    let due = || async {
        let query = client.query().table_name("classes").index_name("by-due");
        let query = query.key_condition_expression("due = :due");
        let found = query.expression_attribute_values(":due", text("today")).send().await.unwrap();
        (found.count(), found.items().len())
    };
    put(&client, "one", "today").await;
    stack.fault(Fault::new(Dynamodb, "Query", FaultKind::Stale));
    assert_eq!(due().await, (0, 0));
    assert_eq!(due().await, (1, 1));
    put(&client, "two", "today").await;
    stack.fault(Fault::new(Dynamodb, "Query", FaultKind::Stale));
    assert_eq!(due().await, (1, 1));
    assert_eq!(due().await, (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_are_added_listed_and_cleared_over_http() {
    let stack = Stack::start().await;
    let at = format!("{}/local/faults", stack.base_url);
    let post = |fault: Value| send_request(Request::post(&at).body(fault.to_string()).unwrap());
    let fault = json!({ "service": "zoom", "operation": "PATCH /meetings/{id}", "kind": "daily", "times": 2 });
    let (status, list) = post(fault).await;
    let expected = json!({ "items": [{ "service": "zoom", "operation": "update_meeting", "kind": "daily", "times": 2 }] });
    assert_eq!((status, serde_json::from_str::<Value>(&list).unwrap()), (StatusCode::OK, expected));

    let (status, problem) =
        post(json!({ "service": "s3", "operation": "*", "kind": "error" })).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(problem.contains("unknown variant `s3`"), "{problem}");
    let (status, _) = post(json!({ "service": "sqs", "operation": "*", "kind": "daily" })).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);

    let (_, list) = send_request(Request::get(&at).body(String::new()).unwrap()).await;
    assert_eq!(serde_json::from_str::<Value>(&list).unwrap()["items"].as_array().unwrap().len(), 1);
    let (status, _) = send_request(Request::delete(&at).body(String::new()).unwrap()).await;
    assert_eq!((status, stack.faults.list()), (StatusCode::NO_CONTENT, vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn wire_applies_faults_to_zoom_calls() {
    let stack = Stack::start().await;
    let users = axum::Router::new().route(
        "/v2/users/{user}",
        axum::routing::get(async || axum::Json(json!({ "id": "u1", "email": "t@example.test" }))),
    );
    let router = stack.wire.wrap(axum::Router::new().nest("/zoom", users));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    #[expect(clippy::disallowed_methods, reason = "the test's runtime aborts it")]
    tokio::spawn(async move { axum::serve(listener, router).await });
    let user = || {
        let request = Request::get(format!("{base_url}/zoom/v2/users/me"));
        send_request(
            request.header("user-agent", "live-classes/connect").body(String::new()).unwrap(),
        )
    };
    assert_eq!(user().await.0, StatusCode::OK);
    for (kind, status, part) in [
        (FaultKind::Unauthorized, StatusCode::UNAUTHORIZED, "\"code\":124"),
        (FaultKind::ThrottleIso, StatusCode::TOO_MANY_REQUESTS, "\"code\":429"),
        (FaultKind::Html, StatusCode::BAD_GATEWAY, "<html>"),
        (FaultKind::Error, StatusCode::INTERNAL_SERVER_ERROR, "message"),
    ] {
        stack.fault(Fault::new(Zoom, "get_user", kind));
        let (actual, body) = user().await;
        assert_eq!(actual, status);
        assert!(body.contains(part), "{body}");
    }
    stack.fault(Fault { status: Some(200), ..Fault::new(Zoom, "any", FaultKind::Html) });
    assert_eq!(user().await.0, StatusCode::OK);
    stack.fault(Fault::new(Zoom, "any", FaultKind::Half).for_function("connect"));
    let (status, body) = user().await;
    assert_eq!(status, StatusCode::OK);
    assert!(serde_json::from_str::<Value>(&body).is_err(), "{body}");
    assert_eq!(stack.usage.calls("connect", Zoom, "get_user"), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn zeptomail_fails_in_its_own_error_format() {
    let stack = Stack::start().await;
    for (kind, status) in [
        (FaultKind::Daily, StatusCode::FORBIDDEN),
        (FaultKind::Throttle, StatusCode::TOO_MANY_REQUESTS),
        (FaultKind::Rejected, StatusCode::BAD_REQUEST),
        (FaultKind::Error, StatusCode::INTERNAL_SERVER_ERROR),
    ] {
        stack.fault(Fault::new(Zeptomail, "SendEmail", kind));
        let at = format!("{}/local/zeptomail/v1.1/email", stack.base_url);
        let (actual, body) = send_request(Request::post(at).body("{}".to_owned()).unwrap()).await;
        assert_eq!(actual, status);
        let body: Value = serde_json::from_str(&body).unwrap();
        assert!(body["error"]["code"].is_string());
    }
}
