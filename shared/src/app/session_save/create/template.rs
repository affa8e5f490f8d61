//! The new session, before its meeting is known.

use super::Creation;
use crate::app::meeting::{self, NewMeeting};
use crate::crypt::Keyring;
use crate::domain::audience::Audience;
use crate::domain::draft::Draft;
use crate::domain::drift;
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
        self.session(sealed, new_drift(&request.draft, meeting))
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
            external_ref: request.external_ref.clone(),
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

/// Returns the fields in which a new meeting differs: the account forbids recording, or Zoom did not accept the start.
/// The trainer should see that before the session.
fn new_drift(draft: &Draft, meeting: &NewMeeting) -> Vec<String> {
    let is_not_recorded = draft.details.record_session && meeting.is_recorded == Some(false);
    let fields = [(is_not_recorded, drift::RECORDING), (meeting.start_differs, drift::STARTS_AT)];
    let differing = fields.into_iter().filter(|(differs, _)| *differs);
    differing.map(|(_, field)| field.to_owned()).collect()
}
