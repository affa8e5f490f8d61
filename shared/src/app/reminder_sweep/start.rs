//! Counts sessions that should have started and of which Zoom has sent no event. Many at once mean that Zoom's events do not
//! arrive. A single one is a session that nobody has started.

use jiff::Timestamp;

use super::ReminderReport;
use crate::app::Services;
use crate::app::error::Error;
use crate::domain::session::{Provider, Session, Status};
use crate::domain::time::plus_minutes;
use crate::store::due_work::start_checks::StartCheck;
use crate::store::schema::limit;
use crate::telemetry::metrics;

/// The time after the planned start at which an event is expected, because trainers may be late.
const EXPECTED_AFTER_MINUTES: i64 = 30;

/// Returns the check of a session whose start reminder is processed, if Zoom has sent no event of it yet.
pub(super) fn start_check(session: &Session) -> Option<StartCheck> {
    let due_at = plus_minutes(session.details.starts_at, EXPECTED_AFTER_MINUTES);
    has_no_event(session).then(|| StartCheck { session: session.id.clone(), due_at })
}

fn has_no_event(session: &Session) -> bool {
    session.provider == Provider::Zoom
        && session.status == Status::Scheduled
        && session.meeting_instances.is_empty()
        && session.earlier_instances.is_none()
}

/// Counts the sessions of due checks without an event. A session that was moved has another check.
pub(super) async fn count_sessions_without_events(
    tools: &Services,
    checks: &[StartCheck],
    now: Timestamp,
    report: &mut ReminderReport,
) -> Result<(), Error> {
    for chunk in checks.chunks(limit::BATCH_GETS) {
        let mut ids: Vec<_> = chunk.iter().map(|check| check.session.clone()).collect();
        ids.sort();
        ids.dedup();
        let sessions = tools.store.sessions_by_id(&ids).await?;
        tools.store.write_all(chunk.iter().map(StartCheck::delete).collect()).await?;
        report.repaired += chunk.len();
        let is_due = |session: &&Session| {
            has_no_event(session)
                && plus_minutes(session.details.starts_at, EXPECTED_AFTER_MINUTES) <= now
        };
        let count = sessions.found.values().filter(is_due).count();
        if count > 0 {
            tracing::warn!(event = "session.no_zoom_events", count);
            metrics::SESSIONS_WITHOUT_EVENTS.add(u64::try_from(count).unwrap_or(u64::MAX), "");
        }
    }
    Ok(())
}
