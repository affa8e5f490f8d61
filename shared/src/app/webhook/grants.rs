//! What Zoom says of the users whose grants we hold.

use super::{WebhookContext, ROUNDS};
use crate::app::Services;
use crate::app::error::Error;
use crate::domain::domain_event::{DomainEvent, DomainEventKind};
use crate::domain::zoom_connection::{ZoomConnection, ConnectionHealth};
use crate::domain::time::whole_milli;
use crate::domain::zoom_event::ZoomEvent;
use crate::store::error::CommitError;
use crate::store::{connections, outbox};

/// Erases the grant of a Zoom user who took it back, and what names them. A refresh or a save under way finds nothing
/// to write over: both are bound to the version that they read.
pub(super) async fn forget(tools: &Services, user: &str, event: &ZoomEvent) -> Result<(), Error> {
    for _ in 0..ROUNDS {
        let Some(trainer) = tools.store.trainer_of_zoom_user(user).await? else { return Ok(()) };
        let pointer = connections::forget_zoom_user(user, &trainer);
        let Some(connection) = tools.store.connection(&trainer).await? else {
            match tools.store.commit_one(pointer).await {
                Ok(()) => return Ok(()),
                Err(CommitError::Refused(_)) => continue,
                Err(error) => return Err(error.into()),
            }
        };
        if !is_about(event, user, &connection) {
            return Ok(());
        }
        let actions = vec![connections::delete(&connection), pointer];
        match tools.store.commit(actions).await {
            Ok(()) => {
                tracing::info!(event = "zoom.deauthorized");
                return Ok(());
            }
            Err(CommitError::Refused(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::busy("the connection keeps changing"))
}

/// Whether an event about a Zoom user is about this grant: one that was given after it happened is not meant, however
/// late the event, or its repetition, comes.
fn is_about(event: &ZoomEvent, user: &str, connection: &ZoomConnection) -> bool {
    connection.zoom_user.id == user
        && event.account.as_ref().is_none_or(|account| *account == connection.zoom_user.account_id)
        && event.at.is_none_or(|at| at >= connection.connected_at)
}

/// A Zoom user whom their account switched off: the trainer has to connect another, and is told so.
pub(super) async fn deactivate(
    desk: &WebhookContext<'_>,
    user: &str,
    event: &ZoomEvent,
) -> Result<(), Error> {
    let WebhookContext { tools, now, .. } = *desk;
    for _ in 0..ROUNDS {
        let Some(trainer) = tools.store.trainer_of_zoom_user(user).await? else { return Ok(()) };
        let Some(connection) = tools.store.connection(&trainer).await? else { return Ok(()) };
        if !is_about(event, user, &connection) || connection.health == ConnectionHealth::ReauthRequired {
            return Ok(());
        }
        let notice = DomainEvent {
            at: whole_milli(now),
            kind: DomainEventKind::ReauthRequired { trainer: trainer.clone(), version: connection.version },
        };
        let actions = vec![connections::switched_off(&connection), outbox::announce(&notice)];
        match tools.store.commit(actions).await {
            Ok(()) => {
                tracing::warn!(event = "zoom.user_deactivated");
                tools.send_wake_up(&notice).await;
                return Ok(());
            }
            // A newer grant, perhaps, which this event is not about; or the same one, refreshed meanwhile. A look tells.
            Err(CommitError::Refused(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::busy("the connection keeps changing"))
}
