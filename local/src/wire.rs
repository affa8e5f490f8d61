//! The wire between the functions and the services: every call passes here, is hit by the faults
//! that wait for it, and is counted by the usage meter.

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

use crate::calls::Call;
use crate::faults::{Effect, Faults};
use crate::usage::{Measured, Units, Usage};

/// How long a call hangs before its connection is dropped: longer than any function lives.
const HANG: Duration = Duration::from_secs(60);
/// More than any service takes: SES's 40 MB in base64.
const LARGEST_BODY_BYTES: usize = 64 * 1024 * 1024;

/// Puts faults and the meter in front of a router.
#[derive(Clone, Debug)]
pub struct Wire {
    pub faults: Faults,
    pub usage: Usage,
    pub clock: Clock,
}

impl Wire {
    /// The same router behind this wire. It must see whole paths: nest first, then put it here.
    pub fn around(&self, router: Router) -> Router {
        router.layer(from_fn_with_state(self.clone(), pass))
    }
}

async fn pass(State(wire): State<Wire>, request: Request, next: Next) -> Response {
    let uri = request.extensions().get::<OriginalUri>().map_or(request.uri(), |uri| &uri.0);
    let Some(call) = Call::of(request.method(), uri.path(), uri.query(), request.headers()) else {
        return next.run(request).await;
    };
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, LARGEST_BODY_BYTES).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let mut effect =
        wire.faults.take(&call).map(|fault| fault.effect(&call, &body, wire.clock.now()));
    let bytes_in = body.len();
    let mut request = Request::from_parts(head, Body::from(body));
    if let Some(Effect::Within(within)) = effect {
        request.extensions_mut().insert(within);
    }
    let answer = match &mut effect {
        Some(Effect::Instead(instead)) => whole(std::mem::take(instead)).await,
        Some(Effect::Hang) => None,
        _ => whole(next.run(request).await).await,
    };
    // Counted before the answer is held back: who called may have gone by then.
    wire.usage.record(&call, measured(bytes_in, answer.as_ref()));
    // The machine's time, not the stack's clock: it is a real caller that waits.
    match effect {
        Some(Effect::Hang) => tokio::time::sleep(HANG).await,
        Some(Effect::Late(delay)) => tokio::time::sleep(delay).await,
        _ => {}
    }
    match (effect, answer) {
        (Some(Effect::Lost), _) | (_, None) => broken(),
        (Some(Effect::Half), Some((head, body))) => together((head, body.slice(..body.len() / 2))),
        (_, Some(answer)) => together(answer),
    }
}

fn measured(bytes_in: usize, answer: Option<&(Response<()>, Bytes)>) -> Measured {
    let units = answer.and_then(|(head, _)| head.extensions().get::<Units>().copied());
    Measured {
        units: units.unwrap_or_default(),
        bytes_in,
        bytes_out: answer.map_or(0, |(_, body)| body.len()),
        failed: answer.is_none_or(|(head, _)| !head.status().is_success()),
    }
}

/// An answer whose body has arrived.
async fn whole(answer: Response) -> Option<(Response<()>, Bytes)> {
    let (head, body) = answer.into_parts();
    let body = to_bytes(body, LARGEST_BODY_BYTES).await.ok()?;
    Some((Response::from_parts(head, ()), body))
}

fn together((head, body): (Response<()>, Bytes)) -> Response {
    let (mut head, ()) = head.into_parts();
    // The length is set anew from the body, which a fault may have cut.
    head.headers.remove(CONTENT_LENGTH);
    Response::from_parts(head, Body::from(body))
}

/// An answer that breaks off: a length is promised and the connection ends before it.
fn broken() -> Response {
    let cut = stream::once(async { Err::<Bytes, _>(io::Error::other("cut by a fault")) });
    let mut response = Response::new(Body::from_stream(cut));
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("1"));
    response
}
