//! The new session, before its meeting is known.

use super::Creation;
use crate::app::meeting::{self, NewMeeting};
use crate::app::session_save::new_drift;
use crate::crypt::Keyring;
use crate::domain::audience::Audience;
use crate::domain::session::{Meeting, Session, Status};
use crate::domain::time::whole_milli;

/// The values of a new session, without its meeting.
pub(super) struct SessionTemplate<'a> {
    pub(super) creation: Creation<'a>,
    pub(super) audience: Audience,
    pub(super) keyring: &'a Keyring,
}

impl SessionTemplate<'_> {
    pub(super) fn with_meeting(&self, meeting: &NewMeeting) -> Session {
        let Creation { services, request, id, .. } = self.creation;
        let sealed = meeting::seal(meeting, id, self.keyring, &services.random);
        self.session(sealed, new_drift(&request.draft.details, meeting))
    }

    /// Returns the session without a meeting.
    pub(super) fn with_pending_meeting(&self, meeting: Meeting) -> Session {
        self.session(meeting, Vec::new())
    }

    fn session(&self, meeting: Meeting, drift: Vec<String>) -> Session {
        let Creation { request, id, now, .. } = self.creation;
        let (draft, details) = (&request.draft, &request.draft.details);
        Session {
            id: id.clone(),
            trainer: request.trainer.clone(),
            details: details.clone(),
            audience: self.audience.clone(),
            utc_offset: details.zone.utc_offset(details.starts_at),
            window: request.window,
            provider: draft.venue.provider(),
            settings_sent: details.settings.names(),
            status: Status::Scheduled,
            source: request.source.clone(),
            external_ref: request.external_ref.as_ref().map(|named| named.name.clone()),
            triggered_by: request.triggered_by.clone(),
            meeting,
            ics_sequence: 0,
            version: Session::FIRST_VERSION,
            created_at: whole_milli(now),
            updated_at: whole_milli(now),
            zoom_synced_at: whole_milli(now),
            cancelled_at: None,
            actual_started_at: None,
            actual_ended_at: None,
            meeting_instances: Vec::new(),
            earlier_instances: None,
            recordings: Vec::new(),
            drift,
        }
    }
}
