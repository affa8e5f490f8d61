//! Provides the token of the platform's own Zoom account (Zoom, "Server-to-Server OAuth").
//!
//! All functions share one stored token, and only one process requests another:
//!
//! ```text
//! token valid for ≥ 5 min ──────────────────────────────────→ use it
//! else take the lease (conditional write) ─ refused ─→ wait, read again
//!        │
//!        ├─ Zoom issues a token ─→ save it ─→ use it
//!        ├─ Zoom refuses the credentials ─→ store that, and answer 503 without another request for a while
//!        └─ no usable response ─→ release the lease, and the next process tries
//! ```
//!
//! A process that dies loses nothing: the lease expires, and the next one requests another token. Refused credentials are
//! the operator's to correct, so they never become a trainer's `reauth_required`.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::Services;
use super::access::{AccountAccess, TokenSource, ZoomAccess, refuse};
use super::error::Error;
use crate::crypt::{Binding, Sealed};
use crate::domain::account_token::{AccountToken, AccountTokenId, IssuedToken};
use crate::domain::hosting::PlatformUser;
use crate::domain::time::whole_milli;
use crate::domain::zoom_connection::ZoomUser;
use crate::secrets::{AccountCredentials, SecretSet};
use crate::store::account_token;
use crate::store::error::CommitError;
use crate::zoom::{Access, ApiUser, ClientCredentials, ZoomError};

/// The duration of the lease. It exceeds the time that one request can take: the write of the lease (5 s), the call to Zoom
/// (6 s), and the write of the token (5 s).
const LEASE_SECONDS: i64 = 20;
/// The pause between two reads while another process requests a token, plus up to half as much jitter.
const WAIT_MS: u64 = 150;
/// Reads before giving up: about 8 s, longer than a request takes while Zoom responds.
const WAIT_ATTEMPTS: u32 = 45;

const TOKEN_FIELD: &str = "account_token";

impl Services {
    /// Returns a token for the meetings of a user of the platform's own account. It is valid for at least five minutes.
    pub async fn account_access(&self, user: &PlatformUser) -> Result<ZoomAccess, Error> {
        self.fresh_account_access(Some(user), None).await
    }

    /// Returns a token for calls about the users of the platform's own account, which name the user themselves.
    pub async fn account_admin_access(&self) -> Result<ZoomAccess, Error> {
        self.fresh_account_access(None, None).await
    }

    /// Returns another token than the one that Zoom refused although it had not expired.
    pub(super) async fn renewed_account_access(
        &self,
        refused: &AccountAccess,
    ) -> Result<ZoomAccess, Error> {
        self.fresh_account_access(refused.user.as_ref(), Some(&refused.token)).await
    }

    async fn fresh_account_access(
        &self,
        user: Option<&PlatformUser>,
        refused: Option<&Sealed>,
    ) -> Result<ZoomAccess, Error> {
        let secrets = self.secrets.get(self.clock.now()).await?;
        let credentials = self.account_credentials(&secrets)?;
        if user.is_some_and(|user| user.account != credentials.account_id) {
            return Err(refuse("zoom_s2s belongs to another account than the host".to_owned()));
        }
        let request = TokenRequest {
            services: self,
            id: AccountTokenId::derive(&credentials.account_id, &credentials.client_id),
            holder: self.new_lease_holder(),
            secrets: &secrets,
            credentials,
        };
        let issued = request.token(refused).await?;
        let token = secrets.keyring()?.open(&issued.access_token, &request.binding())?;
        let api_base = self.zoom.api_base(issued.api_url.as_deref());
        let api_user = user.map_or(ApiUser::Me, |user| ApiUser::Id(user.id.clone()));
        Ok(ZoomAccess {
            access: Access { token, api_base, user: api_user },
            token: TokenSource::Account(Box::new(AccountAccess {
                zoom_user: ZoomUser {
                    id: user.map_or_else(String::new, |user| user.id.as_str().to_owned()),
                    account_id: credentials.account_id.clone(),
                    email: None,
                    is_basic: false,
                },
                user: user.cloned(),
                token: issued.access_token,
                scopes: issued.scopes,
            })),
        })
    }

