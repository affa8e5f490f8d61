//! Receives and handles messages of both queues.

use std::time::Duration;

use super::deliver::Delivery;
use super::rate_limiter::RateLimiter;
use super::{BATCH_TIME, Mailer, Run, delay_of_unreadable};
use crate::app::error::Error;
use crate::domain::mailing::urgency::Urgency;
use crate::domain::time::plus;
use crate::queue::{MessageBody, ReceivedMessage};
use crate::store::error::CommitError;
use crate::store::mailing::{pause_outbox, release_outbox_lease, take_outbox_lease};
use crate::store::schema::{DueQueue, due_partition};

/// The latest time to send a mail of a batch, before the end of the run.
const LAST_SEND_BEFORE_END: Duration = Duration::from_secs(10);
/// The number of messages of a full response.
const FULL_BATCH: usize = 10;

impl Run<'_> {
    /// Receives and handles messages until the queue is empty, as far as time allows.
    pub(super) async fn drain_queue(&mut self, mailer: &Mailer) -> Result<(), Error> {
        let now = self.now();
        let state = self.tools.store.outbox_state().await?;
        if let Some(until) = state.paused_until.filter(|until| *until > now) {
            tracing::warn!(event = "outbox_sweep.skipped", code = state.pause_reason, %until);
            return Ok(());
        }
        let holder = data_encoding::BASE32_NOPAD.encode(&self.tools.random.bytes::<10>());
        let mut delivery =
            Delivery::new(self.tools, mailer, RateLimiter::new(self.tools.rate_per_second));
        let (mut has_lease, mut has_bulk) = (false, self.report.queued > 0);
        let mut result = Ok(());
        while result.is_ok() && !delivery.is_halted() {
            if !self.time.has_left(BATCH_TIME) {
                self.report.is_full = true;
                break;
            }
            let received = self.receive(delivery.receive_concurrency(), has_bulk).await;
            let messages = match received {
                Ok(messages) => messages,
                Err(error) => {
                    result = Err(error);
                    break;
                }
            };
            if messages.is_empty() {
                // Mails that were delayed for a moment are not visible yet.
                match delivery.awaits_delayed_mails() {
                    true => continue,
                    false => break,
                }
            }
            has_bulk |= messages.iter().any(|message| message.urgency == Urgency::Bulk);
            let (mails, other_messages): (Vec<_>, Vec<_>) =
                messages.into_iter().partition(|message| message.body.is_mail());
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
        let lease = has_lease.then_some(holder.as_str());
        result.and(self.end_draining(&delivery, lease).await)
    }

    /// Stores the pause of the mail service, if it asked for one, and releases the lease of the holder.
    async fn end_draining(
        &self,
        delivery: &Delivery<'_>,
        lease: Option<&str>,
    ) -> Result<(), Error> {
        let mut result = Ok(());
        if let Some((until, code)) = delivery.pause(self.now()) {
            tracing::error!(event = "outbox.paused", code, %until);
            result = self.tools.store.commit_one(pause_outbox(until, &code)).await;
        }
        if let Some(holder) = lease
            && let Err(error) = self.tools.store.commit_one(release_outbox_lease(holder)).await
        {
            // The lease expires.
            tracing::warn!(event = "outbox.lease_not_released", %error);
        }
        Ok(result?)
    }

    /// Receives messages, urgent ones first.
    ///
    /// A short poll of the urgent queue comes first, so that it delays no bulk mail while it is empty. A short poll may miss
    /// messages, so no work is left only if both queues have answered a long poll with nothing.
    async fn receive(
        &self,
        concurrency: usize,
        has_bulk: bool,
    ) -> Result<Vec<ReceivedMessage>, Error> {
        let mut urgent = self.tools.outbox.receive(Urgency::Urgent, false).await?;
        if !urgent.is_empty() {
            // A missed mail may be an earlier one to the same person.
            let rest = match urgent.iter().any(|message| message.body.is_mail()) {
                true => self.receive_from(Urgency::Urgent, concurrency.saturating_sub(1)).await,
                false => Ok(Vec::new()),
            };
            match rest {
                Ok(rest) => urgent.extend(rest),
                Err(error) => tracing::warn!(event = "outbox.receive_failed", %error),
            }
            return Ok(urgent);
        }
        if has_bulk {
            let bulk = self.receive_from(Urgency::Bulk, concurrency).await?;
            if !bulk.is_empty() {
                return Ok(bulk);
            }
        }
        let (urgent, bulk) = futures::join!(
            self.receive_from(Urgency::Urgent, concurrency),
            self.receive_from(Urgency::Bulk, concurrency)
        );
        match (urgent, bulk) {
            (Ok(urgent), Ok(bulk)) => Ok(urgent.into_iter().chain(bulk).collect()),
            // The received messages would otherwise be hidden until their visibility timeout.
            (Ok(messages), Err(error)) | (Err(error), Ok(messages)) if !messages.is_empty() => {
                tracing::warn!(event = "outbox.receive_failed", %error);
                Ok(messages)
            }
            (Err(error), _) | (_, Err(error)) => Err(error),
        }
    }

    /// Receives messages of one queue with a long poll. Starts concurrent requests only if it returns a full batch.
    async fn receive_from(
        &self,
        urgency: Urgency,
        concurrency: usize,
    ) -> Result<Vec<ReceivedMessage>, Error> {
        let mut messages = self.tools.outbox.receive(urgency, true).await?;
        if messages.len() == FULL_BATCH {
            let more = (1..concurrency).map(|_| self.tools.outbox.receive(urgency, false));
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
            Err(CommitError::Refused(_)) => {
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
            && self.has_time_for(Urgency::Urgent)
            && let Err(error) = self.fan_out_pending_events(Some(last)).await
        {
            tracing::error!(event = "domain_event.failed", %error);
        }
    }
}
