//! DynamoDB: `dynoxide` in this process, behind a front that measures and guards.
//!
//! The emulator's own server is used, over loopback, and not its `Database` methods: much of what
//! AWS refuses is checked only on the server's path. The front asks it for the consumed capacity of
//! every call, refuses what the emulator lets through and AWS does not (`guard`), and brings about
//! the faults that need to know DynamoDB (`partial`).

mod capacity;
mod guard;
mod partial;
mod tables;
mod ttl;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, to_bytes};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use dynoxide::Database;
use dynoxide::storage_backend::Clock as EmulatorClock;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use shared::clock::Clock;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::StartError;
use super::refusal::Refusal;
use crate::calls::Service;
use crate::faults::Within;
use crate::template::Template;

pub(crate) use tables::KeyAttributes;

/// AWS's limit for a request or an answer.
const LARGEST_BODY_BYTES: usize = 16 * 1024 * 1024;
/// How many index queries are remembered for the fault that shows an index as it was.
const REMEMBERED_QUERIES: usize = 1000;
/// What the emulator's server looks at.
const FORWARDED: [&str; 4] = ["authorization", "content-type", "x-amz-target", "x-amz-date"];

/// The tables of the stack.
#[derive(Clone)]
pub(crate) struct Dynamo {
    database: Database,
    clock: Clock,
    client: Client<HttpConnector, Body>,
    address: http::Uri,
    keys: Arc<KeyAttributes>,
    /// Answers to index queries, for the fault that shows an index as it was.
    seen: Arc<Mutex<HashMap<Bytes, Bytes>>>,
    /// Dropped with the last clone, which stops the emulator's server.
    _running: Arc<oneshot::Sender<()>>,
}

impl std::fmt::Debug for Dynamo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dynamo").field("address", &self.address).finish_non_exhaustive()
    }
}

/// The stack's clock, as the emulator asks for it.
struct StackClock(Clock);

impl EmulatorClock for StackClock {
    fn now_unix_secs(&self) -> u64 {
        u64::try_from(self.0.now().as_second()).unwrap_or_default()
    }

    fn now_unix_secs_f64(&self) -> f64 {
        self.0.now().as_millisecond() as f64 / 1000.0
    }
}

impl Dynamo {
    /// Opens the database, makes the template's tables and starts the emulator's server.
    pub(crate) async fn start(
        file: Option<&Path>,
        template: &Template,
        names: &super::names::Names,
        clock: Clock,
    ) -> Result<Self, StartError> {
        let database = match file {
            Some(file) => Database::new(&file.to_string_lossy())?,
            None => Database::memory_with_clock(Arc::new(StackClock(clock.clone())))?,
        };
        let keys = Arc::new(tables::create(&database, template, names)?);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = format!("http://{}/", listener.local_addr()?);
        let (running, stopped) = oneshot::channel();
        serve(listener, database.clone(), stopped);
        Ok(Self {
            database,
            clock,
            client: Client::builder(TokioExecutor::new()).build_http(),
            address: address.parse().map_err(http::Error::from)?,
            keys,
            seen: Arc::default(),
            _running: Arc::new(running),
        })
    }

    /// Deletes what is past its time to live, by the stack's clock, and says how many items that
    /// were. DynamoDB does so within a few days by itself; here it is done when asked.
    pub(crate) fn sweep_ttl(&self) -> Result<usize, dynoxide::DynoxideError> {
        ttl::sweep(&self.database, &self.keys, self.clock.now())
    }

    /// Answers one call.
    pub(crate) async fn answer(
        &self,
        operation: &str,
        headers: &HeaderMap,
        body: Bytes,
        within: Option<Within>,
    ) -> Response {
        let Ok(mut request) = serde_json::from_slice::<Value>(&body) else {
            // The emulator knows the words for it.
            return self.forward(headers, body).await.unwrap_or_else(IntoResponse::into_response);
        };
        if let Err(refusal) = guard::check(operation, &request, &self.keys) {
            return refusal.into_response();
        }
        let stale = within == Some(Within::Stale) && request["IndexName"].is_string();
        let kept_back = match within {
            Some(Within::Partial) => partial::keep_back(operation, &mut request),
            _ => None,
        };
        let asked = capacity::ask(operation, &mut request);
        let attempt = self.forward(headers, request.to_string().into()).await;
        let answer = match attempt {
            Ok(answer) => answer,
            Err(refusal) => return refusal.into_response(),
        };
        let (mut head, answered) = answer.into_parts();
        let Ok(answered) = to_bytes(answered, LARGEST_BODY_BYTES).await else {
            return unreachable().into_response();
        };
        let Ok(mut answer) = serde_json::from_slice::<Value>(&answered) else {
            return Response::from_parts(head, Body::from(answered));
        };
        let units = if head.status.is_success() {
            capacity::consumed(operation, &answer)
        } else {
            capacity::refused(operation, &request, &answer, &self.database, &self.keys)
        };
        asked.restore(&mut answer);
        guard::correct(operation, &request, &mut answer);
        if let Some(kept_back) = kept_back {
            kept_back.report(&mut answer);
        }
        if request["IndexName"].is_string() && head.status.is_success() {
            answer = self.as_seen(body, answer, stale);
        }
        head.extensions.insert(units);
        // Both describe the emulator's text, which is not the one that is sent.
        head.headers.remove(CONTENT_LENGTH);
        head.headers.remove("x-amz-crc32");
        Response::from_parts(head, Body::from(answer.to_string()))
    }

    /// Remembers what an index query found; a stale reader gets what the same query found before.
    fn as_seen(&self, query: Bytes, found: Value, stale: bool) -> Value {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if !stale {
            if seen.len() >= REMEMBERED_QUERIES {
                seen.clear();
            }
            seen.insert(query, found.to_string().into());
            return found;
        }
        seen.get(&query)
            .and_then(|before| serde_json::from_slice(before).ok())
            .unwrap_or_else(|| serde_json::json!({ "Items": [], "Count": 0, "ScannedCount": 0 }))
    }

    async fn forward(&self, headers: &HeaderMap, body: Bytes) -> Result<Response, Refusal> {
        let mut request = Request::post(self.address.clone());
        if let Some(to) = request.headers_mut() {
            for name in FORWARDED {
                if let Some(value) = headers.get(name) {
                    to.insert(name, value.clone());
                }
            }
        }
        let request = request.body(Body::from(body)).map_err(|_| unreachable())?;
        let answer = self.client.request(request).await.map_err(|error| {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the DynamoDB emulator is gone"
            );
            unreachable()
        })?;
        Ok(answer.map(Body::new))
    }
}

fn unreachable() -> Refusal {
    Refusal::new(
        Service::Dynamodb,
        StatusCode::INTERNAL_SERVER_ERROR,
        "InternalServerError",
        "The local DynamoDB did not answer.",
    )
}

#[expect(
    clippy::disallowed_methods,
    reason = "the server lives as long as the stack; the stopped channel ends it"
)]
fn serve(listener: TcpListener, database: Database, stopped: oneshot::Receiver<()>) {
    tokio::spawn(async move {
        let until = async {
            // An error says that the sender is gone, which is how it is stopped.
            let _gone = stopped.await;
        };
        if let Err(error) = dynoxide::server::serve_with_shutdown(listener, database, until).await {
            tracing::error!(error, "the DynamoDB emulator ended");
        }
    });
}
