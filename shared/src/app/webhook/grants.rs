//! Zoom's events about users who granted access.

use super::{ATTEMPTS, WebhookContext};
use crate::app::Services;
use crate::app::error::Error;
use crate::app::zoom_access::with_token;
use crate::domain::id::zoom_user_pseudonym;
use crate::domain::refusal::Refusal;
use crate::domain::zoom_connection::{ConnectionHealth, GrantEffect, ZoomConnection};
use crate::domain::zoom_event::ZoomEvent;
use crate::store::due_work::reconciliations::GrantCheck;
use crate::store::error::CommitError;
use crate::store::{connections, due_work, host_status};

/// Deletes the grant of a Zoom user who revoked it, with all data that identifies the user, and notifies the trainer. A
/// concurrent refresh or save fails, because both require the version that they read. An event about another app has no
/// effect.
pub(super) async fn delete_grant(
    context: &WebhookContext<'_>,
    user: &str,
    client: Option<&str>,
    event: &ZoomEvent,
) -> Result<(), Error> {
    let WebhookContext { services, now, .. } = *context;
    if let Some(client) = client
        && client != services.secrets.get(now).await?.zoom_client()?.0
    {
        tracing::warn!(event = "zoom.event_of_other_app", name = event.name);
        return Ok(());
    }
    for _ in 0..ATTEMPTS {
        let pointer = services.store.zoom_user_pointer(user).await?;
        let connection = services.store.connection_of_zoom_user(user, pointer.as_ref()).await?;
        if let Some(connection) = &connection
            && !concerns_grant(services, event, user, connection).await?
        {
            return Ok(());
        }
        // A request may be about to store a grant that the user has ended, so the time of the event is kept.
        let version = services.new_connection_version();
        let at = event.at.unwrap_or(now);
        let mut actions = vec![
            connections::mark_deauthorized(user, pointer.as_ref(), at, version, now),
            host_status::delete_host_address(&zoom_user_pseudonym(user)),
        ];
        let mut domain_event = None;
        if let Some(connection) = &connection {
            actions.push(connections::delete(connection));
            actions.push(host_status::delete(&connection.trainer));
            actions.extend(GrantCheck::of_connection(connection).map(|check| check.delete()));
            // The trainer has been notified already if the grant had failed before.
            domain_event = (connection.health == ConnectionHealth::Connected)
                .then(|| connection.loss_event(now));
            actions.extend(domain_event.as_ref().map(due_work::put_domain_event));
        }
        match services.store.commit(actions).await {
            Ok(()) => {
                tracing::info!(event = "zoom.deauthorized");
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

/// Returns whether an event ends this grant. If the event's time does not show it, Zoom is asked whether it still
/// accepts the grant.
async fn concerns_grant(
    services: &Services,
    event: &ZoomEvent,
    user: &str,
    connection: &ZoomConnection,
) -> Result<bool, Error> {
    match connection.effect_of_event(user, event.account.as_deref(), event.at) {
        GrantEffect::None => Ok(false),
        GrantEffect::Ends => Ok(true),
        GrantEffect::Unclear if connection.health == ConnectionHealth::ReauthRequired => Ok(true),
        GrantEffect::Unclear => Ok(!is_accepted(services, connection).await?),
    }
}

/// Returns whether a deactivation is later than the grant. Zoom may accept the grant of a deactivated user for some time,
/// so Zoom is only asked if the event has no readable time.
async fn was_deactivated(
    services: &Services,
    event: &ZoomEvent,
    user: &str,
    connection: &ZoomConnection,
) -> Result<bool, Error> {
    match event.at {
        None => concerns_grant(services, event, user, connection).await,
        Some(at) => {
            let effect = connection.effect_of_event(user, event.account.as_deref(), event.at);
            Ok(effect != GrantEffect::None && connection.seconds_until(at) >= 0)
        }
    }
}

/// Returns whether Zoom still accepts a grant.
async fn is_accepted(services: &Services, connection: &ZoomConnection) -> Result<bool, Error> {
    let access = services.usable_access(&connection.trainer, Some(connection.clone())).await;
    let response = match access {
        Ok(mut zoom_access) => with_token!(services, zoom_access, |access| services
            .zoom
            .user(access, services.clock.now()))
        .map_err(Error::from),
        Err(error) => Err(error),
    };
    match response {
        Ok(_) | Err(Error::Refused(Refusal::MissingScopes(_))) => Ok(true),
        Err(Error::Refused(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Marks the connection of a deactivated Zoom user and notifies the trainer, who has to connect another one.
pub(super) async fn require_reauth(
    context: &WebhookContext<'_>,
    user: &str,
    event: &ZoomEvent,
) -> Result<(), Error> {
    let WebhookContext { services, now, .. } = *context;
    for _ in 0..ATTEMPTS {
        let pointer = services.store.zoom_user_pointer(user).await?;
        let connection = services.store.connection_of_zoom_user(user, pointer.as_ref()).await?;
        let Some(connection) = connection else { return Ok(()) };
        if connection.health == ConnectionHealth::ReauthRequired
            || !was_deactivated(services, event, user, &connection).await?
        {
            return Ok(());
        }
        let domain_event = connection.loss_event(now);
        let actions = vec![
            connections::mark_deactivated(&connection),
            host_status::put(&connection, ConnectionHealth::ReauthRequired),
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
