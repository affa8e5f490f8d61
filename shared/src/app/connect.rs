//! Connecting a Zoom account: sending the trainer to Zoom's consent page, and taking the grant when they return.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use url::Url;

use super::Services;
use super::error::Error;
use super::zoom_access::{ACCESS_FIELD, REFRESH_FIELD, app, binding};
use crate::crypt::{hmac_sha256, same, sha256_hex};
use crate::domain::domain_event::{DomainEvent, DomainEventKind};
use crate::domain::zoom_connection::{ZoomConnection, ConnectionHealth};
use crate::domain::id::UserId;
use crate::domain::refusal::Refusal;
use crate::domain::time::whole_milli;
use crate::secret::Secret;
use crate::secrets::SecretSet;
use crate::store::connections::{self, OauthAttempt};
use crate::store::error::CommitError;
use crate::store::outbox;
use crate::zoom::{Access, ZoomError};

/// How long a trainer may take on Zoom's pages.
const STATE_MINUTES: i64 = 10;
/// A state is a signed nonce and little else; anything longer is not one of ours.
const STATE_LIMIT_BYTES: usize = 512;
/// Zoom's codes are some dozens of characters.
pub const CODE_LIMIT_BYTES: usize = 2048;
const VERIFIER_FIELD: &str = "pkce_verifier";

/// Where to send the trainer.
#[derive(Debug)]
pub struct Authorization {
    pub authorize_url: Url,
    pub state: String,
    pub expires_at: Timestamp,
}

/// What the state says. It is signed, so it cannot be made up; its nonce names what we keep of the attempt.
#[derive(Serialize, Deserialize)]
struct State {
    /// The nonce.
    n: String,
    /// The trainer, hashed.
    s: String,
    /// The redirect URI, hashed.
    r: String,
    /// Expiry, Unix seconds.
    e: i64,
}

impl State {
    fn sign(&self, secrets: &SecretSet) -> Result<String, Error> {
        let payload = serde_json::to_vec(self).map_err(|error| Error::Internal(error.into()))?;
        let signature = hmac_sha256(
            secrets.oauth_state_secret()?.expose().as_bytes(),
            &[b"oauth-state", &payload],
        );
        let encode = |bytes: &[u8]| data_encoding::BASE64URL_NOPAD.encode(bytes);
        Ok(format!("{}.{}", encode(&payload), encode(&signature)))
    }

    /// Reads a state that we signed; whatever else it is, is refused without a word why.
    fn verify(text: &str, secrets: &SecretSet) -> Result<Self, Error> {
        let key = secrets.oauth_state_secret()?;
        let refused = || Error::from(refused_state());
        if text.len() > STATE_LIMIT_BYTES {
            return Err(refused());
        }
        let decode = |part: &str| data_encoding::BASE64URL_NOPAD.decode(part.as_bytes()).ok();
        let (payload, signature) = text
            .split_once('.')
            .and_then(|(payload, signature)| decode(payload).zip(decode(signature)))
            .ok_or_else(refused)?;
        if !same(&signature, &hmac_sha256(key.expose().as_bytes(), &[b"oauth-state", &payload])) {
            return Err(refused());
        }
        serde_json::from_slice(&payload).map_err(|_| refused())
    }
}

fn refused_state() -> Refusal {
    Refusal::field("state", "is not valid, expired, or was used before; start connecting again")
}

/// Begins connecting: mints a state for `trainer` and `redirect_uri`, which must be one of `allowed`, letter by letter.
pub async fn authorize(
    tools: &Services,
    trainer: &UserId,
    redirect_uri: &str,
    allowed: &[String],
    now: Timestamp,
) -> Result<Authorization, Error> {
    if !allowed.iter().any(|uri| uri == redirect_uri) {
        return Err(Refusal::field("redirect_uri", "is not one of the allowed addresses").into());
    }
    let secrets = tools.secrets.get(now).await?;
    let expires_at = now.saturating_add(SignedDuration::from_mins(STATE_MINUTES)).unwrap_or(now);
    let nonce = data_encoding::BASE64URL_NOPAD.encode(&tools.random.bytes::<18>());
    let state = State {
        n: nonce.clone(),
        s: sha256_hex(trainer.as_str()),
        r: sha256_hex(redirect_uri),
        e: expires_at.as_second(),
    }
    .sign(&secrets)?;

    // RFC 7636: 32 random bytes in base64url are the 43 characters that it recommends; S256 is their hash.
    let verifier = data_encoding::BASE64URL_NOPAD.encode(&tools.random.bytes::<32>());
    let challenge = data_encoding::BASE64URL_NOPAD.encode(&sha256(verifier.as_bytes()));
    let attempt = OauthAttempt {
        trainer_id: trainer.clone(),
        redirect_uri: redirect_uri.to_owned(),
        verifier: secrets.keyring()?.seal(
            &verifier,
            &binding(trainer, VERIFIER_FIELD),
            &tools.random,
        ),
        expires: expires_at,
    };
    tools.store.begin_oauth(&nonce, &attempt).await?;

    let (client_id, _) = secrets.zoom_client()?;
    let authorize_url = tools.zoom.authorize_url(&[
        ("response_type", "code"),
        ("client_id", client_id),
        ("redirect_uri", redirect_uri),
        ("state", &state),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ]);
    Ok(Authorization { authorize_url, state, expires_at })
}

