//! Step 2 of a creation: the meeting at Zoom.

use super::Creation;
use super::reserve::{CreateReservation, EarlierAttempt};
use crate::app::error::Error;
use crate::app::meeting::{MeetingError, MeetingPlan, MeetingProvider, NewMeeting, ZoomMeetings};
use crate::app::session_save::daily_limit_error;
use crate::store::counters::CountedZoomWrite;

/// Whether Zoom has answered the attempt's own call that creates a meeting, if it made one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CreateAnswer {
    Answered,
    /// Zoom may carry out the call later, or twice.
    Unanswered,
}

impl CreateReservation<'_> {
    /// Returns the session's meeting: one that an earlier attempt created, or a new one. After a failure the
    /// reservation is undone.
    pub(super) async fn call_zoom(
        &self,
        zoom: &mut ZoomMeetings<'_>,
    ) -> Result<(NewMeeting, CreateAnswer), Error> {
        let Creation { services, request, .. } = self.creation;
        let needs_registration = services.hosting.join_mode.needs_registration(zoom.hosting());
        let has_registration = needs_registration && zoom.can_register();
        let plan = MeetingPlan::from_draft(self.creation.id, &request.draft, has_registration);
        if self.earlier != EarlierAttempt::None {
            match self.adopt_or_count(zoom, &plan).await {
                Ok(Some(found)) => return Ok((found, CreateAnswer::Answered)),
                Ok(None) => {}
                Err(error) => {
                    self.release().await;
                    return Err(error);
                }
            }
        }
        match zoom.create(&plan).await {
            Ok(meeting) => Ok((meeting, CreateAnswer::Answered)),
            Err(MeetingError::Unknown { reason }) => {
                let session_id = self.creation.id;
                tracing::warn!(event = "zoom.creation_unconfirmed", %session_id, reason);
                match zoom.adopt(&plan).await {
                    Ok(Some(found)) => Ok((found, CreateAnswer::Unanswered)),
                    // The meeting is missing or not visible yet. The intent stays, so the next attempt or the sweep
                    // looks again. If the meeting appears after another one was created, the repair deletes it.
                    Ok(None) | Err(_) => {
                        self.release().await;
                        Err(Error::ZoomUnavailable { reason })
                    }
                }
            }
            Err(MeetingError::Other(error)) => {
                self.abandon_after_refusal().await;
                Err(error)
            }
        }
    }

    /// Returns the meeting of an earlier attempt with the same body. Without one, the call that creates another meeting is
    /// counted.
    async fn adopt_or_count(
        &self,
        zoom: &mut ZoomMeetings<'_>,
        plan: &MeetingPlan,
    ) -> Result<Option<NewMeeting>, Error> {
        let found = match self.earlier {
            EarlierAttempt::OtherBody => {
                zoom.delete_marked_meetings(plan).await?;
                None
            }
            EarlierAttempt::None | EarlierAttempt::SameBody => zoom.adopt(plan).await?,
        };
        if found.is_none() {
            let CountedZoomWrite { zoom_user, at } = &self.zoom_write;
            let store = &self.creation.services.store;
            let counted = store.commit_zoom_write(Vec::new(), zoom_user, *at).await;
            counted.map_err(|error| daily_limit_error(error, *at))?;
        }
        Ok(found)
    }
}
