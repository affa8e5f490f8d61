//! Errors of mail services, classified by how the outbox reacts.

use std::time::Duration;

/// The pause after a per-second limit if the response does not specify one.
pub(super) const DEFAULT_LIMIT_PAUSE: Duration = Duration::from_secs(1);

/// The pause after a daily quota. We retry every hour, because quotas cover a sliding window (SES counts the last 24
/// hours) or end at midnight in the service's time zone.
const QUOTA_PAUSE: Duration = Duration::from_secs(60 * 60);

/// The pause when an operator must act first. It bounds the time from the fix to the next mail.
const OPERATOR_PAUSE: Duration = Duration::from_secs(15 * 60);

/// The error of one attempt to send a mail. Codes are the service's own and appear in logs and in the timeline. The
/// service's messages are left out because they contain addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MailError {
    /// The service will never accept this mail.
    #[error("refused: {code}")]
    Refused { code: String },
    /// The per-second limit was exceeded.
    #[error("rate limited")]
    Limited { after: Duration },
    /// The account has reached its daily quota.
    #[error("daily quota exceeded")]
    DailyLimit,
    /// The service suspended the account until its owner contacts support.
    #[error("account suspended: {code}")]
    Paused { code: String },
    /// The service responded with a server error, or could not be reached. It has not accepted the mail.
    #[error("service unavailable: {detail}")]
    Unavailable { detail: String },
    /// The service sent no usable response, so it may have accepted the mail.
    #[error("outcome unknown: {detail}")]
    Unknown { detail: String },
    /// The service rejected our configuration: the sender's domain, a token or an address.
    #[error("configuration rejected: {code}")]
    Misconfigured { code: String },
}

/// When to retry a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAdvice {
    /// After the usual delay. Counts as an attempt.
    Attempt,
    /// Once more, because the mail may have been sent.
    Once,
    /// After this time. Does not count as an attempt, because nothing was wrong with the mail.
    Later(Duration),
    Never,
}

impl MailError {
    pub fn retry_advice(&self) -> RetryAdvice {
        match self {
            Self::Refused { .. } => RetryAdvice::Never,
            Self::Limited { after } => RetryAdvice::Later(*after),
            Self::DailyLimit => RetryAdvice::Later(QUOTA_PAUSE),
            Self::Paused { .. } | Self::Misconfigured { .. } => RetryAdvice::Later(OPERATOR_PAUSE),
            Self::Unavailable { .. } => RetryAdvice::Attempt,
            Self::Unknown { .. } => RetryAdvice::Once,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_unavailable_service_counts_as_an_attempt() {
        let code = String::from("X");
        let cases = [
            (MailError::Refused { code: code.clone() }, RetryAdvice::Never),
            (
                MailError::Limited { after: DEFAULT_LIMIT_PAUSE },
                RetryAdvice::Later(DEFAULT_LIMIT_PAUSE),
            ),
            (MailError::DailyLimit, RetryAdvice::Later(QUOTA_PAUSE)),
            (MailError::Paused { code: code.clone() }, RetryAdvice::Later(OPERATOR_PAUSE)),
            (MailError::Misconfigured { code }, RetryAdvice::Later(OPERATOR_PAUSE)),
            (MailError::Unavailable { detail: String::from("503") }, RetryAdvice::Attempt),
            (MailError::Unknown { detail: String::from("timed out") }, RetryAdvice::Once),
        ];
        for (error, advice) in cases {
            assert_eq!(error.retry_advice(), advice, "{error}");
        }
    }
}
