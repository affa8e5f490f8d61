//! Connects a Zoom account: redirects the trainer to Zoom's consent page and stores the grant when they return.
//!
//! Zoom keeps the latest grant of a user, and requests may store grants in another order. Before a grant is stored, it
//! is compared with the user's pointer. Another grant or a removal of about the same time is decided by a refresh. The
//! version of each connection starts at a random number, so that nothing about an earlier connection applies to it.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use url::Url;

use super::Services;
use super::disconnect::keep_host_address;
use super::error::Error;
use super::sessions::{AffectedSessions, affected_sessions};
use super::zoom_access::{ACCESS_FIELD, REFRESH_FIELD, client_credentials, token_binding};
use crate::crypt::{constant_time_eq, hmac_sha256};
use crate::domain::digest::Digest;
use crate::domain::host_status::HostStatus;
use crate::domain::id::UserId;
use crate::domain::in_app::NotificationKind;
use crate::domain::refusal::Refusal;
use crate::domain::time::whole_milli;
use crate::domain::zoom_connection::{ConnectionHealth, ZoomConnection};
use crate::secret::Secret;
use crate::secrets::SecretSet;
use crate::store::connections::{self, OauthAttempt};
use crate::store::error::CommitError;
use crate::store::tx::ConditionSubject;
use crate::store::{due_work, erasures, host_status};
use crate::zoom::{Access, ZoomError};

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
    let secrets = services.secrets.get(now).await?;
    let state = OauthState::verify(state, &secrets)?;
    if state.e <= now.as_second() || state.s != Digest::of_value(trainer.as_str()).to_hex() {
        return Err(invalid_state().into());
    }
    // The state is consumed, even if a later step fails.
    let attempt = services
        .store
        .take_oauth_attempt(&state.n, &services.new_lease_holder())
        .await?
        .ok_or_else(invalid_state)?;
    let matches = attempt.trainer_hash == state.s
        && Digest::of_value(&attempt.redirect_uri).to_hex() == state.r
        && attempt.expires > now;
    if !matches {
        return Err(invalid_state().into());
    }
    let verifier =
        secrets.keyring()?.open(&attempt.verifier, &token_binding(trainer, VERIFIER_FIELD))?;
    let grant = match services
        .zoom
        .exchange_code(client_credentials(&secrets)?, code, &attempt.redirect_uri, &verifier, now)
        .await
    {
        Err(ZoomError::InvalidGrant) => return Err(rejected_code().into()),
        response => response?,
    };
    let access = Access {
        token: grant.access_token.clone(),
        api_base: services.zoom.api_base(grant.api_url.as_deref()),
    };
    let zoom_user = match services.zoom.user(&access, now).await {
        Ok(user) => user,
        Err(error) => {
            services.revoke_unused_grant(&secrets, &grant.refresh_token).await;
            return Err(error.into());
        }
    };

    let keyring = secrets.keyring()?;
    let seal = |token: &Secret, field| {
        keyring.seal(token.expose(), &token_binding(trainer, field), &services.random)
    };
    let mut connection = ZoomConnection {
        trainer: trainer.clone(),
        health: ConnectionHealth::Connected,
        scopes: grant.scopes.clone(),
        access_token: seal(&grant.access_token, ACCESS_FIELD),
        refresh_token: seal(&grant.refresh_token, REFRESH_FIELD),
        access_expires_at: grant.expires_at,
        api_url: grant.api_url.clone(),
        connected_at: whole_milli(now),
        version: services.new_connection_version(),
        lease: None,
        zoom_user,
    };
    let host = HostStatus::from_connection(&connection);
    let affected = match affected_sessions(&services.store, trainer, &host, now).await {
        Ok(affected) => affected,
        Err(error) => {
            revoke(services, &secrets, &connection).await;
            return Err(error);
        }
    };
    match store_connection(services, &secrets, &mut connection, &state.n, affected, now).await {
        Ok(StoreOutcome::Stored(replaced)) => {
            let replaced = replaced.filter(|replaced| {
                replaced.zoom_user.id != connection.zoom_user.id
                    && replaced.health == ConnectionHealth::Connected
            });
            // Zoom itself ends an earlier grant of the same Zoom user.
            if let Some(replaced) = replaced {
                revoke(services, &secrets, &replaced).await;
            }
        }
        Ok(StoreOutcome::EndedByNewer(newer)) => {
            tracing::info!(event = "zoom.grant_overtaken");
            return Ok(FinishedConnection {
                connection: *newer,
                affected_sessions: affected.count,
            });
        }
        Ok(StoreOutcome::Ended) => {
            tracing::info!(event = "zoom.grant_overtaken");
            return Err(rejected_code().into());
        }
        Err(error) => {
            revoke(services, &secrets, &connection).await;
            return Err(error);
        }
    }
    tracing::info!(
        event = "zoom.connected",
        missing_scopes = connection.missing_scopes().len(),
        affected_sessions = affected.count
    );
    if affected.count == 0 {
        clear_notifications(services, trainer, now).await;
    }
    Ok(FinishedConnection { connection, affected_sessions: affected.count })
}

/// Hides the notifications that ask the trainer to connect Zoom. The connection is stored, so a failure is only logged.
async fn clear_notifications(services: &Services, trainer: &UserId, now: Timestamp) {
    let kinds = NotificationKind::CLEARED_BY_CONNECTING;
    if let Err(error) = services.store.dismiss_notifications(trainer, &kinds, now).await {
        tracing::warn!(event = "notification.not_cleared", %error);
    }
}

