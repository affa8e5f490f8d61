//! DynamoDB: the `dynoxide` emulator in this process, behind a proxy.
//!
//! The proxy calls the emulator's server over loopback instead of its `Database` methods, because
//! only the server performs many of AWS's checks. It requests the consumed capacity of every call
//! (`capacity`), rejects requests that the emulator accepts and AWS does not (`guard`), and applies
//! the faults that are specific to DynamoDB (`partial`).

mod browse;
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
use super::names::Names;
use super::refusal::Refusal;
use super::state_file::{self, StateFileError};
use crate::ServiceFault;
use crate::calls::AwsService;
use crate::template::Template;

pub(crate) use tables::Tables;

/// AWS's limit for a request or a response.
const MAX_BODY_BYTES: usize = 16 * 1024 * 1024;
/// The maximum number of stored index queries.
const MAX_INDEX_SNAPSHOTS: usize = 1000;
/// The request headers that the emulator's server reads.
const FORWARDED_HEADERS: [&str; 4] =
    ["authorization", "content-type", "x-amz-target", "x-amz-date"];

/// The tables of the stack.
#[derive(Clone)]
pub(crate) struct Dynamo {
    database: Database,
    file: Option<Arc<Path>>,
    clock: Clock,
    client: Client<HttpConnector, Body>,
    address: http::Uri,
    tables: Arc<Tables>,
    /// The latest response to each index query, for the fault `stale`.
    index_snapshots: Arc<Mutex<HashMap<Bytes, Bytes>>>,
    /// Stops the emulator's server when the last clone is dropped.
    _running: Arc<oneshot::Sender<()>>,
}

