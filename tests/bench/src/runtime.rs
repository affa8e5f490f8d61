//! The Runtime API, as far as a function needs one: it hands out invocations and takes the answers.

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

use crate::Fault;

/// What Lambda gives an invocation that nobody is in a hurry for; valgrind makes one fifty times slower.
const TIME_MS: i64 = 10 * 60 * 1000;

/// One function's Runtime API. It ends when this is dropped.
pub(crate) struct Runtime {
    pub(crate) address: SocketAddr,
    desk: Arc<Desk>,
    _served: JoinSet<()>,
}

#[derive(Default)]
struct Desk {
    waiting: Mutex<VecDeque<Value>>,
    answers: Mutex<Vec<Bytes>>,
    idle: Notify,
}

impl Runtime {
    pub(crate) async fn with(events: Vec<Value>) -> Result<Self, Fault> {
        let desk = Arc::new(Desk { waiting: Mutex::new(events.into()), ..Desk::default() });
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
        Ok(Self { address, desk, _served: served })
    }

    /// Waits until every invocation is answered and the function asks for one more.
    pub(crate) async fn idle(&self) {
        self.desk.idle.notified().await;
    }

    /// What the function answered, in order.
    pub(crate) fn answers(&self) -> Vec<Bytes> {
        held(&self.desk.answers).clone()
    }
}

fn held<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn next(State(desk): State<Arc<Desk>>) -> Response {
    let event = held(&desk.waiting).pop_front();
    let Some(event) = event else {
        desk.idle.notify_one();
        return std::future::pending().await;
    };
    let number = held(&desk.answers).len();
    let deadline = Clock::System.now().as_millisecond() + TIME_MS;
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
    State(desk): State<Arc<Desk>>,
    Path((_, _)): Path<(String, String)>,
    body: Bytes,
) -> StatusCode {
    held(&desk.answers).push(body);
    StatusCode::ACCEPTED
}
