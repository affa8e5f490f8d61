//! A fresh Zoom token for a trainer.
//!
//! Every refresh kills the refresh token that it was made with, so of all processes exactly one may refresh:
//!
//! ```text
//! token has ≥ 5 min ─────────────────────────────────────────────→ use it
//! else take the lease (conditional write) ─ refused ─→ wait, read again
//!        │
//!        ├─ Zoom gives new tokens ─→ save them (if nothing newer is there) ─→ use them
//!        ├─ Zoom says invalid_grant ─→ reauth_required and a notice (if nothing newer is there)
//!        └─ silence ─→ give the lease back; the next one tries
//! ```
//!
//! A refresher that dies leaves a lease that runs out. Had it got new tokens and not saved them, the old ones are
//! refused next, and the trainer is asked to connect again: Zoom offers no way to learn the lost ones.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::Services;
use super::error::Error;
use crate::crypt::{Binding, Sealed};
use crate::domain::domain_event::{DomainEvent, DomainEventKind};
use crate::domain::zoom_connection::{ZoomConnection, ConnectionHealth};
use crate::domain::id::UserId;
use crate::domain::refusal::Refusal;
use crate::domain::time::whole_milli;
use crate::secret::Secret;
use crate::secrets::SecretSet;
use crate::store::error::CommitError;
use crate::store::{connections, outbox};
use crate::telemetry::metrics;
use crate::zoom::{Access, ClientCredentials, Grant, ZoomError};

/// How long a refresher keeps others away: longer than its call to Zoom (6 s), the writes that take the lease and save the
/// tokens (5 s each, [`SAVES`] of them) and the pauses between them may take together, which is 33 s.
const LEASE_SECONDS: i64 = 40;
/// The pause between two looks at somebody else's refresh, with half as much again of jitter.
const WAIT_MS: u64 = 150;
/// Looks before giving up: about 8 s, longer than a refresh takes when Zoom answers at all.
const LOOKS: u32 = 45;
/// Tries to save new tokens. They exist nowhere else, so this is worth more than other writes.
const SAVES: u32 = 4;

pub const ACCESS_FIELD: &str = "access_token";
pub const REFRESH_FIELD: &str = "refresh_token";

/// A connection with a token that serves.
#[derive(Clone, Debug)]
pub struct ZoomAccess {
    pub connection: ZoomConnection,
    pub access: Access,
}

/// How a try to refresh ended.
enum Refreshed {
    Ready(Box<ZoomAccess>),
    /// Something newer is there.
    Replaced,
    /// Another process refreshes.
    InOtherHands,
}

pub(super) fn binding<'a>(trainer: &'a UserId, field: &'a str) -> Binding<'a> {
    Binding { owner: trainer.as_str(), field }
}

pub(super) fn app(secrets: &SecretSet) -> Result<ClientCredentials<'_>, Error> {
    let (id, secret) = secrets.zoom_client()?;
    Ok(ClientCredentials { id, secret })
}

impl Services {
    /// A token of `trainer` with at least five minutes left, given what was read of their connection.
    pub async fn fresh(&self, trainer: &UserId, read: Option<ZoomConnection>) -> Result<ZoomAccess, Error> {
        self.usable(trainer, read, None).await
    }

    /// Another token than `refused`, which Zoom did not accept though it should have.
    pub async fn renewed(&self, refused: &ZoomAccess) -> Result<ZoomAccess, Error> {
        let trainer = &refused.connection.trainer;
        let now_read = self.store.connection(trainer).await?;
        self.usable(trainer, now_read, Some(&refused.connection.access_token)).await
    }

