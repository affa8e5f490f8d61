//! Zoom grants, in the tokens table: one per trainer, the trainer of each Zoom user, and OAuth attempts under way.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::error::{CommitError, StoreError};
use super::item::{decode, encode};
use super::schema::{ItemKey, attr, limit};
use super::tx::{Action, ItemChanges, Guard, number, text};
use super::{BatchItems, Store, UpdateResult};
use crate::crypt::Sealed;
use crate::domain::zoom_connection::{ZoomConnection, ConnectionHealth, RefreshLease, ZoomUser};
use crate::domain::id::UserId;
use crate::domain::text::Email;
use crate::domain::time::fixed;

#[derive(Serialize, Deserialize)]
struct Stored {
    trainer_id: UserId,
    health: ConnectionHealth,
    zoom_user_id: String,
    zoom_account_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    zoom_email: Option<Email>,
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
}

impl From<&ZoomConnection> for Stored {
    fn from(c: &ZoomConnection) -> Self {
        Self {
            trainer_id: c.trainer.clone(),
            health: c.health,
            zoom_user_id: c.zoom_user.id.clone(),
            zoom_account_id: c.zoom_user.account_id.clone(),
            zoom_email: c.zoom_user.email.clone(),
            scopes: c.scopes.clone(),
            access_token: c.access_token.clone(),
            refresh_token: c.refresh_token.clone(),
            access_expires_at: c.access_expires_at,
            api_url: c.api_url.clone(),
            connected_at: c.connected_at,
            version: c.version,
            lease_holder: None,
            lease_until: None,
        }
    }
}

impl From<Stored> for ZoomConnection {
    fn from(s: Stored) -> Self {
        Self {
            trainer: s.trainer_id,
            health: s.health,
            zoom_user: ZoomUser {
                id: s.zoom_user_id,
                account_id: s.zoom_account_id,
                email: s.zoom_email,
            },
            scopes: s.scopes,
            access_token: s.access_token,
            refresh_token: s.refresh_token,
            access_expires_at: s.access_expires_at,
            api_url: s.api_url,
            connected_at: s.connected_at,
            version: s.version,
            lease: s.lease_holder.zip(s.lease_until).map(|(holder, until)| RefreshLease { holder, until }),
        }
    }
}

/// Stores a grant in place of whatever was there, if that is still what was read (`before`).
pub fn replace(connection: &ZoomConnection, before: Option<u64>) -> Action {
    let guard = match before {
        Some(version) => Guard::new().equals(attr::VERSION, number(version)),
        None => Guard::new_item(),
    };
    Action::put(ItemKey::Connection(&connection.trainer), encode(&Stored::from(connection)), guard)
}

/// Takes the right to refresh until `until`; refused when the tokens have changed since or another refreshes.
pub fn lease(connection: &ZoomConnection, holder: &str, until: Timestamp, now: Timestamp) -> Action {
    let changes = ItemChanges::new()
        .set(attr::LEASE_HOLDER, text(holder))
        .set(attr::LEASE_UNTIL, text(fixed(until)));
    let guard = Guard::new()
        .equals(attr::VERSION, number(connection.version))
        .free_at(attr::LEASE_UNTIL, now);
    Action::update(ItemKey::Connection(&connection.trainer), changes, guard)
}

fn held(connection: &ZoomConnection, holder: &str) -> Guard {
    Guard::new()
        .equals(attr::VERSION, number(connection.version))
        .equals(attr::LEASE_HOLDER, text(holder))
}

/// Gives the right to refresh back, with the tokens as they were.
pub fn unlease(connection: &ZoomConnection, holder: &str) -> Action {
    let changes = ItemChanges::new().remove(attr::LEASE_HOLDER).remove(attr::LEASE_UNTIL);
    Action::update(ItemKey::Connection(&connection.trainer), changes, held(connection, holder))
}

/// Stores what a refresh brought, over the connection that it was begun with and no other.
pub fn refreshed(next: &ZoomConnection, begun_with: &ZoomConnection, holder: &str) -> Action {
    let stored = Stored::from(next);
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
    Action::update(ItemKey::Connection(&next.trainer), changes, held(begun_with, holder))
}

/// Marks a grant dead, unless there is a newer one.
pub fn needs_reauth(connection: &ZoomConnection, holder: &str) -> Action {
    let changes = ItemChanges::new()
        .set(attr::HEALTH, text("reauth_required"))
        .set(attr::VERSION, number(connection.version + 1))
        .remove(attr::LEASE_HOLDER)
        .remove(attr::LEASE_UNTIL);
    Action::update(ItemKey::Connection(&connection.trainer), changes, held(connection, holder))
}

/// Marks a grant dead because its Zoom user is switched off.
pub fn switched_off(connection: &ZoomConnection) -> Action {
    let changes = ItemChanges::new()
        .set(attr::HEALTH, text("reauth_required"))
        .set(attr::VERSION, number(connection.version + 1));
    let guard = Guard::new().equals(attr::VERSION, number(connection.version));
    Action::update(ItemKey::Connection(&connection.trainer), changes, guard)
}

