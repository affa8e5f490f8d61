//! Faults on demand: the next calls to a service fail as the test or the person at the console says.
//!
//! A fault waits in a list until a call fits it; each fitting call uses up one of its `times`.
//! What a fault does to a call is in `faults::effect`, what the service says to it in
//! `faults::answers`.

mod answers;
mod effect;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use bytes::Bytes;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::calls::{Call, Service};
use crate::zoom_calls;

pub(crate) use effect::{Effect, Within};

/// Names every operation of a service; Zoom's calls may also be named `any`.
const EVERY_OPERATION: [&str; 2] = ["*", "any"];

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The service answers 500 and has done nothing.
    Error,
    /// The service's own throttling; Zoom's without a `Retry-After`, as its per-second limit often is.
    Throttle,
    /// Zoom's 429 with an ISO date-time in `Retry-After`.
    ThrottleIso,
    /// Zoom's or ZeptoMail's 429 with seconds in `Retry-After`.
    ThrottleSeconds,
    /// A daily limit is used up: SES's quota, ZeptoMail's, or Zoom's 100 creates and updates.
    Daily,
    /// Nothing is done and no answer comes.
    Timeout,
    /// The work is done and the answer comes after `delay_ms`.
    Late,
    /// The work is done and the connection breaks before the answer: the outcome is unknown.
    Lost,
    /// The work is done and the answer's JSON ends in the middle.
    Half,
    /// A proxy in between answers with HTML, 502 unless `status` says otherwise.
    Html,
    /// The credentials are refused; Zoom's access token with code 124.
    Unauthorized,
    /// Zoom's answer to a refresh token that is dead.
    InvalidGrant,
    /// DynamoDB: another transaction is at work on the item.
    Conflict,
    /// DynamoDB: a query of an index sees it as it was at the same query before, or empty.
    Stale,
    /// DynamoDB's and SQS's batches: the last entry is not processed.
    Partial,
    /// SES: sending is paused for the account.
    Paused,
    /// SES and ZeptoMail: this mail is refused for good.
    Rejected,
}

impl Kind {
    /// Whether an operation can fail in this way.
    fn fits_operation(self, operation: &str) -> bool {
        match self {
            Self::Partial => operation.contains("Batch"),
            Self::Stale => operation == "Query",
            Self::InvalidGrant => operation == "token",
            _ => true,
        }
    }

    /// Whether the service can fail in this way.
    fn fits(self, service: Service) -> bool {
        use Service::{Dynamodb, Ses, Sqs, Zeptomail, Zoom};
        match self {
            Self::ThrottleIso | Self::InvalidGrant => service == Zoom,
            Self::ThrottleSeconds => matches!(service, Zeptomail | Zoom),
            Self::Daily => matches!(service, Ses | Zeptomail | Zoom),
            Self::Conflict | Self::Stale => service == Dynamodb,
            Self::Partial => matches!(service, Dynamodb | Sqs),
            Self::Paused => service == Ses,
            Self::Rejected => matches!(service, Ses | Zeptomail),
            Self::Error
            | Self::Throttle
            | Self::Timeout
            | Self::Late
            | Self::Lost
            | Self::Half
            | Self::Html
            | Self::Unauthorized => true,
        }
    }
}

/// A fault that waits for its calls: the body of `POST /local/faults`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    pub service: Service,
    /// The operation's name, `METHOD /path-template` for Zoom, or `*`.
    pub operation: String,
    pub kind: Kind,
    /// How many calls it still hits.
    #[serde(default = "once")]
    pub times: u32,
    /// How many calls that it fits it lets pass first.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub after: u32,
    /// Only calls by this function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// For `late`: how long the answer is held back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// For `throttle_iso` and `throttle_seconds`: how long Zoom says to wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u32>,
    /// For `html`, and for Zoom's `error`: the status to answer with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
}

