//! A link that the trainer pasted: Meet, Teams, a room with a camera. We can neither make nor change what is behind it.

use super::{MeetingError, MeetingProvider, NewMeeting, MeetingPlan};
use crate::domain::id::MeetingId;
use crate::secret::Secret;

#[derive(Clone, Debug)]
pub struct ManualLink {
    pub join_url: String,
}

impl ManualLink {
    /// The meeting that it leads to, which is there already.
    pub fn meeting(&self) -> NewMeeting {
        NewMeeting {
            account: None,
            id: None,
            join_url: Secret::new(&self.join_url),
            passcode: None,
            is_recorded: None,
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
    ) -> Result<(), MeetingError> {
        Ok(())
    }

    async fn cancel(&mut self, _: Option<MeetingId>, _running: bool) -> Result<(), MeetingError> {
        Ok(())
    }
}
