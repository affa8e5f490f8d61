//! Receives, sends, deletes and delays messages in batches of ten. Urgent mails and wake-ups have one queue, bulk mails
//! another.

use std::time::Duration;

use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message,
    MessageSystemAttributeName, SendMessageBatchRequestEntry,
};
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::{ConfigError, Env, names};
use crate::domain::mailing::{Mail, Urgency};
use crate::random::Random;

/// The SQS limit of messages per request.
const BATCH: usize = 10;
/// The number of concurrent batches.
const BATCH_CONCURRENCY: usize = 5;
/// The number of attempts for a batch that SQS accepts only partially.
const BATCH_ATTEMPTS: usize = 3;
/// The pause before the rest of a batch is retried, plus up to as much jitter.
const RETRY_PAUSE_MS: u64 = 50;
/// The maximum delay. SQS hides a message for at most twelve hours after it was received, which was a few minutes ago.
const MAX_DELAY: Duration = Duration::from_secs(12 * 60 * 60 - 10 * 60);

/// A request to SQS failed or its outcome is unknown.
#[derive(Debug, thiserror::Error)]
#[error("queue request failed: {operation}")]
pub struct QueueError {
    operation: &'static str,
    #[source]
    source: Box<dyn std::error::Error + Send + Sync>,
}

fn failed<E>(operation: &'static str) -> impl FnOnce(E) -> QueueError
where
    E: std::error::Error + Send + Sync + 'static,
{
    move |error| QueueError { operation, source: Box::new(error) }
}

/// The parsed body of a message.
#[derive(Debug)]
pub enum MessageBody {
    /// The key of a stored domain event.
    WakeUp {
        pk: String,
        sk: String,
    },
    Mail(Box<Mail>),
    /// An invalid body, with a reason that does not quote it.
    Unreadable(String),
}

impl MessageBody {
    pub fn is_mail(&self) -> bool {
        matches!(self, Self::Mail(_))
    }
}

/// A received message, hidden from other consumers until its visibility timeout.
#[derive(Debug)]
pub struct ReceivedMessage {
    pub body: MessageBody,
    /// The queue from which the message was received.
    pub urgency: Urgency,
    /// How often the message was received, including this time.
    pub receive_count: u32,
    receipt: String,
    text: String,
}

/// The message body of a mail, with a format version and a type for older and newer readers.
#[derive(Serialize, Deserialize)]
struct MailMessage<'a> {
    v: u32,
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(flatten)]
    mail: Mail,
    /// The reason for the dead-letter queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

const MAIL: &str = "mail";
const WAKE_UP: &str = "wake_up";

fn serialize_mail(mail: &Mail, error: Option<&str>) -> Result<String, QueueError> {
    let message = MailMessage { v: 1, kind: MAIL, mail: mail.clone(), error };
    serde_json::to_string(&message).map_err(failed("SendMessage"))
}

fn parse_body(text: &str) -> MessageBody {
    let Ok(value) = serde_json::from_str::<Value>(text) else {
        return MessageBody::Unreadable("not JSON".to_owned());
    };
    let field = |name: &str| value[name].as_str().map(str::to_owned);
    match value["type"].as_str() {
        Some(WAKE_UP) => match (field("pk"), field("sk")) {
            (Some(pk), Some(sk)) => MessageBody::WakeUp { pk, sk },
            _ => MessageBody::Unreadable("no domain event key".to_owned()),
        },
        Some(MAIL) => match serde_json::from_value(value) {
            Ok(mail) => MessageBody::Mail(Box::new(mail)),
            // The error message may quote the body.
            Err(_) => MessageBody::Unreadable("not a mail".to_owned()),
        },
        _ => MessageBody::Unreadable("unknown type".to_owned()),
    }
}

/// The queues of wake-ups and mails, and their dead-letter queue.
#[derive(Clone, Debug)]
pub struct OutboxQueue {
    client: aws_sdk_sqs::Client,
    url: String,
    /// The queue of bulk mails. Without one, all mails share the other queue.
    bulk_url: Option<String>,
    dead_letter_url: String,
    random: Random,
}

impl OutboxQueue {
    pub fn new(
        client: aws_sdk_sqs::Client,
        env: &Env,
        random: Random,
    ) -> Result<Self, ConfigError> {
        Ok(Self {
            client,
            url: env.required(names::OUTBOX_QUEUE_URL)?,
            bulk_url: env.optional(names::OUTBOX_BULK_QUEUE_URL),
            dead_letter_url: env.required(names::OUTBOX_DLQ_URL)?,
            random,
        })
    }

    fn url(&self, urgency: Urgency) -> &str {
        match (urgency, &self.bulk_url) {
            (Urgency::Bulk, Some(url)) => url,
            _ => &self.url,
        }
    }

