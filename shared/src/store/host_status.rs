//! Host statuses of trainers, and the addresses of Zoom users that host sessions and are not connected.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::item::{decode, encode};
use super::schema::{ItemKey, attr};
use super::tx::{Action, Condition, Item, number};
use super::{BatchItems, Store};
use crate::domain::host_status::{HostStatus, HostStatuses};
use crate::domain::id::UserId;
use crate::domain::text::Email;
use crate::domain::zoom_connection::{ConnectionHealth, ZoomConnection};

#[derive(Serialize, Deserialize)]
struct StoredHostStatus {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    health: Option<ConnectionHealth>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    zoom_host: Option<String>,
    #[serde(default)]
    connection_version: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    zoom_basic: bool,
}

/// Stores the host status that follows from a connection. Belongs into the transaction that changes the connection.
pub fn put(connection: &ZoomConnection, health: ConnectionHealth) -> Action {
    let stored = StoredHostStatus {
        health: Some(health),
        zoom_host: connection.zoom_user.pseudonym(),
        connection_version: connection.version,
        zoom_basic: connection.zoom_user.is_basic,
    };
    Action::put(ItemKey::HostStatus(&connection.trainer), encode(&stored), Condition::new())
}

/// Deletes the host status of a trainer whose connection is deleted in the same transaction.
pub fn delete(trainer: &UserId) -> Action {
    Action::delete(ItemKey::HostStatus(trainer), Condition::new())
}

fn decode_host_status(item: Option<Item>) -> Result<HostStatus, StoreError> {
    let Some(item) = item else { return Ok(HostStatus::default()) };
    let stored: StoredHostStatus = decode(item)?;
    Ok(HostStatus {
        health: stored.health,
        host_user: stored.zoom_host,
        connection_version: stored.connection_version,
        is_basic: stored.zoom_basic,
    })
}

/// Replaces an unreadable host status, so that it does not hide the sessions about which it warns.
pub(super) fn readable_host_status(
    status: Result<HostStatus, StoreError>,
) -> Result<HostStatus, StoreError> {
    match status {
        Err(StoreError::Corrupt { .. }) => Ok(HostStatus::default()),
        result => result,
    }
}

#[derive(Serialize, Deserialize)]
struct StoredHostAddress {
    zoom_email: Email,
}

/// Stores the address of a Zoom user that is disconnected while sessions need it, until the last of them is over.
pub fn put_host_address(pseudonym: &str, email: &Email, until: Timestamp) -> Action {
    let mut item = encode(&StoredHostAddress { zoom_email: email.clone() });
    item.insert(attr::TTL.to_owned(), number(until.as_second()));
    Action::put(ItemKey::ZoomHost(pseudonym), item, Condition::new())
}

pub fn delete_host_address(pseudonym: &str) -> Action {
    Action::delete(ItemKey::ZoomHost(pseudonym), Condition::new())
}

impl Store {
    /// Returns a trainer's host status with strong consistency.
    pub async fn current_host_status(&self, trainer: &UserId) -> Result<HostStatus, StoreError> {
        decode_host_status(self.get(ItemKey::HostStatus(trainer)).await?)
    }

    /// Returns a trainer's host status. The read is eventually consistent.
    pub async fn host_status(&self, trainer: &UserId) -> Result<HostStatus, StoreError> {
        decode_host_status(self.get_eventually_consistent(ItemKey::HostStatus(trainer)).await?)
    }

    /// Returns the host status of each of `trainers`, a hundred per request. Unreadable ones are left out.
    pub async fn host_statuses(&self, trainers: &[UserId]) -> Result<HostStatuses, StoreError> {
        let keys: Vec<_> = trainers.iter().map(ItemKey::HostStatus).collect();
        let mut found = self.batch_get(&keys).await?;
        let status = |trainer: &UserId| Some((trainer.clone(), found.host_status(trainer).ok()?));
        Ok(trainers.iter().filter_map(status).collect())
    }

    /// Returns the address of a Zoom user that was disconnected while sessions needed it.
    pub async fn host_address(&self, pseudonym: &str) -> Result<Option<Email>, StoreError> {
        let item = self.get(ItemKey::ZoomHost(pseudonym)).await?;
        let stored = item.map(decode::<StoredHostAddress>).transpose()?;
        Ok(stored.map(|stored| stored.zoom_email))
    }
}

impl BatchItems {
    pub(crate) fn host_status(&mut self, trainer: &UserId) -> Result<HostStatus, StoreError> {
        decode_host_status(self.take(ItemKey::HostStatus(trainer)))
    }
}
