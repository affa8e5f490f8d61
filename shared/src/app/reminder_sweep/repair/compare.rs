//! Compares a meeting with its session after an edit that Zoom did not answer.
//!
//! Zoom may carry out such an edit at any time, so its values are recognized later and the session's values are set again.
//! Other values are somebody's own change at Zoom, which is flagged as drift and left alone.

use std::time::Duration;

use jiff::Timestamp;

use super::{RepairOutcome, lease_until, zoom_meetings};
use crate::app::Services;
use crate::app::error::Error;
use crate::app::meeting::{
    MeetingError, MeetingPlan, MeetingProvider, MeetingUpdate, UpdateAttempts, ZoomMeetings,
};
use crate::domain::drift;
use crate::domain::id::MeetingId;
use crate::domain::meeting_fields::{MeetingComparison, compare_after_edit, restored_digests};
use crate::domain::refusal::Refusal;
use crate::domain::session::Status;
use crate::domain::time::{seconds_to_utc_midnight, whole_milli};
use crate::store::counters::CountedZoomWrite;
use crate::store::due_work::repairs::{Repair, RepairTask};
use crate::store::error::CommitError;
use crate::store::sessions::{self, SessionRecord};
use crate::store::tx::{Action, ConditionSubject};

pub(super) async fn compare_meeting(
    tools: &Services,
    repair: &mut Repair,
    record: &SessionRecord,
    now: Timestamp,
) -> Result<RepairOutcome, Error> {
    let RepairTask::CompareMeeting { sent, .. } = &repair.task else {
        return Ok(RepairOutcome::Done);
    };
    let session = &record.session;
    let (Status::Scheduled | Status::Live, Some(meeting)) = (session.status, session.meeting.id)
    else {
        // The meeting is over or is being deleted.
        release(tools, record).await?;
        return Ok(RepairOutcome::Done);
    };
    if record.edit_lease.as_ref().is_some_and(|lease| lease.until > now) {
        return Err(Error::busy("an edit is in progress"));
    }
    let mut zoom = zoom_meetings(tools, &session.trainer, &session.meeting.host()).await?;
    let found = match zoom.fields(meeting).await {
        Ok(fields) => Some(compare_after_edit(session, &fields, sent)),
        // Without the optional scope to read the meeting, everything is sent again.
        Err(MeetingError::Other(Error::Refused(Refusal::MissingScopes(_)))) => None,
        // The meeting no longer exists, so nothing is left to restore.
        Err(MeetingError::Other(Error::Refused(Refusal::Conflict(reason)))) => {
            tracing::warn!(event = "zoom.meeting_gone", session_id = %session.id, reason);
            release(tools, record).await?;
            return Ok(RepairOutcome::Done);
        }
        Err(error) => return Err(error.into()),
    };
    match found {
        Some(MeetingComparison { sent_late, drift }) if sent_late.is_empty() => {
            if record.edit_lease.is_some() || drift != session.drift {
                let holder = record.edit_lease.as_ref().map(|lease| lease.holder.as_str());
                let stored = sessions::store_comparison(record, holder, &drift, whole_milli(now));
                tools.store.commit_one(stored).await?;
            }
        }
        found => {
            let change = Restore { record, meeting, found };
            change.send(tools, &mut zoom, repair, now).await?;
        }
    }
    Ok(RepairOutcome::LookAgain)
}

/// Removes the expired lease of an edit. Its meeting need not be compared any more.
async fn release(tools: &Services, record: &SessionRecord) -> Result<(), Error> {
    if let Some(lease) = &record.edit_lease {
        let release = sessions::release_edit_lease(&record.session.id, &lease.holder);
        tools.store.commit_one(release).await?;
    }
    Ok(())
}

/// A change that sets the session's values at Zoom again.
struct Restore<'a> {
    record: &'a SessionRecord,
    meeting: MeetingId,
    /// `None` if the meeting could not be read.
    found: Option<MeetingComparison>,
}

