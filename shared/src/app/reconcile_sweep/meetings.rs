//! Looks for meetings at Zoom that should not exist: those of cancelled sessions, and those without a session.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::{Reconciler, grants};
use crate::app::Services;
use crate::app::error::Error;
use crate::app::meeting::ZoomMeetings;
use crate::app::session_cancel::failure_reason;
use crate::domain::correction::{CorrectedPart, Correction, CorrectionSource};
use crate::domain::hosting::MeetingHost;
use crate::domain::id::{SessionId, UserId};
use crate::domain::meeting_checks::{self, ListedMeeting, MeetingVerdict};
use crate::domain::session::{Session, Status};
use crate::domain::time::whole_milli;
use crate::store::corrections;
use crate::store::due_work::reconciliations::{CancelledMeeting, HostCheck};
use crate::store::tx::Action;

impl Reconciler<'_> {
    /// Deletes the meeting of a cancelled session, if it still exists or exists again.
    pub(super) async fn check_cancelled_meeting(
        &mut self,
        check: &CancelledMeeting,
    ) -> Result<(), Error> {
        let tools = self.tools;
        let record = tools.store.session(&check.session).await?;
        let cancelled = record.map(|record| record.session);
        let Some(session) = cancelled.filter(|it| it.status == Status::Cancelled) else {
            return Ok(tools.store.commit_one(check.delete()).await?);
        };
        let now = whole_milli(tools.clock.now());
        match self.delete_cancelled(&session).await {
            Ok(existed) => {
                let correction =
                    existed.then(|| correction(&session.id, CorrectionSource::Meeting, now));
                match existed {
                    true => self.report.corrected += 1,
                    false => self.report.compared += 1,
                }
                let actions = correction.into_iter().chain([check.delete()]).collect();
                Ok(tools.store.write_all(actions).await?)
            }
            Err(error) => {
                let next = retry_at(&error, check.failures, now);
                self.report_failure("reconcile.cancelled_meeting_failed", &error);
                let actions = next.map_or(vec![check.delete()], |at| check.move_to(at));
                Ok(tools.store.write_all(actions).await?)
            }
        }
    }

    /// Returns whether the meeting existed.
    async fn delete_cancelled(&mut self, session: &Session) -> Result<bool, Error> {
        let Some(meeting) = session.meeting.id else { return Ok(false) };
        let mut zoom = zoom_meetings(self.tools, &session.trainer, &session.meeting.host()).await?;
        Ok(zoom.delete(meeting, session.is_meeting_running()).await?)
    }

    /// Looks through the upcoming meetings of a host.
    pub(super) async fn check_host(&mut self, check: &HostCheck) -> Result<(), Error> {
        let tools = self.tools;
        match self.compare_host(check).await {
            Ok(deleted) => {
                match deleted {
                    0 => self.report.compared += 1,
                    _ => self.report.corrected += 1,
                }
                Ok(tools.store.commit_one(check.delete()).await?)
            }
            Err(error) => {
                let next = retry_at(&error, check.failures, whole_milli(tools.clock.now()));
                self.report_failure("reconcile.host_failed", &error);
                let actions = next.map_or(vec![check.delete()], |at| check.move_to(at));
                Ok(tools.store.write_all(actions).await?)
            }
        }
    }

    /// Deletes the meetings of a host that belong to no session. Returns their number.
    async fn compare_host(&mut self, check: &HostCheck) -> Result<usize, Error> {
        let tools = self.tools;
        let mut zoom = zoom_meetings(tools, &check.trainer, &check.host).await?;
        if let Some(connection) = zoom.connection() {
            grants::ensure_check(tools, connection).await?;
        }
        let listed = zoom.marked_meetings().await?;
        // The sessions are read after Zoom's list, because every meeting is created after its intent was stored.
        let mut deleted = 0;
        for (meeting, session) in doubtful(tools, listed).await? {
            let id = &meeting.session;
            match meeting.decide(session.as_ref(), tools.clock.now()) {
                MeetingVerdict::Keep => {}
                MeetingVerdict::Leave(reason) => {
                    let reason: &str = reason.into();
                    tracing::warn!(event = "zoom.stray_meeting_left", session_id = %id, meeting_id = %meeting.id, reason);
                }
                MeetingVerdict::Delete(reason) => {
                    let reason: &str = reason.into();
                    zoom.delete(meeting.id, false).await?;
                    tracing::warn!(event = "zoom.stray_meeting_deleted", session_id = %id, meeting_id = %meeting.id, reason);
                    let now = whole_milli(tools.clock.now());
                    let stored = correction(id, CorrectionSource::MeetingList, now);
                    tools.store.commit_one(stored).await?;
                    deleted += 1;
                }
            }
        }
        Ok(deleted)
    }

    fn report_failure(&mut self, event: &str, error: &Error) {
        tracing::warn!(event, reason = failure_reason(error), %error);
        self.report.failed += 1;
    }
}

