//! A link that the trainer pasted: Meet, Teams, a room with a camera. We can neither make nor change what is behind it.

use super::{JoinData, MeetingError, MeetingProvider, NewMeeting, Plan, unseal};
use crate::app::error::Error;
use crate::crypt::Keyring;
use crate::domain::id::MeetingId;
use crate::domain::session::Session;
use crate::secret::Secret;

#[derive(Clone, Debug)]
pub struct ManualLink {
    pub join_url: String,
}

impl MeetingProvider for ManualLink {
    async fn create(&mut self, _plan: &Plan) -> Result<NewMeeting, MeetingError> {
        Ok(NewMeeting { id: None, join_url: Secret::new(&self.join_url), passcode: None })
    }

    async fn update(&mut self, _: Option<MeetingId>, _: Option<&Plan>, _: &Plan) -> Result<(), MeetingError> {
        Ok(())
    }

    async fn cancel(&mut self, _: Option<MeetingId>, _running: bool) -> Result<(), MeetingError> {
        Ok(())
    }

    fn join_data(&self, session: &Session, keyring: &Keyring) -> Result<JoinData, Error> {
        unseal(session, keyring)
    }
}
