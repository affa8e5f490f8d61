//! Provides a fresh Zoom access token for a trainer, and the access of a meeting's host.
//!
//! Every refresh invalidates the refresh token that it used, so only one process may refresh at a time:
//!
//! ```text
//! token valid for ≥ 5 min ────────────────────────────────────→ use it
//! else take the refresh lease (conditional write) ─ refused ─→ wait, read again
//!        │
//!        ├─ Zoom issues new tokens ─→ save them (unless a newer grant exists) ─→ use them
//!        ├─ Zoom returns invalid_grant ─→ reauth_required and a domain event (unless a newer grant exists)
//!        └─ no usable response ─→ release the lease, and the next process tries
//! ```
//!
//! If a process dies while it holds the lease, the lease expires. If it had received new tokens without saving them,
//! Zoom rejects the old ones and the trainer has to connect again. Zoom offers no way to recover lost tokens.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::Services;
use super::access::{TokenSource, ZoomAccess};
use super::error::Error;
use crate::crypt::{Binding, Sealed};
use crate::domain::hosting::MeetingHost;
use crate::domain::id::UserId;
use crate::domain::refusal::Refusal;
use crate::domain::time::whole_milli;
use crate::domain::zoom_connection::{ConnectionHealth, ZoomConnection, ZoomUser};
use crate::secret::Secret;
use crate::secrets::SecretSet;
use crate::store::error::CommitError;
use crate::store::{connections, due_work, host_status};
use crate::telemetry::metrics;
use crate::zoom::{Access, ApiUser, ClientCredentials, Grant, ZoomError};

/// The duration of the lease. It exceeds the time that one refresh can take within the longest function that waits for it:
/// the write of the lease and the read that recognizes it (5 s each), the call to Zoom (6 s), and the writes of the tokens
/// ([`SAVE_ATTEMPTS`] of them) with the pauses between them.
const LEASE_SECONDS: i64 = 40;
/// The pause between two reads while another process refreshes, plus up to half as much jitter.
const WAIT_MS: u64 = 150;
/// Reads before giving up: about 8 s, longer than a refresh takes while Zoom responds.
const WAIT_ATTEMPTS: u32 = 45;
/// Attempts to save new tokens, which are stored nowhere else.
const SAVE_ATTEMPTS: u32 = 4;

pub const ACCESS_FIELD: &str = "access_token";
pub const REFRESH_FIELD: &str = "refresh_token";

/// The outcome of a refresh attempt.
enum RefreshOutcome {
    Ready(Box<ZoomAccess>),
    /// A newer grant exists, or the connection was deleted.
    Replaced,
    /// Another process holds the refresh lease.
    LeasedByOther,
}

pub(super) fn token_binding<'a>(trainer: &'a UserId, field: &'a str) -> Binding<'a> {
    Binding { owner: trainer.as_str(), field }
}

pub(super) fn client_credentials(secrets: &SecretSet) -> Result<ClientCredentials<'_>, Error> {
    let (id, secret) = secrets.zoom_client()?;
    Ok(ClientCredentials { id, secret })
}

impl Services {
    /// Returns a token of `trainer` that is valid for at least five minutes. `read` is the connection as it was read.
    pub async fn usable_access(
        &self,
        trainer: &UserId,
        connection: Option<ZoomConnection>,
    ) -> Result<ZoomAccess, Error> {
        self.refreshed_access(trainer, connection, None).await
    }

    /// Returns the access for the meetings of `host`: that of the trainer's connection, if it is the host's, or that of the
    /// platform's own account.
    pub async fn host_access(
        &self,
        trainer: &UserId,
        host: &MeetingHost,
    ) -> Result<ZoomAccess, Error> {
        let connection = match host {
            MeetingHost::Trainer { .. } => self.store.connection(trainer).await?,
            MeetingHost::Platform(_) => None,
        };
        self.host_access_with(trainer, host, connection).await
    }

    /// Like [`Services::host_access`], with the trainer's connection as it was read.
    pub async fn host_access_with(
        &self,
        trainer: &UserId,
        host: &MeetingHost,
        connection: Option<ZoomConnection>,
    ) -> Result<ZoomAccess, Error> {
        match host {
            MeetingHost::Platform(user) => self.account_access(user).await,
            MeetingHost::Trainer { pseudonym } => {
                let zoom_access = self.usable_access(trainer, connection).await?;
                self.check_host(pseudonym.as_deref(), zoom_access.zoom_user()).await?;
                Ok(zoom_access)
            }
        }
    }

