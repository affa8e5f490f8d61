//! Step 2 of an edit: the change at Zoom.

use super::MeetingEdit;
use super::reserve::EditReservation;
use crate::app::error::Error;
use crate::app::meeting::{MeetingProvider, MeetingUpdate, UpdateAttempts, ZoomMeetings};
use crate::domain::drift;
use crate::domain::session::Session;
use crate::domain::time::whole_milli;

impl EditReservation<'_> {
    /// Sends the change, and notes in `next` the fields in which the meeting differs. After a failure the reservation
    /// is undone.
    pub(super) async fn call_zoom(
        &self,
        zoom: &mut ZoomMeetings<'_>,
        session: &Session,
        next: &mut Session,
        meeting_edit: &MeetingEdit,
    ) -> Result<UpdateAttempts, Error> {
        let updated =
            zoom.update(session.meeting.id, meeting_edit.old.as_ref(), &meeting_edit.new).await;
        let MeetingUpdate { attempts, start_differs } = match updated {
            Ok(update) => update,
            Err(error) => {
                self.release(&error).await;
                return Err(error.into());
            }
        };
        next.zoom_synced_at = whole_milli(self.edit.now);
        let remaining = if meeting_edit.sends_all() { &[][..] } else { &session.drift[..] };
        let remaining = remaining.iter().filter(|field| *field != drift::RECORDING).cloned();
        let recording = recording_drift(zoom, session, next).await;
        let start = start_differs.then(|| drift::STARTS_AT.to_owned());
        next.drift = remaining.chain(recording).chain(start).collect();
        Ok(attempts)
    }
}

/// Returns the recording drift. Zoom accepts a recording setting that the account forbids, so the meeting is read
/// again if recording was just requested or had been refused before.
async fn recording_drift(
    zoom: &mut ZoomMeetings<'_>,
    old: &Session,
    next: &Session,
) -> Vec<String> {
    let was_refused = old.drift.iter().any(|field| field == drift::RECORDING);
    let is_requested = next.details.record_session && (was_refused || !old.details.record_session);
    let Some(meeting) = next.meeting.id.filter(|_| is_requested) else { return Vec::new() };
    let is_refused = zoom.is_recorded(meeting).await.map_or(was_refused, |recorded| !recorded);
    if is_refused { vec![drift::RECORDING.to_owned()] } else { Vec::new() }
}
