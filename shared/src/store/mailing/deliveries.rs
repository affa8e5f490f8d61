//! Delivery records of mails, and mail counts per session.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::claims::{ClaimOutcome, end_claim};
use crate::domain::digest::Digest;
use crate::domain::id::SessionId;
use crate::domain::mailing::{
    DeliveryRecord, DeliveryStatus, EntryDigest, Mail, MailKind, MailSubject, MessageKey,
    PastDelivery, RecipientRef, RecipientState, SentEntry,
};
use crate::domain::time::sortable_text;
use crate::store::error::{CommitError, StoreError};
use crate::store::item::{Part, decode, encode, key_for_log, or_default, unreadable};
use crate::store::recipient_states::StoredSnapshot;
use crate::store::schema::{DELIVERY_PREFIX, ItemKey, attr, deliveries_partition, limit};
use crate::store::timeline::TimelineCursor;
use crate::store::tx::{Action, Condition, ConditionSubject, Item, ItemChanges};
use crate::store::{BatchItems, KeyRange, Store};

/// The time in which the holder of a claim records its mail, with room for different clocks. The claim lasts 100 seconds.
const RECORDED_WITHIN: SignedDuration = SignedDuration::from_mins(15);
/// Items of delivery records that a timeline reads per request. Each contains up to a hundred records.
const DELIVERIES_PAGE: i32 = 5;

/// A new delivery status of a mail, and the outcome of its claim.
#[derive(Clone, Debug)]
pub struct DeliveryUpdate {
    pub record: DeliveryRecord,
    /// The status recorded before.
    pub previous_status: DeliveryStatus,
    pub claim_outcome: ClaimOutcome,
}

/// The number of mails per delivery status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailCounts {
    #[serde(default)]
    pub queued: i64,
    #[serde(default)]
    pub sent: i64,
    #[serde(default)]
    pub retrying: i64,
    #[serde(default)]
    pub failed: i64,
    #[serde(default)]
    pub dead: i64,
    #[serde(default)]
    pub dropped: i64,
    #[serde(default)]
    pub bounced: i64,
    #[serde(default)]
    pub complained: i64,
}

impl MailCounts {
    /// Replaces negative counts by zero. They occur briefly if a mail is sent before its batch is recorded as queued.
    fn clamped_at_zero(self) -> Self {
        let Self { queued, sent, retrying, failed, dead, dropped, bounced, complained } = self;
        Self {
            queued: queued.max(0),
            sent: sent.max(0),
            retrying: retrying.max(0),
            failed: failed.max(0),
            dead: dead.max(0),
            dropped: dropped.max(0),
            bounced: bounced.max(0),
            complained: complained.max(0),
        }
    }
}

#[derive(Serialize)]
pub(in crate::store) struct StoredDeliveries {
    pub(in crate::store) mails: Vec<StoredDeliveryRecord>,
    /// The recipient states up to here. An item with a snapshot has no mails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::store) snapshot: Option<StoredSnapshot>,
    #[serde(rename = "expires_at")]
    pub(in crate::store) ttl: i64,
}

#[derive(Deserialize)]
struct ReadDeliveries {
    mails: Vec<Part<StoredDeliveryRecord>>,
    #[serde(default)]
    snapshot: Option<StoredSnapshot>,
}

/// The delivery records of an item, in their order.
pub(in crate::store) struct DecodedDeliveries {
    /// `None` is a record that cannot be read.
    pub(in crate::store) records: Vec<Option<StoredDeliveryRecord>>,
    pub(in crate::store) snapshot: Option<StoredSnapshot>,
}

pub(in crate::store) fn decode_deliveries(item: Item) -> Result<DecodedDeliveries, StoreError> {
    let key = key_for_log(&item);
    let deliveries: ReadDeliveries = decode(item)?;
    let records: Vec<_> = deliveries.mails.into_iter().map(Part::readable).collect();
    if records.iter().any(Option::is_none) {
        unreadable(key, "some delivery records cannot be decoded");
    }
    Ok(DecodedDeliveries { records, snapshot: deliveries.snapshot })
}

