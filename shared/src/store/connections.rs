//! The tokens table: Zoom connections of trainers, the trainer of each Zoom user, and OAuth attempts in progress.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::error::{CommitError, StoreError};
use super::item::{decode, encode};
use super::schema::{ItemKey, attr, limit};
use super::tx::{Action, Condition, ItemChanges, number, text};
use super::{BatchItems, Store, UpdateResult};
use crate::crypt::Sealed;
use crate::domain::id::UserId;
use crate::domain::text::Email;
use crate::domain::time::sortable_text;
use crate::domain::zoom_connection::{ConnectionHealth, RefreshLease, ZoomConnection, ZoomUser};

#[derive(Serialize, Deserialize)]
struct StoredZoomConnection {
    trainer_id: UserId,
    health: ConnectionHealth,
    zoom_user_id: String,
    zoom_account_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    zoom_email: Option<Email>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    zoom_basic: bool,
    scopes: Vec<String>,
    access_token: Sealed,
    refresh_token: Sealed,
    access_expires_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    api_url: Option<String>,
    connected_at: Timestamp,
    version: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lease_holder: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lease_until: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    grant_check_at: Option<Timestamp>,
}

impl From<&ZoomConnection> for StoredZoomConnection {
    fn from(c: &ZoomConnection) -> Self {
        Self {
            trainer_id: c.trainer.clone(),
            health: c.health,
            zoom_user_id: c.zoom_user.id.clone(),
            zoom_account_id: c.zoom_user.account_id.clone(),
            zoom_email: c.zoom_user.email.clone(),
            zoom_basic: c.zoom_user.is_basic,
            scopes: c.scopes.clone(),
            access_token: c.access_token.clone(),
            refresh_token: c.refresh_token.clone(),
            access_expires_at: c.access_expires_at,
            api_url: c.api_url.clone(),
            connected_at: c.connected_at,
            version: c.version,
            lease_holder: None,
            lease_until: None,
            grant_check_at: c.grant_check_at,
        }
    }
}

impl From<StoredZoomConnection> for ZoomConnection {
    fn from(s: StoredZoomConnection) -> Self {
        Self {
            trainer: s.trainer_id,
            health: s.health,
            zoom_user: ZoomUser {
                id: s.zoom_user_id,
                account_id: s.zoom_account_id,
                email: s.zoom_email,
                is_basic: s.zoom_basic,
            },
            scopes: s.scopes,
            access_token: s.access_token,
            refresh_token: s.refresh_token,
            access_expires_at: s.access_expires_at,
            api_url: s.api_url,
            connected_at: s.connected_at,
            version: s.version,
            lease: s
                .lease_holder
                .zip(s.lease_until)
                .map(|(holder, until)| RefreshLease { holder, until }),
            grant_check_at: s.grant_check_at,
        }
    }
}

/// Stores a Zoom connection in place of the version that was read, or of none.
pub fn put(connection: &ZoomConnection, read_version: Option<u64>) -> Action {
    let condition = match read_version {
        Some(version) => Condition::new().equals(attr::VERSION, number(version)),
        None => Condition::item_absent(),
    };
    Action::put(
        ItemKey::ZoomConnection(&connection.trainer),
        encode(&StoredZoomConnection::from(connection)),
        condition,
    )
    .recognized_by(attr::REFRESH_TOKEN, text(connection.refresh_token.as_str()))
}

/// Takes the refresh lease until `until`. Refused if the tokens have changed or another request holds the lease.
pub fn take_refresh_lease(
    connection: &ZoomConnection,
    holder: &str,
    until: Timestamp,
    now: Timestamp,
) -> Action {
    let changes = ItemChanges::new()
        .set(attr::LEASE_HOLDER, text(holder))
        .set(attr::LEASE_UNTIL, text(sortable_text(until)));
    let condition = Condition::new()
        .equals(attr::VERSION, number(connection.version))
        .absent_or_expired(attr::LEASE_UNTIL, now);
    Action::update(ItemKey::ZoomConnection(&connection.trainer), changes, condition)
        .recognized_by(attr::LEASE_HOLDER, text(holder))
}

