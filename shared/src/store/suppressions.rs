//! Suppressed addresses, by the digest of the address.
//!
//! They share one partition, so that operators can list them. The outbox reads at most a thousand of them per second, which
//! is a sixth of the reads that a partition allows.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::error::{CommitError, StoreError};
use super::item::{decode, decode_readable, encode};
use super::schema::{ItemKey, SUPPRESSIONS_PARTITION, attr, limit};
use super::tx::{Action, Condition, ItemChanges, key_item, number, text};
use super::{KeyRange, Store};
use crate::domain::id::SessionId;
use crate::domain::mailing::AddressDigest;
use crate::domain::suppression::{Suppression, SuppressionReason};
use crate::domain::text::Email;

#[derive(Serialize, Deserialize)]
pub(super) struct StoredSuppression {
    address: AddressDigest,
    /// Absent after the person was erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    email: Option<Email>,
    pub(super) reason: SuppressionReason,
    detail: String,
    suppressed_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session_id: Option<SessionId>,
    #[serde(rename = "expires_at", default, skip_serializing_if = "Option::is_none")]
    ttl: Option<i64>,
}

impl From<StoredSuppression> for Suppression {
    fn from(stored: StoredSuppression) -> Self {
        Self {
            address: stored.address,
            email: stored.email,
            reason: stored.reason,
            detail: stored.detail,
            at: stored.suppressed_at,
            session: stored.session_id,
        }
    }
}

/// A page of suppressed addresses, in the order of their digests.
#[derive(Debug)]
pub struct SuppressionPage {
    pub suppressions: Vec<Suppression>,
    /// The last address that was read, if there may be more.
    pub last: Option<AddressDigest>,
}

/// Returns when the suppression of an erased person expires, in Unix seconds.
fn ttl_after_erasure(at: Timestamp) -> i64 {
    let life = SignedDuration::from_hours(24 * limit::ERASED_SUPPRESSION_TTL_DAYS);
    at.saturating_add(life).unwrap_or(at).as_second()
}

/// Stores a suppression. Refused unless the reason is still `earlier`.
pub(super) fn put(suppression: &Suppression, earlier: Option<SuppressionReason>) -> Action {
    let Suppression { address, email, reason, detail, at, session } = suppression;
    let stored = StoredSuppression {
        address: address.clone(),
        email: email.clone(),
        reason: *reason,
        detail: detail.clone(),
        suppressed_at: *at,
        session_id: session.clone(),
        ttl: email.is_none().then(|| ttl_after_erasure(*at)),
    };
    let condition = match earlier {
        None => Condition::item_absent(),
        Some(earlier) => Condition::new().equals(attr::REASON, text(earlier.as_str())),
    };
    Action::put(ItemKey::Suppression(address), encode(&stored), condition).requested_at(*at)
}

impl Store {
    /// Removes the address of an erased person from its suppression, unless that is newer than the erasure. The digest is kept
    /// for a while, so that the address gets no mails if it is invited again.
    pub async fn erase_suppressed_address(
        &self,
        email: &Email,
        erased_at: Timestamp,
    ) -> Result<(), StoreError> {
        let changes = ItemChanges::new()
            .remove(attr::EMAIL)
            .set(attr::TTL, number(ttl_after_erasure(erased_at)));
        let address = AddressDigest::new(email);
        let key = ItemKey::Suppression(&address);
        let erased_ms = number(erased_at.as_millisecond());
        let condition = Condition::item_exists().absent_or_at_most(attr::REQUESTED_MS, erased_ms);
        match self.commit_one(Action::update(key, changes, condition)).await {
            Ok(()) | Err(CommitError::Refused(_)) => Ok(()),
            Err(CommitError::Store(error)) => Err(error),
        }
    }

    /// Ends a suppression. Returns whether there was one.
    pub async fn delete_suppression(&self, email: &Email) -> Result<bool, StoreError> {
        let address = AddressDigest::new(email);
        let key = ItemKey::Suppression(&address);
        match self.commit_one(Action::delete(key, Condition::item_exists())).await {
            Ok(()) => Ok(true),
            Err(CommitError::Refused(_)) => Ok(false),
            Err(CommitError::Store(error)) => Err(error),
        }
    }

    /// Returns which of these addresses are suppressed.
    pub async fn suppressed_addresses(
        &self,
        addresses: &[AddressDigest],
    ) -> Result<Vec<AddressDigest>, StoreError> {
        if addresses.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<_> = addresses.iter().map(ItemKey::Suppression).collect();
        let found = self.batch_get_eventually_consistent(&keys).await?;
        let is_suppressed =
            |address: &&AddressDigest| found.get(ItemKey::Suppression(address)).is_some();
        Ok(addresses.iter().filter(is_suppressed).cloned().collect())
    }

    /// Returns a page of the suppressed addresses after `after`. Unreadable ones are left out.
    pub async fn suppressions(
        &self,
        after: Option<&AddressDigest>,
        page: usize,
    ) -> Result<SuppressionPage, StoreError> {
        let range = KeyRange {
            pk: SUPPRESSIONS_PARTITION.to_owned(),
            after: after.map(|after| key_item(&ItemKey::Suppression(after))),
            limit: i32::try_from(page).ok(),
            // An operator may look for an address that was removed a moment ago.
            consistent: true,
            ..KeyRange::default()
        };
        let found = self.query(range).await?;
        let last =
            found.last_key.map(|key| decode::<LastKey>(key).map(|key| key.sk)).transpose()?;
        let stored = decode_readable::<StoredSuppression>(found.items);
        Ok(SuppressionPage { suppressions: stored.map(Suppression::from).collect(), last })
    }
}

/// The sort key at which a query stopped.
#[derive(Deserialize)]
struct LastKey {
    sk: AddressDigest,
}