    /// Returns another token than `refused`, which Zoom rejected although it had not expired.
    pub async fn renewed_access(&self, refused: &ZoomAccess) -> Result<ZoomAccess, Error> {
        let refused = match &refused.token {
            TokenSource::Connection(connection) => connection,
            TokenSource::Account(account) => return self.renewed_account_access(account).await,
        };
        let trainer = &refused.trainer;
        let connection = self.store.connection(trainer).await?;
        let renewed =
            self.refreshed_access(trainer, connection, Some(&refused.access_token)).await?;
        // The trainer may have connected another Zoom user since, in whose account the call must not be repeated.
        if renewed.zoom_user().id != refused.zoom_user.id {
            let address = refused.zoom_user.email.clone();
            return Err(Refusal::OtherZoomUser { address }.into());
        }
        Ok(renewed)
    }

    /// Checks that the connected Zoom user hosts a meeting, given the pseudonym of its host. For a meeting of another
    /// user, even in the same account, Zoom would report that the meeting does not exist. The refusal names the
    /// address to connect, if it is known.
    pub(super) async fn check_host(
        &self,
        host_user: Option<&str>,
        connected: &ZoomUser,
    ) -> Result<(), Error> {
        let Some(host_user) = host_user else { return Ok(()) };
        if connected.pseudonym().as_deref() == Some(host_user) {
            return Ok(());
        }
        let address = self.store.host_address(host_user).await?;
        Err(Refusal::OtherZoomUser { address }.into())
    }

    async fn refreshed_access(
        &self,
        trainer: &UserId,
        connection: Option<ZoomConnection>,
        refused: Option<&Sealed>,
    ) -> Result<ZoomAccess, Error> {
        let holder = self.new_lease_holder();
        let mut stored = connection;
        for _ in 0..WAIT_ATTEMPTS {
            let connection = stored.ok_or(Refusal::ZoomNotConnected)?;
            if connection.health == ConnectionHealth::ReauthRequired {
                return Err(Refusal::ReauthRequired.into());
            }
            let now = self.clock.now();
            if connection.is_fresh(now) && refused != Some(&connection.access_token) {
                return self.open_access(connection).await;
            }
            // A lease is ours even if the response to its write was lost.
            let leased = connection.is_leased(now);
            if !leased || connection.is_leased_by(&holder) {
                match self.refresh(&connection, &holder, leased, now).await? {
                    RefreshOutcome::Ready(zoom_access) => return Ok(*zoom_access),
                    // The trainer connected again or disconnected. Read the connection again.
                    RefreshOutcome::Replaced => {
                        stored = self.store.connection(trainer).await?;
                        continue;
                    }
                    RefreshOutcome::LeasedByOther => {}
                }
            }
            tokio::time::sleep(Duration::from_millis(WAIT_MS + self.random.below(WAIT_MS / 2)))
                .await;
            stored = self.store.connection(trainer).await?;
        }
        Err(Error::busy("another process is still refreshing the token"))
    }

    async fn open_access(&self, connection: ZoomConnection) -> Result<ZoomAccess, Error> {
        let secrets = self.secrets.get(self.clock.now()).await?;
        let token = secrets
            .keyring()?
            .open(&connection.access_token, &token_binding(&connection.trainer, ACCESS_FIELD))?;
        let api_base = self.zoom.api_base(connection.api_url.as_deref());
        Ok(ZoomAccess {
            access: Access { token, api_base, user: ApiUser::Me },
            token: TokenSource::Connection(Box::new(connection)),
        })
    }

    /// Refreshes under the lease, which it takes first unless `is_leased`.
    async fn refresh(
        &self,
        connection: &ZoomConnection,
        holder: &str,
        is_leased: bool,
        now: Timestamp,
    ) -> Result<RefreshOutcome, Error> {
        // Check all settings before taking the lease, so that a missing setting does not make other processes wait.
        let secrets = self.secrets.get(now).await?;
        let binding = token_binding(&connection.trainer, REFRESH_FIELD);
        let app = client_credentials(&secrets)?;
        let refresh_token = secrets.keyring()?.open(&connection.refresh_token, &binding)?;
        if !is_leased {
            let until = whole_milli(now)
                .saturating_add(SignedDuration::from_secs(LEASE_SECONDS))
                .unwrap_or(now);
            let lease = connections::take_refresh_lease(connection, holder, until, now);
            match self.store.commit_one(lease).await {
                Ok(()) => {}
                Err(CommitError::Refused(_)) => return Ok(RefreshOutcome::LeasedByOther),
                Err(error) => return Err(error.into()),
            }
        }
        match self.zoom.refresh(app, &refresh_token, now).await {
            Ok(grant) => {
                let next = self.sealed_connection(connection, &grant, &secrets)?;
                if !self.save_refreshed(&next, connection, holder).await? {
                    // Zoom has already ended this grant if the newer one belongs to the same Zoom user.
                    let stored = self.store.connection(&next.trainer).await?;
                    if stored.is_none_or(|stored| stored.zoom_user.id != next.zoom_user.id) {
                        self.revoke_unused_grant(&secrets, &grant.refresh_token).await;
                    }
                    return Ok(RefreshOutcome::Replaced);
                }
                tracing::info!(event = "zoom.token_refreshed");
                let api_base = self.zoom.api_base(next.api_url.as_deref());
                Ok(RefreshOutcome::Ready(Box::new(ZoomAccess {
                    access: Access { token: grant.access_token, api_base, user: ApiUser::Me },
                    token: TokenSource::Connection(Box::new(next)),
                })))
            }
            Err(ZoomError::InvalidGrant) => {
                if self.mark_reauth_required(connection, holder, now).await? {
                    Err(Refusal::ReauthRequired.into())
                } else {
                    Ok(RefreshOutcome::Replaced)
                }
            }
            Err(error) => {
                self.release_lease(connection, holder).await;
                Err(error.into())
            }
        }
    }

