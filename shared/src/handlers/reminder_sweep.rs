//! `reminder-sweep`: every five minutes; see `app::reminder_sweep` for what it does.

use std::sync::Arc;

use super::deps::{self, Base};
use super::function::{self, Function};
use crate::app::Tools;
use crate::app::error::Error;
use crate::app::reminder_sweep::{self, Report};
use crate::clock::Clock;
use crate::config::{ConfigError, Env};
use crate::random::Random;
use crate::secrets::Secrets;
use crate::telemetry::causes;

#[derive(Debug)]
pub struct Deps {
    tools: Tools,
    secrets: Arc<Secrets>,
}

impl function::Deps for Deps {
    fn new(env: &Env, clock: &Clock, random: &Random) -> Result<Self, ConfigError> {
        let base = Base::new(env, random)?;
        let secrets = base.secrets()?;
        Ok(Self { tools: base.tools(&secrets, clock)?, secrets })
    }

    async fn warm(&self) {
        deps::warm(&self.tools.store, &self.secrets, None, self.tools.clock.now()).await;
    }
}

/// A run that failed, as the schedule's metrics see it.
#[derive(Debug, thiserror::Error)]
#[error("the sweep failed")]
pub struct SweepFailed(#[source] Error);

impl From<Error> for SweepFailed {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl From<SweepFailed> for lambda_runtime::Diagnostic {
    fn from(failed: SweepFailed) -> Self {
        Self { error_type: "SweepFailed".to_owned(), error_message: failed.to_string() }
    }
}

/// Runs once, whatever the event says.
pub async fn handle(function: &Function<Deps>) -> Result<Report, SweepFailed> {
    let run = async {
        let deps = function.deps()?;
        reminder_sweep::sweep(&deps.tools, function.clock().now()).await
    };
    run.await.map_err(|error: Error| {
        tracing::error!(event = "reminder_sweep.failed", error = causes(&error));
        SweepFailed(error)
    })
}
