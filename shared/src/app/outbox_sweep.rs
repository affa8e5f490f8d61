//! The outbox sweep: fans out domain events to in-app notifications and mails, and sends the mails.
//!
//! A run first fans out all due domain events (`fan_out`), including those whose wake-up was lost. Then it receives and
//! sends mails (`deliver`) until the queue is empty or its time is nearly over. A run may stop at any point. A domain
//! event stays in the table until its fan-out is complete, a mail stays in the queue until its outcome is recorded, and
//! both have derived keys that make repetitions idempotent.

mod deliver;
mod fan_out;
mod rate_limiter;

use std::collections::HashSet;
use std::time::Duration;

use jiff::Timestamp;

use self::deliver::Delivery;
use self::rate_limiter::RateLimiter;
use super::error::Error;
use super::run_time::RunTime;
use crate::clock::Clock;
use crate::config::ConfigError;
use crate::domain::id::SessionId;
use crate::domain::mailing::claim::retry_delay_after;
use crate::domain::time::{plus, plus_minutes};
use crate::mail::{Brand, Service};
use crate::queue::{MessageBody, OutboxQueue, ReceivedMessage};
use crate::random::Random;
use crate::store::Store;
use crate::store::domain_events::PendingEvent;
use crate::store::mailing::{release_outbox_lease, take_outbox_lease};
use crate::store::schema::{DueQueue, due_partition};
use crate::telemetry::metrics;

/// The default number of mails per second, equal to the initial rate of Amazon SES after the sandbox.
pub const DEFAULT_RATE_PER_SECOND: u32 = 14;

/// The maximum number of receives of an unreadable message.
const MAX_UNREADABLE_RECEIVES: u32 = 5;

/// The remaining time required for another batch of mails. A request to the mail service takes up to five seconds, and
/// the outcomes must be recorded afterwards.
const BATCH_TIME: Duration = Duration::from_secs(16);
/// The latest time to send a mail of a batch, before the end of the run.
const LAST_SEND_BEFORE_END: Duration = Duration::from_secs(10);
/// Minutes for which a failing domain event keeps back the later ones of its session. Then it may fail for good.
const FAILURE_WAIT_MINUTES: i64 = 10;
/// The remaining time required for another domain event or another chunk of one. Many domain events therefore cannot
/// keep queued mails from being sent.
const FAN_OUT_TIME: Duration = Duration::from_secs(28);

/// The services that the sweep uses.
#[derive(Clone, Debug)]
pub struct OutboxTools {
    pub store: Store,
    pub outbox: OutboxQueue,
    pub clock: Clock,
    pub random: Random,
    pub rate_per_second: u32,
}

/// The mail service and the sender.
#[derive(Clone, Debug)]
pub struct Mailer {
    pub service: Service,
    pub brand: Brand,
}

/// The counts of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct OutboxReport {
    /// Domain events whose fan-out is complete.
    pub finished_events: usize,
    /// Mails that were queued by the fan-out.
    pub queued: usize,
    pub claimed: usize,
    pub sent: usize,
    pub retried: usize,
    pub failed: usize,
    pub dead: usize,
    pub dropped: usize,
}

/// One run.
struct Run<'a> {
    tools: &'a OutboxTools,
    time: RunTime,
    report: OutboxReport,
    /// The sort keys of the domain events that this run has finished.
    finished_events: HashSet<String>,
    /// Sessions with a recent domain event that failed in this run. Their later ones wait for the next run, so that a change is
    /// not announced before its session is.
    failed_sessions: HashSet<SessionId>,
}

/// Returns the delay of a message that was unreadable this many times, or `None` if it moves to the dead-letter queue.
fn delay_of_unreadable(receive_count: u32) -> Option<Duration> {
    retry_delay_after(receive_count).filter(|_| receive_count < MAX_UNREADABLE_RECEIVES)
}

