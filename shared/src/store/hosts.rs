//! Hosts of the platform's own Zoom account, their due work, and the addresses that they occupy.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::due_work::due_ttl;
use super::error::StoreError;
use super::item::{decode, decode_readable, encode};
use super::schema::{
    DueQueue, HOSTS_PARTITION, Index, ItemKey, LICENSED_HOSTS_PARTITION, attr, due_partition,
    host_sort_key, host_state_range,
};
use super::tx::{Action, Condition, Item, insert_index_key, number, text};
use super::{BatchItems, KeyRange, Store};
use crate::domain::id::{UserId, ZoomUserId};
use crate::domain::platform_host::{
    HeldLicence, HostCreation, HostReason, HostState, HostWork, LicenceIntent, LicenceMode,
    LicencePeriod, PlatformHost, ZoomUserRemoval,
};
use crate::domain::text::Email;
use crate::domain::time::sortable_text;

/// Due work that a run of the sweep reads. Each item takes at least one request to Zoom.
const DUE_HOSTS_PAGE: i32 = 500;
/// Items of the list of hosts per request.
const HOSTS_PAGE: i32 = 500;

#[derive(Serialize, Deserialize)]
struct StoredHost {
    trainer_id: UserId,
    email: Email,
    creation: HostCreation,
    licence: LicenceMode,
    state: HostState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<HostReason>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    zoom_user_id: Option<ZoomUserId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    zoom_account_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    held: Option<HeldLicence>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    licence_intent: Option<LicenceIntent>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    licence_history: Vec<LicencePeriod>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    work: Option<HostWork>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    invited_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    removal: Option<ZoomUserRemoval>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    former_user_id: Option<ZoomUserId>,
    version: u64,
    requested_at: Timestamp,
    updated_at: Timestamp,
}

impl From<&PlatformHost> for StoredHost {
    fn from(host: &PlatformHost) -> Self {
        Self {
            trainer_id: host.trainer.clone(),
            email: host.email.clone(),
            creation: host.creation,
            licence: host.licence,
            state: host.state,
            reason: host.reason,
            zoom_user_id: host.zoom_user.clone(),
            zoom_account_id: host.account.clone(),
            held: host.held.clone(),
            licence_intent: host.licence_intent.clone(),
            licence_history: host.licence_history.clone(),
            work: host.work.clone(),
            invited_at: host.invited_at,
            removal: host.removal,
            former_user_id: host.former_user.clone(),
            version: host.version,
            requested_at: host.requested_at,
            updated_at: host.updated_at,
        }
    }
}

impl From<StoredHost> for PlatformHost {
    fn from(stored: StoredHost) -> Self {
        Self {
            trainer: stored.trainer_id,
            email: stored.email,
            creation: stored.creation,
            licence: stored.licence,
            state: stored.state,
            reason: stored.reason,
            zoom_user: stored.zoom_user_id,
            account: stored.zoom_account_id,
            held: stored.held,
            licence_intent: stored.licence_intent,
            licence_history: stored.licence_history,
            work: stored.work,
            invited_at: stored.invited_at,
            removal: stored.removal,
            former_user: stored.former_user_id,
            version: stored.version,
            requested_at: stored.requested_at,
            updated_at: stored.updated_at,
        }
    }
}

/// Replaces a host that was read, or stores the first one, with its due work and its address in one transaction. Refused if
/// the host has changed since, or if another trainer's host has the address.
pub fn replace(before: Option<&PlatformHost>, after: &PlatformHost) -> Vec<Action> {
    let mut actions = vec![put(after, before.map(|before| before.version))];
    let due = |host: &PlatformHost| host.work.as_ref().map(|work| DueHost::of(host, work));
    let (old, new) = (before.and_then(due), due(after));
    // A transaction must not write one item twice.
    actions.extend(old.filter(|old| new.as_ref() != Some(old)).map(|old| old.delete()));
    actions.extend(new.map(|new| new.put()));
    let address = |host: &PlatformHost| (!host.has_released_address()).then(|| host.email.clone());
    let (old, new) = (before.and_then(address), address(after));
    if old != new {
        actions.extend(old.map(|email| release_address(&email, &after.trainer)));
        actions.extend(new.map(|email| occupy_address(&email, &after.trainer)));
    }
    actions
}

/// Deletes the record of an erased person with its due work and its address, and lets the sweep deactivate the Zoom user.
/// Refused if the host has changed.
pub fn erase(host: &PlatformHost, now: Timestamp) -> Vec<Action> {
    let key = ItemKey::PlatformHost(&host.trainer);
    let mut actions = vec![
        Action::delete(key, version_condition(Some(host.version))),
        release_address(&host.email, &host.trainer),
    ];
    actions.extend(host.work.as_ref().map(|work| DueHost::of(host, work).delete()));
    actions.extend(
        host.user_to_deactivate()
            .map(|user| DueDeactivation { user: user.clone(), due_at: now, attempts: 0 }.put()),
    );
    actions
}