/// A delivery record with short attribute names: an item contains a hundred, and DynamoDB charges for names.
#[derive(Serialize, Deserialize)]
pub(in crate::store) struct StoredDeliveryRecord {
    /// The first half of the message key.
    e: String,
    /// Recipient.
    pub(in crate::store) r: RecipientRef,
    /// Kind. `None` if only a newer version has it.
    #[serde(deserialize_with = "or_default")]
    k: Option<MailKind>,
    /// Status.
    s: DeliveryStatus,
    /// Detail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    n: Option<String>,
    /// The version of the session that was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    v: Option<u64>,
    /// The sequence of the calendar entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    q: Option<u32>,
    /// The content of the calendar entry. Absent if the mail withdraws it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    c: Option<EntryDigest>,
    /// In doubt: the mail may have been sent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    d: bool,
}

impl StoredDeliveryRecord {
    pub(in crate::store) fn apply_to(&self, state: &mut RecipientState) {
        let Some(kind) = self.k else { return state.apply_unknown(&self.e) };
        state.apply(&PastDelivery {
            short_key: &self.e,
            kind,
            status: self.s,
            sent_version: self.v,
            entry: self.q.map(|sequence| SentEntry { sequence, content: self.c.clone() }),
            in_doubt: self.d,
        });
    }
}

/// Returns when delivery records and snapshots of `at` expire, in Unix seconds.
pub(in crate::store) fn delivery_ttl(at: Timestamp) -> i64 {
    at.saturating_add(SignedDuration::from_hours(24 * limit::DELIVERY_TTL_DAYS))
        .unwrap_or(at)
        .as_second()
}

pub(super) fn put_deliveries<'a>(
    subject: &MailSubject,
    records: impl Iterator<Item = &'a DeliveryRecord> + Clone,
    at: Timestamp,
) -> Action {
    let names: String = records
        .clone()
        .flat_map(|record| [record.message_key.as_str(), record.status.as_str()])
        .collect();
    let order = records.clone().map(|record| order_within_instant(record.status)).max();
    let ttl = delivery_ttl(at);
    let mails = records.map(|record| StoredDeliveryRecord {
        e: record.message_key.short().to_owned(),
        r: record.recipient.clone(),
        k: Some(record.kind),
        s: record.status,
        n: record.detail.clone(),
        v: record.sent_version,
        q: record.entry.as_ref().map(|entry| entry.sequence),
        c: record.entry.as_ref().and_then(|entry| entry.content.clone()),
        d: record.in_doubt,
    });
    let item = encode(&StoredDeliveries { mails: mails.collect(), snapshot: None, ttl });
    let digest = format!("{}{}", order.unwrap_or('a'), Digest::of_value(names).hex(15));
    Action::put(
        ItemKey::Deliveries { subject, at, digest: &digest },
        item,
        Condition::item_absent(),
    )
}

/// Sorts `queued` before the outcome of the first attempt, and a return after both, within one millisecond.
fn order_within_instant(status: DeliveryStatus) -> char {
    match status {
        DeliveryStatus::Queued => 'a',
        DeliveryStatus::Bounced | DeliveryStatus::Complained => 'c',
        _ => 'b',
    }
}

/// Changes the mail counts by `moves`. Returns `None` if all of them are zero.
pub(super) fn change_counts(
    subject: &MailSubject,
    moves: &BTreeMap<DeliveryStatus, i64>,
) -> Option<Action> {
    let moves: Vec<_> = moves.iter().filter(|(_, by)| **by != 0).collect();
    let changes = moves
        .iter()
        .fold(ItemChanges::new(), |changes, (state, by)| changes.add(state.as_str(), **by));
    (!moves.is_empty())
        .then(|| Action::update(ItemKey::MailCount(subject), changes, Condition::new()))
}

