//! A link that the trainer entered, such as Google Meet, Teams or a room with a camera. The service cannot create or
//! change that meeting.

use super::{MeetingError, MeetingPlan, MeetingProvider, MeetingUpdate, NewMeeting};
use crate::domain::id::MeetingId;
use crate::secret::Secret;

#[derive(Clone, Debug)]
pub struct ManualLink {
    pub join_url: String,
}

impl ManualLink {
    /// Returns the existing meeting of the link.
    pub fn meeting(&self) -> NewMeeting {
        NewMeeting {
            account: None,
            host_user: None,
            platform_user: None,
            id: None,
            join_url: Secret::new(&self.join_url),
            passcode: None,
            has_registration: false,
            is_recorded: None,
            start_differs: false,
        }
    }
}

impl MeetingProvider for ManualLink {
    async fn create(&mut self, _plan: &MeetingPlan) -> Result<NewMeeting, MeetingError> {
        Ok(self.meeting())
    }

    async fn update(
        &mut self,
        _: Option<MeetingId>,
        _: Option<&MeetingPlan>,
        _: &MeetingPlan,
    ) -> Result<MeetingUpdate, MeetingError> {
        Ok(MeetingUpdate::NONE)
    }

    async fn cancel(
        &mut self,
        _: Option<MeetingId>,
        _is_running: bool,
    ) -> Result<(), MeetingError> {
        Ok(())
    }
}
