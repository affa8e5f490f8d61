use jiff::SignedDuration;
use local::aws::StartError;

use crate::dynamodb::{put, text};
use crate::mail::send_raw;
use crate::stack::{Stack, TEMPLATE};

#[tokio::test(flavor = "multi_thread")]
async fn state_in_a_directory_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let first = Stack::start_in(Some(dir.path()), TEMPLATE).await.unwrap();
    put(&first.dynamodb(), "one", "today").await;
    let url = first.aws.queues().url("outbox");
    for body in ["kept", "in flight"] {
        let send = first.sqs().send_message().queue_url(&url).message_body(body);
        send.send().await.unwrap();
    }
    let handle = first.sqs().receive_message().queue_url(&url).send().await.unwrap();
    let handle = handle.messages()[0].receipt_handle().unwrap().to_owned();
    first.aws.set_secret("config", "secret").await.unwrap();
    send_raw(&first, "From: a@example.test\r\nSubject: kept\r\n\r\nx\r\n").await.unwrap();

    // The first stack is not closed, as after a kill.
    let second = Stack::start_in(Some(dir.path()), TEMPLATE).await.unwrap();
    let get = second.dynamodb().get_item().table_name("classes");
    let found = get.key("pk", text("one")).key("sk", text("class")).send().await.unwrap();
    assert_eq!(found.item.unwrap()["due"], text("today"));
    let depth = second.aws.queues().depth("outbox");
    assert_eq!((depth.visible, depth.in_flight), (1, 1));
    let url = second.aws.queues().url("outbox");
    let delete = second.sqs().delete_message().queue_url(&url).receipt_handle(handle);
    delete.send().await.unwrap();
    assert_eq!(second.aws.queues().depth("outbox").in_flight, 0);
    let secret = second.secrets().get_secret_value().secret_id("config").send().await.unwrap();
    assert_eq!(secret.secret_string(), Some("secret"));
    assert_eq!(second.aws.mailbox().list().unwrap()[0].subject, "kept");

    second.advance(SignedDuration::from_hours(1));
    assert_eq!(second.aws.sweep_ttl().unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn directory_of_another_template_is_rejected() {
    let dir = tempfile::tempdir().unwrap();
    drop(Stack::start_in(Some(dir.path()), TEMPLATE).await.unwrap());
    let other = TEMPLATE.replace("by-due", "by-time");
    let refused = Stack::start_in(Some(dir.path()), &other).await.err();
    assert!(matches!(refused, Some(StartError::TableMismatch { table }) if table == "classes"));
}
