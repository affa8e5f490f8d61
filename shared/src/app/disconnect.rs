//! Disconnects a Zoom account: revokes the grant at Zoom and deletes it here.

use jiff::{SignedDuration, Timestamp};

use super::Services;
use super::error::Error;
use super::sessions::affected_sessions;
use super::zoom_access::{REFRESH_FIELD, client_credentials, token_binding};
use crate::domain::domain_event::DomainEvent;
use crate::domain::host_status::HostStatus;
use crate::domain::id::UserId;
use crate::domain::zoom_connection::ZoomConnection;
use crate::store::due_work::reconciliations::GrantCheck;
use crate::store::error::CommitError;
use crate::store::schema::limit;
use crate::store::tx::Action;
use crate::store::{connections, due_work, host_status};

/// Attempts against concurrent changes of the connection, such as a refresh.
const ATTEMPTS: u32 = 5;

/// Disconnects `trainer`, and returns the number of upcoming sessions that cannot be started without the connection.
/// Succeeds if there is no connection.
///
/// The connection is deleted even if Zoom cannot be reached, because the trainer asked for that. A grant without
/// stored tokens is unusable and expires by itself after 90 days.
pub async fn disconnect(
    services: &Services,
    trainer: &UserId,
    now: Timestamp,
) -> Result<usize, Error> {
    let affected = affected_sessions(&services.store, trainer, &HostStatus::default(), now).await?;
    let deletion = |connection: &ZoomConnection| {
        let mut actions = Vec::new();
        if let Some(last_end) = affected.last_end {
            actions.extend(keep_host_address(connection, last_end));
        }
        let event = (affected.count > 0).then(|| connection.loss_event(now));
        actions.extend(event.as_ref().map(due_work::put_domain_event));
        (actions, event)
    };
    delete_connection(services, trainer, deletion).await?;
    Ok(affected.count)
}

/// Deletes the connection of a trainer who is being erased and is not notified. With `connected_until`, it spares a later one.
pub async fn erase_connection(
    services: &Services,
    trainer: &UserId,
    connected_until: Option<Timestamp>,
) -> Result<(), Error> {
    if let Some(until) = connected_until {
        let connection = services.store.connection(trainer).await?;
        if connection.is_none_or(|connection| connection.connected_at > until) {
            return Ok(());
        }
    }
    delete_connection(services, trainer, |_| (Vec::new(), None)).await
}

/// Keeps the address of a Zoom user that upcoming sessions need, so that a refusal can name it, until some days after
/// the last of them.
pub(super) fn keep_host_address(
    connection: &ZoomConnection,
    last_end: Timestamp,
) -> Option<Action> {
    let until = last_end
        .saturating_add(SignedDuration::from_hours(24 * limit::DUE_TTL_DAYS))
        .unwrap_or(last_end);
    let pseudonym = connection.zoom_user.pseudonym()?;
    let email = connection.zoom_user.email.as_ref()?;
    Some(host_status::put_host_address(&pseudonym, email, until))
}

/// Revokes the grant, and deletes the connection in one transaction with the actions that `also` returns.
async fn delete_connection(
    services: &Services,
    trainer: &UserId,
    also: impl Fn(&ZoomConnection) -> (Vec<Action>, Option<DomainEvent>),
) -> Result<(), Error> {
    for _ in 0..ATTEMPTS {
        let Some(connection) = services.store.connection(trainer).await? else { return Ok(()) };
        if let Err(error) = revoke(services, &connection).await {
            tracing::warn!(event = "zoom.revoke_failed", %error);
        }
        let (mut actions, domain_event) = also(&connection);
        actions.extend([connections::delete(&connection), host_status::delete(trainer)]);
        actions.extend(GrantCheck::of_connection(&connection).map(|check| check.delete()));
        actions.extend(services.store.zoom_user_pointer_deletion(&connection).await?);
        match services.store.commit(actions).await {
            Ok(()) => {
                tracing::info!(event = "zoom.disconnected");
                if let Some(domain_event) = &domain_event {
                    services.send_wake_up(domain_event).await;
                }
                return Ok(());
            }
            Err(CommitError::Refused(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::busy("too many concurrent changes of the Zoom connection"))
}

async fn revoke(services: &Services, connection: &ZoomConnection) -> Result<(), Error> {
    let now = services.clock.now();
    let secrets = services.secrets.get(now).await?;
    let token = secrets
        .keyring()?
        .open(&connection.refresh_token, &token_binding(&connection.trainer, REFRESH_FIELD))?;
    Ok(services.zoom.revoke(client_credentials(&secrets)?, &token, now).await?)
}
