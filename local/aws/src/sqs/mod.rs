//! SQS: standard queues on SQLite, as strict as AWS's.
//!
//! The queue decides when a mail is retried. This emulator therefore uses the stack's clock, keeps
//! its messages across restarts, and enforces the limits that AWS documents. Every operation is one
//! transaction. FIFO queues, tags, permissions and encryption are not supported.
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/>

mod browse;
mod dead_letters;
mod digest;
mod error;
mod handles;
mod limits;
mod moves;
mod queues;
mod receive;
mod send;
mod settings;
mod store;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::random::Random;
use tokio::sync::Notify;

use super::StartError;
use super::names::Names;
use super::refusal;
use crate::calls::AwsService;
use crate::template::Template;
use crate::{ServiceFault, state_file};

use error::SqsError;

/// The longest wait of an empty receive, in the machine's time. AWS waits up to 20 s, but here a
/// sweep without work should not delay its caller.
const MAX_WAIT: Duration = Duration::from_millis(60);
/// How often a waiting receive checks again, because the clock may have been moved.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The queues of the stack.
#[derive(Clone, Debug)]
pub struct Queues {
    database: Arc<Mutex<Connection>>,
    clock: Clock,
    random: Random,
    /// The prefix of queue URLs.
    base_url: Arc<str>,
    /// Notified when a message may have become visible.
    message_available: Arc<Notify>,
}

/// The number of messages in a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Messages that can be received now.
    pub visible: u64,
    /// Messages that were received and not deleted, until their visibility timeout ends.
    pub in_flight: u64,
    /// Messages that were sent with a delay that has not ended.
    pub delayed: u64,
}

/// A message as a function receives it.
#[derive(Clone, Debug)]
pub struct FunctionMessage {
    pub id: String,
    /// A record of the event.
    pub record: Value,
    receipt: String,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ReceivedMessage {
    message_id: String,
    receipt_handle: String,
    body: String,
    #[serde(rename = "MD5OfBody")]
    md5_of_body: String,
    #[serde(default)]
    attributes: Value,
}

impl ReceivedMessage {
    /// <https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html>
    fn for_function(self, queue: &str) -> FunctionMessage {
        let record = json!({
            "messageId": self.message_id,
            "receiptHandle": self.receipt_handle,
            "body": self.body,
            "attributes": self.attributes,
            "messageAttributes": {},
            "md5OfBody": self.md5_of_body,
            "eventSource": "aws:sqs",
            "eventSourceARN": settings::arn(queue),
            "awsRegion": crate::names::REGION,
        });
        FunctionMessage { id: self.message_id, record, receipt: self.receipt_handle }
    }
}

/// The database transaction of one operation.
struct QueueTransaction<'a> {
    database: Transaction<'a>,
    /// Time in milliseconds since the epoch.
    now: i64,
    random: &'a Random,
    base_url: &'a str,
    fail_last_entry: bool,
}

impl Queues {
    /// Opens the database and creates the template's queues.
    pub(crate) fn start(
        file: Option<&Path>,
        base_url: &str,
        template: &Template,
        names: &Names,
        clock: Clock,
        random: Random,
    ) -> Result<Self, StartError> {
        let queues = Self {
            database: Arc::new(Mutex::new(store::open(file)?)),
            clock,
            random,
            base_url: base_url.into(),
            message_available: Arc::default(),
        };
        queues.transaction(false, |transaction| {
            queues::create_from_template(transaction, template, names)
        })?;
        Ok(queues)
    }

    /// Deletes all messages and creates the template's queues again.
    pub(crate) fn reset(&self, template: &Template, names: &Names) -> Result<(), StartError> {
        Ok(self.transaction(false, |transaction| {
            store::clear(transaction)?;
            queues::create_from_template(transaction, template, names)
        })?)
    }

    /// Returns the URL of a queue.
    pub fn url(&self, name: &str) -> String {
        queues::url(&self.base_url, name)
    }

    /// Returns the number of messages in a queue. An unknown queue has none.
    pub fn depth(&self, name: &str) -> Depth {
        self.transaction(false, |transaction| transaction.depth(name)).unwrap_or_default()
    }

    /// Receives messages of a queue in the form of an event for a function. A long poll asks every server.
    pub fn receive_for_function(&self, name: &str, batch_size: u32) -> Vec<FunctionMessage> {
        let request = json!({
            "QueueUrl": self.url(name), "MaxNumberOfMessages": batch_size, "WaitTimeSeconds": 1,
            "AttributeNames": ["All"],
        });
        let received = self.transaction(false, |transaction| {
            let request = parse_request(request.to_string().as_bytes())?;
            Ok(receive::receive(transaction, &request)?.response)
        });
        let messages = received.unwrap_or_default()["Messages"].take();
        let messages: Vec<ReceivedMessage> = serde_json::from_value(messages).unwrap_or_default();
        messages.into_iter().map(|message| message.for_function(name)).collect()
    }