/// Runs the sweep for at most `time`. Without a mailer, mails stay in the queue and in-app notifications are still
/// written.
pub async fn sweep(
    tools: &OutboxTools,
    mailer: Result<Mailer, ConfigError>,
    time: RunTime,
) -> Result<OutboxReport, Error> {
    let mut run = Run {
        tools,
        time,
        report: OutboxReport::default(),
        finished_events: HashSet::new(),
        failed_sessions: HashSet::new(),
    };
    // Queued mails are sent even if the fan-out of some domain events fails.
    let fanned_out = run.fan_out_due_events().await;
    let drained = match mailer {
        Ok(mailer) => run.drain_queue(&mailer).await,
        Err(error) => {
            tracing::error!(event = "outbox_sweep.not_configured", name = error.name(), %error);
            Ok(())
        }
    };
    let OutboxReport { finished_events, queued, claimed, sent, retried, failed, dead, dropped } =
        run.report;
    tracing::info!(
        event = "outbox_sweep.finished",
        finished_events,
        queued,
        claimed,
        sent,
        retried,
        failed,
        dead,
        dropped
    );
    fanned_out.and(drained)?;
    metrics::SWEPT.count_kind("outbox-sweep");
    Ok(run.report)
}

impl Run<'_> {
    fn now(&self) -> Timestamp {
        self.tools.clock.now()
    }

    /// Fans out all due domain events, oldest first, as far as time allows.
    async fn fan_out_due_events(&mut self) -> Result<(), Error> {
        self.fan_out_pending_events(None).await
    }

    /// Fans out the domain events up to the one with the sort key `through`, or all that are due, oldest first, as far as
    /// time allows.
    async fn fan_out_pending_events(&mut self, through: Option<&str>) -> Result<(), Error> {
        let mut page = None;
        let mut last_error = None;
        loop {
            let store = &self.tools.store;
            let next = match through {
                Some(sk) => store.pending_events_through(sk, page).await?,
                None => store.pending_events(self.now(), page).await?,
            };
            for pending in &next.events {
                if !self.time.has_left(FAN_OUT_TIME) {
                    return last_error.map_or(Ok(()), Err);
                }
                if self.is_after_failure(pending)
                    || self.finished_events.contains(&pending.sort_key())
                {
                    continue;
                }
                // The next run retries a failed domain event. Those of other sessions continue.
                if let Err(error) = self.fan_out(pending).await {
                    tracing::error!(event = "domain_event.failed", key = pending.event.key(), %error);
                    if pending.event.at > plus_minutes(self.now(), -FAILURE_WAIT_MINUTES) {
                        self.failed_sessions.extend(pending.event.kind.session().cloned());
                    }
                    // An unreadable session waits, and the alarm of its metric reports it.
                    if !error.is_unreadable_item() {
                        last_error = Some(error);
                    }
                }
            }
            if next.is_last() {
                return last_error.map_or(Ok(()), Err);
            }
            page = Some(next);
        }
    }

    /// Receives and handles messages until the queue is empty, as far as time allows.
    async fn drain_queue(&mut self, mailer: &Mailer) -> Result<(), Error> {
        let now = self.now();
        let state = self.tools.store.outbox_state().await?;
        if let Some(until) = state.paused_until.filter(|until| *until > now) {
            tracing::warn!(event = "outbox_sweep.skipped", code = state.pause_reason, %until);
            return Ok(());
        }
        let holder = data_encoding::BASE32_NOPAD.encode(&self.tools.random.bytes::<10>());
        let mut delivery =
            Delivery::new(self.tools, mailer, RateLimiter::new(self.tools.rate_per_second));
        let mut has_lease = false;
        let mut result = Ok(());
        while result.is_ok() && self.time.has_left(BATCH_TIME) && !delivery.is_halted() {
            let messages = match self.receive(delivery.receive_concurrency()).await {
                Ok(messages) => messages,
                Err(error) => {
                    result = Err(error);
                    break;
                }
            };
            if messages.is_empty() {
                break;
            }
            let (mails, other_messages): (Vec<_>, Vec<_>) = messages
                .into_iter()
                .partition(|message| matches!(message.body, MessageBody::Mail(_)));
            if !mails.is_empty() && !has_lease {
                has_lease = self.take_outbox_lease(&holder).await?;
                if !has_lease {
                    // The run that holds the lease receives these mails instead.
                    let returned: Vec<_> =
                        mails.iter().map(|mail| (mail, Duration::ZERO)).collect();
                    self.tools.outbox.delay(&returned).await?;
                    result = self.handle_other_messages(&other_messages).await;
                    break;
                }
            }
            let latest = self.time.before_end(LAST_SEND_BEFORE_END);
            result = delivery.deliver_batch(mails, latest, &mut self.report).await;
            if result.is_ok() {
                result = self.handle_other_messages(&other_messages).await;
            }
        }
        if let Some((until, code)) = delivery.pause(self.now()) {
            tracing::error!(event = "outbox.paused", code, %until);
            let pause = crate::store::mailing::pause_outbox(until, &code);
            result = result.and(self.tools.store.commit_one(pause).await.map_err(Error::from));
        }
        if has_lease
            && let Err(error) = self.tools.store.commit_one(release_outbox_lease(&holder)).await
        {
            // The lease expires.
            tracing::warn!(event = "outbox.lease_not_released", %error);
        }
        result
    }

    /// Receives messages. Starts concurrent requests only if the first one returns a full batch.
    ///
    /// The first request waits, because an empty response without waiting does not mean that the queue is empty.
    async fn receive(&self, concurrency: usize) -> Result<Vec<ReceivedMessage>, Error> {
        const FULL_BATCH: usize = 10;
        let mut messages = self.tools.outbox.receive(true).await?;
        if messages.len() == FULL_BATCH {
            let more = (1..concurrency).map(|_| self.tools.outbox.receive(false));
            for received in futures::future::join_all(more).await {
                match received {
                    Ok(received) => messages.extend(received),
                    Err(error) => tracing::warn!(event = "outbox.receive_failed", %error),
                }
            }
        }
        Ok(messages)
    }

    async fn take_outbox_lease(&self, holder: &str) -> Result<bool, Error> {
        let now = self.now();
        let until = plus(now, self.time.remaining());
        match self.tools.store.commit_one(take_outbox_lease(holder, now, until)).await {
            Ok(()) => Ok(true),
            Err(crate::store::error::CommitError::Refused(_)) => {
                tracing::info!(event = "outbox_sweep.overlapped");
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Handles wake-ups and unreadable messages.
    async fn handle_other_messages(&mut self, messages: &[ReceivedMessage]) -> Result<(), Error> {
        let mut done = Vec::new();
        let mut delayed = Vec::new();
        self.fan_out_woken_events(messages).await;
        for message in messages {
            match &message.body {
                MessageBody::Mail(_) => {}
                // If there was no time left, the next run finds the domain event in the table.
                MessageBody::WakeUp { .. } => done.push(message),
                MessageBody::Unreadable(reason) => {
                    tracing::error!(
                        event = "outbox.message_unreadable",
                        reason,
                        receive_count = message.receive_count
                    );
                    match delay_of_unreadable(message.receive_count) {
                        Some(pause) => delayed.push((message, pause)),
                        None => {
                            self.tools.outbox.send_unreadable_to_dead_letter_queue(message).await?;
                            self.report.dead += 1;
                            done.push(message);
                        }
                    }
                }
            }
        }
        self.tools.outbox.delete(&done).await?;
        self.tools.outbox.delay(&delayed).await?;
        Ok(())
    }

    /// Fans out the domain events of wake-ups, and the pending ones before them. Wake-ups arrive in any order, so each is only
    /// a sign that there is something to do.
    async fn fan_out_woken_events(&mut self, messages: &[ReceivedMessage]) {
        let pending = due_partition(DueQueue::Outbox);
        let woken = messages.iter().filter_map(|message| match &message.body {
            MessageBody::WakeUp { pk, sk } if *pk == pending => Some(sk.as_str()),
            _ => None,
        });
        let last = woken.filter(|sk| !self.finished_events.contains(*sk)).max();
        if let Some(last) = last
            && self.time.has_left(FAN_OUT_TIME)
            && let Err(error) = self.fan_out_pending_events(Some(last)).await
        {
            tracing::error!(event = "domain_event.failed", %error);
        }
    }

    fn is_after_failure(&self, pending: &PendingEvent) -> bool {
        let session = pending.event.kind.session();
        session.is_some_and(|session| self.failed_sessions.contains(session))
    }

    async fn fan_out_stored_event(&mut self, pk: &str, sk: &str) {
        if self.finished_events.contains(sk) || !self.time.has_left(FAN_OUT_TIME) {
            return;
        }
        let result = match self.tools.store.pending_event(pk, sk).await {
            Ok(Some(pending)) if self.is_after_failure(&pending) => Ok(()),
            Ok(Some(pending)) => self.fan_out(&pending).await,
            Ok(None) => Ok(()),
            Err(error) => Err(error.into()),
        };
        if let Err(error) = result {
            tracing::error!(event = "domain_event.failed", %error);
        }
    }
}
