//! The state that is not in a database, in files of the data directory.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use serde_json::json;
use shared::clock::{Clock, ManualTime};
use simulated_aws::state_file::{self, StateFileError};
use simulated_zoom::Zoom;

use super::data_dir::{self, CLOCK_FILE, ZOOM_FILE};
use super::parameters::error_response;

/// The form of the files. Raise it with each change that an earlier or later build cannot read.
const ZOOM_VERSION: u32 = 1;
const CLOCK_VERSION: u32 = 1;

/// The files with the state that is not in a database.
#[derive(Clone)]
pub(super) struct StateFiles {
    dir: PathBuf,
    zoom: Zoom,
    clock: Clock,
    /// Serializes the writes, so that the last write contains the latest state.
    stored: Arc<Mutex<Stored>>,
}

/// The contents of the files.
#[derive(Default)]
struct Stored {
    zoom_revision: Option<u64>,
    clock: Option<ManualTime>,
    /// The reason of the last failure, which is logged once.
    failure: Option<String>,
    /// A stopped stack no longer writes, because the next one may have the directory.
    closed: bool,
}

impl StateFiles {
    pub(super) fn new(dir: PathBuf, zoom: &Zoom, clock: &Clock) -> Self {
        Self { dir, zoom: zoom.clone(), clock: clock.clone(), stored: Arc::default() }
    }

    /// Restores the state of an earlier run: the simulated Zoom and the clock.
    pub(super) fn restore(&self) -> Result<(), StateFileError> {
        let file = self.dir.join(ZOOM_FILE);
        let restored = self.zoom.restore(state_file::read(&file, ZOOM_VERSION)?);
        restored.map_err(|error| StateFileError::unreadable(&file, error))?;
        if let Clock::Manual(manual_clock) = &self.clock {
            let file = self.dir.join(CLOCK_FILE);
            let time = serde_json::from_value(state_file::read(&file, CLOCK_VERSION)?);
            manual_clock.restore(time.map_err(|error| StateFileError::unreadable(&file, error))?);
        }
        Ok(())
    }

    /// Writes the changes since the last write.
    pub(super) fn save(&self) -> Result<(), StateFileError> {
        let mut stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        if stored.closed {
            return Ok(());
        }
        let written = self.write_changes(&mut stored);
        let failure = written.as_ref().err().map(ToString::to_string);
        if failure != stored.failure {
            match &failure {
                Some(error) => tracing::error!(event = "stack.not_saved", error),
                None => tracing::info!(event = "stack.saved_again"),
            }
            stored.failure = failure;
        }
        written
    }

    fn write_changes(&self, stored: &mut Stored) -> Result<(), StateFileError> {
        if stored.zoom_revision != Some(self.zoom.revision()) {
            let (snapshot, revision) = self.zoom.snapshot_with_revision();
            state_file::write(&self.dir.join(ZOOM_FILE), ZOOM_VERSION, &snapshot)?;
            stored.zoom_revision = Some(revision);
        }
        if let Clock::Manual(manual_clock) = &self.clock {
            let time = manual_clock.time();
            if stored.clock != Some(time) {
                state_file::write(&self.dir.join(CLOCK_FILE), CLOCK_VERSION, &json!(time))?;
                stored.clock = Some(time);
            }
        }
        Ok(())
    }

    /// Stores whether the files are complete.
    pub(super) fn set_complete(&self, complete: bool) -> Result<(), StateFileError> {
        let stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        if stored.closed { Ok(()) } else { data_dir::set_complete(&self.dir, complete) }
    }

    /// Ends the writing. A write in progress is completed first.
    pub(super) fn close(&self) {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
    }
}

/// Saves the state of the simulated Zoom before it responds. A caller that stored a token or a meeting number from the
/// response must find it again, even if this process crashes. If the state cannot be stored, the response says so.
pub(super) async fn save_before_response(
    State(disk): State<StateFiles>,
    request: Request,
    next: Next,
) -> Response {
    let changes = request.method() != Method::GET || request.uri().path().ends_with("/token");
    let response = next.run(request).await;
    if changes && let Err(error) = disk.save() {
        return error_response(StatusCode::INSUFFICIENT_STORAGE, error);
    }
    response
}