    async fn usable(
        &self,
        trainer: &UserId,
        read: Option<ZoomConnection>,
        refused: Option<&Sealed>,
    ) -> Result<ZoomAccess, Error> {
        let holder = self.holder();
        let mut read = read;
        for _ in 0..LOOKS {
            let connection = read.ok_or(Refusal::ZoomNotConnected)?;
            if connection.health == ConnectionHealth::ReauthRequired {
                return Err(Refusal::ReauthRequired.into());
            }
            let now = self.clock.now();
            if connection.is_fresh(now) && refused != Some(&connection.access_token) {
                return self.ready(connection).await;
            }
            // A lease whose answer was lost is ours all the same.
            let leased = connection.is_leased(now);
            if !leased || connection.is_leased_by(&holder) {
                match self.refresh(&connection, &holder, leased, now).await? {
                    Refreshed::Ready(ready) => return Ok(*ready),
                    // Connected again, or disconnected. Look at that.
                    Refreshed::Replaced => {
                        read = self.store.connection(trainer).await?;
                        continue;
                    }
                    Refreshed::InOtherHands => {}
                }
            }
            tokio::time::sleep(Duration::from_millis(WAIT_MS + self.random.below(WAIT_MS / 2)))
                .await;
            read = self.store.connection(trainer).await?;
        }
        Err(Error::busy("another process has been refreshing the token for too long"))
    }

    async fn ready(&self, connection: ZoomConnection) -> Result<ZoomAccess, Error> {
        let secrets = self.secrets.get(self.clock.now()).await?;
        let token = secrets
            .keyring()?
            .open(&connection.access_token, &binding(&connection.trainer, ACCESS_FIELD))?;
        let api_base = self.zoom.api_base(connection.api_url.as_deref());
        Ok(ZoomAccess { access: Access { token, api_base }, connection })
    }

    /// Refreshes under the lease, which is taken first unless it is `held`.
    async fn refresh(
        &self,
        connection: &ZoomConnection,
        holder: &str,
        held: bool,
        now: Timestamp,
    ) -> Result<Refreshed, Error> {
        // All that can fail for want of a setting does so before others are kept waiting.
        let secrets = self.secrets.get(now).await?;
        let bound = binding(&connection.trainer, REFRESH_FIELD);
        let app = app(&secrets)?;
        let refresh_token = secrets.keyring()?.open(&connection.refresh_token, &bound)?;
        if !held {
            let until = whole_milli(now)
                .saturating_add(SignedDuration::from_secs(LEASE_SECONDS))
                .unwrap_or(now);
            let lease = connections::lease(connection, holder, until, now);
            match self.store.commit_one(lease).await {
                Ok(()) => {}
                Err(CommitError::Refused(_)) => return Ok(Refreshed::InOtherHands),
                Err(error) => return Err(error.into()),
            }
        }
        match self.zoom.refresh(app, &refresh_token, now).await {
            Ok(grant) => {
                let next = self.sealed(connection, &grant, &secrets)?;
                if !self.save_refreshed(&next, connection, holder).await? {
                    // What replaced it, if it is of the same Zoom user, has ended this grant already.
                    let stored = self.store.connection(&next.trainer).await?;
                    if stored.is_none_or(|stored| stored.zoom_user.id != next.zoom_user.id) {
                        self.abandon(&secrets, &grant.refresh_token).await;
                    }
                    return Ok(Refreshed::Replaced);
                }
                tracing::info!(event = "zoom.token_refreshed");
                let api_base = self.zoom.api_base(next.api_url.as_deref());
                Ok(Refreshed::Ready(Box::new(ZoomAccess {
                    access: Access { token: grant.access_token, api_base },
                    connection: next,
                })))
            }
            Err(ZoomError::Reconnect) => {
                if self.lost(connection, holder, now).await? {
                    Err(Refusal::ReauthRequired.into())
                } else {
                    Ok(Refreshed::Replaced)
                }
            }
            Err(error) => {
                // The lease would run out by itself; giving it back spares the next one the wait.
                if let Err(error) =
                    self.store.commit_one(connections::unlease(connection, holder)).await
                {
                    tracing::warn!(event = "zoom.lease_left", %error);
                }
                Err(error.into())
            }
        }
    }

