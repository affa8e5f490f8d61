//! Makes one meeting, exactly once.
//!
//! 1. [`reserve`](super::reserve) takes the edit lease of the session and stores a repair.
//! 2. [`call_zoom`](MeetingReservation::call_zoom) creates the meeting. If an earlier attempt has died, its meeting is adopted.
//! 3. [`commit`](MeetingReservation::commit) stores the meeting, and deletes the lease, the repair and the entry of the queue.
//!
//! The version of the session stays, and there is no domain event: nobody is notified. An edit waits for the lease. An edit or
//! a cancellation that comes in between changes the version, so the commit is refused, and the meeting is deleted.

use jiff::Timestamp;

use super::inputs::MeetingInputs;
use super::report_missing;
use super::reserve::{MeetingReservation, Reserved, reserve};
use super::{Attempt, daily_limit};
use crate::app::Services;
use crate::app::access::ZoomAccess;
use crate::app::error::Error;
use crate::app::meeting::{
    self, MeetingError, MeetingPlan, MeetingProvider, NewMeeting, ZoomMeetings,
};
use crate::app::session_cancel::failure_reason;
use crate::app::session_save::{apply_zone_rules, new_drift};
use crate::domain::hosting::Hosting;
use crate::domain::id::SessionId;
use crate::domain::meeting_retry::notice_at;
use crate::domain::pending_meeting::MeetingState;
use crate::domain::session::{Session, Status};
use crate::domain::time::whole_milli;
use crate::store::counters::CountedZoomWrite;
use crate::store::due_work::meetings::DueMeeting;
use crate::store::error::CommitError;
use crate::store::sessions;
use crate::store::tx::{Action, ConditionSubject};

/// The failure of a session for which its host has no time.
const OVERLAP: &str = "conflict";

/// Whether Zoom has answered the call that created the meeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CreateAnswer {
    Answered,
    /// Zoom may carry out the call again, so the repair stays.
    Unanswered,
}

/// A call that has returned no meeting.
enum CallFailure {
    /// The meeting may exist. The next attempt looks for it.
    Uncertain(Error),
    /// Zoom has certainly not created it.
    NotMade(Error),
}

/// Makes the meeting of a session. `due` is its entry in the queue. With `account_is_limited`, a meeting that the platform
/// hosts is left to the next run.
pub(super) async fn make_meeting(
    tools: &Services,
    session: &SessionId,
    due: Option<&DueMeeting>,
    account_is_limited: bool,
) -> Result<Attempt, Error> {
    let now = tools.clock.now();
    let record = match tools.store.session(session).await {
        Ok(Some(record)) if needs_meeting(&record.session, due, now) => record,
        Ok(_) => return not_needed(tools, due).await,
        Err(error) => return unreadable(error.into()),
    };
    let is_given_up = record.session.meeting_state() == MeetingState::Failed;
    if let Some(due) = due.filter(|_| is_given_up) {
        // The entry was kept for this report.
        report_missing(tools, due).await;
        return not_needed(tools, Some(due)).await;
    }
    if record.edit_lease.as_ref().is_some_and(|lease| lease.until > now) {
        return Ok(Attempt::Busy);
    }
    if record.session.with_current_zone_rules(now).is_some() {
        // The new entry has the new start.
        return match apply_zone_rules(tools, session, now).await {
            Ok(_) | Err(Error::Busy(_)) => Ok(Attempt::Busy),
            Err(error) => Err(error),
        };
    }
    let inputs = match MeetingInputs::load(tools, record).await {
        Ok(inputs) => inputs,
        Err(error) => return unreadable(error),
    };
    let hosting = inputs.hosting(tools.hosting.policy);
    if hosting == Hosting::Platform && account_is_limited {
        return Ok(Attempt::Busy);
    }
    let failed = |error| Ok(Attempt::Failed { hosting, error });
    let zoom_access = match inputs.zoom_access(tools, hosting).await {
        Ok(zoom_access) => zoom_access,
        Err(error) => return failed(error),
    };
    let reservation = match reserve(tools, &inputs, &zoom_access, now).await {
        Ok(Reserved::Taken(reservation)) => reservation,
        Ok(Reserved::Busy) => return Ok(Attempt::Busy),
        Ok(Reserved::Overlap) => {
            let session = &inputs.record.session;
            let actions = given_up_actions(session, due, None, OVERLAP, now);
            return stored_failure(tools.store.commit(actions).await, OVERLAP);
        }
        Err(error @ Error::ZoomLimited { .. }) => return failed(error),
        Err(error) => return Err(error),
    };
    reservation.make(zoom_access, due, hosting).await
}