    /// Receives up to ten messages of a queue. Without `wait`, SQS asks only some of its servers and may return no message
    /// although there are some. With `wait`, it waits up to a second for the first one.
    pub async fn receive(
        &self,
        urgency: Urgency,
        wait: bool,
    ) -> Result<Vec<ReceivedMessage>, QueueError> {
        if urgency == Urgency::Bulk && self.bulk_url.is_none() {
            return Ok(Vec::new());
        }
        let response = self
            .client
            .receive_message()
            .queue_url(self.url(urgency))
            .max_number_of_messages(10)
            .wait_time_seconds(i32::from(wait))
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .send()
            .await
            .map_err(failed("ReceiveMessage"))?;
        let messages = response.messages.unwrap_or_default().into_iter();
        Ok(messages.filter_map(|message| parse_message(message, urgency)).collect())
    }

    /// Enqueues mails. On an error, some of them may have been enqueued.
    pub async fn send(&self, urgency: Urgency, mails: &[Mail]) -> Result<(), QueueError> {
        let texts = mails
            .iter()
            .map(|mail| serialize_mail(mail, None))
            .collect::<Result<Vec<_>, QueueError>>()?;
        let url = self.url(urgency);
        let batches = texts.chunks(BATCH).map(|chunk| self.send_batch(url, chunk).boxed());
        run_batches(batches.collect()).await
    }

    async fn send_batch(&self, url: &str, texts: &[String]) -> Result<(), QueueError> {
        const OPERATION: &str = "SendMessageBatch";
        self.retry_rejected(OPERATION, texts, |left| async move {
            let entries = left.into_iter().map(|(id, text)| {
                SendMessageBatchRequestEntry::builder().id(id).message_body(text).build()
            });
            let entries = entries.collect::<Result<_, _>>().map_err(failed(OPERATION))?;
            let batch = self.client.send_message_batch().queue_url(url);
            let response =
                batch.set_entries(Some(entries)).send().await.map_err(failed(OPERATION))?;
            Ok(response.successful.into_iter().map(|entry| entry.id).collect())
        })
        .await
    }

    /// Deletes messages from the queue.
    pub async fn delete(&self, messages: &[&ReceivedMessage]) -> Result<(), QueueError> {
        let (urgent, bulk) = by_queue(messages, |message| message.urgency);
        let urgent = urgent.chunks(BATCH).map(|chunk| (&*self.url, chunk));
        let bulk = bulk.chunks(BATCH).map(|chunk| (self.url(Urgency::Bulk), chunk));
        let batches = urgent.chain(bulk).map(|(url, chunk)| self.delete_batch(url, chunk).boxed());
        run_batches(batches.collect()).await
    }

    async fn delete_batch(
        &self,
        url: &str,
        messages: &[&ReceivedMessage],
    ) -> Result<(), QueueError> {
        const OPERATION: &str = "DeleteMessageBatch";
        self.retry_rejected(OPERATION, messages, |left| async move {
            let entries = left.into_iter().map(|(id, message)| {
                let entry = DeleteMessageBatchRequestEntry::builder().id(id);
                entry.receipt_handle(&message.receipt).build()
            });
            let entries = entries.collect::<Result<_, _>>().map_err(failed(OPERATION))?;
            let batch = self.client.delete_message_batch().queue_url(url);
            let response =
                batch.set_entries(Some(entries)).send().await.map_err(failed(OPERATION))?;
            Ok(response.successful.into_iter().map(|entry| entry.id).collect())
        })
        .await
    }

    /// Hides messages for the given durations, after which they are received again.
    pub async fn delay(&self, messages: &[(&ReceivedMessage, Duration)]) -> Result<(), QueueError> {
        let (urgent, bulk) = by_queue(messages, |(message, _)| message.urgency);
        let urgent = urgent.chunks(BATCH).map(|chunk| (&*self.url, chunk));
        let bulk = bulk.chunks(BATCH).map(|chunk| (self.url(Urgency::Bulk), chunk));
        let batches = urgent.chain(bulk).map(|(url, chunk)| self.delay_batch(url, chunk).boxed());
        run_batches(batches.collect()).await
    }

    async fn delay_batch(
        &self,
        url: &str,
        messages: &[(&ReceivedMessage, Duration)],
    ) -> Result<(), QueueError> {
        const OPERATION: &str = "ChangeMessageVisibilityBatch";
        self.retry_rejected(OPERATION, messages, |left| async move {
            let entries = left.into_iter().map(|(id, (message, delay))| {
                let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(id);
                entry
                    .receipt_handle(&message.receipt)
                    .visibility_timeout(visibility_timeout_seconds(*delay))
                    .build()
            });
            let entries = entries.collect::<Result<_, _>>().map_err(failed(OPERATION))?;
            let batch = self.client.change_message_visibility_batch().queue_url(url);
            let response =
                batch.set_entries(Some(entries)).send().await.map_err(failed(OPERATION))?;
            Ok(response.successful.into_iter().map(|entry| entry.id).collect())
        })
        .await
    }

