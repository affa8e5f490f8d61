//! Zoom's events about users who granted access.

use super::{ATTEMPTS, WebhookContext};
use crate::app::Services;
use crate::app::error::Error;
use crate::domain::domain_event::{DomainEvent, DomainEventKind};
use crate::domain::time::whole_milli;
use crate::domain::zoom_connection::{ConnectionHealth, ZoomConnection};
use crate::domain::zoom_event::ZoomEvent;
use crate::store::error::CommitError;
use crate::store::{connections, due_work};

/// Deletes the grant of a Zoom user who revoked it, with all data that identifies the user. A concurrent refresh or
/// save fails, because both require the version that they read.
pub(super) async fn delete_grant(
    services: &Services,
    user: &str,
    event: &ZoomEvent,
) -> Result<(), Error> {
    for _ in 0..ATTEMPTS {
        let Some(trainer) = services.store.trainer_of_zoom_user(user).await? else { return Ok(()) };
        let pointer = connections::delete_zoom_user_pointer(user, &trainer);
        let Some(connection) = services.store.connection(&trainer).await? else {
            match services.store.commit_one(pointer).await {
                Ok(()) => return Ok(()),
                Err(CommitError::Refused(_)) => continue,
                Err(error) => return Err(error.into()),
            }
        };
        if !concerns_connection(event, user, &connection) {
            return Ok(());
        }
        let actions = vec![connections::delete(&connection), pointer];
        match services.store.commit(actions).await {
            Ok(()) => {
                tracing::info!(event = "zoom.deauthorized");
                return Ok(());
            }
            Err(CommitError::Refused(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::busy("too many concurrent changes of the Zoom connection"))
}

/// Returns whether an event applies to this grant. A grant that was given after the event is not affected, however
/// late the event arrives.
fn concerns_connection(event: &ZoomEvent, user: &str, connection: &ZoomConnection) -> bool {
    connection.zoom_user.id == user
        && event.account.as_ref().is_none_or(|account| *account == connection.zoom_user.account_id)
        && event.at.is_none_or(|at| at >= connection.connected_at)
}

/// Marks the connection of a deactivated Zoom user and notifies the trainer, who has to connect another one.
pub(super) async fn require_reauth(
    context: &WebhookContext<'_>,
    user: &str,
    event: &ZoomEvent,
) -> Result<(), Error> {
    let WebhookContext { services, now, .. } = *context;
    for _ in 0..ATTEMPTS {
        let Some(trainer) = services.store.trainer_of_zoom_user(user).await? else { return Ok(()) };
        let Some(connection) = services.store.connection(&trainer).await? else { return Ok(()) };
        if !concerns_connection(event, user, &connection)
            || connection.health == ConnectionHealth::ReauthRequired
        {
            return Ok(());
        }
        let domain_event = DomainEvent {
            at: whole_milli(now),
            kind: DomainEventKind::ReauthRequired {
                trainer: trainer.clone(),
                version: connection.version,
            },
        };
        let actions = vec![
            connections::mark_deactivated(&connection),
            due_work::put_domain_event(&domain_event),
        ];
        match services.store.commit(actions).await {
            Ok(()) => {
                tracing::warn!(event = "zoom.user_deactivated");
                services.send_wake_up(&domain_event).await;
                return Ok(());
            }
            // The grant is newer than the event, or it was refreshed meanwhile. Read it again.
            Err(CommitError::Refused(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::busy("too many concurrent changes of the Zoom connection"))
}