impl std::fmt::Debug for Dynamo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dynamo").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Adapts the stack's clock to the emulator.
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
    /// Opens the database, creates the template's tables and starts the emulator's server.
    pub(crate) async fn start(
        file: Option<&Path>,
        template: &Template,
        names: &Names,
        clock: Clock,
    ) -> Result<Self, StartError> {
        let database = match file {
            Some(file) => {
                // The emulator does not check the version.
                drop(state_file::open_database(Some(file))?);
                Database::new(&file.to_string_lossy())
                    .map_err(|error| StateFileError::unreadable(file, error))?
            }
            None => Database::memory_with_clock(Arc::new(StackClock(clock.clone())))?,
        };
        let keys = Arc::new(tables::create(&database, template, names)?);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = format!("http://{}/", listener.local_addr()?);
        let (running, stopped) = oneshot::channel();
        serve(listener, database.clone(), stopped);
        Ok(Self {
            database,
            file: file.map(Arc::from),
            clock,
            client: Client::builder(TokioExecutor::new()).build_http(),
            address: address.parse().map_err(http::Error::from)?,
            tables: keys,
            index_snapshots: Arc::default(),
            _running: Arc::new(running),
        })
    }

    /// Deletes all tables and creates the template's again.
    pub(crate) fn reset(&self, template: &Template, names: &Names) -> Result<(), StartError> {
        let list = tables::typed_request(serde_json::json!({}))?;
        for name in self.database.list_tables(list)?.table_names {
            let delete = tables::typed_request(serde_json::json!({ "TableName": name }))?;
            self.database.delete_table(delete)?;
        }
        tables::create(&self.database, template, names)?;
        self.index_snapshots.lock().unwrap_or_else(PoisonError::into_inner).clear();
        Ok(())
    }

    /// Deletes the items whose time to live has ended on the stack's clock, and returns their number.
    /// DynamoDB does this by itself fault a few days.
    pub(crate) fn sweep_ttl(&self) -> Result<usize, dynoxide::DynoxideError> {
        ttl::sweep(&self.database, &self.tables, self.clock.now())
    }

    /// Handles one call.
    pub(crate) async fn handle(
        &self,
        operation: &str,
        headers: &HeaderMap,
        body: Bytes,
        fault: Option<ServiceFault>,
    ) -> Response {
        let Ok(mut request) = serde_json::from_slice::<Value>(&body) else {
            // The emulator returns AWS's error for malformed JSON.
            return self.forward(headers, body).await.unwrap_or_else(IntoResponse::into_response);
        };
        if let Err(refusal) = guard::check_request(operation, &request, &self.tables) {
            return refusal.into_response();
        }
        let stale = fault == Some(ServiceFault::Stale) && request["IndexName"].is_string();
        let unprocessed = match fault {
            Some(ServiceFault::Partial) => partial::remove_last_entry(operation, &mut request),
            _ => None,
        };
        let requested_capacity = capacity::request_all_capacity(operation, &mut request);
        let result = self.forward(headers, request.to_string().into()).await;
        let response = match result {
            Ok(response) => response,
            Err(refusal) => return refusal.into_response(),
        };
        let (mut head, body_bytes) = response.into_parts();
        let Ok(body_bytes) = to_bytes(body_bytes, MAX_BODY_BYTES).await else {
            return emulator_unreachable().into_response();
        };
        let Ok(mut response) = serde_json::from_slice::<Value>(&body_bytes) else {
            return Response::from_parts(head, Body::from(body_bytes));
        };
        if head.status.is_server_error() {
            self.log_full_disk(&response);
        }
        let units = if head.status.is_success() {
            capacity::consumed_units(operation, &response)
        } else {
            capacity::failed_condition_units(
                operation,
                &request,
                &response,
                &self.database,
                &self.tables,
            )
        };
        requested_capacity.remove_unrequested(&mut response);
        guard::correct_response(operation, &request, &mut response);
        if let Some(unprocessed) = unprocessed {
            unprocessed.add_to_response(&mut response);
        }
        if request["IndexName"].is_string() && head.status.is_success() {
            response = self.snapshot_index_query(body, response, stale);
        }
        head.extensions.insert(units);
        // Both headers describe the emulator's body, which was changed.
        head.headers.remove(CONTENT_LENGTH);
        head.headers.remove("x-amz-crc32");
        Response::from_parts(head, Body::from(response.to_string()))
    }

    /// Logs the name of the database if it could not grow. The emulator only returns SQLite's message.
    fn log_full_disk(&self, response: &Value) {
        let message = response["message"].as_str().or_else(|| response["Message"].as_str());
        if let Some(file) = &self.file
            && message.is_some_and(|message| message.contains("disk is full"))
        {
            let file = file.display();
            tracing::error!(event = "stack.disk_full", %file, "the last change was not stored");
        }
    }

    /// Stores the response to an index query. With the fault `stale`, returns the previous response to the same query.
    fn snapshot_index_query(&self, query: Bytes, current: Value, stale: bool) -> Value {
        let mut snapshots = self.index_snapshots.lock().unwrap_or_else(PoisonError::into_inner);
        if !stale {
            if snapshots.len() >= MAX_INDEX_SNAPSHOTS {
                snapshots.clear();
            }
            snapshots.insert(query, current.to_string().into());
            return current;
        }
        snapshots
            .get(&query)
            .and_then(|previous| serde_json::from_slice(previous).ok())
            .unwrap_or_else(|| serde_json::json!({ "Items": [], "Count": 0, "ScannedCount": 0 }))
    }

    async fn forward(&self, headers: &HeaderMap, body: Bytes) -> Result<Response, Refusal> {
        let mut request = Request::post(self.address.clone());
        if let Some(to) = request.headers_mut() {
            for name in FORWARDED_HEADERS {
                if let Some(value) = headers.get(name) {
                    to.insert(name, value.clone());
                }
            }
        }
        let request = request.body(Body::from(body)).map_err(|_| emulator_unreachable())?;
        let response = self.client.request(request).await.map_err(|error| {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "calling the DynamoDB emulator failed"
            );
            emulator_unreachable()
        })?;
        Ok(response.map(Body::new))
    }
}

fn emulator_unreachable() -> Refusal {
    Refusal::new(
        AwsService::Dynamodb,
        StatusCode::INTERNAL_SERVER_ERROR,
        "InternalServerError",
        "The DynamoDB emulator did not respond.",
    )
}

#[expect(
    clippy::disallowed_methods,
    reason = "the server runs as long as the stack and the `stopped` channel ends it"
)]
fn serve(listener: TcpListener, database: Database, stopped: oneshot::Receiver<()>) {
    tokio::spawn(async move {
        let until = async {
            // Dropping the sender stops the server, so the error is expected.
            let _gone = stopped.await;
        };
        if let Err(error) = dynoxide::server::serve_with_shutdown(listener, database, until).await {
            tracing::error!(error, "the DynamoDB emulator stopped");
        }
    });
}
