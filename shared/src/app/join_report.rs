//! Counts the time from a click on "join" until Zoom's client reports the join. Pages measure and report it, so it shows
//! whether joining works for people, and nothing else depends on it. No item is read or written.

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use crate::domain::attempt_limit::{AttemptCounts, AttemptLimit};
use crate::domain::id::UserId;
use crate::domain::refusal::Refusal;
use crate::telemetry::metrics;

/// The longest accepted time: ten minutes. After a longer one, the person has done something else meanwhile.
pub const LIMIT_MILLISECONDS: u64 = 10 * 60 * 1000;
/// The time from which a join is logged with its session: that of the alarm.
pub const SLOW_MILLISECONDS: u64 = 5000;
/// Reports of one person, per function instance. A person joins again after a lost connection.
const REPORTS_PER_PERSON: AttemptLimit = AttemptLimit { attempts: 10, window_seconds: 60 };

/// The limit of one function instance.
#[derive(Debug)]
pub struct ReportLimit(Mutex<AttemptCounts<UserId>>);

impl Default for ReportLimit {
    fn default() -> Self {
        Self(Mutex::new(AttemptCounts::new(REPORTS_PER_PERSON)))
    }
}

impl ReportLimit {
    /// Counts a report of a person. Refuses too many of them.
    pub fn count(&self, person: &UserId, now: Timestamp) -> Result<(), Refusal> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.count(person.clone(), now).map_err(|seconds| Refusal::RateLimited { seconds })
    }
}

/// Adds a reported time to the metric.
pub fn record(milliseconds: Option<u64>) -> Result<(), Refusal> {
    let milliseconds =
        milliseconds.filter(|time| *time <= LIMIT_MILLISECONDS).ok_or_else(|| {
            Refusal::field("milliseconds", format!("must be from 0 to {LIMIT_MILLISECONDS}"))
        })?;
    metrics::JOIN_TIME.record(milliseconds);
    if milliseconds > SLOW_MILLISECONDS {
        // The span of the request has the session.
        tracing::info!(event = "join.slow", milliseconds);
    }
    Ok(())
}