/// Records that mails were queued. Part of the transaction that advances the domain event.
pub fn record_queued(subject: &MailSubject, mails: &[Mail], at: Timestamp) -> Vec<Action> {
    if mails.is_empty() {
        return Vec::new();
    }
    let records: Vec<_> =
        mails.iter().map(|mail| DeliveryRecord::new(mail, DeliveryStatus::Queued, None)).collect();
    let mut changes = ItemChanges::new()
        .add(DeliveryStatus::Queued.as_str(), i64::try_from(mails.len()).unwrap_or(0));
    if mails.iter().any(|mail| mail.kind == MailKind::Removed) {
        changes = changes.set(attr::HAS_REMOVALS, AttributeValue::Bool(true));
    }
    let count = Action::update(ItemKey::MailCount(subject), changes, Condition::new());
    vec![put_deliveries(subject, records.iter(), at), count]
}

/// Records that people are about to be notified of a session. Stored before the first mail, so that a crash cannot lose it.
pub fn mark_notified(subject: &MailSubject) -> Action {
    let changes = ItemChanges::new().set(attr::NOTIFIED, AttributeValue::Bool(true));
    Action::update(ItemKey::MailCount(subject), changes, Condition::new())
}

impl Store {
    /// Records deliveries of mails with the same subject. It is idempotent.
    pub async fn record_deliveries(
        &self,
        subject: &MailSubject,
        all: &[DeliveryUpdate],
        at: Timestamp,
    ) -> Result<(), CommitError> {
        if all.is_empty() {
            return Ok(());
        }
        let mut moves = BTreeMap::new();
        for update in all {
            if update.previous_status != DeliveryStatus::Unknown {
                *moves.entry(update.previous_status).or_insert(0) -= 1;
            }
            *moves.entry(update.record.status).or_insert(0) += 1;
        }
        let mut actions =
            vec![put_deliveries(subject, all.iter().map(|update| &update.record), at)];
        actions.extend(change_counts(subject, &moves));
        actions.extend(
            all.iter()
                .filter_map(|update| end_claim(subject, &update.record, update.claim_outcome)),
        );
        match self.commit(actions).await {
            Err(error) if error.refused(ConditionSubject::Deliveries) => Ok(()),
            other => other,
        }
    }

