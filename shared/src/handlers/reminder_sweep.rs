//! `reminder-sweep`: runs every five minutes. See `app::reminder_sweep`.

use std::sync::Arc;
use std::time::Duration;

use super::deps::{self, CommonDeps};
use super::edge;
use super::function::{self, Function};
use crate::app::Services;
use crate::app::error::Error;
use crate::app::reminder_sweep::{self, ReminderReport};
use crate::app::run_time::RunTime;
use crate::clock::Clock;
use crate::config::{ConfigError, Env};
use crate::random::Random;
use crate::secrets::Secrets;
use crate::telemetry::error_chain;

/// The time limit of a run without a deadline.
const DEFAULT_TIME: Duration = Duration::from_secs(110);

#[derive(Debug)]
pub struct Deps {
    services: Services,
    secrets: Arc<Secrets>,
}

impl function::Deps for Deps {
    fn new(env: &Env, clock: &Clock, random: &Random) -> Result<Self, ConfigError> {
        let base = CommonDeps::new(env, random)?;
        let secrets = base.secrets()?;
        Ok(Self { services: base.services(&secrets, clock)?, secrets })
    }

    async fn warm(&self) {
        deps::warm(&self.services.store, &self.secrets, None, self.services.clock.now()).await;
    }
}

/// A failed run, which the schedule's metrics count.
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

/// Runs once for any event, and ends before `deadline_ms`: Lambda's deadline in Unix milliseconds, or
/// 0.
pub async fn handle(
    function: &Function<Deps>,
    deadline_ms: u64,
) -> Result<ReminderReport, SweepFailed> {
    let run = async {
        let deps = function.deps()?;
        let now = function.clock().now();
        let time = RunTime::new(edge::time_until(deadline_ms, now, DEFAULT_TIME));
        reminder_sweep::sweep(&deps.services, now, time).await
    };
    run.await.map_err(|error: Error| {
        tracing::error!(event = "reminder_sweep.failed", error = error_chain(&error));
        SweepFailed(error)
    })
}
