//! The outbox: announcements are worked out into notices and mails, and mails are sent.
//!
//! A run first tells what is to be told (`tell`), also what no message came about, and then drains the queue
//! (`deliver`) until it is empty or its own time nearly over. It may die at any line. An announcement lies in the
//! table until everybody was told of it, a mail in the queue until something came of it, and both are known again by
//! what they are made of.

mod deliver;
mod rate_limiter;
mod fan_out;

use std::collections::HashSet;
use std::time::Duration;

use jiff::Timestamp;

use self::deliver::Delivery;
use self::rate_limiter::RateLimiter;
use super::error::Error;
use super::run_time::RunTime;
use crate::clock::Clock;
use crate::config::ConfigError;
use crate::domain::mailing::claim::pause_after;
use crate::domain::time::plus;
use crate::mail::{Brand, Service};
use crate::queue::{MessageBody, OutboxQueue, ReceivedMail};
use crate::random::Random;
use crate::store::Store;
use crate::store::mailing::{leave_outbox, take_outbox};
use crate::telemetry::metrics;

/// Mails a second, unless it is configured: what Amazon SES gives an account that it has just let out of the sandbox.
pub const DEFAULT_RATE_PER_SECOND: u32 = 14;

/// How many deliveries a message gets that cannot be read.
const UNREADABLE_DELIVERIES: u32 = 5;

/// What must be left of a run's time for another round of deliveries: a mail service that does not answer takes five
/// seconds, and what came of the round must be noted after that.
const ROUND_TIME: Duration = Duration::from_secs(16);
/// When the last mail of a round may set out, before the end.
const LAST_SEND: Duration = Duration::from_secs(10);
/// What must be left for another announcement or another chunk of one, so that a flood of them does not keep the mails
/// of those before from being sent.
const TELLING_TIME: Duration = Duration::from_secs(28);

/// What the sweep works with.
#[derive(Clone, Debug)]
pub struct OutboxTools {
    pub store: Store,
    pub outbox: OutboxQueue,
    pub clock: Clock,
    pub random: Random,
    pub rate_per_second: u32,
}

/// By whom mails leave, and in whose name.
#[derive(Clone, Debug)]
pub struct Mailer {
    pub service: Service,
    pub brand: Brand,
}

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct OutboxReport {
    /// Announcements of which everybody was told.
    pub announced: usize,
    /// Mails that they came to.
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
    /// Announcements that this run has told, by where they lay.
    told: HashSet<String>,
}

/// Runs once, for as long as `time` at most. Without a mailer no mail is touched, so that none is lost: they wait in the
/// queue. What is told in-app waits for none of that.
pub async fn sweep(
    tools: &OutboxTools,
    mailer: Result<Mailer, ConfigError>,
    time: RunTime,
) -> Result<OutboxReport, Error> {
    let mut run = Run { tools, time, report: OutboxReport::default(), told: HashSet::new() };
    // What could not be told must not keep what was told from being sent.
    let told = run.tell_due().await;
    let drained = match mailer {
        Ok(mailer) => run.drain(&mailer).await,
        Err(error) => {
            tracing::error!(event = "email_sweep.not_configured", name = error.name(), %error);
            Ok(())
        }
    };
    let OutboxReport { announced, queued, claimed, sent, retried, failed, dead, dropped } = run.report;
    tracing::info!(
        event = "email_sweep.done",
        announced,
        queued,
        claimed,
        sent,
        retried,
        failed,
        dead,
        dropped
    );
    told.and(drained)?;
    metrics::SWEPT.count_of("outbox-sweep");
    Ok(run.report)
}

