//! The state that is not in a database, in files of the data directory.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use serde_json::{Value, json};
use shared::clock::Clock;
use simulated_zoom::Zoom;

use super::StackError;

/// The files with the state that is not in a database.
#[derive(Clone)]
pub(super) struct StateFiles {
    dir: PathBuf,
    zoom: Zoom,
    clock: Clock,
    /// Serializes the writes, so that the last write contains the latest state.
    lock: Arc<Mutex<()>>,
}

impl StateFiles {
    /// Restores the state of an earlier run: the simulated Zoom and the offset of the clock.
    pub(super) fn restore(dir: PathBuf, zoom: &Zoom, clock: &Clock) -> Result<Self, StackError> {
        restore(&dir, zoom, clock)?;
        Ok(Self { dir, zoom: zoom.clone(), clock: clock.clone(), lock: Arc::default() })
    }

    pub(super) fn save(&self) {
        let _writing = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        write_state(&self.dir.join("zoom.json"), &self.zoom.snapshot());
        if let Clock::Manual(manual_clock) = &self.clock {
            write_state(&self.dir.join("clock.json"), &json!(manual_clock.offset()));
        }
    }
}

/// Saves the state of the simulated Zoom before it responds. A caller that stored a token or a meeting number from the
/// response must find it again, even if this process crashes.
pub(super) async fn save_before_response(
    State(disk): State<StateFiles>,
    request: Request,
    next: Next,
) -> Response {
    let changes = request.method() != Method::GET || request.uri().path().ends_with("/token");
    let response = next.run(request).await;
    if changes {
        disk.save();
    }
    response
}

/// Restores the simulated Zoom and the offset of the clock.
fn restore(dir: &std::path::Path, zoom: &Zoom, clock: &Clock) -> Result<(), StackError> {
    let file = dir.join("zoom.json");
    if file.exists() {
        zoom.restore(serde_json::from_slice(&std::fs::read(file)?)?);
    }
    let file = dir.join("clock.json");
    if let (true, Clock::Manual(manual_clock)) = (file.exists(), clock) {
        manual_clock.advance(serde_json::from_slice(&std::fs::read(file)?)?);
    }
    Ok(())
}

/// Writes to a temporary file first, so that a crash keeps the previous state.
fn write_state(file: &std::path::Path, state: &Value) {
    let temporary_file = file.with_extension("json.new");
    let saved = std::fs::write(&temporary_file, state.to_string())
        .and_then(|()| std::fs::rename(&temporary_file, file));
    if let Err(error) = saved {
        tracing::warn!(event = "stack.not_saved", %error);
    }
}
