//! Connects a Zoom account: redirects the trainer to Zoom's consent page and stores the grant when they return.
//!
//! Zoom keeps the latest grant of a user, and requests may store grants in another order. Before a grant is stored, it
//! is compared with the user's pointer. Another grant or a removal of about the same time is decided by a refresh. The
//! version of each connection starts at a random number, so that nothing about an earlier connection applies to it.

mod store_grant;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use url::Url;

use self::store_grant::{StoreOutcome, store_connection};
use super::Services;
use super::error::Error;
use super::sessions::affected_sessions;
use super::zoom_access::{ACCESS_FIELD, REFRESH_FIELD, client_credentials, token_binding};
use crate::crypt::{constant_time_eq, hmac_sha256};
use crate::domain::digest::Digest;
use crate::domain::grant_check;
use crate::domain::host_status::HostStatus;
use crate::domain::hosting::{Hosting, HostingPolicy};
use crate::domain::id::UserId;
use crate::domain::in_app::NotificationKind;
use crate::domain::platform_host::PlatformHost;
use crate::domain::refusal::Refusal;
use crate::domain::time::whole_milli;
use crate::domain::zoom_connection::{ConnectionHealth, ZoomConnection};
use crate::secret::Secret;
use crate::secrets::SecretSet;
use crate::store::connections::OauthAttempt;
use crate::store::schema::ItemKey;
use crate::zoom::{Access, ApiUser, Grant, ZoomError};

/// How long a trainer may take on Zoom's pages.
const STATE_MINUTES: i64 = 10;
/// The longest state that we could have issued.
pub const STATE_LIMIT_BYTES: usize = 512;
/// Zoom's codes are some dozens of characters.
pub const CODE_LIMIT_BYTES: usize = 2048;
const VERIFIER_FIELD: &str = "pkce_verifier";

/// The consent page to which the trainer is redirected.
#[derive(Debug)]
pub struct Authorization {
    pub authorize_url: Url,
    pub state: String,
    pub expires_at: Timestamp,
}

/// The content of the OAuth state. The state is signed, and its nonce is the key of the stored attempt.
#[derive(Serialize, Deserialize)]
struct OauthState {
    /// The nonce.
    n: String,
    /// The trainer, hashed.
    s: String,
    /// The redirect URI, hashed.
    r: String,
    /// Expiry, Unix seconds.
    e: i64,
}

impl OauthState {
    fn sign(&self, secrets: &SecretSet) -> Result<String, Error> {
        let payload = serde_json::to_vec(self).map_err(|error| Error::Internal(error.into()))?;
        let signature = hmac_sha256(
            secrets.oauth_state_secret()?.expose().as_bytes(),
            &[b"oauth-state", &payload],
        );
        let encode = |bytes: &[u8]| data_encoding::BASE64URL_NOPAD.encode(bytes);
        Ok(format!("{}.{}", encode(&payload), encode(&signature)))
    }

    /// Verifies a state. The refusal does not reveal the reason.
    fn verify(text: &str, secrets: &SecretSet) -> Result<Self, Error> {
        let key = secrets.oauth_state_secret()?;
        let refused = || Error::from(invalid_state());
        if text.len() > STATE_LIMIT_BYTES {
            return Err(refused());
        }
        let decode = |part: &str| data_encoding::BASE64URL_NOPAD.decode(part.as_bytes()).ok();
        let (payload, signature) = text
            .split_once('.')
            .and_then(|(payload, signature)| decode(payload).zip(decode(signature)))
            .ok_or_else(refused)?;
        if !constant_time_eq(
            &signature,
            &hmac_sha256(key.expose().as_bytes(), &[b"oauth-state", &payload]),
        ) {
            return Err(refused());
        }
        serde_json::from_slice(&payload).map_err(|_| refused())
    }
}

fn rejected_code() -> Refusal {
    Refusal::field("code", "was rejected by Zoom, please start again")
}

fn invalid_state() -> Refusal {
    Refusal::field("state", "is invalid, expired or already used, please start again")
}