    /// Deletes a message that a function has handled.
    pub fn delete_handled(&self, name: &str, message: &FunctionMessage) {
        let request = json!({ "QueueUrl": self.url(name), "ReceiptHandle": message.receipt });
        let deleted = self.transaction(false, |transaction| {
            handles::delete(transaction, &parse_request(request.to_string().as_bytes())?)
        });
        if let Err(error) = deleted {
            tracing::warn!(event = "sqs.message_not_deleted", %error);
        }
    }

    /// Handles one call.
    pub(crate) async fn handle(
        &self,
        operation: &str,
        body: &[u8],
        fault: Option<ServiceFault>,
    ) -> Response {
        let partial = fault == Some(ServiceFault::Partial);
        let result = match operation {
            "ReceiveMessage" => self.receive(body).await,
            _ => self.transaction(partial, |transaction| transaction.dispatch(operation, body)),
        };
        if matches!(
            operation,
            "SendMessage"
                | "SendMessageBatch"
                | "ChangeMessageVisibility"
                | "ChangeMessageVisibilityBatch"
                | "StartMessageMoveTask"
        ) {
            self.message_available.notify_waiters();
        }
        match result {
            Ok(body) => refusal::success(AwsService::Sqs, &body),
            Err(error) => error.to_refusal().into_response(),
        }
    }

    async fn receive(&self, body: &[u8]) -> Result<Value, SqsError> {
        let request: receive::ReceiveMessage = parse_request(body)?;
        let receive =
            || self.transaction(false, |transaction| receive::receive(transaction, &request));
        let found = receive()?;
        let wait = found.wait.min(MAX_WAIT);
        if found.count > 0 || wait.is_zero() {
            return Ok(found.response);
        }
        let later = async {
            loop {
                let _either =
                    tokio::time::timeout(POLL_INTERVAL, self.message_available.notified()).await;
                let found = receive()?;
                if found.count > 0 {
                    return Ok(found.response);
                }
            }
        };
        tokio::time::timeout(wait, later).await.unwrap_or(Ok(found.response))
    }

    /// Runs `work` as one transaction.
    fn transaction<T>(
        &self,
        partial: bool,
        work: impl FnOnce(&QueueTransaction<'_>) -> Result<T, SqsError>,
    ) -> Result<T, SqsError> {
        // SQLite rolls back an interrupted transaction, so the database is consistent after a panic.
        let mut database = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        let done = self.transaction_in(&mut database, partial, work);
        if let Err(SqsError::Database(error)) = &done {
            state_file::log_full_disk(&database, error);
        }
        done
    }

    fn transaction_in<T>(
        &self,
        database: &mut Connection,
        partial: bool,
        work: impl FnOnce(&QueueTransaction<'_>) -> Result<T, SqsError>,
    ) -> Result<T, SqsError> {
        let transaction = QueueTransaction {
            database: database.transaction_with_behavior(TransactionBehavior::Immediate)?,
            now: self.clock.now().as_millisecond(),
            random: &self.random,
            base_url: &self.base_url,
            fail_last_entry: partial,
        };
        let done = work(&transaction)?;
        transaction.database.commit()?;
        Ok(done)
    }
}

impl QueueTransaction<'_> {
    fn dispatch(&self, operation: &str, body: &[u8]) -> Result<Value, SqsError> {
        match operation {
            "SendMessage" => send::send(self, &parse_request(body)?),
            "SendMessageBatch" => send::send_batch(self, &parse_request(body)?),
            "DeleteMessage" => handles::delete(self, &parse_request(body)?),
            "DeleteMessageBatch" => handles::delete_batch(self, &parse_request(body)?),
            "ChangeMessageVisibility" => handles::change_visibility(self, &parse_request(body)?),
            "ChangeMessageVisibilityBatch" => {
                handles::change_visibility_batch(self, &parse_request(body)?)
            }
            "CreateQueue" => queues::create(self, &parse_request(body)?),
            "GetQueueUrl" => queues::get_url(self, &parse_request(body)?),
            "ListQueues" => queues::list(self, &parse_request(body)?),
            "GetQueueAttributes" => queues::get_attributes(self, &parse_request(body)?),
            "SetQueueAttributes" => queues::set_attributes(self, &parse_request(body)?),
            "PurgeQueue" => queues::purge(self, &parse_request(body)?),
            "StartMessageMoveTask" => moves::start(self, &parse_request(body)?),
            "ListMessageMoveTasks" => moves::list(self, &parse_request(body)?),
            _ => Err(SqsError::UnsupportedOperation(operation.to_owned())),
        }
    }

    /// Returns `N` random bytes as hexadecimal digits.
    fn random_hex<const N: usize>(&self) -> String {
        data_encoding::HEXLOWER.encode(&self.random.bytes::<N>())
    }

    /// Returns a random id in the format of a UUID, like AWS's message ids.
    fn random_id(&self) -> String {
        let hex = self.random_hex::<16>();
        [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
    }
}

fn parse_request<T: DeserializeOwned>(body: &[u8]) -> Result<T, SqsError> {
    serde_json::from_slice(body).map_err(|error| SqsError::Malformed(error.to_string()))
}

/// Returns the response of an operation without results.
fn empty_response() -> Value {
    json!({})
}
