//! Middleware between the functions and the services: applies pending faults to every call and
//! records the call in the usage meter.

use std::io;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{OriginalUri, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream;
use http::StatusCode;
use http::header::{CONTENT_LENGTH, HeaderValue};
use shared::clock::Clock;
use simulated_aws::Units;

use crate::calls::{Call, Service};
use crate::deferred::DeferredCalls;
use crate::faults::{FaultEffect, Faults};
use crate::usage::{CallMeasurement, Usage};

/// How long a call hangs before its connection is dropped. It exceeds every function's timeout.
const HANG_DURATION: Duration = Duration::from_secs(60);
/// The limit for a body, above that of every service: SES accepts 40 MB in base64.
const MAX_BODY_BYTES: usize = 64 * 1024 * 1024;

/// Applies faults and the usage meter to the requests of a router.
#[derive(Clone, Debug)]
pub struct Wire {
    pub faults: Faults,
    pub usage: Usage,
    pub clock: Clock,
    pub deferred: DeferredCalls,
}

impl Wire {
    pub fn new(faults: Faults, usage: Usage, clock: Clock) -> Self {
        Self { faults, usage, clock, deferred: DeferredCalls::default() }
    }

    /// Wraps a router with this wire. The wire needs whole paths, so wrap after nesting.
    pub fn wrap(&self, router: Router) -> Router {
        router.layer(from_fn_with_state(self.clone(), intercept))
    }

    /// Processes the deferred calls that are due.
    pub async fn run_deferred_calls(&self) {
        self.deferred.run_due(self.clock.now()).await;
    }
}

async fn intercept(State(wire): State<Wire>, request: Request, next: Next) -> Response {
    let uri = request.extensions().get::<OriginalUri>().map_or(request.uri(), |uri| &uri.0);
    let Some(call) =
        Call::from_request(request.method(), uri.path(), uri.query(), request.headers())
    else {
        return next.run(request).await;
    };
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY_BYTES).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    if call.service == Service::Zoom {
        wire.run_deferred_calls().await;
    }
    let mut effect =
        wire.faults.take(&call).map(|fault| fault.effect(&call, &body, wire.clock.now()));
    let bytes_in = body.len();
    let mut request = Request::from_parts(head, Body::from(body));
    if let Some(FaultEffect::InService(service_fault)) = effect {
        request.extensions_mut().insert(service_fault);
    }
    let response = match &mut effect {
        Some(FaultEffect::Respond(substitute)) => read_response(std::mem::take(substitute)).await,
        Some(FaultEffect::Hang) => None,
        Some(FaultEffect::Defer(at)) => {
            wire.deferred.add(*at, request, next);
            None
        }
        _ => read_response(next.run(request).await).await,
    };
    // The call is recorded before a delay, because the caller may disconnect meanwhile.
    wire.usage.record(&call, measure(bytes_in, response.as_ref()));
    // Delays use the machine's time substitute of the stack's clock, because the caller waits in real time.
    match effect {
        Some(FaultEffect::Hang) => tokio::time::sleep(HANG_DURATION).await,
        Some(FaultEffect::Delay(delay)) => tokio::time::sleep(delay).await,
        _ => {}
    }
    match (effect, response) {
        (Some(FaultEffect::DropResponse), _) | (_, None) => broken_response(),
        (Some(FaultEffect::TruncateResponse), Some((head, body))) => {
            reassemble((head, body.slice(..body.len() / 2)))
        }
        (_, Some(response)) => reassemble(response),
    }
}

fn measure(bytes_in: usize, response: Option<&(Response<()>, Bytes)>) -> CallMeasurement {
    let units = response.and_then(|(head, _)| head.extensions().get::<Units>().copied());
    CallMeasurement {
        units: units.unwrap_or_default(),
        bytes_in,
        bytes_out: response.map_or(0, |(_, body)| body.len()),
        failed: response.is_none_or(|(head, _)| !head.status().is_success()),
    }
}

/// Reads the whole body of a response.
async fn read_response(response: Response) -> Option<(Response<()>, Bytes)> {
    let (head, body) = response.into_parts();
    let body = to_bytes(body, MAX_BODY_BYTES).await.ok()?;
    Some((Response::from_parts(head, ()), body))
}

fn reassemble((head, body): (Response<()>, Bytes)) -> Response {
    let (mut head, ()) = head.into_parts();
    // A fault may have truncated the body, so its length is determined again.
    head.headers.remove(CONTENT_LENGTH);
    Response::from_parts(head, Body::from(body))
}

/// Returns a response whose connection ends before its content length is reached.
fn broken_response() -> Response {
    let truncated =
        stream::once(async { Err::<Bytes, _>(io::Error::other("truncated by a fault")) });
    let mut response = Response::new(Body::from_stream(truncated));
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("1"));
    response
}
