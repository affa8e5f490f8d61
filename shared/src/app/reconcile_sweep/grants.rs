//! Renews grants that nobody has used for long, before Zoom ends them. The refresh is the same as for a call to Zoom, so a
//! grant that Zoom has ended becomes `reauth_required`, and its trainer is notified.

use super::Reconciler;
use crate::app::Services;
use crate::app::error::Error;
use crate::domain::grant_check::{self, GrantStep};
use crate::domain::time::whole_milli;
use crate::domain::zoom_connection::ZoomConnection;
use crate::store::connections;
use crate::store::due_work::reconciliations::GrantCheck;
use crate::store::error::CommitError;

impl Reconciler<'_> {
    /// Carries out the check of a grant.
    pub(super) async fn check_grant(&mut self, check: &GrantCheck) -> Result<(), Error> {
        let tools = self.tools;
        let now = whole_milli(tools.clock.now());
        let connection = tools.store.connection(&check.trainer).await?;
        match (grant_check::decide(connection.as_ref(), check.due_at, now), connection) {
            (GrantStep::Wait(at), Some(connection)) => {
                self.report.compared += 1;
                move_check(tools, &connection, Some(check), at).await
            }
            (GrantStep::Renew, Some(connection)) => self.renew_grant(check, connection, now).await,
            (GrantStep::Forget, _) | (_, None) => {
                self.report.compared += 1;
                Ok(tools.store.commit_one(check.delete()).await?)
            }
        }
    }

    async fn renew_grant(
        &mut self,
        check: &GrantCheck,
        connection: ZoomConnection,
        now: jiff::Timestamp,
    ) -> Result<(), Error> {
        let tools = self.tools;
        let next_at = match tools.usable_access(&check.trainer, Some(connection.clone())).await {
            Ok(_) => {
                tracing::info!(event = "zoom.grant_renewed");
                self.report.corrected += 1;
                Some(grant_check::check_at(now))
            }
            // The grant has ended. The trainer was notified.
            Err(Error::Refused(_)) => {
                self.report.compared += 1;
                None
            }
            Err(error) => {
                tracing::warn!(event = "zoom.grant_not_renewed", %error);
                self.report.failed += 1;
                grant_check::retry_at(&connection, now)
            }
        };
        match next_at {
            Some(at) => move_check(tools, &connection, Some(check), at).await,
            None => Ok(tools.store.commit_one(check.delete()).await?),
        }
    }
}

/// Schedules the check of a grant that an earlier version has stored without one.
pub(super) async fn ensure_check(
    tools: &Services,
    connection: &ZoomConnection,
) -> Result<(), Error> {
    if connection.grant_check_at.is_some() {
        return Ok(());
    }
    let at = grant_check::check_at(grant_check::refreshed_at(connection));
    move_check(tools, connection, None, at).await
}

/// Stores the next check of a connection. A connection that was replaced meanwhile has a check of its own.
async fn move_check(
    tools: &Services,
    connection: &ZoomConnection,
    before: Option<&GrantCheck>,
    at: jiff::Timestamp,
) -> Result<(), Error> {
    let next = GrantCheck { trainer: connection.trainer.clone(), due_at: at };
    let mut actions = vec![connections::set_grant_check(connection, at), next.put()];
    actions.extend(before.map(GrantCheck::delete));
    match tools.store.commit(actions).await {
        Ok(()) => Ok(()),
        Err(CommitError::Refused(_)) => match before {
            Some(before) => Ok(tools.store.commit_one(before.delete()).await?),
            None => Ok(()),
        },
        Err(error) => Err(error.into()),
    }
}
