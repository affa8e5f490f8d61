//! The outbox sweep: fans out domain events to in-app notifications and mails, and sends the mails.
//!
//! A run first fans out all due domain events (`fan_out`), including those without a wake-up, urgent ones first. Then
//! it receives messages (`drain`) and sends mails (`deliver`) until the queues are empty or its time is nearly over. It
//! receives bulk mails only when no urgent mail is waiting. A run may stop at any point. A domain event stays in the table
//! until its fan-out is complete, a mail stays in the queue until its outcome is recorded, and both have derived keys that
//! make repetitions idempotent.

mod deliver;
mod drain;
mod fan_out;
mod order;
mod rate_limiter;

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use self::order::{Turn, in_order};
use super::error::Error;
use super::run_time::RunTime;
use crate::clock::Clock;
use crate::config::ConfigError;
use crate::domain::id::SessionId;
use crate::domain::mailing::claim::retry_delay_after;
use crate::domain::mailing::urgency::{EventUrgency, Urgency};
use crate::domain::time::plus_minutes;
use crate::mail::{Brand, Service};
use crate::queue::OutboxQueue;
use crate::random::Random;
use crate::secrets::SecretSet;
use crate::store::Store;
use crate::store::domain_events::PendingEvent;
use crate::store::schema::{DueQueue, due_partition};
use crate::telemetry::metrics;

/// The default number of mails per second, equal to the initial rate of Amazon SES after the sandbox.
pub const DEFAULT_RATE_PER_SECOND: u32 = 14;

/// The most concurrent requests of a run to one service.
pub const MAX_CONCURRENT_REQUESTS: usize = deliver::SEND_CONCURRENCY;

/// The maximum number of receives of an unreadable message.
const MAX_UNREADABLE_RECEIVES: u32 = 5;

/// The remaining time required for another batch of mails. A request to the mail service takes up to five seconds, and
/// the outcomes must be recorded afterwards.
const BATCH_TIME: Duration = Duration::from_secs(16);
/// Minutes for which a failing domain event keeps back the later ones of its session. Then it may fail for good.
const FAILURE_WAIT_MINUTES: i64 = 10;
/// The remaining time required for another domain event or another chunk of one. Many domain events therefore cannot
/// keep queued mails from being sent.
const FAN_OUT_TIME: Duration = Duration::from_secs(28);
/// The same for an urgent one. Its mails can still be sent by this run.
const URGENT_FAN_OUT_TIME: Duration = BATCH_TIME;
/// Events that a run keeps in memory to fan out after the urgent ones. More of them wait for the next runs.
const MAX_BULK_EVENTS: usize = 1_000;
/// Minutes after which a domain event should be fanned out. A run fans out thousands of persons per second, so that even an
/// event behind many large ones takes minutes.
const OVERDUE_MINUTES: i64 = 60;

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
    /// The secret with the keys of guest links. Without it, mails to guests wait.
    pub secrets: Option<Arc<SecretSet>>,
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
    /// Whether work may be left because the run had no time for it.
    #[serde(skip)]
    pub is_full: bool,
}

/// One run.
struct Run<'a> {
    tools: &'a OutboxTools,
    time: RunTime,
    report: OutboxReport,
    /// The sort keys of the domain events that this run has finished.
    finished_events: HashSet<String>,
    /// The sort keys of the domain events that have waited too long.
    overdue_events: HashSet<String>,
    /// Sessions with a recent domain event that failed in this run or is not complete. Their later ones wait for the next
    /// run, so that a change is not announced before its session is.
    waiting_sessions: HashSet<SessionId>,
    /// Events of sessions that the fan-out of enrollment changes has stored.
    created_events: Vec<PendingEvent>,
}

/// The domain events that a run has read.
struct PendingEvents {
    events: Vec<PendingEvent>,
    /// The sort keys of the events of sessions that wait for the next runs.
    left: HashMap<SessionId, Vec<String>>,
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
        overdue_events: HashSet::new(),
        waiting_sessions: HashSet::new(),
        created_events: Vec::new(),
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
    let OutboxReport {
        finished_events,
        queued,
        claimed,
        sent,
        retried,
        failed,
        dead,
        dropped,
        is_full,
    } = run.report;
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
    if is_full {
        metrics::FULL_RUNS.count_kind("outbox-sweep");
    }
    fanned_out.and(drained)?;
    metrics::SWEPT.count_kind("outbox-sweep");
    Ok(run.report)
}