/// Finishes connecting: takes the attempt, exchanges the code, and stores the grant in place of any earlier one.
pub async fn finish(
    tools: &Services,
    trainer: &UserId,
    code: &str,
    state: &str,
    now: Timestamp,
) -> Result<ZoomConnection, Error> {
    let secrets = tools.secrets.get(now).await?;
    let state = State::verify(state, &secrets)?;
    if state.e <= now.as_second() || state.s != sha256_hex(trainer.as_str()) {
        return Err(refused_state().into());
    }
    // From here on the state is used up, whatever comes.
    let attempt =
        tools.store.take_oauth(&state.n, &tools.holder()).await?.ok_or_else(refused_state)?;
    let matches = attempt.trainer_id == *trainer
        && sha256_hex(&attempt.redirect_uri) == state.r
        && attempt.expires > now;
    if !matches {
        return Err(refused_state().into());
    }
    let verifier = secrets.keyring()?.open(&attempt.verifier, &binding(trainer, VERIFIER_FIELD))?;
    let grant = match tools
        .zoom
        .exchange_code(app(&secrets)?, code, &attempt.redirect_uri, &verifier, now)
        .await
    {
        Err(ZoomError::Reconnect) => {
            return Err(
                Refusal::field("code", "is not accepted by Zoom; start connecting again").into()
            );
        }
        answer => answer?,
    };
    let access = Access {
        token: grant.access_token.clone(),
        api_base: tools.zoom.api_base(grant.api_url.as_deref()),
    };
    let zoom_user = match tools.zoom.user(&access, now).await {
        Ok(user) => user,
        Err(error) => {
            tools.abandon(&secrets, &grant.refresh_token).await;
            return Err(error.into());
        }
    };

    let keyring = secrets.keyring()?;
    let seal = |token: &Secret, field| {
        keyring.seal(token.expose(), &binding(trainer, field), &tools.random)
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
        version: 1,
        lease: None,
        zoom_user,
    };
    match store(tools, &mut connection, &state.n).await {
        Ok(replaced) => end_replaced(tools, &secrets, replaced.as_ref(), &connection).await,
        Err(error) => {
            // Written, perhaps, and only the answer was lost: a look tells.
            let stored = tools.store.connection(trainer).await.ok().flatten();
            if stored.is_none_or(|stored| stored.refresh_token != connection.refresh_token) {
                tools.abandon(&secrets, &grant.refresh_token).await;
                return Err(error);
            }
        }
    }
    tracing::info!(event = "zoom.connected", missing_scopes = connection.missing_scopes().len());
    Ok(connection)
}

/// Tries to store over a connection that changes meanwhile (a refresh of the earlier grant).
const STORE_ATTEMPTS: u32 = 5;

/// Stores a grant in the place of the attempt, under `nonce`, that led to it, and answers the grant that was there before.
async fn store(
    tools: &Services,
    connection: &mut ZoomConnection,
    nonce: &str,
) -> Result<Option<ZoomConnection>, Error> {
    let zoom_user = connection.zoom_user.id.clone();
    for _ in 0..STORE_ATTEMPTS {
        let before = tools.store.connection(&connection.trainer).await?;
        connection.version = before.as_ref().map_or(0, |before| before.version) + 1;
        let mut actions = vec![
            connections::replace(connection, before.as_ref().map(|before| before.version)),
            connections::point_from_zoom_user(&zoom_user, &connection.trainer),
            connections::end_oauth(nonce),
        ];
        if let Some(before) = before.as_ref().filter(|before| before.zoom_user.id != zoom_user) {
            actions.extend(tools.store.forgetting_zoom_user(before).await?);
        }
        // Zoom keeps one grant per user and app: if another trainer had connected this Zoom user, theirs is dead now, and
        // they are told before they find out in class.
        let mut notice = None;
        if let Some(other) = tools
            .store
            .trainer_of_zoom_user(&zoom_user)
            .await?
            .filter(|other| *other != connection.trainer)
            && let Some(theirs) = tools
                .store
                .connection(&other)
                .await?
                .filter(|theirs| theirs.zoom_user.id == zoom_user)
        {
            actions.push(connections::superseded(&theirs));
            // Whose grant was dead before has been told.
            if theirs.health == ConnectionHealth::Connected {
                let announcement = DomainEvent {
                    at: connection.connected_at,
                    kind: DomainEventKind::ReauthRequired { trainer: other, version: theirs.version },
                };
                actions.push(outbox::announce(&announcement));
                notice = Some(announcement);
            }
        }
        match tools.store.commit(actions).await {
            Ok(()) => {
                if let Some(notice) = notice {
                    tools.send_wake_up(&notice).await;
                }
                return Ok(before);
            }
            Err(CommitError::Refused(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::busy("the connection keeps changing"))
}

/// Takes a replaced grant back at Zoom. Of the same Zoom user, Zoom has ended it by itself.
async fn end_replaced(
    tools: &Services,
    secrets: &SecretSet,
    replaced: Option<&ZoomConnection>,
    by: &ZoomConnection,
) {
    let Some(replaced) = replaced.filter(|replaced| {
        replaced.zoom_user.id != by.zoom_user.id && replaced.health == ConnectionHealth::Connected
    }) else {
        return;
    };
    let bound = binding(&replaced.trainer, REFRESH_FIELD);
    match secrets.keyring().map(|keyring| keyring.open(&replaced.refresh_token, &bound)) {
        Ok(Ok(token)) => tools.abandon(secrets, &token).await,
        // Sealed with a key that is gone: it ends by itself after ninety days.
        _ => tracing::warn!(event = "zoom.revoke_failed", error = "the token cannot be opened"),
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).into()
}

/// The trainer's connection, if there is one.
pub async fn show(tools: &Services, trainer: &UserId) -> Result<Option<ZoomConnection>, Error> {
    Ok(tools.store.connection(trainer).await?)
}