/// Stores a host in place of the version that was read, or of none. The caller increases the version.
pub fn put(host: &PlatformHost, read_version: Option<u64>) -> Action {
    let mut item = encode(&StoredHost::from(host));
    let sort_key = host_sort_key(host.state, &host.trainer);
    insert_index_key(&mut item, Index::ByOwner, HOSTS_PARTITION, sort_key);
    if host.is_licensed_or_changing() {
        let sort_key = host.trainer.as_str();
        insert_index_key(&mut item, Index::ByAudience, LICENSED_HOSTS_PARTITION, sort_key);
    }
    Action::put(ItemKey::PlatformHost(&host.trainer), item, version_condition(read_version))
        .requested_at(host.requested_at)
}

fn version_condition(read_version: Option<u64>) -> Condition {
    match read_version {
        Some(version) => Condition::new().equals(attr::VERSION, number(version)),
        None => Condition::item_absent(),
    }
}

#[derive(Serialize, Deserialize)]
struct StoredHostOfEmail {
    user_id: UserId,
}

/// Occupies an address for a trainer's host, so that no two trainers share a Zoom user. Refused if another one has it.
fn occupy_address(email: &Email, trainer: &UserId) -> Action {
    let item = encode(&StoredHostOfEmail { user_id: trainer.clone() });
    let condition = Condition::new().absent_or_equals(attr::USER_ID, text(trainer.as_str()));
    Action::put(ItemKey::PlatformHostOfEmail(email), item, condition)
}

/// Releases an address. Refused if another trainer's host has it.
fn release_address(email: &Email, trainer: &UserId) -> Action {
    let condition = Condition::new().absent_or_equals(attr::USER_ID, text(trainer.as_str()));
    Action::delete(ItemKey::PlatformHostOfEmail(email), condition)
}

/// Due work of the hosts, read by `meeting-sweep`.
#[derive(Serialize, Deserialize)]
#[serde(tag = "work", rename_all = "snake_case")]
enum StoredHostWork {
    /// The task of a host. The host itself has its details.
    Host(StoredDueHost),
    Deactivation(StoredDeactivation),
}

#[derive(Serialize, Deserialize)]
struct StoredDeactivation {
    zoom_user_id: ZoomUserId,
    due_at: Timestamp,
    #[serde(default)]
    attempts: u32,
    #[serde(rename = "expires_at")]
    ttl: i64,
}

#[derive(Serialize, Deserialize)]
struct StoredDueHost {
    trainer_id: UserId,
    due_at: Timestamp,
    #[serde(rename = "expires_at")]
    ttl: i64,
}

/// A host with a due task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueHost {
    pub trainer: UserId,
    pub due_at: Timestamp,
}

/// The Zoom user of an erased person, to be deactivated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueDeactivation {
    pub user: ZoomUserId,
    pub due_at: Timestamp,
    pub attempts: u32,
}

/// One item of the hosts' due work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DueHostWork {
    Host(DueHost),
    Deactivation(DueDeactivation),
}

impl DueDeactivation {
    pub fn put(&self) -> Action {
        let stored = StoredHostWork::Deactivation(StoredDeactivation {
            zoom_user_id: self.user.clone(),
            due_at: self.due_at,
            attempts: self.attempts,
            ttl: due_ttl(self.due_at),
        });
        let key = self.key();
        let key = ItemKey::Due { queue: DueQueue::Hosts, at: self.due_at, key: &key };
        Action::put(key, encode(&stored), Condition::new())
    }

    pub fn delete(&self) -> Action {
        let key = self.key();
        let key = ItemKey::Due { queue: DueQueue::Hosts, at: self.due_at, key: &key };
        Action::delete(key, Condition::new())
    }

    fn key(&self) -> String {
        format!("{}#deactivation", self.user.pseudonym())
    }
}

impl DueHost {
    fn of(host: &PlatformHost, work: &HostWork) -> Self {
        Self { trainer: host.trainer.clone(), due_at: work.due_at }
    }

    pub fn put(&self) -> Action {
        let stored = StoredHostWork::Host(StoredDueHost {
            trainer_id: self.trainer.clone(),
            due_at: self.due_at,
            ttl: due_ttl(self.due_at),
        });
        let key = self.key();
        let key = ItemKey::Due { queue: DueQueue::Hosts, at: self.due_at, key: &key };
        Action::put(key, encode(&stored), Condition::new())
    }

    pub fn delete(&self) -> Action {
        let key = self.key();
        let key = ItemKey::Due { queue: DueQueue::Hosts, at: self.due_at, key: &key };
        Action::delete(key, Condition::new())
    }

    fn key(&self) -> String {
        format!("{}#host", self.trainer)
    }
}

/// A page of hosts, ordered by state and then by trainer.
#[derive(Debug, Default)]
pub struct HostPage {
    pub hosts: Vec<PlatformHost>,
    /// The last host of the page, if there may be more.
    pub last: Option<HostCursor>,
}