fn once() -> u32 {
    1
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Fault {
    /// A fault that hits one call.
    pub fn new(service: Service, operation: &str, kind: Kind) -> Self {
        Self {
            service,
            operation: operation.to_owned(),
            kind,
            times: once(),
            after: 0,
            function: None,
            delay_ms: None,
            retry_after_seconds: None,
            status: None,
        }
    }

    /// The same, hitting `times` calls.
    pub fn times(self, times: u32) -> Self {
        Self { times, ..self }
    }

    /// The same, letting `calls` pass first.
    pub fn after(self, calls: u32) -> Self {
        Self { after: calls, ..self }
    }

    /// The same, hitting only calls by `function`.
    pub fn by(self, function: &str) -> Self {
        Self { function: Some(function.to_owned()), ..self }
    }

    fn is_for_every_operation(&self) -> bool {
        EVERY_OPERATION.contains(&self.operation.as_str())
    }

    fn hits(&self, call: &Call) -> bool {
        self.service == call.service
            && (self.operation == call.operation || self.is_for_every_operation())
            && self.kind.fits_operation(&call.operation)
            && self.function.as_ref().is_none_or(|function| *function == call.function)
    }
}

/// Why a fault is refused.
#[derive(Debug, thiserror::Error)]
pub enum FaultError {
    #[error("{0}")]
    Malformed(#[from] serde_json::Error),
    #[error("`times` is at least 1")]
    Never,
    #[error("{of} does not fail by `{kind:?}`")]
    Kind { of: String, kind: Kind },
    #[error("`{status}` is no HTTP status")]
    Status { status: u16 },
    #[error("{service} has no operation `{operation}`; it has {}, and `*`", service.operations().join(", "))]
    Operation { service: Service, operation: String },
}

/// The faults that wait. Clones share the list.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    waiting: Arc<Mutex<Vec<Fault>>>,
}

impl Faults {
    /// Adds a fault behind those that wait already.
    pub fn add(&self, mut fault: Fault) -> Result<(), FaultError> {
        let Fault { service, kind, .. } = fault;
        if fault.times == 0 {
            return Err(FaultError::Never);
        }
        if !kind.fits(service) {
            return Err(FaultError::Kind { of: service.to_string(), kind });
        }
        if let Some(status) = fault.status.filter(|status| StatusCode::from_u16(*status).is_err()) {
            return Err(FaultError::Status { status });
        }
        if service == Service::Zoom
            && let Some(name) = zoom_calls::name_of_template(&fault.operation)
        {
            fault.operation = name.to_owned();
        }
        let operation = fault.operation.as_str();
        if !fault.is_for_every_operation() {
            if !service.operations().contains(&operation) {
                return Err(FaultError::Operation { service, operation: fault.operation });
            }
            if !kind.fits_operation(operation) {
                return Err(FaultError::Kind { of: fault.operation, kind });
            }
        }
        self.lock().push(fault);
        Ok(())
    }

    /// The fault that hits this call, if one does; it has one time less afterwards.
    pub fn take(&self, call: &Call) -> Option<Fault> {
        let mut waiting = self.lock();
        let index = waiting.iter_mut().position(|fault| {
            let fits = fault.hits(call);
            let passes = fits && fault.after > 0;
            fault.after -= u32::from(passes);
            fits && !passes
        })?;
        let fault = &mut waiting[index];
        fault.times -= 1;
        let taken = fault.clone();
        if taken.times == 0 {
            waiting.remove(index);
        }
        Some(taken)
    }

    /// What still waits.
    pub fn list(&self) -> Vec<Fault> {
        self.lock().clone()
    }

    /// Forgets them all.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// `GET`, `POST` and `DELETE /local/faults`.
    pub fn router(&self) -> Router {
        Router::new()
            .route(
                "/local/faults",
                get(async |State(faults): State<Self>| faults.listing())
                    .post(async |State(faults): State<Self>, body: Bytes| faults.post(&body))
                    .delete(async |State(faults): State<Self>| {
                        faults.clear();
                        StatusCode::NO_CONTENT
                    }),
            )
            .with_state(self.clone())
    }

    fn listing(&self) -> Response {
        Json(json!({ "items": self.list() })).into_response()
    }

    fn post(&self, body: &[u8]) -> Response {
        let added = serde_json::from_slice(body).map_err(FaultError::from);
        match added.and_then(|fault| self.add(fault)) {
            Ok(()) => self.listing(),
            Err(error) => {
                let status = StatusCode::BAD_REQUEST;
                let problem = json!({
                    "type": "about:blank",
                    "title": "Bad Request",
                    "status": status.as_u16(),
                    "detail": error.to_string(),
                });
                (status, [(CONTENT_TYPE, "application/problem+json")], problem.to_string())
                    .into_response()
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Fault>> {
        // The list is whole after every statement; a panic elsewhere does not spoil it.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(service: Service, operation: &str, function: &str) -> Call {
        Call { service, operation: operation.into(), function: function.into() }
    }

    #[test]
    fn a_fault_hits_its_calls_as_often_as_it_says() {
        let faults = Faults::default();
        faults.add(Fault::new(Service::Sqs, "SendMessage", Kind::Error).times(2)).unwrap();
        let send = call(Service::Sqs, "SendMessage", "session-save");
        assert!(faults.take(&call(Service::Sqs, "ReceiveMessage", "session-save")).is_none());
        assert!(faults.take(&call(Service::Ses, "SendEmail", "session-save")).is_none());
        assert!(faults.take(&send).is_some());
        assert_eq!(faults.list()[0].times, 1);
        assert!(faults.take(&send).is_some());
        assert!(faults.take(&send).is_none());
        assert!(faults.list().is_empty());
    }

    #[test]
    fn a_fault_can_let_calls_pass_first() {
        let faults = Faults::default();
        faults.add(Fault::new(Service::Dynamodb, "*", Kind::Error).after(2)).unwrap();
        let get = call(Service::Dynamodb, "GetItem", "join");
        let hit: Vec<_> = (0..4).map(|_| faults.take(&get).is_some()).collect();
        assert_eq!(hit, [false, false, true, false]);
    }

    #[test]
    fn a_fault_can_be_for_every_operation_and_for_one_function() {
        let faults = Faults::default();
        faults.add(Fault::new(Service::Zoom, "any", Kind::Html).by("join")).unwrap();
        assert!(faults.take(&call(Service::Zoom, "zak", "session-save")).is_none());
        assert!(faults.take(&call(Service::Zoom, "zak", "join")).is_some());
    }

    #[test]
    fn zoom_operations_may_be_named_by_method_and_template() {
        let faults = Faults::default();
        faults.add(Fault::new(Service::Zoom, "PATCH /meetings/{id}", Kind::Daily)).unwrap();
        assert_eq!(faults.list()[0].operation, "update_meeting");
    }

    #[test]
    fn what_could_never_hit_is_refused() {
        let faults = Faults::default();
        let add = |fault| faults.add(fault).unwrap_err().to_string();
        assert_eq!(
            add(Fault::new(Service::Sqs, "*", Kind::Error).times(0)),
            "`times` is at least 1"
        );
        assert_eq!(
            add(Fault::new(Service::Sqs, "*", Kind::InvalidGrant)),
            "sqs does not fail by `InvalidGrant`"
        );
        assert_eq!(
            add(Fault::new(Service::Sqs, "SendMessage", Kind::Partial)),
            "SendMessage does not fail by `Partial`"
        );
        assert!(
            add(Fault::new(Service::Secretsmanager, "GetSecret", Kind::Error))
                .starts_with("secretsmanager has no operation `GetSecret`; it has CreateSecret, ")
        );
        assert!(faults.list().is_empty());
    }
}
