//! Step 1 of a creation: the intent, its repair and the quotas, in one transaction.

use crate::app::access::ZoomAccess;
use crate::app::error::Error;
use crate::app::session_save::{daily_limit_error, lease_until};
use crate::domain::id::UserId;
use crate::domain::plan::PlanLimits;
use crate::store::counters::{self, CountedZoomWrite};
use crate::store::due_work::repairs::{Repair, RepairTask};
use crate::store::intents::{self, Intent};
use crate::store::sessions;
use crate::store::tx::{Action, ConditionSubject};
use jiff::Timestamp;

use super::Creation;

/// An attempt that has reserved the creation of a session.
pub(super) struct CreateReservation<'a> {
    pub(super) creation: Creation<'a>,
    pub(super) attempt: String,
    /// The trainer and the start of the monthly quota.
    pub(super) month: (UserId, Timestamp),
    /// The write that is counted for the Zoom user's day before Zoom is called.
    pub(super) zoom_write: CountedZoomWrite,
    pub(super) repair: Repair,
    /// Whether an earlier attempt may have created a meeting.
    pub(super) taken_over: bool,
}

impl<'a> Creation<'a> {
    /// Stores the intent and counts the session for the month. A first attempt will certainly call Zoom, so the call is
    /// counted as well. Returns `None` if another request was faster.
    pub(super) async fn reserve(
        self,
        earlier: Option<Intent>,
        zoom_access: &ZoomAccess,
        limits: &PlanLimits,
    ) -> Result<Option<CreateReservation<'a>>, Error> {
        let Self { services, request, now, .. } = self;
        let starts_at =
            earlier.as_ref().map_or(request.draft.details.starts_at, |intent| intent.starts_at);
        let attempt = services.new_lease_holder();
        let repair = self.undo_repair(&attempt, starts_at, zoom_access);
        let zoom_user = zoom_access.zoom_user();
        let month = (request.trainer.clone(), starts_at);
        let max = limits.sessions_per_month;
        let count = counters::take_monthly_quota(&request.trainer, starts_at, max, now);
        let reserved = match &earlier {
            Some(intent) => {
                let until = lease_until(now);
                let mut actions = vec![intents::take_over_to_create(intent, &attempt, until, now)];
                actions.extend(intent.quota_released.then_some(count));
                actions.push(repair.put());
                services.store.commit(actions).await
            }
            None => {
                // Another request may have stored the session, and deleted its intent, since this one read both.
                let is_new = sessions::require_absent(self.id);
                let actions = vec![is_new, self.new_intent(&attempt), count, repair.put()];
                services.store.commit_zoom_write(actions, &zoom_user.id, now).await
            }
        };
        match reserved {
            Ok(()) => {}
            Err(error)
                if error.refused(ConditionSubject::Intent)
                    || error.refused(ConditionSubject::Session) =>
            {
                return Ok(None);
            }
            Err(error) if error.refused(ConditionSubject::Month) => {
                return Err(limits.monthly_limit_refusal().into());
            }
            Err(error) => return Err(daily_limit_error(error, now)),
        }
        let zoom_write = CountedZoomWrite { zoom_user: zoom_user.id.clone(), at: now };
        let taken_over = earlier.is_some();
        Ok(Some(CreateReservation {
            creation: self,
            attempt,
            month,
            zoom_write,
            repair,
            taken_over,
        }))
    }

    fn new_intent(self, attempt: &str) -> Action {
        intents::reserve(&Intent {
            session_id: self.id.clone(),
            trainer_id: self.request.trainer.clone(),
            created_from: self.request.body_hash.clone(),
            attempt: attempt.to_owned(),
            attempt_until: lease_until(self.now),
            starts_at: self.request.draft.details.starts_at,
            quota_released: false,
        })
    }

    /// Builds the repair that removes the rest of the attempt if it dies.
    fn undo_repair(self, attempt: &str, starts_at: Timestamp, zoom_access: &ZoomAccess) -> Repair {
        let until = lease_until(self.now);
        Repair {
            session: self.id.clone(),
            trainer: self.request.trainer.clone(),
            due_at: until,
            first_due_at: until,
            task: RepairTask::UndoCreate {
                attempt: attempt.to_owned(),
                topic: self.request.draft.details.title.as_str().to_owned(),
                starts_at,
            },
            is_checked: false,
            host: zoom_access.host(),
            is_among_other_work: false,
        }
    }
}