/// Attempts against concurrent changes of the connection, such as a refresh of the earlier grant.
const STORE_ATTEMPTS: u32 = 5;

/// The outcome of storing a grant.
enum StoreOutcome {
    /// Stored in place of this connection.
    Stored(Option<Box<ZoomConnection>>),
    /// Another request of the trainer exchanged its code later and has stored its grant.
    EndedByNewer(Box<ZoomConnection>),
    /// The Zoom user removed the app, or another trainer connected it later.
    Ended,
}

/// Stores a grant and deletes the OAuth attempt under `nonce`.
///
/// Zoom keeps only the latest grant of a Zoom user, and requests may store their grants in another order than Zoom gave
/// them. If the table shows another grant or a removal of about the same time, a refresh shows whether this grant is the
/// latest.
async fn store_connection(
    services: &Services,
    secrets: &SecretSet,
    connection: &mut ZoomConnection,
    nonce: &str,
    affected: AffectedSessions,
    now: Timestamp,
) -> Result<StoreOutcome, Error> {
    let zoom_user = connection.zoom_user.id.clone();
    for _ in 0..STORE_ATTEMPTS {
        let before = services.store.connection(&connection.trainer).await?;
        let pointer = services.store.zoom_user_pointer(&zoom_user).await?;
        let trainer = pointer.as_ref().and_then(|pointer| pointer.trainer.as_ref());
        let previous = if trainer == Some(&connection.trainer) {
            before.clone().filter(|before| before.zoom_user.id == zoom_user)
        } else {
            services.store.connection_of_zoom_user(&zoom_user, pointer.as_ref()).await?
        };
        let removed_at = pointer.as_ref().and_then(|pointer| pointer.deauthorized_at);
        let given_at = previous.as_ref().map(|previous| previous.connected_at);
        if given_at.into_iter().chain(removed_at).any(|at| connection.may_have_ended_by(at)) {
            match renew_if_accepted(services, secrets, connection).await? {
                Some(renewed) => *connection = renewed,
                None => {
                    let newer = previous.filter(|newer| {
                        newer.trainer == connection.trainer
                            && newer.health == ConnectionHealth::Connected
                    });
                    return Ok(newer.map_or(StoreOutcome::Ended, |newer| {
                        StoreOutcome::EndedByNewer(Box::new(newer))
                    }));
                }
            }
        }
        let mut actions = vec![
            connections::put(connection, before.as_ref().map(|before| before.version)),
            connections::put_zoom_user_pointer(connection, pointer.as_ref()),
            connections::delete_oauth_attempt(nonce),
            host_status::put(connection, ConnectionHealth::Connected),
            erasures::require_not_erased(&connection.trainer, whole_milli(now)),
        ];
        actions.extend(
            connection.zoom_user.pseudonym().map(|host| host_status::delete_host_address(&host)),
        );
        if let Some(before) = before.as_ref().filter(|before| before.zoom_user.id != zoom_user) {
            actions.extend(services.store.zoom_user_pointer_deletion(before).await?);
            if let Some(last_end) = affected.last_end {
                actions.extend(keep_host_address(before, last_end));
            }
        }
        let mut domain_events = Vec::new();
        if affected.count > 0 {
            domain_events.push(connection.replacement_event());
        }
        // If another trainer had connected this Zoom user, their grant no longer works, and they are notified before
        // their next session.
        if let Some(superseded) = previous.filter(|previous| previous.trainer != connection.trainer)
        {
            actions.push(connections::mark_superseded(&superseded));
            actions.push(host_status::put(&superseded, ConnectionHealth::ReauthRequired));
            // The trainer has been notified already if the grant had failed before.
            if superseded.health == ConnectionHealth::Connected {
                domain_events.push(superseded.loss_event(connection.connected_at));
            }
        }
        actions.extend(domain_events.iter().map(due_work::put_domain_event));
        match services.store.commit(actions).await {
            Ok(()) => {
                for domain_event in &domain_events {
                    services.send_wake_up(domain_event).await;
                }
                return Ok(StoreOutcome::Stored(before.map(Box::new)));
            }
            Err(error) if error.refused(ConditionSubject::Erasure) => {
                return Err(Refusal::USER_ERASED.into());
            }
            Err(CommitError::Refused(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::busy("too many concurrent changes of the Zoom connection"))
}

/// Returns the connection with refreshed tokens if Zoom still accepts its grant.
async fn renew_if_accepted(
    services: &Services,
    secrets: &SecretSet,
    connection: &ZoomConnection,
) -> Result<Option<ZoomConnection>, Error> {
    let binding = token_binding(&connection.trainer, REFRESH_FIELD);
    let token = secrets.keyring()?.open(&connection.refresh_token, &binding)?;
    let now = services.clock.now();
    match services.zoom.refresh(client_credentials(secrets)?, &token, now).await {
        Ok(grant) => services.sealed_connection(connection, &grant, secrets).map(Some),
        Err(ZoomError::InvalidGrant) => Ok(None),
        Err(error) => Err(error.into()),
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

/// Returns the trainer's Zoom connection, if there is one.
pub async fn load_connection(
    services: &Services,
    trainer: &UserId,
) -> Result<Option<ZoomConnection>, Error> {
    Ok(services.store.connection(trainer).await?)
}
