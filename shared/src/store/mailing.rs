//! Mails: claims, delivery records, mail counts per session, and the lease of the outbox sweep.
//!
//! Claiming a mail costs one write. Delivery records of up to a hundred mails share one item, which is written in one
//! transaction with the mail counts. Only the delivery records show whether a mail was sent, so an unfinished claim is
//! resolved by looking there.

use std::collections::{BTreeMap, HashMap, HashSet};

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::error::{CommitError, StoreError};
use super::item::{Part, decode, encode, key_for_log, not_negative, or_default, unreadable};
use super::recipient_states::StoredSnapshot;
use super::schema::{DELIVERY_PREFIX, DueQueue, ItemKey, attr, deliveries_partition, limit};
use super::timeline::TimelineCursor;
use super::tx::{Action, Condition, ConditionSubject, Item, ItemChanges, number, text};
use super::{KeyRange, Store, UpdateResult};
use crate::crypt::sha256_hex;
use crate::domain::audience::Audience;
use crate::domain::directory::User;
use crate::domain::id::{SessionId, UserId};
use crate::domain::mailing::claim::{ClaimPhase, NextAttempt};
use crate::domain::mailing::{
    DeliveryRecord, DeliveryStatus, EntryDigest, Mail, MailClaim, MailKind, MailSubject,
    MessageKey, PastDelivery, RecipientRef, RecipientState, SentEntry,
};
use crate::domain::session::Session;
use crate::domain::time::sortable_text;

/// The time in which the holder of a claim records its mail, with room for different clocks. The claim lasts 100 seconds.
const RECORDED_WITHIN: SignedDuration = SignedDuration::from_mins(15);

const SENDING: &str = "sending";
const WAITING: &str = "waiting";
const FINISHED: &str = "finished";

/// Items of delivery records that a timeline reads per request. Each contains up to a hundred records.
const DELIVERIES_PAGE: i32 = 5;

#[derive(Deserialize)]
struct StoredClaim {
    phase: String,
    #[serde(default)]
    holder: String,
    #[serde(default, deserialize_with = "not_negative")]
    attempts: u32,
    #[serde(default, deserialize_with = "not_negative")]
    unknown_outcomes: u32,
    #[serde(default, deserialize_with = "not_negative")]
    redrives: u32,
    claimed_at: Timestamp,
    claimed_until: Timestamp,
    #[serde(default = "queued")]
    recorded_status: DeliveryStatus,
}

fn queued() -> DeliveryStatus {
    DeliveryStatus::Queued
}

fn decode_claim(item: Item) -> Result<MailClaim, StoreError> {
    let stored: StoredClaim = decode(item)?;
    let phase = match stored.phase.as_str() {
        SENDING => ClaimPhase::Sending { until: stored.claimed_until },
        WAITING => ClaimPhase::Waiting,
        FINISHED => ClaimPhase::Finished,
        _ => ClaimPhase::Unknown,
    };
    let StoredClaim { holder, attempts, unknown_outcomes, redrives, claimed_at, .. } = stored;
    let recorded_status = stored.recorded_status;
    Ok(MailClaim {
        phase,
        holder,
        attempts,
        unknown_outcomes,
        redrives,
        claimed_at,
        recorded_status,
    })
}

/// The result of claiming a mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimResult {
    Claimed(MailClaim),
    /// The existing claim, which explains the result.
    NotClaimed(MailClaim),
}

fn days_after(at: Timestamp, days: i64) -> AttributeValue {
    let at = at.saturating_add(SignedDuration::from_hours(24 * days)).unwrap_or(at);
    number(at.as_second())
}

fn claim_changes(now: Timestamp, until: Timestamp, token: &str) -> ItemChanges {
    ItemChanges::new()
        .set(attr::PHASE, text(SENDING))
        .set(attr::HOLDER, text(token))
        .set(attr::CLAIMED_AT, text(sortable_text(now)))
        .set(attr::CLAIMED_UNTIL, text(sortable_text(until)))
        .set(attr::V, number(1))
        .set(attr::TTL, days_after(now, limit::CLAIM_TTL_DAYS))
}