/// The position in the list of hosts at which a page ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostCursor {
    pub state: HostState,
    pub trainer: UserId,
}

fn decode_host(item: Option<Item>) -> Result<Option<PlatformHost>, StoreError> {
    item.map(|item| decode::<StoredHost>(item).map(PlatformHost::from)).transpose()
}

impl Store {
    /// Returns a trainer's host with strong consistency.
    pub async fn platform_host(
        &self,
        trainer: &UserId,
    ) -> Result<Option<PlatformHost>, StoreError> {
        decode_host(self.get(ItemKey::PlatformHost(trainer)).await?)
    }

    /// Returns the trainer whose host occupies an address.
    pub async fn trainer_of_host_address(
        &self,
        email: &Email,
    ) -> Result<Option<UserId>, StoreError> {
        let item = self.get(ItemKey::PlatformHostOfEmail(email)).await?;
        Ok(item.map(decode::<StoredHostOfEmail>).transpose()?.map(|stored| stored.user_id))
    }

    /// Returns a page of the hosts in a state, or of all. Eventually consistent. Unreadable hosts are left out.
    pub async fn platform_hosts(
        &self,
        state: Option<HostState>,
        after: Option<&HostCursor>,
        limit: usize,
    ) -> Result<HostPage, StoreError> {
        let (from, to) = host_state_range(state, after.map(|after| (after.state, &after.trainer)));
        let range = KeyRange {
            index: Some(Index::ByOwner),
            pk: HOSTS_PARTITION.to_owned(),
            from,
            to,
            limit: Some(i32::try_from(limit).unwrap_or(i32::MAX)),
            ..KeyRange::default()
        };
        let page = self.query(range).await?;
        let last = page.last_key.and_then(|key| {
            let key = key.get(attr::G1SK)?.as_s().ok()?;
            let (state, trainer) = key.split_once('#')?;
            Some(HostCursor { state: state.parse().ok()?, trainer: UserId::parse(trainer).ok()? })
        });
        let hosts = decode_readable::<StoredHost>(page.items).map(PlatformHost::from).collect();
        Ok(HostPage { hosts, last })
    }

    /// Returns the hosts that have a licence, or are about to get or to lose one. Eventually consistent. The number of
    /// licences of the account bounds them.
    pub async fn licensed_hosts(&self) -> Result<Vec<PlatformHost>, StoreError> {
        let range = KeyRange {
            index: Some(Index::ByAudience),
            pk: LICENSED_HOSTS_PARTITION.to_owned(),
            limit: Some(HOSTS_PAGE),
            ..KeyRange::default()
        };
        let stored = decode_readable::<StoredHost>(self.query_all(range).await?);
        Ok(stored.map(PlatformHost::from).collect())
    }

    /// Returns the hosts of these trainers with strong consistency, a hundred per request. Unreadable ones are left out.
    pub async fn platform_hosts_of(
        &self,
        trainers: impl IntoIterator<Item = &UserId>,
    ) -> Result<BTreeMap<UserId, PlatformHost>, StoreError> {
        let trainers: BTreeSet<_> = trainers.into_iter().collect();
        let keys: Vec<_> = trainers.iter().map(|trainer| ItemKey::PlatformHost(trainer)).collect();
        let mut found = self.batch_get(&keys).await?;
        let host = |trainer: &UserId| {
            let host = found.platform_host(trainer);
            host.inspect_err(|error| tracing::error!(event = "host.unreadable", %error)).ok()?
        };
        Ok(trainers.into_iter().filter_map(host).map(|host| (host.trainer.clone(), host)).collect())
    }

    /// Returns the work of hosts that is due at `now`, oldest first, as much as one run takes.
    pub async fn due_host_work(&self, now: Timestamp) -> Result<Vec<DueHostWork>, StoreError> {
        let range = KeyRange {
            pk: due_partition(DueQueue::Hosts),
            // '~' sorts after the '#' that follows the time, so that work due at exactly `now` is included.
            to: Some(format!("{}~", sortable_text(now))),
            limit: Some(DUE_HOSTS_PAGE),
            consistent: true,
            ..KeyRange::default()
        };
        let stored = decode_readable(self.query(range).await?.items);
        let due = stored.map(|stored| match stored {
            StoredHostWork::Host(due) => {
                DueHostWork::Host(DueHost { trainer: due.trainer_id, due_at: due.due_at })
            }
            StoredHostWork::Deactivation(due) => DueHostWork::Deactivation(DueDeactivation {
                user: due.zoom_user_id,
                due_at: due.due_at,
                attempts: due.attempts,
            }),
        });
        Ok(due.collect())
    }
}

impl BatchItems {
    pub(crate) fn platform_host(
        &mut self,
        trainer: &UserId,
    ) -> Result<Option<PlatformHost>, StoreError> {
        decode_host(self.take(ItemKey::PlatformHost(trainer)))
    }
}
