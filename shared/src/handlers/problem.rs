//! Maps every error to its HTTP problem.

use std::time::Duration;

use crate::app::error::Error;
use crate::auth::AuthError;
use crate::domain::refusal::{Overlap, Refusal};
use crate::http::{BadRequest, Problem, ProblemField};

/// The detail of internal errors. The request id leads to the cause in the log.
const INTERNAL_DETAIL: &str = "Something went wrong on our side. Please try again. If it keeps happening, contact us with the request id.";
/// Invalid fields that are listed. A list of invitees may have thousands.
const LISTED_ERRORS: usize = 100;
/// The default retry time in seconds.
const BUSY_RETRY_SECONDS: u64 = 2;
/// The retry time while Zoom does not respond. An outage takes minutes, and a slow response some seconds.
const ZOOM_RETRY_SECONDS: u64 = 5;
/// The retry time after Zoom rejected a request. An operator or the trainer has to change the account first.
const ZOOM_REJECTED_RETRY_SECONDS: u64 = 300;

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
            conflicting_session_id: None,
            retry_after: None,
            refused_token: None,
        }
    }

    fn after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    pub(crate) fn unavailable() -> Self {
        Self::new(503, "unavailable", "Unavailable", INTERNAL_DETAIL).after(BUSY_RETRY_SECONDS)
    }

    pub(crate) fn internal() -> Self {
        Self::new(500, "internal", "Internal error", INTERNAL_DETAIL)
    }

    pub(crate) fn unknown_route() -> Self {
        Self::new(404, "not_found", "Not found", "There is no resource at this URL.")
    }

    fn not_found() -> Self {
        Self::new(404, "not_found", "Not found", "Not found.")
    }

    pub(crate) fn unauthenticated() -> Self {
        Self::new(
            401,
            "unauthenticated",
            "Unauthenticated",
            "A valid bearer token of the platform is required.",
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
                "Zoom rate limit reached",
                "Zoom accepts no more changes for this account at the moment. Please try again after the time in Retry-After.",
            )
            .after(seconds(*after)),
            Error::ZoomRejected { .. } => {
                Self::new(502, "zoom_rejected", "Rejected by Zoom", "Zoom rejected the request for the connected account. The account's settings may not allow it.")
                    .after(ZOOM_REJECTED_RETRY_SECONDS)
            }
            Error::ZoomUnavailable { .. } => {
                Self::new(502, "zoom_unavailable", "Zoom is unavailable", "Zoom did not respond. Nothing was lost. Please try again.")
                    .after(ZOOM_RETRY_SECONDS)
            }
            Error::AccountRefused { .. } | Error::Busy(_) | Error::NotConfigured(_) => {
                Self::unavailable()
            }
            Error::Internal(_) => Self::internal(),
        }
    }
}

