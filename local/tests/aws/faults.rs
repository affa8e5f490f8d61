use std::time::Duration;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::{Put, PutRequest, TransactWriteItem, WriteRequest};
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use http::{Request, StatusCode};
use local::calls::Service::{Dynamodb, Secretsmanager, Ses, Sqs, Zeptomail, Zoom};
use local::faults::{Fault, Kind};
use serde_json::{Value, json};

use crate::dynamodb::{put, text};
use crate::mail::{ask, send_raw};
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
async fn each_service_fails_in_its_own_words() {
    let stack = Stack::start().await;
    stack.aws.set_secret("config", "x").await.unwrap();

    stack.fault(Fault::new(Dynamodb, "GetItem", Kind::Throttle));
    let error = get(&stack).await.unwrap_err();
    assert_eq!(error.code(), Some("ProvisionedThroughputExceededException"));
    stack.fault(Fault::new(Dynamodb, "*", Kind::Error));
    assert_eq!(get(&stack).await.unwrap_err().code(), Some("InternalServerError"));
    stack.fault(Fault::new(Dynamodb, "GetItem", Kind::Conflict));
    assert_eq!(get(&stack).await.unwrap_err().code(), Some("TransactionConflictException"));

    let secret = || stack.secrets().get_secret_value().secret_id("config").send();
    stack.fault(Fault::new(Secretsmanager, "GetSecretValue", Kind::Error));
    assert!(secret().await.unwrap_err().into_service_error().is_internal_service_error());
    stack.fault(Fault::new(Secretsmanager, "GetSecretValue", Kind::Throttle));
    assert_eq!(secret().await.unwrap_err().code(), Some("ThrottlingException"));

    let url = stack.aws.queues().url("outbox");
    let send = || stack.sqs().send_message().queue_url(&url).message_body("x").send();
    stack.fault(Fault::new(Sqs, "SendMessage", Kind::Throttle));
    assert!(send().await.unwrap_err().into_service_error().is_request_throttled());
    stack.fault(Fault::new(Sqs, "SendMessage", Kind::Error));
    assert_eq!(send().await.unwrap_err().code(), Some("InternalFailure"));

    for (kind, code) in [
        (Kind::Throttle, "TooManyRequestsException"),
        (Kind::Daily, "TooManyRequestsException"),
        (Kind::Paused, "SendingPausedException"),
        (Kind::Rejected, "MessageRejected"),
        (Kind::Error, "InternalServiceErrorException"),
    ] {
        stack.fault(Fault::new(Ses, "SendEmail", kind));
        assert_eq!(send_raw(&stack, RAW).await.unwrap_err().code(), Some(code));
    }
    assert_eq!(stack.faults.list(), []);
    assert!(get(&stack).await.is_ok() && secret().await.is_ok() && send().await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflicting_transaction_names_its_reasons() {
    let stack = Stack::start().await;
    stack.fault(Fault::new(Dynamodb, "TransactWriteItems", Kind::Conflict));
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
async fn an_answer_that_is_lost_late_or_halved_leaves_the_work_done() {
    let stack = Stack::start().await;
    for (pk, fault) in [
        ("lost", Fault::new(Dynamodb, "PutItem", Kind::Lost)),
        ("half", Fault::new(Dynamodb, "PutItem", Kind::Half)),
        ("late", Fault { delay_ms: Some(60_000), ..Fault::new(Dynamodb, "PutItem", Kind::Late) }),
    ] {
        stack.fault(fault);
        let put = stack.dynamodb().put_item().table_name("classes");
        let put = put.item("pk", text(pk)).item("sk", text("class"));
        let put = put.return_values(aws_sdk_dynamodb::types::ReturnValue::AllOld);
        let error = put.send().await.unwrap_err();
        let expected = match pk {
            "late" => matches!(error, SdkError::TimeoutError(_)),
            // An answer that ends in the middle of its JSON is one that cannot be read.
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
async fn a_call_that_hangs_does_nothing() {
    let stack = Stack::start().await;
    stack.fault(Fault::new(Sqs, "SendMessage", Kind::Timeout));
    let url = stack.aws.queues().url("outbox");
    let send = stack.sqs().send_message().queue_url(url).message_body("x").send();
    let hanging = tokio::time::timeout(Duration::from_millis(300), send).await;
    assert!(hanging.is_err());
    assert_eq!(stack.aws.queues().depth("outbox").visible, 0);
    assert_eq!(stack.usage.tally(FUNCTION, Sqs, "SendMessage").errors, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_answer_comes() {
    let stack = Stack::start().await;
    stack.fault(Fault { delay_ms: Some(50), ..Fault::new(Dynamodb, "GetItem", Kind::Late) });
    assert_eq!(get(&stack).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_fail_in_part() {
    let stack = Stack::start().await;
    stack.fault(Fault::new(Dynamodb, "BatchWriteItem", Kind::Partial));
    let write = |pk: &str| {
        let put = PutRequest::builder().item("pk", text(pk)).item("sk", text("class"));
        WriteRequest::builder().put_request(put.build().unwrap()).build()
    };
    let batch = stack.dynamodb().batch_write_item();
    let written = batch.request_items("classes", vec![write("one"), write("two")]).send().await;
    let unprocessed = written.unwrap().unprocessed_items.unwrap();
    assert_eq!(unprocessed["classes"], [write("two")]);

    stack.fault(Fault::new(Sqs, "SendMessageBatch", Kind::Partial));
    let entry = |id: &str| {
        SendMessageBatchRequestEntry::builder().id(id).message_body("x").build().unwrap()
    };
    let batch = stack.sqs().send_message_batch().queue_url(stack.aws.queues().url("outbox"));
    let sent = batch.entries(entry("one")).entries(entry("two")).send().await.unwrap();
    assert_eq!((sent.successful()[0].id(), sent.failed()[0].id()), ("one", "two"));
    assert!(!sent.failed()[0].sender_fault());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_is_read_as_it_was() {
    let stack = Stack::start().await;
    let client = stack.dynamodb();
    let due = || async {
        let query = client.query().table_name("classes").index_name("by-due");
        let query = query.key_condition_expression("due = :due");
        let found = query.expression_attribute_values(":due", text("today")).send().await.unwrap();
        (found.count(), found.items().len())
    };
    put(&client, "one", "today").await;
    stack.fault(Fault::new(Dynamodb, "Query", Kind::Stale));
    assert_eq!(due().await, (0, 0));
    assert_eq!(due().await, (1, 1));
    put(&client, "two", "today").await;
    stack.fault(Fault::new(Dynamodb, "Query", Kind::Stale));
    assert_eq!(due().await, (1, 1));
    assert_eq!(due().await, (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_are_set_over_http() {
    let stack = Stack::start().await;
    let at = format!("{}/local/faults", stack.base_url);
    let post = |fault: Value| ask(Request::post(&at).body(fault.to_string()).unwrap());
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

    let (_, list) = ask(Request::get(&at).body(String::new()).unwrap()).await;
    assert_eq!(serde_json::from_str::<Value>(&list).unwrap()["items"].as_array().unwrap().len(), 1);
    let (status, _) = ask(Request::delete(&at).body(String::new()).unwrap()).await;
    assert_eq!((status, stack.faults.list()), (StatusCode::NO_CONTENT, vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wire_stands_before_zoom_too() {
    let stack = Stack::start().await;
    let users = axum::Router::new().route(
        "/v2/users/{user}",
        axum::routing::get(async || axum::Json(json!({ "id": "u1", "email": "t@example.test" }))),
    );
    let router = stack.aws.wire().around(axum::Router::new().nest("/zoom", users));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    #[expect(clippy::disallowed_methods, reason = "the test's runtime ends it")]
    tokio::spawn(async move { axum::serve(listener, router).await });
    let user = || {
        let request = Request::get(format!("{base_url}/zoom/v2/users/me"));
        ask(request.header("user-agent", "live-classes/connect").body(String::new()).unwrap())
    };
    assert_eq!(user().await.0, StatusCode::OK);
    for (kind, status, part) in [
        (Kind::Unauthorized, StatusCode::UNAUTHORIZED, "\"code\":124"),
        (Kind::ThrottleIso, StatusCode::TOO_MANY_REQUESTS, "\"code\":429"),
        (Kind::Html, StatusCode::BAD_GATEWAY, "<html>"),
        (Kind::Error, StatusCode::INTERNAL_SERVER_ERROR, "message"),
    ] {
        stack.fault(Fault::new(Zoom, "get_user", kind));
        let (told, body) = user().await;
        assert_eq!(told, status);
        assert!(body.contains(part), "{body}");
    }
    stack.fault(Fault { status: Some(200), ..Fault::new(Zoom, "any", Kind::Html) });
    assert_eq!(user().await.0, StatusCode::OK);
    stack.fault(Fault::new(Zoom, "any", Kind::Half).by("connect"));
    let (status, body) = user().await;
    assert_eq!(status, StatusCode::OK);
    assert!(serde_json::from_str::<Value>(&body).is_err(), "{body}");
    assert_eq!(stack.usage.calls("connect", Zoom, "get_user"), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn zeptomail_fails_in_its_own_shape() {
    let stack = Stack::start().await;
    for (kind, status) in [
        (Kind::Daily, StatusCode::FORBIDDEN),
        (Kind::Throttle, StatusCode::TOO_MANY_REQUESTS),
        (Kind::Rejected, StatusCode::BAD_REQUEST),
        (Kind::Error, StatusCode::INTERNAL_SERVER_ERROR),
    ] {
        stack.fault(Fault::new(Zeptomail, "SendEmail", kind));
        let at = format!("{}/local/zeptomail/v1.1/email", stack.base_url);
        let (told, body) = ask(Request::post(at).body("{}".to_owned()).unwrap()).await;
        assert_eq!(told, status);
        let body: Value = serde_json::from_str(&body).unwrap();
        assert!(body["error"]["code"].is_string());
    }
}
