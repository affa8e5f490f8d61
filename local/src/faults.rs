//! Faults on demand: a test or a person at the console lets the next calls to a service fail.
//!
//! A fault stays in a list until `times` calls have matched it. `faults::effect` contains the
//! effects of faults, and `faults::responses` contains the error responses of the services.

mod effect;
mod responses;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use bytes::Bytes;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::{Deserialize, Serialize};
use serde_json::json;
use simulated_zoom::{DeliveryFault, DeliveryFaults, calls as zoom_calls};

use crate::calls::{Call, Service};

pub(crate) use effect::FaultEffect;

/// Match every operation of a service.
const EVERY_OPERATION: [&str; 2] = ["*", "any"];

/// The kind of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The service responds with 500 and does nothing.
    Error,
    /// The service throttles the call. Zoom's response has no `Retry-After`, as is common for its per-second limit.
    Throttle,
    /// Zoom's 429 with an ISO date-time in `Retry-After`.
    ThrottleIso,
    /// Zoom's or ZeptoMail's 429 with seconds in `Retry-After`.
    ThrottleSeconds,
    /// A daily limit is exhausted: the quota of SES or ZeptoMail, or Zoom's 100 creates and updates.
    Daily,
    /// The service does nothing and does not respond.
    Timeout,
    /// The call is processed and the response comes after `delay_ms`.
    Late,
    /// The call is processed and the connection breaks before the response: the outcome is unknown.
    Lost,
    /// Zoom: the connection breaks, and the call is processed after `delay_ms` of the stack's clock, by default after five
    /// minutes.
    Deferred,
    /// The call is processed and the response's JSON is truncated.
    Half,
    /// A proxy responds with HTML, and with 502 unless `status` is set.
    Html,
    /// The credentials are rejected. Zoom's response has code 124.
    Unauthorized,
    /// Zoom's response to an invalid refresh token.
    InvalidGrant,
    /// DynamoDB: another transaction is in progress on the item.
    Conflict,
    /// DynamoDB: an index query returns the result of the same query before, or nothing.
    Stale,
    /// DynamoDB and SQS: the last entry of a batch is not processed.
    Partial,
    /// SES: sending is paused for the account.
    Paused,
    /// SES and ZeptoMail: the mail is rejected permanently.
    Rejected,
    /// Webhook: Zoom never delivers the event.
    Drop,
    /// Webhook: Zoom delivers the event twice.
    Duplicate,
    /// Webhook: Zoom delivers the event after `delay_ms` of the stack's clock, by default after ten minutes.
    Delay,
    /// Webhook: Zoom delivers the event after the next one, or after a minute if there is none.
    Reorder,
}

impl FaultKind {
    /// Returns whether an operation can fail in this way.
    fn supports_operation(self, operation: &str) -> bool {
        match self {
            Self::Partial => operation.contains("Batch"),
            Self::Stale => operation == "Query",
            Self::InvalidGrant => operation == "token",
            _ => true,
        }
    }

    /// Returns whether the service can fail in this way.
    fn is_supported_by(self, service: Service) -> bool {
        use Service::{Dynamodb, Ses, Sqs, Webhook, Zeptomail, Zoom};
        match self {
            Self::ThrottleIso | Self::InvalidGrant | Self::Deferred => service == Zoom,
            Self::ThrottleSeconds => matches!(service, Zeptomail | Zoom),
            Self::Daily => matches!(service, Ses | Zeptomail | Zoom),
            Self::Conflict | Self::Stale => service == Dynamodb,
            Self::Partial => matches!(service, Dynamodb | Sqs),
            Self::Paused => service == Ses,
            Self::Rejected => matches!(service, Ses | Zeptomail),
            Self::Drop | Self::Duplicate | Self::Delay | Self::Reorder => service == Webhook,
            Self::Error
            | Self::Throttle
            | Self::Timeout
            | Self::Late
            | Self::Lost
            | Self::Half
            | Self::Html
            | Self::Unauthorized => service != Webhook,
        }
    }
}