/// Returns the meetings that are not those of their sessions, with the sessions. Those of a request in progress, of an
/// unreadable session, and of another session by their number are left out.
async fn doubtful(
    tools: &Services,
    mut listed: Vec<ListedMeeting>,
) -> Result<Vec<(ListedMeeting, Option<Session>)>, Error> {
    if listed.is_empty() {
        return Ok(Vec::new());
    }
    let ids: BTreeSet<SessionId> = listed.iter().map(|meeting| meeting.session.clone()).collect();
    let ids: Vec<_> = ids.into_iter().collect();
    let sessions = tools.store.sessions_by_id(&ids).await?;
    let is_own = |meeting: &ListedMeeting| {
        sessions.found.get(&meeting.session).is_some_and(|session| {
            session.status != Status::Cancelled && session.meeting.id == Some(meeting.id)
        })
    };
    listed.retain(|meeting| !is_own(meeting) && !sessions.unreadable.contains(&meeting.session));
    if listed.is_empty() {
        return Ok(Vec::new());
    }
    let meetings: Vec<_> = listed.iter().map(|meeting| meeting.id).collect();
    let owners = tools.store.owners_of_meetings(&meetings).await?;
    listed.retain(|meeting| owners.get(&meeting.id).is_none_or(|it| *it == meeting.session));
    let ids: Vec<_> = listed.iter().map(|meeting| meeting.session.clone()).collect();
    let intended = tools.store.sessions_with_intent(&ids).await?;
    listed.retain(|meeting| !intended.contains(&meeting.session));
    let with_session = |meeting: ListedMeeting| {
        let session = sessions.found.get(&meeting.session).cloned();
        (meeting, session)
    };
    Ok(listed.into_iter().map(with_session).collect())
}

async fn zoom_meetings<'a>(
    tools: &'a Services,
    trainer: &UserId,
    host: &MeetingHost,
) -> Result<ZoomMeetings<'a>, Error> {
    Ok(ZoomMeetings::new(tools, tools.host_access(trainer, host).await?))
}

/// Returns when a failed check is repeated. `None` if only the trainer can change its result, or after some attempts.
fn retry_at(error: &Error, failures: u32, now: Timestamp) -> Option<Timestamp> {
    let after = match error {
        Error::Refused(_) | Error::ZoomRejected { .. } => return None,
        Error::ZoomLimited { after } => {
            SignedDuration::try_from(*after).unwrap_or(SignedDuration::ZERO)
        }
        _ => SignedDuration::ZERO,
    };
    meeting_checks::retry_at(failures, after, now)
}

fn correction(session: &SessionId, source: CorrectionSource, at: Timestamp) -> Action {
    let correction = Correction { at, part: CorrectedPart::Meeting, source, count: None };
    corrections::put(session, &correction, CorrectedPart::Meeting.as_str())
}
