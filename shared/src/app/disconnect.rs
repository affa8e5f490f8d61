//! Disconnects a Zoom account: revokes the grant at Zoom and deletes it here.

use super::Services;
use super::error::Error;
use super::zoom_access::{REFRESH_FIELD, client_credentials, token_binding};
use crate::domain::id::UserId;
use crate::domain::zoom_connection::ZoomConnection;
use crate::store::connections;
use crate::store::error::CommitError;

/// Attempts against concurrent changes of the connection, such as a refresh.
const ATTEMPTS: u32 = 5;

/// Disconnects `trainer`. Succeeds if there is no connection.
///
/// The connection is deleted even if Zoom cannot be reached, because the trainer asked for that. A grant without
/// stored tokens is unusable and expires by itself after 90 days.
pub async fn disconnect(services: &Services, trainer: &UserId) -> Result<(), Error> {
    for _ in 0..ATTEMPTS {
        let Some(connection) = services.store.connection(trainer).await? else { return Ok(()) };
        if let Err(error) = revoke(services, &connection).await {
            tracing::warn!(event = "zoom.revoke_failed", %error);
        }
        let mut actions = vec![connections::delete(&connection)];
        actions.extend(services.store.zoom_user_pointer_deletion(&connection).await?);
        match services.store.commit(actions).await {
            Ok(()) => {
                tracing::info!(event = "zoom.disconnected");
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