    /// Returns whether a delivery record shows that the mail was sent by the claim of `since`.
    pub async fn was_sent(
        &self,
        subject: &MailSubject,
        message_key: &MessageKey,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let to = since.saturating_add(RECORDED_WITHIN).unwrap_or(now).min(now);
        let range = KeyRange {
            pk: deliveries_partition(subject),
            from: Some(format!("{DELIVERY_PREFIX}{}", sortable_text(since))),
            to: Some(format!("{DELIVERY_PREFIX}{}~", sortable_text(to))),
            consistent: true,
            ..KeyRange::default()
        };
        for item in self.query_all(range).await? {
            let short = message_key.short();
            if decode_deliveries(item)?
                .records
                .iter()
                .flatten()
                .any(|record| record.e == short && record.s == DeliveryStatus::Sent)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns the time at which each mail about a session was recorded as queued since `since`, by short message key.
    pub async fn queued_mails(
        &self,
        session: &SessionId,
        since: Timestamp,
    ) -> Result<HashMap<String, Timestamp>, StoreError> {
        let subject = MailSubject::Session(session.clone());
        let range = KeyRange {
            pk: deliveries_partition(&subject),
            from: Some(format!("{DELIVERY_PREFIX}{}", sortable_text(since))),
            to: Some(format!("{DELIVERY_PREFIX}~")),
            consistent: true,
            ..KeyRange::default()
        };
        let mut queued = HashMap::new();
        for item in self.query_all(range).await? {
            let Some(TimelineCursor { at, .. }) = TimelineCursor::from_item(&item, DELIVERY_PREFIX)
            else {
                continue;
            };
            let records = decode_deliveries(item)?.records.into_iter().flatten();
            let records = records.filter(|record| record.s == DeliveryStatus::Queued);
            queued.extend(records.map(|record| (record.e, at)));
        }
        Ok(queued)
    }

    /// Returns the mail counts of a session, or `None` before the first mail.
    pub async fn mail_counts(&self, session: &SessionId) -> Result<Option<MailCounts>, StoreError> {
        let subject = MailSubject::Session(session.clone());
        let item = self.get_eventually_consistent(ItemKey::MailCount(&subject)).await?;
        let counts = item.and_then(|item| decode::<MailCounts>(item).ok());
        let counts = counts.filter(|counts| *counts != MailCounts::default());
        Ok(counts.map(MailCounts::clamped_at_zero))
    }

    /// Returns whether anybody was notified of a session, or was about to be.
    pub async fn was_notified(&self, subject: &MailSubject) -> Result<bool, StoreError> {
        Ok(self.get(ItemKey::MailCount(subject)).await?.is_some())
    }

    /// Returns the newest delivery records of a session before a cursor. The records of one item share a time and keep
    /// their order.
    pub async fn deliveries_before(
        &self,
        session: &SessionId,
        before: Option<&TimelineCursor>,
        limit: usize,
    ) -> Result<Vec<(TimelineCursor, StoredDelivery)>, StoreError> {
        let subject = MailSubject::Session(session.clone());
        // The cursor may point into an item. '~' sorts after every position in it.
        let to = before.map_or_else(
            || format!("{DELIVERY_PREFIX}~"),
            |cursor| format!("{DELIVERY_PREFIX}{}#{}~", sortable_text(cursor.at), cursor.tail),
        );
        let mut range = KeyRange {
            pk: deliveries_partition(&subject),
            from: Some(DELIVERY_PREFIX.to_owned()),
            to: Some(to),
            descending: true,
            limit: Some(DELIVERIES_PAGE),
            ..KeyRange::default()
        };
        let mut all = Vec::new();
        loop {
            let page = self.query(range.clone()).await?;
            for item in page.items {
                let Some(TimelineCursor { at, tail }) =
                    TimelineCursor::from_item(&item, DELIVERY_PREFIX)
                else {
                    continue;
                };
                let Ok(deliveries) = decode_deliveries(item) else { continue };
                for (n, record) in deliveries.records.into_iter().enumerate().rev() {
                    let Some(StoredDeliveryRecord {
                        r: recipient,
                        k: Some(kind),
                        s: state,
                        n: note,
                        ..
                    }) = record
                    else {
                        continue;
                    };
                    let cursor = TimelineCursor { at, tail: format!("{tail}n{n:03}") };
                    if before.is_none_or(|before| cursor < *before) {
                        all.push((cursor, StoredDelivery { recipient, kind, state, note }));
                    }
                }
            }
            match page.last_key {
                Some(last) if all.len() < limit => range.after = Some(last),
                _ => break,
            }
        }
        all.truncate(limit);
        Ok(all)
    }
}

impl BatchItems {
    /// Returns whether mails were queued that remove an entry of the session, which goes on.
    pub(crate) fn has_removal_mails(&self, subject: &MailSubject) -> bool {
        let counts = self.get(ItemKey::MailCount(subject));
        counts.is_some_and(|counts| counts.contains_key(attr::HAS_REMOVALS))
    }
}

/// A delivery record as shown on the timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredDelivery {
    pub recipient: RecipientRef,
    pub kind: MailKind,
    pub state: DeliveryStatus,
    pub note: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::draft::MAX_AHEAD_MINUTES;

    #[test]
    fn delivery_records_outlive_every_planned_session() {
        let longest = Timestamp::UNIX_EPOCH
            .saturating_add(SignedDuration::from_mins(MAX_AHEAD_MINUTES))
            .unwrap();
        assert!(delivery_ttl(Timestamp::UNIX_EPOCH) > longest.as_second());
    }
}
