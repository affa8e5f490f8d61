//! Why a mail was not taken, in terms of what to do about it.

use std::time::Duration;

/// How long to wait after a limit per second, when the service does not say.
pub(super) const A_MOMENT: Duration = Duration::from_secs(1);

/// Daily quotas slide (SES counts the last 24 hours) or end at a midnight of the service's own, so what is over its
/// quota asks again by the hour.
const BY_THE_HOUR: Duration = Duration::from_secs(60 * 60);

/// A person must act first; this is how long after they did the first mail may take to leave.
const UNTIL_SOMEBODY_ACTS: Duration = Duration::from_secs(15 * 60);

/// The codes are the service's own words for logs and the timeline. Its messages are left out: they repeat
/// addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MailError {
    /// This mail will never be taken.
    #[error("refused: {code}")]
    Refused { code: String },
    /// Too many at once.
    #[error("too many at once")]
    Limited { after: Duration },
    /// As many as the account may send in a day.
    #[error("the day's quota is used up")]
    DailyLimit,
    /// The account may send nothing until its owner has spoken with the service.
    #[error("the account may not send: {code}")]
    Paused { code: String },
    /// It failed on its own, or nobody knows whether it took the mail.
    #[error("no usable answer: {what}")]
    Busy { what: String },
    /// What we were configured with is not accepted: the sender's domain, a token, an address.
    #[error("the configuration is not accepted: {code}")]
    Misconfigured { code: String },
}

/// When to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAdvice {
    /// After the usual pause, and it counts as an attempt.
    Attempt,
    /// After this time; nothing was wrong with the mail, so it counts as no attempt.
    Later(Duration),
    Never,
}

impl MailError {
    pub fn retry(&self) -> RetryAdvice {
        match self {
            Self::Refused { .. } => RetryAdvice::Never,
            Self::Limited { after } => RetryAdvice::Later(*after),
            Self::DailyLimit => RetryAdvice::Later(BY_THE_HOUR),
            Self::Paused { .. } | Self::Misconfigured { .. } => RetryAdvice::Later(UNTIL_SOMEBODY_ACTS),
            Self::Busy { .. } => RetryAdvice::Attempt,
        }
    }

    /// Whether nothing will leave until somebody acts.
    pub fn needs_somebody(&self) -> bool {
        matches!(self, Self::Paused { .. } | Self::Misconfigured { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_says_something_about_the_mail_costs_an_attempt() {
        let code = String::from("X");
        let cases = [
            (MailError::Refused { code: code.clone() }, RetryAdvice::Never),
            (MailError::Limited { after: A_MOMENT }, RetryAdvice::Later(A_MOMENT)),
            (MailError::DailyLimit, RetryAdvice::Later(BY_THE_HOUR)),
            (MailError::Paused { code: code.clone() }, RetryAdvice::Later(UNTIL_SOMEBODY_ACTS)),
            (MailError::Misconfigured { code }, RetryAdvice::Later(UNTIL_SOMEBODY_ACTS)),
            (MailError::Busy { what: String::from("timed out") }, RetryAdvice::Attempt),
        ];
        for (error, retry) in cases {
            assert_eq!(error.retry(), retry, "{error}");
        }
    }
}
