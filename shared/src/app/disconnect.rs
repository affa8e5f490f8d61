//! Disconnecting a Zoom account: the grant is taken back at Zoom and forgotten here.

use super::Services;
use super::error::Error;
use super::zoom_access::{REFRESH_FIELD, app, binding};
use crate::domain::zoom_connection::ZoomConnection;
use crate::domain::id::UserId;
use crate::store::connections;
use crate::store::error::CommitError;

/// Tries over a connection that changes meanwhile (a refresh).
const ATTEMPTS: u32 = 5;

/// Disconnects `trainer`. There being nothing to disconnect is success.
///
/// Forgetting is what the trainer asked for, so it happens even when Zoom cannot be reached: a grant whose tokens
/// nobody has is of no use to anybody, and ends by itself after ninety days.
pub async fn disconnect(tools: &Services, trainer: &UserId) -> Result<(), Error> {
    for _ in 0..ATTEMPTS {
        let Some(connection) = tools.store.connection(trainer).await? else { return Ok(()) };
        if let Err(error) = revoke(tools, &connection).await {
            tracing::warn!(event = "zoom.revoke_failed", %error);
        }
        let mut actions = vec![connections::delete(&connection)];
        actions.extend(tools.store.forgetting_zoom_user(&connection).await?);
        match tools.store.commit(actions).await {
            Ok(()) => {
                tracing::info!(event = "zoom.disconnected");
                return Ok(());
            }
            Err(CommitError::Refused(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::busy("the connection keeps changing"))
}

async fn revoke(tools: &Services, connection: &ZoomConnection) -> Result<(), Error> {
    let now = tools.clock.now();
    let secrets = tools.secrets.get(now).await?;
    let token = secrets
        .keyring()?
        .open(&connection.refresh_token, &binding(&connection.trainer, REFRESH_FIELD))?;
    Ok(tools.zoom.revoke(app(&secrets)?, &token, now).await?)
}