/// A new delivery status of a mail, and the outcome of its claim.
#[derive(Clone, Debug)]
pub struct DeliveryUpdate {
    pub record: DeliveryRecord,
    /// The status recorded before.
    pub previous_status: DeliveryStatus,
    pub claim_outcome: ClaimOutcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimOutcome {
    /// The claim stays as it is.
    Unchanged,
    /// Will be retried. The attempt counts.
    Retry,
    /// Will be retried. The attempt does not count.
    RetryUncounted,
    /// Will be retried once. The mail may have been sent.
    RetryUnknown,
    Finished,
    /// Finished. The mail may have been sent.
    FinishedUnknown,
}

/// The trainers of the sessions of some mails, and whether the recipients are invited.
#[derive(Debug, Default)]
pub struct TrainersAndInvitedMails {
    pub trainers: HashMap<UserId, User>,
    /// The mails to recipients that are currently invited.
    pub invited: HashSet<MessageKey>,
    /// The mails with unreadable enrollments.
    pub unreadable: HashSet<MessageKey>,
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
}

impl MailCounts {
    /// Replaces negative counts by zero. They occur briefly if a mail is sent before its batch is recorded as queued.
    fn clamped_at_zero(self) -> Self {
        let Self { queued, sent, retrying, failed, dead, dropped } = self;
        Self {
            queued: queued.max(0),
            sent: sent.max(0),
            retrying: retrying.max(0),
            failed: failed.max(0),
            dead: dead.max(0),
            dropped: dropped.max(0),
        }
    }
}

#[derive(Serialize)]
pub(super) struct StoredDeliveries {
    pub(super) mails: Vec<StoredDeliveryRecord>,
    /// The recipient states up to here. An item with a snapshot has no mails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) snapshot: Option<StoredSnapshot>,
    #[serde(rename = "expires_at")]
    pub(super) ttl: i64,
}

#[derive(Deserialize)]
struct ReadDeliveries {
    mails: Vec<Part<StoredDeliveryRecord>>,
    #[serde(default)]
    snapshot: Option<StoredSnapshot>,
}

/// The delivery records of an item, in their order.
pub(super) struct DecodedDeliveries {
    /// `None` is a record that cannot be read.
    pub(super) records: Vec<Option<StoredDeliveryRecord>>,
    pub(super) snapshot: Option<StoredSnapshot>,
}

pub(super) fn decode_deliveries(item: Item) -> Result<DecodedDeliveries, StoreError> {
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
pub(super) struct StoredDeliveryRecord {
    /// The first half of the message key.
    e: String,
    /// Recipient.
    pub(super) r: RecipientRef,
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
    pub(super) fn apply_to(&self, state: &mut RecipientState) {
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
pub(super) fn delivery_ttl(at: Timestamp) -> i64 {
    at.saturating_add(SignedDuration::from_hours(24 * limit::DELIVERY_TTL_DAYS))
        .unwrap_or(at)
        .as_second()
}

fn put_deliveries<'a>(
    subject: &MailSubject,
    records: impl Iterator<Item = &'a DeliveryRecord> + Clone,
    at: Timestamp,
) -> Action {
    let names: String = records
        .clone()
        .flat_map(|record| [record.message_key.as_str(), record.status.as_str()])
        .collect();
    let queued = records.clone().all(|record| record.status == DeliveryStatus::Queued);
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
    // Sorts "queued" before "sent" within one millisecond.
    let digest = format!("{}{}", if queued { 'a' } else { 'b' }, &sha256_hex(names)[..15]);
    Action::put(
        ItemKey::Deliveries { subject, at, digest: &digest },
        item,
        Condition::item_absent(),
    )
}

/// Changes the mail counts by `moves`. Returns `None` if all of them are zero.
fn change_counts(subject: &MailSubject, moves: &BTreeMap<DeliveryStatus, i64>) -> Option<Action> {
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
    let moves = BTreeMap::from([(DeliveryStatus::Queued, i64::try_from(mails.len()).unwrap_or(0))]);
    std::iter::once(put_deliveries(subject, records.iter(), at))
        .chain(change_counts(subject, &moves))
        .collect()
}

/// Records that people are about to be notified of a session. Stored before the first mail, so that a crash cannot lose it.
pub fn mark_notified(subject: &MailSubject) -> Action {
    let changes = ItemChanges::new().set(attr::NOTIFIED, AttributeValue::Bool(true));
    Action::update(ItemKey::MailCount(subject), changes, Condition::new())
}

fn end_claim(subject: &MailSubject, update: &DeliveryUpdate) -> Option<Action> {
    let status = text(update.record.status.as_str());
    let changes = match update.claim_outcome {
        ClaimOutcome::Unchanged => return None,
        ClaimOutcome::Retry => ItemChanges::new().set(attr::PHASE, text(WAITING)),
        ClaimOutcome::RetryUncounted => {
            ItemChanges::new().set(attr::PHASE, text(WAITING)).add(attr::ATTEMPTS, -1)
        }
        ClaimOutcome::RetryUnknown => {
            ItemChanges::new().set(attr::PHASE, text(WAITING)).add(attr::UNKNOWN_OUTCOMES, 1)
        }
        ClaimOutcome::Finished => ItemChanges::new().set(attr::PHASE, text(FINISHED)),
        ClaimOutcome::FinishedUnknown => {
            ItemChanges::new().set(attr::PHASE, text(FINISHED)).add(attr::UNKNOWN_OUTCOMES, 1)
        }
    };
    let changes = changes.set(attr::RECORDED_STATUS, status);
    Some(Action::update(
        ItemKey::Mail { subject, message_key: &update.record.message_key },
        changes,
        Condition::new(),
    ))
}

/// Releases the claim of `holder` without counting the attempt or recording a delivery. Refused if the claim was released
/// already, so that a repeated write does not subtract another attempt.
pub fn release_claim(subject: &MailSubject, message_key: &MessageKey, holder: &str) -> Action {
    let changes = ItemChanges::new().set(attr::PHASE, text(WAITING)).add(attr::ATTEMPTS, -1);
    let condition =
        Condition::new().equals(attr::HOLDER, text(holder)).equals(attr::PHASE, text(SENDING));
    Action::update(ItemKey::Mail { subject, message_key }, changes, condition)
}

/// The state of the outbox.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct OutboxState {
    /// No mail is sent before this time.
    #[serde(default)]
    pub paused_until: Option<Timestamp>,
    /// The mail service's error code.
    #[serde(default)]
    pub pause_reason: Option<String>,
}

/// Takes the lease to send mails until `until`. Refused while another run holds it: two runs at once would exceed the
/// configured rate.
pub fn take_outbox_lease(holder: &str, now: Timestamp, until: Timestamp) -> Action {
    let changes = ItemChanges::new()
        .set(attr::LEASE_HOLDER, text(holder))
        .set(attr::LEASE_UNTIL, text(sortable_text(until)));
    Action::update(
        ItemKey::Sweep(DueQueue::Outbox),
        changes,
        Condition::new().absent_or_expired(attr::LEASE_UNTIL, now),
    )
    .recognized_by(attr::LEASE_HOLDER, text(holder))
}

/// Releases the outbox lease if `holder` still has it.
pub fn release_outbox_lease(holder: &str) -> Action {
    let changes = ItemChanges::new().remove(attr::LEASE_HOLDER).remove(attr::LEASE_UNTIL);
    let condition = Condition::new().equals(attr::LEASE_HOLDER, text(holder));
    Action::update(ItemKey::Sweep(DueQueue::Outbox), changes, condition)
}

/// Pauses all mails until `until`.
pub fn pause_outbox(until: Timestamp, code: &str) -> Action {
    let changes = ItemChanges::new()
        .set(attr::PAUSED_UNTIL, text(sortable_text(until)))
        .set(attr::PAUSE_REASON, text(code));
    Action::update(ItemKey::Sweep(DueQueue::Outbox), changes, Condition::new())
}

impl Store {
    /// Claims a mail that is unclaimed or waits for a retry.
    pub async fn claim_mail(
        &self,
        mail: &Mail,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<ClaimResult, StoreError> {
        let token = self.new_claim_token();
        let changes = claim_changes(now, until, &token).add(attr::ATTEMPTS, 1);
        let condition = Condition::new().absent_or_equals(attr::PHASE, text(WAITING));
        self.claim_if(mail, changes, condition, &token).await
    }

    /// Returns a token by which a claim recognizes its own write when the SDK retries after a lost response.
    fn new_claim_token(&self) -> String {
        data_encoding::BASE32_NOPAD.encode(&self.random.bytes::<10>())
    }

    /// Claims a mail again if its claim is still as `found`.
    pub async fn reclaim_mail(
        &self,
        mail: &Mail,
        found: &MailClaim,
        reason: NextAttempt,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<ClaimResult, StoreError> {
        let token = self.new_claim_token();
        let changes = claim_changes(now, until, &token);
        let changes = if reason == NextAttempt::Redriven || mail.redrives > found.redrives {
            changes.set(attr::ATTEMPTS, number(1)).set(attr::REDRIVES, number(mail.redrives))
        } else {
            changes.add(attr::ATTEMPTS, 1)
        };
        // A redrive keeps the number of attempts that may have sent the mail.
        let changes = match reason {
            NextAttempt::Lost | NextAttempt::GivenUp => changes.add(attr::UNKNOWN_OUTCOMES, 1),
            _ => changes,
        };
        let condition =
            Condition::new().equals(attr::CLAIMED_AT, text(sortable_text(found.claimed_at)));
        let phase = match found.phase {
            ClaimPhase::Sending { .. } => SENDING,
            ClaimPhase::Waiting => WAITING,
            ClaimPhase::Finished | ClaimPhase::Unknown => FINISHED,
        };
        self.claim_if(mail, changes, condition.equals(attr::PHASE, text(phase)), &token).await
    }

    async fn claim_if(
        &self,
        mail: &Mail,
        changes: ItemChanges,
        condition: Condition,
        token: &str,
    ) -> Result<ClaimResult, StoreError> {
        let key = ItemKey::Mail { subject: &mail.subject, message_key: &mail.message_key };
        let claim =
            Action::update(key, changes, condition).recognized_by(attr::HOLDER, text(token));
        match self.update_and_read(claim).await? {
            UpdateResult::Updated(item) => Ok(ClaimResult::Claimed(decode_claim(item)?)),
            UpdateResult::Refused(item) => Ok(ClaimResult::NotClaimed(decode_claim(item)?)),
        }
    }

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
        actions.extend(all.iter().filter_map(|update| end_claim(subject, update)));
        match self.commit(actions).await {
            Err(error) if error.refused(ConditionSubject::Deliveries) => Ok(()),
            other => other,
        }
    }

    /// Returns whether a delivery record shows that the mail was sent by the claim of `since`.
    pub async fn was_sent(
        &self,
        mail: &Mail,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let to = since.saturating_add(RECORDED_WITHIN).unwrap_or(now).min(now);
        let range = KeyRange {
            pk: deliveries_partition(&mail.subject),
            from: Some(format!("{DELIVERY_PREFIX}{}", sortable_text(since))),
            to: Some(format!("{DELIVERY_PREFIX}{}~", sortable_text(to))),
            consistent: true,
            ..KeyRange::default()
        };
        for item in self.query_all(range).await? {
            let short = mail.message_key.short();
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

    /// Returns the trainers of the sessions, and whether the recipients of the mails are currently invited. An unreadable
    /// trainer is left out.
    pub async fn trainers_and_invited_mails(
        &self,
        mails: &[(&Session, &Mail)],
    ) -> Result<TrainersAndInvitedMails, StoreError> {
        // DynamoDB refuses duplicate keys in a batch.
        let mut keys = HashMap::new();
        for (session, mail) in mails {
            let trainer = ItemKey::User(&session.trainer);
            keys.insert((trainer.pk(), trainer.sk()), trainer);
            for key in invitation_keys(session, mail) {
                keys.insert((key.pk(), key.sk()), key);
            }
        }
        let keys: Vec<_> = keys.into_values().collect();
        let mut found = self.batch_get(&keys).await?;
        let mut trainers = HashMap::new();
        for (session, _) in mails {
            if let Ok(Some(user)) = found.user(&session.trainer) {
                trainers.insert(session.trainer.clone(), user);
            }
        }
        let (mut in_audience, mut unreadable) = (HashSet::new(), HashSet::new());
        for key in keys.iter().filter(|key| !matches!(key, ItemKey::User(_))) {
            match found.is_in_audience(*key) {
                Ok(true) => drop(in_audience.insert((key.pk(), key.sk()))),
                Ok(false) => {}
                Err(_) => drop(unreadable.insert((key.pk(), key.sk()))),
            }
        }
        let with_any = |found: &HashSet<(String, String)>| {
            let mails = mails.iter().filter(|(session, mail)| {
                invitation_keys(session, mail)
                    .iter()
                    .any(|key| found.contains(&(key.pk(), key.sk())))
            });
            mails.map(|(_, mail)| mail.message_key.clone()).collect::<HashSet<_>>()
        };
        let invited = with_any(&in_audience);
        let unreadable = &with_any(&unreadable) - &invited;
        Ok(TrainersAndInvitedMails { trainers, invited, unreadable })
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

    /// Returns the state of the outbox with an eventually consistent read.
    pub async fn outbox_state(&self) -> Result<OutboxState, StoreError> {
        let item = self.get_eventually_consistent(ItemKey::Sweep(DueQueue::Outbox)).await?;
        // An unreadable pause must not stop all mails. The service refuses them if it is still paused.
        Ok(item.and_then(|item| decode(item).ok()).unwrap_or_default())
    }
}

/// The keys of the items by which a session may invite the address of a mail.
fn invitation_keys<'a>(session: &'a Session, mail: &'a Mail) -> Vec<ItemKey<'a>> {
    match &session.audience {
        Audience::Standalone => Vec::new(),
        Audience::Course { id, .. } => {
            mail.users().map(|user| ItemKey::Enrollment { user, course: id }).collect()
        }
        Audience::Invitees { list, .. } => {
            vec![ItemKey::Invitee { session: &session.id, list: *list, email: &mail.to }]
        }
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
        let kept = days_after(Timestamp::UNIX_EPOCH, limit::DELIVERY_TTL_DAYS);
        assert!(kept.as_n().unwrap().parse::<i64>().unwrap() > longest.as_second());
    }
}
