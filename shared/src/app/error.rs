//! What a use case can answer besides success, named for what the caller does next.

use std::time::Duration;

use crate::config::ConfigError;
use crate::crypt::CryptError;
use crate::domain::refusal::Refusal;
use crate::queue::QueueError;
use crate::secrets::SecretsError;
use crate::store::error::{CommitError, StoreError};
use crate::zoom::ZoomError;

type Source = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Do not ask again in the same way.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Ask again after this long: Zoom's limits are used up.
    #[error("Zoom's limit is used up for {after:?}")]
    ZoomLimited { after: Duration },
    /// Zoom does not want it; the code is Zoom's.
    #[error("Zoom refuses: status {status}, code {code:?}")]
    ZoomRejected { status: u16, code: Option<i64> },
    /// Ask again: Zoom did not answer.
    #[error("Zoom gives no usable answer: {what}")]
    ZoomUnavailable { what: String },
    /// Ask again: we are busy.
    #[error("busy")]
    Busy(#[source] Source),
    /// Whoever deploys this must act.
    #[error(transparent)]
    NotConfigured(#[from] ConfigError),
    /// Whoever maintains this must act.
    #[error("internal error")]
    Internal(#[source] Source),
}

impl Error {
    pub fn busy(what: &'static str) -> Self {
        Self::Busy(what.into())
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Busy { .. } => Self::Busy(Box::new(error)),
            StoreError::Corrupt { .. } | StoreError::Failed { .. } => {
                Self::Internal(Box::new(error))
            }
        }
    }
}

impl From<CommitError> for Error {
    fn from(error: CommitError) -> Self {
        match error {
            // Whoever can tell a lost race from a refusal does so before; what is left is a race.
            CommitError::Refused(_) => Self::Busy(Box::new(error)),
            CommitError::Store(error) => error.into(),
        }
    }
}

impl From<ZoomError> for Error {
    fn from(error: ZoomError) -> Self {
        match error {
            // A token that is not accepted right after it was made is no better than a dead grant.
            ZoomError::Reconnect | ZoomError::Unauthorized => {
                Self::Refused(Refusal::ReauthRequired)
            }
            ZoomError::MissingScopes(scopes) => Self::Refused(Refusal::MissingScopes(scopes)),
            ZoomError::Gone => Self::Refused(Refusal::Conflict(
                "the meeting was deleted at Zoom; cancel the class and schedule it anew",
            )),
            ZoomError::Limited { after } => Self::ZoomLimited { after },
            ZoomError::Rejected { status, code } => Self::ZoomRejected { status, code },
            ZoomError::Busy { what } => Self::ZoomUnavailable { what },
        }
    }
}

impl From<QueueError> for Error {
    fn from(error: QueueError) -> Self {
        Self::Busy(Box::new(error))
    }
}

impl From<SecretsError> for Error {
    fn from(error: SecretsError) -> Self {
        Self::Busy(Box::new(error))
    }
}

impl From<CryptError> for Error {
    fn from(error: CryptError) -> Self {
        Self::Internal(Box::new(error))
    }
}
