use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::ProvideErrorMetadata;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message,
    MessageAttributeValue, MessageSystemAttributeName, QueueAttributeName,
    SendMessageBatchRequestEntry,
};
use jiff::SignedDuration;
use local::aws::sqs::Depth;

use crate::stack::Stack;

async fn receive(client: &Client, url: &str) -> Vec<Message> {
    let receive = client
        .receive_message()
        .queue_url(url)
        .max_number_of_messages(10)
        .wait_time_seconds(1)
        .message_system_attribute_names(MessageSystemAttributeName::All)
        .message_attribute_names("All");
    receive.send().await.unwrap().messages.unwrap_or_default()
}

async fn send(client: &Client, url: &str, body: &str) {
    client.send_message().queue_url(url).message_body(body).send().await.unwrap();
}

fn entry(id: &str, body: &str) -> SendMessageBatchRequestEntry {
    SendMessageBatchRequestEntry::builder().id(id).message_body(body).build().unwrap()
}

fn system(message: &Message, name: MessageSystemAttributeName) -> &str {
    &message.attributes().unwrap()[&name]
}

#[tokio::test(flavor = "multi_thread")]
async fn message_is_hidden_until_its_visibility_timeout_ends() {
    let stack = Stack::start().await;
    let (client, url) = (stack.sqs(), stack.aws.queues().url("outbox"));
    let found = client.get_queue_url().queue_name("outbox").send().await.unwrap();
    assert_eq!(found.queue_url(), Some(url.as_str()));

    let color = MessageAttributeValue::builder().data_type("String").string_value("red");
    client
        .send_message()
        .queue_url(&url)
        .message_body("hello")
        .message_attributes("color", color.build().unwrap())
        .message_group_id("trainer-1")
        .send()
        .await
        .unwrap();
    let first = receive(&client, &url).await;
    assert_eq!(first[0].body(), Some("hello"));
    assert_eq!(first[0].md5_of_body(), Some("5d41402abc4b2a76b9719d911017c592"));
    assert_eq!(first[0].message_attributes().unwrap()["color"].string_value(), Some("red"));
    assert_eq!(system(&first[0], MessageSystemAttributeName::ApproximateReceiveCount), "1");
    assert_eq!(system(&first[0], MessageSystemAttributeName::MessageGroupId), "trainer-1");
    assert_eq!(
        system(&first[0], MessageSystemAttributeName::SentTimestamp),
        stack.now().as_millisecond().to_string()
    );
    assert_eq!(receive(&client, &url).await, []);
    assert_eq!(stack.aws.queues().depth("outbox"), Depth { in_flight: 1, ..Depth::default() });

    stack.advance(SignedDuration::from_secs(90));
    let second = receive(&client, &url).await;
    assert_eq!(system(&second[0], MessageSystemAttributeName::ApproximateReceiveCount), "2");
    assert_eq!(second[0].message_id(), first[0].message_id());

    // The handle of the first receive is no longer valid.
    let delete = |message: &Message| {
        let handle = message.receipt_handle().unwrap();
        client.delete_message().queue_url(&url).receipt_handle(handle).send()
    };
    delete(&first[0]).await.unwrap();
    assert_eq!(stack.aws.queues().depth("outbox").in_flight, 1);
    delete(&second[0]).await.unwrap();
    assert_eq!(stack.aws.queues().depth("outbox"), Depth::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn long_poll_returns_when_a_delayed_message_becomes_visible() {
    let stack = Stack::start().await;
    let (client, url) = (stack.sqs(), stack.aws.queues().url("outbox"));
    let delayed = client.send_message().queue_url(&url).message_body("later").delay_seconds(900);
    delayed.send().await.unwrap();
    assert_eq!(receive(&client, &url).await, []);
    assert_eq!(stack.aws.queues().depth("outbox").delayed, 1);

    let waiting = client.receive_message().queue_url(&url).wait_time_seconds(20).send();
    let moving = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        stack.advance(SignedDuration::from_mins(15));
    };
    let (received, ()) = futures::join!(waiting, moving);
    assert_eq!(received.unwrap().messages()[0].body(), Some("later"));

    let nothing = client.receive_message().queue_url(&url).wait_time_seconds(20).send();
    assert_eq!(nothing.await.unwrap().messages(), [], "the wait is bounded");
}

#[tokio::test(flavor = "multi_thread")]
async fn visibility_timeout_of_a_message_in_flight_can_be_changed() {
    let stack = Stack::start().await;
    let (client, url) = (stack.sqs(), stack.aws.queues().url("outbox"));
    send(&client, &url, "again").await;
    let handle = receive(&client, &url).await[0].receipt_handle().unwrap().to_owned();
    let change = |handle: &str, seconds| {
        client
            .change_message_visibility()
            .queue_url(&url)
            .receipt_handle(handle)
            .visibility_timeout(seconds)
            .send()
    };
    change(&handle, 7200).await.unwrap();
    stack.advance(SignedDuration::from_mins(119));
    assert_eq!(receive(&client, &url).await, []);

    let too_long = change(&handle, 43_201).await.unwrap_err().into_service_error();
    assert_eq!(too_long.code(), Some("InvalidParameterValue"));
    let no_handle = change("nonsense", 1).await.unwrap_err().into_service_error();
    assert!(no_handle.is_receipt_handle_is_invalid(), "{no_handle:?}");

    stack.advance(SignedDuration::from_mins(1));
    let visible = change(&handle, 1).await.unwrap_err().into_service_error();
    assert!(visible.is_message_not_inflight(), "{visible:?}");
    let again = receive(&client, &url).await;
    change(again[0].receipt_handle().unwrap(), 0).await.unwrap();
    assert_eq!(
        receive(&client, &url).await.len(),
        1,
        "a timeout of zero makes it visible immediately"
    );
    let spent = change(&handle, 1).await.unwrap_err().into_service_error();
    assert_eq!(spent.code(), Some("InvalidParameterValue"));
}

#[tokio::test(flavor = "multi_thread")]
async fn message_received_too_often_is_dead_lettered_and_can_be_moved_back() {
    let stack = Stack::start().await;
    let client = stack.sqs();
    let queues = stack.aws.queues();
    let (url, unreachable_url) = (queues.url("outbox"), queues.url("outbox-dead"));
    send(&client, &url, "poison").await;
    for _ in 0..3 {
        assert_eq!(receive(&client, &url).await.len(), 1);
        stack.advance(SignedDuration::from_secs(90));
    }
    send(&client, &url, "neighbour").await;
    let received = receive(&client, &url).await;
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].body(), Some("neighbour"));
    assert_eq!(queues.depth("outbox-dead").visible, 1);

    let dead = receive(&client, &unreachable_url).await;
    assert_eq!(dead[0].body(), Some("poison"));
    let source = MessageSystemAttributeName::DeadLetterQueueSourceArn;
    assert!(system(&dead[0], source).ends_with(":outbox"));
    stack.advance(SignedDuration::from_hours(72));

    let arn = |queue: &str| format!("arn:aws:sqs:us-east-1:000000000000:{queue}");
    let start = |queue: &str| client.start_message_move_task().source_arn(arn(queue)).send();
    let not_dead = start("outbox").await.unwrap_err().into_service_error();
    assert_eq!(not_dead.code(), Some("InvalidParameterValue"));
    let unknown = start("nothing").await.unwrap_err().into_service_error();
    assert!(unknown.is_resource_not_found_exception(), "{unknown:?}");
    start("outbox-dead").await.unwrap();
    let tasks = client.list_message_move_tasks().source_arn(arn("outbox-dead")).send().await;
    let task = tasks.unwrap().results()[0].clone();
    assert_eq!(
        (task.status(), task.approximate_number_of_messages_moved()),
        (Some("COMPLETED"), 1)
    );

    let back = receive(&client, &url).await;
    let poison = back.iter().find(|message| message.body() == Some("poison")).unwrap();
    assert_eq!(system(poison, MessageSystemAttributeName::ApproximateReceiveCount), "1");
    assert_ne!(poison.message_id(), dead[0].message_id(), "a moved message has a new id");
}