/// Returns whether the session has a pending meeting, and the entry is about it. A session that has begun needs one until its
/// window closes.
fn needs_meeting(session: &Session, due: Option<&DueMeeting>, now: Timestamp) -> bool {
    session.meeting.pending.is_some()
        && session.status == Status::Scheduled
        && now < session.window_closes_at()
        && due.is_none_or(|due| due.is_current(session))
}

async fn not_needed(tools: &Services, due: Option<&DueMeeting>) -> Result<Attempt, Error> {
    if let Some(due) = due {
        tools.store.commit_one(due.delete()).await?;
    }
    Ok(Attempt::NotNeeded)
}

/// Leaves a session with an unreadable item alone, because it must not block others. The item was counted.
fn unreadable(error: Error) -> Result<Attempt, Error> {
    if error.is_unreadable_item() { Ok(Attempt::Busy) } else { Err(error) }
}

/// Returns the actions that give a meeting up. The entry of the queue is kept until the time of the notice.
fn given_up_actions(
    session: &Session,
    due: Option<&DueMeeting>,
    holder: Option<&str>,
    reason: &str,
    now: Timestamp,
) -> Vec<Action> {
    let mut actions = vec![sessions::store_meeting_failure(session, holder, reason)];
    let notice_at = notice_at(session.details.starts_at);
    match due {
        Some(due) if notice_at > now => actions.extend(due.move_to(notice_at, due.failures)),
        Some(due) => actions.push(due.delete()),
        None => {}
    }
    actions
}

fn stored_failure(stored: Result<(), CommitError>, reason: &'static str) -> Result<Attempt, Error> {
    match stored {
        Ok(()) => Ok(Attempt::GivenUp { reason }),
        // An edit tries again.
        Err(CommitError::Refused(_)) => Ok(Attempt::Busy),
        Err(error) => Err(error.into()),
    }
}