impl From<&Refusal> for Problem {
    fn from(refusal: &Refusal) -> Self {
        let conflict = |code, title, detail: &str| Self::new(409, code, title, detail);
        match refusal {
            Refusal::Forbidden => Self::forbidden(),
            Refusal::NotAllowed(why) => Self::new(403, "forbidden", "Forbidden", sentence(why)),
            Refusal::FeatureDisabled => Self::new(
                403,
                "feature_disabled",
                "Live classes are off",
                "Live classes are not enabled for you.",
            ),
            Refusal::PlanRequired => Self::new(
                403,
                "plan_required",
                "Plan required",
                "Live classes require a plan that includes them.",
            ),
            Refusal::UnknownTrainer => Self::new(
                403,
                "forbidden",
                "Unknown trainer",
                "The platform has not registered you for live classes. Please ask the platform's operators.",
            ),
            Refusal::PlanLimit(what) => Self::new(
                403,
                "plan_limit",
                "Plan limit reached",
                format!("Your plan allows: {what}."),
            ),
            Refusal::NotFound => Self::not_found(),
            Refusal::Invalid(errors) => {
                let fields = |e: &crate::domain::refusal::FieldError| ProblemField {
                    field: e.field.clone(),
                    message: e.message.clone(),
                };
                Self {
                    errors: errors.iter().take(LISTED_ERRORS).map(fields).collect(),
                    ..Self::new(
                        422,
                        "validation_failed",
                        "Validation failed",
                        "One or more fields are invalid.",
                    )
                }
            }
            Refusal::ZoomNotConnected => conflict(
                "zoom_not_connected",
                "Zoom is not connected",
                "Please connect a Zoom account first.",
            ),
            Refusal::NoActiveHost => conflict(
                "zoom_not_connected",
                "No active host",
                "The platform hosts your classes, and its Zoom account has no active host for you. Please ask the platform's operators.",
            ),
            Refusal::NoLicence => conflict(
                "no_licence",
                "No licence is free",
                "Every Zoom licence of the platform is in use by other classes. Please try again in a few minutes, or ask the platform's operators.",
            ),
            Refusal::ReauthRequired => conflict(
                "reauth_required",
                "Zoom must be reconnected",
                "Zoom no longer accepts the connection. Please connect the Zoom account again.",
            ),
            Refusal::MissingScopes(scopes) => Self {
                missing_scopes: Some(scopes.clone()),
                ..conflict(
                    "missing_scopes",
                    "Zoom permissions are missing",
                    "The Zoom connection lacks permissions. Please connect again and allow all of them.",
                )
            },
            Refusal::SessionCancelled => {
                conflict("session_cancelled", "Class cancelled", "The class was cancelled.")
            }
            Refusal::SessionEnded => conflict("session_ended", "Class ended", "The class has ended."),
            Refusal::TooEarly { opens_at } => Self {
                opens_at: Some(*opens_at),
                ..conflict("too_early", "Too early", "The class is not open for joining yet.")
            },
            Refusal::NotStarted { starts_at } => Self {
                opens_at: Some(*starts_at),
                ..conflict("too_early", "Too early", "The class has not started yet.")
            },
            Refusal::PollClosed => conflict("poll_closed", "Poll closed", "The poll is closed."),
            Refusal::WaitingForHost => conflict(
                "waiting_for_host",
                "Waiting for the host",
                "The trainer has not joined the class yet.",
            ),
            Refusal::NoMeetingYet(why) => {
                conflict("no_meeting_yet", "No meeting yet", &sentence(why))
            }
            Refusal::OtherZoomUser { address } => {
                let user = address.as_ref().map_or_else(
                    || "a Zoom user".to_owned(),
                    |address| format!("the Zoom user {}", address.as_str()),
                );
                conflict(
                    "conflict",
                    "Conflict",
                    &format!(
                        "The meeting belongs to {user} who is no longer connected. Please connect that Zoom user \
                         again, or cancel the class and schedule a new one."
                    ),
                )
            }
            Refusal::Overlap(overlap) => Self {
                conflicting_session_id: Some(overlap.session.to_string()),
                ..conflict("conflict", "Conflict", &overlap_detail(overlap))
            },
            Refusal::Conflict(why) => conflict("conflict", "Conflict", &sentence(why)),
            Refusal::PreconditionFailed { version } => Self::new(
                412,
                "precondition_failed",
                "Version conflict",
                match version {
                    Some(version) => {
                        format!("The class changed since you read it. Its version is now {version}.")
                    }
                    None => "There is no class yet.".to_owned(),
                },
            ),
            Refusal::IdempotencyKeyReused => Self::new(
                422,
                "idempotency_key_reused",
                "Idempotency-Key reused",
                "This Idempotency-Key was used with a different body.",
            ),
            Refusal::PaymentIdReused => Self::new(
                422,
                "idempotency_key_reused",
                "Payment id reused",
                "This payment id was used with a different body.",
            ),
            Refusal::RateLimited { seconds } => Self::new(
                429,
                "rate_limited",
                "Too many requests",
                "You have done this too often recently. Please try again after the time in Retry-After.",
            )
            .after(*seconds),
        }
    }
}

fn overlap_detail(overlap: &Overlap) -> String {
    let other = match &overlap.class {
        Some(class) => {
            format!(
                "The class “{}” takes place at that time: it starts at {}.",
                class.title, class.starts_at
            )
        }
        None => "Another class takes place at that time.".to_owned(),
    };
    format!("{other} Please choose another time, or allow the overlap.")
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
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
                "Payload too large",
                format!("The body must have at most {limit} bytes."),
            ),
            BadRequest::ContentEncoding => Self::new(
                415,
                "unsupported_media_type",
                "Unsupported media type",
                "The body must not be compressed.",
            ),
            BadRequest::Refused(refusal) => refusal.into(),
        }
    }
}