/// Starts the OAuth flow: issues a state for `trainer` and `redirect_uri`, which must match one of `allowed` exactly.
pub async fn authorize(
    services: &Services,
    trainer: &UserId,
    redirect_uri: &str,
    allowed: &[String],
    now: Timestamp,
) -> Result<Authorization, Error> {
    if !allowed.iter().any(|uri| uri == redirect_uri) {
        return Err(
            Refusal::field("redirect_uri", "must be one of the allowed redirect URIs").into()
        );
    }
    let secrets = services.secrets.get(now).await?;
    let expires_at = now.saturating_add(SignedDuration::from_mins(STATE_MINUTES)).unwrap_or(now);
    let nonce = data_encoding::BASE64URL_NOPAD.encode(&services.random.bytes::<18>());
    let state = OauthState {
        n: nonce.clone(),
        s: Digest::of_value(trainer.as_str()).to_hex(),
        r: Digest::of_value(redirect_uri).to_hex(),
        e: expires_at.as_second(),
    }
    .sign(&secrets)?;

    // RFC 7636 recommends 43 characters, which are 32 random bytes in base64url. S256 is their hash.
    let verifier = data_encoding::BASE64URL_NOPAD.encode(&services.random.bytes::<32>());
    let challenge = data_encoding::BASE64URL_NOPAD.encode(&Digest::of_value(&verifier).to_bytes());
    let attempt = OauthAttempt {
        trainer_hash: Digest::of_value(trainer.as_str()).to_hex(),
        redirect_uri: redirect_uri.to_owned(),
        verifier: secrets.keyring()?.seal(
            &verifier,
            &token_binding(trainer, VERIFIER_FIELD),
            &services.random,
        ),
        expires: expires_at,
    };
    services.store.put_oauth_attempt(&nonce, &attempt).await?;

    let (client_id, _) = secrets.zoom_client()?;
    let authorize_url = services.zoom.authorize_url(&[
        ("response_type", "code"),
        ("client_id", client_id),
        ("redirect_uri", redirect_uri),
        ("state", &state),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ]);
    Ok(Authorization { authorize_url, state, expires_at })
}

/// A new connection.
#[derive(Debug)]
pub struct FinishedConnection {
    pub connection: ZoomConnection,
    /// The number of upcoming sessions that another Zoom user hosts. They cannot be started with this connection.
    pub affected_sessions: usize,
}

/// Finishes the OAuth flow: consumes the attempt, exchanges the code, and replaces any earlier grant.
pub async fn finish(
    services: &Services,
    trainer: &UserId,
    code: &str,
    state: &str,
    now: Timestamp,
) -> Result<FinishedConnection, Error> {
    let secrets = &services.secrets.get(now).await?;
    let request = ConnectRequest { services, secrets, trainer, now };
    let state = OauthState::verify(state, secrets)?;
    let attempt = request.take_attempt(&state).await?;
    let grant = request.exchange_code(code, &attempt).await?;
    let mut connection = request.new_connection(grant).await?;
    let host = HostStatus::from_connection(&connection);
    let stored = async {
        let affected = affected_sessions(&services.store, trainer, &host, now).await?;
        let outcome =
            store_connection(services, secrets, &mut connection, &state.n, affected, now).await?;
        Ok::<_, Error>((affected.count, outcome))
    };
    let (affected_sessions, outcome) = match stored.await {
        Ok(stored) => stored,
        Err(error) => {
            revoke(services, secrets, &connection).await;
            return Err(error);
        }
    };
    match outcome {
        StoreOutcome::Stored(replaced) => {
            request.revoke_replaced(replaced.as_deref(), &connection).await;
        }
        StoreOutcome::EndedByNewer(newer) => {
            tracing::info!(event = "zoom.grant_overtaken");
            return Ok(FinishedConnection { connection: *newer, affected_sessions });
        }
        StoreOutcome::Ended => {
            tracing::info!(event = "zoom.grant_overtaken");
            return Err(rejected_code().into());
        }
    }
    let missing_scopes = connection.missing_scopes().len();
    tracing::info!(event = "zoom.connected", missing_scopes, affected_sessions);
    if affected_sessions == 0 {
        clear_notifications(services, trainer, now).await;
    }
    Ok(FinishedConnection { connection, affected_sessions })
}

/// A request to finish the OAuth flow.
struct ConnectRequest<'a> {
    services: &'a Services,
    secrets: &'a SecretSet,
    trainer: &'a UserId,
    now: Timestamp,
}

