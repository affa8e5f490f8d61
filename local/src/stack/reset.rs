//! The state after the start: the secret and the starting data. `POST /local/reset` returns to it.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use shared::clock::{Clock, ManualTime};
use shared::random::Random;
use simulated_aws::Aws;
use simulated_zoom::{SettingsUpdate, Zoom};

use super::StackError;
use super::barrier::{Barrier, RESET_PATH};
use super::parameters::{NoMembers, error_response, parse_body};
use super::state_files::StateFiles;
use crate::faults::Faults;
use crate::functions::Functions;
use crate::lambda::Lambda;
use crate::schedules::Schedules;
use crate::seed::{self, Seed};
use crate::usage::Usage;
use crate::wire::Wire;

/// Everything that a reset clears, and the data that it loads afterwards.
#[derive(Clone)]
pub(super) struct StartState {
    pub(super) barrier: Barrier,
    pub(super) aws: Aws,
    pub(super) zoom: Zoom,
    pub(super) wire: Wire,
    pub(super) faults: Faults,
    pub(super) usage: Usage,
    pub(super) lambda: Lambda,
    pub(super) schedules: Schedules,
    pub(super) disk: Option<StateFiles>,
    pub(super) clock: Clock,
    /// The time of the clock before an earlier state was restored.
    pub(super) time: Option<ManualTime>,
    pub(super) random: Random,
    /// The environment of the functions.
    pub(super) environment: Arc<Vec<(String, String)>>,
    /// The environment in which the starting data is imported. It has no changes that could prevent that.
    pub(super) seed_environment: Arc<Vec<(String, String)>>,
    pub(super) seed: Seed,
    pub(super) secret_id: String,
    pub(super) secret: String,
    pub(super) zoom_account: SettingsUpdate,
}

impl StartState {
    /// Loads the starting data into an empty stack. Returns the warnings about it.
    pub(super) async fn load(&self) -> Result<Vec<String>, StackError> {
        self.aws.set_secret(&self.secret_id, &self.secret).await?;
        let warnings =
            seed::load(&self.seed, &self.seed_environment, &self.clock, &self.random).await?;
        // The import is not part of anybody's cost.
        self.usage.reset();
        if let Some(disk) = &self.disk {
            disk.save()?;
            disk.set_complete(true)?;
        }
        Ok(warnings)
    }

    /// Returns to the state after the start.
    async fn reset(&self) -> Result<(), StackError> {
        let _alone = self.barrier.close().await;
        if let Some(disk) = &self.disk {
            // After a crash in the meantime, the next start begins anew.
            disk.set_complete(false)?;
        }
        if let (Clock::Manual(manual_clock), Some(time)) = (&self.clock, self.time) {
            manual_clock.restore(time);
        }
        self.faults.clear();
        self.wire.deferred.clear();
        self.aws.reset().await?;
        self.zoom.reset();
        self.zoom.update_settings(self.zoom_account.clone());
        self.schedules.reset();
        // The functions cache secrets and tokens.
        let functions = Functions::new(&self.environment, &self.clock, &self.random);
        self.lambda.replace_functions(functions);
        self.load().await.map(drop)
    }
}

pub(super) fn router(state: StartState) -> Router {
    Router::new().route(RESET_PATH, post(reset)).with_state(state)
}

async fn reset(State(state): State<StartState>, body: Bytes) -> Response {
    if let Err(response) = parse_body::<NoMembers>(&body) {
        return response;
    }
    match state.reset().await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error @ StackError::File(_)) => error_response(StatusCode::INSUFFICIENT_STORAGE, error),
        Err(error) => error_response(StatusCode::INTERNAL_SERVER_ERROR, error),
    }
}
