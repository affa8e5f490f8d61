//! The token of the platform's own Zoom account: one item in the tokens table.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Store;
use super::error::StoreError;
use super::item::decode;
use super::schema::{ItemKey, attr, limit};
use super::tx::{Action, Condition, ItemChanges, number, text};
use crate::crypt::Sealed;
use crate::domain::account_token::{AccountToken, AccountTokenId, IssuedToken};
use crate::domain::time::sortable_text;
use crate::domain::zoom_connection::RefreshLease;

#[derive(Serialize, Deserialize)]
struct StoredAccountToken {
    #[serde(default)]
    access_token: Option<Sealed>,
    #[serde(default)]
    access_expires_at: Option<Timestamp>,
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default)]
    api_url: Option<String>,
    #[serde(default)]
    version: u64,
    #[serde(default)]
    lease_holder: Option<String>,
    #[serde(default)]
    lease_until: Option<Timestamp>,
    #[serde(default)]
    refused_at: Option<Timestamp>,
}

impl From<StoredAccountToken> for AccountToken {
    fn from(s: StoredAccountToken) -> Self {
        let StoredAccountToken { scopes, api_url, .. } = s;
        let issued = s.access_token.zip(s.access_expires_at).map(|(access_token, expires_at)| {
            IssuedToken { access_token, expires_at, scopes, api_url }
        });
        let lease = s.lease_holder.zip(s.lease_until);
        Self {
            issued,
            version: s.version,
            lease: lease.map(|(holder, until)| RefreshLease { holder, until }),
            refused_at: s.refused_at,
        }
    }
}

/// Requires the version that was read. Version 0 has never been stored.
fn is_version(version: u64) -> Condition {
    match version {
        0 => Condition::new().absent(attr::VERSION),
        version => Condition::new().equals(attr::VERSION, number(version)),
    }
}

/// Takes the lease to request a token. Refused if there is a newer one, or if another process holds the lease.
pub fn take_lease(
    id: &AccountTokenId,
    read: &AccountToken,
    holder: &str,
    until: Timestamp,
    now: Timestamp,
) -> Action {
    let changes = ItemChanges::new()
        .set(attr::LEASE_HOLDER, text(holder))
        .set(attr::LEASE_UNTIL, text(sortable_text(until)))
        .set(attr::TTL, number(ttl(until)));
    let condition = is_version(read.version).absent_or_expired(attr::LEASE_UNTIL, now);
    Action::update(ItemKey::AccountToken(id), changes, condition)
        .recognized_by(attr::LEASE_HOLDER, text(holder))
}

fn holds_lease(read: &AccountToken, holder: &str) -> Condition {
    is_version(read.version).equals(attr::LEASE_HOLDER, text(holder))
}

/// Releases the lease and leaves the token unchanged.
pub fn release_lease(id: &AccountTokenId, read: &AccountToken, holder: &str) -> Action {
    let changes = ItemChanges::new().remove(attr::LEASE_HOLDER).remove(attr::LEASE_UNTIL);
    Action::update(ItemKey::AccountToken(id), changes, holds_lease(read, holder))
}

/// Releases the lease and stores that Zoom refused the credentials.
pub fn mark_refused(
    id: &AccountTokenId,
    read: &AccountToken,
    holder: &str,
    now: Timestamp,
) -> Action {
    let changes = ItemChanges::new()
        .set(attr::REFUSED_AT, text(now.to_string()))
        .set(attr::VERSION, number(read.version + 1))
        .remove(attr::LEASE_HOLDER)
        .remove(attr::LEASE_UNTIL);
    Action::update(ItemKey::AccountToken(id), changes, holds_lease(read, holder))
}

/// Stores a new token in place of the version that was read, and releases the lease.
pub fn put_issued(
    id: &AccountTokenId,
    read: &AccountToken,
    issued: &IssuedToken,
    holder: &str,
) -> Action {
    let scopes =
        aws_sdk_dynamodb::types::AttributeValue::L(issued.scopes.iter().map(text).collect());
    let changes = ItemChanges::new()
        .set(attr::ACCESS_TOKEN, text(issued.access_token.as_str()))
        .set(attr::ACCESS_EXPIRES_AT, text(issued.expires_at.to_string()))
        .set(attr::SCOPES, scopes)
        .set(attr::VERSION, number(read.version + 1))
        .set(attr::TTL, number(ttl(issued.expires_at)))
        .remove(attr::REFUSED_AT)
        .remove(attr::LEASE_HOLDER)
        .remove(attr::LEASE_UNTIL);
    let changes = match &issued.api_url {
        Some(url) => changes.set(attr::API_URL, text(url)),
        None => changes.remove(attr::API_URL),
    };
    Action::update(ItemKey::AccountToken(id), changes, holds_lease(read, holder))
        .recognized_by(attr::ACCESS_TOKEN, text(issued.access_token.as_str()))
}

/// Returns when the item of replaced credentials is deleted.
fn ttl(unused_from: Timestamp) -> i64 {
    let days = SignedDuration::from_hours(24 * limit::ACCOUNT_TOKEN_TTL_DAYS);
    unused_from.saturating_add(days).unwrap_or(unused_from).as_second()
}

impl Store {
    /// Returns the stored token with strong consistency.
    pub async fn account_token(&self, id: &AccountTokenId) -> Result<AccountToken, StoreError> {
        match self.get(ItemKey::AccountToken(id)).await? {
            Some(item) => decode::<StoredAccountToken>(item).map(AccountToken::from),
            None => Ok(AccountToken::default()),
        }
    }
}
