//! Reports a meeting that is missing a day before its session: to the trainer by a notification, and to the operator by a
//! metric. Once per session and start.

use crate::app::Services;
use crate::domain::domain_event::{DomainEvent, DomainEventKind};
use crate::domain::meeting_retry::notice_at;
use crate::domain::time::whole_milli;
use crate::store::due_work::meetings::DueMeeting;
use crate::store::error::CommitError;
use crate::store::{due_work, sessions};
use crate::telemetry::metrics;

/// Reports the missing meeting of a session, if its time has come and it was not reported before. The next attempt repeats a
/// report that fails.
pub(super) async fn report_missing(tools: &Services, due: &DueMeeting) {
    let now = tools.clock.now();
    if now < notice_at(due.starts_at) {
        return;
    }
    let (session_id, starts_at) = (&due.session, due.starts_at);
    let event = DomainEvent {
        at: whole_milli(now),
        kind: DomainEventKind::MeetingMissing {
            session: due.session.clone(),
            trainer: due.trainer.clone(),
            starts_at,
        },
    };
    let claim = sessions::claim_meeting_notice(&due.session, starts_at);
    match tools.store.commit(vec![claim, due_work::put_domain_event(&event)]).await {
        Ok(()) => {
            metrics::MISSING_MEETINGS.count();
            tracing::error!(event = "meeting.missing", %session_id, %starts_at);
            tools.send_wake_up(&event).await;
        }
        Err(CommitError::Refused(_)) => {}
        Err(error) => tracing::warn!(event = "meeting.notice_failed", %session_id, %error),
    }
}
