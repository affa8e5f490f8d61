//! The creation of a session with a manual link: one transaction, without a call to Zoom.

use super::template::SessionTemplate;
use super::{CreateOutcome, Creation};
use crate::app::error::Error;
use crate::app::meeting::{ManualLink, MeetingPlan, MeetingProvider};
use crate::domain::plan::PlanLimits;
use crate::domain::refusal::Refusal;
use crate::store::counters;
use crate::store::error::CommitError;
use crate::store::tx::ConditionSubject;

impl Creation<'_> {
    pub(super) async fn create_with_link(
        self,
        template: &SessionTemplate<'_>,
        join_url: &str,
        limits: &PlanLimits,
    ) -> Result<CreateOutcome, Error> {
        let plan = MeetingPlan::from_draft(self.id, &self.request.draft, false);
        let meeting = ManualLink { join_url: join_url.to_owned() }.create(&plan).await?;
        let session = template.with_meeting(&meeting);
        let counted = counters::take_monthly_quota(
            &session.trainer,
            session.details.starts_at,
            limits.sessions_per_month,
            self.now,
        );
        let error = match self.store(&session, vec![counted]).await {
            Ok(()) => {
                return Ok(CreateOutcome::Created(Box::new(session), Box::default()));
            }
            Err(CommitError::Store(error)) => return Err(error.into()),
            Err(error) => error,
        };
        self.delete_unused_invitees(&session).await;
        if error.refused(ConditionSubject::Erasure) {
            Err(Refusal::USER_ERASED.into())
        } else if error.refused(ConditionSubject::Payment) {
            Err(Refusal::PAYMENT_REFUNDED.into())
        } else if error.refused(ConditionSubject::Session) {
            Ok(CreateOutcome::InProgress)
        } else {
            Err(limits.monthly_limit_refusal().into())
        }
    }
}
