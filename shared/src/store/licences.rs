//! The pool of licences: one item with the holders and Zoom's limit. It is written in the transaction that changes the host.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Store;
use super::error::StoreError;
use super::item::{decode, encode};
use super::schema::{ItemKey, attr};
use super::tx::{Action, Condition, number};
use crate::domain::id::UserId;
use crate::domain::licence::{LicencePool, ObservedLimit};

#[derive(Serialize, Deserialize)]
struct StoredPool {
    #[serde(default)]
    holders: BTreeSet<UserId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    observed_limit: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    observed_at: Option<Timestamp>,
    version: u64,
}

/// Stores the pool in place of the version that was read, so that no two processes assign the last licence. Version 0 has
/// never been stored.
pub fn put(pool: &LicencePool, read_version: u64) -> Action {
    let item = encode(&StoredPool {
        holders: pool.holders.clone(),
        observed_limit: pool.observed.map(|observed| observed.limit),
        observed_at: pool.observed.map(|observed| observed.at),
        version: pool.version,
    });
    let condition = match read_version {
        0 => Condition::item_absent(),
        version => Condition::new().equals(attr::VERSION, number(version)),
    };
    Action::put(ItemKey::LicencePool, item, condition)
}

impl Store {
    /// Returns the pool with strong consistency.
    pub async fn licence_pool(&self) -> Result<LicencePool, StoreError> {
        let item = self.get(ItemKey::LicencePool).await?;
        let stored = item.map(decode::<StoredPool>).transpose()?;
        Ok(stored.map_or_else(LicencePool::default, |stored| LicencePool {
            holders: stored.holders,
            observed: stored
                .observed_limit
                .zip(stored.observed_at)
                .map(|(limit, at)| ObservedLimit { limit, at }),
            version: stored.version,
        }))
    }
}
