//! Repeated and concurrent requests with one Idempotency-Key.

use std::time::Duration;

use super::CreateSession;
use crate::app::Services;
use crate::app::error::Error;
use crate::domain::id::{SessionId, UserId};
use crate::domain::refusal::Refusal;
use crate::domain::trainer_session::SessionWithInvitees;
use crate::store::intents::Intent;
use crate::store::schema::ItemKey;
use crate::store::sessions::SessionRecord;

/// The pause between two reads of a session that another request is creating, plus up to half as much jitter.
const WAIT_MS: u64 = 200;
/// Reads before giving up: about 8 s, longer than a creation takes while Zoom responds.
const WAIT_ATTEMPTS: u32 = 32;

/// The values that identify a repeated request.
#[derive(Clone, Copy, Debug)]
pub struct RepeatedCreate<'a> {
    pub trainer: &'a UserId,
    pub key: &'a str,
    pub body_hash: &'a str,
}

/// Returns the session that the same request created before, for a repeated request that would be refused today
/// because, for example, its start is now in the past.
pub async fn find_created_session(
    services: &Services,
    request: &RepeatedCreate<'_>,
) -> Result<Option<SessionWithInvitees>, Error> {
    let id = SessionId::for_key(request.trainer, request.key);
    match services.store.session(&id).await? {
        Some(record) if record.created_from.as_deref() == Some(request.body_hash) => {
            Ok(Some(services.store.with_invitees(record.session).await?))
        }
        _ => Ok(None),
    }
}

/// Returns the id of the request, or a random one.
pub(super) fn session_id_for(services: &Services, request: &CreateSession) -> SessionId {
    match &request.id {
        Some(id) => id.clone(),
        None => SessionId::from_bytes(services.random.bytes()),
    }
}

/// Returns whether an intent belongs to a request with another body.
pub(super) fn is_of_other_body<D>(intent: &Intent, request: &CreateSession<D>) -> bool {
    intent.created_from != request.body_hash
}

/// Returns the session of the key if it was created from the same body.
pub(super) async fn existing_session(
    services: &Services,
    request: &CreateSession,
    record: SessionRecord,
) -> Result<SessionWithInvitees, Error> {
    if record.created_from.as_ref() != Some(&request.body_hash) {
        return Err(Refusal::IdempotencyKeyReused.into());
    }
    Ok(services.store.with_invitees(record.session).await?)
}

/// Waits for the request that is creating the session. Returns `None` if that request failed or died.
pub(super) async fn wait_for_other_request(
    services: &Services,
    id: &SessionId,
) -> Result<Option<SessionRecord>, Error> {
    for _ in 0..WAIT_ATTEMPTS {
        tokio::time::sleep(Duration::from_millis(WAIT_MS + services.random.below(WAIT_MS / 2)))
            .await;
        let mut found =
            services.store.batch_get(&[ItemKey::Session(id), ItemKey::Intent(id)]).await?;
        if let Some(record) = found.session(id)? {
            return Ok(Some(record));
        }
        match found.intent(id)? {
            Some(intent) if intent.attempt_until > services.clock.now() => {}
            _ => return Ok(None),
        }
    }
    Err(Error::busy("another request is still creating the session"))
}