    /// Returns the credentials of the account, which must be the one that the deployment names.
    fn account_credentials<'a>(
        &self,
        secrets: &'a SecretSet,
    ) -> Result<&'a AccountCredentials, Error> {
        let credentials = secrets.zoom_account()?;
        self.hosting.check_account(&credentials.account_id)?;
        Ok(credentials)
    }
}

/// A request for a token, by one process.
struct TokenRequest<'a> {
    services: &'a Services,
    id: AccountTokenId,
    holder: String,
    secrets: &'a SecretSet,
    credentials: &'a AccountCredentials,
}

impl TokenRequest<'_> {
    fn binding(&self) -> Binding<'_> {
        Binding { owner: self.id.as_str(), field: TOKEN_FIELD }
    }

    /// Returns a fresh token other than `refused`, the stored one or a new one.
    async fn token(&self, refused: Option<&Sealed>) -> Result<IssuedToken, Error> {
        let Services { store, clock, random, .. } = self.services;
        for _ in 0..WAIT_ATTEMPTS {
            let stored = store.account_token(&self.id).await?;
            let now = clock.now();
            if let Some(issued) = stored.fresh(now)
                && Some(&issued.access_token) != refused
            {
                return Ok(issued.clone());
            }
            if stored.was_just_refused(now) {
                return Err(refuse("Zoom refused the credentials a moment ago".to_owned()));
            }
            // A lease is ours even if the response to its write was lost.
            let is_leased = stored.is_leased(now);
            if (!is_leased || stored.is_leased_by(&self.holder))
                && let Some(issued) = self.request(&stored, is_leased, now).await?
            {
                return Ok(issued);
            }
            tokio::time::sleep(Duration::from_millis(WAIT_MS + random.below(WAIT_MS / 2))).await;
        }
        Err(Error::busy("another process is still requesting the account's token"))
    }

    /// Requests a token under the lease, which it takes first unless `is_leased`. Returns `None` if another process has the
    /// lease or a newer token.
    async fn request(
        &self,
        stored: &AccountToken,
        is_leased: bool,
        now: Timestamp,
    ) -> Result<Option<IssuedToken>, Error> {
        let Services { store, zoom, random, .. } = self.services;
        // A missing key must not make other processes wait.
        let keyring = self.secrets.keyring()?;
        if !is_leased {
            let until = whole_milli(now).saturating_add(SignedDuration::from_secs(LEASE_SECONDS));
            let until = until.unwrap_or(now);
            let lease = account_token::take_lease(&self.id, stored, &self.holder, until, now);
            match store.commit_one(lease).await {
                Ok(()) => {}
                Err(CommitError::Refused(_)) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
        let AccountCredentials { account_id, client_id, client_secret } = self.credentials;
        let app = ClientCredentials { id: client_id, secret: client_secret };
        let grant = match zoom.account_token(app, account_id, now).await {
            Ok(grant) => grant,
            Err(error) => return Err(self.failed(stored, error, now).await),
        };
        let issued = IssuedToken {
            access_token: keyring.seal(grant.access_token.expose(), &self.binding(), random),
            expires_at: grant.expires_at,
            scopes: grant.scopes,
            api_url: grant.api_url,
        };
        let put = account_token::put_issued(&self.id, stored, &issued, &self.holder);
        match store.commit_one(put).await {
            Ok(()) => {
                tracing::info!(event = "zoom.account_token_issued");
                Ok(Some(issued))
            }
            // The lease expired during the request. The newer token may have ended this one.
            Err(CommitError::Refused(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Releases the lease after a failed request and returns the error. Otherwise other processes would wait until it
    /// expires.
    async fn failed(&self, stored: &AccountToken, error: ZoomError, now: Timestamp) -> Error {
        let (release, error) = match error {
            ZoomError::Rejected { status, .. } => {
                let at = whole_milli(now);
                let mark = account_token::mark_refused(&self.id, stored, &self.holder, at);
                (mark, refuse(format!("Zoom refused the credentials with status {status}")))
            }
            other => {
                let release = account_token::release_lease(&self.id, stored, &self.holder);
                (release, other.into())
            }
        };
        if let Err(error) = self.services.store.commit_one(release).await {
            tracing::warn!(event = "zoom.account_lease_not_released", %error);
        }
        error
    }
}