    /// Retries the rejected entries of a batch, because a batch request can succeed partially. `send` returns the ids
    /// of the accepted entries.
    async fn retry_rejected<'a, T, F>(
        &self,
        operation: &'static str,
        entries: &'a [T],
        send: impl Fn(Vec<(String, &'a T)>) -> F,
    ) -> Result<(), QueueError>
    where
        F: Future<Output = Result<Vec<String>, QueueError>>,
    {
        let numbered = entries.iter().enumerate();
        let mut left: Vec<_> = numbered.map(|(n, entry)| (n.to_string(), entry)).collect();
        for attempt in 0..BATCH_ATTEMPTS {
            if attempt > 0 {
                let pause = RETRY_PAUSE_MS + self.random.below(RETRY_PAUSE_MS);
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
            let accepted = send(left.clone()).await?;
            left.retain(|(id, _)| !accepted.contains(id));
            if left.is_empty() {
                return Ok(());
            }
        }
        let message = format!("{} entries were rejected", left.len());
        Err(QueueError { operation, source: message.into() })
    }

    /// Sends a mail to the dead-letter queue. Its redrive count is increased for when it is moved back.
    pub async fn send_to_dead_letter_queue(
        &self,
        mail: &Mail,
        error: &str,
    ) -> Result<(), QueueError> {
        let mail = Mail { redrives: mail.redrives + 1, ..mail.clone() };
        self.send_dead_letter(&serialize_mail(&mail, Some(error))?).await
    }

    /// Sends an unreadable message to the dead-letter queue, unchanged.
    pub async fn send_unreadable_to_dead_letter_queue(
        &self,
        message: &ReceivedMessage,
    ) -> Result<(), QueueError> {
        self.send_dead_letter(&message.text).await
    }

    async fn send_dead_letter(&self, text: &str) -> Result<(), QueueError> {
        let send = self.client.send_message().queue_url(&self.dead_letter_url).message_body(text);
        send.send().await.map(drop).map_err(failed("SendMessage"))
    }
}

/// Runs the batches with limited concurrency and stops at the first error.
async fn run_batches(
    batches: Vec<BoxFuture<'_, Result<(), QueueError>>>,
) -> Result<(), QueueError> {
    stream::iter(batches).buffer_unordered(BATCH_CONCURRENCY).try_collect::<Vec<()>>().await?;
    Ok(())
}

fn visibility_timeout_seconds(delay: Duration) -> i32 {
    // Rounded up, because a message that arrives too early cannot be claimed and is delayed again.
    let whole = delay.min(MAX_DELAY).as_millis().div_ceil(1000);
    i32::try_from(whole).unwrap_or(i32::MAX)
}

/// Splits entries by their queue.
fn by_queue<T: Clone>(entries: &[T], urgency: impl Fn(&T) -> Urgency) -> (Vec<T>, Vec<T>) {
    entries.iter().cloned().partition(|entry| urgency(entry) == Urgency::Urgent)
}

fn parse_message(message: Message, urgency: Urgency) -> Option<ReceivedMessage> {
    let text = message.body.unwrap_or_default();
    let count = message.attributes.and_then(|all| {
        all.get(&MessageSystemAttributeName::ApproximateReceiveCount)?.parse().ok()
    });
    Some(ReceivedMessage {
        body: parse_body(&text),
        urgency,
        receive_count: count.unwrap_or(1),
        receipt: message.receipt_handle?,
        text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::SessionId;
    use crate::domain::mailing::{AddressDigest, MailKind, MailSubject, MessageKey, RecipientRef};
    use crate::domain::text::Email;

    fn mail() -> Mail {
        let to = Email::parse("ada@example.test").unwrap();
        let subject = MailSubject::Session(SessionId::from_bytes([1; 16]));
        Mail {
            message_key: MessageKey::new("x", MailKind::Cancelled, &to),
            kind: MailKind::Cancelled,
            to: AddressDigest::new(&to),
            recipient: RecipientRef::new(&subject, &to),
            subject,
            user: None,
            other_users: Vec::new(),
            starts_at: None,
            reason: Some("Snow.".to_owned()),
            version: None,
            link_generation: None,
            to_new_student: false,
            address_changed: false,
            redrives: 0,
        }
    }

    #[test]
    fn mail_is_parsed_unchanged_with_or_without_an_error() {
        for error in [None, Some("MessageRejected")] {
            let text = serialize_mail(&mail(), error).unwrap();
            let MessageBody::Mail(parsed) = parse_body(&text) else { panic!("{text}") };
            assert_eq!(*parsed, mail());
            assert!(!text.contains("ada"), "{text}");
        }
    }

    #[test]
    fn reason_for_an_unreadable_body_does_not_quote_it() {
        let secret = "hunter2";
        for text in [
            secret.to_owned(),
            format!("{{\"type\":\"{secret}\"}}"),
            format!("{{\"type\":\"mail\",\"to\":\"{secret}\"}}"),
            "{\"type\":\"wake_up\"}".to_owned(),
            "[]".to_owned(),
            String::new(),
        ] {
            let MessageBody::Unreadable(reason) = parse_body(&text) else { panic!("{text}") };
            assert!(!reason.contains(secret), "{reason}");
        }
    }

    #[test]
    fn delay_is_rounded_up_and_limited_by_sqs() {
        let cases = [(0, 0), (1, 1), (1_000, 1), (1_001, 2), (86_400_000, 42_600)];
        for (ms, expected) in cases {
            assert_eq!(visibility_timeout_seconds(Duration::from_millis(ms)), expected, "{ms} ms");
        }
    }
}
