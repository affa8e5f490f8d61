//! Delivers a batch of mails: claims them, checks their relevance, sends them, records the outcomes and deletes the
//! messages.

mod claim;
mod record;
mod related;
mod send;

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use self::claim::MessageAction;
use self::record::SendOutcome;
use self::related::SessionRecipientStates;
use super::rate_limiter::RateLimiter;
use super::{Mailer, OutboxReport, OutboxTools};
use crate::app::error::Error;
use crate::domain::id::SessionId;
use crate::domain::mailing::{
    DeliveryRecord, DeliveryStatus, Mail, MailClaim, MessageKey, SentEntry,
};
use crate::domain::time::plus;
use crate::queue::ReceivedMessage;
use crate::telemetry::metrics;

/// The maximum number of receive requests per batch, which limits a batch and the mails in doubt after a crash to 50.
const MAX_RECEIVE_CONCURRENCY: usize = 5;
/// The number of concurrent requests to the mail service, enough for a whole batch.
pub(super) const SEND_CONCURRENCY: usize = 10 * MAX_RECEIVE_CONCURRENCY;
/// The size of a batch as sending time at the current rate, so no mail waits long between claim and sending.
const BATCH_DURATION: Duration = Duration::from_secs(3);
/// The number of concurrent claim requests.
const CLAIM_CONCURRENCY: usize = 25;
/// The delay of a mail after a failed read of the table.
const READ_ERROR_DELAY: Duration = Duration::from_secs(60);
/// The longest pause during which a run continues. During a longer one it would only receive mails that it cannot send.
const MAX_PAUSE_WITHIN_RUN: Duration = Duration::from_secs(5);
/// The time in which a mail is certainly received after its delay, which is rounded up to seconds.
const RECEIVE_DELAY: Duration = Duration::from_secs(1);
/// The delay of a mail that this run has no time for.
const SHORT_DELAY: Duration = Duration::from_secs(1);

pub(super) struct Delivery<'a> {
    tools: &'a OutboxTools,
    mailer: &'a Mailer,
    rate_limiter: RateLimiter,
    /// The pause and the error code after the service stopped accepting mails.
    halt: Mutex<Option<(Duration, String)>>,
    /// Mails that this run has finished. A message may be received twice within one run.
    finished: HashSet<MessageKey>,
    /// When the mails that were delayed for a moment are all visible again.
    delayed_until: Option<Instant>,
    /// Recipient states that this run has loaded or updated.
    recipient_states: HashMap<SessionId, SessionRecipientStates>,
}

/// A mail that this run has claimed.
struct ClaimedMail {
    message: ReceivedMessage,
    mail: Mail,
    claim: MailClaim,
    /// Whether two attempts had an unknown outcome. The mail moves to the dead-letter queue.
    given_up: bool,
    /// The version of the session in the sent mail.
    sent_version: Option<u64>,
    /// The calendar entry in the mail, if it was attempted.
    entry: Option<SentEntry>,
}

impl ClaimedMail {
    fn delivery_record(&self, status: DeliveryStatus, detail: Option<String>) -> DeliveryRecord {
        let in_doubt = status == DeliveryStatus::Dropped
            && (self.claim.attempts > 1 || self.claim.unknown_outcomes > 0);
        let sent_version = self.sent_version.filter(|_| status == DeliveryStatus::Sent);
        let entry = self.entry.clone();
        DeliveryRecord {
            sent_version,
            entry,
            in_doubt,
            ..DeliveryRecord::new(&self.mail, status, detail)
        }
    }
}

impl<'a> Delivery<'a> {
    pub(super) fn new(
        tools: &'a OutboxTools,
        mailer: &'a Mailer,
        rate_limiter: RateLimiter,
    ) -> Self {
        Self {
            tools,
            mailer,
            rate_limiter,
            halt: Mutex::default(),
            finished: HashSet::new(),
            delayed_until: None,
            recipient_states: HashMap::new(),
        }
    }

    /// Returns the number of receive requests per batch.
    pub(super) fn receive_concurrency(&self) -> usize {
        self.rate_limiter
            .permits_within(BATCH_DURATION)
            .div_ceil(10)
            .clamp(1, MAX_RECEIVE_CONCURRENCY)
    }