fn holds_refresh_lease(connection: &ZoomConnection, holder: &str) -> Condition {
    Condition::new()
        .equals(attr::VERSION, number(connection.version))
        .equals(attr::LEASE_HOLDER, text(holder))
}

/// Releases the refresh lease and leaves the tokens unchanged.
pub fn release_refresh_lease(connection: &ZoomConnection, holder: &str) -> Action {
    let changes = ItemChanges::new().remove(attr::LEASE_HOLDER).remove(attr::LEASE_UNTIL);
    Action::update(
        ItemKey::ZoomConnection(&connection.trainer),
        changes,
        holds_refresh_lease(connection, holder),
    )
}

/// Stores refreshed tokens in place of the connection with which the refresh started.
pub fn put_refreshed_tokens(
    next: &ZoomConnection,
    refreshed_from: &ZoomConnection,
    holder: &str,
) -> Action {
    let stored = StoredZoomConnection::from(next);
    let changes = ItemChanges::new()
        .set(attr::ACCESS_TOKEN, text(stored.access_token.as_str()))
        .set(attr::REFRESH_TOKEN, text(stored.refresh_token.as_str()))
        .set(attr::ACCESS_EXPIRES_AT, text(stored.access_expires_at.to_string()))
        .set(
            attr::SCOPES,
            aws_sdk_dynamodb::types::AttributeValue::L(stored.scopes.iter().map(text).collect()),
        )
        .set(attr::VERSION, number(stored.version))
        .remove(attr::LEASE_HOLDER)
        .remove(attr::LEASE_UNTIL);
    let changes = match stored.api_url {
        Some(url) => changes.set(attr::API_URL, text(url)),
        None => changes.remove(attr::API_URL),
    };
    Action::update(
        ItemKey::ZoomConnection(&next.trainer),
        changes,
        holds_refresh_lease(refreshed_from, holder),
    )
    .recognized_by(attr::REFRESH_TOKEN, text(stored.refresh_token.as_str()))
}

/// Stores when the grant is checked next. Refused if the connection was replaced, or has another check. The tokens may have
/// changed.
pub fn set_grant_check(connection: &ZoomConnection, at: Timestamp) -> Action {
    let condition =
        Condition::new().equals(attr::CONNECTED_AT, text(connection.connected_at.to_string()));
    let condition = match connection.grant_check_at {
        Some(read) => condition.equals(attr::GRANT_CHECK_AT, text(read.to_string())),
        None => condition.absent(attr::GRANT_CHECK_AT),
    };
    let changes = ItemChanges::new().set(attr::GRANT_CHECK_AT, text(at.to_string()));
    Action::update(ItemKey::ZoomConnection(&connection.trainer), changes, condition)
}

/// Marks a connection as `reauth_required` unless it was replaced.
pub fn mark_reauth_required(connection: &ZoomConnection, holder: &str) -> Action {
    let changes = ItemChanges::new()
        .set(attr::HEALTH, text("reauth_required"))
        .set(attr::VERSION, number(connection.version + 1))
        .remove(attr::LEASE_HOLDER)
        .remove(attr::LEASE_UNTIL);
    Action::update(
        ItemKey::ZoomConnection(&connection.trainer),
        changes,
        holds_refresh_lease(connection, holder),
    )
}

/// Marks a connection as `reauth_required` because its Zoom user was deactivated.
pub fn mark_deactivated(connection: &ZoomConnection) -> Action {
    let changes = ItemChanges::new()
        .set(attr::HEALTH, text("reauth_required"))
        .set(attr::VERSION, number(connection.version + 1));
    let condition = Condition::new().equals(attr::VERSION, number(connection.version));
    Action::update(ItemKey::ZoomConnection(&connection.trainer), changes, condition)
}

