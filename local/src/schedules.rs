//! EventBridge's schedules on the stack's clock.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use lambda_http::Context;
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::handlers::SCHEDULES;

use crate::functions::{Functions, InvokeError};
use crate::usage::Usage;

/// The timeout of a scheduled function.
const TIMEOUT: SignedDuration = SignedDuration::from_secs(120);

#[derive(Clone, Debug)]
pub struct Schedules {
    functions: Arc<Functions>,
    clock: Clock,
    usage: Usage,
    /// The time of each function's last run.
    last_runs: Arc<Mutex<BTreeMap<&'static str, Timestamp>>>,
    /// Held while due functions run, so that moving the clock also waits for runs that the tick started.
    run_lock: Arc<tokio::sync::Mutex<()>>,
}

impl Schedules {
    pub fn new(functions: Arc<Functions>, clock: Clock, usage: Usage) -> Self {
        let now = clock.now();
        let ran = SCHEDULES.iter().map(|schedule| (schedule.function, now)).collect();
        Self {
            functions,
            clock,
            usage,
            last_runs: Arc::new(Mutex::new(ran)),
            run_lock: Arc::default(),
        }
    }

    /// Runs a function now, like its schedule.
    pub async fn run(&self, function: &str) -> Result<Value, InvokeError> {
        let Some(schedule) = SCHEDULES.iter().find(|schedule| schedule.function == function) else {
            return Err(InvokeError::UnknownFunction(function.to_owned()));
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
            "account": crate::aws::names::ACCOUNT_ID,
            "time": now.to_string(),
            "region": crate::aws::names::REGION,
            "resources": [],
            "detail": {},
        });
        let mut context = Context::default();
        context.request_id = format!("schedule-{}", now.as_millisecond());
        context.deadline = u64::try_from((now + TIMEOUT).as_millisecond()).unwrap_or(0);
        let started_at = tokio::time::Instant::now();
        let result = self.functions.invoke(function, event, context).await;
        let duration_ms = u64::try_from(started_at.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.usage.invocation(schedule.function, duration_ms);
        result
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
