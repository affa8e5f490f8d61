//! Zoom's events about users who granted access.

use jiff::Timestamp;

use super::{ATTEMPTS, WebhookContext};
use crate::app::Services;
use crate::app::error::Error;
use crate::app::zoom_access::with_token;
use crate::domain::domain_event::{DomainEvent, DomainEventKind};
use crate::domain::refusal::Refusal;
use crate::domain::time::whole_milli;
use crate::domain::zoom_connection::{
    ConnectionHealth, GrantEffect, ZoomConnection, zoom_user_pseudonym,
};
use crate::domain::zoom_event::ZoomEvent;
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
    let delete_address = || host_status::delete_host_address(&zoom_user_pseudonym(user));
    for _ in 0..ATTEMPTS {
        let Some(trainer) = services.store.trainer_of_zoom_user(user).await? else {
            return Ok(services.store.commit_one(delete_address()).await?);
        };
        let pointer = connections::delete_zoom_user_pointer(user, &trainer);
        let Some(connection) = services.store.connection(&trainer).await? else {
            match services.store.commit(vec![pointer, delete_address()]).await {
                Ok(()) => return Ok(()),
                Err(CommitError::Refused(_)) => continue,
                Err(error) => return Err(error.into()),
            }
        };
        if !concerns_grant(services, event, user, &connection).await? {
            return Ok(());
        }
        let mut actions = vec![
            connections::delete(&connection),
            pointer,
            host_status::delete(&trainer),
            delete_address(),
        ];
        // The trainer has been notified already if the grant had failed before.
        let domain_event = (connection.health == ConnectionHealth::Connected)
            .then(|| loss_event(&connection, now));
        actions.extend(domain_event.as_ref().map(due_work::put_domain_event));
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

/// Returns the domain event that notifies the trainer of the lost grant.
fn loss_event(connection: &ZoomConnection, now: Timestamp) -> DomainEvent {
    let (trainer, nonce) = (connection.trainer.clone(), connection.loss_nonce());
    DomainEvent { at: whole_milli(now), kind: DomainEventKind::ReauthRequired { trainer, nonce } }
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
        let Some(trainer) = services.store.trainer_of_zoom_user(user).await? else { return Ok(()) };
        let Some(connection) = services.store.connection(&trainer).await? else { return Ok(()) };
        if connection.health == ConnectionHealth::ReauthRequired
            || !was_deactivated(services, event, user, &connection).await?
        {
            return Ok(());
        }
        let domain_event = loss_event(&connection, now);
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
