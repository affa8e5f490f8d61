//! The undo of an edit's steps. A failed undo is left to the repair.

use super::Edit;
use super::reserve::EditReservation;
use crate::app::meeting::MeetingError;
use crate::store::sessions;

impl EditReservation<'_> {
    /// Undoes [`reserve`](super::reserve) after a failed call, and gives the daily count back. If Zoom may have applied
    /// the change, the lease expires instead, so that the next edit sends all fields or the repair restores the
    /// meeting.
    pub(super) async fn release(&self, error: &MeetingError) {
        let Edit { services, request, now } = self.edit;
        let session = &request.session;
        let actions = match error {
            MeetingError::Other(_) => {
                vec![
                    sessions::release_edit_lease(session, &self.holder),
                    self.repair.delete(),
                    self.zoom_write.give_back(),
                ]
            }
            MeetingError::Unknown { .. } => {
                vec![sessions::expire_edit_lease(session, &self.holder, now)]
            }
        };
        if let Err(error) = services.store.commit(actions).await {
            tracing::warn!(event = "session.lease_not_released", session_id = %session, %error);
        }
    }

    /// Lets the lease expire after a failed commit. Zoom has the new fields and the session does not: the next edit or
    /// the repair corrects Zoom without waiting. If the edit was stored after all, the lease no longer exists.
    pub(super) async fn expire_lease(&self) {
        let Edit { services, request, now } = self.edit;
        let session = &request.session;
        let expire = sessions::expire_edit_lease(session, &self.holder, now);
        if let Err(error) = services.store.commit_one(expire).await {
            tracing::warn!(event = "session.lease_not_released", session_id = %session, %error);
        }
    }
}