impl Run<'_> {
    fn now(&self) -> Timestamp {
        self.tools.clock.now()
    }

    /// Tells every announcement that is due, oldest first, as far as time allows.
    async fn tell_due(&mut self) -> Result<(), Error> {
        let mut page = None;
        let mut trouble = None;
        loop {
            let next = self.tools.store.announcements(self.now(), page).await?;
            for pending in &next.all {
                if !self.time.is_left(TELLING_TIME) {
                    return trouble.map_or(Ok(()), Err);
                }
                // One that fails is tried again by the next run, and the others are told by this one.
                if let Err(error) = self.tell(pending).await {
                    tracing::error!(event = "outbox.not_told", key = pending.event.key(), %error);
                    trouble = Some(error);
                }
            }
            if next.is_last() {
                return trouble.map_or(Ok(()), Err);
            }
            page = Some(next);
        }
    }

    /// Empties the queue, as far as time allows.
    async fn drain(&mut self, mailer: &Mailer) -> Result<(), Error> {
        let now = self.now();
        let state = self.tools.store.outbox_state().await?;
        if let Some(until) = state.paused_until.filter(|until| *until > now) {
            tracing::warn!(event = "email_sweep.paused", code = state.paused_by, %until);
            return Ok(());
        }
        let holder = data_encoding::BASE32_NOPAD.encode(&self.tools.random.bytes::<10>());
        let mut delivery = Delivery::new(self.tools, mailer, RateLimiter::new(self.tools.rate_per_second));
        let mut holds = false;
        // What this run has just queued must not wait for the next one.
        let mut wait = self.report.queued > 0;
        let mut result = Ok(());
        while result.is_ok() && self.time.is_left(ROUND_TIME) && !delivery.is_halted() {
            let messages = match self.receive(delivery.lanes(), std::mem::take(&mut wait)).await {
                Ok(messages) => messages,
                Err(error) => {
                    result = Err(error);
                    break;
                }
            };
            if messages.is_empty() {
                break;
            }
            let (mails, others): (Vec<_>, Vec<_>) =
                messages.into_iter().partition(|message| matches!(message.body, MessageBody::Mail(_)));
            if !mails.is_empty() && !holds {
                holds = self.take_lease(&holder).await?;
                if !holds {
                    // Another run is at it, and takes these, too.
                    let back: Vec<_> = mails.iter().map(|mail| (mail, Duration::ZERO)).collect();
                    self.tools.outbox.delay(&back).await?;
                    result = self.others(&others).await;
                    break;
                }
            }
            let latest = self.time.before_end(LAST_SEND);
            result = delivery.round(mails, latest, &mut self.report).await;
            if result.is_ok() {
                result = self.others(&others).await;
            }
        }
        if let Some((until, code)) = delivery.pause(self.now()) {
            tracing::error!(event = "email_sweep.pausing", code, %until);
            let pause = crate::store::mailing::pause_outbox(until, &code);
            result = result.and(self.tools.store.commit_one(pause).await.map_err(Error::from));
        }
        if holds && let Err(error) = self.tools.store.commit_one(leave_outbox(&holder)).await {
            // It runs out by itself.
            tracing::warn!(event = "outbox.lease_left", %error);
        }
        result
    }

    /// Messages from so many receives. The first alone tells whether there is enough for others.
    async fn receive(&self, lanes: usize, wait: bool) -> Result<Vec<ReceivedMail>, Error> {
        const FULL: usize = 10;
        let mut messages = self.tools.outbox.receive(wait).await?;
        if messages.len() == FULL {
            let more = (1..lanes).map(|_| self.tools.outbox.receive(false));
            for received in futures::future::join_all(more).await {
                match received {
                    Ok(received) => messages.extend(received),
                    Err(error) => tracing::warn!(event = "outbox.receive_failed", %error),
                }
            }
        }
        Ok(messages)
    }

    async fn take_lease(&self, holder: &str) -> Result<bool, Error> {
        let now = self.now();
        let until = plus(now, self.time.left());
        match self.tools.store.commit_one(take_outbox(holder, now, until)).await {
            Ok(()) => Ok(true),
            Err(crate::store::error::CommitError::Refused(_)) => {
                tracing::info!(event = "email_sweep.overlaps");
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// What is no mail: word of an announcement, or what cannot be read.
    async fn others(&mut self, messages: &[ReceivedMail]) -> Result<(), Error> {
        let mut done = Vec::new();
        let mut again = Vec::new();
        for message in messages {
            match &message.body {
                MessageBody::Mail(_) => {}
                MessageBody::WakeUp { pk, sk } => {
                    // It lies in the table, where the next run finds it if this one does not get to it.
                    self.told_of(pk, sk).await;
                    done.push(message);
                }
                MessageBody::Unreadable(why) => {
                    tracing::error!(event = "outbox.unreadable", why, receives = message.receives);
                    match pause_after(message.receives) {
                        Some(pause) if message.receives < UNREADABLE_DELIVERIES => {
                            again.push((message, pause));
                        }
                        _ => {
                            self.tools.outbox.bury_unread(message).await?;
                            self.report.dead += 1;
                            done.push(message);
                        }
                    }
                }
            }
        }
        self.tools.outbox.delete(&done).await?;
        self.tools.outbox.delay(&again).await?;
        Ok(())
    }

    async fn told_of(&mut self, pk: &str, sk: &str) {
        if self.told.contains(sk) || !self.time.is_left(TELLING_TIME) {
            return;
        }
        let told = match self.tools.store.announcement(pk, sk).await {
            Ok(Some(pending)) => self.tell(&pending).await,
            Ok(None) => Ok(()),
            Err(error) => Err(error.into()),
        };
        if let Err(error) = told {
            tracing::error!(event = "outbox.not_told", %error);
        }
    }
}