    /// Releases the lease after a failed refresh. Otherwise other processes would wait until it expires.
    async fn release_lease(&self, connection: &ZoomConnection, holder: &str) {
        let release = connections::release_refresh_lease(connection, holder);
        if let Err(error) = self.store.commit_one(release).await {
            tracing::warn!(event = "zoom.lease_not_released", %error);
        }
    }

    /// Tries to revoke a grant that will not be stored. Without its tokens the grant is unusable, so failures are only
    /// logged.
    pub(super) async fn revoke_unused_grant(&self, secrets: &SecretSet, refresh_token: &Secret) {
        let revoked = match client_credentials(secrets) {
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

    /// Returns the connection with new tokens, encrypted under the current key.
    pub(super) fn sealed_connection(
        &self,
        connection: &ZoomConnection,
        grant: &Grant,
        secrets: &SecretSet,
    ) -> Result<ZoomConnection, Error> {
        let keyring = secrets.keyring()?;
        let seal = |token: &Secret, field| {
            keyring.seal(token.expose(), &token_binding(&connection.trainer, field), &self.random)
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

    /// Saves new tokens. Returns `false` if a newer grant exists.
    async fn save_refreshed(
        &self,
        next: &ZoomConnection,
        previous: &ZoomConnection,
        holder: &str,
    ) -> Result<bool, Error> {
        for attempt in 1.. {
            match self
                .store
                .commit_one(connections::put_refreshed_tokens(next, previous, holder))
                .await
            {
                Ok(()) => return Ok(true),
                Err(CommitError::Refused(_)) => return Ok(false),
                Err(CommitError::Store(error)) if attempt < SAVE_ATTEMPTS => {
                    tracing::warn!(event = "zoom.token_save_retried", attempt, %error);
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

    /// Marks the grant as unusable and enqueues a notification to the trainer. Returns `false` if a newer grant
    /// exists.
    async fn mark_reauth_required(
        &self,
        connection: &ZoomConnection,
        holder: &str,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let domain_event = connection.loss_event(now);
        let actions = vec![
            connections::mark_reauth_required(connection, holder),
            host_status::put(connection, ConnectionHealth::ReauthRequired),
            due_work::put_domain_event(&domain_event),
        ];
        match self.store.commit(actions).await {
            Ok(()) => {
                tracing::warn!(event = "zoom.reauth_required");
                metrics::REAUTH_REQUIRED.count();
                self.send_wake_up(&domain_event).await;
                Ok(true)
            }
            Err(CommitError::Refused(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// Calls Zoom with the token of an access. If Zoom rejects the token, repeats the call once with a new one.
macro_rules! with_token {
    ($services:expr, $zoom_access:expr, |$access:ident| $call:expr) => {{
        let $access = &$zoom_access.access;
        match $call.await {
            Err($crate::zoom::ZoomError::Unauthorized) => {
                match $services.renewed_access(&$zoom_access).await {
                    Ok(renewed) => {
                        $zoom_access = renewed;
                        let $access = &$zoom_access.access;
                        $call.await.map_err(|error| {
                            $crate::app::meeting::MeetingError::of_call(error, &$zoom_access)
                        })
                    }
                    Err(error) => Err($crate::app::meeting::MeetingError::Other(error)),
                }
            }
            response => response
                .map_err(|error| $crate::app::meeting::MeetingError::of_call(error, &$zoom_access)),
        }
    }};
}
pub(super) use with_token;
