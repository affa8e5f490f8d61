//! Claims of mails, and their outcomes.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use crate::domain::mailing::claim::{ClaimPhase, NextAttempt};
use crate::domain::mailing::{
    DeliveryRecord, DeliveryStatus, Mail, MailClaim, MailSubject, MessageKey,
};
use crate::domain::time::sortable_text;
use crate::store::error::StoreError;
use crate::store::item::{decode, not_negative};
use crate::store::schema::{ItemKey, attr, limit};
use crate::store::tx::{Action, Condition, Item, ItemChanges, number, text};
use crate::store::{Store, UpdateResult};

const SENDING: &str = "sending";
const WAITING: &str = "waiting";
const FINISHED: &str = "finished";

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

pub(super) fn decode_claim(item: Item) -> Result<MailClaim, StoreError> {
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

/// Returns the end of a mail's claim, with the delivery status that is recorded with it.
pub(super) fn end_claim(
    subject: &MailSubject,
    record: &DeliveryRecord,
    outcome: ClaimOutcome,
) -> Option<Action> {
    let status = text(record.status.as_str());
    let changes = match outcome {
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
        ItemKey::Mail { subject, message_key: &record.message_key },
        changes,
        Condition::new(),
    ))
}

/// Ends the claim of a mail that came back, with its delivery status. Refused if the claim has changed since it was read.
pub(super) fn finish_returned(
    subject: &MailSubject,
    message_key: &MessageKey,
    read: &MailClaim,
    status: DeliveryStatus,
) -> Action {
    let changes = ItemChanges::new()
        .set(attr::PHASE, text(FINISHED))
        .set(attr::RECORDED_STATUS, text(status.as_str()));
    let condition = Condition::new().equals(attr::CLAIMED_AT, text(sortable_text(read.claimed_at)));
    let condition = condition.equals(attr::PHASE, text(phase_text(read.phase)));
    let recorded = text(read.recorded_status.as_str());
    let condition = match read.recorded_status {
        DeliveryStatus::Queued => condition.absent_or_equals(attr::RECORDED_STATUS, recorded),
        _ => condition.equals(attr::RECORDED_STATUS, recorded),
    };
    Action::update(ItemKey::Mail { subject, message_key }, changes, condition)
}

fn phase_text(phase: ClaimPhase) -> &'static str {
    match phase {
        ClaimPhase::Sending { .. } => SENDING,
        ClaimPhase::Waiting => WAITING,
        ClaimPhase::Finished | ClaimPhase::Unknown => FINISHED,
    }
}

/// Releases the claim of `holder` without counting the attempt or recording a delivery. Refused if the claim was released
/// already, so that a repeated write does not subtract another attempt.
pub fn release_claim(subject: &MailSubject, message_key: &MessageKey, holder: &str) -> Action {
    let changes = ItemChanges::new().set(attr::PHASE, text(WAITING)).add(attr::ATTEMPTS, -1);
    let condition =
        Condition::new().equals(attr::HOLDER, text(holder)).equals(attr::PHASE, text(SENDING));
    Action::update(ItemKey::Mail { subject, message_key }, changes, condition)
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
        let condition = condition.equals(attr::PHASE, text(phase_text(found.phase)));
        self.claim_if(mail, changes, condition, &token).await
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
}