/// A pending fault, which is also the body of `POST /local/faults`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    pub service: Service,
    /// The operation's name, `METHOD /path-template` for Zoom, the event for `webhook`, or `*`.
    pub operation: String,
    pub kind: FaultKind,
    /// How many more calls fail.
    #[serde(default = "one")]
    pub times: u32,
    /// How many matching calls succeed first.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub after: u32,
    /// Restricts the fault to calls by this function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// For `late`: the delay of the response. For `deferred` and `delay`: that of the processing and of the delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// For `throttle_iso` and `throttle_seconds`: the time in `Retry-After`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u32>,
    /// For `html`, and for Zoom's `error`: the status of the response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
}

fn one() -> u32 {
    1
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Fault {
    /// Creates a fault for one call.
    pub fn new(service: Service, operation: &str, kind: FaultKind) -> Self {
        Self {
            service,
            operation: operation.to_owned(),
            kind,
            times: one(),
            after: 0,
            function: None,
            delay_ms: None,
            retry_after_seconds: None,
            status: None,
        }
    }

    /// Sets the number of calls that fail.
    pub fn times(self, times: u32) -> Self {
        Self { times, ..self }
    }

    /// Sets the number of calls that succeed first.
    pub fn after(self, calls: u32) -> Self {
        Self { after: calls, ..self }
    }

    /// Restricts the fault to calls by `function`.
    pub fn for_function(self, function: &str) -> Self {
        Self { function: Some(function.to_owned()), ..self }
    }

    fn is_for_every_operation(&self) -> bool {
        EVERY_OPERATION.contains(&self.operation.as_str())
    }

    fn matches(&self, call: &Call) -> bool {
        self.service == call.service
            && (self.operation == call.operation || self.is_for_every_operation())
            && self.kind.supports_operation(&call.operation)
            && self.function.as_ref().is_none_or(|function| *function == call.function)
    }
}

/// The reason why a fault is rejected.
#[derive(Debug, thiserror::Error)]
pub enum FaultError {
    #[error("{0}")]
    Malformed(#[from] serde_json::Error),
    #[error("`times` must be at least 1")]
    ZeroTimes,
    #[error("`{kind:?}` is not possible for {target}")]
    Kind { target: String, kind: FaultKind },
    #[error("`{status}` is not an HTTP status")]
    Status { status: u16 },
    #[error("{service} has no operation `{operation}`: use `*` or one of {}", service.operations().join(", "))]
    Operation { service: Service, operation: String },
}

/// The pending faults. Clones share the list.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    pending: Arc<Mutex<Vec<Fault>>>,
}

impl Faults {
    /// Adds a fault to the end of the list.
    pub fn add(&self, mut fault: Fault) -> Result<(), FaultError> {
        let Fault { service, kind, .. } = fault;
        if fault.times == 0 {
            return Err(FaultError::ZeroTimes);
        }
        if !kind.is_supported_by(service) {
            return Err(FaultError::Kind { target: service.to_string(), kind });
        }
        if let Some(status) = fault.status.filter(|status| StatusCode::from_u16(*status).is_err()) {
            return Err(FaultError::Status { status });
        }
        if service == Service::Zoom
            && let Some(name) = zoom_calls::name_from_template(&fault.operation)
        {
            fault.operation = name.to_owned();
        }
        let operation = fault.operation.as_str();
        if !fault.is_for_every_operation() {
            if !service.operations().contains(&operation) {
                return Err(FaultError::Operation { service, operation: fault.operation });
            }
            if !kind.supports_operation(operation) {
                return Err(FaultError::Kind { target: fault.operation, kind });
            }
        }
        self.lock().push(fault);
        Ok(())
    }

    /// Returns the first fault that matches this call, and decrements its `times`.
    pub fn take(&self, call: &Call) -> Option<Fault> {
        let mut waiting = self.lock();
        let index = waiting.iter_mut().position(|fault| {
            let is_match = fault.matches(call);
            let skipped = is_match && fault.after > 0;
            fault.after -= u32::from(skipped);
            is_match && !skipped
        })?;
        let fault = &mut waiting[index];
        fault.times -= 1;
        let taken = fault.clone();
        if taken.times == 0 {
            waiting.remove(index);
        }
        Some(taken)
    }

    /// Returns the faults of Zoom's deliveries, for the simulated Zoom.
    pub fn of_deliveries(&self) -> DeliveryFaults {
        let faults = self.clone();
        DeliveryFaults::new(move |event| {
            let fault = faults.take(&Call::delivery(event))?;
            match fault.kind {
                FaultKind::Drop => Some(DeliveryFault::Drop),
                FaultKind::Duplicate => Some(DeliveryFault::Duplicate),
                FaultKind::Delay => {
                    Some(DeliveryFault::Delay(fault.delay_ms.map(Duration::from_millis)))
                }
                FaultKind::Reorder => Some(DeliveryFault::Reorder),
                // `add` refuses the others for deliveries.
                _ => None,
            }
        })
    }

    /// Returns the pending faults.
    pub fn list(&self) -> Vec<Fault> {
        self.lock().clone()
    }

    /// Removes all pending faults.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// `GET`, `POST` and `DELETE /local/faults`.
    pub fn router(&self) -> Router {
        Router::new()
            .route(
                "/local/faults",
                get(async |State(faults): State<Self>| faults.list_response())
                    .post(async |State(faults): State<Self>, body: Bytes| faults.post(&body))
                    .delete(async |State(faults): State<Self>| {
                        faults.clear();
                        StatusCode::NO_CONTENT
                    }),
            )
            .with_state(self.clone())
    }

    fn list_response(&self) -> Response {
        Json(json!({ "items": self.list() })).into_response()
    }

    fn post(&self, body: &[u8]) -> Response {
        let added = serde_json::from_slice(body).map_err(FaultError::from);
        match added.and_then(|fault| self.add(fault)) {
            Ok(()) => self.list_response(),
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
        // The list is consistent after every statement, so a panic does not invalidate it.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(service: Service, operation: &str, function: &str) -> Call {
        Call { service, operation: operation.into(), function: function.into() }
    }

    #[test]
    fn fault_hits_as_many_calls_as_configured() {
        let faults = Faults::default();
        faults.add(Fault::new(Service::Sqs, "SendMessage", FaultKind::Error).times(2)).unwrap();
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
    fn fault_skips_the_configured_number_of_calls() {
        let faults = Faults::default();
        faults.add(Fault::new(Service::Dynamodb, "*", FaultKind::Error).after(2)).unwrap();
        let get = call(Service::Dynamodb, "GetItem", "join");
        let hit: Vec<_> = (0..4).map(|_| faults.take(&get).is_some()).collect();
        assert_eq!(hit, [false, false, true, false]);
    }

    #[test]
    fn fault_matches_every_operation_of_one_function() {
        let faults = Faults::default();
        faults.add(Fault::new(Service::Zoom, "any", FaultKind::Html).for_function("join")).unwrap();
        assert!(faults.take(&call(Service::Zoom, "zak", "session-save")).is_none());
        assert!(faults.take(&call(Service::Zoom, "zak", "join")).is_some());
    }

    #[test]
    fn zoom_operation_is_accepted_as_method_and_path_template() {
        let faults = Faults::default();
        faults.add(Fault::new(Service::Zoom, "PATCH /meetings/{id}", FaultKind::Daily)).unwrap();
        assert_eq!(faults.list()[0].operation, "update_meeting");
    }

    #[test]
    fn fault_that_can_never_match_is_rejected() {
        let faults = Faults::default();
        let add = |fault| faults.add(fault).unwrap_err().to_string();
        assert_eq!(
            add(Fault::new(Service::Sqs, "*", FaultKind::Error).times(0)),
            "`times` must be at least 1"
        );
        assert_eq!(
            add(Fault::new(Service::Sqs, "*", FaultKind::InvalidGrant)),
            "`InvalidGrant` is not possible for sqs"
        );
        assert_eq!(
            add(Fault::new(Service::Sqs, "SendMessage", FaultKind::Partial)),
            "`Partial` is not possible for SendMessage"
        );
        assert_eq!(
            add(Fault::new(Service::Webhook, "*", FaultKind::Error)),
            "`Error` is not possible for webhook"
        );
        assert_eq!(
            add(Fault::new(Service::Zoom, "*", FaultKind::Reorder)),
            "`Reorder` is not possible for zoom"
        );
        assert!(
            add(Fault::new(Service::Webhook, "meeting.begun", FaultKind::Drop))
                .starts_with("webhook has no operation `meeting.begun`: use `*` or one of ")
        );
        assert!(
            add(Fault::new(Service::Secretsmanager, "GetSecret", FaultKind::Error)).starts_with(
                "secretsmanager has no operation `GetSecret`: use `*` or one of CreateSecret, "
            )
        );
        assert!(faults.list().is_empty());
    }
}
