//! Step 1 of an edit: the edit lease, its repair and the count of the day, in one transaction.

use super::{Edit, MeetingEdit};
use crate::app::error::Error;
use crate::app::session_save::{daily_limit_error, lease_until, new_repair};
use crate::domain::meeting_fields::edited_digests;
use crate::domain::session::Session;
use crate::store::counters::CountedZoomWrite;
use crate::store::due_work::repairs::{Repair, RepairTask};
use crate::store::sessions;
use crate::store::tx::ConditionSubject;

/// An attempt that holds the edit lease of a session.
pub(super) struct EditReservation<'a> {
    pub(super) edit: Edit<'a>,
    pub(super) holder: String,
    pub(super) repair: Repair,
    /// The write that is counted for the Zoom user's day.
    pub(super) zoom_write: CountedZoomWrite,
}

impl<'a> Edit<'a> {
    /// Takes the edit lease. Returns `None` if the session has changed since it was read.
    pub(super) async fn reserve(
        self,
        session: &Session,
        next: &Session,
        meeting_edit: &MeetingEdit,
        zoom_user: &str,
    ) -> Result<Option<EditReservation<'a>>, Error> {
        let Self { services, now, .. } = self;
        let holder = services.new_lease_holder();
        let until = lease_until(now);
        let sent = edited_digests((!meeting_edit.sends_all()).then_some(session), next);
        let task = RepairTask::CompareMeeting { attempt: holder.clone(), sent };
        let repair = new_repair(session, until, task);
        let actions = vec![
            sessions::take_edit_lease(session, &next.settings_sent, &holder, until, now),
            repair.put(),
        ];
        match services.store.commit_zoom_write(actions, zoom_user, now).await {
            Ok(()) => {
                let zoom_write = CountedZoomWrite { zoom_user: zoom_user.to_owned(), at: now };
                Ok(Some(EditReservation { edit: self, holder, repair, zoom_write }))
            }
            Err(error) if error.refused(ConditionSubject::Session) => Ok(None),
            Err(error) => Err(daily_limit_error(error, now)),
        }
    }
}
