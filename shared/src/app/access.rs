//! A token for calls to Zoom, with the Zoom user that it serves.

use super::error::Error;
use crate::domain::host_status::HostStatus;
use crate::domain::hosting::{Hosting, MeetingHost, PlatformUser};
use crate::domain::id::ZoomUserId;
use crate::domain::scope;
use crate::domain::sealed::Sealed;
use crate::domain::zoom_connection::{ZoomConnection, ZoomUser};
use crate::telemetry::metrics;
use crate::zoom::{Access, ZoomError};

/// A valid access token, and the Zoom user that it serves.
#[derive(Clone, Debug)]
pub struct ZoomAccess {
    pub(super) token: TokenSource,
    pub access: Access,
}

/// Where the token of an access comes from.
#[derive(Clone, Debug)]
pub(super) enum TokenSource {
    /// The trainer's own grant.
    Connection(Box<ZoomConnection>),
    /// The platform's own account. Its token serves all of its users.
    Account(Box<AccountAccess>),
}

/// A user of the platform's own account, and the token that is used for them.
#[derive(Clone, Debug)]
pub(super) struct AccountAccess {
    /// `None` for calls about the account's users.
    pub(super) user: Option<PlatformUser>,
    pub(super) token: Sealed,
    pub(super) scopes: Vec<String>,
    /// The user in the form of a connected one.
    pub(super) zoom_user: ZoomUser,
}

impl ZoomAccess {
    /// Returns the Zoom user of the calls.
    pub fn zoom_user(&self) -> &ZoomUser {
        match &self.token {
            TokenSource::Connection(connection) => &connection.zoom_user,
            TokenSource::Account(account) => &account.zoom_user,
        }
    }

    /// Returns the user's id if the platform hosts.
    pub fn platform_user(&self) -> Option<&ZoomUserId> {
        match &self.token {
            TokenSource::Connection(_) => None,
            TokenSource::Account(account) => account.user.as_ref().map(|user| &user.id),
        }
    }

    /// Returns the trainer's connection. `None` for the platform's own account.
    pub fn connection(&self) -> Option<&ZoomConnection> {
        match &self.token {
            TokenSource::Connection(connection) => Some(connection),
            TokenSource::Account(_) => None,
        }
    }

    /// Returns the hosting of the user's meetings.
    pub fn hosting(&self) -> Hosting {
        match &self.token {
            TokenSource::Connection(_) => Hosting::Trainer,
            TokenSource::Account(_) => Hosting::Platform,
        }
    }

    /// Returns the host as a repair needs it.
    pub fn host(&self) -> MeetingHost {
        match &self.token {
            TokenSource::Account(account) if let Some(user) = &account.user => {
                MeetingHost::Platform(user.clone())
            }
            _ => MeetingHost::Trainer { pseudonym: self.zoom_user().pseudonym() },
        }
    }

    /// Returns the status of the trainer's connection. A trainer for whom the platform hosts needs none.
    pub fn host_status(&self) -> HostStatus {
        match &self.token {
            TokenSource::Connection(connection) => HostStatus::from_connection(connection),
            TokenSource::Account(_) => HostStatus::default(),
        }
    }

    /// Refuses early if the token lacks the scope that the next call to Zoom requires. An account's token has the scope's
    /// `:admin` form.
    pub fn require_scope(&self, scope: &str) -> Result<(), Error> {
        if self.has_scope(scope) {
            Ok(())
        } else {
            Err(self.call_error(ZoomError::MissingScopes(vec![self.scope_name(scope)])))
        }
    }

    /// Returns whether the token has an optional scope, as far as it is known.
    pub fn has_scope(&self, scope: &str) -> bool {
        let granted = match &self.token {
            TokenSource::Connection(connection) => &connection.scopes,
            TokenSource::Account(account) => &account.scopes,
        };
        granted.is_empty() || scope::covers(granted, &self.scope_name(scope))
    }

    fn scope_name(&self, scope: &str) -> String {
        match &self.token {
            TokenSource::Connection(_) => scope.to_owned(),
            TokenSource::Account(_) => format!("{scope}:admin"),
        }
    }

    /// Converts the error of a call. The trainer can give a new grant, but cannot repair the platform's account.
    pub(super) fn call_error(&self, error: ZoomError) -> Error {
        match (&self.token, error) {
            (TokenSource::Account(_), error) => account_error(error),
            (TokenSource::Connection(_), error) => error.into(),
        }
    }
}

/// Converts the error of a call with the account's token. A token that Zoom refuses, or that lacks a scope, is the
/// operator's to correct.
fn account_error(error: ZoomError) -> Error {
    let reason = match error {
        ZoomError::InvalidGrant | ZoomError::Unauthorized => "Zoom refused the token".to_owned(),
        ZoomError::MissingScopes(scopes) => {
            format!("the app lacks the scopes {}", scopes.join(" "))
        }
        other => return other.into(),
    };
    refuse(reason)
}

/// Reports to the operator that the account cannot be used.
pub(super) fn refuse(reason: String) -> Error {
    tracing::error!(event = "zoom.account_refused", reason);
    metrics::ACCOUNT_REFUSED.count();
    Error::AccountRefused { reason }
}
