//! A minimal Lambda Runtime API: it supplies events to a function and collects the responses.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::Value;
use shared::clock::Clock;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::BoxError;

/// The timeout of an invocation. It is long because valgrind slows a function down by a factor of fifty.
const INVOCATION_TIMEOUT_MS: i64 = 10 * 60 * 1000;

/// One function's Runtime API. It stops when this is dropped.
pub(crate) struct Runtime {
    pub(crate) address: SocketAddr,
    state: Arc<RuntimeState>,
    _served: JoinSet<()>,
}

#[derive(Default)]
struct RuntimeState {
    pending: Mutex<VecDeque<Value>>,
    responses: Mutex<Vec<Bytes>>,
    idle: Notify,
}

impl Runtime {
    pub(crate) async fn start(events: Vec<Value>) -> Result<Self, BoxError> {
        let desk = Arc::new(RuntimeState {
            pending: Mutex::new(events.into()),
            ..RuntimeState::default()
        });
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/{outcome}", post(outcome))
            .with_state(desk.clone());
        let mut served = JoinSet::new();
        served.spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { address, state: desk, _served: served })
    }

    /// Waits until the function has handled every event and requests another one.
    pub(crate) async fn idle(&self) {
        self.state.idle.notified().await;
    }

    /// Returns the responses of the function in order.
    pub(crate) fn responses(&self) -> Vec<Bytes> {
        lock(&self.state.responses).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn next(State(desk): State<Arc<RuntimeState>>) -> Response {
    let event = lock(&desk.pending).pop_front();
    let Some(event) = event else {
        desk.idle.notify_one();
        return std::future::pending().await;
    };
    let number = lock(&desk.responses).len();
    let deadline = Clock::System.now().as_millisecond() + INVOCATION_TIMEOUT_MS;
    let headers = [
        ("lambda-runtime-aws-request-id", format!("8476a536-e9f4-11e8-9739-{number:012}")),
        ("lambda-runtime-deadline-ms", deadline.to_string()),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:eu-west-1:1:function:f".to_owned()),
        ("lambda-runtime-trace-id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700".to_owned()),
    ]
    .map(|(name, value)| (HeaderName::from_static(name), value));
    (axum::response::AppendHeaders(headers), axum::Json(event)).into_response()
}

async fn outcome(
    State(desk): State<Arc<RuntimeState>>,
    Path((_, _)): Path<(String, String)>,
    body: Bytes,
) -> StatusCode {
    lock(&desk.responses).push(body);
    StatusCode::ACCEPTED
}
