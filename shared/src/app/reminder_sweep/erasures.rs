//! Repeats erasures for data that was not visible or not yet stored.

use std::time::Duration;

use jiff::Timestamp;

use super::ReminderReport;
use crate::app::run_time::RunTime;
use crate::app::{Services, directory};
use crate::store::due_work::DueErasure;

/// The remaining time required for another erasure, which reads the data of all sessions of a person.
const ERASURE_TIME: Duration = Duration::from_secs(40);

/// Repeats due erasures sequentially, because they are rare. A failed one is left to a later run.
pub(super) async fn repeat_due_erasures(
    tools: &Services,
    erasures: &[DueErasure],
    now: Timestamp,
    time: RunTime,
    report: &mut ReminderReport,
) {
    for due in erasures {
        if !time.has_left(ERASURE_TIME) {
            report.leave(1);
            continue;
        }
        match directory::repeat_erasure(tools, due, now).await {
            Ok(()) => report.repaired += 1,
            Err(error) => {
                tracing::warn!(event = "directory.erasure_failed", subject = due.subject, %error);
                report.postponed += 1;
            }
        }
    }
}