impl Run<'_> {
    fn now(&self) -> Timestamp {
        self.tools.clock.now()
    }

    /// Returns whether the run has time for another domain event, or another chunk of one.
    fn has_time_for(&self, urgency: Urgency) -> bool {
        self.time.has_left(match urgency {
            Urgency::Urgent => URGENT_FAN_OUT_TIME,
            Urgency::Bulk => FAN_OUT_TIME,
        })
    }

    /// Fans out all due domain events as far as time allows: urgent ones first, then enrollment changes, and then the
    /// others, each oldest first.
    async fn fan_out_due_events(&mut self) -> Result<(), Error> {
        let result = self.fan_out_pending_events(None).await;
        let overdue = self.overdue_events.iter().filter(|sk| !self.finished_events.contains(*sk));
        let overdue = overdue.count();
        if overdue > 0 {
            tracing::warn!(event = "outbox_sweep.events_overdue", overdue);
            metrics::UNDELIVERED_EVENTS.add(u64::try_from(overdue).unwrap_or(u64::MAX), "");
        }
        result
    }

    /// Fans out the domain events up to the one with the sort key `through`, or all that are due, as far as time allows.
    async fn fan_out_pending_events(&mut self, through: Option<&str>) -> Result<(), Error> {
        let mut last_error = None;
        self.created_events.clear();
        let PendingEvents { events, left } = self.pending_events(through).await?;
        let mut due = self.in_order(events).await?;
        while let Some((turn, pending)) = due.pop_front() {
            if !self.has_time_for(turn.urgency()) {
                self.report.is_full = true;
                break;
            }
            if self.is_waiting(&pending) {
                continue;
            }
            // The next run retries a failed domain event. Those of other sessions continue. On the heap, because it is large.
            if let Err(error) = Box::pin(self.fan_out(&pending)).await {
                tracing::error!(event = "domain_event.failed", key = pending.event.key(), %error);
                if pending.event.at > plus_minutes(self.now(), -FAILURE_WAIT_MINUTES) {
                    self.waiting_sessions.extend(pending.event.kind.session().cloned());
                }
                // An unreadable session waits, and the alarm of its metric reports it.
                if !error.is_unreadable_item() {
                    last_error = Some(error);
                }
            }
            // The new events are ordered once, after all enrollment changes.
            let is_last_split = due.front().is_none_or(|(turn, _)| *turn != Turn::Split);
            if is_last_split && !self.created_events.is_empty() {
                let created =
                    std::mem::take(&mut self.created_events).into_iter().filter(|event| {
                        event.event.kind.session().is_none_or(|session| !left.contains_key(session))
                    });
                let all = due.into_iter().map(|(_, pending)| pending).chain(created).collect();
                due = self.in_order(all).await?;
            }
        }
        last_error.map_or(Ok(()), Err)
    }

    /// Reads the pending domain events. If there are too many, only urgent ones are added, with the earlier ones of their
    /// sessions.
    async fn pending_events(&mut self, through: Option<&str>) -> Result<PendingEvents, Error> {
        let store = &self.tools.store;
        let overdue_before = plus_minutes(self.now(), -OVERDUE_MINUTES);
        let (mut page, mut events) = (None, Vec::new());
        let mut left: HashMap<SessionId, Vec<String>> = HashMap::new();
        loop {
            let next = match through {
                Some(sk) => store.pending_events_through(sk, page).await?,
                None => store.pending_events(self.now(), page).await?,
            };
            for pending in &next.events {
                let sk = pending.sort_key();
                if self.finished_events.contains(&sk) {
                    continue;
                }
                if pending.event.at < overdue_before {
                    self.overdue_events.insert(sk.clone());
                }
                let session = pending.event.kind.session();
                let is_urgent = EventUrgency::of(&pending.event).is_always_urgent();
                if events.len() >= MAX_BULK_EVENTS && !is_urgent {
                    if let Some(session) = session {
                        left.entry(session.clone()).or_default().push(sk);
                    }
                    continue;
                }
                let earlier = session.and_then(|session| left.remove(session));
                for sk in earlier.unwrap_or_default() {
                    events
                        .extend(store.pending_event(&due_partition(DueQueue::Outbox), &sk).await?);
                }
                events.push(pending.clone());
            }
            if next.is_last() {
                return Ok(PendingEvents { events, left });
            }
            page = Some(next);
        }
    }

    async fn in_order(
        &self,
        events: Vec<PendingEvent>,
    ) -> Result<VecDeque<(Turn, PendingEvent)>, Error> {
        let sessions = events.iter().filter_map(|pending| match EventUrgency::of(&pending.event) {
            EventUrgency::Start(session) => Some(session.clone()),
            _ => None,
        });
        let sessions: BTreeSet<_> = sessions.collect();
        let sessions: Vec<_> = sessions.into_iter().collect();
        // A single event has no order, and its urgency matters only if time is short.
        let starts = match events.len() <= 1 && self.has_time_for(Urgency::Bulk) {
            true => HashMap::new(),
            false => self.tools.store.session_starts(&sessions).await?,
        };
        let now = self.now();
        Ok(in_order(events, |event| Turn::of(event, &starts, now)))
    }

    fn is_waiting(&self, pending: &PendingEvent) -> bool {
        let session = pending.event.kind.session();
        session.is_some_and(|session| self.waiting_sessions.contains(session))
    }
}