impl ConnectRequest<'_> {
    /// Consumes the attempt of a state, which stays consumed if a later step fails.
    async fn take_attempt(&self, state: &OauthState) -> Result<OauthAttempt, Error> {
        let trainer_hash = Digest::of_value(self.trainer.as_str()).to_hex();
        if state.e <= self.now.as_second() || state.s != trainer_hash {
            return Err(invalid_state().into());
        }
        let holder = self.services.new_lease_holder();
        let attempt = self.services.store.take_oauth_attempt(&state.n, &holder).await?;
        let matches = |attempt: &OauthAttempt| {
            attempt.trainer_hash == state.s
                && Digest::of_value(&attempt.redirect_uri).to_hex() == state.r
                && attempt.expires > self.now
        };
        Ok(attempt.filter(matches).ok_or_else(invalid_state)?)
    }

    async fn exchange_code(&self, code: &str, attempt: &OauthAttempt) -> Result<Grant, Error> {
        let binding = token_binding(self.trainer, VERIFIER_FIELD);
        let verifier = self.secrets.keyring()?.open(&attempt.verifier, &binding)?;
        let (app, uri) = (client_credentials(self.secrets)?, &attempt.redirect_uri);
        match self.services.zoom.exchange_code(app, code, uri, &verifier, self.now).await {
            Err(ZoomError::InvalidGrant) => Err(rejected_code().into()),
            response => Ok(response?),
        }
    }

    /// Reads the Zoom user of a grant and seals its tokens.
    async fn new_connection(&self, grant: Grant) -> Result<ZoomConnection, Error> {
        let access = Access {
            token: grant.access_token.clone(),
            api_base: self.services.zoom.api_base(grant.api_url.as_deref()),
            user: ApiUser::Me,
        };
        let zoom_user = match self.services.zoom.user(&access, self.now).await {
            Ok(user) => user,
            Err(error) => {
                self.services.revoke_unused_grant(self.secrets, &grant.refresh_token).await;
                return Err(error.into());
            }
        };
        let keyring = self.secrets.keyring()?;
        let seal = |token: &Secret, field| {
            let binding = token_binding(self.trainer, field);
            keyring.seal(token.expose(), &binding, &self.services.random)
        };
        Ok(ZoomConnection {
            trainer: self.trainer.clone(),
            health: ConnectionHealth::Connected,
            access_token: seal(&grant.access_token, ACCESS_FIELD),
            refresh_token: seal(&grant.refresh_token, REFRESH_FIELD),
            scopes: grant.scopes,
            access_expires_at: grant.expires_at,
            api_url: grant.api_url,
            connected_at: whole_milli(self.now),
            version: self.services.new_connection_version(),
            lease: None,
            grant_check_at: Some(grant_check::check_at(self.now)),
            zoom_user,
        })
    }

    /// Revokes the grant that was replaced. Zoom itself ends an earlier grant of the same Zoom user.
    async fn revoke_replaced(&self, replaced: Option<&ZoomConnection>, new: &ZoomConnection) {
        let is_usable = |replaced: &&ZoomConnection| {
            replaced.zoom_user.id != new.zoom_user.id
                && replaced.health == ConnectionHealth::Connected
        };
        if let Some(replaced) = replaced.filter(is_usable) {
            revoke(self.services, self.secrets, replaced).await;
        }
    }
}

/// Hides the notifications that ask the trainer to connect Zoom. The connection is stored, so a failure is only logged.
async fn clear_notifications(services: &Services, trainer: &UserId, now: Timestamp) {
    let is_cleared = NotificationKind::is_cleared_by_connecting;
    if let Err(error) = services.store.dismiss_notifications(trainer, is_cleared, now).await {
        tracing::warn!(event = "notification.not_cleared", %error);
    }
}

/// Tries to revoke the grant of a connection that is not stored any more, or was never stored.
async fn revoke(services: &Services, secrets: &SecretSet, connection: &ZoomConnection) {
    let binding = token_binding(&connection.trainer, REFRESH_FIELD);
    match secrets.keyring().map(|keyring| keyring.open(&connection.refresh_token, &binding)) {
        Ok(Ok(token)) => services.revoke_unused_grant(secrets, &token).await,
        // Sealed with a key that no longer exists. The grant expires by itself after 90 days.
        _ => tracing::warn!(event = "zoom.revoke_failed", error = "the token cannot be decrypted"),
    }
}

/// Where the trainer's next class will be held.
#[derive(Debug)]
pub enum TrainerHosting {
    /// In the trainer's own account, if one is connected.
    Trainer(Option<Box<ZoomConnection>>),
    /// In the platform's account, if the trainer has a host there.
    Platform(Option<Box<PlatformHost>>),
}

/// Returns the trainer's Zoom connection, or their host in the platform's own account.
pub async fn load_connection(
    services: &Services,
    trainer: &UserId,
) -> Result<TrainerHosting, Error> {
    let policy = services.hosting.policy;
    let mut keys = vec![ItemKey::ZoomConnection(trainer)];
    if policy != HostingPolicy::Trainer {
        keys.extend([ItemKey::User(trainer), ItemKey::PlatformHost(trainer)]);
    }
    let mut found = services.store.batch_get(&keys).await?;
    let host = found.platform_host(trainer)?;
    let setting = found.user(trainer)?.and_then(|user| user.hosting);
    let is_active = host.as_ref().is_some_and(|host| host.active_user().is_some());
    Ok(match policy.decide(setting, is_active) {
        Hosting::Trainer => TrainerHosting::Trainer(found.connection(trainer)?.map(Box::new)),
        Hosting::Platform => TrainerHosting::Platform(host.map(Box::new)),
    })
}
