//! The recipient states of a session, folded from its delivery records.
//!
//! The records grow with students and changes, and every run of the outbox needs the states. So a run that has read many
//! records stores the states as a snapshot, and the next one reads the snapshot and the records after it. The fold goes
//! in order of time, so both give the same states. The records themselves stay for the timeline.
//!
//! The parts of a snapshot are written first. Its head is an item among the delivery records, and makes it valid. A
//! snapshot is deleted when the next but one is written, so that a run that reads it meanwhile finds all parts.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::error::{CommitError, StoreError};
use super::item::{decode, encode};
use super::mailing::{StoredDeliveries, StoredDeliveryRecord, decode_deliveries, delivery_ttl};
use super::schema::{DELIVERY_PREFIX, ItemKey, mailing_partition, recipient_states_prefix};
use super::timeline::TimelineCursor;
use super::tx::{Action, Condition};
use super::{KeyRange, Store};
use crate::domain::id::SessionId;
use crate::domain::mailing::{MailSubject, RecipientRef, RecipientState};

/// The age from which no earlier record is still being written. No function runs that long.
const SETTLED_AFTER: SignedDuration = SignedDuration::from_mins(5);
/// Records since the last snapshot that are worth another one, in a small session. In a large one it takes one record per
/// recipient, so that writing snapshots costs less than a tenth of a write unit per mail.
const SNAPSHOT_RECORDS: usize = 1_000;
/// The longest part of a snapshot as JSON, which is longer than the item.
const PART_BYTES: usize = 200 * 1024;
/// Items per request, first and later. A first request reads a small session completely.
const PAGE_ITEMS: [i32; 2] = [20, 100];

/// The sort key of a snapshot's head after its time. It follows all records of that time.
const HEAD_DIGEST: &str = "~snapshot";

/// The head of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredSnapshot {
    /// The number of parts.
    parts: usize,
    /// The snapshot before this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous: Option<PreviousSnapshot>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct PreviousSnapshot {
    until: Timestamp,
    parts: usize,
}

#[derive(Serialize, Deserialize)]
struct StoredRecipients {
    recipients: Vec<StoredRecipient>,
    #[serde(rename = "expires_at")]
    ttl: i64,
}

/// A recipient with short attribute names: a snapshot contains thousands.
#[derive(Serialize, Deserialize)]
struct StoredRecipient {
    r: RecipientRef,
    s: RecipientState,
}

type RecipientStates = HashMap<RecipientRef, RecipientState>;

/// The delivery records of a session: the states of the latest snapshot, and the records since.
struct DeliveryHistory {
    states: RecipientStates,
    snapshot: Option<(Timestamp, StoredSnapshot)>,
    /// Oldest first.
    records: Vec<(Timestamp, StoredDeliveryRecord)>,
}

impl DeliveryHistory {
    /// Applies the records up to `until`. Returns the time of the last one and their number.
    fn apply_until(&mut self, until: Timestamp) -> Option<(Timestamp, usize)> {
        let count = self.records.partition_point(|(at, _)| *at <= until);
        let mut last = None;
        for (at, record) in self.records.drain(..count) {
            record.apply_to(self.states.entry(record.r.clone()).or_default());
            last = Some(at);
        }
        last.map(|at| (at, count))
    }
}

impl Store {
    /// Returns the recipient states of a session.
    pub async fn recipient_states(
        &self,
        session: &SessionId,
    ) -> Result<RecipientStates, StoreError> {
        let mut history = self.delivery_history(session).await?;
        history.apply_until(Timestamp::MAX);
        Ok(history.states)
    }

    /// Returns the recipient states of a session. Stores them as a snapshot if many records were read.
    pub async fn recipient_states_with_snapshot(
        &self,
        session: &SessionId,
        now: Timestamp,
    ) -> Result<RecipientStates, StoreError> {
        let mut history = self.delivery_history(session).await?;
        let settled = now.saturating_sub(SETTLED_AFTER).unwrap_or(now);
        if let Some((until, count)) = history.apply_until(settled)
            && count >= SNAPSHOT_RECORDS.max(history.states.len())
        {
            // The states are complete without it.
            if let Err(error) = self.put_recipient_snapshot(session, &history, until, now).await {
                tracing::warn!(event = "mail.snapshot_not_stored", session_id = %session, %error);
            }
        }
        history.apply_until(Timestamp::MAX);
        Ok(history.states)
    }

