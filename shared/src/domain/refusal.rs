//! Refusals: errors that the caller can act on. Each variant has an error code of the API.

use jiff::Timestamp;

use super::id::SessionId;
use super::text::{Email, Title};

/// The longest field name that is shown or logged. No field of the API has a longer path, and the sender chooses the name
/// of an unknown field.
const FIELD_NAME_LIMIT_BYTES: usize = 64;

/// An invalid field of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The field's path in the body, as in `invitees[3].email`.
    pub field: String,
    pub message: String,
}

impl FieldError {
    pub fn new(field: impl Into<String>, message: impl ToString) -> Self {
        let mut field = field.into();
        if field.len() > FIELD_NAME_LIMIT_BYTES {
            field.truncate(field.floor_char_boundary(FIELD_NAME_LIMIT_BYTES));
            field.push('…');
        }
        Self { field, message: message.to_string() }
    }
}

/// A session in the way of another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlap {
    pub session: SessionId,
    /// The session as its trainer knows it. `None` for other callers, and while it is being scheduled.
    pub class: Option<OverlappingClass>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverlappingClass {
    pub title: Title,
    pub starts_at: Timestamp,
}

/// An error that the caller can act on. Nothing was changed, and the same request would fail again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("forbidden for this role")]
    Forbidden,
    /// The caller has the role, but not the relation to the object. The text is the reason.
    #[error("forbidden: {0}")]
    NotAllowed(&'static str),
    #[error("live classes are disabled")]
    FeatureDisabled,
    #[error("a plan that includes live classes is required")]
    PlanRequired,
    /// The directory has no user with the trainer's id, so there is no plan either.
    #[error("the directory does not have the trainer")]
    UnknownTrainer,
    #[error("the plan's limit is reached: {0}")]
    PlanLimit(String),
    #[error("not found")]
    NotFound,
    #[error("validation failed: {}", field_names(.0))]
    Invalid(Vec<FieldError>),
    #[error("no Zoom account is connected")]
    ZoomNotConnected,
    /// The platform hosts the trainer's meetings, and the trainer has no active host in its account.
    #[error("the trainer has no active host in the platform's Zoom account")]
    NoActiveHost,
    /// Every licence of the platform's own account is in use.
    #[error("no licence of the platform's Zoom account is free")]
    NoLicence,
    #[error("the Zoom account must be reconnected")]
    ReauthRequired,
    #[error("the Zoom connection lacks scopes: {}", .0.join(" "))]
    MissingScopes(Vec<String>),
    #[error("the class was cancelled")]
    SessionCancelled,
    #[error("the class has ended")]
    SessionEnded,
    #[error("the class cannot be joined before {opens_at}")]
    TooEarly { opens_at: Timestamp },
    #[error("the class starts at {starts_at}")]
    NotStarted { starts_at: Timestamp },
    #[error("the poll is closed")]
    PollClosed,
    #[error("the host has not joined yet")]
    WaitingForHost,
    /// The text states the caller's next action.
    #[error("{0}")]
    NoMeetingYet(&'static str),
    #[error("{0}")]
    Conflict(&'static str),
    /// The host has no time for the session.
    #[error("the class overlaps with {}", .0.session)]
    Overlap(Overlap),
    /// The meeting is hosted by another Zoom user than the connected one. The address is only for the trainer.
    #[error("the meeting is hosted by another Zoom user")]
    OtherZoomUser { address: Option<Email> },
    /// The version of the class, or `None` if there is no class.
    #[error("the class was changed in the meantime and is now at version {version:?}")]
    PreconditionFailed { version: Option<u64> },
    #[error("the Idempotency-Key was used with a different body")]
    IdempotencyKeyReused,
    #[error("the payment id was used with a different body")]
    PaymentIdReused,
    #[error("too many requests: retry after {seconds} s")]
    RateLimited { seconds: u64 },
}

impl Refusal {
    /// The user was erased while the request was carried out.
    pub const USER_ERASED: Self = Self::NotAllowed("the user was deleted from the platform");

    /// The payment was refunded while its class was created.
    pub const PAYMENT_REFUNDED: Self = Self::Conflict("the payment was refunded");

    /// Returns the error code of the API.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Forbidden | Self::NotAllowed(_) | Self::UnknownTrainer => "forbidden",
            Self::FeatureDisabled => "feature_disabled",
            Self::PlanRequired => "plan_required",
            Self::PlanLimit(_) => "plan_limit",
            Self::NotFound => "not_found",
            Self::Invalid(_) => "validation_failed",
            Self::ZoomNotConnected | Self::NoActiveHost => "zoom_not_connected",
            Self::NoLicence => "no_licence",
            Self::ReauthRequired => "reauth_required",
            Self::MissingScopes(_) => "missing_scopes",
            Self::SessionCancelled => "session_cancelled",
            Self::SessionEnded => "session_ended",
            Self::TooEarly { .. } | Self::NotStarted { .. } => "too_early",
            Self::PollClosed => "poll_closed",
            Self::WaitingForHost => "waiting_for_host",
            Self::NoMeetingYet(_) => "no_meeting_yet",
            Self::Conflict(_) | Self::Overlap(_) | Self::OtherZoomUser { .. } => "conflict",
            Self::PreconditionFailed { .. } => "precondition_failed",
            Self::IdempotencyKeyReused | Self::PaymentIdReused => "idempotency_key_reused",
            Self::RateLimited { .. } => "rate_limited",
        }
    }

    pub fn invalid_cursor() -> Self {
        Self::field("cursor", "is not a valid cursor")
    }

    /// Returns a refusal for one invalid field.
    pub fn field(field: &str, message: impl ToString) -> Self {
        Self::Invalid(vec![FieldError::new(field, message)])
    }
}

/// Returns the field names for the log. The name of an unknown field is chosen by the sender, so it is not logged.
fn field_names(errors: &[FieldError]) -> String {
    let is_plain = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '_' | '.' | '[' | ']');
    let name = |error: &FieldError| match error.field.as_str() {
        field if field.len() <= FIELD_NAME_LIMIT_BYTES && field.chars().all(is_plain) => {
            field.to_owned()
        }
        _ => "an unknown field".to_owned(),
    };
    errors.iter().map(name).collect::<Vec<_>>().join(", ")
}