#[tokio::test(flavor = "multi_thread")]
async fn move_of_a_message_without_source_queue_needs_a_destination() {
    let stack = Stack::start().await;
    let client = stack.sqs();
    send(&client, &stack.aws.queues().url("outbox-dead"), "lost").await;
    let arn = "arn:aws:sqs:us-east-1:000000000000:outbox-dead";
    client.start_message_move_task().source_arn(arn).send().await.unwrap();
    let tasks = client.list_message_move_tasks().source_arn(arn).send().await.unwrap();
    assert_eq!(tasks.results()[0].failure_reason(), Some("CouldNotDetermineMessageSource"));
    assert_eq!(stack.aws.queues().depth("outbox-dead").visible, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn batch_continues_without_the_entries_that_fail() {
    let stack = Stack::start().await;
    let (client, url) = (stack.sqs(), stack.aws.queues().url("outbox"));
    let late =
        SendMessageBatchRequestEntry::builder().id("late").message_body("x").delay_seconds(901);
    let sent = client
        .send_message_batch()
        .queue_url(&url)
        .entries(entry("good", "hello"))
        .entries(late.build().unwrap())
        .entries(entry("odd", "\u{1}"))
        .send()
        .await
        .unwrap();
    assert_eq!(sent.successful()[0].id(), "good");
    let failed: Vec<_> = sent.failed().iter().map(|entry| (entry.id(), entry.code())).collect();
    assert_eq!(failed, [("late", "InvalidParameterValue"), ("odd", "InvalidMessageContents")]);
    assert!(sent.failed()[0].sender_fault());

    let handle = receive(&client, &url).await[0].receipt_handle().unwrap().to_owned();
    let change = |id: &str, handle: &str| {
        ChangeMessageVisibilityBatchRequestEntry::builder()
            .id(id)
            .receipt_handle(handle)
            .visibility_timeout(5)
            .build()
            .unwrap()
    };
    let changed = client
        .change_message_visibility_batch()
        .queue_url(&url)
        .entries(change("good", &handle))
        .entries(change("bad", "nonsense"))
        .send()
        .await
        .unwrap();
    assert_eq!((changed.successful().len(), changed.failed()[0].id()), (1, "bad"));

    let delete = DeleteMessageBatchRequestEntry::builder().id("a").receipt_handle(&handle);
    let delete = client.delete_message_batch().queue_url(&url).entries(delete.build().unwrap());
    assert_eq!(delete.send().await.unwrap().successful().len(), 1);
    assert_eq!(stack.aws.queues().depth("outbox"), Depth::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_batch_is_rejected_as_a_whole() {
    let stack = Stack::start().await;
    let (client, url) = (stack.sqs(), stack.aws.queues().url("outbox"));
    let send = |entries: Vec<_>| {
        client.send_message_batch().queue_url(&url).set_entries(Some(entries)).send()
    };
    let eleven = (0..11).map(|n| entry(&n.to_string(), "x")).collect();
    let error = send(eleven).await.unwrap_err().into_service_error();
    assert!(error.is_too_many_entries_in_batch_request(), "{error:?}");
    let error = send(vec![]).await.unwrap_err().into_service_error();
    assert!(error.is_empty_batch_request(), "{error:?}");
    let error = send(vec![entry("a", "x"), entry("a", "y")]).await.unwrap_err();
    assert!(error.into_service_error().is_batch_entry_ids_not_distinct());
    let error = send(vec![entry("a b", "x")]).await.unwrap_err().into_service_error();
    assert!(error.is_invalid_batch_entry_id(), "{error:?}");
    let half = "x".repeat(600_000);
    let error = send(vec![entry("a", &half), entry("b", &half)]).await.unwrap_err();
    assert!(error.into_service_error().is_batch_request_too_long());
    assert_eq!(stack.aws.queues().depth("outbox"), Depth::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn single_calls_have_the_limits_and_error_types_of_aws() {
    let stack = Stack::start().await;
    let (client, url) = (stack.sqs(), stack.aws.queues().url("outbox"));
    let send =
        |url: &str, body: String| client.send_message().queue_url(url).message_body(body).send();

    assert!(send(&url, "x".repeat(1_048_576)).await.is_ok());
    let error = send(&url, "x".repeat(1_048_577)).await.unwrap_err().into_service_error();
    assert_eq!(error.code(), Some("InvalidParameterValue"));
    let error = send(&url, String::new()).await.unwrap_err().into_service_error();
    assert_eq!(error.code(), Some("MissingParameter"));
    let error = send(&url, "\u{1}".into()).await.unwrap_err().into_service_error();
    assert!(error.is_invalid_message_contents(), "{error:?}");
    let error = send(&format!("{url}-not"), "x".into()).await.unwrap_err().into_service_error();
    assert!(error.is_queue_does_not_exist(), "{error:?}");

    let receive =
        |most| client.receive_message().queue_url(&url).max_number_of_messages(most).send();
    let error = receive(11).await.unwrap_err().into_service_error();
    assert_eq!(error.code(), Some("InvalidParameterValue"));
}

#[tokio::test(flavor = "multi_thread")]
async fn queues_are_created_described_changed_and_purged() {
    let stack = Stack::start().await;
    let client = stack.sqs();
    let attribute = |name: QueueAttributeName, value: &str| (name, value.to_owned());
    let create = |name: &str, seconds: &str| {
        let visibility = attribute(QueueAttributeName::VisibilityTimeout, seconds);
        client.create_queue().queue_name(name).set_attributes(Some([visibility].into())).send()
    };
    let url = create("extra", "5").await.unwrap().queue_url.unwrap();
    assert_eq!(create("extra", "5").await.unwrap().queue_url.as_ref(), Some(&url));
    let error = create("extra", "6").await.unwrap_err().into_service_error();
    assert!(error.is_queue_name_exists(), "{error:?}");
    assert_eq!(create("extra.fifo", "5").await.unwrap_err().code(), Some("InvalidParameterValue"));
    let listed = client.list_queues().queue_name_prefix("outbox").send().await.unwrap();
    assert_eq!(listed.queue_urls().len(), 2);

    send(&client, &url, "hello").await;
    client
        .set_queue_attributes()
        .queue_url(&url)
        .attributes(QueueAttributeName::DelaySeconds, "7")
        .send()
        .await
        .unwrap();
    let request = client.get_queue_attributes().queue_url(&url);
    let attributes =
        request.attribute_names(QueueAttributeName::All).send().await.unwrap().attributes.unwrap();
    assert_eq!(attributes[&QueueAttributeName::ApproximateNumberOfMessages], "1");
    assert_eq!(attributes[&QueueAttributeName::DelaySeconds], "7");
    assert_eq!(attributes[&QueueAttributeName::VisibilityTimeout], "5");

    let outbox = stack.aws.queues().url("outbox");
    let request = client.get_queue_attributes().queue_url(outbox);
    let response = request.attribute_names(QueueAttributeName::RedrivePolicy).send().await.unwrap();
    let attributes = response.attributes.unwrap();
    assert!(attributes[&QueueAttributeName::RedrivePolicy].contains(":outbox-dead"));
    assert_eq!(attributes.len(), 1);

    let purge = || client.purge_queue().queue_url(&url).send();
    purge().await.unwrap();
    assert_eq!(stack.aws.queues().depth("extra"), Depth::default());
    assert!(purge().await.unwrap_err().into_service_error().is_purge_queue_in_progress());
    stack.advance(SignedDuration::from_secs(60));
    purge().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn queue_deletes_messages_after_its_retention_period() {
    let stack = Stack::start().await;
    let (client, url) = (stack.sqs(), stack.aws.queues().url("outbox"));
    send(&client, &url, "old").await;
    stack.advance(SignedDuration::from_hours(14 * 24));
    assert_eq!(receive(&client, &url).await, []);
    assert_eq!(stack.aws.queues().depth("outbox"), Depth::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn short_poll_can_miss_messages_and_long_poll_finds_all() {
    let stack = Stack::start().await;
    let client = stack.sqs();
    let created = client.create_queue().queue_name("polled").send().await.unwrap();
    let url = created.queue_url.unwrap();
    send(&client, &url, "hello").await;
    let short_poll = || async {
        let receive = client.receive_message().queue_url(&url).visibility_timeout(0);
        receive.send().await.unwrap().messages.unwrap_or_default().len()
    };
    let mut found = 0;
    for _ in 0..40 {
        found += short_poll().await;
    }
    assert!((20..40).contains(&found), "{found} of 40");
    assert_eq!(receive(&client, &url).await.len(), 1);
}
