//! The undo of a creation's steps. A failed undo is left to the repair.

use super::Creation;
use super::reserve::CreateReservation;
use crate::app::meeting::{MeetingProvider, ZoomMeetings};
use crate::app::session_save::invitees::{delete_unused_invitees, drafted_invitees};
use crate::domain::session::Session;
use crate::store::counters::{CountedZoomWrite, CreateQuotas};
use crate::store::intents;
use crate::store::sessions::SessionRecord;
use crate::store::tx::Action;
use crate::telemetry::metrics;

impl CreateReservation<'_> {
    /// Undoes [`reserve`](super::reserve) while it is unknown whether a meeting exists: the next attempt may begin at
    /// once, and the client holds no monthly quota while it retries.
    pub(super) async fn release(&self) {
        let Creation { services, id, .. } = self.creation;
        let quotas = self.quotas(None);
        let actions = intents::release(id, &self.attempt, &quotas, services.clock.now());
        self.commit_release(actions).await;
    }

    /// Undoes [`reserve`](super::reserve) after a refusal of Zoom. Nothing is left to repair.
    pub(super) async fn abandon_after_refusal(&self) {
        let mut actions = self.abandoning_actions(Some(self.zoom_write.clone()));
        actions.push(self.repair.delete());
        self.commit_release(actions).await;
    }

    /// Undoes [`reserve`](super::reserve) and [`call_zoom`](super::call_zoom) after a session could not be stored.
    /// Returns the session if it was stored after all.
    pub(super) async fn undo(
        &self,
        zoom: &mut ZoomMeetings<'_>,
        session: &Session,
        is_erased: bool,
    ) -> Option<SessionRecord> {
        let Creation { services, id, .. } = self.creation;
        // Without the intent, a late write can no longer store the session, so it is safe to delete the meeting. The
        // repair would need the grant of the erased trainer.
        let mut actions = self.abandoning_actions(None);
        actions.extend(is_erased.then(|| self.repair.delete()));
        if !self.commit_release(actions).await {
            return services.store.session(id).await.ok().flatten();
        }
        self.creation.delete_unused_invitees(session).await;
        if let Err(error) = zoom.cancel(session.meeting.id, false).await {
            tracing::error!(event = "zoom.meeting_orphaned", session_id = %id, %error);
            // The grant of an erased trainer was revoked, so no repair can delete the meeting.
            if is_erased {
                metrics::GIVEN_UP.count();
            }
        }
        None
    }

    /// Deletes the intent and gives the quotas back. `zoom_write` is the counted write if Zoom has certainly not
    /// carried it out.
    fn abandoning_actions(&self, zoom_write: Option<CountedZoomWrite>) -> Vec<Action> {
        let quotas = self.quotas(zoom_write);
        intents::abandon(self.creation.id, &self.attempt, &quotas)
    }

    fn quotas(&self, zoom_write: Option<CountedZoomWrite>) -> CreateQuotas {
        let booking = self.booking.new.clone();
        CreateQuotas { month: Some(self.month.clone()), zoom_write, booking }
    }

    /// Returns `false` if the undo failed, for example because the intent belongs to another attempt.
    async fn commit_release(&self, actions: Vec<Action>) -> bool {
        let Creation { services, id, .. } = self.creation;
        let done = services.store.commit(actions).await;
        if let Err(error) = &done {
            tracing::warn!(event = "session.intent_not_released", session_id = %id, %error);
        }
        done.is_ok()
    }
}

impl Creation<'_> {
    /// Deletes the invitee list of a session that was not stored.
    pub(super) async fn delete_unused_invitees(self, session: &Session) {
        let length = drafted_invitees(&self.request.draft).len();
        delete_unused_invitees(self.services, session, length).await;
    }
}
