//! Why something is refused, in the words of the contract's error codes.

use jiff::Timestamp;

/// Longer than the path of any field of ours.
const NAME_BYTES: usize = 64;

/// One field of a request that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The field's path in the body, as in `invitees[3].email`.
    pub field: String,
    pub message: String,
}

impl FieldError {
    pub fn new(field: impl Into<String>, message: impl ToString) -> Self {
        Self { field: field.into(), message: message.to_string() }
    }
}

/// A decision against the caller. Nothing was changed, and asking again in the same way will not help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the role does not allow this")]
    Forbidden,
    #[error("live classes are switched off")]
    FeatureDisabled,
    #[error("a plan with live classes is needed")]
    PlanRequired,
    #[error("the plan's limit is reached: {0}")]
    PlanLimit(String),
    #[error("no such thing, or not the caller's")]
    NotFound,
    #[error("not valid: {}", fields(.0))]
    Invalid(Vec<FieldError>),
    #[error("no Zoom account is connected")]
    ZoomNotConnected,
    #[error("the Zoom account must be connected again")]
    ReauthRequired,
    #[error("the Zoom connection lacks scopes: {}", .0.join(" "))]
    MissingScopes(Vec<String>),
    #[error("the class was cancelled")]
    SessionCancelled,
    #[error("the class is over")]
    SessionEnded,
    #[error("the class cannot be joined before {opens_at}")]
    TooEarly { opens_at: Timestamp },
    #[error("the class begins at {starts_at}")]
    NotBegun { starts_at: Timestamp },
    #[error("the poll is closed")]
    PollClosed,
    #[error("the host is not in the class yet")]
    WaitingForHost,
    #[error("{0}")]
    Conflict(&'static str),
    #[error("the class has changed since; its version is now {version}")]
    PreconditionFailed { version: u64 },
    #[error("the Idempotency-Key was used with another body")]
    IdempotencyKeyReused,
    #[error("too often; again in {seconds} s")]
    RateLimited { seconds: u64 },
}

impl Refusal {
    /// A single wrong field.
    pub fn field(field: &str, message: impl ToString) -> Self {
        Self::Invalid(vec![FieldError::new(field, message)])
    }
}

/// The fields' names, for a log. What is no name of ours stays out of it: a field that we do not know is called whatever
/// the sender liked.
fn fields(errors: &[FieldError]) -> String {
    let is_plain = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '_' | '.' | '[' | ']');
    let name = |error: &FieldError| match error.field.as_str() {
        field if field.len() <= NAME_BYTES && field.chars().all(is_plain) => field.to_owned(),
        _ => "an unknown field".to_owned(),
    };
    errors.iter().map(name).collect::<Vec<_>>().join(", ")
}
