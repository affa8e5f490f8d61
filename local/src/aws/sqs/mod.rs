//! SQS: standard queues on SQLite, as strict as AWS's.
//!
//! The queue decides when a mail is tried again, so it is our own: it tells time by the stack's
//! clock, keeps its messages over a restart, and has the limits that AWS documents. Every operation
//! is one transaction. FIFO queues, tags, permissions and encryption are left out.
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/>

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
use crate::calls::Service;
use crate::faults::Within;
use crate::template::Template;

use error::SqsError;

/// How long an empty receive waits at most, in the machine's time. AWS waits up to 20 s; here a
/// sweep that found nothing should not hold up whoever asked for it.
const LONGEST_WAIT: Duration = Duration::from_millis(250);
/// How often a waiting receive looks again: the clock may have been moved.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The queues of the stack.
#[derive(Clone, Debug)]
pub struct Queues {
    database: Arc<Mutex<Connection>>,
    clock: Clock,
    random: Random,
    /// What queue URLs begin with.
    base_url: Arc<str>,
    /// Told of every message that may be there to receive.
    arrived: Arc<Notify>,
}

/// How many messages a queue holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// To be received now.
    pub visible: u64,
    /// Received and not deleted, until their visibility time ends.
    pub in_flight: u64,
    /// Sent with a delay that is not over.
    pub delayed: u64,
}

/// One operation's view of the queues.
struct Session<'a> {
    database: Transaction<'a>,
    /// Milliseconds since the epoch.
    now: i64,
    random: &'a Random,
    base_url: &'a str,
    partial: bool,
}

impl Queues {
    /// Opens the queues and makes the template's.
    pub(crate) fn start(
        file: Option<&Path>,
        base_url: &str,
        template: &Template,
        names: &Names,
        clock: Clock,
        random: Random,
    ) -> Result<Self, StartError> {
        let queues = Self {
            database: Arc::new(Mutex::new(store::open(file).map_err(SqsError::from)?)),
            clock,
            random,
            base_url: base_url.into(),
            arrived: Arc::default(),
        };
        queues.within(false, |session| queues::create_from(session, template, names))?;
        Ok(queues)
    }

    /// The URL of a queue.
    pub fn url(&self, name: &str) -> String {
        queues::url(&self.base_url, name)
    }

    /// How many messages a queue holds; none when there is no such queue.
    pub fn depth(&self, name: &str) -> Depth {
        self.within(false, |session| session.depth(name)).unwrap_or_default()
    }

    /// Answers one call.
    pub(crate) async fn answer(
        &self,
        operation: &str,
        body: &[u8],
        within: Option<Within>,
    ) -> Response {
        let partial = within == Some(Within::Partial);
        let answered = match operation {
            "ReceiveMessage" => self.receive(body).await,
            _ => self.within(partial, |session| session.run(operation, body)),
        };
        if matches!(
            operation,
            "SendMessage"
                | "SendMessageBatch"
                | "ChangeMessageVisibility"
                | "ChangeMessageVisibilityBatch"
                | "StartMessageMoveTask"
        ) {
            self.arrived.notify_waiters();
        }
        match answered {
            Ok(answer) => refusal::answer(Service::Sqs, &answer),
            Err(error) => error.refusal().into_response(),
        }
    }

    async fn receive(&self, body: &[u8]) -> Result<Value, SqsError> {
        let request: receive::ReceiveMessage = parsed(body)?;
        let receive = || self.within(false, |session| receive::receive(session, &request));
        let found = receive()?;
        let wait = found.wait.min(LONGEST_WAIT);
        if found.count > 0 || wait.is_zero() {
            return Ok(found.answer);
        }
        let later = async {
            loop {
                let _either = tokio::time::timeout(LOOK_AGAIN, self.arrived.notified()).await;
                let found = receive()?;
                if found.count > 0 {
                    return Ok(found.answer);
                }
            }
        };
        tokio::time::timeout(wait, later).await.unwrap_or(Ok(found.answer))
    }

    /// Runs `work` as one transaction.
    fn within<T>(
        &self,
        partial: bool,
        work: impl FnOnce(&Session<'_>) -> Result<T, SqsError>,
    ) -> Result<T, SqsError> {
        // An interrupted transaction was rolled back: the database is whole after a panic.
        let mut database = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        let session = Session {
            database: database.transaction_with_behavior(TransactionBehavior::Immediate)?,
            now: self.clock.now().as_millisecond(),
            random: &self.random,
            base_url: &self.base_url,
            partial,
        };
        let done = work(&session)?;
        session.database.commit()?;
        Ok(done)
    }
}

impl Session<'_> {
    fn run(&self, operation: &str, body: &[u8]) -> Result<Value, SqsError> {
        match operation {
            "SendMessage" => send::send(self, &parsed(body)?),
            "SendMessageBatch" => send::send_batch(self, &parsed(body)?),
            "DeleteMessage" => handles::delete(self, &parsed(body)?),
            "DeleteMessageBatch" => handles::delete_batch(self, &parsed(body)?),
            "ChangeMessageVisibility" => handles::change(self, &parsed(body)?),
            "ChangeMessageVisibilityBatch" => handles::change_batch(self, &parsed(body)?),
            "CreateQueue" => queues::create(self, &parsed(body)?),
            "GetQueueUrl" => queues::get_url(self, &parsed(body)?),
            "ListQueues" => queues::list(self, &parsed(body)?),
            "GetQueueAttributes" => queues::attributes(self, &parsed(body)?),
            "SetQueueAttributes" => queues::set_attributes(self, &parsed(body)?),
            "PurgeQueue" => queues::purge(self, &parsed(body)?),
            "StartMessageMoveTask" => moves::start(self, &parsed(body)?),
            "ListMessageMoveTasks" => moves::list(self, &parsed(body)?),
            _ => Err(SqsError::UnsupportedOperation(operation.to_owned())),
        }
    }

    /// `N` random bytes as hexadecimal digits.
    fn random_hex<const N: usize>(&self) -> String {
        data_encoding::HEXLOWER.encode(&self.random.bytes::<N>())
    }

    /// An id in the form of a UUID, as AWS's message ids are.
    fn random_id(&self) -> String {
        let hex = self.random_hex::<16>();
        [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
    }
}

fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, SqsError> {
    serde_json::from_slice(body).map_err(|error| SqsError::Malformed(error.to_string()))
}

/// What an operation answers that has nothing to say.
fn nothing() -> Value {
    json!({})
}
