//! The host platform's events on an EventBridge bus, for functions that also serve the HTTP API.
//!
//! EventBridge delivers at least once and without order, so the commands in events are idempotent.

use jiff::Timestamp;
use lambda_http::request::LambdaRequest;
use lambda_http::{Adapter, Error, LambdaEvent, Request, Service, service_fn};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::edge::HttpResponse;
use crate::app::error::Error as AppError;
use crate::domain::refusal::Refusal;

#[derive(Debug, Deserialize)]
pub(super) struct PlatformEvent {
    pub(super) id: String,
    #[serde(rename = "detail-type")]
    pub(super) detail_type: String,
    /// The time at which the platform sent the event.
    #[serde(default)]
    pub(super) time: Option<Timestamp>,
    pub(super) detail: Map<String, Value>,
}

impl PlatformEvent {
    pub(super) fn parse(event: Value) -> Result<Self, Refusal> {
        serde_json::from_value(event).map_err(|error| Refusal::field("event", error))
    }
}

/// An event that was not applied. EventBridge retries it and then sends it to the functions' dead-letter queue.
#[derive(Debug, thiserror::Error)]
#[error("the event was not applied")]
pub struct EventFailed(#[source] pub(super) AppError);

impl From<EventFailed> for lambda_runtime::Diagnostic {
    fn from(failed: EventFailed) -> Self {
        Self { error_type: "EventFailed".to_owned(), error_message: failed.to_string() }
    }
}

/// Handles an EventBridge event, which has a detail type, or a request of the HTTP API.
pub(super) async fn handle_event_or_request<E, R>(
    event: LambdaEvent<Value>,
    handle_event: impl FnOnce(Value) -> E,
    handle_request: impl Fn(Request) -> R,
) -> Result<Value, Error>
where
    E: Future<Output = Result<(), EventFailed>> + Send,
    R: Future<Output = HttpResponse> + Send,
{
    if event.payload.get("detail-type").is_some() {
        handle_event(event.payload).await?;
        return Ok(Value::Null);
    }
    let request: LambdaRequest = serde_json::from_value(event.payload)?;
    let http = service_fn(|request| {
        let response = handle_request(request);
        async { Ok::<_, Error>(response.await) }
    });
    let response = Adapter::from(http).call(LambdaEvent::new(request, event.context)).await?;
    Ok(serde_json::to_value(response)?)
}