/// Marks a connection as `reauth_required` because another trainer connected its Zoom user. It also removes the Zoom user
/// and the tokens, because the Zoom user's pointer now leads to the other trainer, and a later erasure would not find
/// this connection.
pub fn mark_superseded(connection: &ZoomConnection) -> Action {
    let changes = ItemChanges::new()
        .set(attr::HEALTH, text("reauth_required"))
        .set(attr::VERSION, number(connection.version + 1))
        .set(attr::ZOOM_USER_ID, text(""))
        .set(attr::ACCESS_TOKEN, text(""))
        .set(attr::REFRESH_TOKEN, text(""))
        .remove(attr::ZOOM_EMAIL)
        .remove(attr::LEASE_HOLDER)
        .remove(attr::LEASE_UNTIL);
    let condition = Condition::new().equals(attr::VERSION, number(connection.version));
    Action::update(ItemKey::ZoomConnection(&connection.trainer), changes, condition)
}

/// Deletes a connection if it is still as read.
pub fn delete(connection: &ZoomConnection) -> Action {
    let condition = Condition::new().equals(attr::VERSION, number(connection.version));
    Action::delete(ItemKey::ZoomConnection(&connection.trainer), condition)
}

/// The pointer from a Zoom user to the trainer who connected it last. After the user removed the app, it has the time of
/// the removal instead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoomUserPointer {
    #[serde(default, rename = "trainer_id", skip_serializing_if = "Option::is_none")]
    pub trainer: Option<UserId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deauthorized_at: Option<Timestamp>,
    /// Differs after every change, even if the pointer leads to the same trainer again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
}

/// Requires that a Zoom user's pointer is as read.
fn pointer_unchanged(read: Option<&ZoomUserPointer>) -> Condition {
    match read {
        None => Condition::item_absent(),
        Some(ZoomUserPointer { version: Some(version), .. }) => {
            Condition::new().equals(attr::VERSION, number(version))
        }
        Some(_) => Condition::item_exists().absent(attr::VERSION),
    }
}

/// Stores the pointer from the connection's Zoom user to its trainer in place of the pointer that was read.
pub fn put_zoom_user_pointer(
    connection: &ZoomConnection,
    read: Option<&ZoomUserPointer>,
) -> Action {
    let pointer = ZoomUserPointer {
        trainer: Some(connection.trainer.clone()),
        deauthorized_at: None,
        version: Some(connection.version),
    };
    let key = ItemKey::ZoomUser(&connection.zoom_user.id);
    Action::put(key, encode(&pointer), pointer_unchanged(read))
}

/// Deletes the pointer that was read.
fn delete_zoom_user_pointer(zoom_user: &str, read: &ZoomUserPointer) -> Action {
    Action::delete(ItemKey::ZoomUser(zoom_user), pointer_unchanged(Some(read)))
}

/// Replaces the pointer that was read by the time at which the Zoom user removed the app. A grant that was exchanged before
/// and is stored afterwards is then recognized as ended. `version` must be new.
pub fn mark_deauthorized(
    zoom_user: &str,
    read: Option<&ZoomUserPointer>,
    at: Timestamp,
    version: u64,
    now: Timestamp,
) -> Action {
    let last = read.and_then(|read| read.deauthorized_at).map_or(at, |last| last.max(at));
    let ttl = now
        .saturating_add(SignedDuration::from_hours(24 * limit::DEAUTHORIZATION_TTL_DAYS))
        .unwrap_or(now);
    let changes = ItemChanges::new()
        .set(attr::DEAUTHORIZED_AT, text(last.to_string()))
        .set(attr::VERSION, number(version))
        .set(attr::TTL, number(ttl.as_second()))
        .remove(attr::TRAINER_ID);
    Action::update(ItemKey::ZoomUser(zoom_user), changes, pointer_unchanged(read))
}

/// An OAuth attempt between the authorization request and the callback.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OauthAttempt {
    /// The trainer, hashed, because an erasure does not find the item.
    #[serde(default)]
    pub trainer_hash: String,
    pub redirect_uri: String,
    /// The PKCE verifier (RFC 7636), encrypted at rest.
    pub verifier: Sealed,
    pub expires: Timestamp,
}

