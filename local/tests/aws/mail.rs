use aws_sdk_sesv2::error::ProvideErrorMetadata;
use aws_sdk_sesv2::primitives::Blob;
use aws_sdk_sesv2::types::{Body, Content, Destination, EmailContent, Message, RawMessage};
use http::{Request, StatusCode};
use serde_json::{Value, json};

use crate::stack::{Stack, ZEPTOMAIL_TOKEN};

const RAW: &str = "From: Classes <classes@example.test>\r\nTo: Ann <ann@example.test>\r\n\
    Subject: =?utf-8?q?Caf=C3=A9?=\r\nX-Live-Class-Kind: invite\r\n\r\nHello\r\n";

/// Sends a request without an SDK.
pub(crate) async fn send_request(request: Request<String>) -> (StatusCode, String) {
    let executor = hyper_util::rt::TokioExecutor::new();
    let client = hyper_util::client::legacy::Client::builder(executor).build_http();
    let (head, body) = client.request(request).await.unwrap().into_parts();
    let body = axum::body::to_bytes(axum::body::Body::new(body), usize::MAX).await.unwrap();
    (head.status, String::from_utf8(body.to_vec()).unwrap())
}

async fn get(stack: &Stack, path: &str) -> (StatusCode, String) {
    send_request(Request::get(format!("{}{path}", stack.base_url)).body(String::new()).unwrap())
        .await
}

pub(crate) async fn send_raw(stack: &Stack, raw: &str) -> Result<String, aws_sdk_sesv2::Error> {
    let raw = RawMessage::builder().data(Blob::new(raw)).build().unwrap();
    let content = EmailContent::builder().raw(raw).build();
    let to = Destination::builder().to_addresses("ann@example.test").build();
    let sent = stack.ses().send_email().destination(to).content(content).send().await?;
    Ok(sent.message_id.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_mail_is_stored_unchanged_and_listed() {
    let stack = Stack::start().await;
    let id = send_raw(&stack, RAW).await.unwrap();

    let (_, list) = get(&stack, "/local/mail").await;
    assert_eq!(
        serde_json::from_str::<Value>(&list).unwrap(),
        json!({ "items": [{
            "id": id,
            "to": "ann@example.test",
            "subject": "Café",
            "kind": "invite",
            "session_id": null,
            "sent_at": "2026-11-12T10:00:00Z",
        }] })
    );
    assert_eq!(get(&stack, &format!("/local/mail/{id}")).await, (StatusCode::OK, RAW.to_owned()));
    assert_eq!(get(&stack, "/local/mail/none").await.0, StatusCode::NOT_FOUND);
    assert_eq!(stack.aws.mailbox().list().unwrap()[0].from, "classes@example.test");
    stack.aws.mailbox().clear().unwrap();
    assert_eq!(stack.aws.mailbox().list().unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_that_is_not_a_raw_message_is_rejected() {
    let stack = Stack::start().await;
    let text = |text: &str| Content::builder().data(text).build().unwrap();
    let message = Message::builder()
        .subject(text("hello"))
        .body(Body::builder().text(text("hello")).build())
        .build();
    let content = EmailContent::builder().simple(message).build();
    let refused = stack.ses().send_email().content(content).send().await.unwrap_err();
    assert!(refused.into_service_error().is_bad_request_exception());

    let no_sender = send_raw(&stack, "To: ann@example.test\r\n\r\nHello\r\n").await.unwrap_err();
    assert_eq!(no_sender.code(), Some("BadRequestException"));
    assert_eq!(stack.aws.mailbox().list().unwrap(), []);
}

async fn zeptomail(stack: &Stack, token: &str, body: &Value) -> (StatusCode, Value) {
    let request = Request::post(format!("{}/local/zeptomail/v1.1/email", stack.base_url))
        .header("authorization", format!("Zoho-enczapikey {token}"))
        .header("content-type", "application/json")
        .header("user-agent", "live-classes/outbox-sweep")
        .body(body.to_string())
        .unwrap();
    let (status, response) = send_request(request).await;
    (status, serde_json::from_str(&response).unwrap())
}

fn zeptomail_body() -> Value {
    json!({
        "from": { "address": "classes@example.test", "name": "Classes" },
        "to": [{ "email_address": { "address": "ann@example.test", "name": "Änn" } }],
        "subject": "Your class",
        "htmlbody": "<p>Hello</p>",
        "textbody": "Hello",
        "client_reference": "message-key-1",
        "mime_headers": { "X-Live-Class-Kind": "invite" },
        "attachments": [{
            "content": "QkVHSU46VkNBTEVOREFSDQo=",
            "mime_type": "text/calendar",
            "name": "invite.ics",
        }],
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn mails_of_zeptomail_are_in_the_same_mailbox() {
    let stack = Stack::start().await;
    let (status, response) = zeptomail(&stack, ZEPTOMAIL_TOKEN, &zeptomail_body()).await;
    assert_eq!((status, &response["data"][0]["code"]), (StatusCode::CREATED, &json!("EM_104")));

    let mails = stack.aws.mailbox().list().unwrap();
    let mail = &mails[0];
    assert_eq!(mail.to, ["ann@example.test"]);
    assert_eq!((mail.kind.as_deref(), mail.subject.as_str()), (Some("invite"), "Your class"));
    let parsed = mail_parser::MessageParser::default().parse(&mail.raw).unwrap();
    assert_eq!(parsed.body_text(0).unwrap(), "Hello");
    assert_eq!(parsed.body_html(0).unwrap(), "<p>Hello</p>");
    assert_eq!(parsed.attachments().next().unwrap().contents(), b"BEGIN:VCALENDAR\r\n");
    assert_eq!(parsed.date().unwrap().to_timestamp(), stack.now().as_second());
}

#[tokio::test(flavor = "multi_thread")]
async fn zeptomail_names_the_invalid_field() {
    let stack = Stack::start().await;
    let (status, response) = zeptomail(&stack, "other", &zeptomail_body()).await;
    assert_eq!((status, &response["error"]["code"]), (StatusCode::UNAUTHORIZED, &json!("TM_4001")));
    for (field, value, code, target) in [
        ("subject", json!(""), "TM_3201", "subject"),
        ("from", json!(null), "TM_3201", "from"),
        ("to", json!([]), "TM_3201", "to"),
        ("to", json!([{ "email_address": { "address": "nobody" } }]), "TM_4001", "to"),
        ("attachments", json!([{ "content": "QQ==", "name": "a" }]), "TM_3301", "attachments"),
    ] {
        let mut body = zeptomail_body();
        body[field] = value;
        let (status, response) = zeptomail(&stack, ZEPTOMAIL_TOKEN, &body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{field}");
        let error = &response["error"];
        assert_eq!(
            (&error["code"], &error["details"][0]["target"]),
            (&json!(code), &json!(target))
        );
    }
    assert_eq!(stack.aws.mailbox().list().unwrap(), []);
}
