//! The errors of the use cases, grouped by how the caller should react.

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
    /// The same request will be refused again.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Retry after this time: the Zoom account has used up its rate limit.
    #[error("Zoom rate limit reached, retry after {after:?}")]
    ZoomLimited { after: Duration },
    /// Zoom rejected the request. The code is Zoom's.
    #[error("Zoom rejected the request: status {status}, code {code:?}")]
    ZoomRejected { status: u16, code: Option<i64> },
    /// Retry: Zoom did not give a usable response.
    #[error("Zoom gave no usable response: {reason}")]
    ZoomUnavailable { reason: String },
    /// Retry later: the operator has to correct the platform's own Zoom account or its credentials. It never concerns the
    /// trainer.
    #[error("the platform's Zoom account cannot be used: {reason}")]
    AccountRefused { reason: String },
    /// Retry: a dependency is overloaded, or concurrent requests kept winning.
    #[error("busy")]
    Busy(#[source] Source),
    /// The deployment lacks a setting.
    #[error(transparent)]
    NotConfigured(#[from] ConfigError),
    /// A bug or corrupt data.
    #[error("internal error")]
    Internal(#[source] Source),
}

impl Error {
    pub fn busy(what: &'static str) -> Self {
        Self::Busy(what.into())
    }

    /// Whether a stored item cannot be read. It concerns only the session of that item.
    pub fn is_unreadable_item(&self) -> bool {
        let Self::Internal(source) = self else { return false };
        matches!(source.downcast_ref(), Some(StoreError::Corrupt { .. }))
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
            // A use case that distinguishes refusals handles them itself, so this one is a lost race.
            CommitError::Refused(_) => Self::Busy(Box::new(error)),
            CommitError::Store(error) => error.into(),
        }
    }
}

impl From<ZoomError> for Error {
    fn from(error: ZoomError) -> Self {
        match error {
            // Zoom rejected a token that it had just issued, so the grant is unusable.
            ZoomError::InvalidGrant | ZoomError::Unauthorized => {
                Self::Refused(Refusal::ReauthRequired)
            }
            ZoomError::MissingScopes(scopes) => Self::Refused(Refusal::MissingScopes(scopes)),
            ZoomError::MeetingNotFound => Self::Refused(Refusal::Conflict(
                "the meeting was deleted at Zoom: cancel the class and schedule it again",
            )),
            ZoomError::RateLimited { retry_after } => Self::ZoomLimited { after: retry_after },
            ZoomError::Rejected { status, code, .. } => Self::ZoomRejected { status, code },
            ZoomError::Unavailable { reason } => Self::ZoomUnavailable { reason },
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