/// Deletes a successful OAuth attempt. Others expire.
pub fn delete_oauth_attempt(nonce: &str) -> Action {
    Action::delete(ItemKey::OauthState(nonce), Condition::new())
}

impl Store {
    pub async fn connection(&self, trainer: &UserId) -> Result<Option<ZoomConnection>, StoreError> {
        self.get(ItemKey::ZoomConnection(trainer))
            .await?
            .map(|item| decode::<StoredZoomConnection>(item).map(ZoomConnection::from))
            .transpose()
    }

    pub async fn zoom_user_pointer(
        &self,
        zoom_user: &str,
    ) -> Result<Option<ZoomUserPointer>, StoreError> {
        self.get(ItemKey::ZoomUser(zoom_user)).await?.map(decode).transpose()
    }

    /// Returns the connection to which a Zoom user's pointer leads. `None` if its trainer has connected another user.
    pub async fn connection_of_zoom_user(
        &self,
        zoom_user: &str,
        pointer: Option<&ZoomUserPointer>,
    ) -> Result<Option<ZoomConnection>, StoreError> {
        let Some(trainer) = pointer.and_then(|pointer| pointer.trainer.as_ref()) else {
            return Ok(None);
        };
        let connection = self.connection(trainer).await?;
        Ok(connection.filter(|connection| connection.zoom_user.id == zoom_user))
    }

    /// Returns the deletion of the connection's Zoom user pointer, or `None` if another trainer has connected that Zoom user
    /// since.
    pub async fn zoom_user_pointer_deletion(
        &self,
        connection: &ZoomConnection,
    ) -> Result<Option<Action>, StoreError> {
        let zoom_user = &connection.zoom_user.id;
        let pointer = self.zoom_user_pointer(zoom_user).await?;
        Ok(pointer
            .filter(|pointer| pointer.trainer.as_ref() == Some(&connection.trainer))
            .map(|pointer| delete_zoom_user_pointer(zoom_user, &pointer)))
    }

    /// Stores an OAuth attempt under its nonce.
    pub async fn put_oauth_attempt(
        &self,
        nonce: &str,
        attempt: &OauthAttempt,
    ) -> Result<(), CommitError> {
        let ttl = attempt
            .expires
            .saturating_add(SignedDuration::from_hours(24 * limit::OAUTH_STATE_TTL_DAYS));
        let mut item = encode(attempt);
        item.insert(attr::TTL.to_owned(), number(ttl.unwrap_or(attempt.expires).as_second()));
        let put = Action::put(ItemKey::OauthState(nonce), item, Condition::item_absent());
        self.commit_one(put.recognized_by(attr::VERIFIER, text(attempt.verifier.as_str()))).await
    }

    /// Takes an OAuth attempt for `holder`, once. The item is marked instead of deleted, so that the holder recognizes it
    /// after a lost response.
    pub async fn take_oauth_attempt(
        &self,
        nonce: &str,
        holder: &str,
    ) -> Result<Option<OauthAttempt>, StoreError> {
        let changes = ItemChanges::new().set(attr::HOLDER, text(holder));
        let condition = Condition::item_exists().absent(attr::HOLDER);
        let take = Action::update(ItemKey::OauthState(nonce), changes, condition)
            .recognized_by(attr::HOLDER, text(holder));
        match self.update_and_read(take).await? {
            UpdateResult::Updated(item) => decode(item).map(Some),
            UpdateResult::Refused(_) => Ok(None),
        }
    }
}

impl BatchItems {
    pub(crate) fn connection(
        &mut self,
        trainer: &UserId,
    ) -> Result<Option<ZoomConnection>, StoreError> {
        self.take(ItemKey::ZoomConnection(trainer))
            .map(|item| decode::<StoredZoomConnection>(item).map(ZoomConnection::from))
            .transpose()
    }
}
