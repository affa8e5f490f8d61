//! The receiving end: messages come and go ten at a time, and each is answered for singly.

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
use crate::domain::mailing::Mail;
use crate::random::Random;

/// SQS: messages in one request.
const BATCH: usize = 10;
/// Batches that are sent at once.
const BATCHES_AT_ONCE: usize = 5;
/// How often a batch is tried of which SQS took only a part.
const ROUNDS: usize = 3;
/// The pause before the rest of a batch is tried again, with as much again of jitter.
const PAUSE_MS: u64 = 50;
/// SQS: a message may stay hidden for twelve hours from when it was received; a few minutes of them have passed.
const LONGEST_DELAY: Duration = Duration::from_secs(12 * 60 * 60 - 10 * 60);

/// The queue did not do as asked, or nobody knows.
#[derive(Debug, thiserror::Error)]
#[error("the queue failed: {operation}")]
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

/// What a message says.
#[derive(Debug)]
pub enum MessageBody {
    /// An announcement lies there.
    WakeUp {
        pk: String,
        sk: String,
    },
    Mail(Box<Mail>),
    /// It cannot be read; the reason quotes nothing of it.
    Unreadable(String),
}

/// A message in hand.
#[derive(Debug)]
pub struct ReceivedMail {
    pub body: MessageBody,
    /// How often it was handed out, this time included.
    pub receives: u32,
    receipt: String,
    text: String,
}

/// A mail as a message: with the shape's number and what it is, for readers that are older or newer.
#[derive(Serialize, Deserialize)]
struct MailMessage<'a> {
    v: u32,
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(flatten)]
    mail: Mail,
    /// Why it lies in the dead-letter queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

const MAIL: &str = "mail";
const ANNOUNCEMENT: &str = "announcement";

fn message_of(mail: &Mail, error: Option<&str>) -> Result<String, QueueError> {
    let message = MailMessage { v: 1, kind: MAIL, mail: mail.clone(), error };
    serde_json::to_string(&message).map_err(failed("SendMessage"))
}

fn read(text: &str) -> MessageBody {
    let Ok(value) = serde_json::from_str::<Value>(text) else {
        return MessageBody::Unreadable("it is not JSON".to_owned());
    };
    let part = |name: &str| value[name].as_str().map(str::to_owned);
    match value["type"].as_str() {
        Some(ANNOUNCEMENT) => match (part("pk"), part("sk")) {
            (Some(pk), Some(sk)) => MessageBody::WakeUp { pk, sk },
            _ => MessageBody::Unreadable("it names no announcement".to_owned()),
        },
        Some(MAIL) => match serde_json::from_value(value) {
            Ok(mail) => MessageBody::Mail(Box::new(mail)),
            // Not the error's own words, which quote.
            Err(_) => MessageBody::Unreadable("it is no mail".to_owned()),
        },
        _ => MessageBody::Unreadable("it is of no known type".to_owned()),
    }
}