    /// Takes a grant back at Zoom that nobody keeps. Best effort: without its tokens it is of no use to anybody.
    pub(super) async fn abandon(&self, secrets: &SecretSet, refresh_token: &Secret) {
        let revoked = match app(secrets) {
            Ok(app) => {
                let now = self.clock.now();
                self.zoom.revoke(app, refresh_token, now).await.map_err(Error::from)
            }
            Err(error) => Err(error),
        };
        if let Err(error) = revoked {
            tracing::warn!(event = "zoom.revoke_failed", %error);
        }
    }

    /// The connection with new tokens, encrypted under the current key.
    fn sealed(
        &self,
        connection: &ZoomConnection,
        grant: &Grant,
        secrets: &SecretSet,
    ) -> Result<ZoomConnection, Error> {
        let keyring = secrets.keyring()?;
        let seal = |token: &Secret, field| {
            keyring.seal(token.expose(), &binding(&connection.trainer, field), &self.random)
        };
        Ok(ZoomConnection {
            access_token: seal(&grant.access_token, ACCESS_FIELD),
            refresh_token: seal(&grant.refresh_token, REFRESH_FIELD),
            access_expires_at: grant.expires_at,
            scopes: if grant.scopes.is_empty() {
                connection.scopes.clone()
            } else {
                grant.scopes.clone()
            },
            api_url: grant.api_url.clone().or_else(|| connection.api_url.clone()),
            version: connection.version + 1,
            lease: None,
            ..connection.clone()
        })
    }

    /// Saves new tokens; `false` when they are not wanted any more.
    async fn save_refreshed(
        &self,
        next: &ZoomConnection,
        begun_with: &ZoomConnection,
        holder: &str,
    ) -> Result<bool, Error> {
        for attempt in 1.. {
            match self.store.commit_one(connections::refreshed(next, begun_with, holder)).await {
                Ok(()) => return Ok(true),
                Err(CommitError::Refused(_)) => {
                    // Refused, or written by a try whose answer was lost: only a look tells.
                    let stored = self.store.connection(&next.trainer).await?;
                    return Ok(
                        stored.is_some_and(|stored| stored.refresh_token == next.refresh_token)
                    );
                }
                Err(CommitError::Store(error)) if attempt < SAVES => {
                    tracing::warn!(event = "zoom.token_save_retry", attempt, %error);
                    tokio::time::sleep(Duration::from_millis(WAIT_MS + self.random.below(WAIT_MS)))
                        .await;
                }
                Err(error) => {
                    tracing::error!(event = "zoom.token_lost", %error);
                    return Err(error.into());
                }
            }
        }
        unreachable!("the last attempt returns")
    }

    /// Marks the grant dead and has the trainer told; `false` when a newer grant is there.
    async fn lost(
        &self,
        connection: &ZoomConnection,
        holder: &str,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let notice = DomainEvent {
            at: whole_milli(now),
            kind: DomainEventKind::ReauthRequired {
                trainer: connection.trainer.clone(),
                version: connection.version,
            },
        };
        let actions =
            vec![connections::needs_reauth(connection, holder), outbox::announce(&notice)];
        match self.store.commit(actions).await {
            Ok(()) => {
                tracing::warn!(event = "zoom.reauth_required");
                metrics::REAUTH_REQUIRED.count();
                self.send_wake_up(&notice).await;
                Ok(true)
            }
            Err(CommitError::Refused(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// Calls Zoom with a token of the trainer; when Zoom does not accept it, once more with another.
macro_rules! with_token {
    ($tools:expr, $ready:expr, |$access:ident| $call:expr) => {{
        let $access = &$ready.access;
        match $call.await {
            Err($crate::zoom::ZoomError::Unauthorized) => match $tools.renewed(&$ready).await {
                Ok(renewed) => {
                    $ready = renewed;
                    let $access = &$ready.access;
                    $call.await.map_err($crate::app::meeting::MeetingError::from)
                }
                Err(error) => Err($crate::app::meeting::MeetingError::Other(error)),
            },
            answer => answer.map_err($crate::app::meeting::MeetingError::from),
        }
    }};
}
pub(super) use with_token;