impl Restore<'_> {
    /// Sends the fields that were changed late, or all fields without a comparison. Holds the edit lease on the version that
    /// was read first, so that it cannot overwrite a newer edit.
    async fn send(
        &self,
        tools: &Services,
        zoom: &mut ZoomMeetings<'_>,
        repair: &mut Repair,
        now: Timestamp,
    ) -> Result<(), Error> {
        let session = &self.record.session;
        let holder = tools.new_lease_holder();
        let counted = CountedZoomWrite { zoom_user: zoom.zoom_user().to_owned(), at: now };
        let before = repair.clone();
        // Zoom may carry out this change late as well, after a newer edit.
        let fields = self.found.as_ref().map(|found| &found.sent_late);
        if let RepairTask::CompareMeeting { sent, .. } = &mut repair.task {
            sent.extend(restored_digests(session, fields));
        }
        let settings = &session.settings_sent;
        let actions = vec![
            sessions::take_edit_lease(session, settings, &holder, lease_until(now), now),
            repair.put(),
        ];
        match tools.store.commit_zoom_write(actions, &counted.zoom_user, now).await {
            Ok(()) => {}
            Err(error) if error.refused(ConditionSubject::ZoomDay) => {
                let after = Duration::from_secs(seconds_to_utc_midnight(now));
                return Err(Error::ZoomLimited { after });
            }
            Err(CommitError::Refused(_)) => return Err(Error::busy("another edit has started")),
            Err(error) => return Err(error.into()),
        }
        let plan = MeetingPlan::from_session(session);
        let updated = match fields {
            Some(fields) => zoom.set_fields(self.meeting, &plan, fields).await,
            None => zoom.update(Some(self.meeting), None, &plan).await,
        };
        let start_differs = match updated {
            Ok(MeetingUpdate { attempts, start_differs }) => {
                if attempts == UpdateAttempts::AllAnswered {
                    *repair = before;
                }
                start_differs
            }
            Err(error) => {
                self.expire_lease(tools, &holder, &counted, &error).await;
                return Err(error.into());
            }
        };
        tracing::info!(event = "session.meeting_restored", session_id = %session.id);
        self.store_result(tools, &holder, start_differs, now).await
    }

    /// Stores the drift, and releases the lease.
    async fn store_result(
        &self,
        tools: &Services,
        holder: &str,
        start_differs: bool,
        now: Timestamp,
    ) -> Result<(), Error> {
        let id = &self.record.session.id;
        let stored = match &self.found {
            Some(found) => {
                let mut drift = found.drift.clone();
                if start_differs && !drift.iter().any(|field| field == drift::STARTS_AT) {
                    drift.push(drift::STARTS_AT.to_owned());
                }
                sessions::store_comparison(self.record, Some(holder), &drift, whole_milli(now))
            }
            None => sessions::release_edit_lease(id, holder),
        };
        match tools.store.commit_one(stored).await {
            // An event of the meeting came first, so the comparison is repeated.
            Err(CommitError::Refused(_)) => {
                let expiry = sessions::expire_edit_lease(id, holder, tools.clock.now());
                self.commit_expiry(tools, vec![expiry]).await;
                Err(Error::busy("the meeting has changed during the repair"))
            }
            stored => Ok(stored?),
        }
    }

    /// Expires the lease immediately. An expired lease shows that the restore is still due.
    async fn expire_lease(
        &self,
        tools: &Services,
        holder: &str,
        counted: &CountedZoomWrite,
        error: &MeetingError,
    ) {
        let now = tools.clock.now();
        let mut actions = vec![sessions::expire_edit_lease(&self.record.session.id, holder, now)];
        // Zoom refused the change, so it was not counted there.
        actions.extend(matches!(error, MeetingError::Other(_)).then(|| counted.give_back()));
        self.commit_expiry(tools, actions).await;
    }

    async fn commit_expiry(&self, tools: &Services, actions: Vec<Action>) {
        if let Err(error) = tools.store.commit(actions).await {
            let id = &self.record.session.id;
            tracing::warn!(event = "session.lease_not_released", session_id = %id, %error);
        }
    }
}
