//! EventBridge's schedules, by the stack's own clock.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use lambda_http::Context;
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::handlers::SCHEDULES;

use crate::functions::{Functions, InvokeError};
use crate::usage::Usage;

/// AWS: the longest that a function may run.
const TIMEOUT: SignedDuration = SignedDuration::from_secs(120);

#[derive(Clone, Debug)]
pub struct Schedules {
    functions: Arc<Functions>,
    clock: Clock,
    usage: Usage,
    /// When each ran last.
    ran: Arc<Mutex<BTreeMap<&'static str, Timestamp>>>,
    /// Whoever moves the clock waits until all has happened that became due by it, also where the tick was quicker.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Schedules {
    pub fn new(functions: Arc<Functions>, clock: Clock, usage: Usage) -> Self {
        let now = clock.now();
        let ran = SCHEDULES.iter().map(|schedule| (schedule.function, now)).collect();
        Self { functions, clock, usage, ran: Arc::new(Mutex::new(ran)), turn: Arc::default() }
    }

    /// Runs a function now, as its schedule would.
    pub async fn run(&self, function: &str) -> Result<Value, InvokeError> {
        let Some(schedule) = SCHEDULES.iter().find(|schedule| schedule.function == function) else {
            return Err(InvokeError::NoSuchFunction(function.to_owned()));
        };
        let now = self.clock.now();
        self.ran.lock().unwrap_or_else(PoisonError::into_inner).insert(schedule.function, now);
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
        let begun = tokio::time::Instant::now();
        let result = self.functions.invoke(function, event, context).await;
        let took = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.usage.invocation(schedule.function, took);
        result
    }

    /// Runs what is due: once, however far the clock has been moved.
    pub async fn run_due(&self) {
        let _turn = self.turn.lock().await;
        let now = self.clock.now();
        for schedule in SCHEDULES {
            let last = self
                .ran
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get(schedule.function)
                .copied();
            let every = SignedDuration::from_mins(i64::from(schedule.every_minutes));
            // A clock that was turned back must not keep everything waiting until it has caught up.
            if last.is_none_or(|last| last + every <= now || last > now)
                && let Err(error) = self.run(schedule.function).await
            {
                tracing::error!(event = "schedule.failed", function = schedule.function, %error);
            }
        }
    }
}