/// The outbox from its far side, and the queue of what could not be delivered.
#[derive(Clone, Debug)]
pub struct OutboxQueue {
    client: aws_sdk_sqs::Client,
    url: String,
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
            dead_letter_url: env.required(names::OUTBOX_DLQ_URL)?,
            random,
        })
    }

    /// Up to ten messages; none when the queue is empty, as far as SQS sees. Unless it may `wait` a second for the first,
    /// it asks a few of its servers only, and an empty answer may be wrong.
    pub async fn receive(&self, wait: bool) -> Result<Vec<ReceivedMail>, QueueError> {
        let answer = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(10)
            .wait_time_seconds(i32::from(wait))
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .send()
            .await
            .map_err(failed("ReceiveMessage"))?;
        Ok(answer.messages.unwrap_or_default().into_iter().filter_map(received).collect())
    }

    /// Queues mails, ten in a request. Where it fails, some may have been queued all the same.
    pub async fn send(&self, mails: &[Mail]) -> Result<(), QueueError> {
        let texts = mails
            .iter()
            .map(|mail| message_of(mail, None))
            .collect::<Result<Vec<_>, QueueError>>()?;
        let batches = texts.chunks(BATCH).map(|chunk| self.send_batch(chunk).boxed());
        all(batches.collect()).await
    }

    async fn send_batch(&self, texts: &[String]) -> Result<(), QueueError> {
        const OPERATION: &str = "SendMessageBatch";
        self.in_rounds(OPERATION, texts, |left| async move {
            let entries = left.into_iter().map(|(id, text)| {
                SendMessageBatchRequestEntry::builder().id(id).message_body(text).build()
            });
            let entries = entries.collect::<Result<_, _>>().map_err(failed(OPERATION))?;
            let batch = self.client.send_message_batch().queue_url(&self.url);
            let answer =
                batch.set_entries(Some(entries)).send().await.map_err(failed(OPERATION))?;
            Ok(answer.successful.into_iter().map(|entry| entry.id).collect())
        })
        .await
    }

    /// Takes messages off the queue.
    pub async fn delete(&self, messages: &[&ReceivedMail]) -> Result<(), QueueError> {
        let batches = messages.chunks(BATCH).map(|chunk| self.delete_batch(chunk).boxed());
        all(batches.collect()).await
    }

    async fn delete_batch(&self, messages: &[&ReceivedMail]) -> Result<(), QueueError> {
        const OPERATION: &str = "DeleteMessageBatch";
        self.in_rounds(OPERATION, messages, |left| async move {
            let entries = left.into_iter().map(|(id, message)| {
                let entry = DeleteMessageBatchRequestEntry::builder().id(id);
                entry.receipt_handle(&message.receipt).build()
            });
            let entries = entries.collect::<Result<_, _>>().map_err(failed(OPERATION))?;
            let batch = self.client.delete_message_batch().queue_url(&self.url);
            let answer =
                batch.set_entries(Some(entries)).send().await.map_err(failed(OPERATION))?;
            Ok(answer.successful.into_iter().map(|entry| entry.id).collect())
        })
        .await
    }

    /// Has messages come again after so long, each after its own time.
    pub async fn delay(&self, messages: &[(&ReceivedMail, Duration)]) -> Result<(), QueueError> {
        let batches = messages.chunks(BATCH).map(|chunk| self.delay_batch(chunk).boxed());
        all(batches.collect()).await
    }

    async fn delay_batch(&self, messages: &[(&ReceivedMail, Duration)]) -> Result<(), QueueError> {
        const OPERATION: &str = "ChangeMessageVisibilityBatch";
        self.in_rounds(OPERATION, messages, |left| async move {
            let entries = left.into_iter().map(|(id, (message, delay))| {
                let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(id);
                entry.receipt_handle(&message.receipt).visibility_timeout(seconds(*delay)).build()
            });
            let entries = entries.collect::<Result<_, _>>().map_err(failed(OPERATION))?;
            let batch = self.client.change_message_visibility_batch().queue_url(&self.url);
            let answer =
                batch.set_entries(Some(entries)).send().await.map_err(failed(OPERATION))?;
            Ok(answer.successful.into_iter().map(|entry| entry.id).collect())
        })
        .await
    }

    /// Asks until every entry was taken: a batch succeeds with entries that failed. `ask` answers the ids of those
    /// that were.
    async fn in_rounds<'a, T, F>(
        &self,
        operation: &'static str,
        entries: &'a [T],
        ask: impl Fn(Vec<(String, &'a T)>) -> F,
    ) -> Result<(), QueueError>
    where
        F: Future<Output = Result<Vec<String>, QueueError>>,
    {
        let numbered = entries.iter().enumerate();
        let mut left: Vec<_> = numbered.map(|(n, entry)| (n.to_string(), entry)).collect();
        for round in 0..ROUNDS {
            if round > 0 {
                let pause = PAUSE_MS + self.random.below(PAUSE_MS);
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
            let taken = ask(left.clone()).await?;
            left.retain(|(id, _)| !taken.contains(id));
            if left.is_empty() {
                return Ok(());
            }
        }
        let why = format!("{} entries were not taken", left.len());
        Err(QueueError { operation, source: why.into() })
    }

    /// Sets a mail aside, with why. Brought back, it begins anew.
    pub async fn bury(&self, mail: &Mail, error: &str) -> Result<(), QueueError> {
        let mail = Mail { round: mail.round + 1, ..mail.clone() };
        self.set_aside(&message_of(&mail, Some(error))?).await
    }

    /// Sets a message aside that cannot be read, as it is.
    pub async fn bury_unread(&self, message: &ReceivedMail) -> Result<(), QueueError> {
        self.set_aside(&message.text).await
    }

    async fn set_aside(&self, text: &str) -> Result<(), QueueError> {
        let send = self.client.send_message().queue_url(&self.dead_letter_url).message_body(text);
        send.send().await.map(drop).map_err(failed("SendMessage"))
    }
}

/// Every batch, a few at once; the first that fails ends it.
async fn all(batches: Vec<BoxFuture<'_, Result<(), QueueError>>>) -> Result<(), QueueError> {
    stream::iter(batches).buffer_unordered(BATCHES_AT_ONCE).try_collect::<Vec<()>>().await?;
    Ok(())
}

fn seconds(delay: Duration) -> i32 {
    // Rounded up: what comes too early is claimed by nobody and comes again.
    let whole = delay.min(LONGEST_DELAY).as_millis().div_ceil(1000);
    i32::try_from(whole).unwrap_or(i32::MAX)
}

fn received(message: Message) -> Option<ReceivedMail> {
    let text = message.body.unwrap_or_default();
    let count = message.attributes.and_then(|all| {
        all.get(&MessageSystemAttributeName::ApproximateReceiveCount)?.parse().ok()
    });
    Some(ReceivedMail {
        body: read(&text),
        receives: count.unwrap_or(1),
        receipt: message.receipt_handle?,
        text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::SessionId;
    use crate::domain::mailing::{MailSubject, MessageKey, MailKind};
    use crate::domain::text::Email;

    fn mail() -> Mail {
        let to = Email::parse("ada@example.test").unwrap();
        Mail {
            message_key: MessageKey::of("x", MailKind::Cancelled, &to),
            kind: MailKind::Cancelled,
            subject: MailSubject::Session(SessionId::from_bytes([1; 16])),
            to,
            name: None,
            user: None,
            starts_at: None,
            reason: Some("Snow.".to_owned()),
            version: None,
            to_newcomer: false,
            round: 0,
        }
    }

    #[test]
    fn a_mail_reads_back_also_from_among_the_dead() {
        for error in [None, Some("MessageRejected")] {
            let text = message_of(&mail(), error).unwrap();
            let MessageBody::Mail(read) = read(&text) else { panic!("{text}") };
            assert_eq!(*read, mail());
        }
    }

    #[test]
    fn what_cannot_be_read_is_told_without_a_quote() {
        let secret = "hunter2";
        for text in [
            secret.to_owned(),
            format!("{{\"type\":\"{secret}\"}}"),
            format!("{{\"type\":\"mail\",\"to\":\"{secret}\"}}"),
            "{\"type\":\"announcement\"}".to_owned(),
            "[]".to_owned(),
            String::new(),
        ] {
            let MessageBody::Unreadable(why) = read(&text) else { panic!("{text}") };
            assert!(!why.contains(secret), "{why}");
        }
    }

    #[test]
    fn a_delay_is_whole_seconds_and_no_longer_than_a_message_may_hide() {
        let cases = [(0, 0), (1, 1), (1_000, 1), (1_001, 2), (86_400_000, 42_600)];
        for (ms, expected) in cases {
            assert_eq!(seconds(Duration::from_millis(ms)), expected, "{ms} ms");
        }
    }
}
