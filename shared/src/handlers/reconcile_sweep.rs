//! `reconcile-sweep`: runs every 15 minutes. See `app::reconcile_sweep`.

use std::sync::Arc;
use std::time::Duration;

use super::deps::{self, CommonDeps};
use super::edge;
use super::function::{self, Function};
use super::reminder_sweep::SweepFailed;
use crate::app::Services;
use crate::app::error::Error;
use crate::app::reconcile_sweep::{self, ReconcileReport};
use crate::app::run_time::RunTime;
use crate::clock::Clock;
use crate::config::{ConfigError, Env};
use crate::domain::reconciliation::RecordingDays;
use crate::random::Random;
use crate::secrets::Secrets;
use crate::telemetry::error_chain;

/// The time limit of a run without a deadline.
const DEFAULT_TIME: Duration = Duration::from_secs(290);

#[derive(Debug)]
pub struct Deps {
    services: Services,
    secrets: Arc<Secrets>,
    recording_days: RecordingDays,
}

impl function::Deps for Deps {
    fn new(env: &Env, clock: &Clock, random: &Random) -> Result<Self, ConfigError> {
        let base = CommonDeps::new(env, random)?;
        let secrets = base.secrets()?;
        let recording_days = deps::recording_days(env)?;
        Ok(Self { services: base.services(&secrets, clock)?, secrets, recording_days })
    }

    async fn warm(&self) {
        deps::warm(&self.services.store, &self.secrets, None, self.services.clock.now()).await;
    }
}

/// Runs once for any event, and ends before `deadline_ms`: Lambda's deadline in Unix milliseconds, or
/// 0.
pub async fn handle(
    function: &Function<Deps>,
    deadline_ms: u64,
) -> Result<ReconcileReport, SweepFailed> {
    let run = async {
        let deps = function.deps()?;
        let now = function.clock().now();
        let time = RunTime::new(edge::time_until(deadline_ms, now, DEFAULT_TIME));
        reconcile_sweep::sweep(&deps.services, deps.recording_days, now, time).await
    };
    run.await.map_err(|error: Error| {
        tracing::error!(event = "reconcile_sweep.failed", error = error_chain(&error));
        SweepFailed::from(error)
    })
}
