//! Deletes invitee lists that were written ahead of a session whose transaction was refused or never sent.

use super::ReminderReport;
use crate::app::Services;
use crate::app::error::Error;
use crate::store::due_work::InviteeListCheck;

/// Checks due lists sequentially, because few requests die. A failed check is left to the next run.
pub(super) async fn delete_unused_lists(
    tools: &Services,
    checks: &[InviteeListCheck],
    report: &mut ReminderReport,
) {
    for check in checks {
        match delete_if_unused(tools, check).await {
            Ok(()) => report.repaired += 1,
            Err(error) => {
                tracing::warn!(event = "session.invitee_list_not_deleted", session_id = %check.session, %error);
                report.postponed += 1;
            }
        }
    }
}

async fn delete_if_unused(tools: &Services, check: &InviteeListCheck) -> Result<(), Error> {
    let record = tools.store.session(&check.session).await?;
    let list = record.and_then(|record| record.session.audience.invitee_list());
    if list != Some(check.list) {
        tools.store.delete_invitees(&check.session, check.list).await?;
        tracing::warn!(event = "session.invitee_list_deleted", session_id = %check.session);
    }
    Ok(tools.store.commit_one(check.delete()).await?)
}
