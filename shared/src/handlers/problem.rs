//! The one table from what went wrong to what the caller is told.

use std::time::Duration;

use crate::app::error::Error;
use crate::auth::AuthError;
use crate::domain::refusal::Refusal;
use crate::http::{BadRequest, Problem, ProblemField};

/// What the caller is told of a fault that is ours. The request id leads to the log, which has the cause.
const OURS: &str = "Something went wrong on our side. Please try again; if it keeps happening, quote the request id.";
/// Seconds after which to try again when all we know is that it is busy.
const BUSY_RETRY_SECONDS: u64 = 2;

impl Problem {
    pub(crate) fn new(
        status: u16,
        code: &'static str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            kind: format!("urn:live-classes:problem:{code}"),
            title,
            status,
            detail: detail.into(),
            code,
            request_id: String::new(),
            errors: Vec::new(),
            opens_at: None,
            missing_scopes: None,
            retry_after: None,
        }
    }

    fn after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    pub(crate) fn unavailable() -> Self {
        Self::new(503, "unavailable", "Unavailable", OURS).after(BUSY_RETRY_SECONDS)
    }

    pub(crate) fn internal() -> Self {
        Self::new(500, "internal", "Internal error", OURS)
    }

    pub(crate) fn no_route() -> Self {
        Self::new(404, "not_found", "Not found", "There is nothing at this address.")
    }

    fn not_found() -> Self {
        Self::new(404, "not_found", "Not found", "There is no such thing, or it is not yours.")
    }

    pub(crate) fn unauthenticated() -> Self {
        Self::new(
            401,
            "unauthenticated",
            "Unauthenticated",
            "A valid bearer token of the platform is needed.",
        )
    }

    pub(crate) fn forbidden() -> Self {
        Self::new(403, "forbidden", "Forbidden", "Your role does not allow this.")
    }
}

fn seconds(after: Duration) -> u64 {
    after.as_secs().max(1)
}

impl From<&Error> for Problem {
    fn from(error: &Error) -> Self {
        match error {
            Error::Refused(refusal) => refusal.into(),
            Error::ZoomLimited { after } => Self::new(
                429,
                "zoom_rate_limited",
                "Zoom's limit is reached",
                "Zoom takes no more changes for this account just now. Try again after the time in Retry-After.",
            )
            .after(seconds(*after)),
            Error::ZoomRejected { .. } => {
                Self::new(502, "zoom_rejected", "Zoom refuses", "Zoom refuses this for the connected account; its settings may forbid it.")
            }
            Error::ZoomUnavailable { .. } => {
                Self::new(502, "zoom_unavailable", "Zoom does not answer", "Zoom does not answer. Nothing is lost; try again.")
            }
            Error::Busy(_) | Error::NotConfigured(_) => Self::unavailable(),
            Error::Internal(_) => Self::internal(),
        }
    }
}

impl From<&Refusal> for Problem {
    fn from(refusal: &Refusal) -> Self {
        let conflict = |code, title, detail: &str| Self::new(409, code, title, detail);
        match refusal {
            Refusal::Forbidden => Self::forbidden(),
            Refusal::FeatureDisabled => Self::new(
                403,
                "feature_disabled",
                "Live classes are off",
                "Live classes are not switched on for you.",
            ),
            Refusal::PlanRequired => Self::new(
                403,
                "plan_required",
                "A plan is needed",
                "Live classes need a plan that includes them.",
            ),
            Refusal::PlanLimit(what) => Self::new(
                403,
                "plan_limit",
                "The plan's limit is reached",
                format!("Your plan allows: {what}."),
            ),
            Refusal::NotFound => Self::not_found(),
            Refusal::Invalid(errors) => {
                let fields = |e: &crate::domain::refusal::FieldError| ProblemField {
                    field: e.field.clone(),
                    message: e.message.clone(),
                };
                Self {
                    errors: errors.iter().map(fields).collect(),
                    ..Self::new(
                        422,
                        "validation_failed",
                        "Not valid",
                        "Some fields are not as they must be.",
                    )
                }
            }
            Refusal::ZoomNotConnected => conflict(
                "zoom_not_connected",
                "Zoom is not connected",
                "Connect a Zoom account first.",
            ),
            Refusal::ReauthRequired => conflict(
                "reauth_required",
                "Zoom must be connected again",
                "Zoom does not accept the connection any more. Connect the Zoom account again.",
            ),
            Refusal::MissingScopes(scopes) => Self {
                missing_scopes: Some(scopes.clone()),
                ..conflict(
                    "missing_scopes",
                    "Zoom permissions are missing",
                    "The Zoom connection lacks permissions. Connect again and allow all of them.",
                )
            },
            Refusal::SessionCancelled => {
                conflict("session_cancelled", "Cancelled", "The class was cancelled.")
            }
            Refusal::SessionEnded => conflict("session_ended", "Ended", "The class is over."),
            Refusal::TooEarly { opens_at } => Self {
                opens_at: Some(*opens_at),
                ..conflict("too_early", "Too early", "The class cannot be joined yet.")
            },
            Refusal::NotBegun { starts_at } => Self {
                opens_at: Some(*starts_at),
                ..conflict("too_early", "Too early", "The class has not begun yet.")
            },
            Refusal::PollClosed => conflict("poll_closed", "Closed", "The poll is closed."),
            Refusal::WaitingForHost => conflict(
                "waiting_for_host",
                "Waiting for the host",
                "The trainer is not in the class yet.",
            ),
            Refusal::Conflict(why) => conflict("conflict", "Conflict", &sentence(why)),
            Refusal::PreconditionFailed { version } => Self::new(
                412,
                "precondition_failed",
                "Changed since",
                format!("The class has changed since you read it; its version is now {version}."),
            ),
            Refusal::IdempotencyKeyReused => Self::new(
                422,
                "idempotency_key_reused",
                "Idempotency-Key used before",
                "This Idempotency-Key was used with another body.",
            ),
            Refusal::RateLimited { seconds } => Self::new(
                429,
                "rate_limited",
                "Too often",
                "This was done too often of late. Try again after the time in Retry-After.",
            )
            .after(*seconds),
        }
    }
}

fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    letters
        .next()
        .map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}

impl From<&BadRequest> for Problem {
    fn from(bad: &BadRequest) -> Self {
        match bad {
            BadRequest::TooLarge { limit } => Self::new(
                413,
                "payload_too_large",
                "Too large",
                format!("The body may have at most {limit} bytes."),
            ),
            BadRequest::Refused(refusal) => refusal.into(),
        }
    }
}

impl From<&AuthError> for Problem {
    fn from(error: &AuthError) -> Self {
        if error.is_outage() { Self::unavailable() } else { Self::unauthenticated() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The error part of the API, whole. A code or a status that changes here changes for every client.
    #[test]
    fn every_error_has_its_status_and_code() {
        let at = jiff::Timestamp::UNIX_EPOCH;
        let refused = |refusal: Refusal| Error::Refused(refusal);
        let cases = [
            (refused(Refusal::Forbidden), 403, "forbidden"),
            (refused(Refusal::FeatureDisabled), 403, "feature_disabled"),
            (refused(Refusal::PlanRequired), 403, "plan_required"),
            (refused(Refusal::PlanLimit("4 classes a month".into())), 403, "plan_limit"),
            (refused(Refusal::NotFound), 404, "not_found"),
            (refused(Refusal::field("title", "is required")), 422, "validation_failed"),
            (refused(Refusal::ZoomNotConnected), 409, "zoom_not_connected"),
            (refused(Refusal::ReauthRequired), 409, "reauth_required"),
            (refused(Refusal::MissingScopes(vec!["a".into()])), 409, "missing_scopes"),
            (refused(Refusal::SessionCancelled), 409, "session_cancelled"),
            (refused(Refusal::SessionEnded), 409, "session_ended"),
            (refused(Refusal::TooEarly { opens_at: at }), 409, "too_early"),
            (refused(Refusal::NotBegun { starts_at: at }), 409, "too_early"),
            (refused(Refusal::PollClosed), 409, "poll_closed"),
            (refused(Refusal::WaitingForHost), 409, "waiting_for_host"),
            (refused(Refusal::Conflict("the class is running")), 409, "conflict"),
            (refused(Refusal::PreconditionFailed { version: 2 }), 412, "precondition_failed"),
            (refused(Refusal::IdempotencyKeyReused), 422, "idempotency_key_reused"),
            (refused(Refusal::RateLimited { seconds: 7 }), 429, "rate_limited"),
            (Error::ZoomLimited { after: Duration::from_secs(7) }, 429, "zoom_rate_limited"),
            (Error::ZoomRejected { status: 400, code: Some(300) }, 502, "zoom_rejected"),
            (Error::ZoomUnavailable { what: "token=abc".into() }, 502, "zoom_unavailable"),
            (Error::busy("secret words"), 503, "unavailable"),
            (Error::Internal("secret words".into()), 500, "internal"),
        ];
        for (error, status, code) in cases {
            let problem = Problem::from(&error);
            assert_eq!((problem.status, problem.code), (status, code), "{error}");
            assert!(
                !problem.detail.contains("secret") && !problem.detail.contains("token="),
                "{problem:?}"
            );
            assert!(!problem.detail.is_empty() && problem.detail.ends_with('.'), "{problem:?}");
        }
    }
}
