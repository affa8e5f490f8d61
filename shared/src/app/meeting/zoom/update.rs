//! Changes of a meeting. Zoom may not answer them, or accept them with another start.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::body::{UTC, patch_of_fields, start_in_utc};
use super::{ZoomMeetings, log_optional_failure};
use crate::app::error::Error;
use crate::app::meeting::{MeetingError, MeetingPlan, MeetingUpdate, UpdateAttempts};
use crate::app::zoom_access::with_token;
use crate::domain::id::MeetingId;
use crate::domain::refusal::Refusal;
use crate::domain::time::whole_second;

/// The pause before the second attempt of an update. Jitter adds up to the same amount.
const RETRY_DELAY_MS: u64 = 150;

impl ZoomMeetings<'_> {
    /// Sets some fields of a meeting to those of `plan`.
    pub async fn set_fields(
        &mut self,
        id: MeetingId,
        plan: &MeetingPlan,
        fields: &BTreeSet<String>,
    ) -> Result<MeetingUpdate, MeetingError> {
        match patch_of_fields(plan, fields) {
            Some(patch) => self.update_and_check(plan, id, &patch).await,
            None => Ok(MeetingUpdate::NONE),
        }
    }

    /// Sends a change, and compares the start if it was part of the change.
    pub(super) async fn update_and_check(
        &mut self,
        plan: &MeetingPlan,
        id: MeetingId,
        patch: &Value,
    ) -> Result<MeetingUpdate, MeetingError> {
        let attempts = self.send_patch(plan, id, patch).await?;
        // UTC leaves no choice. After an unanswered attempt, the repair compares the meeting later.
        let is_unambiguous = patch.get("start_time").is_none() || patch["timezone"] == UTC;
        let start_differs = !is_unambiguous
            && attempts == UpdateAttempts::AllAnswered
            && self.start_differs_after_update(plan, id).await;
        Ok(MeetingUpdate { attempts, start_differs })
    }

    /// Reads the start after a change and corrects it. A response to a change has no content. Without the optional
    /// scope to read meetings, nothing is compared.
    async fn start_differs_after_update(&mut self, plan: &MeetingPlan, id: MeetingId) -> bool {
        let Self { services, zoom_access, .. } = self;
        let read = with_token!(services, *zoom_access, |access| services.zoom.meeting(
            access,
            id,
            services.clock.now()
        ));
        match read {
            Ok(meeting) => {
                let reported = meeting.fields.starts_at;
                self.read_after_change = Some(meeting);
                self.correct_start(plan, id, reported).await
            }
            Err(error) => {
                log_optional_failure("zoom.start_not_compared", id, &error);
                false
            }
        }
    }

    /// Sets the start in UTC if Zoom reports another one: Zoom's list lacks some IANA time zones, and it reads a local
    /// time there in another zone. Corrects once. Returns whether the starts still differ.
    pub(super) async fn correct_start(
        &mut self,
        plan: &MeetingPlan,
        id: MeetingId,
        reported: Option<Timestamp>,
    ) -> bool {
        if reported.is_none_or(|at| whole_second(at) == plan.details.starts_at) {
            return false;
        }
        let session_id = &plan.session;
        tracing::warn!(event = "zoom.start_differs", %session_id, meeting_id = %id, zone = %plan.details.zone);
        let Self { services, zoom_access, .. } = self;
        let zoom_user = &zoom_access.zoom_user().id;
        let counted = services.store.commit_zoom_write(Vec::new(), zoom_user, services.clock.now());
        if let Err(error) = counted.await {
            tracing::warn!(event = "zoom.start_not_corrected", %session_id, %error);
            return true;
        }
        let (start_time, timezone) = start_in_utc(plan.details.starts_at);
        let patch = serde_json::json!({"start_time": start_time, "timezone": timezone});
        match self.send_patch_once(id, &patch).await {
            Ok(()) => {
                tracing::info!(event = "zoom.start_corrected", %session_id);
                false
            }
            Err(error) => {
                tracing::warn!(event = "zoom.start_not_corrected", %session_id, %error);
                true
            }
        }
    }

    /// Sends a change, and sends it again if Zoom does not answer. Zoom may count both attempts, so the second one is
    /// counted too. Its error does not show whether Zoom carries out the first one.
    async fn send_patch(
        &mut self,
        plan: &MeetingPlan,
        id: MeetingId,
        patch: &Value,
    ) -> Result<UpdateAttempts, MeetingError> {
        let outcome = match self.send_patch_once(id, patch).await {
            Err(MeetingError::Unknown { reason }) => {
                tracing::warn!(event = "zoom.update_unconfirmed", session_id = %plan.session, reason);
                let Self { services, zoom_access, .. } = self;
                let zoom_user = &zoom_access.zoom_user().id;
                let counted =
                    services.store.commit_zoom_write(Vec::new(), zoom_user, services.clock.now());
                if let Err(error) = counted.await {
                    tracing::warn!(event = "zoom.update_not_retried", session_id = %plan.session, %error);
                    return Err(MeetingError::Unknown { reason });
                }
                let pause = RETRY_DELAY_MS + services.random.below(RETRY_DELAY_MS);
                tokio::time::sleep(Duration::from_millis(pause)).await;
                match self.send_patch_once(id, patch).await {
                    Ok(()) => Ok(UpdateAttempts::SomeUnanswered),
                    // A meeting that is gone cannot change any more.
                    Err(error @ MeetingError::Other(Error::Refused(Refusal::Conflict(_)))) => {
                        Err(error)
                    }
                    Err(error) => Err(MeetingError::Unknown { reason: error.to_string() }),
                }
            }
            answered => answered.map(|()| UpdateAttempts::AllAnswered),
        };
        if outcome.is_ok() {
            tracing::info!(event = "zoom.meeting_updated", session_id = %plan.session, meeting_id = %id);
        }
        outcome
    }

    async fn send_patch_once(&mut self, id: MeetingId, patch: &Value) -> Result<(), MeetingError> {
        let Self { services, zoom_access, .. } = self;
        with_token!(services, *zoom_access, |access| services.zoom.update_meeting(
            access,
            id,
            patch,
            services.clock.now()
        ))
    }
}
