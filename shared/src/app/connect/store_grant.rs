//! Stores a grant in place of earlier ones.
//!
//! Zoom keeps only the latest grant of a Zoom user, and requests may store their grants in another order than Zoom gave
//! them. If the table shows another grant or a removal of about the same time, a refresh shows whether this grant is
//! the latest.

use jiff::Timestamp;

use crate::app::Services;
use crate::app::disconnect::keep_host_address;
use crate::app::error::Error;
use crate::app::sessions::AffectedSessions;
use crate::app::zoom_access::{REFRESH_FIELD, client_credentials, token_binding};
use crate::domain::domain_event::DomainEvent;
use crate::domain::refusal::Refusal;
use crate::domain::time::whole_milli;
use crate::domain::zoom_connection::{ConnectionHealth, ZoomConnection};
use crate::secrets::SecretSet;
use crate::store::connections::{self, ZoomUserPointer};
use crate::store::due_work::reconciliations::GrantCheck;
use crate::store::error::CommitError;
use crate::store::tx::{Action, ConditionSubject};
use crate::store::{due_work, erasures, host_status};
use crate::zoom::ZoomError;

/// Attempts against concurrent changes of the connection, such as a refresh of the earlier grant.
const STORE_ATTEMPTS: u32 = 5;

/// The outcome of storing a grant.
pub(super) enum StoreOutcome {
    /// Stored in place of this connection.
    Stored(Option<Box<ZoomConnection>>),
    /// Another request of the trainer exchanged its code later and has stored its grant.
    EndedByNewer(Box<ZoomConnection>),
    /// The Zoom user removed the app, or another trainer connected it later.
    Ended,
}

/// Stores a grant and deletes the OAuth attempt under `nonce`.
pub(super) async fn store_connection(
    services: &Services,
    secrets: &SecretSet,
    connection: &mut ZoomConnection,
    nonce: &str,
    affected: AffectedSessions,
    now: Timestamp,
) -> Result<StoreOutcome, Error> {
    for _ in 0..STORE_ATTEMPTS {
        let stored = StoredGrants::load(services, connection).await?;
        if stored.may_have_ended(connection) {
            match renew_if_accepted(services, secrets, connection).await? {
                Some(renewed) => *connection = renewed,
                None => return Ok(stored.outcome_of_ended(connection)),
            }
        }
        let mut actions = vec![
            connections::delete_oauth_attempt(nonce),
            erasures::require_not_erased(&connection.trainer, whole_milli(now)),
        ];
        actions.extend(stored.replacement(services, connection, affected).await?);
        let domain_events = stored.domain_events(connection, affected);
        actions.extend(domain_events.iter().map(due_work::put_domain_event));
        match services.store.commit(actions).await {
            Ok(()) => {
                for domain_event in &domain_events {
                    services.send_wake_up(domain_event).await;
                }
                return Ok(StoreOutcome::Stored(stored.before.map(Box::new)));
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

/// The stored grants that a new grant replaces.
struct StoredGrants {
    /// The trainer's connection.
    before: Option<ZoomConnection>,
    /// The pointer of the Zoom user.
    pointer: Option<ZoomUserPointer>,
    /// The connection of the Zoom user, which may be another trainer's.
    previous: Option<ZoomConnection>,
}

impl StoredGrants {
    async fn load(services: &Services, connection: &ZoomConnection) -> Result<Self, Error> {
        let zoom_user = &connection.zoom_user.id;
        let before = services.store.connection(&connection.trainer).await?;
        let pointer = services.store.zoom_user_pointer(zoom_user).await?;
        let trainer = pointer.as_ref().and_then(|pointer| pointer.trainer.as_ref());
        let previous = if trainer == Some(&connection.trainer) {
            before.clone().filter(|before| before.zoom_user.id == *zoom_user)
        } else {
            services.store.connection_of_zoom_user(zoom_user, pointer.as_ref()).await?
        };
        Ok(Self { before, pointer, previous })
    }

    fn may_have_ended(&self, connection: &ZoomConnection) -> bool {
        let removed_at = self.pointer.as_ref().and_then(|pointer| pointer.deauthorized_at);
        let given_at = self.previous.as_ref().map(|previous| previous.connected_at);
        given_at.into_iter().chain(removed_at).any(|at| connection.may_have_ended_by(at))
    }

    fn outcome_of_ended(self, connection: &ZoomConnection) -> StoreOutcome {
        let newer = self.previous.filter(|newer| {
            newer.trainer == connection.trainer && newer.health == ConnectionHealth::Connected
        });
        newer.map_or(StoreOutcome::Ended, |newer| StoreOutcome::EndedByNewer(Box::new(newer)))
    }

    /// Another trainer's connection of the Zoom user. Its grant no longer works.
    fn superseded(&self, connection: &ZoomConnection) -> Option<&ZoomConnection> {
        self.previous.as_ref().filter(|previous| previous.trainer != connection.trainer)
    }

    /// Returns the actions that store the connection in place of these grants.
    async fn replacement(
        &self,
        services: &Services,
        connection: &ZoomConnection,
        affected: AffectedSessions,
    ) -> Result<Vec<Action>, Error> {
        let mut actions = vec![
            connections::put(connection, self.before.as_ref().map(|before| before.version)),
            connections::put_zoom_user_pointer(connection, self.pointer.as_ref()),
            host_status::put(connection, ConnectionHealth::Connected),
        ];
        let check = GrantCheck::of_connection(connection);
        let former = self.before.as_ref().and_then(GrantCheck::of_connection);
        let former = former.filter(|former| Some(former) != check.as_ref());
        actions.extend(former.map(|former| former.delete()));
        actions.extend(check.map(|check| check.put()));
        let host = connection.zoom_user.pseudonym();
        actions.extend(host.map(|host| host_status::delete_host_address(&host)));
        let is_other_user =
            |before: &&ZoomConnection| before.zoom_user.id != connection.zoom_user.id;
        if let Some(before) = self.before.as_ref().filter(is_other_user) {
            actions.extend(services.store.zoom_user_pointer_deletion(before).await?);
            if let Some(last_end) = affected.last_end {
                actions.extend(keep_host_address(before, last_end));
            }
        }
        if let Some(superseded) = self.superseded(connection) {
            actions.push(connections::mark_superseded(superseded));
            actions.push(host_status::put(superseded, ConnectionHealth::ReauthRequired));
        }
        Ok(actions)
    }

    /// Returns the notifications of this trainer and of the one whose connection is superseded, before their next
    /// session.
    fn domain_events(
        &self,
        connection: &ZoomConnection,
        affected: AffectedSessions,
    ) -> Vec<DomainEvent> {
        let replaced = (affected.count > 0).then(|| connection.replacement_event());
        // The other trainer has been notified already if the grant had failed before.
        let superseded = self.superseded(connection);
        let superseded =
            superseded.filter(|superseded| superseded.health == ConnectionHealth::Connected);
        let lost = superseded.map(|superseded| superseded.loss_event(connection.connected_at));
        replaced.into_iter().chain(lost).collect()
    }
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
