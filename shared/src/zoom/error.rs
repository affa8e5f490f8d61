//! What Zoom's answers mean to the caller.

use std::time::Duration;

/// A call to Zoom that did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ZoomError {
    /// The grant is dead: only the trainer can give a new one.
    #[error("the grant is dead")]
    Reconnect,
    /// The access token is bad or expired; a fresh one may serve.
    #[error("the access token is not accepted")]
    Unauthorized,
    /// The grant does not cover the call. Permanent until the trainer consents again.
    #[error("scopes are missing: {0:?}")]
    MissingScopes(Vec<String>),
    /// There is no such meeting (any more), or it is not this user's.
    #[error("the meeting is gone")]
    Gone,
    /// Too many calls; `after` is when to come back.
    #[error("rate limited for {after:?}")]
    Limited { after: Duration },
    /// Zoom did not answer, or answered that it cannot now. Whether it did what was asked is not known.
    #[error("no usable answer: {what}")]
    Busy { what: String },
    /// Zoom understood and refuses; asking again will not help.
    #[error("refused with status {status} and code {code:?}")]
    Rejected { status: u16, code: Option<i64> },
}

impl ZoomError {
    /// A call that never came to an answer. The address is left out: Zoom's carry tokens at times.
    pub(super) fn unanswered(error: reqwest::Error) -> Self {
        Self::Busy { what: error.without_url().to_string() }
    }
}
