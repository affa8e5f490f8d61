//! The creation of a session with a manual link: one transaction, without a call to Zoom.

use super::inputs::CreateInputs;
use super::template::SessionTemplate;
use super::{CreateOutcome, Creation};
use crate::app::error::Error;
use crate::app::meeting::{ManualLink, MeetingPlan, MeetingProvider};
use crate::domain::refusal::Refusal;
use crate::store::bookings;
use crate::store::error::CommitError;
use crate::store::intents;
use crate::store::tx::ConditionSubject;

impl Creation<'_> {
    pub(super) async fn create_with_link(
        self,
        template: &SessionTemplate<'_>,
        join_url: &str,
        inputs: &CreateInputs,
    ) -> Result<CreateOutcome, Error> {
        let plan = MeetingPlan::from_draft(self.id, &self.request.draft, false);
        let meeting = ManualLink { join_url: join_url.to_owned() }.create(&plan).await?;
        let session = template.with_meeting(&meeting);
        let mut actions = self.month_actions(inputs.intent.as_ref(), &inputs.limits);
        if let Some(intent) = &inputs.intent {
            actions.push(intents::replace(intent));
            actions.extend(intent.held_booking().iter().flat_map(bookings::release));
        }
        let error = match self.store(&session, actions).await {
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
        } else if error.refused(ConditionSubject::Session)
            || error.refused(ConditionSubject::Intent)
        {
            Ok(CreateOutcome::InProgress)
        } else {
            Err(inputs.limits.monthly_limit_refusal().into())
        }
    }
}