impl From<&AuthError> for Problem {
    fn from(error: &AuthError) -> Self {
        if error.is_outage() {
            return Self::unavailable();
        }
        Self { refused_token: Some(error.reason()), ..Self::unauthenticated() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::SessionId;
    use crate::domain::refusal::OverlappingClass;
    use crate::domain::text::Title;

    /// All errors of the API. Changing a code or status here is a breaking change for clients.
    #[test]
    fn every_error_has_its_status_and_code() {
        let at = jiff::Timestamp::UNIX_EPOCH;
        let refused = |refusal: Refusal| Error::Refused(refusal);
        let overlap = |title: Option<&str>| Overlap {
            session: SessionId::from_bytes([1; 16]),
            class: title.map(|title| OverlappingClass {
                title: Title::parse(title).unwrap(),
                starts_at: at,
            }),
        };
        let cases = [
            (refused(Refusal::Forbidden), 403, "forbidden"),
            (refused(Refusal::NotAllowed("only the trainer can do this")), 403, "forbidden"),
            (refused(Refusal::FeatureDisabled), 403, "feature_disabled"),
            (refused(Refusal::PlanRequired), 403, "plan_required"),
            (refused(Refusal::UnknownTrainer), 403, "forbidden"),
            (refused(Refusal::PlanLimit("4 classes a month".into())), 403, "plan_limit"),
            (refused(Refusal::NotFound), 404, "not_found"),
            (refused(Refusal::field("title", "is required")), 422, "validation_failed"),
            (refused(Refusal::ZoomNotConnected), 409, "zoom_not_connected"),
            (refused(Refusal::NoActiveHost), 409, "zoom_not_connected"),
            (refused(Refusal::NoLicence), 409, "no_licence"),
            (refused(Refusal::ReauthRequired), 409, "reauth_required"),
            (refused(Refusal::MissingScopes(vec!["a".into()])), 409, "missing_scopes"),
            (refused(Refusal::SessionCancelled), 409, "session_cancelled"),
            (refused(Refusal::SessionEnded), 409, "session_ended"),
            (refused(Refusal::TooEarly { opens_at: at }), 409, "too_early"),
            (refused(Refusal::NotStarted { starts_at: at }), 409, "too_early"),
            (refused(Refusal::PollClosed), 409, "poll_closed"),
            (refused(Refusal::WaitingForHost), 409, "waiting_for_host"),
            (refused(Refusal::NoMeetingYet("the meeting is gone")), 409, "no_meeting_yet"),
            (refused(Refusal::Conflict("the class is running")), 409, "conflict"),
            (refused(Refusal::Overlap(overlap(None))), 409, "conflict"),
            (refused(Refusal::Overlap(overlap(Some("Algebra")))), 409, "conflict"),
            (refused(Refusal::PreconditionFailed { version: Some(2) }), 412, "precondition_failed"),
            (refused(Refusal::PreconditionFailed { version: None }), 412, "precondition_failed"),
            (refused(Refusal::IdempotencyKeyReused), 422, "idempotency_key_reused"),
            (refused(Refusal::PaymentIdReused), 422, "idempotency_key_reused"),
            (refused(Refusal::RateLimited { seconds: 7 }), 429, "rate_limited"),
            (Error::ZoomLimited { after: Duration::from_secs(7) }, 429, "zoom_rate_limited"),
            (Error::ZoomRejected { status: 400, code: Some(300) }, 502, "zoom_rejected"),
            (Error::ZoomUnavailable { reason: "token=abc".into() }, 502, "zoom_unavailable"),
            (Error::AccountRefused { reason: "secret words".into() }, 503, "unavailable"),
            (Error::busy("secret words"), 503, "unavailable"),
            (Error::Internal("secret words".into()), 500, "internal"),
        ];
        for (error, status, code) in cases {
            let problem = Problem::from(&error);
            assert_eq!((problem.status, problem.code), (status, code), "{error}");
            if let Error::Refused(refusal) = &error {
                assert_eq!(refusal.code(), code, "{error}");
            }
            assert!(
                !problem.detail.contains("secret") && !problem.detail.contains("token="),
                "{problem:?}"
            );
            // RFC 9110, section 10.2.3: the caller learns when to try again.
            let tells_when = matches!(status, 429 | 502 | 503);
            assert_eq!(problem.retry_after.is_some(), tells_when, "{error}");
            assert!(!problem.detail.is_empty() && problem.detail.ends_with('.'), "{problem:?}");
        }
    }
}
