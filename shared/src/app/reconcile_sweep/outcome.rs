//! The effect of a task's result on the session's entry and on the report of the run.

use jiff::SignedDuration;
use std::time::Duration;

use crate::app::error::Error;
use crate::app::session_cancel::failure_reason;
use crate::domain::reconciliation::TaskOutcome;
use crate::domain::run::RunResult;
use crate::domain::session::Session;

/// The longest wait for a limit per second. A longer one is that of a daily limit.
const SHORT_WAIT: Duration = Duration::from_secs(60);

/// The result of a task that Zoom has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    Unchanged,
    /// Something differed from Zoom and was corrected. It is new to us, or has changed.
    Corrected {
        is_new: bool,
    },
    /// The last comparison was a moment ago, so Zoom was not asked.
    Fresh,
    /// Zoom has not finished its data. The present part is stored, and the task is repeated soon.
    Incomplete,
}

/// The consequence of a result for the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Outcome(TaskOutcome),
    /// The account has reached a limit per second. The entry stays for the next run.
    Leave,
}

/// Returns the consequence of a task's result for the entry.
pub(super) fn verdict(look: &Result<Look, Error>) -> Verdict {
    let again = |after| Verdict::Outcome(TaskOutcome::Again { after });
    match look {
        Ok(Look::Unchanged | Look::Corrected { .. } | Look::Fresh) => {
            Verdict::Outcome(TaskOutcome::Done)
        }
        Ok(Look::Incomplete) => again(SignedDuration::ZERO),
        Err(Error::ZoomLimited { after }) if *after <= SHORT_WAIT => Verdict::Leave,
        Err(Error::ZoomLimited { after }) => {
            again(SignedDuration::try_from(*after).unwrap_or(SignedDuration::ZERO))
        }
        // Only the trainer can change that: a missing scope, another Zoom user, or no connection.
        Err(Error::Refused(_) | Error::ZoomRejected { .. }) => {
            Verdict::Outcome(TaskOutcome::Refused)
        }
        Err(
            Error::ZoomUnavailable { .. }
            | Error::AccountRefused { .. }
            | Error::Busy(_)
            | Error::NotConfigured(_)
            | Error::Internal(_),
        ) => again(SignedDuration::ZERO),
    }
}

/// Counts a result in the report of a run.
pub(super) fn count(look: &Result<Look, Error>, session: &Session, result: &mut RunResult) {
    match look {
        Ok(Look::Corrected { is_new: true }) => result.created(),
        Ok(Look::Corrected { is_new: false }) => result.updated(),
        Ok(Look::Unchanged) => result.unchanged(),
        Ok(Look::Fresh | Look::Incomplete) => result.skipped(),
        Err(error) => result.failed(&session.id, failure_reason(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::refusal::Refusal;

    #[test]
    fn results_decide_about_the_next_look() {
        let outcome = Verdict::Outcome;
        let again =
            |seconds| outcome(TaskOutcome::Again { after: SignedDuration::from_secs(seconds) });
        let limited = |seconds| Error::ZoomLimited { after: Duration::from_secs(seconds) };
        for (look, expected) in [
            (Ok(Look::Unchanged), outcome(TaskOutcome::Done)),
            (Ok(Look::Corrected { is_new: true }), outcome(TaskOutcome::Done)),
            (Ok(Look::Fresh), outcome(TaskOutcome::Done)),
            (Ok(Look::Incomplete), again(0)),
            (Err(limited(2)), Verdict::Leave),
            (Err(limited(7200)), again(7200)),
            (Err(Refusal::ReauthRequired.into()), outcome(TaskOutcome::Refused)),
            (Err(Refusal::MissingScopes(Vec::new()).into()), outcome(TaskOutcome::Refused)),
            (Err(Error::ZoomUnavailable { reason: String::new() }), again(0)),
            (Err(Error::busy("test")), again(0)),
        ] {
            assert_eq!(verdict(&look), expected, "{look:?}");
        }
    }
}