/// Marks a grant dead because somebody else connected its Zoom user, and forgets who that is: the Zoom user leads to
/// the other from now on, and nobody would find this one when they are to be forgotten.
pub fn superseded(connection: &ZoomConnection) -> Action {
    let changes = ItemChanges::new()
        .set(attr::HEALTH, text("reauth_required"))
        .set(attr::VERSION, number(connection.version + 1))
        .set(attr::ZOOM_USER_ID, text(""))
        .set(attr::ACCESS_TOKEN, text(""))
        .set(attr::REFRESH_TOKEN, text(""))
        .remove(attr::ZOOM_EMAIL)
        .remove(attr::LEASE_HOLDER)
        .remove(attr::LEASE_UNTIL);
    let guard = Guard::new().equals(attr::VERSION, number(connection.version));
    Action::update(ItemKey::Connection(&connection.trainer), changes, guard)
}

/// Forgets a grant, if it is still the one that was read.
pub fn delete(connection: &ZoomConnection) -> Action {
    let guard = Guard::new().equals(attr::VERSION, number(connection.version));
    Action::delete(ItemKey::Connection(&connection.trainer), guard)
}

#[derive(Serialize, Deserialize)]
struct StoredZoomUser {
    trainer_id: UserId,
}

/// Points from a Zoom user to the trainer who connected it last.
pub fn point_from_zoom_user(zoom_user: &str, trainer: &UserId) -> Action {
    Action::put(
        ItemKey::ZoomUser(zoom_user),
        encode(&StoredZoomUser { trainer_id: trainer.clone() }),
        Guard::new(),
    )
}

/// Takes that pointer away; refused when it points to somebody else by now.
pub fn forget_zoom_user(zoom_user: &str, trainer: &UserId) -> Action {
    let guard = Guard::new().equals(attr::TRAINER_ID, text(trainer.as_str()));
    Action::delete(ItemKey::ZoomUser(zoom_user), guard)
}

/// An OAuth attempt between its two requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OauthAttempt {
    pub trainer_id: UserId,
    pub redirect_uri: String,
    /// The PKCE verifier (RFC 7636), which never leaves us unencrypted but to Zoom.
    pub verifier: Sealed,
    pub expires: Timestamp,
}

/// Deletes an OAuth attempt that led to a grant. One that led to nothing goes by itself.
pub fn end_oauth(nonce: &str) -> Action {
    Action::delete(ItemKey::OauthState(nonce), Guard::new())
}

impl Store {
    pub async fn connection(&self, trainer: &UserId) -> Result<Option<ZoomConnection>, StoreError> {
        self.get(ItemKey::Connection(trainer))
            .await?
            .map(|item| decode::<Stored>(item).map(ZoomConnection::from))
            .transpose()
    }

    /// The trainer who connected a Zoom user last.
    pub async fn trainer_of_zoom_user(
        &self,
        zoom_user: &str,
    ) -> Result<Option<UserId>, StoreError> {
        let stored =
            self.get(ItemKey::ZoomUser(zoom_user)).await?.map(decode::<StoredZoomUser>).transpose()?;
        Ok(stored.map(|stored| stored.trainer_id))
    }

    /// What there is to forget of a connection's Zoom user when the connection goes: nothing where somebody else has
    /// connected that Zoom user since, whose pointer it is now.
    pub async fn forgetting_zoom_user(
        &self,
        connection: &ZoomConnection,
    ) -> Result<Option<Action>, StoreError> {
        let zoom_user = &connection.zoom_user.id;
        let pointed = self.trainer_of_zoom_user(zoom_user).await?;
        Ok(pointed
            .filter(|trainer| *trainer == connection.trainer)
            .map(|trainer| forget_zoom_user(zoom_user, &trainer)))
    }

    /// Keeps an OAuth attempt under its nonce.
    pub async fn begin_oauth(
        &self,
        nonce: &str,
        attempt: &OauthAttempt,
    ) -> Result<(), CommitError> {
        let ttl = attempt
            .expires
            .saturating_add(SignedDuration::from_hours(24 * limit::OAUTH_STATE_TTL_DAYS));
        let mut item = encode(attempt);
        item.insert(attr::TTL.to_owned(), number(ttl.unwrap_or(attempt.expires).as_second()));
        self.write(Action::put(ItemKey::OauthState(nonce), item, Guard::new_item())).await.map(drop)
    }

    /// Takes an OAuth attempt: of several that try, one gets it. It stays for now, as `holder`'s, so that the SDK, which asks again when an answer is lost, is not told that somebody else was quicker.
    pub async fn take_oauth(
        &self,
        nonce: &str,
        holder: &str,
    ) -> Result<Option<OauthAttempt>, StoreError> {
        let changes = ItemChanges::new().set(attr::HOLDER, text(holder));
        let guard = Guard::existing_item().absent(attr::HOLDER);
        match self.update_and_read(Action::update(ItemKey::OauthState(nonce), changes, guard)).await? {
            UpdateResult::Done(item) => decode(item).map(Some),
            UpdateResult::Refused(item) if item.get(attr::HOLDER) == Some(&text(holder)) => {
                decode(item).map(Some)
            }
            UpdateResult::Refused(_) => Ok(None),
        }
    }
}

impl BatchItems {
    pub(crate) fn connection(
        &mut self,
        trainer: &UserId,
    ) -> Result<Option<ZoomConnection>, StoreError> {
        self.take(ItemKey::Connection(trainer))
            .map(|item| decode::<Stored>(item).map(ZoomConnection::from))
            .transpose()
    }
}