    pub(super) fn is_halted(&self) -> bool {
        self.halt.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Whether mails that this run has delayed for a moment, such as by a rate limit, are still to be received. The run
    /// waits for them, because the next one begins a minute later.
    pub(super) fn awaits_delayed_mails(&self) -> bool {
        self.delayed_until.is_some_and(|until| Instant::now() < until)
    }

    /// Returns the end of the pause and the error code, if the service stopped accepting mails.
    pub(super) fn pause(&self, now: Timestamp) -> Option<(Timestamp, String)> {
        let halt = self.halt.lock().unwrap_or_else(PoisonError::into_inner).clone();
        halt.map(|(pause, code)| (plus(now, pause), code))
    }

    fn halt(&self, pause: Duration, code: &str) {
        let mut halt = self.halt.lock().unwrap_or_else(PoisonError::into_inner);
        halt.get_or_insert_with(|| (pause, code.to_owned()));
    }

    /// Delivers one batch. No mail is sent after `latest`.
    pub(super) async fn deliver_batch(
        &mut self,
        messages: Vec<ReceivedMessage>,
        latest: Instant,
        report: &mut OutboxReport,
    ) -> Result<(), Error> {
        let actions = self.claim_all(messages).await;
        let (mut claimed, mut delete, mut delay) = (Vec::new(), Vec::new(), Vec::new());
        for action in actions {
            match action {
                Ok(MessageAction::Send(mail)) => claimed.push(*mail),
                Ok(MessageAction::Delete(message)) => delete.push(message),
                Ok(MessageAction::Delay(message, pause)) => delay.push((message, pause)),
                Ok(MessageAction::DeadLetter(message)) => {
                    match self.tools.outbox.send_unreadable_to_dead_letter_queue(&message).await {
                        Ok(()) => {
                            report.dead += 1;
                            delete.push(message);
                        }
                        // The message is redelivered.
                        Err(error) => tracing::error!(event = "mail.dead_letter_failed", %error),
                    }
                }
                // The message is redelivered after its visibility timeout.
                Err(error) => tracing::warn!(event = "mail.claim_failed", %error),
            }
        }
        report.claimed += claimed.len();
        let (outcomes, read_error) = match self.load_related_data(&claimed).await {
            Ok(related) => (self.send_all(claimed, &related, latest).await, None),
            // Releases the claims, because an unreleased claim counts as lost.
            Err(error) => {
                let not_attempted = |mail| (mail, SendOutcome::NotAttempted(READ_ERROR_DELAY));
                (claimed.into_iter().map(not_attempted).collect(), Some(error))
            }
        };
        let sent_before = report.sent;
        let recorded = self.record(outcomes, report).await;
        count_sent(report.sent - sent_before);
        for (claimed, retry_after) in recorded.mails {
            match retry_after {
                None => {
                    self.finished.insert(claimed.mail.message_key);
                    delete.push(claimed.message);
                }
                Some(pause) => delay.push((claimed.message, pause)),
            }
        }
        self.update_messages(&delete, &delay).await;
        read_error.or(recorded.error).map_or(Ok(()), Err)
    }

    /// Deletes and delays messages, as far as the queue permits.
    async fn update_messages(
        &mut self,
        delete: &[ReceivedMessage],
        delay: &[(ReceivedMessage, Duration)],
    ) {
        let pauses = delay.iter().map(|(_, pause)| *pause);
        if let Some(pause) = pauses.filter(|pause| *pause <= MAX_PAUSE_WITHIN_RUN).max() {
            let until = Instant::now() + pause + RECEIVE_DELAY;
            self.delayed_until = self.delayed_until.max(Some(until));
        }
        // If this fails, the redelivered message of a finished mail is deleted then.
        let deletions: Vec<_> = delete.iter().collect();
        let delays: Vec<_> = delay.iter().map(|(message, pause)| (message, *pause)).collect();
        let (deleted, delayed) =
            futures::join!(self.tools.outbox.delete(&deletions), self.tools.outbox.delay(&delays));
        for error in [deleted.err(), delayed.err()].into_iter().flatten() {
            tracing::warn!(event = "outbox.message_not_updated", %error);
        }
    }
}

/// Counts the mails of a batch that were sent. One line of the log per batch is cheaper than one per mail.
fn count_sent(sent: usize) {
    if sent > 0 {
        metrics::MAILS_SENT.add(u64::try_from(sent).unwrap_or(u64::MAX), "");
    }
}
