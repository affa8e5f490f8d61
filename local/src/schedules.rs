//! EventBridge's schedules on the stack's clock.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::handlers::SCHEDULES;

use crate::functions::InvokeError;
use crate::lambda::{Lambda, LambdaError};

#[derive(Clone, Debug)]
pub struct Schedules {
    lambda: Lambda,
    clock: Clock,
    /// The time of each function's last run.
    last_runs: Arc<Mutex<BTreeMap<&'static str, Timestamp>>>,
    /// Held while due functions run, so that moving the clock also waits for runs that the tick started.
    run_lock: Arc<tokio::sync::Mutex<()>>,
}

impl Schedules {
    pub fn new(lambda: Lambda, clock: Clock) -> Self {
        let schedules = Self { lambda, clock, last_runs: Arc::default(), run_lock: Arc::default() };
        schedules.reset();
        schedules
    }

    /// Makes each function due after its interval from now.
    pub fn reset(&self) {
        let now = self.clock.now();
        *self.last_runs.lock().unwrap_or_else(PoisonError::into_inner) =
            SCHEDULES.iter().map(|schedule| (schedule.function, now)).collect();
    }

    /// Runs a function now, like its schedule.
    pub async fn run(&self, function: &str) -> Result<Value, LambdaError> {
        let Some(schedule) = SCHEDULES.iter().find(|schedule| schedule.function == function) else {
            return Err(InvokeError::UnknownFunction(function.to_owned()).into());
        };
        let now = self.clock.now();
        self.last_runs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(schedule.function, now);
        let event = json!({
            "version": "0",
            "id": format!("local-{}", now.as_millisecond()),
            "detail-type": "Scheduled Event",
            "source": "aws.events",
            "account": simulated_aws::names::ACCOUNT_ID,
            "time": now.to_string(),
            "region": simulated_aws::names::REGION,
            "resources": [],
            "detail": {},
        });
        let request_id = format!("schedule-{}", now.as_millisecond());
        self.lambda.invoke(function, request_id, event).await
    }

    /// Runs each due function once, even if the clock has moved over several intervals.
    pub async fn run_due(&self) {
        let _turn = self.run_lock.lock().await;
        let now = self.clock.now();
        for schedule in SCHEDULES {
            let last = self
                .last_runs
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get(schedule.function)
                .copied();
            let every = SignedDuration::from_mins(i64::from(schedule.every_minutes));
            // A clock that was moved back must not suspend the schedules until it reaches the last run again.
            if last.is_none_or(|last| last + every <= now || last > now)
                && let Err(error) = self.run(schedule.function).await
            {
                tracing::error!(event = "schedule.failed", function = schedule.function, %error);
            }
        }
    }
}