    async fn put_recipient_snapshot(
        &self,
        session: &SessionId,
        history: &DeliveryHistory,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(), CommitError> {
        let ttl = delivery_ttl(now);
        let parts = parts(&history.states);
        let count = parts.len();
        let puts = parts.into_iter().enumerate().map(|(part, recipients)| {
            let key = ItemKey::RecipientStates { session, until, part };
            Action::put(key, encode(&StoredRecipients { recipients, ttl }), Condition::new())
        });
        self.write_all(puts.collect()).await?;
        let previous = history
            .snapshot
            .map(|(until, StoredSnapshot { parts, .. })| PreviousSnapshot { until, parts });
        let snapshot = Some(StoredSnapshot { parts: count, previous });
        let subject = MailSubject::Session(session.clone());
        let head = Action::put(
            ItemKey::Deliveries { subject: &subject, at: until, digest: HEAD_DIGEST },
            encode(&StoredDeliveries { mails: Vec::new(), snapshot, ttl }),
            Condition::new(),
        );
        self.commit_one(head).await?;
        let outdated = history.snapshot.and_then(|(_, snapshot)| snapshot.previous);
        let deletions = outdated.into_iter().flat_map(|PreviousSnapshot { until, parts }| {
            (0..parts).map(move |part| {
                let key = ItemKey::RecipientStates { session, until, part };
                Action::delete(key, Condition::new())
            })
        });
        self.write_all(deletions.collect()).await?;
        tracing::info!(event = "mail.snapshot_stored", session_id = %session, parts = count);
        Ok(())
    }

    /// Reads the newest records first, as far as the latest snapshot.
    async fn delivery_history(&self, session: &SessionId) -> Result<DeliveryHistory, StoreError> {
        let [first_page, later_pages] = PAGE_ITEMS;
        let mut range = KeyRange {
            pk: mailing_partition(session),
            prefix: Some(DELIVERY_PREFIX.to_owned()),
            consistent: true,
            descending: true,
            limit: Some(first_page),
            ..KeyRange::default()
        };
        let mut records = Vec::new();
        let mut snapshot = None;
        'pages: loop {
            let page = self.query(range.clone()).await?;
            for item in page.items {
                let Some(TimelineCursor { at, .. }) =
                    TimelineCursor::from_item(&item, DELIVERY_PREFIX)
                else {
                    continue;
                };
                let deliveries = decode_deliveries(item)?;
                if let Some(found) = deliveries.snapshot {
                    snapshot = Some((at, found));
                    break 'pages;
                }
                // The records of one item keep their order.
                let readable = deliveries.records.into_iter().flatten();
                records.extend(readable.rev().map(|record| (at, record)));
            }
            match page.last_key {
                Some(last) => range.after = Some(last),
                None => break,
            }
            range.limit = Some(later_pages);
        }
        records.reverse();
        let states = match snapshot {
            Some((until, StoredSnapshot { parts, .. })) => {
                self.snapshot_states(session, until, parts).await?
            }
            None => RecipientStates::new(),
        };
        Ok(DeliveryHistory { states, snapshot, records })
    }

    async fn snapshot_states(
        &self,
        session: &SessionId,
        until: Timestamp,
        parts: usize,
    ) -> Result<RecipientStates, StoreError> {
        let range = KeyRange {
            pk: mailing_partition(session),
            prefix: Some(recipient_states_prefix(until)),
            consistent: true,
            ..KeyRange::default()
        };
        let items = self.query_all(range).await?;
        if items.len() < parts {
            // Two newer snapshots were stored since the head was read.
            let source = "a snapshot was replaced".into();
            return Err(StoreError::Busy { operation: "Query", source });
        }
        let mut states = RecipientStates::new();
        for item in items {
            let stored: StoredRecipients = decode(item)?;
            states
                .extend(stored.recipients.into_iter().map(|recipient| (recipient.r, recipient.s)));
        }
        Ok(states)
    }
}

/// Splits the states into parts, in the same way for equal states.
fn parts(states: &RecipientStates) -> Vec<Vec<StoredRecipient>> {
    let mut sorted: Vec<_> = states.iter().collect();
    sorted.sort_by_key(|(recipient, _)| *recipient);
    let mut parts: Vec<Vec<StoredRecipient>> = Vec::new();
    let mut bytes = PART_BYTES;
    for (recipient, state) in sorted {
        let stored = StoredRecipient { r: recipient.clone(), s: state.clone() };
        bytes += serde_json::to_string(&stored).map_or(0, |text| text.len());
        match parts.last_mut() {
            Some(part) if bytes < PART_BYTES => part.push(stored),
            _ => {
                bytes = 0;
                parts.push(vec![stored]);
            }
        }
    }
    parts
}