impl MeetingReservation<'_> {
    async fn make(
        mut self,
        zoom_access: ZoomAccess,
        due: Option<&DueMeeting>,
        hosting: Hosting,
    ) -> Result<Attempt, Error> {
        let mut zoom = ZoomMeetings::new(self.tools, zoom_access);
        match self.call_zoom(&mut zoom).await {
            Ok((meeting, answer)) => self.commit(&mut zoom, due, &meeting, answer).await,
            Err(CallFailure::Uncertain(error)) => {
                self.expire_lease().await;
                Ok(Attempt::Failed { hosting, error })
            }
            Err(CallFailure::NotMade(error @ Error::ZoomRejected { .. })) => {
                let (reason, now) = (failure_reason(&error), self.now);
                let holder = Some(self.holder.as_str());
                let mut actions = given_up_actions(&self.session, due, holder, reason, now);
                actions.extend(self.refused_actions());
                tracing::warn!(event = "meeting.refused", session_id = %self.session.id, %error);
                stored_failure(self.tools.store.commit(actions).await, reason)
            }
            Err(CallFailure::NotMade(error)) => {
                let mut actions = self.refused_actions();
                actions.push(sessions::release_edit_lease(&self.session.id, &self.holder));
                self.undo(actions).await;
                Ok(Attempt::Failed { hosting, error })
            }
        }
    }

    /// Step 2: returns the meeting that an earlier attempt has created, or a new one.
    async fn call_zoom(
        &mut self,
        zoom: &mut ZoomMeetings<'_>,
    ) -> Result<(NewMeeting, CreateAnswer), CallFailure> {
        let join_mode = self.tools.hosting.join_mode;
        let has_registration = join_mode.needs_registration(zoom.hosting()) && zoom.can_register();
        let plan = MeetingPlan { has_registration, ..MeetingPlan::from_session(&self.session) };
        if self.zoom_write.is_none() {
            if let Some(found) =
                zoom.adopt(&plan).await.map_err(|error| CallFailure::Uncertain(error.into()))?
            {
                return Ok((found, CreateAnswer::Answered));
            }
            self.count(zoom.zoom_user()).await.map_err(CallFailure::NotMade)?;
        }
        match zoom.create(&plan).await {
            Ok(meeting) => Ok((meeting, CreateAnswer::Answered)),
            Err(MeetingError::Unknown { reason }) => {
                let session_id = &self.session.id;
                tracing::warn!(event = "zoom.creation_unconfirmed", %session_id, reason);
                match zoom.adopt(&plan).await {
                    Ok(Some(found)) => Ok((found, CreateAnswer::Unanswered)),
                    Ok(None) | Err(_) => {
                        Err(CallFailure::Uncertain(Error::ZoomUnavailable { reason }))
                    }
                }
            }
            Err(MeetingError::Other(error)) => Err(CallFailure::NotMade(error)),
        }
    }

    /// Counts the call of an attempt that has found no earlier meeting.
    async fn count(&mut self, zoom_user: &str) -> Result<(), Error> {
        let counted = self.tools.store.commit_zoom_write(Vec::new(), zoom_user, self.now).await;
        match counted {
            Ok(()) => {
                let zoom_user = zoom_user.to_owned();
                self.zoom_write = Some(CountedZoomWrite { zoom_user, at: self.now });
                Ok(())
            }
            Err(error) if error.refused(ConditionSubject::ZoomDay) => Err(daily_limit(self.now)),
            Err(error) => Err(error.into()),
        }
    }

    /// Step 3: stores the meeting. If the session has changed meanwhile, the meeting is deleted.
    async fn commit(
        &self,
        zoom: &mut ZoomMeetings<'_>,
        due: Option<&DueMeeting>,
        meeting: &NewMeeting,
        answer: CreateAnswer,
    ) -> Result<Attempt, Error> {
        let next = self.with_meeting(meeting).await?;
        let mut actions = vec![sessions::store_meeting(&next, &self.holder)];
        actions.extend(
            meeting.id.map(|id| sessions::put_meeting_pointer(id, &next.id, &next.trainer)),
        );
        let entry = due.cloned().or_else(|| DueMeeting::of_session(&self.session));
        actions.extend(entry.map(|entry| entry.delete()));
        actions.extend((answer == CreateAnswer::Answered).then(|| self.repair.delete()));
        let session_id = &next.id;
        match self.tools.store.commit(actions).await {
            Ok(()) => {
                tracing::info!(event = "meeting.made", %session_id, meeting_id = ?meeting.id);
                Ok(Attempt::Made)
            }
            Err(CommitError::Refused(_)) => {
                tracing::info!(event = "meeting.overtaken", %session_id);
                self.discard(zoom, meeting).await;
                Ok(Attempt::Busy)
            }
            // It may have been stored. Otherwise the next attempt adopts the meeting.
            Err(error) => {
                tracing::error!(event = "meeting.not_stored", %session_id, %error);
                self.expire_lease().await;
                Err(error.into())
            }
        }
    }

    async fn with_meeting(&self, meeting: &NewMeeting) -> Result<Session, Error> {
        let session = &self.session;
        let secrets = self.tools.secrets.get(self.now).await?;
        let sealed = meeting::seal(meeting, &session.id, secrets.keyring()?, &self.tools.random);
        Ok(Session {
            meeting: sealed,
            drift: new_drift(&session.details, meeting),
            zoom_synced_at: whole_milli(self.now),
            ..session.clone()
        })
    }

    /// Deletes a meeting whose session was edited or cancelled meanwhile. If that fails, the repair deletes it.
    async fn discard(&self, zoom: &mut ZoomMeetings<'_>, meeting: &NewMeeting) {
        match zoom.cancel(meeting.id, false).await {
            Ok(()) => {
                let lease = sessions::release_edit_lease(&self.session.id, &self.holder);
                self.undo(vec![self.repair.delete()]).await;
                self.undo(vec![lease]).await;
            }
            Err(error) => {
                let session_id = &self.session.id;
                tracing::warn!(event = "zoom.meeting_not_deleted", %session_id, %error);
            }
        }
    }

    /// Returns the actions after a call that Zoom has certainly not carried out.
    fn refused_actions(&self) -> Vec<Action> {
        let counted = self.zoom_write.as_ref().map(CountedZoomWrite::give_back);
        std::iter::once(self.repair.delete()).chain(counted).collect()
    }

    /// Expires the lease at once. It shows the next attempt that the meeting may exist.
    async fn expire_lease(&self) {
        let now = self.tools.clock.now();
        let expire = sessions::expire_edit_lease(&self.session.id, &self.holder, now);
        self.undo(vec![expire]).await;
    }

    async fn undo(&self, actions: Vec<Action>) {
        if let Err(error) = self.tools.store.commit(actions).await {
            let session_id = &self.session.id;
            tracing::warn!(event = "session.lease_not_released", %session_id, %error);
        }
    }
}
