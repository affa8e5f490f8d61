//! Errors of calls to Zoom.

use std::time::Duration;

use crate::secret::Secret;

/// A failed call to Zoom.
#[derive(Debug, thiserror::Error)]
pub enum ZoomError {
    /// The grant was revoked or has expired. Only the trainer can give a new one.
    #[error("the grant is invalid")]
    InvalidGrant,
    /// The access token is invalid or expired. A refreshed token may be accepted.
    #[error("the access token was rejected")]
    Unauthorized,
    /// The grant lacks scopes that the call needs. The error persists until the trainer consents again.
    #[error("scopes are missing: {0:?}")]
    MissingScopes(Vec<String>),
    /// The meeting does not exist, was deleted, or belongs to another user.
    #[error("the meeting was not found")]
    MeetingNotFound,
    /// A rate limit of Zoom was reached.
    #[error("rate limited for {retry_after:?}")]
    RateLimited { retry_after: Duration },
    /// There was no usable response. Zoom may or may not have executed the request.
    #[error("no usable response: {reason}")]
    Unavailable { reason: String },
    /// Zoom refused the request. A retry would fail in the same way.
    #[error("rejected with status {status} and code {code:?}")]
    Rejected {
        status: u16,
        code: Option<i64>,
        /// Zoom's text, which may name an address or a person.
        message: Secret,
    },
}

impl ZoomError {
    /// Omits the URL, because some of Zoom's URLs contain tokens.
    pub(super) fn from_transport(error: reqwest::Error) -> Self {
        Self::Unavailable { reason: error.without_url().to_string() }
    }
}
